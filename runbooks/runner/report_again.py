"""A report written anew from what a run has kept: after the disk was full, or the style of reports has changed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError
from ...instruments.capabilities import Cost
from ...protocols.keeping.finished import FinishedStep
from ...protocols.keeping.journal import read_journal
from ...protocols.keeping.journal_lines import Entry
from ...protocols.keeping.run import JOURNAL, STATE, Run
from .finished_steps import kept_step
from .plugin_grant import Ask, Files, nobody
from .record import RunRecord, StepRecord, begun_at, readable_time
from .run_card import RunCard, read_card
from .schema import Runbook

if TYPE_CHECKING:
    from ...analysis.report.report import Section

WEAR = "wear"


def report_run(directory: str | Path, *, plugins: Files = (), ask: Ask = nobody) -> Path:
    """Write ``report.html`` and ``summary.json`` of a run anew and return the former; no bench is opened.

    Parameters
    ----------
    plugins, ask : the plug-in files the run was begun with, and whom to ask about those that are not named here

    Raises
    ------
    RefusedError
        The folder holds no run, or no step of it is done.
    StorageError
        The folder cannot be read or written.
    """
    folder = Path(directory)
    card, entries = read_card(folder), read_journal(folder / JOURNAL)
    record = kept_record(folder, card, card.book(folder, plugins, ask), entries)
    if not record.steps:
        raise RefusedError(f"no step of the run in {folder} is done: there is nothing to report")
    record.save()
    return record.write_report(how_it_ended(entries) if len(record.steps) < len(record.book.steps) else None)


def kept_record(
    folder: Path, card: RunCard, book: Runbook, entries: Sequence[Entry], *, run: Run | None = None
) -> RunRecord:
    """Return the record of a run as its sessions have left it; ``run`` where it goes on."""
    run = run if run is not None else Run.look_at(folder, title=book.title, seed=card.seed or 0)
    begun: Any = next((entry.get("origin") for entry in reversed(entries) if isinstance(entry.get("origin"), dict)), {})
    wear = FinishedStep(folder / STATE, WEAR).section()

    def told() -> Section:
        assert wear is not None
        return wear

    record = RunRecord(
        book=book,
        run=run,
        origin={
            "Date": readable_time(begun_at(entries)),
            **({str(key): str(value) for key, value in begun.items()} or {"Station": card.station, "Chip": card.chip}),
        },
        wear=told if wear is not None else None,
        seconds=run.seconds,
    )
    record.cost = sum((history.cost for history in run.history.values()), Cost())
    for step in book.steps:
        history = run.history.get(step.id)
        if history is None or not history.done:
            break
        gave = kept_step(record, step)
        record.steps.append(
            StepRecord(
                id=step.id,
                metrics=gave.metrics,
                section=gave.section,
                make_frame=gave.make_frame,
                cost=history.cost,
                seconds=round(history.seconds, 3),
            )
        )
    return record


def how_it_ended(entries: Sequence[Entry]) -> str:
    """Return what ended the last session of a run, as far as it could say so."""
    for entry in reversed(entries):
        if entry["event"] in {"run_interrupted", "run_failed"}:
            return str(entry.get("error", entry["event"]))
        if entry["event"] in {"run_started", "run_resumed"}:
            break
    return "its last session was killed, or lasts."
