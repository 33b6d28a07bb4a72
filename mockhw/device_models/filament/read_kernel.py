"""Compiled reading of filament cells: conductance, relaxation, noise, telegraph traps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from ..fluctuations import follow_relaxators, keep_and_kick, start_relaxators, switch_traps
from ..random_streams import gamma, normal, tabulated, uniform
from ..relaxation import relaxed_part
from .kinetics import overdrive
from .types import FLICKER_DECADES, FLICKER_FIRST, HEALTHY, Cell, Floats, Integers, Law

FLICKER_TAU = FLICKER_FIRST * 10.0 ** (FLICKER_DECADES * np.arange(5))  # of a cell's own relaxators [s]
_FAST = np.array([1e-3, 1e-4, 1e-5, 1e-6])  # those of a trace [s], as far as its samples can follow them


_TOGETHER = 128  # cells whose noise is drawn together: their records stay in a core's own cache


@njit(cache=True, error_model="numpy")
def nonlinear(law: Law, g: float, volts: float) -> float:
    """Return the factor of the read current at ``volts`` [V] for a cell that reads ``g`` [µS] at the reference."""
    if g <= 20.0:
        a3 = law.a3_20
    elif g <= 50.0:
        a3 = law.a3_20 + (law.a3_50 - law.a3_20) * (g - 20.0) / 30.0
    elif g <= 80.0:
        a3 = law.a3_50 + (law.a3_80 - law.a3_50) * (g - 50.0) / 30.0
    else:
        a3 = law.a3_80
    v = min(abs(volts), law.a3_volts)
    return (1.0 + a3 * v * v) / (1.0 + a3 * law.ref_volts * law.ref_volts)


@njit(cache=True, error_model="numpy")
def put(cell: Cell, y: float) -> None:
    """Write a cell's state."""
    cell.y = y
    cell.gc = math.exp(y)


@njit(cache=True, error_model="numpy")
def relax(law: Law, cell: Cell, now: float) -> None:
    """Let the state of one cell relax up to ``now`` [s]; independent of how often it is looked at."""
    if cell.formed == 0 or cell.kind != HEALTHY:
        return
    grown = relaxed_part(law.relax_t0, cell.t_move, cell.t_relax, now)
    if grown > 0.0:
        let_relax(law, cell, now, grown * law.relax_inv_log, math.sqrt(grown * law.relax_inv_log))


@njit(cache=True, error_model="numpy")
def let_relax(law: Law, cell: Cell, now: float, part: float, root: float) -> None:
    """Let the state of one healthy cell relax by ``part`` of its decades; ``root`` is the square root of it."""
    gc = cell.gc
    x = gc / law.relax_mean_corner
    # exp and log are half the time of a power.
    spread = law.relax_sd * cell.relax_gain * math.exp(law.relax_power * math.log(100.0 / (gc + law.relax_corner)))
    y = cell.y + law.relax_mean * law.relax_weak * part / (1.0 + x * x)
    y += law.relax_weak * spread * root * normal(cell)
    if law.relax_strong * part > 1e-5:
        y -= law.relax_strong * gamma(cell, part)
    put(cell, min(max(y, law.y_min), law.y_max))
    cell.t_relax = now


@njit(cache=True, error_model="numpy")
def flicker(law: Law, cell: Cell, now: float) -> float:
    """Move the slow relaxators of one cell to ``now`` [s], each by its exact propagator; return their sum.

    One that has had no time to move is left as it is, so that reads in quick succession cost next to nothing.
    """
    total = 0.0
    weight = law.flicker_first
    for j in range(FLICKER_TAU.size):
        tau = FLICKER_TAU[j]
        passed = now - cell.t_flicker[j]
        if passed > 0.02 * tau:
            keep = math.exp(-passed / tau) if passed < 30.0 * tau else 0.0
            cell.flicker[j] = keep * cell.flicker[j] + math.sqrt(1.0 - keep * keep) * normal(cell)
            cell.t_flicker[j] = now
        total += weight * cell.flicker[j]
        weight *= law.flicker_ratio
    return total


@njit(cache=True, error_model="numpy")
def flicker_size(law: Law, cell: Cell, gc: float) -> float:
    """Return the standard deviation of y of one relaxator with a time constant of 1 s."""
    return law.flicker_scale * cell.flicker_gain * math.sqrt(1.0 + law.gq / gc)


@njit(cache=True, error_model="numpy")
def read_cells(
    laws: Sequence[Law], cells: Sequence[Cell], index: Integers, volts: float, gate: float, now: float, out: Floats
) -> None:
    """Fill ``out`` [µS] with I/V at ``volts`` [V] through series resistance and read transistor, noise-free."""
    law = laws[0]
    extra = part = root = 0.0
    last_vt = last_move = last_relax = math.nan
    for k in range(index.size):
        cell = cells[index[k]]
        if cell.formed != 0 and cell.kind == HEALTHY:
            # Cells that were written and read together have relaxed together.
            if cell.t_move != last_move or cell.t_relax != last_relax:
                last_move, last_relax = cell.t_move, cell.t_relax
                part = relaxed_part(law.relax_t0, last_move, last_relax, now) * law.relax_inv_log
                root = math.sqrt(part)
            if part > 0.0:
                let_relax(law, cell, now, part, root)
        vt = cell.vt
        if vt != last_vt:
            last_vt = vt
            # rs holds the transistor at the read gate; another gate changes its share.
            extra = 1.0 / (law.beta * overdrive(law, gate, vt))
            extra -= 1.0 / (law.beta * (law.read_vov + (law.vt - vt)))
        g = 1.0 / (cell.rs + extra + 1.0 / cell.gc)
        out[k] = g * nonlinear(law, g, volts)


@njit(cache=True, error_model="numpy")
def flicker_cells(law: Law, cells: Sequence[Cell], index: Integers, now: float, out: Floats) -> None:
    """Fill ``out`` with :func:`flicker` of many cells, one relaxator after the other.

    Cells that are read together have mostly been read together before: what came of the time that passed is kept.
    """
    size = FLICKER_TAU.size
    known, keep, kick = np.full(size, math.nan), np.empty(size), np.empty(size)
    weight = law.flicker_first * law.flicker_ratio ** np.arange(size)
    for k in range(index.size):
        cell = cells[index[k]]
        if cell.kind != HEALTHY:
            continue
        total = 0.0
        for j in range(size):
            passed = now - cell.t_flicker[j]
            if passed > 0.02 * FLICKER_TAU[j]:
                if passed != known[j]:
                    known[j] = passed
                    ratio = passed / FLICKER_TAU[j]
                    keep[j] = math.exp(-ratio) if ratio < 30.0 else 0.0
                    kick[j] = math.sqrt(1.0 - keep[j] * keep[j])
                cell.flicker[j] = keep[j] * cell.flicker[j] + kick[j] * normal(cell)
                cell.t_flicker[j] = now
            total += weight[j] * cell.flicker[j]
        out[k] = total


@njit(cache=True, error_model="numpy")
def fluctuation(law: Law, cell: Cell, gc: float, average: int, now: float, table: Floats) -> float:
    """Return one reading's deviation of y without slow noise: fast noise averaged over ``average`` reads, the traps."""
    x = gc / law.gq
    if average <= 8:
        fast = 0.0
        for _ in range(average):
            fast += tabulated(table, -1.0 / law.noise_dof, uniform(cell))
        fast /= average
    else:
        # Enough reads for the central limit to hold in the body of the law.
        variance = law.noise_dof / ((law.noise_dof - 2.0) * average)
        fast = math.sqrt(variance) * normal(cell)
    deviation = law.noise_scale * fast / (1.0 + x * x)
    if cell.traps > 0:
        deviation += switch_traps(cell, now) / (1.0 + x)
    return deviation


@njit(cache=True, error_model="numpy")
def seen_through_series(ratio: float, deviation: float) -> float:
    """Return G'/G when a cell changes its ln Gc by ``deviation``; ``ratio`` is series over cell resistance."""
    if abs(deviation) < 0.3:
        # Padé form of the exponential, good to 1e-6 here and much quicker.
        even = 1.0 + deviation * deviation / 12.0
        up, down = even + 0.5 * deviation, even - 0.5 * deviation
        return (ratio + 1.0) * up / (ratio * up + down)
    return (ratio + 1.0) / (ratio + math.exp(-min(max(deviation, -4.0), 4.0)))


@njit(cache=True, error_model="numpy")
def noise_cells(
    laws: Sequence[Law],
    cells: Sequence[Cell],
    table: Floats,
    index: Integers,
    conductance: Floats,
    average: int,
    now: float,
    out: Floats,
) -> None:
    """Fill ``out`` [µS] with one draw of read noise around ``conductance`` [µS]."""
    law = laws[0]
    relative = law.noise_relative / math.sqrt(average)
    ratios, deviations, slow = np.empty(_TOGETHER), np.empty(_TOGETHER), np.zeros(_TOGETHER)
    for first in range(0, index.size, _TOGETHER):
        some = index[first : first + _TOGETHER]
        for k in range(some.size):
            cell = cells[some[k]]
            ratios[k] = 1.0 + relative * normal(cell)
            deviations[k] = fluctuation(law, cell, cell.gc, average, now, table) if cell.kind == HEALTHY else 0.0
        if law.flicker_scale > 0.0:
            flicker_cells(law, cells, some, now, slow)
        for k in range(some.size):
            cell = cells[some[k]]
            ratio = ratios[k]
            if cell.kind == HEALTHY:
                deviation = deviations[k]
                if law.flicker_scale > 0.0:
                    deviation += flicker_size(law, cell, cell.gc) * slow[k]
                ratio *= seen_through_series(cell.gc * cell.rs, deviation)
            out[first + k] = conductance[first + k] * (ratio - 1.0)


@njit(cache=True, error_model="numpy")
def noise_sigma_cells(
    laws: Sequence[Law], cells: Sequence[Cell], index: Integers, conductance: Floats, out: Floats
) -> None:
    """Fill ``out`` with the standard deviation of one read, in the unit of ``conductance``."""
    law = laws[0]
    fast = law.noise_scale * law.noise_scale * law.noise_dof / (law.noise_dof - 2.0)
    for k in range(index.size):
        cell = cells[index[k]]
        variance = 0.0
        if cell.kind == HEALTHY:
            x = cell.gc / law.gq
            variance = fast / ((1.0 + x * x) * (1.0 + x * x))
            for j in range(cell.traps):
                p = cell.trap_occupied[j]
                variance += p * (1.0 - p) * (cell.trap_step[j] / (1.0 + x)) ** 2
            if law.flicker_scale > 0.0:
                slow = 0.0
                for j in range(FLICKER_TAU.size):
                    slow += FLICKER_TAU[j] ** (2.0 * law.flicker_tilt)
                variance += slow * flicker_size(law, cell, cell.gc) ** 2
            share = 1.0 + cell.gc * cell.rs
            variance /= share * share
        out[k] = conductance[k] * math.sqrt(variance + law.noise_relative * law.noise_relative)


@njit(cache=True, error_model="numpy")
def sample_cell(
    laws: Sequence[Law], cells: Sequence[Cell], c: int, current: float, period: float, now: float, out: Floats
) -> None:
    """Fill ``out`` with samples around ``current``, one every ``period`` [s]: 1/f noise, traps and white noise.

    The cell's own slow relaxators go on where the last reading left them; faster ones, a decade apart, belong to the
    trace, as far down as its samples can follow. Their variances go on as those of the slow ones do.
    """
    law = laws[0]
    cell = cells[c]
    gc = cell.gc
    x = gc / law.gq
    series = gc * cell.rs
    healthy = cell.kind == HEALTHY
    count = 0
    while count < _FAST.size and _FAST[count] > 0.5 * period:
        count += 1
    states, keep, kick = np.empty(count), np.empty(count), np.empty(count)
    start_relaxators(cell, states)
    keep_and_kick(period / _FAST[:count], keep, kick)
    weight = _FAST[:count] ** law.flicker_tilt / math.sqrt(FLICKER_DECADES)
    size = flicker_size(law, cell, gc)
    for k in range(out.size):
        ratio = 1.0 + law.noise_relative * normal(cell)
        if healthy:
            time = now + k * period
            deviation = flicker(law, cell, time)
            follow_relaxators(cell, states, keep, kick)
            for j in range(count):
                deviation += weight[j] * states[j]
            deviation *= size
            if cell.traps > 0:
                deviation += switch_traps(cell, time) / (1.0 + x)
            ratio *= seen_through_series(series, deviation)
        out[k] = current * ratio
