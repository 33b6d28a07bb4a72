"""Every fault on demand, through the in-process VISA: what the host sees, and the proof that it struck."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import pyvisa
from pyvisa.constants import StatusCode
from pyvisa.resources import MessageBasedResource

from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.bench.file import BenchFileError
from xbarlab.mockhw.faults import KINDS, Fault, FaultPlan

STATIONS = Path(__file__).parents[2] / "runbooks" / "stations"
BOARD = "TCPIP0::127.0.0.1::5025::SOCKET"
PULSES = b"PULS:MAP 0,1,0,1,#210" + b"\x00\x40\x00\x40\x01\x00" + (100).to_bytes(4, "little")


def make(folder: Path, faults: str = "[]") -> MockBench:
    path = folder / "f.bench.yaml"
    path.write_text(
        f"chip: {{profile: ta_hfo2_1t1r}}\nfaults: {faults}\n"
        f"instruments: [{{kind: array_board, address: '{BOARD}'}}]\n",
        encoding="utf-8",
    )
    return fresh_bench(path)


class Lab:
    def __init__(self, folder: Path) -> None:
        self.bench = make(folder)
        self.manager = pyvisa.ResourceManager(f"{self.bench.path}@xbarlab")
        self.open()
        self.ask("OUTP ON;OUTP?")

    def open(self) -> None:
        link = self.manager.open_resource(BOARD, read_termination="\n", write_termination="\n", timeout=1000)
        assert isinstance(link, MessageBasedResource)
        self.link = link

    def ask(self, message: str) -> str:
        return self.link.query(message)

    def plan(self, *faults: Fault) -> FaultPlan:
        return self.bench.script_faults(BOARD, faults)

    def read_map(self, where: str = "0,1,0,4") -> bytes:
        self.link.read_termination = None
        try:
            self.link.write_raw(f"READ:MAP? {where}\n".encode())
            rows, cols = (int(part) for part in where.split(",")[1::2])
            size = 9 * rows * cols
            return self.link.read_bytes(2 + len(str(size)) + size + 1)[2 + len(str(size)) : -1]
        finally:
            self.link.read_termination = "\n"

    def currents(self, where: str = "0,1,0,4") -> np.ndarray:
        data = self.read_map(where)
        return np.frombuffer(data[: 4 * (len(data) // 9)], "<f4")

    def struck(self) -> list[str]:
        return [event.what for event in self.bench.log.faults()]


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    lab = Lab(tmp_path)
    yield lab
    lab.manager.close()


def fails(call, code: StatusCode) -> None:
    with pytest.raises(pyvisa.VisaIOError) as caught:
        call()
    assert caught.value.error_code == code


def test_every_kind_can_be_declared_and_leaves_a_proof(tmp_path: Path) -> None:
    for kind in KINDS:
        board = make(tmp_path, f"[{{kind: {kind}, header: 'sens:aver?', seconds: 0.5, times: 1}}]").instruments[BOARD]
        board.receive(b"SENS:AVER?\n")
        board.wait_for_reply()
        (event,) = board.log.faults()
        assert event.what.startswith(f"fault {kind}"), event.what
        assert event.what.endswith("at SENSe:AVERage?"), event.what
        assert event.address == BOARD


def test_by_schedule_and_by_chance(lab: Lab) -> None:
    plan = lab.plan(Fault("error", "SENS:AVER?", after=2, times=3, code=-200))
    hit = [lab.ask("SENS:AVER?;:SYST:ERR?").startswith("-200") for _ in range(8)]
    assert hit == [False, False, True, True, True, False, False, False]
    assert plan.struck == [3]
    patterns = []
    for seed in (1, 1, 2):
        lab.bench.script_faults(BOARD, [Fault("error", "SENS:AVER?", probability=0.3)], seed=seed)
        patterns.append([lab.ask("SENS:AVER?;:SYST:ERR?").startswith("-240") for _ in range(400)])
    assert patterns[0] == patterns[1] != patterns[2]
    assert 80 < sum(patterns[0]) < 160
    assert len(lab.struck()) == 3 + sum(map(sum, patterns))


def test_an_empty_header_is_every_command(lab: Lab) -> None:
    plan = lab.plan(Fault("error", after=1, times=2))
    assert lab.ask("*OPC?;*TST?;*IDN?;*OPC?") == "1;1"
    assert plan.struck == [2]
    assert [what.rsplit(" ", 1)[1] for what in lab.struck()] == ["*TST?", "*IDN?"]


def test_a_delay_is_felt_as_a_timeout_and_interrupted(lab: Lab) -> None:
    lab.plan(Fault("delay", "*TST?", seconds=3.0), Fault("delay", "SENS:AVER", seconds=0.5))
    fails(lambda: lab.ask("*TST?"), StatusCode.error_timeout)
    assert lab.ask("SYST:ERR?").startswith("-410")
    begun = lab.bench.clock.now
    lab.link.write("SENS:AVER 3")
    assert lab.ask("SENS:AVER?") == "3"
    assert lab.bench.clock.now - begun == pytest.approx(0.5)


def test_a_late_reply_arrives_after_the_next_query_was_sent(lab: Lab) -> None:
    lab.plan(Fault("late_reply", "*IDN?"), Fault("late_reply", "*TST?", seconds=1.5))
    fails(lambda: lab.ask("*IDN?"), StatusCode.error_timeout)
    assert lab.ask("SYST:SYNC? 5").startswith("xbarlab"), "the reply to the question before"
    assert lab.link.read() == "5"
    fails(lambda: lab.ask("*TST?"), StatusCode.error_timeout)
    assert lab.ask("SYST:SYNC? 6") == "0"
    assert lab.link.read() == "6"
    assert lab.ask("SYST:ERR?") == '0,"No error"', "nothing was interrupted: the reply had left"


def test_what_happens_to_a_reply(lab: Lab) -> None:
    lab.plan(
        Fault("garbled_reply", "SYST:SYNC?"),
        Fault("truncated_reply", "SYST:SYNC?", after=1),
        Fault("double_reply", "SYST:SYNC?", after=2),
        Fault("no_reply", "SYST:SYNC?", after=3, where="after"),
    )
    assert lab.ask("SYST:SYNC? 123456") not in ("123456", "")
    fails(lambda: lab.ask("SYST:SYNC? 123456"), StatusCode.error_timeout)
    assert lab.ask("SYST:SYNC? 7") == "7"
    assert lab.link.read() == "7"
    fails(lambda: lab.ask("SYST:SYNC? 8"), StatusCode.error_timeout)
    assert lab.ask("SYST:SYNC? 9") == "9"
    assert len(lab.struck()) == 4


@pytest.mark.parametrize(("where", "fired"), [("before", 0), ("inside", 0), ("after", 1)])
def test_a_connection_breaks_around_a_block_that_is_sent(lab: Lab, where: str, fired: int) -> None:
    lab.plan(Fault("drop_connection", "PULS:MAP", where=where))  # pyright: ignore[reportArgumentType]
    if where == "inside":
        fails(lambda: lab.link.write_raw(PULSES + b";:SYST:ERR?\n"), StatusCode.error_connection_lost)
    else:
        lab.link.write_raw(PULSES + b";:SYST:ERR?\n")
        fails(lab.link.read, StatusCode.error_connection_lost)
    lab.link.close()
    assert sum(what.startswith("start MAP") for what in lab.bench.log.texts()) == fired
    assert lab.bench.log.texts()[-2:] == ["volts 0", "disconnected"]
    assert lab.struck() == [f"fault drop_connection {where} at PULSe:MAP"]
    lab.open()
    assert lab.ask("OUTP?") == "0"


@pytest.mark.parametrize(("where", "arrives"), [("before", 0), ("inside", 21), ("after", 41)])
def test_a_connection_breaks_around_a_block_that_is_read(lab: Lab, where: str, arrives: int) -> None:
    lab.plan(Fault("drop_connection", "READ:MAP?", where=where))  # pyright: ignore[reportArgumentType]
    lab.link.read_termination = None
    lab.link.write_raw(b"READ:MAP? 0,1,0,4\n")
    if arrives:
        assert len(lab.link.read_bytes(arrives - 1 if where == "inside" else arrives)) >= arrives - 1
    fails(lambda: lab.link.read_bytes(10), StatusCode.error_connection_lost)
    fails(lambda: lab.link.write("*IDN?"), StatusCode.error_connection_lost)


def test_what_happens_to_a_reading(lab: Lab) -> None:
    lab.plan(Fault("overflow", "READ:MAP?"), Fault("compliance", "READ:MAP?", after=1))
    assert all(flag & 1 for flag in lab.read_map()[-4:])
    assert all(flag & 2 for flag in lab.read_map()[-4:])
    assert not any(flag & 3 for flag in lab.read_map()[-4:])
    assert int(lab.ask("STAT:QUES?")) == 258


def test_a_sweep_meets_its_compliance(lab: Lab) -> None:
    lab.plan(Fault("compliance", "SWE:RUN"))
    points = np.array([[0.5, 0.5], [3.0, 3.0]], "<f4").tobytes()
    lab.bench.chip.model.assume_formed(1e-4)  # pyright: ignore[reportAttributeAccessIssue]
    lab.link.write_raw(b"SWE:RUN 0,0,1e-3,1e-3,#216" + points + b"\n")
    assert lab.ask("*OPC?") == "1"
    lab.link.read_termination = None
    lab.link.write("FETC:SWE?")
    assert lab.link.read_bytes(4 + 18 + 1)[-3:-1] == b"\x02\x02"


def test_a_brown_out_tells_nobody(lab: Lab) -> None:
    lab.ask("SENS:AVER 7;:SYST:WATC 30;*ESE 60;*ESR?")
    lab.plan(Fault("brown_out", "*TST?"))
    assert lab.ask("*TST?;:SYST:ERR?") == '0;0,"No error"'
    assert lab.ask("OUTP?;:SENS:AVER?;:SYST:WATC?;*ESE?") == "0;1;10;0"
    assert lab.ask("*ESR?") == "128", "only the power-on bit knows"


def test_a_shifted_offset(lab: Lab) -> None:
    before = lab.currents()
    lab.plan(Fault("offset_shift", "*TST?", amps=2e-6))
    lab.ask("*TST?")
    assert np.allclose(lab.currents() - before, 2e-6, atol=3e-7)


@pytest.mark.parametrize("how", ["here", "open", "short"])
def test_a_stuck_cell_moves_no_more(lab: Lab, how: str) -> None:
    lab.bench.chip.model.assume_formed(1e-4)  # pyright: ignore[reportAttributeAccessIssue]
    before = lab.bench.chip.truth()["conductance"]
    lab.plan(Fault("stuck_cell", "*TST?", cell=(0, 2), stuck=how))  # pyright: ignore[reportArgumentType]
    lab.ask("*TST?")
    pulses = PULSES.replace(b"MAP 0,1,0,1", b"MAP 0,1,2,1").replace(b"\x00\x40\x00\x40", b"\x00\xa0\x00\x60")
    lab.link.write_raw(pulses + b"\n")
    assert lab.ask("*OPC?;:SYST:ERR?") == '1;0,"No error"'
    after = lab.bench.chip.truth()["conductance"]
    assert lab.bench.chip.truth()["stuck"][0, 2]
    if how == "here":
        assert after[0, 2] == pytest.approx(before[0, 2])
    else:
        assert (lab.currents()[2] < 1e-7) if how == "open" else (after[0, 2] > before[0, 2])
    moved = np.flatnonzero(after != before)
    assert set(moved.tolist()) <= {2}
    assert lab.struck() == [f"fault stuck_cell {how} at *TST?"]


def test_a_cell_by_chance_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    def stuck() -> list[int]:
        bench = make(tmp_path, "[{kind: stuck_cell, header: '*TST?', times: 3, stuck: open}]")
        before = bench.chip.truth()["conductance"]
        bench.instruments[BOARD].receive(b"*TST?;*TST?;*TST?\n")
        return np.flatnonzero(bench.chip.truth()["conductance"] != before).tolist()

    assert stuck() == stuck()
    assert 1 <= len(stuck()) <= 3


def test_on_a_probe_station_what_an_instrument_cannot_suffer_is_said() -> None:
    bench = fresh_bench(STATIONS / "mock_tio2.bench.yaml")
    address, smu = next(iter(bench.instruments.items()))
    kinds = ("overflow", "offset_shift", "brown_out", "stuck_cell")
    bench.script_faults(address, [Fault(kind, "*IDN?", cell=(1, 1)) for kind in kinds])
    smu.receive(b"*ESE 60\n*IDN?\n*ESE?\n")
    assert smu.wait_for_reply() is not None
    assert smu.wait_for_reply() == b"0\n"
    texts = [event.what for event in bench.log.faults()]
    assert [text.split()[1] for text in texts] == list(kinds)
    assert not texts[2].endswith("not supported")
    assert bench.chip.truth()["stuck"][1, 1]


@pytest.mark.parametrize(
    ("faults", "sentence"),
    [
        ("[{kind: error, probability: 2}]", r"probability"),
        ("[{kind: drop_connection, where: outside}]", r"where"),
        ("[{kind: stuck_cell, cell: [200, 0]}]", r"cell \(200, 0\) is outside the chip of 128 × 64"),
        ("[{kind: error, times: 0}]", r"times"),
    ],
)
def test_bad_faults_are_one_sentence(tmp_path: Path, faults: str, sentence: str) -> None:
    with pytest.raises(BenchFileError, match=sentence) as caught:
        make(tmp_path, faults)
    assert "\n" not in str(caught.value)
