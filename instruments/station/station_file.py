"""A station file: QCoDeS's ``instruments:`` and our ``xbarlab:`` section, checked before anything is opened."""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...common.errors import RefusedError, unknown
from ...common.records import read_format, read_record
from ...common.units import si_number
from ...common.yaml_files import read_yaml, refuse_unknown_keys
from ..limits import Limits, NamedLimits, read_limits
from .fitting import require_array, require_roles, roles_of
from .instrument_types import INIT_UNITS, InstrumentType, find_type, is_composed, setting_units, settings_of
from .resource_names import canonical_resource
from .station_model import FORMAT, InstrumentEntry, StationRecord

if TYPE_CHECKING:
    from ..chip.chip_file import Chip

log = logging.getLogger(__name__)

_IN_PROCESS = "@xbarlab"
COMPOSED = "array"


@dataclass(frozen=True, slots=True)
class ComposedArray:
    """An array made of several instruments.

    Attributes
    ----------
    type : class
        With a class attribute ``ROLES``: what each instrument is to it, in the order of opening.
    roles : dict of str to str
        Role → instrument, or ``instrument.part`` where it is one of several in a box.
    settings : dict
        Everything else it is made with.
    """

    type: Any
    roles: dict[str, str]
    settings: dict[str, Any]
    note: str = ""

    @property
    def instruments(self) -> tuple[str, ...]:
        """What has the roles, each once, in the order of opening."""
        return tuple(dict.fromkeys(name.partition(".")[0] for name in self.roles.values()))


@dataclass(frozen=True, slots=True)
class StationFile:
    """What a station file says, paths resolved.

    Attributes
    ----------
    instruments : dict
        QCoDeS's section.
    array : str
        Which instrument is the array, or what the array is called that is composed of several.
    composed : ComposedArray, optional
        How it is composed.
    chip : Chip, optional
        The chip; where several boards are joined, all of their chips as one.
    boards : dict of str to Chip or None
        Instrument → chip on it, where several boards are joined to one array; else empty.
    resources : tuple of str
        One entry per instrument that another process could open too.
    resource_of : dict of str to str
        Instrument → its entry there.
    states : tuple of str
        Files in which chips of mock benches live on; two bench files may name the same.
    types : dict of str to InstrumentType
        Instrument → what its ``type:`` stands for.
    notes : tuple of str
        What is told to who wrote the file: old names, and the new ones.
    wear : str, optional
        Where the wear ledger is, as it was written.
    thermometer : str, optional
        Which parameter is the chip's temperature, ``instrument.parameter``.
    """

    path: Path
    instruments: dict[str, dict[str, Any]]
    array: str
    composed: ComposedArray | None
    chip: Chip | None
    clock: str
    limits: NamedLimits
    resources: tuple[str, ...]
    wear: str | None = None
    boards: dict[str, Chip | None] = field(default_factory=dict[str, "Chip | None"])
    resource_of: dict[str, str] = field(default_factory=dict[str, str])
    states: tuple[str, ...] = ()
    types: dict[str, InstrumentType] = field(default_factory=dict[str, InstrumentType])
    notes: tuple[str, ...] = ()
    thermometer: str | None = None

    def account(self, *, simulated: bool, board: str | None = None) -> str | None:
        """Return what a chip's wear is kept under; None where it is a fresh one each time, or has no name.

        Parameters
        ----------
        board : whose chip, where several are joined
        """
        chip = self.chip if board is None else self.boards[board]
        if chip is None:
            return None
        if not simulated:
            return chip.id
        # A rehearsal with a real chip's file is no wear of that chip; two mock benches have two chips.
        resource = next(iter(self.resource_of.values()), None) if board is None else self.resource_of.get(board)
        return f"{chip.id} (simulated, {resource})" if resource else None


def read_station(path: Path | str, *, overrides: Mapping[str, Any] | None = None) -> StationFile:
    """Read and check a station file; nothing is opened.

    Parameters
    ----------
    overrides : mapping
        Merged over the file, section by section: ``{"xbarlab": {"clock": "wall"}}``.
    """
    path = Path(path).absolute()
    content = _merged(read_yaml(path, "station file"), overrides or {})
    read_format(content, FORMAT, where=str(path), kind="station file")
    if not content.get("instruments") and content.keys() <= {"instruments", "xbarlab", "format"}:
        raise RefusedError(f"{path}: a station file needs an instruments section, as QCoDeS has it")
    section = content.get("instruments")
    if isinstance(section, Mapping):
        content["instruments"] = {str(name): entry for name, entry in cast("Mapping[Any, Any]", section).items()}
    record = read_record(StationRecord, content, where=str(path), top="section")
    types = {name: find_type(entry.type, f"{path}: instruments.{name}") for name, entry in record.instruments.items()}
    instruments = {name: _settings(entry, types[name], path, name) for name, entry in record.instruments.items()}
    for name, found in types.items():
        if is_composed(found.make):
            raise RefusedError(
                f"{path}: instruments.{name}.type {record.instruments[name].type} is made of several instruments: list "
                "those, and write it as array: {type: …} in the xbarlab section"
            )
    resource_of, states = _resources(instruments, path)
    ours = record.xbarlab
    composed: ComposedArray | None = None
    boards: dict[str, Chip | None] = {}
    if isinstance(ours.array, Mapping):
        composed = _composed(_mapping(ours.array, f"{path}: xbarlab.array"), types, path)
        array = COMPOSED
    elif isinstance(ours.array, list):
        from .joined_station import joined_boards

        boards = joined_boards(cast("list[object]", ours.array), ours.chip, instruments, path)
        array = " + ".join(boards)
    else:
        only = next(iter(instruments)) if len(instruments) == 1 and "array" not in ours.model_fields_set else ""
        array = str(ours.array) if "array" in ours.model_fields_set else only
        if array not in instruments:
            raise RefusedError(f"{path}: xbarlab.array: {unknown('instrument', array, instruments)}")
    for name in boards or ([array] if composed is None else []):
        require_array(types[name].make, where=f"{path}: xbarlab.array: {name}")
    limits = cast("dict[str, float]", read_limits(ours.limits, source=f"{path}: xbarlab.limits"))
    chip_name = ours.chip
    if composed is None and not boards:
        # What the driver of the array is made with holds as what the station says does.
        init = instruments[array]["init"]
        chip_name = _one_chip(ours.chip, init.pop("chip", None), path, array)
        limits = _narrower(limits, init.pop("limits", None) or {}, f"{path}: instruments.{array}.init.limits")
    allowed, chip = Limits.widest(), None
    if boards:
        from .joined_station import all_chips

        chip = all_chips(boards)
        for mounted in filter(None, boards.values()):
            its = Limits.widest().narrowed(mounted.limits, source=mounted.source)
            its.narrowed(limits, source=f"{path}: xbarlab.limits")
    elif chip_name is not None:
        from ..chip.chip_file import load_chip

        if isinstance(chip_name, list):
            count = len(cast("list[object]", chip_name))
            raise RefusedError(
                f"{path}: xbarlab.chip lists {count} chips and xbarlab.array no boards: name one of each"
            )
        chip = load_chip(path.parent / str(chip_name))
        allowed = allowed.narrowed(chip.limits, source=chip.source)
    named = NamedLimits(limits, f"{path}: xbarlab.limits")
    allowed.narrowed(named, source=named.source)
    wear = ours.wear
    if wear is not None and (not isinstance(wear, str) or not wear.strip()):
        raise RefusedError(f"{path}: xbarlab.wear is {wear!r}: name a folder, or a file that ends in .sqlite")
    notes = tuple(found.note for found in types.values() if found.note)
    if composed is not None and composed.note:
        notes = (*notes, composed.note)
    for note in notes:
        log.warning("%s", note)
    return StationFile(
        path=path,
        instruments=instruments,
        array=array,
        composed=composed,
        chip=chip,
        clock=ours.clock,
        limits=named,
        resources=tuple(resource_of.values()),
        wear=wear,
        boards=boards,
        resource_of=resource_of,
        states=states,
        types=types,
        notes=notes,
        thermometer=_thermometer(ours.thermometer, instruments, f"{path}: xbarlab.thermometer"),
    )


def _thermometer(name: object, instruments: Mapping[str, Any], where: str) -> str | None:
    if name is None:
        return None
    first, dot, parameter = name.partition(".") if isinstance(name, str) else ("", "", "")
    if not dot or not first or not parameter:
        raise RefusedError(f"{where} is {name!r}: write instrument.parameter, like lakeshore.A.temperature")
    if first not in instruments:
        raise RefusedError(f"{where}: {unknown('instrument', first, instruments)}")
    return str(name)


def _settings(entry: InstrumentEntry, kind: InstrumentType, path: Path, name: str) -> dict[str, Any]:
    """Return an entry as QCoDeS wants it: the class by its full name, paths absolute."""
    where = f"{path}: instruments.{name}"
    init = _in_si(entry.init, INIT_UNITS, f"{where}.init")
    if init.get("visalib") is not None:
        init["visalib"] = _resolved(str(init["visalib"]), path.parent, where)
    if isinstance(init.get("library"), str):
        init["library"] = _resolved(init["library"], path.parent, where, key="library")
    for key in ("chip", "firmware"):
        if isinstance(init.get(key), str):
            init[key] = str(path.parent / init[key])
    return {**entry.model_dump(exclude_unset=True), "type": kind.path, "init": init}


def _one_chip(ours: Any, init: Any, path: Path, array: str) -> Any:
    """Return the chip file of the array, named in our section or where its driver is made; not two."""
    if ours is None or init is None:
        return init if ours is None else ours
    if isinstance(ours, list) or (path.parent / str(ours)).resolve() != (path.parent / str(init)).resolve():
        raise RefusedError(
            f"{path}: xbarlab.chip is {ours} and instruments.{array}.init.chip {init}: one chip sits on an array"
        )
    return ours


def _narrower(limits: dict[str, float], other: object, where: str) -> dict[str, float]:
    """Return the narrower of two sets of limits, name by name."""
    more = cast("dict[str, float]", read_limits(_mapping(other, where), source=where))
    Limits.widest().narrowed(more, source=where)
    for name, value in more.items():
        mine = limits.get(name, value)
        narrower = max if name.endswith("_min") else min
        limits[name] = narrower(mine, value) if isinstance(mine, int | float) else mine
    return limits


def _composed(entry: dict[str, Any], types: Mapping[str, InstrumentType], path: Path) -> ComposedArray:
    where = f"{path}: xbarlab.array"
    found = find_type(entry.pop("type", None), where)
    kind = found.make
    roles = roles_of(kind)
    if not roles:
        raise RefusedError(f"{where}.type {kind.__name__} is not composed of instruments: write array: <instrument>")
    chosen: dict[str, str] = {}
    may = [role for role in roles_of(kind, optional=True) if role in entry]
    for role in [*roles, *may]:
        name = str(entry.pop(role, role))
        _part_of(name, types, f"{where}.{role}")
        if name in chosen.values():
            raise RefusedError(f"{where}.{role}: {name} has another role already: each role takes its own instrument")
        chosen[role] = name
    classes = {name: _part_of(name, types, where) for name in chosen.values()}
    require_roles(kind, chosen, classes, where=where)
    refuse_unknown_keys(entry, [*roles, *roles_of(kind, optional=True), *settings_of(kind)], where=where, kind="key")
    return ComposedArray(kind, chosen, _in_si(entry, setting_units(kind), where), found.note)


def _part_of(name: str, types: Mapping[str, InstrumentType], where: str) -> Any:
    """Return the class of what has a role: an instrument, or one of the ``PARTS`` of its class."""
    box, dot, part = name.partition(".")
    if box not in types:
        raise RefusedError(f"{where}: {unknown('instrument', box, types)}")
    make = types[box].make
    parts = cast("Mapping[str, Any]", getattr(make, "PARTS", {}))
    if not dot and parts:
        raise RefusedError(f"{where}: {box} is a box of several: write " + " or ".join(f"{box}.{one}" for one in parts))
    if dot and part not in parts:
        raise RefusedError(f"{where}: {unknown(f'part of {box}', part, parts)}")
    return parts[part] if dot else make


def _in_si(settings: Mapping[str, Any], units: Mapping[str, str], where: str) -> dict[str, Any]:
    """Return settings with those that have a unit in SI units."""
    read = dict(settings)
    for name, unit in units.items():
        try:
            if name in read:
                read[name] = si_number(read[name], unit)
        except RefusedError as error:
            raise RefusedError(f"{where}.{name}: {error}", where=f"{where}.{name}", value=read[name]) from error
    return read


def _resolved(visalib: str, folder: Path, where: str, *, key: str = "visalib") -> str:
    """Return ``visalib`` with its file, if it names one, as an absolute path."""
    file, at, backend = visalib.rpartition("@")
    if not at or not file:
        return visalib
    name, mark, options = file.partition("?")
    path = folder / name
    if path.is_file():
        return f"{path}{mark}{options}@{backend}"
    if f"@{backend}" == _IN_PROCESS:
        there = sorted(found.name for found in path.parent.glob("*.bench.yaml")) if path.parent.is_dir() else []
        raise RefusedError(f"{where}.init.{key}: {unknown('bench file', path.name, there)} (in {path.parent})")
    return visalib


def _resources(instruments: Mapping[str, Mapping[str, Any]], path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what to lock for each instrument that another process could open too, and the state files of mock chips.

    An instrument has one name there, however its address is spelled.
    """
    found: dict[str, tuple[str, str]] = {}
    shared: dict[str, str] = {}
    states: set[str] = set()
    for name, settings in instruments.items():
        init = settings["init"]
        address = settings.get("address", init.get("address"))
        visalib = str(init.get("visalib") or "")
        if address is None and init.get("library") is not None:
            # Behind a vendor's library an instrument has a port, or what the library opens, and no address.
            visalib = str(init["library"])
            address = f"{visalib.rpartition('@')[2]} {init.get('session') or 'port ' + str(init.get('port', 0))}"
        if address is None:
            continue
        resource = canonical_resource(str(address))
        private = False
        # What a socket or GPIB address means does not depend on who opens it; on a mock bench it does.
        if visalib.endswith(_IN_PROCESS):
            file = visalib.rpartition("@")[0].partition("?")[0]
            resource = f"{resource} of {Path(file).resolve() if file else ''}"
            state = _state_file(file)
            private = state is None
            states |= {f"chip state {state}"} if state is not None else set()
        if resource in found:
            first, spelled = found[resource]
            same = "" if spelled == str(address) else f", there spelled {spelled}"
            raise RefusedError(f"{path}: {first} and {name} have the same address {address}{same}: give each its own")
        found[resource] = name, str(address)
        if not private:
            shared[name] = resource
    return shared, tuple(sorted(states))


def _state_file(bench_file: str) -> Path | None:
    """Return where the chip of a mock bench lives on; None where every process gets a bench of its own."""
    if not bench_file:
        return None
    bench = read_yaml(Path(bench_file), "bench file")
    chip = bench.get("chip")
    state = bench.get("state") or (isinstance(chip, Mapping) and cast("Mapping[str, Any]", chip).get("state"))
    return (Path(bench_file).parent / str(state)).resolve() if state else None


def _mapping(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise RefusedError(f"{where} is {value!r}; it must be a mapping of keys to values")
    return dict(cast("Mapping[str, Any]", value))


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    merged = copy.deepcopy(base)
    for key, value in over.items():
        mine = merged.get(key)
        if isinstance(mine, dict) and isinstance(value, Mapping):
            merged[key] = _merged(cast("dict[str, Any]", mine), cast("Mapping[str, Any]", value))
        else:
            merged[key] = copy.deepcopy(value)
    return merged
