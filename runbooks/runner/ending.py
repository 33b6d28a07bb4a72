"""How a command ends: one sentence on stderr and an exit code, whatever went wrong; nothing heavy is imported here."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

INTERRUPTED = 130
DEFECT = 70

_SIGNALS = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)]
# A hand on Ctrl-C presses it several times; who means it anew waits a little.
_PATIENCE = 2.0


def answer(error: BaseException, *, debug: bool = False) -> int:
    """Say in one sentence what was wrong and return the exit code; with the traceback, for ``debug``."""
    with nothing_interrupts():
        if debug and not isinstance(error, SystemExit):
            import traceback

            traceback.print_exception(error)
        return _answer(error, debug)


def _answer(error: BaseException, debug: bool) -> int:
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        print("xbarlab: interrupted; an open bench was taken to 0 V first, then disconnected", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return int(error.code or 0) if not isinstance(error.code, str) else 1
    from ...common.errors import XbarlabError
    from ...common.text import printable, reason

    if isinstance(error, XbarlabError):
        print(f"xbarlab: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    if hasattr(error, "format_message"):  # typer brings its own copy of click, or the real one: known by what it can
        return _answer_usage(error)
    if type(error).__module__.startswith("pyvisa") or isinstance(error, ConnectionError | TimeoutError):
        print(f"xbarlab: the instrument did not answer: {printable(str(error))}", file=sys.stderr)
        return 3
    if isinstance(error, MemoryError):
        print(
            f"xbarlab: there is not enough memory for this{f' ({error})' if str(error) else ''}: choose fewer cells, "
            "or close what else runs",
            file=sys.stderr,
        )
        return 2
    if _compiling(error):
        print(
            f"xbarlab: the physics of the mock chip could not be compiled ({printable(reason(error))}): make room "
            "where NUMBA_CACHE_DIR points, or name a folder by it that can be written",
            file=sys.stderr,
        )
        return 2
    if isinstance(error, OSError):
        where = f": {printable(str(error.filename))}" if error.filename else ""
        print(f"xbarlab: {printable(reason(error))}{where}", file=sys.stderr)
        return 2
    if not debug:
        import traceback

        traceback.print_exception(error)
    from ...common.plugins import culprit

    if (whose := culprit(error)) is not None:
        print(f"xbarlab: this came out of the plug-in {whose}: look there first", file=sys.stderr)
        return DEFECT
    print("xbarlab: this is a defect of xbarlab, not of your input; please report it", file=sys.stderr)
    return DEFECT


def _compiling(error: BaseException) -> bool:
    """Return whether the compiler of the mock's physics gave up, or what keeps its results for it."""
    compiler = {"numba", "llvmlite"}
    trace, inside = error.__traceback__, False
    while trace is not None:
        inside = inside or str(trace.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in compiler
        trace = trace.tb_next
    return inside or type(error).__module__.partition(".")[0] in compiler


def _answer_usage(error: Any) -> int:
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help())
        return 2
    from ...common.text import printable

    hint = f" (see {context.command_path} --help)" if context is not None else ""
    print(f"xbarlab: {printable(' '.join(error.format_message().split())).rstrip('.')}{hint}", file=sys.stderr)
    return 2


class _Interrupts:
    """Ctrl-C, SIGTERM and a closed terminal as one ``KeyboardInterrupt``: who is on the way out is not interrupted."""

    def __init__(self) -> None:
        self._depth = 0
        self._ending = 0
        self._raised = -_PATIENCE
        self._told = False
        self._before: dict[int, Any] = {}

    @contextmanager
    def caught(self, *, last: bool = False) -> Generator[None]:
        """Catch the signals within the body; from another thread than the main one nothing can be caught.

        Parameters
        ----------
        last : bool
            The process ends after the body: an interruption that comes too late is none.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        if self._depth == 0:
            self._raised, self._told = -_PATIENCE, False
            for number in _SIGNALS:
                # What is ignored stays ignored: a run under nohup outlives its terminal.
                if signal.getsignal(number) not in {signal.SIG_IGN, None}:
                    self._before[number] = signal.signal(number, self._arrived)
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            if self._depth == 0:
                for number, handler in self._before.items():
                    if signal.getsignal(number) == self._arrived:
                        signal.signal(number, signal.SIG_IGN if last else handler)
                self._before.clear()

    @contextmanager
    def ending(self) -> Generator[None]:
        """Let nothing interrupt the body: what is done when a run has ended early."""
        self._ending += 1
        try:
            yield
        finally:
            self._ending -= 1

    def _arrived(self, _number: int, _frame: object) -> None:
        now = time.monotonic()
        # One that came to nothing, in a destructor perhaps, may be repeated after a while.
        if not self._ending and now - self._raised > _PATIENCE:
            self._raised = now
            raise KeyboardInterrupt
        if not self._told:
            self._told = True
            hard = " (Ctrl-\\ ends it at once, and leaves the bench as it is)" if hasattr(signal, "SIGQUIT") else ""
            # Not print(): it may be what was interrupted.
            with suppress(OSError):
                os.write(2, f"xbarlab: already ending: the bench is made safe, results are kept{hard}\n".encode())


_INTERRUPTS = _Interrupts()
interrupts_caught = _INTERRUPTS.caught
nothing_interrupts = _INTERRUPTS.ending
