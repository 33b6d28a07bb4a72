"""What scripts find beside the channels: printing, buffers, time, errors, display, status, loaded scripts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...tsp.names import RUNTIME, Attribute, Constant, Entry, Function, Named, TspError, number, whole
from ...tsp.standard import Printer, standard_entries
from .buffers import ReadingBuffer

if TYPE_CHECKING:
    from ...instrument import BenchLog
    from ...scpi.session import ScpiSession
    from .channel import Channel

_SEVERITY: Final = 20.0
_CURRENT_LIMIT: Final = 2.0  # of status.measurement.instrument.smua.condition; the voltage limit is bit 0
_VOLTAGE_LIMIT: Final = 1.0
_COLUMNS: Final = ("readings", "sourcevalues", "timestamps", "statuses")


class Box(Printer, Protocol):
    """What these names need of the instrument."""

    model: str
    serial: str
    line_hertz: float
    address: str
    timer_start: float
    log: BenchLog
    session: ScpiSession

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Both channels."""
        ...

    def reset(self) -> object:
        """Bring back the defaults."""
        ...

    def buffer(self, name: Any) -> ReadingBuffer:
        """Return the buffer a script has handed over."""
        ...

    def make_buffer(self, capacity: int) -> Any:
        """Return a new buffer, as a script gets it."""
        ...


def box_entries(box: Box) -> dict[str, Entry]:
    """Return the names of the whole instrument."""
    table = {**standard_entries(box), **_timer(box), **_errors(box), **_status(box), **_display(box)}
    table["reset"] = Function(lambda: box.reset() and None)

    def make_buffer(size: Any = 100) -> Any:
        return box.make_buffer(whole(size, "makebuffer", 1, 60_000))

    for channel in box.channels:
        table[f"{channel.name}.makebuffer"] = Function(make_buffer)
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


def _timer(box: Box) -> dict[str, Entry]:
    def begin() -> None:
        box.timer_start = box.now

    def passed() -> float:
        return box.now - box.timer_start

    return {
        "timer.reset": Function(begin),
        "timer.measure.t": Function(passed),
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


def column_of(box: Box, name: Any) -> tuple[int, Callable[[int], float]]:
    """Return how long the column of a buffer is, and what gives an entry; a buffer's own are its readings."""
    whose, column = name, "readings"
    if isinstance(name, Named) and name.rpartition(".")[2] in _COLUMNS:
        whose, _, column = name.rpartition(".")
        whose = Named(whose)
    buffer = box.buffer(whose)
    return len(buffer.records), buffer.column(column)


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
