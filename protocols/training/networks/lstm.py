"""LSTM networks: one output per step, or one class per sequence."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.recurrent import ArrayRecurrent
from ..layers.recurrent_cells import State


class LstmRegressor(nn.Module):
    """One LSTM and one output per step; a bias on both layers. ``sigmoid`` as published, otherwise linear.

    ``lstm`` maps [steps, batch, features] to hidden states, ``dense`` those to [steps, batch, 1].
    """

    def __init__(self, lstm: nn.Module, dense: nn.Module, *, sigmoid: bool) -> None:
        super().__init__()
        self.lstm, self.dense, self.sigmoid = lstm, dense, sigmoid

    def forward(self, x: Tensor) -> Tensor:
        """Return [steps, batch] of ``x`` [steps, batch, features]."""
        out = self.dense(self.lstm(x)[0])[..., 0]
        return torch.sigmoid(out) if self.sigmoid else out


class LstmClassifier(nn.Module):
    """One LSTM without bias, and a dense layer on the hidden state of each sequence's last step, or of several."""

    def __init__(self, lstm: nn.Module, dense: nn.Module) -> None:
        super().__init__()
        self.lstm, self.dense = lstm, dense

    def forward(self, x: Tensor, length: Tensor) -> Tensor:
        """Return scores [batch, classes] of ``x`` [batch, steps, features]; ``length`` [batch] counts valid steps.

        With ``length`` [batch, items] they are of each sequence after so many steps, [batch, classes, items].
        """
        hidden = self.lstm(x[:, : int(length.max())].transpose(0, 1).contiguous())[0]
        scores = self.dense(hidden[length.t() - 1, torch.arange(len(x))])
        return scores if length.ndim == 1 else scores.permute(1, 2, 0)


class TwinLstm(nn.Module):
    """``nn.LSTM`` with the array's bias: one more input that is always 1, or none."""

    def __init__(self, features: int, hidden: int, *, bias: bool) -> None:
        super().__init__()
        self.bias = bias
        self.lstm = nn.LSTM(features + int(bias), hidden, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return what ``nn.LSTM`` does."""
        return self.lstm(torch.cat([x, torch.ones_like(x[..., :1])], -1) if self.bias else x, state)


def array_regressor(weights: ArrayWeights, features: int, *, sigmoid: bool) -> LstmRegressor:
    """Return the regressor on layers ``lstm`` and ``dense`` of an array."""
    lstm = ArrayRecurrent(weights, "lstm", features=features, bias=True)
    return LstmRegressor(lstm, ArrayLinear(weights, "dense", bias=True), sigmoid=sigmoid)


def twin_regressor(features: int, hidden: int, *, sigmoid: bool, seed: int) -> LstmRegressor:
    """Return the regressor's float twin, initialised at random."""
    torch.manual_seed(seed)
    return LstmRegressor(TwinLstm(features, hidden, bias=True), nn.Linear(hidden, 1), sigmoid=sigmoid)


def array_classifier(weights: ArrayWeights, features: int) -> LstmClassifier:
    """Return the classifier on layers ``lstm`` and ``dense`` of an array."""
    lstm = ArrayRecurrent(weights, "lstm", features=features, bias=False)
    return LstmClassifier(lstm, ArrayLinear(weights, "dense", bias=False))


def twin_classifier(features: int, hidden: int, classes: int, *, seed: int) -> LstmClassifier:
    """Return the classifier's float twin, initialised at random."""
    torch.manual_seed(seed)
    return LstmClassifier(TwinLstm(features, hidden, bias=False), nn.Linear(hidden, classes, bias=False))
