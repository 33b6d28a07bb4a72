"""An update rule that writes by read–verify, against what products see: for pretrained weights, and to tune them.

A weight is a pair of cells, of which one rests at the low end and the other stands above it by the weight: so most
cells conduct little, lines drop little, and a cell at rest fluctuates least. First all cells are brought to their
targets. Then, round by round, weights are looked at; of one that is off a single cell is moved, by what all its copies
together lack. Cells that do not get there are left, and their partners take over what they lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.measurements.pulse_answer import PulsePair, StepNeeds
from ...common.arrays import BoolArray
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..programming.planner import PlanningStaircase
from ..programming.targets import Goal
from ..programming.verify_state import Verdict, VerifyState
from ..training.layers.array_weights import ArrayWeights
from ..training.layers.weight_mapping import FloorPlan
from ..training.rules.memory import RuleMemory
from ..training.rules.update_rules import Changes, Samples, StepCost
from .pair_targets import mended, targets_of, weights_of
from .program_plan import ProgramPlan
from .seen_by_products import SeenByProducts

GIVEN_UP = 3
"""Times a cell may miss its window before its partners take over."""


@dataclass
class Verified(RuleMemory):
    """Writes given weights, and changes of them, by read–verify against what products see.

    Attributes
    ----------
    settings : pulses, windows, where a cell rests and the highest
    run : whose units of work ``program`` makes, so that a cut one goes on; None keeps nothing
    rounds : of ``program``, [rounds] each: ``cells`` that were to be moved, ``failed`` of them, ``pulses``,
        ``transactions``, ``vectors``, ``seconds`` of bench time, and ``error`` [rounds, layers] before each round and
        after the last, over the root mean square of the wanted weights
    """

    settings: ProgramPlan = field(default_factory=ProgramPlan)
    run: Run | None = field(default=None, repr=False)
    wanted: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray], repr=False)
    rounds: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray], repr=False)

    needs_samples = False
    room = 1.0

    def __post_init__(self) -> None:
        self._staircase: PlanningStaircase | None = None
        self._missed: NDArray[np.int64] = np.zeros(0, np.int64)
        self._kept: dict[str, NDArray[Any]] = {}

    # -- what every rule says ----------------------------------------------------------------------------------------

    def check(self, spec: ArraySpec) -> None:
        """Refuse arrays that cannot multiply, and pulses beyond the limits."""
        self.settings.check(spec)

    def pulses(self, spec: ArraySpec) -> PulsePair:
        """Return its strongest SET and RESET."""
        up, down = self.settings.ramps(spec)
        return PulsePair(up.volts_max, up.gate_max, down.volts_max, down.gate_max, self.settings.width)

    def needs(self) -> StepNeeds:
        """Return that its pulses must move cells, as far as they like: what they did is read."""
        return StepNeeds(least=0.05, most=float("inf"), span=self.span(), wrong_most=0.5)

    def span(self) -> float:
        """Return the largest difference of a pair's conductances that it writes [S]."""
        return self.settings.levels.high - self.settings.levels.low

    def forget(self) -> None:
        """Forget wanted weights, what was learnt of the cells, and which of them miss."""
        self.wanted, self.rounds, self._kept = {}, {}, {}
        self._staircase, self._missed = None, np.zeros(0, np.int64)

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Write small random weights."""
        self._anew(weights)
        self.program(weights, {
            one.name: rng.uniform(-1.0, 1.0, (one.inputs, one.outputs)) / np.sqrt(one.inputs)
            for one in weights.plan.requests
        })  # fmt: skip

    def adopt(self, weights: ArrayWeights) -> None:
        """Take the weights last read for the wanted ones."""
        self._anew(weights)
        self.wanted = {one.name: weights.weights(one.name).astype(np.float64) for one in weights.plan.requests}

    def finish(self, weights: ArrayWeights) -> None:
        """Mend what is off."""
        self._mine(weights)
        for _ in range(self.settings.corrections):
            if not self._mend(weights, self._look(weights), self.wanted)["cells"]:
                return

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """One look, and as many iterations as there are pulses per cell."""
        del floor
        most = float(self.settings.pulses_max)
        return StepCost(1 + 2 * self.settings.iterations_max, most, most)

    # -- writing -----------------------------------------------------------------------------------------------------

    def program(self, weights: ArrayWeights, wanted: Changes) -> None:
        """Write given weights [inputs, outputs]; cells of layers that are not given are left alone.

        A unit of work is one round: the first brings all cells to their targets, the others mend weights that are off.
        One that was cut is done again, and begins with a look.
        """
        self._anew(weights)
        self.wanted = {layer: np.array(matrix, np.float64) for layer, matrix in wanted.items()}
        plan, array, block, keep = self.settings, weights.array, weights.block, Run.of(self.run)
        low, high = plan.levels.low, plan.levels.high
        axes = [Axis("round", "Round"), *map_axes(block)]
        variables = [Variable("seen", "Conductance as products see it", "S"), Variable("target", "Target", "S")]
        total = 1 + plan.corrections
        told: dict[str, list[Any]] = {}
        with keep.work("program", axes, variables, {"rule": "Verified"}, label="rounds", total=total) as work:
            work.hold("rule", self)
            for number in range(total + 1):
                name = f"round {number}" if number < total else "end"
                if not work.begin(name):
                    continue
                if number:
                    array.clock.wait(plan.wait(min(number, plan.corrections)))
                seen = self._look(weights)
                if number == total:
                    did = dict.fromkeys(_COUNTED, 0.0)
                elif number:
                    did = self._mend(weights, seen, self.wanted)
                else:
                    did = self._verify(weights, targets_of(weights, self.wanted, low, high), plan.reverify_rounds)
                off = self.errors(weights, seen)
                work.add({"round": number}, seen=seen[block.slices], target=self._target_of(weights)[block.slices])
                work.done(f"off by {max(off.values()):.1%}, {did['cells']:.0f} cells", **did, error=[*off.values()])
            told = {one: [float(value) for value in work.pieces(one)] for one in _COUNTED}
            errors = work.stack("error")
        self.rounds = {**{name: np.asarray(values) for name, values in told.items()}, "error": errors}

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Add the changes to the wanted weights, and move the cells of those that are off by more than ``least``."""
        del samples
        self._mine(weights)
        if not self.wanted:
            self.adopt(weights)
        for layer, change in changes.items():
            largest = self.span() / weights.scale[layer]
            before = self.wanted[layer] if layer in self.wanted else weights.weights(layer)
            self.wanted[layer] = np.clip(before + change, -largest, largest)
        self._mend(weights, self._look(weights), {layer: self.wanted[layer] for layer in changes})

    def errors(self, weights: ArrayWeights, seen: FloatArray) -> dict[str, float]:
        """Return how far layers are off, of conductances [rows, cols] [S]: RMS error over RMS of the wanted weights."""
        found: dict[str, float] = {}
        for layer, matrix in self.wanted.items():
            size = float(np.sqrt(np.mean(matrix**2)))
            off = float(np.sqrt(np.mean((weights_of(weights, layer, seen) - matrix) ** 2)))
            found[layer] = off / size if size else off
        return found

    def _target_of(self, weights: ArrayWeights) -> FloatArray:
        return targets_of(weights, self.wanted, self.settings.levels.low, self.settings.levels.high)

    def _look(self, weights: ArrayWeights) -> FloatArray:
        """Return what products see of all cells [rows, cols] [S]; 0 beyond the block."""
        whole = np.zeros(weights.conductance.shape)
        reading = SeenByProducts(weights.array).read(weights.block, average=self.settings.look_average)
        whole[weights.block.slices] = reading.conductance
        return whole

    def _mend(self, weights: ArrayWeights, seen: FloatArray, wanted: Mapping[str, FloatArray]) -> dict[str, float]:
        low, high = self.settings.levels.low, self.settings.levels.high
        missed = np.zeros(weights.conductance.shape, np.int64)
        if self._missed.size:
            missed[weights.block.slices] = self._missed
        leave: BoolArray = missed >= GIVEN_UP
        target = mended(weights, wanted, seen, leave, low=low, high=high, least=self.settings.least)
        return self._verify(weights, target, 0)

    def _verify(self, weights: ArrayWeights, target: FloatArray, again: int) -> dict[str, float]:
        """Bring cells to their targets [rows, cols] [S], nan leaves one alone; return what it took."""
        plan, array, block = self.settings.model_copy(update={"reverify_rounds": again}), weights.array, weights.block
        wanted = target[block.slices]
        before, began = array.cost, array.clock.now()
        seen = SeenByProducts(array)
        low = plan.levels.low
        around = Goal.around(wanted, plan.window)
        # A cell at rest may be as low as it likes.
        goal = Goal(wanted, np.where(wanted <= low, 0.0, around.low), around.high)
        state = VerifyState(goal, array.spec.healthy_mask(block), plan.acceptance())
        if state.active.any():
            staircase = self._stairs(array.spec, block.shape, goal)
            loop = plan.loop(seen, block, state, staircase)
            while not loop.over:
                loop.go_on()
            state.close()
        if not self._missed.size:
            self._missed = np.zeros(block.shape, np.int64)
        tried = state.verdict != Verdict.NOT_ATTEMPTED
        failed = tried & (state.verdict != Verdict.ACCEPTED) & ~goal.inside(np.nan_to_num(state.g), 1.0)
        self._missed = self._missed + failed
        self._missed[state.verdict == Verdict.NO_RESPONSE] = GIVEN_UP
        spent = array.cost - before
        return {
            "cells": float(tried.sum()), "failed": float(failed.sum()), "pulses": float(spent.pulses),
            "transactions": float(spent.transactions), "vectors": float(seen.vectors),
            "seconds": array.clock.now() - began,
        }  # fmt: skip

    def _stairs(self, spec: ArraySpec, shape: tuple[int, int], goal: Goal) -> PlanningStaircase:
        """Return the staircase with what it has learnt, aimed at these windows."""
        if self._staircase is None:
            top = Goal.around(np.full(shape, self.settings.levels.high), self.settings.window)
            self._staircase = PlanningStaircase(*self.settings.ramps(spec), top)
            if self._kept:
                self._staircase.restore(self._kept)
        self._staircase.aim(goal)
        return self._staircase

    # -- kept with a run ---------------------------------------------------------------------------------------------

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the wanted weights, what was learnt of the cells, and which of them miss."""
        kept: dict[str, NDArray[Any]] = {"missed": self._missed}
        learnt = self._staircase.arrays() if self._staircase is not None else self._kept
        kept |= {f"learnt/{name}": value for name, value in learnt.items()}
        return kept | {f"wanted/{name}": value for name, value in self.wanted.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take them up."""
        self._missed = np.array(arrays["missed"], np.int64)
        self._staircase, self._kept = None, _under("learnt", arrays)
        self.wanted = {name: np.array(value, np.float64) for name, value in _under("wanted", arrays).items()}


_COUNTED = ("cells", "failed", "pulses", "transactions", "vectors", "seconds")


def _under(kind: str, arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {k.removeprefix(f"{kind}/"): np.array(value) for k, value in arrays.items() if k.startswith(f"{kind}/")}
