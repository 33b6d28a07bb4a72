"""The steps a runbook may name, shipped ones and others: found by name, imported when they are used."""

from __future__ import annotations

from ..common import plugins
from .step import StepKind, kind_of


def step_names() -> list[str]:
    """Return the names a runbook may use."""
    return plugins.names(plugins.STEPS)


def step_about(name: str) -> str:
    """Return one line on what a step does, without importing it."""
    return plugins.find(plugins.STEPS, name).about()


def step_kind(name: str) -> StepKind:
    """Return a step by name; refuse an unknown one, with the alternatives, and one that two packages offer."""
    return kind_of(name, plugins.load(plugins.STEPS, name))
