"""Simulated time of one bench: nothing sleeps, and nothing hides."""

from __future__ import annotations

from collections.abc import Callable


class SimClock:
    """Simulated seconds since the bench was switched on.

    Only clock waits and blocking queries call :meth:`advance`; instruments that have
    something scheduled register a callback and do their work when time passes.

    Attributes
    ----------
    now : float [s]
        Simulated time.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._watchers: list[Callable[[float], None]] = []

    def watch(self, callback: Callable[[float], None]) -> None:
        """Call ``callback(now)`` after every advance."""
        self._watchers.append(callback)

    def advance(self, seconds: float) -> float:
        """Let ``seconds`` [s] pass and return the new time [s]."""
        if not seconds >= 0.0:
            raise ValueError(f"time runs forward only: cannot advance by {seconds} s")
        self.now += seconds
        for callback in self._watchers:
            callback(self.now)
        return self.now
