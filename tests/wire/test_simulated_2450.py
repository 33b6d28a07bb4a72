"""Transcripts for the simulated Keithley 2450, typed as its Reference Manual has them; the chip is a resistor."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import pytest

from support import resistor_bench
from xbarlab.mockhw.instrument import advance_to
from xbarlab.mockhw.instruments.keithley_2450.specs import AMPS, OVERFLOW, VOLTS


def make_bench(ohms: float = 1e4, **options: Any) -> Any:
    return resistor_bench.ResistorBench(ohms, **options)


@pytest.fixture
def bench() -> Any:
    return make_bench()


FAST = (
    "SENS:CURR:NPLC 0.01",
    "SENS:CURR:AZER OFF",
    "SENS:CURR:RANG 1e-3",
    "SOUR:VOLT:READ:BACK OFF",
    "SOUR:VOLT:DEL 0",
)
FAST_READING = 0.01 / 50.0 + 150e-6
NO_ERROR = '0,"No error;0;0 0"'


# --- a session by hand ----------------------------------------------------------------------------

TRANSCRIPTS = [
    ("*IDN?", "KEITHLEY INSTRUMENTS,MODEL 2450,04123450,1.7.12b"),
    ("*idn?", "KEITHLEY INSTRUMENTS,MODEL 2450,04123450,1.7.12b"),
    ("*LANG?", "SCPI"),
    ("*TST?", "0"),
    ("*RST;*OPC?", "1"),
    (":SYST:ERR?", NO_ERROR),
    (":SYSTem:ERRor:NEXT?", NO_ERROR),
    ("SYST:ERR:COUN?", "0"),
    ("SYST:LFR?", "50"),
    (":SOUR:FUNC VOLT;:SOUR:FUNC?", "VOLT"),
    (":SOURce1:FUNCtion:MODE CURRent;:SOUR1:FUNC?", "CURR"),
    ('SENS:FUNC "CURR";FUNC?', '"CURR:DC"'),
    (":SENSe1:FUNCtion:ON 'VOLTage:DC';:SENS:FUNC?", '"VOLT:DC"'),
    ('FUNC "RES";FUNC?', '"RES"'),
    ("SOUR:VOLT 1;:SOUR:VOLT?", "1"),
    (":SOURce1:VOLTage:LEVel:IMMediate:AMPLitude 250e-3;:SOUR:VOLT:LEV:IMM:AMPL?", "0.25"),
    (":sour:volt:ampl -1.5;:sour:volt?", "-1.5"),
    ("SOUR:VOLT? MAX;:SOUR:VOLT? DEF;:SOUR:CURR? MIN", "210;0;-1.05"),
    (":SOUR:VOLT:RANG?;RANG:AUTO?", "0.02;1"),
    (":SOUR:VOLT 3;:SOUR:VOLT:RANG?", "20"),
    (":SOUR:VOLT:RANG 3;:SOUR:VOLT:RANG?;RANG:AUTO?", "20;0"),
    (":SOURce:VOLTage:RANGe:AUTO ON;:SOUR:VOLT:RANG:AUTO?", "1"),
    (":SOUR:VOLT:ILIM?;:SOUR:CURR:VLIM?", "0.000105;21"),
    (":SOURce:VOLTage:ILIMit:LEVel 1e-3;:SOUR:VOLT:ILIM?;ILIM:TRIP?", "0.001;0"),
    (":SOUR:CURR:VLIM 15;:SOURce:CURRent:VLIMit?", "15"),
    ("SOUR:VOLT:PROT PROT40;:SOUR:VOLT:PROT?", "PROT40"),
    (":SOUR:VOLT:DEL:AUTO?;:SOUR:VOLT:DEL?", "1;0.001"),
    (":SOUR:VOLT:DEL 0.25;:SOUR:VOLT:DEL?;DEL:AUTO?", "0.25;0"),
    (":SOUR:VOLT:DEL:USER3 2;:SOUR1:VOLT:DEL:USER3?;:SOUR:VOLT:DEL:USER?", "2;0"),
    (":SOUR:VOLT:READ:BACK?;:SOUR:VOLT:READ:BACK OFF;BACK?", "1;0"),
    (":SOUR:VOLT:HIGH:CAP ON;:SOUR:VOLT:HIGH:CAP?", "1"),
    (":SENS:CURR:NPLC?;NPLC 0.1;NPLC?;:CURR:DC:NPLCycles?", "1;0.1;0.1"),
    (":SENS:CURR:RANG?;RANG:AUTO?", "0.0001;1"),
    ("SENS:CURR:RANG 0.05;RANG?;RANG:AUTO?", "0.1;0"),
    (":SENSe1:CURRent:DC:RANGe:UPPer? DEF;:VOLT:RANG? MAX;:RES:RANG? MIN", "0.0001;200;20"),
    (":CURR:RANG:AUTO:LLIM 1e-6;LLIM?;ULIM?", "1e-06;1"),
    (":SENS:CURR:AZER?;AZER OFF;AZER?;:SENS:AZER:ONCE", "1;0"),
    (":SENS:CURR:RSEN?;RSEN ON;RSEN?", "0;1"),
    ("COUNT 100;COUNT?;:SENS:COUN?", "100;100"),
    ("OUTP?;OUTP ON;OUTP?;:OUTPut1:STATe OFF;STATe?", "0;1;0"),
    ("OUTP:SMOD?;:OUTP:VOLT:SMOD HIMP;:OUTP:VOLT:SMOD?;:OUTP:CURR:SMOD?", "NORM;HIMP;NORM"),
    ("ROUT:TERM?;TERM rear;TERM?", "FRON;REAR"),
    ("FORM?;:FORMat:DATA SREal;DATA?;:FORM:BORD?;:FORM:ASC:PREC?", "ASC;SRE;SWAP;0"),
    ('TRAC:POIN?;ACT?;:TRAC:POIN? "defbuffer2"', "100000;0;100000"),
    ("TRACe:MAKE \"MyBuffer\", 100;POIN? 'MyBuffer';FILL:MODE? \"MyBuffer\";:TRAC:DEL \"MyBuffer\"", "100;ONCE"),
    ("TRAC:MAKE 'MyBuffer', 100, ;POIN? 'MyBuffer'", "100"),
    ("SOUR:LIST:VOLT 1, 5, 1, 5;:SOUR:LIST:VOLT:APP 2;:SOUR:LIST:VOLT:POIN?;:SOUR:LIST:VOLT?", "5;1,5,1,5,2"),
    (":TRIG:STAT?", "EMPTY;EMPTY;0"),
    (':TRIG:LOAD "SimpleLoop", 10, 0.1;STAT?;:TRIG:LOAD "Empty";STAT?', "BUILDING;BUILDING;0;EMPTY;EMPTY;0"),
    (":DISP:CLE;:DISP:USER1:TEXT \"hello\";:SYST:BEEP 500, 1;:SYST:ACC?", "FULL"),
    ("STAT:OPER:COND?;:STAT:QUES:ENAB?;:STAT:CLE;*ESR?", "0;0;0"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "answered"), TRANSCRIPTS, ids=[s[:40] for s, _ in TRANSCRIPTS])
def test_transcript(bench: Any, sent: str, answered: str) -> None:
    assert bench.ask(sent) == answered
    assert bench.ask("SYST:ERR?") == NO_ERROR


def test_a_session_typed_from_the_manual(bench: Any) -> None:
    assert "MODEL 2450" in bench.ask("*IDN?")
    for line in (
        "*RST",
        'SENS:FUNC "CURR"',
        "SENS:CURR:RANG:AUTO ON",
        "SENS:CURR:RSEN OFF",
        "SOUR:FUNC VOLT",
        "SOUR:VOLT:RANG 20",
        "SOUR:VOLT:ILIM 1",
        "SOUR:LIST:VOLT 1, 5, 1, 5, 1, 5",
        "SOUR:LIST:VOLT:APP 1, 5, 1, 5, 1, 5",
        "SOUR:SWE:VOLT:LIST 1, 0.2",
        "INIT",
        "*WAI",
    ):
        assert bench.ask(line) == ""
    values = np.array(bench.numbers('TRAC:DATA? 1, 12, "defbuffer1", SOUR, READ')).reshape(12, 2)
    np.testing.assert_allclose(values[:, 0], [1.0, 5.0] * 6, atol=6e-3)
    np.testing.assert_allclose(values[:, 1], values[:, 0] / 1e4, atol=2e-6)
    assert bench.ask("OUTP?;:TRIG:STAT?;:SYST:ERR?") == f"0;IDLE;IDLE;9;{NO_ERROR}"


def test_the_same_in_short_and_long_forms() -> None:
    short = make_bench().ask("SOUR:VOLT 0.5;VOLT:ILIM 1E-3;:OUTP ON;:READ?;:TRAC:DATA? 1,1,'defbuffer1',SOUR;:OUTP OFF")
    long = make_bench().ask(
        ":SOURce1:VOLTage:LEVel 0.5;ILIMit 1E-3;:OUTPut1:STATe ON;:READ?;"
        ':TRACe:DATA? 1, 1, "defbuffer1", SOURce;:OUTPut:STATe OFF'
    )
    assert short == long
    assert len(short.split(";")) == 2


# --- errors ---------------------------------------------------------------------------------------

REFUSED = [
    ("FOO", "-113,Undefined header"),
    ("SOURC:VOLT 1", "-113,Undefined header"),
    ("SOUR2:VOLT 1", "-113,Undefined header"),
    ("SOUR:VOLT", "-109,Missing parameter"),
    ("SOUR:VOLT 1,2", "-108,Parameter not allowed"),
    ("SOUR:VOLT much", "-104,Data type error"),
    ("SOUR:VOLT nan", "-222,Parameter data out of range"),
    ("SOUR:VOLT 211", "-222,Parameter data out of range"),
    ("SOUR:VOLT:RANG 2;:SOUR:VOLT 3", "-222,Parameter data out of range"),
    ("SOUR:VOLT 3;:SOUR:VOLT:RANG 2", "-221,Settings conflict"),
    ("SOUR:VOLT:ILIM 2", "-222,Parameter data out of range"),
    ("SOUR:VOLT:RANG 200;:SOUR:VOLT:ILIM 0.5", "-221,Settings conflict"),
    ("SOUR:VOLT:DEL:USER6 1", "-114,Header suffix out of range"),
    ("SENS:CURR:NPLC 20", "-222,Parameter data out of range"),
    ("SENS:FUNC CURR", "-104,Data type error"),
    ('SENS:FUNC "POW"', "-224,Illegal parameter value"),
    ("OUTP 2", "-224,Illegal parameter value"),
    ('TRAC:DATA? 1, 1, "defbuffer1"', "-222,Parameter data out of range"),
    ('TRAC:DATA? 1, 1, "nobuffer"', "1115,Parameter error: reading buffer nobuffer does not exist"),
    ('TRAC:DATA? 1, 1, "defbuffer1", COLOR', "1133,Parameter 4, Syntax error, expected valid name parameters"),
    ('TRAC:MAKE "a", 5', "-222,Parameter data out of range"),
    (
        'TRAC:MAKE "a", 50;MAKE "a", 50',
        "1115,Parameter error: TRACe:MAKE cannot take an existing reading buffer name",
    ),
    ("FETC?", "-230,Data corrupt or stale"),
    ("INIT", "-221,Settings conflict"),
    ("SOUR:LIST:VOLT " + ",".join(["1"] * 101), "-108,Parameter not allowed"),
    ("SOUR:SWE:VOLT:LIST 1", "2790,Configuration list, error, does not exist"),
    ("SOUR:LIST:VOLT 1,2;:SOUR:SWE:VOLT:LIST 3", "-222,Parameter data out of range"),
    ("SOUR:SWE:VOLT:LIN 0, 1, 1", "-222,Parameter data out of range"),
    ("SOUR:SWE:VOLT:LIN 0, 1, 11, 1e-6", "-222,Parameter data out of range"),
    ("SOUR:SWE:CURR:LIN 0, 1e-3, 11", "-221,Settings conflict"),
    ("SOUR:SWE:VOLT:LOG -1, 1, 11", "-221,Settings conflict"),
]


@pytest.mark.parametrize(("sent", "refused"), REFUSED, ids=[s[:40] for s, _ in REFUSED])
def test_refused(bench: Any, sent: str, refused: str) -> None:
    assert bench.ask(sent) == ""
    assert bench.error() == refused
    assert bench.ask("SYST:ERR?") == NO_ERROR


def test_errors_carry_type_and_time(bench: Any) -> None:
    bench.clock.advance(3661.25)
    assert bench.ask("FOO;:SYST:ERR?") == '-113,"Undefined header;1;2026/01/01 01:01:01.250"'
    assert bench.ask("FOO;:SYST:ERR:CODE?;*ESR?") == "-113;160"
    bench.ask("FOO;FOO;*CLS")
    assert bench.ask("SYST:ERR:COUN?") == "0"
    bench.ask("FOO;:SYST:CLE")
    assert bench.ask("SYST:ERR?") == NO_ERROR


def test_a_list_takes_2500_values_in_hundreds(bench: Any) -> None:
    hundred = ",".join(["0.1"] * 100)
    bench.ask(f"SOUR:LIST:VOLT:APP {hundred}")
    for _ in range(24):
        bench.ask(f"SOUR:LIST:VOLT:APP {hundred}")
    assert bench.ask("SOUR:LIST:VOLT:POIN?;:SYST:ERR?") == f"2500;{NO_ERROR}"
    bench.ask("SOUR:LIST:VOLT:APP 1")
    assert bench.error() == "-222,Parameter data out of range"
    assert bench.ask("SOUR:LIST:VOLT 1;VOLT:POIN?") == "1"


# --- readings -------------------------------------------------------------------------------------


def test_readings_are_within_the_datasheet(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.9;:OUTP ON")
    reading, volts = bench.numbers('READ? "defbuffer1", READ, SOUR')
    on, source = AMPS[4], VOLTS[2]
    assert bench.ask("SENS:CURR:RANG?;:SOUR:VOLT:RANG?") == "0.0001;2"
    sourced = bench.circuit.terminals["smu"].volts
    assert abs(sourced - 0.9) <= source.source_gain * 0.9 + source.source_offset
    assert abs(volts - sourced) <= source.gain * 0.9 + source.offset + 5 * source.noise
    assert abs(reading - sourced / 1e4) <= on.gain * 90e-6 + on.offset + 5 * on.noise
    assert bench.numbers("MEAS:RES?") == pytest.approx([1e4], rel=3e-3)
    assert bench.numbers("MEAS:VOLT? 'defbuffer1'") == pytest.approx([0.9], abs=1e-3)


def test_a_unit_has_errors_of_its_own_and_the_same_seed_the_same_numbers() -> None:
    typed = ("SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.9;:OUTP ON", "READ?")
    assert make_bench(seed=1).ask(*typed) == make_bench(seed=1).ask(*typed)
    units = [float(make_bench(seed=seed).ask(*typed)) for seed in range(20)]
    assert np.std(units) > 1e-9
    np.testing.assert_allclose(units, 90e-6, rtol=1e-3)


def test_noise_falls_with_integration(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.9;:OUTP ON;:COUN 400;:CURR:RANG 1e-4")
    spreads = []
    for cycles in (0.01, 1.0):
        bench.ask(f"CURR:NPLC {cycles};:TRAC:CLE;:READ?")
        spreads.append(float(bench.ask("TRAC:STAT:STDD?")))
    assert spreads[0] == pytest.approx(4e-9, rel=0.15)
    assert spreads[1] == pytest.approx(0.4e-9, rel=0.15)


def test_what_a_reading_takes(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.9;:OUTP ON;:CURR:RANG 1e-4", "READ?")

    def seconds(*settings: str) -> float:
        bench.ask(*settings)
        start = bench.clock.now
        bench.ask("READ?")
        return bench.clock.now - start

    assert seconds() == pytest.approx(4 * 20e-3 + 150e-6)  # read-back, signal, and two for autozero
    assert seconds("SENS:CURR:AZER OFF") == pytest.approx(2 * 20e-3 + 150e-6)
    assert seconds("SOUR:VOLT:READ:BACK OFF") == pytest.approx(20e-3 + 150e-6)
    assert seconds("CURR:NPLC 0.01") == pytest.approx(FAST_READING)
    assert seconds("SOUR:VOLT:DEL 0.5") == pytest.approx(FAST_READING)  # nothing has changed: no source delay
    assert seconds("SOUR:VOLT 0.8") == pytest.approx(0.5 + FAST_READING)
    assert seconds("COUN 7") == pytest.approx(7 * FAST_READING)


def test_autorange_follows_and_costs_time(bench: Any) -> None:
    bench.ask(*FAST, "SOUR:VOLT:ILIM 1E-3", "CURR:RANG:AUTO ON", "SOUR:VOLT 0.9;:OUTP ON", "READ?")
    assert bench.ask("CURR:RANG?") == "0.0001"
    bench.ask("SOUR:VOLT 1e-3")
    start = bench.clock.now
    bench.ask("READ?")
    assert bench.ask("CURR:RANG?") == "1e-07"
    assert bench.clock.now - start == pytest.approx(2 * FAST_READING + 50e-3)
    bench.ask("CURR:RANG:AUTO:LLIM 1e-5;:READ?")
    assert bench.ask("CURR:RANG?") == "1e-05"


def test_overflow_on_a_fixed_range(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-3;:SENS:CURR:RANG 1E-5;:SOUR:VOLT 0.5;:OUTP ON")
    assert bench.ask("READ?") == "9.900000E+37"
    assert bench.ask("FETC? 'defbuffer1', FORM, STAT") == "Overflow,265"
    bench.ask("SOUR:VOLT 0.1")
    assert abs(float(bench.ask("READ?"))) < OVERFLOW


def test_compliance_clamps_and_tells(bench: Any) -> None:
    bench.ask("SOUR:VOLT 5;:OUTP ON")  # the limit is the default one
    reading, volts, status = bench.numbers("READ? 'defbuffer1', READ, SOUR, SOURSTAT")
    assert reading == pytest.approx(105e-6, rel=1e-3)
    assert volts == pytest.approx(1.05, rel=1e-2)
    assert int(status) & 32
    assert int(status) & 128
    assert bench.ask("SOUR:VOLT:ILIM:TRIP?") == "1"
    bench.ask("SOUR:VOLT:ILIM 1E-3")
    assert bench.ask("SOUR:VOLT:ILIM:TRIP?") == "0"
    assert not int(bench.numbers("READ? 'defbuffer1', SOURSTAT")[0]) & 32


def test_a_limit_too_small_for_a_fixed_range_is_changed(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-6;:SENS:CURR:RANG 1E-2")
    assert bench.error() == "-221,Settings conflict"
    assert bench.ask("SOUR:VOLT:ILIM?") == "1e-05"


def test_current_source(bench: Any) -> None:
    bench.ask('SOUR:FUNC CURR;:SENS:FUNC "VOLT";:SOUR:CURR 50E-6;:SOUR:CURR:VLIM 1;:OUTP ON')
    assert bench.numbers("READ?") == pytest.approx([0.5], rel=2e-3)
    assert bench.ask("SOUR:CURR:VLIM:TRIP?") == "0"
    bench.ask("SOUR:CURR 500E-6")
    assert bench.numbers("READ?") == pytest.approx([1.0], rel=2e-3)
    assert bench.ask("SOUR:CURR:VLIM:TRIP?") == "1"
    bench.ask("SOUR:CURR 0")
    assert bench.numbers("READ?") == pytest.approx([0.0], abs=1e-3)


def test_overvoltage_protection(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 0.1;:SOUR:VOLT:PROT PROT2;:SOUR:VOLT 5;:OUTP ON")
    assert bench.numbers("READ? 'defbuffer1', SOUR") == pytest.approx([2.0], abs=5e-3)
    assert bench.ask("SOUR:VOLT:PROT:TRIP?") == "1"


# --- output-off states ----------------------------------------------------------------------------


def test_off_is_zero_volts_with_a_limit_or_nothing_at_all(bench: Any) -> None:
    terminal = bench.circuit.terminals["smu"]
    assert (terminal.on, terminal.volts, terminal.limit) == (True, 0.0, pytest.approx(1e-5))
    bench.ask("SOUR:VOLT 1;:OUTP ON")
    assert (terminal.on, terminal.limit) == (True, 1.05e-4)
    assert terminal.volts == pytest.approx(1.0, abs=1e-3)
    bench.ask("OUTP OFF")
    assert (terminal.on, terminal.volts, terminal.limit) == (True, 0.0, pytest.approx(1e-5))
    bench.ask("OUTP:SMOD HIMP")
    assert not terminal.on
    bench.ask("OUTP ON")
    assert terminal.on
    bench.ask("*RST")
    assert (terminal.on, terminal.volts) == (True, 0.0)
    reading, status = bench.numbers("READ? 'defbuffer1', READ, SOURSTAT")
    assert abs(reading) < 1e-8
    assert not int(status) & 128


@pytest.mark.parametrize("change", ["SENS:CURR:RSEN ON", "ROUT:TERM REAR", "SOUR:FUNC CURR"])
def test_changing_leads_or_function_turns_the_output_off(bench: Any, change: str) -> None:
    bench.ask("SOUR:VOLT 1;:OUTP ON", change)
    assert bench.ask("OUTP?;:SYST:ERR?") == f"0;{NO_ERROR}"


def test_the_output_stays_on_when_the_client_is_lost(bench: Any) -> None:
    assert bench.smu.connect()
    bench.ask("SOUR:VOLT 1;:OUTP ON")
    bench.smu.disconnect()
    assert bench.ask("OUTP?") == "1"


# --- buffers --------------------------------------------------------------------------------------


def test_elements_of_a_reading(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.5;:OUTP ON;:COUN 2;:READ?")
    words = "DATE,FORM,FRAC,REL,SEC,SOURFORM,SOURSTAT,SOURUNIT,STAT,TIME,TST,UNIT"
    first, second = np.array(bench.ask(f"TRAC:DATA? 1, 2, 'defbuffer1', {words}").split(",")).reshape(2, 12)
    assert first[0] == "01/01/2026"
    assert first[1].endswith(" uA")
    assert (first[3], float(second[3])) == ("0.000000", pytest.approx(80.15e-3, abs=1e-6))
    assert first[4] == "1767225600"
    assert first[5].endswith(" mV")
    assert (first[6], first[7]) == ("136", "Volt DC")
    assert (first[8], second[8]) == ("264", "8")  # front terminals; the first one starts a group
    assert first[9] == "00:00:00"
    assert first[10].startswith("01/01/2026 00:00:00.")
    assert first[11] == "Amp DC"
    everything = bench.ask("TRAC:DATA? 1, 2, 'defbuffer1', READing, SOURce, RELative")
    assert len(everything.split(",")) == 6


def test_binary_data(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.5;:OUTP ON;:COUN 3;:READ?")
    text = np.array(bench.numbers("TRAC:DATA? 1, 3, 'defbuffer1', SOUR, READ"))
    for name, code, order in (("REAL", "<6d", "SWAP"), ("SREal", "<6f", "SWAP"), ("REAL", ">6d", "NORM")):
        reply = bench.ask(f"FORM {name};:FORM:BORD {order}", "TRAC:DATA? 1, 3, 'defbuffer1', SOUR, READ").encode(
            "latin-1"
        )
        assert reply[:2] == b"#0"
        np.testing.assert_allclose(struct.unpack(code, reply[2:]), text, rtol=1e-6)
    assert bench.ask("TRAC:DATA? 1, 3, 'defbuffer1', STAT") == ""
    assert bench.error() == "1133,Parameter 4, Syntax error, expected valid name parameters"


def test_user_buffers(bench: Any) -> None:
    bench.ask(
        *FAST, "SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.5;:OUTP ON", 'TRAC:MAKE "MyBuffer", 10;:COUN 12', 'READ? "MyBuffer"'
    )
    assert bench.error() == "4915,Attempting to store past capacity of reading buffer"
    assert bench.ask('TRAC:ACT? "MyBuffer";ACT?') == "10;0"
    bench.ask('COUN 4;:TRAC:POIN 20, "MyBuffer";FILL:MODE CONT, "MyBuffer"', *['TRAC:TRIG "MyBuffer"'] * 6, "*CLS")
    assert bench.ask('TRAC:ACT? "MyBuffer";ACT:STAR? "MyBuffer";END? "MyBuffer"') == "20;1;20"
    assert bench.ask('TRAC:CLE "MyBuffer";ACT? "MyBuffer"') == "0"
    bench.ask('TRAC:DEL "MyBuffer"', 'READ? "MyBuffer"')
    assert bench.error().startswith("1115,")
    bench.ask('TRAC:MAKE "MyBuffer", 10', "*RST")
    assert bench.ask('TRAC:ACT? "MyBuffer"') == ""


def test_precision_of_ascii(bench: Any) -> None:
    bench.ask("SOUR:VOLT:ILIM 1E-3;:SOUR:VOLT 0.5;:OUTP ON;:READ?;:FORM:ASC:PREC 3")
    assert bench.ask("FETC?") == "5.00E-05"


# --- sweeps ---------------------------------------------------------------------------------------


def levels_of(bench: Any, *plan: str) -> list[float]:
    bench.ask("SOUR:VOLT:READ:BACK OFF;:SOUR:VOLT:ILIM 0.1", *plan)
    assert bench.ask("INIT;*WAI;:SYST:ERR?") == NO_ERROR
    count = bench.ask("TRAC:ACT?")
    return bench.numbers(f"TRAC:DATA? 1, {count}, 'defbuffer1', SOUR")


PLANS = [
    ("SOUR:SWE:VOLT:LIN 0, 1, 5", [0.0, 0.25, 0.5, 0.75, 1.0]),
    ("SOUR:SWE:VOLT:LIN 1, 0, 3, 1E-3, 2", [1.0, 0.5, 0.0, 1.0, 0.5, 0.0]),
    ("SOUR:SWE:VOLT:LIN 0, 1, 3, 0, 1, AUTO, OFF, ON", [0.0, 0.5, 1.0, 1.0, 0.5, 0.0]),
    (":SOURce1:SWEep:VOLTage:LINear:STEP 0, -1, 0.4", [0.0, -0.4, -0.8]),
    ("SOUR:SWE:VOLT:LOG 0.01, 1, 3", [0.01, 0.1, 1.0]),
    ("SOUR:LIST:VOLT 0.1,-0.2,0.3;:SOUR:SWE:VOLT:LIST 2, 0, 2", [-0.2, 0.3, -0.2, 0.3]),
    ("SOUR:VOLT:RANG 2;:SOUR:SWE:VOLT:LIN 1, 4, 4, 0, 1, FIXED", [1.0, 2.0, 2.1, 2.1]),
    ('TRIG:LOAD "SimpleLoop", 3, 1E-3;:SOUR:VOLT 0.5', [0.5, 0.5, 0.5]),
    ("TRIG:LOAD:LOOP:SIMP 2;:SOUR:VOLT 0.5", [0.5, 0.5]),
    ('CURR:NPLC 1;AZER OFF;RANG 1E-3;:TRIG:LOAD "DurationLoop", 0.1;:SOUR:VOLT 0.5', [0.5] * 5),
]


@pytest.mark.parametrize(("plan", "levels"), PLANS, ids=[p[:50] for p, _ in PLANS])
def test_levels_of_sweeps(bench: Any, plan: str, levels: list[float]) -> None:
    np.testing.assert_allclose(levels_of(bench, plan), levels, rtol=1e-6, atol=1e-12)


def test_a_list_sweep_keeps_its_times(bench: Any) -> None:
    bench.ask(
        *FAST, "SOUR:VOLT:ILIM 1E-2;:SOUR:VOLT:RANG 20", "SOUR:LIST:VOLT 1,2,3,-4", "SOUR:SWE:VOLT:LIST 1, 0.01, 1, OFF"
    )
    bench.chip.lived.clear()
    start = bench.clock.now
    assert bench.ask("INIT;*OPC?") == "1"
    point = 0.01 + FAST_READING
    assert bench.clock.now - start == pytest.approx(4 * point)
    relative = bench.numbers("TRAC:DATA? 1, 4, 'defbuffer1', REL")
    np.testing.assert_allclose(relative, np.arange(4) * point, atol=1e-6)
    lived = [(volts, seconds) for volts, seconds in bench.chip.lived if seconds > 0.0]
    np.testing.assert_allclose([volts for volts, _ in lived], [1.0, 2.0, 3.0, -4.0], atol=5e-3)
    np.testing.assert_allclose([seconds for _, seconds in lived], point, rtol=1e-9)


def test_source_delay_is_added_where_the_level_changes(bench: Any) -> None:
    bench.ask(*FAST, "SOUR:VOLT:DEL 0.025", "SOUR:LIST:VOLT 0.1,0.1,0.2", "SOUR:SWE:VOLT:LIST 1, 0.01, 1, OFF")
    bench.ask("INIT;*WAI;*OPC?")
    relative = bench.numbers("TRAC:DATA? 1, 3, 'defbuffer1', REL")
    np.testing.assert_allclose(np.diff(relative), [0.01 + FAST_READING, 0.035 + FAST_READING], atol=1e-6)


def test_an_initiated_sweep_goes_on_by_itself(bench: Any) -> None:
    bench.ask(
        *FAST, "SOUR:LIST:VOLT " + ",".join(f"{v:.3f}" for v in np.linspace(0.1, 1, 10)), "SOUR:SWE:VOLT:LIST 1, 0.1"
    )
    bench.ask("SOUR:VOLT:ILIM 1E-2")
    assert bench.ask("INIT;:TRIG:STAT?;:OUTP?;:TRAC:ACT?") == "RUNNING;RUNNING;6;1;0"
    bench.clock.advance(5.5 * (0.1 + FAST_READING))
    assert bench.ask("TRAC:ACT?;:TRIG:STAT?") == "5;RUNNING;RUNNING;6"
    assert bench.ask("READ?") == ""
    assert bench.error() == "-213,Init ignored"
    bench.ask("SOUR:SWE:VOLT:LIN 0, 1, 3")
    assert bench.error() == "-221,Settings conflict"
    bench.ask("*OPC")
    assert bench.ask("*ESR?") == "144"  # power on, execution errors; not yet complete
    bench.clock.advance(1.0)
    assert bench.ask("TRAC:ACT?;:TRIG:STAT?;:OUTP?;*ESR?") == "10;IDLE;IDLE;9;0;1"


def test_wai_holds_what_follows(bench: Any) -> None:
    bench.ask(*FAST, "SOUR:LIST:VOLT 0.1,0.2", "SOUR:SWE:VOLT:LIST 1, 1")
    bench.smu.receive(b"INIT;*WAI\n")
    bench.smu.receive(b"TRAC:ACT?\n")
    assert bench.smu.session.take() is None
    assert bench.smu.wait_for_reply(bench.clock.now + 1.5) is None  # a VISA timeout
    assert bench.smu.wait_for_reply() == b"2\n"


def test_abort_leaves_the_rest_undone_and_the_output_on(bench: Any) -> None:
    bench.ask(*FAST, "SOUR:VOLT:ILIM 1E-2", "SOUR:LIST:VOLT 0.1,0.2,0.3,0.4,0.5", "SOUR:SWE:VOLT:LIST 1, 0.1", "INIT")
    advance_to(bench.clock, 2.5 * (0.1 + FAST_READING))
    assert bench.ask("ABOR;:TRIG:STAT?;:TRAC:ACT?;:OUTP?;:SOUR:VOLT?") == "ABORTED;ABORTED;6;2;1;0.3"
    assert bench.circuit.terminals["smu"].volts == pytest.approx(0.3, abs=1e-3)
    bench.clock.advance(10.0)
    assert bench.ask("TRAC:ACT?;:OUTP?") == "2;1"
    assert bench.ask("INIT;*OPC?;:TRAC:ACT?;:OUTP?") == "1;5;0"  # again, from an empty buffer


def test_output_off_and_reset_end_a_sweep(bench: Any) -> None:
    for stop in ("OUTP OFF", "*RST"):
        bench.ask(*FAST, "SOUR:LIST:VOLT 0.1,0.2,0.3", "SOUR:SWE:VOLT:LIST 1, 0.1", "INIT")
        bench.clock.advance(0.15)
        bench.ask(stop)
        assert bench.circuit.terminals["smu"].volts == 0.0
        assert bench.ask("OUTP?") == "0"
        assert not bench.smu.busy


def test_a_sweep_aborts_at_its_limit_unless_told_otherwise(bench: Any) -> None:
    bench.ask(*FAST, "SOUR:LIST:VOLT 0.5,1,1.5,2,1", "SOUR:VOLT:ILIM 125E-6")
    assert bench.ask("SOUR:SWE:VOLT:LIST 1;:INIT;*WAI;:TRAC:ACT?;:OUTP?") == "3;0"
    assert bench.ask("SOUR:SWE:VOLT:LIST 1, 0, 1, OFF;:INIT;*WAI;:TRAC:ACT?;:OUTP?") == "5;0"
    status = bench.numbers("TRAC:DATA? 1, 5, 'defbuffer1', SOURSTAT")
    assert [int(s) & 32 for s in status] == [0, 0, 32, 32, 0]
    readings = bench.numbers("TRAC:DATA? 1, 5, 'defbuffer1', READ")
    np.testing.assert_allclose(readings, [50e-6, 100e-6, 125e-6, 125e-6, 100e-6], atol=1e-6)


def test_two_instruments_live_in_one_order_of_time() -> None:
    bench = make_bench(smus=2)
    for smu, sign in ((bench.smu, 1.0), (bench.other, -1.0)):
        bench.ask(*FAST, "SOUR:VOLT:RANG 20;:SOUR:VOLT:ILIM 1E-2", smu=smu)
        values = ",".join(f"{sign * v:g}" for v in (1, 2, 3))
        bench.ask(f"SOUR:LIST:VOLT {values}", "SOUR:SWE:VOLT:LIST 1, 0.1, 1, OFF", smu=smu)
    bench.chip.lived.clear()
    bench.ask("INIT", smu=bench.smu)
    bench.clock.advance(0.05)
    bench.ask("INIT", smu=bench.other)
    bench.clock.advance(1.0)
    # Half a dwell of the first alone, then both in turn; at last the first one is off: 0 V, but 0.1 mA at most.
    lived = [round(volts) for volts, seconds in bench.chip.lived if seconds > 1e-3]
    assert lived[:7] == [1, 2, 3, 4, 5, 6, 1]


def test_abort_ends_a_measurement_nobody_has_read(bench: Any) -> None:
    bench.ask(*FAST, "SOUR:VOLT:ILIM 1E-2;:SOUR:VOLT 0.5;:OUTP ON;:COUN 100;:SOUR:VOLT:DEL 0")
    bench.smu.receive(b"READ?\n")
    bench.clock.advance(10.5 * FAST_READING)
    bench.smu.receive(b"ABOR\n")
    assert not bench.smu.busy
    assert bench.error() == "-410,Query INTERRUPTED"
    assert bench.ask("TRAC:ACT?;:OUTP?") == "10;1"
