"""Going on after a fault: what is harmless is asked once more, on a new connection where the old one is gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from ...common.errors import XbarlabError
from ..errors import ConnectionLostError, GarbledReplyError, PowerLostError, ReplyLostError
from .exchange import ExchangeMixin
from .reply_stream import LINK_ERRORS, OUR_DOING
from .safe_state import SafeStep, steps_taken

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

    from ..capabilities import Identity

log = logging.getLogger(__name__)

T = TypeVar("T")
# What instruments put around the same answer: signs, quotes, the brackets of a list of channels.
_DRESSING = str.maketrans("", "", "+()@\"' ")

FAULTS_OF_THE_LINK = (GarbledReplyError, ReplyLostError, ConnectionLostError, PowerLostError)
"""After these nobody has refused anything: what does not act may be asked once more."""


class RecoveryMixin(ExchangeMixin):
    """Repeats what is harmless, once; opens a lost connection anew, once, and makes sure who answers."""

    ending: tuple[SafeStep, ...] = ()
    """What the last way to the safe state came to, step by step."""
    tell_incident: Callable[[str], object] | None = None
    """Who wants to know of faults that were got over."""
    _opened_at: tuple[str, str | None] | None = None

    def _connect_and_handle_error(self, address: str, visalib: str | None) -> MessageBasedResource:
        raise NotImplementedError

    def _repeated(self, harmless: Callable[[], T]) -> T:
        """Return what ``harmless`` returns, and do it once more when a fault of the link came between.

        Only for reads and for settings made again from the beginning: never for what acts on the chip.
        """
        try:
            return harmless()
        except FAULTS_OF_THE_LINK as error:
            self._recover_after(error)
            self.note_incident(f"{error}; done once more")
            return harmless()

    def note_incident(self, sentence: str) -> None:
        """Keep what went wrong and was got over; nobody should have to find out from a log."""
        log.info("%s", sentence)
        if self.tell_incident is not None:
            self.tell_incident(sentence)

    def _recover_after(self, error: XbarlabError) -> None:
        """Get to where the same can be asked again, or raise why not."""
        if self.link_lost or not self._link_is_open():
            self._reconnect(error)
        if isinstance(error, PowerLostError):
            self._restore()
            return
        if self._power_was_lost():
            self._restore()

    def _reconnect(self, error: BaseException | None) -> None:
        """Open the connection anew and make sure that the same instrument answers.

        Raises
        ------
        ConnectionLostError
            When it does not answer within its time-outs; ``error`` itself when there is no way to open it anew.
        """
        if self._opened_at is None:
            raise error if error is not None else ConnectionLostError(f"{self.name} cannot be opened anew")
        address, visalib = self._opened_at
        with suppress(*LINK_ERRORS):
            self.visa_handle.close()
        self._visa_handle = self._connect_and_handle_error(address, visalib)
        self.set_terminator(self.default_terminator)
        self._port.set_timeout(self._base_timeout)
        self.link_lost = False
        self.resynchronise()
        self._same_instrument()
        self.note_incident(f"{self.name} at {self.place}: the connection was lost and is open again")
        self._reconnected()

    def _same_instrument(self) -> None:
        """Refuse to go on with another instrument at the same address."""
        known: Identity | None = self.__dict__.get("identity") or self.__dict__.get("_identity")
        if known is None:
            return
        parts = [part.strip() for part in self._query("*IDN?").split(",")]
        if parts[2:3] != [known.serial]:
            self.link_lost = True
            self.visa_handle.close()
            raise ConnectionLostError(
                f"{self.name} at {self.place} answered *IDN? with serial number {','.join(parts[2:3])!r} after the "
                f"connection was lost, and was {known.serial!r} before: check who has this address now"
            )

    # -- the way to the safe state -----------------------------------------------------------------------------------

    def _go_idle(self, steps: Sequence[tuple[str, str]], question: str, safe: str, *, reconnect: bool = True) -> None:
        """Send what makes the instrument safe and have it say so; once more, on a new connection, when it does not.

        Never raises: it records in ``ending`` and logs.

        Parameters
        ----------
        steps : (word, command), in the order they are sent.
        question, safe : what is asked afterwards, and the answer of an instrument that is safe.
        """
        words = [word for word, _ in steps]
        told_before = self.link_lost
        sent, why_not = self._try_to_idle(steps, question, safe)
        if why_not and (reconnect or not self.link_lost):
            try:
                if self.link_lost or not self._link_is_open():
                    self._reconnect(None)
                sent, why_not = self._try_to_idle(steps, question, safe)
            except XbarlabError as error:
                log.info("%s: %s", self.name, error)
        self.ending = steps_taken(self.name, words, sent, why_not)
        if why_not:
            # Who lost the link has told.
            level = logging.INFO if told_before else logging.WARNING
            log.log(level, "idle: %s; %s", why_not, self._hangup_effect)

    def _try_to_idle(self, steps: Sequence[tuple[str, str]], question: str, safe: str) -> tuple[int, str]:
        """Return how many of ``steps`` were sent, and why they cannot be relied on; empty when they can."""
        sent = 0
        try:
            for _, command in steps:
                self._tell(command)
                sent += 1
            self._find_place()
            for number, text in dict.fromkeys(self.drain_errors()):
                level = logging.INFO if number in OUR_DOING else logging.WARNING
                log.log(level, "%s reports %d %s while going idle", self.name, number, text)
            reply = self._query(question)
        except XbarlabError as error:
            return sent, str(error)
        if reply.translate(_DRESSING) != safe:
            self._out_of_step = True
            return sent, f"{self.name} at {self.place} answers {question} with {reply[:60]!r} where {safe!r} is safe"
        return sent, ""

    def _find_place(self) -> None:
        """Find the place in the reply stream again; nothing of what was sent is thrown away."""
        self.resynchronise()

    @property
    def is_idle(self) -> bool:
        """Whether the last way to the safe state was confirmed, step by step."""
        return bool(self.ending) and all(step.confirmed for step in self.ending)

    # -- what a driver knows of itself -------------------------------------------------------------------------------

    def _reconnected(self) -> None:
        """Note what a new connection means for what is remembered."""

    def _restore(self) -> None:
        """Set up again what was set up when the instrument was opened."""
