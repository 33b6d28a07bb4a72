"""Converters of the simulated array board: range, gain and offset per channel, noise, quantisation, overflow."""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.int16]

OVERFLOW: Final = -32768
"""Code of a conversion beyond the range (board protocol, §4.6)."""

# Assumed, typical of a calibrated multi-channel board; no source.
_GAIN_SPREAD: Final = 5e-4
_OFFSET_SPREAD: Final = 0.3
_NOISE_LSB: Final = 1.0
_POOL: Final = 4096
# The noise is the difference of two uniform 16-bit numbers (triangular): its rms is 65536/√6.
_TRIANGLE: Final = 6.0**0.5 / 65536.0


@njit("int64(int16[::1], float64, int64, float32[::1])", cache=True)
def _volts(codes: CodeArray, lsb: float, limit: int, out: Float32Array) -> int:
    """Return the index of the first code beyond ``limit``, −1 if there is none."""
    scale = np.float32(lsb)
    largest = np.int16(0)
    smallest = np.int16(0)
    for i in range(codes.size):  # no branches, so that it is vectorised
        out[i] = np.float32(codes[i]) * scale
        largest = max(largest, codes[i])
        smallest = min(smallest, codes[i])
    if largest <= limit and smallest >= -limit:
        return -1
    i = 0
    while -limit <= codes[i] <= limit:
        i += 1
    return i


@njit(
    "int64(float32[:, ::1], float32[::1], float32[::1], float64, float64, int64, uint16[::1], int16[:, ::1])",
    cache=True,
)
def _codes(
    current: Float32Array,
    gain: Float32Array,
    offset: Float32Array,
    per_lsb: float,
    noise: float,
    half: int,
    bits: NDArray[np.uint16],
    out: CodeArray,
) -> int:
    """Return how many conversions overflowed; codes are left-aligned to ±32767."""
    step = np.int32(32768 // half)
    top = np.float32(half - 1)
    scale = np.float32(per_lsb)
    swing = np.float32(noise)
    channels = current.shape[1]
    over = np.int64(0)
    for b in range(current.shape[0]):
        first = bits[2 * b * channels : (2 * b + 1) * channels]
        second = bits[(2 * b + 1) * channels : (2 * b + 2) * channels]
        beyond = np.int32(0)
        for c in range(channels):
            dither = (np.float32(first[c]) - np.float32(second[c])) * swing
            lsbs = np.rint(current[b, c] * scale * gain[c] + offset[c] + dither)
            good = abs(lsbs) <= top
            beyond += np.int32(0) if good else np.int32(1)
            out[b, c] = np.int16(np.int32(lsbs if good else np.float32(0.0)) * step) if good else np.int16(OVERFLOW)
        over += beyond
    return int(over)


@njit(
    "void(float64[:, ::1], int64[:, ::1], float64[::1], float64[:, ::1], float64[:, ::1], int64, float64, int64,"
    " uint16[::1], float64[:, ::1], boolean[:, ::1])",
    cache=True,
)
def _convert(
    current: FloatArray,
    chosen: NDArray[np.int64],
    ranges: FloatArray,
    gain: FloatArray,
    offset: FloatArray,
    first: int,
    noise: float,
    half: int,
    bits: NDArray[np.uint16],
    out: FloatArray,
    over: NDArray[np.bool_],
) -> None:
    at = 0
    for r in range(current.shape[0]):
        for c in range(current.shape[1]):
            k = chosen[r, c]
            lsb = ranges[k] / half
            dither = (float(bits[at]) - float(bits[at + 1])) * noise
            at += 2
            lsbs = np.rint(current[r, c] / lsb * gain[k, first + c] + offset[k, first + c] + dither)
            if lsbs > half or lsbs < -half:
                over[r, c] = True
                out[r, c] = ranges[k] if lsbs > 0 else -ranges[k]
            else:
                out[r, c] = lsbs * lsb


def codes_to_volts(payload: memoryview | bytes, lsb: float, limit: int) -> tuple[Float32Array, int]:
    """Turn DAC codes into volts.

    Parameters
    ----------
    payload : buffer
        Little-endian int16 codes.
    lsb : float [V]
    limit : int
        Largest code.

    Returns
    -------
    array, float32 [V], and the index of the first code beyond the limit, −1 if there is none
    """
    # A copy, because a block may begin at an odd address.
    codes = np.array(np.frombuffer(payload, dtype="<i2"))
    volts = np.empty(codes.size, dtype=np.float32)
    return volts, _volts(codes, lsb, limit, volts)


class Converters:
    """A bank of analogue-digital converters, one per line, with common ranges.

    Parameters
    ----------
    ranges : sequence of float [A]
        Full scales, ascending.
    bits : int
        Resolution over ±full scale.
    channels : int
        Number of lines.
    seed : sequence of int
        Entropy of the channels' gains, offsets and noise.
    """

    def __init__(self, ranges: tuple[float, ...], bits: int, channels: int, seed: list[int]) -> None:
        rng = np.random.default_rng(seed)
        shape = (len(ranges), channels)
        self.ranges = np.asarray(ranges, dtype=np.float64)
        self.half = 1 << (bits - 1)
        self._gain = 1.0 + _GAIN_SPREAD * rng.standard_normal(shape)
        self._offset = _OFFSET_SPREAD * rng.standard_normal(shape)
        self._gain32 = self._gain.astype(np.float32)
        self._offset32 = self._offset.astype(np.float32)
        self._random = np.random.SFC64(seed)
        self._noise = _NOISE_LSB * _TRIANGLE
        self._pool = np.empty(0, dtype=np.uint16)
        self._pool_at = 0
        # Codes mean code × range / 32767 (board protocol, §4.6).
        step = 32768 // self.half
        self._banks = [
            (self._gain32[k], self._offset32[k], 32767.0 / step / full_scale) for k, full_scale in enumerate(ranges)
        ]

    def specified_error(self, chosen: NDArray[np.int64]) -> FloatArray:
        """Return the standard error [A] of one conversion on each of the ranges ``chosen``: noise and quantisation."""
        return self.ranges[chosen] / self.half * (_NOISE_LSB**2 + 1.0 / 12.0) ** 0.5

    def choose(self, current: FloatArray) -> NDArray[np.int64]:
        """Return the index of the smallest range that holds ``current`` [A] with a tenth to spare."""
        return np.minimum(np.searchsorted(0.9 * self.ranges, np.abs(current)), self.ranges.size - 1)

    def index_for(self, full_scale: float) -> int:
        """Return the index of the smallest range of at least ``full_scale`` [A]."""
        return int(np.searchsorted(self.ranges, full_scale * (1.0 - 1e-9)))

    def convert(
        self, current: FloatArray, chosen: NDArray[np.int64], first: int = 0
    ) -> tuple[FloatArray, NDArray[np.bool_]]:
        """Convert currents once.

        Parameters
        ----------
        current : array, [n, channels], float [A]
        chosen : array, [n, channels], int
            Range of each conversion.
        first : int
            Channel of column 0.

        Returns
        -------
        measured : array, [n, channels], float [A]
        over : array, [n, channels], bool
        """
        out = np.empty(current.shape)
        over = np.zeros(current.shape, dtype=np.bool_)
        _convert(
            np.ascontiguousarray(current, dtype=np.float64),
            np.ascontiguousarray(chosen, dtype=np.int64),
            self.ranges,
            self._gain,
            self._offset,
            first,
            self._noise,
            self.half,
            self._bits(current.size),
            out,
            over,
        )
        return out, over

    def codes(self, current: Float32Array, index: int) -> tuple[CodeArray, int]:
        """Convert currents [batch, channels] on range ``index`` to left-aligned codes; also count overflows."""
        out = np.empty(current.shape, dtype=np.int16)
        gain, offset, per_lsb = self._banks[index]
        return out, _codes(current, gain, offset, per_lsb, self._noise, self.half, self._bits(current.size), out)

    def _bits(self, size: int) -> NDArray[np.uint16]:
        """Two 16-bit numbers for each of ``size`` conversions."""
        start = self._pool_at
        stop = start + 2 * size
        if stop > self._pool.size:
            self._pool = self._random.random_raw(max(_POOL, size // 2 + 1)).view(np.uint16)
            start, stop = 0, 2 * size
        self._pool_at = stop
        return self._pool[start:stop]
