"""A sweep through a list of levels that a Keithley 2400 makes by itself, into its buffer of 2,500 readings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..capabilities import FloatArray
from ..errors import InstrumentError
from ..wire.parts import Wire
from ..wire.wire_text import sent
from .current_limit import current_limit
from .smu_readings import Readings
from .status_readings import FIELDS

LEVELS_MAX = 2499
"""One less than its list holds: the last level is a 0 V of ours."""

_LIST_CHUNK = 100
_READING_BYTES = 45
_TIME = 2  # its place among the elements
_SERIAL = "ASRL"
_SERIAL_BYTES_PER_SECOND = 900.0  # 9600 baud, as the factory sets it


class MemorySweep:
    """One sweep.

    Parameters
    ----------
    seconds : float [s]
        Time per point, the reading's own included.
    span : float [A]
        The one range that all is measured on, each reading with its time; None: whatever range each reading needs.
    """

    def __init__(self, wire: Wire, readings: Readings, *, seconds: float, span: float | None = None) -> None:
        self._wire = wire
        self._readings = readings
        self._seconds, self._span = seconds, span
        self._count = 0
        self.times: FloatArray = np.zeros(0)

    def load(self, levels: FloatArray, compliance: float, dwell: float, *, most: float) -> None:
        """Send the levels [V], none beyond ``most`` [V], a 0 V behind them, and what is done with them."""
        values = [*(sent(level, most=most) for level in levels), "0"]
        self._count = len(values)
        limit = current_limit(compliance, from_lowest=True)
        if self._span is not None:
            limit += f";:SENS:CURR:RANG {self._span:.6g};:FORM:ELEM VOLT,CURR,TIME,STAT"
        head = f"TRAC:FEED:CONT NEV;:TRAC:CLE;:TRAC:FEED SENS;:TRAC:POIN {self._count}{limit};:SOUR:DEL {dwell:.6g};"
        head += ":SOUR:LIST:VOLT"
        for start in range(0, self._count, _LIST_CHUNK):
            last = start + _LIST_CHUNK >= self._count
            tail = (
                f";:SOUR:VOLT:MODE LIST;:SOUR:SWE:RANG FIX;:SOUR:SWE:CAB NEV;:TRIG:COUN {self._count}"
                ";:TRAC:FEED:CONT NEXT"
                if last
                else ""
            )
            self._wire.exchange.act(f"{head} {','.join(values[start : start + _LIST_CHUNK])}{tail}")
            head = "SOUR:LIST:VOLT:APP"

    def run(self, wait: Callable[[float], None]) -> None:
        """Start it and wait for its end.

        Out of idle the instrument puts off what it is asked until it is done (manual, page 11-13): nothing is asked
        before the time is over, and an abort finds no question in its way.
        """
        exchange = self._wire.exchange
        exchange.act("OUTP ON")
        exchange.tell("INIT")
        expected = self._count * self._seconds
        wait(expected)
        (made,) = exchange.ask("TRAC:POIN:ACT?", 1, expected=expected)
        if not made.strip("+").isdigit():
            raise self._wire.faults.garbled("TRAC:POIN:ACT?", made)
        if int(made) != self._count:
            raise InstrumentError(
                f"{self._wire.line.name} at {self._wire.line.place} made {made} of {self._count} points in "
                f"{expected:.3g} s: somebody else stopped it, or it never began; look at its front panel"
            )

    def fetch(self) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Set 0 V and off, then return what the buffer holds but for the last point."""
        question = "TRAC:DATA?"
        slow = self._wire.line.place.upper().startswith(_SERIAL)
        (reply,) = self._wire.exchange.ask(
            f"SOUR:VOLT:MODE FIX;:SOUR:VOLT 0;:OUTP OFF;:TRIG:COUN 1;:{question}",
            1,
            expected=self._count * _READING_BYTES / _SERIAL_BYTES_PER_SECOND if slow else 0.0,
        )
        fields = reply.split(",")
        timed = self._span is not None
        each = FIELDS + timed
        if timed:
            self._wire.exchange.act("FORM:ELEM VOLT,CURR,STAT")
        if len(fields) != each * self._count:
            raise self._wire.faults.garbled(question, reply)
        readings = [fields[at : at + each] for at in range(0, each * (self._count - 1), each)]
        if timed:
            try:
                self.times = np.array([float(reading.pop(_TIME)) for reading in readings])
            except ValueError:
                raise self._wire.faults.garbled(question, reply) from None
        points = [self._readings.point(",".join(reading)) for reading in readings]
        return (
            np.array([point.volts for point in points]),
            np.array([point.current for point in points]),
            np.array([point.flags for point in points], np.uint8),
        )
