"""Traces and spectra of sampled conductances."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ...plots.plots import FAINT, PALETTE, new_figure, styled
from ...quantities import format_value

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_MAX = 8
POINTS_MAX = 4000
SEGMENT = 16384


@styled
def traces(readings: Mapping[Any, Any], rate: float, *, title: str = "Conductance in time") -> Figure:
    """Draw ΔG/G of some cells against time, a panel each, with a histogram beside it.

    Of a long trace a band from the least to the most of neighbouring samples is drawn.
    """
    from matplotlib.figure import Figure as NewFigure

    names = list(readings)[:SHOWN_MAX]
    figure, first = new_figure(9.0, 1.25 * len(names) + 1.3)
    first.remove()
    assert isinstance(figure, NewFigure)
    grid = figure.add_gridspec(len(names), 2, width_ratios=(5, 1))
    for k, name in enumerate(names):
        g = np.asarray(readings[name], np.float64)
        change = 100.0 * (g / g.mean() - 1.0)
        ax, side = figure.add_subplot(grid[k, 0]), figure.add_subplot(grid[k, 1])
        colour = PALETTE[k % len(PALETTE)]
        step = max(1, len(g) // (POINTS_MAX // 2))
        whole = change[: len(g) // step * step].reshape(-1, step)
        time = np.arange(len(whole)) * step / rate
        if step > 1:
            ax.fill_between(time, whole.min(axis=1), whole.max(axis=1), color=colour, linewidth=0.3, edgecolor=colour)
        else:
            ax.plot(time, whole[:, 0], color=colour, linewidth=0.8)
        counts, edges = np.histogram(change, 60)
        side.stairs(counts, edges, orientation="horizontal", fill=True, color=colour, alpha=0.6)
        side.set_ylim(ax.get_ylim())
        side.set_xticks([])
        side.tick_params(labelleft=False)
        side.grid(visible=False)
        ax.margins(x=0.0)
        ax.set_ylabel("ΔG/G (%)", fontsize=9)
        ax.set_title(f"cell {name}, {format_value(float(g.mean()), 'S', 3)}", fontsize=9, pad=3)
        if k < len(names) - 1:
            ax.tick_params(labelbottom=False)
        else:
            ax.set_xlabel("Time (s)")
            side.set_xlabel("Samples", fontsize=9)
    more = f": {len(names)} of {len(readings)} cells" if len(readings) > len(names) else ""
    figure.suptitle(title + more, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


@styled
def spectra(readings: Mapping[Any, Any], rate: float, *, title: str = "Spectrum of the relative conductance") -> Figure:
    """Draw the power spectral density of ΔG/G (Welch, segments of at most 16384 samples), with a line of slope −1."""
    from scipy.signal import welch

    figure, ax = new_figure(7.4, 4.8)
    ends: list[tuple[float, float]] = []
    for k, (name, values) in enumerate(list(readings.items())[:SHOWN_MAX]):
        g = np.asarray(values, np.float64)
        f, power = welch(g / g.mean(), rate, nperseg=min(len(g), SEGMENT))
        good = (f > 0.0) & (power > 0.0)
        if not good.any():
            continue
        label = f"cell {name}, {format_value(float(g.mean()), 'S', 3)}"
        x, y = _in_octaves(f[good], power[good])
        ax.plot(x, y, color=PALETTE[k % len(PALETTE)], linewidth=1.4, label=label)
        ends.append((float(x[0]), float(y[0])))
    if ends:
        x0, y0 = ends[0][0], max(y for _, y in ends) * 3.0
        x = np.array([x0, rate / 2.0])
        ax.plot(x, y0 * x0 / x, color=FAINT, linestyle="--", linewidth=1.1, label="1/f, to compare")
    ax.set(title=title, xlabel="Frequency (Hz)", ylabel="Power (1/Hz)", xscale="log", yscale="log")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _in_octaves(f: Any, power: Any) -> tuple[Any, Any]:
    """Return means in bins of a twelfth of a decade: single frequencies are noisy, and there are thousands."""
    place = np.floor(12.0 * np.log10(f / f[0])).astype(int)
    count = np.bincount(place)
    used = count > 0
    x = np.exp(np.bincount(place, np.log(f))[used] / count[used])
    return x, np.bincount(place, power)[used] / count[used]
