"""Multilevel: program every cell to every level, cycle after cycle, and count how many levels stay apart."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...analysis.programming.multilevel import CYCLES, WIDTH, LevelReads
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..plan import Forecast, with_intervals
from .planner import PlanningStaircase
from .programming_plan import ProgrammingPlan
from .targets import Goal, Levels
from .verify_state import Verdict, VerifyState

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


class MultilevelPlan(ProgrammingPlan):
    """Programming as in read–verify to every one of ``levels``, ``cycles`` times, each judged once it has settled."""

    cells: str = Field(default="0:4,0:4", description="rows,cols like '0:8,0:8', or 'all'")
    levels: Levels = Field(default=Levels(), description="levels every cell is programmed to, evenly spaced")
    cycles: int = Field(default=20, ge=2, description="complete reprogramming cycles, every level once in each")
    order: Literal["random", "ascending", "descending"] = Field(
        default="random", description="order of the levels in a cycle; 'random' draws one for every cell and cycle"
    )
    width: float = Field(default=200e-9, gt=0, description="pulse width [s]")
    pulses_max: int = Field(default=100, ge=1, description="pulses per cell and level; what is given up is misread")
    reversals_max: int = Field(default=40, ge=0, description="changes of polarity per cell and level")
    iterations_max: int = Field(default=150, ge=1, description="read–pulse iterations per level")
    reverify_rounds: int = Field(default=1, ge=0, description="delayed re-verifications")
    settle: float = Field(default=10.0, ge=0, description="time between programming and the read that is judged [s]")
    read_average: int = Field(default=4, ge=1, description="conversions per cell in the reads that are judged")

    @model_validator(mode="after")
    def _evenly_spaced(self) -> MultilevelPlan:
        if self.target_file is not None:
            raise ValueError("every cell goes to every level: give levels and leave target_file out")
        if self.levels.windows:
            raise ValueError("levels are judged by the midpoints between them: give levels.count, low and high instead")
        return self

    @property
    def of_200ns(self) -> bool:
        """Whether this is what `levels_200ns` is defined by."""
        return self.cycles >= CYCLES and abs(self.width / WIDTH - 1.0) < 1e-3

    def measures(self) -> frozenset[str]:
        """Return what it gives; `levels_200ns` only of pulses of 200 ns and twenty cycles or more."""
        found = with_intervals(
            "separable_levels", "level_error_fraction", "level_accepted_fraction", "level_sigma",
            "level_programming_sigma", "level_settling_sigma", "level_noise_sigma", "level_c2c_std", "level_d2d_std",
            "level_pulses",
        )  # fmt: skip
        return found | (with_intervals("levels_200ns", "bits_200ns") if self.of_200ns else frozenset[str]())

    def check(self, spec: ArraySpec) -> None:
        """Refuse, besides what programming would, more conversions than the array makes."""
        super().check(spec)
        spec.check_average(self.read_average, channel="multilevel.read_average")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses at every level."""
        one = super().forecast(spec)
        reads = 3 * spec.read_seconds(Block.parse(self.cells, spec), self.read_average)
        times = self.cycles * self.levels.count
        return Forecast(one.cells, one.volts_max, times * one.pulses, times * (one.seconds + self.settle + reads))

    def order_of(self, shape: tuple[int, int], run: Run) -> NDArray[np.int64]:
        """Return which level a cell goes to [cycles, levels, rows, cols], in the order they are programmed."""
        count = self.levels.count
        rising = np.arange(count)[None, :, None, None] + np.zeros((self.cycles, count, *shape), dtype=np.int64)
        if self.order == "random":
            return run.rng("order").permuted(rising, axis=1)
        return rising if self.order == "ascending" else rising[:, ::-1]


@dataclass(frozen=True, kw_only=True)
class MultilevelResult:
    """Reads of every healthy cell at every level; ``cells`` as (row, col)."""

    plan: MultilevelPlan
    cells: list[tuple[int, int]]
    reads: LevelReads
    verdict: NDArray[np.int8]

    @property
    def frame(self) -> DataFrame:
        """One line per programming: row, col, cycle, level, target, the three reads [S], pulses, verdict."""
        from pandas import DataFrame

        reads = self.reads
        cell, cycle, level = np.indices(reads.final.shape).reshape(3, -1)
        where = np.asarray(self.cells).reshape(-1, 2)
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "cycle": cycle,
                "level": level,
                "target_S": reads.levels[level],
                "end_S": reads.at_end[cell, cycle, level],
                "conductance_S": reads.final[cell, cycle, level],
                "again_S": reads.again[cell, cycle, level],
                "pulses": reads.pulses[cell, cycle, level],
                "accepted": reads.accepted[cell, cycle, level],
                "verdict": [Verdict(v).words for v in self.verdict[cell, cycle, level]],
            }
        )

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """How often a cell programmed to a level (row) is read as each (column)."""
        from ...analysis.programming.multilevel import confusion

        return confusion(self.reads)

    def plot(self) -> Figure:
        """Return cumulative distributions of what was reached, a curve per level."""
        from ...analysis.programming.multilevel_figures import level_cdfs

        ns = self.plan.width * 1e9
        return level_cdfs(self.reads, title=f"Conductance reached per level, pulses of {ns:g} ns")

    def metrics(self) -> dict[str, float]:
        """Return how many levels are separable, the errors behind that and their parts."""
        from ...analysis.estimates.estimates import flatten, flatten_all
        from ...analysis.programming.multilevel import bits, level_metrics

        found = flatten_all(level_metrics(self.reads))
        if self.plan.of_200ns:
            found |= flatten("levels_200ns", self.reads.separable)
            found |= flatten("bits_200ns", bits(self.reads.separable))
        return found

    def section(self) -> Section:
        """Return the number of levels, what limits it, confusions and distributions as a part of the report."""
        from ...analysis.networks.training import confusion_map
        from ...analysis.programming.multilevel import count_rows, level_rows, what_limits
        from ...analysis.programming.multilevel_figures import separability_figure
        from ...analysis.report.report import Section

        plan, reads = self.plan, self.reads
        text = (
            f"{len(self.cells)} healthy cells, each programmed to {plan.levels.count} levels in {plan.order} order, "
            f"{plan.cycles} times over, by read–verify with pulses of {plan.width * 1e9:g} ns; read {plan.settle:g} s "
            f"later. Of N levels the N most evenly spread of those are judged: at most 1 % of the reads of the median "
            f"cell may lie beyond a midpoint. {reads.separable.value:.0f} are separable.\n\n"
            f"What limits it: {what_limits(reads)}"
        )
        names = [f"{g * 1e6:.3g}" for g in reads.levels]
        figures = [
            (
                "Every cycle about its cell's mean, and the means of the cells; dashed lines are the levels.",
                self.plot(),
            ),
            (
                "Misreads against the number of levels, and the error of each level in its parts.",
                separability_figure(reads),
            ),
            (
                "How often cells programmed to a level are read as each; names are conductances in µS.",
                confusion_map(self.confusion, names=names, what="level", title="Levels as they are read"),
            ),
        ]
        tables = [("Level by level.", level_rows(reads)), ("By number of levels.", count_rows(reads))]
        return Section("Multilevel programming", text, figures, tables)

    def __repr__(self) -> str:
        m = self.metrics()
        return (
            f"<MultilevelResult {len(self.cells)} cells × {self.plan.cycles} cycles: {m['separable_levels']:.0f} of "
            f"{self.plan.levels.count} levels separable, σ {m['level_sigma'] * 1e6:.3g} µS>"
        )


def multilevel(array: CrossbarArray, plan: MultilevelPlan, run: Run | None = None) -> MultilevelResult:
    """Program the healthy cells of a block to every level, again and again, from wherever they are.

    All cells are programmed at once, in random order each to a level of its own; what the staircase learns of the array
    and of its cells it keeps from one level to the next. A unit of work is one programming of every cell with its three
    reads. One that may have been cut is done again, and begins with a reading.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    good = keep.chip.healthy_of(array)[block.slices] & array.spec.healthy_mask(block)
    values, order = plan.levels.values, plan.order_of(block.shape, keep)
    staircase = PlanningStaircase(*plan.ramps(array.spec), plan.goal(np.full(block.shape, values[-1])))
    axes = [
        Axis("cycle", "Reprogramming cycle", count=plan.cycles),
        Axis("place", "Place in the cycle", count=plan.levels.count),
        *map_axes(block),
    ]
    variables = [
        Variable("target", "Target", "S"),
        Variable("at_end", "Conductance at the end of programming", "S"),
        Variable("conductance", "Conductance after settling", "S"),
        Variable("again", "Conductance read again", "S"),
        Variable("pulses", "Pulses"),
        Variable("verdict", "Verdict"),
    ]
    meta = {"width": plan.width, "tolerance": plan.window, "settle": plan.settle, "level_order": plan.order}
    names = ["at_end", "conductance", "again", "pulses", "verdict"]
    total = plan.cycles * plan.levels.count
    with keep.work("multilevel", axes, variables, meta, label="programmings", total=total) as work:
        work.hold("staircase", staircase)
        for cycle, place in np.ndindex(plan.cycles, plan.levels.count):
            if not work.begin(f"cycle {cycle}, place {place}"):
                continue
            goal = plan.goal(values[order[cycle, place]])
            found = _program(array, plan, block, goal, good, staircase)
            work.add({"cycle": cycle, "place": place}, target=goal.target, **found)
            work.done(f"cycle {cycle + 1} of {plan.cycles}", **found)
        stacks = {name: _by_level(work.stack(name), order)[good] for name in names}
    return MultilevelResult(
        plan=plan,
        cells=block.where(good),
        reads=LevelReads(
            levels=values,
            at_end=stacks["at_end"],
            final=stacks["conductance"],
            again=stacks["again"],
            accepted=stacks["verdict"] == Verdict.ACCEPTED,
            pulses=stacks["pulses"],
        ),
        verdict=stacks["verdict"],
    )


def _program(
    array: CrossbarArray,
    plan: MultilevelPlan,
    block: Block,
    goal: Goal,
    good: NDArray[np.bool_],
    staircase: PlanningStaircase,
) -> dict[str, NDArray[Any]]:
    """Program a block once; return reads at the end, after settling and again, pulses and verdicts."""
    state = VerifyState(goal, good, plan.acceptance())
    staircase.aim(goal)
    loop = plan.loop(array, block, state, staircase)
    while not loop.over:
        loop.go_on()
    state.close()
    end = array.read(block, average=plan.read_average).conductance
    array.clock.wait(plan.settle)
    settled, again = (array.read(block, average=plan.read_average).conductance for _ in range(2))
    return {"at_end": end, "conductance": settled, "again": again, "pulses": state.pulses, "verdict": state.verdict}


def _by_level(units: NDArray[Any], order: NDArray[np.int64]) -> NDArray[Any]:
    """Return what was kept in the order of programming as [rows, cols, cycles, levels]."""
    cycles, levels = order.shape[:2]
    placed = units.reshape(cycles, levels, *units.shape[1:])
    return np.moveaxis(np.take_along_axis(placed, np.argsort(order, axis=1), axis=1), (0, 1), (2, 3))
