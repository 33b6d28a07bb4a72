"""What of a torch model can stand on an array: its layers by exact type, their weights as matrices, what replaces them.

A subclass may compute something else in its ``forward``, so it is refused by name and never taken for its parent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ....common.errors import RefusedError
from .array_layers import ArrayConv2d, ArrayLinear, ArrayLSTM
from .array_weights import ArrayWeights, Float32Array


@dataclass(frozen=True)
class Taken:
    """A layer of a model that goes onto an array.

    Attributes
    ----------
    name : in the model; "" when the model is the layer. A module under several names has its first
    module : as it was
    matrices : layer of the floor plan -> its weights [inputs, outputs], a bias as last input
    build : makes of the array what takes the module's place
    """

    name: str
    module: nn.Module
    matrices: dict[str, Float32Array]
    build: Callable[[ArrayWeights], nn.Module]


class TorchLikeLSTM(nn.Module):
    """An ``ArrayLSTM`` that is called and answers like the ``nn.LSTM`` it stands for."""

    def __init__(self, lstm: ArrayLSTM, *, batch_first: bool) -> None:
        super().__init__()
        self.lstm, self.batch_first = lstm, batch_first

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return what ``nn.LSTM`` does: hidden states, and the last (h, c) with a first axis of one layer."""
        inputs = x.transpose(0, 1).contiguous() if self.batch_first else x
        out, (h, c) = self.lstm(inputs, None if state is None else (state[0][0], state[1][0]))
        return (out.transpose(0, 1) if self.batch_first else out), (h[None], c[None])


def take(model: nn.Module) -> list[Taken]:
    """Return all layers of ``model`` that can stand on an array, in its order; the model is left as it is.

    Raises
    ------
    RefusedError
        For a model without any, and for a layer that would compute something else on an array.
    """
    found: list[Taken] = []
    for name, module in model.named_modules():
        kind = type(module)
        if kind in KINDS:
            _refuse_changed(name, module)
            matrices, build = KINDS[kind](name or kind.__name__.lower(), module)
            found.append(Taken(name, module, matrices, build))
        else:
            parent = next((known for known in KINDS if isinstance(module, known)), None)
            if parent is not None:
                raise RefusedError(
                    f"layer {name!r} is a {kind.__name__}, a class made from {parent.__name__} that may compute "
                    f"something else: use nn.{parent.__name__} itself, with what it adds in a module around it"
                )
    if not found:
        raise RefusedError("this model has no Linear, Conv2d or LSTM layer to put on an array")
    return found


def put_in_place(model: nn.Module, made: Mapping[nn.Module, nn.Module]) -> nn.Module:
    """Replace modules of ``model`` under all of their names; return the model, which is another if it was a layer."""
    if model in made:
        return made[model]
    for name, module in list(model.named_modules(remove_duplicate=False)):
        if module in made:
            parent, _, child = name.rpartition(".")
            setattr(model.get_submodule(parent), child, made[module])
    return model


def _refuse_changed(name: str, module: nn.Module) -> None:
    """Refuse a layer that something was hung on: what replaces it would not have it."""
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    if any(getattr(module, kind) for kind in hooks):
        raise RefusedError(
            f"layer {name!r} has hooks, which pruning, weight_norm and spectral_norm hang on it: the array would not "
            "call them; remove them first"
        )
    if "forward" in vars(module):
        raise RefusedError(f"layer {name!r} has a forward of its own, which the array would not call: remove it first")


Found = tuple[dict[str, Float32Array], Callable[[ArrayWeights], nn.Module]]


def _linear(name: str, module: nn.Linear) -> Found:
    bias = _bias_of(module)
    parts = [module.weight.T] if bias is None else [module.weight.T, bias[None]]
    return {name: _matrix(parts)}, lambda weights: ArrayLinear(weights, name, bias=bias is not None)


def _conv2d(name: str, module: nn.Conv2d) -> Found:
    if module.groups != 1 or module.padding_mode != "zeros":
        raise RefusedError(
            f"layer {name!r} has {module.groups} groups and padding {module.padding_mode!r}: convert takes Conv2d "
            "with one group and zeros around"
        )
    kernel, stride, dilation = (_pair(v) for v in (module.kernel_size, module.stride, module.dilation))
    if isinstance(module.padding, str):
        spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)] if module.padding == "same" else [0, 0]
        edges = (spans[0] // 2, spans[0] - spans[0] // 2, spans[1] // 2, spans[1] - spans[1] // 2)
    else:
        rows, cols = _pair(module.padding)
        edges = (rows, rows, cols, cols)
    bias = _bias_of(module)
    flat = module.weight.reshape(len(module.weight), -1).T

    def build(weights: ArrayWeights) -> nn.Module:
        return ArrayConv2d(
            weights, name, bias=bias is not None, kernel=kernel, stride=stride, dilation=dilation, padding=edges
        )

    return {name: _matrix([flat] if bias is None else [flat, bias[None]])}, build


def _lstm(name: str, module: nn.LSTM) -> Found:
    if module.num_layers != 1 or module.bidirectional or module.proj_size:
        raise RefusedError(
            f"layer {name!r} has {module.num_layers} layers, bidirectional {module.bidirectional}, projection "
            f"{module.proj_size}: convert takes LSTMs of one layer in one direction; use several nn.LSTM instead"
        )
    held = dict(module.named_parameters())
    parts: list[Tensor] = [held["weight_ih_l0"].T, held["weight_hh_l0"].T]
    if module.bias:
        parts.append((held["bias_ih_l0"] + held["bias_hh_l0"])[None])

    def build(weights: ArrayWeights) -> nn.Module:
        lstm = ArrayLSTM(weights, name, features=module.input_size, bias=bool(module.bias))
        return TorchLikeLSTM(lstm, batch_first=module.batch_first)

    return {name: _matrix(parts)}, build


KINDS: Mapping[type[nn.Module], Callable[[str, Any], Found]] = {
    nn.Linear: _linear,
    nn.Conv2d: _conv2d,
    nn.LSTM: _lstm,
}


def _bias_of(module: nn.Module) -> Tensor | None:
    return dict(module.named_parameters()).get("bias")


def _matrix(parts: list[Tensor]) -> Float32Array:
    """Return weights [inputs, outputs] of parts one below the other."""
    return np.ascontiguousarray(torch.cat(parts).detach().numpy(), dtype=np.float32)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple) else (int(value), int(value))
