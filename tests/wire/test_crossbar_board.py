"""The driver's exact bytes, with nothing left over, against a scripted cable."""

from __future__ import annotations

import types
from typing import Any

import numpy as np
import pytest

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.board import watchdog as board_watchdog
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import CrossbarArray, PulseMap, VerifyRequest
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError, UnconfirmedError, UnsupportedError

OK = b'0,"No error"\n'
ON = (b"*ESR?;:OUTP ON;:SYST:ERR?\n", b"0;" + OK)
LSB = fake.CAPABILITY["dac"]["volts_lsb"]


class Cable:
    def __init__(self) -> None:
        self.boards: list[CrossbarBoard] = []

    def board(self, *script: tuple[bytes, bytes | BaseException], capability: Any = None, **kwargs: Any) -> Any:
        resource = fake.ScriptedResource([*fake.opening(capability), *script])
        board = CrossbarBoard("board", resource=resource, **kwargs)
        self.boards.append(board)
        return board, resource

    def close(self) -> None:
        for board in self.boards:
            board.visa_handle.script = [(b"ABOR\n", b""), (b"SOUR:ZERO\n", b""), (b"OUTP OFF\n", b""), (b"SYNC", b"")]
            board.visa_handle.script += [(b"SYST:ERR?\n", OK), (b"OUTP?\n", b"0\n")]
            board.close()


@pytest.fixture
def cable():
    cable = Cable()
    yield cable
    cable.close()


def test_opening_makes_safe_first_and_reads_the_capability_once(cable: Cable) -> None:
    board, resource = cable.board()
    assert isinstance(board, CrossbarArray)
    assert (board.spec.rows, board.spec.cols, board.spec.gate_axis) == (8, 4, "col")
    assert board.identity.model == "ARRAY-BOARD"
    assert board.spec.limits.vmm_volts_max == 0.3
    resource.assert_done()


def test_unknown_protocol_version_is_refused() -> None:
    capability = {**fake.CAPABILITY, "protocol": "xbarlab-board/3"}
    with pytest.raises(UnsupportedError, match=r"xbarlab-board/3.*xbarlab-board/1.*xbarlab-board/2"):
        CrossbarBoard("board", resource=fake.ScriptedResource(fake.opening(capability)))


def test_revision_2_is_spoken_with_tags(cable: Cable) -> None:
    board, resource = cable.board(
        (b"SENS:AVER?\n", b"1\n"), capability={**fake.CAPABILITY, "protocol": "xbarlab-board/2", "supports": ["decay"]}
    )
    assert board.spec.supports == frozenset()  # names it does not know are ignored
    assert board.read_average() == 1
    assert resource.raw[-1].startswith(b"TAG? ")
    resource.assert_done()


@pytest.mark.parametrize("edge", [0.0, -1e-8, float("nan"), float("inf"), "fast"])
def test_an_edge_that_is_no_time_is_refused(edge: object) -> None:
    capability = {**fake.CAPABILITY, "width": {**fake.CAPABILITY["width"], "edge": edge}}
    with pytest.raises(InstrumentError, match=r"cannot be used: .*board-protocol\.md §5"):
        CrossbarBoard("board", resource=fake.ScriptedResource(fake.opening(capability)))


def test_capability_with_a_hole_names_it() -> None:
    capability = {name: value for name, value in fake.CAPABILITY.items() if name != "slot_overhead"}
    with pytest.raises(InstrumentError, match="slot_overhead"):
        CrossbarBoard("board", resource=fake.ScriptedResource(fake.opening(capability)))


def test_a_repeated_read_is_one_message(cable: Cable) -> None:
    current = np.arange(8, dtype="<f4") * 1e-6
    reply = fake.block(current.tobytes() + (current * 0.01).astype("<f4").tobytes() + bytes([0, 1, 2, 4, 0, 0, 0, 0]))
    read = (b"READ:MAP? 2,2,0,4\n", reply + b"\n")
    board, resource = cable.board(
        ON,
        (b"SOUR:READ:VOLT 0.2;:SENS:AVER 2;:SOUR:READ:GATE 5;:SYST:ERR?\n", OK),
        (b"SENS:RANG?\n", b"AUTO\n"),
        read,
        read,
    )
    reading = board.read(Block(2, 2, 0, 4), 0.2, average=2)
    assert reading.current == pytest.approx(current.reshape(2, 4))
    assert reading.conductance[1, 3] == pytest.approx(7e-6 / 0.2)
    assert reading.stderr[1, 3] == pytest.approx(7e-8 / 0.2)
    assert reading.flags.tolist() == [[0, 1, 2, 4], [0, 0, 0, 0]]
    before = board.cost
    board.read(Block(2, 2, 0, 4), 0.2, average=2)
    step = board.cost - before
    assert (step.transactions, step.slots, step.pulses) == (1, 2 * (2 + 1), 0)
    assert step.chip_seconds == pytest.approx(6e-5)
    resource.assert_done()


def test_a_block_full_of_line_feeds_is_read_whole(cable: Cable) -> None:
    payload = b"\n" * 9
    board, resource = cable.board(
        ON,
        (b"SOUR:READ:VOLT 0.2;:SENS:AVER 1;:SOUR:READ:GATE 5;:SYST:ERR?\n", OK),
        (b"SENS:RANG?\n", b"0.0001\n"),
        (b"READ:MAP? 0,1,0,1\n", b"#9000000009" + payload + b"\n"),  # a fixed-width header is allowed too
    )
    reading = board.read(Block(0, 1, 0, 1))
    assert reading.flags[0, 0] == 10
    assert board.cost.slots == 1  # no slot for choosing a range
    resource.assert_done()


def test_pulse_map_is_one_block_and_its_outcome_is_what_the_board_says(cable: Cable) -> None:
    codes = np.array([0x4000, -0x2000], "<i2").tobytes()
    gates = np.array([0x2000, 0x7FFF], "<i2").tobytes()
    payload = codes + gates + np.array([1, 2], "<u2").tobytes() + np.array([50, 5], "<u4").tobytes()
    board, resource = cable.board(
        ON,
        (b"PULS:MAP 3,1,1,2,#220" + payload + b";:SYST:ERR?\n", OK),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;MAP,3,3,3,1.6e-05,1.6e-05;0,"No error"\n'),
    )
    pulses = PulseMap(Block(3, 1, 1, 2), [[2.5, -1.25]], [[5e-7, 5e-8]], [[1.25, 5.0]], [[1, 2]])
    delivered = board.pulse(pulses)
    assert delivered.volts.tolist() == [[2.5, -1.25]]
    assert delivered.gate[0, 1] == 0x7FFF * LSB  # the DAC ends one code below 5 V
    assert delivered.width == pytest.approx(np.array([[5e-7, 5e-8]]))
    assert (delivered.slots, delivered.pulses, delivered.seconds) == (3, 3, 1.6e-5)
    assert board.cost.pulses == 3
    resource.assert_done()


def test_cells_with_count_zero_are_not_looked_at_and_nothing_to_do_sends_nothing(cable: Cable) -> None:
    board, resource = cable.board()
    nothing = PulseMap(Block(0, 1, 0, 2), [[np.nan, 99.0]], [[np.nan, -1.0]], np.inf, 0)
    assert board.pulse(nothing).slots == 0
    resource.assert_done()


def test_a_long_job_is_waited_for_on_the_clock(cable: Cable) -> None:
    zero = np.zeros(1, "<i2").tobytes()
    payload = zero + zero + np.array([100], "<u2").tobytes() + np.array([1_000_000], "<u4").tobytes()
    board, resource = cable.board(
        ON,
        (b"PULS:MAP 0,1,0,1,#210" + payload + b";:SYST:ERR?\n", OK),
        (b"PULS:LAST?\n", b"MAP,100,0,0,1.0005,0\n"),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;MAP,100,100,100,1.0005,1.0005;0,"No error"\n'),
    )
    waits: list[float] = []
    board.clock.wait = waits.append
    board.pulse(PulseMap(Block(0, 1, 0, 1), 0.0, 1e-2, 0.0, 100))
    assert waits == [1.0005]
    assert max(resource.timeouts) == pytest.approx(1000 * (5.0 + 1.2 * 1.0005))
    assert resource.timeout == 5000.0
    resource.assert_done()


def test_sweep_exchange(cable: Cable) -> None:
    volts = np.array([0.0, 0.5, 1.0], "<f4")
    gates = np.full(3, 2.0, "<f4")
    reply = volts.tobytes() + np.array([0.0, 1e-5, 2e-5], "<f4").tobytes() + bytes([0, 0, 2])
    board, resource = cable.board(
        ON,
        (b"SWE:RUN 1,2,0.0001,0.001,#224" + volts.tobytes() + gates.tobytes() + b";:SYST:ERR?\n", OK),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;SWEEP,3,3,0,0.003,0.003;0,"No error"\n'),
        (b"FETC:SWE?\n", b"#227" + reply + b"\n"),
    )
    trace = board.sweep(1, 2, [0.0, 0.5, 1.0], compliance=1e-4, dwell=1e-3, gate=2.0)
    assert trace.current == pytest.approx([0.0, 1e-5, 2e-5])
    assert trace.flags.tolist() == [0, 0, 2]
    assert (board.cost.transactions, board.cost.slots) == (1, 3)
    resource.assert_done()


def test_sample_exchange(cable: Cable) -> None:
    board, resource = cable.board(
        ON, (b"SAMP? 0,1,0.1,5,1000,4\n", b"#216" + np.full(4, 2e-6, "<f4").tobytes() + b"\n")
    )
    trace = board.sample(0, 1, 0.1, rate=1e3, seconds=4e-3)
    assert trace.time == pytest.approx([1e-3, 2e-3, 3e-3, 4e-3])
    assert trace.current == pytest.approx(2e-6)
    resource.assert_done()


def test_vmm_codes_both_ways(cable: Cable) -> None:
    lsb = fake.CAPABILITY["vmm"]["volts_lsb"]
    forward = np.array([[1, -2, 3, 0, 0, 0, 0, 1966]], "<i2")
    backward = np.array([[0, 0, 5, 0]], "<i2")
    out_forward, out_backward = np.array([[32767, 1, -1, -32768]], "<i2"), np.arange(8, dtype="<i2")[np.newaxis]
    board, resource = cable.board(
        ON,
        (b"SENS:VMM:RANG?\n", b"0.01\n"),
        (b"VMM:FORW? 1,#216" + forward.tobytes() + b"\n", b"#18" + out_forward.tobytes() + b"\n"),
        (b"VMM:REV? 1,#18" + backward.tobytes() + b"\n", b"#216" + out_backward.tobytes() + b"\n"),
    )
    current = board.vmm(np.array([[1, -2, 3, 0, 0, 0, 0, 1966.08]]) * lsb)
    assert current.dtype == np.float32
    assert current[0, :3] == pytest.approx(np.array([0.01, 0.01 / 32767, -0.01 / 32767]))
    assert np.isnan(current[0, 3])
    assert board.vmm(np.array([0, 0, 5, 0]) * lsb, reverse=True) == pytest.approx(np.arange(8) * 0.01 / 32767)
    resource.assert_done()


def test_vmm_full_scale_is_set_once_and_rounded_up(cable: Cable) -> None:
    codes, out = np.zeros((1, 8), "<i2"), np.array([[32767, 0, 0, 0]], "<i2")
    vmm = (b"VMM:FORW? 1,#216" + codes.tobytes() + b"\n", b"#18" + out.tobytes() + b"\n")
    board, resource = cable.board(ON, (b"SENS:VMM:RANG 0.001;:SYST:ERR?\n", OK), vmm, vmm)
    assert board.vmm(np.zeros(8), full_scale=2e-4)[0] == pytest.approx(1e-3)
    assert board.vmm(np.zeros(8), full_scale=1e-3)[0] == pytest.approx(1e-3)
    for wrong in (0.02, 0.0, float("nan")):
        with pytest.raises(RefusedError, match=r"vmm full_scale .* within the ranges"):
            board.vmm(np.zeros(8), full_scale=wrong)
    resource.assert_done()


def test_outer_update_exchange_and_missing_drive(cable: Cable) -> None:
    x, d = np.array([32767, 0, 0, 0, 0, 0, 0, -16384], "<i2"), np.array([32767, 0, 0, 0], "<i2")
    head = b"UPD:OUT 10,1e-06,1.5,1.2,1.8,5,"
    board, resource = cable.board(
        ON,
        (head + b"#216" + x.tobytes() + b",#18" + d.tobytes() + b";:SYST:ERR?\n", OK),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;OUTER,40,40,15,0.00024,0.00024;0,"No error"\n'),
    )
    arguments = ([1, 0, 0, 0, 0, 0, 0, -0.5], [1, 0, 0, 0])
    with pytest.raises(RefusedError, match="update_width"):
        board.outer_update(*arguments, pulses=10)
    board.update_width(1e-6)
    board.update_set_volts(1.5)
    board.update_set_gate(1.2)
    board.update_reset_volts(1.8)
    board.update_reset_gate(5.0)
    delivered = board.outer_update(*arguments, pulses=10)
    assert (delivered.slots, delivered.pulses) == (40, 15)
    assert delivered.count[0, 0] == 10
    assert delivered.volts[7, 0] == -1.8
    resource.assert_done()


def test_program_verify_exchange(cable: Cable) -> None:
    target = np.array([[1e-4, np.nan]], "<f4")
    head = b"PROG:VER 0,1,0,2,5e-06,20,1e-06,2,0.8,2,0.1,0.6,2,0.1,5,"
    reply = np.array([9.9e-5, 3e-5], "<f4").tobytes() + np.array([4, 0], "<u2").tobytes() + bytes([0, 2])
    board, resource = cable.board(
        ON,
        (head + b"#18" + target.tobytes() + b";:SYST:ERR?\n", OK),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;VERIFY,40,9,4,0.0005,0.0001;0,"No error"\n'),
        (b"FETC:PROG?\n", b"#214" + reply + b"\n"),
    )
    request = VerifyRequest(
        Block(0, 1, 0, 2), np.array([[1e-4, np.nan]]), 5e-6, 20, 1e-6, 2.0, (0.8, 2.0, 0.1), (0.6, 2.0, 0.1), 5.0
    )
    verified = board.program_verify(request)
    assert verified.done.tolist() == [[True, False]]
    assert verified.pulses.tolist() == [[4, 0]]
    resource.assert_done()


def test_diagnosis_takes_the_array_off_for_open_lines(cable: Cable) -> None:
    board, resource = cable.board(
        ON,
        (b"OUTP OFF;:SYST:ERR?\n", OK),
        (b"DIAG:OPEN?\n", b"2e7\n"),
        ON,
        (b"DIAG:OFFS?\n", b"1e-10\n"),
        (b"DIAG:REF?\n", b"10010,10000\n"),
    )
    found = board.diagnose()
    assert (found.offset, found.reference, found.reference_nominal, found.open) == (1e-10, 10010.0, 10000.0, 2e7)
    resource.assert_done()


def test_parameters_carry_their_error_query(cable: Cable) -> None:
    board, resource = cable.board(
        (b"SOUR:READ:VOLT 0.1;:SYST:ERR?\n", OK),
        (b"SOUR:READ:VOLT?\n", b"0.1\n"),
        (b"SENS:RANG 1e-05;:SYST:ERR?\n", OK),
        (b"OUTP 0;:SYST:ERR?\n", OK),
    )
    board.read_volts(0.1)
    assert board.read_volts() == 0.1
    board.read_range(1e-5)
    board.output(False)
    resource.assert_done()


def test_what_the_board_reports_is_raised_with_the_whole_queue(cable: Cable) -> None:
    board, resource = cable.board(
        (b"SYST:WATC 5;:SYST:ERR?\n", b'-222,"Data out of range;watchdog"\n'),
        (b"SYST:ERR?\n", b'501,"over-temperature"\n'),
        (b"SYST:ERR?\n", OK),
    )
    with pytest.raises(InstrumentError, match=r"-222 Data out of range.*501 over-temperature") as caught:
        board.watchdog(5.0)
    assert caught.value.entries == ((-222, "Data out of range;watchdog"), (501, "over-temperature"))
    resource.assert_done()


def test_a_query_without_reply_is_explained_by_the_error_queue(cable: Cable) -> None:
    board, resource = cable.board(
        (b"FOO?\n", b""), (b"SYNC", b""), (b"SYST:ERR?\n", b'-113,"Undefined header"\n'), (b"SYST:ERR?\n", OK)
    )
    with pytest.raises(InstrumentError, match="-113 Undefined header"):
        board.ask("FOO?")
    resource.assert_done()


def test_a_dead_board_is_named_with_what_was_tried(cable: Cable) -> None:
    board, resource = cable.board((b"FOO?\n", b""), (b"SYNC", b""))
    resource.answer = lambda message: b""
    with pytest.raises(ConnectionLostError, match=r"fake-board.*FOO\? was sent, then SYST:SYNC\?"):
        board.ask("FOO?")
    del resource.answer
    resource.script.clear()


def test_a_late_reply_is_not_taken_for_the_next_one(cable: Cable) -> None:
    board, resource = cable.board(
        (b"FOO?\n", b""), (b"SYNC", b"late answer\n"), (b"SYST:ERR?\n", OK), (b"OUTP?\n", b"0\n")
    )
    with pytest.raises(ConnectionLostError, match="answers again"):
        board.ask("FOO?")
    assert board.output() is False
    resource.assert_done()


def test_a_garbled_block_is_asked_for_once_more_then_reported_and_the_next_exchange_is_in_step(cable: Cable) -> None:
    garbled: list[tuple[bytes, bytes | BaseException]] = [
        ON,
        (b"SAMP? 0,0,0.1,5,1000,1\n", b"@14xxxx\n"),
        (b"SYNC", b""),
        (b"SYST:ERR?\n", OK),
        (b"ABOR\n", b""),
        (b"SYNC", b""),
        (b"SYST:ERR?\n", OK),
    ]
    board, resource = cable.board(*garbled, (b"*ESR?\n", b"0\n"), (b"SYST:WATC?\n", b"10\n"), *garbled)
    resource.script.append((b"OUTP?\n", b"0\n"))
    with pytest.raises(InstrumentError, match="garbled"):
        board.sample(0, 0, 0.1, rate=1e3, seconds=1e-3)
    assert board.output() is False
    resource.assert_done()


def test_polarity_turns_every_sign(cable: Cable) -> None:
    chip = parse_chip({"id": "n", "rows": 8, "cols": 4, "cell": "1T1R", "polarity": -1}, source="chip")
    payload = np.array([-0x4000], "<i2").tobytes() + bytes(2) + b"\x01\x00" + np.array([100], "<u4").tobytes()
    current = np.array([-2e-5, 1e-8], "<f4").tobytes() + b"\x00"
    board, resource = cable.board(
        ON,
        (b"PULS:MAP 0,1,0,1,#210" + payload + b";:SYST:ERR?\n", OK),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;MAP,1,1,1,6e-06,6e-06;0,"No error"\n'),
        (b"SOUR:READ:VOLT -0.2;:SENS:AVER 1;:SOUR:READ:GATE 5;:SYST:ERR?\n", OK),
        (b"SENS:RANG?\n", b"AUTO\n"),
        (b"READ:MAP? 0,1,0,1\n", b"#19" + current + b"\n"),
        chip=chip,
    )
    assert board.pulse(PulseMap(Block(0, 1, 0, 1), 2.5, 1e-6)).volts[0, 0] == 2.5
    reading = board.read(Block(0, 1, 0, 1))
    assert reading.current[0, 0] == pytest.approx(2e-5)
    assert reading.conductance[0, 0] == pytest.approx(1e-4)
    with pytest.raises(UnsupportedError, match="onboard_verify"):
        board.program_verify(None)
    resource.assert_done()


def test_lines_of_a_small_chip_are_found_on_the_board(cable: Cable) -> None:
    lines = {"rows": [5, 3], "cols": [1, 2]}
    chip = parse_chip({"id": "s", "rows": 2, "cols": 2, "cell": "1T1R", "lines": lines}, source="chip")
    codes = np.zeros((3, 2), "<i2")
    counts, ticks = np.zeros((3, 2), "<u2"), np.zeros((3, 2), "<u4")
    codes[2] = [0x1000, 0x2000]  # chip row 0 is board line 5, chip row 1 is board line 3
    codes[0] = [0x3000, 0x4000]
    counts[[0, 2]], ticks[[0, 2]] = 1, 100
    payload = codes.tobytes() + bytes(12) + counts.tobytes() + ticks.tobytes()
    board, resource = cable.board(
        ON,
        (b"PULS:MAP 3,3,1,2,#260" + payload + b";:SYST:ERR?\n", OK),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;MAP,4,4,4,2e-05,2e-05;0,"No error"\n'),
        (b"SENS:VMM:RANG?\n", b"0.01\n"),
        (
            b"VMM:FORW? 1,#216" + np.array([0, 0, 0, 2, 0, 1, 0, 0], "<i2").tobytes() + b"\n",
            b"#18" + np.array([7, 8, 9, 10], "<i2").tobytes() + b"\n",
        ),
        chip=chip,
    )
    volts = np.array([[0x1000, 0x2000], [0x3000, 0x4000]]) * LSB
    assert board.pulse(PulseMap(board.spec.whole, volts, 1e-6)).volts.tolist() == volts.tolist()
    assert board.vmm(np.array([1, 2]) * LSB) == pytest.approx(np.array([8, 9]) * 0.01 / 32767)
    resource.assert_done()


def test_the_watchdog_is_told_about_long_waits_and_forgiven_once(cable: Cable) -> None:
    board, resource = cable.board(
        (b"SYST:WATC:SUSP 106;:SYST:ERR?\n", OK),
        (b"*ESR?;:OUTP ON;:SYST:ERR?\n", b'0;-365,"Time out error;watchdog"\n'),
        (b"SYST:ERR?\n", OK),
        (b"SAMP? 0,0,0.1,5,1000,1\n", b"#14" + bytes(4) + b"\n"),
    )
    board.declare_silence(3.0)  # below a third of 10 s: nothing to say
    board.declare_silence(100.0)
    board.sample(0, 0, 0.1, rate=1e3, seconds=1e-3)
    resource.assert_done()


def test_a_minute_of_sampling_is_announced_in_the_same_message(cable: Cable) -> None:
    """Any later message would end the declared silence, so it cannot be one of its own."""
    reply = fake.block(np.zeros(60_000, "<f4").tobytes()) + b"\n"
    board, resource = cable.board(ON, (b"SYST:WATC:SUSP 64;:SAMP? 0,0,0.1,5,1000,60000\n", reply))
    board.sample(0, 0, 0.1, rate=1e3, seconds=60.0)
    resource.assert_done()


def test_a_long_read_verify_is_announced(cable: Cable) -> None:
    target = np.full((1, 1), 1e-4, "<f4")
    head = b"PROG:VER 0,1,0,1,5e-06,60000,0.001,2,0.8,2,0.1,0.6,2,0.1,5,"
    reply = np.array([9.9e-5], "<f4").tobytes() + np.array([4], "<u2").tobytes() + bytes([0])
    board, resource = cable.board(
        ON,
        (head + b"#14" + target.tobytes() + b";:SYST:ERR?\n", OK),
        (b"PULS:LAST?\n", b"VERIFY,120000,0,0,60,0\n"),
        (b"SYST:WATC:SUSP 64;*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;VERIFY,40,9,4,60,0.1;0,"No error"\n'),
        (b"FETC:PROG?\n", b"#17" + reply + b"\n"),
    )
    board.program_verify(
        VerifyRequest(
            Block(0, 1, 0, 1), target.astype(float), 5e-6, 60_000, 1e-3, 2.0, (0.8, 2.0, 0.1), (0.6, 2.0, 0.1), 5.0
        )
    )
    resource.assert_done()


def test_a_sweep_is_waited_for_in_silence_and_so_is_the_tenth_it_may_be_late(cable: Cable) -> None:
    volts, gates = np.zeros(60, "<f4").tobytes(), np.full(60, 5.0, "<f4").tobytes()
    board, resource = cable.board(
        ON,
        (b"SWE:RUN 0,0,0.001,1,#3480" + volts + gates + b";:SYST:ERR?\n", OK),
        (b"PULS:LAST?\n", b"SWEEP,60,0,0,60,0\n"),
        (b"SYST:WATC:SUSP 64;:SYST:ERR?\n", OK),
        (b"SYST:WATC:SUSP 7.3;*OPC?;:PULS:LAST?;:SYST:ERR?\n", b'1;SWEEP,60,60,0,60,60;0,"No error"\n'),
        (b"FETC:SWE?\n", b"#3540" + bytes(540) + b"\n"),
    )
    board.clock.wait = board.declare_silence
    board.sweep(0, 0, np.zeros(60), compliance=1e-3, dwell=1.0)
    resource.assert_done()


def test_long_reads_and_products_are_announced_when_the_watchdog_is_short(
    cable: Cable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(board_watchdog, "time", types.SimpleNamespace(monotonic=lambda: 0.0))  # a quick machine
    reply = fake.block(bytes(9)) + b"\n"
    codes, out = bytes(2 * 8 * 65536), bytes(2 * 4 * 65536)
    board, resource = cable.board(
        (b"SYST:WATC 0.02;:SYST:ERR?\n", OK),
        (b"SYST:WATC?\n", b"0.02\n"),
        ON,
        (b"SOUR:READ:VOLT 0.2;:SENS:AVER 1000;:SOUR:READ:GATE 5;:SYST:ERR?\n", OK),
        (b"SENS:RANG?\n", b"1e-05\n"),
        (b"SYST:WATC:SUSP 1.0105;:READ:MAP? 0,1,0,1\n", reply),
        (b"SENS:VMM:RANG?\n", b"0.01\n"),
        (
            b"SYST:WATC:SUSP 1.0688128;:VMM:FORW? 65536," + fake.block(codes) + b"\n",
            fake.block(out) + b"\n",
        ),
    )
    board.watchdog(0.02)
    board.read(Block(0, 1, 0, 1), average=1000)
    board.vmm(np.zeros((65536, 8)))
    resource.assert_done()


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"\x6b;MAP\n", r"answered \*OPC\?;:PULS:LAST\?;:SYST:ERR\? with 'k;MAP'"),
        (b'1;MAP,x,1,1,6e-06,6e-06;0,"No error"\n', r"with 'MAP,x,1,1,6e-06,6e-06'"),
        (b"1;MAP,1,1,1,6e-06,6e-06;zero\n", r"with 'zero'"),
    ],
)
def test_a_garbled_end_of_a_job_is_said_with_the_remedy(cable: Cable, reply: bytes, words: str) -> None:
    pulses = bytes(4) + b"\x01\x00" + np.array([100], "<u4").tobytes()
    board, resource = cable.board(
        ON,
        (b"PULS:MAP 0,1,0,1,#210" + pulses + b";:SYST:ERR?\n", OK),
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", reply),
        (b"SYNC", b""),
        (b"*ESR?\n", b"0\n"),  # asking does not act: once more
        (b"*OPC?;:PULS:LAST?;:SYST:ERR?\n", reply),
        (b"ABOR\n", b""),
        (b"SYNC", b""),
        (b"PULS:LAST?\n", b"MAP,1,1,1,6e-06,6e-06\n"),
        (b"SYST:ERR?\n", OK),
    )
    said = (
        rf"{words}: the reply is garbled; check cable .* open the bench again; cell \(0, 0\) may have had up to 1 pulse"
    )
    with pytest.raises(UnconfirmedError, match=said) as caught:
        board.pulse(PulseMap(Block(0, 1, 0, 1), 0.0, 1e-6))
    assert (caught.value.block, caught.value.count.tolist()) == (Block(0, 1, 0, 1), [[1]])
    assert board.cost.pulses == 1
    resource.assert_done()


def test_a_queue_full_of_the_same_is_told_once(cable: Cable) -> None:
    entry = b'-310,"System error;hot"\n'
    board, resource = cable.board(
        (b"SYST:WATC 5;:SYST:ERR?\n", entry),
        *[(b"SYST:ERR?\n", entry)] * 18,
        (b"SYST:ERR?\n", b'-350,"Queue overflow"\n'),
        (b"SYST:ERR?\n", OK),
    )
    with pytest.raises(InstrumentError, match=r"reports -310 System error;hot \(×19\); -350 Queue overflow") as caught:
        board.watchdog(5.0)
    assert len(caught.value.entries) == 20
    resource.assert_done()


def test_a_simulator_that_is_silent_is_not_waited_for_longer_than_20_s() -> None:
    resource = fake.FakeBoard(clock="simulated")
    board: Any = CrossbarBoard("board", resource=resource)
    resource.timeouts.clear()
    board.pulse(PulseMap(Block(0, 1, 0, 1), 1.0, 1e-6, 1.0))
    assert max(resource.timeouts) <= 20_001.0
    board.close()


def test_a_watchdog_that_expires_while_a_reply_is_waited_for_is_not_the_news(cable: Cable) -> None:
    board, resource = cable.board(
        (b"FOO?\n", b""), (b"SYNC", b""), (b"SYST:ERR?\n", b'-365,"Time out error"\n'), (b"SYST:ERR?\n", OK)
    )
    with pytest.raises(ConnectionLostError, match=r"no reply to FOO\? within 5 s.*the reply was lost"):
        board.ask("FOO?")
    resource.assert_done()


def test_an_interrupted_query_is_our_own_doing_and_told_as_a_late_reply(cable: Cable) -> None:
    board, resource = cable.board(
        (b"FOO?\n", b""), (b"SYNC", b""), (b"SYST:ERR?\n", b'-410,"Query INTERRUPTED"\n'), (b"SYST:ERR?\n", OK)
    )
    with pytest.raises(ConnectionLostError, match=r"no reply to FOO\? within 5 s.*came late") as caught:
        board.ask("FOO?")
    assert "-410" not in str(caught.value)
    resource.assert_done()


def test_the_snapshot_is_small(cable: Cable) -> None:
    import json

    from qcodes.utils import NumpyJSONEncoder

    board, resource = cable.board()
    snapshot = json.dumps(board.snapshot(update=False), cls=NumpyJSONEncoder)
    assert 0 < len(snapshot) < 100_000
    resource.assert_done()
