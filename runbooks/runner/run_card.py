"""``run.json``: what a run was begun with, so that a later session can go on with exactly that and nothing else."""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...common import plugins
from ...common.errors import RefusedError
from ...common.files import read_json
from ...protocols.keeping.journal_lines import Entry
from ...protocols.keeping.storage import json_text, replace_file
from ...protocols.registry import step_kind
from .expectations import still_shown
from .parameters import Overrides
from .plugin_grant import Ask, Files, grant_again, nobody
from .record import versions
from .schema import Runbook, load_runbook
from .step import Step

CARD, COPY = "run.json", "runbook.md"
FORMAT = 2
DIFFERENCE_LINES = 20


class CardStep(BaseModel):
    """Id, name and resolved parameters of a step, overrides included."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    id: str
    step: str
    plan: dict[str, Any]


class RunCard(BaseModel):
    """What a run was begun with.

    Attributes
    ----------
    format : int
        Format 1 had no ``run``, ``births``, ``plugins`` and ``digest``; it is read.
    run : str
        Id of the run, which its journal and the accounts of its chips have too.
    runbook, station : str
        The files it was begun from.
    text, sha256 : str
        The runbook as it was, which ``runbook.md`` in the folder must still be.
    chip : str
        Id of the chip.
    births : dict
        Birth ids of the chips, by the instrument or bench that told them.
    simulation : dict
        What simulated instruments said of their chips.
    seed : int, optional
        As given.
    preset : str
        Name of the runbook's preset, "" for none.
    plugins : dict
        Plug-in file → its sha256.
    files : dict
        File of the user's own that a step reads → its sha256.
    digest : str
        Of everything else in the card.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: int = 1
    run: str = ""
    runbook: str
    station: str
    text: str
    steps: list[CardStep]
    chip: str
    sha256: str = ""
    seed: int | None = None
    check: bool = False
    overrides: list[str] = Field(default_factory=list)
    preset: str = ""
    births: dict[str, str] = Field(default_factory=dict)
    simulation: dict[str, dict[str, Any]] = Field(default_factory=dict)
    plugins: dict[str, str] = Field(default_factory=dict)
    files: dict[str, str] = Field(default_factory=dict)
    versions: list[str] = Field(default_factory=versions)
    digest: str = ""

    def write(self, folder: Path) -> None:
        """Write ``run.json`` and the copy of the runbook into a run's folder."""
        replace_file(folder / COPY, self.text.encode())
        replace_file(folder / CARD, (json_text(self.model_dump(mode="json"), indent=1) + "\n").encode())

    def sealed(self) -> RunCard:
        """Return the card with its digest."""
        return self.model_copy(update={"digest": self.own_digest()})

    def own_digest(self) -> str:
        """Return the sha256 of everything in the card but the digest."""
        # Cards of before had no files.
        without = {"digest"} if self.files else {"digest", "files"}
        return _digest(json_text(self.model_dump(mode="json", exclude=without)))

    def refuse_changes(self, folder: Path, entries: Sequence[Entry]) -> None:
        """Refuse a card that is not as it was written when the run began, saying what differs from the journal."""
        begun = next((entry for entry in entries if entry["event"] == "run_started"), {})
        planned = next((entry for entry in entries if entry["event"] == "plans_checked"), {})
        if self.run and begun.get("run", self.run) != self.run:
            raise RefusedError(
                f"{folder / CARD} is of run {self.run}, the journal beside it of run {begun['run']}: they do not "
                "belong together; put back the one that was there"
            )
        differences = [*_changed_seed(self, begun), *changed_steps(self.steps, planned.get("steps"))]
        sealed = self.format < 2 or (self.digest == self.own_digest() == planned.get("card", self.digest))
        if differences or not sealed:
            what = ", ".join(differences) or "its digest is another one than what it was begun with"
            raise RefusedError(
                f"{folder / CARD} was changed since the run was begun: {what}; a run goes on as it was begun. Put back "
                "what it was, or begin a new run"
            )
        for file, was in self.files.items():
            found = _file_digest(Path(file))
            if found != was:
                what = "is gone" if found is None else "was changed"
                raise RefusedError(
                    f"{file}, which a step of this run reads, {what} since the run was begun: put back what it was, or "
                    "begin a new run"
                )

    def book(self, folder: Path, given: Files = (), ask: Ask = nobody) -> Runbook:
        """Return the runbook with the parameters the run was begun with; refuse a copy that was changed since.

        Its plug-ins are run, unchanged, when the command line names them or whoever is asked allows it.
        """
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
        files = grant_again(self.plugins, folder / CARD, given, ask)
        book = load_runbook(copy, preset=self.preset, granted=files)
        optional = {step.id for step in book.steps if step.if_able}
        steps: list[Step] = []
        for entry in self.steps:
            kind = step_kind(entry.step)
            try:
                steps.append(Step(entry.id, kind, kind.plan(**entry.plan), entry.id in optional))
            except RefusedError as error:
                raise RefusedError(f"step {entry.id!r} of {folder / CARD}: {error}") from error
        return replace(
            book, path=Path(self.runbook), steps=tuple(steps), headline=still_shown(book.headline, steps)
        )  # fmt: skip


def card_of(
    book: Runbook,
    station: Path,
    chip: str,
    *,
    run: str,
    seed: int | None,
    check: bool,
    overrides: Overrides,
    simulation: dict[str, dict[str, Any]],
    births: dict[str, str],
) -> RunCard:
    """Return the card of a run that begins now."""
    text = book.path.read_text(encoding="utf-8-sig")
    return RunCard(
        format=FORMAT,
        run=run,
        runbook=str(book.path.resolve()),
        station=str(station),
        text=text,
        sha256=_digest(text),
        steps=card_steps(book),
        chip=chip,
        seed=seed,
        check=check,
        overrides=override_texts(overrides),
        preset=book.preset,
        plugins={str(file.path): file.sha256 for file in book.plugins},
        files={
            str(file): found
            for step in book.steps
            for file in step.plan.files()
            if (found := _file_digest(file)) is not None
        },
        births=births,
        simulation=simulation,
        versions=[*versions(), *strangers(step.kind.name for step in book.steps)],
    ).sealed()


def card_steps(book: Runbook) -> list[CardStep]:
    """Return the steps of a runbook with all their parameters."""
    return [CardStep(id=step.id, step=step.kind.name, plan=step.plan.model_dump(mode="json")) for step in book.steps]


def override_texts(overrides: Overrides) -> list[str]:
    """Return what was given after ``--set``, as it is typed there."""
    if isinstance(overrides, Mapping):
        return [f"{key}={value}" for key, value in overrides.items()]
    return [str(item) for item in overrides]


def strangers(steps: Iterable[str]) -> list[str]:
    """Return the packages of others, with their versions, that steps come from."""
    offered = plugins.offered(plugins.STEPS)
    shown = {entry.origin for name in steps for entry in offered.get(name, ()) if entry.thing is None}
    return sorted(origin for origin in shown if not origin.startswith("xbarlab "))


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
    told: Any = read_json(path, "run card")
    if not isinstance(told, dict):
        raise RefusedError(f"{path} is no run card: it was changed, or the disk is failing")
    found = cast("dict[str, Any]", told)
    number = found.get("format", 1)
    if type(number) is not int or not 1 <= number <= FORMAT:
        raise RefusedError(
            f"{path} is of format {number!r}, this xbarlab reads formats 1 to {FORMAT}: go on with the one that began "
            "the run"
        )
    try:
        return RunCard(**found)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise RefusedError(
            f"{path} cannot be read: {where}: {first['msg']}: it was changed, or the disk is failing"
        ) from error


def _changed_seed(card: RunCard, begun: Mapping[str, Any]) -> list[str]:
    was, now = begun.get("seed"), card.seed or 0
    return [] if was is None or was == now else [f"seed was {was} and is {now}"]


def changed_steps(now: Sequence[CardStep], was: Any) -> list[str]:
    """Return what differs between the parameters in the card and those the journal has from the beginning."""
    if not isinstance(was, list):
        return []
    before: dict[str, Any] = {str(step.get("id")): step for step in cast("list[dict[str, Any]]", was)}
    found = [f"step {name!r} is gone" for name in before if name not in {step.id for step in now}]
    for step in now:
        old = before.get(step.id)
        if old is None:
            found.append(f"step {step.id!r} is new")
            continue
        if old["step"] != step.step:
            found.append(f"step {step.id!r} was {old['step']} and is {step.step}")
        plan: dict[str, Any] = old["plan"]
        for key in dict.fromkeys([*plan, *step.plan]):
            if plan.get(key) != step.plan.get(key):
                found.append(f"{step.id}.{key} was {plan.get(key)} and is {step.plan.get(key)}")
    if not found and list(before) != [step.id for step in now]:
        found.append("the steps stand in another order")
    return found


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _file_digest(file: Path) -> str | None:
    """Return the sha256 of a file; None for one that cannot be read."""
    try:
        with file.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError:
        return None


def _difference(before: str, now: str, name: Path) -> list[str]:
    lines = list(
        difflib.unified_diff(
            before.splitlines(), now.splitlines(), f"{name.name} at the start", f"{name.name} now", lineterm="", n=0
        )
    )
    more = [f"… and {len(lines) - DIFFERENCE_LINES} more lines"] if len(lines) > DIFFERENCE_LINES else []
    return lines[:DIFFERENCE_LINES] + more
