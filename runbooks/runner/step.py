"""One step of a runbook."""

from __future__ import annotations

from dataclasses import dataclass

from ...protocols.plan import Plan
from ...protocols.registry import StepKind


@dataclass(frozen=True)
class Step:
    """One step: what the protocol ``kind`` is asked with."""

    id: str
    kind: StepKind
    plan: Plan
