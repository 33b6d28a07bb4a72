"""Tasks whose examples are drawn: what they say of themselves does not hang on which were drawn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.protocols.training.tasks.associative_retrieval import associative_retrieval
from xbarlab.protocols.training.tasks.episodic_copy import episodic_copy
from xbarlab.protocols.training.tasks.labelled import Examples, LabelledData
from xbarlab.protocols.training.tasks.stack_tops import stack_tops


@pytest.mark.parametrize(
    ("draw", "classes"),
    [
        (lambda n: episodic_copy(symbols=6, items=1, delay=0, train=n, test=1), 6),
        (lambda n: associative_retrieval(pairs=2, letters=4, values=5, order="pairs", train=n, test=1), 5),
        (lambda n: stack_tops(symbols=4, steps=3, depth=2, train=n, test=1), 5),
    ],
)
@pytest.mark.parametrize("train", [1, 2, 100])
def test_a_few_examples_leave_no_class_out(draw: Callable[[int], LabelledData], classes: int, train: int) -> None:
    data = draw(train)
    assert data.classes == classes
    assert len(data.train) == train


def test_classes_are_counted_over_both_parts_where_nobody_says_how_many_there_are() -> None:
    def part(*label: int) -> Examples:
        return Examples((np.zeros((len(label), 2), dtype=np.float32),), np.array(label))

    said = {"name": "own", "about": "", "source": "", "licence": "", "train": part(0, 1), "test": part(2)}
    assert LabelledData(**said).classes == 3
    with pytest.raises(RefusedError, match="2 names for 3 classes"):
        LabelledData(**said, names=("a", "b"))


@pytest.mark.parametrize(
    "draw",
    [
        lambda n: episodic_copy(symbols=4, items=50, delay=100, train=n, test=1),
        lambda n: associative_retrieval(pairs=100, letters=200, values=4, order="pairs", train=n, test=1),
        lambda n: stack_tops(symbols=4, steps=200, depth=200, train=n, test=1),
    ],
)
def test_more_than_a_machine_holds_is_refused_before_it_is_drawn(draw: Callable[[int], LabelledData]) -> None:
    with pytest.raises(
        RefusedError, match=r"10,000,001 sequences of \d+ steps .*: [\d,]+ sequences at most, or shorter"
    ):
        draw(10**7)


def test_the_commonest_class_is_counted_in_the_examples_that_are_tested() -> None:
    def part(*label: int) -> Examples:
        return Examples((np.zeros((len(label), 2), dtype=np.float32),), np.array(label))

    said = {"name": "own", "about": "", "source": "", "licence": ""}
    data = LabelledData(**said, train=part(1, 1, 0), test=part(1, 1, 0, 0, 0, 0, 0, 0))
    assert data.majority_accuracy() == 2 / 8
    assert data.majority_accuracy(2) == 1.0
    assert data.majority_accuracy(4) == 2 / 4
