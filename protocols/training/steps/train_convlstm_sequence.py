"""Train the 850-weight convolutional LSTM in situ on sequences of handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..layers.weight_mapping import LayerRequest
from ..tasks.digits import load_digit_sequences
from ..tasks.labelled import LabelledData
from .classification import ClassifierPlan, ClassifierResult, train_classifier

if TYPE_CHECKING:
    from torch import nn

    from ..layers.array_weights import ArrayWeights


class ConvLstmPlan(ClassifierPlan):
    """Published settings by default: RMSprop 0.01, batches of 50, 2 epochs, loss on the last step."""

    refresh: bool = Field(default=False, description="SET all cells in every step, or only those that change")
    slope: float = Field(default=100e-6 / 1.5, gt=0, description="conductance per gate voltage of a SET [S/V]")
    gate_start: float = Field(default=1.6, gt=0, description="gate voltage of the first SET [V]")
    gate_low: float = Field(default=0.5, gt=0, description="lowest gate voltage of a SET [V]")
    gate_high: float = Field(default=2.4, gt=0, description="highest gate voltage of a SET [V]")

    def data(self) -> LabelledData:
        """Return sequences of three digits in one of six orders."""
        return load_digit_sequences()

    def layers(self) -> list[LayerRequest]:
        """Return all gates in one layer, [frame patch, state patch] → 4·5, and 45 → 6."""
        return [
            LayerRequest("gates", 29, 20, copies_across=self.copies),
            LayerRequest("dense", 45, 6, copies_across=self.copies),
        ]

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.convlstm import array_convlstm

        return array_convlstm(weights)

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.convlstm import twin_convlstm

        return twin_convlstm(6, seed=seed)

    def vectors_per_example(self) -> int:
        """Return the patches of three frames, and the dense layer."""
        return 3 * 36 + 1


def train_convlstm_sequence(array: CrossbarArray, plan: ConvLstmPlan, run: Run | None = None) -> ClassifierResult:
    """Train an 850-weight convolutional LSTM in situ on sequences of digits.

    A unit of work is ``checkpoint_every`` steps.
    """
    return train_classifier(array, plan, run, "Convolutional LSTM trained on the array: order of digits")
