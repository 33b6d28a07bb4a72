"""MbLSTM (Liu, Zeng, Wunsch 2020): an LSTM whose sigmoid and tanh are amplifiers that saturate.

σ̂(x) = clip(x/4 + ½, 0, 1) and tanĥ(x) = clip(x, −1, 1). The gates' and the candidate's are the output circuits of the
array, which hold x between ±2 and ±1 before it is converted; the host shifts and scales. tanĥ of the cell state, which
is no product of the array, is the host's.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....analysis.networks.circuits import SaturationCurves
from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.held_columns import HoldLevels
from ..layers.recurrent import ArrayRecurrent, TwinRecurrent
from ..layers.recurrent_cells import LstmCell
from .lstm import LstmClassifier

GATE_LEVEL, CANDIDATE_LEVEL = 2.0, 1.0
"""Where σ̂ and tanĥ are held, in weights times inputs."""


def clipped_sigmoid(x: Tensor) -> Tensor:
    """Return σ̂(x)."""
    return (0.25 * x + 0.5).clamp(0.0, 1.0)


def clipped_tanh(x: Tensor) -> Tensor:
    """Return tanĥ(x)."""
    return x.clamp(-1.0, 1.0)


def level_of(hidden: int) -> NDArray[np.float32]:
    """Return where the columns of i, f, g, o are held, [4·hidden]: between plus and minus this."""
    gate, candidate = np.full(hidden, GATE_LEVEL), np.full(hidden, CANDIDATE_LEVEL)
    return np.concatenate([gate, gate, candidate, gate]).astype(np.float32)


def levels_of(hidden: int) -> HoldLevels:
    """Return the lower and the upper levels, [4·hidden] each."""
    level = level_of(hidden)
    return -level, level


def cell_of(*, smooth: bool) -> LstmCell:
    """Return torch's cell, or that of σ̂ and tanĥ: what a circuit has clipped already is clipped without effect."""
    return LstmCell() if smooth else LstmCell(clipped_tanh, clipped_sigmoid)


class MeasuredCell(LstmCell):
    """The cell behind circuits as they were measured, each column's own: a twin computes what the array does."""

    def __init__(self, curves: SaturationCurves) -> None:
        super().__init__(clipped_tanh, clipped_sigmoid)
        self.curves = curves

    def activated(self, product: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return i, f, g, o."""
        held = self.curves.held(product.numpy())
        return super().activated(torch.from_numpy(held.astype(np.float32)))


def array_network(weights: ArrayWeights, features: int, hidden: int, *, smooth: bool, circuits: bool) -> LstmClassifier:
    """Return the classifier on layers ``lstm`` and ``dense`` of an array, a bias on both.

    Parameters
    ----------
    smooth : sigmoid and tanh on the host instead of σ̂ and tanĥ
    circuits : σ̂ and tanĥ of the products by the array's output circuits instead of the host
    """
    lstm = ArrayRecurrent(
        weights,
        "lstm",
        features=features,
        bias=True,
        cell=cell_of(smooth=smooth),
        levels=levels_of(hidden) if circuits else None,
    )
    return LstmClassifier(lstm, ArrayLinear(weights, "dense", bias=True))


def twin_network(
    features: int, hidden: int, classes: int, *, smooth: bool, seed: int, cell: LstmCell | None = None
) -> LstmClassifier:
    """Return the float twin, initialised at random; its activations are ideal unless it is given a cell."""
    torch.manual_seed(seed)
    lstm = TwinRecurrent(features, hidden, bias=True, cell=cell_of(smooth=smooth) if cell is None else cell)
    return LstmClassifier(lstm, nn.Linear(hidden, classes))


def give_weights(network: nn.Module, matrices: dict[str, NDArray[np.float64]]) -> None:
    """Give a float twin the weights [inputs, outputs] of ``lstm`` and ``dense``, the bias the last input."""
    assert isinstance(network, LstmClassifier)
    recurrent = network.lstm
    assert isinstance(recurrent, TwinRecurrent)
    places = {"lstm": recurrent.recurrence.product, "dense": network.dense}
    with torch.no_grad():
        for name, place in places.items():
            assert isinstance(place, nn.Linear)
            matrix = torch.from_numpy(matrices[name].astype(np.float32))
            place.weight.copy_(matrix[:-1].T)
            place.bias.copy_(matrix[-1])
