"""Output circuits that saturate (board-protocol §10.9): the simulator from the page, the driver against transcripts."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import fake_board as fake
from support.notebook_board import COLS, LSB, ROWS, Bench, block, revision_of, unblock
from support.training_bench import write_bench, write_two_boards
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Multiplies, MultipliesReversed, Saturates
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.chip.chip_file import parse_chip
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.mockhw.bench.file import BenchFileError, parse_bench_file
from xbarlab.mockhw.instruments.array_board.spec import CircuitErrors, supported
from xbarlab.runbooks.stations import open_bench

PAGE = (Path(__file__).parents[2] / "docs" / "board-protocol.md").read_text(encoding="utf-8")
OK = b'0,"No error"'
IDEAL = CircuitErrors(0.0, 0.0, 1000.0)
INF = np.inf
RANGE = 1e-4


def levels(low: list[float], high: list[float]) -> bytes:
    return np.array([low, high], dtype="<f4").tobytes()


def on(**spec: Any) -> Bench:
    bench = Bench(**{**revision_of(2), "saturation": IDEAL, **spec})
    assert bench.ask(b"OUTP ON;:SENS:VMM:RANG 1e-4;:SYST:ERR?\n") == OK + b"\n"
    return bench


def forward(bench: Bench, volts: list[float]) -> Any:
    """Return currents [batch, COLS] [A] of the same voltage on every row, one vector for each."""
    codes = np.rint(np.repeat(np.array(volts)[:, None], ROWS, 1) / LSB).astype("<i2")
    reply = bench.ask(b"VMM:FORW? %d," % len(volts) + block(codes.tobytes()) + b"\n")
    return np.frombuffer(unblock(reply), "<i2").reshape(-1, COLS) * (RANGE / 32767.0)


# --- the simulator, from the page ---------------------------------------------------------------------------------


def test_the_default_is_linear_without_a_bound_and_reset_puts_it_back() -> None:
    bench = on()
    none = levels([-INF] * COLS, [INF] * COLS)
    assert bench.ask(b"ADC:MODE?\n") == b"LIN\n"
    assert unblock(bench.ask(b"ADC:SAT:LEV?\n")) == none
    mine = levels([-1e-5] * COLS, [2e-5, 3e-5, INF, 1e-5])
    assert (
        bench.ask(b"ADC:MODE SAT;:ADC:SATURATE:LEVELS " + block(mine) + b";:ADC:MODE?;:SYST:ERR?\n")
        == b"SAT;" + OK + b"\n"
    )
    assert unblock(bench.ask(b"ADC:SAT:LEV?\n")) == mine
    assert bench.ask(b"*RST;:ADC:MODE?;:SYST:ERR?\n") == b"LIN;" + OK + b"\n"
    assert unblock(bench.ask(b"ADC:SAT:LEV?\n")) == none


def test_an_ideal_circuit_holds_every_column_between_its_levels_and_only_forward() -> None:
    bench = on()
    volts = [-0.2, -0.05, 0.0, 0.05, 0.2]  # 6 rows of 50 µS: 300 µA/V
    linear = forward(bench, volts)
    bench.ask(b"ADC:SAT:LEV " + block(levels([-1e-5, -INF, -3e-5, -INF], [1e-5, 2e-5, 5e-5, INF])) + b"\n")
    assert forward(bench, volts) == pytest.approx(linear, abs=6e-8), "levels act in the mode SAT only"
    assert bench.ask(b"ADC:MODE SAT;:SYST:ERR?\n") == OK + b"\n"
    held = forward(bench, volts)
    wanted = np.clip(linear, [-1e-5, -INF, -3e-5, -INF], [1e-5, 2e-5, 5e-5, INF])
    assert held == pytest.approx(wanted, abs=1.5e-7)
    assert held[4, 0] < 0.2 * linear[4, 0], "something was held"
    codes = np.rint(np.full((1, COLS), 0.1) / LSB).astype("<i2").tobytes()
    back = np.frombuffer(unblock(bench.ask(b"VMM:REV? 1," + block(codes) + b"\n")), "<i2") * (RANGE / 32767.0)
    assert back == pytest.approx(4 * 50e-6 * 0.1, rel=0.01), "reverse products are always linear"


def test_what_was_held_within_the_range_is_no_overflow() -> None:
    bench = on()
    bench.ask(b"ADC:MODE SAT;:ADC:SAT:LEV " + block(levels([-1e-5, -INF, -INF, -1.0], [1e-5, INF, 5e-5, 1.0])) + b"\n")
    bench.chip.g[:] = 150e-6
    codes = np.rint(np.full((1, ROWS), 0.2) / LSB).astype("<i2").tobytes()  # 180 µA a column
    found = np.frombuffer(unblock(bench.ask(b"VMM:FORW? 1," + block(codes) + b"\n")), "<i2")
    assert (found == -32768).tolist() == [False, True, False, True]


def test_products_of_selected_lines_are_held_too() -> None:
    bench = on()
    bench.ask(b"ADC:MODE SAT;:ADC:SAT:LEV " + block(levels([-1e-5] * COLS, [1e-5] * COLS)) + b"\n")
    table = struct.pack("<2B2B2I", 0, 1, 255, 255, 1, 1)
    masks = bytes([2**ROWS - 1, 0b0110, 2**ROWS - 1, 0b0110])
    codes = np.concatenate([np.full(ROWS, 1310), np.full(2, 1310)]).astype("<i2").tobytes()
    reply = bench.ask(b"VMM:PROD? 2," + block(table) + b"," + block(masks) + b"," + block(codes) + b"\n")
    current = np.frombuffer(unblock(reply), "<i2") * (RANGE / 32767.0)
    assert current[:2] == pytest.approx(1e-5, rel=0.02)
    assert current[2:] == pytest.approx(2 * 50e-6 * 0.2, rel=0.02)


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        (b"", b"-161"),
        (bytes(8 * COLS - 4), b"-161"),
        (levels([0.0] * COLS, [0.0] * COLS), b'-222,"Data out of range;low 0 not below high 0 at column 0"'),
        (levels([-1.0, -1.0, 2e-5, -1.0], [1.0, 1.0, 1e-5, 1.0]), b'-222,"Data out of range;low 2e-05 not below'),
        (levels([-1.0, -1.0, -1.0, float("nan")], [1.0] * 4), b'-222,"Data out of range;low nan not below'),
    ],
)
def test_levels_that_are_refused_leave_those_before(payload: bytes, says: bytes) -> None:
    bench = on()
    mine = levels([-1e-5] * COLS, [1e-5] * COLS)
    bench.ask(b"ADC:SAT:LEV " + block(mine) + b"\n")
    assert bench.ask(b"ADC:SAT:LEV " + block(payload) + b";:SYST:ERR?\n").startswith(says)
    assert unblock(bench.ask(b"ADC:SAT:LEV?\n")) == mine


def test_a_product_under_way_keeps_the_circuits_it_was_started_with() -> None:
    bench = on()
    bench.ask(b"ADC:MODE SAT;:ADC:SAT:LEV " + block(levels([-1e-5] * COLS, [1e-5] * COLS)) + b"\n")
    codes = np.full((1, ROWS), 1310, "<i2").tobytes()
    message = b"VMM:FORW? 1," + block(codes) + b";:ADC:MODE LIN;:VMM:FORW? 1," + block(codes) + b"\n"
    reply = bench.ask(message)
    size = len(block(bytes(2 * COLS)))
    first, second = (np.frombuffer(part, "<i2") for part in (reply[3:size], reply[size + 4 : -1]))
    assert first * (RANGE / 32767.0) == pytest.approx(1e-5, rel=0.02)
    assert second * (RANGE / 32767.0) == pytest.approx(6e-5, rel=0.02)


def test_circuits_have_corners_gains_and_offsets_and_never_leave_their_levels() -> None:
    bench = Bench(rows=ROWS, cols=64, **revision_of(2), saturation=CircuitErrors(0.1, 0.1, 3.0))
    bench.ask(b"OUTP ON;:SENS:VMM:RANG 1e-4;:ADC:MODE SAT;:SYST:ERR?\n")
    bench.ask(b"ADC:SAT:LEV " + block(levels([-1e-5] * 64, [3e-5] * 64)) + b"\n")
    volts = np.linspace(-0.3, 0.3, 81)
    codes = np.rint(np.repeat(volts[:, None], ROWS, 1) / LSB).astype("<i2").tobytes()
    held = np.frombuffer(unblock(bench.ask(b"VMM:FORW? 81," + block(codes) + b"\n")), "<i2").reshape(81, 64)
    current = held * (RANGE / 32767.0)
    assert current.min() > -1e-5 - 0.05 * 4e-5
    assert current.max() < 3e-5 + 0.05 * 4e-5
    middle = 40  # at 0 V: an offset and nothing else
    spread = current[middle].std() / 2e-5
    assert 0.05 < spread < 0.2
    assert np.ptp(np.diff(current[middle - 2 : middle + 3], axis=0).mean(0)) > 0.05 * 300e-6 * 0.0075
    assert (np.diff(current, axis=0) > -1e-7).all()


@pytest.mark.parametrize("revision", [1, 2])
def test_a_board_without_them_refuses(revision: int) -> None:
    bench = Bench(revision=revision, supports=supported(revision, ("saturate",)))
    for command in (b"ADC:MODE SAT", b"ADC:SAT:LEV #10", b"ADC:SAT:LEV?"):
        assert bench.ask(command + b";:SYST:ERR?\n").startswith(b'-241,"Hardware missing')
    assert bench.ask(b"ADC:MODE LIN;:ADC:MODE?;:SYST:ERR?\n") == b"LIN;" + OK + b"\n"


def test_saturation_goes_with_products() -> None:
    assert "saturate" not in supported(2, ("vmm",))
    assert "saturate" not in supported(1, ())


def test_the_bench_file_sets_the_circuits_and_names_what_it_does_not_know() -> None:
    def parsed(saturation: dict[str, float]) -> Any:
        board = {"kind": "array_board", "address": "TCPIP0::127.0.0.1::5025::SOCKET", "saturation": saturation}
        return parse_bench_file({"chip": {"profile": "soft_bounds_1t1r"}, "instruments": [board], "faults": []})

    (entry,) = parsed({"gain_spread": 0.1, "sharpness": 20}).instruments
    assert (entry.saturation.gain_spread, entry.saturation.offset_spread, entry.saturation.sharpness) == (0.1, 0.02, 20)
    with pytest.raises(BenchFileError, match=r"gain_spead.*did you mean 'gain_spread'"):
        parsed({"gain_spead": 0.1})
    with pytest.raises(BenchFileError, match="sharpness"):
        parsed({"sharpness": 0.5})


# --- the driver ------------------------------------------------------------------------------------------------------

SECOND = {
    **fake.CAPABILITY,
    "protocol": "xbarlab-board/2",
    "rows": 2,
    "cols": 3,
    "supports": ["vmm", "reverse", "saturate"],
}
ON = (b"*ESR?;:OUTP ON;:SYST:ERR?\n", b"0;" + OK + b"\n")
EXAMPLE = bytes.fromhex(re.search(r"```hex levels\n(.*?)```", PAGE, re.DOTALL)[1])  # pyright: ignore
RANGED = (b"SENS:VMM:RANG 0.0001;:SYST:ERR?\n", OK + b"\n")
ENDING = [(b"ABOR\n", b""), (b"SOUR:ZERO\n", b""), (b"OUTP OFF\n", b""), (b"SYNC", b""), (b"SYST:ERR?\n", OK + b"\n"),
          (b"OUTP?\n", b"0\n")]  # fmt: skip


@pytest.fixture
def opened() -> Iterator[Any]:
    boards: list[tuple[Any, Any]] = []

    def open_board(*script: tuple[bytes, bytes], **more: Any) -> tuple[Any, Any]:
        resource = fake.ScriptedResource([*fake.opening(SECOND), *script])
        boards.append((CrossbarBoard(f"held_{len(boards)}", resource=resource, **more), resource))
        return boards[-1]

    yield open_board
    for board, resource in boards:
        resource.script = list(ENDING)
        board.close()


def product(codes: list[int], reply: list[int]) -> tuple[bytes, bytes]:
    sent = np.array(codes, "<i2").tobytes()
    return b"VMM:FORW? 1," + block(sent) + b"\n", block(np.array(reply, "<i2").tobytes()) + b"\n"


def test_levels_and_mode_are_sent_once_and_a_linear_product_says_so(opened: Any) -> None:
    level = (b"ADC:SAT:LEV " + block(EXAMPLE) + b";:SYST:ERR?\n", OK + b"\n")
    saturating, linear = ((b"ADC:MODE %b;:SYST:ERR?\n" % mode, OK + b"\n") for mode in (b"SAT", b"LIN"))
    first, second = product([1311, 0], [13107, 6553, -32768]), product([0, 1311], [1, 2, 3])
    board, resource = opened(
        ON, RANGED, level, saturating, first, second, linear, second, saturating, first
    )  # fmt: skip
    held = board.ability(Saturates).vmm_saturated
    bounds: dict[str, Any] = {"low": [-40e-6, -INF, -INF], "high": [40e-6, 20e-6, INF], "full_scale": 1e-4}
    current = held([1311 * LSB, 0.0], **bounds)
    assert current[:2] == pytest.approx([40e-6, 20e-6], rel=1e-3)
    assert np.isnan(current[2])
    assert held([[0.0, 1311 * LSB]], **bounds).shape == (1, 3)
    assert board.vmm([0.0, 1311 * LSB])[2] == pytest.approx(3e-4 / 32767)
    held([1311 * LSB, 0.0], **bounds)
    resource.assert_done()
    assert (board.cost.transactions, board.cost.slots) == (4, 4), "it costs nothing more than the linear product"


def test_a_chip_the_other_way_round_has_its_levels_turned(opened: Any) -> None:
    turned = levels([-40e-6, -20e-6, -INF], [10e-6, INF, INF])
    board, resource = opened(
        ON, RANGED, (b"ADC:SAT:LEV " + block(turned) + b";:SYST:ERR?\n", OK + b"\n"),
        (b"ADC:MODE SAT;:SYST:ERR?\n", OK + b"\n"), product([-1311, 0], [-13107, 0, 0]),
        chip=parse_chip({"id": "turned", "rows": 2, "cols": 3, "cell": "1T1R", "polarity": -1}, source="test"),
    )  # fmt: skip
    current = board.ability(Saturates).vmm_saturated(
        [1311 * LSB, 0.0], low=[-10e-6, -INF, -INF], high=[40e-6, 20e-6, INF], full_scale=1e-4
    )
    assert current[0] == pytest.approx(40e-6, rel=1e-3)
    resource.assert_done()


@pytest.mark.parametrize(
    ("bounds", "says"),
    [
        ({"low": 1e-5, "high": 1e-5}, "column 0 would be held between 1e-05 A and 1e-05 A: low must be below high"),
        ({"low": [0.0, np.nan, 0.0], "high": 1.0}, "column 1 would be held between nan A"),
        ({"low": [0.0, 0.0], "high": 1.0}, r"low has shape \(2,\): give one level, or 3, one for each column"),
        ({"low": "0", "high": 1.0}, "low"),
        ({"low": -1e-5, "high": 1e-5, "full_scale": 9.0}, "full_scale 9 A is not above 0 and within the ranges"),
    ],
)
def test_levels_that_are_none_are_refused_before_anything_is_sent(
    opened: Any, bounds: dict[str, Any], says: str
) -> None:
    board, resource = opened()
    with pytest.raises(RefusedError, match=says):
        board.ability(Saturates).vmm_saturated([0.1, 0.1], **bounds)
    resource.assert_done()


def test_a_board_without_the_feature_refuses_in_a_sentence_and_is_never_told_a_mode() -> None:
    said = "does not support saturate: it would need output circuits"
    for changes in ({"supports": ["vmm"]}, {"protocol": "xbarlab-board/1"}):
        board: Any = CrossbarBoard(f"bare_{len(str(changes))}", resource=fake.FakeBoard(**{**SECOND, **changes}))
        try:
            assert "saturate" not in board.spec.supports
            with pytest.raises(UnsupportedError, match=said):
                board.ability(Saturates)
            board.vmm([0.1, 0.1])
            assert not [one for one in board.visa_handle.sent if b"ADC" in one]
        finally:
            board.close()


# --- both, and joined boards -----------------------------------------------------------------------------------------


def test_driver_and_simulator_agree_on_a_chip_smaller_than_its_board(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        array: Any = bench.array
        volts = np.linspace(-0.3, 0.3, 13)[:, None] * np.ones((1, array.spec.rows))
        linear = array.ability(Multiplies).vmm(volts, full_scale=1e-3)
        held = array.ability(Saturates).vmm_saturated(volts, low=-5e-5, high=8e-5, full_scale=1e-4)
        assert linear.max() > 1e-4
        assert held == pytest.approx(np.clip(linear, -5e-5, 8e-5), abs=0.15 * 6.5e-5)
        assert held.max() == pytest.approx(8e-5, rel=0.01)
        again = array.ability(Multiplies).vmm(volts, full_scale=1e-3)
        assert again == pytest.approx(linear, abs=2e-6)
        back = array.ability(MultipliesReversed).vmm_reversed(np.full((1, array.spec.cols), 0.2))
        assert back.max() > 1e-4


def test_what_is_set_by_hand_does_not_stay_for_the_next_product(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        array: Any = bench.array
        volts = np.full((1, array.spec.rows), 0.3)
        array.ability(Saturates).vmm_saturated(volts, low=-1e-5, high=1e-5, full_scale=1e-4)
        linear = array.vmm(volts, full_scale=1e-3)
        array.write("ADC:MODE SAT")
        assert array.vmm(volts, full_scale=1e-3) == pytest.approx(linear, abs=2e-6)
        with pytest.raises(RefusedError, match="vmm_saturated"):
            array.write("ADC:SAT:LEV #10")
        array.reset()
        assert array.ask("ADC:MODE?") == "LIN"
        held = array.ability(Saturates).vmm_saturated(volts, low=-1e-5, high=1e-5, full_scale=1e-4)
        assert held[0] == pytest.approx(np.full(array.spec.cols, 1e-5), rel=0.05)


def test_joined_boards_hold_each_its_own_columns(tmp_path: Path) -> None:
    with open_bench(write_two_boards(tmp_path, "soft_bounds_1t1r")) as bench:
        array: Any = bench.array
        spec = array.spec
        high = np.linspace(1e-5, 8e-5, spec.cols)
        held = array.ability(Saturates).vmm_saturated(
            np.full(spec.rows, 0.3), low=np.full(spec.cols, -1e-5), high=high, full_scale=1e-4
        )
        assert held == pytest.approx(high, rel=0.03)
        assert "saturate" in spec.supports
        assert not replace(spec, supports=frozenset({"vmm"})).can(Saturates)
