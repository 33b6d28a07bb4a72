"""Revision 2 of the array-board protocol, command by command as docs/board-protocol.md §10 has it."""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.notebook_board import COLS, LSB, ROWS, Bench, block, pulse_map, revision_of, unblock
from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.mockhw.chip.virtual_chip import VirtualChip
from xbarlab.mockhw.instrument import BenchLog, advance_to
from xbarlab.mockhw.instruments.array_board.board import ArrayBoard
from xbarlab.mockhw.instruments.array_board.spec import BoardSpec, supported
from xbarlab.mockhw.sim_clock import SimClock

PAGE = (Path(__file__).parents[2] / "docs" / "board-protocol.md").read_text(encoding="utf-8")
OK = b'0,"No error"'


def example(name: str) -> bytes:
    """Return a payload as the page prints it."""
    found = re.search(rf"```hex {name}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None, name
    return bytes.fromhex(found[1])


def on(**spec: Any) -> Bench:
    bench = Bench(**{**revision_of(2), **spec})
    assert bench.ask(b"OUTP ON;:SYST:ERR?\n") == OK + b"\n"
    return bench


def pulses(bench: Bench) -> list[tuple[int, float, float, float, int]]:
    """Return what was fired: cell, volts [V], width [s], gate [V], count."""
    return [entry[2:] for entry in bench.chip.fired]


def long_map(rectangle: bytes, volts, gate, count, width) -> bytes:
    _, nrows, _, ncols = map(int, rectangle.split(b","))
    planes = [np.broadcast_to(np.asarray(p), (nrows, ncols)) for p in (volts, gate, count, width)]
    kinds = ("<i2", "<i2", "<u4", "<u4")
    payload = b"".join(p.astype(k).tobytes() for p, k in zip(planes, kinds, strict=True))
    return b"PULS:MAP:LONG " + rectangle + b"," + block(payload)


# --- what is in it (§10.1) ------------------------------------------------------------------------


def test_the_record_is_that_of_the_page() -> None:
    bench = Bench(**revision_of(2))
    record = json.loads(unblock(bench.ask(b"SYST:CAP?\n")))
    page = re.search(r'```json\n(\{"protocol": "xbarlab-board/2",.*?)```', PAGE, re.DOTALL)
    assert page is not None
    wanted = json.loads(page[1])
    assert record["protocol"] == wanted["protocol"]
    for group in ("long", "update"):
        assert record[group] == wanted[group]
    assert record["vmm"]["products_max"] == wanted["vmm"]["products_max"]
    assert record["adc"] == {name: value for name, value in wanted["adc"].items() if name.startswith("ramp")}
    assert "decay" not in record, "a group is there when one of its features is"
    assert {"long_counts", "outer_tiles", "products", "ramp", "saturate"} <= set(record["supports"])
    assert {"decay", "adc_bits"}.isdisjoint(record["supports"])


@pytest.mark.parametrize("missing", ["long_counts", "outer_tiles", "products", "ramp"])
def test_a_group_goes_with_its_feature(missing: str) -> None:
    bench = Bench(revision=2, supports=supported(2, (missing,)))
    record = json.loads(unblock(bench.ask(b"SYST:CAP?\n")))
    assert missing not in record["supports"]
    assert ("long" in record) is (missing != "long_counts")
    assert ("tiles_max" in record["update"]) is (missing != "outer_tiles")
    assert ("products_max" in record["vmm"]) is (missing != "products")
    assert ("adc" in record) is (missing != "ramp")


def test_a_feature_goes_with_what_it_needs() -> None:
    assert "outer_tiles" not in supported(2, ("outer_update",))
    assert {"products", "ramp", "saturate"}.isdisjoint(supported(2, ("vmm",)))
    assert set(supported(1, ())).isdisjoint({"long_counts", "outer_tiles", "products", "ramp", "saturate"})


B0 = b"#10"
COMMANDS = {
    "long_counts": [b"PULS:MAP:LONG 0,1,0,1," + B0, b"READ:REP? 0,1,0,1,10"],
    "outer_tiles": [b"UPD:OUT:TIL 1,1e-6,1,1,1,1," + B0 + b"," + B0 + b"," + B0],
    "products": [b"VMM:PROD? 1," + B0 + b"," + B0 + b"," + B0],
    "decay": [b"UPD:DEC 0,1,0,1,0.9,10,1e-6,1,1,1,1,1e-6,1e-6," + B0, b"FETC:DEC?"],
    "adc_bits": [b"ADC:BITS 4", b"ADC:BITS?"],
    "saturate": [b"ADC:MODE SAT", b"ADC:SAT:LEV " + B0, b"ADC:SAT:LEV?"],
    "ramp": [
        b"ADC:MODE RAMP", b"ADC:RAMP:DEF 0,1,0,6,0,1", b"ADC:RAMP:DEF? 0", b"ADC:RAMP:STAR 0,1e-6", b"ADC:RAMP:CLE",
        b"ADC:RAMP:ASS " + B0, b"ADC:RAMP:ASS?", b"ADC:RAMP:LEV? 0",
    ],
}  # fmt: skip
FEATURE_COMMANDS = [(feature, command) for feature, commands in COMMANDS.items() for command in commands]


def without(feature: str) -> Bench:
    bench = Bench(revision=2, supports=supported(2, (feature,)))
    bench.ask(b"OUTP ON;*CLS;:SYST:ERR?\n")
    return bench


@pytest.mark.parametrize(("feature", "command"), FEATURE_COMMANDS, ids=[repr(c)[2:20] for _, c in FEATURE_COMMANDS])
def test_a_command_of_a_missing_feature_is_hardware_missing_whatever_its_arguments(
    feature: str, command: bytes
) -> None:
    bench = without(feature)
    assert bench.ask(command + b";:SYST:ERR:COUN?;:SYST:ERR?\n").startswith(b'1;-241,"Hardware missing')
    wild = re.sub(rb"(?<=[ ,])-?[\d.]+(e-?\d+)?(?=,|$)", b"-9e30", command)
    if not wild.startswith(b"ADC:MODE"):
        assert bench.ask(wild + b";:SYST:ERR:COUN?;:SYST:ERR?\n").startswith(b'1;-241,"Hardware missing')
    filled = command.replace(B0, block(b"OUTP OFF\n"))
    assert bench.ask(filled + b";:SYST:ERR:COUN?;:SYST:ERR?;:OUTP?\n").startswith(b'1;-241,"Hardware missing')
    assert bench.ask(b"OUTP?\n") == b"1\n", "its blocks are taken off the wire like any block"


@pytest.mark.parametrize(("feature", "command"), FEATURE_COMMANDS, ids=[repr(c)[2:20] for _, c in FEATURE_COMMANDS])
def test_syntax_comes_before_the_missing_feature(feature: str, command: bytes) -> None:
    bench = without(feature)
    more = command + (b"," if b" " in command else b" ") + b",".join([b"1"] * 20)
    assert bench.ask(more + b";:SYST:ERR?\n").startswith(b'-108,"Parameter not allowed')
    if b"," in command:
        assert bench.ask(command.split(b",")[0] + b";:SYST:ERR?\n").startswith(b'-109,"Missing parameter')


@pytest.mark.parametrize("command", [b"TAG? 1", b"ACT:LAST?", b"CHIP:BIRT?"] + [c for _, c in FEATURE_COMMANDS])
def test_a_board_of_revision_1_does_not_know_the_headers(command: bytes) -> None:
    bench = Bench(**revision_of(1))
    bench.ask(b"OUTP ON;:SYST:ERR?\n")
    reserved = command.startswith((b"ADC:RAMP", b"ADC:SAT", b"ADC:MODE"))
    assert bench.ask(command + b";:SYST:ERR?\n").startswith(b"-241," if reserved else b"-113,")


def test_one_unit_gives_one_error_in_the_order_of_the_page() -> None:
    bench = Bench(**revision_of(2))

    def first(command: bytes) -> bytes:
        count, error = bench.ask(command + b";:SYST:ERR:COUN?;:SYST:ERR?\n").split(b";", 1)
        assert count == b"1", command
        return error.split(b",")[0]

    tile = block(struct.pack("<4HI", 0, 99, 0, 1, 1))
    assert first(b"UPD:OUT:TIL 1,1e-6,1,1,1,1," + tile) == b"-109"
    assert first(b"UPD:OUT:TIL 200,1e-6,1,1,1,1," + tile + b",#10,#10") == b"-222", "number, before state"
    assert first(b"UPD:OUT:TIL 1,1e-6,1,1,1,1," + tile + b",#10,#10") == b"-221", "state, before the rectangle"
    assert first(b"READ:REP? 0,9,0,1,0") == b"-222"
    assert first(b"READ:REP? 0,9,0,1,1") == b"-221"
    assert first(b"VMM:PROD? 0,#10,#10,#10") == b"-222"
    assert first(b"VMM:PROD? 1,#10,#10,#10") == b"-221"
    bench.ask(b"OUTP ON;:OUTP?\n")
    assert first(b"UPD:OUT:TIL 1,1e-6,1,1,1,1," + tile + b",#10,#10") == b"-222", "rectangle, before lengths"
    assert first(b"READ:REP? 0,9,0,1,1") == b"-222"
    assert first(b"PULS:MAP:LONG 0,9,0,1,#10") == b"-222"
    assert first(b"PULS:MAP:LONG 0,1,0,1,#10") == b"-161"
    bad = block(struct.pack("<H2H2HH3I2I", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)[:24])
    assert first(b"PULS:MAP:LONG 0,1,0,1," + bad) == b"-161"
    assert bench.chip.fired == []


# --- tags (§10.2) ---------------------------------------------------------------------------------

TAGS = [
    (b"TAG? 1\n", b"1\n"),
    (b"tag? 4294967295;*OPC?\n", b"4294967295;1\n"),
    (b"TAG? 17;SYST:SYNC? 3;:TAG? 18;ACT:LAST?\n", b"17;3;18;0,NONE,DONE,0,0,0,0,0\n"),
    (b"TAG? 0;:SYST:ERR?\n", b'-222,"Data out of range;tag 0 below 1"\n'),
    (b"TAG? 4294967296;:SYST:ERR?\n", b'-222,"Data out of range;tag 4.2949673e+09 above 4.2949673e+09"\n'),
    (b"TAG?;:SYST:ERR?\n", b'-109,"Missing parameter;TAG? needs tag"\n'),
    (b"CHIP:BIRT?;:CHIP:BIRTH?\n", b'"W12-D07-2026";"W12-D07-2026"\n'),
]


@pytest.mark.parametrize(("sent", "answered"), TAGS, ids=[repr(s)[2:30] for s, _ in TAGS])
def test_transcript(sent: bytes, answered: bytes) -> None:
    assert Bench(**revision_of(2)).ask(sent) == answered


def test_the_session_of_the_page() -> None:
    bench = Bench(rows=128, cols=64, **revision_of(2))
    bench.ask(b"*CLS;:ABOR;:SOUR:ZERO;:OUTP OFF;:OUTP?\n")
    reply = bench.ask(b"TAG? 1;*IDN?;:SYST:CAP?;:CHIP:BIRT?\n")
    assert reply.startswith(b"1;xbarlab,mock array board,")
    assert reply.endswith(b';"W12-D07-2026"\n')
    assert bench.ask(b"TAG? 2;*ESR?;:OUTP ON;:SYST:ERR?\n") == b"2;0;" + OK + b"\n"
    message = b"PULS:MAP:LONG 3,1,10,2," + block(example("long"))
    assert bench.now(b"TAG? 3;" + message + b";:SYST:ERR?\n") == b"3;" + OK + b"\n"
    bench.clock.advance(412 * 5.2e-6)
    assert bench.now(b"TAG? 4;ACT:LAST?\n") == b"4;3,MAP,RUN,1000003,412,412,5.2000156,0.0021424\n"
    done = b"3,MAP,DONE,1000003,1000003,1000003,5.2000156,5.2000156"
    assert bench.ask(b"TAG? 5;*OPC?;:ACT:LAST?;:SYST:ERR?\n") == b"5;1;" + done + b";" + OK + b"\n"
    given: dict[tuple[int, float, float], int] = {}
    for cell, volts, _, gate, count in pulses(bench):
        given[cell, volts, gate] = given.get((cell, volts, gate), 0) + count
    assert given == {(3 * 64 + 10, 2.0, 1.25): 1_000_000, (3 * 64 + 11, -1.7, 5.0): 3}
    message = pulse_map(b"3,1,10,1", 13107, 8192, 1, 20)
    reply = bench.ask(b"TAG? 6;" + message + b";*WAI;:READ:MAP? 3,1,10,1;:PULS:LAST?;:SYST:ERR?\n")
    assert reply.startswith(b"6;#19")
    assert reply.endswith(b";MAP,1,1,1,5.2e-06,5.2e-06;" + OK + b"\n")
    assert bench.ask(b"TAG? 7;ADC:BITS 4;:SYST:ERR?\n").startswith(b'7;-241,"Hardware missing;')


def test_the_last_action_is_told_with_its_tag_whatever_it_was() -> None:
    bench = on()
    assert bench.ask(b"ACT:LAST?\n") == b"0,NONE,DONE,0,0,0,0,0\n"
    one = pulse_map(b"0,1,0,1", 1000, 100, 1, 50)
    x, d = block(struct.pack(f"<{ROWS}h", *[32767] * ROWS)), block(struct.pack(f"<{COLS}h", *[32767] * COLS))
    vector = block(bytes(2 * ROWS))
    targets = block(struct.pack("<f", 50e-6))
    verify = b"PROG:VER 0,1,0,1,1e-5,3,1e-6,1,1,1,0.1,1,1,0.1,1," + targets
    sweep = b"SWE:RUN 0,0,1e-3,1e-3," + block(struct.pack("<4f", 0, 0.1, 1, 1))
    cases = [
        (one, b"MAP,DONE,1,1,1,5.5e-06,5.5e-06"),
        (b"READ:MAP? 0,2,0,1", b"READ,DONE,4,4,0,4e-05,4e-05"),
        (b"READ:REP? 0,2,0,1,5", b"READ,DONE,12,12,0,0.00012,0.00012"),
        (b"SAMP? 0,0,0.1,5,1000,10", b"SAMPLE,DONE,11,11,0,0.01001,0.01001"),
        (b"VMM:FORW? 1," + vector, b"VMM,DONE,1,1,0,1e-06,1e-06"),
        (b"UPD:OUT 2,1e-6,1,1,1,1," + x + b"," + d, b"OUTER,DONE,8,8,48,4.8e-05,4.8e-05"),
        (verify, b"VERIFY,DONE,"),
        (sweep, b"SWEEP,DONE,2,2,0,0.002,0.002"),
        (b"DIAG:OFFS?", b"DIAGNOSIS,DONE,1,1,0,0.001,0.001"),
    ]
    for tag, (command, told) in enumerate(cases, start=100):
        bench.ask(b"TAG? %d;%b;*OPC?\n" % (tag, command))
        reply = bench.ask(b"TAG? 9;ACT:LAST?\n")
        assert reply.startswith(b"9;%d,%b" % (tag, told)), command
        assert bench.ask(b"PULS:MAP 0,1,0,1,#10;:ACT:LAST?\n") == reply[2:], "a refused unit changes nothing"
    before = bench.ask(b"ACT:LAST?\n")
    for gone in (b"*RST;*CLS;:OUTP OFF", b"*CLS"):
        assert bench.ask(gone + b";:ACT:LAST?\n") == before
    assert bench.board.connect()
    bench.board.disconnect()
    assert bench.ask(b"ACT:LAST?\n") == before, "the end of the connection changes nothing either"
    bench.ask(b"OUTP ON;:" + one + b";*OPC?\n")
    assert bench.ask(b"ACT:LAST?\n").startswith(b"0,MAP,DONE"), "no tag: 0"
    assert bench.ask(b"TAG? 5;SYST:ERR?\n") != b""
    bench.ask(b"TAG? 6;TAG? 7;" + one + b";*OPC?\n")
    assert bench.ask(b"ACT:LAST?\n").startswith(b"7,MAP"), "the second tag of a message holds from there on"


@pytest.mark.parametrize("how", [b"ABOR", b"SOUR:ZERO", b"OUTP OFF", b"*RST"])
def test_what_is_ended_early_is_told_as_cut(how: bytes) -> None:
    bench = on()
    bench.now(b"TAG? 50;" + pulse_map(b"0,1,0,1", 1000, 100, 10, 50) + b"\n")
    advance_to(bench.clock, bench.clock.now + 2.5 * 5.5e-6)
    assert bench.ask(how + b";:ACT:LAST?\n") == b"50,MAP,CUT,10,3,3,5.5e-05,1.65e-05\n"
    bench.ask(b"OUTP ON;:OUTP?\n")
    bench.now(b"TAG? 51;VMM:FORW? 100," + block(bytes(200 * ROWS)) + b"\n")
    advance_to(bench.clock, bench.clock.now + 40.5e-6)
    bench.now(how + b"\n")
    assert bench.ask(b"ACT:LAST?\n").startswith(b"51,VMM,CUT,100,40,0,0.0001,4.05e-05")


def test_an_interrupted_query_is_done_all_the_same() -> None:
    bench = on()
    bench.now(b"TAG? 60;READ:MAP? 0,1,0,1\n")
    assert bench.now(b"TAG? 61;ACT:LAST?\n") == b"61;60,READ,RUN,2,0,0,2e-05,0\n"
    bench.clock.advance(1.0)
    assert bench.ask(b"ACT:LAST?\n") == b"60,READ,DONE,2,2,0,2e-05,2e-05\n"


def test_a_message_that_never_arrived_leaves_the_tag_before() -> None:
    bench = on()
    bench.ask(b"TAG? 70;" + pulse_map(b"0,1,0,1", 1000, 100, 1, 50) + b";*OPC?\n")
    bench.board.receive(b"TAG? 71;PULS:MAP 0,1,0,1,#210")  # the cable comes out
    assert bench.board.connect()
    bench.board.disconnect()
    assert bench.ask(b"ACT:LAST?\n").startswith(b"70,MAP,DONE,1,1,1,")


# --- update and read-back in one transaction (§10.4) ----------------------------------------------


def test_eight_updates_and_their_read_backs_in_one_message() -> None:
    bench = on()
    bench.chip.step = 1e-6
    pair = pulse_map(b"0,1,0,1", 1000, 100, 1, 50) + b";*WAI;:READ:MAP? 0,1,0,1;:"
    reply = bench.ask(b"TAG? 21;" + 8 * pair + b"SYST:ERR?\n")
    assert reply.startswith(b"21;")
    assert reply.endswith(b";" + OK + b"\n")
    assert len(reply) == len(b"21;" + OK + b"\n") + 8 * len(b"#19" + bytes(9) + b";")
    currents = [struct.unpack_from("<f", reply, 3 + 13 * at + 3)[0] for at in range(8)]
    assert currents == pytest.approx([0.2 * (51e-6 + 1e-6 * at) for at in range(8)], rel=5e-3)
    assert bench.log.texts().count("start MAP 1 slots") == 8


def test_a_refused_update_leaves_the_read_back_and_its_error() -> None:
    bench = on()
    bad = pulse_map(b"0,1,0,1", -32768, 100, 1, 50)
    reply = bench.ask(b"TAG? 22;" + bad + b";*WAI;:READ:MAP? 0,1,0,1;:PULS:LAST?;:SYST:ERR?\n")
    assert reply.startswith(b"22;#19")
    assert b";NONE,0,0,0,0,0;-222," in reply
    assert bench.chip.fired == []


@pytest.mark.parametrize("how", [b"ABOR", b"SOUR:ZERO", b"OUTP OFF", b"*RST"])
def test_after_an_abort_nothing_new_begins(how: bytes) -> None:
    bench = on()
    pair = pulse_map(b"0,1,0,1", 1000, 100, 10, 50)
    tail = b";*WAI;:READ:MAP? 0,1,0,1;:" + pulse_map(b"1,1,1,1", 1000, 100, 1, 50) + b";LAST?;:SYST:ERR:ALL?\n"
    assert bench.now(b"TAG? 23;" + pair + tail) == b""
    advance_to(bench.clock, bench.clock.now + 2.5 * 5.5e-6)
    reply = bench.ask(how + b"\n")
    aborted = b'-213,"Init ignored;the message was aborted"'
    assert reply == b"23;MAP,10,3,3,5.5e-05,1.65e-05;" + aborted + b"," + aborted + b"\n"
    assert {cell for cell, *_ in pulses(bench)} == {0}
    advance_to(bench.clock, bench.clock.now + 1.0)
    again = bench.ask(b"OUTP ON;:" + pair + b";*WAI;:PULS:LAST?;:SYST:ERR?\n")
    assert again == b"MAP,10,10,10,5.5e-05,5.5e-05;" + OK + b"\n", "the next message may act again"


def test_an_abort_during_the_read_back_drops_that_reply_only() -> None:
    bench = on()
    message = b"TAG? 24;" + pulse_map(b"0,1,0,1", 1000, 100, 1, 50) + b";*WAI;:READ:MAP? 0,6,0,1;:PULS:LAST?\n"
    bench.now(message)
    advance_to(bench.clock, bench.clock.now + 5.5e-6 + 2e-5)
    assert bench.now(b"ABOR\n") == b"24;MAP,1,1,1,5.5e-06,5.5e-06\n"


def test_an_abort_in_the_message_itself_aborts_what_was_before_it_only() -> None:
    bench = on()
    one = pulse_map(b"0,1,0,1", 1000, 100, 1, 50)
    assert bench.ask(one + b";:ABOR;:" + one + b";*OPC?;:SYST:ERR?\n") == b"1;" + OK + b"\n"


# --- long counts (§10.5) --------------------------------------------------------------------------


def test_a_long_map_is_checked_and_fired_as_a_map_is() -> None:
    bench = on()
    amplitudes, counts = [[3, 1, 1, 3], [2, 2, -2, 2]], np.array([[65535, 1, 2, 3], [1, 0, 1, 2]])
    bench.ask(long_map(b"0,2,0,4", amplitudes, 100, np.where(counts > 60000, 70000, counts), 50) + b";*OPC?\n")
    short = on()
    short.ask(pulse_map(b"0,2,0,4", amplitudes, 100, counts, 50) + b";*OPC?\n")
    wanted = [(*entry[:-1], 70000 if entry[-1] == 65535 else entry[-1]) for entry in pulses(short)]
    assert pulses(bench) == wanted
    assert bench.ask(b"PULS:LAST?\n").startswith(b"MAP,70005,70005,70010,")
    cases = [
        (long_map(b"3,1,1,2", 1000, 100, [1, 1_000_000_001], 50), b"count 1e+09 above 1e+09 at row 3 column 2"),
        (long_map(b"3,1,1,2", [1000, -32768], 100, 1, 50), b"volts -5 below -4.99985 at row 3 column 2"),
        (long_map(b"3,1,1,2", 1000, 100, 1, [50, 4]), b"width 4e-08 below 5e-08 at row 3 column 2"),
    ]
    for message, text in cases:
        assert bench.ask(message + b";:SYST:ERR?\n") == b'-222,"Data out of range;' + text + b'"\n'
    wrong = pulse_map(b"3,1,1,2", 1, 3, 1, 50).replace(b"PULS:MAP", b"PULS:MAP:LONG")
    assert bench.ask(wrong + b";:SYST:ERR?\n") == b'-161,"Invalid block data;20 bytes, 1 x 2 cells need 24"\n'


def test_the_largest_counts_are_whole_numbers_in_the_replies() -> None:
    bench = on()
    bench.ask(long_map(b"0,6,0,4", np.arange(1, 25).reshape(6, 4), 100, 1_000_000_000, 50) + b";:SYST:ERR?\n")
    assert bench.now(b"ACT:LAST?\n").startswith(b"0,MAP,RUN,24000000000,0,0,132000,0")
    advance_to(bench.clock, bench.clock.now + 66000.0)
    kind, planned, done, given, *seconds = bench.ask(b"ABOR;:PULS:LAST?\n").strip().split(b",")
    assert (kind, planned, seconds) == (b"MAP", b"24000000000", [b"132000", b"66000"])
    assert done == given
    assert abs(int(done) - 12_000_000_000) <= 1, "as well as a clock of double precision can tell"


def test_repeated_reads_cost_their_slots_and_live_under_their_bias() -> None:
    bench = on()
    bench.chip.step = 0.0
    reply = unblock(bench.ask(b"SENS:AVER 4;:READ:REP? 1,2,0,4,1000\n"))
    assert len(reply) == 9 * 8
    assert np.frombuffer(reply, "<f4", 8) == pytest.approx(np.full(8, 10e-6), rel=5e-3)
    assert bench.clock.now == pytest.approx(2 * 1001 * 1e-5)
    assert bench.ask(b"ACT:LAST?\n").startswith(b"0,READ,DONE,2002,2002,0,")
    assert pulses(bench) == [(cell, 0.2, 1e-5, 5.0, 997) for cell in (*range(4, 8), *range(8, 12))]
    assert unblock(bench.now(b"FETC:MAP?\n")) == reply
    bench.chip.fired.clear()
    bench.ask(b"SENS:RANG 1e-4;:READ:REP? 0,1,0,1,4\n")
    assert pulses(bench) == [], "all four are converted"
    assert bench.ask(b"ACT:LAST?\n").startswith(b"0,READ,DONE,4,4,0,")


def test_repeated_reads_are_refused_below_the_average_and_can_be_cut() -> None:
    bench = on()
    assert bench.ask(b"SENS:AVER 5;:READ:REP? 0,1,0,1,4;:SYST:ERR?\n") == (
        b'-222,"Data out of range;n 4 below the average of 5"\n'
    )
    bench.now(b"SENS:RANG 1e-4;:TAG? 80;READ:REP? 0,2,0,1,100\n")
    advance_to(bench.clock, bench.clock.now + 120.5e-5)
    assert bench.ask(b"ABOR\n") == b"80\n", "no reply to what was cut, only the tag"
    assert bench.ask(b"ACT:LAST?\n").startswith(b"80,READ,CUT,200,121,0,0.002,0.00121")
    assert [(cell, count) for cell, *_, count in pulses(bench)] == [(0, 95), (4, 21)]


def test_a_million_reads_disturb_a_real_cell_no_more_than_a_million_pulses_do() -> None:
    clock = SimClock()
    chip = VirtualChip(load_profile("ta_hfo2_1t1r"), seed=1, clock=clock)
    spec = BoardSpec(chip.rows, chip.cols, chip.gate_axis, 2, supported(2, ()))
    board = ArrayBoard("TCPIP0::127.0.0.1::5025::SOCKET", clock, BenchLog(), chip=chip, spec=spec)
    board.receive(b"OUTP ON;:READ:REP? 0,4,0,64,1000000;:SYST:ERR?\n")
    reply = board.wait_for_reply()
    assert reply is not None
    assert reply.endswith(b";" + OK + b"\n")
    assert clock.now == pytest.approx(4 * 1000001 * 1e-5)


# --- outer products, tile by tile (§10.6) ----------------------------------------------------------


def tiles(turns: int, places: bytes, x: bytes, d: bytes) -> bytes:
    return b"UPD:OUT:TIL %d,1us,1.5,2,1,3,%b,%b,%b" % (turns, block(places), block(x), block(d))


def test_the_tiles_of_the_page_fire_in_their_order() -> None:
    bench = on(rows=10, cols=8)
    message = tiles(1, example("tiles"), example("tiles_x"), example("tiles_d"))
    assert bench.ask(b"TAG? 90;UPD:SEED 5;:" + message + b";*OPC?;:ACT:LAST?;:SYST:ERR?\n") == (
        b"90;1;90,OUTER,DONE,12,12,%d,7.2e-05,7.2e-05;" % sum(n for *_, n in pulses(bench)) + OK + b"\n"
    )
    bits = np.random.default_rng(5)
    x = [(0, np.array([32767, -16384])), (8, np.array([32767])), (8, np.array([0]))]
    d = [(0, np.array([0, 8192, -8192])), (4, np.array([16384, -32767])), (4, np.array([1, 2]))]
    wanted: set[tuple[int, float]] = set()
    for (row0, rows), (col0, cols) in zip(x, d, strict=True):
        fires_x, fires_d = (
            bits.random((1, rows.size)) < abs(rows / 32767),
            bits.random((1, cols.size)) < abs(cols / 32767),
        )
        for i, j in zip(*np.nonzero(np.outer(fires_x, fires_d)), strict=True):
            wanted.add(((row0 + int(i)) * 8 + col0 + int(j), 1.5 if rows[i] * cols[j] > 0 else -1.0))
    assert {(cell, volts) for cell, volts, *_ in pulses(bench)} == wanted
    assert wanted, "the seed fires something"


def test_one_tile_over_everything_is_an_outer_update() -> None:
    one, other = on(), on()
    x = np.random.default_rng(1).integers(-32767, 32768, ROWS).astype("<i2").tobytes()
    d = np.random.default_rng(2).integers(-32767, 32768, COLS).astype("<i2").tobytes()
    one.ask(b"UPD:SEED 3;:UPD:OUT 20,1us,1.5,2,1,3," + block(x) + b"," + block(d) + b";*OPC?\n")
    place = struct.pack("<4HI", 0, ROWS, 0, COLS, 1)
    other.ask(b"UPD:SEED 3;:" + tiles(20, place, x, d) + b";*OPC?\n")
    assert pulses(one) == pulses(other)
    assert one.ask(b"PULS:LAST?\n") == other.ask(b"PULS:LAST?\n")
    assert len(pulses(one)) > 10


def test_a_cut_leaves_what_comes_after_it_undone() -> None:
    bench = on()
    places = struct.pack("<2H2H2H2H2I", 0, 2, 1, 1, 0, 0, 1, 1, 2, 1)
    full = struct.pack("<h", 32767)
    bench.now(tiles(3, places, 3 * full, 3 * full) + b"\n")  # three products of twelve slots; the first slot fires
    advance_to(bench.clock, bench.clock.now + 16.5 * 6e-6)  # 1 us and 5 us of overhead
    assert bench.ask(b"ABOR;:PULS:LAST?\n").startswith(b"OUTER,36,17,5,")
    assert sum(n for *_, n in pulses(bench)) == 5
    assert {cell for cell, *_ in pulses(bench)} == {0}
    bench.chip.fired.clear()
    bench.ask(tiles(3, places, 3 * full, 3 * full) + b";*OPC?\n")
    assert [(cell, n) for cell, *_, n in pulses(bench)] == [(0, 3), (0, 3), (2 * COLS, 3)]


TILES_REFUSED = [
    ((b"", b"", b""), b"-161", b"tiles: 0 bytes"),
    ((bytes(13), b"", b""), b"-161", b"tiles: 13 bytes"),
    ((struct.pack("<4HI", 0, 7, 0, 1, 1), bytes(14), bytes(2)), b"-222", b"rows 0 to 6 outside 0 to 5 in tile 0"),
    ((struct.pack("<4HI", 0, 1, 3, 2, 1), bytes(2), bytes(4)), b"-222", b"columns 3 to 4 outside 0 to 3 in tile 0"),
    ((struct.pack("<4HI", 0, 0, 0, 1, 1), b"", bytes(2)), b"-222", b"rows 0 to -1 outside"),
    ((struct.pack("<4HI", 0, 1, 0, 1, 0), b"", b""), b"-222", b"products 0 below 1 in tile 0"),
    ((struct.pack("<4HI", 0, 1, 0, 1, 1), bytes(4), bytes(2)), b"-161", b"x: 4 bytes, the tiles need 2"),
    ((struct.pack("<4HI", 0, 1, 0, 1, 2), bytes(4), bytes(2)), b"-161", b"d: 2 bytes, the tiles need 4"),
    ((struct.pack("<4HI", 0, 1, 0, 2, 2), bytes(4), struct.pack("<4h", 0, 0, 0, -32768)), b"-222",
     b"d -32768 below -32767 at tile 0 product 1 line 1"),
    ((struct.pack("<4HI", 0, 1, 0, 1, 65537), bytes(131074), bytes(131074)), b"-222", b"products 65537 above 65536"),
    ((struct.pack("<4HI", 0, 1, 0, 1, 2**32 - 1), bytes(2), bytes(2)), b"-161", b"the tiles need 8589934590"),
]  # fmt: skip


@pytest.mark.parametrize(("blocks", "code", "text"), TILES_REFUSED)
def test_tiles_that_do_not_fit_are_refused_as_a_whole(
    blocks: tuple[bytes, bytes, bytes], code: bytes, text: bytes
) -> None:
    bench = on()
    reply = bench.ask(tiles(1, *blocks) + b";:SYST:ERR?;:ACT:LAST?\n")
    assert reply.startswith(code)
    assert text in reply
    assert reply.endswith(b";0,NONE,DONE,0,0,0,0,0\n")
    too_many = np.tile(np.array([0, 1, 0, 1], "<u2")[:, None], 1025).tobytes() + np.ones(1025, "<u4").tobytes()
    assert bench.ask(tiles(1, too_many, bytes(2050), bytes(2050)) + b";:SYST:ERR?\n").startswith(b"-222,")
    assert bench.chip.fired == []


# --- several products (§10.7) ----------------------------------------------------------------------


def products(table: list[tuple[int, int, int]], masks: bytes, codes: bytes) -> bytes:
    planes = [np.array([entry[at] for entry in table]) for at in range(3)]
    payload = planes[0].astype("u1").tobytes() + planes[1].astype("u1").tobytes() + planes[2].astype("<u4").tobytes()
    return b"VMM:PROD? %d,%b,%b,%b" % (len(table), block(payload), block(masks), block(codes))


@pytest.mark.parametrize("axis", ["col", "row"])
def test_the_products_of_the_page(axis: str) -> None:
    bench = on(rows=10, cols=3, gate_axis=axis)
    bench.chip.g = np.random.default_rng(4).uniform(10e-6, 100e-6, (10, 3))
    assert bench.ask(b"SENS:VMM:RANG 1e-3;:SYST:ERR?\n") == OK + b"\n"
    blocks = [block(example(f"products_{name}")) for name in ("table", "masks", "codes")]
    reply = bench.ask(b"TAG? 95;VMM:PROD? 2," + b",".join(blocks) + b";:ACT:LAST?;:SYST:ERR?\n")
    assert reply.startswith(b"95;#18")
    assert reply.endswith(b";95,VMM,DONE,3,3,0,3e-06,3e-06;" + OK + b"\n")
    codes = np.frombuffer(reply[6:14], "<i2").astype(float)
    g, volts = bench.chip.g, np.array([[1310, 0, -1310], [0, 655, 0], [1310, -1310, 0]]) * LSB
    first = volts[:2] @ g[[0, 2, 9]][:, [1]]
    second = volts[2, :2] @ g[:2][:, [0, 2]].T
    assert codes[:2] * 1e-3 / 32767 == pytest.approx(first.ravel(), abs=2e-6)
    assert codes[2:] * 1e-4 / 32767 == pytest.approx(second, abs=2e-7)


def test_gates_of_lines_that_are_not_selected_are_closed() -> None:
    asked: list[tuple[bool, list[bool]]] = []
    for axis, mask in (("col", [True, False, False, True]), ("row", [True, True, False, False, False, True])):
        bench = on(gate_axis=axis)
        inner = bench.chip.vmm_moments

        def seen(volts, gate, *, reverse, lines=None, inner=inner):
            assert lines is not None
            asked.append((reverse, lines.tolist()))
            return inner(volts, gate, reverse=reverse, lines=lines)

        bench.chip.vmm_moments = seen
        masks = bytes([0b100011, 0b1001])
        bench.ask(products([(0, 255, 1)], masks, bytes(2 * 3)) + b"\n")
        bench.ask(products([(1, 255, 1)], masks, bytes(2 * 2)) + b"\n")
        assert asked[-2:] == [(False, mask), (True, mask)]


def test_an_output_that_is_not_selected_does_not_overflow() -> None:
    bench = on()
    bench.chip.g[:, 1] = 1.0
    everything = bytes([0b111111])
    volts = struct.pack("<6h", *[1000] * 6)
    reply = bench.ask(products([(0, 0, 1)], everything + bytes([0b1101]), volts) + b";:STAT:QUES?\n")
    assert reply.endswith(b";0\n")
    reply = bench.ask(products([(0, 0, 1)], everything + bytes([0b0010]), volts) + b";:STAT:QUES?\n")
    assert reply == b"#12" + struct.pack("<h", -32768) + b";256\n"


def test_a_cut_product_gives_no_reply_and_counts_its_vectors() -> None:
    bench = on()
    everything = bytes([0b111111, 0b1111])
    bench.now(b"TAG? 96;" + products([(0, 255, 60), (1, 255, 40)], 2 * everything, bytes(120 * 6 + 80 * 4)) + b"\n")
    advance_to(bench.clock, bench.clock.now + 75.2e-6)
    assert bench.now(b"ABOR\n") == b"96\n"
    assert bench.ask(b"ACT:LAST?\n").startswith(b"96,VMM,CUT,100,75,0,")


WHOLE = bytes([0b111111, 0b1111])
PRODUCTS_REFUSED = [
    (b"VMM:PROD? 1025,#10,#10,#10", b"-222", b"n 1025 above 1024"),
    (b"VMM:PROD? 1,#15abcde,#10,#10", b"-161", b"table: 5 bytes"),
    (products([(0, 255, 1)], b"\x01", bytes(2)), b"-161", b"masks: 1 bytes, 1 products need 2"),
    (products([(0, 255, 1)], WHOLE, bytes(10)), b"-161", b"codes: 10 bytes, the products need 12"),
    (products([(2, 255, 1)], WHOLE, bytes(12)), b"-222", b"direction 2 above 1 in product 0"),
    (products([(0, 3, 1)], WHOLE, bytes(12)), b"-222", b"range 3 above 2 in product 0"),
    (products([(0, 255, 0)], WHOLE, b""), b"-222", b"batch 0 below 1 in product 0"),
    (products([(0, 255, 1)], bytes([0, 0b1111]), b""), b"-222", b"lines of the row mask 0 below 1 in product 0"),
    (products([(0, 255, 1)], bytes([1, 0]), bytes(2)), b"-222", b"lines of the column mask 0 below 1 in product 0"),
    (products([(0, 255, 1)], bytes([0b1000001, 1]), bytes(2)), b"-222", b"unused bits of the row mask 1 above 0"),
    (products([(0, 255, 1)], bytes([1, 0b10001]), bytes(2)), b"-222", b"unused bits of the column mask 1 above 0"),
    (products([(0, 255, 1), (0, 255, 1)], 2 * bytes([0b100010, 1]), struct.pack("<4h", 0, 0, 0, 2000)), b"-222",
     b"volts 0.305176 beyond 0.3 at product 1 vector 0 row 5"),
    (products([(0, 255, 40000)] * 2, 2 * bytes([1, 1]), bytes(160000)), b"-222", b"vectors 80000 above 65536"),
]  # fmt: skip


@pytest.mark.parametrize(("message", "code", "text"), PRODUCTS_REFUSED, ids=[t.decode() for *_, t in PRODUCTS_REFUSED])
def test_products_that_do_not_fit_are_refused_as_a_whole(message: bytes, code: bytes, text: bytes) -> None:
    bench = on()
    reply = bench.ask(message + b";:SYST:ERR?;:ACT:LAST?\n")
    assert reply.startswith(code)
    assert text in reply
    assert reply.endswith(b";0,NONE,DONE,0,0,0,0,0\n")


def test_a_reverse_product_needs_a_board_that_can() -> None:
    bench = on(supports=supported(2, ("reverse",)))
    assert bench.ask(products([(1, 255, 1)], WHOLE, bytes(8)) + b";:SYST:ERR?\n").startswith(b"-241,")
    assert bench.ask(products([(0, 255, 1)], WHOLE, bytes(12)) + b";:SYST:ERR?\n").endswith(b";" + OK + b"\n")


def test_products_on_a_chip_with_wires() -> None:
    clock = SimClock()
    chip = VirtualChip(load_profile("ta_hfo2_1t1r"), seed=1, clock=clock)
    every = np.arange(chip.rows * chip.cols)
    ones = np.ones(every.size)
    chip.pulse(every // chip.cols, every, 4.0 * ones, 1e-4 * ones, 1.5 * ones, np.full(every.size, 10))
    volts = np.full((2, chip.rows), 0.2, dtype=np.float32)
    whole, _ = chip.vmm_moments(volts, 5.0, reverse=False)
    same, _ = chip.vmm_moments(volts, 5.0, reverse=False, lines=np.ones(chip.cols, dtype=bool))
    np.testing.assert_array_equal(whole, same)
    lines = np.zeros(chip.cols, dtype=bool)
    lines[[3, 40]] = True
    few, spread = chip.vmm_moments(volts, 5.0, reverse=False, lines=lines)
    assert np.all(few[:, ~lines] == 0.0)
    assert np.all(spread[:, ~lines] == 0.0)
    assert np.all(few[:, lines] > whole[:, lines]), "wires carry less, so more arrives"
    assert few[:, lines] == pytest.approx(whole[:, lines], rel=0.5)
    back, _ = chip.vmm_moments(np.full((1, chip.cols), 0.2, dtype=np.float32), 5.0, reverse=True, lines=lines)
    alone = np.zeros((1, chip.cols), dtype=np.float32)
    alone[:, lines] = 0.2
    again, _ = chip.vmm_moments(alone, 5.0, reverse=True, lines=lines)
    np.testing.assert_allclose(back, again, rtol=1e-6)
    chip.pulse(np.zeros(1, int), np.array([3]), *(np.array([v]) for v in (-2.0, 1e-6, 4.0)), np.ones(1, int))
    moved, _ = chip.vmm_moments(volts, 5.0, reverse=False, lines=lines)
    assert not np.array_equal(moved, few), "a pulse makes every kept product stale"
