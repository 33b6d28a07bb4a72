"""Train a classifier in situ, beside its float twin and the commonest class: the same for every network and task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import CrossbarArray, FloatArray
from ...keeping.run import Run
from ..tasks.labelled import Examples, LabelledData
from ..threads import one_thread
from .batches import BatchLoss, BatchPlan, train_in_batches, train_twin
from .training_record import Measure, TrainingRecord

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor, nn

    from ....analysis.report.report import Section

# Examples of one message at an evaluation, and those behind the curve and the training accuracy.
_CHUNK, _CURVE, _TRAIN = 500, 1000, 10_000
RIVALS = {
    "float_twin_accuracy": "its float twin",
    "majority_accuracy": "chance, the commonest class",
    "bigram_accuracy": "a table of pairs",
}


class ClassifierPlan(BatchPlan):
    """Epochs of batches; a softmax over the last layer."""

    train_examples: int | None = Field(default=None, ge=1, description="only the first so many train; all by default")
    test_examples: int | None = Field(default=None, ge=1, description="only the first so many test; all by default")
    evaluations: int = Field(default=3, ge=1, description="passes over the test set behind the accuracy, its median")
    criterion: float | None = Field(
        default=None, gt=0, le=1, description="test accuracy of a checkpoint from which on the task counts as learned"
    )

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        found = super().measures() | {"test_accuracy", "train_accuracy", "majority_accuracy", "test_examples"}
        learned = {"steps_to_criterion"} if self.criterion is not None else set[str]()
        twin = {"float_twin_accuracy", "accuracy_over_twin"} | {f"float_twin_{key}" for key in learned}
        return found | learned | (twin if self.twin else set())

    def data(self) -> LabelledData:
        """Return the task's data, all of them."""
        raise NotImplementedError

    def more_measures(self, net: nn.Module, test: Examples, seed: int) -> Mapping[str, Measure]:
        """Return what else is measured of the trained network on the array, a unit of work each."""
        return {}

    def examples(self) -> int:
        """Return the training examples there are, or as many as are wanted."""
        return len(self.data().train.first(self.train_examples))

    def check(self, spec: ArraySpec) -> None:
        """Refuse missing data too."""
        self.data()
        super().check(spec)


@dataclass(frozen=True, kw_only=True)
class ClassifierResult:
    """How the test set was classified.

    ``confusion`` [classes, classes] counts what each class (rows) was taken for, summed over the evaluations.
    """

    title: str
    record: TrainingRecord
    data: LabelledData
    confusion: NDArray[np.int64]
    figures: dict[str, float]

    @property
    def frame(self) -> DataFrame:
        """One line per class: examples and the fraction that was recognised."""
        from pandas import DataFrame

        total = self.confusion.sum(1)
        return DataFrame(
            {"class": np.arange(len(total)), "recognised": self.confusion.diagonal() / np.maximum(1, total)}
        )

    def metrics(self) -> dict[str, float]:
        """Return accuracies and what a step cost, as docs/quantities.md defines them."""
        return {**self.figures, **self.record.metrics()}

    def section(self) -> Section:
        """Return accuracy, confusion, learning curve and floor plan as a part of the report."""
        from pandas import DataFrame

        from ....analysis.networks.training import confusion_map
        from ....analysis.report.report import Section

        names = {
            "test_accuracy": "on the array",
            "float_twin_accuracy": "its float twin",
            "majority_accuracy": "chance: always the commonest class",
            "bigram_accuracy": "what most often followed the last one",
        }
        rows = {name: key for key, name in names.items() if key in self.figures}
        table = DataFrame(
            {"classifier": list(rows), "test accuracy": [f"{self.figures[k]:.2%}" for k in rows.values()]}
        )
        beside = " and ".join(f"{self.figures[key]:.2%} by {who}" for key, who in RIVALS.items() if key in self.figures)
        text = (
            f"{self.figures['test_accuracy']:.2%} {self._of_what()} recognised, "
            f"every one multiplied on the array; {beside}.\n\n"
            f"{self.data.about[0].upper()}{self.data.about[1:]}. Source: {self.data.source}, {self.data.licence}."
        )
        lines = {who.removeprefix("its "): self.figures[key] for key, who in RIVALS.items() if key in self.figures}
        return Section(
            self.title,
            text,
            [
                (
                    f"What each {self.data.one} was taken for, all passes together.",
                    confusion_map(self.confusion, names=self.data.names, what=self.data.one),
                ),
                *self.record.pictures(lines),
            ],
            [("Accuracy on the test set.", table), self.record.cost_table()],
            leads=True,
        )

    def _of_what(self) -> str:
        each = f"{self.figures['test_examples']:,.0f} test examples"
        return f"of {each}" if self.data.test.label.ndim == 1 else f"of the {self.data.one}s of {each}"

    def __repr__(self) -> str:
        return f"<ClassifierResult {self.data.name}: {self.figures['test_accuracy']:.2%} of the test set>"


def train_classifier(array: CrossbarArray, plan: ClassifierPlan, run: Run | None, title: str) -> ClassifierResult:
    """Train a plan's network on the array; a unit of work is ``checkpoint_every`` steps."""
    plan.check(array.spec)
    with one_thread():
        return _train(array, plan, run, title)


def _train(array: CrossbarArray, plan: ClassifierPlan, run: Run | None, title: str) -> ClassifierResult:
    keep, data = Run.of(run), plan.data()
    train, test = data.train.first(plan.train_examples), data.test.first(plan.test_examples)
    seen = test.first(_CURVE)
    passes = [f"pass {number}" for number in range(plan.evaluations)]

    record = train_in_batches(
        array, plan, keep, _loss_of(train),
        curve_name="test_accuracy",
        curve_note=f"first {len(seen):,} of the test set" if len(seen) < len(test) else "",
        lines={"chance, the commonest class": data.majority_accuracy(plan.test_examples)},
        evaluate=lambda net: accuracy(net, seen),
        measure=lambda net: {
            **{name: lambda: {"taken": classes(net, test)} for name in passes},
            "training set": lambda: {"accuracy": accuracy(net, train.first(_TRAIN))},
            **plan.more_measures(net, test, keep.seed),
        },
        measure_twin=lambda twin: {"accuracy": accuracy(twin, test)},
        twin_curve=True,
    )  # fmt: skip
    taken = [record.measured[name]["taken"] for name in passes]
    confusion = np.zeros((data.classes, data.classes), dtype=np.int64)
    for one in taken:
        np.add.at(confusion, (test.label, one), 1)
    figures = {
        "test_accuracy": float(np.median([(one == test.label).mean() for one in taken])),
        "train_accuracy": float(record.measured["training set"]["accuracy"]),
        "majority_accuracy": data.majority_accuracy(plan.test_examples),
        **{name: rival(test) for name, rival in data.rivals.items()},
        "test_examples": float(len(test)),
    }
    if plan.twin:
        figures["float_twin_accuracy"] = float(record.measured["twin"]["accuracy"])
        figures["accuracy_over_twin"] = figures["test_accuracy"] / max(1e-9, figures["float_twin_accuracy"])
    if plan.criterion is not None:
        figures["steps_to_criterion"] = steps_to(plan.criterion, record.curve_step, record.curve)
        if plan.twin:
            figures["float_twin_steps_to_criterion"] = steps_to(plan.criterion, *record.twin_curve)
    return ClassifierResult(title=title, record=record, data=data, confusion=confusion, figures=figures)


def learn_as_twin(plan: ClassifierPlan, seed: int) -> dict[str, FloatArray]:
    """Train a plan's float twin alone; return its ``curve`` over ``curve_step``, as beside a training on the array."""
    data = plan.data()
    seen = data.test.first(plan.test_examples).first(_CURVE)
    with one_thread():
        loss = _loss_of(data.train.first(plan.train_examples))
        return train_twin(plan, seed, loss, lambda twin: accuracy(twin, seen))[1]


def _loss_of(train: Examples) -> BatchLoss:
    """Return the cross entropy of a batch of ``train``."""
    import torch
    from torch.nn import functional

    inputs, label = [torch.from_numpy(one) for one in train.inputs], torch.from_numpy(train.label)

    def loss(model: nn.Module, index: Tensor, step: int) -> Tensor:
        del step
        return functional.cross_entropy(model(*(one[index] for one in inputs)), label[index])

    return loss


def steps_to(criterion: float, step: FloatArray, value: FloatArray) -> float:
    """Return the updates at the first checkpoint whose value reached the criterion; not a number where none did."""
    reached = np.flatnonzero(value >= criterion)
    return float(step[reached[0]]) if reached.size else float("nan")


def classes(model: nn.Module, part: Examples) -> NDArray[np.int64]:
    """Return the class a model gives, shaped as the labels; multiplied on the array if that is where the model is."""
    import torch

    found: list[NDArray[np.int64]] = []
    with torch.no_grad():
        for first in range(0, len(part), _CHUNK):
            scores: Tensor = model(*(torch.from_numpy(one[first : first + _CHUNK]) for one in part.inputs))
            found.append(scores.numpy().argmax(1))
    return np.concatenate(found)


def accuracy(model: nn.Module, part: Examples) -> float:
    """Return the fraction of labels a model recognises."""
    return float((classes(model, part) == part.label).mean())
