"""The instruments of a bench on TCP sockets.

One thread serves everything: the chip and the clock are shared, and one thing after another is how the same seed
gives the same numbers as in process. A reply leaves as soon as simulated time has been advanced to it, which a
waiting query does by itself; for clients that only poll, wall time moves what runs (:mod:`.wall_time`).

Clients are not trusted: how many there are, how much each may leave unread or unfinished, and for how long, is bounded
(:class:`~.wire_limits.HostLimits`), and a host that others can reach wants a token before anything else.
"""

from __future__ import annotations

import logging
import math
import select
import selectors
import socket
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager, suppress
from typing import Final

from ..bench.bench import MockBench
from ..instrument import SimulatedInstrument
from ..scpi.wire_limits import HOST_LIMITS, HostLimits
from .eagerness import Eagerness
from .tcp_address import LOOPBACK, HostError, check_token, is_loopback, port_of
from .tcp_client import Client
from .wall_time import WallTime
from .warm_up import warm_up_boards

log = logging.getLogger(__name__)

__all__ = ["LOOPBACK", "HostError", "TcpHost", "is_loopback", "serve", "serve_forever"]

_CHUNK: Final = 1 << 18
_SOCKET_BUFFER: Final = 1 << 20
_BACKLOG: Final = 128
_LONGEST_WAIT: Final = 0.5
# A process out of file handles cannot accept; the knocking would keep it from everything else.
_OUT_OF_HANDLES_SECONDS: Final = 0.01
# After so many messages of one client the others, the watchdogs and stop() have their turn.
_IN_A_ROW: Final = 64


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
    token : str, optional
        What every client has to say first, as a line ``XBAR:TOKEN <token>``; not answered, and without it the
        connection is closed. Needed where ``host`` is more than this computer.
    limits : HostLimits
    rate : float
        Simulated seconds that a second on the wall moves what runs; 0: clients that only poll see nothing move.

    Attributes
    ----------
    addresses : dict
        VISA address in the bench file → (host, port) it is served at.
    """

    def __init__(
        self,
        bench: MockBench,
        host: str = LOOPBACK,
        port: int | None = None,
        *,
        token: str | None = None,
        limits: HostLimits = HOST_LIMITS,
        rate: float = 1.0,
    ) -> None:
        check_token(token, host)
        warm_up_boards(bench)  # listens when it can answer, not before
        self._bench = bench
        self._token = token
        self._limits = limits
        self._time = WallTime(bench, rate)
        self._selector = selectors.DefaultSelector()
        self._clients: dict[socket.socket, Client] = {}
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
                self._listen(address, instrument, host, wanted_port(address, index, port))
        except OSError:
            self.close()
            raise

    def _listen(self, address: str, instrument: SimulatedInstrument, host: str, port: int) -> None:
        listener = bound_socket(address, host, port)
        self._listeners.append(listener)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ, instrument)
        self.addresses[address] = (host, listener.getsockname()[1])

    # --- the loop -----------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until :meth:`stop`; then take what has come and let every client go, which leaves the instruments safe.

        What a host that is gone sent last was sent: whether it counts must not depend on who wakes first.
        """
        try:
            while not self._stop.is_set():
                for key, mask in self._selector.select(self._patience()):
                    if isinstance(key.data, Client):
                        self._attend(key.data, mask)
                    elif isinstance(key.data, SimulatedInstrument):
                        self._accept(key.fileobj, key.data)  # pyright: ignore[reportArgumentType]
                self._look_at_the_time()
            self._hear_out(list(self._clients.values()))
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
        """How long the selector may wait: until a watchdog expires or somebody's time is up [s]."""
        first = math.inf
        if any(client.waits for client in self._clients.values()):
            return 0.0
        for instrument in self._bench.instruments.values():
            due = instrument.watchdog_due()
            if due is not None:
                first = min(first, due)
        for client in self._clients.values():
            first = min(first, client.deadline(self._limits))
            if client.held_until > 0.0:
                first = min(first, client.held_until)
        return min(_LONGEST_WAIT, max(0.0, first - time.monotonic()) + 1e-3) if first < math.inf else _LONGEST_WAIT

    def _look_at_the_time(self) -> None:
        """Let watchdogs expire, send what was held back, and drop who is too slow."""
        now = time.monotonic()
        for instrument in self._bench.instruments.values():
            due = instrument.watchdog_due()
            if due is not None and now > due:
                instrument.check_watchdog()
        for client in list(self._clients.values()):
            if client.waits and not client.pump(self._limits):
                self._drop(client)
                continue
            if -math.inf < client.held_until <= now:
                client.held_until, client.progress = -math.inf, now
                self._flush(client)
            if now > client.deadline(self._limits):
                self._drop(client)

    # --- connections --------------------------------------------------------------------------

    def _accept(self, listener: socket.socket, instrument: SimulatedInstrument) -> None:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            return
        except OSError:
            time.sleep(_OUT_OF_HANDLES_SECONDS)
            return
        client = Client(connection, instrument, instrument.session.new_framer(), False, time.monotonic())
        strangers = [other for other in self._clients.values() if not other.trusted]
        if self._token is not None:
            if len(strangers) >= self._limits.strangers:
                self._drop(strangers[0])
        elif not self._let_in(client):
            connection.close()
            return
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)
        self._clients[connection] = client
        self._watch(client)

    def _let_in(self, client: Client) -> bool:
        """Connect a client to its instrument if both have room."""
        client.trusted = False
        for last_try in (False, True):
            if self._connect(client):
                client.trusted, client.since = True, math.inf
                return True
            if last_try or not self._hear_out_others(client):
                break
        return False

    def _hear_out_others(self, client: Client) -> bool:
        """Take what others have sent before ``client`` came; return whether one of them turns out to have gone.

        A client that closed without waiting for anything is noticed only when its last bytes are read.
        """
        others = [other for other in self._clients.values() if other.trusted and other is not client]
        self._hear_out(others)
        return any(other.connection not in self._clients for other in others)

    def _hear_out(self, clients: Iterable[Client]) -> None:
        """Do what ``clients`` have sent until now, within reason, and let go of those that turn out to have gone."""
        for client in clients:
            for _ in range(_IN_A_ROW):
                if client.unsent or not select.select((client.connection,), (), (), 0.0)[0]:
                    break
                if not self._answer(client):
                    self._drop(client)
                    break

    def _connect(self, client: Client) -> bool:
        inside = [other for other in self._clients.values() if other.trusted and other is not client]
        at_it = sum(other.instrument is client.instrument for other in inside)
        full = len(inside) >= self._limits.clients_in_all or at_it >= self._limits.clients
        return not full and client.instrument.connect()

    def _drop(self, client: Client) -> None:
        if client.watched:
            self._selector.unregister(client.connection)
            client.watched = 0
        client.close()
        if self._clients.pop(client.connection, None) is not None and client.trusted:
            self._time.before_message()
            try:
                client.instrument.disconnect()
            finally:
                self._time.after_message(told_progress=False)

    def _watch(self, client: Client) -> None:
        """Wait for what can be done next."""
        events = client.events(self._limits)
        if events == client.watched:
            return
        if not client.watched:
            self._selector.register(client.connection, events, client)
        elif not events:
            self._selector.unregister(client.connection)
        else:
            self._selector.modify(client.connection, events, client)
        client.watched = events

    # --- bytes --------------------------------------------------------------------------------

    def _attend(self, client: Client, mask: int) -> None:
        """Do what a socket is ready for; a mistake of the simulator costs the connection, not the host."""
        if client.connection not in self._clients:  # it went while another one was let in
            return
        try:
            if mask & selectors.EVENT_WRITE:
                self._flush(client)
            if mask & client.watched & selectors.EVENT_READ:
                self._serve(client)
        except Exception as error:
            log.exception("%s failed; its client is sent away", client.instrument.address)
            instrument = client.instrument
            instrument.log.add(instrument.clock.now, instrument.address, f"simulator failed: {error!r}")
            self._drop(client)

    def _serve(self, client: Client) -> None:
        """Answer what has come, and what comes right after it."""
        for _ in range(_IN_A_ROW):
            if not self._answer(client):
                self._drop(client)
                return
            if client.unsent:
                self._watch(client)
                return
            if not self._eagerness.finds(client.connection):
                return

    def _answer(self, client: Client) -> bool:
        """Take what has come and answer it; return whether the client is still there."""
        try:
            count = client.connection.recv_into(self._buffer)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not count:
            return False
        data: bytes | None = bytes(self._view[:count])
        if not client.trusted:
            data = client.show(data, self._token or "")
            if data is None or (client.trusted and not self._let_in(client)):
                return False
            if not data:
                return True
        instrument = client.instrument
        instrument.told_progress = False
        self._time.before_message()
        try:
            client.ask(data)
            return client.pump(self._limits)
        finally:
            self._time.after_message(told_progress=instrument.told_progress)

    def _flush(self, client: Client) -> None:
        """Send what the network takes of what is waiting, and what the instrument kept until then."""
        client.flush()
        if client.trusted and client.instrument.session.output and not client.pump(self._limits):
            self._drop(client)
        else:
            self._watch(client)


def wanted_port(address: str, index: int, port: int | None) -> int:
    """Return the port of instrument number ``index``; ``port`` is that of the first, None takes those of addresses."""
    return port_of(address) if port is None else (port + index if port else 0)


def bound_socket(address: str, host: str, port: int) -> socket.socket:
    """Return a socket bound to ``host`` and ``port``, or say why ``address`` cannot be served there."""
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise HostError(f"cannot serve {address} at {host}:{port}: {error.strerror}; choose another port") from error
    return bound


def refuse_taken_ports(addresses: Iterable[str], host: str, port: int | None) -> None:
    """Raise HostError when a port is not free, before the minute that building a bench may take."""
    for index, address in enumerate(addresses):
        bound_socket(address, host, wanted_port(address, index, port)).close()


@contextmanager
def serve(
    bench: MockBench,
    host: str = LOOPBACK,
    port: int | None = None,
    *,
    token: str | None = None,
    limits: HostLimits = HOST_LIMITS,
    rate: float = 1.0,
) -> Generator[Mapping[str, tuple[str, int]]]:
    """Serve ``bench`` from a thread while the context lasts; yields address → (host, port)."""
    tcp = TcpHost(bench, host, port, token=token, limits=limits, rate=rate)
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
    token: str | None = None,
    rate: float = 1.0,
    ready: Callable[[Mapping[str, tuple[str, int]]], None] | None = None,
) -> None:
    """Serve ``bench`` until interrupted; ``ready`` is told the addresses once clients may come."""
    tcp = TcpHost(bench, host, port, token=token, rate=rate)
    if ready is not None:
        ready(tcp.addresses)
    with suppress(KeyboardInterrupt):
        tcp.run()
