"""The box *what this means for training*: what a network whose weights are these cells has to live with.

Each line is a number of the summary with its interval, and a sentence that follows from it by a rule stated here.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ..quantities import FRACTION, HIGH, LOW, describe, format_value
from .report import Section, interval_text, unbroken
from .run_tables import RunTables, StepTable

TITLE = "What this means for training"
DAY = 86400.0
APART = 4.0
"""Levels so many σ apart: 95 % of a normal spread lies nearer to its own level than to the next."""
LINES_LEAST = 2


@dataclass(frozen=True)
class Measured:
    """A number of the summary with its 95 % interval, and the step it is of (None where several might be)."""

    key: str
    value: float
    low: float
    high: float
    step: StepTable | None

    @property
    def interval(self) -> tuple[float, float]:
        """The ends of the interval, the value itself where there is none."""
        ends = (self.low, self.high)
        return ends if all(math.isfinite(end) for end in ends) else (self.value, self.value)


@dataclass(frozen=True)
class _Line:
    """What is asked, the keys that answer it (one alone, or ``every``), the step that gives them, what follows."""

    title: str
    keys: tuple[str, ...]
    step: str
    follows: Callable[[Measured, RunTables], str]
    shown: Callable[[Measured], Measured] = lambda one: one
    unit: str | None = None
    every: bool = False


def training_box(run: RunTables) -> Section | None:
    """Say what a network whose weights are these cells has to live with.

    None of a run that measured fewer than two of the lines: it was not made to characterise a chip.
    """
    from pandas import DataFrame

    rows: list[tuple[str, str, str, str, str]] = []
    known = 0
    for line in LINES:
        found = _found(run, line)
        numbers = [one for one in found if math.isfinite(one.value)]
        known += bool(numbers)
        for one in numbers:
            shown, unit = line.shown(one), describe(one.key).unit if line.unit is None else line.unit
            interval = interval_text(shown.value, shown.low, shown.high, unit)
            value = format_value(shown.value, unit)
            rows.append((line.title, unbroken(value), unbroken(interval), one.key, line.follows(one, run)))
        if not numbers:
            why = (
                f"Step {line.step} was done, and gave no number." if found else f"Not measured: step {line.step} would."
            )
            rows.append((line.title, "–", "", line.keys[0], why))
    if known < LINES_LEAST:
        return None
    columns = ["for training", "value", "95 % interval", "from", "what follows"]
    text = (
        "Every sentence follows from the number beside it. Levels count as told apart when they stand "
        f"{APART:g} σ apart, so that 95 % of a normal spread lies nearer to its own; in brackets what the ends of the "
        "interval give."
    )
    return Section(TITLE, text, [], [("", DataFrame(rows, columns=columns))], box=True)


def _found(run: RunTables, line: _Line) -> list[Measured]:
    """Return what the summary has of a line: every key, or the first one that it has at all."""
    found: list[Measured] = []
    for name in line.keys:
        keys = [key for key in run.summary if describe(key).name == name and not describe(key).bound]
        if line.every or not found:
            found += [_measured(run, key) for key in keys]
    return found


def _measured(run: RunTables, key: str) -> Measured:
    quantity = describe(key)
    value, low, high = (float(run.summary.get(key + end, math.nan)) for end in ("", LOW, HIGH))
    steps = [step for step in run.steps if step.id == quantity.step or quantity.name in step.metrics]
    mine = [step for step in steps if step.id == quantity.step] or steps
    return Measured(key, value, low, high, mine[0] if len(mine) == 1 else None)


def _levels(one: Measured, run: RunTables) -> str:
    del run
    count = 2.0**one.value if describe(one.key).name.startswith("bits") else one.value
    pair = 2.0 * count - 1.0
    return (
        f"A cell holds {math.log2(max(count, 1.0)):.1f} bits. A weight that is the difference of two cells has "
        f"{pair:.0f} values, {math.log2(max(pair, 1.0)):.1f} bits."
    )


def _sigma(one: Measured, run: RunTables) -> str:
    del run
    apart = f"Levels have to stand {format_value(APART * one.value, 'S')} apart."
    frame = one.step.frame if one.step is not None else None
    if frame is None or "target_S" not in frame:
        return apart
    target = np.asarray(frame["target_S"], dtype=np.float64)
    span = float(np.nanmax(target) - np.nanmin(target)) if np.isfinite(target).any() else 0.0
    if not span > 0.0 or not one.value > 0.0:
        return apart
    at, most, least = (1 + math.floor(span / (APART * sigma)) for sigma in (one.value, *one.interval))
    ends = "" if most == least else f" ({least} … {most})"
    return f"{apart} The range of the targets, {format_value(span, 'S')}, then holds {at} of them{ends}."


def _symmetry(one: Measured, run: RunTables) -> str:
    if describe(one.key).name == "step_asymmetry":
        return _asymmetry(one)
    del run
    low, high = one.interval
    if low <= 0.5 <= high and low < high:
        return "The interval holds 0.5, the middle of the range: pulses up and down cannot be told from symmetric ones."
    return (
        f"As many pulses up as down take a cell to {one.value:.2f} of its range, {abs(one.value - 0.5):.2f} from the "
        "middle: a weight without a gradient drifts there. Take that point as the weights' zero, or weigh the pulses."
    )


def _asymmetry(one: Measured) -> str:
    low, high = one.interval
    if low <= 0.0 <= high and low < high:
        return "The interval holds 0: a pulse up and one down cannot be told apart in size."
    ratio = [(2.0 + a) / (2.0 - a) if a < 2.0 else math.inf for a in (one.value, low, high)]
    return (
        f"In the middle of the range a pulse up moves a cell {ratio[0]:.2f} times as far as one down "
        f"({ratio[1]:.2f} … {ratio[2]:.2f}): an update rule that counts pulses has to weigh them so."
    )


def _half_select(one: Measured, run: RunTables) -> str:
    volts = one.value
    at_least = "" if math.isfinite(one.low) else "at least "
    said = (
        f"99 of 100 neighbours move less than the limit while cells are written at up to {at_least}{2.0 * volts:.2f} V "
        f"by halves (no transistors), or {at_least}{volts:.2f} V with their transistors off."
    )
    written = {
        step.id: max(float(step.plan["set_volts"]), float(step.plan["reset_volts"]))
        for step in run.steps
        if step.step == "pulse_response"
    }
    for step, most in written.items():
        said += f" Half of the {most:g} V of step {step} is {'within' if 0.5 * most <= volts else 'beyond'} that."
    return said


def _since(one: Measured) -> float:
    """Return the age at the first read of the step that measured drift [s]."""
    return float(one.step.plan.get("first", 1.0)) if one.step is not None else 1.0


def _over_a_day(one: Measured) -> Measured:
    """Return the relative change of G from the first read to one day after the write, as ν has it."""
    decades = math.log(DAY / _since(one))
    value, low, high = (math.exp(-nu * decades) - 1.0 for nu in (one.value, one.high, one.low))
    return Measured(one.key, value, low, high, one.step)


def _drift(one: Measured, run: RunTables) -> str:
    day = _over_a_day(one)
    said = (
        f"From {_since(one):g} s to a day after the write the median weight is multiplied by {1.0 + day.value:.3f}; "
        "one factor for each layer takes out what all cells share."
    )
    if day.low < 0.0 < day.high:
        said = f"No drift is seen that all cells share: the interval holds 0, from {_since(one):g} s to a day."
    sigma = float(run.summary.get("retention_sigma", math.nan))
    return (
        said if math.isnan(sigma) else f"{said} What differs from cell to cell stays: σ(ΔG) {format_value(sigma, 'S')}."
    )


def _products(one: Measured, run: RunTables) -> str:
    del run
    bits = max(0, math.ceil(one.value))
    return (
        f"A product tells {2.0**one.value:.0f} values of the full scale apart: more than {bits} bits of converter, or "
        "of activations behind it, carry no more."
    )


LINES = (
    _Line("usable levels", ("levels_200ns", "bits_200ns", "separable_levels"), "multilevel", _levels),
    _Line("σ per level", ("programming_sigma",), "read_verify", _sigma),
    _Line("asymmetry", ("symmetry_point", "step_asymmetry"), "pulse_response", _symmetry, every=True),
    _Line("half-select safe voltage", ("half_select_safe_volts",), "stress_disturb", _half_select),
    _Line("drift over a day", ("retention_drift_nu",), "retention", _drift, shown=_over_a_day, unit=FRACTION),
    _Line("effective bits of products", ("vmm_effective_bits",), "vmm_accuracy", _products),
)
