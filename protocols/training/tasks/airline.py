"""Airline passengers: 144 months, how they are prepared, and the forecasts that need no network."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ....common.arrays import FloatArray
from .stored import load_stored

TRAIN_STEPS = 95  # of the 143 steps from one month to the next; the last 48 months are for testing
SEASON = 12


@dataclass(frozen=True)
class Series:
    """One way of preparing the months.

    Attributes
    ----------
    x : [steps, features]; y : [steps]
        Inputs within ±1, and targets.
    month : [steps]
        Index of the month that is forecast.
    base, factor : [steps]
        A forecast is ``base + factor·target`` [thousand], or ``base·exp(factor·target)`` where ``logarithmic``.
    train : [steps], bool
        Steps that may be trained on.
    """

    x: FloatArray
    y: FloatArray
    month: NDArray[np.intp]
    base: FloatArray
    factor: FloatArray
    logarithmic: bool
    train: NDArray[np.bool_]

    def passengers(self, target: FloatArray) -> FloatArray:
        """Return forecasts [thousand] from what the network says [steps]."""
        change = self.factor * target
        return self.base * np.exp(change) if self.logarithmic else self.base + change


def passengers() -> FloatArray:
    """Return the 144 months [thousand]."""
    return load_stored("airline")["passengers"].astype(np.float64)


def scaled_series(months: FloatArray) -> Series:
    """Return the published preparation: all months scaled to 0…1, this month in, next month out."""
    low, span = float(months.min()), float(np.ptp(months))
    scaled = (months - low) / span
    steps = len(months) - 1
    return Series(
        scaled[:-1, None],
        scaled[1:],
        np.arange(1, len(months)),
        np.full(steps, low),
        np.full(steps, span),
        False,
        np.arange(steps) < TRAIN_STEPS,
    )


def differenced_series(months: FloatArray, window: int = SEASON + 1) -> Series:
    """Return changes of the seasonal change of the logarithm: z[t] = (l[t] − l[t−12]) − (l[t−1] − l[t−13]).

    Inputs are the last ``window`` values of z, the target the next one; a network that says 0 repeats the seasonal
    ratio. Scaled by the training months alone, to three standard deviations.
    """
    log = np.log(months)
    seasonal = log[SEASON:] - log[:-SEASON]
    z = np.diff(seasonal)  # z[k] belongs to month k + 13
    first = SEASON + 1
    month = np.arange(first, len(months))
    train = month <= TRAIN_STEPS
    unit = 3.0 * float(z[train].std())
    padded = np.concatenate([np.zeros(window), z / unit])
    x = np.stack([padded[k : k + window] for k in range(len(z))])
    base = months[month - SEASON] * months[month - 1] / months[month - 1 - SEASON]
    return Series(np.clip(x, -1.5, 1.5), z / unit, month, base, np.full(len(z), unit), True, train)


def rmse(forecast: FloatArray, months: FloatArray, month: NDArray[np.intp], chosen: NDArray[np.bool_]) -> float:
    """Return the root mean square error [thousand] over the ``chosen`` steps."""
    return float(np.sqrt(np.mean((forecast - months[month])[chosen] ** 2)))


def baselines(months: FloatArray) -> dict[str, float]:
    """Return what needs no network, RMSE [thousand] over the 48 test months."""
    test = np.arange(TRAIN_STEPS + 1, len(months))
    ratio = months[test - SEASON] * months[test - 1] / months[test - 1 - SEASON]
    forecasts = {
        "persistence_rmse": months[test - 1],
        "seasonal_naive_rmse": months[test - SEASON],
        "seasonal_ratio_rmse": ratio,
        "linear_ar13_rmse": linear_ar(months, 13)[test],
    }
    return {name: float(np.sqrt(np.mean((f - months[test]) ** 2))) for name, f in forecasts.items()}


def linear_ar(months: FloatArray, order: int) -> FloatArray:
    """Return forecasts [thousand] of a linear autoregression on logarithms of the training months; nan before."""
    log = np.log(months)
    rows = np.stack([np.concatenate([[1.0], log[t - order : t]]) for t in range(order, len(log))])
    fitted = np.arange(order, len(log)) <= TRAIN_STEPS
    weights = np.linalg.lstsq(rows[fitted], log[order:][fitted], rcond=None)[0]
    return np.concatenate([np.full(order, np.nan), np.exp(rows @ weights)])
