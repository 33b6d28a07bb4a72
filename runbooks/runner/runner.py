"""Carries out a runbook: validate everything, then act, and keep what was learnt however it ends."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...common.errors import RefusedError
from ...common.progress import ProgressBar, silent
from ...instruments.capabilities import Cost, CrossbarArray
from ...protocols.keeping.journal import StepHistory
from ...protocols.keeping.run import Run, claim_folder
from ...protocols.keeping.storage import StorageError
from ...protocols.plan import Forecast
from ..stations import open_bench
from .ending import interrupts_caught, nothing_interrupts
from .finished_steps import finished_step, given, left_out
from .mock_chips import note_mocks
from .parameters import Overrides
from .plugin_grant import Ask, Files, nobody
from .record import (
    CELLS,
    STAMP,
    RunRecord,
    StepRecord,
    describe_failure,
    limits_told,
    missing_metrics,
    operator,
    readable_time,
    ready_to_report,
    safe_name,
)
from .run_card import RunCard, card_of
from .schema import Runbook, load_runbook
from .step import forecast_steps, known_steps

if TYPE_CHECKING:
    from rich.console import Console

    from ...analysis.report.report import Check, Section
    from ...instruments.station.station import Bench

EXPECTATION_FAILED = 1


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a run ended.

    Attributes
    ----------
    exit_code : 0, or 1 when an expectation was missed and ``check`` was asked for.
    directory, report : where everything is; ``None`` after a dry run.
    forecasts : (id, step, forecast) of every step.
    """

    exit_code: int
    forecasts: list[tuple[str, str, Forecast]]
    directory: Path | None = None
    report: Path | None = None
    summary: dict[str, float] = field(default_factory=dict[str, float])
    checks: list[Check] = field(default_factory=list["Check"])


def run_runbook(
    runbook: str | Path | Runbook,
    *,
    station: str | Path | None = None,
    out: str | Path | None = None,
    seed: int | None = None,
    check: bool = False,
    dry_run: bool = False,
    preset: str = "",
    overrides: Overrides = (),
    quiet: bool = False,
    new_chip: bool = False,
    plugins: Files = (),
    ask: Ask = nobody,
) -> Outcome:
    """Run a runbook on a bench and write its folder.

    Parameters
    ----------
    runbook : path, name of a shipped one, or an already loaded one (``overrides`` must then be empty)
    station : station file or shipped station; the runbook's own by default
    out : folder for the results; ``runs/<runbook>-<time>`` by default; one that holds data is refused
    seed : seeds the host's choices and, for a mock in this process, its chip. ``None``: host 0, and the chip as it is.
    check : missed expectations make the exit code 1
    dry_run : print what would be done; only identity and capability are asked for
    preset : name of a preset of the runbook, "" for none
    overrides : ``{"id.key": value}`` or ``["id.key=value"]``
    quiet : print nothing
    new_chip : set a simulated chip that lives in a state file aside, and begin with a new one
    plugins : plug-in files to run before the runbook is read; it may name some of them
    ask : whom to ask before a plug-in is run that only the runbook names; refused where nobody can be asked

    Raises
    ------
    RefusedError
        Bad input; nothing has acted on the chip.
    InstrumentError, ConnectionLostError
        The bench failed; the folder holds what was measured until then.
    """
    book = _loaded(runbook, overrides, preset, plugins, ask)
    station_file = book.station_file(station)
    with console_for(quiet) as console:
        if dry_run:
            return _rehearse(book, station_file, seed, console)
        folder = Path(out) if out is not None else new_folder(book.name)
        claim_folder(folder)

        def begin(bench: Bench) -> RunRecord:
            chip = chip_id(bench)
            run = Run(
                folder, title=book.title, sample=chip, seed=seed or 0, quiet=quiet, station=bench.station,
                thermometer=bench.thermometer,
            )  # fmt: skip
            card = card_of(
                book, station_file, chip, run=run.id, seed=seed, check=check, overrides=overrides,
                simulation=simulations(bench), births=births(bench),
            )  # fmt: skip
            card.write(folder)
            steps = [step.model_dump(mode="json") for step in card.steps]
            origin = origin_of(bench, station_file, card)
            told = {"runbook": str(book.path), "station": str(station_file)}
            run.note("plans_checked", **told, steps=steps, card=card.digest, origin=origin)
            note_run(bench, run)
            run.at_unit = note_mocks(folder, bench.file)
            return RunRecord(book=book, run=run, origin=origin, wear=wear_of(bench))

        try:
            return conduct(book, station_file, seed, begin, check=check, console=console, new_chip=new_chip)
        finally:
            _release(folder)


def conduct(
    book: Runbook,
    station_file: Path,
    seed: int | None,
    begin: Callable[[Bench], RunRecord],
    *,
    check: bool,
    console: Console | None,
    new_chip: bool = False,
) -> Outcome:
    """Open the bench, carry out what ``begin`` says is to be done, and leave the folder as complete as it can be.

    Whoever interrupts it again while it is ending is told so.
    """
    record: RunRecord | None = None
    with interrupts_caught():
        try:
            bench = (
                open_bench(station_file, seed=seed, new_chip=True) if new_chip else open_bench(station_file, seed=seed)
            )
            try:
                with bench:
                    forecasts = forecast_steps(book.steps, bench.array.spec)
                    with ProgressBar("taking up the run"):
                        ready_to_report()
                        record = begin(bench)
                    record.run.tell(f"results: {record.directory}; figures of each step, as it ends: figures/ in it")
                    _carry_out(record, bench.array)
            finally:
                if record is not None:
                    _note_ending(record, bench)
            assert record is not None
            record.seconds = record.run.seconds
            return finish(record, forecasts, check, console)
        except BaseException as error:
            with nothing_interrupts():
                if record is not None:
                    _end_early(record, error, console)
            raise


def new_folder(name: str, root: Path = Path("runs")) -> Path:
    """Return a folder that does not exist yet: ``runs/<name>-<time>``."""
    stem = f"{safe_name(name)}-{time.strftime('%Y%m%d-%H%M%S')}"
    folder, number = root / stem, 1
    while folder.exists():
        number += 1
        folder = root / f"{stem}-{number}"
    return folder


def _loaded(runbook: str | Path | Runbook, overrides: Overrides, preset: str, plugins: Files, ask: Ask) -> Runbook:
    if not isinstance(runbook, Runbook):
        return load_runbook(runbook, overrides=overrides, preset=preset, plugins=plugins, ask=ask)
    if overrides or preset or plugins:
        raise RefusedError("overrides, preset and plugins belong to load_runbook() when the runbook is already loaded")
    return runbook


def _rehearse(book: Runbook, station_file: Path, seed: int | None, console: Console | None) -> Outcome:
    with open_bench(station_file, seed=seed) as bench:
        spec = bench.array.spec
        forecasts = forecast_steps(book.steps, spec)
        known = known_steps(book.steps, bench.array)
    if console is not None:
        from .tables import forecast_table

        console.print(f"{book.title}: what would be done on {spec.name} ({station_file.name})")
        console.print(forecast_table(forecasts))
        for step_id, sentence in known:
            console.print(f"step {step_id}: {sentence}", markup=False)
        console.print(
            "Dry run: only identity and capability were asked for; no action was sent, the array stayed at 0 V."
        )
    return Outcome(exit_code=0, forecasts=forecasts)


def note_run(bench: Bench, run: Run) -> None:
    """Let the account of the chip know which run, in which folder, works on it now."""
    ledger = cast("Any", bench.wear)
    if ledger is not None and run.directory is not None:
        ledger.note_run(run.id, run.session, str(run.directory.resolve()))


def wear_of(bench: Bench) -> Callable[[], Section] | None:
    """Return what makes the report's section on the wear of the chip on ``bench``, None where nobody counts."""
    ledger = cast("object", bench.wear)
    if ledger is None:  # a stand-in for a bench, in tests
        return None
    from .chip_wear import bench_wear

    return lambda: bench_wear(bench)


def origin_of(bench: Bench, station_file: Path, card: RunCard, *, begun: str = "") -> dict[str, str]:
    """Return when, who, how and on what: operator, changed parameters, limits, instruments, simulation, chip, station.

    ``begun`` is the journal's time of a run that goes on; without it the run begins now.
    """
    now = readable_time(time.strftime(STAMP))
    when = {"Date": readable_time(begun), "Gone on with": now} if begun else {"Date": now}
    spec = bench.array.spec
    who = {"Operator": operator(), "Station": str(station_file), "Chip": chip_id(bench)}
    how = {"Preset": card.preset, "Changed (--set)": "; ".join(card.overrides)}
    origin = {**when, **{name: told for name, told in how.items() if told}, **who}
    origin |= {CELLS: f"{spec.rows}×{spec.cols}, {spec.cell}", "Limits": limits_told(spec)}
    for name, identity in bench.identities.items():
        origin[f"Instrument {name}"] = ", ".join((identity.maker, identity.model, identity.serial, identity.firmware))
        if identity.simulation:
            told = ", ".join(f"{key} {value}" for key, value in identity.simulation.items())
            origin[f"Simulation behind {name}"] = told
    return origin


def chip_id(bench: Bench) -> str:
    """Return the id of the chip on a bench."""
    chip: Any = bench.chip
    return str(getattr(chip, "id", chip) or "unnamed chip")


def simulations(bench: Bench) -> dict[str, dict[str, Any]]:
    """Return what simulated instruments say of themselves and their chip, by name."""
    return {name: dict(identity.simulation) for name, identity in bench.identities.items() if identity.simulation}


def births(bench: Bench) -> dict[str, str]:
    """Return the birth ids of the chips on a bench, by the instrument that told it; chips may have none."""
    told = {name: str(getattr(identity, "birth", "") or "") for name, identity in bench.identities.items()}
    return {name: birth for name, birth in told.items() if birth}


def _carry_out(record: RunRecord, array: CrossbarArray) -> None:
    first, history = array.cost, record.run.history
    earlier = sum((step.cost for step in history.values()), Cost())
    for number, step in enumerate(record.book.steps, start=1):
        before, started = array.cost, time.monotonic()
        record.run.place = f"step {number} of {len(record.book.steps)}"
        past = history.get(step.id, StepHistory())
        try:
            if past.done:
                gave = finished_step(record, step, array)
            else:
                why = step.left_out(array.spec)
                if why:
                    record.run.tell(f"step {step.id} is left out: {why}")
                with record.run.step(step.id, array) as run:
                    gave = left_out(step, why) if why else given(record, step.kind.run(array, step.plan, run))
                    run.finish(gave.metrics, gave.section, gave.make_frame())
            seconds = round(past.seconds + (0.0 if past.done else time.monotonic() - started), 3)
            record.steps.append(
                StepRecord(
                    id=step.id,
                    metrics=gave.metrics,
                    section=gave.section,
                    make_frame=gave.make_frame,
                    cost=past.cost + (array.cost - before),
                    seconds=seconds,
                )
            )
        finally:
            record.cost = earlier + (array.cost - first)
        record.save()


def _note_ending(record: RunRecord, bench: Bench) -> None:
    """Journal how the bench was left: what was done to make it safe, in which order, and what came of it."""
    with suppress(StorageError):  # what ends the run has been said, or will be by the next line
        record.run.note("bench_left", ending=[str(step) for step in bench.ending])


def _end_early(record: RunRecord, error: BaseException, console: Console | None) -> None:
    record.seconds = record.run.seconds
    event = "run_interrupted" if isinstance(error, KeyboardInterrupt) else "run_failed"
    # The failure itself is what must be heard, not one of keeping it or of the report about it.
    with suppress(StorageError):
        record.run.note(event, error=describe_failure(error), steps_done=[step.id for step in record.steps])
    with suppress(StorageError):
        record.save()
    unwritten = ""
    try:
        record.write_report(error)
    except Exception as trouble:
        unwritten = f"The report could not be written: {describe_failure(trouble)}"
    if console is not None:
        if unwritten:
            console.print(unwritten, soft_wrap=True, markup=False)
        done = f"{len(record.steps)} of {len(record.book.steps)} steps were finished"
        console.print(f"The run ended early: {done} and are kept in {record.directory}", soft_wrap=True)
        named = "".join(f" --plugin {file.path}" for file in record.book.plugins)
        console.print(f"To go on from there: xbarlab resume {record.directory}{named}", soft_wrap=True)


def finish(
    record: RunRecord, forecasts: list[tuple[str, str, Forecast]], check: bool, console: Console | None
) -> Outcome:
    """Write the report of a run whose steps are done, show what came of it, and say so in its journal."""
    # From here on nothing of the chip is needed any more: a report that cannot be written is written later.
    record.save()
    try:
        report = record.write_report()
    except StorageError as error:
        raise StorageError(
            f"{str(error).partition('. What was kept')[0]}. Everything was measured and is kept; put that right, then: "
            f"xbarlab report {record.directory}"
        ) from error
    summary, checks = record.summary, record.checks
    missed = [item.metric for item in checks if not item.passed]
    record.run.note("run_done", missed=missed)
    if console is not None:
        from .tables import results_table

        console.print(results_table(summary, checks, width=console.width))
        for note in missing_metrics(checks, summary, [step.id for step in record.steps]):
            console.print(note, soft_wrap=True)
        if checks:
            met = len(checks) - len(missed)
            console.print(
                f"{met} of {len(checks)} expectations met" + (f"; missed: {', '.join(missed)}" if missed else "")
            )
        console.print(f"Report: {report}", soft_wrap=True)
    code = EXPECTATION_FAILED if check and missed else 0
    return Outcome(
        exit_code=code, forecasts=forecasts, directory=record.directory, report=report, summary=summary, checks=checks
    )


def _release(folder: Path) -> None:
    """Take back a folder if nothing was written into it."""
    with suppress(OSError):
        folder.rmdir()


@contextmanager
def console_for(quiet: bool) -> Generator[Console | None]:
    """Give a console to print on; None when nothing is to be printed."""
    if quiet:
        with silent():
            yield None
        return
    from .tables import make_console

    console = make_console()
    yield console
    sys.stdout.flush()
