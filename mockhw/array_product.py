"""The array as one linear map with its bend and its noise, for vector-matrix products."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .crossbar_network import Shape, Wires, effective_conductance
from .device_models.base import DeviceModel
from .normal_stream import Float32Array, NormalStream, multiply

# Two voltages inside the usual read range fix the cubic term of the cells: I = V·(g1 + g3·V²).
_LOW, _HIGH = 0.1, 0.3


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

    def multiply(self, volts: Float32Array, noise: NormalStream) -> Float32Array:
        """Return the currents [A] of ``volts`` [V], [batch, inputs], with one draw of noise each, [batch, outputs]."""
        if len(volts) == 1:
            return noise.noisy_product(volts[0], self.weight, self.variance, self.cubic)[None]
        out = multiply(volts, self.weight)
        square = volts * volts
        if self.cubic.size:
            out += multiply(square * volts, self.cubic)
        noise.add(out, multiply(square, self.variance))
        return out


def take_product(model: DeviceModel, shape: Shape, wires: Wires, gate: float, now: float) -> ArrayProduct:
    """Return the rows-to-columns product of an array in its present state.

    Wires enter exactly for small signals. For noise and bend, a cell is said to keep the share
    ``w = G_eff/G`` of its voltage, and as much of its current to arrive: changes of G arrive as w², currents
    that go with V³ as w⁴. That is exact for a cell alone on its lines, and right to a tenth on loaded ones.
    """
    every = np.arange(model.size, dtype=np.int64)
    low = model.conductance(every, _LOW, gate, now)
    high = model.conductance(every, _HIGH, gate, now)
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
    cubic = (bend * share**4).reshape(shape).astype(np.float32)
    if float(np.max(np.abs(bend))) * _HIGH**2 <= 1e-6 * float(np.max(np.abs(cell))):
        cubic = np.empty((0, 0), dtype=np.float32)
    return ArrayProduct(gate, weight.astype(np.float32), (sigma**2).reshape(shape).astype(np.float32), cubic)
