"""The 33622A driver's exact bytes, as the Trueform Operating and Service Guide has them, against a scripted cable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from qcodes.parameters import Parameter

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.drivers.keysight_33622a import PIECE_SECONDS, Keysight33622APulser, PulseTrain
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError
from xbarlab.instruments.limits import Limits
from xbarlab.instruments.wire import binding

E = b";:SYST:ERR?\n"
OK = b'+0,"No error"\n'
LIMITS = Limits().narrowed({"set_volts_max": 2.5, "reset_volts_max": 2.0, "count_max": 50_000}, source="tio2.chip.yaml")


def channel(n: int, volts: float) -> bytes:
    return (
        f"SOUR{n}:VOLT:LIM:STAT OFF;:OUTP{n}:LOAD INF;:SOUR{n}:VOLT:UNIT VPP;:SOUR{n}:FUNC DC;:SOUR{n}:VOLT:OFFS 0;"
        f":SOUR{n}:VOLT:LIM:HIGH {volts:g};:SOUR{n}:VOLT:LIM:LOW {-volts:g};:SOUR{n}:VOLT:LIM:STAT ON;:TRIG{n}:SOUR BUS"
    ).encode()


OFF = (b"OUTP1 OFF;:OUTP2 OFF" + E, OK)
OPENING = [
    (b"*IDN?\n", b"Agilent Technologies,33622A,MY53800001,A.02.02-2.25-03-64-02\n"),
    (b"OUTP1 OFF\n", b""),
    (b"OUTP2 OFF\n", b""),
    (b"*CLS;*RST" + E, OK),
    OFF,
    (channel(1, 2.5) + b";:" + channel(2, 2.5) + E, OK),
]
MARK = b"*ESE 7;*ESE?;*ESE 7;*ESE?;*ESE 7;*ESE?\n"
IDLE = [
    (b"ABOR\n", b""),
    (b"OUTP1 OFF\n", b""),
    (b"OUTP2 OFF\n", b""),
    (b"SOUR1:BURS:STAT OFF;:SOUR1:FUNC DC;:SOUR1:VOLT:OFFS 0\n", b""),
    (b"SOUR2:BURS:STAT OFF;:SOUR2:FUNC DC;:SOUR2:VOLT:OFFS 0\n", b""),
    (MARK, b"+7;+7;+7\n"),
    (b"SYST:ERR?\n", OK),
    (b"OUTP1?;:OUTP2?\n", b"0;0\n"),
]
POWERED = (b"*ESR?\n", b"+0\n")
ON = (b"OUTP1 ON;:OUTP2 ON" + E, OK)
FIRE = (b"*TRG;*OPC?;:OUTP1 OFF;:OUTP2 OFF" + E, b'1;+0,"No error"\n')
SHAPE = {"width": 200e-9, "edge": 10e-9, "period": 1e-6, "count": 10}


def times(n: int, width: str = "2e-07", edge: str = "1e-08", period: str = "1e-06") -> str:
    pulse = f"SOUR{n}:FUNC:PULS"
    return f"{pulse}:TRAN MIN;:{pulse}:WIDT MIN;:{pulse}:PER {period};:{pulse}:WIDT {width};:{pulse}:TRAN {edge}"


def pulse(n: int, levels: str, count: int = 10, **shape: str) -> str:
    return (
        f"SOUR{n}:FUNC PULS;:{times(n, **shape)};:{levels};:SOUR{n}:BURS:NCYC {count};"
        f":SOUR{n}:BURS:MODE TRIG;:TRIG{n}:SOUR BUS;:SOUR{n}:BURS:STAT ON"
    )


UP1 = "SOUR1:VOLT:HIGH 0.5;:SOUR1:VOLT:LOW 0;:OUTP1:POL NORM"
DOWN2 = "SOUR2:VOLT:LOW -0.5;:SOUR2:VOLT:HIGH 0;:OUTP2:POL INV"
HALVES = (f"{pulse(1, UP1)};:{pulse(2, DOWN2)};:PHAS:SYNC".encode() + E, OK)


class WatchedClock:
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
        self.units: list[Any] = []

    def pulser(self, *script: tuple[bytes, bytes | BaseException]) -> tuple[Any, Any]:
        resource = fake.ScriptedResource([*OPENING, *script])
        pulser: Any = Keysight33622APulser("pulser", resource=resource, limits=LIMITS)
        pulser.clock = WatchedClock()
        self.units.append(pulser)
        return pulser, resource

    def close(self) -> None:
        for pulser in self.units:
            if getattr(pulser, "_visa_handle", None) is not None:
                pulser.visa_handle.script = list(IDLE)
                pulser.close()


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    monkeypatch.setattr(binding.random, "randint", lambda *_: 7)
    cable = Cable()
    yield cable
    cable.close()


def test_opening_switches_off_first_then_sets_the_load_before_the_limits(cable: Cable) -> None:
    pulser, resource = cable.pulser()
    resource.assert_done()
    assert pulser.identity.model == "33622A"
    assert (pulser.simulated, pulser.num_channels, pulser.transactions) == (False, 2, 0)


def test_another_model_is_refused() -> None:
    resource = fake.ScriptedResource([(b"*IDN?\n", b"Agilent Technologies,33522B,MY1,1\n")])
    with pytest.raises(InstrumentError, match="is a 33522B of Agilent Technologies, not a 33622A"):
        Keysight33622APulser("pulser", resource=resource)
    resource.assert_done()


def test_half_volts_of_either_sign_from_0_v(cable: Cable) -> None:
    """A burst rests at the low level; inverted, at the high one: 0 V in both cases."""
    pulser, resource = cable.pulser(HALVES, POWERED, ON, FIRE)
    train = pulser.pulses(0.5, -0.5, **SHAPE)
    assert train == PulseTrain(0.5, -0.5, 200e-9, 10e-9, 1e-6, 10, 1e-5)
    resource.assert_done()
    assert pulser.clock.waits == [0.01]
    assert pulser.transactions == 4


def test_the_same_train_again_is_three_messages_and_another_level_four(cable: Cable) -> None:
    pulser, resource = cable.pulser(
        HALVES, POWERED, ON, FIRE, POWERED, ON, FIRE,
        (b"SOUR1:VOLT:LOW -0.6;:SOUR1:VOLT:HIGH 0;:OUTP1:POL INV;:SOUR2:VOLT:HIGH 0.6;:SOUR2:VOLT:LOW 0;:OUTP2:POL NORM"
         + E, OK), POWERED, ON, FIRE,
    )  # fmt: skip
    pulser.pulses(0.5, -0.5, **SHAPE)
    pulser.pulses(0.5, -0.5, **SHAPE)
    pulser.pulses(-0.6, 0.6, **SHAPE)
    assert pulser.transactions == 11
    resource.assert_done()


def test_a_channel_of_0_v_is_held_there(cable: Cable) -> None:
    pulser, resource = cable.pulser(
        (f"{pulse(1, UP1)};:SOUR2:BURS:STAT OFF;:SOUR2:FUNC DC;:SOUR2:VOLT:OFFS 0;:PHAS:SYNC".encode() + E, OK),
        POWERED, ON, FIRE,
        (b"SOUR1:BURS:STAT OFF;:SOUR1:FUNC DC;:SOUR1:VOLT:OFFS 0;:" + pulse(2, DOWN2).encode() + E, OK),
        POWERED, ON, FIRE,
    )  # fmt: skip
    pulser.pulses(0.5, 0.0, **SHAPE)
    pulser.pulses(0.0, -0.5, **SHAPE)
    resource.assert_done()


def test_new_times_pass_through_the_shortest_and_a_new_count_is_one_command(cable: Cable) -> None:
    shape = {"width": "1e-06", "edge": "1e-07", "period": "1e-05"}
    pulser, resource = cable.pulser(
        HALVES, POWERED, ON, FIRE,
        (f"{times(1, **shape)};:{times(2, **shape)};:PHAS:SYNC".encode() + E, OK), POWERED, ON, FIRE,
        (b"SOUR1:BURS:NCYC 3;:SOUR2:BURS:NCYC 3" + E, OK), POWERED, ON, FIRE,
    )  # fmt: skip
    pulser.pulses(0.5, -0.5, **SHAPE)
    pulser.pulses(0.5, -0.5, width=1e-6, edge=1e-7, period=1e-5, count=10)
    pulser.pulses(0.5, -0.5, width=1e-6, edge=1e-7, period=1e-5, count=3)
    resource.assert_done()


def test_a_long_train_is_waited_for_on_the_clock(cable: Cable) -> None:
    shape = {"width": "0.0001", "edge": "1e-07", "period": "0.001"}
    setup = f"{pulse(1, UP1, 2000, **shape)};:{pulse(2, DOWN2, 2000, **shape)};:PHAS:SYNC".encode()
    pulser, resource = cable.pulser(
        (setup + E, OK), POWERED, ON, (b"*TRG" + E, OK), (b"*OPC?;:OUTP1 OFF;:OUTP2 OFF" + E, b'1;+0,"No error"\n')
    )
    assert pulser.pulses(0.5, -0.5, width=1e-4, edge=1e-7, period=1e-3, count=2000).seconds == 2.0
    assert pulser.clock.waits == [0.01, 2.0]
    assert max(resource.timeouts) == 1000 * (5.0 + 1.2 * 2.0)
    assert pulser.transactions == 5
    resource.assert_done()


def test_no_burst_is_longer_than_a_killed_host_may_leave(cable: Cable) -> None:
    shape = {"width": "0.0001", "edge": "1e-07", "period": "0.001"}
    setup = f"{pulse(1, UP1, 10_000, **shape)};:{pulse(2, DOWN2, 10_000, **shape)};:PHAS:SYNC".encode()
    fired = (ON, (b"*TRG" + E, OK), (b"*OPC?;:OUTP1 OFF;:OUTP2 OFF" + E, b'1;+0,"No error"\n'))
    pulser, resource = cable.pulser(
        (setup + E, OK), POWERED, *fired, POWERED, *fired,
        (b"SOUR1:BURS:NCYC 5000;:SOUR2:BURS:NCYC 5000" + E, OK), POWERED, *fired,
    )  # fmt: skip
    heard: list[int] = []
    pulser.stress = SimpleNamespace(pulses=lambda volts, count: heard.append(count))
    train = pulser.pulses(0.5, -0.5, width=1e-4, edge=1e-7, period=1e-3, count=25_000)
    assert (train.count, train.seconds) == (25_000, 25.0)
    assert heard == [10_000, 10_000, 5_000]
    assert max(pulser.clock.waits) == PIECE_SECONDS
    resource.assert_done()


def test_what_is_commanded_has_four_digits_and_never_exceeds_a_limit(cable: Cable) -> None:
    pulser, resource = cable.pulser()
    answers = {b"*ESR?\n": b"+0\n", FIRE[0]: FIRE[1]}
    resource.answer = lambda message: answers.get(message, OK)
    train = pulser.pulses(1.23456, -0.123456, width=200.04e-9, edge=10e-9, period=1e-6, count=1)
    assert (train.first, train.second, train.width) == (1.235, -0.1235, 200e-9)
    pulser.bounds.now = Limits().narrowed({"set_volts_max": 1.23456, "reset_volts_max": 1.0}, source="chip")
    assert pulser.pulses(1.23456, 0.0, **SHAPE).first == 1.234
    resource.answer = lambda _message: b""
    resource.script = []


def test_a_refused_setting_is_never_switched_on(cable: Cable) -> None:
    pulser, resource = cable.pulser(
        (HALVES[0], b'-221,"Settings conflict; low level changed"\n'),
        (b"SYST:ERR?\n", OK),
        (b"*ESR?\n", b"+16\n"),
        *IDLE,
    )
    with pytest.raises(InstrumentError, match=r"pulser at TCPIP.* reports -221 Settings conflict"):
        pulser.pulses(0.5, -0.5, **SHAPE)
    resource.assert_done()
    resource.script = [HALVES, POWERED, ON, FIRE]  # nothing is taken for set
    pulser.pulses(0.5, -0.5, **SHAPE)
    resource.assert_done()


def test_ctrl_c_in_a_long_train_stops_the_burst_first_then_switches_off(cable: Cable) -> None:
    shape = {"width": "0.0001", "edge": "1e-07", "period": "0.001"}
    setup = f"{pulse(1, UP1, 2000, **shape)};:{pulse(2, DOWN2, 2000, **shape)};:PHAS:SYNC".encode()
    pulser, resource = cable.pulser((setup + E, OK), POWERED, ON, (b"*TRG" + E, OK), *IDLE)

    def interrupt() -> None:
        if len(pulser.clock.waits) == 2:
            raise KeyboardInterrupt

    pulser.clock.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        pulser.pulses(0.5, -0.5, width=1e-4, edge=1e-7, period=1e-3, count=2000)
    resource.assert_done()


def test_a_train_that_is_never_reported_done_is_bounded(cable: Cable) -> None:
    pulser, resource = cable.pulser(
        HALVES, POWERED, ON, (FIRE[0], b""), (MARK, b"7;7;7\n"), (b"SYST:ERR?\n", OK), *IDLE
    )
    with pytest.raises(ConnectionLostError, match="within 5 s"):
        pulser.pulses(0.5, -0.5, **SHAPE)
    resource.assert_done()


REFUSED: list[tuple[str, dict[str, Any]]] = [
    ("source_volts 2.6 V at pulser channel 1 .*tio2.chip", {"first": 2.6}),
    ("source_volts -2.6 V at pulser channel 2", {"second": -2.6}),
    ("source_volts is nan", {"first": np.nan}),
    ("source_volts is inf", {"second": np.inf}),
    ("amplitude 0.001 V", {"first": 1e-3}),
    ("both channels at 0 V", {"first": 0.0, "second": 0.0}),
    ("width 1e-08 s.*width_min", {"width": 1e-8}),
    ("width is nan", {"width": np.nan}),
    ("width 0.1 s.*width_max", {"width": 0.1, "period": 1.0}),
    ("edge 2e-09 s", {"edge": 2e-9}),
    ("edge 2e-06 s", {"edge": 2e-6}),
    ("edge nan s", {"edge": np.nan}),
    ("edge 1.5e-07 s .*at most 1.25e-07 s", {"edge": 150e-9}),
    ("period 2e-07 s .*choose at least 2.16e-07 s", {"period": 200e-9}),
    ("period nan s", {"period": np.nan}),
    ("count 1.5", {"count": 1.5}),
    ("count 0 pulses", {"count": 0}),
    ("count 60000 pulses.*count_max", {"count": 60_000}),
    ("count is True", {"count": True}),
]


@pytest.mark.parametrize(("words", "change"), REFUSED, ids=[words for words, _ in REFUSED])
def test_pulses_are_refused_before_a_byte(cable: Cable, words: str, change: dict[str, Any]) -> None:
    pulser, resource = cable.pulser()
    before = len(resource.sent)
    with pytest.raises(RefusedError, match=words):
        pulser.pulses(**{"first": 0.5, "second": -0.5, **SHAPE, **change})
    assert resource.sent[before:] == []


TEXT = [
    "VOLT 3", "SOUR1:VOLT 3", "SOURce2:VOLTage:LEVel:IMMediate:AMPLitude 3", "volt:offs -2.6", "SOUR2:VOLT:HIGH 2.6",
    "VOLT:LOW -3", "SOUR1:VOLT:LEV:IMM:LOW -3", "VOLT:LIM:HIGH 5", "VOLT:LIM:STAT OFF", "SOUR2:VOLT:LIM:STAT 0",
    "VOLT:UNIT VRMS", "OUTP:LOAD 50", "OUTP2:LOAD MIN", "OUTPut1:LOAD 1000", "APPL:SIN 1e3,1,0",
    "SOUR2:APPLy:DC DEF,DEF,5", "BURS:NCYC INF", "BURS:NCYC 1000000", "SUM:STAT ON", "COMB:FEED CH2",
    "*RCL 1", 'MMEM:LOAD:STAT "x.sta"', "VOLT NAN",
    "SOUR1:VOLT 1;VOLT:OFFS 4", "SOUR1:FUNC PULS;:SOUR1:VOLT:HIGH 4",
    "OUTP1 ON", "OUTPut2:STATe 1", "outp on", "FUNC:PULS:WIDT 1", "SOUR2:FUNC:PULS:TRAN 0", "*RST", "VOLT 1;*RST",
    "SYST:SEC:IMM",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXT)
def test_raw_text_is_read_and_refused(cable: Cable, text: str) -> None:
    pulser, resource = cable.pulser()
    before = len(resource.sent)
    with pytest.raises(RefusedError):
        pulser.write(text)
    assert resource.sent[before:] == []


def test_the_stock_driver_s_parameters_work_and_hold_the_limits(cable: Cable) -> None:
    pulser, resource = cable.pulser(
        (b"SOURce1:VOLTage 1.0" + E, OK),
        (b"OUTPut2:POLarity INV" + E, OK),
        (b"SOURce1:BURSt:NCYCles 5" + E, OK),
        (b"OUTP1:LOAD INF" + E, OK),
        (b"VOLT:LIM:STAT ON" + E, OK),
        (b"SOURce2:VOLTage?\n", b"+1.0000000000000E-01\n"),
        (b"SYSTem:ERRor?\n", b'+0,"No error"\n'),
    )
    pulser.ch1.amplitude(1.0)
    pulser.ch2.output_polarity("INV")
    pulser.ch1.burst_ncycles(5)
    pulser.write("OUTP1:LOAD INF")
    pulser.write("VOLT:LIM:STAT ON")
    assert pulser.ch2.amplitude() == 0.1
    assert pulser.error() == (0, "No error")
    resource.assert_done()
    load = Parameter("load", instrument=pulser, set_cmd="OUTPut1:LOAD {}")
    for call in (
        lambda: pulser.ch1.amplitude(3.0),
        lambda: pulser.ch2.offset(np.nan),
        lambda: pulser.ch1.burst_ncycles("INF"),
        lambda: pulser.ch1.amplitude_unit("DBM"),
        lambda: load(50),
    ):
        with pytest.raises(RefusedError):
            call()
    resource.assert_done()
    # What somebody wrote may differ in more than a train sets, as a modulation: it starts from the reset state.
    resource.script = [*OPENING[1:], HALVES, POWERED, ON, FIRE]
    pulser.pulses(0.5, -0.5, **SHAPE)
    resource.assert_done()


def test_narrower_limits_are_set_in_the_instrument_with_the_outputs_off(cable: Cable) -> None:
    pulser, resource = cable.pulser(OFF, (channel(1, 1.5) + b";:" + channel(2, 1.5) + E, OK))
    pulser.set_limits(LIMITS.narrowed({"set_volts_max": 1.5, "reset_volts_max": 1.5}, source="station.yaml"))
    resource.assert_done()
    with pytest.raises(RefusedError, match=r"station\.yaml"):
        pulser.pulses(1.6, 0.0, **SHAPE)
    with pytest.raises(RefusedError, match=r"wider than the 1\.5 of station\.yaml"):
        pulser.set_limits(LIMITS)
    resource.assert_done()
