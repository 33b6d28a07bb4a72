"""One counter-based random stream per cell, so that batching and order of calls never change a cell's luck.

A draw is SplitMix64 of the cell's key plus its own counter (Steele, Lea, Flood 2014).
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S30 = np.uint64(30)
_S27 = np.uint64(27)
_S31 = np.uint64(31)
_S11 = np.uint64(11)
_ONE = np.uint64(1)
_TO_UNIT = 2.0**-53


class Stream(Protocol):
    """A cell's record, as far as its luck is concerned."""

    key: np.uint64
    counter: np.uint64


# Acklam's rational approximation of the normal quantile (relative error below 1.2e-9).
# fmt: off
_A = (-39.69683028665376, 220.9460984245205, -275.9285104469687,
      138.3577518672690, -30.66479806614716, 2.506628277459239)
_B = (-54.47609879822406, 161.5858368580409, -155.6989798598866, 66.80131188771972, -13.28068155288572)
_C = (-7.784894002430293e-3, -0.3223964580411365, -2.400758277161838,
      -2.549732539343734, 4.374664141464968, 2.938163982698783)
_D = (7.784695709041462e-3, 0.3224671290700398, 2.445134137142996, 3.754408661907416)
# fmt: on


def stream_keys(seed: int, size: int) -> NDArray[np.uint64]:
    """Return one independent 64-bit key per cell."""
    return np.random.SeedSequence(seed).generate_state(size, np.uint64).astype(np.uint64)


@njit(cache=True, error_model="numpy")
def uniform(cell: Stream) -> float:
    """Return a uniform number in (0, 1) from the cell's stream and move its counter."""
    n = cell.counter + _ONE
    cell.counter = n
    x = cell.key + n * _GOLDEN
    x = (x ^ (x >> _S30)) * _MIX_A
    x = (x ^ (x >> _S27)) * _MIX_B
    x ^= x >> _S31
    return (np.float64(x >> _S11) + 0.5) * _TO_UNIT


@njit(cache=True, error_model="numpy")
def normal_quantile(u: float) -> float:
    """Return the standard normal quantile of ``u`` in (0, 1)."""
    if u < 0.02425 or u > 0.97575:
        s = math.sqrt(-2.0 * math.log(u if u < 0.5 else 1.0 - u))
        x = (((((_C[0] * s + _C[1]) * s + _C[2]) * s + _C[3]) * s + _C[4]) * s + _C[5]) / (
            (((_D[0] * s + _D[1]) * s + _D[2]) * s + _D[3]) * s + 1.0
        )
        return x if u < 0.5 else -x
    r = u - 0.5
    s = r * r
    return (
        (((((_A[0] * s + _A[1]) * s + _A[2]) * s + _A[3]) * s + _A[4]) * s + _A[5])
        * r
        / (((((_B[0] * s + _B[1]) * s + _B[2]) * s + _B[3]) * s + _B[4]) * s + 1.0)
    )


_BINS = 1024
_EDGE = 26
_NORMAL = np.array([0.0, *(NormalDist().inv_cdf(k / _BINS) for k in range(1, _BINS)), 0.0])


@njit(cache=True, error_model="numpy")
def normal(cell: Stream) -> float:
    """Return a standard normal number from the cell's stream (tabulated in the body, error below 1e-4)."""
    u = uniform(cell)
    x = u * _BINS
    k = int(x)
    if k < _EDGE or k >= _BINS - _EDGE:
        return normal_quantile(u)
    return _NORMAL[k] + (x - k) * (_NORMAL[k + 1] - _NORMAL[k])


@njit(cache=True, error_model="numpy")
def gamma(cell: Stream, shape: float) -> float:
    """Return a Gamma(``shape``) number of scale 1 from the cell's stream (Marsaglia and Tsang 2000)."""
    d = shape + 1.0 - 1.0 / 3.0
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        x = normal(cell)
        v = (1.0 + c * x) ** 3
        if v > 0.0 and math.log(uniform(cell)) < 0.5 * x * x + d - d * v + d * math.log(v):
            return d * v * uniform(cell) ** (1.0 / shape)


@njit(cache=True, error_model="numpy")
def tabulated(table: Floats, tail: float, u: float) -> float:
    """Return the quantile of ``u`` for a symmetric law tabulated at k/(n−1), power-law tails of exponent ``tail``.

    The outermost two bins are replaced by q·(p/p_edge)^tail, exact for Student's t far out (tail = −1/dof).
    """
    last = table.size - 1
    x = u * last
    k = int(x)
    if k < 1:
        return table[1] * x**tail
    if k >= last - 1:
        return table[last - 1] * (last - x) ** tail
    return table[k] + (x - k) * (table[k + 1] - table[k])


def student_table(dof: float, bins: int = 2048) -> NDArray[np.float64]:
    """Return quantiles of Student's t with ``dof`` degrees of freedom for :func:`tabulated`."""
    from scipy.special import stdtrit

    grid = np.linspace(0.0, 1.0, bins + 1)
    table = np.zeros(bins + 1)
    table[1:-1] = stdtrit(dof, grid[1:-1])
    return table
