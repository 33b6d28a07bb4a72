"""Noise of a sampled current in numbers: its spectrum, the exponent of 1/f noise, the step of its converter."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from .estimates import CONFIDENCE, UNKNOWN, Estimate, Floats

MIN_POINTS = 64
_BINS = 12  # per decade
_OFF_GRID, _ON_GRID = 0.25, 0.9  # of a step; share of the differences
PERIODS_LEAST, PART_OF_RATE = 8.0, 4.0
"""The band of an exponent begins at so many periods in a trace, and ends at this part of the rate."""
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
    """Return the spectrum of samples taken at ``rate`` [1/s].

    Values that are not finite are left out at the ends, and replaced by the mean elsewhere.

    Welch's method (``scipy.signal.welch``) with one segment, Hann window, mean taken off, so that the lowest
    frequencies are kept; it is averaged over frequency instead, in bins of equal width in ln f.
    """
    from scipy.signal import welch

    x = np.asarray(values, dtype=np.float64).ravel()
    known = np.isfinite(x)
    if known.sum() < MIN_POINTS:
        nothing = np.empty(0)
        return Spectrum(nothing, nothing, nothing)
    begin, end = int(known.argmax()), x.size - int(known[::-1].argmax())
    x, known = x[begin:end], known[begin:end]
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


def band_of(rate: float, seconds: float) -> tuple[float, float]:
    """Return the band [Hz] in which the exponent of a trace is found where nobody says another one.

    From eight periods in the trace, where its mean and its window reach, to a quarter of the rate, where the filter of
    the instrument does.
    """
    return PERIODS_LEAST / seconds, rate / PART_OF_RATE


def power_law(seen: Spectrum, *, confidence: float = CONFIDENCE) -> PowerLaw:
    """Fit A·f^−β + W to a spectrum.

    Maximum likelihood for ordinates that follow a Γ law around S(f) (Whittle's likelihood), with its gradient. Where
    white noise alone has the lower BIC there is no exponent. The interval of β is from the Fisher information. How far
    it is off, and how often the interval holds the exponent: ``tests/benchmarks/study_noise_slope.py``.
    Source: P. Whittle, Ark. Mat. 2, 423 (1953).
    """
    from scipy.optimize import minimize
    from scipy.special import ndtri

    f, p, k = seen.frequency, seen.power, seen.weight
    if f.size < 4:
        return PowerLaw(UNKNOWN, math.nan, math.nan)
    middle = math.exp(float(np.log(f).mean()))
    size = float(np.exp(np.average(np.log(p), weights=k)))
    x, y = np.log(f / middle), p / size

    def parts(logs: Floats) -> tuple[Floats, Floats]:
        """Return S(f) and its derivatives by ln A, β and, where that is in ``logs``, ln W."""
        rising = np.exp(np.clip(logs[0] - logs[1] * x, -60.0, 60.0))
        slopes = [rising, -x * rising]
        if logs.size < 3:
            return rising, np.stack(slopes)
        base = np.full(f.size, math.exp(min(max(float(logs[2]), -60.0), 60.0)))
        return rising + base, np.stack([*slopes, base])

    def misfit(logs: Floats) -> tuple[float, Floats]:
        s, slopes = parts(logs)
        return float(k @ (y / s + np.log(s))), slopes @ (k * (1.0 - y / s) / s)

    def error_of(logs: Floats) -> float:
        s, slopes = parts(logs)
        each = slopes / s
        try:
            variance = float(np.linalg.inv((each * k) @ each.T)[1, 1])
        except np.linalg.LinAlgError:
            return math.nan
        return math.sqrt(variance) if variance > 0.0 else math.nan

    def fitted(*starts: list[float]) -> tuple[float, Floats, float]:
        fits = [minimize(misfit, start, jac=True, method="BFGS") for start in starts]
        best = fits[int(np.argmin([float(fit.fun) for fit in fits]))]
        at = np.asarray(best.x, dtype=np.float64)
        return float(best.fun), at, error_of(at)

    white = float(np.average(y, weights=k))
    count = math.log(float(k.sum()))
    alone = 2.0 * float(k @ (y / white + math.log(white))) + count
    ends = [slice(None, max(f.size // 4, 1)), slice(-max(f.size // 8, 1), None)]
    low, high = (math.log(float(np.average(y[end], weights=k[end]))) for end in ends)
    least, at, error = fitted([0.5 * (low + high), 1.0, high], [low - 2.0, 1.5, high])
    base = math.exp(min(float(at[2]), 60.0))
    if base < _NOTHING * float(np.exp(np.clip(at[0] - at[1] * x, -60.0, 60.0)).min()) or not math.isfinite(error):
        least, at, error = fitted([0.0, (low - high) / max(float(x[-1] - x[0]), 1e-9)])
        base = 0.0
    beta = float(at[1])
    if 2.0 * least + at.size * count >= alone or beta <= 0.0:
        return PowerLaw(UNKNOWN, 0.0, white * size)
    half = float(ndtri(0.5 + confidence / 2.0)) * error
    found = Estimate(beta, beta - half, beta + half, round(float(k.sum())))
    return PowerLaw(found, math.exp(float(at[0])) * size * middle**beta, base * size)


def noise_figures(values: ArrayLike, rate: float) -> dict[str, float]:
    """Return mean, standard deviation over the mean, and exponent of the spectrum of one trace; 0 of white noise."""
    x = np.asarray(values, dtype=np.float64).ravel()
    x = x[np.isfinite(x)]
    mean = float(x.mean())
    law = power_law(spectrum(x / mean, rate).inside(band_of(rate, x.size / rate)))
    beta = law.exponent.value
    return {"conductance": mean, "sd": float(x.std() / mean), "exponent": beta if math.isfinite(beta) else 0.0}


def converter_step(values: ArrayLike) -> float:
    """Return the least difference between two samples: the step of the converter on its range.

    nan where there is none, or where the differences are no multiples of it: such samples are on no grid.
    """
    levels = np.unique(np.asarray(values, dtype=np.float64))
    levels = levels[np.isfinite(levels)]
    steps = np.diff(levels)
    if not steps.size:
        return math.nan
    # Values that went through single precision differ by rounding, too.
    real = steps[steps > 1e-6 * float(np.abs(levels).max())]
    if not real.size:
        return math.nan
    multiples = real / real.min()
    on_grid = np.abs(multiples - np.round(multiples)) < _OFF_GRID
    return float(real.min()) if on_grid.mean() >= _ON_GRID else math.nan
