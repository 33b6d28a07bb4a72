"""Train a fast-weight LSTM in situ on associative retrieval, beside its float twin; its rivals by the same step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..layers.weight_mapping import LayerRequest
from ..tasks.associative_retrieval import associative_retrieval, features_of, steps_of
from ..tasks.labelled import LabelledData
from .classification import ClassifierPlan, ClassifierResult, train_classifier

if TYPE_CHECKING:
    from torch import nn

    from ..layers.array_weights import ArrayWeights

ARMS = {"lstm": "LSTM", "fast_rnn": "Fast-weight RNN", "fast_lstm": "Fast-weight LSTM"}


class FastWeightsPlan(ClassifierPlan):
    """Slow weights on the array, the memory A on the host; sizes that fit one board."""

    arm: Literal["lstm", "fast_rnn", "fast_lstm"] = Field(
        default="fast_lstm", description="what learns: an LSTM or an RNN with fast weights, or an LSTM without"
    )
    pairs: int = Field(default=4, ge=1, description="keys with a value each in a sequence, K")
    order: Literal["pairs", "keys_first"] = Field(
        default="pairs", description="every key before its value (ART), or all keys and then all values (mART)"
    )
    letters: int = Field(default=8, ge=1, description="keys to choose from")
    values: int = Field(default=4, ge=2, description="values to choose from")
    hidden: int = Field(
        default=14, ge=2, description="units of the LSTM; the RNN has as many as come nearest to its weights"
    )
    keep: float = Field(default=0.95, ge=0, le=1, description="share of A that stays from one step to the next, λ")
    learn: float = Field(default=0.5, gt=0, description="what a step adds to A, η in η·r·rᵀ")
    sequences: int = Field(default=4000, ge=1, description="sequences that are drawn to train on")
    tested: int = Field(default=500, ge=1, description="other sequences that are drawn to test on")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="adam", description="on the host")
    rate: float = Field(default=0.02, gt=0, description="learning rate")
    start_weights: Literal["rule", "twin"] = Field(
        default="twin", description="weights of the first step: as the rule starts, or the float twin's, written first"
    )
    epochs: int = Field(default=10, ge=1, description="passes over the training set")
    checkpoint_every: int = Field(default=20, ge=1, description="steps from one checkpoint to the next")
    criterion: float | None = Field(
        default=0.9, gt=0, le=1, description="test accuracy of a checkpoint from which on the task counts as learned"
    )

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
        return [
            LayerRequest("recurrent", self.features + self.units + 1, outputs, copies_down=self.copies),
            LayerRequest("dense", self.units + 1, self.values, copies_down=self.copies),
        ]

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.fast_weights import array_retriever

        return array_retriever(weights, self.features, self.arm, self.keep, self.learn)

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.fast_weights import twin_retriever

        return twin_retriever(self.features, self.units, self.values, self.arm, self.keep, self.learn, seed=seed)

    def vectors_per_example(self) -> int:
        """Return one product per step, and one of the dense layer."""
        return steps_of(self.pairs) + 1


def train_fast_weights(array: CrossbarArray, plan: FastWeightsPlan, run: Run | None = None) -> ClassifierResult:
    """Train a network with fast weights in situ on associative retrieval; a unit is ``checkpoint_every`` steps."""
    form = "associative retrieval" if plan.order == "pairs" else "associative retrieval, all keys first"
    return train_classifier(array, plan, run, f"{ARMS[plan.arm]}, trained on the array: {form}, K = {plan.pairs}")
