"""What keeps a Keithley 2450 busy: measurements and sweeps, as scripts that say when they go on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count as counting
from typing import TYPE_CHECKING

from ...probe_circuit.script import Script
from .buffer import ReadingBuffer

if TYPE_CHECKING:
    from .core import SourceMeterCore


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """A sweep as the trigger model has it.

    Attributes
    ----------
    levels : sequence of float [V or A]
    delay : float [s]
        Added to the source delay at every point.
    count : int
        How many times; 0 is for ever.
    ranging : str
        ``AUTO``, ``BEST`` or ``FIX``.
    abort_on_limit : bool
    buffer : str
    """

    levels: Sequence[float]
    delay: float
    count: int
    ranging: str
    abort_on_limit: bool
    buffer: str


@dataclass(frozen=True, slots=True)
class LoopPlan:
    """``SimpleLoop`` (``count``) or ``DurationLoop`` (``seconds`` [s]): readings at the level that is set."""

    count: int
    seconds: float
    delay: float
    buffer: str


def sweep_script(smu: SourceMeterCore, plan: SweepPlan, buffer: ReadingBuffer, start: float) -> Script:
    """Clear the buffer, turn the output on, go through the levels with one reading each, turn it off again."""
    at = start
    buffer.clear()
    first = True
    for _ in counting() if plan.count == 0 else range(plan.count):
        for level in plan.levels:
            moved = first or level != smu.settings.active_source.level
            smu.step_to(at, level, plan.ranging)
            if first:
                smu.turn_on(at)
            if moved:
                at += smu.source_delay()
            reading = measure_script(smu, at + plan.delay, buffer, first=first)
            while (then := next(reading, None)) is not None:
                at = then
                yield at
            first = False
            if plan.abort_on_limit and smu.limited:
                smu.log.add(at, smu.address, "sweep aborted at the limit")
                smu.turn_off(at)
                return
    smu.turn_off(at)


def loop_script(smu: SourceMeterCore, plan: LoopPlan, buffer: ReadingBuffer, start: float) -> Script:
    """Clear the buffer, turn the output on, make readings, turn it off again."""
    at = start
    buffer.clear()
    smu.turn_on(at)
    at = max(at, smu.settled_at)
    until = start + plan.seconds if plan.seconds else math.inf
    for made in counting():
        if (plan.count and made >= plan.count) or at >= until:
            break
        reading = measure_script(smu, at + plan.delay, buffer, first=made == 0)
        while (then := next(reading, None)) is not None:
            at = then
            yield at
    smu.turn_off(at)


def readings_script(smu: SourceMeterCore, count: int, buffer: ReadingBuffer, start: float) -> Script:
    """Wait for the source to settle and make ``count`` readings."""
    at = max(start, smu.settled_at)
    for made in range(count):
        reading = measure_script(smu, at, buffer, first=made == 0)
        while (then := next(reading, None)) is not None:
            at = then
            yield at


def measure_script(smu: SourceMeterCore, start: float, buffer: ReadingBuffer, *, first: bool) -> Script:
    """Make one reading that begins at ``start`` [s]; a measure range that has to change costs another one."""
    at = start + smu.reading_seconds()
    yield at
    seen = smu.see(at)
    extra = smu.change_range(seen)
    if extra:
        at += extra
        yield at
        seen = smu.see(at)
        smu.change_range(seen)
    smu.store(at, seen, buffer, first=first)
