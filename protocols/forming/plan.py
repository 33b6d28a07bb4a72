"""What forming is asked with: an amplitude staircase or a current-limited ramp, and how a cell proves itself."""

from __future__ import annotations

from typing import Literal

import numpy as np
from pydantic import Field, model_validator

from ...instruments.abilities import Sweeps
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import FloatArray
from ..plan import Forecast, Plan, check_pulse, with_intervals

STEPS_MAX = 1000


class FormingPlan(Plan):
    """Amplitude rises from ``start_volts`` to ``stop_volts``; a cell leaves as soon as it reads formed twice."""

    cells: str = Field(default="all", description="rows,cols like '0:8,0:8', or 'all'")
    method: Literal["pulses", "ramp"] = Field(
        default="pulses",
        description="'pulses' of rising amplitude, or a 'ramp' of a source that limits the current, cell by cell",
    )
    one_by_one: bool = Field(
        default=False, description="pulse cell by cell instead of all at once; a ramp always goes cell by cell"
    )
    start_volts: float = Field(default=1.5, gt=0, description="first amplitude [V]")
    stop_volts: float = Field(
        default=3.3, gt=0, description="last amplitude [V]: the stop rule for cells that do not form"
    )
    step_volts: float = Field(default=0.05, gt=0, description="amplitude step [V]")
    gate: float = Field(default=1.3, ge=0, description="gate voltage [V], where there are gates: limits the current")
    width: float = Field(default=10e-6, gt=0, description="pulse width [s]")
    compliance: float = Field(default=300e-6, gt=0, description="largest current of the ramp [A]")
    dwell: float = Field(default=10e-3, gt=0, description="time per point of the ramp [s]")
    segment_points: int = Field(default=4, ge=1, description="points of the ramp between two reads")
    scheme: str | None = Field(default=None, description="bias scheme of the writes; the array's own by default")
    formed_above: float = Field(default=20e-6, gt=0, description="a cell that reads above this is formed [S]")
    virgin_below: float = Field(
        default=1e-6,
        gt=0,
        description="a cell that reads between this and formed_above may be formed and off: it gets one SET first [S]",
    )
    short_above: float = Field(
        default=1e-3, gt=0, description="a cell that reads above this is shorted and left alone [S]"
    )
    confirm: bool = Field(default=True, description="prove every formed cell by one RESET and one SET")
    set_volts: float = Field(default=2.5, gt=0, description="amplitude of the confirming SET [V]")
    set_gate: float = Field(default=1.6, ge=0, description="gate of the confirming SET [V], where there are gates")
    reset_volts: float = Field(default=1.7, gt=0, description="magnitude of the confirming RESET [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the confirming RESET [V], where there are gates")
    switch_width: float = Field(default=500e-9, gt=0, description="width of the confirming pulses [s]")
    longer_if_needed: bool = Field(
        default=False, description="confirm by the array's shortest pulses where those are longer than switch_width"
    )
    attempts: int = Field(
        default=3, ge=1, le=20, description="pulses a cell may have for each RESET and each SET, cell by cell"
    )
    attempt_step: float = Field(default=0.1, ge=0, description="what each further attempt adds to its pulse [V]")
    off_below: float | None = Field(
        default=None, gt=0, description="cell by cell: a RESET goes on until the cell reads below this [S]"
    )
    reset_after: bool = Field(
        default=True,
        description="cell by cell: RESET a cell before the next is formed, whose current it would take otherwise",
    )
    park_volts: float | None = Field(
        default=None,
        gt=0,
        description="magnitude of that RESET [V], reset_volts by default; a gentle one leaves the cell where "
        "the half-selects of the next formings move it least, and all cells are switched off at the end",
    )
    check_neighbours: bool = Field(
        default=True, description="cell by cell: read the rest of its row and column in the block after every cell"
    )

    @model_validator(mode="after")
    def _ordered(self) -> FormingPlan:
        if self.stop_volts < self.start_volts:
            raise ValueError(f"stop_volts {self.stop_volts} V is below start_volts {self.start_volts} V")
        if (self.stop_volts - self.start_volts) / self.step_volts > STEPS_MAX:
            raise ValueError(
                f"step_volts {self.step_volts:g} V makes more than {STEPS_MAX} steps from {self.start_volts:g} to "
                f"{self.stop_volts:g} V: choose a larger step"
            )
        if self.off_below is not None and self.off_below >= self.short_above:
            raise ValueError(f"off_below {self.off_below:g} S is not below short_above {self.short_above:g} S")
        if not self.virgin_below <= self.formed_above < self.short_above:
            raise ValueError(
                f"virgin_below {self.virgin_below:g} S, formed_above {self.formed_above:g} S and short_above "
                f"{self.short_above:g} S must rise in this order"
            )
        return self

    @property
    def strongest(self) -> tuple[float, float]:
        """Largest SET and RESET magnitude of the last attempt [V]; formed all at once, a cell has one attempt."""
        climb = (self.attempts - 1) * self.attempt_step if self.cell_by_cell else 0.0
        return self.set_volts + climb, max(self.reset_volts + climb, self.park_volts or 0.0)

    def proof_width(self, spec: ArraySpec) -> float:
        """Return the width of the confirming pulses [s]."""
        return spec.width_at_least(self.switch_width) if self.longer_if_needed else self.switch_width

    @property
    def cell_by_cell(self) -> bool:
        """Whether cells are formed one after the other."""
        return self.one_by_one or self.method == "ramp"

    @property
    def staircase(self) -> FloatArray:
        """Amplitudes [V], first to last."""
        steps = int(np.floor((self.stop_volts - self.start_volts) / self.step_volts + 1e-9)) + 1
        # The last step may come out a rounding error above the stop, which may be the limit of the chip.
        return np.minimum(self.start_volts + self.step_volts * np.arange(steps, dtype=np.float64), self.stop_volts)

    @property
    def segments(self) -> list[FloatArray]:
        """The staircase in the pieces after which a cell is read: single pulses, or points of the ramp [V]."""
        points = self.segment_points if self.method == "ramp" else 1
        staircase = self.staircase
        return [staircase[start : start + points] for start in range(0, len(staircase), points)]

    def measures(self) -> frozenset[str]:
        """Return what it gives; neighbours are watched where cells are formed one by one."""
        watched = self.check_neighbours and (self.method == "ramp" or self.one_by_one)
        found = with_intervals("v_form_mean", "formed_fraction")
        return found | {"disturbed_cells"} if watched else found

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses and ramps beyond the limits, and a scheme this array lacks."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(4, channel="forming")
        if self.method == "ramp":
            spec.require(Sweeps)
            spec.limits.check("pulse_volts", self.stop_volts, channel="forming.stop_volts")
            spec.check_sweep(self.segment_points, self.compliance, self.dwell, channel="forming")
            spec.check_gate(self.gate, channel="forming.gate")
        else:
            check_pulse(spec, volts=self.stop_volts, width=self.width, gate=self.gate, channel="forming.stop_volts")
        up, down = self.strongest
        proof = self.proof_width(spec)
        check_pulse(spec, volts=up, width=proof, gate=self.set_gate, channel="forming.set")
        check_pulse(spec, volts=-down, width=proof, gate=self.reset_gate, channel="forming.reset")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when no cell forms before the last step."""
        block = Block.parse(self.cells, spec)
        steps = len(self.staircase)
        volts = max(self.stop_volts, *self.strongest)
        ends = 2 * spec.read_seconds(block, 4) + 2 * self.confirm * (
            spec.pulse_seconds(block, self.proof_width(spec)) + spec.read_seconds(block, 4)
        )
        if not self.cell_by_cell:
            each = spec.pulse_seconds(block, self.width) + 2 * spec.read_seconds(block)
            return Forecast(block.size, volts, block.size * (steps + 2 * self.confirm), steps * each + ends)
        cell = Block(block.row0, 1, block.col0, 1)
        switches = (2 * self.confirm + self.reset_after) * self.attempts + self.reset_after
        if self.method == "ramp":
            writes = sum(spec.sweep_seconds(len(segment), self.dwell) for segment in self.segments)
        else:
            writes = steps * spec.pulse_seconds(cell, self.width)
        reads = (len(self.segments) + 2) * spec.read_seconds(cell) + switches * spec.read_seconds(cell, 4)
        writes += switches * spec.pulse_seconds(cell, self.proof_width(spec))
        if self.check_neighbours:
            row, col = Block(block.row0, 1, block.col0, block.ncols), Block(block.row0, block.nrows, block.col0, 1)
            reads += spec.read_seconds(row, 4) + spec.read_seconds(col, 4)
        pulses = block.size * (switches + (steps if self.method == "pulses" else 0))
        return Forecast(block.size, volts, pulses, block.size * (writes + reads) + 2 * spec.read_seconds(block, 4))
