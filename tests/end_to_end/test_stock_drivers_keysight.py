"""QCoDeS's own, unmodified Keysight drivers against the simulated 33622A and B2201A over TCP."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from types import SimpleNamespace

import numpy as np
import pytest
from qcodes.instrument_drivers.Keysight import Keysight33622A as Stock33622A
from qcodes.instrument_drivers.Keysight import KeysightB2201 as StockB2201

from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.instrument import BenchLog
from xbarlab.mockhw.instruments.keysight_33622a.instrument import Keysight33622A
from xbarlab.mockhw.instruments.keysight_b2201a.instrument import KeysightB2201A
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.mockhw.sim_clock import SimClock

PULSER, MATRIX = "TCPIP0::127.0.0.1::5025::SOCKET", "TCPIP0::127.0.0.1::5026::SOCKET"
ROWS = COLS = 8


class QuietChip:
    """What the circuit asks of a passive chip: writes down what it lived through; nothing conducts."""

    rows, cols = ROWS, COLS

    def __init__(self) -> None:
        self.played: list[tuple[np.ndarray, np.ndarray, np.ndarray, int]] = []

    def hold(self, bias, seconds):
        pass

    def play(self, bias, volts, seconds, repeats):
        self.played.append((bias.source.copy(), volts, seconds, repeats))

    def solve(self, bias):
        zero = np.zeros(ROWS + COLS)
        return SimpleNamespace(line_volts=zero, line_amps=zero)

    measure = solve


class Bench:
    """Enough of a mock bench for a server."""

    def __init__(self) -> None:
        self.clock, self.log, self.chip = SimClock(), BenchLog(), QuietChip()
        self.circuit = ProbeCircuit(
            self.chip,  # pyright: ignore[reportArgumentType]
            self.clock,
            self.log,
            inputs={9: "pulser.1", 11: "pulser.2", 13: "ground"},
            outputs=range(1, ROWS + COLS + 1),
            relay_ohms=1.0,
        )
        terminals = (self.circuit.terminal("pulser.1", ohms=50.0), self.circuit.terminal("pulser.2", ohms=50.0))
        self.instruments = {
            PULSER: Keysight33622A(
                PULSER, self.clock, self.log,
                circuit=self.circuit, terminals=terminals, serial="SIM33622", seed=1, info=lambda: b"#10",
            ),
            MATRIX: KeysightB2201A(
                MATRIX, self.clock, self.log, circuit=self.circuit, serial="SIM02201", info=lambda: b"#10"
            ),
        }  # fmt: skip


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def served(bench: Bench) -> Iterator[dict[str, str]]:
    with serve(bench, port=0) as addresses:  # pyright: ignore[reportArgumentType]
        yield {name: f"TCPIP0::{host}::{port}::SOCKET" for name, (host, port) in addresses.items()}


@pytest.fixture
def pulser(served: dict[str, str]) -> Iterator[Stock33622A]:
    driver = Stock33622A("stock_pulser", served[PULSER], visalib="@py", timeout=5)
    yield driver
    driver.close()


@pytest.fixture
def matrix(served: dict[str, str]) -> Iterator[StockB2201]:
    driver = StockB2201("stock_matrix", served[MATRIX], visalib="@py", timeout=5)
    yield driver
    driver.close()


# --- 33622A -----------------------------------------------------------------------------------


def test_generator_is_recognised_and_its_snapshot_is_the_reset_state(pulser: Stock33622A) -> None:
    assert pulser.IDN() == {
        "vendor": "Agilent Technologies",
        "model": "33622A",
        "serial": "SIM33622",
        "firmware": "A.02.03-3.15-03-64-02",
    }
    channels = pulser.snapshot(update=True)["submodules"]
    told = {name: entry["value"] for name, entry in channels["ch2"]["parameters"].items()}
    # QCoDeS 0.59 and later ask for these as well.
    newer = {"auto_range": "ON", "edges": 4e-9, "output_load": 50.0, "srate": 40e3}
    assert {name: value for name, value in told.items() if name in newer} in ({}, newer)
    assert {name: value for name, value in told.items() if name not in newer} == {
        "function_type": "SIN", "frequency_mode": "CW", "frequency": 1e3, "phase": 0.0, "amplitude_unit": "VPP",
        "amplitude": 0.1, "offset": 0.0, "output": "OFF", "ramp_symmetry": 100.0, "pulse_width": 1e-4,
        "trigger_source": "IMM", "trigger_slope": "POS", "trigger_count": 1, "trigger_delay": 0.0,
        "trigger_timer": 1.0, "output_polarity": "NORM", "burst_state": "OFF", "burst_mode": "N Cycle",
        "burst_ncycles": 1, "burst_phase": 0.0, "burst_polarity": "NORM", "burst_int_period": 0.01,
    }  # fmt: skip
    assert {name: entry["value"] for name, entry in channels["sync"]["parameters"].items()} == {
        "output": "ON",
        "source": 1,
    }
    assert pulser.error() == (0, "No error")


SETTINGS = [
    *[("function_type", word) for word in ("SQU", "TRI", "RAMP", "PULS", "PRBS", "NOIS", "ARB", "DC", "SIN")],
    *[("frequency_mode", word) for word in ("LIST", "SWEEP", "FIXED", "CW")],
    ("frequency", 2.5e5),
    ("phase", 90),
    ("amplitude", 0.7),
    ("offset", 0.25),
    *[("amplitude_unit", word) for word in ("VRMS", "DBM", "VPP")],
    ("ramp_symmetry", 30),
    ("pulse_width", 200e-9),
    *[("trigger_source", word) for word in ("EXT", "TIM", "BUS")],
    ("trigger_slope", "NEG"),
    ("trigger_count", 12),
    ("trigger_delay", 1e-3),
    ("trigger_timer", 0.5),
    ("output_polarity", "INV"),
    ("burst_mode", "Gated"),
    ("burst_mode", "N Cycle"),
    ("burst_ncycles", 25),
    ("burst_ncycles", "INF"),
    ("burst_phase", -45),
    ("burst_polarity", "INV"),
    ("burst_int_period", 0.02),
    ("burst_state", "ON"),
    ("burst_state", "OFF"),
    ("output", "ON"),
    ("output", "OFF"),
]


@pytest.mark.slow
def test_everything_the_driver_offers_can_be_set_and_read_back(pulser: Stock33622A) -> None:
    for channel in (pulser.ch1, pulser.ch2):
        for name, value in SETTINGS:
            channel.parameters[name](value)
            read = channel.parameters[name].get()
            expected = float("inf") if value == "INF" else value
            assert read == (expected if isinstance(expected, str) else pytest.approx(expected)), name
            assert pulser.error() == (0, "No error"), name
    for source in (2, 1):
        pulser.sync.source(source)
        assert pulser.sync.source.get() == source
    pulser.sync.output("OFF")
    assert pulser.sync.output.get() == "OFF"
    pulser.sync_channel_phases()
    assert pulser.error() == (0, "No error")


def test_burst_of_200_ns_pulses_on_both_channels(bench: Bench, pulser: Stock33622A) -> None:
    bench.circuit.switch(0.0, close=[(9, 1), (11, 9)])
    for channel, polarity, offset in ((pulser.ch1, "NORM", 0.25), (pulser.ch2, "INV", -0.25)):
        channel.frequency(1e6)
        channel.pulse_width(200e-9)
        channel.function_type("PULS")
        channel.amplitude(0.5)
        channel.offset(offset)
        channel.output_polarity(polarity)
        channel.trigger_source("BUS")
        channel.burst_ncycles(100)
        channel.burst_state("ON")
        channel.output("ON")
    assert pulser.error() == (0, "No error")
    bench.chip.played.clear()
    start = bench.clock.now
    pulser.force_trigger()
    assert pulser.ask("*OPC?") == "1"
    assert bench.clock.now - start == pytest.approx(100e-6)
    ((source, volts, seconds, repeats),) = bench.chip.played
    assert repeats == 100
    assert seconds.sum() == pytest.approx(1e-6)
    row, col = volts[:, source[0]], volts[:, source[8]]
    assert row.max() == pytest.approx(1.0, rel=1e-3), "0.5 V into the 50 Ω it was set for is 1 V open"
    assert col.min() == pytest.approx(-1.0, rel=1e-3)
    assert (row.min(), col.max()) == (pytest.approx(0.0, abs=2e-3), pytest.approx(0.0, abs=2e-3))
    assert (row * seconds).sum() == pytest.approx(200e-9, rel=1e-3), "the area is the width's"
    np.testing.assert_allclose(col, -row, atol=1e-9)
    pulser.ch1.output("OFF")
    pulser.ch2.output("OFF")
    assert pulser.error() == (0, "No error")
    assert not any(terminal.on for name, terminal in bench.circuit.terminals.items() if name != "ground")


def test_what_does_not_fit_is_adjusted_and_said(pulser: Stock33622A) -> None:
    pulser.ch1.amplitude(8)
    assert pulser.error() == (0, "No error")
    pulser.ch1.offset(2)
    assert pulser.ch1.offset() == pytest.approx(1.0)
    assert pulser.error()[0] == -222
    pulser.ch1.function_type("PULS")
    pulser.ch1.frequency(1e6)
    assert pulser.ch1.pulse_width() == pytest.approx(1e-6 - 5e-9)
    assert [pulser.error()[0] for _ in range(3)] == [-221, -221, 0]


# --- B2201A -----------------------------------------------------------------------------------


def test_matrix_is_recognised_and_its_snapshot_is_the_reset_state(matrix: StockB2201) -> None:
    assert matrix.IDN() == {"vendor": "AGILENT", "model": "B2201A", "serial": "SIM02201", "firmware": "A.01.00"}
    told = {name: entry["value"] for name, entry in matrix.snapshot(update=True)["parameters"].items()}
    assert told["connections"] == set()
    assert (told["connection_rule"], told["connection_sequence"]) == ("free", "bbm")
    assert (told["bias_input_port"], told["bias_mode"], told["gnd_input_port"], told["gnd_mode"]) == (
        10,
        False,
        12,
        False,
    )
    assert (told["unused_inputs"], told["couple_ports"], told["couple_mode"]) == ([], [], False)


def test_matrix_connects_and_disconnects_without_a_warning(bench: Bench, matrix: StockB2201) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        matrix.connect(9, 1)
        matrix.connect_paths([(11, 9), (13, 48)])
        assert matrix.connections() == {(9, 1), (11, 9), (13, 48)}
        matrix.disconnect(13, 48)
        matrix.disconnect_paths([(11, 9)])
        assert matrix.connections() == {(9, 1)}
        assert bench.circuit.relays.closed == {(9, 1)}
        matrix.disconnect_all()
        assert matrix.connections() == set()
    assert matrix.get_error() == '0,"No error"'
    assert not bench.circuit.relays.hot


def test_matrix_settings_of_the_driver(matrix: StockB2201) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for sequence in ("none", "mbb", "bbm"):
            matrix.connection_sequence(sequence)
            assert matrix.connection_sequence() == sequence
        matrix.bias_input_port(4)
        matrix.gnd_input_port(-1)
        assert (matrix.bias_input_port(), matrix.gnd_input_port()) == (4, -1)
        matrix.unused_inputs([5, 6])
        matrix.couple_ports([1, 5])
        matrix.couple_mode(True)
        assert (matrix.unused_inputs(), matrix.couple_ports(), matrix.couple_mode()) == ([5, 6], [1, 5], True)
        matrix.connect(2, 8)
        assert matrix.connections() == {(1, 7), (2, 8)}
        matrix.disconnect_all()
        matrix.couple_mode(False)
        matrix.bias_disable_all_outputs()
        matrix.bias_enable_output(3)
        matrix.bias_enable_output(5)
        matrix.bias_disable_output(5)
        matrix.bias_mode(True)
        assert matrix.connections() == {(4, 3)}
        matrix.connect(7, 3)
        assert matrix.connections() == {(7, 3)}
        matrix.disconnect(7, 3)
        assert matrix.connections() == {(4, 3)}
        matrix.bias_mode(False)
        matrix.bias_enable_all_outputs()
        matrix.gnd_enable_all_outputs()
        matrix.gnd_disable_output(1)
        matrix.gnd_disable_all_outputs()
        matrix.gnd_enable_output(2)
        matrix.gnd_input_port(12)
        matrix.gnd_mode(True)
        assert matrix.connections() == {(12, 2)}
        matrix.gnd_mode(False)
        matrix.couple_port_autodetect()
        assert matrix.couple_ports() == []
    matrix.reset()
    matrix.get_status()
    assert matrix.connections() == set()


def test_matrix_errors_become_the_driver_s_warnings(matrix: StockB2201) -> None:
    matrix.bias_mode(True)
    with pytest.warns(UserWarning, match="value of STB was: 16"):
        matrix.connect(10, 1)
    assert matrix.get_error().startswith("-221,")
    with pytest.warns(UserWarning, match=r"existing connections are not released"):
        matrix.connection_rule("single")
    matrix.bias_mode(False)
    matrix.connect(1, 1)
    matrix.connect(1, 2)
    assert matrix.connections() == {(1, 2)}


def test_switching_under_voltage_is_seen(bench: Bench, pulser: Stock33622A, matrix: StockB2201) -> None:
    pulser.ch1.function_type("DC")
    pulser.ch1.offset(0.5)
    pulser.ch1.output("ON")
    assert pulser.error() == (0, "No error")
    matrix.connect(9, 1)
    assert bench.circuit.relays.hot == {(9, 1): 1}
    assert "hot switch of 9-1: pulser.1 at 1 V" in bench.log.texts()
