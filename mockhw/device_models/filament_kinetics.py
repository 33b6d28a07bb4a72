"""The law of motion of one filament cell behind its transistor, compiled.

One state y = ln(Gc/µS). Kernel units: µS, µA, MΩ, V, µs. ``setting`` is True for the positive
direction; volts are magnitudes from here on.
"""

from __future__ import annotations

import math

from numba import njit

_COARSE = 1.6
_FINE = 0.4
_GAIN_COARSE = math.exp(_COARSE)
_GAIN_MIDDLE = math.exp(0.5 * _COARSE)
_GAIN_FINE = math.exp(_FINE)
_NO_LIMIT = 1e30


@njit(cache=True)
def overdrive(law, gate, vt):
    """Return the soft-plus overdrive [V] of a transistor."""
    x = (gate - vt) / law.soft
    if x > 30.0:
        return gate - vt
    return law.soft * math.log1p(math.exp(x)) + 1e-12


@njit(cache=True)
def driven_gate(law, word_line, width):
    """Return the gate voltage [V] a word-line driver reaches within a pulse of ``width`` [µs]."""
    if law.tau <= 0.0:
        return word_line
    if word_line <= law.vtd:
        return 0.0
    return word_line * (1.0 - math.exp(-(width / law.tau) * (word_line - law.vtd) ** law.aw))


@njit(cache=True, fastmath=True)
def operating_point(law, setting, gc, volts, line, vov, i_sat, limit, barrier, gxr, q):
    """Return (exponent of the rate, current [µA], cell voltage [V]) at cell conductance ``gc`` [µS]."""
    rc = 1.0 / gc
    r = rc + line
    i_lin = volts / (r + 1.0 / (law.beta * vov))
    if not setting:
        # The cell node is the transistor's source: its rise eats the overdrive.
        k = law.beta * law.n * r
        u = 2.0 * vov / (1.0 + math.sqrt(1.0 + 2.0 * k * vov))
        i_sat = 0.5 * law.beta * u * u
    x = i_lin / i_sat
    x *= x
    current = min(i_lin / math.sqrt(math.sqrt(1.0 + x * x)), limit)
    vc = current * rc
    if setting:
        e = (vc * math.sqrt((gc + law.gxs) * (1.0 / 300.0)) - barrier) * law.inv_v0s
    else:
        f = math.sqrt(gc / (gc + gxr))
        w = f * math.sqrt(f)
        if q > 0.0:
            w *= (gc + law.gm) / (gc * (1.0 + q) + law.gm)
        e = (vc * w - barrier) * law.inv_v0r
    return e, current, vc


@njit(cache=True, fastmath=True)
def slowed(law, setting, e):
    """Return ln(rate·µs): the fitted exponent, steeper below the knee, shifted by temperature."""
    knee = law.knee_s if setting else law.knee_r
    if e < knee:
        e = knee + (law.slow_s if setting else law.slow_r) * (e - knee)
    return min(e, 200.0) + law.ln_rate


@njit(cache=True, fastmath=True)
def travel(law, setting, y, time, volts, line, vov, i_sat, limit, barrier, gxr, q):
    """Integrate the state over ``time`` [µs] at constant bias.

    Steps in state, not in time: over a step the logarithm of the rate is taken linear (a secant), for
    which the time is known in closed form. Steps that take next to no time may be long.

    Returns
    -------
    (y, moved, slope, exponent)
        New state, |Δy|, −d(exponent)/d|y| of the last secant, exponent at the end.
    """
    gc = math.exp(y)
    e_raw, _, _ = operating_point(law, setting, gc, volts, line, vov, i_sat, limit, barrier, gxr, q)
    e = slowed(law, setting, e_raw)
    slow = math.exp(-e)
    dm = _COARSE if time > 8.0 * slow else _FINE
    left = time
    moved = 0.0
    slope = 0.0
    room = law.y_max - y if setting else y - law.y_min
    while moved < room:
        gain = _GAIN_COARSE if dm == _COARSE else (_GAIN_FINE if dm == _FINE else _GAIN_MIDDLE)
        ahead = gc * gain if setting else gc / gain
        e2_raw, _, _ = operating_point(law, setting, ahead, volts, line, vov, i_sat, limit, barrier, gxr, q)
        e2 = slowed(law, setting, e2_raw)
        slow2 = math.exp(-e2)
        fall = e - e2
        if abs(fall) < 1e-7:
            needed = dm * slow
        else:
            needed = dm * (slow2 - slow) / fall
        if dm > _FINE and needed > 0.04 * left:
            dm *= 0.5
            continue
        slope = (e_raw - e2_raw) / dm
        if needed >= left:
            a = fall / dm
            x = a * left / slow
            step = left / slow if abs(x) < 1e-7 else math.log1p(x) / a
            step = min(step, dm)
            moved += step
            e_raw -= slope * step
            break
        moved += dm
        left -= needed
        gc = ahead
        e = e2
        e_raw = e2_raw
        slow = slow2
    moved = min(moved, room)
    return (y + moved if setting else y - moved), moved, slope, e_raw
