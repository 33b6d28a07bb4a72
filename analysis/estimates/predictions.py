"""What a few draws say of the next one: intervals that a new value falls into as often as they claim."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

LEVEL = 0.90
_ROUNDING = 1e-9

Floats = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What is predicted of one number.

    Parameters
    ----------
    median, low, high : float
        In the unit of the quantity; nan where no draw has a value.
    level : float
        How often the interval holds the next value: what was asked for, or what so few draws can say.
    n : int
        Draws behind it.
    """

    median: float
    low: float
    high: float
    level: float
    n: int

    def holds(self, value: float) -> bool:
        """Whether a value lies in the interval, its ends included."""
        slack = _ROUNDING * max(abs(self.low), abs(self.high))
        return self.low - slack <= value <= self.high + slack

    @property
    def sd(self) -> float:
        """The standard deviation a normal quantity with this interval has; 0 where all draws agree."""
        from scipy.special import ndtri

        return (self.high - self.low) / (2.0 * float(ndtri(0.5 + self.level / 2.0))) if self.level > 0.0 else math.nan

    def differs_by(self, value: float) -> float:
        """Return how many of these standard deviations a value is above the median; inf where all draws agree."""
        away = value - self.median
        if abs(away) <= _ROUNDING * abs(self.median):
            return 0.0
        return away / self.sd if self.sd > 0.0 else math.copysign(math.inf, away)


def predict(values: ArrayLike, *, level: float = LEVEL) -> Prediction:
    """Return median and interval of the next value, equal tails left out; values that are not finite are left out.

    The interval lies between order statistics: the next of n+1 values that are alike in kind is below the k-th smallest
    of the others with chance k/(n+1), whatever the distribution. Values that are often the same are held more often.
    """
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[np.isfinite(x)]
    n = int(x.size)
    if n == 0:
        return Prediction(median=math.nan, low=math.nan, high=math.nan, level=0.0, n=0)
    tail = 0.5 * (1.0 - level)
    low, high = np.quantile(x, [tail, 1.0 - tail], method="weibull")
    can = min(level, (n - 1) / (n + 1))
    return Prediction(median=float(np.median(x)), low=float(low), high=float(high), level=can, n=n)


def outside_by_chance(values: ArrayLike, *, level: float = LEVEL) -> NDArray[np.bool_]:
    """Return for every draw whether it lies outside of what the other draws predict: what chance alone does.

    Parameters
    ----------
    values : array_like [draws, quantities]
        nan where a draw has none, which is never outside.

    Returns
    -------
    ndarray of bool [draws, quantities]
    """
    x = np.atleast_2d(np.asarray(values, dtype=np.float64))
    found = np.zeros(x.shape, dtype=np.bool_)
    for draw in range(x.shape[0]):
        others = np.delete(x, draw, axis=0)
        for column in range(x.shape[1]):
            value = x[draw, column]
            prediction = predict(others[:, column], level=level)
            found[draw, column] = math.isfinite(value) and prediction.n > 1 and not prediction.holds(float(value))
    return found
