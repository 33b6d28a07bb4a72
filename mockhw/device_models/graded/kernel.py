"""Compiled life of one graded cell: moves with their noise, reversals, forming, wear, breakdown, read noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from ..fluctuations import follow_relaxators, keep_and_kick, seen_of_relaxator, switch_traps
from ..random_streams import normal, uniform
from ..relaxation import relaxed_part
from .kinetics import forward, high_end, low_end
from .types import HEALTHY, OPEN, RELAXATORS, SHORT, STUCK_ON, Cell, Floats, Law

_LINEAR = 1e-3  # b [1/V] of what conducts like a resistor


@njit(cache=True, error_model="numpy")
def put(cell: Cell, s: float) -> None:
    """Write a cell's state."""
    cell.s = s
    cell.g = cell.goff * math.exp(cell.ln_ratio * s)


@njit(cache=True, error_model="numpy")
def become(cell: Cell, kind: int, g: float, linear: bool) -> None:
    """Turn a cell into one that no longer switches and conducts ``g`` [S]."""
    cell.kind = kind
    cell.s = math.log(g / cell.goff) / cell.ln_ratio
    cell.g = g
    if linear:
        cell.b = _LINEAR


@njit(cache=True, error_model="numpy")
def turn(law: Law, cell: Cell, direction: int, distance: float) -> bool:
    """Note that a cell is about to move by ``distance`` in ``direction``; return whether that begins a new branch.

    A new branch draws its own λ and its own end of the range, correlated with the last ones of that direction.
    """
    if cell.polarity == direction:
        cell.against = 0.0
        return False
    cell.against += distance
    if cell.against < law.least_move:
        return False
    cell.against = 0.0
    cell.polarity = direction
    fresh = math.sqrt(1.0 - law.rho * law.rho)
    if direction > 0:
        cell.z_set = law.rho * cell.z_set + fresh * normal(cell)
        cell.z_max = law.rho * cell.z_max + fresh * normal(cell)
    else:
        cell.z_reset = law.rho * cell.z_reset + fresh * normal(cell)
        cell.z_min = law.rho * cell.z_min + fresh * normal(cell)
    return True


@njit(cache=True, error_model="numpy")
def move(law: Law, cell: Cell, direction: int, distance: float) -> None:
    """Move the state by ``distance`` in ``direction``, with its noise; latch a virgin cell that has formed."""
    variance = distance * (law.inv_n if cell.formed else law.inv_n_forming)
    old = cell.s
    s = old + direction * distance + math.sqrt(variance) * normal(cell)
    s = max(s, min(low_end(law, cell), old)) if cell.formed else max(s, cell.sv)
    s = min(s, max(high_end(law, cell), old))
    put(cell, s)
    if cell.formed == 0 and s > law.latch * cell.sv:
        cell.formed = 1
    cell.path += distance
    cell.wear += distance / law.wear_excursion
    worn = min(cell.wear / cell.endurance, 1.0)
    cell.worn = worn if law.fatigue_power == 1.0 else worn**law.fatigue_power
    if cell.wear > cell.endurance:
        become(cell, STUCK_ON, law.g_on, False)


@njit(cache=True, error_model="numpy")
def hazard(law: Law, vc: float, current: float) -> float:
    """Return the breakdown hazard [1/s] at ``vc`` [V] and ``current`` [A]."""
    x = abs(vc) / law.damage_volts
    y = abs(current) / law.damage_current
    total = 0.0
    if x > 0.3:
        total += x**law.volts_power
    if y > 0.05:
        total += y**law.current_power
    return total / law.damage_time


@njit(cache=True, error_model="numpy")
def age(law: Law, cell: Cell, stress: float) -> None:
    """Add ``stress`` (hazard × time) to a cell; turn it into what it has become."""
    cell.damage += stress
    if cell.damage > cell.strength and cell.kind == HEALTHY:
        short = uniform(cell) < law.short_share
        if short:
            become(cell, SHORT, law.g_short, True)
        else:
            become(cell, OPEN, law.g_open, True)


@njit(cache=True, error_model="numpy")
def fastest(law: Law, cells: Sequence[Cell], volts: float) -> float:
    """Return an upper bound of any cell's |ds/dt| [1/s], breakdown hazard included, below |``volts``| [V]."""
    top = hazard(law, volts, 0.0)
    for k in range(len(cells)):
        cell = cells[k]
        if cell.kind == HEALTHY:
            top = max(top, abs(forward(law, cell, volts)), abs(forward(law, cell, -volts)))
    return top


@njit(cache=True, error_model="numpy")
def relax(law: Law, cell: Cell, now: float) -> bool:
    """Let a formed cell relax up to ``now`` [s], however often it is looked at; return whether it changed."""
    if cell.formed == 0 or cell.kind != HEALTHY:
        return False
    part = relaxed_part(law.relax_t0, cell.t_move, cell.t_relax, now) * law.relax_inv_log
    if part == 0.0:
        return False
    old = cell.s
    s = old * math.exp(-law.relax_drift * part) + law.relax_sd * math.sqrt(part) * normal(cell)
    put(cell, min(max(s, min(low_end(law, cell), old)), max(high_end(law, cell), old)))
    cell.t_relax = now
    return True


@njit(cache=True, error_model="numpy")
def freshen(law: Law, cell: Cell, moved: float, now: float) -> None:
    """Note that a write has moved the state by ``moved`` up to ``now`` [s]: its age shrinks by that share."""
    if moved > law.least_move:
        age = max(now - cell.t_move, 0.0)
        cell.t_move = now - age * (1.0 - min(moved / law.relax_move, 1.0))
        cell.t_relax = now


@njit(cache=True, error_model="numpy")
def read_factors(laws: Sequence[Law], cells: Sequence[Cell], now: float, aperture: float, out: Floats) -> None:
    """Fill ``out`` with each cell's read noise at ``now`` [s], averaged over ``aperture`` [s], as a factor of G.

    What an average leaves of a relaxator is exact in its variance; the state at the average's end stands for it.
    """
    law = laws[0]
    white = law.white_share
    if law.aperture > 0.0:
        white *= math.sqrt(law.aperture / aperture)
    ratios, keep, kick, seen = np.empty(RELAXATORS), np.empty(RELAXATORS), np.empty(RELAXATORS), np.empty(RELAXATORS)
    passed = max(now - cells[0].t_trap, 0.0)
    tau = law.flicker_shortest
    for j in range(RELAXATORS):
        ratios[j] = min(passed / tau, 700.0)
        seen[j] = law.flicker * seen_of_relaxator(aperture / tau) if j < law.flicker_count else 0.0
        tau *= 10.0
    keep_and_kick(ratios, keep, kick)
    for k in range(len(cells)):
        cell = cells[k]
        ohms = min(1.0 / cell.g + cell.rs, law.noise_ohms)
        percent = law.noise_slope * ohms + law.noise_floor
        deviation = white * normal(cell)
        if law.flicker > 0.0:
            if passed > 0.0:
                follow_relaxators(cell, cell.flicker, keep, kick)
            for j in range(RELAXATORS):
                deviation += seen[j] * cell.flicker[j]
        step = switch_traps(cell, max(now, cell.t_trap))
        if cell.kind == HEALTHY:
            deviation += step
        out[k] = max(0.0, 1.0 + 0.01 * percent * deviation)
