"""Figures of multilevel programming: where levels end, how many are separable, and of what the error is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..estimates.estimates import Floats
from ..plots.plots import FAINT, INK, PALETTE, colours_of, new_figure, note, si_prefix, styled
from .multilevel import LIMIT, LevelReads

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NOTHING = "no healthy cell was programmed"


@styled
def level_cdfs(reads: LevelReads, *, title: str = "Conductance reached per level") -> Figure:
    """Draw cumulative distributions of the judged reads, a curve per level: cycle to cycle and device to device.

    Left: every cycle, shifted by the difference of its cell's mean to the median cell's (c2c). Right: the cells' means
    over their cycles (d2d). All programmings are in it, those that were given up as well; the axis ends a spacing
    beyond the outermost levels, and says what lies beyond.
    """
    figure, axes = new_figure(11.6, 4.6, 2)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    cells, cycles, many = reads.final.shape
    colours = colours_of(many)
    factor, prefix = si_prefix(float(reads.levels[-1]))
    names = f"c2c: {cycles} cycles about each cell's mean", f"d2d: means of {cells} cells"
    half = float(np.diff(reads.levels).min()) / 2.0
    ends = (float(reads.levels[0]) - 2.0 * half) / factor, (float(reads.levels[-1]) + 2.0 * half) / factor
    for ax, name in zip(axes, names, strict=True):
        ax.set(title=name, ylabel="Cumulative share (%)", ylim=(0, 100), xlim=ends)
        if not np.isfinite(reads.final).any():
            note(ax, NOTHING)
            continue
        for middle in (reads.levels[1:] + reads.levels[:-1]) / 2.0:
            ax.axvline(middle / factor, color="#aab4bf", linewidth=0.8, linestyle=":")
        outside = shown = 0
        for k in range(many):
            means = np.nanmean(reads.final[..., k], axis=1, keepdims=True)
            values = means if ax is axes[1] else reads.final[..., k] - means + np.nanmedian(means)
            x = np.sort(values[np.isfinite(values)]) / factor
            outside, shown = outside + int(((x < ends[0]) | (x > ends[1])).sum()), shown + x.size
            ax.axvline(reads.levels[k] / factor, color=FAINT, linewidth=0.6, linestyle="--")
            share = 100.0 * np.arange(x.size + 1) / max(x.size, 1)
            ax.step(np.append(x[:1], x), share[-x.size - 1 :], where="post", color=colours[k], linewidth=1.6)
        beyond = f"; {outside:,} of {shown:,} beyond this axis" if outside else ""
        ax.set_xlabel(f"Conductance ({prefix}S){beyond}")
        ax.grid(visible=False, axis="x")
    axes[0].plot([], [], color=FAINT, linewidth=0.9, linestyle="--", label="level")
    axes[0].plot([], [], color="#aab4bf", linewidth=0.9, linestyle=":", label="midpoint between levels")
    figure.legend(loc="outside lower center", ncols=2)
    return figure


@styled
def separability_figure(reads: LevelReads, *, title: str = "How many levels") -> Figure:
    """Draw misreads of the median cell against the number of levels, and the error of each level in its parts."""
    figure, axes = new_figure(11.6, 4.4, 2)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    misreads, errors = axes
    misreads.set(title="misreads", xlabel="Number of levels", ylabel="Misread reads of a cell (%)")
    errors.set(title="error of accepted programmings")
    if not np.isfinite(reads.final).any():
        for ax in axes:
            note(ax, NOTHING)
        return figure
    _misreads(misreads, reads)
    _errors(errors, reads)
    return figure


def _misreads(ax: Axes, reads: LevelReads) -> None:
    from matplotlib.ticker import MaxNLocator

    counts = np.asarray(reads.counts)
    every = 100.0 * np.array([reads.of_cells[count] for count in reads.counts])
    low, middle, high = np.percentile(every, (25, 50, 75), axis=1)
    ax.fill_between(counts, low, high, color=PALETTE[0], alpha=0.2, linewidth=0, label="middle 50 % of the cells")
    ax.plot(counts, middle, color=PALETTE[0], marker="o", markersize=4, linewidth=1.8, label="median cell")
    ax.plot(counts, every.mean(axis=1), color=FAINT, marker="s", markersize=3, linewidth=1.0, label="mean of all cells")
    ax.axhline(100.0 * LIMIT, color=INK, linewidth=1.0, linestyle="--", label=f"{100.0 * LIMIT:g} %")
    found = int(reads.separable.value)
    ax.axvline(found, color=PALETTE[1], linewidth=1.2, linestyle=":", label=f"separable: {found}")
    ax.set_yscale("symlog", linthresh=1.0, linscale=1.0)
    ax.set_yticks([0, 0.5, 1, 10, 100], ["0", "0.5", "1", "10", "100"])
    ax.set_ylim(-0.05, 110.0)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.legend(loc="upper left", ncols=2)


def _errors(ax: Axes, reads: LevelReads) -> None:
    budgets = [reads.budget(k) for k in range(reads.programmed)]
    half = float(np.diff(reads.levels).min()) / 2.0
    factor, prefix = si_prefix(half)
    g_factor, g_prefix = si_prefix(float(reads.levels[-1]))
    at = reads.levels / g_factor

    def values(name: str) -> Floats:
        return np.array([budget[name].value for budget in budgets]) / factor

    ax.axhline(half / factor, color=INK, linewidth=1.0, linestyle="--", label="half a spacing")
    for name, colour in zip(("total", "programming", "settling", "noise"), (INK, *PALETTE), strict=False):
        ax.plot(at, values(name), color=colour, linewidth=1.7, marker="o", markersize=4, label=name)
    ax.set(xlabel=f"Level ({g_prefix}S)", ylabel=f"RMS error ({prefix}S)")
    ax.set_ylim(0.0, 1.45 * half / factor)
    ax.legend(loc="upper left", ncols=3)
