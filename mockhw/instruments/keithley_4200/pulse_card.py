"""A 4225-PMU with two 4225-RPMs: standard pulses, segment arbs and what is measured in them.

Both channels go through the same times: of two that differ the real card waits for the longer, which is not built. The
line behind the 50 Ω has no capacitance here. Assumed: outputs stay on, at their last level, when a test is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from ...probe_circuit.meter import Unit
from ...probe_circuit.script import Run, Script
from ...probe_circuit.waves import Wave
from ...scpi.errors import ScpiError
from .settling import Meter
from .shapes import NONE, SPOT, Piece, Settings, Times, looks, pulse, sequence, stairs
from .specs import (
    BLOCK_MAX,
    BURST_MAX,
    OVERFLOW,
    POINTS_MAX,
    PULSE_AMPS,
    PULSE_OHMS,
    PULSE_VOLTS,
    SEGMENTS_MAX,
    range_for,
)

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal

_SPOTS: Final = 8
_TO_PMU: Final = 0
_FIELDS: Final = {
    "V": 0,
    "I": 1,
    "T": 2,
    "S": 3,
    "VH": 0,
    "IH": 1,
    "TH": 2,
    "SH": 3,
    "VL": 4,
    "IL": 5,
    "TL": 6,
    "SL": 7,
}


class Burst(NamedTuple):
    """What a test gives: periods of both channels, how often; one period where it is measured."""

    periods: list[dict[int, list[Piece]]]
    repeats: int
    measured: bool


class PulseCard:
    """Two channels in step.

    Parameters
    ----------
    circuit : ProbeCircuit
    terminals : tuple of Terminal
    now : float [s]
    seed : int
    told : callable
        Takes time and what is worth a line of the bench's log.
    """

    def __init__(
        self,
        circuit: ProbeCircuit,
        terminals: tuple[Terminal, Terminal],
        now: float,
        *,
        seed: int,
        told: Callable[[float, str], None],
    ) -> None:
        self.circuit, self.terminals = circuit, terminals
        self._units = tuple(Unit(seed + at, (PULSE_VOLTS, *PULSE_AMPS), overflow=OVERFLOW) for at in (0, 1))
        self._told = told
        self._waves: list[Wave] = []
        self.reset(now)

    def reset(self, now: float) -> None:
        """Be as after power-on."""
        self.routes = {1: _TO_PMU, 2: _TO_PMU}
        self.wanted = {1: False, 2: False}
        self.begin(now, None)

    def begin(self, now: float, arbitrary: str | None) -> None:
        """``:PMU:INIT``: defaults of a mode, sequences and data gone."""
        if arbitrary is not None and int(arbitrary) not in (0, 1):
            raise ScpiError(-222, f"mode {arbitrary}")
        self.stop(now)
        self.arbitrary = arbitrary is not None and bool(int(arbitrary))
        self.initialised = arbitrary is not None
        self.channels = {1: Settings(), 2: Settings()}
        self.measure_mode, self.count, self.rate = 1, 1, 200e6
        self.data: dict[int, list[list[float]]] = {1: [], 2: []}

    # --- settings -----------------------------------------------------------------------------

    def of(self, channel: str) -> Settings:
        """Return the settings of a channel; an error where there is none, or nothing was begun."""
        if not self.initialised:
            raise ScpiError(-221, ":PMU:INIT comes first")
        number = int(channel)
        if number not in self.channels:
            raise ScpiError(-241, f"pulse channel {channel}")
        return self.channels[number]

    def route(self, card: str, where: str) -> None:
        """``:PMU:RPM:CONFIGURE``."""
        name = card.upper().removeprefix("PMU1-")
        if name not in ("1", "2") or int(where) not in (0, 1, 2, 3):
            raise ScpiError(-241, f"{card}, {where}")
        self.routes[int(name)] = int(where)

    def train(self, channel: str, base: str, amplitude: str) -> None:
        """``:PMU:PULSE:TRAIN``."""
        mine = self.of(channel)
        mine.base, mine.amplitude, mine.sweep = self._volts(base), self._volts(amplitude), None

    def times(self, channel: str, period: str, width: str, rise: str, fall: str, delay: str = "0") -> None:
        """``:PMU:PULSE:TIMES``."""
        told = [float(one) for one in (period, width, rise, fall, delay)]
        if not all(math.isfinite(one) and 0.0 <= one <= 1.0 for one in told):
            raise ScpiError(-222, "pulse times")
        self.of(channel).times = Times(*told)

    def sweep(self, channel: str, start: str, stop: str, step: str, base: str, dual: str = "0") -> None:
        """``:PMU:SWEEP:PULSE:AMPLITUDE``."""
        mine = self.of(channel)
        mine.base = self._volts(base)
        mine.sweep = (self._volts(start), self._volts(stop), float(step), bool(int(dual)))

    def segments(self, name: str, add: bool, channel: str, number: str, *values: str) -> None:
        """``:PMU:SARB:SEQ:…``: one array of a sequence; ``add``: behind what is there."""
        told = self.of(channel).sequences.setdefault(int(number), {})
        numbers = [self._volts(one) if name.endswith("V") else float(one) for one in values]
        told[name] = [*(told.get(name, []) if add else []), *numbers]
        if len(told[name]) > SEGMENTS_MAX:
            raise ScpiError(-223, f"{len(told[name])} segments")

    def play(self, add: bool, channel: str, *pairs: str) -> None:
        """``:PMU:SARB:WFM:SEQ:LIST``: sequences and how often each."""
        mine = self.of(channel)
        numbers = [int(float(one)) for one in pairs]
        if not numbers or len(numbers) % 2 or min(numbers) < 1:
            raise ScpiError(-220, "pairs of sequence and loops")
        mine.play = [*(mine.play if add else []), *zip(numbers[::2], numbers[1::2], strict=True)]

    def put(self, name: str, low: float, high: float, channel: str, value: str) -> None:
        """Set one number of a channel."""
        number = float(value)
        if not low <= number <= high:
            raise ScpiError(-222, f"{name} {value}")
        setattr(self.of(channel), name, number)

    def measure(self, channel: str, kind: str, amps: str = "0.2") -> None:
        """``:PMU:MEASURE:RANGE``: fixed ranges only."""
        if int(kind) != 2:
            raise ScpiError(-221, f"range type {kind} is not built")
        self.of(channel).measure_range = range_for(PULSE_AMPS, float(amps)).full_scale

    def acquire(self, channel: str, high: str, low: str) -> None:
        """``:PMU:MEASURE:PIV``."""
        self.of(channel).acquire = (bool(int(high)), bool(int(low)))

    def window(self, channel: str, begin: str, end: str) -> None:
        """``:PMU:TIMES:PIV``: parts of the top that are measured."""
        first, last = float(begin), float(end)
        if not 0.0 <= first < last <= 1.0:
            raise ScpiError(-222, f"window {begin}, {end}")
        self.of(channel).window = (first, last)

    def mode(self, mode: str) -> None:
        """``:PMU:MEASURE:MODE``."""
        if int(mode) not in range(5):
            raise ScpiError(-222, f"measure mode {mode}")
        self.measure_mode = int(mode)

    def burst(self, count: str) -> None:
        """``:PMU:PULSE:BURST:COUNT``."""
        if not 1 <= int(count) <= BURST_MAX:
            raise ScpiError(-222, f"{count} pulses")
        self.count = int(count)

    def sample(self, rate: str) -> None:
        """``:PMU:SAMPLE:RATE``."""
        if not 1e3 <= float(rate) <= 200e6:
            raise ScpiError(-222, f"{rate} samples a second")
        self.rate = float(rate)

    @staticmethod
    def _volts(text: str) -> float:
        volts = float(text)
        if not abs(volts) <= PULSE_VOLTS.full_scale:
            raise ScpiError(-222, f"{text} V")
        return volts

    # --- output -------------------------------------------------------------------------------

    def switch(self, now: float, channel: str, state: str) -> None:
        """``:PMU:OUTPUT:STATE``: on with the next test, off at once."""
        self.of(channel)
        on, number = bool(int(state)), int(channel)
        self.wanted[number] = on
        if not on:
            self._release(now, number)

    def stop(self, now: float) -> None:
        """Stop what runs, both outputs off."""
        self._take_waves(now)
        for number in (1, 2):
            self.wanted[number] = False
            self._release(now, number)

    def _release(self, now: float, number: int) -> None:
        terminal = self.terminals[number - 1]
        if terminal.on:
            self._told(now, f"PMU1-{number} off")
        terminal.set(now, on=False, volts=0.0)

    def _take_waves(self, now: float) -> None:
        for wave in self._waves:
            self.circuit.remove_wave(now, wave)
        self._waves = []

    # --- a test -------------------------------------------------------------------------------

    def execute(self, now: float) -> Run:
        """Return the test as what keeps the card busy.

        Raises
        ------
        ScpiError
            Settings that do not fit each other, or no output that is on.
        """
        used = [number for number in (1, 2) if self.wanted[number]]
        if not self.initialised or not used:
            raise ScpiError(-221, "no pulse output is on")
        for number in used:
            if self.routes[number] != _TO_PMU:
                raise ScpiError(-221, f"RPM {number} is not switched to the pulse card")
        burst = self._segments(used) if self.arbitrary else self._pulses(used)
        self.data = {1: [], 2: []}
        for number in used:
            first = burst.periods[0][number][0].start
            self._told(now, f"PMU1-{number} on")
            self.terminals[number - 1].set(now, on=True, volts=self._open(number, first), ohms=PULSE_OHMS)
        script = self._measured(burst, used, now) if burst.measured else self._given(burst, used, now)
        return Run("pulses", script, now)

    def _open(self, number: int, volts: float) -> float:
        """Return the open-circuit voltage [V] of a level that is meant for the load."""
        told = self.channels[number].load
        wanted = volts * (1.0 + PULSE_OHMS / told)
        return self._units[number - 1].sourced(wanted, PULSE_VOLTS)

    def _pulses(self, used: list[int]) -> Burst:
        ways = {number: self.channels[number].amplitudes() for number in used}
        steps = max(len(way) for way in ways.values())
        if any(len(way) not in (1, steps) for way in ways.values()):
            raise ScpiError(-221, "sweeps of different length")
        if len({repr(self.channels[number].times) for number in used}) > 1:
            raise ScpiError(-221, "both channels need the same times")
        mode = self.measure_mode
        periods = [
            {
                number: pulse(self.channels[number], way[step] if len(way) > 1 else way[0], mode)
                for number, way in ways.items()
            }
            for step in range(steps)
        ]
        return self._same(Burst(periods, self.count, mode != 0), used)

    def _segments(self, used: list[int]) -> Burst:
        plays = {number: self.channels[number].play for number in used}
        if not all(plays.values()) or len({repr(play) for play in plays.values()}) > 1:
            raise ScpiError(-221, "every channel needs the same list of sequences")
        play = plays[used[0]]
        periods: list[dict[int, list[Piece]]] = []
        for name, loops in play:
            one = {number: sequence(self.channels[number].sequences.get(name, {}), name) for number in used}
            periods += [one] * (loops if len(play) > 1 else 1)
        measured = any(piece.measure != NONE for period in periods for way in period.values() for piece in way)
        repeats = play[0][1] if len(play) == 1 else 1
        return self._same(Burst(periods, repeats, measured), used)

    @staticmethod
    def _same(burst: Burst, used: list[int]) -> Burst:
        for period in burst.periods:
            times = [np.array([piece.seconds for piece in period[number]]) for number in used]
            if any(one.shape != times[0].shape or not np.allclose(one, times[0], atol=1e-12) for one in times[1:]):
                raise ScpiError(-221, "both channels need the same times")
        return burst

    def _given(self, burst: Burst, used: list[int], start: float) -> Script:
        now = start
        for period in burst.periods:
            self._take_waves(now)
            seconds = 0.0
            for number in used:
                times, levels = stairs(period[number])
                seconds = float(times.sum())
                volts = np.array([self._open(number, level) for level in levels])
                wave = Wave(self.terminals[number - 1], now, times, volts, burst.repeats)
                self.circuit.settle(now)
                self.circuit.add_wave(wave)
                self._waves.append(wave)
            now += seconds * burst.repeats
            yield now
            self._take_waves(now)
            self._rest(now, period, used)

    def _rest(self, now: float, period: dict[int, list[Piece]], used: list[int]) -> None:
        for number in used:
            if self.wanted[number]:
                self.terminals[number - 1].set(now, volts=self._open(number, period[number][-1].stop))

    def _measured(self, burst: Burst, used: list[int], start: float) -> Script:
        """Go through it level by level; every channel is looked at where one is."""
        now, interval = start, 1.0 / self.rate
        meters = {number: Meter(self.channels[number].measure_range) for number in used}
        for period in burst.periods:
            for _ in range(burst.repeats):
                for number in used:
                    self.data[number].append([])
                for together in zip(*(period[number] for number in used), strict=True):
                    yield from self._piece(dict(zip(used, together, strict=True)), meters, now, start, interval)
                    now += together[0].seconds
        self._rest(now, burst.periods[-1], used)
        for number in used:
            self.data[number] = [row for row in self.data[number] if row][:POINTS_MAX]

    def _piece(
        self, pieces: dict[int, Piece], meters: dict[int, Meter], begin: float, start: float, interval: float
    ) -> Script:
        ways = {number: looks(piece, interval, _SPOTS) for number, piece in pieces.items()}
        ends = sorted({round(end, 13) for way in ways.values() for end, _, _ in way})
        before = 0.0
        sums: dict[int, list[tuple[float, float, float]]] = {number: [] for number in pieces}
        for end in ends:
            middle = 0.5 * (before + end)
            for number, piece in pieces.items():
                if self.wanted[number]:
                    level = piece.start + (piece.stop - piece.start) * middle / piece.seconds
                    self.terminals[number - 1].set(begin + before, volts=self._open(number, level))
            yield begin + end
            for number in pieces:
                terminal, meter, unit = self.terminals[number - 1], meters[number], self._units[number - 1]
                seen = self.circuit.measure(terminal, begin + end, aperture=max(end - before, interval))
                amps = unit.reading(meter.follow(seen.amps, end - before), meter.on, 1.0)
                if any(looked and abs(at - end) < 1e-12 for at, _, looked in ways[number]):
                    sums[number].append((unit.reading(seen.volts, PULSE_VOLTS, 1.0), amps, begin + end - start))
            before = end
        for number, piece in pieces.items():
            self._keep(number, piece, sums[number])

    def _keep(self, number: int, piece: Piece, found: list[tuple[float, float, float]]) -> None:
        rows = self.data[number]
        if not found:
            return
        if piece.measure == SPOT:
            rows[-1] += [*(float(np.mean(column)) for column in zip(*found, strict=True)), 0.0]
            if self.arbitrary:
                rows.append([])
        else:
            rows[-1:] = [*([volts, amps, at, 0.0] for volts, amps, at in found), []]

    # --- data ---------------------------------------------------------------------------------

    def points(self, channel: str) -> str:
        """``:PMU:DATA:COUNT?``."""
        self.of(channel)
        return str(len(self.data[int(channel)]))

    def get(self, channel: str, start: str = "0", count: str = str(BLOCK_MAX), *fields: str) -> str:
        """``:PMU:DATA:GET``: points from ``start`` on, fields by commas, points by semicolons."""
        self.of(channel)
        if not 1 <= int(count) <= BLOCK_MAX:
            raise ScpiError(-222, f"{count} points")
        rows = self.data[int(channel)][int(start) : int(start) + int(count)]
        columns = [_FIELDS[one.strip("'\"").upper()] for one in fields]
        return ";".join(
            ",".join(f"{row[at]:.6E}" for at in (columns or range(len(row))) if at < len(row)) for row in rows
        )
