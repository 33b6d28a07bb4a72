"""Trigger models of blocks, configuration lists, limits, math and the event log, as public 2450 code uses them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.resistor_bench import ResistorBench
from xbarlab.mockhw.instrument import advance_to

FAST = "SENS:CURR:NPLC 0.01;AZER 0;RANG 1e-3;:SOUR:VOLT:READ:BACK 0;:SOUR:VOLT:DEL 0;:SOUR:VOLT:ILIM 1e-2"
OHMS = 1e4
NO_ERROR = '0,"No error;0;0 0"'


@pytest.fixture
def bench() -> Any:
    bench = ResistorBench(OHMS)
    bench.ask(f"{FAST};:SYST:ERR?")
    return bench


def send(bench: Any, *messages: str) -> None:
    for message in messages:
        assert bench.ask(f"{message};:SYST:ERR?").endswith(NO_ERROR), message


def wait(bench: Any, seconds: float) -> None:
    advance_to(bench.clock, bench.clock.now + seconds)


def readings(bench: Any, elements: str = "READ") -> np.ndarray:
    count = int(bench.ask("TRAC:ACT?"))
    if not count:
        return np.zeros(0)
    return np.array(bench.ask(f'TRAC:DATA? 1,{count},"defbuffer1",{elements}').split(","), dtype=float)


# --- blocks ---------------------------------------------------------------------------------------


def test_the_example_of_the_manual_makes_fifteen_readings(bench: Any) -> None:
    send(bench, 'TRIG:LOAD "EMPTY"', "TRIG:BLOC:BUFF:CLEAR 1", "TRIG:BLOC:MEAS 2", "TRIG:BLOC:BRAN:COUN 3, 5, 2",
         "TRIG:BLOC:DEL:CONS 4, 1", "TRIG:BLOC:BRAN:COUN 5, 3, 2", "INIT")  # fmt: skip
    assert bench.ask("*WAI;:TRIG:STAT?;:TRAC:ACT?") == "IDLE;IDLE;5;15"
    assert bench.clock.now == pytest.approx(3.0 + 15 * (0.01 / 50 + 150e-6), rel=0.01), "delay three times"
    assert bench.ask("TRIG:BLOC:BRAN:COUN:COUN? 5") == "3"


def test_the_list_of_blocks_is_that_of_the_manual(bench: Any) -> None:
    send(bench, 'TRIG:LOAD "EMPTY"', "TRIG:BLOC:BUFF:CLEAR 1", "TRIG:BLOC:MEAS 2", "TRIG:BLOC:BRAN:COUN 3, 5, 2",
         "TRIG:BLOC:DEL:CONS 4, 1")  # fmt: skip
    lines = bench.ask("TRIG:BLOC:LIST?").split("\n")
    assert [" ".join(line.split()) for line in lines] == [
        "1) BUFFER_CLEAR BUFFER: defbuffer1",
        "2) MEASURE_DIGITIZE BUFFER: defbuffer1 COUNT: 1",
        "3) BRANCH_COUNTER VALUE: 5 BRANCH_BLOCK: 2",
        "4) DELAY_CONSTANT DELAY: 1.000000000",
    ]
    send(bench, 'TRIG:LOAD "EMPTY"')
    assert bench.ask("TRIG:BLOC:LIST?;:TRIG:STAT?") == "Empty;EMPTY;EMPTY;0"


def test_two_levels_from_configuration_lists_nineteen_times(bench: Any) -> None:
    send(bench, 'SOUR:CONF:LIST:CRE "ampLevel"', 'SOUR:CONF:LIST:CRE "biasLevel"', "SOUR:FUNC VOLT",
         'SENS:FUNC "CURR"', "SOUR:VOLT:LEV 5", 'SOUR:CONF:LIST:STORE "ampLevel"', "SOUR:VOLT:LEV 0",
         'SOUR:CONF:LIST:STORE "biasLevel"', "TRIG:BLOC:SOUR:STATE 1, ON", 'TRIG:BLOCK:CONF:RECALL 2, "ampLevel", 1',
         "TRIG:BLOC:DEL:CONS 3, 0.1", "TRIG:BLOCK:MEAS 4", 'TRIG:BLOCK:CONF:RECALL 5, "biasLevel", 1',
         "TRIG:BLOCK:DEL:CONS 6, 0.2", "TRIG:BLOCK:BRAN:COUN 7,19,2", "TRAC:CLE", "INIT")  # fmt: skip
    assert bench.ask("*OPC?") == "1"
    assert readings(bench) == pytest.approx(np.full(19, 5 / OHMS), rel=1e-2)
    assert bench.ask("OUTP?;:SOUR:VOLT?") == "1;0"
    assert bench.clock.now == pytest.approx(19 * 0.3, rel=0.01)


def test_a_custom_list_is_stepped_through_round_and_round(bench: Any) -> None:
    wave = [0.0, 0.5, 0.5, 0.0, -0.5, 0.0]
    send(bench, "SOUR:LIST:VOLT " + ",".join(map(str, wave)), "SOUR:SWE:VOLT:LIST 1, 1e-4", 'TRIG:LOAD "Empty"',
         "TRIG:BLOC:BUFF:CLEAR 1", 'TRIG:BLOC:CONF:RECALL 2, "VoltCustomSweepList"', "TRIG:BLOC:SOUR:STAT 3, ON",
         "TRIG:BLOC:MEAS 4", 'TRIG:BLOC:CONF:NEXT 5, "VoltCustomSweepList"',
         f"TRIG:BLOC:BRAN:COUN 6, {2 * len(wave)}, 4", "TRIG:BLOC:SOUR:STAT 7, OFF", "TRIG:BLOC:BRAN:ALW 8, 0",
         "INIT")  # fmt: skip
    assert bench.ask("*OPC?;:OUTP?") == "1;0"
    assert readings(bench) == pytest.approx(np.array(2 * wave) / OHMS, abs=2e-7)
    assert bench.ask("SYST:ERR?") == NO_ERROR


def test_a_command_trigger_lets_a_waiting_model_go_on(bench: Any) -> None:
    send(bench, "TRIG:BLOC:BUFF:CLE 1", "TRIG:BLOC:WAIT 2, COMM", "TRIG:BLOC:MEAS 3", "TRIG:BLOC:BRAN:COUN 4,3,2",
         "OUTP ON", "INIT")  # fmt: skip
    for made in range(3):
        wait(bench, 10.0)
        assert bench.ask("TRIG:STAT?;:TRAC:ACT?") == f"WAITING;WAITING;2;{made}"
        bench.ask("*TRG;*STB?")
        wait(bench, 0.01)
    assert bench.ask("TRIG:STAT?;:TRAC:ACT?") == "IDLE;IDLE;4;3"


def test_a_wait_forgets_or_remembers_what_came_before(bench: Any) -> None:
    for clear, waits in (("", False), (", NEV", False), (", ENT", True)):
        send(bench, 'TRIG:LOAD "EMPTY"', "TRIG:BLOC:DEL:CONS 1, 1", f"TRIG:BLOC:WAIT 2, COMM{clear}",
             "TRIG:BLOC:NOP 3", "INIT", "*TRG")  # fmt: skip
        wait(bench, 2.0)
        assert bench.ask("TRIG:STAT?").startswith("WAITING") is waits
        bench.ask("ABOR;*STB?")


def test_an_event_that_never_comes_holds_the_model_and_not_the_bench(bench: Any) -> None:
    send(bench, "DIG:LINE3:MODE TRIG, IN", "TRIG:DIG3:IN:EDGE RIS", "TRIG:BLOC:WAIT 1, DIG3, ENTer", "INIT")
    wait(bench, 1e4)
    assert bench.ask("TRIG:STAT?;:TRIG:DIG3:IN:EDGE?;OVER?") == "WAITING;WAITING;1;RIS;0"
    bench.smu.receive(b"*OPC?\n")
    assert bench.smu.wait_for_reply(bench.clock.now + 5.0) is None
    assert bench.ask("ABOR;:TRIG:STAT?").endswith("ABORTED;ABORTED;1")


def test_branches_on_limits_events_and_the_first_time(bench: Any) -> None:
    send(bench, "TRIG:BLOC:BUFF:CLE 1", 'SOUR:CONF:LIST:CRE "up"', *(
        text for level in (1, 2, 3, 4) for text in (f"SOUR:VOLT {level}", 'SOUR:CONF:LIST:STOR "up"')
    ), "TRIG:BLOC:SOUR:STAT 2, ON", 'TRIG:BLOC:CONF:NEXT 3, "up"', "TRIG:BLOC:MEAS 4",
        "TRIG:BLOC:BRAN:LIM:CONS 5, ABOV, 0, 2.5e-4, 7, 4", "TRIG:BLOC:BRAN:ALW 6, 3", "TRIG:BLOC:SOUR:STAT 7, OFF",
        "INIT")  # fmt: skip
    assert bench.ask("*OPC?;:OUTP?") == "1;0"
    assert readings(bench) == pytest.approx([1e-4, 2e-4, 3e-4], rel=1e-2)
    send(bench, 'TRIG:LOAD "EMPTY"', "TRAC:CLE", "TRIG:BLOC:BRAN:ONCE 1, 3", "TRIG:BLOC:MEAS 2",
         "TRIG:BLOC:BRAN:ONCE:EXCL 3, 5", "TRIG:BLOC:BRAN:ALW 4, 1", "TRIG:BLOC:NOP 5", "OUTP ON", "INIT")  # fmt: skip
    assert bench.ask("*OPC?;:TRAC:ACT?") == "1;1"
    send(bench, 'TRIG:LOAD "EMPTY"', "TRAC:CLE", "TRIG:BLOC:NOT 1, 2", "TRIG:BLOC:BRAN:EVEN 2, NOT2, 4",
         "TRIG:BLOC:MEAS 3", "TRIG:BLOC:NOP 4", "INIT")  # fmt: skip
    assert bench.ask("*OPC?;:TRAC:ACT?") == "1;0"
    send(bench, 'TRIG:LOAD "EMPTY"', "CALC2:CURR:LIM1:LOW -1;UPP 1;STAT 1", "TRIG:BLOC:MEAS 1",
         "TRIG:BLOC:BRAN:LIM:DYN 2, IN, 1, 4", "TRIG:BLOC:MEAS 3", "TRIG:BLOC:BRAN:DELT 4, 1, 6", "TRIG:BLOC:MEAS 5",
         "TRIG:BLOC:NOP 6", "INIT")  # fmt: skip
    assert bench.ask("*OPC?;:TRAC:ACT?") == "1;2", "one reading has no difference to another"


def test_a_model_that_compares_nothing_ends_with_an_error(bench: Any) -> None:
    send(bench, "TRIG:BLOC:BRAN:LIM:CONS 1, IN, 0, 1, 3", "TRIG:BLOC:NOP 2")
    assert bench.ask("INIT;:SYST:ERR?;:TRIG:STAT?").startswith("-221,")
    assert bench.ask("TRIG:STAT?").startswith("ABORTED")


def test_a_sweep_is_a_model_of_blocks_that_can_be_changed(bench: Any) -> None:
    send(bench, "SOUR:SWE:VOLT:LIN 0, 1, 11, 1e-3, 1, BEST, OFF, OFF")
    assert bench.ask('SOUR:CONF:LIST:SIZE? "VoltLinearSweepList"') == "11"
    lines = bench.ask("TRIG:BLOC:LIST?").split("\n")
    assert len(lines) == 9
    assert lines[8].split()[1:] == ["SOURCE_OUTPUT", "OUTPUT:", "OFF"]
    send(bench, "INIT")
    assert bench.ask("*OPC?;:OUTP?") == "1;0"
    plain = readings(bench)
    send(bench, "TRIG:BLOC:SOUR:STAT 9, 1", "INIT")
    assert bench.ask("*OPC?;:OUTP?;:SOUR:VOLT?") == "1;1;1"
    assert readings(bench) == pytest.approx(plain, abs=3e-7)
    assert readings(bench) == pytest.approx(np.linspace(0, 1, 11) / OHMS, abs=3e-7)


def test_a_loop_can_be_listed_and_changed_too(bench: Any) -> None:
    send(bench, 'TRIG:LOAD "SimpleLoop", 4, 0')
    assert len(bench.ask("TRIG:BLOC:LIST?").split("\n")) == 6
    send(bench, "TRIG:BLOC:SOUR:STAT 6, 1", "INIT")
    assert bench.ask("*OPC?;:OUTP?;:TRAC:ACT?") == "1;1;4"


def test_the_config_list_template(bench: Any) -> None:
    send(bench, ':SOURce:CONF:LIST:CRE "SOURCE_LIST"', ':SENS:CONF:LIST:CRE "MEASURE_LIST"', *(
        text
        for level, limit in ((1, "1e-3"), (5, "1e-2"), (10, "1e-1"))
        for text in (f":SOUR:VOLT {level}", ':SOURce:CONF:LIST:STORE "SOURCE_LIST"', f":SENS:CURR:RANG {limit}",
                     ':SENSe:CONF:LIST:STOR "MEASURE_LIST"')
    ), "SOUR:VOLT:ILIM 0.1", 'TRIG:LOAD "ConfigList", "MEASURE_LIST", "SOURCE_LIST"', "INIT")  # fmt: skip
    assert bench.ask("*OPC?;:SENS:CURR:RANG?") == "1;0.1"
    send(bench, 'TRIG:LOAD:CONF:LIST "MEASURE_LIST", "SOURCE_LIST", 0.5', "INIT")
    assert bench.ask("*OPC?;:TRAC:ACT?") == "1;3"


def test_log_blocks_lines_and_user_delays(bench: Any) -> None:
    send(bench, "*CLS;:SYST:CLE", "SOUR:VOLT:DEL:USER2 0.25", "CURR:DEL:USER1 0.5",
         *(f"DIG:LINE{n}:MODE DIG,OUT" for n in range(3, 7)), "TRIG:BLOC:DIG:IO 1, 20, 60",
         "TRIG:BLOC:DEL:DYN 2, SOUR2", "TRIG:BLOC:DEL:DYN 3, MEASure1", 'TRIG:BLOC:LOG:EVEN 4, INFO2, "done"',
         'TRIG:BLOC:LOG:EVEN 5, ABOR, "enough"', "TRIG:BLOC:MEAS 6", "INIT")  # fmt: skip
    assert bench.ask("*OPC?;:TRIG:STAT?;:TRAC:ACT?") == "1;ABORTED;ABORTED;6;0"
    assert bench.clock.now == pytest.approx(0.75, abs=1e-4)
    assert bench.ask("DIG:LINE3:STAT?;:DIG:LINE4:STAT?;:DIG:LINE5:STAT?") == "1;0;1"
    assert '"done;4;' in bench.ask("SYST:EVEN:NEXT? INF")
    assert '"enough;2;' in bench.ask("SYST:EVEN:NEXT?")


REFUSED = [
    ("TRIG:BLOC:MEAS 0", "-222"),
    ("TRIG:BLOC:MEAS 256", "-222"),
    ('TRIG:BLOC:MEAS 1, "nobuffer"', "1115"),
    ('TRIG:BLOC:MEAS 1, "defbuffer1", INF', "-222"),
    ("TRIG:BLOC:WAIT 1, NONE", "-221"),
    ("TRIG:BLOC:WAIT 1, DIG9", "-224"),
    ("TRIG:BLOC:BRAN:COUN 1, 0, 2", "-222"),
    ("TRIG:BLOC:BRAN:COUN:COUN? 1", "-222"),
    ('TRIG:LOAD "ConfigList", "a", "b"', "2790"),
    ('TRIG:LOAD "GradeBinning"', "-241"),
    ('SOUR:CONF:LIST:STOR "no"', "2790"),
    ('SOUR:CONF:LIST:SIZE? "no"', "2790"),
    ('SOUR:CONF:LIST:REC "no"', "2790"),
    ("DIG:LINE7:MODE DIG,OUT", "-114"),
    ("DIG:LINE1:STAT 1", "-221"),
    ("CALC1:CURR:LIM1:STAT 1", "-114"),
    ("CALC2:CURR:LIM3:STAT 1", "-114"),
    ("INIT", "-221"),
]


@pytest.mark.parametrize(("message", "code"), REFUSED)
def test_what_does_not_go_is_refused(bench: Any, message: str, code: str) -> None:
    assert bench.ask(f"{message};:SYST:ERR?").split(",")[0] == code


def test_no_block_changes_while_the_model_runs(bench: Any) -> None:
    send(bench, "TRIG:BLOC:DEL:CONS 1, 10", "INIT")
    assert bench.ask("TRIG:BLOC:NOP 1;:SYST:ERR?").startswith("-221")


# --- configuration lists --------------------------------------------------------------------------


def test_lists_are_made_filled_recalled_and_deleted(bench: Any) -> None:
    send(bench, 'SOUR:CONF:LIST:CRE "a"', 'SENS:CONF:LIST:CRE "m"', "SOUR:VOLT 1;:SOUR:VOLT:ILIM 1e-4",
         'SOUR:CONF:LIST:STOR "a"', "SOUR:VOLT 2;:SOUR:VOLT:ILIM 2e-4", 'SOUR:CONF:LIST:STOR "a"',
         "SENS:CURR:NPLC 2", 'SENS:CONF:LIST:STOR "m"', "SENS:CURR:NPLC 1")  # fmt: skip
    assert bench.ask('SOUR:CONF:LIST:SIZE? "a";CAT?;CAT?;:SENS:CONF:LIST:SIZE? "m"') == "2;a;;1"
    send(bench, 'SOUR:CONF:LIST:REC "a", 1, "m", 1')
    assert bench.ask("SOUR:VOLT?;:SOUR:VOLT:ILIM?;:SENS:CURR:NPLC?") == "1;0.0001;2"
    send(bench, 'SOUR:VOLT 7;:SOUR:CONF:LIST:STOR "a", 1', 'SOUR:CONF:LIST:REC "a"')
    assert bench.ask("SOUR:VOLT?") == "7"
    assert ":SOUR:VOLT 7.0" in bench.ask('SOUR:CONF:LIST:QUER? "a", 1')
    assert ":SENS:CURR:NPLC 2.0" in bench.ask('SENS:CONF:LIST:QUER? "m", 1')
    send(bench, 'SOUR:CONF:LIST:DEL "a", 1')
    assert bench.ask('SOUR:CONF:LIST:SIZE? "a"') == "1"
    send(bench, 'SOUR:CONF:LIST:DEL "a"')
    assert bench.ask('SOUR:CONF:LIST:SIZE? "a";:SYST:ERR?').startswith("2790")
    send(bench, "*RST")
    assert bench.ask('SENS:CONF:LIST:SIZE? "m";:SYST:ERR?').startswith("2790")


def test_what_is_stored_does_not_move_with_the_settings(bench: Any) -> None:
    send(bench, 'SENS:CONF:LIST:CRE "m"', "SENS:CURR:DEL:USER1 1", 'SENS:CONF:LIST:STOR "m"',
         "SENS:CURR:DEL:USER1 2", 'SENS:CONF:LIST:REC "m"')  # fmt: skip
    assert bench.ask("SENS:CURR:DEL:USER1?") == "1"


# --- units, ohms, math and limits -----------------------------------------------------------------


def test_ohms_and_watts_from_a_current(bench: Any) -> None:
    send(bench, "SOUR:VOLT 1", "OUTP ON", "SENS:CURR:UNIT OHM")
    assert float(bench.ask("READ?")) == pytest.approx(OHMS, rel=1e-2)
    assert bench.ask('SENS:CURR:UNIT?;:FETC? "defbuffer1",UNIT') == "OHM;Ohm"
    send(bench, "SENS:CURR:UNIT WATT")
    assert float(bench.ask("READ?")) == pytest.approx(1.0 / OHMS, rel=1e-2)
    send(bench, "SENS:CURR:UNIT AMP")
    assert float(bench.ask("READ?")) == pytest.approx(1.0 / OHMS, rel=1e-2)
    assert bench.ask("SENS:VOLT:UNIT?;:SENS:RES:UNIT?") == "VOLT;OHM"
    send(bench, "SENS:RES:OCOM ON")
    assert bench.ask("RES:OCOM?") == "1"
    assert float(bench.ask("MEAS:RES?")) == pytest.approx(OHMS, rel=1e-2)


def test_math_and_limits(bench: Any) -> None:
    send(bench, "SOUR:VOLT 1", "OUTP ON", "CALC:CURR:MATH:FORM MXB;MMF 2e4;MBF 1;STAT ON")
    assert float(bench.ask("READ?")) == pytest.approx(3.0, rel=1e-2)
    assert bench.ask("CALC:CURR:MATH:FORM?;MMF?;MBF?;STAT?") == "MXB;20000;1;1"
    send(bench, "CALC1:CURR:MATH:FORM PERC;PERC 2e-4")
    assert float(bench.ask("READ?")) == pytest.approx(-50.0, rel=3e-2)
    send(bench, "CALCulate1:CURRent:DC:MATH:FORMat RECiprocal")
    assert float(bench.ask("READ?")) == pytest.approx(OHMS, rel=1e-2)
    send(bench, "CALC:CURR:MATH:STAT 0", "CALC2:CURR:LIM1:LOW 0;UPP 5e-5;STAT ON")
    bench.ask("READ?")
    assert bench.ask("CALC2:CURR:LIM1:FAIL?;:CALC2:CURR:LIM2:FAIL?") == "HIGH;NONE"
    send(bench, "CALC2:CURR:LIM1:CLE:AUTO OFF", "SOUR:VOLT 0.1")
    bench.ask("READ?")
    assert bench.ask("CALC2:CURR:LIM1:FAIL?") == "HIGH", "kept until it is cleared"
    send(bench, "CALC2:CURR:LIM1:CLE")
    assert bench.ask("CALC2:CURR:LIM1:FAIL?") == "NONE"


# --- the event log --------------------------------------------------------------------------------


def test_errors_stand_in_the_event_log_until_they_are_read(bench: Any) -> None:
    send(bench, "SYST:CLE")
    assert bench.ask("SYST:EVEN:COUN?;NEXT?") == f"0;{NO_ERROR}"
    bench.ask("NONSENSE;:SOUR:VOLT 1e6;*STB?")
    assert bench.ask("SYST:EVEN:COUN? ERR;COUN? WARN;COUN?") == "2;0;2"
    assert bench.ask("SYST:EVEN:NEXT?").startswith('-113,"Undefined header;1;2026/')
    assert bench.ask("SYST:ERR?").startswith("-113"), "the error queue is another list"
    send(bench, 'SYST:CLE;:SYST:EVEN:POST "it\'s done", INF')
    assert "it's done;4;" in bench.ask("SYST:EVEN:NEXT? INF")
    assert bench.ask("SYST:EVEN:COUN? ALL") == "0"


# --- the other language ---------------------------------------------------------------------------


def test_a_language_that_is_not_built_is_refused_by_name(bench: Any) -> None:
    said = bench.ask("*LANG SCPI2400;:SYST:ERR?;*LANG?")
    assert said.startswith("-241,")
    assert said.endswith(";SCPI")
    assert "the simulator speaks SCPI and TSP, not SCPI2400" in bench.log.texts()[-1]


def test_tsp_is_no_scpi(bench: Any) -> None:
    for line in ("smu.source.level = 1", "print(smu.measure.read())", "reset()"):
        assert bench.ask(f"{line}\nSYST:ERR?").split(",")[0] in ("-102", "-113", "-101")
        bench.ask("*CLS;*STB?")
