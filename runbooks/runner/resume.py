"""Go on with a run that ended early: the same runbook on the same chip, without what is done already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...common.errors import RefusedError, unknown
from ...common.files import read_json
from ...instruments.station.station_file import read_station
from ...protocols.keeping.data_check import refuse_lost_data
from ...protocols.keeping.journal import read_journal, step_histories
from ...protocols.keeping.journal_lines import Entry
from ...protocols.keeping.run import DATABASE, JOURNAL, Run
from ..stations import find_station
from .mock_chips import note_mocks, take_up_chips
from .plugin_grant import Ask, Files, nobody
from .record import RunRecord, begun_at, summary_numbers, versions
from .report_again import kept_record
from .reread import refuse_virgin_chip
from .run_card import RunCard, read_card
from .runner import Outcome, births, chip_id, conduct, console_for, finish, note_run, origin_of, simulations, wear_of
from .schema import Runbook

if TYPE_CHECKING:
    from rich.console import Console

    from ...instruments.chip.wear_ledger import WearLedger
    from ...instruments.station.station import Bench


def resume_run(
    directory: str | Path,
    *,
    station: str | Path | None = None,
    repeat: Sequence[str] = (),
    check: bool = False,
    quiet: bool = False,
    plugins: Files = (),
    ask: Ask = nobody,
) -> Outcome:
    """Go on with the run in ``directory``.

    Parameters
    ----------
    station : when the station file is elsewhere now; its chip must be the same
    repeat : ids of steps to do again from their beginning
    check : missed expectations make the exit code 1; so they do where the run was begun like that
    quiet : print nothing
    plugins, ask : the plug-in files the run was begun with, and whom to ask about those that are not named here

    Raises
    ------
    RefusedError
        Another chip, a changed runbook, a chip that is gone; the array was not touched.
    StorageError
        The folder cannot be read or written.
    """
    folder = Path(directory)
    card = read_card(folder)
    entries = read_journal(folder / JOURNAL)
    with console_for(quiet) as console:
        if _is_finished(entries) and not repeat:
            if console is not None:
                console.print(f"The run in {folder} is finished: there is nothing to go on with.", soft_wrap=True)
            return _finished(folder)
        card.refuse_changes(folder, entries)
        refuse_lost_data(folder / DATABASE, step_histories(entries).values())
        book = card.book(folder, plugins, ask)
        histories = step_histories(entries)
        if not repeat and all(step.id in histories and histories[step.id].done for step in book.steps):
            return _report_only(folder, card, book, entries, console)
        for step_id in repeat:
            if step_id not in [step.id for step in book.steps]:
                raise RefusedError(f"--repeat: {unknown('step id', step_id, [step.id for step in book.steps])}")
        station_file = _station_of(card, station)
        if station_file.is_file():
            take_up_chips(folder, read_station(station_file), card.seed)

        def begin(bench: Bench) -> RunRecord:
            _refuse_other_chip(card, bench, station_file)
            _refuse_copy(folder, card, entries, bench)
            if not (card.births or card.simulation) and not repeat:
                refuse_virgin_chip(folder, bench.array)
            run = Run(
                folder, title=book.title, sample=card.chip, seed=card.seed or 0, quiet=quiet, station=bench.station,
                resumed=True, thermometer=bench.thermometer,
            )  # fmt: skip
            note_run(bench, run)
            origin = origin_of(bench, station_file, card, begun=begun_at(entries))
            run.note(
                "bench_taken_up",
                station=str(station_file),
                versions=versions(),
                begun_with=card.versions,
                origin=origin,
            )
            for step_id in repeat:
                run.repeat(step_id)
            run.at_unit = note_mocks(folder, bench.file)
            if console is not None:
                _say_where(run, book, console)
            return RunRecord(book=book, run=run, origin=origin, wear=wear_of(bench))

        return conduct(book, station_file, None, begin, check=check or card.check, console=console)


def _is_finished(entries: Sequence[Entry]) -> bool:
    return any(entry["event"] == "run_done" for entry in entries[-1:])


def _finished(folder: Path) -> Outcome:
    summary_file, report = folder / "summary.json", folder / "report.html"
    summary = summary_numbers(read_json(summary_file, "summary")) if summary_file.is_file() else {}
    return Outcome(
        exit_code=0, forecasts=[], directory=folder, report=report if report.is_file() else None, summary=summary
    )


def _report_only(
    folder: Path, card: RunCard, book: Runbook, entries: Sequence[Entry], console: Console | None
) -> Outcome:
    """Finish a run of which only the report is missing: the chip is not asked for."""
    run = Run(folder, title=book.title, sample=card.chip, seed=card.seed or 0, quiet=True, resumed=True)
    return finish(kept_record(folder, card, book, entries, run=run), [], card.check, console)


def _station_of(card: RunCard, station: str | Path | None) -> Path:
    if station is not None:
        return find_station(station)
    path = Path(card.station)
    if not path.is_file():
        raise RefusedError(f"the station file {path} of this run is gone: say where it is now with --station FILE")
    return path


def _refuse_other_chip(card: RunCard, bench: Bench, station_file: Path) -> None:
    found = chip_id(bench)
    if found != card.chip:
        raise RefusedError(
            f"this run is of chip {card.chip!r}, station {station_file} has chip {found!r}: put the first one back, "
            "give the station that has it with --station FILE, or begin a new run"
        )
    told, born = simulations(bench), births(bench)
    for name, birth in card.births.items():
        if born.get(name, birth) != birth:
            raise RefusedError(
                f"the chip behind {name} is another one than this run was begun on: its birth id was {birth} and is "
                f"{born[name]}; put the first one back, or begin a new run"
            )
    for name, before in card.simulation.items():
        differences = _differences(before, told.get(name, before))
        if differences:
            raise RefusedError(
                f"the simulated chip behind {name} is another one than this run was begun on: {differences}; going on "
                "would mix two chips"
            )


def _refuse_copy(folder: Path, card: RunCard, entries: Sequence[Entry], bench: Bench) -> None:
    """Refuse a folder whose run was gone on with in another one: this one does not know what the chip has had since."""
    wear = cast("WearLedger | None", bench.wear)
    last = wear.run_session(card.run) if wear is not None and card.run else None
    if last is not None and last.session not in {str(entry.get("session")) for entry in entries}:
        raise RefusedError(
            f"this run was gone on with in {last.folder} on {last.begun} UTC, and {folder} is a copy from before: what "
            f"the chip has had since is not in it. Go on there (xbarlab resume {last.folder}), or begin a new run"
        )


def _differences(before: dict[str, Any], now: dict[str, Any]) -> str:
    keys = [key for key in before if now.get(key) != before[key]]
    return ", ".join(f"{key} was {before[key]!r} and is {now.get(key)!r}" for key in keys)


def _say_where(run: Run, book: Runbook, console: Console) -> None:
    done = [step.id for step in book.steps if run.is_done(step.id)]
    rest = [step.id for step in book.steps if step.id not in done]
    text = f"Going on with {book.title}: {len(done)} of {len(book.steps)} steps are done"
    units = len(run.history[rest[0]].units) if rest and rest[0] in run.history else 0
    if units:
        text += f", step {rest[0]!r} after {units} units of work"
    console.print(f"{text}.", soft_wrap=True)
