"""Ranges of a source-measure unit, and the errors of one unit of it."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

OVERRANGE: Final = 1.05
"""Ranges reach to 105 % of their name."""


@dataclass(frozen=True, slots=True)
class Range:
    """One range.

    Attributes
    ----------
    full_scale : float [V, A or Ω]
    gain, offset : float [1; V or A]
        Accuracy of readings, one year, ± (gain · reading + offset).
    source_gain, source_offset : float [1; V or A]
        The same of the source.
    step : float [V or A]
        Resolution of the source.
    noise : float [V or A]
        RMS at 1 PLC.
    delay, slow_delay : float [s]
        Automatic delay of a voltage source that measures on this current range; with high capacitance.
    digits : float
        Resolution of readings, of full scale.
    spare : float
        How far readings go, of full scale.
    """

    full_scale: float
    gain: float
    offset: float
    source_gain: float = 0.0
    source_offset: float = 0.0
    step: float = 0.0
    noise: float = 0.0
    delay: float = 1e-3
    slow_delay: float = 5e-3
    digits: float = 1e-6
    spare: float = OVERRANGE

    @property
    def top(self) -> float:
        """The largest value on the range."""
        return self.full_scale * OVERRANGE

    @property
    def reading_top(self) -> float:
        """The largest value it reads."""
        return self.full_scale * self.spare

    @property
    def resolution(self) -> float:
        """Of readings."""
        return self.full_scale * self.digits


class Unit:
    """What is particular about one instrument: its gain and offset errors, and its noise.

    Errors stay within half of the one-year accuracy, as they do on a unit within its calibration interval (assumed).

    Parameters
    ----------
    seed : int
    ranges : iterable of Range
        Of volts and of amperes.
    overflow : float
        What it calls a reading beyond its range.
    """

    def __init__(self, seed: int, ranges: Iterable[Range], *, overflow: float = 9.9e37) -> None:
        draw = random.Random(seed)
        ranges = tuple(ranges)
        self._overflow = overflow
        self._reading = {each: (_half(draw) * each.gain, _half(draw) * each.offset) for each in ranges}
        self._source = {each: (_half(draw) * each.source_gain, _half(draw) * each.source_offset) for each in ranges}
        self._gauss = random.Random(draw.getrandbits(64)).gauss

    def reading(self, true: float, on: Range, nplc: float) -> float:
        """Return what the converter makes of ``true`` [V or A] on a range; beyond it its overflow."""
        if abs(true) > on.reading_top * (1.0 + 1e-9):
            return self._overflow
        gain, offset = self._reading[on]
        value = true * (1.0 + gain) + offset + self._gauss(0.0, on.noise / math.sqrt(nplc))
        return round(value / on.resolution) * on.resolution

    def sourced(self, level: float, on: Range) -> float:
        """Return what comes out [V or A] for a programmed ``level`` on a range."""
        gain, offset = self._source[on]
        return round(level / on.step) * on.step * (1.0 + gain) + offset


class Follower:
    """What a current amplifier shows: it follows late.

    Parameters
    ----------
    seconds : float [s]
        In which it settles to 1 %.
    """

    def __init__(self, seconds: float) -> None:
        self._tau = seconds / math.log(100.0)
        self._seen = 0.0

    def follow(self, amps: float, seconds: float) -> float:
        """Return what it has come to when ``amps`` [A] have flown for ``seconds`` [s]."""
        self._seen += (amps - self._seen) * -math.expm1(-seconds / self._tau)
        return self._seen


def _half(draw: random.Random) -> float:
    return draw.uniform(-0.5, 0.5)
