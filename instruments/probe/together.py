"""Instruments that are one array together: one action at a time, one clock, one bill, one way to the safe state."""

from __future__ import annotations

import logging
from abc import abstractmethod
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, cast

from ...common.errors import RefusedError, XbarlabError
from ..capabilities import Clock, Cost
from ..chip.wear_ledger import WearLedger
from ..clock import SimulatedClock, SimulatedLink, WallClock
from ..wire.interrupts import uninterrupted
from ..wire.locks import ActionLock
from ..wire.safe_state import SafeStep

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..drivers.roles import BenchInstrument

log = logging.getLogger(__name__)


class Together:
    """The instruments of one array.

    Parameters
    ----------
    name : str
        Of the array.
    instruments : sequence of BenchInstrument
        In the order they are made safe; the first one has the clock of a simulated bench.
    shape : (rows, cols)
        Of the chip.

    Attributes
    ----------
    all : the instruments.
    simulated : whether simulators answer.
    lock : one action at a time.
    wear : what the chip's cells have borne; a bench hands over the account of its chip.
    """

    def __init__(self, name: str, instruments: Sequence[BenchInstrument], shape: tuple[int, int]) -> None:
        self.name, self.all = name, tuple(instruments)
        told = {driver.simulated for driver in self.all}
        if len(told) > 1:
            raise RefusedError(f"{name}: some of its instruments are simulated, some are not: use one kind on a bench")
        self.simulated = told.pop()
        self.lock = ActionLock(name)
        self.wear = WearLedger(name, shape)
        self._slots = self._pulses = 0
        self._seconds = 0.0
        self.clock = SimulatedClock(cast("SimulatedLink", self.all[0])) if self.simulated else WallClock()

    @property
    def boxes(self) -> tuple[BenchInstrument, ...]:
        """Every instrument once: two channels of one box may have two of the roles."""
        return tuple({id(getattr(driver, "wire", driver)): driver for driver in reversed(self.all)}.values())[::-1]

    @property
    def clock(self) -> Clock:
        """The bench's time; the instruments wait by it too."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock
        for driver in self.all:
            driver.clock = clock

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened; ``transactions`` are the instruments' own."""
        return Cost(
            transactions=sum(driver.transactions for driver in self.boxes),
            slots=self._slots,
            pulses=self._pulses,
            chip_seconds=self._seconds,
        )

    def count(self, *, slots: int, pulses: int = 0, seconds: float) -> None:
        """Add to what the array has been asked and has borne."""
        self._slots += slots
        self._pulses += pulses
        self._seconds += seconds

    @property
    @abstractmethod
    def always(self) -> tuple[BenchInstrument, ...]:
        """What takes part in every action."""

    @abstractmethod
    def make_idle(self) -> None:
        """Make every instrument safe."""

    def acting(self, *sources: BenchInstrument) -> Acting:
        """Make everything safe whatever interrupts the body; ``sources`` act in it."""
        return Acting(self, (*sources, *self.always))

    # -- to the safe state, and back ---------------------------------------------------------------------------------

    def idle(self) -> None:
        """Put every source at 0 V and off, then open what ties them to the chip; in any state; logs what is mute."""
        with uninterrupted(), self.lock.idling():
            self.make_idle()
            self.wear.flush()

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """What the last :meth:`idle` came to, step by step, in the order the steps were taken."""
        return tuple(step for driver in self.boxes for step in getattr(driver, "ending", ()))

    def begin_again(self, fault: XbarlabError) -> None:
        """Set up every instrument anew, from the safe state, so that a read that failed can be done once more."""
        for driver in self.boxes:
            if not driver.is_idle:
                raise fault
            driver.restore()
        told = f"{fault}; everything was set up again from 0 V, and the read done once more"
        getattr(self.all[0], "note_incident", log.warning)(told)


def make_sources_idle(sources: Sequence[BenchInstrument]) -> None:
    """Put sources at 0 V and off: what answers first, so that none waits for the time-outs of another."""
    for source in sources:
        with suppress(AttributeError):  # QCoDeS strips an instrument that was closed
            source.idle(reconnect=False)
    for source in sources:
        with suppress(AttributeError):
            if not source.is_idle:
                source.idle()


class Acting:
    """Whatever interrupts the body, all sources are made safe before the exception goes on.

    In the end the ``drivers`` that act say that they had power all the time: one that had not has measured, or given,
    what nobody asked for.
    """

    __slots__ = ("_drivers", "_together")

    def __init__(self, together: Together, drivers: tuple[BenchInstrument, ...]) -> None:
        self._together, self._drivers = together, drivers

    def __enter__(self) -> None:
        for driver in self._drivers:
            if driver.power_failed:
                driver.restore()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._together.idle()
            return
        try:
            for driver in self._drivers:
                driver.require_power("an action")
        except BaseException:
            self._together.idle()
            raise
