"""What a channel of a pulse card is told to give, piece by piece, and the stairs it is lived through in."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...scpi.errors import ScpiError
from .specs import SEGMENT_MIN, SEGMENTS_MAX

_EDGE_STAIRS: Final = 4
_SAME: Final = 1e-12
NONE, SPOT, WAVEFORM = 0, 1, 2


class Piece(NamedTuple):
    """A straight line: how long [s], from where, to where [V], what is measured, from and until when in it [s]."""

    seconds: float
    start: float
    stop: float
    measure: int = NONE
    begin: float = 0.0
    end: float = 0.0
    low: bool = False


@dataclass(slots=True)
class Times:
    """``:PMU:PULSE:TIMES`` [s]: width at half height, edges from end to end."""

    period: float = 1e-6
    width: float = 5e-7
    rise: float = 1e-7
    fall: float = 1e-7
    delay: float = 0.0


@dataclass(slots=True)
class Settings:
    """What ``:PMU:INIT`` brings back, of one channel."""

    base: float = 0.0
    amplitude: float = 0.0
    times: Times = field(default_factory=Times)
    sweep: tuple[float, float, float, bool] | None = None
    """Start, stop, step of the amplitude [V], and whether it goes back."""
    load: float = 1e6
    source_range: float = 10.0
    measure_range: float = 1e-2
    acquire: tuple[bool, bool] = (True, False)
    window: tuple[float, float] = (0.75, 0.9)
    sequences: dict[int, dict[str, list[float]]] = field(default_factory=dict[int, dict[str, list[float]]])
    play: list[tuple[int, int]] = field(default_factory=list[tuple[int, int]])

    def amplitudes(self) -> list[float]:
        """Return the amplitude of every step of the sweep; one where there is none."""
        if self.sweep is None:
            return [self.amplitude]
        start, stop, step, dual = self.sweep
        count = round(abs(stop - start) / abs(step)) + 1 if step else 1
        way = list(np.linspace(start, stop, count))
        return way + way[::-1] if dual else way


def pulse(settings: Settings, amplitude: float, mode: int) -> list[Piece]:
    """Return one period of standard pulses.

    Raises
    ------
    ScpiError
        Times that do not fit each other.
    """
    at, base = settings.times, settings.base
    top = at.width - 0.5 * (at.rise + at.fall)
    rest = at.period - at.delay - at.rise - top - at.fall
    if min(at.rise, at.fall) < SEGMENT_MIN - _SAME or top < SEGMENT_MIN - _SAME or rest < SEGMENT_MIN - _SAME:
        raise ScpiError(-221, f"width {at.width:g} s, edges {at.rise:g} s and period {at.period:g} s do not fit")
    high, low = settings.acquire
    first, last = settings.window
    spot = mode in (1, 3)
    measured = Piece(top, amplitude, amplitude)
    resting = Piece(rest, base, base)
    if spot and high:
        measured = Piece(top, amplitude, amplitude, SPOT, first * top, last * top)
    if spot and low:
        resting = Piece(rest, base, base, SPOT, first * rest, last * rest, True)
    if mode in (2, 4):
        measured = Piece(top, amplitude, amplitude, WAVEFORM, 0.0, top)
    pieces = [Piece(at.rise, base, amplitude), measured, Piece(at.fall, amplitude, base), resting]
    return [Piece(at.delay, base, base), *pieces] if at.delay else pieces


def sequence(told: dict[str, list[float]], number: int) -> list[Piece]:
    """Return the segments of one sequence.

    Raises
    ------
    ScpiError
        Arrays that do not fit each other, a segment that is too short, a jump between two.
    """
    seconds, starts, stops = (told.get(name, []) for name in ("TIME", "STARTV", "STOPV"))
    count = len(seconds)
    if not 1 <= count <= SEGMENTS_MAX or len(starts) != count or len(stops) != count:
        raise ScpiError(-221, f"sequence {number}: {count} times, {len(starts)} starts, {len(stops)} stops")
    if min(seconds) < SEGMENT_MIN - _SAME:
        raise ScpiError(-222, f"sequence {number}: a segment of {min(seconds):g} s")
    if any(abs(stop - start) > 1e-6 for stop, start in zip(stops[:-1], starts[1:], strict=True)):
        raise ScpiError(-221, f"sequence {number}: a segment does not begin where the one before it ends")
    kinds, begins, ends = (told.get(name, [0.0] * count) for name in ("MEAS:TYPE", "MEAS:START", "MEAS:STOP"))
    if not len(kinds) == len(begins) == len(ends) == count:
        raise ScpiError(-221, f"sequence {number}: measurements of another number of segments")
    pieces: list[Piece] = []
    for at in range(count):
        kind = {0: NONE, 1: SPOT, 2: WAVEFORM, 3: SPOT, 4: WAVEFORM}.get(int(kinds[at]))
        if kind is None or (kind and not 0.0 <= begins[at] < ends[at] <= seconds[at] + _SAME):
            raise ScpiError(-222, f"sequence {number}: measurement of segment {at + 1}")
        pieces.append(Piece(seconds[at], starts[at], stops[at], kind, begins[at], ends[at]))
    return pieces


def stairs(pieces: list[Piece]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return times [K] s and levels [K] V: an edge is four stairs, each at the mean of its time."""
    seconds: list[float] = []
    volts: list[float] = []
    for piece in pieces:
        count = 1 if piece.start == piece.stop else _EDGE_STAIRS
        for step in range(count):
            seconds.append(piece.seconds / count)
            volts.append(piece.start + (piece.stop - piece.start) * (step + 0.5) / count)
    return np.array(seconds), np.array(volts)


def looks(piece: Piece, interval: float, spots: int) -> list[tuple[float, float, bool]]:
    """Return how a piece is gone through when it is measured: until when in it [s], level [V], whether to look then."""
    edges = {0.0, piece.seconds}
    if piece.start != piece.stop:
        edges |= {piece.seconds * step / _EDGE_STAIRS for step in range(1, _EDGE_STAIRS)}
    wanted: set[float] = set()
    if piece.measure:
        span = piece.end - piece.begin
        count = spots if piece.measure == SPOT else max(1, int(span / interval + 1e-6))
        wanted = {piece.begin + span * (step + 1) / count for step in range(count)}
    way = sorted(edges | wanted | {piece.begin})
    found: list[tuple[float, float, bool]] = []
    for before, after in pairwise(way):
        if after - before > _SAME:
            level = piece.start + (piece.stop - piece.start) * 0.5 * (before + after) / piece.seconds
            found.append((after, level, any(abs(after - one) < _SAME for one in wanted)))
    return found
