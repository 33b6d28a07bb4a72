"""Train a parallel StackLSTM in situ to say what is on top of a stack, beside its float twin and a plain LSTM."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..layers.array_weights import ArrayWeights, ReadBack
from ..layers.weight_mapping import LayerRequest
from ..tasks.labelled import Examples, LabelledData
from ..tasks.stack_tops import features_of, stack_tops
from .classification import ClassifierPlan, ClassifierResult, classes, train_classifier
from .training_record import Measure

if TYPE_CHECKING:
    from numpy.typing import ArrayLike
    from torch import nn

    from ....analysis.report.report import Section

_COUNTED = 200
ARMS = {"stack": "Parallel StackLSTM", "lstm": "LSTM without a stack"}


class StackLstmPlan(ClassifierPlan):
    """Sizes that fit one board; Adam, as published."""

    arm: Literal["stack", "lstm"] = Field(
        default="stack", description="an LSTM on a stack, or one that has none and is shown the same"
    )
    symbols: int = Field(default=4, ge=2, description="symbols to choose from")
    depth: int = Field(default=6, ge=1, le=10_000, description="states a stack can hold")
    length: int = Field(default=16, ge=1, le=10_000, description="operations of a sequence")
    hidden: int = Field(default=12, ge=1, description="LSTM units")
    sequences: int = Field(default=3000, ge=1, le=1_000_000, description="sequences that are drawn to train on")
    tested: int = Field(default=500, ge=1, le=1_000_000, description="other sequences that are drawn to test on")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="adam", description="on the host")
    rate: float = Field(default=0.03, gt=0, description="learning rate")
    rate_end: float = Field(
        default=0.1, gt=0, le=1, description="learning rate of the last step, as a share of the first; a straight line"
    )
    start_weights: Literal["rule", "twin"] = Field(
        default="twin", description="weights of the first step: as the rule starts, or the float twin's, written first"
    )
    read_back: ReadBack = Field(default="products", description="as of every training step")
    epochs: int = Field(default=5, ge=1, description="passes over the training set")
    checkpoint_every: int = Field(default=20, ge=1, description="steps from one checkpoint to the next")
    criterion: float | None = Field(
        default=0.95, gt=0, le=1, description="test accuracy of a checkpoint from which on the task counts as learned"
    )

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return super().measures() | ({"reads_per_useful_push"} if self.arm == "stack" else frozenset[str]())

    def data(self) -> LabelledData:
        """Return sequences of operations."""
        return stack_tops(
            symbols=self.symbols, depth=self.depth, steps=self.length, train=self.sequences, test=self.tested
        )

    def layers(self) -> list[LayerRequest]:
        """Return [x, h, 1] → gates, and [h, 1] → symbols and none."""
        inputs = features_of(self.symbols) + self.hidden + 1
        return [
            LayerRequest("recurrent", inputs, 4 * self.hidden, copies_down=self.copies),
            LayerRequest("dense", self.hidden + 1, self.symbols + 1, copies_down=self.copies),
        ]

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.stack_lstm import array_top_network

        return array_top_network(weights, features_of(self.symbols), self.arm, self.depth)

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.stack_lstm import twin_top_network

        features = features_of(self.symbols)
        return twin_top_network(features, self.hidden, self.symbols + 1, self.arm, self.depth, seed=seed)

    def vectors_per_example(self) -> int:
        """Return a product of either layer per step."""
        return 2 * self.length

    def more_measures(self, net: nn.Module, test: Examples, seed: int) -> Mapping[str, Measure]:
        """Return what the array multiplied for the stacks of some test sequences, and how many of it were pushes."""
        if self.arm != "stack":
            return {}
        return {"pushes": lambda: _reads_and_pushes(net, test.first(_COUNTED))}


@dataclass(frozen=True, kw_only=True)
class StackLstmResult(ClassifierResult):
    """A classifier's result, and the vectors multiplied for a push; None without a stack."""

    reads_per_push: float | None

    def metrics(self) -> dict[str, float]:
        """Return a classifier's, and what always computing costs."""
        more = {} if self.reads_per_push is None else {"reads_per_useful_push": self.reads_per_push}
        return {**super().metrics(), **more}

    def section(self) -> Section:
        """Return a classifier's section, and what always computing costs."""
        section = super().section()
        if self.reads_per_push is None:
            return section
        text = (
            f"{section.text}\n\nEvery step is computed for every sequence, and what is not pushed is left to be "
            f"overwritten: the stacked layer multiplies {self.reads_per_push:.2f} vectors for each that is pushed."
        )
        return replace(section, text=text)


def _reads_and_pushes(net: nn.Module, part: Examples) -> dict[str, ArrayLike]:
    """Return the vectors that the stacked layer multiplied for ``part``, and the pushes in it."""
    from ..networks.stack_lstm import TopNetwork

    assert isinstance(net, TopNetwork)
    weights: Any = net.dense.array_weights
    assert isinstance(weights, ArrayWeights)
    before = weights.products["recurrent"]
    classes(net, part)
    return {"reads": weights.products["recurrent"] - before, "pushes": int((part.inputs[1] > 0).sum())}


def train_stack_lstm(array: CrossbarArray, plan: StackLstmPlan, run: Run | None = None) -> StackLstmResult:
    """Train a parallel StackLSTM in situ to say what is on top; a unit of work is ``checkpoint_every`` steps."""
    result = train_classifier(array, plan, run, f"{ARMS[plan.arm]}, trained on the array: the top of a stack")
    found = result.record.measured.get("pushes")
    each = None if found is None else float(found["reads"]) / max(1, int(found["pushes"]))
    return StackLstmResult(**vars(result), reads_per_push=each)
