"""A 4225-PMU behind two 4225-RPMs as a pulse source for two crossbar lines: trains, waveforms, pulsed sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike
from qcodes.instrument import InstrumentChannel

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...errors import InstrumentError
from ...limits import Limits, refuse_bad_number
from ...wire.doors import alone
from ..box_part import BoxPart
from ..source_limits import SourceLimits
from ..stress import Stress, Unheard
from .pulses import (
    BLOCK_MAX,
    BURST_MAX,
    CHANNELS,
    EDGE_MAX,
    EDGE_MIN,
    GRID,
    POINTS_MAX,
    SEGMENT_MAX,
    SEGMENT_MIN,
    VOLTS_MAX,
    VOLTS_MIN,
    Measure,
    PulseData,
    Train,
    on_grid,
    quantised,
    settling,
    sweep_commands,
    train_commands,
    waveform_commands,
)
from .sweep import PIECE_SECONDS

if TYPE_CHECKING:
    from .box import Keithley4200Box

_COUNT_MAX = 1_000_000
_TRAIN_MAX = 1e5  # s, ours: a day is a slip of units
_SEGMENTS_MOST = 2048
_POLLS = 10_000
_SAME = 1.0 + 1e-9
_OFF = "\n".join(f":PMU:OUTPUT:STATE {n}, 0" for n in CHANNELS)
_ON = "\n".join(f":PMU:OUTPUT:STATE {n}, 1" for n in CHANNELS)


class Keithley4225Pmu(BoxPart, InstrumentChannel):  # pyright: ignore[reportIncompatibleVariableOverride]
    """The pulse card of the box, both channels in step, from 0 V; outputs are off between tests."""

    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""
    edge_range = (EDGE_MIN, 1e-6)

    def __init__(self, box: Keithley4200Box, bounds: SourceLimits) -> None:
        InstrumentChannel.__init__(self, box, "pmu")
        self._box = box
        self.wire = box.wire
        self.bounds = bounds

    @property
    def limits(self) -> Limits:
        """What may be applied."""
        return self.bounds.now

    @property
    def source_volts_max(self) -> float:
        """Largest magnitude a terminal may ever be driven to [V]."""
        return self.bounds.source_volts_max

    @alone
    def set_limits(self, limits: Limits) -> None:
        """Narrow what may be applied; wider limits are refused."""
        self.bounds.narrow(limits)

    # -- trains ------------------------------------------------------------------------------------------------------

    @alone
    def pulses(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> Train:
        """Give a train of pulses from 0 V on both channels at once and return when it is over; outputs off after it.

        Parameters
        ----------
        first, second : float [V]
            Amplitudes on channels 1 and 2, either sign; a channel of 0 V is held at 0 V.
        width : float [s]
            At half height, 40 ns and more on a 10 ns grid.
        edge : float [s]
            Rise and fall time, 20 ns to 1 µs.
        period : float [s]
            From pulse to pulse.
        count : int
            Pulses, up to a million: in bursts of 10,000 and ``PIECE_SECONDS`` at most.
        most : float [V]
            Rounding takes neither channel beyond this magnitude; default the limit.

        Raises
        ------
        RefusedError
            Outside the limits or what the card can do: nothing was sent.
        """
        train = self.plan(first, second, width=width, edge=edge, period=period, count=count, most=most)
        try:
            self.wire.exchange.act("\n".join(train_commands(train)))
            burst = max(1, min(BURST_MAX, int(PIECE_SECONDS / train.period)))
            left, told = train.count, 0
            self.stress.pulses((train.first, train.second), train.count)
            while left:
                now = min(left, burst)
                count_command = "" if now == told else f":PMU:PULSE:BURST:COUNT {now}\n"
                self._execute(count_command, now * train.period)
                left, told = left - now, now
        except BaseException:
            self.idle()
            raise
        return train

    def _execute(self, first: str, seconds: float) -> None:
        """Run what is set up, wait for its end and switch both outputs off."""
        exchange = self.wire.exchange
        exchange.act(f"{first}{_ON}")
        exchange.act(":PMU:EXECUTE")
        self.clock.wait(seconds)
        for _ in range(_POLLS):
            reply = exchange.query(":PMU:TEST:STATUS?")
            if reply.strip() == "0":
                exchange.act(_OFF)
                return
            if reply.strip() != "1":
                raise self.wire.faults.garbled(":PMU:TEST:STATUS?", reply)
            self.clock.wait(max(0.01 * seconds, 1e-3))
        raise InstrumentError(
            f"{self.name} at {self.place} still runs a test that takes {seconds:.3g} s: look at its KXCI window, then run "
            "the step again"
        )

    def plan(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> Train:
        """Return what :meth:`pulses` would give, or refuse it; nothing is sent."""
        where = self.name
        most = self.bounds.source_volts_max if most is None else most
        amplitudes = [self._amplitude(volts, f"{where} channel {n}", most) for n, volts in ((1, first), (2, second))]
        if not any(amplitudes):
            raise RefusedError(f"{where}: both channels at 0 V: there is nothing to pulse")
        width, edge, period = self._times(width, edge, period)
        across = abs(amplitudes[0] - amplitudes[1])
        self.bounds.now.check_pulses(across, width, channel=where, edge=edge)
        pulses = self.bounds.now.one("count", count, channel=where, unit="pulses")
        if pulses != int(pulses):
            raise RefusedError(f"count {count!r} at {where} is not a whole number of pulses")
        refuse_bad_number("count", count, 1, _COUNT_MAX, "pulses", channel=where)
        refuse_bad_number("length of the train", pulses * period, 0.0, _TRAIN_MAX, "s", channel=where)
        return Train(*amplitudes, width, edge, period, int(count), round(count * period, 12))

    def _times(self, width: float, edge: float, period: float) -> tuple[float, float, float]:
        """Return times on the card's grid [s], checked."""
        where = self.name
        width = self.bounds.now.one("width", width, channel=where, unit="s")
        refuse_bad_number("width", width, 2 * SEGMENT_MIN, SEGMENT_MAX, "s", channel=where)
        refuse_bad_number("edge", edge, EDGE_MIN, EDGE_MAX, "s", channel=where)
        refuse_bad_number("period", period, 4 * SEGMENT_MIN, SEGMENT_MAX, "s", channel=where)
        given = width
        width, edge, period = on_grid(width), on_grid(edge), on_grid(period)
        # Rounded down where up would be longer than is allowed.
        if width > self.bounds.now.width_max:
            width = round(width - GRID, 9)
        if width - edge < SEGMENT_MIN / _SAME:
            raise RefusedError(
                f"edge {edge:g} s at {where} leaves no top of {SEGMENT_MIN:g} s in a width of {given:g} s: choose an edge "
                f"of at most {max(width - SEGMENT_MIN, 0.0):g} s"
            )
        if period - width - edge < SEGMENT_MIN / _SAME:
            raise RefusedError(
                f"period {period:g} s at {where} leaves no room beside a width of {width:g} s with edges of {edge:g} s: "
                f"choose at least {width + edge + SEGMENT_MIN:g} s"
            )
        return width, edge, period

    def _amplitude(self, volts: float, channel: str, most: float) -> float:
        volts = self.bounds.now.one("source_volts", volts, channel=channel)
        if volts == 0.0:
            return 0.0
        refuse_bad_number("amplitude", abs(volts), VOLTS_MIN, VOLTS_MAX, "V", channel=channel)
        return quantised(volts, min(most, self.bounds.largest))

    # -- waveforms and pulsed sweeps ---------------------------------------------------------------------------------

    @alone
    def waveform(
        self,
        first: ArrayLike,
        second: ArrayLike,
        seconds: ArrayLike,
        *,
        loops: int = 1,
        measure: Sequence[Measure | None] | None = None,
        after: float = 0.0,
        current_range: float | None = None,
        rate: float = 200e6,
    ) -> tuple[PulseData, PulseData]:
        """Give a waveform of straight segments on both channels (segment arb) and return what each measured.

        Parameters
        ----------
        first, second : arrays [segments + 1] V
            Corners on channels 1 and 2; each begins and ends at 0 V.
        seconds : array [segments] s
            20 ns and more, on a 10 ns grid.
        loops : int
            How often it is given; all together ``PIECE_SECONDS`` at most.
        measure : sequence [segments]
            ``"spot"`` (one mean), ``"waveform"`` (samples) or None, for each segment.
        after : float [s]
            From the beginning of a measured segment to its measurement: no less than its range takes to settle.
        current_range : float [A]
            Of both channels; where nothing is measured it may be left out.
        rate : float [1/s]
            Of samples.
        """
        levels, times = self._corners(first, second, seconds)
        kinds: list[Measure | None] = [None] * times.size if measure is None else list(measure)
        loops = int(self.bounds.now.one("count", loops, channel=self.name, unit="pulses"))
        total = float(times.sum()) * loops
        refuse_bad_number("length of the waveform", total, 0.0, PIECE_SECONDS, "s", channel=self.name)
        self._check_looks(kinds, times, after, current_range, rate, loops)
        commands = waveform_commands(
            levels, times, loops=loops, measure=kinds, after=np.full(times.size, after), amps=current_range, rate=rate
        )
        try:
            self.wire.exchange.act("\n".join(commands))
            self.stress.pulses([float(way[np.argmax(np.abs(way))]) for way in levels], loops)
            self._execute("", total)
            return self._data(1, any(kinds)), self._data(2, any(kinds))
        except BaseException:
            self.idle()
            raise

    def _corners(self, first: ArrayLike, second: ArrayLike, seconds: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Return levels [2, segments + 1] V and times [segments] s as the card keeps them, checked."""
        where, now = self.name, self.bounds.now
        ways = [np.atleast_1d(now.check("source_volts", way, channel=f"{where} channel {n}"))
                for n, way in zip(CHANNELS, (first, second), strict=True)]  # fmt: skip
        times = np.atleast_1d(np.asarray(seconds, dtype=np.float64))
        if not 1 <= times.size <= _SEGMENTS_MOST or any(way.shape != (times.size + 1,) for way in ways):
            raise RefusedError(
                f"{where}: {times.size} segments with {ways[0].size} and {ways[1].size} corners: give 1 to "
                f"{_SEGMENTS_MOST} times and one corner more on each channel"
            )
        if not (np.isfinite(times).all() and (SEGMENT_MIN / _SAME <= times).all() and (times <= SEGMENT_MAX).all()):
            raise RefusedError(f"{where}: every segment takes {SEGMENT_MIN:g} s to {SEGMENT_MAX:g} s")
        if any(way[0] or way[-1] for way in ways):
            raise RefusedError(f"{where}: a waveform begins and ends at 0 V on both channels: nobody holds it there else")
        levels = np.array([[quantised(float(v), min(self.bounds.largest, VOLTS_MAX)) for v in way] for way in ways])
        times = np.array([on_grid(float(each)) for each in times])
        across = np.abs(levels[0] - levels[1])
        driven = float(times[np.maximum(across[1:], across[:-1]) > 0.0].sum())
        if driven:
            now.one("width", driven, channel=f"{where} waveform", unit="s")
        slope = np.abs(np.diff(levels[0] - levels[1])) / times
        steepest = int(np.argmax(slope))
        step = float(np.abs(np.diff(levels[0] - levels[1]))[steepest])
        now.check_pulses(max(float(across.max()), step), driven, channel=where, edge=float(times[steepest]))
        return levels, times

    def _check_looks(
        self,
        kinds: Sequence[Measure | None],
        times: FloatArray,
        after: float,
        current_range: float | None,
        rate: float,
        loops: int,
    ) -> None:
        where = self.name
        if len(kinds) != times.size or any(kind not in (None, "spot", "waveform") for kind in kinds):
            raise RefusedError(f'{where}: measure is "spot", "waveform" or None for each of {times.size} segments')
        if not any(kinds):
            return
        if current_range is None:
            raise RefusedError(f"{where}: say on which current_range is measured: a pulse is over before one is chosen")
        refuse_bad_number("rate", rate, 1e3, 200e6, "Hz", channel=where)
        measured = times[[kind is not None for kind in kinds]]
        shortest = float(measured.min())
        self._require_settled(current_range, after, shortest)
        if float(measured.sum()) * rate * loops > POINTS_MAX and "waveform" in kinds:
            raise RefusedError(f"{where}: more than {POINTS_MAX} samples: choose a lower rate, fewer loops or segments")

    def _require_settled(self, amps: float, after: float, until: float) -> None:
        """Refuse a measurement that begins before its range has settled."""
        span, wanted = settling(amps)
        if not after >= wanted / _SAME or not until > after:
            faster = "or a higher range, " if amps < 0.2 else ""
            raise RefusedError(
                f"{self.name}: the {span:g} A range settles in {wanted:g} s (from memory of the data sheet), and what is "
                f"measured from {after:g} s to {until:g} s is not settled: choose a longer pulse and a later start, "
                f"{faster}or give the pulse alone and read with the SMUs after it"
            )

    @alone
    def pulse_iv(
        self,
        start: float,
        stop: float,
        step: float,
        *,
        channel: int = 1,
        width: float,
        edge: float,
        period: float,
        current_range: float,
    ) -> tuple[PulseData, PulseData]:
        """Give pulses of growing amplitude on one channel, the other at 0 V; return what both measured at the top.

        Parameters
        ----------
        start, stop, step : float [V]
        channel : 1 or 2
        width, edge, period : float [s]
            As of :meth:`pulses`; from 75 to 90 % of the top is measured.
        current_range : float [A]
            Of both channels.
        """
        who = self.name
        if channel not in CHANNELS:
            raise RefusedError(f"{who}: channel {channel!r}: choose 1 or 2")
        ends = [self._sweep_end(volts, f"{who} channel {channel}") for volts in (start, stop)]
        refuse_bad_number("step", abs(step), VOLTS_MIN, VOLTS_MAX, "V", channel=who)
        count = round(abs(ends[1] - ends[0]) / abs(step)) + 1
        if abs(abs(ends[1] - ends[0]) - (count - 1) * abs(step)) > 1e-9:
            raise RefusedError(f"{who}: steps of {step:g} V do not lead from {ends[0]:g} V to {ends[1]:g} V: choose others")
        width, edge, period = self._times(width, edge, period)
        self.bounds.now.one("count", count, channel=who, unit="pulses")
        self.bounds.now.check_pulses(max(abs(ends[0]), abs(ends[1])), width, channel=who, edge=edge)
        refuse_bad_number("length of the sweep", count * period, 0.0, PIECE_SECONDS, "s", channel=who)
        top = width - edge
        self._require_settled(current_range, 0.75 * top, 0.9 * top)
        signed = abs(step) if ends[1] >= ends[0] else -abs(step)
        commands = sweep_commands(
            channel, ends[0], ends[1], signed, period=period, width=width, edge=edge, amps=current_range
        )
        try:
            self.wire.exchange.act("\n".join(commands))
            largest = ends[0] if abs(ends[0]) > abs(ends[1]) else ends[1]
            self.stress.pulses((largest, 0.0) if channel == 1 else (0.0, largest), count)
            self._execute("", count * period)
            return self._data(1, True), self._data(2, True)
        except BaseException:
            self.idle()
            raise

    def _sweep_end(self, volts: float, channel: str) -> float:
        volts = self.bounds.now.one("source_volts", volts, channel=channel)
        refuse_bad_number("amplitude", abs(volts), 0.0, VOLTS_MAX, "V", channel=channel)
        return quantised(volts, self.bounds.largest)

    # -- data --------------------------------------------------------------------------------------------------------

    def _data(self, channel: int, any_at_all: bool) -> PulseData:
        """Fetch what a channel measured, block by block."""
        rows: list[list[float]] = []
        if any_at_all:
            question = f":PMU:DATA:COUNT? {channel}"
            reply = self.wire.exchange.query(question)
            if not reply.strip().isdigit():
                raise self.wire.faults.garbled(question, reply)
            count = int(reply)
            for start in range(0, count, BLOCK_MAX):
                rows += self._block(channel, start, min(BLOCK_MAX, count - start))
        found = np.array(rows, dtype=np.float64).reshape(-1, 4)
        amps = found[:, 1].copy()
        amps[np.abs(amps) >= 9.9e37] = np.nan
        return PulseData(found[:, 0], amps, found[:, 2], found[:, 3].astype(np.int64))

    def _block(self, channel: int, start: int, count: int) -> list[list[float]]:
        question = f":PMU:DATA:GET {channel}, {start}, {count}"
        reply = self.wire.exchange.query(question)
        try:
            rows = [[float(word) for word in row.split(",")] for row in reply.strip(";\r\n ").split(";")]
        except ValueError:
            rows = []
        if len(rows) != count or any(len(row) != 4 for row in rows):
            raise self.wire.faults.garbled(question, reply)
        return rows
