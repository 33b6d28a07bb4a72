"""One step of a runbook."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...analysis.quantities import define
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.capabilities import CrossbarArray
from ...instruments.errors import UnsupportedError
from ...protocols.plan import Forecast, Plan
from ...protocols.registry import StepKind


@dataclass(frozen=True)
class Step:
    """One step: what the protocol ``kind`` is asked with.

    With ``if_able`` it is left out where the array lacks what it takes; what is beyond a limit is refused all the same.
    """

    id: str
    kind: StepKind
    plan: Plan
    if_able: bool = False

    def left_out(self, spec: ArraySpec) -> str:
        """Check the plan against an array; return why the step is left out there, "" where it is not.

        Raises
        ------
        RefusedError
            It cannot be done, and may not be left out.
        """
        try:
            self.plan.check(spec)
        except UnsupportedError as error:
            if not self.if_able:
                raise
            return str(error)
        return ""


def define_metrics(steps: Iterable[Step]) -> None:
    """Let reports know what the metrics of a runbook's steps mean; refuse one that two steps mean differently."""
    said: dict[str, tuple[str, str]] = {}
    for step in steps:
        for metric, definition in (step.kind.metrics or {}).items():
            other, before = said.setdefault(metric, (step.id, definition))
            if before != definition:
                raise RefusedError(
                    f"metric {metric!r} is “{before}” in step {other!r} and “{definition}” in step {step.id!r}: give "
                    "one of them another name"
                )
            define(metric, definition)


def forecast_steps(steps: Iterable[Step], spec: ArraySpec) -> list[tuple[str, str, Forecast]]:
    """Check every plan against the array before anything acts; return (id, step, forecast) of each.

    What is left out on this array does nothing.
    """
    forecasts: list[tuple[str, str, Forecast]] = []
    for step in steps:
        try:
            cost = Forecast(0, 0.0, 0, 0.0) if step.left_out(spec) else step.plan.forecast(spec)
            forecasts.append((step.id, step.kind.name, cost))
        except RefusedError as error:
            raise type(error)(f"step {step.id!r} ({step.kind.name}): {error}") from None
    return forecasts


def known_steps(steps: Iterable[Step], array: CrossbarArray) -> list[tuple[str, str]]:
    """Return (id, sentence) of the steps that are left out, or of which the chip's account knows something.

    Nothing acts. What it knows to fail is refused, unless an earlier step of the runbook measures it anew.
    """
    told: list[tuple[str, str]] = []
    renewed = False
    for step in steps:
        if why := step.left_out(array.spec):
            told.append((step.id, f"is left out: {why}"))
            continue
        try:
            sentence = step.plan.known(array)
        except RefusedError as error:
            if not renewed:
                raise type(error)(f"step {step.id!r} ({step.kind.name}): {error}") from None
            sentence = f"will be refused unless the answer has changed by then: {error}"
        renewed |= step.plan.renews
        if sentence:
            told.append((step.id, sentence))
    return told
