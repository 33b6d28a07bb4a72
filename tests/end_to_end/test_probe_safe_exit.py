"""Every way out of the probe station, proved by what its terminals and relays did: 0 V and off, then the relays."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyvisa.constants import StatusCode
from pyvisa.errors import VisaIOError

from xbarlab import open_bench
from xbarlab.common.errors import XbarlabError
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.station.station import Bench
from xbarlab.mockhw.bench.bench import MockBench, bench_for, forget_bench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.instruments.keithley_2450.instrument import Keithley2450
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.mockhw.probe_circuit.relays import Relays
from xbarlab.mockhw.probe_circuit.terminal import Terminal
from xbarlab.runbooks.stations import find_bench, find_station

ZERO = 2e-3  # a 2450 set to 0 V is off by part of a millivolt
SOURCES = ("row_smu", "column_smu", "pulser.1", "pulser.2")
CELL = Block(2, 1, 3, 1)
LOOP = np.concatenate([np.linspace(0.0, 0.8, 9), np.linspace(0.8, -0.8, 17)])
TRAIN = PulseMap(CELL, 0.6, 200e-9, count=50)


@dataclass
class Diary:
    """What sources and relays did, in order: (name, "volts" | "on" | "off" | "relay", value).

    An "off" carries the volts it was done at; what a 2450 calls off is 0 V with little current, so its own word counts.
    """

    mock: MockBench
    lines: list[tuple[str, str, float]]

    @property
    def circuit(self) -> ProbeCircuit:
        assert self.mock.circuit is not None
        return self.mock.circuit

    def is_on(self, name: str) -> bool:
        for instrument in self.mock.instruments.values():
            if isinstance(instrument, Keithley2450) and instrument.terminal is self.circuit.terminals[name]:
                return instrument.output
        return self.circuit.terminals[name].on

    def live(self) -> list[str]:
        """Sources that are on, or at anything but 0 V."""
        volts = {name: abs(self.circuit.terminals[name].volts) for name in SOURCES}
        return [name for name in SOURCES if self.is_on(name) or volts[name] > ZERO]

    def assert_left_safely(self) -> None:
        """Whatever was live went to 0 V, then off; relays moved after that, and all are open."""
        assert self.live() == []
        assert self.circuit.relays.closed == set()
        assert self.circuit.relays.hot == {}
        assert any(what == "relay" and value for _, what, value in self.lines), "something had been connected"
        opened = max(n for n, (_, what, _) in enumerate(self.lines) if what == "relay")
        assert any(what == "on" for _, what, _ in self.lines), "something had been on"
        on = dict.fromkeys(SOURCES, False)
        for n, (name, what, value) in enumerate(self.lines):
            if what == "on":
                on[name] = True
            elif what == "off":
                on[name] = False
                assert abs(value) <= ZERO, f"{name} was switched off at {value} V"
                assert n < opened, f"{name} was switched off when the relays had opened"
            elif what == "relay":
                assert not any(on.values()), f"relay {name} moved while {on}"


def keep_diary(mock: MockBench, monkeypatch: pytest.MonkeyPatch) -> Diary:
    diary = Diary(mock, [])
    was_on = {name: diary.is_on(name) for name in SOURCES}
    change, move = Terminal.set, Relays.move

    def changed(self: Terminal, now: float, **changes: float | bool) -> None:
        before = self.volts
        change(self, now, **changes)
        if self.name not in SOURCES:
            return
        if self.volts != before:
            diary.lines.append((self.name, "volts", self.volts))
        on = diary.is_on(self.name)
        if on != was_on[self.name]:
            was_on[self.name] = on
            diary.lines.append((self.name, "on", self.volts) if on else (self.name, "off", before))

    def moved(self: Relays, path: tuple[int, int], *, closing: bool, hot: bool) -> bool:
        diary.lines.append((f"{path[0]}-{path[1]}", "relay", float(closing)))
        return move(self, path, closing=closing, hot=hot)

    monkeypatch.setattr(Terminal, "set", changed)
    monkeypatch.setattr(Relays, "move", moved)
    return diary


Opened = tuple[Bench, MockBench, Diary]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Opened:
    bench = open_bench("mock_tio2", seed=1)
    mock = bench_for(find_bench("mock_tio2"))
    return bench, mock, keep_diary(mock, monkeypatch)


def interrupt_at(call: Callable[..., Any], number: int, error: type[BaseException]) -> Callable[..., Any]:
    """Do what ``call`` does, and raise after its call ``number``; never again, since leaving uses it too."""
    calls = [0]

    def wrapped(*arguments: Any, **options: Any) -> Any:
        result = call(*arguments, **options)
        calls[0] += 1
        if calls[0] == number:
            raise error("enough")
        return result

    return wrapped


def test_the_diary_notices_relays_that_open_under_voltage(in_process: Opened) -> None:
    bench, mock, diary = in_process
    with bench:
        array: Any = bench.array
        array.read(CELL)
        array.row_smu.level(0.5)
        assert mock.circuit is not None
        mock.circuit.switch(mock.clock.now, open=[(1, 3)])
    with pytest.raises(AssertionError):
        diary.assert_left_safely()


def test_normal_end(in_process: Opened) -> None:
    bench, _, diary = in_process
    with bench:
        bench.array.read(CELL)
        assert diary.live() == ["row_smu", "column_smu"], "0 V, but on: the next cell of a map is near"
        assert diary.circuit.relays.closed
        bench.array.pulse(TRAIN)
        bench.array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2)
    diary.assert_left_safely()


def test_an_exception_in_the_middle_of_a_sweep(in_process: Opened) -> None:
    bench, _, diary = in_process
    with pytest.raises(ZeroDivisionError), bench:  # noqa: PT012
        array: Any = bench.array
        # Nine levels each way to learn about the mates, then the sweep itself.
        array.column_smu.step = interrupt_at(array.column_smu.step, 30, ZeroDivisionError)
        seen: list[float] = []
        level = array.row_smu.level

        def noted(volts: float, **options: Any) -> None:
            level(volts, **options)
            seen.append(volts)

        array.row_smu.level = noted
        try:
            array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2)
        finally:
            assert abs(seen[-1]) > 0.1, "it was on its way"
            diary.assert_left_safely()  # before the exception goes on, not only when the bench is left
    diary.assert_left_safely()


@pytest.mark.parametrize("what", ["a clock wait", "a message to the row", "a message to the pulser"])
def test_ctrl_c(in_process: Opened, what: str) -> None:
    bench, _, diary = in_process
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array
        if what == "a clock wait":
            array.read(CELL)  # connected, both units on
            array.clock.wait = interrupt_at(array.clock.wait, 1, KeyboardInterrupt)
            array.pulse(TRAIN)
        elif what == "a message to the pulser":
            port = array.pulser.wire.line.port
            port.write = interrupt_at(port.write, 3, KeyboardInterrupt)  # set up, on, triggered
            array.pulse(TRAIN)
        else:
            port = array.row_smu.wire.line.port
            port.write = interrupt_at(port.write, 12, KeyboardInterrupt)
            array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2)
    diary.assert_left_safely()


def test_ctrl_c_while_the_instrument_sweeps_by_itself(in_process: Opened) -> None:
    """Nobody steps a buffered sweep: only an abort ends it before its last point."""
    bench, mock, diary = in_process
    with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
        array: Any = bench.array
        started = mock.clock.now

        def interrupt(seconds: float) -> None:
            array.row_smu.advance_simulation(0.3 * seconds)
            if diary.circuit.terminals["row_smu"].volts > 0.1:
                raise KeyboardInterrupt

        array.clock.wait = interrupt
        array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=0.5, scheme="float")
    assert mock.clock.now - started < 0.6 * LOOP.size * 0.5
    diary.assert_left_safely()


@pytest.mark.parametrize("silent", ["row_smu", "column_smu", "pulser"])
def test_one_instrument_that_does_not_answer_keeps_no_other_from_being_made_safe(
    in_process: Opened, silent: str
) -> None:
    bench, _, diary = in_process
    with pytest.raises(XbarlabError), bench:  # noqa: PT012
        array: Any = bench.array
        array.read(CELL)
        port = getattr(array, silent).wire.line.port

        def dead(*_: Any) -> Any:
            raise VisaIOError(StatusCode.error_connection_lost)

        port.write = port.read_line = dead
        if silent == "pulser":
            array.row_smu.level(0.2)
            array.pulse(TRAIN)
        else:
            array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2)
    others = [name for name in SOURCES if not name.startswith(silent)]
    assert [name for name in diary.live() if name in others] == []
    assert diary.circuit.relays.closed == set()


def test_a_matrix_that_does_not_answer_leaves_sources_at_0_v_and_off(in_process: Opened) -> None:
    bench, _, diary = in_process
    with pytest.raises(XbarlabError), bench:  # noqa: PT012
        array: Any = bench.array
        array.read(CELL)
        array.row_smu.level(0.2)

        def dead(*_: Any) -> Any:
            raise VisaIOError(StatusCode.error_connection_lost)

        array.matrix.wire.line.port.write = array.matrix.wire.line.port.read_line = dead
        array.matrix.wire.connection.forbid_reopening()  # and cannot be connected anew
        array.read(Block(0, 1, 0, 1))
    assert diary.live() == []
    assert diary.circuit.relays.hot == {}


def test_an_instrument_left_on_by_the_last_user_is_made_safe_before_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after SIGKILL: the matrix is closed, the sources are on, and somebody opens the bench."""
    import pyvisa

    path = find_bench("mock_tio2")
    mock = fresh_bench(path, seed=1)
    manager = pyvisa.ResourceManager(f"{path}@xbarlab")
    row, _, generator, matrix = (
        manager.open_resource(f"TCPIP0::127.0.0.1::{port}::SOCKET", read_termination="\n", write_termination="\n")
        for port in range(5031, 5035)
    )
    ask: Callable[[Any, str], str] = lambda resource, message: resource.query(message)  # noqa: E731
    ask(matrix, "ROUT:CLOS (@00101,00902);*OPC?")
    ask(row, "SOUR:VOLT 0.7;:OUTP ON;*OPC?")
    ask(generator, "APPL:DC DEF,DEF,0.5;*OPC?")
    assert mock.circuit is not None
    assert mock.circuit.terminals["row_smu"].on
    assert mock.circuit.terminals["pulser.1"].on
    diary = keep_diary(mock, monkeypatch)
    with open_bench("mock_tio2"):
        assert diary.live() == []
        assert diary.circuit.relays.closed == set()
        first_relay = next(n for n, (_, what, _) in enumerate(diary.lines) if what == "relay")
        assert {"row_smu", "pulser.1"} <= {name for name, what, _ in diary.lines[:first_relay] if what == "off"}
    assert diary.circuit.relays.hot == {}


# --- over TCP ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def over_tcp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Path, Diary]]:
    own = tmp_path / "own.bench.yaml"
    own.write_text(find_bench("mock_tio2").read_text(encoding="utf-8"), encoding="utf-8")
    mock = fresh_bench(own, seed=1)
    shipped = find_station("tcp_tio2")
    text = shipped.read_text(encoding="utf-8").replace("clock: auto", "clock: wall")
    with serve(mock, port=0) as addresses:
        for address, (host, port) in addresses.items():
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        station = tmp_path / "own.station.yaml"
        chip = shipped.with_name("mock_tio2.chip.yaml").as_posix()
        station.write_text(text.replace("mock_tio2.chip.yaml", chip), encoding="utf-8")
        yield station, keep_diary(mock, monkeypatch)
    forget_bench(own)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    end = time.monotonic() + 60.0
    while not condition():
        assert time.monotonic() < end, "did not happen within 60 s"
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_a_real_signal_in_the_middle_of_a_sweep_over_tcp(over_tcp: tuple[Path, Diary], number: int) -> None:
    """The units wait one second per point by the wall clock, so that there is time to interrupt them."""
    station, diary = over_tcp
    arguments = ["sweep", "--station", str(station), "--cell", "2,3", "--positive", "0.8", "--negative=-0.8"]
    arguments += ["--step", "0.01", "--cycles", "1000", "--dwell", "10"]
    # A shell that runs the tests in the background hands SIGINT down ignored.
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from xbarlab import cli; sys.exit(cli.main(sys.argv[1:]))"
    )
    terminals = diary.circuit.terminals
    with subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            wait_for(lambda: terminals["row_smu"].on and abs(terminals["row_smu"].volts) > 0.1, process)
            process.send_signal(number)
            _, said = process.communicate(timeout=30.0)
        finally:
            process.kill()
    assert process.returncode == 130, said
    assert said == "xbarlab: interrupted; an open bench was taken to 0 V first, then disconnected\n"
    end = time.monotonic() + 10.0
    while (diary.live() or diary.circuit.relays.closed) and time.monotonic() < end:
        time.sleep(0.01)
    diary.assert_left_safely()
