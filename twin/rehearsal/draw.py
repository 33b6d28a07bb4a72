"""One draw: the runbook carried out on one chip that may be the real one, and only its numbers kept."""

from __future__ import annotations

import traceback
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ...common import plugins
from ...common.errors import XbarlabError
from ...common.progress import silent
from ...mockhw.bench.bench import forget_bench
from ...protocols.keeping.live_picture import LivePicture
from ...protocols.keeping.run import Run
from ...runbooks.runner.record import RunRecord, describe_failure
from ...runbooks.runner.runner import chip_id, conduct
from ...runbooks.runner.schema import load_runbook
from ...runbooks.stations import mock_bench
from .record import Draw, Wear
from .socket import BENCH, STATION

if TYPE_CHECKING:
    from ...instruments.station.station import Bench


@dataclass(frozen=True, kw_only=True)
class Task:
    """What another process needs to carry out a draw.

    Attributes
    ----------
    folder : where its station and bench file are; the run's folder is made beside them.
    runbook, preset, overrides, plugins : as for ``load_runbook``
    chip : what was drawn
    """

    number: int
    seed: int
    folder: Path
    runbook: Path
    preset: str
    overrides: tuple[str, ...]
    plugins: tuple[str, ...]
    chip: dict[str, float]


def run_draw(task: Task) -> Draw:
    """Carry out a draw, quietly; an exception of the run is its ``failure``, an interruption is not."""
    start = Draw(number=task.number, seed=task.seed, chip=task.chip)
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()), silent(), plugins.scope():
            return _carried_out(task, start)
    except Exception as error:
        return start.model_copy(update={"failure": _failure(error)})
    finally:
        forget_bench(task.folder / BENCH)


def _carried_out(task: Task, start: Draw) -> Draw:
    book = load_runbook(task.runbook, preset=task.preset, overrides=task.overrides, plugins=task.plugins)
    opened: list[Bench] = []

    def begin(bench: Bench) -> RunRecord:
        opened.append(bench)
        run = Run(
            task.folder / "run", title=book.title, sample=chip_id(bench), seed=task.seed, quiet=True,
            station=bench.station,
        )  # fmt: skip
        run.live = LivePicture(None)
        return RunRecord(book=book, run=run, origin={}, figures=False)

    outcome = conduct(book, task.folder / STATION, task.seed, begin, check=False, console=None)
    (bench,) = opened
    return start.model_copy(
        update={
            "metrics": {key: value if np.isfinite(value) else None for key, value in outcome.summary.items()},
            "bench_seconds": mock_bench(task.folder / BENCH).clock.now,
            "wear": _wear(bench),
            "missed": tuple(check.metric for check in outcome.checks if not check.passed),
        }
    )


def _wear(bench: Bench) -> Wear:
    maps = bench.wear.maps()
    place = np.unravel_index(int(np.argmax(maps["pulses"])), maps["pulses"].shape)
    return Wear(
        worst_cell=(int(place[0]), int(place[1])),
        **{f"{name}_max": float(maps[name].max()) for name in ("pulses", "cycles", "sweeps")},
        **{f"{name}_max": float(maps[name].max()) for name in ("set_stress", "reset_stress")},
    )


def _failure(error: Exception) -> str:
    if isinstance(error, XbarlabError):
        return " ".join(str(error).split())
    frames = traceback.extract_tb(error.__traceback__)
    where = f" ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else ""
    return f"{describe_failure(error)}{where}"
