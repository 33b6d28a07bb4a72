"""Whether a rule can learn with what its pulses do on this chip, from the answer that the chip's account has."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any, cast

from ....analysis.measurements.pulse_answer import (
    PulsePair,
    StepNeeds,
    judge,
    what_is_needed,
    what_it_gives,
)
from ....common.errors import RefusedError
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import CrossbarArray
from ...measure.pulse_answer import PulseAnswerPlan, known_answer
from .by_name import name_of

_ROWS, _COLS = 4, 8  # of the sample that a plan takes by itself


def answer_plan(rule: object, spec: ArraySpec) -> PulseAnswerPlan | None:
    """Return the plan that measures how a sample of cells answers the pulses of ``rule``; None where it names none."""
    pulses = _pulses(rule, spec)
    if pulses is None:
        return None
    part = next(iter(spec.parts), spec.whole)
    rows, cols = min(part.nrows, _ROWS), min(part.ncols, _COLS)
    cells = f"{part.row0}:{part.row0 + rows},{part.col0}:{part.col0 + cols}"
    return PulseAnswerPlan(cells=cells, **asdict(pulses))


def require_answer(array: CrossbarArray, rule: object) -> str:
    """Refuse a rule that needs steps this chip is known not to give; else say what is known, "" where nothing is asked.

    Only what the chip's account has is used: nothing is measured here.

    Raises
    ------
    RefusedError
        With what the rule needs and what the chip gives.
    """
    pulses, needs = _pulses(rule, array.spec), cast("Any", getattr(rule, "needs", None))
    if pulses is None or needs is None:
        return ""
    name, wanted = name_of(rule), cast("StepNeeds", needs())
    found = known_answer(array, pulses)
    if found is None:
        plan = answer_plan(rule, array.spec)
        assert plan is not None
        cost = plan.forecast(array.spec)
        return (
            f"rule {name}: how this chip answers its pulses is not measured: step pulse_answer with rule {name} would "
            f"tell, by {cost.pulses:,.0f} pulses of {cost.cells:.0f} cells at most"
        )
    summary, fact = found
    verdict, measured = judge(summary, wanted), f"{what_it_gives(summary)}, measured {fact.date} UTC"
    if not verdict.works:
        raise RefusedError(
            f"rule {name} needs {what_is_needed(summary, wanted)}; {measured}: {', '.join(verdict.failing)}; choose "
            "other pulses, or a rule that needs no small steps, as two_pulse does where there are gates"
        )
    doubts = f"; {', '.join(verdict.unsure)}: more cells, repeats or conversions would tell" if verdict.unsure else ""
    return f"rule {name}: {measured}: it can learn with these{doubts}"


def _pulses(rule: object, spec: ArraySpec) -> PulsePair | None:
    """Return the pulses a rule writes with on this array; None for a rule that names none, as somebody else's may."""
    pulses = cast("Any", getattr(rule, "pulses", None))
    return None if pulses is None else cast("PulsePair", pulses(spec))
