"""Read a block and map its conductance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import Field

from ...common.progress import SHOW_AFTER
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import FLAG_OVERFLOW, CrossbarArray, Reading
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, with_intervals
from .cell_table import cell_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


class ReadArrayPlan(Plan):
    """Which cells to read, and how."""

    cells: str = Field(default="all", description="rows,cols like '0:8,0:8', or 'all'")
    volts: float | None = Field(default=None, description="read voltage [V]; the chip's own by default")
    average: int = Field(default=1, ge=1, description="conversions per cell")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return with_intervals("g_read_median") | {"overflow_cells"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array and reads beyond the limits."""
        Block.parse(self.cells, spec)
        spec.check_average(self.average, channel="read_array")
        if self.volts is not None:
            spec.limits.check("read_volts", self.volts, channel="read_array.volts")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of reading once."""
        block = Block.parse(self.cells, spec)
        volts = abs(spec.read_volts if self.volts is None else self.volts)
        return Forecast(block.size, volts, 0, spec.read_seconds(block, self.average))


@dataclass(frozen=True, kw_only=True)
class ReadArrayResult:
    """A conductance map."""

    reading: Reading
    title: str = "Array read"

    @property
    def frame(self) -> DataFrame:
        """One line per cell: row, col, current [A], conductance [S], stderr [S], flags."""
        return cell_table(
            self.reading.block,
            {
                "current_A": self.reading.current,
                "conductance_S": self.reading.conductance,
                "stderr_S": self.reading.stderr,
                "flags": self.reading.flags,
            },
        )

    def plot(self) -> Figure:
        """Return the conductance map."""
        from ...analysis.measurements.array_maps import conductance_map

        return conductance_map(
            self.reading.conductance,
            origin=(self.reading.block.row0, self.reading.block.col0),
            title=f"{self.title}: conductance at {self.reading.volts:g} V",
        )

    def metrics(self) -> dict[str, float]:
        """Return median and extremes of the map and how many cells overflowed."""
        from ...analysis.estimates.estimates import flatten, median_estimate

        return {
            **flatten("g_read_median", median_estimate(self.reading.conductance)),
            "overflow_cells": float(np.count_nonzero(self.reading.flags & FLAG_OVERFLOW)),
        }

    def section(self) -> Section:
        """Return the map as a part of the report."""
        from ...analysis.report.report import Section

        g = self.reading.conductance
        text = (
            f"{g.size} cells read at {self.reading.volts:g} V: median {np.median(g) * 1e6:.3g} µS, "
            f"from {g.min() * 1e6:.3g} to {g.max() * 1e6:.3g} µS. "
            "A cell far above its neighbours before forming is a short: look at it before applying more."
        )
        return Section(self.title, text, [("Conductance as read.", self.plot())], [])

    def __repr__(self) -> str:
        g = self.reading.conductance
        return f"<ReadArrayResult {self.reading.block} at {self.reading.volts:g} V: median {np.median(g) * 1e6:.3g} µS>"


def map_axes(block: Block) -> list[Axis]:
    """Return the row and column setpoint axes of a block."""
    return [
        Axis("row", "Row", values=np.arange(block.row0, block.row0 + block.nrows, dtype=np.int16)),
        Axis("col", "Column", values=np.arange(block.col0, block.col0 + block.ncols, dtype=np.int16)),
    ]


def read_array(array: CrossbarArray, plan: ReadArrayPlan, run: Run | None = None) -> ReadArrayResult:
    """Measure every cell of a block once and map its conductance.

    A unit of work is the block, or one row where it is read row by row; nothing depends on what was before.

    Parameters
    ----------
    array : the array to read.
    plan : cells, voltage, averaging.
    run : where to keep the dataset; ``None`` keeps nothing.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    volts = array.spec.read_volts if plan.volts is None else plan.volts
    variables = [Variable("conductance", "Conductance", "S"), Variable("stderr", "Standard error", "S")]
    parts = _parts(block, array.spec.read_seconds(block, plan.average))
    axes = [Axis("row", "Row", count=block.nrows), map_axes(block)[1]]
    with keep.work("read_array", axes, variables, {"read_volts": volts}, label="rows", total=len(parts)) as work:
        for part in parts:
            if work.begin(f"cells {part}"):
                reading = array.read(part, plan.volts, average=plan.average)
                for row, (g, error) in enumerate(zip(reading.conductance, reading.stderr, strict=True)):
                    work.add({"row": part.row0 + row}, conductance=g, stderr=error)
                work.done(
                    current=reading.current,
                    conductance=reading.conductance,
                    stderr=reading.stderr,
                    flags=reading.flags,
                )
        current, conductance, stderr, flags = (
            np.concatenate(work.pieces(name)) for name in ("current", "conductance", "stderr", "flags")
        )
    return ReadArrayResult(
        reading=Reading(block=block, volts=volts, current=current, conductance=conductance, stderr=stderr, flags=flags)
    )


def _parts(block: Block, seconds: float) -> list[Block]:
    """Return a block in one piece, or row by row where reading it takes so long that a person wants to see it go on."""
    if seconds < SHOW_AFTER:
        return [block]
    return [Block(block.row0 + row, 1, block.col0, block.ncols) for row in range(block.nrows)]
