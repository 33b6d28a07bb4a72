"""The way out and the way on: what a bench records of leaving, and what a lost cable or a power failure comes to."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab import open_bench
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError, PowerLostError, UnconfirmedError
from xbarlab.instruments.station.station import Bench
from xbarlab.instruments.station.terminations import SIGNALS
from xbarlab.instruments.wire.safe_state import CONFIRMED
from xbarlab.mockhw.bench.bench import MockBench, bench_for, forget_bench, fresh_bench
from xbarlab.mockhw.faults import Fault
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.runbooks.stations import find_bench, find_station

BOARD = "TCPIP0::127.0.0.1::5025::SOCKET"
ROW, COLUMN, PULSER, MATRIX = (f"TCPIP0::127.0.0.1::{port}::SOCKET" for port in range(5031, 5035))
PROBE_STEPS = [
    ("row_smu", "stop"), ("row_smu", "0 V"), ("row_smu", "output off"),
    ("column_smu", "stop"), ("column_smu", "0 V"), ("column_smu", "output off"),
    ("pulser", "stop at the base, 0 V"), ("pulser", "output 1 off"), ("pulser", "output 2 off"),
    ("pulser", "channel 1 DC 0 V"), ("pulser", "channel 2 DC 0 V"),
    ("matrix", "all relays open"),
]  # fmt: skip
BOARD_STEPS = [("board", "stop"), ("board", "0 V"), ("board", "array disconnected")]
CELL = Block(2, 1, 3, 1)
LOOP = np.concatenate([np.linspace(0.0, 0.8, 9), np.linspace(0.8, 0.0, 9)])

Opened = tuple[Bench, MockBench]


@pytest.fixture
def board() -> Iterator[Opened]:
    yield open_bench("mock_ta_hfo2", seed=1), bench_for(find_bench("mock_ta_hfo2"))
    forget_bench(find_bench("mock_ta_hfo2"))


@pytest.fixture
def probe() -> Iterator[Opened]:
    yield open_bench("mock_tio2", seed=1), bench_for(find_bench("mock_tio2"))
    forget_bench(find_bench("mock_tio2"))


def assert_safe(mock: MockBench) -> None:
    for instrument in mock.instruments.values():
        at: Any = instrument
        assert instrument.clients == 0
        if instrument.kind == "array_board":
            assert not at.output
        elif instrument.kind == "keithley_2450":
            assert not at.output
            assert abs(at.terminal.volts) < 2e-3
        elif instrument.kind == "keysight_33622a":
            assert not any(channel.output for channel in at.channels)
    if mock.circuit is not None:
        assert mock.circuit.relays.closed == set()


def steps_of(bench: Bench) -> list[tuple[str, str]]:
    return [(step.instrument, step.step) for step in bench.ending]


def test_every_step_of_leaving_is_recorded_in_order_and_confirmed(board: Opened, probe: Opened) -> None:
    for (bench, mock), steps in ((board, BOARD_STEPS), (probe, PROBE_STEPS)):
        assert bench.ending == ()
        with bench:
            bench.array.read(CELL)
            assert bench.ending == ()
        assert steps_of(bench) == steps
        assert {step.result for step in bench.ending} == {CONFIRMED}
        assert bench.incidents == ()
        assert_safe(mock)


def test_an_instrument_that_is_gone_is_said_and_keeps_no_other_from_being_made_safe(probe: Opened) -> None:
    bench, mock = probe
    with pytest.raises(ConnectionLostError, match=rf"column_smu at {COLUMN} does not answer"), bench:  # noqa: PT012
        array: Any = bench.array
        array.read(CELL)
        mock.script_faults(COLUMN, [Fault("drop_connection", times=1)])
        array.column_smu.wire.connection.forbid_reopening()  # and nobody there to be connected to
        array.read(CELL)
    by_name = {name: {step.result for step in bench.ending if step.instrument == name} for name, _ in PROBE_STEPS}
    assert by_name["row_smu"] == by_name["pulser"] == by_name["matrix"] == {CONFIRMED}
    assert all(result.startswith("not sent: column_smu at") for result in by_name["column_smu"])


def test_a_source_whose_cable_was_out_is_connected_anew_and_switched_off(probe: Opened) -> None:
    """A 2450 keeps what it drives when its connection goes: only a new one makes it safe."""
    bench, mock = probe
    with pytest.raises(UnconfirmedError, match=r"cell \(2, 3\) may have had up to 1 sweep") as caught, bench:  # noqa: PT012
        array: Any = bench.array
        mock.script_faults(ROW, [Fault("drop_connection", "SOUR:VOLT", after=30)])
        array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2)
    assert caught.value.block == CELL
    assert len(mock.log.faults()) == 1
    assert {step.result for step in bench.ending} == {CONFIRMED}
    assert bench.incidents == (f"row_smu at {ROW}: the connection was lost and is open again",)
    assert_safe(mock)


@pytest.mark.parametrize("address", [ROW, COLUMN, MATRIX])
@pytest.mark.parametrize("kind", ["drop_connection", "brown_out", "truncated_reply", "no_reply"])
def test_a_read_goes_on_from_0_v_after_a_fault(probe: Opened, address: str, kind: Any) -> None:
    bench, mock = probe
    with bench:
        before = bench.array.read(CELL).conductance
        bench.array.idle()
        header = "ROUT:CLOS:CARD?" if address == MATRIX else "OUTP" if kind == "brown_out" else "SYST:ERR?"
        mock.script_faults(address, [Fault(kind, header, after=int(header != "OUTP"))])
        after = bench.array.read(CELL).conductance
        assert len(mock.log.faults()) == 1
        assert after == pytest.approx(before, rel=0.05)
    assert any("the read done once more" in told for told in bench.incidents)
    assert_safe(mock)


def test_a_power_failure_in_the_middle_of_a_sweep_is_never_taken_for_data(probe: Opened) -> None:
    """The row's unit is off after it and takes levels without a word: only its power-on bit tells."""
    bench, mock = probe
    with pytest.raises(UnconfirmedError, match=rf"row_smu at {ROW} says \*ESR\? 128.*without power") as caught, bench:  # noqa: PT012
        mock.script_faults(ROW, [Fault("brown_out", "SOUR:VOLT", after=30)])
        bench.array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2)
    assert isinstance(caught.value.__cause__, PowerLostError)
    assert_safe(mock)


def test_an_unconfirmed_map_names_cells_and_counts(board: Opened) -> None:
    bench, mock = board
    counts = np.array([[1, 0], [3, 2]])
    with pytest.raises(UnconfirmedError) as caught, bench:  # noqa: PT012
        mock.script_faults(BOARD, [Fault("no_reply", "PULS:MAP")])
        bench.array.pulse(PulseMap(Block(0, 2, 0, 2), 0.5, 1e-6, 1.0, count=counts))
    assert caught.value.block == Block(0, 2, 0, 2)
    assert caught.value.count.tolist() == counts.tolist()
    assert "cells 0:2,0:2 may have had up to 3 pulses" in str(caught.value)
    assert_safe(mock)


def test_a_board_that_was_without_power_while_idle_is_set_up_again(board: Opened) -> None:
    bench, mock = board
    instrument: Any = mock.instruments[BOARD]
    with bench:
        array: Any = bench.array
        array.read_range(1e-4)
        before = array.read(CELL, average=8)
        array.idle()
        instrument.brown_out()
        assert instrument.average == 1
        after = array.read(CELL, average=8)
        assert (instrument.average, instrument.read_range) == (8, pytest.approx(1e-4))
        assert after.conductance == pytest.approx(before.conductance, rel=0.2, abs=2e-7)
        assert len(bench.incidents) == 1
        assert "had been without power" in bench.incidents[0]


def test_a_command_that_is_lost_on_the_way_out_is_sent_again(probe: Opened) -> None:
    bench, mock = probe
    with bench:
        bench.array.read(CELL)
        mock.script_faults(ROW, [Fault("no_reply", "OUTP")])
    assert [event.what for event in mock.log.faults()] == ["fault no_reply at OUTPut[1][:STATe]"]
    assert {step.result for step in bench.ending} == {CONFIRMED}
    assert_safe(mock)


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_second_signal_waits_until_everything_is_safe(probe: Opened, name: str) -> None:
    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    number = getattr(signal, name)
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"whoever started the tests has {name} ignored, as nohup does")
    bench, mock = probe
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    handlers = [signal.getsignal(one) for one in SIGNALS]
    try:
        with pytest.raises(KeyboardInterrupt), bench:  # noqa: PT012
            array: Any = bench.array
            array.read(CELL)
            tell = array.row_smu.wire.exchange.tell

            def impatient(command: str) -> None:
                signal.raise_signal(number)
                tell(command)

            array.row_smu.wire.exchange.tell = impatient
            signal.raise_signal(number)
        assert [signal.getsignal(one) for one in SIGNALS] == handlers
    finally:
        signal.signal(signal.SIGINT, before)
    assert {step.result for step in bench.ending} == {CONFIRMED}
    assert_safe(mock)


def test_under_nohup_a_closed_terminal_is_ignored(board: Opened) -> None:
    if not hasattr(signal, "SIGHUP"):
        pytest.skip("no SIGHUP here")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with board[0] as bench:
            signal.raise_signal(signal.SIGHUP)
            bench.array.read(CELL)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_where_nothing_is_lost_nothing_is_told(board: Opened) -> None:
    with board[0] as bench:
        bench.array.pulse(PulseMap(CELL, 0.5, 1e-6, 1.0))
        bench.array.idle()
        bench.array.read(CELL)
    assert bench.incidents == ()


def test_another_instrument_at_the_same_address_is_left_alone(probe: Opened) -> None:
    bench, mock = probe
    stranger: Any = mock.instruments[ROW]
    with pytest.raises(ConnectionLostError), bench:  # noqa: PT012
        bench.array.read(CELL)
        mock.script_faults(ROW, [Fault("drop_connection", "READ?")])
        stranger.serial = "SIM-OTHER"
        array: Any = bench.array
        array.row_smu.measure()
        array.read(CELL)
    told = {step.result for step in bench.ending if step.instrument == "row_smu"}
    assert len(told) == 1
    assert told.pop().startswith("not sent: ")
    assert bench.incidents == ()


def test_an_error_reported_in_place_of_an_outcome_is_not_asked_away(board: Opened) -> None:
    bench, mock = board
    with pytest.raises(InstrumentError, match=r"-240 Hardware error"), bench:  # noqa: PT012
        mock.script_faults(BOARD, [Fault("error", "*OPC?")])
        bench.array.pulse(PulseMap(CELL, 0.5, 1e-6, 1.0))
    assert_safe(mock)


@pytest.mark.parametrize("header", ["SOUR:VOLT:HIGH", "OUTP", "*TRG"])
def test_a_pulser_that_was_without_power_gives_nothing_and_is_set_up_again(probe: Opened, header: str) -> None:
    """After power-on it believes in 50 Ω: what it was asked for would come out twice as high."""
    bench, mock = probe
    train = PulseMap(CELL, 1.0, 200e-9, count=5)
    peak: list[float] = []
    with bench:
        bench.array.pulse(train)
        mock.script_faults(PULSER, [Fault("brown_out", header)])
        with pytest.raises(UnconfirmedError, match="without power"):
            bench.array.pulse(PulseMap(CELL, 1.2, 200e-9, count=5))
        assert len(mock.log.faults()) == 1
        told = [event.what for event in mock.log.events]
        bursts = [what for what in told[told.index(mock.log.faults()[0].what) :] if what.startswith("burst")]
        assert bursts == []
        bench.array.pulse(train)
        pulser: Any = mock.instruments[PULSER]
        peak = [channel.load for channel in pulser.channels]
    assert all(load == float("inf") or load > 1e9 for load in peak)
    assert_safe(mock)


@pytest.fixture
def over_tcp(tmp_path: Path) -> Iterator[Callable[[str], Opened]]:
    """A bench served on sockets: the links are pyvisa-py's, the time-outs those of the wall."""
    served: list[Any] = []

    def make(name: str) -> Opened:
        own = tmp_path / "own.bench.yaml"
        own.write_text(find_bench(f"mock_{name}").read_text(encoding="utf-8"), encoding="utf-8")
        mock = fresh_bench(own, seed=1)
        context = serve(mock, port=0)
        addresses = context.__enter__()
        served.append((context, own))
        shipped = find_station(f"tcp_{name}")
        text = shipped.read_text(encoding="utf-8")
        for address, (host, port) in addresses.items():
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        for chip in shipped.parent.glob("*.chip.yaml"):
            text = text.replace(f" {chip.name}", f" {chip.as_posix()}")
        station = tmp_path / "own.station.yaml"
        station.write_text(text, encoding="utf-8")
        return open_bench(station), mock

    yield make
    for context, own in served:
        context.__exit__(None, None, None)
        forget_bench(own)


def test_over_tcp_a_lost_connection_is_opened_anew_for_a_read(over_tcp: Callable[[str], Opened]) -> None:
    bench, mock = over_tcp("ta_hfo2")
    with bench:
        before = bench.array.read(CELL, average=16).conductance
        mock.script_faults(BOARD, [Fault("drop_connection", "READ:MAP?", where="inside")])
        after = bench.array.read(CELL, average=16).conductance
        assert len(mock.log.faults()) == 1
        assert after == pytest.approx(before, rel=0.2, abs=2e-7)
    assert len(bench.incidents) == 2
    assert {step.result for step in bench.ending} == {CONFIRMED}


def test_over_tcp_a_source_whose_cable_was_out_is_switched_off(over_tcp: Callable[[str], Opened]) -> None:
    bench, mock = over_tcp("tio2")
    with pytest.raises(UnconfirmedError, match="row_smu at TCPIP0::127"), bench:  # noqa: PT012
        mock.script_faults(ROW, [Fault("drop_connection", "SOUR:VOLT", after=30)])
        bench.array.ability(Sweeps).sweep(2, 3, LOOP, compliance=1e-3, dwell=1e-2)
    assert len(mock.log.faults()) == 1
    assert steps_of(bench) == PROBE_STEPS
    assert {step.result for step in bench.ending} == {CONFIRMED}
    row: Any = mock.instruments[ROW]
    assert not row.output
    assert mock.circuit is not None
    assert mock.circuit.relays.closed == set()
