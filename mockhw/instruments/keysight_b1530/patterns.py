"""Patterns, their events and the sequences of channels: what the library holds before anything is run."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .codes import (
    AMPS_FIRST,
    AMPS_LAST,
    AVERAGE_MAX,
    AVERAGED,
    GRID,
    ILLEGAL_STRING,
    INTERVAL_MAX,
    INTERVAL_MIN,
    LOOPS_MAX,
    NO_PATTERN,
    OUT_OF_RANGE,
    PATTERN_EXISTS,
    RAW,
    RAW_SECONDS,
    SIZE_MAX,
    VECTOR_MAX,
    WgfmuError,
    on_grid,
)

_VOLTS_MAX = 10.0
_CORNERS_MAX = 400_000


@dataclass(frozen=True, slots=True)
class Event:
    """A measurement: begins at ``time``, ``points`` of them ``interval`` apart, each ``average`` long [s]."""

    name: str
    time: float
    points: int
    interval: float
    average: float
    raw: bool

    @property
    def end(self) -> float:
        """When it is over [s]."""
        return self.time + self.interval * (self.points - 1) + self.average

    def windows(self) -> list[tuple[float, float]]:
        """Return begin and end [s] of every value, in order."""
        found: list[tuple[float, float]] = []
        for point in range(self.points):
            begin = self.time + point * self.interval
            if not self.raw:
                found.append((begin, begin + max(self.average, RAW_SECONDS)))
                continue
            count = max(1, round(self.average / RAW_SECONDS))
            found += [(begin + at * RAW_SECONDS, begin + (at + 1) * RAW_SECONDS) for at in range(count)]
        return found


@dataclass(slots=True)
class Pattern:
    """A waveform of straight lines with its events.

    Attributes
    ----------
    times, volts : corners [s], [V]; the first at 0 s.
    events : measurements.
    ranges : (time [s], current range) of every change.
    """

    name: str
    times: list[float]
    volts: list[float]
    events: list[Event] = field(default_factory=list[Event])
    ranges: list[tuple[float, int]] = field(default_factory=list[tuple[float, int]])

    @property
    def seconds(self) -> float:
        """How long it lasts [s]."""
        return self.times[-1]

    def at(self, time: float) -> float:
        """Return the level at ``time`` [V]."""
        return float(np.interp(time, self.times, self.volts))


class Looped(NamedTuple):
    """A pattern in a sequence, and how often."""

    pattern: Pattern
    loops: float


@dataclass(slots=True)
class Setup:
    """What ``clear`` forgets: patterns by name, sequences by channel."""

    patterns: dict[str, Pattern] = field(default_factory=dict[str, Pattern])
    sequences: dict[int, list[Looped]] = field(default_factory=dict[int, list[Looped]])

    def pattern(self, name: str) -> Pattern:
        """Return a pattern that there is."""
        if name not in self.patterns:
            raise WgfmuError(NO_PATTERN, f"there is no pattern {name!r}")
        return self.patterns[name]

    def create(self, name: str, times: list[float], volts: list[float]) -> None:
        """Keep a new pattern."""
        if not name:
            raise WgfmuError(ILLEGAL_STRING, "a pattern has a name")
        if name in self.patterns:
            raise WgfmuError(PATTERN_EXISTS, f"there is a pattern {name!r} already")
        for level in volts:
            level_of(level)
        self.patterns[name] = Pattern(name, times, volts)

    def add(self, name: str, step: float, volts: float) -> None:
        """Put a corner ``step`` [s] behind the last."""
        pattern = self.pattern(name)
        if not GRID / 2 <= step <= VECTOR_MAX:
            raise WgfmuError(OUT_OF_RANGE, f"a vector of {step:g} s: 10 ns to {VECTOR_MAX:g} s")
        if len(pattern.times) >= SIZE_MAX:
            raise WgfmuError(OUT_OF_RANGE, f"more than {SIZE_MAX} vectors in {name!r}")
        pattern.times.append(round(pattern.times[-1] + on_grid(step), 9))
        pattern.volts.append(level_of(volts))

    def put(self, name: str, time: float, volts: float) -> None:
        """Put a corner at ``time`` [s], in place of one that is there."""
        pattern = self.pattern(name)
        at = on_grid(time)
        if not time >= 0.0:
            raise WgfmuError(OUT_OF_RANGE, f"a corner at {time:g} s")
        corners = {**dict(zip(pattern.times, pattern.volts, strict=True)), at: level_of(volts)}
        pattern.times = sorted(corners)
        pattern.volts = [corners[each] for each in pattern.times]

    def measure(
        self, name: str, event: str, time: float, points: int, interval: float, average: float, mode: int
    ) -> None:
        """Put a measurement into a pattern."""
        pattern = self.pattern(name)
        one = Event(event, on_grid(time), points, on_grid(interval), on_grid(average), mode == RAW)
        if mode not in (AVERAGED, RAW) or points < 1 or time < 0.0:
            raise WgfmuError(OUT_OF_RANGE, f"event {event!r}: {points} points from {time:g} s, data {mode}")
        if not INTERVAL_MIN / 2 <= interval <= INTERVAL_MAX or not 0.0 <= average <= AVERAGE_MAX:
            raise WgfmuError(OUT_OF_RANGE, f"event {event!r}: interval {interval:g} s, average {average:g} s")
        if points > 1 and one.average > one.interval + GRID / 2:
            raise WgfmuError(OUT_OF_RANGE, f"event {event!r}: an average longer than the interval")
        if one.end > pattern.seconds + GRID / 2:
            raise WgfmuError(OUT_OF_RANGE, f"event {event!r} ends at {one.end:g} s, {name!r} at {pattern.seconds:g} s")
        pattern.events.append(one)

    def change_range(self, name: str, event: str, time: float, code: int) -> None:
        """Put a change of the current range into a pattern."""
        pattern = self.pattern(name)
        if not AMPS_FIRST <= code <= AMPS_LAST or not 0.0 <= time <= pattern.seconds:
            raise WgfmuError(OUT_OF_RANGE, f"range event {event!r}: {code} at {time:g} s")
        pattern.ranges.append((on_grid(time), code))

    def follow(self, channel: int, name: str, loops: float) -> None:
        """Put a pattern behind the sequence of a channel."""
        if not 1.0 <= loops <= LOOPS_MAX or loops != int(loops):
            raise WgfmuError(OUT_OF_RANGE, f"{loops:g} loops of {name!r}")
        self.sequences.setdefault(channel, []).append(Looped(self.pattern(name), loops))


class Timeline(NamedTuple):
    """A channel's sequence from its beginning: corners, measurements, changes of range.

    ``times`` [s] and ``volts`` [V] are its corners; ``windows`` (begin, end) [s] of values in order; ``ranges`` (time,
    code).
    """

    times: NDArray[np.float64]
    volts: NDArray[np.float64]
    windows: list[tuple[float, float]]
    ranges: list[tuple[float, int]]

    @property
    def seconds(self) -> float:
        """How long it lasts [s]."""
        return float(self.times[-1])


def timeline(sequence: list[Looped]) -> Timeline:
    """Return a sequence with its loops written out.

    Raises
    ------
    WgfmuError
        More than can be held here: a sequence that measures in very many loops.
    """
    if sum(one.loops * len(one.pattern.times) for one in sequence) > _CORNERS_MAX:
        raise WgfmuError(OUT_OF_RANGE, "a sequence that measures is not built for so many loops")
    times: list[float] = []
    volts: list[float] = []
    windows: list[tuple[float, float]] = []
    ranges: list[tuple[float, int]] = []
    start = 0.0
    for pattern, loops in sequence:
        for _ in range(int(loops)):
            times += [start + each for each in pattern.times]
            volts += pattern.volts
            for event in sorted(pattern.events, key=lambda each: each.time):
                windows += [(start + begin, start + end) for begin, end in event.windows()]
            ranges += [(start + at, code) for at, code in pattern.ranges]
            start = round(start + pattern.seconds, 9)
    return Timeline(np.array(times), np.array(volts), windows, ranges)


def total_seconds(sequence: list[Looped]) -> float:
    """Return how long a sequence lasts [s]."""
    return math.fsum(one.pattern.seconds * one.loops for one in sequence)


def level_of(volts: float) -> float:
    """Return a level [V] that the library takes."""
    if not abs(volts) <= _VOLTS_MAX:
        raise WgfmuError(OUT_OF_RANGE, f"{volts:g} V: −10 V to 10 V")
    return float(volts)
