"""The journal of a run: one line per event, on disk when it is written, and what a later session reads from it."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field
from math import nan
from pathlib import Path
from typing import Any

from ...instruments.capabilities import Cost
from .journal_lines import Entry, encoded, read_lines
from .storage import StorageError, append_file

log = logging.getLogger(__name__)

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
    metrics : dict of str to float, optional
        What a step that is done gave; None where its session did not say.
    known : str
        Digest of what was known of the chip then.
    part : bool
        It is no step but the second work of one, or a later one.
    """

    units: dict[str, Entry] = field(default_factory=dict[str, Entry])
    datasets: dict[str, int] = field(default_factory=dict[str, int])
    cost: Cost = field(default_factory=Cost)
    seconds: float = 0.0
    started: bool = False
    done: bool = False
    metrics: dict[str, float] | None = None
    known: str = ""
    part: bool = True
    _session_cost: Cost = field(default_factory=Cost)
    _since: float | None = None

    def take(self, entry: Entry) -> None:
        """Take in one line that names this step."""
        event = entry["event"]
        if event == "step_started":
            self.started, self.part, self._since = True, False, float(entry["seconds"])
        elif event == "dataset_opened":
            self.started = True
            self.datasets.setdefault(entry["dataset"], 0)
        elif event == "unit_done":
            if entry["order"] != len(self.units) + 1:
                raise StorageError(
                    f"the journal has unit {entry['unit']!r} of step {entry['step']!r} as number {entry['order']} "
                    f"after {len(self.units)} others: units are missing or stand twice, the file was changed. Put it "
                    "back as it was, or begin a new run; what was measured is in data.db beside it"
                )
            self.units[entry["unit"]] = entry
            if entry.get("dataset"):
                self.datasets[entry["dataset"]] = max(self.datasets.get(entry["dataset"], 0), int(entry["blocks"]))
        elif event == "step_done":
            self.done = True
            self.known = str(entry.get("known", ""))
            if "metrics" in entry:
                self.metrics = {
                    name: nan if value is None else float(value) for name, value in entry["metrics"].items()
                }
        elif event == "step_repeated":
            self.units, self.datasets, self.done, self.started, self.metrics = {}, {}, False, False, None

    def spend(self, entry: Entry) -> None:
        """Take in what this step has cost so far in its session, as one of its lines or one of its parts' says."""
        if "cost" in entry:
            cost = entry["cost"]
            self._session_cost = Cost(
                int(cost["transactions"]), int(cost["slots"]), int(cost["pulses"]), float(cost["chip_seconds"])
            )
        ends = entry["event"] in {"unit_done", "step_done", "step_failed"}
        if self._since is not None and "seconds" in entry and ends:
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
    lines : int
        How many lines the file has already.
    """

    def __init__(self, path: Path, *, seconds: float = 0.0, last_time: float = 0.0, lines: int = 0) -> None:
        self.path = path
        self._lines = lines
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
        append_file(self.path, encoded(self._lines + 1, line))
        self._lines += 1


def read_journal(path: Path) -> list[Entry]:
    """Return the entries of a journal; a last line that was torn by a kill or a power cut is left out.

    Raises
    ------
    StorageError
        A line in the middle is missing or damaged: that is not what a kill does.
    """
    return [line.entry for line in read_lines(path) if line.entry is not None]


def step_histories(entries: list[Entry]) -> dict[str, StepHistory]:
    """Return what was done of each step, by step id; a step that works twice has a part of its own for the second.

    What a part has cost is its step's: every line says what the step has cost since its session began.

    Raises
    ------
    StorageError
        A unit is missing among those of its step.
    """
    found: dict[str, StepHistory] = {}
    under_way = ""
    for entry in entries:
        if entry["event"] in SESSION_STARTS:
            under_way = ""
            for history in found.values():
                history.close_session()
        if "step" not in entry:
            continue
        name = str(entry["step"])
        found.setdefault(name, StepHistory()).take(entry)
        under_way = name if entry["event"] == "step_started" else under_way
        found[under_way or name].spend(entry)
        if entry["event"] in {"step_done", "step_failed"}:
            under_way = ""
    for history in found.values():
        history.close_session()
    return found
