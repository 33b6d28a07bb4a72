"""What every simulated instrument understands: numbers in any base, the common commands, a colon before them."""

from __future__ import annotations

from pathlib import Path

import pytest

from xbarlab.mockhw.bench.bench import fresh_bench
from xbarlab.mockhw.instrument import SimulatedInstrument

STATIONS = Path(__file__).parents[2] / "runbooks" / "stations"
NUMBERS = {
    "array_board": ("SENS:AVER {};AVER?", "{}"),
    "keithley_2400": ("TRIG:COUN {};COUN?", "{}"),
    "keithley_2450": ("SENS:COUN {};COUN?", "{}"),
    "keysight_33622a": ("BURS:NCYC {};NCYC?", "+{}.0"),
    "keysight_b2201a": ("*SRE {};*SRE?", "{}"),
}


@pytest.fixture(params=NUMBERS)
def box(request: pytest.FixtureRequest) -> SimulatedInstrument:
    name = {"array_board": "mock_ta_hfo2", "keithley_2400": "mock_tio2_2400"}.get(request.param, "mock_tio2")
    bench = fresh_bench(STATIONS / f"{name}.bench.yaml")
    return next(box for box in bench.instruments.values() if box.kind == request.param)


def ask(box: SimulatedInstrument, message: str) -> str:
    box.receive(message.encode() + b"\n")
    reply = box.wait_for_reply()
    return "" if reply is None else reply.decode().strip()


def error(box: SimulatedInstrument, message: str) -> int:
    return int(ask(box, f"*CLS;{message};:SYST:ERR?").split(",")[0])


@pytest.mark.parametrize(
    ("text", "value"), [("#H10", 16), ("#h1f", 31), ("#B101", 5), ("#b1", 1), ("#Q17", 15), ("#q7", 7), ("12", 12)]
)
def test_whole_numbers_are_read_in_any_base(box: SimulatedInstrument, text: str, value: int) -> None:
    command, reply = NUMBERS[box.kind]
    assert ask(box, f"*ESE {text};*ESE?") == str(value)
    said = ask(box, command.format(text))
    assert float(said) == float(reply.format(value))
    assert error(box, f"*SRE {text}") == 0


@pytest.mark.parametrize("text", ["#HXY", "#B12", "#Q8", "#H", "#B", "#Q-1", "#H1.5"])
def test_a_digit_that_its_base_has_not_is_refused(box: SimulatedInstrument, text: str) -> None:
    assert error(box, f"*ESE {text}") == -121


def test_a_number_in_another_base_is_held_to_the_limits(box: SimulatedInstrument) -> None:
    assert error(box, "*ESE #H100") == -222
    assert error(box, "*ESE #HFFFFFFFFFFFFFFFFFFFFFFFF") == -222
    assert error(box, "*ESE " + "#B" + "1" * 2000) == -222


def test_a_colon_before_a_common_command_says_nothing(box: SimulatedInstrument) -> None:
    assert error(box, ":*CLS") == 0
    assert error(box, "*ESE 4;:*ESE 4") == 0
    assert ask(box, ":*ESE?") == "4"
    assert ask(box, "STAT:OPER:ENAB 3;:*CLS;ENAB?") == "3", "the path is left alone"
    for wrong in ("::*CLS", ":*", "*:CLS", ":STAT:*CLS"):
        assert error(box, wrong) in (-102, -113)


def test_power_on_status_clear_and_options(box: SimulatedInstrument) -> None:
    assert ask(box, "*PSC?") == "1"
    assert ask(box, "*OPT?") == "0"
    ask(box, "*ESE 5;*SRE 9;*ESE?")
    box.brown_out()
    assert ask(box, "*ESE?;*SRE?") == "0;0"
    ask(box, "*PSC 0;*ESE 5;*SRE 9;*ESE?")
    box.brown_out()
    assert ask(box, "*PSC?;*ESE?;*SRE?") == "0;5;9"
    assert ask(box, "*PSC -3;*PSC?") == "1"
    assert error(box, "*PSC 40000") == -222


def test_on_and_off_are_digits_in_any_base(box: SimulatedInstrument) -> None:
    switch = {"keysight_b2201a": "SYST:BEEP {}"}.get(box.kind, "OUTP {}")
    for text in ("#H0", "#B0", "#Q0", "#B1"):
        assert error(box, switch.format(text)) == 0
    assert error(box, switch.format("#H2")) == -224


def test_card_numbers_are_read_in_any_base() -> None:
    bench = fresh_bench(STATIONS / "mock_tio2.bench.yaml")
    matrix = next(box for box in bench.instruments.values() if box.kind == "keysight_b2201a")
    assert ask(matrix, "ROUT:FUNC NCON;:ROUT:CONN:RULE #B10,SROU;RULE? #H2;RULE? #Q1") == "SROU;FREE"
