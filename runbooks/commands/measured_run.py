"""A run folder as measured data: what its steps measured, in the form that data of any bench have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...analysis.measured_data.kinds import a_kind
from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.of_steps import RanStep, RunTold, measured_of_steps
from ...analysis.own_data.subjects import SUBJECTS
from ...common.errors import RefusedError, unknown
from ...protocols.keeping.joined import database, joined_table, step_parts
from ...protocols.keeping.journal import read_journal
from ...protocols.keeping.run import DATABASE, JOURNAL
from ..runner.plugin_grant import Ask, Files, nobody
from ..runner.record import CELLS
from ..runner.report_again import kept_record
from ..runner.run_card import read_card

if TYPE_CHECKING:
    from pandas import DataFrame

STRUCTURES = ("1T1R", "passive")


def measured_of_run(
    directory: str | Path,
    *,
    structure: Literal["1T1R", "passive"] | None = None,
    only: Sequence[str] | None = None,
    replayable: bool = True,
    plugins: Files = (),
    ask: Ask = nobody,
) -> list[Measured]:
    """Return what the finished steps of a run measured; no bench is opened.

    Parameters
    ----------
    directory : folder of a run
    structure : "1T1R" or "passive"
        What the cells are, where the run is older than that it says so.
    only : ids of the steps that are wanted; all by default
    replayable : only what can be done again on a model; else also what can only be analysed
    plugins, ask : the plug-in files the run was begun with, and whom to ask about those that are not named here

    Raises
    ------
    RefusedError
        The folder holds no run, or none of its steps can be replayed.
    """
    folder = Path(directory)
    if not folder.is_dir():
        raise RefusedError(f"there is no folder {folder}: give the folder of a run, like runs/first_light_1t1r-…")
    card, entries = read_card(folder), read_journal(folder / JOURNAL)
    book = card.book(folder, plugins, ask)
    record = kept_record(folder, card, book, entries)
    ids = [step.id for step in book.steps]
    for name in only or ():
        if name not in ids:
            raise RefusedError(f"{folder}: {unknown('step id', name, ids)}")
    plans = {step.id: step for step in book.steps}
    tables, metas = _datasets(folder)
    read_volts = next((float(meta["read_volts"]) for meta in metas.values() if "read_volts" in meta), None)
    steps = [
        RanStep(
            id=done.id,
            step=plans[done.id].kind.name,
            plan=_plain(plans[done.id].plan),
            frame=done.make_frame(),
            data=tables.get(done.id),
            meta=metas.get(done.id, {}),
            read_volts=read_volts,
        )
        for done in record.steps
        if only is None or done.id in only
    ]
    told = RunTold(
        title=book.title,
        source=f"run {card.run or folder.name} on chip {card.chip}",
        structure=structure or _structure(record.origin, folder),
        cols=_cols(record.origin, steps),
        chip=card.chip,
        date=str(entries[0].get("time", ""))[:10] if entries else "",
    )
    return measured_of_steps(steps, told, replayable=replayable)


def measured_for(folder: Path, analysis: str, only: Sequence[str] = ()) -> list[Measured]:
    """Return what the steps of a run measured that an analysis of :mod:`...analysis.own_data.subjects` takes.

    Raises
    ------
    RefusedError
        None of them did; it names the analyses that would fit.
    """
    if not (folder / JOURNAL).is_file():
        raise RefusedError(f"{folder} is a folder without a run in it: give files, or the folder of a run")
    every = measured_of_run(folder, only=only or None, replayable=False)
    kinds = SUBJECTS[analysis].kinds
    fitting = [one for one in every if one.kind in kinds]
    if not fitting:
        others = {
            name: [one.id for one in every if one.kind in subject.kinds] for name, subject in SUBJECTS.items()
        }  # fmt: skip
        there = "; ".join(f"analyse {name}: {', '.join(ids)}" for name, ids in others.items() if ids)
        raise RefusedError(f"{folder}: no step measured what {analysis} takes ({a_kind(kinds)}); what fits: {there}")
    return fitting


def _structure(origin: dict[str, str], folder: Path) -> Literal["1T1R", "passive"]:
    said = origin.get(CELLS, "").rpartition(", ")[2]
    if said not in STRUCTURES:
        raise RefusedError(f"the run in {folder} does not say what its cells are: give structure, 1T1R or passive")
    return said


def _cols(origin: dict[str, str], steps: list[RanStep]) -> int:
    """Return how many columns the array has; of an older run, how many at least."""
    said = origin.get(CELLS, "").partition("×")[2].partition(",")[0]
    if said.isdigit():
        return int(said)
    frames = [step.frame for step in steps if step.frame is not None and "col" in step.frame.columns]
    return 1 + max((int(frame["col"].max()) for frame in frames if len(frame)), default=0)


def _plain(plan: Any) -> dict[str, Any]:
    window = getattr(plan, "window", None)
    return {**plan.model_dump(mode="json"), **({} if window is None else {"window": float(window)})}


def _datasets(folder: Path) -> tuple[dict[str, DataFrame], dict[str, Mapping[str, Any]]]:
    """Return the data of every step, and what its dataset says of itself."""
    from qcodes.dataset import load_by_guid

    tables: dict[str, DataFrame] = {}
    metas: dict[str, Mapping[str, Any]] = {}
    if not (folder / DATABASE).is_file():
        return tables, metas
    with database(folder) as connection:
        for step, parts in step_parts(folder).items():
            tables[step] = joined_table(connection, parts)
            metas[step] = load_by_guid(parts[-1].guid, connection).metadata
    return tables, metas
