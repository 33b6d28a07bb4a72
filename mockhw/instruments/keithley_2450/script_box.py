"""The TSP side of a simulated 2450: what scripts find beside ``smu``, and the Lua that runs them."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from ...scpi.device import Device
from ...scpi.errors import ErrorQueue
from ...scpi.tree import Command, CommandTree
from ...tsp.interpreter import Interpreter, Machine
from ...tsp.names import RUNTIME, Attribute, Constant, Entry, Function, Items, Named, TspError, whole
from ...tsp.session import TspSession
from ...tsp.standard import Format, standard_entries
from .buffer import DEFAULT_BUFFERS, LARGEST, SMALLEST, ReadingBuffer
from .core import SourceMeterCore
from .script_names import smu_entries, trigger_entries
from .trigger.model import TriggerModel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...tsp.sandbox import Sandbox

_COLUMNS: Final[dict[str, Callable[[Any, float], float]]] = {
    "readings": lambda record, _: record.reading,
    "sourcevalues": lambda record, _: record.source,
    "relativetimestamps": lambda record, first: record.time - first,
    "statuses": lambda record, _: float(record.status),
    "sourcestatuses": lambda record, _: float(record.source_status),
}
_AUTOMATIC_DIGITS: Final = 7
_BUFFERS_MAX: Final = 100  # assumed
_ERROR: Final = "eventlog.SEV_ERROR"


@dataclass(slots=True)
class ShortFormat(Format):
    """How a 2450 prints (assumed): whole numbers plainly, others with seven digits."""

    def written(self, value: float) -> str:
        """Return a number as ``print`` writes it."""
        number = float(value)
        if number.is_integer() and abs(number) < 1e9:
            return str(int(number))
        return f"{number:.{_AUTOMATIC_DIGITS - 1}e}"


class Whole(Machine, Device, Protocol):
    """What this side needs of the instrument."""

    serial: str
    line_hertz: float

    def session_errors(self) -> ErrorQueue:
        """Return the queue that ``eventlog`` reads."""
        ...


class ScriptBox:
    """A 2450 as a script sees it.

    Parameters
    ----------
    machine : the instrument
    core, model
        Its source and converter, and its trigger model.
    table : sequence of Command
        Its messages in SCPI, which most names stand for.
    """

    def __init__(self, machine: Whole, core: SourceMeterCore, model: TriggerModel, table: Sequence[Command]) -> None:
        self._machine, self.core, self.model = machine, core, model
        self.format: Format = ShortFormat()
        self.random = random.Random(0)
        self._tree = CommandTree(table)
        self._timer = machine.clock.now
        self._buffers = 0
        self.interpreter = Interpreter(machine)
        self.interpreter.furnish(self._entries(), self._furnish)

    @property
    def now(self) -> float:
        """The time of what is executed [s]."""
        return self.interpreter.now

    def session(self, commands: Sequence[Command]) -> TspSession:
        """Return a session whose messages are lines of Lua; ``commands`` are no scripts."""
        run, knows = self.interpreter.execute, self.interpreter.sandbox.knows
        return TspSession(self._machine, self._machine.clock, commands, execute=run, knows=knows)

    def reset(self) -> None:
        """``reset()``: defaults; globals and scripts stay."""
        self.format = ShortFormat()

    def forget(self) -> None:
        """Be as after power-on."""
        self.reset()
        self._buffers = 0
        self.interpreter.forget()

    def say(self, line: str) -> None:
        """Print a line."""
        self.interpreter.say(line)

    # --- buffers ------------------------------------------------------------------------------

    def buffer(self, name: Any) -> ReadingBuffer:
        """Return the buffer a script has handed over.

        Raises
        ------
        TspError
            It is none.
        """
        found = self.core.buffers.get(str(name)) if isinstance(name, Named) else None
        if found is None:
            raise TspError(RUNTIME, "a reading buffer is expected")
        return found

    def column(self, name: Any) -> tuple[int, Callable[[int], float]]:
        """Return the column of a buffer that a script has handed over: its length, and what gives an entry."""
        whose, _, column = str(name).partition(".")
        buffer = self.buffer(Named(whose) if isinstance(name, Named) else name)
        return len(buffer.records), self._item(whose, column or "readings")

    def _item(self, whose: str, column: str) -> Callable[[int], Any]:
        take = _COLUMNS.get(column)
        if take is None:
            raise TspError(RUNTIME, f"{whose}.{column} is no column of a reading buffer")

        def item(at: int) -> Any:
            records = self.buffer(Named(whose)).records
            return take(records[at - 1], records[0].time) if 1 <= at <= len(records) else None

        return item

    def _buffer_entries(self, name: str) -> dict[str, Entry]:
        def kept() -> ReadingBuffer:
            return self.buffer(Named(name))

        def fill(value: Any) -> None:
            kept().continuous = value == "buffer.FILL_CONTINUOUS"

        def size(value: Any) -> None:
            kept().resize(whole(value, "capacity", SMALLEST, LARGEST))

        table: dict[str, Entry] = {
            "clear": Function(lambda: kept().clear()),
            "n": Attribute(lambda: float(len(kept().records))),
            "capacity": Attribute(lambda: float(kept().size), size),
            "fillmode": Attribute(lambda: "buffer.FILL_CONTINUOUS" if kept().continuous else "buffer.FILL_ONCE", fill),
            "": Items(self._item(name, "readings")),
        }
        return table | {column: Items(self._item(name, column)) for column in _COLUMNS}

    def _make_buffer(self, size: Any, style: Any = None) -> Any:
        del style
        if len(self.core.buffers) > _BUFFERS_MAX:
            raise TspError(RUNTIME, f"there are {_BUFFERS_MAX} reading buffers already")
        self._buffers += 1
        name = f"scriptbuffer{self._buffers}"
        self.core.buffers[name] = ReadingBuffer(name, whole(size, "buffer.make", SMALLEST, LARGEST))
        return self.interpreter.sandbox.make(name, self._buffer_entries(name))

    # --- names --------------------------------------------------------------------------------

    def _entries(self) -> dict[str, Entry]:
        table = {f"smu.{name}": entry for name, entry in smu_entries(self, self._tree).items()}
        table |= trigger_entries(self, self._tree) | standard_entries(self) | self._events() | self._rest()
        for name in DEFAULT_BUFFERS:
            below = self._buffer_entries(name)
            table |= {f"{name}.{part}" if part else name: entry for part, entry in below.items()}
        return table

    def _furnish(self, sandbox: Sandbox, found: dict[str, Any]) -> None:
        sandbox.allow(self._buffer_entries(DEFAULT_BUFFERS[0]))
        shared = {name: found[name] for name in ("smu", "trigger", "eventlog", "display", "format", "beeper")}
        here = sandbox.branch("localnode", shared, self._localnode())
        found["localnode"] = here
        found["node"] = sandbox.branch("node", {1: here})

    def _localnode(self) -> dict[str, Entry]:
        machine = self._machine
        return {
            "model": Attribute(lambda: "2450"),
            "serialno": Attribute(lambda: machine.serial),
            "version": Attribute(lambda: "1.7.12b"),
            "linefreq": Attribute(lambda: float(machine.line_hertz)),
            "prompts": Attribute(lambda: "localnode.DISABLE", lambda value: None),
            "showevents": Attribute(lambda: 0.0, lambda value: None),
        }

    def _events(self) -> dict[str, Entry]:
        errors = self._machine.session_errors

        def following(*severities: Any) -> tuple[float, str, str, float]:
            del severities
            code, _, rest = errors().pop().partition(",")
            text = rest.strip('"').partition(";")[0]
            return float(code), text, "eventlog.SEV_NONE" if code == "0" else _ERROR, 1.0

        return {
            "eventlog.next": Function(following),
            "eventlog.getcount": Function(lambda *_: float(len(errors()))),
            "eventlog.clear": Function(lambda: errors().clear()),
            **{f"eventlog.SEV_{name}": Constant(f"eventlog.SEV_{name}") for name in ("ERROR", "WARN", "INFO", "ALL")},
        }

    def _rest(self) -> dict[str, Entry]:
        def begin() -> None:
            self._timer = self.now

        def idle(*_: Any) -> None:
            return

        def again(*_: Any) -> None:
            self._machine.reset()

        names: dict[str, Entry] = {
            "reset": Function(again),
            "timer.cleartime": Function(begin),
            "timer.gettime": Function(lambda: self.now - self._timer),
            "buffer.make": Function(self._make_buffer),
            "beeper.beep": Function(idle),
        }
        for name in ("clear", "settext", "changescreen"):
            names[f"display.{name}"] = Function(idle)
        for name in ("display.TEXT1", "display.TEXT2", "display.SCREEN_HOME", "display.SCREEN_USER_SWIPE",
                     "buffer.FILL_ONCE", "buffer.FILL_CONTINUOUS", "buffer.STYLE_STANDARD", "buffer.STYLE_COMPACT",
                     "buffer.STYLE_FULL"):  # fmt: skip
            names[name] = Constant(name)
        return names
