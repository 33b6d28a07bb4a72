"""Train an LSTM in situ whose gates are activated by converters, and judge ramps of cells beside ideal ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PrivateAttr

from ...analysis.quantities import HIGH, LOW
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..plan import with_intervals
from ..training.layers.floor_plan import FloorPlan
from ..training.steps.classification import ClassifierResult, classes, train_classifier
from ..training.steps.train_lstm_sequences import SequencesPlan
from ..training.tasks.labelled import Examples
from ..training.tasks.sequences import SequenceTask
from .ramp_plan import Bits, PlacedRamp, RampCellsPlan, program_ramps, room_for, target_map, truest

if TYPE_CHECKING:
    from torch import nn

    from ...analysis.networks.ramp_adc import RampDesign
    from ...analysis.report.report import Section
    from ..training.layers.array_weights import ArrayWeights
    from ..training.layers.converted import ArrayConverted, Converter
    from ..training.steps.training_record import Measure

Function = Literal["sigmoid", "tanh", "softsign"]
Activates = Literal["ideal", "ramp", "exact"]


class NonlinearAdcPlan(SequencesPlan):
    """The classifier of ``train_lstm_sequences`` on spoken digits, its gates and candidate out of the converters."""

    task: SequenceTask = Field(default="spoken_digits", description="which data")
    gate: Function = Field(default="sigmoid", description="activation of the gates i, f and o")
    candidate: Function = Field(default="tanh", description="activation of the candidate g")
    bits: Bits = Field(
        default=(3, 4, 5), min_length=1, description="resolutions, of 3, 4 and 5, that are compared after training"
    )
    train_bits: int = Field(default=5, ge=1, description="resolution that is trained with; one of bits")
    train_with: Activates = Field(
        default="ideal",
        description="what activates during training: ideal codes on the host, the ramps of cells, or the functions",
    )
    average: int = Field(default=64, ge=1, description="conversions per cell when thresholds are measured")
    settle: float = Field(default=10.0, ge=0, description="wait between programming and the first calibration [s]")
    rest: float = Field(
        default=10.0, ge=0, description="wait between training and the looks that are compared, as cells relax [s]"
    )
    program: RampCellsPlan = Field(default=RampCellsPlan(), description="how the cells of ramps are programmed")
    candidates: int = Field(
        default=1, ge=1, description="ramps of every design that are programmed, room given; the truest is used"
    )
    _placed: dict[int, list[PlacedRamp]] = PrivateAttr(default_factory=dict[int, list[PlacedRamp]])

    def placed_at(self, ramps: dict[int, list[PlacedRamp]]) -> NonlinearAdcPlan:
        """Return this plan for ramps that are programmed, those of each resolution."""
        mine = self.model_copy()
        mine._placed = ramps
        return mine

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        each = {f"{what}_{n}bit" for what in ("ramp_accuracy", "ideal_accuracy") for n in self.bits}
        drops = with_intervals(*(f"ramp_drop_{n}bit" for n in self.bits))
        return super().measures() | each | drops | {"exact_accuracy", "ramp_cells", "ramp_conversions_per_example"}

    def designs(self) -> dict[int, list[RampDesign]]:
        """Return for each resolution the ramps of gates and candidate."""
        from ...analysis.networks.ramp_adc import activation, ramp_design

        both = [activation(name) for name in (self.gate, self.candidate)]
        return {n: [ramp_design(one, n) for one in both] for n in self.bits}

    def amps(self, spec: ArraySpec) -> float:
        """Return the column's current at an input of 1 [A]."""
        return self.siemens * self.copies * spec.read_volts

    def ramps(self, spec: ArraySpec, floor: FloorPlan, healthy: NDArray[np.bool_]) -> dict[int, list[list[PlacedRamp]]]:
        """Return where the ramps of each resolution may go: beside the network, where cells are healthy.

        Of gates and of candidate there are up to ``candidates`` each, as many as find room.
        """
        free = healthy & spec.healthy_mask(spec.whole)
        free[:, np.unique(np.concatenate([tile.cols for tile in floor.tiles]))] = False
        designs = self.designs()
        flat = [one for pair in designs.values() for one in pair]
        sets = room_for(free, [one.steps for one in flat], self.candidates)
        if not sets:
            raise RefusedError(
                f"the ramps need {sum(one.steps for one in flat)} healthy cells in columns beside the network, up to "
                f"{max(one.steps for one in flat)} below each other, and find no room: fewer hidden units or bits"
            )
        spots = iter(zip(*sets, strict=True))
        high, amps = self.program.levels.high, self.amps(spec)
        return {
            n: [[PlacedRamp.at(one, spot, high=high, amps=amps) for spot in next(spots)] for one in pair]
            for n, pair in designs.items()
        }

    def check(self, spec: ArraySpec) -> None:
        """Refuse, besides what training would, ramps that this array cannot make."""
        if self.train_bits not in self.bits:
            raise RefusedError(f"train_bits {self.train_bits} is not one of bits {list(self.bits)}: add it there")
        self.program.check(spec)
        spec.check_average(self.average, channel="train_nonlinear_adc.average")
        super().check(spec)
        self.program.check_ramps(spec, [one for pair in self.designs().values() for one in pair], self.amps(spec))
        self.ramps(spec, self.floor(spec), spec.healthy_mask(spec.whole))

    def network(self, weights: ArrayWeights) -> nn.Module:
        """Return the network on the array, activated as in training; not yet converted where no ramps are placed."""
        from ..training.networks.nonlinear_adc import converted_classifier, converted_layer

        net = converted_classifier(weights, self.data().train.x.shape[2])
        if self._placed:
            layer = converted_layer(net)
            layer.converter = _converter(self.train_with, layer, self._placed[self.train_bits])
        return net

    def more_measures(self, net: nn.Module, test: Examples, seed: int) -> Mapping[str, Measure]:
        """Return the test set through each converter; ramps are calibrated at one point before each."""
        from ..training.networks.nonlinear_adc import converted_layer

        layer = converted_layer(net)
        found: dict[str, Measure] = {}
        for n in self.bits:
            found[_unit(n)] = partial(_thresholds, self, layer, self._placed[n], first=n == self.bits[0])
        for k in range(self.evaluations):
            for n in self.bits:
                found[f"{n} bits by ramp, pass {k}"] = partial(_look, self, net, test, "ramp", self._placed[n])
                found[f"{n} bits ideal, pass {k}"] = partial(_look, self, net, test, "ideal", self._placed[n])
            exact = self._placed[self.train_bits]
            found[f"exact, pass {k}"] = partial(_look, self, net, test, "exact", exact)
        return found

    def twin_network(self, seed: int) -> nn.Module:
        """Return its float twin, with the functions themselves."""
        from ..training.networks.nonlinear_adc import twin_of_converted

        data = self.data()
        return twin_of_converted(
            data.train.x.shape[2], self.hidden, data.classes, gate=self.gate, candidate=self.candidate, seed=seed
        )


@dataclass(frozen=True, kw_only=True)
class NonlinearAdcResult(ClassifierResult):
    """A classifier's result, and how ramps compare with ideal converters of the same bits, on the same weights.

    ``inputs`` are the thresholds of each resolution's two ramps as inputs, measured before and after calibration.
    """

    plan: NonlinearAdcPlan
    inputs: dict[int, list[tuple[FloatArray, FloatArray]]]

    def _right(self, name: str) -> FloatArray:
        """Return how much of each test example was right [passes, examples]."""
        taken = [self.record.measured[f"{name}, pass {k}"]["taken"] for k in range(self.plan.evaluations)]
        label = self.data.test.first(self.plan.test_examples).label
        return (np.stack(taken) == label).reshape(len(taken), len(label), -1).mean(-1)

    def _accuracy(self, name: str) -> float:
        return float(np.median(self._right(name).mean(1)))

    def metrics(self) -> dict[str, float]:
        """Return a classifier's, and accuracies of all converters, as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten, mean_estimate

        found = super().metrics() | {"exact_accuracy": self._accuracy("exact")}
        for n in self.plan.bits:
            ramp, ideal = f"{n} bits by ramp", f"{n} bits ideal"
            found |= {f"ramp_accuracy_{n}bit": self._accuracy(ramp), f"ideal_accuracy_{n}bit": self._accuracy(ideal)}
            # Both had the same examples: what is alike in easy and hard ones falls out of the difference.
            lost = self._right(ideal).mean(0) - self._right(ramp).mean(0)
            found |= flatten(f"ramp_drop_{n}bit", mean_estimate(lost))
        one = self.record.measured[f"{self.plan.bits[0]} bits by ramp, pass 0"]
        return {
            **found,
            "ramp_cells": float(sum(ramp.steps for pair in self.plan.designs().values() for ramp in pair)),
            "ramp_conversions_per_example": float(one["conversions"]) / found["test_examples"],
        }

    def section(self) -> Section:
        """Return a classifier's section, with accuracies over bits and the ramps used."""
        from pandas import DataFrame

        from ...analysis.networks.ramp_adc import accuracy_figure, code_errors, ramp_figure

        section, m, designs = super().section(), self.metrics(), self.plan.designs()
        bits = sorted(self.plan.bits)
        accuracies = {what: [m[f"{what}_accuracy_{n}bit"] for n in bits] for what in ("ramp", "ideal")}
        table = DataFrame(
            [
                {
                    "bits": n, "cells of both ramps": sum(one.steps for one in designs[n]),
                    "by ramps of cells": f"{m[f'ramp_accuracy_{n}bit']:.2%}",
                    "ideal converters": f"{m[f'ideal_accuracy_{n}bit']:.2%}",
                    "drop (points)": (
                        f"{100 * m[f'ramp_drop_{n}bit']:.2f} ({100 * m[f'ramp_drop_{n}bit{LOW}']:.2f} … "
                        f"{100 * m[f'ramp_drop_{n}bit{HIGH}']:.2f})"
                    ),
                    "largest |INL| of both (LSB)": " and ".join(
                        f"{code_errors(one, after[None]).largest_inl[0]:.2f}"
                        for one, (_, after) in zip(designs[n], self.inputs[n], strict=True)
                    ),
                }
                for n in bits
            ]
        )  # fmt: skip
        finest = bits[-1]
        share = m[f"ideal_accuracy_{finest}bit"]
        chance = float(np.sqrt(share * (1.0 - share) / m["test_examples"]))
        figures = [
            (
                "Test accuracy of the same weights with ramps of cells and with ideal converters of the same bits.",
                accuracy_figure(bits, accuracies, exact=m["exact_accuracy"]),
            ),
            *[
                (f"The ramp of {one.function.name} at {finest} bits.", ramp_figure(one, before[None], after[None]))
                for one, (before, after) in zip(designs[finest], self.inputs[finest], strict=True)
            ],
        ]
        conversions = f"{m['ramp_conversions_per_example']:,.0f} conversions an example by ramps"
        return replace(
            section,
            text=(
                f"{section.text}\n\n{conversions}; {m['ramp_cells']:.0f} cells hold the ramps of all resolutions. "
                f"{m['test_examples']:.0f} test examples: an accuracy has a spread of {100 * chance:.1f} points "
                "by chance (binomial). The drop is one of the same weights and examples, with its 95 % "
                "interval over examples."
            ),
            figures=[*figures, *section.figures],
            tables=[("Converters, on the same weights.", table), *section.tables],
        )


def train_nonlinear_adc(array: CrossbarArray, plan: NonlinearAdcPlan, run: Run | None = None) -> NonlinearAdcResult:
    """Program the ramps, train, and look at the test set through each converter.

    Units of work are programming, and those of a training: ``checkpoint_every`` steps, then every look.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    floor = plan.floor(array.spec, keep.chip.healthy_of(array), keep.chip.shorted)
    placed = _programmed(array, plan, keep, plan.ramps(array.spec, floor, keep.chip.healthy_of(array)))
    what = f"{plan.gate} and {plan.candidate} in the converters, {plan.task.replace('_', ' ')}"
    result = train_classifier(array, plan.placed_at(placed), keep, f"LSTM trained on the array: {what}")
    measured = result.record.measured
    inputs = {
        n: [(measured[_unit(n)][f"before {k}"], measured[_unit(n)][f"after {k}"]) for k in range(2)] for n in plan.bits
    }
    return NonlinearAdcResult(**vars(result), plan=plan, inputs=inputs)


def _unit(bits: int) -> str:
    return f"{bits} bits calibrated"


def _programmed(
    array: CrossbarArray, plan: NonlinearAdcPlan, keep: Run, ramps: dict[int, list[list[PlacedRamp]]]
) -> dict[int, list[PlacedRamp]]:
    """Program all ramps, a unit of work; return the truest of each design, calibrated as they were then."""
    spec, cells = array.spec, plan.program
    flat = [one for pair in ramps.values() for several in pair for one in several]
    target = target_map((spec.rows, spec.cols), flat, cells.levels.low, cells.levels.high)
    variables = [Variable("conductance", "Conductance", "S"), Variable("target", "Target", "S")]
    with keep.work(
        "ramps", [Axis("cycle", "Programming"), *map_axes(spec.whole)], variables, label="ramps", total=1
    ) as work:
        if work.begin("ramps"):
            done = program_ramps(array, cells, target, erase=False)
            array.clock.wait(plan.settle)
            inputs = {f"inputs {k}": one.inputs(array, plan.average) for k, one in enumerate(flat)}
            work.add({"cycle": 0}, conductance=done.conductance, target=target)
            work.done("", 1, **inputs)
        seen = iter([work.piece("ramps", f"inputs {k}") for k in range(len(flat))])
    return {n: [truest([(one, next(seen)) for one in several]) for several in pair] for n, pair in ramps.items()}


def _converter(kind: Activates, layer: ArrayConverted, placed: list[PlacedRamp]) -> Converter:
    """Return what activates a layer: an LSTM's gates by the first of ``placed``, its candidate by the second."""
    from ..training.layers.converted import Exact, IdealCodes, RampCodes
    from ..training.networks.nonlinear_adc import gate_or_candidate

    designs, which = [one.design for one in placed], gate_or_candidate(layer.outputs // 4)
    if kind == "ramp":
        return RampCodes(layer.array_weights.array, designs, which, [one.ramp for one in placed])
    return (Exact if kind == "exact" else IdealCodes)(designs, which)


def _calibrated(
    plan: NonlinearAdcPlan, layer: ArrayConverted, placed: list[PlacedRamp]
) -> tuple[list[PlacedRamp], list[FloatArray]]:
    """Return ramps calibrated now, and their thresholds before."""
    inputs = [one.inputs(layer.array_weights.array, plan.average) for one in placed]
    return [one.calibrated(seen) for one, seen in zip(placed, inputs, strict=True)], inputs


def _thresholds(
    plan: NonlinearAdcPlan, layer: ArrayConverted, placed: list[PlacedRamp], *, first: bool
) -> dict[str, FloatArray]:
    """Return the thresholds of ramps before and after calibration; before the ``first`` look the cells rest."""
    array = layer.array_weights.array
    if first:
        array.clock.wait(plan.rest)
    moved, before = _calibrated(plan, layer, placed)
    after = [one.inputs(array, plan.average) for one in moved]
    return {
        f"{when} {k}": seen for when, all_of in (("before", before), ("after", after)) for k, seen in enumerate(all_of)
    }


def _look(
    plan: NonlinearAdcPlan, net: nn.Module, test: Examples, kind: Activates, placed: list[PlacedRamp]
) -> dict[str, NDArray[np.generic]]:
    """Return the classes that a converter gives, and how many currents it compared with a ramp."""
    from ..training.networks.nonlinear_adc import converted_layer

    layer = converted_layer(net)
    now = _calibrated(plan, layer, placed)[0] if kind == "ramp" else placed
    before, layer.converter = layer.converter, _converter(kind, layer, now)
    try:
        taken = classes(net, test)
        conversions = getattr(layer.converter, "conversions", 0)
    finally:
        layer.converter = before
    return {"taken": taken, "conversions": np.array(conversions)}
