"""Figures of programming, level by level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ...plots.plots import INK, PALETTE, colours_of, new_figure, si_prefix, styled
from .distributions import normal_cdfs

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ...estimates.estimates import Estimate


@styled
def pulses_by_level(pulses: Mapping[str, ArrayLike], *, title: str = "Pulses to reach each level") -> Figure:
    """Draw the share of cells that need more than n pulses, on logarithmic axes: the tail is what costs."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter, StrMethodFormatter

    figure, ax = new_figure(7.4, 4.6)
    ax.set(title=title, xlabel="Pulses, SET and RESET", ylabel="Cells that need more")
    most, least = 2.0, 1.0
    colours = colours_of(len(pulses))
    for k, (name, values) in enumerate(pulses.items()):
        x = np.sort(np.asarray(values, dtype=np.float64))
        steps, counts = np.unique(x, return_counts=True)
        share = 1.0 - np.cumsum(counts) / x.size
        at = np.append(min(0.8, steps[0]), steps)
        ax.step(
            at, np.append(1.0, share), where="post", color=colours[k], linewidth=1.7,
            label=f"{name}: mean {x.mean():.1f}",
        )  # fmt: skip
        most, least = max(most, float(x.max())), min(least, 1.0 / x.size)
    ax.set(xscale="log", yscale="log", xlim=(0.8, most * 1.3), ylim=(least * 0.7, 1.5))
    ax.xaxis.set_major_locator(LogLocator(subs=(1.0,)) if most > 100.0 else LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    ax.xaxis.set_minor_formatter(NullFormatter())
    ax.yaxis.set_major_formatter(FuncFormatter(_per_cent))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def success_by_level(success: Mapping[str, Estimate], *, title: str = "Failures by level") -> Figure:
    """Draw the share of cells that failed, level by level, with intervals; on a logarithmic axis."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    figure, ax = new_figure(max(1.3 * len(success) + 1.8, 5.0), 4.2)
    place = np.arange(len(success))
    failed = np.array([1.0 - one.value for one in success.values()])
    low = np.array([1.0 - one.high for one in success.values()])
    high = np.array([1.0 - one.low for one in success.values()])
    floor = 10.0 ** np.floor(np.log10(max(float(high.min()) * 0.3, 1e-9)))
    for k in place:
        ax.plot([k, k], [max(low[k], floor), high[k]], color=PALETTE[0], linewidth=2.0)
        if failed[k] > floor:
            ax.plot(k, failed[k], "o", color=PALETTE[0], markersize=7)
            text = f"{failed[k]:.2%}"
        else:
            ax.plot(k, high[k], "v", color=PALETTE[0], markersize=7)
            text = f"none,\nbelow {high[k]:.2%}"
        ax.annotate(text, (k, high[k]), xytext=(8, 2), textcoords="offset points", fontsize=9, color=INK)
    ax.set(title=title, ylabel="Cells that failed", yscale="log")
    ax.set_ylim(floor, max(float(high.max()) * 3.0, 10.0 * floor))
    ax.set_xlim(-0.5, len(success) - 0.1)
    ax.set_xticks(place, list(success))
    ax.yaxis.set_major_formatter(FuncFormatter(_per_cent))
    ax.yaxis.set_minor_formatter(NullFormatter())
    return figure


@styled
def level_cdfs(
    levels: Mapping[str, ArrayLike],
    windows: Mapping[str, tuple[float, float]],
    *,
    title: str = "Where the levels ended",
) -> Figure:
    """Draw the distribution of every level on a normal probability axis over the windows they were aimed at.

    Parameters
    ----------
    levels : mapping of str to array_like [S]
    windows : mapping of str to (low, high) [S]
        Of the same names; an open end may be 0 or inf.
    """
    figure, ax = new_figure(8.2, 4.8)
    every = np.concatenate([np.asarray(values, dtype=np.float64).ravel() for values in levels.values()])
    every = every[np.isfinite(every)]
    edges = [edge for pair in windows.values() for edge in pair if np.isfinite(edge)]
    top = max([float(np.percentile(every, 99.99)), *edges]) * 1.03 if every.size else 1.0
    factor, prefix = si_prefix(top)
    colours = colours_of(len(levels))
    for k, (low, high) in enumerate(windows.values()):
        ends = max(low, 0.0) / factor, min(high, top) / factor
        ax.axvspan(*ends, color=colours[k], alpha=0.14, linewidth=0)
    normal_cdfs(ax, levels, unit=factor)
    ax.set(title=title, xlabel=f"Conductance ({prefix}S); shaded: the windows", xlim=(0.0, top / factor))
    figure.legend(loc="outside lower center", ncols=2)
    return figure


def _per_cent(share: float, _position: int) -> str:
    return f"{share * 100:g} %"
