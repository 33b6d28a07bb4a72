"""The behavioural model of the published 1T1R simulators: conductance follows the gate voltage of the SET."""

from __future__ import annotations

import numpy as np

from .base import FloatArray, IntArray
from .behavioural_parameters import GateVoltageParameters
from .ohmic_cells import OhmicCells


class GateVoltageModel(OhmicCells):
    """RESET writes a fixed low conductance, SET writes max(slope·Vg + offset, G), both with normal noise.

    This is what the authors of the memristor LSTM and ConvNet experiments simulated with, clipped to the
    physical range. A pulse below its threshold does nothing, and the number of equal pulses does not matter.
    Where ``noise_reach`` is 1, the noise strikes the whole array in every map of pulses, as in the published code.
    """

    def __init__(self, parameters: GateVoltageParameters, size: int, seed: int) -> None:
        p = parameters
        super().__init__(size, seed, p.gate_threshold, p.read_noise, p.stuck_fraction)
        self.parameters = p
        self._g[:] = np.where(self._stuck, self._rng().uniform(p.G_min, p.G_max, size), p.reset_to)

    def _switch(self, cells: IntArray, volts: FloatArray, gate: FloatArray, count: IntArray) -> None:
        p = self.parameters
        before = self._g[cells]
        after = np.where(volts >= p.set_threshold, np.maximum(p.slope * gate + p.offset, before), before)
        after = np.where(volts <= -p.reset_threshold, p.reset_to, after)
        acts = (volts >= p.set_threshold) | (volts <= -p.reset_threshold)
        rng = self._rng()
        noise = p.noise * rng.standard_normal(len(cells))
        self._g[cells] = np.where(acts, np.clip(after + noise, p.G_min, p.G_max), before)
        if p.noise_reach and acts.any():
            struck = (rng.random(self.size) < p.noise_reach) & ~self._stuck
            struck[cells[acts]] = False
            others = np.flatnonzero(struck)
            shaken = self._g[others] + p.noise * rng.standard_normal(len(others))
            self._g[others] = np.clip(shaken, p.G_min, p.G_max)
