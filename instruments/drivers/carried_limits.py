"""The limits an instrument carries however it is opened: of the chip and the station it is named in.

A bench of ours hands them over. Whoever opens a driver alone names them: ``init: {chip: my.chip.yaml, limits: {…}}`` in
a station file, or as arguments. A stock QCoDeS ``Station`` knows nothing of the ``xbarlab:`` section of its own file;
so a driver that such a station makes looks there for itself. Where nothing is named, a microvolt at most is applied.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, fields
from os import PathLike
from pathlib import Path
from typing import Any, Protocol, cast

from ...common.errors import RefusedError
from ...common.yaml_files import read_yaml
from ..limits import Limits, NamedLimits

_NOTHING = 1e-6
# What has to be next to 0 so that nothing can be applied; widths and counts may stay what they are.
_VOLTS = ("set_volts_max", "reset_volts_max", "read_volts_max", "vmm_volts_max", "gate_max")


class ChipLimits(Protocol):
    """What is needed of a chip here."""

    @property
    def limits(self) -> Mapping[str, float]:
        """Limits by name."""
        ...

    @property
    def source(self) -> str:
        """Where they come from, for messages."""
        ...


@dataclass(frozen=True, slots=True)
class NamedInStation:
    """What a stock QCoDeS station names for one of its instruments.

    Attributes
    ----------
    chip : Path, optional
    limits : NamedLimits
        Those of the ``xbarlab:`` section; where it names no limits and no chip either, next to nothing.
    """

    chip: Path | None
    limits: NamedLimits


def named_in_station(name: str) -> NamedInStation | None:
    """Return what the stock QCoDeS station that is making the instrument ``name`` says; None where none is."""
    station = _stock_station()
    if station is None:
        return None
    files = [Path(file) for file in cast("list[str]", station.config_file)]
    contents: list[tuple[Path, Any]] = [(path, read_yaml(path, "station file")) for path in files]
    if not files and isinstance(station.config, Mapping):  # a configuration that was handed over as text
        contents = [(Path("the station's configuration"), cast("Any", station.config))]
    for path, content in contents:
        section = content.get("xbarlab")
        if not isinstance(section, Mapping):
            continue
        ours = cast("Mapping[str, Any]", section)
        chip = _chip_of(name, ours)
        limits = ours.get("limits")
        if chip is None and not limits:
            continue
        if limits is not None and not isinstance(limits, Mapping):
            raise RefusedError(f"{path}: xbarlab.limits is {limits!r}; it must be a mapping of keys to values")
        named = NamedLimits(cast("Mapping[str, float]", limits or {}), f"{path}: xbarlab.limits")
        return NamedInStation(None if chip is None else path.parent / str(chip), named)
    where = ", ".join(str(path) for path in files) or "this QCoDeS station"
    nothing = NamedLimits(
        dict.fromkeys(_VOLTS, _NOTHING),
        f"{where}, which names neither chip nor limits for {name}: write init: {{chip: FILE}} or init: {{limits: …}} "
        "there, or open it by xbarlab.open_bench",
    )
    return NamedInStation(None, nothing)


def carried(
    name: str, chip: ChipLimits | str | PathLike[str] | None, limits: Limits | Mapping[str, float] | None
) -> Limits:
    """Return what a source may apply.

    Parameters
    ----------
    chip : chip, or the path of a chip file
    limits : Limits or mapping
        Narrows those of the chip.

    Raises
    ------
    RefusedError
        A file that cannot be read, unknown limits, or wider ones.
    """
    if chip is None and limits is None:
        named = named_in_station(name)
        if named is not None:
            chip, limits = named.chip, named.limits
    allowed = Limits()
    if isinstance(chip, str | PathLike):
        path = resolved(chip)
        content = read_yaml(path, "chip file").get("limits") or {}
        if not isinstance(content, Mapping):
            raise RefusedError(f"{path}: limits is {content!r}; it must be a mapping of keys to values")
        allowed = allowed.narrowed(cast("Mapping[str, float]", content), source=f"{path}: limits")
    elif chip is not None:
        allowed = allowed.narrowed(chip.limits, source=chip.source)
    given = f"the limits given to {name}"
    if isinstance(limits, Limits):
        for field in fields(limits):
            allowed = allowed.narrowed(
                {field.name: getattr(limits, field.name)}, source=limits.origins.get(field.name, given)
            )
    elif limits is not None:
        allowed = allowed.narrowed(limits, source=limits.source if isinstance(limits, NamedLimits) else given)
    return allowed


def resolved(chip: str | PathLike[str]) -> Path:
    """Return the path of a chip file: relative to the station file that names it, where QCoDeS is reading one."""
    path = Path(chip)
    station = _stock_station()
    beside = [Path(file).parent / path for file in station.config_file] if station is not None else []
    return next((each for each in beside if each.is_file()), path)


def _chip_of(name: str, ours: Mapping[str, Any]) -> object:
    """Return the chip file of an instrument: the station's, or that of its board where several are joined."""
    chip, array = ours.get("chip"), ours.get("array")
    if not isinstance(chip, list):
        return chip
    boards = cast("list[object]", array) if isinstance(array, list) else []
    chips = cast("list[object]", chip)
    return next((one for board, one in zip(boards, chips, strict=False) if board == name), None)


def _stock_station() -> Any:
    """Return the QCoDeS station that is making an instrument right now, if it is not one of ours."""
    from qcodes.station import Station

    frame = inspect.currentframe()
    while frame is not None:
        owner = frame.f_locals.get("self") if frame.f_code.co_name == "load_instrument" else None
        if isinstance(owner, Station):
            return None if getattr(owner, "hands_limits_over", False) else owner
        frame = frame.f_back
    return None
