"""The one class of ours under a driver: it leads QCoDeS's doors to the parts that the driver holds."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from typing import TYPE_CHECKING, ClassVar, Concatenate, ParamSpec, Protocol, TypeVar, cast

from ...common.errors import RefusedError
from ..capabilities import Clock, Identity
from ..clock import WallClock
from ..errors import InstrumentError
from .faults import ErrorEntry
from .interrupts import uninterrupted
from .parts import Wire
from .safe_state import SafeStep
from .steps import judge_ramps

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource
    from qcodes.instrument import VisaInstrument

    _Base = VisaInstrument
else:
    _Base = object

log = logging.getLogger(__name__)

_Driver = TypeVar("_Driver", bound="GuardedInstrument")
_Given = ParamSpec("_Given")
_Made = TypeVar("_Made")


def alone(
    method: Callable[Concatenate[_Driver, _Given], _Made],
) -> Callable[Concatenate[_Driver, _Given], _Made]:
    """Let one thread at a time into a method that takes several exchanges, or keeps what it has set."""

    @wraps(method)
    def locked(self: _Driver, /, *args: _Given.args, **kwargs: _Given.kwargs) -> _Made:
        with self.wire.lock:
            return method(self, *args, **kwargs)

    return locked


class Checks(Protocol):
    """Refuses messages; see :class:`~.command_guard.CommandGuard`."""

    def check(self, message: str) -> None:
        """Refuse ``message`` when it carries a value outside the limits."""
        ...


class GuardedInstrument(_Base):
    """Put before a QCoDeS ``VisaInstrument``: what it writes is checked, answered for, and bounded in time.

    The first thing an instrument hears is ``*IDN?``; another model than the driver's hears nothing else. Then it is
    made safe, before a shipped driver asks its first question. ``write`` appends an error query, so a refused command
    raises at once.

    A driver makes its ``wire`` and its ``guard`` before it calls ``super().__init__``.
    """

    default_terminator = "\n"
    default_timeout = 5.0

    _model: ClassVar[str] = ""
    """What ``*IDN?`` must name; empty where any model may answer."""

    wire: Wire
    guard: Checks | None = None
    """Refuses text that carries what is not allowed."""
    _to_defaults: ClassVar[str] = "*CLS;*RST"
    """What brings back the documented defaults, the error queue emptied before."""
    _is_safe: bool = False
    _clock: Clock
    _transactions_before: int = 0
    _rehearsing: bool = False

    def _hold(self, wire: Wire) -> None:
        """Take the parts; before anything else, for QCoDeS's ``__init__`` goes through them."""
        self.wire = wire
        self._clock = WallClock()
        wire.recovery.reconnected = self._forget_settings

    # -- what a driver says of itself --------------------------------------------------------------------------------

    def make_safe(self) -> None:
        """Whatever the last user left behind: 0 V and off, then the documented defaults."""
        for _, command in self.wire.safe_exit.steps:
            self.wire.exchange.tell(command)
        self.wire.exchange.act(self._to_defaults)
        self._is_made_safe()

    def _is_made_safe(self) -> None:
        """Note what being made safe means for what is remembered."""
        self._forget_settings()

    def _forget_settings(self) -> None:
        """Forget what may be stale of what is remembered of the instrument's settings."""

    def _heard_by_hand(self, cmd: str) -> None:
        """Called before what a user writes is sent: the driver no longer knows how the instrument is set."""
        self._forget_settings()

    # -- QCoDeS's doors: opening -------------------------------------------------------------------------------------

    def _connect_and_handle_error(self, address: str, visalib: str | None) -> MessageBasedResource:
        """Open the VISA resource, or say which address was tried and how."""
        return self.wire.connection.open(address, visalib)

    def device_clear(self) -> None:
        """Clear the link; of a socket that is what has arrived."""
        if not self.wire.connection.drained(self.visa_handle):
            super().device_clear()

    def set_terminator(self, terminator: str | None) -> None:
        """Set the terminator and take the link over; QCoDeS calls this when the resource is open."""
        super().set_terminator(terminator)
        self.wire.connection.adopt = self._adopt
        self.wire.connection.take(self.visa_handle)

    def _adopt(self, handle: MessageBasedResource) -> None:
        self._visa_handle = handle

    def _set_visa_timeout(self, timeout: float | None) -> None:
        if timeout is None or not 0.0 < timeout < 1e5:
            raise RefusedError(
                f"{self.name} timeout {timeout} s is not bounded: choose more than 0 and less than 1e5 s"
            )
        self.wire.line.set_timeout(timeout)
        # The timeout is the last thing QCoDeS sets before a shipped driver may ask its first question.
        if not self._is_safe:
            self._is_safe = True
            self._identify()
            self.make_safe()

    def _identify(self) -> None:
        """Ask who answers, and refuse another model than this driver's before anything else is sent."""
        reply = self.wire.exchange.ask_identity()
        maker, model, serial, firmware = ([part.strip() for part in reply.split(",")] + [""] * 4)[:4]
        if not self._is_ours(maker, model):
            raise InstrumentError(
                f"{self.name} at {self.place} is a {model or 'nameless instrument'} of {maker or 'nobody'}, "
                f"not {self._wanted()}: check the address in the station file"
            )
        self.wire.recovery.identity = Identity(maker, model.removeprefix("MODEL "), serial, firmware)

    def _is_ours(self, maker: str, model: str) -> bool:
        """Return whether this driver is for such an instrument."""
        return self._model in model

    def _wanted(self) -> str:
        return f"a {self._model}"

    # -- QCoDeS's doors: writing, asking, closing --------------------------------------------------------------------

    def write(self, cmd: str) -> None:
        """Write a command, checked against the limits and answered for by the error queue."""
        self.write_raw(cmd)

    def ask(self, cmd: str) -> str:
        """Write a query, checked against the limits, and return the reply."""
        return self.ask_raw(cmd)

    def write_raw(self, cmd: str) -> None:
        """Write a command that has no reply."""
        self._check(cmd)
        if "?" in cmd.partition('"')[0]:
            raise RefusedError(f"{cmd!r} asks something: use ask, or its reply is taken for the next one's")
        with self.wire.lock:
            if self._rehearsing:
                return
            self._heard_by_hand(cmd)
            self.wire.exchange.act(cmd)

    def ask_raw(self, cmd: str) -> str:
        """Write a query and return its reply."""
        self._check(cmd)
        if "?" not in cmd:
            raise RefusedError(f"{cmd!r} asks nothing: use write, or the reply is waited for in vain")
        with self.wire.lock:
            if ";" in cmd:
                self._heard_by_hand(cmd)  # a part of it may set something
            return self.wire.exchange.query(cmd)

    def _rehearse(self, doing: Callable[[], object]) -> None:
        """Do something without sending anything; what would be refused is refused."""
        with self.wire.lock:
            self._rehearsing = True
            try:
                doing()
            finally:
                self._rehearsing = False

    def _check(self, cmd: str) -> None:
        if self.guard is not None:
            self.guard.check(cmd)

    @property
    def _is_stripped(self) -> bool:
        """Whether QCoDeS has taken the instrument apart, as it does with one that is closed."""
        return getattr(self, "_visa_handle", None) is None

    def idle(self, *, reconnect: bool = True) -> None:
        """Stop what runs, 0 V first, then disconnect. Safe in any state; on a dead link it logs and returns.

        Parameters
        ----------
        reconnect : bool
            Open a lost connection anew, once: what this instrument drives stays when its cable is out.
        """
        if self._is_stripped:
            return  # closing went this way
        with uninterrupted():
            self.wire.safe_exit.go(reconnect=reconnect)
            self._is_idled()

    def _is_idled(self) -> None:
        """Note what going idle means for what is remembered."""
        self._forget_settings()

    def close(self) -> None:
        """Idle, then close the connection."""
        if self._is_stripped:
            return
        if self.wire.connection.is_open and not self.wire.safe_exit.is_fresh:
            self.idle()
        super().close()

    # -- setting it up again -----------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        """Set the instrument up once it is safe and the shipped driver's parameters exist."""

    @contextmanager
    def _opening(self) -> Generator[None]:
        """Open and set up in the body; what fails there leaves no connection behind."""
        try:
            yield
        except BaseException:
            self.wire.connection.close()
            raise
        judge_ramps(self, self._rehearse)
        self._transactions_before = self.wire.line.count

    def reset(self) -> None:
        """Put back the documented defaults, 0 V and off first, and the limits and settings of this driver on top."""
        with self.wire.lock:
            self.make_safe()
            self._prepare()
            self.wire.faults.power_failed = False

    def restore(self) -> None:
        """Make sure that the same instrument answers and set it up as it was; 0 V and off first.

        Raises
        ------
        ConnectionLostError
            When it does not answer on a new connection either, or another one does.
        """
        with self.wire.lock:
            if self.wire.recovery.is_gone:
                self.wire.recovery.reconnect(None)
            self.reset()

    # -- what a station asks of every instrument ---------------------------------------------------------------------

    @property
    def place(self) -> str:
        """The address, known also when the link is gone."""
        return self.wire.line.place

    @property
    def identity(self) -> Identity:
        """Who answered ``*IDN?`` when it was opened."""
        known = self.wire.recovery.identity
        if known is None:
            raise RefusedError(f"{self.name} has not been opened")
        return known

    @property
    def simulated(self) -> bool:
        """Whether a simulator answers: its serial number begins with SIM."""
        return self.identity.serial.upper().startswith("SIM")

    def get_idn(self) -> dict[str, str | None]:
        """Return the identity as QCoDeS shows it."""
        who = self.identity
        return {"vendor": who.maker, "model": who.model, "serial": who.serial, "firmware": who.firmware}

    def connect_message(self, idn_param: str = "IDN", begin_time: float | None = None) -> None:
        """Log who answered; shipped drivers print it, a library does not."""
        who = self.identity
        log.info("%s is %s %s (%s, %s) at %s", self.name, who.maker, who.model, who.serial, who.firmware, self.place)

    @property
    def clock(self) -> Clock:
        """The time in which this instrument waits; the bench's when it is part of one."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock

    @property
    def transactions(self) -> int:
        """Messages sent since it was opened, polls and read-backs included, the simulator's clock not."""
        return self.wire.line.count - self._transactions_before

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """What the last way to the safe state came to, step by step."""
        return self.wire.safe_exit.ending

    @property
    def is_idle(self) -> bool:
        """Whether the last way to the safe state was confirmed, step by step."""
        return self.wire.safe_exit.is_idle

    @property
    def link_lost(self) -> bool:
        """Whether the instrument stopped answering; whoever raised that has told."""
        return self.wire.line.lost

    @property
    def power_failed(self) -> bool:
        """Whether it has been without power and is not set up again yet."""
        return self.wire.faults.power_failed

    @property
    def tell_incident(self) -> Callable[[str], object] | None:
        """Who wants to know of faults that were got over."""
        return self.wire.incidents.tell

    @tell_incident.setter
    def tell_incident(self, tell: Callable[[str], object] | None) -> None:
        self.wire.incidents.tell = tell

    def note_incident(self, sentence: str) -> None:
        """Keep what went wrong and was got over."""
        self.wire.incidents.note(sentence)

    def drain_errors(self) -> tuple[ErrorEntry, ...]:
        """Ask for errors until the queue is empty and return them, oldest first."""
        return self.wire.faults.drain()

    def require_power(self, doing: str) -> None:
        """Raise ``PowerLostError`` when the instrument has been off since it was opened."""
        self.wire.faults.require_power(doing)

    def resynchronise(self) -> None:
        """Find the place in the reply stream."""
        with self.wire.lock:
            self.wire.line.find_place()

    def ask_simulation(self) -> None:
        """Take in what a simulator says of itself, and the birth id of its chip; no transaction of who uses it."""
        before = self.wire.line.count
        try:
            told: object = json.loads(bytes(self.wire.exchange.ask_block(b"SIM:INFO?", None)))
        except ValueError:
            told = None  # one that says nothing
        self._transactions_before += self.wire.line.count - before
        if isinstance(told, dict):
            record = cast("dict[str, object]", told)
            self.wire.recovery.identity = replace(self.identity, simulation=record, birth=str(record.get("birth", "")))

    def simulated_seconds(self) -> float:
        """Return the simulator's clock [s]."""
        return self.wire.exchange.simulated_seconds()

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        self.wire.exchange.advance_simulation(seconds)
