"""What counting characters predicts without a network: tables of the next character after the last few."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
_PRIORS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
"""Counts that are added to every character, of which one is chosen; times what the shorter table says."""


def table_loss(train: Codes, test: Codes, symbols: int, before: int, *, validation: Codes | None = None) -> float:
    """Return the cross-entropy [nats per character] of ``test`` by counts of ``train`` after ``before`` characters.

    p(c | context) = (n(context, c) + a·V·p'(c)) / (n(context) + a·V), where p' is the table of one character less and
    V the number of symbols; a is the one of a few that fits ``validation`` best, ``train`` itself without one.
    """
    judged = train if validation is None else validation
    losses = [float(_minus_log(train, judged, symbols, before, prior).mean()) for prior in _PRIORS]
    chosen = _PRIORS[int(np.argmin(losses))]
    return float(_minus_log(train, test, symbols, before, chosen)[1:].mean())


def table_floor(text: Codes, symbols: int, before: int) -> float:
    """Return the least cross-entropy [nats per character] that any table after ``before`` characters has on ``text``.

    It is that of the text's own counts, which no table that was not told the text can have: a floor.
    """
    context, following = _contexts(text, symbols, before)
    _, at, together = np.unique(context * symbols + following, return_inverse=True, return_counts=True)
    _, where, alone = np.unique(context, return_inverse=True, return_counts=True)
    return float(np.log(alone[where] / together[at]).mean())


def table_accuracy(train: Codes, test: Codes, symbols: int) -> float:
    """Return the fraction of ``test`` that is what most often came in ``train`` after the character before it."""
    context, following = _contexts(train, symbols, 1)
    counts = np.bincount(context * symbols + following, minlength=symbols * symbols).reshape(symbols, symbols)
    asked, wanted = _contexts(test, symbols, 1)
    return float((counts.argmax(1)[asked] == wanted).mean())


def _contexts(text: Codes, symbols: int, before: int) -> tuple[Codes, Codes]:
    """Return the number of what stands before a character, and the character, from the first whole context on."""
    count = len(text) - before
    context = np.zeros(count, dtype=np.int64)
    for n in range(before):
        context = context * symbols + text[n : n + count]
    return context, text[before:]


def _minus_log(train: Codes, test: Codes, symbols: int, before: int, prior: float) -> NDArray[np.float64]:
    """Return −ln p of every character of ``test``; the first few have shorter contexts."""
    return -np.log(_chances(train, test, symbols, before, prior))


def _chances(train: Codes, test: Codes, symbols: int, before: int, prior: float) -> NDArray[np.float64]:
    shorter = np.full(len(test), 1.0 / symbols) if before == 0 else _chances(train, test, symbols, before - 1, prior)
    context, following = _contexts(train, symbols, before)
    pairs, together = np.unique(context * symbols + following, return_counts=True)
    seen, alone = np.unique(context, return_counts=True)
    asked, wanted = _contexts(test, symbols, before)
    weight = prior * symbols
    chance = shorter.copy()
    chance[before:] = (_found(pairs, together, asked * symbols + wanted) + weight * shorter[before:]) / (
        _found(seen, alone, asked) + weight
    )
    return chance


def _found(keys: Codes, counts: Codes, asked: Codes) -> NDArray[np.float64]:
    """Return the counts of ``asked``, 0 for what is not among the sorted ``keys``."""
    at = np.minimum(np.searchsorted(keys, asked), len(keys) - 1)
    return np.where(keys[at] == asked, counts[at], 0).astype(np.float64)
