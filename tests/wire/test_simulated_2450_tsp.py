"""The simulated 2450 after ``*LANG TSP``: what scripts that people bring ask of it, and what none may reach."""

from __future__ import annotations

import random
from typing import Any

import pytest

pytest.importorskip(
    "lupa", reason="a simulated 2450 that speaks TSP runs scripts in lupa's Lua: pip install 'xbarlab[sim]'"
)

from support.lua_escapes import HIDDEN, NAMES, escapes, no_code_of_the_host
from support.resistor_bench import ResistorBench
from xbarlab.mockhw.faults import Fault, FaultPlan
from xbarlab.mockhw.tsp import sandbox


def off_and_on(bench: ResistorBench) -> None:
    """Let the last client go, and the next one come."""
    bench.smu.disconnect()
    bench.smu.connect()


@pytest.fixture
def bench() -> ResistorBench:
    made = ResistorBench(1e4)
    made.smu.connect()
    made.ask("*LANG TSP")
    off_and_on(made)
    return made


def printed(bench: ResistorBench, *lines: str) -> list[float]:
    return [float(text) for text in bench.ask(*lines).replace(",", "\t").split("\t")]


def event(bench: ResistorBench) -> tuple[int, str]:
    code, text, *_ = bench.ask("print(eventlog.next())").split("\t")
    return int(float(code)), text


NOTHING = (0, "No error")


# -- the language ------------------------------------------------------------------------------------------------------


def test_the_language_changes_when_it_is_switched_off_and_on() -> None:
    bench = ResistorBench()
    assert bench.ask("OUTP ON;*LANG TSP;:OUTP?;*LANG?") == "1;SCPI"
    off_and_on(bench)
    assert not bench.smu.terminal.volts
    assert bench.ask("*LANG?", "*IDN?").splitlines() == ["TSP", "KEITHLEY INSTRUMENTS,MODEL 2450,04123450,1.7.12b"]
    assert bench.ask("print(smu.source.output)") == "smu.OFF"
    bench.ask("*LANG SCPI", "x = 1")
    assert bench.ask("print(x)") == "1"
    off_and_on(bench)
    assert bench.ask("*LANG?;:SOUR:VOLT?") == "SCPI;0"
    bench.ask("*LANG TSP")
    off_and_on(bench)
    assert bench.ask("print(x)") == "nil", "globals are gone without power"


def test_without_lua_the_language_stays_and_one_sentence_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    import builtins

    real = builtins.__import__

    def missing(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("lupa"):
            raise ImportError(name)
        return real(name, *rest, **more)

    bench = ResistorBench()
    monkeypatch.setattr(builtins, "__import__", missing)
    assert bench.ask("*LANG TSP;:SYST:ERR?;*LANG?").startswith("-241,")
    assert "xbarlab[sim]" in bench.log.texts()[-1]
    monkeypatch.undo()
    off_and_on(bench)
    assert bench.ask("*LANG?") == "SCPI"
    assert sandbox.load_lua()


# -- what scripts do ---------------------------------------------------------------------------------------------------


def test_a_level_and_a_reading(bench: ResistorBench) -> None:
    bench.ask(
        "reset()", "smu.source.func = smu.FUNC_DC_VOLTAGE", "smu.source.range = 2", "smu.source.ilimit.level = 1e-3",
        "smu.measure.func = smu.FUNC_DC_CURRENT", "smu.source.level = 0.5", "smu.source.output = smu.ON",
    )  # fmt: skip
    (amps,) = printed(bench, "print(smu.measure.read())")
    assert amps == pytest.approx(50e-6, rel=0.02)
    assert bench.ask("print(smu.source.level, smu.source.output, smu.source.func)") == (
        "5.000000e-01\tsmu.ON\tsmu.FUNC_DC_VOLTAGE"
    )
    assert bench.smu.terminal.volts == pytest.approx(0.5, abs=2e-3)
    bench.ask("smu.source.output = smu.OFF")
    assert not bench.smu.terminal.volts
    assert event(bench) == NOTHING


def test_a_reading_takes_its_line_cycles(bench: ResistorBench) -> None:
    bench.ask("smu.source.level = 0.1", "smu.source.output = smu.ON", "smu.measure.autorange = smu.OFF")
    bench.ask("smu.measure.nplc = 1", "x = smu.measure.read()")
    (seconds,) = printed(bench, "timer.cleartime() x = smu.measure.read() print(timer.gettime())")
    assert seconds == pytest.approx(4 / 50, rel=0.1)  # current, volts read back, and two of the autozero
    (seconds,) = printed(
        bench, "smu.measure.nplc = 0.1 timer.cleartime() x = smu.measure.read() print(timer.gettime())"
    )
    assert seconds == pytest.approx(0.4 / 50, rel=0.1)


def test_a_limit_is_held_and_told(bench: ResistorBench) -> None:
    bench.ask("smu.source.level = 1", "smu.source.ilimit.level = 2e-5", "smu.source.output = smu.ON")
    assert printed(bench, "print(smu.measure.read())") == [pytest.approx(2e-5, rel=0.05)]
    assert bench.ask("print(smu.source.ilimit.tripped)") == "smu.ON"


SCRIPT = """loadscript ramp
function ramp(top, steps)
    smu.source.func = smu.FUNC_DC_VOLTAGE
    smu.source.ilimit.level = 1e-3
    smu.source.output = smu.ON
    defbuffer1.clear()
    for i = 0, steps do
        smu.source.level = top * i / steps
        delay(0.01)
        smu.measure.read(defbuffer1)
    end
    smu.source.level = 0
    smu.source.output = smu.OFF
    printbuffer(1, defbuffer1.n, defbuffer1.readings, defbuffer1.sourcevalues)
end
endscript"""


def test_a_script_that_ramps_fills_the_buffer(bench: ResistorBench) -> None:
    bench.ask(*SCRIPT.splitlines())
    bench.ask("ramp()")
    found = printed(bench, "ramp(1, 10) print()")[:22]
    amps, volts = found[::2], found[1::2]
    assert volts == pytest.approx([0.1 * at for at in range(11)], abs=3e-3)
    assert amps == pytest.approx([1e-5 * at for at in range(11)], abs=1.5e-6)
    assert max(volts for volts, _ in bench.chip.lived) == pytest.approx(1.0, abs=5e-3)
    assert not bench.smu.terminal.volts
    assert printed(bench, "print(defbuffer1.n, defbuffer1.readings[11], defbuffer1[11])")[0] == 11


def test_a_sweep_of_the_trigger_model(bench: ResistorBench) -> None:
    bench.ask(
        "smu.source.func = smu.FUNC_DC_VOLTAGE smu.measure.func = smu.FUNC_DC_CURRENT smu.source.ilimit.level = 1e-3"
    )
    bench.ask("smu.source.sweeplinear('up', 0, 0.4, 5, 1e-3, 1, smu.RANGE_BEST, smu.OFF, smu.OFF, defbuffer1)")
    bench.ask("trigger.model.initiate()", "waitcomplete()")
    assert printed(bench, "printbuffer(1, defbuffer1.n, defbuffer1)") == pytest.approx(
        [0.0, 1e-5, 2e-5, 3e-5, 4e-5], abs=1e-6
    )
    assert bench.ask("print(trigger.model.state())").split("\t")[0] == "trigger.STATE_IDLE"
    assert bench.ask("print(smu.source.output)") == "smu.OFF"
    bench.ask("made = buffer.make(100)", "trigger.model.load('SimpleLoop', 7, 0, made)", "trigger.model.initiate()")
    assert bench.ask("print(made.n, made.capacity)") == "7\t100"
    assert event(bench) == NOTHING


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("smu.source.level = 500", -222),
        ("smu.source.level = 0/0", -222),
        ("smu.source.level = 'x'", -286),
        ("smu.source.output = 'on'", -286),
        ("smu.measure.nplc = 100", -222),
        ("smu.source.ilimit.level = 0", -222),
        ("smu.source.ilimit.tripped = 1", -286),
        ("smu.measure.read(smu)", -286),
        ("smu.source.sweeplinear('x', 0, 1, 5, 0, 1, smu.RANGE_AUTO, smu.OFF, smu.OFF, '\\1x\";:OUTP ON;\"')", -286),
        ("trigger.model.load('SimpleLoop\";*RST;\"', 1)", -286),
        ("buffer.make(1)", 1101),
        ("x = nothing.at.all", -286),
        ("if then", -285),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_event_and_the_next_line_runs(bench: ResistorBench, line: str, code: int) -> None:
    bench.ask(line)
    assert event(bench)[0] == code
    assert event(bench) == NOTHING
    assert bench.ask("print(7, smu.source.output)") == "7\tsmu.OFF"


def test_lines_behind_a_running_script_wait_and_abort_ends_it(bench: ResistorBench) -> None:
    bench.smu.receive(b"delay(3) x = 1\nprint(x)\n")
    assert bench.smu.wait_for_reply() == b"1\n"
    assert bench.clock.now >= 3.0
    bench.smu.receive(b"delay(1000) x = 2\n")
    bench.smu.receive(b"abort\n")
    assert bench.ask("print(x)") == "1"


def test_faults_strike_at_names_that_a_line_holds(bench: ResistorBench) -> None:
    bench.smu.session.faults = FaultPlan([Fault("error", header="smu.measure.read", code=-230)], [1])
    bench.ask("x = smu.measure.read()")
    assert event(bench)[0] == -230


# -- our driver --------------------------------------------------------------------------------------------------------


def test_our_driver_refuses_it_and_says_what_to_press() -> None:
    from xbarlab import open_bench
    from xbarlab.common.errors import XbarlabError
    from xbarlab.mockhw.bench.bench import bench_for, forget_bench
    from xbarlab.runbooks.stations import find_bench

    file = find_bench("mock_single_2450")
    (smu,) = bench_for(file).instruments.values()
    smu.connect()
    smu.receive(b"*LANG TSP\n")
    smu.disconnect()
    with pytest.raises(XbarlabError, match=r"speaks TSP: choose .* Command Set"):
        open_bench("mock_single_2450").open()
    forget_bench(file)


# -- what no script may reach ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, *(f"smu{end}" for end in HIDDEN)])
def test_nothing_of_this_computer_has_a_name(bench: ResistorBench, name: str) -> None:
    assert bench.ask(f"print(type({name}))") in {"nil", ""}
    assert event(bench)[0] in {0, -286}


@pytest.mark.parametrize("line", escapes("smu", "smu.measure.read"))
def test_attempts_to_escape_run_no_code_of_the_host(
    bench: ResistorBench, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_code_of_the_host(monkeypatch):
        said = bench.ask(line)
    assert "python" not in said
    assert bench.ask("print(1)") == "1"


def test_a_script_without_end_meets_a_bound(bench: ResistorBench) -> None:
    bench.ask("local s = 'x' while true do s = s .. s end")
    assert event(bench)[0] == -225
    bench.ask("while true do b = buffer.make(10) end")
    assert event(bench) == (-286, "there are 100 reading buffers already")
    assert bench.ask("print(1)") == "1"


CALLED = [
    "smu", "smu.source", "smu.source.level", "smu.source.output", "smu.measure.read", "smu.measure.readwithtime",
    "smu.source.sweeplinear", "smu.source.sweeplog", "smu.source.func", "smu.measure.func", "smu.source.protect.level",
    "smu.measure.unit", "smu.measure.terminals", "defbuffer1", "defbuffer1.clear", "defbuffer1.readings", "buffer.make",
    "defbuffer1.capacity", "defbuffer1.fillmode", "trigger.model.load", "trigger.model.initiate", "trigger.model.state",
    "eventlog.next", "eventlog.getcount", "print", "printbuffer", "printnumber", "delay", "timer.gettime", "localnode",
    "node[1].smu", "format.asciiprecision", "format.data", "reset", "x", "waitcomplete",
]  # fmt: skip
VALUES = [
    "0", "1", "-1", "0.5", "1e300", "0/0", "1/0", "'text'", "''", "nil", "true", "{}", "{1, 2}", "print", "smu",
    "smu.ON", "smu.RANGE_AUTO", "smu.INFINITE", "defbuffer1", "defbuffer2.readings", "function() end",
    "'\\1defbuffer1'", "'\\1x;y'", "'\\2'", "'SimpleLoop'", "'ConfigList'",
]  # fmt: skip


def test_whatever_a_line_asks_the_simulator_answers_the_next_one(bench: ResistorBench) -> None:
    draw = random.Random(2450)
    for _ in range(1500):
        name, values = draw.choice(CALLED), [draw.choice(VALUES) for _ in range(draw.randint(0, 4))]
        bench.ask(
            draw.choice(
                (
                    f"{name}({', '.join(values)})",
                    f"print({name}({', '.join(values)}))",
                    f"{name} = {draw.choice(VALUES)}",
                    f"print({name}[{draw.choice(VALUES)}])",
                    f"{name}.{draw.choice(('n', 'x', 'clear', 'level'))} = {draw.choice(VALUES)}",
                )
            )
        )
        bench.ask("eventlog.clear()")
    bench.ask("abort", "reset()", "format.data = format.ASCII", "eventlog.clear()")
    assert bench.ask("print(7)") == "7"
    assert event(bench) == NOTHING
