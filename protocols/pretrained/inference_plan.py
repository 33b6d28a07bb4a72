"""What an inference as a chip ages is asked with: network, training on the host, programming, times."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Literal

from pydantic import Field, field_validator

from ...instruments.array_spec import ArraySpec
from ..plan import Forecast, Plan, with_intervals
from ..training.steps.train_cnn_mnist import CnnPlan
from ..training.steps.train_lstm_sequences import SequencesPlan
from ..training.steps.training_plan import require_torch
from ..training.tasks.labelled import LabelledData
from .program_plan import ProgramPlan

if TYPE_CHECKING:
    from torch import nn

    from ..training.steps.classification import ClassifierPlan

DAY = 86400.0


class InferencePlan(Plan):
    """A network of the training steps, trained on the host, written onto the chip and evaluated as it ages."""

    network: Literal["cnn", "lstm"] = Field(
        default="cnn", description="'cnn': digits of MNIST, 1,015 weights; 'lstm': spoken digits, 1,652 weights"
    )
    epochs: int = Field(default=4, ge=1, description="passes over the training set, on the host")
    batch: int = Field(default=50, ge=1, description="examples per update")
    rate: float = Field(default=0.01, gt=0, description="learning rate of Adam")
    noise: float = Field(
        default=1.0, ge=0, description="trained with so many times the error that this chip writes with; 0: without"
    )
    noise_age: float = Field(default=3600.0, ge=0, description="age at which that error is measured [s]")
    bound: float | None = Field(
        default=2.0, gt=0, description="weights are cut at so many root mean squares of their column; null: never"
    )
    train_examples: int | None = Field(default=None, ge=1, description="only the first so many train; all by default")
    test_examples: int | None = Field(default=None, ge=1, description="only the first so many test; all by default")
    copies: int | None = Field(default=None, ge=1, description="of every weight; as many as find room by default")
    program: ProgramPlan = Field(default=ProgramPlan(), description="how the weights are written")
    times: tuple[float, ...] = Field(
        default=(25.0, 3600.0, DAY, 30.0 * DAY), min_length=2, description="times since programming, rising [s]"
    )

    @field_validator("times")
    @classmethod
    def _rising(cls, times: tuple[float, ...]) -> tuple[float, ...]:
        if times[0] <= 0 or any(later <= earlier for earlier, later in pairwise(times)):
            raise ValueError("times must be above 0 and rise, as 25, 3600, 86400")
        return times

    @property
    def day(self) -> int | None:
        """Which of the times is nearest to a day, within a factor of two; None where there is none."""
        near = min(range(len(self.times)), key=lambda n: max(self.times[n] / DAY, DAY / self.times[n]))
        return near if 0.5 <= self.times[near] / DAY <= 2.0 else None

    @property
    def of(self) -> ClassifierPlan:
        """The training step whose task and float twin it takes."""
        return CnnPlan() if self.network == "cnn" else SequencesPlan(task="spoken_digits")

    def data(self) -> LabelledData:
        """Return the task's data."""
        return self.of.data()

    def model(self, seed: int) -> nn.Module:
        """Return the network in float, initialised at random."""
        return self.of.twin_network(seed)

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        when = ["first", "last", *(["day"] if self.day is not None else [])]
        found = with_intervals(*(f"inference_{way}accuracy_{at}" for way in ("", "compensated_") for at in when))
        of_day = {"inference_loss_day"} if self.day is not None else set[str]()
        noise = {"write_error_rest", "write_error_share"} if self.noise else set[str]()
        return found | of_day | noise | {
            "float_accuracy", "majority_accuracy", "test_examples", "weights", "cells_used", "weight_error",
            "programming_pulses_per_cell",
        }  # fmt: skip

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array that cannot multiply, pulses beyond its limits, missing data; and no torch."""
        self.program.check(spec)
        require_torch()
        self.data()

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell of the array is in use and uses up its pulses, all waits included."""
        one = self.program.forecast(spec)
        test = len(self.data().test.first(self.test_examples))
        vectors = 2 * len(self.times) * test * self.of.vectors_per_example()
        rounds = sum(self.program.wait(number) for number in range(1, self.program.corrections + 1))
        waits = self.times[-1] + (1 + bool(self.noise)) * rounds + self.noise_age
        return Forecast(one.cells, one.volts_max, one.pulses, one.seconds + waits + vectors * spec.vmm_slot_seconds)
