"""A step of a run that was carried out, and what its measurements have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from .measures import NO_GATE
from .protocols import Start

Structure = Literal["1T1R", "passive"]
Made = tuple[str, Any, Any]
"""What follows the step's id, protocol, table before :func:`.derive.derive`."""


@dataclass(frozen=True, kw_only=True)
class RanStep:
    """A step that was carried out.

    Attributes
    ----------
    id, step : str
        Its id in the runbook, and what it did.
    plan : mapping
        What it was asked with, by plain names and numbers; a programming step with its ``window`` [S], too.
    frame : DataFrame, optional
        Its table: a line per cell, or per point.
    data : DataFrame, optional
        Everything it wrote into its dataset.
    meta : mapping
        What its dataset says of itself: ``set_knob`` and ``reset_knob`` of a programming step.
    read_volts : float, optional
        At which the array reads [V].
    """

    id: str
    step: str
    plan: Mapping[str, Any]
    frame: Any = None
    data: Any = None
    meta: Mapping[str, Any] = field(default_factory=dict[str, Any])
    read_volts: float | None = None


def gate_of(volts: float, structure: Structure) -> Any:
    """Return a gate voltage of a plan as a protocol says it."""
    return float(volts) if structure == "1T1R" else NO_GATE


def gates_of(values: Any, structure: Structure) -> Any:
    """Return gate voltages of a table, nan where there are none."""
    return values if structure == "1T1R" else np.nan


def what_all_say(step: RanStep) -> dict[str, Any]:
    """Return what protocols of all kinds say."""
    return {"read_volts": step.read_volts, "start": Start(said=f"as step {step.id!r} of the runbook found them")}
