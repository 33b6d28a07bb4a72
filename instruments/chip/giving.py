"""A loop on a board, counted by what it may give until it says what it gave."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ..block import Block

Settle = Callable[[Block, NDArray[np.float64], tuple[float, float]], None]


class Giving:
    """``with ledger.giving(…) as given: … given.were(counts)``; without the last, everything counts as given."""

    def __init__(self, settle: Settle, block: Block, most: NDArray[np.float64], stress: tuple[float, float]) -> None:
        self._settle, self._block, self._count, self._stress = settle, block, most, stress

    def were(self, count: NDArray[np.int64]) -> None:
        """Take in how many pulses each cell got."""
        self._count = count.astype(np.float64)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._settle(self._block, self._count, self._stress)
