"""``xbarlab trace show``: a wire log as a person reads it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from ...instruments.wire.wire_log import read_log


def trace_lines(path: Path, *, instrument: str | None = None) -> Iterator[str]:
    """Yield the lines of a wire log: local time, seconds since the message before, instrument, direction, message.

    Raises
    ------
    RefusedError
        No such file, no wire log, or no message of ``instrument`` in it.
    """
    before: float | None = None
    names: set[str] = set()
    shown = False
    for entry in read_log(path):
        names.add(entry.instrument)
        if instrument is not None and entry.instrument != instrument:
            continue
        shown = True
        when = datetime.fromtimestamp(entry.seconds).astimezone()
        passed = 0.0 if before is None else entry.seconds - before
        before = entry.seconds
        yield f"{when:%Y-%m-%d %H:%M:%S.%f} {passed:+9.6f} {entry.instrument:12} {entry.direction} {entry.message}"
    if instrument is not None and not shown:
        from ...common.errors import RefusedError, unknown

        raise RefusedError(f"{path}: {unknown('instrument', instrument, names)}")
