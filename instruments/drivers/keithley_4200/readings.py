"""What a 4200A answers to ``TI``, ``TV`` and ``DO``: a status letter, perhaps channel and quantity, and a number."""

from __future__ import annotations

import re

import numpy as np
from numpy.typing import NDArray

from ...capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW, FloatArray
from ...wire.parts import Wire

_READING = re.compile(r"([A-Z])\s*(?:[A-I][VI])?\s*([+-]?[\d.]+(?:E[+-]?\d+)?)", re.ASCII)
_OVERFLOW = 9.9e37
# From memory: V overflow of the converter, C this channel at its limit; T another one; X oscillates, L too short.
_OVERFLOWS, _LIMITED = "V", "C"


class KxciReadings:
    """Makes numbers and flags of readings."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def one(self, reply: str, question: str) -> tuple[float, int]:
        """Return number and FLAG_… bits of one reading; NaN on overflow."""
        match = _READING.fullmatch(reply.strip().upper())
        if match is None:
            raise self._wire.faults.garbled(question, reply)
        status, value = match[1], float(match[2])
        flags = FLAG_COMPLIANCE if status == _LIMITED else 0
        if status == _OVERFLOWS or abs(value) >= _OVERFLOW:
            return float("nan"), flags | FLAG_OVERFLOW
        return value, flags

    def several(self, reply: str, count: int, question: str) -> tuple[FloatArray, NDArray[np.uint8]]:
        """Return ``count`` numbers and their flags [count]."""
        words = reply.split(",") if reply else []
        if len(words) != count:
            raise self._wire.faults.garbled(question, reply)
        found = [self.one(word, question) for word in words]
        return np.array([value for value, _ in found]), np.array([flags for _, flags in found], np.uint8)
