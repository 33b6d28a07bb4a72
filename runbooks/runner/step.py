"""One step of a runbook."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ...analysis.quantities import define
from ...common.errors import RefusedError
from ...protocols.plan import Plan
from ...protocols.registry import StepKind


@dataclass(frozen=True)
class Step:
    """One step: what the protocol ``kind`` is asked with."""

    id: str
    kind: StepKind
    plan: Plan


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
