"""Cells of a device model as a protocol sees them: pulsed, read, waited for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...mockhw.device_models.filament.model import FilamentModel
from ...mockhw.device_models.filament.parameters import FilamentParameters

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

PERIOD = 1e-3
"""Time from one pulse to the next, the reading included [s]: no source states it; assumed."""


class Cells:
    """``size`` cells of a filament model, with one clock for all.

    Parameters
    ----------
    parameters : FilamentParameters
        Of a profile.
    size, seed : int
        How many cells, and what fixes their luck.
    read_volts, read_gate : float
        Where they are read [V].
    """

    def __init__(
        self, parameters: FilamentParameters, size: int, seed: int, *, read_volts: float = 0.2, read_gate: float = 3.0
    ) -> None:
        self.model = FilamentModel(parameters, size, seed)
        self.size = size
        self.now = 0.0
        self.all = np.arange(size)
        self._volts, self._gate = read_volts, read_gate
        self._one = np.ones(size)
        self._once = np.ones(size, np.int64)
        self._none = np.zeros(size)

    def start(self, conductance: float | Floats, cycles: float = 0.0) -> None:
        """Declare the cells formed at ``conductance`` [S], after ``cycles`` full cycles."""
        self.model.assume_formed(conductance, self.now)
        if cycles:
            self.model.assume_cycled(cycles)

    def pulse(self, cells: Indices, volts: float | Floats, gate: float | Floats, width: float) -> None:
        """Give every one of ``cells`` a pulse of ``volts`` [V] (positive SETs), ``gate`` [V] and ``width`` [s]."""
        n = len(cells)
        one = self._one[:n]
        self.model.pulse(cells, volts * one, width * one, gate * one, self._once[:n], self._none[:n], self.now)
        self.now += PERIOD

    def read(self, cells: Indices) -> Floats:
        """Return one reading of each of ``cells`` [S], noise included."""
        g = self.model.conductance(cells, self._volts, self._gate, self.now)
        return g + self.model.noise(cells, g, 1, self.now)
