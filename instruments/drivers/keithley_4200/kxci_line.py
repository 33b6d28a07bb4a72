"""The line to a 4200A: every message ends with NUL and is answered, so one leaves when the one before is answered."""

from __future__ import annotations

import re
from typing import Any, ClassVar

from ...wire.binding import IdentityBinding
from ...wire.wire_text import GarbledError, parse_header
from ..counted_line import WHO, CountedLine

ERRORS = ":ERROR:LAST:GET"
_CLEAR = b":ERROR:LAST:CLEAR"
_POWER, _STATUS = b"*ESR?", b"SP"
_DONE = b"ACK"
# What is answered by something else than ACK.
_ASKS = re.compile(rb"[:*A-Z0-9]*\?|(?:TI|TV) ?\d|(?:DO|RD) ?'|SP$|:ERROR:LAST:GET$|:PMU:DATA:GET ", re.IGNORECASE)
_ERROR = re.compile(r"(.*?)\s*\((-?\d+)\)\.?", re.DOTALL)


class KxciLine(CountedLine):
    """Sends messages one by one and counts what they are owed.

    Several commands of one exchange are lines here, each a message of its own: what a message of several is answered
    with, no page at hand says.
    """

    errors: ClassVar[str] = ERRORS
    and_errors: ClassVar[str] = f"\n{ERRORS}"

    def __init__(self, name: str, *, binding: IdentityBinding, **settings: Any) -> None:
        super().__init__(name, binding=binding, **settings)
        self.end = b"\0"

    # -- out and in --------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send messages; each is owed an answer."""
        super().send(data)
        self._sent_for(data.count(self.end), data.rstrip(self.end))

    def begin(self, expected: float) -> None:
        """Read what is still owed to messages that nobody waited for, then as ever."""
        while self._owed and not self.out_of_step:
            self.read_reply()
        super().begin(expected)

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
            elif message == WHO:
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
