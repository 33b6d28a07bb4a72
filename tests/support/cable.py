"""A cable that can be pulled: passes bytes on between a driver and a port of this machine, and while out, nothing."""

from __future__ import annotations

import select
import socket
import threading
from types import TracebackType
from typing import Self


class Cable:
    """``with Cable(port) as cable:`` listens on ``cable.port``; ``pull`` and ``plug`` are its hands."""

    def __init__(self, to: int) -> None:
        self._to = to
        self._ends: list[socket.socket] = []
        self._lock = threading.Lock()
        self._over = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        self._thread.join(timeout=30)
        self.pull()

    def pull(self) -> None:
        """Both ends lose each other, and nobody can connect anew."""
        with self._lock:
            for end in (*self._ends, self._listener):
                end.close()
            self._ends.clear()

    def plug(self) -> None:
        """Whoever connects now gets through."""
        with self._lock:
            self._listener = socket.create_server(("127.0.0.1", self.port))

    def _run(self) -> None:
        while not self._over:
            with self._lock:
                watched = [end for end in (self._listener, *self._ends) if end.fileno() >= 0]
                ready = select.select(watched, [], [], 0.0)[0] if watched else []
                for end in ready:
                    self._pass_on(end)
            if not ready:
                threading.Event().wait(0.002)

    def _pass_on(self, end: socket.socket) -> None:
        if end is self._listener:
            near = end.accept()[0]
            far = socket.create_connection(("127.0.0.1", self._to))
            for one in (near, far):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._ends += [near, far]
            return
        if end.fileno() < 0:
            return
        at = self._ends.index(end)
        other = self._ends[at ^ 1]
        try:
            data = end.recv(1 << 16)
            if data:
                other.sendall(data)
                return
        except OSError:
            pass
        for one in (end, other):
            one.close()
            self._ends.remove(one)
