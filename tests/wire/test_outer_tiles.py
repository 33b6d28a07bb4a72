"""Outer products in batches (board-protocol §10.6): bytes, bits, wear, and boards that take them one by one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training_bench import write_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import UpdatesByOuterProduct
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import OuterProducts, PulseDrive
from xbarlab.mockhw.instruments.array_board.outer_products import coincidences
from xbarlab.runbooks.stations import open_bench

DRIVE = PulseDrive(1.2, 1.2, 1.2, 5.0, 200e-9)
REAL = {"law": "soft_bounds", "dw_min_d2d": 0.3, "dw_min_c2c": 3.75, "w_max_d2d": 0.3, "w_min_d2d": 0.3}


def bench_of(folder: Path, *, cells: dict[str, Any] | None = None, segment_ohms: float = 0.0, **board: Any) -> Path:
    folder.mkdir()
    station = write_bench(folder, "soft_bounds_1t1r", changes=REAL | (cells or {}), segment_ohms=segment_ohms)
    bench = next(folder.glob("*.bench.yaml"))
    text = bench.read_text(encoding="utf-8")
    for name, value in board.items():
        assert "serial: MOCK-0009" in text
        text = text.replace("serial: MOCK-0009", f"serial: MOCK-0009\n  {name}: {value}")
    bench.write_text(text, encoding="utf-8")
    return station


def products(*blocks: Block, n: int = 6) -> list[OuterProducts]:
    rng = np.random.default_rng(7)
    return [
        OuterProducts(block, rng.uniform(-1, 1, (n, block.nrows)), rng.uniform(-1, 1, (n, block.ncols)))
        for block in blocks
    ]


def cells_after(station: Path, give: Any) -> tuple[np.ndarray, Any]:
    with open_bench(station, seed=1) as bench:
        array: Any = bench.array
        array.seed_updates(3)
        before = array.cost
        give(array)
        spent = array.cost - before
        return array.read(array.spec.whole).conductance, spent


@pytest.mark.parametrize(
    ("cells", "segment_ohms"),
    [
        ({}, 0.0),
        ({"law": "constant"}, 0.0),
        ({"law": "exponential"}, 0.0),
        ({"dw_min": 0.2, "stuck_fraction": 0.2}, 0.0),  # steps so large that a train is not given at once
        ({}, 2.0),
    ],
)
def test_a_batch_over_all_lines_is_bit_by_bit_the_same_as_its_products_one_by_one(
    tmp_path: Path, cells: dict[str, Any], segment_ohms: float
) -> None:
    (asked,) = products(Block(0, 16, 0, 12))

    def together(array: Any) -> None:
        array.ability(UpdatesByOuterProduct).outer_updates([asked], pulses=31, drive=DRIVE)

    def apart(array: Any) -> None:
        for x, d in zip(asked.x, asked.d, strict=True):
            array.ability(UpdatesByOuterProduct).outer_update(x, d, pulses=31, drive=DRIVE)

    station = bench_of(tmp_path / "second", cells=cells, segment_ohms=segment_ohms)
    first_board = bench_of(tmp_path / "first", protocol=1, cells=cells, segment_ohms=segment_ohms)
    batch, cost = cells_after(station, together)
    single, each = cells_after(station, apart)
    old, fallen_back = cells_after(first_board, together)
    assert np.array_equal(batch, single)
    assert np.array_equal(batch, old)
    assert np.ptp(batch) > 1e-6
    assert (cost.transactions, each.transactions, fallen_back.transactions) == (1, 6, 6)
    assert cost.pulses == each.pulses == fallen_back.pulses
    assert cost.slots == each.slots == 6 * 4 * 31


def test_only_the_cells_of_a_rectangle_are_pulsed(tmp_path: Path) -> None:
    asked = products(Block(2, 5, 1, 4), Block(9, 3, 6, 5))

    def give(array: Any) -> None:
        array.ability(UpdatesByOuterProduct).outer_updates(asked, pulses=200, drive=DRIVE)  # more turns than a board's

    moved, cost = cells_after(bench_of(tmp_path / "one"), give)
    inside = np.zeros(moved.shape, dtype=bool)
    for one in asked:
        inside[one.block.slices] = True
    start = np.median(moved[~inside])
    assert moved[~inside] == pytest.approx(start, abs=0.5e-6)  # what the converter makes of it
    assert (np.abs(moved[inside] - start) > 1e-6).mean() > 0.8
    assert cost.slots == 4 * 200 * 12
    assert cost.transactions == 2


def test_wear_of_a_batch_is_what_its_products_may_expect(tmp_path: Path) -> None:
    asked = products(Block(2, 5, 1, 4), n=40)
    with open_bench(bench_of(tmp_path / "one")) as bench:
        array: Any = bench.array
        array.ability(UpdatesByOuterProduct).outer_updates(asked, pulses=31, drive=DRIVE)
        maps, at = bench.wear.maps(), asked[0].block.slices
    product = 31 * asked[0].x[:, :, None] * asked[0].d[:, None, :]
    assert maps["set_pulses"][at] == pytest.approx(np.maximum(product, 0).sum(0))
    assert maps["reset_pulses"][at] == pytest.approx(np.maximum(-product, 0).sum(0))
    assert maps["pulses"].sum() == pytest.approx(np.abs(product).sum())
    assert (maps["cycles"][at] <= np.minimum(maps["set_pulses"], maps["reset_pulses"])[at] + 1).all()
    assert maps["cycles"][at].min() > 10


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"x": np.full((6, 5), 1.1)}, "x holds 1.1: values are −1 to 1"),
        ({"d": np.full((6, 4), np.nan)}, "d"),
        ({"x": np.zeros((5, 5))}, r"x has shape \(5, 5\), d \(6, 4\); needed are \[products, 5\] and \[products, 4\]"),
        ({"block": Block(14, 5, 1, 4)}, "14:19"),
    ],
)
def test_what_is_refused(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    (good,) = products(Block(2, 5, 1, 4))
    bad = replace(good, **change)
    with open_bench(bench_of(tmp_path / "one")) as bench:
        array: Any = bench.array
        update, before = array.ability(UpdatesByOuterProduct), array.cost
        with pytest.raises(RefusedError, match=sentence):
            update.outer_updates([good, bad], pulses=31, drive=DRIVE)
        for drive in (PulseDrive(9.0, 1.2, 1.2, 5.0, 200e-9), PulseDrive(1.2, 1.2, 1.2, 5.0, 1.0)):
            with pytest.raises(RefusedError, match=r"above|limit"):
                update.outer_updates([good], pulses=31, drive=drive)
        with pytest.raises(RefusedError, match="update_width"):
            update.outer_updates([good], pulses=31)
        assert array.cost == before


@pytest.mark.parametrize("part", [(0, 124), (0, 37), (37, 90), (50, 51)])
def test_coincidences_are_those_of_the_four_slots_of_every_turn(part: tuple[int, int]) -> None:
    rng = np.random.default_rng(5)
    x, d = rng.uniform(-1, 1, 9), rng.uniform(-1, 1, 7)
    x[3] = d[2] = 0.0
    fires_x, fires_d = rng.random((31, 9)) < np.abs(x), rng.random((31, 7)) < np.abs(d)
    row, col, lower, times = coincidences(fires_x, fires_d, x, d, *part)
    wanted = np.zeros((9, 7), dtype=int)
    for slot in range(*part):
        turn, phase = divmod(slot, 4)
        signs = ((1, 1), (1, -1), (-1, 1), (-1, -1))[phase]
        rows = fires_x[turn] & (np.sign(x) == signs[0])
        cols = fires_d[turn] & (np.sign(d) == signs[1])
        wanted += np.outer(rows, cols)
    found = np.zeros_like(wanted)
    found[row, col] = times
    assert np.array_equal(found, wanted)
    assert (lower == (x[row] * d[col] < 0)).all()
    order = 2 * row + lower
    assert (np.diff(order) >= 0).all()
