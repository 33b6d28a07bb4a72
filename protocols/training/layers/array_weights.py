"""Weights that live on an array: multiplied by driving it, known as they were last read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ....instruments.abilities import Multiplies, MultipliesReversed
from ....instruments.capabilities import CrossbarArray, FloatArray
from .layer_range import LayerRange
from .passes import Float32Array, Pass, pass_of
from .weight_mapping import FloorPlan, IntArray, LayerRequest

InputScale = Literal["fixed", "vector"]
ReadBack = Literal["cells", "products"]
REVERSE_OTHERWISE = "backward by the host does without"


class TakesWeights(Protocol):
    """What multiplies with weights, and is told when they were read."""

    def refresh(self) -> None:
        """Take the weights from the last read."""
        ...


class ArrayWeights:
    """All layers of a floor plan on one array.

    Parameters
    ----------
    array : must support ``vmm``
    plan : where the weights are
    siemens : float [S], or mapping of layers to float or [outputs]
        Conductance difference of a weight of 1: for all layers, or for each layer, or each of its columns, its own.
    input_volts : float [V]
        Row voltage of an input of 1; the array's read voltage by default. Larger inputs go up to the limit
        ``vmm_volts_max`` and are cut there.
    read_back : "cells": weights are differences of the conductances read cell by cell. "products": each input is
        driven alone, and what comes out of all outputs are the weights. That is what the array multiplies with: in a
        product, currents also leave through the other rows and the lines' resistance, which a cell's own read does not
        see.
    largest_sum : float, or mapping of layers to float
        Largest output to expect, in weights times inputs: it chooses the range of the converters until data choose it
        (:meth:`choosing_ranges`). Where one overflows, the vectors are sent again at the next range.
    halvings : how often the inputs of a vector beyond the largest range are halved, and it is sent again (bound
        management, Gokmen, Rasch, Haensch 2018); what is still beyond saturates

    Attributes
    ----------
    products : layer -> vectors multiplied so far
    scale : layer -> conductance difference of a weight of 1 [S], of all outputs or [outputs]
    modules : the layers of models that multiply with these weights; a read sets theirs
    unsure : why what was last read is not what the cells hold; "" when it is
    """

    def __init__(
        self,
        array: CrossbarArray,
        plan: FloorPlan,
        *,
        siemens: float | Mapping[str, FloatArray | float] = 100e-6,
        input_volts: float | None = None,
        largest_sum: float | Mapping[str, float] = 20.0,
        read_back: ReadBack = "cells",
        halvings: int = 0,
    ) -> None:
        spec = array.spec
        spec.require(Multiplies)
        if (plan.rows, plan.cols) != (spec.rows, spec.cols):
            raise RefusedError(
                f"the floor plan is for {plan.rows} × {plan.cols} cells, the array has {spec.rows} × {spec.cols}"
            )
        if plan.parts != spec.parts:
            boards = f"{len(plan.parts) or 1} board(s), the array is {len(spec.parts) or 1}"
            raise RefusedError(f"the floor plan is for {boards}: plan_floor takes parts=array.spec.parts")
        self.array, self.plan = array, plan
        self.modules: list[TakesWeights] = []
        self.unsure = ""
        self._vmm = array.ability(Multiplies).vmm
        self._vmm_reversed = array.ability(MultipliesReversed).vmm_reversed if spec.can(MultipliesReversed) else None
        self.input_volts = spec.read_volts if input_volts is None else input_volts
        spec.limits.check("vmm_volts", self.input_volts, channel="training input")
        # A hair below the limit, which float32 could round a voltage over.
        self.largest_input = (1.0 - 1e-6) * spec.limits.vmm_volts_max / self.input_volts
        self.conductance: FloatArray = np.zeros((plan.rows, plan.cols))
        self._ranges = spec.vmm_ranges
        names = [request.name for request in plan.requests]
        self.rescale({name: siemens[name] if isinstance(siemens, Mapping) else siemens for name in names})
        self._range: dict[str, int] = {}
        for name, scale in self.scale.items():
            largest = largest_sum[name] if isinstance(largest_sum, Mapping) else largest_sum
            self._range[name] = self._range_for(largest * float(scale.max()) * self.input_volts)
        self._back_range = dict(self._range)
        self._alone_range = dict.fromkeys(names, 0)
        self._pinned: set[str] = set()
        self._largest: dict[tuple[str, bool], float] | None = None
        self._again, self._halved = Counter[str](), Counter[str]()
        self._saturated, self._cut = Counter[str](), Counter[str]()
        self._halvings = halvings
        self.products: Counter[str] = Counter()
        self.read_back: ReadBack = read_back
        self._measured: dict[str, Float32Array] = {}
        self.block, self.used = plan.block, plan.used

    def rescale(self, scale: Mapping[str, FloatArray | float]) -> None:
        """Let the cells mean other weights: ``scale`` is the conductance difference of a weight of 1, by layer."""
        self.scale: dict[str, FloatArray] = {}
        for name, value in scale.items():
            per, outputs = np.asarray(value, dtype=np.float64), self.plan.request(name).outputs
            if per.shape not in {(), (outputs,)} or not (np.isfinite(per).all() and (per > 0.0).all()):
                raise RefusedError(f"layer {name!r}: a weight of 1 needs one conductance above 0, or {outputs} of them")
            self.scale[name] = per
        self._passes = {request.name: self._prepare(request) for request in self.plan.requests}

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(self, average: int = 1) -> None:
        """Read all cells of the plan in one transaction: these are then the weights that host and layers know."""
        reading = self.array.read(self.block, average=average)
        self.conductance[self.block.slices] = reading.conductance
        if self.read_back == "products":
            self._measured = {request.name: self._measure(request, average) for request in self.plan.requests}
        for module in self.modules:
            module.refresh()

    def _measure(self, request: LayerRequest, average: int) -> Float32Array:
        """Return a layer's weights [inputs, outputs] by driving its inputs one by one, ``average`` times."""
        alone = np.tile(np.eye(request.inputs, dtype=np.float32), (average, 1))
        out = self._multiplied(request.name, alone, self._alone_range)
        return out.reshape(average, request.inputs, request.outputs).mean(0)

    def weights(self, layer: str) -> Float32Array:
        """Return a layer's weights [inputs, outputs] as last read, copies averaged."""
        if layer in self._measured:
            return self._measured[layer].copy()
        return (self.plan.differences(layer, self.conductance) / self.scale[layer]).astype(np.float32)

    def spread(self, changes: Mapping[str, NDArray[np.floating]], *, turn: int | None = None) -> FloatArray:
        """Return what changes of weights [inputs, outputs] mean for every cell of the block, as ±change.

        A pair's cells carry opposite signs; cells that are no weights, and layers not given, are 0.

        Parameters
        ----------
        turn : give the change to one copy of each layer alone, as many times larger; the copies take turns
        """
        whole = np.zeros(self.conductance.shape)
        for layer, change in changes.items():
            request = self.plan.request(layer)
            copies = request.copies_down * request.copies_across
            for tile in self.plan.of(layer):
                part = np.asarray(change, dtype=np.float64)[tile.inputs, tile.outputs]
                if turn is not None:
                    part = copies * part if tile.copy == turn % copies else 0.0 * part
                whole[tile.plus] = part
                whole[tile.minus] = -part
        return whole[self.block.slices]

    def moves(self, changes: Mapping[str, NDArray[np.floating]], *, turn: int | None = None) -> FloatArray:
        """Return what changes of weights mean for the difference of every cell's pair, as ±change [S]."""
        return self.spread({layer: change * self.scale[layer] for layer, change in changes.items()}, turn=turn)

    def cells_of(self, layers: Iterable[str]) -> NDArray[np.bool_]:
        """Return which cells of the block belong to ``layers``."""
        whole = np.zeros(self.conductance.shape, dtype=np.bool_)
        for layer in layers:
            for tile in self.plan.of(layer):
                whole[tile.plus] = whole[tile.minus] = True
        return whole[self.block.slices]

    def partner(self, values: FloatArray) -> FloatArray:
        """Return for every cell what ``values`` has for the other cell of its pair; 0 where there is none."""
        whole, turned = np.zeros(self.conductance.shape), np.zeros(self.conductance.shape)
        whole[self.block.slices] = values
        for tile in self.plan.tiles:
            turned[tile.plus], turned[tile.minus] = whole[tile.minus], whole[tile.plus]
        return turned[self.block.slices]

    # -- multiplying -------------------------------------------------------------------------------------------------

    def multiply(self, layer: str, inputs: Float32Array, scale: InputScale = "fixed") -> Float32Array:
        """Return [batch, outputs]: what the array makes of ``inputs`` [batch, inputs], in weights times inputs.

        Parameters
        ----------
        scale : "fixed": an input of 1 is ``input_volts``, larger ones are cut at the limit. "vector": every vector is
            scaled so that its largest input is ``input_volts``, and the result back.
        """
        if scale == "vector":
            factor = np.maximum(np.abs(inputs).max(1, keepdims=True), np.float32(1e-6))
            return self.multiply_checked(layer, self.bounded(layer, inputs / factor)) * factor
        return self.multiply_checked(layer, self.bounded(layer, inputs))

    def as_driven(self, layer: str, inputs: Float32Array) -> tuple[Float32Array, IntArray, FloatArray]:
        """Return the row voltages of ``inputs``, and for each output its column and the current of an output of 1 [A].

        For what converts a column's current by itself: a layer whose outputs are sums of several is refused.
        """
        one, request = self.lone_pass(layer), self.plan.request(layer)
        if one is None:
            raise RefusedError(
                f"layer {layer!r} has outputs that are sums of several columns or products, and a converter sees one "
                "current: pairs above each other, copies below each other, and a layer that fits in one piece"
            )
        (lines, gains), *_ = one.sums.terms
        self.products[layer] += len(inputs)
        columns = np.arange(self.plan.cols, dtype=np.intp)[lines]
        amps = 1.0 / np.broadcast_to(np.asarray(gains, dtype=np.float64), request.outputs)
        return self.bounded(layer, inputs) @ one.encode, columns, amps

    def bounded(self, layer: str, inputs: Float32Array) -> Float32Array:
        """Return inputs cut at ± ``largest_input``; refuse those that are not finite, naming the layer."""
        if not np.isfinite(inputs).all():
            raise RefusedError(
                f"layer {layer!r} was given inputs that are not finite: nothing was sent; lower the learning rate"
            )
        within = np.clip(inputs, -self.largest_input, self.largest_input)
        if not np.array_equal(within, inputs):
            self._cut[layer] += int((within != inputs).sum())
        return within

    def multiply_checked(self, layer: str, inputs: Float32Array) -> Float32Array:
        """Return what :meth:`multiply` does for inputs known to be within ± ``largest_input``."""
        return self._multiplied(layer, inputs, self._range)

    def _multiplied(self, layer: str, inputs: Float32Array, ranges: dict[str, int]) -> Float32Array:
        passes = self._passes[layer]
        batch = len(inputs)
        self.products[layer] += batch
        if not batch:
            return np.zeros((0, self.plan.request(layer).outputs), np.float32)
        if len(passes) == 1:
            return passes[0].sums.of(self._drive(layer, inputs @ passes[0].encode, ranges))
        current = self._drive(layer, np.concatenate([inputs @ one.encode for one in passes]), ranges)
        total = passes[0].sums.of(current[:batch])
        for n, one in enumerate(passes[1:], 1):
            total += one.sums.of(current[n * batch : (n + 1) * batch])
        return total

    def lone_pass(self, layer: str) -> Pass | None:
        """Return how a layer is driven where each of its outputs is one column of one product; else None."""
        passes = self._passes[layer]
        return passes[0] if len(passes) == 1 and len(passes[0].sums.terms) == 1 else None

    def multiply_back(self, layer: str, error: Float32Array) -> Float32Array:
        """Return [batch, inputs]: errors [batch, outputs] times the transposed weights, by driving the columns.

        Every vector is scaled so that its largest error is ``input_volts``, and the result back. Needs ``reverse``.
        """
        self.products[layer] += len(error)
        scale = self.scale[layer]
        one_weight = float(scale.max())
        if scale.ndim:
            error = error * (one_weight / scale).astype(np.float32)
        factor = np.maximum(np.abs(error).max(1, keepdims=True), np.float32(1e-30))
        unit = (error / factor) * np.float32(self.input_volts)
        request = self.plan.request(layer)
        passes = self._passes[layer]
        driven = np.concatenate([unit @ one.back for one in passes])
        current = self._drive(layer, driven, self._back_range, reverse=True)
        parts = np.split(current, len(passes))
        total = passes[0].back_sums.of(parts[0])
        for one, part in zip(passes[1:], parts[1:], strict=True):
            total += one.back_sums.of(part)
        per = request.copies_down * request.copies_across * one_weight * self.input_volts
        return total * (factor / np.float32(per))

    # -- converters --------------------------------------------------------------------------------------------------

    @contextmanager
    def choosing_ranges(self, *, spare: float = 1.25) -> Generator[None]:
        """Choose the converters' ranges from what is multiplied within, and pin them.

        Within, every product begins at the smallest range and goes up to the one that holds it. Afterwards every layer
        that was used has the smallest range that holds its largest current ``spare`` times, and keeps it: a vector that
        overflows later is sent again at a larger range, alone, and counted (:meth:`ranges`).
        """
        if self._largest is not None:
            raise RefusedError("ranges are being chosen already: choose them for all layers at once")
        self._largest = {}
        try:
            yield
            largest = self._largest
        finally:
            self._largest = None
        for (layer, reverse), current in largest.items():
            ranges = self._back_range if reverse else self._range
            ranges[layer] = self._range_for(spare * current)
            self._pinned.add(layer)

    def range_holding(self, amps: float) -> float | None:
        """Return the smallest range that holds ``amps`` [A]; None on an array whose converters have no ranges."""
        return self._ranges[self._range_for(amps)] if self._ranges else None

    def _range_for(self, amps: float) -> int:
        return next((n for n, full in enumerate(self._ranges) if full >= amps), len(self._ranges) - 1)

    def pin_ranges(self, full_scales: Mapping[str, float]) -> None:
        """Give layers ranges [A] that are kept, as chosen before or by hand.

        Raises
        ------
        RefusedError
            For a layer the plan does not have, or a range the converters do not have; nothing was pinned.
        """
        for layer, full in full_scales.items():
            self.plan.request(layer)
            if not any(np.isclose(full, known) for known in self._ranges):
                known = ", ".join(f"{known:g}" for known in self._ranges) or "none"
                raise RefusedError(f"layer {layer!r} cannot have a range of {full:g} A: the converters have {known}")
        for layer, full in full_scales.items():
            self._range[layer] = int(np.argmin(np.abs(np.asarray(self._ranges) - full)))
            self._pinned.add(layer)

    def choose_ranges(
        self, samples: Mapping[str, Float32Array], scale: InputScale = "fixed", *, spare: float = 1.25
    ) -> dict[str, LayerRange]:
        """Choose and pin the ranges of layers from typical inputs [n, inputs] of each; return what was chosen."""
        with self.choosing_ranges(spare=spare):
            for layer, inputs in samples.items():
                self.multiply(layer, np.asarray(inputs, dtype=np.float32), scale)
        return {layer: found for layer, found in self.ranges().items() if layer in samples}

    def ranges(self) -> dict[str, LayerRange]:
        """Return every layer's range, and how much went beyond it so far."""
        return {
            layer: LayerRange(
                self._ranges[at] if self._ranges else float("nan"),
                layer in self._pinned,
                self._again[layer],
                self._halved[layer],
                self._saturated[layer],
                self._cut[layer],
            )
            for layer, at in self._range.items()
        }

    def _drive(self, layer: str, volts: Float32Array, ranges: dict[str, int], *, reverse: bool = False) -> Float32Array:
        """Send vectors, those that overflow a used line again at larger ranges, then halved; at last they saturate.

        ``ranges`` holds the layer's range, and unless that is pinned learns that it was too small.
        """
        vmm = self._vmm
        if reverse:
            vmm = self._vmm_reversed or self.array.ability(MultipliesReversed).vmm_reversed
        if not self._ranges:
            return vmm(volts)
        choosing = self._largest is not None and ranges is not self._alone_range
        at = 0 if choosing else ranges[layer]
        current = vmm(volts, full_scale=self._ranges[at])
        flat = current.reshape(-1)
        total = flat.dot(flat)
        if total == total and not choosing:  # one NaN would make it one, and NaN differs from itself  # noqa: PLR0124
            return current
        lines = np.unique(np.concatenate([tile.rows if reverse else tile.cols for tile in self.plan.of(layer)]))
        bad = ~np.isfinite(current[:, lines]).all(1)
        while bad.any() and at + 1 < len(self._ranges):
            at += 1
            if not choosing:
                self._again[layer] += int(bad.sum())
            current[bad] = vmm(volts[bad], full_scale=self._ranges[at])
            bad = ~np.isfinite(current[:, lines]).all(1)
            if ranges is self._alone_range or layer not in self._pinned:
                ranges[layer] = at  # what overflowed once will again
        for n in range(self._halvings if bad.any() else 0):
            self._halved[layer] += int(bad.sum())
            part = np.float32(0.5 ** (n + 1))
            current[bad] = vmm(part * volts[bad], full_scale=self._ranges[at]) / part
            bad = ~np.isfinite(current[:, lines]).all(1)
            if not bad.any():
                break
        self._saturated[layer] += int(bad.sum())
        held = np.nan_to_num(current, nan=self._ranges[at])
        if self._largest is not None and choosing:
            seen = float(np.abs(held[:, lines]).max())
            self._largest[layer, reverse] = max(self._largest.get((layer, reverse), 0.0), seen)
        return held

    def _prepare(self, request: LayerRequest) -> list[Pass]:
        # Every copy adds to the sum over all copies, whichever pass it is in.
        copies = request.copies_down * request.copies_across
        gain = np.broadcast_to(1.0 / (copies * self.scale[request.name] * self.input_volts), request.outputs)
        return [pass_of(self.plan, request, tiles, self.input_volts, gain) for tiles in self.plan.passes(request.name)]
