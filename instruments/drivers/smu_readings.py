"""Readings of a Keithley 2450: what its buffer holds, as numbers and flags."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW
from ..errors import InstrumentError
from ..wire.parts import Wire

ELEMENTS = "SOUR,READ,SOURSTAT"
"""What is asked of a reading."""

_OVERFLOW = 9.9e37
# Source status of a reading (manual, bufferVar.sourcestatuses).
_STATUS_OVER_TEMPERATURE, _STATUS_LIMIT, _STATUS_OUTPUT = 16, 32, 128


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: ``volts`` as read back [V], ``current`` [A] (NaN on overflow), ``flags`` (FLAG_… bits)."""

    volts: float
    current: float
    flags: int


class Readings(Protocol):
    """Makes points of what an instrument answers to ``READ?`` and ``TRACe:DATA?``."""

    def point(self, reply: str) -> Point:
        """Return one reading."""
        ...


class SmuReadings:
    """Reads what the instrument answers to ``READ?`` and ``TRACe:DATA?``."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def point(self, reply: str) -> Point:
        """Return one reading."""
        try:
            volts, current, status = (text.strip() for text in reply.split(","))
            v, i, bits = float(volts), float(current), int(status, 16) if "x" in status else int(float(status))
        except ValueError:
            raise self._wire.faults.garbled("READ?", reply) from None
        who = f"{self._wire.line.name} at {self._wire.line.place}"
        if bits & _STATUS_OVER_TEMPERATURE:
            raise InstrumentError(
                f"{self._wire.line.name} at {self._wire.line.place} is too hot (READ?), its output limited: let it cool"
            )
        if not bits & _STATUS_OUTPUT:
            if self._wire.faults.power_was_lost():
                raise self._wire.faults.power_lost("READ?")
            raise InstrumentError(
                f"{who} measured with its output off (source status {bits}): "
                "somebody switched it off, or its interlock did; check both, then run the step again (READ?)"
            )
        flags = FLAG_COMPLIANCE if bits & _STATUS_LIMIT else 0
        if abs(i) >= _OVERFLOW:
            flags, i = flags | FLAG_OVERFLOW, float("nan")
        return Point(volts=v, current=i, flags=flags)
