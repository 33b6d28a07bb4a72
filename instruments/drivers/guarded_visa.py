"""What the instruments of a probe station share: safe first, limits in every write, bounded exchanges, a counter."""

from __future__ import annotations

import logging
import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import fields
from typing import Any, ClassVar

from ..capabilities import Clock, Identity
from ..clock import WallClock
from ..errors import InstrumentError
from ..limits import Limits
from ..wire.command_guard import CommandGuard, Rule
from ..wire.interrupts import uninterrupted
from ..wire.reply_stream import LINK_ERRORS
from ..wire.visa import BoardVisaMixin
from ..wire.wire_text import brief, split_replies

log = logging.getLogger(__name__)

_COMPUTING_PATIENCE = 120.0


class ProbeVisaMixin(BoardVisaMixin):
    """Put before one of QCoDeS's own drivers of a bench instrument.

    The first thing an instrument hears is :meth:`make_safe`, before the shipped driver asks its first question.

    Parameters
    ----------
    name, address
        As in QCoDeS.
    limits : Limits
        Narrows the driver's own; :meth:`set_limits` narrows further.
    """

    _model: ClassVar[str] = ""
    _rules: ClassVar[tuple[Rule, ...]] = ()
    _going_idle: ClassVar[tuple[tuple[str, str], ...]] = ()
    """(word, command) of every step to the safe state."""
    _is_safe_when: ClassVar[tuple[str, str]] = ("*OPC?", "1")
    """What is asked of an instrument that was made safe, and what it answers when it is."""

    _sync_name = "*ESE?"
    _hangup_effect = "what it drives stays: switch its output off by hand"
    _identity: Identity | None = None
    _limits: Limits = Limits()
    _whole: Limits | None = None
    _clock: Clock
    _idled: bool = False
    _is_safe: bool = False
    _transactions: int = 0

    def __init__(
        self, name: str, address: str | None = None, *, limits: Limits | None = None, **kwargs: Any
    ) -> None:  # what the shipped drivers take differs
        self._clock = WallClock()
        self._guard = CommandGuard(self._rules, lambda: self._limits)
        if limits is not None:
            self._narrow(limits, name)
        try:
            super().__init__(name, address, **kwargs)
            self._prepare()
        except BaseException:
            if self._link_is_open():
                self.visa_handle.close()
            raise
        self._transactions = 0

    def _prepare(self) -> None:
        """Set the instrument up once it is safe and the shipped driver's parameters exist."""

    def _set_visa_timeout(self, timeout: float | None) -> None:
        super()._set_visa_timeout(timeout)
        # The timeout is the last thing QCoDeS sets before a shipped driver may ask its first question.
        if not self._is_safe:
            self._is_safe = True
            self.make_safe()

    # -- who it is ----------------------------------------------------------------------------------------------------

    @property
    def identity(self) -> Identity:
        """Who answered ``*IDN?``; asked once."""
        if self._identity is None:
            reply = self._query("*IDN?")
            maker, model, serial, firmware = ([part.strip() for part in reply.split(",")] + [""] * 4)[:4]
            if self._model not in model:
                raise InstrumentError(
                    f"{self.name} at {self.place} is a {model or 'nameless instrument'} of {maker}, "
                    f"not a {self._model}: check the address in the station file"
                )
            self._identity = Identity(maker, model.removeprefix("MODEL "), serial, firmware)
        return self._identity

    @property
    def simulated(self) -> bool:
        """Whether a simulator answers: its serial number begins with SIM."""
        return self.identity.serial.upper().startswith("SIM")

    def get_idn(self) -> dict[str, str | None]:
        """Return the identity as QCoDeS shows it."""
        who = self.identity
        return {"vendor": who.maker, "model": who.model, "serial": who.serial, "firmware": who.firmware}

    def connect_message(self, idn_param: str = "IDN", begin_time: float | None = None) -> None:
        """Log who answered; shipped drivers print it."""
        log.info("%s at %s is %s", self.name, self.place, self.identity)

    # -- limits and time ----------------------------------------------------------------------------------------------

    @property
    def limits(self) -> Limits:
        """What may be applied."""
        return self._limits

    def set_limits(self, limits: Limits) -> None:
        """Narrow what may be applied, here and in the instrument; wider limits are refused."""
        halved = self._whole is not None
        self._limits, self._whole = self._whole or self._limits, None
        self._narrow(limits, self.name)
        if halved:
            self.halve()
        self._apply_limits()

    def halve(self) -> None:
        """Hold this instrument to half of a cell's voltage: another one may stand at the other half."""
        whole = self._limits
        self._narrow(whole.halved(), self.name)
        self._whole, half = whole, self._limits
        self._guard = CommandGuard(self._rules, lambda: half)  # what is sent as text has no way to the whole

    @contextmanager
    def whole(self) -> Generator[None]:
        """Let it carry all of a cell's voltage in the body: for who keeps the other end of the cell at 0 V."""
        half = self._limits
        self._limits = self._whole or half
        try:
            yield
        finally:
            self._limits = half

    def _narrow(self, limits: Limits, name: str) -> None:
        narrowed = self._limits
        for field in fields(limits):
            source = limits.origins.get(field.name, f"the limits given to {name}")
            narrowed = narrowed.narrowed({field.name: getattr(limits, field.name)}, source=source)
        self._limits = narrowed
        self._guard = CommandGuard(self._rules, lambda: self._limits)

    def _apply_limits(self) -> None:
        """Tell the instrument what of the limits it can enforce itself."""

    @property
    def source_volts_max(self) -> float:
        """Largest magnitude a terminal may ever be driven to [V]."""
        most = self._whole or self._limits
        return max(most.set_volts_max, most.reset_volts_max)

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
        return self._transactions

    def simulated_seconds(self) -> float:
        """Return the simulator's clock [s]."""
        seconds = self._ask_number("SIM:CLOC?")
        self._transactions -= 1
        return seconds

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        self._act(f"SIM:CLOC:ADV {seconds!r}", expected=_COMPUTING_PATIENCE)
        self._transactions -= 1

    # -- exchanges ----------------------------------------------------------------------------------------------------

    def _send(self, data: bytes) -> None:
        super()._send(data)
        self._idled = False
        self._transactions += 1

    def _ask(self, message: str, replies: int, *, expected: float = 0.0) -> list[str]:
        """Send a message with its error query and return its ``replies``; raise what the instrument reports."""
        message += ";:SYST:ERR?"
        reply = self._query(message, expected=expected)
        # The last one carries semicolons of its own in some instruments, inside quotes.
        parts = split_replies(reply)
        if len(parts) <= replies:  # a command that fails has no reply: what is there tells why
            self._raise_reported(parts[-1], message)
        if len(parts) != replies + 1:
            raise self._garbled(message, reply)
        self._raise_reported(parts[-1], message)
        return parts[:-1]

    def _sync_query(self) -> tuple[bytes, bytes]:
        """Three numbers of our own through the event enable register, which nothing here uses."""
        numbers = [random.randint(1, 255) for _ in range(3)]
        question = ";".join(f"*ESE {number};*ESE?" for number in numbers)
        return question.encode(), ";".join(map(str, numbers)).encode()

    def resynchronise(self, seconds: float = 2.0) -> None:
        """Clear the instrument where the link can do that, then throw away replies that were still on their way."""
        self._clear_link()
        super().resynchronise(seconds)

    def _clear_link(self) -> None:
        try:
            self._port.clear()
        except LINK_ERRORS as error:
            log.debug("%s: no device clear (%s)", self.name, brief(error))

    # -- safe states --------------------------------------------------------------------------------------------------

    def make_safe(self) -> None:
        """Whatever the last user left behind: 0 V and off, then the documented defaults."""
        for _, command in self._going_idle:
            self._tell(command)
        _ = self.identity
        self._act("*CLS;*RST")
        self._forget_settings()

    def reset(self) -> None:
        """Put back the documented defaults, 0 V and off first, and the limits and settings of this driver on top."""
        self.make_safe()
        self._prepare()
        self.power_failed = False

    def idle(self, *, reconnect: bool = True) -> None:
        """Stop what runs, 0 V first, then disconnect. Safe in any state; on a dead link it logs and returns.

        Parameters
        ----------
        reconnect : bool
            Open a lost connection anew, once: what this instrument drives stays when its cable is out.
        """
        if getattr(self, "_visa_handle", None) is None:
            return  # QCoDeS strips an instrument that was closed; closing went this way
        with uninterrupted():
            if self._out_of_step:
                self._clear_link()  # before the commands: it would throw them away with the rest
            self._go_idle(self._going_idle, *self._is_safe_when, reconnect=reconnect)
            self._forget_settings()
            self._idled = True

    def _find_place(self) -> None:
        super().resynchronise()

    def restore(self) -> None:
        """Make sure that the same instrument answers and set it up as it was; 0 V and off first.

        Raises
        ------
        ConnectionLostError
            When it does not answer on a new connection either, or another one does.
        """
        if self.link_lost or not self._link_is_open():
            self._reconnect(None)
        self.reset()

    def _reconnected(self) -> None:
        self._forget_settings()

    def close(self) -> None:
        """Idle, then close the connection."""
        if getattr(self, "_visa_handle", None) is None:
            return
        if self._link_is_open() and not self._idled:
            self.idle()
        super().close()
