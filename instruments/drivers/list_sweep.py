"""A sweep through a list of levels that a Keithley 2450 makes by itself, into its buffer; long ones go in pieces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..capabilities import FloatArray
from ..errors import InstrumentError
from ..wire.parts import Wire
from ..wire.wire_text import sent
from .smu_readings import ELEMENTS, Readings

if TYPE_CHECKING:
    from .voltage_source import LevelSweep

PIECE_SECONDS = 30.0
"""Longest program that is left to an instrument alone [s]: a cell stays under bias no longer when the host dies."""
LIST_CHUNK = 100
LIST_MAX = 2500
_DATA_CHUNK = 500
# The trigger model looks at its own state every 100 ms (manual, :TRIGger:STATe?).
_STATE_SECONDS = 0.1


class ListSweep:
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
        """Send the levels [V], none beyond ``most`` [V], and what is done with them."""
        self._count = levels.size
        one = "" if self._span is None else f":SENS:CURR:RANG {self._span:.6g};"
        head = (
            f'TRAC:CLE "defbuffer1";:SOUR:VOLT:ILIM {sent(compliance)};:SOUR:VOLT 0;:SOUR:VOLT:DEL 0;{one}'
            ":SOUR:LIST:VOLT"
        )
        for start in range(0, levels.size, LIST_CHUNK):
            values = ",".join(sent(level, most=most) for level in levels[start : start + LIST_CHUNK])
            last = start + LIST_CHUNK >= levels.size
            tail = f';:SOUR:SWE:VOLT:LIST 1,{dwell:.6g},1,OFF,"defbuffer1"' if last else ""
            self._wire.exchange.act(f"{head} {values}{tail}")
            head = "SOUR:LIST:VOLT:APP"

    def run(self, wait: Callable[[float], None]) -> None:
        """Start it and wait for the trigger model without blocking the instrument, as ``*WAI`` would."""
        self._wire.exchange.act("OUTP ON;:INIT")
        wait_for_trigger(self._wire, self._count, self._count * self._seconds, wait)

    def fetch(self) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Set 0 V and off, then return what the buffer holds."""
        count, fields = self._count, list[str]()
        elements = ELEMENTS if self._span is None else f"REL,{ELEMENTS}"
        each = elements.count(",") + 1
        head = "SOUR:VOLT 0;:OUTP OFF;:"
        for start in range(1, count + 1, _DATA_CHUNK):
            end = min(start + _DATA_CHUNK - 1, count)
            question = f'{head}TRAC:DATA? {start},{end},"defbuffer1",{elements}'
            (reply,) = self._wire.exchange.ask(question, 1)
            part = reply.split(",")
            if len(part) != each * (end - start + 1):
                raise self._wire.faults.garbled(question, reply)
            fields += part
            head = ""
        readings = [fields[n : n + each] for n in range(0, each * count, each)]
        if self._span is not None:
            try:
                self.times = np.array([float(reading.pop(0)) for reading in readings])
            except ValueError:
                raise self._wire.faults.garbled("TRAC:DATA?", ",".join(fields)) from None
        points = [self._readings.point(",".join(reading)) for reading in readings]
        return (
            np.array([point.volts for point in points]),
            np.array([point.current for point in points]),
            np.array([point.flags for point in points], np.uint8),
        )


def wait_for_trigger(wire: Wire, count: int, seconds: float, wait: Callable[[float], None]) -> None:
    """Wait until the trigger model has made ``count`` readings, which takes about ``seconds`` [s]."""
    expected = seconds + _STATE_SECONDS
    patience = 3.0 * expected + 10.0
    pause, waited = expected, 0.0
    while True:
        wait(pause)
        waited += pause
        *state, made = wire.exchange.ask('TRIG:STAT?;:TRAC:ACT? "defbuffer1"', 4)
        if state[0] == "IDLE" and made == str(count):
            return
        if state[0] not in {"RUNNING", "WAITING"} or waited > patience:
            raise InstrumentError(
                f"{wire.line.name} at {wire.line.place} made {made} of {count} points in {waited:.3g} s and is "
                f"{state[0]}: somebody else stopped it, or it ranges longer than expected: choose a fixed current_range"
            )
        pause = max(_STATE_SECONDS, 0.15 * waited)


def pieces(count: int, seconds: float) -> Iterator[slice]:
    """Yield which points go together: none takes longer than ``PIECE_SECONDS`` at ``seconds`` [s] a point."""
    most = max(1, int(PIECE_SECONDS / seconds)) if seconds > 0.0 else count
    for start in range(0, count, most):
        yield slice(start, min(start + most, count))


class SweepInPieces:
    """A sweep as sweeps that take ``PIECE_SECONDS`` at most, or one of their points; each ends at 0 V and off.

    Parameters
    ----------
    one : callable
        Makes the sweep of a piece.
    seconds : float [s]
        Time per point, the reading's own included.
    """

    def __init__(self, one: Callable[[], LevelSweep], *, seconds: float) -> None:
        self._one, self._seconds = one, seconds
        self.times: FloatArray = np.zeros(0)

    def load(self, levels: FloatArray, compliance: float, dwell: float, *, most: float) -> None:
        """Send the first piece of the levels [V], none beyond ``most`` [V]."""
        self._parts = [levels[part] for part in pieces(levels.size, self._seconds)]
        self._how = compliance, dwell, most
        self._found: list[tuple[FloatArray, FloatArray, NDArray[np.uint8]]] = []
        self._next()

    def _next(self) -> None:
        compliance, dwell, most = self._how
        self._now = self._one()
        self._now.load(self._parts.pop(0), compliance, dwell, most=most)

    def run(self, wait: Callable[[float], None]) -> None:
        """Run one after the other, and fetch what all but the last have measured."""
        self._now.run(wait)
        while self._parts:
            self._found.append(self._now.fetch())
            self._next()
            self._now.run(wait)

    def fetch(self) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Set 0 V and off, then return what all pieces have measured."""
        volts, amps, flags = zip(*self._found, self._now.fetch(), strict=True)
        return np.concatenate(volts), np.concatenate(amps), np.concatenate(flags)
