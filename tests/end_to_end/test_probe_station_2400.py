"""Two simulated Keithley 2400 as SMUs of the probe station: the same runbook, faults, interruptions, a dead host."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.ways_out import LOOP, said_of_a_fault, share_of_a_sweep, swept
from xbarlab import Block, open_bench
from xbarlab.cli import main
from xbarlab.mockhw.bench.bench import MockBench, bench_for
from xbarlab.mockhw.faults import Fault
from xbarlab.runbooks.stations import find_bench

ZERO = 3e-3  # a 2400 set to 0 V on its 20 V range may be off by 2.4 mV
CELL = Block(2, 1, 3, 1)


@pytest.fixture
def opened() -> Iterator[tuple[Any, MockBench]]:
    bench = open_bench("mock_tio2_2400", seed=1)
    mock = bench_for(find_bench("mock_tio2_2400"))
    yield bench, mock
    bench.close()


def smus(mock: MockBench) -> list[Any]:
    return [one for one in mock.instruments.values() if one.kind == "keithley_2400"]


def assert_safe(mock: MockBench) -> None:
    assert len(smus(mock)) == 2
    for one in smus(mock):
        assert not one.output
        assert abs(one.terminal.volts) <= ZERO
        assert not one.busy
    assert mock.circuit is not None
    assert mock.circuit.relays.closed == set()
    assert mock.circuit.relays.hot == {}


@pytest.mark.slow
def test_the_runbook_runs_unchanged(tmp_path: Path) -> None:
    assert main(["run", "first_cell", "--station", "mock_tio2_2400", "--out", str(tmp_path)]) == 0
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
    assert measured == pytest.approx(true, rel=0.03)
    assert_safe(mock)


def test_a_loop_is_a_dozen_messages_and_ends_safe(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    volts = np.concatenate([np.linspace(0.0, 0.5, 50), np.linspace(0.5, -0.5, 100), np.linspace(-0.5, 0.0, 50)])
    with bench:
        smu: Any = bench.array.row_smu
        smu.off()
        before, start = smu.transactions, mock.clock.now
        found, _, _ = smu.sweep(volts, compliance=5e-3, dwell=1e-2)
        assert smu.transactions - before <= 8
        assert mock.clock.now - start == pytest.approx(201 * (1e-2 + smu.point_seconds), rel=0.3)
        np.testing.assert_allclose(found, volts, atol=4e-3)
    assert_safe(mock)


def test_ctrl_c_while_it_sweeps_by_itself(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    assert share_of_a_sweep(bench, mock, smus(mock)[0].terminal, dwell=0.5) < 0.7
    assert_safe(mock)


def test_a_host_that_dies_in_a_sweep_leaves_0_v_when_the_list_is_through(opened: tuple[Any, MockBench]) -> None:
    """No watchdog there: the exposure is what is left of one list, for its last level is 0 V."""
    bench, mock = opened
    with bench:
        array: Any = bench.array

        def unheard(**_: object) -> None:
            return

        class Died(BaseException):
            """Nothing of the driver runs after this."""

        def die(_: float) -> None:
            array.row_smu.idle = unheard
            raise Died

        array.row_smu.off()
        with pytest.raises(Died):
            array.row_smu.sweep(LOOP, compliance=1e-3, dwell=0.1, wait=die)
        row = smus(mock)[0]
        assert row.busy
        del array.row_smu.idle
        array.row_smu.advance_simulation(2.0 * (LOOP.size + 1) * (0.1 + array.row_smu.point_seconds))
        assert not row.busy
        assert row.output
        assert abs(row.terminal.volts) <= ZERO
    assert_safe(mock)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="no_reply", header="READ?", where="before"),
        Fault(kind="no_reply", header="READ?", where="after"),
        Fault(kind="no_reply", header="TRACe:DATA?", where="after"),
        Fault(kind="no_reply", header="INIT"),
        Fault(kind="error", header="INIT", code=803),
        Fault(kind="error", header="READ?", code=803),
        Fault(kind="drop_connection", header="READ?", where="after"),
        Fault(kind="overflow", header="READ?"),
        Fault(kind="compliance", header="READ?"),
        Fault(kind="brown_out", header="READ?"),
        Fault(kind="full_error_queue", header="READ?"),
    ],
    ids=lambda fault: f"{fault.kind} at {fault.header} {fault.where}",
)
def test_a_fault_is_got_over_or_said_and_everything_ends_safe(opened: tuple[Any, MockBench], fault: Fault) -> None:
    bench, mock = opened
    address = smus(mock)[0].address
    said_of_a_fault(bench, mock, address, fault, "smu", lambda: bench.array.read(CELL), lambda: swept(bench))
    assert_safe(mock)
