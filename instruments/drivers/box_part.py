"""Several instruments in a box that have a role each: what concerns the whole box, a part leaves to the box."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

from ..limits import refuse_bad_number
from ..wire.doors import GuardedInstrument, alone
from ..wire.wire_text import sent
from .smu_readings import Point
from .source_limits import COMPLIANCE_MIN
from .voltage_source import VoltageSource

if TYPE_CHECKING:
    from ..capabilities import Clock, Identity
    from ..wire.parts import Wire
    from ..wire.safe_state import SafeStep

    _Seat = GuardedInstrument
else:
    _Seat = object


HERTZ = 50.0
"""Of the mains, where a box does not tell it: at 60 Hz readings take less than is planned."""


class BoxPart(_Seat):
    """Put before a QCoDeS ``InstrumentChannel``: connection, power and the way to the safe state are the box's."""

    wire: Wire
    _box: GuardedInstrument

    @property
    def clock(self) -> Clock:
        """The time in which it waits."""
        return self._box.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._box.clock = clock

    @property
    def place(self) -> str:
        """Its address."""
        return self._box.place

    @property
    def identity(self) -> Identity:
        """Who answered ``*IDN?``."""
        return self._box.identity

    @property
    def simulated(self) -> bool:
        """Whether a simulator answers."""
        return self._box.simulated

    @property
    def transactions(self) -> int:
        """Messages the box has been sent."""
        return self._box.transactions

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """What the last way to the safe state came to, of the whole box."""
        return self._box.ending

    @property
    def is_idle(self) -> bool:
        """Whether the box said of itself that it is safe."""
        return self._box.is_idle

    @property
    def power_failed(self) -> bool:
        """Whether it has been without power and is not set up again yet."""
        return self._box.power_failed

    def idle(self, *, reconnect: bool = True) -> None:
        """Stop what runs, then 0 V, then off: the whole box. Once is enough."""
        if not (self._box.is_idle and self.wire.safe_exit.is_fresh):
            self._box.idle(reconnect=reconnect)

    def restore(self) -> None:
        """Set the box up as it was, from the safe state."""
        self._box.restore()

    def reset(self) -> None:
        """Put back the defaults of the whole box, 0 V and off first, and limits and settings of ours on top."""
        self._box.reset()

    def require_power(self, doing: str) -> None:
        """Raise ``PowerLostError`` when it has been off since it was opened."""
        self._box.require_power(doing)

    def note_incident(self, sentence: str) -> None:
        """Keep what went wrong and was got over."""
        self._box.note_incident(sentence)

    def simulated_seconds(self) -> float:
        """Return the simulator's clock [s]."""
        return self._box.simulated_seconds()

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        self._box.advance_simulation(seconds)


class BoxSource(BoxPart, VoltageSource):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride, reportUnsafeMultipleInheritance]
    """A source-measure unit that is a part of a box: the box tells it what became of it."""

    def forget(self) -> None:
        """Forget what may be stale of what is remembered of its settings."""
        self._forget_settings()

    def made_safe(self) -> None:
        """Note that the box was made safe."""
        self._is_made_safe()

    def went_idle(self) -> None:
        """Note that the box went to its safe state."""
        self._is_idled()


class SharedCycles(Protocol):
    """What units of a box have in common: the integration time ``nplc`` [mains cycles]."""

    nplc: float


class CarryingSource(BoxSource):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride, reportUnsafeMultipleInheritance]
    """A unit of a box whose every level carries its current limit, one integration time for all: FLEX and KXCI.

    The driver makes ``_shared``, and ``_held`` [A], the limit that the next level carries.
    """

    _joint: ClassVar[str] = "\n"
    _cycle_seconds = 1.0 / HERTZ
    _compliance_max: ClassVar[float] = 0.1
    _shared: SharedCycles
    _held: float

    # -- what each has of its own -------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _before_on(self) -> str:
        """What is sent before the level that it is switched on with."""

    @property
    @abstractmethod
    def _current_question(self) -> str:
        """What asks for a current."""

    @abstractmethod
    def _current(self, reply: str, question: str) -> tuple[float, int]:
        """Return current [A] and flags of an answer."""

    @abstractmethod
    def _tell_volts(self) -> float:
        """Measure the level [V]."""

    @abstractmethod
    def force(self, volts: float, compliance: float) -> str:
        """Return what puts the unit at a level [V] with its limit [A], both checked."""

    # -- setting up ---------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Set it up as it was last, or as it is at first."""
        self.configure(**self._configuration)

    @property
    def _nplc(self) -> float:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self._shared.nplc

    @_nplc.setter
    def _nplc(self, nplc: float) -> None:  # pyright: ignore[reportIncompatibleVariableOverride]
        self._shared.nplc = nplc

    def _apply_limits(self) -> None:
        """Do nothing: there is no protection to be set, every level carries its limit."""

    def _limit(self, compliance: float) -> str:
        return sent(compliance)

    def _check_compliance(self, compliance: float) -> None:
        super()._check_compliance(compliance)
        refuse_bad_number("compliance", compliance, COMPLIANCE_MIN, self._compliance_max, "A", channel=self.name)

    # -- steady levels ------------------------------------------------------------------------------------------------

    def _level(self, volts: float, compliance: float | None) -> str:
        volts = self.bounds.now.one("source_volts", volts, channel=self.name)
        if compliance is not None:
            self._check_compliance(compliance)
            self._held = compliance
        return self.force(volts, self._held)

    @alone
    def on(self, volts: float = 0.0, *, compliance: float) -> None:
        """Switch it on with level [V] and current limit ``compliance`` [A] at once.

        Raises
        ------
        RefusedError
            Outside the limits: nothing was sent.
        """
        message = self._level(volts, compliance)
        self._applied.about(volts, on=True)
        self._on = True
        self.wire.exchange.act(f"{self._before_on}\n{message}")
        self._note(volts, compliance)

    @alone
    def step(self, volts: float, *, compliance: float | None = None, dwell: float = 0.0) -> Point:
        """Change level [V] and current limit [A], wait ``dwell`` [s] by the host's clock, and measure."""
        self._require_on("step")
        self._check_dwell(dwell)
        message = self._level(volts, compliance)
        self._applied.about(volts, on=True)
        self._volts = volts
        try:
            if dwell:
                self.wire.exchange.act(message)
                self.clock.wait(dwell)
            point = self._read("" if dwell else f"{message}\n", 0.0)
        except BaseException:
            self._volts = None
            raise
        self._note(volts, compliance)
        return point

    def _read(self, first: str, dwell: float) -> Point:
        question = self._current_question
        (reply,) = self.wire.exchange.ask(f"{first}{question}", 1, expected=dwell + self.point_seconds)
        current, flags = self._current(reply, question)
        # The level is known; at its limit, or after somebody's own command, it is not.
        volts = self._tell_volts() if flags or self._volts is None else self._volts
        return Point(volts, current, flags)


class GuardedBox(GuardedInstrument):
    """Put before a QCoDeS ``VisaInstrument`` whose parts have the roles: it tells its sources what became of it."""

    _tells_simulator_apart: ClassVar[bool] = False
    """Whether a simulator of it lets time pass without an error query, which waits behind what runs by itself."""

    @property
    @abstractmethod
    def sources(self) -> Sequence[BoxSource]:
        """Its source-measure units; none while it is opened."""

    def _is_made_safe(self) -> None:
        super()._is_made_safe()
        for unit in self.sources:
            unit.made_safe()

    def _is_idled(self) -> None:
        super()._is_idled()
        for unit in self.sources:
            unit.went_idle()

    def _forget_settings(self) -> None:
        for unit in self.sources:
            unit.forget()

    def simulated_seconds(self) -> float:
        """Return the simulator's clock [s]."""
        if not self._tells_simulator_apart:
            return super().simulated_seconds()
        with self.wire.lock:
            reply = self.wire.exchange.ask_stranger("SIM:CLOC?")
            self.wire.line.count -= 1  # no message to an instrument
        try:
            return float(reply)
        except ValueError:
            raise self.wire.faults.garbled("SIM:CLOC?", reply) from None

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        if not self._tells_simulator_apart:
            super().advance_simulation(seconds)
            return
        with self.wire.lock:
            self.wire.exchange.tell(f"SIM:CLOC:ADV {seconds!r}")
            self.wire.line.count -= 1
