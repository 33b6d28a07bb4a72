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
    ahead : float [s]
        How far wall time is ahead of it while a message is executed that came over a socket: what is under way may
        have come further than its last event (see :mod:`.front_ends.wall_time`). 0 in process.
    lead_from : float, optional [s]
        Where a client found it that was told by the last message how long to wait: its waiting counts from there.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self.ahead = 0.0
        self.lead_from: float | None = None
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
        while len(self._schedules) > 1 and (event := self.next_event()) < until:
            self._pass_to(event)
        self._pass_to(until)
        self.ahead = 0.0
        return self.now

    def next_event(self) -> float:
        """Return the first scheduled time after now [s]; inf without one."""
        times = (next_event() for next_event in self._schedules)
        return min((time for time in times if time is not None and time > self.now), default=math.inf)

    def _pass_to(self, time: float) -> None:
        self.now = time
        for callback in self._watchers:
            callback(time)
