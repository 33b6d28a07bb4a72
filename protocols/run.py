"""The life of a run: a folder, a journal, one dataset per step, what the steps learn of the chip, and the cost."""

from __future__ import annotations

import json
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..analysis.report import Section
from ..instruments.array_spec import ArraySpec, Block
from ..instruments.capabilities import Cost, CrossbarArray
from ..instruments.errors import RefusedError
from .dataset import Axis, DatasetWriter, Variable
from .progress import ProgressBar


class Result(Protocol):
    """What a protocol returns: numbers, a table, a figure and a section of the report."""

    def metrics(self) -> dict[str, float]:
        """Return ``name: number`` as defined in docs/quantities.md."""
        ...

    def section(self) -> Section:
        """Return this step's part of the report."""
        ...


class Run:
    """What a protocol leaves behind and what it shares with the next one.

    Parameters
    ----------
    directory : folder for ``journal.jsonl``, the database and the figures; ``None`` keeps nothing.
        A folder that already holds files is refused.
    seed : seeds the host's random choices (targets); the chip's own seed belongs to the bench.
    quiet : no progress bars.
    """

    def __init__(
        self,
        directory: Path | None,
        *,
        title: str = "xbarlab run",
        sample: str = "chip",
        seed: int = 0,
        quiet: bool = False,
        station: Any = None,
    ) -> None:
        if directory is not None:
            claim_folder(directory)
        self.directory = directory
        self.title, self.sample, self.seed, self.quiet, self.station = title, sample, seed, quiet, station
        self.healthy: NDArray[np.bool_] | None = None
        self.baseline_pulses: NDArray[np.float64] | None = None
        self.database = directory / "data.db" if directory is not None else None
        self.step_id = "step"
        self._started = time.monotonic()
        self.datasets: dict[str, int] = {}
        self.note("run_started", title=title, seed=seed)

    @classmethod
    def of(cls, run: Run | None) -> Run:
        """Return ``run``, or one that keeps nothing."""
        return run if run is not None else cls(None)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the host's generator for one purpose in one step: same seed, same numbers, whatever ran before."""
        words = [self.seed, *f"{self.step_id}/{purpose}".encode()]
        return np.random.default_rng(words)

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began."""
        return time.monotonic() - self._started

    def note(self, event: str, **fields: Any) -> None:
        """Append one line to the journal; it is on disk when this returns."""
        if self.directory is None:
            return
        entry = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "seconds": round(self.seconds, 3),
            "event": event,
            **fields,
        }
        with (self.directory / "journal.jsonl").open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry, default=_plain) + "\n")

    @contextmanager
    def step(self, step_id: str, array: CrossbarArray) -> Generator[Run]:
        """Journal a step's start, end or failure, with what it cost the array."""
        self.step_id = step_id
        before = array.cost
        self.note("step_started", step=step_id)
        try:
            yield self
        except BaseException as error:
            self.note(
                "step_failed",
                step=step_id,
                error=f"{type(error).__name__}: {error}",
                **cost_fields(array.cost - before),
            )
            raise
        self.note("step_done", step=step_id, **cost_fields(array.cost - before))

    def progress(self, label: str, total: float) -> ProgressBar:
        """Return a progress bar for ``total`` units of work."""
        return ProgressBar(f"{self.step_id}: {label}", total, quiet=self.quiet or self.directory is None)

    def dataset(
        self,
        name: str,
        axes: Sequence[Axis],
        variables: Sequence[Variable],
        metadata: Mapping[str, int | float | str] | None = None,
    ) -> DatasetWriter:
        """Open this step's dataset (a context manager)."""
        tags = {"inspectr_tag": f"{self.title}: {self.step_id}", "xbarlab_step": self.step_id, "seed": self.seed}
        return DatasetWriter(
            self.database,
            experiment=self.title,
            sample=self.sample,
            name=f"{self.step_id}_{name}" if self.step_id != name else name,
            axes=axes,
            variables=variables,
            metadata={**tags, **(metadata or {})},
            station=self.station,
        )

    def note_yield(self, spec: ArraySpec, block: Block, healthy: NDArray[np.bool_]) -> None:
        """Take in a yield map of one block; blocks mapped before keep what was found there."""
        whole = self.healthy if self.healthy is not None else spec.healthy_mask(spec.whole)
        whole = whole.copy()
        whole[block.slices] = healthy
        self.healthy = whole

    def healthy_of(self, array: CrossbarArray) -> NDArray[np.bool_]:
        """Return the healthy map [rows, cols]: what this run's yield maps found, elsewhere what the chip file knows."""
        return self.healthy if self.healthy is not None else array.spec.healthy_mask(array.spec.whole)


def cost_fields(cost: Cost) -> dict[str, float]:
    """Return a cost as summary keys."""
    return {key: value for key, value in asdict(cost).items()}


def claim_folder(directory: Path) -> None:
    """Create a run's folder; refuse one that already holds data."""
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise RefusedError(
            f"output folder {directory} already holds data: choose a new folder with --out, or move it away"
        )
    directory.mkdir(parents=True, exist_ok=True)


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
