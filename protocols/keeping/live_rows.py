"""What a step measures, as it comes: enough of it for a picture of how it stands, whatever the step is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .dataset import Axis, Variable
from .live_picture import LivePicture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ROW, COL = "row", "col"


class LiveRows:
    """Takes the blocks of one work and lets ``picture`` draw them now and then.

    Shown is the first conductance or current, or what comes first: the median of every block, and beside it the last
    map or curve. Cells that come one by one are gathered in a map.
    """

    def __init__(self, picture: LivePicture, step_id: str, axes: Sequence[Axis], variables: Sequence[Variable]) -> None:
        self._picture, self._step_id = picture, step_id
        self._axes = list(axes)
        self._shown = next((v for v in variables if v.unit == "S"), None) or next(
            (v for v in variables if v.unit == "A"), variables[0]
        )
        self._against = next((v for v in variables if v.unit == "V"), None)
        self._shape = tuple(len(axis.values) for axis in axes if axis.values is not None)
        fast = [axis.values for axis in axes if axis.values is not None]
        self._is_map = len(fast) == 2 and axes[-1].name == COL
        self._corner = (int(fast[0][0]), int(fast[1][0])) if self._is_map else (0, 0)
        self._medians: list[float] = []
        self._cells = np.full((0, 0), np.nan)
        self._latest: Mapping[str, ArrayLike] = {}

    def took(self, slow: Mapping[str, float], data: Mapping[str, ArrayLike]) -> None:
        """Take one block; what is no numbers is not shown."""
        with suppress(Exception):
            self._take(slow, data)
        self._picture.show(self._step_id, self._draw)

    def ended(self) -> None:
        """Bring the picture, where there is one, to what came last."""
        if self._latest:
            self._picture.show(self._step_id, self._draw, last=True)

    def _take(self, slow: Mapping[str, float], data: Mapping[str, ArrayLike]) -> None:
        values = np.asarray(data[self._shown.name], dtype=np.float64)
        known = values[np.isfinite(values)]
        middle = float(np.median(known)) if known.size else np.nan
        self._medians.append(middle)
        if ROW in slow and COL in slow:
            self._put(int(slow[ROW]), np.array([int(slow[COL])]), np.array([middle]))
        elif ROW in slow and len(self._shape) == 1 and self._axes[-1].name == COL:
            self._put(int(slow[ROW]), np.asarray(self._axes[-1].values, dtype=np.intp), values.ravel())
        self._latest = data

    def _put(self, row: int, cols: NDArray[np.intp], values: NDArray[np.float64]) -> None:
        rows, most = max(row + 1, self._cells.shape[0]), max(int(cols.max()) + 1, self._cells.shape[1])
        if (rows, most) != self._cells.shape:
            grown = np.full((rows, most), np.nan)
            grown[: self._cells.shape[0], : self._cells.shape[1]] = self._cells
            self._cells = grown
        self._cells[row, cols] = values

    def _draw(self) -> Figure:
        from ...analysis.plots.so_far import so_far

        latest = self._curve_or_map(self._shown.name)
        x: tuple[str, NDArray[np.float64]] | None = None
        if latest.ndim == 1 and self._axes[-1].name != COL and latest.size > 1:
            axis = self._axes[-1]
            if self._against is not None and self._against is not self._shown:
                x = f"{self._against.label} [V]", self._curve_or_map(self._against.name)
            elif len(self._shape) == 1:
                x = axis.label, np.asarray(axis.values, dtype=np.float64)
        elif latest.ndim != 2:
            latest = self._cells if self._cells.size else np.asarray(self._medians)
        return so_far(
            title=f"{self._step_id}, {len(self._medians)} blocks so far",
            label=self._shown.label,
            unit=self._shown.unit,
            medians=np.asarray(self._medians),
            latest=latest,
            x=x,
            corner=self._corner,
        )

    def _curve_or_map(self, name: str) -> NDArray[np.float64]:
        """Return what came last: a map as it is, ways there and back as one line."""
        values = np.atleast_1d(np.asarray(self._latest[name], dtype=np.float64))
        if values.ndim != 2 or self._is_map:
            return values
        return np.concatenate([way[::-1] if number % 2 else way for number, way in enumerate(values)])
