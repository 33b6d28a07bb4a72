"""A layer whose columns are held between two levels by the array's output circuits, before they are converted.

The circuit of a column is the amplifier behind it, which cannot go beyond its rails: an activation that costs neither
time nor a product. What the host gets is the activation, shifted and scaled.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from ....common.errors import RefusedError
from ....instruments.abilities import Saturates
from .array_layers import ArrayLinear
from .array_weights import ArrayWeights, Float32Array

HoldLevels = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Lower and upper level of every output, [outputs] each, in weights times inputs."""

# A circuit rounds its corner: an output this close to a level, in parts of the span, counts as held there.
_HELD = 0.01


class ArrayHeld(ArrayLinear):
    """A linear layer on an array whose outputs saturate: ideally min(max(x W, low), high).

    Backward, an output that is held passes no error, any other all of it.

    Parameters
    ----------
    levels : lower and upper level of every output, in weights times inputs
    """

    def __init__(self, weights: ArrayWeights, layer: str, *, bias: bool, levels: HoldLevels) -> None:
        weights.array.spec.require(Saturates, otherwise="the host clips linear products as well (activation: clipped)")
        super().__init__(weights, layer, bias=bias)
        low, high = (np.asarray(one, dtype=np.float32) for one in levels)
        if low.shape != (self.outputs,) or high.shape != low.shape or not (low < high).all():
            raise RefusedError(f"layer {layer!r} needs a low and a high level for each of {self.outputs} outputs")
        if weights.lone_pass(layer) is None:
            raise RefusedError(
                f"layer {layer!r}: an output that is the sum of several columns cannot saturate as one; keep pairs in "
                "rows, no copies across and no more inputs than fit one piece"
            )
        self.levels = low, high
        self._margin = np.float32(_HELD) * (high - low)
        self._saturated = weights.array.ability(Saturates).vmm_saturated

    def held(self, inputs: Float32Array) -> Float32Array:
        """Return [batch, outputs] of ``inputs`` [batch, inputs], a bias among them: what the circuits give."""
        weights = self.array_weights
        one = weights.lone_pass(self.layer)
        assert one is not None
        (lines, gains), *_ = one.sums.terms
        low, high = np.full(weights.plan.cols, -np.inf), np.full(weights.plan.cols, np.inf)
        low[lines], high[lines] = self.levels[0] / gains, self.levels[1] / gains
        largest = float(np.maximum(np.abs(low[lines]), np.abs(high[lines])).max())
        volts = weights.bounded(self.layer, inputs) @ one.encode
        weights.products[self.layer] += len(inputs)
        full_scale = weights.range_holding(1.05 * largest)
        return one.sums.of(self._saturated(volts, low=low, high=high, full_scale=full_scale))

    def passes(self, held: Float32Array) -> NDArray[np.bool_]:
        """Return whether an output is between its levels, and not held at one of them."""
        low, high = self.levels
        return (held > low + self._margin) & (held < high - self._margin)

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] of ``x`` [..., inputs]."""
        self.check_input(x)
        out: Tensor = _Held.apply(x.reshape(-1, self.inputs), self.weight, self)  # pyright: ignore[reportAssignmentType]
        return out.reshape(*x.shape[:-1], self.outputs)


class _Held(torch.autograd.Function):
    """A product that the array holds; backward by the host."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, layer: ArrayHeld) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs = x.detach().numpy()
        if layer.has_bias:
            inputs = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
        held = layer.held(inputs)
        ctx.layer, ctx.inputs, ctx.passes = layer, inputs, layer.passes(held)
        ctx.save_for_backward(weight)
        return torch.from_numpy(held)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        layer: ArrayHeld = ctx.layer
        inputs: Float32Array = ctx.inputs
        (weight,) = ctx.saved_tensors
        error = np.ascontiguousarray(grad_outputs[0].numpy() * ctx.passes)
        return layer.errors_back(inputs, error, weight, x=ctx.needs_input_grad[0], learns=ctx.needs_input_grad[1])
