"""``rehearsal.json``: what was rehearsed on which chip, and what every draw gave."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from ...analysis.estimates.estimates import Estimate, fraction_estimate
from ...analysis.estimates.predictions import predict
from ...analysis.measurements.rehearsals import Predicted
from ...analysis.quantities import COUNT, describe
from ...common.errors import RefusedError
from ...common.files import read_json
from ...common.records import read_record
from ...protocols.keeping.storage import json_text, replace_file
from ...runbooks.runner.run_card import CardStep

RECORD = "rehearsal.json"
FORMAT = "xbarlab-rehearsal/1"
NOT_PREDICTED = frozenset({"seconds", "seed", "steps_planned", "steps_done"})
"""Keys of a summary that say nothing of the chip."""


COUNTED = ("pulses", "transactions")
"""Costs among the keys of a summary."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RehearsedRunbook(_Part):
    """Which runbook, and with which values of its own; ``sha256`` is of its text."""

    name: str
    title: str
    sha256: str
    preset: str = ""
    overrides: tuple[str, ...] = ()


class RehearsedChip(_Part):
    """Which profile (``sha256`` of its file), and which of its numbers were drawn; none for one without posterior."""

    name: str
    file: str
    sha256: str
    drawn: tuple[str, ...] = ()


class Expected(_Part):
    """An expectation of the runbook."""

    key: str
    minimum: float | None = None
    maximum: float | None = None


class Wear(_Part):
    """What the chip bore: the cell with most pulses, and the most of any cell; stress is the largest voltage [V]."""

    worst_cell: tuple[int, int]
    pulses_max: float
    cycles_max: float
    sweeps_max: float
    set_stress_max: float
    reset_stress_max: float


class Draw(_Part):
    """One draw.

    Attributes
    ----------
    number, seed : int
        From 1 on; seed of chip and host.
    chip : dict
        Number of the profile → its value on this chip, in SI units.
    metrics : dict
        The run's summary; None where it has no number.
    bench_seconds : float [s]
        Time that passed on the simulated bench.
    wear : Wear, optional
    missed : tuple of str
        Expectations that were missed.
    failure : str
        What ended the run; "" where it was carried out. Then all the rest is unknown.
    """

    number: int
    seed: int
    chip: dict[str, float] = Field(default_factory=dict)
    metrics: dict[str, float | None] = Field(default_factory=dict)
    bench_seconds: float = 0.0
    wear: Wear | None = None
    missed: tuple[str, ...] = ()
    failure: str = ""


class Rehearsal(_Part):
    """A whole rehearsal.

    Attributes
    ----------
    steps : list of CardStep
        The runbook's steps with all their parameters.
    seed : int
        From which those of the draws follow.
    draws_wanted : int
        More than there are where it was interrupted.
    """

    format: Literal["xbarlab-rehearsal/1"] = FORMAT
    made: str
    runbook: RehearsedRunbook
    steps: list[CardStep]
    expect: list[Expected]
    chip: RehearsedChip
    station: str
    seed: int
    draws_wanted: int
    draws: list[Draw]
    versions: list[str] = Field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write ``rehearsal.json`` into a folder and return its path."""
        path = folder / RECORD
        replace_file(path, (json_text(self.model_dump(mode="json"), indent=1) + "\n").encode())
        return path

    @property
    def done(self) -> list[Draw]:
        """The draws that were carried out."""
        return [draw for draw in self.draws if not draw.failure]

    @property
    def failed(self) -> list[Draw]:
        """The draws that were not."""
        return [draw for draw in self.draws if draw.failure]

    def values(self, key: str) -> NDArray[np.float64]:
        """Return a metric of every draw that was carried out; nan where it has none."""
        found = (draw.metrics.get(key) for draw in self.done)
        return np.array([math.nan if value is None else value for value in found], dtype=np.float64)

    @property
    def predicted(self) -> list[Predicted]:
        """Every metric that any draw has, in the order of the summary, with what is expected of it."""
        keys = dict.fromkeys(key for draw in self.done for key in draw.metrics)
        limits, chances = {one.key: one for one in self.expect}, self.chances
        found: list[Predicted] = []
        for key in keys:
            if describe(key).bound or key in NOT_PREDICTED:
                continue
            values, limit = self.values(key), limits.get(key)
            prediction = predict(values)
            if prediction.n:
                found.append(
                    Predicted(
                        key=key,
                        values=values,
                        prediction=prediction,
                        minimum=limit.minimum if limit else None,
                        maximum=limit.maximum if limit else None,
                        chance=chances.get(key),
                    )
                )
        return found

    @property
    def costs(self) -> list[Predicted]:
        """What it costs beside what a summary says: bench time, and what the worst cell bears."""
        told = {
            "bench time": ("s", [draw.bench_seconds for draw in self.done]),
            "pulses of the worst cell": (COUNT, [draw.wear.pulses_max for draw in self.done if draw.wear]),
            "cycles of the worst cell": (COUNT, [draw.wear.cycles_max for draw in self.done if draw.wear]),
        }
        return [
            Predicted(key=key, values=np.array(values, dtype=np.float64), prediction=predict(values), unit=unit)
            for key, (unit, values) in told.items()
            if values
        ]

    @property
    def shown(self) -> list[Predicted]:
        """All that is drawn: costs first, then every other metric."""
        counted = [one for one in self.predicted if one.key in COUNTED]
        return [*self.costs, *counted, *(one for one in self.predicted if one.key not in COUNTED)]

    @property
    def chances(self) -> dict[str, Estimate]:
        """By expectation, the chance that it is missed, with its 95 % binomial (Wilson) interval."""
        done = self.done
        return {
            one.key: fraction_estimate(sum(one.key in draw.missed for draw in done), len(done)) for one in self.expect
        }


def read_rehearsal(place: str | Path) -> Rehearsal:
    """Return the rehearsal in a folder, or in its file.

    Raises
    ------
    RefusedError
        There is none, of a format we do not read, or it was changed.
    """
    path = Path(place)
    path = path / RECORD if path.is_dir() else path
    if not path.is_file():
        raise RefusedError(f"there is no rehearsal {path}: xbarlab twin rehearse writes a folder with {RECORD}")
    told: Any = read_json(path, "rehearsal")
    if not isinstance(told, dict):
        raise RefusedError(f"{path} is no rehearsal: it was changed, or the disk is failing")
    found = cast("dict[str, Any]", told)
    if found.get("format") != FORMAT:
        raise RefusedError(f"{path} is of format {found.get('format')!r}, this xbarlab reads {FORMAT}: rehearse anew")
    return read_record(Rehearsal, found, where=str(path))
