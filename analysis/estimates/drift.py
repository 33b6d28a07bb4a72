"""How a conductance drifts: the exponent of G(t) = G(t0)·(t/t0)^−ν of one cell, with an interval that holds.

The points of one cell are not independent. Beside the noise of a reading, a state wanders: what it has lost in one
decade it keeps in the next, so that the deviations from the straight line in ln t add up. An interval that takes them
for noise is several times too narrow.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from .estimates import CONFIDENCE, UNKNOWN, Estimate, Floats

MIN_POINTS = 4
_EXACT = 1e-12  # errors below this are rounding
_HALVINGS = 30  # of an interval's end, from the span of the shares
# Of the variance that wanders; dense near 1, where pure wander must not be mistaken for noise.
_SHARES = np.concatenate([np.linspace(0.0, 0.9, 10), 1.0 - np.geomspace(0.05, 1e-6, 10)])


def drift_exponent(seconds: ArrayLike, conductance: ArrayLike, *, confidence: float = CONFIDENCE) -> Estimate:
    """Return ν of G(t) = G(t0)·(t/t0)^−ν of one cell.

    ln G against ln t is a straight line with two kinds of deviation: noise of each reading, and a wander whose steps
    are independent and have a variance in proportion to Δ ln t. Which share of the variance wanders is not known: the
    estimate is averaged over it, each share weighted by its restricted likelihood (flat prior), and the interval is
    that of the mixture of the Student t distributions (n − 2 degrees of freedom) of all shares. In simulations of 13
    points over four decades it covers 90 % where all is wander, and 96 to 100 % where some or all is noise, for which
    it is then up to three times as wide as it would have to be: so few points cannot tell one from the other.
    Source: generalised least squares; D. A. Harville, J. Am. Stat. Assoc. 72, 320 (1977).

    Parameters
    ----------
    seconds : array_like [points] [s]
        Since the last write; points at or below 0 are left out.
    conductance : array_like [points] [S]
        Points that are not above 0 or not finite are left out.

    Returns
    -------
    Estimate
        nan with fewer than four points; ``n`` is the number of points.
    """
    t, g = (np.asarray(values, dtype=np.float64).ravel() for values in (seconds, conductance))
    if t.shape != g.shape:
        raise ValueError(f"{t.size} times and {g.size} conductances: must be as many")
    return drift_exponents(t[:, None], g[:, None], confidence=confidence)[0]


def drift_exponents(
    seconds: ArrayLike, conductance: ArrayLike, *, confidence: float = CONFIDENCE, intervals: bool = True
) -> list[Estimate]:
    """Return :func:`drift_exponent` of many cells at once.

    Parameters
    ----------
    seconds, conductance : array_like [points, cells] [s] [S]
    intervals : bool
        Without them ``low`` and ``high`` are nan, and thousands of cells take a second.
    """
    t, g = (np.atleast_2d(np.asarray(values, dtype=np.float64)).T for values in (seconds, conductance))
    if t.shape != g.shape:
        raise ValueError(f"times of shape {t.T.shape} and conductances of shape {g.T.shape}: must be alike")
    use = np.isfinite(t) & np.isfinite(g) & (t > 0.0) & (g > 0.0)
    found = [UNKNOWN] * len(t)
    for kept in np.unique(use, axis=0) if len(use) else []:
        cells = np.flatnonzero((use == kept).all(axis=1))
        times, values = np.log(t[cells][:, kept]), np.log(g[cells][:, kept])
        order = np.argsort(times, axis=1, kind="stable")
        times, values = (np.take_along_axis(one, order, axis=1) for one in (times, values))
        if times.shape[1] < MIN_POINTS:
            continue
        spans = times[:, -1] > times[:, 0]
        for cell, one in zip(cells[spans], _fits(times[spans], values[spans], confidence, intervals), strict=True):
            found[cell] = one
    return found


def _fits(times: Floats, values: Floats, confidence: float, intervals: bool) -> list[Estimate]:
    """Return ν of cells whose points, ln t and ln G [cells, points], all count."""
    cells, n = times.shape
    if not cells:
        return []
    x = times - times[:, :1]
    if (x == x[0]).all():
        x = x[:1]  # what depends on times alone is the same for all
    y = (values - values[:, :1])[..., None]
    design = np.stack([np.ones_like(x), -x], axis=-1)
    wander = np.minimum(x[:, :, None], x[:, None, :]) / x.mean(axis=1)[:, None, None]
    centres, errors, logs = (np.empty((_SHARES.size, cells)) for _ in range(3))
    for k, share in enumerate(_SHARES):
        root = np.linalg.cholesky((1.0 - share + 1e-12) * np.eye(n) + share * wander)
        white = np.linalg.inv(root)
        lines, points = white @ design, white @ y
        information = lines.swapaxes(-1, -2) @ lines
        inverse = np.linalg.inv(information)
        solution = inverse @ (lines.swapaxes(-1, -2) @ points)
        rest = (points - lines @ solution)[..., 0]
        squares = np.maximum((rest**2).sum(axis=-1), 1e-300)
        centres[k] = solution[:, 1, 0]
        errors[k] = np.sqrt(squares / (n - 2) * inverse[:, 1, 1])
        volume = 2.0 * np.log(np.diagonal(root, axis1=-2, axis2=-1)).sum(axis=-1) + np.linalg.slogdet(information)[1]
        logs[k] = -0.5 * (volume + (n - 2) * np.log(squares))
    weights = np.exp(logs - logs.max(axis=0))
    weights /= weights.sum(axis=0)
    middle = (weights * centres).sum(axis=0)
    if not intervals:
        return [Estimate(float(value), math.nan, math.nan, n) for value in middle]
    tail = (1.0 - confidence) / 2.0
    low, high = (_crossings(chance, centres, errors, weights, n - 2) for chance in (tail, 1.0 - tail))
    exact = errors.max(axis=0) < _EXACT
    low, high = np.where(exact, middle, low), np.where(exact, middle, high)
    return [Estimate(float(v), float(a), float(b), n) for v, a, b in zip(middle, low, high, strict=True)]


def _crossings(chance: float, centres: Floats, errors: Floats, weights: Floats, degrees: int) -> Floats:
    """Return where mixtures of Student t distributions [parts, cells] reach ``chance``: between those of the parts."""
    from scipy.special import stdtr, stdtrit

    errors = np.maximum(errors, 1e-300)
    ends = centres + float(stdtrit(degrees, chance)) * errors
    low, high = ends.min(axis=0), ends.max(axis=0)
    for _ in range(_HALVINGS):
        middle = 0.5 * (low + high)
        below = (weights * stdtr(degrees, (middle - centres) / errors)).sum(axis=0) < chance
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return 0.5 * (low + high)
