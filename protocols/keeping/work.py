"""A step's work in units: each is done once, kept when it is done, and left out when the step goes on later.

A protocol writes::

    with keep.work("dc_sweep", axes, variables, meta, label="loops", total=len(loops)) as work:
        for name, loop in loops.items():
            if work.begin(name):
                ...
                work.add(slow, **rows)
                work.done(volts=..., current=...)
        volts = work.stack("volts")

and builds its result from what the work holds, whether that was measured now or by a session that was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.progress import ProgressBar
from ...instruments.wire.interrupts import uninterrupted
from .array_state import Keepable
from .checkpoint import Checkpoint, NamedArrays
from .dataset import DatasetWriter
from .journal import Entry, StepHistory
from .live_rows import LiveRows

DatasetOpener = Callable[[str | None], DatasetWriter]


class Work:
    """The units of one step.

    Parameters
    ----------
    step : id under which the journal and the state files know the step
    open_dataset : opens the step's dataset, told the guid of the one that an earlier session left; called before the
        first unit, so that a step that is done opens none
    bar : advances by one with every unit
    note : appends a line to the journal; None where nothing is kept
    checkpoint : where the state is kept; None where nothing is kept
    history : what earlier sessions did of the step
    spent : what the step has cost in this session, for the journal
    at_unit : called before the state of a unit is kept
    rows : draws what is added, now and then

    Attributes
    ----------
    interrupted : bool
        True during the first unit of a session that goes on from an earlier one: that unit may have been begun before.
        Whatever the array was told then is not known, so a protocol reads anew what it is about to build upon.
    setpoints : tuple of str
        Names of the axes of the dataset, from the first unit on.
    """

    def __init__(
        self,
        step: str,
        open_dataset: DatasetOpener,
        bar: ProgressBar,
        *,
        note: Callable[..., None] | None = None,
        checkpoint: Checkpoint | None = None,
        history: StepHistory | None = None,
        spent: Callable[[], Mapping[str, float]] = dict[str, float],
        at_unit: Callable[[], None] | None = None,
        rows: LiveRows | None = None,
    ) -> None:
        self.step = step
        self.interrupted = False
        self._open_dataset, self._bar, self._spent, self._at_unit = open_dataset, bar, spent, at_unit
        self._note, self._checkpoint, self._rows = note, checkpoint, rows
        self._history = history if history is not None else StepHistory()
        self._data: DatasetWriter | None = None
        self._blocks = 0
        self.setpoints: tuple[str, ...] = ()
        self._unit = ""
        self._order = len(self._history.units)
        self._held: dict[str, Keepable] = {}
        self._restored: NamedArrays = {}
        self._pieces: dict[str, NamedArrays] = {}
        self._last: Entry = {}

    # -- in and out ----------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        if self._checkpoint is not None and self._history.started:
            self._restore(self._checkpoint)
        self._bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._rows is not None and error is None:
            self._rows.ended()
        self._bar.__exit__(kind, error, trace)
        if self._data is not None:
            self._data.__exit__(kind, error, trace)

    def _restore(self, checkpoint: Checkpoint) -> None:
        units = self._history.units
        snapshots = {unit: str(line["snapshot"]) for unit, line in units.items() if line.get("snapshot")}
        loaded = checkpoint.load(snapshots) if any(line["state"] for line in units.values()) or not units else None
        if loaded is not None:
            arrays, line = loaded
            if line["order"] == len(units) + 1 and self._note is not None:
                # Killed after the snapshot and before the line: the unit was done in all but name.
                line.pop("cost", None)  # of the session that was killed, not of this one
                self._history.take({"event": "unit_done", **line})
                self._note("unit_done", **line, found="in a snapshot newer than the journal")
            elif line["unit"] != self._last_with_state():
                raise checkpoint.damaged(
                    checkpoint.snapshot_file, f"it belongs to unit {line['unit']!r}, the journal ends with another"
                )
            self._restored = arrays
        elif any(line["state"] for line in units.values()):
            raise checkpoint.damaged(checkpoint.snapshot_file, "it is gone")
        places = {unit: tuple(line["pieces"]) for unit, line in units.items() if line.get("pieces")}
        checkpoint.cut_pieces(max((end for _, end in places.values()), default=0))
        digests = {unit: str(line["pieces_digest"]) for unit, line in units.items() if "pieces_digest" in line}
        self._pieces = checkpoint.load_pieces(places, digests)
        self._order = len(units)

    def _last_with_state(self) -> str | None:
        return next((unit for unit, line in reversed(self._history.units.items()) if line["state"]), None)

    # -- units -----------------------------------------------------------------------------------------------------

    def begin(self, unit: str) -> bool:
        """Return whether ``unit`` is still to be done, and from here on take what is added as its own."""
        if unit in self._history.units:
            self._bar.skip()
            return False
        if self._data is None:
            earlier = list(self._history.datasets)
            self._data = self._open_dataset(earlier[-1] if earlier else None).__enter__()
            self.setpoints = self._data.setpoints
            if self._note is not None:
                self._note("dataset_opened", step=self.step, dataset=self._data.guid)
            self.interrupted = self._history.started
        self._unit = unit
        return True

    def add(self, slow: Mapping[str, float] | None = None, **data: ArrayLike) -> None:
        """Write one block to the dataset, as :meth:`DatasetWriter.add` does."""
        assert self._data is not None, "begin a unit first"
        self._data.add(slow, **data)
        self._blocks += 1
        if self._rows is not None:
            self._rows.took(slow or {}, data)

    def moved(self, progress: float, note: str = "") -> None:
        """Let the bar show how far a unit has come."""
        self._bar.update(progress, note)

    def done(self, note: str = "", progress: float | None = None, /, **pieces: ArrayLike) -> None:
        """Keep the unit: rows first, then the state, then the journal line; all on disk when this returns.

        Parameters
        ----------
        note : shown beside the progress bar
        progress : what the bar shows from now on; one more by default
        pieces : what this unit alone measured, for the result
        """
        if pieces:
            self._pieces[self._unit] = {name: np.asarray(value) for name, value in pieces.items()}
        if self._checkpoint is not None and self._note is not None:
            with uninterrupted():
                self._keep(self._checkpoint, self._note)
        self.interrupted = False
        if progress is None:
            self._bar.advance(note=note)
        else:
            self._bar.update(progress, note)

    def _keep(self, checkpoint: Checkpoint, note: Callable[..., None]) -> None:
        assert self._data is not None
        self._data.flush()
        self._order += 1
        line: Entry = {
            "step": self.step,
            "unit": self._unit,
            "order": self._order,
            "dataset": self._data.guid,
            "blocks": self._blocks,
            "state": bool(self._held),
            "cost": dict(self._spent()),
        }
        pieces = self._pieces.get(self._unit)
        if pieces:
            line["pieces"], line["pieces_digest"] = checkpoint.add_pieces(pieces)
        if self._at_unit is not None:
            self._at_unit()
        if self._held:
            line["snapshot"] = checkpoint.save(self._arrays(), line)
        note("unit_done", **line)

    # -- what is kept ------------------------------------------------------------------------------------------------

    def hold(self, name: str, thing: Keepable) -> None:
        """Keep ``thing`` with every unit from now on; take up what an earlier session kept of it."""
        self._held[name] = thing
        prefix = f"{name}."
        mine = {key.removeprefix(prefix): value for key, value in self._restored.items() if key.startswith(prefix)}
        if mine:
            thing.restore(mine)

    def _arrays(self) -> NamedArrays:
        return {f"{name}.{key}": value for name, thing in self._held.items() for key, value in thing.arrays().items()}

    def piece(self, unit: str, name: str) -> NDArray[Any]:
        """Return what ``unit`` measured under ``name``."""
        return self._pieces[unit][name]

    def all_of(self, unit: str) -> NamedArrays:
        """Return everything ``unit`` measured, by name; nothing where it measured nothing."""
        return self._pieces.get(unit, {})

    def pieces(self, name: str) -> list[NDArray[Any]]:
        """Return what every unit that has it measured under ``name``, in the order they were done."""
        return [found[name] for found in self._pieces.values() if name in found]

    def stack(self, name: str) -> NDArray[Any]:
        """Return :meth:`pieces` as one array, units along the first axis."""
        return np.stack(self.pieces(name))
