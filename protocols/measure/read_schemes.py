"""Read the same cells in every bias scheme the array offers: what sneak paths add shows as the difference."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...analysis.quantities import QUANTITIES
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, with_intervals
from .cell_table import cell_table
from .read_array import map_axes
from .switching import FORM_FIRST, SwitchPlan, bring

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section


class ReadSchemesPlan(Plan):
    """Read ``cells`` in every scheme; with ``among``, as cells that are off among cells that are on."""

    cells: str = Field(default="0,0", description="cells to read: '3,5' or '0:2,0:2'")
    among: str | None = Field(
        default=None,
        description="block whose other cells are SET first, the cells to read RESET; by default nothing is written",
    )
    volts: float | None = Field(default=None, description="read voltage [V]; the chip's own by default")
    average: int = Field(default=16, ge=1, description="conversions per cell and read")
    prepare: SwitchPlan = Field(default=SwitchPlan(), description="how cells are switched on and off first")
    leave_off: bool = Field(default=True, description="RESET the block again afterwards, where it was SET")
    scheme: str | None = Field(default=None, description="bias scheme of the writes; the array's own by default")

    def blocks(self, spec: ArraySpec) -> tuple[Block, Block | None, NDArray[np.bool_]]:
        """Return the cells to read, the block around them, and where in that block they are."""
        cells = Block.parse(self.cells, spec)
        if self.among is None:
            return cells, None, np.ones(cells.shape, dtype=np.bool_)
        block = Block.parse(self.among, spec)
        chip = np.zeros((spec.rows, spec.cols), dtype=np.bool_)
        chip[cells.slices] = True
        return cells, block, chip[block.slices]

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        return with_intervals(*(name for name in QUANTITIES if name.startswith("read_error_")))

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, reads and pulses beyond the limits, and neighbours that are none."""
        spec.require_lines(channel="read_schemes")
        cells, block, inside = self.blocks(spec)
        spec.check_average(self.average, channel="read_schemes")
        if self.volts is not None:
            spec.limits.check("read_volts", self.volts, channel="read_schemes.volts")
        if block is not None:
            spec.require_scheme(self.scheme, writing=True)
            self.prepare.check(spec, channel="read_schemes.prepare")
            if inside.sum() < cells.size or inside.all():
                raise RefusedError(
                    f"read_schemes.among {block} must hold the cells {cells} and at least one more to be on beside them"
                )

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every preparation takes all its attempts."""
        cells, block, _ = self.blocks(spec)
        volts = abs(spec.read_volts if self.volts is None else self.volts)
        seconds = len(spec.read_schemes) * spec.read_seconds(cells, self.average)
        if block is None:
            return Forecast(cells.size, volts, 0, seconds)
        rounds = 2 + self.leave_off
        return Forecast(
            block.size,
            max(volts, self.prepare.volts_max),
            rounds * block.size * self.prepare.attempts,
            seconds + rounds * self.prepare.seconds(spec, block),
        )


@dataclass(frozen=True, kw_only=True)
class ReadSchemesResult:
    """Conductance [S] per scheme, [schemes, rows, cols] of the block; the array's own scheme comes first."""

    block: Block
    schemes: tuple[str, ...]
    conductance: FloatArray
    volts: float
    prepared: str

    @property
    def error(self) -> FloatArray:
        """Each scheme over the array's own, minus 1 [schemes, rows, cols]; nan where that reads no conductance."""
        own = self.conductance[0]
        return self.conductance / np.where(own > 0.0, own, np.nan) - 1.0

    @property
    def frame(self) -> DataFrame:
        """One line per cell: row, col, and the conductance in every scheme [S]."""
        return cell_table(self.block, {f"{s}_S": g for s, g in zip(self.schemes, self.conductance, strict=True)})

    def plot(self) -> Figure:
        """Return what the cells read in every scheme."""
        from ...analysis.measurements.read_schemes import read_scheme_bars

        return read_scheme_bars({s: g.ravel() for s, g in zip(self.schemes, self.conductance, strict=True)})

    def metrics(self) -> dict[str, float]:
        """Return ``read_error_<scheme>`` for every scheme but the array's own."""
        from ...analysis.estimates.estimates import flatten, median_estimate

        found: dict[str, float] = {}
        for scheme, error in zip(self.schemes[1:], self.error[1:], strict=True):
            key = "".join(letter if letter.isalnum() else "_" for letter in scheme)
            found.update(flatten(f"read_error_{key}", median_estimate(error)))
        return found

    def section(self) -> Section:
        """Return bars and table as a part of the report."""
        from pandas import DataFrame

        from ...analysis.report.report import Section

        table = DataFrame(
            {
                "scheme": self.schemes,
                "median [S]": np.median(self.conductance, axis=(1, 2)),
                "against the array's own [fraction]": np.nanmedian(self.error.reshape(len(self.schemes), -1), axis=1)
                if np.isfinite(self.error).any()
                else np.full(len(self.schemes), np.nan),
            }
        )
        text = (
            f"{self.block.size} cells read at {self.volts:g} V in {len(self.schemes)} bias schemes. {self.prepared} "
            "All lie on the same chip in the same state, one read after the other: the differences are what the scheme "
            "lets through the neighbours."
        )
        if len(self.schemes) == 1:
            text += " This array offers one scheme only: there is nothing to compare."
        return Section("Read schemes", text, [("What the same cells read.", self.plot())], [("Medians.", table)])

    def __repr__(self) -> str:
        errors = ", ".join(f"{s} {np.nanmedian(e):+.1%}" for s, e in zip(self.schemes[1:], self.error[1:], strict=True))
        return f"<ReadSchemesResult {self.block} against {self.schemes[0]}: {errors or 'nothing to compare'}>"


def read_schemes(array: CrossbarArray, plan: ReadSchemesPlan, run: Run | None = None) -> ReadSchemesResult:
    """Read the same cells in every scheme of the array, its own first.

    Units of work are the preparation, the schemes, and what leaves the block off. Before a read that may have been cut
    the cells are looked at again, and those that are not as they were prepared are brought there.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    spec = array.spec
    cells, block, inside = plan.blocks(spec)
    volts = spec.read_volts if plan.volts is None else plan.volts
    schemes = spec.read_schemes
    prepared = "Nothing was written before."
    said = f"Scheme: {', '.join(f'{k} {name}' for k, name in enumerate(schemes))}"
    axes = [Axis("scheme", said, count=len(schemes)), *map_axes(cells)]
    variables = [Variable("conductance", "Conductance", "S"), Variable("stderr", "Standard error", "S")]
    total = len(schemes) + (0 if block is None else 1 + plan.leave_off)

    def prepare(around: Block) -> dict[str, int]:
        good = spec.healthy_mask(around)
        on = bring(array, around, good & ~inside, +1, plan.prepare, plan.scheme)
        off = bring(array, around, good & inside, -1, plan.prepare, plan.scheme)
        return {"on": int(on.sum()), "off": int(off.sum())}

    with keep.work("read_schemes", axes, variables, {"read_volts": volts}, label="schemes", total=total) as work:
        if block is not None:
            if work.begin("prepare"):
                work.done("cells prepared", **prepare(block))
            on, off = (int(work.piece("prepare", name)) for name in ("on", "off"))
            if not on or not off:
                raise RefusedError(
                    f"read_schemes: {off} of {int(inside.sum())} cells {cells} could be brought off and {on} of "
                    f"{int((~inside).sum())} beside them on: {FORM_FIRST}"
                )
            prepared = (
                f"Before, {off} of {int(inside.sum())} of them were brought below "
                f"{plan.prepare.off_below * 1e6:g} µS among {on} of {int((~inside).sum())} cells above "
                f"{plan.prepare.on_above * 1e6:g} µS."
            )
        for index, scheme in enumerate(schemes):
            if not work.begin(f"scheme {scheme}"):
                continue
            if block is not None and work.interrupted:
                prepare(block)
            reading = array.read(cells, volts, average=plan.average, scheme=scheme)
            work.add({"scheme": index}, conductance=reading.conductance, stderr=reading.stderr)
            work.done(scheme, conductance=reading.conductance)
        if block is not None and plan.leave_off and work.begin("off again"):
            bring(array, block, spec.healthy_mask(block), -1, plan.prepare, plan.scheme)
            work.done()
        read = work.stack("conductance")
    return ReadSchemesResult(block=cells, schemes=schemes, conductance=read, volts=volts, prepared=prepared)
