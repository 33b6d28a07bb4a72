"""Which steps of a run an export is made of, and their tables as the analyses take them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import Floats
from ..measurements.pulse_response import Trains
from ..report.run_tables import RunTables, StepTable

if TYPE_CHECKING:
    from pandas import DataFrame


NOT_ATTEMPTED = "not attempted"


@dataclass
class Sources:
    """Takes the steps of a run by what they do, and remembers in sentences what there was not."""

    run: RunTables
    left_out: list[str] = field(default_factory=list[str])

    def take(self, kind: str, gives: str) -> tuple[StepTable, DataFrame] | None:
        """Return the last step of a kind with its table; where there is none, note that ``gives`` is left out."""
        found = [step for step in self.run.steps if step.step == kind]
        for step in reversed(found):
            frame = step.frame
            if frame is not None and len(frame):
                if len(found) > 1:
                    self.left_out.append(f"of {len(found)} steps {kind} the last one with a table is used: {step.id}")
                return step, frame
        why = f"step {found[-1].id!r} of this run kept no table" if found else "this run has none"
        self.left_out.append(f"{gives} is left out: a step {kind} would give it, and {why}")
        return None


def column(frame: DataFrame, name: str) -> Floats:
    """Return a column as numbers."""
    return np.asarray(frame[name], dtype=np.float64)


def rows(frame: DataFrame, keep: NDArray[np.bool_]) -> DataFrame:
    """Return some lines of a table."""
    return frame.iloc[np.flatnonzero(keep)]


def programming_errors(frame: DataFrame) -> tuple[Floats, Floats]:
    """Return target and G − target on the late re-read [S] of the healthy cells that read–verify was tried on."""
    target, later = column(frame, "target_S"), column(frame, "later_S")
    tried = np.asarray(frame["verdict"], dtype=str) != NOT_ATTEMPTED
    good = np.asarray(frame["healthy"], dtype=bool) & tried & np.isfinite(target) & np.isfinite(later)
    return target[good], (later - target)[good]


def trains_of(frame: DataFrame) -> Trains:
    """Return the table of a pulse response, a line per reading, as trains [cells, cycles, 2, points].

    Raises
    ------
    ValueError
        The trains are not all read at the same pulses.
    """
    ordered = frame.sort_values(["row", "col", "cycle", "pulse"], kind="stable")
    counts = np.unique(np.asarray(ordered["pulse"], dtype=np.int64))
    cells = len(ordered[["row", "col"]].drop_duplicates())
    cycles = np.unique(column(ordered, "cycle")).size
    per_train = (counts.size + 1) // 2
    g = column(ordered, "conductance_S")
    whole = counts.size % 2 == 1 and g.size == cells * cycles * counts.size
    if not whole or 2 * counts[per_train - 1] != counts[-1]:
        raise ValueError("its trains are not all read after the same pulses")
    g = g.reshape(cells, cycles, counts.size)
    return Trains(counts[:per_train], np.stack([g[..., :per_train], g[..., per_train - 1 :]], axis=2))
