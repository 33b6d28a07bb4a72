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
RESTARTED, RESTARTS_MOST = 13, 3
"""From so many numbers on a search that has narrowed is begun anew while there is time, at most so often."""
COMPARED_ON = 4
"""Seeds on which the ends of several searches are compared."""


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
    if len(start) == 1:  # CMA-ES begins at two dimensions
        _cma()
        return Found(x=start.copy(), trials=0, generations=0, ended="one number: refined directly")
    began = time.monotonic()
    work = _Search(evaluator, coordinates, start, seed)
    ended = "out of time"
    with ProgressBar("fit", seconds, unit="s", quiet=quiet) as bar:
        while time.monotonic() - began < seconds and work.generation != generations_most:
            least = work.step()
            bar.update(time.monotonic() - began, f"generation {work.generation}, least {least:.3g}")
            if work.narrow:
                ended = "converged" if work.restarts == 0 else f"converged, {work.restarts + 1} times"
                if len(start) < RESTARTED or generations_most is not None or work.restarts == RESTARTS_MOST:
                    break
                work.restart()
        else:
            ended = ended if work.generation != generations_most else f"after {work.generation} generations"
    return Found(x=work.best(), trials=work.trials, generations=work.generation, ended=ended)


class _Search:
    """CMA-ES, begun anew with twice the population where it has narrowed too early (Auger and Hansen, CEC 2005)."""

    def __init__(self, evaluator: Evaluator, coordinates: Sequence[Coordinate], start: Floats, seed: int) -> None:
        self.evaluator, self.coordinates, self.start, self.seed = evaluator, coordinates, start, seed
        self.population = max(8, 4 + int(3 * np.log(len(start)))) // 2 * 2
        self.generation = self.trials = self.restarts = 0
        self._ends: list[Floats] = []
        self._strategy = self._begun(start, STEP)

    def _begun(self, x: Floats, step: float) -> Any:
        options = {
            "popsize": self.population,
            "verbose": -9,
            "seed": self.seed + 1 + self.restarts,
            "CMA_diagonal": 20 if len(x) > 12 else 0,
        }
        return _cma()(x.tolist(), step, options)

    def step(self) -> float:
        """Try one generation; return its least cost."""
        points = [np.asarray(point) for point in self._strategy.ask()]
        cells = 1 + self.seed + 1000 * (self.generation // RENEWED)
        outcomes = self.evaluator.trials(Trial(values=decode(self.coordinates, x), seed=cells) for x in points)
        costs = [one.cost + pull(x, self.start) for one, x in zip(outcomes, points, strict=True)]
        self._strategy.tell([point.tolist() for point in points], costs)
        self.generation, self.trials = self.generation + 1, self.trials + len(points)
        return min(costs)

    @property
    def narrow(self) -> bool:
        """Whether the widest direction is narrower than what matters."""
        return float(np.max(self._strategy.stds)) < STILL

    def restart(self) -> None:
        """Begin anew where it has come to, wider, with twice the population."""
        self._ends.append(within(np.asarray(self._strategy.mean)))
        self.restarts, self.population = self.restarts + 1, 2 * self.population
        self._strategy = self._begun(self._ends[-1], 0.6 * STEP)

    def best(self) -> Floats:
        """Return the end with the least cost on cells that none of them has seen."""
        ends = [*self._ends, within(np.asarray(self._strategy.mean))]
        if len(ends) == 1:
            return ends[0]
        seeds = range(self.seed + 800_000, self.seed + 800_000 + COMPARED_ON)
        trials = [Trial(values=decode(self.coordinates, x), seed=seed) for x in ends for seed in seeds]
        costs = np.asarray([one.cost for one in self.evaluator.trials(trials)]).reshape(len(ends), -1)
        return ends[int(costs.mean(axis=1).argmin())]


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
