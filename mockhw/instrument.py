"""What every simulated instrument has: an address, a session, a clock, and one thing it does at a time."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final, Literal, Protocol

from .faults import UNSUPPORTED, Strike, StuckHow
from .scpi.device import Hold
from .scpi.errors import ScpiError
from .scpi.session import ScpiSession
from .scpi.tree import Command
from .sim_clock import SimClock

if TYPE_CHECKING:
    from .chip.stuck_cells import LivingChip

_LOG_LENGTH: Final = 20_000


@dataclass(frozen=True, slots=True)
class BenchEvent:
    """One thing that happened on a bench."""

    time: float
    address: str
    what: str


@dataclass(slots=True)
class BenchLog:
    """What happened on a bench, oldest first; the oldest are forgotten when it grows long."""

    events: deque[BenchEvent] = field(default_factory=lambda: deque(maxlen=_LOG_LENGTH))

    def add(self, time: float, address: str, what: str) -> None:
        """Record one event at simulated time ``time`` [s]."""
        self.events.append(BenchEvent(time, address, what))

    def texts(self) -> list[str]:
        """Return what happened, without times and addresses."""
        return [event.what for event in self.events]

    def faults(self) -> list[BenchEvent]:
        """Return the scripted faults that struck: ``fault <kind> at <header>``."""
        return [event for event in self.events if event.what.startswith("fault ")]


class Action(Protocol):
    """Something that takes simulated time and can be cut short."""

    @property
    def kind(self) -> str:
        """What the instrument says it is doing."""
        ...

    @property
    def next_event(self) -> float:
        """When it does something next [s]."""
        ...

    @property
    def ends_at(self) -> float:
        """When it ended, once it has; when it is expected to end before that [s]."""
        ...

    def run_to(self, now: float) -> bool:
        """Do everything that has finished by ``now`` [s] and return whether it is over."""
        ...

    def cut(self, now: float) -> float:
        """Finish what cannot be stopped, leave the rest undone, return when that is over [s]."""
        ...


class SimulatedInstrument(ABC):
    """Base of all simulated instruments.

    Parameters
    ----------
    address : str
        VISA resource name it answers to.
    clock : SimClock
        Time of the bench.
    log : BenchLog
        Where it writes down what it did.
    """

    kind: ClassVar[str]
    one_client: ClassVar[bool] = False
    """Whether a second connection is refused while one is open."""

    def __init__(self, address: str, clock: SimClock, log: BenchLog) -> None:
        self.address = address
        self.clock = clock
        self.log = log
        self.action: Action | None = None
        self.clients = 0
        self.released: Callable[[], None] | None = None
        """Called when the last client has gone."""
        self.told_progress = False
        """Whether the message that came last was told how long what it started takes."""
        self.under_test: LivingChip | None = None
        """The chip on the bench, whose cells a scripted fault may stick."""
        self._free_at = -math.inf
        self.session = self.make_session()
        clock.watch(self._tick, self.next_event)

    # --- to be said by each instrument --------------------------------------------------------

    def make_session(self) -> ScpiSession:
        """Return its side of the conversation: SCPI, unless it speaks another language."""
        return ScpiSession(self, self.clock, self.commands(), self.reserved())

    @property
    @abstractmethod
    def identity(self) -> str:
        """The reply to ``*IDN?``."""

    @property
    def options(self) -> str:
        """The reply to ``*OPT?``: no option is installed."""
        return "0"

    @abstractmethod
    def commands(self) -> Sequence[Command]:
        """Return its command table."""

    def reserved(self) -> dict[str, ScpiError]:
        """Return header prefixes whose unknown members have an error of their own."""
        return {}

    @abstractmethod
    def reset(self) -> Hold | None:
        """Do ``*RST``."""

    def self_test(self) -> str:
        """Return the reply to ``*TST?``."""
        return "0"

    def on_done(self, action: Action, *, cut: bool) -> None:
        """React to the end of an action."""
        del action, cut

    def on_lost(self) -> None:
        """React to the loss of the last client."""
        return

    def watchdog_due(self) -> float | None:
        """Return the wall-clock time (monotonic) [s] at which a watchdog expires, None without one."""
        return None

    def check_watchdog(self) -> None:
        """Let a watchdog that is due expire."""
        return

    # --- scripted faults ----------------------------------------------------------------------

    def struck(self, strike: Strike, header: str) -> None:
        """Record a scripted fault, and suffer it where it is the instrument and not a message that it strikes."""
        fault = strike.fault
        suffered = True
        if fault.kind in ("overflow", "compliance"):
            suffered = self.disturb_reading(fault.kind)
        elif fault.kind == "offset_shift":
            suffered = self.shift_offset(fault.amps)
        elif fault.kind == "brown_out":
            self.brown_out()
        elif fault.kind == "stuck_cell":
            suffered = self._stick(fault.cell, fault.stuck, strike.luck)
        what = f"fault {fault.text} at {header}" + ("" if suffered else f": {UNSUPPORTED}")
        self.log.add(self.session.time, self.address, what)

    def disturb_reading(self, kind: Literal["overflow", "compliance"]) -> bool:
        """Let the next reading overflow or meet its current limit; return False if this instrument cannot."""
        del kind
        return False

    def shift_offset(self, amps: float) -> bool:
        """Read ``amps`` [A] too much from now on; return False if this instrument cannot."""
        del amps
        return False

    def brown_out(self) -> None:
        """Be as after power-on, without a word: what runs is cut, settings and status are those of the first minute."""
        self.abort()
        self.reset()
        self.session.status.power_on()

    def _stick(self, cell: tuple[int, int] | None, how: StuckHow, luck: float) -> bool:
        chip = self.under_test
        if chip is None:
            return False
        from .chip.stuck_cells import stick_cell

        row, col = cell if cell is not None else divmod(int(luck * chip.rows * chip.cols), chip.cols)
        stick_cell(chip, row, col, how)
        return True

    # --- what transports call -----------------------------------------------------------------

    def connect(self, *, stream: bool = True) -> bool:
        """Let a client in; return False if it has to stay out, because a stream can have one reader only."""
        if self.one_client and self.clients and stream:
            return False
        self.clients += 1
        return True

    def disconnect(self, *, lost: bool = True) -> None:
        """Let a client go; ``lost``: the transport is connection-oriented, so the instrument notices."""
        self.clients = max(0, self.clients - 1)
        if not self.clients:
            self.session.clear()
            self.session.dropped = self.session.torn = False
            if lost:
                self.on_lost()
            if self.released is not None:
                self.released()

    def receive(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> None:
        """Take bytes from a client."""
        self.session.feed(data, end=end)

    def wait_for_reply(self, deadline: float = math.inf, *, patience: float = math.inf) -> bytes | None:
        """Let simulated time pass until a reply is ready, at most until ``deadline`` [s]; None if there is none.

        Nothing is waited for when no reply can come; the caller decides what that costs. Who has others to serve may
        have ``patience`` [s] on the wall for that many events; what is waited for goes on at the next call.
        """
        session = self.session
        until = time.monotonic() + patience if patience < math.inf else math.inf
        while True:
            if session.output and (reply := session.take()) is not None:
                return reply
            event = session.next_event() if session.owes_reply else None
            if event is None or event > deadline or (until < math.inf and time.monotonic() > until):
                return None
            advance_to(self.clock, event)

    # --- actions ------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether an action is running."""
        return self.action is not None

    @property
    def free_at(self) -> float:
        """When the last action ended [s]."""
        return self._free_at

    def next_event(self) -> float | None:
        """Return when the running action does something next [s]."""
        return None if self.action is None else self.action.next_event

    def start(self, action: Action) -> None:
        """Start an action.

        Raises
        ------
        ScpiError
            -213 while another one is running.
        """
        if self.action is not None:
            raise ScpiError(-213, f"{self.action.kind} is still running")
        self.action = action

    def abort(self) -> None:
        """Cut the running action short."""
        if self.action is not None:
            self.catch_up()
        action = self.action
        if action is None:
            return
        self._free_at = action.cut(self.clock.now)
        self.action = None
        self.on_done(action, cut=True)
        self.session.idle()

    def catch_up(self) -> None:
        """Let simulated time reach wall time where that is ahead, because something is about to happen in between."""
        ahead, self.clock.ahead = self.clock.ahead, 0.0
        if ahead:
            advance_to(self.clock, self.clock.now + ahead)

    def before(self, pattern: str) -> None:
        """Prepare for a command that is no query while wall time is ahead; the header is that of the table."""
        if pattern[0] != "*" and not pattern.startswith("SIM"):
            self.catch_up()

    def settle(self, now: float) -> None:
        """Do what the running action has finished by ``now`` [s]."""
        action = self.action
        if action is not None and action.run_to(now):
            self._free_at = action.ends_at
            self.action = None
            self.on_done(action, cut=False)
            self.session.idle()

    def advance(self, seconds: float) -> None:
        """``SIMulation:CLOCk:ADVance``: what runs does its work at its own time, not at the end of the wait.

        Time that the wall clock has given while a client was told how long to wait counts as waited.
        """
        start = self.clock.lead_from
        until = (self.session.time if start is None else start) + seconds
        while self.action is not None and self.action.next_event <= until:
            advance_to(self.clock, self.action.next_event)
        if until > self.clock.now:
            advance_to(self.clock, until)

    def _tick(self, now: float) -> None:
        self.settle(now)
        # A parser that was held may start something that is over by now, too.
        while self.session.run() and self.action is not None:
            self.settle(now)


def advance_to(clock: SimClock, time: float) -> None:
    """Let simulated time pass until ``time`` [s], never stopping a rounding error short of it."""
    if time <= clock.now:
        clock.advance(0.0)
        return
    clock.advance(time - clock.now)
    if clock.now < time:
        clock.advance(math.nextafter(time, math.inf) - clock.now)
