"""The B1500A driver's exact messages on a scripted cable, and its limits; nothing of the simulator runs here."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from qcodes.instrument_drivers.Keysight.keysightb1500 import constants

from support import fake_board as fake
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import FLAG_COMPLIANCE, FLAG_OVERFLOW
from xbarlab.instruments.drivers.keysight_b1500.box import KeysightB1500Box
from xbarlab.instruments.drivers.keysight_b1500.smu import KeysightB1500Smu, current_code
from xbarlab.instruments.drivers.keysight_b1500.sweep import PIECE_SECONDS, stairs
from xbarlab.instruments.drivers.roles import RecordingMeter, SourceMeter, lacking_verbs
from xbarlab.instruments.drivers.smu_readings import Point
from xbarlab.instruments.errors import GarbledReplyError, InstrumentError, PowerLostError
from xbarlab.instruments.limits import Limits

Step = tuple[bytes, bytes]
LIMITS = Limits().narrowed(
    {"set_volts_max": 2.5, "reset_volts_max": 2.0, "current_max": 1e-3, "width_max": 1e-3}, source="tio2.chip.yaml"
)
IDN = b"Keysight Technologies,B1500A,0,A.06.01.2018.0228\r\n"
NO = b'+0,"No Error."\r\n'
GET = (b"ERRX?\n", NO)
MODULES = b"B1517A,0;B1517A,0;B1530A,0;0,0;0,0;0,0;0,0;0,0;0,0;0,0\r\n"


def act(*lines: str) -> list[Step]:
    """Return an exchange of lines that are answered for by the error queue; all leave in one write."""
    return [("\n".join((*lines, "ERRX?")).encode() + b"\n", NO)]


def ask(*lines: str, reply: bytes) -> list[Step]:
    return [("\n".join(lines).encode() + b"\n", reply), GET]


def prepared(slot: int) -> list[Step]:
    return [*act(f"CL {slot}"), *act("FMT 1,1", f"AAD {slot},0", "AV -1", f"FL 0,{slot}", f"RI {slot},13")]


SAFE: list[Step] = [(b"AB\n", b""), (b"DZ\n", b""), (b"CL\n", b"")]
WAITS = "WT 0.0,0.0,0.0,0.0,0.0"
OPENING: list[Step] = [
    (b"*IDN?\n", IDN), *SAFE, GET, *act("*RST"), (b"UNT? 0\n", MODULES), *act(WAITS), *act(WAITS),
    *prepared(1), *prepared(2),
]  # fmt: skip
IDLE: list[Step] = [*SAFE, (b"*IDN?\n", IDN), GET, (b"*LRN? 0\n", b"CL\r\n")]


class WatchedClock:
    """Keeps what it was asked to wait for."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return sum(self.waits)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def opened() -> Iterator[tuple[Any, Any]]:
    resource = fake.ScriptedResource([*OPENING])
    resource.resource_name = "GPIB0::17::INSTR"
    kind: Any = KeysightB1500Box
    box = kind("analyser", resource=resource, limits=LIMITS)
    resource.assert_done()
    box.clock = WatchedClock()
    yield box, resource
    if getattr(box, "_visa_handle", None) is not None:
        resource.script = list(IDLE)
        box.close()


@pytest.fixture
def on(opened: tuple[Any, Any]) -> tuple[Any, Any]:
    box, resource = opened
    resource.script = act("CN 1", "DV 1,200,0,0.0001")
    box.smu1.on(compliance=1e-4)
    resource.assert_done()
    return box.smu1, resource


def test_its_smus_have_the_roles() -> None:
    assert lacking_verbs(KeysightB1500Smu, SourceMeter) == ()
    assert lacking_verbs(KeysightB1500Smu, RecordingMeter) == ()


def test_opening_makes_safe_before_anything_else(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    assert resource.clears == 1, "a device clear ends what a dead host has left"
    assert (box.identity.model, box.simulated) == ("B1500A", False)
    assert box.smu1.point_seconds == pytest.approx(0.022)
    assert box.smu1.place == box.place
    assert [module.short_name for module in box.by_slot.values()] == ["smu1", "smu2", "wgfmu1"]


def test_another_instrument_is_refused_by_name_and_hears_nothing() -> None:
    resource = fake.ScriptedResource([(b"*IDN?\n", b"KEITHLEY INSTRUMENTS,MODEL 2450,1,1\n")])
    kind: Any = KeysightB1500Box
    with pytest.raises(InstrumentError, match="is a MODEL 2450 of KEITHLEY INSTRUMENTS, not a B1500A"):
        kind("analyser", resource=resource)
    resource.assert_done()


def test_a_mainframe_with_one_smu_is_refused() -> None:
    at = next(at for at, (message, _) in enumerate(OPENING) if message.startswith(b"UNT"))
    short = [*OPENING[:at], (b"UNT? 0\n", b"B1517A,0;0,0;B1525A,0\r\n"), *act(WAITS)]
    resource = fake.ScriptedResource([*short])
    kind: Any = KeysightB1500Box
    with pytest.raises(InstrumentError, match=r"has 1 SMUs of .*; two are needed"):
        kind("analyser", resource=resource, limits=LIMITS)
    resource.assert_done()


def test_errors_of_whoever_used_it_last_are_forgotten() -> None:
    old = [(b"ERRX?\n", b'+305,"Excess current in HPSMU.; SLOT1"\r\n'), GET]
    resource = fake.ScriptedResource([*OPENING[:4], *old, *OPENING[5:]])
    kind: Any = KeysightB1500Box
    box = kind("analyser", resource=resource, limits=LIMITS)
    resource.assert_done()
    resource.script = list(IDLE)
    box.close()


def test_a_level_carries_its_limit_and_off_is_0_v_first(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [
        *act("DV 1,200,1.5,0.0005"),
        *act("DV 1,200,-1,0.0005"),
        *act("DZ 1", "CL 1"),
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
        *ask("TI 1,13", reply=b"NAI+2.00000E-05\r\n"),
        *ask("DV 1,200,0.2,0.0001", "TI 1,13", reply=b"CAI+1.00000E-04\r\n"),
        *ask("TV 1", reply=b"NAV+1.50000E-01\r\n"),
        *act("DV 1,200,0.3,0.0001"), *ask("TI 1,13", reply=b"VAI+199.999E+99\r\n"),
        *ask("TV 1", reply=b"NAV+2.99000E-01\r\n"),
    ]  # fmt: skip
    assert smu.measure() == Point(0.0, 2e-5, 0)
    assert smu.step(0.2) == Point(0.15, 1e-4, FLAG_COMPLIANCE)
    beyond = smu.step(0.3, dwell=0.01)
    assert np.isnan(beyond.current)
    assert (beyond.volts, beyond.flags) == (0.299, FLAG_OVERFLOW)
    assert smu.clock.waits == [0.01]
    resource.assert_done()


def test_an_error_is_raised_with_its_text(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [(b"DV 1,200,0.1,0.0001\nERRX?\n", b'+123,"Compliance must be set correctly."\r\n'), GET]
    with pytest.raises(InstrumentError, match=r"reports 123 Compliance must be set correctly\. \(after DV 1"):
        smu.level(0.1)
    resource.assert_done()


def test_a_reading_that_is_none_is_garbled(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [*ask("TI 1,13", reply=b"NAI+2.0E\r\n")]
    with pytest.raises(GarbledReplyError, match="answered TI 1,13 with"):
        smu.measure()
    resource.assert_done()
    resource.script = [(b"*IDN?\n", IDN), *ask("TI 1,13", reply=b"NAI+2.00000E-05\r\n")]
    assert smu.measure().current == 2e-5


def test_power_that_was_lost_is_seen_by_the_data_format(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = [(b"*LRN? 31\n", b"TM1;AV-1,0;CM1;FMT1,1;MM1\r\n")]
    smu.require_power("a read")
    resource.script = [(b"*LRN? 31\n", b"TM1;AV1,0;CM1;FMT1,0;MM1\r\n")]
    with pytest.raises(PowerLostError, match="has been without power"):
        smu.require_power("a read")
    resource.assert_done()


def staircase(start: str, stop: str, count: int, reply: bytes, *, delay: str = "0.0010") -> list[Step]:
    return [
        *act(f"WT 0,{delay},0,0,0", "WM 1,1", f"WV 1,1,200,{start},{stop},{count},0.0005", "MM 2,1"),
        (b"XE\nDZ 1\n", reply), GET,
    ]  # fmt: skip


def data(*amps: float) -> bytes:
    return ",".join(f"NAI{one:+.5E},WAV+1.00000E-01" for one in amps).encode() + b"\r\n"


def test_a_sweep_goes_in_staircases_with_0_v_behind_each_in_the_same_message(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    resource.script = [
        *act("CN 1"), *staircase("0", "0.2", 3, data(0, 1e-5, 2e-5)),
        *staircase("0.1", "-0.1", 3, data(1e-5, 0, -1e-5)),
        *act("DZ 1", "CL 1"),
    ]  # fmt: skip
    volts, amps, flags = box.smu1.sweep([0, 0.1, 0.2, 0.1, 0, -0.1], compliance=5e-4, dwell=1e-3)
    resource.assert_done()
    np.testing.assert_allclose(volts, [0, 0.1, 0.2, 0.1, 0, -0.1])
    np.testing.assert_allclose(amps, [0, 1e-5, 2e-5, 1e-5, 0, -1e-5])
    assert not flags.any()
    assert box.clock.waits == [pytest.approx(3 * 0.023)] * 2
    assert not box.smu1.is_on


def test_no_staircase_is_longer_than_a_piece() -> None:
    levels = np.concatenate([np.linspace(0, 1, 700), np.linspace(1, -1, 1500)[1:], [0.3, 0.35, -0.2]])
    for most in (1, 7, 434, 1001):
        parts = list(stairs(levels, most))
        assert max(part.points for part in parts) <= most
        again = np.concatenate([np.linspace(part.start, part.stop, part.points) for part in parts])
        np.testing.assert_allclose(again, levels, atol=2e-6)
    assert len(list(stairs(levels, 1001))) <= 6
    assert int(PIECE_SECONDS / 0.023) == 434


def test_an_interrupted_sweep_is_cleared_before_it_is_made_safe(opened: tuple[Any, Any]) -> None:
    """AB cannot overtake the DZ behind XE: a device clear can."""
    box, resource = opened
    clears = resource.clears

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    resource.script = [*act("CN 1"), *staircase("0", "0.2", 3, b"")[:1], (b"XE\nDZ 1\n", b""), *IDLE]
    box.clock.wait = interrupt
    with pytest.raises(KeyboardInterrupt):
        box.smu1.sweep([0, 0.1, 0.2], compliance=5e-4, dwell=1e-3)
    resource.assert_done()
    assert resource.clears == clears + 1


def test_a_record_is_a_sampling_with_0_v_on_all_behind_it(on: tuple[Any, Any]) -> None:
    smu, resource = on
    reply = b"NAT+1.00000E-02,NAI+1.00000E-05,NAT+2.00000E-02,NAI+1.10000E-05\r\n"
    resource.script = [
        *act("AV 32,1", "RI 1,-16", "TSC 1", "MT 0,0.01000,2", "MSC 1,1", "MV 1,200,0,0,0.0001", "MM 10,1"),
        (b"XE\nDZ\n", reply), GET, *act("DZ 1", "CL 1"), *prepared(1)[1:],
    ]  # fmt: skip
    times, amps = smu.record(rate=100.0, points=2, largest=2e-5)
    resource.assert_done()
    np.testing.assert_allclose(times, [0.0, 0.01])
    np.testing.assert_allclose(amps, [1e-5, 1.1e-5])


def test_few_cycles_are_samples_of_the_fast_converter(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    resource.script = [*act("AV 13,1"), *act("AV -10")]
    box.smu1.integrate(0.1)
    box.smu2.integrate(0.1)  # of the whole mainframe: nothing is sent twice
    box.smu2.integrate(10.0)
    resource.assert_done()


def test_codes_of_ranges_are_those_of_qcodes() -> None:
    for name, amps in (
        ("MIN_100nA", 1e-7),
        ("MIN_1uA", 1e-6),
        ("MIN_100uA", 1e-4),
        ("MIN_1mA", 1e-3),
        ("MIN_100mA", 0.1),
    ):
        assert current_code(amps) == constants.IMeasRange[name]
    assert current_code(1.01e-4) == constants.IMeasRange["MIN_1mA"]


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (lambda box: box.smu1.on(2.6, compliance=1e-4), "2.6 V"),
    (lambda box: box.smu1.on(1.0, compliance=2e-3), "0.002 A"),
    (lambda box: box.smu1.on(float("nan"), compliance=1e-4), "nan"),
    (lambda box: box.smu1.step(0.1), "needs the output on"),
    (lambda box: box.smu1.sweep([0.0, 2.6], compliance=1e-4, dwell=0.0), "2.6 V"),
    (lambda box: box.smu1.record(rate=1e4, points=5, largest=1e-5), "rate"),
    (lambda box: box.smu1.setup_staircase_sweep(0, 1, 11), "use sweep()"),
    (lambda box: box.smu1.timing_parameters(0, 0.01, 5), "use record()"),
    (lambda box: box.self_calibration(), "front panel"),
    (lambda box: box.write("DV 1,0,2.6,1E-4"), "2.6 V"),
    (lambda box: box.write("DV 1,0,1.0,1"), "1 A"),
    (lambda box: box.write("DV 1,0,1.0"), "without a current limit it would have that of before"),
    (lambda box: box.write("DV 3,0,1.0,1e-4"), "channels 1, 2"),
    (lambda box: box.write("DV 1,0,nan,1e-4"), "without a current limit"),
    (lambda box: box.write("DI 1,0,1e-3,1"), "is refused"),
    (lambda box: box.write("CN"), "name channels of this bench: 1, 2"),
    (lambda box: box.write("CN 3"), "name channels of this bench: 1, 2"),
    (lambda box: box.write("DZ;DV 1,0,9,1e-4"), "one command at a time"),
    (lambda box: box.write("DZ\nDV 1,0,9,1e-4"), "one message"),
    (lambda box: box.write("WV 1,1,0,0,9,11,1e-3"), "use on(), level(), sweep()"),
    (lambda box: box.write("XE"), "sweep()"),
    (lambda box: box.write("*RST"), "sweep()"),
    (lambda box: box.write("TI 1"), "use ask"),
    (lambda box: box.ask("DZ"), "use write"),
]  # fmt: skip


@pytest.mark.parametrize(("ask_for", "sentence"), REFUSED)
def test_what_is_refused_sends_nothing(
    opened: tuple[Any, Any], ask_for: Callable[[Any], object], sentence: str
) -> None:
    box, resource = opened
    sent = len(resource.sent)
    with pytest.raises(RefusedError, match=re.escape(sentence)) as refused:
        ask_for(box)
    assert "\n" not in str(refused.value)
    resource.assert_done()
    assert len(resource.sent) == sent


def test_qcodes_own_level_goes_through_the_guard_and_is_remembered(opened: tuple[Any, Any]) -> None:
    box, resource = opened
    smu = box.smu1
    smu.source_config(constants.VOutputRange.MIN_2V, compliance=1e-4)
    resource.script = [*act("CN 1"), *act("DV 1,20,0.5,0.0001"), (b"TI 1\n", b"NAI+1.00000E-06\r\n"), *act("CL 1")]
    smu.enable_outputs()
    smu.voltage(0.5)
    assert smu.is_on
    assert smu.current() == 1e-6
    with pytest.raises(RefusedError, match=r"5 V"):
        smu.voltage(5.0)
    smu.disable_outputs()
    assert not smu.is_on
    resource.assert_done()


def test_idle_is_0_v_then_off_and_is_asked_for(on: tuple[Any, Any]) -> None:
    smu, resource = on
    resource.script = list(IDLE)
    smu.idle()
    resource.assert_done()
    assert [step.step for step in smu.ending] == ["stop", "0 V", "output off"]
    assert smu.is_idle
    smu.parent.smu2.idle()  # once is enough
    resource.assert_done()


def test_a_mainframe_that_says_a_switch_is_closed_is_not_safe(on: tuple[Any, Any]) -> None:
    smu, resource = on
    still: list[Step] = [*IDLE[:-1], (b"*LRN? 0\n", b"CN2\r\n")]
    resource.script = [*still, *still]
    smu.idle()
    resource.assert_done()
    assert not smu.is_idle


class Anything(fake.ScriptedResource):
    """Answers whatever is sent as an instrument without errors would, and keeps it."""

    def __init__(self) -> None:
        super().__init__([])
        self.heard: list[str] = []
        self.points = 0

    def answer(self, message: bytes) -> bytes:
        replies = b""
        for line in message.decode().split("\n"):
            self.heard.append(line)
            if line.startswith("WV"):
                self.points = int(line.split(",")[5])
            replies += self._reply(line)
        return replies

    def _reply(self, line: str) -> bytes:
        if line.startswith(("TI", "TV")):
            return b"NAI+1.00000E-06\r\n"
        if line == "XE":
            return data(*[1e-6] * self.points)
        return {
            "*IDN?": IDN, "ERRX?": NO, "UNT? 0": MODULES, "*LRN? 0": b"CL\r\n", "*LRN? 31": b"FMT1,1\r\n"
        }.get(line, b"")  # fmt: skip


# Every number on the wire that puts volts on a terminal: the command, and which of its arguments are volts and amperes.
VOLTS: dict[str, tuple[slice, slice]] = {
    "DV": (slice(2, 3), slice(3, 4)), "WV": (slice(3, 5), slice(6, 7)), "MV": (slice(2, 4), slice(4, 5)),
}  # fmt: skip


def beyond(line: str, volts: float, amps: float) -> bool:
    name, _, rest = line.upper().strip().partition(" ")
    found = VOLTS.get(name)
    if found is None:
        return False
    words = rest.split(",")
    return any(abs(float(word)) > volts for word in words[found[0]]) or any(float(w) > amps for w in words[found[1]])


def test_10_000_random_requests_put_nothing_outside_the_limits_on_the_wire() -> None:
    """Judged by a reader of its own, over every message that left."""
    resource = Anything()
    kind: Any = KeysightB1500Box
    box = kind("analyser", resource=resource, limits=LIMITS)
    box.clock = WatchedClock()
    for unit in box.sources:
        unit.set_limits(LIMITS)
    draw = random.Random(20)

    def volts() -> float:
        return draw.choice([draw.uniform(-4, 4), draw.uniform(-2.5, 2.5), 2.5, -2.5, 2.5 + 1e-9, float("nan"), 1e9])

    def amps() -> float:
        return draw.choice([10 ** draw.uniform(-9, 0), 1e-3, 1.0000001e-3, float("inf"), -1e-4])

    def word() -> str:
        text = draw.choice(["{:g}", "{:.3e}", " {:+.12g}", "{:.10f}"])
        return text.format(volts())

    def stock() -> None:
        unit = draw.choice(box.sources)
        unit.source_config(constants.VOutputRange.AUTO, compliance=draw.choice([None, amps()]))
        unit.voltage(volts())

    asks: list[Callable[[], object]] = [
        lambda: draw.choice(box.sources).on(volts(), compliance=amps()),
        lambda: draw.choice(box.sources).level(volts()),
        lambda: draw.choice(box.sources).step(volts(), compliance=draw.choice([None, amps()])),
        lambda: draw.choice(box.sources).sweep(
            [volts() for _ in range(draw.randint(1, 4))], compliance=amps(), dwell=1e-3
        ),
        stock,
        lambda: draw.choice(box.sources).iv_sweep.sweep_start(volts()),
        lambda: box.write(f"DV {draw.randint(0, 3)},0,{word()},{draw.choice(['1e-4', '2e-3', '.001', '-1'])}"),
        lambda: box.write(draw.choice(["WV 1,1,0,0,", "MV 1,0,0,", "DI 1,0,", "DZ;DV 1,0,", "DV 1,0,"]) + word()),
    ]  # fmt: skip
    refused = 0
    for _ in range(10_000):
        try:
            draw.choice(asks)()
        except (RefusedError, ValueError):  # QCoDeS's own validators, too
            refused += 1
    outside = [line for line in resource.heard if beyond(line, 2.5, 1e-3)]
    assert outside == []
    assert 1000 < refused < 9900
    sent = {line.split(" ")[0] for line in resource.heard}
    assert {"DV", "WV"} <= sent
    assert sum(line.startswith(("DV", "WV")) for line in resource.heard) > 1000
    box.close()
