"""What in situ training is asked with, whatever the task: where the weights go, how they are written, when to keep."""

from __future__ import annotations

import math
from contextlib import suppress
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ....common.errors import RefusedError
from ....instruments.abilities import Multiplies, MultipliesReversed
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import CrossbarArray
from ...plan import Forecast, Plan, RuleName
from ..layers.array_weights import REVERSE_OTHERWISE, ReadBack
from ..layers.weight_mapping import FloorPlan, LayerRequest, good_lines, plan_floor
from ..rules.answers import answer_plan, measured_first, require_answer, wants_small_steps
from ..rules.by_name import make_rule
from ..rules.update_rules import UpdateRule

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn
    from torch.optim import Optimizer


_BAD_SHARES = (0.0, 0.01, 0.02, 0.03, 0.05)


class TrainingPlan(Plan):
    """The two-pulse rule with the published numbers by default; every task adds its own."""

    rule: RuleName = Field(default="two_pulse", description="how changes of weights become pulses: xbarlab list rules")
    rule_options: dict[str, float | bool | str] = Field(
        default={}, description="arguments of the rule that this plan has no name for"
    )
    siemens: float = Field(default=100e-6, gt=0, description="conductance difference of a weight of 1 [S]")
    copies: int = Field(default=1, ge=1, description="copies of every layer over other rows, averaged in the column")
    healthy_lines: bool = Field(
        default=False, description="leave out rows and columns with bad cells, as this run's yield map has them"
    )
    bad_share: float = Field(
        default=0.0, ge=0, lt=1, description="with healthy_lines: share of bad cells a line may have if need be"
    )
    share: float | None = Field(
        default=None,
        gt=0,
        le=2,
        description="what each cell of a pair moves by, of the change; 1 for two_pulse, else 0.5",
    )
    refresh: bool = Field(default=True, description="SET all cells in every step, or only those that change")
    least: float = Field(default=0.0, ge=0, description="gate voltage changes up to this wait for the next step [V]")
    feedback: bool = Field(
        default=False, description="correct what the last read shows to be off, instead of writing changes blindly"
    )
    in_turn: bool = Field(default=False, description="a step writes one copy of every weight, the copies taking turns")
    patience: int | None = Field(
        default=None, ge=1, description="checkpoints without a better training loss after which training ends early"
    )
    backward: Literal["host", "array"] = Field(
        default="host", description="errors go back by the conductances last read, or by products in reverse"
    )
    read_back: ReadBack = Field(
        default="cells", description="weights by reading the cells, or by products that drive one input at a time"
    )
    rounds: int = Field(default=1, ge=1, description="with feedback: writes and reads in one step, at most")
    final_rounds: int = Field(default=0, ge=0, description="with feedback: writes and reads after the last step")
    slope: float = Field(default=98e-6, gt=0, description="conductance per gate voltage of a SET [S/V]")
    gate_start: float = Field(default=1.0, gt=0, description="gate voltage of the first SET [V]")
    gate_low: float = Field(default=0.7, gt=0, description="lowest gate voltage of a SET [V]")
    gate_high: float = Field(default=1.6, gt=0, description="highest gate voltage of a SET [V]")
    start_spread: float = Field(default=0.0, ge=0, description="standard deviation of the first gate voltage [V]")
    set_volts: float = Field(default=2.5, gt=0, description="amplitude of a SET [V]")
    reset_volts: float = Field(default=1.7, gt=0, description="magnitude of a RESET [V]")
    reset_gate: float = Field(default=5.0, gt=0, description="gate voltage of a RESET [V]")
    width: float = Field(default=500e-9, gt=0, description="pulse width [s]")
    pulse_step: float | None = Field(
        default=None,
        gt=0,
        description="what one pulse of rules by small steps moves a cell by [S]; by default what the chip was measured "
        "to do",
    )
    measure_answer: bool = Field(
        default=True,
        description="where the chip's account does not have how it answers the pulses of a rule by small steps, "
        "measure that on a few cells before the first training pulse",
    )
    pulse_volts: float = Field(default=1.2, gt=0, description="magnitude of the pulses of rules by small steps [V]")
    pulse_gate: float = Field(default=1.2, gt=0, description="gate voltage of a SET of rules by small steps [V]")
    start_pulses: int = Field(default=0, ge=0, description="largest number of pulses of a random start, either way")
    outer_rate: float = Field(
        default=0.01,
        gt=0,
        description="learning rate of rules by outer products, which take plain SGD; the twin has it too",
    )
    outer_turns: int = Field(default=31, ge=1, description="turns of a pulse train of rules by outer products")
    read_average: int = Field(default=1, ge=1, description="conversions per cell of the read after every step")
    evaluations: int = Field(default=5, ge=1, description="passes over the data behind a reported figure, its median")
    checkpoint_every: int = Field(default=50, ge=1, description="steps from one checkpoint to the next")
    twin: bool = Field(default=True, description="train the float twin on the host for comparison")

    def update_rule(self) -> UpdateRule:
        """Return the update rule."""
        return make_rule(self.rule, self, self.rule_options)

    def measures(self) -> frozenset[str]:
        """Return what every training gives; tasks add theirs."""
        each = {f"{what}_per_step" for what in ("transactions", "slots", "reads", "pulses")}
        return frozenset({"steps", "weights", "cells_used"}) | each

    def layers(self) -> list[LayerRequest]:
        """Return the layers of the task's network."""
        raise NotImplementedError

    def steps_max(self) -> int:
        """Return the most update steps there can be."""
        raise NotImplementedError

    def starts(self) -> int:
        """Return how often all cells are written before the first step."""
        return 1

    def vectors_per_step(self) -> int:
        """Return the most vectors one step multiplies."""
        raise NotImplementedError

    def floor(
        self, spec: ArraySpec, healthy: NDArray[np.bool_] | None = None, shorted: NDArray[np.bool_] | None = None
    ) -> FloorPlan:
        """Return where the layers go, on the best lines of a yield map if the plan wants it.

        Lines without a bad cell are tried first, then lines with more and more of them, up to ``bad_share``.
        """
        layers, more = self.layers(), getattr(self.update_rule(), "with_layers", None)
        place = partial(plan_floor, spec.rows, spec.cols, layers if more is None else more(layers), parts=spec.parts)
        if not self.healthy_lines or healthy is None:
            return place()
        for share in _BAD_SHARES:
            if share < self.bad_share:
                rows, cols = good_lines(healthy, bad_share=share, shorted=shorted, parts=spec.parts)
                with suppress(RefusedError):
                    return place(good_rows=rows, good_cols=cols)
        rows, cols = good_lines(healthy, bad_share=self.bad_share, shorted=shorted, parts=spec.parts)
        return place(good_rows=rows, good_cols=cols)

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array that cannot multiply, pulses beyond its limits, layers that do not fit; and no torch."""
        spec.require(Multiplies)
        if not self.gate_low <= self.gate_start <= self.gate_high:
            raise RefusedError(
                f"gate_start {self.gate_start:g} V is outside gate_low {self.gate_low:g} V to gate_high "
                f"{self.gate_high:g} V"
            )
        self.update_rule().check(spec)
        if self.backward == "array":
            spec.require(MultipliesReversed, otherwise=REVERSE_OTHERWISE)
        spec.check_average(self.read_average, channel="training.read_average")
        self.floor(spec)
        require_torch()

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell is written in every step."""
        plan, steps, rule = self.floor(spec), self.steps_max(), self.update_rule()
        block, cost = plan.block, rule.step_cost(plan)
        each_pulses = cost.pulses * (self.vectors_per_step() if rule.needs_samples else 1)
        # Every start counts as a step; what feedback writes and reads beyond one round of a step comes on top.
        two_pulse = self.rule == "two_pulse"
        last = self.final_rounds if two_pulse and self.feedback else 0
        written = steps + self.starts()
        reads = written * (self.rounds if two_pulse and self.feedback else 1) + last
        pulses = each_pulses * written + 2.0 * last
        alone = sum(r.inputs for r in plan.requests) * self.read_average if self.read_back == "products" else 0
        seconds = (
            pulses * spec.pulse_seconds(block, self.width)
            + reads * (spec.read_seconds(block, self.read_average) + alone * spec.vmm_slot_seconds)
            + written * self.vectors_per_step() * spec.vmm_slot_seconds
        )
        # Rules by outer products leave the amplitude to the array; one of somebody else's may not say it.
        volts = float(getattr(rule, "volts_max", self.pulse_volts if rule.needs_samples else math.nan))
        forecast = Forecast(plan.cells, volts, round(pulses * plan.cells), seconds)
        asked = answer_plan(rule, spec, plan.used) if self.measure_answer and wants_small_steps(rule) else None
        if asked is None:
            return forecast
        own = asked.forecast(spec)
        return Forecast(
            forecast.cells + own.cells, max(volts, own.volts_max), forecast.pulses + own.pulses, seconds + own.seconds
        )

    def known(self, array: CrossbarArray) -> str:
        """Say how the chip answers the rule's pulses; refuse a rule that it is known not to suit."""
        rule = self.update_rule()
        said = require_answer(array, rule, self.floor(array.spec).used)
        if self.measure_answer and measured_first(array, rule):
            return f"{said}; the training measures it first (measure_answer), and its forecast has these pulses in it"
        return said


def require_torch() -> None:
    """Refuse, in one sentence, to train where torch is not installed."""
    missing = [name for name in ("torch", "safetensors") if find_spec(name) is None]
    if missing:
        raise RefusedError(f"training needs {' and '.join(missing)}: pip install 'xbarlab[train]'")


def make_optimiser(name: str, rate: float, momentum: float) -> Callable[[list[nn.Parameter]], Optimizer]:
    """Return what makes the torch optimiser ``name``."""
    import torch

    def make(parameters: list[nn.Parameter]) -> Optimizer:
        if name == "sgd":
            return torch.optim.SGD(parameters, lr=rate, momentum=momentum)
        if name == "rmsprop":
            return torch.optim.RMSprop(parameters, lr=rate, momentum=momentum)
        return torch.optim.Adam(parameters, lr=rate)

    return make


def host_optimiser(
    plan: TrainingPlan, name: str, rate: float, momentum: float
) -> tuple[Callable[[list[nn.Parameter]], Optimizer], float]:
    """Return what makes the optimiser of the network on the array and of its twin alike, and its learning rate.

    The one named, except under rules by outer products: those can follow plain SGD only, at the plan's ``outer_rate``.
    """
    if plan.update_rule().needs_samples:
        name, rate, momentum = "sgd", plan.outer_rate, 0.0
    return make_optimiser(name, rate, momentum), rate
