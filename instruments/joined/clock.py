"""One time for several simulated benches, each of which only knows its own."""

from __future__ import annotations

from collections.abc import Sequence

from ..capabilities import Clock


class JoinedClock:
    """Keeps simulated clocks together: who looks at the time, or waits, lets the late ones catch up first.

    Boards are driven one after the other, and on a real bench time passes for all of them. Between two looks at the
    clock a board's chip can be younger than its neighbour's by what the neighbour has been doing.
    """

    def __init__(self, clocks: Sequence[Clock]) -> None:
        self._clocks = tuple(clocks)
        # Benches that have been on for different times are not made the same age.
        self._starts = [clock.now() for clock in self._clocks]

    def now(self) -> float:
        """Return simulated seconds since the first board's bench was switched on [s]."""
        return self._starts[0] + self._together()

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` [s] of simulated time pass on every board."""
        self._together()
        for clock in self._clocks:
            clock.wait(seconds)

    def _together(self) -> float:
        passed = [clock.now() - start for clock, start in zip(self._clocks, self._starts, strict=True)]
        latest = max(passed)
        for clock, mine in zip(self._clocks, passed, strict=True):
            if mine < latest:
                clock.wait(latest - mine)
        return latest
