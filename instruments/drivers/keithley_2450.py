"""Keithley 2450 source-measure unit: volts out, amperes in, and bipolar loops of any shape in a handful of messages.

Commands as in the Model 2450 Reference Manual (2450-901-01), section 6.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from typing import Any, Literal

from qcodes.instrument_drivers.Keithley import Keithley2450

from ...common.errors import XbarlabError
from ..capabilities import FloatArray
from ..errors import InstrumentError
from ..limits import Limits, refuse_bad_number
from ..wire.binding import EchoBinding
from ..wire.doors import GuardedInstrument, alone
from ..wire.parts import Wire
from ..wire.wire_text import sent
from .allowed import ALLOWED_2450, RULES_2450
from .applied_level import AppliedLevel
from .buffered_record import RECORD_POINTS_MAX, RECORD_RATE_MAX, BufferedRecord
from .carried_limits import ChipLimits, carried
from .list_sweep import LIST_MAX, ListSweep, SweepInPieces
from .roles import MeterFacts
from .smu_readings import ELEMENTS, SmuReadings
from .source_limits import SourceLimits
from .voltage_source import LevelSweep, VoltageSource

_DELAY_MIN = 50e-6
_RANGE_MIN = 0.02


class Keithley2450Smu(VoltageSource, GuardedInstrument, Keithley2450):
    """QCoDeS's Keithley 2450 as a source-measure unit for a crossbar: limits hold for its stock parameters too."""

    _model = "2450"
    facts = MeterFacts(delay_min=_DELAY_MIN, points_max=LIST_MAX)

    rate_max, points_max = RECORD_RATE_MAX, RECORD_POINTS_MAX  # of record()
    _delays = (_DELAY_MIN, 1e4)
    _delay_command = "SOUR:VOLT:DEL"
    _delays_unchanged = False  # it delays only when the level changes
    _read_question = f'READ? "defbuffer1",{ELEMENTS}'
    _overhead = 3e-3
    _overhead_on_one_range = 0.4e-3
    _cycle_seconds, _hertz = 0.04, 50.0

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
                going_idle=(("stop", "ABOR"), ("0 V", "SOUR:VOLT 0"), ("output off", "OUTP OFF")),
                safe_when=("OUTP?", "0"),
                hangup_effect="what it drives stays: switch its output off by hand",
                clears=True,
                text_of=lambda text: text.partition(";")[0],  # then come the event type and the time
            )
        )
        self._readings = SmuReadings(self.wire)
        self._applied = AppliedLevel(lambda: self.stress)
        self.guard = self.bounds = SourceLimits(name, RULES_2450, carried(name, chip, limits), allowed=ALLOWED_2450)
        with self._opening():
            super().__init__(name, address, **kwargs)  # pyright: ignore[reportArgumentType]
            self._prepare()

    def make_safe(self) -> None:
        """Set 0 V, switch off, reset; an instrument that speaks another language is refused."""
        language = self.wire.exchange.ask_stranger("*LANG?")
        if language != "SCPI":
            raise InstrumentError(
                f"{self.name} at {self.place} speaks {language}: choose MENU > System > Settings > Command Set SCPI, "
                "switch it off and on, then open the bench again"
            )
        super().make_safe()

    def _has_correct_language_mode(self) -> bool:
        return True  # make_safe has asked

    def _prepare(self) -> None:
        self.configure(**self._configuration)

    @alone
    def configure(
        self,
        *,
        nplc: float = 1.0,
        average: int = 1,
        autozero: Literal["once", "on"] = "once",
        current_range: float | None = None,
        current_range_min: float = 1e-7,
        source_range: float | None = None,
        terminals: Literal["front", "rear"] = "front",
        off_state: Literal["normal", "high-impedance"] = "normal",
    ) -> None:
        """Set up the voltage source and the current meter, 2-wire, source value read back; the output goes off.

        Parameters
        ----------
        nplc : float
            Integration time in power line cycles, 0.01 to 10.
        average : int
            Readings averaged into one (repeating filter), 1 to 100.
        autozero : "once", "on"
            Refresh the zero now only, or with every reading (three times the time).
        current_range : float [A]
            Fixed range, 10 nA to 1 A; None ranges automatically, no lower than ``current_range_min``.
        source_range : float [V]
            Fixed range; None takes the smallest that holds the limits, so that no sweep changes range on the way.
        terminals : "front", "rear"
        off_state : "normal", "high-impedance"
            0 V with little current, or the output relay open (which wears it: not for maps).
        """
        where = self.name
        self._configuration = {
            "nplc": nplc, "average": average, "autozero": autozero, "current_range": current_range,
            "current_range_min": current_range_min, "source_range": source_range, "terminals": terminals,
            "off_state": off_state,
        }  # fmt: skip
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=where)
        refuse_bad_number("average", average, 1, 100, "readings", channel=where)
        for name, amperes in (("current_range", current_range), ("current_range_min", current_range_min)):
            if amperes is not None:
                refuse_bad_number(name, amperes, 1e-8, 1.0, "A", channel=where)
        volts = max(self.bounds.source_volts_max, _RANGE_MIN) if source_range is None else source_range
        refuse_bad_number("source_range", volts, _RANGE_MIN, 200.0, "V", channel=where)
        ranging = (
            f"RANG:AUTO ON;:SENS:CURR:RANG:AUTO:LLIM {current_range_min:.6g}"
            if current_range is None
            else f"RANG {current_range:.6g}"
        )
        averaging = "AVER OFF" if average == 1 else f"AVER:TCON REP;:SENS:CURR:AVER:COUN {average};:SENS:CURR:AVER ON"
        zero = "AZER ON" if autozero == "on" else "AZER OFF;:SENS:AZER:ONCE"
        self.off()
        self._forget_settings()
        self._on = False
        self.wire.exchange.act(
            f"ROUT:TERM {'FRON' if terminals == 'front' else 'REAR'};:FORM ASC;:SOUR:FUNC VOLT;:SOUR:VOLT:READ:BACK ON;"
            f":SOUR:VOLT:RANG {volts:.6g};:SOUR:VOLT:PROT {self.bounds.held};:SOUR:VOLT:DEL 0;"
            f":OUTP:SMOD {'NORM' if off_state == 'normal' else 'HIMP'}"
        )
        (hertz,) = self.wire.exchange.ask(
            f'SENS:FUNC "CURR";:SENS:CURR:RSEN OFF;:SENS:CURR:NPLC {nplc:.6g};:SENS:CURR:{averaging};'
            f":SENS:CURR:{ranging};:SENS:CURR:{zero};:SYST:LFR?",
            1,
        )
        self._hertz = self._float(hertz, "SYST:LFR?")
        # A source value that is read back is a second conversion.
        self._cycle_seconds = 2 * average * (3 if autozero == "on" else 1) / self._hertz
        self._nplc = nplc

    def _apply_limits(self) -> None:
        self.wire.exchange.act(f"SOUR:VOLT:PROT {self.bounds.held}")

    def _limit(self, compliance: float) -> str:
        return f"SOUR:VOLT:ILIM {sent(compliance)}"

    def _sweep_of(self, seconds: float, *, span: float | None = None) -> LevelSweep:
        def one() -> ListSweep:
            return ListSweep(self.wire, self._readings, seconds=seconds, span=span)

        return SweepInPieces(one, seconds=seconds) if span is None else one()

    def _free_ranges(self) -> None:
        fixed = self._configuration.get("current_range")
        self.wire.exchange.act("SENS:CURR:RANG:AUTO ON" if fixed is None else f"SENS:CURR:RANG {fixed:.6g}")

    @alone
    def record(self, *, rate: float, points: int, largest: float) -> tuple[FloatArray, FloatArray]:
        """Make readings at about ``rate`` [1/s] on the range of ``largest`` [A]; return times [s], currents [A]."""
        record = BufferedRecord(self.wire, self._readings, hertz=self._hertz)
        record.check(rate, points)
        before: dict[str, Any] = {**self._configuration, "nplc": self._nplc}
        try:
            found = record.take(rate, points, largest=largest, wait=self.clock.wait)
        except BaseException:
            self.idle()
            with suppress(XbarlabError):
                self.configure(**before)
            raise
        self.configure(**before)
        return found
