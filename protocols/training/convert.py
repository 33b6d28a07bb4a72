"""Put a model of the user's own on an array: its Linear, Conv2d and LSTM layers become array layers in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...common.errors import RefusedError
from ...instruments.capabilities import CrossbarArray
from .layers.array_layers import ArrayConv2d, ArrayLayer, ArrayLinear, ArrayLSTM, array_layers, refresh_layers
from .layers.array_weights import ArrayWeights, Float32Array
from .layers.weight_mapping import LayerRequest, Pairs, plan_floor
from .rules.update_rules import TwoPulse


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


def convert(
    model: nn.Module,
    array: CrossbarArray,
    *,
    pairs: Pairs = "interleaved",
    siemens: float = 100e-6,
    rule: TwoPulse | None = None,
    layers: Mapping[str, Mapping[str, Any]] | None = None,
) -> ArrayWeights:
    """Replace all Linear, Conv2d and LSTM layers of ``model`` by layers on ``array``, and write their weights.

    What the network is stays as it was: activations, pooling and normalisation run on the host.

    Parameters
    ----------
    pairs, siemens : as in the floor plan; the conductance of a weight of 1 [S]
    rule : writes the weights, and keeps the gate voltages for training; two-pulse with its published numbers by default
    layers : more about single layers: name -> arguments of ``LayerRequest`` (``copies_down``, ``row``, ``col`` …)

    Returns
    -------
    ArrayWeights
        The array as the model's layers use it; hand it to ``ArrayTrainer`` together with ``rule``.

    Raises
    ------
    RefusedError
        For layers that cannot be taken over or find no room; the model is left as it was and nothing was written.
    """
    found = {name: module for name, module in model.named_modules() if isinstance(module, _KINDS)}
    if not found:
        raise RefusedError("this model has no Linear, Conv2d or LSTM layer to put on an array")
    wanted = {name: _matrix(name, module) for name, module in found.items()}
    more = layers or {}
    for name in more:
        if name not in found:
            raise RefusedError(f"there is no layer {name!r} to place: the layers are {', '.join(found)}")
    requests = [
        LayerRequest(name, *matrix.shape, **{"pairs": pairs, **more.get(name, {})}) for name, matrix in wanted.items()
    ]
    rule = rule if rule is not None else TwoPulse()
    rule.check(array.spec)
    spec = array.spec
    weights = ArrayWeights(array, plan_floor(spec.rows, spec.cols, requests, parts=spec.parts), siemens=siemens)
    made = {name: _layer(name, module, weights) for name, module in found.items()}
    rule.program(weights, wanted)
    weights.read()
    for name, module in made.items():
        parent, _, child = name.rpartition(".")
        setattr(model.get_submodule(parent), child, module)
    refresh_layers(array_layers(model))
    return weights


_KINDS = (nn.Linear, nn.Conv2d, nn.LSTM)


def _matrix(name: str, module: nn.Module) -> Float32Array:
    """Return a layer's weights as [inputs, outputs], the bias as last input."""
    parts: list[Tensor]
    if isinstance(module, nn.Linear | nn.Conv2d):
        if isinstance(module, nn.Conv2d) and (module.groups != 1 or module.padding_mode != "zeros"):
            raise RefusedError(
                f"layer {name!r} has {module.groups} groups and padding {module.padding_mode!r}: convert takes Conv2d "
                "with one group and zeros around"
            )
        parts = [module.weight.reshape(len(module.weight), -1).T]
        if module.bias is not None:
            parts.append(module.bias[None])
    else:
        assert isinstance(module, nn.LSTM)
        if module.num_layers != 1 or module.bidirectional or module.proj_size:
            raise RefusedError(
                f"layer {name!r} has {module.num_layers} layers, bidirectional {module.bidirectional}, projection "
                f"{module.proj_size}: convert takes LSTMs of one layer in one direction; use several nn.LSTM instead"
            )
        held = dict(module.named_parameters())
        parts = [held["weight_ih_l0"].T, held["weight_hh_l0"].T]
        if module.bias:
            parts.append((held["bias_ih_l0"] + held["bias_hh_l0"])[None])
    return np.ascontiguousarray(torch.cat(parts).detach().numpy(), dtype=np.float32)


def _layer(name: str, module: nn.Module, weights: ArrayWeights) -> nn.Module:
    if isinstance(module, nn.Linear):
        return ArrayLinear(weights, name, bias="bias" in dict(module.named_parameters()))
    if isinstance(module, nn.Conv2d):
        kernel, stride, dilation = (_pair(v) for v in (module.kernel_size, module.stride, module.dilation))
        if isinstance(module.padding, str):
            spans = [d * (k - 1) for k, d in zip(kernel, dilation, strict=True)] if module.padding == "same" else [0, 0]
            edges = (spans[0] // 2, spans[0] - spans[0] // 2, spans[1] // 2, spans[1] - spans[1] // 2)
        else:
            rows, cols = _pair(module.padding)
            edges = (rows, rows, cols, cols)
        return ArrayConv2d(
            weights, name, bias=module.bias is not None, kernel=kernel, stride=stride, dilation=dilation, padding=edges
        )
    assert isinstance(module, nn.LSTM)
    lstm = ArrayLSTM(weights, name, features=module.input_size, bias=bool(module.bias))
    return TorchLikeLSTM(lstm, batch_first=module.batch_first)


def _pair(value: Any) -> tuple[int, int]:
    return (int(value[0]), int(value[1])) if isinstance(value, tuple) else (int(value), int(value))


__all__ = ["ArrayLayer", "TorchLikeLSTM", "convert"]
