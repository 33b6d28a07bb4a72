"""Transcripts for the simulated B2201A as a person types them from the manual, and what its relays do meanwhile."""

from __future__ import annotations

import pytest

from support.notebook_chip import Bench
from xbarlab.mockhw.instrument import advance_to
from xbarlab.mockhw.instruments.keysight_b2201a.instrument import KeysightB2201A
from xbarlab.mockhw.probe_circuit.relays import Relays
from xbarlab.mockhw.scpi.tree import Command

MS = 1e-3


def make_bench(cards: int = 4) -> Bench:
    bench = Bench()
    bench.instrument = KeysightB2201A(
        "GPIB0::22::INSTR", bench.clock, bench.log,
        circuit=bench.circuit, serial="SIM02201", cards=cards, info=lambda: b"#10",
    )  # fmt: skip
    return bench


@pytest.fixture
def bench() -> Bench:
    return make_bench()


TRANSCRIPTS = [
    ("*IDN?", "AGILENT,B2201A,SIM02201,A.01.00"),
    ("*TST?;*OPC?;:SYST:ERR?", '0;1;0,"No error"'),
    (":ROUT:FUNC?;:FUNC NCON;FUNC?", "ACON;NCON"),
    (":ROUTE:CONNECTION:RULE? 0;:CONN:SEQ? 0", "FREE;BBM"),
    (":ROUT:CONN:RULE ALL,SROUTE;SEQ ALL,MBBR;RULE? 0;SEQ? 0", "SROU;MBBR"),
    (":BIAS? 0;:BIAS:PORT? 0;:AGND:STAT? 0;PORT? 0;:COUP:STATE? 0;PORT? 0;:AGND:UNUSED? 0", "0;10;0;12;0;'';''"),
    (":ROUT:CLOS:CARD? 0", "(@)"),
    (":ROUT:CLOS (@00109,00210);:ROUT:CLOS:CARD? 0", "(@00109,00210)"),
    (":rout:close:list (@00109);:clos? (@00109,00110);:OPEN? (@00109,00110)", "1,0;0,1"),
    (":CLOS (@00101:00104,00212);:CLOS:CARD? 0", "(@00101,00102,00103,00104,00212)"),
    (":CLOS (@00147:00202);:CLOS:CARD? 0", "(@00147,00148,00201,00202)"),
    (":CLOS (@00101,00202);:OPEN (@00202);:CLOS:CARD? 0", "(@00101)"),
    (":CLOS (@00101,00202);:ROUT:OPEN:CARD ALL;:CLOS:CARD? 0", "(@)"),
    (":FUNC NCON;:CLOS (@10101,10202);:OPEN? (@10101,10102,10201,10202);:CLOS:CARD? 1", "0,1,1,0;(@10101,10202)"),
    (":FUNC NCON;:CLOS (@40312);:CLOS:CARD? 4;CARD? 1;:OPEN:CARD 4;:CLOS:CARD? 4", "(@40312);(@);(@)"),
    (":FUNC NCON;:ROUT:BIAS:STAT ALL,ON;STAT? 4", "1"),
    (":SYMB:PORT 1,'SMU1';PORT? 1;PORT? 2;:SYMB:CHAN 0,3,'ROW3';CHAN? 0,3", '"SMU1";"02";"ROW3"'),
    (":SYST:CTYP? 1;CDES? 2", 'AGILENT,B2211A,0,A.01.00;"B2211A: 14 inputs x 12 outputs"'),
    (":DIAG:TEST:CARD:STAT? 1;:DIAG:TEST:CARD? ALL;:DIAG:TEST:CARD:STAT? 1;CLE 1;STAT? 1", "-1;0;0;-1"),
    (":DIAG:TEST:FRAM? CONT;:SYST:BEEP OFF;KLC ON;DISP:LED OFF;:SYST:ERR?", '0;0,"No error"'),
    (":CLOS (@00101);:SYST:CPON ALL;:CLOS:CARD? 0", "(@)"),
    ("SIM:CLOC:ADV 2.5;:SIM:CLOC?", "2.5"),
]  # fmt: skip


@pytest.mark.parametrize(("sent", "answered"), TRANSCRIPTS, ids=[sent[:40] for sent, _ in TRANSCRIPTS])
def test_transcript(bench: Bench, sent: str, answered: str) -> None:
    assert bench.ask(sent) == answered
    bench.ask("*CLS;*RST")
    assert bench.ask(":CLOS:CARD? 0;:FUNC?;:CONN:RULE? 0;:BIAS? 0") == "(@);ACON;FREE;0"


REFUSED = [
    (":CLOS (@01501)", -222),
    (":CLOS (@00149)", -222),
    (":CLOS (@00100)", -222),
    (":CLOS (@10101)", -222),
    (":FUNC NCON;:CLOS (@00101)", -222),
    (":FUNC NCON;:CLOS (@10113)", -222),
    (":CLOS (@00104:00101)", -222),
    (":CLOS (@101)", -171),
    (":CLOS (@)", -171),
    (":CLOS 00101", -104),
    (":CLOS", -109),
    (":CONN:RULE 0,SINGLE", -224),
    (":CONN:RULE? ALL", -224),
    (":CONN:SEQ 1,BBM", -222),
    (":BIAS:PORT 0,15", -222),
    (":AGND:UNUSED 0,5", -104),
    (":COUP:PORT 0,'2'", -222),
    (":BIAS 0,ON;:AGND 0,ON", -221),
    (":BIAS 0,ON;:CLOS (@01001)", -221),
    (":BIAS 0,ON;:OPEN (@01001)", -221),
    (":AGND 0,ON;:CLOS (@01201)", -221),
    (":COUP:PORT 0,'9';:COUP 0,ON;:BIAS 0,ON", -221),
    (":CLOS (@00101,01501)", -222),
    (":ROUT:OPEN:COOD 1", -113),
]


@pytest.mark.parametrize(("sent", "number"), REFUSED, ids=[sent for sent, _ in REFUSED])
def test_refused(bench: Bench, sent: str, number: int) -> None:
    bench.ask("*CLS")
    bench.ask(sent)
    event = int(bench.ask("*ESR?"))
    assert bench.errors() == [number]
    assert event == (32 if number > -200 else 16)
    assert not any(path[0] in (1, 15) for path in bench.circuit.relays.asked), "nothing of a wrong list is done"


def test_fewer_modules_have_fewer_outputs() -> None:
    bench = make_bench(cards=2)
    assert bench.ask(":CLOS (@00124);:CLOS:CARD? 0") == "(@00124)"
    bench.ask(":CLOS (@00125)")
    bench.ask(":FUNC NCON;:CLOS (@30101)")
    assert bench.errors() == [-222, -222]


def test_outputs_of_single_modules_are_those_of_the_whole(bench: Bench) -> None:
    bench.ask(":FUNC NCON;:CLOS (@20901)")
    assert bench.ask("*OPC?") == "1"
    assert bench.circuit.relays.closed == {(9, 13)}


# --- rules and modes --------------------------------------------------------------------------


def test_single_rule_opens_what_shares_a_port(bench: Bench) -> None:
    bench.ask(":CONN:RULE 0,SROU;:CLOS (@00101,00202)")
    assert bench.ask(":CLOS (@00102);:CLOS:CARD? 0") == "(@00102)"
    bench.ask(":CONN:RULE 0,FREE;:CLOS (@00103,00202)")
    assert bench.ask(":CLOS:CARD? 0") == "(@00102,00103,00202)"
    assert bench.ask(":CONN:RULE 0,SROU;:CLOS:CARD? 0") == "(@00102,00103,00202)", "a new rule moves nothing"
    bench.ask(":FUNC NCON;:CONN:RULE ALL,SROU;:CLOS (@10101,20101)")
    assert bench.ask(":CLOS:CARD? 1;CARD? 2") == "(@10101);(@20101)", "each module has its own rule"


def test_free_rule_ties_two_sources_together(bench: Bench) -> None:
    for terminal in bench.terminals:
        terminal.set(0.0, on=True)
    bench.ask(":CLOS (@00901,01001);*OPC?")
    bench.circuit.settle(bench.clock.now + 1.0)
    assert "p.1 and p.2 are tied together on one line" in bench.log.texts()


def test_bias_mode_fills_what_nothing_else_uses(bench: Bench) -> None:
    bench.ask(":BIAS:CHAN:DIS:CARD 0;:BIAS:CHAN:ENAB (@00101,00103,00104)")
    assert bench.ask(":BIAS:CHAN:ENAB? (@00101,00102);:BIAS:CHAN:DIS? (@00101,00102)") == "1,0;0,1"
    bench.ask(":BIAS:PORT 0,9;:CLOS (@00103)")
    assert bench.ask(":BIAS 0,ON;:CLOS:CARD? 0") == "(@00103,00901,00904)"
    assert bench.ask(":OPEN (@00103);:CLOS:CARD? 0") == "(@00901,00903,00904)"
    assert bench.ask(":CLOS (@00204);:CLOS:CARD? 0") == "(@00204,00901,00903)"
    assert bench.ask(":BIAS:PORT 0,8;:CLOS:CARD? 0") == "(@00204,00801,00803)"
    assert bench.ask(":OPEN:CARD 0;:CLOS:CARD? 0") == "(@00801,00803,00804)"
    assert bench.ask(":BIAS:PORT 0,-1;:CLOS:CARD? 0") == "(@)"
    assert bench.ask(":BIAS 0,OFF;:CLOS:CARD? 0") == "(@)"
    assert bench.errors() == []


def test_ground_mode_is_a_second_bias_mode(bench: Bench) -> None:
    assert bench.ask(":AGND 0,ON;:CLOS:CARD? 0") == "(@)", "no output is ground-enabled at first"
    assert bench.ask(":AGND:CHAN:ENAB (@01201,01202);:CLOS:CARD? 0") == "(@01201,01202)"
    assert bench.ask(":CLOS (@00101);:CLOS:CARD? 0") == "(@00101,01202)"


def test_couple_mode_moves_kelvin_pairs(bench: Bench) -> None:
    bench.ask(":COUP:PORT 0,'1,3';:COUP 0,ON")
    assert bench.ask(":COUP:PORT? 0;:CLOS (@00206);:CLOS:CARD? 0") == "'1,3';(@00105,00206)"
    assert bench.ask(":OPEN (@00105);:CLOS (@00506);:CLOS:CARD? 0") == "(@00506)"
    assert bench.ask(":COUP:PORT:DET;:COUP:PORT? 0") == "''"


# --- relays -----------------------------------------------------------------------------------


def close_times(bench: Bench) -> list[tuple[float, bool, tuple[int, int]]]:
    """Record (time, closing, path) of every movement from now on."""
    moved: list[tuple[float, bool, tuple[int, int]]] = []
    switch = bench.circuit.switch

    def watch(now, *, close=(), open=()):
        moved.extend((round(now / MS, 6), False, path) for path in open)
        moved.extend((round(now / MS, 6), True, path) for path in close)
        switch(now, close=close, open=open)

    bench.circuit.switch = watch  # pyright: ignore[reportAttributeAccessIssue]
    return moved


@pytest.mark.parametrize(
    ("sequence", "steps"),
    [
        ("BBM", [(2.0, False, (1, 1)), (3.0, True, (1, 2))]),
        ("MBBR", [(2.0, True, (1, 2)), (3.0, False, (1, 1))]),
        ("NSEQ", [(2.0, False, (1, 1)), (2.0, True, (1, 2))]),
    ],
)
def test_sequences(bench: Bench, sequence: str, steps: list[tuple[float, bool, tuple[int, int]]]) -> None:
    bench.ask(f":CONN:RULE 0,SROU;SEQ 0,{sequence};:CLOS (@00101)")
    bench.ask("*OPC?")
    assert bench.clock.now == pytest.approx(1 * MS)
    moved = close_times(bench)
    bench.ask(":CLOS (@00102);*OPC?")
    assert moved == steps


def test_the_bias_port_always_breaks_first(bench: Bench) -> None:
    bench.ask(":BIAS 0,ON;:CONN:SEQ 0,MBBR")
    bench.ask("*OPC?")
    moved = close_times(bench)
    bench.ask(":CLOS (@00105);*OPC?")
    assert [(closing, path) for _, closing, path in moved] == [(False, (10, 5)), (True, (1, 5))]


def test_relays_take_time_and_queries_wait_for_them(bench: Bench) -> None:
    assert bench.now(":CLOS (@00101)") == ""
    assert not bench.circuit.relays.closed
    assert bench.now(":CLOS? (@00101)") == "", "the parser waits for the relays"
    advance_to(bench.clock, 0.5 * MS)
    assert not bench.circuit.relays.closed
    advance_to(bench.clock, 1 * MS)
    assert bench.circuit.relays.closed == {(1, 1)}
    assert bench.ask(":CLOS? (@00101)") == "1"
    before = bench.clock.now
    assert bench.ask(":CLOS (@00101);*OPC?") == "1"
    assert bench.clock.now == before, "nothing moved"


def test_who_does_not_wait_switches_hot(bench: Bench) -> None:
    bench.now(":CLOS (@00901)")
    bench.terminals[0].set(bench.clock.now, on=True, volts=1.0)
    bench.clock.advance(2 * MS)
    assert bench.circuit.relays.hot == {(9, 1): 1}
    assert [e.what for e in bench.log.events if "hot" in e.what] == ["hot switch of 9-1: p.1 at 1 V"]
    bench.terminals[0].set(bench.clock.now, volts=0.0)
    bench.ask(":OPEN (@00901);:CLOS (@00901);*OPC?")
    assert bench.circuit.relays.hot == {(9, 1): 1}, "without volts nothing happens"


def test_a_relay_switched_hot_too_often_welds_and_the_relay_test_finds_it(bench: Bench) -> None:
    bench.terminals[0].set(0.0, on=True, volts=1.0)
    for _ in range(int(Relays.LIFE / Relays.HOT_WEAR)):
        bench.ask(":CLOS (@00901);:OPEN (@00901);*OPC?")
    assert bench.circuit.relays.welded == {(9, 1)}
    assert bench.ask(":CLOS:CARD? 0") == "(@)", "the instrument believes what it was told"
    assert (9, 1) in bench.circuit.relays.closed
    bench.terminals[0].set(bench.clock.now, on=False)
    assert bench.ask(":DIAG:TEST:CARD? ALL") == "1"
    assert bench.ask(":DIAG:TEST:CARD:STAT? 1;STAT? 2") == "1;0"


def test_reset_opens_everything_even_while_relays_move(bench: Bench) -> None:
    bench.ask(":CLOS (@00101)")
    bench.now(":CLOS (@00202)")
    bench.now("*RST")
    assert bench.ask("*OPC?;:CLOS:CARD? 0") == "1;(@)"
    assert not bench.circuit.relays.closed


def test_a_device_clear_does_not_call_relays_back(bench: Bench) -> None:
    bench.now(":CLOS (@00101)")
    bench.instrument.session.clear()
    assert bench.ask(":CLOS (@00202);:CLOS:CARD? 0") == "(@00101,00202)"
    assert bench.errors() == []


def test_every_command_has_a_manual_s_name(bench: Bench) -> None:
    box = bench.instrument
    assert isinstance(box, KeysightB2201A)
    patterns = [command.pattern for command in box.commands() if isinstance(command, Command)]
    assert len(patterns) == len(set(patterns))
