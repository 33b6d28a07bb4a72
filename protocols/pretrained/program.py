"""Put a pretrained model onto a chip: by read–verify against what products see, and say how well it went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from torch import nn

from ...instruments.capabilities import CrossbarArray, FloatArray
from ..keeping.run import Run
from ..training.convert import Converted, Example, Lines, convert
from ..training.layers.array_weights import InputScale
from ..training.layers.weight_mapping import good_lines
from .program_plan import ProgramPlan
from .verified_rule import Verified

if TYPE_CHECKING:
    from pandas import DataFrame

_SHORT, _BAD_SHARE = 4.0, 0.05
"""A cell above so many times the highest target is a short; the share of bad cells a line may have."""


@dataclass(frozen=True)
class ProgramReport:
    """What writing did, round by round.

    Attributes
    ----------
    layers : of the floor plan; ``copies`` of each
    rounds : as of :class:`~.verified_rule.Verified`
    cells : that hold the weights
    """

    layers: tuple[str, ...]
    copies: tuple[int, ...]
    rounds: Mapping[str, FloatArray]
    cells: int

    @property
    def frame(self) -> DataFrame:
        """One line per layer: weight error after the first programming and at the end, over the size of the weights."""
        from pandas import DataFrame

        error = self.rounds["error"]
        first = error[1] if len(error) > 1 else error[0]
        return DataFrame({"layer": self.layers, "copies": self.copies, "error_first": first, "error_last": error[-1]})

    @property
    def by_round(self) -> DataFrame:
        """One line per round: cells, failures, pulses, transactions, products, bench time [s]."""
        from pandas import DataFrame

        return DataFrame({name: values for name, values in self.rounds.items() if name != "error"})

    @property
    def weight_error(self) -> float:
        """Largest weight error of a layer at the end, over the root mean square of its weights."""
        return float(self.rounds["error"][-1].max())

    @property
    def pulses_per_cell(self) -> float:
        """All pulses over cells in use."""
        return float(self.rounds["pulses"].sum()) / max(1, self.cells)

    def __str__(self) -> str:
        """Return a line for every layer, and one on what it took."""
        frame = self.frame
        lines = [
            f"  {layer}: {copies} × each weight, off by {first:.1%} after the first programming, {last:.1%} at the end "
            "(root mean square over that of the weights, as products see them)"
            for layer, copies, first, last in zip(
                self.layers, self.copies, frame["error_first"], frame["error_last"], strict=True
            )
        ]
        total = {name: values.sum() for name, values in self.rounds.items() if name != "error"}
        took = (
            f"  {total['pulses']:,.0f} pulses, {self.pulses_per_cell:.1f} per cell, {total['transactions']:,.0f} "
            f"transactions, {total['vectors']:,.0f} products; {self.rounds['failed'][0]:.0f} of "
            f"{self.rounds['cells'][0]:.0f} cells missed their window at first, {self.rounds['failed'][-2:].sum():.0f} "
            "in the last round"
        )
        return "\n".join(["programmed by read–verify against what products see:", *lines, took])


@dataclass(frozen=True)
class Programmed(Converted):
    """A pretrained model on an array; ``programming`` says how well it was written."""

    programming: ProgramReport

    def __str__(self) -> str:
        """Return both reports."""
        return f"{self.report}\n{self.programming}"


def program(
    model: nn.Module,
    array: CrossbarArray,
    plan: ProgramPlan | None = None,
    run: Run | None = None,
    *,
    range: Example | Mapping[str, float] | float | None = None,
    copies: int | Literal["fit"] = "fit",
    input_scale: InputScale = "vector",
    lines: Lines | None = None,
    **more: Any,
) -> Programmed:
    """Write the weights of a pretrained model onto an array, to what products see, and return it there.

    A copy, in conductance, of every weight is brought to where *products* see it, whatever lines, converters and the
    other cells do; columns have a scale each, which uses the whole range of the cells. ``ArrayOptimizer`` tunes what is
    returned, by the same read–verify.

    Parameters
    ----------
    plan : pulses, windows, where a cell rests and the highest, rounds of correction
    run : whose units of work the rounds are, so that a cut one goes on; its yield map says which lines are good
    range : an example of inputs, which the converters' ranges are chosen from; or as of ``convert``
    copies : of every weight, averaged; "fit": as many as find room
    lines : (rows, columns) to use; by default those without a short, and with few bad cells
    more : further arguments of ``convert``

    Raises
    ------
    RefusedError
        As ``convert`` does; before any pulse for an array that cannot multiply.
    """
    rule = Verified(plan or ProgramPlan(), Run.of(run))
    rule.check(array.spec)
    lines = lines_for(array, rule.settings, run) if lines is None else lines
    chosen: dict[str, Any] = {"scale": "column", "siemens": 1.0, "read_back": "products", **more}
    done = convert(
        model, array, rule=rule, good_lines=lines, range=range, copies=copies, input_scale=input_scale, **chosen
    )
    floor = done.report.floor
    report = ProgramReport(
        layers=tuple(one.name for one in floor.requests),
        copies=tuple(one.copies_down * one.copies_across for one in floor.requests),
        rounds={name: np.asarray(values) for name, values in rule.rounds.items()},
        cells=floor.cells,
    )
    return Programmed(done.model, done.weights, rule, done.report, report)


def lines_for(array: CrossbarArray, plan: ProgramPlan, run: Run | None = None) -> Lines:
    """Return the rows without a short and with few bad cells, and the columns: driven, a short takes its row down.

    Shorts are looked for by one read, other bad cells are those of the run's yield map, or of the chip file.
    """
    healthy = Run.of(run).chip.healthy_of(array)
    shorted = array.read(array.spec.whole).conductance > _SHORT * plan.levels.high
    return good_lines(healthy & ~shorted, bad_share=_BAD_SHARE, shorted=shorted, parts=array.spec.parts)
