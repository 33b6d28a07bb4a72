"""Pulsed I–V: single pulses of rising and falling amplitude, a read after each; a cut-off turns a cell back."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...analysis.measurements.pulsed_iv import PulsedLoops
from ...common.errors import RefusedError
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from .pulse_loops import LoopPulser, PulsedIvPlan
from .read_array import map_axes

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


@dataclass(frozen=True, kw_only=True)
class PulsedIvResult:
    """Loops of every cell; ``cells`` as (row, col).

    ``current`` [cells, cycles, legs, points] [A] is that in the pulse, nan where it was not measured.
    """

    cells: list[tuple[int, int]]
    loops: PulsedLoops
    current: FloatArray
    read_volts: float
    plan: PulsedIvPlan

    @property
    def frame(self) -> DataFrame:
        """One line per pulse given: row, col, cycle, leg, volts [V], width [s], G read after [S], current in it [A]."""
        from pandas import DataFrame

        g = self.loops.conductance
        cell, cycle, leg, point = np.nonzero(np.isfinite(g))
        where = np.asarray(self.cells)
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "cycle": cycle,
                "leg": np.asarray(self.loops.legs)[leg],
                "volts_V": self.loops.volts[leg, point],
                "width_s": self.plan.width,
                "conductance_S": g[np.isfinite(g)],
                "current_A": self.current[np.isfinite(g)],
            }
        )

    @cached_property
    def switching(self) -> DataFrame:
        """One line per cell and loop: V_SET, V_RESET [V], conductances [S], whether it switched, or formed."""
        from ...analysis.measurements.pulsed_iv import pulsed_switching

        return pulsed_switching(self.loops)

    @property
    def forming(self) -> NDArray[np.bool_]:
        """Which loops [cells, cycles] formed their cell, or came before the one that did."""
        return self.switching["forming"].to_numpy(dtype=np.bool_).reshape(self.loops.start.shape)

    def _family(self, current: FloatArray, title: str, up: str, limit: float | None = None) -> Figure:
        from ...analysis.plots.iv_family import iv_family

        n_cells, cycles, legs, points = current.shape
        volts = self.loops.volts.reshape(legs * points)
        return iv_family(
            volts,
            current.reshape(n_cells, cycles, legs * points),
            labels=[f"({row}, {col})" for row, col in self.cells],
            compliance_amps=limit,
            forming=self.forming,
            title=title,
            across="Pulse amplitude (V)",
            up=up,
        )

    def plot(self) -> Figure:
        """Return the family of curves: the current at the read voltage after each pulse against its amplitude."""
        current = self.loops.conductance * self.read_volts
        return self._family(current, "Pulsed I–V", f"|Current| read at {self.read_volts:g} V after the pulse")

    def plot_spread(self) -> Figure:
        """Return the distributions of the switching voltages, cycle to cycle and cell to cell apart."""
        from ...analysis.measurements.forming_loops import without_forming
        from ...analysis.measurements.iv_curve import cell_grid
        from ...analysis.measurements.variability import variability_cdfs

        table = without_forming(self.switching)
        legs = {"set": "+out", "reset": "-out"}
        grids = {
            f"V_{name.upper()}": cell_grid(table, f"v_{name}", np.nan)
            for name, leg in legs.items()
            if leg in self.loops.legs
        }
        return variability_cdfs(grids, title="Switching voltages of pulses")

    def metrics(self) -> dict[str, float]:
        """Return the switching statistics as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.pulsed_iv import pulsed_metrics

        return {
            **flatten_all(pulsed_metrics(self.switching, self.loops.legs)),
            "forming_loops": float(self.forming.sum()),
        }

    def section(self) -> Section:
        """Return the family and the spread of the switching voltages as a part of the report."""
        from ...analysis.measurements.forming_loops import without_forming
        from ...analysis.measurements.iv_curve import NO_CROSSING, NO_WINDOW
        from ...analysis.report.report import Section

        plan, table = self.plan, without_forming(self.switching)
        said: list[str] = []
        for branch, leg in (("set", "+out"), ("reset", "-out")):
            if leg in self.loops.legs:
                missed = int(np.isin(table[f"{branch}_status"].to_numpy(), (NO_WINDOW, NO_CROSSING)).sum())
                early = self.loops.at_first_pulse(table, branch)
                said.append(
                    f"Loops without a {branch.upper()}: {missed} of {len(table)}; they are in no distribution. Those "
                    f"that the smallest pulse switched, which may take less: {early}."
                )
        cutoffs = {
            "current": (plan.cutoff_current, "A"), "conductance above": (plan.cutoff_above, "S"),
            "conductance below": (plan.cutoff_below, "S"),
        }  # fmt: skip
        given = ", ".join(f"{name} {value:g} {unit}" for name, (value, unit) in cutoffs.items() if value is not None)
        turned = f" Cut-off: {given}; legs that turned back early: {self.loops.halted}." if given else ""
        formed = int(self.forming.sum())
        text = (
            f"{len(self.cells)} cells, {plan.cycles} loops each of pulses of {plan.width:g} s, {plan.points} "
            f"amplitudes a leg ({plan.spacing}), in the order {', '.join(plan.legs)}; 0 V and a read after each. V_SET "
            "and V_RESET are where the conductance read after a pulse crosses the geometric mean of before and after "
            f"the leg, interpolated between two amplitudes. {' '.join(said)}{turned}"
        )
        if formed:
            text += f" Loops that formed a virgin cell, or came before: {formed}; dotted, and in no other number."
        figures = [("Pulsed I–V family; the bold line is the median loop.", self.plot())]
        if np.isfinite(self.current).any():
            in_pulse = self._family(
                self.current, "Current in the pulse", "|Current| in the pulse", self.plan.compliance
            )
            figures.append(("Current in the pulse against its amplitude.", in_pulse))
        if any(leg.endswith("out") for leg in self.loops.legs):
            caption = "Switching voltages: all loops, the spread within cells, and that between cells."
            figures.append((caption, self.plot_spread()))
        return Section("Pulsed I–V", text, figures, [])

    def __repr__(self) -> str:
        m = self.metrics()
        volts = ", ".join(
            f"V_{branch.upper()} {m[f'v_{branch}_pulse_mean']:.3g} V"
            for branch in ("set", "reset")
            if f"v_{branch}_pulse_mean" in m
        )
        return f"<PulsedIvResult {len(self.cells)} cells × {self.plan.cycles} loops: {volts or 'no leg away from 0 V'}>"


def pulsed_iv(array: CrossbarArray, plan: PulsedIvPlan, run: Run | None = None) -> PulsedIvResult:
    """Take every cell of a block through loops of single pulses, each followed by 0 V and a read.

    A cell that meets a cut-off on a leg away from 0 V gets no larger pulse on it, and comes back from there. A unit of
    work is one loop of all cells; one that was cut is done again after a loop that is in no figure.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    mask = array.spec.healthy_mask(block) & keep.chip.healthy_of(array)[block.slices]
    if not mask.any():
        raise RefusedError(f"pulsed_iv: all cells of {block} are known to be bad: choose others")
    axes = [
        Axis("cycle", "Loop", count=plan.cycles),
        Axis("leg", "Leg", count=len(plan.legs)),
        Axis("point", "Pulse of the leg", count=plan.points),
        *map_axes(block),
    ]
    variables = [
        Variable("conductance", "Conductance after the pulse", "S"),
        Variable("volts", "Amplitude", "V"),
        Variable("current", "Current in the pulse", "A"),
    ]
    meta = {"width": plan.width, "legs": " ".join(plan.legs), "set_gate": plan.set_gate, "reset_gate": plan.reset_gate}
    pulser, volts = LoopPulser(array, plan, block), plan.volts
    with keep.work("pulsed_iv", axes, variables, meta, label="loops", total=plan.cycles) as work:
        for cycle in range(plan.cycles):
            if not work.begin(f"cycle {cycle}"):
                continue
            if plan.prepare and (cycle == 0 or work.interrupted):
                pulser.loop(mask)
            start, _ = pulser.read()
            g, amps = pulser.loop(mask)
            for leg, point in np.ndindex(volts.shape):
                where = {"cycle": cycle, "leg": leg, "point": point}
                given = np.where(np.isfinite(g[leg, point]), volts[leg, point], np.nan)
                work.add(where, conductance=g[leg, point], volts=given, current=amps[leg, point])
            work.done(f"loop {cycle + 1} of {plan.cycles}", readings=g, current=amps, start=start)
        readings, current, start = (work.stack(name)[..., mask] for name in ("readings", "current", "start"))
    cells = block.where(mask)
    g, amps, began = (np.moveaxis(one, -1, 0) for one in (readings, current, start))
    return PulsedIvResult(
        cells=cells,
        loops=PulsedLoops(plan.legs, volts, g, began),
        current=amps,
        read_volts=array.spec.read_volts,
        plan=plan,
    )
