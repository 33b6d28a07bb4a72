"""Compiled life of one graded cell: moves with their noise, reversals, forming, wear, breakdown, read noise."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numba import njit

from ..random_streams import normal, uniform
from .kinetics import forward
from .types import HEALTHY, OPEN, SHORT, STUCK_ON, Cell, Floats, Law

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
    if cell.formed:
        low = cell.smin + law.c2c_bound * cell.z_min
        s = max(s, min(low, old))
    else:
        s = max(s, cell.sv)
    s = min(s, max(cell.smax + law.c2c_bound * cell.z_max, old))
    put(cell, s)
    if cell.formed == 0 and s > law.latch * cell.sv:
        cell.formed = 1
    cell.path += distance
    cell.wear += distance / law.wear_excursion
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
def read_factors(laws: Sequence[Law], cells: Sequence[Cell], out: Floats) -> None:
    """Fill ``out`` with one draw of each cell's read noise, as a factor of its conductance."""
    law = laws[0]
    for k in range(len(cells)):
        cell = cells[k]
        ohms = min(1.0 / cell.g + cell.rs, law.noise_ohms)
        percent = law.noise_slope * ohms + law.noise_floor
        out[k] = max(0.0, 1.0 + 0.01 * percent * normal(cell))
