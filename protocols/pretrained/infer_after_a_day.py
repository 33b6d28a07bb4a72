"""Inference as a chip ages: a network trained on the host, written once, evaluated after seconds, hours, days."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...common.text import duration
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.array_state import Fields
from ..keeping.bench_time import BenchTime
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..training.tasks.labelled import LabelledData
from ..training.threads import one_thread
from .inference_plan import InferencePlan

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section
    from .chip_noise import ChipNoise
    from .program import ProgramReport

_PROBE_AVERAGE = 128  # examples the converters' ranges are chosen from


@dataclass(frozen=True, kw_only=True)
class InferenceResult:
    """How a network recognised its test set as the chip aged.

    ``seconds`` [looks] since programming; ``taken`` and ``compensated`` [looks, examples] the classes without and with
    drift compensation; ``factors`` [looks, layers] what outputs were scaled by; ``noise`` the chip's, where measured.
    """

    plan: InferencePlan
    data: LabelledData
    seconds: FloatArray
    taken: NDArray[np.int64]
    compensated: NDArray[np.int64]
    factors: FloatArray
    float_accuracy: float
    noise: ChipNoise | None
    programming: ProgramReport
    weights: int

    @property
    def _right(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        label = self.data.test.first(self.plan.test_examples).label
        return self.taken == label, self.compensated == label

    @property
    def frame(self) -> DataFrame:
        """One line per look: time [s], accuracies without and with compensation, factor of every layer."""
        from pandas import DataFrame

        plain, scaled = (right.mean(1) for right in self._right)
        found = {"seconds_s": self.seconds, "accuracy": plain, "accuracy_compensated": scaled}
        by_layer = zip(self.programming.layers, self.factors.T, strict=True)
        return DataFrame({**found, **{f"factor_{layer}": factor for layer, factor in by_layer}})

    def metrics(self) -> dict[str, float]:
        """Return accuracies as docs/quantities.md defines them, and what writing took."""
        from ...analysis.estimates.estimates import flatten, fraction_estimate

        found: dict[str, float] = {}
        looks = {"first": 0, "last": len(self.seconds) - 1, "day": self.plan.day}
        plain, scaled = self._right
        for way, right in (("", plain), ("compensated_", scaled)):
            for at, look in looks.items():
                if look is not None:
                    share = fraction_estimate(int(right[look].sum()), right.shape[1])
                    found |= flatten(f"inference_{way}accuracy_{at}", share)
        if self.plan.day is not None:
            found["inference_loss_day"] = self.float_accuracy - found["inference_compensated_accuracy_day"]
        if self.noise is not None:
            found |= {"write_error_rest": self.noise.rest, "write_error_share": self.noise.share}
        return found | {
            "float_accuracy": self.float_accuracy,
            "majority_accuracy": self.data.majority_accuracy(plain.shape[1]),
            "test_examples": float(plain.shape[1]),
            "weights": float(self.weights),
            "cells_used": float(self.programming.cells),
            "weight_error": self.programming.weight_error,
            "programming_pulses_per_cell": self.programming.pulses_per_cell,
        }

    def plot(self) -> Figure:
        """Return accuracy against the time since programming."""
        from ...analysis.networks.inference import accuracy_over_time

        plain, scaled = (right.mean(1) for right in self._right)
        return accuracy_over_time(
            self.seconds,
            {"as it is": plain, "with drift compensation": scaled},
            examples=self.taken.shape[1],
            lines={"in float": self.float_accuracy},
            title=f"{_TITLES[self.plan.network]}, written once",
        )

    def section(self) -> Section:
        """Return the figure and the tables as a part of the report."""
        from ...analysis.report.report import Section

        frame, m = self.frame, self.metrics()
        how = (
            f"trained with {self.plan.noise:g} times the error this chip writes with: {self.noise.rest * 1e6:.2g} µS "
            f"at rest and {self.noise.share:.1%} of a weight, from {self.noise.weights} weights "
            f"{duration(self.plan.noise_age)} after they were written"
            if self.noise is not None
            else "trained without noise"
        )
        text = (
            f"{m['float_accuracy']:.2%} in float, {how}. On the array {frame.accuracy.iloc[0]:.2%} after "
            f"{duration(float(self.seconds[0]))}, {frame.accuracy.iloc[-1]:.2%} after "
            f"{duration(float(self.seconds[-1]))}, with drift compensation "
            f"{frame.accuracy_compensated.iloc[-1]:.2%}; always naming the commonest class gets "
            f"{m['majority_accuracy']:.2%}. Compensation multiplies the outputs of every layer by one factor, from "
            f"reference inputs that were multiplied when programming ended and again at every look.\n\n"
            f"{self.programming}\n\n"
            f"{self.data.about[0].upper()}{self.data.about[1:]}. Source: {self.data.source}, {self.data.licence}."
        )
        caption = f"Accuracy on {self.taken.shape[1]:,} test examples; bars are one standard error of so many."
        tables = [
            ("Look by look.", frame),
            ("Weights by layer.", self.programming.frame),
            ("What writing took, round by round.", self.programming.by_round),
        ]
        return Section(f"{_TITLES[self.plan.network]} as the chip ages", text, [(caption, self.plot())], tables)

    def __repr__(self) -> str:
        first, last = self._right[0][[0, -1]].mean(1)
        return (
            f"<InferenceResult {self.plan.network}: {first:.2%} after {duration(float(self.seconds[0]))}, {last:.2%} "
            f"after {duration(float(self.seconds[-1]))}, {self.float_accuracy:.2%} in float>"
        )


_TITLES = {"cnn": "Convolutional network of digits", "lstm": "LSTM of spoken digits"}


def infer_after_a_day(array: CrossbarArray, plan: InferencePlan, run: Run | None = None) -> InferenceResult:
    """Train a network on the host, write it onto the chip, and evaluate it as the chip ages.

    Units of work are the rounds of writing (first of a small random layer, which says how this chip writes), the
    training, and the looks. A look whose time has passed, as after an interruption, is done at once; what is kept is
    when it was done.
    """
    plan.check(array.spec)
    with one_thread():
        return _infer(array, plan, Run.of(run))


def _infer(array: CrossbarArray, plan: InferencePlan, keep: Run) -> InferenceResult:
    import torch

    from ..training.steps.classification import accuracy, classes
    from .chip_noise import measure_noise
    from .drift import DriftReference
    from .host_training import train_on_host
    from .program import lines_for, program

    data = plan.data()
    train, test = data.train.first(plan.train_examples), data.test.first(plan.test_examples)
    lines, noise = lines_for(array, plan.program, keep), None
    if plan.noise:
        noise = measure_noise(array, plan.program, keep, lines=lines, age=plan.noise_age, seed=keep.seed)
    model = plan.model(keep.seed)
    with keep.work("host", [Axis("epochs", "Epochs")], [Variable("float_accuracy", "Accuracy in float")],
                   label="training on the host", total=1) as work:  # fmt: skip
        if work.begin("training"):
            array.idle()  # the host is busy with itself for a while
            train_on_host(
                model, train, epochs=plan.epochs, batch=plan.batch, rate=plan.rate, seed=keep.seed,
                noise=None if noise is None else noise.times(plan.noise), bound=plan.bound,
            )  # fmt: skip
            reached = accuracy(model, test)
            work.add({"epochs": plan.epochs}, float_accuracy=reached)
            state = {f"model.{name}": value.numpy() for name, value in model.state_dict().items()}
            work.done(f"{reached:.2%} in float", 1.0, accuracy=reached, **state)
        trained = work.all_of("training")
    kept = {key.removeprefix("model."): value for key, value in trained.items() if key.startswith("model.")}
    model.load_state_dict({name: torch.from_numpy(np.array(value)) for name, value in kept.items()})
    size = sum(value.numel() for value in model.parameters())
    example = tuple(torch.from_numpy(one[:_PROBE_AVERAGE]) for one in train.inputs)
    on_array = program(model, array, plan.program, keep, range=example, copies=plan.copies or "fit", lines=lines)
    reference, watch = DriftReference(on_array.weights, seed=keep.seed), BenchTime(array.clock)
    at = Fields(written=0.0)
    axes = [Axis("look", "Look", count=len(plan.times))]
    variables = [
        Variable("seconds", "Time since programming", "s"),
        Variable("accuracy", "Accuracy"),
        Variable("accuracy_compensated", "Accuracy with drift compensation"),
    ]
    looks: dict[str, list[Any]] = {}
    with keep.work(
        "inference", axes, variables, {"network": plan.network}, label="looks", total=len(plan.times)
    ) as work:
        for name, thing in {"reference": reference, "watch": watch, "at": at}.items():
            work.hold(name, thing)
        if work.begin("reference"):
            at.written = watch.now()
            reference.take()
            watch.mark()
            work.done("", 0.0)
        for number, time in enumerate(plan.times):
            if not work.begin(f"look {number}"):
                continue
            watch.wait_until(at.written + time)
            since = watch.now() - at.written
            reference.undo()
            taken = classes(on_array.model, test)
            factors = reference.compensate()
            compensated = classes(on_array.model, test)
            reference.undo()
            shares = [float((one == test.label).mean()) for one in (taken, compensated)]
            work.add({"look": number}, seconds=since, accuracy=shares[0], accuracy_compensated=shares[1])
            watch.mark()
            work.done(
                f"{shares[0]:.2%} after {duration(since)}",
                seconds=since, taken=taken, compensated=compensated, factors=[*factors.values()],
            )  # fmt: skip
        looks = {name: work.pieces(name) for name in ("seconds", "taken", "compensated", "factors")}
    return InferenceResult(
        plan=plan, data=data, seconds=np.array(looks["seconds"], np.float64),
        taken=np.stack(looks["taken"]), compensated=np.stack(looks["compensated"]),
        factors=np.stack(looks["factors"]), float_accuracy=float(trained["accuracy"]), noise=noise,
        programming=on_array.programming, weights=size,
    )  # fmt: skip
