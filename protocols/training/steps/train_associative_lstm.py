"""Train an Associative LSTM in situ on episodic copy, beside its float twin; a size-matched LSTM by the same step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ....instruments.capabilities import CrossbarArray, FloatArray
from ...keeping.run import Run
from ..layers.weight_mapping import LayerRequest
from ..tasks.episodic_copy import episodic_copy, features_of, steps_of
from ..tasks.labelled import LabelledData
from .classification import ClassifierPlan, ClassifierResult, train_classifier

if TYPE_CHECKING:
    from torch import nn

    from ....analysis.report.report import Section
    from ..layers.array_weights import ArrayWeights

RETRIEVED = (1, 2, 4, 8)
"""Copies that the memory alone is read with."""


class AssociativePlan(ClassifierPlan):
    """Adam and a dense layer on what the memory gives back, as published; sizes that fit one board."""

    arm: Literal["associative", "lstm"] = Field(
        default="associative", description="Associative LSTM, or an LSTM with as many weights, its baseline"
    )
    memory_copies: int = Field(
        default=4, ge=1, le=1000, description="copies of the memory, each with its own order of the keys"
    )
    hidden: int = Field(default=16, ge=2, multiple_of=2, description="real outputs; half as many complex numbers")
    symbols: int = Field(default=4, ge=2, le=1000, description="symbols to choose from")
    items: int = Field(default=4, ge=1, le=1000, description="symbols to remember")
    delay: int = Field(default=3, ge=0, le=10_000, description="steps between the last symbol and the delimiter")
    sequences: int = Field(default=4000, ge=1, le=1_000_000, description="sequences that are drawn to train on")
    tested: int = Field(default=500, ge=1, le=1_000_000, description="other sequences that are drawn to test on")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="adam", description="on the host")
    rate: float = Field(default=0.03, gt=0, description="learning rate")
    epochs: int = Field(default=7, ge=1, description="passes over the training set")
    checkpoint_every: int = Field(default=20, ge=1, description="steps from one checkpoint to the next")
    criterion: float | None = Field(
        default=0.9, gt=0, le=1, description="test accuracy of a checkpoint from which on the task counts as learned"
    )
    stored: int = Field(default=4, ge=2, le=1000, description="values in the memory when it is read alone")
    draws: int = Field(default=200, ge=10, le=10_000, description="memories behind an error of reading alone")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        found = super().measures()
        return found | {"retrieval_error", "retrieval_exponent"} if self.arm == "associative" else found

    def data(self) -> LabelledData:
        """Return sequences to be copied."""
        return episodic_copy(
            symbols=self.symbols, items=self.items, delay=self.delay, train=self.sequences, test=self.tested
        )

    @property
    def units(self) -> int:
        """Outputs of the recurrent layer: ``hidden``, or of the LSTM what comes nearest to its weights."""
        if self.arm == "associative":
            return self.hidden
        features = features_of(self.symbols) + 1
        wanted = (features + self.hidden) * 9 * self.hidden // 2
        return min(range(1, 3 * self.hidden), key=lambda n: abs(4 * n * (features + n) - wanted))

    def layers(self) -> list[LayerRequest]:
        """Return [x, h, 1] → gates, keys and value, and [h, 1] → symbols."""
        outputs = 9 * self.units // 2 if self.arm == "associative" else 4 * self.units
        inputs = features_of(self.symbols) + self.units + 1
        return [
            LayerRequest("recurrent", inputs, outputs, copies_down=self.copies),
            LayerRequest("dense", self.units + 1, self.symbols, copies_down=self.copies),
        ]

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.associative_lstm import array_copier

        return array_copier(weights, features_of(self.symbols), self.units, self._copies(), self.items)

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.associative_lstm import twin_copier

        features = features_of(self.symbols)
        return twin_copier(features, self.units, self._copies(), self.items, self.symbols, seed=seed)

    def vectors_per_example(self) -> int:
        """Return one product per step, and one of the dense layer per item."""
        return steps_of(self.items, self.delay) + self.items

    def _copies(self) -> int | None:
        return self.memory_copies if self.arm == "associative" else None


@dataclass(frozen=True, kw_only=True)
class AssociativeResult(ClassifierResult):
    """A classifier's result, and what the memory alone gives back.

    ``retrieval`` is [copies of ``RETRIEVED``, draws], relative to what was stored; None for an LSTM.
    """

    retrieval: FloatArray | None

    def metrics(self) -> dict[str, float]:
        """Return a classifier's, and of the memory alone its error and how it falls with the copies."""
        from ....analysis.networks.retrieval import retrieval_exponent

        found = super().metrics()
        if self.retrieval is None:
            return found
        return {**found, **retrieval_exponent(RETRIEVED, self.retrieval)}

    def section(self) -> Section:
        """Return a classifier's section, with the memory's own figure."""
        from dataclasses import replace

        from ....analysis.networks.retrieval import retrieval_figure

        section = super().section()
        if self.retrieval is None:
            return section
        figure = (
            "Error of what is read from the memory alone, by the network's own code without the array, beside the law "
            "1/√copies through the error of one copy. Bars: 95 % of the memories drawn.",
            retrieval_figure(RETRIEVED, self.retrieval),
        )
        return replace(section, figures=[*section.figures[:1], figure, *section.figures[1:]])


def train_associative_lstm(array: CrossbarArray, plan: AssociativePlan, run: Run | None = None) -> AssociativeResult:
    """Train an Associative LSTM in situ to copy symbols; a unit of work is ``checkpoint_every`` steps."""
    who = f"Associative LSTM, {plan.memory_copies} copies" if plan.arm == "associative" else "LSTM of the same size"
    result = train_classifier(array, plan, run, f"{who}, trained on the array: episodic copy")
    retrieval = None
    if plan.arm == "associative":
        from ..networks.associative_lstm import retrieval_errors

        retrieval = np.stack(
            [retrieval_errors(plan.hidden // 2, n, plan.stored, plan.draws, seed=Run.of(run).seed) for n in RETRIEVED]
        )
    return AssociativeResult(**vars(result), retrieval=retrieval)
