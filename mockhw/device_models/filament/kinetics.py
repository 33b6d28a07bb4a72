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

from .types import Block, Law, Real

LANES = 128
PAD = 32  # lanes are filled up to a multiple of this, so that a lane's result never depends on its neighbours
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
_FINEST, _FINE, _COARSE = _F(0.04), _F(0.4), _F(1.6)
_AT_KNEE = _F(0.1)
_SMALL_FALL = _F(1e-3)
_NEGLIGIBLE = _F(0.1)
_SHRINK = _F(0.7)
_E_MAX = _F(80.0)
_INV_300 = _F(1.0 / 300.0)
_E128 = _F(1.0 / 128.0)
_C2, _C3, _C4, _C5 = _F(0.5), _F(1.0 / 6.0), _F(1.0 / 24.0), _F(1.0 / 120.0)
_TINY = _F(1e-12)


@njit(cache=True, error_model="numpy")
def overdrive(law: Law, gate: float, vt: float) -> float:
    """Return the soft-plus overdrive [V] of a transistor."""
    x = (gate - vt) / law.soft
    if x > 30.0:
        return gate - vt
    return law.soft * math.log1p(math.exp(x)) + 1e-12


@njit(cache=True, error_model="numpy")
def driven_gate(law: Law, word_line: float, width: float) -> float:
    """Return the gate voltage [V] a word-line driver reaches within a pulse of ``width`` [µs]."""
    if law.tau <= 0.0:
        return word_line
    if word_line <= law.vtd:
        return 0.0
    return word_line * (1.0 - math.exp(-(width / law.tau) * (word_line - law.vtd) ** law.aw))


@njit(inline="always")
def _exp(x: Real) -> Real:
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


@njit(inline="always")
def _norm4(a: Real, b: Real) -> Real:
    a *= a
    b *= b
    return math.sqrt(math.sqrt(a * a + b * b))


@njit(cache=True, fastmath=True, error_model="numpy")
def _evaluate_set(w: Block, n: int, limit: Real, gxs: Real, inv_v0: Real) -> None:
    for i in range(n):
        gc = w[AHEAD + i]
        rc = _ONE / gc
        i_lin = w[VOLTS + i] / (rc + w[LINE + i] + w[CHANNEL + i])
        i_sat = w[SAT + i]
        current = min(i_lin * i_sat / _norm4(i_lin, i_sat), limit)
        vc = current * rc
        w[CURRENT2 + i] = current
        w[VC2 + i] = vc
        w[E2 + i] = (vc * math.sqrt((gc + gxs) * _INV_300) - w[BARRIER + i]) * inv_v0


@njit(cache=True, fastmath=True, error_model="numpy")
def _evaluate_reset(
    w: Block, n: int, limit: Real, beta: Real, rise: Real, gm: Real, shallow: Real, inv_v0: Real
) -> None:
    for i in range(n):
        gc = w[AHEAD + i]
        rc = _ONE / gc
        r = rc + w[LINE + i]
        i_lin = w[VOLTS + i] / (r + w[CHANNEL + i])
        # The cell node is the transistor's source: its rise eats the overdrive.
        vov = w[SAT + i]
        u = _TWO * vov / (_ONE + math.sqrt(_ONE + _TWO * beta * rise * r * vov))
        i_sat = _HALF * beta * u * u
        current = min(i_lin * i_sat / _norm4(i_lin, i_sat), limit)
        vc = current * rc
        half = math.sqrt(gc / (gc + w[GXR + i]))
        f = math.sqrt(half) * (shallow + (_ONE - shallow) * half)
        f *= (gc + gm) / (gc * (_ONE + w[MEMORY + i]) + gm)
        w[CURRENT2 + i] = current
        w[VC2 + i] = vc
        w[E2 + i] = (vc * f - w[BARRIER + i]) * inv_v0


@njit(cache=True, fastmath=True, error_model="numpy")
def _begin(w: Block, n: int, sign: Real, knee: Real, slow: Real, shift: Real) -> None:
    for i in range(n):
        gc = w[GC + i]
        raw = w[E2 + i]
        e = raw if raw > knee else knee + slow * (raw - knee)
        e = max(min(e + shift, _E_MAX), -_E_MAX)
        w[RAW + i] = raw
        w[CURRENT + i] = w[CURRENT2 + i]
        w[VC + i] = w[VC2 + i]
        w[EXPONENT + i] = e
        dm = _COARSE if e > w[TARGET + i] + _ONE else _FINE
        w[DM + i] = dm
        w[AHEAD + i] = gc * _exp(sign * dm)
        w[MOVED + i] = _ZERO
        w[FALL + i] = _ZERO
        w[ACTIVE + i] = _ONE


@njit(cache=True, fastmath=True, error_model="numpy")
def _step(w: Block, n: int, sign: Real, knee: Real, slow: Real, shift: Real) -> Real:
    """Accept, refine or end each lane's step; return how many lanes still walk."""
    walking = _ZERO
    for i in range(n):
        # Everything is loaded first and every branch is a choice between values, or the loop would not vectorise.
        raw2 = w[E2 + i]
        raw = w[RAW + i]
        e = w[EXPONENT + i]
        dm = w[DM + i]
        left = w[LEFT + i]
        active = w[ACTIVE + i]
        gc = w[GC + i]
        ahead = w[AHEAD + i]
        last_fall = w[FALL + i]
        moved = w[MOVED + i]
        room = w[ROOM + i]
        target = w[TARGET + i]
        current, current2 = w[CURRENT + i], w[CURRENT2 + i]
        vc, vc2 = w[VC + i], w[VC2 + i]

        e2 = knee + (_ONE if raw2 > knee else slow) * (raw2 - knee)
        e2 = max(min(e2 + shift, _E_MAX), -_E_MAX)
        before = _exp(-e)
        fall = e - e2
        # Time for the whole step, the logarithm of the rate being taken linear in y.
        flat = abs(fall) < _SMALL_FALL
        over_fall = _ONE / (_ONE if flat else fall)
        needed = dm * (before if flat else (_exp(-e2) - before) * over_fall)
        # No secant across the knee of the law: such a step is taken again, up to the knee.
        to_knee, past_knee = raw - knee, raw2 - knee
        crosses = (abs(to_knee) > _AT_KNEE) & (abs(past_knee) > _AT_KNEE) & (to_knee * past_knee < _ZERO)
        crosses = crosses & (dm > _FINEST)
        short = dm <= _FINE
        fine = short & (not crosses)
        ends = (needed >= left) & fine
        accepts = ((needed <= _NEGLIGIBLE * left) | fine) & (needed < left)
        go = active if accepts else _ZERO
        going = go > _ZERO
        walks = active > _ZERO
        moved += go * dm
        stops = ends | (moved >= room)
        # Next: aim at the exponent where time starts to matter, by the secant just found.
        aim = ((e2 if accepts else e) - target) * dm / max(fall, _TINY)
        aim = max(min(aim, _COARSE if accepts else dm * _SHRINK), _FINE)
        run = to_knee - past_knee
        knee_aim = dm * to_knee / (run if crosses else _ONE)
        aim = max(knee_aim, _FINEST) if crosses & short & (not accepts) else aim

        # An ended lane keeps both ends of its last step, for interpolation.
        w[FALL + i] = fall / dm if walks else last_fall
        gc = ahead if going else gc
        dm_next = aim if walks & (not stops) else dm
        w[GC + i] = gc
        w[AHEAD + i] = gc * _exp(sign * dm_next)
        w[LEFT + i] = left - go * needed
        w[MOVED + i] = moved
        w[EXPONENT + i] = e2 if going else e
        w[RAW + i] = raw2 if going else raw
        w[CURRENT + i] = current2 if going else current
        w[VC + i] = vc2 if going else vc
        w[DM + i] = dm_next
        active = _ZERO if stops else active
        w[ACTIVE + i] = active
        walking += active
    return walking


@njit(cache=True, error_model="numpy")
def walk(law: Law, w: Block, n: int, setting: bool, limit: float) -> None:
    """Move the first ``n`` lanes of block ``w`` until their time is up, within a step still to be closed.

    Steps are taken in state, not in time: over a step the logarithm of the rate is linear in y (a secant), for
    which the time is known in closed form. Long steps are accepted where they take next to no time; then
    the walk aims at the state where time starts to matter and goes on in steps of
    0.4 or, across the knee of the law, less. :func:`close` does the rest.
    """
    padded = (n + PAD - 1) // PAD * PAD
    for i in range(n, padded):
        for row in range(ROWS):
            w[row * LANES + i] = w[row * LANES]
    sign = np.float32(1.0 if setting else -1.0)
    knee = np.float32(law.knee_s if setting else law.knee_r)
    slow = np.float32(law.slow_s if setting else law.slow_r)
    shift = np.float32(law.ln_rate)
    most = np.float32(limit)
    inv_v0 = np.float32(law.inv_v0s if setting else law.inv_v0r)
    gxs, gm, shallow = np.float32(law.gxs), np.float32(law.gm), np.float32(law.shallow)
    beta, rise = np.float32(law.beta), np.float32(law.n)
    for i in range(padded):
        w[AHEAD + i] = w[GC + i]
    for turn in range(100):
        if setting:
            _evaluate_set(w, padded, most, gxs, inv_v0)
        else:
            _evaluate_reset(w, padded, most, beta, rise, gm, shallow, inv_v0)
        if turn == 0:
            _begin(w, padded, sign, knee, slow, shift)
        elif _step(w, padded, sign, knee, slow, shift) == _ZERO:
            break


@njit(cache=True, error_model="numpy")
def close(w: Block, i: int) -> tuple[float, float, float, float, float]:
    """End lane ``i`` inside its last step; return (|Δy|, current [µA], cell voltage [V], exponent, slope).

    ``exponent`` and ``slope`` = −d(exponent)/d|y| are those of the fitted law at the end.
    """
    moved = float(w[MOVED + i])
    dm = float(w[DM + i])
    slope = (float(w[RAW + i]) - float(w[E2 + i])) / dm
    room = float(w[ROOM + i])
    if moved >= room:
        return room, float(w[CURRENT + i]), float(w[VC + i]), float(w[RAW + i]), slope
    a = float(w[FALL + i])
    straight = float(w[LEFT + i]) * math.exp(float(w[EXPONENT + i]))
    x = a * straight
    step = straight if abs(x) < 1e-6 else math.log(1.0 + x) / a
    step = min(step, dm, room - moved)
    part = step / dm
    current = float(w[CURRENT + i]) * (1.0 - part) + float(w[CURRENT2 + i]) * part
    vc = float(w[VC + i]) * (1.0 - part) + float(w[VC2 + i]) * part
    return moved + step, current, vc, float(w[RAW + i]) - slope * step, slope


@njit(cache=True, error_model="numpy")
def current_now(law: Law, setting: bool, gc: float, volts: float, line: float, vov: float) -> float:
    """Return the current [µA] at cell conductance ``gc`` [µS] without any limit."""
    r = 1.0 / gc + line
    i_lin = volts / (r + 1.0 / (law.beta * vov))
    if setting:
        i_sat = 0.5 * law.beta * vov**law.alpha
    else:
        u = 2.0 * vov / (1.0 + math.sqrt(1.0 + 2.0 * law.beta * law.n * r * vov))
        i_sat = 0.5 * law.beta * u * u
    return float(i_lin * i_sat / _norm4(i_lin, i_sat))
