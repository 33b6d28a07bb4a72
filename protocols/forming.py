"""Form virgin cells: an amplitude staircase through a current-limiting gate, with a stop rule for every cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ..instruments.array_spec import ArraySpec, Block
from ..instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from .cell_table import cell_table
from .dataset import Axis, Variable
from .plan import Forecast, Plan, check_pulse
from .read_array import map_axes, read_seconds
from .run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ..analysis.report import Section

ALREADY, FORMED, UNFORMED, SHORTED, SKIPPED = "already formed", "formed", "unformed", "shorted", "skipped"
STEPS_MAX = 1000


class FormingPlan(Plan):
    """Amplitude rises from ``start_volts`` to ``stop_volts``; a cell leaves as soon as it reads formed twice."""

    cells: str = Field(default="all", description="rows,cols like '0:8,0:8', or 'all'")
    start_volts: float = Field(default=1.5, gt=0, description="first amplitude [V]")
    stop_volts: float = Field(
        default=3.3, gt=0, description="last amplitude [V]: the stop rule for cells that do not form"
    )
    step_volts: float = Field(default=0.05, gt=0, description="amplitude step [V]")
    gate: float = Field(default=1.3, ge=0, description="gate voltage [V]: limits the forming current")
    width: float = Field(default=10e-6, gt=0, description="pulse width [s]")
    formed_above: float = Field(default=20e-6, gt=0, description="a cell that reads above this is formed [S]")
    virgin_below: float = Field(
        default=1e-6,
        ge=0,
        description="a cell that reads between this and formed_above may be formed and off: it gets one SET first [S]",
    )
    short_above: float = Field(
        default=1e-3, gt=0, description="a cell that reads above this is shorted and left alone [S]"
    )
    confirm: bool = Field(default=True, description="prove every formed cell by one RESET and one SET")
    set_volts: float = Field(default=2.5, gt=0, description="amplitude of the confirming SET [V]")
    set_gate: float = Field(default=1.6, ge=0, description="gate of the confirming SET [V]")
    reset_volts: float = Field(default=1.7, gt=0, description="magnitude of the confirming RESET [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the confirming RESET [V]")
    switch_width: float = Field(default=500e-9, gt=0, description="width of the confirming pulses [s]")

    @model_validator(mode="after")
    def _ordered(self) -> FormingPlan:
        if self.stop_volts < self.start_volts:
            raise ValueError(f"stop_volts {self.stop_volts} V is below start_volts {self.start_volts} V")
        if (self.stop_volts - self.start_volts) / self.step_volts > STEPS_MAX:
            raise ValueError(
                f"step_volts {self.step_volts:g} V makes more than {STEPS_MAX} steps from {self.start_volts:g} to "
                f"{self.stop_volts:g} V: choose a larger step"
            )
        return self

    @property
    def staircase(self) -> FloatArray:
        """Amplitudes [V], first to last."""
        steps = int(np.floor((self.stop_volts - self.start_volts) / self.step_volts + 1e-9)) + 1
        return self.start_volts + self.step_volts * np.arange(steps, dtype=np.float64)

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array and pulses beyond the limits."""
        Block.parse(self.cells, spec)
        check_pulse(spec, volts=self.stop_volts, width=self.width, gate=self.gate, channel="forming.stop_volts")
        check_pulse(spec, volts=self.set_volts, width=self.switch_width, gate=self.set_gate, channel="forming.set")
        check_pulse(
            spec, volts=-self.reset_volts, width=self.switch_width, gate=self.reset_gate, channel="forming.reset"
        )

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when no cell forms before the last step."""
        block = Block.parse(self.cells, spec)
        steps = len(self.staircase)
        slots = block.nrows * (self.width + spec.slot_overhead)
        return Forecast(
            block.size,
            max(self.stop_volts, self.set_volts),
            block.size * (steps + 2),
            steps * (slots + 2 * read_seconds(spec, block)),
        )


@dataclass(frozen=True)
class FormingResult:
    """Outcome, forming voltage [V] (nan where none), conductance before and after [S], pulses, all [rows, cols]."""

    block: Block
    outcome: NDArray[np.str_]
    v_form: FloatArray
    before: FloatArray
    after: FloatArray
    after_reset: FloatArray
    after_set: FloatArray
    pulses: NDArray[np.int64]
    works: NDArray[np.bool_]

    @property
    def attempted(self) -> NDArray[np.bool_]:
        """True where forming was tried or found done."""
        return self.outcome != SKIPPED

    @property
    def frame(self) -> DataFrame:
        """One line per cell."""
        return cell_table(
            self.block,
            {
                "outcome": self.outcome,
                "v_form_V": self.v_form,
                "before_S": self.before,
                "after_S": self.after,
                "after_reset_S": self.after_reset,
                "after_set_S": self.after_set,
                "pulses": self.pulses,
                "works": self.works,
            },
        )

    def plot(self) -> Figure:
        """Return the distribution of forming voltages."""
        from ..analysis.forming_stats import forming_cdf

        return forming_cdf(self.v_form, n_attempted=int(self.attempted.sum()))

    def metrics(self) -> dict[str, float]:
        """Return ``formed_fraction`` and ``v_form_mean`` as docs/quantities.md defines them."""
        from ..analysis.estimates import flatten_all
        from ..analysis.forming_stats import forming_metrics

        return flatten_all(forming_metrics(self.v_form, self.works, self.attempted))

    def section(self) -> Section:
        """Return distribution, map and outcomes as a part of the report."""
        from pandas import DataFrame

        from ..analysis.array_maps import conductance_map
        from ..analysis.report import Section

        names, counts = np.unique(self.outcome, return_counts=True)
        table = DataFrame({"outcome": names, "cells": counts})
        table["share"] = [f"{count / self.outcome.size:.2%}" for count in counts]
        text = (
            "All unformed cells were pulsed at rising amplitude; each left the staircase once it read formed twice. "
            "A cell counts as formed only if it then completed one RESET and one SET."
        )
        after = conductance_map(
            self.after, origin=(self.block.row0, self.block.col0), title="Conductance after forming"
        )
        return Section(
            "Forming",
            text,
            [("Cells formed at or below a given amplitude.", self.plot()), ("Conductance after forming.", after)],
            [("Outcomes.", table)],
        )

    def __repr__(self) -> str:
        return (
            f"<FormingResult {self.block}: {int(self.works.sum())} of {int(self.attempted.sum())} cells work, "
            f"mean forming voltage {np.nanmean(self.v_form) if np.isfinite(self.v_form).any() else np.nan:.3g} V>"
        )


def form(array: CrossbarArray, plan: FormingPlan, run: Run | None = None) -> FormingResult:
    """Form all virgin cells of a block, every slot serving a whole row."""
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    known_good = array.spec.healthy_mask(block)
    variables = [Variable("conductance", "Conductance", "S"), Variable("volts", "Amplitude applied", "V")]
    axes = [Axis("cycle", "Staircase step"), *map_axes(block)]
    with keep.dataset("forming", axes, variables, {"gate": plan.gate, "width": plan.width}) as data:
        before = array.read(block, average=4).conductance
        data.add({"cycle": 0}, conductance=before, volts=np.zeros(block.shape))
        shorted = known_good & (before > plan.short_above)
        already = known_good & (before > plan.formed_above) & ~shorted
        already |= _answering_to_a_set(
            array, plan, block, known_good & ~already & ~shorted & (before > plan.virgin_below)
        )
        todo = known_good & ~already & ~shorted
        v_form = np.full(block.shape, np.nan)
        pulses = np.zeros(block.shape, dtype=np.int64)
        g = before
        staircase = plan.staircase
        with keep.progress("forming staircase", len(staircase)) as bar:
            for step, volts in enumerate(staircase, start=1):
                if not todo.any():
                    break
                array.pulse(PulseMap(block, float(volts), plan.width, plan.gate, todo.astype(np.int64)))
                pulses += todo
                g = array.read(block).conductance
                data.add({"cycle": step}, conductance=g, volts=np.where(todo, volts, 0.0))
                candidate = todo & (g > plan.formed_above)
                if candidate.any():
                    # A single noisy read must not end a cell's forming.
                    g = array.read(block).conductance
                    formed = candidate & (g > plan.formed_above)
                    v_form[formed] = volts
                    shorted |= formed & (g > plan.short_above)
                    todo &= ~formed
                bar.update(step, f"{int(todo.sum())} cells left at {volts:.2f} V")
        after = array.read(block, average=4).conductance
        formed = np.isfinite(v_form) | already
        switchable = formed & ~shorted
        after_reset, after_set = after, after
        works = switchable
        if plan.confirm:
            after_reset, after_set = _prove(array, plan, block, switchable)
            pulses += 2 * switchable
            works = switchable & (after_reset < after_set / 1.5) & (after_set > plan.formed_above)
        outcome = np.select(
            [~known_good, shorted, already, np.isfinite(v_form)],
            [SKIPPED, SHORTED, ALREADY, FORMED],
            default=UNFORMED,
        ).astype("U16")
    return FormingResult(block, outcome, v_form, before, after, after_reset, after_set, pulses, works)


def _answering_to_a_set(
    array: CrossbarArray, plan: FormingPlan, block: Block, doubtful: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which of the doubtful cells a normal SET brings above the formed conductance: formed before, and off."""
    if not doubtful.any():
        return doubtful
    array.pulse(PulseMap(block, plan.set_volts, plan.switch_width, plan.set_gate, doubtful.astype(np.int64)))
    return doubtful & (array.read(block, average=4).conductance > plan.formed_above)


def _prove(
    array: CrossbarArray, plan: FormingPlan, block: Block, cells: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    count = cells.astype(np.int64)
    array.pulse(PulseMap(block, -plan.reset_volts, plan.switch_width, plan.reset_gate, count))
    low = array.read(block, average=4).conductance
    array.pulse(PulseMap(block, plan.set_volts, plan.switch_width, plan.set_gate, count))
    return low, array.read(block, average=4).conductance
