"""What a run leaves in its folder: summary, report and figures, also when it ends early."""

from __future__ import annotations

import getpass
import math
import os
import platform
import re
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...common.errors import RefusedError
from ...common.progress import ProgressBar
from ...instruments.abilities import Multiplies
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import Cost
from ...instruments.wire.interrupts import uninterrupted
from ...protocols.keeping.finished import FinishedStep, drawn
from ...protocols.keeping.run import STATE, Result, Run, cost_fields
from ...protocols.keeping.storage import json_text, replace_file, writing
from .analyses import sections_of
from .expectations import LEFT_OUT, RUN_KEYS, TEXTS, Expectation, is_left_out, is_reached
from .schema import Runbook

if TYPE_CHECKING:
    from pandas import DataFrame

    from ...analysis.report.report import Check, Section
    from ...analysis.report.run_tables import RunTables

OPERATOR = "XBARLAB_OPERATOR"
STAMP = "%Y-%m-%dT%H:%M:%S%z"
CELLS = "Cells"
"""Where the origin of a run says how many cells of which structure the array has."""
PACKAGES = ("xbarlab", "qcodes", "numpy")


@dataclass(kw_only=True)
class StepRecord:
    """What one step gave and cost: ``seconds`` [s] of wall clock."""

    id: str
    metrics: dict[str, float]
    section: Section | None
    make_frame: Callable[[], DataFrame | None]
    cost: Cost
    seconds: float


@dataclass(kw_only=True)
class RunRecord:
    """The numbers of a run as they come in; ``save`` may be called after every step.

    Attributes
    ----------
    origin : instruments, chip and station, for the report.
    wear : makes the report's section on what the chip has borne; ``None`` leaves it out.
    figures : whether anything is drawn: figures and the report; without them only numbers and tables are kept.
    cost : what the array was asked for since the run began, unfinished steps included.
    seconds : wall clock [s] until the bench was let go; ``None`` while it is held.
    """

    book: Runbook
    run: Run
    origin: dict[str, str]
    wear: Callable[[], Section] | None = None
    figures: bool = True
    steps: list[StepRecord] = field(default_factory=list[StepRecord])
    cost: Cost = field(default_factory=Cost)
    seconds: float | None = None

    @property
    def directory(self) -> Path:
        """The run's folder."""
        assert self.run.directory is not None
        return self.run.directory

    @property
    def summary(self) -> dict[str, float]:
        """Flat ``name: number``: the steps' metrics, then what the run cost."""
        return {
            **merge_metrics([(step.id, step.metrics) for step in self.steps]),
            **cost_fields(self.cost),
            "seconds": round(self.run.seconds if self.seconds is None else self.seconds, 3),
            "seed": self.run.seed,
            "steps_planned": len(self.book.steps),
            "steps_done": len(self.steps),
        }

    @property
    def checks(self) -> list[Check]:
        """Every expectation of the runbook against what was measured, as far as the run has come."""
        from ...analysis.report.report import Check

        summary, by_step = self.summary, {step.id: step.metrics for step in self.steps}
        ahead = self.book.steps[len(self.steps) :]
        left_out = [step.id for step in self.steps if LEFT_OUT in step.metrics]
        return [
            Check(e.key, value, e.minimum, e.maximum, is_reached(e, value, ahead))
            for e in self.book.expect
            if not is_left_out(e, self.book.steps, left_out)
            for value in (_value(e, summary, by_step),)
        ]

    @property
    def costs(self) -> dict[str, dict[str, float]]:
        """Step -> transactions, slots, pulses, chip_seconds and wall-clock seconds."""
        return {step.id: {**cost_fields(step.cost), "seconds": step.seconds} for step in self.steps}

    def save(self) -> None:
        """Write ``summary.json`` in one move, so that a reader never meets half a file."""
        summary, headline = self.summary, self.book.headline
        told = {**summary, **(headline.entries(summary) if headline is not None else {})}
        replace_file(self.directory / "summary.json", (json_text(told, indent=2) + "\n").encode())

    def write_report(self, failure: BaseException | str | None = None) -> Path:
        """Write ``figures/*.png`` and ``report.html``; after a failure, of the steps that were finished."""
        from ...analysis.report.report import write_report

        lead = f"{self.book.name}, {len(self.steps)} of {len(self.book.steps)} steps."
        if failure is not None:
            lead = f"{lead} The run ended early: {describe_failure(failure)}"
        target = self.directory / "report.html"
        if not self.figures:
            return target
        with writing(target), ProgressBar("writing the report"):
            return write_report(
                target,
                title=self.book.title,
                lead=lead,
                summary=self.summary,
                sections=self._sections(),
                checks=self.checks,
                complete=len(self.steps) == len(self.book.steps),
                provenance=self.provenance(),
                step_of={name: step.id for step in self.steps for name in step.metrics},
            )

    def drawn(self, result: Result) -> Section | None:
        """Return a step's part of the report with its figures drawn, which lie in ``figures/`` from now on."""
        if not self.figures:
            return None
        from matplotlib import pyplot

        section = drawn(result.section())
        self._save_figures(self.run.step_id, section)
        pyplot.close("all")
        return section

    def _save_figures(self, name: str, section: Section) -> None:
        from ...analysis.plots.plots import save

        folder = self.directory / "figures"
        with writing(folder):
            folder.mkdir(exist_ok=True)
            for number, (_, figure) in enumerate(section.figures, start=1):
                save(figure, folder / (f"{name}_{number}.png" if len(section.figures) > 1 else f"{name}.png"))

    def _sections(self) -> list[Section]:
        from matplotlib import pyplot

        sections = [step.section for step in self.steps if step.section is not None]
        own = {safe_name(name): section for name, section in sections_of(self.tables()).items()}
        if self.wear is not None:
            own["wear"] = drawn(self.wear())
            FinishedStep(self.directory / STATE, "wear").save_section(own["wear"])
        for name, section in own.items():
            self._save_figures(name, section)
        pyplot.close("all")
        return [*sections, *own.values()]

    def tables(self) -> RunTables:
        """Return the finished steps and the numbers, as analyses and exports take them."""
        from ...analysis.report.run_tables import RunTables, StepTable

        asked, costs = {step.id: step for step in self.book.steps}, self.costs
        steps = [
            StepTable(
                id=step.id,
                step=asked[step.id].kind.name,
                plan=asked[step.id].plan.model_dump(mode="json"),
                metrics=step.metrics,
                cost=costs[step.id],
                make_frame=step.make_frame,
            )
            for step in self.steps
        ]
        return RunTables(title=self.book.title, steps=tuple(steps), summary=self.summary)

    def provenance(self) -> dict[str, str]:
        """Return where the numbers come from: what was run on what by whom, datasets, versions."""
        datasets = [f"{run_id}: {name} ({guid})" for run_id, name, guid in dataset_ids(self.run.database)]
        return {
            "Runbook": self.book.path.name,
            **self.origin,
            "Report written": readable_time(time.strftime(STAMP)),
            "Host seed": str(self.run.seed),
            "Datasets (data.db)": "; ".join(datasets) or "none",
            **({"Station snapshot": "QCoDeS's, in data.db with every dataset"} if datasets else {}),
            "Versions": ", ".join(versions()),
        }


def ready_to_report() -> None:
    """Import what a report needs: one that an interruption cuts in two cannot be imported again."""
    with uninterrupted():
        import jinja2  # noqa: F401  # pyright: ignore[reportUnusedImport]
        import pandas  # noqa: F401  # pyright: ignore[reportUnusedImport]
        from matplotlib import pyplot  # noqa: F401  # pyright: ignore[reportUnusedImport]

        from ...analysis.plots import plots  # noqa: F401  # pyright: ignore[reportUnusedImport]
        from ...analysis.report import report  # noqa: F401  # pyright: ignore[reportUnusedImport]


def merge_metrics(steps: Sequence[tuple[str, Mapping[str, float]]]) -> dict[str, float]:
    """Return one flat dict; a name that two steps use, or the run itself, is prefixed by the step's id everywhere."""
    uses = Counter(name for _, metrics in steps for name in metrics)
    return {
        (f"{step_id}.{name}" if uses[name] > 1 or name in {*RUN_KEYS, LEFT_OUT} else name): float(value)
        for step_id, metrics in steps
        for name, value in metrics.items()
    }


def _value(expectation: Expectation, summary: Mapping[str, float], by_step: Mapping[str, Mapping[str, float]]) -> float:
    if expectation.key in summary:
        return float(summary[expectation.key])
    step_id, _, metric = expectation.key.partition(".")
    return float(by_step.get(step_id, {}).get(metric, math.nan))


def summary_numbers(told: Any) -> dict[str, float]:
    """Return the numbers that a ``summary.json`` holds; what is null there is no number."""
    if not isinstance(told, dict):
        raise RefusedError("summary.json holds no numbers by name: it was changed, or the disk is failing")
    numbers = cast("dict[str, Any]", told)
    return {name: math.nan if value is None else float(value) for name, value in numbers.items() if name not in TEXTS}


def missing_metrics(checks: Sequence[Check], summary: Mapping[str, float], step_ids: Sequence[str]) -> list[str]:
    """Return a sentence for every expectation whose metric was not measured under that name."""
    from ...common.errors import unknown

    notes: list[str] = []
    for check in checks:
        if not math.isnan(check.value) or check.metric in summary:
            continue
        prefixed = [f"{step}.{check.metric}" for step in step_ids if f"{step}.{check.metric}" in summary]
        if prefixed:
            notes.append(f"expectation {check.metric!r} is measured by several steps: write {' or '.join(prefixed)}")
        else:
            names = [name for name in summary if "_ci95_" not in name]
            notes.append(f"expectation {check.metric!r} was not measured: {unknown('metric', check.metric, names)}")
    return notes


def describe_failure(error: BaseException | str) -> str:
    """Return one line for what ended a run."""
    if isinstance(error, str):
        return error
    if isinstance(error, KeyboardInterrupt):
        return "it was interrupted."
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def operator() -> str:
    """Return who runs this: the environment variable ``XBARLAB_OPERATOR``, or the name of the account."""
    told = os.environ.get(OPERATOR, "").strip()
    if told:
        return told
    with suppress(OSError, KeyError, ImportError):
        return getpass.getuser()
    return "not said"


def begun_at(entries: Sequence[Mapping[str, Any]]) -> str:
    """Return the time of a journal's first entry, as it stands there."""
    return str(entries[0].get("time", "")) if entries else ""


def readable_time(stamp: str) -> str:
    """Return a journal's time for people: ``2026-11-29 21:15 +0000``."""
    return f"{stamp[:10]} {stamp[11:16]} {stamp[19:]}".strip()


def versions() -> list[str]:
    """Return ``name version`` of what makes the numbers."""
    found: list[str] = []
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found.append(f"{package} {version(package)}")
    return [*found, f"Python {platform.python_version()} on {platform.system()}"]


def limits_told(spec: ArraySpec) -> str:
    """Return the limits that hold for an array in words, without those of what it does not have."""
    idle = {"gate_max": spec.gate_axis is None, "vmm_volts_max": not spec.can(Multiplies)}
    return spec.limits.told(without=[name for name, unused in idle.items() if unused])


def dataset_ids(database: Path | None) -> list[tuple[int, str, str]]:
    """Return (run id, name, guid) of every dataset in a QCoDeS database, without importing QCoDeS."""
    if database is None or not database.exists():
        return []
    with closing(sqlite3.connect(database)) as connection, suppress(sqlite3.DatabaseError):
        rows = connection.execute("SELECT run_id, name, guid FROM runs ORDER BY run_id").fetchall()
        return [(int(run_id), str(name), str(guid)) for run_id, name, guid in rows]
    return []


def safe_name(text: str) -> str:
    """Return ``text`` as a file name on every system."""
    return re.sub(r"[^\w.-]+", "_", text).strip("._") or "unnamed"
