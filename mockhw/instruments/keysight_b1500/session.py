"""A session that speaks FLEX: short commands, done one after the other, none of which is interrupted."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ...scpi.errors import ScpiError
from ...scpi.reader import Arrival, MessageReader, refusal
from ...scpi.session import ScpiSession
from ...scpi.tree import Command, CommandTree, Program, Unit
from ...scpi.wire_limits import WireLimits

if TYPE_CHECKING:
    from ...scpi.device import Device
    from ...sim_clock import SimClock

UNDEFINED, NOT_A_NUMBER, PARAMETER, CHANNEL, COMPLIANCE, SWITCHED_OFF, NOT_SET_UP = 100, 101, 120, 121, 123, 200, 208
TEXTS: Final = {
    UNDEFINED: "Undefined GPIB command.",
    NOT_A_NUMBER: "Incorrect numeric data syntax.",
    PARAMETER: "Incorrect parameter value.",
    CHANNEL: "Channel number must be 1 to 10.",
    COMPLIANCE: "Compliance must be set correctly.",
    SWITCHED_OFF: "Channel output switch must be ON.",
    NOT_SET_UP: "Measurement mode is not set up.",
}
"""From memory of the programming guide, numbers and texts."""
_SIMULATION: Final = re.compile(rb"\s*SIM(ULATION)?:", re.IGNORECASE)
_FLEX: Final = re.compile(r"(\*?[A-Za-z]{2,5}\??)\s*(.*)", re.DOTALL)
_BUFFER: Final = 256
_ASKS: Final = frozenset({"TI", "TV", "TTIV", "XE"})

Word = Callable[..., Any]


class FlexReader(MessageReader):
    """Makes programs of messages."""

    def __init__(self, tree: CommandTree, words: dict[str, Word], limits: WireLimits) -> None:
        super().__init__(tree, limits)
        self._words = words

    def arrive(self, data: bytes | bytearray | memoryview, *, end: bool, later: bool = False) -> Sequence[Arrival]:
        """Return the messages that are complete with ``data``."""
        del later
        return [
            (refusal(ScpiError(PARAMETER, "a message that is too long")) if error else self.compile(text), ())
            for text, _, error in self.framer.feed(data, end=end)
        ]

    def compile(self, text: bytes) -> Program:
        """Return the program of one message."""
        if _SIMULATION.match(text):
            return self._tree.compile(text)
        if len(text) > _BUFFER:
            return refusal(ScpiError(PARAMETER, f"a message of {len(text)} characters"))
        parts = [part.strip() for part in text.decode("latin-1").split(";") if part.strip()]
        units = [self._unit(part) for part in parts[: self._limits.units]]
        names = {unit.command.pattern for unit in units if unit.command is not None}
        return Program(tuple(units), 0, names == {"AB"}, any(unit.is_query for unit in units))

    def _unit(self, part: str) -> Unit:
        found = _FLEX.fullmatch(part)
        name = found[1].upper() if found else part[:20]
        word = self._words.get(name)
        if found is None or word is None:
            return Unit(None, _unknown(name), ())
        arguments = tuple(one.strip() for one in found[2].split(",")) if found[2].strip() else ()

        def run(*given: str) -> Any:
            try:
                return word(*given)
            except (TypeError, ValueError) as error:
                raise ScpiError(NOT_A_NUMBER, f"{name} {','.join(given)[:60]}") from error

        return Unit(Command(name, run), run, arguments, is_query=name.endswith("?") or name in _ASKS)


def _unknown(name: str) -> Callable[[], None]:
    def fail() -> None:
        raise ScpiError(UNDEFINED, name)

    return fail


class _Names(CommandTree):
    """The simulation's own commands, and FLEX's words, for faults to strike at."""

    def __init__(self, tree: CommandTree, words: dict[str, Word]) -> None:
        super().__init__(tree.commands)
        self._known = words

    def find(self, header: str) -> Command | None:
        """Return the command of a header."""
        name = header.upper()
        return Command(name, lambda: None) if name in self._known else super().find(header)


class FlexSession(ScpiSession):
    """Commands in, done in order; what is asked leaves with CR LF.

    ``AB`` stops what runs where nothing has come behind it: else it waits like the rest, and a device clear is what
    stops it.
    """

    def __init__(self, device: Device, clock: SimClock, commands: Sequence[Command], words: dict[str, Word]) -> None:
        super().__init__(device, clock, commands)
        self.tree = _Names(self.tree, words)
        self.reader = FlexReader(self.tree, words, self.limits)
        self.status.errors.nothing = '+0,"No Error."'
        self.status.errors.write = lambda code, detail: f'{code:+d},"{TEXTS.get(code, "Failure.")}{_place(detail)}"'

    def clear(self) -> None:
        """Device clear: what runs ends, what waits is forgotten; outputs stay as they are."""
        super().clear()
        self._device.abort()

    def _emit(self) -> None:
        before = len(self.output)
        super()._emit()
        if len(self.output) > before:
            data, *rest = self.output.pop()
            self.output.append((data.removesuffix(b"\n") + b"\r\n", *rest))  # pyright: ignore[reportArgumentType]
            self._unread += 1

    def _meet(self, arrived: Sequence[Arrival]) -> None:
        """A message that comes while another one is worked on waits behind it; what is late has left, and comes.

        What is told to the simulation and not to the instrument does not wait.
        """
        if self._hold is not None and isinstance(arrived, list) and len(arrived) == 1:
            program = arrived[0][0]
            if isinstance(program, Program) and all(_is_simulation(unit) for unit in program.units):
                arrived.clear()
                for unit in program.units:
                    reply = unit.handler(*unit.arguments)
                    if isinstance(reply, str):
                        self.output.append((reply.encode() + b"\r\n", 0.0, 0.0, False))
                        self._unread += len(reply) + 2
                return
        now = self._clock.now
        self.output = deque((r[0], now if r[1] == math.inf else r[1], r[2], r[3]) for r in self.output)
        behind = self._inbox or self._at < len(self._units)
        if not behind and any(isinstance(program, Program) and program.aborts for program, _ in arrived):
            self._device.abort()
            self._drop_message()


def _is_simulation(unit: Unit) -> bool:
    return unit.command is not None and unit.command.pattern.startswith("SIM")


def _place(detail: str) -> str:
    return f"; {detail}".replace('"', "'") if detail else ""
