"""The journal of a run: one line per event, on disk when it is written, and what a later session reads from it."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ...instruments.capabilities import Cost
from .storage import StorageError, append_file

log = logging.getLogger(__name__)

Entry = dict[str, Any]

SESSION_STARTS = ("run_started", "run_resumed")
CLOCK_SLACK = 2.0  # a time service may step the clock by this much [s] without anybody caring


@dataclass
class StepHistory:
    """What earlier sessions did of one step.

    Attributes
    ----------
    units : dict of str to dict
        Journal line of every completed unit, in the order they were completed.
    datasets : dict of str to int
        Datasets the step opened, by guid, and how many of their blocks belong to completed units.
    cost : Cost
        Of all sessions together, the unit in flight included only where the session could still say so.
    seconds : float [s]
        Wall clock.
    """

    units: dict[str, Entry] = field(default_factory=dict[str, Entry])
    datasets: dict[str, int] = field(default_factory=dict[str, int])
    cost: Cost = field(default_factory=Cost)
    seconds: float = 0.0
    started: bool = False
    done: bool = False
    _session_cost: Cost = field(default_factory=Cost)
    _since: float | None = None

    def take(self, entry: Entry) -> None:
        """Take in one line that names this step."""
        event = entry["event"]
        if event == "step_started":
            self.started, self._since = True, float(entry["seconds"])
        elif event == "dataset_opened":
            self.started = True
            self.datasets.setdefault(entry["dataset"], 0)
        elif event == "unit_done":
            self.units[entry["unit"]] = entry
            if entry.get("dataset"):
                self.datasets[entry["dataset"]] = max(self.datasets.get(entry["dataset"], 0), int(entry["blocks"]))
        elif event == "step_done":
            self.done = True
        elif event == "step_repeated":
            self.units, self.datasets, self.done, self.started = {}, {}, False, False
        if "cost" in entry:
            cost = entry["cost"]
            self._session_cost = Cost(
                int(cost["transactions"]), int(cost["slots"]), int(cost["pulses"]), float(cost["chip_seconds"])
            )
        if self._since is not None and "seconds" in entry and event in {"unit_done", "step_done", "step_failed"}:
            self.seconds += float(entry["seconds"]) - self._since
            self._since = float(entry["seconds"])

    def close_session(self) -> None:
        """Add up what the session that ends here spent."""
        self.cost, self._session_cost, self._since = self.cost + self._session_cost, Cost(), None


class Journal:
    """The file ``journal.jsonl`` of one run, open for appending.

    Parameters
    ----------
    seconds : float [s]
        Wall-clock time that earlier sessions of the run took.
    last_time : float [s]
        Wall clock of the last line, to notice when somebody sets it back.
    """

    def __init__(self, path: Path, *, seconds: float = 0.0, last_time: float = 0.0) -> None:
        self.path = path
        self._before, self._last_time = seconds, last_time
        self._started = time.monotonic()

    @property
    def seconds(self) -> float:
        """Wall-clock seconds since the run began; the time between sessions does not count."""
        return self._before + time.monotonic() - self._started

    def append(self, event: str, **fields: Any) -> None:
        """Append one line; it is on disk when this returns."""
        now = time.time()
        if now < self._last_time - CLOCK_SLACK:
            back, self._last_time = self._last_time - now, now
            log.warning(
                "the computer's clock was set back by %.0f s: the order of %s is that of its lines, and durations are "
                "not affected",
                back,
                self.path,
            )
            self._write({"event": "clock_set_back", "by_seconds": round(back, 1)}, now)
        self._last_time = max(now, self._last_time)
        self._write({"event": event, **fields}, now)

    def _write(self, entry: Entry, now: float) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z", time.localtime(now))
        line = {"time": stamp, "epoch": round(now, 3), "seconds": round(self.seconds, 3), **entry}
        append_file(self.path, (json.dumps(line, default=_plain) + "\n").encode())


def read_journal(path: Path) -> list[Entry]:
    """Return the lines of a journal; a last one that was torn by a kill or a power cut is left out.

    Raises
    ------
    StorageError
        When a line in the middle cannot be read: that is not what a kill does.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}: give the folder of a run") from error
    entries: list[Entry] = []
    torn = 0
    for number, line in enumerate(lines, start=1):
        entry = _parsed(line)
        # Resuming ends a torn line and begins its own, so a torn one is the last or stands before a resume.
        if torn and entry is not None and entry["event"] != "run_resumed":
            raise StorageError(
                f"{path}:{torn}: this line cannot be read, and it is not the last: the file was changed or the disk "
                "is failing; the measured data are in data.db beside it"
            )
        if entry is not None:
            entries.append(entry)
            torn = 0
        elif line.strip(b" \r\0"):
            torn = torn or number
    return entries


def is_torn(path: Path) -> bool:
    """Whether the last line was not written to its end."""
    return not path.read_bytes().endswith(b"\n")


def step_histories(entries: list[Entry]) -> dict[str, StepHistory]:
    """Return what was done of each step, by step id."""
    found: dict[str, StepHistory] = {}
    for entry in entries:
        if entry["event"] in SESSION_STARTS:
            for history in found.values():
                history.close_session()
        if "step" in entry:
            found.setdefault(str(entry["step"]), StepHistory()).take(entry)
    for history in found.values():
        history.close_session()
    return found


def _parsed(line: bytes) -> Entry | None:
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) and "event" in entry and "seconds" in entry else None


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
