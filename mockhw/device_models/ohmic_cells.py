"""What the two behavioural models share: ohmic cells, multiplicative read noise, replayable luck."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from .base import FloatArray, IntArray


class OhmicCells:
    """Cells that are plain conductances, on when their gate exceeds a threshold.

    Parameters
    ----------
    size, seed : int
        Number of cells; seed of everything random.
    gate_threshold : float [V]
        Gate voltage below which a cell neither conducts nor switches.
    read_noise : float
        Standard deviation of one read relative to the conductance.
    stuck_fraction : float
        Share of cells that never move.
    """

    def __init__(self, size: int, seed: int, gate_threshold: float, read_noise: float, stuck_fraction: float) -> None:
        self.size = size
        self._seed = seed
        self._draws = np.zeros(1, np.int64)
        self._gate_threshold = gate_threshold
        self._read_noise = read_noise
        self._g = np.zeros(size)
        self._stuck = np.random.default_rng([seed, 1 << 40]).random(size) < stuck_fraction
        self._pulses = np.zeros(size, np.int64)

    def _rng(self) -> np.random.Generator:
        """Return a fresh generator for one draw, numbered so that a saved chip replays the same luck."""
        self._draws[0] += 1
        return np.random.default_rng([self._seed, int(self._draws[0])])

    def _switch(self, cells: IntArray, volts: FloatArray, gate: FloatArray, count: IntArray) -> None:
        raise NotImplementedError

    def pulse(
        self,
        cells: IntArray,
        volts: FloatArray,
        width: FloatArray,
        gate: FloatArray,
        count: IntArray,
        series: FloatArray,
        now: float,
    ) -> None:
        """Apply pulses; ``width`` [s], ``series`` [Ω] and ``now`` [s] mean nothing to this model."""
        acts = (volts != 0.0) & (count > 0) & (width > 0.0)
        np.add.at(self._pulses, cells[acts], count[acts])
        acts &= (gate > self._gate_threshold) & ~self._stuck[cells]
        if acts.any():
            self._switch(cells[acts], volts[acts], gate[acts], count[acts])

    def pulse_current(self, cells: IntArray, volts: FloatArray, gate: FloatArray, series: FloatArray) -> FloatArray:
        """Return the current [A] each cell would draw behind ``series`` [Ω]."""
        g = np.where(gate > self._gate_threshold, self._g[cells], 0.0)
        return volts * g / (1.0 + g * series)

    def conductance(self, cells: IntArray, volts: float, gate: float, now: float) -> FloatArray:
        """Return the conductance [S]; zero when the gate is off."""
        return self._g[cells] if gate > self._gate_threshold else np.zeros(len(cells))

    def noise(self, cells: IntArray, conductance: FloatArray, average: int, now: float) -> FloatArray:
        """Return one normal draw of the reading's deviation [S]."""
        sigma = self.noise_sigma(cells, conductance) / np.sqrt(max(1, average))
        return sigma * self._rng().standard_normal(len(cells))

    def noise_sigma(self, cells: IntArray, conductance: FloatArray) -> FloatArray:
        """Return the standard deviation [S] of one read."""
        return self._read_noise * np.abs(conductance)

    def sample(self, cell: int, volts: float, gate: float, rate: float, count: int, now: float) -> FloatArray:
        """Return ``count`` currents [A] with white noise; this model knows no telegraph noise."""
        index = np.array([cell])
        g = self.conductance(index, volts, gate, now)
        return volts * g * (1.0 + self._read_noise * self._rng().standard_normal(count))

    def sweep(
        self, cell: int, volts: FloatArray, dwell: float, gate: float, compliance: float, series: float, now: float
    ) -> FloatArray:
        """Step one cell through ``volts`` [V]; every point acts as one pulse, currents end at ``compliance`` [A]."""
        index, gates, one = np.array([cell]), np.array([gate]), np.ones(1, np.int64)
        out = np.empty(len(volts))
        for k, v in enumerate(volts):
            level = np.array([v])
            if v != 0.0 and gate > self._gate_threshold and not self._stuck[cell]:
                self._switch(index, level, gates, one)
            out[k] = self.pulse_current(index, level, gates, np.array([series]))[0]
        return np.clip(out, -compliance, compliance)

    def truth(self) -> dict[str, NDArray[np.generic]]:
        """Return per-cell truth; such cells need no forming, so all that work count as formed."""
        return {
            "stuck": self._stuck.copy(),
            "formed": ~self._stuck,
            "conductance": self._g.copy(),
            "pulses": self._pulses.copy(),
        }

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return copies of the arrays needed to go on later."""
        return {name: array.copy() for name, array in self._own().items()}

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take up a saved life.

        Raises
        ------
        ValueError
            If an array is missing, unknown or of another size.
        """
        own = self._own()
        if set(state) != set(own):
            missing, unknown = sorted(set(own) - set(state)), sorted(set(state) - set(own))
            raise ValueError(f"chip state does not fit this model: missing {missing}, unknown {unknown}")
        for name, array in own.items():
            if state[name].shape != array.shape:
                raise ValueError(f"chip state {name!r} has shape {state[name].shape}, this chip needs {array.shape}")
        for name, array in own.items():
            array[...] = state[name]

    def _own(self) -> dict[str, NDArray[np.generic]]:
        return {"conductance": self._g, "stuck": self._stuck, "pulses": self._pulses, "draws": self._draws}
