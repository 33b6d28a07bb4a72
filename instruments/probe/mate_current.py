"""What half-selected cells add to the current of a selected column, measured and taken off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from scipy.interpolate import PchipInterpolator

from ..capabilities import FloatArray

LEVELS = 9
TABLE = 1001


class MateCurrent:
    """Current [A] into the column terminal at a column voltage [V], the selected cell excluded.

    While row and column are held at the same voltage the selected cell sees 0 V, and what flows is the half-selected
    cells of the column alone. A few levels are enough: their I–V is smooth.

    Parameters
    ----------
    hold : callable
        ``hold(volts)`` holds row and column at ``volts`` [V] and returns the column's voltage [V] and current [A].
    volts : array [V]
        Column voltages that will be used.
    """

    def __init__(self, hold: Callable[[float], tuple[float, float]], volts: FloatArray) -> None:
        low, high = min(float(volts.min()), 0.0), max(float(volts.max()), 0.0)
        # Outwards from 0 V, one side after the other, so that no cell is taken through more than it will see anyway.
        levels = np.concatenate([np.linspace(0.0, high, LEVELS), np.linspace(0.0, low, LEVELS)[1:]])
        levels = levels[np.sort(np.unique(levels, return_index=True)[1])]
        at = np.array([hold(float(level)) for level in levels])
        at = at[np.argsort(at[:, 0])]
        at = at[np.concatenate([[True], np.diff(at[:, 0]) > 0.0])]
        self._volts, self._amps = at[:, 0], at[:, 1]
        if at.shape[0] > 1:
            smooth = PchipInterpolator(self._volts, self._amps)
            self._volts = np.linspace(at[0, 0], at[-1, 0], TABLE)
            self._amps = smooth(self._volts)

    def __call__(self, volts: float) -> float:
        """Return the current [A] at a column voltage [V], held beyond what was measured."""
        return float(np.interp(volts, self._volts, self._amps))
