"""One simulated B1500A with a WGFMU as SMUs, pulser and digitiser: the runbooks, faults, Ctrl-C, a dead host."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing.connection import Listener
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import wgfmu_process
from support.resistor_mainframe import ADDRESS, OHMS, Mainframe
from support.ways_out import a_level_stays_until_the_next_opening
from xbarlab import Block, PulseMap, open_bench
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError, XbarlabError
from xbarlab.instruments.abilities import Samples, Staircases, Sweeps
from xbarlab.instruments.drivers.keysight_b1500.box import KeysightB1500Box
from xbarlab.instruments.drivers.keysight_b1500.sweep import PIECE_SECONDS
from xbarlab.instruments.drivers.keysight_b1530.calls import PIECE_SECONDS as EXECUTION_SECONDS
from xbarlab.mockhw.bench.bench import MockBench, bench_for
from xbarlab.mockhw.faults import Fault
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.instrument import advance_to
from xbarlab.mockhw.instruments.keysight_b1530.codes import COMMUNICATION, FIRMWARE
from xbarlab.runbooks.stations import find_bench, find_station

ZERO = 3e-3  # an SMU set to 0 V on its 20 V range may be off by 1.5 mV, a WGFMU by less
CELL = Block(2, 1, 3, 1)
LOOP = np.concatenate([np.linspace(0.0, 0.8, 9), np.linspace(0.8, -0.8, 17)[1:]])


@pytest.fixture
def opened() -> Iterator[tuple[Any, MockBench]]:
    bench = open_bench("mock_tio2_b1500", seed=1)
    mock = bench_for(find_bench("mock_tio2_b1500"))
    yield bench, mock
    bench.close()


def box_of(mock: MockBench) -> Any:
    return next(one for one in mock.instruments.values() if one.kind == "keysight_b1500")


def module_of(mock: MockBench) -> Any:
    library: Any = mock.libraries["wgfmu"]
    return library.module


def assert_safe(mock: MockBench) -> None:
    box, module = box_of(mock), module_of(mock)
    assert not box.busy
    assert not module.running
    for smu in box.smus.values():
        assert not smu.output
    for channel in module.channels.values():
        assert not channel.connected
        assert not channel.terminal.on
        assert channel.level == 0.0, "it would come up at the level that it was left at"
    assert mock.circuit is not None
    assert mock.circuit.relays.closed == set()
    assert mock.circuit.relays.hot == {}


@pytest.mark.slow
@pytest.mark.parametrize("runbook", ["first_cell", "first_cell_pulsed"])
def test_the_runbook_runs_unchanged(runbook: str, tmp_path: Path) -> None:
    assert main(["run", runbook, "--station", "mock_tio2_b1500", "--check", "--out", str(tmp_path)]) == 0
    (found,) = tmp_path.rglob("summary.json")
    metrics = json.loads(found.read_text(encoding="utf-8"))
    assert metrics["steps_done"] == metrics["steps_planned"]
    assert metrics["formed_fraction"] == 1.0
    if runbook == "first_cell":
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
        array = bench.array
        (measured,) = array.read(CELL).conductance.ravel()
        assert array.row_smu.wire is array.column_smu.wire
        assert array.pulser.wire is array.digitiser.wire
        assert array.cost.transactions == sum(one.transactions for one in (array.row_smu, array.pulser, array.matrix))
    assert measured == pytest.approx(true, rel=0.03)
    words = [(step.instrument, step.step) for step in bench.ending]
    assert (
        words.index(("analyser", "0 V"))
        < words.index(("analyser", "output off"))
        < words.index(("matrix", words[-1][1]))
    )
    assert words.index(("wgfmu", "0 V by a pattern")) < words.index(("wgfmu", "disconnected"))
    assert_safe(mock)


def test_pulses_of_the_wgfmu_form_a_cell_that_the_smus_read_and_it_samples(opened: tuple[Any, MockBench]) -> None:
    """The thin path: a virgin cell is read, formed by 200 ns pulses, read, swept, and sampled at 10 ns."""
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
        np.testing.assert_allclose(given, np.arange(2.0, 4.01, 0.25)[: len(given)], atol=2e-4)
        assert after > 20.0 * virgin, "no pulse up to 4 V formed it"
        true = mock.chip.truth()["conductance"][2, 3]  # pyright: ignore[reportAttributeAccessIssue]
        assert after == pytest.approx(true, rel=0.03)
        trace = array.ability(Sweeps).sweep(2, 3, np.linspace(0.0, -0.1, 5), compliance=1e-3, dwell=0.05)
        assert trace.current[-1] / -0.1 == pytest.approx(after, rel=0.15)
        sampled = array.ability(Samples).sample(2, 3, 0.1, rate=1e8, seconds=1e-6)
        np.testing.assert_allclose(np.diff(sampled.time), 1e-8, rtol=1e-6)
        slow = array.ability(Samples).sample(2, 3, 0.1, rate=1e4, seconds=1e-2)
        assert slow.current.mean() / 0.1 == pytest.approx(after, rel=0.15)
    assert_safe(mock)


def test_a_staircase_in_one_execution_sees_what_its_pulses_did(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        array = bench.array
        chip: Any = mock.chip
        array.read(CELL)  # the relays are where they are
        before, cost = array.pulser.transactions, array.cost
        done = array.ability(Staircases).staircase(2, 3, 1.6, 4.0, 13, width=2e-7)
        assert array.pulser.transactions - before <= 10, "one execution, whatever the length of the staircase"
        np.testing.assert_allclose(done.volts, np.linspace(1.6, 4.0, 13), atol=4e-4)
        assert done.width == pytest.approx(2e-7)
        assert done.conductance[0] < 2e-5
        assert done.conductance[-1] > 1e-4, "formed on the way"
        assert done.conductance[-1] == pytest.approx(chip.truth()["conductance"][2, 3], rel=0.25)
        (after,) = array.read(CELL).conductance.ravel()
        assert done.conductance[-1] == pytest.approx(after, rel=0.25)
        assert (array.cost - cost).pulses == 13
        down = array.ability(Staircases).staircase(2, 3, 0.0, -0.3, 4, width=2e-7)
        np.testing.assert_allclose(down.volts, np.linspace(0.0, -0.3, 4), atol=4e-4)
        np.testing.assert_allclose(down.conductance, after, rtol=0.25)
        maps = array.wear.maps()
        assert (maps["set_pulses"][2, 3], maps["reset_pulses"][2, 3]) == (13, 3)
        with pytest.raises(RefusedError, match="above"):
            array.ability(Staircases).staircase(2, 3, 0.5, 50.0, 5, width=2e-7)
    assert_safe(mock)


def test_a_long_staircase_is_cut_into_executions_that_a_killed_host_may_leave(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    with bench:
        array = bench.array
        lengths: list[float] = []
        execute = array.pulser.execute

        def seen(waveform: Any, **more: Any) -> None:
            lengths.append(waveform.seconds)
            execute(waveform, **more)

        array.pulser.execute = seen
        done = array.ability(Staircases).staircase(2, 3, 0.05, 0.2, 230, width=1e-3)
        assert done.volts.size == done.current.size == 230
        assert len(lengths) > 1
        assert max(lengths) <= EXECUTION_SECONDS
    assert_safe(mock)


def test_ctrl_c_while_an_smu_sweeps_by_itself(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    started = 0.0
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array
        started = mock.clock.now

        def interrupt(seconds: float) -> None:
            array.row_smu.advance_simulation(0.3 * seconds)
            if abs(box_of(mock).smus[1].terminal.volts) > 0.1:
                raise KeyboardInterrupt

        array.clock.wait = interrupt
        array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=0.3, scheme="float")
    assert mock.clock.now - started < 0.9 * LOOP.size * 0.3
    assert "abort measurement" in mock.log.texts()
    assert_safe(mock)


def test_ctrl_c_in_a_train_leaves_no_level_behind_the_open_relay(opened: tuple[Any, MockBench]) -> None:
    bench, mock = opened
    module = module_of(mock)
    left: list[float] = []
    stop = module.stop

    def stopped() -> None:
        stop()
        left.append(module.channels[301].level)

    module.stop = stopped
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array
        real = array.clock.wait

        def interrupt(seconds: float) -> None:
            real(0.3 * seconds + 5e-4)  # in the middle of a pulse
            array.clock.wait = real
            assert module.running
            raise KeyboardInterrupt

        array.clock.wait = interrupt
        array.pulser.pulses(0.1, -0.1, width=9e-4, edge=1e-6, period=1e-3, count=9000)
    assert max(left) == pytest.approx(0.1, abs=1e-3), "abort keeps the level"
    assert "abort sequences" in mock.log.texts()
    assert_safe(mock)


def test_an_abort_alone_keeps_the_level_and_a_connect_brings_it_back() -> None:
    """The rule that the way to the safe state is built on, of the stand-in."""
    bench = Mainframe()
    library: Any = bench.library
    bench.pulses()
    assert library.WGFMU_openSession(ADDRESS.encode()) == 0
    for name, *given in (
        ("createPattern", b"p", 0.0), ("addVector", b"p", 1e-6, 0.5), ("addVector", b"p", 1.0, 0.5),
        ("addVector", b"p", 1e-6, 0.0), ("setOperationMode", 301, 2001), ("addSequence", 301, b"p", 1.0),
        ("connect", 301), ("execute",),
    ):  # fmt: skip
        assert getattr(library, f"WGFMU_{name}")(*given) == 0, library.errors
    bench.clock.advance(0.5)
    assert library.WGFMU_abort() == 0
    assert bench.module.channels[301].terminal.volts == pytest.approx(0.5, abs=2e-3)
    library.WGFMU_disconnect(301)
    library.WGFMU_connect(301)
    assert bench.module.channels[301].terminal.volts == pytest.approx(0.5, abs=2e-3)


HOST = """
import sys
from support.wgfmu_process import Died
from xbarlab.instruments.drivers.keysight_b1500.box import KeysightB1500Box

box = KeysightB1500Box("analyser", sys.argv[1], visalib="@py", limits={"current_max": 1e-3})
box.clock = Died()
box.smu2.on(compliance=1e-3)
if sys.argv[2] == "sweep":
    box.smu1.sweep([0.5] * 100, compliance=1e-3, dwell=1.0)
else:
    box.smu1.on(0.5, compliance=1e-3)
    box.smu2.record(rate=10.0, points=80, largest=5e-5)
"""
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}


@pytest.mark.parametrize("what", ["sweep", "record"])
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_sigkill_leaves_no_bias_behind_a_measurement(what: str) -> None:
    """The chip lives here, the host in a process of its own that is killed while it waits for the measurement's end.

    A simulated instrument on a socket whose data are owed goes ahead of the host; that it goes on when nobody is there
    is ``wire/test_simulated_b1500.py``.
    """
    bench: Any = Mainframe(serial="SIM1500")
    with serve(bench, port=0, rate=0.0) as addresses:
        host, port = addresses[ADDRESS]
        command = [sys.executable, "-c", HOST, f"TCPIP0::{host}::{port}::SOCKET", what]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as child:
            assert child.stdout is not None
            running = float(child.stdout.readline())
            child.send_signal(signal.SIGKILL)
            child.wait()
    assert running <= PIECE_SECONDS + 1.1
    advance_to(bench.clock, bench.clock.now + 10 * PIECE_SECONDS)
    assert not bench.box.busy
    exposed = sum(seconds for volts, seconds in bench.chip.lived if abs(volts) > ZERO)
    assert 0.7 * PIECE_SECONDS < exposed <= 1.1 * PIECE_SECONDS
    left = bench.circuit.present().cell_volts[0, 0]
    assert abs(left) <= ZERO, "what is still on is at 0 V"


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="Windows has no SIGKILL")
def test_sigkill_in_a_train_leaves_no_bias_behind_an_execution() -> None:
    bench = Mainframe(serial="SIM1500")
    bench.pulses()
    executing = threading.Event()

    def told(name: str) -> None:
        if name == "WGFMU_execute":
            executing.set()

    with Listener(("127.0.0.1", 0), authkey=wgfmu_process.KEY) as listener:
        server = threading.Thread(target=wgfmu_process.serve, args=(listener, bench.library, told))
        server.start()
        address: Any = listener.address
        code = (
            "import sys; from support.wgfmu_process import drive; drive(('127.0.0.1', int(sys.argv[1])), sys.argv[2])"
        )
        command = [sys.executable, "-c", code, str(address[1]), ADDRESS]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as child:
            assert child.stdout is not None
            running = float(child.stdout.readline())
            assert executing.is_set()
            child.send_signal(signal.SIGKILL)
            child.wait()
        server.join(timeout=20)
    assert running <= EXECUTION_SECONDS
    assert bench.module.running
    advance_to(bench.clock, bench.clock.now + 10 * EXECUTION_SECONDS)
    assert not bench.module.running
    exposed = sum(seconds for volts, seconds in bench.chip.lived if abs(volts) > ZERO)
    assert 0.8 * EXECUTION_SECONDS < exposed <= EXECUTION_SECONDS
    for channel in bench.module.channels.values():
        assert channel.connected, "nobody has disconnected it"
        assert abs(channel.terminal.volts) <= ZERO, "and it is at 0 V"


def test_a_level_stays_until_the_next_opening_makes_it_safe() -> None:
    """FLEX has no watchdog: what the host steps by itself is not bounded when the host dies, and the page says so."""
    a_level_stays_until_the_next_opening(Mainframe(serial="SIM1500"), ADDRESS, KeysightB1500Box, OHMS)


@pytest.mark.parametrize(
    "fault",
    [
        Fault(kind="no_reply", header="TI", where="before"),
        Fault(kind="no_reply", header="TI", where="after"),
        Fault(kind="no_reply", header="DV", where="before", after=4),
        Fault(kind="no_reply", header="XE", where="before"),
        Fault(kind="no_reply", header="XE", where="after"),
        Fault(kind="garbled_reply", header="TI"),
        Fault(kind="garbled_reply", header="XE"),
        Fault(kind="garbled_reply", header="ERRX?", after=20),
        Fault(kind="truncated_reply", header="TI"),
        Fault(kind="truncated_reply", header="XE"),
        Fault(kind="double_reply", header="TI"),
        Fault(kind="late_reply", header="TI", seconds=0.0),
        Fault(kind="late_reply", header="TI", seconds=8.0),
        Fault(kind="delay", header="TI", seconds=8.0),
        Fault(kind="error", header="TI", code=120),
        Fault(kind="error", header="WV", code=120),
        Fault(kind="error", header="CN", code=120, after=2),
        Fault(kind="drop_connection", header="TI", where="before"),
        Fault(kind="drop_connection", header="TI", where="after"),
        Fault(kind="drop_connection", header="DV", where="before", after=4),
        Fault(kind="drop_connection", header="XE", where="before"),
        Fault(kind="overflow", header="TI"),
        Fault(kind="compliance", header="TI"),
        Fault(kind="brown_out", header="TI"),
        Fault(kind="brown_out", header="XE"),
        Fault(kind="full_error_queue", header="TI"),
    ],
    ids=lambda fault: f"{fault.kind} at {fault.header} {fault.where}",
)
def test_a_fault_is_got_over_or_said_and_everything_ends_safe(opened: tuple[Any, MockBench], fault: Fault) -> None:
    bench, mock = opened
    mock.script_faults(box_of(mock).address, [fault])
    said: list[str] = []
    try:
        with bench:
            bench.array.read(CELL)
            bench.array.pulse(PulseMap(CELL, volts=0.2, width=2e-7))
            bench.array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2, scheme="float")
    except XbarlabError as error:
        said.append(str(error))
    assert all("analyser" in sentence and "\n" not in sentence for sentence in said), said
    assert mock.log.faults(), "the fault never struck"
    assert_safe(mock)


@pytest.mark.parametrize("code", [COMMUNICATION, FIRMWARE])
@pytest.mark.parametrize("name", ["createPattern", "connect", "execute", "getStatus", "disconnect", "addSequence"])
def test_a_call_that_fails_once_is_said_and_everything_ends_safe(
    opened: tuple[Any, MockBench], name: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, mock = opened
    library: Any = mock.libraries["wgfmu"]
    real, left = getattr(library, f"WGFMU_{name}"), [code]

    def fails(*given: Any) -> int:
        if left:
            library.keep("scripted")
            return left.pop()
        return int(real(*given))

    with pytest.raises(XbarlabError, match=rf"wgfmu .*WGFMU_{name} returned {code} \(scripted\)"), bench:  # noqa: PT012
        monkeypatch.setattr(library, f"WGFMU_{name}", fails)
        bench.array.pulse(PulseMap(CELL, volts=0.2, width=2e-7))
    assert_safe(mock)


def test_a_trace_shows_every_message_and_every_call(tmp_path: Path) -> None:
    trace = tmp_path / "wire.log"
    with open_bench("mock_tio2_b1500", seed=1, trace=trace) as bench:
        bench.array.read(CELL)
        bench.array.pulse(PulseMap(CELL, volts=0.2, width=2e-7))
    lines = trace.read_text(encoding="utf-8").splitlines()
    assert any(line.endswith("> TI 2,13\\nERRX?") or "> TI 2,13" in line for line in lines if " analyser " in line)
    calls = [line for line in lines if " wgfmu " in line]
    assert any(line.endswith("> execute") for line in calls)
    assert any("> addVectors on301 [" in line for line in calls)


def test_a_station_says_what_a_box_of_parts_wants(tmp_path: Path) -> None:
    text = find_station("mock_tio2_b1500").read_text(encoding="utf-8")
    for name in ("mock_tio2.chip.yaml", "mock_tio2_b1500.bench.yaml"):
        (tmp_path / name).write_bytes(find_bench("mock_tio2_b1500").with_name(name).read_bytes())
    path = tmp_path / "s.station.yaml"
    path.write_text(text.replace("pulser: wgfmu.pulser", "pulser: wgfmu"), encoding="utf-8")
    with pytest.raises(RefusedError, match=r"wgfmu is a box of several: write wgfmu\.pulser or wgfmu\.digitiser"):
        open_bench(path)
    path.write_text(text.replace("digitiser: 10,", "digitiser: 9,"), encoding="utf-8")
    with pytest.raises(RefusedError, match="two sources share a matrix input"), open_bench(path):
        pass
    path.write_text(text.replace('session: "GPIB0::17::INSTR"', 'session: "GPIB0::9::INSTR"'), encoding="utf-8")
    with pytest.raises(XbarlabError, match="nothing answers at GPIB0::9::INSTR"), open_bench(path):
        pass
