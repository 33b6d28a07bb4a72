"""Fast weights: a memory A that a recurrent layer writes at every step and reads into its own pre-activations.

r = ReLU(layer norm of the pre-activation), A ← λA + η r rᵀ, and A·r is added to the pre-activation. A is no parameter:
it is made anew for every sequence, and costs no weights.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ....common.errors import RefusedError
from .passes import Float32Array
from .recurrent_cells import ExtraInput, State
from .scratch import ScratchMemory


def normed_relu(x: Tensor) -> Tensor:
    """Return ReLU of ``x`` [batch, size] with mean 0 and variance 1 over its size, without gain and offset."""
    return functional.relu(functional.layer_norm(x, x.shape[-1:]))


class FastWeights(ExtraInput):
    """Adds A·r to a part of the gates, A ← ``keep``·A + ``learn``·r rᵀ; A [batch, hidden, hidden] is its own tensor.

    Parameters
    ----------
    keep : share of A that stays from one step to the next, λ
    learn : what a step adds, η
    part : which columns of the gates are written and read, of as many parts as they have; the candidate of an LSTM is
        part 2 of i, f, g, o
    """

    def __init__(self, keep: float = 0.95, learn: float = 0.5, part: int = 0) -> None:
        super().__init__()
        if not 0.0 <= keep <= 1.0:
            raise RefusedError(f"fast weights of which {keep:g} stays are none: a share of 0 to 1, as 0.95")
        if learn <= 0.0:
            raise RefusedError(f"fast weights that learn by {learn:g} hold nothing: more than 0, as 0.5")
        self.keep, self.learn, self.part = keep, learn, part

    def start(self, batch: int, hidden: int) -> State:
        """Return a memory that holds nothing."""
        return (torch.zeros(batch, hidden, hidden),)

    def forward(self, products: Tensor, state: State, own: State) -> tuple[Tensor, State]:
        """Return the gates with A·r in them, and A after the step."""
        hidden = own[0].shape[1]
        first, last = self.part * hidden, (self.part + 1) * hidden
        given = products[:, first:last]
        read, a = self.added(normed_relu(given), own)
        return torch.cat([products[:, :first], given + read, products[:, last:]], 1), (a,)

    def added(self, r: Tensor, own: State) -> tuple[Tensor, Tensor]:
        """Return A·r [batch, hidden], and A, both after ``r`` was written."""
        a = self.keep * own[0] + self.learn * r[:, :, None] * r[:, None]
        return (a @ r[:, :, None])[:, :, 0], a


class ScratchFastWeights(FastWeights):
    """Fast weights whose A is on cells: outer products write it, pulses decay it, products read it.

    One sequence at a time, and nothing is differentiated through it: it is for networks that have learned. What A
    would be on the host is carried along, and ``reads`` holds (A·r of the cells, A·r of the host) of every step.
    """

    def __init__(self, memory: ScratchMemory, keep: float = 0.95, learn: float = 0.5, part: int = 0) -> None:
        super().__init__(keep, learn, part)
        self.memory = memory
        self.reads: list[tuple[Float32Array, Float32Array]] = []

    def start(self, batch: int, hidden: int) -> State:
        """Clear the cells."""
        if batch != 1:
            raise RefusedError(f"fast weights on scratch cells are of one sequence: give 1, not a batch of {batch}")
        self.memory.clear()
        return super().start(batch, hidden)

    def added(self, r: Tensor, own: State) -> tuple[Tensor, Tensor]:
        """Return A·r as the cells have it, and what A would be on the host."""
        wanted, a = super().added(r, own)
        given = r.numpy()
        self.memory.decay(self.keep)
        self.memory.add(given, given, self.learn)
        read = self.memory.read(given)
        self.reads.append((read, wanted.numpy()))
        return torch.from_numpy(read), a
