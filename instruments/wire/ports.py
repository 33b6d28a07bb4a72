"""Bytes out and bytes in: through the VISA library, or straight through pyvisa-py's socket."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from pyvisa.constants import ResourceAttribute, StatusCode
from pyvisa.errors import VisaIOError

from .forked import watch_forks

if TYPE_CHECKING:
    from pyvisa.resources import MessageBasedResource

_LINE_CHUNK = 20480
_RECEIVE_CHUNK = 1 << 18
# On Windows a Ctrl-C is only seen between two waits.
_SLICE_SECONDS = 0.5
_LOOK_SECONDS = 500e-6
_SLEEPS_MAX = 256
_DRAIN_SECONDS = 1.0


class Port(Protocol):
    """What an exchange needs of a link."""

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        ...

    def read_line(self) -> bytes:
        """Read up to and with the terminator, or to the end of the message where the bus marks it."""
        ...

    def read_exactly(self, count: int) -> bytes:
        """Read ``count`` bytes, line feeds among them or not."""
        ...

    def set_timeout(self, seconds: float) -> None:
        """Bound every read from now on [s]."""
        ...

    @property
    def half_sent(self) -> bool:
        """Whether a message has left in part and the instrument waits for its rest."""
        ...

    @half_sent.setter
    def half_sent(self, half: bool) -> None: ...

    def surplus(self) -> bool:
        """Return whether bytes have arrived that nobody has read, as far as the link can tell without waiting."""
        ...

    def clear(self) -> bool:
        """Throw away what is on its way and get the instrument's parser to a new start; False if the link cannot."""
        ...


class VisaPort:
    """Any VISA resource. Uses the library below the resource object, which logs and warns at every call: 10 µs."""

    def __init__(self, handle: MessageBasedResource) -> None:
        self._handle = handle
        self.half_sent = False
        self._lines = True
        self._unread = _unread_of(handle)
        self.tells_surplus = self._unread is not None
        """Whether :meth:`surplus` can tell; USBTMC and GPIB cannot without a serial poll."""
        # A read of exactly what was asked for is no reason to warn; never left, so that no read pays for entering it.
        self._quiet = handle.visalib.ignore_warning(handle.session, StatusCode.success_max_count_read)
        self._quiet.__enter__()

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        self._handle.visalib.write(self._handle.session, data)

    def read_line(self) -> bytes:
        """Read up to and with the terminator, or to the end of the message where the bus marks it."""
        if not self._lines:
            self._set_lines(True)
        handle = self._handle
        data, status = handle.visalib.read(handle.session, _LINE_CHUNK)
        while status == StatusCode.success_max_count_read:
            more, status = handle.visalib.read(handle.session, _LINE_CHUNK)
            data += more
        return data

    def read_exactly(self, count: int) -> bytes:
        """Read ``count`` bytes, line feeds among them or not."""
        if self._lines:
            self._set_lines(False)
        handle = self._handle
        data, _ = handle.visalib.read(handle.session, count)
        while len(data) < count:
            more, _ = handle.visalib.read(handle.session, count - len(data))
            data += more
        return data

    def set_timeout(self, seconds: float) -> None:
        """Bound every read from now on [s]."""
        self._handle.timeout = 1000.0 * seconds

    def clear(self) -> bool:
        """Send a device clear; sockets and serial lines have none that reaches the other end's parser."""
        name = str(self._handle.resource_name).upper()
        if name.endswith("::SOCKET") or name.startswith("ASRL"):
            return False
        self._handle.clear()
        self.half_sent = False
        return True

    def surplus(self) -> bool:
        """Return whether bytes have arrived that nobody has read; False where the library cannot tell."""
        return self._unread is not None and self._unread() > 0

    def _set_lines(self, lines: bool) -> None:
        """Switch the termination character; it stays as it is until the other is needed."""
        self._handle.set_visa_attribute(ResourceAttribute.termchar_enabled, lines)
        self._lines = lines


def _unread_of(handle: MessageBasedResource) -> Callable[[], int] | None:
    """Return what asks the library for the number of bytes in its receive buffer; None where it has no answer."""
    library, session, attribute = handle.visalib, handle.session, ResourceAttribute.asrl_avalaible_number
    ask = getattr(library, "get_attribute", None)
    if ask is None:
        return None
    try:
        ask(session, attribute)
    except (VisaIOError, NotImplementedError):
        return None
    return lambda: int(ask(session, attribute)[0])


class Eagerness:
    """Whether to look for bytes a while before going to sleep for them.

    A process that sleeps is woken 20 to 1000 µs late (late on virtual machines whose cores sleep as well) and finds its
    caches cold, while a setting takes 30 µs. But one that looks in vain uses up its share of a busy machine:
    after each failure it sleeps at once for a while, four times as often as the time before.
    """

    def __init__(self) -> None:
        self._sleeps = 0
        self._penalty = 1

    def finds(self, link: socket.socket) -> bool:
        """Return whether ``link`` became readable while it was looked at."""
        if self._sleeps:
            self._sleeps -= 1
            return False
        until = time.perf_counter() + _LOOK_SECONDS
        links = (link,)
        while time.perf_counter() < until:
            if select.select(links, (), (), 0.0)[0]:
                self._penalty = 1
                return True
        self._sleeps = self._penalty = min(4 * self._penalty, _SLEEPS_MAX)
        return False


class SocketPort:
    """pyvisa-py's TCP socket, without what pyvisa-py puts around every call.

    It leaves Nagle's algorithm on (44 ms per set and get), sends in pieces of 4 kB, and spins until the time-out when
    the other end has closed the connection. Here the socket does not block: a socket with a time-out asks the system
    twice for every send and receive.
    """

    def __init__(self, handle: MessageBasedResource, link: socket.socket, end: bytes = b"\n") -> None:
        self._handle = handle
        self._socket = link
        self._end = end
        self._buffer = b""
        self._timeout = 5.0
        self.half_sent = False
        self._eagerness = Eagerness()
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        link.setblocking(False)

    def write(self, data: bytes) -> None:
        """Send all of ``data``."""
        _ = self._handle.session  # raises when the resource was closed
        try:
            sent = self._socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self.half_sent = self.half_sent or sent > 0
            self._write_rest(memoryview(data)[sent:])
            self.half_sent = False

    def _write_rest(self, left: memoryview) -> None:
        deadline = time.monotonic() + self._timeout
        while left:
            self._wait(deadline, for_writing=True)
            with suppress(BlockingIOError):
                left = left[self._socket.send(left) :]
                self.half_sent = bool(left)

    def read_line(self) -> bytes:
        """Read up to and with the terminator."""
        data, self._buffer = self._buffer, b""
        if not data:
            data = self._receive(_RECEIVE_CHUNK)
        start = 0
        while (end := data.find(self._end, start) + 1) == 0:
            start = len(data)
            try:
                data += self._receive(_RECEIVE_CHUNK)
            except BaseException:
                self._buffer = data
                raise
        if end < len(data):
            self._buffer = data[end:]
            return data[:end]
        return data

    def read_exactly(self, count: int) -> bytes:
        """Read ``count`` bytes, line feeds among them or not."""
        parts, have = [self._buffer], len(self._buffer)
        self._buffer = b""
        try:
            while have < count:
                part = self._receive(max(count - have, _LINE_CHUNK))
                parts.append(part)
                have += len(part)
        except BaseException:
            self._buffer = b"".join(parts)
            raise
        data = b"".join(parts)
        if have > count:
            self._buffer = data[count:]
            return data[:count]
        return data

    def drain(self) -> None:
        """Throw away what has arrived; raise when the other end has hung up, where pyvisa-py's clear never ends."""
        until = time.monotonic() + _DRAIN_SECONDS
        self._buffer = b""
        with suppress(BlockingIOError):
            while time.monotonic() < until:
                if not self._socket.recv(_RECEIVE_CHUNK):
                    raise ConnectionResetError("the other end closed the connection")

    def set_timeout(self, seconds: float) -> None:
        """Bound every wait for bytes from now on [s]."""
        self._handle.timeout = 1000.0 * seconds
        self._timeout = seconds

    def clear(self) -> bool:
        """Do nothing: a socket has no device clear, and the instrument's parser stays where it is."""
        return False

    def surplus(self) -> bool:
        """Return whether bytes have arrived that nobody has read."""
        if self._buffer:
            return True
        try:
            return bool(self._socket.recv(1, socket.MSG_PEEK))
        except (BlockingIOError, OSError):
            return False  # what became of the connection is told by the exchange that follows

    def _receive(self, count: int) -> bytes:
        """Return up to ``count`` bytes as soon as there are any."""
        deadline = time.monotonic() + self._timeout
        while True:
            if not self._eagerness.finds(self._socket):
                self._wait(deadline)
            try:
                data = self._socket.recv(count)
            except BlockingIOError:
                continue
            if not data:
                raise ConnectionResetError("the other end closed the connection")
            return data

    def _wait(self, deadline: float, *, for_writing: bool = False) -> None:
        """Sleep until the socket is ready; raise when ``deadline`` has passed."""
        readers, writers = ((), (self._socket,)) if for_writing else ((self._socket,), ())
        while not any(select.select(readers, writers, (), _SLICE_SECONDS)):
            if time.monotonic() >= deadline:
                raise VisaIOError(StatusCode.error_timeout)


def port_of(handle: MessageBasedResource, end: bytes = b"\n") -> Port:
    """Return the quickest port to an open resource; a reply ends with ``end``."""
    sessions: dict[Any, Any] = getattr(handle.visalib, "sessions", {})
    session = sessions.get(handle.session) if isinstance(sessions, dict) else None
    link = getattr(session, "interface", None)
    if type(session).__module__.startswith("pyvisa_py.") and isinstance(link, socket.socket):
        port: Port = SocketPort(handle, link, end)
    else:
        port = VisaPort(handle)
    watch_forks(port)
    return port
