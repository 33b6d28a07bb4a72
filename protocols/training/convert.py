"""Put a model of the user's own on an array: its Linear, Conv2d and LSTM layers become array layers in place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ...common.errors import RefusedError
from ...instruments.capabilities import CrossbarArray
from .layers.array_layers import ArrayLayer, array_layers, refresh_layers
from .layers.array_weights import ArrayWeights
from .layers.from_torch import put_in_place, take
from .layers.weight_mapping import LayerRequest, Pairs, plan_floor
from .rules.update_rules import TwoPulse


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
    found = take(model)
    wanted = {name: matrix for layer in found for name, matrix in layer.matrices.items()}
    more = layers or {}
    for name in more:
        if name not in wanted:
            raise RefusedError(f"there is no layer {name!r} to place: the layers are {', '.join(wanted)}")
    requests = [
        LayerRequest(name, *matrix.shape, **{"pairs": pairs, **more.get(name, {})}) for name, matrix in wanted.items()
    ]
    rule = rule if rule is not None else TwoPulse()
    rule.check(array.spec)
    spec = array.spec
    weights = ArrayWeights(array, plan_floor(spec.rows, spec.cols, requests, parts=spec.parts), siemens=siemens)
    made = {layer.module: layer.build(weights) for layer in found}
    rule.program(weights, wanted)
    weights.read()
    model = put_in_place(model, made)
    refresh_layers(array_layers(model))
    return weights


__all__ = ["ArrayLayer", "convert"]
