"""An SMU of a 4200A as a source-measure unit for a crossbar: levels in user mode, sweeps in system mode."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from qcodes.instrument import InstrumentChannel
from qcodes.parameters import Parameter

from ....common.errors import RefusedError
from ...limits import refuse_bad_number
from ...wire.doors import alone
from ...wire.wire_text import sent
from ..applied_level import AppliedLevel
from ..box_part import CarryingSource
from ..roles import MeterFacts
from ..source_limits import COMPLIANCE_MIN, SourceLimits
from .readings import KxciReadings
from .sweep import Held, SystemSweep

if TYPE_CHECKING:
    from ...wire.doors import GuardedInstrument

_LOWEST = 1e-7
_SMALL_RANGE = 20.0
_SMALL, _LARGE = 1, 2  # codes of DV for the source ranges of 20 V and 200 V


@dataclass(slots=True)
class Mainframe:
    """What the SMUs of a box have in common.

    Attributes
    ----------
    units : every SMU.
    nplc : float
        Integration time [mains cycles].
    """

    units: list[Keithley4200Smu] = field(default_factory=list["Keithley4200Smu"])
    nplc: float = 1.0


class Keithley4200Smu(CarryingSource, InstrumentChannel):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride, reportUnsafeMultipleInheritance]
    """An SMU of the box. Its current limit acts with the level: ``DV`` sets both at once."""

    facts = MeterFacts(
        ranges=(1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        points_max=2500,
        delay_min=1e-3,
        relative_noise=3e-4,  # assumed
        zero_noise=1e-9,  # assumed
    )

    _delays = (1e-3, 600.0)
    _cycles_command: ClassVar[str] = "IT4,0,0,{}"
    _overhead = 2e-3  # assumed

    def __init__(self, box: GuardedInstrument, number: int, bounds: SourceLimits, mainframe: Mainframe) -> None:
        InstrumentChannel.__init__(self, box, f"smu{number}")
        self._box, self._mainframe, self._shared = box, mainframe, mainframe
        mainframe.units.append(self)
        self.number = number
        self.wire = box.wire
        self.bounds = bounds
        self._kxci = KxciReadings(box.wire)
        self._applied = AppliedLevel(lambda: self.stress)
        self._held = COMPLIANCE_MIN
        self.volt: Parameter[float, Any] = self.add_parameter(
            "volt", label=f"Voltage SMU{number}", unit="V", get_cmd=self._tell_volts, set_cmd=self._set_volts
        )
        """Level of an output that is on; measured when it is read."""
        self.curr: Parameter[float, Any] = self.add_parameter(
            "curr", label=f"Current SMU{number}", unit="A", get_cmd=lambda: self.measure().current, snapshot_get=False
        )
        """Current out of the terminal."""

    # -- setting up --------------------------------------------------------------------------------------------------

    @alone
    def configure(self, *, nplc: float = 1.0, current_range_min: float = _LOWEST) -> None:
        """Set up the voltage source and the current meter; the output goes off.

        Parameters
        ----------
        nplc : float
            Integration time in power line cycles, 0.01 to 10, of every SMU of the box.
        current_range_min : float [A]
            The lowest range it chooses by itself, 100 nA to 100 µA.
        """
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=self.name)
        refuse_bad_number("current_range_min", current_range_min, _LOWEST, 1.05e-4, "A", channel=self.name)
        self._configuration = {"nplc": nplc, "current_range_min": current_range_min}
        self.off()
        self._forget_settings()
        self.wire.exchange.act(
            f"{self._cycles_command.format(f'{nplc:.6g}')}\nRG {self.number},{current_range_min:.6g}"
        )
        self._mainframe.nplc = nplc

    @property
    def _range(self) -> int:
        return _SMALL if self.bounds.source_volts_max <= _SMALL_RANGE else _LARGE

    # -- steady levels -----------------------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether the output is on. KXCI cannot be asked: it is what was sent last."""
        return bool(self._on)

    @property
    def held(self) -> Held | None:
        """Where it stands while another one is swept; None where it is off."""
        return Held(self.number, self._volts or 0.0, self._held) if self._on else None

    def force(self, volts: float, compliance: float) -> str:
        """Return what puts the unit at a level [V] with its limit [A], both checked."""
        return f"DV{self.number},{self._range},{sent(volts, most=self.bounds.largest)},{sent(compliance)}"

    @property
    def _off_command(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        zero = f"DV{self.number},{self._range},0,{sent(self._held)}\n" if self._on else ""
        return f"US\n{zero}DV{self.number}"

    @property
    def _before_on(self) -> str:
        return "US"

    @property
    def _current_question(self) -> str:
        return f"TI{self.number}"

    def _current(self, reply: str, question: str) -> tuple[float, int]:
        return self._kxci.one(reply, question)

    def _tell_volts(self) -> float:
        if not self._on:
            return 0.0
        question = f"TV{self.number}"
        (reply,) = self.wire.exchange.ask(question, 1, expected=self.point_seconds)
        return self._kxci.one(reply, question)[0]

    def _set_volts(self, volts: float) -> None:
        self.level(volts)

    # -- sweeps ------------------------------------------------------------------------------------------------------

    def _sweep_of(self, seconds: float, *, span: float | None = None) -> SystemSweep:
        if span is not None:
            raise RefusedError(f"{self.name}: a timed sweep on one range is not built for a 4200A: use sweep")
        others = {unit.number: unit for unit in self._mainframe.units if unit is not self}
        return SystemSweep(
            self.wire,
            self._kxci,
            self.number,
            seconds=seconds,
            others=list(others),
            held=lambda: [held for unit in others.values() if (held := unit.held) is not None],
            force=lambda held: others[held.number].force(held.volts, held.compliance),
            off=f"DV{self.number},{self._range},0,{sent(self._held)}\nDV{self.number}",
        )

    # -- what it is told ---------------------------------------------------------------------------------------------

    def heard(self, volts: float | None, compliance: float | None) -> None:
        """Take in a level that is about to be sent as text and has been checked; None switches off."""
        if volts is None or compliance is None:
            self._applied.off()
            self._on, self._volts = False, 0.0
            return
        self._applied.about(volts, on=True)
        self._on, self._volts, self._held, self._compliance = True, volts, compliance, compliance

    def went_idle(self) -> None:
        """Note that the box went to its safe state."""
        super().went_idle()
        self._on = False

    def _forget_settings(self) -> None:
        on = self._on
        super()._forget_settings()
        self._on = on
