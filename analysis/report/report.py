"""The report of a run: one HTML file that needs nothing beside it, to be read on a screen or on paper."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..plots.plots import Picture, png_bytes
from ..quantities import COUNT, FRACTION, HIGH, LOW, SI_PREFIXES, Quantity, describe, format_value

if TYPE_CHECKING:
    from jinja2 import Template
    from matplotlib.figure import Figure
    from pandas import DataFrame, Series

COST_KEYS = ("transactions", "slots", "pulses", "chip_seconds", "seconds", "seed")
TILE_KEYS = (
    "test_accuracy",
    "float_twin_accuracy",
    "majority_accuracy",
    "test_rmse",
    "float_twin_test_rmse",
    "persistence_rmse",
    "programmed_fraction_60s",
    "programmed_fraction",
    "yield_fraction",
    "formed_fraction",
    "programming_sigma",
    "pulses_per_cell",
    "v_set_mean",
    "v_reset_mean",
    "r_on_median",
    "r_off_median",
    "v_form_mean",
)
# What a step that trains is there for: of these every step has its tile, of the others only the first.
RESULTS = TILE_KEYS[:6]
MAX_TILES = 8
CSS_PIXELS_PER_INCH = 104  # 10 pt lettering in a figure then matches the small print around it


@dataclass(frozen=True)
class Check:
    """One expectation of the runbook and what came of it.

    Parameters
    ----------
    metric : str
        Summary key.
    value : float
        Measured; nan when the run did not produce it, which fails.
    minimum, maximum : float, optional
        Limits, both included.
    reached : bool
        Whether the run came so far that it can be said: a step that never ran misses nothing.
    """

    metric: str
    value: float
    minimum: float | None = None
    maximum: float | None = None
    reached: bool = True

    @property
    def passed(self) -> bool:
        """Tell whether the value exists and lies within the limits."""
        above = self.minimum is None or self.value >= self.minimum
        below = self.maximum is None or self.value <= self.maximum
        return self.reached and not math.isnan(self.value) and above and below

    @property
    def result(self) -> str:
        """Return what came of it: ``met``, ``missed`` or ``not reached``."""
        if not self.reached:
            return "not reached"
        return "met" if self.passed else "missed"

    @property
    def expectation(self) -> str:
        """Return the limits in words, e.g. `≥ 95.00 %`."""
        unit = describe(self.metric).unit
        low = None if self.minimum is None else _limit(self.minimum, unit)
        high = None if self.maximum is None else _limit(self.maximum, unit)
        if low is not None and high is not None:
            return f"{low} … {high}"
        return f"≥ {low}" if low is not None else f"≤ {high}" if high is not None else "any value"


@dataclass(frozen=True)
class Section:
    """One step of the run as the reader sees it.

    Parameters
    ----------
    title : str
    text : str
        Plain paragraphs, separated by an empty line.
    figures : sequence of (caption, Figure)
        The caption says what the figure shows; one that was drawn before is a `Picture`.
    tables : sequence of (caption, DataFrame)
        A column named `sigma [S]` is shown with an SI prefix, `x [fraction]` in per cent.
    leads : bool
        It is what the run was for: it stands before the steps that only prepared it.
    box : bool
        It says in short what follows from the run: it stands before the numbers.
    """

    title: str
    text: str = ""
    figures: Sequence[tuple[str, Figure | Picture]] = ()
    tables: Sequence[tuple[str, DataFrame]] = ()
    leads: bool = False
    box: bool = False


@dataclass(frozen=True)
class _Row:
    quantity: Quantity
    step: str
    value: str
    interval: str


@dataclass(frozen=True)
class _Table:
    caption: str
    header: list[str]
    numeric: list[bool]
    rows: list[list[str]]


def write_report(
    path: str | Path,
    *,
    title: str,
    summary: Mapping[str, float],
    sections: Sequence[Section],
    checks: Sequence[Check] = (),
    provenance: Mapping[str, str] | None = None,
    failures: Mapping[str, int] | None = None,
    lead: str = "",
    complete: bool = True,
    verdict: str = "",
    step_of: Mapping[str, str] | None = None,
) -> Path:
    """Write the report and return its path.

    Parameters
    ----------
    path : path of the HTML file
    title, lead : str
        Name of the run, and a sentence under it.
    summary : mapping
        Flat `name: number` metrics; `_ci95_low` and `_ci95_high` become the interval of their quantity.
    sections : sequence of Section
    checks : sequence of Check
        Expectations of the runbook; the verdict on top counts them.
    provenance : mapping
        Where the numbers come from: instruments, seed, station, versions, software time, dataset ids.
    failures : mapping, optional
        Failure reason -> number of cells.
    complete : bool
        Whether every step was done.
    verdict : str
        A sentence on top instead of the one on expectations, for what is no run.
    step_of : mapping, optional
        Quantity -> id of the step that gave it, where its key does not say.
    """
    target = Path(path)
    target.write_text(
        render_report(
            title=title,
            summary=summary,
            sections=sections,
            checks=checks,
            provenance=provenance,
            failures=failures,
            lead=lead,
            complete=complete,
            verdict=verdict,
            step_of=step_of,
        ),
        encoding="utf-8",
    )
    return target


def render_report(
    *,
    title: str,
    summary: Mapping[str, float],
    sections: Sequence[Section],
    checks: Sequence[Check] = (),
    provenance: Mapping[str, str] | None = None,
    failures: Mapping[str, int] | None = None,
    lead: str = "",
    complete: bool = True,
    verdict: str = "",
    step_of: Mapping[str, str] | None = None,
) -> str:
    """Return the HTML of `write_report`."""
    rows = [_row(key, summary, step_of or {}) for key in summary if not describe(key).bound]
    costs = [row for row in rows if row.quantity.name in COST_KEYS and not row.quantity.step]
    steps = [section for section in sections if not section.box]
    shown = [_shown(f"s{k}", one) for k, one in enumerate(sorted(steps, key=lambda one: not one.leads), start=1)]
    boxes = [_shown(f"b{k}", one) for k, one in enumerate((one for one in sections if one.box), start=1)]
    reasons = sorted((failures or {}).items(), key=lambda item: (-item[1], item[0]))
    return _template().render(
        title=title,
        lead=lead,
        about=_about(provenance or {}),
        verdict=verdict or _verdict(checks, complete),
        state=_state(checks, complete),
        tiles=_tiles(rows),
        rows=[row for row in rows if row not in costs],
        costs=costs,
        stepped=any(row.step for row in rows),
        checks=[
            (check, describe(check.metric), format_value(check.value, describe(check.metric).unit)) for check in checks
        ],
        sections=shown,
        boxes=boxes,
        reasons=[(reason, f"{count:,}", 100.0 * count / max(reasons[0][1], 1)) for reason, count in reasons],
        failed=f"{sum(count for _, count in reasons):,}",
        provenance=dict(provenance or {}),
    )


@cache
def _template() -> Template:
    from jinja2 import Environment, StrictUndefined

    source = files(__package__ or __name__.rpartition(".")[0]).joinpath("report.html.j2").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source)


def _shown(name: str, section: Section) -> dict[str, object]:
    return {
        "id": name,
        "title": section.title,
        "paragraphs": [part.strip() for part in section.text.split("\n\n") if part.strip()],
        "figures": [
            (caption, _data_uri(figure), round(_width(figure) * CSS_PIXELS_PER_INCH))
            for caption, figure in section.figures
        ],
        "tables": [_table(caption, frame) for caption, frame in section.tables],
    }


def _row(key: str, summary: Mapping[str, float], step_of: Mapping[str, str]) -> _Row:
    quantity = describe(key)
    step = quantity.step or step_of.get(key, "")
    value = float(summary[key])
    low, high = (float(summary.get(key + end, math.nan)) for end in (LOW, HIGH))
    return _Row(quantity, step, format_value(value, quantity.unit), interval_text(value, low, high, quantity.unit))


def interval_text(value: float, low: float, high: float, unit: str) -> str:
    """Return the ends of an interval for people, with the prefix of its value; "" where there is none."""
    if math.isnan(low) and math.isnan(high):
        return ""
    ends = [format_value(end, unit, like=value) for end in (low, high)]
    return f"{ends[0].partition(' ')[0]} … {ends[1]}"


def unbroken(text: str) -> str:
    """Return a short text that is not broken into lines in a table."""
    return text.replace(" ", "\N{NO-BREAK SPACE}")


def _limit(value: float, unit: str) -> str:
    """Write a limit as the runbook's author did, without trailing zeros."""
    number, space, rest = format_value(value, unit).partition(" ")
    return (number.rstrip("0").rstrip(".") if "." in number else number) + space + rest


def _tiles(rows: Sequence[_Row]) -> list[_Row]:
    """Return the headline numbers: results of every step, then what led to them."""
    results = [row for row in rows if row.quantity.name in RESULTS]
    steps = list(dict.fromkeys(row.quantity.step for row in results))
    order = {name: place for place, name in enumerate(TILE_KEYS)}
    tiles = sorted(results, key=lambda row: (steps.index(row.quantity.step), order[row.quantity.name]))
    first: dict[str, _Row] = {}
    for row in rows:
        if row.quantity.name in order and row not in results:
            first.setdefault(row.quantity.name, row)
    others = [first[name] for name in TILE_KEYS if name in first]
    return [*tiles, *others[: max(0, MAX_TILES - len(tiles))]]


def _about(provenance: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return what stands on top of a report: which chip, when, by whom."""
    return [(name, provenance[name]) for name in ("Chip", "Date", "Operator", "Host seed") if provenance.get(name)]


def _state(checks: Sequence[Check], complete: bool) -> str:
    if any(check.result == "missed" for check in checks):
        return "bad"
    return "good" if complete and checks and all(check.passed for check in checks) else "none"


def _verdict(checks: Sequence[Check], complete: bool) -> str:
    missed = [check.metric for check in checks if check.result == "missed"]
    begin = "" if complete else "The run ended early. "
    if not checks:
        return f"{begin or 'Done. '}The runbook states no expectations."
    ahead = sum(not check.reached for check in checks)
    if ahead:
        met = sum(check.passed for check in checks)
        counts = {
            f"{met} met": met,
            f"{len(missed)} missed ({', '.join(missed)})": len(missed),
            f"{ahead} not reached": 1,
        }
        return f"{begin}Expectations: {', '.join(said for said, count in counts.items() if count)}."
    if not missed:
        return f"{begin}All {len(checks)} expectations met." if len(checks) > 1 else f"{begin}The expectation is met."
    return f"{begin}{len(missed)} of {len(checks)} expectations missed: {', '.join(missed)}."


def _width(figure: Figure | Picture) -> float:
    return figure.width if isinstance(figure, Picture) else float(figure.get_figwidth())


def _data_uri(figure: Figure | Picture) -> str:
    return "data:image/png;base64," + base64.b64encode(png_bytes(figure)).decode("ascii")


def _table(caption: str, frame: DataFrame) -> _Table:
    columns = [_column(str(name), frame.iloc[:, k]) for k, name in enumerate(frame.columns)]
    cells = [cell for _, _, cell in columns]
    return _Table(
        caption=caption,
        header=[header for header, _, _ in columns],
        numeric=[numeric for _, numeric, _ in columns],
        rows=[list(row) for row in zip(*cells, strict=True)],
    )


def _column(name: str, values: Series) -> tuple[str, bool, list[str]]:
    """Return heading, whether it is numeric, and the cells of one column, all with the same prefix and decimals."""
    label, _, unit = name.partition(" [")
    unit = unit.removesuffix("]")
    kind = values.dtype.kind if isinstance(values.dtype, np.dtype) else "O"
    if kind in "iu":
        return _heading(label, unit if unit != COUNT else ""), True, [f"{int(v):,}" for v in values]
    if kind != "f":
        return _heading(label, unit), False, [str(v) for v in values]
    numbers = np.asarray(values, dtype=np.float64)
    known = np.abs(numbers[np.isfinite(numbers)])
    largest = float(known.max(initial=0.0))
    factor, prefix = 1.0, ""
    if unit == FRACTION:
        factor, unit = 0.01, "%"
    elif unit and largest > 0.0:
        factor, prefix = next((pair for pair in SI_PREFIXES if largest >= pair[0]), SI_PREFIXES[-1])
    decimals = min(6, max(0, 3 - math.floor(math.log10(largest / factor)))) if largest > 0.0 else 0
    decimals = min(decimals, 2) if unit == "%" else decimals
    return (
        _heading(label, prefix + unit),
        True,
        [f"{v / factor:,.{decimals}f}".replace("-", "−") if math.isfinite(v) else "–" for v in numbers],
    )


def _heading(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label
