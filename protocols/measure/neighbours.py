"""Watch the cells that are not meant to be written: which changed, and which share a line with the one that is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.array_state import ArrayState

# The ratio at which a yield map calls a cell switching.
CHANGE_RATIO = 1.5
AVERAGE = 4
# Schemes in which other cells of the driven lines carry current, too, and what a limit of the source is of then.
HALF_SELECTS = ("V/2", "V/3")
SHARED = "the cell and the half-selected cells of its column together"


def changed(before: FloatArray, now: FloatArray, floor: float) -> NDArray[np.bool_]:
    """Return where a conductance [S] changed by ``CHANGE_RATIO``, either way; below ``floor`` all is alike."""
    ratio = np.maximum(now, floor) / np.maximum(before, floor)
    return (ratio >= CHANGE_RATIO) | (ratio <= 1.0 / CHANGE_RATIO)


def limit_acts_on(spec: ArraySpec, scheme: str | None) -> str:
    """Return what the compliance of a sweep is of in a bias scheme, where that is not the swept cell alone."""
    return SHARED if spec.require_scheme(scheme, writing=True) in HALF_SELECTS else ""


def row_of(block: Block, row: int) -> Block:
    """Return the cells of ``block`` in one row of the chip."""
    return Block(row, 1, block.col0, block.ncols)


def col_of(block: Block, col: int) -> Block:
    """Return the cells of ``block`` in one column of the chip."""
    return Block(block.row0, block.nrows, col, 1)


class NeighbourWatch(ArrayState):
    """Remembers what the cells of a block read last, and notes those that changed while another was being written.

    Parameters
    ----------
    known : ndarray [S]
        The block as read before the first write.
    floor : float [S]
        Below this all is alike.
    """

    def __init__(self, array: CrossbarArray, block: Block, known: FloatArray, floor: float) -> None:
        self._array, self._block, self._floor = array, block, floor
        self._known = known.copy()
        self.disturbed: NDArray[np.bool_] = np.zeros(block.shape, dtype=np.bool_)

    def know(self, conductance: FloatArray) -> None:
        """Take in how the block reads [S] before the first write."""
        self._known = conductance.copy()

    def look(self, row: int, col: int) -> None:
        """Read the row and the column of the cell just written, whose other cells the write half-selects."""
        if self._array.spec.separate:
            return
        for line in (row_of(self._block, row), col_of(self._block, col)):
            if line.size > 1:
                self._compare(line, (row, col))

    def look_at_all(self) -> None:
        """Read the whole block: what no half-select explains shows here."""
        if not self._array.spec.separate:
            self._compare(self._block, None)

    def own(self, row: int, col: int, conductance: float) -> None:
        """Take in what the written cell reads itself."""
        self._known[row - self._block.row0, col - self._block.col0] = conductance

    def _compare(self, cells: Block, written: tuple[int, int] | None) -> None:
        g = self._array.read(cells, average=AVERAGE).conductance
        row0, col0 = cells.row0 - self._block.row0, cells.col0 - self._block.col0
        at = slice(row0, row0 + cells.nrows), slice(col0, col0 + cells.ncols)
        moved = changed(self._known[at], g, self._floor)
        if written is not None:
            moved[written[0] - cells.row0, written[1] - cells.col0] = False
        self.disturbed[at] |= moved
        self._known[at] = g
