"""Readings of a Keithley 2400: volts, amperes and status word, as numbers and flags."""

from __future__ import annotations

from ..capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW
from ..wire.parts import Wire
from .smu_readings import Point

FIELDS = 3
"""How many numbers a reading has: ``FORM:ELEM VOLT,CURR,STAT``."""

_OVERFLOW = 9.9e37
# Status word (manual, page 18-50; bits 3 and 16 from memory): in over-range, at the limit, at the end of a range.
_STATUS_OVERFLOW, _STATUS_LIMIT, _STATUS_RANGE_LIMIT = 1, 1 << 3, 1 << 16


class StatusReadings:
    """Reads what the instrument answers to ``READ?`` and ``TRACe:DATA?``."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def point(self, reply: str) -> Point:
        """Return one reading."""
        try:
            volts, current, status = (float(text) for text in reply.split(","))
        except ValueError:
            raise self._wire.faults.garbled("READ?", reply) from None
        bits = int(status)
        flags = FLAG_COMPLIANCE if bits & (_STATUS_LIMIT | _STATUS_RANGE_LIMIT) else 0
        if bits & _STATUS_OVERFLOW or abs(current) >= _OVERFLOW:
            flags, current = flags | FLAG_OVERFLOW, float("nan")
        return Point(volts=volts, current=current, flags=flags)
