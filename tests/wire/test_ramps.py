"""Ramps made of cells (board-protocol §10.10): the simulated board's answers, and the driver's exact bytes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import fake_board as fake
from support.notebook_board import COLS, LSB, ROWS, Bench, block, revision_of, unblock
from support.training_bench import write_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import ConvertsByRamp
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.capabilities import CellRamp
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.mockhw.instruments.array_board.spec import ConverterErrors, RampErrors
from xbarlab.runbooks.stations import open_bench

PAGE = (Path(__file__).parents[2] / "docs" / "board-protocol.md").read_text(encoding="utf-8")
OK = b'0,"No error"\n'
QUIET = {"ramp_errors": RampErrors(0.0, 0.0, 0.0), "converters": ConverterErrors(0.0, 0.0, 0.0)}
START, SLOPE = -4e-6, 0.05


# --- the simulated board ------------------------------------------------------------------------------------------


def ramp_board(**spec: Any) -> Bench:
    """Return a connected board with ramp 0 on rows 0 to 3 of column 3, for columns 0 and 1."""
    given: dict[str, Any] = {**revision_of(2), **QUIET, **spec}
    bench = Bench(**given)
    bench.ask(b"OUTP ON;:SYST:ERR?\n")
    bench.chip.g[:, 3] = [10e-6, 20e-6, 30e-6, 40e-6, 70e-6, 80e-6]
    define = f"ADC:RAMP:DEF 0,3,0,4,{START},{SLOPE};:ADC:RAMP:ASS ".encode()
    assert bench.ask(define + block(bytes([0, 0, 255, 255])) + b";:ADC:MODE RAMP;:SYST:ERR?\n") == OK
    return bench


def forward(bench: Bench, volts: np.ndarray) -> np.ndarray:
    codes = np.rint(volts / LSB).astype("<i2")
    reply = unblock(bench.ask(b"VMM:FORW? %d," % len(volts) + block(codes.tobytes()) + b"\n"))
    return np.frombuffer(reply, "<i2").reshape(len(volts), -1)


def thresholds(bench: Bench) -> np.ndarray:
    return START + SLOPE * np.concatenate(([0.0], np.cumsum(bench.chip.g[:4, 3])))


def vectors(seed: int = 0, n: int = 200) -> np.ndarray:
    return np.rint(np.random.default_rng(seed).uniform(-0.2, 0.2, (n, ROWS)) / LSB) * LSB


def test_a_code_is_the_number_of_thresholds_at_or_below_the_current() -> None:
    bench = ramp_board()
    bench.chip.g[:, :3] = np.random.default_rng(1).uniform(10e-6, 60e-6, (ROWS, 3))
    volts = vectors()
    found = forward(bench, volts)
    current = volts @ bench.chip.g
    edges = thresholds(bench)
    wanted = (edges[None, None, :] <= current[:, :2, None]).sum(2)
    clear = np.abs(edges[None, None, :] - current[:, :2, None]).min(2) > 1e-11
    assert clear.mean() > 0.9
    assert np.array_equal(found[:, :2][clear], wanted[clear])
    assert set(np.unique(found[:, :2])) == {0, 1, 2, 3, 4, 5}
    linear = np.rint(current[:, 2] / 1e-2 * 8192)
    assert np.abs(found[:, 2] / 4 - linear).max() <= 1.0
    assert (found[:, 3] == 0).all(), "the column that holds the ramp takes no part"


def test_reverse_products_and_other_modes_stay_linear() -> None:
    bench = ramp_board()
    codes = np.full((1, COLS), 1000, "<i2")
    linear = bench.ask(b"ADC:MODE LIN;:VMM:REV? 1," + block(codes.tobytes()) + b"\n")
    assert bench.ask(b"ADC:MODE RAMP;:VMM:REV? 1," + block(codes.tobytes()) + b"\n") == linear
    assert bench.ask(b"ADC:MODE?\n") == b"RAMP\n"
    assert bench.ask(b"*RST;:ADC:MODE?;:ADC:RAMP:DEF? 0;:SYST:ERR?\n").startswith(b"LIN;-230")


def test_one_product_over_all_lines_gives_the_same_codes() -> None:
    bench = ramp_board()
    bench.chip.g[:, :3] = np.random.default_rng(1).uniform(10e-6, 60e-6, (ROWS, 3))
    volts = vectors(n=7)
    table = bytes([0, 255]) + np.array([7], "<u4").tobytes()
    masks = bytes([0b111111, 0b1111])
    codes = np.rint(volts / LSB).astype("<i2").tobytes()
    reply = bench.ask(b"VMM:PROD? 1," + block(table) + b"," + block(masks) + b"," + block(codes) + b"\n")
    assert unblock(reply) == forward(bench, volts).astype("<i2").tobytes()


def test_levels_are_measured_and_a_start_moves_them_alike() -> None:
    bench = ramp_board()
    before = np.frombuffer(unblock(bench.ask(b"ADC:RAMP:LEV? 0\n")), "<f4")
    assert before == pytest.approx(thresholds(bench), abs=2e-9)
    assert bench.ask(b"ACT:LAST?\n").startswith(b"0,READ,DONE,8,8,0,8e-05")
    assert bench.ask(b"ADC:RAMP:STAR 0,-1e-06;:ADC:RAMP:DEF? 0\n") == b"0,3,0,4,-1e-06,0.05\n"
    after = np.frombuffer(unblock(bench.ask(b"ADC:RAMP:LEV? 0\n")), "<f4")
    assert after - before == pytest.approx(3e-6, abs=1e-9)


def test_a_vector_takes_a_clock_longer_for_every_step() -> None:
    bench = ramp_board()
    forward(bench, vectors(n=10))
    seconds = float(bench.ask(b"ACT:LAST?\n").split(b",")[-1])
    assert seconds == pytest.approx(10 * (1e-6 + 4 * 1e-8))


def test_noise_of_comparator_and_ramp_is_that_of_the_settings() -> None:
    at, n = 2e-6, 4000
    for errors, together in ((RampErrors(3e-7, 0.0, 0.0), False), (RampErrors(0.0, 0.0, 3e-7), True)):
        bench = ramp_board(ramp_errors=errors)
        bench.chip.g[:, :3] = 50e-6
        volts = np.zeros((n, ROWS))
        volts[:, 0] = -0.05  # −2.5 µA: T₀ = −4, T₁ = −3.5, T₂ = −2.5 µA: a coin tossed on T₂
        codes = forward(bench, volts)[:, :2]
        flips = codes == 3
        assert 0.45 < flips.mean() < 0.55, at
        same = (codes[:, 0] == codes[:, 1]).mean()
        assert (same > 0.999) if together else (0.4 < same < 0.6)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"ADC:RAMP:DEF 8,3,0,4,0,0.1", b"-222"),
        (b"ADC:RAMP:DEF 0,4,0,4,0,0.1", b"-222"),
        (b"ADC:RAMP:DEF 0,3,3,4,0,0.1", b"-222"),
        (b"ADC:RAMP:DEF 0,3,0,0,0,0.1", b"-222"),
        (b"ADC:RAMP:DEF 0,3,0,4,0,0", b"-222"),
        (b"ADC:RAMP:DEF 0,3,0,4,0.2,0.1", b"-222"),
        (b"ADC:RAMP:DEF 0,3,0,4,0,11", b"-222"),
        (b"ADC:RAMP:STAR 1,0", b"-221"),
        (b"ADC:RAMP:LEV? 1", b"-221"),
        (b"ADC:RAMP:DEF? 1", b"-230"),
        (b"ADC:RAMP:ASS " + block(bytes(3)), b"-161"),
        (b"ADC:RAMP:ASS " + block(bytes([0, 9, 255, 255])), b"-222"),
        (b"ADC:RAMP:CLE;:ADC:RAMP:ASS " + block(bytes([1, 255, 255, 255])) + b";:VMM:FORW? 1,"
         + block(bytes(2 * ROWS)), b"-221"),
        (b"OUTP OFF;:ADC:RAMP:LEV? 0", b"-221"),
    ],
)  # fmt: skip
def test_what_a_board_refuses(message: bytes, error: bytes) -> None:
    bench = ramp_board()
    assert bench.ask(message + b";:SYST:ERR:COUN?;:SYST:ERR?\n").startswith(b"1;" + error)


# --- the driver ---------------------------------------------------------------------------------------------------

SAYS: dict[str, Any] = {
    **fake.CAPABILITY,
    "protocol": "xbarlab-board/2",
    "rows": 2,
    "cols": 6,
    "supports": ["vmm", "ramp"],
    "adc": {
        "ramps_max": 8, "ramp_steps_max": 2, "ramp_slope_max": 10.0, "ramp_volts": 0.2, "ramp_clock_seconds": 1e-8
    },
}  # fmt: skip
ON = (b"*ESR?;:OUTP ON;:SYST:ERR?\n", b"0;" + OK)
RAMP = CellRamp(Block(0, 2, 4, 1), -2e-6, 0.07)
OTHER = CellRamp(Block(0, 2, 4, 1), 1e-6, 0.07)
DEFINE = (b"ADC:RAMP:DEF 0,4,0,2,-2e-06,0.07;:SYST:ERR?\n", OK)
MODE = (b"ADC:MODE RAMP;:SYST:ERR?\n", OK)
WHICH = [0, 0, 0, 0, -1, -1]


Make = Callable[..., tuple[Any, Any]]


@pytest.fixture
def board() -> Iterator[Make]:
    made: list[tuple[Any, Any]] = []

    def make(*script: Any, capability: Any = SAYS) -> tuple[Any, Any]:
        resource = fake.ScriptedResource([*fake.opening(capability), *script])
        made.append((CrossbarBoard("board", resource=resource), resource))  # pyright: ignore[reportCallIssue]
        return made[-1]

    yield make
    for device, resource in made:
        resource.script = [(b"ABOR\n", b""), (b"SOUR:ZERO\n", b""), (b"OUTP OFF\n", b""), (b"SYNC", b"")]
        resource.script += [(b"SYST:ERR?\n", OK), (b"OUTP?\n", b"0\n")]
        device.close()


def assign(*of: int) -> tuple[bytes, bytes]:
    return b"ADC:RAMP:ASS " + fake.block(bytes(of)) + b";:SYST:ERR?\n", OK


def vmm(codes: list[int]) -> tuple[bytes, bytes]:
    given = np.array([1311, -1311], "<i2").tobytes()
    return b"VMM:FORW? 1," + fake.block(given) + b"\n", fake.block(np.array(codes, "<i2").tobytes()) + b"\n"


def test_the_driver_defines_assigns_switches_and_converts_and_sends_nothing_twice(board: Make) -> None:
    found = re.search(r"```hex ramps\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    device, resource = board(
        ON, DEFINE, (b"ADC:RAMP:DEF 1,4,0,2,1e-06,0.07;:SYST:ERR?\n", OK), assign(0, 0, 0, 0, 255, 1), MODE,
        vmm([3, 0, 1, 2, 0, 1]), vmm([1, 0, 1, 2, 0, 1]),
        (b"ADC:MODE LIN;:SYST:ERR?\n", OK), (b"SENS:VMM:RANG?\n", b"0.01\n"), vmm([100, 0, 0, 0, 0, -32768]),
    )  # fmt: skip
    assert bytes.fromhex(found[1]) == bytes([0, 0, 0, 0, 255, 2])
    part, volts = device.ability(ConvertsByRamp), [0.2, -0.2]
    assert part.convert(volts, [RAMP, OTHER], [0, 0, 0, 0, -1, 1]).tolist() == [3, 0, 1, 2, -1, 1]
    assert part.convert([volts], [RAMP, OTHER], [0, 0, 0, 0, -1, 1]).tolist() == [[1, 0, 1, 2, -1, 1]]
    assert device.cost.chip_seconds == pytest.approx(2 * (1e-6 + 2e-8))
    currents = device.vmm(volts)
    assert currents[0] == pytest.approx(100 * 1e-2 / 32767)
    assert np.isnan(currents[5])
    resource.script = [assign(0, 0, 0, 0, 255, 255), MODE, vmm([1, 1, 1, 1, 0, 0])]
    assert part.convert(volts, [RAMP], WHICH).tolist() == [1, 1, 1, 1, -1, -1]
    assert device.cost.transactions == 4
    resource.assert_done()


def test_thresholds_are_asked_of_the_board(board: Make) -> None:
    told = np.array([-2e-6, 1e-6, 4e-6], "<f4")
    device, resource = board(
        ON, (b"SENS:AVER 16;:SYST:ERR?\n", OK), DEFINE, (b"SENS:RANG?\n", b"AUTO\n"),
        (b"ADC:RAMP:LEV? 0\n", fake.block(told.tobytes()) + b"\n"),
    )  # fmt: skip
    assert device.ability(ConvertsByRamp).thresholds(RAMP, average=16) == pytest.approx(told)
    assert (device.cost.slots, device.cost.transactions) == (2 * 17, 1)
    resource.assert_done()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ramps": []}, "0 ramps at once: board has 1 to 8"),
        ({"ramps": [replace(RAMP, cells=Block(0, 1, 4, 2))]}, "cells of one column"),
        ({"ramps": [replace(RAMP, cells=Block(1, 2, 4, 1))]}, "outside board"),
        ({"ramps": [replace(RAMP, slope=0.0)]}, "slope 0 V"),
        ({"ramps": [replace(RAMP, start=1.0)]}, "start 1 A"),
        ({"which": [0, 0, 0, 0, 0, -1]}, "column 4 holds cells of a ramp"),
        ({"which": [1, 0, 0, 0, -1, -1]}, "numbers are 0 to 0"),
        ({"which": [0]}, "6 whole numbers"),
        ({"which": [-1] * 6}, "one at least"),
        ({"volts": [0.2, 9.0]}, "vmm"),
    ],
)
def test_what_the_driver_refuses_before_anything_is_sent(board: Make, change: dict[str, Any], sentence: str) -> None:
    device, resource = board()
    asked: dict[str, Any] = {"volts": [0.2, -0.2], "ramps": [RAMP], "which": WHICH, **change}
    with pytest.raises(RefusedError, match=sentence):
        device.ability(ConvertsByRamp).convert(**asked)
    resource.assert_done()


def test_a_ramp_that_is_too_long_says_fewer_bits(board: Make) -> None:
    device, resource = board(capability={**SAYS, "rows": 8})
    with pytest.raises(RefusedError, match="3 cells: board takes 1 to 2; use fewer bits"):
        device.ability(ConvertsByRamp).thresholds(CellRamp(Block(0, 3, 4, 1), 0.0, 0.1))
    resource.assert_done()


@pytest.mark.parametrize("said", [{"protocol": "xbarlab-board/1"}, {"supports": ["vmm"]}, {"supports": ["ramp"]}])
def test_boards_without_it_refuse_and_their_products_go_out_as_before(board: Make, said: dict[str, Any]) -> None:
    device, resource = board(capability={**SAYS, **said})
    with pytest.raises(UnsupportedError, match=r"board does not support ramp: it would need comparators .*§10\.10"):
        device.ability(ConvertsByRamp)
    assert device.spec.ramp is None
    if "vmm" in device.spec.supports:
        resource.script = [ON, (b"SENS:VMM:RANG?\n", b"0.01\n"), vmm([1, 0, 0, 0, 0, 0])]
        device.vmm([0.2, -0.2])
    resource.assert_done()


@pytest.mark.parametrize("text", ["ADC:RAMP:CLE", "ADC:RAMP:STAR 0,1e-6"])
def test_ramps_are_not_set_by_hand(board: Make, text: str) -> None:
    device, resource = board()
    with pytest.raises(RefusedError, match="convert"):
        device.write(text)
    resource.assert_done()


# --- both together ------------------------------------------------------------------------------------------------


def test_driver_and_simulated_board_agree_on_a_chip(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r"), seed=1) as bench:
        array: Any = bench.array
        part, rows, cols = array.ability(ConvertsByRamp), array.spec.rows, array.spec.cols
        ramp = CellRamp(Block(0, 6, cols - 1, 1), -4e-6, 0.03)
        edges = part.thresholds(ramp, average=64)
        assert (np.diff(edges) > 0).all()
        volts = np.random.default_rng(0).uniform(-0.2, 0.2, (300, rows))
        which = [0] * (cols - 1) + [-1]
        codes = part.convert(volts, [ramp], which)
        current = array.vmm(volts, full_scale=1e-3)
        wanted = (edges[None, None, :] <= current[:, :-1, None]).sum(2)
        assert (np.abs(codes[:, :-1] - wanted) <= 1).mean() > 0.99
        assert (codes[:, :-1] == wanted).mean() > 0.8
        assert np.ptp(codes[:, :-1]) >= 4
