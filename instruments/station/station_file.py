"""A station file: QCoDeS's ``instruments:`` and our ``xbarlab:`` section, checked before anything is opened."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ...common.errors import RefusedError, unknown
from ...common.yaml_files import read_yaml, refuse_unknown_keys
from ..limits import Limits, NamedLimits
from .fitting import require_array, require_roles, roles_of
from .resource_names import canonical_resource

if TYPE_CHECKING:
    from ..chip.chip_file import Chip

_SECTIONS = ("instruments", "xbarlab")
_OURS = ("array", "chip", "clock", "limits", "wear")
_INSTRUMENT_KEYS = (
    "type", "driver", "address", "port", "enable_forced_reconnect", "init", "parameters", "add_parameters",
)  # fmt: skip
# What QCoDeS takes of a parameter; it passes over the rest with a warning.
_OPTIONS = (
    "initial_value", "limits", "label", "unit", "scale", "offset", "step", "inter_delay", "post_delay", "alias",
    "monitor",
)  # fmt: skip
_CLOCKS = ("auto", "wall", "simulated")
_IN_PROCESS = "@xbarlab"
COMPOSED = "array"


@dataclass(frozen=True, slots=True)
class ComposedArray:
    """An array made of several instruments.

    Attributes
    ----------
    type : str
        ``module.Class`` with a class attribute ``ROLES``: what each instrument is to it, in the order of opening.
    roles : dict of str to str
        Role → instrument.
    settings : dict
        Everything else it is made with.
    """

    type: str
    roles: dict[str, str]
    settings: dict[str, Any]


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
    wear : str, optional
        Where the wear ledger is, as it was written.
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
    record = _merged(read_yaml(path, "station file"), overrides or {})
    refuse_unknown_keys(record, _SECTIONS, where=str(path), kind="section")
    instruments = _instruments(record.get("instruments"), path)
    ours = _mapping(record.get("xbarlab") or {}, f"{path}: xbarlab")
    refuse_unknown_keys(ours, _OURS, where=f"{path}: xbarlab", kind="key")
    composed: ComposedArray | None = None
    boards: dict[str, Chip | None] = {}
    if isinstance(ours.get("array"), Mapping):
        composed = _composed(_mapping(ours["array"], f"{path}: xbarlab.array"), instruments, path)
        array = COMPOSED
    elif isinstance(ours.get("array"), list):
        from .joined_station import joined_boards

        boards = joined_boards(cast("list[object]", ours["array"]), ours.get("chip"), instruments, path)
        array = " + ".join(boards)
    else:
        array = str(ours.get("array", next(iter(instruments)) if len(instruments) == 1 else ""))
        if array not in instruments:
            raise RefusedError(f"{path}: xbarlab.array: {unknown('instrument', array, instruments)}")
    for name in boards or ([array] if composed is None else []):
        kind = _require_class(instruments[name]["type"], f"{path}: instruments.{name}")
        require_array(kind, where=f"{path}: xbarlab.array: {name}")
    clock = str(ours.get("clock", "auto"))
    if clock not in _CLOCKS:
        raise RefusedError(f"{path}: xbarlab.clock: {unknown('clock', clock, _CLOCKS)}")
    limits = cast("dict[str, float]", _mapping(ours.get("limits") or {}, f"{path}: xbarlab.limits"))
    allowed, chip = Limits(), None
    if boards:
        from .joined_station import all_chips

        chip = all_chips(boards)
        for mounted in filter(None, boards.values()):
            Limits().narrowed(mounted.limits, source=mounted.source).narrowed(limits, source=f"{path}: xbarlab.limits")
    elif ours.get("chip") is not None:
        from ..chip.chip_file import load_chip

        if isinstance(ours["chip"], list):
            count = len(cast("list[object]", ours["chip"]))
            raise RefusedError(
                f"{path}: xbarlab.chip lists {count} chips and xbarlab.array no boards: name one of each"
            )
        chip = load_chip(path.parent / str(ours["chip"]))
        allowed = allowed.narrowed(chip.limits, source=chip.source)
    named = NamedLimits(limits, f"{path}: xbarlab.limits")
    allowed.narrowed(named, source=named.source)
    resource_of, states = _resources(instruments, path)
    wear = ours.get("wear")
    if wear is not None and (not isinstance(wear, str) or not wear.strip()):
        raise RefusedError(f"{path}: xbarlab.wear is {wear!r}: name a folder, or a file that ends in .sqlite")
    resources = tuple(resource_of.values())
    return StationFile(
        path, instruments, array, composed, chip, clock, named, resources, wear, boards, resource_of, states
    )


def _instruments(section: object, path: Path) -> dict[str, dict[str, Any]]:
    if not section:
        raise RefusedError(f"{path}: a station file needs an instruments section, as QCoDeS has it")
    instruments: dict[str, dict[str, Any]] = {}
    for name, entry in _mapping(section, f"{path}: instruments").items():
        where = f"{path}: instruments.{name}"
        settings = _mapping(entry, where)
        refuse_unknown_keys(settings, _INSTRUMENT_KEYS, where=where, kind="key")
        _require_class(settings.get("type"), where)
        for group, known in (("parameters", _OPTIONS), ("add_parameters", ("source", *_OPTIONS))):
            for parameter, options in _mapping(settings.get(group) or {}, f"{where}.{group}").items():
                there = f"{where}.{group}.{parameter}"
                refuse_unknown_keys(_mapping(options, there), known, where=there, kind="key")
        init = dict(_mapping(settings.get("init") or {}, f"{where}.init"))
        if init.get("visalib") is not None:
            init["visalib"] = _resolved(str(init["visalib"]), path.parent, where)
        instruments[str(name)] = {**settings, "init": init}
    return instruments


def _composed(entry: dict[str, Any], instruments: Mapping[str, Any], path: Path) -> ComposedArray:
    where = f"{path}: xbarlab.array"
    kind = _require_class(entry.pop("type", None), where)
    roles = roles_of(kind)
    if not roles:
        raise RefusedError(f"{where}.type {kind.__name__} is not composed of instruments: write array: <instrument>")
    chosen: dict[str, str] = {}
    may = [role for role in roles_of(kind, optional=True) if role in entry]
    for role in [*roles, *may]:
        name = str(entry.pop(role, role))
        if name not in instruments:
            raise RefusedError(f"{where}.{role}: {unknown('instrument', name, instruments)}")
        if name in chosen.values():
            raise RefusedError(f"{where}.{role}: {name} has another role already: each role takes its own instrument")
        chosen[role] = name
    classes = {name: _require_class(instruments[name]["type"], where) for name in chosen.values()}
    require_roles(kind, chosen, classes, where=where)
    known = [*roles, *_settings_of(kind)]
    refuse_unknown_keys(entry, known, where=where, kind="key")
    return ComposedArray(f"{kind.__module__}.{kind.__name__}", chosen, entry)


def _settings_of(kind: type) -> list[str]:
    parameters = inspect.signature(kind).parameters.values()
    roles = roles_of(kind)
    return [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.name not in {*roles, "chip", "limits"}]


def _require_class(name: object, where: str) -> type:
    module, _, cls = str(name or "").rpartition(".")
    if not module:
        raise RefusedError(
            f"{where}.type is {name!r}: write module.Class, as xbarlab.instruments.board.crossbar_board.CrossbarBoard"
        )
    try:
        return getattr(import_module(module), cls)
    except (ImportError, AttributeError) as error:
        raise RefusedError(f"{where}.type {name} cannot be imported: {error}") from error


def known_arguments(name: str) -> list[str]:
    """Return what the ``init`` of an instrument of class ``name`` may hold, for messages."""
    module, _, cls = name.rpartition(".")
    kind = getattr(import_module(module), cls)
    known: set[str] = set()
    for owner in inspect.getmro(kind) if inspect.isclass(kind) else (kind,):
        maker = vars(owner).get("__init__") if inspect.isclass(owner) else owner
        if maker is not None and owner is not object:
            parameters = inspect.signature(maker).parameters.values()
            known |= {p.name for p in parameters if p.kind in {p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY}}
    # The name is the key of the entry; chip and limits stand in the xbarlab section.
    return sorted(known - {"self", "name", "resource", "chip", "limits"})


def _resolved(visalib: str, folder: Path, where: str) -> str:
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
        raise RefusedError(f"{where}.init.visalib: {unknown('bench file', path.name, there)} (in {path.parent})")
    return visalib


def _resources(instruments: Mapping[str, Mapping[str, Any]], path: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what to lock for each instrument that another process could open too, and the state files of mock chips.

    An instrument has one name there, however its address is spelled.
    """
    found: dict[str, tuple[str, str]] = {}
    shared: dict[str, str] = {}
    states: set[str] = set()
    for name, settings in instruments.items():
        address = settings.get("address", settings["init"].get("address"))
        if address is None:
            continue
        visalib = str(settings["init"].get("visalib") or "")
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
