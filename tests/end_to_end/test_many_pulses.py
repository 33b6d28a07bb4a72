"""A million pulses in one command: what the row of a written cell bears, what it costs, what it wears."""

from typing import Any

import numpy as np
import pytest

from xbarlab import HalfSelectPlan, half_select_disturb, open_bench
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import Delivered, PulseMap


def test_a_million_half_select_pulses_are_one_transaction() -> None:
    written = Block(3, 1, 5, 1)
    with open_bench("mock_ta_hfo2", seed=3) as bench:
        array = bench.array
        before, clock = array.cost, array.clock.now()
        delivered = array.pulse(PulseMap(written, 1.5, 200e-9, 1.2, 10**6))
        cost, waited = array.cost - before, array.clock.now() - clock
        worn = bench.wear.maps()["pulses"]
    assert (cost.transactions, cost.slots, cost.pulses) == (1, 10**6, 10**6)
    assert np.isclose(cost.chip_seconds, 10**6 * (200e-9 + 5e-6))
    assert np.isclose(waited, cost.chip_seconds, rtol=0.01)
    assert delivered.count.item() == delivered.pulses == 10**6
    assert worn[3, 5] == worn.sum() == 10**6


def test_half_select_disturb_gives_each_step_of_a_train_in_one_command(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[int] = []
    give = CrossbarBoard.pulse

    def pulse(board: CrossbarBoard, pulses: PulseMap) -> Delivered:
        told.append(int(np.max(pulses.count)))
        return give(board, pulses)

    monkeypatch.setattr(CrossbarBoard, "pulse", pulse)
    with open_bench("mock_ta_hfo2", seed=3) as bench:
        plan = HalfSelectPlan(cells="3,5", pulses=10**6, per_decade=1, average=1)
        half_select_disturb(bench.array, plan)
    assert told.count(900_000) == 4


def test_a_million_reads_are_one_transaction() -> None:
    with open_bench("mock_ta_hfo2", seed=3) as bench:
        array: Any = bench.array
        before = array.cost
        reading = array.read_repeated(Block(3, 2, 5, 1), reads=10**6, average=16)
        cost = array.cost - before
    assert (cost.transactions, cost.slots, cost.pulses) == (1, 2 * (10**6 + 1), 0)
    assert reading.conductance.shape == (2, 1)
    assert bench.wear.maps()["pulses"].sum() == 0.0
