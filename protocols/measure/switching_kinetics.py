"""Switching kinetics: single pulses of every amplitude and width of a grid, each from the same band of conductance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...analysis.measurements.kinetics import KineticsGrid
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, check_pulse, with_intervals
from .read_array import map_axes
from .switching import BandPlan, bring_into

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

Amplitudes = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(max_length=60)]


class KineticsPlan(Plan):
    """One pulse at every amplitude and width, SETs from one band and RESETs from another, in random order."""

    cells: str = Field(default="0:4,0:8", description="rows,cols like '0:8,0:8', or 'all'")
    set_volts: Amplitudes = Field(
        default=(0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.1, 1.2),
        description="amplitudes of the SETs, none to leave them out [V]",
    )
    set_gate: float = Field(default=1.6, ge=0, description="gate of the SETs [V], where there are gates")
    reset_volts: Amplitudes = Field(
        default=(0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8), description="magnitudes of the RESETs, none to leave them out [V]"
    )
    reset_gate: float = Field(default=5.0, ge=0, description="gate of the RESETs [V], where there are gates")
    shortest: float = Field(default=100e-9, gt=0, description="shortest pulse [s]")
    longest: float = Field(default=1e-3, gt=0, description="longest pulse [s]")
    per_decade: int = Field(default=1, ge=1, le=10, description="widths per decade")
    repeats: int = Field(default=1, ge=1, le=100, description="pulses of every amplitude and width")
    factor: float = Field(default=2.0, gt=1, description="a cell has switched when G changed by this factor")
    set_from: BandPlan = Field(default=BandPlan(low=2e-6, high=15e-6), description="band that every SET starts from")
    reset_from: BandPlan = Field(
        default=BandPlan(low=70e-6, high=150e-6), description="band that every RESET starts from"
    )
    fresh: bool = Field(
        default=True,
        description="begin every point with a full SET and come down to the band, or a full RESET and come up",
    )
    average: int = Field(default=8, ge=1, description="conversions per cell and read")
    scheme: str | None = Field(default=None, description="bias scheme of the pulses; the array's own by default")

    @model_validator(mode="after")
    def _something(self) -> KineticsPlan:
        if not self.set_volts and not self.reset_volts:
            raise ValueError("set_volts and reset_volts are both empty: give amplitudes for one of them at least")
        if self.longest < self.shortest:
            raise ValueError(f"longest {self.longest:g} s is below shortest {self.shortest:g} s")
        return self

    @property
    def widths(self) -> FloatArray:
        """Widths [s], evenly spaced on a logarithmic axis."""
        points = round(np.log10(self.longest / self.shortest) * self.per_decade) + 1
        return np.geomspace(self.shortest, self.longest, max(points, 1 + (self.longest > self.shortest)))

    def sides(self) -> list[tuple[int, FloatArray, float, BandPlan]]:
        """Return sign, magnitudes [V] rising, gate [V] and band of each polarity that has amplitudes."""
        both = (
            (+1, self.set_volts, self.set_gate, self.set_from),
            (-1, self.reset_volts, self.reset_gate, self.reset_from),
        )
        return [(sign, np.unique(volts), gate, band) for sign, volts, gate, band in both if volts]

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        names = [f"{'set' if sign > 0 else 'reset'}_volts_{what}" for sign, *_ in self.sides() for what in _WHAT]
        return with_intervals(*names) | {"kinetics_out_of_band_fraction"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses beyond the limits, and a scheme this array lacks."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="switching_kinetics")
        for sign, volts, gate, band in self.sides():
            name = "set" if sign > 0 else "reset"
            for width in (self.shortest, self.longest):
                check_pulse(
                    spec, volts=sign * float(volts[-1]), width=width, gate=gate, channel=f"switching_kinetics.{name}"
                )
            band.check(spec, channel=f"switching_kinetics.{name}_from")
            top = float(volts[-1])
            spec.limits.check_pulses(
                top if sign > 0 else -top, self.longest, channel=f"switching_kinetics.{name} ", edge=spec.edge
            )

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell takes all attempts to reach its band."""
        block = Block.parse(self.cells, spec)
        seconds = pulses = 0.0
        swings = int(self.fresh)
        for _, volts, _, band in self.sides():
            points = self.repeats * len(volts) * len(self.widths)
            pulses += points * block.size * (1 + swings + band.attempts)
            reads = 2 * spec.read_seconds(block, self.average)
            seconds += points * (band.seconds(spec, block) + swings * spec.pulse_seconds(block, band.width) + reads)
            seconds += self.repeats * len(volts) * sum(spec.pulse_seconds(block, float(w)) for w in self.widths)
        largest = max(max(float(volts[-1]), band.volts_max) for _, volts, _, band in self.sides())
        return Forecast(block.size, largest, pulses, seconds)


_WHAT = ("1us", "per_decade")


@dataclass(frozen=True, kw_only=True)
class KineticsResult:
    """One grid per polarity; ``cells`` as (row, col)."""

    cells: list[tuple[int, int]]
    grids: tuple[KineticsGrid, ...]
    plan: KineticsPlan

    @property
    def frame(self) -> DataFrame:
        """One line per pulse and cell: row, col, signed volts [V], width [s], repeat, G before and after [S]."""
        from pandas import DataFrame, concat

        where = np.asarray(self.cells)
        parts: list[DataFrame] = []
        for grid in self.grids:
            repeat, amplitude, width, cell = np.indices(grid.before.shape).reshape(4, -1)
            parts.append(
                DataFrame(
                    {
                        "row": where[cell, 0],
                        "col": where[cell, 1],
                        "volts_V": grid.sign * grid.volts[amplitude],
                        "width_s": grid.width[width],
                        "repeat": repeat,
                        "before_S": grid.before.ravel(),
                        "after_S": grid.after.ravel(),
                    }
                )
            )
        return concat(parts, ignore_index=True)

    def plot(self) -> Figure:
        """Return the voltage–time map with the fitted boundary."""
        from ...analysis.measurements.kinetics import voltage_time_map

        return voltage_time_map(self.grids, self.plan.factor)

    @cached_property
    def _numbers(self) -> dict[str, float]:
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.kinetics import kinetics_metrics, out_of_band_fraction

        found = flatten_all(kinetics_metrics(self.grids, self.plan.factor))
        return {**found, "kinetics_out_of_band_fraction": out_of_band_fraction(self.grids)}

    def metrics(self) -> dict[str, float]:
        """Return voltages at 1 µs and per decade of width, and the share of points left out."""
        return dict(self._numbers)

    def section(self) -> Section:
        """Return the map and the changes with their intervals as a part of the report."""
        from ...analysis.measurements.kinetics import kinetics_table
        from ...analysis.quantities import format_value
        from ...analysis.report.report import Section

        said: list[str] = []
        for grid in self.grids:
            boundary = grid.boundary(self.plan.factor)
            if boundary.reason:
                said.append(f"{grid.name}: no boundary, {boundary.reason}.")
                continue
            volts, slope = (format_value(x.value, "V", 3) for x in (boundary.volts, boundary.per_decade))
            said.append(
                f"{grid.name}: half of the cells switch at {volts} in 1 µs and need {slope} less per decade of width; "
                f"cells and pulses together spread by {format_value(boundary.spread, 'V', 2)}."
            )
        plan = self.plan
        bands = [f"{band.low * 1e6:g} to {band.high * 1e6:g} µS" for band in (plan.set_from, plan.reset_from)]
        text = (
            f"{len(self.cells)} cells, single pulses of {plan.widths[0]:g} to {plan.widths[-1]:g} s in random order; "
            f"before each every cell was {'switched fully and ' if plan.fresh else ''}brought back to its band (SET "
            f"from {bands[0]}, RESET from {bands[1]}). A cell has switched when its conductance changed by a factor of "
            f"{plan.factor:g}. {' '.join(said)} Points for which a cell did not reach its band: "
            f"{self._numbers['kinetics_out_of_band_fraction']:.1%}; they are left out."
        )
        caption = "Median change of single pulses; the line is where half of the cells switch."
        return Section(
            "Switching kinetics", text, [(caption, self.plot())], [("Point by point.", kinetics_table(self.grids))]
        )

    def __repr__(self) -> str:
        slopes = ", ".join(
            f"{grid.name} {1e3 * self._numbers[f'{grid.name.lower()}_volts_per_decade']:.0f} mV/decade"
            for grid in self.grids
        )
        return f"<KineticsResult {len(self.cells)} cells: {slopes}>"


def switching_kinetics(array: CrossbarArray, plan: KineticsPlan, run: Run | None = None) -> KineticsResult:
    """Give every cell of a block single pulses of every amplitude and width, each from the same band.

    A unit of work is one pulse of all cells with what brings them into the band before it; one that may have been cut
    is done again. The order is random, so that what ageing does falls on no amplitude and no width.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    mask = array.spec.healthy_mask(block) & keep.chip.healthy_of(array)[block.slices]
    if not mask.any():
        raise RefusedError(f"switching_kinetics: all cells of {block} are known to be bad: choose others")
    widths, sides = plan.widths, plan.sides()
    points = [
        (side, amplitude, width, repeat)
        for side, (_, volts, _, _) in enumerate(sides)
        for repeat in range(plan.repeats)
        for amplitude in range(len(volts))
        for width in range(len(widths))
    ]
    axes = [Axis("volts", "Amplitude", "V"), Axis("width", "Width", "s"), Axis("repeat", "Repeat"), *map_axes(block)]
    variables = [Variable("before", "Conductance before", "S"), Variable("after", "Conductance after", "S")]

    def one(sign: int, volts: float, gate: float, width: float, band: BandPlan) -> tuple[FloatArray, FloatArray]:
        ready = bring_into(array, block, mask, band, plan.scheme, swing=sign if plan.fresh else 0)
        before = array.read(block, average=plan.average).conductance
        ready &= before > 0.0
        array.pulse(
            PulseMap(
                block=block, volts=sign * volts, width=width, gate=array.spec.pulse_gate(gate),
                count=ready.astype(np.int64), scheme=plan.scheme,
            )
        )  # fmt: skip
        after = array.read(block, average=plan.average).conductance
        return np.where(ready, before, np.nan), np.where(ready, after, np.nan)

    def unit(side: int, amplitude: int, width: int, repeat: int) -> str:
        return f"{'set' if sides[side][0] > 0 else 'reset'} amplitude {amplitude} width {width} repeat {repeat}"

    order = keep.rng("order").permutation(len(points)).tolist()
    with keep.work("switching_kinetics", axes, variables, label="pulses", total=len(points), drawn=False) as work:
        for number in order:
            point = points[number]
            if not work.begin(unit(*point)):
                continue
            (sign, volts, gate, band), width = sides[point[0]], float(widths[point[2]])
            before, after = one(sign, float(volts[point[1]]), gate, width, band)
            where = {"volts": sign * float(volts[point[1]]), "width": width, "repeat": point[3]}
            work.add(where, before=before, after=after)
            work.done(f"{where['volts']:+.3g} V, {width:.3g} s", before=before, after=after)
        grids = tuple(
            KineticsGrid(
                sign,
                volts,
                widths,
                *(_gathered(work.piece, unit, plan, side, len(volts), mask, name) for name in ("before", "after")),
            )
            for side, (sign, volts, _, _) in enumerate(sides)
        )
    cells = block.where(mask)
    return KineticsResult(cells=cells, grids=grids, plan=plan)


def _gathered(
    piece: Callable[[str, str], NDArray[np.float64]],
    unit: Callable[[int, int, int, int], str],
    plan: KineticsPlan,
    side: int,
    amplitudes: int,
    mask: NDArray[np.bool_],
    name: str,
) -> FloatArray:
    """Return what all units of one polarity measured, [repeats, amplitudes, widths, cells]."""
    return np.array(
        [
            [[piece(unit(side, a, w, repeat), name)[mask] for w in range(len(plan.widths))] for a in range(amplitudes)]
            for repeat in range(plan.repeats)
        ]
    )
