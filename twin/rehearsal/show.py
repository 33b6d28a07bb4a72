"""Tables on the terminal and figures beside them: how a rehearsal and a comparison are shown."""

from __future__ import annotations

from pathlib import Path

from ...analysis.measurements.rehearsals import comparison_figure, predictions_figure
from ...analysis.plots.plots import save
from ...common.errors import RefusedError, XbarlabError
from ...runbooks.runner.record import safe_name
from ...runbooks.runner.tables import make_console
from .compare import Comparison
from .record import RECORD
from .rehearse import Rehearsed
from .tables import comparison_lines, comparison_table, failure_lines, predictions_table, rehearsal_lines

FIGURE = "predictions.png"


def show_rehearsal(rehearsed: Rehearsed, *, quiet: bool) -> list[str]:
    """Draw the figure of a rehearsal and print its table; return what is left to be said, nothing when ``quiet``.

    Raises
    ------
    XbarlabError
        No draw was carried out.
    """
    record, folder = rehearsed.record, rehearsed.folder
    if not record.done:
        raise XbarlabError("; ".join(line.strip().rstrip(":") for line in failure_lines(record)) or "no draw was made")
    title = f"{record.runbook.title}: {len(record.done)} draws of {record.chip.name}"
    picture = save(predictions_figure(record.shown, title=title), folder / FIGURE)
    if quiet:
        return []
    console = make_console()
    console.print(predictions_table(record, width=console.width))
    return [*rehearsal_lines(record), f"Rehearsal: {folder / RECORD}, figure: {picture}"]


def show_comparison(comparison: Comparison, rehearsal: Path, out: Path | None) -> list[str]:
    """Draw the figure of a comparison and print its table; return what is left to be said."""
    beside = rehearsal if rehearsal.is_dir() else rehearsal.parent
    target = out if out is not None else beside / f"compared_{safe_name(comparison.run.resolve().name)}.png"
    if target.suffix.lower() != ".png":
        raise RefusedError(f"--out {target} is no PNG file: give a name that ends in .png")
    title = f"{comparison.run.resolve().name} against {len(comparison.rehearsal.done)} rehearsed draws"
    target.parent.mkdir(parents=True, exist_ok=True)
    save(comparison_figure(comparison.quantities, title=title), target)
    console = make_console()
    console.print(comparison_table(comparison, width=console.width))
    return [*comparison_lines(comparison), f"Figure: {target}"]
