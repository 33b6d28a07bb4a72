"""Who puts a device on the probes when asked: a person at a terminal, a command, or a function."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from ....common.errors import RefusedError
from ....common.progress import aside
from ....common.text import printable
from ...errors import InstrumentError

COMMAND = "XBARLAB_HAND"
"""Environment variable that names a command which connects devices."""
PLACE = "{device}"
"""What a command has in place of the device's name; without it the name is its last argument."""

_SECONDS_MAX = 3600.0


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for.

    Attributes
    ----------
    device : str
        Its name in the chip file.
    chip : str
        Id of the chip.
    trouble : str
        What was wrong with it as it was connected before, "" the first time.
    """

    device: str
    chip: str
    trouble: str = ""

    def __str__(self) -> str:
        first = f"{self.trouble}. " if self.trouble else ""
        return f"{first}Put the probes on device {self.device} of chip {self.chip}; the source is at 0 V, disconnected"


Hand = Callable[[Request], object]
"""Returns when the device is connected; raises where it is not going to be."""

_named: list[str] = []


def name_command(command: str | None) -> None:
    """Let a command connect devices from now on, in this process; None for what the environment says."""
    _named[:] = [] if command is None else [command]


def hand_for(offered: Hand | None) -> Hand:
    """Return who connects devices: the command that was named, else who is ``offered``, else the person at hand."""
    command = _named[0] if _named else os.environ.get(COMMAND, "")
    return by_command(command) if command.strip() else offered or ask_at_terminal


def ask_at_terminal(request: Request) -> None:
    """Ask the person at the terminal, and wait for the return key.

    Raises
    ------
    RefusedError
        There is no terminal, or nobody at it.
    """
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise RefusedError(
            f"device {request.device} of chip {request.chip} is to be connected by hand, and there is no terminal to "
            f"ask at: name a command that does it (--hand COMMAND, or {COMMAND} in the environment), set array.hand "
            "in Python, or run in a terminal"
        )
    with aside():
        print(f"{printable(str(request))}. Press return when it is there. ", end="", file=sys.stderr, flush=True)
        if not sys.stdin.readline():
            raise RefusedError(f"nobody said that device {request.device} is connected: the input has ended")


def by_command(command: str) -> Hand:
    """Return what runs a command for every device: its name is put in place of ``{device}``, or behind it."""
    try:
        words = shlex.split(command, posix=os.name == "posix")
    except ValueError as error:
        raise RefusedError(f"the command {command!r} that connects devices cannot be read: {error}") from error
    if not words:
        raise RefusedError("the command that connects devices is empty: name a program, as in --hand 'prober goto'")
    given = words if any(PLACE in word for word in words) else [*words, PLACE]

    def connect(request: Request) -> None:
        try:
            ended = subprocess.run(
                [word.replace(PLACE, request.device) for word in given],
                stdin=subprocess.DEVNULL, timeout=_SECONDS_MAX, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            why = error.strerror if isinstance(error, OSError) else f"it took more than {_SECONDS_MAX:g} s"
            raise InstrumentError(
                f"device {request.device} was not connected: the command {given[0]!r} failed ({why}); try it by hand"
            ) from error
        if ended.returncode:
            raise InstrumentError(
                f"device {request.device} was not connected: the command {given[0]!r} ended with "
                f"{ended.returncode}; try it by hand"
            )

    return connect
