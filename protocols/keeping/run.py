"""The life of a run: a folder, a journal, one dataset per step, and what the steps cost."""

from __future__ import annotations

import math
import secrets
import sys
import time
from collections import Counter
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np

from ...analysis.report.report import Section
from ...common.errors import RefusedError
from ...common.progress import SHOW_AFTER, ProgressBar
from ...common.text import duration, printable
from ...common.units import unit_of
from ...instruments.block import Block
from ...instruments.capabilities import Cost, CrossbarArray
from .cell_work import CellWork, axis_values
from .checkpoint import Checkpoint
from .chip_knowledge import ChipKnowledge
from .data_check import setpoints_of
from .dataset import Axis, DatasetWriter, Shape, Variable
from .finished import FinishedStep
from .journal import Journal, StepHistory, read_journal, step_histories
from .journal_lines import FORMAT, read_lines
from .live_picture import LivePicture
from .live_rows import LiveRows
from .storage import StorageError, append_file, writing
from .work import Work

if TYPE_CHECKING:
    from pandas import DataFrame

JOURNAL, STATE, DATABASE = "journal.jsonl", "state", "data.db"


class Result(Protocol):
    """What a protocol returns: numbers, a table, a figure and a section of the report."""

    def metrics(self) -> dict[str, float]:
        """Return ``name: number`` as defined in docs/quantities.md."""
        ...

    def section(self) -> Section:
        """Return this step's part of the report."""
        ...


class Run:
    """A folder and the record in it: what a protocol leaves behind and shares with the next one.

    In a notebook::

        with Run("runs/monday") as run, open_bench("my.station.yaml") as bench:
            with run.step("iv", bench.array):
                result = dc_sweep(bench.array, DcSweepPlan(cells="0:2,0:2"), run)

    Parameters
    ----------
    directory : folder for the journal, the state of steps, the database and the figures; ``None`` keeps nothing.
        A folder that already holds files is refused.
    seed : seeds the host's random choices (targets); the chip's own seed belongs to the bench.
    quiet : no progress bars.
    resumed : the folder holds a run that ended early, and this one goes on with it.
    thermometer : returns the chip's temperature [K], where the bench has one: ``bench.thermometer``.

    Attributes
    ----------
    history : dict of str to StepHistory
        What earlier sessions did, by step id.
    id, session : str
        Of the run, which it keeps for life, and of this session of it.
    chip : ChipKnowledge
        What the steps so far have learnt of the chip.
    live : LivePicture
        A picture of the step that is being done.
    place : str
        Which step of how many is being done, ``"step 2 of 6"``, where somebody knows.
    at_unit : callable, optional
        Called when a unit of work is done, before its state is kept.
    """

    def __init__(
        self,
        directory: str | Path | None,
        *,
        title: str = "xbarlab run",
        sample: str = "chip",
        seed: int = 0,
        quiet: bool = False,
        station: Any = None,
        resumed: bool = False,
        thermometer: Callable[[], float] | None = None,
    ) -> None:
        directory = Path(directory) if directory is not None else None
        self.directory = directory
        self.title, self.sample, self.seed, self.quiet, self.station = title, sample, seed, quiet, station
        self.id, self.session = secrets.token_hex(8), secrets.token_hex(4)
        self.chip = ChipKnowledge()
        self.live = LivePicture(directory, quiet=quiet)
        self.database = directory / DATABASE if directory is not None else None
        self.step_id, self.place = "step", ""
        self.history: dict[str, StepHistory] = {}
        self.at_unit: Callable[[], None] | None = None
        self._thermometer = thermometer
        self._spent: Callable[[], Cost] = Cost
        self._gave: dict[str, float] | None = None
        self._target: object = None
        self._known = ""
        self._seconds = 0.0
        self._works: Counter[str] = Counter()
        self._journal = Journal(directory / JOURNAL) if directory is not None else None
        if directory is None:
            return
        if resumed:
            self._journal = self._take_up(directory)
        else:
            claim_folder(directory)
            self.note("run_started", format=FORMAT, run=self.id, session=self.session, title=title, seed=seed)

    def _take_up(self, directory: Path) -> Journal:
        """Read what earlier sessions did, end a line that the last one could not, and begin a session."""
        path = directory / JOURNAL
        lines = read_lines(path)
        entries = [line.entry for line in lines if line.entry is not None]
        if not entries:
            raise RefusedError(f"{directory} holds no run: its journal is empty")
        self.history = step_histories(entries)
        self.id = next((str(entry["run"]) for entry in entries if "run" in entry), self.id)
        if not path.read_bytes().endswith(b"\n"):
            append_file(path, b"\n")
        last, torn = entries[-1], lines[-1].number if lines[-1].entry is None else None
        epoch = float(last.get("epoch", 0.0))
        journal = Journal(path, seconds=float(last["seconds"]), last_time=epoch, lines=len(lines))
        journal.append(
            "run_resumed", format=FORMAT, run=self.id, session=self.session, title=self.title, seed=self.seed, torn=torn
        )
        return journal

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(StorageError) if error is not None else nullcontext():
            if error is None:
                self.note("run_done", missed=[])
            else:
                event = "run_interrupted" if isinstance(error, KeyboardInterrupt) else "run_failed"
                self.note(event, error=f"{type(error).__name__}: {error}")

    @classmethod
    def of(cls, run: Run | None) -> Run:
        """Return ``run``, or one that keeps nothing."""
        return run if run is not None else cls(None)

    def rng(self, purpose: str) -> np.random.Generator:
        """Return the host's generator for one purpose in one step: same seed, same numbers, whatever ran before."""
        words = [self.seed, *f"{self.step_id}/{purpose}".encode()]
        return np.random.default_rng(words)

    @classmethod
    def look_at(cls, directory: Path, *, title: str, seed: int) -> Run:
        """Return a run as earlier sessions left it; nothing is written into its journal."""
        run = cls(None, title=title, seed=seed, quiet=True)
        entries = read_journal(directory / JOURNAL)
        run.directory, run.database = directory, directory / DATABASE
        run.history = step_histories(entries)
        run.id = next((str(entry["run"]) for entry in entries if "run" in entry), run.id)
        run._seconds = float(entries[-1]["seconds"]) if entries else 0.0
        return run

    def temperature(self) -> float:
        """Return the chip's temperature [K] now; nan where no thermometer is known."""
        return math.nan if self._thermometer is None else self._thermometer()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began; the time between its sessions does not count."""
        return self._journal.seconds if self._journal is not None else self._seconds

    def note(self, event: str, **fields: Any) -> None:
        """Append one line to the journal; it is on disk when this returns."""
        if self._journal is not None:
            self._journal.append(event, **fields)

    @contextmanager
    def step(self, step_id: str, array: CrossbarArray) -> Generator[Run]:
        """Journal a step's start, end or failure, with what it cost the array; nothing of one that is done already."""
        self.step_id = step_id
        if self.is_done(step_id):
            yield self
            return
        before, self._gave = array.cost, None
        self._target = self.chip.target
        self._spent = lambda: array.cost - before
        self.note("step_started", step=step_id)
        begun = time.monotonic()
        try:
            with ProgressBar(self._doing, quiet=self._unseen):
                yield self
        except BaseException as error:
            with suppress(StorageError):  # the failure itself is what must be heard
                self.note(
                    "step_failed",
                    step=step_id,
                    error=f"{type(error).__name__}: {error}",
                    cost=cost_fields(self._spent()),
                )
            raise
        gave = {} if self._gave is None else {"metrics": self._gave, "known": self._known}
        self.note("step_done", step=step_id, cost=cost_fields(self._spent()), **gave)
        if time.monotonic() - begun >= SHOW_AFTER:
            self.tell(f"{self._doing}: done after {duration(time.monotonic() - begun)}")

    def finish(
        self, metrics: Mapping[str, float], section: Section | None = None, frame: DataFrame | None = None
    ) -> None:
        """Keep what the step that ends now gave, and what is known of the chip by now: later sessions read it here.

        Called within :meth:`step`, last.
        """
        self._gave = dict(metrics)
        earlier = self.history[self.step_id].cost.pulses if self.step_id in self.history else 0
        if self._spent().pulses + earlier and self.chip.target is self._target:
            self.chip.target = None  # the step wrote, and not to targets
        if (kept := self._finished(self.step_id)) is not None:
            self._known = kept.save(self.chip.arrays(), section, frame)

    def finished(self, step_id: str) -> tuple[dict[str, float], FinishedStep] | None:
        """Return what a step gave that an earlier session completed, and know of the chip what was known then.

        None where that session kept nothing of it, as older ones did not.
        """
        history, kept = self.history.get(step_id), self._finished(step_id)
        if history is None or history.metrics is None or kept is None or not kept.kept:
            return None
        self.chip.restore(kept.known(history.known))
        return dict(history.metrics), kept

    def _finished(self, step_id: str) -> FinishedStep | None:
        if self.directory is None:
            return None
        return FinishedStep(self._state_folder(self.directory), step_id)

    @staticmethod
    def _state_folder(directory: Path) -> Path:
        folder = directory / STATE
        with writing(folder):
            folder.mkdir(exist_ok=True)
        return folder

    def is_done(self, step_id: str) -> bool:
        """Whether an earlier session completed a step."""
        return step_id in self.history and self.history[step_id].done

    def repeat(self, step_id: str) -> None:
        """Forget what earlier sessions did of a step: it begins anew, and its data so far stand for themselves."""
        names = [step_id]
        while (part := f"{step_id}_{len(names) + 1}") in self.history and self.history[part].part:
            names.append(part)
        for name in names:
            self.note("step_repeated", step=name)
            self.history.get(name, StepHistory()).take({"event": "step_repeated"})
            if self.directory is not None:
                Checkpoint(self.directory / STATE, name).discard()
                FinishedStep(self.directory / STATE, name).discard()

    def work(
        self,
        name: str,
        axes: Sequence[Axis],
        variables: Sequence[Variable],
        metadata: Mapping[str, int | float | str] | None = None,
        *,
        label: str,
        total: float,
        drawn: bool = True,
        earlier: Shape | None = None,
    ) -> Work:
        """Return this step's work (a context manager): its dataset, its progress, and the units that are still to do.

        Parameters
        ----------
        label, total : what the progress bar counts, and how many there are.
        drawn : whether what is added is drawn now and then; False where the step draws better pictures itself.
        earlier : the shape that versions before gave this dataset; a run that one of them began goes on with it.
        """
        self._works[self.step_id] += 1
        nth = self._works[self.step_id]
        step = self.step_id if nth == 1 else f"{self.step_id}_{nth}"

        def open_dataset(parent: str | None) -> DatasetWriter:
            tags = {**(metadata or {}), **({"xbarlab_parent": parent} if parent is not None else {})}
            shape = Shape(axes, variables)
            if earlier is not None and parent is not None and self.database is not None:
                shape = earlier if setpoints_of(self.database, parent) == earlier.setpoints else shape
            return self.dataset(name, shape.axes, shape.variables, tags, whole=parent is None)

        bar = self.progress(label, total)
        if self.directory is None:
            return Work(step, open_dataset, bar)
        folder = self._state_folder(self.directory)
        return Work(
            step,
            open_dataset,
            bar,
            note=self.note,
            checkpoint=Checkpoint(folder, step, self.id),
            history=self.history.get(step),
            spent=lambda: cost_fields(self._spent()),
            at_unit=self.at_unit,
            rows=LiveRows(self.live, step, axes, variables) if drawn else None,
        )

    def measure(self, axis: str, values: Sequence[float], cells: Block, **quantities: str) -> CellWork:
        """Return work (a context manager) that measures the same quantities of the same cells for every value.

        Parameters
        ----------
        axis, values : what is varied, a word of letters that may have its unit behind it, ``"wait [s]"``, and one
            number for every unit of work.
        cells : Block
        quantities : unit of each quantity, by name: ``conductance="S"``.
        """
        unit = unit_of(axis)
        axis = axis.removesuffix(f"[{unit}]").rstrip() if unit else axis
        numbers = axis_values(axis, values)
        axes = [
            Axis(axis, axis.replace("_", " ").capitalize(), unit, count=len(numbers)),
            Axis("row", "Row", values=np.arange(cells.row0, cells.row0 + cells.nrows, dtype=np.int16)),
            Axis("col", "Column", values=np.arange(cells.col0, cells.col0 + cells.ncols, dtype=np.int16)),
        ]
        variables = [Variable(name, name.replace("_", " ").capitalize(), unit) for name, unit in quantities.items()]
        work = self.work(self.step_id, axes, variables, label=axis, total=len(numbers))
        return CellWork(work, axis, numbers, cells, quantities)

    def progress(self, label: str, total: float) -> ProgressBar:
        """Return a progress bar for ``total`` units of work."""
        return ProgressBar(self._doing, total, unit=label, quiet=self._unseen)

    @property
    def _doing(self) -> str:
        return f"{self.step_id} ({self.place})" if self.place else self.step_id

    @property
    def _unseen(self) -> bool:
        return self.quiet or self.directory is None

    def tell(self, line: str) -> None:
        """Say something to who watches, on stderr; nothing where the run is quiet or keeps nothing."""
        if not self._unseen:
            print(f"{time.strftime('%H:%M:%S')} {printable(line)}", file=sys.stderr, flush=True)

    def dataset(
        self,
        name: str,
        axes: Sequence[Axis],
        variables: Sequence[Variable],
        metadata: Mapping[str, int | float | str] | None = None,
        *,
        whole: bool = True,
    ) -> DatasetWriter:
        """Open this step's dataset (a context manager); not a ``whole`` one where an earlier session began another."""
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
            whole=whole,
        )


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
