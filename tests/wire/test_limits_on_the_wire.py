"""What is refused puts zero bytes on the wire, whichever door it came through."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qcodes.parameters import Parameter
from qcodes.station import Station
from qcodes.validators import Numbers

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import PulseMap, VerifyRequest
from xbarlab.instruments.errors import UnsupportedError

LIMITS = {"set_volts_max": 3.0, "reset_volts_max": 2.0, "read_volts_max": 0.3, "gate_max": 2.5, "vmm_volts_max": 0.25}
CELL = Block(0, 1, 0, 1)


@pytest.fixture
def board() -> Iterator[Any]:
    board = CrossbarBoard("board", resource=fake.FakeBoard(), limits=LIMITS)
    board.read(CELL)  # connected, so that nothing but the refused value could be sent
    yield board
    board.close()


def verify(**changes: Any) -> VerifyRequest:
    good: dict[str, Any] = {
        "block": CELL, "target": np.array([[1e-4]]), "tolerance": 1e-5, "pulses_max": 9, "width": 1e-6,
        "set_volts": 2.0, "set_gate": (0.5, 2.0, 0.1), "reset_volts": (0.5, 2.0, 0.1), "reset_gate": 2.0,
    }  # fmt: skip
    return VerifyRequest(**{**good, **changes})


METHODS: list[tuple[str, Callable[[Any], object]]] = [
    ("pulse_volts 3.1 V.*set_volts_max", lambda b: b.pulse(PulseMap(CELL, 3.1, 1e-6, 1.0))),
    ("pulse_volts -2.1 V.*reset_volts_max", lambda b: b.pulse(PulseMap(CELL, -2.1, 1e-6, 1.0))),
    ("pulse_volts is nan", lambda b: b.pulse(PulseMap(CELL, np.nan, 1e-6, 1.0))),
    ("gate is inf", lambda b: b.pulse(PulseMap(CELL, 1.0, 1e-6, np.inf))),
    ("gate 2.6 V.*gate_max", lambda b: b.pulse(PulseMap(CELL, 1.0, 1e-6, 2.6))),
    ("gate -0.1 V", lambda b: b.pulse(PulseMap(CELL, 1.0, 1e-6, -0.1))),
    ("width -1e-06 s", lambda b: b.pulse(PulseMap(CELL, 1.0, -1e-6, 1.0))),
    ("width 0.02 s.*width_max", lambda b: b.pulse(PulseMap(CELL, 1.0, 2e-2, 1.0))),
    ("count 70000 pulses", lambda b: b.pulse(PulseMap(CELL, 1.0, 1e-6, 1.0, 70_000))),
    ("count -1 pulses", lambda b: b.pulse(PulseMap(CELL, 1.0, 1e-6, 1.0, -1))),
    ("count 1.5 is not a whole number", lambda b: b.pulse(PulseMap(CELL, 1.0, 1e-6, 1.0, 1.5))),
    ("outside board", lambda b: b.pulse(PulseMap(Block(7, 2, 0, 1), 1.0, 1e-6))),
    ("2 × 2 cells", lambda b: b.pulse(PulseMap(Block(0, 2, 0, 2), [1.0, 1.0, 1.0], 1e-6))),
    ("'half' *", lambda b: b.pulse(PulseMap(CELL, 1.0, 1e-6, scheme="half"))),
    ("read_volts 0.31 V.*read_volts_max", lambda b: b.read(CELL, 0.31)),
    ("read_volts is nan", lambda b: b.read(CELL, np.nan)),
    ("0 V", lambda b: b.read(CELL, 0.0)),
    ("gate 3 V", lambda b: b.read(CELL, 0.2, gate=3.0)),
    ("average 0 ", lambda b: b.read(CELL, average=0)),
    ("average 2000 ", lambda b: b.read(CELL, average=2000)),
    ("columns 0:4", lambda b: b.read(Block(0, 1, 0, 5))),
    ("read_volts 0.4 V", lambda b: b.sample(0, 0, 0.4, rate=1e3, seconds=1e-2)),
    ("rate 1e.06 Hz", lambda b: b.sample(0, 0, 0.2, rate=1e6, seconds=1e-2)),
    ("rate nan", lambda b: b.sample(0, 0, 0.2, rate=np.nan, seconds=1e-2)),
    ("seconds 1e.06 s", lambda b: b.sample(0, 0, 0.2, rate=1e4, seconds=1e6)),
    ("outside board", lambda b: b.sample(8, 0, 0.2, rate=1e3, seconds=1e-2)),
    (r"pulse_volts 3.5 V at cell \(0, 0\) point \[1\]", lambda b: b.sweep(0, 0, [0, 3.5], compliance=1e-3, dwell=1e-3)),
    ("current 0.006 A", lambda b: b.sweep(0, 0, [0, 1], compliance=6e-3, dwell=1e-3)),
    ("compliance 1e-07 A", lambda b: b.sweep(0, 0, [0, 1], compliance=1e-7, dwell=1e-3)),
    ("dwell 1e-05 s", lambda b: b.sweep(0, 0, [0, 1], compliance=1e-3, dwell=1e-5)),
    ("gate 9 V", lambda b: b.sweep(0, 0, [0, 1], compliance=1e-3, dwell=1e-3, gate=9)),
    ("10001 points", lambda b: b.sweep(0, 0, np.zeros(10_001), compliance=1e-3, dwell=1e-3)),
    ("vmm_volts 0.26 V", lambda b: b.vmm(np.full(8, 0.26))),
    ("vmm_volts is nan", lambda b: b.vmm(np.full((2, 8), np.nan))),
    ("8] voltages", lambda b: b.vmm(np.zeros(7))),
    ("−1 to 1", lambda b: b.outer_update(np.full(8, 1.2), np.zeros(4), pulses=3)),
    ("−1 to 1", lambda b: b.outer_update(np.zeros(8), np.full(4, np.nan), pulses=3)),
    ("needs update_width", lambda b: b.outer_update(np.zeros(8), np.zeros(4), pulses=3)),
    ("pulse_volts 3.2 V", lambda b: b.program_verify(verify(set_volts=3.2))),
    ("pulse_volts -2.4 V", lambda b: b.program_verify(verify(reset_volts=(0.5, 2.4, 0.1)))),
    ("gate 2.7 V", lambda b: b.program_verify(verify(reset_gate=2.7))),
    ("positive numbers", lambda b: b.program_verify(verify(set_volts=-1.0))),
    ("target conductance", lambda b: b.program_verify(verify(target=np.array([[-1e-4]])))),
    ("tolerance nan", lambda b: b.program_verify(verify(tolerance=np.nan))),
]


@pytest.mark.parametrize(("words", "call"), METHODS, ids=[words for words, _ in METHODS])
def test_methods_refuse_before_a_byte(board: Any, words: str, call: Callable[[Any], object]) -> None:
    before, cost = len(board.visa_handle.sent), board.cost
    with pytest.raises(RefusedError, match=words):
        call(board)
    assert board.visa_handle.sent[before:] == []
    assert board.cost == cost


TEXT = [
    "SOUR:READ:VOLT 5", ":sour:read:volt 5", "SOURce:READ:VOLTage 0.4", "SOUR:READ:VOLT 400MV", "SOUR:READ:VOLT -0.4",
    "source:read:voltage 1e0", "SOUR:READ:VOLT 1KV", "SOUR:READ:VOLT NAN", "SOUR:READ:VOLT +INF", "SOUR:READ:VOLT MAX",
    "SOUR:READ:VOLT DEF", "SOUR:READ:VOLT #H7F", "SOUR:READ:VOLT\t5", "SOUR:READ:VOLT    5", "SOUR1:READ:VOLT 5",
    "SOUR:READ:VOLTA 5", "SOUR:READ:VOLT 5 V", "SOUR:READ:VOLT 0.1A", "SOUR:READ:VOLT 9E37", "SOUR:READ:VOLT 1e999",
    "SOUR:READ:GATE 3", "SOUR:VMM:GATE 3", "SOUR:READ:VOLT 0.1;GATE 3", "SENS:AVER 1;:SOUR:READ:VOLT 5",
    "SOUR:READ:GATE 1;*OPC;VOLT 5", "SOUR:READ:GATE 1;SOUR:READ:VOLT 5", "*CLS;SOUR:READ:VOLT 5",
    "PULS:MAP 0,1,0,1,#210xxxxxxxxxx", "pulse:map 0,1,0,1", "SWE:RUN 0,0,1e-3,1e-3,#18xxxxxxxx", "UPD:OUT 1,1e-6,9,9",
    "SOUR:READ:VOLT+5", "SOUR:READ:VOLT\x0b5", "SOUR:READ:VOLT\xa05", "5", "SOUR:READ:VOLT,5",
    "PROG:VER 0,1,0,1", "FOO:BAR #18xxxxxxxx", "SYST:WATC NaN", "OUTP ON\nSOUR:READ:VOLT 5", "SENS:RANG INFINITY",
    "SENS:RANG?",
]  # fmt: skip
ASKED = [
    "SAMP? 0,0,0.4,1,1e3,10", "SAMP? 0,0,0.1,3,1e3,10", "SAMPle? 0,0,NAN,1,1e3,10", "VMM:FORW? 1,#216xxxxxxxxxxxxxxxx",
    "VMM:REVerse? 1,#18xxxxxxxx", "SOUR:READ:VOLT 5;VOLT?", "SENS:RANG?;:SOUR:READ:VOLT 5", "OUTP ON",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXT)
def test_raw_text_is_read_and_refused(board: Any, text: str) -> None:
    before = len(board.visa_handle.sent)
    with pytest.raises(RefusedError):
        board.write(text)
    assert board.visa_handle.sent[before:] == []


@pytest.mark.parametrize("text", ASKED)
def test_raw_queries_are_read_and_refused(board: Any, text: str) -> None:
    before = len(board.visa_handle.sent)
    with pytest.raises(RefusedError):
        board.ask(text)
    assert board.visa_handle.sent[before:] == []


@pytest.mark.parametrize(
    "text",
    ["SOUR:READ:VOLT 0.3", "SOUR:READ:VOLT 300 mV", "sour:read:gate 2.5;volt -0.3", "SYST:WATC 20", "SENS:RANG AUTO"],
)
def test_what_is_within_the_limits_passes(board: Any, text: str) -> None:
    before = len(board.visa_handle.sent)
    board.write(text)
    assert board.visa_handle.sent[before:] == [text.encode() + b";:SYST:ERR?\n"]


def test_binary_commands_name_the_method_to_use(board: Any) -> None:
    with pytest.raises(RefusedError, match=r"use pulse\(\)"):
        board.write("PULS:MAP 0,1,0,1,#210xxxxxxxxxx")


def test_a_stock_parameter_is_no_way_around(board: Any) -> None:
    stock = Parameter("mine", instrument=board, set_cmd="SOUR:READ:VOLT {}")
    before = len(board.visa_handle.sent)
    for value in (0.4, np.nan, np.inf, "5V"):
        with pytest.raises(RefusedError):
            stock(value)
    assert board.visa_handle.sent[before:] == []


def test_a_widened_validator_is_no_way_around(board: Any) -> None:
    board.read_volts.vals = Numbers(-100, 100)
    before = len(board.visa_handle.sent)
    with pytest.raises(RefusedError, match=r"read_volts 5 V .* above the limit 0.3 V \(read_volts_max\)"):
        board.read_volts(5)
    assert board.visa_handle.sent[before:] == []


def test_station_limits_cannot_widen(monkeypatch: pytest.MonkeyPatch) -> None:
    """QCoDeS replaces the first validator by the station file's limits, whatever it was."""
    import types

    module = types.ModuleType("fake_lab")
    boards: list[Any] = []

    def make(name: str, **_: Any) -> Any:
        boards.append(CrossbarBoard(name, resource=fake.FakeBoard(), limits=LIMITS))
        return boards[-1]

    module.make = make
    monkeypatch.setitem(sys.modules, "fake_lab", module)
    station = Station(default=False)
    entry = {"type": "fake_lab.make", "parameters": {"read_volts": {"limits": [-9, 9]}}}
    station.load_config(json.dumps({"instruments": {"board": entry}}))
    monkeypatch.setattr(station, "load_config_files", lambda *_: None)
    board = station.load_instrument("board")
    board.read_volts.validate(5.0)  # the station did widen the validator …
    before = len(board.visa_handle.sent)
    with pytest.raises(RefusedError, match="read_volts_max"):
        board.read_volts(5.0)  # … and the guard holds
    assert board.visa_handle.sent[before:] == []
    board.close()


def test_a_refusal_is_one_sentence_even_after_qcodes_added_its_own(board: Any) -> None:
    board.read_volts.vals = Numbers(-100, 100)
    with pytest.raises(RefusedError) as caught:
        board.read_volts(5)
    assert str(caught.value).startswith("read_volts 5 V at SOURce:READ:VOLTage is above the limit 0.3 V")


def test_abilities_the_board_lacks_say_what_would_be_needed() -> None:
    board = CrossbarBoard("board", resource=fake.FakeBoard(supports=["sample"]))
    before = len(board.visa_handle.sent)
    calls: list[Callable[[], object]] = [
        lambda: board.vmm(np.zeros(8)),
        lambda: board.sweep(0, 0, [0], compliance=1e-3, dwell=1e-3),
        lambda: board.outer_update(np.zeros(8), np.zeros(4), pulses=1),
        lambda: board.program_verify(verify()),
    ]
    for call in calls:
        with pytest.raises(UnsupportedError, match="it would need"):
            call()
    assert board.visa_handle.sent[before:] == []
    board.close()


def test_quantisation_never_exceeds_a_limit() -> None:
    """Rounding to the nearest code must not round over the limit."""
    limits = {"set_volts_max": 2.00005, "reset_volts_max": 2.00007, "gate_max": 1.00006, "vmm_volts_max": 0.25009}
    resource = fake.FakeBoard()
    board: Any = CrossbarBoard("board", resource=resource, limits=limits)
    up = board.pulse(PulseMap(CELL, 2.00005, 1e-6, 1.00006))
    down = board.pulse(PulseMap(CELL, -2.00007, 1e-6, 1.0))
    assert 2.0 - 2e-4 < up.volts[0, 0] <= 2.00005
    assert 1.0 - 2e-4 < up.gate[0, 0] <= 1.00006
    assert -2.00007 <= down.volts[0, 0] < -2.0 + 2e-4
    board.vmm(np.full(8, 0.25009))
    codes = np.frombuffer(resource.sent[-1].split(b"#216")[1][:16], "<i2")
    assert 0.2498 < codes.max() * fake.CAPABILITY["vmm"]["volts_lsb"] <= 0.25009
    board.close()


@pytest.mark.parametrize(
    "corner", [(0.5, 1, 0, 1), (0, 1.0, 0, 1), (0, 0, 0, 1), (True, 1, 0, 1), (0, 1, -1, 1), (0, 1, 0, "1")]
)
def test_a_block_of_cells_is_whole_numbers(corner: Any) -> None:
    with pytest.raises(RefusedError, match=r"whole number of at least [01]"):
        Block(*corner)
    assert Block(np.int64(1), 1, np.int64(2), 1).slices == (slice(1, 2), slice(2, 3))


def test_what_a_question_sets_on_its_way_is_not_taken_for_the_driver_s_own(board: Any) -> None:
    board.read(CELL, 0.2)
    board.ask("SOUR:READ:VOLT 0.1;:SOUR:READ:VOLT?")
    before = len(board.visa_handle.sent)
    board.read(CELL, 0.2)
    assert any(b"SOUR:READ:VOLT 0.2" in message for message in board.visa_handle.sent[before:])


def test_the_board_s_own_defaults_are_narrowed_too() -> None:
    """It opens every gate at its default in a product, which nobody asked for."""
    resource = fake.FakeBoard()
    board: Any = CrossbarBoard("board", resource=resource, limits={"gate_max": 2.5, "read_volts_max": 0.1})
    narrow = b"SOUR:READ:VOLT 0.1;:SOUR:READ:GATE 2.5;:SOUR:VMM:GATE 2.5;:SYST:ERR?\n"
    assert resource.sent[-1] == narrow
    with pytest.raises(RefusedError, match=r"\*RST puts back defaults .* use reset\(\)"):
        board.write("*RST")
    before = len(resource.sent)
    board.reset()
    assert [b"*RST" in message for message in resource.sent[before:]] == [False, True, False]
    assert resource.sent[-1] == narrow
    board.close()


def test_a_slew_that_a_board_cannot_tell_is_refused() -> None:
    board: Any = CrossbarBoard("board", resource=fake.FakeBoard(), limits={"slew_max": 1e8})
    with pytest.raises(
        RefusedError, match=r"slew_max 1e\+08 V/s cannot be kept by board: .*width\.edge.*given to board"
    ):
        board.pulse(PulseMap(CELL, 1.0, 1e-6, 1.0))
    board.close()
    edged = fake.FakeBoard(width={**fake.CAPABILITY["width"], "edge": 1e-8})
    board = CrossbarBoard("board", resource=edged, limits={"slew_max": 1e8})
    board.pulse(PulseMap(CELL, 1.25, 1e-6, 1.0))
    with pytest.raises(RefusedError, match=r"slew 1\.04e\+08 V/s"):
        board.pulse(PulseMap(CELL, 1.3, 1e-6, 1.0))
    board.close()


def test_an_update_has_no_more_turns_than_a_map_has_pulses(board: Any) -> None:
    board.update_width(1e-6)
    board.update_set_volts(1.5)
    board.update_reset_volts(1.5)
    before = len(board.visa_handle.sent)
    with pytest.raises(RefusedError, match=r"count 1e\+09 pulses at outer_update is above the limit 65535"):
        board.outer_update(np.ones(8), np.ones(4), pulses=10**9)
    assert board.visa_handle.sent[before:] == []
