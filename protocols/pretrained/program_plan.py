"""What writing a pretrained model is asked with: two conductances, pulses, how often it is corrected."""

from __future__ import annotations

from pydantic import Field

from ...instruments.abilities import Multiplies
from ...instruments.array_spec import ArraySpec
from ..programming.programming_plan import ProgrammingPlan, RampPlan
from ..programming.targets import Levels


class ProgramPlan(ProgrammingPlan):
    """One cell of a pair rests at ``levels.low``, the other stands above it by the weight, at ``levels.high`` at most.

    Both as products see them.
    """

    levels: Levels = Field(
        default=Levels(count=2, low=5e-6, high=250e-6), description="low: cells at rest; high: the largest weight"
    )
    set: RampPlan = Field(default_factory=lambda: RampPlan(volts=(1.0, 2.5), gate=(0.5, 3.6)), description="SET pulses")
    tolerance: float | None = Field(default=3e-6, gt=0, description="half-width of the window [S]")
    reverify_rounds: int = Field(default=1, ge=0, description="delayed re-verifications of the first programming")
    corrections: int = Field(default=7, ge=0, description="rounds in which weights that are off are corrected")
    settle: float = Field(default=30.0, ge=0, description="wait before the first of these rounds [s]")
    settle_growth: float = Field(
        default=2.0, ge=1, description="factor by which each of these waits is longer than the one before"
    )
    least: float = Field(
        default=3e-6, gt=0, description="error of a weight, per copy, up to which it is left alone [S]"
    )
    look_average: int = Field(default=8, ge=1, description="products behind each look at the weights")

    def wait(self, correction: int) -> float:
        """Return the wait before a correction, counted from 1 [s]."""
        return self.settle * self.settle_growth ** (correction - 1)

    def check(self, spec: ArraySpec) -> None:
        """Refuse, besides what programming would, an array that cannot multiply."""
        spec.require(Multiplies)
        super().check(spec)
