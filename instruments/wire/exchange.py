"""Exchanges with an instrument: one message, its reply, its errors; bounded in time and in step afterwards."""

from __future__ import annotations

import logging

from .interrupts import uninterrupted
from .reply_stream import LINK_ERRORS, ReplyStreamMixin
from .wire_text import GarbledError, block_header, named, parse_header

log = logging.getLogger(__name__)

_ONE_SEND = 4096
_ERROR_QUERY = ";:SYST:ERR?"
# A simulator over TCP computes what a bench does; how long that takes is not in the physics.
COMPUTING_PATIENCE = 120.0


class ExchangeMixin(ReplyStreamMixin):
    """What leaves here has been checked; what comes back is accounted for."""

    _base_timeout: float = 5.0

    # -- exchanges; what reaches these has been checked --------------------------------------------------------------

    def _act(self, command: str, *, expected: float = 0.0) -> None:
        """Send a command with its error query in one message; raise what the instrument reports."""
        reply = self._query(command + _ERROR_QUERY, expected=expected)
        self._raise_reported(reply, command)

    def _query(self, command: str, *, expected: float = 0.0) -> str:
        """Send a query that takes ``expected`` [s] and return its reply."""
        try:
            self._begin(expected)
            self._send(command.encode("ascii") + b"\n")
            reply = self._port.read_line()
        except BaseException as error:
            self._explain(error, command)
            raise
        finally:
            self._relax()
        return reply.decode("latin-1").rstrip("\r\n")

    def _ask_number(self, query: str) -> float:
        """Return the number a query is answered with."""
        return self._ask_numbers(query, 1)[0]

    def _ask_numbers(self, query: str, count: int) -> list[float]:
        """Return the ``count`` numbers a query is answered with."""
        reply = self._query(query)
        try:
            numbers = [float(part) for part in reply.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != count:
            raise self._garbled(query, reply)
        return numbers

    def write_block_command(self, head: bytes, payload: bytes, *, expected: float = 0.0) -> None:
        """Send ``head`` and a definite-length block in one write, with its error query; raise what is reported."""
        try:
            self._begin(expected)
            self._send(b"".join((head, block_header(len(payload)), payload, b";:SYST:ERR?\n")))
            reply = self._port.read_line()
        except BaseException as error:
            self._explain(error, named(head))
            raise
        finally:
            self._relax()
        self._raise_reported(reply.decode("latin-1").rstrip("\r\n"), named(head))

    def ask_block(self, message: bytes, size: int | None, *, expected: float = 0.0) -> memoryview:
        """Send a message (without its terminator) and return the payload of the block it is answered with.

        Parameters
        ----------
        size : int
            Payload expected [bytes]; None takes what the header announces.
        """
        try:
            self._begin(expected)
            self._send(message + b"\n")
            payload = self.read_block(size)
        except BaseException as error:
            self._explain(error, named(message))
            raise
        finally:
            self._relax()
        return payload

    def read_block(self, size: int | None = None) -> memoryview:
        """Read one IEEE 488.2 definite-length block and its terminator; return the payload.

        With the termination character on, every 0x0A in the payload would end a read (pyvisa-py #102).
        """
        if size is None:
            data = self._port.read_exactly(4)
        else:
            # One read when the size is known: the shortest header a board may send, the payload and the terminator.
            header = block_header(size)
            data = self._port.read_exactly(len(header) + size + 1)
            if data.startswith(header) and data[-1] == 0x0A:
                return memoryview(data)[len(header) : -1]
        start, length = parse_header(data)
        if start > len(data):
            data += self._port.read_exactly(start - len(data))
            start, length = parse_header(data)
        if size is not None and length != size:
            raise GarbledError(f"a block of {length} bytes where {size} were expected")
        missing = start + length + 1 - len(data)
        if missing > 0:
            data += self._port.read_exactly(missing)
        if data[start + length : start + length + 1] not in {b"\n", b"\r"}:
            raise GarbledError("a block that is not followed by a line feed")
        if data[start + length] == 0x0D:
            self._port.read_line()
        return memoryview(data)[start : start + length]

    def _send(self, data: bytes) -> None:
        """The one place where bytes leave."""
        if len(data) <= _ONE_SEND:
            self._port.write(data)
            return
        with uninterrupted():
            self._port.half_sent = True
            self._port.write(data)
            self._port.half_sent = False

    def _tell(self, command: str) -> None:
        """Send a command without asking for errors: for aborts, when there may be replies in the way."""
        try:
            if self._port.half_sent:
                self.resynchronise()
            self._send(command.encode("ascii") + b"\n")
        except LINK_ERRORS as error:
            self._lost(error, command)

    def _begin(self, expected: float) -> None:
        """Find the place in the reply stream if it was lost; give what takes long its time: base + 1.2 × expected."""
        if self._out_of_step:
            self.resynchronise()
        if expected > 0.02 * self._base_timeout:
            self._port.set_timeout(self._base_timeout + 1.2 * expected)
            self._stretched = True

    def _relax(self) -> None:
        if self._stretched:
            self._stretched = False
            try:
                self._port.set_timeout(self._base_timeout)
            except LINK_ERRORS:
                log.debug("%s: the link is closed, its timeout stays", self.name)

    # -- what a simulator adds, below a header that no real instrument has -------------------------------------------

    def simulated_seconds(self) -> float:
        """Return the simulator's clock [s]."""
        return self._ask_number("SIM:CLOC?")

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        self._act(f"SIM:CLOC:ADV {seconds!r}", expected=COMPUTING_PATIENCE)
