import math

import numpy as np
import pytest
from scipy import stats

from xbarlab.analysis.estimates.estimates import (
    Estimate,
    clustered_fraction_estimate,
    flatten,
    fraction_estimate,
    mean_estimate,
    median_estimate,
    random_effects,
    std_estimate,
)


@pytest.mark.parametrize(
    ("successes", "total", "low", "high"),
    # R. G. Newcombe, Statistics in Medicine 17, 857 (1998), table I, method 3.
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_wilson_against_known_intervals(successes: int, total: int, low: float, high: float) -> None:
    e = fraction_estimate(successes, total)
    assert e.value == pytest.approx(successes / total)
    assert (e.low, e.high) == (pytest.approx(low, abs=5.1e-5), pytest.approx(high, abs=5.1e-5))


def test_wilson_agrees_with_scipy() -> None:
    want = stats.binomtest(37, 41).proportion_ci(method="wilson")
    e = fraction_estimate(37, 41)
    assert (e.low, e.high) == (pytest.approx(want.low), pytest.approx(want.high))


def test_a_fraction_needs_sense() -> None:
    with pytest.raises(ValueError, match="5 successes of 4"):
        fraction_estimate(5, 4)
    assert math.isnan(fraction_estimate(0, 0).value)


def test_mean_is_students_t_and_skips_nan() -> None:
    x = np.array([1.0, 2.0, 4.0, np.nan, 7.0])
    good = x[np.isfinite(x)]
    low, high = stats.t.interval(0.95, 3, loc=good.mean(), scale=stats.sem(good))
    e = mean_estimate(x)
    assert e == Estimate(3.5, pytest.approx(low), pytest.approx(high), 4)


@pytest.mark.parametrize(("n", "ranks"), [(6, (1, 6)), (10, (2, 9)), (15, (4, 12)), (25, (8, 18)), (100, (40, 61))])
def test_median_interval_is_the_tabulated_pair_of_order_statistics(n: int, ranks: tuple[int, int]) -> None:
    e = median_estimate(np.arange(1, n + 1)[::-1])
    assert (e.low, e.high) == ranks
    outside = stats.binom.cdf(ranks[0] - 1, n, 0.5)
    assert 2 * outside <= 0.05 < 2 * stats.binom.cdf(ranks[0], n, 0.5)


def test_five_values_do_not_bound_a_median() -> None:
    e = median_estimate([1, 2, 3, 4, 5])
    assert e.value == 3
    assert math.isnan(e.low)


@pytest.mark.parametrize("heavy", [False, True])
def test_std_interval_covers_the_truth(heavy: bool) -> None:
    rng = np.random.default_rng(11)
    truth = math.sqrt(2.0) if heavy else 1.0
    hits = 0
    for _ in range(400):
        e = std_estimate(rng.standard_t(4, 300) if heavy else rng.normal(size=60))
        hits += e.low <= truth <= e.high
    assert hits / 400 > (0.80 if heavy else 0.92)


def test_std_jackknife_left_out_variances_are_exact() -> None:
    x = np.array([0.3, 1.9, -2.2, 5.0, 0.1])
    direct = np.log([np.delete(x, k).var(ddof=1) for k in range(5)])
    error = math.sqrt(4 / 5 * ((direct - direct.mean()) ** 2).sum())
    e = std_estimate(x)
    assert e.value / e.low == pytest.approx(math.exp(0.5 * stats.t.ppf(0.975, 4) * error))
    assert e.high >= e.value * math.exp(0.5 * stats.t.ppf(0.975, 4) * error) * (1.0 - 1e-9)


def test_the_upper_end_is_that_with_the_farthest_value_once_more() -> None:
    x = np.random.default_rng(1).standard_t(4, 60)
    more = np.append(x, x[np.argmax(np.abs(x - x.mean()))])
    logs = np.log([np.delete(more, k).var(ddof=1) for k in range(61)])
    error = math.sqrt(60 / 61 * ((logs - logs.mean()) ** 2).sum())
    assert std_estimate(x).high / more.std(ddof=1) == pytest.approx(math.exp(0.5 * stats.t.ppf(0.975, 60) * error))


def test_heavy_tails_are_allowed_for() -> None:
    held: dict[str, list[bool]] = {"single": [], "pooled": []}
    for seed in range(400):
        x = np.random.default_rng(seed).standard_t(4, (400, 5)) / math.sqrt(2.0)
        one = std_estimate(x[:, 0])
        held["single"].append(one.low <= 1.0 <= one.high)
        one = random_effects(x).c2c_std
        held["pooled"].append(one.low <= 1.0 <= one.high)
    assert np.mean(held["single"]) >= 0.92  # 0.90 with a plain jackknife
    assert np.mean(held["pooled"]) >= 0.92  # 0.90


@pytest.mark.parametrize(
    ("cells", "cycles", "d2d", "c2c"), [(8, 10, 0.06, 0.04), (32, 5, 0.03, 0.05), (64, 20, 0.1, 0.02)]
)
def test_random_effects_recovers_both_spreads(cells: int, cycles: int, d2d: float, c2c: float) -> None:
    inside = {"mean": 0, "c2c_std": 0, "d2d_std": 0}
    runs = 80
    for seed in range(runs):
        rng = np.random.default_rng(seed)
        x = 0.9 + rng.normal(0, d2d, (cells, 1)) + rng.normal(0, c2c, (cells, cycles))
        x[rng.random(x.shape) < 0.2] = np.nan  # cycles that did not switch: unbalanced data
        effects = random_effects(x)
        for name, truth in (("mean", 0.9), ("c2c_std", c2c), ("d2d_std", d2d)):
            e = getattr(effects, name)
            inside[name] += e.low <= truth <= e.high
    # 95 % coverage: fewer than 69 of 80 would happen once in 1400 trials.
    assert min(inside.values()) >= 69, inside


def test_random_effects_balanced_matches_the_textbook_formula() -> None:
    x = np.array([[1.0, 1.2, 0.8], [2.0, 2.3, 1.7], [1.5, 1.4, 1.9]])
    within = x.var(axis=1, ddof=1).mean()
    between = 3 * x.mean(axis=1).var(ddof=1)
    effects = random_effects(x)
    assert effects.c2c_std.value == pytest.approx(math.sqrt(within))
    assert effects.d2d_std.value == pytest.approx(math.sqrt((between - within) / 3))


def test_pooled_spread_is_not_what_c2c_means() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 0.2, (40, 1)) + rng.normal(0, 0.01, (40, 10))
    assert random_effects(x).c2c_std.value == pytest.approx(0.01, rel=0.15)
    assert x.std() > 0.1


@pytest.mark.parametrize("shape", [(0, 3), (1, 5), (2, 5), (5, 1)])
def test_too_little_data_gives_nan_not_a_number(shape: tuple[int, int]) -> None:
    effects = random_effects(np.random.default_rng(0).normal(size=shape))
    assert math.isnan(effects.d2d_std.low)
    assert math.isnan(effects.c2c_std.value) == (shape in {(0, 3), (5, 1)})
    assert math.isnan(effects.d2d_std.value) == (shape[0] < 2 or shape[1] < 2)


def test_no_cell_to_cell_spread_is_zero_not_negative() -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [0.0, 1.0]])
    d2d = random_effects(x).d2d_std
    assert d2d.value == 0.0


def test_clustered_fraction_widens_for_likeness() -> None:
    # Two of ten cells never switch in ten cycles: that is two of ten, not twenty of a hundred.
    alike = clustered_fraction_estimate([10, 10] + [0] * 8, [10] * 10)
    spread = clustered_fraction_estimate([2] * 10, [10] * 10)
    assert alike.value == spread.value == pytest.approx(0.2)
    assert alike.high - alike.low > 2.5 * (spread.high - spread.low)
    assert spread.low == pytest.approx(fraction_estimate(20, 100).low)
    assert clustered_fraction_estimate([0] * 10, [50] * 10).high == pytest.approx(fraction_estimate(0, 10).high)


def test_flatten_names_the_interval() -> None:
    assert flatten("v", Estimate(1.0, 0.5, 1.5, 9)) == {"v": 1.0, "v_ci95_low": 0.5, "v_ci95_high": 1.5}
    assert Estimate(2.0, 1.0, 4.0, 9).inverse() == Estimate(0.5, 0.25, 1.0, 9)
    assert Estimate(2.0, 1.0, 4.0, 9).scaled(-1.0) == Estimate(-2.0, -4.0, -1.0, 9)


@pytest.mark.parametrize("count", [3, 4, 5])
def test_a_standard_deviation_of_few_values_has_an_interval_one_can_use(count: int) -> None:
    rng = np.random.default_rng(count)
    found = [std_estimate(rng.standard_normal(count)) for _ in range(400)]
    assert max(one.high / one.value for one in found) < 10.0
    assert np.mean([one.low <= 1.0 <= one.high for one in found]) >= 0.90


def test_one_far_value_does_not_make_an_interval_of_orders_of_magnitude() -> None:
    values = np.append(np.random.default_rng(1).normal(0.0, 3e-6, 61), 450e-6)
    found = std_estimate(values)
    assert found.low <= found.value <= found.high
    assert found.high / found.low < 20.0
