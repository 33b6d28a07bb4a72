"""Update rules that count equal pulses: by the sign alone, by what has added up on the host, or row by row."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ....instruments.capabilities import FloatArray
from ..layers.array_weights import ArrayWeights
from ..layers.weight_mapping import FloorPlan
from .small_steps import SmallSteps
from .update_rules import Changes, Samples, StepCost

# Ours, of writing given weights: reads and writes at most, conversions of each read, pulses of a cell in one write.
_ROUNDS, _READS, _PULSES = 12, 4, 100


@dataclass
class EqualPulses(SmallSteps):
    """Rules that count equal pulses: SETs where a cell must rise, RESETs where it must fall.

    Attributes
    ----------
    balance : bool
        Before a start all weights are brought to 0: on cells that an earlier training has left.
    """

    balance: bool = False

    needs_samples = False

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Leave the cells as they are, or balance every pair; then a random number of pulses for each, if wanted."""
        if self.balance:
            shapes = {one.name: (one.inputs, one.outputs) for one in weights.plan.requests}
            self.program(weights, {name: np.zeros(shape) for name, shape in shapes.items()})
        super().start(weights, rng)

    def program(self, weights: ArrayWeights, wanted: Changes) -> None:
        """Bring cells to given weights [inputs, outputs]: read, give the pulses that are missing, and again."""
        self._anew(weights)
        for _ in range(_ROUNDS):
            weights.read(_READS)
            missing = {layer: want - weights.weights(layer) for layer, want in wanted.items()}
            pulses = np.rint(0.5 * weights.moves(missing) / self.siemens).astype(np.int64)
            if not pulses.any():
                break
            self.pulse(weights, np.clip(pulses, -_PULSES, _PULSES))

    def finish(self, weights: ArrayWeights) -> None:
        """Leave the weights as the last step did."""

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

    steps_min, steps_max = 8, 4000

    def forget(self) -> None:
        """Owe nothing."""
        self.owed = np.empty(0)

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Add up, and give whole pulses."""
        self._mine(weights)
        if not self.owed.size:
            self.owed = np.zeros(weights.block.shape)
        self.owed += self.share * weights.moves(changes)
        pulses = np.clip(np.trunc(self.owed / self.siemens), -self.pulses_max, self.pulses_max)
        self.owed -= pulses * self.siemens
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

    Where columns carry the gates, a row's cells that must rise share one slot, those that must fall another: 2 slots
    per row however many columns there are. Where rows carry them a slot has an amplitude for every column, so it is
    one per row if SET and RESET have the same gate voltage (Liu, Zeng, Wunsch 2020). What is less than a pulse waits
    on the host.
    """

    pulses_max: int = 1
    steps_min, steps_max = 8, 2000

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """One map: one pulse per cell, two slots per row at most."""
        return StepCost(1, 1.0, 2.0)
