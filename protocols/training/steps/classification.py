"""Train a classifier in situ, beside its float twin and the commonest class: the same for every network and task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import CrossbarArray
from ...keeping.run import Run
from ..tasks.labelled import Examples, LabelledData
from ..threads import one_thread
from .training_plan import TrainingPlan, make_optimiser, outer_optimiser
from .training_record import TrainingRecord, train_in_units

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor, nn

    from ....analysis.report.report import Section
    from ..layers.array_weights import ArrayWeights

# Examples of one message at an evaluation, and those behind the curve and the training accuracy.
_CHUNK, _CURVE, _TRAIN = 500, 1000, 10_000
RIVALS = {"float_twin_accuracy": "its float twin", "majority_accuracy": "chance, the commonest class"}


class ClassifierPlan(TrainingPlan):
    """Epochs of batches; a softmax over the last layer."""

    epochs: int = Field(default=2, ge=1, description="passes over the training set")
    batch: int = Field(default=50, ge=1, description="examples per update")
    optimiser: Literal["rmsprop", "sgd", "adam"] = Field(default="rmsprop", description="on the host")
    rate: float = Field(default=0.01, gt=0, description="learning rate")
    rate_end: float = Field(
        default=1.0, gt=0, le=1, description="learning rate of the last step, as a share of the first; a straight line"
    )
    momentum: float = Field(default=0.0, ge=0, lt=1, description="momentum of the host's RMSprop or SGD")
    train_examples: int | None = Field(default=None, ge=1, description="only the first so many train; all by default")
    test_examples: int | None = Field(default=None, ge=1, description="only the first so many test; all by default")
    evaluations: int = Field(default=3, ge=1, description="passes over the test set behind the accuracy, its median")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        found = super().measures() | {"test_accuracy", "train_accuracy", "majority_accuracy", "test_examples"}
        return found | {"float_twin_accuracy", "accuracy_over_twin"} if self.twin else found

    def data(self) -> LabelledData:
        """Return the task's data, all of them."""
        raise NotImplementedError

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array."""
        raise NotImplementedError

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin."""
        raise NotImplementedError

    def vectors_per_example(self) -> int:
        """Return the products of one example."""
        raise NotImplementedError

    def steps_per_epoch(self) -> int:
        """Return the updates of one epoch."""
        return -(-len(self.data().train.first(self.train_examples)) // self.batch)

    def steps_max(self) -> int:
        """Return all updates."""
        return self.epochs * self.steps_per_epoch()

    def vectors_per_step(self) -> int:
        """Return the vectors of one batch."""
        return self.batch * self.vectors_per_example()

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
        }
        rows = {name: key for key, name in names.items() if key in self.figures}
        table = DataFrame(
            {"classifier": list(rows), "test accuracy": [f"{self.figures[k]:.2%}" for k in rows.values()]}
        )
        beside = " and ".join(f"{self.figures[key]:.2%} by {who}" for key, who in RIVALS.items() if key in self.figures)
        text = (
            f"{self.figures['test_accuracy']:.2%} of {self.figures['test_examples']:,.0f} test examples recognised, "
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

    def __repr__(self) -> str:
        return f"<ClassifierResult {self.data.name}: {self.figures['test_accuracy']:.2%} of the test set>"


def train_classifier(array: CrossbarArray, plan: ClassifierPlan, run: Run | None, title: str) -> ClassifierResult:
    """Train a plan's network on the array; a unit of work is ``checkpoint_every`` steps."""
    plan.check(array.spec)
    with one_thread():
        return _train(array, plan, run, title)


def _train(array: CrossbarArray, plan: ClassifierPlan, run: Run | None, title: str) -> ClassifierResult:
    import torch
    from torch.nn import functional

    from ..layers.array_weights import ArrayWeights
    from ..trainer import ArrayTrainer

    keep, data = Run.of(run), plan.data()
    train, test = data.train.first(plan.train_examples), data.test.first(plan.test_examples)
    inputs, label = [torch.from_numpy(one) for one in train.inputs], torch.from_numpy(train.label)
    per_epoch, total, losses = plan.steps_per_epoch(), plan.steps_max(), list[float]()

    def loss(model: nn.Module, index: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(model(*(one[index] for one in inputs)), wanted)

    def batch_of(step: int) -> Tensor:
        order = _order(keep.seed, step // per_epoch, len(train))
        at = step % per_epoch * plan.batch
        return torch.from_numpy(order[at : at + plan.batch])

    def rate_of(step: int) -> float:
        return plan.rate * (1.0 + (plan.rate_end - 1.0) * step / max(1, total - 1))

    floor = plan.floor(array.spec, keep.chip.healthy_of(array), keep.chip.shorted)
    weights = ArrayWeights(array, floor, siemens=plan.siemens, read_back=plan.read_back)
    net = plan.network(weights)
    make, rule = make_optimiser(plan.optimiser, plan.rate, plan.momentum), plan.update_rule()
    trainer = ArrayTrainer(
        net, weights, rule, outer_optimiser(plan.outer_rate) if rule.needs_samples else make, loss,
        seed=keep.seed, read_average=plan.read_average, reverse=plan.backward == "array",
    )  # fmt: skip

    def advance(step: int) -> dict[str, float]:
        share = rate_of(step) / plan.rate
        trainer.optimiser.param_groups[0]["lr"] = share * (plan.outer_rate if rule.needs_samples else plan.rate)
        index = batch_of(step)
        losses.append(trainer.step(index, label[index]))
        return {"train_loss": losses[-1]}

    seen = test.first(_CURVE)

    def twin() -> dict[str, Any]:
        trained = _trained_twin(plan.twin_network(keep.seed), make, loss, total, batch_of, rate_of, label)
        return {"accuracy": accuracy(trained, test)}

    passes = {f"pass {number}": lambda: {"taken": classes(net, test)} for number in range(plan.evaluations)}
    record = train_in_units(
        keep, trainer, plan, advance, losses,
        curve_name="test_accuracy",
        curve_note=f"first {len(seen):,} of the test set" if len(seen) < len(test) else "",
        lines={"chance, the commonest class": data.majority_accuracy},
        evaluate=lambda: accuracy(net, seen),
        measure={
            **passes,
            "training set": lambda: {"accuracy": accuracy(net, train.first(_TRAIN))},
        },
        compare={"twin": twin} if plan.twin else {},
    )  # fmt: skip
    taken = [record.measured[name]["taken"] for name in passes]
    confusion = np.zeros((data.classes, data.classes), dtype=np.int64)
    for one in taken:
        np.add.at(confusion, (test.label, one), 1)
    figures = {
        "test_accuracy": float(np.median([(one == test.label).mean() for one in taken])),
        "train_accuracy": float(record.measured["training set"]["accuracy"]),
        "majority_accuracy": data.majority_accuracy,
        "test_examples": float(len(test)),
    }
    if plan.twin:
        figures["float_twin_accuracy"] = float(record.measured["twin"]["accuracy"])
        figures["accuracy_over_twin"] = figures["test_accuracy"] / max(1e-9, figures["float_twin_accuracy"])
    return ClassifierResult(title=title, record=record, data=data, confusion=confusion, figures=figures)


def _trained_twin(
    twin: nn.Module,
    make: Callable[[list[Any]], Any],
    loss: Callable[[nn.Module, Tensor, Tensor], Tensor],
    total: int,
    batch_of: Callable[[int], Tensor],
    rate_of: Callable[[int], float],
    label: Tensor,
) -> nn.Module:
    """Return the twin after the same steps on the host."""
    optimiser = make(list(twin.parameters()))
    for step in range(total):
        optimiser.param_groups[0]["lr"] = rate_of(step)
        index = batch_of(step)
        optimiser.zero_grad()
        loss(twin, index, label[index]).backward()  # pyright: ignore[reportUnknownMemberType]
        optimiser.step()
    return twin


def classes(model: nn.Module, part: Examples) -> NDArray[np.int64]:
    """Return the class [examples] a model gives each example, multiplied on the array if that is where it is."""
    import torch

    found: list[NDArray[np.int64]] = []
    with torch.no_grad():
        for first in range(0, len(part), _CHUNK):
            scores: Tensor = model(*(torch.from_numpy(one[first : first + _CHUNK]) for one in part.inputs))
            found.append(scores.numpy().argmax(1))
    return np.concatenate(found)


def accuracy(model: nn.Module, part: Examples) -> float:
    """Return the fraction of examples a model recognises."""
    return float((classes(model, part) == part.label).mean())


def _order(seed: int, epoch: int, size: int) -> NDArray[np.intp]:
    return np.random.default_rng([seed, 0x0D, epoch]).permutation(size)
