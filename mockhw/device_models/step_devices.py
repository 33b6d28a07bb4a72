"""Abstract step devices of the resistive-processing-unit literature: one pulse, one small step of a weight."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numba import njit
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
        if not acts.all():
            cells, up, count = cells[acts], up[acts], count[acts]
        if not len(cells):
            return
        left, w = count.copy(), np.empty(len(cells))
        step, most = np.empty(len(cells)), np.empty(len(cells), np.int64)
        half = (p.G_min, p.G_max)
        _begin(cells, up, self._g, self._step, self._bias, self._top, self._bottom, half, w, step, most)
        rng, soft = self._rng(), p.law == "soft_bounds"
        while True:
            normal = rng.standard_normal(len(w))
            size = step if soft else step * self._law(w, cells, up)
            if not _move(cells, up, size, soft, self._top, self._bottom, most, p.dw_min_c2c, normal, w, left):
                break
        self._g[cells] = self._from_weight(w)

    def pulse_in_turn(
        self,
        starts: IntArray,
        cells: IntArray,
        volts: FloatArray,
        width: FloatArray,
        gate: FloatArray,
        count: IntArray,
    ) -> None:
        """Apply pulses as calls of :meth:`pulse` one after the other, call k from ``starts[k]`` to ``starts[k + 1]``.

        The same cells come of it, and the same luck is used up.
        """
        p = self.parameters
        given = (volts != 0.0) & (count > 0) & (width > 0.0)
        up = volts >= p.set_threshold
        acts = given & (gate > self._gate_threshold) & ~self._stuck[cells] & (up | (volts <= -p.reset_threshold))
        step = self._step[cells] * (1.0 + np.where(up, 1.0, -1.0) * self._bias[cells])
        span = _LARGEST_LUMP * (self._top[cells] - self._bottom[cells])
        long = count > np.maximum(1, (span / np.maximum(step, 1e-12)).astype(np.int64))
        if p.law == "exponential" or (acts & long).any():
            none = np.zeros_like(volts)
            for first, last in pairwise(starts.tolist()):
                at = slice(first, last)
                self.pulse(cells[at], volts[at], width[at], gate[at], count[at], none[at], 0.0)
            return
        np.add.at(self._pulses, cells[given], count[given])
        before = np.concatenate(([0], np.cumsum(acts)))[starts].tolist()
        normal = np.concatenate([
            self._rng().standard_normal(last - first) for first, last in pairwise(before) if last > first
        ] or [np.empty(0)])  # fmt: skip
        soft, half = p.law == "soft_bounds", (p.G_min, p.G_max)
        mine = (cells[acts], up[acts], np.maximum(0.0, step[acts]), count[acts])
        _in_turn(*mine, soft, self._top, self._bottom, p.dw_min_c2c, normal, half, self._g)

    def _law(self, w: FloatArray, cells: IntArray, up: NDArray[np.bool_]) -> FloatArray:
        p = self.parameters
        if p.law == "constant":
            return np.ones_like(w)
        top, bottom = self._top[cells], self._bottom[cells]
        travelled = (w - bottom) / (top - bottom)
        return np.exp(-p.exponent * np.where(up, travelled, 1.0 - travelled))


@njit(cache=True, error_model="numpy")
def _begin(
    cells: IntArray,
    up: NDArray[np.bool_],
    g: FloatArray,
    steps: FloatArray,
    bias: FloatArray,
    top: FloatArray,
    bottom: FloatArray,
    range_: tuple[float, float],
    w: FloatArray,
    step: FloatArray,
    most: IntArray,
) -> None:
    # weights of the cells, their step this way, and how many of them may be taken together
    low, high = range_
    for k in range(cells.size):
        c = cells[k]
        sign = 1.0 if up[k] else -1.0
        step[k] = max(0.0, steps[c] * (1.0 + sign * bias[c]))
        w[k] = 2.0 * (g[c] - low) / (high - low) - 1.0
        most[k] = max(1, int(_LARGEST_LUMP * (top[c] - bottom[c]) / max(step[k], 1e-12)))


@njit(cache=True, error_model="numpy")
def _in_turn(
    cells: IntArray,
    up: NDArray[np.bool_],
    step: FloatArray,
    count: IntArray,
    soft: bool,
    top: FloatArray,
    bottom: FloatArray,
    c2c: float,
    normal: FloatArray,
    range_: tuple[float, float],
    g: FloatArray,
) -> None:
    # one lump for each entry, one after the other: a cell may come again
    low, high = range_
    for k in range(cells.size):
        c = cells[k]
        sign = 1.0 if up[k] else -1.0
        w = 2.0 * (g[c] - low) / (high - low) - 1.0
        size = step[k]
        if soft:
            size *= 1.0 - w / (top[c] if up[k] else bottom[c])
        noise = np.sqrt(count[k]) * c2c * normal[k]
        w = min(max(w + sign * size * (count[k] + noise), bottom[c]), top[c])
        g[c] = low + (high - low) * 0.5 * max(0.0, 1.0 + w)


@njit(cache=True, error_model="numpy")
def _move(
    cells: IntArray,
    up: NDArray[np.bool_],
    step: FloatArray,
    soft: bool,
    top: FloatArray,
    bottom: FloatArray,
    most: IntArray,
    c2c: float,
    normal: FloatArray,
    w: FloatArray,
    left: IntArray,
) -> bool:
    # one lump of equal steps of every cell: their mean adds up, their noise adds in variance; soft: a step is smaller
    # the nearer its bound. Returns whether any pulses are left
    more = False
    for k in range(cells.size):
        c = cells[k]
        sign = 1.0 if up[k] else -1.0
        lump = min(left[k], most[k])
        size = step[k]
        if soft:
            size *= 1.0 - w[k] / (top[c] if up[k] else bottom[c])
        noise = np.sqrt(lump) * c2c * normal[k]
        w[k] = min(max(w[k] + sign * size * (lump + noise), bottom[c]), top[c])
        left[k] -= lump
        more = more or left[k] > 0
    return more
