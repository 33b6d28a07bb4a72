"""A reply is never taken for the answer to another question: doubled, late, lost, garbled, on every query there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.served import BOARD, COLUMN, MATRIX, PULSER, ROW, Way, served
from xbarlab.common.errors import XbarlabError
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed, Samples
from xbarlab.instruments.block import Block
from xbarlab.instruments.board import session
from xbarlab.instruments.capabilities import PulseMap, VerifyRequest
from xbarlab.instruments.errors import InstrumentError
from xbarlab.mockhw.faults import Fault, FaultKind

A, B = Block(0, 2, 0, 8), Block(2, 2, 0, 8)
LOW, HIGH = 2e-5, 2e-4
WAYS: list[Way] = ["in process", "tcp"]
# What is waited for takes its time over TCP.
SPOILED = [
    "double_reply",
    "garbled_reply",
    *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("late_reply", "no_reply", "truncated_reply")),
]
BOARD_QUERIES = [
    "READ:MAP?", "VMM:FORW?", "VMM:REV?", "SAMP?", "SENS:AVER?", "SENS:RANG?", "SENS:VMM:RANG?", "SYST:WATC?",
    "SYST:ERR?", "*ESR?", "OUTP?",
]  # fmt: skip


@pytest.fixture(params=WAYS)
def board(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A board whose rows 0 and 1 conduct a tenth of what rows 2 and 3 do."""
    monkeypatch.setattr(session, "_SIMULATOR_PATIENCE", 0.5)  # nothing here takes long to compute
    monkeypatch.setattr(session, "COMPUTING_PATIENCE", 0.5)
    with served("ta_hfo2", request.param, tmp_path) as (bench, mock):
        cells = np.full((128, 64), LOW)
        cells[2:4] = HIGH
        model: Any = mock.chip.model
        model.assume_formed(cells.ravel())
        with bench:
            array: Any = bench.array
            if request.param == "tcp":
                array.timeout(1.0)
            yield bench, mock


def told_apart(array: Any) -> None:
    """Ask two things in turn, every way there is, whose answers differ: none may be the other's."""
    low, high = array.read(A).conductance, array.read(B).conductance
    assert np.median(low) < 5e-5, low  # medians: a cell may telegraph
    assert np.median(high) > 1e-4, high
    inputs = np.zeros((2, 128), np.float32)
    inputs[0, :2], inputs[1, 2:4] = 0.1, 0.1
    products = array.ability(Multiplies)
    small, large = products.vmm(inputs[:1], full_scale=1e-3), products.vmm(inputs[1:], full_scale=1e-3)
    assert np.median(small[0, :8]) < 1e-5
    assert np.median(large[0, :8]) > 2e-5
    columns = np.zeros((1, 64), np.float32)
    columns[0, :8] = 0.1
    back = array.ability(MultipliesReversed).vmm_reversed(columns)
    assert (back[0, 2:4] > 4 * back[0, :2].max()).all()
    assert np.median(array.ability(Samples).sample(0, 0, 0.2, rate=1e4, seconds=5e-4).current) < 1.6e-5
    assert np.median(array.ability(Samples).sample(2, 0, 0.2, rate=1e4, seconds=5e-4).current) > 2e-5
    assert (array.read_average(), array.watchdog(), array.vmm_range()) == (1, 10.0, 1e-3)


def refusals_are_told(array: Any) -> None:
    """A setting that is refused says so itself, one that is taken says nothing: error queries are not shifted."""
    for _ in range(2):
        with pytest.raises(InstrumentError, match=r"-222.*after SENS:AVER 99999"):
            array.write("SENS:AVER 99999")
        array.write("SENS:AVER 1")
    assert array.ask("SYST:ERR?").startswith("0,")


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("header", BOARD_QUERIES)
def test_no_answer_of_a_board_is_another_one_s(board: Any, header: str, kind: FaultKind) -> None:
    bench, mock = board
    array = bench.array
    told_apart(array)
    refusals_are_told(array)
    mock.script_faults(BOARD, [Fault(kind, header, after=1, where="after")])
    failed = ""
    try:
        told_apart(array)
        refusals_are_told(array)
    except (XbarlabError, ValueError) as error:  # a number by hand that is none, in process
        failed = str(error)
    mock.script_faults(BOARD, [])
    told_apart(array)
    refusals_are_told(array)
    if mock.log.faults():
        assert failed or bench.incidents, "what happened is said"
    if kind == "double_reply":
        assert not failed, "a reply too many is got over"


def test_the_example_of_the_issue(board: Any) -> None:
    """``double_reply`` on ``READ:MAP?``, blocks of equal size in turn."""
    bench, mock = board
    mock.script_faults(BOARD, [Fault("double_reply", "READ:MAP?", after=2), Fault("double_reply", "VMM:FORW?")])
    for _ in range(20):
        told_apart(bench.array)
    assert len(bench.incidents) == len(mock.log.faults()) == 2


@pytest.mark.parametrize("seed", range(3))
def test_replies_doubled_all_the_time_change_nothing(board: Any, seed: int) -> None:
    bench, mock = board
    mock.script_faults(BOARD, [Fault("double_reply", probability=0.3)], seed=seed)
    for _ in range(3):
        told_apart(bench.array)
        refusals_are_told(bench.array)
    assert len(bench.incidents) > 5


def actions(array: Any) -> list[Callable[[], Any]]:
    plan = {"tolerance": 1e-5, "pulses_max": 3, "width": 1e-6, "set_volts": 1.0, "set_gate": (0.8, 1.0, 0.1)}
    request = VerifyRequest(
        block=Block(5, 1, 0, 2), target=np.full((1, 2), 5e-5), reset_volts=(0.5, 0.8, 0.1), reset_gate=3.0, **plan
    )  # type: ignore[arg-type]
    return [
        lambda: array.pulse(PulseMap(Block(6, 1, 0, 2), 0.4, 1e-6, 1.0)).pulses == 2,
        lambda: np.allclose(array.sweep(7, 0, [0.1, 0.2], compliance=5e-4, dwell=1e-3).volts, [0.1, 0.2], atol=1e-3),
        lambda: array.program_verify(request).pulses.shape == (1, 2),
    ]


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize("header", ["PULS:LAST?", "*OPC?", "SYST:ERR?", "FETC:SWE?", "FETC:PROG?"])
def test_what_acts_is_confirmed_by_its_own_reply(board: Any, header: str, kind: FaultKind) -> None:
    bench, mock = board
    array = bench.array
    for act in actions(array):
        assert act()
    for number, act in enumerate(actions(array)):
        mock.script_faults(BOARD, [Fault(kind, header, where="after")])
        failed = ""
        try:
            assert act(), number
        except XbarlabError as error:
            failed = str(error)
        assert not failed or kind != "double_reply", failed
        mock.script_faults(BOARD, [])
        told_apart(array)
    refusals_are_told(array)


# -- bench instruments -------------------------------------------------------------------------------------------------


@pytest.fixture(params=WAYS)
def probe(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    with served("tio2", request.param, tmp_path) as (bench, mock), bench:
        array: Any = bench.array
        for driver in (array.row_smu, array.column_smu, array.pulser, array.matrix):
            driver.timeout(1.5)
        yield bench, mock


def smu_told_apart(array: Any) -> None:
    smu = array.row_smu
    smu.on(0.0, compliance=1e-4)
    for level in (0.1, -0.2, 0.3):
        assert smu.step(level).volts == pytest.approx(level, abs=2e-3)
        assert float(smu.ask("SOUR:VOLT?")) == pytest.approx(level)
    volts, _, _ = smu.sweep([0.05, 0.1, -0.1], compliance=1e-4, dwell=0.0)
    assert volts == pytest.approx([0.05, 0.1, -0.1], abs=2e-3)
    assert smu.ask("OUTP?").lstrip("+") == "0"
    with pytest.raises(InstrumentError, match=r"-\d+ .*after SENS:CURR:NPLC 99"):
        smu.write("SENS:CURR:NPLC 99")
    smu.write("SENS:CURR:NPLC 1")
    assert smu.ask("SYST:ERR?").startswith(("0,", "+0,"))


def pulser_told_apart(array: Any) -> None:
    pulser = array.pulser
    train = pulser.pulses(0.3, -0.3, width=1e-6, edge=1e-8, period=2e-6, count=3)
    assert train.count == 3
    assert float(pulser.ask("SOUR1:VOLT:HIGH?")) == pytest.approx(0.3)
    assert float(pulser.ask("SOUR2:VOLT:LOW?")) == pytest.approx(-0.3)
    with pytest.raises(InstrumentError, match=r"-\d+ .*after SOUR1:FREQ 1e12"):
        pulser.write("SOUR1:FREQ 1e12")
    assert pulser.ask("SYST:ERR?").startswith(("0,", "+0,"))


def way_of(bench: Any) -> Way:
    return "in process" if bench.path.name.startswith("mock_") else "tcp"


def matrix_told_apart(array: Any) -> None:
    matrix = array.matrix
    for path in ((1, 1), (2, 17), (1, 3)):
        matrix.connect_only([path])
        matrix.wire.faults.require_power("a test")
        assert matrix.ask("ROUT:CLOS:CARD? 0") == f"(@0{path[0]:02d}{path[1]:02d})"
    matrix.open_all()


PROBE: list[tuple[str, Callable[[Any], None], list[str]]] = [
    (ROW, smu_told_apart, ["READ?", "TRAC:DATA?", "TRIG:STAT?", "TRAC:ACT?", "SOUR:VOLT?", "SYST:ERR?", "*ESE?"]),
    (PULSER, pulser_told_apart, ["*OPC?", "*ESR?", "SOUR1:VOLT:HIGH?", "SYST:ERR?", "*ESE?"]),
    (MATRIX, matrix_told_apart, ["ROUT:CLOS:CARD?", "*OPC?", "*ESR?", "SYST:ERR?", "*ESE?"]),
]  # fmt: skip
PROBE_CASES = [(address, work, header) for address, work, headers in PROBE for header in headers]


@pytest.mark.parametrize("kind", SPOILED)
@pytest.mark.parametrize(("address", "work", "header"), PROBE_CASES)
def test_no_answer_of_a_bench_instrument_is_another_one_s(
    probe: Any, address: str, work: Callable[[Any], None], header: str, kind: FaultKind
) -> None:
    bench, mock = probe
    array = bench.array
    work(array)
    mock.script_faults(address, [Fault(kind, header, after=1, where="after")])
    failed = ""
    try:
        work(array)
    except (XbarlabError, ValueError) as error:
        failed = str(error)
    except AssertionError:
        # In process a reply by hand is not bound: text that was garbled on the way is what it is.
        if kind != "garbled_reply" or way_of(bench) == "tcp":
            raise
    mock.script_faults(address, [])
    array.idle()
    for driver in (array.row_smu, array.column_smu, array.pulser, array.matrix):
        driver.restore()
    work(array)
    if kind == "double_reply":
        assert not failed


def test_a_read_of_a_probe_station_is_right_with_doubled_replies(probe: Any) -> None:
    bench, mock = probe
    before = bench.array.read(Block(0, 1, 0, 3)).conductance
    for seed, address in enumerate((ROW, COLUMN, PULSER, MATRIX)):
        mock.script_faults(address, [Fault("double_reply", probability=0.2)], seed=seed)
    after = bench.array.read(Block(0, 1, 0, 3)).conductance
    assert after == pytest.approx(before, rel=0.2, abs=1e-8)
    assert bench.incidents


def test_a_late_reply_of_a_stranger_is_no_identity(tmp_path: Path) -> None:
    """``*IDN?`` has no question in front: nobody knows yet who listens; a doubled answer to it hurts nobody."""
    with served("ta_hfo2", "tcp", tmp_path) as (bench, mock):
        mock.script_faults(BOARD, [Fault("double_reply", "*IDN?")])
        with bench:
            assert bench.array.read(A).current.shape == (2, 8)
        assert len(bench.incidents) == 1
