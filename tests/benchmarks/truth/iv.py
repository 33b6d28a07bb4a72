"""Switching voltages of DC sweeps: their means and spreads, by Monte Carlo and by the step."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from xbarlab import DcSweepPlan, dc_sweep
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.protocols.keeping.run import Run

from .bare import BareChip, Floats
from .chips import OTHERS, Drawn, drawn_chip
from .numbers import Found, found

CELLS = Block(0, 25, 0, 16)
FORM: dict[str, Any] = {"volts": 3.3, "width": 10e-6, "gate": 1.3, "count": 3}
"""How cells are formed: more than the virgin ones need, three times."""
PLAN: dict[str, Any] = {
    "cells": "0:25,0:16", "cycles": 24, "step": 0.05, "positive": 1.5, "negative": -0.8, "set_gate": 3.0
}  # fmt: skip
"""A wide SET gate and a RESET sweep that ends early: the deeper a RESET goes, the more V_RESET spreads from cycle to
cycle, and the spread between cells is hard to see behind that."""
MONTE_CARLO = 8  # chips of as many cells
REST = 8e-3  # s between two sweeps, as on the board


def measure(number: int) -> Found:
    """Sweep one chip, and say what the physics of its kind gives."""
    drawn = drawn_chip("mock_ta_hfo2", number)
    plan = DcSweepPlan(**PLAN)
    with drawn.opened() as (array, _):
        read_volts = array.spec.read_volts
        array.pulse(PulseMap(CELLS, **FORM))
        result = dc_sweep(array, plan, Run(None, quiet=True))
    return found(result.metrics(), truth(drawn, plan, read_volts))


def truth(drawn: Drawn, plan: DcSweepPlan, read_volts: float) -> dict[str, float]:
    """Return means and spreads of many cells: moments of noise-free currents."""
    swept = [_swept(BareChip(drawn.profile, OTHERS * (k + 1) + drawn.number), plan) for k in range(MONTE_CARLO)]
    true: dict[str, float] = {}
    for name, sign, side in (("v_set", 1.0, 0), ("v_reset", -1.0, 1)):
        current = np.concatenate([one[side] for one in swept])
        volts = crossings(plan.loop[side], current, sign, read_volts)
        volts = volts[np.isfinite(volts).sum(axis=1) > 1]
        true |= moments(name, volts)
    return true


def moments(name: str, volts: Floats) -> dict[str, float]:
    """Return mean of the cell means, and standard deviations within and between cells [cells, cycles]."""
    cycles = np.isfinite(volts).sum(axis=1)
    means = np.nanmean(volts, axis=1)
    within = float(np.nansum((volts - means[:, None]) ** 2) / (cycles - 1).sum())
    between = float(means.var(ddof=1)) - within * float((1.0 / cycles).mean())
    return {
        f"{name}_mean": float(means.mean()),
        f"{name}_c2c_std": within**0.5,
        f"{name}_d2d_std": max(between, 0.0) ** 0.5,
    }


def _swept(bare: BareChip, plan: DcSweepPlan) -> tuple[Floats, Floats]:
    """Return currents [cells, cycles, points] of both halves."""
    bare.pulse(PulseMap(CELLS, **FORM))
    halves = [(plan.loop[0], plan.set_gate, plan.compliance), (plan.loop[1], plan.reset_gate, plan.reset_compliance)]
    out = tuple(np.empty((CELLS.size, plan.cycles, half[0].size)) for half in halves)
    for cell, (row, col) in enumerate(np.ndindex(CELLS.shape)):

        def sweep(side: int, row: int = row, col: int = col) -> Floats:
            volts, gate, limit = halves[side]
            # The simulated board steps the cell when the time of the sweep has passed, not while it passes.
            bare.wait(plan.dwell * volts.size + REST)
            return bare.chip.sweep(row, col, volts, plan.dwell, gate, limit)

        sweep(1)
        for cycle in range(plan.cycles):
            for side in (0, 1):
                out[side][cell, cycle] = sweep(side)
    return out[0], out[1]


def crossings(volts: Floats, current: Floats, sign: float, read_volts: float) -> Floats:
    """Return where I/V crosses the geometric mean of before and after [cells, cycles], as docs/quantities.md says.

    nan where on over off is below 2, or nothing crosses and stays for two points.
    """
    n = volts.size // 2
    v, i = sign * volts, sign * current
    near = np.flatnonzero(np.abs(v - read_volts) <= 0.2501 * read_volts)
    g = i / np.where(v > 0.0, v, np.nan)
    before, after = (np.median(g[..., near[side]], axis=-1) for side in (near <= n, near > n))
    on, off = (after, before) if sign > 0 else (before, after)
    border = np.sqrt(np.maximum(on, 1e-7) * np.maximum(off, 1e-7))
    away: Floats = g[..., : n + 1]
    edge = border[..., None]
    beyond: NDArray[np.bool_] = away >= edge if sign > 0 else away <= edge
    stays = beyond & np.concatenate([beyond[..., 1:], beyond[..., -1:]], axis=-1) & (v[: n + 1] >= read_volts - 1e-9)
    at = np.argmax(stays, axis=-1)
    at = np.maximum(at, 1)
    here, previous = (np.take_along_axis(away, k[..., None], -1)[..., 0] for k in (at, at - 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        share = np.log(border / previous) / np.log(here / previous)
    inside = np.where((share > 0.0) & (share <= 1.0), share, 1.0)
    found = v[at - 1] + inside * (v[at] - v[at - 1])
    switched = stays.any(axis=-1) & (np.maximum(on, 1e-7) >= 2.0 * np.maximum(off, 1e-7))
    return np.where(switched, sign * found, np.nan)
