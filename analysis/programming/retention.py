"""How long programmed conductances last: drift exponent, spread of the change against time, extrapolation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...common.text import duration
from ..estimates.drift import drift_exponents
from ..estimates.estimates import (
    UNKNOWN,
    Estimate,
    Floats,
    fraction_estimate,
    middle_estimate,
    std_estimate,
)
from ..plots.plots import FAINT, colours_of, new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

YEAR = 365.25 * 86400.0
MANY_LEVELS = 8  # more have no room in a legend


@dataclass(frozen=True, kw_only=True)
class RetentionReads:
    """Reads of cells while they rest.

    Parameters
    ----------
    seconds : ndarray [reads, cells] [s]
        Since the last write of each cell.
    conductance : ndarray [reads, cells] [S]
    level : ndarray [cells]
        Which level a cell stands for; −1 for none: such cells are in no statistic.
    levels : ndarray [levels] [S]
        Nominal conductances, rising.
    low, high : ndarray [cells] [S]
        Between which conductances a cell is read as its level.
    """

    seconds: Floats
    conductance: Floats
    level: NDArray[np.int64]
    levels: Floats
    low: Floats
    high: Floats

    @property
    def known(self) -> NDArray[np.bool_]:
        """Which cells count: those with a level and a first read above 0 S."""
        first = self.conductance[0]
        return (self.level >= 0) & np.isfinite(first) & (first > 0.0)

    @cached_property
    def exponents(self) -> list[Estimate]:
        """Drift exponent of every cell."""
        return drift_exponents(self.seconds, self._counting)

    @cached_property
    def nu(self) -> Floats:
        """Drift exponent of every cell, nan where there is none."""
        return np.array([one.value for one in drift_exponents(self.seconds, self._counting, intervals=False)])

    @property
    def _counting(self) -> Floats:
        return np.where(self.known, self.conductance, np.nan)

    def cells_of(self, level: int) -> NDArray[np.bool_]:
        """Return which cells of a level count."""
        return self.known & (self.level == level)

    def ratio_at(self, seconds: float) -> Floats:
        """Return G(``seconds``)/G(first read) of every cell as its own drift goes on, [cells]."""
        return np.exp(-self.nu * np.log(seconds / self.seconds[0]))

    def sigma_of_change(self, level: int) -> list[Estimate]:
        """Return the standard deviation over cells of ΔG since the first read [S], at every read."""
        mine = self.cells_of(level)
        change = self.conductance[:, mine] - self.conductance[0, mine]
        return [std_estimate(one) for one in change]


def retention_metrics(reads: RetentionReads, extrapolate_to: float) -> dict[str, Estimate]:
    """Return `retention_drift_nu`, `retention_sigma` [S], `retention_extrapolated_change` and `retained_fraction`.

    Parameters
    ----------
    extrapolate_to : float [s]
        Age at which the change is predicted.
    """
    known = reads.known
    ratio = middle_estimate(reads.ratio_at(extrapolate_to)[known])
    last = reads.conductance[-1, known]
    kept = int(((last >= reads.low[known]) & (last <= reads.high[known])).sum())
    return {
        "retention_drift_nu": middle_estimate(reads.nu[known]),
        "retention_sigma": pooled_sigma(reads),
        "retention_extrapolated_change": Estimate(ratio.value - 1.0, ratio.low - 1.0, ratio.high - 1.0, ratio.n),
        "retained_fraction": fraction_estimate(kept, int(known.sum())),
    }


def pooled_sigma(reads: RetentionReads) -> Estimate:
    """Return the standard deviation of ΔG from the first to the last read [S], each level about its own mean."""
    rest: list[Floats] = []
    for level in range(reads.levels.size):
        mine = reads.cells_of(level)
        count = int(mine.sum())
        if count > 1:
            change = reads.conductance[-1, mine] - reads.conductance[0, mine]
            rest.append((change - change.mean()) * math.sqrt(count / (count - 1)))
    return std_estimate(np.concatenate(rest)) if rest else UNKNOWN


def drift_table(reads: RetentionReads, extrapolate_to: float) -> DataFrame:
    """Return a row per cell: its level, first and last conductance [S], ν with its interval, predicted change."""
    from pandas import DataFrame

    found = reads.exponents
    return DataFrame(
        {
            "level": reads.level,
            "first_S": reads.conductance[0],
            "last_S": reads.conductance[-1],
            "nu": [one.value for one in found],
            "nu_ci95_low": [one.low for one in found],
            "nu_ci95_high": [one.high for one in found],
            "extrapolated_change": reads.ratio_at(extrapolate_to) - 1.0,
        }
    )


def retention_table(reads: RetentionReads, extrapolate_to: float) -> DataFrame:
    """Return a row per level: cells, ν, σ(ΔG) at the last read, the change predicted, each with its 95 % interval."""
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for level, nominal in enumerate(reads.levels):
        mine = reads.cells_of(level)
        if not mine.any():
            continue
        nu, ratio = middle_estimate(reads.nu[mine]), middle_estimate(reads.ratio_at(extrapolate_to)[mine])
        sigma = reads.sigma_of_change(level)[-1]
        rows.append(
            {
                "level": level,
                "nominal [S]": float(nominal),
                "cells": int(mine.sum()),
                "ν": nu.value,
                "ν low": nu.low,
                "ν high": nu.high,
                "σ(ΔG) [S]": sigma.value,
                "σ(ΔG) low [S]": sigma.low,
                "σ(ΔG) high [S]": sigma.high,
                f"change after {duration(extrapolate_to)} [fraction]": ratio.value - 1.0,
                "change low [fraction]": ratio.low - 1.0,
                "change high [fraction]": ratio.high - 1.0,
            }
        )
    return DataFrame(rows)


@styled
def retention_figure(reads: RetentionReads, extrapolate_to: float, *, title: str = "Retention") -> Figure:
    """Draw G against time with its extrapolation, σ(ΔG) against time, and ν of every cell against its conductance."""
    figure, axes = new_figure(12.6, 4.6, 3)
    drift, spread, exponent = axes
    drift.set(title="conductance", xlabel="Time since the last write (s)", xscale="log")
    spread.set(title="spread of the change", xlabel="Time since the last write (s)", xscale="log")
    exponent.set(title="drift exponent of every cell", ylabel="ν")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    known = reads.known
    if not known.any():
        for ax in axes:
            note(ax, "no cell has a level")
        return figure
    factor, prefix = si_prefix(float(reads.conductance[:, known].max()))
    drift.set_ylabel(f"Conductance ({prefix}S)")
    exponent.set_xlabel(f"Conductance at the first read ({prefix}S)")
    sigmas = {level: reads.sigma_of_change(level) for level in range(reads.levels.size)}
    largest = max((one.value for found in sigmas.values() for one in found if math.isfinite(one.value)), default=0.0)
    small, small_prefix = si_prefix(largest)
    spread.set_ylabel(f"σ(ΔG) over the cells of a level ({small_prefix}S)")
    present = [level for level in range(reads.levels.size) if reads.cells_of(level).any()]
    colours = colours_of(len(present))
    for k, level in enumerate(present):
        colour = colours[k]
        _level(drift, reads, level, extrapolate_to, factor, colour)
        _sigma(spread, reads, level, sigmas[level], small, colour)
    _exponents(exponent, reads, present, factor, colours)
    if spread.lines:
        spread.set_ylim(0.0, 1.25 * max(largest / small, 1e-6))
    else:
        note(spread, "a spread takes two cells of a level")
    if len(present) <= MANY_LEVELS:
        for k, level in enumerate(present):
            nominal = f"level {reads.levels[level] / factor:.3g} {prefix}S, {int(reads.cells_of(level).sum())} cells"
            drift.plot([], [], color=colours[k], linewidth=2.0, label=nominal)
    drift.plot([], [], color=FAINT, label="median of the level's cells")
    drift.plot([], [], color=FAINT, linestyle="--", label="extrapolated, with 95 % interval")
    handles, labels = drift.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=4)
    return figure


def _level(ax: Axes, reads: RetentionReads, level: int, to: float, factor: float, colour: str) -> None:
    mine = reads.cells_of(level)
    g, t = reads.conductance[:, mine] / factor, np.median(reads.seconds[:, mine], axis=1)
    if mine.sum() <= 16:
        ax.plot(t, g, color=colour, linewidth=0.6, alpha=0.35)
    middle = np.median(g, axis=1)
    ax.plot(t, middle, color=colour, linewidth=2.0, marker="o", markersize=3.5)
    nu = middle_estimate(reads.nu[mine])
    if math.isfinite(nu.value) and to > t[-1]:
        ahead = np.geomspace(t[-1], to, 20)
        start = float(np.median(g[0]))
        ax.plot(ahead, start * (ahead / t[0]) ** -nu.value, color=colour, linestyle="--", linewidth=1.4)
        if math.isfinite(nu.low):
            ends = [start * (ahead / t[0]) ** -end for end in (nu.low, nu.high)]
            ax.fill_between(ahead, ends[0], ends[1], color=colour, alpha=0.15, linewidth=0)


def _sigma(
    ax: Axes, reads: RetentionReads, level: int, sigma: list[Estimate], factor: float, colour: str
) -> None:  # fmt: skip
    mine = reads.cells_of(level)
    t = np.median(reads.seconds[:, mine], axis=1)[1:]
    value, low, high = (np.array([getattr(one, name) for one in sigma[1:]]) for name in ("value", "low", "high"))
    if not np.isfinite(value).any():
        return
    ax.plot(t, value / factor, color=colour, linewidth=1.8, marker="o", markersize=3.5)
    ax.fill_between(t, low / factor, high / factor, color=colour, alpha=0.12, linewidth=0)


def _exponents(ax: Axes, reads: RetentionReads, present: list[int], factor: float, colours: list[Any]) -> None:
    for k, level in enumerate(present):
        mine = reads.cells_of(level) & np.isfinite(reads.nu)
        if not mine.any():
            continue
        found = [one for one, counts in zip(reads.exponents, mine, strict=True) if counts]
        low, high = ([abs(one.value - getattr(one, end)) for one in found] for end in ("low", "high"))
        g = reads.conductance[0, mine] / factor
        colour = colours[k]
        ax.errorbar(
            g, [one.value for one in found], yerr=[low, high], fmt="o", color=colour, markersize=4, elinewidth=0.8
        )
    if not ax.lines:
        note(ax, "too few reads for an exponent")
    ax.axhline(0.0, color=FAINT, linewidth=0.8)
