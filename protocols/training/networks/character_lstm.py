"""LSTMs that say which character comes next."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.recurrent import ArrayRecurrent
from .lstm import TwinLstm


def lstm_names(depth: int) -> list[str]:
    """Return the layers of so many LSTMs on top of each other."""
    return [f"lstm{n + 1}" for n in range(depth)]


class CharacterLstm(nn.Module):
    """LSTMs on top of each other, each with a bias, and a dense layer to the scores of the characters.

    Every vector that is multiplied has a 1 in it, that of the bias, and nothing above it: its largest input is the
    drivers' whole range already, as noise management makes it.
    """

    def __init__(self, lstms: Sequence[nn.Module], dense: nn.Module, symbols: int) -> None:
        super().__init__()
        self.lstms, self.dense, self.symbols = nn.ModuleList(lstms), dense, symbols

    def forward(self, codes: Tensor) -> Tensor:
        """Return scores [steps, sequences, symbols] of what comes after each of ``codes`` [sequences, steps]."""
        x = functional.one_hot(codes.T, self.symbols).float().contiguous()
        for lstm in self.lstms:
            x = lstm(x)[0]
        return self.dense(x)

    def loss(self, codes: Tensor, following: Tensor) -> Tensor:
        """Return the cross-entropy [nats per character] of ``following`` [sequences, steps]."""
        return functional.cross_entropy(self(codes).reshape(-1, self.symbols), following.T.reshape(-1))


def array_characters(weights: ArrayWeights, symbols: int, hidden: int, depth: int) -> CharacterLstm:
    """Return the network on layers ``lstm1`` … and ``dense`` of an array."""
    lstms = [
        ArrayRecurrent(weights, name, features=hidden if n else symbols, bias=True)
        for n, name in enumerate(lstm_names(depth))
    ]
    return CharacterLstm(lstms, ArrayLinear(weights, "dense", bias=True), symbols)


def twin_characters(symbols: int, hidden: int, depth: int, *, seed: int) -> CharacterLstm:
    """Return its float twin, begun at random."""
    torch.manual_seed(seed)
    lstms = [TwinLstm(hidden if n else symbols, hidden, bias=True) for n in range(depth)]
    return CharacterLstm(lstms, nn.Linear(hidden, symbols), symbols)
