"""Keithley 2400 source-measure unit: volts out, amperes in, and bipolar loops of any shape from its list of levels.

Commands as in the Series 2400 User's Manual (2400S-900-01 Rev. K), section 18; ranges as in SPEC-2400 Rev. H.
"""

from __future__ import annotations

from collections.abc import Mapping
from os import PathLike
from typing import Any, Literal

from qcodes.instrument_drivers.Keithley import Keithley2400

from ...common.errors import RefusedError
from ..limits import Limits, refuse_bad_number
from ..wire.binding import EchoBinding
from ..wire.doors import GuardedInstrument, alone
from ..wire.parts import Wire
from .allowed import ALLOWED_2400, RULES_2400
from .applied_level import AppliedLevel
from .carried_limits import ChipLimits, carried
from .current_limit import LOWEST_RANGE, current_limit
from .list_sweep import SweepInPieces
from .memory_sweep import LEVELS_MAX, MemorySweep
from .roles import MeterFacts
from .source_limits import COMPLIANCE_MIN, SourceLimits
from .status_readings import StatusReadings
from .voltage_source import LevelSweep, VoltageSource

_COMPLIANCE_DEFAULT = 1.05e-4
_DELAY_MIN = 1e-4
_RANGE_MIN, _RANGE_MAX = 0.2, 210.0
_PROTECTIONS = (20, 40, 60, 80, 100, 120, 160)
_TURNS_ON = ("MEAS", "CONF")


class Keithley2400Smu(VoltageSource, GuardedInstrument, Keithley2400):
    """QCoDeS's Keithley 2400 as a source-measure unit for a crossbar: limits hold for its stock parameters too."""

    _model = "2400"
    facts = MeterFacts(
        ranges=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        adc_bits=17,  # 10 pA of ±1.055 µA and so on
        points_max=LEVELS_MAX,
        delay_min=_DELAY_MIN,
        relative_noise=3e-4,  # assumed: its accuracy, for the data sheet gives no noise of readings
        zero_noise=1e-9,  # assumed
    )

    _delays = (_DELAY_MIN, 999.9999)
    _delay_command = "SOUR:DEL"
    _read_question = "READ?"
    _off_command = "SOUR:VOLT:MODE FIX;:SOUR:VOLT 0;:OUTP OFF"
    _overhead = 6e-3  # with the automatic choice of a range
    _overhead_on_one_range = 1e-3  # assumed
    _cycle_seconds = 0.08

    # -- opening ------------------------------------------------------------------------------------------------------

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
                binding=EchoBinding(),
                # A level is refused while the source is in list mode (manual, page 18-77).
                going_idle=(
                    ("stop", "ABOR"), ("leave the list", "SOUR:VOLT:MODE FIX"), ("0 V", "SOUR:VOLT 0"),
                    ("output off", "OUTP OFF"),
                ),
                safe_when=("OUTP?", "0"),
                hangup_effect="what it drives stays: switch its output off by hand",
                clears=True,
            )
        )  # fmt: skip
        self._readings = StatusReadings(self.wire)
        self._applied = AppliedLevel(lambda: self.stress)
        self.guard = self.bounds = SourceLimits(name, RULES_2400, carried(name, chip, limits), allowed=ALLOWED_2400)
        with self._opening():
            super().__init__(name, address, **kwargs)  # pyright: ignore[reportArgumentType]
            self._prepare()

    def _check(self, cmd: str) -> None:
        if cmd.strip().lstrip(":").upper().startswith(_TURNS_ON) or any(f";:{one}" in cmd.upper() for one in _TURNS_ON):
            raise RefusedError(f"{cmd!r} is refused: it switches the output on by itself: use on(), then measure()")
        super()._check(cmd)

    def _prepare(self) -> None:
        self.configure(**self._configuration)

    @alone
    def configure(
        self,
        *,
        nplc: float = 1.0,
        average: int = 1,
        autozero: Literal["once", "on"] = "once",
        current_range_min: float = LOWEST_RANGE,
        source_range: float | None = None,
        terminals: Literal["front", "rear"] = "front",
        off_state: Literal["normal", "high-impedance"] = "normal",
    ) -> None:
        """Set up the voltage source and the current meter, 2-wire, source value measured too; the output goes off.

        Parameters
        ----------
        nplc : float
            Integration time in power line cycles, 0.01 to 10.
        average : int
            Readings averaged into one (repeating filter), 1 to 100.
        autozero : "once", "on"
            Refresh the zero now only, or with every reading (twice the time).
        current_range_min : float [A]
            The lowest range it chooses by itself, 1 µA to 100 µA.
        source_range : float [V]
            Fixed range, 0.2 V to 210 V; None takes the smallest that holds the limits, so that no sweep changes range.
        terminals : "front", "rear"
        off_state : "normal", "high-impedance"
            0 V with little current, or the output relay open (which wears it: not for maps).
        """
        where = self.name
        self._configuration = {
            "nplc": nplc, "average": average, "autozero": autozero, "current_range_min": current_range_min,
            "source_range": source_range, "terminals": terminals, "off_state": off_state,
        }  # fmt: skip
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=where)
        refuse_bad_number("average", average, 1, 100, "readings", channel=where)
        refuse_bad_number("current_range_min", current_range_min, LOWEST_RANGE, 1.05e-4, "A", channel=where)
        volts = max(self.bounds.source_volts_max, _RANGE_MIN) if source_range is None else source_range
        refuse_bad_number("source_range", volts, _RANGE_MIN, _RANGE_MAX, "V", channel=where)
        averaging = "AVER OFF" if average == 1 else f"AVER:TCON REP;:SENS:AVER:COUN {average};:SENS:AVER ON"
        zero = "AZER ON" if autozero == "on" else "AZER OFF;:SYST:AZER ONCE"
        self.off()
        self._forget_settings()
        self._on = False
        self.wire.exchange.act(
            f"ROUT:TERM {'FRON' if terminals == 'front' else 'REAR'};:FORM:ELEM VOLT,CURR,STAT;:SOUR:FUNC VOLT;"
            f":SOUR:VOLT:MODE FIX;:SOUR:CLE:AUTO OFF;:SOUR:VOLT:RANG {volts:.6g};:SOUR:VOLT:PROT {self._protection};"
            f":SOUR:DEL 0;:ARM:COUN 1;:TRIG:COUN 1;:TRIG:DEL 0;:OUTP:SMOD {'NORM' if off_state == 'normal' else 'HIMP'}"
        )
        (hertz,) = self.wire.exchange.ask(
            f'SENS:FUNC:CONC ON;:SENS:FUNC "VOLT","CURR";:SYST:RSEN OFF;:SENS:CURR:NPLC {nplc:.6g};:SENS:{averaging};'
            f":SENS:CURR:RANG:AUTO ON;:SENS:CURR:RANG:AUTO:LLIM {current_range_min:.6g};:SYST:RCM MULT;:SYST:{zero}"
            f"{self._held_current};:SYST:LFR?",
            1,
        )
        # Volts and amperes are a conversion each; zero and reference are two more.
        self._cycle_seconds = average * (4 if autozero == "on" else 2) / self._float(hertz, "SYST:LFR?")
        self._nplc = nplc

    @property
    def _protection(self) -> int:
        """The overvoltage protection that leaves the limits room and stops what is far above: 20 V at the least."""
        return next((volts for volts in _PROTECTIONS if volts >= 1.2 * self.source_volts_max), int(_RANGE_MAX))

    @property
    def _held_current(self) -> str:
        """Our own current limit where the default one is above it: an output switched on by hand would have that."""
        most = max(self.bounds.now.current_max, COMPLIANCE_MIN)
        return current_limit(most, from_lowest=True) if most < _COMPLIANCE_DEFAULT else ""

    def _apply_limits(self) -> None:
        self.wire.exchange.act(f"SOUR:VOLT:PROT {self._protection}{self._held_current}")

    def _limit(self, compliance: float) -> str:
        known = self._compliance
        lowest = known is None or not self._on
        told = current_limit(compliance, from_lowest=lowest, from_own=known is not None and compliance < known)
        return told.removeprefix(";:")

    def _sweep_of(self, seconds: float, *, span: float | None = None) -> LevelSweep:
        """Return a sweep whose lists end with a level of 0 V of their own: a host that dies leaves 0 V behind."""

        def one() -> MemorySweep:
            return MemorySweep(self.wire, self._readings, seconds=seconds, span=span)

        return SweepInPieces(one, seconds=seconds) if span is None else one()

    def _free_ranges(self) -> None:
        self.wire.exchange.act("SENS:CURR:RANG:AUTO ON")
