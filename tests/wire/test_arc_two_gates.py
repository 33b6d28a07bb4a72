"""The ArC TWO with a 1T1R chip: its gates on the board's selectors, what is cut, refused, and how gates go off."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from support import arc_two as bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed, Samples
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.arc_two.array import PIECE_SECONDS, ArcTwo
from xbarlab.instruments.board.arc_two.channels import CLUSTER
from xbarlab.instruments.board.arc_two.gated_slots import gated_slots
from xbarlab.instruments.board.arc_two.gates import Gates
from xbarlab.instruments.board.arc_two.slots import LSB
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.chip.requests import checked_pulses
from xbarlab.instruments.errors import UnconfirmedError, UnsupportedError
from xbarlab.instruments.wire.wire_log import WireLog, read_log, tracing

ONE = Block(1, 1, 2, 1)
WHOLE = Block(0, 4, 0, 4)
READ = 655 * LSB
"""What a read at 0.2 V is done at [V]."""
AXES = ("col", "row")
Opener = Callable[..., tuple[ArcTwo, bench.Recorder]]


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    made: list[tuple[ArcTwo, bench.Recorder]] = []

    def open_one(**how: Any) -> tuple[ArcTwo, bench.Recorder]:
        made.append(bench.array(monkeypatch, gated=True, **how))
        return made[-1]

    yield open_one
    for array, board in made:
        board.trouble = None
        array.close()


def on_all_channels(axis: str) -> dict[str, Any]:
    return {"rows": 32, "cols": 32, "lines": {}, "gate_axis": axis}


def test_a_chip_whose_gates_may_not_be_opened_is_refused(opener: Opener) -> None:
    with pytest.raises(RefusedError, match="no gate opens"):
        opener(chip={"limits": {"gate_max": 0.0}})


# -- calls -------------------------------------------------------------------------------------------------------------

OFF = ["> config_selectors([])", "> config_aux_channels([(SELL, 0.0), (SELH, 0.0)])"]
IDLE = [
    "> finalise_operation(SoftGnd)",
    *OFF,
    "> execute()",
    "> vread_channels([0, 9, 33, 47, 16, 17, 30, 63], True)",
    "> finalise_operation(Float)",
]
END = ["> ground_all()", *OFF, "> execute()"]


def test_calls_are_those_of_the_page(opener: Opener, tmp_path: Any) -> None:
    with tracing(WireLog(tmp_path / "calls.log")):
        array, _ = opener()
    array.read(ONE, 0.2, gate=2.0, average=2)
    array.pulse(PulseMap(ONE, volts=1.0, width=200e-9, gate=1.5, count=2))
    array.idle()
    told = [f"{line.direction} {line.message}" for line in read_log(tmp_path / "calls.log")]
    assert told == [
        "* opened",
        "> Instrument(0, firmware, True)",
        *IDLE,
        "> pick_one(All, Current)",
        "> config_channels(all at 0 V, 0.0)",
        "> config_aux_channels([(SELL, 0.0), (SELH, 2.0001220703125)])",
        "> config_selectors([31])",
        f"> config_channels([(9, {READ})], None)",
        "> read_slice_open_deferred([30], True)",
        "> read_slice_open_deferred([30], True)",
        *END,
        "> pick_one(All, Current)",
        "< 64 values",
        "> pick_one(All, Current)",
        "< 64 values",
        "> config_channels(all at 0 V, 0.0)",
        "> config_aux_channels([(SELL, 0.0), (SELH, 1.49993896484375)])",
        "> config_selectors([31])",
        "> pulse_slice_fast_open([(9, 1.00006103515625, 0.0)], [None, 200, None, None, None, None, None, None], True), "
        "delay(200), 2 times",
        *END,
        *IDLE,
    ]


def test_it_is_what_the_chip_is(opener: Opener) -> None:
    array, _ = opener()
    spec = array.spec
    assert (spec.cell, spec.gate_axis, spec.write_schemes, spec.read_gate) == ("1T1R", "col", ("ground",), 3.3)
    assert opener(name="turned", chip={"gate_axis": "row"})[0].spec.gate_axis == "row"
    assert opener(name="narrow", limits={"gate_max": 2.5})[0].spec.read_gate == 2.5
    with pytest.raises(UnsupportedError, match="cells whose gates are on"):
        array.pulse(PulseMap(ONE, volts=1.0, width=1e-6, gate=1.0, scheme="V/2"))


@pytest.mark.parametrize("axis", AXES)
def test_gates_are_those_of_the_cells_and_products_have_all(opener: Opener, axis: str) -> None:
    array, board = opener(chip={"gate_axis": axis})
    board.current = -3e-6
    reading = array.read(Block(1, 2, 0, 2), 0.2, average=3)
    assert reading.conductance == pytest.approx(3e-6 / READ)
    selected = [op[1] for program in board.programs for op in program if op[0] == "select" and op[1]]
    assert selected == ([(3, 0)] if axis == "col" else [(0,), (31,)])
    board.programs.clear()
    assert array.ability(Multiplies).vmm(np.full((40, 4), 0.1)) == pytest.approx(3e-6)
    assert array.ability(MultipliesReversed).vmm_reversed(np.full(4, 0.1)).shape == (4,)
    selected = [op[1] for program in board.programs for op in program if op[0] == "select" and op[1]]
    assert selected == [(3, 0, 31, 8)] * 3
    board.programs.clear()
    assert array.ability(Samples).sample(1, 2, 0.2, rate=1e4, seconds=0.01).current == pytest.approx(3e-6)
    selected = [op[1] for program in board.programs for op in program if op[0] == "select" and op[1]]
    assert selected == [(31,) if axis == "col" else (0,)]
    supplies = [dict(op[1]) for program in board.programs for op in program if op[0] == "supplies"]
    assert {one["SELL"] for one in supplies} == {0.0}
    assert set(board.gate_ends) == {0.0}


# -- how a pulse map is cut --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", AXES)
def test_every_cell_gets_its_own_through_its_gate_and_no_other_anything(opener: Opener, axis: str) -> None:
    array, _ = opener(chip={"gate_axis": axis})
    assert array.gates is not None
    rng = np.random.default_rng(5)
    for _ in range(200):
        volts = rng.choice([-1.5, -1.0, 1.0, 2.0], (4, 4))
        width = rng.choice([1e-6, 2e-6, 50e-9], (4, 4))
        gate = rng.choice([1.1, 1.5, 3.3], (4, 4))
        count = rng.integers(0, 4, (4, 4))
        asked = array.as_given(checked_pulses(array.spec, PulseMap(WHOLE, volts, width, gate, count)))
        had = np.zeros((4, 4), dtype=int)
        for slot in gated_slots(asked, array.channels, array.gates):
            level = dict(slot.levels)
            for i, row in enumerate(array.channels.rows):
                for j, col in enumerate(array.channels.cols):
                    if array.gates.lines[j if axis == "col" else i] not in slot.selectors:
                        continue
                    cell = level.get(row, 0.0) - level.get(col, 0.0)
                    if not cell:
                        continue
                    (held,) = [slot.nanos[line // CLUSTER] for line in (row, col) if line in level]
                    assert cell == pytest.approx(asked.volts[i, j], abs=1e-12)
                    assert held == round(1e9 * asked.width[i, j])
                    assert slot.gate == pytest.approx(gate[i, j], abs=0.5 * LSB)
                    had[i, j] += slot.count
        assert np.array_equal(had, asked.count)


def test_cells_of_a_slot_share_their_gate_and_columns_of_a_cluster_their_width(opener: Opener) -> None:
    row = Block(0, 1, 0, 4)
    array, _ = opener()
    assert array.pulse(PulseMap(row, volts=1.0, width=1e-6, gate=1.5)).slots == 1
    assert array.pulse(PulseMap(row, volts=1.0, width=1e-6, gate=[[1.5, 1.6, 1.5, 1.6]])).slots == 2
    assert array.pulse(PulseMap(row, volts=[[1.0, 1.0, 1.2, 1.2]], width=1e-6, gate=1.5)).slots == 2
    turned, _ = opener(name="turned", chip={"gate_axis": "row"})
    # Columns 0 and 1 are in cluster 2, column 2 in cluster 3, column 3 in cluster 7.
    assert turned.pulse(PulseMap(row, volts=[[1.0, 1.1, 1.2, -1.3]], width=1e-6, gate=1.5)).slots == 1
    assert turned.pulse(PulseMap(row, volts=[[1.0, -1.1, 1.2, 1.3]], width=1e-6, gate=1.5)).slots == 2
    assert turned.pulse(PulseMap(row, volts=1.0, width=[[1e-6, 2e-6, 3e-6, 4e-6]], gate=1.5)).slots == 2


def test_a_gate_is_on_the_nearest_step_and_never_beyond_its_limit(opener: Opener) -> None:
    array, board = opener(limits={"gate_max": 1.9999})
    for asked in (1.0001, 1.9999):
        given = float(array.pulse(PulseMap(ONE, volts=1.0, width=1e-6, gate=asked)).gate.item())
        assert given <= 1.9999
        assert given == pytest.approx(asked, abs=LSB)
        assert max(dict(op[1])["SELH"] for op in board.programs[-1] if op[0] == "supplies") == given


@pytest.mark.parametrize("axis", AXES)
def test_a_program_is_no_longer_than_the_library_hands_over_at_once(opener: Opener, axis: str) -> None:
    array, board = opener(chip=on_all_channels(axis))
    whole, rng = array.spec.whole, np.random.default_rng(1)
    array.pulse(
        PulseMap(whole, volts=rng.uniform(1.0, 2.0, whole.shape), width=1e-6, gate=rng.uniform(1.0, 3.0, whole.shape))
    )
    array.pulse(PulseMap(Block(0, 1, 0, 32), volts=rng.uniform(1.0, 2.0, (1, 32)), width=1e-6, gate=1.5, count=80))
    array.pulse(PulseMap(ONE, volts=1.0, width=1e-3, gate=1.5, count=200))
    array.read(whole, 0.2, average=3)
    array.ability(Multiplies).vmm(rng.uniform(-0.1, 0.1, (70, 32)))
    array.ability(Samples).sample(0, 0, 0.2, rate=1e3, seconds=array.spec.sample_points_max / 1e3)
    assert max(map(bench.instructions, board.programs)) <= bench.AT_ONCE
    assert max(seconds for seconds in board.seconds if seconds < 0.1) <= PIECE_SECONDS
    assert set(board.ends) == set(board.gate_ends) == {0.0}


# -- what is refused ---------------------------------------------------------------------------------------------------


def gated(**changes: Any) -> dict[str, Any]:
    return {**bench.GATED, **changes}


@pytest.mark.parametrize(
    ("chip", "said"),
    [
        (gated(lines={"gates": [0, 1, 2, 32]}), "no selector 32: lines.gates are selectors 0 to 31"),
        (gated(lines={"gates": [0, 1, 2]}), "names 3 board lines for 4 gates, one for each of the cols"),
        (gated(lines={"gates": [0, 1, 2]}, rows=3, gate_axis="col"), "names 3 board lines for 4 gates"),
        (gated(lines={"gates": [0, 1, 1, 2]}), "4 different board lines"),
        (gated(cell="passive"), "passive cells have no gates"),
    ],
)
def test_gates_that_cannot_be_switched_are_refused(chip: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        Gates("arc", parse_chip(chip, source="chip"))


def test_without_lines_gates_are_the_first_selectors() -> None:
    chip: dict[str, Any] = {"id": "c", "rows": 20, "cols": 3, "cell": "1T1R"}
    assert Gates("arc", parse_chip(chip, source="chip")).lines == (0, 1, 2)
    turned = Gates("arc", parse_chip({**chip, "gate_axis": "row"}, source="chip"))
    assert turned.lines == tuple(range(20))
    assert turned.of(5, [0, 1]) == (5,)


def test_a_chip_says_what_its_gates_bear_and_not_more_than_the_supply_can(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RefusedError, match=r"does not say gate_max.*at most 5 V"):
        bench.array(monkeypatch, gated=True, chip={"limits": {}})
    with pytest.raises(RefusedError, match="gate_max = 6 is wider than the driver's 5"):
        bench.array(monkeypatch, gated=True, chip={"limits": {"gate_max": 6.0}})


@pytest.mark.parametrize("axis", AXES)
def test_nothing_outside_the_limits_reaches_the_library(opener: Opener, axis: str) -> None:
    requests = 5_000
    array, board = opener(chip={"gate_axis": axis}, limits={**bench.NARROW, "gate_max": 2.0})
    refused = bench.ask_at_random(array, board, np.random.default_rng(13), requests)
    assert 0.2 < refused / requests < 0.9
    used = set(array.channels.all)
    assert array.gates is not None
    highest = 0.0
    for program in board.programs:
        for name, *arguments in program:
            if name == "supplies":
                given = dict(arguments[0])
                assert set(given) == {"SELL", "SELH"}
                assert given["SELL"] == 0.0 <= given["SELH"] <= 2.0
                highest = max(highest, given["SELH"])
            if name == "select":
                assert set(arguments[0]) <= set(array.gates.lines)
            if name == "set":
                assert {channel for channel, volts in arguments[0] if volts} <= used
                assert max(abs(volts) for _, volts in arguments[0]) <= 0.25
            if name == "pulse":
                level = dict.fromkeys(used, 0.0) | {channel: active for channel, active, _ in arguments[0]}
                cells = [level[row] - level[col] for row in array.channels.rows for col in array.channels.cols]
                assert -2.0 <= min(cells) <= max(cells) <= 3.0
                assert all(nanos is None or 100 <= nanos <= 1_000_000 for nanos in arguments[1])
    assert highest > 1.9
    assert set(board.ends) == set(board.gate_ends) == {0.0}


def test_the_last_look_before_the_library_refuses_too(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    array, board = opener(limits={"gate_max": 2.0})
    limits = array.spec.limits
    for volts in (2.001, -0.1, np.nan, np.inf):
        with pytest.raises(RefusedError, match="gate"):
            array.calls.open_gates([3], volts, limits)
    with pytest.raises(RefusedError, match="selector 5 has no gate"):
        array.calls.open_gates([3, 5], 1.0, limits)
    assert not board.programs
    passive, _ = bench.array(monkeypatch, name="passive")
    with pytest.raises(RefusedError, match="selector 3 has no gate"):
        passive.calls.open_gates([3], 1.0, limits)
    passive.close()


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_gates_go_off_on_the_way_out_of_a_program_that_failed(opener: Opener) -> None:
    array, board = opener()
    board.trouble = OSError("no such device")
    with pytest.raises(UnconfirmedError, match="may have had up to 3 pulses"):
        array.pulse(PulseMap(ONE, volts=1.0, width=1e-6, gate=1.5, count=3))
    assert not array.ending[0].confirmed
    board.trouble = None
    board.selected, board.supplies = (3, 31), {"SELL": 0.0, "SELH": 1.5}  # as the program left them in the middle
    array.idle()
    assert array.ending[0].confirmed
    assert board.selected == ()
    assert set(board.supplies.values()) == {0.0}
    assert board.floating.all()
