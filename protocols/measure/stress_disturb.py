"""Disturb by pulses that are not meant to write: trains of reads or half-selects on the cells themselves.

A cell on a line of a written one sees half of the amplitude (an array without gates), or the whole of it with its
transistor off. Here the cells of a block are given just that, up to 10⁶ times in one command, so that every cell is its
own sample; :mod:`.disturb` writes a cell and watches the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from ...analysis.measurements.disturb_limits import SafeVolts, StressGrid
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, check_pulse, with_intervals
from .disturb import SIGNS, give_train, train_counts
from .read_array import map_axes
from .switching import FORM_FIRST, SwitchPlan, bring

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

Amplitudes = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=2, max_length=60)]
TRIED = 10
"""Amplitudes of a plan that names none."""
TITLES = {"half_select": "Half-select disturb: what cells bear", "read": "Read disturb: what cells bear"}


class StressPlan(Plan):
    """Trains of equal pulses of several amplitudes, both polarities, on cells in both states, each prepared anew."""

    cells: str = Field(default="0:8,0:8", description="rows,cols like '0:8,0:8', or 'all'")
    kind: Literal["half_select", "read"] = Field(
        default="half_select", description="pulses of a half-select (transistors off), or of a read (transistors on)"
    )
    volts: Amplitudes | None = Field(
        default=None,
        description="magnitudes at the cell, two at least [V]; by default ten up to what the limits of the array allow",
    )
    width: float | None = Field(
        default=None,
        gt=0,
        description="pulse width; 200 ns of a half-select, the array's slot of a read by default [s]",
    )
    pulses: int = Field(default=100_000, ge=1, description="pulses of a train")
    per_decade: int = Field(default=1, ge=1, le=20, description="reads per decade of pulses")
    level: float = Field(
        default=0.01, gt=0, lt=1, description="relative change that counts as a disturbance [fraction]"
    )
    settle: float = Field(default=1.0, ge=0, description="time between the preparation and the first reading [s]")
    average: int = Field(default=16, ge=1, description="conversions per cell and read")
    prepare: SwitchPlan = Field(default=SwitchPlan(), description="how the cells are switched on and off")
    scheme: str | None = Field(default=None, description="bias scheme of the pulses; the array's own by default")

    @field_validator("volts", mode="after")
    @classmethod
    def _apart(cls, volts: tuple[float, ...] | None) -> tuple[float, ...] | None:
        if volts is None:
            return None
        if len(set(volts)) < 2:
            raise ValueError("give at least two different amplitudes")
        return tuple(sorted(set(volts)))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pulses before each reading."""
        return train_counts(self.pulses, self.per_decade)

    def stress(self, spec: ArraySpec) -> tuple[float, float]:
        """Return width [s] and gate [V] of the pulses."""
        if self.kind == "read":
            slot = min(max(spec.read_slot_seconds, spec.limits.width_min), spec.limits.width_max)
            return self.width or slot, spec.pulse_gate(spec.read_gate)
        return self.width or 200e-9, 0.0

    def amplitudes(self, spec: ArraySpec) -> tuple[float, ...]:
        """Return the magnitudes [V], rising: those given, else :data:`TRIED` up to what the array may give a cell.

        Half-selects go to the largest amplitude that may be written in both polarities, of which a line carries half
        where no transistor keeps it from the others. Reads go to the largest read, from a thirty-second of it in equal
        ratios: cells are read at far more than the weakest of them bear a hundred thousand times.
        """
        if self.volts is not None:
            return self.volts
        limits = spec.limits
        write = min(limits.set_volts_max, limits.reset_volts_max)
        if self.kind == "read":
            found = np.geomspace(limits.read_volts_max / 32.0, limits.read_volts_max, TRIED)
        else:
            top = write if spec.gate_axis is not None else 0.5 * write
            found = np.linspace(top / 8.0, top, TRIED)
        inside = np.minimum(np.round(found, 4), write)
        return tuple(sorted({max(volts, spec.volts_lsb) for volts in inside.tolist()}))

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return with_intervals(f"{self.kind}_safe_volts", f"{self.kind}_change_per_decade")

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses beyond the limits, and a scheme this array lacks."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="stress_disturb")
        width, gate = self.stress(spec)
        for sign in SIGNS:
            top = sign * self.amplitudes(spec)[-1]
            check_pulse(spec, volts=top, width=width, gate=gate, channel="stress_disturb.volts")
            spec.limits.check_pulses(top, width, channel="stress_disturb ", edge=spec.edge)
        self.prepare.check(spec, channel="stress_disturb.prepare")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of all trains when every preparation takes all its attempts."""
        block = Block.parse(self.cells, spec)
        width, _ = self.stress(spec)
        amplitudes = self.amplitudes(spec)
        trains, units = 4 * len(amplitudes), 4 * len(amplitudes) + 2
        reads = (len(self.counts) + 1) * spec.read_seconds(block, self.average)
        seconds = units * (self.prepare.seconds(spec, block) + self.settle + reads + self._seconds(spec, block, width))
        pulses = trains * block.size * self.pulses + units * block.size * self.prepare.attempts
        return Forecast(block.size, max(amplitudes[-1], self.prepare.volts_max), pulses, seconds)

    def _seconds(self, spec: ArraySpec, block: Block, width: float) -> float:
        return sum(spec.pulse_seconds(block, width, int(more)) for more in np.diff(self.counts, prepend=0))


@dataclass(frozen=True, kw_only=True)
class StressResult:
    """Changes of every cell; ``cells`` as (row, col), ``conductance`` [S] before each train and after each reading."""

    plan: StressPlan
    cells: list[tuple[int, int]]
    grid: StressGrid
    conductance: FloatArray
    scheme: str
    width: float

    @cached_property
    def safe(self) -> SafeVolts:
        """The largest amplitude that 99 % of the cells bear."""
        from ...analysis.measurements.disturb_limits import safe_volts

        return safe_volts(self.grid)

    @property
    def frame(self) -> DataFrame:
        """One line per reading: row, col, state, volts of the pulses [V], pulses given, G [S], ΔG/G."""
        from pandas import DataFrame

        from ...analysis.measurements.disturb import STATES

        state, polarity, volts, point, cell = np.indices(self.grid.change.shape).reshape(5, -1)
        where = np.asarray(self.cells)
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "state": np.asarray(STATES)[state],
                "volts_V": np.asarray(SIGNS)[polarity] * self.grid.volts[volts],
                "pulses": self.grid.pulses[point],
                "conductance_S": self.conductance.ravel(),
                "change": self.grid.change.ravel(),
            }
        )

    def plot(self) -> Figure:
        """Return the change at the end of the trains against the amplitude."""
        from ...analysis.measurements.disturb_limits import stress_figure

        return stress_figure(self.grid, self.safe, title=f"{TITLES[self.plan.kind]} in {self.plan.pulses:,} pulses")

    def metrics(self) -> dict[str, float]:
        """Return the safe voltage, and ΔG/G per decade of pulses at the largest amplitude."""
        from ...analysis.estimates.estimates import flatten
        from ...analysis.measurements.disturb_limits import worst_slope

        kind = self.plan.kind
        return {
            **flatten(f"{kind}_safe_volts", self.safe.volts),
            **flatten(f"{kind}_change_per_decade", worst_slope(self.grid, len(self.grid.volts) - 1)),
        }

    def section(self) -> Section:
        """Return figure and table as a part of the report."""
        from ...analysis.measurements.disturb_limits import stress_table
        from ...analysis.report.report import Section

        plan, safe = self.plan, self.safe
        how = "with the transistors off" if plan.kind == "half_select" else "as a read drives them"
        if safe.reason:
            said = f"No safe amplitude can be given: {safe.reason}."
            if not np.isfinite(self.grid.change).any():
                said = f"No cell could be switched both on and off: {FORM_FIRST}."
        elif safe.bound:
            said = (
                f"No state and no polarity moved beyond what cells do that are left alone: {safe.volts.value:.3g} V, "
                "the largest amplitude tried, is a lower bound of what is safe."
            )
        else:
            said = f"99 % of the cells bear {safe.volts.value:.3g} V; what sets it: {safe.which}."
            if safe.volts.value < self.grid.volts[0]:
                said += (
                    f" That is extrapolated: {self.grid.volts[0]:.3g} V, the smallest amplitude tried, is more than "
                    "they bear. Try smaller ones."
                )
        text = (
            f"{len(self.cells)} cells were given up to {plan.pulses:,} pulses of {self.width:.3g} s {how} (bias scheme "
            f"{self.scheme}), each train from a freshly prepared state and in one command from reading to reading. A "
            f"cell is disturbed when it moves by {plan.level:.0%}; cells left alone for as long show what is no "
            f"disturbance. {said}"
        )
        caption = "Change at the end of the trains; the dashed lines are the safe amplitude."
        table = ("At the end of the trains.", stress_table(self.grid))
        return Section(TITLES[plan.kind], text, [(caption, self.plot())], [table])

    def __repr__(self) -> str:
        value = self.safe.volts.value
        safe = (
            f"safe up to {'at least ' if self.safe.bound else ''}{value:.3g} V" if np.isfinite(value) else "not known"
        )
        return f"<StressResult {self.plan.kind}, {len(self.cells)} cells, {self.plan.pulses:,} pulses: {safe}>"


def stress_disturb(array: CrossbarArray, plan: StressPlan, run: Run | None = None) -> StressResult:
    """Give cells trains of pulses that are not meant to write them, and follow their conductance.

    A cell counts that could be switched both on and off. A unit of work is one train, or one state left alone for as
    long as a train takes; it begins with the preparation, so one that may have been cut is done again. Trains are in
    random order.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    spec, block, counts = array.spec, Block.parse(plan.cells, array.spec), plan.counts
    mask = spec.healthy_mask(block) & keep.chip.healthy_of(array)[block.slices]
    if not mask.any():
        raise RefusedError(f"stress_disturb: all cells of {block} are known to be bad: choose others")
    width, gate = plan.stress(spec)
    steps, amplitudes = np.diff(counts, prepend=0), plan.amplitudes(spec)
    axes = [Axis("state", "State, 0 LRS, 1 HRS"), Axis("volts", "Amplitude", "V"), Axis("pulse", "Pulses")]
    variables = [Variable("conductance", "Conductance", "S")]
    trains = [(s, p, k) for s in range(2) for p in range(2) for k in range(len(amplitudes))]
    names = [f"state {s} polarity {p} amplitude {k}" for s, p, k in trains]

    def read() -> FloatArray:
        return array.read(block, average=plan.average).conductance

    def follow(state: int, volts: float) -> dict[str, FloatArray]:
        ready = bring(array, block, mask, SIGNS[state], plan.prepare, plan.scheme)
        array.clock.wait(plan.settle)
        before = read()
        ready &= before > 0.0
        work.add({"state": state, "volts": volts, "pulse": 0}, conductance=before)
        g = np.full((len(counts), *block.shape), np.nan)
        for point, more in enumerate(steps.tolist()):
            if volts:
                pulses = PulseMap(block=block, volts=volts, width=width, gate=gate, scheme=plan.scheme)
                give_train(array, pulses, more, ready)
            else:
                array.clock.wait(spec.pulse_seconds(block, width, more))
            now = read()
            work.add({"state": state, "volts": volts, "pulse": int(counts[point])}, conductance=now)
            g[point] = np.where(ready, now, np.nan)
        return {"g": g, "change": g / np.where(ready, before, np.nan) - 1.0}

    total = len(trains) + 2
    with keep.work(
        "stress_disturb",
        [*axes, *map_axes(block)],
        variables,
        {"width": width},
        label="trains",
        total=total,
        drawn=False,
    ) as work:
        for state in range(2):
            if work.begin(f"state {state} left alone"):
                work.done("left alone", **follow(state, 0.0))
        for number in keep.rng("order").permutation(len(trains)).tolist():
            state, polarity, amplitude = trains[number]
            if work.begin(names[number]):
                volts = SIGNS[polarity] * amplitudes[amplitude]
                work.done(f"{volts:+.3g} V, cells {'on' if state == 0 else 'off'}", **follow(state, volts))
        shape = (2, 2, len(amplitudes), len(counts), int(mask.sum()))
        g, change = (
            np.stack([work.piece(unit, name)[:, mask] for unit in names]).reshape(shape) for name in ("g", "change")
        )
        idle = np.stack([work.piece(f"state {state} left alone", "change")[:, mask] for state in range(2)])
    # A virgin cell reads as one that is off, and a short as one that is on: neither is a cell that bears anything.
    both = np.isfinite(g).any(axis=(1, 2, 3)).all(axis=0)
    g, change, idle = (np.where(both, values, np.nan) for values in (g, change, idle))
    return StressResult(
        plan=plan,
        cells=block.where(mask),
        grid=StressGrid(counts, np.asarray(amplitudes), change, idle, plan.level),
        conductance=g,
        scheme=spec.require_scheme(plan.scheme, writing=True),
        width=width,
    )
