"""Time as protocols see it: the wall clock, or a simulator's clock reached over the wire."""

from __future__ import annotations

import time
from typing import Protocol

from ..common.errors import RefusedError

_SLICE_SECONDS = 0.1


class WatchedLink(Protocol):
    """An instrument whose watchdog must be told about silence."""

    def declare_silence(self, seconds: float) -> None:
        """Tell the instrument that nothing will be sent for ``seconds`` [s]."""
        ...


class SimulatedLink(Protocol):
    """An instrument that carries a simulated clock."""

    def simulated_seconds(self) -> float:
        """Return the simulated time [s]."""
        ...

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        ...


class WallClock:
    """The clock on the wall.

    Parameters
    ----------
    links
        Instruments whose watchdogs are told before a wait.
    """

    def __init__(self, *links: WatchedLink) -> None:
        self._links = links
        # Counted from the epoch, so that sessions of one run can tell how much passed between them.
        self._start = time.monotonic() - time.time()

    def now(self) -> float:
        """Return seconds since the epoch [s]; a change of the computer's clock while it runs is not seen."""
        return time.monotonic() - self._start

    def wait(self, seconds: float) -> None:
        """Sleep for ``seconds`` [s] in slices, so that Ctrl-C is obeyed at once on every platform."""
        _refuse_nonsense(seconds)
        for link in self._links:
            link.declare_silence(seconds)
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0.0:
            time.sleep(min(left, _SLICE_SECONDS))


class SimulatedClock:
    """The clock of a simulated bench: waiting costs no wall time beyond the computing."""

    def __init__(self, link: SimulatedLink) -> None:
        self._link = link

    def now(self) -> float:
        """Return simulated seconds since the bench was switched on [s]."""
        return self._link.simulated_seconds()

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` [s] of simulated time pass."""
        _refuse_nonsense(seconds)
        # No silence to declare: the watchdog counts wall time, of which none passes between messages here.
        self._link.advance_simulation(seconds)


def _refuse_nonsense(seconds: float) -> None:
    if not 0.0 <= seconds < 1e9:
        raise RefusedError(f"a wait of {seconds} s is refused: choose 0 s to 1e9 s")
