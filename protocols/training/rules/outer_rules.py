"""Rules that write by parallel outer products: stochastic pulsed SGD, streaming batch eigenupdate.

Tiki-Taka, which stands on the first, is in ``tiki_taka``.

They need an array that can pulse all rows and columns at once (``outer_update``), and what passed through the layers
(inputs x and errors δ of every sample), not only the summed change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ....instruments.abilities import UpdatesByOuterProduct
from ....instruments.array_spec import ArraySpec
from ....instruments.block import Block
from ....instruments.capabilities import FloatArray, OuterProducts, PulseDrive
from ..layers.array_weights import ArrayWeights
from ..layers.weight_mapping import FloorPlan, Tile
from .small_steps import SmallSteps
from .update_rules import Changes, Samples, StepCost

OTHERWISE = "manhattan and mixed_precision do without"


def on_cells(tile: Tile, x: FloatArray, d: FloatArray) -> OuterProducts:
    """Return outer products on a tile's cells: ``x`` [n, inputs], ``d`` [n, outputs], turned round for the G⁻ cells."""
    rows, cols = tile.rows, tile.cols
    row0, col0 = int(rows[0]), int(cols[0])
    block = Block(row0, int(rows[-1]) - row0 + 1, col0, int(cols[-1]) - col0 + 1)
    xs, ds = np.zeros((len(x), block.nrows)), np.zeros((len(d), block.ncols))
    xs[:, tile.plus_rows - row0], xs[:, tile.minus_rows - row0] = x, -x
    ds[:, tile.plus_cols - col0] = d
    return OuterProducts(block, xs, ds)


@dataclass
class OuterProduct(SmallSteps):
    """Stochastic pulsed SGD (Gokmen & Vlasov 2016): ΔW = −rate·x·δᵀ by coincidences of random pulses, sample by sample.

    In each of ``turns`` row i fires with probability Cx·|x|, column j with Cd·|δ|; a coincidence is one pulse of
    ``step``. Cx·Cd·turns·step = share·rate·siemens, so that each cell of a pair moves by share of the change on
    average; Cx and Cd are balanced so that neither is cut before the other (update management).

    Attributes
    ----------
    rate : float
        Learning rate of samples that are given as they passed. ``ArrayOptimizer`` gives them scaled, so that it is
        the optimiser's that holds: plain SGD, for any other would want changes that are no outer products.
    turns : int
        Length of the pulse train, 4 slots each.
    """

    rate: float = 0.01
    turns: int = 31

    needs_samples = True

    @classmethod
    def settings(cls, plan: Any) -> dict[str, Any]:
        """Return what of a training plan it is made with."""
        return {**super().settings(plan), "rate": plan.outer_rate, "turns": plan.outer_turns}

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array without outer-product updates, and pulses beyond the limits."""
        spec.require(UpdatesByOuterProduct, otherwise=OTHERWISE)
        super().check(spec)

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Leave the cells as they are, or give each a random number of pulses."""
        self._refuse_columns(weights)
        super().start(weights, rng)

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
        """Give one outer product per sample and tile: tile by tile, in one update where the array can."""
        self._mine(weights)
        products = [
            product
            for layer, batches in samples.items()
            for x, error in batches
            for product in self.products(weights, layer, x, -error, self.rate)
        ]
        self.give(weights, products)

    def products(
        self, weights: ArrayWeights, layer: str, x: NDArray[Any], d: NDArray[Any], rate: float | FloatArray
    ) -> list[OuterProducts]:
        """Return what moves ``layer`` by ``rate``·x·dᵀ on average, for every ``x`` [n, inputs] and ``d`` [n, outputs].

        ``rate`` is one for all, or [n].
        """
        x, d = np.asarray(x, dtype=np.float64), np.asarray(d, dtype=np.float64) * weights.scale[layer]
        gain = np.broadcast_to(self.share * np.asarray(rate) / (self.turns * self.siemens), len(x))
        largest_x, largest_d = np.abs(x).max(1), np.abs(d).max(1)
        moves = (largest_x > 0.0) & (largest_d > 0.0) & (gain > 0.0)
        x, d, gain, largest_x, largest_d = (one[moves] for one in (x, d, gain, largest_x, largest_d))
        balance = np.sqrt(gain * largest_d / largest_x)[:, np.newaxis]
        rows = np.clip(x * balance, -1.0, 1.0)
        cols = np.clip(d * gain[:, np.newaxis] / balance, -1.0, 1.0)
        return [on_cells(tile, rows[:, tile.inputs], cols[:, tile.outputs]) for tile in weights.plan.of(layer)]

    def give(self, weights: ArrayWeights, products: Sequence[OuterProducts], turns: int | None = None) -> None:
        """Give outer products with this rule's pulses."""
        pair = self.pulses(weights.array.spec)
        drive = PulseDrive(pair.set_volts, pair.set_gate, pair.reset_volts, pair.reset_gate, pair.width)
        update = weights.array.ability(UpdatesByOuterProduct)
        update.outer_updates(products, pulses=self.turns if turns is None else turns, drive=drive)

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """Per sample: 4 slots per turn and tile whatever its size, at most one pulse per turn.

        One transaction for all samples, on an array that takes them together.
        """
        tiles = len(floor.tiles)
        return StepCost(1, float(self.turns), 4.0 * self.turns * tiles / floor.rows)

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
        products: list[OuterProducts] = []
        for layer, batches in samples.items():
            if not batches:
                continue
            left, size, right = self.decompose(
                np.concatenate([x for x, _ in batches]), np.concatenate([d for _, d in batches])
            )
            products += self.products(weights, layer, left.T, -right.T, self.rate * size)
        self.give(weights, products)

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
        """Per batch: ``rank`` outer products."""
        one = super().step_cost(floor)
        return StepCost(one.transactions, self.rank * one.pulses, self.rank * one.slots)
