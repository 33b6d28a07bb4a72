"""Volts to DAC codes and ADC codes to amperes, one pass each: at batch 1 every NumPy call costs a microsecond."""

from __future__ import annotations

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from .codec import VMM_OVERFLOW

_OVERFLOW = np.int16(VMM_OVERFLOW)


def _matrix(of: types.Type) -> types.Array:
    """Return the type of a matrix that is only read, so that read-only ones are taken too."""
    return types.Array(of, 2, "C", readonly=True)


_CODES = types.Array(types.int16, 2, "C")


@njit(
    [
        types.boolean(_matrix(volts), types.float64, types.float64, types.int64, _CODES)
        for volts in (types.float32, types.float64)
    ],
    cache=True,
)
def encode(
    volts: NDArray[np.floating], largest: float, codes_per_volt: float, top: int, out: NDArray[np.int16]
) -> bool:
    """Fill ``out`` with codes, at most ±``top``; return whether every voltage is finite and at most ``largest`` [V]."""
    bad = np.int32(0)
    high = np.float64(top)
    for b in range(volts.shape[0]):
        for line in range(volts.shape[1]):  # no branches, so that it is vectorised
            value = np.float64(volts[b, line])
            bad += np.int32(0) if abs(value) <= largest else np.int32(1)  # a NaN is bad too
            code = np.rint(value * codes_per_volt)
            code = code if code < high else high
            code = code if code > -high else -high
            out[b, line] = np.int16(np.int32(code))
    return bool(bad == 0)


@njit(types.void(_matrix(types.int16), types.float32, types.Array(types.float32, 2, "C")), cache=True)
def decode(codes: NDArray[np.int16], amperes_per_code: float, out: NDArray[np.float32]) -> None:
    """Fill ``out`` with currents [A]; an overflow is NaN."""
    for b in range(codes.shape[0]):
        for line in range(codes.shape[1]):
            code = codes[b, line]
            out[b, line] = np.float32(np.nan) if code == _OVERFLOW else np.float32(code) * amperes_per_code
