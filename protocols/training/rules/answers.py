"""Whether a rule can learn with what its pulses do on this chip: asked of the chip's account, or measured for it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from ....analysis.measurements.pulse_answer import (
    AnswerSummary,
    PulsePair,
    StepNeeds,
    judge,
    what_is_needed,
    what_it_gives,
)
from ....common.errors import RefusedError
from ....instruments.array_spec import ArraySpec
from ....instruments.block import Block
from ....instruments.capabilities import CrossbarArray
from ...measure.pulse_answer import PulseAnswerPlan, known_answer, pulse_answer
from .by_name import name_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

_ROWS, _COLS = 4, 8  # of the sample that a plan takes by itself
_OTHERS = {
    True: "a rule that needs no small steps, as two_pulse does where there are gates",
    False: "a rule that counts small steps, as mixed_precision does",
}


def answer_plan(rule: object, spec: ArraySpec, taken: NDArray[np.bool_] | None = None) -> PulseAnswerPlan | None:
    """Return the plan that measures how a sample of cells answers the pulses of ``rule``; None where it names none.

    The range is as wide as the rule's weights need it, and lies where the cells are and its pulses take them; what
    brings cells to places in it has the rule's gates, beyond which the rule does not go.

    Parameters
    ----------
    taken : [rows, cols]
        Cells better left alone, as those of weights and bad ones: the sample is the one with fewest of them.
    """
    pulses, wanted = _pulses(rule, spec), _needs(rule)
    if pulses is None:
        return None
    span = None if wanted is None else wanted.span
    plan = PulseAnswerPlan(cells=str(_sample(spec, taken)), span=span, **asdict(pulses))
    gates = {"set_gate": pulses.set_gate, "reset_gate": pulses.reset_gate}
    return plan.model_copy(update={"within": plan.within.model_copy(update=gates)})


def _sample(spec: ArraySpec, taken: NDArray[np.bool_] | None) -> Block:
    blocks: list[Block] = []
    for part in spec.parts or (spec.whole,):
        rows, cols = min(part.nrows, _ROWS), min(part.ncols, _COLS)
        blocks += [
            Block(row, rows, col, cols)
            for row in range(part.row0, part.row0 + part.nrows - rows + 1, rows)
            for col in range(part.col0, part.col0 + part.ncols - cols + 1, cols)
        ]
    return blocks[0] if taken is None else min(blocks, key=lambda block: int(taken[block.slices].sum()))


def require_answer(array: CrossbarArray, rule: object, taken: NDArray[np.bool_] | None = None) -> str:
    """Refuse a rule that needs steps this chip is known not to give; else say what is known, "" where nothing is asked.

    Only what the chip's account has is used: nothing is measured here. A rule that takes the size of its step from the
    chip is told it.

    Raises
    ------
    RefusedError
        With what the rule needs and what the chip gives.
    """
    pulses, wanted = _pulses(rule, array.spec), _needs(rule)
    if pulses is None or wanted is None:
        return ""
    name, found = name_of(rule), known_answer(array, pulses)
    if found is None:
        plan = answer_plan(rule, array.spec, taken)
        assert plan is not None
        cost = plan.forecast(array.spec)
        return (
            f"rule {name}: how this chip answers its pulses is not measured: step pulse_answer with rule {name} would "
            f"tell, by {cost.pulses:,.0f} pulses of {cost.cells:.0f} cells at most"
        )
    summary, fact = found
    _teach(rule, summary)
    verdict, measured = judge(summary, wanted), f"{what_it_gives(summary)}, measured {fact.date} UTC"
    if not verdict.works:
        raise RefusedError(
            f"rule {name} needs {what_is_needed(summary, wanted)}; {measured}: {', '.join(verdict.failing)}; choose "
            f"other pulses, or {_OTHERS[wants_small_steps(rule)]}"
        )
    if not verdict.unsure:
        return f"rule {name}: {measured}: it can learn with these"
    doubts = f"{', '.join(verdict.unsure)}: more cells, repeats or conversions would tell"
    return f"rule {name}: {measured}: whether it can learn with these is not sure; {doubts}"


def measured_first(array: CrossbarArray, rule: object) -> bool:
    """Return whether the rule depends on the size of its steps, which the account of this chip does not have."""
    pulses = _pulses(rule, array.spec)
    return wants_small_steps(rule) and pulses is not None and known_answer(array, pulses) is None


def wants_small_steps(rule: object) -> bool:
    """Return whether a rule depends on the size of its steps; that of two-pulse, which the gate sets, may be any."""
    wanted = _needs(rule)
    return wanted is not None and bool(np.isfinite(wanted.most))


def measure_answer(array: CrossbarArray, rule: object, taken: NDArray[np.bool_] | None = None) -> str:
    """Measure how the chip answers the rule's pulses where :func:`measured_first` says so, then :func:`require_answer`.

    An array that keeps no account tells the rule the size of its step, and refuses nothing.
    """
    if measured_first(array, rule):
        plan = answer_plan(rule, array.spec, taken)
        assert plan is not None
        try:
            plan.check(array.spec)
        except RefusedError as error:
            return f"{require_answer(array, rule, taken)}; it was not measured by itself: {error}"
        _teach(rule, pulse_answer(array, plan).summary)
    return require_answer(array, rule, taken)


def _teach(rule: object, summary: AnswerSummary) -> None:
    take = cast("Any", getattr(rule, "use_answer", None))
    if take is not None:
        take(summary)


def _needs(rule: object) -> StepNeeds | None:
    needs = cast("Any", getattr(rule, "needs", None))
    return None if needs is None else cast("StepNeeds", needs())


def _pulses(rule: object, spec: ArraySpec) -> PulsePair | None:
    """Return the pulses a rule writes with on this array; None for a rule that names none, as somebody else's may."""
    pulses = cast("Any", getattr(rule, "pulses", None))
    return None if pulses is None else cast("PulsePair", pulses(spec))
