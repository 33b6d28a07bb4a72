"""Train the 1,015-weight convolutional network in situ on handwritten digits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field

from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..layers.weight_mapping import LayerRequest
from ..tasks.digits import load_digits
from ..tasks.labelled import LabelledData
from .classification import ClassifierPlan, ClassifierResult, train_classifier

if TYPE_CHECKING:
    from torch import nn

    from ..layers.array_weights import ArrayWeights


class CnnPlan(ClassifierPlan):
    """Published settings by default: RMSprop 0.01, batches of 100, 2 epochs, two copies of every weight."""

    batch: int = Field(default=100, ge=1, description="images per update")
    copies: int = Field(default=2, ge=1, description="copies of every weight, averaged")
    conv2_rows_max: int = Field(default=120, ge=2, description="most rows of one piece of the second convolution")
    dense_rows_max: int = Field(default=86, ge=2, description="most rows of one piece of the dense layer")
    refresh: bool = Field(default=False, description="SET all cells in every step, or only those that change")
    slope: float = Field(default=100e-6 / 1.5, gt=0, description="conductance per gate voltage of a SET [S/V]")
    gate_start: float = Field(default=1.6, gt=0, description="gate voltage of the first SET [V]")
    gate_low: float = Field(default=0.5, gt=0, description="lowest gate voltage of a SET [V]")
    gate_high: float = Field(default=2.5, gt=0, description="highest gate voltage of a SET [V]")
    checkpoint_every: int = Field(default=100, ge=1, description="steps from one checkpoint to the next")

    def data(self) -> LabelledData:
        """Return all of MNIST at 8×8."""
        return load_digits()

    def layers(self) -> list[LayerRequest]:
        """Return the three layers; pairs interleaved by row, copies below (first) and beside (others), as published."""
        return [
            LayerRequest("conv2", 60, 4, copies_across=self.copies, rows_max=self.conv2_rows_max),
            LayerRequest("conv1", 9, 15, copies_down=self.copies),
            LayerRequest("dense", 64, 10, copies_across=self.copies, rows_max=self.dense_rows_max),
        ]

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        from ..networks.cnn import array_cnn

        return array_cnn(weights)

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        from ..networks.cnn import twin_cnn

        return twin_cnn(seed=seed)

    def vectors_per_example(self) -> int:
        """Return the patches of both convolutions, and the dense layer."""
        return 64 + 64 + 1


def train_cnn_mnist(array: CrossbarArray, plan: CnnPlan, run: Run | None = None) -> ClassifierResult:
    """Train a 1,015-weight CNN in situ on handwritten digits; a unit of work is ``checkpoint_every`` steps."""
    return train_classifier(array, plan, run, "Convolutional network trained on the array: handwritten digits")
