"""The settings of a board: what it is known to have is not sent again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..abilities import ConvertsByRamp, Saturates
from ..array_spec import ability_of
from ..wire.wire_text import sent

if TYPE_CHECKING:
    from qcodes.parameters import Parameter

    from ..wire.command_guard import CommandGuard
    from ..wire.parts import Wire
    from .mount import Mount


class BoardSettings:
    """Remembers what the board was set to.

    Attributes
    ----------
    parameters : the QCoDeS parameter of a header, whose cache follows.
    """

    def __init__(self, wire: Wire, mount: Mount, guard: CommandGuard) -> None:
        self._wire = wire
        self._exchange = wire.exchange
        self._mount = mount
        self._guard = guard
        self._known: dict[str, float | str] = {}
        self._full_scale: float | None = None
        offered = mount.spec.supports
        self._has_modes = any(ability_of(kind).name in offered for kind in (ConvertsByRamp, Saturates))
        self._levels: bytes | None = None
        self._ramps: dict[int, str] = {}
        self._assigned: bytes | None = None
        self.parameters: dict[str, Parameter[float, Any]] = {}

    def forget(self) -> None:
        """Forget what somebody else may have set."""
        self._known.clear()
        self._full_scale = self._levels = self._assigned = None
        self._ramps.clear()

    def configure(self, wanted: Mapping[str, float | str]) -> None:
        """Send the settings that differ from what the board has, in one message."""
        changes = {header: value for header, value in wanted.items() if self._known.get(header) != value}
        if not changes:
            return
        command = ";:".join(
            f"{header} {value if isinstance(value, str) else sent(value)}" for header, value in changes.items()
        )
        self._guard.check(command)
        self._exchange.act(command)
        self._known.update(changes)
        for header, value in changes.items():
            if header in self.parameters and not isinstance(value, str):
                self.parameters[header].cache.set(value)

    def automatic_range(self) -> bool:
        """Return whether reads choose their range by themselves."""
        if "SENS:RANG" not in self._known:
            reply = self._exchange.query("SENS:RANG?")
            try:
                read_range(reply)
            except ValueError:
                raise self._wire.faults.garbled("SENS:RANG?", reply) from None
            self._known["SENS:RANG"] = reply
        return self._known["SENS:RANG"] == "AUTO"

    def full_scale(self) -> float:
        """Return the range of the product's converters [A]."""
        if self._full_scale is None:
            self._full_scale = self._exchange.ask_number("SENS:VMM:RANG?")
        return self._full_scale

    def set_full_scale(self, chosen: float) -> None:
        """Set the range of the product's converters, one of ``spec.vmm_ranges`` [A]."""
        if self._full_scale != chosen:
            self.configure({"SENS:VMM:RANG": chosen})
            self._full_scale = chosen

    def set_converters(self, mode: Literal["LIN", "RAMP", "SAT"]) -> None:
        """Let forward products be linear, compared with ramps, or held between levels.

        A board without either has linear converters, whatever anybody set, and is told nothing.
        """
        if self._has_modes:
            self.configure({"ADC:MODE": mode})

    def set_levels(self, wanted: bytes) -> None:
        """Set the levels that columns are held between: a block of ``ADC:SATurate:LEVels``."""
        if self._levels != wanted:
            self._exchange.write_block(b"ADC:SAT:LEV ", wanted)
            self._levels = wanted

    def set_ramp(self, number: int, wanted: str) -> None:
        """Define a ramp: ``<column>,<first row>,<steps>,<start>,<slope>``."""
        if self._ramps.get(number) != wanted:
            self._exchange.act(f"ADC:RAMP:DEF {number},{wanted}")
            self._ramps[number] = wanted

    def assign_ramps(self, wanted: bytes) -> None:
        """Give every column of the board its ramp, 255 for none."""
        if self._assigned != wanted:
            self._exchange.write_block(b"ADC:RAMP:ASS ", wanted)
            self._assigned = wanted


def read_range(reply: str) -> float | str:
    """Return the range of reads [A], or ``"AUTO"``."""
    return "AUTO" if reply.strip().upper() == "AUTO" else float(reply)
