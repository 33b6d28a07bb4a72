"""Waveforms and pulsed sweeps of a 4225-PMU, with what both channels measure in them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...limits import refuse_bad_number
from ...wire.doors import alone
from .pulse_output import SAME, PulseOutput
from .pulses import (
    BLOCK_MAX,
    CHANNELS,
    POINTS_MAX,
    SEGMENT_MAX,
    SEGMENT_MIN,
    VOLTS_MAX,
    VOLTS_MIN,
    Measure,
    PulseData,
    on_grid,
    quantised,
    settling,
    sweep_commands,
    waveform_commands,
)
from .sweep import PIECE_SECONDS

_SEGMENTS_MOST = 2048


class MeasuredPulses(PulseOutput):
    """Segment arbs and pulsed sweeps."""

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
        if not (np.isfinite(times).all() and (times >= SEGMENT_MIN / SAME).all() and (times <= SEGMENT_MAX).all()):
            raise RefusedError(f"{where}: every segment takes {SEGMENT_MIN:g} s to {SEGMENT_MAX:g} s")
        if any(way[0] or way[-1] for way in ways):
            raise RefusedError(
                f"{where}: a waveform begins and ends at 0 V on both channels: nobody holds it there else"
            )
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
        if not after >= wanted / SAME or not until > after:
            faster = "or a higher range, " if amps < 0.2 else ""
            raise RefusedError(
                f"{self.name}: the {span:g} A range settles in {wanted:g} s (from memory of the data sheet), and what "
                f"is measured from {after:g} s to {until:g} s is not settled: choose a longer pulse and a later start, "
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
            raise RefusedError(
                f"{who}: steps of {step:g} V do not lead from {ends[0]:g} V to {ends[1]:g} V: choose others"
            )
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
