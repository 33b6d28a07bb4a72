"""What a B1500A tells in format 1: a status letter, a channel letter, what it is, and a number."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW, FloatArray
from ...wire.parts import Wire

_VALUE = re.compile(r"([A-Z])([A-J])([IVT])([+-]\d{1,3}\.\d{3,6}E[+-]\d{2})", re.ASCII)
_OVERFLOW = 9.9e37
# Of QCoDeS's constants: V beyond the range (or cut off), C this channel at its limit; T another one, X oscillates.
_OVERFLOWS, _LIMITED = "V", "C"


class Value(NamedTuple):
    """One value: I, V or T; the number, NaN on overflow; FLAG_… bits."""

    quantity: str
    number: float
    flags: int


class FlexReadings:
    """Makes numbers and flags of what is told."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def values(self, reply: str, question: str) -> list[Value]:
        """Return every value of a reply."""
        return [self._value(word, reply, question) for word in reply.split(",")]

    def one(self, reply: str, question: str) -> Value:
        """Return the value of a reply that has one."""
        found = self.values(reply, question)
        if len(found) != 1:
            raise self._wire.faults.garbled(question, reply)
        return found[0]

    def currents(self, reply: str, count: int, question: str) -> tuple[FloatArray, NDArray[np.uint8]]:
        """Return ``count`` currents [A] and their flags; other quantities beside them are left out."""
        found = [value for value in self.values(reply, question) if value.quantity == "I"]
        if len(found) != count:
            raise self._wire.faults.garbled(question, reply)
        return np.array([one.number for one in found]), np.array([one.flags for one in found], np.uint8)

    def times(self, reply: str, count: int, question: str) -> FloatArray:
        """Return ``count`` times [s]."""
        found = [value.number for value in self.values(reply, question) if value.quantity == "T"]
        if len(found) != count:
            raise self._wire.faults.garbled(question, reply)
        return np.array(found)

    def _value(self, word: str, reply: str, question: str) -> Value:
        match = _VALUE.fullmatch(word.strip())
        if match is None:
            raise self._wire.faults.garbled(question, reply)
        status, number = match[1], float(match[4])
        flags = FLAG_COMPLIANCE if status == _LIMITED else 0
        if status == _OVERFLOWS or abs(number) >= _OVERFLOW:
            return Value(match[3], float("nan"), flags | FLAG_OVERFLOW)
        return Value(match[3], number, flags)
