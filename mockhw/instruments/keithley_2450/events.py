"""The event log of a Keithley 2450: errors, warnings and what was posted (:SYSTem:EVENtlog)."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ...scpi.arguments import Choice, Text
from ...scpi.tree import Command

ERROR, WARNING, INFORMATION = 1, 2, 4
_ALL: Final = 7
_LENGTH: Final = 1000
_POSTED: Final = 1005  # assumed: what the instrument calls an event that a user has posted
_TYPES: Final = {"ERR": ERROR, "WARN": WARNING, "INF": INFORMATION, "ALL": _ALL}


@dataclass(frozen=True, slots=True)
class LoggedEvent:
    """One event: its type, and its text with number, message and time."""

    kind: int
    text: str


class EventLog:
    """What happened, oldest first; reading an event takes it out.

    Parameters
    ----------
    stamp : callable
        Returns the instrument's time as the log prints it.
    """

    def __init__(self, stamp: Callable[[], str]) -> None:
        self._stamp = stamp
        self._events: deque[LoggedEvent] = deque(maxlen=_LENGTH)

    def add(self, kind: int, code: int, text: str) -> str:
        """Log an event and return its line."""
        line = f'{code},"{text};{kind};{self._stamp()}"'
        self._events.append(LoggedEvent(kind, line))
        return line

    def post(self, message: str, kind: int = INFORMATION) -> None:
        """Log what a user says."""
        self.add(kind, _POSTED, message.replace('"', "'"))

    def clear(self) -> None:
        """Forget everything."""
        self._events.clear()

    def count(self, kinds: int) -> int:
        """Return how many events of some kinds there are."""
        return sum(1 for event in self._events if event.kind & kinds)

    def take(self, kinds: int) -> str:
        """Return the oldest event of some kinds, and take it out."""
        for event in self._events:
            if event.kind & kinds:
                self._events.remove(event)
                return event.text
        return '0,"No error;0;0 0"'

    def commands(self) -> list[Command]:
        """Return the commands of the log."""
        kinds = Choice("type", ("ERRor", "WARNing", "INFormation", "ALL"), optional=True)

        def count(kind: str = "ALL") -> str:
            return str(self.count(_TYPES[kind]))

        def take(kind: str = "ALL") -> str:
            return self.take(_TYPES[kind])

        def post(message: str, kind: str = "INF") -> None:
            self.post(message, _TYPES[kind])

        return [
            Command("SYSTem:EVENtlog:COUNt?", count, (kinds,)),
            Command("SYSTem:EVENtlog:NEXT?", take, (kinds,)),
            Command("SYSTem:EVENtlog:POST", post, (Text("message"), kinds)),
        ]
