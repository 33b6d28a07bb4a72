"""Tops of a stack: symbols are pushed and popped, and after every step the one on top is to be said."""

from __future__ import annotations

import numpy as np

from ....common.errors import RefusedError
from .labelled import Examples, LabelledData, check_drawn

SHARES = (0.4, 0.3, 0.3)
"""How often a step pops, holds and pushes, as published."""
_DRAWN = 20190603
"""Seed of the sequences: data are the same in every run, as those of a file."""


def features_of(symbols: int) -> int:
    """Return the inputs of a step: one for every symbol, and one for each of pop, hold, push."""
    return symbols + 3


def stack_tops(*, symbols: int, depth: int, steps: int, train: int, test: int) -> LabelledData:
    """Return inputs [steps, symbols + 3] of ones and zeros, operations [steps] of −1, 0, 1, and labels [steps].

    Every step shows a symbol, whether it is pushed or not. The label is the symbol on top after the step; ``symbols``
    where there is none. A pop of an empty stack, and a push onto a full one, are drawn as holds.

    Parameters
    ----------
    symbols : to choose from
    depth : symbols a stack can hold
    steps : of a sequence
    train, test : sequences
    """
    if symbols < 2 or depth < 1 or steps < 1:
        raise RefusedError(
            f"tops of a stack of depth {depth}, {symbols} symbols and {steps} steps are nothing to learn: take 2 "
            "symbols or more, a depth of 1 or more, and 1 step or more"
        )
    check_drawn(train + test, max(steps, depth), features_of(symbols))
    total = train + test
    rng = np.random.default_rng([_DRAWN, symbols, depth, steps])
    shown = rng.integers(0, symbols, (total, steps))
    ops = rng.choice(np.array([-1, 0, 1]), (total, steps), p=SHARES)
    stacked = np.full((total, depth + 1), symbols)
    height, every = np.zeros(total, dtype=np.int64), np.arange(total)
    label = np.empty((total, steps), dtype=np.int64)
    for t in range(steps):
        after = height + ops[:, t]
        ops[(after < 0) | (after > depth), t] = 0
        height += ops[:, t]
        pushed = ops[:, t] > 0
        stacked[every[pushed], height[pushed]] = shown[pushed, t]
        label[:, t] = stacked[every, height]
    x = np.concatenate([np.eye(symbols)[shown], np.eye(3)[ops + 1]], 2).astype(np.float32)
    about = f"which of {symbols} symbols, or none, is on top of a stack of depth {depth} after each of {steps} steps"
    return LabelledData(
        "stack_tops", about, "drawn here", "CC0",
        Examples((x[:train], ops[:train]), label[:train]), Examples((x[train:], ops[train:]), label[train:]),
        names=(*(f"{n}" for n in range(symbols)), "none"), one="symbol on top",
    )  # fmt: skip
