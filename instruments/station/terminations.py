"""Termination by signal: SIGTERM, a closed terminal, Ctrl-Break take the way of Ctrl-C while a bench is open.

Python runs every signal handler in the main thread. A bench of the main thread is left by a ``KeyboardInterrupt``
there. One of another thread is not reached by that, so its thread is interrupted, and what it has not closed within a
few seconds is closed from the main thread. Handlers can be set in the main thread only: before a bench is opened in
another thread, :func:`catch_terminations` must have been called there, or the bench is refused.
"""

from __future__ import annotations

import ctypes
import signal
import threading
import time
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from types import FrameType
from typing import Any

from ...common.errors import RefusedError

# Termination and a closed terminal, where the system has them.
SIGNALS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name))

_PATIENCE = 3.0
_STEP = 0.02


@dataclass(frozen=True, slots=True)
class _Open:
    """A bench that is open: who opened it and what closes it."""

    thread: int
    close: Callable[[], None]


class Terminations:
    """The signals of this process: caught while a bench is open, given back after the last."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}
        self._before: dict[int, Any] = {}
        self._holds = 0

    def enter(self, bench: object, close: Callable[[], None], *, name: str) -> None:
        """Count a bench that is being opened.

        Raises
        ------
        RefusedError
            In another thread than the main one, where nothing catches the signals yet.
        """
        if _in_main_thread():
            self._catch()
        elif not self._before and not self._ignored():
            raise RefusedError(
                f"{name}: a bench opened in thread {threading.current_thread().name!r} would be left switched on when "
                "this process is terminated, since signals arrive in the main thread: open it there, or call "
                "xbarlab.catch_terminations() there first"
            )
        self._open[id(bench)] = _Open(threading.get_ident(), close)

    def leave(self, bench: object) -> None:
        """Count a bench that was closed; after the last the handlers are what they were before."""
        self._open.pop(id(bench), None)
        self._give_back()

    def hold(self) -> None:
        """Catch signals also while no bench is open, for benches of other threads."""
        if not _in_main_thread():
            raise RefusedError("catch_terminations() is called in the main thread: Python sets signal handlers there")
        self._holds += 1
        self._catch()

    def let_go(self) -> None:
        """Undo :meth:`hold`."""
        self._holds = max(self._holds - 1, 0)
        self._give_back()

    def forget(self) -> None:
        """Forget every bench: for a forked child, whose parent owns them."""
        self._open.clear()
        self._holds = 0
        self._give_back()

    def _ignored(self) -> bool:
        """Whether whoever started us wants no termination to arrive (nohup)."""
        return all(signal.getsignal(number) == signal.SIG_IGN for number in SIGNALS)

    def _catch(self) -> None:
        for number in SIGNALS:
            handler = signal.getsignal(number)
            if handler in (signal.SIG_IGN, self._arrived):  # nohup means it
                continue
            self._before[number] = handler
            signal.signal(number, self._arrived)

    def _give_back(self) -> None:
        # From another thread it cannot be done; then _arrived does what would have been done.
        if self._open or self._holds or not _in_main_thread():
            return
        for number, before in self._before.items():
            if signal.getsignal(number) == self._arrived:
                with suppress(ValueError, TypeError):
                    signal.signal(number, before)
        self._before.clear()

    def _arrived(self, number: int, frame: FrameType | None) -> None:
        """Let a termination take the way of Ctrl-C, which every protocol knows; other threads' benches first."""
        mine = any(entry.thread == threading.get_ident() for entry in self._open.values())
        self._close_others()
        if mine:
            raise KeyboardInterrupt(f"terminated by {signal.Signals(number).name}")
        before = self._before.get(number, signal.SIG_DFL)
        if callable(before):
            before(number, frame)
        else:
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)

    def _close_others(self) -> None:
        others = {key: entry for key, entry in self._open.items() if entry.thread != threading.get_ident()}
        for thread in {entry.thread for entry in others.values()}:
            _interrupt(thread)
        until = time.monotonic() + _PATIENCE
        while any(key in self._open for key in others) and time.monotonic() < until:
            time.sleep(_STEP)
        for key, entry in others.items():
            if key in self._open:
                with suppress(Exception):
                    entry.close()


TERMINATIONS = Terminations()


@contextmanager
def _held() -> Generator[None]:
    try:
        yield
    finally:
        TERMINATIONS.let_go()


def catch_terminations() -> AbstractContextManager[None]:
    """Make benches of other threads safe on SIGTERM and SIGHUP too; call this once, in the main thread.

    Returns
    -------
    context manager
        Leaving it gives the handlers back. Nobody needs to use it: a program may keep them to its end.

    Raises
    ------
    RefusedError
        In another thread.
    """
    TERMINATIONS.hold()
    return _held()


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _interrupt(thread: int) -> None:
    """Raise ``KeyboardInterrupt`` in another thread, at its next step in Python."""
    with suppress(AttributeError):  # another interpreter than CPython: then it is only closed
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), ctypes.py_object(KeyboardInterrupt))
