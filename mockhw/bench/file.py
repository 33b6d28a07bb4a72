"""The bench file: which chip, which instruments at which addresses, which faults. Checked before anything is built."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from ...common.errors import RefusedError
from ...common.records import InUnit, read_format
from ...common.yaml_files import load_yaml
from ..faults import KINDS, FaultKind, FaultPlace, StuckHow
from ..instruments.array_board.spec import FEATURES, SUPPORTS, BoardSpec

FORMAT = 1
_BOARD = BoardSpec(rows=1, cols=1, gate_axis="col")


class BenchFileError(ValueError):
    """A bench file that cannot be understood; the message is one sentence."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChipEntry(_Section):
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


class ConverterSettings(_Section):
    """A board's converters: what they add to a reading, and bits and ranges of those of products.

    Attributes
    ----------
    bits : int
        Over ± the range.
    ranges : tuple of float [A]
        Ascending.
    noise : float [LSB]
        Standard deviation of one conversion, of reads and of products; 0 for none.
    gain_spread, offset_spread : float [1], [LSB]
        Standard deviation over the channels.
    """

    bits: int = Field(default=_BOARD.vmm_bits, ge=2, le=16)
    ranges: tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...] = Field(default=_BOARD.vmm_ranges, min_length=1)
    noise: float = Field(default=_BOARD.converters.noise, ge=0.0, le=1000.0)
    gain_spread: float = Field(default=_BOARD.converters.gain_spread, ge=0.0, le=0.1)
    offset_spread: float = Field(default=_BOARD.converters.offset_spread, ge=0.0, le=1000.0)

    @field_validator("ranges")
    @classmethod
    def _ascending(cls, ranges: tuple[float, ...]) -> tuple[float, ...]:
        if list(ranges) != sorted(set(ranges)):
            raise ValueError("ranges are full scales in ampere, each larger than the one before")
        return ranges


class RampSettings(_Section):
    """A board's comparators and the ramps they compare with, which cells of the array make.

    Attributes
    ----------
    comparator_noise : float [A]
        Standard deviation of one comparison; 0 for none.
    comparator_offset_spread : float [A]
        Standard deviation over the columns.
    ramp_noise : float [A]
        Standard deviation of what each clock adds to a ramp, besides the noise of its cell.
    """

    comparator_noise: float = Field(default=_BOARD.ramp_errors.comparator_noise, ge=0.0, le=1.0)
    comparator_offset_spread: float = Field(default=_BOARD.ramp_errors.comparator_offset_spread, ge=0.0, le=1.0)
    ramp_noise: float = Field(default=_BOARD.ramp_errors.ramp_noise, ge=0.0, le=1.0)


class SaturationSettings(_Section):
    """A board's output circuits that saturate, what each column's has of its own.

    Attributes
    ----------
    gain_spread, offset_spread : float [1]
        Standard deviation over the columns; the offset in halves of the span between a column's levels.
    sharpness : float [1]
        Exponent of the corner: 1 is round, 100 all but sharp.
    """

    gain_spread: float = Field(default=_BOARD.saturation.gain_spread, ge=0.0, le=0.5)
    offset_spread: float = Field(default=_BOARD.saturation.offset_spread, ge=0.0, le=0.5)
    sharpness: float = Field(default=_BOARD.saturation.sharpness, ge=1.0, le=1000.0)


class ArrayBoardEntry(_Section):
    """An array board.

    Attributes
    ----------
    address : str
        VISA resource name.
    serial : str
    protocol : int
        Revision of the board protocol it speaks: 1 for an old board.
    lacks : tuple of str
        Capabilities this board does not have.
    converters : ConverterSettings
    ramp : RampSettings
    saturation : SaturationSettings
    """

    kind: Literal["array_board"]
    address: str
    serial: str = "MOCK-0001"
    protocol: Literal[1, 2] = 2
    lacks: tuple[
        Literal[
            "sample", "sweep", "vmm", "reverse", "outer_update", "onboard_verify",
            "long_counts", "outer_tiles", "products", "ramp", "saturate",
        ],
        ...,
    ] = ()  # fmt: skip
    converters: ConverterSettings = ConverterSettings()
    ramp: RampSettings = RampSettings()
    saturation: SaturationSettings = SaturationSettings()


class SourceMeterEntry(_Section):
    """A simulated source-measure unit.

    Attributes
    ----------
    name : str
        What the wiring calls it.
    serial : str
        Drivers tell a simulation by a serial that begins with SIM.
    limit_delay : float [s]
        How late the current limit acts: the charge of the cable (assumed 100 pF behind 200 Ω).
    """

    name: str
    address: str
    serial: str = "SIM"
    limit_delay: Annotated[float, InUnit("s")] = Field(20e-9, ge=0.0, le=1e-3)


class Keithley2400Entry(SourceMeterEntry):
    """A simulated Keithley 2400."""

    kind: Literal["keithley_2400"]
    serial: str = "SIM02400"


class Keithley2450Entry(SourceMeterEntry):
    """A simulated Keithley 2450."""

    kind: Literal["keithley_2450"]
    serial: str = "SIM02450"


class Keithley4200Entry(_Section):
    """A simulated Keithley 4200A-SCS on KXCI.

    In the wiring its SMUs are ``<name>.smu1`` and ``<name>.smu2``, its pulse channels ``<name>.pmu1`` and
    ``<name>.pmu2``.

    Attributes
    ----------
    limit_delay : float [s]
        How late the SMUs' current limit acts: the charge of the cable (assumed 100 pF behind 200 Ω).
    """

    kind: Literal["keithley_4200"]
    name: str
    address: str
    serial: str = "SIM4200"
    limit_delay: Annotated[float, InUnit("s")] = Field(20e-9, ge=0.0, le=1e-3)


class Keysight33622AEntry(_Section):
    """A simulated Keysight 33622A; its channels are ``<name>.1`` and ``<name>.2`` in the wiring."""

    kind: Literal["keysight_33622a"]
    name: str
    address: str
    serial: str = "SIM33622"


class KeysightB2201AEntry(_Section):
    """A simulated Keysight B2201A switch matrix."""

    kind: Literal["keysight_b2201a"]
    name: str
    address: str
    serial: str = "SIM02201"
    cards: int = Field(4, ge=1, le=4)


InstrumentEntry = Annotated[
    ArrayBoardEntry
    | Keithley2400Entry
    | Keithley2450Entry
    | Keithley4200Entry
    | Keysight33622AEntry
    | KeysightB2201AEntry,
    Field(discriminator="kind"),
]


class Wiring(_Section):
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


class FaultEntry(_Section):
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


class BenchFile(_Section):
    """A whole bench file."""

    format: int = Field(default=FORMAT, ge=1, le=FORMAT)
    chip: ChipEntry
    instruments: tuple[InstrumentEntry, ...] = Field(min_length=1)
    wiring: Wiring | None = None
    faults: tuple[FaultEntry, ...] = ()


_INSTRUMENTS: dict[str, type[_Section]] = {
    "array_board": ArrayBoardEntry,
    "keithley_2400": Keithley2400Entry,
    "keithley_2450": Keithley2450Entry,
    "keithley_4200": Keithley4200Entry,
    "keysight_33622a": Keysight33622AEntry,
    "keysight_b2201a": KeysightB2201AEntry,
}
KNOWN_INSTRUMENTS = tuple(_INSTRUMENTS)


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
        raise BenchFileError(f"{name}: a bench file is a mapping with the keys chip, instruments, wiring and faults")
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
        if kind not in KNOWN_INSTRUMENTS:
            raise BenchFileError(
                f"{name}: there is no simulated instrument {kind!r}; known are {', '.join(KNOWN_INSTRUMENTS)}"
            )


_MODELS: dict[str, type[_Section]] = {
    "chip": ChipEntry,
    "instruments": ArrayBoardEntry,
    "wiring": Wiring,
    "faults": FaultEntry,
}


def _sentence(item: dict[str, Any]) -> str:
    path = [str(part) for part in item["loc"] if part not in KNOWN_INSTRUMENTS]
    where = ".".join(path)
    if item["type"] == "extra_forbidden":
        model = _MODELS.get(path[0], BenchFile) if len(path) > 1 else BenchFile
        model = next((_INSTRUMENTS[part] for part in item["loc"] if part in _INSTRUMENTS), model)
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
