"""What a failed exchange means, what an instrument reports, and whether it has been without power."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import NoReturn

from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError

from ...common.errors import XbarlabError
from ..errors import ConnectionLostError, GarbledReplyError, InstrumentError, PowerLostError, ReplyLostError
from .line import LINK_ERRORS, Line
from .wire_text import GarbledError, UnansweredError, brief, shortened

ErrorEntry = tuple[int, str]

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


class Faults:
    """Turns what goes wrong on a line, and what an instrument reports, into our own errors.

    Parameters
    ----------
    line : Line
    text_of : callable
        What is left of the text of an error entry for people; some instruments write the time behind it.

    Attributes
    ----------
    query, tell : how to ask and to tell the instrument; set by the exchange.
    absorb : takes note of an entry that is no error of what was asked, and says so.
    power_failed : whether the instrument has been without power and is not set up again yet.
    """

    query: Callable[[str], str]
    tell: Callable[[str], None]

    def __init__(self, line: Line, *, text_of: Callable[[str], str] = lambda text: text) -> None:
        self._line = line
        self._text_of = text_of
        self.absorb: Callable[[ErrorEntry], bool] = lambda entry: False
        self.power_failed = False

    def _who(self) -> str:
        return f"{self._line.name} at {self._line.place}"

    # -- what is reported --------------------------------------------------------------------------------------------

    def drain(self) -> tuple[ErrorEntry, ...]:
        """Ask for errors until the queue is empty and return them, oldest first; of a very long queue the beginning."""
        entries: list[ErrorEntry] = []
        while len(entries) < _ERRORS_AT_MOST:
            entry = self.entry(self.query(self._line.errors))
            if entry[0] == 0:
                return tuple(entries)
            entries.append(entry)
        # Some keep a thousand: the rest would be taken for what the next command did.
        self.tell("*CLS")
        return tuple(entries)

    def raise_reported(self, reply: str, command: str) -> None:
        """Raise when ``reply``, the answer to an error query, is not 'no error'."""
        if reply.startswith('0,"'):
            return
        entry = self.entry(reply)
        if entry[0] != 0:
            entries = tuple(one for one in (entry, *self.drain()) if not self.absorb(one))
            if entries:
                raise self.reported(entries, command)

    def entry(self, reply: str) -> ErrorEntry:
        """Return number and text of one error entry."""
        number, comma, text = reply.partition(",")
        try:
            if not comma:
                raise ValueError(reply)
            return int(number), self._text_of(text.strip().strip('"'))
        except ValueError:
            raise self.garbled(self._line.errors, reply) from None

    def garbled(self, command: str, reply: str) -> GarbledReplyError:
        """Return the error for a reply that cannot be what was asked for; the next exchange finds its place first."""
        self._line.out_of_step = True
        return GarbledReplyError(f"{self._who()} answered {shortened(command)} with {reply[:60]!r}: {_GARBLED}")

    def reported(self, entries: tuple[ErrorEntry, ...], doing: str) -> InstrumentError:
        """Return the error for what an instrument reports of ``doing``."""
        runs = [(f"{number} {text}", len(list(equal))) for (number, text), equal in groupby(entries)]
        words = "; ".join(text if times == 1 else f"{text} (×{times})" for text, times in runs)
        said = f"{self._who()} reports {words} (after {shortened(doing)})"
        if any(number in _FORGETFUL for number, _ in entries) and self.power_was_lost():
            self.power_failed = True
            return PowerLostError(f"{said}: {_POWER_LOST}", entries)
        return InstrumentError(f"{said}: look at its front panel and at what was asked, then run it again", entries)

    # -- power -------------------------------------------------------------------------------------------------------

    def power_was_lost(self) -> bool:
        """Ask whether the instrument has been off since it was opened; asking forgets it."""
        try:
            return bool(int(float(self.query("*ESR?"))) & POWER_ON)
        except (XbarlabError, ValueError):
            return False

    def require_power(self, doing: str) -> None:
        """Raise when the instrument has been off since it was opened: nothing it was set to holds any more.

        Raises
        ------
        PowerLostError
        """
        reply = self.query("*ESR?")
        try:
            status = int(float(reply))
        except ValueError:
            raise self.garbled("*ESR?", reply) from None
        if status & POWER_ON:
            raise self.power_lost(doing)

    def power_lost(self, doing: str) -> PowerLostError:
        """Return the error for an instrument that has been off."""
        self.power_failed = True
        return PowerLostError(f"{self._who()} says *ESR? {POWER_ON} (after {doing}): {_POWER_LOST}")

    # -- when an exchange fails --------------------------------------------------------------------------------------

    def explain(self, error: BaseException, command: str) -> None:
        """Turn a failed exchange into our own errors; others pass. Called in an ``except``."""
        line = self._line
        if isinstance(error, UnansweredError):
            self._unanswered(error, command)
        line.out_of_step = True
        if isinstance(error, GarbledError):
            entries = self._recover(error, command)
            raise GarbledReplyError(
                f"{self._who()} answered {shortened(command)} with {error}: {_GARBLED}", entries
            ) from error
        if _is_timeout(error) and not line.port.half_sent:
            seconds = line.timeout
            entries = self._recover(error, command)
            own = [entry for entry in entries if entry[0] not in _OUR_SILENCE]
            if own:
                raise self.reported(tuple(own), command) from error
            late = line.late or any(number in OUR_DOING for number, _ in entries)
            what = "the reply came late" if late else "the reply was lost"
            raise ReplyLostError(
                f"{self._who()} gave no reply to {shortened(command)} within {seconds:.3g} s, though it "
                f"answers again since: {what}; check what slows the link down or cuts it, then repeat the step"
            ) from error
        if isinstance(error, LINK_ERRORS):
            self.lost(error, command)

    def _unanswered(self, error: BaseException, command: str) -> NoReturn:
        """Say why a message that was read has no reply: the error queue knows, or the reply was lost on its way."""
        entries = self.drain()
        own = [entry for entry in entries if entry[0] not in OUR_DOING]
        if own:
            raise self.reported(tuple(own), command) from error
        raise ReplyLostError(
            f"{self._who()} has read {shortened(command)} and gave no reply to it: the reply was lost; check what "
            "cuts the link, then repeat the step"
        ) from error

    def _recover(self, error: BaseException, command: str) -> tuple[ErrorEntry, ...]:
        """Find the place in the reply stream again and return what the instrument has to say."""
        self._line.relax()
        try:
            self._line.find_place()
            return self.drain()
        except ConnectionLostError:
            self.lost(error, command, f"was sent, then {self._line.binding.name}")

    def lost(self, error: BaseException, command: str, tried: str = "was sent") -> NoReturn:
        """Raise that the instrument does not answer."""
        line = self._line
        line.lost = True
        if line.port.half_sent:
            line.leave_block(error, shortened(command))
        raise ConnectionLostError(
            f"{self._who()} does not answer: {shortened(command)} {tried} ({brief(error)}); "
            "check power, cable and address, then open the bench again"
        ) from error


def _is_timeout(error: BaseException) -> bool:
    return isinstance(error, VisaIOError) and error.error_code == StatusCode.error_timeout
