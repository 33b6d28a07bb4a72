"""The search: CMA-ES in bounded coordinates, on common random numbers that are renewed every few generations."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError
from ...common.progress import ProgressBar
from ..coordinates import Coordinate, decode
from .evaluation import Evaluator, Trial

Floats = NDArray[np.float64]

RENEWED = 5
"""Generations on the same cells: so that the search compares numbers and not luck, and does not fit luck either."""
PULL = 0.02
"""Weight of the distance from the start, in units of :data:`PRIOR_SD`: holds what the data do not move."""
PRIOR_SD = 1.81
"""Standard deviation of the coordinate of a number of which only its bounds are known."""
OUTERMOST = 4.2
"""Coordinate beyond which a number is at its bound, and nothing changes any more: 1.5 % of its range."""
STILL = 0.04
"""The search has converged when its widest direction is narrower than this."""
STEP = 0.5
"""Standard deviation of the first generation."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where the search ended.

    Attributes
    ----------
    x : array
        Coordinates of the mean of the last generation.
    trials : int
        Replays of all data.
    ended : str
        Why: "converged" or "out of time".
    """

    x: Floats
    trials: int
    generations: int
    ended: str


def search(
    evaluator: Evaluator,
    coordinates: Sequence[Coordinate],
    start: Floats,
    *,
    seconds: float,
    seed: int,
    generations_most: int | None = None,
    quiet: bool = False,
) -> Found:
    """Move ``start`` to where the cost is least.

    Parameters
    ----------
    seconds : float
        Time it may take [s].
    generations_most : int, optional
        An end by count, so that a run can be repeated on any machine.

    Raises
    ------
    RefusedError
        The package ``cma`` is not there.
    """
    options = {
        "popsize": max(8, 4 + int(3 * np.log(len(start)))) // 2 * 2,
        "verbose": -9,
        "seed": seed + 1,
        "CMA_diagonal": 20 if len(start) > 12 else 0,
    }
    make = _cma()
    if len(start) == 1:  # CMA-ES begins at two dimensions
        return Found(x=start.copy(), trials=0, generations=0, ended="one number: refined directly")
    strategy = make(start.tolist(), STEP, options)
    began = time.monotonic()
    generation = trials = 0
    ended = "out of time"
    with ProgressBar("fit", seconds, unit="s", quiet=quiet) as bar:
        while time.monotonic() - began < seconds and generation != generations_most:
            points = [np.asarray(point) for point in strategy.ask()]
            cells = 1 + seed + 1000 * (generation // RENEWED)
            outcomes = evaluator.trials(Trial(values=decode(coordinates, x), seed=cells) for x in points)
            costs = [one.cost + pull(x, start) for one, x in zip(outcomes, points, strict=True)]
            strategy.tell([point.tolist() for point in points], costs)
            generation, trials = generation + 1, trials + len(points)
            bar.update(time.monotonic() - began, f"generation {generation}, least {min(costs):.3g}")
            if float(np.max(strategy.stds)) < STILL:
                ended = "converged"
                break
        else:
            ended = "out of time" if generation != generations_most else f"after {generation} generations"
    return Found(x=within(np.asarray(strategy.mean)), trials=trials, generations=generation, ended=ended)


def within(x: Floats) -> Floats:
    """Return coordinates that are no further out than what is at a bound."""
    return np.clip(x, -OUTERMOST, OUTERMOST)


def pull(x: Floats, start: Floats) -> float:
    """Return what the distance from the start adds to the cost."""
    return PULL * float((((x - start) / PRIOR_SD) ** 2).sum())


def _cma() -> Any:
    try:
        from cma import CMAEvolutionStrategy
    except ImportError as error:
        raise RefusedError('a fit needs the package cma: python -m pip install "xbarlab[twin]"') from error
    return CMAEvolutionStrategy
