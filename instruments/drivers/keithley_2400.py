"""Keithley 2400 source-measure unit: volts out, amperes in, and bipolar loops of any shape from its list of levels.

Commands as in the Series 2400 User's Manual (2400S-900-01 Rev. K), section 18; ranges as in SPEC-2400 Rev. H.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qcodes.instrument_drivers.Keithley import Keithley2400

from ...common.errors import RefusedError
from ..capabilities import FloatArray
from ..limits import Limits, refuse_bad_number, scalar
from ..wire.binding import EchoBinding
from ..wire.doors import GuardedInstrument, alone
from ..wire.parts import Wire
from ..wire.wire_text import sent
from .allowed import ALLOWED_2400, RULES_2400
from .applied_level import AppliedLevel
from .carried_limits import ChipLimits, carried
from .current_limit import LOWEST_RANGE, current_limit
from .memory_sweep import LEVELS_MAX, MemorySweep
from .roles import MeterFacts
from .smu_readings import Point
from .source_limits import COMPLIANCE_MIN, SourceLimits
from .status_readings import StatusReadings
from .stress import Stress, Unheard

_COMPLIANCE_MAX = 1.05
_COMPLIANCE_DEFAULT = 1.05e-4
_DELAY_MIN, _DELAY_MAX = 1e-4, 999.9999
_RANGE_MIN, _RANGE_MAX = 0.2, 210.0
_PROTECTIONS = (20, 40, 60, 80, 100, 120, 160)
_POINT_OVERHEAD = 6e-3  # of a reading beside its conversions, with the automatic choice of a range
_TURNS_ON = ("MEAS", "CONF")


class Keithley2400Smu(GuardedInstrument, Keithley2400):
    """QCoDeS's Keithley 2400 as a source-measure unit for a crossbar: limits hold for its stock parameters too."""

    _model = "2400"
    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""
    facts = MeterFacts(
        ranges=(1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        adc_bits=17,  # 10 pA of ±1.055 µA and so on
        points_max=LEVELS_MAX,
        delay_min=_DELAY_MIN,
        relative_noise=3e-4,  # assumed: its accuracy, for the data sheet gives no noise of readings
        zero_noise=1e-9,  # assumed
    )

    _on: bool | None = False
    _compliance: float | None = None
    _volts: float | None = None
    _delay: float | None = None
    _cycle_seconds = 0.08
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

    def make_safe(self) -> None:
        """Set 0 V, switch off, reset."""
        super().make_safe()
        self._on = False
        self._applied.off()

    def _prepare(self) -> None:
        self.configure(**self._configuration)

    def _check(self, cmd: str) -> None:
        if cmd.strip().lstrip(":").upper().startswith(_TURNS_ON) or any(f";:{one}" in cmd.upper() for one in _TURNS_ON):
            raise RefusedError(f"{cmd!r} is refused: it switches the output on by itself: use on(), then measure()")
        super()._check(cmd)

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

    @alone
    def integrate(self, nplc: float) -> None:
        """Set the integration time in power line cycles, 0.01 to 10; nothing is sent when it is that already."""
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=self.name)
        if nplc != self._nplc:
            self.wire.exchange.act(f"SENS:CURR:NPLC {nplc:.6g}")
            self._nplc = nplc

    # -- limits -------------------------------------------------------------------------------------------------------

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
        self.wire.exchange.act(f"SOUR:VOLT:PROT {self._protection}{self._held_current}")

    def halve(self) -> None:
        """Hold this unit to half of a cell's voltage: another source may stand at the other half."""
        self.bounds.halve()

    def whole(self) -> AbstractContextManager[None]:
        """Let it carry all of a cell's voltage in the body: for who keeps the other end of the cell at 0 V."""
        return self.bounds.whole()

    @property
    def _protection(self) -> int:
        """The overvoltage protection that leaves the limits room and stops what is far above: 20 V at the least."""
        return next((volts for volts in _PROTECTIONS if volts >= 1.2 * self.source_volts_max), int(_RANGE_MAX))

    @property
    def _held_current(self) -> str:
        """Our own current limit where the default one is above it: an output switched on by hand would have that."""
        most = max(self.bounds.now.current_max, COMPLIANCE_MIN)
        return current_limit(most, from_lowest=True) if most < _COMPLIANCE_DEFAULT else ""

    # -- what is known of it ------------------------------------------------------------------------------------------

    @property
    def point_seconds(self) -> float:
        """Time one reading takes as configured, without delay [s]."""
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
        self.wire.exchange.act("SOUR:VOLT:MODE FIX;:SOUR:VOLT 0;:OUTP OFF")
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
        """Measure the current [A] at the present level, with the voltage measured too [V]; one message."""
        self._require_on("measure")
        return self._read("", 0.0)

    @alone
    def step(self, volts: float, *, compliance: float | None = None, dwell: float = 0.0) -> Point:
        """Change the level, wait ``dwell`` [s] and measure; one message.

        Parameters
        ----------
        volts : float [V]
        compliance : float [A]
            None keeps the limit.
        dwell : float [s]
            Time from the new level to the reading, 0 or 100 µs to 999.9999 s.
        """
        self._require_on("step")
        self._check_dwell(dwell)
        message = f"{self._level(volts, compliance)};:"
        if self._delay != dwell:
            message = f"SOUR:DEL {dwell:.6g};:{message}"
        self._applied.about(volts, on=True)
        point = self._read(message, dwell)
        self._note(volts, compliance)
        self._delay = dwell
        return point

    def _read(self, first: str, dwell: float) -> Point:
        (reading,) = self.wire.exchange.ask(f"{first}READ?", 1, expected=dwell + self.point_seconds)
        return self._readings.point(reading)

    def _level(self, volts: float, compliance: float | None) -> str:
        volts = self.bounds.now.one("source_volts", volts, channel=self.name)
        level = f"SOUR:VOLT {sent(volts, most=self.bounds.largest)}"
        if compliance is None:
            return level
        self._check_compliance(compliance)
        known = self._compliance
        lowest = known is None or not self._on
        first = current_limit(compliance, from_lowest=lowest, from_own=known is not None and compliance < known)
        return f"{first.removeprefix(';:')};:{level}"

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

    # -- sweeps -------------------------------------------------------------------------------------------------------

    @alone
    def sweep(
        self, volts: ArrayLike, *, compliance: float, dwell: float, wait: Callable[[float], None] | None = None
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Drive the output through a list of levels and measure at each; it is at 0 V and off afterwards.

        A point in compliance does not end the sweep. The list ends with a level of 0 V of its own: a host that dies
        leaves 0 V behind.

        Parameters
        ----------
        volts : array [points] [V]
            Up to 2499 levels, in any order.
        compliance : float [A]
        dwell : float [s]
            Time from each level to its reading, 0 or 100 µs to 999.9999 s; the reading's own time comes on top.
        wait : callable
            How to let seconds pass; ``clock.wait`` unless given.

        Returns
        -------
        volts, current, flags : arrays [points]
            Voltages as measured [V], currents [A] (NaN on overflow), FLAG_… bits.
        """
        levels = np.atleast_1d(self.bounds.now.check("source_volts", volts, channel=self.name))
        if levels.ndim != 1 or not 1 <= levels.size <= LEVELS_MAX:
            raise RefusedError(f"{self.name}: a sweep of shape {levels.shape}: give 1 to {LEVELS_MAX} levels in a row")
        self._check_compliance(compliance)
        self._check_dwell(dwell)
        self.bounds.now.check_points(levels, compliance, dwell + self.point_seconds, channel=f"{self.name} point ")
        try:
            sweep = MemorySweep(self.wire, self._readings, seconds=dwell + self.point_seconds)
            sweep.load(levels, current_limit(compliance, from_lowest=True), dwell, most=self.bounds.largest)
            self._applied.sweep(levels)
            sweep.run(wait or self.clock.wait)
            result = sweep.fetch()
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
