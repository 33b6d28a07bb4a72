"""Train an LSTM in situ to classify sequences, beside its float twin and the commonest class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import CrossbarArray
from ..run import Run
from .tasks.sequences import SequenceData, Sequences, SequenceTask, load_sequences
from .training_plan import TrainingPlan, make_optimiser
from .training_record import TrainingRecord, train_in_units
from .weight_mapping import LayerRequest

if TYPE_CHECKING:
    from pandas import DataFrame
    from torch import Tensor, nn

    from ...analysis.report import Section


class SequencesPlan(TrainingPlan):
    """Published settings by default: LSTM 14, no bias, RMSprop 0.01, batches of 50, loss on the last step."""

    task: SequenceTask = Field(default="japanese_vowels", description="which data")
    hidden: int = Field(default=14, ge=1, description="LSTM units")
    epochs: int = Field(default=50, ge=1, description="passes over the training set")
    batch: int = Field(default=50, ge=1, description="sequences per update")
    rate: float = Field(default=0.01, gt=0, description="learning rate of RMSprop")
    rate_decay: float = Field(default=1.0, gt=0, le=1, description="factor on the learning rate after every epoch")
    checkpoint_every: int = Field(default=45, ge=1, description="steps from one checkpoint to the next")
    evaluations: int = Field(default=3, ge=1, description="passes over the test set behind the accuracy, its median")

    def data(self) -> SequenceData:
        """Return the task's data."""
        return load_sequences(self.task)

    def layers(self) -> list[LayerRequest]:
        """Return [x, h] → 4·hidden and h → classes, plus rows above minus rows, as published."""
        data = self.data()
        return [
            LayerRequest("lstm", data.features + self.hidden, 4 * self.hidden, "stacked", copies_down=self.copies),
            LayerRequest("dense", self.hidden, data.classes, "stacked", copies_down=self.copies),
        ]

    def steps_per_epoch(self) -> int:
        """Return the updates of one epoch."""
        return -(-len(self.data().train.x) // self.batch)

    def steps_max(self) -> int:
        """Return all updates."""
        return self.epochs * self.steps_per_epoch()

    def vectors_per_step(self) -> int:
        """Return the vectors of one batch."""
        return self.batch * (self.data().train.x.shape[1] + 1)

    def check(self, spec: ArraySpec) -> None:
        """Refuse missing data too."""
        self.data()
        super().check(spec)


@dataclass(frozen=True)
class SequencesResult:
    """How the test set was classified.

    ``confusion`` [classes, classes] counts what each class (rows) was taken for, summed over the evaluations.
    """

    record: TrainingRecord
    data: SequenceData
    confusion: NDArray[np.int64]
    figures: dict[str, float]

    @property
    def frame(self) -> DataFrame:
        """One line per class: sequences and the fraction that was recognised."""
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

        from ...analysis.report import Section
        from ...analysis.training import confusion_map

        names = {
            "test_accuracy": "LSTM on the array",
            "float_twin_accuracy": "its float twin",
            "majority_accuracy": "always the commonest class",
        }
        rows = {name: key for key, name in names.items() if key in self.figures}
        table = DataFrame(
            {"classifier": list(rows), "test accuracy": [f"{self.figures[k]:.2%}" for k in rows.values()]}
        )
        text = (
            f"{self.data.about[0].upper()}{self.data.about[1:]}. Source: {self.data.source}, {self.data.licence}. "
            f"{self.figures['test_accuracy']:.1%} of {len(self.data.test.x)} test sequences recognised, every one "
            "multiplied on the array."
        )
        return Section(
            f"LSTM trained on the array: {self.data.name.replace('_', ' ')}",
            text,
            [("What each class was taken for.", confusion_map(self.confusion)), *self.record.pictures()],
            [("Accuracy on the test set.", table), self.record.cost_table()],
        )

    def __repr__(self) -> str:
        return f"<SequencesResult {self.data.name}: {self.figures['test_accuracy']:.2%} of the test set>"


def train_lstm_sequences(array: CrossbarArray, plan: SequencesPlan, run: Run | None = None) -> SequencesResult:
    """Train the LSTM on the array; a unit of work is ``checkpoint_every`` steps."""
    plan.check(array.spec)
    import torch
    from torch.nn import functional

    from .array_weights import ArrayWeights
    from .networks import array_classifier, twin_classifier
    from .trainer import ArrayTrainer

    keep, data = Run.of(run), plan.data()
    x, label = torch.from_numpy(data.train.x), torch.from_numpy(data.train.label)
    length = torch.from_numpy(data.train.length)

    def loss(model: nn.Module, index: Tensor, wanted: Tensor) -> Tensor:
        return functional.cross_entropy(model(x[index], length[index]), wanted)

    weights = ArrayWeights(array, plan.floor(array.spec, keep.healthy_of(array)), siemens=plan.siemens)
    net = array_classifier(weights, data.features)
    make = make_optimiser("rmsprop", plan.rate, 0.0)
    trainer = ArrayTrainer(net, weights, plan.rule(), make, loss, seed=keep.seed, read_average=plan.read_average)
    per_epoch, losses = plan.steps_per_epoch(), list[float]()

    def batch_of(step: int) -> Tensor:
        order = np.random.default_rng([keep.seed, 0x0D, step // per_epoch]).permutation(len(x))
        at = step % per_epoch * plan.batch
        return torch.from_numpy(order[at : at + plan.batch])

    def advance(step: int) -> dict[str, float]:
        trainer.optimiser.param_groups[0]["lr"] = plan.rate * plan.rate_decay ** (step // per_epoch)
        index = batch_of(step)
        value = trainer.step(index, label[index])
        losses.append(value)
        return {"train_loss": value}

    record = train_in_units(
        keep, trainer, plan, advance, losses,
        evaluate=lambda: {"test_accuracy": float((_classes(net, data.test) == data.test.label).mean())},
    )  # fmt: skip
    taken = [_classes(net, data.test) for _ in range(plan.evaluations)]
    confusion = np.zeros((data.classes, data.classes), dtype=np.int64)
    for one in taken:
        np.add.at(confusion, (data.test.label, one), 1)
    figures = {
        "test_accuracy": float(np.median([(one == data.test.label).mean() for one in taken])),
        "train_accuracy": float((_classes(net, data.train) == data.train.label).mean()),
        "majority_accuracy": data.majority_accuracy,
    }
    array.idle()  # the host is busy with itself from here on
    if plan.twin:
        twin = twin_classifier(data.features, plan.hidden, data.classes, seed=keep.seed)
        optimiser = make(list(twin.parameters()))
        for step in range(plan.steps_max()):
            optimiser.param_groups[0]["lr"] = plan.rate * plan.rate_decay ** (step // per_epoch)
            index = batch_of(step)
            optimiser.zero_grad()
            loss(twin, index, label[index]).backward()  # pyright: ignore[reportUnknownMemberType]
            optimiser.step()
        figures["float_twin_accuracy"] = float((_classes(twin, data.test) == data.test.label).mean())
    return SequencesResult(record, data, confusion, figures)


def _classes(model: nn.Module, part: Sequences) -> NDArray[np.int64]:
    """Return the class [sequences] a model gives each sequence."""
    import torch

    with torch.no_grad():
        scores: Tensor = model(torch.from_numpy(part.x), torch.from_numpy(part.length))
    return scores.numpy().argmax(1)
