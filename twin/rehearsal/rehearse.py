"""``xbarlab twin rehearse``: what a runbook will do to a chip, from many chips that may be it."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...common.errors import RefusedError
from ...common.progress import ProgressBar
from ...mockhw.chip.profile import Profile, ProfileError, load_profile, profile_file
from ...protocols.keeping.run import claim_folder
from ...runbooks.runner.parameters import Overrides
from ...runbooks.runner.plugin_grant import Ask, Files, nobody
from ...runbooks.runner.record import STAMP, versions
from ...runbooks.runner.run_card import card_steps, override_texts
from ...runbooks.runner.runner import new_folder
from ...runbooks.runner.schema import Runbook, load_runbook
from ...runbooks.runner.step import forecast_steps
from ...runbooks.stations import open_bench
from .draw import Task
from .record import Draw, Expected, Rehearsal, RehearsedChip, RehearsedRunbook
from .socket import Socket, socket_of
from .workers import run_draws

DRAWS, LEAST = 50, 2
PROFILE, KEPT = "chip.profile.yaml", "draws"


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """What came of a rehearsal: the record, and the folder it is in."""

    record: Rehearsal
    folder: Path


def rehearse(
    runbook: str | Path,
    *,
    chip: str | Path,
    draws: int = DRAWS,
    station: str | Path | None = None,
    out: str | Path | None = None,
    preset: str = "",
    overrides: Overrides = (),
    seed: int = 0,
    jobs: int | None = None,
    keep: bool = False,
    quiet: bool = False,
    plugins: Files = (),
    ask: Ask = nobody,
) -> Rehearsed:
    """Carry out a runbook on chips drawn from a profile, and write what it gave into a folder.

    Every draw is a chip of its own: its numbers from the profile's posterior, its cells and the host's random choices
    from a seed of its own. It begins as chips of the profile do: virgin, and unworn.

    Parameters
    ----------
    runbook, preset, overrides, plugins, ask : as for a run
    chip : profile of the chip, by path or by the name of a shipped one
    draws : how many, at least 2; from 19 on intervals are of 90 %
    station : one with a mock bench in this process, into whose socket the chips go; the runbook's own by default
    out : folder for the results; ``runs/rehearsal-<runbook>-<time>`` by default; one that holds data is refused
    seed : the first draws of a longer rehearsal are those of a shorter one
    jobs : processes at a time, one per core by default; 0: all in this process
    keep : leave station, bench file and run of every draw in ``draws/``

    Raises
    ------
    RefusedError
        Bad input, or a chip of another kind or size than the station takes; nothing was rehearsed.
    """
    if draws < LEAST:
        raise RefusedError(f"{draws} draws say nothing of how far they differ: at least {LEAST}")
    book = load_runbook(runbook, preset=preset, overrides=overrides, plugins=plugins, ask=ask)
    socket = socket_of(book.station_file(station))
    try:
        file = profile_file(chip)
        profile = load_profile(chip)
    except ProfileError as error:
        raise RefusedError(str(error)) from error
    socket.require_kind(profile, str(chip))
    folder = Path(out) if out is not None else new_folder(f"rehearsal-{book.name}")
    claim_folder(folder)
    shutil.copyfile(file, folder / PROFILE)
    record = Rehearsal(
        made=time.strftime(STAMP),
        runbook=RehearsedRunbook(
            name=book.name,
            title=book.title,
            sha256=_sha256(book.path.read_text(encoding="utf-8-sig").encode()),
            preset=book.preset,
            overrides=tuple(override_texts(overrides)),
        ),
        steps=card_steps(book),
        expect=[Expected(key=one.key, minimum=one.minimum, maximum=one.maximum) for one in book.expect],
        chip=RehearsedChip(
            name=profile.name,
            file=file.name,
            sha256=_sha256(file.read_bytes()),
            drawn=profile.posterior.parameters if profile.posterior is not None else (),
        ),
        station=socket.station.name,
        seed=seed,
        draws_wanted=draws,
        draws=[],
        versions=versions(),
    )
    with _workplace(folder, keep) as place:
        _refuse_plans(book, socket, folder / PROFILE, place / "look")
        tasks = [_task(book, record, profile, socket, folder / PROFILE, place, number + 1) for number in range(draws)]
        found: list[Draw] = []
        try:
            with ProgressBar(f"rehearsing {book.name}", draws, unit="draws", quiet=quiet) as bar:
                for draw in run_draws(tasks, jobs=os.cpu_count() or 1 if jobs is None else jobs, keep=keep):
                    found.append(draw)
                    failed = sum(bool(one.failure) for one in found)
                    bar.advance(note=f"{failed} failed" if failed else "")
        finally:
            record = record.model_copy(update={"draws": sorted(found, key=lambda draw: draw.number)})
            if found:
                record.write(folder)
    return Rehearsed(record=record, folder=folder)


def _task(
    book: Runbook, record: Rehearsal, profile: Profile, socket: Socket, file: Path, place: Path, number: int
) -> Task:
    """Draw a chip and put it into the socket of a station of its own."""
    sequence = np.random.SeedSequence([record.seed, number])
    seed = int(sequence.generate_state(1)[0])
    drawn = profile.drawn(np.random.default_rng(sequence))
    values = profile.posterior.values(drawn.parameters) if profile.posterior is not None else {}
    source = f"drawn from the posterior of {record.chip.file}, draw {number} of seed {record.seed}"
    changes: dict[str, dict[str, Any]] = {
        f"parameters.{name}": {"value": float(value), "source": source} for name, value in values.items()
    }
    folder = place / f"{number:04d}"
    socket.with_chip(folder, file, changes, seed)
    return Task(
        number=number,
        seed=seed,
        folder=folder,
        runbook=book.path,
        preset=book.preset,
        overrides=record.runbook.overrides,
        plugins=tuple(str(plugin.path) for plugin in book.plugins),
        chip={name: float(value) for name, value in values.items()},
    )


def _refuse_plans(book: Runbook, socket: Socket, file: Path, place: Path) -> None:
    """Refuse a runbook that this array cannot carry out, before it fails in every draw; nothing acts."""
    with open_bench(socket.with_chip(place, file, {}, 0), seed=0) as bench:
        forecast_steps(book.steps, bench.array.spec)
    shutil.rmtree(place, ignore_errors=True)


@contextmanager
def _workplace(folder: Path, keep: bool) -> Generator[Path]:
    if keep:
        yield folder / KEPT
        return
    with tempfile.TemporaryDirectory(prefix="xbarlab-rehearsal-", ignore_cleanup_errors=True) as place:
        yield Path(place)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
