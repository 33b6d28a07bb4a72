"""What was done to leave an instrument safe, and what came of it: the last lines of a run's journal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

CONFIRMED: Final = "confirmed"


class SafeStep(NamedTuple):
    """One step of going to the safe state.

    Attributes
    ----------
    instrument : name in the station file.
    step : "stop", "0 V", "output off", "all relays open" …, in the order they were done.
    result : "confirmed" (read back), or why not.
    """

    instrument: str
    step: str
    result: str

    @property
    def confirmed(self) -> bool:
        """Whether the instrument said so itself."""
        return self.result == CONFIRMED

    def __str__(self) -> str:
        return f"{self.instrument}: {self.step}: {self.result}"


def steps_taken(instrument: str, steps: Sequence[str], sent: int, why_not: str = "") -> tuple[SafeStep, ...]:
    """Return the record of ``steps`` of which the first ``sent`` were sent; ``why_not`` is empty when all held."""
    told = why_not.partition("; ")[0]
    return tuple(
        SafeStep(
            instrument,
            step,
            CONFIRMED if not why_not else f"sent, not confirmed: {told}" if number < sent else f"not sent: {told}",
        )
        for number, step in enumerate(steps)
    )
