"""``xbarlab twin compare``: what was measured beside what the rehearsal had predicted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...analysis.estimates.predictions import outside_by_chance, predict
from ...analysis.measurements.rehearsals import Compared
from ...common.errors import RefusedError
from ...common.files import read_json
from ...runbooks.runner.record import summary_numbers
from ...runbooks.runner.run_card import RunCard, changed_steps, read_card
from .record import Rehearsal, read_rehearsal

SUMMARY = "summary.json"
LEVEL_OF_COUNT = 0.95


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A run beside its rehearsal.

    Attributes
    ----------
    quantities : tuple of Compared
        Every metric that was predicted; ``measured`` is nan where the run has none.
    notes : tuple of str
        What one has to know to read it.
    chance, most : float
        How many metrics of a chip that is as the profile says lie outside on average, and in 95 % of cases at most.
    """

    run: Path
    rehearsal: Rehearsal
    quantities: tuple[Compared, ...]
    notes: tuple[str, ...]
    chance: float
    most: float

    @property
    def measured(self) -> tuple[Compared, ...]:
        """The metrics that the run has."""
        return tuple(one for one in self.quantities if math.isfinite(one.measured))

    @property
    def outside(self) -> tuple[Compared, ...]:
        """Those of them that are outside of their interval, the farthest first."""
        found = [one for one in self.measured if not one.prediction.holds(one.measured)]
        return tuple(sorted(found, key=lambda one: -abs(one.prediction.differs_by(one.measured))))


def compare(run: str | Path, rehearsal: str | Path, *, anyway: bool = False) -> Comparison:
    """Return what a run measured beside what was predicted.

    Parameters
    ----------
    run : folder of the run
    rehearsal : folder of the rehearsal, or its file
    anyway : also when another runbook, or one with other parameters, was rehearsed

    Raises
    ------
    RefusedError
        Bad input, another runbook or other parameters, or a rehearsal of which no draw was carried out.
    """
    folder = Path(run)
    card, told = read_card(folder), read_rehearsal(rehearsal)
    differs = _difference(card, told, folder)
    if differs and not anyway:
        raise RefusedError(f"{differs}; rehearse what was run, or compare all the same with --anyway")
    if len(told.done) < 2:
        raise RefusedError(f"of {told.draws_wanted} draws {len(told.done)} were carried out: that predicts nothing")
    if not (folder / SUMMARY).is_file():
        raise RefusedError(f"{folder} holds no {SUMMARY}: the run ended before its first step was done")
    summary = summary_numbers(read_json(folder / SUMMARY, "summary"))
    quantities = tuple(
        Compared(
            key=one.key,
            values=one.values,
            prediction=one.prediction,
            minimum=one.minimum,
            maximum=one.maximum,
            measured=summary.get(one.key, math.nan),
        )
        for one in told.predicted
    )
    values = [one.values for one in quantities if math.isfinite(one.measured)]
    counts = outside_by_chance(np.column_stack(values)).sum(axis=1) if values else np.zeros(1)
    return Comparison(
        run=folder,
        rehearsal=told,
        quantities=quantities,
        notes=tuple(_notes(card, told, summary, differs)),
        chance=float(counts.mean()),
        most=float(predict(counts, level=2.0 * LEVEL_OF_COUNT - 1.0).high),
    )


def _difference(card: RunCard, told: Rehearsal, folder: Path) -> str:
    """Return what of the run is not what was rehearsed, in a sentence; "" where it is."""
    name, steps = Path(card.runbook).stem, [step.model_dump(mode="json") for step in told.steps]
    if name != told.runbook.name and [step.step for step in card.steps] != [step.step for step in told.steps]:
        return f"the run in {folder} is of runbook {name}, the rehearsal of {told.runbook.name}"
    changes = changed_steps(card.steps, steps)
    return f"the run in {folder} is not what was rehearsed: {', '.join(changes)}" if changes else ""


def _notes(card: RunCard, told: Rehearsal, summary: dict[str, float], differs: str) -> list[str]:
    notes = [f"{differs}: what follows compares unlike things."] if differs else []
    if not differs and card.sha256 != told.runbook.sha256:
        notes.append("The runbook's text was changed between rehearsal and run; its steps are the same.")
    done, planned = summary.get("steps_done", math.nan), summary.get("steps_planned", math.nan)
    if done < planned:
        notes.append(f"The run ended early: {done:.0f} of {planned:.0f} steps were done, and its costs are of those.")
    if told.failed:
        notes.append(f"{len(told.failed)} of {len(told.draws)} draws failed and predict nothing.")
    return notes
