"""What several commands take, and how they print; nothing heavy is imported here."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import typer

from ...common.text import printable

StationOption = Annotated[str, typer.Option("--station", metavar="FILE", help="Station file, or a shipped station.")]
CellOption = Annotated[str, typer.Option("--cell", metavar="R,C", help="Row and column, counted from zero.")]
SeedOption = Annotated[
    int | None, typer.Option("--seed", metavar="N", min=0, help="Seeds the host and, in process, a fresh mock chip.")
]
CheckOption = Annotated[bool, typer.Option("--check", help="Exit with 1 when an expectation is missed.")]
PluginOption = Annotated[
    list[str] | None,
    typer.Option("--plugin", metavar="FILE", help="Run this Python file and take what it offers; repeatable."),
]


def _trace(path: Path | None) -> Path | None:
    """Begin the wire log before a bench is opened, so that opening is in it."""
    # A command without it that follows one with it in the same process, as in tests, writes nothing.
    if path is not None or f"{__name__.partition('.')[0]}.instruments.wire.wire_log" in sys.modules:
        from ...instruments.wire.wire_log import trace_all

        trace_all(path)
    return path


TraceOption = Annotated[
    Path | None,
    typer.Option(
        "--trace", metavar="FILE", callback=_trace, help="Write every message of every instrument to FILE (trace show)."
    ),
]


def _hand(command: str | None) -> str | None:
    """Let a command connect devices, before a bench is opened."""
    if command is not None or f"{__name__.partition('.')[0]}.instruments.probe.single.hand" in sys.modules:
        from ...instruments.probe.single.hand import name_command

        name_command(command)
    return command


HandOption = Annotated[
    str | None,
    typer.Option(
        "--hand",
        metavar="COMMAND",
        callback=_hand,
        help="Command that connects a single device, its name for {device}, where otherwise a person is asked.",
    ),
]
QuietOption = Annotated[bool, typer.Option("--quiet", help="Print only errors.")]


def warn(line: str) -> None:
    """Print a line on standard error; as :func:`say` does."""
    print(printable(line), file=sys.stderr)


def say(lines: Iterable[str]) -> None:
    """Print lines; what a terminal would obey in them is written out."""
    for line in lines:
        print(printable(line))
