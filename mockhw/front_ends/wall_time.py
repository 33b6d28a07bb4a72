"""Wall time moves what runs on a bench that is served on sockets.

A client that only polls must see a sweep, a burst or a pulse map go on and end. So before a message that comes over a
socket is executed, simulated time is brought to where wall time is, at most to the end of what runs: every event on
the way (a reading, the end of a burst) happens at its own time. Between two events nothing is touched; a message that
acts in between, or asks for something that is in between, lets simulated time catch up first.

Clients that know how to wait skip ahead: a query that waits and ``SIMulation:CLOCk:ADVance`` let time pass at once.
What they measure is the same as in process, because nothing but events moves the clock for them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from ..instrument import advance_to

if TYPE_CHECKING:
    from ..bench.bench import MockBench

_BUDGET: Final = 0.25
"""So long [s] a client is kept waiting while simulated time follows wall time; what is left of it is forgotten."""


class WallTime:
    """How far wall time has come since simulated time was moved last.

    Parameters
    ----------
    bench : MockBench
    rate : float
        Simulated seconds in a second on the wall; 0: it stands still.
    wall : callable
        Monotonic wall-clock time [s].
    """

    def __init__(self, bench: MockBench, rate: float = 1.0, wall: Callable[[], float] = time.monotonic) -> None:
        if not 0.0 <= rate < math.inf:
            raise ValueError(f"a rate of {rate} simulated seconds in a second: choose 0 or more, and a finite one")
        self._clock = bench.clock
        self._instruments = tuple(bench.instruments.values())
        self._rate = rate
        self._wall = wall
        self._seen: tuple[float, float] | None = None
        """Wall time and simulated time from which on something has been running; None: nothing was."""
        self._found = self._at = bench.clock.now

    def before_message(self) -> None:
        """Let pass what wall time has given; called before an instrument takes anything from a client."""
        self._found = self._at = self._clock.now
        if self._seen is None:
            return
        wall, simulated = self._seen
        now = self._wall()
        until = simulated + self._rate * (now - wall)
        clock = self._clock
        while self._running() and (event := clock.next_event()) <= until:
            advance_to(clock, event)
            if self._wall() - now > _BUDGET:
                self._seen = (self._wall(), clock.now)
                until = clock.now
        clock.ahead = max(0.0, until - clock.now) if self._running() else 0.0
        self._at = clock.now

    def after_message(self, *, told_progress: bool) -> None:
        """Note what runs now; ``told_progress``: the client was told how long to wait, and may skip ahead by that."""
        clock = self._clock
        clock.ahead = 0.0
        by_the_wall = clock.now == self._at  # nothing else has moved it
        clock.lead_from = self._found if told_progress and by_the_wall else None
        if not self._running():
            self._seen = None
        elif self._seen is None or clock.now != self._at:
            self._seen = (self._wall(), clock.now)

    def _running(self) -> bool:
        return any(instrument.action is not None for instrument in self._instruments)
