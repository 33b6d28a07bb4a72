"""Program ramps that have the shape of a function's inverse, again and again, and measure how true their codes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pydantic import Field

from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..measure.read_array import map_axes
from ..plan import Forecast, Plan, with_intervals
from .ramp_plan import Bits, PlacedRamp, RampCellsPlan, program_ramps, room_for, target_map

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.networks.ramp_adc import CodeErrors, RampDesign
    from ...analysis.report.report import Section

_SHARES = {"inl": "largest_inl", "dnl": "largest_dnl"}


class RampAdcPlan(Plan):
    """Ramps of one function at several bits, programmed into as many places as the array has."""

    function: Literal["sigmoid", "tanh", "softsign", "points"] = Field(
        default="sigmoid", description="what the codes stand for; 'points': a monotonic function of one's own"
    )
    points: tuple[tuple[float, float], ...] = Field(
        default=(), description="[input, output] of a function of one's own, joined smoothly"
    )
    inputs: tuple[float, float] | None = Field(
        default=None, description="inputs that the codes cover; by default the function's own, or from point to point"
    )
    bits: Bits = Field(default=(3, 4, 5), min_length=1, description="resolutions, of 3, 4 and 5, one ramp each")
    amps: float = Field(default=14e-6, gt=0, description="current of an input of 1 [A]")
    programmings: int = Field(default=100, ge=2, description="ramps of each resolution that are programmed, at least")
    copies_max: int = Field(default=64, ge=1, description="ramps of each resolution at once, at most")
    average: int = Field(default=64, ge=1, description="conversions per cell when thresholds are measured")
    settle: float = Field(default=10.0, ge=0, description="wait before thresholds are measured [s]")
    program: RampCellsPlan = Field(default=RampCellsPlan(), description="how the cells are programmed")

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        names = [f"ramp_{what}_{when}_{n}bit" for what in _SHARES for when in ("before", "after") for n in self.bits]
        true = [f"ramp_true_{n}bit" for n in self.bits]
        return with_intervals(*names, *true) | {"ramp_programmings", "ramp_cells", "ramp_pulses_per_cell"}

    def designs(self) -> list[RampDesign]:
        """Return the ramps, one for each resolution."""
        from ...analysis.networks.ramp_adc import activation, ramp_design

        function = activation(self.function, self.inputs, self.points)
        return [ramp_design(function, n) for n in self.bits]

    def check(self, spec: ArraySpec) -> None:
        """Refuse a function that is not monotonic, and ramps that this array cannot make."""
        designs = self.designs()
        self.program.check(spec)
        spec.check_average(self.average, channel="ramp_adc.average")
        self.program.check_ramps(spec, designs, self.amps)
        if not room_for(spec.healthy_mask(spec.whole), [one.steps for one in designs], 1):
            raise RefusedError(
                f"ramps of {', '.join(str(one.steps) for one in designs)} cells below each other find no room on "
                f"{spec.rows} × {spec.cols} cells: fewer bits"
            )

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell uses up its pulses."""
        cells = sum(one.steps for one in self.designs())
        copies = min(self.copies_max, self.programmings)
        turns = -(-self.programmings // copies)
        one = self.program.forecast(spec)
        pulses = self.programmings * cells * (self.program.pulses_max + 1)
        looks = 2 * self.programmings * cells * (self.average + 1) * spec.read_slot_seconds
        return Forecast(copies * cells, one.volts_max, pulses, turns * (one.seconds + self.settle) + looks)


@dataclass(frozen=True, kw_only=True)
class RampAdcResult:
    """Thresholds of ramps as inputs, [ramps, codes − 1] for each design, before and after one-point calibration.

    ``accepted`` is the share of all cells that programming accepted; every ramp is in the figures all the same.
    """

    designs: list[RampDesign]
    before: list[FloatArray]
    after: list[FloatArray]
    accepted: float
    pulses: float
    programmed: int

    def _errors(self, n: int) -> dict[str, CodeErrors]:
        from ...analysis.networks.ramp_adc import code_errors

        return {
            "before": code_errors(self.designs[n], self.before[n]), "after": code_errors(self.designs[n], self.after[n])
        }  # fmt: skip

    @property
    def frame(self) -> DataFrame:
        """One line per ramp: bits, largest |INL| and |DNL| before and after calibration [LSB]."""
        from pandas import DataFrame, concat

        parts: list[DataFrame] = []
        for n, one in enumerate(self.designs):
            before, after = self._errors(n).values()
            parts.append(
                DataFrame(
                    {
                        "bits": one.bits,
                        "inl_before": before.largest_inl, "inl_after": after.largest_inl,
                        "dnl_before": before.largest_dnl, "dnl_after": after.largest_dnl,
                    }
                )
            )  # fmt: skip
        return concat(parts, ignore_index=True)

    def plot(self) -> Figure:
        """Return staircase and errors of the finest resolution."""
        return self._figure(int(np.argmax([one.bits for one in self.designs])))

    def _figure(self, n: int) -> Figure:
        from ...analysis.networks.ramp_adc import ramp_figure

        return ramp_figure(self.designs[n], self.before[n], self.after[n])

    def metrics(self) -> dict[str, float]:
        """Return errors of the codes, as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten, fraction_estimate, median_estimate

        found: dict[str, float] = {}
        for n, one in enumerate(self.designs):
            errors = self._errors(n)
            for when, of in errors.items():
                for what, name in _SHARES.items():
                    found |= flatten(f"ramp_{what}_{when}_{one.bits}bit", median_estimate(getattr(of, name)))
            true = errors["after"].largest_inl <= 1.0
            found |= flatten(f"ramp_true_{one.bits}bit", fraction_estimate(int(true.sum()), true.size))
        return {
            **found,
            "ramp_programmings": float(len(self.before[0])),
            "ramp_cells": float(sum(one.steps for one in self.designs)),
            "ramp_pulses_per_cell": self.pulses / max(1, self.programmed),
        }

    def section(self) -> Section:
        """Return errors of all resolutions as a part of the report."""
        from pandas import DataFrame

        from ...analysis.report.report import Section

        m = self.metrics()
        name = self.designs[0].function.name
        finest = max(one.bits for one in self.designs)
        table = DataFrame(
            [
                {
                    "bits": one.bits, "cells": one.steps,
                    **{
                        f"largest |{what.upper()}| {when} (LSB)": f"{m[f'ramp_{what}_{when}_{one.bits}bit']:.3g}"
                        for what in _SHARES for when in ("before", "after")
                    },
                    "ramps within 1 LSB": f"{m[f'ramp_true_{one.bits}bit']:.1%}",
                }
                for one in self.designs
            ]
        )  # fmt: skip
        text = (
            f"{int(m['ramp_programmings'])} ramps of each resolution, {self.accepted:.1%} of their cells accepted by "
            f"read–verify; all are in these figures. At {finest} bits the largest |INL| of a ramp is "
            f"{m[f'ramp_inl_before_{finest}bit']:.2f} LSB before and {m[f'ramp_inl_after_{finest}bit']:.2f} LSB after "
            "one-point calibration (medians). INL is taken where codes change, in LSB of the output, from where they "
            "should change; nothing is fitted or taken off."
        )
        figures = [
            (f"{one.bits} bits: the staircases of 20 ramps after calibration, INL and DNL.", self._figure(n))
            for n, one in enumerate(self.designs)
        ]
        return Section(f"Ramps of cells: {name}", text, figures, [("Medians over ramps.", table)])

    def __repr__(self) -> str:
        return f"<RampAdcResult {self.designs[0].function.name}, {len(self.before[0])} ramps of each resolution>"


def ramp_adc(array: CrossbarArray, plan: RampAdcPlan, run: Run | None = None) -> RampAdcResult:
    """Program ramps and measure their thresholds; a unit of work is one programming of all places."""
    plan.check(array.spec)
    keep, designs, cells = Run.of(run), plan.designs(), plan.program
    low, high = cells.levels.low, cells.levels.high
    healthy = keep.chip.healthy_of(array) & array.spec.healthy_mask(array.spec.whole)
    sets = room_for(healthy, [one.steps for one in designs], min(plan.copies_max, plan.programmings))
    if not sets:
        raise RefusedError("the healthy cells of this chip's yield map hold no ramp: fewer bits, or another chip")
    ramps = [
        [PlacedRamp.at(one, spots[n], high=high, amps=plan.amps) for spots in sets] for n, one in enumerate(designs)
    ]
    target = target_map((array.spec.rows, array.spec.cols), [ramp for row in ramps for ramp in row], low, high)
    turns = -(-plan.programmings // len(sets))
    axes = [Axis("cycle", "Programming"), *map_axes(array.spec.whole)]
    variables = [Variable("conductance", "Conductance", "S"), Variable("target", "Target", "S")]
    with keep.work("ramps", axes, variables, {"function": plan.function}, label="programmings", total=turns) as work:
        for turn in range(turns):
            if not work.begin(f"programming {turn}"):
                continue
            done = program_ramps(array, cells, target, erase=True)
            array.clock.wait(plan.settle)
            pieces: dict[str, FloatArray] = {
                "pulses": np.array(float(done.pulses)), "accepted": np.array(done.accepted)
            }  # fmt: skip
            for n, row in enumerate(ramps):
                before = [one.inputs(array, plan.average) for one in row]
                moved = [one.calibrated(seen) for one, seen in zip(row, before, strict=True)]
                pieces |= {
                    f"before {n}": np.array(before),
                    f"after {n}": np.array([one.inputs(array, plan.average) for one in moved]),
                }
            work.add({"cycle": turn}, conductance=done.conductance, target=target)
            work.done(f"{len(sets)} ramps of each resolution", turn + 1, **pieces)
        before, after = (
            [np.concatenate(work.pieces(f"{when} {n}")) for n in range(len(designs))] for when in ("before", "after")
        )
        pulses, accepted = float(np.sum(work.pieces("pulses"))), float(np.mean(work.pieces("accepted")))
    return RampAdcResult(
        designs=designs, before=before, after=after, accepted=accepted, pulses=pulses,
        programmed=turns * int(np.isfinite(target).sum()),
    )  # fmt: skip
