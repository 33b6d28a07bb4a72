"""The line to a 4200A: every message ends with NUL and is answered, so one leaves when the one before is answered."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ...wire.line import LINK_ERRORS, Line
from ...wire.wire_text import GarbledError, parse_header

ERRORS = ":ERROR:LAST:GET"
_CLEAR = b":ERROR:LAST:CLEAR"
_WHO = b"*IDN?"
_POWER, _STATUS = b"*ESR?", b"SP"
_DONE = b"ACK"
# What is answered by something else than ACK.
_ASKS = re.compile(rb"[:*A-Z0-9]*\?|(?:TI|TV) ?\d|(?:DO|RD) ?'|SP$|:ERROR:LAST:GET$|:PMU:DATA:GET ", re.IGNORECASE)
_ERROR = re.compile(r"(.*?)\s*\((-?\d+)\)\.?", re.DOTALL)


class KxciBinding:
    """A question whose answer nobody takes for another: who it is. KXCI has none that could carry a number."""

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


class KxciLine(Line):
    """Sends messages one by one and counts what they are owed.

    Several commands of one exchange are lines here, each a message of its own: what a message of several is answered
    with, no page at hand says.
    """

    errors: ClassVar[str] = ERRORS
    and_errors: ClassVar[str] = f"\n{ERRORS}"

    def __init__(self, name: str, *, binding: KxciBinding, **settings: Any) -> None:
        super().__init__(name, binding=binding, **settings)
        self.end = b"\0"
        self._own = binding
        self._owed = 0
        self._asked = b""
        self._who = 0  # how often it was asked since it was known where its answers stand

    # -- out and in --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send messages; each is owed an answer."""
        super().send(data)
        self._owed += data.count(self.end)
        self._asked = data.rstrip(self.end)
        self._who += self._asked == _WHO

    def read_reply(self, token: bytes = b"") -> bytes:
        """Read one answer."""
        reply = super().read_reply(token)
        self._owed = max(0, self._owed - 1)
        if self._asked == _WHO:
            self._own.identity, self._who = reply.replace(b"+", b""), 0
        return reply

    def begin(self, expected: float) -> None:
        """Read what is still owed to messages that nobody waited for, then as ever."""
        while self._owed and not self.out_of_step:
            self.read_reply()
        super().begin(expected)

    def find_place(self, seconds: float = 2.0, *, clear: bool = True) -> None:
        """Throw away answers until it says who it is, as often as it was asked: an answer may be to an earlier time."""
        super().find_place(seconds, clear=clear)
        earlier = self._who - 1
        try:
            self.port.set_timeout(seconds)
            while earlier > 0:
                earlier -= self.port.read_line().rstrip(b"\r\n\0").endswith(self._own.identity)
        except LINK_ERRORS:
            pass  # those answers were lost
        finally:
            self.port.set_timeout(self.timeout)
        self._owed = self._who = 0

    def ask(self, command: bytes) -> bytes:
        """Send lines, each when the one before is answered; return what was asked for, joined by semicolons."""
        found: list[bytes] = []
        for message in command.split(b"\n"):
            # A 4200A that was without power has to be started by hand, and its connection is gone: that one answers on
            # the old one is what there is to know.
            self.send((_STATUS if message == _POWER else message) + self.end)
            reply = self.read_reply()
            if message == _POWER:
                found.append(_alive(reply))
            elif message == ERRORS.encode():
                found.append(self._error(reply))
            elif reply != _DONE:
                if not _ASKS.match(message):
                    raise GarbledError(repr(reply[:60]))
                found.append(reply)
            elif message == _WHO:
                raise GarbledError(repr(reply))
        return b";".join(found)

    def ask_block(self, command: bytes, size: int | None) -> memoryview:
        """Send a simulator's own question and return the block it is answered with."""
        del size
        self.send(command + self.end)
        reply = self.read_reply()
        start, length = parse_header(reply)
        return memoryview(reply)[start : start + length]

    def _error(self, reply: bytes) -> bytes:
        """Return an error as SCPI has it, and have the 4200A forget it: it keeps the one it has."""
        text = reply.decode("latin-1").strip()
        if reply == _DONE or (self._own.identity and reply.replace(b"+", b"") == self._own.identity):
            raise GarbledError(repr(reply))
        if not text:
            return b'0,"No error"'
        match = _ERROR.fullmatch(text)
        if match is not None and int(match[2]) == 0:
            return b'0,"No error"'
        self.send(_CLEAR + self.end)
        self.read_reply()
        number, words = (match[2], match[1]) if match is not None else ("-1", text)
        return f'{number},"{words.rstrip(".").replace(chr(34), chr(39))}"'.encode("latin-1")


def _alive(reply: bytes) -> bytes:
    if not reply.strip().isdigit():
        raise GarbledError(repr(reply[:60]))
    return b"0"
