"""Fast-weight LSTM and RNN (Keller, Sridhar, Wang 2018), and the LSTM beside them: one answer after a sequence."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....common.errors import RefusedError
from ....instruments.capabilities import FloatArray
from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.fast_weights import FastWeights, ScratchFastWeights, normed_relu
from ..layers.recurrent import ArrayRecurrent, TwinRecurrent
from ..layers.recurrent_cells import LstmCell, RecurrentCell, RnnCell
from ..layers.scratch import ScratchMemory

Arm = Literal["lstm", "fast_rnn", "fast_lstm"]
_CANDIDATE = 2
"""Part of an LSTM's gates i, f, g, o that is read into."""
_INPUT_SPREAD: dict[Arm, float] = {"fast_rnn": 1.0, "fast_lstm": 0.5}
_BEFORE = 0.5
_GATES: dict[Arm, tuple[float, ...]] = {
    "lstm": (0.0, 1.0, 0.0, 0.0),
    "fast_rnn": (),
    "fast_lstm": (1.0, -1.0, 0.0, 1.0),
}
"""What is added to the biases of i, f, g, o before training."""


class RetrievalNetwork(nn.Module):
    """A recurrent layer on inputs times ``input_gain``, and a dense layer on what it puts out at the last step."""

    def __init__(self, recurrent: ArrayRecurrent | TwinRecurrent, dense: nn.Module, input_gain: float) -> None:
        super().__init__()
        self.recurrent, self.dense, self.input_gain = recurrent, dense, input_gain

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [batch, values] of ``x`` [batch, steps, features]."""
        return self.dense(self.recurrent(self.input_gain * x.transpose(0, 1).contiguous())[0][-1])


def parts_of(arm: Arm, keep: float, learn: float) -> tuple[RecurrentCell, FastWeights | None]:
    """Return the cell of an arm and its fast weights; None for the LSTM, which has none."""
    if arm == "lstm":
        return LstmCell(), None
    if arm == "fast_rnn":
        return RnnCell(normed_relu), FastWeights(keep, learn)
    return LstmCell(normed_relu), FastWeights(keep, learn, part=_CANDIDATE)


def array_retriever(
    weights: ArrayWeights, features: int, arm: Arm, keep: float, learn: float, *, input_gain: float
) -> RetrievalNetwork:
    """Return the network on layers ``recurrent`` and ``dense`` of an array; A is the host's.

    Rectified and normed units go beyond 1: every vector is scaled, so that none is cut.
    """
    cell, extra = parts_of(arm, keep, learn)
    recurrent = ArrayRecurrent(
        weights, "recurrent", features=features, bias=True, cell=cell, extra=extra, scale="vector"
    )
    return RetrievalNetwork(recurrent, ArrayLinear(weights, "dense", bias=True, scale="vector"), input_gain)


def twin_retriever(
    features: int, hidden: int, values: int, arm: Arm, keep: float, learn: float, *, input_gain: float, seed: int
) -> RetrievalNetwork:
    """Return the network's float twin, begun at random; each arm as it learns best among those tried.

    With fast weights the part that A is read into begins with ``_BEFORE`` times the identity for the state, so that r
    holds a key beside its value from the start, and gates that let through what is new. The LSTM begins as torch's
    does, its forget gate open. Weights of inputs begin as many times smaller as ``input_gain`` makes inputs larger.
    """
    torch.manual_seed(seed)
    cell, extra = parts_of(arm, keep, learn)
    recurrent = TwinRecurrent(features, hidden, bias=True, cell=cell, extra=extra)
    product = recurrent.recurrence.product
    bias = product.bias
    assert bias is not None
    with torch.no_grad():
        if extra is not None:
            part = slice(extra.part * hidden, (extra.part + 1) * hidden)
            product.weight[part, :features] = _INPUT_SPREAD[arm] * torch.randn(hidden, features)
            product.weight[part, features:] = _BEFORE * torch.eye(hidden)
        product.weight[:, :features] /= input_gain
        for n, start in enumerate(_GATES[arm]):
            bias[n * hidden : (n + 1) * hidden] += start
    return RetrievalNetwork(recurrent, nn.Linear(hidden, values), input_gain)


def asked_on_scratch(net: RetrievalNetwork, memory: ScratchMemory, x: Tensor) -> tuple[NDArray[np.int64], FloatArray]:
    """Return the values [sequences] a trained network on an array gives with A on scratch cells, one by one.

    Beside them [2, reads] what A·r was on the cells, and what it would have been on the host.
    """
    recurrence = net.recurrent.recurrence
    host = recurrence.extra
    if not isinstance(host, FastWeights):
        raise RefusedError("a network without fast weights has nothing to put on scratch cells: take fast_lstm")
    cells = ScratchFastWeights(memory, host.keep, host.learn, host.part)
    recurrence.extra = cells
    try:
        with torch.no_grad():
            taken = torch.cat([net(one[None]) for one in x]).argmax(1).numpy()
    finally:
        recurrence.extra = host
    pairs = np.stack([np.concatenate(one) for one in zip(*cells.reads, strict=True)])
    return taken, pairs.reshape(2, -1).astype(np.float64)
