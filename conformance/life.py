"""Time, threads and the way out."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from ..common.errors import XbarlabError
from ..instruments.block import Block
from ..instruments.capabilities import PulseMap, Reading
from .checks import Group
from .reads import cost as _cost_of_reads
from .subject import COUNT, NotHereError, Subject, require

GROUP = Group("life")
IDLE_SECONDS = 10.0
"""So long idle() may take, whatever another thread does [s]."""
_LOOPS = 20
_WAIT = 0.02


@GROUP.check("the clock goes on, and waits as long as it is told")
def clock(on: Subject) -> None:
    """Wait a little."""
    bench_clock = on.bench.clock
    before = bench_clock.now()
    bench_clock.wait(_WAIT)
    passed = bench_clock.now() - before
    require(passed >= 0.9 * _WAIT, f"wait({_WAIT:g}) let {passed:g} s pass")


@GROUP.check("two threads read and pulse: each gets its own record, and costs add up")
def threads(on: Subject) -> None:
    """Let two threads act at once."""
    cells = on.cells
    one = Block(cells.row0, 1, cells.col0, 1)
    other = Block(cells.row0 + cells.nrows - 1, 1, cells.col0, cells.ncols)
    before = on.array.cost

    def reading(block: Block) -> list[Reading]:
        return [on.array.read(block, on.volts) for _ in range(COUNT)]

    def pulsing() -> int:
        return on.array.pulse(PulseMap(one, on.volts, on.width, on.spec.pulse_gate(1.0), COUNT)).pulses

    with ThreadPoolExecutor(3) as pool:
        first, second, third = pool.submit(reading, one), pool.submit(reading, other), pool.submit(pulsing)
        for found, block in ((first.result(), one), (second.result(), other)):
            for reading_ in found:
                require(reading_.block == block, f"a thread that asked for {block} got {reading_.block}")
                require(np.isfinite(reading_.current).all(), "a current is no finite number")
        require(third.result() == COUNT, f"{COUNT} pulses of a thread became {third.result()}")
    spent = on.array.cost - before
    require(spent.pulses == COUNT, f"{COUNT} pulses beside reads of two threads were counted as {spent.pulses}")
    least = COUNT * (on.spec.read_slots(one) + on.spec.read_slots(other) + on.spec.read_slots(one))
    require(spent.slots >= least, f"{spent.slots} slots were counted, two threads read and pulsed {least}")


@GROUP.check("idle() works in any state and twice, says what came of it, and the array can be used again")
def idle(on: Subject) -> None:
    """Idle, idle again, and read."""
    for _ in range(2):
        begun = time.monotonic()
        on.array.idle()
        took = time.monotonic() - begun
        require(took <= IDLE_SECONDS, f"idle() took {took:.1f} s: {IDLE_SECONDS:g} s are allowed")
        for step in getattr(on.array, "ending", ()):
            require(step.confirmed, f"idle() was not confirmed: {step}")
    _cost_of_reads(on)


@GROUP.check("idle() from another thread ends what runs, without waiting for it")
def idle_beside(on: Subject) -> None:
    """Idle while another thread reads."""

    def loop() -> None:
        for _ in range(_LOOPS):
            on.array.read(on.cells, on.volts)

    with ThreadPoolExecutor(1) as pool:
        running: Future[None] = pool.submit(loop)
        begun = time.monotonic()
        on.array.idle()
        took = time.monotonic() - begun
        try:
            running.result(timeout=600)
        except XbarlabError:
            pass
        except Exception as error:  # what it is, is the finding
            require(False, f"a read ended by idle() raised {type(error).__name__}: {error}: raise a sentence of ours")
    require(took <= IDLE_SECONDS, f"idle() waited {took:.1f} s for another thread: {IDLE_SECONDS:g} s are allowed")
    on.array.idle()
    found = on.array.read(on.cells, on.volts)
    require(np.isfinite(found.current).all(), "after idle() from another thread a read gives no finite currents")


@GROUP.check("pulses are in the chip's account")
def account(on: Subject) -> None:
    """Look into the wear of a bench that counts it."""
    row, col = on.cell
    try:
        before = float(on.bench.wear.maps()["pulses"][row, col])
    except (KeyError, AttributeError):
        raise NotHereError("this bench keeps no account of pulses") from None
    on.array.pulse(PulseMap(Block(row, 1, col, 1), on.volts, on.width, on.spec.pulse_gate(1.0), COUNT))
    counted = float(on.bench.wear.maps()["pulses"][row, col]) - before
    require(counted == COUNT, f"{COUNT} pulses of cell ({row}, {col}) are {counted:g} in the chip's account")
