"""Quasi-static I–V loops of selected cells: 0 → +V → 0 → −V → 0, or the negative half first, with compliance."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...instruments.abilities import Sweeps
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import FLAG_COMPLIANCE, CrossbarArray, FloatArray, IVTrace
from ..keeping.run import Run
from ..plan import Forecast, Plan, with_intervals
from .neighbours import limit_acts_on
from .sweep_data import SweepData

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


_KEPT = ("volts", "current", "flags")
LOOK = 4  # conversions of the read before a loop


class DcSweepPlan(Plan):
    """Loops of every cell in a block. Where there are gates, they limit the SET and are opened for the RESET."""

    cells: str = Field(default="0:2,0:2", description="rows,cols like '0:8,0:8', or 'all'")
    positive: float = Field(default=1.5, gt=0, description="largest positive voltage [V]")
    negative: float = Field(default=-1.0, lt=0, description="largest negative voltage [V]")
    step: float = Field(default=0.02, ge=1e-6, description="voltage step of even steps [V]")
    spacing: Literal["linear", "log"] = Field(
        default="linear", description="even steps, or voltages evenly spaced on a logarithmic axis"
    )
    smallest: float = Field(default=0.01, gt=0, description="first voltage of logarithmic steps, after 0 V [V]")
    points: int = Field(default=40, ge=2, description="logarithmic steps from the smallest to the largest voltage")
    first: Literal["positive", "negative"] = Field(default="positive", description="which half of a loop is first")
    dwell: float = Field(default=10e-3, gt=0, description="time per point [s]")
    cycles: int = Field(default=5, ge=1, description="loops per cell")
    compliance: float = Field(default=500e-6, gt=0, description="largest current of the positive branch [A]")
    reset_compliance: float | None = Field(
        default=500e-6, gt=0, description="largest current of the negative branch; null for the chip's own limit [A]"
    )
    halt: float | None = Field(
        default=None,
        gt=0,
        description="current at which a half turns back, seen to one step [A]; where the host steps a sweep",
    )
    prepare: bool = Field(
        default=True, description="the second half of a loop once before, so that the first loop starts like the others"
    )
    set_gate: float = Field(default=2.0, ge=0, description="gate of the positive branch [V], where there are gates")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the negative branch [V], where there are gates")
    scheme: str | None = Field(default=None, description="bias scheme of the sweeps; the array's own by default")

    @model_validator(mode="after")
    def _rising(self) -> DcSweepPlan:
        least = min(self.positive, -self.negative)
        if self.spacing == "log" and self.smallest >= least:
            raise ValueError(f"smallest {self.smallest:g} V must be below the smaller peak, {least:g} V")
        return self

    @property
    def loop(self) -> tuple[FloatArray, FloatArray]:
        """Voltages [V] of the positive and of the negative half, each from 0 out and back to 0."""
        return self._half(self.positive), self._half(self.negative)

    def _half(self, peak: float) -> FloatArray:
        if self.spacing == "log":
            up = np.append(0.0, np.copysign(np.geomspace(self.smallest, abs(peak), self.points), peak))
        else:
            up = np.linspace(0.0, peak, max(round(abs(peak) / self.step), 1) + 1)
        return np.concatenate([up, up[-2::-1]])

    def compliances(self, spec: ArraySpec) -> tuple[float, float]:
        """Return the largest current [A] of the positive and of the negative branch."""
        most = self.reset_compliance
        return self.compliance, spec.limits.current_max if most is None else most

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        spreads = (f"v_{way}_{what}" for way in ("set", "reset") for what in ("mean", "c2c_std", "d2d_std"))
        found = with_intervals(*spreads, "no_set_fraction", "no_reset_fraction", "r_on_median", "r_off_median")
        return found | {"forming_loops"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array and sweeps beyond the limits."""
        spec.require(Sweeps)
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        if self.halt is not None:
            spec.check_halt(self.halt, self.scheme, channel="dc_sweep")
        limits = spec.limits
        limits.check("pulse_volts", [self.positive, self.negative], channel="dc_sweep.volts")
        for peak, compliance in zip((self.positive, self.negative), self.compliances(spec), strict=True):
            steps = self.points if self.spacing == "log" else max(round(abs(peak) / self.step), 1)
            spec.check_sweep(2 * steps + 1, compliance, self.dwell, channel="dc_sweep")
        spec.check_gate(self.set_gate, channel="dc_sweep.set_gate")
        spec.check_gate(self.reset_gate, channel="dc_sweep.reset_gate")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of all loops."""
        block = Block.parse(self.cells, spec)
        up, down = (spec.sweep_seconds(len(half), self.dwell) for half in self.loop)
        look = spec.read_seconds(Block(block.row0, 1, block.col0, 1), LOOK)
        ready = down if self.first == "positive" else up
        seconds = block.size * (self.cycles * (look + up + down) + self.prepare * ready)
        return Forecast(block.size, max(self.positive, -self.negative), block.size * self.cycles, seconds)


@dataclass(frozen=True, kw_only=True)
class DcSweepResult:
    """Loops [cells, cycles, points]: volts [V], current [A], flags; ``cells`` as (row, col).

    ``compliance`` and ``reset_compliance`` [A] are those of the positive and the negative branch; ``limit_acts_on``
    says what they are of, where that is not the current of the cell alone.
    ``start`` [cells, cycles] is the conductance [S] each cell read before a loop, nan where it was not read; ``gate``
    [points] [V] the gate voltage, where there are gates.
    """

    cells: list[tuple[int, int]]
    volts: FloatArray
    current: FloatArray
    flags: NDArray[np.uint8]
    read_volts: float
    compliance: float
    reset_compliance: float | None = None
    limit_acts_on: str = ""
    start: FloatArray | None = None
    gate: FloatArray | None = None

    @property
    def frame(self) -> DataFrame:
        """One line per point: row, col, cycle, point, volts [V], current [A], flags, and gate [V] if there is one."""
        from pandas import DataFrame

        n_cells, cycles, points = self.current.shape
        cell, cycle, point = (grid.ravel() for grid in np.indices((n_cells, cycles, points)))
        where = np.asarray(self.cells)
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "cycle": cycle,
                "point": point,
                "volts_V": self.volts.ravel(),
                "current_A": self.current.ravel(),
                "flags": self.flags.ravel(),
                **({} if self.gate is None else {"gate_V": self.gate[point]}),
            }
        )

    @cached_property
    def switching(self) -> DataFrame:
        """One line per cell and cycle: V_SET, V_RESET [V], on and off conductance [S], whether it switched, or formed.

        The loops of which ``forming`` is true are in no statistic.
        """
        from ...analysis.measurements.iv_curve import switching_voltages

        limited = (self.flags & FLAG_COMPLIANCE) != 0
        return switching_voltages(self.volts, self.current, self.read_volts, compliance=limited, start=self.start)

    @property
    def forming(self) -> NDArray[np.bool_]:
        """Which loops [cells, cycles] formed their cell, or came before the one that did."""
        return self.switching["forming"].to_numpy(dtype=np.bool_).reshape(self.current.shape[:2])

    def plot(self) -> Figure:
        """Return the I–V family on log |I|."""
        from ...analysis.plots.iv_family import iv_family

        return iv_family(
            self.volts,
            self.current,
            labels=[f"({row}, {col})" for row, col in self.cells],
            compliance_amps=(self.compliance, self.reset_compliance or self.compliance),
            limit_acts_on=self.limit_acts_on,
            forming=self.forming,
        )

    def plot_spread(self) -> Figure:
        """Return the distributions of V_SET and V_RESET, cycle to cycle and cell to cell apart."""
        from ...analysis.measurements.forming_loops import without_forming
        from ...analysis.measurements.iv_curve import cell_grid
        from ...analysis.measurements.variability import variability_cdfs

        table = without_forming(self.switching)
        grids = {name: cell_grid(table, key, np.nan) for name, key in (("V_SET", "v_set"), ("V_RESET", "v_reset"))}
        return variability_cdfs(grids, title="Switching voltages")

    def metrics(self) -> dict[str, float]:
        """Return the switching statistics as docs/quantities.md defines them."""
        from ...analysis.measurements.iv_curve import iv_summary

        return iv_summary(self.switching)

    def section(self) -> Section:
        """Return the I–V family and the spread of the switching voltages as a part of the report."""
        from ...analysis.measurements.forming_loops import without_forming
        from ...analysis.measurements.iv_curve import SWITCHED
        from ...analysis.report.report import Section

        table = without_forming(self.switching)
        missed = [sum(status != SWITCHED for status in table[f"{branch}_status"]) for branch in ("set", "reset")]

        text = (
            f"{len(self.cells)} cells, {self.current.shape[1]} loops each. V_SET and V_RESET are where I/V crosses the "
            "geometric mean of that cycle's off and on conductance. "
            f"Cycles without a SET: {missed[0]}, without a RESET: {missed[1]}; they are in no distribution."
        )
        formed = int(self.forming.sum())
        if formed:
            text += (
                f" Loops that formed a virgin cell, or came before the one that did: {formed}; they are dotted in the "
                "figure and in no other number of this section. The first SET of a cell forms it if it takes 1.4 times "
                "the median of the cell's later ones, or 1.15 times from a conductance five times below that of any "
                "later loop of any cell, or 1.05 times the largest from one twenty times below."
            )
        if self.current.shape[1] == 1:
            text += (
                " With one loop per cell, forming is told by the RESET of the same loop only, and may be missed: sweep "
                "at least two."
            )
        if self.limit_acts_on:
            text += (
                f"\n\nThe compliance is of {self.limit_acts_on}: when the source clamps, its voltage falls, the others "
                "take less than was allowed for them, and the cell gets the rest. Its own current, which is drawn, can "
                "so be above the line."
            )
        bold = (
            "; the bold line is the median loop" if self.current.shape[0] * self.current.shape[1] - formed > 1 else ""
        )
        figures = [
            (f"I–V family{bold}.", self.plot()),
            ("Switching voltages: all cycles, the spread within cells, and that between cells.", self.plot_spread()),
        ]
        return Section("DC sweeps", text, figures, [])

    def __repr__(self) -> str:
        m = self.metrics()
        left_out = f"; {m['forming_loops']:.0f} loops that form a cell are left out" if m["forming_loops"] else ""
        return (
            f"<DcSweepResult {len(self.cells)} cells × {self.current.shape[1]} cycles: "
            f"V_SET {m['v_set_mean']:.3g} V, V_RESET {m['v_reset_mean']:.3g} V{left_out}>"
        )


def dc_sweep(array: CrossbarArray, plan: DcSweepPlan, run: Run | None = None) -> DcSweepResult:
    """Sweep every cell of a block through ``plan.cycles`` loops.

    The half with the open gate is a sweep of its own, so that each half has its own compliance; in the data the
    positive one is first, whichever was. A unit of work is one loop of one cell; a loop that was cut is done again
    after the cell was prepared again, for it may have been left on. The cell is read before each loop: its first SET is
    none of those to come if it was virgin.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    cells = [
        (row, col)
        for row in range(block.row0, block.row0 + block.nrows)
        for col in range(block.col0, block.col0 + block.ncols)
    ]
    positive, negative = plan.loop
    gated = array.spec.gate_axis is not None
    data = SweepData(positive, negative, block.shape, plan.cycles, gated=gated)
    compliance, reset_compliance = plan.compliances(array.spec)
    meta = {"dwell": plan.dwell, "compliance": compliance, "reset_compliance": reset_compliance}
    if gated:
        meta |= {"set_gate": plan.set_gate, "reset_gate": plan.reset_gate}
    set_gate, reset_gate = (array.spec.sweep_gate(gate) for gate in (plan.set_gate, plan.reset_gate))
    gates = np.repeat([plan.set_gate, plan.reset_gate], [len(positive), len(negative)])

    branches = {
        "positive": (positive, compliance, set_gate),
        "negative": (negative, reset_compliance, reset_gate),
    }
    halt: dict[str, float] = {} if plan.halt is None else {"halt": plan.halt}
    order = sorted(branches, key=lambda branch: branch != plan.first)

    def half(row: int, col: int, branch: str) -> IVTrace:
        points, compliance, gate = branches[branch]
        return array.ability(Sweeps).sweep(
            row, col, points, compliance=compliance, dwell=plan.dwell, gate=gate, scheme=plan.scheme, **halt
        )

    total = len(cells) * plan.cycles
    with keep.work(
        "dc_sweep", data.axes, data.variables, meta, label="loops", total=total, earlier=data.earlier
    ) as work:
        for (row, col), cycle in product(cells, range(plan.cycles)):
            if not work.begin(f"cell {row},{col} cycle {cycle}"):
                continue
            if plan.prepare and (cycle == 0 or work.interrupted):
                half(row, col, order[-1])
            start = float(array.read(Block(row, 1, col, 1), average=LOOK).conductance[0, 0])
            swept = {branch: half(row, col, branch) for branch in order}
            up, down = swept["positive"], swept["negative"]
            loop = {name: np.concatenate([getattr(up, name), getattr(down, name)]) for name in _KEPT}
            laid_out = data.laid_out({**loop, "gate": gates}, start, work.setpoints)
            work.add({"row": row, "col": col, "cycle": cycle}, **laid_out)
            work.done(f"cell ({row}, {col})", **loop, start=start)
        shape = (len(cells), plan.cycles, len(positive) + len(negative))
        volts, current, flags = (work.stack(name).reshape(shape) for name in _KEPT)
        # Sessions of earlier versions read no cell.
        names = [f"cell {row},{col} cycle {cycle}" for (row, col), cycle in product(cells, range(plan.cycles))]
        starts = [float(work.all_of(name).get("start", np.nan)) for name in names]
    return DcSweepResult(
        cells=cells,
        volts=volts,
        current=current,
        flags=flags,
        read_volts=array.spec.read_volts,
        compliance=compliance,
        reset_compliance=reset_compliance,
        limit_acts_on=limit_acts_on(array.spec, plan.scheme),
        start=np.array(starts).reshape(shape[:2]),
        gate=gates if gated else None,
    )
