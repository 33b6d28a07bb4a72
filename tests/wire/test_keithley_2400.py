"""The 2400 driver's exact bytes, as the Series 2400 User's Manual has them, on a scripted cable; and its limits."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW
from xbarlab.instruments.drivers.keithley_2400 import Keithley2400Smu
from xbarlab.instruments.drivers.list_sweep import PIECE_SECONDS
from xbarlab.instruments.drivers.roles import SourceMeter, lacking_verbs
from xbarlab.instruments.drivers.smu_readings import Point
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError
from xbarlab.instruments.limits import Limits

E = b";:SYST:ERR?\n"
OK = b'0,"No error"\n'
NO = b';0,"No error"\n'
LIMITS = Limits().narrowed({"set_volts_max": 2.5, "reset_volts_max": 2.0, "current_max": 1e-3}, source="tio2.chip.yaml")
SETUP = (
    b"ROUT:TERM FRON;:FORM:ELEM VOLT,CURR,STAT;:SOUR:FUNC VOLT;:SOUR:VOLT:MODE FIX;:SOUR:CLE:AUTO OFF;"
    b":SOUR:VOLT:RANG 2.5;:SOUR:VOLT:PROT 20;:SOUR:DEL 0;:ARM:COUN 1;:TRIG:COUN 1;:TRIG:DEL 0;:OUTP:SMOD NORM"
)
SENSE = (
    b'SENS:FUNC:CONC ON;:SENS:FUNC "VOLT","CURR";:SYST:RSEN OFF;:SENS:CURR:NPLC 1;:SENS:AVER OFF;'
    b":SENS:CURR:RANG:AUTO ON;:SENS:CURR:RANG:AUTO:LLIM 1e-06;:SYST:RCM MULT;:SYST:AZER OFF;:SYST:AZER ONCE;:SYST:LFR?"
)
OFF = b"SOUR:VOLT:MODE FIX;:SOUR:VOLT 0;:OUTP OFF"
SAFE = [(b"ABOR\n", b""), (b"SOUR:VOLT:MODE FIX\n", b""), (b"SOUR:VOLT 0\n", b""), (b"OUTP OFF\n", b"")]
OPENING = [
    (b"*IDN?\n", b"KEITHLEY INSTRUMENTS INC.,MODEL 2400,1234567,C30   Mar 17 2006 09:29:29/A02  /K/J\n"),
    *SAFE,
    (b"*CLS;*RST" + E, OK),
    (b":TRIG:COUN 1;:FORM:ELEM VOLT,CURR" + E, OK),
    (OFF + E, OK),
    (SETUP + E, OK),
    (SENSE + E, b"50" + NO),
]
MARK = b"*ESE 7;*ESE?;*ESE 7;*ESE?;*ESE 7;*ESE?\n"
IDLE = [*SAFE, (MARK, b"7;7;7\n"), (b"SYST:ERR?\n", OK), (b"OUTP?\n", b"0\n")]
LIMIT = b"SENS:CURR:RANG 1e-06;:SENS:CURR:PROT 0.0001;:SENS:CURR:RANG:AUTO ON"


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


def _seven(*_: object) -> int:
    return 7


class Cable:
    def __init__(self) -> None:
        self.units: list[Any] = []

    def smu(self, *script: tuple[bytes, bytes | BaseException], **kwargs: Any) -> tuple[Any, Any]:
        resource = fake.ScriptedResource([*OPENING, *script])
        kind: Any = Keithley2400Smu
        smu = kind("smu", resource=resource, **{"limits": LIMITS, **kwargs})
        smu.clock = WatchedClock()
        self.units.append(smu)
        return smu, resource

    def close(self) -> None:
        for smu in self.units:
            if getattr(smu, "_visa_handle", None) is not None:
                smu.visa_handle.script = list(IDLE)
                smu.close()


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    monkeypatch.setattr("xbarlab.instruments.wire.binding.random.randint", _seven)
    cable = Cable()
    yield cable
    cable.close()


@pytest.fixture
def on(cable: Cable) -> tuple[Any, Any]:
    smu, resource = cable.smu((LIMIT + b";:SOUR:VOLT 0" + E, OK), (b"OUTP ON" + E, OK))
    smu.on(compliance=1e-4)
    resource.assert_done()
    return smu, resource


def test_it_has_the_role_of_a_source_meter() -> None:
    assert lacking_verbs(Keithley2400Smu, SourceMeter) == ()


def test_opening_makes_safe_before_anything_is_asked(cable: Cable) -> None:
    smu, resource = cable.smu()
    resource.assert_done()
    assert (smu.identity.model, smu.identity.serial, smu.simulated) == ("2400", "1234567", False)
    assert smu.point_seconds == pytest.approx(0.046)


@pytest.mark.parametrize("model", ["2450", "2410", "2182A"])
def test_another_instrument_is_refused_by_name_and_hears_nothing(model: str) -> None:
    resource = fake.ScriptedResource([(b"*IDN?\n", f"KEITHLEY INSTRUMENTS INC.,MODEL {model},1,1\n".encode())])
    with pytest.raises(InstrumentError, match=f"is a MODEL {model} of KEITHLEY INSTRUMENTS INC., not a 2400"):
        Keithley2400Smu("smu", resource=resource)
    resource.assert_done()


def test_a_small_limit_of_the_chip_holds_from_the_beginning(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    held = b";:SENS:CURR:RANG 1e-06;:SENS:CURR:PROT 1e-05;:SENS:CURR:RANG:AUTO ON;:SYST:LFR?"
    monkeypatch.setitem(globals(), "OPENING", [*OPENING[:-1], (SENSE.replace(b";:SYST:LFR?", held) + E, b"50" + NO)])
    _, resource = cable.smu(limits=LIMITS.narrowed({"current_max": 1e-5}, source="x"))
    resource.assert_done()


def test_the_limit_is_known_to_hold_before_the_output_goes_on(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b"SENS:CURR:PROT 0.0005;:SOUR:VOLT 1.5" + E, OK),
        (b"SENS:CURR:RANG 5e-05;:SENS:CURR:PROT 5e-05;:SENS:CURR:RANG:AUTO ON;:SOUR:VOLT 1" + E, OK),
        (b"SOUR:VOLT -1" + E, OK),
        (OFF + E, OK),
    ]
    smu.level(1.5, compliance=5e-4)
    smu.level(1.0, compliance=5e-5)
    smu.level(-1.0)
    smu.off()
    resource.assert_done()
    assert not smu.is_on


def test_measure_and_step_are_one_message_each(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b"READ?" + E, b"+1.000000E-01,+2.000000E-05,+5.530000E+04" + NO),
        (b"SOUR:DEL 0.01;:SOUR:VOLT 0.2;:READ?" + E, b"+1.999000E-01,+1.000000E-04,+5.530800E+04" + NO),
        (b"SOUR:VOLT 0.3;:READ?" + E, b"+2.999000E-01,+9.910000E+37,+5.530100E+04" + NO),
        (b"SOUR:VOLT 0.3;:READ?" + E, b"+2.999000E-01,+1.000000E-05,+6.553600E+04" + NO),
    ]
    assert smu.measure() == Point(0.1, 2e-5, 0)
    assert smu.step(0.2, dwell=0.01) == Point(0.1999, 1e-4, FLAG_COMPLIANCE)
    beyond = smu.step(0.3, dwell=0.01)
    assert np.isnan(beyond.current)
    assert beyond.flags & FLAG_OVERFLOW
    assert smu.step(0.3, dwell=0.01).flags == FLAG_COMPLIANCE  # clamped at the end of a range
    resource.assert_done()


def test_what_it_reports_is_raised_with_the_whole_queue(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b"READ?" + E, b'+803,"Not permitted with OUTPUT off"\n'),
        (b"SYST:ERR?\n", b'-221,"Settings conflict"\n'),
        (b"SYST:ERR?\n", OK),
        (b"*ESR?\n", b"16\n"),
    ]
    with pytest.raises(InstrumentError, match="803 Not permitted with OUTPUT off; -221 Settings conflict"):
        smu.measure()


# -- sweeps ------------------------------------------------------------------------------------------------------------


def sweep_script(count: int) -> list[tuple[bytes, bytes | BaseException]]:
    values = ["0.1"] * (count - 1) + ["0"]
    head = f"TRAC:FEED:CONT NEV;:TRAC:CLE;:TRAC:FEED SENS;:TRAC:POIN {count};:{LIMIT.decode()};:SOUR:DEL 0.001;"
    head += ":SOUR:LIST:VOLT"
    script: list[tuple[bytes, bytes | BaseException]] = []
    for start in range(0, count, 100):
        tail = f";:SOUR:VOLT:MODE LIST;:SOUR:SWE:RANG FIX;:SOUR:SWE:CAB NEV;:TRIG:COUN {count};:TRAC:FEED:CONT NEXT"
        text = f"{head} {','.join(values[start : start + 100])}{tail if start + 100 >= count else ''}"
        script.append((text.encode() + E, OK))
        head = "SOUR:LIST:VOLT:APP"
    data = ",".join(["+1.0E-01,+1.0E-05,+5.53E+04"] * count)
    return [
        *script,
        (b"OUTP ON" + E, OK),
        (b"INIT\n", b""),
        (b"TRAC:POIN:ACT?" + E, b"%d" % count + NO),
        (OFF + b";:TRIG:COUN 1;:TRAC:DATA?" + E, data.encode() + NO),
    ]


@pytest.mark.parametrize("points", [1, 99, 100, 250, 600])
def test_a_list_goes_in_hundreds_and_ends_at_0_v(cable: Cable, points: int) -> None:
    smu, resource = cable.smu(*sweep_script(points + 1))
    volts, amps, flags = smu.sweep(np.full(points, 0.1), compliance=1e-4, dwell=1e-3)
    resource.assert_done()
    assert volts.shape == amps.shape == flags.shape == (points,)
    assert smu.clock.waits == [pytest.approx((points + 1) * 0.047)]
    assert max(len(re.findall(rb"[ ,]0(?:\.1)?(?=[,;])", sent)) for sent, _ in sweep_script(points + 1)) <= 100


def test_a_long_sweep_goes_in_lists_that_end_at_0_v(cable: Cable) -> None:
    most = int(PIECE_SECONDS / 0.047)
    smu, resource = cable.smu(*(line for count in (most, most, 400) for line in sweep_script(count + 1)))
    volts, amps, flags = smu.sweep(np.full(2 * most + 400, 0.1), compliance=1e-4, dwell=1e-3)
    resource.assert_done()
    assert volts.shape == amps.shape == flags.shape == (2 * most + 400,)
    assert len(smu.clock.waits) == 3
    assert max(smu.clock.waits) <= PIECE_SECONDS + 0.047  # with the point at 0 V behind it


def test_ctrl_c_in_a_sweep_aborts_and_leaves_the_list_before_0_v(cable: Cable) -> None:
    smu, resource = cable.smu(*sweep_script(3)[:3], *IDLE)

    def interrupt() -> None:
        raise KeyboardInterrupt

    smu.clock.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        smu.sweep([0.1, 0.1], compliance=1e-4, dwell=1e-3)
    resource.assert_done()
    assert [step.step for step in smu.ending][:4] == ["stop", "leave the list", "0 V", "output off"]
    assert smu.is_idle


def test_a_sweep_that_never_began_is_an_error_and_ends_safe(cable: Cable) -> None:
    smu, resource = cable.smu(*sweep_script(3)[:3], (b"TRAC:POIN:ACT?" + E, b"0" + NO), *IDLE)
    with pytest.raises(InstrumentError, match="made 0 of 3 points"):
        smu.sweep([0.1, 0.1], compliance=1e-4, dwell=1e-3)
    resource.assert_done()


TIMED = [
    (
        b"TRAC:FEED:CONT NEV;:TRAC:CLE;:TRAC:FEED SENS;:TRAC:POIN 3;:" + LIMIT + b";:SENS:CURR:RANG 5e-05;"
        b":FORM:ELEM VOLT,CURR,TIME,STAT;:SOUR:DEL 0.001;:SOUR:LIST:VOLT 0.1,0.2,0;:SOUR:VOLT:MODE LIST;"
        b":SOUR:SWE:RANG FIX;:SOUR:SWE:CAB NEV;:TRIG:COUN 3;:TRAC:FEED:CONT NEXT" + E,
        OK,
    ),
    (b"OUTP ON" + E, OK),
    (b"INIT\n", b""),
]  # fmt: skip


def test_a_timed_sweep_stays_on_one_range_and_has_the_instruments_times(cable: Cable) -> None:
    data = (
        b"+1.0E-01,+1.0E-05,+0.0E+00,+5.53E+04,+2.0E-01,+2.0E-05,+4.2E-02,+5.53E+04,"
        b"+0.0E+00,+0.0E+00,+8.4E-02,+5.53E+04"
    )
    smu, resource = cable.smu(
        *TIMED,
        (b"TRAC:POIN:ACT?" + E, b"3" + NO),
        (OFF + b";:TRIG:COUN 1;:TRAC:DATA?" + E, data + NO),
        (b"FORM:ELEM VOLT,CURR,STAT" + E, OK),
        (b"SENS:CURR:RANG:AUTO ON" + E, OK),
    )
    time, volts, amps, flags = smu.timed_sweep([0.1, 0.2], compliance=1e-4, dwell=1e-3, largest=5e-5)
    resource.assert_done()
    np.testing.assert_allclose(time, [0.0, 0.042])
    np.testing.assert_allclose(volts, [0.1, 0.2])
    np.testing.assert_allclose(amps, [1e-5, 2e-5])
    assert not flags.any()
    assert smu.clock.waits == [pytest.approx(3 * (1e-3 + smu.timed_seconds(1.0)))]


def test_a_timed_sweep_that_fails_ends_safe_and_is_set_up_as_before(cable: Cable) -> None:
    smu, resource = cable.smu(
        *TIMED,
        (b"TRAC:POIN:ACT?" + E, b"0" + NO),
        *IDLE,
        (OFF + E, OK),
        (SETUP + E, OK),
        (SENSE + E, b"50" + NO),
    )
    with pytest.raises(InstrumentError, match="made 0 of 3 points"):
        smu.timed_sweep([0.1, 0.2], compliance=1e-4, dwell=1e-3, largest=5e-5)
    resource.assert_done()


def test_a_device_is_let_go_of_at_0_v_with_the_output_relay_open(cable: Cable) -> None:
    smu, resource = cable.smu(
        (OFF + E, OK), (b"OUTP:SMOD HIMP" + E, OK), (b"OUTP:SMOD NORM" + E, OK)
    )  # fmt: skip
    smu.disconnect()
    smu.connect()
    resource.assert_done()


# -- limits ------------------------------------------------------------------------------------------------------------


REFUSED: list[Callable[[Any], object]] = [
    lambda smu: smu.level(2.6),
    lambda smu: smu.step(float("nan")),
    lambda smu: smu.level(1.0, compliance=2e-3),
    lambda smu: smu.on(1.0, compliance=float("inf")),
    lambda smu: smu.sweep([0.1, 2.51], compliance=1e-4, dwell=0.0),
    lambda smu: smu.sweep([0.1], compliance=2e-3, dwell=0.0),
    lambda smu: smu.sweep(np.zeros(2500), compliance=1e-4, dwell=0.0),
    lambda smu: smu.sweep([0.1], compliance=1e-4, dwell=1e-5),
    lambda smu: smu.timed_sweep([2.51], compliance=1e-4, dwell=0.0, largest=1e-4),
    lambda smu: smu.timed_sweep([0.1], compliance=1e-4, dwell=0.0, largest=2e-3),
    lambda smu: smu.step(0.1, dwell=1000.0),
    lambda smu: smu.volt(3.0),
    lambda smu: smu.curr(1e-6),
    lambda smu: smu.compliancei(2e-3),
    lambda smu: smu.compliancev(5.0),
    lambda smu: smu.configure(nplc=11.0),
]


@pytest.mark.parametrize("call", REFUSED)
def test_what_is_outside_is_refused_before_a_byte(on: tuple[Any, Any], call: Callable[[Any], object]) -> None:
    smu, resource = on
    resource.script = []
    with pytest.raises(RefusedError):
        call(smu)
    resource.assert_done()


@pytest.mark.parametrize(
    "text",
    [
        "SOUR:VOLT 2.6", ":SOURce1:VOLTage:LEVel:IMMediate:AMPLitude -2600 mV", "OUTP ON;:SOUR:VOLT 3", "SOUR:VOLT NAN",
        "SENS:CURR:PROT 0.01", ":CURR:PROT:LEV 1.1E-3", "SENS:VOLT:PROT 20", "SOUR:LIST:VOLT 0.1,2.6",
        "SOUR:LIST:VOLT:APP 2.6", "SOUR:VOLT:MODE LIST", "SOUR:VOLT:MODE SWE", "SOUR:VOLT:STAR 5", "SOUR:VOLT:STOP 1",
        "SOUR:VOLT:TRIG 5", "SOUR:FUNC CURR", "SOUR:CURR 1E-3", "SOUR:LIST:CURR 1", "SOUR:MEM:REC 1",
        "SOUR:CLE:AUTO ON",        "SOUR:VOLT:PROT 210",
        "SYST:PRES",
        "SYST:RSEN ON",
        "*RCL 1", "*RST", "*SAV 1", "CAL:PROT:UNL", "SYST:POS RST",
        "CONF:CURR", "OUTP OFF;:CONF:CURR",
    ],
)  # fmt: skip
def test_raw_text_is_read_and_refused(on: tuple[Any, Any], text: str) -> None:
    smu, resource = on
    resource.script = []
    with pytest.raises(RefusedError):
        smu.write(text)
    resource.assert_done()


@pytest.mark.parametrize("text", ["MEAS?", ":MEASure:CURRent?", "*CLS;:MEAS?"])
def test_a_question_that_switches_the_output_on_is_refused(on: tuple[Any, Any], text: str) -> None:
    smu, resource = on
    resource.script = []
    with pytest.raises(RefusedError, match="switches the output on by itself"):
        smu.ask(text)
    resource.assert_done()


class Listening(fake.MemoryResource):
    """Answers everything as a 2400 does that is content; keeps every level and limit it is told."""

    def __init__(self) -> None:
        super().__init__()
        self.volts: list[float] = []
        self.limits: list[float] = []
        self.elements = 3

    def answer(self, message: bytes) -> bytes:
        replies: list[bytes] = []
        for unit in message.strip().split(b";"):
            header, _, rest = unit.lstrip(b":").partition(b" ")
            header = header.upper()
            if header in {b"SOUR:VOLT", b"SOUR:VOLT:LEV", b"SOUR:LIST:VOLT", b"SOUR:LIST:VOLT:APP"}:
                scale = 1e-3 if rest.endswith(b" mV") else 1.0
                self.volts += [scale * float(value.removesuffix(b" mV")) for value in rest.split(b",")]
            elif header == b"SENS:CURR:PROT":
                self.limits.append(float(rest))
            elif header == b"FORM:ELEM":
                self.elements = rest.count(b",") + 1
            elif header == b"TRIG:COUN":
                self.count = int(rest)
            elif header == b"*ESE":
                self.ese = rest
            if header.endswith(b"?"):
                reading = b",".join([b"0"] * self.elements)
                known = {b"*IDN?": OPENING[0][1].strip(), b"SYST:ERR?": OK.strip(), b"SYST:LFR?": b"50"}
                known |= {b"READ?": reading, b"OUTP?": b"0", b"*ESE?": getattr(self, "ese", b"0"), b"*ESR?": b"0"}
                if header in {b"TRAC:POIN:ACT?", b"TRAC:DATA?"}:
                    self.made = self.count if header == b"TRAC:POIN:ACT?" else self.made
                    known[header] = b"%d" % self.made if b"ACT" in header else b",".join([reading] * self.made)
                replies.append(known[header])
        return b";".join(replies) + b"\n" if replies else b""


def test_ten_thousand_requests_and_nothing_outside_reaches_the_wire() -> None:
    """Levels, limits, sweeps and text, half of them outside: judged by what came down the cable."""
    resource = Listening()
    smu: Any = Keithley2400Smu("smu", resource=resource, limits=LIMITS)
    smu.clock = WatchedClock()
    draw = random.Random(16)
    sent = refused = 0

    def volts() -> float:
        return draw.choice([draw.uniform(-5, 5), draw.uniform(-2.5, 2.5), 2.5, -2.5, 2.5000001, float("nan"), 1e300])

    def amps() -> float:
        return draw.choice([draw.uniform(1e-6, 2e-3), 1e-3, 1.0000001e-3, 1.0, float("inf")])

    smu.on(compliance=1e-4)
    kinds: list[Callable[[], object]] = [
        lambda: smu.on(volts(), compliance=amps()),
        lambda: smu.level(volts()),
        lambda: smu.step(volts(), compliance=draw.choice([None, amps()])),
        lambda: smu.volt(volts()),
        lambda: smu.compliancei(amps()),
        lambda: smu.write(f"SOUR:VOLT {volts():.9g}"),
        lambda: smu.write(f":SOUR:VOLT:LEV {volts() * 1e3:.9g} mV"),
        lambda: smu.write(f"SENS:CURR:PROT {amps():.9g}"),
        lambda: smu.write(f"SOUR:LIST:VOLT {volts():.9g},{volts():.9g}"),
        lambda: smu.sweep([volts() for _ in range(draw.randint(1, 3))], compliance=amps(), dwell=0.0),
        lambda: smu.timed_sweep([volts()], compliance=amps(), dwell=0.0, largest=amps()),
    ]
    for _ in range(10_000):
        smu._on = True
        try:
            draw.choice(kinds)()
            sent += 1
        except RefusedError:
            refused += 1
    smu.close()
    assert min(sent, refused) > 2_000
    assert max(abs(level) for level in resource.volts) <= 2.5 * (1.0 + 1e-12)
    assert max(abs(limit) for limit in resource.limits) <= 1e-3
    assert len(resource.volts) > 2_000


# -- the link ----------------------------------------------------------------------------------------------------------


def test_idle_order_is_the_safety_page_s_and_a_dead_link_says_what_stays(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = list(IDLE)
    smu.idle()
    resource.assert_done()
    assert smu.is_idle
    resource.script = [(b"OUTP?\n", OSError("gone"))]
    smu._on = None
    with pytest.raises(ConnectionLostError, match=r"smu at .* does not answer"):
        _ = smu.is_on
