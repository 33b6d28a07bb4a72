"""What terminals go through by themselves while time passes: the pulses of a burst, the periods of a sine.

An instrument hands a :class:`Wave` to the circuit and takes it back; the circuit lives through it whenever it settles,
whoever makes it settle, so that no other instrument can find the chip in a wrong state in the middle of a burst.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from .terminal import Terminal

_MOST_PERIODS: Final = 100
"""A wave without end is lived through in so many stretched periods at most: the time at each level is kept."""
_MOST_PIECES: Final = 4096
"""Waves out of step are laid on one grid of so many pieces at most, stretched the same way beyond that."""
_SAME: Final = 1e-9  # of a period


@dataclass(frozen=True, slots=True, eq=False)
class Wave:
    """One terminal's repeating piecewise constant voltage.

    Attributes
    ----------
    terminal : Terminal
    start : float [s]
        When its first period begins.
    seconds : array, [K] [s]
        How long each level lasts.
    volts : array, [K] [V]
        Open-circuit voltages.
    repeats : float
        Number of periods; ``inf``: until it is taken away.
    """

    terminal: Terminal
    start: float
    seconds: NDArray[np.float64]
    volts: NDArray[np.float64]
    repeats: float = math.inf
    period: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "period", float(self.seconds.sum()))

    @property
    def end(self) -> float:
        """When its last period is over [s]."""
        return self.start + self.period * self.repeats

    def runs_at(self, time: float) -> bool:
        """Return whether it is under way at ``time`` [s]."""
        return self.start <= time < self.end

    def stretched(self, factor: float) -> Wave:
        """Return the wave with every level lasting ``factor`` times as long."""
        return Wave(self.terminal, self.start, self.seconds * factor, self.volts, self.repeats / factor)

    def levels_at(self, times: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the voltage [V] at ``times`` [s], which must not be on a step."""
        phase = np.mod(times - self.start, self.period)
        index = np.searchsorted(np.cumsum(self.seconds), phase, side="right")
        return self.volts[np.minimum(index, self.volts.size - 1)]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of time: ``volts`` [K] of each terminal that moves, ``seconds`` [K], all that ``repeats`` times."""

    volts: dict[Terminal, NDArray[np.float64]]
    seconds: NDArray[np.float64]
    repeats: int = 1

    @property
    def total(self) -> float:
        """How long it lasts [s]."""
        return float(self.seconds.sum()) * self.repeats


def live_through(waves: Sequence[Wave], start: float, stop: float) -> Iterator[Stretch]:
    """Yield what happens from ``start`` to ``stop`` [s], in order."""
    cuts = sorted({start, stop, *_inside(start, stop, (t for wave in waves for t in (wave.start, wave.end)))})
    for begin, end in pairwise(cuts):
        middle = 0.5 * (begin + end)
        running = [wave for wave in waves if wave.runs_at(middle)]
        if not running:
            yield Stretch({}, np.array([end - begin]))
        elif all(_in_step(running[0], wave) for wave in running[1:]):
            yield from _periods(running, begin, end)
        else:
            yield _merged(running, begin, end)


def _inside(start: float, stop: float, times: Iterable[float]) -> Iterator[float]:
    return (time for time in times if start < time < stop)


def _in_step(one: Wave, other: Wave) -> bool:
    tolerance = _SAME * one.period
    return abs(one.period - other.period) <= tolerance and abs(one.start - other.start) <= tolerance


def _periods(waves: list[Wave], begin: float, end: float) -> Iterator[Stretch]:
    """Yield the rest of the period under way, whole periods, and the beginning of one more."""
    first = waves[0]
    seconds, volts = _joined(waves)
    bounds = np.concatenate(([0.0], np.cumsum(seconds)))
    period = first.period
    at = (begin - first.start) / period
    to = (end - first.start) / period
    # The clock itself is rounded: seconds after power-on that alone is more than ``_SAME`` of a microsecond.
    same = max(_SAME, 2.0 * math.ulp(end) / period)
    whole_from, whole_to = math.ceil(at - same), math.floor(to + same)
    if whole_from > whole_to:  # both ends lie in one period
        base = math.floor(at)
        yield _piece(bounds, volts, (at - base) * period, (to - base) * period)
        return
    if whole_from - at > same:
        yield _piece(bounds, volts, period - (whole_from - at) * period, period)
    count = whole_to - whole_from
    if count:
        shown = count if math.isfinite(first.repeats) else min(count, _MOST_PERIODS)
        yield Stretch(volts, seconds * (count / shown), shown)
    if to - whole_to > same:
        yield _piece(bounds, volts, 0.0, (to - whole_to) * period)


def _piece(
    bounds: NDArray[np.float64], volts: dict[Terminal, NDArray[np.float64]], begin: float, end: float
) -> Stretch:
    seconds = np.minimum(bounds[1:], end) - np.maximum(bounds[:-1], begin)
    kept = seconds > 0.0
    return Stretch({terminal: levels[kept] for terminal, levels in volts.items()}, seconds[kept])


def _joined(waves: list[Wave]) -> tuple[NDArray[np.float64], dict[Terminal, NDArray[np.float64]]]:
    """Return one period of waves in step on their common grid."""
    if len(waves) == 1:
        return waves[0].seconds, {waves[0].terminal: waves[0].volts}
    steps = np.unique(np.concatenate([np.cumsum(wave.seconds) for wave in waves]))
    period = waves[0].period
    steps = steps[np.concatenate((np.diff(steps) > _SAME * period, [True]))]
    bounds = np.concatenate(([0.0], steps))
    middles = waves[0].start + 0.5 * (bounds[1:] + bounds[:-1])
    return np.diff(bounds), {wave.terminal: wave.levels_at(middles) for wave in waves}


def _merged(waves: list[Wave], begin: float, end: float) -> Stretch:
    """Return waves out of step on one grid."""
    share = _MOST_PIECES / len(waves)
    fitted: list[Wave] = []
    for wave in waves:
        pieces = wave.seconds.size * (end - begin) / wave.period
        fitted.append(wave.stretched(math.ceil(pieces / share)) if pieces > share else wave)
    steps = [np.array([begin, end])]
    for wave in fitted:
        first, last = math.floor((begin - wave.start) / wave.period), math.ceil((end - wave.start) / wave.period)
        starts = wave.start + np.arange(first, last) * wave.period
        steps.append((starts[:, None] + np.cumsum(wave.seconds)[None, :]).ravel())
    grid = np.unique(np.concatenate(steps))
    grid = grid[(grid >= begin) & (grid <= end)]
    middles = 0.5 * (grid[1:] + grid[:-1])
    return Stretch({wave.terminal: wave.levels_at(middles) for wave in fitted}, np.diff(grid))
