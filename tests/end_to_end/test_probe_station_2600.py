"""One simulated Keithley 2636B as both SMUs of the probe station: the runbook, faults, interruptions, a dead host."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("lupa", reason="the simulated 2600B runs scripts in lupa's Lua: pip install 'xbarlab[sim]'")

from support.resistor_box import ADDRESS, ResistorBox
from support.ways_out import LOOP, said_of_a_fault, seconds_after_a_kill, share_of_a_sweep, swept
from xbarlab import Block, open_bench
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Samples, Sweeps
from xbarlab.instruments.drivers.list_sweep import PIECE_SECONDS
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.bench import MockBench, bench_for
from xbarlab.mockhw.bench.file import load_bench_file
from xbarlab.mockhw.faults import Fault
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.instrument import advance_to
from xbarlab.runbooks.stations import find_bench, find_station

ZERO = 5e-3  # a 2636B set to 0 V on its 20 V range may be off by 5 mV
CELL = Block(2, 1, 3, 1)


@pytest.fixture
def opened() -> Iterator[tuple[Any, MockBench]]:
    bench = open_bench("mock_tio2_2600", seed=1)
    mock = bench_for(find_bench("mock_tio2_2600"))
    yield bench, mock
    bench.close()


def box_of(mock: MockBench) -> Any:
    return next(one for one in mock.instruments.values() if one.kind == "keithley_2600")


def assert_safe(mock: MockBench) -> None:
    box = box_of(mock)
    assert not box.busy
    for channel in box.channels:
        assert not channel.output
        assert abs(channel.terminal.volts) <= ZERO
    assert mock.circuit is not None
    assert mock.circuit.relays.closed == set()
    assert mock.circuit.relays.hot == {}


@pytest.mark.slow
def test_the_runbook_runs_unchanged(tmp_path: Path) -> None:
    assert main(["run", "first_cell", "--station", "mock_tio2_2600", "--out", str(tmp_path)]) == 0
    (found,) = tmp_path.rglob("summary.json")
    metrics = json.loads(found.read_text(encoding="utf-8"))
    assert (metrics["formed_fraction"], metrics["steps_done"]) == (1.0, metrics["steps_planned"])
    # The bands that the runbook gives for this chip, whatever measures it.
    assert 0.7 < metrics["v_set_mean"] < 1.4
    assert -1.6 < metrics["v_reset_mean"] < -0.9
    assert 1e3 < metrics["r_on_median"] < 5e3 < metrics["r_off_median"]


def test_characterising_a_chip_can_be_planned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["run", "characterise_tio2", "--preset", "quick", "--dry-run", "--station", "mock_tio2_2600"]
    assert main([*command, "--out", str(tmp_path)]) == 0
    assert "no action was sent" in capsys.readouterr().out


def test_a_read_agrees_with_the_chip_within_the_instruments_accuracy(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        chip: Any = mock.chip
        chip.assume_formed(0.5)
        true = chip.truth()["conductance"][2, 3]
        (measured,) = bench.array.read(CELL).conductance.ravel()
        assert bench.array.row_smu.wire is bench.array.column_smu.wire
        assert bench.array.cost.transactions == sum(
            one.transactions for one in (bench.array.row_smu, bench.array.pulser, bench.array.matrix)
        )
    assert measured == pytest.approx(true, rel=0.03)
    assert [step.instrument for step in bench.ending].count("smus") == 3
    assert_safe(mock)


def test_a_loop_is_a_handful_of_messages_and_ends_safe(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    volts = np.concatenate([np.linspace(0.0, 0.5, 50), np.linspace(0.5, -0.5, 100), np.linspace(-0.5, 0.0, 50)])
    with bench:
        smu: Any = bench.array.row_smu
        smu.off()
        before, start = smu.transactions, mock.clock.now
        found, _, _ = smu.sweep(volts, compliance=5e-3, dwell=1e-2)
        assert smu.transactions - before <= 4
        assert mock.clock.now - start == pytest.approx(200 * (1e-2 + smu.point_seconds), rel=0.3)
        np.testing.assert_allclose(found, volts, atol=8e-3)
        assert not box_of(mock).channels[0].output, "the script switches it off by itself"
    assert_safe(mock)


def test_a_record_is_one_script_at_its_own_pace(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        mock.chip.assume_formed(0.5)  # pyright: ignore[reportAttributeAccessIssue]
        found = bench.array.ability(Samples).sample(2, 3, volts=0.1, rate=500.0, seconds=0.6)
        assert np.asarray(found.current).shape == (300,)
        assert np.isfinite(found.current).all()
        true = mock.chip.truth()["conductance"][2, 3]  # pyright: ignore[reportAttributeAccessIssue]
        assert [channel.settings.levelv for channel in box_of(mock).channels] == [0.0, 0.0]
        assert np.median(found.current) / 0.1 == pytest.approx(true, rel=0.1)
    assert_safe(mock)


def test_what_scripts_give_by_hand_is_wear(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        smu: Any = bench.array.row_smu
        volts, _, _ = smu.pulse_train(0.3, width=2e-3, gap=1e-3, count=7, compliance=1e-4)
        np.testing.assert_allclose(volts, 0.3, atol=8e-3)
        assert bench.wear.summary()["unattributed"] == 7, "no cell is tied"
        smu.sweep([0.1, 0.2, -0.1], compliance=1e-4, dwell=0.0)
        assert bench.wear.summary()["unattributed"] == 9, "two stays, one of each polarity"
        bench.array.matrix.connect_only({(1, 1), (12, 9)})
        smu.pulse_train(0.3, width=2e-3, gap=1e-3, count=5, compliance=1e-4)
        assert bench.wear.summary()["set_pulses_total"] == 5
    assert_safe(mock)


def test_ctrl_c_while_it_sweeps_by_itself(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    assert share_of_a_sweep(bench, mock, box_of(mock).channels[0].terminal, dwell=0.5) < 0.7
    assert "abort script" in mock.log.texts()
    assert_safe(mock)


HOST = """
import sys, time
from xbarlab.instruments.drivers.keithley_2600.box import Keithley2600Box

class Died:
    def now(self): return 0.0
    def wait(self, seconds):
        print(seconds, flush=True)
        time.sleep(600)

box = Keithley2600Box("smus", sys.argv[1], visalib="@py", limits={"current_max": 1e-3})
box.clock = Died()
if sys.argv[2] == "sweep":
    box.smua.sweep([0.5] * 200, compliance=1e-3, dwell=1.0)
else:
    box.smua.pulse_train(0.5, width=0.1, gap=0.0, count=200, compliance=1e-3)
"""


@pytest.mark.slow
@pytest.mark.parametrize("what", ["sweep", "train"])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_sigkill_leaves_no_bias_behind_a_piece(what: str) -> None:
    """The chip lives here, the host in a process of its own that is killed while a script runs on the instrument."""
    bench: Any = ResistorBox(serial="SIM2636")
    running = seconds_after_a_kill(bench, ADDRESS, HOST, [what])
    assert running <= PIECE_SECONDS
    assert bench.box.busy
    start = bench.clock.now
    advance_to(bench.clock, start + 10 * PIECE_SECONDS)
    assert not bench.box.busy
    assert not bench.box.channels[0].output
    # At 0 V a channel may be off by half of its accuracy.
    exposed = sum(seconds for volts, seconds in bench.chip.lived if abs(volts) > ZERO)
    assert 0.9 * running < exposed <= 1.1 * PIECE_SECONDS
    bench.box.connect()
    assert bench.numbers("print(smua.source.output, smua.source.levelv)") == [0.0, 0.0]


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="no_reply", header="smua.measure.iv", where="before"),
        Fault(kind="no_reply", header="smua.measure.iv", where="after"),
        Fault(kind="no_reply", header="smub.measure.iv", where="after"),
        Fault(kind="no_reply", header="printbuffer", where="after"),
        Fault(kind="no_reply", header="smua.nvbuffer1.n", where="before"),
        Fault(kind="garbled_reply", header="smub.measure.iv"),
        Fault(kind="garbled_reply", header="printbuffer"),
        Fault(kind="truncated_reply", header="smub.measure.iv"),
        Fault(kind="double_reply", header="smub.measure.iv"),
        Fault(kind="late_reply", header="smub.measure.iv", seconds=0.0),
        Fault(kind="late_reply", header="smub.measure.iv", seconds=8.0),
        Fault(kind="delay", header="smub.measure.iv", seconds=8.0),
        Fault(kind="error", header="smub.measure.iv", code=-286),
        Fault(kind="error", header="smua.source.output", code=802),
        Fault(kind="drop_connection", header="smub.measure.iv", where="after"),
        Fault(kind="drop_connection", header="smua.source.levelv", where="before", after=6),
        Fault(kind="overflow", header="smub.measure.iv"),
        Fault(kind="compliance", header="smub.measure.iv"),
        Fault(kind="brown_out", header="smub.measure.iv"),
        Fault(kind="brown_out", header="printbuffer"),
        Fault(kind="full_error_queue", header="smub.measure.iv"),
    ],
    ids=lambda fault: f"{fault.kind} at {fault.header} {fault.where}",
)
def test_a_fault_is_got_over_or_said_and_everything_ends_safe(opened: tuple[Any, MockBench], fault: Fault) -> None:
    bench, mock = opened
    address = box_of(mock).address
    said_of_a_fault(bench, mock, address, fault, "smus", lambda: bench.array.read(CELL), lambda: swept(bench))
    assert_safe(mock)


def test_over_tcp_it_reads_and_sweeps_as_in_process(tmp_path: Path) -> None:
    here = Path(find_station("mock_tio2_2600"))
    mock = MockBench(load_bench_file(Path(find_bench("mock_tio2_2600"))), here)
    with serve(mock, port=0) as addresses:
        text = here.read_text(encoding="utf-8").replace("mock_tio2_2600.bench.yaml@xbarlab", '"@py"')
        for address, (host, port) in addresses.items():
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        text = text.replace("chip: mock", f"chip: {here.parent.as_posix()}/mock")
        (tmp_path / "tcp.station.yaml").write_text(text, encoding="utf-8")
        with open_bench(tmp_path / "tcp.station.yaml") as bench:
            chip: Any = mock.chip
            chip.assume_formed(0.5)
            (measured,) = bench.array.read(CELL).conductance.ravel()
            assert measured == pytest.approx(chip.truth()["conductance"][2, 3], rel=0.03)
            trace = bench.array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2, scheme="float")
            np.testing.assert_allclose(trace.volts, LOOP, atol=8e-3)
        assert bench.incidents == ()
        assert all(step.confirmed for step in bench.ending)
    assert_safe(mock)


def test_a_station_names_channels_of_the_box(tmp_path: Path) -> None:
    text = Path(find_station("mock_tio2_2600")).read_text(encoding="utf-8")
    text = text.replace("visalib: mock", f"visalib: {Path(find_bench('mock_tio2_2600')).parent.as_posix()}/mock")
    text = text.replace("chip: mock", f"chip: {Path(find_bench('mock_tio2_2600')).parent.as_posix()}/mock")
    station = tmp_path / "my.station.yaml"
    for old, new, sentence in [
        ("row_smu: smus.smua", "row_smu: smus", r"smus is a box of several: write smus\.smua or smus\.smub"),
        ("row_smu: smus.smua", "row_smu: smus.smuc", "no part of smus smuc|part of smus"),
        ("row_smu: smus.smua", "row_smu: smus.smub", "has another role already"),
        ("row_smu: smus.smua", "row_smu: other.smua", "other"),
        ("pulser: pulser\n", "pulser: pulser.one\n", "part of pulser"),
    ]:
        assert old in text
        station.write_text(text.replace(old, new), encoding="utf-8")
        with pytest.raises(RefusedError, match=sentence):
            read_station(station)


def test_a_timed_sweep_has_the_box_s_own_times_and_fits_into_one_script() -> None:
    with open_bench("mock_tio2_2600", seed=1) as bench:
        smu: Any = bench.array.row_smu
        at, volts, _, flags = smu.timed_sweep([0.05, 0.1, 0.1, 0.05], compliance=1e-4, dwell=1e-3, largest=5e-5)
        assert at[0] == 0.0
        assert np.diff(at) == pytest.approx(0.021, abs=0.002)
        assert volts == pytest.approx([0.05, 0.1, 0.1, 0.05], abs=0.005)
        assert not flags.any()
        with pytest.raises(RefusedError, match=r"its clock runs in one script.*ask for 2\d\d levels or fewer"):
            smu.timed_sweep([0.05] * 2000, compliance=1e-4, dwell=0.1, largest=5e-5)
