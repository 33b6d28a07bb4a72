"""A line whose answers are told by counting: the instrument has no question that could carry a number."""

from __future__ import annotations

from typing import Any

from ..wire.binding import IdentityBinding
from ..wire.line import LINK_ERRORS, Line

WHO = b"*IDN?"


class CountedLine(Line):
    """Counts what it is owed; after a fault it asks who it is, and counts those answers, too.

    What is sent says by :meth:`_sent_for` how many answers it is owed, and which of its questions was the last.
    """

    def __init__(self, name: str, *, binding: IdentityBinding, **settings: Any) -> None:
        super().__init__(name, binding=binding, **settings)
        self._own = binding
        self._owed = 0
        self._asked = b""
        self._who = 0  # how often it was asked since it was known where its answers stand

    def _sent_for(self, answers: int, last: bytes) -> None:
        self._owed += answers
        self._asked = last
        self._who += last == WHO

    def read_reply(self, token: bytes = b"") -> bytes:
        """Read one answer."""
        reply = super().read_reply(token)
        self._owed = max(0, self._owed - 1)
        if self._asked == WHO:
            self._own.identity, self._who = reply.replace(b"+", b""), 0
        return reply

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
