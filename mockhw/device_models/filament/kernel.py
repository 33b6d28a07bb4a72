"""Compiled pulses and sweeps of filament cells: motion, cycle noise, forming, breakdown, wear."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numba import njit

from ..random_streams import normal, uniform
from . import kinetics as k
from .kinetics import close, current_now, driven_gate, overdrive, walk
from .read_kernel import fluctuation, nonlinear, put, relax, seen_through_series
from .types import HEALTHY, ON, OPEN, SHORT, Block, Cell, Floats, Integers, Law

_NO_LIMIT = 1e30
_OFF = 1e-4  # saturation current [µA] of a transistor that is off: no formed cell sees more than 0.4 mV

_LANES = k.LANES
_GC, _VOLTS, _LINE, _CHANNEL, _SAT, _BARRIER = k.GC, k.VOLTS, k.LINE, k.CHANNEL, k.SAT, k.BARRIER
_GXR, _MEMORY, _LEFT, _TARGET, _ROOM = k.GXR, k.MEMORY, k.LEFT, k.TARGET, k.ROOM
_BLOCK = k.ROWS * k.LANES


@njit(cache=True, error_model="numpy")
def _age(law: Law, cell: Cell, current: float, vc: float, time: float, moved: float) -> None:
    """Add electrical stress and wear; turn the cell into what it has become."""
    x = max(vc / law.damage_volts, current / law.damage_current)
    if x > 0.5:
        cell.damage += math.exp(min((x - 1.0) / law.damage_width, 200.0)) * time
        if cell.damage > cell.strength:
            short = uniform(cell) < law.short_share
            cell.kind = SHORT if short else OPEN
            put(cell, law.y_short if short else law.y_open)
            return
    cycles = moved / law.wear_excursion
    if cycles > 1e-5:
        # RESET gets harder: as a power of the cycles from the first one on, steeply as the end comes near.
        harder = law.age_power * math.log1p(cycles / (law.age_cycles + cell.wear))
        harder += law.fade * cycles * (2.0 * cell.wear + cycles) / (cell.endurance * cell.endurance)
        cell.ur *= 1.0 + harder + 0.5 * harder * harder
    cell.wear += cycles
    if cell.wear > cell.endurance:
        cell.kind = ON
        put(cell, law.y_on)


@njit(cache=True, error_model="numpy")
def _form(
    law: Law,
    cell: Cell,
    volts: float,
    width: float,
    count: int,
    vov: float,
    i_sat: float,
    series: float,
    limit: float,
    now: float,
) -> int:
    """Stress a virgin cell; return how many of ``count`` pulses are left for it once it has formed."""
    vc = min(volts, i_sat / cell.gc)
    per_pulse = math.exp(min((vc - cell.vf) * law.inv_v0f + law.ln_rate, 200.0)) * width / law.form_width
    missing = 1.0 - cell.stress
    if per_pulse * count < missing:
        cell.stress += per_pulse * count
        return 0
    used = max(1, math.ceil(min(missing / per_pulse, 1e15)))
    cell.stress = 1.0
    i_lin = volts / (cell.rl + series + 1.0 / (law.beta * vov))
    current = min(i_lin / math.sqrt(math.sqrt(1.0 + (i_lin / i_sat) ** 4)), limit)
    y = math.log(law.form_gain * current) + law.form_sd * normal(cell)
    if uniform(cell) < law.form_tail:
        y += law.form_tail_mean * math.log(uniform(cell))
    put(cell, min(max(y, law.y_min), law.y_max))
    cell.formed = 1
    cell.t_move = now
    cell.t_relax = now
    # The snap of forming lasts at least the reference width at full current.
    _age(law, cell, current, 0.0, max(width, law.form_width), 0.0)
    return max(0, count - used) if cell.kind == HEALTHY else 0


@njit(cache=True, error_model="numpy")
def _softplus(law: Law, y: float) -> float:
    """Return ln(1 + Gq/Gc)."""
    return math.log(1.0 + law.gq * math.exp(-y))


@njit(cache=True, error_model="numpy")
def _finish_set(law: Law, cell: Cell, moved: float, current: float, lump: int) -> None:
    """Write the state after ``lump`` equal SETs, with their noise; ``cell.gc`` is the conductance they started from."""
    if moved < 1e-7:
        return
    start = cell.gc / law.gh
    from_hrs = 1.0 / (1.0 + start * start)
    y = min(cell.y + moved, law.y_max)
    if law.kq > 0.0:
        target = min(law.q_max, law.kq * max(0.0, math.log(current / law.i0)))
        cell.q += (target - cell.q) * -math.expm1(-moved / law.least_move)
    share = min(1.0, moved)
    sigma = (law.sig_s * from_hrs + law.sig_l) * (_softplus(law, y) + law.g_s)
    # Of many small moves the variances add up, each with its own share.
    sigma *= math.sqrt(lump) * min(1.0, moved / lump) ** law.step_power
    z = normal(cell)
    cell.polarity = 1
    y += sigma * z
    if uniform(cell) < law.ptail * share * from_hrs:
        short = law.ttail if law.tail_bend == 0.0 else law.ttail * _softplus(law, y) ** law.tail_bend
        y += short * math.log(uniform(cell))
    put(cell, min(max(y, law.y_min), law.y_max))


@njit(cache=True, error_model="numpy")
def _finish_reset(
    law: Law, cell: Cell, moved: float, slope: float, raw: float, vc: float, width: float, lump: int, share: float
) -> float:
    """Write the state after a RESET move, with the kick near the front; return the kick of one pulse.

    ``share`` scales the kick's variance (1 for a pulse).
    """
    y = cell.y - moved
    kick = 0.0
    if slope > 1e-3 and vc > law.kick_volts and share > 0.0:
        # Distance below the RESET front, the state at which slope·rate·width = 1.
        # A cell that has come far has come to the front (to within e^−9/slope).
        below = 0.0
        if slope * moved < 9.0:
            below = max(0.0, -(math.log(slope * width) + raw + law.ln_rate) / slope)
        near = (below / law.d0) ** 2
        near = 1.0 / (1.0 + near * near)
        if near > law.kick_floor:
            # Ends softly where the data end, or thousands of half-selects far below the front would add up.
            near = (near - law.kick_floor) / (1.0 - law.kick_floor)
            near *= min(1.0, 2.0 * (vc / law.kick_volts - 1.0))
            drift = share * near * law.lam * below * law.gq / (law.gq + math.exp(y)) if below > 0.0 else 0.0
            kick = math.sqrt(share) * near * law.sig_h * _softplus(law, y)
            z = normal(cell)
            if cell.polarity != -1:
                cell.polarity = -1
                z = law.rho * cell.xi_r + math.sqrt(1.0 - law.rho * law.rho) * z
                cell.xi_r = z
            y += lump * drift + math.sqrt(lump) * kick * z
            kick = max(kick, math.sqrt(drift))
    if moved > 1e-7 or kick > 0.0:
        put(cell, min(max(y, law.y_min), law.y_max))
    if moved > 0.02 and law.sig_b > 0.0:
        # What broke the filament decides how the next SET finds it: the barrier is drawn anew as far as the cell came.
        kept = math.exp(law.ln_rho * min(1.0, moved / law.forget))
        cell.xi_s = kept * cell.xi_s + math.sqrt(1.0 - kept * kept) * normal(cell)
    return kick


@njit(cache=True, error_model="numpy")
def _set_barrier(law: Law, cell: Cell) -> float:
    """Return the barrier of a SET from what the last RESET left: normal about US, or with a long tail above."""
    if law.sig_b == 0.0:
        return cell.us
    drawn = cell.xi_s
    if law.skew_b > 0.0:
        drawn = math.expm1(law.skew_b * min(drawn, 5.0)) / law.skew_b
    return cell.us * max(1.0 + law.sig_b * drawn, 0.1)


@njit(cache=True, error_model="numpy")
def _load(
    law: Law, cell: Cell, w: Block, i: int, setting: bool, volts: float, series: float, vov: float, i_sat: float
) -> None:
    """Write what stays constant of one cell's pulse into lane ``i``."""
    w[_VOLTS + i] = volts
    w[_LINE + i] = cell.rl + series
    w[_CHANNEL + i] = 1.0 / (law.beta * vov)
    w[_SAT + i] = i_sat if setting else vov
    w[_BARRIER + i] = _set_barrier(law, cell) if setting else cell.ur
    w[_GXR + i] = cell.gxr


@njit(cache=True, error_model="numpy")
def run_block(
    law: Law,
    cells: Sequence[Cell],
    w: Block,
    lane: Integers,
    width: Floats,
    left: Integers,
    start: Floats,
    n: int,
    setting: bool,
    limit: float,
    kick_share: float,
    now: float,
) -> None:
    """Apply the pulses loaded in lanes 0…n−1: ``left[i]`` pulses of ``width[i]`` [µs] on cell ``lane[i]``.

    Equal pulses that hardly act are lumped: motion depends on total time, noise adds in variance.
    """
    lump = np.empty(_LANES, np.int64)
    for i in range(n):
        lump[i] = 1
        start[i] = cells[lane[i]].y
    while n > 0:
        for i in range(n):
            cell = cells[lane[i]]
            time = width[i] * lump[i]
            w[_GC + i] = cell.gc
            w[_MEMORY + i] = cell.q
            w[_LEFT + i] = time
            w[_TARGET + i] = 1.5 - math.log(time)
            w[_ROOM + i] = law.y_max - cell.y if setting else cell.y - law.y_min
        walk(law, w, n, setting, limit)
        kept = 0
        for i in range(n):
            cell = cells[lane[i]]
            moved, current, vc, raw, slope = close(w, i)
            time = width[i] * lump[i]
            kick = 0.0
            if setting:
                _finish_set(law, cell, moved, current, lump[i])
            else:
                kick = _finish_reset(law, cell, moved, slope, raw, vc, width[i], lump[i], kick_share)
            _age(law, cell, current, vc, time, moved)
            rest = left[i] - lump[i]
            if rest == 0 or cell.kind != HEALTHY:
                if abs(cell.y - start[i]) > 0.01:
                    cell.t_move = now
                    cell.t_relax = now
                continue
            bound = float(rest)
            if moved > 0.0:
                bound = min(bound, 0.01 * lump[i] / moved)
            if kick > 0.0:
                bound = min(bound, (0.02 / kick) ** 2)
            lane[kept] = lane[i]
            width[kept] = width[i]
            start[kept] = start[i]
            left[kept] = rest
            lump[kept] = max(1, int(bound))
            for row in range(k.VOLTS // _LANES, k.MEMORY // _LANES):
                w[row * _LANES + kept] = w[row * _LANES + i]
            kept += 1
        n = kept


@njit(cache=True, error_model="numpy")
def pulse_cells(
    laws: Sequence[Law],
    cells: Sequence[Cell],
    vts: Floats,
    pulsed: Integers,
    index: Integers,
    volts: Floats,
    width: Floats,
    gate: Floats,
    count: Integers,
    series: Floats,
    now: float,
) -> None:
    """Pulse many cells; volts [V], width [µs], gate [V], series [MΩ].

    ``vts`` [V] and ``pulsed`` (counts) lie outside the cells' records, so that cells whose transistor is off
    cost no more than a glance.
    """
    law = laws[0]
    w = np.empty(_BLOCK, np.float32)
    lane = np.empty(_LANES, np.int64)
    widths = np.empty(_LANES)
    left = np.empty(_LANES, np.int64)
    start = np.empty(_LANES)
    last_gate = math.nan
    last_width = math.nan
    last_vt = math.nan
    vov = 0.0
    i_sat = 0.0
    for direction in range(2):
        setting = direction == 0
        n = 0
        for j in range(index.size):
            v = volts[j] if setting else -volts[j]
            if not v > 0.0 or count[j] <= 0 or not width[j] > 0.0:
                continue
            c = index[j]
            pulsed[c] += count[j]
            vt = float(vts[c])
            if gate[j] != last_gate or width[j] != last_width or vt != last_vt:
                last_gate = gate[j]
                last_width = width[j]
                last_vt = vt
                vov = overdrive(law, driven_gate(law, last_gate, last_width), vt)
                i_sat = 0.5 * law.beta * vov**law.alpha
            if i_sat < _OFF:
                continue
            cell = cells[c]
            if cell.kind != HEALTHY:
                continue
            pulses = count[j]
            if cell.formed == 0:
                if not setting:
                    continue
                pulses = _form(law, cell, v, last_width, pulses, vov, i_sat, series[j], _NO_LIMIT, now)
                if pulses == 0:
                    continue
            relax(law, cell, now)
            _load(law, cell, w, n, setting, v, series[j], vov, i_sat)
            lane[n] = c
            widths[n] = last_width
            left[n] = pulses
            n += 1
            if n == _LANES:
                run_block(law, cells, w, lane, widths, left, start, n, setting, _NO_LIMIT, 1.0, now)
                n = 0
        run_block(law, cells, w, lane, widths, left, start, n, setting, _NO_LIMIT, 1.0, now)


@njit(cache=True, error_model="numpy")
def _reported_current(law: Law, cell: Cell, volts: float, vov: float, series: float) -> float:
    """Return the signed current [µA] of one cell in its present state, read nonlinearity included."""
    if volts == 0.0:
        return 0.0
    current = current_now(law, volts > 0.0, cell.gc, abs(volts), cell.rl + series, vov)
    current *= nonlinear(law, cell.gc / (1.0 + cell.rs * cell.gc), volts)
    return current if volts > 0.0 else -current


@njit(cache=True, error_model="numpy")
def present_currents(
    laws: Sequence[Law],
    cells: Sequence[Cell],
    index: Integers,
    volts: Floats,
    gate: Floats,
    series: Floats,
    out: Floats,
) -> None:
    """Fill ``out`` [µA] with the currents of many cells."""
    law = laws[0]
    for j in range(index.size):
        cell = cells[index[j]]
        out[j] = _reported_current(law, cell, volts[j], overdrive(law, gate[j], cell.vt), series[j])


@njit(cache=True, error_model="numpy")
def sweep_cell(
    laws: Sequence[Law],
    cells: Sequence[Cell],
    table: Floats,
    c: int,
    volts: Floats,
    dwell: float,
    gate: float,
    limit: float,
    series: float,
    now: float,
    out: Floats,
) -> None:
    """Step one cell through ``volts`` [V], ``dwell`` [µs] each; fill ``out`` [µA] with the current ending each step.

    The same walk as for pulses, with the current limited inside it. The gate is held, so its driver has settled.
    """
    law = laws[0]
    cell = cells[c]
    w = np.empty(_BLOCK, np.float32)
    lane = np.empty(_LANES, np.int64)
    width = np.empty(_LANES)
    left = np.empty(_LANES, np.int64)
    start = np.empty(_LANES)
    vov = overdrive(law, gate, cell.vt)
    i_sat = 0.5 * law.beta * vov**law.alpha
    last = 0.0
    for j in range(volts.size):
        v = volts[j]
        setting = v > 0.0
        # Kicks were measured per 50 mV of rising voltage; a finer or falling sweep must not add more of them.
        rise = min(1.0, max(0.0, abs(v) - last) / law.kick_step)
        last = abs(v)
        if v != 0.0 and cell.kind == HEALTHY and i_sat >= _OFF:
            if cell.formed == 0:
                if setting:
                    _form(law, cell, v, dwell, 1, vov, i_sat, series, limit, now)
            else:
                relax(law, cell, now)
                _load(law, cell, w, 0, setting, abs(v), series, vov, i_sat)
                lane[0] = c
                width[0] = dwell
                left[0] = 1
                run_block(law, cells, w, lane, width, left, start, 1, setting, limit, rise, now)
        now += dwell * 1e-6
        current = _reported_current(law, cell, v, vov, series)
        current *= 1.0 + law.noise_relative * normal(cell)
        if cell.kind == HEALTHY:
            ratio = cell.gc * (cell.rs + series)
            current *= seen_through_series(ratio, fluctuation(law, cell, cell.gc, 1, now, table))
        out[j] = min(max(current, -limit), limit)
