"""Two threads on one array: each gets its own cells, and going idle ends what another thread does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray, fake_spec
from support.fake_probe import Bench
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.array_spec import ArraySpec
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.own_array import OwnArray
from xbarlab.instruments.capabilities import PulseMap, Reading
from xbarlab.instruments.chip.requests import Look, Pulses
from xbarlab.instruments.errors import InstrumentError, UnconfirmedError
from xbarlab.instruments.joined.array import JoinedArrays
from xbarlab.instruments.wire import locks
from xbarlab.instruments.wire.locks import ActionLock


def both(one: Callable[[], object], two: Callable[[], object], times: int) -> list[list[Any]]:
    """Do two things in two threads, ``times`` each, beginning together; return what each gave."""
    together = threading.Barrier(2)

    def work(what: Callable[[], object]) -> list[object]:
        together.wait()
        return [what() for _ in range(times)]

    with ThreadPoolExecutor(2) as pool:
        return [done.result() for done in [pool.submit(work, what) for what in (one, two)]]


class SlowMatrix:
    """A cell whose conductance tells which it is, by what the matrix ties; switching takes a moment."""

    def __init__(self, bench: Bench) -> None:
        self.bench, self.acting, self.most = bench, 0, 0
        self.connect = bench.matrix.connect_only

    def connect_only(self, paths: frozenset[tuple[int, int]]) -> None:
        self.connect(paths)
        self.bench.g = 0.0
        time.sleep(1e-3)
        rows = [port for source, port in paths if source == 1]
        self.bench.g = 1e-5 * rows[0] if rows else 1e-5


def test_two_threads_on_a_probe_station_read_their_own_cells() -> None:
    bench = Bench()
    bench.matrix.connect_only = SlowMatrix(bench).connect_only  # type: ignore[method-assign]
    array = bench.array()
    first, second = both(
        lambda: array.read(Block(0, 1, 0, 1)).conductance[0, 0],
        lambda: array.ability(Sweeps).sweep(2, 1, [0.1], compliance=1e-3, dwell=0.01).current[0],
        times=25,
    )
    assert first == pytest.approx([1e-5] * 25)
    assert second == pytest.approx([3e-6] * 25)


class SlowBoard(FakeArray):
    """A board that minds being asked by two at once."""

    def __init__(self, name: str, watch: list[str]) -> None:
        super().__init__()
        self.spec = replace(fake_spec(), name=name)
        self.watch = watch

    def read(self, cells: Block, volts: float | None = None, **given: Any) -> Reading:
        self.watch.append(f"in {threading.get_ident()}")
        time.sleep(1e-3)
        reading = super().read(cells, volts, **given)
        self.watch.append(f"out {threading.get_ident()}")
        return reading


def test_two_threads_on_joined_arrays_act_one_after_the_other() -> None:
    watch: list[str] = []
    array = JoinedArrays([SlowBoard("one", watch), SlowBoard("two", watch)])
    both(lambda: array.read(array.spec.whole), lambda: array.read(array.spec.whole), times=20)
    whole = [word.split()[1] for word in watch]
    assert len(whole) == 2 * 2 * 40
    for start in range(0, len(whole), 4):
        assert len(set(whole[start : start + 4])) == 1, "an action of both boards was cut into by another one"


def test_idle_ends_a_long_action_of_another_thread() -> None:
    bench = Bench()
    array = bench.array()
    begun = threading.Event()
    connect = bench.matrix.connect_only

    def slow(paths: frozenset[tuple[int, int]]) -> None:
        begun.set()
        time.sleep(5e-3)
        connect(paths)

    bench.matrix.connect_only = slow  # type: ignore[method-assign]
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(array.pulse, PulseMap(Block(0, 4, 0, 4), 1.5, 200e-9, count=3))
        assert begun.wait(5.0)
        array.idle()
        with pytest.raises(InstrumentError, match="probe was made idle from another thread: the action stopped"):
            done.result()
    given = [words for words in bench.said if words[0] == "pulser" and words[1] != "idle"]
    assert 0 < len(given) < 16
    assert bench.said[-1] == ("matrix", "idle")
    assert array.wear.maps()["pulses"].sum() == 3 * len(given)
    assert array.read(Block(0, 1, 0, 1)).conductance.size == 1, "and it can be used again"


def test_idle_of_joined_arrays_keeps_the_next_board_from_pulsing() -> None:
    watch: list[str] = []
    array = JoinedArrays([SlowBoard("one", watch), SlowBoard("two", watch)])
    begun, go_on = threading.Event(), threading.Event()
    pulse = array.boards[0].pulse

    def slow(pulses: PulseMap) -> object:
        begun.set()
        go_on.wait(5.0)
        return pulse(pulses)

    array.boards[0].pulse = slow  # type: ignore[method-assign]
    there = array.spec.healthy_mask(array.spec.whole).astype(int)
    with ThreadPoolExecutor(2) as pool:
        done = pool.submit(array.pulse, PulseMap(array.spec.whole, 1.0, 1e-6, 1.0, there))
        assert begun.wait(5.0)
        idled = pool.submit(array.idle)
        time.sleep(0.05)
        go_on.set()
        idled.result()
        with pytest.raises(UnconfirmedError, match=r"one \+ two was made idle from another thread.*up to 1 pulses"):
            done.result()
    assert "pulse" not in array.boards[1].actions
    assert [board.idled for board in array.boards] == [1, 1]


def test_going_idle_does_not_wait_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locks, "PATIENCE", 0.05)
    lock = ActionLock("array")
    inside, leave = threading.Event(), threading.Event()

    def act() -> None:
        with lock:
            inside.set()
            leave.wait(5.0)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(act)
        assert inside.wait(5.0)
        with lock.idling():
            assert not leave.is_set()
        leave.set()


def test_an_action_within_an_action_and_an_idle_within_it_are_of_one_thread() -> None:
    lock = ActionLock("array")
    with lock, lock:
        with lock.idling():
            pass
        lock.go_on()
    with lock:
        lock.go_on()


class Slow(OwnArray):
    """An array of one's own that minds being asked by two at once."""

    def __init__(self) -> None:
        self.said: list[str] = []
        super().__init__("slow", ArraySpec(name="slow", rows=2, cols=2, cell="passive"))

    def measure(self, cells: Block, look: Look) -> Any:
        self.said.append("in")
        time.sleep(1e-3)
        self.said.append("out")
        return np.full(cells.shape, 1e-6)

    def give(self, pulses: Pulses) -> None:
        raise InstrumentError("it broke")

    def let_go(self) -> None:
        self.said.append("let go")


def test_an_array_of_ones_own_acts_alone_and_lets_go_of_what_broke() -> None:
    array = Slow()
    try:
        both(lambda: array.read(array.spec.whole), lambda: array.read(array.spec.whole), times=10)
        assert array.said == ["let go", *["in", "out"] * 20]
        with pytest.raises(InstrumentError, match="it broke"):
            array.pulse(PulseMap(array.spec.whole, 1.0, 1e-6))
        assert array.said[-1] == "let go"
    finally:
        array.close()
    with pytest.raises(TypeError, match="abstract method"):
        OwnArray("nothing", ArraySpec(name="nothing", rows=2, cols=2, cell="passive"))
