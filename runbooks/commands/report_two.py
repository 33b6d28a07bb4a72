"""Two runs beside each other on one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import RefusedError
from ...common.progress import ProgressBar
from ...protocols.keeping.finished import FinishedStep
from ...protocols.keeping.journal import read_journal
from ...protocols.keeping.run import JOURNAL, STATE
from ...protocols.keeping.storage import replace_file
from ..runner.analyses import sections_of
from ..runner.plugin_grant import Ask, Files, nobody
from ..runner.report_again import WEAR, kept_record, report_run
from ..runner.run_card import read_card

if TYPE_CHECKING:
    from ...analysis.report.side_by_side import Side


def report_runs(
    directories: Sequence[Path], *, out: Path | None = None, plugins: Files = (), ask: Ask = nobody
) -> Path:
    """Write the report of one run anew, or a page with two runs side by side, and return it.

    Parameters
    ----------
    out : of two runs, the page; beside the first folder unless given

    Raises
    ------
    RefusedError
        More than two folders, the same one twice, or one that holds no run.
    """
    if len(directories) == 1:
        if out is not None:
            raise RefusedError("--out names the page of two runs; the report of one is written into its folder")
        return report_run(directories[0], plugins=plugins, ask=ask)
    if len(directories) != 2:
        raise RefusedError(
            f"{len(directories)} folders are given: a report is of one run, or of two side by side; choose two"
        )
    a, b = directories
    if a.resolve() == b.resolve():
        raise RefusedError(f"{a} and {b} are the same run: give the folders of two runs")
    return write_beside(a, b, out or a.with_name(f"{a.resolve().name}_beside_{b.resolve().name}.html"), plugins, ask)


def write_beside(a: Path, b: Path, target: Path, plugins: Files = (), ask: Ask = nobody) -> Path:
    """Write the page of two runs and return it."""
    from ...analysis.report.report import render_report
    from ...analysis.report.side_by_side import sections_of_both, verdict

    sides = [_side(folder, plugins, ask) for folder in (a, b)]
    with ProgressBar("writing the report"):
        page = render_report(
            title=f"{sides[0].name} beside {sides[1].name}",
            lead=" · ".join(dict.fromkeys(side.title for side in sides)),
            summary={},
            sections=sections_of_both(*sides),
            verdict=verdict(*sides),
        )
    replace_file(target, page.encode())
    return target


def _side(folder: Path, plugins: Files, ask: Ask) -> Side:
    """Return a run as its folder has it; nothing is written there."""
    from ...analysis.report.side_by_side import Side

    card, entries = read_card(folder), read_journal(folder / JOURNAL)
    record = kept_record(folder, card, card.book(folder, plugins, ask), entries)
    if not record.steps:
        raise RefusedError(f"no step of the run in {folder} is done: there is nothing to report")
    wear = FinishedStep(folder / STATE, WEAR).section()
    kept = [*(step.section for step in record.steps), *sections_of(record.tables()).values(), wear]
    return Side(
        name=folder.resolve().name,
        title=record.book.title,
        summary=record.summary,
        sections=[section for section in kept if section is not None],
        provenance=record.provenance(),
    )
