"""What a fit begins with: the measurements of descriptions and run folders, and the profile they are held against."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from ...analysis.measured_data.measured import Measured, read_measured
from ...common.errors import RefusedError, unknown
from ...mockhw.chip.profile import Profile, ProfileError, load_profile
from ...mockhw.device_models.filament.parameters import FilamentParameters
from ...mockhw.device_models.graded.parameters import GradedParameters
from ..objective import REPLAYS

BASES = {"1T1R": "hfo2_1t1r", "passive": "tio2_passive"}
"""Profile that a fit begins with where none is named."""
JOURNAL = "journal.jsonl"


def read_data(
    sources: Sequence[str], *, folder: Path | None = None, only: Sequence[str] = ()
) -> list[Measured]:  # fmt: skip
    """Return all measurements of descriptions and run folders, each with an id of its own.

    Parameters
    ----------
    sources : sequence of str
        Description files, names of shipped ones, run folders.
    folder : Path, optional
        Where the data of descriptions are.
    only : sequence of str
        Ids that are wanted; all by default.

    Raises
    ------
    RefusedError
        What the readers refuse, or an id that none of the sources has.
    """
    found: list[Measured] = []
    for source in sources:
        if Path(source).is_dir():
            found += _of_folder(Path(source))
        else:
            found += read_measured(source, folder, only=only if len(sources) == 1 and only else None)
    left_out = [one for one in found if one.kind not in REPLAYS]
    found = [one for one in found if one.kind in REPLAYS]
    if left_out and not found:
        told = ", ".join(f"{one.id} ({one.kind})" for one in left_out)
        raise RefusedError(f"no model does again what was measured: {told}; a fit takes {', '.join(REPLAYS)}")
    if not found:
        raise RefusedError("there is no data to fit on: give a description file, or the folder of a run")
    taken: set[str] = set()
    named: list[Measured] = []
    for measured in found:
        plain = name = re.sub(r"\W", "_", measured.id)
        number = 1
        while name in taken:
            number += 1
            name = f"{plain}_{number}"
        taken.add(name)
        named.append(dataclasses.replace(measured, id=name))
    for name in only:
        if name not in {one.id for one in found} | taken:
            raise RefusedError(unknown("measurement", name, taken))
    wanted = [one for one, was in zip(named, found, strict=True) if not only or one.id in only or was.id in only]
    return wanted


def _of_folder(folder: Path) -> list[Measured]:
    if not (folder / JOURNAL).is_file():
        raise RefusedError(f"{folder} is a folder without a run in it: give a run folder, or a description of the data")
    from ...runbooks.commands.measured_run import measured_of_run

    return measured_of_run(folder)


def base_profile(data: Sequence[Measured], name: str | Path | None) -> Profile:
    """Return the profile a fit begins with.

    Raises
    ------
    RefusedError
        There is no such profile, or its cells are of another kind than those of the data.
    """
    structures = sorted({one.structure for one in data})
    if len(structures) > 1:
        raise RefusedError(f"the data are of {' and of '.join(structures)} cells: fit one kind at a time, with --only")
    try:
        profile = load_profile(name if name is not None else BASES[structures[0]])
    except ProfileError as error:
        raise RefusedError(str(error)) from error
    if profile.cell != structures[0]:
        raise RefusedError(
            f"the data are of {structures[0]} cells, and profile {profile.name} is one of {profile.cell} cells: choose "
            "another with --profile"
        )
    if not isinstance(profile.parameters, FilamentParameters | GradedParameters):
        raise RefusedError(
            f"profile {profile.name} is of the model {profile.model}, and measurements are replayed on the models "
            "filament and graded: choose a profile of one of them with --profile"
        )
    return profile
