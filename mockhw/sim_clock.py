"""Simulated time of one bench: nothing sleeps, and nothing hides."""

from __future__ import annotations

import math
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
        self._schedules: list[Callable[[], float | None]] = []

    def watch(self, callback: Callable[[float], None], next_event: Callable[[], float | None] | None = None) -> None:
        """Call ``callback(now)`` after every advance, and at every time [s] that ``next_event`` gives on the way.

        Instruments that act on one chip must do so in the order of time, whichever of them is asked.
        """
        self._watchers.append(callback)
        if next_event is not None:
            self._schedules.append(next_event)

    def advance(self, seconds: float) -> float:
        """Let ``seconds`` [s] pass and return the new time [s]."""
        if not seconds >= 0.0:
            raise ValueError(f"time runs forward only: cannot advance by {seconds} s")
        until = self.now + seconds
        while len(self._schedules) > 1 and (event := self._next_event()) < until:
            self._pass_to(event)
        self._pass_to(until)
        return self.now

    def _next_event(self) -> float:
        """Return the first scheduled time after now [s]."""
        times = (next_event() for next_event in self._schedules)
        return min((time for time in times if time is not None and time > self.now), default=math.inf)

    def _pass_to(self, time: float) -> None:
        self.now = time
        for callback in self._watchers:
            callback(time)
