"""What the data say of every number: sensitivities of the panels' statistics, a last refinement, standard deviations.

The estimate is the one of least weighted squares of the statistics, so its covariance follows from sensitivities J,
weights W and the covariance C of the statistics (of the data by drawing cells anew, of the replays by their number):
(A + P)⁻¹ (JᵀWCWJ + D + P) (A + P)⁻¹ with A = JᵀWJ, P what the bounds alone say, and D by how much measurements
contradict each other beyond their luck.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..coordinates import Coordinate, decode
from ..panels import Panel
from .evaluation import Evaluator, Trial
from .search import PRIOR_SD, within
from .summary import Summary

Floats = NDArray[np.float64]

STRIDE = 0.25
"""Half of the step of a finite difference, in coordinates: wide enough to be seen above the luck of the cells."""
LONGEST = 1.0
"""Longest step of the refinement in a coordinate."""
SHARES = (1.0, 0.5, 0.2)
"""Shares of a step that are tried."""
IDENTIFIED = 0.5
"""A number is identified when its standard deviation is below this share of what the bounds alone give."""
NORMAL_90 = 1.645
WIDEST = 1.0 / math.sqrt(12.0)
"""Standard deviation of a number of which only its bounds are known, in its range."""


@dataclass(frozen=True, kw_only=True)
class Sensed:
    """Statistics of replays at a point, their mean over seeds, and their sensitivities to the coordinates.

    Attributes
    ----------
    each : array of seeds × statistics × coordinates
        Slopes as every seed has them.
    """

    x: Floats
    middle: Floats
    each: Floats

    @property
    def seeds(self) -> int:
        """Over how many seeds the mean is."""
        return len(self.each)

    @property
    def slopes(self) -> Floats:
        """Mean slopes, statistics × coordinates."""
        return self.each.mean(axis=0)

    def product(self, inner: Floats) -> Floats:
        """Return JᵀMJ without what the luck of the replays adds to it: from pairs of different seeds.

        Slopes that are nothing but luck would else count as knowledge.
        """
        count = self.seeds
        whole = self.each.sum(axis=0)
        made = whole.T @ inner @ whole
        if count > 1:
            made = (made - sum(one.T @ inner @ one for one in self.each)) / (count * (count - 1))
        made = (made + made.T) / 2.0
        values, directions = np.linalg.eigh(made)
        return (directions * np.maximum(values, 0.0)) @ directions.T


@dataclass(frozen=True, kw_only=True)
class Measure:
    """The measured side: its statistics, their covariance from cells drawn anew, and what to weigh them with."""

    real: Floats
    covariance: Floats
    ratio: Floats
    weights: Floats
    groups: list[str]

    def total(self, seeds: int) -> Floats:
        """Return the covariance of the difference to the mean of replays on ``seeds`` seeds."""
        replayed = np.sqrt(np.outer(self.ratio, self.ratio)) / seeds
        return self.covariance * (1.0 + replayed)


def measure(evaluator: Evaluator, summary: Summary, panels: Sequence[Panel], near: Trial, draws: int) -> Measure:
    """Return the statistics of the data and how they would scatter, were the chip measured again on other cells.

    The covariance is the mean of two: of the data with their cells drawn ``draws`` times anew, and of a replay ``near``
    the end with its cells drawn anew, as of as many cells as were measured. The first knows the chip, the second also
    what might have happened and did not.
    """
    real, ratio = summary.real(panels), summary.ratio(panels)
    first = near.seed
    covariance = _scatter(evaluator.resampled(range(first, first + draws)), real)
    again = _scatter(evaluator.resampled_replays(near, range(first, first + draws)), None)
    covariance = 0.5 * (covariance + again / np.sqrt(np.outer(ratio, ratio)))
    covariance[np.diag_indices_from(covariance)] = np.maximum(np.diag(covariance), summary.least_variance(real))
    weights = summary.weights / (np.diag(covariance) + summary.floors**2)
    return Measure(real=real, covariance=covariance, ratio=ratio, weights=weights, groups=summary.groups)


def _scatter(drawn: Sequence[Floats], otherwise: Floats | None) -> Floats:
    """Return the covariance of statistics over draws; what is missing in a draw is as ``otherwise``, or the mean."""
    values = np.asarray(drawn)
    with np.errstate(all="ignore"):
        filled = np.nan_to_num(np.nanmean(values, axis=0)) if otherwise is None else otherwise
    values = np.where(np.isfinite(values), values, filled)
    centred = values - values.mean(axis=0)
    return centred.T @ centred / max(len(values) - 1, 1)


def sense(
    evaluator: Evaluator, coordinates: Sequence[Coordinate], x: Floats, seeds: Sequence[int], stride: float = STRIDE
) -> Sensed:
    """Return statistics and sensitivities at ``x`` by central differences on common cells."""
    shifts = [np.zeros_like(x)]
    for index in range(len(x)):
        for sign in (-1.0, 1.0):
            shift = np.zeros_like(x)
            shift[index] = sign * stride
            shifts.append(shift)
    trials = [
        Trial(values=decode(coordinates, x + shift), seed=seed) for seed in seeds for shift in shifts
    ]  # fmt: skip
    found = [one.statistics for one in evaluator.trials(trials, f"slopes of {len(x)} numbers")]
    missing = next(iter([one for one in found if one is not None]), None)
    blank = np.full_like(missing, np.nan) if missing is not None else np.zeros(0)
    values = np.asarray([one if one is not None else blank for one in found]).reshape(len(seeds), len(shifts), -1)
    middle = values[:, 0]
    slopes = (values[:, 2::2] - values[:, 1::2]) / (2.0 * stride)
    with np.errstate(all="ignore"):
        mean_middle = np.nanmean(middle, axis=0)
    return Sensed(x=x, middle=mean_middle, each=np.nan_to_num(np.swapaxes(slopes, 1, 2)))


def misfit(measured: Measure, middle: Floats, x: Floats, start: Floats) -> float:
    """Return the weighted squares that the refinement makes small."""
    residual = measured.real - middle
    return float((measured.weights * residual**2).sum() + (((x - start) / PRIOR_SD) ** 2).sum())


def refine(
    evaluator: Evaluator,
    coordinates: Sequence[Coordinate],
    measured: Measure,
    sensed: Sensed,
    start: Floats,
    seeds: Sequence[int],
) -> Sensed:
    """Return a better point, or the same, by one Gauss–Newton step; the slopes stay those of ``sensed``."""
    residual = measured.real - sensed.middle
    pulled = sensed.slopes.T * measured.weights
    prior = 1.0 / PRIOR_SD**2
    inside = pulled @ sensed.slopes + prior * np.eye(len(sensed.x))
    step = np.linalg.solve(inside, pulled @ residual - prior * (sensed.x - start))
    step *= min(1.0, LONGEST / max(float(np.abs(step).max()), 1e-12))
    best, least = sensed, misfit(measured, sensed.middle, sensed.x, start)
    points = [within(sensed.x + share * step) for share in SHARES]
    trials = [Trial(values=decode(coordinates, x), seed=seed) for x in points for seed in seeds]
    found = [one.statistics for one in evaluator.trials(trials, "steps tried")]
    for number, x in enumerate(points):
        mine = [one for one in found[number * len(seeds) : (number + 1) * len(seeds)] if one is not None]
        if len(mine) < len(seeds):
            continue
        middle = np.mean(mine, axis=0)
        there = misfit(measured, middle, x, start)
        if there < least:
            best, least = Sensed(x=x, middle=middle, each=sensed.each), there
    return best


@dataclass(frozen=True, kw_only=True)
class Number:
    """One fitted number: its value in SI units, how well it is known, and what is wrong with it.

    Attributes
    ----------
    sd : float
        Posterior standard deviation: of the logarithm where the coordinate is one, else in SI units.
    low, high : float
        90 % interval in SI units.
    at_bound : str
        "low" or "high" where it sits at a bound of its range.
    identified : bool
        Whether the data say more of it than its bounds do; of a number at a bound they say that it is there.
    bounds : (low, high)
        Between which it was looked for.
    """

    name: str
    value: float
    log: bool
    sd: float
    low: float
    high: float
    at_bound: str
    identified: bool
    bounds: tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class Posterior:
    """What is known of the fitted numbers together.

    Attributes
    ----------
    covariance : array
        In scaled coordinates: the logarithm of the value where ``log``, else the value in SI units.
    information : array
        In unbounded coordinates; what further measurements would add to.
    """

    numbers: tuple[Number, ...]
    covariance: Floats
    information: Floats


def posterior(coordinates: Sequence[Coordinate], measured: Measure, sensed: Sensed) -> Posterior:
    """Return what is known of every number at the point where the sensitivities were taken."""
    weights, prior = measured.weights, np.eye(len(sensed.x)) / PRIOR_SD**2
    total = measured.total(sensed.seeds)
    inverse = np.linalg.inv(sensed.product(np.diag(weights)) + prior)
    luck = sensed.product(weights[:, None] * total * weights) + _contradictions(measured, sensed, total)
    covariance = inverse @ (luck + prior) @ inverse
    covariance = (covariance + covariance.T) / 2.0
    numbers: list[Number] = []
    spans = np.empty(len(coordinates))
    for index, (coordinate, x) in enumerate(zip(coordinates, sensed.x, strict=True)):
        sd = min(math.sqrt(max(float(covariance[index, index]), 1e-12)), PRIOR_SD)
        ends = [coordinate.decode(float(x) + sign * sd) for sign in (-1.0, 1.0)]
        scaled = [math.log(end) if coordinate.log else end for end in ends]
        span = math.log(coordinate.high / coordinate.low) if coordinate.log else coordinate.high - coordinate.low
        spans[index] = min(max((scaled[1] - scaled[0]) / 2.0, 1e-9 * span), WIDEST * span)
        value = coordinate.decode(float(x))
        numbers.append(
            Number(
                name=coordinate.name,
                value=value,
                log=coordinate.log,
                sd=float(spans[index]),
                low=coordinate.decode(float(x) - NORMAL_90 * sd),
                high=coordinate.decode(float(x) + NORMAL_90 * sd),
                at_bound=coordinate.at_bound(value),
                identified=sd < IDENTIFIED * PRIOR_SD or bool(coordinate.at_bound(value)),
                bounds=(coordinate.low, coordinate.high),
            )
        )
    sds = np.sqrt(np.maximum(np.diag(covariance), 1e-12))
    correlation = covariance / np.outer(sds, sds)
    return Posterior(
        numbers=tuple(numbers),
        covariance=correlation * np.outer(spans, spans),
        information=np.asarray(np.linalg.inv(covariance), np.float64),
    )


def as_found(coordinates: Sequence[Coordinate], x: Floats) -> Posterior:
    """Return numbers that were searched and not sensed: how well they are known is not."""
    numbers = tuple(
        Number(
            name=one.name, value=one.decode(float(at)), log=one.log, sd=math.nan, low=math.nan, high=math.nan,
            at_bound=one.at_bound(one.decode(float(at))), identified=True, bounds=(one.low, one.high),
        )
        for one, at in zip(coordinates, x, strict=True)
    )  # fmt: skip
    nothing = np.full((len(numbers), len(numbers)), np.nan)
    return Posterior(numbers=numbers, covariance=nothing, information=nothing)


def _contradictions(measured: Measure, sensed: Sensed, total: Floats) -> Floats:
    """Return what the pulls of single measurements, which add up to none, say beyond the luck of their cells."""
    residual = measured.real - sensed.middle
    size = len(sensed.x)
    added = np.zeros((size, size))
    groups = np.asarray(measured.groups)
    for group in sorted(set(measured.groups)):
        mine = groups == group
        beyond = float((residual[mine] ** 2 / np.diag(total)[mine]).mean())
        if beyond > 1.0:
            pull = (sensed.slopes[mine].T * measured.weights[mine]) @ residual[mine]
            added += (1.0 - 1.0 / beyond) * np.outer(pull, pull)
    return added
