"""What forming leaves: an outcome, a voltage and a proof for every cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...instruments.block import Block
from ...instruments.capabilities import FloatArray, IVTrace
from ..measure.cell_table import cell_table

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

ALREADY, FORMED, UNFORMED, SHORTED, SKIPPED = "already formed", "formed", "unformed", "shorted", "skipped"

ALL_AT_ONCE = (
    "All unformed cells were pulsed at rising amplitude; each left the staircase once it read formed twice. "
    "A cell counts as formed only if it then completed one RESET and one SET."
)
ONE_BY_ONE = (
    "Cells were formed one after the other by {how}; each was left alone once it read formed twice. "
    "A cell counts as formed only if it then completed one RESET and one SET."
)


@dataclass(frozen=True, kw_only=True)
class FormingResult:
    """Outcome, forming voltage [V] (nan where none), conductance before and after [S], pulses, all [rows, cols].

    ``after_reset`` and ``after_set`` are those of the proof. ``disturbed`` marks cells whose conductance changed by
    ``CHANGE_RATIO`` while another cell was being formed (None where all were formed at once); ``traces`` are the ramps'
    points of every cell that had one, ``limit_acts_on`` what their compliance is of, where not of the cell alone.
    """

    block: Block
    outcome: NDArray[np.str_]
    v_form: FloatArray
    before: FloatArray
    after: FloatArray
    after_reset: FloatArray
    after_set: FloatArray
    pulses: NDArray[np.int64]
    works: NDArray[np.bool_]
    disturbed: NDArray[np.bool_] | None = None
    traces: tuple[tuple[IVTrace, ...], ...] = ()
    text: str = ALL_AT_ONCE
    limit_acts_on: str = ""

    @property
    def attempted(self) -> NDArray[np.bool_]:
        """True where forming was tried or found done."""
        return self.outcome != SKIPPED

    @property
    def frame(self) -> DataFrame:
        """One line per cell."""
        columns = {
            "outcome": self.outcome,
            "v_form_V": self.v_form,
            "before_S": self.before,
            "after_S": self.after,
            "after_reset_S": self.after_reset,
            "after_set_S": self.after_set,
            "pulses": self.pulses,
            "works": self.works,
        }
        if self.disturbed is not None:
            columns["disturbed"] = self.disturbed
        return cell_table(self.block, columns)

    def plot(self) -> Figure:
        """Return the distribution of forming voltages."""
        from ...analysis.measurements.forming_stats import forming_cdf

        before = int((self.outcome == ALREADY).sum())
        return forming_cdf(self.v_form, n_attempted=int(self.attempted.sum()) - before, n_before=before)

    def metrics(self) -> dict[str, float]:
        """Return ``formed_fraction`` and ``v_form_mean``, and ``disturbed_cells`` where neighbours were watched."""
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.forming_stats import forming_metrics

        metrics = flatten_all(forming_metrics(self.v_form, self.works, self.attempted))
        if self.disturbed is not None:
            metrics["disturbed_cells"] = float(self.disturbed.sum())
        return metrics

    def section(self) -> Section:
        """Return distribution, ramps, map and outcomes as a part of the report."""
        from pandas import DataFrame

        from ...analysis.measurements.array_maps import conductance_map
        from ...analysis.measurements.forming_stats import forming_traces
        from ...analysis.report.report import Section

        names, counts = np.unique(self.outcome, return_counts=True)
        table = DataFrame({"outcome": names, "cells": counts})
        table["share"] = [f"{count / self.outcome.size:.2%}" for count in counts]
        after = conductance_map(
            self.after, origin=(self.block.row0, self.block.col0), title="Conductance after forming"
        )
        figures = [("Cells formed at or below a given amplitude.", self.plot())]
        if self.traces:
            points = [
                (np.concatenate([piece.volts for piece in cell]), np.concatenate([piece.current for piece in cell]))
                for cell in self.traces
            ]
            figures.append(
                (
                    "The ramp of every cell; dots mark the forming voltages.",
                    forming_traces(
                        points,
                        v_form=[float(self.v_form[self._place(cell[0])]) for cell in self.traces],
                        compliance_amps=self.traces[0][0].compliance,
                        limit_acts_on=self.limit_acts_on,
                    ),
                )
            )
        figures.append(("Conductance as soon as a cell was formed.", after))
        text = self.text
        if self.disturbed is not None:
            text += f" Cells that changed while another one was being formed: {int(self.disturbed.sum())}."
        return Section("Forming", text, figures, [("Outcomes.", table)])

    def _place(self, trace: IVTrace) -> tuple[int, int]:
        return trace.row - self.block.row0, trace.col - self.block.col0

    def __repr__(self) -> str:
        return (
            f"<FormingResult {self.block}: {int(self.works.sum())} of {int(self.attempted.sum())} cells work, "
            f"mean forming voltage {np.nanmean(self.v_form) if np.isfinite(self.v_form).any() else np.nan:.3g} V>"
        )
