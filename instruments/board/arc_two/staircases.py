"""Staircases of pulses with a read behind each, as ramps of the library: a program for some 40 of them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

from ...capabilities import Staircase
from ...chip.requests import checked_staircase
from ...wire.unconfirmed import unconfirmed
from .parts import Driven
from .slots import LSB, TICK, read_level

if TYPE_CHECKING:
    from ...chip.wear_ledger import WearLedger

PIECE_SECONDS = 0.05
"""Longest program of pulses [s]: a killed host leaves the board at most this to carry out."""
STEPS = 40
"""Pulses with their reads in one program: 45 instructions each at most."""
_STEP_SECONDS = 400e-6  # of settling, twice, amplifiers and a conversion
_STEP = 2 * LSB  # half of a pulse on either line


class StaircaseArray(Driven, Protocol):
    """What this needs of the array it belongs to."""

    wear: WearLedger


class ArcTwoStaircases:
    """Ramps of one cell of a passive chip, half of a pulse on its row and half on its column."""

    def __init__(self, array: StaircaseArray) -> None:
        self._array = array

    def staircase(self, row: int, col: int, start: float, stop: float, points: int, *, width: float) -> Staircase:
        """Give pulses from ``start`` to ``stop`` [V], a read behind each; volts are on steps of 610 µV."""
        array, spec = self._array, self._array.spec
        cell, wanted, width = checked_staircase(spec, row, col, start, stop, points, width)
        volts = self._levels(start, stop, wanted.size)
        nanos = 10 * max(1, round(width / TICK))
        nanos = max(nanos, 10 * math.ceil(spec.limits.width_min / TICK * (1.0 - 1e-9)))
        nanos = min(nanos, 10 * int(spec.limits.width_max / TICK * (1.0 + 1e-9)))
        low, high = array.channels.rows[cell.row0], array.channels.cols[cell.col0]
        read_volts = read_level(spec.read_volts, spec.limits)
        at_once = min(STEPS, max(1, int(PIECE_SECONDS / (_STEP_SECONDS + 2e-9 * nanos))))
        array.wear.require(cell, [[volts.size]], spec.limits)
        told: list[NDArray[np.float64]] = []
        given = np.zeros((1, 1), dtype=np.int64)
        with array.acting(), unconfirmed(cell, given):
            array.calls.forget()
            for first in range(0, volts.size, at_once):
                array.go_on()
                part = volts[first : first + at_once]
                # Counted before it leaves: a pulse whose confirmation is lost has been given, for all that is known.
                for sign in (1.0, -1.0):
                    mine = part[sign * part > 0.0]
                    if mine.size:
                        array.wear.add(cell, [[mine[np.argmax(np.abs(mine))]]], [[mine.size]], spec.limits)
                given += part.size
                array.calls.rest()
                array.calls.staircase(low, high, array.polarity * part, nanos, array.polarity * read_volts, spec.limits)
                array.calls.run()
                told.append(array.calls.picked(part.size)[:, high])
        seconds = volts.size * (1e-9 * nanos + spec.slot_overhead + spec.read_slot_seconds)
        array.add_cost(slots=2 * volts.size, pulses=volts.size, seconds=seconds)
        current = -array.polarity * np.concatenate(told)
        current[np.abs(current) >= max(spec.read_ranges)] = np.nan
        return Staircase(
            row=cell.row0,
            col=cell.col0,
            volts=np.rint(volts / _STEP) * _STEP,
            width=1e-9 * nanos,
            read_volts=read_volts,
            current=current,
            conductance=current / read_volts,
        )

    def _levels(self, start: float, stop: float, points: int) -> NDArray[np.float64]:
        """Return what the board makes of a ramp [points] V: its ends on a step that is not beyond a limit."""
        limits = self._array.spec.limits
        ends = np.array([start, stop]) / _STEP
        near = np.rint(ends) * _STEP
        beyond = (near > limits.set_volts_max) | (near < -limits.reset_volts_max)
        first, last = np.where(beyond, np.trunc(ends) * _STEP, near)
        return np.linspace(first, last, points)
