"""A WGFMU in a process of its own, and a driver in another that may be killed: calls of the library go over a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Client, Listener
from typing import Any

KEY = b"wgfmu"


class Remote:
    """The library at the other end of a pipe: its functions, with pointers and arrays as they are filled in there."""

    def __init__(self, pipe: Any) -> None:
        self._pipe = pipe

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("WGFMU_"):
            raise AttributeError(name)

        def call(*given: Any) -> int:
            self._pipe.send((name, [_plain(one) for one in given]))
            code, filled = self._pipe.recv()
            for one, values in zip(given, filled, strict=True):
                if values is not None:
                    for at, value in enumerate(values):
                        one[at] = value
            return int(code)

        return call


def _plain(argument: Any) -> Any:
    if hasattr(argument, "contents"):
        return [argument[0]]
    return list(argument) if hasattr(argument, "_length_") else argument


def serve(listener: Listener, library: Any, told: Callable[[str], None] = lambda _: None) -> None:
    """Do what a client calls until it is gone."""
    with listener.accept() as pipe:
        while True:
            try:
                name, given = pipe.recv()
                code = getattr(library, name)(*given)
                told(name)
                pipe.send((code, [one if isinstance(one, list) else None for one in given]))
            except (EOFError, ConnectionError):
                return


class Died:
    """A clock that stands still, so that the process can be killed in a wait."""

    def now(self) -> float:
        return 0.0

    def wait(self, seconds: float) -> None:
        print(seconds, flush=True)
        time.sleep(600)


def drive(address: str, session: str) -> None:
    """Be the host: a long train, for which it waits for ever."""
    from unittest.mock import patch

    from xbarlab.instruments.drivers.keysight_b1530.box import KeysightB1530Box

    remote = Remote(Client(address, authkey=KEY))
    with patch("xbarlab.instruments.drivers.keysight_b1530.box.wgfmu_library", return_value=remote):
        box = KeysightB1530Box("fast", session=session, limits={"current_max": 1e-3})
    box.clock = Died()
    box.pulser.pulses(0.5, 0.0, width=9e-3, edge=1e-6, period=1e-2, count=2000)


if __name__ == "__main__":
    drive(sys.argv[1], sys.argv[2])
