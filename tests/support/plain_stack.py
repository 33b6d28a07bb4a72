"""A StackLSTM as one writes it for one sequence: a list, a loop, branches. What the parallel one must equal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch


def plain_stack(recurrence: Any, hidden: int, x: Any, ops: Sequence[int]) -> list[Any]:
    """Return the output [hidden] at the top after every step of one sequence; only a push computes anything.

    Parameters
    ----------
    recurrence : product and cell, as of a layer on an array
    x : [steps, features]
    ops : 1, 0 or −1 for each step
    """
    stack = [recurrence.cell.start(1, hidden)]
    outs: list[Any] = []
    for given, op in zip(x, ops, strict=True):
        if op == 1:
            stack.append(recurrence.step(given[None], stack[-1]))
        elif op == -1:
            stack.pop()
        outs.append(stack[-1][0][0])
    return outs


def plain_batch(recurrence: Any, hidden: int, x: Any, ops: Any) -> Any:
    """Return outputs [steps, batch, hidden] of ``x`` [steps, batch, features]: one sequence after another."""
    each = [plain_stack(recurrence, hidden, x[:, b], ops[:, b].tolist()) for b in range(x.shape[1])]
    return torch.stack([torch.stack(one) for one in each], 1)
