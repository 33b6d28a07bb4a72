"""The convolutional LSTM of the in situ ConvLSTM (Wang et al. 2019): 850 weights, no biases."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers.array_layers import ArrayConvGates, ArrayLinear
from ..layers.array_weights import ArrayWeights

CHANNELS, INPUT_KERNEL, STATE_KERNEL = 5, 3, 2


class ConvLstm(nn.Module):
    """A convolutional LSTM over the frames of a sequence; c = f·c + i·g, h = o·tanh(c).

    ``gates`` maps a frame [batch, 1, 8, 8] and the state [batch, channels, 6, 6] to [batch, 4·channels, 6, 6], in
    torch's order i, f, g, o.
    """

    def __init__(self, gates: nn.Module, channels: int = CHANNELS) -> None:
        super().__init__()
        self.gates, self.channels = gates, channels

    def forward(self, x: Tensor) -> Tensor:
        """Return the last hidden state [batch, channels, 6, 6] of frames [batch, steps, 1, 8, 8]."""
        size = x.shape[-1] - INPUT_KERNEL + 1
        h = c = torch.zeros(len(x), self.channels, size, size)
        for frame in x.unbind(1):
            i, f, g, o = self.gates(frame, h).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        return h


class ConvLstmClassifier(nn.Module):
    """Convolutional LSTM → max-pool 2 → dense on the last state."""

    def __init__(self, convlstm: ConvLstm, dense: nn.Module) -> None:
        super().__init__()
        self.convlstm, self.dense = convlstm, dense

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [batch, classes] of frames [batch, steps, 1, 8, 8]."""
        return self.dense(functional.max_pool2d(self.convlstm(x), 2).flatten(1))


class _TwinGates(nn.Module):
    """The two convolutions of all gates, added; the state's keeps its size with a line below and to the right."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.of_input = nn.Conv2d(1, 4 * channels, INPUT_KERNEL, bias=False)
        self.of_state = nn.Conv2d(channels, 4 * channels, STATE_KERNEL, bias=False)

    def forward(self, frame: Tensor, state: Tensor) -> Tensor:
        return self.of_input(frame) + self.of_state(functional.pad(state, (0, 1, 0, 1)))


def array_convlstm(weights: ArrayWeights) -> ConvLstmClassifier:
    """Return the network on layers ``gates`` and ``dense`` of an array."""
    gates = ArrayConvGates(weights, "gates", input_kernel=INPUT_KERNEL, state_kernel=STATE_KERNEL, channels=CHANNELS)
    return ConvLstmClassifier(ConvLstm(gates), ArrayLinear(weights, "dense", bias=False, scale="vector"))


def twin_convlstm(classes: int, *, seed: int) -> ConvLstmClassifier:
    """Return the float twin, initialised at random."""
    torch.manual_seed(seed)
    return ConvLstmClassifier(ConvLstm(_TwinGates(CHANNELS)), nn.Linear(CHANNELS * 9, classes, bias=False))
