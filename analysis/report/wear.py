"""What a chip has borne over its life, as a table, two maps and a section of a report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..measurements.array_maps import value_map
from ..quantities import format_value
from .report import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CORNER = 0.25  # share of a chip below which only the part that was used is drawn

Summary = Mapping[str, float | str]
Maps = Mapping[str, NDArray[np.float64]]


def wear_lines(summary: Summary, *, budget: float | None = None, budget_source: str = "") -> list[tuple[str, str]]:
    """Return (what, how much) of a ledger's ``summary()``, for a table.

    Parameters
    ----------
    budget : float
        Pulses a cell may have in its life.
    budget_source : str
        Who set it.
    """
    # Chips on several boards are a rectangle with holes: then it is said how many cells there are.
    cells = float(summary.get("cells", float(summary["rows"]) * float(summary["cols"])))
    most = float(summary["pulses_max"])
    lines = [
        ("cells used", f"{float(summary['cells_used']):,.0f} of {cells:,.0f}"),
        ("SET pulses, all cells", f"{float(summary['set_pulses_total']):,.0f}"),
        ("RESET pulses, all cells", f"{float(summary['reset_pulses_total']):,.0f}"),
        ("sweeps, all cells", f"{float(summary['sweeps_total']):,.0f}"),
        ("pulses of the cell that had most", f"{most:,.0f}"),
        ("SET/RESET cycles of the cell that had most", f"{float(summary['cycles_max']):,.0f}"),
        ("largest SET stress", format_value(float(summary["set_stress_max"]), "V", 3)),
        ("largest RESET stress", format_value(float(summary["reset_stress_max"]), "V", 3)),
    ]
    stray = float(summary.get("unattributed", 0.0))
    if stray:
        most_volts = format_value(float(summary["unattributed_stress_max"]), "V", 3)
        pulses = "1 pulse" if stray == 1 else f"{stray:,.0f} pulses"
        lines.append(
            ("unattributed", f"{pulses} of at most {most_volts}: given by hand when it was not known to which cell")
        )
    uncertain = float(summary["uncertain"])
    if uncertain:
        lines.append(("not certain", f"up to {uncertain:,.0f} more per cell: {_why_uncertain(summary)}"))
    if budget is not None:
        part = (most + uncertain) / budget if budget else 1.0
        whose = f" ({budget_source})" if budget_source else ""
        lines.append(
            ("wear budget", f"{budget:,.0f} pulses a cell, {part:.2%} of it used by the cell that had most{whose}")
        )
    used = str(summary["first_use"])
    lines.append(("used", f"{used} to {summary['last_use']} UTC" if used else "in this session only"))
    return lines


def _why_uncertain(summary: Summary) -> str:
    """Return why pulses were not written down."""
    died, unwritten = float(summary["crashes"]), float(summary.get("unwritten", 0.0))
    why: list[str] = []
    if died:
        why.append(f"{'a process' if died == 1 else f'{died:,.0f} processes'} ended before writing them down")
    if unwritten:
        often = "" if unwritten == 1 else f" {unwritten:,.0f} times"
        full = summary.get("why_unwritten") == "disk full"
        said = "the disk was full" if full else "the ledger could not be written"
        why.append(f"{said}{often} when they were to be written down")
    return ", and ".join(why) or "they were not written down"


def pulses_map(pulses: ArrayLike) -> Figure:
    """Draw the pulses every cell has had, on a logarithmic scale; cells that had none are grey."""
    shown, origin, rest = _used_part(np.asarray(pulses, dtype=np.float64))
    return value_map(
        shown, title="Pulses per cell", label="Pulses", grey=f"without a pulse{rest}", logarithmic=True, origin=origin
    )


def stress_map(set_stress: ArrayLike, reset_stress: ArrayLike) -> Figure:
    """Draw the largest voltage every cell has had [V], of either polarity; cells that had none are grey."""
    most = np.maximum(np.asarray(set_stress, dtype=np.float64), np.asarray(reset_stress, dtype=np.float64))
    shown, origin, rest = _used_part(most)
    return value_map(
        shown, title="Largest stress", label="Largest |V| (V)", grey=f"without stress{rest}", origin=origin
    )


def _used_part(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], tuple[int, int], str]:
    """Return what is above zero, the rest nan, its first row and column, and words for cells that are left out.

    Where only a corner of a chip was used the picture shows the corner.
    """
    used = np.where(values > 0.0, values, np.nan)
    rows, cols = np.nonzero(np.isfinite(used))
    if not rows.size:
        return used, (0, 0), ""
    part = used[rows.min() : rows.max() + 1, cols.min() : cols.max() + 1]
    if part.size > CORNER * used.size:
        return used, (0, 0), ""
    return part, (int(rows.min()), int(cols.min())), f" here, and all {used.size - part.size:,} of the rest of the chip"


def wear_section(
    summary: Summary, maps: Maps, *, budget: float | None = None, budget_source: str = "", notes: tuple[str, ...] = ()
) -> Section:
    """Return the section "Wear" of a report.

    Parameters
    ----------
    summary, maps
        Of a wear ledger: ``ledger.summary()``, ``ledger.maps()``.
    budget, budget_source
        As of :func:`wear_lines`.
    notes : tuple of str
        ``ledger.notes``: what has to be said first.
    """
    from pandas import DataFrame

    lines = wear_lines(summary, budget=budget, budget_source=budget_source)
    text = "\n\n".join(
        (
            *(f"{note}." for note in notes),
            f"What chip {summary['chip']} has borne over its life, this run included. A sweep counts as a pulse for "
            "every stay at one polarity, and so does a level that is held by hand; half-selected cells and reads of "
            "the array are not counted.",
        )
    )
    table = DataFrame({"what": [what for what, _ in lines], "how much": [much for _, much in lines]})
    figures = [
        ("Pulses every cell has had.", pulses_map(maps["pulses"])),
        ("Largest voltage across every cell.", stress_map(maps["set_stress"], maps["reset_stress"])),
    ]
    return Section("Wear", text, figures, [("The chip's account.", table)])
