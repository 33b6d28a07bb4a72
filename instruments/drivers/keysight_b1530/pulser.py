"""The two channels as a pulse source: trains, waveforms, and pulses with a read behind each, in one execution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...limits import refuse_bad_number
from ...wire.doors import alone
from ..roles import Stairs
from ..source_limits import check_train
from .calls import PIECE_SECONDS
from .output import SAME, WgfmuOutput
from .shapes import (
    EDGE_MAX,
    EDGE_MIN,
    GRID,
    PULSE_AMPS,
    RANGES,
    VECTORS_MAX,
    VOLTS_MAX,
    Look,
    Train,
    Waveform,
    amps_range,
    force_range,
    joined,
    on_grid,
    pulse_corners,
    quantised,
)

_COUNT_MAX = 10_000_000
_VOLTS_MIN = 1e-3
_PERIOD_MAX = PIECE_SECONDS
_AVERAGE = 1e-6  # of a read [s]
STAIR_RANGES = RANGES[-2::-1]
"""Ranges [A] on which a staircase reads behind each pulse, from 1 mA down."""
_HELD = 0.95  # of a range


class Seen(NamedTuple):
    """What a channel measured: times [s] from the beginning of the execution, currents out of it [A]."""

    seconds: FloatArray
    current: FloatArray


class WgfmuPulser(WgfmuOutput):
    """Pulses from 0 V on both channels in step."""

    edge_range = (EDGE_MIN, 1e-6)

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
        """Give a train of pulses from 0 V on both channels at once and return when it is over; disconnected after it.

        Parameters
        ----------
        first, second : float [V]
            Amplitudes on channels 1 and 2, either sign; a channel of 0 V is held at 0 V.
        width : float [s]
            At half height, on a 10 ns grid.
        edge : float [s]
            Rise and fall time as programmed, 10 ns to 1 µs; the module's own are slower.
        period : float [s]
            From pulse to pulse.
        count : int
            Pulses; executions of ``PIECE_SECONDS`` at most.
        most : float [V]
            Rounding takes neither channel beyond this magnitude; default the limit.

        Raises
        ------
        RefusedError
            Outside the limits or what the module can do: nothing was sent.
        """
        train = self.plan(first, second, width=width, edge=edge, period=period, count=count, most=most)
        rest = round(train.period - train.width - train.edge, 9)
        one = pulse_corners(train.first, train.second, train.width, train.edge, rest)
        at_once = max(1, int(PIECE_SECONDS / train.period))
        left = train.count
        while left:
            now = min(left, at_once)
            self.execute(Waveform(one.levels, one.steps, now))
            left -= now
        return train

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
        levels = [self._amplitude(volts, f"{where} channel {n}", most) for n, volts in ((1, first), (2, second))]
        width, edge, period = self._times(width, edge, period)
        given = check_train(
            self.bounds.now,
            levels,
            width=width,
            edge=edge,
            period=period,
            count=count,
            count_max=_COUNT_MAX,
            channel=where,
        )
        return Train(levels[0], levels[1], width, edge, period, given, round(given * period, 12))

    @alone
    def waveform(
        self, first: ArrayLike, second: ArrayLike, seconds: ArrayLike, *, looks: Sequence[Look] = ()
    ) -> tuple[Seen, Seen]:
        """Give a waveform of straight lines on both channels and return what each measured.

        Parameters
        ----------
        first, second : arrays [segments + 1] V
            Corners on channels 1 and 2; each begins and ends at 0 V.
        seconds : array [segments] s
            10 ns and more, on a grid of 10 ns; ``PIECE_SECONDS`` at most together.
        looks : sequence of Look
            When both channels measure, one behind the other.
        """
        waveform = self._corners(first, second, seconds, tuple(looks))
        self.check_looks(waveform.looks, waveform.seconds)
        return self._run(waveform)

    @alone
    def pulse_reads(
        self,
        first: ArrayLike,
        second: ArrayLike,
        *,
        width: float,
        edge: float,
        read: float,
        amps: float | Sequence[float],
        delay: float | None = None,
        average: float = _AVERAGE,
    ) -> tuple[Seen, Seen]:
        """Give pulses one after the other, each with a read behind it, in one execution: a staircase with its answers.

        The first channel reads at ``read``, the second one holds 0 V in it; both measure. Which pulse comes next cannot
        depend on a read: the module does not decide.

        Parameters
        ----------
        first, second : arrays [pulses] V
            Amplitudes on channels 1 and 2.
        width, edge : float [s]
            Of every pulse, at half height.
        read : float [V]
        amps : float or several [A]
            Range of the reads, or those on which each is done one after the other; pulses pass on the 10 mA range.
        delay : float [s]
            From a pulse's end to the read's level, and from that to its measurement; default what the range takes.
        average : float [s]
            Of a read.

        Returns
        -------
        two of Seen
            [pulses], or [pulses, ranges] where there are several.
        """
        where, now = self.name, self.bounds.now
        ways = [np.atleast_1d(np.asarray(one, dtype=np.float64)) for one in (first, second)]
        if ways[0].ndim != 1 or ways[0].shape != ways[1].shape or not 1 <= ways[0].size <= VECTORS_MAX // 10:
            raise RefusedError(f"{where}: give 1 to {VECTORS_MAX // 10} amplitudes on each channel, as many on both")
        now.one("count", ways[0].size, channel=where, unit="pulses")
        now.one("read_volts", read, channel=f"{where} read")
        width, edge, _ = self._times(width, edge, None)
        spans = (amps,) if isinstance(amps, int | float) else tuple(amps)
        delays = [self._delay(span) if delay is None else on_grid(delay) for span in spans]
        for span, waits in zip(spans, delays, strict=True):
            refuse_bad_number("delay", waits, self._delay(span) / SAME, 1.0, "s", channel=where)
        average, most = on_grid(average), self.bounds.source_volts_max
        parts: list[Waveform] = []
        looks: list[Look] = []
        begin = 0.0
        for pair in zip(*ways, strict=True):
            one, two = (
                self._amplitude(float(volts), f"{where} channel {n}", most)
                for n, volts in zip((1, 2), pair, strict=True)
            )
            now.check_pulses(abs(one - two), width, channel=where, edge=edge)
            pulse = pulse_corners(one, two, width, edge, delays[0])
            level = self._amplitude(read, f"{where} read", most)
            look = pulse_corners(level, 0.0, on_grid(sum(delays) + len(spans) * average + 2 * edge), edge, GRID)
            at = begin + pulse.seconds + edge
            for span, waits in zip(spans, delays, strict=True):
                looks.append(Look(begin=round(at + waits, 9), average=average, amps=span))
                at += waits + average
            parts += [pulse, look]
            begin = round(begin + pulse.seconds + look.seconds, 9)
        waveform = joined(parts, looks)
        self.check_length(waveform.seconds)
        self._check_corners(waveform, edge=edge)
        self.check_looks(waveform.looks, waveform.seconds)
        told = self._run(waveform, pulses=ways[0].size)
        if isinstance(amps, int | float):
            return told
        first_seen, second_seen = (Seen(*(one.reshape(-1, len(spans)) for one in seen)) for seen in told)
        return first_seen, second_seen

    def stairs_at_once(self, width: float, edge: float) -> int:
        """Return how many pulses with their reads one execution holds: ``width``, ``edge`` [s]."""
        width, edge, _ = self._times(width, edge, None)
        waits = [self._delay(span) for span in STAIR_RANGES]
        seconds = width + 4 * edge + waits[0] + sum(waits) + len(waits) * _AVERAGE + GRID
        return max(1, min(VECTORS_MAX // 10, int(PIECE_SECONDS / seconds)))

    def staircase(self, first: ArrayLike, second: ArrayLike, *, width: float, edge: float, read: float) -> Stairs:
        """Give pulses with a read behind each in one execution, :meth:`stairs_at_once` of them at most.

        Every read is done on each of ``STAIR_RANGES``, and the current that of the lowest one that holds it: a cell
        that is formed on the way is seen before and after. NaN where none does.
        """
        _, reads = self.pulse_reads(first, second, width=width, edge=edge, read=read, amps=STAIR_RANGES)
        current = np.full(len(reads.current), np.nan)
        for span, told in zip(STAIR_RANGES, reads.current.T, strict=True):  # the lowest one last
            current = np.where(np.abs(told) < _HELD * span, told, current)
        most = self.bounds.source_volts_max
        given = [
            np.array([self._amplitude(float(volts), self.name, most) for volts in np.atleast_1d(way)])
            for way in (np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
        ]
        return Stairs(given[0], given[1], self._times(width, edge, None)[0], current, float(reads.seconds[-1, -1]))

    def _delay(self, amps: float) -> float:
        """Return what a change to the range of ``amps`` and back takes [s]."""
        return on_grid(max(amps_range(amps)[2], amps_range(PULSE_AMPS)[2]))

    def _run(self, waveform: Waveform, *, pulses: int = 1) -> tuple[Seen, Seen]:
        self.execute(waveform, pulses=pulses)
        count = sum(look.points for look in waveform.looks)
        first, second = (Seen(*self._calls.values(number, count)) for number in self._box.numbers)
        return first, second

    # -- checks ------------------------------------------------------------------------------------------------------

    def _corners(self, first: ArrayLike, second: ArrayLike, seconds: ArrayLike, looks: tuple[Look, ...]) -> Waveform:
        where, now = self.name, self.bounds.now
        ways = [
            np.atleast_1d(now.check("source_volts", way, channel=f"{where} channel {n}"))
            for n, way in ((1, first), (2, second))
        ]
        times = np.atleast_1d(np.asarray(seconds, dtype=np.float64))
        if not 1 <= times.size < VECTORS_MAX or any(way.shape != (times.size + 1,) for way in ways):
            raise RefusedError(
                f"{where}: {times.size} segments with {ways[0].size} and {ways[1].size} corners: give 1 to "
                f"{VECTORS_MAX - 1} times and one corner more on each channel"
            )
        if not (np.isfinite(times).all() and (times >= GRID / SAME).all()):
            raise RefusedError(f"{where}: every segment takes {GRID:g} s and more")
        if any(way[0] or way[-1] for way in ways):
            raise RefusedError(
                f"{where}: a waveform begins and ends at 0 V on both channels: nobody holds it there else"
            )
        self.check_length(float(times.sum()))
        most = min(self.bounds.largest, VOLTS_MAX)
        levels = np.array([[quantised(float(volts), most) for volts in way] for way in ways])
        waveform = Waveform(levels, np.array([on_grid(float(each)) for each in times]), 1, looks)
        self._check_corners(waveform)
        return waveform

    def _check_corners(self, waveform: Waveform, *, edge: float = 0.0) -> None:
        """Hold what is between the channels to the limits of pulses: the time away from 0 V, the steepest edge.

        Of pulses with edges of ``edge`` [s] the width counts, at half height.
        """
        where, now = self.name, self.bounds.now
        for way in waveform.levels:
            force_range(way)
        across = waveform.levels[0] - waveform.levels[1]
        away = np.maximum(np.abs(across[1:]), np.abs(across[:-1])) > 0.0
        driven = round(_longest(away, waveform.steps) - edge, 9)
        if driven:
            now.one("width", driven, channel=f"{where} waveform", unit="s")
        step = np.abs(np.diff(across))
        steepest = int(np.argmax(step / waveform.steps))
        largest = max(float(np.abs(across).max()), float(step[steepest]))
        now.check_pulses(largest, driven, channel=where, edge=float(waveform.steps[steepest]))

    def _times(self, width: float, edge: float, period: float | None) -> tuple[float, float, float]:
        """Return times on the module's grid [s], checked."""
        where, now = self.name, self.bounds.now
        width = now.one("width", width, channel=where, unit="s")
        refuse_bad_number("edge", edge, EDGE_MIN / SAME, EDGE_MAX, "s", channel=where)
        given = width
        width, edge = on_grid(width), on_grid(edge)
        # Rounded down where up would be longer than is allowed.
        if width > now.width_max:
            width = round(width - GRID, 9)
        elif width < now.width_min:
            width = round(width + GRID, 9)
        now.one("width", width, channel=f"{where}, on its grid of 10 ns", unit="s")
        if width - edge < -GRID / 2 or width < GRID / SAME:
            raise RefusedError(f"edge {edge:g} s at {where} does not fit a width of {given:g} s: choose less")
        if period is None:
            return width, edge, 0.0
        refuse_bad_number("period", period, 2 * GRID, _PERIOD_MAX, "s", channel=where)
        period = on_grid(period)
        if period - width - edge < GRID / SAME:
            raise RefusedError(
                f"period {period:g} s at {where} leaves no room beside a width of {width:g} s with edges of {edge:g} s "
                f"at their ends: choose at least {width + edge + GRID:g} s"
            )
        return width, edge, period

    def _amplitude(self, volts: float, channel: str, most: float) -> float:
        volts = self.bounds.now.one("source_volts", volts, channel=channel)
        if volts == 0.0:
            return 0.0
        refuse_bad_number("amplitude", abs(volts), _VOLTS_MIN, VOLTS_MAX, "V", channel=channel)
        return quantised(volts, min(most, self.bounds.largest))


def _longest(away: np.ndarray, steps: FloatArray) -> float:
    """Return the longest time [s] in one go that ``away`` holds."""
    longest = now = 0.0
    for is_away, step in zip(away, steps, strict=True):
        now = now + float(step) if is_away else 0.0
        longest = max(longest, now)
    return longest
