"""Keithley 4200A-SCS over KXCI: two SMUs and a 4225-PMU with RPMs, both SMUs and the pulser of a probe station.

Commands are from public programs and from memory (4200A-KXCI-907-01); which, ``docs/keithley-4200a.md`` says. QCoDeS
has no driver for it. The box owns the connection; its parts have the roles (``PARTS``).
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, ClassVar

from qcodes.instrument import VisaInstrument

from ....common.errors import RefusedError
from ...errors import InstrumentError
from ...limits import Limits
from ...wire.binding import IdentityBinding
from ...wire.doors import GuardedInstrument
from ...wire.parts import Wire
from ..box_part import GuardedBox
from ..carried_limits import ChipLimits, carried
from ..source_limits import SourceLimits
from .guard import KxciGuard
from .kxci_line import KxciLine
from .pmu import Keithley4225Pmu
from .smu import Keithley4200Smu, Mainframe

SMUS = (1, 2)
_NEEDED = ("SMU1", "SMU2", "PMU1")
_IDLE_COMPLIANCE = "1e-06"


class Keithley4200Box(GuardedBox, VisaInstrument):
    """A 4200A-SCS with limits on each of its terminals."""

    PARTS: ClassVar[Mapping[str, type]] = {"smu1": Keithley4200Smu, "smu2": Keithley4200Smu, "pmu": Keithley4225Pmu}
    """What can have a role in a station, by name: ``row_smu: box.smu1``."""

    default_terminator = "\0"
    _to_defaults = ":ERROR:LAST:CLEAR\nBC\n*RST"
    smus: tuple[Keithley4200Smu, ...] = ()

    def __init__(
        self,
        name: str,
        address: str | None = None,
        *,
        chip: ChipLimits | str | PathLike[str] | None = None,
        limits: Limits | Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._hold(
            Wire(
                name,
                binding=IdentityBinding(),
                line=KxciLine,  # pyright: ignore[reportArgumentType]
                going_idle=(
                    ("pulses stopped, their outputs off", ":PMU:ABORT"),
                    ("measurement control", "MD"),
                    ("sweep stopped", "ME4"),
                    ("user mode", "US"),
                    *((f"SMU{n} 0 V", f"DV{n},1,0,{_IDLE_COMPLIANCE}") for n in SMUS),
                    *((f"SMU{n} off", f"DV{n}") for n in SMUS),
                ),
                # Of an SMU it cannot be asked whether it is on: that it was told and reports no error is what there is.
                safe_when=(":PMU:TEST:STATUS?", "0"),
                hangup_effect="what it drives stays: stop it in its KXCI window, or switch its outputs off by hand",
            )
        )
        allowed = carried(name, chip, limits)
        bounds = {n: SourceLimits(f"{name}.smu{n}", (), allowed, allowed=()) for n in SMUS}
        self.guard = self._text = KxciGuard({n: lambda n=n: bounds[n].as_text for n in SMUS})
        pulses = SourceLimits(f"{name}.pmu", (), allowed, allowed=())
        terminator = kwargs.get("terminator", self.default_terminator)
        if terminator not in ("\0", "\n"):
            raise RefusedError(
                f"{name}: terminator {terminator!r}: KXCI ends messages with NUL (its factory setting) or \\n"
            )
        self.wire.line.end = terminator.encode("ascii")
        with self._opening():
            super().__init__(name, address, **kwargs)
            mainframe = Mainframe()
            self.smus = tuple(Keithley4200Smu(self, n, bounds[n], mainframe) for n in SMUS)
            self.pmu = Keithley4225Pmu(self, pulses)
            for part in (*self.smus, self.pmu):
                self.add_submodule(part.short_name, part)
            self._prepare()

    def _is_ours(self, maker: str, model: str) -> bool:
        return "keithley" in maker.lower() and "4200" in model

    def _wanted(self) -> str:
        return "a 4200A-SCS"

    def _prepare(self) -> None:
        reply = self.wire.exchange.query("*OPT?")
        lacks = [one for one in _NEEDED if one not in reply.upper()]
        if lacks:
            raise InstrumentError(
                f"{self.name} at {self.place} says it has {reply[:120] or 'nothing'}, and no {', '.join(lacks)}: this "
                "driver is for two SMUs and a pulse card with RPMs; look at KCon on it"
            )
        for unit in self.smus:
            unit.prepare()

    # -- what its parts are told -------------------------------------------------------------------------------------

    @property
    def sources(self) -> tuple[Keithley4200Smu, ...]:
        """Its source-measure units."""
        return self.smus

    # -- QCoDeS's doors ----------------------------------------------------------------------------------------------

    def write_raw(self, cmd: str) -> None:
        """Send one command that is answered by its acknowledgement."""
        self._text.check(cmd)
        if self._text.asks(cmd):
            raise RefusedError(f"{cmd!r} asks something: use ask, or its reply is taken for the next one's")
        with self.wire.lock:
            if self._rehearsing:
                return
            if cmd.strip().upper().startswith("DV"):
                number, volts, amps = self._text.force(cmd)
                next(unit for unit in self.smus if unit.number == number).heard(volts, amps)
                # DV is understood in user mode only.
                self.wire.exchange.act(f"US\n{cmd.strip()}")
            else:
                self.wire.exchange.act(cmd.strip())

    def ask_raw(self, cmd: str) -> str:
        """Ask one question."""
        self._text.check(cmd)
        if not self._text.asks(cmd):
            raise RefusedError(f"{cmd!r} asks nothing: use write, or the reply is waited for in vain")
        with self.wire.lock:
            return self.wire.exchange.query(cmd.strip())

    def reset(self) -> None:
        """Put back the defaults, 0 V and off first, and the limits and settings of this driver on top."""
        GuardedInstrument.reset(self)
