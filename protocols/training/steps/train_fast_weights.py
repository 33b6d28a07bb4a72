"""Train a fast-weight LSTM in situ on associative retrieval, beside its float twin; its rivals by the same step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ....common.errors import RefusedError
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..layers.array_weights import ArrayWeights
from ..layers.weight_mapping import LayerRequest
from ..rules.answers import measure_answer
from ..rules.outer_rules import OuterProduct
from ..tasks.associative_retrieval import associative_retrieval, features_of, steps_of
from ..tasks.labelled import Examples, LabelledData
from .classification import ClassifierPlan, ClassifierResult, accuracy, train_classifier
from .training_record import Measure

if TYPE_CHECKING:
    from torch import nn

    from ....analysis.report.report import Section

MEMORY = "memory"
_CYCLES = 20
"""Pulses up and down behind the measured decay."""
_SCRATCH = frozenset(
    {
        "scratch_accuracy", "host_memory_accuracy", "scratch_tested", "scratch_slope", "scratch_correlation",
        "scratch_transactions", "scratch_pulses",
    }
)  # fmt: skip
ARMS = {"lstm": "LSTM", "fast_rnn": "Fast-weight RNN", "fast_lstm": "Fast-weight LSTM"}


class FastWeightsPlan(ClassifierPlan):
    """Slow weights on the array, the memory A on the host; sizes that fit one board."""

    arm: Literal["lstm", "fast_rnn", "fast_lstm"] = Field(
        default="fast_lstm", description="what learns: an LSTM or an RNN with fast weights, or an LSTM without"
    )
    pairs: int = Field(default=4, ge=1, le=1000, description="keys with a value each in a sequence, K")
    order: Literal["pairs", "keys_first"] = Field(
        default="pairs", description="every key before its value (ART), or all keys and then all values (mART)"
    )
    letters: int = Field(default=8, ge=1, le=1000, description="keys to choose from")
    values: int = Field(default=4, ge=2, le=1000, description="values to choose from")
    hidden: int = Field(
        default=14, ge=2, description="units of the LSTM; the RNN has as many as come nearest to its weights"
    )
    keep: float = Field(default=0.95, ge=0, le=1, description="share of A that stays from one step to the next, λ")
    learn: float = Field(default=0.5, gt=0, description="what a step adds to A, η in η·r·rᵀ")
    input_gain: float = Field(
        default=3.0,
        gt=0,
        description="what a letter, a value or a question mark is driven with; units of normed states go up to about 3",
    )
    sequences: int = Field(default=8000, ge=1, le=1_000_000, description="sequences that are drawn to train on")
    tested: int = Field(default=500, ge=1, le=1_000_000, description="other sequences that are drawn to test on")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="adam", description="on the host")
    rate: float = Field(default=0.02, gt=0, description="learning rate")
    start_weights: Literal["rule", "twin"] = Field(
        default="twin", description="weights of the first step: as the rule starts, or the float twin's, written first"
    )
    batch: int = Field(default=100, ge=1, description="examples per update")
    rate_end: float = Field(
        default=0.1, gt=0, le=1, description="learning rate of the last step, as a share of the first; a straight line"
    )
    epochs: int = Field(default=10, ge=1, description="passes over the training set")
    checkpoint_every: int = Field(default=40, ge=1, description="steps from one checkpoint to the next")
    criterion: float | None = Field(
        default=0.9, gt=0, le=1, description="test accuracy of a checkpoint from which on the task counts as learned"
    )

    scratch: int = Field(
        default=0, ge=0, description="test sequences that are asked again with A on scratch cells of the array"
    )
    scratch_siemens: float = Field(
        default=20e-6, gt=0, description="with scratch: conductance difference of 1 in A [S]"
    )
    scratch_turns: int = Field(default=127, ge=1, description="with scratch: pulse turns of an outer product")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return super().measures() | (_SCRATCH if self.scratch else frozenset())

    def check(self, spec: ArraySpec) -> None:
        """Refuse scratch cells for a network without a memory, and an array that cannot write them."""
        if self.scratch and self.arm == "lstm":
            raise RefusedError("an LSTM has no memory to put on scratch cells: scratch: 0, or arm: fast_lstm")
        super().check(spec)
        if self.scratch:
            self.scratch_rule().check(spec)

    def scratch_rule(self) -> OuterProduct:
        """Return what writes and decays the scratch cells."""
        return OuterProduct(**{**OuterProduct.settings(self), "turns": self.scratch_turns})

    def data(self) -> LabelledData:
        """Return sequences, each with a question."""
        return associative_retrieval(
            pairs=self.pairs,
            letters=self.letters,
            values=self.values,
            order=self.order,
            train=self.sequences,
            test=self.tested,
        )

    @property
    def features(self) -> int:
        """Inputs of a step."""
        return features_of(self.letters, self.values)

    @property
    def units(self) -> int:
        """Outputs of the recurrent layer: ``hidden``, or of the RNN what comes nearest to an LSTM's weights."""
        if self.arm != "fast_rnn":
            return self.hidden
        wanted = self._weights(4, self.hidden)
        return min(range(1, 5 * self.hidden), key=lambda n: abs(self._weights(1, n) - wanted))

    def _weights(self, gates: int, units: int) -> int:
        return gates * units * (self.features + units + 1) + (units + 1) * self.values

    def layers(self) -> list[LayerRequest]:
        """Return [x, h, 1] → gates, and [h, 1] → values."""
        outputs = self.units if self.arm == "fast_rnn" else 4 * self.units
        memory = [LayerRequest(MEMORY, self.units, self.units)] if self.scratch else []
        return [
            LayerRequest("recurrent", self.features + self.units + 1, outputs, copies_down=self.copies),
            LayerRequest("dense", self.units + 1, self.values, copies_down=self.copies),
            *memory,
        ]

    def layer_siemens(self) -> dict[str, float]:
        """Return the conductance difference of 1 in layers that have one of their own [S]."""
        return {MEMORY: self.scratch_siemens} if self.scratch else {}

    def more_measures(self, net: nn.Module, test: Examples, seed: int) -> Mapping[str, Measure]:
        """Return the accuracy with A on scratch cells, and with A on the host beside it."""
        if not self.scratch:
            return {}
        return {"scratch": lambda: _on_scratch(self, net, test.first(self.scratch), seed)}

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.fast_weights import array_retriever

        return array_retriever(weights, self.features, self.arm, self.keep, self.learn, input_gain=self.input_gain)

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.fast_weights import twin_retriever

        return twin_retriever(
            self.features, self.units, self.values, self.arm, self.keep, self.learn,
            input_gain=self.input_gain, seed=seed,
        )  # fmt: skip

    def vectors_per_example(self) -> int:
        """Return one product per step, and one of the dense layer."""
        return steps_of(self.pairs) + 1


@dataclass(frozen=True, kw_only=True)
class FastWeightsResult(ClassifierResult):
    """A classifier's result, and what A did on scratch cells; ``scratch`` is empty without them."""

    scratch: dict[str, float]

    def metrics(self) -> dict[str, float]:
        """Return a classifier's, and those of the scratch cells."""
        return {**super().metrics(), **self.scratch}

    def section(self) -> Section:
        """Return a classifier's section, and how A on cells did."""
        section = super().section()
        if not self.scratch:
            return section
        said = self.scratch
        text = (
            f"{section.text}\n\nWith A on scratch cells {said['scratch_accuracy']:.1%} of {said['scratch_tested']:.0f} "
            f"sequences, asked one by one; the same sequences with the same weights and A on the host: "
            f"{said['host_memory_accuracy']:.1%}. A·r of the cells is {said['scratch_slope']:.2f} of the host's, "
            f"correlation {said['scratch_correlation']:.2f}."
        )
        return replace(section, text=text)


def _on_scratch(plan: FastWeightsPlan, net: nn.Module, test: Examples, seed: int) -> dict[str, float]:
    """Return what the trained network says with A on scratch cells, and with A on the host."""
    import torch

    from ..layers.scratch import ScratchMemory
    from ..networks.fast_weights import RetrievalNetwork, asked_on_scratch

    assert isinstance(net, RetrievalNetwork)
    weights, rule = net.dense.array_weights, plan.scratch_rule()
    assert isinstance(weights, ArrayWeights)
    array = weights.array
    rule.attach(weights)
    measure_answer(array, rule, weights.used)
    memory = ScratchMemory(weights, MEMORY, rule)
    memory.calibrate(_CYCLES, seed=seed)
    before = array.cost
    taken, (cells, host) = asked_on_scratch(net, memory, torch.from_numpy(test.x))
    spent = array.cost - before
    steps = len(test) * steps_of(plan.pairs)
    return {
        "scratch_accuracy": float((taken == test.label).mean()),
        "host_memory_accuracy": accuracy(net, test),
        "scratch_tested": float(len(test)),
        "scratch_slope": float(cells @ host / max(1e-30, float(host @ host))),
        "scratch_correlation": float(np.corrcoef(cells, host)[0, 1]),
        "scratch_transactions": spent.transactions / steps,
        "scratch_pulses": spent.pulses / steps,
    }


def train_fast_weights(array: CrossbarArray, plan: FastWeightsPlan, run: Run | None = None) -> FastWeightsResult:
    """Train a network with fast weights in situ on associative retrieval; a unit is ``checkpoint_every`` steps."""
    form = "associative retrieval" if plan.order == "pairs" else "associative retrieval, all keys first"
    title = f"{ARMS[plan.arm]}, trained on the array: {form}, K = {plan.pairs}"
    result = train_classifier(array, plan, run, title)
    scratch = {key: float(value) for key, value in result.record.measured.get("scratch", {}).items()}
    return FastWeightsResult(**vars(result), scratch=scratch)
