"""Parallel StackLSTM (Ding & Koehn, 2019) that says what is on top, and the LSTM without a stack beside it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.recurrent import ArrayRecurrent, TwinRecurrent
from ..layers.recurrent_cells import LstmCell
from ..layers.stack import StackedRecurrent

Arm = Literal["stack", "lstm"]


class TopNetwork(nn.Module):
    """A recurrent layer, stacked or not, and a dense layer on what it puts out at every step.

    Both are shown the same. With a stack the operations move its pointers; without one the layer has to make
    something of seeing them.
    """

    def __init__(self, recurrent: StackedRecurrent | ArrayRecurrent | TwinRecurrent, dense: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.dense = recurrent, dense

    def forward(self, x: Tensor, ops: Tensor) -> Tensor:
        """Return scores [batch, symbols, steps] of ``x`` [batch, steps, features] and operations [batch, steps]."""
        given = x.transpose(0, 1).contiguous()
        if isinstance(self.recurrent, StackedRecurrent):
            out = self.recurrent(given, ops.T)[0]
        else:
            out = self.recurrent(given)[0]
        return self.dense(out).permute(1, 2, 0)


def array_top_network(weights: ArrayWeights, features: int, arm: Arm, depth: int) -> TopNetwork:
    """Return the network on layers ``recurrent`` and ``dense`` of an array."""
    recurrent = ArrayRecurrent(weights, "recurrent", features=features, bias=True)
    stacked = StackedRecurrent(recurrent, depth) if arm == "stack" else recurrent
    return TopNetwork(stacked, ArrayLinear(weights, "dense", bias=True))


def twin_top_network(features: int, hidden: int, classes: int, arm: Arm, depth: int, *, seed: int) -> TopNetwork:
    """Return the network's float twin, initialised at random."""
    torch.manual_seed(seed)
    recurrent = TwinRecurrent(features, hidden, bias=True, cell=LstmCell())
    stacked = StackedRecurrent(recurrent, depth) if arm == "stack" else recurrent
    return TopNetwork(stacked, nn.Linear(hidden, classes))
