"""The reply stream of an instrument: whose reply is whose, what is reported, and what a failed exchange means."""

from __future__ import annotations

import logging
import random
from itertools import groupby
from typing import TYPE_CHECKING, NoReturn

from pyvisa.constants import StatusCode
from pyvisa.errors import InvalidSession, VisaIOError

from ...common.errors import XbarlabError
from ..errors import ConnectionLostError, GarbledReplyError, InstrumentError, PowerLostError, ReplyLostError
from .ports import Port
from .wire_text import GarbledError, brief, shortened

if TYPE_CHECKING:
    from qcodes.instrument import VisaInstrument

    _Base = VisaInstrument
else:
    _Base = object

log = logging.getLogger(__name__)

ErrorEntry = tuple[int, str]

LINK_ERRORS = (VisaIOError, OSError, InvalidSession)
_RESYNC_SECONDS = 2.0
_ERRORS_AT_MOST = 64
# What an instrument reports because we stopped waiting and asked something else.
OUR_DOING = frozenset({-410, -420})
# The same, and the watchdog that expired while we waited.
_OUR_SILENCE = OUR_DOING | {-365}
_GARBLED = "the reply is garbled; check cable and shielding, then open the bench again"
POWER_ON = 128  # of the standard event register (IEEE 488.2, 11.5.1)
_POWER_LOST = (
    "it has been without power in the meantime and is back at its power-on settings; check its supply, then run the "
    "step again"
)
# "Trigger ignored", "settings conflict": what an instrument says that has forgotten what it was set to.
_FORGETFUL = frozenset({-211, -221})


class ReplyStreamMixin(_Base):
    """Keeps the replies in step, and turns what goes wrong into our own errors."""

    _place: str = ""
    _out_of_step: bool = False
    _late_replies: int = 0
    _stretched: bool = False
    _sync_name: str = "SYST:SYNC?"
    _hangup_effect: str = "which makes the board disconnect the array"
    link_lost: bool = False
    """Whether the instrument stopped answering; whoever raised that has told."""
    power_failed: bool = False
    """Whether it has been without power and is not set up again yet."""
    _port: Port
    _sync_number: int = 0

    def _query(self, command: str, *, expected: float = 0.0) -> str:
        raise NotImplementedError

    def _tell(self, command: str) -> None:
        raise NotImplementedError

    def _send(self, data: bytes) -> None:
        raise NotImplementedError

    def _relax(self) -> None:
        raise NotImplementedError

    @property
    def place(self) -> str:
        """The address, known also when the link is gone."""
        if not self._place:
            try:
                self._place = str(self.address)
            except (*LINK_ERRORS, AttributeError):
                return "an address that cannot be asked any more"
        return self._place

    def _link_is_open(self) -> bool:
        handle = getattr(self, "_visa_handle", None)
        try:
            return handle is not None and handle.session is not None
        except InvalidSession:
            return False

    # -- what is reported --------------------------------------------------------------------------------------------

    def drain_errors(self) -> tuple[ErrorEntry, ...]:
        """Ask for errors until the queue is empty and return them, oldest first; of a very long queue the beginning."""
        entries: list[ErrorEntry] = []
        while len(entries) < _ERRORS_AT_MOST:
            entry = self._error_entry(self._query("SYST:ERR?"))
            if entry[0] == 0:
                return tuple(entries)
            entries.append(entry)
        # Some keep a thousand: the rest would be taken for what the next command did.
        self._tell("*CLS")
        return tuple(entries)

    def _raise_reported(self, reply: str, command: str) -> None:
        """Raise when ``reply``, the answer to an error query, is not 'no error'."""
        if reply.startswith('0,"'):
            return
        entry = self._error_entry(reply)
        if entry[0] != 0:
            raise self._instrument_error((entry, *self.drain_errors()), command)

    def _error_entry(self, reply: str) -> ErrorEntry:
        number, comma, text = reply.partition(",")
        try:
            if not comma:
                raise ValueError(reply)
            return int(number), text.strip().strip('"')
        except ValueError:
            raise self._garbled("SYST:ERR?", reply) from None

    def _garbled(self, command: str, reply: str) -> GarbledReplyError:
        """Return the error for a reply that cannot be what was asked for; the next exchange finds its place first."""
        self._out_of_step = True
        return GarbledReplyError(
            f"{self.name} at {self.place} answered {shortened(command)} with {reply[:60]!r}: {_GARBLED}"
        )

    def _instrument_error(self, entries: tuple[ErrorEntry, ...], doing: str) -> InstrumentError:
        runs = [(f"{number} {text}", len(list(equal))) for (number, text), equal in groupby(entries)]
        words = "; ".join(text if times == 1 else f"{text} (×{times})" for text, times in runs)
        said = f"{self.name} at {self.place} reports {words} (after {shortened(doing)})"
        if any(number in _FORGETFUL for number, _ in entries) and self._power_was_lost():
            self.power_failed = True
            return PowerLostError(f"{said}: {_POWER_LOST}", entries)
        return InstrumentError(f"{said}: look at its front panel and at what was asked, then run it again", entries)

    # -- power -------------------------------------------------------------------------------------------------------

    def _power_was_lost(self) -> bool:
        """Ask whether the instrument has been off since it was opened; asking forgets it."""
        try:
            return bool(int(float(self._query("*ESR?"))) & POWER_ON)
        except (XbarlabError, ValueError):
            return False

    def require_power(self, doing: str) -> None:
        """Raise when the instrument has been off since it was opened: nothing it was set to holds any more.

        Raises
        ------
        PowerLostError
        """
        reply = self._query("*ESR?")
        try:
            status = int(float(reply))
        except ValueError:
            raise self._garbled("*ESR?", reply) from None
        if status & POWER_ON:
            raise self._power_lost(doing)

    def _power_lost(self, doing: str) -> PowerLostError:
        self.power_failed = True
        return PowerLostError(f"{self.name} at {self.place} says *ESR? {POWER_ON} (after {doing}): {_POWER_LOST}")

    # -- when an exchange fails --------------------------------------------------------------------------------------

    def _explain(self, error: BaseException, command: str) -> None:
        """Turn a failed exchange into our own errors; others pass. Called in an ``except``."""
        self._out_of_step = True
        if isinstance(error, GarbledError):
            entries = self._recover(error, command)
            raise GarbledReplyError(
                f"{self.name} at {self.place} answered {shortened(command)} with {error}: {_GARBLED}", entries
            ) from error
        if isinstance(error, VisaIOError) and error.error_code == StatusCode.error_timeout and not self._port.half_sent:
            seconds = self.visa_handle.timeout / 1000.0
            entries = self._recover(error, command)
            own = [entry for entry in entries if entry[0] not in _OUR_SILENCE]
            if own:
                raise self._instrument_error(tuple(own), command) from error
            late = self._late_replies or any(number in OUR_DOING for number, _ in entries)
            what = "the reply came late" if late else "the reply was lost"
            raise ReplyLostError(
                f"{self.name} at {self.place} gave no reply to {shortened(command)} within {seconds:.3g} s, though it "
                f"answers again since: {what}; check what slows the link down or cuts it, then repeat the step"
            ) from error
        if isinstance(error, LINK_ERRORS):
            self._lost(error, command)

    def _recover(self, error: BaseException, command: str) -> tuple[ErrorEntry, ...]:
        """Find the place in the reply stream again and return what the instrument has to say."""
        self._relax()
        try:
            self.resynchronise()
            return self.drain_errors()
        except ConnectionLostError:
            self._lost(error, command, f"was sent, then {self._sync_name}")

    def _lost(self, error: BaseException, command: str, tried: str = "was sent") -> NoReturn:
        self.link_lost = True
        if self._port.half_sent:
            self._leave_block(error, command)
        raise ConnectionLostError(
            f"{self.name} at {self.place} does not answer: {shortened(command)} {tried} ({brief(error)}); "
            "check power, cable and address, then open the bench again"
        ) from error

    def _leave_block(self, error: BaseException | None, command: str) -> None:
        """Get the instrument out of a block it waits for the rest of, or it would take what follows for payload."""
        if self._port.clear():
            return
        # Nothing gets through to it any more: only the end of the connection does, which makes it go OFF (§8.2).
        self.link_lost = True
        self.visa_handle.close()
        why = f" ({brief(error)})" if error is not None else ""
        raise ConnectionLostError(
            f"{self.name} at {self.place}: {shortened(command)} was cut off in the middle of its block"
            f"{why}, so the connection was closed, {self._hangup_effect}: "
            "check cable and network, then open the bench again"
        ) from error

    def _sync_query(self) -> tuple[bytes, bytes]:
        """Return a question that nobody has asked before, and how its answer ends; boards have ``SYSTem:SYNC?``."""
        self._sync_number = self._sync_number % 800_000_000 + 1 if self._sync_number else random.randint(1, 800_000_000)
        token = str(100_000_000 + self._sync_number).encode()
        return b"SYST:SYNC? " + token, token

    def resynchronise(self, seconds: float = _RESYNC_SECONDS) -> None:
        """Throw away replies until the one to a question of :meth:`_sync_query` arrives.

        Raises
        ------
        ConnectionLostError
            When it does not arrive within ``seconds`` [s] of silence.
        """
        question, token = self._sync_query()
        self._late_replies = 0
        try:
            if self._port.half_sent:
                self._leave_block(None, "a command")
            self._port.set_timeout(seconds)
            self._send(question + b"\n")
            for _ in range(100_000):
                # Some instruments write a sign before every whole number.
                line = self._port.read_line().rstrip().replace(b"+", b"")
                if line.endswith(token):
                    self._late_replies += len(line) > len(token)
                    self._out_of_step = self.link_lost = False
                    return
                self._late_replies += 1
        except LINK_ERRORS as error:
            self.link_lost = True
            raise ConnectionLostError(
                f"{self.name} at {self.place} does not answer {self._sync_name} within {seconds:g} s ({brief(error)}): "
                "check power, cable and address, then open the bench again"
            ) from error
        finally:
            self._stretched = True
            self._relax()
        raise ConnectionLostError(f"{self.name} at {self.place} sends without end: switch it off and on again")
