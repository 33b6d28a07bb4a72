"""Several instruments in a box that have a role each: what concerns the whole box, a part leaves to the box."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ..wire.doors import GuardedInstrument
from .voltage_source import VoltageSource

if TYPE_CHECKING:
    from ..capabilities import Clock, Identity
    from ..wire.parts import Wire
    from ..wire.safe_state import SafeStep

    _Seat = GuardedInstrument
else:
    _Seat = object


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
