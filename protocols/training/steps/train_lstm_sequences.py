"""Train an LSTM in situ to classify sequences."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..layers.weight_mapping import LayerRequest
from ..tasks.labelled import LabelledData
from ..tasks.sequences import RIVALS, SequenceTask, load_sequences
from .classification import ClassifierPlan, ClassifierResult, train_classifier

if TYPE_CHECKING:
    from torch import nn

    from ..layers.array_weights import ArrayWeights


class SequencesPlan(ClassifierPlan):
    """Published settings by default: LSTM 14, no bias, RMSprop 0.01, batches of 50, loss on the last step."""

    task: SequenceTask = Field(default="japanese_vowels", description="which data")
    hidden: int = Field(default=14, ge=1, description="LSTM units")
    epochs: int = Field(default=50, ge=1, description="passes over the training set")
    checkpoint_every: int = Field(default=45, ge=1, description="steps from one checkpoint to the next")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return super().measures() | RIVALS.get(self.task, frozenset())

    def data(self) -> LabelledData:
        """Return the task's data."""
        return load_sequences(self.task)

    def layers(self) -> list[LayerRequest]:
        """Return [x, h] → 4·hidden and h → classes, plus rows above minus rows, as published."""
        data = self.data()
        inputs = data.train.x.shape[2] + self.hidden
        return [
            LayerRequest("lstm", inputs, 4 * self.hidden, "stacked", copies_down=self.copies),
            LayerRequest("dense", self.hidden, data.classes, "stacked", copies_down=self.copies),
        ]

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the LSTM on the array."""
        from ..networks.lstm import array_classifier

        return array_classifier(weights, self.data().train.x.shape[2])

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.lstm import twin_classifier

        data = self.data()
        return twin_classifier(data.train.x.shape[2], self.hidden, data.classes, seed=seed)

    def vectors_per_example(self) -> int:
        """Return one product per step, and one of the dense layer for each thing that is to be told."""
        data = self.data().train
        return data.x.shape[1] + data.label[0].size


def train_lstm_sequences(array: CrossbarArray, plan: SequencesPlan, run: Run | None = None) -> ClassifierResult:
    """Train an LSTM in situ to classify sequences; a unit of work is ``checkpoint_every`` steps."""
    return train_classifier(array, plan, run, f"LSTM trained on the array: {plan.task.replace('_', ' ')}")
