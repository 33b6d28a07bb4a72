"""A run as other programs know a chip: one netCDF file, an aihwkit preset, CrossSim's lookup tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...common.errors import RefusedError
from ...protocols.keeping.journal import read_journal
from ...protocols.keeping.run import JOURNAL
from ...protocols.keeping.storage import json_text, replace_file, writing
from ..runner.plugin_grant import Ask, Files, nobody
from ..runner.record import CELLS
from ..runner.report_again import kept_record
from ..runner.run_card import read_card

if TYPE_CHECKING:
    from ...analysis.report.run_tables import RunTables

Tell = Callable[[str], None]
AGAIN = "export it again"


@dataclass(frozen=True)
class Source:
    """A run that is exported: its tables, where they come from, and the folder to write to."""

    tables: RunTables
    about: Mapping[str, str]
    folder: Path
    tell: Tell


def export_chip(
    directory: Path, form: str, *, plugins: Files = (), ask: Ask = nobody, tell: Tell = lambda _: None
) -> list[Path]:
    """Write what a run says of its chip to ``directory/export/`` and return the files.

    Parameters
    ----------
    form : "chip" (netCDF after the CF conventions), "aihwkit" or "crosssim"
    plugins, ask : the plug-in files the run was begun with, and whom to ask about those that are not named here
    tell : called with a sentence about everything that is left out

    Raises
    ------
    RefusedError
        The folder holds no run, or nothing the format is made of; the sentence names the step that would give it.
    StorageError
        A file cannot be read or written.
    """
    card, entries = read_card(directory), read_journal(directory / JOURNAL)
    record = kept_record(directory, card, card.book(directory, plugins, ask), entries)
    if not record.steps:
        raise RefusedError(f"no step of the run in {directory} is done: there is nothing to export")
    folder = directory / "export"
    return CHIP_FORMATS[form](Source(record.tables(), record.provenance(), folder, tell))


def _make(folder: Path) -> None:
    with writing(folder, then=AGAIN):
        folder.mkdir(exist_ok=True)


def _netcdf(source: Source) -> list[Path]:
    from ...analysis.exports.chip_dataset import chip_dataset

    found = re.match(r"(\d+)×(\d+)", source.about.get(CELLS, ""))
    shape = (int(found[1]), int(found[2])) if found else None
    data, left_out = chip_dataset(source.tables, source.about, shape=shape)
    for sentence in left_out:
        source.tell(sentence)
    packed: dict[str, Any] = {
        str(name): {"zlib": True, "complevel": 4}
        for name, one in data.variables.items()
        if one.size > 1000 and one.dtype.kind in "if"
    }
    _make(source.folder)
    target = source.folder / "chip.nc"
    partial = target.with_name(f".part-{target.name}")
    with writing(target, then=AGAIN):
        try:
            data.to_netcdf(partial, engine="h5netcdf", encoding=packed)
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
    return [target]


def _aihwkit(source: Source) -> list[Path]:
    from ...analysis.exports.aihwkit_numbers import aihwkit_numbers
    from ...analysis.exports.aihwkit_preset import MODULE, NUMBERS, PRESET, preset_numbers

    found = aihwkit_numbers(source.tables)
    if found.device is None and found.noise is None:
        raise RefusedError(f"there is nothing to make an aihwkit preset of: {'; '.join(found.left_out)}")
    for sentence in found.left_out:
        source.tell(sentence)
    numbers = json_text(preset_numbers(found, source.about), indent=1) + "\n"
    return _written(source.folder / "aihwkit", {NUMBERS: numbers, MODULE: PRESET})


def _crosssim(source: Source) -> list[Path]:
    from ...analysis.exports.crosssim_table import DECREASING, INCREASING, lookup_table
    from ...analysis.exports.measured_steps import Sources, trains_of

    sources = Sources(source.tables)
    pulses = sources.take("pulse_response", "the lookup table")
    if pulses is None:
        raise RefusedError(f"there is nothing to make CrossSim's tables of: {'; '.join(sources.left_out)}")
    step, frame = pulses
    try:
        table = lookup_table(trains_of(frame))
    except ValueError as error:
        raise RefusedError(f"step {step.id!r} gives no lookup table: {error}") from error
    for sentence in [*sources.left_out, *table.notes]:
        source.tell(sentence)
    return _written(source.folder / "crosssim", {name: table.text(name) for name in (INCREASING, DECREASING)})


def _written(folder: Path, texts: Mapping[str, str]) -> list[Path]:
    _make(folder.parent)
    _make(folder)
    for name, text in texts.items():
        replace_file(folder / name, text.encode())
    return [folder / name for name in texts]


CHIP_FORMATS: dict[str, Callable[[Source], list[Path]]] = {"chip": _netcdf, "aihwkit": _aihwkit, "crosssim": _crosssim}
