"""A device model: every pulse above threshold takes a cell a share of the way to the end of its range."""

import numpy as np

from xbarlab.mockhw.device_models.filament.parameters import Section
from xbarlab.mockhw.device_models.ohmic_cells import OhmicCells
from xbarlab.mockhw.device_models.quantity import Plain, Siemens, Volt


class Parameters(Section):
    """What a profile must say about it."""

    share: Plain
    G_min: Siemens
    G_max: Siemens
    threshold: Volt
    gate_threshold: Volt
    read_noise: Plain
    stuck_fraction: Plain


class Sticky(OhmicCells):
    """Cells that a pulse takes a share of the way to the end of their range."""

    Parameters = Parameters

    def __init__(self, parameters, size, seed):
        super().__init__(size, seed, parameters.gate_threshold, parameters.read_noise, parameters.stuck_fraction)
        self.parameters = parameters
        self._g[:] = 0.5 * (parameters.G_min + parameters.G_max)

    def _switch(self, cells, volts, gate, count):
        p = self.parameters
        acts = np.abs(volts) >= p.threshold
        cells, end = cells[acts], np.where(volts[acts] > 0.0, float(p.G_max), float(p.G_min))
        self._g[cells] = end + (self._g[cells] - end) * (1.0 - p.share) ** count[acts]
