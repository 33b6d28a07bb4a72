"""Stacks of a recurrent layer's states, of all sequences of a batch at once: pointers select, nothing branches.

Every step takes the state at the top of every sequence's stack, **always** computes the next one, **always** puts it
into the slot above the top, and then moves each pointer by its own operation: up (push), down (pop) or not at all
(hold). What was not pushed, or was popped, stays in its slot until a push takes its place, and no pointer gets there
before.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ....common.errors import RefusedError
from .recurrent import ArrayRecurrent, TwinRecurrent
from .recurrent_cells import State

PUSH, HOLD, POP = 1, 0, -1


@dataclass(frozen=True)
class Stacks:
    """The stacks of a batch.

    Attributes
    ----------
    held : tensors [depth + 2, batch, size] of the layer's state
        Slot 0 is the state of an empty stack; the last one takes what a full stack computes and cannot push.
    at : [batch], whole numbers
        The slot of each sequence's top, which is how many states its stack holds.
    """

    held: State
    at: Tensor

    @property
    def tops(self) -> State:
        """The state at the top of every stack, [batch, size] each."""
        rows = torch.arange(len(self.at))
        return tuple(one[self.at, rows] for one in self.held)


class StackedRecurrent(nn.Module):
    """A recurrent layer whose state of the step before is that at the top of a stack.

    Parameters
    ----------
    recurrent : the layer, on an array or its float twin
    depth : states a stack can hold
    """

    def __init__(self, recurrent: ArrayRecurrent | TwinRecurrent, depth: int) -> None:
        super().__init__()
        if depth < 1:
            raise RefusedError(f"a stack of depth {depth} holds nothing: 1 or more")
        self.recurrent, self.depth = recurrent, depth

    def empty(self, batch: int) -> Stacks:
        """Return the stacks of ``batch`` sequences that hold nothing."""
        start = self.recurrent.recurrence.cell.start(batch, self.recurrent.hidden)
        held = tuple(one[None].repeat(self.depth + 2, *(1 for _ in one.shape)) for one in start)
        return Stacks(held, torch.zeros(batch, dtype=torch.int64))

    def moved(self, stacks: Stacks, ops: Tensor) -> Stacks:
        """Return stacks whose pointers went by ``ops`` [batch], without a product: for pops and holds alone."""
        return Stacks(stacks.held, self._pointers(stacks.at, ops))

    def step(self, x: Tensor, ops: Tensor, stacks: Stacks) -> Stacks:
        """Return the stacks after ``x`` [batch, features] was computed on all tops and ``ops`` [batch] were done.

        Raises
        ------
        RefusedError
            For a push onto a full stack, a pop of an empty one, or what is no operation; nothing was multiplied.
        """
        after = self._pointers(stacks.at, ops)
        new = self.recurrent.recurrence.step(x, stacks.tops)
        above = stacks.at + 1, torch.arange(len(ops))
        return Stacks(tuple(one.index_put(above, put) for one, put in zip(stacks.held, new, strict=True)), after)

    def forward(self, x: Tensor, ops: Tensor, stacks: Stacks | None = None) -> tuple[Tensor, Stacks]:
        """Return what is at the tops after every step [steps, batch, hidden], and the stacks after the last.

        Parameters
        ----------
        x : [steps, batch, features]
        ops : [steps, batch] of 1 (push), 0 (hold), −1 (pop)
        stacks : to begin with, empty ones for None
        """
        if ops.shape != x.shape[:2] or not len(ops):
            raise RefusedError(
                f"a stack takes one operation per input: {list(x.shape[:2])} [steps, batch] or more than none, not "
                f"{list(ops.shape)}"
            )
        now = self.empty(x.shape[1]) if stacks is None else stacks
        outs: list[Tensor] = []
        for given, op in zip(x, ops, strict=True):
            now = self.step(given, op, now)
            outs.append(now.tops[0])
        return torch.stack(outs), now

    def _pointers(self, at: Tensor, ops: Tensor) -> Tensor:
        """Return the pointers after ``ops``, or refuse them, naming the first sequence that cannot."""
        after = at + ops
        bad = (ops.abs() > 1) | (after < 0) | (after > self.depth)
        if not bool(bad.any()):
            return after
        first = int(bad.nonzero()[0])
        op, height = int(ops[first]), int(at[first])
        if abs(op) > 1:
            raise RefusedError(f"{op} is no operation of a stack (sequence {first}): 1 pushes, 0 holds, -1 pops")
        what = "push onto a full" if op > 0 else "pop of an empty"
        raise RefusedError(
            f"sequence {first} has {height} states on a stack of depth {self.depth}, and was to do a {what} one: take "
            f"a deeper stack, or hold there"
        )
