"""Programming with read-verify by any bench: pulses and success, in all and level by level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import Estimate, clustered_fraction_estimate, mean_estimate
from ..programming.levels import pulses_histogram
from ..quantities import format_value
from .finding import Finding, grouped
from .pictures.verify import pulses_by_level, success_by_level

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..measured_data.measured import Measured

MANY_LEVELS = 64
_COUNTS = {"reads": "reads_per_cell", "sets": "sets_per_cell", "resets": "resets_per_cell"}


def analyse_verify(measured: Measured) -> Finding:
    """Return pulses per cell and success, with intervals in which a cell, not a line, is the unit."""
    table: Any = measured.table
    if table["pulses"].isna().all():
        raise RefusedError(f"{measured.id}: how many pulses were given? name the column pulses, or sets and resets")
    numbers = _numbers(table)
    levels = sorted(set(table["level"]))
    parts = {level: table[table["level"] == level] for level in levels} if 1 < len(levels) <= MANY_LEVELS else {}
    for level, part in parts.items():
        numbers |= grouped(f"level_{level}", _numbers(part))
    by_level = {f"level {level}, {window_text(part)}": part["pulses"].to_numpy() for level, part in parts.items()}
    figures: list[Any] = []
    if parts:
        figures += [
            ("Share of cells that need more pulses, level by level.", pulses_by_level(by_level)),
            ("Cells the data say ended in their window; bars are 95 % intervals.", success_by_level(_success(parts))),
        ]
    figures.append(("Pulses per cell, all levels.", pulses_histogram(table["pulses"], name=measured.id)))
    lines, cells = len(table), len(set(table["cell"]))
    again = f", each programmed {lines / cells:.3g} times on average" if lines > cells else ""
    text = (
        f"{cells:,} cells{again}: {lines:,} programmings. Success is what the data say. Means have intervals over "
        "cells: "
        "programmings of one cell resemble each other."
    )
    return Finding(
        id=measured.id,
        title="Programming with read-verify",
        text=text,
        numbers=numbers,
        frame=level_frame(parts or {"all": table}),
        figures=figures,
        tables=[("Level by level.", level_frame(parts or {"all": table}))],
    )


def _numbers(table: Any) -> dict[str, Estimate | float]:
    by_cell = table.groupby("cell", sort=False)
    numbers: dict[str, Estimate | float] = {
        "said_success_fraction": _said_success(table),
        "pulses_per_cell": mean_estimate(by_cell["pulses"].mean()),
    }
    for column, name in _COUNTS.items():
        if column in table and table[column].notna().all():
            numbers[name] = mean_estimate(by_cell[column].mean())
    numbers["pulses_per_cell_p99"] = float(np.percentile(table["pulses"], 99.0, method="higher"))
    return numbers


def _success(parts: dict[Any, Any]) -> dict[str, Estimate]:
    return {f"level {level}\n{window_text(part)}": _said_success(part) for level, part in parts.items()}


def _said_success(part: Any) -> Estimate:
    won = part.groupby("cell", sort=False)["success"].agg(["sum", "count"])
    return clustered_fraction_estimate(won["sum"], won["count"])


def window_text(part: Any) -> str:
    """Return the window of a level for people: ``167 … 173 µS``, ``above 200 µS``."""
    low, high = float(part["low"].median()), float(part["high"].median())
    if not np.isfinite(high):
        return f"above {format_value(low, 'S', 3)}"
    if low <= 1e-3 * high:
        return f"below {format_value(high, 'S', 3)}"
    return f"{format_value(low, 'S', 3, like=high).partition(' ')[0]} … {format_value(high, 'S', 3)}"


def level_frame(parts: dict[Any, Any]) -> DataFrame:
    """Return a row per level: programmings, success with its interval, pulses."""
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for level, part in parts.items():
        numbers: Any = _numbers(part)
        success, pulses = numbers["said_success_fraction"], numbers["pulses_per_cell"]
        rows.append(
            {
                "level": str(level),
                "window": window_text(part),
                "programmings": len(part),
                "success [fraction]": success.value,
                "success low [fraction]": success.low,
                "success high [fraction]": success.high,
                "pulses per cell": pulses.value,
                "low": pulses.low,
                "high": pulses.high,
                "median": float(part["pulses"].median()),
                "99 % need at most": numbers["pulses_per_cell_p99"],
            }
        )
    return DataFrame(rows)
