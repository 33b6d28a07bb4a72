"""The simulated B1500A as programs use FLEX: spot, staircase, sampling, errors, what is queued, abort, device clear."""

from __future__ import annotations

import numpy as np
import pytest

from support.resistor_mainframe import OHMS, Mainframe
from xbarlab.mockhw.instrument import advance_to


@pytest.fixture
def bench() -> Mainframe:
    return Mainframe()


def numbers(reply: str, quantity: str = "I") -> list[float]:
    return [float(word[3:]) for word in reply.split(",") if word[2] == quantity]


def test_it_says_who_it_is_and_what_is_in_it(bench: Mainframe) -> None:
    assert bench.ask("*IDN?").split(",")[1] == "B1500A"
    assert bench.ask("UNT? 0") == "B1517A,0;B1517A,0;B1530A,0;" + ";".join(["0,0"] * 7)
    assert bench.ask("*LRN? 0") == "CL"


def test_a_spot_measurement(bench: Mainframe) -> None:
    bench.tell("CN 1,2", "DV 2,0,0,1E-3", "DV 1,0,0.5,1E-3", "AV -1")
    before = bench.clock.now
    reply = bench.ask("TI 1,0")
    assert reply[:3] == "NAI"
    assert numbers(reply)[0] == pytest.approx(0.5 / OHMS, rel=0.01)
    assert bench.clock.now - before == pytest.approx(0.022)
    assert numbers(bench.ask("TI 2"))[0] == pytest.approx(-0.5 / OHMS, rel=0.01)
    assert numbers(bench.ask("TV 1"), "V")[0] == pytest.approx(0.5, rel=0.01)
    assert bench.ask("*LRN? 0") == "CN1,2"
    bench.tell("DV 1,0,0.5,1E-5")
    limited = bench.ask("TI 1")
    assert limited[0] == "C"
    assert numbers(limited)[0] == pytest.approx(1e-5, rel=0.01)
    bench.tell("DZ", "CL")
    assert not any(smu.output for smu in bench.box.smus.values())


def test_a_range_that_is_too_small_overflows(bench: Mainframe) -> None:
    bench.tell("CN 1,2", "DV 2,0,0,1E-3", "DV 1,0,0.5,1E-3")
    assert bench.ask("TI 1,-14") == "VAI+199.999E+99"


@pytest.mark.parametrize(("post", "left"), [(1, 0.0), (2, 0.4)])
def test_a_staircase(bench: Mainframe, post: int, left: float) -> None:
    bench.tell("CN 1,2", "DV 2,0,0,1E-3", "FMT 1,1", "WT 0,0.001", f"WM 1,{post}", "WV 1,1,0,0,0.4,5,1E-3", "MM 2,1,2")
    reply = bench.ask("XE")
    words = reply.split(",")
    assert [word[:3] for word in words] == ["NAI", "NBI", "WAV"] * 4 + ["NAI", "NBI", "EAV"]
    np.testing.assert_allclose(numbers(reply)[::2], np.linspace(0, 0.4, 5) / OHMS, atol=4e-7)
    assert bench.box.smus[1].level == left
    bench.tell("WV 1,3,0,0,0.4,5,1E-3", "FMT 1,0")
    assert len(bench.ask("XE").split(",")) == 20, "there and back, no source values"


def test_a_sampling_with_stamps(bench: Mainframe) -> None:
    bench.tell("CN 1,2", "DV 2,0,0,1E-3", "TSC 1", "MT 0,0.01,4", "MV 1,0,0,0.2,1E-3", "MM 10,1")
    reply = bench.ask("XE")
    np.testing.assert_allclose(numbers(reply, "T"), [0.01, 0.02, 0.03, 0.04])
    np.testing.assert_allclose(numbers(reply), 0.2 / OHMS, rtol=0.02)
    assert bench.box.smus[1].level == 0.0, "at the base behind it"


def test_what_waits_behind_a_measurement_is_done_when_it_is_over(bench: Mainframe) -> None:
    bench.tell("CN 1,2", "DV 2,0,0,1E-3", "AV -10", "WV 1,1,0,0.4,0.4,5,1E-3", "MM 2,1")
    bench.box.receive(b"XE\nDZ 1\nCL 1\n")
    assert bench.box.busy
    bench.box.disconnect()  # nobody notices on GPIB
    assert bench.box.busy
    advance_to(bench.clock, bench.clock.now + 0.5)
    assert bench.box.smus[1].level == 0.4
    advance_to(bench.clock, bench.clock.now + 1.0)
    assert not bench.box.busy
    assert not bench.box.smus[1].output


def test_ab_stops_what_runs_unless_something_waits_and_a_clear_does_always(bench: Mainframe) -> None:
    setup = ("CN 1,2", "DV 2,0,0,1E-3", "AV -10", "WV 1,1,0,0.4,0.4,5,1E-3", "MM 2,1")
    bench.tell(*setup)
    bench.box.receive(b"XE\n")
    bench.box.receive(b"AB\n")
    assert not bench.box.busy
    assert bench.box.smus[1].level == 0.4, "the source stays where it was"
    bench.tell(*setup)
    bench.box.receive(b"XE\nDZ 1\n")
    bench.box.receive(b"AB\n")
    assert bench.box.busy, "AB waits behind the DZ"
    bench.box.session.clear()
    assert not bench.box.busy
    assert bench.box.smus[1].level == 0.4
    assert bench.ask("*OPC?") == "1"


def test_a_client_that_comes_clears_what_the_last_one_left(bench: Mainframe) -> None:
    bench.box.connect()
    bench.tell("CN 1", "AV -10", "WV 1,1,0,0.4,0.4,5,1E-3", "MM 2,1")
    bench.box.receive(b"XE\n")
    bench.box.disconnect()
    bench.box.connect()
    assert not bench.box.busy
    assert bench.ask("*LRN? 0") == "CN1", "outputs are as they were"


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("XY 1", 100), ("DV 1,0,abc", 101), ("CN 5", 121), ("DV 1,0,0.1,1E-3", 200), ("WV 1,1,0,0,1,1002", 120),
        ("AV 0", 120), ("MM 7,1", 120), ("XE", 208), ("TI 1", 200), ("*LRN? 99", 120), ("FMT 3", 120), ("DZ 1", 200),
    ],
)  # fmt: skip
def test_what_it_does_not_do_it_says(bench: Mainframe, message: str, code: int) -> None:
    bench.box.receive(message.encode() + b"\n")
    assert bench.error().startswith(f'+{code},"')
    assert bench.error() == '+0,"No Error."'


@pytest.mark.parametrize("message", ["DV 1,0,106,1E-3", "DV 1,20,0.1,2", "DV 1,3,0.1", "DV 1,0,nan"])
def test_a_level_beyond_it_changes_nothing(bench: Mainframe, message: str) -> None:
    bench.tell("CN 1", "DV 1,0,0.2,1E-3")
    bench.box.receive(message.encode() + b"\n")
    assert bench.error() != '+0,"No Error."'
    assert (bench.box.smus[1].level, bench.box.smus[1].limit) == (0.2, 1e-3)


def test_reset_opens_every_switch_and_forgets_settings(bench: Mainframe) -> None:
    bench.tell("CN", "DV 1,0,0.2,1E-3", "FMT 1,1", "AV -5")
    bench.tell("*RST")
    assert bench.ask("*LRN? 0") == "CL"
    assert bench.ask("*LRN? 31") == "TM1;AV1,0;CM1;FMT1,0;MM1"
