"""The ArC TWO array: what it calls of ``pyarc2``, how it cuts a pulse map, what it refuses, how it lets go."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from support import arc_two as bench
from xbarlab.common.errors import RefusedError, XbarlabError
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed, Samples, Staircases, Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.arc_two.array import PIECE_SECONDS, ArcTwo
from xbarlab.instruments.board.arc_two.channels import CLUSTER, Channels
from xbarlab.instruments.board.arc_two.slots import LSB, slots
from xbarlab.instruments.capabilities import CrossbarArray, PulseMap
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.chip.requests import checked_pulses
from xbarlab.instruments.errors import (
    ConnectionLostError,
    GarbledReplyError,
    InstrumentError,
    UnconfirmedError,
    UnsupportedError,
)
from xbarlab.instruments.wire.wire_log import WireLog, read_log, tracing
from xbarlab.mockhw.instruments.arc_two.instrument import SimulatedInstrument

ONE = Block(1, 1, 2, 1)
WHOLE = Block(0, 4, 0, 4)
READ = 655 * LSB
"""What a read at 0.2 V is done at [V]."""
Opener = Callable[..., tuple[ArcTwo, bench.Recorder]]


@pytest.fixture
def opener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Opener]:
    made: list[tuple[ArcTwo, bench.Recorder]] = []

    def open_one(**how: Any) -> tuple[ArcTwo, bench.Recorder]:
        made.append(bench.array(monkeypatch, **how))
        return made[-1]

    yield open_one
    for array, board in made:
        board.trouble = None
        array.close()


def answers(monkeypatch: pytest.MonkeyPatch, call: str, answer: Any) -> None:
    """Let a call of the library answer something."""

    def told(*_: object) -> Any:
        return answer

    monkeypatch.setattr(SimulatedInstrument, call, told)


def pulses_of(board: bench.Recorder) -> list[tuple[Any, ...]]:
    return [op for program in board.programs for op in program if op[0] == "pulse"]


# -- calls -------------------------------------------------------------------------------------------------------------


def test_calls_are_those_of_the_page(opener: Opener, tmp_path: Any) -> None:
    with tracing(WireLog(tmp_path / "calls.log")):
        array, _ = opener()
    array.read(ONE, 0.2)
    array.pulse(PulseMap(ONE, volts=1.0, width=200e-9, count=2))
    array.idle()
    told = [f"{line.direction} {line.message}" for line in read_log(tmp_path / "calls.log")]
    idle = [
        "> finalise_operation(SoftGnd)",
        "> vread_channels([0, 9, 33, 47, 16, 17, 30, 63], True)",
        "> finalise_operation(Float)",
    ]
    pulse = [
        "> pulse_slice_fast_open([(9, 0.50018310546875, 0.0), (30, -0.4998779296875, 0.0)], "
        "[None, 200, None, 200, None, None, None, None], True), delay(200), 2 times",
    ]
    assert told == [
        "* opened",
        "> Instrument(0, firmware, True)",
        *idle,
        f"> read_slice_masked(9, [30], {-READ})",
        "< 32 values",
        "> config_channels(all at 0 V, 0.0)",
        *pulse,
        "> ground_all()",
        "> execute()",
        *idle,
    ]


def test_it_is_an_array_of_the_contract(opener: Opener) -> None:
    array, _ = opener()
    assert isinstance(array, CrossbarArray)
    assert array.spec.supports == {"vmm", "reverse", "sample", "staircase"}
    assert array.spec.simulated


def test_signs_polarity_and_the_mean(opener: Opener) -> None:
    array, board = opener()
    board.current = -2e-6  # out of a column at 0 V while the row is above it
    reading = array.read(WHOLE, 0.2, average=3)
    assert reading.conductance == pytest.approx(2e-6 / READ)
    assert sum(op[0] == "read" for program in board.programs for op in program) == 12
    driven = {volts for program in board.programs for op in program if op[0] == "set" for _, volts in op[1]}
    assert driven == {0.0, READ}
    turned, other = opener(name="turned", chip={"polarity": -1})
    other.current = 2e-6
    assert turned.read(ONE, 0.2).conductance == pytest.approx(2e-6 / READ)


def test_products_and_trains(opener: Opener) -> None:
    array, board = opener()
    board.current = -3e-6
    assert array.ability(Multiplies).vmm(np.full((70, 4), 0.1)) == pytest.approx(3e-6)
    assert array.ability(MultipliesReversed).vmm_reversed(np.full(4, 0.1)).shape == (4,)
    assert board.ends == [0.0] * len(board.ends)
    trace = array.ability(Samples).sample(0, 0, 0.2, rate=1e4, seconds=0.01)
    assert trace.current == pytest.approx(np.full(100, 3e-6))
    assert trace.time[-1] == pytest.approx(0.01)
    with pytest.raises(RefusedError, match=r"seconds 0\.3 s .* outside 0\.001 to 0\.25 s"):
        array.ability(Samples).sample(0, 0, 0.2, rate=1e3, seconds=0.3)
    with pytest.raises(RefusedError, match="longer than 5 s"):
        array.ability(Samples).sample(0, 0, 0.2, rate=100.0, seconds=6.0)
    with pytest.raises(UnsupportedError, match="current limit"):
        array.ability(Sweeps)


# -- how a pulse map is cut --------------------------------------------------------------------------------------------


def test_a_pulse_is_on_the_nearest_step_and_never_beyond_a_limit(opener: Opener) -> None:
    array, board = opener()
    given = array.pulse(PulseMap(ONE, volts=1.0, width=1.238e-6))
    (volts,), (width,) = given.volts.ravel(), given.width.ravel()
    assert volts == pytest.approx(1.0, abs=0.5 * LSB)
    assert width == pytest.approx(1.24e-6)
    ((_, levels, nanos),) = pulses_of(board)
    by = {channel: level for channel, level, _ in levels}
    assert by[9] - by[30] == pytest.approx(volts, abs=1e-12)
    assert abs(by[9] + by[30]) <= LSB
    assert {held for held in nanos if held} == {1240}
    most = array.spec.limits.set_volts_max
    assert most - LSB < float(array.pulse(PulseMap(ONE, volts=most, width=1e-6)).volts.item()) <= most


def test_clusters_share_a_width_and_others_have_their_own(opener: Opener) -> None:
    array, board = opener()
    # Columns 0 and 1 are in cluster 2, column 2 in cluster 3, column 3 in cluster 7.
    row = Block(0, 1, 0, 4)
    given = array.pulse(PulseMap(row, volts=1.0, width=[[1e-6, 1e-6, 5e-7, 2e-6]]))
    assert (given.slots, len(pulses_of(board))) == (1, 1)
    board.programs.clear()
    given = array.pulse(PulseMap(row, volts=1.0, width=[[1e-6, 3e-6, 5e-7, 2e-6]]))
    assert (given.slots, len(pulses_of(board))) == (2, 2)
    board.programs.clear()
    assert array.pulse(PulseMap(row, volts=1.0, width=[[1e-6, 3e-6, 5e-7, 2e-6]], scheme="V/3")).slots == 4


@pytest.mark.parametrize("scheme", ["V/2", "V/3"])
def test_every_cell_gets_its_own_and_no_other_more_than_its_share(opener: Opener, scheme: str) -> None:
    array, _ = opener()
    rng = np.random.default_rng(5)
    for _ in range(200):
        volts = rng.choice([-1.5, -1.0, 1.0, 2.0], (4, 4))
        width = rng.choice([1e-6, 2e-6, 50e-9], (4, 4))
        count = rng.integers(0, 4, (4, 4))
        asked = array.as_given(checked_pulses(array.spec, PulseMap(WHOLE, volts, width, count=count, scheme=scheme)))
        had = np.zeros((4, 4), dtype=int)
        for slot in slots(asked, array.channels):
            level = dict(slot.levels)
            for i, row in enumerate(array.channels.rows):
                for j, col in enumerate(array.channels.cols):
                    held = [slot.nanos[line // CLUSTER] or 0 for line in (row, col) if line in level]
                    cell = level.get(row, 0.0) - level.get(col, 0.0)
                    mine = asked.volts[i, j] == pytest.approx(cell, abs=1e-12)
                    if mine and min(held, default=0) == round(1e9 * asked.width[i, j]) and asked.count[i, j]:
                        had[i, j] += slot.count
                    else:
                        share = 2 if scheme == "V/2" else 3
                        most = max(abs(asked.volts[asked.count > 0].max()), abs(asked.volts[asked.count > 0].min()))
                        full = min(held, default=0) and abs(cell) > most / share + 2 * LSB
                        assert not full or mine
        assert (had >= asked.count).all()
        assert array.slots_of(asked) >= int(count.max(axis=1).sum())


def test_long_trains_are_cut_and_every_program_ends_at_zero(opener: Opener) -> None:
    array, board = opener()
    array.pulse(PulseMap(ONE, volts=1.0, width=1e-3, count=500))
    assert len(pulses_of(board)) == 500
    assert max(board.seconds) <= PIECE_SECONDS
    assert board.ends == [0.0] * len(board.ends)


@pytest.mark.parametrize("scheme", ["V/2", "V/3"])
def test_a_program_is_no_longer_than_the_library_hands_over_at_once(opener: Opener, scheme: str) -> None:
    """Of a longer one a killed host would leave the rest unsaid, its lines at whatever they are at."""
    array, board = opener(chip={"rows": 32, "cols": 32, "lines": {}})
    whole = array.spec.whole
    array.pulse(PulseMap(whole, volts=np.linspace(1.0, 2.0, whole.size).reshape(32, 32), width=1e-6, count=80,
                         scheme=scheme))  # fmt: skip
    array.ability(Multiplies).vmm(np.random.default_rng(1).uniform(-0.1, 0.1, (70, 32)))
    array.ability(Samples).sample(0, 0, 0.2, rate=1e3, seconds=array.spec.sample_points_max / 1e3)
    most = max(map(bench.instructions, board.programs))
    assert bench.AT_ONCE / 2 < most <= bench.AT_ONCE


# -- ramps -------------------------------------------------------------------------------------------------------------


def test_a_staircase_is_a_ramp_of_the_library_and_its_volts_are_what_lines_are_at(
    opener: Opener, tmp_path: Any
) -> None:
    with tracing(WireLog(tmp_path / "calls.log")):
        array, board = opener()
    board.current = -2e-6  # out of a column at 0 V while the row is above it
    told = array.ability(Staircases).staircase(1, 2, 1.0, 2.0, 5, width=203e-9)
    asked = np.linspace(1.0, 2.0, 5)
    assert told.volts == pytest.approx(asked, abs=LSB)
    assert told.width == pytest.approx(200e-9)
    assert told.conductance == pytest.approx(np.full(5, 2e-6 / READ))
    for (_, levels, nanos), volts in zip(pulses_of(board), told.volts, strict=True):
        level = {channel: round(volt / LSB) * LSB for channel, volt, _ in levels}
        assert level[9] - level[30] == pytest.approx(volts, abs=1e-9)
        assert {held for held in nanos if held} == {200}
    driven = [dict(op[1]) for op in board.programs[-1] if op[0] == "set" and any(volts for _, volts in op[1])]
    assert driven == [{9: READ, 30: 0.0}] * 5
    made = [line.message for line in read_log(tmp_path / "calls.log") if line.message.startswith("generate_ramp(")]
    assert len(made) == 1
    assert made[0].startswith("generate_ramp(9, 30, -")
    assert made[0].endswith(f", 200, 0, 1, Arb({-READ}), Pulse)")
    assert board.ends[-1] == 0.0
    assert (array.cost.pulses, array.cost.transactions) == (5, 1)


def test_a_staircase_never_goes_beyond_a_limit_and_long_ones_are_cut(opener: Opener) -> None:
    array, board = opener(limits={"set_volts_max": 2.0, "reset_volts_max": 1.5})
    staircase, before = array.ability(Staircases).staircase, array.wear.summary()
    assert 2.0 - 2 * LSB < staircase(0, 0, 0.1, 2.0, 200, width=1e-6).volts[-1] <= 2.0
    assert len(pulses_of(board)) == 200
    assert staircase(0, 0, -0.1, -1.5, 3, width=1e-6).volts[-1] >= -1.5
    assert staircase(0, 0, 1.0, 1.0, 3, width=1e-6).volts == pytest.approx(1.0, abs=LSB)
    assert staircase(0, 0, 1.0, 1.0, 1, width=1e-6).volts.shape == (1,)
    staircase(0, 0, 1.0, 2.0, 30, width=5e-3)
    assert max(map(bench.instructions, board.programs)) <= bench.AT_ONCE
    assert max(board.seconds) <= PIECE_SECONDS
    sent = len(board.programs)
    for stop, width, points in ((2.01, 1e-6, 3), (-1.6, 1e-6, 3), (np.nan, 1e-6, 3), (1.0, 1.0, 3), (1.0, 1e-6, 0)):
        with pytest.raises(RefusedError):
            staircase(0, 0, 0.1, stop, points, width=width)
    assert len(board.programs) == sent
    assert set(board.ends) == {0.0}
    after = array.wear.summary()
    borne = [float(after[f"{kind}_pulses_total"]) - float(before[f"{kind}_pulses_total"]) for kind in ("set", "reset")]
    assert borne == [234.0, 3.0]


def test_a_staircase_that_the_budget_does_not_allow_gives_nothing(opener: Opener) -> None:
    array, board = opener(limits={"pulses_total_max": 50})
    sent, before = len(board.programs), array.wear.summary()
    with pytest.raises(RefusedError, match="50"):
        array.ability(Staircases).staircase(0, 0, 0.1, 0.5, 60, width=1e-6)
    assert (len(board.programs), array.wear.summary()) == (sent, before)


def test_a_call_that_is_refused_behind_pulses_leaves_them_unconfirmed(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the library has in its buffer is carried out when the lines are taken to 0 V."""
    array, board = opener()
    refused: list[int] = []

    def refuse(*_: object) -> None:
        refused.append(1)
        raise OSError("no USB")

    monkeypatch.setattr(SimulatedInstrument, "delay", refuse)
    with pytest.raises(UnconfirmedError, match="may have had up to 3 pulses"):
        array.pulse(PulseMap(ONE, 1.0, 1e-6, count=3))
    assert refused
    assert pulses_of(board), "it was carried out on the way to 0 V"
    monkeypatch.undo()
    monkeypatch.setattr(SimulatedInstrument, "config_channels", refuse)
    with pytest.raises(InstrumentError, match="no pulse was in its program"):
        array.pulse(PulseMap(ONE, 1.0, 1e-6, count=3))


def test_reads_are_at_steps_of_the_converter_and_never_above_the_limit(opener: Opener) -> None:
    array, board = opener(limits={"read_volts_max": 0.1, "vmm_volts_max": 0.1})
    assert array.spec.read_volts == 0.1
    board.current = -1e-6
    reading = array.read(ONE)
    assert reading.volts == 327 * LSB, "0.1 V would be rounded to more than the limit"
    assert reading.conductance == pytest.approx(1e-6 / reading.volts)
    low = array.read(ONE, 0.0004)
    assert low.volts == LSB
    assert low.conductance == pytest.approx(1e-6 / LSB)
    assert array.ability(Samples).sample(1, 2, 0.002, rate=1e4, seconds=1e-3).volts == 7 * LSB
    array.ability(Multiplies).vmm(np.full(4, 0.1))
    driven = {abs(volts) for program in board.programs for op in program if op[0] == "set" for _, volts in op[1]}
    assert max(driven) == 327 * LSB
    with pytest.raises(RefusedError, match=r"choose at least 0\.000305 V"):
        array.read(ONE, 1e-4)


def test_a_width_is_rounded_to_one_that_the_limits_allow(opener: Opener) -> None:
    array, _ = opener(limits={"width_min": 54e-9, "width_max": 76e-9})
    assert array.pulse(PulseMap(ONE, 1.0, 54e-9)).width.item() == pytest.approx(60e-9)
    assert array.pulse(PulseMap(ONE, 1.0, 76e-9)).width.item() == pytest.approx(70e-9)
    assert array.ability(Staircases).staircase(1, 2, 0.1, 0.2, 2, width=54e-9).width == pytest.approx(60e-9)
    with pytest.raises(RefusedError, match="multiple of 10 ns between them"):
        opener(name="narrow", limits={"width_min": 54e-9, "width_max": 56e-9})


def test_a_staircase_turns_round_with_the_chip(opener: Opener) -> None:
    array, board = opener(name="turned", chip={"polarity": -1})
    board.current = 2e-6
    told = array.ability(Staircases).staircase(1, 2, 1.0, 2.0, 2, width=1e-6)
    assert told.conductance == pytest.approx(np.full(2, 2e-6 / READ))
    (first, _) = pulses_of(board)
    level = {channel: volt for channel, volt, _ in first[1]}
    assert level[9] - level[30] == pytest.approx(-1.0, abs=LSB)


# -- what is refused ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ({"rows": [0, 1, 2, 16], "cols": [17, 18, 19, 20]}, "all rows on one side"),
        ({"rows": [0, 1, 2, 3], "cols": [4, 5, 6, 7]}, "all rows on one side"),
        ({"rows": [0, 1, 2, 64], "cols": [16, 17, 18, 19]}, "no channel 64"),
    ],
)
def test_lines_that_cannot_be_pulsed_are_refused(lines: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError, match=said):
        Channels("arc", parse_chip({**bench.CHIP, "lines": lines}, source="chip"))


def test_a_chip_without_lines_sits_on_the_first_channels_of_each_side() -> None:
    made = Channels("arc", parse_chip({"id": "c", "rows": 20, "cols": 3, "cell": "passive"}, source="chip"))
    assert made.rows == (*range(16), 32, 33, 34, 35)
    assert made.cols == (16, 17, 18)


def test_the_library_and_the_firmware_are_asked_for_by_name(tmp_path: Any) -> None:
    with pytest.raises(RefusedError, match=r"write pyarc2, or bench\.yaml@xbarlab"):
        ArcTwo("arc", library="os", firmware="fw.bin")
    with pytest.raises(RefusedError, match=r"firmware is|xbarlab\[arc2\]"):
        ArcTwo("arc", firmware=str(tmp_path / "none.bin"))


REQUESTS = 10_000


def test_nothing_outside_the_limits_reaches_the_library(opener: Opener) -> None:
    array, board = opener(limits=bench.NARROW)
    refused = bench.ask_at_random(array, board, np.random.default_rng(11), REQUESTS)
    assert 0.2 < refused / REQUESTS < 0.9
    used = set(array.channels.all)
    for program in board.programs:
        reads = any(op[0] == "read" for op in program)
        for name, *arguments in program:
            if name == "set":
                levels = [volts for _, volts in arguments[0]]
                assert {channel for channel, volts in arguments[0] if volts} <= used
                assert max(map(abs, levels)) <= (0.25 if reads else 0.0)
            if name == "pulse":
                level = dict.fromkeys(used, 0.0) | {channel: active for channel, active, _ in arguments[0]}
                cells = [level[row] - level[col] for row in array.channels.rows for col in array.channels.cols]
                assert -2.0 <= min(cells) <= max(cells) <= 3.0
                assert {channel for channel, _, _ in arguments[0]} <= used
                assert all(nanos is None or 100 <= nanos <= 1_000_000 for nanos in arguments[1])
            assert name not in {"supplies", "select"}, "there are no gates"
    assert board.ends == [0.0] * len(board.ends)


def test_the_last_look_before_the_library_refuses_too(opener: Opener) -> None:
    array, board = opener(limits={"set_volts_max": 2.0, "reset_volts_max": 2.0})
    with pytest.raises(RefusedError, match="pulse_volts"):
        array.calls.pulse([(0, 1.0), (16, -1.5)], [100] * 8, array.spec.limits)
    with pytest.raises(RefusedError, match="channel 5 has no line"):
        array.calls.pulse([(5, 0.5)], [100] * 8, array.spec.limits)
    with pytest.raises(RefusedError, match="grid of 10 ns"):
        array.calls.pulse([(0, 0.5)], [105] * 8, array.spec.limits)
    with pytest.raises(RefusedError, match="read_volts"):
        array.calls.slice(0, [16], 0.6, array.spec.limits)
    assert not board.programs


# -- what goes wrong ---------------------------------------------------------------------------------------------------


def test_a_library_that_fails_ends_safely_and_says_what_may_have_been_given(opener: Opener) -> None:
    array, board = opener()
    board.trouble = OSError("no such device")
    with pytest.raises(UnconfirmedError, match="may have had up to 3 pulses"):
        array.pulse(PulseMap(ONE, volts=1.0, width=1e-6, count=3))
    assert not array.ending[0].confirmed
    with pytest.raises(ConnectionLostError, match="USB cable"):
        array.read(ONE)
    board.trouble = None
    array.idle()
    assert array.ending[0].confirmed
    assert board.floating.all()
    assert not board.volts.any()


def test_a_board_that_stays_busy_is_not_waited_for_for_ever(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    array, _ = opener()
    monkeypatch.setattr("xbarlab.instruments.board.arc_two.calls.PATIENCE", 0.02)
    answers(monkeypatch, "busy", True)
    with pytest.raises(XbarlabError, match="still busy"):
        array.pulse(PulseMap(ONE, volts=1.0, width=1e-6))


def test_a_short_answer_is_no_reading(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    array, _ = opener()
    answers(monkeypatch, "read_slice_masked", np.zeros(7))
    with pytest.raises(GarbledReplyError, match="7 values, 32"):
        array.read(ONE)


def test_a_line_that_stays_up_is_told(opener: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    array, _ = opener()
    answers(monkeypatch, "vread_channels", [0.0, 1.2])
    array.idle()
    assert "a line was at 1.2 V" in array.ending[0].result
