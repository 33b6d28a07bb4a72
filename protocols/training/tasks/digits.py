"""Handwritten digits: MNIST at 8×8, and sequences of three of them in one of six orders."""

from __future__ import annotations

from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from .labelled import Examples, LabelledData
from .stored import load_stored

# Which digits the published sequences were made of is not known to us; these three are our choice.
SEQUENCE_DIGITS = (0, 1, 2)
_SHUFFLE = 20190911


def load_digits() -> LabelledData:
    """Return all 60,000 + 10,000 images [1, 8, 8] within ±1: full ink is +1, paper −1."""
    stored = load_stored("mnist_8x8")

    def part(which: str) -> Examples:
        return Examples((_scaled(stored[f"{which}_x"])[:, None],), stored[f"{which}_y"].astype(np.int64))

    about = "handwritten digits, MNIST cropped to 20 × 20 and resized to 8 × 8"
    return LabelledData(
        "mnist", about, str(stored["source"]), str(stored["licence"]), part("train"), part("test"), one="digit"
    )


def load_digit_sequences() -> LabelledData:
    """Return sequences [3, 1, 8, 8] of three different digits; the class is their order, one of six.

    Every image is used once, in an order drawn once and for all; orders take turns.
    """
    stored = load_stored("mnist_8x8")
    orders = list(permutations(range(3)))

    def part(which: str) -> Examples:
        images, digit = _scaled(stored[f"{which}_x"]), stored[f"{which}_y"]
        rng = np.random.default_rng(_SHUFFLE)
        piles = [rng.permutation(np.flatnonzero(digit == wanted)) for wanted in SEQUENCE_DIGITS]
        count = min(map(len, piles)) // len(orders) * len(orders)
        label = np.arange(count) % len(orders)
        chosen = np.stack([pile[:count] for pile in piles], 1)
        frames = np.take_along_axis(chosen, np.asarray(orders)[label], axis=1)
        return Examples((images[frames][:, :, None],), label.astype(np.int64))

    names = ", ".join(map(str, SEQUENCE_DIGITS))
    about = f"the order of three handwritten digits ({names}) that are shown one after the other"
    return LabelledData(
        "mnist_sequences", about, str(stored["source"]), str(stored["licence"]), part("train"), part("test"),
        names=tuple("".join(str(SEQUENCE_DIGITS[k]) for k in order) for order in orders), one="order of digits",
    )  # fmt: skip


def _scaled(images: NDArray[np.generic]) -> NDArray[np.float32]:
    return (np.asarray(images, dtype=np.float32) * np.float32(2.0 / 255.0) - np.float32(1.0)).astype(np.float32)
