"""One action at a time on an array, whichever thread it comes from; going idle waits for none of them for long."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from ..errors import InstrumentError

PATIENCE = 2.0
"""How long going idle waits for an action of another thread to see that it is over [s]."""


class ActionLock:
    """Held around an action of an array: ``with lock:``; an action inside another of the same thread is part of it.

    An action may be of many messages: without it two threads would tie each other's cells and measure the other's.
    :meth:`idling` is the way out: it tells the action of another thread to end, waits a moment and goes on anyway.

    Parameters
    ----------
    name : str
        Of the array, for messages.
    """

    __slots__ = ("_began", "_depth", "_idled", "_lock", "_name", "_owner")

    def __init__(self, name: str) -> None:
        self._name = name
        self._lock = threading.RLock()
        self._owner: int | None = None
        self._depth = 0
        # How often it was made idle from outside: in all, and when the action that runs began.
        self._idled = self._began = 0

    def __enter__(self) -> None:
        self._lock.acquire()
        if not self._depth:
            self._owner, self._began = threading.get_ident(), self._idled
        self._depth += 1

    def __exit__(self, *_: object) -> None:
        self._depth -= 1
        if not self._depth:
            self._owner = None
        self._lock.release()

    @property
    def is_mine(self) -> bool:
        """Whether this thread is in an action of the array."""
        return self._owner == threading.get_ident()

    def go_on(self) -> None:
        """Say, between the messages of a long action, that it goes on.

        Raises
        ------
        InstrumentError
            The array was made idle from another thread in the meantime.
        """
        if self._began != self._idled:
            raise InstrumentError(f"{self._name} was made idle from another thread: the action stopped where it was")

    @contextmanager
    def idling(self) -> Generator[None]:
        """Hold the array for going idle, or not, where another thread does not let go of it in time."""
        if self._owner not in {None, threading.get_ident()}:
            self._idled += 1
        held = self._lock.acquire(timeout=PATIENCE)
        try:
            yield
        finally:
            if held:
                self._lock.release()
