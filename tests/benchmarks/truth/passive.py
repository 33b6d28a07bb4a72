"""Quantities of the passive 8 × 8 chip on the probe station: drift and lines."""

from __future__ import annotations

import numpy as np

from xbarlab.mockhw.passive_chip.chip import Bias, PassiveChip
from xbarlab.mockhw.sim_clock import SimClock
from xbarlab.protocols.measure.wire_resistance import WirePlan, wire_resistance
from xbarlab.protocols.programming.retention import RetentionPlan, retention

from .bare import Floats
from .board import quiet_run
from .chips import OTHERS, drawn_chip
from .numbers import Found, found

STATION = "mock_tio2"
ON = 1.0
"""State that cells are declared to be in: that of the profile's R_on."""
LINES = 16
FLOATING = Bias(
    np.full(LINES, -1), np.zeros(LINES), np.zeros(1), np.full(1, 10.0), np.full(1, np.inf), np.zeros(1)
)  # fmt: skip


def drift(number: int) -> Found:
    """Drift of 64 cells that are on, from 1 to 10,000 s."""
    drawn = drawn_chip(STATION, number)
    plan = RetentionPlan(cells="all", prepare="found", levels={"count": 2, "low": 100e-6, "high": 500e-6})  # pyright: ignore[reportArgumentType]
    with drawn.opened() as (array, mock):
        assert isinstance(mock.chip, PassiveChip)
        mock.chip.assume_formed(ON)
        result = retention(array, plan, quiet_run(drawn, "drift"))
    x = np.log(plan.times)
    x = x - x.mean()
    slopes: list[Floats] = []
    for k in range(16):
        time = SimClock()
        chip = PassiveChip(drawn.profile, seed=OTHERS * (k + 1) + number, clock=time)
        chip.assume_formed(ON)
        reads: list[Floats] = []
        for seconds in np.diff(plan.times, prepend=0.0):
            time.advance(float(seconds))
            chip.hold(FLOATING, 0.0)
            reads.append(np.log(chip.truth()["conductance"].astype(np.float64)).ravel())
        slopes.append(-(x @ np.array(reads)) / float(x @ x))
    true = {"retention_drift_nu": float(np.median(np.concatenate(slopes)))}
    return found(result.metrics(), true, " 8×8")


def wire(number: int) -> Found:
    """Ohms per segment of an 8 × 8 chip, drawn evenly from 0.5 to 5 Ω."""
    ohm = float(np.random.default_rng([number, 5]).uniform(0.5, 5.0))
    drawn = drawn_chip(STATION, number, row_segment=ohm, col_segment=ohm)
    with drawn.opened() as (array, mock):
        assert isinstance(mock.chip, PassiveChip)
        mock.chip.assume_formed(ON)
        result = wire_resistance(array, WirePlan(switch_on=False), quiet_run(drawn, "wire"))
    return found(result.metrics(), {"wire_ohm_per_segment": ohm}, " 8×8")
