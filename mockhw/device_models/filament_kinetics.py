"""The law of motion of filament cells behind their transistors, compiled for blocks of cells.

One state y = ln(Gc/µS). Kernel units: µS, µA, MΩ, V, µs. Volts are magnitudes from here on; one block
moves in one direction.

A block is a flat float32 buffer of ``ROWS`` rows of ``LANES`` numbers, because loops over constant offsets
of one buffer are what the compiler turns into vector code (8 cells at a time). float32 is ample: results
leave as the distance moved, not as the new state.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

LANES = 256
ROWS = 23

# Rows given by the caller.
GC = 0 * LANES  # conductance now
VOLTS = 1 * LANES
LINE = 2 * LANES  # series resistance without the transistor
CHANNEL = 3 * LANES  # 1/(beta·vov)
SAT = 4 * LANES  # saturation current (SET) or overdrive (RESET)
BARRIER = 5 * LANES  # US or UR
GXR = 6 * LANES
MEMORY = 7 * LANES  # q
LEFT = 8 * LANES  # time left
TARGET = 9 * LANES  # exponent near which time starts to matter
ROOM = 10 * LANES  # |Δy| to the bound of the state
# Rows the walk fills.
AHEAD = 11 * LANES
E2 = 12 * LANES
CURRENT2 = 13 * LANES
VC2 = 14 * LANES
RAW = 15 * LANES  # exponent of the fitted law
CURRENT = 16 * LANES
VC = 17 * LANES
EXPONENT = 18 * LANES  # ln of the rate
DM = 19 * LANES  # length of the next step in y
MOVED = 20 * LANES
FALL = 21 * LANES  # drop of the exponent over the last step
ACTIVE = 22 * LANES

_F = np.float32
_ZERO, _HALF, _ONE, _TWO = _F(0.0), _F(0.5), _F(1.0), _F(2.0)
_FINE, _COARSE = _F(0.4), _F(1.6)
_SMALL_FALL = _F(1e-3)
_NEGLIGIBLE = _F(0.1)
_SHRINK = _F(0.7)
_E_MAX = _F(80.0)
_INV_300 = _F(1.0 / 300.0)
_E128 = _F(1.0 / 128.0)
_C2, _C3, _C4, _C5 = _F(0.5), _F(1.0 / 6.0), _F(1.0 / 24.0), _F(1.0 / 120.0)
_TINY = _F(1e-12)


@njit(cache=True, error_model="numpy")
def overdrive(law, gate, vt):
    """Return the soft-plus overdrive [V] of a transistor."""
    x = (gate - vt) / law.soft
    if x > 30.0:
        return gate - vt
    return law.soft * math.log1p(math.exp(x)) + 1e-12


@njit(cache=True, error_model="numpy")
def driven_gate(law, word_line, width):
    """Return the gate voltage [V] a word-line driver reaches within a pulse of ``width`` [µs]."""
    if law.tau <= 0.0:
        return word_line
    if word_line <= law.vtd:
        return 0.0
    return word_line * (1.0 - math.exp(-(width / law.tau) * (word_line - law.vtd) ** law.aw))


@njit(inline="always")
def _exp(x):
    """Return e^x for |x| ≤ 80 to about 1e-5, in operations that vectorise."""
    x *= _E128
    p = _ONE + x * (_ONE + x * (_C2 + x * (_C3 + x * (_C4 + x * _C5))))
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    p *= p
    return p * p


@njit(cache=True, fastmath=True, error_model="numpy")
def _evaluate_set(w, n, limit, gxs, inv_v0):
    for i in range(n):
        gc = w[AHEAD + i]
        rc = _ONE / gc
        i_lin = w[VOLTS + i] / (rc + w[LINE + i] + w[CHANNEL + i])
        x = i_lin / w[SAT + i]
        x *= x
        current = min(i_lin / math.sqrt(math.sqrt(_ONE + x * x)), limit)
        vc = current * rc
        w[CURRENT2 + i] = current
        w[VC2 + i] = vc
        w[E2 + i] = (vc * math.sqrt((gc + gxs) * _INV_300) - w[BARRIER + i]) * inv_v0


@njit(cache=True, fastmath=True, error_model="numpy")
def _evaluate_reset(w, n, limit, beta, slope, gm, inv_v0):
    for i in range(n):
        gc = w[AHEAD + i]
        rc = _ONE / gc
        r = rc + w[LINE + i]
        i_lin = w[VOLTS + i] / (r + w[CHANNEL + i])
        # The cell node is the transistor's source: its rise eats the overdrive.
        vov = w[SAT + i]
        u = _TWO * vov / (_ONE + math.sqrt(_ONE + _TWO * beta * slope * r * vov))
        x = i_lin / (_HALF * beta * u * u)
        x *= x
        current = min(i_lin / math.sqrt(math.sqrt(_ONE + x * x)), limit)
        vc = current * rc
        f = math.sqrt(gc / (gc + w[GXR + i]))
        f *= math.sqrt(f) * (gc + gm) / (gc * (_ONE + w[MEMORY + i]) + gm)
        w[CURRENT2 + i] = current
        w[VC2 + i] = vc
        w[E2 + i] = (vc * f - w[BARRIER + i]) * inv_v0


@njit(cache=True, fastmath=True, error_model="numpy")
def _begin(w, n, knee, slow, shift):
    for i in range(n):
        raw = w[E2 + i]
        e = raw if raw > knee else knee + slow * (raw - knee)
        e = max(min(e + shift, _E_MAX), -_E_MAX)
        w[RAW + i] = raw
        w[CURRENT + i] = w[CURRENT2 + i]
        w[VC + i] = w[VC2 + i]
        w[EXPONENT + i] = e
        w[DM + i] = _COARSE if e > w[TARGET + i] + _ONE else _FINE
        w[MOVED + i] = _ZERO
        w[FALL + i] = _ZERO
        w[ACTIVE + i] = _ONE


@njit(cache=True, fastmath=True, error_model="numpy")
def _look_ahead(w, n, sign):
    for i in range(n):
        w[AHEAD + i] = w[GC + i] * _exp(sign * w[DM + i])


@njit(cache=True, fastmath=True, error_model="numpy")
def _step(w, n, knee, slow, shift):
    """Accept, refine or end each lane's step; return how many lanes still walk."""
    walking = _ZERO
    for i in range(n):
        raw2 = w[E2 + i]
        e2 = raw2 if raw2 > knee else knee + slow * (raw2 - knee)
        e2 = max(min(e2 + shift, _E_MAX), -_E_MAX)
        e = w[EXPONENT + i]
        dm = w[DM + i]
        left = w[LEFT + i]
        active = w[ACTIVE + i]
        before = _exp(-e)
        after = _exp(-e2)
        fall = e - e2
        # Time for the whole step, the logarithm of the rate being taken linear in y.
        flat = fall < _SMALL_FALL and fall > -_SMALL_FALL
        needed = dm * (before if flat else (after - before) / (_ONE if flat else fall))
        fine = dm <= _FINE
        ends = needed >= left and fine
        accepts = (needed <= _NEGLIGIBLE * left or fine) and needed < left
        go = active if accepts else _ZERO
        moved = w[MOVED + i] + go * dm
        # Next: aim at the exponent where time starts to matter, by the secant just found.
        start = e2 if accepts else e
        aim = (start - w[TARGET + i]) * dm / max(fall, _TINY)
        most = _COARSE if accepts else dm * _SHRINK
        aim = max(min(aim, most), _FINE)
        over = moved >= w[ROOM + i]
        w[FALL + i] = fall / dm if active > _ZERO else w[FALL + i]
        w[GC + i] = w[AHEAD + i] if go > _ZERO else w[GC + i]
        w[LEFT + i] = left - go * needed
        w[MOVED + i] = moved
        stops = ends or over
        # An ended lane keeps both ends of its last step, for interpolation.
        w[EXPONENT + i] = e2 if go > _ZERO else e
        raw = w[RAW + i]
        w[RAW + i] = raw2 if go > _ZERO else raw
        w[CURRENT + i] = w[CURRENT2 + i] if go > _ZERO else w[CURRENT + i]
        w[VC + i] = w[VC2 + i] if go > _ZERO else w[VC + i]
        w[DM + i] = aim if active > _ZERO and not stops else dm
        active = _ZERO if stops else active
        w[ACTIVE + i] = active
        walking += active
    return walking
