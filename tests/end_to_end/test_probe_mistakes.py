"""What goes wrong at a probe station, and what it costs: by hand on the simulated instruments, never through ours.

The first half is a person with a terminal who forgets something; the second watches every message of our drivers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvisa

from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.front_ends.visa_library import XbarlabVisaLibrary
from xbarlab.mockhw.passive_chip.chip import PassiveChip
from xbarlab.mockhw.probe_circuit.circuit import ProbeCircuit
from xbarlab.runbooks.runner.runner import run_runbook
from xbarlab.runbooks.stations import find_bench, mock_bench

BENCH = "mock_tio2"
NAMES = ("row_smu", "column_smu", "pulser", "matrix")
ADDRESS = {name: f"TCPIP0::127.0.0.1::{port}::SOCKET" for name, port in zip(NAMES, range(5031, 5035), strict=True)}
CELL = "00101,00209"  # the units on row 0 and column 0
PULSED = "00901,01009"  # the generator's channels on the same
GROUNDED = ",".join(f"012{line:02d}" for line in range(1, 17) if line not in (1, 9))
HEALTHY, SHORT = 0, 3


@dataclass
class ByHand:
    """The instruments on four terminals, straight after power-on, and the mock behind them."""

    mock: MockBench
    row: Any
    column: Any
    generator: Any
    matrix: Any

    @property
    def chip(self) -> PassiveChip:
        assert isinstance(self.mock.chip, PassiveChip)
        return self.mock.chip

    @property
    def circuit(self) -> ProbeCircuit:
        assert self.mock.circuit is not None
        return self.mock.circuit

    def close(self, *channels: str) -> None:
        self.matrix.write(f"ROUT:CLOS (@{','.join(channels)})")
        assert self.matrix.query("*OPC?").strip("+") == "1"
        assert self.matrix.query("SYST:ERR?").startswith(("0,", "+0,"))

    def truth(self, name: str) -> float:
        return float(self.chip.truth()[name][0, 0])


@pytest.fixture
def hands() -> Iterator[ByHand]:
    path = find_bench(BENCH)
    mock = fresh_bench(path, seed=1)
    manager = pyvisa.ResourceManager(f"{path}@xbarlab")
    yield ByHand(
        mock,
        *(manager.open_resource(ADDRESS[name], read_termination="\n", write_termination="\n") for name in NAMES),
    )
    manager.close()


# --- a relay under voltage --------------------------------------------------------------------------------------------


def source_on(unit: Any, volts: float, limit: float) -> None:
    unit.write("*RST")
    unit.write(f"SOUR:FUNC VOLT;:SOUR:VOLT:ILIM {limit};:SOUR:VOLT {volts};:SENS:FUNC 'CURR'")
    unit.write("OUTP ON")
    assert unit.query("SYST:ERR?").startswith("0,")


def test_a_relay_switched_under_voltage_wears_and_in_the_end_stays_closed(hands: ByHand) -> None:
    source_on(hands.row, 2.0, 1e-3)
    relay = (1, 1)
    relays = hands.circuit.relays
    hands.close("00101")
    assert "hot switch of 1-1: row_smu at 2 V" in hands.mock.log.texts()
    assert relays.hot == {relay: 1}
    for _ in range(12):
        hands.matrix.write("ROUT:OPEN (@00101)")
        hands.close("00101")
    assert "relay 1-1 has welded" in hands.mock.log.texts()
    assert relays.hot[relay] < relays.LIFE / relays.HOT_WEAR + 13
    hands.matrix.write("ROUT:OPEN:CARD ALL")
    assert hands.matrix.query("ROUT:CLOS? (@00101)").strip("+") == "0", "the instrument believes it is open"
    assert relays.closed == {relay}


def test_what_a_welded_relay_does_to_the_next_measurement(hands: ByHand) -> None:
    """Nobody asked for it, but the row is on the source: its cells see the voltage meant for another row."""
    source_on(hands.row, 2.0, 1e-3)
    for _ in range(12):
        hands.close("00101")
        hands.matrix.write("ROUT:OPEN (@00101)")
    hands.row.write("SOUR:VOLT 0;:OUTP OFF")
    hands.close("00102", "01209")  # now row 1 against a grounded column 0
    source_on(hands.row, 0.2, 1e-3)
    volts = hands.circuit.present().cell_volts
    assert volts[1, 0] == pytest.approx(0.2, rel=0.02)
    assert volts[0, 0] == pytest.approx(0.2, rel=0.02)


def test_the_same_relay_without_voltage_comes_to_no_harm(hands: ByHand) -> None:
    hands.row.write("*RST")
    for _ in range(12):
        hands.close("00101")
        hands.matrix.write("ROUT:OPEN (@00101)")
    assert hands.matrix.query("*OPC?").strip("+") == "1"
    assert hands.circuit.relays.hot == {}
    assert hands.circuit.relays.closed == set()
    assert not any("hot" in text or "weld" in text for text in hands.mock.log.texts())


# --- no compliance ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("limit", "survives"), [(1.0, False), (500e-6, True)])
def test_a_set_without_compliance_breaks_the_cell(hands: ByHand, limit: float, survives: bool) -> None:
    hands.chip.assume_formed(0.0)
    hands.close(CELL)
    source_on(hands.column, 0.0, 1.0)
    source_on(hands.row, 0.0, limit)
    hands.row.write("SOUR:VOLT 2.5")
    amps = float(hands.row.query("READ?"))
    hands.row.write("SOUR:VOLT 0;:OUTP OFF")
    assert hands.row.query("SYST:ERR?").startswith("0,"), "the instrument sees nothing wrong"
    if survives:
        assert amps == pytest.approx(limit, rel=1e-3)
        assert hands.truth("kind") == HEALTHY
        assert hands.truth("stress") < 0.01
        assert hands.truth("conductance") > 300e-6, "and it did SET"
    else:
        assert amps > 5e-3
        assert hands.truth("kind") == SHORT
        assert hands.truth("conductance") > 3e-3


# --- the wrong load ---------------------------------------------------------------------------------------------------


def pulse_by_hand(hands: ByHand, volts: float, *, count: int, high_impedance: bool) -> float:
    """±volts/2 for 200 ns as the manual has it; return what the cell saw [V]."""
    generator = hands.generator
    seen: list[float] = []
    play = hands.chip.play

    def played(bias: Any, levels: np.ndarray, seconds: np.ndarray, repeats: int = 1) -> None:
        seen.append(float(np.ptp(levels, axis=1).max()))
        play(bias, levels, seconds, repeats)

    hands.chip.play = played
    generator.write("*RST")
    for channel in (1, 2):
        if high_impedance:
            generator.write(f"OUTP{channel}:LOAD INF")
        for setting in (
            "FUNC PULS",
            "FUNC:PULS:TRAN MIN",
            "FUNC:PULS:WIDT MIN",
            "FUNC:PULS:PER 1.2E-6",
            "FUNC:PULS:WIDT 200E-9",
            "FUNC:PULS:TRAN 1E-8",
            f"BURS:NCYC {count}",
            "BURS:MODE TRIG",
            "BURS:STAT ON",
        ):
            generator.write(f"SOUR{channel}:{setting}")
        generator.write(f"TRIG{channel}:SOUR BUS")
    generator.write(f"SOUR1:VOLT:HIGH {volts / 2};LOW 0")
    generator.write(f"SOUR2:VOLT:LOW {-volts / 2};HIGH 0;:OUTP2:POL INV")
    assert float(generator.query("SOUR1:VOLT:HIGH?")) == pytest.approx(volts / 2), "it shows what was asked for"
    generator.write("PHAS:SYNC;:OUTP1 ON;:OUTP2 ON")
    generator.write("*TRG")
    assert generator.query("*OPC?").strip("+") == "1"
    assert generator.query("SYST:ERR?").startswith("+0,")
    generator.write("OUTP1 OFF;:OUTP2 OFF")
    del hands.chip.play
    return max(seen)


@pytest.mark.parametrize("high_impedance", [True, False])
def test_a_generator_left_at_50_ohms_gives_twice_the_volts_and_forms_a_virgin_cell(
    hands: ByHand, high_impedance: bool
) -> None:
    hands.close(PULSED, GROUNDED)
    volts = pulse_by_hand(hands, 1.6, count=1, high_impedance=high_impedance)
    assert volts == pytest.approx(1.6 if high_impedance else 3.2, rel=0.01)
    assert hands.truth("formed") == (not high_impedance)
    assert (hands.truth("conductance") > 100e-6) == (not high_impedance)


@pytest.mark.parametrize("high_impedance", [True, False])
def test_a_train_meant_to_potentiate_breaks_the_cell_when_left_at_50_ohms(hands: ByHand, high_impedance: bool) -> None:
    hands.chip.assume_formed(0.0)
    before = hands.truth("conductance")
    hands.close(PULSED, GROUNDED)
    pulse_by_hand(hands, 1.6, count=100, high_impedance=high_impedance)
    if high_impedance:
        assert hands.truth("kind") == HEALTHY
        assert 1.5 < hands.truth("conductance") / before < 10.0
    else:
        assert hands.truth("kind") == SHORT


# --- what our drivers send --------------------------------------------------------------------------------------------

_UNKNOWN, _OFF, _ON = "unknown", "off", "on"
_CLOSE_OR_OPEN = re.compile(r"ROUT(?:E)?:(?:CLOS(?:E)?|OPEN)(?::CARD|:LIST)?\b(?!.*\?)")


@dataclass
class Watch:
    """Reads every message on the wire and says which rule it breaks. Knows the manuals, not the drivers."""

    outputs: dict[str, str] = field(default_factory=dict)
    limited: dict[str, bool] = field(default_factory=dict)
    loads: dict[int, bool] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.outputs = dict.fromkeys(("row_smu", "column_smu", "pulser 1", "pulser 2"), _UNKNOWN)
        self.limited = dict.fromkeys(("row_smu", "column_smu"), False)
        self.loads = {1: False, 2: False}

    def hear(self, name: str, message: str) -> None:
        for unit in message.split(";"):
            text = unit.strip().lstrip(":").upper()
            if text:
                (self._matrix if name == "matrix" else self._generator if name == "pulser" else self._unit)(name, text)

    def _count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    def _unit(self, name: str, text: str) -> None:
        header, _, argument = text.partition(" ")
        if header == "*RST":
            self.outputs[name], self.limited[name] = _OFF, False
        elif header in {"SOUR:VOLT:ILIM", "SOUR:VOLT:ILIM:LEV", "SOURCE:VOLTAGE:ILIMIT"}:
            self.limited[name] = True
        elif header in {"OUTP", "OUTP:STAT", "OUTPUT", "OUTPUT:STATE"}:
            on = argument.strip() in {"ON", "1"}
            if on:
                self._count("unit on")
                if not self.limited[name]:
                    self.complaints.append(f"{name} switched on without a limit")
            self.outputs[name] = _ON if on else _OFF

    def _generator(self, name: str, text: str) -> None:
        header, _, argument = text.partition(" ")
        if header == "*RST":
            for channel in (1, 2):
                self.outputs[f"pulser {channel}"], self.loads[channel] = _OFF, False
            return
        match = re.fullmatch(r"OUTP(?:UT)?([12]?)(?::STAT(?:E)?)?", header)
        if match is not None:
            channel = int(match[1] or 1)
            on = argument.strip() in {"ON", "1"}
            if on:
                self._count("channel on")
                if not self.loads[channel]:
                    self.complaints.append(f"channel {channel} switched on for another load than an open circuit")
            self.outputs[f"pulser {channel}"] = _ON if on else _OFF
        match = re.fullmatch(r"OUTP(?:UT)?([12]?):LOAD", header)
        if match is not None:
            self.loads[int(match[1] or 1)] = argument.strip() in {"INF", "INFINITY"}

    def _matrix(self, name: str, text: str) -> None:
        if text == "*RST" or _CLOSE_OR_OPEN.match(text):
            self._count("relays")
            live = [source for source, state in self.outputs.items() if state != _OFF]
            if live:
                self.complaints.append(f"{text[:40]} while {', '.join(live)} may be on")


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """Every message in process, at the lowest door there is: PyVISA's own write."""
    made = Watch()
    name_of = {address: name for name, address in ADDRESS.items()}
    pending: dict[str, bytes] = dict.fromkeys(NAMES, b"")
    write = XbarlabVisaLibrary.write

    def recorded(self: Any, session: Any, data: bytes) -> Any:
        name = name_of[self._sessions[session].instrument.address]
        *messages, pending[name] = (pending[name] + bytes(data)).split(b"\n")
        for message in messages:
            made.hear(name, message.decode("ascii"))
        return write(self, session, data)

    monkeypatch.setattr(XbarlabVisaLibrary, "write", recorded)
    return made


OFF_ALL = [("row_smu", "*RST"), ("column_smu", "*RST"), ("pulser", "*RST")]


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([("row_smu", "OUTP ON")], "row_smu switched on without a limit"),
        ([("row_smu", "SOUR:VOLT:ILIM 1e-3"), ("row_smu", "*RST;:OUTP ON")], "row_smu switched on without a limit"),
        ([("column_smu", "SOUR:VOLT:ILIM 1e-3;:OUTP ON"), ("matrix", "ROUT:CLOS (@00101)")], "while column_smu"),
        ([("pulser", "OUTP1:LOAD INF;:OUTP1 ON"), ("matrix", "*OPC?;:ROUT:OPEN:CARD 0")], "while pulser 1"),
        ([("pulser", "OUTP1:LOAD INF;:OUTP2 ON")], "channel 2 switched on"),
        ([("pulser", "OUTP1:LOAD INF;:OUTP1:LOAD 50;:OUTP1 ON")], "channel 1 switched on"),
    ],
)
def test_the_watch_notices_each_mistake(messages: list[tuple[str, str]], complaint: str) -> None:
    watch = Watch()
    for name, message in OFF_ALL + messages:
        watch.hear(name, message)
    assert len(watch.complaints) == 1
    assert complaint in watch.complaints[0]


def test_the_watch_trusts_no_output_it_has_not_seen_go_off() -> None:
    watch = Watch()
    watch.hear("matrix", "ROUT:OPEN:CARD ALL")
    assert "may be on" in watch.complaints[0]


def test_the_watch_hears_a_person_at_the_terminal(watch: Watch, hands: ByHand) -> None:
    """It is the same door: what is forgotten by hand is noticed there."""
    hands.row.write("*RST")
    hands.row.write("OUTP ON")
    hands.matrix.write("ROUT:CLOS (@00101)")
    assert "row_smu switched on without a limit" in watch.complaints
    assert any("ROUT:CLOS (@00101) while row_smu" in complaint for complaint in watch.complaints)


EVERYTHING = """---
title: Every protocol
station: mock_tio2
steps:
  - {id: read, read_array: {cells: "0:2,:"}}
  - {id: ramp, forming: {cells: "0,0", method: ramp, start_volts: 1.6, stop_volts: 2.4, compliance: 100e-6,
                         formed_above: 30e-6, virgin_below: 5e-6, short_above: 3e-3, set_volts: 1.8, reset_volts: 2.0,
                         switch_width: 200e-9, attempts: 8, park_volts: 1.6, off_below: 120e-6}}
  - {id: form, forming: {cells: "0:2,0:2", one_by_one: true, start_volts: 2.2, stop_volts: 4.0, width: 200e-9,
                         formed_above: 30e-6, virgin_below: 5e-6, short_above: 3e-3, set_volts: 2.0, reset_volts: 2.0,
                         switch_width: 200e-9, attempts: 8, park_volts: 1.6, off_below: 120e-6}}
  - {id: yield, yield_map: {cells: "0:2,0:2", set_volts: 2.0, reset_volts: 2.2, width: 200e-9}}
  - {id: iv, dc_sweep: {cells: "0,0", positive: 1.4, negative: -1.6, step: 0.1, cycles: 1, compliance: 650e-6,
                        reset_compliance: 2e-3}}
  - {id: alone, dc_sweep: {cells: "0,1", positive: 0.6, negative: -0.6, step: 0.05, cycles: 1, scheme: float}}
  - {id: pulses, pulse_response: {cells: "1,1", set_volts: 1.6, reset_volts: 1.7, pulses: 8, cycles: 1, read_every: 2}}
  - {id: schemes, read_schemes: {cells: "0,0"}}
  - {id: disturb, half_select_disturb: {cells: "0,0", pulses: 10, average: 1}}
  - {id: program, read_verify: {cells: "0:2,0:2", levels: {count: 3, low: 150e-6, high: 450e-6}, width: 200e-9,
                                set: {volts: [1.0, 2.0], gate: [0, 0]}, reset: {volts: [1.0, 2.2], gate: [0, 0]},
                                reread_after: 1}}
---
One of each.
"""


@pytest.mark.slow
def test_no_mistake_can_be_made_through_the_protocols(watch: Watch, tmp_path: Path) -> None:
    book = tmp_path / "everything.md"
    book.write_text(EVERYTHING, encoding="utf-8")
    outcome = run_runbook(book, out=tmp_path / "out", seed=1, quiet=True)
    assert outcome.summary["steps_done"] == 10
    assert watch.complaints == []
    assert watch.counts["relays"] > 200
    assert watch.counts["unit on"] > 200
    assert watch.counts["channel on"] > 200
    assert set(watch.outputs.values()) == {_OFF}
    mock = mock_bench(find_bench(BENCH))
    assert mock.circuit is not None
    texts = mock.log.texts()
    assert 0 < len(texts) < 20_000, "and none was forgotten"
    assert not [text for text in texts if "hot switch" in text or "tied together" in text or "weld" in text]
    assert mock.circuit.relays.hot == {}
    assert mock.circuit.relays.closed == set()
    assert mock.chip.truth()["kind"].max() in {0, 2}, "stuck cells it was made with; none was broken"
