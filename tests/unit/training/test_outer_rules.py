"""Rules of outer products against their equations, on an ideal step device."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.training_bench import write_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor
from xbarlab.protocols.training.rules.outer_rules import OuterProduct, StreamingEigenupdate
from xbarlab.protocols.training.rules.tiki_taka import TikiTaka
from xbarlab.runbooks.stations import open_bench

STEP, SIEMENS = 0.002 * 90e-6, 100e-6


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        board: Any = bench.array
        board.seed_updates(1)
        yield board


def on(array: Any, *layers: LayerRequest) -> ArrayWeights:
    return ArrayWeights(array, plan_floor(16, 12, layers))


def samples(n: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(3)
    return rng.uniform(-1, 1, (n, 4)).astype(np.float32), rng.uniform(-1, 1, (n, 5)).astype(np.float32)


def test_pulsed_sgd_moves_by_rate_times_x_times_error(array: Any) -> None:
    weights = on(array, LayerRequest("w", 4, 5, "stacked"))
    rule = OuterProduct(rate=0.05, step=STEP)
    rule.check(array.spec)
    rule.start(weights, np.random.default_rng(0))
    x, d = samples(40)
    weights.read(64)
    old, before = weights.weights("w"), array.cost
    rule.apply(weights, {}, {"w": [(x, d)]})
    spent = array.cost - before
    weights.read(64)
    wanted = -0.05 * x.T @ d
    # A train of 31 turns gives a binomial number of pulses; 40 trains and the two cells of a pair average it.
    spread = 2 * STEP / SIEMENS * np.sqrt(40 * 31 * 0.05)
    assert weights.weights("w") - old == pytest.approx(wanted, abs=4 * spread)
    assert np.corrcoef((weights.weights("w") - old).ravel(), wanted.ravel())[0, 1] > 0.94
    assert spent.transactions == rule.step_cost(weights.plan).transactions == 1
    assert spent.slots == 40 * 4 * 31


def test_eigenupdate_is_the_best_of_its_rank_and_writes_per_batch(array: Any) -> None:
    x, d = samples(30)
    rule = StreamingEigenupdate(rate=0.02, step=STEP, rank=4)
    left, size, right = rule.decompose(x, d)
    whole = x.astype(float).T @ d
    assert left * size @ right.T == pytest.approx(whole, abs=1e-5)  # 4 × 5 has rank 4: nothing is lost
    rule = StreamingEigenupdate(rate=0.02, step=STEP, rank=2, turns=127)
    left, size, right = rule.decompose(x, d)
    best = np.linalg.svd(whole)[1]
    assert np.linalg.norm(whole - left * size @ right.T) < 1.3 * np.linalg.norm(best[2:])
    weights = on(array, LayerRequest("w", 4, 5, "stacked"))
    rule.start(weights, np.random.default_rng(0))
    weights.read(64)
    old, before = weights.weights("w"), array.cost
    rule.apply(weights, {}, {"w": [(x, d)]})
    assert (array.cost - before).transactions == 1 == rule.step_cost(weights.plan).transactions
    weights.read(64)
    moved = weights.weights("w") - old
    wanted = -0.02 * left * size @ right.T
    assert np.corrcoef(moved.ravel(), wanted.ravel())[0, 1] > 0.9


def test_tiki_taka_moves_c_by_what_gathers_on_a(array: Any) -> None:
    weights = on(array, LayerRequest("c", 4, 5, "stacked"), LayerRequest("a", 4, 5, "stacked"))
    rule = TikiTaka(
        rate=0.1, step=STEP, fast={"c": "a"}, every=1, pulses_max=1, transfer_rate=20.0 * 2.0 * STEP / SIEMENS
    )
    rule.start(weights, np.random.default_rng(0))
    old = weights.weights("c")
    x, d = np.ones((60, 4), np.float32), np.array([[1, -1, 1, 0, -1]] * 60, np.float32)
    rule.apply(weights, {}, {"c": [(x, d)]})
    weights.read(64)
    moved = weights.weights("c") - old
    assert np.sign(moved[:, [0, 1, 2, 4]]).tolist() == [[-1, 1, -1, 1]] * 4
    assert np.abs(moved[:, 3]).max() <= 2 * 2 * STEP / SIEMENS
    pulses = np.abs(moved[:, 0]) / (2 * STEP / SIEMENS)
    assert (pulses > 5).all()
    assert (pulses < 15.5).all()  # one line at a time: 60 samples are 15 transfers of each of four lines
    kept = TikiTaka(fast={"c": "a"})
    kept.restore(rule.arrays())
    assert np.array_equal(kept.owed["c"], rule.owed["c"])
    assert kept.seen == {"c": 60}


def test_what_outer_products_need(array: Any) -> None:
    with pytest.raises(UnsupportedError, match=r"outer_update: it would need pulsers on all rows and columns"):
        OuterProduct().check(replace(array.spec, supports=frozenset({"vmm"})))
    with pytest.raises(RefusedError, match="pairs over columns"):
        OuterProduct().start(on(array, LayerRequest("w", 4, 5, "columns")), np.random.default_rng(0))
    with pytest.raises(RefusedError, match="layer 'a' is 3 × 5, it stands in for 'c'"):
        TikiTaka(fast={"c": "a"}).start(
            on(array, LayerRequest("c", 4, 5, "stacked"), LayerRequest("a", 3, 5, "stacked")), np.random.default_rng(0)
        )
