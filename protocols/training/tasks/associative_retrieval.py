"""Associative retrieval: keys with a value each, then a question for the value of one of the keys."""

from __future__ import annotations

from typing import Literal

import numpy as np

from ....common.errors import RefusedError
from .labelled import Examples, LabelledData, check_drawn

Order = Literal["pairs", "keys_first"]
_DRAWN = 20180409
"""Seed of the sequences: data are the same in every run, as those of a file."""


def features_of(letters: int, values: int) -> int:
    """Return the inputs of a step: one for every letter, one for every value, one for the question mark."""
    return letters + values + 1


def steps_of(pairs: int) -> int:
    """Return the steps of a sequence: its pairs, two question marks and the key that is asked for."""
    return 2 * pairs + 3


def associative_retrieval(
    *, pairs: int, letters: int, values: int, order: Order, train: int, test: int
) -> LabelledData:
    """Return sequences [steps, letters + values + 1] of ones and zeros; the label is the value of the key asked for.

    Parameters
    ----------
    pairs : K, keys with a value each; keys of a sequence are distinct
    letters, values : to choose from
    order : "pairs": every key before its value (ART); "keys_first": all keys, then all values (mART)
    train, test : sequences
    """
    if not 1 <= pairs <= letters:
        raise RefusedError(
            f"associative retrieval of {pairs} pairs with {letters} letters is no task: every pair has a letter of "
            f"its own, take 1 to {letters} pairs or more letters"
        )
    if values < 2:
        raise RefusedError(f"associative retrieval of {values} values leaves nothing to ask for: take 2 or more")
    check_drawn(train + test, steps_of(pairs), features_of(letters, values))
    total = train + test
    rng = np.random.default_rng([_DRAWN, pairs, letters, values, order == "pairs"])
    key = rng.permuted(np.tile(np.arange(letters), (total, 1)), axis=1)[:, :pairs]
    value, asked = rng.integers(0, values, (total, pairs)), rng.integers(0, pairs, total)
    shown = np.full((total, steps_of(pairs)), letters + values)
    at = np.arange(pairs)
    of_key, of_value = (2 * at, 2 * at + 1) if order == "pairs" else (at, pairs + at)
    shown[:, of_key], shown[:, of_value] = key, letters + value
    shown[:, -1] = key[np.arange(total), asked]
    x = np.eye(features_of(letters, values), dtype=np.float32)[shown]
    label = value[np.arange(total), asked]
    said = "each before its value" if order == "pairs" else "all before their values"
    about = f"{pairs} of {letters} letters, {said} out of {values}, and then the question for the value of one"
    return LabelledData(
        "associative_retrieval", about, "drawn here", "CC0",
        Examples((x[:train],), label[:train]), Examples((x[train:],), label[train:]), one="value", count=values,
    )  # fmt: skip
