"""Converters of the simulated array board: range, gain and offset per channel, noise, quantisation, overflow.

Both ways: what digitises currents, and the drivers that give the voltages of products.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numba import njit, types
from numpy.typing import NDArray

from ...chip.normal_stream import NormalStream, StateArray, take_normals
from .spec import ConverterErrors, DriverSteps

Float32Array = NDArray[np.float32]
FloatArray = NDArray[np.float64]
CodeArray = NDArray[np.int16]

OVERFLOW: Final = -32768
"""Code of a conversion beyond the range (board protocol, §4.6)."""

_BLOCK: Final = types.Array(types.uint8, 1, "C", readonly=True)


@njit(types.int64(_BLOCK, types.float64, types.int64, types.float32[::1]), cache=True)
def _volts(payload: NDArray[np.uint8], lsb: float, limit: int, out: Float32Array) -> int:
    """Return the index of the first code beyond ``limit``, −1 if there is none."""
    scale = np.float32(lsb)
    largest = np.int32(0)
    for i in range(out.size):  # no branches, so that it is vectorised; bytes, because a block may begin anywhere
        code = np.int32(np.int16(np.uint16(payload[2 * i]) | np.uint16(payload[2 * i + 1]) << 8))
        out[i] = np.float32(code) * scale
        largest = max(largest, abs(code))
    if largest <= limit:
        return -1
    i = 0
    while abs(np.int32(np.int16(np.uint16(payload[2 * i]) | np.uint16(payload[2 * i + 1]) << 8))) <= limit:
        i += 1
    return i


@njit(
    "int64(float32[:, ::1], float32[:, ::1], float32[::1], float32[::1], float64, int64, uint64[::1], float32[::1],"
    " int16[:, ::1])",
    cache=True,
)
def _codes(
    mean: Float32Array,
    variance: Float32Array,
    scale: Float32Array,
    offset: Float32Array,
    noise: float,
    half: int,
    state: StateArray,
    table: Float32Array,
    out: CodeArray,
) -> int:
    """Return the smallest code; codes are left-aligned to ±32767."""
    # Everything in single precision: numba widens 32-bit integers, which halves the speed.
    step = np.float32(32768 // half)
    top = np.float32(half - 1)
    own = np.float32(noise * noise)
    channels = mean.shape[1]
    smallest = np.int16(0)
    for b in range(mean.shape[0]):
        normal = take_normals(state, table, channels)
        for c in range(channels):
            k = scale[c]
            # The chip's noise and the converter's are independent, so one draw serves both.
            swing = np.sqrt(variance[b, c] * k * k + own)
            lsbs = np.rint(mean[b, c] * k + offset[c] + swing * normal[c])
            out[b, c] = np.int16(np.int32(lsbs * step if abs(lsbs) <= top else np.float32(OVERFLOW)))
        for c in range(channels):
            smallest = min(smallest, out[b, c])
    return int(smallest)


@njit(
    "void(float64[:, ::1], int64[:, ::1], float64[::1], float64[:, ::1], float64[:, ::1], int64, float64, int64,"
    " float32[::1], float64[:, ::1], boolean[:, ::1])",
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
    normal: Float32Array,
    out: FloatArray,
    over: NDArray[np.bool_],
) -> None:
    at = 0
    for r in range(current.shape[0]):
        for c in range(current.shape[1]):
            k = chosen[r, c]
            lsb = ranges[k] / half
            lsbs = np.rint(current[r, c] / lsb * gain[k, first + c] + offset[k, first + c] + noise * normal[at])
            at += 1
            if lsbs > half or lsbs < -half:
                over[r, c] = True
                out[r, c] = ranges[k] if lsbs > 0 else -ranges[k]
            else:
                out[r, c] = lsbs * lsb


@njit(cache=True)
def filtered(current: FloatArray, rate: float, bandwidth: float) -> FloatArray:
    """Return what a filter of one pole at ``bandwidth`` [Hz] lets through, sampled at ``rate`` [1/s].

    It has settled on the first sample.
    """
    out = np.empty_like(current)
    share = -np.expm1(-2.0 * np.pi * bandwidth / rate)
    level = current[0] if current.size else 0.0
    for k in range(current.size):
        level += share * (current[k] - level)
        out[k] = level
    return out


@njit(
    "void(float32[:, ::1], float32[:, ::1], int64[::1], float32[::1], float64, float32[:, ::1], float32[::1],"
    " int16[:, ::1])",
    cache=True,
)
def count_thresholds(
    mean: Float32Array,
    variance: Float32Array,
    columns: NDArray[np.int64],
    offset: Float32Array,
    noise: float,
    threshold: Float32Array,
    normal: Float32Array,
    out: CodeArray,
) -> None:
    """Fill ``columns`` of ``out`` with how many of the vector's thresholds [batch, n] [A] are at or below a current.

    ``offset`` [channels] [A] and ``noise`` [A] are the comparators'; ``normal`` has one draw per vector and column.
    """
    own = np.float32(noise * noise)
    at = 0
    for b in range(mean.shape[0]):
        for c in columns:
            current = mean[b, c] + offset[c] + np.sqrt(variance[b, c] + own) * normal[at]
            at += 1
            code = 0
            for k in range(threshold.shape[1]):
                code += 1 if threshold[b, k] <= current else 0
            out[b, c] = np.int16(code)


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
    volts = np.empty(len(payload) // 2, dtype=np.float32)
    return volts, _volts(np.frombuffer(payload, dtype=np.uint8), lsb, limit, volts)


class Drivers:
    """Rounds the voltages of products.

    Parameters
    ----------
    full : float [V]
        Largest voltage.
    seed : sequence of int
        Entropy of the stochastic rounding.
    """

    def __init__(self, steps: DriverSteps, full: float, seed: list[int]) -> None:
        self._rng = np.random.default_rng(seed)
        self._stochastic = steps.rounding == "stochastic"
        self._top = 0 if steps.bits is None else (1 << (steps.bits - 1)) - 1
        self._step = np.float32(full / self._top) if self._top else np.float32(0.0)

    def given(self, volts: Float32Array) -> Float32Array:
        """Return the voltages that are given for ``volts`` [V]."""
        if not self._top:
            return volts
        wanted = volts / self._step
        if self._stochastic:
            number = np.floor(wanted + self._rng.random(wanted.shape, dtype=np.float32))
        else:
            number = np.rint(wanted)
        return np.clip(number, -self._top, self._top) * self._step


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
    errors : ConverterErrors
        The assumed ones by default.
    """

    def __init__(
        self,
        ranges: tuple[float, ...],
        bits: int,
        channels: int,
        seed: list[int],
        errors: ConverterErrors | None = None,
    ) -> None:
        rng = np.random.default_rng(seed)
        errors = errors if errors is not None else ConverterErrors()
        shape = (len(ranges), channels)
        self.ranges = np.asarray(ranges, dtype=np.float64)
        self.half = 1 << (bits - 1)
        self._noise_lsb = errors.noise
        self._gain = 1.0 + errors.gain_spread * rng.standard_normal(shape)
        self._offset = errors.offset_spread * rng.standard_normal(shape)
        self._noise = NormalStream(seed)
        self._make_banks()

    def _make_banks(self) -> None:
        # Codes mean code × range / 32767 (board protocol, §4.6).
        step = 32768 // self.half
        self._banks = [
            ((self._gain[k] * (32767.0 / step / full_scale)).astype(np.float32), self._offset[k].astype(np.float32))
            for k, full_scale in enumerate(self.ranges)
        ]

    def shift_offset(self, amps: float) -> None:
        """Let every channel read ``amps`` [A] too much from now on, on all ranges."""
        self._offset = self._offset + amps / (self.ranges[:, None] / self.half)
        self._make_banks()

    def specified_error(self, chosen: NDArray[np.int64]) -> FloatArray:
        """Return the standard error [A] of one conversion on each of the ranges ``chosen``: noise and quantisation."""
        return self.ranges[chosen] / self.half * (self._noise_lsb**2 + 1.0 / 12.0) ** 0.5

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
            self._noise_lsb,
            self.half,
            self._noise.draw(current.size),
            out,
            over,
        )
        return out, over

    def codes(self, mean: Float32Array, variance: Float32Array, index: int) -> tuple[CodeArray, bool]:
        """Convert noisy currents on range ``index``; return left-aligned codes and whether one overflowed.

        Parameters
        ----------
        mean, variance : array, [batch, channels], float32 [A], [A²]
            What arrives at the converters, before their own noise.
        """
        out = np.empty(mean.shape, dtype=np.int16)
        scale, offset = self._banks[index]
        noise = self._noise
        least = _codes(mean, variance, scale, offset, self._noise_lsb, self.half, noise.words, noise.table, out)
        return out, least == OVERFLOW
