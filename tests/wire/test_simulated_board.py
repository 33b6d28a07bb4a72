"""Transcripts for the simulated array board, as docs/board-protocol.md has them; the chip is a notebook."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from support.notebook_board import COLS, LSB, ROWS, Bench, block, pulse_map, revision_of, unblock
from xbarlab.mockhw.faults import Fault, FaultPlan
from xbarlab.mockhw.instrument import advance_to
from xbarlab.mockhw.instruments.array_board.slots import PulseCodes, SlotPlan
from xbarlab.mockhw.instruments.array_board.spec import BoardSpec, supported


@pytest.fixture(params=[1, 2], ids=["revision 1", "revision 2"])
def bench(request: pytest.FixtureRequest) -> Bench:
    """Revision 2 changes no byte of revision 1."""
    return Bench(**revision_of(request.param))


@pytest.fixture
def on(bench: Bench) -> Bench:
    assert bench.ask(b"OUTP ON;:SYST:ERR?\n") == b'0,"No error"\n'
    return bench


TRANSCRIPTS = [
    (b"*IDN?\n", b"xbarlab,mock array board,MOCK-0001,1.0\n"),
    (b"OUTP?;:outp on;:OUTPUT:STATE?;:OUTP 0;OUTP?;:SYST:ERR?\n", b'0;1;0;0,"No error"\n'),
    (b"SENS:RANG?;RANG 2e-5;RANG?;RANG 20UA;RANG?;RANG AUTO;RANG?\n", b"AUTO;0.0001;0.0001;AUTO\n"),
    (b"SENS:RANG 2MA;:SYST:ERR?\n", b'-222,"Data out of range;range 0.002 above 0.001"\n'),
    (b"SENS:AVER?;AVER MAX;AVER?;AVER DEF;AVER?;AVER 0;:SYST:ERR?\n",
     b'1;1024;1;-222,"Data out of range;average 0 below 1"\n'),
    (b"SOUR:READ:VOLT 300mV;VOLT?;GATE?;GATE 2;GATE?\n", b"0.3;5;2\n"),
    (b"SOUR:READ:VOLT 0.6;:SYST:ERR?\n", b'-222,"Data out of range;volts 0.6 above 0.5"\n'),
    (b"SOUR:VMM:GATE -1;:SYST:ERR?\n", b'-222,"Data out of range;gate -1 below 0"\n'),
    (b"SENS:VMM:RANG?;RANG 5e-4;RANG?\n", b"0.01;0.001\n"),
    (b"SYST:SYNC? 123456\n", b"123456\n"),
    (b"SYST:WATC?;WATC 0;WATC?;WATC:TIME DEF;TIME?\n", b"10;0;10\n"),
    (b"READ:MAP? 0,1,0,1;:SYST:ERR?\n", b'-221,"Settings conflict;output is off"\n'),
    (b"OUTP ON;:READ:MAP? 0,7,0,1;:SYST:ERR?\n", b'-222,"Data out of range;rows 0 to 6 outside 0 to 5"\n'),
    (b"OUTP ON;:READ:MAP? 0,1,4,1;:SYST:ERR?\n", b'-222,"Data out of range;columns 4 to 4 outside 0 to 3"\n'),
    (b"OUTP ON;:READ:MAP? 0,0,0,1;:SYST:ERR:COUN?\n", b"1\n"),
    (b"FETC:MAP?;SWE?;PROG?;:SYST:ERR:ALL?\n",
     b'-230,"Data corrupt or stale;nothing has been read",-230,"Data corrupt or stale;nothing has been swept",'
     b'-230,"Data corrupt or stale;nothing has been programmed"\n'),
    (b"PULS:LAST?\n", b"NONE,0,0,0,0,0\n"),
    (b"ADC:MODE LIN;MODE?;:SYST:ERR?\n", b'LIN;0,"No error"\n'),
    (b"ADC:MODE FOO;:ADC:SAT:GAIN 3;:ADC:RAMP?;:SYST:ERR:COUN?\n", b"3\n"),
    (b"DIAG:OPEN?;:SYST:ERR?\n", b'2e+09;0,"No error"\n'),
    (b"OUTP ON;:DIAG:OPEN?;:SYST:ERR?\n", b'-221,"Settings conflict;the array is connected; OUTPut OFF first"\n'),
    (b"SIM:CLOC:ADV 2.5;:SIM:CLOC?\n", b"2.5\n"),
    (b"STAT:OPER:COND?;:STAT:QUES?\n", b"0;0\n"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "answered"), TRANSCRIPTS, ids=[repr(s)[2:40] for s, _ in TRANSCRIPTS])
def test_transcript(bench: Bench, sent: bytes, answered: bytes) -> None:
    assert bench.ask(sent) == answered


@pytest.mark.parametrize(
    ("revision", "lacks", "modes"), [(1, (), "LIN"), (2, ("ramp",), "LIN, SAT"), (2, ("ramp", "saturate"), "LIN")]
)
def test_a_mode_that_a_board_lacks_is_refused_with_those_it_has(
    revision: int, lacks: tuple[str, ...], modes: str
) -> None:
    bench = Bench(revision=revision, supports=supported(revision, lacks))
    told = b'LIN;-241,"Hardware missing;converter mode RAMP: this board has %b only"\n' % modes.encode()
    assert bench.ask(b"ADC:MODE RAMP;MODE?;:SYST:ERR?\n") == told


def test_capability_record_and_info_are_json_blocks(bench: Bench) -> None:
    record = json.loads(unblock(bench.ask(b"SYST:CAP?\n")))
    assert (record["rows"], record["cols"], record["gate_axis"], record["clock"]) == (ROWS, COLS, "col", "simulated")
    assert record["dac"]["volts_lsb"] == 1.52587890625e-4
    told = json.loads(unblock(bench.ask(b"SIM:INFO?\n")))
    assert told == {"profile": "", "seed": 0, "birth": bench.chip.birth}


def test_read_map_planes_noise_and_duration(on: Bench) -> None:
    on.chip.g[1, 2] = 200e-6
    reply = unblock(on.ask(b"READ:MAP? 1,2,2,2\n"))
    assert len(reply) == 9 * 4
    current, error = np.frombuffer(reply, "<f4", 8).reshape(2, 4)
    assert current == pytest.approx([40e-6, 10e-6, 10e-6, 10e-6], rel=5e-3)
    assert np.all(error > 0.0)
    assert reply[32:] == bytes(4)
    assert on.clock.now == pytest.approx(2 * 2 * 1e-5), "one slot a row, one more for the automatic range"
    assert unblock(on.now(b"FETC:MAP?\n")) == reply


def test_standard_error_is_what_repeated_reads_scatter_by(on: Bench) -> None:
    on.ask(b"SENS:RANG 1e-4;:SYST:ERR?\n")
    reads = [np.frombuffer(unblock(on.ask(b"READ:MAP? 0,6,0,4\n")), "<f4", 48).reshape(2, 24) for _ in range(200)]
    currents, errors = np.array(reads).transpose(1, 0, 2)
    assert currents.std(axis=0).mean() == pytest.approx(errors.mean(), rel=0.1)
    on.ask(b"SENS:AVER 64;:SYST:ERR?\n")
    mean = np.frombuffer(unblock(on.ask(b"READ:MAP? 0,6,0,4\n")), "<f4", 48).reshape(2, 24)
    assert mean[1].mean() == pytest.approx(errors.mean() / 8, rel=0.2)


def test_overflow_and_noise_floor_flags(on: Bench) -> None:
    on.chip.g[0] = [100e-6, 1e-12, 100e-6, 100e-6]
    on.ask(b"SENS:RANG 1e-5;:SYST:ERR?\n")
    reply = unblock(on.ask(b"READ:MAP? 0,1,0,2\n"))
    assert np.frombuffer(reply, "<f4", 2)[0] == np.float32(1e-5)
    assert reply[-2:] == bytes([1, 4])
    assert on.ask(b"STAT:QUES?\n") == b"256\n"


def test_sample_takes_its_time(on: Bench) -> None:
    reply = np.frombuffer(unblock(on.ask(b"SAMP? 1,1,0.1,5,1kHz,100\n")), "<f4")
    assert reply == pytest.approx(np.full(100, 5e-6), rel=1e-2)
    assert on.clock.now == pytest.approx(0.1 + 1e-5)
    assert on.ask(b"SAMP? 1,1,0.1,5,2e5,100;:SYST:ERR?\n") == b'-222,"Data out of range;rate 200000 above 100000"\n'


def test_the_session_of_the_protocol_page(on: Bench) -> None:
    message = pulse_map(b"3,1,1,2", [16384, 16384], [8192, 8000], 1, 50)
    assert on.now(message + b";:SYST:ERR?\n") == b'0,"No error"\n'
    assert on.now(b"STAT:OPER:COND?;:PULS:LAST?\n") == b"256;MAP,1,0,0,5.5e-06,0\n"
    assert on.ask(b"*OPC?;:PULS:LAST?;:SYST:ERR?\n") == b'1;MAP,1,1,2,5.5e-06,5.5e-06;0,"No error"\n'
    assert [f[1:] for f in on.chip.fired] == [
        (0, 3 * COLS + 1, 2.5, 5e-7, 1.25, 1),
        (0, 3 * COLS + 2, 2.5, 5e-7, 1.221, 1),
    ]
    on.ask(b"SOUR:ZERO;:OUTP OFF;:OUTP?\n")
    assert on.log.texts() == ["connected", "start MAP 1 slots", "end MAP", "volts 0", "volts 0", "disconnected"]


def test_slots_go_by_row_then_amplitude_then_width_for_column_gates(on: Bench) -> None:
    volts = [[3000, 1000, 1000, 3000], [2000, 2000, -2000, 2000]]
    width = [[50, 60, 50, 50], [50, 50, 50, 50]]
    count = [[1, 1, 2, 3], [1, 0, 1, 2]]
    on.ask(pulse_map(b"0,2,0,4", volts, 100, count, width) + b";*OPC?\n")
    assert [(slot, cell, n) for _, slot, cell, _, _, _, n in on.chip.fired] == [
        (0, 2, 2), (1, 1, 1), (2, 0, 1), (2, 3, 3), (3, 6, 1), (4, 4, 1), (4, 7, 2),
    ]  # fmt: skip
    assert on.now(b"PULS:LAST?\n").startswith(b"MAP,9,9,11,"), "2+1+3+1+2 slots: a group costs its largest count"


def test_slots_go_by_gate_for_row_gates() -> None:
    spec = BoardSpec(ROWS, COLS, gate_axis="row")
    one = np.ones(4, dtype=np.int64)
    plan = SlotPlan(
        PulseCodes(0 * one, np.arange(4), np.array([1, 2, 3, 4]), np.array([9, 8, 9, 8]), 50 * one, one), spec
    )
    assert plan.slots == 2
    assert plan.seconds == pytest.approx(2 * 5.5e-6)


def test_a_bad_value_refuses_the_whole_map(on: Bench) -> None:
    cases = [
        (([1000, -32768], 100, 1, 50), b"volts -5 below -4.99985 at row 3 column 2"),
        (([1000, 1000], [0, -7], 1, 50), b"gate -0.00106812 below 0 at row 3 column 2"),
        (([1000, 1000], 100, 1, [50, 4]), b"width 4e-08 below 5e-08 at row 3 column 2"),
        (([1000, 1000], 100, 1, [2000000, 50]), b"width 0.02 above 0.01 at row 3 column 1"),
    ]
    for planes, text in cases:
        assert on.ask(pulse_map(b"3,1,1,2", *planes) + b";:SYST:ERR?\n") == b'-222,"Data out of range;' + text + b'"\n'
    on.ask(pulse_map(b"3,1,1,2", [1000, -32768], 100, [1, 0], [50, 0]) + b";*OPC?\n")
    assert len(on.chip.fired) == 1, "a cell with count 0 is not looked at"


def test_a_block_of_the_wrong_length_fires_nothing(on: Bench) -> None:
    wrong = pulse_map(b"3,1,1,2", [1, 2], 3, 1, 50).replace(b"3,1,1,2", b"3,1,1,3")
    assert on.ask(wrong + b";:SYST:ERR?\n") == b'-161,"Invalid block data;20 bytes, 1 x 3 cells need 30"\n'
    assert on.chip.fired == []


def test_actions_are_refused_while_off_and_while_busy(bench: Bench) -> None:
    message = pulse_map(b"0,6,0,4", 1000, 100, 5, 50)
    assert bench.ask(message + b";:SYST:ERR?\n") == b'-221,"Settings conflict;output is off"\n'
    assert bench.chip.fired == []
    bench.ask(b"OUTP ON;:SYST:ERR?\n")
    busy = b'-213,"Init ignored;MAP is still running"\n'
    assert bench.now(message + b";:READ:MAP? 0,1,0,1;:SYST:ERR?\n") == busy
    assert bench.now(message + b";:SYST:ERR?\n") == busy
    assert bench.now(b"*STB?;:SYST:SYNC? 7;:STAT:OPER:COND?\n") == b"0;7;256\n", "answered at once, also while busy"


def test_time_passes_only_when_it_is_told_to_and_the_map_follows_it(on: Bench) -> None:
    on.now(pulse_map(b"0,6,0,4", 1000, 100, 10, 50) + b"\n")  # 6 rows, 10 shots of 5.5 us each
    assert on.chip.fired == []
    on.now(b"SIM:CLOC:ADV 138us\n")  # 25.09 shots
    assert on.now(b"PULS:LAST?\n") == b"MAP,60,25,100,0.00033,0.0001375\n"
    done = np.zeros(ROWS * COLS, dtype=int)
    for _, _, cell, _, _, _, n in on.chip.fired:
        done[cell] += n
    assert done.reshape(ROWS, COLS)[:, 0].tolist() == [10, 10, 5, 0, 0, 0]
    assert on.ask(b"*OPC?\n") == b"1\n"
    assert on.clock.now == pytest.approx(330e-6)
    assert sum(f[-1] for f in on.chip.fired) == 240


def test_a_long_wait_does_not_move_the_pulses(on: Bench) -> None:
    on.now(pulse_map(b"0,6,0,4", 1000, 100, 10, 50) + b"\n")
    on.now(b"SIM:CLOC:ADV 1000\n")
    assert on.chip.firings == [pytest.approx(330e-6)]
    assert on.clock.now == pytest.approx(1000.0)


def test_abort_finishes_the_pulse_under_way_and_leaves_the_rest(on: Bench) -> None:
    on.now(pulse_map(b"0,6,0,4", 1000, 100, 10, 50) + b"\n")
    assert on.now(b"*OPC?;:PULS:LAST?\n") == b""
    advance_to(on.clock, 138e-6)
    assert on.ask(b"ABOR\n") == b"1;MAP,60,26,104,0.00033,0.000143\n", "held *OPC? is released"
    assert on.clock.now == pytest.approx(143e-6)
    advance_to(on.clock, 1.0)
    assert sum(f[-1] for f in on.chip.fired) == 104
    assert on.ask(b"OUTP?;:SYST:ERR?\n") == b'1;0,"No error"\n'
    assert on.log.texts()[-2:] == ["cut MAP", "volts 0"]


@pytest.mark.parametrize("command", [b"OUTP OFF", b"*RST"])
def test_going_off_in_the_middle_ends_at_zero_volts_and_then_disconnects(on: Bench, command: bytes) -> None:
    on.now(pulse_map(b"0,6,0,4", 1000, 100, 10, 50) + b"\n")
    on.now(b"*WAI\n")
    advance_to(on.clock, 12e-6)
    assert on.ask(command + b";:OUTP?\n") == b"0\n"
    assert on.clock.now == pytest.approx(16.5e-6 + 10e-6)
    assert sum(f[-1] for f in on.chip.fired) == 12
    assert [(e.what, round(e.time * 1e6, 3)) for e in on.log.events][-2:] == [("volts 0", 16.5), ("disconnected", 26.5)]


def test_an_interrupted_read_is_undone_and_the_board_stays_busy_until_its_end(on: Bench) -> None:
    on.now(b"READ:MAP? 0,6,0,4\n")
    assert on.now(b"SYST:ERR?\n") == b'-410,"Query INTERRUPTED"\n'
    assert on.now(b"READ:MAP? 0,1,0,1;:SYST:ERR?\n") == b'-213,"Init ignored;READ is still running"\n'
    advance_to(on.clock, 1.0)
    assert len(unblock(on.ask(b"READ:MAP? 0,1,0,1\n"))) == 9
    on.now(b"READ:MAP? 0,6,0,4\n")
    assert on.now(b"ABOR;:SYST:SYNC? 3;:SYST:ERR?\n") == b'3;0,"No error"\n', "an aborted read has no reply"


def test_vmm_codes_both_ways(on: Bench) -> None:
    on.chip.g[:] = np.arange(24).reshape(ROWS, COLS) * 5e-6
    on.ask(b"SENS:VMM:RANG 1e-4;:SYST:ERR?\n")
    codes = np.array([[1000, -500, 0, 1966, -1966, 20], [0, 0, 0, 0, 0, 1000]], "<i2")
    out = np.frombuffer(unblock(on.ask(b"VMM:FORW? 2," + block(codes.tobytes()) + b"\n")), "<i2").reshape(2, COLS)
    expected = codes * LSB @ on.chip.g
    assert on.clock.now == pytest.approx(2e-6)
    assert out * (1e-4 / 32767) == pytest.approx(expected, abs=5 * 1e-4 / 8192)
    back = np.array([[10, 20, 30, 40]], "<i2")
    out = np.frombuffer(unblock(on.ask(b"VMM:REV? 1, " + block(back.tobytes()) + b"\n")), "<i2")
    assert out * (1e-4 / 32767) == pytest.approx((back * LSB @ on.chip.g.T)[0], abs=5 * 1e-4 / 8192)
    on.chip.g[:] = 100e-6
    full = np.full((1, ROWS), 1966, "<i2")
    out = np.frombuffer(unblock(on.ask(b"VMM:FORW? 1," + block(full.tobytes()) + b"\n")), "<i2")
    assert out.tolist() == [-32768] * COLS
    assert on.ask(b"STAT:QUES?\n") == b"256\n"


def test_vmm_refusals(on: Bench) -> None:
    codes = np.zeros((2, ROWS), "<i2")
    codes[1, 3] = -1967
    sent = b"VMM:FORW? 2," + block(codes.tobytes()) + b";:SYST:ERR?\n"
    assert on.ask(sent) == b'-222,"Data out of range;volts -0.30014 beyond 0.3 at vector 1 row 3"\n'
    sent = b"VMM:FORW? 1," + block(codes.tobytes()) + b";:SYST:ERR?\n"
    assert on.ask(sent) == b'-161,"Invalid block data;24 bytes, 1 x 6 codes need 12"\n'
    poor = Bench(supports=("vmm",))
    assert poor.ask(b"OUTP ON;:VMM:REV? 1,#18" + bytes(8) + b";:SYST:ERR?\n") == (
        b'-241,"Hardware missing;this board has no reverse; it has vmm"\n'
    )


def test_sweep_points_appear_as_their_dwell_ends(on: Bench) -> None:
    volts = np.array([0.1, 0.5, 1.0, 0.5], "<f4")
    gate = np.array([2, 2, 2, 3], "<f4")
    message = b"SWE:RUN 2,3,600UA,1MS," + block(volts.tobytes() + gate.tobytes())
    assert on.now(message + b";:SYST:ERR?;:STAT:OPER:COND?\n") == b'0,"No error";8\n'
    assert unblock(on.now(b"FETC:SWE?\n")) == b""
    on.now(b"SIM:CLOC:ADV 2.5MS\n")
    assert len(unblock(on.now(b"FETC:SWE?\n"))) == 2 * 9
    assert on.ask(b"*OPC?;:PULS:LAST?\n") == b"1;SWEEP,4,4,0,0.004,0.004\n"
    reply = unblock(on.now(b"FETC:SWE?\n"))
    shown, current = np.frombuffer(reply, "<f4", 8).reshape(2, 4)
    assert shown == pytest.approx(volts, abs=LSB)
    assert current == pytest.approx([1e-4, 5e-4, 6e-4, 5e-4], rel=5e-3)
    assert reply[32:] == bytes([0, 0, 2, 0])
    assert on.ask(b"STAT:QUES?\n") == b"2\n"
    assert [(v, g) for _, v, g in on.chip.swept] == [([0.1, 0.5], 2.0), ([1.0], 2.0), ([0.5], 3.0)]


def test_sweep_refusals(on: Bench) -> None:
    for volts, gate, text in (
        ([0.0, 6.1], [1.0, 1.0], b"-222,\"Data out of range;volts 6.1 above 5 at point 1 row 2 column 3\""),
        ([0.0, np.nan], [1.0, 1.0], b"-222,\"Data out of range;volts nan above 5 at point 1 row 2 column 3\""),
        ([0.0, 1.0], [-1.0, 1.0], b"-222,\"Data out of range;gate -1 below 0 at point 0 row 2 column 3\""),
    ):  # fmt: skip
        payload = block(np.array([volts, gate], "<f4").tobytes())
        assert on.ask(b"SWE:RUN 2,3,1E-3,1E-3," + payload + b";:SYST:ERR?\n") == text + b"\n"
    assert on.ask(b"SWE:RUN 2,9,1E-3,1E-3,#10;:SYST:ERR?\n") == b'-222,"Data out of range;column 9 above 3"\n'
    assert on.chip.swept == []


def test_outer_update_fires_as_often_as_the_vectors_say(on: Bench) -> None:
    x = np.array([32767, 0, -32767, 16384, 0, 0], "<i2")
    d = np.array([32767, -32767, 0, 16384], "<i2")
    tail = b"," + block(x.tobytes()) + b"," + block(d.tobytes())
    on.ask(b"UPD:SEED 5;:UPD:OUT 100,100NS,1,2,0.8,5" + tail + b";:SYST:ERR?\n")
    on.now(b"SIM:CLOC:ADV 0.5MS\n")  # 98.04 of 400 slots
    part = on.now(b"PULS:LAST?\n").split(b",")
    assert (part[0], int(part[1]), int(part[2])) == (b"OUTER", 400, 98)
    assert on.ask(b"*OPC?\n") == b"1\n"
    total = np.zeros(ROWS * COLS, dtype=int)
    for _, _, cell, volts, _, gate, n in on.chip.fired:
        assert (volts, gate) in ((1.0, 2.0), (-0.8, 5.0))
        total[cell] += n if volts > 0 else -n
    table = total.reshape(ROWS, COLS)
    assert table[0, :3].tolist() == [100, -100, 0]
    assert table[2, :2].tolist() == [-100, 100]
    assert not table[1].any()
    assert abs(table[3, 0] - 50) < 20
    assert abs(table[3, 3] - 25) < 20
    last = on.now(b"PULS:LAST?\n").split(b",")
    assert [int(v) for v in last[1:4]] == [400, 400, np.abs(table).sum()]
    assert float(last[4]) == pytest.approx(400 * 5.1e-6)


def test_onboard_verify_brings_cells_to_target_and_says_what_happened(on: Bench) -> None:
    targets = np.array([[80e-6, 20e-6, np.nan, 500e-6]], "<f4")
    args = b"PROG:VER 1,1,0,4,3uSIE,10,500NS,2,1,1.5,0.1,0.5,1.7,0.1,5,"
    assert on.now(args + block(targets.tobytes()) + b";:SYST:ERR?;:STAT:OPER:COND?\n") == b'0,"No error";512\n'
    advance_to(on.clock, 30e-6)
    assert unblock(on.now(b"FETC:PROG?\n"))[-4:] == bytes([3, 3, 2, 3])
    assert on.ask(b"*OPC?\n") == b"1\n"
    reply = unblock(on.now(b"FETC:PROG?\n"))
    g = np.frombuffer(reply, "<f4", 4)
    assert g[:2] == pytest.approx([80e-6, 20e-6], abs=3e-6)
    assert np.isnan(g[2])
    assert struct.unpack("<4H4B", reply[16:]) == (3, 3, 0, 10, 0, 0, 2, 1)
    first = [(cell, volts, gate) for _, _, cell, volts, _, gate, _ in on.chip.fired[:3]]
    assert first == [(5, -0.5, 5.0), (4, 2.0, 1.0), (7, 2.0, 1.0)]
    last_set = [gate for _, _, cell, _, _, gate, _ in on.chip.fired if cell == 7]
    assert last_set == pytest.approx([1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.5, 1.5, 1.5, 1.5], abs=1e-3)


def test_verify_can_be_aborted(on: Bench) -> None:
    targets = np.full((6, 4), 500e-6, "<f4")
    on.now(b"PROG:VER 0,6,0,4,1e-6,100,500NS,2,1,1.5,0.1,0.5,1.7,0.1,5," + block(targets.tobytes()) + b"\n")
    advance_to(on.clock, 130e-6)  # 12 read slots, then one slot of 5.5 us a row: the second row is being pulsed
    on.ask(b"ABOR;*OPC?\n")
    reply = unblock(on.now(b"FETC:PROG?\n"))
    assert np.frombuffer(reply, "<u2", 24, 96).tolist() == [1] * 8 + [0] * 16
    assert set(reply[-24:]) == {3}


def test_diagnosis(on: Bench) -> None:
    assert abs(float(on.ask(b"DIAG:OFFS?\n"))) < 1e-10
    measured, nominal = map(float, on.ask(b"DIAG:REF?\n").split(b","))
    assert nominal == 10e3
    assert measured == pytest.approx(nominal, rel=5e-3)


def test_watchdog_counts_wall_clock_seconds_without_a_message(on: Bench) -> None:
    on.wall = 9.9
    assert on.ask(b"OUTP?\n") == b"1\n"
    on.wall = 20.0
    assert on.ask(b"OUTP?;:SYST:ERR?;:STAT:QUES?\n") == (
        b'0;-365,"Time out error;no message for 10 s, output is off";512\n'
    )
    assert on.log.texts()[-3:] == ["watchdog", "volts 0", "disconnected"]
    on.ask(b"OUTP ON;:SYST:WATC:SUSP 100;:SYST:ERR?\n")
    on.wall = 129.0
    assert on.ask(b"OUTP?\n") == b"1\n"
    on.wall = 140.0
    assert on.ask(b"OUTP?\n") == b"0\n", "the next message ended the suspension"
    on.ask(b"SYST:WATC 0;:OUTP ON;:SYST:ERR?\n")
    on.wall = 1e6
    assert on.ask(b"OUTP?\n") == b"1\n"


def test_the_watchdog_does_not_run_while_the_board_is_busy(on: Bench) -> None:
    on.now(pulse_map(b"0,1,0,1", 1000, 100, 10, 1_000_000) + b"\n")  # ten pulses of 10 ms
    on.wall = 100.0
    assert on.board.watchdog_due() is None
    assert on.now(b"OUTP?\n") == b"1\n"
    on.wall = 150.0
    advance_to(on.clock, 1.0)
    assert on.log.texts()[-1] == "end MAP"
    assert on.board.watchdog_due() == pytest.approx(160.0), "counted from the end"
    on.wall = 161.0
    assert on.now(b"OUTP?\n") == b"0\n"


def test_the_watchdog_does_not_run_while_a_query_is_answered(on: Bench) -> None:
    on.board.receive(b"SAMP? 0,0,0.1,5,1000,60000\n")
    on.wall = 60.0
    assert on.board.watchdog_due() is None
    assert on.board.wait_for_reply() is not None
    on.wall = 69.0
    assert on.ask(b"OUTP?\n") == b"1\n"


def test_settings_and_a_declared_silence_are_taken_while_busy_and_act_on_what_comes_next(on: Bench) -> None:
    on.now(pulse_map(b"0,1,0,1", 1000, 100, 10, 1_000_000) + b"\n")
    assert on.now(b"SENS:AVER 7;:SYST:WATC:SUSP 50;:SENS:AVER?;:SYST:ERR?\n") == b'7;0,"No error"\n'
    advance_to(on.clock, 1.0)
    assert on.board.watchdog_due() == pytest.approx(60.0)


def test_a_block_whose_rest_does_not_come_is_given_up(on: Bench) -> None:
    message = pulse_map(b"0,1,0,4", 1000, 100, 1, 50) + b";:SYST:ERR?\n"
    assert on.now(message[:30]) == b""
    on.wall = 4.0
    assert on.now(message[30:]) == b'0,"No error"\n', "slow, but it came"
    on.ask(b"*OPC?\n")
    assert on.now(message[:30]) == b""
    on.wall = 9.1
    assert on.now(b"*IDN?;:SYST:ERR?\n").endswith(b'-161,"Invalid block data;the rest of the block did not come"\n')


def test_what_follows_half_a_block_is_payload(on: Bench) -> None:
    message = pulse_map(b"0,1,0,4", 1000, 100, 1, 50) + b";:SYST:ERR?\n"
    on.now(message[:30])
    assert on.now(b"ABOR\n") == b""
    assert on.log.texts() == ["connected"]


def test_a_message_for_a_board_that_holds_a_query_interrupts_it(on: Bench) -> None:
    on.now(pulse_map(b"0,1,0,1", 1000, 100, 10, 1_000_000) + b"\n")
    assert on.now(b"*OPC?\n") == b""
    assert on.now(b"SYST:ERR?;:STAT:OPER:COND?\n") == b'-410,"Query INTERRUPTED";256\n'  # and the map goes on
    assert on.now(b"*WAI;:SENS:AVER 3\n") == b""
    assert on.now(b"SENS:AVER?\n") == b"", "what nobody asked is not interrupted: it is done first"
    assert on.board.wait_for_reply() == b"3\n"


def test_a_lost_client_turns_the_board_off_and_a_second_one_stays_out(on: Bench) -> None:
    assert on.board.connect()
    assert not on.board.connect()
    on.now(pulse_map(b"0,6,0,4", 1000, 100, 10, 50) + b"\n")
    advance_to(on.clock, 12e-6)
    on.board.disconnect()
    assert on.log.texts()[-4:] == ["client lost", "cut MAP", "volts 0", "disconnected"]
    advance_to(on.clock, 1.0)
    assert sum(f[-1] for f in on.chip.fired) == 12
    assert on.board.connect()


def test_reset_restores_defaults_and_keeps_the_queue(on: Bench) -> None:
    on.ask(b"SENS:RANG 1e-3;AVER 7;:SOUR:READ:VOLT 0.1;:NOPE;*OPC?\n")
    assert on.ask(b"*RST;:SENS:RANG?;AVER?;:SOUR:READ:VOLT?;:OUTP?;:SYST:ERR:COUN?\n") == b"AUTO;1;0.2;0;1\n"


def test_scripted_overflow(on: Bench) -> None:
    on.board.session.faults = FaultPlan([Fault("overflow", "READ:MAP?", after=1)])
    assert unblock(on.ask(b"READ:MAP? 0,1,0,2\n"))[-2:] == bytes(2)
    assert unblock(on.ask(b"READ:MAP? 0,1,0,2\n"))[-2:] == bytes([1, 1])
    assert unblock(on.ask(b"READ:MAP? 0,1,0,2\n"))[-2:] == bytes(2)
