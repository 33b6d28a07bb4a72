"""Keithley 2450 source-measure unit: volts out, amperes in, and bipolar loops of any shape in a handful of messages.

Commands as in the Model 2450 Reference Manual (2450-901-01), section 6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from qcodes.instrument_drivers.Keithley import Keithley2450

from ...common.errors import RefusedError
from ..capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW, FloatArray
from ..errors import InstrumentError
from ..limits import refuse_bad_number
from ..wire.command_guard import Rule
from .guarded_visa import ProbeVisaMixin
from .roles import MeterFacts

LIST_CHUNK = 100
LIST_MAX = 2500
_DATA_CHUNK = 500
_COMPLIANCE_MIN, _COMPLIANCE_MAX = 1e-9, 1.05
_COMPLIANCE_DEFAULT = 1.05e-4
_DELAY_MIN, _DELAY_MAX = 50e-6, 1e4
_RANGE_MIN = 0.02
_OVERFLOW = 9.9e37
# Source status of a reading (manual, bufferVar.sourcestatuses).
_STATUS_OVER_TEMPERATURE, _STATUS_LIMIT, _STATUS_OUTPUT = 16, 32, 128
# The trigger model looks at its own state every 100 ms (manual, :TRIGger:STATe?).
_STATE_SECONDS = 0.1
_POINT_OVERHEAD = 3e-3
_ELEMENTS = "SOUR,READ,SOURSTAT"
_PROTECTIONS = (2, 5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180)

_VOLTS: tuple[str, str] = ("source_volts", "V")
_ENDS: dict[int, tuple[str, str]] = {0: _VOLTS, 1: _VOLTS}
_NO_CURRENT = "this bench sources volts and measures amperes: use on(volts, compliance=…)"
RULES = (
    Rule(":SOURce[1]:VOLTage[:LEVel][:IMMediate][:AMPLitude]", {0: _VOLTS}),
    Rule(":SOURce[1]:VOLTage:ILIMit[:LEVel]", {0: ("current", "A")}),
    Rule(":SOURce[1]:LIST:VOLTage", every=_VOLTS),
    Rule(":SOURce[1]:LIST:VOLTage:APPend", every=_VOLTS),
    Rule(":SOURce[1]:SWEep:VOLTage:LINear", _ENDS),
    Rule(":SOURce[1]:SWEep:VOLTage:LINear:STEP", _ENDS),
    Rule(":SOURce[1]:SWEep:VOLTage:LOG", _ENDS),
    Rule(":SOURce[1]:FUNCtion[:MODE]", only=("VOLTage",)),
    Rule(":SOURce[1]:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:LIST:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:SWEep:CURRent:*", refusal=_NO_CURRENT),
    Rule(":SOURce[1]:PULSe:*", refusal="a pulse may pass the limits that are checked here: use the pulse generator"),
    Rule(":SYSTem:PRESet", refusal="it puts back defaults that know nothing of the limits: use reset()"),
    Rule("[:SENSe[1]]:CURRent[:DC]:RSENse", only=("OFF", "0")),
    Rule("[:SENSe[1]]:VOLTage[:DC]:RSENse", only=("OFF", "0")),
    Rule("[:SENSe[1]]:RESistance:RSENse", only=("OFF", "0")),
    Rule(":SCRipt:*", refusal="what a script does cannot be checked: use the driver's methods"),
)


@dataclass(frozen=True, slots=True)
class Point:
    """One measurement: ``volts`` as read back [V], ``current`` [A] (NaN on overflow), ``flags`` (FLAG_… bits)."""

    volts: float
    current: float
    flags: int


class Keithley2450Smu(ProbeVisaMixin, Keithley2450):
    """QCoDeS's Keithley 2450 as a source-measure unit for a crossbar: limits hold for its stock parameters too."""

    _model = "2450"
    facts = MeterFacts(delay_min=_DELAY_MIN, points_max=LIST_MAX)
    _rules = RULES
    _going_idle = (("stop", "ABOR"), ("0 V", "SOUR:VOLT 0"), ("output off", "OUTP OFF"))
    _is_safe_when = ("OUTP?", "0")

    _on: bool | None = False
    _compliance: float | None = None
    _volts: float | None = None
    _delay: float | None = None
    _cycle_seconds: float = 0.04
    _nplc: float = 1.0
    _configuration: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed

    # -- opening ------------------------------------------------------------------------------------------------------

    def make_safe(self) -> None:
        """Set 0 V, switch off, reset; an instrument that speaks another language is refused."""
        for _, command in self._going_idle:
            self._tell(command)
        language = self._query("*LANG?")
        if language != "SCPI":
            raise InstrumentError(
                f"{self.name} at {self.place} speaks {language}: choose MENU > System > Settings > Command Set SCPI, "
                "switch it off and on, then open the bench again"
            )
        _ = self.identity
        self._act("*CLS;*RST")
        self._forget_settings()
        self._on = False

    def _has_correct_language_mode(self) -> bool:
        return True  # make_safe has asked

    def _prepare(self) -> None:
        self.configure(**self._configuration)

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
        volts = max(self.source_volts_max, _RANGE_MIN) if source_range is None else source_range
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
        self._act(
            f"ROUT:TERM {'FRON' if terminals == 'front' else 'REAR'};:FORM ASC;:SOUR:FUNC VOLT;:SOUR:VOLT:READ:BACK ON;"
            f":SOUR:VOLT:RANG {volts:.6g};:SOUR:VOLT:PROT {self._protection()}{self._held_current()};:SOUR:VOLT:DEL 0;"
            f":OUTP:SMOD {'NORM' if off_state == 'normal' else 'HIMP'}"
        )
        (hertz,) = self._ask(
            f'SENS:FUNC "CURR";:SENS:CURR:RSEN OFF;:SENS:CURR:NPLC {nplc:.6g};:SENS:CURR:{averaging};'
            f":SENS:CURR:{ranging};:SENS:CURR:{zero};:SYST:LFR?",
            1,
        )
        # A source value that is read back is a second conversion.
        self._cycle_seconds = 2 * average * (3 if autozero == "on" else 1) / self._float(hertz, "SYST:LFR?")
        self._nplc = nplc

    def integrate(self, nplc: float) -> None:
        """Set the integration time in power line cycles, 0.01 to 10; nothing is sent when it is that already."""
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=self.name)
        if nplc != self._nplc:
            self._act(f"SENS:CURR:NPLC {nplc:.6g}")
            self._nplc = nplc

    def _protection(self) -> str:
        """Return the overvoltage protection that leaves the limits room and stops what is far above."""
        wanted = 1.2 * self.source_volts_max
        return next((f"PROT{volts}" for volts in _PROTECTIONS if volts >= wanted), "NONE")

    def _held_current(self) -> str:
        """Return what sets the current limit where the instrument's default is above ours: an output switched on by
        hand would have that one."""
        most = max(self._limits.current_max, _COMPLIANCE_MIN)
        return f";:SOUR:VOLT:ILIM {most:.9g}" if most < _COMPLIANCE_DEFAULT else ""

    def _apply_limits(self) -> None:
        self._act(f"SOUR:VOLT:PROT {self._protection()}{self._held_current()}")

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
            self._on = self._query("OUTP?").lstrip("+") == "1"
        return self._on

    def _forget_settings(self) -> None:
        self._on = None
        self._compliance = self._volts = self._delay = None

    # -- steady levels ------------------------------------------------------------------------------------------------

    def on(self, volts: float = 0.0, *, compliance: float) -> None:
        """Set the current limit ``compliance`` [A], then the level [V], then switch the output on.

        Raises
        ------
        RefusedError
            Outside the limits: nothing was sent.
        """
        level = self._level(volts, compliance)
        if self._compliance == compliance:
            self._act(f"{level};:OUTP ON")
        else:
            # The limit is known to hold before anything can flow.
            self._act(level)
            self._act("OUTP ON")
        self._note(volts, compliance)
        self._on = True

    def off(self) -> None:
        """Set 0 V, then switch the output off."""
        self._act("SOUR:VOLT 0;:OUTP OFF")
        self._on, self._volts = False, 0.0

    def level(self, volts: float, *, compliance: float | None = None) -> None:
        """Change the level [V] and, when given, the current limit [A] while the output is on; one message."""
        self._require_on("level")
        self._act(self._level(volts, compliance))
        self._note(volts, compliance)

    def measure(self) -> Point:
        """Measure the current [A] at the present level, with the source value read back [V]; one message."""
        self._require_on("measure")
        (reading,) = self._ask(f'READ? "defbuffer1",{_ELEMENTS}', 1, expected=self.point_seconds)
        return self._point(reading)

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
        (reading,) = self._ask(f'{message};:READ? "defbuffer1",{_ELEMENTS}', 1, expected=dwell + self.point_seconds)
        self._note(volts, compliance)
        self._delay = dwell
        return self._point(reading)

    def _level(self, volts: float, compliance: float | None) -> str:
        volts = self._limits.one("source_volts", volts, channel=self.name)
        if compliance is None:
            return f"SOUR:VOLT {volts:.9g}"
        self._check_compliance(compliance)
        return f"SOUR:VOLT:ILIM {compliance:.9g};:SOUR:VOLT {volts:.9g}"

    def _check_compliance(self, compliance: float) -> None:
        self._limits.one("current", compliance, channel=self.name, unit="A")
        refuse_bad_number("compliance", compliance, _COMPLIANCE_MIN, _COMPLIANCE_MAX, "A", channel=self.name)

    def _check_dwell(self, dwell: float) -> None:
        if np.ndim(dwell) or dwell != 0.0:
            refuse_bad_number("dwell", dwell, _DELAY_MIN, _DELAY_MAX, "s", channel=self.name)

    def _note(self, volts: float, compliance: float | None) -> None:
        self._volts = volts
        if compliance is not None:
            self._compliance = compliance

    def _require_on(self, what: str) -> None:
        if not self.is_on:
            raise RefusedError(f"{self.name}: {what}() needs the output on: call on(volts, compliance=…) first")

    # -- sweeps -------------------------------------------------------------------------------------------------------

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
        levels = np.atleast_1d(self._limits.check("source_volts", volts, channel=self.name))
        if levels.ndim != 1 or not 1 <= levels.size <= LIST_MAX:
            raise RefusedError(f"{self.name}: a sweep of shape {levels.shape}: give 1 to {LIST_MAX} levels in a row")
        self._check_compliance(compliance)
        self._check_dwell(dwell)
        self._limits.check_points(levels, compliance, dwell + self.point_seconds, channel=f"{self.name} point ")
        try:
            self._load_list(levels, compliance, dwell)
            self._act("OUTP ON;:INIT")
            self._await_sweep(levels.size, dwell, wait or self.clock.wait)
            result = self._fetch(levels.size)
        except BaseException:
            self.idle()
            raise
        self._forget_settings()
        self._on = False
        return result

    def _load_list(self, levels: FloatArray, compliance: float, dwell: float) -> None:
        head = f'TRAC:CLE "defbuffer1";:SOUR:VOLT:ILIM {compliance:.9g};:SOUR:VOLT 0;:SOUR:VOLT:DEL 0;:SOUR:LIST:VOLT'
        for start in range(0, levels.size, LIST_CHUNK):
            values = ",".join(f"{level:.9g}" for level in levels[start : start + LIST_CHUNK])
            last = start + LIST_CHUNK >= levels.size
            tail = f';:SOUR:SWE:VOLT:LIST 1,{dwell:.6g},1,OFF,"defbuffer1"' if last else ""
            self._act(f"{head} {values}{tail}")
            head = "SOUR:LIST:VOLT:APP"

    def _await_sweep(self, count: int, dwell: float, wait: Callable[[float], None]) -> None:
        """Wait for the trigger model without blocking the instrument, as ``*WAI`` would."""
        expected = count * (dwell + self.point_seconds) + _STATE_SECONDS
        patience = 3.0 * expected + 10.0
        pause, waited = expected, 0.0
        while True:
            wait(pause)
            waited += pause
            *state, made = self._ask('TRIG:STAT?;:TRAC:ACT? "defbuffer1"', 4)
            if state[0] == "IDLE" and made == str(count):
                return
            if state[0] not in {"RUNNING", "WAITING"} or waited > patience:
                raise InstrumentError(
                    f"{self.name} at {self.place} made {made} of {count} points in {waited:.3g} s and is {state[0]}: "
                    "somebody else stopped it, or it ranges longer than expected: choose a fixed current_range"
                )
            pause = max(_STATE_SECONDS, 0.15 * waited)

    def _fetch(self, count: int) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Set 0 V and off, then return what the buffer holds."""
        fields: list[str] = []
        head = "SOUR:VOLT 0;:OUTP OFF;:"
        for start in range(1, count + 1, _DATA_CHUNK):
            end = min(start + _DATA_CHUNK - 1, count)
            question = f'{head}TRAC:DATA? {start},{end},"defbuffer1",{_ELEMENTS}'
            (reply,) = self._ask(question, 1)
            part = reply.split(",")
            if len(part) != 3 * (end - start + 1):
                raise self._garbled(question, reply)
            fields += part
            head = ""
        points = [self._point(",".join(fields[n : n + 3])) for n in range(0, 3 * count, 3)]
        return (
            np.array([point.volts for point in points]),
            np.array([point.current for point in points]),
            np.array([point.flags for point in points], np.uint8),
        )

    def _point(self, reply: str) -> Point:
        try:
            volts, current, status = (text.strip() for text in reply.split(","))
            v, i, bits = float(volts), float(current), int(status, 16) if "x" in status else int(float(status))
        except ValueError:
            raise self._garbled("READ?", reply) from None
        if bits & _STATUS_OVER_TEMPERATURE:
            raise InstrumentError(f"{self.name} at {self.place} is too hot (READ?), its output limited: let it cool")
        if not bits & _STATUS_OUTPUT:
            if self._power_was_lost():
                raise self._power_lost("READ?")
            raise InstrumentError(
                f"{self.name} at {self.place} measured with its output off (source status {bits}): "
                "somebody switched it off, or its interlock did; check both, then run the step again (READ?)"
            )
        flags = FLAG_COMPLIANCE if bits & _STATUS_LIMIT else 0
        if abs(i) >= _OVERFLOW:
            flags, i = flags | FLAG_OVERFLOW, float("nan")
        return Point(v, i, flags)

    def _float(self, reply: str, question: str) -> float:
        try:
            return float(reply)
        except ValueError:
            raise self._garbled(question, reply) from None

    def _error_entry(self, reply: str) -> tuple[int, str]:
        number, text = super()._error_entry(reply)
        return number, text.partition(";")[0]  # then come the event type and the time
