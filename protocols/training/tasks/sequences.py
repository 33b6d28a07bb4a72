"""Sequence classification: which data there are, within ±1, with the length of every sequence."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ....analysis.networks.character_tables import table_accuracy
from ....common.errors import RefusedError, unknown
from .character_text import SHIPPED, Codes, character_text, shown, windows
from .labelled import Examples, LabelledData
from .stored import load_stored

SequenceTask = Literal[
    "japanese_vowels", "spoken_digits", "person_identification", "iris", "digits_by_rows", "characters"
]

_SYMBOLS, _WINDOW = 30, 16
"""Of the characters: symbols of the alphabet, and characters of a sequence."""

ABOUT: dict[str, str] = {
    "japanese_vowels": "nine speakers, by 12 LPC cepstra of two vowels",
    "spoken_digits": "digits 0 to 9, by 13 MFCC in 20 steps; speakers are not named, so none is held out",
    "person_identification": "ten persons, by a watch's six inertial channels during shoulder exercises, mean and "
    "spread in 20 steps of 0.2 s; this is not the gait data of the publication, which are not public",
    "iris": "three species of iris, by four lengths of a flower, shown one after the other",
    "digits_by_rows": "handwritten digits of 8 × 8 pixels, shown row by row",
    "characters": "which character comes next, said after each of 16",
}

# What a class is; the labels are the numbers the data came with, from 0.
ONE: dict[str, str] = {
    "japanese_vowels": "speaker",
    "spoken_digits": "digit",
    "person_identification": "person",
    "iris": "species",
    "digits_by_rows": "digit",
    "characters": "character",
}

RIVALS: dict[str, frozenset[str]] = {"characters": frozenset({"bigram_accuracy"})}
"""What a task is held against that needs no network, besides the commonest class."""


def load_sequences(name: str) -> LabelledData:
    """Return a task's sequences with their lengths.

    Features are scaled by the training set: zero mean, three standard deviations to 1, cut at ±1; characters are one
    of so many inputs at 1. Their lengths are [examples, items], one for every character that is to be said.

    Raises
    ------
    RefusedError
        For a task that is unknown, or whose data are missing.
    """
    if name not in get_args(SequenceTask):
        raise RefusedError(unknown("task", name, get_args(SequenceTask)))
    if name == "characters":
        return _characters()
    stored = load_stored(name)
    valid = _valid(stored["train_x"], stored.get("train_length"))
    seen = stored["train_x"][valid].astype(np.float64)
    mean, unit = seen.mean(0), 3.0 * seen.std(0)

    def part(which: str) -> Examples:
        x, length = stored[f"{which}_x"], stored.get(f"{which}_length")
        inside = _valid(x, length)
        scaled = np.where(inside[..., None], np.clip((x - mean) / unit, -1.0, 1.0), 0.0)
        lengths = inside.sum(1).astype(np.int64)
        return Examples((scaled.astype(np.float32), lengths), stored[f"{which}_y"].astype(np.int64))

    source, licence = str(stored["source"]), str(stored["licence"])
    return LabelledData(name, ABOUT[name], source, licence, part("train"), part("test"), one=ONE[name])


@lru_cache(maxsize=1)
def _characters() -> LabelledData:
    """Return the shipped text in windows; a table of pairs is its rival."""
    text = character_text(SHIPPED, fold=True, characters=_SYMBOLS, validation=0.1, test=0.1)
    symbols = len(text.symbols)

    def part(codes: Codes) -> Examples:
        seen, following = windows(codes, _WINDOW)
        lengths = np.tile(np.arange(1, _WINDOW + 1, dtype=np.int64), (len(seen), 1))
        return Examples((np.eye(symbols, dtype=np.float32)[seen], lengths), following.copy())

    def by_pairs(part: Examples) -> float:
        return table_accuracy(text.train, text.test[: len(part) * _WINDOW + 1], symbols)

    return LabelledData(
        "characters", f"{ABOUT['characters']}; {text.about}", text.source, text.licence, part(text.train),
        part(text.test), names=tuple(map(shown, text.symbols)), one=ONE["characters"],
        rivals={"bigram_accuracy": by_pairs},
    )  # fmt: skip


def _valid(x: NDArray[np.generic], length: NDArray[np.generic] | None) -> NDArray[np.bool_]:
    if length is None:
        return np.ones(x.shape[:2], dtype=np.bool_)
    return np.arange(x.shape[1]) < np.asarray(length, dtype=np.int64)[:, None]
