"""The objective on all cores: replays in a pool of processes, each of which holds the data once."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...analysis.measured_data.measured import Measured
from ...common.errors import RefusedError
from ...common.progress import ProgressBar
from ...mockhw.device_models.filament.parameters import FilamentParameters, Section
from ...mockhw.device_models.quantity import Quantity
from ..objective import PROTOCOL, REPLAYS, with_protocol, with_values
from ..panels import Panel, panels_of
from ..replay.reads import reads_cost
from .blocks import in_block
from .summary import Resampling, Summary, drawn_anew

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]
T = TypeVar("T")

TRACES = 8
"""Cells sampled for each measured trace of noise: each is as long as the measured one."""
BAD = 1e3
"""Cost of numbers with which the model cannot be computed."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What every process needs to know."""

    data: list[Measured]
    parameters: Any
    size: int
    blocks: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Named values in SI units, and the seed of the cells they are tried on."""

    values: Mapping[str, float]
    seed: int


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What a trial came to: its cost, and the statistics of its panels."""

    cost: float
    statistics: Floats | None


P = TypeVar("P", bound=Section)


def without_blocks(parameters: P) -> P:
    """Return parameters without differences between the blocks of a chip: a fit finds the mean of its cells."""
    if not isinstance(parameters, FilamentParameters):
        return parameters
    spread = parameters.device_spread
    none = {
        name: Quantity(0.0, getattr(spread, name).unit, "left out of the replay")
        for name in ("block_Vt", "block_ln_Rs")
    }
    return parameters.model_copy(update={"device_spread": spread.model_copy(update=none)})


def model_of(setting: Setting, trial: Trial) -> Any:
    """Return the parameters of the model with the values of a trial."""
    cells = {name: value for name, value in trial.values.items() if not name.startswith(f"{PROTOCOL}.")}
    return with_values(setting.parameters, cells)


def _reads(setting: Setting, trial: Trial) -> float:
    model = model_of(setting, trial)
    return reads_cost(model, trial.seed) if isinstance(model, FilamentParameters) else 0.0


def replayed(setting: Setting, trial: Trial) -> list[tuple[Measured, DataFrame]]:
    """Return every measurement with all numbers of its protocol, and the table of its replay."""
    model = model_of(setting, trial)
    made: list[tuple[Measured, DataFrame]] = []
    for measured in setting.data:
        known = with_protocol(measured, trial.values)
        size = min(setting.size, TRACES) if measured.kind == "noise" else setting.size
        here = in_block(model, setting.blocks.get(measured.id), trial.values)
        made.append((known, REPLAYS[measured.kind](known, here, size, trial.seed)))
    return made


def panels(setting: Setting, trial: Trial) -> tuple[list[Panel], list[str]]:
    """Return all panels of a trial, and the id of the measurement of each."""
    made: list[Panel] = []
    groups: list[str] = []
    for measured, table in replayed(setting, trial):
        mine = panels_of(measured, table)
        made += mine
        groups += [measured.id] * len(mine)
    return made, groups


def as_mock(measured: Measured) -> Any:
    """Return the table of a measurement where that of a replay is asked for, to stand against itself."""
    if measured.kind != "noise":
        return measured.table
    import pandas as pd

    return pd.DataFrame({"conductance": [1e-6, 1.0], "sd": [1.0, 1.0], "exponent": [1.0, 1.0]})


class Evaluator:
    """Trials on ``jobs`` processes (a context manager); one job: in this process.

    Parameters
    ----------
    summary : Summary, optional
        Statistics that are wanted of every trial.
    quiet : bool
        Show no progress.
    """

    def __init__(self, setting: Setting, jobs: int, summary: Summary | None = None, *, quiet: bool = False) -> None:
        self.setting, self.jobs, self.quiet = setting, jobs, quiet
        self._begin = (setting, summary)
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        _begin(*self._begin)
        if self.jobs > 1:
            # Spawned everywhere: a fork of a process with threads may hang.
            self._pool = ProcessPoolExecutor(
                self.jobs, mp_context=get_context("spawn"), initializer=_begin_process, initargs=self._begin
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def trials(self, trials: Iterable[Trial], said: str = "") -> list[Outcome]:
        """Return what each trial came to, in their order; ``said`` is what a person reads meanwhile, if anything."""
        return self._map(_try, list(trials), said)

    def resampled(self, seeds: Iterable[int]) -> list[Floats]:
        """Return the statistics of the measured side with its cells drawn anew."""
        return self._map(_resample, list(seeds), "measured cells drawn anew")

    def resampled_replays(self, trial: Trial, seeds: Iterable[int]) -> list[Floats]:
        """Return the statistics of the simulated side of a trial with its cells drawn anew."""
        return self._map(_resample_replay, [(trial, seed) for seed in seeds], "simulated cells drawn anew")

    def _map(self, function: Callable[[Any], T], items: Sequence[Any], said: str) -> list[T]:
        done = map(function, items) if self._pool is None else self._pool.map(function, items)
        if not said:
            return list(done)
        made: list[T] = []
        with ProgressBar(said, len(items), unit="replays", quiet=self.quiet) as bar:
            for one in done:
                made.append(one)
                bar.advance()
        return made


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class _Here:
    """What this process holds: set once, by the initializer."""

    setting: Setting | None = None
    summary: Summary | None = None
    resampling: Resampling | None = None
    replayed: tuple[Trial, list[tuple[Measured, DataFrame]]] | None = None


def _begin(setting: Setting, summary: Summary | None) -> None:
    _Here.setting, _Here.summary, _Here.resampling, _Here.replayed = setting, summary, None, None


def _begin_process(setting: Setting, summary: Summary | None) -> None:
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started this one hears it and ends the pool
    _begin(setting, summary)


def _try(trial: Trial) -> Outcome:
    assert _Here.setting is not None
    try:
        with np.errstate(all="ignore"):
            made, _ = panels(_Here.setting, trial)
            cost = math.fsum(panel.cost() for panel in made) + _reads(_Here.setting, trial)
    except RefusedError:
        raise
    except (ArithmeticError, ValueError, IndexError, KeyError):
        # Numbers far out, with which no cell forms or every reading is the same.
        return Outcome(cost=BAD, statistics=None)
    statistics = _Here.summary.mock(made) if _Here.summary is not None else None
    return Outcome(cost=cost if math.isfinite(cost) else BAD, statistics=statistics)


def _resample(seed: int) -> Floats:
    assert _Here.setting is not None
    assert _Here.summary is not None
    if _Here.resampling is None:
        _Here.resampling = Resampling(_Here.setting.data)
    made: list[Panel] = []
    for measured in _Here.resampling.draw(seed):
        # The other side of a panel does not matter here: the measurement stands against itself.
        made += panels_of(measured, as_mock(measured))
    return _Here.summary.real(made)


def _resample_replay(task: tuple[Trial, int]) -> Floats:
    trial, seed = task
    assert _Here.setting is not None
    assert _Here.summary is not None
    if _Here.replayed is None or _Here.replayed[0] != trial:
        _Here.replayed = trial, replayed(_Here.setting, trial)
    made: list[Panel] = []
    for number, (measured, table) in enumerate(_Here.replayed[1]):
        made += panels_of(measured, drawn_anew(table, seed, number))
    return _Here.summary.mock(made)
