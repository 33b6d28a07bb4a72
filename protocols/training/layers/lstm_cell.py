"""An LSTM over its steps, forward and back, in NumPy: between two products of an array there is no time for a graph."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .lstm_kernel import backward_step, forward_step

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
        self.c0 = np.ascontiguousarray(c0, dtype=np.float32)
        h, c = h0, self.c0
        for t in range(steps):
            vector = self.inputs[t]
            vector[:, features : features + size] = h
            out = np.ascontiguousarray(product(vector), dtype=np.float32)
            forward_step(out, c, self.gates[t], self.cell[t], self.squashed[t], self.hidden[t])
            h, c = self.hidden[t], self.cell[t]

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
        outer = np.ascontiguousarray(hidden, dtype=np.float32)
        dh, dc = np.zeros_like(self.c0), np.array(cell, dtype=np.float32, order="C")
        for t in range(steps - 1, -1, -1):
            before = self.cell[t - 1] if t else self.c0
            backward_step(self.gates[t], before, self.squashed[t], outer[t], dh, dc, error[t])
            if through is None:
                np.dot(error[t], back, out=dh)
            else:
                whole = through(error[t])
                x[t] = whole[:, :features]
                dh[:] = whole[:, features : features + size]
        flat = error.reshape(-1, 4 * size)
        grad = self.inputs.reshape(-1, self.inputs.shape[-1]).T @ flat
        if through is None:
            x = (flat @ weight[:features].T).reshape(x.shape)
        x *= np.abs(self.inputs[..., :features]) < cut
        return LstmGradients(x, dh, dc, grad, error)
