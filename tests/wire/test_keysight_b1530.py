"""The WGFMU driver's exact calls on a library that keeps them, and its limits; nothing of the stand-in runs here."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.drivers.keysight_b1530.box import KeysightB1530Box
from xbarlab.instruments.drivers.keysight_b1530.calls import PIECE_SECONDS
from xbarlab.instruments.drivers.keysight_b1530.digitiser import WgfmuDigitiser
from xbarlab.instruments.drivers.keysight_b1530.library import SIGNATURES
from xbarlab.instruments.drivers.keysight_b1530.pulser import WgfmuPulser
from xbarlab.instruments.drivers.keysight_b1530.shapes import RANGES, SETTLING, Look, quantised
from xbarlab.instruments.drivers.roles import Digitiser, PulseSource, lacking_verbs
from xbarlab.instruments.errors import ConnectionLostError, GarbledReplyError, InstrumentError
from xbarlab.instruments.limits import Limits

LIMITS = Limits().narrowed(
    {"set_volts_max": 2.5, "reset_volts_max": 2.0, "current_max": 1e-3, "width_max": 1e-3}, source="tio2.chip.yaml"
)
TRAIN: dict[str, Any] = {"width": 2e-7, "edge": 2e-8, "period": 1.2e-6, "count": 1}
COMPLETED, RUNNING, ABORTED = 10_000, 10_002, 10_004
TEXTS: dict[int, str] = {-1: "out of range", -5: "viWrite failed"}


class Recorder:
    """The library's functions: each is kept with plain arguments, and answered as one without trouble would be."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails: dict[str, int] = {}
        self.status = COMPLETED
        self.points: dict[str, int] = {}
        self.tied: dict[int, str] = {}
        self.lacks = 0
        self._text = ""

    def __getattr__(self, name: str) -> Callable[..., int]:
        if not name.startswith("WGFMU_"):
            raise AttributeError(name)
        return lambda *given: self._call(name.removeprefix("WGFMU_"), *given)

    def _call(self, name: str, *given: Any) -> int:
        assert name in SIGNATURES, name
        assert len(given) == len(SIGNATURES[name]), name
        plain = tuple(tuple(one) if hasattr(one, "_length_") else one for one in given if not hasattr(one, "contents"))
        if name not in ("getErrorSize", "getError"):
            self.calls.append((name, *plain))
        if name == "getErrorSize":
            given[0][0] = len(self._text)
        elif name == "getError":
            for at, byte in enumerate(self._text.encode()):
                given[0][at] = bytes([byte])
        elif name == "getChannelIdSize":
            given[0][0] = 2
        elif name == "getChannelIds":
            given[0][0], given[0][1] = 301, 302
        elif name == "getStatus":
            given[0][0] = self.status
        elif name == "clear":
            self.points, self.tied = {}, {}
        elif name == "setMeasureEvent":
            told = given[0].decode()
            self.points[told] = self.points.get(told, 0) + given[3]
        elif name == "addSequence":
            self.tied[given[0]] = given[1].decode()
        elif name == "getMeasureValueSize":
            given[1][0] = given[2][0] = self.points.get(self.tied[given[0]], 0) - self.lacks
        elif name == "getMeasureValues":
            for at in range(given[2][0]):
                given[3][at], given[4][at] = 1e-6 * at, 1e-5
        code = self.fails.get(name, 0)
        if code:
            self._text = TEXTS[code]
        return code


class WatchedClock:
    def __init__(self) -> None:
        self.waits: list[float] = []

    def now(self) -> float:
        return sum(self.waits)

    def wait(self, seconds: float) -> None:
        self.waits.append(seconds)


@pytest.fixture
def opened() -> Iterator[tuple[Any, Recorder]]:
    recorder = Recorder()
    with patch("xbarlab.instruments.drivers.keysight_b1530.box.wgfmu_library", return_value=recorder):
        box: Any = KeysightB1530Box("fast", session="GPIB0::17::INSTR", limits=LIMITS)
    box.clock = WatchedClock()
    yield box, recorder
    recorder.fails = {}
    box.close()


def test_its_parts_have_the_roles() -> None:
    assert lacking_verbs(WgfmuPulser, PulseSource) == ()
    assert lacking_verbs(WgfmuDigitiser, Digitiser) == ()


def test_opening_resets_every_channel_before_anything_else(opened: tuple[Any, Recorder]) -> None:
    box, recorder = opened
    assert recorder.calls == [
        ("openSession", b"GPIB0::17::INSTR"), ("treatWarningsAsErrors", 1001), ("getChannelIdSize",),
        ("getChannelIds", (0, 0)), ("initialize",),
    ]  # fmt: skip
    assert (box.numbers, box.identity.model, box.simulated) == ((301, 302), "B1530A", False)


def test_channels_that_are_not_there_are_refused_and_the_session_is_closed() -> None:
    recorder = Recorder()
    with (
        patch("xbarlab.instruments.drivers.keysight_b1530.box.wgfmu_library", return_value=recorder),
        pytest.raises(RefusedError, match=r"channels \[101, 102\]: .* has: 301, 302"),
    ):
        KeysightB1530Box("fast", channels=[101, 102], limits=LIMITS)
    assert recorder.calls[-1] == ("closeSession",)


def test_the_calls_of_a_200_ns_train(opened: tuple[Any, Recorder]) -> None:
    box, recorder = opened
    recorder.calls.clear()
    train = box.pulser.pulses(0.5, -0.5, **{**TRAIN, "count": 10})
    half = quantised(0.5, 2.5)
    steps = (2e-8, 1.8e-7, 2e-8, 9.8e-7)

    def channel(number: int, volts: float) -> list[tuple[Any, ...]]:
        name = f"on{number}".encode()
        return [
            ("createPattern", name, 0.0),
            ("addVectors", name, pytest.approx(steps), (volts, volts, 0.0, 0.0), 4),
            ("setOperationMode", number, 2001), ("setForceVoltageRange", number, 3001),
            ("setMeasureMode", number, 4001), ("setMeasureEnabled", number, 7000),
            ("setMeasureCurrentRange", number, 6005), ("addSequence", number, name, 10.0),
        ]  # fmt: skip

    assert recorder.calls == [
        ("clear",), *channel(301, half), *channel(302, -half),
        ("connect", 301), ("connect", 302), ("execute",), ("getStatus",), ("disconnect", 301), ("disconnect", 302),
    ]  # fmt: skip
    assert (train.first, train.second, train.width, train.seconds) == (half, -half, 2e-7, pytest.approx(1.2e-5))
    assert box.clock.waits == [pytest.approx(1.2e-5)]


def test_a_long_train_goes_in_executions_that_end_by_themselves(opened: tuple[Any, Recorder]) -> None:
    box, recorder = opened
    recorder.calls.clear()
    box.pulser.pulses(0.5, 0.0, width=1e-3, edge=1e-6, period=1e-2, count=2500)
    loops = [call[3] for call in recorder.calls if call[0] == "addSequence" and call[1] == 301]
    assert loops == [1000.0, 1000.0, 500.0]
    assert max(box.clock.waits) <= PIECE_SECONDS


def test_pulses_with_a_read_behind_each_are_one_execution(opened: tuple[Any, Recorder]) -> None:
    box, recorder = opened
    recorder.calls.clear()
    heard: list[Any] = []
    box.pulser.stress = SimpleNamespace(pulses=lambda volts, count: heard.append((volts, count)))
    first, second = box.pulser.pulse_reads(
        [0.5, 1.0], [-0.5, -1.0], width=2e-7, edge=2e-8, read=0.2, amps=1e-4, average=1e-6
    )
    assert first.current.shape == second.current.shape == (2,)
    assert heard == [([quantised(1.0, 2.5), -quantised(1.0, 2.5)], 2)], "both count as pulses"
    names = [call[0] for call in recorder.calls]
    assert names.count("execute") == 1
    looks = [call for call in recorder.calls if call[0] == "setMeasureEvent" and call[1] == b"on301"]
    ranges = [call for call in recorder.calls if call[0] == "setRangeEvent" and call[1] == b"on301"]
    assert [call[4:] for call in looks] == [(1, 1e-8, 1e-6, 12_000)] * 2
    assert [call[4] for call in ranges] == [6003, 6005, 6003, 6005], "pulses pass on the 10 mA range"
    for look, (to, back) in zip(looks, (ranges[:2], ranges[2:]), strict=True):
        assert look[3] - to[3] >= SETTLING[2] - 1e-12
        assert back[3] >= look[3] + 1e-6 - 1e-12
    (vectors,) = (call for call in recorder.calls if call[0] == "addVectors" and call[1] == b"on301")
    assert max(vectors[3]) == quantised(1.0, 2.5)
    assert vectors[3][-1] == 0.0
    levels, times = np.array([0.0, *vectors[3]]), np.concatenate(([0.0], np.cumsum(vectors[2])))
    for look in looks:
        assert np.interp(look[3], times, levels) == pytest.approx(quantised(0.2, 2.5))


def test_a_width_is_rounded_to_one_that_the_limits_allow(opened: tuple[Any, Recorder]) -> None:
    box, _ = opened
    box.pulser.set_limits(box.pulser.bounds.now.narrowed({"width_min": 204e-9, "width_max": 216e-9}, source="chip"))
    widths = {asked: box.pulser.plan(0.5, 0.0, width=asked, edge=2e-8, period=1e-6, count=1).width
              for asked in (204e-9, 208e-9, 216e-9)}  # fmt: skip
    assert widths == {204e-9: 210e-9, 208e-9: 210e-9, 216e-9: 210e-9}
    box.pulser.set_limits(box.pulser.bounds.now.narrowed({"width_min": 212e-9, "width_max": 214e-9}, source="chip"))
    with pytest.raises(RefusedError, match="on its grid of 10 ns"):
        box.pulser.plan(0.5, 0.0, width=213e-9, edge=2e-8, period=1e-6, count=1)


def test_a_record_chooses_its_range_from_the_highest_downwards(opened: tuple[Any, Recorder]) -> None:
    box, recorder = opened
    recorder.calls.clear()
    found = box.digitiser.record(rate=1e8, points=50)
    assert found.shape == (50,)
    assert (found == -1e-5).all(), "into the terminal"
    events = [call for call in recorder.calls if call[0] == "setMeasureEvent" and call[1] == b"on302"]
    assert [(call[4], call[5], call[6]) for call in events] == [(1, 1e-8, 1e-5)] * 3 + [(50, 1e-8, 1e-8)]
    to = [call[4] for call in recorder.calls if call[0] == "setRangeEvent" and call[1] == b"on302"]
    assert to == [6004, 6005, 6003, 6005, 6003, 6005], "1.5 times 10 µA is above the 10 µA range"
    assert all(volts == (0.0,) for call in recorder.calls if call[0] == "addVectors" for volts in [call[3]])


@pytest.mark.parametrize("amps", RANGES[:-1])
def test_a_range_that_has_not_settled_is_not_measured_on(opened: tuple[Any, Recorder], amps: float) -> None:
    box, recorder = opened
    recorder.calls.clear()
    early = Look(begin=0.9 * SETTLING[RANGES.index(amps)], amps=amps)
    with pytest.raises(RefusedError, match="settles in"):
        box.pulser.waveform([0, 0.1, 0], [0, 0, 0], [1e-4, 1e-4], looks=[early])
    assert recorder.calls == []


REFUSED: list[tuple[Callable[[Any], object], str]] = [
    (lambda box: box.pulser.pulses(3.0, 0.0, **TRAIN), "3 V"),
    (lambda box: box.pulser.pulses(0.0, 0.0, **TRAIN), "nothing to pulse"),
    (lambda box: box.pulser.pulses(float("nan"), 0.0, **TRAIN), "nan"),
    (lambda box: box.pulser.pulses(0.1, 0.0, **{**TRAIN, "width": 2e-3}), "width"),
    (lambda box: box.pulser.pulses(0.1, 0.0, **{**TRAIN, "edge": 5e-9}), "edge 5e-09 s"),
    (lambda box: box.pulser.pulses(0.1, 0.0, **{**TRAIN, "edge": 3e-7}), "does not fit a width"),
    (lambda box: box.pulser.pulses(0.1, 0.0, **{**TRAIN, "period": 2e-7}), "choose at least 2.3e-07 s"),
    (lambda box: box.pulser.pulses(0.1, 0.0, **{**TRAIN, "count": 1.5}), "whole number"),
    (lambda box: box.pulser.waveform([0, 1, 1], [0, 0, 0], [1e-6, 1e-6]), "begins and ends at 0 V"),
    (lambda box: box.pulser.waveform([0, 3, 0], [0, 0, 0], [1e-6, 1e-6]), "3 V"),
    (lambda box: box.pulser.waveform([0, 1, 0], [0, 0, 0], [1e-6, 1e-9]), "every segment takes"),
    (lambda box: box.pulser.waveform([0, 1, 0], [0, 0], [1e-6, 1e-6]), "one corner more"),
    (lambda box: box.pulser.waveform([0, 1, 0], [0, 0, 0], [1e-3, 1e-3]), "width"),
    (lambda box: box.pulser.waveform([0, 0, 0], [0, 0, 0], [9.0, 9.0]), "length of the execution"),
    (lambda box: box.pulser.pulse_reads([0.1], [0.1, 0.2], width=2e-7, edge=2e-8, read=0.2, amps=1e-4), "as many"),
    (lambda box: box.pulser.pulse_reads([0.1], [0.0], width=2e-7, edge=2e-8, read=2.0, amps=1e-4), "2 V"),
    (lambda box: box.pulser.pulse_reads([0.1], [0.0], width=2e-7, edge=2e-8, read=0.2, amps=1.0), "above the B1530A's"),
    (lambda box: box.digitiser.record(rate=2e8, points=5), "rate"),
    (lambda box: box.digitiser.record(rate=7e7, points=5), "grid of 10 ns"),
    (lambda box: box.digitiser.record(rate=10.0, points=50_000), "length of the execution"),
]  # fmt: skip


@pytest.mark.parametrize(("ask", "sentence"), REFUSED)
def test_what_is_refused_calls_nothing(
    opened: tuple[Any, Recorder], ask: Callable[[Any], object], sentence: str
) -> None:
    box, recorder = opened
    recorder.calls.clear()
    with pytest.raises(RefusedError, match=re.escape(sentence)) as refused:
        ask(box)
    assert "\n" not in str(refused.value)
    assert recorder.calls == []


def test_idle_after_an_interrupt_is_abort_then_0_v_then_disconnect(opened: tuple[Any, Recorder]) -> None:
    """Abort keeps the last level: 0 V comes before the relay opens."""
    box, recorder = opened

    def interrupt(_: float) -> None:
        recorder.calls.clear()
        box.clock.wait = box.clock.waits.append
        raise KeyboardInterrupt

    box.clock.wait = interrupt
    with pytest.raises(KeyboardInterrupt):
        box.pulser.pulses(0.5, -0.5, **TRAIN)
    assert recorder.calls == [
        ("abort",), ("clear",), ("createPattern", b"zero", 0.0), ("addVectors", b"zero", (1e-6,), (0.0,), 1),
        ("setMeasureEnabled", 301, 7000), ("addSequence", 301, b"zero", 1.0),
        ("setMeasureEnabled", 302, 7000), ("addSequence", 302, b"zero", 1.0),
        ("execute",), ("getStatus",), ("disconnect", 301), ("disconnect", 302),
    ]  # fmt: skip
    assert [step.step for step in box.ending] == ["stop", "0 V by a pattern", "disconnected"]
    assert box.is_idle
    recorder.calls.clear()
    box.pulser.idle()  # once is enough
    assert recorder.calls == []


@pytest.mark.parametrize("name", ["connect", "execute", "getStatus", "disconnect", "addSequence"])
def test_what_the_library_refuses_is_said_with_its_text_and_ends_safe(opened: tuple[Any, Recorder], name: str) -> None:
    box, recorder = opened
    recorder.fails = {name: -1}
    with pytest.raises(InstrumentError, match=rf"fast \(WGFMU of .*\): WGFMU_{name} returned -1 \(out of range\)"):
        box.pulser.pulses(0.5, -0.5, **TRAIN)
    assert ("abort",) in recorder.calls
    recorder.fails = {name: -5}
    with pytest.raises(ConnectionLostError, match=r"returned -5 \(viWrite failed\): check power, cable"):
        box.pulser.pulses(0.5, -0.5, **TRAIN)
    recorder.fails = {}
    box.idle()
    assert box.is_idle


def test_a_status_that_is_not_the_end_is_said(opened: tuple[Any, Recorder]) -> None:
    box, recorder = opened
    recorder.status = ABORTED
    with pytest.raises(InstrumentError, match="status 10004: somebody else stopped it"):
        box.pulser.pulses(0.5, 0.0, **TRAIN)
    recorder.status = RUNNING
    with pytest.raises(InstrumentError, match="still says status 10002"):
        box.pulser.pulses(0.5, 0.0, **TRAIN)
    recorder.status = COMPLETED


def test_a_value_too_few_is_garbled(opened: tuple[Any, Recorder]) -> None:
    box, recorder = opened
    recorder.lacks = 1
    with pytest.raises(GarbledReplyError, match="has 1 of 2 values of channel 301"):
        box.pulser.pulse_reads([0.1, 0.1], [0, 0], width=2e-7, edge=2e-8, read=0.2, amps=1e-4)


def test_a_level_on_the_grid_is_never_beyond_its_limit() -> None:
    draw = random.Random(4)
    for _ in range(5000):
        volts, most = draw.uniform(-6, 6), draw.uniform(0.0, 6.0)
        kept = quantised(max(-most, min(most, volts)), most)
        assert abs(kept) <= most * (1 + 1e-9)
        assert abs(kept - max(-most, min(most, volts))) <= 160e-6 + 1e-12


def test_10_000_random_requests_put_nothing_outside_the_limits_into_a_call(opened: tuple[Any, Recorder]) -> None:
    """Judged by a reader of its own, over every call that was made."""
    box, recorder = opened
    recorder.calls.clear()
    for part in (box.pulser, box.digitiser):
        part.set_limits(LIMITS)
    draw = random.Random(30)

    def volts() -> float:
        return draw.choice([draw.uniform(-4, 4), draw.uniform(-1, 1), 2.5, -2.0, 2.5 + 1e-9, float("nan"), 1e9])

    def seconds() -> float:
        return draw.choice([10 ** draw.uniform(-9, -2), 2e-7, 1e-6, 1e-4, float("nan")])

    asks: list[Callable[[], object]] = [
        lambda: box.pulser.pulses(
            volts(), volts(), width=seconds(), edge=draw.choice([2e-8, seconds()]),
            period=draw.choice([1e-3, seconds(), 20.0]), count=draw.choice([1, 3, 20_000, 1.5]),
        ),
        lambda: box.pulser.waveform(
            [0.0, volts(), volts(), 0.0], [0.0, volts(), 0.0, 0.0], [seconds() for _ in range(3)]
        ),
        lambda: box.pulser.pulse_reads(
            [volts() for _ in range(draw.randint(1, 3))], [0.0] * draw.randint(1, 3), width=seconds(), edge=2e-8,
            read=volts(), amps=draw.choice([1e-4, 1e-3, 1.0]),
        ),
        lambda: box.digitiser.record(rate=draw.choice([1e8, 1e6, 1e9, 1.0]), points=draw.randint(0, 20)),
    ]  # fmt: skip
    refused = 0
    for _ in range(10_000):
        try:
            draw.choice(asks)()
        except RefusedError:
            refused += 1
    assert 1000 < refused < 9900
    starts = [call[2] for call in recorder.calls if call[0] == "createPattern"]
    levels = [level for call in recorder.calls if call[0] == "addVectors" for level in call[3]]
    assert set(starts) == {0.0}
    assert levels
    assert max(map(abs, levels)) <= 2.5
    assert max(map(abs, levels)) > 2.4, "limits were gone up to"
    longest = 0.0
    seconds_of: dict[bytes, float] = {}
    for call in recorder.calls:
        if call[0] == "addVectors":
            assert call[3][-1] == 0.0, "every pattern ends at 0 V"
            seconds_of[call[1]] = sum(call[2]) if any(call[3]) else 0.0  # a record at 0 V may be longer
            assert all(abs(step / 1e-8 - round(step / 1e-8)) < 1e-6 for step in call[2])
        elif call[0] == "addSequence":
            longest = max(longest, seconds_of[call[2]] * call[3])
    assert 1.0 < longest <= PIECE_SECONDS * (1 + 1e-9)
