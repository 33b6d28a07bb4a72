"""Weights that live on an array: multiplied by driving it, known as they were last read."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ....instruments.abilities import Multiplies, MultipliesReversed
from ....instruments.capabilities import CrossbarArray, FloatArray
from .weight_mapping import FloorPlan, LayerRequest, Tile

if TYPE_CHECKING:
    from .array_layers import ArrayLayer

Float32Array = NDArray[np.float32]
InputScale = Literal["fixed", "vector"]
ReadBack = Literal["cells", "products"]
REVERSE_OTHERWISE = "backward by the host does without"


@dataclass(frozen=True)
class _Pass:
    """What is driven at once: ``encode`` [inputs, rows] [V], ``decode`` [used columns, outputs] [1/A].

    ``plain`` stands for a ``decode`` that only scales.
    """

    encode: Float32Array
    decode: Float32Array
    cols: NDArray[np.intp] | slice
    plain: Float32Array | None

    def decoded(self, current: Float32Array) -> Float32Array:
        """Return [batch, outputs] of currents [batch, columns] [A]."""
        seen = current[:, self.cols]
        return seen * self.plain if self.plain is not None else seen @ self.decode


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
        Largest output to expect, in weights times inputs: it chooses the range of the converters. Where one
        overflows, the vectors are sent again at the next range; a range that is not pinned stays there.

    Attributes
    ----------
    scale : mapping of layers to [outputs], or to one value for all of them [S]
        Conductance difference of a weight of 1.
    modules : list
        The layers of models that multiply with these weights.
    unsure : str
        Why what was last read is not what the cells hold; "" when it is.
    overflows : mapping of layers to int
        Vectors that went beyond a pinned range and were sent again.
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
        self.modules: list[ArrayLayer] = []
        self.unsure = ""
        self._vmm = array.ability(Multiplies).vmm
        self._vmm_reversed = array.ability(MultipliesReversed).vmm_reversed if spec.can(MultipliesReversed) else None
        self.input_volts = spec.read_volts if input_volts is None else input_volts
        spec.limits.check("vmm_volts", self.input_volts, channel="training input")
        # A hair below the limit, which float32 could round a voltage over.
        self.largest_input = (1.0 - 1e-6) * spec.limits.vmm_volts_max / self.input_volts
        self.conductance: FloatArray = np.zeros((plan.rows, plan.cols))
        self._ranges = spec.vmm_ranges
        self._alone_range = {request.name: 0 for request in plan.requests}
        self.read_back: ReadBack = read_back
        self._measured: dict[str, Float32Array] = {}
        self.block, self.used = plan.block, plan.used
        self.overflows: dict[str, int] = {}
        self._pinned: set[str] = set()
        self._seen: dict[str, float] | None = None
        self.rescale({r.name: siemens[r.name] if isinstance(siemens, Mapping) else siemens for r in plan.requests})
        self._range: dict[str, int] = {}
        for name, scale in self.scale.items():
            largest = largest_sum[name] if isinstance(largest_sum, Mapping) else largest_sum
            self._range[name] = self._range_for(largest * float(np.max(scale)) * self.input_volts)

    def rescale(self, scale: Mapping[str, FloatArray | float]) -> None:
        """Let the cells mean other weights: ``scale`` is the conductance difference of a weight of 1, by layer."""
        self.scale: dict[str, FloatArray] = {}
        for name, value in scale.items():
            per, outputs = np.asarray(value, dtype=np.float64), self.plan.request(name).outputs
            if per.shape not in {(), (outputs,)} or not (np.isfinite(per).all() and (per > 0.0).all()):
                raise RefusedError(f"layer {name!r}: a weight of 1 needs one conductance above 0, or {outputs} of them")
            self.scale[name] = per
        names = [request.name for request in self.plan.requests]
        self._passes = {name: self._prepare(name) for name in names}
        self._back = {name: [self._signs(one) for one in passes] for name, passes in self._passes.items()}

    # -- ranges of the converters ------------------------------------------------------------------------------------

    def _range_for(self, amps: float) -> int:
        return next((n for n, full in enumerate(self._ranges) if full >= amps), len(self._ranges) - 1)

    @property
    def ranges(self) -> dict[str, float]:
        """The converters' range of every layer [A]; empty where the array chooses."""
        return {name: self._ranges[at] for name, at in self._range.items()} if self._ranges else {}

    def pin(self, amps: Mapping[str, float]) -> None:
        """Hold layers to the range that takes ``amps`` [A]: what goes beyond is sent again, and is counted."""
        if self._ranges:
            for name, value in amps.items():
                self._range[name] = self._range_for(value)
                self._pinned.add(name)

    @contextmanager
    def choosing_ranges(self, margin: float = 1.25) -> Generator[None]:
        """Pin to what products show while this lasts: ``margin`` times the largest current of every layer used."""
        seen: dict[str, float] = {}
        self._seen, before = seen, dict(self._range)
        self._range = {name: len(self._ranges) - 1 for name in before}
        try:
            yield
        finally:
            self._seen, self._range = None, before
        self.pin({name: margin * value for name, value in seen.items()})

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
        request = self.plan.request(layer)
        total = np.zeros((request.inputs, request.outputs))
        copies = request.copies_down * request.copies_across
        for tile in self.plan.of(layer):
            pair = self.conductance[tile.plus] - self.conductance[tile.minus]
            total[tile.inputs, tile.outputs] += pair
        return (total / (copies * self.scale[layer])).astype(np.float32)

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

    def bounded(self, layer: str, inputs: Float32Array) -> Float32Array:
        """Return inputs cut at ± ``largest_input``; refuse those that are not finite, naming the layer."""
        if not np.isfinite(inputs).all():
            raise RefusedError(
                f"layer {layer!r} was given inputs that are not finite: nothing was sent; lower the learning rate"
            )
        return np.clip(inputs, -self.largest_input, self.largest_input)

    def multiply_checked(self, layer: str, inputs: Float32Array) -> Float32Array:
        """Return what :meth:`multiply` does for inputs known to be within ± ``largest_input``."""
        return self._multiplied(layer, inputs, self._range)

    def _multiplied(self, layer: str, inputs: Float32Array, ranges: dict[str, int]) -> Float32Array:
        passes = self._passes[layer]
        if len(passes) == 1:
            one = passes[0]
            return one.decoded(self._drive(layer, inputs @ one.encode, ranges))
        batch = len(inputs)
        current = self._drive(layer, np.concatenate([inputs @ one.encode for one in passes]), ranges)
        parts = (one.decoded(current[n * batch : (n + 1) * batch]) for n, one in enumerate(passes))
        return np.sum(list(parts), axis=0)

    def multiply_back(self, layer: str, error: Float32Array) -> Float32Array:
        """Return [batch, inputs]: errors [batch, outputs] times the transposed weights, by driving the columns.

        Every vector is scaled so that its largest error is ``input_volts``, and the result back. Needs ``reverse``.
        """
        scale = self.scale[layer]
        one = float(np.max(scale))
        if scale.ndim:
            error = error * (one / scale).astype(np.float32)
        factor = np.maximum(np.abs(error).max(1, keepdims=True), np.float32(1e-30))
        unit = (error / factor) * np.float32(self.input_volts)
        request = self.plan.request(layer)
        signs = self._back[layer]
        current = self._drive(layer, np.concatenate([unit @ out for _, out in signs]), self._range, reverse=True)
        parts = [part @ into for part, (into, _) in zip(np.split(current, len(signs)), signs, strict=True)]
        total = np.sum(parts, axis=0)
        per = request.copies_down * request.copies_across * one * self.input_volts
        return total * (factor / np.float32(per))

    def _drive(self, layer: str, volts: Float32Array, ranges: dict[str, int], *, reverse: bool = False) -> Float32Array:
        """Send vectors, those that overflow a used line again at larger ranges; at the largest they saturate.

        ``ranges`` holds the layer's range, and learns that it was too small.
        """
        vmm = self._vmm
        if reverse:
            vmm = self._vmm_reversed or self.array.ability(MultipliesReversed).vmm_reversed
        if not self._ranges:
            return vmm(volts)
        at = ranges[layer]
        current = vmm(volts, full_scale=self._ranges[at])
        flat = current.reshape(-1)
        total = flat.dot(flat)
        if self._seen is not None and not reverse:
            used = current[:, np.unique(np.concatenate([tile.cols for tile in self.plan.of(layer)]))]
            largest = float(np.nanmax(np.abs(used), initial=0.0))
            self._seen[layer] = max(self._seen.get(layer, 0.0), largest)
        if total == total:  # one NaN would make it one, and NaN differs from itself  # noqa: PLR0124
            return current
        lines = np.unique(np.concatenate([tile.rows if reverse else tile.cols for tile in self.plan.of(layer)]))
        bad = ~np.isfinite(current[:, lines]).all(1)
        if layer in self._pinned and bad.any():
            self.overflows[layer] = self.overflows.get(layer, 0) + int(bad.sum())
        while bad.any() and at + 1 < len(self._ranges):
            at += 1
            current[bad] = vmm(volts[bad], full_scale=self._ranges[at])
            bad = ~np.isfinite(current[:, lines]).all(1)
            if layer not in self._pinned or ranges is not self._range:
                ranges[layer] = at  # what overflowed once will again
        return np.nan_to_num(current, nan=self._ranges[at])

    def _prepare(self, layer: str) -> list[_Pass]:
        return [self._pass_of(layer, tiles) for tiles in self.plan.passes(layer)]

    def _signs(self, one: _Pass) -> tuple[Float32Array, Float32Array]:
        """Return a pass's ±1 [rows, inputs] and [outputs, columns], for products in reverse."""
        decode = np.zeros((self.plan.cols, one.decode.shape[1]), np.float32)
        decode[one.cols] = np.sign(one.decode)
        return np.sign(one.encode).T.copy(), decode.T.copy()

    def _pass_of(self, layer: str, tiles: list[Tile]) -> _Pass:
        request, plan = self.plan.request(layer), self.plan
        encode = np.zeros((request.inputs, plan.rows), dtype=np.float32)
        decode = np.zeros((plan.cols, request.outputs), dtype=np.float32)
        # Every copy adds to the sum over all copies, whichever pass it is in.
        per = 1.0 / (request.copies_down * request.copies_across * self.scale[layer] * self.input_volts)
        per = np.broadcast_to(per, request.outputs).astype(np.float32)
        for tile in tiles:
            inputs, outputs = (
                np.arange(tile.inputs.start, tile.inputs.stop),
                np.arange(tile.outputs.start, tile.outputs.stop),
            )
            encode[inputs, tile.plus_rows] = self.input_volts
            if request.pairs != "columns":
                encode[inputs, tile.minus_rows] = -self.input_volts
            decode[tile.plus_cols, outputs] = per[outputs]
            if request.pairs == "columns":
                decode[tile.minus_cols, outputs] = -per[outputs]
        cols = np.flatnonzero(decode.any(1))
        whole = slice(int(cols[0]), int(cols[-1]) + 1) if np.all(np.diff(cols) == 1) else cols
        used = np.ascontiguousarray(decode[whole])
        plain = used.shape == (request.outputs, request.outputs) and np.array_equal(used, np.diag(per))
        return _Pass(encode, used, whole, per if plain else None)
