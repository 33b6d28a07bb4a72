"""Rules that write by parallel outer products: stochastic pulsed SGD, Tiki-Taka, streaming batch eigenupdate.

They need an array that can pulse all rows and columns at once (``outer_update``), and what passed through the layers
(inputs x and errors δ of every sample), not only the summed change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ....instruments.abilities import UpdatesByOuterProduct
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import FloatArray
from ..layers.array_weights import ArrayWeights
from ..layers.weight_mapping import FloorPlan, Tile
from .memory import RuleMemory
from .update_rules import Changes, Samples, StepCost, share_of

OTHERWISE = "manhattan and mixed_precision do without"


@dataclass
class OuterProduct(RuleMemory):
    """Stochastic pulsed SGD (Gokmen & Vlasov 2016): ΔW = −rate·x·δᵀ by coincidences of random pulses, sample by sample.

    In each of ``turns`` row i fires with probability Cx·|x|, column j with Cd·|δ|; a coincidence is one pulse of
    ``step`` [S]. Cx·Cd·turns·step = share·rate·siemens, so that each cell of a pair moves by share of the change on
    average; Cx and Cd are balanced so that neither is cut before the other (update management).

    Attributes
    ----------
    rate : float
        Learning rate of samples that are given as they passed. ``ArrayOptimizer`` gives them scaled, so that it is
        the optimiser's that holds: plain SGD, for any other would want changes that are no outer products.
    step : float [S]
        What one pulse moves a cell by.
    turns : int
        Length of the pulse train, 4 slots each.
    """

    rate: float = 0.01
    step: float = 0.18e-6
    turns: int = 31
    share: float = 0.5

    needs_samples = True

    @classmethod
    def settings(cls, plan: Any) -> dict[str, Any]:
        """Return what of a training plan it is made with."""
        return {"rate": plan.outer_rate, "step": plan.pulse_step, **share_of(plan)}

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array without outer-product updates."""
        spec.require(UpdatesByOuterProduct, otherwise=OTHERWISE)

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Leave the cells as they are."""
        self.adopt(weights)

    def attach(self, weights: ArrayWeights) -> None:
        """Belong to ``weights``; refuse pairs over columns, which share their rows' pulses."""
        super().attach(weights)
        self._refuse_columns(weights)

    def adopt(self, weights: ArrayWeights) -> None:
        """Take the cells as they are; refuse pairs over columns, which share their rows' pulses."""
        self._anew(weights)
        self._refuse_columns(weights)

    def _refuse_columns(self, weights: ArrayWeights) -> None:
        for request in weights.plan.requests:
            if request.pairs == "columns":
                raise RefusedError(
                    f"layer {request.name!r} has pairs over columns: outer products need pairs over rows"
                )

    def finish(self, weights: ArrayWeights) -> None:
        """Leave the weights as the last step did."""

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Give one outer product per sample and tile."""
        self._mine(weights)
        for layer, batches in samples.items():
            for x, error in batches:
                for inputs, delta in zip(x, error, strict=True):
                    self.give(weights, layer, inputs, -delta, self.rate)

    def give(self, weights: ArrayWeights, layer: str, x: NDArray[Any], d: NDArray[Any], rate: float) -> None:
        """Move ``layer`` by ``rate``·x·dᵀ on average; ``x`` [inputs], ``d`` [outputs]."""
        d = np.asarray(d, dtype=np.float64) * weights.scale[layer]
        largest_x, largest_d = float(np.abs(x).max()), float(np.abs(d).max())
        if largest_x == 0.0 or largest_d == 0.0:
            return
        gain = self.share * rate / (self.turns * self.step)
        balance = np.sqrt(gain * largest_d / largest_x)
        rows = np.clip(np.asarray(x, dtype=np.float64) * balance, -1.0, 1.0)
        cols = np.clip(d * gain / balance, -1.0, 1.0)
        for tile in weights.plan.of(layer):
            self._fire(weights, tile, rows[tile.inputs], cols[tile.outputs])

    def _fire(self, weights: ArrayWeights, tile: Tile, x: FloatArray, d: FloatArray) -> None:
        rows, cols = np.zeros(weights.plan.rows), np.zeros(weights.plan.cols)
        rows[tile.plus_rows], rows[tile.minus_rows] = x, -x
        cols[tile.plus_cols] = d
        weights.array.ability(UpdatesByOuterProduct).outer_update(rows, cols, pulses=self.turns)

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """Per sample: one transaction per tile, 4 slots per turn whatever the size, at most one pulse per turn."""
        tiles = len(floor.tiles)
        return StepCost(tiles, float(self.turns), 4.0 * self.turns * tiles / floor.rows)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state; this rule has none."""
        return {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up the state; this rule has none."""


@dataclass
class StreamingEigenupdate(OuterProduct):
    """Streaming batch eigenupdate (Hoskins et al. 2019): the batch gradient as ``rank`` outer products.

    The samples stream through a truncated decomposition: U·S·Vᵀ takes in one x·δᵀ after the other and keeps its
    ``rank`` largest parts; then each part is one outer product. Writes per batch instead of per sample.
    """

    rank: int = 2

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Give ``rank`` outer products per layer."""
        self._mine(weights)
        for layer, batches in samples.items():
            if not batches:
                continue
            left, size, right = self.decompose(
                np.concatenate([x for x, _ in batches]), np.concatenate([d for _, d in batches])
            )
            for k in range(len(size)):
                self.give(weights, layer, left[:, k], -right[:, k], self.rate * float(size[k]))

    def decompose(self, x: NDArray[Any], d: NDArray[Any]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return U [inputs, rank], S [rank], V [outputs, rank] of Σ x·dᵀ, samples taken in one by one."""
        left, size, right = np.zeros((x.shape[1], 0)), np.zeros(0), np.zeros((d.shape[1], 0))
        for one, error in zip(np.asarray(x, dtype=np.float64), np.asarray(d, dtype=np.float64), strict=True):
            # The sum of what is kept and x·δᵀ has its columns in span(U, x) and its rows in span(V, δ).
            q_left, r_left = np.linalg.qr(np.column_stack([left * size, one]))
            q_right, r_right = np.linalg.qr(np.column_stack([right, error]))
            u, s, vt = np.linalg.svd(r_left @ r_right.T)
            kept = min(self.rank, int((s > 1e-12 * max(s[0], 1e-300)).sum()))
            left, size, right = q_left @ u[:, :kept], s[:kept], q_right @ vt[:kept].T
        return left, size, right

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """Per batch: ``rank`` transactions per tile."""
        one = super().step_cost(floor)
        return StepCost(self.rank * one.transactions, self.rank * one.pulses, self.rank * one.slots)


@dataclass
class TikiTaka(OuterProduct):
    """Tiki-Taka, version 2 (Gokmen 2021): gradients on a fast array A, moved to C through a digital accumulator H.

    Every sample writes A by an outer product. Every ``every`` samples one input line of A is read by a product, H of
    that line grows by ``transfer_rate`` times it, and where |H| ≥ 1 the cells of C get one pulse by its sign and H
    comes back by 1. Forward and backward use C alone.

    Attributes
    ----------
    fast : mapping of str to str
        Layer (C) -> the layer of the same size on the floor plan that is its A.
    every, transfer_rate : int, float
    """

    fast: Mapping[str, str] = field(default_factory=dict[str, str])
    every: int = 2
    transfer_rate: float = 1.0
    zero: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray], repr=False)
    owed: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray], repr=False)
    seen: dict[str, int] = field(default_factory=dict[str, int], repr=False)

    def forget(self) -> None:
        """Forget references, accumulators and positions."""
        self.zero, self.owed, self.seen = {}, {}, {}

    def adopt(self, weights: ArrayWeights) -> None:
        """Take A as it stands, at its symmetry point, for zero."""
        super().adopt(weights)
        weights.read(16)
        for layer, fast in self.fast.items():
            size, other = ((r.inputs, r.outputs) for r in (weights.plan.request(layer), weights.plan.request(fast)))
            if size != other:
                raise RefusedError(f"layer {fast!r} is {other[0]} × {other[1]}, it stands in for {layer!r}: {size}")
            self.zero[layer] = weights.weights(fast).astype(np.float64)
            self.owed[layer], self.seen[layer] = np.zeros(size), 0

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Write A sample by sample, and move one line every so often."""
        self._mine(weights)
        if not self.zero:
            self.adopt(weights)
        for layer, fast in self.fast.items():
            for x, error in samples.get(layer, []):
                for inputs, delta in zip(x, error, strict=True):
                    self.give(weights, fast, inputs, -delta, self.rate)
                    self.seen[layer] += 1
                    if self.seen[layer] % self.every == 0:
                        self._transfer(weights, layer, fast)

    def _transfer(self, weights: ArrayWeights, layer: str, fast: str) -> None:
        owed = self.owed[layer]
        line = self.seen[layer] // self.every % len(owed)
        probe = np.zeros((1, len(owed)), np.float32)
        probe[0, line] = 1.0
        owed[line] += self.transfer_rate * (weights.multiply(fast, probe)[0] - self.zero[layer][line])
        sign = np.sign(owed[line]) * (np.abs(owed[line]) >= 1.0)
        if not sign.any():
            return
        owed[line] -= sign
        rows, cols = np.zeros(weights.plan.rows), np.zeros(weights.plan.cols)
        for tile in weights.plan.of(layer):
            at = line - tile.inputs.start
            if 0 <= at < len(tile.plus_rows):
                rows[tile.plus_rows[at]], rows[tile.minus_rows[at]] = 1.0, -1.0
                cols[tile.plus_cols] = sign[tile.outputs]
                weights.array.ability(UpdatesByOuterProduct).outer_update(rows, cols, pulses=1)
                rows[:], cols[:] = 0.0, 0.0

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """Per sample: the outer product on A, and every ``every`` samples one product and one pulse on C."""
        tiles = sum(len(floor.of(fast)) for fast in self.fast.values())
        part = 1.0 / self.every
        return StepCost(
            tiles + int(np.ceil(2 * len(self.fast) * part)),
            self.turns + part,
            4.0 * (self.turns * tiles + part) / floor.rows,
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return accumulators, references and positions."""
        kept: dict[str, NDArray[Any]] = {}
        for layer in self.fast:
            kept |= {f"owed/{layer}": self.owed[layer], f"zero/{layer}": self.zero[layer]}
            kept[f"seen/{layer}"] = np.asarray(self.seen[layer])
        return kept

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take them up."""
        self.forget()
        for layer in self.fast:
            self.owed[layer], self.zero[layer] = (
                np.array(arrays[f"{kind}/{layer}"], dtype=np.float64) for kind in ("owed", "zero")
            )
            self.seen[layer] = int(arrays[f"seen/{layer}"])
