"""What a script finds on an instrument: attributes, functions, constants and lists under dotted names."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ..scpi.errors import ScpiError

Value: TypeAlias = Any
"""A number, text, a truth value, None, a :class:`Named`, or what Lua calls a table."""

SYNTAX, RUNTIME, OUT_OF_MEMORY, QUEUE_FULL = -285, -286, -225, -350
TOO_SMALL: Final = 1101
TOO_BIG: Final = 1102


class TspError(ScpiError):
    """What a script did wrong: number and text of an entry of the error queue."""


class Named(str):
    """The dotted name of a part of the instrument that a script has handed over."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Made:
    """What a function returns that made a part of the instrument: its dotted name."""

    path: str


@dataclass(frozen=True, slots=True)
class Wait:
    """What a function returns that takes simulated time.

    Attributes
    ----------
    until : float [s]
    finish : callable
        Makes its results when the time has come, or waits once more.
    """

    until: float
    finish: Callable[[], Value]


@dataclass(frozen=True, slots=True)
class Constant:
    """A number with a name, such as ``smua.OUTPUT_DCVOLTS``."""

    value: Value


@dataclass(frozen=True, slots=True)
class Attribute:
    """What is read, and set where ``put`` is given."""

    get: Callable[[], Value]
    put: Callable[[Value], None] | None = None


@dataclass(frozen=True, slots=True)
class Function:
    """What is called; it returns one value, a tuple of several, None, or a :class:`Wait`."""

    call: Callable[..., Value]


@dataclass(frozen=True, slots=True)
class Items:
    """What is read by number, from 1: the readings of a buffer."""

    item: Callable[[int], Value]


Entry: TypeAlias = Constant | Attribute | Function | Items


def number(value: Value, name: str, low: float, high: float) -> float:
    """Return a number a script gave, within its range.

    Raises
    ------
    TspError
        Too small, too big, or no number.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TspError(RUNTIME, f"{name}: a number is expected")
    if math.isnan(value):
        raise TspError(RUNTIME, f"{name}: not a number")
    if value < low:
        raise TspError(TOO_SMALL, "Parameter too small")
    if value > high:
        raise TspError(TOO_BIG, "Parameter too big")
    return float(value)


def whole(value: Value, name: str, low: int, high: int) -> int:
    """Return a whole number a script gave, within its range."""
    found = number(value, name, low, high)
    if found != int(found):
        raise TspError(RUNTIME, f"{name}: a whole number is expected")
    return int(found)
