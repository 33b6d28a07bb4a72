"""A session that speaks TSP: every line is a chunk of Lua, a common command, or a line of a script that is loaded."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..scpi.errors import ScpiError
from ..scpi.framing import Message, MessageFramer
from ..scpi.reader import Arrival, MessageReader, refusal
from ..scpi.session import ScpiSession
from ..scpi.tree import Command, CommandTree, Program, Unit
from ..scpi.wire_limits import WIRE_LIMITS, WireLimits

if TYPE_CHECKING:
    from ..scpi.device import Device
    from ..sim_clock import SimClock

_SCPI: Final = re.compile(rb"\s*(\*|SIM(ULATION)?:)", re.IGNORECASE)
_TOO_LONG: Final = -363
_LINE: Final = "line"


def _is_simulation(unit: Unit) -> bool:
    return unit.command is not None and unit.command.pattern.startswith("SIM")


class LineFramer(MessageFramer):
    """Finds lines in what arrives.

    Parameters
    ----------
    limits : WireLimits
    """

    def __init__(self, limits: WireLimits = WIRE_LIMITS) -> None:
        super().__init__(limits)

    @property
    def pending(self) -> bool:
        """Whether an unfinished line is held."""
        return bool(self._held) or self._overlong

    @property
    def in_block(self) -> bool:
        """Whether what is held ends inside a block: scripts have none."""
        return False

    def clear(self) -> None:
        """Forget an unfinished line."""
        self._held, self._overlong = bytearray(), False

    def feed(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> list[Message]:
        """Return the lines that are complete with ``data``; ``end``: its last byte ends one."""
        self._held += data
        *whole, rest = bytes(self._held).split(b"\n")
        if end and rest:
            whole, rest = [*whole, rest], b""
        self._held = bytearray(rest)
        lines: list[Message] = []
        for text in whole:
            if self._overlong or len(text) > self.limits.text:
                lines.append(Message(b"", (), _TOO_LONG))
            elif text.strip():
                lines.append(Message(text.rstrip(b"\r"), ()))
            self._overlong = False
        if len(rest) > self.limits.text:
            self._held, self._overlong = bytearray(), True
        return lines


class LineReader(MessageReader):
    """Makes programs of lines.

    Parameters
    ----------
    tree : CommandTree
        Of the common commands.
    execute : callable
        Runs one line.
    limits : WireLimits
    """

    def __init__(self, tree: CommandTree, execute: Callable[[str], Any], limits: WireLimits = WIRE_LIMITS) -> None:
        super().__init__(tree, limits)
        self.framer = LineFramer(limits)
        self._execute = execute

    def arrive(self, data: bytes | bytearray | memoryview, *, end: bool, later: bool = False) -> Sequence[Arrival]:
        """Return the lines that are complete with ``data``."""
        del later
        too_long = f"a line of more than {self.framer.limits.text} bytes"
        return [
            (refusal(ScpiError(error, too_long)) if error else self.compile(text), ())
            for text, _, error in self.framer.feed(data, end=end)
        ]

    def compile(self, text: bytes) -> Program:
        """Return the program of one line."""
        if _SCPI.match(text):
            return self._tree.compile(text.strip())
        line = text.decode("latin-1")
        asks = b"print" in text
        command = Command(_LINE, self._execute)
        unit = Unit(command, self._execute, (line,), is_query=asks)
        return Program((unit,), 0, text.strip() == b"abort", asks)


class _Names(CommandTree):
    """The common commands, and the names of scripts, for faults to strike at."""

    def __init__(self, tree: CommandTree, knows: Callable[[str], bool]) -> None:
        super().__init__(tree.commands)
        self._knows = knows

    def find(self, header: str) -> Command | None:
        """Return the command of a header, or one that stands for a name in scripts."""
        return Command(header, lambda: None) if self._knows(header) else super().find(header)


class TspSession(ScpiSession):
    """Lines in, what they print out.

    Parameters
    ----------
    device : Device
    clock : SimClock
    commands : sequence of Command
        Beside the common ones.
    execute : callable
        Runs one line; returns a Hold while it takes time.
    knows : callable
        Whether scripts have such a name.
    """

    def __init__(
        self,
        device: Device,
        clock: SimClock,
        commands: Sequence[Command],
        *,
        execute: Callable[[str], Any],
        knows: Callable[[str], bool],
    ) -> None:
        super().__init__(device, clock, commands)
        self.tree = _Names(self.tree, knows)
        self.reader = LineReader(self.tree, execute)

    def new_framer(self) -> MessageFramer:
        """Return where one more client keeps its unfinished line."""
        return LineFramer(self.limits)

    def say(self, data: bytes) -> None:
        """Put a line a script has printed into the output queue.

        Raises
        ------
        ScpiError
            Nobody reads, and the queue is full.
        """
        if self._unread + len(data) > self.limits.unread:
            raise ScpiError(-430, "the output queue is full")
        if self._spoiled is not None:
            self._emit_spoiled(data, self._spoiled)
            return
        self.output.append((data, 0.0, 0.0, False))
        self._unread += len(data)

    def _meet(self, arrived: Sequence[Arrival]) -> None:
        """A line arrives while a script runs: it waits, but for one that aborts; what was printed stays to be read.

        What is told to the simulation and not to the instrument does not wait.
        """
        if self._hold is not None and isinstance(arrived, list) and len(arrived) == 1:
            program = arrived[0][0]
            if isinstance(program, Program) and all(_is_simulation(unit) for unit in program.units):
                arrived.clear()
                for unit in program.units:
                    reply = unit.handler(*unit.arguments)
                    if isinstance(reply, str):
                        self.say(reply.encode() + b"\n")
                return
        if self._hold is not None and any(isinstance(p, Program) and p.aborts for p, _ in arrived):
            self.aborted = self.message
            self._device.abort()
            self.run()

    def _disturbed(self, unit: Unit, header: str, arguments: tuple[Any, ...]) -> Any:
        """Execute a line under the faults that strike a name it holds."""
        if header == _LINE and self.faults is not None:
            line = str(arguments[0])
            header = next((one.header for one in self.faults.faults if one.header and one.header in line), _LINE)
        return super()._disturbed(unit, header, arguments)
