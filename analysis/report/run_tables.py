"""What an analysis of a whole run is given: tables and numbers, no instruments and no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, kw_only=True)
class StepTable:
    """One finished step.

    Attributes
    ----------
    id, step : str
        Its id in the runbook, and what it did.
    plan : mapping
        What it was asked with.
    metrics : mapping of str to float
    cost : mapping of str to float
        transactions, slots, pulses, chip_seconds and wall-clock seconds.
    make_frame : callable
        Makes its table, or None where the step has none.
    """

    id: str
    step: str
    plan: Mapping[str, Any]
    metrics: Mapping[str, float]
    cost: Mapping[str, float]
    make_frame: Callable[[], DataFrame | None]

    @property
    def frame(self) -> DataFrame | None:
        """Its table, a line for each cell, point or number."""
        return self.make_frame()


@dataclass(frozen=True, kw_only=True)
class RunTables:
    """The finished steps of a run, in their order, and the numbers of its summary."""

    title: str
    steps: tuple[StepTable, ...]
    summary: Mapping[str, float]
