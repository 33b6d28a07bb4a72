"""The 4200A driver's exact messages on a scripted cable, and its limits; nothing of the simulator runs here."""

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
from xbarlab.instruments.drivers.keithley_4200.box import Keithley4200Box
from xbarlab.instruments.drivers.keithley_4200.pmu import Keithley4225Pmu
from xbarlab.instruments.drivers.keithley_4200.pulses import quantised
from xbarlab.instruments.drivers.keithley_4200.smu import Keithley4200Smu
from xbarlab.instruments.drivers.keithley_4200.sweep import PIECE_SECONDS
from xbarlab.instruments.drivers.roles import PulseSource, SourceMeter, lacking_verbs
from xbarlab.instruments.drivers.smu_readings import Point
from xbarlab.instruments.errors import GarbledReplyError, InstrumentError
from xbarlab.instruments.limits import Limits

Step = tuple[bytes, bytes]
LIMITS = Limits().narrowed(
    {"set_volts_max": 2.5, "reset_volts_max": 2.0, "current_max": 1e-3, "width_max": 1e-3}, source="tio2.chip.yaml"
)
IDN = b"Keithley Instruments,KI4200A,1412345,V1.13\0"
ACK, NO = b"ACK\0", b"No error. (0)\0"
GET = (b":ERROR:LAST:GET\0", NO)


def said(*messages: str) -> list[Step]:
    return [(message.encode() + b"\0", ACK) for message in messages]


def act(*messages: str) -> list[Step]:
    return [*said(*messages), GET]


SAFE = said(":PMU:ABORT", "MD", "ME4", "US", "DV1,1,0,1e-06", "DV2,1,0,1e-06", "DV1", "DV2")
OPENING = [
    (b"*IDN?\0", IDN),
    *SAFE,
    *act(":ERROR:LAST:CLEAR", "BC", "*RST"),
    (b"*OPT?\0", b"SMU1,SMU2,PMU1RPM1-1,PMU1RPM1-2\0"),
    *act("US", "DV1"), *act("IT4,0,0,1", "RG 1,1e-07"),
    *act("US", "DV2"), *act("IT4,0,0,1", "RG 2,1e-07"),
]  # fmt: skip
IDLE = [*SAFE, (b"*IDN?\0", IDN), GET, (b":PMU:TEST:STATUS?\0", b"0\0")]
BEGUN = (
    ":PMU:RPM:CONFIGURE PMU1-1, 0", ":PMU:RPM:CONFIGURE PMU1-2, 0", ":PMU:SOURCE:RANGE 1, 10", ":PMU:LOAD 1, 1e+06",
    ":PMU:SOURCE:RANGE 2, 10", ":PMU:LOAD 2, 1e+06",
)  # fmt: skip
ON = (":PMU:OUTPUT:STATE 1, 1", ":PMU:OUTPUT:STATE 2, 1")
OFF = (":PMU:OUTPUT:STATE 1, 0", ":PMU:OUTPUT:STATE 2, 0")
TRAIN: dict[str, Any] = {"width": 2e-7, "edge": 2e-8, "period": 1.2e-6, "count": 1}


class WatchedClock:
    """Keeps what it was asked to wait for."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return sum(self.waits)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


class Cable:
    def __init__(self) -> None:
        self.boxes: list[Any] = []

    def box(self, *script: Step, **kwargs: Any) -> tuple[Any, Any]:
        resource = fake.ScriptedResource([*OPENING, *script])
        kind: Any = Keithley4200Box
        box = kind("analyser", resource=resource, **{"limits": LIMITS, **kwargs})
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
def opened(cable: Cable) -> tuple[Any, Any]:
    box, resource = cable.box()
    resource.assert_done()
    return box, resource


@pytest.fixture
def on(opened: tuple[Any, Any]) -> tuple[Any, Any]:
    box, resource = opened
    resource.script = act("US", "DV1,1,0,0.0001")
    box.smu1.on(compliance=1e-4)
    resource.assert_done()
    return box.smu1, resource


def test_its_parts_have_the_roles() -> None:
    assert lacking_verbs(Keithley4200Smu, SourceMeter) == ()
    assert lacking_verbs(Keithley4225Pmu, PulseSource) == ()


def test_opening_makes_safe_before_anything_else(opened: tuple[Any, Any]) -> None:
    box, _ = opened
    assert (box.identity.model, box.identity.serial, box.simulated) == ("KI4200A", "1412345", False)
    assert box.smu1.point_seconds == pytest.approx(0.022)
    assert box.smu1.place == box.pmu.place == box.place


def test_another_instrument_is_refused_by_name_and_hears_nothing() -> None:
    resource = fake.ScriptedResource([(b"*IDN?\0", b"KEITHLEY INSTRUMENTS,MODEL 2450,1,1\0")])
    with pytest.raises(InstrumentError, match="is a MODEL 2450 of KEITHLEY INSTRUMENTS, not a 4200A-SCS"):
        Keithley4200Box("analyser", resource=resource)
    resource.assert_done()


def test_a_mainframe_without_its_pulse_card_is_refused() -> None:
    asked = next(at for at, (message, _) in enumerate(OPENING) if message == b"*OPT?\0")
    short: list[tuple[bytes, bytes | BaseException]] = [*OPENING[:asked], (b"*OPT?\0", b"SMU1,SMU2\0")]
    resource = fake.ScriptedResource(short)
    with pytest.raises(InstrumentError, match=r"says it has SMU1,SMU2, and no PMU1"):
        Keithley4200Box("analyser", resource=resource, limits=LIMITS)
    resource.assert_done()


def test_a_level_carries_its_limit_and_off_is_0_v_first(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        *act("DV1,1,1.5,0.0005"),
        *act("DV1,1,-1,0.0005"),
        *act("US", "DV1,1,0,0.0005", "DV1"),
    ]
    smu.level(1.5, compliance=5e-4)
    smu.level(-1.0)
    smu.off()
    resource.assert_done()
    assert not smu.is_on


def test_measure_and_step(on: tuple[Any, Any]) -> None:
    smu, resource = on
    smu.clock.waits.clear()
    resource.script = [
        (b"TI1\0", b"NAI+2.000000E-05\0"), GET,
        *said("DV1,1,0.2,0.0001"), (b"TI1\0", b"CAI+1.000000E-04\0"), GET, (b"TV1\0", b"CAV+1.500000E-01\0"), GET,
        *act("DV1,1,0.3,0.0001"), (b"TI1\0", b"V 9.9E37\0"), GET, (b"TV1\0", b"N +2.99E-01\0"), GET,
    ]  # fmt: skip
    assert smu.measure() == Point(0.0, 2e-5, 0)
    assert smu.step(0.2) == Point(0.15, 1e-4, FLAG_COMPLIANCE)
    beyond = smu.step(0.3, dwell=0.01)
    assert np.isnan(beyond.current)
    assert (beyond.volts, beyond.flags) == (0.299, FLAG_OVERFLOW)
    assert smu.clock.waits == [0.01]
    resource.assert_done()


def test_an_error_is_raised_with_its_text_and_cleared(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        *said("DV1,1,0.1,0.0001"),
        (b":ERROR:LAST:GET\0", b'Compliance "low". (-222)\0'),
        (b":ERROR:LAST:CLEAR\0", ACK),
        GET,
    ]
    with pytest.raises(InstrumentError, match=r"reports -222 Compliance 'low' \(after DV1"):
        smu.level(0.1)
    resource.assert_done()


def test_an_answer_where_an_acknowledgement_is_due_is_garbled(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [(b"DV1,1,0.1,0.0001\0", b"N1e-6\0"), (b"*IDN?\0", IDN), GET]
    with pytest.raises(GarbledReplyError, match="answered DV1"):
        smu.level(0.1)
    resource.assert_done()


def sweep_messages(levels: str, delay: str = "0.001", *, held: bool = False) -> tuple[str, ...]:
    return (
        "BC", "DE", "CH1,'V1','I1',1,1", *(("CH2,'V2','I2',1,3",) if held else ("CH2",)), "SS",
        f"VL1,1,0.0005,{levels},0",
        *(("VC2,0,0.001",) if held else ()), "HT 0", f"DT {delay}", "SM", "DM2", "LI 'V1','I1'", "MD",
    )  # fmt: skip


def test_a_sweep_ends_at_0_v_while_the_other_unit_holds(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = act("US", "DV2,1,0,0.001")
    smu.parent.smu2.on(compliance=1e-3)
    resource.script = [
        *act(*sweep_messages("0.5,-0.25", held=True)), *act("ME1"), (b"SP\0", b"16\0"), (b"SP\0", b"1\0"),
        *act("US", "DV2,1,0,0.001", "DV1,1,0,0.0001", "DV1"),
        (b"DO 'V1'\0", b"N+5.01E-01,C-2.4E-01,N0.0\0"), (b"DO 'I1'\0", b"N+1.0E-05,C-5.0E-04,N0.0\0"),
    ]  # fmt: skip
    volts, amps, flags = smu.sweep([0.5, -0.25], compliance=5e-4, dwell=1e-3)
    resource.assert_done()
    np.testing.assert_allclose(volts, [0.501, -0.24])
    np.testing.assert_allclose(amps, [1e-5, -5e-4])
    assert flags.tolist() == [0, FLAG_COMPLIANCE]
    assert not smu.is_on
    assert smu.parent.smu2.is_on


def test_a_long_sweep_goes_in_pieces_that_end_at_0_v(on: tuple[Any, Any]) -> None:
    smu, resource = on
    seconds = 4.0 + smu.point_seconds
    piece = int(PIECE_SECONDS / seconds)
    assert piece == 2
    done: list[Step] = [(b"SP\0", b"1\0"), *act("US", "DV1,1,0,0.0001", "DV1")]

    def data(count: int) -> list[Step]:
        return [(f"DO '{q}1'\0".encode(), b",".join([b"N1E-1"] * count) + b"\0") for q in "VI"]

    resource.script = [
        *act(*sweep_messages("0.1,0.2", "4")), *act("ME1"), *done, *data(3),
        *act(*sweep_messages("0.3", "4")), *act("ME1"), *done, *data(2),
    ]  # fmt: skip
    smu.clock.waits.clear()
    assert smu.sweep([0.1, 0.2, 0.3], compliance=5e-4, dwell=4.0)[0].size == 3
    assert max(smu.clock.waits) <= PIECE_SECONDS + seconds
    resource.assert_done()


def train_messages(first: str, second: str, *, times: str = "1.2e-06, 2e-07, 2e-08, 2e-08, 0") -> tuple[str, ...]:
    return (
        ":PMU:INIT 0", *BEGUN, ":PMU:MEASURE:MODE 0",
        f":PMU:PULSE:TRAIN 1, 0, {first}", f":PMU:PULSE:TRAIN 2, 0, {second}",
        f":PMU:PULSE:TIMES 1, {times}", f":PMU:PULSE:TIMES 2, {times}",
    )  # fmt: skip


def test_a_train_gives_both_channels_at_once_and_switches_off(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    resource.script = [
        *act(*train_messages("0.75", "-0.75")), *act(":PMU:PULSE:BURST:COUNT 5", *ON), *act(":PMU:EXECUTE"),
        (b":PMU:TEST:STATUS?\0", b"1\0"), (b":PMU:TEST:STATUS?\0", b"0\0"), *act(*OFF),
    ]  # fmt: skip
    given = box.pmu.pulses(0.7501, -0.7501, **{**TRAIN, "count": 5})
    resource.assert_done()
    assert (given.first, given.second, given.width, given.seconds) == (0.75, -0.75, 2e-7, 6e-6)


def test_a_long_train_goes_in_bursts(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    times = "1, 0.001, 1e-06, 1e-06, 0"
    done: list[Step] = [*act(":PMU:EXECUTE"), (b":PMU:TEST:STATUS?\0", b"0\0"), *act(*OFF)]
    resource.script = [
        *act(*train_messages("0.1", "0", times=times)),
        *act(":PMU:PULSE:BURST:COUNT 10", *ON), *done, *act(*ON), *done,
        *act(":PMU:PULSE:BURST:COUNT 5", *ON), *done,
    ]  # fmt: skip
    box.clock.waits.clear()
    box.pmu.pulses(0.1, 0.0, width=1e-3, edge=1e-6, period=1.0, count=25)
    assert box.clock.waits == [10.0, 10.0, 5.0]
    resource.assert_done()


def test_a_waveform_is_a_segment_arb_and_its_samples_come_in_blocks(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    arrays: list[str] = []
    for n, way in ((1, ("0, 0.5, 0.5", "0.5, 0.5, 0")), (2, ("0, 0, 0", "0, 0, 0"))):
        arrays += [
            f":PMU:SARB:SEQ:TIME {n}, 1, 1e-07, 3e-06, 1e-07", f":PMU:SARB:SEQ:STARTV {n}, 1, {way[0]}",
            f":PMU:SARB:SEQ:STOPV {n}, 1, {way[1]}", f":PMU:SARB:SEQ:MEAS:TYPE {n}, 1, 0, 2, 0",
            f":PMU:SARB:SEQ:MEAS:START {n}, 1, 0, 5e-07, 0", f":PMU:SARB:SEQ:MEAS:STOP {n}, 1, 0, 3e-06, 0",
            f":PMU:SARB:WFM:SEQ:LIST {n}, 1, 1",
        ]  # fmt: skip
    block = b";".join([b"5.0E-01,1.0E-05,2.0E-06,0"] * 2048) + b"\0"
    ranges = (":PMU:MEASURE:RANGE 1, 2, 0.001", ":PMU:MEASURE:RANGE 2, 2, 0.001", ":PMU:SAMPLE:RATE 1e+06")
    resource.script = [
        *act(":PMU:INIT 1", *BEGUN, *ranges, *arrays), *act(*ON), *act(":PMU:EXECUTE"),
        (b":PMU:TEST:STATUS?\0", b"0\0"), *act(*OFF),
        (b":PMU:DATA:COUNT? 1\0", b"2049\0"), (b":PMU:DATA:GET 1, 0, 2048\0", block),
        (b":PMU:DATA:GET 1, 2048, 1\0", b"4.9E-01,1.1E-05,2.5E-06,0\0"), (b":PMU:DATA:COUNT? 2\0", b"0\0"),
    ]  # fmt: skip
    first, second = box.pmu.waveform(
        [0.0, 0.5, 0.5, 0.0], [0.0] * 4, [1e-7, 3e-6, 1e-7], measure=[None, "waveform", None], after=5e-7,
        current_range=1e-3, rate=1e6,
    )  # fmt: skip
    resource.assert_done()
    assert (first.volts.size, first.volts[-1], second.volts.size) == (2049, 0.49, 0)


def test_a_pulsed_sweep_measures_the_tops(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    times = "0.0001, 5e-06, 1e-07, 1e-07, 0"
    measured = [
        f for n in (1, 2)
        for f in (f":PMU:MEASURE:RANGE {n}, 2, 0.0001", f":PMU:MEASURE:PIV {n}, 1, 0", f":PMU:TIMES:PIV {n}, 0.75, 0.9")
    ]  # fmt: skip
    row = b"1.0E-01,1.0E-05,1E-6,0;2.0E-01,2.0E-05,2E-6,0\0"
    resource.script = [
        *act(
            ":PMU:INIT 0", *BEGUN, ":PMU:MEASURE:MODE 1", *measured,
            ":PMU:SWEEP:PULSE:AMPLITUDE 1, 0.1, 0.2, 0.1, 0, 0",
            ":PMU:PULSE:TRAIN 2, 0, 0", f":PMU:PULSE:TIMES 1, {times}", f":PMU:PULSE:TIMES 2, {times}",
            ":PMU:PULSE:BURST:COUNT 1",
        ),
        *act(*ON), *act(":PMU:EXECUTE"), (b":PMU:TEST:STATUS?\0", b"0\0"), *act(*OFF),
        (b":PMU:DATA:COUNT? 1\0", b"2\0"), (b":PMU:DATA:GET 1, 0, 2\0", row),
        (b":PMU:DATA:COUNT? 2\0", b"2\0"), (b":PMU:DATA:GET 2, 0, 2\0", row),
    ]  # fmt: skip
    first, _ = box.pmu.pulse_iv(0.1, 0.2, 0.1, width=5e-6, edge=1e-7, period=1e-4, current_range=1e-4)
    resource.assert_done()
    np.testing.assert_allclose(first.current, [1e-5, 2e-5])


def test_a_200_ns_pulse_is_not_measured_on_a_range_that_has_not_settled(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    with pytest.raises(RefusedError, match=r"the 0\.0001 A range settles in 1\.1e-06 s.*read with the SMUs after it"):
        box.pmu.pulse_iv(0.1, 0.2, 0.1, width=2e-7, edge=2e-8, period=1e-5, current_range=1e-4)
    with pytest.raises(RefusedError, match="say on which current_range"):
        box.pmu.waveform([0, 0.1, 0], [0, 0, 0], [1e-6, 1e-6], measure=["spot", None])
    resource.assert_done()


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (lambda box: box.pmu.pulses(3.0, 0.0, **TRAIN), "3 V"),
    (lambda box: box.pmu.pulses(0.0, 0.0, **TRAIN), "nothing to pulse"),
    (lambda box: box.pmu.pulses(0.1, 0.0, **{**TRAIN, "width": 3e-8}), "width 3e-08 s"),
    (lambda box: box.pmu.pulses(0.1, 0.0, **{**TRAIN, "width": 2e-3}), "width"),
    (lambda box: box.pmu.pulses(0.1, 0.0, **{**TRAIN, "edge": 1e-8}), "edge 1e-08 s"),
    (lambda box: box.pmu.pulses(0.1, 0.0, **{**TRAIN, "edge": 1.9e-7}), "choose an edge of at most 1.8e-07 s"),
    (lambda box: box.pmu.pulses(0.1, 0.0, **{**TRAIN, "period": 2e-7}), "choose at least 2.4e-07 s"),
    (lambda box: box.pmu.pulses(0.1, 0.0, **{**TRAIN, "count": 1.5}), "whole number"),
    (lambda box: box.pmu.waveform([0, 1, 1], [0, 0, 0], [1e-6, 1e-6]), "begins and ends at 0 V"),
    (lambda box: box.pmu.waveform([0, 3, 0], [0, 0, 0], [1e-6, 1e-6]), "3 V"),
    (lambda box: box.pmu.waveform([0, 1, 0], [0, 0, 0], [1e-6, 1e-8]), "every segment takes"),
    (lambda box: box.pmu.waveform([0, 1, 0], [0, 0], [1e-6, 1e-6]), "one corner more"),
    (lambda box: box.pmu.waveform([0, np.nan, 0], [0, 0, 0], [1e-6, 1e-6]), "nan"),
    (lambda box: box.pmu.waveform([0, 1, 0], [0, 0, 0], [1e-3, 1e-3]), "width"),
    (lambda box: box.pmu.pulse_iv(0.0, 0.25, 0.1, current_range=0.2, width=1e-6, edge=1e-7, period=1e-5), "steps"),
    (lambda box: box.smu1.on(2.6, compliance=1e-4), "2.6 V"),
    (lambda box: box.smu1.on(1.0, compliance=2e-3), "0.002 A"),
    (lambda box: box.smu1.on(float("nan"), compliance=1e-4), "nan"),
    (lambda box: box.smu1.step(0.1), "needs the output on"),
    (lambda box: box.write("DV1, 1, 2.6, 1E-4"), "2.6 V"),
    (lambda box: box.write("DV1, 1, 1.0, 1"), "1 A"),
    (lambda box: box.write("DV1, 1, 1.0"), "all of them"),
    (lambda box: box.write("DV3, 1, 1.0, 1e-4"), "DV1, DV2"),
    (lambda box: box.write("DV1,1,nan,1e-4"), "all of them"),
    (lambda box: box.write("DI1,1,1e-3,1"), "is refused"),
    (lambda box: box.write("US;DV1,1,9,1e-4"), "one command at a time"),
    (lambda box: box.write("US\0DV1,1,9,1e-4"), "one message"),
    (lambda box: box.write("ME1"), "use sweep()"),
    (lambda box: box.write(":PMU:EXECUTE"), "use sweep()"),
    (lambda box: box.write(":PMU:PULSE:TRAIN 1, 0, 9"), "use sweep()"),
    (lambda box: box.write("*RST"), "use sweep()"),
    (lambda box: box.write("TI1"), "use ask"),
    (lambda box: box.ask("US"), "use write"),
]


@pytest.mark.parametrize(("ask", "sentence"), REFUSED)
def test_what_is_refused_sends_nothing(opened: tuple[Any, Any], ask: Callable[[Any], object], sentence: str) -> None:
    box, resource = opened
    sent = len(resource.sent)
    with pytest.raises(RefusedError, match=re.escape(sentence)) as refused:
        ask(box)
    assert "\n" not in str(refused.value)
    resource.assert_done()
    assert len(resource.sent) == sent


def test_a_level_as_text_is_sent_and_remembered(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    resource.script = [*act("US", "DV1, 1, 0.5, 1E-4"), (b"TI1\0", b"NAI1.0E-06\0"), *act("US", "DV1")]
    box.write("DV1, 1, 0.5, 1E-4")
    assert box.smu1.is_on
    assert box.ask("TI1") == "NAI1.0E-06"
    box.write("DV1")
    assert not box.smu1.is_on
    resource.assert_done()


def test_idle_is_0_v_then_off_and_is_told_step_by_step(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = list(IDLE)
    smu.idle()
    resource.assert_done()
    words = [step.step for step in smu.ending]
    assert words.index("SMU1 0 V") < words.index("SMU1 off")
    assert smu.is_idle
    assert not smu.is_on
    smu.parent.pmu.idle()  # once is enough
    resource.assert_done()


def test_a_level_on_the_grid_is_never_beyond_its_limit() -> None:
    draw = random.Random(4)
    for _ in range(5000):
        volts, most = draw.uniform(-3, 3), draw.uniform(0.0, 3.0)
        kept = quantised(max(-most, min(most, volts)), most)
        assert abs(kept) <= most * (1 + 1e-9)
        assert abs(kept - max(-most, min(most, volts))) <= 250e-6 + 1e-12


class Anything(fake.ScriptedResource):
    """Answers whatever is sent as an instrument without errors would, and keeps it."""

    def __init__(self) -> None:
        super().__init__([])
        self.heard: list[str] = []

    def answer(self, message: bytes) -> bytes:
        self.heard.append(message.decode().rstrip("\0"))
        text = self.heard[-1]
        swept = next((one for one in reversed(self.heard) if one.startswith("VL")), "")
        replies = {
            "*IDN?": IDN, "*OPT?": b"SMU1,SMU2,PMU1\0", ":ERROR:LAST:GET": NO, "SP": b"1\0",
            ":PMU:TEST:STATUS?": b"0\0",
        }  # fmt: skip
        if text.startswith(("TI", "TV")):
            return b"N1E-6\0"
        if text.startswith("DO"):
            return b",".join([b"N1E-6"] * (swept.count(",") - 2)) + b"\0"
        if text.startswith(":PMU:DATA:COUNT?"):
            return b"0\0"
        return replies.get(text, ACK)


# Every number on the wire that puts volts on a terminal: the command, and which of its arguments are volts and amperes.
VOLTS: dict[str, tuple[slice, slice]] = {
    "DV": (slice(2, 3), slice(3, 4)), "VL": (slice(3, None), slice(2, 3)), "VC": (slice(1, 2), slice(2, 3)),
    ":PMU:PULSE:TRAIN": (slice(1, 3), slice(0, 0)), ":PMU:SWEEP:PULSE:AMPLITUDE": (slice(1, 3), slice(0, 0)),
    ":PMU:SARB:SEQ:STARTV": (slice(2, None), slice(0, 0)), ":PMU:SARB:SEQ:STOPV": (slice(2, None), slice(0, 0)),
}  # fmt: skip
_WORD = re.compile(r"([A-Z]{2}|:[A-Z:]+?)(?: |(?=\d))(.*)")


def beyond(message: str, volts: float, amps: float) -> bool:
    match = _WORD.fullmatch(message.upper())
    found = VOLTS.get(match[1].removesuffix(":ADD")) if match else None
    if match is None or found is None:
        return False
    words = match[2].split(",")
    return any(abs(float(word)) > volts for word in words[found[0]]) or any(float(w) > amps for w in words[found[1]])


def test_10_000_random_requests_put_nothing_outside_the_limits_on_the_wire() -> None:
    """Judged by a reader of its own, over every message that left."""
    resource = Anything()
    kind: Any = Keithley4200Box
    box = kind("analyser", resource=resource, limits=LIMITS)
    box.clock = WatchedClock()
    for part in (*box.smus, box.pmu):
        part.set_limits(LIMITS)
    draw = random.Random(20)

    def volts() -> float:
        return draw.choice([draw.uniform(-4, 4), draw.uniform(-2.5, 2.5), 2.5, -2.5, 2.5 + 1e-9, float("nan"), 1e9])

    def amps() -> float:
        return draw.choice([10 ** draw.uniform(-9, 0), 1e-3, 1.0000001e-3, float("inf"), -1e-4])

    def seconds() -> float:
        return draw.choice([10 ** draw.uniform(-8, -2), 2e-7, 1e-6, 1e-4, float("nan")])

    def word() -> str:
        text = draw.choice(["{:g}", "{:.3e}", " {:+.12g}", "{:.10f}"])
        return text.format(volts())

    asks: list[Callable[[], object]] = [
        lambda: draw.choice(box.smus).on(volts(), compliance=amps()),
        lambda: draw.choice(box.smus).level(volts()),
        lambda: draw.choice(box.smus).step(volts(), compliance=draw.choice([None, amps()])),
        lambda: draw.choice(box.smus).volt(volts()),
        lambda: draw.choice(box.smus).sweep(
            [volts() for _ in range(draw.randint(1, 4))], compliance=amps(), dwell=1e-3
        ),
        lambda: box.pmu.pulses(
            volts(), volts(), width=seconds(), edge=draw.choice([2e-8, seconds()]),
            period=draw.choice([1e-3, seconds()]),
            count=draw.randint(1, 3),
        ),
        lambda: box.pmu.waveform(
            [0.0, volts(), volts(), 0.0], [0.0, volts(), 0.0, 0.0], [seconds() for _ in range(3)],
            loops=draw.randint(1, 2),
        ),
        lambda: box.pmu.pulse_iv(
            volts(), volts(), draw.choice([0.1, 0.05]), width=1e-5, edge=1e-7, period=1e-4, current_range=1e-2
        ),
        lambda: box.write(f"DV{draw.randint(0, 3)}, 1, {word()}, {draw.choice(['1e-4', '2e-3', '.001'])}"),
        lambda: box.write(draw.choice(["VL1,1,1e-3,", "VC1,", ":PMU:PULSE:TRAIN 1,0,", "DI1,1,", "US;DV1,"]) + word()),
    ]  # fmt: skip
    refused = 0
    for _ in range(10_000):
        try:
            draw.choice(asks)()
        except RefusedError:
            refused += 1
    outside = [message for message in resource.heard if beyond(message, 2.5, 1e-3)]
    assert outside == []
    assert 1000 < refused < 9900
    sent = {match[1] for message in resource.heard if (match := _WORD.fullmatch(message))}
    assert set(VOLTS) - {"VC"} <= sent | {"VC"}, "every way out was gone"
    assert (
        sum(message.startswith(("DV", "VL", ":PMU:PULSE:TRAIN", ":PMU:SARB:SEQ:STARTV")) for message in resource.heard)
        > 2000
    )
    box.close()


def test_the_reader_of_that_test_sees_what_is_outside() -> None:
    for message in (
        "DV1,1,2.6,1e-4", "DV2, 1, 1, 2e-3", "VL1,1,1e-4,0.1,-3", "VC2,2.7,1e-4", ":PMU:PULSE:TRAIN 1, 0, 2.6",
        ":PMU:SARB:SEQ:STOPV:ADD 1, 1, 0, 2.6", ":PMU:SWEEP:PULSE:AMPLITUDE 1, 0, -2.6, 0.1, 0, 0",
    ):  # fmt: skip
        assert beyond(message, 2.5, 1e-3), message
    assert not beyond("DV1,1,2.5,0.001", 2.5, 1e-3)
