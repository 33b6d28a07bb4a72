"""When the TCP host looks for the next message instead of sleeping until it comes."""

from __future__ import annotations

import select
import socket
import time
from typing import Final

_LOOK_SECONDS: Final = 500e-6
_SLEEPS_MAX: Final = 256


class Eagerness:
    """Whether to look for bytes a while before going to sleep for them.

    A process that sleeps is woken 20 to 1000 µs late (late on virtual machines whose cores sleep as well) and finds
    its caches cold, while a client that sets and gets takes 30 µs. But one that looks in vain uses up its share of a
    busy machine: after each failure it sleeps at once for a while, four times as often as the time before.
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
