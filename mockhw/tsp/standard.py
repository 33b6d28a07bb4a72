"""Names that scripts find on every instrument of this kind: printing, delays, the Lua's own clock and chance."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from .names import RUNTIME, Attribute, Constant, Entry, Function, Named, TspError, Wait, number, whole

_ASCII, _REAL32, _REAL64 = 1.0, 2.0, 3.0
_LITTLE, _BIG = 0.0, 1.0


@dataclass(slots=True)
class Format:
    """How numbers are written; what ``reset()`` brings back."""

    data: float = _ASCII
    byteorder: float = _LITTLE
    asciiprecision: float = 6.0

    def written(self, value: float) -> str:
        """Return a number as ``print`` writes it."""
        return f"{float(value):.{int(self.asciiprecision) - 1}e}"


class Printer(Protocol):
    """What these names need of the instrument."""

    format: Format
    random: random.Random

    @property
    def now(self) -> float:
        """The time of what is executed [s]."""
        ...

    def say(self, line: str) -> None:
        """Print a line."""
        ...

    def column(self, name: Any) -> tuple[int, Callable[[int], float]]:
        """Return how many entries the column of a buffer has, and what gives one of them, from 1."""
        ...


def standard_entries(box: Printer) -> dict[str, Entry]:
    """Return the names that every instrument has."""
    table = {**printing_entries(box), **_time(box)}
    for name in ("waitcomplete", "opc", "collectgarbage"):
        table[name] = Function(lambda *_: None)
    table["math.random"] = Function(lambda *ends: _random(box, *ends))
    table["math.randomseed"] = Function(lambda *_: None)
    return table


def _time(box: Printer) -> dict[str, Entry]:
    def delay(seconds: Any) -> Wait:
        return Wait(box.now + number(seconds, "delay", 0.0, 1e5), lambda: None)

    return {
        "delay": Function(delay),
        "os.clock": Function(lambda: box.now),
        "os.time": Function(lambda *_: float(int(box.now))),
        "gettimezone": Function(lambda: "GMT"),
    }


def printing_entries(box: Printer) -> dict[str, Entry]:
    """Return what prints."""

    def written(value: Any) -> str:
        if value is None:
            return "nil"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, int | float):
            return box.format.written(value)
        return f"table: {value}" if isinstance(value, list | Named) else str(value)

    def say(*values: Any) -> None:
        box.say("\t".join(written(value) for value in values))

    def say_numbers(*values: Any) -> None:
        _write(box, [number(value, "printnumber", -1e300, 1e300) for value in values])

    def say_buffers(first: Any, last: Any, *buffers: Any) -> None:
        start = whole(first, "printbuffer", 1, 1 << 30)
        columns = [box.column(buffer) for buffer in buffers]
        end = min([whole(last, "printbuffer", 1, 1 << 30), *(length for length, _ in columns)])
        _write(box, [item(at) for at in range(start, end + 1) for _, item in columns] or [float("nan")])

    def kept(name: str, low: float, high: float) -> Attribute:
        return Attribute(
            lambda: getattr(box.format, name), lambda value: setattr(box.format, name, number(value, name, low, high))
        )

    names = {"ASCII": _ASCII, "SREAL": _REAL32, "REAL32": _REAL32, "REAL": _REAL64, "REAL64": _REAL64, "DREAL": _REAL64}
    orders = {"NORMAL": _BIG, "NETWORK": _BIG, "BIGENDIAN": _BIG, "SWAPPED": _LITTLE, "LITTLEENDIAN": _LITTLE}
    return {
        "print": Function(say),
        "printnumber": Function(say_numbers),
        "printbuffer": Function(say_buffers),
        "format.data": kept("data", _ASCII, _REAL64),
        "format.byteorder": kept("byteorder", _LITTLE, _BIG),
        "format.asciiprecision": kept("asciiprecision", 1, 16),
        **{f"format.{name}": Constant(value) for name, value in (names | orders).items()},
    }


def _write(box: Printer, values: list[float]) -> None:
    form = box.format
    if form.data == _ASCII:
        box.say(", ".join(form.written(value) for value in values))
        return
    kind = "f" if form.data == _REAL32 else "d"
    order = "<" if form.byteorder == _LITTLE else ">"
    box.say("#0" + struct.pack(f"{order}{len(values)}{kind}", *values).decode("latin-1"))


def _random(box: Printer, *ends: Any) -> float:
    if not ends:
        return box.random.random()
    low, high = (1, ends[0]) if len(ends) == 1 else ends[:2]
    first, last = whole(low, "random", -(1 << 30), 1 << 30), whole(high, "random", -(1 << 30), 1 << 30)
    if last < first:
        raise TspError(RUNTIME, "math.random: the interval is empty")
    return float(box.random.randint(first, last))
