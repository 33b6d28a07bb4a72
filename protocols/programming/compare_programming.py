"""Ways of programming side by side: ISPP, a staircase of the gate, and read–verify, all from one initial state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.programming.compare_programming import (
    PARTS,
    WAYS,
    Attempt,
    best_of_each,
    pulse_energy,
    split_of_pulses,
)
from ...common.errors import RefusedError
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from .compare_plan import ComparePlan, Contender
from .ispp import same_start
from .programming_plan import ProgrammingPlan
from .verify_state import BoolArray, Verdict, VerifyState

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


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
            f"chosen on the data that are shown, which flatters a scan and not read–verify. "
            f"{comparison_words(self.attempts)} "
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
    cells = block.where(good)
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
