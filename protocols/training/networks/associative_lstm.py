"""Associative LSTM (Danihelka et al., 2016): a holographic memory of complex keys in the place of an LSTM's cells.

A complex number is a pair of neighbouring real ones: the array gives 2·n real outputs for n complex numbers. Copies of
the memory see keys in different orders, so that what crosstalk adds to a value differs from copy to copy and averages
out. Copies cost no weights.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ....common.errors import RefusedError
from ..layers.array_layers import ArrayLinear
from ..layers.array_weights import ArrayWeights
from ..layers.recurrent import ArrayRecurrent, TwinRecurrent
from ..layers.recurrent_cells import LstmCell, RecurrentCell, State

_ORDERS = 20160619
"""Seed of the permutations: they belong to the network's definition, and are the same in every run."""


def bound(z: Tensor) -> Tensor:
    """Return complex numbers of modulus 1 at most: z / max(1, |z|)."""
    return z / z.abs().clamp_min(1.0)


def complex_of(pairs: Tensor) -> Tensor:
    """Return [..., n] complex of [..., 2·n] real: real and imaginary part beside each other."""
    return torch.view_as_complex(pairs.contiguous().reshape(*pairs.shape[:-1], -1, 2))


def pairs_of(z: Tensor) -> Tensor:
    """Return [..., 2·n] real of [..., n] complex."""
    return torch.view_as_real(z).flatten(-2)


class HolographicMemory(nn.Module):
    """Traces [batch, copies, size], complex, that values are written into and read from by keys [batch, size].

    Parameters
    ----------
    size : complex numbers of a value
    copies : each has the keys in a fixed order of its own, the first as they are. Up to ``size`` of them no two have a
        number at the same place, so that what crosstalk adds to them is uncorrelated
    """

    orders: Tensor

    def __init__(self, size: int, copies: int) -> None:
        super().__init__()
        if copies < 1:
            raise RefusedError(f"a memory of {copies} copies holds nothing: 1 or more, as 1, 2, 4 or 8")
        if size < 1:
            raise RefusedError(f"a memory of {size} complex numbers holds nothing: 1 or more")
        rng = np.random.default_rng(_ORDERS)
        ring = rng.permutation(size)
        place = np.argsort(ring)
        turned = [ring[(place + turn) % size] for turn in range(min(copies, size))]
        drawn = np.stack([*turned, *(rng.permutation(size) for _ in range(copies - size))])
        self.size, self.copies = size, copies
        self.register_buffer("orders", torch.from_numpy(drawn), persistent=False)

    def empty(self, batch: int) -> Tensor:
        """Return traces that hold nothing."""
        return torch.zeros(batch, self.copies, self.size, dtype=torch.complex64)

    def written(self, trace: Tensor, key: Tensor, value: Tensor, keep: Tensor | float = 1.0) -> Tensor:
        """Return the traces after ``value`` was bound to ``key``; ``keep`` [batch, size] of what was there stays."""
        kept = keep[:, None] * trace if isinstance(keep, Tensor) else keep * trace
        return kept + key[:, self.orders] * value[:, None]

    def read(self, trace: Tensor, key: Tensor) -> Tensor:
        """Return [batch, size], averaged over the copies: the conjugate of a key gives back what was bound to it."""
        return (key[:, self.orders] * trace).mean(1)


class AssociativeCell(RecurrentCell):
    """c_s = f·c_s + (P_s r_i) ⊛ (i·u), h = o·bound(mean over s of (P_s r_o) ⊛ c_s); u, r_i and r_o are bounded.

    The product's outputs in order: f, i, o [size] each, then r_i, r_o, u [2·size] each. A state is h [batch, 2·size]
    and the traces [batch, copies, size], complex.
    """

    states = 2

    def __init__(self, hidden: int, copies: int) -> None:
        super().__init__()
        if hidden < 2 or hidden % 2:
            raise RefusedError(f"{hidden} hidden units are no pairs of real and imaginary parts: take an even number")
        self.memory = HolographicMemory(hidden // 2, copies)

    def outputs(self, hidden: int) -> int:
        """Return three gates of half the size, two keys and a value."""
        return 9 * hidden // 2

    def start(self, batch: int, hidden: int) -> State:
        """Return no output and empty traces."""
        return torch.zeros(batch, hidden), self.memory.empty(batch)

    def forward(self, products: tuple[Tensor, ...], state: State) -> State:
        """Return (h, traces)."""
        size = self.memory.size
        gates, rest = products[0][:, : 3 * size], products[0][:, 3 * size :]
        f, i, o = torch.sigmoid(gates).chunk(3, 1)
        r_in, r_out, u = bound(complex_of(rest)).chunk(3, 1)
        trace = self.memory.written(state[1], r_in, i * u, f)
        return pairs_of(o * bound(self.memory.read(trace, r_out))), trace


def retrieval_errors(size: int, copies: int, stored: int, draws: int, *, seed: int) -> NDArray[np.float64]:
    """Return [draws]: RMS error of a value read from a memory alone, over the RMS of the values stored.

    Values are normal, keys of modulus 1 at random angles; the value of the first key is read. Same values and keys for
    every number of copies.

    Parameters
    ----------
    stored : values in the memory
    draws : memories
    """
    rng = np.random.default_rng([seed, 0xA5])
    memory = HolographicMemory(size, copies)
    angle = rng.uniform(0.0, 2.0 * np.pi, (stored, draws, size))
    keys = torch.from_numpy(np.exp(1j * angle).astype(np.complex64))
    parts = rng.standard_normal((2, stored, draws, size)) / np.sqrt(2.0)
    values = torch.from_numpy((parts[0] + 1j * parts[1]).astype(np.complex64))
    trace = memory.empty(draws)
    for key, value in zip(keys, values, strict=True):
        trace = memory.written(trace, key, value)
    error = memory.read(trace, keys[0].conj()) - values[0]
    return error.abs().square().mean(1).sqrt().numpy().astype(np.float64)


class CopyNetwork(nn.Module):
    """A recurrent layer, and a dense layer on what it puts out at the last ``items`` steps."""

    def __init__(self, recurrent: nn.Module, dense: nn.Module, items: int) -> None:
        super().__init__()
        self.recurrent, self.dense, self.items = recurrent, dense, items

    def forward(self, x: Tensor) -> Tensor:
        """Return scores [batch, symbols, items] of ``x`` [batch, steps, features]."""
        out = self.recurrent(x.transpose(0, 1).contiguous())[0]
        return self.dense(out[-self.items :]).permute(1, 2, 0)


def cell_of(hidden: int, copies: int | None) -> RecurrentCell:
    """Return the associative cell, or an LSTM's for None."""
    return LstmCell() if copies is None else AssociativeCell(hidden, copies)


def array_copier(weights: ArrayWeights, features: int, hidden: int, copies: int | None, items: int) -> CopyNetwork:
    """Return the network on layers ``recurrent`` and ``dense`` of an array."""
    recurrent = ArrayRecurrent(weights, "recurrent", features=features, bias=True, cell=cell_of(hidden, copies))
    return CopyNetwork(recurrent, ArrayLinear(weights, "dense", bias=True), items)


def twin_copier(features: int, hidden: int, copies: int | None, items: int, symbols: int, *, seed: int) -> CopyNetwork:
    """Return the network's float twin, initialised at random."""
    torch.manual_seed(seed)
    recurrent = TwinRecurrent(features, hidden, bias=True, cell=cell_of(hidden, copies))
    return CopyNetwork(recurrent, nn.Linear(hidden, symbols), items)
