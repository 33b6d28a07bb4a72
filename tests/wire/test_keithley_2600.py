"""The 2600B driver's exact lines on a scripted cable, its scripts, and its limits; no Lua runs here."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qcodes.dataset import LinSweep

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW
from xbarlab.instruments.drivers.keithley_2600.box import Keithley2600Box
from xbarlab.instruments.drivers.keithley_2600.unit import Keithley2600Smu
from xbarlab.instruments.drivers.list_sweep import PIECE_SECONDS, pieces
from xbarlab.instruments.drivers.roles import RecordingMeter, SourceMeter, lacking_verbs
from xbarlab.instruments.drivers.smu_readings import Point
from xbarlab.instruments.errors import ConnectionLostError, GarbledReplyError, InstrumentError
from xbarlab.instruments.limits import Limits

ERRORS = rb"""local c,m=errorqueue.next() print(string.format('%d,"%s"',c,(string.gsub(m,'"',"'"))))"""
E = b"\n" + ERRORS
OK = b'0,"Queue Is Empty"\n'
LIMITS = Limits().narrowed({"set_volts_max": 2.5, "reset_volts_max": 2.0, "current_max": 1e-3}, source="tio2.chip.yaml")
IDN = b"Keithley Instruments Inc., Model 2636B, 4088888, 3.2.2\n"
SAFE = [
    (b"abort\nloadscript\nendscript\n", b""),
    (b"smua.source.levelv=0 smub.source.levelv=0\n", b""),
    (b"smua.source.output=0 smub.source.output=0\n", b""),
]


def setup(smu: str, limit: str = "0.001") -> list[tuple[bytes, bytes]]:
    text = (
        f"format.data=format.ASCII format.asciiprecision=10 local smu={smu} smu.source.func=1 smu.sense=0 "
        "smu.source.rangev=2.5 smu.source.offmode=0 smu.source.delay=0 smu.measure.delay=0 smu.measure.count=1 "
        "smu.measure.interval=0 smu.measure.filter.enable=0 smu.measure.autorangei=1 smu.measure.lowrangei=1e-07 "
        f"smu.measure.nplc=1 smu.measure.autozero=1 {smu}.source.limiti={limit} print(localnode.linefreq)"
    )
    return [
        (f"{smu}.source.levelv=0 {smu}.source.output=0".encode() + E, OK),
        (text.encode() + E, b"5.000000000e+01\n" + OK),
    ]


OPENING = [
    (b"*IDN?\n", IDN),
    *SAFE,
    (b"*CLS\n*RST" + E, OK),
    (b"print(localnode.model)", b"2636B\n"),
    *setup("smua"),
    *setup("smub"),
]
PLACE = b'print("MARK")\n'
OFF = b"print(string.format('%d%d',smua.source.output,smub.source.output))"
IDLE = [*SAFE, (PLACE, b"MARK\n"), (ERRORS, OK), (OFF, b"00\n")]
REPLY = b"local i,v=smua.measure.iv() print(i,v,smua.source.compliance)"

_MARKED = re.compile(rb'print\("(\d{9})"\)\n(.*)\nprint\("(\d{9})"\)\n', re.DOTALL)
_MARK = re.compile(rb'print\("(\d{9})"\)\n')


def unmarked(message: bytes) -> tuple[bytes, Callable[[bytes], bytes]]:
    """Return what stands between the marks of a message, and what puts them around its reply."""
    found = _MARKED.fullmatch(message)
    if found is not None:
        assert found[1] != found[3]
        return found[2], lambda reply: found[1] + b"\n" + reply + found[3] + b"\n"
    mark = _MARK.fullmatch(message)
    if mark is not None:
        return PLACE, lambda reply: reply.replace(b"MARK", mark[1])
    return message, lambda reply: reply


class Scripted(fake.ScriptedResource):
    """Insists on the exact lines; marks are random numbers."""

    def answer(self, message: bytes) -> bytes:
        inner, marked = unmarked(message)
        return marked(super().answer(inner))


class WatchedClock:
    """Keeps what it was asked to wait for."""

    def __init__(self) -> None:
        self.waits: list[float] = []
        self.then: Callable[[], None] = lambda: None

    def now(self) -> float:
        return sum(self.waits)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.then()


class Cable:
    def __init__(self) -> None:
        self.boxes: list[Any] = []

    def box(self, *script: tuple[bytes, bytes | BaseException], **kwargs: Any) -> tuple[Any, Any]:
        resource = Scripted([*OPENING, *script])
        kind: Any = Keithley2600Box
        box = kind("smus", resource=resource, **{"limits": LIMITS, **kwargs})
        box.clock = WatchedClock()
        self.boxes.append(box)
        return box, resource

    def close(self) -> None:
        for box in self.boxes:
            if getattr(box, "_visa_handle", None) is not None:
                box.visa_handle.script = list(IDLE)
                box.close()


@pytest.fixture
def cable() -> Iterator[Cable]:
    cable = Cable()
    yield cable
    cable.close()


@pytest.fixture
def on(cable: Cable) -> tuple[Any, Any]:
    box, resource = cable.box(
        (b"smua.source.limiti=0.0001 smua.source.levelv=0" + E, OK), (b"smua.source.output=1" + E, OK)
    )
    box.smua.on(compliance=1e-4)
    resource.assert_done()
    return box, resource


# -- opening -----------------------------------------------------------------------------------------------------------


def test_its_channels_have_the_role_of_a_source_meter_that_records() -> None:
    assert lacking_verbs(Keithley2600Smu, SourceMeter) == ()
    assert lacking_verbs(Keithley2600Smu, RecordingMeter) == ()


def test_opening_makes_safe_before_anything_is_asked(cable: Cable) -> None:
    box, resource = cable.box()
    resource.assert_done()
    assert (box.model, box.identity.serial, box.simulated) == ("2636B", "4088888", False)
    assert box.get_idn()["model"] == "2636B"
    assert box.smua.point_seconds == pytest.approx(0.022)
    assert [resource.raw[0], *resource.raw[1:4]] == [b"*IDN?\n", *(line for line, _ in SAFE)]


@pytest.mark.parametrize("idn", ["Keithley Instruments Inc., Model 2601B, 1, 1", "KEITHLEY INSTRUMENTS,MODEL 2450,1,1"])
def test_another_instrument_is_refused_by_name_and_hears_nothing(idn: str) -> None:
    resource = Scripted([(b"*IDN?\n", idn.encode() + b"\n")])
    with pytest.raises(InstrumentError, match=r"not a 2602B, 2612B, 2634B or 2636B"):
        Keithley2600Box("smus", resource=resource)
    resource.assert_done()


def test_a_small_limit_of_the_chip_holds_from_the_beginning(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "OPENING", [*OPENING[:-4], *setup("smua", "1e-05"), *setup("smub", "1e-05")])
    _, resource = cable.box(limits=LIMITS.narrowed({"current_max": 1e-5}, source="x"))
    resource.assert_done()


# -- levels ------------------------------------------------------------------------------------------------------------


def test_the_exact_bytes_of_one_exchange(on: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    box, resource = on
    box.wire.connection._own_binding._number = 411222332
    resource.script = [(b"smua.source.levelv=0.5" + E, OK)]
    box.smua.level(0.5)
    assert resource.raw[-1] == (
        b'print("411222333")\nsmua.source.levelv=0.5\nlocal c,m=errorqueue.next() '
        b"""print(string.format('%d,"%s"',c,(string.gsub(m,'"',"'"))))\nprint("411222334")\n"""
    )


def test_the_limit_is_known_to_hold_before_the_output_goes_on(on: tuple[Any, Any]) -> None:
    box, resource = on
    resource.script = [
        (b"smua.source.limiti=0.0005 smua.source.levelv=1.5" + E, OK),
        (b"smua.source.levelv=-1" + E, OK),
        (b"smua.source.levelv=0 smua.source.output=0" + E, OK),
    ]
    box.smua.level(1.5, compliance=5e-4)
    box.smua.level(-1.0)
    box.smua.off()
    resource.assert_done()
    assert not box.smua.is_on


def test_measure_and_step_are_one_message_each(on: tuple[Any, Any]) -> None:
    box, resource = on
    resource.script = [
        (REPLY + E, b"2.0e-05\t1.0e-01\tfalse\n" + OK),
        (b"smua.source.levelv=0.2 delay(0.01) " + REPLY + E, b"1.0e-04\t1.999e-01\ttrue\n" + OK),
        (b"smua.source.levelv=0.3 " + REPLY + E, b"9.91e+37\t2.999e-01\tfalse\n" + OK),
    ]
    assert box.smua.measure() == Point(0.1, 2e-5, 0)
    assert box.smua.step(0.2, dwell=0.01) == Point(0.1999, 1e-4, FLAG_COMPLIANCE)
    beyond = box.smua.step(0.3)
    assert np.isnan(beyond.current)
    assert beyond.flags == FLAG_OVERFLOW
    resource.assert_done()


def test_what_it_reports_is_raised_with_the_whole_queue(on: tuple[Any, Any]) -> None:
    box, resource = on
    resource.script = [
        (REPLY + E, b'-286,"TSP Runtime error at line 1: x"\n'),
        (ERRORS, b'1102,"Parameter too big"\n'),
        (ERRORS, OK),
    ]
    with pytest.raises(InstrumentError, match="-286 TSP Runtime error at line 1: x; 1102 Parameter too big"):
        box.smua.measure()


def test_a_reply_of_before_is_thrown_away_and_a_garbled_one_is_said(on: tuple[Any, Any]) -> None:
    box, resource = on
    resource._out += b"1.0e-09\t9.0e-01\tfalse\n123456789\n"
    resource.script = [(PLACE, b"MARK\n"), (REPLY + E, b"2.0e-05\t1.0e-01\tfalse\n" + OK)]
    box.wire.line.out_of_step = True
    assert box.smua.measure() == Point(0.1, 2e-5, 0)
    resource.script = [(REPLY + E, b"2.0e-05\t1.#\tfalse\n" + OK)]
    with pytest.raises(GarbledReplyError):
        box.smua.measure()


# -- scripts -----------------------------------------------------------------------------------------------------------


def sweep_script(levels: list[str], dwell: str = "0.001", smu: str = "smua") -> bytes:
    rows = [",".join(levels[at : at + 25]) + "," for at in range(0, len(levels), 25)]
    return "\n".join(
        [
            "loadscript xbarlab_program", f"local smu={smu}", "local levels={", *rows, "}",
            "smu.nvbuffer1.clear() smu.nvbuffer2.clear() smu.nvbuffer1.appendmode=1 smu.nvbuffer2.appendmode=1",
            "smu.source.levelv=0 smu.source.limiti=0.0001 smu.source.output=1",
            f"for at=1,{len(levels)} do", "smu.source.levelv=levels[at]", f"delay({dwell})",
            "smu.measure.iv(smu.nvbuffer1,smu.nvbuffer2)", "end", "smu.source.levelv=0 smu.source.output=0",
            "endscript",
        ]
    ).encode()  # fmt: skip


def run_of(script: bytes, count: int) -> list[tuple[bytes, bytes | BaseException]]:
    told: list[tuple[bytes, bytes | BaseException]] = [
        (script + E, OK),
        (b"xbarlab_program()\n", b""),
        (b"print(smua.nvbuffer1.n)" + E, b"%d.0e+00\n" % count + OK),
    ]
    for start in range(1, count + 1, 500):
        end = min(start + 499, count)
        data = b", ".join([b"1.0e-01, 1.0e-05, 7.2e+01"] * (end - start + 1))
        question = f"printbuffer({start},{end},smua.nvbuffer2.readings,smua.nvbuffer1.readings,smua.nvbuffer1.statuses)"
        told.append((question.encode() + E, data + b"\n" + OK))
    return told


@pytest.mark.parametrize("points", [1, 25, 26, 501])
def test_a_sweep_is_a_script_a_start_and_a_question(cable: Cable, points: int) -> None:
    box, resource = cable.box(*run_of(sweep_script(["0.1"] * points), points))
    volts, amps, flags = box.smua.sweep(np.full(points, 0.1), compliance=1e-4, dwell=1e-3)
    resource.assert_done()
    assert volts.shape == amps.shape == flags.shape == (points,)
    assert set(flags) == {FLAG_COMPLIANCE}
    assert box.smua.clock.waits == [pytest.approx(points * 0.023)]
    assert not box.smua.is_on


def test_a_long_sweep_goes_in_pieces_that_end_at_0_v(cable: Cable) -> None:
    each = 1.0 + 0.022
    most = int(PIECE_SECONDS / each)
    box, resource = cable.box(
        *run_of(sweep_script(["0.1"] * most, "1"), most), *run_of(sweep_script(["0.1"] * 5, "1"), 5)
    )
    box.smua.sweep(np.full(most + 5, 0.1), compliance=1e-4, dwell=1.0)
    resource.assert_done()
    assert max(box.smua.clock.waits) <= PIECE_SECONDS
    draw = random.Random(16)
    for _ in range(1000):
        count, seconds = draw.randint(1, 3000), 10 ** draw.uniform(-4, 1.5)
        parts = list(pieces(count, seconds))
        assert [at for part in parts for at in range(part.start, part.stop)] == list(range(count))
        assert all((part.stop - part.start) * seconds <= max(PIECE_SECONDS, seconds) for part in parts)


def test_a_train_is_a_script_and_no_longer_than_a_piece(cable: Cable) -> None:
    script = "\n".join(
        [
            "loadscript xbarlab_program", "local smu=smua",
            "smu.nvbuffer1.clear() smu.nvbuffer2.clear() smu.nvbuffer1.appendmode=1 smu.nvbuffer2.appendmode=1",
            "smu.source.levelv=0 smu.source.limiti=0.0001 smu.source.output=1", "for at=1,3 do",
            "smu.source.levelv=1.5",
            "delay(0.002)", "smu.measure.iv(smu.nvbuffer1,smu.nvbuffer2)", "smu.source.levelv=0", "delay(0.01)", "end",
            "smu.source.levelv=0 smu.source.output=0", "endscript",
        ]
    )  # fmt: skip
    box, resource = cable.box(*run_of(script.encode(), 3))
    volts, _, _ = box.smua.pulse_train(1.5, width=2e-3, gap=1e-2, count=3, compliance=1e-4)
    assert volts.shape == (3,)
    resource.assert_done()
    with pytest.raises(RefusedError, match=r"1000 pulses take .* s; give at most"):
        box.smua.pulse_train(1.5, width=2e-3, gap=0.5, count=1000, compliance=1e-4)
    for bad in ({"volts": 2.6}, {"width": 1e-4}, {"gap": -1.0}, {"count": 0}, {"compliance": 2e-3}, {"width": np.nan}):
        asked: Any = {"volts": 1.0, "width": 2e-3, "gap": 0.01, "count": 3, "compliance": 1e-4, **bad}
        with pytest.raises(RefusedError):
            box.smua.pulse_train(asked.pop("volts"), **asked)
    resource.assert_done()


def test_ctrl_c_in_a_sweep_aborts_then_0_v_then_off(cable: Cable) -> None:
    box, resource = cable.box(*run_of(sweep_script(["0.1", "0.1"]), 2)[:2], *IDLE)

    def interrupt() -> None:
        raise KeyboardInterrupt

    box.clock.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        box.smua.sweep([0.1, 0.1], compliance=1e-4, dwell=1e-3)
    resource.assert_done()
    assert [step.step for step in box.ending] == ["stop", "0 V", "output off"]
    assert box.is_idle


def test_a_script_that_stopped_early_is_an_error_and_ends_safe(cable: Cable) -> None:
    script = run_of(sweep_script(["0.1", "0.1"]), 2)[:2]
    box, resource = cable.box(*script, (b"print(smua.nvbuffer1.n)" + E, b"1.0e+00\n" + OK), *IDLE)
    with pytest.raises(InstrumentError, match="made 1 of 2 readings"):
        box.smua.sweep([0.1, 0.1], compliance=1e-4, dwell=1e-3)
    resource.assert_done()


def test_no_time_out_is_longer_than_what_it_waits_for(cable: Cable) -> None:
    """QCoDeS sets its time-out in ms where seconds are meant: an hour and more for a sweep that hangs."""
    box, resource = cable.box(*run_of(sweep_script(["0.1"] * 1000), 1000))
    box.smua.sweep(np.full(1000, 0.1), compliance=1e-4, dwell=1e-3)
    assert max(resource.timeouts) <= 1000.0 * (5.0 + 1.2 * 1000 * 0.023) + 1.0
    with pytest.raises(RefusedError, match="numbers that a script computes"):
        box.smua._execute_lua(["print(1)"], 1)


def test_fastsweep_is_rebuilt_of_checked_numbers_or_refused(cable: Cable) -> None:
    limit = (b"print(smua.source.limiti)", b"1.0e-04\n")
    script = sweep_script(["0", "0.1", "0.2"])
    box, resource = cable.box(limit, *run_of(script, 3))
    smua = box.smua
    smua.setup_fastsweep(LinSweep(smua.volt, 0.0, 0.2, 3, delay=1e-3))
    np.testing.assert_allclose(smua.fastsweep(), 1e-5)
    resource.assert_done()
    resource.script = [limit]
    smua.setup_fastsweep(LinSweep(smua.volt, 0.0, 2.6, 3))
    with pytest.raises(RefusedError, match="above"):
        smua.fastsweep()
    resource.assert_done()
    smua.setup_fastsweep(LinSweep(smua.volt, 0.0, 0.2, 3), LinSweep(box.smub.volt, 0.0, 0.1, 2))
    with pytest.raises(RefusedError, match="two channels in one script"):
        smua.fastsweep()
    smua.setup_fastsweep(LinSweep(smua.curr, 0.0, 1e-6, 3), mode="VI")
    with pytest.raises(RefusedError, match="sources amperes"):
        smua.fastsweep()
    smua.timetrace_mode("voltage")
    with pytest.raises(RefusedError, match="measures amperes"):
        smua.timetrace()
    resource.assert_done()


# -- limits ------------------------------------------------------------------------------------------------------------


REFUSED: list[Callable[[Any], object]] = [
    lambda smu: smu.level(2.6),
    lambda smu: smu.step(float("nan")),
    lambda smu: smu.level(1.0, compliance=2e-3),
    lambda smu: smu.on(1.0, compliance=float("inf")),
    lambda smu: smu.sweep([0.1, 2.51], compliance=1e-4, dwell=0.0),
    lambda smu: smu.sweep([0.1], compliance=2e-3, dwell=0.0),
    lambda smu: smu.sweep(np.zeros(2501), compliance=1e-4, dwell=0.0),
    lambda smu: smu.sweep([0.1], compliance=1e-4, dwell=1e-6),
    lambda smu: smu.step(0.1, dwell=31.0),
    lambda smu: smu.record(rate=2e3, points=10, largest=1e-5),
    lambda smu: smu.record(rate=1.0, points=601, largest=1e-5),
    lambda smu: smu.volt(3.0),
    lambda smu: smu.curr(1e-6),
    lambda smu: smu.mode("current"),
    lambda smu: smu.four_wire_measurement(True),
    lambda smu: smu.limiti(2e-3),
    lambda smu: smu.limitv(5.0),
    lambda smu: smu.configure(nplc=11.0),
    lambda smu: smu.parent.exit_key(),
    lambda smu: smu.parent.display_settext('x") smua.source.levelv=3 --'),
]


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_outside_is_refused_before_a_byte(on: tuple[Any, Any], call: Callable[[Any], object]) -> None:
    box, resource = on
    resource.script = []
    with pytest.raises(RefusedError):
        call(box.smua)
    resource.assert_done()


TEXTS = [
    "smua.source.levelv = 2.6", "smua.source.levelv=-2.6", "smua.source.levelv = 0/0", "smua.source.levelv = 2*2",
    "smua.source.levelv = 0x10", "smua.source.levelv = x", "smua.source.levelv = 0.1 smua.source.levelv = 5",
    "smua.source.levelv = 0.1; smua.source.levelv = 5", "smua.source.levelv, x = 5, 1", "x = 3",
    "localnode.prompts = 1",
    "local s = smua s.source.levelv = 5", "smua['source'].levelv = 5", "node[1].smua.source.levelv = 5",
    "localnode.smua.source.levelv = 0.1", "for i = 1, 3 do smua.source.levelv = i end", "f()", "xbarlab_program()",
    "loadscript x", "loadandrunscript", "endscript", "abort", "reset()", "smua.reset()", "setup.recall(1)",
    "smua.source.limiti = 2e-3", "smua.source.leveli = 1e-3", "smua.source.func = 0",
    "smua.source.func = smua.OUTPUT_DCAMPS",
    "smua.source.limitv = 3", "smua.source.offmode = 2", "smua.source.offlimiti = 1", "smua.source.output = 2",
    "smua.sense = 1", "smua.sense = smua.SENSE_REMOTE", "smua.measure.i()", "smua.measureivandstep(3)",
    "smua.trigger.source.linearv(0, 5, 3)", "smua.trigger.initiate()", "format.asciiprecision = 3", "errorqueue = nil",
    "display.sendkey(75)", "smub.source.levelv = 3", "*RST", "*RCL 1", "*TRG",
    "smua.source.levelv = 0.1\nsmua.source.levelv = 5",
    "display.settext('a') smua.source.levelv=5", "display.settext(\"a\") --\"", "os.execute('x')", "é = 1",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXTS)
def test_raw_text_is_read_and_refused(on: tuple[Any, Any], text: str) -> None:
    box, resource = on
    resource.script = []
    with pytest.raises(RefusedError):
        box.write(text)
    resource.assert_done()


@pytest.mark.parametrize(
    "text",
    [
        "f()", "smua.reset()", "smua.measure.i(), smua.reset()", "smua.source.levelv) smua.source.levelv = 5 print(1",
        "smua.trigger.initiate()", "(function() smua.source.levelv = 5 end)()", "smua.source.levelv == 5 or f()",
        "loadstring('x')()", "smua.measure.i(smua.nvbuffer1)", "",
    ],
)  # fmt: skip
def test_a_question_that_does_something_is_refused(on: tuple[Any, Any], text: str) -> None:
    box, resource = on
    resource.script = []
    for ask, asked in ((box.ask, text), (box.ask_raw, f"print({text})"), (box.smua.ask, text)):
        with pytest.raises(RefusedError):
            ask(asked)
    resource.assert_done()


def test_plain_text_within_the_limits_goes_through(on: tuple[Any, Any]) -> None:
    box, resource = on
    texts = [
        "smua.source.levelv = 2.5", "smub.source.levelv=-2.5", "smua.source.limiti=1e-3",
        "smua.source.output=smua.OUTPUT_ON",
        "smua.measure.nplc = 0.1", "smua.nvbuffer1.clear()", "errorqueue.clear()", 'display.settext("hello")',
        "beeper.beep(0.1, 440)",
    ]  # fmt: skip
    resource.script = [(text.encode() + E, OK) for text in texts]
    for text in texts:
        box.write(text)
    resource.script = [(b"print(smua.measure.i(), smua.source.compliance)", b"1.0e-05\tfalse\n")]
    assert box.ask("smua.measure.i(), smua.source.compliance") == "1.0e-05\tfalse"
    resource.assert_done()


def test_each_channel_is_held_to_half_and_text_has_no_way_to_the_whole(cable: Cable) -> None:
    box, resource = cable.box(
        (b"smua.source.limiti=0.001" + E, OK), (b"smua.source.limiti=0.0001 smua.source.levelv=2" + E, OK),
        (b"smua.source.output=1" + E, OK),
    )  # fmt: skip
    row = box.smua
    row.set_limits(LIMITS)
    row.halve()
    with pytest.raises(RefusedError):
        row.on(1.3, compliance=1e-4)
    with row.whole():
        row.on(2.0, compliance=1e-4)
        with pytest.raises(RefusedError):
            box.write("smua.source.levelv = 1.3")
    resource.assert_done()


class Listening(fake.MemoryResource):
    """Answers everything as a 2600B does that is content; keeps every level and limit it is told, in scripts too."""

    def __init__(self) -> None:
        super().__init__()
        self.volts: list[float] = []
        self.limits: list[float] = []
        self.unread: list[bytes] = []

    def answer(self, message: bytes) -> bytes:
        inner, marked = unmarked(message)
        if inner == PLACE:
            return marked(b"MARK\n")
        text = inner.replace(E, b"")
        self.volts += [float(value) for value in re.findall(rb"levelv ?= ?([-+.\deE]+)", text)]
        self.limits += [float(value) for value in re.findall(rb"limiti ?= ?([-+.\deE]+)", text)]
        for rows in re.findall(rb"levels=\{([^}]*)\}", text):
            values = [float(value) for value in rows.replace(b"\n", b"").split(b",") if value]
            self.volts += values
            self.count = len(values)
        # What puts a level on a terminal and is no number nor an entry of the list was not judged by this test.
        self.unread += [
            one for one in re.findall(rb"level[vi] ?= ?(\S+)", text) if not re.match(rb"[-+.\d]|levels\[at\]", one)
        ]
        if text.startswith(b"*IDN?"):
            return IDN
        reply = b""
        if b"nvbuffer1.n)" in text:
            reply = b"%d\n" % self.count
        elif text.startswith(b"printbuffer"):
            first, last = (int(one) for one in re.findall(rb"\d+", text)[:2])
            reply = b", ".join([b"0, 1e-9, 0"] * (last - first + 1)) + b"\n"
        elif b"measure.iv()" in text:
            reply = b"1e-9\t0\tfalse\n"
        elif b"'%d%d'" in text:
            reply = b"00\n"
        elif b"print(" in text:
            reply = b"2636B\n" if b"model" in text else b"50\n"
        return marked(reply + (OK if ERRORS in inner else b"")) if marked(b"") else b""


def test_ten_thousand_requests_and_nothing_outside_reaches_the_wire() -> None:
    """Levels, limits, sweeps, trains and text, half of them outside: judged by what came down the cable."""
    resource = Listening()
    box: Any = Keithley2600Box("smus", resource=resource, limits=LIMITS)
    box.clock = WatchedClock()
    draw = random.Random(16)
    sent = refused = 0

    def volts() -> float:
        return draw.choice([draw.uniform(-5, 5), draw.uniform(-2.5, 2.5), 2.5, -2.5, 2.5000001, float("nan"), 1e300])

    def amps() -> float:
        return draw.choice([draw.uniform(1e-6, 2e-3), 1e-3, 1.0000001e-3, 1.0, float("inf")])

    def smu() -> Any:
        return draw.choice(box.units)

    kinds: list[Callable[[], object]] = [
        lambda: smu().on(volts(), compliance=amps()),
        lambda: smu().level(volts()),
        lambda: smu().step(volts(), compliance=draw.choice([None, amps()])),
        lambda: smu().volt(volts()),
        lambda: smu().limiti(amps()),
        lambda: box.write(f"{smu().channel}.source.levelv = {volts():.9g}"),
        lambda: box.write(f"smub.source.levelv={volts()!r}"),
        lambda: box.write(f"smua.source.limiti = {amps():.9g}"),
        lambda: box.write(f"smua.source.levelv = {volts():.3g} smub.source.levelv = {volts():.3g}"),
        lambda: smu().sweep([volts() for _ in range(draw.randint(1, 3))], compliance=amps(), dwell=0.0),
        lambda: smu().pulse_train(volts(), width=1e-3, gap=0.0, count=draw.randint(0, 3), compliance=amps()),
        lambda: fast(smu()),
    ]

    def fast(unit: Any) -> object:
        unit.setup_fastsweep(LinSweep(unit.volt, draw.uniform(-3, 3), draw.uniform(-3, 3), 3))
        return unit.fastsweep()

    for _ in range(10_000):
        for unit in box.units:
            unit._on = True
        resource.count = 1
        try:
            draw.choice(kinds)()
            sent += 1
        except (RefusedError, ValueError):  # QCoDeS has limits of its own
            refused += 1
        except InstrumentError:  # a train of three that this cable counts as one
            sent += 1
    box.close()
    assert min(sent, refused) > 2_000
    assert max(abs(level) for level in resource.volts) <= 2.5
    assert max(abs(limit) for limit in resource.limits) <= 1e-3
    assert len(resource.volts) > 2_000
    assert resource.unread == []


# -- the link ----------------------------------------------------------------------------------------------------------


def test_idle_order_is_the_safety_page_s_for_both_channels_and_once_is_enough(on: tuple[Any, Any]) -> None:
    box, resource = on
    resource.script = list(IDLE)
    box.smua.idle()
    box.smub.idle()
    resource.assert_done()
    assert box.smub.is_idle
    assert box.smua.ending == box.smub.ending == box.ending


def test_a_dead_link_says_what_stays(on: tuple[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    box, resource = on
    resource.script = [(b"print(smua.source.output)", OSError("gone"))]
    box.smua._on = None
    with pytest.raises(ConnectionLostError, match=r"smus at .* does not answer"):
        _ = box.smua.is_on
