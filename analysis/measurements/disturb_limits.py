"""What cells bear of pulses that are not meant to write them: shift per decade of pulses, largest safe voltage.

Reads of a cell fluctuate by more than the hundredth that counts as a disturbance. So the voltage at which cells move by
1 % is taken where the *median* of all cells does, which noise leaves alone; how far single cells lie from it is taken
where single moves stand out of what the same cells do when they are left alone for as long.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..estimates.boundary import switching_boundary
from ..estimates.estimates import Estimate, Floats, median_estimate, t_quantile
from ..plots.plots import FAINT, INK, PALETTE, new_figure, note, styled
from .disturb import STATES, percent_ticks

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

POLARITIES = ("SET", "RESET")
SHARE = 0.99
CLEAR = 2.0  # a cell stands out beyond so many times what one in a hundred does that is left alone
SURE = 3.0  # a median has moved beyond so many of its standard errors
MOST = 0.8  # single cells are looked at up to the amplitude at which so many stand out
ALIKE = 0.001  # chance below which more cells stand out than of those left alone
LEAST = 0.1  # medians below this part of the level are as good as none


@dataclass(frozen=True)
class StressGrid:
    """Relative change of cells under trains of pulses of several amplitudes.

    Parameters
    ----------
    pulses : ndarray [points]
        Pulses given before each reading, rising.
    volts : ndarray [amplitudes] [V]
        Magnitudes, rising.
    change : ndarray [2, 2, amplitudes, points, cells]
        ΔG/G from before the train, for cells in the LRS and HRS, under pulses of SET and RESET polarity; nan where a
        cell was not in that state.
    idle : ndarray [2, points, cells]
        The same of cells that were left alone for as long.
    level : float
        Relative change that counts as a disturbance.
    """

    pulses: NDArray[np.int64]
    volts: Floats
    change: Floats
    idle: Floats
    level: float = 0.01


@dataclass(frozen=True)
class SafeVolts:
    """The largest amplitude that 99 % of the cells bear.

    Parameters
    ----------
    volts : Estimate [V]
        Without an interval where nothing moved: then it is the largest amplitude tried.
    bound : bool
        Nothing moved up to the largest amplitude.
    which : str
        State and polarity that set it.
    reason : str
        Why there is none; "" where there is.
    """

    volts: Estimate
    bound: bool
    which: str
    reason: str = ""


def safe_volts(grid: StressGrid) -> SafeVolts:
    """Return the largest amplitude at which 99 % of the cells move less than the level in the whole train.

    The least of both states and polarities. Of each: the amplitude at which the median cell moves by the level
    (interpolated in the logarithm of the change), less 2.33 standard deviations of where single cells begin to stand
    out from cells left alone (a probit fit). Cells are taken as normal about their median, also for the interval.
    None is given where that interval reaches 0 V.
    """
    limits = [
        (
            _limit(grid.volts, grid.change[s, p, :, -1], grid.idle[s, -1], grid.level),
            f"{state} cells, {polarity} pulses",
        )
        for s, state in enumerate(STATES)
        for p, polarity in enumerate(POLARITIES)
        if np.isfinite(grid.change[s, p, :, -1]).any()
    ]
    if not limits:
        return SafeVolts(_unknown(), False, "", "no cell was in either state")
    told = [one for one in limits if not math.isnan(one[0].value)]
    least = min((one.value for one, _ in told), default=math.inf)
    # Where single cells cannot be told from cells at rest but the median holds beyond the least, that one decides.
    untold = next((w for one, w in limits if math.isnan(one.value) and not (least < math.inf and one.low >= least)), "")
    if untold:
        first = f"{grid.volts[0]:g} V the median moved by {grid.level:.0%}"
        why = f"{untold}: already at {first}, or no single cell stood out"
        return SafeVolts(_unknown(), False, untold, f"{why}; choose other amplitudes")
    least, which = min(told, key=lambda one: one[0].value)
    if math.isinf(least.value):
        top = Estimate(float(grid.volts[-1]), math.nan, math.nan, least.n)
        return SafeVolts(top, True, "")
    if least.low <= 0.0:
        most = f"at most {least.high:.2g} V, and 0 V is in the interval"
        why = f"{which}: 99 % of the cells bear {most}; one in a hundred moves at any"
        return SafeVolts(_unknown(), False, which, why)
    return SafeVolts(least, False, which)


def _unknown() -> Estimate:
    return Estimate(math.nan, math.nan, math.nan, 0)


def _limit(volts: Floats, change: Floats, idle: Floats, level: float) -> Estimate:
    """Return the safe amplitude [V] of one state and polarity: inf where nothing moved, nan where it cannot be told.

    Of one that cannot be told ``low`` is the largest amplitude up to which the median held.
    """
    from scipy.special import ndtri

    # Logarithms: a fall to a tenth is as large as a rise to ten times, and one hundredth is the same in both.
    change, left_alone = _logs(change[:, np.isfinite(change).any(axis=0)]), _logs(idle[np.isfinite(idle)])
    drift = float(np.median(left_alone)) if left_alone.size else 0.0
    size = np.abs(change - drift)
    n = int(size.shape[1])
    median = np.abs(np.nanmedian(change - drift, axis=1))
    alone = np.abs(left_alone - drift)
    clear = max(level, CLEAR * float(np.quantile(alone, SHARE, method="higher"))) if alone.size else level
    stands = np.nan_to_num(size) >= clear
    stands = _from_here_on(stands)
    share = stands.sum(axis=1) / max(n, 1)
    # What matters is how early the first cells move, not the last ones, some of which are stuck and never will.
    early = slice(0, min(max(int(np.searchsorted(share, MOST)) + 1, 2), volts.size))
    fit = switching_boundary(volts[early], np.ones_like(volts[early]), share[None, early], reference=1.0)
    noise = float(np.quantile(alone, 0.68)) if alone.size else 0.0
    # Standard error of a median less that of the cells at rest; what the cells do under pulses may scatter more.
    scatter = np.nanquantile(np.abs(change - np.nanmedian(change, axis=1, keepdims=True)), 0.68, axis=1)
    unsure = math.sqrt(math.pi / 2.0 / n) * math.hypot(noise, max(noise, float(scatter.min(initial=np.inf))))
    over = np.flatnonzero(_from_here_on(median >= max(level, SURE * unsure)))
    if not over.size and (fit.reason or not _more_than_alone(stands[-1], alone >= clear)):
        return Estimate(math.inf, math.nan, math.nan, n)
    if fit.reason or (over.size and over[0] == 0):
        holds = float(volts[over[0] - 1]) if over.size and over[0] > 0 else math.nan
        return Estimate(math.nan, holds, math.nan, n)
    middle, slope = fit.volts.value, 0.0
    if over.size:
        k = int(over[0])
        # Below the noise of the median nothing is known: taken as large as that it gives a lower, safer voltage.
        low, high = max(float(median[k - 1]), LEAST * level, unsure), float(median[k])
        low = min(low, 0.9 * high)
        slope = float(volts[k] - volts[k - 1]) / math.log(high / low)
        middle = float(volts[k - 1]) + slope * math.log(level / low)
    z, step = float(ndtri(SHARE)), float(np.diff(volts).min())
    # The noise of a reading smears where a cell stands out; that share is none of the cells'.
    spread = math.sqrt(max(fit.spread**2 - (slope * noise / clear) ** 2, 0.0))
    variance = (spread**2 + step**2 / 12.0) * (math.pi / 2.0 + z**2 / 2.0) / n
    variance += (slope * unsure / max(level, unsure)) ** 2
    half = t_quantile(max(n - 1, 1)) * math.sqrt(variance)
    value = max(middle - z * spread, 0.0)
    return Estimate(value, max(value - half, 0.0), value + half, n)


def _from_here_on(moved: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where all larger amplitudes moved too: a single jump of the reading is not taken for a move."""
    return np.flip(np.minimum.accumulate(np.flip(moved, axis=0), axis=0), axis=0)


def _logs(change: Floats) -> Floats:
    return np.log1p(np.maximum(change, -1.0 + 1e-6))


def _more_than_alone(stands: NDArray[np.bool_], alone: NDArray[np.bool_]) -> bool:
    """Return whether more cells stand out under the largest pulses than when left alone (Fisher's exact test)."""
    from scipy.stats import fisher_exact

    table = [[int(stands.sum()), int((~stands).sum())], [int(alone.sum()), int((~alone).sum())]]
    found: Any = fisher_exact(table, alternative="greater")
    return float(found.pvalue) < ALIKE


def per_decade(pulses: NDArray[np.int64], change: Floats) -> Floats:
    """Return each cell's slope of ΔG/G against log10 of the pulses [cells]; nan where a cell has fewer than 2 readings.

    Parameters
    ----------
    change : ndarray [points, cells]
    """
    x = np.log10(pulses.astype(np.float64))[:, None]
    known = np.isfinite(change)
    count = np.maximum(known.sum(axis=0), 1)
    y = np.where(known, change, 0.0)
    at = np.where(known, x, 0.0)
    mean_x, mean_y = at.sum(axis=0) / count, y.sum(axis=0) / count
    dx = np.where(known, x - mean_x, 0.0)
    squares = (dx**2).sum(axis=0)
    slope = (dx * (y - mean_y)).sum(axis=0) / np.where(squares > 0.0, squares, np.nan)
    return np.asarray(slope)


def slopes(grid: StressGrid, amplitude: int) -> dict[tuple[str, str], Estimate]:
    """Return the median over cells of ΔG/G per decade of pulses at one amplitude, by state and polarity.

    Less what the same cells do when they are left alone for as long, which is relaxation and no disturbance.
    """
    return {
        (state, polarity): _slope(grid, s, p, amplitude)
        for s, state in enumerate(STATES)
        for p, polarity in enumerate(POLARITIES)
    }


def _slope(grid: StressGrid, state: int, polarity: int, amplitude: int) -> Estimate:
    moved = per_decade(grid.pulses, grid.change[state, polarity, amplitude])
    return median_estimate(moved - per_decade(grid.pulses, grid.idle[state]))


def worst_slope(grid: StressGrid, amplitude: int) -> Estimate:
    """Return the one of :func:`slopes` that is largest in magnitude."""
    known = [one for one in slopes(grid, amplitude).values() if math.isfinite(one.value)]
    return max(known, key=lambda one: abs(one.value), default=_unknown())


def stress_table(grid: StressGrid) -> DataFrame:
    """Return a row per state, polarity and amplitude: cells, median change at the end, ΔG/G per decade, share moved."""
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for s, state in enumerate(STATES):
        for p in range(len(POLARITIES)):
            for k, volts in enumerate(grid.volts):
                last = grid.change[s, p, k, -1]
                last = last[np.isfinite(last)]
                slope = _slope(grid, s, p, k)
                rows.append(
                    {
                        "cells in the": state,
                        "pulses [V]": volts if p == 0 else -volts,
                        "cells": int(last.size),
                        "median change": float(np.median(last)) if last.size else math.nan,
                        "per decade, cells at rest taken off": slope.value,
                        "95 % low": slope.low,
                        "95 % high": slope.high,
                        f"moved by {grid.level:.0%}": float((np.abs(last) >= grid.level).mean())
                        if last.size
                        else math.nan,
                    }
                )
    return DataFrame(rows)


@styled
def stress_figure(grid: StressGrid, safe: SafeVolts, *, title: str) -> Figure:
    """Draw the change at the end of the train against the amplitude, LRS and HRS side by side, and the safe voltage."""
    figure, axes = new_figure(10.4, 4.8, 2)
    size = np.abs(grid.change[..., -1, :])
    known = size[np.isfinite(size)]
    top = max(float(known.max(initial=0.0)), 2.0 * grid.level) * 200.0
    for s, ax in enumerate(axes):
        ax.set(title=f"cells in the {STATES[s]}", xlabel="Amplitude (V, + SET, − RESET)")
        ax.set_yscale("symlog", linthresh=100.0 * grid.level, linscale=0.7)
        ax.set_ylim(-top, top)
        percent_ticks(ax, top)
        ax.axhspan(-100.0 * grid.level, 100.0 * grid.level, color=FAINT, alpha=0.12, linewidth=0)
        if not np.isfinite(grid.change[s]).any():
            note(ax, f"no cell was in the {STATES[s]}")
            continue
        _idle(ax, grid.idle[s, -1])
        for p, sign in enumerate((1.0, -1.0)):
            _series(ax, sign * grid.volts, 100.0 * grid.change[s, p, :, -1], PALETTE[p], POLARITIES[p])
        if math.isfinite(safe.volts.value):
            label = f"safe{' at least' if safe.bound else ''}: ±{safe.volts.value:.3g} V"
            for sign in (1.0, -1.0):
                ax.axvline(sign * safe.volts.value, color=INK, linewidth=1.2, linestyle="--", label=label)
                label = None
    axes[0].set_ylabel("Change of conductance (%)")
    handles = {text: line for ax in axes for line, text in zip(*ax.get_legend_handles_labels(), strict=True)}
    if handles:
        figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=2)
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _series(ax: Axes, volts: Floats, change: Floats, colour: str, name: str) -> None:
    known = np.isfinite(change).any(axis=1)
    low, middle, high = np.nanpercentile(change[known], (1, 50, 99), axis=1)
    label = f"{name} pulses: median of the cells, bars 1 to 99 %"
    ax.errorbar(
        volts[known], middle, yerr=(middle - low, high - middle), color=colour, marker="o", markersize=4, capsize=2,
        linewidth=1.6, elinewidth=0.9, label=label,
    )  # fmt: skip


def _idle(ax: Axes, idle: Floats) -> None:
    known = 100.0 * idle[np.isfinite(idle)]
    if known.size:
        low, middle, high = np.percentile(known, (1, 50, 99))
        ax.errorbar(
            [0.0], [middle], yerr=([middle - low], [high - middle]), color=FAINT, marker="s", markersize=4, capsize=2,
            linestyle="none", elinewidth=0.9, label="left alone for as long",
        )  # fmt: skip
