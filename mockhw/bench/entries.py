"""What a bench file says of each instrument."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from ...common.records import InUnit
from ..instruments.array_board.spec import BoardSpec, Rounding

_BOARD = BoardSpec(rows=1, cols=1, gate_axis="col")


class Section(BaseModel):
    """A part of a bench file."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ConverterSettings(Section):
    """A board's converters: what they add to a reading, and bits and ranges of those of products, both ways.

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
    input_bits : int, optional
        Resolution of the inputs of products over ± ``input_range``, 0 V among them; as fine as the wire's by default.
    input_rounding : str
        How inputs are rounded to it: to the nearest, or stochastically, which is right in the mean.
    input_range : float [V]
        Largest input of a product.
    """

    bits: int = Field(default=_BOARD.vmm_bits, ge=2, le=16)
    ranges: tuple[Annotated[float, Field(gt=0.0, le=1.0)], ...] = Field(default=_BOARD.vmm_ranges, min_length=1)
    noise: float = Field(default=_BOARD.converters.noise, ge=0.0, le=1000.0)
    gain_spread: float = Field(default=_BOARD.converters.gain_spread, ge=0.0, le=0.1)
    offset_spread: float = Field(default=_BOARD.converters.offset_spread, ge=0.0, le=1000.0)
    input_bits: int | None = Field(default=_BOARD.drivers.bits, ge=2, le=16)
    input_rounding: Rounding = _BOARD.drivers.rounding
    input_range: Annotated[float, InUnit("V")] = Field(default=_BOARD.vmm_volts_max, gt=0.0, le=1.0)

    @field_validator("ranges")
    @classmethod
    def _ascending(cls, ranges: tuple[float, ...]) -> tuple[float, ...]:
        if list(ranges) != sorted(set(ranges)):
            raise ValueError("ranges are full scales in ampere, each larger than the one before")
        return ranges


class RampSettings(Section):
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


class SaturationSettings(Section):
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


class ArrayBoardEntry(Section):
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


class SourceMeterEntry(Section):
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


class Keithley2600Entry(Section):
    """A simulated Keithley 2600B; its channels are ``<name>.a`` and ``<name>.b`` in the wiring.

    Attributes
    ----------
    model : str
    limit_delay : float [s]
        How late the current limit acts: the charge of the cable (assumed 100 pF behind 200 Ω).
    """

    kind: Literal["keithley_2600"]
    name: str
    address: str
    model: Literal["2602B", "2612B", "2634B", "2636B"] = "2636B"
    serial: str = "SIM2600"
    limit_delay: Annotated[float, InUnit("s")] = Field(20e-9, ge=0.0, le=1e-3)


class Keithley4200Entry(Section):
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


class KeysightB1500Entry(Section):
    """A simulated Keysight B1500A: SMUs on FLEX, and a B1530A behind its vendor's library, which goes by its address.

    In the wiring its SMUs are ``<name>.smu<slot>``, the RSUs of its WGFMU ``<name>.rsu<channel>``, channels as the
    library counts them: slot 3 has 301 and 302.

    Attributes
    ----------
    smus : tuple of int
        Slots that have a B1517A.
    wgfmu : int, optional
        Slot that has a B1530A.
    limit_delay : float [s]
        How late the SMUs' current limit acts: the charge of the cable (assumed 100 pF behind 200 Ω).
    """

    kind: Literal["keysight_b1500"]
    name: str
    address: str
    serial: str = "SIM1500"
    smus: tuple[Annotated[int, Field(ge=1, le=10)], ...] = (1, 2)
    wgfmu: int | None = Field(3, ge=1, le=10)
    limit_delay: Annotated[float, InUnit("s")] = Field(20e-9, ge=0.0, le=1e-3)

    @property
    def rsus(self) -> tuple[int, ...]:
        """Channels of the WGFMU."""
        return () if self.wgfmu is None else (100 * self.wgfmu + 1, 100 * self.wgfmu + 2)


class Keysight33622AEntry(Section):
    """A simulated Keysight 33622A; its channels are ``<name>.1`` and ``<name>.2`` in the wiring."""

    kind: Literal["keysight_33622a"]
    name: str
    address: str
    serial: str = "SIM33622"


class KeysightB2201AEntry(Section):
    """A simulated Keysight B2201A switch matrix."""

    kind: Literal["keysight_b2201a"]
    name: str
    address: str
    serial: str = "SIM02201"
    cards: int = Field(4, ge=1, le=4)


class ArcTwoEntry(Section):
    """A simulated ArC TWO behind its vendor's library: no address, but the port that the library knows it by.

    Attributes
    ----------
    port : int
    rows, cols : tuple of int
        Channel of every row and column of the chip, 0 to 63.
    gates : tuple of int
        Selector of every gate line of a chip with transistors, 0 to 31; left out, in order.
    noise : float [LSB]
        Standard deviation of one conversion; 0 for none.
    """

    kind: Literal["arc_two"]
    port: int = Field(0, ge=0)
    serial: str = "SIM-ARC2"
    rows: tuple[Annotated[int, Field(ge=0, le=63)], ...]
    cols: tuple[Annotated[int, Field(ge=0, le=63)], ...]
    gates: tuple[Annotated[int, Field(ge=0, le=31)], ...] | None = None
    noise: float = Field(1.0, ge=0.0, le=1000.0)


AddressedEntry = (
    ArrayBoardEntry
    | Keithley2400Entry
    | Keithley2450Entry
    | Keithley2600Entry
    | Keithley4200Entry
    | Keysight33622AEntry
    | KeysightB1500Entry
    | KeysightB2201AEntry
)
"""What answers at a VISA address."""

InstrumentEntry = Annotated[
    AddressedEntry | ArcTwoEntry,
    Field(discriminator="kind"),
]

INSTRUMENTS: dict[str, type[Section]] = {
    "arc_two": ArcTwoEntry,
    "array_board": ArrayBoardEntry,
    "keithley_2400": Keithley2400Entry,
    "keithley_2450": Keithley2450Entry,
    "keithley_2600": Keithley2600Entry,
    "keithley_4200": Keithley4200Entry,
    "keysight_33622a": Keysight33622AEntry,
    "keysight_b1500": KeysightB1500Entry,
    "keysight_b2201a": KeysightB2201AEntry,
}
