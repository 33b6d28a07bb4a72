"""One array board on the wire: how it is opened, what it is, and its settings as QCoDeS parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Self, cast

from qcodes.instrument import VisaInstrument
from qcodes.parameters import Parameter, create_on_off_val_mapping
from qcodes.validators import Enum, Ints, MultiType, Numbers

from ..abilities import Parts
from ..array_spec import ArraySpec
from ..capabilities import Identity, Kind
from ..chip.line_map import LineMap
from ..chip.requests import vmm_range
from ..limits import Limits, NamedLimits
from ..wire.command_guard import CommandGuard, Rule
from ..wire.visa import BoardVisaMixin
from .spec import READ_VOLTS_DEFAULT, BoardCapability

if TYPE_CHECKING:
    from typing import Unpack

    from qcodes.instrument import VisaInstrumentKWArgs

    from ..chip.chip_file import Chip

_WATCHDOG_DEFAULT = 10.0

RULES = (
    Rule("SOURce:READ:VOLTage", {0: ("read_volts", "V")}),
    Rule("SOURce:READ:GATE", {0: ("gate", "V")}),
    Rule("SOURce:VMM:GATE", {0: ("gate", "V")}),
    Rule("SAMPle", {2: ("read_volts", "V"), 3: ("gate", "V")}),
    Rule("PULSe:MAP", method="pulse()"),
    Rule("SWEep:RUN", method="sweep()"),
    Rule("VMM:FORWard", method="vmm()"),
    Rule("VMM:REVerse", method="vmm(reverse=True)"),
    Rule("UPDate:OUTer", method="outer_update()"),
    Rule("PROGram:VERify", method="program_verify()"),
)


class BoardSettings(BoardVisaMixin, VisaInstrument):
    """A board that has been opened, made safe and asked what it is.

    Parameters
    ----------
    name, address
        As in QCoDeS.
    chip : Chip
        What sits on the board; without one, the whole board with the driver's limits.
    limits : mapping
        Narrows further; from the station file.
    """

    def __init__(
        self,
        name: str,
        address: str | None = None,
        *,
        chip: Chip | None = None,
        limits: Mapping[str, float] | None = None,
        **kwargs: Unpack[VisaInstrumentKWArgs],
    ) -> None:
        self._settings: dict[str, float | str] = {}
        self._on = False
        self._watchdog = _WATCHDOG_DEFAULT
        self._watchdog_known = True
        self._vmm_full_scale: float | None = None
        super().__init__(name, address, **kwargs)  # pyright: ignore[reportArgumentType]
        try:
            self._make_safe()
            self.identity = self._identify()
            self.capability = self._ask_capability()
            self._mount(chip, limits or {})
            if self.capability.simulated:
                self.identity.simulation.update(self._ask_json("SIM:INFO?"))
            self._prepare()
        except BaseException:
            self.visa_handle.close()
            raise

    def _prepare(self) -> None:
        """Set up what depends on the capability record; subclasses add theirs."""
        self._add_parameters()
        self._narrow_defaults()

    # -- opening -----------------------------------------------------------------------------------------------------

    def _make_safe(self) -> None:
        """Whatever the last user left behind: 0 V, then disconnected, then the documented defaults."""
        self._tell("*CLS;:ABOR;:SOUR:ZERO;:OUTP OFF")
        self._act("*RST")

    def _narrow_defaults(self) -> None:
        """Set what the board's own defaults leave beyond the limits: a product opens every gate at one of them."""
        limits, can = self._limits, self.capability
        narrow: dict[str, float] = {}
        if limits.read_volts_max < READ_VOLTS_DEFAULT:
            narrow["SOUR:READ:VOLT"] = self._polarity * limits.read_volts_max
        if can.gate_axis is not None and limits.gate_max < can.read_gate_default:
            narrow["SOUR:READ:GATE"] = limits.gate_max
            if "vmm" in can.supports:
                narrow["SOUR:VMM:GATE"] = limits.gate_max
        self._configure(narrow)

    def reset(self) -> None:
        """Set 0 V, disconnect, and put back the defaults that the limits allow."""
        self._make_safe()
        self._forget_settings()
        self._narrow_defaults()

    def _restore(self) -> None:
        """Set up again, after a power failure, what was set up when it was opened, and what was set by hand since."""
        by_hand = (self.read_range, self.watchdog)
        self.power_failed = False
        known = [(parameter, parameter.cache.get(get_if_invalid=False)) for parameter in by_hand]
        self._forget_settings()
        self._narrow_defaults()
        for parameter, value in known:
            if value is not None:
                parameter.set(value)  # pyright: ignore[reportArgumentType]  # each its own

    def _reconnected(self) -> None:
        self._forget_settings()

    def _identify(self) -> Identity:
        parts = [part.strip() for part in self._query("*IDN?").split(",")]
        maker, model, serial, firmware = (parts + [""] * 4)[:4]
        return Identity(maker, model, serial, firmware)

    def _ask_capability(self) -> BoardCapability:
        text = bytes(self.ask_block(b"SYST:CAP?", None)).decode("utf-8", errors="replace")
        return BoardCapability.from_json(text, source=f"{self.name} at {self.place}")

    def _ask_json(self, query: str) -> dict[str, object]:
        loaded: object = json.loads(bytes(self.ask_block(query.encode("ascii"), None)))
        return cast("dict[str, object]", loaded) if isinstance(loaded, dict) else {}

    def _mount(self, chip: Chip | None, limits: Mapping[str, float]) -> None:
        can = self.capability
        allowed = can.limits()
        board = f"board {self.name} at {self.place}"
        self._polarity = 1
        self._lines: LineMap | None = None
        if chip is not None:
            chip.require_cell(can.cell, board=board)
            allowed = allowed.narrowed(chip.limits, source=chip.source)
            lines = chip.line_map(can.rows, can.cols, board=board)
            self._lines = None if lines.whole_board else lines
            self._polarity = chip.polarity
        source = limits.source if isinstance(limits, NamedLimits) else f"the limits given to {self.name}"
        self._limits = allowed.narrowed(limits, source=source)
        self._parts = Parts.of(self.name, self, can.abilities(self._polarity))
        self._spec = can.spec(
            self.name,
            self._limits,
            shape=None if chip is None else (chip.rows, chip.cols),
            bad_cells=() if chip is None else chip.all_bad_cells,
            supports=self._parts.names,
        )
        self._guard = CommandGuard(RULES, lambda: self._limits)

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do."""
        return self._spec

    def ability(self, kind: type[Kind]) -> Kind:
        """Return what this board can do beyond reading and pulsing, or refuse saying what it would need."""
        return self._parts.ability(kind)

    @property
    def limits(self) -> Limits:
        """What may be applied: the driver's limits, narrowed by board, chip and station."""
        return self._limits

    # -- settings ----------------------------------------------------------------------------------------------------

    def _configure(self, wanted: Mapping[str, float]) -> None:
        """Send the settings that differ from what the board has, in one message."""
        changes = {header: value for header, value in wanted.items() if self._settings.get(header) != value}
        if not changes:
            return
        command = ";:".join(f"{header} {value:.9g}" for header, value in changes.items())
        self._check(command)
        self._act(command)
        self._settings.update(changes)
        for header, value in changes.items():
            self._parameter_of[header].cache.set(value)

    def _forget_settings(self) -> None:
        self._settings.clear()
        self._vmm_full_scale = None
        self._on = False
        self._watchdog_known = False

    def _automatic_range(self) -> bool:
        if "SENS:RANG" not in self._settings:
            reply = self._query("SENS:RANG?")
            try:
                _range(reply)
            except ValueError:
                raise self._garbled("SENS:RANG?", reply) from None
            self._settings["SENS:RANG"] = reply
        return self._settings["SENS:RANG"] == "AUTO"

    def _full_scale(self) -> float:
        if self._vmm_full_scale is None:
            self._vmm_full_scale = self._ask_number("SENS:VMM:RANG?")
        return self._vmm_full_scale

    def _choose_full_scale(self, wanted: float) -> None:
        """Set the range of the product's converters that holds ``wanted`` [A]."""
        chosen = vmm_range(self._spec, wanted)
        if self._vmm_full_scale != chosen:
            self._configure({"SENS:VMM:RANG": chosen})
            self._vmm_full_scale = chosen

    # -- QCoDeS parameters -------------------------------------------------------------------------------------------

    def _add_parameters(self) -> None:
        can, limits, gated = self.capability, self._limits, self._spec.gate_axis is not None
        self.read_volts: Parameter[float, Self] = self.add_parameter(
            "read_volts", label="Read amplitude", unit="V", get_cmd="SOUR:READ:VOLT?", get_parser=float,
            set_cmd="SOUR:READ:VOLT {:.9g}", vals=Numbers(-limits.read_volts_max, limits.read_volts_max),
        )  # fmt: skip
        """Control the amplitude of reads, ± ``limits.read_volts_max`` [V]; ``read()`` sets it to what it is asked."""
        self.read_range: Parameter[float | str, Self] = self.add_parameter(
            "read_range", label="Range of reads", unit="A", get_cmd="SENS:RANG?", get_parser=_range,
            set_cmd="SENS:RANG {}", vals=MultiType(Enum("AUTO"), Numbers(0.0, can.read_ranges[-1])),
        )  # fmt: skip
        """Control the range of reads, one of ``spec.read_ranges`` (rounded up) [A], or ``"AUTO"`` (default)."""
        self.read_average: Parameter[int, Self] = self.add_parameter(
            "read_average", label="Conversions per cell", get_cmd="SENS:AVER?", get_parser=int,
            set_cmd="SENS:AVER {:d}", vals=Ints(1, can.read_average_max),
        )  # fmt: skip
        """Control the conversions per cell of reads; ``read()`` sets it to what it is asked."""
        self.watchdog: Parameter[float, Self] = self.add_parameter(
            "watchdog", label="Watchdog", unit="s", get_cmd="SYST:WATC?", get_parser=float,
            set_cmd="SYST:WATC {:.9g}", vals=Numbers(0.0, 3600.0),
        )  # fmt: skip
        """Control the silence after which the board disconnects the array, 0 (never) to 3600 [s] of wall time."""
        self.output: Parameter[bool, Self] = self.add_parameter(
            "output", label="Array connected", get_cmd="OUTP?", set_cmd="OUTP {}",
            val_mapping=create_on_off_val_mapping(on_val="1", off_val="0"),
        )  # fmt: skip
        """Control whether the array is connected; the first action connects it."""
        self._parameter_of: dict[str, Parameter[float, Self]] = {
            "SOUR:READ:VOLT": self.read_volts,
            "SENS:AVER": cast("Parameter[float, Self]", self.read_average),
        }
        if gated:
            self.read_gate: Parameter[float, Self] = self.add_parameter(
                "read_gate", label="Gate voltage of reads", unit="V", get_cmd="SOUR:READ:GATE?", get_parser=float,
                set_cmd="SOUR:READ:GATE {:.9g}", vals=Numbers(0.0, limits.gate_max),
            )  # fmt: skip
            """Control the gate voltage of reads, 0 to ``limits.gate_max`` [V]; ``read()`` sets it."""
            self._parameter_of["SOUR:READ:GATE"] = self.read_gate
        if "vmm" in can.supports:
            self.vmm_range: Parameter[float, Self] = self.add_parameter(
                "vmm_range", label="VMM full scale", unit="A", get_cmd="SENS:VMM:RANG?", get_parser=float,
                set_cmd="SENS:VMM:RANG {:.9g}", vals=Numbers(0.0, can.vmm_ranges[-1]),
            )  # fmt: skip
            """Control the full scale of the converters in VMM, rounded up to the board's next range [A]."""
            self._parameter_of["SENS:VMM:RANG"] = self.vmm_range
            if gated:
                self.vmm_gate: Parameter[float, Self] = self.add_parameter(
                    "vmm_gate", label="Gate voltage of VMM", unit="V", get_cmd="SOUR:VMM:GATE?", get_parser=float,
                    set_cmd="SOUR:VMM:GATE {:.9g}", vals=Numbers(0.0, limits.gate_max),
                )  # fmt: skip
                """Control the gate voltage of all lines in VMM, 0 to ``limits.gate_max`` [V]."""
                self._parameter_of["SOUR:VMM:GATE"] = self.vmm_gate


def _range(reply: str) -> float | str:
    return "AUTO" if reply.strip().upper() == "AUTO" else float(reply)
