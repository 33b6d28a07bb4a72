"""Accuracy of vector–matrix products: random vectors and single rows against the conductances as read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...analysis.measurements.vmm_accuracy import Products, TargetError, rows_with_target, target_error
from ...common.errors import RefusedError
from ...common.files import read_array as load_array
from ...instruments.abilities import Multiplies
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, with_intervals

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

Counts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(max_length=40)]
TARGETED = "rows with targets"
SHARE_OF_RANGE = 0.8  # of the converters' range the largest expected current may take


class VmmPlan(Plan):
    """Products of random vectors, with all rows and with few, and of single rows, on the array as it stands."""

    own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {"target_file": ()}

    volts: float = Field(default=0.2, gt=0, description="largest magnitude of an input [V]")
    vectors: int = Field(default=200, ge=4, le=100_000, description="random vectors, inputs uniform in ±volts")
    active_rows: Counts = Field(default=(), description="numbers of active rows to compare; powers of two by default")
    repeats: int = Field(default=8, ge=2, le=10_000, description="products of each single row")
    average: int = Field(default=32, ge=1, description="conversions per cell of the read before")
    full_scale: float | None = Field(
        default=None, gt=0, description="range of the converters; by default the least that holds the products [A]"
    )
    programmed: bool = Field(
        default=False, description="compare also with the targets that read_verify has just programmed in this run"
    )
    target_file: str | None = Field(
        default=None, description="map of target conductances (.npy, [rows, cols], S), to compare with those too"
    )

    def rows(self, spec: ArraySpec) -> tuple[int, ...]:
        """Return the numbers of active rows, rising."""
        if self.active_rows:
            return tuple(sorted(set(self.active_rows)))
        return tuple(sorted({*(2**k for k in range(spec.rows.bit_length()) if 2**k < spec.rows), spec.rows}))

    def target(self, spec: ArraySpec) -> FloatArray | None:
        """Return the targets [S], None where there are none; refuse a map that is none of this array."""
        if self.target_file is None:
            return None
        target = np.asarray(load_array(Path(self.target_file), "target map"), dtype=np.float64)
        if target.shape != (spec.rows, spec.cols) or not np.isfinite(target).all():
            raise RefusedError(
                f"target_file {self.target_file} holds shape {target.shape}: wanted are finite conductances [S] of "
                f"shape ({spec.rows}, {spec.cols})"
            )
        return target

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        names = ["rmse_fs", "effective_bits", "column_gain", "column_gain_std", "column_offset_rms", "wire_share"]
        names += ["rmse_fs_target"] if self.programmed or self.target_file is not None else []
        return with_intervals(*(f"vmm_{name}" for name in names)) | {"vmm_overflow_fraction"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse an array that does not multiply, inputs beyond its limits, and more active rows than it has."""
        spec.require(Multiplies)
        spec.limits.check("vmm_volts", self.volts, channel="vmm_accuracy.volts")
        spec.check_average(self.average, channel="vmm_accuracy")
        if self.rows(spec)[-1] > spec.rows:
            raise RefusedError(
                f"vmm_accuracy.active_rows {self.rows(spec)[-1]} is more than the {spec.rows} rows of this array: "
                f"choose at most {spec.rows}"
            )
        if self.full_scale is not None and self.full_scale > max(spec.vmm_ranges):
            raise RefusedError(
                f"vmm_accuracy.full_scale {self.full_scale:g} A is beyond the converters of this array: choose at "
                f"most {max(spec.vmm_ranges):g} A"
            )
        self.target(spec)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost of one read and all products."""
        sets = len({*self.rows(spec), spec.rows}) + self.programmed
        products = self.vectors * sets + self.repeats * spec.rows
        seconds = spec.read_seconds(spec.whole, self.average) + products * spec.vmm_slot_seconds
        return Forecast(spec.rows * spec.cols, max(self.volts, spec.read_volts), 0, seconds)


@dataclass(frozen=True, kw_only=True)
class VmmResult:
    """Conductances [rows, cols] [S] as read and by single-row products (with their error), and random products."""

    plan: VmmPlan
    read: FloatArray
    lines: FloatArray
    lines_stderr: FloatArray
    random: Products
    active: dict[int, Products]
    full_scale: float
    against_target: TargetError | None = None

    @property
    def frame(self) -> DataFrame:
        """One line per random vector and column: vector, col, expected and measured current [A]."""
        from pandas import DataFrame

        vector, col = np.indices(self.random.current.shape).reshape(2, -1)
        return DataFrame(
            {
                "vector": vector,
                "col": col,
                "expected_A": (self.random.volts @ self.read).ravel(),
                "current_A": self.random.current.ravel(),
            }
        )

    def plot(self) -> Figure:
        """Return measured against expected, error by active rows, gain by column."""
        from ...analysis.measurements.vmm_accuracy import by_rows, column_fit, vmm_figure

        return vmm_figure(
            self.random,
            self.read,
            by_rows(self.active, self.read, self.full_scale),
            column_fit(self.random, self.read, self.lines),
        )

    @cached_property
    def _numbers(self) -> dict[str, float]:
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.vmm_accuracy import vmm_metrics

        lines = self.lines, self.lines_stderr
        found = flatten_all(vmm_metrics(self.random, self.read, lines, self.full_scale, self.against_target))
        return {**found, "vmm_overflow_fraction": float(np.isnan(self.random.current).mean())}

    def metrics(self) -> dict[str, float]:
        """Return error over full scale, effective bits, gain and offset of the columns, what the wires have of it."""
        return dict(self._numbers)

    def section(self) -> Section:
        """Return the figure, the columns and the error by active rows as a part of the report."""
        from pandas import DataFrame

        from ...analysis.measurements.vmm_accuracy import by_rows, column_fit, column_table, multiplies
        from ...analysis.report.report import Section

        m, rows = self._numbers, by_rows(self.active, self.read, self.full_scale)
        text = (
            ""
            if multiplies(self.random, self.read)
            else (
                "Most products are less than twice their error: the array does not conduct, and has neither bits nor "
                "gains. If its cells were never formed, form them first (step forming), then program them.\n\n"
            )
        )
        text += (
            f"{self.plan.vectors} vectors, inputs uniform in ±{self.plan.volts:g} V on all rows, converters at "
            f"{self.full_scale:g} A. RMS of measured minus Gᵀ·V of the conductances read just before: "
            f"{m['vmm_rmse_fs']:.2%} of the full scale, {m['vmm_effective_bits']:.2f} effective bits. The map that "
            "products of single rows give, all lines connected, explains "
            f"{m['vmm_wire_share']:.0%} of the squared error: that share is wires and drivers; the rest is noise, "
            f"drift and the cells' bend. {self._against_target()}"
            f"Products beyond the range: {m['vmm_overflow_fraction']:.1%}."
        )
        table = DataFrame(
            {
                "active rows": list(rows),
                "RMS error over full scale": [one.value for one in rows.values()],
                "95 % low": [one.low for one in rows.values()],
                "95 % high": [one.high for one in rows.values()],
            }
        )
        caption = "Measured against expected currents; error by the number of active rows; gain of every column."
        tables = [
            ("By active rows.", table),
            ("Column by column.", column_table(column_fit(self.random, self.read, self.lines))),
        ]
        return Section("Accuracy of products", text, [(caption, self.plot())], tables)

    def _against_target(self) -> str:
        found = self.against_target
        if found is None:
            return ""
        if not found.with_target:
            return "No step of this run programmed targets that still stood. "
        cells = f"{found.with_target:,} cells have a target conductance, {found.without:,} have none. "
        if not found.columns.size:
            return (
                f"{cells}No column has one for all of its cells in the {found.rows.size} rows with targets, so that no "
                "product can be held against targets alone. "
            )
        return (
            f"{cells}Against targets the error is {self._numbers['vmm_rmse_fs_target']:.2%}, of products that drove "
            f"the {found.rows.size} rows with targets, on the {found.columns.size} columns whose cells in these rows "
            "all have one. "
        )

    def __repr__(self) -> str:
        m = self._numbers
        error = f"{m['vmm_rmse_fs']:.2%} of full scale, {m['vmm_effective_bits']:.2f} bits"
        return f"<VmmResult {self.plan.vectors} vectors: {error}>"


def vmm_accuracy(array: CrossbarArray, plan: VmmPlan, run: Run | None = None) -> VmmResult:
    """Read the array, then multiply: single rows, random vectors on all rows, and on fewer.

    Units of work are the read, the single rows, every number of active rows and, where only some rows have targets,
    those; nothing depends on what was before but
    the range, which the read decides.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    spec, product = array.spec, array.ability(Multiplies)
    rows = plan.rows(spec)
    columns = np.arange(spec.cols, dtype=np.int32)
    axes = [
        Axis("active", "Active rows, 0 of single rows, −1 of all rows with targets"),
        Axis("vector", "Vector"),
        Axis("col", "Column", values=columns),
    ]
    variables = [Variable("current", "Current", "A"), Variable("expected", "Gᵀ·V of the read", "A")]

    def vectors(count: int, among: NDArray[np.intp] | None = None) -> FloatArray:
        chance = keep.rng(f"{count} active rows" if among is None else TARGETED)
        volts = np.zeros((plan.vectors, spec.rows))
        for vector in volts:
            drawn = chance.choice(spec.rows, count, replace=False) if among is None else among
            vector[drawn] = plan.volts * chance.uniform(-1.0, 1.0, count)
        return volts.astype(np.float32).astype(np.float64)

    def measured(count: int, volts: FloatArray) -> FloatArray:
        current = product.vmm(volts, full_scale=full_scale).astype(np.float64)
        for number, (got, wanted) in enumerate(zip(current, volts @ read, strict=True)):
            work.add({"active": count, "vector": number}, current=got, expected=wanted)
        return current

    units = {count: f"{count} active rows" for count in sorted({*rows, spec.rows})}
    target = plan.target(spec) if plan.target_file is not None else _programmed(plan, keep.chip.target, spec)
    driven = np.arange(spec.rows) if target is None or np.isnan(target).all() else rows_with_target(target)
    total = 2 + len(units) + (driven.size < spec.rows)
    with keep.work("vmm_accuracy", axes, variables, label="sets", total=total, drawn=False) as work:
        if work.begin("read"):
            work.done("read", conductance=array.read(spec.whole, average=plan.average).conductance)
        read = np.asarray(work.piece("read", "conductance"), dtype=np.float64)
        full_scale = plan.full_scale or _range(spec, np.abs(vectors(spec.rows) @ read).max())
        if work.begin("single rows"):
            single = np.repeat(plan.volts * np.eye(spec.rows), plan.repeats, axis=0)
            got = measured(0, single).reshape(spec.rows, plan.repeats, spec.cols) / plan.volts
            work.done("single rows", mean=got.mean(axis=1), error=got.std(axis=1, ddof=1) / np.sqrt(plan.repeats))
        for count, unit in units.items():
            if work.begin(unit):
                work.done(unit, current=measured(count, vectors(count)))
        lines, error = (work.piece("single rows", name) for name in ("mean", "error"))
        if target is not None and driven.size < spec.rows and work.begin(TARGETED):
            work.done(TARGETED, current=measured(-1, vectors(driven.size, driven)))
        of_rows = {count: Products(vectors(count), work.piece(unit, "current")) for count, unit in units.items()}
        random, active = of_rows[spec.rows], {count: of_rows[count] for count in rows}
        against = None
        if target is not None:
            part = work.all_of(TARGETED).get("current")
            against = target_error(random if part is None else Products(vectors(driven.size, driven), part), target)
    return VmmResult(
        plan=plan, read=read, lines=lines, lines_stderr=error, random=random, active=active, full_scale=full_scale,
        against_target=against,
    )  # fmt: skip


def _programmed(plan: VmmPlan, target: FloatArray | None, spec: ArraySpec) -> FloatArray | None:
    """Return the targets [S] of the cells that were programmed, nan where there is none; None where nobody asked."""
    if not plan.programmed:
        return None
    return np.full((spec.rows, spec.cols), np.nan) if target is None else target


def _range(spec: ArraySpec, largest: float) -> float:
    """Return the least range of the converters that holds a current [A] with head-room, or their largest."""
    ranges = sorted(spec.vmm_ranges)
    return next((full for full in ranges if largest <= SHARE_OF_RANGE * full), ranges[-1])
