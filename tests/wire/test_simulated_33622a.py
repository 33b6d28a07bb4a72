"""Transcripts for the simulated 33622A as a person types them from the manual, and what its lines do meanwhile."""

from __future__ import annotations

import math

import numpy as np
import pytest

from support.notebook_chip import Bench
from xbarlab.mockhw.instrument import advance_to
from xbarlab.mockhw.instruments.keysight_33622a.instrument import Keysight33622A
from xbarlab.mockhw.instruments.keysight_33622a.waveform import ShapeSettings, stairs

NO_ERROR = '+0,"No error"'


@pytest.fixture
def bench() -> Bench:
    bench = Bench()
    bench.instrument = Keysight33622A(
        "TCPIP0::127.0.0.1::5025::SOCKET", bench.clock, bench.log,
        circuit=bench.circuit, terminals=bench.terminals, serial="SIM33622", seed=1, info=lambda: b"#10",
    )  # fmt: skip
    return bench


def real(value: float) -> str:
    return f"{value:+.15E}"


TRANSCRIPTS = [
    ("*IDN?", "Agilent Technologies,33622A,SIM33622,A.02.03-3.15-03-64-02"),
    ("*TST?;*OPC?", "+0;1"),
    ("FUNC?;FREQ?;VOLT?;VOLT:OFFS?", f"SIN;{real(1e3)};{real(0.1)};{real(0)}"),
    ("SOURCE2:FUNCTION:SHAPE?;:OUTPUT2:STATE?;:OUTP2:LOAD?;POL?", f"SIN;0;{real(50)};NORM"),
    ("FUNC:PULS:WIDT?;PER?;DCYC?;TRAN?;HOLD?", f"{real(1e-4)};{real(1e-3)};{real(10)};{real(4e-9)};WIDT"),
    ("BURS:STAT?;MODE?;NCYC?;PHAS?;INT:PER?;:SOUR1:BURS:GATE:POL?",
     f"0;TRIG;{real(1)};{real(0)};{real(0.01)};NORM"),
    ("TRIG:SOUR?;SLOP?;COUN?;DEL?;TIM?;:INIT:CONT?", f"IMM;POS;{real(1)};{real(0)};{real(1)};1"),
    ("VOLT:LIM:STAT?;HIGH?;LOW?;:VOLT:UNIT?;:VOLT:RANG:AUTO?", f"0;{real(5)};{real(-5)};VPP;1"),
    ("FREQ 1 MHZ;FREQ?;FREQ 2.5e6;FREQ?;:source1:frequency:cw 30 khz;:freq?", f"{real(1e6)};{real(2.5e6)};{real(3e4)}"),
    ("VOLT 2 VPP;VOLT?;VOLT 500 MVPP;VOLT?;VOLT 1 VRMS;VOLT?", f"{real(2)};{real(0.5)};{real(2.828427124746)}"),
    ("VOLT:UNIT VRMS;:VOLT 1;VOLT?;VOLT:UNIT VPP;:VOLT?", f"{real(1)};{real(2.828427124746)}"),
    ("VOLT:UNIT DBM;:VOLT 0;:VOLT?;:VOLT:UNIT VPP;:VOLT?", f"{real(0)};{real(0.6324555320337)}"),
    ("VOLT:HIGH 2;LOW -3;:VOLT?;VOLT:OFFS?", f"{real(5)};{real(-0.5)}"),
    ("VOLT? MIN;VOLT? MAX;VOLT:OFFS 1;:VOLT? MAX", f"{real(1e-3)};{real(10)};{real(8)}"),
    ("FUNC RAMP;FUNC:RAMP:SYMM 25 PCT;SYMM?;:FUNC TRI;FUNC?;FUNC ARB;FUNC?", f"{real(25)};TRI;ARB"),
    ("FUNC:PULS:WIDT 200NS;WIDT?;TRAN:LEAD 10 NS;TRA 5 NS;LEAD?;TRA?;BOTH?",
     f"{real(2e-7)};{real(1e-8)};{real(5e-9)};{real(1e-8)}"),
    ("FUNC PULS;:FUNC:PULS:HOLD DCYC;DCYC 20;PER 1E-5;WIDT?;:SYST:ERR?", f"{real(2e-6)};{NO_ERROR}"),
    ("SOUR2:BURS:MODE TRIG;NCYC 3;INT:PER 12;PER?;:SOUR2:BURS:NCYC?", f"{real(12)};{real(3)}"),
    ("TRIG2:TIM 0.3;TIM?;:TRIG:SOUR BUS;SOUR?;:TRIG2:SOUR?", f"{real(0.3)};BUS;IMM"),
    ("UNIT:ANGL RAD;:PHAS 3.14159265358979;PHAS?;:UNIT:ANGL DEG;:PHAS?", f"{real(3.14159265359)};{real(180)}"),
    ("OUTP:SYNC?;:OUTP:SYNC:SOUR CH2;SOUR?;:OUTP2:SYNC:POL INV;POL?", "1;CH2;INV"),
    ("APPL:PULS 1 KHZ, 2, 1;:APPL?;:OUTP?", f'"PULS {real(1e3)},{real(2)},{real(1)}";1'),
    ("APPLY:SIN DEF,DEF,DEF;:FREQ?;VOLT?", f"{real(1e3)};{real(0.1)}"),
    ("FREQ:MODE SWE;MODE?;:FREQ:MODE CW;MODE?", "SWEEP;CW"),
    ("OUTP3 ON;:SYST:ERR?", '-114,"Header suffix out of range;channel 3; there are 1 and 2"'),
    ("FUNC SAW;:SYST:ERR?", '-224,"Illegal parameter value;function SAW is none of SINusoid, SQUare, TRIangle, RAMP, '
     'PULSe, PRBS, NOISe, ARBitrary, DC"'),
    ("FREQ 1 V;:SYST:ERR?", '-131,"Invalid suffix;frequency is in HZ, got V"'),
    ("FREQ NAN;:SYST:ERR?", '-222,"Data out of range;frequency NAN is not finite"'),
    ("VOLT:LEVE 1;:SYST:ERR?", '-113,"Undefined header;VOLT:LEVE"'),
    ("FREQ 1e9;FREQ?;:SYST:ERR?", f'{real(120e6)};-222,"Data out of range;value clipped to upper limit"'),
    ("FUNC RAMP;:FREQ MAX;FREQ?", real(8e5)),
    ("SIM:CLOC:ADV 2.5;:SIM:CLOC?", "2.5"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "answered"), TRANSCRIPTS, ids=[sent[:40] for sent, _ in TRANSCRIPTS])
def test_transcript(bench: Bench, sent: str, answered: str) -> None:
    assert bench.ask(sent) == answered
    bench.ask("*CLS;*RST;UNIT:ANGL DEG")
    assert bench.ask("SYST:ERR?") == NO_ERROR


def test_reset_is_the_power_on_state(bench: Bench) -> None:
    state = "FUNC?;FREQ?;VOLT?;VOLT:OFFS?;:OUTP?;OUTP:LOAD?;POL?;:BURS:STAT?;NCYC?;:TRIG:SOUR?;:VOLT:LIM:STAT?"
    fresh = bench.ask(state)
    bench.ask(
        "FUNC PULS;FREQ 1e6;VOLT 3;VOLT:OFFS .5;:OUTP:LOAD INF;POL INV;:OUTP ON;:BURS:NCYC 7;STAT ON;:TRIG:SOUR BUS"
    )
    assert bench.ask(state) != fresh
    bench.ask("*RST")
    assert bench.ask(state) == fresh
    assert not bench.terminals[0].on


# --- load, levels, limits ---------------------------------------------------------------------


def test_a_load_of_50_ohms_gives_a_high_ohmic_cell_twice_the_volts(bench: Bench) -> None:
    bench.ask("FUNC DC;VOLT:OFFS 0.5;:OUTP ON")
    assert bench.terminals[0].volts == pytest.approx(1.0)
    bench.ask("OUTP OFF;:OUTP:LOAD INF;:VOLT:OFFS 0.5;:OUTP ON")
    assert bench.terminals[0].volts == pytest.approx(0.5)


def test_the_load_changes_what_is_displayed_not_what_is_put_out(bench: Bench) -> None:
    bench.ask("FUNC DC;VOLT:OFFS 0.1;:VOLT 10;:VOLT:OFFS 0;:OUTP ON")
    bench.ask("*CLS")
    assert bench.ask("VOLT 4;:OUTP:LOAD INF;LOAD?;:VOLT?") == f"{real(9.9e37)};{real(8)}"
    assert bench.ask("OUTP:LOAD 50;:VOLT?;VOLT:OFFS .1;:OUTP:LOAD INF;:VOLT:OFFS?") == f"{real(4)};{real(0.2)}"
    assert bench.terminals[0].volts == pytest.approx(0.2)
    assert bench.ask("OUTP:LOAD 75;:VOLT:OFFS?") == real(0.12)
    assert bench.errors() == []


def test_dbm_needs_a_load(bench: Bench) -> None:
    assert bench.ask("VOLT:UNIT DBM;:OUTP:LOAD INF;:VOLT:UNIT?") == "VPP"
    assert bench.errors() == [-221]
    assert bench.ask("VOLT:UNIT DBM;UNIT?") == "VPP"
    assert bench.errors() == [-221]


LEVELS = [
    ("VOLT 11", "VOLT?", 10.0, [-222]),
    ("VOLT 0", "VOLT?", 1e-3, [-222]),
    ("OUTP:LOAD INF;:VOLT 20", "VOLT?", 20.0, []),
    ("VOLT 8;VOLT:OFFS 2", "VOLT:OFFS?", 1.0, [-222]),
    ("VOLT 1;VOLT:OFFS 4;:VOLT 6", "VOLT:OFFS?", 2.0, [-221]),
    ("VOLT:HIGH 6", "VOLT:HIGH?", 5.0, [-222]),
    ("VOLT:HIGH 1;LOW 2", "VOLT:HIGH?", 2.001, [-221]),
    ("VOLT:LOW -1;HIGH -2", "VOLT:LOW?", -2.001, [-221]),
    ("FUNC DC;VOLT:OFFS 5", "VOLT:OFFS?", 5.0, []),
]


@pytest.mark.parametrize(("sent", "asked", "value", "errors"), LEVELS, ids=[sent for sent, *_ in LEVELS])
def test_levels_that_do_not_fit(bench: Bench, sent: str, asked: str, value: float, errors: list[int]) -> None:
    assert float(bench.ask(f"{sent};:{asked}")) == pytest.approx(value)
    assert bench.errors() == errors


def test_voltage_limits_hold(bench: Bench) -> None:
    bench.ask("VOLT:LIM:HIGH 1;LOW -1;STAT ON")
    for sent, asked, value in (
        ("VOLT 4", "VOLT?", 2.0),
        ("VOLT 1;VOLT:OFFS 0.7", "VOLT:OFFS?", 0.5),
        ("VOLT:HIGH 1.2", "VOLT:HIGH?", 1.0),
        ("VOLT:LOW -1.2", "VOLT:LOW?", -1.0),
        ("FUNC DC;VOLT:OFFS 3", "VOLT:OFFS?", 1.0),
    ):
        assert float(bench.ask(f"{sent};:{asked}")) == pytest.approx(value), sent
        assert bench.errors() == [-221], sent
    assert bench.ask("OUTP:LOAD INF;LOAD?") == real(50)
    assert bench.errors() == [-221]
    assert bench.ask("VOLT:LIM:STAT OFF;:OUTP:LOAD INF;:VOLT:LIM:HIGH?") == real(1)


def test_limits_stay_off_when_the_levels_are_outside(bench: Bench) -> None:
    assert bench.ask("VOLT 3;VOLT:LIM:HIGH 1;STAT ON;STAT?") == "0"
    assert bench.errors() == [-221]


# --- pulses -----------------------------------------------------------------------------------


def test_pulses_that_do_not_fit_their_period(bench: Bench) -> None:
    bench.ask("FUNC PULS")
    assert bench.ask("FUNC:PULS:PER 1US;WIDT?") == real(1e-6 - 5e-9)
    assert bench.errors() == [-221, -221]
    assert bench.ask("FUNC:PULS:WIDT 2US;WIDT?") == real(1e-6 - 5e-9)
    assert bench.ask("FUNC:PULS:WIDT 3NS;WIDT?") == real(5e-9)
    assert bench.errors()[:2] == [-222, -222]
    assert bench.ask("FUNC:PULS:WIDT 100NS;TRAN 1US;TRAN?") == real(62.5e-9)
    assert bench.ask("FUNC:PULS:TRAN 1NS;TRAN?") == real(2.9e-9)
    assert bench.errors() == [-222, -222]
    assert bench.ask("FUNC:PULS:WIDT 800NS;TRAN 100NS;WIDT 20NS;TRAN?") == real(12.5e-9)
    assert bench.errors() == [-221]


def pulse_bench(bench: Bench, *, count: int = 100, level: float = 1.0) -> None:
    """Channel 1 gives positive, channel 2 negative 200 ns pulses every µs on a bus trigger, idle at 0 V."""
    bench.circuit.switch(bench.clock.now, close=[(9, 1), (10, 3), (12, 2)])
    for n in (1, 2):
        s = f":SOUR{n}"
        bench.ask(f":OUTP{n}:LOAD INF;{s}:FUNC:PULS:WIDT 200NS;TRAN 10NS;{s}:FREQ 1E6;{s}:FUNC PULS")
        bench.ask(f":TRIG{n}:SOUR BUS;{s}:BURS:NCYC {count};STAT ON")
    bench.ask(f"SOUR1:VOLT:HIGH {level};LOW 0;:SOUR2:VOLT:LOW -{level};HIGH 0;:OUTP2:POL INV;:OUTP1 ON;:OUTP2 ON")
    assert bench.errors() == []


def test_idle_level_is_the_low_level_and_inverted_the_high_one(bench: Bench) -> None:
    pulse_bench(bench)
    assert [t.volts for t in bench.terminals] == pytest.approx([0.0, 0.0])
    bench.ask("OUTP2:POL NORM")
    assert bench.terminals[1].volts == pytest.approx(-1.0), "normal polarity idles at the low level"
    bench.ask("BURS:STAT OFF;:FUNC DC;:VOLT:OFFS 0")
    assert bench.terminals[0].volts == 0.0


def test_both_channels_burst_in_one_go_on_one_grid(bench: Bench) -> None:
    pulse_bench(bench)
    bench.live(1e-3)
    bench.chip.lived.clear()
    assert bench.now("*TRG;:STAT:OPER:COND?") == "0"
    (lived,) = bench.live(100e-6)
    assert (lived.how, lived.repeats) == ("play", 100)
    assert lived.seconds.sum() == pytest.approx(1e-6)
    assert lived.seconds.size <= 12
    row, col, ground = lived.volts[:, 0], lived.volts[:, 2], lived.volts[:, 1]
    np.testing.assert_allclose(col, -row, atol=1e-12)
    assert (ground == 0.0).all()
    assert np.isnan(lived.volts[:, 3]).all()
    assert row.max() == pytest.approx(1.0, rel=1e-3)
    assert (row * lived.seconds).sum() == pytest.approx(200e-9, rel=2e-3)
    assert [h.how for h in bench.live(1e-3)] == ["hold"]


def test_opc_waits_for_the_burst_and_abort_leaves_the_rest_undone(bench: Bench) -> None:
    pulse_bench(bench)
    start = bench.clock.now
    assert bench.ask("*TRG;*OPC?") == "1"
    assert bench.clock.now - start == pytest.approx(100e-6)
    bench.chip.lived.clear()
    bench.now("*TRG")
    assert bench.now("*OPC?") == ""
    advance_to(bench.clock, bench.clock.now + 30.1e-6)
    bench.now("ABOR")
    assert bench.ask("*OPC?") == "1"
    plays = [lived for lived in bench.chip.lived if lived.how == "play"]
    assert sum(lived.repeats for lived in plays) == 31
    assert sum(lived.total for lived in plays) == pytest.approx(30.1e-6)
    assert plays[-1].volts[-1, 0] == pytest.approx(1.0, rel=1e-2), "cut in the middle of a pulse"
    assert [lived.how for lived in bench.live(1.0)] == ["hold"]


def test_reset_in_the_middle_of_a_burst_disconnects(bench: Bench) -> None:
    pulse_bench(bench)
    bench.now("*TRG")
    advance_to(bench.clock, bench.clock.now + 10.5e-6)
    bench.now("*RST")
    assert bench.ask("*OPC?;:OUTP?;:OUTP2?") == "1;0;0"
    (lived,) = bench.live(1.0)
    assert lived.how == "hold"
    assert np.isnan(lived.volts[0, [0, 2]]).all()


def test_levels_changed_during_a_burst_count_from_there(bench: Bench) -> None:
    pulse_bench(bench)
    bench.circuit.settle(bench.clock.now)
    bench.chip.lived.clear()
    bench.now("*TRG")
    advance_to(bench.clock, bench.clock.now + 40e-6)
    bench.now("VOLT:HIGH 0.5")
    bench.ask("*OPC?")
    assert [(x.repeats, round(float(x.volts[:, 0].max()), 2)) for x in bench.chip.lived] == [(40, 1.0), (60, 0.5)]


def test_a_second_trigger_is_ignored_while_the_burst_runs(bench: Bench) -> None:
    pulse_bench(bench)
    bench.now("*TRG")
    bench.now("*TRG")
    assert bench.errors() == [-211]
    assert bench.ask("TRIG:SOUR BUS;*TRG;*WAI;*TRG;*WAI;:SYST:ERR?").startswith("-211"), "one was still running"
    assert bench.ask("*TRG;*WAI;*TRG;*WAI;:SYST:ERR?") == NO_ERROR


def test_trigger_delay_and_a_channel_of_its_own(bench: Bench) -> None:
    pulse_bench(bench, count=2)
    bench.ask("TRIG1:DEL 5E-6")
    bench.now("TRIG1")
    lived = bench.live(10e-6)
    assert [(x.how, pytest.approx(x.total)) for x in lived] == [("hold", 5e-6), ("play", 2e-6), ("hold", 3e-6)]
    assert lived[1].volts[:, 0].max() == pytest.approx(1.0, rel=1e-3)
    assert (lived[1].volts[:, 2] == 0.0).all(), "channel 2 was not triggered"
    for sent in ("BURS:STAT OFF;:TRIG1", "SOUR2:BURS:STAT OFF;*TRG", "TRIG3"):
        bench.ask(sent)
    assert bench.errors() == [-211, -211, -114]


def test_channels_out_of_step_are_lived_through_on_one_grid(bench: Bench) -> None:
    pulse_bench(bench, count=3)
    bench.ask("SOUR2:FREQ 5E5")
    bench.now("*TRG")
    lived = bench.live(6e-6)
    assert sum(x.total for x in lived) == pytest.approx(6e-6)
    row = sum(float((x.volts[:, 0] * x.seconds).sum()) * x.repeats for x in lived)
    col = sum(float((x.volts[:, 2] * x.seconds).sum()) * x.repeats for x in lived)
    assert (row, col) == (pytest.approx(3 * 200e-9, rel=1e-2), pytest.approx(-3 * 200e-9, rel=1e-2))


def test_another_instrument_in_the_middle_finds_the_burst_half_done(bench: Bench) -> None:
    pulse_bench(bench)
    bench.circuit.settle(bench.clock.now)
    bench.chip.lived.clear()
    start = bench.clock.now
    bench.now("*TRG")
    bench.circuit.settle(start + 50e-6)
    assert sum(x.repeats for x in bench.chip.lived) == 50
    bench.clock.advance(1e-3)
    bench.circuit.settle(bench.clock.now)
    assert sum(x.repeats for x in bench.chip.lived if x.how == "play") == 100


def test_internal_trigger_bursts_for_ever_when_the_output_goes_on(bench: Bench) -> None:
    pulse_bench(bench, count=2)
    bench.ask("SOUR2:BURS:STAT OFF;:SOUR2:FUNC DC;:BURS:INT:PER 1E-4;:TRIG1:SOUR IMM")
    lived = bench.live(1e-2)
    assert [(x.how, x.repeats) for x in lived] == [("play", 100)]
    assert (lived[0].volts[:, 0] * lived[0].seconds).sum() == pytest.approx(2 * 200e-9, rel=2e-3)
    assert bench.ask("BURS:NCYC 200;:BURS:INT:PER?") == real(201e-6)
    assert bench.errors() == [-221]
    bench.ask("BURS:NCYC INF")
    assert bench.ask("TRIG:SOUR?") == "BUS"
    assert bench.errors() == [-221]
    assert bench.ask("FUNC DC;:BURS:STAT?") == "0"
    assert bench.errors() == [-221]


def test_an_endless_burst_runs_until_abort(bench: Bench) -> None:
    pulse_bench(bench)
    bench.ask("BURS:NCYC INF")
    bench.now("TRIG1")
    assert bench.ask("*OPC?") == "", "a blocking query would never be answered"
    lived = bench.live(1.0)
    assert lived[0].how == "play"
    assert sum(x.total for x in lived) == pytest.approx(1.0)
    bench.now("ABOR")
    assert [x.how for x in bench.live(1.0)] == ["hold"]


def test_initiate_takes_as_many_triggers_as_it_was_told(bench: Bench) -> None:
    pulse_bench(bench, count=1)
    bench.ask("INIT1:CONT OFF;:INIT2:CONT OFF")
    bench.ask("*TRG")
    assert bench.errors() == [-211]
    bench.ask("TRIG1:COUN 2;:INIT1")
    for _ in range(3):
        bench.ask("TRIG1;*WAI")
        bench.clock.advance(1e-3)
    assert bench.errors() == [-211]


# --- what the line makes of it ----------------------------------------------------------------


def pulse(width: float, edge: float, period: float = 1e-6) -> ShapeSettings:
    return ShapeSettings("PULS", period, width, edge, edge, 100.0, 50.0, 0.0, 1)


@pytest.mark.parametrize("tau", [0.0, 1e-9, 5e-9, 30e-9])
@pytest.mark.parametrize(("width", "edge"), [(200e-9, 10e-9), (200e-9, 2.9e-9), (20e-9, 4e-9)])
def test_stairs_keep_the_area_of_the_pulse(width: float, edge: float, tau: float) -> None:
    made = stairs(pulse(width, edge), tau)
    assert made.seconds.sum() == pytest.approx(1e-6)
    assert (0.5 * (made.levels + 1.0) * made.seconds).sum() == pytest.approx(width, rel=1e-6)
    assert made.seconds.size <= 12
    assert (np.abs(made.levels) <= 1.0 + 1e-12).all()


def test_a_slow_line_takes_the_top_off_a_short_pulse() -> None:
    tau, width = 30e-9, 20e-9
    top = 0.5 * (stairs(pulse(width, 2.9e-9), tau).levels.max() + 1.0)
    assert top < 1.0 - math.exp(-width / tau) + 0.01
    assert 0.5 * (stairs(pulse(200e-9, 2.9e-9), 1e-9).levels.max() + 1.0) == pytest.approx(1.0, abs=1e-4)


def test_edges_are_a_few_stairs_with_the_rise_time_that_was_set() -> None:
    made = stairs(pulse(500e-9, 100e-9), 0.0)
    times = np.cumsum(made.seconds) - 0.5 * made.seconds
    rising = times < 125e-9
    assert rising.sum() == 4
    np.testing.assert_allclose(made.levels[rising], 2.0 * times[rising] / 125e-9 - 1.0, atol=1e-9)


def test_sine_and_square_go_on_by_themselves_and_cost_little(bench: Bench) -> None:
    bench.circuit.switch(0.0, close=[(9, 1)])
    bench.ask("VOLT 1;VOLT:OFFS 0.5;:OUTP ON")
    lived = bench.live(1.0)
    assert lived[0].volts[:, 0].max() == pytest.approx(2.0, abs=0.02), "1 V + 1 V open"
    assert sum(x.total for x in lived) == pytest.approx(1.0)
    assert sum(x.repeats * x.seconds.size for x in lived) <= 100 * 32 + 64
    bench.ask("FUNC SQU;FUNC:SQU:DCYC 25")
    lived = bench.live(1e-3)
    mean = sum((x.volts[:, 0] * x.seconds).sum() * x.repeats for x in lived) / 1e-3
    assert mean == pytest.approx(0.0 + 0.25 * 2.0, abs=0.01)
    bench.ask("OUTP OFF")
    assert np.isnan(bench.live(1e-3)[0].volts[:, 0]).all()


def test_synchronised_channels_start_their_period_together(bench: Bench) -> None:
    bench.circuit.switch(0.0, close=[(9, 1), (10, 3)])
    bench.ask("OUTP ON")
    bench.clock.advance(0.3e-3)
    bench.ask("OUTP2 ON;:SOUR2:PHAS 180")
    bench.clock.advance(0.3e-3)
    bench.ask("PHAS:SYNC")
    (lived,) = bench.live(1e-3)
    np.testing.assert_allclose(lived.volts[:, 2], -lived.volts[:, 0], atol=1e-9)


def test_changing_levels_with_the_output_on_reaches_the_chip_at_once(bench: Bench) -> None:
    bench.circuit.switch(0.0, close=[(9, 1)])
    bench.ask("FUNC DC;VOLT:OFFS 0.1;:OUTP ON")
    bench.live(1e-3)
    bench.ask("VOLT:OFFS 2")
    assert bench.live(1e-3)[0].volts[0, 0] == pytest.approx(4.0)


def test_moving_a_relay_between_pulses_is_hot_too(bench: Bench) -> None:
    pulse_bench(bench)
    bench.now("*TRG")
    bench.circuit.switch(bench.clock.now + 10.5e-6, open=[(9, 1)])
    assert "hot switch of 9-1: p.1 gives pulses" in bench.log.texts()
