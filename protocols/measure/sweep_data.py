"""The loops of a DC sweep as a dataset: current against voltage, so that an I–V curve is one in any viewer.

The axes are row, column, cycle, way (0 away from 0 V, 1 back to it) and the sweep voltage from the most negative to the
most positive one: a whole grid, which plottr, xarray and pandas take as it is. The turning points belong to both ways.
Of the four points at 0 V a loop has two places: that of its first and that of its last.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...instruments.capabilities import FloatArray
from ..keeping.dataset import Axis, Shape, Variable

_VOLTS = Variable("volts", "Voltage at the cell", "V")
_CURRENT = Variable("current", "Current", "A")
_FLAGS = Variable("flags", "Flags")


class SweepData:
    """How loops of a positive and a negative half are laid out.

    Parameters
    ----------
    positive, negative : array [points] [V]
        Halves as they are swept, each from 0 V to its peak and back the same way.
    shape, cycles
        Rows and columns of the block, loops of each cell.
    gated : bool
        Whether there are gates.
    """

    def __init__(
        self, positive: FloatArray, negative: FloatArray, shape: tuple[int, int], cycles: int, *, gated: bool
    ) -> None:
        up, down = positive.size // 2, negative.size // 2  # index of the peak in its half
        first = positive.size  # of the negative half in a loop
        away = [*range(first + down, first, -1), *range(up + 1)]
        back = [*range(first + down, first + negative.size), *range(2 * up - 1, up - 1, -1)]
        self._order: NDArray[np.intp] = np.array([away, back], dtype=np.intp)
        sweep = np.concatenate([positive, negative])[self._order[0]]
        rows, cols = shape
        self._slow = (
            Axis("row", "Row", count=rows),
            Axis("col", "Column", count=cols),
            Axis("cycle", "Cycle", count=cycles),
        )
        self.axes = (
            *self._slow,
            Axis("way", "Way: 0 away from 0 V, 1 back", values=np.arange(2, dtype=np.int16)),
            Axis("sweep_volts", "Sweep voltage", "V", values=sweep),
        )
        gate = (Variable("gate", "Gate voltage", "V"),) if gated else ()
        start = Variable("start", "Conductance read before the loop", "S")
        self.variables = (_CURRENT, _VOLTS, *gate, _FLAGS, start)
        self._points = positive.size + negative.size

    @property
    def earlier(self) -> Shape:
        """What versions wrote that numbered the points of a loop."""
        point = Axis("point", "Point", values=np.arange(self._points, dtype=np.int32))
        return Shape((*self._slow, point), (_VOLTS, _CURRENT, _FLAGS))

    def laid_out(
        self, loop: Mapping[str, NDArray[Any]], start: float, setpoints: tuple[str, ...]
    ) -> dict[str, NDArray[Any]]:
        """Return the arrays [points] of a loop as the dataset with these setpoints takes them."""
        if setpoints == self.earlier.setpoints:
            return dict(loop)
        grid = {name: values[self._order] for name, values in loop.items()}
        return {**grid, "start": np.full(self._order.shape, start)}
