"""A session that speaks KXCI: messages end with NUL, and each is answered, by ``ACK`` where nothing is asked."""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...scpi.errors import ScpiError
from ...scpi.framing import Message, MessageFramer
from ...scpi.reader import Arrival, MessageReader, refusal
from ...scpi.session import ScpiSession
from ...scpi.spoiled_reply import SpoiledReply
from ...scpi.tree import Command, CommandTree, Program, Unit
from ...scpi.wire_limits import WIRE_LIMITS, WireLimits

if TYPE_CHECKING:
    from ...scpi.device import Device, Reply
    from ...sim_clock import SimClock

_TOO_LONG: Final = -363
_SIMULATION: Final = re.compile(rb"\s*SIM(ULATION)?:", re.IGNORECASE)
_PAGE: Final = re.compile(r"(DE|SS|SM|MD|US)\s+(\S.*)", re.IGNORECASE | re.DOTALL)
_LONG: Final = re.compile(r"([:*][A-Za-z:]+\??)\s*(.*)", re.DOTALL)
_SHORT: Final = re.compile(r"([A-Za-z]{2})\s*(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Word:
    """What one KXCI command does.

    Attributes
    ----------
    run : callable
        Called with the arguments as text; returns a reply, a Hold, or None where ``ACK`` is the answer.
    page : str
        Where it is understood: US, DE, SS, SM or MD; empty everywhere.
    """

    run: Callable[..., Any]
    page: str = ""


class NulFramer(MessageFramer):
    """Finds messages that end with NUL."""

    def __init__(self, limits: WireLimits = WIRE_LIMITS) -> None:
        super().__init__(limits)

    @property
    def pending(self) -> bool:
        """Whether an unfinished message is held."""
        return bool(self._held) or self._overlong

    @property
    def in_block(self) -> bool:
        """Whether what is held ends inside a block: there are none."""
        return False

    def clear(self) -> None:
        """Forget an unfinished message."""
        self._held, self._overlong = bytearray(), False

    def feed(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> list[Message]:
        """Return the messages that are complete with ``data``; ``end``: its last byte ends one."""
        self._held += data
        *whole, rest = bytes(self._held).split(b"\0")
        if end and rest:
            whole, rest = [*whole, rest], b""
        self._held = bytearray(rest)
        messages: list[Message] = []
        for text in whole:
            if self._overlong or len(text) > self.limits.text:
                messages.append(Message(b"", (), _TOO_LONG))
            else:
                messages.append(Message(text.strip(), ()))
            self._overlong = False
        if len(rest) > self.limits.text:
            self._held, self._overlong = bytearray(), True
        return messages


class KxciReader(MessageReader):
    """Makes programs of messages.

    Parameters
    ----------
    tree : CommandTree
        Of the simulation's own commands.
    words : dict of str to Word
    enter : callable
        Told of the page a command stands on; raises where it is not understood there.
    limits : WireLimits
    """

    def __init__(
        self, tree: CommandTree, words: dict[str, Word], enter: Callable[[Word, str], None], limits: WireLimits
    ) -> None:
        super().__init__(tree, limits)
        self.framer = NulFramer(limits)
        self._words, self._enter = words, enter

    def arrive(self, data: bytes | bytearray | memoryview, *, end: bool, later: bool = False) -> Sequence[Arrival]:
        """Return the messages that are complete with ``data``."""
        del later
        too_long = f"a message of more than {self.framer.limits.text} bytes"
        return [
            (refusal(ScpiError(error, too_long)) if error else self.compile(text), ())
            for text, _, error in self.framer.feed(data, end=end)
        ]

    def compile(self, text: bytes) -> Program:
        """Return the program of one message."""
        if _SIMULATION.match(text):
            return self._tree.compile(text)
        units: list[Unit] = []
        parts = text.decode("latin-1").split(";")
        while parts:
            part = parts.pop(0).strip()
            if (page := _PAGE.fullmatch(part)) is not None:
                parts[:0] = [page[1], page[2]]
                continue
            if part or not units:
                units.append(self._unit(part))
        return Program(tuple(units[: self._limits.units]), 0, False, True)

    def _unit(self, part: str) -> Unit:
        found = _LONG.fullmatch(part) or _SHORT.fullmatch(part)
        name = found[1].upper() if found else part[:20]
        word = self._words.get(name)
        if found is None or word is None:
            return Unit(None, _unknown(name), (), is_query=True)
        arguments = tuple(one.strip() for one in found[2].split(",")) if found[2].strip() else ()

        def run(*given: str) -> Any:
            self._enter(word, name)
            try:
                return word.run(*given)
            except (TypeError, ValueError) as error:
                raise ScpiError(-220, f"{name}: arguments {', '.join(given)[:60]!r}") from error

        return Unit(Command(name, run), run, arguments, is_query=True)


def _unknown(name: str) -> Callable[[], None]:
    def fail() -> None:
        raise ScpiError(-113, name)

    return fail


class _Names(CommandTree):
    """The simulation's own commands, and KXCI's words, for faults to strike at."""

    def __init__(self, tree: CommandTree, words: dict[str, Word]) -> None:
        super().__init__(tree.commands)
        self._known = words

    def find(self, header: str) -> Command | None:
        """Return the command of a header."""
        name = header.upper()
        return Command(name, lambda: None) if name in self._known else super().find(header)


class KxciSession(ScpiSession):
    """Messages in, an answer to each out.

    Parameters
    ----------
    device : Device
    clock : SimClock
    commands : sequence of Command
        The simulation's own.
    words : dict of str to Word
    enter : callable
        See :class:`KxciReader`.
    """

    def __init__(
        self,
        device: Device,
        clock: SimClock,
        commands: Sequence[Command],
        words: dict[str, Word],
        enter: Callable[[Word, str], None],
    ) -> None:
        super().__init__(device, clock, commands)
        self.tree = _Names(self.tree, words)
        self.reader = KxciReader(self.tree, words, enter, self.limits)

    def new_framer(self) -> MessageFramer:
        """Return where one more client keeps its unfinished message."""
        return NulFramer(self.limits)

    def hang_up(self) -> None:
        """End the connection: a computer without power is not there any more."""
        self._drop_connection()

    def _emit(self) -> None:
        replies, self._replies = self._replies or ["ACK"], []
        data = ";".join(one if isinstance(one, str) else _text(one) for one in replies).encode("latin-1")
        if self._spoiled is not None:
            self._emit_spoiled(data + b"\n", self._spoiled)
            return
        self.output.append((data + b"\0", 0.0, 0.0, False))
        self._unread += len(data) + 1

    def _emit_spoiled(self, data: bytes, spoiled: SpoiledReply) -> None:
        before = len(self.output)
        super()._emit_spoiled(data, spoiled)
        if len(self.output) > before:
            left, *rest = self.output.pop()
            self.output.append((left.replace(b"\n", b"\0"), *rest))  # pyright: ignore[reportArgumentType]

    def _meet(self, arrived: Sequence[Arrival]) -> None:
        """A message that comes while another one is worked on waits behind it; what is late has left, and comes."""
        now = self._clock.now
        self.output = deque((r[0], now if r[1] == math.inf else r[1], r[2], r[3]) for r in self.output)


def _text(reply: Reply) -> str:
    parts = reply if isinstance(reply, list) else [reply]
    return b"".join(one.encode("latin-1") if isinstance(one, str) else bytes(one) for one in parts).decode("latin-1")
