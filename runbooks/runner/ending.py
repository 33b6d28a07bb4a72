"""How a command ends: one sentence on stderr and an exit code, whatever went wrong; nothing heavy is imported here."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

INTERRUPTED = 130
DEFECT = 70


def answer(error: BaseException) -> int:
    """Say in one sentence what was wrong and return the exit code."""
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        print("xbarlab: interrupted; an open bench was taken to 0 V first, then disconnected", file=sys.stderr)
        return INTERRUPTED
    if isinstance(error, SystemExit):
        return int(error.code or 0) if not isinstance(error.code, str) else 1
    from ...common.errors import XbarlabError
    from ...common.text import printable

    if isinstance(error, XbarlabError):
        print(f"xbarlab: {printable(str(error))}", file=sys.stderr)
        return error.exit_code
    if hasattr(error, "format_message"):  # typer brings its own copy of click, or the real one: known by what it can
        return _answer_usage(error)
    if type(error).__module__.startswith("pyvisa") or isinstance(error, ConnectionError | TimeoutError):
        print(f"xbarlab: the instrument did not answer: {error}", file=sys.stderr)
        return 3
    if isinstance(error, MemoryError):
        print(
            f"xbarlab: there is not enough memory for this{f' ({error})' if str(error) else ''}: choose fewer cells, "
            "or close what else runs",
            file=sys.stderr,
        )
        return 2
    if type(error).__module__.partition(".")[0] in {"numba", "llvmlite"}:
        said = " ".join(str(error).split())[:200]
        print(
            f"xbarlab: the physics of the mock chip could not be compiled ({said}): look whether there is room where "
            "NUMBA_CACHE_DIR points, or in the temporary folder",
            file=sys.stderr,
        )
        return 2
    if isinstance(error, OSError):
        where = f": {printable(str(error.filename))}" if error.filename else ""
        print(f"xbarlab: {error.strerror or error}{where}", file=sys.stderr)
        return 2
    import traceback

    traceback.print_exception(error)
    from ...common.plugins import culprit

    if (whose := culprit(error)) is not None:
        print(f"xbarlab: this came out of the plug-in {whose}: look there first", file=sys.stderr)
        return DEFECT
    print("xbarlab: this is a defect of xbarlab, not of your input; please report it", file=sys.stderr)
    return DEFECT


def _answer_usage(error: Any) -> int:
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        print(context.get_help())
        return 2
    hint = f" (see {context.command_path} --help)" if context is not None else ""
    print(f"xbarlab: {' '.join(error.format_message().split()).rstrip('.')}{hint}", file=sys.stderr)
    return 2


@contextmanager
def terminations_as_interrupts() -> Generator[None]:
    """Let SIGTERM, and a closed terminal, end a run as Ctrl-C does: through every ``with`` block on the way out."""
    names = ("SIGTERM", "SIGHUP", "SIGBREAK")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    previous: dict[int, Any] = {}

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        # What is ignored stays ignored: a run under nohup outlives its terminal.
        numbers = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
        previous = {number: signal.signal(number, interrupt) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
