"""Random telegraph noise: whether a sampled current jumps between two levels, which, and for how long it stays."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import ArrayLike, NDArray

from .estimates import CONFIDENCE, UNKNOWN, Estimate, Floats

MIN_POINTS = 200
MIN_JUMPS = 4
MARGIN = 10.0
"""By how much the BIC of two levels must be lower: "very strong" (Kass, Raftery, J. Am. Stat. Assoc. 90, 773)."""
_ORDERS = (0, 1, 2, 4, 8, 16)
_ROUNDS = 100


@dataclass(frozen=True, kw_only=True)
class Telegraph:
    """Two levels of a trace, the better of both models.

    Parameters
    ----------
    preferred : bool
        Whether two levels are preferred over one.
    low, high : float
        Levels, in the unit of the trace.
    sigma : float
        Standard deviation about the levels.
    stay_low, stay_high : Estimate [s]
        Mean time before the trace leaves a level; nan where it leaves as often as it is looked at.
    jumps : int
        Changes of level that were seen.
    criterion : float
        BIC of one level minus BIC of two.
    path : ndarray of bool [points]
        Where the trace is on its high level.
    """

    preferred: bool
    low: float
    high: float
    sigma: float
    stay_low: Estimate
    stay_high: Estimate
    jumps: int
    criterion: float
    path: NDArray[np.bool_]


@njit(cache=True)
def _expect(x: Floats, low: float, high: float, sigma: float, rise: float, fall: float, stay: Floats) -> Floats:
    """Fill ``stay`` with the chance of the high level at every sample; return sums of the expectation step.

    Returns [log-likelihood, expected rises, expected falls, expected samples low, expected samples high], the last
    sample left out of the latter two.
    """
    n = x.size
    ahead = np.empty((n, 2))
    scale = np.empty(n)
    out = np.zeros(5)
    p_high = rise / (rise + fall)
    one, two = 1.0 - p_high, p_high
    for t in range(n):
        if t > 0:
            one = ahead[t - 1, 0] * (1.0 - rise) + ahead[t - 1, 1] * fall
            two = ahead[t - 1, 0] * rise + ahead[t - 1, 1] * (1.0 - fall)
        a, b = (x[t] - low) / sigma, (x[t] - high) / sigma
        top = -0.5 * min(a * a, b * b)
        one *= math.exp(-0.5 * a * a - top)
        two *= math.exp(-0.5 * b * b - top)
        total = one + two
        scale[t] = total
        ahead[t, 0], ahead[t, 1] = one / total, two / total
        out[0] += math.log(total) + top - math.log(sigma) - 0.9189385332046727
    back_low, back_high = 1.0, 1.0
    stay[n - 1] = ahead[n - 1, 1]
    for t in range(n - 2, -1, -1):
        a, b = (x[t + 1] - low) / sigma, (x[t + 1] - high) / sigma
        top = -0.5 * min(a * a, b * b)
        e_low, e_high = math.exp(-0.5 * a * a - top), math.exp(-0.5 * b * b - top)
        norm = scale[t + 1]
        out[1] += ahead[t, 0] * rise * e_high * back_high / norm
        out[2] += ahead[t, 1] * fall * e_low * back_low / norm
        new_low = ((1.0 - rise) * e_low * back_low + rise * e_high * back_high) / norm
        new_high = (fall * e_low * back_low + (1.0 - fall) * e_high * back_high) / norm
        back_low, back_high = new_low, new_high
        stay[t] = ahead[t, 1] * back_high
        out[3] += 1.0 - stay[t]
        out[4] += stay[t]
    return out


@njit(cache=True)
def _best_path(x: Floats, low: float, high: float, sigma: float, rise: float, fall: float) -> NDArray[np.bool_]:
    """Return the most probable sequence of levels (Viterbi)."""
    n = x.size
    came = np.zeros((n, 2), np.bool_)
    stay_low, up, down, stay_high = math.log1p(-rise), math.log(rise), math.log(fall), math.log1p(-fall)
    one, two = math.log(fall / (rise + fall)), math.log(rise / (rise + fall))
    for t in range(n):
        if t > 0:
            from_low, from_high = one + stay_low, two + down
            came[t, 0] = from_high > from_low
            new_one = max(from_low, from_high)
            from_low, from_high = one + up, two + stay_high
            came[t, 1] = from_high > from_low
            one, two = new_one, max(from_low, from_high)
        a, b = (x[t] - low) / sigma, (x[t] - high) / sigma
        one -= 0.5 * a * a
        two -= 0.5 * b * b
    path = np.empty(n, np.bool_)
    state = two > one
    for t in range(n - 1, -1, -1):
        path[t] = state
        state = came[t, 1] if state else came[t, 0]
    return path


def two_levels(values: ArrayLike, rate: float, *, confidence: float = CONFIDENCE) -> Telegraph:
    """Say whether a trace has two levels, and what they are.

    *One level*: Gaussian noise that may be correlated (an autoregression of order 0 to 16, by BIC), so that 1/f noise
    is not taken for jumps. *Two levels*: a hidden Markov chain of two states with Gaussian noise, by Baum and Welch;
    its most probable path is taken off, and what is left may be correlated in the same way. Two levels are preferred
    when the BIC, the cost of the path included, is lower by 10 and at least four jumps were seen.

    The mean times are those of the continuous chain whose samples these are, −1/ln of what is kept per sample shared
    by the rates; their intervals are those of sums of exponential times (χ² with twice the number of jumps).
    Source: L. R. Rabiner, Proc. IEEE 77, 257 (1989); M. J. Kirton, M. J. Uren, Adv. Phys. 38, 367 (1989).

    Parameters
    ----------
    values : array_like [points]
        Samples; those that are not finite are left out.
    rate : float [1/s]
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[np.isfinite(x)]
    n = int(x.size)
    spread = float(x.std()) if n else 0.0
    size = float(np.abs(x).max(initial=0.0))
    if n < MIN_POINTS or spread <= 1e-12 * size:
        return _none(x)
    middle = float(x.mean())
    z = (x - middle) / spread
    fits = [fit for share in (0.5, 0.15, 0.85) if (fit := _fit(z, share)) is not None]
    if not fits:
        return _none(x)
    _, low, high, sigma, rise, fall = max(fits)
    path = _best_path(z, low, high, sigma, rise, fall)
    rest = z - np.where(path, high, low)
    ups, downs = int((path[1:] & ~path[:-1]).sum()), int((~path[1:] & path[:-1]).sum())
    one, two = _noise_bic(z), _noise_bic(rest)
    in_low, in_high = int((~path[:-1]).sum()), int(path[:-1].sum())
    cost = -2.0 * (_chance(ups, in_low, rise) + _chance(downs, in_high, fall)) + 3.0 * math.log(n)
    criterion = one - two - cost
    seconds = [samples / rate for samples in (in_low, in_high)]
    stays = [
        _mean_time(chance, rise + fall, rate, jumps, time, confidence)
        for chance, jumps, time in zip((rise, fall), (ups, downs), seconds, strict=True)
    ]
    return Telegraph(
        preferred=criterion > MARGIN and ups + downs >= MIN_JUMPS,
        low=middle + spread * low,
        high=middle + spread * high,
        sigma=spread * float(rest.std()),
        stay_low=stays[0],
        stay_high=stays[1],
        jumps=ups + downs,
        criterion=criterion,
        path=path,
    )


def _fit(z: Floats, share: float) -> tuple[float, float, float, float, float, float] | None:
    """Return (log-likelihood, low, high, sigma, rise, fall) from a start with ``share`` of the samples low."""
    edge = float(np.quantile(z, share))
    below, above = z[z <= edge], z[z > edge]
    if below.size < 2 or above.size < 2:
        return None
    low, high = float(below.mean()), float(above.mean())
    sigma = max(float(np.sqrt((below.var() * below.size + above.var() * above.size) / z.size)), 1e-4)
    rise, fall = 0.05 * (1.0 - share) + 0.005, 0.05 * share + 0.005
    chance = np.empty(z.size)
    likelihood = before = -math.inf
    for _ in range(_ROUNDS):
        likelihood, ups, downs, in_low, in_high = _expect(z, low, high, sigma, rise, fall, chance)
        weight = float(chance.sum())
        if not 1.0 < weight < z.size - 1.0 or in_low <= 0.0 or in_high <= 0.0:
            return None
        low, high = float(((1.0 - chance) @ z) / (z.size - weight)), float((chance @ z) / weight)
        squares = (1.0 - chance) @ (z - low) ** 2 + chance @ (z - high) ** 2
        sigma = max(math.sqrt(float(squares) / z.size), 1e-4)
        rise, fall = (min(max(float(k), 1e-9), 1.0 - 1e-9) for k in (ups / in_low, downs / in_high))
        if abs(likelihood - before) < 1e-6 * abs(likelihood):
            break
        before = likelihood
    if low > high:
        low, high, rise, fall = high, low, fall, rise
    return float(likelihood), low, high, sigma, rise, fall


def _noise_bic(z: Floats) -> float:
    """Return the least BIC of Gaussian noise about a mean, correlated or not."""
    top = _ORDERS[-1]
    n = z.size - top
    y = z[top:]
    past = np.stack([z[top - k : z.size - k] for k in range(1, top + 1)], axis=1)
    found: list[float] = []
    for order in _ORDERS:
        design = np.column_stack([np.ones(n), past[:, :order]])
        solution, *_ = np.linalg.lstsq(design, y, rcond=None)
        rest = y - design @ solution
        variance = max(float(rest @ rest) / n, 1e-12)
        found.append(n * (math.log(2.0 * math.pi * variance) + 1.0) + (order + 2.0) * math.log(n))
    return min(found)


def _chance(jumps: int, samples: int, chance: float) -> float:
    """Return ln of the probability of a path that jumps ``jumps`` times in ``samples``."""
    return jumps * math.log(chance) + (samples - jumps) * math.log1p(-chance)


def _mean_time(
    chance: float, both: float, rate: float, jumps: int, seconds: float, confidence: float
) -> Estimate:  # fmt: skip
    from scipy.special import chdtri

    if both >= 1.0 or not jumps:
        return UNKNOWN
    value = both / (chance * -math.log1p(-both) * rate)
    tail = (1.0 - confidence) / 2.0
    ends = [2.0 * jumps / float(chdtri(2.0 * count, at)) for count, at in ((jumps, tail), (jumps, 1.0 - tail))]
    return Estimate(value, value * ends[0], value * ends[1], jumps)


def _none(x: Floats) -> Telegraph:
    level = float(x.mean()) if x.size else math.nan
    return Telegraph(
        preferred=False, low=level, high=level, sigma=float(x.std()) if x.size else math.nan,
        stay_low=UNKNOWN, stay_high=UNKNOWN, jumps=0, criterion=math.nan, path=np.zeros(x.size, dtype=np.bool_),
    )  # fmt: skip
