"""An open board: switching on and off, waiting for what it does, stopping it, counting what it cost."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TypeVar

from ...common.errors import XbarlabError
from ..capabilities import Clock, Cost
from ..chip.wear_ledger import WearLedger
from ..clock import SimulatedClock, WallClock
from ..errors import GarbledReplyError, InstrumentError
from ..wire.command_guard import CommandGuard
from ..wire.exchange import COMPUTING_PATIENCE
from ..wire.faults import OUR_DOING, POWER_ON, ErrorEntry
from ..wire.interrupts import uninterrupted
from ..wire.parts import Wire
from ..wire.wire_text import split_replies
from .codec import Last, decode_last
from .mount import Mount
from .settings import BoardSettings
from .watchdog import EXPIRED, Watchdog

log = logging.getLogger(__name__)

T = TypeVar("T")

_LONG_SECONDS = 0.25
# What a board plans is right within a tenth (board-protocol §8.6).
_LATE = 0.1
# A simulator over TCP computes what a board does, so its wall time is not bounded by the physics' time. After a wait on
# the clock the computing is done; a wait, or a job whose length only the board knows, may take long.
_SIMULATOR_PATIENCE = 12.5


class BoardSession:
    """What the actions of a board share; each of them is a part that holds this.

    Attributes
    ----------
    wire, exchange : how it is talked to.
    mount : what is on it. guard : refuses text beyond the limits. settings : what it was set to.
    wear : what the chip's cells have borne; a bench hands over the account of its chip.
    clock : the bench's time.
    on : whether the array is connected, as far as is known.
    restore : sets up again, after a power failure, what was set up when the board was opened.
    """

    def __init__(self, wire: Wire, mount: Mount, guard: CommandGuard, watchdog: Watchdog) -> None:
        self.wire, self.exchange = wire, wire.exchange
        self.mount, self.guard, self.watchdog = mount, guard, watchdog
        self.settings = BoardSettings(wire, mount, guard)
        self.on = False
        self.restore: Callable[[], None] = lambda: None
        self.wear = WearLedger(mount.spec.name, (mount.spec.rows, mount.spec.cols))
        self.clock: Clock = SimulatedClock(wire.exchange) if mount.can.simulated else WallClock(watchdog)
        self._transactions = self._slots = self._pulses = 0
        self._chip_seconds = 0.0
        self._running: str | None = None
        self._acting = Acting(self)
        wire.faults.absorb = self._absorbed

    @property
    def total(self) -> Cost:
        """Totals since the bench was opened.

        ``chip_seconds`` counts whole slots, overhead included: the protocol does not promise that the drivers are at
        0 V while a slot is set up, so this is the time they may have been on.
        """
        return Cost(
            transactions=self._transactions,
            slots=self._slots,
            pulses=self._pulses,
            chip_seconds=self._chip_seconds,
        )

    def count(self, transactions: int, slots: int, pulses: int, seconds: float) -> None:
        """Count what an action cost."""
        self._transactions += transactions
        self._slots += slots
        self._pulses += pulses
        self._chip_seconds += seconds

    def forget(self) -> None:
        """Forget what somebody else may have set."""
        self.settings.forget()
        self.on = False
        self.watchdog.forget()

    # -- on and off --------------------------------------------------------------------------------------------------

    def acting(self) -> Acting:
        """Switch on for the body, one thread at a time; whatever interrupts it, the board is stopped first."""
        return self._acting

    def ready(self) -> None:
        """Connect the array on the first action, and again after the watchdog may have let go of it."""
        if self.on and not self.watchdog.may_have_expired:
            return
        self.watchdog.know()
        question = "*ESR?;:OUTP ON;:SYST:ERR?"
        reply = self.exchange.query(question)
        status, separator, error = reply.partition(";")
        faults = self.wire.faults
        if not separator or not status.isdigit():
            raise faults.garbled(question, reply)
        if int(status) & POWER_ON or faults.power_failed:
            self.restore()
            self.note(f"{self._who()} had been without power: its settings were made again")
        entry = faults.entry(error)
        entries = () if entry[0] == 0 else (entry, *faults.drain())
        left = tuple(entry for entry in entries if not self._absorbed(entry))
        if left:
            raise faults.reported(left, "OUTP ON")
        self.on = True

    def _absorbed(self, entry: ErrorEntry) -> bool:
        """Take note of a watchdog that expired while nobody spoke: the next action connects the array again."""
        if entry[0] != EXPIRED or self._running is not None:
            return False
        self.on = False
        sentence = (
            f"{self._who()}: the watchdog had disconnected the array after {self.watchdog.seconds:g} s of silence; "
            "connected again with the next action"
        )
        log.warning("%s", sentence)
        self.note(sentence)
        return True

    def note(self, sentence: str) -> None:
        """Keep what went wrong and was got over."""
        self.wire.incidents.note(sentence)

    def _who(self) -> str:
        return f"{self.wire.line.name} at {self.wire.line.place}"

    # -- asking again ------------------------------------------------------------------------------------------------

    def repeated(self, harmless: Callable[[], T]) -> T:
        """Return what ``harmless`` returns; once more after a fault of the link."""
        return self.wire.recovery.repeated(harmless)

    # -- waiting and stopping ----------------------------------------------------------------------------------------

    def started(self, kind: str) -> None:
        """Note that a job runs on the board."""
        self._running = kind
        self.count(1, 0, 0, 0.0)

    def finish(self, seconds_at_most: float, *, exact: bool = True) -> Last:
        """Wait for the job that was started and return what the board says it did.

        Parameters
        ----------
        seconds_at_most : float [s]
            The host's own bound; when it is short the board is simply asked to reply when finished.
        exact : bool
            Whether the time the board plans is what it takes; else it is a bound, and waiting it out would be waste.
        """
        planned = seconds_at_most
        silent = 0.0
        if seconds_at_most > _LONG_SECONDS:
            planned = self._last(self.exchange.query("PULS:LAST?"), "PULS:LAST?").seconds_planned
            silent = planned
            if exact and planned > _LONG_SECONDS:
                self.clock.wait(planned)
                silent = _LATE * planned
        # A common command keeps the path: no colon between the two.
        question = f"{self.watchdog.announced(silent, then='')}*OPC?;:PULS:LAST?;:SYST:ERR?"
        faults = self.wire.faults

        def ask() -> tuple[Last, ErrorEntry]:
            reply = self.exchange.query(question, expected=self.patience(planned, computing=not exact))
            parts = split_replies(reply)
            if len(parts) != 3 or parts[0] != "1":
                with suppress(GarbledReplyError):
                    faults.raise_reported(parts[-1], question)  # what is refused has no reply: what is there tells why
                raise faults.garbled(question, reply)
            return self._last(parts[1], question), faults.entry(parts[2])

        # Asking what a job came to does not act: a lost answer is asked for again.
        kind = self._running
        last, error = self.repeated(ask)
        self._running = None
        self.count(0, last.slots_done, last.pulses_done, last.seconds_done)
        if error[0]:
            raise faults.reported((error, *faults.drain()), f"{kind}")
        if last.kind != kind or (exact and last.slots_done < last.slots_planned):
            raise InstrumentError(
                f"{self._who()} says it did {last.slots_done} of {last.slots_planned} slots of "
                f"{last.kind} where {kind} was started (PULS:LAST?): somebody else stopped it, its watchdog, a lost "
                "connection or its supply did; check those, then run the step again"
            )
        return last

    def patience(self, seconds: float, *, computing: bool = False) -> float:
        """Return how long what takes ``seconds`` [s] on a board may be waited for."""
        if not self.mount.spec.simulated:
            return seconds
        return seconds + (COMPUTING_PATIENCE if computing else _SIMULATOR_PATIENCE)

    def _last(self, reply: str, command: str) -> Last:
        """Read a reply to ``PULSe:LAST?``."""
        try:
            return decode_last(reply)
        except ValueError:
            raise self.wire.faults.garbled(command, reply) from None

    def abort(self) -> None:
        """Stop what runs; the array stays connected at 0 V. Logs, never raises, when the board does not answer."""
        running, self._running = self._running, None
        wire = self.wire
        level = logging.INFO if wire.line.lost else logging.WARNING  # who lost the link has told
        with uninterrupted():
            try:
                self.exchange.tell("ABOR")
                wire.line.find_place()
                if running is not None:
                    last = self._last(self.exchange.query("PULS:LAST?"), "PULS:LAST?")
                    if last.kind == running:
                        self.count(0, last.slots_done, last.pulses_done, last.seconds_done)
                for number, text in dict.fromkeys(wire.faults.drain()):
                    told = logging.INFO if number in OUR_DOING else logging.WARNING
                    log.log(told, "%s reports %d %s after an abort", wire.line.name, number, text)
            except XbarlabError as error:
                log.log(level, "abort: %s", error)
            self.forget()

    def stopped(self) -> None:
        """Note that nothing runs and the array is disconnected."""
        self.on = False
        self._running = None


class Acting:
    """``with session.acting():``, as a class because it is in the hot path."""

    __slots__ = ("_lock", "_session")

    def __init__(self, session: BoardSession) -> None:
        self._session = session
        self._lock = session.wire.lock

    def __enter__(self) -> None:
        self._lock.acquire()
        try:
            self._session.ready()
        except BaseException:
            self._lock.release()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is not None:
                self._session.abort()
        finally:
            self._lock.release()
