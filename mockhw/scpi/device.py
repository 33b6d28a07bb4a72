"""What a SCPI session and the instrument behind it say to each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ..faults import Strike

Reply = str | bytes | list[bytes | memoryview]
"""What a query handler returns: text, bytes, or buffers to be joined."""


class Hold:
    """The parser waits.

    Parameters
    ----------
    until : float, optional [s]
        Simulated time it waits for; None: until the instrument has finished what it does.
    finish : callable, optional
        Makes the reply when the wait is over; None in place of a reply means there is none.
    """

    __slots__ = ("finish", "until")

    def __init__(self, until: float | None = None, finish: Callable[[], Reply | None] | None = None) -> None:
        self.until = until
        self.finish = finish


class PutOff(Hold):
    """The parser waits, and the command that was held is executed only then."""

    __slots__ = ()


class Device(Protocol):
    """What a session asks of the instrument it speaks for."""

    @property
    def busy(self) -> bool:
        """Whether something that was started is still running."""
        ...

    @property
    def free_at(self) -> float:
        """When the last thing that ran ended [s]."""
        ...

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        ...

    @property
    def options(self) -> str:
        """The reply to ``*OPT?``."""
        ...

    def next_event(self) -> float | None:
        """Return when something happens next [s], None if nothing will."""
        ...

    def before(self, pattern: str) -> None:
        """Prepare for a command that is no query while wall time is ahead."""
        ...

    def abort(self) -> None:
        """Stop what runs as soon as it can be stopped."""
        ...

    def reset(self) -> Hold | None:
        """Do ``*RST``."""
        ...

    def self_test(self) -> str:
        """Return the reply to ``*TST?``."""
        ...

    def struck(self, strike: Strike, header: str) -> None:
        """Record a scripted fault, and suffer it where it is the instrument and not a message that it strikes."""
        ...
