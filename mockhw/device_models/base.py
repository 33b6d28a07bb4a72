"""The interface every simulated memristor population answers to."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


class DeviceModel(Protocol):
    """A population of ``size`` cells, addressed by flat index (row-major).

    Voltages are V(top electrode) − V(bottom electrode) across cell and transistor in series,
    positive SETs. ``gate`` is the word-line voltage of the cell's transistor; models without a
    transistor ignore it. ``now`` is simulated time [s]; retention is applied lazily when a cell is
    next touched. All arrays of one call have one length k. A model never draws from any source of
    randomness but its own generator, seeded once.
    """

    size: int

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
        """Apply ``count`` rectangular pulses of ``volts`` [V], ``width`` [s], ``gate`` [V] to each cell.

        ``series`` [Ω] is the resistance of wires and drivers in front of the cell. Moves states, wears
        cells, breaks what is overdriven. Cells may not repeat within a call.
        """
        ...

    def pulse_current(self, cells: IntArray, volts: FloatArray, gate: FloatArray, series: FloatArray) -> FloatArray:
        """Return the current [A] each cell would draw in its present state (for IR drop); changes nothing."""
        ...

    def conductance(self, cells: IntArray, volts: float, gate: float, now: float) -> FloatArray:
        """Return noise-free I/V [S] of cell and open transistor at ``volts`` [V], ``gate`` [V]."""
        ...

    def noise(self, cells: IntArray, conductance: FloatArray, average: int, now: float) -> FloatArray:
        """Return one draw of each cell's reading error [S] (read noise and RTN), averaged over ``average`` reads."""
        ...

    def noise_sigma(self, cells: IntArray, conductance: FloatArray) -> FloatArray:
        """Return the standard deviation [S] of :meth:`noise` for one read, for use in fast VMM noise."""
        ...

    def sample(self, cell: int, volts: float, gate: float, rate: float, count: int, now: float) -> FloatArray:
        """Return ``count`` currents [A] of one cell at ``rate`` [1/s]; RTN and read noise are correlated in time."""
        ...

    def sweep(
        self, cell: int, volts: FloatArray, dwell: float, gate: float, compliance: float, series: float, now: float
    ) -> FloatArray:
        """Step one cell through ``volts`` [V], ``dwell`` [s] each, |I| held at or below ``compliance`` [A].

        Return the current [A] at the end of each step. Compliance acts with the device in the loop.
        """
        ...

    def truth(self) -> dict[str, NDArray[np.generic]]:
        """Return per-cell truth for tests only.

        At least ``stuck`` (bool), ``formed`` (bool), ``conductance`` [S] and ``pulses`` (int).
        """
        ...

    def state(self) -> dict[str, NDArray[np.generic]]:
        """Return every array needed to continue this chip's life later."""
        ...

    def restore(self, state: dict[str, NDArray[np.generic]]) -> None:
        """Take up the life saved by :meth:`state`."""
        ...
