"""Trigger models made of blocks, as a Keithley 2450 runs them (Reference Manual, ``:TRIGger:BLOCk``).

A block takes a microsecond (assumed), so that a loop without measurement or delay takes time as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Final

from ....probe_circuit.script import Script
from ....scpi.errors import ScpiError
from ..buffer import DEFAULT_BUFFERS
from ..core import SourceMeterCore
from ..readings import Readings
from ..runs import measure_script
from .config_lists import ConfigLists

Step = Generator[float, None, int | None]
"""Yields the simulated times [s] it waits for; returns the block that comes next, None for the one behind."""
BLOCK_SECONDS: Final = 1e-6
MOST_BLOCKS: Final = 255
NEVER: Final = math.inf


@dataclass(slots=True)
class BlockRun:
    """One run through a trigger model: where it is, and what it remembers.

    Attributes
    ----------
    at : float [s]
        Simulated time of what it does.
    number : int
        The block it is at.
    counters : dict
        How often each counting block has been reached.
    passed : set
        Blocks that act on the first time only.
    met : dict
        The last two readings of each measure block.
    last_measured : int
        The measure block reached last.
    indexes : dict
        Where each configuration list stands.
    events : set
        Trigger events that have come and were not used.
    waiting : bool
    """

    smu: SourceMeterCore
    readings: Readings
    lists: ConfigLists
    at: float
    number: int = 1
    counters: dict[int, int] = field(default_factory=dict[int, int])
    passed: set[int] = field(default_factory=set[int])
    met: dict[int, list[float]] = field(default_factory=dict[int, list[float]])
    last_measured: int = 0
    indexes: dict[str, int] = field(default_factory=dict[str, int])
    events: set[str] = field(default_factory=set[str])
    waiting: bool = False
    first: bool = True


@dataclass(frozen=True, slots=True)
class Block:
    """One block.

    Attributes
    ----------
    kind, told : str
        What ``:TRIGger:BLOCk:LIST?`` says of it.
    step : callable
        Does it.
    buffer : str
        Reading buffer it needs.
    """

    kind: str
    told: str
    step: Callable[[BlockRun], Step]
    buffer: str = ""


def instant(act: Callable[[BlockRun], int | None]) -> Callable[[BlockRun], Step]:
    """Return the step of a block that takes no time of its own."""

    def step(run: BlockRun) -> Step:
        yield from ()
        return act(run)

    return step


def blocks_script(run: BlockRun, blocks: dict[int, Block]) -> Script:
    """Go from block to block until there is none; numbers left out are passed over."""
    last = max(blocks)
    while 1 <= run.number <= last:
        block = blocks.get(run.number)
        here = run.number
        target: int | None = None
        if block is not None:
            target = yield from block.step(run)
        run.number = here + 1 if target is None else target
        run.at += BLOCK_SECONDS
        yield run.at


def buffer_clear(name: str = DEFAULT_BUFFERS[0]) -> Block:
    """Empty a reading buffer."""

    def act(run: BlockRun) -> None:
        run.readings.buffer(name).clear()
        run.first = True

    return Block("BUFFER_CLEAR", f"BUFFER: {name}", instant(act), buffer=name)


def measure(name: str, count: int | None) -> Block:
    """Make ``count`` readings (None: as many as :SENSe:COUNt says), the first when the source has settled."""

    def step(run: BlockRun) -> Step:
        buffer = run.readings.buffer(name)
        run.last_measured = run.number
        run.at = max(run.at, run.smu.settled_at)
        for _ in range(run.smu.settings.count if count is None else count):
            reading = measure_script(run.smu, run.at, buffer, first=run.first)
            while (then := next(reading, None)) is not None:
                run.at = then
                yield run.at
            run.first = False
            seen = run.met.setdefault(run.number, [])
            seen.append(buffer.records[-1].reading if buffer.records else math.nan)
            del seen[:-2]
        return None

    return Block(
        "MEASURE_DIGITIZE",
        f"BUFFER: {name} COUNT: {'AUTO' if count is None else count}",
        step,
        buffer=name,
    )


def source_state(on: bool) -> Block:
    """Turn the output on or off."""

    def act(run: BlockRun) -> None:
        if on:
            run.smu.turn_on(run.at)
        else:
            run.smu.turn_off(run.at)

    return Block("SOURCE_OUTPUT", f"OUTPUT: {'ON' if on else 'OFF'}", instant(act))


def delay(kind: str, told: str, seconds: Callable[[SourceMeterCore], float]) -> Block:
    """Wait."""

    def step(run: BlockRun) -> Step:
        run.at += seconds(run.smu)
        yield run.at
        return None

    return Block(kind, told, step)


def branch_always(target: int) -> Block:
    """Go to another block."""
    return Block("BRANCH_ALWAYS", f"BRANCH_BLOCK: {target}", instant(lambda _: target))


def branch_counter(count: int, target: int) -> Block:
    """Go to another block until it has been reached ``count`` times, and begin to count anew after that."""

    def act(run: BlockRun) -> int | None:
        done = run.counters.get(run.number, 0)
        done = 1 if done >= count else done + 1
        run.counters[run.number] = done
        return target if done < count else None

    return Block("BRANCH_COUNTER", f"VALUE: {count} BRANCH_BLOCK: {target}", instant(act))


def counter_reset(counter: int) -> Block:
    """Let a counting block begin anew."""

    def act(run: BlockRun) -> None:
        run.counters[counter] = 0

    return Block("BRANCH_COUNTER_RESET", f"COUNTER: {counter}", instant(act))


def branch_once(target: int, *, excluded: bool) -> Block:
    """Go to another block the first time, or every time but the first."""

    def act(run: BlockRun) -> int | None:
        first = run.number not in run.passed
        run.passed.add(run.number)
        return target if first is not excluded else None

    return Block("ONCE_EXCLUDED" if excluded else "BRANCH_ONCE", f"BRANCH_BLOCK: {target}", instant(act))


def branch_delta(difference: float, target: int, block: int = 0) -> Block:
    """Go to another block when the last two readings of a measure block differ by no more than ``difference``."""

    def act(run: BlockRun) -> int | None:
        seen = run.met.get(block or run.last_measured, [])
        return target if len(seen) == 2 and seen[0] - seen[1] <= difference else None

    told = f"TARGET: {difference:.6e} MEASURE_BLOCK: {block} BRANCH_BLOCK: {target}"
    return Block("BRANCH_ON_DELTA", told, instant(act))


def branch_limit(kind: str, limits: Callable[[SourceMeterCore], tuple[float, float]], target: int, block: int) -> Block:
    """Go to another block when the last reading is above, below, inside or outside two limits."""

    def act(run: BlockRun) -> int | None:
        seen = run.met.get(block or run.last_measured, [])
        if not seen:
            raise ScpiError(-221, f"block {run.number} compares a reading, and no measure block comes before it")
        low, high = sorted(limits(run.smu))
        reading = seen[-1]
        if kind == "ABOV":
            met = reading > limits(run.smu)[1]
        elif kind == "BEL":
            met = reading < limits(run.smu)[0]
        else:
            met = (low <= reading <= high) is (kind == "IN")
        return target if met else None

    return Block("BRANCH_LIMIT", f"TYPE: {kind} MEASURE_BLOCK: {block} BRANCH_BLOCK: {target}", instant(act))


def branch_event(event: str, target: int) -> Block:
    """Go to another block when an event has come."""

    def act(run: BlockRun) -> int | None:
        came = event in run.events or (event == "SLIM" and run.smu.limited)
        run.events.discard(event)
        return target if came else None

    return Block("BRANCH_ON_EVENT", f"EVENT: {event} BRANCH_BLOCK: {target}", instant(act))


def wait(events: tuple[str, ...], *, clear: bool, every: bool) -> Block:
    """Wait for one of the events, or for ``every`` one of them; with ``clear`` those that came before do not count."""

    def step(run: BlockRun) -> Step:
        if clear:
            run.events.difference_update(events)
        while True:
            came = [event in run.events or (event == "SLIM" and run.smu.limited) for event in events]
            if all(came) if every else any(came):
                break
            run.waiting = True
            yield NEVER
        run.waiting = False
        run.events.difference_update(events)
        return None

    logic = "AND" if every else "OR"
    told = f"EVENT: {f' {logic} '.join(events)} CLEAR: {'ENTER' if clear else 'NEVER'}"
    return Block("WAIT", told, step)


def notify(number: int) -> Block:
    """Let an event come."""
    return Block("NOTIFY", f"ID: {number}", instant(lambda run: run.events.add(f"NOT{number}")))


def config_recall(name: str, index: int = 1, other: str = "", other_index: int = 1) -> Block:
    """Bring the instrument to an index of a configuration list, or of one list of each kind."""

    def act(run: BlockRun) -> None:
        for each, place in ((name, index), (other, other_index)):
            if each:
                run.indexes[each] = place
                run.lists.recall(each, place, run.at)

    return Block("CONFIG_RECALL", f"CONFIG_LIST: {name} INDEX: {index}", instant(act))


def config_step(name: str, other: str = "", by: int = 1) -> Block:
    """Bring the instrument to the next index of a configuration list (``by`` 1) or the one before (-1), round and
    round."""

    def act(run: BlockRun) -> None:
        for each in (name, other):
            if each:
                size = run.lists.size(each)
                start = 0 if by > 0 else 1
                run.indexes[each] = (run.indexes.get(each, start) + by - 1) % max(1, size) + 1
                run.lists.recall(each, run.indexes[each], run.at)

    return Block("CONFIG_NEXT" if by > 0 else "CONFIG_PREV", f"CONFIG_LIST: {name}", instant(act))


def nothing(kind: str, told: str = "", act: Callable[[BlockRun], None] = lambda _: None) -> Block:
    """Do something nobody else sees from here."""
    return Block(kind, told, instant(act))
