"""How well conductances were programmed: fractions, spreads and the figures that show them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates.estimates import Estimate, Floats, fraction_estimate, std_estimate
from ..plots.plots import FAINT, INK, PALETTE, colours_of, new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

MANY_LEVELS = 16  # more have no room for a number above each


def programmed_fraction(
    low: ArrayLike, high: ArrayLike, achieved: ArrayLike, healthy: ArrayLike | None = None
) -> Estimate:
    """Return the fraction of healthy cells from ``low`` to ``high`` [S], between which a cell stands for its level.

    A healthy cell without a final reading counts as missed. Cells without a level (nan) are not counted.
    """
    below, above, got = (np.asarray(values, dtype=np.float64) for values in (low, high, achieved))
    use = ~np.isnan(below) & ~np.isnan(above)  # an outermost level may reach to infinity
    if healthy is not None:
        use &= np.asarray(healthy, dtype=bool)
    return fraction_estimate(int(((got >= below) & (got <= above))[use].sum()), int(use.sum()))


def programming_sigma(target: ArrayLike, achieved: ArrayLike, healthy: ArrayLike | None = None) -> Estimate:
    """Return the standard deviation of G_final - G_target over healthy cells [S]."""
    return std_estimate(_errors(target, achieved, healthy)[0])


def level_table(
    target: ArrayLike, achieved: ArrayLike, levels: ArrayLike, healthy: ArrayLike | None = None
) -> DataFrame:
    """Return a row per level: how many cells, where they ended, how many would be read as another level.

    A cell is misread when its conductance lies beyond the midpoint to a neighbouring level; the outermost levels have a
    neighbour on one side only. A missing reading is a misread.

    Returns
    -------
    pandas.DataFrame
        `level`, `target [S]`, `cells`, `median [S]`, `sigma [S]`, `misread [fraction]`,
        `misread low [fraction]`, `misread high [fraction]` (its 95 % interval).
    """
    from pandas import DataFrame

    steps = np.sort(np.asarray(levels, dtype=np.float64))
    error, wanted = _errors(target, achieved, healthy)
    mine = nearest_level(wanted, steps)
    read = nearest_level(wanted + error, steps)
    rows: list[dict[str, float]] = []
    for k, step in enumerate(steps):
        here = mine == k
        got = (wanted + error)[here]
        got = got[np.isfinite(got)]
        wrong = fraction_estimate(int((here & (read != k)).sum()), int(here.sum()))
        rows.append(
            {
                "level": k,
                "target [S]": float(step),
                "cells": int(here.sum()),
                "median [S]": float(np.median(got)) if got.size else np.nan,
                "sigma [S]": float(got.std(ddof=1)) if got.size > 1 else np.nan,
                "misread [fraction]": wrong.value,
                "misread low [fraction]": wrong.low,
                "misread high [fraction]": wrong.high,
            }
        )
    return DataFrame(rows)


def nearest_level(conductance: ArrayLike, levels: ArrayLike) -> NDArray[np.intp]:
    """Return the index of the level nearest to each conductance [S]; -1 where it is nan."""
    g = np.asarray(conductance, dtype=np.float64)
    steps = np.asarray(levels, dtype=np.float64)
    index = np.searchsorted((steps[1:] + steps[:-1]) / 2.0, g)
    return np.where(np.isfinite(g), index, -1).astype(np.intp)


def level_offsets(
    target: ArrayLike, achieved: ArrayLike, levels: ArrayLike, healthy: ArrayLike | None = None
) -> tuple[float, Floats]:
    """Return mean G_final − G_target [S] of all healthy cells, and of each level's; nan where a level has none."""
    error, wanted = _errors(target, achieved, healthy)
    mine = nearest_level(wanted, np.sort(np.asarray(levels, dtype=np.float64)))
    known = np.isfinite(error)
    count = np.size(np.asarray(levels))
    each = [error[known & (mine == k)] for k in range(count)]
    means = np.array([float(one.mean()) if one.size else np.nan for one in each])
    return (float(error[known].mean()) if known.any() else float("nan")), means


@styled
def level_histogram(
    target: ArrayLike,
    achieved: ArrayLike,
    levels: ArrayLike,
    healthy: ArrayLike | None = None,
    *,
    title: str = "Where the levels ended",
) -> Figure:
    """Draw one histogram per level over a common conductance axis, targets as lines, midpoints as faint ones.

    Above each level stands how far its cells' mean is from the target.
    """
    steps = np.sort(np.asarray(levels, dtype=np.float64))
    error, wanted = _errors(target, achieved, healthy)
    got = wanted + error
    mine = nearest_level(wanted, steps)
    factor, prefix = si_prefix(float(steps.max()))
    figure, ax = new_figure(8.4, 4.2)
    ax.set(title=title, ylabel="Cells per bin")
    known = got[np.isfinite(got)]
    if known.size == 0:
        note(ax, "no healthy cell was read back")
        return figure
    spacing = float(np.diff(steps).min()) if steps.size > 1 else float(steps[0]) or 1.0
    # A few runaways must not squeeze the levels together; they are counted instead.
    low = min(max(float(known.min()), float(steps[0]) - 1.5 * spacing), float(steps[0]) - spacing / 2)
    high = max(min(float(known.max()), float(steps[-1]) + 1.5 * spacing), float(steps[-1]) + spacing / 2)
    outside = int(((known < low) | (known > high)).sum())
    # Few cells in fine bins are a comb; about the square root of a level's cells shows its shape.
    width = spacing / float(np.clip(4.0 * np.sqrt(known.size / steps.size), 8.0, 24.0))
    bins = np.arange(low - width, high + 2 * width, width) / factor
    for middle in (steps[1:] + steps[:-1]) / 2.0:
        ax.axvline(middle / factor, color="#aab4bf", linewidth=0.8, linestyle=":")
    peaks: list[float] = []
    colours = colours_of(steps.size)
    for k in range(steps.size):
        here = got[(mine == k) & np.isfinite(got)] / factor
        colour = colours[k]
        counts, _ = np.histogram(here, bins)
        peaks.append(float(counts.max(initial=0)))
        ax.stairs(counts, bins, fill=True, color=colour, alpha=0.45)
        ax.stairs(counts, bins, color=colour, linewidth=1.0)
        ax.axvline(steps[k] / factor, color=INK, linewidth=0.9, linestyle="--")
    ax.plot([], [], color=INK, linewidth=0.9, linestyle="--", label="target")
    ax.plot([], [], color="#aab4bf", linewidth=0.9, linestyle=":", label="midpoint")
    beyond = f"; {outside:,} of {known.size:,} cells lie outside this axis" if outside else ""
    ax.set_xlabel(f"Conductance ({prefix}S){beyond}")
    ax.set_xlim(float(bins[0]), float(bins[-1]))
    ax.set_ylim(0.0, max(peaks) * 1.12 or 1.0)
    overall, offsets = level_offsets(target, achieved, steps, healthy)
    shown = [(step, offset) for step, offset in zip(steps, offsets, strict=True) if np.isfinite(offset)]
    for step, offset in shown if len(shown) <= MANY_LEVELS else []:
        ax.annotate(
            _signed(offset / factor), (step / factor, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 3),
            textcoords="offset points", ha="center", va="bottom", fontsize=8.5, color=FAINT,
        )  # fmt: skip
    means = "; above: mean of each" if len(shown) <= MANY_LEVELS else ""
    ax.plot([], [], " ", label=f"mean − target, all cells: {_signed(overall / factor)} {prefix}S{means}")
    ax.set_title(title, pad=22.0)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


@styled
def error_cdf(
    errors: Mapping[str, ArrayLike], *, spacing: float | None = None, title: str = "Programming error"
) -> Figure:
    """Draw the share of cells whose |error| exceeds x, on logarithmic axes, so that the tail shows.

    Parameters
    ----------
    errors : mapping of str to array_like [S]
        Name -> G_final - G_target of the healthy cells, e.g. "at the end" and "60 s later"; nan is left out.
    spacing : float [S], optional
        Level spacing; half of it is marked.
    """
    from matplotlib.ticker import FuncFormatter

    series = {name: np.sort(np.abs(_finite(values))) for name, values in errors.items()}
    series = {name: values for name, values in series.items() if values.size}
    figure, ax = new_figure(6.8, 4.4)
    ax.set(title=title, ylabel="Cells with a larger |error|")
    if not series:
        note(ax, "no healthy cell was read back")
        return figure
    every = np.concatenate(list(series.values()))
    scale = spacing / 2 if spacing else float(np.median(every))
    factor, prefix = si_prefix(scale)
    floor = max(float(np.percentile(every, 2)), scale * 1e-3)
    for k, (name, values) in enumerate(series.items()):
        share = 1.0 - np.arange(values.size) / values.size
        ax.step(
            values / factor, share, where="pre", color=PALETTE[k], linewidth=1.9, label=f"{name} (n = {values.size:,})"
        )
        if spacing:
            beyond = int((values > spacing / 2).sum())
            ax.plot([], [], " ", label=f"   {beyond:,} beyond half a level ({beyond / values.size:.2%})")
    ax.set(xscale="log", yscale="log", xlabel=f"|G − target| ({prefix}S)")
    smallest = 1.0 / max(values.size for values in series.values())
    ax.set_ylim(smallest * 0.6, 1.6)
    ax.set_xlim(floor / factor, max(float(every.max()), scale) * 1.6 / factor)
    if spacing:
        ax.axvline(spacing / 2 / factor, color=PALETTE[1] if len(series) < 2 else INK, linewidth=1.3, linestyle="--")
        ax.annotate(
            f"half a level, {spacing / 2 / factor:.3g} {prefix}S",
            (spacing / 2 / factor, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(4, -4),
            textcoords="offset points",
            rotation=90,
            va="top",
            fontsize=8.5,
            color=INK,
        )
    ax.yaxis.set_major_formatter(FuncFormatter(_per_cent))
    _plain_log_ticks(ax)
    ax.legend(loc="lower left")
    return figure


@styled
def pulses_histogram(
    pulses: ArrayLike, *, ispp: ArrayLike | None = None, title: str = "Pulses per cell", name: str = "read-verify"
) -> Figure:
    """Draw how many pulses the cells needed, with those of incremental-staircase programming when given.

    ``name`` is what the programming is called.
    """
    mine = _finite(pulses)
    other = _finite(ispp) if ispp is not None else np.empty(0)
    figure, ax = new_figure(6.8, 4.2)
    ax.set(title=title, xlabel="Pulses per cell, SET and RESET, initialisation included", ylabel="Share of cells (%)")
    every = np.concatenate((mine, other))
    if every.size == 0:
        note(ax, "no cell was pulsed")
        return figure
    top = float(np.percentile(every, 99.5))
    width = max(1, int(np.ceil((top + 1) / 50)))
    bins = np.arange(-0.5, top + 1.5 + width, width)
    sets = [(name, mine, PALETTE[0]), ("ISPP, best of scan", other, PALETTE[1])]
    for label, values, colour in sets:
        if not values.size:
            continue
        share = np.histogram(np.minimum(values, bins[-1] - 1e-9), bins)[0] / values.size * 100
        ax.stairs(share, bins, fill=True, color=colour, alpha=0.4)
        said = f"{label}: mean {values.mean():.1f}, median {np.median(values):.0f}"
        ax.stairs(share, bins, color=colour, linewidth=1.3, label=said)
        ax.axvline(float(values.mean()), color=colour, linestyle="--", linewidth=1.4)
    if float(every.max()) > bins[-1]:
        ax.set_xlabel(ax.get_xlabel() + " (last bin: all above)")
    ax.set_xlim(float(bins[0]), float(bins[-1]))
    ax.set_ylim(0.0, ax.get_ylim()[1] * 1.15)
    ax.legend(loc="upper right")
    return figure


def _signed(value: float) -> str:
    return f"{value:+.2g}".replace("-", "−")


def _per_cent(share: float, _position: int) -> str:
    return f"{share * 100:g} %"


def _plain_log_ticks(ax: Axes) -> None:
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    ax.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    ax.xaxis.set_minor_formatter(NullFormatter())


def _errors(target: ArrayLike, achieved: ArrayLike, healthy: ArrayLike | None) -> tuple[Floats, Floats]:
    """Return error and target [S] of the healthy cells that have a target."""
    wanted, got = np.asarray(target, dtype=np.float64), np.asarray(achieved, dtype=np.float64)
    if wanted.shape != got.shape:
        raise ValueError(f"targets have shape {wanted.shape}, achieved conductances {got.shape}: must be equal")
    use = np.isfinite(wanted)
    if healthy is not None:
        use = use & np.asarray(healthy, dtype=bool)
    return (got - wanted)[use], wanted[use]


def _finite(values: ArrayLike) -> Floats:
    x = np.asarray(values, dtype=np.float64).ravel()
    return x[np.isfinite(x)]
