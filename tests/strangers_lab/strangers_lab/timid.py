"""An update rule: one pulse, and only where the change is among the largest."""

from dataclasses import dataclass

import numpy as np

from xbarlab.protocols.training.rules.equal_pulses import EqualPulses
from xbarlab.protocols.training.rules.update_rules import StepCost


@dataclass
class Timid(EqualPulses):
    """One pulse for the largest changes of a step; ``share_written`` of the cells get one."""

    share_written: float = 0.1

    def apply(self, weights, changes, samples):
        wanted = weights.spread(changes)
        least = np.quantile(np.abs(wanted), 1.0 - self.share_written)
        self.pulse(weights, np.sign(wanted).astype(np.int64) * (np.abs(wanted) > least))

    def step_cost(self, floor):
        return StepCost(transactions=1, pulses=self.share_written, slots=2.0)
