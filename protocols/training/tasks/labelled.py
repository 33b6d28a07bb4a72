"""Labelled examples: what every classification task gives to training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError


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


@dataclass(frozen=True)
class LabelledData:
    """Training and test set of one task; ``about``, ``source`` and ``licence`` in words.

    ``names`` are those of the classes, by label, and ``one`` what a class is; numbers and "class" without them.
    ``count`` is how many classes there are where neither names nor the examples drawn need show it.
    ``rivals`` are test accuracies that need no network, by their quantity.
    """

    name: str
    about: str
    source: str
    licence: str
    train: Examples
    test: Examples
    names: tuple[str, ...] = ()
    one: str = "class"
    rivals: Mapping[str, float] = field(default_factory=dict[str, float])
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

    @property
    def majority_accuracy(self) -> float:
        """Fraction of the test set that the commonest training class is."""
        commonest = np.bincount(self.train.label.ravel()).argmax()
        return float((self.test.label == commonest).mean())
