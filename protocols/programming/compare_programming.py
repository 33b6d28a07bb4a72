"""Ways of programming side by side: ISPP, a staircase of the gate, and read–verify, all from one initial state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...analysis.programming.compare_programming import (
    OURS,
    PARTS,
    WAYS,
    Attempt,
    best_of_each,
    pulse_energy,
    split_of_pulses,
)
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ...instruments.limits import refuse_bad_number
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..plan import Forecast, Plan, check_pulse, with_intervals
from .ispp import Climb, Values, climbs, same_start
from .planner import PlanningStaircase
from .programming_plan import ProgrammingPlan
from .staircases import Ramp, Staircase
from .targets import Edge, Goal, Levels
from .verify_state import BoolArray, Verdict, VerifyState

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

Way = Literal["read_verify", "ispp", "gate_staircase"]
STARTS, STEPS = (0.0, 0.25, 0.5), (0.05, 0.1)
"""Of a scan by default: where SET staircases begin and how large steps are, as shares of the range that is turned."""
GATES = (0.5, 0.75, 1.0)
"""Where the gate of ISPP's SETs is held by default, as shares of its range."""

_KNOBS = {"volts": "amplitude", "gate": "gate"}


class ScanPlan(Plan):
    """Every combination is tried; by default what the ranges of ``set`` and ``reset`` suggest."""

    set_starts: Values | None = Field(
        default=None,
        description="first value of the SET staircase [V]; by default the beginning, a quarter and the middle",
    )
    set_steps: Values | None = Field(
        default=None, description="step of the SET staircase [V]; by default 1/20 and 1/10 of its range"
    )
    reset_steps: Values | None = Field(
        default=None, description="step of the RESET staircase [V]; by default 1/20 and 1/10 of its range"
    )
    gates: Values | None = Field(
        default=None,
        description="gate held while SETs turn the amplitude [V]; by default the middle, three quarters and the end",
    )

    def climbs(self, set_ramp: Ramp, reset_ramp: Ramp) -> list[Climb]:
        """Return the combinations of starts and steps over two ramps."""
        width, reset_width = (ramp.stop - ramp.start for ramp in (set_ramp, reset_ramp))
        return climbs(
            self.set_starts or tuple(set_ramp.start + share * width for share in STARTS),
            self.set_steps or tuple(share * width for share in STEPS),
            self.reset_steps or tuple(share * reset_width for share in STEPS),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One staircase: a way, its ramps, and of a fixed one where it starts and how it climbs."""

    way: Way
    set_ramp: Ramp
    reset_ramp: Ramp
    climb: Climb | None = None

    @property
    def setting(self) -> str:
        """The staircase in words."""
        if self.climb is None:
            return "planned from what pulses have done"
        climb, ramp = self.climb, self.set_ramp
        held = f" at a gate of {ramp.held:.3g} V" if ramp.knob == "volts" and ramp.held else ""
        set_knob, reset_knob = (_KNOBS[one.knob] for one in (ramp, self.reset_ramp))
        return (
            f"SET {set_knob} from {climb.set_start:.3g} V by {climb.set_step:.3g} V{held}, "
            f"RESET {reset_knob} from {self.reset_ramp.start:.3g} V by {climb.reset_step:.3g} V"
        )

    def staircase(self, goal: Goal, shape: tuple[int, int]) -> Staircase:
        """Return the staircase, which knows nothing yet."""
        if self.climb is None:
            return PlanningStaircase(self.set_ramp, self.reset_ramp, goal)
        return self.climb.staircase(self.set_ramp, self.reset_ramp, shape)


class ComparePlan(ProgrammingPlan):
    """The same cells to the same levels by every way, each from the same start, in random order."""

    cells: str = Field(default="0:16,0:16", description="rows,cols like '0:8,0:8', or 'all'")
    bits: tuple[Annotated[int, Field(ge=1, le=4)], ...] = Field(
        default=(2, 3), min_length=1, description="bits per cell; n bits are 2ⁿ levels"
    )
    levels: Levels = Field(
        default=Levels(), description="low and high of the evenly spaced levels; their count follows from bits"
    )
    windows: dict[int, tuple[tuple[Edge, Edge], ...]] = Field(
        default={}, description="by bits: [low, high] of every level [S] instead, rising; null leaves an end open"
    )
    ways: tuple[Way, ...] = Field(
        default=("read_verify", "ispp", "gate_staircase"), min_length=1, description="what is compared"
    )
    start: Literal["on", "off"] = Field(
        default="on", description="every way starts after one full RESET, and for 'on' one SET at mid-range"
    )
    ispp: ScanPlan = Field(default=ScanPlan(), description="staircases of the amplitude that are tried")
    gate_staircase: ScanPlan = Field(default=ScanPlan(), description="staircases of the SET's gate that are tried")

    @model_validator(mode="after")
    def _consistent(self) -> ComparePlan:
        for name in ("bits", "ways"):
            if len(set(getattr(self, name))) < len(getattr(self, name)):
                raise ValueError(f"{name} names one of them twice: name each once")
        if self.target_file is not None:
            raise ValueError("ways are compared on levels: leave target_file out, or use the step read_verify")
        if self.levels.windows or "count" in self.levels.model_fields_set:
            raise ValueError(
                "levels takes low and high only: their count follows from bits, and windows of your own go to "
                "windows, like {2: [[null, 12.5e-6], [107e-6, 117e-6], [166e-6, 173e-6], [200e-6, null]]}"
            )
        if self.gate_staircase.gates is not None:
            raise ValueError("gate_staircase turns the gate and holds none: gates belong to ispp")
        if self.windows and self.tolerance is not None:
            raise ValueError("windows say how wide each of them is: leave tolerance out")
        for bits, windows in self.windows.items():
            if bits not in self.bits:
                raise ValueError(f"windows of {bits} bits, but bits are {', '.join(map(str, self.bits))}")
            if len(windows) != 2**bits:
                raise ValueError(f"{bits} bits need {2**bits} windows, there are {len(windows)}")
            Levels(windows=windows)
        return self

    def at(self, bits: int) -> ProgrammingPlan:
        """Return the plan for a number of bits."""
        own = self.windows.get(bits)
        levels = Levels(windows=own) if own else Levels(count=2**bits, low=self.levels.low, high=self.levels.high)
        return self.model_copy(update={"levels": levels})

    def contenders(self, spec: ArraySpec) -> list[Contender]:
        """Return every staircase that is tried; of the gate none where there are no gates."""
        set_ramp, reset_ramp = self.ramps(spec)
        found: list[Contender] = []
        if OURS in self.ways:
            found.append(Contender(way="read_verify", set_ramp=set_ramp, reset_ramp=reset_ramp))
        pairs: list[tuple[Way, ScanPlan, Ramp, Ramp]] = []
        if "ispp" in self.ways:
            low, high = sorted(self.set.gate)
            gates = self.ispp.gates or tuple(low + share * (high - low) for share in GATES)
            by_amplitude = self.reset.model_copy(update={"knob": "volts"}).ramp("volts", spec)
            for gate in gates if spec.gate_axis is not None else (0.0,):
                held = self.set.model_copy(update={"knob": "volts", "gate": (low, gate)})
                pairs.append(("ispp", self.ispp, held.ramp("volts", spec), by_amplitude))
        if "gate_staircase" in self.ways and spec.gate_axis is not None:
            by_gate = self.set.model_copy(update={"knob": "gate"}).ramp("gate", spec)
            pairs.append(("gate_staircase", self.gate_staircase, by_gate, reset_ramp))
        for way, scan, one, other in pairs:
            found += [
                Contender(way=way, set_ramp=one, reset_ramp=other, climb=climb) for climb in scan.climbs(one, other)
            ]
        return found

    def measures(self) -> frozenset[str]:
        """Return what it gives; of a staircase of the gate only where there are gates."""
        names = ("pulses_per_cell", "success", "energy_per_cell")
        return with_intervals(
            *(f"{WAYS[way][0]}{name}_{bits}bit" for way in self.ways for name in names for bits in self.bits)
        )

    def check(self, spec: ArraySpec) -> None:
        """Refuse, besides what programming would, staircases outside their range, and gates where there are none."""
        super().check(spec)
        if spec.gate_axis is None:
            if self.ispp.gates is not None:
                raise RefusedError(
                    "compare_programming.ispp.gates are of cells behind transistors, and this array has no gates: "
                    "leave them out"
                )
            if self.ways == ("gate_staircase",):
                raise RefusedError(
                    "compare_programming.ways: a gate staircase needs an array with gates: choose ispp or read_verify"
                )
        for one in self.contenders(spec):
            channel = f"compare_programming.{one.way}"
            for name, sign, ramp in (("set", 1, one.set_ramp), ("reset", -1, one.reset_ramp)):
                if one.climb is not None and ramp.stop <= ramp.start:
                    raise RefusedError(
                        f"{channel}: {ramp.knob} of {name} goes from {ramp.start:g} to {ramp.stop:g} V, which is no "
                        f"range to climb: widen it, or leave {one.way} out of ways"
                    )
                check_pulse(
                    spec, volts=sign * ramp.volts_max, width=self.width, gate=ramp.gate_max, channel=f"{channel}.{name}"
                )
            if one.climb is not None:
                start, stop = one.set_ramp.start, one.set_ramp.stop
                refuse_bad_number("set_starts", one.climb.set_start, start, stop, "V", channel=channel)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses in every staircase, the start before each included."""
        block = Block.parse(self.cells, spec)
        one, runs = super().forecast(spec), self.contenders(spec)
        times = len(runs) * len(self.bits)
        volts = max(one.volts_max, *(ramp.volts_max for run in runs for ramp in (run.set_ramp, run.reset_ramp)))
        first = 1 + (self.start == "on")
        seconds = one.seconds + first * spec.pulse_seconds(block, self.width) + spec.read_seconds(block, 1)
        return Forecast(one.cells, volts, times * (one.pulses + first * block.size), times * seconds)


@dataclass(frozen=True, kw_only=True)
class CompareResult:
    """Every staircase on the same cells; ``cells`` as (row, col)."""

    plan: ComparePlan
    cells: list[tuple[int, int]]
    attempts: tuple[Attempt, ...]
    gates: bool

    @cached_property
    def best(self) -> list[Attempt]:
        """By bits and way, the staircase with the fewest pulses at equal success."""
        return best_of_each(self.attempts)

    @property
    def frame(self) -> DataFrame:
        """One line per staircase and cell: target and end [S], pulses by part, energy [J], how it ended."""
        from pandas import DataFrame, concat

        where = np.asarray(self.cells)
        tables = [
            DataFrame(
                {
                    "bits": one.bits,
                    "way": one.way,
                    "staircase": one.setting,
                    "row": where[:, 0],
                    "col": where[:, 1],
                    "target_S": one.target,
                    "start_S": one.start,
                    "end_S": one.final,
                    "pulses": one.pulses,
                    "sets": one.sets,
                    "reversals": one.reversals,
                    **dict(zip((part.replace(" ", "_").replace("-", "") for part in PARTS), one.split, strict=True)),
                    "energy_J": one.energy,
                    "verdict": one.reasons,
                }
            )
            for one in self.attempts
        ]
        return concat(tables, ignore_index=True)

    def plot(self) -> Figure:
        """Return success against pulses and the split of pulses."""
        from ...analysis.programming.compare_programming import comparison_figure

        return comparison_figure(self.best)

    def metrics(self) -> dict[str, float]:
        """Return pulses, success and energy of every way for every number of bits."""
        from ...analysis.programming.compare_programming import comparison_metrics

        return comparison_metrics(self.best)

    def section(self) -> Section:
        """Return tables and figures of all ways as a part of the report."""
        from ...analysis.programming.compare_programming import (
            comparison_words,
            error_figures,
            reasons_table,
            scan_table,
            side_by_side,
            split_table,
        )
        from ...analysis.report.report import Section

        plan, best = self.plan, self.best
        tried = ", ".join(
            f"{count} of {WAYS[way][1]}"
            for way in WAYS
            if (count := sum(one.way == way and one.bits == plan.bits[0] for one in self.attempts))
        )
        lit = ", then one SET at the middle of its range" if plan.start == "on" else ""
        text = (
            f"{len(self.cells)} cells to the same random levels by every way. Staircases per number of bits: {tried}. "
            f"Before each, in random order, all cells got one full RESET{lit}, not counted. A cell is done when "
            f"{plan.hits} of {plan.reads} reads are in its window; {plan.reverify_rounds} delayed re-verifies "
            f"{plan.reverify_after:g} s apart reopen those that left it; it is given up after {plan.pulses_max} pulses "
            f"or {plan.reversals_max} reversals. Of each scan the fewest pulses within 0.02 of its best success count, "
            f"chosen on the data that are shown, which flatters a scan and not read–verify. {comparison_words(best)} "
            "Energy is V²·G·width summed over pulses, G the mean of the reads around each: no current is measured "
            "during a pulse, so what a transistor in series takes is counted as if the cell took it."
        )
        if not self.gates and "gate_staircase" in plan.ways:
            text += (
                " There is no gate staircase: this array has no gates, its SETs are limited by their amplitude only."
            )
        figures = [
            (
                "Above: share of cells in their window for good after so many pulses. Below: what the pulses were for.",
                self.plot(),
            ),
            *error_figures(best, lambda bits: plan.at(bits).spacing),
        ]
        tables = [
            ("Side by side; intervals are 95 %.", side_by_side(best)),
            ("What the pulses were for, mean per cell.", split_table(best)),
            ("How cells ended.", reasons_table(best)),
            ("Every staircase that was tried.", scan_table(self.attempts, best)),
        ]
        return Section("Ways of programming", text, figures, tables)

    def __repr__(self) -> str:
        said = ", ".join(
            f"{one.name} {one.bits} bits {one.pulses.mean():.2f} pulses {one.success.value:.1%}" for one in self.best
        )
        return f"<CompareResult {len(self.cells)} cells: {said}>"


def compare_programming(array: CrossbarArray, plan: ComparePlan, run: Run | None = None) -> CompareResult:
    """Program the same cells to the same levels by every way, each from the same start.

    A unit of work is one staircase with the start before it; one that may have been cut begins anew from that start.
    The order is random, so that what ageing does falls on no way.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    good = array.spec.healthy_mask(block) & keep.chip.healthy_of(array)[block.slices]
    if not good.any():
        raise RefusedError(f"compare_programming: all cells of {block} are known to be bad: choose others")
    wanted = {bits: plan.at(bits).levels.draw(block, keep.rng(f"targets of {bits} bits")) for bits in plan.bits}
    contenders = plan.contenders(array.spec)
    units = [(bits, which) for bits in plan.bits for which in range(len(contenders))]
    order = keep.rng("order").permutation(len(units)).tolist()
    axes = [Axis("bits", "Bits per cell"), Axis("staircase", "Staircase"), *map_axes(block)]
    variables = [
        Variable("conductance", "Conductance at the end", "S"),
        Variable("pulses", "Pulses"),
        Variable("energy", "Energy of the pulses", "J"),
        Variable("target", "Target", "S"),
    ]
    meta = {"width": plan.width, "start": plan.start} | {
        f"staircase_{which}": f"{one.way}: {one.setting}" for which, one in enumerate(contenders)
    }
    with keep.work(
        "compare_programming", axes, variables, meta, label="staircases", total=len(units), drawn=False
    ) as work:
        for place, number in enumerate(order):
            bits, which = units[number]
            if not work.begin(f"{bits} bits staircase {which}"):
                continue
            same_start(
                array,
                block,
                plan.ramps(array.spec),
                plan.width,
                on=np.full(block.shape, plan.start == "on"),
                cells=good,
            )
            job = _Job(array, block, plan.at(bits), contenders[which], np.where(good, wanted[bits], np.nan))
            while not job.loop.over:
                job.loop.go_on()
                work.moved(place + 1.0 - float(job.state.active.sum()) / float(good.sum()))
            pieces = job.end()
            work.add(
                {"bits": bits, "staircase": which},
                conductance=pieces["final"], pulses=job.state.pulses, energy=pieces["energy"], target=wanted[bits],
            )  # fmt: skip
            work.done(f"{bits} bits, {WAYS[contenders[which].way][1]}", **pieces)
        attempts = tuple(
            _attempt(
                plan.at(bits),
                bits,
                contenders[which],
                wanted[bits],
                good,
                work.all_of(f"{bits} bits staircase {which}"),
            )
            for bits, which in units
        )
    rows, cols = np.nonzero(good)
    cells = [(int(row) + block.row0, int(col) + block.col0) for row, col in zip(rows, cols, strict=True)]
    return CompareResult(plan=plan, cells=cells, attempts=attempts, gates=array.spec.gate_axis is not None)


class _Job:
    """One staircase on all cells; remembers every reading with the pulses before it."""

    def __init__(
        self, array: CrossbarArray, block: Block, plan: ProgrammingPlan, contender: Contender, target: FloatArray
    ) -> None:
        goal = plan.goal(target)
        self._array, self._block, self._plan = array, block, plan
        self._g: list[FloatArray] = []
        self._volts: list[FloatArray] = []
        self._rounds: list[int] = []
        self.state = VerifyState(goal, np.isfinite(target), plan.acceptance())
        staircase = contender.staircase(goal, block.shape)
        self.loop = plan.loop(array, block, self.state, staircase, self._record)

    def _record(self, conductance: FloatArray, volts: FloatArray, gate: FloatArray) -> None:
        del gate
        self._g.append(conductance)
        self._volts.append(volts)
        self._rounds.append(self.loop.round)

    def end(self) -> dict[str, NDArray[Any]]:
        """Read once more and return what the staircase came to, maps [rows, cols]."""
        state, shape = self.state, self._block.shape
        state.close()
        final = self._array.read(self._block, average=self._plan.reverify_average).conductance
        volts, g = (np.asarray(one).reshape(len(one), -1) for one in (self._volts, self._g))
        return {
            "start": self._g[0],
            "final": final,
            "split": split_of_pulses(volts, self._rounds).reshape(-1, *shape),
            "energy": pulse_energy(volts, g, self._plan.width).reshape(shape),
            "sets": state.sets,
            "reversals": state.reversals,
            "verdict": state.verdict,
        }


def _attempt(
    plan: ProgrammingPlan,
    bits: int,
    contender: Contender,
    wanted: FloatArray,
    good: BoolArray,
    pieces: Mapping[str, NDArray[Any]],
) -> Attempt:
    low, high = plan.readings(wanted)
    goal = plan.goal(wanted)
    verdict = pieces["verdict"][good]
    return Attempt(
        bits=bits,
        way=contender.way,
        setting=contender.setting,
        target=wanted[good],
        low=low[good],
        high=high[good],
        closed=((goal.low > 0.0) & np.isfinite(goal.high))[good],
        split=pieces["split"][:, good],
        accepted=verdict == Verdict.ACCEPTED,
        reasons=tuple(Verdict(one).words for one in verdict),
        **{name: pieces[name][good] for name in ("start", "final", "sets", "reversals", "energy")},
    )
