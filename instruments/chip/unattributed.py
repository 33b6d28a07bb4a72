"""Stress from an instrument of which nobody knows what it is tied to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from .wear_summary import stays

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Path = tuple[int, int]
    from ..limits import Limits


class Account(Protocol):
    """What is needed of a chip's account here."""

    def add_unattributed(self, volts: float, count: int, limits: Limits) -> None:
        """Count pulses of at most ``volts`` [V]."""
        ...


class Unattributed:
    """Counts levels, sweeps and pulses as those of no cell in particular: of an instrument beside the array.

    Parameters
    ----------
    account : callable
        The chip's account now.
    limits : Limits
    """

    def __init__(self, account: Callable[[], Account], limits: Limits) -> None:
        self._account, self._limits = account, limits
        self._volts = 0.0

    def change(self, before: float, after: float) -> None:
        """Take in that a level changes [V]: a pulse where a stay at a polarity begins."""
        if after == 0.0:
            return
        begins = int(np.sign(after) != np.sign(before))
        if begins or abs(after) > abs(before):
            self._account().add_unattributed(abs(after), begins, self._limits)

    def level(self, volts: float) -> None:
        """Take in a level [V]."""
        self.change(self._volts, volts)
        self._volts = volts

    def sweep(self, volts: NDArray[np.float64]) -> None:
        """Take in a sweep [points] [V]."""
        if volts.size:
            self._account().add_unattributed(float(np.abs(volts).max()), stays(volts).size, self._limits)
        self._volts = 0.0

    def pulses(self, volts: Sequence[float], count: int) -> None:
        """Take in a train of pulses [V]."""
        self._account().add_unattributed(max(map(abs, volts)), count, self._limits)

    def ties(self, before: frozenset[Path] | None, after: frozenset[Path]) -> None:
        """Do nothing: where it is tied to is not known anyway."""
