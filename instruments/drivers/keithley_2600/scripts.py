"""Scripts for a 2600B, made of numbers that were checked: a sweep, a pulse train, readings in time.

Each ends by itself at 0 V with its output off, and takes no longer than :data:`.PIECE_SECONDS` (or one of its points):
that is the longest a cell stays under bias when the host dies while it runs. Longer programs go in several pieces; a
record of readings at one level cannot be cut and takes :data:`RECORD_SECONDS` at most.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ...capabilities import FloatArray
from ...wire.wire_text import sent

RECORD_SECONDS = 600.0
"""Longest record in time at one level [s]: cut in two it would have a gap."""
NAME = "xbarlab_program"
_ON_A_LINE = 25
_LISTS = "smu.nvbuffer1.clear() smu.nvbuffer2.clear() smu.nvbuffer1.appendmode=1 smu.nvbuffer2.appendmode=1"
_END = "smu.source.levelv=0 smu.source.output=0"


def _loaded(channel: str, lines: Sequence[str]) -> str:
    return "\n".join((f"loadscript {NAME}", f"local smu={channel}", *lines, "endscript"))


def _numbers(values: FloatArray, most: float) -> Iterator[str]:
    texts = [sent(value, most=most) for value in values]
    for start in range(0, len(texts), _ON_A_LINE):
        yield ",".join(texts[start : start + _ON_A_LINE]) + ","


def sweep_script(
    channel: str, levels: FloatArray, *, compliance: float, dwell: float, most: float, span: float | None = None
) -> str:
    """Return a script that goes through ``levels`` [V], none beyond ``most`` [V], and measures after ``dwell`` [s].

    With a ``span`` [A] it measures on that one range, and says when.
    """
    timed = () if span is None else (f"smu.nvbuffer1.collecttimestamps=1 smu.measure.rangei={span:.6g}",)
    return _loaded(
        channel,
        (
            "local levels={", *_numbers(levels, most), "}",
            _LISTS,
            *timed,
            f"smu.source.levelv=0 smu.source.limiti={sent(compliance)} smu.source.output=1",
            f"for at=1,{len(levels)} do",
            "smu.source.levelv=levels[at]",
            *([f"delay({dwell:.6g})"] if dwell else []),
            "smu.measure.iv(smu.nvbuffer1,smu.nvbuffer2)",
            "end",
            _END,
        ),
    )  # fmt: skip


def train_script(
    channel: str, volts: float, *, width: float, gap: float, count: int, compliance: float, most: float
) -> str:
    """Return a script that gives ``count`` pulses of ``volts`` [V] from 0 V, each measured before it ends."""
    return _loaded(
        channel,
        (
            _LISTS,
            f"smu.source.levelv=0 smu.source.limiti={sent(compliance)} smu.source.output=1",
            f"for at=1,{count} do",
            f"smu.source.levelv={sent(volts, most=most)}",
            f"delay({width:.6g})",
            "smu.measure.iv(smu.nvbuffer1,smu.nvbuffer2)",
            "smu.source.levelv=0",
            f"delay({gap:.6g})",
            "end",
            _END,
        ),
    )


def record_script(channel: str, *, count: int, interval: float, nplc: float, span: float) -> str:
    """Return a script that makes ``count`` readings, ``interval`` [s] apart, on the range of ``span`` [A].

    It is the only one that leaves the levels as it finds them until its end; then both channels are at 0 V, for the
    other one may hold the far end of the cell.
    """
    return _loaded(
        channel,
        (
            _LISTS,
            "smu.nvbuffer1.collecttimestamps=1",
            f"smu.measure.nplc={nplc:.6g} smu.measure.rangei={span:.6g}",
            f"smu.measure.count={count} smu.measure.interval={interval:.9g}",
            "smu.measure.i(smu.nvbuffer1)",
            "smua.source.levelv=0 smub.source.levelv=0",
            _END,
            "smu.measure.count=1 smu.measure.interval=0",
        ),
    )
