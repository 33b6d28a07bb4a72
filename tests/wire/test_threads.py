"""Several threads on one instrument: each gets the answer to its own question."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.served import Way, served
from xbarlab.instruments.abilities import Multiplies
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap


def at_once(*works: Callable[[], None], seconds: float = 1.5) -> None:
    """Do all of it again and again, a thread each; raise what one of them raises."""
    failures: list[BaseException] = []
    until = time.monotonic() + seconds
    rounds = [0] * len(works)

    def run(number: int, work: Callable[[], None]) -> None:
        try:
            while time.monotonic() < until and not failures:
                work()
                rounds[number] += 1
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(n, work)) for n, work in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60.0)
        assert not thread.is_alive()
    if failures:
        raise failures[0]
    assert min(rounds) > 3, rounds


@pytest.mark.parametrize("way", ["in process", "tcp"])
def test_threads_on_a_board_read_their_own_cells_and_products(way: Way, tmp_path: Path) -> None:
    with served("ta_hfo2", way, tmp_path) as (bench, mock):
        cells = np.full((128, 64), 2e-5)
        cells[2:4] = 2e-4
        model: Any = mock.chip.model
        model.assume_formed(cells.ravel())
        with bench:
            array: Any = bench.array
            inputs = np.zeros((2, 128), np.float32)
            inputs[0, :2], inputs[1, 2:4] = 0.1, 0.1
            products = array.ability(Multiplies)

            def low() -> None:
                assert np.median(array.read(Block(0, 2, 0, 8)).conductance) < 5e-5

            def high() -> None:
                assert np.median(array.read(Block(2, 2, 0, 8), 0.1).conductance) > 1e-4

            def small() -> None:
                assert np.median(products.vmm(inputs[:1], full_scale=1e-4)[0, :8]) < 1e-5

            def large() -> None:
                assert np.median(products.vmm(inputs[1:], full_scale=1e-2)[0, :8]) > 2e-5

            def pulsed() -> None:
                assert array.pulse(PulseMap(Block(9, 1, 0, 3), 0.3, 1e-6, 1.0)).pulses == 3

            at_once(low, high, small, large, pulsed)
            assert bench.incidents == ()


@pytest.mark.parametrize("way", ["in process", "tcp"])
def test_threads_on_a_2450_get_the_value_they_set(way: Way, tmp_path: Path) -> None:
    with served("tio2", way, tmp_path) as (bench, _), bench:
        array: Any = bench.array
        smu = array.row_smu
        smu.on(0.0, compliance=1e-4)

        def step(level: float) -> Callable[[], None]:
            def work() -> None:
                assert smu.step(level).volts == pytest.approx(level, abs=2e-3)

            return work

        def asked() -> None:
            assert smu.ask("SENS:CURR:NPLC?").lstrip("+").startswith("1")

        at_once(step(0.1), step(-0.2), step(0.3), asked)


def test_going_idle_does_not_wait_for_what_another_thread_waits_for(tmp_path: Path) -> None:
    """The array is at 0 V long before the minute of pulses another thread has asked for is over."""
    with served("ta_hfo2", "tcp", tmp_path) as (bench, mock), bench:
        array: Any = bench.array
        array.pulse(PulseMap(Block(0, 1, 0, 1), 0.3, 1e-6, 1.0))
        waiting = threading.Event()
        ended: list[BaseException] = []

        def wait(seconds: float) -> None:
            waiting.set()
            time.sleep(min(seconds, 20.0))

        array.clock = type("Clock", (), {"now": lambda self: 0.0, "wait": lambda self, seconds: wait(seconds)})()

        def long() -> None:
            try:
                array.pulse(PulseMap(Block(0, 1, 0, 1), 0.3, 1e-3, 1.0, 3000))
            except BaseException as error:
                ended.append(error)

        thread = threading.Thread(target=long, daemon=True)
        thread.start()
        assert waiting.wait(5.0)
        begun = time.monotonic()
        array.idle()
        assert time.monotonic() - begun < 18.0
        board: Any = next(iter(mock.instruments.values()))
        assert not board.output
        thread.join(30.0)
        assert ended, "the pulses were cut, and that is said"
