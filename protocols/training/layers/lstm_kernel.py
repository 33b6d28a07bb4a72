"""One step of an LSTM forward, and all steps back, compiled: some twenty small NumPy calls per step cost more than the
arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]
_ONE, _HALF = np.float32(1.0), np.float32(0.5)


@njit("float32(float32)", inline="always", cache=True)
def _tanh(x: Any) -> Any:
    """Rational approximation of tanh in single precision, right to some 1e-7 (coefficients: Eigen's ``ptanh``).

    Without a branch or a call, so that the loops around it run on vector registers.
    """
    x = min(max(x, np.float32(-7.905311)), np.float32(7.905311))
    s = x * x
    p = np.float32(-2.76076847742355e-16)
    p = p * s + np.float32(2.00018790482477e-13)
    p = p * s + np.float32(-8.60467152213735e-11)
    p = p * s + np.float32(5.12229709037114e-08)
    p = p * s + np.float32(1.48572235717979e-05)
    p = p * s + np.float32(6.37261928875436e-04)
    p = p * s + np.float32(4.89352455891786e-03)
    q = np.float32(1.19825839466702e-06)
    q = q * s + np.float32(1.18534705686654e-04)
    q = q * s + np.float32(2.26843463243900e-03)
    q = q * s + np.float32(4.89352518554385e-03)
    return x * p / q


@njit(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1])",
    cache=True,
    error_model="numpy",
)
def forward_step(
    product: Float32Array,
    before: Float32Array,
    gates: Float32Array,
    cell: Float32Array,
    squashed: Float32Array,
    hidden: Float32Array,
) -> None:
    """Take gates before their activation, ``product`` [batch, 4·size] in order i, f, g, o, and the cells before.

    Fills ``gates`` [batch, 4·size], and [batch, size] ``cell`` c = f·c + i·g, ``squashed`` tanh(c)
    and ``hidden`` o·tanh(c).
    """
    size = before.shape[1]
    for b in range(product.shape[0]):
        for k in range(2 * size):
            gates[b, k] = _HALF + _HALF * _tanh(_HALF * product[b, k])
        for k in range(2 * size, 3 * size):
            gates[b, k] = _tanh(product[b, k])
        for k in range(3 * size, 4 * size):
            gates[b, k] = _HALF + _HALF * _tanh(_HALF * product[b, k])
        for k in range(size):
            c = gates[b, size + k] * before[b, k] + gates[b, k] * gates[b, 2 * size + k]
            cell[b, k] = c
            squashed[b, k] = _tanh(c)
            hidden[b, k] = gates[b, 3 * size + k] * squashed[b, k]


@njit(
    "void(float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], float32[:, ::1], "
    "float32[:, ::1])",
    cache=True,
    error_model="numpy",
)
def backward_step(
    gates: Float32Array,
    before: Float32Array,
    squashed: Float32Array,
    outer: Float32Array,
    dh: Float32Array,
    dc: Float32Array,
    error: Float32Array,
) -> None:
    """Take one step back: ``outer`` and ``dh`` are the gradients of the hidden state from outside and from later.

    Fills ``error`` [batch, 4·size], that of the gates before their activation, and turns ``dc`` [batch, size], that of
    the cells after this step, into that of the cells before it.
    """
    size = before.shape[1]
    for b in range(gates.shape[0]):
        for k in range(size):
            i, f = gates[b, k], gates[b, size + k]
            g, o = gates[b, 2 * size + k], gates[b, 3 * size + k]
            s = squashed[b, k]
            h = dh[b, k] + outer[b, k]
            c = dc[b, k] + h * o * (_ONE - s * s)
            error[b, k] = c * g * i * (_ONE - i)
            error[b, size + k] = c * before[b, k] * f * (_ONE - f)
            error[b, 2 * size + k] = c * i * (_ONE - g * g)
            error[b, 3 * size + k] = h * s * o * (_ONE - o)
            dc[b, k] = c * f
