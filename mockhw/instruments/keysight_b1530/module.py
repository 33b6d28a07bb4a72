"""The B1530A itself: two channels behind RSUs that go through their sequences at once, while time passes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from ...probe_circuit.meter import Follower, Range, Unit
from ...probe_circuit.script import Run, Script
from ...probe_circuit.waves import Wave
from .codes import (
    AMPS_FIRST,
    AMPS_LAST,
    CONTEXT,
    FORCE_AUTO,
    FORCE_LIMITS,
    MEASURE_CURRENT,
    MEASURE_ON,
    MODE_DC,
    MODE_FASTIV,
    MODE_PG,
    OUT_OF_RANGE,
    VOLTS_10,
    WgfmuError,
)
from .patterns import Looped, Timeline, timeline, total_seconds

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal
    from ...sim_clock import SimClock

# From memory of the data sheet; offsets and noise assumed in size.
_FORCE: Final = {
    3.0: Range(3.0, 0.0, 0.0, 0.1e-2, 1e-3, 96e-6),
    5.0: Range(5.0, 0.0, 0.0, 0.1e-2, 1.5e-3, 160e-6),
    10.0: Range(10.0, 0.0, 0.0, 0.1e-2, 3e-3, 160e-6),
}
_SEEN: Final = Range(10.0, 0.1e-2, 2e-3, noise=1e-3)
_AMPS: Final = tuple(
    Range(full, 0.1e-2, 0.1e-2 * full, noise=noise, spare=1.02)
    for full, noise in ((1e-6, 0.8e-9), (1e-5, 4e-9), (1e-4, 30e-9), (1e-3, 0.3e-6), (1e-2, 3e-6))
)
_SETTLING: Final = (37e-6, 5.8e-6, 0.82e-6, 0.2e-6, 0.125e-6)
"""Time in which the current ranges settle to 1 % [s]; from memory of the data sheet, in size."""
_PG_OHMS, _FASTIV_OHMS = 50.0, 0.5
_AVERAGE_OF_NOISE: Final = 1e-7
"""Average that ``noise`` is given for [s]; assumed."""
_SHORT: Final = 1e-6
_STAIRS: Final = 4
_STAIRS_MAX: Final = 200
_STAIR_VOLTS: Final = 0.02
_SAME: Final = 1e-12


@dataclass(slots=True)
class Channel:
    """One channel: what is set, and what it has measured.

    Attributes
    ----------
    connected : whether its RSU is.
    values : (time [s], V or A) measured in the last execution.
    """

    terminal: Terminal
    unit: Unit
    mode: int = MODE_PG
    force: int = FORCE_AUTO
    measure: int = 4000
    volts_range: int = VOLTS_10
    amps_range: int = AMPS_LAST
    measures: int = MEASURE_ON
    connected: bool = False
    level: float = 0.0
    force_delay: float = 0.0
    measure_delay: float = 0.0
    sequence: list[Looped] = field(default_factory=list[Looped])
    total: int = 0
    values: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])

    def reset(self) -> None:
        """Be as after ``initialize``, but for the terminal."""
        self.mode, self.force, self.measure = MODE_PG, FORCE_AUTO, 4000
        self.volts_range, self.amps_range, self.measures = VOLTS_10, AMPS_LAST, MEASURE_ON
        self.connected, self.level = False, 0.0
        self.sequence, self.total, self.values = [], 0, []


class WgfmuModule:
    """The module.

    Parameters
    ----------
    circuit : ProbeCircuit
    terminals : sequence of (channel id, Terminal)
    clock : SimClock
    seed : int
        Draws gain and offset errors and noise.
    told : callable
        Takes time and what is worth a line of the bench's log.
    """

    def __init__(
        self,
        circuit: ProbeCircuit,
        terminals: Sequence[tuple[int, Terminal]],
        clock: SimClock,
        *,
        seed: int,
        told: Callable[[float, str], None],
    ) -> None:
        self.circuit, self.clock, self._told = circuit, clock, told
        ranges = (*_FORCE.values(), _SEEN, *_AMPS)
        self.channels = {
            number: Channel(terminal, Unit(seed + number, ranges, overflow=math.inf)) for number, terminal in terminals
        }
        self.run: Run | None = None
        self.aborted = self.executed = False
        self.began = self.total = 0.0
        self._waves: list[Wave] = []
        for channel in self.channels.values():
            channel.terminal.set(clock.now, on=False, ohms=_FASTIV_OHMS)
        clock.watch(self._tick, lambda: None if self.run is None else self.run.next_event)

    # --- outputs ------------------------------------------------------------------------------

    def reset(self) -> None:
        """``initialize``: stop, RSUs disconnected, settings of the first minute."""
        self.stop()
        for number in self.channels:
            self.disconnect(number)
            self.channels[number].reset()
        self.executed = self.aborted = False

    def connect(self, number: int) -> None:
        """Connect an RSU, at the level its channel is at."""
        channel = self.channels[number]
        if not channel.connected:
            self._told(self.clock.now, f"WGFMU {number} connected")
        channel.connected = True
        self._put(number, channel.level, on=True)

    def disconnect(self, number: int) -> None:
        """Disconnect it; the channel keeps its level behind the open relay."""
        channel = self.channels[number]
        if channel.connected:
            self._told(self.clock.now, f"WGFMU {number} disconnected")
        channel.connected = False
        channel.terminal.set(self.clock.now, on=False, volts=0.0, limit=math.inf)

    def force(self, number: int, volts: float) -> None:
        """Put a channel in DC mode at a level [V]."""
        if self.channels[number].mode != MODE_DC:
            raise WgfmuError(CONTEXT, f"channel {number} is not in the DC mode")
        self._within(number, [volts])
        self._put(number, volts)

    def _put(self, number: int, volts: float, *, on: bool | None = None) -> None:
        channel = self.channels[number]
        channel.level = volts
        if not channel.connected:
            return
        changes: dict[str, float | bool] = {
            "volts": self.sourced(number, volts),
            "ohms": _PG_OHMS if channel.mode == MODE_PG else _FASTIV_OHMS,
            # The current amplifier in the way carries what its range is for, and little more: from memory.
            "limit": math.inf if channel.mode == MODE_PG else _range(channel.amps_range).full_scale * 1.1,
        }
        if on is not None:
            changes["on"] = on
        channel.terminal.set(self.clock.now, **changes)

    def sourced(self, number: int, volts: float) -> float:
        """Return what comes out for a level [V]."""
        channel = self.channels[number]
        low, high = FORCE_LIMITS[channel.force]
        most = max(abs(volts) if channel.force == FORCE_AUTO else max(-low, high), 0.0)
        on = next(one for full, one in _FORCE.items() if most <= full * (1.0 + 1e-9))
        return channel.unit.sourced(volts, on)

    def _within(self, number: int, volts: Sequence[float]) -> None:
        low, high = FORCE_LIMITS[self.channels[number].force]
        if volts and not (low - _SAME <= min(volts) and max(volts) <= high + _SAME):
            raise WgfmuError(OUT_OF_RANGE, f"channel {number}: {min(volts):g} V to {max(volts):g} V on range {low:g} V")

    # --- an execution -------------------------------------------------------------------------

    @property
    def running(self) -> bool:
        """Whether sequences are under way."""
        return self.run is not None

    @property
    def elapsed(self) -> float:
        """How long the sequences have been under way, at most their length [s]."""
        return min(self.clock.now - self.began, self.total) if self.executed else 0.0

    def execute(self, sequences: dict[int, list[Looped]]) -> None:
        """Run the sequences of all connected channels that are in a mode that has one.

        Raises
        ------
        WgfmuError
            None is connected with a sequence, or a level is beyond its range.
        """
        used = [
            number for number, one in self.channels.items()
            if one.connected and one.mode in (MODE_FASTIV, MODE_PG) and sequences.get(number)
        ]  # fmt: skip
        if not used:
            raise WgfmuError(CONTEXT, "no connected channel in the Fast IV or PG mode has a sequence")
        for number in used:
            self._within(number, [volts for one in sequences[number] for volts in one.pattern.volts])
        lines: dict[int, Timeline] = {}
        measured = [number for number in used if self._measures(number, sequences[number])]
        if measured:
            lines = {number: timeline(sequences[number]) for number in used}
        self.stop()
        now = self.clock.now
        self.began, self.total = now, max(total_seconds(sequences[number]) for number in used)
        self.aborted, self.executed = False, True
        for number in used:
            channel = self.channels[number]
            channel.sequence, channel.values = list(sequences[number]), []
            channel.total = len(lines[number].windows) if number in measured else 0
        script = self._look(lines, measured, now) if measured else self._give(used, now)
        self.run = Run("sequences", script, now)
        self._tick(now)

    def _measures(self, number: int, sequence: list[Looped]) -> bool:
        channel = self.channels[number]
        return channel.measures == MEASURE_ON and any(one.pattern.events for one in sequence)

    def stop(self) -> None:
        """``abort``: channels stay at the level they are at."""
        if self.run is None:
            return
        now = self.clock.now
        for wave in self._waves:
            if wave.runs_at(now):
                number = next(n for n, one in self.channels.items() if one.terminal is wave.terminal)
                level = float(wave.levels_at(np.array([now]))[0])
                self.channels[number].level = level
                wave.terminal.set(now, volts=level)
        self._take_waves(now)
        self.run.cut(now)
        self.run, self.aborted = None, True
        self._told(now, "abort sequences")

    def _take_waves(self, now: float) -> None:
        for wave in self._waves:
            self.circuit.remove_wave(now, wave)
        self._waves = []

    def _tick(self, now: float) -> None:
        if self.run is not None and self.run.run_to(now):
            self.run = None
            self._told(now, "end sequences")

    def _give(self, used: list[int], start: float) -> Script:
        """Nothing is measured: the circuit goes through the waves by itself."""
        ends: dict[float, list[int]] = {}
        self.circuit.settle(start)
        for number in used:
            channel, at = self.channels[number], start
            for pattern, loops in channel.sequence:
                seconds, volts = _stairs(np.array(pattern.times), np.array(pattern.volts))
                levels = np.array([self.sourced(number, level) for level in volts])
                self._put(number, pattern.volts[0])
                wave = Wave(channel.terminal, at, seconds, levels, loops)
                self.circuit.add_wave(wave)
                self._waves.append(wave)
                at = wave.end
            ends.setdefault(at, []).append(number)
        for end in sorted(ends):
            yield end
            for number in ends[end]:
                self._put(number, self.channels[number].sequence[-1].pattern.volts[-1])
        self._take_waves(max(ends))

    def _look(self, lines: dict[int, Timeline], measured: list[int], start: float) -> Script:
        """Go through it piece by piece; channels that measure are looked at where their windows end."""
        edges = np.unique(np.concatenate([_edges(line) for line in lines.values()]).round(12))
        left = {number: list(lines[number].windows) for number in measured}
        ranges = {number: [(-1.0, self.channels[number].amps_range), *lines[number].ranges] for number in lines}
        meters = {number: Follower(_settling(self.channels[number].amps_range)) for number in measured}
        before = 0.0
        for edge in edges[1:]:
            after = float(edge)
            for number, line in lines.items():
                while len(ranges[number]) > 1 and ranges[number][1][0] <= before + _SAME:
                    ranges[number].pop(0)
                    self.channels[number].amps_range = ranges[number][0][1]
                    if number in meters:
                        meters[number] = Follower(_settling(ranges[number][0][1]))
                level = float(np.interp(0.5 * (before + after), line.times, line.volts))
                self._put(number, level)
            yield start + after
            for number in measured:
                if left[number]:
                    self._see(number, left[number], before, after, start, meters[number])
            before = after
        for number, line in lines.items():
            self._put(number, float(line.volts[-1]))

    def _see(
        self,
        number: int,
        left: list[tuple[float, float]],
        before: float,
        after: float,
        start: float,
        meter: Follower,
    ) -> None:
        channel = self.channels[number]
        begin, end = left[0]
        ends = after >= end - _SAME
        seen = self.circuit.measure(channel.terminal, start + after, aperture=max(end - begin, after - before))
        amps = meter.follow(seen.amps, after - before)
        if not ends:
            return
        left.pop(0)
        average = max((end - begin) / _AVERAGE_OF_NOISE, 1e-3)
        on, true = (_range(channel.amps_range), amps) if channel.measure == MEASURE_CURRENT else (_SEEN, seen.volts)
        value = channel.unit.reading(float(np.clip(true, -on.full_scale, on.full_scale)), on, average)
        channel.values.append((0.5 * (begin + end), value))

    def measure_now(self, number: int) -> float:
        """Measure in the DC mode [V or A]."""
        channel = self.channels[number]
        if channel.mode != MODE_DC:
            raise WgfmuError(CONTEXT, f"channel {number} is not in the DC mode")
        seen = self.circuit.measure(channel.terminal, self.clock.now, aperture=1e-6)
        if channel.measure == MEASURE_CURRENT:
            return channel.unit.reading(seen.amps, _range(channel.amps_range), 1.0)
        return channel.unit.reading(seen.volts, _SEEN, 1.0)


def _range(code: int) -> Range:
    return _AMPS[code - AMPS_FIRST]


def _settling(code: int) -> float:
    return _SETTLING[code - AMPS_FIRST]


def _count(volts: float, seconds: float) -> int:
    """Return in how many stairs a line is gone through."""
    if not volts:
        return 1
    return _STAIRS if seconds <= _SHORT else min(max(math.ceil(abs(volts) / _STAIR_VOLTS), _STAIRS), _STAIRS_MAX)


def _stairs(times: NDArray[np.float64], volts: NDArray[np.float64]) -> tuple[NDArray[np.float64], list[float]]:
    """Return times [K] s and levels [K] V of stairs: those of a line at the mean of their time."""
    seconds: list[float] = []
    levels: list[float] = []
    for (begin, end), (start, stop) in zip(_pairs(times), _pairs(volts), strict=True):
        count = _count(stop - start, end - begin)
        for step in range(count):
            seconds.append((end - begin) / count)
            levels.append(start + (stop - start) * (step + 0.5) / count)
    return np.array(seconds), levels


def _pairs(values: NDArray[np.float64]) -> list[tuple[float, float]]:
    return list(pairwise(map(float, values)))


def _edges(line: Timeline) -> NDArray[np.float64]:
    """Return the times [s] at which a channel's level changes, its range does, or a value begins or ends."""
    found: list[float] = [0.0, line.seconds]
    for (begin, end), (start, stop) in zip(_pairs(line.times), _pairs(line.volts), strict=True):
        if end > begin:
            count = _count(stop - start, end - begin)
            found += [begin + (end - begin) * step / count for step in range(count + 1)]
    found += [time for window in line.windows for time in window] + [at for at, _ in line.ranges]
    return np.array(found)
