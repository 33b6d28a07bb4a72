"""What rules have in common that write by small steps: two pulses of a fixed size, and what one of them does."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from ....analysis.measurements.pulse_answer import AnswerSummary, PulsePair, StepNeeds
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import PulseMap
from ...plan import check_pulse
from .memory import RuleMemory
from .update_rules import share_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..layers.array_weights import ArrayWeights


@dataclass
class SmallSteps(RuleMemory):
    """Rules that give equal pulses, of which each moves a cell by a small part of its range.

    Attributes
    ----------
    step : float [S], optional
        What one pulse moves a cell by, on average; by default what the chip's account has of it, and where that has
        nothing ``usual_step``.
    start_pulses : int
        Largest number of pulses of a random start, either way.
    weight_range : float [S]
        What a cell moves by when its weight goes from -1 to 1, both cells of a pair moving alike.
    measured : float [S], optional
        What the account has.
    """

    step: float | None = None
    set_volts: float = 1.2
    reset_volts: float = 1.2
    set_gate: float = 1.2
    reset_gate: float = 5.0
    width: float = 500e-9
    share: float = 0.5
    start_pulses: int = 0
    weight_range: float = 100e-6
    measured: float | None = field(default=None, repr=False)

    usual_step = 0.36e-6
    # How many steps the range must hold, and may hold, as measured by tests/benchmarks/study_steps.py
    # (docs/validation/rules.md): with fewer accuracy breaks down, with more 150 updates take no weight anywhere.
    steps_min, steps_max = 64, 2000

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
            "weight_range": plan.siemens,
            **share_of(plan),
        }

    @property
    def siemens(self) -> float:
        """What one pulse is taken to move a cell by [S]."""
        return self.step or self.measured or self.usual_step

    def use_answer(self, answer: AnswerSummary) -> None:
        """Take from what the chip was measured to do what one pulse moves a cell by: the mean of both directions.

        Where nothing is known of a direction, nothing is taken.
        """
        step = 0.5 * (abs(answer.up.value) + abs(answer.down.value)) * (answer.high - answer.low)
        self.measured = step if step > 0.0 else None

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
        return StepNeeds(least=1.0 / self.steps_max, most=1.0 / self.steps_min, span=self.weight_range)

    def check(self, spec: ArraySpec) -> None:
        """Refuse pulses beyond the limits."""
        name, pair = type(self).__name__.lower(), self.pulses(spec)
        for volts, gate, what in (
            (pair.set_volts, pair.set_gate, "set_volts"),
            (-pair.reset_volts, pair.reset_gate, "reset_volts"),
        ):
            check_pulse(spec, volts=volts, width=pair.width, gate=gate, channel=f"{name}.{what}")

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Leave the cells as they are, or give each a random number of pulses."""
        self._anew(weights)
        if self.start_pulses:
            self.pulse(weights, rng.integers(-self.start_pulses, self.start_pulses + 1, weights.block.shape))

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
