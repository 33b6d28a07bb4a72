"""Half-select disturb: write one cell many times and read how far the cells on its lines move.

How large an amplitude cells bear is found by :mod:`.stress_disturb`, which half-selects the cells themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...analysis.measurements.disturb import HalfSelectTrains
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..keeping.work import Work
from ..plan import Forecast, Plan, check_pulse, with_intervals
from .neighbours import changed
from .switching import FORM_FIRST, SwitchPlan, bring

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

SIGNS = (+1, -1)


def train_counts(pulses: int, per_decade: int) -> NDArray[np.int64]:
    """Return the pulses before each reading of a train: spaced evenly on a logarithmic axis."""
    points = int(np.ceil(np.log10(pulses) * per_decade)) + 1
    return np.unique(np.round(np.geomspace(1, pulses, points)).astype(np.int64))


def give_train(array: CrossbarArray, pulses: PulseMap, count: int, cells: NDArray[np.bool_] | None = None) -> None:
    """Give ``pulses`` ``count`` times to all its cells, or to ``cells`` of its block, in as few maps as carry them."""
    while count > 0:
        now = min(count, array.spec.limits.count_max)
        array.pulse(replace(pulses, count=now if cells is None else np.where(cells, now, 0)))
        count -= now


class HalfSelectPlan(Plan):
    """Trains of SETs and of RESETs on each of ``cells``, with the rest of its row and column on and off."""

    cells: str = Field(default="0,0", description="cells that are written, one after the other: '3,5' or '0:2,0:2'")
    set_volts: float = Field(default=1.5, gt=0, description="amplitude of the SET train [V]")
    set_gate: float = Field(default=1.2, ge=0, description="gate of the SET train [V], where there are gates")
    reset_volts: float = Field(default=1.6, gt=0, description="magnitude of the RESET train [V]")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the RESET train [V], where there are gates")
    width: float = Field(default=200e-9, gt=0, description="pulse width [s]")
    pulses: int = Field(default=10_000, ge=1, description="pulses of a train")
    per_decade: int = Field(default=2, ge=1, le=20, description="reads per decade of pulses")
    average: int = Field(default=16, ge=1, description="conversions per cell and read")
    prepare: SwitchPlan = Field(default=SwitchPlan(), description="how the cells on the lines are switched on and off")
    virgin_below: float = Field(default=1e-6, gt=0, description="below this all conductances count as alike [S]")
    scheme: str | None = Field(default=None, description="bias scheme of the writes; the array's own by default")

    @property
    def counts(self) -> NDArray[np.int64]:
        """Pulses before each reading: spaced evenly on a logarithmic axis."""
        return train_counts(self.pulses, self.per_decade)

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return with_intervals("half_select_change_median") | {"half_select_change_worst", "disturbed_cells"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses beyond the limits, and what this array lacks: a scheme, lines."""
        Block.parse(self.cells, spec)
        spec.require_lines(channel="half_select_disturb")
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="half_select_disturb")
        for volts, gate, name in (
            (self.set_volts, self.set_gate, "set"),
            (-self.reset_volts, self.reset_gate, "reset"),
        ):
            check_pulse(spec, volts=volts, width=self.width, gate=gate, channel=f"half_select_disturb.{name}")
        self.prepare.check(spec, channel="half_select_disturb.prepare")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of all trains when every preparation takes all its attempts."""
        block = Block.parse(self.cells, spec)
        lines = (Block(0, 1, 0, spec.cols), Block(0, spec.rows, 0, 1))
        prepare = sum(self.prepare.seconds(spec, line) for line in lines)
        reads = (len(self.counts) + 1) * sum(spec.read_seconds(line, self.average) for line in lines)
        writes = len(self.counts) * spec.select_seconds + self.pulses * (self.width + spec.slot_overhead)
        pulses = self.pulses + self.prepare.attempts * (spec.rows + spec.cols)
        return Forecast(
            block.size,
            max(self.set_volts, self.reset_volts, self.prepare.volts_max),
            4 * block.size * pulses,
            4 * block.size * (prepare + reads + writes),
        )


@dataclass(frozen=True, kw_only=True)
class HalfSelectResult:
    """Trains, and the map of cells that changed by ``CHANGE_RATIO`` without being written [array rows, cols]."""

    plan: HalfSelectPlan
    scheme: str
    trains: HalfSelectTrains
    conductance: FloatArray
    disturbed: NDArray[np.bool_]

    @property
    def _volts(self) -> tuple[float, float]:
        return self.plan.set_volts, -self.plan.reset_volts

    @property
    def frame(self) -> DataFrame:
        """One line per reading: row and col of the mate, its state, volts [V] and pulses written, G [S], ΔG/G."""
        from pandas import DataFrame

        from ...analysis.measurements.disturb import STATES

        state, polarity, mate, point = np.indices(self.trains.change.shape).reshape(4, -1)
        return DataFrame(
            {
                "row": self.trains.row[mate],
                "col": self.trains.col[mate],
                "state": np.asarray(STATES)[state],
                "written_V": np.asarray(self._volts)[polarity],
                "pulses": self.trains.pulses[point],
                "conductance_S": self.conductance.ravel(),
                "change": self.trains.change.ravel(),
            }
        )

    def plot(self) -> Figure:
        """Return the relative change against the number of pulses."""
        from ...analysis.measurements.disturb import half_select_figure

        return half_select_figure(self.trains, self._volts, scheme=self.scheme)

    def metrics(self) -> dict[str, float]:
        """Return the changes at the end of the trains, and how many cells were disturbed."""
        from ...analysis.estimates.estimates import flatten
        from ...analysis.measurements.disturb import half_select_metrics

        found = half_select_metrics(self.trains)
        return {
            **flatten("half_select_change_median", found["half_select_change_median"]),
            "half_select_change_worst": found["half_select_change_worst"].value,
            "disturbed_cells": float(self.disturbed.sum()),
        }

    def section(self) -> Section:
        """Return figure and table as a part of the report."""
        from ...analysis.measurements.disturb import half_select_table
        from ...analysis.report.report import Section

        text = (
            f"Cells {self.plan.cells} were written up to {self.plan.pulses:,} times with {self.plan.width * 1e9:g} ns "
            f"pulses in bias scheme {self.scheme}; what changed is the other cells of their rows and columns. "
            f"Cells that changed by a factor of 1.5 or more: {int(self.disturbed.sum())}."
        )
        if not np.isfinite(self.trains.change).any():
            text += f" None of the cells on the lines could be switched both on and off: {FORM_FIRST}."
        table = half_select_table(self.trains, self._volts)
        caption = "Change of the cells on the lines of a written one."
        return Section("Half-select disturb", text, [(caption, self.plot())], [("At the end of the trains.", table)])

    def __repr__(self) -> str:
        m = self.metrics()
        return (
            f"<HalfSelectResult {self.plan.pulses:,} pulses, scheme {self.scheme}: "
            f"median {m['half_select_change_median']:.2%}, worst 1 % {m['half_select_change_worst']:.2%}>"
        )


class _Lines:
    """The row and the column of a written cell: prepare, fire, read."""

    def __init__(self, array: CrossbarArray, plan: HalfSelectPlan, row: int, col: int) -> None:
        spec = array.spec
        self._array, self._plan, self.written = array, plan, (row, col)
        self._cell = Block(row, 1, col, 1)
        self._blocks = [Block(row, 1, 0, spec.cols), Block(0, spec.rows, col, 1)]
        self._good = [spec.healthy_mask(block) for block in self._blocks]
        self._good[0][0, col] = self._good[1][row, 0] = False
        others = np.arange(spec.cols) != col, np.arange(spec.rows) != row
        self._others = others
        self.row = np.concatenate([np.full(spec.cols - 1, row), np.flatnonzero(others[1])])
        self.col = np.concatenate([np.flatnonzero(others[0]), np.full(spec.rows - 1, col)])

    def _flat(self, maps: list[NDArray[np.bool_]] | list[FloatArray]) -> FloatArray:
        pairs = zip(maps, self._others, strict=True)
        return np.concatenate([np.asarray(values, dtype=np.float64).ravel()[keep] for values, keep in pairs])

    def prepare(self, sign: int) -> NDArray[np.bool_]:
        """Switch all mates on or off, and return which of them are."""
        plan = self._plan
        pairs = zip(self._blocks, self._good, strict=True)
        return self._flat([bring(self._array, b, good, sign, plan.prepare, plan.scheme) for b, good in pairs]) > 0.0

    def read(self) -> tuple[FloatArray, FloatArray]:
        """Return conductance and standard error [S] of the mates."""
        readings = [self._array.read(block, average=self._plan.average) for block in self._blocks]
        return self._flat([r.conductance for r in readings]), self._flat([r.stderr for r in readings])

    def fire(self, sign: int, count: int) -> None:
        """Write the cell ``count`` times."""
        plan, spec = self._plan, self._array.spec
        volts, gate = (plan.set_volts, plan.set_gate) if sign > 0 else (-plan.reset_volts, plan.reset_gate)
        gate = spec.pulse_gate(gate)
        pulses = PulseMap(block=self._cell, volts=volts, width=plan.width, gate=gate, scheme=plan.scheme)
        give_train(self._array, pulses, count)


def half_select_disturb(array: CrossbarArray, plan: HalfSelectPlan, run: Run | None = None) -> HalfSelectResult:
    """Write each cell of a block many times and follow the other cells of its row and column.

    A unit of work is one train: one written cell, its mates on or off, one polarity. It begins with their preparation,
    so one that may have been cut is simply done again.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    spec, block, counts = array.spec, Block.parse(plan.cells, array.spec), plan.counts
    good = spec.healthy_mask(block)
    written = [(row + block.row0, col + block.col0) for row, col in np.argwhere(good).tolist()]
    lines = [_Lines(array, plan, row, col) for row, col in written]
    if not lines:
        raise RefusedError(f"half_select_disturb: the chip file calls all cells of {block} bad: choose others")
    each = spec.rows + spec.cols - 2
    axes = [
        Axis("written_row", "Written row"),
        Axis("written_col", "Written column"),
        Axis("state", "State, 0 LRS, 1 HRS"),
        Axis("volts", "Amplitude written", "V"),
        Axis("pulse", "Pulses"),
        Axis("mate", "Mate", values=np.arange(each, dtype=np.int32)),
    ]
    variables = [
        Variable("row", "Row"),
        Variable("col", "Column"),
        Variable("conductance", "Conductance", "S"),
    ]

    def train(mates: _Lines, work: Work, state: int, polarity: int) -> None:
        ready = mates.prepare(SIGNS[state])
        before, error = mates.read()
        ready &= before > 0.0
        volts = plan.set_volts if polarity == 0 else -plan.reset_volts
        row, col = mates.written
        where = {"written_row": row, "written_col": col, "state": state, "volts": volts}
        work.add({**where, "pulse": 0}, row=mates.row, col=mates.col, conductance=before)
        now = before
        g, change = np.full((each, len(counts)), np.nan), np.full((each, len(counts)), np.nan)
        for point, more in enumerate(np.diff(counts, prepend=0)):
            mates.fire(SIGNS[polarity], int(more))
            now, _ = mates.read()
            g[:, point] = np.where(ready, now, np.nan)
            change[:, point] = np.where(ready, now / before - 1.0, np.nan)
            work.add({**where, "pulse": int(counts[point])}, row=mates.row, col=mates.col, conductance=now)
        hit = ready & changed(before, now, plan.virgin_below)
        work.done(
            f"mates {'on' if state == 0 else 'off'}", None,
            g=g, change=change, hit=hit, noise=error[ready] / before[ready],
        )  # fmt: skip

    total = 4 * len(lines)
    meta = {"width": plan.width}
    with keep.work("half_select_disturb", axes, variables, meta, label="half-select trains", total=total) as work:
        for mates, state, polarity in product(lines, range(2), range(2)):
            row, col = mates.written
            if work.begin(f"cell {row},{col} state {state} polarity {polarity}"):
                train(mates, work, state, polarity)
        shape = (len(lines), 2, 2, each, len(counts))
        # [cells, states, polarities, mates, points] → [states, polarities, cells × mates, points]
        g, change = (
            np.moveaxis(work.stack(name).reshape(shape), 0, 2).reshape(2, 2, -1, len(counts))
            for name in ("g", "change")
        )
        hits = work.stack("hit").reshape(len(lines), 4, each).max(axis=1)
        noises = np.concatenate(work.pieces("noise"))
    # A virgin cell reads as one that is off, and a short as one that is on: neither is disturbed by anything.
    both = np.asarray(np.isfinite(g).any(axis=(1, 3)).all(axis=0), dtype=np.bool_)
    g, change = (np.where(both[:, None], values, np.nan) for values in (g, change))
    hits &= both.reshape(hits.shape)
    disturbed = np.zeros((spec.rows, spec.cols), dtype=np.bool_)
    for mates, hit in zip(lines, hits, strict=True):
        disturbed[mates.row[hit], mates.col[hit]] = True
    noise = float(np.median(noises)) if noises.size else 0.0
    rows, cols = np.concatenate([mates.row for mates in lines]), np.concatenate([mates.col for mates in lines])
    trains = HalfSelectTrains(counts, change, rows, cols, noise)
    return HalfSelectResult(
        plan=plan,
        scheme=spec.require_scheme(plan.scheme, writing=True),
        trains=trains,
        conductance=g,
        disturbed=disturbed,
    )
