"""Compiled pulses and sweeps of filament cells: motion, cycle noise, forming, breakdown, wear."""

from __future__ import annotations

import math

from numba import njit

from .filament_kinetics import driven_gate, operating_point, overdrive, slowed, travel
from .filament_read_kernel import fluctuation, nonlinear, relax, seen_through_series
from .filament_types import HEALTHY, ON, OPEN, SHORT
from .random_streams import normal, uniform

_NO_LIMIT = 1e30
_NOTHING = -16.0  # ln of a change too small to matter


@njit(cache=True, error_model="numpy")
def _set_draw(law, cell):
    """Return ξ of a SET; at the first pulse after a RESET it remembers the last cycle's."""
    z = normal(cell)
    if cell.polarity != 1:
        cell.polarity = 1
        z = law.rho * cell.xi_s + math.sqrt(1.0 - law.rho * law.rho) * z
        cell.xi_s = z
    return z


@njit(cache=True, error_model="numpy")
def _reset_draw(law, cell):
    """Return ξ of a RESET; at the first pulse after a SET it remembers the last cycle's."""
    z = normal(cell)
    if cell.polarity != -1:
        cell.polarity = -1
        z = law.rho * cell.xi_r + math.sqrt(1.0 - law.rho * law.rho) * z
        cell.xi_r = z
    return z


@njit(cache=True, error_model="numpy")
def _age(law, cell, current, vc, time, moved):
    """Add electrical stress and wear; turn the cell into what it has become."""
    x = max(vc / law.damage_volts, current / law.damage_current)
    if x > 0.5:
        cell.damage += math.exp(min((x - 1.0) / law.damage_width, 200.0)) * time
        if cell.damage > cell.strength:
            short = uniform(cell) < law.short_share
            cell.kind = SHORT if short else OPEN
            cell.y = law.y_short if short else law.y_open
            return
    cell.wear += moved / law.wear_excursion
    if cell.wear > cell.endurance:
        cell.kind = ON
        cell.y = law.y_on


@njit(cache=True, error_model="numpy")
def _form(law, cell, volts, width, count, vov, line, limit):
    """Stress a virgin cell; return how many of ``count`` pulses are left once it has formed (−1: it has not)."""
    i_sat = 0.5 * law.beta * vov**law.alpha
    vc = min(volts, i_sat * math.exp(-cell.y))
    per_pulse = math.exp(min((vc - cell.vf) * law.inv_v0f + law.ln_rate, 200.0)) * width / law.form_width
    missing = 1.0 - cell.stress
    if per_pulse * count < missing:
        cell.stress += per_pulse * count
        return -1
    used = max(1, int(math.ceil(min(missing / per_pulse, 1e15))))
    cell.stress = 1.0
    i_lin = volts / (line + 1.0 / (law.beta * vov))
    x = (i_lin / i_sat) ** 4
    current = min(i_lin / math.sqrt(math.sqrt(1.0 + x)), limit)
    spread = law.form_sd * normal(cell)
    y = math.log(law.form_gain * current) + spread
    cell.y = min(max(y, law.y_min), law.y_max)
    cell.formed = 1
    # The snap of forming lasts at least the reference width at full current.
    _age(law, cell, current, 0.0, max(width, law.form_width), 0.0)
    return max(0, count - used)


@njit(cache=True, error_model="numpy")
def train(law, cell, signed_volts, width, count, vov, series, limit, now):
    """Apply ``count`` equal pulses to a healthy cell and let it age."""
    setting = signed_volts > 0.0
    volts = abs(signed_volts)
    line = cell.rl + series
    i_sat = 0.5 * law.beta * vov**law.alpha
    if cell.formed == 0:
        if not setting:
            return
        count = _form(law, cell, volts, width, count, vov, line, limit)
        if count >= 0:
            cell.t_move = now
            cell.t_relax = now
        if count <= 0 or cell.kind != HEALTHY:
            return
    barrier = cell.us if setting else cell.ur
    gxr = cell.gxr

    # Half-selected cells leave here: even the largest possible cell voltage would not move them.
    gc = math.exp(cell.y)
    vc_most = min(volts, i_sat / gc)
    if setting:
        e_most = (vc_most * math.sqrt((gc + law.gxs) * (1.0 / 300.0)) - barrier) * law.inv_v0s
        quiet = True
    else:
        e_most = (vc_most - barrier) * law.inv_v0r
        quiet = vc_most * law.inv_v0r < 0.05
    if quiet and slowed(law, setting, e_most) + math.log(width * count) < _NOTHING:
        return

    relax(law, cell, now)
    start = cell.y
    left = count
    lump = 1
    while left > 0 and cell.kind == HEALTHY:
        lump = min(lump, left)
        left -= lump
        time = width * lump
        y, moved, slope, e_raw = travel(
            law, setting, cell.y, time, volts, line, vov, i_sat, limit, barrier, gxr, cell.q
        )
        gc = math.exp(y)
        _, current, vc = operating_point(
            law, setting, gc, volts, line, vov, i_sat, limit, barrier, gxr, cell.q
        )
        kick = 0.0
        if setting:
            if moved > 1e-7:
                if moved > law.least_move and law.kq > 0.0:
                    cell.q = min(law.q_max, law.kq * max(0.0, math.log(current / law.i0)))
                sigma = law.sig_s * math.sqrt(min(1.0, moved)) * (math.log1p(law.gq / gc) + law.g_s)
                y += sigma * _set_draw(law, cell)
                if uniform(cell) < law.ptail * min(1.0, moved):
                    y += law.ttail * math.log(uniform(cell))
        elif slope > 1e-3:
            # Distance below the RESET front, the state at which slope·rate·width = 1.
            below = max(0.0, -(math.log(slope * width) + e_raw + law.ln_rate) / slope)
            near = (below / law.d0) ** 4
            if near < 1e6:
                near = 1.0 / (1.0 + near)
                drift = near * law.lam * below * law.gq / (law.gq + gc)
                kick = near * law.sig_h * math.log1p(law.gq / gc)
                y += lump * drift + math.sqrt(lump) * kick * _reset_draw(law, cell)
                kick = max(kick, math.sqrt(drift))
        y = min(max(y, law.y_min), law.y_max)
        cell.y = y
        _age(law, cell, current, vc, time, moved)
        # Equal pulses that hardly act are taken together: motion depends on total time, noise adds in variance.
        lump = left
        if moved > 0.0:
            lump = min(lump, int(min(1e15, 0.01 * time / (width * moved))))
        if kick > 0.0:
            lump = min(lump, int(min(1e15, (0.02 / kick) ** 2)))
        lump = max(lump, 1)
    if abs(cell.y - start) > 0.01:
        cell.t_move = now
        cell.t_relax = now


@njit(cache=True, error_model="numpy")
def pulse_cells(laws, cells, index, volts, width, gate, count, series, now):
    """Pulse many cells; volts [V], width [µs], gate [V], series [MΩ]."""
    law = laws[0]
    last_gate = math.nan
    last_width = math.nan
    last_vt = math.nan
    vov = 0.0
    for k in range(index.size):
        cell = cells[index[k]]
        if volts[k] == 0.0 or count[k] <= 0 or width[k] <= 0.0:
            continue
        cell.pulses += count[k]
        if cell.kind != HEALTHY:
            continue
        vt = cell.vt
        if gate[k] != last_gate or width[k] != last_width or vt != last_vt:
            last_gate = gate[k]
            last_width = width[k]
            last_vt = vt
            vov = overdrive(law, driven_gate(law, last_gate, last_width), vt)
        train(law, cell, volts[k], width[k], count[k], vov, series[k], _NO_LIMIT, now)


@njit(cache=True, error_model="numpy")
def cell_current(law, cell, volts, vov, series, limit):
    """Return the signed current [µA] of one cell in its present state, read nonlinearity included."""
    if volts == 0.0:
        return 0.0
    setting = volts > 0.0
    gc = math.exp(cell.y)
    _, current, _ = operating_point(
        law, setting, gc, abs(volts), cell.rl + series, vov,
        0.5 * law.beta * vov**law.alpha, _NO_LIMIT, 0.0, cell.gxr, 0.0,
    )  # fmt: skip
    # Below the reference voltage the state is the one read; the factor may not lift a limited current.
    current = min(current * nonlinear(law, gc / (1.0 + cell.rs * gc), volts), limit)
    return current if setting else -current


@njit(cache=True, error_model="numpy")
def present_currents(laws, cells, index, volts, gate, series, out):
    """Fill ``out`` [µA] with the currents of many cells."""
    law = laws[0]
    for k in range(index.size):
        cell = cells[index[k]]
        out[k] = cell_current(law, cell, volts[k], overdrive(law, gate[k], cell.vt), series[k], _NO_LIMIT)


@njit(cache=True, error_model="numpy")
def sweep_cell(laws, cells, table, c, volts, dwell, gate, limit, series, now, out):
    """Step one cell through ``volts`` [V], ``dwell`` [µs] each; fill ``out`` [µA] with the current ending each step.

    The gate is held, so the driver has settled.
    """
    law = laws[0]
    cell = cells[c]
    vov = overdrive(law, gate, cell.vt)
    for k in range(volts.size):
        v = volts[k]
        if v != 0.0 and cell.kind == HEALTHY:
            train(law, cell, v, dwell, 1, vov, series, limit, now)
        now += dwell * 1e-6
        gc = math.exp(cell.y)
        share = 1.0 / (1.0 + gc * (cell.rs + series))
        current = cell_current(law, cell, v, vov, series, limit)
        current *= 1.0 + law.noise_relative * normal(cell)
        if cell.kind == HEALTHY:
            current *= seen_through_series(share, fluctuation(law, cell, gc, 1, now, table))
        out[k] = min(max(current, -limit), limit)
