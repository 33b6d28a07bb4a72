"""What a rehearsal and a comparison show a person in the terminal."""

from __future__ import annotations

import math
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from ...analysis.estimates.predictions import LEVEL, Prediction, predict
from ...analysis.measurements.rehearsals import percent_with_interval
from ...analysis.quantities import COUNT, describe, format_value
from ...runbooks.runner.tables import NARROW, duration

if TYPE_CHECKING:
    from rich.table import Table

    from ...analysis.measurements.rehearsals import Predicted
    from .compare import Comparison
    from .record import Rehearsal

MOST_FAILURES = 5


def predictions_table(record: Rehearsal, *, width: int) -> Table:
    """Return metric, median and interval over the draws, what is expected, and the chance that it is missed."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    predicted, chances = record.predicted, record.chances
    table.add_column(_interval_name([one.prediction for one in predicted]), no_wrap=True)
    if chances:
        table.add_column("expected", no_wrap=True)
        table.add_column("chance to miss it (95 % interval)", no_wrap=True)
    wide = width >= NARROW
    if wide:
        table.add_column("definition", style="dim", ratio=1)
    unmeasured = [key for key in chances if key not in {one.key for one in predicted}]
    for one in predicted:
        quantity = describe(one.key)
        cells = [one.key, format_value(one.prediction.median, quantity.unit), _interval(one)]
        if chances:
            cells += [_expected(one), _chance(record, one.key)]
        if wide:
            cells.append(textwrap.shorten(quantity.definition, 120, placeholder=" …"))
        table.add_row(*cells)
    for key in unmeasured:
        table.add_row(key, "–", "not measured", "", _chance(record, key), *([""] if wide else []))
    return table


def rehearsal_lines(record: Rehearsal) -> list[str]:
    """Return what a rehearsal says beside its table: which chips, what it costs the chip, and what failed."""
    done = record.done
    lines = [_which_chips(record)]
    if done:
        seconds = predict([draw.bench_seconds for draw in done])
        lines.append(f"Bench time, simulated: {duration(seconds.median)} ({_span(seconds, duration)}).")
        lines += _wear_lines(record)
    if len(done) > 0 and (few := predict(np.zeros(len(done))).level) < LEVEL:
        lines.append(
            f"{len(done)} draws are too few for a {_percent(LEVEL)} interval: those above are from the smallest to "
            f"the largest, which the next chip is within in {_percent(few)} of cases."
        )
    lines += failure_lines(record)
    return lines


def failure_lines(record: Rehearsal) -> list[str]:
    """Return how many draws failed and why, the commonest reason first."""
    if not record.failed:
        return []
    reasons = Counter(draw.failure for draw in record.failed)
    lines = [f"{len(record.failed)} of {len(record.draws)} draws FAILED; the numbers are of the others:"]
    lines += [f"  {count} × {reason}" for reason, count in reasons.most_common(MOST_FAILURES)]
    left = len(reasons) - MOST_FAILURES
    return [*lines, f"  and {left} more reasons, in rehearsal.json"] if left > 0 else lines


def comparison_table(comparison: Comparison, *, width: int) -> Table:
    """Return metric, what was measured, what was predicted, and how far they are apart; marked where outside."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    for name in ("measured", "predicted"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column(_interval_name([one.prediction for one in comparison.quantities]), no_wrap=True)
    table.add_column("apart [sd]", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    wide = width >= NARROW
    if wide:
        table.add_column("definition", style="dim", ratio=1)
    for one in comparison.quantities:
        unit, p = describe(one.key).unit, one.prediction
        missing = math.isnan(one.measured)
        mark = "not measured" if missing else "" if p.holds(one.measured) else "[bold red]OUTSIDE[/bold red]"
        cells = [one.key, format_value(one.measured, unit), format_value(p.median, unit), _interval(one)]
        cells += ["" if missing else f"{p.differs_by(one.measured):+.1f}".replace("inf", "∞"), mark]
        if wide:
            cells.append(textwrap.shorten(describe(one.key).definition, 120, placeholder=" …"))
        table.add_row(*cells)
    return table


def comparison_lines(comparison: Comparison) -> list[str]:
    """Return how many metrics are outside, how many would be by chance, and which are."""
    measured, outside = comparison.measured, comparison.outside
    count = f"{len(outside)} of {len(measured)} measured metrics are outside of their interval"
    chance = (
        f"of a chip as the profile describes it {comparison.chance:.1f} are on average, and in 95 % of cases at most "
        f"{comparison.most:.0f}"
    )
    lines = [*comparison.notes, f"{count}; {chance}."]
    if outside:
        lines.append(f"Outside, farthest first: {', '.join(one.key for one in outside)}.")
    return lines


def _which_chips(record: Rehearsal) -> str:
    chip = f"{len(record.done)} of {record.draws_wanted} draws of {record.chip.name} ({record.chip.file})"
    if record.chip.drawn:
        return f"{chip}: {', '.join(record.chip.drawn)} drawn from its posterior, every chip with cells of its own."
    return (
        f"{chip}: the profile has no posterior, so chips differ by the luck of their cells only; what is not known of "
        "the chip is not in these intervals."
    )


def _wear_lines(record: Rehearsal) -> list[str]:
    borne = [(draw.wear, draw) for draw in record.done if draw.wear is not None]
    if not borne:
        return []
    pulses = predict([wear.pulses_max for wear, _ in borne])
    worst, draw = max(borne, key=lambda one: one[0].pulses_max)
    cycles = predict([wear.cycles_max for wear, _ in borne])
    stress = max(wear.set_stress_max for wear, _ in borne), max(wear.reset_stress_max for wear, _ in borne)

    def said(value: float) -> str:
        return format_value(value, COUNT)

    return [
        f"Wear of the worst cell: {said(pulses.median)} pulses ({_span(pulses, said)}), {said(cycles.median)} "
        f"SET/RESET cycles ({_span(cycles, said)}); largest {format_value(stress[0], 'V')} SET, "
        f"{format_value(stress[1], 'V')} RESET.",
        f"Worst cell of all: ({worst.worst_cell[0]}, {worst.worst_cell[1]}) of draw {draw.number} with "
        f"{said(worst.pulses_max)} pulses.",
    ]


def _span(prediction: Prediction, said: Callable[[float], str]) -> str:
    return f"{said(prediction.low)} … {said(prediction.high)}"


def _interval_name(predictions: Sequence[Prediction]) -> str:
    level = max((one.level for one in predictions), default=LEVEL)
    return f"{_percent(level)} interval"


def _percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def _interval(one: Predicted) -> str:
    unit, p = describe(one.key).unit, one.prediction
    missing = len(one.values) - p.n
    lacking = f"; in {p.n} of {len(one.values)} draws" if missing else ""
    return f"{format_value(p.low, unit)} … {format_value(p.high, unit)}{lacking}"


def _expected(one: Predicted) -> str:
    unit = describe(one.key).unit
    limits = (("≥", one.minimum), ("≤", one.maximum))
    return ", ".join(f"{mark} {format_value(limit, unit)}" for mark, limit in limits if limit is not None)


def _chance(record: Rehearsal, key: str) -> str:
    chance = record.chances.get(key)
    if chance is None:
        return ""
    return percent_with_interval(chance)
