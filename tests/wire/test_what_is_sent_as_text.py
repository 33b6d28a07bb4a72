"""Kinds of commands no text may carry, over the instruments' command trees; ramps; rounding; whose instrument it is."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import fake_board as fake
from support.served import BOARD, MATRIX, PULSER, ROW, served
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.drivers.keithley_2450 import Keithley2450Smu
from xbarlab.instruments.drivers.keysight_33622a import Keysight33622APulser
from xbarlab.instruments.drivers.keysight_b2201a import KeysightB2201AMatrix
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.wire.wire_text import sent

RECALLED = {
    "row_smu": [
        "SOUR:CONF:LIST:REC 'a'", "SENS:CONF:LIST:REC 'a'", "CONF:LIST:REC 'a'",
        "SOURce1:CONFiguration:LIST:RECall 'a',1",
        "TRIG:BLOC:CONF:REC 1,'a'", "TRIG:BLOC:SOUR:STAT 1,ON", "TRIG:LOAD 'ConfigList','a'", "SYST:POS RST",
        "SYST:POSetup SAV1", "SOUR:VOLT:PROT NONE", "SOUR:VOLT:PROTection:LEVel PROT180", "*LANG TSP", "*lang scpi2400",
        "*RCL 1", "*SAV 1", "*PSC 0", "*DDT #10", "SOUR:PULS:SWE:VOLT:LIN 0,1", "SCR:RUN 'x'",
        "SYST:COMM:LAN:CONF 'AUTO'",
        "CAL:PROT:CODE 'x'", "MACR:DEL", "ROUT:SCAN:CRE (@1)", "DIG:LINE1:STAT 1", "SENS:CURR:NPLC 1;CONF:LIST:REC 'a'",
        "SENS:CURR:NPLC 1;:SYST:POS SAV1", "OUTP:INT:STAT OFF;SYST:PRES", "SOUR:VOLT:ILIM 1e-6;PROT NONE",
    ],
    "pulser": [
        "MEM:STAT:REC:AUTO ON", "MEM:STAT:REC 1", "MEMory:STATe:DELete 1", "MMEM:LOAD:STAT 'a'", "MMEM:LOAD:DATA 'a'",
        "APPL:SIN 1e3,5", "SYST:SEC:IMM", "SYST:LANG 'x'", "*RCL 0", "*SAV 0", "CAL:SEC:CODE 'x'", "LXI:RES",
        "SYST:COMM:LAN:DHCP ON", "SOUR1:VOLT:OFFS 0;:MEM:STAT:REC 1", "COMB:FEED CH2", "SOUR1:SUM:STAT ON",
    ],
    "matrix": [
        "*RCL 1", "*SAV 1", "SYST:LANG HP", "ROUT:BIAS:STAT ON", "BIAS ON", "DIAG:TEST:CARD 1", "ROUT:CONN:RULE 0,SROU",
    ],
}  # fmt: skip
ALLOWED = {
    "row_smu": ["SENS:CURR:NPLC 1", "DISP:SCR HOME", "TRAC:CLE 'defbuffer1'", "FORM ASC", "STAT:CLE"],
    "pulser": ["SOUR1:FREQ 1e3", "TRIG1:COUN 2", "DISP ON", "PHAS:SYNC"],
    "matrix": ["ROUT:OPEN (@00101)"],
}  # fmt: skip


@pytest.fixture(scope="module")
def probe() -> Iterator[Any]:
    with open_bench("mock_tio2", seed=1) as bench:
        yield bench.array


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in RECALLED.items() for text in texts])
def test_recall_protection_language_and_power_on_state_are_no_text(probe: Any, name: str, text: str) -> None:
    driver = getattr(probe, name)
    before = driver.transactions
    with pytest.raises(RefusedError):
        driver.write(text)
    assert driver.transactions == before


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, texts in ALLOWED.items() for text in texts])
def test_what_is_on_the_list_is_sent(probe: Any, name: str, text: str) -> None:
    driver = getattr(probe, name)
    before = driver.transactions
    with contextlib.suppress(InstrumentError):  # what the simulator has not, it says itself
        driver.write(text)
    assert driver.transactions > before


def test_a_board_takes_no_block_and_no_unknown_setting_as_text() -> None:
    board: Any = CrossbarBoard("board", resource=fake.FakeBoard())
    for text in (
        "CHIP:BIRT 'x'",
        "PULS:MAP:LONG 0,1,0,1",
        "ADC:RAMP:DEF 0,0,0,1,0,1",
        "SYST:COMM 1",
        "*RCL 1",
        "*SAV 1",
    ):
        with pytest.raises(RefusedError):
            board.write(text)
    board.write("SENS:AVER 2")
    board.close()


# -- ramps, rounding ---------------------------------------------------------------------------------------------------


def test_a_ramp_that_would_end_beyond_the_limit_does_not_begin(probe: Any) -> None:
    smu, pulser = probe.row_smu, probe.pulser
    limit = smu.limits.set_volts_max
    smu.on(0.0, compliance=1e-4)
    ramped = [
        (smu.source.voltage, 0.1, 3.0 * limit, "SOUR:VOLT?"),
        (smu.source.limit, 1e-5, 1.0, "SOUR:VOLT:ILIM?"),
        (pulser.ch1.offset, 0.1, 3.0 * limit, "SOUR1:VOLT:OFFS?"),
    ]
    for parameter, step, beyond, question in ramped:
        parameter.step, parameter.inter_delay = step, 0.0
        driver = parameter.root_instrument
        before = driver.ask(question)
        with pytest.raises(RefusedError, match="above the limit"):
            parameter(beyond)
        assert driver.ask(question) == before
    smu.source.voltage(0.25)
    assert float(smu.ask("SOUR:VOLT?")) == pytest.approx(0.25)
    smu.off()


@pytest.mark.parametrize("limit", [1.7777777777777777, 2.6666666666666665, 1.23456789012, 0.1, 3.0])
def test_a_value_equal_to_its_limit_is_accepted_and_none_beyond_is_sent(limit: float) -> None:
    resource = fake.FakeBoard()
    board: Any = CrossbarBoard("board", resource=resource, limits={"gate_max": limit, "read_volts_max": limit / 10})
    board.read(Block(0, 1, 0, 1), limit / 10, gate=limit)
    board.read_gate(limit)
    board.read_volts(-limit / 10)
    levels = re.findall(r"(?:READ:GATE|VMM:GATE|READ:VOLT) ([-\d.e]+)", " ".join(resource.said))
    board.close()
    assert len(levels) >= 4
    assert max(abs(float(level)) for level in levels) <= limit
    for value in (limit, -limit, limit / 3):
        assert abs(float(sent(value))) <= abs(value)
        assert float(sent(value)) == pytest.approx(value, rel=1e-8)


def test_source_levels_at_the_limit(probe: Any) -> None:
    smu = probe.column_smu
    most = smu.limits.set_volts_max
    smu.on(most, compliance=1e-4)
    assert float(smu.ask("SOUR:VOLT?")) <= most
    smu.off()


# -- whose instrument it is --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("driver", "address"),
    [
        (driver, address)
        for driver, own in (
            (CrossbarBoard, BOARD),
            (Keithley2450Smu, ROW),
            (Keysight33622APulser, PULSER),
            (KeysightB2201AMatrix, MATRIX),
        )
        for address in (ROW, PULSER, MATRIX, BOARD)
        if address != own
    ],
)  # fmt: skip
def test_another_instrument_hears_nothing_but_idn(driver: Any, address: str, tmp_path: Path) -> None:
    name = "ta_hfo2" if address == BOARD else "tio2"
    with served(name, "in process", tmp_path) as (bench, mock):
        instrument: Any = mock.instruments[address]
        heard: list[bytes] = []
        receive = instrument.receive
        instrument.receive = lambda data, **kwargs: (heard.append(bytes(data)), receive(data, **kwargs))[1]
        library = next(iter(bench.file.instruments.values()))["init"]["visalib"]
        with pytest.raises(InstrumentError, match=r"one at .* is a .+ of .+, not an? .*: check the address"):
            driver("one", address, visalib=library)
        assert heard == [b"*IDN?\n"]
        assert instrument.clients == 0


# -- pauses ------------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pause_beyond_the_watchdog_is_got_over_on_every_path(tmp_path: Path) -> None:
    with served("ta_hfo2", "tcp", tmp_path) as (bench, mock), bench:
        array: Any = bench.array
        array.watchdog(0.3)
        inputs = np.full((1, 128), 0.1, np.float32)
        products, back = array.ability(Multiplies), array.ability(MultipliesReversed)
        products.vmm(inputs)
        board: Any = mock.instruments[BOARD]
        paths = [
            lambda: products.vmm(inputs, full_scale=1e-3),
            lambda: products.vmm(inputs, full_scale=1e-2),
            lambda: back.vmm_reversed(inputs[:, :64], full_scale=1e-3),
            lambda: array.read_volts(0.1),
            lambda: array.read(Block(0, 1, 0, 2), 0.15, average=2),
            lambda: array.vmm_range(1e-2),
            lambda: array.write("SENS:AVER 3"),
            lambda: array.seed_updates(3),
            array.diagnose,
        ]
        for number, path in enumerate(paths, 1):
            time.sleep(0.9)
            assert not board.output
            path()
            array.read(Block(0, 1, 0, 1))
            assert board.output
            assert len(bench.incidents) == number, bench.incidents
        assert all("watchdog" in incident for incident in bench.incidents)
        assert array.watchdog() == pytest.approx(0.3)
