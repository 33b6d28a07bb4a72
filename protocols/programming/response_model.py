"""The common response of an array to one knob: conductance after an effective pulse against the knob's value."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...instruments.capabilities import FloatArray
from ..keeping.array_state import Arrays, ArrayState

BINS = 48
MIN_SAMPLES = 3
# With fewer pulses than this in all (a few cells programmed alone) every one of them counts.
FEW_SAMPLES = 30


class ResponseModel(ArrayState):
    """A monotonic curve learnt from pulses, kept as averages in bins of the knob.

    Parameters
    ----------
    low, high : float [V]
        Range of the knob.
    rising : bool
        True when conductance rises with the knob (SET), False when it falls (RESET).
    """

    def __init__(self, low: float, high: float, *, rising: bool) -> None:
        self._edges = np.linspace(low, max(high, low + 1e-9), BINS + 1)
        self._rising = rising
        self._count: NDArray[np.int64] = np.zeros(BINS, dtype=np.int64)
        self._knob_sum = np.zeros(BINS)
        self._g_sum = np.zeros(BINS)
        self._square_sum = np.zeros(BINS)
        self._curve: tuple[FloatArray, FloatArray] | None = None

    def restore(self, arrays: Arrays) -> None:
        """Take up the averages; the curve follows from them."""
        super().restore(arrays)
        self._curve = None

    def add(self, knob: FloatArray, conductance: FloatArray) -> None:
        """Add pulses: knob values [V] and the conductance [S] they left, both [n]."""
        index = np.clip(np.searchsorted(self._edges, knob, side="right") - 1, 0, BINS - 1)
        self._count += np.bincount(index, minlength=BINS)
        self._knob_sum += np.bincount(index, weights=knob, minlength=BINS)
        self._g_sum += np.bincount(index, weights=conductance, minlength=BINS)
        self._square_sum += np.bincount(index, weights=conductance**2, minlength=BINS)
        self._curve = None

    def knob_for(self, conductance: FloatArray) -> FloatArray:
        """Return the knob value [V] that leads to ``conductance`` [S]; nan while nothing is known.

        Beyond what has been seen the curve is extended along its overall slope.
        """
        curve = self._fit()
        if curve is None:
            return np.full(np.shape(conductance), np.nan)
        knob, g = curve
        order = slice(None) if self._rising else slice(None, None, -1)
        inside = np.interp(conductance, g[order], knob[order])
        slope = (g[-1] - g[0]) / (knob[-1] - knob[0])
        below, above = (0, -1) if self._rising else (-1, 0)
        beyond = np.where(
            conductance < g[below],
            knob[below] + (conductance - g[below]) / slope,
            np.where(conductance > g[above], knob[above] + (conductance - g[above]) / slope, 0.0),
        )
        return np.where((conductance < g[below]) | (conductance > g[above]), beyond, inside)

    @property
    def highest(self) -> float:
        """Highest knob value [V] seen to have an effect; nan while nothing is known."""
        curve = self._fit()
        return float(curve[0][-1]) if curve is not None else float("nan")

    def slope_at(self, knob: FloatArray) -> FloatArray:
        """Return |dG/dknob| [S/V] near a knob value; nan while nothing is known."""
        curve = self._fit()
        if curve is None:
            return np.full(np.shape(knob), np.nan)
        x, g = curve
        overall = abs((g[-1] - g[0]) / (x[-1] - x[0]))
        local = np.abs(np.gradient(g, x)) if len(x) > 2 else np.full(len(x), overall)
        return np.maximum(np.interp(knob, x, local), 0.2 * overall)

    def scatter_at(self, knob: FloatArray) -> FloatArray:
        """Return the standard deviation of G [S] that cells and luck together have near a knob value; nan unknown."""
        used = self._count >= MIN_SAMPLES
        if not used.any():
            return np.full(np.shape(knob), np.nan)
        count = self._count[used]
        mean = self._g_sum[used] / count
        variance = np.maximum(self._square_sum[used] / count - mean**2, 0.0) * count / (count - 1)
        return np.interp(knob, self._knob_sum[used] / count, np.sqrt(variance))

    def _fit(self) -> tuple[FloatArray, FloatArray] | None:
        """Return (knob, conductance), strictly monotonic, or None before the first pulse.

        While only one point is known, a line from it to zero conductance at the end of the knob's range stands in.
        """
        if self._curve is not None:
            return self._curve
        used = self._count >= (MIN_SAMPLES if self._count.sum() >= FEW_SAMPLES else 1)
        if not used.any():
            return None
        weight = self._count[used].astype(np.float64)
        knob = self._knob_sum[used] / weight
        g = self._g_sum[used] / weight
        if len(knob) == 1:
            end, at = (self._edges[0], 0) if self._rising else (self._edges[-1], 1)
            knob, g, weight = (np.insert(a, at, v) for a, v in ((knob, end), (g, 0.0), (weight, 1.0)))
            if knob[0] == knob[1]:
                return None
        fitted = _pool(g if self._rising else -g, weight)
        if not self._rising:
            fitted = -fitted
        if abs(fitted[-1] - fitted[0]) < 1e-9:
            return None
        # Strictly monotonic, so that the inverse exists on plateaus too.
        ramp = np.linspace(0.0, 1e-9, len(fitted))
        self._curve = knob, fitted + (ramp if self._rising else -ramp)
        return self._curve


def _pool(values: FloatArray, weight: FloatArray) -> FloatArray:
    """Return the weighted isotonic (rising) regression of ``values`` by pooling adjacent violators."""
    levels: list[list[float]] = []
    for value, mass in zip(values, weight, strict=True):
        levels.append([float(value), float(mass), 1.0])
        while len(levels) > 1 and levels[-2][0] > levels[-1][0]:
            last, previous = levels.pop(), levels.pop()
            mass_sum = last[1] + previous[1]
            levels.append([(last[0] * last[1] + previous[0] * previous[1]) / mass_sum, mass_sum, last[2] + previous[2]])
    return np.concatenate([np.full(int(length), value) for value, _, length in levels])
