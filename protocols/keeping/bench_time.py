"""Bench time that a step counts from its beginning, and goes on counting in a later session."""

from __future__ import annotations

from ...instruments.capabilities import Clock
from .array_state import Arrays, ArrayState


class BenchTime(ArrayState):
    """Seconds since a step began, for what ages while nobody looks.

    A later session goes on from the last :meth:`mark`, and adds what the bench's clock says has passed since. A clock
    that began anew, as that of a bench whose chip does not age meanwhile, adds nothing.

    Parameters
    ----------
    clock : Clock
        The bench's.
    """

    constant = ("_base",)

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._base = clock.now()
        self.stamp = self._base
        self.passed = 0.0

    def now(self) -> float:
        """Return seconds since the step began [s]."""
        return self.passed + self._clock.now() - self._base

    def wait_until(self, seconds: float) -> None:
        """Wait until so many ``seconds`` [s] have passed since the step began; not at all where they have."""
        left = seconds - self.now()
        if left > 0.0:
            self._clock.wait(left)

    def mark(self) -> None:
        """Note how much has passed, before a unit of work is kept."""
        self.passed = self.now()
        self._base = self.stamp = self._clock.now()

    def restore(self, arrays: Arrays) -> None:
        """Go on from where an earlier session was."""
        super().restore(arrays)
        self._base = self._clock.now()
        self.passed += max(self._base - self.stamp, 0.0)
