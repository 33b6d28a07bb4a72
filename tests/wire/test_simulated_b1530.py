"""The stand-in for the B1530A's library as a script uses it: patterns, events, sequences, status, values, errors."""

from __future__ import annotations

from ctypes import c_double, c_int, create_string_buffer, pointer
from typing import Any

import numpy as np
import pytest

from support.resistor_mainframe import ADDRESS, OHMS, Mainframe
from xbarlab.mockhw.instruments.keysight_b1530 import codes


class Script:
    """Calls the library by its names; anything but 0 is a failure unless it is asked for."""

    def __init__(self, bench: Mainframe) -> None:
        self.bench, self.library = bench, bench.library

    def __getattr__(self, name: str) -> Any:
        def call(*given: Any) -> None:
            assert self.code(name, *given) == 0, self.error()

        return call

    def code(self, name: str, *given: Any) -> int:
        return int(getattr(self.library, f"WGFMU_{name}")(*given))

    def error(self) -> str:
        size = c_int(0)
        self.code("getErrorSize", pointer(size))
        text = create_string_buffer(size.value + 1)
        room = c_int(size.value + 1)
        self.code("getError", text, pointer(room))
        return text.value.decode("latin-1")

    def status(self) -> tuple[int, float, float]:
        status, elapsed, total = c_int(0), c_double(0.0), c_double(0.0)
        self.getStatus(pointer(status), pointer(elapsed), pointer(total))
        return status.value, elapsed.value, total.value

    def values(self, channel: int) -> tuple[list[float], list[float]]:
        made, total = c_int(0), c_int(0)
        self.getMeasureValueSize(channel, pointer(made), pointer(total))
        times, values = (c_double * made.value)(), (c_double * made.value)()
        self.getMeasureValues(channel, 0, pointer(made), times, values)
        return list(times), list(values)

    def ready(self, channel: int, mode: int = codes.MODE_FASTIV) -> None:
        self.setOperationMode(channel, mode)
        self.connect(channel)


@pytest.fixture
def script() -> Script:
    bench = Mainframe()
    bench.pulses()
    made = Script(bench)
    made.openSession(ADDRESS.encode())
    made.initialize()
    return made


def hold_at_zero(script: Script, channel: int, seconds: float) -> None:
    script.createPattern(b"zero", 0.0)
    script.addVector(b"zero", seconds, 0.0)
    script.ready(channel)
    script.addSequence(channel, b"zero", 1.0)


def test_a_pulse_with_a_read_behind_it_in_one_execution(script: Script) -> None:
    script.createPattern(b"p", 0.0)
    times, volts = [2e-8, 1.8e-7, 2e-8, 1e-6, 2e-8, 1e-5, 2e-8], [1.0, 1.0, 0.0, 0.0, 0.2, 0.2, 0.0]
    script.addVectors(b"p", (c_double * 7)(*times), (c_double * 7)(*volts), 7)
    script.setRangeEvent(b"p", b"down", 1.24e-6, 6003)
    script.setMeasureEvent(b"p", b"read", 4e-6, 5, 1e-6, 1e-6, codes.AVERAGED)
    for channel in (301, 302):
        script.ready(channel)
        script.setMeasureMode(channel, codes.MEASURE_CURRENT)
        script.setMeasureCurrentRange(channel, 6005)
    script.addSequence(301, b"p", 1.0)
    script.createPattern(b"zero", 0.0)
    script.addVector(b"zero", sum(times), 0.0)
    script.addSequence(302, b"zero", 1.0)
    script.execute()
    assert script.status()[0] == codes.RUNNING
    script.waitUntilCompleted()
    assert script.status()[0] == codes.COMPLETED
    at, amps = script.values(301)
    np.testing.assert_allclose(at, 4e-6 + 1e-6 * np.arange(5) + 5e-7)
    np.testing.assert_allclose(amps, 0.2 / OHMS, rtol=0.02)
    assert script.bench.clock.now == pytest.approx(sum(times), rel=1e-6)


def test_a_range_holds_the_current_back(script: Script) -> None:
    script.createPattern(b"p", 0.0)
    script.addVector(b"p", 1e-6, 0.5)
    script.addVector(b"p", 1e-3, 0.5)
    script.addVector(b"p", 1e-6, 0.0)
    script.setMeasureEvent(b"p", b"late", 9e-4, 1, 1e-6, 1e-6, codes.AVERAGED)
    hold_at_zero(script, 302, 1.002e-3)
    script.ready(301)
    script.setMeasureMode(301, codes.MEASURE_CURRENT)
    script.setMeasureCurrentRange(301, 6002)
    script.addSequence(301, b"p", 1.0)
    script.execute()
    script.waitUntilCompleted()
    _, (amps,) = script.values(301)
    assert amps == pytest.approx(1e-5, rel=0.03), "the top of the 10 µA range, where 50 µA would flow"


def test_what_a_measurement_shows_right_after_a_change_of_range_has_not_settled(script: Script) -> None:
    script.createPattern(b"p", 0.0)
    script.addVector(b"p", 1e-6, 0.05)
    script.addVector(b"p", 2e-4, 0.05)
    script.addVector(b"p", 1e-6, 0.0)
    script.setMeasureEvent(b"p", b"early", 1.5e-6, 1, 1e-7, 1e-7, codes.AVERAGED)
    script.setMeasureEvent(b"p", b"late", 1e-4, 1, 1e-7, 1e-7, codes.AVERAGED)
    hold_at_zero(script, 302, 2.02e-4)
    script.ready(301)
    script.setMeasureMode(301, codes.MEASURE_CURRENT)
    script.setMeasureCurrentRange(301, 6002)
    script.addSequence(301, b"p", 1.0)
    script.execute()
    script.waitUntilCompleted()
    _, (early, late) = script.values(301)
    assert late == pytest.approx(5e-6, rel=0.03)
    assert early < 0.8 * late


def test_status_and_abort_on_the_way(script: Script) -> None:
    assert script.status()[0] == codes.IDLE
    script.createPattern(b"p", 0.0)
    script.addVector(b"p", 1e-3, 0.4)
    script.addVector(b"p", 1e-3, 0.0)
    script.ready(301, codes.MODE_PG)
    script.addSequence(301, b"p", 1000.0)
    script.execute()
    script.bench.clock.advance(0.5)
    status, elapsed, total = script.status()
    assert (status, elapsed, total) == (codes.RUNNING, pytest.approx(0.5), pytest.approx(2.0))
    script.abort()
    assert script.status()[0] == codes.ABORT_COMPLETED
    script.execute()
    script.bench.clock.advance(2.5)
    assert script.status()[0] == codes.COMPLETED


def test_times_are_rounded_to_10_ns_and_patterns_can_be_looked_at(script: Script) -> None:
    script.createPattern(b"p", 0.0)
    script.addVector(b"p", 7.2e-8, 1.0)
    script.setVector(b"p", 2e-7, 0.5)
    size, time, volts = c_int(0), c_double(0.0), c_double(0.0)
    script.getPatternForceValueSize(b"p", pointer(size))
    assert size.value == 3
    script.getPatternForceValue(b"p", 1, pointer(time), pointer(volts))
    assert (time.value, volts.value) == (pytest.approx(7e-8), 1.0)
    script.createMergedPattern(b"twice", b"p", b"p", codes.AXIS_TIME)
    script.createMultipliedPattern(b"half", b"p", 2.0, 0.5)
    script.createOffsetPattern(b"later", b"p", 1e-6, 0.1)
    for name, at, expected in ((b"twice", 2.7e-7, 1.0), (b"half", 1.4e-7, 0.5), (b"later", 1.07e-6, 1.1)):
        script.getPatternInterpolatedForceValue(name, at, pointer(volts))
        assert volts.value == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "given", "code"),
    [
        ("createPattern", (b"p", 0.0), codes.PATTERN_EXISTS), ("createPattern", (b"q", 11.0), codes.OUT_OF_RANGE),
        ("createPattern", ("q", 0.0), codes.ILLEGAL_STRING), ("addVector", (b"no", 1e-6, 0.0), codes.NO_PATTERN),
        ("addVector", (b"p", 1e-9, 0.0), codes.OUT_OF_RANGE), ("addVector", (b"p", 1e-6, 10.5), codes.OUT_OF_RANGE),
        ("setMeasureEvent", (b"p", b"e", 0.0, 200, 1e-8, 1e-8, 12_000), codes.OUT_OF_RANGE),
        ("setMeasureEvent", (b"p", b"e", 0.0, 1, 1e-8, 1e-8, 1), codes.OUT_OF_RANGE),
        ("setMeasureEvent", (b"p", b"e", 0.0, 2, 1e-8, 1e-7, 12_000), codes.OUT_OF_RANGE),
        ("setRangeEvent", (b"p", b"e", 0.0, 6006), codes.OUT_OF_RANGE), ("connect", (999,), codes.NO_CHANNEL),
        ("addSequence", (301, b"p", 0.0), codes.OUT_OF_RANGE), ("execute", (), codes.CONTEXT),
        ("waitUntilCompleted", (), codes.NOT_RUNNING), ("dcforceVoltage", (301, 0.1), codes.CONTEXT),
        ("setOperationMode", (301, 2009), codes.OUT_OF_RANGE), ("openSession", (ADDRESS.encode(),), codes.CONTEXT),
        ("openSession", (b"GPIB0::5::INSTR",), codes.COMMUNICATION), ("setTimeout", (0.1,), codes.OUT_OF_RANGE),
    ],
)  # fmt: skip
def test_what_it_refuses_has_a_number_and_a_text(script: Script, name: str, given: Any, code: int) -> None:
    script.createPattern(b"p", 0.0)
    script.addVector(b"p", 1e-6, 0.5)
    assert script.code(name, *given) == code
    assert script.error().startswith(f"WGFMU_{name}: ")
    assert script.error() == ""
    script.clear()
    assert script.code("addVector", b"p", 1e-6, 0.0) == codes.NO_PATTERN, "clear forgets patterns"


def test_without_a_session_nothing_reaches_the_module() -> None:
    script = Script(Mainframe())
    for name, given in (("initialize", ()), ("execute", ()), ("connect", (301,)), ("abort", ())):
        assert script.code(name, *given) == codes.CONTEXT


def test_a_range_of_one_polarity_refuses_the_other(script: Script) -> None:
    script.createPattern(b"p", 0.0)
    script.addVector(b"p", 1e-6, -0.5)
    script.addVector(b"p", 1e-6, 0.0)
    script.ready(301)
    script.setForceVoltageRange(301, codes.FORCE_10V_POSITIVE)
    script.addSequence(301, b"p", 1.0)
    assert script.code("execute") == codes.OUT_OF_RANGE
    script.setForceVoltageRange(301, codes.FORCE_3V)
    script.execute()
