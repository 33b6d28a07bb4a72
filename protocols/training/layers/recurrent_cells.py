"""What a recurrent layer does between its products: the cells of RNN, GRU and LSTM, each a part one can replace.

A cell is a module that makes of the gates before their activation and of a state the next state. A state is a tuple of
tensors [batch, size], and its first is what the layer puts out. A cell of one's own is handed to the layer::

    model.rnn.layers[0].cell = MyCell()          # an activation alone: model.rnn.layers[0].cell.activation = torch.sin

What else is added to the gates before their activation, a memory that is read for one, is an :class:`ExtraInput`.
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
        """Return the state after a step, of the products [batch, outputs]."""
        raise NotImplementedError

    def outputs(self, hidden: int) -> int:
        """Return the outputs of the product that ``hidden`` units take."""
        return self.gates * hidden

    def start(self, batch: int, hidden: int) -> State:
        """Return the state of ``batch`` sequences before their first step."""
        return tuple(torch.zeros(batch, hidden) for _ in range(self.states))


class ExtraInput(nn.Module):
    """What is added to the gates before their activation, beside the products of the array; itself it adds nothing.

    It may carry tensors of its own from step to step, [batch, …] each, which follow the cell's in a layer's state.
    """

    def start(self, batch: int, hidden: int) -> State:
        """Return its own tensors before the first step."""
        return ()

    def forward(self, products: Tensor, state: State, own: State) -> tuple[Tensor, State]:
        """Return the gates before their activation, and its own tensors after the step.

        Parameters
        ----------
        products : [batch, outputs], of inputs and state; of the inputs alone for a cell that takes them apart
        state : of the cell, before the step
        own : its own tensors, before the step
        """
        return products, own


class RnnCell(RecurrentCell):
    """h = activation(W x + U h + b)."""

    def __init__(self, activation: Activation = torch.tanh) -> None:
        super().__init__()
        self.activation = activation

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        """Return (h,)."""
        return (self.activation(products[0]),)


class LstmCell(RecurrentCell):
    """c = f·c + i·g, h = o·activation(c); gates in torch's order i, f, g, o.

    Parameters
    ----------
    activation : of the cell state
    gate : of i, f and o
    candidate : of g; ``activation`` for None
    """

    gates, states = 4, 2

    def __init__(
        self,
        activation: Activation = torch.tanh,
        gate: Activation = torch.sigmoid,
        candidate: Activation | None = None,
    ) -> None:
        super().__init__()
        self.activation, self.gate, self.candidate = activation, gate, candidate

    @property
    def plain(self) -> bool:
        """Whether this is torch's cell, which is compiled."""
        own = type(self) is LstmCell and self.candidate in {None, torch.tanh}
        return own and self.activation is torch.tanh and self.gate is torch.sigmoid

    def activated(self, product: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return i, f, g, o [batch, hidden]; to be replaced where every column has an activation of its own."""
        i, f, g, o = product.chunk(4, 1)
        return self.gate(i), self.gate(f), (self.candidate or self.activation)(g), self.gate(o)

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        """Return (h, c)."""
        i, f, g, o = self.activated(products[0])
        c = f * state[1] + i * g
        return o * self.activation(c), c


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
