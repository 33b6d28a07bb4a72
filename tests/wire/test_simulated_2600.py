"""The simulated 2600B against its manual: lines, scripts, buffers, time, errors, and what no script may reach."""

from __future__ import annotations

import random
import re
import time
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("lupa", reason="the simulated 2600B runs scripts in lupa's Lua: pip install 'xbarlab[sim]'")

from support.lua_escapes import HIDDEN, NAMES, escapes, no_code_of_the_host
from support.resistor_box import ResistorBox
from xbarlab.common.errors import RefusedError
from xbarlab.mockhw.faults import Fault, FaultPlan
from xbarlab.mockhw.tsp import sandbox
from xbarlab.mockhw.tsp.names import Function
from xbarlab.mockhw.tsp.sandbox import LuaLimits, Sandbox

NOTHING = (0, "Queue Is Empty")


@pytest.fixture
def box() -> ResistorBox:
    return ResistorBox()


# -- lines -------------------------------------------------------------------------------------------------------------


def test_identity_is_a_common_command_on_a_line_of_its_own(box: ResistorBox) -> None:
    assert box.ask("*IDN?") == "Keithley Instruments Inc., Model 2636B, 4088888, 3.2.2"
    assert box.ask("print(localnode.model, localnode.serialno)") == "2636B\t4088888"
    assert box.ask("*ESE 5", "*ESE?") == "5"
    assert box.error() == NOTHING


def test_numbers_are_written_as_ascii_precision_says(box: ResistorBox) -> None:
    assert box.ask("print(0.25, -1, true, nil, 'x')") == "2.50000e-01\t-1.00000e+00\ttrue\tnil\tx"
    assert box.ask("format.asciiprecision = 10 print(1/3)") == "3.333333333e-01"
    assert box.ask("reset() print(1/3)") == "3.33333e-01"


def test_a_line_that_fails_stops_and_the_next_one_runs(box: ResistorBox) -> None:
    assert (
        box.ask("smua.source.levelv = 0.1 smua.source.levelv = 500 smua.source.levelv = 0.3", "print(7)")
        == "7.00000e+00"
    )
    assert box.error() == (1102, "Parameter too big")
    assert box.numbers("print(smua.source.levelv)") == [0.1]
    box.ask("if then")
    assert box.error() == (-285, "TSP Syntax error at line 1: unexpected symbol near 'then'")
    box.ask("local x = nothing.at.all")
    assert box.error() == (-286, "TSP Runtime error at line 1: attempt to index global 'nothing' (a nil value)")
    assert box.error() == NOTHING


def test_what_cannot_be_set_is_an_error_and_what_is_unknown_is_nil(box: ResistorBox) -> None:
    assert box.ask("print(smua.source.nonsense)") == "nil"
    for line in (
        "smua.source.nonsense = 1",
        "smua = 3",
        "smua.source = 1",
        "smua.measure.i = print",
        "localnode.model = 'x'",
    ):
        box.ask(line)
        assert box.error()[0] == -286, line
    assert box.ask("print(smua.source.output)") == "0.00000e+00"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("smua.source.limiti = 1e-12", 1101), ("smua.source.limiti = 5", 1102), ("smua.measure.nplc = 0", 1101),
        ("smua.measure.nplc = 'x'", -286), ("smua.source.levelv = 0/0", -286), ("smua.source.func = 0.5", -286),
        ("delay(-1)", 1101), ("smua.measure.i(7)", -286), ("smua.measure.i(smua)", -286),
        ("printbuffer(0, 1, smua.nvbuffer1)", 1101),
        ("smua.source.rangev = 0.2 smua.source.levelv = 5", -286), ("display.settext()", -286),
    ],
)  # fmt: skip
def test_values_outside_are_errors_of_the_queue(box: ResistorBox, line: str, code: int) -> None:
    box.ask(line)
    assert box.error()[0] == code


def test_node_and_localnode_are_the_same_channels(box: ResistorBox) -> None:
    box.ask("node[1].smub.source.levelv = 0.4")
    assert box.numbers("print(localnode.smub.source.levelv, smub.source.levelv)") == [0.4, 0.4]


# -- measuring ---------------------------------------------------------------------------------------------------------


def test_volts_and_amperes_of_both_channels(box: ResistorBox) -> None:
    box.ask("smua.source.levelv = 0.5 smua.source.output = 1 smub.source.output = smub.OUTPUT_ON")
    amps, volts = box.numbers("print(smua.measure.iv())")
    (back,) = box.numbers("print(smub.measure.i())")
    assert (amps, volts, back) == (
        pytest.approx(5e-5, rel=0.01),
        pytest.approx(0.5, rel=0.01),
        pytest.approx(-5e-5, rel=0.01),
    )
    assert box.numbers("print(smua.measure.r(), smua.measure.p())") == pytest.approx([1e4, 2.5e-5], rel=0.02)


def test_a_reading_takes_its_line_cycles(box: ResistorBox) -> None:
    box.ask("smua.measure.autozero = smua.AUTOZERO_ONCE smua.measure.nplc = 10 smua.source.output = 1")
    box.ask("print(smua.measure.i())")
    start = box.clock.now
    box.ask("print(smua.measure.i())")
    assert box.clock.now - start == pytest.approx(0.2, rel=0.01)
    box.ask("smua.measure.autozero = smua.AUTOZERO_AUTO print(smua.measure.i())")
    assert box.clock.now - start == pytest.approx(0.8, rel=0.01)


def test_compliance_is_told_and_kept_with_the_reading(box: ResistorBox) -> None:
    box.ask("smub.source.output=1 smua.source.limiti=1e-5 smua.source.levelv=0.5 smua.source.output=1")
    reply = box.ask(
        "smua.measure.i(smua.nvbuffer1) print(smua.source.compliance, smua.nvbuffer1.statuses[1], smua.nvbuffer1[1], "
        "status.measurement.instrument.smua.condition)"
    )
    told, status, amps, condition = reply.split("\t")
    assert told == "true"
    assert int(float(status)) & 64
    assert float(amps) == pytest.approx(1e-5, rel=0.02)
    assert float(condition) == 2.0


def test_a_fixed_range_overflows(box: ResistorBox) -> None:
    box.ask("smub.source.output=1 smua.measure.rangei=1e-6 smua.source.levelv=0.5 smua.source.output=1")
    assert box.numbers("print(smua.measure.i(), smua.measure.rangei)") == [9.91e37, 1e-6]


def test_off_is_zero_volts_behind_a_limit_or_open(box: ResistorBox) -> None:
    box.ask("smua.source.levelv=0.5 smua.source.output=1", "smua.source.output=0")
    terminal: Any = box.circuit.terminals["a"]
    assert (terminal.on, terminal.volts, terminal.limit) == (True, 0.0, 1e-3)
    box.ask("smua.source.offmode = smua.OUTPUT_HIGH_Z")
    assert not terminal.on


def test_a_current_source_holds_its_voltage_limit(box: ResistorBox) -> None:
    box.ask(
        "smub.source.output=1 smua.source.func=smua.OUTPUT_DCAMPS smua.source.limitv=2",
        "smua.source.leveli=1e-4 smua.source.output=1",
    )
    assert box.numbers("print(smua.measure.v())") == [pytest.approx(1.0, rel=0.01)]
    box.ask("smua.source.leveli=1e-3")
    assert box.numbers("print(smua.measure.v())") == [pytest.approx(2.0, rel=0.01)]
    assert box.ask("print(smua.source.compliance)") == "true"


# -- buffers and scripts -----------------------------------------------------------------------------------------------


SWEEP = """loadscript sweep
smua.nvbuffer1.clear() smua.nvbuffer1.appendmode = 1
smua.nvbuffer2.clear() smua.nvbuffer2.appendmode = 1 smua.nvbuffer1.collecttimestamps = 1
smub.source.output = 1 smua.source.output = 1
for step = 1, 4 do
  smua.source.levelv = step * 0.1
  delay(0.5)
  smua.measure.iv(smua.nvbuffer1, smua.nvbuffer2)
end
waitcomplete()
endscript""".splitlines()


def test_a_script_is_kept_under_its_name_and_called(box: ResistorBox) -> None:
    start = box.clock.now
    assert box.ask(*SWEEP) == ""
    assert box.clock.now == start
    readings = box.numbers("sweep() printbuffer(1, 4, smua.nvbuffer1, smua.nvbuffer2, smua.nvbuffer1.timestamps)")
    assert readings[0::3] == pytest.approx([1e-5, 2e-5, 3e-5, 4e-5], rel=0.05)
    assert readings[1::3] == pytest.approx([0.1, 0.2, 0.3, 0.4], rel=0.05)
    assert readings[2::3] == pytest.approx([0.0, 0.56, 1.12, 1.68], abs=0.08)
    assert box.clock.now - start > 2.0


def test_an_anonymous_script_runs_at_once(box: ResistorBox) -> None:
    assert box.ask("loadandrunscript", "for i = 1, 3 do print(i) end", "endscript").splitlines()[2] == "3.00000e+00"


def test_lines_behind_a_running_script_wait_and_abort_ends_it(box: ResistorBox) -> None:
    box.ask(*SWEEP)
    box.box.receive(b"sweep()\nprint(smua.nvbuffer1.n)\n")
    assert box.box.busy
    box.box.advance(1.3)
    box.box.receive(b"abort\n")
    assert not box.box.busy
    assert box.box.wait_for_reply() == b"2.00000e+00\n"
    assert box.numbers("print(smua.source.output, smua.source.levelv)") == [1.0, pytest.approx(0.3)]
    assert box.error() == NOTHING


def test_a_script_that_was_cut_off_while_it_was_loaded_does_not_run(box: ResistorBox) -> None:
    box.ask("loadscript half", "smua.source.output = 1", "abort")
    assert box.numbers("endscript", "print(smua.source.output)") == [0.0]


def test_made_buffers_append_and_overwrite(box: ResistorBox) -> None:
    assert box.numbers("b = smua.makebuffer(3) smua.measure.v(b) smua.measure.v(b) print(b.n, b.capacity)") == [
        1.0,
        3.0,
    ]
    assert box.numbers("b.appendmode = 1 smua.measure.v(b) smua.measure.v(b) print(b.n)") == [3.0]
    box.ask("smua.measure.v(b)")
    assert box.error() == (-286, "reading buffer is full")
    assert box.numbers("b.clear() print(b.n)") == [0.0]


def test_count_and_interval_make_a_record(box: ResistorBox) -> None:
    box.ask("smua.measure.nplc=0.1 smua.measure.autozero=0 smua.measure.count=5 smua.measure.interval=0.1")
    times = box.numbers("smua.measure.i(smua.nvbuffer1) printbuffer(1, 5, smua.nvbuffer1.timestamps)")
    assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4], abs=5e-3)


def test_a_sweep_of_the_trigger_model(box: ResistorBox) -> None:
    volts = box.numbers(
        "smub.source.output = 1 smua.trigger.source.linearv(0, 0.4, 5) smua.trigger.source.action = smua.ENABLE",
        "smua.trigger.measure.iv(smua.nvbuffer1, smua.nvbuffer2) smua.trigger.measure.action = smua.ENABLE",
        "smua.trigger.count = 5 smua.source.delay = 0.1 smua.source.levelv = 0.05 smua.source.output = 1",
        "smua.trigger.endpulse.action = smua.SOURCE_HOLD smua.trigger.endsweep.action = smua.SOURCE_IDLE",
        "smua.trigger.initiate() waitcomplete() printbuffer(1, 5, smua.nvbuffer2)",
    )
    assert volts == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4], abs=3e-3)
    assert box.clock.now > 0.5
    assert box.numbers("print(smua.nvbuffer1.n, smua.source.levelv)") == [5.0, 0.05]
    box.ask("smua.trigger.source.listv({0.1, 0.3}) smua.trigger.count = 4 smua.trigger.initiate()")
    again = box.numbers("printbuffer(1, 4, smua.nvbuffer2)")
    assert again == pytest.approx([0.1, 0.3, 0.1, 0.3], abs=3e-3)
    for wrong in (
        "smua.trigger.source.listv({})",
        "smua.trigger.source.listv({1e6})",
        "smua.trigger.source.logv(0, 1, 3)",
    ):
        box.ask(wrong)
        assert box.error()[0] != 0, wrong
    logarithmic = box.numbers(
        "smua.trigger.source.logv(0.1, 1, 3) smua.trigger.count = 3 smua.trigger.initiate()",
        "printbuffer(1, 3, smua.nvbuffer2)",
    )
    assert logarithmic == pytest.approx([0.1, 0.316, 1.0], abs=5e-3)


def test_binary_buffers_have_an_indefinite_header(box: ResistorBox) -> None:
    box.ask("smua.measure.count=2 smua.measure.v(smua.nvbuffer1)")
    box.box.receive(b"format.data=format.REAL32 printbuffer(1,2,smua.nvbuffer1)\n")
    data = box.box.wait_for_reply()
    assert data is not None
    assert data[:2] == b"#0"
    assert len(data) == 2 + 2 * 4 + 1
    box.box.receive(b"format.data=format.REAL64 format.byteorder=format.BIGENDIAN printbuffer(1,2,smua.nvbuffer1)\n")
    assert len(box.box.wait_for_reply() or b"") == 2 + 2 * 8 + 1


def test_timer_and_clock_count_the_bench_s_time(box: ResistorBox) -> None:
    assert box.numbers("timer.reset() delay(2.5) print(timer.measure.t())") == [2.5]


def test_without_power_globals_scripts_and_settings_are_gone(box: ResistorBox) -> None:
    box.ask(*SWEEP, "kept = 3 smua.source.levelv = 0.2")
    box.box.brown_out()
    assert box.ask("print(kept, sweep, smua.source.levelv)") == "nil\tnil\t0.00000e+00"
    assert int(box.ask("*ESR?")) & 128


# -- faults ------------------------------------------------------------------------------------------------------------


def test_faults_strike_at_names_that_a_line_holds(box: ResistorBox) -> None:
    assert box.box.session.tree.find("smua.measure.iv") is not None
    assert box.box.session.tree.find("smua.measure.nonsense") is None
    box.box.session.faults = FaultPlan([Fault(kind="no_reply", header="smua.measure.iv", where="after")])
    assert box.ask("print(smua.measure.iv())", "print(1)") == "1.00000e+00"
    assert len(box.numbers("print(smua.measure.iv())")) == 2
    box.box.session.faults = FaultPlan([Fault(kind="error", header="delay", code=-286)])
    box.ask("delay(1)")
    assert box.error()[0] == -286


# -- what no script may reach ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*NAMES, *(f"smua{end}" for end in HIDDEN)])
def test_nothing_of_this_computer_has_a_name(box: ResistorBox, name: str) -> None:
    assert box.ask(f"print(type({name}))") in {"nil", ""}
    assert box.error()[0] in {0, -286}


@pytest.mark.parametrize("line", escapes("smua", "smua.measure.i"))
def test_attempts_to_escape_run_no_code_of_the_host(
    box: ResistorBox, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with no_code_of_the_host(monkeypatch):
        said = box.ask(line)
    assert "python" not in said
    assert box.ask("print(1)") == "1.00000e+00"


def test_the_lua_that_lupa_makes_by_itself_would_run_code_of_the_host() -> None:
    """What the settings are for: this is no test of ours, it shows that the one above can fail."""
    runtime = sandbox.load_lua().LuaRuntime()
    assert runtime.eval("python.eval('6 * 7')") == 42


def test_objects_of_the_host_that_come_in_by_a_mistake_stay_closed() -> None:
    seen: list[object] = []

    def leak() -> Path:
        return Path()

    def keep(value: object) -> None:
        seen.append(value)

    lua = Sandbox({"leak": Function(leak), "keep": Function(keep)})
    for line in ("keep(tostring(leak().cwd))", "leak().x = 1", "keep(tostring(leak()['__class__']))", "leak()()"):
        with pytest.raises(Exception, match=r"TSP Runtime error"):
            list(lua.run(lua.load(line)))
    assert seen == []


LIMITS = LuaLimits(instructions=1_000_000, seconds=2.0, memory=1 << 23, text=1 << 20)
ENDLESS = {
    "while true do end": "no more instructions",
    "local function f() return f() end f()": "no more instructions",
    "repeat x = smua.source.levelv until false": "no more instructions",
    "local s = 'x' while true do s = s .. s end": "Out of memory",
    "t = {} for i = 1, 1e9 do t[i] = {i} end": "Out of memory",
    "local function f() return 1 + f() end f()": "stack overflow",
    "print(string.rep('x', 1e9))": "too long",
    "print(('x'):rep(1e9))": "too long",
    "print(string.find(string.rep('a', 5000), string.rep('.-', 8) .. 'b'))": "too long on this text",
    "print(string.gsub(string.rep('a', 50000), '.*.*b', ''))": "too long on this text",
}


@pytest.mark.parametrize("line", ENDLESS)
def test_a_script_without_end_meets_a_bound_and_the_next_one_runs(line: str) -> None:
    said: list[Any] = []
    lua = Sandbox(
        {"print": Function(lambda *values: said.append(values)), "smua.source.levelv": Function(lambda: 0)}, LIMITS
    )
    began = time.process_time()
    with pytest.raises(Exception, match=re.escape(ENDLESS[line])):
        list(lua.run(lua.load(line)))
    assert time.process_time() - began < 5.0
    list(lua.run(lua.load("print(1)")))
    assert said == [(1,)]


def test_a_script_that_prints_without_end_and_is_not_read_is_stopped(box: ResistorBox) -> None:
    box.box.session.limits = type(box.box.session.limits)(unread=10_000)
    box.box.receive(b"while true do print('nobody reads this') end\n")
    while box.box.wait_for_reply() is not None:
        pass
    assert box.error() == (-430, "the output queue is full")


def test_a_line_or_script_that_is_too_long_is_counted_off(box: ResistorBox) -> None:
    limit = box.box.session.limits.text
    box.box.receive(b"x = '" + b"y" * (limit + 10) + b"'\n")
    assert box.error()[0] == -363
    box.box.receive(b"loadscript long\n")
    for _ in range(3):
        box.box.receive(b"-- " + b"y" * (limit - 100) + b"\n")
    assert box.error() == (-286, "the script is too long")


NAMES_OF_ALL = [
    "smua",
    "smub.source",
    "smua.source.levelv",
    "smua.source.output",
    "smua.measure.i",
    "smua.measure.iv",
    "smua.nvbuffer1",
    "smua.nvbuffer1.readings",
    "smua.nvbuffer1.clear",
    "smua.makebuffer",
    "smua.trigger.source.listv",
    "node",
    "node[1].smua.reset",
    "smua.trigger.source.linearv",
    "smua.trigger.initiate",
    "smua.trigger.measure.iv",
    "print",
    "printbuffer",
    "printnumber",
    "delay",
    "timer.measure.t",
    "errorqueue.next",
    "errorqueue.count",
    "display.settext",
    "display.screen",
    "format.data",
    "format.asciiprecision",
    "status.condition",
    "math.random",
    "string.rep",
    "string.find",
    "table.concat",
    "loadstring",
    "os.time",
    "localnode.model",
    "waitcomplete",
    "reset",
    "smua.measureivandstep",
    "smua.sense",
    "x",
    "tostring",
    "error",
]
VALUES = [
    "0",
    "1",
    "-1",
    "0.5",
    "1e300",
    "-1e300",
    "0/0",
    "1/0",
    "'text'",
    "''",
    "nil",
    "true",
    "{}",
    "{1, 2}",
    "{'a', {}}",
    "2",
    "print",
    "smua",
    "smua.nvbuffer1",
    "smub.nvbuffer2.readings",
    "function() end",
    "3",
    "'\\1smua.nvbuffer1'",
    "'\\2'",
]


def test_whatever_a_line_asks_the_simulator_answers_the_next_one(box: ResistorBox) -> None:
    """What a name is called with, set to or asked by makes an entry of the error queue at most."""
    draw = random.Random(2600)
    for _ in range(1500):
        name, values = draw.choice(NAMES_OF_ALL), [draw.choice(VALUES) for _ in range(draw.randint(0, 3))]
        line = draw.choice(
            (
                f"{name}({', '.join(values)})",
                f"print({name}({', '.join(values)}))",
                f"{name} = {draw.choice(VALUES)}",
                f"print({name}[{draw.choice(VALUES)}])",
                f"{name}.{draw.choice(('n', 'x', 'clear'))} = {draw.choice(VALUES)}",
                f"x = {name}",
                bytes(draw.randrange(32, 127) for _ in range(20)).decode(),
            )
        )
        box.ask(line)
        box.ask("errorqueue.clear()")
    box.ask("endscript", "abort", "reset()", "errorqueue.clear()")
    assert box.ask("print(7)") == "7.00000e+00"
    assert box.error() == NOTHING


def test_without_lupa_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "lupa", None)
    with pytest.raises(
        RefusedError, match=r"needs Lua, which is not installed: python -m pip install \"xbarlab\[sim\]\""
    ):
        ResistorBox()
