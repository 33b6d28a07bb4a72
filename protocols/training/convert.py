"""Put a model of the user's own on an array: the layers it can hold become array layers, the rest stays on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal, TypeVar, cast
from weakref import WeakSet

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import CrossbarArray, FloatArray
from ...instruments.errors import UnsupportedError
from .convert_report import ConversionReport, on_host, placed
from .formed import CONDUCTS, refuse_unformed
from .layers.array_layers import layers_of
from .layers.array_weights import ArrayWeights, Float32Array, InputScale, ReadBack
from .layers.from_torch import Taken, put_in_place, take
from .layers.weight_mapping import FloorPlan, LayerRequest, Pairs, good_lines, in_copies, plan_floor
from .models_on_chip import note_model
from .rules.answers import measure_answer, require_answer
from .rules.update_rules import TwoPulse, UpdateRule

__all__ = ["Converted", "convert", "writer_of"]

Lines = tuple[Sequence[int], Sequence[int]]
T = TypeVar("T")
Example = Tensor | tuple[Any, ...]

# Ours: what of a rule's range the weights take at first, where it does not say (``room``), the rest is for them to grow
# into; the share of bad cells a line may have; the most copies that are tried, and into how many pieces the height of a
# board is cut to find room for them.
_ROOM, _BAD_SHARE, _MOST_COPIES, _MOST_PIECES = 0.75, 0.05, 8, 6


HALF_WRITTEN = (
    "writing was ended in the middle, so cells hold a part of it: look_again() of the ArrayOptimizer, or read() of "
    "what convert returned, reads what they hold"
)


@dataclass(frozen=True)
class Converted:
    """A model on an array.

    Attributes
    ----------
    model : what to call: the model that was converted, or what took its place when it was a layer itself
    weights : the array as its layers use it
    rule : how changes become pulses; attached to the weights
    report : what is where, and what was cut; ``print`` it
    """

    model: nn.Module
    weights: ArrayWeights
    rule: UpdateRule
    report: ConversionReport

    def write(self) -> None:
        """Write what the layers' ``weight`` says onto the cells, where something changed it, and read all back.

        After ``load_state_dict``, or a hand: layers that are as last read are left alone.
        """
        wanted = {
            layer.layer: layer.weight.detach().numpy().copy() for layer in layers_of(self.weights) if layer.changed
        }
        if wanted:
            self.weights.unsure = HALF_WRITTEN
            writer_of(self.rule, self.weights.array.spec).program(self.weights, wanted)
        self.read()
        self.rule.adopt(self.weights)

    def read(self, average: int = 4) -> None:
        """Take what the cells hold for the weights, whatever was in ``weight``."""
        self.weights.read(average)
        self.weights.unsure = ""

    def __str__(self) -> str:
        """Return the report."""
        return str(self.report)


def convert(
    model: nn.Module,
    array: CrossbarArray,
    *,
    rule: UpdateRule | None = None,
    program: Literal["write", "read"] | None = "write",
    read_back: ReadBack = "cells",
    good_lines: NDArray[np.bool_] | Lines | None = None,
    input_scale: InputScale = "vector",
    range: Example | Mapping[str, float] | float | None = None,
    scale: Literal["layer", "column"] | None = "layer",
    siemens: float = 100e-6,
    pairs: Pairs = "interleaved",
    copies: int | Literal["fit"] = 1,
    layers: Mapping[str, Mapping[str, Any]] | None = None,
    measure: bool = False,
) -> Converted:
    """Put the layers of ``model`` that an array can hold onto ``array``.

    Layers are taken by exact type. A module under two names stays one, and so do layers that share all their
    parameters; a frozen layer stays frozen. Activations, pooling, normalisation and the gradients are the host's.

    Parameters
    ----------
    rule : how changes become pulses, and what writes the weights; two-pulse with its published numbers by default
    program : "write": the model's weights onto the cells. "read": take what the cells hold, as when a training goes on.
        None: touch nothing; the layers refuse to work until something was read (``ArrayOptimizer.start`` or ``read``).
    read_back : how weights are read, as in ``ArrayWeights``
    good_lines : healthy cells [rows, cols], or (rows, columns) to use; by default all but the lines with more than 5 %
        of cells that the chip file calls bad
    input_scale : "fixed": inputs beyond what the drivers give are cut. "vector": every input vector is scaled to what
        they give
    range : for the converters: an example of inputs, which the model is run with once, in ``eval``, and each layer
        then held to the range it takes; or a range [A], of all or by layer. Held means: what goes beyond
        is sent again at the next range, and counted in ``weights.ranges()``. By default chosen from the weights, and
        raised for good where it was too small
    scale : the conductance of a weight of 1 is made smaller where weights would be cut, for a layer as a whole or for
        each of its columns; None: ``siemens`` for all, and what goes beyond is cut (the report says how many)
    siemens : conductance of a weight of 1 at most [S]
    pairs : as in the floor plan
    copies : of every weight, averaged; "fit": as many as find room, up to 8
    layers : more about single layers: name -> arguments of ``LayerRequest`` (``copies_down``, ``row``, ``col`` …)
    measure : measure how the chip answers the pulses of a rule by small steps, on a few cells that hold no weight where
        there are any, when its account does not have it; otherwise the report says what that would take

    Raises
    ------
    RefusedError
        For layers that cannot be taken over or find no room, parameters shared with the host, a chip that is not
        formed, a rule that needs steps which this chip is known not to give: the model is left as it was.
    """
    found = take(model, scale=input_scale)
    wanted = {name: matrix for one in found for name, matrix in one.matrices.items()}
    rule = rule if rule is not None else TwoPulse()
    rule.check(array.spec)
    writer = writer_of(rule, array.spec) if program == "write" else None
    floor = _floor(array.spec, wanted, pairs, copies, layers or {}, good_lines, rule)
    answer = (measure_answer if measure else require_answer)(array, rule, floor.used)
    span = float(cast("Any", getattr(writer or rule, "span", lambda: np.inf))())
    room = float(cast("Any", getattr(writer or rule, "room", _ROOM)))
    scales = {n: _scale(matrix, siemens, room * span, scale) for n, matrix in wanted.items()}
    weights = ArrayWeights(
        array, floor, siemens=_of_all(floor, scales),
        read_back=read_back, largest_sum=_of_all(floor, {n: _largest_sum(matrix) for n, matrix in wanted.items()}),
    )  # fmt: skip
    made, over = {one.module: one.build(weights) for one in found}, ""
    if writer is not None:
        refuse_unformed(weights, writer)
        _take_over(weights)
        over = note_model(array, floor)
        writer.program(weights, wanted)
    rule.attach(weights)
    if program is None:
        weights.unsure = "nothing was read from the array yet: start() or look_again() of an ArrayOptimizer reads it"
    else:
        weights.read(4)
        _refuse_empty(weights)
        if writer is not rule:
            rule.adopt(weights)
    whole = put_in_place(model, made)
    of = _told(whole, found, made)
    try:
        _choose_ranges(whole, weights, range)
    except BaseException:
        put_in_place(model, {new: old for old, new in made.items()})
        raise
    done = {"write": "written and read back", "read": "read, not written", None: "neither written nor read"}[program]
    cells = f"{floor.weights} weights on {floor.cells} cells, {done}:"
    told = placed(weights, wanted, of, span, written=writer is not None)
    report = ConversionReport(told, on_host(whole, made.values()), floor, cells, answer, over)
    return Converted(whole, weights, rule, report)


def writer_of(rule: UpdateRule, spec: ArraySpec) -> Any:
    """Return what writes given weights: the rule, or the two-pulse rule where the array has its gates."""
    if hasattr(rule, "program"):
        return rule
    other = TwoPulse()
    try:
        other.check(spec)
    except UnsupportedError as error:
        raise RefusedError(
            f"rule {type(rule).__name__} cannot write given weights, and without gates the two-pulse rule cannot "
            "either: program='read' takes the cells as they are, mixed_precision writes by equal pulses"
        ) from error
    return other


def _floor(
    spec: ArraySpec, wanted: Mapping[str, Float32Array], pairs: Pairs, copies: int | Literal["fit"],
    more: Mapping[str, Mapping[str, Any]], lines: NDArray[np.bool_] | Lines | None, rule: UpdateRule,
) -> FloorPlan:  # fmt: skip
    for name in more:
        if name not in wanted:
            raise RefusedError(f"there is no layer {name!r} to place: the layers are {', '.join(wanted)}")
    requests = [
        LayerRequest(name, *matrix.shape, **{"pairs": pairs, **more.get(name, {})}) for name, matrix in wanted.items()
    ]
    requests = cast("Any", getattr(rule, "with_layers", list))(requests)
    healthy = spec.healthy_mask(spec.whole) if lines is None else lines
    if isinstance(healthy, np.ndarray):
        if healthy.shape != (spec.rows, spec.cols):
            raise RefusedError(f"good_lines is {healthy.shape}, the array has {spec.rows} × {spec.cols} cells")
        rows, cols = (None, None) if healthy.all() else good_lines(healthy, bad_share=_BAD_SHARE, parts=spec.parts)
    else:
        rows, cols = healthy
    place = partial(plan_floor, spec.rows, spec.cols, good_rows=rows, good_cols=cols, parts=spec.parts)
    height = max((part.nrows for part in spec.parts), default=spec.rows) if rows is None else len(rows)
    if copies != "fit":
        return place([in_copies(one, copies, height) for one in requests])
    room = spec.rows * spec.cols if rows is None or cols is None else len(rows) * len(cols)
    cells = sum(2 * one.inputs * one.outputs * one.copies_down * one.copies_across for one in requests)
    for number in range(min(_MOST_COPIES, room // cells), 1, -1):
        found = _in_pieces(place, requests, number, height)
        if found is not None:
            return found
    return place(requests)


def _in_pieces(
    place: Callable[[Sequence[LayerRequest]], FloorPlan], requests: Sequence[LayerRequest], copies: int, height: int
) -> FloorPlan | None:
    """Find room for so many copies by cutting layers into pieces, which fill what is left; None where there is none.

    First all are cut alike, then one after the other as little as still finds room: a piece is a product more.
    """
    best: FloorPlan | None = None
    ways = [[parts] * len(requests) for parts in range(1, _MOST_PIECES + 1)]
    chosen = ways[0]

    def attempt(way: Sequence[int]) -> None:
        nonlocal best, chosen
        tall = [-(-height // parts) for parts in way]
        cut = [
            replace(one, rows_max=one.rows_max or (most if parts > 1 else None))
            for one, most, parts in zip(requests, tall, way, strict=True)
        ]
        with suppress(RefusedError):
            plan = place([in_copies(one, copies, most) for one, most in zip(cut, tall, strict=True)])
            if best is None or _products(plan) < _products(best):
                best, chosen = plan, list(way)

    for way in ways:
        attempt(way)
    if best is not None:
        for at in range(len(requests)):
            for parts in range(1, _MOST_PIECES + 1):
                attempt([*chosen[:at], parts, *chosen[at + 1 :]])
    return best


def _products(plan: FloorPlan) -> int:
    """Return how many products one pass through all layers takes."""
    return sum(len(plan.passes(one.name)) for one in plan.requests)


def _scale(matrix: Float32Array, siemens: float, most: float, how: str | None) -> FloatArray:
    """Return the conductance of a weight of 1 that keeps the weights within ``most`` [S]."""
    if how is None:
        return np.asarray(siemens)
    largest = np.abs(matrix).max(0 if how == "column" else None)
    return np.minimum(siemens, most / np.maximum(largest, 1e-30)).astype(np.float64)


def _of_all(floor: FloorPlan, values: Mapping[str, T]) -> dict[str, T]:
    """Return ``values`` of all layers of a floor plan: what a rule keeps beside a layer has the layer's."""
    return {one.name: values[one.name if one.name in values else one.name.rsplit(".", 1)[0]] for one in floor.requests}


def _largest_sum(matrix: Float32Array) -> float:
    """Return what a product comes to at most, or, of many inputs that do not add up, four times what is usual."""
    sizes = np.abs(matrix.astype(np.float64))
    return float(np.minimum(sizes.sum(0), 4.0 * np.sqrt((sizes**2).sum(0))).max())


def _told(
    whole: nn.Module, found: Sequence[Taken], made: Mapping[nn.Module, nn.Module]
) -> dict[str, tuple[tuple[str, ...], str, bool]]:
    """Return names in the model, type and whether frozen of every layer of the floor plan."""
    names: dict[nn.Module, list[str]] = {}
    for name, module in whole.named_modules(remove_duplicate=False):
        names.setdefault(module, []).append(name)
    return {
        layer: (tuple(names[made[one.module]]), type(one.module).__name__, _is_frozen(one.module))
        for one in found
        if made[one.module] in names
        for layer in one.matrices
    }


def _is_frozen(module: nn.Module) -> bool:
    return not any(value.requires_grad for value in module.parameters())


_LIVE: WeakSet[ArrayWeights] = WeakSet()


def _take_over(weights: ArrayWeights) -> None:
    """Let models whose cells are about to be written for another one refuse to go on."""
    for other in _LIVE:
        if other.array is weights.array and (other.used & weights.used).any():
            other.unsure = "convert has written another model over its cells: convert this one again, elsewhere"
    _LIVE.add(weights)


def _refuse_empty(weights: ArrayWeights) -> None:
    """Refuse cells of which nearly none conducts: they hold no weights."""
    seen = weights.conductance[weights.used]
    if (seen < CONDUCTS).mean() > 0.95:
        raise RefusedError(
            f"{int((seen < CONDUCTS).sum())} of {seen.size} cells do not conduct: there are no weights on this chip; "
            "form it first (step forming), or let program='write' write the model's"
        )


def _choose_ranges(model: nn.Module, weights: ArrayWeights, given: Any) -> None:
    if given is None:
        return
    if isinstance(given, int | float):
        weights.pin_ranges({request.name: float(given) for request in weights.plan.requests})
    elif isinstance(given, Mapping):
        weights.pin_ranges({name: float(value) for name, value in cast("Mapping[str, float]", given).items()})
    else:
        training = {module: module.training for module in model.modules()}
        model.eval()
        try:
            with torch.no_grad(), weights.choosing_ranges():
                model(*(cast("tuple[Any, ...]", given) if isinstance(given, tuple) else (given,)))
        finally:
            for module, mode in training.items():
                module.training = mode
