"""Gaussian noise at two or three nanoseconds per number, for vector-matrix products.

NumPy's float32 normals cost 8 to 13 ns each, more than the product they are added to. Here 16 random bits
choose one of 65,536 equally likely slices of the normal distribution, represented by its conditional mean;
two such values a, b give two outputs (a+b)/√2 and (a−b)/√2. The rotation leaves exact normals unchanged and
mends what the slices lack: variance 1, kurtosis 2.9999, and beyond 3/4/5 σ 1.000/0.995/0.90 of the normal tail
(computed from the table; the largest value is 6.2 σ).
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]

_SINGLE_THREAD = 2**18


@lru_cache(maxsize=1)
def _slices() -> Float32Array:
    from scipy.special import ndtri

    edges = ndtri(np.linspace(0.0, 1.0, 65_537))
    density = np.exp(-0.5 * edges**2)
    mean = density[:-1] - density[1:]
    mean /= mean.std() * np.sqrt(2.0)  # the √2 of the rotation is folded in
    return mean.astype(np.float32)


@njit(cache=True)
def _add(out: Float32Array, variance: Float32Array, bits: NDArray[np.uint16], table: Float32Array) -> None:
    for i in range(0, out.size - 1, 2):
        a = table[bits[i]]
        b = table[bits[i + 1]]
        out[i] += np.sqrt(variance[i]) * (a + b)
        out[i + 1] += np.sqrt(variance[i + 1]) * (a - b)
    if out.size % 2:
        last = out.size - 1
        out[last] += np.sqrt(variance[last]) * (table[bits[last]] + table[bits[last + 1]])


@njit(cache=True)
def _product(
    volts: Float32Array, weight: Float32Array, variance: Float32Array, cubic: Float32Array, out: Float32Array
) -> None:
    # out[0]: the product, out[1]: its variance
    out[:] = 0.0
    bent = cubic.shape[0] > 0
    for r in range(weight.shape[0]):
        v = volts[r]
        v2 = v * v
        for c in range(weight.shape[1]):
            out[0, c] += v * weight[r, c]
            out[1, c] += v2 * variance[r, c]
        if bent:
            v3 = v2 * v
            for c in range(weight.shape[1]):
                out[0, c] += v3 * cubic[r, c]


def multiply(left: Float32Array, right: Float32Array) -> Float32Array:
    """Return ``left @ right`` without waking OpenBLAS's threads.

    Up to 2¹⁸ multiplications OpenBLAS works in the calling thread. Larger products would gain some 30 µs from
    threads on idle cores, lose 10 ms now and then when another process holds a core, and round differently with
    the number of threads; so they are cut into slabs.
    """
    slab = _SINGLE_THREAD // right.size
    if slab < 8 or len(left) <= slab:
        return np.matmul(left, right)
    whole = len(left) // slab * slab
    out = np.empty((len(left), right.shape[1]), dtype=np.float32)
    np.matmul(left[:whole].reshape(-1, slab, right.shape[0]), right, out=out[:whole].reshape(-1, slab, right.shape[1]))
    np.matmul(left[whole:], right, out=out[whole:])
    return out


class NormalStream:
    """A seeded stream of Gaussian numbers for large float32 arrays.

    Parameters
    ----------
    seed : int or sequence of int
        Entropy of the stream.
    """

    def __init__(self, seed: int | list[int]) -> None:
        self._bits = np.random.SFC64(seed)
        self._table = _slices()

    def add(self, out: Float32Array, variance: Float32Array) -> None:
        """Add independent normals of the given ``variance`` to ``out`` in place; both contiguous, one shape."""
        # one spare value keeps an odd length simple
        bits = self._bits.random_raw(out.size // 4 + 1).view(np.uint16)
        _add(out.reshape(-1), variance.reshape(-1), bits, self._table)

    def noisy_product(
        self, volts: Float32Array, weight: Float32Array, variance: Float32Array, cubic: Float32Array
    ) -> Float32Array:
        """Return ``volts @ weight + volts³ @ cubic`` plus normals of variance ``volts² @ variance`` for one vector.

        ``cubic`` may be empty. One pass costs less than three calls of a matrix library.
        """
        result = np.empty((2, weight.shape[1]), dtype=np.float32)
        _product(volts, weight, variance, cubic, result)
        out = result[0]
        self.add(out, result[1])
        return out

    def state(self) -> NDArray[np.uint64]:
        """Return what :meth:`restore` needs, as an array."""
        return np.array(self._bits.state["state"]["state"], dtype=np.uint64)

    def restore(self, state: NDArray[np.uint64]) -> None:
        """Continue from a saved :meth:`state`."""
        whole = self._bits.state
        whole["state"]["state"] = np.asarray(state, dtype=np.uint64)
        self._bits.state = whole
