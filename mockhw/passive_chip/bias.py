"""What instruments tie to the lines of a passive chip, and what flows then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Bias:
    """What is tied to the chip's lines: line 0…R−1 are rows, R…R+C−1 columns.

    Attributes
    ----------
    source : array, [lines], int
        Which source drives each line; −1: floating.
    line_ohms : array, [lines], float [Ω]
        Between the source's terminal and the line's pad (relay, cable).
    volts : array, [sources], float [V]
    ohms : array, [sources], float [Ω]
        Resistance of the source.
    limit : array, [sources], float [A]
        Largest current of the source, of either sign; inf for none.
    delay : array, [sources], float [s]
        How late the limit acts, because a charged cable feeds the chip meanwhile.
    """

    source: NDArray[np.int64]
    line_ohms: NDArray[np.float64]
    volts: NDArray[np.float64]
    ohms: NDArray[np.float64]
    limit: NDArray[np.float64]
    delay: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Solution:
    """Voltages and currents everywhere, once.

    Attributes
    ----------
    line_volts : array, [lines], float [V]
        At the pads.
    line_amps : array, [lines], float [A]
        Into the chip.
    source_volts : array, [sources], float [V]
        At the sources' terminals.
    source_amps : array, [sources], float [A]
        Delivered.
    limited : array, [sources], bool
        Whether the source limits its current.
    cell_volts : array, [rows, cols], float [V]
        Row minus column at the crosspoint.
    """

    line_volts: NDArray[np.float64]
    line_amps: NDArray[np.float64]
    source_volts: NDArray[np.float64]
    source_amps: NDArray[np.float64]
    limited: NDArray[np.bool_]
    cell_volts: NDArray[np.float64]
