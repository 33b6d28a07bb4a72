"""One simulated 4200A-SCS as both SMUs and the pulser of a probe station: the runbook, faults, Ctrl-C, a dead host."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.resistor_analyser import ADDRESS, OHMS, Analyser
from support.ways_out import (
    a_level_stays_until_the_next_opening,
    said_of_a_fault,
    seconds_after_a_kill,
    share_of_a_sweep,
    swept,
)
from xbarlab import Block, PulseMap, open_bench
from xbarlab.cli import main
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.drivers.keithley_4200.box import Keithley4200Box
from xbarlab.instruments.drivers.keithley_4200.sweep import PIECE_SECONDS
from xbarlab.mockhw.bench.bench import MockBench, bench_for
from xbarlab.mockhw.faults import Fault
from xbarlab.mockhw.instrument import advance_to
from xbarlab.runbooks.stations import find_bench

ZERO = 3e-3  # a 4200-SMU set to 0 V on its 20 V range may be off by 2 mV
CELL = Block(2, 1, 3, 1)


@pytest.fixture
def opened() -> Iterator[tuple[Any, MockBench]]:
    bench = open_bench("mock_tio2_4200", seed=1)
    mock = bench_for(find_bench("mock_tio2_4200"))
    yield bench, mock
    bench.close()


def box_of(mock: MockBench) -> Any:
    return next(one for one in mock.instruments.values() if one.kind == "keithley_4200")


def assert_safe(mock: MockBench) -> None:
    box = box_of(mock)
    assert not box.busy
    for smu in box.smus.values():
        assert not smu.output
    for terminal in box.card.terminals:
        assert not terminal.on
    assert mock.circuit is not None
    assert mock.circuit.relays.closed == set()
    assert mock.circuit.relays.hot == {}


@pytest.mark.slow
def test_the_runbook_runs_unchanged(tmp_path: Path) -> None:
    assert main(["run", "first_cell", "--station", "mock_tio2_4200", "--out", str(tmp_path)]) == 0
    (found,) = tmp_path.rglob("summary.json")
    metrics = json.loads(found.read_text(encoding="utf-8"))
    assert (metrics["formed_fraction"], metrics["steps_done"]) == (1.0, metrics["steps_planned"])
    # The bands that the runbook gives for this chip, whatever measures it.
    assert 0.7 < metrics["v_set_mean"] < 1.4
    assert -1.6 < metrics["v_reset_mean"] < -0.9
    assert 1e3 < metrics["r_on_median"] < 5e3 < metrics["r_off_median"]


def test_a_read_agrees_with_the_chip_within_the_instruments_accuracy(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        chip: Any = mock.chip
        chip.assume_formed(0.5)
        true = chip.truth()["conductance"][2, 3]
        (measured,) = bench.array.read(CELL).conductance.ravel()
        array = bench.array
        assert array.row_smu.wire is array.column_smu.wire is array.pulser.wire
        assert array.cost.transactions == array.row_smu.transactions + array.matrix.transactions
    assert measured == pytest.approx(true, rel=0.03)
    assert [step.step for step in bench.ending if step.instrument == "analyser"].count("SMU1 0 V") == 1
    assert_safe(mock)


def test_pulses_of_the_card_form_a_cell_that_the_smus_read(opened: tuple[Any, MockBench]) -> None:
    """The thin path: a virgin cell is read, formed by 200 ns pulses of the card, read by the SMUs, swept."""
    bench, mock = opened
    with bench:
        array = bench.array
        (virgin,) = array.read(CELL).conductance.ravel()
        given: list[float] = []
        after = virgin
        for volts in np.arange(2.0, 4.01, 0.25):
            done = array.pulse(PulseMap(CELL, volts=float(volts), width=2e-7))
            given.append(float(done.volts.ravel()[0]))
            (after,) = array.read(CELL).conductance.ravel()
            if after > 20.0 * virgin:
                break
        np.testing.assert_allclose(given, np.arange(2.0, 4.01, 0.25)[: len(given)], atol=5e-4)
        assert after > 20.0 * virgin, "no pulse up to 4 V formed it"
        true = mock.chip.truth()["conductance"][2, 3]  # pyright: ignore[reportAttributeAccessIssue]
        assert after == pytest.approx(true, rel=0.03)
        trace = array.ability(Sweeps).sweep(2, 3, np.linspace(0.0, -0.1, 5), compliance=1e-3, dwell=0.05)
        assert trace.current[-1] / -0.1 == pytest.approx(after, rel=0.15)
    assert_safe(mock)


def test_ctrl_c_while_it_sweeps_by_itself(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    assert share_of_a_sweep(bench, mock, box_of(mock).smus[1].terminal, dwell=0.3) < 0.9
    assert "abort test" in mock.log.texts()
    assert_safe(mock)


def test_ctrl_c_in_a_train(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array

        def interrupt(seconds: float) -> None:
            array.row_smu.advance_simulation(0.3 * seconds)
            if box_of(mock).busy:
                raise KeyboardInterrupt

        array.clock.wait = interrupt
        array.pulser.pulses(0.1, -0.1, width=1e-4, edge=2e-8, period=1e-2, count=900)
    assert "abort pulses" in mock.log.texts()
    assert_safe(mock)


HOST = """
import sys, time
import numpy as np
from xbarlab.instruments.drivers.keithley_4200.box import Keithley4200Box

class Died:
    def now(self): return 0.0
    def wait(self, seconds):
        print(seconds, flush=True)
        time.sleep(600)

box = Keithley4200Box("analyser", sys.argv[1], visalib="@py", limits={"current_max": 1e-3})
box.clock = Died()
if sys.argv[2] == "sweep":
    box.smu2.on(compliance=1e-3)
    box.smu1.sweep([0.5] * 100, compliance=1e-3, dwell=1.0)
else:
    box.pmu.pulses(0.5, 0.0, width=9e-3, edge=1e-6, period=1e-2, count=2000)
"""


@pytest.mark.parametrize("what", ["sweep", "train"])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_sigkill_leaves_no_bias_behind_a_piece(what: str) -> None:
    """The chip lives here, the host in a process of its own that is killed while the 4200A works by itself."""
    bench: Any = Analyser(serial="SIM4200")
    if what == "train":
        bench.pulses()
    running = seconds_after_a_kill(bench, ADDRESS, HOST, [what])
    assert running <= PIECE_SECONDS + 1.1
    assert bench.box.busy
    advance_to(bench.clock, bench.clock.now + 10 * PIECE_SECONDS)
    assert not bench.box.busy
    exposed = sum(seconds for volts, seconds in bench.chip.lived if abs(volts) > ZERO)
    assert 0.8 * PIECE_SECONDS < exposed <= 1.1 * PIECE_SECONDS
    left = bench.circuit.present().cell_volts[0, 0]
    assert abs(left) <= ZERO, "what is still on is at 0 V"


def test_a_level_stays_until_the_next_opening_makes_it_safe() -> None:
    """KXCI has no watchdog: what the host steps by itself is not bounded when the host dies, and the page says so."""
    a_level_stays_until_the_next_opening(Analyser(serial="SIM4200"), ADDRESS, Keithley4200Box, OHMS)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="no_reply", header="TI", where="before"),
        Fault(kind="no_reply", header="TI", where="after"),
        Fault(kind="no_reply", header="DV", where="after", after=8),
        Fault(kind="no_reply", header="ME", where="before", after=2),
        Fault(kind="no_reply", header="DO", where="after"),
        Fault(kind="no_reply", header=":PMU:EXECUTE", where="after"),
        Fault(kind="garbled_reply", header="TI"),
        Fault(kind="garbled_reply", header="DO"),
        Fault(kind="garbled_reply", header=":PMU:TEST:STATUS?"),
        Fault(kind="truncated_reply", header="TI"),
        Fault(kind="double_reply", header="TI"),
        Fault(kind="late_reply", header="TI", seconds=0.0),
        Fault(kind="late_reply", header="TI", seconds=8.0),
        Fault(kind="delay", header="TI", seconds=8.0),
        Fault(kind="error", header="TI", code=-240),
        Fault(kind="error", header="ME", code=-240, after=2),
        Fault(kind="error", header=":PMU:EXECUTE", code=-240),
        Fault(kind="drop_connection", header="TI", where="before"),
        Fault(kind="drop_connection", header="TI", where="after"),
        Fault(kind="drop_connection", header="DV", where="before", after=8),
        Fault(kind="drop_connection", header=":PMU:TEST:STATUS?", where="before", after=1),
        Fault(kind="overflow", header="TI"),
        Fault(kind="compliance", header="TI"),
        Fault(kind="brown_out", header="TI"),
        Fault(kind="brown_out", header=":PMU:EXECUTE"),
        Fault(kind="full_error_queue", header="TI"),
    ],
    ids=lambda fault: f"{fault.kind} at {fault.header} {fault.where}",
)
def test_a_fault_is_got_over_or_said_and_everything_ends_safe(opened: tuple[Any, MockBench], fault: Fault) -> None:
    bench, mock = opened

    def pulse() -> None:
        bench.array.pulse(PulseMap(CELL, volts=0.2, width=2e-7))

    address = box_of(mock).address
    said_of_a_fault(
        bench, mock, address, fault, "analyser", lambda: bench.array.read(CELL), pulse, lambda: swept(bench)
    )
    assert_safe(mock)


def test_a_trace_shows_every_message(tmp_path: Path) -> None:
    trace = tmp_path / "wire.log"
    with open_bench("mock_tio2_4200", seed=1, trace=trace) as bench:
        bench.array.read(CELL)
    lines = [line for line in trace.read_text(encoding="utf-8").splitlines() if " analyser " in line]
    assert any(line.endswith("> TI2") for line in lines)
    assert any(line.endswith("< ACK") for line in lines)
    assert "\\x00" not in "".join(lines)
