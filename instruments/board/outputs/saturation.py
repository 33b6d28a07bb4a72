"""Products whose columns are held between two levels by the board's output circuits (board-protocol §10.9)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...chip.requests import checked_levels
from ..mount import placed
from ..products import BoardProducts
from ..session import BoardSession


class BoardSaturation:
    """Multiplies, each column's current held between its levels before it is converted."""

    def __init__(self, session: BoardSession) -> None:
        self._mount, self._products = session.mount, BoardProducts(session)

    def vmm_saturated(
        self, volts: ArrayLike, *, low: ArrayLike, high: ArrayLike, full_scale: float | None = None
    ) -> NDArray[np.float32]:
        """Return the held currents [batch, cols] [A] of row voltages [batch, rows] [V]."""
        mount = self._mount
        levels = checked_levels(mount.spec, low, high)
        if mount.polarity < 0:
            levels = -levels[::-1]
        if mount.lines is not None:
            levels = placed(levels, mount.lines.cols, mount.can.cols, [[-np.inf], [np.inf]])
        return self._products.currents(volts, full_scale, levels.astype("<f4").tobytes())
