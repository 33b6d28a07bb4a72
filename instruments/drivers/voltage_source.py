"""What source-measure units of one kind have alike: a level that is set and measured, limits, a sweep of a list."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import RefusedError
from ..capabilities import FloatArray
from ..limits import Limits, refuse_bad_number, scalar
from ..wire.doors import alone
from ..wire.wire_text import sent
from .applied_level import AppliedLevel
from .roles import MeterFacts
from .smu_readings import Point, Readings
from .source_limits import COMPLIANCE_MIN, SourceLimits
from .stress import Stress, Unheard

if TYPE_CHECKING:
    from ..wire.doors import GuardedInstrument

    _Seat = GuardedInstrument
else:
    _Seat = object

_COMPLIANCE_MAX = 1.05


class LevelSweep(Protocol):
    """A sweep the instrument makes by itself."""

    def load(self, levels: FloatArray, compliance: float, dwell: float, *, most: float) -> None:
        """Send the levels [V], none beyond ``most`` [V], and what is done with them."""
        ...

    def run(self, wait: Callable[[float], None]) -> None:
        """Start it and wait for its end."""
        ...

    def fetch(self) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Set 0 V and off, then return what it measured."""
        ...


class VoltageSource(_Seat):
    """Put before an instrument of ours, or before a channel of one; makes of it a unit with limits.

    The driver makes ``bounds``, ``_readings`` and ``_applied``. Commands are those of SCPI unless it says otherwise.
    """

    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""
    facts: MeterFacts
    bounds: SourceLimits

    _delays: ClassVar[tuple[float, float]]
    """Shortest and longest delay from a level to its reading [s]."""
    _delay_command: ClassVar[str]
    _read_question: ClassVar[str]
    _level_command: ClassVar[str] = "SOUR:VOLT {}"
    _on_command: ClassVar[str] = "OUTP ON"
    _off_command: ClassVar[str] = "SOUR:VOLT 0;:OUTP OFF"
    _output_question: ClassVar[str] = "OUTP?"
    _cycles_command: ClassVar[str] = "SENS:CURR:NPLC {}"
    _joint: ClassVar[str] = ";:"
    """Between two commands of one message."""
    _delays_unchanged: ClassVar[bool] = True
    """Whether it waits for the delay also where the level is what it was."""
    _overhead: ClassVar[float]
    """Time of a reading beside its conversions [s]."""

    _readings: Readings
    _applied: AppliedLevel
    _on: bool | None = False
    _compliance: float | None = None
    _volts: float | None = None
    _delay: float | None = None
    _cycle_seconds: float
    _nplc: float = 1.0
    _configuration: dict[str, Any] = {}  # noqa: RUF012 - replaced, never changed

    # -- what each has of its own -------------------------------------------------------------------------------------

    @abstractmethod
    def _apply_limits(self) -> None:
        """Tell the instrument what was narrowed."""

    @abstractmethod
    def _limit(self, compliance: float) -> str:
        """Return the command of a current limit [A]."""

    @abstractmethod
    def _sweep_of(self, seconds: float) -> LevelSweep:
        """Return a sweep of so many ``seconds`` a point."""

    # -- opening ------------------------------------------------------------------------------------------------------

    def _is_made_safe(self) -> None:
        self._forget_settings()
        self._on = False
        self._applied.off()

    @alone
    def integrate(self, nplc: float) -> None:
        """Set the integration time in power line cycles, 0.01 to 10; nothing is sent when it is that already."""
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=self.name)
        if nplc != self._nplc:
            self.wire.exchange.act(self._cycles_command.format(f"{nplc:.6g}"))
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

    @property
    def point_seconds(self) -> float:
        """Time one reading takes as configured, without delay or range changes [s]."""
        return self.reading_seconds(self._nplc)

    def reading_seconds(self, nplc: float) -> float:
        """Return the time [s] one reading would take at ``nplc`` power line cycles."""
        return nplc * self._cycle_seconds + self._overhead

    @property
    def is_on(self) -> bool:
        """Whether the output is on; asked when a command of the user's own may have changed it."""
        if self._on is None:
            self._on = self._float(self.wire.exchange.query(self._output_question), self._output_question) == 1.0
        return self._on

    def _is_idled(self) -> None:
        self._forget_settings()
        self._applied.off()

    def _heard_by_hand(self, cmd: str) -> None:
        self._applied.heard(cmd)
        self._forget_settings()

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
        self.wire.exchange.act(f"{level}{self._joint}{self._on_command}" if level else self._on_command)
        self._note(volts, compliance)
        self._on = True

    @alone
    def off(self) -> None:
        """Set 0 V, then switch the output off."""
        self.wire.exchange.act(self._off_command)
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
        """Measure the current [A] at the present level, with the voltage beside it [V]; one message."""
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
            Time from the new level to the reading: 0, or what the instrument's delay can be.
        """
        self._require_on("step")
        self._check_dwell(dwell)
        message = self._stepped(self._level(volts, compliance), dwell)
        if dwell and self._volts == volts and not self._delays_unchanged:
            self.clock.wait(dwell)
        self._applied.about(volts, on=True)
        point = self._read(f"{message}{self._joint}", dwell)
        self._note(volts, compliance)
        self._delay = dwell
        return point

    def _stepped(self, level: str, dwell: float) -> str:
        """Return the commands of a new level and ``dwell`` [s] after it."""
        return level if self._delay == dwell else f"{self._delay_command} {dwell:.6g}{self._joint}{level}"

    def _read(self, first: str, dwell: float) -> Point:
        (reading,) = self.wire.exchange.ask(f"{first}{self._read_question}", 1, expected=dwell + self.point_seconds)
        return self._readings.point(reading)

    def _level(self, volts: float, compliance: float | None) -> str:
        volts = self.bounds.now.one("source_volts", volts, channel=self.name)
        level = self._level_command.format(sent(volts, most=self.bounds.largest))
        if compliance is None:
            return level
        self._check_compliance(compliance)
        return f"{self._limit(compliance)}{self._joint}{level}"

    def _check_compliance(self, compliance: float) -> None:
        self.bounds.now.one("current", compliance, channel=self.name, unit="A")
        refuse_bad_number("compliance", compliance, COMPLIANCE_MIN, _COMPLIANCE_MAX, "A", channel=self.name)

    def _check_dwell(self, dwell: float) -> None:
        if scalar(dwell, "dwell", channel=self.name) != 0.0:
            refuse_bad_number("dwell", dwell, *self._delays, "s", channel=self.name)

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

        A point in compliance does not end the sweep.

        Parameters
        ----------
        volts : array [points] [V]
            As many levels as its ``facts`` say, in any order.
        compliance : float [A]
        dwell : float [s]
            Time from each level to its reading, as of ``step``; the reading's own time comes on top.
        wait : callable
            How to let seconds pass; ``clock.wait`` unless given.

        Returns
        -------
        volts, current, flags : arrays [points]
            Voltages beside them [V], currents [A] (NaN on overflow), FLAG_… bits.
        """
        levels = np.atleast_1d(self.bounds.now.check("source_volts", volts, channel=self.name))
        most = self.facts.points_max
        if levels.ndim != 1 or not 1 <= levels.size <= most:
            raise RefusedError(f"{self.name}: a sweep of shape {levels.shape}: give 1 to {most} levels in a row")
        self._check_compliance(compliance)
        self._check_dwell(dwell)
        self.bounds.now.check_points(levels, compliance, dwell + self.point_seconds, channel=f"{self.name} point ")
        try:
            sweep = self._sweep_of(dwell + self.point_seconds)
            sweep.load(levels, compliance, dwell, most=self.bounds.largest)
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
