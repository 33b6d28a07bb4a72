"""The records protocols decide by."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Sweeps, UpdatesByOuterProduct
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.spec import BoardCapability
from xbarlab.instruments.capabilities import Cost
from xbarlab.instruments.chip.line_map import LineMap
from xbarlab.instruments.clock import SimulatedClock, WallClock
from xbarlab.instruments.errors import InstrumentError, UnsupportedError
from xbarlab.instruments.limits import Limits

RECORD = """{"protocol": "xbarlab-board/1", "rows": 16, "cols": 8, "cell": "1R", "clock": "simulated",
 "dac": {"volts_lsb": 1e-4, "volts_max": 3.0}, "width": {"tick": 1e-8, "min": 1e-7, "max": 1e-3},
 "count_max": 1000, "slot_overhead": 5e-6,
 "read": {"volts_max": 0.1, "ranges": [1e-3, 1e-6], "adc_bits": 16, "average_max": 16, "slot_seconds": 1e-5},
 "schemes": ["ground", "half"], "supports": []}"""


@pytest.fixture
def spec() -> Any:
    can = BoardCapability.from_json(RECORD, source="board")
    return can.spec("board", can.limits(), bad_cells=((2, 3),))


def test_the_record_narrows_the_limits(spec: Any) -> None:
    limits = spec.limits
    assert (limits.set_volts_max, limits.reset_volts_max, limits.read_volts_max) == (3.0, 3.0, 0.1)
    assert (limits.width_min, limits.width_max, limits.count_max) == (1e-7, 1e-3, 1000)
    assert (limits.gate_max, limits.current_max) == (0.0, 0.0)  # no gates, no sweeps: nothing passes
    assert spec.read_volts == 0.1
    assert (spec.cell, spec.gate_axis, spec.read_ranges) == ("passive", None, (1e-6, 1e-3))


def test_a_board_that_can_more_does_not_widen_the_driver() -> None:
    can = BoardCapability.from_json(RECORD.replace('"volts_max": 3.0', '"volts_max": 30.0'), source="board")
    assert can.limits().set_volts_max == Limits().set_volts_max


@pytest.mark.parametrize(
    ("old", "new", "error", "words"),
    [
        ("xbarlab-board/1", "xbarlab-board/7", UnsupportedError, "xbarlab-board/7"),
        ('"rows": 16', '"rows": "many"', InstrumentError, "many"),
        ('"count_max": 1000, ', "", InstrumentError, "count_max"),
        ('"1R"', '"2T"', InstrumentError, "2T"),
        ('"supports": []', '"supports": ["sample"]', InstrumentError, "sample"),
        ('{"protocol"', '["protocol"', InstrumentError, "not JSON"),
    ],
)
def test_records_that_cannot_be_used_say_why(old: str, new: str, error: type[Exception], words: str) -> None:
    assert old in RECORD
    with pytest.raises(error, match=words):
        BoardCapability.from_json(RECORD.replace(old, new), source="board")


@pytest.mark.parametrize(
    ("text", "shape", "start"),
    [("all", (16, 8), (0, 0)), ("0:8,0:8", (8, 8), (0, 0)), ("3,5", (1, 1), (3, 5)), (":,2:4", (16, 2), (0, 2)),
     (" 4: , :3 ", (12, 3), (4, 0))],
)  # fmt: skip
def test_cells_are_read(spec: Any, text: str, shape: tuple[int, int], start: tuple[int, int]) -> None:
    block = Block.parse(text, spec)
    assert block.shape == shape
    assert (block.row0, block.col0) == start
    assert Block.parse(str(block), spec) == block


@pytest.mark.parametrize("text", ["", "3", "0:17,0:1", "5:5,0:1", "16,0", "a,b", "1:2:3,0", ",1", "-1,0", "3:1,0"])
def test_cells_outside_or_unreadable_are_refused(spec: Any, text: str) -> None:
    with pytest.raises(RefusedError, match="cells"):
        Block.parse(text, spec)


@pytest.mark.parametrize("separate", [True, False])
def test_only_single_devices_are_told_that_they_are_no_crossbar(spec: Any, separate: bool) -> None:
    line = replace(spec, cols=1, bad_cells=(), separate=separate)
    with pytest.raises(RefusedError) as refused:
        Block.parse("0:3,0:3", line)
    assert ("no crossbar" in str(refused.value)) is separate


def test_the_spec_knows_its_bad_cells(spec: Any) -> None:
    mask = spec.healthy_mask(Block(2, 2, 2, 2))
    assert mask.tolist() == [[True, False], [True, True]]


def test_missing_abilities_and_schemes_say_what_there_is(spec: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"does not support sweep: it would need a source.*; it supports reads"):
        spec.require(Sweeps)
    with pytest.raises(UnsupportedError, match=r"it would need pulsers .*; wings do without; it supports"):
        spec.require(UpdatesByOuterProduct, otherwise="wings do without")
    with pytest.raises(UnsupportedError, match=r"'third'.*ground, half"):
        spec.require_scheme("third", writing=True)
    assert spec.require_scheme("half", writing=True) == "half"
    assert spec.require_scheme(None, writing=False) == "ground"


def test_costs_add_and_subtract() -> None:
    one, two = Cost(1, 2, 3, 0.5), Cost(4, 6, 8, 1.0)
    assert two - one == Cost(3, 4, 5, 0.5)
    assert (two - one) + one == two


def test_turned_polarity_loses_the_boards_own_verify() -> None:
    text = RECORD.replace('"supports": []', '"supports": ["onboard_verify"]')
    can = BoardCapability.from_json(text, source="board")
    assert can.abilities(1) == {"onboard_verify"}
    assert can.abilities(-1) == set()


def test_line_map_moves_there_and_back() -> None:
    rng = np.random.default_rng(1)
    lines = LineMap(rng.permutation(16)[:6], rng.permutation(8)[:5], (16, 8))
    block = Block(1, 4, 0, 3)
    plane = rng.random(block.shape)
    board = lines.spread(plane, block)
    assert board.shape == lines.rectangle(block).shape
    assert np.count_nonzero(board) == block.size
    assert (lines.gather(board, block) == plane).all()
    row, col = lines.cell(2, 1)
    rectangle = lines.rectangle(block)
    assert board[row - rectangle.row0, col - rectangle.col0] == plane[1, 1]
    assert not lines.whole_board
    assert LineMap.straight((16, 8), (16, 8)).whole_board
    assert not LineMap.straight((16, 7), (16, 8)).whole_board


class _Link:
    def __init__(self) -> None:
        self.silences: list[float] = []
        self.time = 0.0

    def declare_silence(self, seconds: float) -> None:
        self.silences.append(seconds)

    def simulated_seconds(self) -> float:
        return self.time

    def advance_simulation(self, seconds: float) -> None:
        self.time += seconds


def test_the_wall_clock_declares_silence_and_waits_the_time() -> None:
    link = _Link()
    clock = WallClock(link)
    before = clock.now()
    clock.wait(0.12)
    assert clock.now() - before >= 0.12
    assert link.silences == [0.12]


def test_the_simulated_clock_costs_no_time() -> None:
    clock = SimulatedClock(_Link())
    clock.wait(1e4)
    assert clock.now() == 1e4


@pytest.mark.parametrize("seconds", [-1.0, float("nan"), float("inf")])
def test_clocks_refuse_nonsense(seconds: float) -> None:
    for clock in (WallClock(), SimulatedClock(_Link())):
        with pytest.raises(RefusedError, match="wait"):
            clock.wait(seconds)


def test_a_block_of_small_integers_does_not_wrap() -> None:
    block = Block(np.int8(100), np.int8(100), np.uint8(200), np.uint8(100))
    assert block == Block(100, 100, 200, 100)
    assert block.slices == (slice(100, 200), slice(200, 300))
    assert block.size == 10_000
    assert all(type(value) is int for value in (block.row0, block.nrows, block.col0, block.ncols))
    assert block.moved(np.int8(100), 0) == Block(200, 100, 200, 100)
    for odd in (np.True_, np.float64(1.0), np.ma.masked, np.array(1), "1"):
        with pytest.raises(RefusedError, match="must be a whole number"):
            Block(odd, 1, 0, 1)
