"""Which further measurement would tell what these data do not: its information added, as the model has it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from ...analysis.measured_data.measured import Measured
from ...analysis.measured_data.protocols import PulseSweep
from ...common.progress import ProgressBar
from ..coordinates import Coordinate, decode
from ..objective import PROTOCOL, with_values
from .candidates import CANDIDATES
from .evaluation import Evaluator, Setting, Trial, panels
from .posterior import Posterior, measure, sense
from .result import Suggestion
from .search import PRIOR_SD
from .summary import Summary

Floats = NDArray[np.float64]

CELLS = 128
"""Cells of a measurement that is only thought of."""
SEEDS, DRAWS = 2, 40
TELLS = 0.7
"""A measurement tells of a number when it brings its standard deviation below this share of what it is."""


def suggest(
    setting: Setting,
    coordinates: Sequence[Coordinate],
    x: Floats,
    known: Posterior,
    jobs: int,
    seed: int,
    *,
    quiet: bool = False,
) -> list[Suggestion]:
    """Return the measurements that would say most of the numbers that are not identified, the best first.

    Each number is named once, with the measurement that says most of it.
    """
    lost = [at for at, one in enumerate(known.numbers) if not one.identified and not one.name.startswith(PROTOCOL)]
    if not lost:
        return []
    cells = [at for at, one in enumerate(coordinates) if not one.name.startswith(PROTOCOL)]
    mine = [coordinates[at] for at in cells]
    now = np.sqrt(np.diag(np.linalg.inv(known.information)))
    ideas = _Ideas(setting=setting, coordinates=tuple(mine), x=x[cells], seed=seed)
    best: dict[int, tuple[float, str]] = {}
    for what, information in _all_of(ideas, jobs, quiet):
        added = np.zeros_like(known.information)
        added[np.ix_(cells, cells)] = information
        then = np.sqrt(np.diag(np.linalg.inv(known.information + added)))
        for at in lost:
            if then[at] < TELLS * min(now[at], PRIOR_SD) and then[at] < best.get(at, (math.inf, ""))[0]:
                best[at] = float(then[at]), what
    made: dict[str, dict[str, tuple[float, float]]] = {}
    for at, (then_sd, what) in sorted(best.items(), key=lambda item: item[1][0]):
        name = known.numbers[at].name
        made.setdefault(what, {})[name] = min(float(now[at]) / PRIOR_SD, 1.0), then_sd / PRIOR_SD
    return [Suggestion(what=what, numbers=numbers) for what, numbers in made.items()]


def _is_there(measured: Measured, data: Sequence[Measured]) -> bool:
    """Whether the data have such a measurement already."""
    protocol = measured.protocol
    for other in data:
        if other.kind != measured.kind:
            continue
        theirs = other.protocol
        if not (isinstance(protocol, PulseSweep) and isinstance(theirs, PulseSweep)):
            return True
        start = [math.log(float(np.median(one.table["before"]))) for one in (measured, other)]
        if (theirs.polarity, theirs.swept) == (protocol.polarity, protocol.swept) and abs(start[0] - start[1]) < 1.0:
            return True
    return False


@dataclass(frozen=True, kw_only=True)
class _Ideas:
    """What every process needs to know of the fit."""

    setting: Setting
    coordinates: tuple[Coordinate, ...]
    x: Floats
    seed: int


def _all_of(ideas: _Ideas, jobs: int, quiet: bool) -> Iterator[tuple[str, Floats]]:
    """Yield every measurement the data do not have, and what it says of the coordinates."""
    with (
        ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) if jobs > 1 else nullcontext() as pool,
        ProgressBar("what else to measure", len(CANDIDATES), unit="measurements", quiet=quiet) as bar,
    ):
        run = map if pool is None else pool.map
        for what, information in zip(CANDIDATES, run(partial(_information, ideas), CANDIDATES), strict=True):
            bar.advance()
            if information is not None:
                yield what, information


def _information(ideas: _Ideas, what: str) -> Floats | None:
    """Return what a measurement says of the coordinates; None where the data have it, or the model cannot make it."""
    coordinates, x, seed = ideas.coordinates, ideas.x, ideas.seed
    chip = with_values(ideas.setting.parameters, decode(coordinates, x))
    try:
        measured = CANDIDATES[what](chip, CELLS, seed + 31)
    except (ArithmeticError, ValueError):
        return None
    if _is_there(measured, ideas.setting.data):
        return None
    here = Setting(data=[measured], parameters=ideas.setting.parameters, size=CELLS)
    near = Trial(values=decode(coordinates, x), seed=seed + 1)
    first, groups = panels(here, near)
    summary = Summary.of(first, groups)
    with Evaluator(here, 1, summary, quiet=True) as evaluator:
        found = measure(evaluator, summary, first, near, DRAWS)
        sensed = sense(evaluator, coordinates, x, [seed + 1 + 1000 * index for index in range(SEEDS)])
    inside = sensed.product(np.diag(found.weights))
    luck = sensed.product(found.weights[:, None] * found.covariance * found.weights)
    return inside @ np.linalg.pinv(luck, rcond=1e-6, hermitian=True) @ inside
