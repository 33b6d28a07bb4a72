"""Episodic copy: symbols, a delay, a delimiter, and then the same symbols again in the same order."""

from __future__ import annotations

import numpy as np

from ....common.errors import RefusedError
from .labelled import Examples, LabelledData, check_drawn

_DRAWN = 20160620
"""Seed of the sequences: data are the same in every run, as those of a file."""


def features_of(symbols: int) -> int:
    """Return the inputs of a step: one for every symbol, one for nothing, one for the delimiter."""
    return symbols + 2


def steps_of(items: int, delay: int) -> int:
    """Return the steps of a sequence."""
    return 2 * items + delay + 1


def episodic_copy(*, symbols: int, items: int, delay: int, train: int, test: int) -> LabelledData:
    """Return sequences [steps, symbols + 2] of ones and zeros; labels [items] are what is to be said at the end.

    Parameters
    ----------
    symbols : to choose from
    items : to remember
    delay : steps between the last item and the delimiter
    train, test : sequences
    """
    if symbols < 2 or items < 1 or delay < 0:
        raise RefusedError(
            f"episodic copy of {items} items of {symbols} symbols over {delay} steps is nothing to learn: take 2 "
            "symbols or more, 1 item or more, and a delay of 0 or more"
        )
    check_drawn(train + test, steps_of(items, delay), features_of(symbols))
    rng = np.random.default_rng([_DRAWN, symbols, items, delay])
    label = rng.integers(0, symbols, (train + test, items))
    shown = np.full((train + test, steps_of(items, delay)), symbols)
    shown[:, :items] = label
    shown[:, items + delay] = symbols + 1
    x = np.eye(features_of(symbols), dtype=np.float32)[shown]
    about = f"{items} symbols out of {symbols}, to be said again after {delay} steps and a delimiter"
    return LabelledData(
        "episodic_copy", about, "drawn here", "CC0",
        Examples((x[:train],), label[:train]), Examples((x[train:],), label[train:]), one="symbol", count=symbols,
    )  # fmt: skip
