"""A fit in words and tables: the held-out table first, what the model cannot represent, then the numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..fitting.posterior import Number
from ..fitting.profile_file import sd_words
from ..fitting.result import FitResult, Row
from ..objective import PROTOCOL

SWEEPS_TOGETHER = 4
"""Panels of one sweep that are more than this share a line of the table."""
WORST = 12
"""Misses that are put in words."""


def middle(row: Row, side: str) -> str:
    """Return the middle of a panel as people read it: mean of counts and shares, median of the rest."""
    values = getattr(row.panel, side)
    if not len(values):
        return "none"
    if row.panel.mean:
        mean = float(np.mean(values))
        return f"{100 * mean:.1f} %" if "failures" in row.panel.name or "share" in row.panel.name else f"{mean:.1f}"
    median = float(np.median(values))
    if row.panel.unit == "ln I":
        return f"{1e6 * math.exp(median):.3g} µA"
    if row.panel.unit == "ln G":
        return f"{1e6 * math.exp(median):.3g} µS"
    if row.panel.unit.startswith("ln "):
        return f"{math.exp(median):.3g}"
    return f"{median:.3g}" + (f" {row.panel.unit}" if row.panel.unit == "V" else "")


def error(row: Row) -> str:
    """Return the error of the middle: in percent where a ratio is meant."""
    panel = row.panel
    if panel.mean or panel.unit in ("ln G", "ln I", "ln sd", "ln sd/G"):
        off = math.expm1(max(min(panel.error, 5.0), -5.0))
        return f"{100 * off:+.0f} %"
    return f"{panel.error:+.2g}" + (f" {panel.unit}" if panel.unit == "V" else "")


def _ks(panel: Any) -> str:
    return f"{panel.distance:.2f}" if panel.ks else "–"


def table(rows: Sequence[Row]) -> list[str]:
    """Return the table real / mock / error as Markdown; the steps of a sweep share a line."""
    floors = any(row.floor is not None for row in rows)
    head = ["panel", "measured", "mock", "error", "KS", "KS by luck", *(["KS of two chips"] if floors else [])]
    before = any(row.before is not None for row in rows)
    head += ["error before", "KS before"] if before else []
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for _, mine in _by_group(rows):
        if len(mine) > SWEEPS_TOGETHER and all(is_step(row) for row in mine):
            lines.append(f"| {' | '.join(_together(mine, floors, before))} |")
            continue
        for row in mine:
            cells = [row.panel.name + ("" if row.held else " (seen by the fit)"), middle(row, "real")]
            cells += [middle(row, "mock"), error(row), _ks(row.panel)]
            cells += [f"{row.luck:.2f}" if row.panel.ks else "–"]
            cells += [f"{row.floor:.2f}" if row.floor is not None and row.panel.ks else "–"] if floors else []
            cells += _was(row) if before else []
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def _was(row: Row) -> list[str]:
    if row.before is None:
        return ["–", "–"]
    return [error(dataclasses.replace(row, panel=row.before)), _ks(row.before)]


def _by_group(rows: Sequence[Row]) -> Iterator[tuple[str, list[Row]]]:
    for group in dict.fromkeys(row.group for row in rows):
        yield group, [row for row in rows if row.group == group]


def is_step(row: Row) -> bool:
    """Whether a panel is one voltage of a sweep of pulses."""
    return row.panel.spread and row.panel.unit == "ln G" and row.panel.name.endswith(" V")


def _together(rows: Sequence[Row], floors: bool, before: bool) -> list[str]:
    """Return the line of a sweep: root mean squares over its steps."""
    errors = [row.panel.error for row in rows]
    worst = max(rows, key=lambda row: abs(row.panel.error))
    was = [row.before for row in rows if row.before is not None]
    cells = [
        f"{rows[0].group}, {len(rows)} steps: ln G, rms",
        "",
        f"spread {np.exp(np.mean(np.log([max(row.panel.spreads, 1e-3) for row in rows]))):.2f} × measured",
        f"{_rms(errors):.2f} (worst {worst.panel.error:+.2f} at {worst.panel.name.removeprefix(worst.group).strip()})",
        f"{np.mean([row.panel.distance for row in rows]):.2f}",
        f"{np.mean([row.luck for row in rows]):.2f}",
    ]
    known = [row.floor for row in rows if row.floor is not None]
    cells += [f"{np.mean(known):.2f}" if known else "–"] if floors else []
    if not before:
        return cells
    return [*cells, f"{_rms([one.error for one in was]):.2f}", f"{np.mean([one.distance for one in was]):.2f}"]


def _rms(values: Sequence[float]) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def misses(result: FitResult) -> list[str]:
    """Return in words what the model cannot represent, the largest miss first."""
    found = result.misses
    if not found:
        return ["No panel misses by more than luck explains and 5 %."]
    lines = [f"- {_miss(row)}" for row in found[:WORST]]
    if len(found) > WORST:
        lines.append(f"- and {len(found) - WORST} more panels by less; all are in held_out.csv")
    return lines


def _miss(row: Row) -> str:
    panel = row.panel
    if not len(panel.mock):
        return f"**{panel.name}**: the mock shows nothing of it."
    what = "mean" if panel.mean else "median"
    said = f"**{panel.name}**: the {what} of the mock is {middle(row, 'mock')}, "
    said += f"that of the chip {middle(row, 'real')} ({error(row)})"
    if panel.ks:
        said += f"; KS {panel.distance:.2f}, luck explains {row.luck:.2f}"
        said += f", two chips differ by {row.floor:.2f}" if row.floor is not None else ""
    if panel.spread and not 1 / 1.3 < panel.spreads < 1.3:
        said += f"; the mock's spread is {panel.spreads:.2g} × the chip's"
    return f"{said}."


def numbers(found: Sequence[Number]) -> list[str]:
    """Return the fitted numbers as a Markdown table."""
    lines = ["| number | value | posterior sd | 90 % interval | |", "|---|---|---|---|---|"]
    for one in found:
        flags = [f"at its {one.at_bound} bound"] if one.at_bound else []
        flags += [] if one.identified else ["not identified"]
        said = [f"`{one.name}`", f"{one.value:.4g}", sd_words(one), f"{one.low:.4g} … {one.high:.4g}", ", ".join(flags)]
        lines.append(f"| {' | '.join(said)} |")
    return lines


def lead(result: FitResult) -> list[str]:
    """Return the sentence a person who waits is told first."""
    held = [row for row in result.rows if row.held]
    ks = [row.panel.distance for row in held if row.panel.ks]
    before = [row.before.distance for row in held if row.panel.ks and row.before is not None]
    lines = [f"{result.title}: {result.held_words}."]
    if ks:
        was = f"before the fit {np.mean(before):.2f}; " if before else ""
        lines.append(
            f"On what {'a' if result.checked else 'the'} fit never saw, the mean KS distance of {len(ks)} panels is "
            f"{np.mean(ks):.2f} ({was}luck alone explains "
            f"{np.mean([row.luck for row in held if row.panel.ks]):.2f})."
        )
    return lines


def unsure(result: FitResult) -> list[str]:
    """Return what the data do not tell, and which measurement would."""
    lines: list[str] = []
    bound = [one.name for one in result.numbers if one.at_bound]
    lost = [one.name for one in result.numbers if not one.identified]
    if bound:
        lines.append(f"At a bound of its range, so no physical constant: {', '.join(f'`{name}`' for name in bound)}.")
    if lost:
        lines.append(f"Not identified by these data: {', '.join(f'`{name}`' for name in lost)}.")
    for one in result.suggestions:
        gains = [
            f"`{name}` (sd {100 * now:.0f} % → {100 * then:.0f} % of what its bounds alone say)"
            for name, (now, then) in one.numbers.items()
        ]
        lines.append(f"- Measure {one.what}: it would tell {', '.join(gains)}.")
    if lost and not result.suggestions:
        lines.append("No further measurement of a usual kind would tell much more of them.")
    return lines


def protocol_numbers(result: FitResult) -> list[Number]:
    """Return what was estimated of protocols."""
    return [one for one in result.numbers if one.name.startswith(f"{PROTOCOL}.")]
