"""The simulated 2400 against the Series 2400 User's Manual (2400S-900-01): commands, lists, compliance, errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.resistor_bench import ResistorBench
from xbarlab.mockhw.instruments.keithley_2400.instrument import Keithley2400
from xbarlab.mockhw.instruments.keithley_2400.specs import AMPS, VOLTS


@pytest.fixture
def bench() -> Any:
    return ResistorBench(1e4, kind=Keithley2400)


LIST = (
    "*RST",
    ":SOUR:LIST:VOLT 0.1,-0.2,0.3",
    ":SOUR:VOLT:MODE LIST",
    ":TRIG:COUN 3",
    ":TRAC:POIN 3",
    ":TRAC:FEED SENS",
    ":TRAC:FEED:CONT NEXT",
    ":OUTP ON",
)


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (":SOUR:FUNC?", "VOLT"),
        (":SENS:FUNC?", '"CURR:DC"'),
        (':SENS:FUNC "VOLT";FUNC?', '"VOLT:DC","CURR:DC"'),
        (':SENS:FUNC:CONC OFF;:SENS:FUNC "VOLT";FUNC?', '"VOLT:DC"'),
        ("SENS:CURR:PROT?", "+1.050000E-04"),
        (":SENS:CURR:PROT 50E-3;PROT?", "+5.000000E-02"),
        (":SENS:CURR:RANG:AUTO:ULIM?", "+1.050000E-04"),
        ("SOUR:VOLT:PROT 110;PROT?", "+1.000000E+02"),
        ("SOUR:VOLT:PROT 3;PROT?", "+2.000000E+01"),
        ("SOUR:VOLT:PROT 170;PROT?", "+2.100000E+02"),
        (":OUTP?;:OUTP:SMOD?", "0;NORM"),
        (":FORM:ELEM?", "VOLT,CURR,RES,TIME,STAT"),
        (":FORM:ELEM STAT,VOLT;ELEM?", "VOLT,STAT"),
        ("SYST:LFR?", "50"),
        ("SYST:RCM MULT;RCM?", "MULT"),
        ("SOUR:LIST:VOLT 1,2;:SOUR:LIST:VOLT:APP 3;:SOUR:LIST:VOLT?", "+1.000000E+00,+2.000000E+00,+3.000000E+00"),
        ("TRAC:POIN 7;POIN?;:TRAC:POIN:ACT?", "7;0"),
        ("SENS:VOLT:NPLC 0.1;:SENS:CURR:NPLC?", "+1.000000E-01"),
    ],
)  # fmt: skip
def test_transcript(bench: Any, sent: str, answered: str) -> None:
    assert bench.ask(sent).startswith(answered)
    assert bench.error() == "0,No error"


@pytest.mark.parametrize(
    ("sent", "refused"),
    [
        ("READ?", "+803,Not permitted with OUTPUT off"),
        ("INIT", "+803,Not permitted with OUTPUT off"),
        ("SENS:CURR:RANG 1E-3", "+824,Cannot exceed compliance range"),
        ("SENS:CURR:PROT 1E-8", "+822,Too small for sense range"),
        ("TRAC:FEED:CONT NEXT;:TRAC:POIN 5", "+800,Illegal with storage active"),
        ("TRAC:POIN 2501", "-222,Data out of range"),
        ("TRIG:COUN 2000;:ARM:COUN 2", "-221,Settings conflict"),
        ("SOUR:VOLT:MODE LIST;:SOUR:VOLT 1", "-221,Settings conflict"),
        ("SOUR:VOLT:RANG 2;:SOUR:VOLT 5", "-222,Data out of range"),
        ("SOUR:VOLT 211", "-222,Data out of range"),
        (":NONS 1", "-113,Undefined header"),
        (f"SOUR:LIST:VOLT {','.join(['1'] * 101)}", "-108,Parameter not allowed"),
    ],
)
def test_refused(bench: Any, sent: str, refused: str) -> None:
    bench.ask(sent)
    assert bench.error() == refused


def test_a_list_takes_2500_values_in_hundreds(bench: Any) -> None:
    bench.ask(f"SOUR:LIST:VOLT {','.join(['0.1'] * 100)}")
    for _ in range(24):
        bench.ask(f"SOUR:LIST:VOLT:APP {','.join(['0.1'] * 100)}")
    assert bench.ask("SOUR:LIST:VOLT:POIN?") == "2500"
    bench.ask("SOUR:LIST:VOLT:APP 0.1")
    assert bench.error() == "-223,Too much data"


def test_a_list_sweep_goes_through_its_levels_and_stays_at_the_last(bench: Any) -> None:
    bench.ask(*LIST, ":FORM:ELEM VOLT,CURR", ':SENS:FUNC "VOLT"', ":INIT")
    found = np.array(bench.numbers(":TRAC:DATA?")).reshape(3, 2)
    np.testing.assert_allclose(found[:, 0], [0.1, -0.2, 0.3], atol=2e-3)
    np.testing.assert_allclose(found[:, 1], found[:, 0] / 1e4, rtol=0.02, atol=3e-8)
    assert bench.ask("OUTP?") == "1"
    assert bench.smu.terminal.volts == pytest.approx(0.3, abs=2e-3)
    assert bench.ask("TRAC:FEED:CONT?") == "NEV"


def test_out_of_idle_commands_are_put_off_and_an_abort_is_not(bench: Any) -> None:
    bench.ask(*LIST, ":SOUR:DEL 1", ":INIT", ":SOUR:VOLT:MODE FIX")
    assert bench.smu.busy
    assert bench.smu.settings.source["VOLT"].mode == "LIST"
    start = bench.clock.now
    assert bench.ask("TRAC:POIN:ACT?") == "3"
    assert bench.clock.now - start > 2.9
    assert bench.smu.settings.source["VOLT"].mode == "FIX"
    bench.ask(*LIST, ":SOUR:DEL 1", ":INIT")
    before = bench.clock.now
    bench.ask("ABOR")
    assert (bench.smu.busy, bench.clock.now) == (False, before)
    assert bench.smu.terminal.on
    assert bench.error() == "0,No error"


def test_compliance_clamps_and_tells_in_the_status_word(bench: Any) -> None:
    bench.ask("SENS:CURR:PROT 1E-5", "SOUR:VOLT 1", "OUTP ON", ":FORM:ELEM CURR,STAT")
    amps, status = bench.numbers("READ?")
    assert amps == pytest.approx(1e-5, rel=5e-3)
    assert int(status) & 1 << 3
    assert bench.ask("SENS:CURR:PROT:TRIP?") == "1"
    bench.ask("SOUR:VOLT 0.05")
    assert not int(bench.numbers("READ?")[1]) & (1 << 3 | 1 << 16)
    assert bench.ask("SENS:CURR:PROT:TRIP?") == "0"


def test_a_fixed_range_below_the_limit_clamps_at_its_end(bench: Any) -> None:
    bench.ask("SENS:CURR:PROT 1E-4", "SENS:CURR:RANG 1E-5", "SOUR:VOLT 1", "OUTP ON", ":FORM:ELEM CURR,STAT")
    amps, status = bench.numbers("READ?")
    assert amps == pytest.approx(1.05e-5, rel=5e-3)
    assert (int(status) & 1 << 3, int(status) & 1 << 16) == (0, 1 << 16)


def test_off_is_zero_volts_with_little_current_or_nothing_at_all(bench: Any) -> None:
    bench.ask("SOUR:VOLT 1", "OUTP ON", "OUTP OFF")
    terminal = bench.smu.terminal
    assert (terminal.on, terminal.volts, terminal.limit) == (True, 0.0, pytest.approx(0.5e-6))
    bench.ask("OUTP:SMOD HIMP")
    assert not terminal.on


def test_readings_are_within_the_datasheet(bench: Any) -> None:
    for seed in range(5):
        fresh = ResistorBench(1e4, kind=Keithley2400, seed=seed)
        fresh.ask("SOUR:VOLT:RANG 2", "SOUR:VOLT 0.5", "SENS:CURR:PROT 1E-3", ':SENS:FUNC "VOLT"', "OUTP ON")
        fresh.ask("FORM:ELEM VOLT,CURR")
        volts, amps = fresh.numbers("READ?")
        true = fresh.smu.terminal.volts
        on = VOLTS[1]
        assert abs(true - 0.5) <= on.source_gain * 0.5 + on.source_offset
        assert abs(volts - true) <= on.gain * true + on.offset
        ammeter = next(each for each in AMPS if true / 1e4 <= each.top)
        assert abs(amps - true / 1e4) <= ammeter.gain * true / 1e4 + ammeter.offset


def test_what_a_reading_takes(bench: Any) -> None:
    bench.ask("SYST:AZER OFF", "SOUR:DEL 0", "SENS:CURR:RANG:AUTO OFF", "SENS:CURR:NPLC 1", "OUTP ON")
    start = bench.clock.now
    bench.ask("READ?")
    assert bench.clock.now - start == pytest.approx(20.8e-3)


def test_two_instruments_live_in_one_order_of_time() -> None:
    bench = ResistorBench(1e4, smus=2, kind=Keithley2400)
    bench.ask("OUTP ON", "SENS:CURR:PROT 1E-3", smu=bench.other)
    bench.ask("SENS:CURR:PROT 1E-3", "SOUR:VOLT 0.5", "OUTP ON", smu=bench.smu)
    bench.ask("FORM:ELEM CURR", smu=bench.smu)
    bench.ask("FORM:ELEM CURR", smu=bench.other)
    out, back = float(bench.ask("READ?")), float(bench.ask("READ?", smu=bench.other))
    assert out == pytest.approx(-back, rel=5e-3)
