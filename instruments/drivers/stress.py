"""Who is told what a driver is about to put on the lines of a chip: the chip's account of wear, where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .roles import Path


class Stress(Protocol):
    """Is told by a driver, before anything leaves, whoever asked for it; raises where it must not be given."""

    def level(self, volts: float) -> None:
        """Take in that a terminal will be at ``volts`` [V], 0 where its output is off."""
        ...

    def sweep(self, volts: NDArray[np.float64]) -> None:
        """Take in that a terminal will go through ``volts`` [points] [V]."""
        ...

    def pulses(self, volts: Sequence[float], count: int) -> None:
        """Take in that the channels will give ``count`` pulses of ``volts`` [V], one amplitude a channel."""
        ...

    def ties(self, before: frozenset[Path] | None, after: frozenset[Path]) -> None:
        """Take in that the closed paths of a matrix will change; ``before`` is None where it is not known."""
        ...


class Unheard:
    """Nobody counts: of an instrument that is used outside of a bench."""

    def level(self, volts: float) -> None:
        """Do nothing."""

    def sweep(self, volts: NDArray[np.float64]) -> None:
        """Do nothing."""

    def pulses(self, volts: Sequence[float], count: int) -> None:
        """Do nothing."""

    def ties(self, before: frozenset[Path] | None, after: frozenset[Path]) -> None:
        """Do nothing."""
