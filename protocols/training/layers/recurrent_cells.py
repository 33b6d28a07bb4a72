"""What a recurrent layer does between its products: the cells of RNN, GRU and LSTM, each a part one can replace.

A cell is a module that makes of the gates before their activation and of a state the next state. A state is a tuple of
tensors [batch, size], and its first is what the layer puts out. A cell of one's own is handed to the layer::

    model.rnn.layers[0].cell = MyCell()          # an activation alone: model.rnn.layers[0].cell.activation = torch.sin
"""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor, nn

State = tuple[Tensor, ...]
Activation = Callable[[Tensor], Tensor]


class RecurrentCell(nn.Module):
    """What all cells have in common.

    Attributes
    ----------
    gates : outputs of the product per hidden unit
    states : tensors of a state
    apart : bool
        Inputs and states are multiplied apart, and ``forward`` is given both products; otherwise it is given one.
    """

    gates: ClassVar[int] = 1
    states: ClassVar[int] = 1
    apart: ClassVar[bool] = False

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        """Return the state after a step, of the products [batch, gates·hidden]."""
        raise NotImplementedError


class RnnCell(RecurrentCell):
    """h = activation(W x + U h + b)."""

    def __init__(self, activation: Activation = torch.tanh) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        """Return (h,)."""
        return (self.activation(products[0]),)


class LstmCell(RecurrentCell):
    """c = f·c + i·g, h = o·activation(c); gates in torch's order i, f, g, o."""

    gates, states = 4, 2

    def __init__(self, activation: Activation = torch.tanh, gate: Activation = torch.sigmoid) -> None:
        super().__init__()
        self.activation, self.gate = activation, gate

    @property
    def plain(self) -> bool:
        """Whether this is torch's cell, which is compiled."""
        return type(self) is LstmCell and self.activation is torch.tanh and self.gate is torch.sigmoid

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        """Return (h, c)."""
        i, f, g, o = products[0].chunk(4, 1)
        c = self.gate(f) * state[1] + self.gate(i) * self.activation(g)
        return self.gate(o) * self.activation(c), c


class GruCell(RecurrentCell):
    """h = (1 − z)·n + z·h with n = activation(W x + b + r·(U h + b')): the reset gate stands behind the product.

    So the state's part of n is needed by itself. Gates in torch's order r, z, n.
    """

    gates, apart = 3, True

    def __init__(self, activation: Activation = torch.tanh, gate: Activation = torch.sigmoid) -> None:
        super().__init__()
        self.activation, self.gate = activation, gate

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        """Return (h,)."""
        (r_x, z_x, n_x), (r_h, z_h, n_h) = (product.chunk(3, 1) for product in products)
        z = self.gate(z_x + z_h)
        n = self.activation(n_x + self.gate(r_x + r_h) * n_h)
        return ((1.0 - z) * n + z * state[0],)
