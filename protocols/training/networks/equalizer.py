"""An LSTM that decides symbols one by one, and sees samples of the line and the decisions it made before."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.recurrent import ArrayRecurrent
from ..layers.recurrent_cells import State
from .lstm import TwinLstm

SHARPNESS = 8.0
"""Logit of a threshold that an output lies one spacing of the levels above."""


class FeedbackEqualizer(nn.Module):
    """LSTM → one output per symbol, on the scale of the symbols' levels; a bias on both layers.

    Parameters
    ----------
    lstm : maps [steps, batch, window + decisions] and a state to hidden states and the next state
    dense : maps hidden states to [steps, batch, 1]
    levels : [levels], rising
    decisions : how many of the last decisions are fed back
    """

    levels: Tensor

    def __init__(self, lstm: nn.Module, dense: nn.Module, levels: Tensor, decisions: int) -> None:
        super().__init__()
        self.lstm, self.dense, self.decisions = lstm, dense, decisions
        self.register_buffer("levels", levels)

    @property
    def thresholds(self) -> Tensor:
        """Where one level ends and the next begins."""
        return 0.5 * (self.levels[1:] + self.levels[:-1])

    def forward(self, windows: Tensor, fed: Tensor) -> Tensor:
        """Return outputs [batch, steps] of windows [batch, steps, window] and what was decided.

        Parameters
        ----------
        fed : [batch, decisions + steps], numbers of levels
            The symbols before the first one, which are known, and what is taken for the decision of each; the last is
            not looked at.
        """
        steps, level = windows.shape[1], self.levels[fed]
        before = [level[:, self.decisions - 1 - n : self.decisions - 1 - n + steps] for n in range(self.decisions)]
        x = torch.cat([windows, *(one[..., None] for one in before)], -1)
        return self.dense(self.lstm(x.transpose(0, 1).contiguous())[0])[..., 0].T

    def loss(self, windows: Tensor, fed: Tensor, wanted: Tensor) -> Tensor:
        """Return the cross-entropy of every threshold being on the right side; ``wanted`` [batch, steps]."""
        spacing = self.levels[1] - self.levels[0]
        logit = SHARPNESS / spacing * (self(windows, fed)[..., None] - self.thresholds)
        above = wanted[..., None] > torch.arange(len(self.levels) - 1)
        return functional.binary_cross_entropy_with_logits(logit, above.float())

    def operate(self, windows: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs and decisions [batch, steps], symbol by symbol: what is decided is what is fed back.

        Parameters
        ----------
        windows : [batch, steps, window]
        known : [batch, decisions], numbers of levels
            The symbols before the first one.
        """
        thresholds, state = self.thresholds, None
        last = [self.levels[known[:, -1 - n]] for n in range(self.decisions)]
        outputs: list[Tensor] = []
        decided: list[Tensor] = []
        with torch.no_grad():
            for window in windows.unbind(1):
                x = torch.cat([window, *(one[:, None] for one in last)], -1)
                hidden, state = self._step(x[None], state)
                outputs.append(self.dense(hidden)[0, :, 0])
                decided.append(torch.bucketize(outputs[-1], thresholds))
                last = [self.levels[decided[-1]], *last][: self.decisions]
        return torch.stack(outputs, 1), torch.stack(decided, 1)

    def _step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        return self.lstm(x, state)


def array_equalizer(weights: ArrayWeights, window: int, decisions: int, levels: Tensor) -> FeedbackEqualizer:
    """Return the equalizer on layers ``lstm`` and ``dense`` of an array."""
    lstm = ArrayRecurrent(weights, "lstm", features=window + decisions, bias=True)
    return FeedbackEqualizer(lstm, ArrayLinear(weights, "dense", bias=True), levels, decisions)


def twin_equalizer(window: int, decisions: int, hidden: int, levels: Tensor, *, seed: int) -> FeedbackEqualizer:
    """Return the equalizer's float twin, initialised at random."""
    torch.manual_seed(seed)
    return FeedbackEqualizer(TwinLstm(window + decisions, hidden, bias=True), nn.Linear(hidden, 1), levels, decisions)
