"""Exchanges with an instrument: one message, its reply, its errors; bounded in time, one thread at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .line import LINK_ERRORS
from .wire_text import block_header, named, split_replies

if TYPE_CHECKING:
    from .faults import Faults
    from .line import Line

# A simulator over TCP computes what a bench does; how long that takes is not in the physics.
COMPUTING_PATIENCE = 120.0


class Exchange:
    """What leaves here has been checked; what comes back is the reply to it, or one of our own errors.

    Every method holds the line's lock, so that two threads never read each other's replies.
    """

    def __init__(self, line: Line, faults: Faults) -> None:
        self._line = line
        self._faults = faults
        self._lock = line.lock
        faults.query, faults.tell = self.query, self.tell

    def act(self, command: str, *, expected: float = 0.0) -> None:
        """Send a command with its error query in one message; raise what the instrument reports."""
        with self._lock:
            self._faults.raise_reported(self.query(command + self._line.and_errors, expected=expected), command)

    def query(self, command: str, *, expected: float = 0.0) -> str:
        """Send a query that takes ``expected`` [s] and return its reply."""
        with self._lock:
            line = self._line
            try:
                line.begin(expected)
                reply = line.ask(command.encode("ascii"))
            except BaseException as error:
                self._faults.explain(error, command)
                raise
            finally:
                line.relax()
        return reply.decode("latin-1")

    def ask(self, message: str, replies: int, *, expected: float = 0.0) -> list[str]:
        """Send a message with its error query and return its ``replies``; raise what the instrument reports."""
        message += self._line.and_errors
        with self._lock:
            reply = self.query(message, expected=expected)
            # The last one carries semicolons of its own in some instruments, inside quotes.
            parts = split_replies(reply)
            if len(parts) <= replies:  # a command that fails has no reply: what is there tells why
                self._faults.raise_reported(parts[-1], message)
            if len(parts) != replies + 1:
                raise self._faults.garbled(message, reply)
            self._faults.raise_reported(parts[-1], message)
        return parts[:-1]

    def ask_number(self, query: str) -> float:
        """Return the number a query is answered with."""
        return self.ask_numbers(query, 1)[0]

    def ask_numbers(self, query: str, count: int) -> list[float]:
        """Return the ``count`` numbers a query is answered with."""
        reply = self.query(query)
        try:
            numbers = [float(part) for part in reply.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != count:
            raise self._faults.garbled(query, reply)
        return numbers

    def ask_identity(self) -> str:
        """Ask ``*IDN?`` and nothing else, not even whose reply it is: nobody knows yet who listens."""
        return self.ask_stranger("*IDN?")

    def ask_stranger(self, question: str) -> str:
        """Ask one question as it is, when it is not known yet that the instrument understands any other."""
        with self._lock:
            line = self._line
            try:
                line.send(question.encode("ascii") + line.end)
                reply = line.read_reply()
            except BaseException as error:
                line.out_of_step = True
                if isinstance(error, LINK_ERRORS):
                    self._faults.lost(error, question)
                raise
        return reply.decode("latin-1")

    def write_block(self, head: bytes, payload: bytes, *, expected: float = 0.0) -> None:
        """Send ``head`` and a definite-length block in one write, with its error query; raise what is reported."""
        message = b"".join((head, block_header(len(payload)), payload, b";:SYST:ERR?"))
        with self._lock:
            line = self._line
            try:
                line.begin(expected)
                reply = line.ask(message)
            except BaseException as error:
                self._faults.explain(error, named(head))
                raise
            finally:
                line.relax()
            self._faults.raise_reported(reply.decode("latin-1"), named(head))

    def ask_block(self, message: bytes, size: int | None, *, expected: float = 0.0) -> memoryview:
        """Send a message (without its terminator) and return the payload of the block it is answered with.

        Parameters
        ----------
        size : int
            Payload expected [bytes]; None takes what the header announces.
        """
        with self._lock:
            line = self._line
            try:
                line.begin(expected)
                return line.ask_block(message, size)
            except BaseException as error:
                self._faults.explain(error, named(message))
                raise
            finally:
                line.relax()

    def tell(self, command: str) -> None:
        """Send a command without asking for errors: for aborts, when there may be replies in the way."""
        with self._lock:
            line = self._line
            try:
                if line.port.half_sent:
                    line.find_place()
                line.send(command.encode("ascii") + line.end)
            except LINK_ERRORS as error:
                self._faults.lost(error, command)

    # -- what a simulator adds, below a header that no real instrument has -------------------------------------------

    def simulated_seconds(self) -> float:
        """Return the simulator's clock [s]."""
        with self._lock:
            seconds = self.ask_number("SIM:CLOC?")
            self._line.count -= 1  # no message to an instrument
        return seconds

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        with self._lock:
            self.act(f"SIM:CLOC:ADV {seconds!r}", expected=COMPUTING_PATIENCE)
            self._line.count -= 1
