"""Labelled examples: what every classification task gives to training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError

_NUMBERS_MAX = 1 << 28
"""Most numbers of the inputs of a task that is drawn: 1 GiB, and a few times that while they are drawn."""


@dataclass(frozen=True)
class Examples:
    """Examples of one kind: ``inputs`` are what a network is called with, each [examples, …].

    ``label`` is [examples], or [examples, items] where an example has several things to tell.
    """

    inputs: tuple[NDArray[Any], ...]
    label: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.label)

    def first(self, count: int | None) -> Examples:
        """Return the first ``count`` examples; all of them for None."""
        if count is None or count >= len(self):
            return self
        return Examples(tuple(one[:count] for one in self.inputs), self.label[:count])

    @property
    def x(self) -> NDArray[np.float32]:
        """The first input."""
        return self.inputs[0]


def check_drawn(examples: int, steps: int, features: int) -> None:
    """Refuse sequences [examples, steps, features] that take more than a few GB to draw."""
    most = _NUMBERS_MAX // (steps * features)
    if examples > most:
        raise RefusedError(
            f"{examples:,} sequences of {steps:,} steps with {features:,} inputs are more than this machine should "
            f"hold: {most:,} sequences at most, or shorter ones"
        )


@dataclass(frozen=True)
class LabelledData:
    """Training and test set of one task; ``about``, ``source`` and ``licence`` in words.

    ``names`` are those of the classes, by label, and ``one`` what a class is; numbers and "class" without them.
    ``count`` is how many classes there are where neither names nor the examples drawn need show it.
    ``rivals`` are accuracies that need no network, by their quantity, each of what of the test set is given to it.
    """

    name: str
    about: str
    source: str
    licence: str
    train: Examples
    test: Examples
    names: tuple[str, ...] = ()
    one: str = "class"
    rivals: Mapping[str, Callable[[Examples], float]] = field(default_factory=dict[str, Any])
    count: int = 0

    def __post_init__(self) -> None:
        for part in (self.train, self.test):
            if not len(part) or any(len(one) != len(part) for one in part.inputs):
                raise RefusedError(f"task {self.name}: inputs and labels must be as many, and not none")
        told, shown = len(self.names) or self.count, self._shown
        if told and told < shown:
            raise RefusedError(f"task {self.name}: {told} names for {shown} classes: give each one")

    @property
    def classes(self) -> int:
        """Number of classes, whether or not the examples have each of them."""
        return len(self.names) or self.count or self._shown

    @property
    def _shown(self) -> int:
        """Classes that the labels need."""
        return max(int(part.label.max()) for part in (self.train, self.test)) + 1

    def majority_accuracy(self, tested: int | None = None) -> float:
        """Return the fraction of the first ``tested`` test examples, or of all, of the commonest training class."""
        commonest = np.bincount(self.train.label.ravel()).argmax()
        return float((self.test.first(tested).label == commonest).mean())
