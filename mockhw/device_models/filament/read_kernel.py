"""Compiled reading of filament cells: conductance, relaxation, noise, telegraph traps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from ..fluctuations import follow_relaxators, keep_and_kick, start_relaxators, switch_traps
from ..random_streams import normal, tabulated, uniform
from ..relaxation import relaxed_part
from .kinetics import overdrive
from .types import HEALTHY, Cell, Floats, Integers, Law

_DECADES = np.array([1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5])  # sample period over a relaxator's time constant


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
    if grown == 0.0:
        return
    part = grown * law.relax_inv_log
    gc = cell.gc
    x = gc / law.gq
    size = law.relax_amplitude / (1.0 + x * x)
    y = cell.y + law.relax_mean * size * part * gc / (gc + law.relax_corner)
    y += law.relax_sd * size * math.sqrt(part) * normal(cell)
    put(cell, min(max(y, law.y_min), law.y_max))
    cell.t_relax = now


@njit(cache=True, error_model="numpy")
def read_cells(
    laws: Sequence[Law], cells: Sequence[Cell], index: Integers, volts: float, gate: float, now: float, out: Floats
) -> None:
    """Fill ``out`` [µS] with I/V at ``volts`` [V] through series resistance and read transistor, noise-free."""
    law = laws[0]
    extra = 0.0
    last_vt = math.nan
    for k in range(index.size):
        cell = cells[index[k]]
        relax(law, cell, now)
        vt = cell.vt
        if vt != last_vt:
            last_vt = vt
            # rs holds the transistor at the read gate; another gate changes its share.
            extra = 1.0 / (law.beta * overdrive(law, gate, vt))
            extra -= 1.0 / (law.beta * (law.read_vov + (law.vt - vt)))
        g = 1.0 / (cell.rs + extra + 1.0 / cell.gc)
        out[k] = g * nonlinear(law, g, volts)


@njit(cache=True, error_model="numpy")
def fluctuation(law: Law, cell: Cell, gc: float, average: int, now: float, table: Floats) -> float:
    """Return one reading's deviation of y: fast noise averaged over ``average`` reads, plus the traps."""
    x = gc / law.gq
    damping = 1.0 / (1.0 + x * x)
    if average <= 8:
        fast = 0.0
        for _ in range(average):
            fast += tabulated(table, -1.0 / law.noise_dof, uniform(cell))
        fast /= average
    else:
        # Enough reads for the central limit to hold in the body of the law.
        variance = law.noise_dof / ((law.noise_dof - 2.0) * average)
        fast = math.sqrt(variance) * normal(cell)
    return damping * (law.noise_scale * fast + switch_traps(cell, now))


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
    for k in range(index.size):
        cell = cells[index[k]]
        gc = cell.gc
        ratio = 1.0 + relative * normal(cell)
        if cell.kind == HEALTHY:
            ratio *= seen_through_series(gc * cell.rs, fluctuation(law, cell, gc, average, now, table))
        out[k] = conductance[k] * (ratio - 1.0)


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
            share = 1.0 / ((1.0 + cell.gc * cell.rs) * (1.0 + x * x))
            variance = fast
            for j in range(cell.traps):
                p = cell.trap_occupied[j]
                variance += p * (1.0 - p) * cell.trap_step[j] * cell.trap_step[j]
            variance *= share * share
        out[k] = conductance[k] * math.sqrt(variance + law.noise_relative * law.noise_relative)


@njit(cache=True, error_model="numpy")
def sample_cell(
    laws: Sequence[Law], cells: Sequence[Cell], c: int, current: float, period: float, now: float, out: Floats
) -> None:
    """Fill ``out`` with samples around ``current``, one every ``period`` [s]: 1/f noise, traps and white noise.

    Six relaxators a decade apart from the sample period upwards add up to 1/f; one Student scale per
    trace keeps the heavy tail between cells and traces that single reads show.
    """
    law = laws[0]
    cell = cells[c]
    gc = cell.gc
    x = gc / law.gq
    series = gc * cell.rs
    # chi-squared of dof 2.5 from its gamma mean-preserving pieces: 2 exponential dof plus half a normal one
    chi = -2.0 * math.log(uniform(cell))
    z = normal(cell)
    chi += 0.5 * z * z
    scale = law.noise_scale * math.sqrt(law.noise_dof / max(chi, 1e-3)) / (math.sqrt(6.0) * (1.0 + x * x))
    damping = 1.0 / (1.0 + x * x)
    healthy = cell.kind == HEALTHY
    states, keep, kick = np.empty(6), np.empty(6), np.empty(6)
    start_relaxators(cell, states)
    keep_and_kick(_DECADES, keep, kick)
    for k in range(out.size):
        ratio = 1.0 + law.noise_relative * normal(cell)
        if healthy:
            deviation = scale * follow_relaxators(cell, states, keep, kick)
            deviation += damping * switch_traps(cell, now + k * period)
            ratio *= seen_through_series(series, deviation)
        out[k] = current * ratio
