"""The instruments of a bench on TCP sockets.

One thread serves everything: the chip and the clock are shared, and one thing after another is how the same seed
gives the same numbers as in process. A reply leaves as soon as simulated time has been advanced to it, which a
waiting query does by itself.
"""

from __future__ import annotations

import selectors
import socket
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from .eagerness import Eagerness
from .instrument import SimulatedInstrument

if TYPE_CHECKING:
    from .bench import MockBench

LOOPBACK: Final = "127.0.0.1"
_CHUNK: Final = 1 << 20
_LONGEST_WAIT: Final = 0.5
# After so many messages of one client the others, the watchdogs and stop() have their turn.
_IN_A_ROW: Final = 64


class HostError(OSError):
    """A socket that cannot be opened; the message says which and why."""


@dataclass(slots=True)
class _Client:
    connection: socket.socket
    instrument: SimulatedInstrument
    unsent: bytearray = field(default_factory=bytearray)


class TcpHost:
    """Sockets in front of the instruments of a bench.

    Parameters
    ----------
    bench : MockBench
    host : str
        Address to bind to; loopback unless told otherwise.
    port : int, optional
        Port of the first instrument, the next ones follow; 0: any free port for each;
        None: the port each instrument has in its address.

    Attributes
    ----------
    addresses : dict
        VISA address in the bench file → (host, port) it is served at.
    """

    def __init__(self, bench: MockBench, host: str = LOOPBACK, port: int | None = None) -> None:
        self._bench = bench
        self._selector = selectors.DefaultSelector()
        self._clients: dict[socket.socket, _Client] = {}
        self._listeners: list[socket.socket] = []
        self._buffer = bytearray(_CHUNK)
        self._eagerness = Eagerness()
        self._view = memoryview(self._buffer)
        self._stop = threading.Event()
        self._wake, self._woken = socket.socketpair()
        self._selector.register(self._woken, selectors.EVENT_READ, None)
        self.addresses: dict[str, tuple[str, int]] = {}
        try:
            for index, (address, instrument) in enumerate(bench.instruments.items()):
                wanted = _port_of(address) if port is None else (port + index if port else 0)
                self._listen(address, instrument, host, wanted)
        except OSError:
            self.close()
            raise

    def _listen(self, address: str, instrument: SimulatedInstrument, host: str, port: int) -> None:
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listeners.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise HostError(
                f"cannot serve {address} at {host}:{port}: {error.strerror}; choose another port"
            ) from error
        listener.listen(4)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, instrument)
        self.addresses[address] = (host, listener.getsockname()[1])

    # --- the loop -----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until :meth:`stop`; then let every client go, which leaves the instruments safe."""
        try:
            while not self._stop.is_set():
                for key, mask in self._selector.select(self._patience()):
                    if isinstance(key.data, _Client):
                        if mask & selectors.EVENT_WRITE:
                            self._flush(key.data)
                        if mask & selectors.EVENT_READ:
                            self._serve(key.data)
                    elif isinstance(key.data, SimulatedInstrument):
                        self._accept(key.fileobj, key.data)  # pyright: ignore[reportArgumentType]
                for instrument in self._bench.instruments.values():
                    due = instrument.watchdog_due()
                    if due is not None and time.monotonic() > due:
                        instrument.check_watchdog()
        finally:
            for client in list(self._clients.values()):
                self._drop(client)
            self.close()

    def stop(self) -> None:
        """Make :meth:`run` return; may be called from any thread."""
        self._stop.set()
        with suppress(OSError):
            self._wake.send(b"x")

    def close(self) -> None:
        """Close every socket."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._selector.close()
        self._wake.close()
        self._woken.close()

    def _patience(self) -> float:
        """How long the selector may wait: until a watchdog expires [s]."""
        wait = _LONGEST_WAIT
        for instrument in self._bench.instruments.values():
            due = instrument.watchdog_due()
            if due is not None:
                wait = min(wait, max(0.0, due - time.monotonic()) + 1e-3)
        return wait

    def _accept(self, listener: socket.socket, instrument: SimulatedInstrument) -> None:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        if not instrument.connect():
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _CHUNK)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _CHUNK)
        client = _Client(connection, instrument)
        self._clients[connection] = client
        self._selector.register(connection, selectors.EVENT_READ, client)

    def _serve(self, client: _Client) -> None:
        """Answer what has come, and what comes right after it."""
        for _ in range(_IN_A_ROW):
            if not self._answer(client):
                self._drop(client)
                return
            if not self._eagerness.finds(client.connection):
                return

    def _answer(self, client: _Client) -> bool:
        """Take what has come and answer it; return whether the client is still there."""
        try:
            count = client.connection.recv_into(self._buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not count:
            return False
        instrument = client.instrument
        session = instrument.session
        instrument.receive(bytes(self._view[:count]))
        while not session.dropped and (reply := instrument.wait_for_reply()) is not None:
            self._send(client, reply)
        return not session.dropped

    def _send(self, client: _Client, data: bytes) -> None:
        if not client.unsent:
            try:
                sent = client.connection.send(data)
            except BlockingIOError:
                sent = 0
            except OSError:
                return  # the reading side notices
            if sent == len(data):
                return
            data = data[sent:]
            self._selector.modify(client.connection, selectors.EVENT_READ | selectors.EVENT_WRITE, client)
        client.unsent += data

    def _flush(self, client: _Client) -> None:
        try:
            sent = client.connection.send(client.unsent)
        except BlockingIOError:
            return
        except OSError:
            client.unsent.clear()
            sent = 0
        del client.unsent[:sent]
        if not client.unsent:
            self._selector.modify(client.connection, selectors.EVENT_READ, client)

    def _drop(self, client: _Client) -> None:
        with suppress(KeyError, ValueError):
            self._selector.unregister(client.connection)
        client.connection.close()
        if self._clients.pop(client.connection, None) is not None:
            client.instrument.disconnect()


def _port_of(address: str) -> int:
    """Return the port in a socket resource name.

    Raises
    ------
    HostError
        When the name has none.
    """
    parts = address.split("::")
    if len(parts) == 4 and parts[3].upper() == "SOCKET":
        return int(parts[2])
    raise HostError(f"{address} names no port; give --port (0 for any free one)")


@contextmanager
def serve(bench: MockBench, host: str = LOOPBACK, port: int | None = None) -> Generator[Mapping[str, tuple[str, int]]]:
    """Serve ``bench`` from a thread while the context lasts; yields address → (host, port)."""
    tcp = TcpHost(bench, host, port)
    thread = threading.Thread(target=tcp.run, name="xbarlab-mock-host", daemon=True)
    thread.start()
    try:
        yield tcp.addresses
    finally:
        tcp.stop()
        thread.join(10.0)


def serve_forever(
    bench: MockBench,
    host: str = LOOPBACK,
    port: int | None = None,
    *,
    ready: Callable[[Mapping[str, tuple[str, int]]], None] | None = None,
) -> None:
    """Serve ``bench`` until interrupted; ``ready`` is told the addresses once clients may come."""
    tcp = TcpHost(bench, host, port)
    if ready is not None:
        ready(tcp.addresses)
    with suppress(KeyboardInterrupt):
        tcp.run()
