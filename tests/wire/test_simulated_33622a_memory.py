"""Arbitrary waveforms, stored states and the display of the simulated 33622A, as public code uses them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.notebook_chip import Bench
from xbarlab.mockhw.instruments.keysight_33622a.instrument import Keysight33622A

OK = '+0,"No error"'


@pytest.fixture
def bench() -> Any:
    bench = Bench()
    bench.instrument = Keysight33622A(
        "TCPIP0::127.0.0.1::5033::SOCKET",
        bench.clock,
        bench.log,
        circuit=bench.circuit,
        terminals=bench.terminals,
        serial="SIM33622",
        seed=0,
        info=lambda: b"#12{}",
    )
    bench.circuit.switch(0.0, close=[(9, 1), (12, 3)])
    return bench


def ask(bench: Any, message: str | bytes) -> str:
    bench.instrument.receive((message.encode() if isinstance(message, str) else message) + b"\n")
    reply = bench.instrument.wait_for_reply()
    return "" if reply is None else reply.decode().strip()


def good(bench: Any, *messages: str | bytes) -> None:
    for message in messages:
        data = message.encode() if isinstance(message, str) else message
        assert ask(bench, data + b";:SYST:ERR?").endswith(OK), message


RAMP = np.linspace(-1.0, 1.0, 16)


def block(values: np.ndarray, kind: str) -> bytes:
    payload = values.astype(kind).tobytes()
    size = b"%d" % len(payload)
    return b"#%d%b%b" % (len(size), size, payload)


def test_a_list_of_points_is_loaded_selected_and_played(bench: Any) -> None:
    points = ", ".join(f"{value:.6f}" for value in RAMP)
    good(bench, "SOUR1:DATA:VOL:CLE", f"SOUR1:DATA:ARB i_voltages, {points}", "SOUR1:FUNC:ARB i_voltages",
         "SOUR1:FUNC:ARB:SRAT 16000", "SOUR1:FUNC ARB", "OUTP1:LOAD INF", "SOUR1:VOLT 2", "OUTP1 ON")  # fmt: skip
    assert ask(bench, "FUNC:ARB?") == '"I_VOLTAGES"'
    assert float(ask(bench, "FREQ?")) == pytest.approx(1000.0)
    assert float(ask(bench, "FUNC:ARB:POIN?")) == 16
    (lived,) = bench.live(3e-3)
    assert (lived.how, lived.repeats) == ("play", 3)
    assert lived.seconds == pytest.approx(np.full(16, 1e-3 / 16))
    assert lived.volts[:, 0] == pytest.approx(RAMP, abs=0.01), "2 Vpp, and the line's capacitance takes no time"


@pytest.mark.parametrize(("order", "mark"), [("SWAP", "<"), ("NORM", ">")])
def test_blocks_come_in_either_byte_order(bench: Any, order: str, mark: str) -> None:
    good(bench, f"FORM:BORD {order}", b"SOUR1:DATA:ARB one," + block(RAMP, f"{mark}f4"),
         b"SOUR1:DATA:ARB:DAC 'two'," + block(RAMP * 32767, f"{mark}i2"))  # fmt: skip
    assert ask(bench, "FORM:BORD?") == order
    assert ask(bench, "DATA:VOL:CAT?").split(",")[1:] == ['"ONE"', '"TWO"']
    assert float(ask(bench, "DATA:ATTR:POIN? one")) == 16
    good(bench, 'FUNC:ARB "ONE"', "FUNC:ARB two", "FUNC:ARB:FILT STEP", "FUNC:ARB:ADV SRAT", "FUNC:ARB:PTP 1")
    assert ask(bench, "FUNC:ARB:FILT?;:FUNC:ARB:ADV?") == "STEP;SRAT"
    assert float(ask(bench, "FUNC:ARB:PTP?")) == pytest.approx(1.0)
    assert float(ask(bench, "VOLT?")) == pytest.approx(1.0)


def test_frequency_and_sample_rate_follow_one_another(bench: Any) -> None:
    good(bench, b"FORM:BORD SWAP;:DATA:ARB a," + block(RAMP, "<f4"), "FUNC:ARB a", "FUNC ARB", "FREQ 500")
    assert float(ask(bench, "FUNC:ARB:SRAT?")) == pytest.approx(8000.0)
    good(bench, "FUNC:ARB:SRAT 32000")
    assert float(ask(bench, "FUNC:ARB:FREQ?")) == pytest.approx(2000.0)
    good(bench, "FUNC:ARB:PER 1e-2")
    assert float(ask(bench, "FUNC:ARB:SRAT?")) == pytest.approx(1600.0)
    good(bench, "DATA:VOL:CLE")
    assert ask(bench, "FUNC:ARB?") == '"INT:\\BUILTIN\\EXP_RISE.ARB"'


REFUSED = [
    ("DATA:ARB a, 0, 1", -222),
    ("DATA:ARB a, 0,0,0,0,0,0,0,2", -222),
    ("DATA:ARB a, 0,0,0,0,0,0,0,NAN", -222),
    ("DATA:ARB a, #13abc", -161),
    ("DATA:ARB a", -109),
    ("DATA:ARB:DAC a, 0,0,0,0,0,0,0,40000", -222),
    ("FUNC:ARB nothing_there", 785),
    ("*RCL 3", 810),
    ("*SAV 5", -222),
    ("FORM:BORD LITTLE", -224),
]


@pytest.mark.parametrize(("message", "code"), REFUSED)
def test_what_does_not_fit_is_refused(bench: Any, message: str, code: int) -> None:
    assert int(ask(bench, message + ";:SYST:ERR?").split(",")[0]) == code


def test_a_name_is_taken_once(bench: Any) -> None:
    zeros = ",".join("0" * 8)
    good(bench, f"DATA:ARB a,{zeros}")
    assert ask(bench, f"DATA:ARB A,{zeros};:SYST:ERR?").startswith("786")


def test_states_are_stored_and_brought_back(bench: Any) -> None:
    good(bench, "FUNC PULS;:FREQ 2000;:VOLT 1.5", "*SAV 2", "*RST")
    assert ask(bench, "FUNC?") == "SIN"
    good(bench, "*RCL 2")
    assert ask(bench, "FUNC?") == "PULS"
    assert float(ask(bench, "VOLT?")) == pytest.approx(1.5)


def test_the_display_shows_a_text(bench: Any) -> None:
    good(bench, "DISP:TEXT 'in use'")
    assert ask(bench, "DISP:TEXT?") == '"in use"'
    good(bench, "DISP:TEXT:CLE")
    assert ask(bench, "DISP:TEXT?") == '""'
