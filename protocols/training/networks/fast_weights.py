"""Fast-weight LSTM and RNN (Keller, Sridhar, Wang 2018), and the LSTM beside them: one answer after a sequence."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.fast_weights import FastWeights, normed_relu
from ..layers.recurrent import ArrayRecurrent, TwinRecurrent
from ..layers.recurrent_cells import ExtraInput, LstmCell, RecurrentCell, RnnCell

Arm = Literal["lstm", "fast_rnn", "fast_lstm"]
_CANDIDATE = 2
"""Part of an LSTM's gates i, f, g, o that is read into."""
_INPUT_SPREAD, _BEFORE = 0.5, 0.25


class RetrievalNetwork(nn.Module):
    """A recurrent layer, and a dense layer on what it puts out at the last step."""

    def __init__(self, recurrent: nn.Module, dense: nn.Module) -> None:
        super().__init__()
        self.recurrent, self.dense = recurrent, dense

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [batch, values] of ``x`` [batch, steps, features]."""
        return self.dense(self.recurrent(x.transpose(0, 1).contiguous())[0][-1])


def parts_of(arm: Arm, keep: float, learn: float) -> tuple[RecurrentCell, ExtraInput | None]:
    """Return the cell of an arm and its fast weights; None for the LSTM, which has none."""
    if arm == "lstm":
        return LstmCell(), None
    if arm == "fast_rnn":
        return RnnCell(normed_relu), FastWeights(keep, learn)
    return LstmCell(candidate=normed_relu), FastWeights(keep, learn, part=_CANDIDATE)


def array_retriever(weights: ArrayWeights, features: int, arm: Arm, keep: float, learn: float) -> RetrievalNetwork:
    """Return the network on layers ``recurrent`` and ``dense`` of an array; A is the host's.

    Rectified and normed units go beyond 1: every vector is scaled, so that none is cut.
    """
    cell, extra = parts_of(arm, keep, learn)
    recurrent = ArrayRecurrent(
        weights, "recurrent", features=features, bias=True, cell=cell, extra=extra, scale="vector"
    )
    return RetrievalNetwork(recurrent, ArrayLinear(weights, "dense", bias=True, scale="vector"))


def twin_retriever(
    features: int, hidden: int, values: int, arm: Arm, keep: float, learn: float, *, seed: int
) -> RetrievalNetwork:
    """Return the network's float twin: at random, and what was before is shown to the units that show what is now.

    The part that A is read into begins with inputs of ``_INPUT_SPREAD`` and ``_BEFORE`` times the identity for the
    state, so that r holds a key beside its value from the start. Same for every arm.
    """
    torch.manual_seed(seed)
    cell, extra = parts_of(arm, keep, learn)
    recurrent = TwinRecurrent(features, hidden, bias=True, cell=cell, extra=extra)
    part = 0 if arm == "fast_rnn" else _CANDIDATE
    weight = recurrent.recurrence.product.weight
    with torch.no_grad():
        weight[part * hidden : (part + 1) * hidden, :features] = _INPUT_SPREAD * torch.randn(hidden, features)
        weight[part * hidden : (part + 1) * hidden, features:] = _BEFORE * torch.eye(hidden)
    return RetrievalNetwork(recurrent, nn.Linear(hidden, values))
