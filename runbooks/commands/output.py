"""What is printed may get lost; what was measured may not: standard output that is closed, full or no longer read."""

from __future__ import annotations

import logging
import os
import pathlib
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from ...common.text import printable


class Output:
    """A stream that goes on when it cannot be written: what is printed then is lost, and ``failure`` says why."""

    def __init__(self, stream: TextIO | None) -> None:
        self.failure: OSError | None = None
        # Whoever closed it wants to hear nothing, and whatever is opened next must not get its number.
        self._stream = stream if stream is not None else pathlib.Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115

    def write(self, text: str) -> int:
        """Write text; lost when that cannot be done."""
        try:
            return self._stream.write(text)
        except (OSError, ValueError) as error:
            self._give_up(error)
            return len(text)

    def writelines(self, lines: Any) -> None:
        """Write lines."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is buffered."""
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._give_up(error)

    def _give_up(self, error: OSError | ValueError) -> None:
        self.failure = self.failure or (error if isinstance(error, OSError) else OSError(str(error)))
        with suppress(OSError, ValueError):
            # What is buffered goes nowhere, too, or the interpreter complains when it ends.
            number, nowhere = self._stream.fileno(), os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, number)
            os.close(nowhere)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


class _Plain(logging.Formatter):
    """Of what is logged to a terminal: what that would obey is written out."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return printable(super().format(record))


@contextmanager
def forgiving_output() -> Generator[Output]:
    """Let neither standard output nor standard error end what is being done; give the former.

    What is logged to standard error is shown, never obeyed.
    """
    if logging.lastResort is not None:  # where nobody has set up logging, warnings go to standard error by it
        logging.lastResort.setFormatter(_Plain())
    before = sys.stdout, sys.stderr
    out, err = Output(cast("TextIO | None", before[0])), Output(cast("TextIO | None", before[1]))
    sys.stdout, sys.stderr = cast("TextIO", out), cast("TextIO", err)
    try:
        yield out
    finally:
        out.flush()
        err.flush()
        sys.stdout, sys.stderr = before
