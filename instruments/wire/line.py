"""The line to one instrument: messages leave by it, and what comes back is known to be their reply."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar

from pyvisa.errors import InvalidSession, VisaIOError

from ..errors import ConnectionLostError
from .binding import without_signs
from .interrupts import uninterrupted
from .wire_text import GarbledError, UnansweredError, block_header, brief, parse_header

if TYPE_CHECKING:
    from .binding import Binding
    from .ports import Port

log = logging.getLogger(__name__)

LINK_ERRORS = (VisaIOError, OSError, InvalidSession)
_RESYNC_SECONDS = 2.0
_ONE_SEND = 4096
_REPLIES_AT_MOST = 100_000
_TRIES = 20
_LF, _CR = b"\n", b"\r"
_SPACE = b"\r\n\0 "


class Line:
    """Sends messages and reads their replies; it raises what the link raises, and explains nothing.

    Parameters
    ----------
    name : str
        Of the instrument.
    binding : Binding
        How a message is told from the others.
    clears : bool
        Whether a lost place is looked for by a device clear first, where the link has one.
    sent : callable
        Told of every message as it leaves.

    Attributes
    ----------
    lock : held around an exchange, and around what must not be mixed with another thread's: one per instrument.
    out_of_step : whether replies may be on their way that nobody waits for.
    lost : whether the instrument stopped answering; whoever raised that has told.
    late : replies that were thrown away when the place was last looked for.
    count : messages that have left.
    end : what ends a message, a single byte; a reply ends with the same.
    base_timeout, timeout : of short exchanges, and the one that holds now [s].
    """

    errors: ClassVar[str] = "SYST:ERR?"
    """What asks for the oldest error."""
    and_errors: ClassVar[str] = ";:SYST:ERR?"
    """The same behind a command, in one message with it."""

    def __init__(
        self,
        name: str,
        *,
        binding: Binding,
        clears: bool = False,
        hangup_effect: str,
        sent: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self.binding = binding
        self.hangup_effect = hangup_effect
        self.lock = threading.RLock()
        self.end = _LF
        self.out_of_step = self.lost = False
        self.late = self.count = 0
        self.base_timeout = self.timeout = 5.0
        self.port: Port
        self.note: Callable[[str], object] = log.info
        """Who wants to know of a reply too many."""
        self.close: Callable[[], None] = lambda: None
        """Ends the connection, when nothing else gets through."""
        self.ask_place: Callable[[], str] = lambda: ""
        self._place = ""
        self._clears = clears
        self._sent = sent
        self._stretched = False

    @property
    def place(self) -> str:
        """The address, known also when the link is gone."""
        if not self._place:
            try:
                self._place = self.ask_place()
            except (*LINK_ERRORS, AttributeError):
                return "an address that cannot be asked any more"
        return self._place

    # -- time --------------------------------------------------------------------------------------------------------

    def begin(self, expected: float) -> None:
        """Find the place if it was lost, or a reply too many is there; give what takes long its time."""
        if self.out_of_step:
            self.find_place()
        if self.port.surplus():
            self._note_surplus()
            self._look_again()
        if expected > 0.02 * self.base_timeout:
            self._bound(self.base_timeout + 1.2 * expected)
            self._stretched = True

    def _look_again(self) -> None:
        """Find the place until nothing is left unread: the answer that shows it may come twice, too."""
        for _ in range(_TRIES):
            self.find_place()
            if not self.port.surplus():
                return

    def relax(self) -> None:
        """Put the time-out back."""
        if self._stretched:
            self._stretched = False
            try:
                self._bound(self.base_timeout)
            except LINK_ERRORS:
                log.debug("%s: the link is closed, its timeout stays", self.name)

    def set_timeout(self, seconds: float) -> None:
        """Bound every read from now on [s]."""
        self.base_timeout = seconds
        self._bound(seconds)

    def _bound(self, seconds: float) -> None:
        self.timeout = seconds
        self.port.set_timeout(seconds)

    # -- out ---------------------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """The one place where bytes leave."""
        if len(data) <= _ONE_SEND:
            self.port.write(data)
        else:
            with uninterrupted():
                self.port.half_sent = True
                self.port.write(data)
                self.port.half_sent = False
        self.count += 1
        if self._sent is not None:
            self._sent()

    def ask(self, command: bytes) -> bytes:
        """Send a message that has text replies and return them, joined as they came."""
        message, token = self.binding.lead(command)
        self.send(message + self.end)
        return self.read_reply(token)

    def ask_block(self, command: bytes, size: int | None) -> memoryview:
        """Send a message that is answered with one block and return its payload."""
        message, token = self.binding.lead(command)
        self.send(message + self.end)
        return self.read_block(size, token)

    # -- in ----------------------------------------------------------------------------------------------------------

    def read_reply(self, token: bytes = b"") -> bytes:
        """Read the text replies to the message of ``token``, without terminator."""
        line = self.port.read_line()
        if token:
            line = self._past(line, token)
        return line.rstrip(_SPACE)

    def read_block(self, size: int | None = None, token: bytes = b"") -> memoryview:
        """Read one IEEE 488.2 definite-length block and its terminator; return the payload.

        With the termination character on, every 0x0A in the payload would end a read (pyvisa-py #102).

        Parameters
        ----------
        size : int
            Payload expected [bytes]; None takes what the header announces.
        """
        data = b""
        if token:
            lead = self.port.read_exactly(len(token) + 1)
            if lead[:-1] != token or lead[-1:] != b";":
                rest = b"" if lead[-1:] == _LF else self.port.read_line()
                data = self._past(lead + rest, token)
        if data:
            pass  # found behind a reply too many: the beginning of the block, to its first line feed
        elif size is None:
            data = self.port.read_exactly(4)
        else:
            # One read when the size is known: the shortest header a board may send, the payload and the terminator.
            header = block_header(size)
            data = self.port.read_exactly(len(header) + size + 1)
            if data.startswith(header) and data[-1] == 0x0A:
                return memoryview(data)[len(header) : -1]
        return self._rest_of_block(data, size)

    def _rest_of_block(self, data: bytes, size: int | None) -> memoryview:
        start, length = parse_header(data)
        if start > len(data):
            data += self.port.read_exactly(start - len(data))
            start, length = parse_header(data)
        if size is not None and length != size:
            raise GarbledError(f"a block of {length} bytes where {size} were expected")
        missing = start + length + 1 - len(data)
        if missing > 0:
            data += self.port.read_exactly(missing)
        if data[start + length : start + length + 1] not in {_LF, _CR}:
            raise GarbledError("a block that is not followed by a line feed")
        if data[start + length] == 0x0D:
            self.port.read_line()
        return memoryview(data)[start : start + length]

    def _past(self, line: bytes, token: bytes) -> bytes:
        """Return what follows ``token`` in its reply; a reply to an earlier question in front of it is thrown away."""
        surplus = False
        for _ in range(_REPLIES_AT_MOST):
            head, semicolon, rest = line.partition(b";")
            answer = without_signs(head).strip()
            if answer == token:
                if surplus:
                    self._note_surplus()
                if not semicolon:
                    raise UnansweredError
                return rest
            # Of a reply that is thrown away, a block may hold anything: what its lines begin with says nothing.
            if not surplus and not self.binding.earlier(answer):
                break
            surplus = True
            line = self.port.read_line()
        raise GarbledError(repr(line[:60]))

    def _note_surplus(self) -> None:
        self.note(f"{self.name} at {self.place} sent a reply that nobody waited for any more: it was thrown away")

    # -- the place in the reply stream -------------------------------------------------------------------------------

    def find_place(self, seconds: float = _RESYNC_SECONDS, *, clear: bool = True) -> None:
        """Throw away replies until the one to a question of its own arrives.

        Parameters
        ----------
        seconds : float [s]
            Of silence that are waited for it.
        clear : bool
            Whether the link may be cleared, which throws away what was sent last with the rest.

        Raises
        ------
        ConnectionLostError
            When it does not arrive.
        """
        if clear:
            self.clear()
        question, token = self.binding.question()
        self.late = 0
        try:
            if self.port.half_sent:
                self.leave_block(None, "a command")
            self._bound(seconds)
            self.send(question + self.end)
            for _ in range(_REPLIES_AT_MOST):
                line = without_signs(self.port.read_line().rstrip(_SPACE))
                if line.endswith(token):
                    self.late += len(line) > len(token)
                    self.out_of_step = self.lost = False
                    return
                self.late += 1
        except LINK_ERRORS as error:
            self.lost = True
            raise ConnectionLostError(
                f"{self.name} at {self.place} does not answer {self.binding.name} within {seconds:g} s "
                f"({brief(error)}): check power, cable and address, then open the bench again"
            ) from error
        finally:
            self._stretched = True
            self.relax()
        raise ConnectionLostError(f"{self.name} at {self.place} sends without end: switch it off and on again")

    def clear(self) -> None:
        """Clear the instrument, of those that are to be cleared and where the link can."""
        if self._clears:
            try:
                self.port.clear()
            except LINK_ERRORS as error:
                log.debug("%s: no device clear (%s)", self.name, brief(error))

    def leave_block(self, error: BaseException | None, command: str) -> None:
        """Get the instrument out of a block it waits for the rest of, or it would take what follows for payload."""
        if self.port.clear():
            return
        # Nothing gets through to it any more: only the end of the connection does.
        self.lost = True
        self.close()
        why = f" ({brief(error)})" if error is not None else ""
        raise ConnectionLostError(
            f"{self.name} at {self.place}: {command} was cut off in the middle of its block"
            f"{why}, so the connection was closed, {self.hangup_effect}: "
            "check cable and network, then open the bench again"
        ) from error
