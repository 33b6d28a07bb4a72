"""One array board on the wire: switching on and off, waiting for it, stopping it."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

from ...common.errors import RefusedError, XbarlabError
from ..capabilities import Clock, Cost
from ..clock import SimulatedClock, WallClock
from ..errors import GarbledReplyError, InstrumentError
from ..wire.exchange import COMPUTING_PATIENCE
from ..wire.interrupts import uninterrupted
from ..wire.reply_stream import OUR_DOING, POWER_ON, ErrorEntry
from ..wire.wire_text import split_replies
from .codec import Last, decode_last
from .settings import BoardSettings

log = logging.getLogger(__name__)

WATCHDOG_EXPIRED = -365
_LONG_SECONDS = 0.25
_GOING_IDLE = (("stop", "ABOR"), ("0 V", "SOUR:ZERO"), ("array disconnected", "OUTP OFF"))
_SILENCE_MAX = 1e6
# What every use of an open board looks at first.
_NEEDS_A_LINK = frozenset({"_on", "_spec", "_limits", "_clock", "_settings", "_port", "capability", "identity"})
# What a board plans is right within a tenth (board-protocol §8.6).
_LATE = 0.1
# A simulator over TCP computes what a board does, so its wall time is not bounded by the physics' time. After a wait on
# the clock the computing is done; a wait, or a job whose length only the board knows, may take long.
_SIMULATOR_PATIENCE = 12.5


class BoardLink(BoardSettings):
    """Everything about a board's actions but the actions themselves."""

    _running: str | None = None
    _idled: bool = False
    _alive_until: float = 0.0
    _transactions: int = 0
    _slots: int = 0
    _pulses: int = 0
    _chip_seconds: float = 0.0

    def _prepare(self) -> None:
        super()._prepare()
        self._clock: Clock = SimulatedClock(self) if self.capability.simulated else WallClock(self)

    @property
    def clock(self) -> Clock:
        """The bench's time."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened.

        ``chip_seconds`` counts whole slots, overhead included: the protocol does not promise that the drivers are at
        0 V while a slot is set up, so this is the time they may have been on.
        """
        return Cost(self._transactions, self._slots, self._pulses, self._chip_seconds)

    # -- acting, waiting, stopping -----------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        super()._send(data)
        self._idled = False
        if self._watchdog:
            self._alive_until = time.monotonic() + 0.9 * self._watchdog

    def _ready(self) -> None:
        """Connect the array on the first action, and again after the watchdog may have let go of it."""
        if self._on and (not self._watchdog or time.monotonic() < self._alive_until):
            return
        self._know_watchdog()
        question = "*ESR?;:OUTP ON;:SYST:ERR?"
        reply = self._query(question)
        status, separator, error = reply.partition(";")
        if not separator or not status.isdigit():
            raise self._garbled(question, reply)
        if int(status) & POWER_ON or self.power_failed:
            self._restore()
            self.note_incident(f"{self.name} at {self.place} had been without power: its settings were made again")
        entry = self._error_entry(error)
        entries = () if entry[0] == 0 else (entry, *self.drain_errors())
        expired = [entry for entry in entries if entry[0] == WATCHDOG_EXPIRED]
        if expired:
            log.warning(
                "%s: the watchdog had disconnected the array after %g s of silence; connected again",
                self.name, self._watchdog,
            )  # fmt: skip
        if len(entries) > len(expired):
            raise self._instrument_error(entries, "OUTP ON")
        self._on = True

    def _know_watchdog(self) -> None:
        if not self._watchdog_known:
            self._watchdog = self._ask_number("SYST:WATC?")
            self._watchdog_known = True

    def _acting(self) -> _Acting:
        """Switch on for the body; whatever interrupts it, the board is stopped before the exception goes on."""
        return _Acting(self)

    def _started(self, kind: str) -> None:
        """Note that a job runs on the board."""
        self._running = kind
        self._count(1, 0, 0, 0.0)

    def _finish(self, seconds_at_most: float, *, exact: bool = True) -> Last:
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
            planned = self._last(self._query("PULS:LAST?"), "PULS:LAST?").seconds_planned
            silent = planned
            if exact and planned > _LONG_SECONDS:
                self._clock.wait(planned)
                silent = _LATE * planned
        # A common command keeps the path: no colon between the two.
        question = f"{self._announced(silent, then='')}*OPC?;:PULS:LAST?;:SYST:ERR?"

        def ask() -> tuple[Last, ErrorEntry]:
            reply = self._query(question, expected=self._patience(planned, computing=not exact))
            parts = split_replies(reply)
            if len(parts) != 3 or parts[0] != "1":
                with suppress(GarbledReplyError):
                    self._raise_reported(parts[-1], question)  # what is refused has no reply: what is there tells why
                raise self._garbled(question, reply)
            return self._last(parts[1], question), self._error_entry(parts[2])

        # Asking what a job came to does not act: a lost answer is asked for again.
        kind = self._running
        last, error = self._repeated(ask)
        self._running = None
        self._count(0, last.slots_done, last.pulses_done, last.seconds_done)
        if error[0]:
            raise self._instrument_error((error, *self.drain_errors()), f"{kind}")
        if last.kind != kind or (exact and last.slots_done < last.slots_planned):
            raise InstrumentError(
                f"{self.name} at {self.place} says it did {last.slots_done} of {last.slots_planned} slots of "
                f"{last.kind} where {kind} was started (PULS:LAST?): somebody else stopped it, its watchdog, a lost "
                "connection or its supply did; check those, then run the step again"
            )
        return last

    def _patience(self, seconds: float, *, computing: bool = False) -> float:
        if not self._spec.simulated:
            return seconds
        return seconds + (COMPUTING_PATIENCE if computing else _SIMULATOR_PATIENCE)

    def _last(self, reply: str, command: str) -> Last:
        """Read a reply to ``PULSe:LAST?``."""
        try:
            return decode_last(reply)
        except ValueError:
            raise self._garbled(command, reply) from None

    def _count(self, transactions: int, slots: int, pulses: int, seconds: float) -> None:
        self._transactions += transactions
        self._slots += slots
        self._pulses += pulses
        self._chip_seconds += seconds

    def abort(self) -> None:
        """Stop what runs; the array stays connected at 0 V. Logs, never raises, when the board does not answer."""
        if getattr(self, "_visa_handle", None) is None:
            return
        running, self._running = self._running, None
        level = logging.INFO if self.link_lost else logging.WARNING  # who lost the link has told
        with uninterrupted():
            try:
                self._tell("ABOR")
                self.resynchronise()
                if running is not None:
                    last = self._last(self._query("PULS:LAST?"), "PULS:LAST?")
                    if last.kind == running:
                        self._count(0, last.slots_done, last.pulses_done, last.seconds_done)
                self._log_errors("after an abort")
            except XbarlabError as error:
                log.log(level, "abort: %s", error)
            self._forget_settings()

    def idle(self) -> None:
        """Stop what runs, 0 V first, then disconnect. Safe in any state; on a dead link it logs and returns."""
        if getattr(self, "_visa_handle", None) is None:
            return  # QCoDeS strips an instrument that was closed; closing went this way
        with uninterrupted():
            self._go_idle(_GOING_IDLE, "OUTP?", "0")
            self._on = False
            self._running = None
            self._idled = True

    def _reconnected(self) -> None:
        super()._reconnected()
        self._running = None

    def _log_errors(self, when: str) -> None:
        for number, text in dict.fromkeys(self.drain_errors()):
            level = logging.INFO if number in OUR_DOING else logging.WARNING
            log.log(level, "%s reports %d %s %s", self.name, number, text, when)

    def close(self) -> None:
        """Idle the array, then close the connection."""
        if "_closed_name" in self.__dict__:
            return
        if self._link_is_open() and not self._idled:
            self.idle()
        name, cost = self.name, self.cost
        super().close()
        # QCoDeS has stripped everything else: what was done stays known, what is asked of it now is refused.
        self._closed_name = name
        self._transactions, self._slots = cost.transactions, cost.slots
        self._pulses, self._chip_seconds = cost.pulses, cost.chip_seconds

    def __getattr__(self, key: str) -> object:
        if key in _NEEDS_A_LINK and "_closed_name" in self.__dict__:
            raise RefusedError(f"{self._closed_name} is closed: use the array inside 'with … as bench:'")
        return super().__getattr__(key)

    # -- what the clocks need ----------------------------------------------------------------------------------------

    def declare_silence(self, seconds: float) -> None:
        """Tell the board that nothing will be sent for ``seconds`` [s], when its watchdog would mind."""
        self._know_watchdog()
        announcement = self._announced(seconds, then="")
        if announcement:
            self._act(announcement.removesuffix(";"))
            self._alive_until = time.monotonic() + seconds + 0.9 * self._watchdog

    def _announced(self, seconds: float, *, then: str = ":") -> str:
        """Return what goes before a command that takes ``seconds`` [s], in the same message: a later one would end it.

        A board counts from the end of what it does, but not all boards did before that was written down, and a
        declared silence harms nobody.

        Parameters
        ----------
        then : str
            What leads back to the root of the command tree; nothing before a common command.
        """
        if not self._watchdog or seconds <= self._watchdog / 3.0:
            return ""
        return f"SYST:WATC:SUSP {min(1.05 * seconds + 1.0, _SILENCE_MAX):.9g};{then}"


class _Acting:
    """``with board._acting():``, as a class because it is in the hot path."""

    __slots__ = ("_board",)

    def __init__(self, board: BoardLink) -> None:
        self._board = board

    def __enter__(self) -> None:
        self._board._ready()  # pyright: ignore[reportPrivateUsage]

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._board.abort()
