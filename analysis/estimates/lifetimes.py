"""Lifetimes of which some have not ended yet: a Weibull law with intervals, from what was seen at a few looks."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .estimates import CONFIDENCE, UNKNOWN, Estimate, Floats

MIN_FAILURES = 3
_FARTHEST = 12.0  # of a parameter's logarithm from its estimate, when looking for the end of an interval


@dataclass(frozen=True)
class WeibullLife:
    """A Weibull law F(x) = 1 − exp(−(x/scale)^shape) of lifetimes.

    Parameters
    ----------
    shape, scale : Estimate
        The scale in the unit of the lifetimes: the age by which 63 % have failed.
    failures, n : int
        How many failed, of how many.
    """

    shape: Estimate
    scale: Estimate
    failures: int
    n: int

    def failed_by(self, age: ArrayLike) -> Floats:
        """Return the fraction that has failed by an ``age``."""
        with np.errstate(over="ignore"):
            return -np.expm1(-((np.asarray(age, dtype=np.float64) / self.scale.value) ** self.shape.value))


def weibull_life(alive_at: ArrayLike, failed_by: ArrayLike, *, confidence: float = CONFIDENCE) -> WeibullLife:
    """Fit a Weibull law to lifetimes known to lie between two looks, or to be longer than the last one.

    Maximum likelihood (``scipy.stats.CensoredData``); the intervals are those of the profile likelihood, which holds
    up where few failed, and may have no upper end.
    Source: W. Q. Meeker, L. A. Escobar, Statistical Methods for Reliability Data (1998), ch. 8.

    Parameters
    ----------
    alive_at : array_like [items]
        Last look at which it had not failed, 0 where there was none.
    failed_by : array_like [items]
        First look at which it had; infinite or nan where it never was seen to.

    Returns
    -------
    WeibullLife
        Both parameters nan with fewer than three failures, or all of them between the same two looks.
    """
    from scipy.optimize import minimize
    from scipy.stats import CensoredData, weibull_min

    low, high = (np.asarray(values, dtype=np.float64).ravel() for values in (alive_at, failed_by))
    if low.shape != high.shape:
        raise ValueError(f"{low.size} last looks and {high.size} failures: must be as many")
    high = np.where(np.isnan(high), np.inf, high)
    if (low < 0.0).any() or (high <= low).any():
        raise ValueError("a failure must come after the last look without one, and that not before 0")
    n, ended = int(low.size), np.isfinite(high)
    failures = int(ended.sum())
    if failures < MIN_FAILURES or np.unique(high[ended]).size < 2:
        return WeibullLife(UNKNOWN, UNKNOWN, failures, n)
    data = CensoredData(interval=np.stack([low[ended], high[ended]], axis=1), right=low[~ended & (low > 0.0)])
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        fitted = np.asarray(weibull_min.fit(data, floc=0), dtype=np.float64)  # shape, 0, scale

    def misfit(logs: Floats) -> float:
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
            power = math.exp(min(float(logs[0]), 50.0))
            begun = np.exp(power * (np.log(np.maximum(low, 1e-300)) - float(logs[1]))) * (low > 0.0)
            over = np.exp(power * (np.log(high[ended]) - float(logs[1]))) - begun[ended]
            total = float(begun.sum()) - float(np.log(-np.expm1(-over)).sum())
        return total if math.isfinite(total) else 1e300

    best = minimize(misfit, np.log(fitted[[0, 2]]), method="Nelder-Mead", options={"xatol": 1e-8})
    at, least = np.asarray(best.x, dtype=np.float64), float(best.fun)
    found = [
        Estimate(math.exp(at[which]), *_profile_interval(misfit, at, least, which, confidence), n) for which in (0, 1)
    ]
    return WeibullLife(found[0], found[1], failures, n)


def _profile_interval(
    misfit: Callable[[Floats], float], at: Floats, least: float, which: int, confidence: float
) -> tuple[float, float]:
    """Return where the likelihood, the other parameter at its best, has fallen by half a χ² quantile."""
    from scipy.optimize import brentq, minimize_scalar
    from scipy.special import chdtri

    allowed = 0.5 * float(chdtri(1, 1.0 - confidence))

    def above(value: float) -> float:
        def other(free: float) -> float:
            logs = np.array([value, free]) if which == 0 else np.array([free, value])
            return misfit(logs)

        middle = float(at[1 - which])
        return float(minimize_scalar(other, bracket=(middle - 0.3, middle + 0.3)).fun) - least - allowed  # pyright: ignore[reportAttributeAccessIssue]

    ends: list[float] = []
    for sign in (-1.0, 1.0):
        reach = 0.05
        while reach < _FARTHEST and above(float(at[which]) + sign * reach) < 0.0:
            reach *= 1.6
        if reach >= _FARTHEST:
            ends.append(0.0 if sign < 0.0 else math.inf)
        else:
            near = float(at[which])
            ends.append(math.exp(float(brentq(above, near, near + sign * reach, xtol=1e-4))))  # pyright: ignore[reportArgumentType]
    return ends[0], ends[1]
