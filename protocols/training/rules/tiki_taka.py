"""Tiki-Taka, version 2: gradients gather on a fast array, and move to the weights through the host's accumulator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ....instruments.capabilities import FloatArray, OuterProducts
from ..layers.array_weights import ArrayWeights
from ..layers.weight_mapping import FloorPlan, LayerRequest
from .outer_rules import OuterProduct, on_cells
from .update_rules import Changes, Samples, StepCost

FAST = ".fast"
"""What a layer's fast array is called: the layer's name and this."""
_READS = 16  # conversions per cell of the read of the symmetry points


@dataclass
class TikiTaka(OuterProduct):
    """Tiki-Taka, version 2 (Gokmen 2021): gradients on a fast array A, moved to C through a digital accumulator H.

    Every sample writes A by an outer product. Every ``every`` samples one input line of A is read by a product, H of
    that line grows by ``transfer_rate`` times it, in pulses of C, and the cells of C get the whole pulses H amounts to,
    which are taken off it. Forward and backward use C alone.

    Attributes
    ----------
    fast : mapping of str to str
        Layer (C) -> the layer of the same size on the floor plan that is its A; by default the layer of C's name and
        ``.fast``.
    every : int, optional
        Samples from one line to the next. By default all lines are moved once, after all samples of a batch.
    transfer_rate : float
        What C moves by in a transfer, of what A holds.
    pulses_max : int
        Most pulses a cell of C gets in a transfer, 1 as published; the rest stays in H. With all lines moved once a
        batch, one pulse would leave H behind what A tells it.
    zero_pulses : int
        Pulses, up and down in turn, that bring the cells of A to where both steps are alike, before a training starts.
    """

    fast: Mapping[str, str] = field(default_factory=dict[str, str])
    every: int | None = None
    transfer_rate: float = 0.1
    pulses_max: int = 10
    zero_pulses: int = 0
    zero: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray], repr=False)
    owed: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray], repr=False)
    seen: dict[str, int] = field(default_factory=dict[str, int], repr=False)

    @staticmethod
    def with_layers(requests: Sequence[LayerRequest]) -> list[LayerRequest]:
        """Return the layers of a network with a fast array for each of them."""
        return [*requests, *(replace(one, name=one.name + FAST, row=None, col=None) for one in requests)]

    def forget(self) -> None:
        """Forget references, accumulators and positions."""
        self.zero, self.owed, self.seen = {}, {}, {}

    def pairs(self, floor: FloorPlan) -> dict[str, str]:
        """Return the fast array of every layer."""
        names = {one.name for one in floor.requests}
        return dict(self.fast) or {name: name + FAST for name in names if name + FAST in names}

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Start C as any rule by small steps; bring A to its symmetry points, and take them for zero."""
        super().start(weights, rng)
        if self.zero_pulses:
            turn = np.where(np.arange(self.zero_pulses) % 2, -1.0, 1.0)[:, np.newaxis]
            tiles = [tile for fast in self.pairs(weights.plan).values() for tile in weights.plan.of(fast)]
            both: list[OuterProducts] = []
            for tile in tiles:
                inputs, outputs = tile.inputs.stop - tile.inputs.start, tile.outputs.stop - tile.outputs.start
                one = on_cells(tile, np.ones((self.zero_pulses, inputs)), turn * np.ones(outputs))
                both.append(replace(one, x=np.abs(one.x)))  # both cells of a pair rise and fall alike
            self.give(weights, both, turns=1)
        self.adopt(weights)

    def adopt(self, weights: ArrayWeights) -> None:
        """Take A as it stands, at its symmetry points, for zero."""
        super().adopt(weights)
        pairs = self.pairs(weights.plan)
        if not pairs:
            raise RefusedError(
                "tiki_taka needs a second array for every layer, on which gradients gather: a step gives them room by "
                f"itself; for a floor plan of your own name a layer of the same size NAME{FAST} beside NAME, as "
                "TikiTaka.with_layers does"
            )
        weights.read(_READS)
        for layer, fast in pairs.items():
            size, other = ((r.inputs, r.outputs) for r in (weights.plan.request(layer), weights.plan.request(fast)))
            if size != other:
                raise RefusedError(f"layer {fast!r} is {other[0]} × {other[1]}, it stands in for {layer!r}: {size}")
            self.zero[layer] = weights.weights(fast).astype(np.float64)
            self.owed[layer], self.seen[layer] = np.zeros(size), 0

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Write A sample by sample, and move lines every so often."""
        self._mine(weights)
        if not self.zero:
            self.adopt(weights)
        for layer, fast in self.pairs(weights.plan).items():
            batches = samples.get(layer, [])
            if not batches:
                continue
            x, error = (np.concatenate([pair[part] for pair in batches]) for part in (0, 1))
            start = 0
            while start < len(x):
                count = len(x) if self.every is None else self.every - self.seen[layer] % self.every
                part = slice(start, start + count)
                self.give(weights, self.products(weights, fast, x[part], -error[part], self.rate))
                self.seen[layer] += len(x[part])
                start += count
                if self.every is None:
                    self._transfer(weights, layer, fast, np.arange(len(self.owed[layer])))
                elif self.seen[layer] % self.every == 0:
                    line = self.seen[layer] // self.every % len(self.owed[layer])
                    self._transfer(weights, layer, fast, np.array([line]))

    def _transfer(self, weights: ArrayWeights, layer: str, fast: str, lines: NDArray[np.intp]) -> None:
        """Read input lines of A, and give the cells of C on them the pulses that H then amounts to."""
        owed = self.owed[layer]
        alone = np.eye(len(owed), dtype=np.float32)[lines]
        held = weights.multiply(fast, alone) - self.zero[layer][lines]
        pulses = held * weights.scale[layer] / (2.0 * self.siemens)  # both cells of a pair move
        owed[lines] += self.transfer_rate * pulses
        whole = np.clip(np.trunc(owed[lines]), -self.pulses_max, self.pulses_max)
        owed[lines] -= whole
        # A product is one pulse of a line's cells: as many of them as the cell with most needs.
        x, d = list[FloatArray](), list[FloatArray]()
        for turn in range(1, int(np.abs(whole).max()) + 1):
            now = np.sign(whole) * (np.abs(whole) >= turn)
            x.append(alone[now.any(1)].astype(np.float64))
            d.append(now[now.any(1)])
        if x:
            xs, ds = np.concatenate(x), np.concatenate(d)
            tiles = weights.plan.of(layer)
            self.give(weights, [on_cells(t, xs[:, t.inputs], ds[:, t.outputs]) for t in tiles], turns=1)

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """Per sample: the outer product on A, and every ``every`` samples one product and one pulse on C.

        With all lines at once, of a layer: one update of A, one product, one update of C.
        """
        tiles = sum(len(floor.of(fast)) for fast in self.pairs(floor).values())
        part = 1.0 if self.every is None else 1.0 / self.every
        return StepCost(
            3 * len(self.pairs(floor)),
            self.turns + self.pulses_max * part,
            4.0 * (self.turns * tiles + self.pulses_max * part) / floor.rows,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return accumulators, references and positions."""
        kept: dict[str, NDArray[Any]] = {}
        for layer, owed in self.owed.items():
            kept |= {f"owed/{layer}": owed, f"zero/{layer}": self.zero[layer]}
            kept[f"seen/{layer}"] = np.asarray(self.seen[layer])
        return kept

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take them up."""
        self.forget()
        for layer in [name.removeprefix("owed/") for name in arrays if name.startswith("owed/")]:
            self.owed[layer], self.zero[layer] = (
                np.array(arrays[f"{kind}/{layer}"], dtype=np.float64) for kind in ("owed", "zero")
            )
            self.seen[layer] = int(arrays[f"seen/{layer}"])
