"""How many SET/RESET cycles cells bear: windows against cycles, first failures, lifetimes of which some are unknown."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import UNKNOWN, Estimate, Floats, fraction_estimate, median_estimate
from ..estimates.lifetimes import WeibullLife, weibull_life
from ..plots.plots import FAINT, INK, PALETTE, log_ticks, new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

WINDOW = 2.0
"""A cell whose R_off/R_on is below this for three cycles in a row has failed."""
IN_A_ROW = 3


@dataclass(frozen=True, kw_only=True)
class EnduranceReads:
    """What was read of cells that were cycled.

    Parameters
    ----------
    cycles : ndarray [reads]
        Which cycle was read, rising, from 1.
    off, on : ndarray [reads, cells] [S]
        After the RESET and after the SET of that cycle; nan where a cell was not cycled any more.
    good_at : ndarray [cells]
        Last cycle read at which a cell had its window, 0 where there was none.
    failed_at : ndarray [cells]
        First of the cycles in a row at which it had none; nan where it did not fail.
    """

    cycles: NDArray[np.int64]
    off: Floats
    on: Floats
    good_at: Floats
    failed_at: Floats

    @property
    def window(self) -> Floats:
        """R_off/R_on [reads, cells]; infinite where the cell was off below what can be read."""
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.off > 0.0, self.on / self.off, np.where(np.isnan(self.off), np.nan, np.inf))

    @property
    def last_window(self) -> Floats:
        """Window of every cell when it was read last [cells]."""
        window = carried(self.window)
        return window[-1] if window.size else np.full(window.shape[1], np.nan)

    @property
    def failed(self) -> NDArray[np.bool_]:
        """Which cells failed."""
        return np.isfinite(self.failed_at)

    @cached_property
    def life(self) -> WeibullLife:
        """A Weibull law of the cycles to failure: each between two looks, or beyond the last."""
        return weibull_life(self.good_at, self.failed_at)


def carried(values: Floats) -> Floats:
    """Return values [reads, cells] in which a cell that is not read any more keeps what it read last."""
    kept = values.copy()
    for before, now in pairwise(kept):
        now[np.isnan(now)] = before[np.isnan(now)]
    return kept


def lost_window(off: Floats, on: Floats) -> NDArray[np.bool_]:
    """Return where R_off/R_on of a reading is below :data:`WINDOW`."""
    return on < WINDOW * np.maximum(off, 0.0)


def endurance_metrics(reads: EnduranceReads) -> dict[str, Estimate]:
    """Return the estimates of `docs/quantities.md` under Endurance that have an interval."""
    n = int(reads.failed_at.size)
    life = reads.life
    return {
        "endurance_failed_fraction": fraction_estimate(int(reads.failed.sum()), n) if n else UNKNOWN,
        "endurance_window_first": median_estimate(reads.window[0]) if reads.cycles.size else UNKNOWN,
        "endurance_window_last": median_estimate(reads.last_window),
        "endurance_weibull_shape": life.shape,
        "endurance_weibull_scale": life.scale,
    }


def first_failure(reads: EnduranceReads) -> float:
    """Return the first cycle at which any cell failed, nan when none did."""
    return float(np.nanmin(reads.failed_at)) if reads.failed.any() else math.nan


def endurance_table(reads: EnduranceReads) -> DataFrame:
    """Return a row per cell: first and last window, last cycle with a window, cycle of its failure."""
    from pandas import DataFrame

    first = reads.window[0] if reads.cycles.size else np.full(reads.failed_at.size, np.nan)
    return DataFrame(
        {
            "window_first": first,
            "window_last": reads.last_window,
            "good_at_cycle": reads.good_at,
            "failed_at_cycle": reads.failed_at,
        }
    )


@styled
def endurance_figure(reads: EnduranceReads, *, title: str = "Endurance") -> Figure:
    """Draw on and off conductance and the window against cycles, and failures on Weibull axes."""
    figure, axes = new_figure(12.6, 4.6, 3)
    states, window, weibull = axes
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    if not np.isfinite(reads.on).any():
        for ax in axes:
            note(ax, "no cell was read that switches")
        return figure
    factor, prefix = si_prefix(float(np.nanmax(reads.on)))
    states.set(title="both states", xlabel="Cycle", ylabel=f"Conductance ({prefix}S)", xscale="log")
    least = 1e-4 * float(np.nanmax(reads.on)) / factor
    seen = carried(reads.window)
    finite = np.where(np.isfinite(seen), np.maximum(seen, 1e-2), np.nan)
    both = np.concatenate([reads.on, reads.off]) / factor
    for ax, values in ((states, np.maximum(both, least)), (window, np.append(finite, WINDOW))):
        ax.set_yscale("log")
        ax.set_ylim(0.7 * float(np.nanmin(values)), 1.5 * float(np.nanmax(values)))
    for values, colour, name in ((reads.on, PALETTE[0], "after SET"), (reads.off, PALETTE[1], "after RESET")):
        _band(states, reads.cycles, np.maximum(carried(values) / factor, least), colour, name)
    window.set(title="window", xlabel="Cycle", ylabel="R_off / R_on", xscale="log")
    _band(window, reads.cycles, finite, PALETTE[2], "cells")
    window.axhline(WINDOW, color=INK, linewidth=1.0, linestyle=":", label=f"failed below {WINDOW:g}")
    for k, at in enumerate(np.unique(reads.failed_at[reads.failed])):
        window.axvline(at, color=FAINT, linewidth=0.6, alpha=0.35, label="cells failed here" if k == 0 else None)
    draw_lifetimes(weibull, reads.failed_at, float(reads.cycles[-1]), reads.life)
    for ax in (states, window):
        ax.set_xlim(0.9, max(1.2 * float(reads.cycles[-1]), 2.0))
        log_ticks(ax.yaxis)
        ax.legend(loc="best")
    return figure


def _band(ax: Axes, cycles: NDArray[np.int64], values: Floats, colour: str, name: str) -> None:
    seen = np.isfinite(values).any(axis=1)
    cycles, values = cycles[seen], values[seen]
    if not values.size:
        return
    cells = values.shape[1]
    if cells <= 16:
        ax.plot(cycles, values, color=colour, linewidth=0.6, alpha=0.35)
    elif cells > 1:
        low, high = np.nanquantile(values, [0.05, 0.95], axis=1)
        ax.fill_between(cycles, low, high, color=colour, alpha=0.18, linewidth=0, label=f"{name}, 5 to 95 % of cells")
    ax.plot(cycles, np.nanmedian(values, axis=1), color=colour, linewidth=2.0, label=f"{name}, median")


@styled
def lifetimes_figure(failed_at: Floats, last: float, life: WeibullLife, *, title: str = "Lifetimes") -> Figure:
    """Return the picture of ``draw_lifetimes``."""
    figure, ax = new_figure(6.4, 4.4)
    draw_lifetimes(ax, failed_at, last, life)
    ax.set_title(title)
    return figure


def draw_lifetimes(ax: Axes, failed_at: Floats, last: float, life: WeibullLife) -> None:
    """Draw failures and their law on Weibull axes.

    Parameters
    ----------
    failed_at : array [cells]
        Cycle at which a cell was found failed; nan where none was.
    last : float
        Last cycle read.
    """
    ax.set(title="lifetimes", xlabel="Cycles to failure", ylabel="ln(−ln(1 − F))", xscale="log")
    n, failed = failed_at.size, np.sort(failed_at[np.isfinite(failed_at)])
    if not failed.size:
        upper = fraction_estimate(0, n).high if n else math.nan
        note(ax, f"none of {n} cells failed:\nat most {upper:.1%} do by cycle {last:,.0f} (95 %)")
        return
    # Benard's median ranks; cells that did not fail are those that last longest.
    share = (np.arange(1, failed.size + 1) - 0.3) / (n + 0.4)
    ax.plot(failed, np.log(-np.log1p(-share)), "o", color=PALETTE[0], label=f"{failed.size} of {n} cells failed")
    if math.isfinite(life.scale.value):
        x = np.geomspace(0.3 * failed[0], 3.0 * max(float(failed[-1]), last), 60)
        fit = f"Weibull: shape {life.shape.value:.3g}, scale {life.scale.value:,.3g}"
        y = life.shape.value * (np.log(x) - math.log(life.scale.value))
        ax.plot(x, y, color=PALETTE[1], linewidth=1.6, label=fit)
        ax.set_ylim(min(-3.0, float(np.log(-np.log1p(-share[0]))) - 0.5), 1.5)
    else:
        # One point would stand on an axis without a scale.
        ax.set_xlim(0.1 * failed[0], 3.0 * max(float(failed[-1]), last))
        ax.set_ylim(-5.5, 1.5)
        note(ax, "a law of lifetimes takes three failures,\nseen at more than one look")
    ax.legend(loc="upper left")
