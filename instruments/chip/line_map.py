"""Which board line is which row or column of the chip."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..block import Block


@dataclass(frozen=True, slots=True, eq=False)
class LineMap:
    """Chip row i is board line ``rows[i]``, chip column j is board line ``cols[j]``.

    A block of the chip becomes the smallest rectangle of the board that holds it. Lines in between that are not part
    of the block get count 0 in pulses; in reads they are read along and dropped.
    """

    rows: NDArray[np.intp]
    cols: NDArray[np.intp]
    board_shape: tuple[int, int]

    @classmethod
    def straight(cls, shape: tuple[int, int], board_shape: tuple[int, int]) -> LineMap:
        """Line n is row (column) n."""
        return cls(np.arange(shape[0]), np.arange(shape[1]), board_shape)

    @property
    def whole_board(self) -> bool:
        """Whether chip and board coincide line by line, so that nothing needs to be moved."""
        return all(
            len(lines) == size and bool((lines == np.arange(size)).all())
            for lines, size in zip((self.rows, self.cols), self.board_shape, strict=True)
        )

    def rectangle(self, block: Block) -> Block:
        """Return the board's rectangle that holds ``block``."""
        rows, cols = self.rows[block.slices[0]], self.cols[block.slices[1]]
        row0, col0 = int(rows.min()), int(cols.min())
        return Block(row0, int(rows.max()) - row0 + 1, col0, int(cols.max()) - col0 + 1)

    def cell(self, row: int, col: int) -> tuple[int, int]:
        """Return the board lines of one cell."""
        return int(self.rows[row]), int(self.cols[col])

    def gather(self, plane: NDArray[Any], block: Block) -> NDArray[Any]:
        """Return what of the rectangle belongs to ``block``, in the chip's order."""
        return plane[self._index(block)]

    def spread(self, plane: NDArray[Any], block: Block, fill: float = 0) -> NDArray[Any]:
        """Return a rectangle that holds ``plane`` in the board's order and ``fill`` elsewhere."""
        board = np.full(self.rectangle(block).shape, fill, dtype=plane.dtype)
        board[self._index(block)] = plane
        return board

    def _index(self, block: Block) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        rectangle = self.rectangle(block)
        return np.ix_(self.rows[block.slices[0]] - rectangle.row0, self.cols[block.slices[1]] - rectangle.col0)  # pyright: ignore[reportReturnType]
