"""From measurements of a chip to a profile of it: read, split, search, refine, say how well it is known, hold against
the half that the fit never saw."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...analysis.measured_data.measured import Measured
from ...common.errors import RefusedError
from ...common.progress import ProgressBar
from ...mockhw.chip.profile import Profile
from ..coordinates import Coordinate, around, coordinate_of, decode, encode
from ..objective import PROTOCOL
from .blocks import blocks_of
from .evaluation import BAD, Evaluator, Setting, Trial, cores, panels, without_blocks
from .freedom import Mode, freed, kind_words, replayable, start_of
from .held import held_rows
from .holdout import Split, split, thinned
from .posterior import SHARES, Measure, Sensed, as_found, measure, posterior, refine, sense
from .result import FitResult
from .search import Found, search
from .sources import base_profile
from .suggest import suggest
from .summary import Summary

Floats = NDArray[np.float64]
Tell = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Effort:
    """How much a mode takes.

    Attributes
    ----------
    cells : int
        Most cells of each measurement, both halves together.
    size : int
        Cells a replay begins with.
    minutes : float
        Time for everything.
    seeds : int
        Seeds of the sensitivities.
    senses : int
        Times the sensitivities are taken anew when the refinement has moved.
    draws : int
        Times the cells of the data are drawn anew.
    """

    cells: int
    size: int
    minutes: float
    seeds: int
    senses: int
    draws: int


EFFORTS: dict[str, Effort] = {
    "check": Effort(cells=2048, size=256, minutes=2.0, seeds=1, senses=0, draws=0),
    "calibrate": Effort(cells=512, size=128, minutes=1.5, seeds=4, senses=3, draws=100),
    "full": Effort(cells=2048, size=256, minutes=25.0, seeds=2, senses=1, draws=100),
}
CHOSEN_ON = 4
"""Seeds on which start, search and refinement are compared."""
HELD_SIZE = 1024
"""Cells of the replays of the held-out table."""
RESERVE = 10.0
"""Time for the table and its figures [s]."""
ROUNDS = 3
"""Steps of the refinement with the same sensitivities."""
STILL = 0.03
"""The refinement ends when no coordinate moves more."""
NEAR = 0.25
"""Sensitivities hold this far from where they were taken, in coordinates."""
SEARCH_LEAST = 0.3
"""Share of the time that the search gets at least."""


@dataclass(frozen=True, kw_only=True)
class FitPlan:
    """What a fit is asked to do; None takes what the mode does."""

    mode: Mode = "calibrate"
    base: str | Path | None = None
    hold_out: str = "cells"
    free: Sequence[str] = ()
    seed: int = 0
    cells: int | None = None
    minutes: float | None = None
    jobs: int | None = None
    size: int | None = None
    generations: int | None = None
    seeds: int | None = None
    draws: int | None = None
    suggest: bool = True
    quiet: bool = False

    def effort(self) -> Effort:
        """Return how much it takes."""
        given = {name: getattr(self, name) for name in ("cells", "size", "minutes", "seeds", "draws")}
        return dataclasses.replace(EFFORTS[self.mode], **{k: v for k, v in given.items() if v is not None})


def fit(data: Sequence[Measured], plan: FitPlan, tell: Tell | None = None) -> FitResult:
    """Return what a fit on one half of the data came to, held against the other half.

    Parameters
    ----------
    tell : callable, optional
        Takes a line for the person who waits.

    Raises
    ------
    RefusedError
        One sentence: nothing to replay, too few cells, a number that is not in the model, …
    """
    began = time.monotonic()
    say = tell or _silent
    effort = plan.effort()
    yes, no = replayable(data)
    base = base_profile(yes, plan.base)
    parameters: Any = base.parameters
    names = freed(yes, plan.mode, parameters, plan.free)
    halves = split(thinned(yes, effort.cells, plan.seed), plan.hold_out)
    names = [name for name in names if _is_of(name, halves.fitted)]
    values = {
        name: start_of(name, base.protocol) if name.startswith(f"{PROTOCOL}.") else _value(parameters, name)
        for name in names
    }
    coordinates = _coordinates(values, base)
    start = encode(coordinates, values)
    setting = Setting(
        data=halves.fitted, parameters=without_blocks(parameters), size=effort.size, blocks=blocks_of(yes)
    )  # fmt: skip
    first, groups = panels(setting, Trial(values=decode(coordinates, start), seed=1))
    summary = Summary.of(first, groups)
    say(
        f"{len(coordinates)} numbers, {len(first)} panels of {len(halves.fitted)} measurements "
        f"({halves.said}; the rest is held out)"
    )
    jobs = plan.jobs or cores()
    with Evaluator(setting, jobs, summary, quiet=plan.quiet) as evaluator:
        each = _seconds_each(evaluator, coordinates, start)
        work = _Work(evaluator, coordinates, start, effort, each, began, plan)
        found = work.search()
        say(
            f"search: {found.generations} generations, {found.trials} replays, {found.ended} "
            f"({time.monotonic() - began:.0f} s)"
        )
        near = Trial(values=decode(coordinates, found.x), seed=plan.seed + 300_000)
        measured = measure(evaluator, summary, first, near, effort.draws)
        x, sensed, costs = work.settle(found, measured)
        known = posterior(coordinates, measured, sensed)
    wanted = (
        suggest(setting, coordinates, x, known, jobs, plan.seed, quiet=plan.quiet)
        if plan.suggest and base.cell == "1T1R"
        else []
    )
    after = decode(coordinates, x)
    with ProgressBar("the other half replayed", quiet=plan.quiet):
        rows = held_rows(
            halves, setting, decode(coordinates, start), after, size=plan.size or HELD_SIZE, seed=plan.seed
        )  # fmt: skip
    return FitResult(
        base=base,
        mode=plan.mode,
        title=_title(yes),
        half=halves.said,
        held_words=_held_words(halves),
        posterior=known,
        rows=tuple(rows),
        cost_before=float(costs[0].mean()),
        cost_after=float(costs[1].mean()),
        cost_sd=float((costs[1] - costs[0]).std(ddof=1) / np.sqrt(len(costs[0]))),
        ended=found.ended,
        trials=found.trials,
        seconds=time.monotonic() - began,
        cells=_counts(halves),
        suggestions=tuple(wanted),
        left_out={one.id: f"{kind_words(one)} is not replayed" for one in no},
        seed=plan.seed,
    )


def check(data: Sequence[Measured], plan: FitPlan, tell: Tell | None = None) -> FitResult:
    """Return how far a profile is from data, as it is.

    Numbers of a protocol that nobody wrote down are searched on the half that a fit would see; none of the cells moves.

    Raises
    ------
    RefusedError
        As :func:`fit`.
    """
    began = time.monotonic()
    say = tell or _silent
    effort = plan.effort()
    yes, no = replayable(data)
    base = base_profile(yes, plan.base)
    halves = split(thinned(yes, effort.cells, plan.seed), plan.hold_out)
    names = [name for name in freed(yes, "check", base.parameters, ()) if _is_of(name, halves.fitted)]
    begin = {name: start_of(name, base.protocol) for name in names}
    coordinates = _coordinates(begin, base)
    start = encode(coordinates, begin)
    setting = Setting(
        data=halves.fitted, parameters=without_blocks(base.parameters), size=effort.size, blocks=blocks_of(yes)
    )  # fmt: skip
    found = Found(x=start, trials=0, generations=0, ended="nothing to search")
    if names:
        ids = {name.split(".")[1] for name in names}
        ids |= {one for one, block in setting.blocks.items() if block in ids}
        only = dataclasses.replace(setting, data=[one for one in setting.data if one.id in ids])
        say(f"searching {', '.join(name.removeprefix(f'{PROTOCOL}.') for name in names)}, which nobody wrote down")
        with Evaluator(only, plan.jobs or cores(), quiet=plan.quiet) as evaluator:
            found = search(
                evaluator, coordinates, start, seconds=60.0 * effort.minutes, seed=plan.seed,
                generations_most=plan.generations, quiet=plan.quiet,
            )  # fmt: skip
            found = _no_worse(evaluator, coordinates, start, found, plan.seed)
    values = decode(coordinates, found.x)
    with ProgressBar("the other half replayed", quiet=plan.quiet):
        rows = held_rows(halves, setting, None, values, size=plan.size or HELD_SIZE, seed=plan.seed)
    cost = sum(row.panel.cost() for row in rows)
    return FitResult(
        base=base,
        mode="check",
        title=_title(yes),
        half=halves.said,
        held_words=f"profile {base.name} as it is, against what a fit on {halves.said} would not see",
        posterior=as_found(coordinates, found.x),
        rows=tuple(rows),
        cost_before=cost,
        cost_after=cost,
        cost_sd=0.0,
        ended=found.ended,
        trials=found.trials,
        seconds=time.monotonic() - began,
        cells=_counts(halves),
        left_out={one.id: f"{kind_words(one)} is not replayed" for one in no},
        seed=plan.seed,
    )


def _no_worse(evaluator: Evaluator, coordinates: Sequence[Coordinate], start: Floats, found: Found, seed: int) -> Found:
    """Return where a search began, where it ended no better on cells that it has not seen."""
    seeds = [seed + 900_000 + 1000 * index for index in range(CHOSEN_ON)]
    trials = [Trial(values=decode(coordinates, x), seed=one) for x in (start, found.x) for one in seeds]
    before, after = np.asarray([one.cost for one in evaluator.trials(trials)]).reshape(2, -1).mean(axis=1)
    if after < before:
        return found
    return dataclasses.replace(found, x=start, ended=f"{found.ended}, no better than where it began")


def _silent(line: str) -> None:
    del line


class _Work:
    """The steps of a fit within its time."""

    def __init__(
        self,
        evaluator: Evaluator,
        coordinates: Sequence[Coordinate],
        start: Floats,
        effort: Effort,
        each: float,
        began: float,
        plan: FitPlan,
    ) -> None:
        self.evaluator, self.coordinates, self.start, self.plan = evaluator, coordinates, start, plan
        self.effort, self.each, self.began = effort, each / max(evaluator.jobs, 1), began
        self.end = began + 60.0 * effort.minutes
        whole = self.end - time.monotonic()
        self.seeds = effort.seeds
        while self.seeds > 1 and self._after_search() > (1.0 - SEARCH_LEAST) * whole:
            self.seeds -= 1

    def _after_search(self) -> float:
        """Return the time that is needed when the search has ended [s]."""
        sensing = (2 * len(self.coordinates) + 1) * self.seeds * min(self.effort.senses + 1, 2)
        trials = sensing + len(SHARES) * self.seeds * ROUNDS + 3 * CHOSEN_ON + 0.6 * self.effort.draws
        return self.each * trials + 8.0 * self.each * self.evaluator.jobs + RESERVE

    def search(self) -> Found:
        """Search as long as there is time."""
        whole = self.end - time.monotonic()
        seconds = max(whole - self._after_search(), SEARCH_LEAST * whole, 0.0)
        return search(
            self.evaluator, self.coordinates, self.start, seconds=seconds, seed=self.plan.seed,
            generations_most=self.plan.generations, quiet=self.plan.quiet,
        )  # fmt: skip

    def settle(self, found: Found, measured: Measure) -> tuple[Floats, Sensed, tuple[Floats, Floats]]:
        """Return the best point, what is sensed there, and the costs of start and best on seeds nobody has seen."""
        seeds = [self.plan.seed + 500_000 + 1000 * index for index in range(self.seeds)]
        here = self._refined(sense(self.evaluator, self.coordinates, found.x, seeds), measured, seeds)
        chosen, costs = self._chosen([self.start, found.x, here.x])
        if not np.array_equal(chosen, here.x):
            here = sense(self.evaluator, self.coordinates, chosen, seeds)
        return chosen, here, costs

    def _refined(self, sensed: Sensed, measured: Measure, seeds: list[int]) -> Sensed:
        """Return the point where the weighted squares are least, with slopes that were taken near it."""
        for _ in range(self.effort.senses):
            here = sensed
            for _ in range(ROUNDS):
                further = refine(self.evaluator, self.coordinates, measured, here, self.start, seeds)
                still = float(np.abs(further.x - here.x).max()) < STILL
                here = further
                if still:
                    break
            late = self.plan.generations is None and time.monotonic() > self.end
            if late or float(np.abs(here.x - sensed.x).max()) < NEAR:
                return here
            sensed = sense(self.evaluator, self.coordinates, here.x, seeds)
        return sensed

    def _chosen(self, points: list[Floats]) -> tuple[Floats, tuple[Floats, Floats]]:
        """Return the best of start, search and refinement; the last one where it is no worse than luck makes it."""
        seeds = [self.plan.seed + 900_000 + 1000 * index for index in range(CHOSEN_ON)]
        trials = [Trial(values=decode(self.coordinates, x), seed=seed) for x in points for seed in seeds]
        outcomes = self.evaluator.trials(trials, "start, search and refinement compared")
        costs = np.asarray([one.cost for one in outcomes]).reshape(len(points), -1)
        best = 1 if costs[1].mean() <= costs[0].mean() else 0
        change = costs[2] - costs[best]
        if change.mean() <= max(0.01 * costs[best].mean(), 2.0 * float(change.std(ddof=1)) / np.sqrt(len(change))):
            best = 2
        if costs[best].mean() > costs[0].mean():
            best = 0
        return points[best], (costs[0], costs[best])


def _coordinates(values: dict[str, float], base: Profile) -> list[Coordinate]:
    found = [(coordinate_of(name, base.cell == "passive"), value) for name, value in values.items()]
    return [around(one, value) for one, value in found if one is not None]


def _value(parameters: Any, name: str) -> float:
    section, key = name.split(".")
    return float(getattr(getattr(parameters, section), key))


def _is_of(name: str, fitted: Sequence[Measured]) -> bool:
    """Whether a number is one of the cells, or of a protocol that is in the fitted half."""
    return not name.startswith(f"{PROTOCOL}.") or name.split(".")[1] in {one.id for one in fitted}


def _seconds_each(evaluator: Evaluator, coordinates: Sequence[Coordinate], start: Floats) -> float:
    """Return how long one replay of everything takes on one core [s]; all processes are warm then."""
    trials = [Trial(values=decode(coordinates, start), seed=1)] * max(evaluator.jobs, 1)
    evaluator.trials(trials)
    began = time.monotonic()
    outcomes = evaluator.trials(trials)
    if all(one.cost >= BAD for one in outcomes):
        raise RefusedError(
            "with the numbers of the profile it begins with, the model cannot be computed on these protocols: choose "
            "another profile with --profile"
        )
    return time.monotonic() - began


def _title(data: Sequence[Measured]) -> str:
    return " and ".join(dict.fromkeys(one.title for one in data))


def _held_words(halves: Split) -> str:
    out = [f"nothing of {name} could be held out" for name in halves.not_held]
    return "; ".join([f"fitted on {halves.said}, held against the rest", *out])


def _counts(halves: Split) -> dict[str, tuple[int, int]]:
    ids = dict.fromkeys(one.id for one in [*halves.fitted, *halves.held])
    fitted, held = ({one.id: one.cells for one in half} for half in (halves.fitted, halves.held))
    return {name: (fitted.get(name, 0), held.get(name, 0)) for name in ids}
