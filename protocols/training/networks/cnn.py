"""The convolutional network of the in situ ConvNet (Wang et al. 2019): 1,015 weights, no biases."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers.array_layers import ArrayConv2d, ArrayLinear
from ..layers.array_weights import ArrayWeights

FILTERS, MAPS, CLASSES = 15, 4, 10
# A 2×2 kernel that keeps the size needs one more line; it goes below and to the right, as torch's "same" does, which
# says at every start that it copies.
_BELOW_RIGHT = (0, 1, 0, 1)


class DigitCnn(nn.Module):
    """8×8 → conv 3×3×15, ReLU → conv 2×2×4 → max-pool 2 → dense 10; all convolutions keep the size."""

    def __init__(self, conv1: nn.Module, conv2: nn.Module, dense: nn.Module) -> None:
        super().__init__()
        self.conv1, self.conv2, self.dense = conv1, conv2, dense

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [batch, 10] of images [batch, 1, 8, 8]."""
        out = self.conv2(functional.pad(torch.relu(self.conv1(x)), _BELOW_RIGHT))
        return self.dense(functional.max_pool2d(out, 2).flatten(1))


def array_cnn(weights: ArrayWeights) -> DigitCnn:
    """Return the network on layers ``conv1``, ``conv2`` and ``dense`` of an array.

    Images drive the rows as they are; what comes from a layer is scaled vector by vector to the full read voltage.
    """
    return DigitCnn(
        ArrayConv2d(weights, "conv1", bias=False, kernel=(3, 3), padding=(1, 1, 1, 1)),
        ArrayConv2d(weights, "conv2", bias=False, kernel=(2, 2), scale="vector"),
        ArrayLinear(weights, "dense", bias=False, scale="vector"),
    )  # fmt: skip


def twin_cnn(*, seed: int) -> DigitCnn:
    """Return the float twin, initialised at random."""
    torch.manual_seed(seed)
    return DigitCnn(
        nn.Conv2d(1, FILTERS, 3, padding=1, bias=False),
        nn.Conv2d(FILTERS, MAPS, 2, bias=False),
        nn.Linear(MAPS * 16, CLASSES, bias=False),
    )
