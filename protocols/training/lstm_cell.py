"""An LSTM over its steps, forward and back, in NumPy: between two products of an array there is no time for a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float32Array = NDArray[np.float32]


@dataclass(frozen=True)
class LstmGradients:
    """Gradients of ``x`` [steps, batch, features], ``h0`` and ``c0`` [batch, hidden], ``weight`` [inputs, 4·hidden].

    ``error`` [steps, batch, 4·hidden] is that of the gates before their activation.
    """

    x: Float32Array
    h0: Float32Array
    c0: Float32Array
    weight: Float32Array
    error: Float32Array


class LstmPass:
    """One pass over a batch of sequences, kept for its gradients.

    Parameters
    ----------
    x : [steps, batch, features], float32
    h0, c0 : [batch, hidden], float32
    product : ``[batch, inputs] -> [batch, 4·hidden]``, inputs being [x, h] and a 1 where there is a bias
    bias : bool

    Attributes
    ----------
    hidden, cell : [steps, batch, hidden]
    inputs : [steps, batch, inputs]
        What was multiplied.
    """

    def __init__(
        self,
        x: Float32Array,
        h0: Float32Array,
        c0: Float32Array,
        product: Callable[[Float32Array], Float32Array],
        *,
        bias: bool,
    ) -> None:
        steps, batch, features = x.shape
        size = h0.shape[1]
        self.features, self.size = features, size
        self.inputs = np.ones((steps, batch, features + size + int(bias)), np.float32)
        self.inputs[:, :, :features] = x
        self.gates = np.empty((steps, batch, 4 * size), np.float32)
        self.hidden = np.empty((steps, batch, size), np.float32)
        self.cell = np.empty((steps, batch, size), np.float32)
        self.squashed = np.empty((steps, batch, size), np.float32)
        self.c0 = c0
        # sigmoid(z) = (1 + tanh(z/2))/2: one tanh serves all four gates.
        slope = np.full(4 * size, 0.5, np.float32)
        slope[2 * size : 3 * size] = 1.0
        shift = np.float32(1.0) - slope
        h, c = h0, c0
        for t in range(steps):
            vector = self.inputs[t]
            vector[:, features : features + size] = h
            gate = self.gates[t]
            np.multiply(product(vector), slope, out=gate)
            np.tanh(gate, out=gate)
            gate *= slope
            gate += shift
            new = self.cell[t]
            np.multiply(gate[:, size : 2 * size], c, out=new)
            new += gate[:, :size] * gate[:, 2 * size : 3 * size]
            c = new
            np.tanh(c, out=self.squashed[t])
            h = np.multiply(gate[:, 3 * size :], self.squashed[t], out=self.hidden[t])

    def backward(
        self,
        hidden: Float32Array,
        cell: Float32Array,
        weight: Float32Array,
        cut: float = np.inf,
        through: Callable[[Float32Array], Float32Array] | None = None,
    ) -> LstmGradients:
        """Return the gradients, given those of all hidden states and of the last cell state.

        Parameters
        ----------
        hidden : [steps, batch, hidden]
        cell : [batch, hidden]
        weight : [inputs, 4·hidden]
        cut : inputs of ±this were cut there and have no gradient
        through : ``[batch, 4·hidden] -> [batch, inputs]``, what takes an error back instead of ``weight``
        """
        steps, size, features = len(self.hidden), self.size, self.features
        error = np.empty_like(self.gates)
        x = np.empty((*error.shape[:2], features), np.float32)
        back = np.ascontiguousarray(weight[features : features + size].T)
        # All that does not depend on the later steps is worked out for all steps at once.
        i, f = self.gates[..., :size], self.gates[..., size : 2 * size]
        g, o = self.gates[..., 2 * size : 3 * size], self.gates[..., 3 * size :]
        before = np.concatenate([self.c0[np.newaxis], self.cell[:-1]])
        slope = np.concatenate(
            [i * (1 - i) * g, f * (1 - f) * before, (1 - g * g) * i, o * (1 - o) * self.squashed], axis=-1
        )
        slope_h = o * (1 - self.squashed * self.squashed)
        dh, dc = np.zeros_like(self.c0), cell.astype(np.float32)
        for t in range(steps - 1, -1, -1):
            dh = dh + hidden[t]
            dc = dc + dh * slope_h[t]
            e = error[t]
            rows = slope[t]
            np.multiply(
                rows[:, : 3 * size].reshape(-1, 3, size), dc[:, np.newaxis], out=e[:, : 3 * size].reshape(-1, 3, size)
            )
            np.multiply(rows[:, 3 * size :], dh, out=e[:, 3 * size :])
            if through is None:
                dh = e @ back
            else:
                whole = through(e)
                x[t], dh = whole[:, :features], whole[:, features : features + size]
            dc = dc * f[t]
        flat = error.reshape(-1, 4 * size)
        grad = self.inputs.reshape(-1, self.inputs.shape[-1]).T @ flat
        if through is None:
            x = (flat @ weight[:features].T).reshape(x.shape)
        x *= np.abs(self.inputs[..., :features]) < cut
        return LstmGradients(x, dh, dc, grad, error)
