"""Abstract step devices of the resistive-processing-unit literature: one pulse, one small step of a weight."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import FloatArray, IntArray
from .behavioural_parameters import StepParameters
from .ohmic_cells import OhmicCells

_LARGEST_LUMP = 0.02  # share of the weight range that may be stepped over at once


class StepModel(OhmicCells):
    """A weight moved by pulses whose size may depend on the weight; no voltage, time or temperature.

    Laws (w in units of the nominal half range, every cell with its own bounds and step)::

        constant      Δw·(1 + c2c·ξ), clipped
        soft_bounds   Δw·(1 − w/w_max)·(1 + c2c·ξ) up, Δw·(1 − w/w_min)·(1 + c2c·ξ) down
        exponential   Δw·exp(−exponent·x)·(1 + c2c·ξ), x the share of the range already travelled, clipped

    Positive pulses above threshold step up, negative ones down.
    """

    def __init__(self, parameters: StepParameters, size: int, seed: int) -> None:
        p = parameters
        super().__init__(size, seed, p.gate_threshold, p.read_noise, p.stuck_fraction)
        self.parameters = p
        z = np.random.default_rng([seed, 1 << 41]).standard_normal((4, size))
        self._step = p.dw_min * np.maximum(0.0, 1.0 + p.dw_min_d2d * z[0])
        self._bias = p.up_down + p.up_down_d2d * z[1]
        self._top = p.w_max * np.maximum(0.05, 1.0 + p.w_max_d2d * z[2])
        self._bottom = p.w_min * np.maximum(0.05, 1.0 + p.w_min_d2d * z[3])
        self._g[:] = self._from_weight(np.zeros(size))

    def _from_weight(self, w: FloatArray) -> FloatArray:
        p = self.parameters
        return p.G_min + (p.G_max - p.G_min) * 0.5 * np.maximum(0.0, 1.0 + w)

    def _to_weight(self, g: FloatArray) -> FloatArray:
        p = self.parameters
        return 2.0 * (g - p.G_min) / (p.G_max - p.G_min) - 1.0

    def _switch(self, cells: IntArray, volts: FloatArray, gate: FloatArray, count: IntArray) -> None:
        p = self.parameters
        up = volts >= p.set_threshold
        acts = up | (volts <= -p.reset_threshold)
        cells, up, left = cells[acts], up[acts], count[acts].copy()
        if not len(cells):
            return
        sign = np.where(up, 1.0, -1.0)
        step = np.maximum(0.0, self._step[cells] * (1.0 + sign * self._bias[cells]))
        top, bottom = self._top[cells], self._bottom[cells]
        w = self._to_weight(self._g[cells])
        # Many equal small steps are taken together: their mean adds up, their noise adds in variance.
        most = np.maximum(1, (_LARGEST_LUMP * (top - bottom) / np.maximum(step, 1e-12)).astype(np.int64))
        rng = self._rng()
        while left.any():
            lump = np.minimum(left, most)
            size = step * self._law(w, up, top, bottom)
            noise = np.sqrt(lump) * p.dw_min_c2c * rng.standard_normal(len(w))
            w = np.clip(w + sign * size * (lump + noise), bottom, top)
            left -= lump
        self._g[cells] = self._from_weight(w)

    def _law(self, w: FloatArray, up: NDArray[np.bool_], top: FloatArray, bottom: FloatArray) -> FloatArray:
        p = self.parameters
        if p.law == "constant":
            return np.ones_like(w)
        if p.law == "soft_bounds":
            return np.where(up, 1.0 - w / top, 1.0 - w / bottom)
        travelled = (w - bottom) / (top - bottom)
        return np.exp(-p.exponent * np.where(up, travelled, 1.0 - travelled))
