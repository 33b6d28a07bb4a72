"""Keithley 2450 source-measure unit: volts out, amperes in, and bipolar loops of any shape in a handful of messages.

Commands as in the Model 2450 Reference Manual (2450-901-01), section 6.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qcodes.instrument_drivers.Keithley import Keithley2450

from ...common.errors import RefusedError, XbarlabError
from ..capabilities import FloatArray
from ..errors import InstrumentError
from ..limits import Limits, refuse_bad_number, scalar
from ..wire.binding import EchoBinding
from ..wire.doors import GuardedInstrument, alone
from ..wire.parts import Wire
from ..wire.wire_text import sent
from .allowed import ALLOWED_2450, RULES_2450
from .applied_level import AppliedLevel
from .buffered_record import RECORD_POINTS_MAX, RECORD_RATE_MAX, BufferedRecord
from .carried_limits import ChipLimits, carried
from .list_sweep import LIST_MAX, ListSweep
from .roles import MeterFacts
from .smu_readings import ELEMENTS, Point, SmuReadings
from .source_limits import COMPLIANCE_MIN, SourceLimits
from .stress import Stress, Unheard

_COMPLIANCE_MAX = 1.05
_DELAY_MIN, _DELAY_MAX = 50e-6, 1e4
_RANGE_MIN = 0.02
_POINT_OVERHEAD = 3e-3


class Keithley2450Smu(GuardedInstrument, Keithley2450):
    """QCoDeS's Keithley 2450 as a source-measure unit for a crossbar: limits hold for its stock parameters too."""

    _model = "2450"
    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""
    facts = MeterFacts(delay_min=_DELAY_MIN, points_max=LIST_MAX)

    rate_max, points_max = RECORD_RATE_MAX, RECORD_POINTS_MAX  # of record()
    _on: bool | None = False
    _compliance: float | None = None
    _volts: float | None = None
    _delay: float | None = None
    _cycle_seconds, _hertz = 0.04, 50.0
    _nplc: float = 1.0
    _configuration: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed

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
        self._on = False
        self._applied.off()

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

    @alone
    def integrate(self, nplc: float) -> None:
        """Set the integration time in power line cycles, 0.01 to 10; nothing is sent when it is that already."""
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=self.name)
        if nplc != self._nplc:
            self.wire.exchange.act(f"SENS:CURR:NPLC {nplc:.6g}")
            self._nplc = nplc

    @property
    def limits(self) -> Limits:
        """What may be applied."""
        return self.bounds.now

    @property
    def source_volts_max(self) -> float:
        """Largest magnitude a terminal may ever be driven to [V]."""
        return self.bounds.source_volts_max

    @alone
    def set_limits(self, limits: Limits) -> None:
        """Narrow what may be applied, here and in the instrument; wider limits are refused."""
        self.bounds.narrow(limits)
        self._apply_limits()

    def halve(self) -> None:
        """Hold this unit to half of a cell's voltage: another source may stand at the other half."""
        self.bounds.halve()

    def whole(self) -> AbstractContextManager[None]:
        """Let it carry all of a cell's voltage in the body: for who keeps the other end of the cell at 0 V."""
        return self.bounds.whole()

    def _apply_limits(self) -> None:
        self.wire.exchange.act(f"SOUR:VOLT:PROT {self.bounds.held}")

    @property
    def point_seconds(self) -> float:
        """Time one reading takes as configured, without delay or range changes [s]."""
        return self.reading_seconds(self._nplc)

    def reading_seconds(self, nplc: float) -> float:
        """Return the time [s] one reading would take at ``nplc`` power line cycles."""
        return nplc * self._cycle_seconds + _POINT_OVERHEAD

    @property
    def is_on(self) -> bool:
        """Whether the output is on; asked when a command of the user's own may have changed it."""
        if self._on is None:
            self._on = self.wire.exchange.query("OUTP?").lstrip("+") == "1"
        return self._on

    def _is_idled(self) -> None:
        super()._is_idled()
        self._applied.off()

    def _heard_by_hand(self, cmd: str) -> None:
        self._applied.heard(cmd)
        super()._heard_by_hand(cmd)

    def _forget_settings(self) -> None:
        self._on = None
        self._compliance = self._volts = self._delay = None

    # -- steady levels ------------------------------------------------------------------------------------------------

    @alone
    def on(self, volts: float = 0.0, *, compliance: float) -> None:
        """Set the current limit ``compliance`` [A], then the level [V], then switch the output on.

        Raises
        ------
        RefusedError
            Outside the limits: nothing was sent.
        """
        level = self._level(volts, compliance)
        if self._compliance != compliance:
            # The limit is known to hold before anything can flow.
            self.wire.exchange.act(level)
            level = ""
        self._applied.about(volts, on=True)
        self.wire.exchange.act(f"{level};:OUTP ON" if level else "OUTP ON")
        self._note(volts, compliance)
        self._on = True

    @alone
    def off(self) -> None:
        """Set 0 V, then switch the output off."""
        self.wire.exchange.act("SOUR:VOLT 0;:OUTP OFF")
        self._on, self._volts = False, 0.0
        self._applied.off()

    @alone
    def level(self, volts: float, *, compliance: float | None = None) -> None:
        """Change the level [V] and, when given, the current limit [A] while the output is on; one message."""
        self._require_on("level")
        message = self._level(volts, compliance)
        self._applied.about(volts, on=True)
        self.wire.exchange.act(message)
        self._note(volts, compliance)

    @alone
    def measure(self) -> Point:
        """Measure the current [A] at the present level, with the source value read back [V]; one message."""
        self._require_on("measure")
        (reading,) = self.wire.exchange.ask(f'READ? "defbuffer1",{ELEMENTS}', 1, expected=self.point_seconds)
        return self._readings.point(reading)

    @alone
    def step(self, volts: float, *, compliance: float | None = None, dwell: float = 0.0) -> Point:
        """Change the level, wait ``dwell`` [s] and measure; one message.

        Parameters
        ----------
        volts : float [V]
        compliance : float [A]
            None keeps the limit.
        dwell : float [s]
            Time from the new level to the reading, 0 or 50 µs to 10 ks.
        """
        self._require_on("step")
        self._check_dwell(dwell)
        message = self._level(volts, compliance)
        if self._delay != dwell:
            message = f"SOUR:VOLT:DEL {dwell:.6g};:{message}"
        if dwell and self._volts == volts:
            self.clock.wait(dwell)  # the 2450 delays only when the level changes
        self._applied.about(volts, on=True)
        (reading,) = self.wire.exchange.ask(
            f'{message};:READ? "defbuffer1",{ELEMENTS}', 1, expected=dwell + self.point_seconds
        )
        self._note(volts, compliance)
        self._delay = dwell
        return self._readings.point(reading)

    def _level(self, volts: float, compliance: float | None) -> str:
        volts = self.bounds.now.one("source_volts", volts, channel=self.name)
        if compliance is None:
            return f"SOUR:VOLT {sent(volts, most=self.bounds.largest)}"
        self._check_compliance(compliance)
        return f"SOUR:VOLT:ILIM {sent(compliance)};:SOUR:VOLT {sent(volts, most=self.bounds.largest)}"

    def _check_compliance(self, compliance: float) -> None:
        self.bounds.now.one("current", compliance, channel=self.name, unit="A")
        refuse_bad_number("compliance", compliance, COMPLIANCE_MIN, _COMPLIANCE_MAX, "A", channel=self.name)

    def _check_dwell(self, dwell: float) -> None:
        if scalar(dwell, "dwell", channel=self.name) != 0.0:
            refuse_bad_number("dwell", dwell, _DELAY_MIN, _DELAY_MAX, "s", channel=self.name)

    def _note(self, volts: float, compliance: float | None) -> None:
        self._volts = volts
        if compliance is not None:
            self._compliance = compliance

    def _require_on(self, what: str) -> None:
        if not self.is_on:
            raise RefusedError(f"{self.name}: {what}() needs the output on: call on(volts, compliance=…) first")

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

    # -- sweeps -------------------------------------------------------------------------------------------------------

    @alone
    def sweep(
        self, volts: ArrayLike, *, compliance: float, dwell: float, wait: Callable[[float], None] | None = None
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Drive the output through a list of levels and measure at each; it is at 0 V and off afterwards.

        A point in compliance does not end the sweep.

        Parameters
        ----------
        volts : array [points] [V]
            Up to 2500 levels, in any order.
        compliance : float [A]
        dwell : float [s]
            Time from each level to its reading, 0 or 50 µs to 10 ks; the reading's own time comes on top.
        wait : callable
            How to let seconds pass; ``clock.wait`` unless given.

        Returns
        -------
        volts, current, flags : arrays [points]
            Source values as read back [V], currents [A] (NaN on overflow), FLAG_… bits.
        """
        levels = np.atleast_1d(self.bounds.now.check("source_volts", volts, channel=self.name))
        if levels.ndim != 1 or not 1 <= levels.size <= LIST_MAX:
            raise RefusedError(f"{self.name}: a sweep of shape {levels.shape}: give 1 to {LIST_MAX} levels in a row")
        self._check_compliance(compliance)
        self._check_dwell(dwell)
        self.bounds.now.check_points(levels, compliance, dwell + self.point_seconds, channel=f"{self.name} point ")
        try:
            sweep = ListSweep(self.wire, self._readings, seconds=dwell + self.point_seconds)
            sweep.load(levels, compliance, dwell, most=self.bounds.largest)
            self._applied.sweep(levels)
            self.wire.exchange.act("OUTP ON;:INIT")
            sweep.wait_for(levels.size, wait or self.clock.wait)
            result = sweep.fetch(levels.size)
        except BaseException:
            self.idle()
            raise
        self._forget_settings()
        self._on = False
        self._applied.off()
        return result

    def _float(self, reply: str, question: str) -> float:
        try:
            return float(reply)
        except ValueError:
            raise self.wire.faults.garbled(question, reply) from None
