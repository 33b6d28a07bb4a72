"""Compiled law of one graded cell: what it conducts, how fast its state moves and how motion slows itself."""

from __future__ import annotations

import math

from numba import njit

from .types import HEALTHY, Cell, Law

_CEILING = 60.0  # largest exponent of a rate: e^60 per second is beyond any time step


@njit(cache=True, error_model="numpy")
def bend(cell: Cell) -> float:
    """Return b [1/V] of the sinh law: a cell keeps its virgin value until it latches."""
    return cell.b_virgin if cell.kind == HEALTHY and cell.formed == 0 else cell.b


@njit(cache=True, error_model="numpy")
def amplitude(law: Law, g: float, b: float) -> float:
    """Return g·κ [A], the factor before the sinh."""
    return g * law.vr / math.sinh(b * law.vr)


@njit(cache=True, error_model="numpy")
def low_end(law: Law, cell: Cell) -> float:
    """Return the least state this cycle, at this age."""
    return cell.smin + law.c2c_bound * cell.z_min + law.fatigue_low * cell.worn


@njit(cache=True, error_model="numpy")
def high_end(law: Law, cell: Cell) -> float:
    """Return the largest state this cycle, at this age."""
    return cell.smax + law.c2c_bound * cell.z_max - law.fatigue_high * cell.worn


@njit(cache=True, error_model="numpy")
def forward(law: Law, cell: Cell, vc: float) -> float:
    """Return the signed ds/dt [1/s] of a healthy cell at ``vc`` [V] across its switching layer.

    The factor 1 − exp(−2V/V0) is that of hops in both directions; it is 1 wherever motion matters and lets
    the rate vanish with the voltage.
    """
    if vc > 0.0:
        if cell.formed == 0:
            x = (vc * cell.inv_xi_forming - law.vf0 + law.gf * (1.0 - cell.s / cell.sv)) * law.inv_v0f
            back = -2.0 * vc * cell.inv_xi_forming * law.inv_v0f
            return math.exp(min(x + law.ln_rate, _CEILING)) * -math.expm1(back)
        room = (high_end(law, cell) - cell.s) / law.w
        if room <= 0.0:
            return 0.0
        x = (vc * cell.inv_xi - law.vs0 - cell.a_set * cell.s) * law.inv_v0s
        x += cell.lam_set + law.c2c_lam * cell.z_set + law.ln_rate
        return math.exp(min(x, _CEILING)) * min(1.0, room) * -math.expm1(-2.0 * vc * cell.inv_xi * law.inv_v0s)
    if vc < 0.0 and cell.formed != 0:
        room = (cell.s - low_end(law, cell)) / law.w
        if room <= 0.0:
            return 0.0
        x = (-vc * cell.inv_xi - law.vr0 - cell.a_reset * (1.0 - cell.s)) * law.inv_v0r
        x += cell.lam_reset + law.c2c_lam * cell.z_reset + law.ln_rate
        return -math.exp(min(x, _CEILING)) * min(1.0, room) * -math.expm1(2.0 * vc * cell.inv_xi * law.inv_v0r)
    return 0.0


@njit(cache=True, error_model="numpy")
def braking(law: Law, cell: Cell, vc: float, current: float, slope: float, ohms: float) -> float:
    """Return c = −d ln(rate)/d|s|: how motion slows itself (c > 0) or runs away (c < 0).

    Parameters
    ----------
    vc : float [V]
        Voltage at the switching layer.
    current, slope : float [A], [S]
        Current and differential conductance of the switching layer.
    ohms : float [Ω]
        All that lies in front of the switching layer, the cell's own series resistance included.
    """
    # |dVc/ds| by which a growing conductance takes voltage from itself.
    sag = ohms * abs(current) * cell.ln_ratio / (1.0 + ohms * slope)
    if vc > 0.0:
        if cell.formed == 0:
            return (law.gf / cell.sv + sag * cell.inv_xi_forming) * law.inv_v0f
        room = high_end(law, cell) - cell.s
        fade = 1.0 / room if room < law.w else 0.0
        return (cell.a_set + sag * cell.inv_xi) * law.inv_v0s + fade
    room = cell.s - low_end(law, cell)
    fade = 1.0 / room if room < law.w else 0.0
    return (cell.a_reset - sag * cell.inv_xi) * law.inv_v0r + fade


@njit(cache=True, error_model="numpy")
def time_to_move(rate: float, c: float, distance: float) -> float:
    """Return the time [s] until |s| has moved by ``distance`` at a rate that falls as e^(−c·distance)."""
    x = c * distance
    if abs(x) < 1e-6:
        return distance / abs(rate)
    return math.expm1(min(x, 300.0)) / (c * abs(rate))


@njit(cache=True, error_model="numpy")
def distance_moved(rate: float, c: float, seconds: float) -> float:
    """Return the |Δs| moved in ``seconds`` [s]; the inverse of :func:`time_to_move`."""
    free = abs(rate) * seconds
    x = c * free
    if abs(x) < 1e-6:
        return free
    return math.log1p(max(x, -0.999)) / c
