"""Potentiation and depression by trains of equal pulses: fits of one train, and what a set of cells does on average.

Two forms are fitted. The exponential one, G(n) = G0 + B·(1 − exp(−n/A)), has the nonlinearity N/A over N pulses. The α
one, G = [G(0)^α + (G(N)^α − G(0)^α)·n/N]^(1/α), is linear for α = 1 and exponential for α = 0; it is the form of
Jang et al., IEEE Electron Device Letters 36, 457 (2015), written for either direction.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .estimates import Floats

MIN_POINTS = 5
STEEPEST_BEND = 34.0  # |α·ln(G(N)/G(0))|: exp of more is lost in double precision
FLAT = 1e-12
"""Of a bend: below it the limit is taken; a solver's step of 1e-8 from 0 must be seen."""
BENT = -20.0  # N/A of a train whose steps grow, at most
FORM = 0.1  # deviations up to about this share of the swing count by their square, larger ones less
CLEAR = 3.0  # a swing must exceed the noise of a single point by this factor


@dataclass(frozen=True)
class PulseFit:
    """Both forms fitted to one train.

    Parameters
    ----------
    start, swing : float [S]
        G before the train, and the change over it, of the exponential form.
    nonlinearity : float
        N/A; 0 for a straight line, negative where the steps grow.
    alpha : float
    noise : float [S]
        Robust standard deviation of the points around the exponential form.
    misfit : float
        RMS of all readings around the exponential form, over |swing|: large where the first pulses are fast.
    failures : tuple of str
        Why a form was not fitted, one reason each; its numbers are nan.
    """

    start: float
    swing: float
    nonlinearity: float
    alpha: float
    noise: float
    misfit: float
    failures: tuple[str, ...] = ()

    def curve(self, share: ArrayLike) -> Floats:
        """Return the exponential form [S] at a `share` n/N of the train."""
        return self.start + self.swing * saturating(np.asarray(share, dtype=np.float64), self.nonlinearity)


def saturating(share: Floats, nonlinearity: float) -> Floats:
    """Return (1 − exp(−ν·x))/(1 − exp(−ν)): from 0 to 1, a straight line for ν = 0."""
    if abs(nonlinearity) < FLAT:
        return share
    return np.expm1(-nonlinearity * share) / np.expm1(-nonlinearity)


def alpha_form(share: Floats, first: float, last: float, alpha: float) -> Floats:
    """Return the α form [S] between `first` and `last` [S] at a `share` n/N of the train."""
    return _bent(share, float(np.log(first)), float(np.log(last)), alpha * float(np.log(last / first)))


def _bent(share: Floats, log_first: float, log_last: float, bend: float) -> Floats:
    """Return the α form by its bend α·ln(G(N)/G(0)), which stays of order one where α does not."""
    if abs(bend) < FLAT:
        return np.exp(log_first + (log_last - log_first) * share)
    return np.exp(log_first + (log_last - log_first) / bend * np.log1p(np.expm1(bend) * share))


def fit_train(pulses: ArrayLike, conductance: ArrayLike) -> PulseFit:
    """Fit both forms to one train.

    Parameters
    ----------
    pulses : array_like [points]
        Pulses given before each reading, 0 first, rising.
    conductance : array_like [points] [S]
        nan points are left out.
    """
    n, g = np.asarray(pulses, dtype=np.float64), np.asarray(conductance, dtype=np.float64)
    if n.shape != g.shape or n.ndim != 1:
        raise ValueError(f"pulses have shape {n.shape}, conductances {g.shape}: must be equal, one line of points")
    known = np.isfinite(g)
    if known.sum() < MIN_POINTS:
        return _failed(f"only {int(known.sum())} readings: a fit needs {MIN_POINTS}")
    share, raw = n[known] / float(n.max() or 1.0), g[known]
    g = _without_jumps(raw)
    steepest = 2.0 * (share.size - 1)
    candidates = np.concatenate([np.linspace(BENT, 10.0, 61), np.geomspace(10.5, max(steepest, 11.0), 30)])
    start, swing, nu = min(
        (_line(saturating(share, float(value)), g, float(value)) for value in candidates), key=lambda fit: fit[3]
    )[:3]
    size = float(np.abs(g).max())
    if abs(swing) <= 1e-9 * size:
        return _failed("no change beyond the noise of a reading", 0.0)
    # Where a train leaves the form by a few per cent of its swing (fast first pulses) it is fitted, not ignored.
    scale = max(_spread(g - (start + swing * saturating(share, nu))), FORM * abs(swing))
    start, swing, nu = _robust(
        lambda p: p[0] + p[1] * saturating(share, p[2]),
        g,
        (start, swing, nu),
        scale,
        ((-np.inf, -np.inf, BENT), (np.inf, np.inf, steepest)),
    )
    rest = raw - (start + swing * saturating(share, nu))
    noise, misfit = _spread(rest), float(np.sqrt(np.mean(rest**2)) / max(abs(swing), 1e-30))
    if abs(swing) < CLEAR * noise:
        return _failed("no change beyond the noise of a reading", noise)
    failures: list[str] = []
    if nu >= 0.99 * steepest or nu <= 0.99 * BENT:
        failures.append("exponential form: one step instead of a curve")
        nu = np.nan
    alpha, reason = _alpha(share, g, scale)
    failures += [reason] if reason else []
    return PulseFit(start, swing, nu, alpha, noise, misfit, tuple(failures))


def symmetry_point(up: ArrayLike, down: ArrayLike, *, bins: int = 16) -> float:
    """Return the normalised conductance at which the mean up-step equals the mean down-step; nan where they never do.

    Steps are averaged in bins of conductance (the middle of each step; 0 is the lowest and 1 the highest of the mean
    trains), their difference is made to fall with conductance by isotonic regression, and its zero interpolated.

    Parameters
    ----------
    up, down : array_like [cycles, points] [S]
        Potentiation and depression trains of one cell, equally spaced readings; nan where there is none.
    """
    from scipy.optimize import isotonic_regression

    trains = [np.atleast_2d(np.asarray(train, dtype=np.float64)) for train in (up, down)]
    means = np.concatenate([np.nanmean(train[:, np.isfinite(train).any(axis=0)], axis=0) for train in trains])
    low, high = float(means.min(initial=np.inf)), float(means.max(initial=-np.inf))
    if not high > low:
        return float("nan")
    where = np.concatenate([((train[:, 1:] + train[:, :-1]) / 2.0).ravel() for train in trains])
    step = np.concatenate([np.diff(train, axis=1).ravel() for train in trains])
    rising = np.repeat([True, False], [trains[0][:, 1:].size, trains[1][:, 1:].size])
    place = np.floor((where - low) / (high - low) * bins)
    centres: list[float] = []
    difference: list[float] = []
    weight: list[float] = []
    for k in range(bins):
        ups, downs = step[(place == k) & rising], step[(place == k) & ~rising]
        if ups.size and downs.size:
            centres.append((k + 0.5) / bins)
            difference.append(float(ups.mean() + downs.mean()))  # down-steps are negative
            weight.append(1.0 / (1.0 / ups.size + 1.0 / downs.size))
    if len(centres) < 2:
        return float("nan")
    falling = np.asarray(isotonic_regression(difference, weights=weight, increasing=False).x, dtype=np.float64)
    if not falling[0] >= 0.0 >= falling[-1] or falling[0] == falling[-1]:
        return float("nan")
    return float(np.interp(0.0, -falling, centres))


def _line(shape: Floats, g: Floats, value: float) -> tuple[float, float, float, float]:
    """Return the least-squares (start, swing) for one `value` of the nonlinearity, and the sum of squares."""
    centred = shape - shape.mean()
    swing = float(centred @ g / max(float(centred @ centred), 1e-30))
    start = float(g.mean() - swing * shape.mean())
    rest = g - start - swing * shape
    return start, swing, value, float(rest @ rest)


def _alpha(share: Floats, g: Floats, scale: float) -> tuple[float, str]:
    if float(g.min()) <= 0.0:
        return float("nan"), "α form: a reading is not above 0 S"
    ends = max(1, share.size // 20)
    first, last = float(np.median(g[:ends])), float(np.median(g[-ends:]))
    if first == last:
        return float("nan"), "α form: the train ends where it began"
    logs = float(np.log(first)), float(np.log(last))
    grid = np.linspace(-STEEPEST_BEND, STEEPEST_BEND, 121)
    begin = min(grid, key=lambda bend: float(np.abs(g - _bent(share, *logs, float(bend))).sum()))
    log_first, log_last, bend = _robust(
        lambda p: _bent(share, float(p[0]), float(p[1]), float(p[2])),
        g,
        (*logs, float(begin)),
        scale,
        ((-np.inf, -np.inf, -STEEPEST_BEND), (np.inf, np.inf, STEEPEST_BEND)),
    )
    if abs(bend) >= 0.99 * STEEPEST_BEND or log_first == log_last:
        return float("nan"), "α form: one step instead of a curve"
    return bend / (log_last - log_first), ""


def _robust(
    model: Callable[[Floats], Floats],
    g: Floats,
    start: tuple[float, float, float],
    scale: float,
    bounds: tuple[tuple[float, float, float], tuple[float, float, float]],
) -> tuple[float, float, float]:
    """Minimise a loss that grows only linearly beyond `scale` [S], so that jumps (RTN) do not bend the curve."""
    from scipy.optimize import least_squares

    inside = np.clip(start, bounds[0], bounds[1])

    def rest(parameters: Floats) -> Floats:
        return (model(parameters) - g) / scale

    found = least_squares(rest, inside, bounds=bounds, loss="soft_l1", f_scale=1.5, x_scale="jac")
    first, second, third = (float(value) for value in found.x)
    return first, second, third


def _without_jumps(g: Floats) -> Floats:
    """Return the median of every three readings in a row: single jumps go, a monotonic curve stays as it is."""
    middle = np.median(np.stack([g[:-2], g[1:-1], g[2:]]), axis=0)
    return np.concatenate([g[:1], middle, g[-1:]])


def _spread(rest: Floats) -> float:
    return 1.4826 * float(np.median(np.abs(rest - np.median(rest))))


def _failed(reason: str, noise: float = float("nan")) -> PulseFit:
    nothing = float("nan")
    return PulseFit(nothing, nothing, nothing, nothing, noise, nothing, (reason,))
