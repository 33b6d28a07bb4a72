"""Every update rule against its equation, on ideal devices."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_array import gateless_spec
from support.training_bench import write_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor
from xbarlab.protocols.training.rules.equal_pulses import Manhattan, MixedPrecision, RowParallel
from xbarlab.protocols.training.rules.update_rules import TwoPulse
from xbarlab.runbooks.stations import open_bench

SLOPE, STEP = 98e-6, 0.002 * 90e-6  # of the ideal devices: conductance per gate volt; one pulse of a step device
SIEMENS = 100e-6


def weights_on(array: Any) -> ArrayWeights:
    return ArrayWeights(array, plan_floor(16, 12, [LayerRequest("w", 4, 5, "stacked"), LayerRequest("v", 3, 2)]))


@pytest.fixture
def gates(tmp_path: Path) -> Iterator[ArrayWeights]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r")) as bench:
        yield weights_on(bench.array)


@pytest.fixture
def steps(tmp_path: Path) -> Iterator[ArrayWeights]:
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        yield weights_on(bench.array)


def moved(weights: ArrayWeights, rule: Any, changes: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], Any]:
    """Return how far each layer's weights moved in one update, and what it cost without the reads."""
    weights.read(64)
    old = {name: weights.weights(name) for name in changes}
    before = weights.array.cost
    rule.apply(weights, changes, {})
    spent = weights.array.cost - before
    weights.read(64)
    return {name: weights.weights(name) - old[name] for name in changes}, spent


def some_changes(size: float, seed: int = 1) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"w": size * rng.uniform(-1, 1, (4, 5)), "v": size * rng.uniform(-1, 1, (3, 2))}


@pytest.mark.parametrize(("share", "refresh"), [(1.0, True), (1.0, False), (0.5, True), (0.5, False)])
def test_two_pulse_moves_every_pair_by_its_share(gates: ArrayWeights, share: float, refresh: bool) -> None:
    rule = TwoPulse(share=share, refresh=refresh, gate_start=1.15)
    rule.start(gates, np.random.default_rng(0))
    for seed in range(3):
        wanted = some_changes(0.05, seed)
        wanted["w"][0, 0] = 0.0
        got, spent = moved(gates, rule, wanted)
        for name, change in wanted.items():
            assert got[name] == pytest.approx(2 * share * change, abs=5e-3)
        assert spent.transactions == 2 == rule.step_cost(gates.plan).transactions
        changed = sum(change.size for change in wanted.values()) - 1
        # One of a pair falls and is RESET; then all are SET, or only the pairs that change.
        assert spent.pulses == changed + (2 * changed if not refresh else gates.plan.cells)


def test_two_pulse_stops_at_its_gates_and_carries_small_changes_over(gates: ArrayWeights) -> None:
    rule = TwoPulse(refresh=False, least=0.02, share=0.5)
    rule.start(gates, np.random.default_rng(0))
    small = {"w": np.full((4, 5), 0.03)}  # 0.015 V a step
    _, spent = moved(gates, rule, small)
    assert spent.pulses == 0
    got, spent = moved(gates, rule, small)
    assert got["w"] == pytest.approx(np.full((4, 5), 0.06), abs=5e-3)
    moved(gates, rule, {"w": np.full((4, 5), 100.0)})
    assert gates.weights("w") == pytest.approx(np.full((4, 5), SLOPE * (1.6 - 0.7) / SIEMENS), abs=5e-3)


def test_copies_in_turn_move_the_mean_by_the_change_with_half_the_pulses(tmp_path: Path) -> None:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(24, 12))) as bench:
        requests = [LayerRequest("w", 4, 5, copies_down=2), LayerRequest("v", 3, 2, copies_across=2)]
        weights = ArrayWeights(bench.array, plan_floor(24, 12, requests))
        pulses: dict[bool, int] = {}
        for in_turn in (False, True):
            rule = TwoPulse(share=0.5, refresh=False, gate_start=1.15, in_turn=in_turn)
            rule.start(weights, np.random.default_rng(0))
            for seed in range(2):
                wanted = some_changes(0.05, seed)
                got, spent = moved(weights, rule, wanted)
                for name, change in wanted.items():
                    assert got[name] == pytest.approx(change, abs=5e-3)
                pulses[in_turn] = spent.pulses
        assert 2 * pulses[True] == pulses[False]


def test_two_pulse_with_feedback_brings_the_weights_to_what_is_wanted(tmp_path: Path) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r", changes={"noise": 4e-6, "noise_reach": 0.0})
    with open_bench(station) as bench:
        weights = weights_on(bench.array)
        errors: dict[bool, float] = {}
        for feedback in (False, True):
            rule = TwoPulse(
                share=0.5, refresh=False, gate_start=1.15, feedback=feedback, rounds=4, least=0.02, final_rounds=20
            )
            rule.start(weights, np.random.default_rng(0))
            weights.read(16)
            wanted = {name: weights.weights(name).astype(float) for name in ("w", "v")}
            for seed in range(6):
                changes = some_changes(0.05, seed)
                before = weights.array.cost.transactions
                rule.apply(weights, changes, {})
                assert weights.array.cost.transactions - before <= rule.step_cost(weights.plan).transactions
                wanted = {name: wanted[name] + change for name, change in changes.items()}
                weights.read(16)
            rule.finish(weights)
            weights.read(16)
            off = [weights.weights(name) - wanted[name] for name in wanted]
            errors[feedback] = float(np.sqrt(np.mean(np.concatenate([one.ravel() for one in off]) ** 2)))
            kept = rule.arrays()
            other = TwoPulse(feedback=feedback)
            other.restore(kept)
            assert other.wanted.keys() == rule.wanted.keys()
        assert errors[True] < 0.5 * errors[False]


def test_two_pulse_that_rests_low_keeps_one_cell_of_a_pair_down(tmp_path: Path) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r", changes={"noise": 0.0})
    with open_bench(station) as bench:
        weights = weights_on(bench.array)
        rule = TwoPulse(
            share=0.5, refresh=False, feedback=True, rounds=6, least=0.002, gate_start=0.7, rest="low", gain=1.0
        )
        rule.start(weights, np.random.default_rng(0))
        weights.read(64)
        wanted = {name: weights.weights(name).astype(float) for name in ("w", "v")}
        signs = np.sign(wanted["w"])
        for seed in range(8):
            changes = some_changes(0.4, seed)
            rule.apply(weights, changes, {})
            wanted = {
                name: np.clip(wanted[name] + change, *(np.array([-1, 1]) * rule.span() / weights.scale[name]))
                for name, change in changes.items()
            }
            weights.read(64)
            for name, right in wanted.items():
                assert weights.weights(name) == pytest.approx(right, abs=0.01)
            both = np.minimum(rule.written, weights.partner(rule.written))[weights.cells_of(wanted)]
            assert both == pytest.approx(rule.gate_low, abs=0.01)
        assert (np.sign(wanted["w"]) != signs).any(), "some weights went through 0"


def test_two_pulse_rests_low_with_feedback_only(gates: ArrayWeights) -> None:
    with pytest.raises(RefusedError, match="rest low moves one cell of a pair at a time, which needs feedback: true"):
        TwoPulse(rest="low").check(gates.array.spec)
    with pytest.raises(RefusedError, match="cells rest in the middle or low, not 'high'"):
        TwoPulse(rest="high", feedback=True).check(gates.array.spec)  # pyright: ignore[reportArgumentType]


def test_two_pulse_programs_given_weights(gates: ArrayWeights) -> None:
    wanted = some_changes(0.7)
    TwoPulse().program(gates, wanted)
    gates.read(64)
    assert gates.weights("w") == pytest.approx(wanted["w"], abs=5e-3)
    assert gates.weights("v") == pytest.approx(wanted["v"], abs=5e-3)


def test_two_pulse_needs_gates_and_keeps_the_limits(gates: ArrayWeights) -> None:
    with pytest.raises(UnsupportedError, match=r"no gate lines.*choose manhattan"):
        TwoPulse().check(gateless_spec())
    with pytest.raises(RefusedError, match=r"two_pulse\.set_volts is above the limit"):
        TwoPulse(set_volts=6.0).check(gates.array.spec)


def test_manhattan_gives_one_pulse_by_the_sign(steps: ArrayWeights) -> None:
    rule = Manhattan(step=STEP, least=0.01)
    rule.check(steps.array.spec)
    rule.start(steps, np.random.default_rng(0))
    wanted = {"w": np.array([[0.5, -0.02, 0.005, 0.0, -3.0]] * 4)}
    got, spent = moved(steps, rule, wanted)
    one = 2 * STEP / SIEMENS
    assert got["w"] == pytest.approx(np.array([[one, -one, 0.0, 0.0, -one]] * 4), abs=one / 4)
    assert spent.transactions == 1 == rule.step_cost(steps.plan).transactions
    assert spent.pulses == 4 * 3 * 2


@pytest.mark.parametrize(("kind", "most"), [(MixedPrecision, 10), (RowParallel, 1)])
def test_mixed_precision_owes_what_is_less_than_a_pulse(steps: ArrayWeights, kind: Any, most: int) -> None:
    rule = kind(step=STEP)
    rule.start(steps, np.random.default_rng(0))
    total = {"w": np.zeros((4, 5)), "v": np.zeros((3, 2))}
    steps.read(64)
    begin = {name: steps.weights(name) for name in total}
    given = np.zeros(steps.block.shape)
    for seed in range(6):
        wanted = some_changes(2 * STEP / SIEMENS, seed)
        _, spent = moved(steps, rule, wanted)
        given += 0.5 * SIEMENS * steps.spread(wanted)
        for name, change in wanted.items():
            total[name] += change
        assert spent.transactions <= 1
        assert spent.pulses <= most * steps.plan.cells
    assert rule.owed + np.round((given - rule.owed) / STEP) * STEP == pytest.approx(given, abs=1e-12)
    assert np.abs(rule.owed).max() < 2 * STEP
    owed = {"w": rule.owed[np.ix_(range(4), range(5))]}
    change = {name: steps.weights(name) - begin[name] for name in total}
    # A pair owes twice what its positive cell does.
    assert change["w"] == pytest.approx(total["w"] - 2 * owed["w"] / SIEMENS, abs=2e-3)


def test_rules_keep_what_they_remember(steps: ArrayWeights) -> None:
    rule, other = MixedPrecision(step=STEP), MixedPrecision(step=STEP)
    rule.start(steps, np.random.default_rng(0))
    rule.apply(steps, some_changes(1e-3), {})
    other.restore(rule.arrays())
    assert np.array_equal(other.owed, rule.owed)
    assert rule.owed.any()
