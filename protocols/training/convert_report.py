"""What ``convert`` did, in words and as a table: where every layer is, what was cut, and what stays on the host."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .layers.array_weights import Float32Array
from .layers.weight_mapping import FloorPlan

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import nn

    from .layers.array_weights import ArrayWeights


@dataclass(frozen=True, slots=True)
class OnArray:
    """One layer of the floor plan.

    Attributes
    ----------
    names : of the module in the model, all of them; kind : its type
    scale : (least, largest) conductance of a weight of 1, over columns [S]
    largest : largest |weight| that was wanted; limit : what its cells hold, by the rule's line
    clipped : weights beyond what their column holds
    error : root mean square of what was read less what was wanted, over that of what was wanted; NaN when nothing was
        written
    amps : range of the converters [A], NaN where the array chooses
    """

    layer: str
    names: tuple[str, ...]
    kind: str
    inputs: int
    outputs: int
    frozen: bool
    scale: tuple[float, float]
    largest: float
    limit: float
    clipped: int
    error: float
    amps: float


@dataclass(frozen=True, slots=True)
class OnHost:
    """A module, or parameters, that stay on the host."""

    name: str
    kind: str
    parameters: int


@dataclass(frozen=True)
class ConversionReport:
    """What is on the array and where, what stays on the host, what was cut.

    Attributes
    ----------
    floor : which cells are which weight
    written : what was done to the cells, in words
    answer : how the chip answers the rule's pulses, or what it would take to know
    over : what stood on these cells before, as far as the chip's account knows
    """

    layers: tuple[OnArray, ...]
    host: tuple[OnHost, ...]
    floor: FloorPlan
    written: str
    answer: str = ""
    over: str = ""

    @property
    def clipped(self) -> int:
        """Weights that the cells cannot hold."""
        return sum(one.clipped for one in self.layers)

    @property
    def frame(self) -> DataFrame:
        """One line per layer of the floor plan, and one per module that stays on the host."""
        from pandas import DataFrame

        on = [
            {
                "name": ", ".join(name or "(the model)" for name in one.names),
                "kind": one.kind,
                "on": "array",
                "layer": one.layer,
                "weights": one.inputs * one.outputs,
                "where": "; ".join(str(tile).split(" on ", 1)[1] for tile in self.floor.of(one.layer)),
                "frozen": one.frozen,
                "scale_least_S": one.scale[0],
                "scale_S": one.scale[1],
                "largest_weight": one.largest,
                "limit": one.limit,
                "clipped": one.clipped,
                "error": one.error,
                "range_A": one.amps,
            }
            for one in self.layers
        ]
        off = [{"name": o.name, "kind": o.kind, "on": "host", "weights": o.parameters} for o in self.host]
        return DataFrame([*on, *off])

    def __str__(self) -> str:
        """Return a line for every layer, one for the host, and the floor plan."""
        lines = [self.written]
        for one in self.layers:
            low, high = (1e6 * value for value in one.scale)
            scale = f"{high:.3g} µS" if low == high else f"{low:.3g} to {high:.3g} µS"
            said = f"  {one.layer}: {one.kind}, {one.inputs} × {one.outputs}, a weight of 1 is {scale}"
            if len(one.names) > 1:
                said += f", under the names {', '.join(one.names)}"
            if one.frozen:
                said += ", frozen"
            if np.isfinite(one.error):
                said += f", read {one.error:.1%} off"
            if np.isfinite(one.amps):
                said += f", range {1e3 * one.amps:g} mA"
            if one.clipped:
                said += (
                    f"; {one.clipped} of {one.inputs * one.outputs} weights are CLIPPED at ±{one.limit:.3g} "
                    f"(largest {one.largest:.3g}): scale='layer' or a smaller siemens would hold them"
                )
            lines.append(said)
        host = ", ".join(
            f"{o.name} ({o.kind}{f', {o.parameters} parameters' if o.parameters else ''})" for o in self.host
        )
        told = [said for said in (self.over, self.answer) if said]
        return "\n".join([*lines, f"on the host: {host or 'nothing'}", *told, str(self.floor)])


def on_host(model: nn.Module, made: Iterable[nn.Module]) -> tuple[OnHost, ...]:
    """Return what of a model stays on the host beside ``made``: modules without children, and parameters of others."""
    on_array = {id(part) for module in made for part in module.modules()}
    found: list[OnHost] = []
    for name, module in model.named_modules():
        own = sum(value.numel() for value in module.parameters(recurse=False))
        if id(module) not in on_array and (own or not any(True for _ in module.children())):
            found.append(OnHost(name, type(module).__name__, own))
    return tuple(found)


def error_of(weights: ArrayWeights, layer: str, wanted: Float32Array) -> float:
    """Return the root mean square error of the weights last read, over that of the wanted ones."""
    size = float(np.sqrt(np.mean(wanted.astype(np.float64) ** 2)))
    off = float(np.sqrt(np.mean((weights.weights(layer) - wanted).astype(np.float64) ** 2)))
    return off / size if size else off


def cut(weights: ArrayWeights, span: float, layer: str, wanted: Float32Array) -> tuple[float, int]:
    """Return the largest weight that every column of a layer holds, the least of them, and how many go beyond."""
    most = np.broadcast_to(span / weights.scale[layer], wanted.shape[1])
    return float(most.min()), int((np.abs(wanted) > most * (1.0 + 1e-6)).sum())


def placed(
    weights: ArrayWeights, wanted: Mapping[str, Float32Array], of: Mapping[str, tuple[tuple[str, ...], str, bool]],
    span: float, *, written: bool,
) -> tuple[OnArray, ...]:  # fmt: skip
    """Return what there is to say of every layer; ``of`` has names, type and whether frozen."""
    found: list[OnArray] = []
    for layer, matrix in wanted.items():
        limit, clipped = cut(weights, span, layer, matrix)
        scale, (names, kind, frozen) = weights.scale[layer], of[layer]
        found.append(
            OnArray(
                layer, names, kind, matrix.shape[0], matrix.shape[1], frozen, (float(scale.min()), float(scale.max())),
                float(np.abs(matrix).max()), limit, clipped if written else 0,
                error_of(weights, layer, matrix) if written else float("nan"),
                weights.ranges()[layer].full_scale,
            )
        )  # fmt: skip
    return tuple(found)
