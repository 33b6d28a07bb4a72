"""The line to a B1500A: FLEX commands go out line by line, and what asks is answered before the next that asks."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ...wire.line import LINK_ERRORS, Line
from ...wire.wire_text import GarbledError

ERRORS = "ERRX?"
FORMAT = "FMT 1,1"
"""Values with a header, the source's beside them. ``*RST`` and power-on have another, which tells that it was off."""
_WHO, _POWER, _FORMAT_QUESTION = b"*IDN?", b"*ESR?", b"*LRN? 31"
_LF = b"\n"
# What is answered: a question, a reading, a measurement.
_ASKS = re.compile(rb"[*A-Z]+\?|T[IV] ?\d|XE$", re.IGNORECASE)
_ERROR = re.compile(rb'\+?(-?\d+),(".*")', re.DOTALL)


class FlexBinding:
    """A question whose answer nobody takes for another: who it is. FLEX has none that could carry a number."""

    def __init__(self) -> None:
        self.name = "*IDN?"
        self.identity = b""

    def lead(self, command: bytes) -> tuple[bytes, bytes]:
        """Return ``command`` as it is: answers are counted."""
        return command, b""

    def question(self) -> tuple[bytes, bytes]:
        """Return ``*IDN?`` and what it was answered with when the connection was opened."""
        return _WHO, self.identity

    def earlier(self, answer: bytes) -> bool:
        """Return whether ``answer`` may be to a question asked before: that cannot be told."""
        del answer
        return False


class FlexLine(Line):
    """Sends lines and counts the answers that are owed to them.

    A measurement that runs by itself is told (``XE``), and its data are asked for later, by an empty command.
    """

    errors: ClassVar[str] = ERRORS
    and_errors: ClassVar[str] = f"\n{ERRORS}"

    def __init__(self, name: str, *, binding: FlexBinding, **settings: Any) -> None:
        super().__init__(name, binding=binding, **settings)
        self._own = binding
        self._owed = 0
        self._asked = b""
        self._who = 0  # how often it was asked since it was known where its answers stand

    # -- out and in --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send lines; each that asks is owed an answer."""
        super().send(data)
        asking = [line for line in data.split(_LF) if _ASKS.match(line)]
        self._owed += len(asking)
        self._asked = asking[-1] if asking else b""
        self._who += self._asked == _WHO

    def read_reply(self, token: bytes = b"") -> bytes:
        """Read one answer."""
        reply = super().read_reply(token)
        self._owed = max(0, self._owed - 1)
        if self._asked == _WHO:
            self._own.identity, self._who = reply.replace(b"+", b""), 0
        return reply

    def begin(self, expected: float) -> None:
        """Give what takes long its time; data that are owed are no reply too many."""
        if self._owed and not self.out_of_step:
            self._bound(self.base_timeout + 1.2 * expected)
            self._stretched = True
            return
        super().begin(expected)

    def find_place(self, seconds: float = 2.0, *, clear: bool = True) -> None:
        """Throw away answers until it says who it is, as often as it was asked: an answer may be to an earlier time."""
        super().find_place(seconds, clear=clear)
        earlier = self._who - 1
        try:
            self.port.set_timeout(seconds)
            while earlier > 0:
                earlier -= self.port.read_line().rstrip(b"\r\n").endswith(self._own.identity)
        except LINK_ERRORS:
            pass  # those answers were lost
        finally:
            self.port.set_timeout(self.timeout)
        self._owed = self._who = 0

    def ask(self, command: bytes) -> bytes:
        """Send lines, those up to a second one that asks when the first is answered; return the answers."""
        found: list[bytes] = []
        if not command.strip():
            found.append(self.read_reply())
        for lines in _portions(command):
            power = lines == [_POWER]
            self.send(_LF.join([_FORMAT_QUESTION] if power else lines) + _LF)
            asked = self._asked
            if not asked:
                continue
            reply = self.read_reply()
            if power:
                reply = _powered(reply)
            elif asked == ERRORS.encode("ascii"):
                reply = _error(reply)
            found.append(reply)
        return b";".join(found)

    def ask_block(self, command: bytes, size: int | None) -> memoryview:
        """Send a simulator's own question and return the block it is answered with."""
        self.send(command + _LF)
        return self.read_block(size)


def _portions(command: bytes) -> list[list[bytes]]:
    """Return lines in portions that leave together, no two that ask in one."""
    portions: list[list[bytes]] = []
    asked = True
    for line in filter(None, command.split(_LF)):
        asks = bool(_ASKS.match(line))
        if not portions or (asks and asked):
            portions.append([])
            asked = False
        portions[-1].append(line)
        asked = asked or asks
    return portions


def _error(reply: bytes) -> bytes:
    """Return an error as SCPI has it."""
    found = _ERROR.fullmatch(reply)
    if found is None:
        raise GarbledError(repr(reply[:60]))
    return found[1] + b"," + found[2]


def _powered(reply: bytes) -> bytes:
    """Return an event register: whether our format is still set."""
    if b"FMT" not in reply:
        raise GarbledError(repr(reply[:60]))
    return b"0" if FORMAT.replace(" ", "").encode("ascii") in reply else b"128"
