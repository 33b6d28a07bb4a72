"""The voltage at which half of the cells switch, against the logarithm of the pulse's width: a probit boundary.

Switching in a pulse of amplitude V and width t is taken as a chance, P = Φ((V − V½(t))/σ), with
V½(t) = V½(t₀) − s·log10(t/t₀): s is the voltage a decade of time is worth. Points that always or never switch are part
of the likelihood, so that a grid which ends in the middle of the switching biases nothing. Cells that differ widen σ
and leave V½ and s alone (a sum of normals is normal). Source of the model: C. I. Bliss, Annals of Applied Biology 22,
134 (1935); of V against log t for filaments: R. Waser et al., Advanced Materials 21, 2632 (2009).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .estimates import CONFIDENCE, UNKNOWN, Estimate, Floats, t_quantile

_FINEST = 4.0  # σ is at least the step of the amplitudes over this: finer the grid cannot tell


@dataclass(frozen=True)
class Boundary:
    """Where half of the cells switch.

    Parameters
    ----------
    volts : Estimate [V]
        Magnitude at which half of the cells switch in a pulse of the reference width.
    per_decade : Estimate [V]
        By how much that falls per decade of width.
    spread : float [V]
        σ: cells and cycles together.
    reference : float [s]
    reason : str
        Why there is none; "" where there is.
    """

    volts: Estimate
    per_decade: Estimate
    spread: float
    reference: float
    reason: str = ""

    def at(self, width: ArrayLike) -> Floats:
        """Return V½ [V] at widths [s]."""
        decades = np.log10(np.asarray(width, dtype=np.float64) / self.reference)
        return self.volts.value - self.per_decade.value * decades


def switching_boundary(
    volts: ArrayLike,
    width: ArrayLike,
    switched: ArrayLike,
    *,
    reference: float,
    confidence: float = CONFIDENCE,
) -> Boundary:
    """Fit the boundary between the points of a grid at which cells switched and those at which they did not.

    The intervals are Student's t on the larger of two standard errors: a jackknife that leaves out one cell at a time,
    and the curvature of the likelihood (which a grid that all cells answer alike still has).

    Parameters
    ----------
    volts, width : array_like [points] [V] [s]
        Magnitudes and widths of the pulses.
    switched : array_like [cells, points]
        1 or 0; nan where a cell has no such point.
    reference : float [s]
        Width at which `volts` of the result is given.
    """
    v, t = np.asarray(volts, dtype=np.float64), np.log10(np.asarray(width, dtype=np.float64) / reference)
    hits = np.atleast_2d(np.asarray(switched, dtype=np.float64))
    if v.shape != t.shape or hits.shape[-1] != v.size:
        raise ValueError(f"{v.size} amplitudes, {t.size} widths and {hits.shape} outcomes do not belong together")
    hits = hits[np.isfinite(hits).any(axis=1)]
    known = np.isfinite(hits)
    trials, positive = known.astype(np.float64), np.where(known, hits, 0.0)
    total, most = positive.sum(), trials.sum()
    if total in {0.0, most} or most == 0.0:
        why = "no point was measured" if most == 0.0 else f"{'no' if total == 0.0 else 'every'} point switched"
        return _none(reference, why)
    step = float(np.diff(np.unique(v)).min()) if np.unique(v).size > 1 else math.nan
    if not step > 0.0:
        return _none(reference, "a boundary needs at least two amplitudes")
    fit = _Probit(v, t, step)
    whole = fit.solve(positive.sum(axis=0), trials.sum(axis=0))
    if whole is None:
        return _none(reference, "larger amplitudes did not switch more cells")
    centre, covariance = fit.of(whole), fit.covariance(whole, trials.sum(axis=0))
    cells = int(hits.shape[0])
    # Where σ is below what the grid can tell, all cells see the same grid: they count as one.
    alike = cells if whole[1] >= 0.999 * _FINEST else 1
    errors = np.sqrt(alike * np.maximum(np.diag(covariance), 0.0))
    left = [
        fit.solve(positive.sum(axis=0) - positive[k], trials.sum(axis=0) - trials[k]) for k in range(cells)
    ] if cells > 2 else []  # fmt: skip
    if left and all(one is not None for one in left):
        values = np.array([fit.of(one) for one in left if one is not None])
        jackknife = np.sqrt((cells - 1) / cells * ((values - values.mean(axis=0)) ** 2).sum(axis=0))
        errors = np.maximum(errors, jackknife[:2])
    reach = t_quantile(max(cells - 1, 1), confidence) * errors
    if np.unique(t).size < 2:
        return Boundary(_around(centre[0], reach[0], cells), UNKNOWN, float(centre[2]), reference)
    return Boundary(
        _around(centre[0], reach[0], cells), _around(centre[1], reach[1], cells), float(centre[2]), reference
    )


def _around(value: float, half: float, n: int) -> Estimate:
    return Estimate(float(value), float(value - half), float(value + half), n)


def _none(reference: float, reason: str) -> Boundary:
    return Boundary(UNKNOWN, UNKNOWN, math.nan, reference, reason)


class _Probit:
    """The likelihood in offset, slope over amplitude (bounded) and slope over decades: concave, so it has one top."""

    def __init__(self, volts: Floats, decades: Floats, step: float) -> None:
        self._step, self._middle = step, float(volts.mean())
        self._sloped = np.unique(decades).size > 1
        columns = [np.ones_like(volts), (volts - self._middle) / step, decades if self._sloped else 0.0 * decades]
        self._design: NDArray[np.float64] = np.stack(columns, axis=1)

    def solve(self, positive: Floats, trials: Floats) -> Floats | None:
        """Return the parameters; None where no rise with the amplitude is found."""
        from scipy.optimize import minimize
        from scipy.special import log_ndtr

        negative = trials - positive

        def loss(beta: Floats) -> tuple[float, Floats]:
            z = self._design @ beta
            up, down = log_ndtr(z), log_ndtr(-z)
            density = -0.5 * z**2 - 0.5 * math.log(2.0 * math.pi)
            score = positive * np.exp(density - up) - negative * np.exp(density - down)
            return -float(positive @ up + negative @ down), -(self._design.T @ score)

        bounds = [(-200.0, 200.0), (0.0, _FINEST), (-200.0, 200.0) if self._sloped else (0.0, 0.0)]
        found = minimize(loss, (0.0, 0.5, 0.0), jac=True, bounds=bounds, method="L-BFGS-B")
        beta = np.asarray(found.x, dtype=np.float64)
        return beta if beta[1] > 1e-3 else None

    def of(self, beta: Floats) -> Floats:
        """Return V½ at the reference [V], volts per decade [V] and σ [V]."""
        sigma = self._step / float(beta[1])
        return np.array([self._middle - sigma * beta[0], sigma * beta[2], sigma])

    def covariance(self, beta: Floats, trials: Floats) -> Floats:
        """Return the covariance of V½ and volts per decade [V²] from the expected curvature."""
        from scipy.special import ndtr

        z = self._design @ beta
        density = np.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
        weight = trials * density**2 / np.maximum(ndtr(z) * ndtr(-z), 1e-12)
        size = 3 if self._sloped else 2
        design = self._design[:, :size]
        inverse = np.linalg.pinv(design.T @ (weight[:, None] * design))
        sigma = self._step / float(beta[1])
        jacobian = np.zeros((2, size))
        jacobian[0, :2] = -sigma, sigma * beta[0] / beta[1]
        if self._sloped:
            jacobian[1, 1:] = -sigma * beta[2] / beta[1], sigma
        return jacobian @ inverse @ jacobian.T
