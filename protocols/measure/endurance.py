"""Endurance: SET/RESET cycles of cells, read at cycles spaced evenly in ln n, until enough have failed."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...analysis.measurements.endurance import IN_A_ROW, WINDOW, EnduranceReads, lost_window
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.array_state import Fields
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, check_pulse, with_intervals
from .read_array import map_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

UNIT = 1000
"""Cycles of one unit of work: what an interruption may leave uncounted."""
BUDGET = "pulses_total_max"
_DONE, _FAILED, _SPENT = range(3)


class EndurancePlan(Plan):
    """``cycles`` times a RESET and a SET of every cell; both states read at cycles that are spaced evenly in ln n."""

    cells: str = Field(default="0:4,0:4", description="rows,cols like '0:8,0:8', or 'all'")
    cycles: int = Field(default=10_000, ge=3, description="SET/RESET cycles of every cell")
    per_decade: int = Field(default=4, ge=1, le=50, description="cycles read per decade")
    set_volts: float = Field(default=2.5, gt=0, description="SET amplitude [V]")
    set_gate: float = Field(default=1.6, ge=0, description="gate of the SET [V], where there are gates")
    reset_volts: float = Field(default=1.7, gt=0, description="RESET magnitude [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the RESET [V], where there are gates")
    width: float = Field(default=500e-9, gt=0, description="pulse width [s]")
    average: int = Field(default=4, ge=1, description="conversions per cell and read")
    stop_failed: float = Field(
        default=0.5, gt=0, le=1, description="cycling ends once this share of the cells has failed [fraction]"
    )
    scheme: str | None = Field(default=None, description="bias scheme of the pulses; the array's own by default")

    @property
    def read_at(self) -> NDArray[np.int64]:
        """Cycles that are read, spaced evenly on a logarithmic axis."""
        points = int(np.ceil(np.log10(self.cycles) * self.per_decade)) + 1
        return np.unique(np.round(np.geomspace(1, self.cycles, points)).astype(np.int64))

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        found = with_intervals(
            "endurance_failed_fraction",
            "endurance_window_first",
            "endurance_window_last",
            "endurance_weibull_shape",
            "endurance_weibull_scale",
        )
        return found | {
            "endurance_first_failure", "endurance_cycles", "endurance_window_worst", "endurance_cells"
        }  # fmt: skip

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses beyond the limits, and more than a cell may have in its life."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="endurance")
        for volts, gate, name in (
            (self.set_volts, self.set_gate, "set"),
            (-self.reset_volts, self.reset_gate, "reset"),
        ):
            check_pulse(spec, volts=volts, width=self.width, gate=gate, channel=f"endurance.{name}")
        budget = spec.limits.pulses_total_max
        if 2 * self.cycles > budget:
            raise RefusedError(
                f"endurance.cycles {self.cycles:,} are {2 * self.cycles:,} pulses of every cell, above the limit "
                f"{budget:,} of its life ({BUDGET}); {spec.limits.whose(BUDGET)}; choose at most {budget // 2:,}",
                where=BUDGET,
            )

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when no cell fails."""
        block = Block.parse(self.cells, spec)
        pulses = 2 * block.size * self.cycles
        select = spec.select_seconds * spec.read_slots(block) * (1 + self.cycles // UNIT)
        writes = 2 * self.cycles * spec.read_slots(block) * (self.width + spec.slot_overhead) + select
        reads = 2 * len(self.read_at) * (spec.read_seconds(block, self.average) + spec.pulse_seconds(block, self.width))
        return Forecast(block.size, max(self.set_volts, self.reset_volts), pulses, writes + reads)


@dataclass(frozen=True, kw_only=True)
class EnduranceResult:
    """Both states of every cell at the cycles read; ``cells`` as (row, col), ``stopped`` says why cycling ended.

    ``cycled`` [cells] is how many cycles each cell has had; ``never`` counts cells that had no window at the first look
    and are in no figure.
    """

    plan: EndurancePlan
    cells: list[tuple[int, int]]
    reads: EnduranceReads
    cycled: NDArray[np.int64]
    stopped: str
    never: int = 0

    @property
    def frame(self) -> DataFrame:
        """One line per cell and cycle read: row, col, cycle, G after RESET and after SET [S], R_off/R_on."""
        from pandas import DataFrame

        read, cell = np.indices(self.reads.off.shape).reshape(2, -1)
        where = np.asarray(self.cells, dtype=np.int64).reshape(-1, 2)
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "cycle": self.reads.cycles[read],
                "off_S": self.reads.off[read, cell],
                "on_S": self.reads.on[read, cell],
                "window": self.reads.window[read, cell],
            }
        )

    @property
    def table(self) -> DataFrame:
        """One line per cell: row, col, cycles it has had, first and last window, when it failed."""
        from ...analysis.measurements.endurance import endurance_table

        table = endurance_table(self.reads)
        where = np.asarray(self.cells, dtype=np.int64).reshape(-1, 2)
        table.insert(0, "row", where[:, 0])
        table.insert(1, "col", where[:, 1])
        table.insert(2, "cycles", self.cycled)
        return table

    def plot(self) -> Figure:
        """Return both states and the window against cycles, and the lifetimes."""
        from ...analysis.measurements.endurance import endurance_figure

        return endurance_figure(self.reads)

    @property
    def cycles(self) -> int:
        """Cycles that every cell has had which did not fail; of cells that all failed, the most."""
        alive = self.cycled[~self.reads.failed]
        return int(alive.min()) if alive.size else int(self.cycled.max(initial=0))

    def metrics(self) -> dict[str, float]:
        """Return first failure, lifetimes and windows as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.endurance import endurance_metrics, first_failure

        last = self.reads.last_window
        return {
            **flatten_all(endurance_metrics(self.reads)),
            "endurance_first_failure": first_failure(self.reads),
            "endurance_cycles": float(self.cycles),
            "endurance_cells": float(len(self.cells)),
            "endurance_window_worst": float(np.nanmin(last)) if np.isfinite(last).any() else float("nan"),
        }

    def section(self) -> Section:
        """Return the figure and the cells as a part of the report."""
        from ...analysis.report.report import Section

        plan, life, failed = self.plan, self.reads.life, int(self.reads.failed.sum())
        text = (
            f"{len(self.cells)} cells, cycled with +{plan.set_volts:g} V and −{plan.reset_volts:g} V pulses of "
            f"{plan.width * 1e9:g} ns; {self.stopped}. A cell has failed at the first of {IN_A_ROW} cycles in a row "
            f"at which R_off/R_on is below {WINDOW:g}; it is not cycled any more. Failed: {failed}. "
        )
        if np.isfinite(life.scale.value):
            text += (
                f"Weibull law of the cycles to failure, the {len(self.cells) - failed} others censored: shape "
                f"{life.shape.value:.3g} ({life.shape.low:.3g} to {life.shape.high:.3g}), scale "
                f"{life.scale.value:,.3g} cycles ({life.scale.low:,.3g} to {life.scale.high:,.3g})."
            )
        else:
            text += "Too few failures for a law of lifetimes: it takes three, seen at more than one look."
        if self.never:
            text += f" Cells that had no window at the first look, did not switch and are in no figure: {self.never}."
        caption = "Both states and the window against the cycle, and the cycles to failure on Weibull axes."
        return Section("Endurance", text, [(caption, self.plot())], [("Cell by cell.", self.table)])

    def __repr__(self) -> str:
        m = self.metrics()
        return (
            f"<EnduranceResult {len(self.cells)} cells × {self.cycles:,} cycles: "
            f"{m['endurance_failed_fraction']:.0%} failed, window {m['endurance_window_last']:.3g}>"
        )


class _Cycler:
    """Gives cycles, and counts for every cell how many it has had.

    A count command repeats one polarity, so a cycle is two pulse maps. Where a slot serves one cell, a cell has all
    the cycles of a unit before the next one is connected.
    """

    def __init__(self, array: CrossbarArray, plan: EndurancePlan, block: Block, made: NDArray[np.int64]) -> None:
        self._array, self._plan, self._block, self.made = array, plan, block, made
        spec = array.spec
        self._gates = spec.pulse_gate(plan.set_gate), spec.pulse_gate(plan.reset_gate)
        self._one_by_one = spec.slot_serves == "cell"

    def _pulse(self, block: Block, sign: int, cells: NDArray[np.bool_]) -> None:
        plan = self._plan
        volts, gate = (plan.set_volts, self._gates[0]) if sign > 0 else (-plan.reset_volts, self._gates[1])
        count = cells.astype(np.int64)
        self._array.pulse(
            PulseMap(block=block, volts=volts, width=plan.width, gate=gate, count=count, scheme=plan.scheme)
        )

    def give(self, cycles: int, cells: NDArray[np.bool_]) -> None:
        """Give so many cycles to ``cells`` of the block."""
        parts = [(self._block, cells)]
        if self._one_by_one:
            one = np.ones((1, 1), dtype=np.bool_)
            parts = [
                (Block(self._block.row0 + r, 1, self._block.col0 + c, 1), one) for r, c in np.argwhere(cells).tolist()
            ]
        for block, mine in parts:
            at = block.moved(-self._block.row0, -self._block.col0).slices
            for _ in range(cycles):
                self._pulse(block, -1, mine)
                self._pulse(block, +1, mine)
                self.made[at] += mine

    def read_one(self, cells: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """Give one cycle and return what ``cells`` read [S] after its RESET and after its SET, nan elsewhere."""
        found: list[FloatArray] = []
        for sign in (-1, +1):
            self._pulse(self._block, sign, cells)
            g = self._array.read(self._block, average=self._plan.average).conductance
            found.append(np.where(cells, g, np.nan))
        self.made += cells
        return found[0], found[1]


def _units(read_at: NDArray[np.int64]) -> list[tuple[int, bool]]:
    """Return up to which cycle every unit goes, and whether that one is read: a look, or a stretch before one."""
    units: list[tuple[int, bool]] = []
    for before, look in pairwise([0, *read_at.tolist()]):
        units += [(upto, False) for upto in range(before + UNIT, look - 1, UNIT)]
        units += [(look - 1, False)] if look - 1 > before else []
        units.append((look, True))
    return units


def endurance(array: CrossbarArray, plan: EndurancePlan, run: Run | None = None) -> EnduranceResult:
    """Cycle the cells of a block and read them now and then, until the cycles are done or enough cells have failed.

    A cell that reads below the window has two more cycles read at once: one that misses three in a row has failed and
    is left alone from there on. Cycling ends early when ``stop_failed`` of the cells have failed, or when the wear
    ledger refuses a cell more pulses than its life has: what was measured until then is the result. Units of work are
    stretches of at most ``UNIT`` cycles, and the looks; a stretch that was cut is done again, so that cells may have
    had up to so many more than is told.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    good = keep.chip.healthy_of(array)[block.slices] & array.spec.healthy_mask(block)
    if not good.any():
        raise RefusedError(f"endurance: none of the cells {block} is known to be good: choose others")
    axes = [Axis("cycle", "Cycle"), *map_axes(block)]
    variables = [
        Variable("after_set", "Conductance after SET", "S"),
        Variable("after_reset", "Conductance after RESET", "S"),
    ]
    meta = {"width": plan.width, "set_volts": plan.set_volts, "reset_volts": plan.reset_volts}
    at = Fields(
        made=np.zeros(block.shape, dtype=np.int64),
        good_at=np.zeros(block.shape),
        failed_at=np.full(block.shape, np.nan),
        never=np.zeros(block.shape, dtype=np.bool_),
        stopped=_DONE,
    )
    with keep.work("endurance", axes, variables, meta, label="cycles", total=plan.cycles) as work:
        work.hold("cells", at)
        cycler = _Cycler(array, plan, block, at.made)

        def alive_ones() -> NDArray[np.bool_]:
            return good & np.isnan(at.failed_at)

        def look() -> None:
            alive = alive_ones()
            cycle = int(at.made[alive].max()) + 1
            looks: list[tuple[FloatArray, FloatArray]] = []
            lost = alive
            while lost.any() and len(looks) < IN_A_ROW:
                looks.append(cycler.read_one(alive))
                lost = lost & lost_window(*looks[-1])
            at.good_at = np.where(alive & ~lost, cycle, at.good_at)
            at.failed_at = np.where(lost, cycle, at.failed_at)
            # A cell without a window at the first look never had one: there is nothing that could wear out.
            at.never |= lost & (at.good_at == 0)
            numbers = cycle + np.arange(len(looks))
            for number, (off, on) in zip(numbers, looks, strict=True):
                work.add({"cycle": int(number)}, after_set=on, after_reset=off)
            off, on = (np.stack([one[side] for one in looks]) for side in (0, 1))
            failed, cells = int((np.isfinite(at.failed_at) & ~at.never).sum()), int((good & ~at.never).sum())
            if failed >= plan.stop_failed * cells:
                at.stopped = _FAILED
            work.done(f"{failed} of {cells} cells failed", cycle, cycles=numbers, off=off, on=on)

        for cycle, is_read in _units(plan.read_at):
            if at.stopped != _DONE:
                break
            if not work.begin(f"{'look at' if is_read else 'up to'} {cycle}"):
                continue
            cycler.made = at.made
            try:
                if is_read:
                    look()
                else:
                    # The further cycles of a look that saw a lost window are a part of the count.
                    alive = alive_ones()
                    cycler.give(max(cycle - int(at.made[alive].max()), 0), alive)
                    work.done("", cycle)
            except RefusedError as refused:
                if refused.where != BUDGET:
                    raise
                at.stopped = _SPENT
                work.done("the wear budget is used up", cycle)
        looks = {name: work.pieces(name) for name in ("cycles", "off", "on")}
    return _result(plan, block, good, at, looks)


def _result(
    plan: EndurancePlan, block: Block, good: NDArray[np.bool_], at: Fields, looks: dict[str, list[FloatArray]]
) -> EnduranceResult:
    rows, cols = np.nonzero(good & ~at.never)
    nothing = np.empty((0, *block.shape))
    off, on = (
        np.concatenate(looks[name])[:, rows, cols] if looks[name] else nothing[:, rows, cols] for name in ("off", "on")
    )
    cycles = np.concatenate(looks["cycles"]).astype(np.int64) if looks["cycles"] else np.empty(0, dtype=np.int64)
    failed = int(np.isfinite(at.failed_at[rows, cols]).sum())
    stopped = {
        _DONE: f"all {plan.cycles:,} cycles were done",
        _FAILED: f"cycling ended when {failed} of {rows.size} cells had failed (stop_failed {plan.stop_failed:g})",
        _SPENT: f"cycling ended when the wear ledger refused more pulses ({BUDGET})",
    }[int(at.stopped)]
    return EnduranceResult(
        plan=plan,
        cells=block.where(good & ~at.never),
        reads=EnduranceReads(
            cycles=cycles, off=off, on=on, good_at=at.good_at[rows, cols], failed_at=at.failed_at[rows, cols]
        ),
        cycled=at.made[rows, cols],
        never=int((good & at.never).sum()),
        stopped=stopped,
    )
