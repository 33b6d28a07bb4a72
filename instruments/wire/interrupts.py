"""Hold back Ctrl-C, SIGTERM and a closed terminal while something must not be cut in two."""

from __future__ import annotations

# The functions that the signal module wraps into enumerations, at 8 µs a call; blocks are sent often.
import _signal  # pyright: ignore[reportMissingImports]
import signal
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import FrameType

# Ctrl-C, termination and a closed terminal, where the system has them.
_SIGNALS = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)


@contextmanager
def uninterrupted() -> Generator[None]:
    """Deliver SIGINT, SIGTERM and SIGHUP only after the body has finished.

    A message cut in the middle of a block would make the instrument swallow the abort that follows it as payload.
    Signals with the default action or outside the main thread are left alone: Python cannot hold those back.
    """
    if threading.get_ident() != threading.main_thread().ident:
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    previous: dict[int, Callable[[int, FrameType | None], object]] = {}

    def hold_back(number: int, frame: FrameType | None) -> None:
        received.append((number, frame))

    for number in _SIGNALS:
        handler = _signal.getsignal(number)
        if callable(handler):
            previous[number] = handler
            _signal.signal(number, hold_back)
    try:
        yield
    finally:
        for number, handler in previous.items():
            _signal.signal(number, handler)
        if received:
            number, frame = received[0]
            previous[number](number, frame)
