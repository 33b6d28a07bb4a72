"""What scripts find beside the channels: printing, buffers, time, errors, display, status, loaded scripts."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...tsp.names import RUNTIME, Attribute, Constant, Entry, Function, Named, TspError, Wait, number, whole
from .buffers import ReadingBuffer

if TYPE_CHECKING:
    from ...instrument import BenchLog
    from ...scpi.session import ScpiSession
    from .channel import Channel

_ASCII, _REAL32, _REAL64 = 1.0, 2.0, 3.0
_LITTLE, _BIG = 0.0, 1.0
_SEVERITY: Final = 20.0
_CURRENT_LIMIT: Final = 2.0  # of status.measurement.instrument.smua.condition; the voltage limit is bit 0
_VOLTAGE_LIMIT: Final = 1.0
_COLUMNS: Final = ("readings", "sourcevalues", "timestamps", "statuses")


@dataclass(slots=True)
class Format:
    """How numbers are written; what ``reset()`` brings back."""

    data: float = _ASCII
    byteorder: float = _LITTLE
    asciiprecision: float = 6.0

    def written(self, value: float) -> str:
        """Return a number as ``print`` writes it."""
        return f"{float(value):.{int(self.asciiprecision) - 1}e}"


class Box(Protocol):
    """What these names need of the instrument."""

    model: str
    serial: str
    line_hertz: float
    address: str
    timer_start: float
    format: Format
    random: random.Random
    log: BenchLog
    session: ScpiSession

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Both channels."""
        ...

    @property
    def now(self) -> float:
        """The time of what is executed [s]."""
        ...

    def reset(self) -> object:
        """Bring back the defaults."""
        ...

    def say(self, line: str) -> None:
        """Print a line."""
        ...

    def buffer(self, name: Any) -> ReadingBuffer:
        """Return the buffer a script has handed over."""
        ...

    def make_buffer(self, capacity: int) -> Any:
        """Return a new buffer, as a script gets it."""
        ...


def box_entries(box: Box) -> dict[str, Entry]:
    """Return the names of the whole instrument."""
    table = {**_time(box), **_errors(box), **_printing(box), **_status(box), **_display(box)}
    table["reset"] = Function(lambda: box.reset() and None)
    for name in ("waitcomplete", "opc", "collectgarbage"):
        table[name] = Function(lambda *_: None)

    def make_buffer(size: Any = 100) -> Any:
        return box.make_buffer(whole(size, "makebuffer", 1, 60_000))

    for channel in box.channels:
        table[f"{channel.name}.makebuffer"] = Function(make_buffer)
    table["math.random"] = Function(lambda *ends: _random(box, *ends))
    table["math.randomseed"] = Function(lambda *_: None)
    return table


def localnode_entries(box: Box) -> dict[str, Entry]:
    """Return the names below ``localnode``."""
    return {
        "model": Attribute(lambda: box.model),
        "serialno": Attribute(lambda: box.serial),
        "revision": Attribute(lambda: "3.2.2"),
        "linefreq": Attribute(lambda: box.line_hertz),
        "autolinefreq": Attribute(lambda: True, lambda value: None),
        "prompts": Attribute(lambda: 0.0, lambda value: None),
        "showerrors": Attribute(lambda: 0.0, lambda value: None),
        "reset": Function(lambda: box.reset() and None),
    }


def script_entries(box: Box) -> dict[str, Entry]:
    """Return what runs a script that was loaded without a name."""

    def run() -> None:
        raise TspError(RUNTIME, "run an anonymous script by loadandrunscript, or give it a name")

    return {"run": Function(run), "script.run": Function(run), "script.anonymous.run": Function(run)}


def _time(box: Box) -> dict[str, Entry]:
    def begin() -> None:
        box.timer_start = box.now

    def delay(seconds: Any) -> Wait:
        return Wait(box.now + number(seconds, "delay", 0.0, 1e5), lambda: None)

    def passed() -> float:
        return box.now - box.timer_start

    return {
        "delay": Function(delay),
        "timer.reset": Function(begin),
        "timer.measure.t": Function(passed),
        "os.clock": Function(lambda: box.now),
        "os.time": Function(lambda *_: float(int(box.now))),
        "gettimezone": Function(lambda: "GMT"),
    }


def _errors(box: Box) -> dict[str, Entry]:
    def following() -> tuple[float, str, float, float]:
        code, _, text = box.session.status.errors.pop().partition("\t")
        return float(code), text, 0.0 if code == "0" else _SEVERITY, 1.0

    def clear() -> None:
        box.session.status.errors.clear()

    return {
        "errorqueue.next": Function(following),
        "errorqueue.count": Attribute(lambda: float(len(box.session.status.errors))),
        "errorqueue.clear": Function(clear),
    }


def _printing(box: Box) -> dict[str, Entry]:
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
        columns = [_column(box, buffer) for buffer in buffers]
        end = min([whole(last, "printbuffer", 1, 1 << 30), *(len(buffer.records) for buffer, _ in columns)])
        _write(
            box, [buffer.column(name)(at) for at in range(start, end + 1) for buffer, name in columns] or [float("nan")]
        )

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


def _column(box: Box, name: Any) -> tuple[ReadingBuffer, str]:
    if isinstance(name, Named) and name.rpartition(".")[2] in _COLUMNS:
        whose, _, column = name.rpartition(".")
        return box.buffer(Named(whose)), column
    return box.buffer(name), "readings"


def _write(box: Box, values: list[float]) -> None:
    form = box.format
    if form.data == _ASCII:
        box.say(", ".join(form.written(value) for value in values))
        return
    kind = "f" if form.data == _REAL32 else "d"
    order = "<" if form.byteorder == _LITTLE else ">"
    box.say("#0" + struct.pack(f"{order}{len(values)}{kind}", *values).decode("latin-1"))


def _status(box: Box) -> dict[str, Entry]:
    def event() -> float:
        return float(box.session.status.read_event())

    table: dict[str, Entry] = {
        "status.standard.event": Attribute(event),
        "status.condition": Attribute(lambda: float(box.session.status.byte(message=False))),
        "status.reset": Function(lambda: None),
    }
    for channel in box.channels:

        def condition(channel: Any = channel) -> float:
            if not channel.limited:
                return 0.0
            return _CURRENT_LIMIT if channel.settings.func else _VOLTAGE_LIMIT

        table[f"status.measurement.instrument.{channel.name}.condition"] = Attribute(condition)
    return table


def _display(box: Box) -> dict[str, Entry]:
    shown = {"screen": 2.0}

    def put(name: str) -> Callable[[Any], None]:
        return lambda value: shown.__setitem__(name, number(value, name, 0, 10))

    def idle(*_: Any) -> None:
        del _

    def say(text: Any) -> None:
        box.log.add(box.now, box.address, f"display {str(text)[:60]}")

    table: dict[str, Entry] = {
        "display.settext": Function(say),
        "display.screen": Attribute(lambda: shown["screen"], put("screen")),
        "display.SMUA": Constant(0.0),
        "display.SMUB": Constant(1.0),
        "display.SMUA_SMUB": Constant(2.0),
        "display.USER": Constant(3.0),
        "display.MEASURE_DCAMPS": Constant(0.0),
        "display.MEASURE_DCVOLTS": Constant(1.0),
        "beeper.enable": Attribute(lambda: 1.0, idle),
    }
    for name in ("display.clear", "display.setcursor", "display.sendkey", "beeper.beep"):
        table[name] = Function(idle)
    for channel in ("smua", "smub"):
        shown[channel] = 0.0
        table[f"display.{channel}.measure.func"] = Attribute(lambda channel=channel: shown[channel], put(channel))
        table[f"display.{channel}.digits"] = Attribute(lambda: 5.0, idle)
    return table


def _random(box: Box, *ends: Any) -> float:
    if not ends:
        return box.random.random()
    low, high = (1, ends[0]) if len(ends) == 1 else ends[:2]
    first, last = whole(low, "random", -(1 << 30), 1 << 30), whole(high, "random", -(1 << 30), 1 << 30)
    if last < first:
        raise TspError(RUNTIME, "math.random: the interval is empty")
    return float(box.random.randint(first, last))
