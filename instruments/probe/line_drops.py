"""What the lines of a passive array lose on the way to a cell that is read."""

from __future__ import annotations

import numpy as np


class LineDrops:
    """Voltage lost in resistive lines, from the currents that were measured.

    The row is driven at column 0 and its current is taken to leave evenly over its columns; the column is sensed at
    the last row and carries the cell's current alone, since its other cells have 0 V at both ends.

    Parameters
    ----------
    segment_ohms : float [Ω]
    rows, cols : int
    """

    def __init__(self, segment_ohms: float, rows: int, cols: int) -> None:
        beyond = (cols - np.arange(cols)) / cols
        self._row_ohms = segment_ohms * np.cumsum(beyond)
        self._column_ohms = segment_ohms * (rows - np.arange(rows))

    def lost(self, row: int, col: int, row_amps: float, cell_amps: float) -> float:
        """Return the voltage [V] lost in both lines of a cell.

        Parameters
        ----------
        row_amps, cell_amps : float [A]
            Into the row; through the cell.
        """
        return float(self._row_ohms[col] * row_amps + self._column_ohms[row] * cell_amps)
