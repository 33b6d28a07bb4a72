"""The simulated 4200A as public KXCI programs use one: pages, answers, errors, tests, pulses, data blocks."""

from __future__ import annotations

import numpy as np
import pytest

from support.resistor_analyser import OHMS, Analyser
from xbarlab.mockhw.instrument import advance_to


@pytest.fixture
def it() -> Analyser:
    return Analyser()


def test_every_message_is_answered_and_ends_with_nul(it: Analyser) -> None:
    assert it.ask("*IDN?") == "Keithley Instruments,KI4200A,4200,V1.13"
    assert it.ask("*OPT?") == "SMU1,SMU2,PMU1RPM1-1,PMU1RPM1-2"
    it.box.receive(b"BC\0US")
    assert it.box.wait_for_reply() == b"ACK\0"
    assert it.box.wait_for_reply() is None
    it.box.receive(b"\0")
    assert it.box.wait_for_reply() == b"ACK\0"


def test_user_mode_forces_and_measures(it: Analyser) -> None:
    it.tell("US", "IT2", "RG 1, 1e-7", "DV2, 1, 0, 1e-2", "DV1, 1, 0.5, 1e-3")
    assert it.ask("TI1").startswith("NAI+")
    assert float(it.ask("TI1")[3:]) == pytest.approx(0.5 / OHMS, rel=0.02)
    assert float(it.ask("TI2")[3:]) == pytest.approx(-0.5 / OHMS, rel=0.02)
    assert float(it.ask("TV1")[3:]) == pytest.approx(0.5, abs=3e-3)
    it.tell("DV1, 1, 0.5, 2e-5")
    assert it.ask("TI1").startswith("CAI")
    assert float(it.ask("TV1")[3:]) == pytest.approx(2e-5 * OHMS, rel=0.05)
    it.tell("DV1")
    assert not it.box.smus[1].output


@pytest.mark.parametrize(
    ("messages", "said"),
    [
        (["DV1, 1, 0.1, 1e-3"], "-221"), (["US", "DV3, 1, 0.1, 1e-3"], "-241"), (["US", "DV1, 1, 30, 1e-3"], "-222"),
        (["US", "DV1, 1, 1, 1"], "-222"), (["US", "DV1, 1, nan, 1e-3"], "-222"), (["US", "DV1, 1, x, 1e-3"], "-220"),
        (["US", "TI1"], "-221"), (["XX"], "-113"), ([":PMU:NONSENSE 1"], "-113"), (["MD", "ME1"], "-221"),
        (["US", "IT9"], "-222"), ([":PMU:PULSE:TRAIN 1, 0, 1"], "-221"), ([":PMU:INIT 0", ":PMU:EXECUTE"], "-221"),
        ([":PMU:INIT 0", ":PMU:PULSE:TRAIN 1, 0, 11"], "-222"), ([":PMU:INIT 0", ":PMU:LOAD 3, 50"], "-241"),
        ([":PMU:INIT 0", ":PMU:DATA:GET 1, 0, 4096"], "-222"),
        ([":PMU:INIT 0", ":PMU:PULSE:TIMES 1, 1e-6, 1e-8, 1e-8, 0", ":PMU:OUTPUT:STATE 1, 1", ":PMU:EXECUTE"], "-221"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_acknowledged_and_told_when_asked(it: Analyser, messages: list[str], said: str) -> None:
    for message in messages:
        assert it.ask(message) == "ACK"
    assert f"({said})" in it.error()
    assert it.error() == "No error. (0)"


def test_the_first_error_stays_until_it_is_cleared(it: Analyser) -> None:
    it.ask("XX")
    it.ask("US")
    it.ask("TI1")
    assert "(-113)" in it.ask(":ERROR:LAST:GET")
    assert "(-113)" in it.error()


def test_a_list_sweep_in_system_mode_stays_at_its_last_level(it: Analyser) -> None:
    it.tell(
        "BC", "DE", "CH1, 'VA', 'IA', 1, 1", "CH2, 'VB', 'IB', 1, 3", "SS", "VL1, 1, 1e-3, 0.1, 0.2, -0.3",
        "VC2, 0, 1e-2", "HT 0", "DT 0.01", "SM DM2", "LI 'VA','IA'", "MD ME1",
    )  # fmt: skip
    assert it.ask("SP") == "16"
    it.ask("US")
    it.ask("DV1, 1, 0, 1e-3")
    assert "(-213)" in it.error()
    advance_to(it.clock, it.clock.now + 1.0)
    assert it.ask("SP") == "1"
    amps = [float(word[1:]) for word in it.ask("DO 'IA'").split(",")]
    np.testing.assert_allclose(amps, np.array([0.1, 0.2, -0.3]) / OHMS, rtol=0.03)
    assert float(it.ask("RD 'VA', 2")) == pytest.approx(0.2, abs=3e-3)
    assert it.ask("RD 'VA', 4") == "0"
    assert it.box.smus[1].output
    assert it.box.smus[1].level == -0.3


def test_me4_stops_a_sweep_where_it_is(it: Analyser) -> None:
    it.tell("DE", "CH1,'V','I',1,1", "SS", "VR1, 0.1, 1.0, 0.1, 1e-3", "DT 1", "MD", "ME1")
    advance_to(it.clock, it.clock.now + 2.5)
    it.tell("ME4")
    assert not it.box.busy
    assert it.box.smus[1].level == pytest.approx(0.3)


def test_a_train_of_standard_pulses_is_lived_through_by_the_chip(it: Analyser) -> None:
    it.pulses()
    it.tell(":PMU:INIT 0", ":PMU:RPM:CONFIGURE PMU1-1, 0", ":PMU:RPM:CONFIGURE PMU1-2, 0", ":PMU:MEASURE:MODE 0")
    for n, volts in ((1, 0.5), (2, -0.5)):
        it.tell(f":PMU:PULSE:TRAIN {n}, 0, {volts}", f":PMU:PULSE:TIMES {n}, 2e-6, 2e-7, 4e-8, 4e-8, 0")
    it.tell(":PMU:PULSE:BURST:COUNT 50")
    it.chip.lived.clear()
    it.execute()
    # The area under a pulse is amplitude times width at half height.
    area = sum(abs(volts) * seconds for volts, seconds in it.chip.lived if abs(volts) > 0.05)
    assert area == pytest.approx(50 * 1.0 * 2e-7, rel=0.05)
    assert it.circuit.terminals["p1"].on, "its outputs stay on at the base"
    it.tell(":PMU:OUTPUT:STATE 1, 0", ":PMU:OUTPUT:STATE 2, 0")
    assert not it.circuit.terminals["p1"].on


def test_pulse_iv_measures_the_tops(it: Analyser) -> None:
    it.pulses()
    it.tell(
        ":PMU:INIT 0",
        ":PMU:MEASURE:MODE 1",
        ":PMU:SWEEP:PULSE:AMPLITUDE 1, 0.2, 1, 0.2, 0, 0",
        ":PMU:PULSE:TRAIN 2, 0, 0",
    )
    for n in (1, 2):
        it.tell(f":PMU:MEASURE:RANGE {n}, 2, 1e-4", f":PMU:PULSE:TIMES {n}, 1e-4, 2e-5, 1e-7, 1e-7, 0")
    it.execute()
    rows = it.rows(1)
    assert rows.shape == (5, 4)
    np.testing.assert_allclose(rows[:, 1], rows[:, 0] / OHMS, rtol=0.03, atol=5e-7)
    np.testing.assert_allclose(it.rows(2)[:, 1], -rows[:, 1], rtol=0.03, atol=5e-7)


def test_a_low_range_has_not_settled_in_a_short_pulse(it: Analyser) -> None:
    def measured(amps: float) -> float:
        it.tell(":PMU:INIT 0", ":PMU:MEASURE:MODE 1", ":PMU:PULSE:TRAIN 1, 0, 0.5", ":PMU:PULSE:TRAIN 2, 0, 0")
        for n in (1, 2):
            it.tell(f":PMU:MEASURE:RANGE {n}, 2, {amps}", f":PMU:PULSE:TIMES {n}, 1e-5, 2e-7, 2e-8, 2e-8, 0")
        it.execute()
        return float(it.rows(1)[0, 1])

    it.pulses()
    assert measured(1e-2) == pytest.approx(0.5 / OHMS, abs=2e-5)
    assert measured(1e-4) < 0.7 * 0.5 / OHMS, "1 µs of settling in a pulse of 200 ns"


def test_a_segment_arb_samples_in_blocks(it: Analyser) -> None:
    it.pulses()
    it.tell(":PMU:INIT 1", ":PMU:SAMPLE:RATE 1e8")
    for n, volts in ((1, 0.4), (2, 0.0)):
        it.tell(
            f":PMU:MEASURE:RANGE {n}, 2, 1e-3", f":PMU:SARB:SEQ:TIME {n}, 1, 1e-7, 3e-5, 1e-7",
            f":PMU:SARB:SEQ:STARTV {n}, 1, 0, {volts}, {volts}", f":PMU:SARB:SEQ:STOPV {n}, 1, {volts}, {volts}",
            f":PMU:SARB:SEQ:STOPV:ADD {n}, 1, 0", f":PMU:SARB:SEQ:MEAS:TYPE {n}, 1, 0, 2, 0",
            f":PMU:SARB:SEQ:MEAS:START {n}, 1, 0, 1e-6, 0", f":PMU:SARB:SEQ:MEAS:STOP {n}, 1, 0, 3e-5, 0",
            f":PMU:SARB:WFM:SEQ:LIST {n}, 1, 1",
        )  # fmt: skip
    it.execute()
    rows = it.rows(1)
    assert rows.shape == (2900, 4), "two blocks"
    assert np.median(rows[:, 1]) == pytest.approx(0.4 / OHMS, rel=0.05)
    assert np.all(np.diff(rows[:, 2]) > 0.0)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (":PMU:SARB:SEQ:TIME 2, 1, 2e-7, 1e-6, 1e-7", "same times"),
        (":PMU:SARB:SEQ:STARTV 1, 1, 0, 0.4, 0.4", "begin"),
        (":PMU:SARB:SEQ:TIME 1, 1, 1e-8, 1e-6, 1e-7", "a segment of"), (":PMU:SARB:SEQ:STOPV 1, 1, 0.1, 0.1", "stops"),
        (":PMU:RPM:CONFIGURE PMU1-1, 2", "not switched to the pulse card"),
    ],
)  # fmt: skip
def test_a_segment_arb_that_does_not_fit_is_refused_at_execute(it: Analyser, wrong: str, said: str) -> None:
    it.tell(":PMU:INIT 1")
    for n in (1, 2):
        it.tell(
            f":PMU:SARB:SEQ:TIME {n}, 1, 1e-7, 1e-6, 1e-7", f":PMU:SARB:SEQ:STARTV {n}, 1, 0, 0.1, 0.1",
            f":PMU:SARB:SEQ:STOPV {n}, 1, 0.1, 0.1, 0", f":PMU:SARB:WFM:SEQ:LIST {n}, 1, 2",
            f":PMU:OUTPUT:STATE {n}, 1",
        )  # fmt: skip
    it.tell(wrong)
    it.ask(":PMU:EXECUTE")
    assert said in it.error()
    assert not it.box.busy


def test_abort_stops_in_the_middle_and_switches_off(it: Analyser) -> None:
    it.pulses()
    it.tell(":PMU:INIT 0", ":PMU:MEASURE:MODE 0", ":PMU:PULSE:TRAIN 1, 0, 0.5", ":PMU:PULSE:TRAIN 2, 0, 0")
    for n in (1, 2):
        it.tell(f":PMU:PULSE:TIMES {n}, 1, 0.5, 1e-6, 1e-6, 0")
    it.tell(":PMU:PULSE:BURST:COUNT 100", ":PMU:OUTPUT:STATE 1, 1", ":PMU:OUTPUT:STATE 2, 1", ":PMU:EXECUTE")
    advance_to(it.clock, it.clock.now + 2.2)
    assert it.ask(":PMU:TEST:STATUS?") == "1"
    it.tell(":PMU:ABORT")
    assert it.ask(":PMU:TEST:STATUS?") == "0"
    assert not it.circuit.terminals["p1"].on


def test_a_message_that_is_too_long_is_refused_and_the_next_one_answered(it: Analyser) -> None:
    it.box.receive(b"X" * ((1 << 20) + 10))
    it.box.receive(b"X\0*IDN?\0")
    assert it.box.wait_for_reply() == b"ACK\0"
    assert it.box.wait_for_reply() == b"Keithley Instruments,KI4200A,4200,V1.13\0"
    assert "(-363)" in it.error()
