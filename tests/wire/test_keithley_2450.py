"""The 2450 driver's exact bytes, as the Model 2450 Reference Manual has them, against a scripted cable."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from pyvisa.errors import InvalidSession
from qcodes.parameters import Parameter

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW
from xbarlab.instruments.drivers.keithley_2450 import Keithley2450Smu
from xbarlab.instruments.drivers.list_sweep import PIECE_SECONDS
from xbarlab.instruments.drivers.smu_readings import Point
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError, PowerLostError
from xbarlab.instruments.limits import Limits
from xbarlab.instruments.wire import binding

E = b";:SYST:ERR?\n"
OK = b'0,"No error;0;0 0"\n'
NO = b';0,"No error;0;0 0"\n'
LIMITS = Limits().narrowed({"set_volts_max": 2.5, "reset_volts_max": 2.0, "current_max": 1e-3}, source="tio2.chip.yaml")
SETUP = (
    b"ROUT:TERM FRON;:FORM ASC;:SOUR:FUNC VOLT;:SOUR:VOLT:READ:BACK ON;:SOUR:VOLT:RANG 2.5;:SOUR:VOLT:PROT PROT5;"
    b":SOUR:VOLT:DEL 0;:OUTP:SMOD NORM"
)
SENSE = (
    b'SENS:FUNC "CURR";:SENS:CURR:RSEN OFF;:SENS:CURR:NPLC 1;:SENS:CURR:AVER OFF;:SENS:CURR:RANG:AUTO ON;'
    b":SENS:CURR:RANG:AUTO:LLIM 1e-07;:SENS:CURR:AZER OFF;:SENS:AZER:ONCE;:SYST:LFR?"
)
OPENING = [
    (b"*IDN?\n", b"KEITHLEY INSTRUMENTS,MODEL 2450,04096331,1.7.12b\n"),
    (b"*LANG?\n", b"SCPI\n"),
    (b"ABOR\n", b""),
    (b"SOUR:VOLT 0\n", b""),
    (b"OUTP OFF\n", b""),
    (b"*CLS;*RST" + E, OK),
    (b"SOUR:VOLT 0;:OUTP OFF" + E, OK),
    (SETUP + E, OK),
    (SENSE + E, b"50" + NO),
]
MARK = b"*ESE 7;*ESE?;*ESE 7;*ESE?;*ESE 7;*ESE?\n"
IDLE = [
    (b"ABOR\n", b""),
    (b"SOUR:VOLT 0\n", b""),
    (b"OUTP OFF\n", b""),
    (MARK, b"7;7;7\n"),
    (b"SYST:ERR?\n", OK),
    (b"OUTP?\n", b"0\n"),
]
READ = b'READ? "defbuffer1",SOUR,READ,SOURSTAT'


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
        self.units: list[Any] = []

    def smu(self, *script: tuple[bytes, bytes | BaseException], **kwargs: Any) -> tuple[Any, Any]:
        resource = fake.ScriptedResource([*OPENING, *script])
        smu = Keithley2450Smu("smu", resource=resource, **{"limits": LIMITS, **kwargs})
        smu.clock = WatchedClock()
        self.units.append(smu)
        return smu, resource

    def close(self) -> None:
        for smu in self.units:
            if getattr(smu, "_visa_handle", None) is None:
                continue
            smu.visa_handle.script = list(IDLE)
            smu.close()


@pytest.fixture
def cable(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cable]:
    monkeypatch.setattr(binding.random, "randint", lambda *_: 7)
    cable = Cable()
    yield cable
    cable.close()


@pytest.fixture
def on(cable: Cable) -> tuple[Any, Any]:
    smu, resource = cable.smu((b"SOUR:VOLT:ILIM 0.0001;:SOUR:VOLT 0" + E, OK), (b"OUTP ON" + E, OK))
    smu.on(compliance=1e-4)
    resource.assert_done()
    return smu, resource


# -- opening -----------------------------------------------------------------------------------------------------------


def test_opening_makes_safe_before_anything_is_asked(cable: Cable) -> None:
    smu, resource = cable.smu()
    resource.assert_done()
    assert (smu.identity.model, smu.identity.serial, smu.simulated) == ("2450", "04096331", False)
    assert smu.IDN()["vendor"] == "KEITHLEY INSTRUMENTS"
    assert smu.point_seconds == pytest.approx(0.043)
    assert smu.transactions == 0


def test_a_simulator_says_so_in_its_serial_number(cable: Cable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.modules[__name__], "OPENING", [
        (sent, reply.replace(b"04096331", b"SIM-2450-1")) for sent, reply in OPENING
    ])  # fmt: skip
    smu, _ = cable.smu()
    assert smu.simulated


def test_another_language_is_refused_with_the_remedy() -> None:
    resource = fake.ScriptedResource([OPENING[0], (b"*LANG?\n", b"TSP\n")])
    with pytest.raises(InstrumentError, match=r"smu at TCPIP.*speaks TSP: choose MENU"):
        Keithley2450Smu("smu", resource=resource)
    resource.assert_done()
    assert resource.session is None


def test_another_instrument_is_refused_by_name() -> None:
    resource = fake.ScriptedResource([(b"*IDN?\n", b"KEITHLEY INSTRUMENTS,MODEL DMM6500,1,1\n")])
    with pytest.raises(InstrumentError, match="is a MODEL DMM6500 of KEITHLEY INSTRUMENTS, not a 2450"):
        Keithley2450Smu("smu", resource=resource)
    resource.assert_done()


def test_configuring_is_three_messages(cable: Cable) -> None:
    smu, resource = cable.smu(
        (b"SOUR:VOLT 0;:OUTP OFF" + E, OK),
        (b"ROUT:TERM REAR;:FORM ASC;:SOUR:FUNC VOLT;:SOUR:VOLT:READ:BACK ON;:SOUR:VOLT:RANG 2;:SOUR:VOLT:PROT PROT5;"
         b":SOUR:VOLT:DEL 0;:OUTP:SMOD HIMP" + E, OK),
        (b'SENS:FUNC "CURR";:SENS:CURR:RSEN OFF;:SENS:CURR:NPLC 0.1;:SENS:CURR:AVER:TCON REP;:SENS:CURR:AVER:COUN 4;'
         b":SENS:CURR:AVER ON;:SENS:CURR:RANG 0.001;:SENS:CURR:AZER ON;:SYST:LFR?" + E, b"60" + NO),
    )  # fmt: skip
    smu.configure(
        nplc=0.1, average=4, autozero="on", current_range=1e-3, source_range=2.0, terminals="rear",
        off_state="high-impedance",
    )  # fmt: skip
    resource.assert_done()


# -- steady levels -----------------------------------------------------------------------------------------------------


def test_the_limit_is_known_to_hold_before_the_output_goes_on(cable: Cable) -> None:
    smu, resource = cable.smu(
        (b"SOUR:VOLT:ILIM 1e-05;:SOUR:VOLT 0.2" + E, b'-222,"Parameter error, out of range;1;2026/01/01 12:00:00.0"\n'),
        (b"SYST:ERR?\n", OK),
    )
    with pytest.raises(
        InstrumentError,
        match=r"smu at TCPIP0::fake.* reports -222 Parameter error, out of range \(after SOUR:VOLT:ILIM",
    ):
        smu.on(0.2, compliance=1e-5)
    resource.assert_done()


def test_on_off_and_on_again(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b"SOUR:VOLT 0;:OUTP OFF" + E, OK),
        (b"SOUR:VOLT:ILIM 0.0001;:SOUR:VOLT -0.25;:OUTP ON" + E, OK),  # the limit is known: one message
    ]
    smu.off()
    smu.on(-0.25, compliance=1e-4)
    resource.assert_done()
    assert smu.transactions == 4


def test_level_and_measure(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b"SOUR:VOLT 0.2" + E, OK),
        (b"SOUR:VOLT:ILIM 0.0002;:SOUR:VOLT 0.3" + E, OK),
        (READ + E, b"2.999981E-01,2.345678E-05,136" + NO),
    ]
    smu.level(0.2)
    smu.level(0.3, compliance=2e-4)
    assert smu.measure() == Point(0.2999981, 2.345678e-05, 0)
    resource.assert_done()


def test_a_step_is_one_message(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b"SOUR:VOLT:DEL 0.01;:SOUR:VOLT:ILIM 0.0001;:SOUR:VOLT 0.5;:" + READ + E, b"0.5,1E-04,168" + NO),
        (b"SOUR:VOLT 0.6;:" + READ + E, b"0.6,9.9E+37,168" + NO),
        (b"SOUR:VOLT 0.6;:" + READ + E, b"0.6,-2e-6,0x88" + NO),
    ]
    before = smu.transactions
    assert smu.step(0.5, compliance=1e-4, dwell=0.01).flags == FLAG_COMPLIANCE
    over = smu.step(0.6, dwell=0.01)
    assert np.isnan(over.current)
    assert over.flags == FLAG_COMPLIANCE | FLAG_OVERFLOW
    assert smu.clock.waits == []
    smu.step(0.6, dwell=0.01)
    assert smu.clock.waits == [0.01]  # the instrument delays only when its level changes
    assert smu.transactions - before == 3
    resource.assert_done()


@pytest.mark.parametrize(("status", "words"), [(b"152", "too hot"), (b"8", "output off")])
def test_a_reading_that_is_none_is_an_error(on: tuple[Any, Any], status: bytes, words: str) -> None:
    smu, resource = on
    resource.script = [(READ + E, b"0.2,1e-6," + status + NO)]
    if status == b"8":
        resource.script.append((b"*ESR?\n", b"0\n"))
    with pytest.raises(InstrumentError, match=words):
        smu.measure()
    resource.assert_done()


def test_an_output_that_is_off_after_a_power_failure_is_said_so(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [(READ + E, b"0.2,1e-6,8" + NO), (b"*ESR?\n", b"128\n")]
    with pytest.raises(PowerLostError, match=r"READ\?.*without power.*check its supply"):
        smu.measure()
    resource.script = [(b"*ESR?\n", b"0\n"), (b"*ESR?\n", b"136\n")]
    smu.require_power("a read")
    with pytest.raises(PowerLostError, match=r"smu at TCPIP.*\*ESR\? 128 \(after a read\)"):
        smu.require_power("a read")


def test_after_somebody_wrote_the_output_is_asked_for(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b":SENSe:current:NPLCycles 0.1" + E, OK),
        (b"OUTP?\n", b"1\n"),
        (READ + E, b"0,1e-9,136" + NO),
        (READ + E, b"0,1e-9,136" + NO),
        (b"OUTP OFF" + E, OK),
        (b"OUTP?\n", b"0\n"),
    ]
    smu._sense_current.nplc(0.1)
    smu.measure()
    smu.measure()
    smu.write("OUTP OFF")
    with pytest.raises(RefusedError, match="call on"):
        smu.measure()
    resource.assert_done()


def test_nothing_is_measured_with_the_output_off(cable: Cable) -> None:
    smu, resource = cable.smu()
    for call in (smu.measure, lambda: smu.level(0.1), lambda: smu.step(0.1)):
        with pytest.raises(RefusedError, match="call on"):
            call()
    resource.assert_done()


# -- sweeps ------------------------------------------------------------------------------------------------------------


def listed(values: np.ndarray) -> bytes:
    return ",".join(f"{value:.9g}" for value in values).encode()


def rows(volts: np.ndarray, *, status: int = 136) -> bytes:
    return ",".join(f"{value:.6E},{value * 1e-4:.6E},{status}" for value in volts).encode()


def sweep_script(volts: np.ndarray) -> list[tuple[bytes, bytes]]:
    head = b'TRAC:CLE "defbuffer1";:SOUR:VOLT:ILIM 0.0005;:SOUR:VOLT 0;:SOUR:VOLT:DEL 0;:SOUR:LIST:VOLT '
    return [
        (head + listed(volts[:100]) + E, OK),
        (b"SOUR:LIST:VOLT:APP " + listed(volts[100:]) + b';:SOUR:SWE:VOLT:LIST 1,0.005,1,OFF,"defbuffer1"' + E, OK),
        (b"OUTP ON;:INIT" + E, OK),
    ]


LOOP = np.concatenate([np.linspace(0, 2, 50), np.linspace(2, -2, 100), np.linspace(-2, 0, 50)])
STATE = b'TRIG:STAT?;:TRAC:ACT? "defbuffer1"' + E
FETCH = b'SOUR:VOLT 0;:OUTP OFF;:TRAC:DATA? 1,200,"defbuffer1",SOUR,READ,SOURSTAT' + E


def short_sweep(volts: np.ndarray) -> list[tuple[bytes, bytes]]:
    head = b'TRAC:CLE "defbuffer1";:SOUR:VOLT:ILIM 0.0005;:SOUR:VOLT 0;:SOUR:VOLT:DEL 0;:SOUR:LIST:VOLT '
    fetch = b'SOUR:VOLT 0;:OUTP OFF;:TRAC:DATA? 1,%d,"defbuffer1",SOUR,READ,SOURSTAT' % volts.size
    return [
        (head + listed(volts) + b';:SOUR:SWE:VOLT:LIST 1,1,1,OFF,"defbuffer1"' + E, OK),
        (b"OUTP ON;:INIT" + E, OK),
        (STATE, b"IDLE;IDLE;9;%d" % volts.size + NO),
        (fetch + E, rows(volts) + NO),
    ]


def test_a_long_sweep_goes_in_lists_that_end_off(cable: Cable) -> None:
    most = int(PIECE_SECONDS / 1.043)
    levels = np.linspace(0.0, 2.0, most + 12)
    smu, resource = cable.smu(*short_sweep(levels[:most]), *short_sweep(levels[most:]))
    volts, current, _ = smu.sweep(levels, compliance=5e-4, dwell=1.0)
    resource.assert_done()
    np.testing.assert_allclose(volts, levels, atol=1e-6)
    np.testing.assert_allclose(current, 1e-4 * levels, atol=1e-10)
    assert max(smu.clock.waits) <= PIECE_SECONDS + 0.1  # and the state's own time


def test_a_loop_of_200_points_is_five_messages(cable: Cable) -> None:
    smu, resource = cable.smu(*sweep_script(LOOP), (STATE, b"IDLE;IDLE;9;200" + NO), (FETCH, rows(LOOP) + NO))
    volts, current, flags = smu.sweep(LOOP, compliance=5e-4, dwell=5e-3)
    resource.assert_done()
    assert smu.transactions == 5
    assert smu.clock.waits == [pytest.approx(200 * 0.048 + 0.1)]
    np.testing.assert_allclose(volts, LOOP, atol=1e-6)
    np.testing.assert_allclose(current, 1e-4 * LOOP, atol=1e-10)
    assert not flags.any()
    assert flags.dtype == np.uint8


def test_a_timed_sweep_stays_on_one_range_and_has_the_instruments_times(cable: Cable) -> None:
    data = b"0.0,0.1,1.0E-05,136,0.0424,0.2,2.0E-05,136"
    smu, resource = cable.smu(
        (b'TRAC:CLE "defbuffer1";:SOUR:VOLT:ILIM 0.0005;:SOUR:VOLT 0;:SOUR:VOLT:DEL 0;:SENS:CURR:RANG 5e-05;'
         b':SOUR:LIST:VOLT 0.1,0.2;:SOUR:SWE:VOLT:LIST 1,0.001,1,OFF,"defbuffer1"' + E, OK),
        (b"OUTP ON;:INIT" + E, OK),
        (STATE, b"IDLE;IDLE;9;2" + NO),
        (b'SOUR:VOLT 0;:OUTP OFF;:TRAC:DATA? 1,2,"defbuffer1",REL,SOUR,READ,SOURSTAT' + E, data + NO),
        (b"SENS:CURR:RANG:AUTO ON" + E, OK),
    )  # fmt: skip
    time, volts, current, flags = smu.timed_sweep([0.1, 0.2], compliance=5e-4, dwell=1e-3, largest=5e-5)
    resource.assert_done()
    np.testing.assert_allclose(time, [0.0, 0.0424])
    np.testing.assert_allclose(volts, [0.1, 0.2])
    np.testing.assert_allclose(current, [1e-5, 2e-5])
    assert not flags.any()


def test_a_device_is_let_go_of_at_0_v_with_the_output_relay_open(cable: Cable) -> None:
    smu, resource = cable.smu(
        (b"SOUR:VOLT 0;:OUTP OFF" + E, OK), (b"OUTP:SMOD HIMP" + E, OK), (b"OUTP:SMOD NORM" + E, OK)
    )  # fmt: skip
    smu.disconnect()
    smu.connect()
    resource.assert_done()


def test_a_slow_loop_is_polled_a_few_times_and_a_short_one_has_one_list(cable: Cable) -> None:
    volts = np.array([0.1, -0.1])
    smu, resource = cable.smu(
        (b'TRAC:CLE "defbuffer1";:SOUR:VOLT:ILIM 0.0005;:SOUR:VOLT 0;:SOUR:VOLT:DEL 0;:SOUR:LIST:VOLT 0.1,-0.1;'
         b':SOUR:SWE:VOLT:LIST 1,0,1,OFF,"defbuffer1"' + E, OK),
        (b"OUTP ON;:INIT" + E, OK),
        (STATE, b"RUNNING;RUNNING;5;1" + NO),
        (STATE, b"WAITING;WAITING;6;1" + NO),
        (STATE, b"IDLE;IDLE;9;2" + NO),
        (b'SOUR:VOLT 0;:OUTP OFF;:TRAC:DATA? 1,2,"defbuffer1",SOUR,READ,SOURSTAT' + E, rows(volts, status=168) + NO),
    )  # fmt: skip
    waited: list[float] = []
    _, _, flags = smu.sweep(volts, compliance=5e-4, dwell=0.0, wait=waited.append)
    assert list(flags) == [FLAG_COMPLIANCE] * 2
    assert len(waited) == 3
    assert smu.clock.waits == []
    resource.assert_done()


@pytest.mark.parametrize("state", [b"ABORTED;ABORTED;4;17", b"FAILED;FAILED;4;17", b"IDLE;IDLE;9;17"])
def test_a_sweep_somebody_stopped_is_an_error_and_ends_safe(cable: Cable, state: bytes) -> None:
    smu, resource = cable.smu(*sweep_script(LOOP), (STATE, state + NO), *IDLE)
    with pytest.raises(InstrumentError, match="17 of 200 points"):
        smu.sweep(LOOP, compliance=5e-4, dwell=5e-3)
    resource.assert_done()


def test_a_sweep_that_never_ends_is_given_up(cable: Cable) -> None:
    smu, resource = cable.smu(*sweep_script(LOOP))
    resource.script += 40 * [(STATE, b"RUNNING;RUNNING;5;1" + NO)]

    def abort_when_given_up(message: bytes) -> bytes:
        if message == b"ABOR\n":
            resource.script = list(IDLE)
        return answer(message)

    answer, resource.answer = resource.answer, abort_when_given_up
    with pytest.raises(InstrumentError, match="is RUNNING"):
        smu.sweep(LOOP, compliance=5e-4, dwell=5e-3)
    assert smu.clock.now() < 4 * (200 * 0.048 + 0.1) + 12


def test_ctrl_c_in_a_sweep_aborts_and_goes_to_0_v(cable: Cable) -> None:
    smu, resource = cable.smu(*sweep_script(LOOP), *IDLE)

    def interrupt() -> None:
        raise KeyboardInterrupt

    smu.clock.then = interrupt
    with pytest.raises(KeyboardInterrupt):
        smu.sweep(LOOP, compliance=5e-4, dwell=5e-3)
    resource.assert_done()


def test_an_error_in_the_list_starts_nothing(cable: Cable) -> None:
    first = sweep_script(LOOP)[0]
    smu, resource = cable.smu(
        (first[0], b'-108,"Parameter not allowed;1;2026/01/01 12:00:00.0"\n'), (b"SYST:ERR?\n", OK), *IDLE
    )
    with pytest.raises(InstrumentError, match="-108 Parameter not allowed"):
        smu.sweep(LOOP, compliance=5e-4, dwell=5e-3)
    resource.assert_done()


def test_rows_that_do_not_add_up_are_garbled(cable: Cable) -> None:
    smu, resource = cable.smu(
        *sweep_script(LOOP), (STATE, b"IDLE;IDLE;9;200" + NO), (FETCH, rows(LOOP[1:]) + NO), *IDLE
    )
    with pytest.raises(InstrumentError, match="garbled"):
        smu.sweep(LOOP, compliance=5e-4, dwell=5e-3)
    resource.assert_done()


# -- limits ------------------------------------------------------------------------------------------------------------

METHODS: list[tuple[str, Callable[[Any], object]]] = [
    ("source_volts 2.6 V at smu .*set_volts_max.*tio2.chip.yaml", lambda s: s.on(2.6, compliance=1e-4)),
    ("source_volts is nan", lambda s: s.on(np.nan, compliance=1e-4)),
    ("source_volts -2.6 V", lambda s: s.level(-2.6)),
    ("source_volts is inf", lambda s: s.step(np.inf)),
    ("current 0.002 A.*current_max", lambda s: s.on(0.1, compliance=2e-3)),
    ("current is nan", lambda s: s.level(0.1, compliance=np.nan)),
    ("compliance 1e-10 A", lambda s: s.level(0.1, compliance=1e-10)),
    ("compliance 0 A", lambda s: s.on(0.1, compliance=0.0)),
    ("dwell 1e-05 s", lambda s: s.step(0.1, dwell=1e-5)),
    ("dwell nan s", lambda s: s.step(0.1, dwell=np.nan)),
    (r"source_volts 3 V at smu\[1\]", lambda s: s.sweep([0, 3], compliance=1e-4, dwell=0)),
    (r"source_volts is nan at smu\[0\]", lambda s: s.sweep([np.nan], compliance=1e-4, dwell=0)),
    ("give 1 to 2500 levels", lambda s: s.sweep(np.zeros(2501), compliance=1e-4, dwell=0)),
    ("give 1 to 2500 levels", lambda s: s.sweep([], compliance=1e-4, dwell=0)),
    ("give 1 to 2500 levels", lambda s: s.sweep(np.zeros((2, 2)), compliance=1e-4, dwell=0)),
    ("current 0.1 A", lambda s: s.sweep([0], compliance=0.1, dwell=0)),
    ("dwell 20000 s", lambda s: s.sweep([0], compliance=1e-4, dwell=2e4)),
    ("nplc 100 cycles", lambda s: s.configure(nplc=100)),
    ("average nan", lambda s: s.configure(average=np.nan)),
    ("current_range 5 A", lambda s: s.configure(current_range=5.0)),
    ("source_range nan V", lambda s: s.configure(source_range=np.nan)),
    ("wider than the 2.5 of tio2.chip.yaml", lambda s: s.set_limits(Limits())),
]  # fmt: skip


@pytest.mark.parametrize(("words", "call"), METHODS, ids=[words for words, _ in METHODS])
def test_methods_refuse_before_a_byte(on: tuple[Any, Any], words: str, call: Callable[[Any], object]) -> None:
    smu, resource = on
    before = len(resource.sent)
    with pytest.raises(RefusedError, match=words):
        call(smu)
    assert resource.sent[before:] == []


TEXT = [
    "SOUR:VOLT 3", ":SOURce1:VOLTage:LEVel:IMMediate:AMPLitude 3", "sour:volt:lev 3", "SOUR1:VOLT -2.6",
    "SOUR:VOLT NAN", "SOUR:VOLT INF", "SOUR:VOLT MAX", "SOUR:VOLT:IMM 3", "SOUR:VOLT:AMPL 3e0",
    "SOUR:VOLT 3000MV", "SOUR:VOLT #H7F",
    "SOUR:VOLT:ILIM 0.01", "SOUR:VOLT:ILIM:LEV 2MA", "SOUR1:VOLT:ILIM -1", "SOUR:LIST:VOLT 0,1,2,3", "SOUR:LIST:VOLT 3",
    "SOUR:LIST:VOLT:APP 1,NAN", "SOUR:LIST:VOLT:APPend 0.1,-3", "SOUR:SWE:VOLT:LIN 0,3,11", "SOUR:SWE:VOLT:LIN -3,0,11",
    "SOUR:SWE:VOLT:LIN:STEP 0,3,0.1", "SOUR:SWE:VOLT:LOG 0.1,3,11", "SOUR:FUNC CURR", "SOUR:FUNC:MODE CURRent",
    "SOUR:CURR 1e-6", "SOUR:CURR:LEV 1e-6", "SOUR:CURR:VLIM 20", "SOUR:LIST:CURR 1e-6", "SOUR:SWE:CURR:LIN 0,1e-3,11",
    "SOUR:VOLT 1;VOLT 3", "SOUR:VOLT 1;:OUTP ON;:SOUR:VOLT 3", "*RCL 0", "*CLS;*RCL 1", 'SCR:RUN "mine"',
    "SOUR:PULS:VOLT 1", "SOUR:VOLT 1\nSOUR:VOLT 3", "SOUR:VOLT?", "SOUR:VOLT 0,200", "SENS:CURR:RSEN ON", "*RST",
]  # fmt: skip


@pytest.mark.parametrize("text", TEXT)
def test_raw_text_is_read_and_refused(on: tuple[Any, Any], text: str) -> None:
    smu, resource = on
    before = len(resource.sent)
    with pytest.raises(RefusedError):
        smu.write(text)
    with pytest.raises(RefusedError):  # the second time too: what was refused is not remembered as harmless
        smu.write(text)
    assert resource.sent[before:] == []


def test_what_is_within_the_limits_passes(on: tuple[Any, Any]) -> None:
    smu, resource = on
    texts = ["SOUR:VOLT 2.5", "sour1:volt:lev -2.5", "SOUR:VOLT:ILIM 1MA", "SOUR:LIST:VOLT 0,1,-2", "SOUR:FUNC VOLT",
             "SOUR:SWE:VOLT:LIN 0,2.5,11"]  # fmt: skip
    resource.script = [(text.encode() + E, OK) for text in texts]
    for text in texts:
        smu.write(text)
    resource.script = [(b"SOUR:VOLT? MAX\n", b"2.1E+02\n"), (b":SOUR:CURR:VLIM?\n", b"2.1E+01\n")]
    assert smu.ask("SOUR:VOLT? MAX") == "2.1E+02"
    assert smu.ask(":SOUR:CURR:VLIM?") == "2.1E+01"
    resource.assert_done()


def test_the_stock_driver_s_parameters_hold_the_limits_too(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b":SENS:FUNC?\n", b'"CURR:DC"\n'),
        (b":SOUR:FUNC VOLT" + E, OK),
        (b"SOUR:voltage 1.5" + E, OK),
        (b":OUTP?\n", b"1\n"),
        (b":MEASure? 'defbuffer1'\n", b"1.5E-06\n"),
    ]
    smu.source_function("voltage")
    smu.source.voltage(1.5)
    assert smu._sense_current.current() == 1.5e-6
    resource.assert_done()
    stock = Parameter("mine", instrument=smu, set_cmd="SOUR:VOLT {}")
    for call in (
        lambda: smu.source.voltage(3.0),
        lambda: smu.source.voltage(np.nan),
        lambda: smu.source.limit(0.5),
        lambda: smu._source_current.current(1e-6),
        lambda: stock(np.inf),
    ):
        with pytest.raises(RefusedError):
            call()
    resource.script = [(b":SENS:FUNC?\n", b'"CURR:DC"\n')]
    with pytest.raises(RefusedError, match="on this bench it is VOLTage"):
        smu.source_function("current")
    smu.source_function.cache.set("voltage")
    smu.source.sweep_setup(0, 5, 11)
    with pytest.raises(RefusedError, match="source_volts 5 V"):
        smu.source.sweep_start()
    resource.assert_done()


def test_narrower_limits_reach_the_instrument_and_the_guard(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [(b"SOUR:VOLT 2" + E, OK), (b"SOUR:VOLT:PROT PROT2" + E, OK)]
    smu.write("SOUR:VOLT 2")
    narrow = LIMITS.narrowed({"set_volts_max": 1.5, "reset_volts_max": 1.5}, source="station.yaml")
    smu.set_limits(narrow)
    with pytest.raises(RefusedError, match=r"station\.yaml"):
        smu.write("SOUR:VOLT 2")
    resource.assert_done()


def test_one_of_two_units_carries_half_and_all_of_it_only_when_told(on: tuple[Any, Any]) -> None:
    smu, resource = on
    smu.halve()
    half = r"above the limit 1\.25 V.*half of a cell's voltage \(tio2\.chip\.yaml\)"
    for refused in (lambda: smu.level(1.3), lambda: smu.write("SOUR:VOLT 1.3")):
        with pytest.raises(RefusedError, match=half):
            refused()
    assert smu.source_volts_max == 2.5, "its range and protection hold the whole"
    resource.script = [(b"SOUR:VOLT 2.4" + E, OK), (b"SOUR:VOLT 1.2" + E, OK), (b"SOUR:VOLT:PROT PROT2" + E, OK)]
    with smu.whole():
        smu.level(2.4)
        with pytest.raises(RefusedError, match=half):
            smu.write("SOUR:VOLT 1.3")
        with pytest.raises(RefusedError, match=r"above the limit 2\.5 V"):
            smu.level(2.6)
    smu.level(1.2)
    narrow = LIMITS.narrowed({"set_volts_max": 1.0, "reset_volts_max": 1.0}, source="station.yaml")
    smu.set_limits(narrow)
    for volts in (0.6, -0.6):
        with pytest.raises(RefusedError, match=r"limit -?0\.5 V.*half of a cell's voltage \(station\.yaml\)"):
            smu.level(volts)
    resource.assert_done()


# -- when something goes wrong -----------------------------------------------------------------------------------------


def test_a_lost_reply_is_told_and_the_next_one_is_the_right_one(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (READ + E, b""),
        (MARK, b"0.2,1e-6,136" + NO + b"7;7;7\n"),  # it was late
        (b"SYST:ERR?\n", b'-410,"Query interrupted;1;2026/01/01 12:00:00.0"\n'),
        (b"SYST:ERR?\n", OK),
        (READ + E, b"0.3,2e-6,136" + NO),
    ]
    with pytest.raises(ConnectionLostError, match="the reply came late"):
        smu.measure()
    assert smu.measure().volts == 0.3
    resource.assert_done()
    assert resource.clears == 1  # a socket has no device clear; opening did one


def test_a_link_that_can_is_cleared_first(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.resource_name = "USB0::0x05E6::0x2450::04096331::INSTR"
    resource.script = [(READ + E, b""), (MARK, b"+7;+7;+7\n"), (b"SYST:ERR?\n", OK)]
    with pytest.raises(ConnectionLostError, match="the reply was lost"):
        smu.measure()
    assert resource.clears == 2
    resource.assert_done()


def test_a_syntax_error_that_swallows_its_own_query_is_found(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        (b"SENS:CURR:FOO 1" + E, b""),
        (MARK, b"7;7;7\n"),
        (b"SYST:ERR?\n", b'-113,"Undefined header;1;2026/01/01 12:00:00.0"\n'),
        (b"SYST:ERR?\n", OK),
    ]
    with pytest.raises(InstrumentError, match="-113 Undefined header"):
        smu.write("SENS:CURR:FOO 1")
    resource.assert_done()


def test_idle_in_any_state_and_on_a_dead_link(on: tuple[Any, Any], caplog: pytest.LogCaptureFixture) -> None:
    smu, resource = on
    resource.script = list(IDLE)
    smu.idle()
    resource.assert_done()
    resource.script = [(b"ABOR\n", InvalidSession())]
    with caplog.at_level(logging.WARNING):
        smu.idle()
    assert "what it drives stays: switch its output off by hand" in caplog.text


def test_going_idle_on_a_confused_link_clears_it_before_the_commands(on: tuple[Any, Any]) -> None:
    """A device clear throws away what the instrument has not read yet: it must not come after OUTP OFF."""
    smu, resource = on
    resource.resource_name = "GPIB0::18::INSTR"
    order: list[bytes] = []
    answer, clear = resource.answer, resource.clear
    resource.answer = lambda message: (order.append(message), answer(message))[1]
    resource.clear = lambda: (order.append(b"CLEAR"), clear())[1]
    resource.script = [(READ + E, KeyboardInterrupt()), *IDLE]
    with pytest.raises(KeyboardInterrupt):
        smu.measure()
    smu.idle()
    assert order == [READ + E, b"CLEAR", *(sent for sent, _ in IDLE)]
    resource.assert_done()


def test_closing_idles_once(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = list(IDLE)
    smu.close()
    resource.assert_done()
    assert resource.session is None
    smu.close()
    smu.idle()


def test_the_simulated_clock_is_no_transaction(on: tuple[Any, Any]) -> None:
    smu, resource = on
    before = smu.transactions
    resource.script = [(b"SIM:CLOC?\n", b"1.5\n"), (b"SIM:CLOC:ADV 2.0" + E, OK)]
    assert smu.simulated_seconds() == 1.5
    smu.advance_simulation(2.0)
    assert smu.transactions == before
    resource.assert_done()
