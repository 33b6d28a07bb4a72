"""The reference in C of docs/board-protocol.md, which shares nothing with the simulator: driver, contract, fuzz."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from support.reference_board import ASAN, COMPILER, SOURCES, built, serving
from xbarlab import open_bench
from xbarlab.conformance.contract import CHECKS
from xbarlab.conformance.subject import BrokenError, NotHereError, Subject
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan, ReadVerifyResult, read_verify
from xbarlab.protocols.programming.verify_state import Verdict

pytestmark = pytest.mark.skipif(COMPILER is None, reason="no C compiler cc on this machine")

ROWS, COLS = 16, 8
# What cells of the noise-free profile are, in the C file's words: no spread, no noise, every step a twentieth.
SIMULATED = """\
chip:
  profile: soft_bounds_1t1r
  seed: 3
  changes:
    geometry.rows: {value: 16, source: test}
    geometry.cols: {value: 8, source: test}
    parameters.dw_min: {value: 0.05, source: test}
    parameters.dw_min_d2d: {value: 0.0, source: test}
    parameters.dw_min_c2c: {value: 0.0, source: test}
    parameters.up_down_d2d: {value: 0.0, source: test}
    parameters.w_max_d2d: {value: 0.0, source: test}
    parameters.w_min_d2d: {value: 0.0, source: test}
    parameters.read_noise: {value: 0.0, source: test}
instruments:
  - kind: array_board
    address: "TCPIP0::127.0.0.1::5049::SOCKET"
    protocol: 1
    converters: {noise: 0.0, gain_spread: 0.0, offset_spread: 0.0}
faults: []
"""
STATION = """\
instruments:
  board:
    type: CrossbarBoard
    address: TCPIP0::127.0.0.1::5049::SOCKET
    init: {visalib: noise_free.bench.yaml@xbarlab}
xbarlab: {array: board}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return built("serve", tmp_path_factory.mktemp("reference"))


@pytest.fixture
def reference(server: Path, tmp_path: Path) -> Iterator[Path]:
    with serving(server, tmp_path) as station:
        yield station


@pytest.fixture
def simulated(tmp_path: Path) -> Path:
    (tmp_path / "noise_free.bench.yaml").write_text(SIMULATED, encoding="utf-8")
    station = tmp_path / "noise_free.station.yaml"
    station.write_text(STATION, encoding="utf-8")
    return station


@pytest.mark.skipif(shutil.which("make") is None, reason="no make on this machine")
def test_the_library_builds_as_its_makefile_says(tmp_path: Path) -> None:
    subprocess.run(["make", "-C", str(SOURCES), f"OUT={tmp_path}", str(tmp_path / "libxbarlab_board.a")], check=True)
    assert (tmp_path / "libxbarlab_board.a").is_file()


def test_it_allocates_nothing(server: Path) -> None:
    for path in SOURCES.glob("xb_*.c"):
        assert not any(word in path.read_text("utf-8") for word in ("malloc", "calloc", "realloc", "alloca")), path.name


def test_the_contract_is_kept(reference: Path, tmp_path: Path) -> None:
    log, broken, left, said = tmp_path / "wire.log", list[str](), list[str](), set[str]()
    log.touch()
    with open_bench(reference, trace=log) as bench:
        on = Subject.on(bench, "4:6,3:5", log)
        for check in CHECKS:
            try:
                check.on(on)
                said.add(check.name)
            except NotHereError as why:
                left.append(str(why))
            except BrokenError as found:
                broken.append(f"{check.name}: {found}")
    assert not broken, "\n".join(broken)
    assert len(said) + len(left) == len(CHECKS)
    assert len(left) <= 3
    assert all("saturate" in why or "staircase" in why for why in left), "two things that this board has not"
    assert all(step.confirmed for step in bench.ending)


def programmed(station: Path, engine: str) -> ReadVerifyResult:
    plan = ReadVerifyPlan.model_validate(
        {"engine": engine, "tolerance": 3e-6, "reverify_rounds": 1, "reverify_after": 0.0, "reread_after": 0.0}
    )
    target = np.linspace(5e-6, 200e-6, ROWS * COLS).reshape(COLS, ROWS).T.copy()
    target[5, 2] = np.nan
    with open_bench(station) as bench:
        return read_verify(bench.array, plan, target=target)


@pytest.mark.parametrize("engine", [pytest.param("host", marks=pytest.mark.slow), "board"])
def test_read_verify_agrees_with_the_simulator_cell_by_cell(reference: Path, simulated: Path, engine: str) -> None:
    in_c, in_python = programmed(reference, engine), programmed(simulated, engine)
    assert (in_c.verdict == in_python.verdict).all()
    assert (in_c.pulses == in_python.pulses).all()
    np.testing.assert_allclose(in_c.at_end, in_python.at_end, rtol=1e-6)
    # Not the same because nothing happened: most are accepted, after pulses, and those out of reach are not.
    assert {Verdict.ACCEPTED, Verdict.NOT_ATTEMPTED} < set(in_c.verdict.ravel().tolist())
    assert (in_c.verdict == Verdict.ACCEPTED).mean() > 0.5
    assert len(np.unique(in_c.pulses)) > 8


def test_products_and_reads_agree_with_each_other(reference: Path) -> None:
    with open_bench(reference) as bench:
        array = bench.array
        some = Block(2, 3, 1, 4)
        array.pulse(PulseMap(some, [[1.5], [-1.5], [1.2]], 1e-6, 5.0, [[1, 2, 3, 4]]))
        g = array.read(array.spec.whole).conductance
        assert len(np.unique(np.rint(1e9 * g))) > 8, "cells were moved by different numbers of pulses"
        volts = np.linspace(-0.2, 0.3, ROWS)
        np.testing.assert_allclose(array.vmm(volts[None], full_scale=1e-3)[0], volts @ g, atol=2e-3 / 8192)
        back = np.linspace(0.3, -0.1, COLS)
        np.testing.assert_allclose(array.vmm(back[None], reverse=True, full_scale=1e-3)[0], g @ back, atol=2e-3 / 8192)


class Raw:
    """A socket that speaks to the board without a driver."""

    def __init__(self, station: Path) -> None:
        port = int(station.read_text("utf-8").split("::")[2])
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.replies = self.socket.makefile("rb")

    def say(self, message: bytes) -> None:
        self.socket.sendall(message + b"\n")

    def ask(self, message: bytes) -> bytes:
        self.say(message)
        return self.replies.readline().rstrip(b"\n")

    def close(self) -> None:
        self.replies.close()
        self.socket.close()


@pytest.fixture
def slow(server: Path, tmp_path: Path) -> Iterator[Raw]:
    """Yield a board that takes the time its slots take."""
    with serving(server, tmp_path, realtime=True) as station:
        raw = Raw(station)
        yield raw
        raw.close()


LONG = b"PULS:MAP 0,1,0,1,#210\x00\x40\x00\x40\x50\xc3\x40\x42\x0f\x00"  # 50,000 pulses of 10 ms
WORDS = [
    (b"*IDN?", b"xbarlab,STEP-CELLS,C-1,1"),
    (b"SYST:SYNC? 2147483647", b"2147483647"),
    (b"READ:MAP? 0,1,0,1;:SYST:ERR?", b'-221,"Settings conflict;output is off"'),
    (b"system:watchdog:timeout?;:SYST:WATC?", b"10;10"),
    (b"SOUR:READ:VOLT 150 MV;VOLT?;GATE?", b"0.15;5"),
    (b"SOUR:READ:VOLT NAN;:SYST:ERR?", b'-222,"Data out of range"'),
    (b"SOUR:READ:VOLT 0.6;:SYST:ERR?", b'-222,"Data out of range;volts 0.6 above 0.5"'),
    (b"SOUR:READ:VOLT 0.6V A;:SYST:ERR?", b'-131,"Invalid suffix"'),
    (b"SOUR:READ:VOLT 1,2;:SYST:ERR?", b'-108,"Parameter not allowed"'),
    (b"SOUR:READ:VOLT;:SYST:ERR?", b'-109,"Missing parameter"'),
    (b"SYSTE:ERR?", b""),
    (b":*CLS;:SENS:RANG 20UA;RANG?", b"0.0001"),
    (b"SENS:AVER #H10;AVER?;:SENS:AVER #B11;AVER?", b"16;3"),
    (b"*ESE 255;*ESE?;*STB?", b"255;16"),
    (b"ADC:MODE LIN;MODE?;:ADC:RAMP:X?;:SYST:ERR?", b'LIN;-241,"Hardware missing"'),
    (b"SIM:CLOC?;:SYST:ERR?", b'-113,"Undefined header"'),
    (b"PULS:MAP 0,1,0,1,#13abc;:SYST:ERR?", b'-221,"Settings conflict;output is off"'),
    (b"OUTP ON;:PULS:MAP 0,1,0,1,#13ab\n;:SYST:ERR?", b'-161,"Invalid block data;3 bytes, 10 are needed"'),
    (b"PULS:MAP 0,1,7,2,#220" + bytes(20) + b";:SYST:ERR?", b'-222,"Data out of range;columns 7 to 8 outside 0 to 7"'),
    (b"PULS:MAP 2,1,3,1,#210" + b"\xff\x7f\x00\x80\x01\x00\x64\x00\x00\x00;:SYST:ERR?",
     b'-222,"Data out of range;gate -5 below 0 at row 2 column 3"'),
    (b"PULS:LAST?;:FETC:SWE?;:SYST:ERR?", b'NONE,0,0,0,0,0;-230,"Data corrupt or stale"'),
    (b"DIAG:REF?;:DIAG:OPEN?;:SYST:ERR?", b'10000,10000;-221,"Settings conflict"'),
    (b"READ:MAP? 0,1,0,1;:SENS:RANG?;:SYST:ERR:COUN?", b"#19"),
]  # fmt: skip


def test_it_answers_as_the_page_says(slow: Raw) -> None:
    for message, wanted in WORDS:
        if wanted:
            assert slow.ask(message)[: len(wanted)] == wanted, message
        else:
            slow.say(message)


def test_an_abort_ends_an_action_within_a_slot_also_while_a_question_waits(slow: Raw) -> None:
    assert slow.ask(b"OUTP ON;:" + LONG + b";:SYST:ERR?") == b'0,"No error"'
    assert slow.ask(b"SYST:SYNC? 5;:STAT:OPER:COND?") == b"5;256"
    assert slow.ask(LONG + b";:SYST:ERR?") == b'-213,"Init ignored"'
    slow.say(b"*OPC?;:READ:MAP? 0,1,0,1;:PULS:LAST?;:SYST:ERR?")
    time.sleep(0.1)
    begun = time.monotonic()
    slow.say(b"ABOR")
    held, last, error = slow.replies.readline().rstrip(b"\n").split(b";", 2)
    assert time.monotonic() - begun < 1.0
    kind, planned, done, pulses = last.split(b",")[:4]
    assert (held, kind, planned) == (b"1", b"MAP", b"50000")
    assert 0 < int(done) == int(pulses) < 2000
    assert error == b'-213,"Init ignored;aborted"', "what was behind the question does not begin"
    assert slow.ask(b"OUTP?;:STAT:OPER:COND?") == b"1;0"


def test_another_message_interrupts_a_question_and_not_the_action(slow: Raw) -> None:
    assert slow.ask(b"OUTP ON;:" + LONG + b";:SYST:ERR?") == b'0,"No error"'
    slow.say(b"*OPC?")
    time.sleep(0.1)
    assert slow.ask(b"SYST:ERR?;:STAT:OPER:COND?") == b'-410,"Query INTERRUPTED";256'
    slow.say(b"*WAI;:SYST:SYNC? 7")
    time.sleep(0.1)
    slow.say(b"SYST:SYNC? 8\nOUTP OFF")
    assert slow.replies.readline() == b"7\n"
    assert slow.replies.readline() == b"8\n"
    assert slow.ask(b"OUTP?") == b"0"


def test_silence_and_a_lost_client_end_in_off(slow: Raw) -> None:
    assert slow.ask(b"SYST:WATC 0.2;:OUTP ON;:OUTP?") == b"1"
    time.sleep(0.6)
    assert slow.ask(b"OUTP?;:STAT:QUES?;:SYST:ERR?") == b'0;512;-365,"Time out error"'
    assert slow.ask(b"OUTP ON;:SYST:WATC:SUSP 30;:OUTP?") == b"1"
    time.sleep(0.6)
    assert slow.ask(b"OUTP?") == b"1", "the silence was declared"
    host = slow.socket.getpeername()
    slow.close()
    again = socket.create_connection(host, timeout=20)
    with again, again.makefile("rb") as replies:
        time.sleep(0.2)
        again.sendall(b"OUTP?\n")
        assert replies.readline() == b"0\n"
        other = socket.create_connection(host, timeout=20)
        with other:
            assert other.recv(1) == b"", "a second client is turned away"


def fuzzed(program: Path, size: int, seed: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(program), str(size), str(seed)], capture_output=True, text=True, check=False, timeout=600
    )


def test_nothing_is_found_by_a_fuzz_under_the_sanitizers(tmp_path: Path) -> None:
    done = fuzzed(built("fuzz", tmp_path, ASAN), 1_000_000, 1)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr
    given, asked, answered = (int(done.stdout.split()[k]) for k in (0, 9, 7))
    assert given >= 1_000_000
    assert asked == answered > 100


PLANTED = {
    "the text of a message has no bound": (
        "xb_wire.c", "if (m->text >= XB_TEXT_MAX || m->length >= m->room) {", "if (m->text > 1000000) {"
    ),
    "a block may be longer than its room": (
        "xb_wire.c", "b->keep = b->length <= m->room - m->length && m->room > XB_TEXT_MAX;", "b->keep = 1;"
    ),
    "the length of a pulse map is not looked at": (
        "xb_commands.c", " || (error = block_is(b, &a[4], 10.0 * where[1] * where[3]))", ""
    ),
    "off leaves the relays closed": ("xb_actions.c", "        b->calls->connect(b->hw, 0);", ""),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("fault", PLANTED)
def test_the_fuzz_finds_what_is_planted(fault: str, tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(SOURCES, sources)
    name, good, bad = PLANTED[fault]
    text = (sources / name).read_text("utf-8")
    assert text.count(good) == 1
    (sources / name).write_text(text.replace(good, bad), encoding="utf-8")
    assert fuzzed(built("fuzz", tmp_path, ASAN, sources), 3_000_000, 1).returncode != 0
