"""The array as one linear map with its bend and its noise, for vector-matrix products."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numba import njit

from ...common.arrays import BoolArray
from ..device_models.base import DeviceModel
from .crossbar_network import Shape, Wires, effective_conductance
from .normal_stream import Float32Array

# Two voltages inside the usual read range fix the cubic term of the cells: I = V·(g1 + g3·V²).
_LOW, _HIGH = 0.1, 0.3
_SINGLE_THREAD: Final = 2**18


# "contract": multiply and add round once, as they do in a matrix library, so that a vector has the same product alone
# as among others.
@njit(
    "void(float32[::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])",
    cache=True,
    fastmath={"contract"},
)
def _one_vector(
    volts: Float32Array, weight: Float32Array, variance: Float32Array, cubic: Float32Array, out: Float32Array
) -> None:
    # out[0]: the product, out[1]: its variance. One pass costs less than three calls of a matrix library.
    out[:] = 0.0
    for r in range(weight.shape[0]):
        v = volts[r]
        v2 = v * v
        for c in range(weight.shape[1]):
            out[0, c] += v * weight[r, c]
            out[1, c] += v2 * variance[r, c]
    if cubic.shape[0] > 0:
        bent = np.zeros(weight.shape[1], dtype=np.float32)
        for r in range(weight.shape[0]):
            v = volts[r]
            v3 = v * v * v
            for c in range(weight.shape[1]):
                bent[c] += v3 * cubic[r, c]
        for c in range(weight.shape[1]):
            out[0, c] += bent[c]


def multiply(left: Float32Array, right: Float32Array) -> Float32Array:
    """Return ``left @ right`` without waking OpenBLAS's threads.

    Up to 2¹⁸ multiplications OpenBLAS works in the calling thread. Larger products would gain some 30 µs from
    threads on idle cores, lose 10 ms now and then when another process holds a core, and round differently with
    the number of threads; so they are cut into slabs. A slab has two vectors or more, for a matrix library adds up one
    alone in another order. Up to 256 inputs a vector's product does not depend on what is multiplied with it.
    """
    slab = _SINGLE_THREAD // right.size
    if slab < 8 or len(left) <= slab:
        return np.matmul(left, right)
    whole = len(left) // slab * slab
    out = np.empty((len(left), right.shape[1]), dtype=np.float32)
    np.matmul(left[:whole].reshape(-1, slab, right.shape[0]), right, out=out[:whole].reshape(-1, slab, right.shape[1]))
    if whole < len(left):
        rest = min(whole, len(left) - 2)
        out[rest:] = np.matmul(left[rest:], right)
    return out


@dataclass(frozen=True)
class ArrayProduct:
    """What all lines together make of voltages, at one moment and one gate voltage.

    Attributes
    ----------
    gate : float [V]
    weight : array, [inputs, outputs], float32 [S]
        Conductance through the wires.
    variance : array, [inputs, outputs], float32 [S²]
        Variance of one read of it.
    cubic : array, [inputs, outputs], float32 [S/V²]
        Current that goes with V³; empty when all cells are ohmic.
    """

    gate: float
    weight: Float32Array
    variance: Float32Array
    cubic: Float32Array

    def turned(self) -> ArrayProduct:
        """Return the product seen when the outputs are driven and the inputs sensed."""
        weight, variance, cubic = (np.ascontiguousarray(m.T) for m in (self.weight, self.variance, self.cubic))
        return ArrayProduct(self.gate, weight, variance, cubic)

    def moments(self, volts: Float32Array) -> tuple[Float32Array, Float32Array]:
        """Return means [A] and variances [A²], [batch, outputs], of the currents of ``volts`` [V], [batch, inputs]."""
        if len(volts) == 1:
            result = np.empty((2, self.weight.shape[1]), dtype=np.float32)
            _one_vector(volts[0], self.weight, self.variance, self.cubic, result)
            return result[:1], result[1:]
        mean = multiply(volts, self.weight)
        power = volts * volts
        variance = multiply(power, self.variance)
        if self.cubic.size:
            power *= volts
            mean += multiply(power, self.cubic)
        return mean, variance


def take_product(
    model: DeviceModel, shape: Shape, wires: Wires, gate: float, now: float, conducts: BoolArray | None = None
) -> ArrayProduct:
    """Return the rows-to-columns product of an array in its present state.

    Wires enter exactly for small signals. For noise and bend, a cell is said to keep the share
    ``w = G_eff/G`` of its voltage, and as much of its current to arrive: changes of G arrive as w², currents
    that go with V³ as w⁴. That is exact for a cell alone on its lines, and right to a tenth on loaded ones.

    ``conducts``, [size], says which cells have an open gate; None: all.
    """
    every = np.arange(model.size, dtype=np.int64)
    low = model.conductance(every, _LOW, gate, now)
    high = model.conductance(every, _HIGH, gate, now)
    if conducts is not None:
        low, high = np.where(conducts, low, 0.0), np.where(conducts, high, 0.0)
    bend = (high - low) / (_HIGH**2 - _LOW**2)
    cell = low - bend * _LOW**2
    weight = effective_conductance(
        cell.reshape(shape),
        row_ohm=wires.row_ohm,
        col_ohm=wires.col_ohm,
        driver_ohm=wires.driver_ohm,
        sense_ohm=wires.sense_ohm,
    )
    share = np.clip(np.divide(weight.ravel(), cell, out=np.ones_like(cell), where=cell > 0.0), 0.0, 1.0)
    sigma = model.noise_sigma(every, low) * share**2
    if conducts is not None:
        sigma = np.where(conducts, sigma, 0.0)
    cubic = (bend * share**4).reshape(shape).astype(np.float32)
    if float(np.max(np.abs(bend))) * _HIGH**2 <= 1e-6 * float(np.max(np.abs(cell))):
        cubic = np.empty((0, 0), dtype=np.float32)
    return ArrayProduct(gate, weight.astype(np.float32), (sigma**2).reshape(shape).astype(np.float32), cubic)
