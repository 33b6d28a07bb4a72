"""The bench file: which chip, which instruments at which addresses, which faults. Checked before anything is built."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

from pydantic import Field, ValidationError

from ...common.errors import RefusedError
from ...common.records import InUnit, read_format
from ...common.yaml_files import load_yaml
from ..faults import KINDS, FaultKind, FaultPlace, StuckHow
from ..instruments.array_board.spec import FEATURES, SUPPORTS
from .entries import (
    INSTRUMENTS,
    AddressedEntry,
    ArrayBoardEntry,
    ConverterSettings,
    InstrumentEntry,
    RampSettings,
    SaturationSettings,
    Section,
)

FORMAT = 1


class BenchFileError(ValueError):
    """A bench file that cannot be understood; the message is one sentence."""


class ChipEntry(Section):
    """The chip in the socket.

    Attributes
    ----------
    profile : str
        Name of a shipped profile, or the path of one (relative to the bench file).
    seed : int
        Everything random about the bench follows from it.
    state : str, optional
        File in which the chip lives on from one use to the next (relative to the bench file). Once it exists
        it, and not the seed, says what the chip is.
    changes : dict of str to dict
        What this chip has otherwise than its profile: dotted key of the profile (``wiring.row_segment``,
        ``parameters.noise``, ``gate_axis``) → value and source.
    """

    profile: str
    seed: int = Field(0, ge=0)
    state: str | None = None
    changes: dict[str, dict[str, Any]] = Field(default_factory=dict)


class Wiring(Section):
    """How the cables of a probe station run.

    Attributes
    ----------
    inputs : dict of int to str
        Matrix input port → instrument or channel; ``ground`` is the bench's own 0 V.
    rows, cols : tuple of int
        Matrix output port of every row and column of the chip, from 1.
    relay_ohms : float [Ω]
        One closed path with its cables.
    """

    inputs: dict[int, str]
    rows: tuple[int, ...]
    cols: tuple[int, ...]
    relay_ohms: Annotated[float, InUnit("Ω")] = Field(0.3, ge=0.0)


class HandEntry(Section):
    """Who puts the probes on devices, where there is no matrix: asked for a device by its name.

    Attributes
    ----------
    devices : dict of str to (row, col)
        What each cell of the chip is called.
    smu : str
        The instrument whose leads the probes are.
    connected : str, optional
        Device the probes are on at the beginning; none unless given.
    contact_ohms : float [Ω]
        Leads and contact of one probe.
    script : tuple of str
        What the next connections come to, one after the other: ``right``, ``open``, ``short`` or the name of the
        device that is taken for the other; from then on they are right.
    """

    devices: dict[str, tuple[int, int]] = Field(min_length=1)
    smu: str = "smu"
    connected: str | None = None
    contact_ohms: Annotated[float, InUnit("Ω")] = Field(1.0, ge=0.0)
    script: tuple[str, ...] = ()


class FaultEntry(Section):
    """A scripted fault; see :class:`~.faults.Fault`."""

    kind: FaultKind
    header: str = ""
    address: str | None = None
    after: int = Field(0, ge=0)
    times: int | None = Field(None, ge=1)
    seconds: Annotated[float, InUnit("s")] = Field(0.0, ge=0.0, le=1e6, allow_inf_nan=False)
    code: int = Field(-240, ge=-499, le=32767)
    probability: float | None = Field(None, ge=0.0, le=1.0)
    where: FaultPlace = "before"
    cell: tuple[int, int] | None = None
    stuck: StuckHow = "here"
    amps: Annotated[float, InUnit("A")] = Field(0.0, allow_inf_nan=False)


class BenchFile(Section):
    """A whole bench file."""

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    chip: ChipEntry
    instruments: tuple[InstrumentEntry, ...] = Field(min_length=1)
    wiring: Wiring | None = None
    hand: HandEntry | None = None
    faults: tuple[FaultEntry, ...] = ()


def addresses_of(bench: BenchFile) -> list[str]:
    """Return the VISA addresses on a bench; what is behind a vendor's library has none."""
    return [entry.address for entry in bench.instruments if isinstance(entry, AddressedEntry)]


def load_bench_file(path: Path) -> BenchFile:
    """Read and check a bench file.

    Raises
    ------
    BenchFileError
        With one sentence that says where and what, and names the alternatives.
    """
    if not path.is_file():
        raise BenchFileError(f"bench file {path} does not exist")
    try:
        raw: object = load_yaml(path, "bench file", is_not="not valid YAML")
    except RefusedError as error:
        raise BenchFileError(str(error)) from error
    return parse_bench_file(raw, path.name)


def parse_bench_file(raw: object, name: str = "bench file") -> BenchFile:
    """Check the content of a bench file given as nested mappings; see :func:`load_bench_file`."""
    if not isinstance(raw, Mapping):
        raise BenchFileError(
            f"{name}: a bench file is a mapping with the keys chip, instruments, wiring, hand and faults"
        )
    content = dict(cast("Mapping[str, Any]", raw))
    if content.get("faults") is None:
        content.pop("faults", None)
    try:
        read_format(content, FORMAT, where=name, kind="bench file")
    except RefusedError as error:
        raise BenchFileError(str(error)) from error
    _check_kinds(content, name)
    try:
        return BenchFile.model_validate(content)
    except ValidationError as error:
        raise BenchFileError(f"{name}: " + "; ".join(_sentence(dict(item)) for item in error.errors())) from error


def _check_kinds(content: Mapping[str, Any], name: str) -> None:
    entries = content.get("instruments")
    for entry in cast("list[Any]", entries) if isinstance(entries, list) else []:
        kind = cast("Mapping[str, Any]", entry).get("kind") if isinstance(entry, Mapping) else None
        if kind not in INSTRUMENTS:
            raise BenchFileError(
                f"{name}: there is no simulated instrument {kind!r}; known are {', '.join(INSTRUMENTS)}"
            )


_MODELS: dict[str, type[Section]] = {
    "chip": ChipEntry,
    "instruments": ArrayBoardEntry,
    "wiring": Wiring,
    "hand": HandEntry,
    "faults": FaultEntry,
}


def _sentence(item: dict[str, Any]) -> str:
    path = [str(part) for part in item["loc"] if part not in INSTRUMENTS]
    where = ".".join(path)
    if item["type"] == "extra_forbidden":
        model = _MODELS.get(path[0], BenchFile) if len(path) > 1 else BenchFile
        model = next((INSTRUMENTS[part] for part in item["loc"] if part in INSTRUMENTS), model)
        if "converters" in path[:-1]:
            model = ConverterSettings
        if "ramp" in path[:-1]:
            model = RampSettings
        if "saturation" in path[:-1]:
            model = SaturationSettings
        names = list(model.model_fields)
        close = difflib.get_close_matches(path[-1], names, 1)
        return f"unknown key {where!r}{f', did you mean {close[0]!r}' if close else ''}; known here: {', '.join(names)}"
    if item["type"] == "missing":
        return f"key {where!r} is missing"
    if path[0] == "faults" and path[-1] == "kind":
        return f"{where}: {item['input']!r} is no fault; known are {', '.join(KINDS)}"
    if "lacks" in path:
        return f"{where}: {item['input']!r} is no capability; known are {', '.join(SUPPORTS + FEATURES)}"
    said = str(item["msg"]).removeprefix("Value error, ")
    return f"{where}: {said}" if item["type"] == "value_error" else f"{where}: {said}, got {item['input']!r}"
