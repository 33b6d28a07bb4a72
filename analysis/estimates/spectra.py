"""Noise of a sampled current in numbers: its spectrum, the exponent of 1/f noise, the step of its converter."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .estimates import CONFIDENCE, UNKNOWN, Estimate, Floats

MIN_POINTS = 64
_BINS = 12  # per decade
_NOTHING = 1e-3  # of the least of the power law: a white part that is none
_HANN = 35.0 / 18.0  # variance of the mean of neighbouring ordinates under a Hann window, over that of independent ones


@dataclass(frozen=True)
class Spectrum:
    """A one-sided power spectral density, averaged in bins of equal width in ln f.

    Parameters
    ----------
    frequency : ndarray [bins] [Hz]
    power : ndarray [bins] [unit²/Hz]
    weight : ndarray [bins]
        Independent ordinates behind each: their mean follows a Γ law of this shape.
    """

    frequency: Floats
    power: Floats
    weight: Floats

    def inside(self, band: tuple[float, float]) -> Spectrum:
        """Return the part in a band [Hz]."""
        use = (self.frequency >= band[0]) & (self.frequency <= band[1]) & (self.power > 0.0)
        return Spectrum(self.frequency[use], self.power[use], self.weight[use])


@dataclass(frozen=True)
class PowerLaw:
    """S(f) = ``at_1hz``·f^−``exponent`` + ``white``.

    Parameters
    ----------
    exponent : Estimate
        nan where no part that rises towards low frequencies is seen above the white one.
    at_1hz, white : float [unit²/Hz]
    """

    exponent: Estimate
    at_1hz: float
    white: float

    def power(self, frequency: ArrayLike) -> Floats:
        """Return S(f) [unit²/Hz]."""
        f = np.asarray(frequency, dtype=np.float64)
        if not math.isfinite(self.exponent.value):
            return np.full(f.shape, self.white)
        return np.asarray(self.at_1hz * f**-self.exponent.value + self.white, dtype=np.float64)


def spectrum(values: ArrayLike, rate: float) -> Spectrum:
    """Return the spectrum of samples taken at ``rate`` [1/s]; values that are not finite are replaced by the mean.

    Welch's method (``scipy.signal.welch``) with one segment, Hann window, mean taken off, so that the lowest
    frequencies are kept; it is averaged over frequency instead, in bins of equal width in ln f.
    """
    from scipy.signal import welch

    x = np.asarray(values, dtype=np.float64).ravel()
    known = np.isfinite(x)
    if known.sum() < MIN_POINTS:
        nothing = np.empty(0)
        return Spectrum(nothing, nothing, nothing)
    x = np.where(known, x, x[known].mean())
    frequency, power = welch(x, rate, window="hann", nperseg=x.size, noverlap=0, detrend="constant")
    # The lowest two ordinates hold what the window leaves of the mean, the last is that of half the rate.
    f, p = np.asarray(frequency)[2:-1], np.asarray(power)[2:-1]
    place = np.floor(np.log10(f / f[0]) * _BINS + 1e-9).astype(np.intp)
    count = np.bincount(place)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = np.exp(np.bincount(place, np.log(f)) / count)
        mean = np.bincount(place, p) / count
    filled = count > 0
    return Spectrum(middle[filled], mean[filled], np.maximum(count[filled] / _HANN, 0.5))


def power_law(seen: Spectrum, *, confidence: float = CONFIDENCE) -> PowerLaw:
    """Fit A·f^−β + W to a spectrum.

    Maximum likelihood for ordinates that follow a Γ law around S(f) (Whittle's likelihood). Where white
    noise alone has the lower BIC there is no exponent. The interval of β is from the curvature of the likelihood.
    Source: P. Whittle, Ark. Mat. 2, 423 (1953).
    """
    from scipy.optimize import minimize
    from scipy.special import ndtri

    f, p, k = seen.frequency, seen.power, seen.weight
    if f.size < 4:
        return PowerLaw(UNKNOWN, math.nan, math.nan)
    middle = math.exp(float(np.log(f).mean()))
    size = float(np.exp(np.average(np.log(p), weights=k)))
    x = np.log(f / middle)

    def misfit(model: Floats) -> float:
        s = np.clip(model, 1e-30, 1e30)
        return float(k @ (p / size / s + np.log(s)))

    white = float(np.average(p / size, weights=k))
    alone = 2.0 * misfit(np.full(f.size, white)) + math.log(float(k.sum()))

    def rising(logs: Floats) -> Floats:
        return np.exp(np.clip(logs[0] - logs[1] * x, -60.0, 60.0))

    def both(logs: Floats) -> Floats:
        return rising(logs) + math.exp(min(float(logs[2]), 60.0))

    ends = [slice(None, max(f.size // 4, 1)), slice(-max(f.size // 8, 1), None)]
    low, high = (math.log(float(np.average(p[end] / size, weights=k[end]))) for end in ends)
    slope = (low - high) / max(float(x[-1] - x[0]), 1e-9)

    def fitted(model: Callable[[Floats], Floats], *starts: list[float]) -> tuple[float, Floats, float]:
        def wrong(logs: Floats) -> float:
            return misfit(model(logs))

        fits = [minimize(wrong, start, method="BFGS") for start in starts]
        best = fits[int(np.argmin([float(fit.fun) for fit in fits]))]
        at = np.asarray(best.x, dtype=np.float64)
        return float(best.fun), at, _error_of_slope(wrong, at)

    least, at, error = fitted(both, [0.5 * (low + high), 1.0, high], [low - 2.0, 1.5, high])
    base = math.exp(min(float(at[2]), 60.0))
    if base < _NOTHING * float(rising(at).min()) or not math.isfinite(error):
        least, at, error = fitted(rising, [0.0, slope])
        base = 0.0
    beta = float(at[1])
    if 2.0 * least + at.size * math.log(float(k.sum())) >= alone or beta <= 0.0:
        return PowerLaw(UNKNOWN, 0.0, white * size)
    half = float(ndtri(0.5 + confidence / 2.0)) * error
    found = Estimate(beta, beta - half, beta + half, round(float(k.sum())))
    return PowerLaw(found, math.exp(float(at[0])) * size * middle**beta, base * size)


def _error_of_slope(misfit: Callable[[Floats], float], at: Floats) -> float:
    """Return the standard error of the second parameter from the curvature of the likelihood."""
    n, step = at.size, 1e-3
    curve = np.empty((n, n))

    def value(*moves: tuple[int, float]) -> float:
        there = at.copy()
        for which, by in moves:
            there[which] += by
        return misfit(there)

    for i in range(n):
        for j in range(n):
            corners = [value((i, a * step), (j, b * step)) * a * b for a in (1, -1) for b in (1, -1)]
            curve[i, j] = sum(corners) / (4.0 * step * step)
    try:
        variance = float(np.linalg.inv(curve)[1, 1])
    except np.linalg.LinAlgError:
        return math.nan
    return math.sqrt(variance) if variance > 0.0 else math.nan


def converter_step(values: ArrayLike) -> float:
    """Return the least difference between two samples: the step of the converter on its range; nan if none."""
    levels = np.unique(np.asarray(values, dtype=np.float64))
    levels = levels[np.isfinite(levels)]
    steps = np.diff(levels)
    if not steps.size:
        return math.nan
    # Values that went through single precision differ by rounding, too.
    real = steps[steps > 1e-6 * float(np.abs(levels).max())]
    return float(real.min()) if real.size else math.nan
