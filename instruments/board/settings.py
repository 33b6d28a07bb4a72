"""The settings of a board: what it is known to have is not sent again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from ..abilities import ConvertsByRamp
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
        self._ramping = ability_of(ConvertsByRamp).name in mount.spec.supports
        self._mode: str | None = None
        self._ramps: dict[int, str] = {}
        self._assigned = b""
        self.forget()
        self.parameters: dict[str, Parameter[float, Any]] = {}

    def forget(self) -> None:
        """Forget what somebody else may have set."""
        self._known.clear()
        self._full_scale = None
        # A board without ramps has linear converters, whatever anybody set.
        self._mode = None if self._ramping else "LIN"
        self._ramps.clear()
        self._assigned = b""

    def configure(self, wanted: Mapping[str, float]) -> None:
        """Send the settings that differ from what the board has, in one message."""
        changes = {header: value for header, value in wanted.items() if self._known.get(header) != value}
        if not changes:
            return
        command = ";:".join(f"{header} {sent(value)}" for header, value in changes.items())
        self._guard.check(command)
        self._exchange.act(command)
        self._known.update(changes)
        for header, value in changes.items():
            if header in self.parameters:
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

    def set_converters(self, mode: Literal["LIN", "RAMP"]) -> None:
        """Let products be converted by linear converters, or by comparing with ramps."""
        if self._mode != mode:
            self._exchange.act(f"ADC:MODE {mode}")
            self._mode = mode

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
