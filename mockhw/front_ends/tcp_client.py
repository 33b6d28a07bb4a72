"""One connection of the TCP host: what it sent in part, what it has not read yet, how patient the host still is."""

from __future__ import annotations

import hmac
import math
import selectors
import socket
import struct
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from ..instrument import SimulatedInstrument
from ..scpi.framing import MessageFramer
from ..scpi.wire_limits import HostLimits

TOKEN_HEADER: Final = b"XBAR:TOKEN "
_TOKEN_LINE_MAX: Final = 256
_TURN_SECONDS: Final = 0.5
"""So long simulated time may pass for one client before others have their turn."""
_LAST_WORDS_SECONDS: Final = 1.0


@dataclass(slots=True)
class Client:
    """A connection and its buffers.

    Attributes
    ----------
    connection : socket
    instrument : SimulatedInstrument
    framer : MessageFramer
        Where its unfinished message waits, apart from those of others.
    trusted : bool
        Whether it has shown the token, if one is wanted. Nothing it sends before that reaches the instrument.
    since : float [s]
        Wall-clock time (monotonic) since when it has to show its token, or its message is unfinished; inf: it is not.
    message_bytes : int
        What has come since.
    unsent : bytearray
        Replies the network has not taken.
    progress : float [s]
        When it took the last of them.
    held_until, held_from : float [s], int
        A scripted fault holds back what lies in ``unsent`` behind this place until then.
    held_on_the_way : bool
        Whether that has left the instrument, so that no new message interrupts it.
    """

    connection: socket.socket
    instrument: SimulatedInstrument
    framer: MessageFramer
    trusted: bool
    since: float
    message_bytes: int = 0
    unsent: bytearray = field(default_factory=bytearray)
    progress: float = 0.0
    held_until: float = -math.inf
    held_from: int = 0
    held_on_the_way: bool = False
    greeting: bytearray = field(default_factory=bytearray)
    watched: int = 0
    """The events its socket is registered for."""

    def deadline(self, limits: HostLimits) -> float:
        """Return when the host's patience ends (monotonic) [s]."""
        ends = math.inf
        if not self.trusted:
            ends = self.since + limits.token_seconds
        elif self.since < math.inf:
            ends = self.since + limits.message_seconds + self.message_bytes / limits.message_rate
        if self.unsent and self.held_until == -math.inf:
            ends = min(ends, self.progress + limits.stalled_seconds)
        return ends

    def show(self, data: bytes, token: str) -> bytes | None:
        """Take what a stranger says; return what followed the right token, None if it was a wrong one.

        While the line is not complete the client stays untrusted and what is returned is empty.
        """
        self.greeting += data
        stop = self.greeting.find(b"\n", 0, _TOKEN_LINE_MAX)
        if stop < 0:
            return b"" if len(self.greeting) < _TOKEN_LINE_MAX else None
        line, rest = bytes(self.greeting[:stop]).rstrip(b"\r"), bytes(self.greeting[stop + 1 :])
        self.greeting.clear()
        if not hmac.compare_digest(line, TOKEN_HEADER + token.encode()):
            return None
        self.trusted = True
        self.since = math.inf
        return rest

    def events(self, limits: HostLimits) -> int:
        """Return what to wait for: reading while little is unread, writing while something is."""
        reading = selectors.EVENT_READ if len(self.unsent) <= limits.unsent else 0
        ready = self.unsent and (self.held_until == -math.inf or self.held_from)
        return reading | (selectors.EVENT_WRITE if ready else 0)

    def ask(self, data: bytes) -> None:
        """Hand to the instrument what came."""
        session = self.instrument.session
        if self.held_until > -math.inf and not self.held_on_the_way:
            del self.unsent[self.held_from :]  # the query the instrument was slow over is interrupted
            self.held_until = -math.inf
            session.status.error(-410)
        own, session.reader.framer = session.reader.framer, self.framer
        try:
            self.instrument.receive(data)
        finally:
            session.reader.framer = own
        if not self.framer.pending:
            self.since = math.inf
            return
        if self.since == math.inf or (b"\n" in data and not self.framer.in_block):
            self.since, self.message_bytes = time.monotonic(), 0
        self.message_bytes += len(data)

    def pump(self, limits: HostLimits) -> bool:
        """Send what the instrument has to say, as long as it is read; return whether the client stays."""
        session = self.instrument.session
        while len(self.unsent) <= limits.unsent:
            reply = self.instrument.wait_for_reply(patience=_TURN_SECONDS)
            if reply is None:
                return not session.dropped
            if session.lag and self.held_until == -math.inf:
                self.held_until, self.held_from = time.monotonic() + session.lag, len(self.unsent)
                self.held_on_the_way = session.lag_on_the_way
            self.send(reply)
        # Who shares an instrument and reads nothing is in the way of the others.
        return self.instrument.one_client and not session.dropped

    @property
    def waits(self) -> bool:
        """Whether a reply will come if only simulated time passes."""
        session = self.instrument.session
        return self.trusted and not session.output and session.owes_reply and session.next_event() is not None

    def send(self, data: bytes) -> None:
        """Send ``data``, or as much of it as the network takes now; the rest waits."""
        if not self.unsent and self.held_until == -math.inf:
            try:
                sent = self.connection.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the reading side notices
            if sent == len(data):
                return
            data = data[sent:]
            self.progress = time.monotonic()
        self.unsent += data

    def flush(self) -> None:
        """Send what the network takes of what waits."""
        ready = self.held_from if self.held_until > -math.inf else len(self.unsent)
        try:
            with memoryview(self.unsent) as view:
                sent = self.connection.send(view[:ready]) if ready else 0
        except BlockingIOError:
            sent = 0
        except OSError:  # the reading side notices
            sent, self.held_until = len(self.unsent), -math.inf
        if sent:
            del self.unsent[:sent]
            self.progress = time.monotonic()
            self.held_from = max(0, self.held_from - sent)

    def close(self) -> None:
        """Close the connection; of one that a scripted fault drops, what was said before still arrives."""
        session = self.instrument.session
        if session.dropped:
            with suppress(OSError):
                if session.torn:  # as when the cable is pulled: what is still sent is answered by a reset
                    self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                elif self.unsent:
                    self.connection.settimeout(_LAST_WORDS_SECONDS)
                    self.connection.sendall(self.unsent)
            session.dropped = session.torn = False
        self.connection.close()
