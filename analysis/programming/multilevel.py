"""How many levels a set of cells can be told to hold: misreads over reprogramming cycles, and what limits them.

Every cell was programmed to every one of M levels, cycle after cycle, and read once it had settled. For a number of
levels N ≤ M the N most evenly spread of the programmed ones are taken (the first and the last among them), midpoints
are those between neighbours of this choice, and a read beyond one is a misread. So for every N the reads that are
judged are of cells that were programmed to those very levels: nothing is fitted or extrapolated. A cell that was given
up, or not read, is judged like the others.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import (
    UNKNOWN,
    Estimate,
    Floats,
    clustered_fraction_estimate,
    mean_estimate,
    median_estimate,
    random_effects,
)
from .levels import nearest_level

if TYPE_CHECKING:
    from pandas import DataFrame

LIMIT = 0.01
"""Share of misread reads of the median cell, at most."""
CYCLES = 20
"""Complete reprogramming cycles behind `levels_200ns`, at least."""
WIDTH = 200e-9
"""Pulse width of `levels_200ns` [s]."""
FALLS_SHORT = 0.5
"""A cell does not reach a level when a smaller share of its programmings to it was accepted."""


@dataclass(frozen=True, kw_only=True)
class LevelReads:
    """Reads of healthy cells that were programmed to levels again and again.

    Parameters
    ----------
    levels : ndarray [levels] [S]
        Programmed conductances, rising.
    at_end, final, again : ndarray [cells, cycles, levels] [S]
        Read when programming ended, once the cell had settled (this one is judged), and at once after that.
    accepted : ndarray of bool [cells, cycles, levels]
        Whether read–verify accepted the cell.
    pulses : ndarray [cells, cycles, levels]
    """

    levels: Floats
    at_end: Floats
    final: Floats
    again: Floats
    accepted: NDArray[np.bool_]
    pulses: NDArray[np.int64]

    def __post_init__(self) -> None:
        shape = self.final.shape
        if len(shape) != 3 or shape[2] != self.levels.size:
            raise ValueError(f"final has shape {shape}; must be [cells, cycles, levels] with {self.levels.size} levels")
        for name in ("at_end", "again", "accepted", "pulses"):
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, final has {shape}: must be equal")

    @property
    def programmed(self) -> int:
        """Number of levels programmed."""
        return int(self.levels.size)

    def chosen(self, count: int) -> NDArray[np.int64]:
        """Return which levels stand for `count` of them: as evenly spread as can be, both ends included."""
        return np.round(np.linspace(0, self.programmed - 1, count)).astype(np.int64)

    def misread(self, count: int) -> NDArray[np.bool_]:
        """Return which reads of `count` levels lie beyond a midpoint, or are missing [cells, cycles, count]."""
        mine = self.chosen(count)
        read = nearest_level(self.final[..., mine], self.levels[mine])
        return read != np.arange(count)

    @cached_property
    def counts(self) -> list[int]:
        """Numbers of levels that can be judged."""
        return list(range(2, self.programmed + 1))

    @cached_property
    def of_cells(self) -> dict[int, Floats]:
        """Misread fraction of every cell, for every number of levels."""
        return {count: self.misread(count).mean(axis=(1, 2)) for count in self.counts}

    @cached_property
    def median_misread(self) -> dict[int, Estimate]:
        """Misread fraction of the median cell for every number of levels."""
        return {count: median_estimate(shares) for count, shares in self.of_cells.items()}

    @cached_property
    def separable(self) -> Estimate:
        """Largest number of levels of which the median cell misreads at most 1 %; 1 where two are too many.

        The interval holds the numbers that the interval of the median (between order statistics of the cells) does not
        exclude; it ends at the number programmed.
        """
        if not self.final.shape[0]:
            return UNKNOWN

        def most(end: str) -> float:
            values = {count: getattr(one, end) for count, one in self.median_misread.items()}
            if any(math.isnan(value) for value in values.values()):
                return math.nan
            return float(max((count for count, value in values.items() if value <= LIMIT), default=1))

        return Estimate(most("value"), most("high"), most("low"), self.final.shape[0])

    @cached_property
    def short(self) -> NDArray[np.bool_]:
        """Which cells do not reach some level."""
        return (self.accepted.mean(axis=1) < FALLS_SHORT).any(axis=1)

    @cached_property
    def error(self) -> Floats:
        """Judged read minus level of accepted programmings, nan elsewhere [cells, cycles, levels] [S]."""
        return np.where(self.accepted, self.final - self.levels, np.nan)

    def budget(self, level: int | None = None) -> dict[str, Estimate]:
        """Return the RMS error [S] of accepted programmings and its parts, of one level or of all.

        `noise` is that of a read: half the mean square of the difference of two reads in a row. `programming` is the
        error when programming ended, the noise of its read taken off. `settling` is what came between, with whatever it
        has in common with the programming error: the three squares add up to that of `total`.
        """
        at = slice(None) if level is None else slice(level, level + 1)
        total = self.error[..., at] ** 2
        noise = np.where(self.accepted, self.again - self.final, np.nan)[..., at] ** 2 / 2.0
        programming = np.where(self.accepted, self.at_end - self.levels, np.nan)[..., at] ** 2 - noise
        parts = {"total": total, "programming": programming, "settling": total - programming - noise, "noise": noise}
        return {name: _root_mean(values) for name, values in parts.items()}


def _root_mean(squares: Floats) -> Estimate:
    """Return the root of a mean [cells, …]; the cells, by their means, are what is independent."""
    known = np.isfinite(squares)
    count = known.sum(axis=(1, 2))
    sums = np.where(known, squares, 0.0).sum(axis=(1, 2))
    some = count > 0
    if not some.any():
        return UNKNOWN
    mean = mean_estimate(sums[some] / count[some])
    value, low, high = (
        math.nan if math.isnan(end) else math.sqrt(max(end, 0.0)) for end in (mean.value, mean.low, mean.high)
    )
    return Estimate(value, low, high, mean.n)


def _mean(values: NDArray[Any]) -> float:
    return float(values.mean()) if values.size else math.nan


def level_metrics(reads: LevelReads) -> dict[str, Estimate]:
    """Return how many levels are separable, misreads at the number programmed, errors and their parts."""
    trials = np.full(reads.final.shape[0], reads.final[0].size if reads.final.shape[0] else 0)
    wrong, accepted = reads.misread(reads.programmed).sum(axis=(1, 2)), reads.accepted.sum(axis=(1, 2))
    budget = reads.budget()
    offset = reads.error - np.nanmean(reads.error, axis=(0, 1)) if np.isfinite(reads.error).any() else reads.error
    spread = random_effects(offset.reshape(offset.shape[0], -1))
    return {
        "separable_levels": reads.separable,
        "level_error_fraction": clustered_fraction_estimate(wrong, trials),
        "level_accepted_fraction": clustered_fraction_estimate(accepted, trials),
        "level_sigma": budget["total"],
        "level_programming_sigma": budget["programming"],
        "level_settling_sigma": budget["settling"],
        "level_noise_sigma": budget["noise"],
        "level_c2c_std": spread.c2c_std,
        "level_d2d_std": spread.d2d_std,
        "level_pulses": mean_estimate(reads.pulses.mean(axis=(1, 2))),
    }


def bits(levels: Estimate) -> Estimate:
    """Return log2 of a number of levels."""
    value, low, high = (float(np.log2(end)) for end in (levels.value, levels.low, levels.high))
    return Estimate(value, low, high, levels.n)


def level_rows(reads: LevelReads) -> DataFrame:
    """Return a row per programmed level: accepted and misread share, where it ended, spreads and parts of the error."""
    from pandas import DataFrame

    wrong = reads.misread(reads.programmed)
    trials = np.full(wrong.shape[0], wrong.shape[1])
    rows: list[dict[str, float]] = []
    for k, level in enumerate(reads.levels):
        missed = clustered_fraction_estimate(wrong[..., k].sum(axis=1), trials)
        spread, budget = random_effects(reads.error[..., k]), reads.budget(k)
        rows.append(
            {
                "level": k,
                "target [S]": float(level),
                "accepted [fraction]": _mean(reads.accepted[..., k]),
                "misread [fraction]": missed.value,
                "misread low [fraction]": missed.low,
                "misread high [fraction]": missed.high,
                "mean − target [S]": spread.mean.value,
                "c2c [S]": spread.c2c_std.value,
                "d2d [S]": spread.d2d_std.value,
                "programming σ [S]": budget["programming"].value,
                "settling σ [S]": budget["settling"].value,
                "noise σ [S]": budget["noise"].value,
                "pulses": _mean(reads.pulses[..., k]),
            }
        )
    return DataFrame(rows)


def count_rows(reads: LevelReads) -> DataFrame:
    """Return a row per number of levels: misread share of the median cell with its interval, cells within 1 %."""
    from pandas import DataFrame

    return DataFrame(
        [
            {
                "levels": count,
                "median cell misreads [fraction]": one.value,
                "low [fraction]": one.low,
                "high [fraction]": one.high,
                "cells within 1 % [fraction]": _mean(reads.of_cells[count] <= LIMIT),
                "all reads misread [fraction]": _mean(reads.of_cells[count]),
            }
            for count, one in reads.median_misread.items()
        ]
    )


def confusion(reads: LevelReads) -> NDArray[np.int64]:
    """Return how often a cell that was programmed to a level (row) is read as each (column); missing reads in none."""
    many = reads.programmed
    read = nearest_level(reads.final, reads.levels)
    told = np.broadcast_to(np.arange(many), read.shape)
    known = read >= 0
    return np.bincount(told[known] * many + read[known], minlength=many * many).reshape(many, many)


def causes(reads: LevelReads, count: int) -> dict[str, int]:
    """Return what became of the misreads of `count` levels, cells that fall short of a level apart.

    `range`: of cells that do not reach some level. Of the others `given up`: read–verify did not accept the cell;
    `settling`: it did, the cell was inside when programming ended and is no more; `programming`: it was outside then.
    Where nobody read when programming ended, the latter two are one, `unknown`.
    """
    mine = reads.chosen(count)
    wrong, accepted = reads.misread(count), reads.accepted[..., mine]
    inside = nearest_level(reads.at_end[..., mine], reads.levels[mine]) == np.arange(count)
    able = wrong & ~reads.short[:, None, None]
    if not np.isfinite(reads.at_end).any():
        return {
            "range": int((wrong & reads.short[:, None, None]).sum()),
            "given up": int((able & ~accepted).sum()),
            "unknown": int((able & accepted).sum()),
        }
    return {
        "range": int((wrong & reads.short[:, None, None]).sum()),
        "given up": int((able & ~accepted).sum()),
        "settling": int((able & accepted & inside).sum()),
        "programming": int((able & accepted & ~inside).sum()),
    }


CAUSES = {
    "range": "cells that do not reach a level",
    "given up": "programmings that were given up",
    "settling": "settling and noise after programming",
    "programming": "programming that ended beyond a midpoint",
    "unknown": "programming or settling, which no read at the end of programming tells apart",
}


def what_limits(reads: LevelReads) -> str:
    """Say in words what keeps the number of levels from being larger."""
    cells = reads.final.shape[0]
    if not cells:
        return "No healthy cell was programmed."
    found, short = int(reads.separable.value), int(reads.short.sum())
    beyond = next((count for count in reads.counts if count > found), None)
    budget = reads.budget()
    parts = {name: budget[name].value ** 2 for name in ("programming", "settling", "noise")}
    whole = sum(parts.values())
    split = (
        "Of the mean square error of accepted programmings, "
        + ", ".join(f"{value / whole:.0%} is {_PARTS[name]}" for name, value in parts.items())
        + "."
        if whole > 0.0
        else ""
    )
    reach = f"{short} of {cells} cells do not reach some level (fewer than half of their programmings to it accepted)."
    if beyond is None:
        half = float(np.diff(reads.levels).min()) / 2.0
        head = (
            f"Nothing that was tried: all {found} levels are separable, and more were not programmed. The RMS error is "
            f"{budget['total'].value / half:.0%} of half a level's spacing."
        )
        return f"{head} {split} {reach}"
    found_causes = causes(reads, beyond)
    total = max(sum(found_causes.values()), 1)
    first = max(found_causes, key=lambda name: found_causes[name])
    listed = ", ".join(f"{value / total:.0%} {CAUSES[name]}" for name, value in found_causes.items() if value)
    if 2 * short >= cells:
        head = f"The range of the cells: {reach}"
        reach = ""
    else:
        head = f"Mostly {CAUSES[first]}."
    return f"{head} Misreads at {beyond} levels: {listed}. {split} {reach}".strip()


_PARTS = {
    "programming": "programming (the window and what is read when it ends)",
    "settling": "settling afterwards",
    "noise": "noise of a read",
}
