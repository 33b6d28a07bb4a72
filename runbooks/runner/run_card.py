"""``run.json``: what a run was begun with, so that a later session can go on with exactly that and nothing else."""

from __future__ import annotations

import difflib
import hashlib
import json
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ...common.errors import RefusedError
from ...protocols.keeping.storage import replace_file
from ...protocols.registry import step_kind
from .parameters import Overrides
from .record import versions
from .schema import Runbook, Step, load_runbook

CARD, COPY = "run.json", "runbook.md"
DIFFERENCE_LINES = 20


@dataclass(frozen=True)
class RunCard:
    """What a run was begun with.

    Attributes
    ----------
    runbook, station : str
        The files it was begun from.
    text, sha256 : str
        The runbook as it was, which ``runbook.md`` in the folder must still be.
    steps : list of dict
        Id, step and resolved parameters, overrides included.
    chip : str
        Id of the chip.
    simulation : dict
        What simulated instruments said of their chips.
    seed : int, optional
        As given.
    """

    runbook: str
    station: str
    text: str
    steps: list[dict[str, Any]]
    chip: str
    sha256: str = ""
    seed: int | None = None
    check: bool = False
    overrides: list[str] = field(default_factory=list[str])
    simulation: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    versions: list[str] = field(default_factory=versions)

    def write(self, folder: Path) -> None:
        """Write ``run.json`` and the copy of the runbook into a run's folder."""
        replace_file(folder / COPY, self.text.encode())
        card = {**asdict(self), "sha256": _digest(self.text)}
        replace_file(folder / CARD, (json.dumps(card, indent=1, ensure_ascii=False) + "\n").encode())

    def book(self, folder: Path) -> Runbook:
        """Return the runbook with the parameters the run was begun with; refuse a copy that was changed since."""
        copy = folder / COPY
        text = copy.read_bytes().decode("utf-8", errors="replace") if copy.is_file() else ""
        if text != self.text:
            shown = "\n".join(_difference(self.text, text, copy))
            raise RefusedError(
                f"{copy} was changed since the run was begun; a run goes on as it was begun. Put back what it was (the "
                f"text is in {CARD}), or begin a new run with the changed one:\n{shown}"
            )
        if _digest(self.text) != self.sha256:
            raise RefusedError(f"{folder / CARD} was changed: its runbook does not have the hash noted beside it")
        steps: list[Step] = []
        for entry in self.steps:
            kind = step_kind(str(entry["step"]))
            try:
                steps.append(Step(str(entry["id"]), kind, kind.plan(**entry["plan"])))
            except RefusedError as error:
                raise RefusedError(f"step {entry['id']!r} of {folder / CARD}: {error}") from error
        return replace(load_runbook(copy), path=Path(self.runbook), steps=tuple(steps))


def card_of(
    book: Runbook,
    station: Path,
    chip: str,
    *,
    seed: int | None,
    check: bool,
    overrides: Overrides,
    simulation: dict[str, dict[str, Any]],
) -> RunCard:
    """Return the card of a run that begins now."""
    given = [f"{key}={value}" for key, value in overrides.items()] if isinstance(overrides, dict) else list(overrides)
    return RunCard(
        runbook=str(book.path.resolve()),
        station=str(station),
        text=book.path.read_text(encoding="utf-8-sig"),
        steps=[
            {"id": step.id, "step": step.kind.name, "plan": step.plan.model_dump(mode="json")} for step in book.steps
        ],
        chip=chip,
        seed=seed,
        check=check,
        overrides=[str(item) for item in given],
        simulation=simulation,
    )


def read_card(folder: Path) -> RunCard:
    """Return the card of a run; a folder that has none holds no run that could go on."""
    path = folder / CARD
    if not folder.is_dir():
        raise RefusedError(f"there is no folder {folder}: give the folder of a run, like runs/first_light_1t1r-…")
    if not path.is_file():
        raise RefusedError(
            f"{folder} holds no {CARD}: it is not the folder of a run, or the run ended before its first step; run it "
            "anew into a new folder"
        )
    try:
        return RunCard(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, TypeError) as error:
        raise RefusedError(f"{path} cannot be read: {error}: it was changed, or the disk is failing") from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _difference(before: str, now: str, name: Path) -> list[str]:
    lines = list(
        difflib.unified_diff(
            before.splitlines(), now.splitlines(), f"{name.name} at the start", f"{name.name} now", lineterm="", n=0
        )
    )
    more = [f"… and {len(lines) - DIFFERENCE_LINES} more lines"] if len(lines) > DIFFERENCE_LINES else []
    return lines[:DIFFERENCE_LINES] + more
