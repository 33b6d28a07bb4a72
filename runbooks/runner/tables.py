"""What a run shows a person in the terminal: results, expectations, the forecast of a dry run."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...analysis.quantities import HIGH, LOW, describe, format_value
from ...common import text

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from ...analysis.report.report import Check
    from ...protocols.plan import Forecast

NARROW = 110


def results_table(summary: Mapping[str, float], checks: Sequence[Check], *, width: int) -> Table:
    """Return metric, value with unit and 95 % interval, what was expected, and the definition when there is room."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, title_justify="left", pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("value", justify="right", no_wrap=True)
    table.add_column("95 % interval", no_wrap=True)
    if checks:
        table.add_column("expected", no_wrap=True)
    wide = width >= NARROW
    if wide:
        table.add_column("definition", style="dim", ratio=1)
    by_key = {check.metric: check for check in checks}
    keys = [key for key in summary if not describe(key).bound]
    keys += [key for key in by_key if key not in summary]
    for key in keys:
        quantity = describe(key)
        value = summary.get(key, by_key[key].value if key in by_key else math.nan)
        low, high = (summary.get(key + end, math.nan) for end in (LOW, HIGH))
        unknown = math.isnan(low) and math.isnan(high)
        interval = "" if unknown else f"{format_value(low, quantity.unit)} … {format_value(high, quantity.unit)}"
        cells: list[str | Text] = [key, format_value(value, quantity.unit), interval]
        if checks:
            cells.append(verdict(by_key[key]) if key in by_key else "")
        if wide:
            cells.append(textwrap.shorten(quantity.definition, 160, placeholder=" …"))
        table.add_row(*cells)
    return table


def verdict(check: Check) -> Text:
    """Return ``≥ 95 % ok``, ``≥ 95 % MISSED`` or ``≥ 95 % not reached`` in colours."""
    from rich.text import Text

    marks = {"met": ("ok", "green"), "missed": ("MISSED", "bold red"), "not reached": ("not reached", "dim")}
    return Text.assemble(check.expectation, " ", marks[check.result])


def forecast_table(steps: Sequence[tuple[str, str, Forecast]]) -> Table:
    """Return what every step (id, kind, forecast) would do at most, with the sum."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_footer=True)
    total = sum(forecast.seconds for _, _, forecast in steps)
    volts = [forecast.volts_max for _, _, forecast in steps]
    largest = math.nan if any(map(math.isnan, volts)) else max(volts, default=0.0)
    table.add_column("step", footer="at most")
    table.add_column("does")
    table.add_column("cells", justify="right")
    table.add_column("largest volts", justify="right", footer=_said(largest, "{:.3g} V"))
    table.add_column("pulses", justify="right", footer=_said(sum(f.pulses for _, _, f in steps)))
    table.add_column("bench time", justify="right", footer="not said" if math.isnan(total) else duration(total))
    for step_id, kind, forecast in steps:
        table.add_row(
            step_id,
            kind,
            _said(forecast.cells),
            _said(forecast.volts_max, "{:.3g} V"),
            _said(forecast.pulses),
            "not said" if math.isnan(forecast.seconds) else duration(forecast.seconds),
        )
    return table


def _said(number: float, form: str = "{:,.0f}") -> str:
    """Write a number of a forecast; one that a plan does not say is not a zero."""
    return "not said" if math.isnan(number) else form.format(number)


def duration(seconds: float) -> str:
    """Write a time span for people: ``80 ms``, ``4.2 s``, ``3 min 20 s``, ``2 h 05 min``."""
    if seconds < 1.0:
        return format_value(seconds, "s", 2)
    return text.duration(seconds)


def make_console(*, stderr: bool = False) -> Console:
    """Return a console that prints paths and numbers as they are, and wide tables into files.

    Text of files and people is shown: neither the terminal nor rich's own markup obeys it.
    """
    from rich.console import Console
    from rich.segment import Segment

    class PlainConsole(Console):
        def render(self, renderable: Any, options: Any = None) -> Iterator[Segment]:
            """Write out what a terminal would obey in the text that others wrote."""
            for segment in super().render(renderable, options):
                yield segment if segment.control else Segment(text.printable(segment.text), segment.style)

    console = PlainConsole(stderr=stderr, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if not console.is_terminal:
        console = PlainConsole(stderr=stderr, highlight=False, markup=False, emoji=False, width=160)
    return console
