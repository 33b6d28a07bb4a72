"""Torch modules whose forward pass runs on an array, and whose backward pass uses the conductances last read.

Every module's ``weight`` [inputs, outputs] is what the host knows of the cells: it is set by ``refresh`` after a read
and never by hand. What an optimiser does to it is the change that an update rule then writes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ....common.errors import RefusedError
from .array_weights import ArrayWeights, Float32Array, InputScale
from .lstm_cell import LstmPass

if TYPE_CHECKING:
    from torch.autograd.function import FunctionCtx

Samples = list[tuple[Float32Array, Float32Array]]


class ArrayLayer(nn.Module):
    """What all layers on an array have in common.

    Parameters
    ----------
    weights : the array they are on
    layer : name in its floor plan

    Attributes
    ----------
    weight : Parameter [inputs, outputs], float32
        As last read. A bias is the last input, which is always 1.
    samples : list of (inputs [n, inputs], error [n, outputs])
        What passed in the backward passes since it was last emptied; kept while ``recording``.
    known : Tensor [inputs, outputs]
        ``weight`` as it was when last read, or last changed by an update.
    reverse : bool
        Errors go back by products of the array in reverse, instead of by the weights last read.
    """

    def __init__(self, weights: ArrayWeights, layer: str, *, bias: bool, scale: InputScale = "fixed") -> None:
        super().__init__()
        request = weights.plan.request(layer)
        self.array_weights, self.layer, self.has_bias = weights, layer, bias
        self.scale: InputScale = scale
        self.inputs, self.outputs = request.inputs - int(bias), request.outputs
        self.weight = nn.Parameter(torch.from_numpy(weights.weights(layer)))
        self.known = self.weight.detach().clone()
        weights.modules.append(self)
        self.register_forward_pre_hook(_as_last_read)
        self.recording = False
        self.reverse = False
        self.samples: Samples = []

    @property
    def bias(self) -> Tensor | None:
        """The bias [outputs] as last read, a part of ``weight``; None without."""
        return self.weight[-1] if self.has_bias else None

    def refresh(self) -> None:
        """Take the weights from the last read."""
        with torch.no_grad():
            self.weight.copy_(torch.from_numpy(self.array_weights.weights(self.layer)))
        self.known = self.weight.detach().clone()

    @property
    def changed(self) -> bool:
        """Whether ``weight`` is not what was last read: something other than an update has written it."""
        return not torch.equal(self.weight.detach(), self.known)

    def check_known(self) -> None:
        """Refuse to go on with weights that are not those of the cells, naming the layer and the remedy."""
        if self.array_weights.unsure:
            raise RefusedError(f"layer {self.layer!r}: {self.array_weights.unsure}")
        if self.changed:
            raise RefusedError(
                f"layer {self.layer!r} has weights that are not on the array: something other than an update changed "
                "them (load_state_dict, a plain torch optimiser, a hand); write() of what convert returned puts them "
                "onto the cells, read() takes what the cells hold; in a loop of your own ArrayOptimizer makes the steps"
            )

    def check_input(self, x: Tensor) -> None:
        """Refuse what is not [..., inputs] of float32."""
        if not isinstance(x, Tensor):
            raise RefusedError(
                f"layer {self.layer!r} takes a torch tensor, not a {type(x).__name__}: give it torch.from_numpy(x)"
            )
        if x.dtype != torch.float32:
            raise RefusedError(f"layer {self.layer!r} takes float32, not {str(x.dtype).removeprefix('torch.')}")
        if x.ndim < 1 or x.shape[-1] != self.inputs:
            raise RefusedError(
                f"layer {self.layer!r} takes [..., {self.inputs}] inputs, not {list(x.shape)}: its cells are for "
                f"{self.inputs} inputs{' and a bias' if self.has_bias else ''} by {self.outputs} outputs"
            )

    def multiplied(self, inputs: Float32Array) -> tuple[Float32Array, Float32Array | None]:
        """Return what comes out of ``inputs`` [n, inputs]: [n, outputs], and its slope over the product if not 1."""
        return self.array_weights.multiply(self.layer, inputs, self.scale), None

    def back(self, error: Float32Array) -> Float32Array:
        """Return [n, inputs]: errors [n, outputs] sent through the array in reverse."""
        return self.array_weights.multiply_back(self.layer, error)

    def note(self, inputs: Float32Array, error: Float32Array) -> None:
        """Keep what an update by outer products needs."""
        if self.recording:
            self.samples.append((inputs, error))

    def errors_back(
        self, inputs: Float32Array, error: Float32Array, weight: Tensor, *, x: bool, learns: bool
    ) -> tuple[Tensor | None, Tensor | None, None]:
        """Return the gradients of inputs, where ``x`` has one, and of weights, of a product of [n, inputs].

        Parameters
        ----------
        inputs : what was multiplied, a bias among it
        error : [n, outputs], of what came out
        """
        if learns:
            self.note(inputs, error)
        grad_x = None
        if x:
            whole = self.back(error) if self.reverse else error @ weight.detach().numpy().T
            back = whole[:, : self.inputs]
            if self.scale == "fixed":  # an input that was cut does not matter any more
                back *= np.abs(inputs[:, : self.inputs]) < self.array_weights.largest_input
            grad_x = torch.from_numpy(np.ascontiguousarray(back))
        return grad_x, torch.from_numpy(inputs.T @ error) if learns else None, None

    def __getstate__(self) -> dict[str, Any]:
        raise RefusedError("a model on an array cannot be copied or pickled: the array is there only once")

    def extra_repr(self) -> str:
        """Return what ``print(model)`` shows."""
        return f"{self.layer!r}, {self.inputs} → {self.outputs}, bias={self.has_bias}"


def _as_last_read(layer: nn.Module, _: object) -> None:
    """Look, before every forward, whether a layer's weights are those that were last read."""
    assert isinstance(layer, ArrayLayer)
    layer.check_known()


class _Product(torch.autograd.Function):
    """``x @ weight`` by the array; backward by the host."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, weight: Tensor, layer: ArrayLayer) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs = x.detach().numpy()
        if layer.has_bias:
            inputs = np.concatenate([inputs, np.ones((len(inputs), 1), np.float32)], axis=1)
        ctx.layer, ctx.inputs = layer, inputs  # pyright: ignore[reportAttributeAccessIssue]
        ctx.save_for_backward(weight)
        out, ctx.slope = layer.multiplied(inputs)  # pyright: ignore[reportAttributeAccessIssue]
        return torch.from_numpy(out)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        layer: ArrayLayer = ctx.layer
        inputs: Float32Array = ctx.inputs
        (weight,) = ctx.saved_tensors
        given = grad_outputs[0].numpy()
        error = np.ascontiguousarray(given if ctx.slope is None else given * ctx.slope)
        return layer.errors_back(inputs, error, weight, x=ctx.needs_input_grad[0], learns=ctx.needs_input_grad[1])


class ArrayLinear(ArrayLayer):
    """``nn.Linear`` on an array."""

    @property
    def in_features(self) -> int:
        """Inputs without the bias, as ``nn.Linear`` calls them."""
        return self.inputs

    @property
    def out_features(self) -> int:
        """Outputs, as ``nn.Linear`` calls them."""
        return self.outputs

    def forward(self, x: Tensor) -> Tensor:
        """Return [..., outputs] of ``x`` [..., inputs]."""
        self.check_input(x)
        flat = x.reshape(-1, self.inputs)
        out: Tensor = _Product.apply(flat, self.weight, self)  # pyright: ignore[reportAssignmentType]
        return out.reshape(*x.shape[:-1], self.outputs)


class ArrayConv2d(ArrayLayer):
    """``nn.Conv2d`` on an array: all patches of a batch are one batch of vectors.

    Parameters
    ----------
    kernel, stride, padding, dilation : (rows, cols)
        Padding is (top, bottom, left, right).
    """

    def __init__(
        self,
        weights: ArrayWeights,
        layer: str,
        *,
        bias: bool,
        kernel: tuple[int, int],
        stride: tuple[int, int] = (1, 1),
        padding: tuple[int, int, int, int] = (0, 0, 0, 0),
        dilation: tuple[int, int] = (1, 1),
        scale: InputScale = "fixed",
    ) -> None:
        super().__init__(weights, layer, bias=bias, scale=scale)
        self.kernel, self.stride, self.padding, self.dilation = kernel, stride, padding, dilation
        self.channels = self.inputs // (kernel[0] * kernel[1])

    def forward(self, x: Tensor) -> Tensor:
        """Return [batch, outputs, rows, cols] of ``x`` [batch, channels, rows, cols]."""
        if x.ndim != 4 or x.shape[1] != self.channels:
            raise RefusedError(
                f"layer {self.layer!r} takes [batch, {self.channels}, rows, cols] images, not {list(x.shape)}"
            )
        top, bottom, left, right = self.padding
        padded = functional.pad(x, (left, right, top, bottom)) if any(self.padding) else x
        patches = functional.unfold(padded, self.kernel, dilation=self.dilation, stride=self.stride)
        rows, cols = (
            (padded.shape[2 + n] - self.dilation[n] * (self.kernel[n] - 1) - 1) // self.stride[n] + 1 for n in (0, 1)
        )
        flat = patches.transpose(1, 2).reshape(-1, self.inputs)
        self.check_input(flat)
        out: Tensor = _Product.apply(flat, self.weight, self)  # pyright: ignore[reportAssignmentType]
        return out.reshape(len(x), rows * cols, self.outputs).transpose(1, 2).reshape(len(x), self.outputs, rows, cols)


class ArrayConvGates(ArrayLayer):
    """All gates of a convolutional LSTM on an array: patches of the frame and of the state beside each other.

    One product of [frame patch, state patch] per position and step. The frame's kernel is not padded, the state's
    keeps the size, with the line it lacks below and to the right.

    Parameters
    ----------
    input_kernel, state_kernel : size of the square kernels
    channels : of the state; a quarter of the layer's outputs
    """

    def __init__(
        self, weights: ArrayWeights, layer: str, *, input_kernel: int, state_kernel: int, channels: int
    ) -> None:
        super().__init__(weights, layer, bias=False)
        self.kernels, self.channels = (input_kernel, state_kernel), channels
        inputs = input_kernel**2 + channels * state_kernel**2
        if (self.inputs, self.outputs) != (inputs, 4 * channels):
            raise RefusedError(
                f"layer {layer!r} has {self.inputs} inputs and {self.outputs} outputs: these gates need {inputs} and "
                f"{4 * channels}"
            )

    def forward(self, frame: Tensor, state: Tensor) -> Tensor:
        """Return [batch, 4·channels, rows, cols] of a frame and a state of the same rows and columns."""
        of_input, of_state = self.kernels
        more = of_state - 1
        padded = functional.pad(state, (more // 2, more - more // 2, more // 2, more - more // 2))
        patches = torch.cat([functional.unfold(frame, of_input), functional.unfold(padded, of_state)], 1)
        flat = patches.transpose(1, 2).reshape(-1, self.inputs)
        self.check_input(flat)
        out: Tensor = _Product.apply(flat, self.weight, self)  # pyright: ignore[reportAssignmentType]
        return out.reshape(len(frame), -1, self.outputs).transpose(1, 2).reshape(-1, self.outputs, *state.shape[2:])


class _Unrolled(torch.autograd.Function):
    """An LSTM over all its steps, one product per step, as one node of the graph."""

    @staticmethod
    def forward(ctx: FunctionCtx, x: Tensor, h0: Tensor, c0: Tensor, weight: Tensor, layer: ArrayLayer) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        weights, name, fixed = layer.array_weights, layer.layer, layer.scale == "fixed"
        given = x.detach().numpy()

        def product(inputs: Float32Array) -> Float32Array:
            return weights.multiply_checked(name, inputs) if fixed else weights.multiply(name, inputs, layer.scale)

        run = LstmPass(
            weights.bounded(name, given) if fixed else given,
            h0.detach().numpy(),
            c0.detach().numpy(),
            product,
            bias=layer.has_bias,
        )
        ctx.run, ctx.layer = run, layer  # pyright: ignore[reportAttributeAccessIssue]
        ctx.save_for_backward(weight)
        return torch.from_numpy(run.hidden), torch.from_numpy(run.cell[-1].copy())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        layer: ArrayLayer = ctx.layer
        run: LstmPass = ctx.run
        weight = ctx.saved_tensors[0].detach().numpy()
        through = layer.back if layer.reverse else None
        cut = layer.array_weights.largest_input if layer.scale == "fixed" else np.inf
        back = run.backward(grad_outputs[0].numpy(), grad_outputs[1].numpy(), weight, cut, through)
        learns: bool = ctx.needs_input_grad[3]
        if learns:
            layer.note(run.inputs.reshape(-1, run.inputs.shape[-1]), back.error.reshape(-1, back.error.shape[-1]))
        grad_x = torch.from_numpy(back.x) if ctx.needs_input_grad[0] else None
        grad_weight = torch.from_numpy(back.weight) if learns else None
        return grad_x, torch.from_numpy(back.h0), torch.from_numpy(back.c0), grad_weight, None


def unrolled_lstm(layer: ArrayLayer, x: Tensor, h0: Tensor, c0: Tensor) -> tuple[Tensor, Tensor]:
    """Return hidden states [steps, batch, hidden] and the last cells [batch, hidden] of an LSTM's steps, compiled.

    ``layer`` multiplies [x, h(, 1)] into the gates i, f, g, o.
    """
    layer.check_known()
    out, cell = _Unrolled.apply(x, h0, c0, layer.weight, layer)  # pyright: ignore[reportGeneralTypeIssues]
    return out, cell


def array_layers(model: nn.Module) -> list[ArrayLayer]:
    """Return all layers of a model that are on an array."""
    return [module for module in model.modules() if isinstance(module, ArrayLayer)]


def layers_of(weights: ArrayWeights) -> list[ArrayLayer]:
    """Return all layers that multiply with ``weights``, of whatever model."""
    return [module for module in weights.modules if isinstance(module, ArrayLayer)]


def refresh_layers(layers: Sequence[ArrayLayer]) -> None:
    """Take all weights from the last read."""
    for layer in layers:
        layer.refresh()
