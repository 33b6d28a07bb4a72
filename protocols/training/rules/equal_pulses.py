"""Update rules that count equal pulses: by the sign alone, by what has added up on the host, or row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....analysis.measurements.pulse_answer import PulsePair, StepNeeds
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import FloatArray, PulseMap
from ...plan import check_pulse
from ..layers.array_weights import ArrayWeights
from ..layers.weight_mapping import FloorPlan
from .memory import RuleMemory
from .update_rules import Changes, Samples, StepCost, share_of

# Ours: fewer steps over the range than this and every update swings a weight through a good part of what it can be;
# smaller ones than a two-thousandth and a whole training moves no weight across it.
STEPS_MIN, LEAST_STEP = 8, 5e-4
# Ours, of writing given weights: reads and writes at most, conversions of each read, pulses of a cell in one write.
_ROUNDS, _READS, _PULSES = 12, 4, 100


@dataclass
class EqualPulses(RuleMemory):
    """Rules that count equal pulses: SETs where a cell must rise, RESETs where it must fall.

    Attributes
    ----------
    step : float [S]
        What one pulse moves a cell by, on average.
    start_pulses : int
        Largest number of pulses of a random start, either way.
    """

    step: float = 0.36e-6
    set_volts: float = 1.2
    reset_volts: float = 1.2
    set_gate: float = 1.2
    reset_gate: float = 5.0
    width: float = 500e-9
    start_pulses: int = 0
    share: float = 0.5

    needs_samples = False

    @classmethod
    def settings(cls, plan: Any) -> dict[str, Any]:
        """Return what of a training plan it is made with."""
        return {
            "step": plan.pulse_step,
            "set_volts": plan.pulse_volts,
            "reset_volts": plan.pulse_volts,
            "set_gate": plan.pulse_gate,
            "reset_gate": plan.reset_gate,
            "width": plan.width,
            "start_pulses": plan.start_pulses,
            **share_of(plan),
        }

    @property
    def volts_max(self) -> float:
        """Largest |V| it gives, for the forecast."""
        return max(self.set_volts, self.reset_volts)

    def pulses(self, spec: ArraySpec) -> PulsePair:
        """Return the two pulses it writes with."""
        gates = spec.pulse_gate(self.set_gate), spec.pulse_gate(self.reset_gate)
        return PulsePair(self.set_volts, gates[0], self.reset_volts, gates[1], self.width)

    def needs(self) -> StepNeeds:
        """Return which steps it can learn with."""
        return StepNeeds(least=LEAST_STEP, most=1.0 / STEPS_MIN)

    def check(self, spec: ArraySpec) -> None:
        """Refuse pulses beyond the limits."""
        name = type(self).__name__.lower()
        gates = spec.pulse_gate(self.set_gate), spec.pulse_gate(self.reset_gate)
        check_pulse(spec, volts=self.set_volts, width=self.width, gate=gates[0], channel=f"{name}.set_volts")
        check_pulse(spec, volts=-self.reset_volts, width=self.width, gate=gates[1], channel=f"{name}.reset_volts")

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Leave the cells as they are, or give each a random number of pulses."""
        self._anew(weights)
        if self.start_pulses:
            self.pulse(weights, rng.integers(-self.start_pulses, self.start_pulses + 1, weights.block.shape))

    def program(self, weights: ArrayWeights, wanted: Changes) -> None:
        """Bring cells to given weights [inputs, outputs]: read, give the pulses that are missing, and again."""
        self._anew(weights)
        for _ in range(_ROUNDS):
            weights.read(_READS)
            missing = {layer: want - weights.weights(layer) for layer, want in wanted.items()}
            pulses = np.rint(0.5 * weights.moves(missing) / self.step).astype(np.int64)
            if not pulses.any():
                break
            self.pulse(weights, np.clip(pulses, -_PULSES, _PULSES))

    def finish(self, weights: ArrayWeights) -> None:
        """Leave the weights as the last step did."""

    def pulse(self, weights: ArrayWeights, signed: NDArray[np.integer]) -> None:
        """Give every cell of the block ``signed`` pulses, positive ones SET; one transaction, none for none."""
        spec = weights.array.spec
        count = np.abs(signed) * weights.used[weights.block.slices]
        if not count.any():
            return
        up = signed > 0
        volts = np.where(up, self.set_volts, -self.reset_volts)
        gate = np.where(up, spec.pulse_gate(self.set_gate), spec.pulse_gate(self.reset_gate))
        weights.array.pulse(PulseMap(block=weights.block, volts=volts, width=self.width, gate=gate, count=count))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state; this rule has none."""
        return {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up the state; this rule has none."""


@dataclass
class Manhattan(EqualPulses):
    """One equal pulse per cell and step, by the sign of the change alone.

    Attributes
    ----------
    least : float
        Changes of a weight up to this are left out.
    """

    least: float = 0.0

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Give one pulse where the change is larger than ``least``."""
        self._mine(weights)
        wanted = weights.spread(changes)
        self.pulse(weights, np.sign(wanted).astype(np.int64) * (np.abs(wanted) > self.least))

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """One map: at most one pulse per cell, a SET and a RESET slot per row."""
        return StepCost(1, 1.0, 2.0)


@dataclass
class MixedPrecision(EqualPulses):
    """The host adds up changes exactly and writes whole pulses when they amount to one (Nandakumar et al. 2018).

    χ ← χ + share·dW·siemens per cell; n = trunc(χ/step) pulses; χ ← χ − n·step.

    Attributes
    ----------
    pulses_max : int
        Most pulses a cell gets in one step; the rest stays in χ.
    """

    pulses_max: int = 10
    owed: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)

    def forget(self) -> None:
        """Owe nothing."""
        self.owed = np.empty(0)

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Add up, and give whole pulses."""
        self._mine(weights)
        if not self.owed.size:
            self.owed = np.zeros(weights.block.shape)
        self.owed += self.share * weights.moves(changes)
        pulses = np.clip(np.trunc(self.owed / self.step), -self.pulses_max, self.pulses_max)
        self.owed -= pulses * self.step
        self.pulse(weights, pulses.astype(np.int64))

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """One map: at most ``pulses_max`` pulses per cell, and as many slots of either sign per row."""
        return StepCost(1, float(self.pulses_max), 2.0 * self.pulses_max)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what is owed to every cell [S]."""
        return {"owed": self.owed}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what is owed."""
        self.owed = np.array(arrays["owed"], dtype=np.float64)


@dataclass
class RowParallel(MixedPrecision):
    """At most one pulse per cell and step, given row by row: the columns of a row choose sign and take part or not.

    A row's cells that must rise share one slot, those that must fall another, so a step takes 2 slots per row however
    many columns there are (Liu, Zeng, Wunsch 2020). What is less than a pulse waits on the host.
    """

    pulses_max: int = 1

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """One map: one pulse per cell at most, two slots per row."""
        return StepCost(1, 1.0, 2.0)
