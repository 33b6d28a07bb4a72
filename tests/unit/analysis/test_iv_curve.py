import numpy as np
import pytest

from xbarlab.analysis.measurements.iv_curve import SwitchingRule, iv_metrics, iv_summary, switching_voltages

STEP = 0.02
UP, DOWN = 1.6, 1.4
LOOP = np.concatenate(
    [np.arange(0, UP, STEP), np.arange(UP, 0, -STEP), -np.arange(0, DOWN, STEP), -np.arange(DOWN, -STEP / 2, -STEP)]
).round(6)


def loop(v_set: float, v_reset: float, g_on: float = 150e-6, g_off: float = 6e-6) -> np.ndarray:
    """Current of an abrupt switch at exactly known voltages."""
    g, current = g_off, []
    for v in LOOP:
        if v >= v_set:
            g = g_on
        if v <= v_reset:
            g = g_off
        current.append(g * v)
    return np.array(current)


def test_recovers_switching_voltages_within_a_step() -> None:
    rng = np.random.default_rng(4)
    v_set, v_reset = rng.uniform(0.5, 1.4, (6, 7)), rng.uniform(-1.2, -0.4, (6, 7))
    current = np.array([[loop(s, r) for s, r in zip(a, b, strict=True)] for a, b in zip(v_set, v_reset, strict=True)])
    current += rng.normal(0, 3e-9, current.shape)
    table = switching_voltages(LOOP, current)
    assert set(table.set_status) == set(table.reset_status) == {"switched"}
    # The event lies between the last point before and the first point after: interpolation is good to one step.
    assert np.all(np.abs(table.v_set.to_numpy() - v_set.ravel()) <= STEP)
    assert np.all(np.abs(table.v_reset.to_numpy() - v_reset.ravel()) <= STEP)
    assert abs(np.mean(table.v_set.to_numpy() - v_set.ravel())) < STEP


def test_gradual_reset_crosses_at_the_geometric_mean() -> None:
    g_on, g_off, start, scale = 160e-6, 10e-6, 0.5, 0.1
    current = loop(0.9, -9.0, g_on, g_off)
    depth = np.minimum.accumulate(np.where(LOOP < 0, LOOP, 0.0))
    negative = np.arange(LOOP.size) >= np.flatnonzero(LOOP > 0)[-1] + 1
    g = np.clip(g_on * np.exp(-np.maximum(-depth - start, 0.0) / scale), g_off, g_on)
    current = np.where(negative, g * LOOP, current)
    table = switching_voltages(LOOP, current[None, None])
    # g_on·exp(-(V - start)/scale) = sqrt(g_on·g_off) at V = start + scale·ln(g_on/g_off)/2
    assert table.v_reset[0] == pytest.approx(-(start + scale * np.log(g_on / g_off) / 2), abs=1e-3)
    assert table.g_before_reset[0] == pytest.approx(g_on, rel=1e-6)
    assert table.g_after_reset[0] == pytest.approx(g_off, rel=1e-6)


def test_random_effects_of_loops_recover_the_truth() -> None:
    inside = np.zeros(3)
    for seed in range(8):
        rng = np.random.default_rng(seed)
        truth = 0.9 + rng.normal(0, 0.06, (12, 1)) + rng.normal(0, 0.04, (12, 8))
        current = np.array([[loop(v, -0.8) for v in row] for row in truth])
        metrics = iv_metrics(switching_voltages(LOOP, current))
        # The first point beyond the switch and the one before bracket it: half a step late on average, at most.
        m = metrics["v_set_mean"]
        inside += [
            m.low - STEP / 2 <= 0.9 <= m.high + STEP / 2,
            metrics["v_set_c2c_std"].low <= 0.04 <= metrics["v_set_c2c_std"].high,
            metrics["v_set_d2d_std"].low <= 0.06 <= metrics["v_set_d2d_std"].high,
        ]
    assert inside.min() >= 6, inside


def test_cells_that_do_not_switch_are_counted_never_imputed() -> None:
    good = [loop(0.9, -0.7) for _ in range(4)]
    stuck_on = [120e-6 * LOOP] * 4
    open_cell = [np.random.default_rng(0).normal(0, 3e-9, LOOP.size) for _ in range(4)]
    never_set = [loop(9.0, -0.7) for _ in range(4)]
    table = switching_voltages(LOOP, np.array([good, stuck_on, open_cell, never_set]))
    metrics = iv_metrics(table)
    assert metrics["no_set_fraction"].value == metrics["no_reset_fraction"].value == 0.75
    assert metrics["v_set_mean"].n == 1
    assert metrics["v_set_mean"].value == pytest.approx(0.9, abs=STEP)
    assert table.v_set.isna().sum() == 12
    assert set(table.set_status[4:]) == {"no window"}


def test_compliance_hides_the_crossing_but_not_the_set() -> None:
    limit = 40e-6  # I/V in compliance stays below the geometric mean of 15 and 150 µS for V > 0.84 V
    current = loop(0.9, -0.7, g_off=15e-6)
    flagged = np.abs(current) > limit
    clamped = np.clip(current, -limit, limit)
    flagged[LOOP < 0] = False
    clamped[LOOP < 0] = current[LOOP < 0]
    blind = switching_voltages(LOOP, clamped[None, None])
    told = switching_voltages(LOOP, clamped[None, None], compliance=flagged[None, None])
    assert told.v_set[0] == pytest.approx(0.9, abs=STEP)
    assert bool(told.set_limited[0])
    assert blind.set_status[0] == "no crossing"
    # In compliance already at the read voltage, the on conductance is read where the source was still free.
    low, flagged = np.minimum(current, 20e-6), current > 20e-6
    tight = switching_voltages(LOOP, low[None, None], compliance=flagged[None, None])
    assert tight.v_set[0] == pytest.approx(0.9, abs=STEP)
    assert tight.g_after_set[0] == pytest.approx(150e-6)


def test_compliance_on_the_negative_branch_is_no_reset() -> None:
    limit = 30e-6
    current = loop(0.9, -1.1)
    clamped, flagged = np.maximum(current, -limit), current < -limit
    table = switching_voltages(LOOP, clamped[None, None], compliance=flagged[None, None])
    assert table.v_reset[0] == pytest.approx(-1.1, abs=STEP)
    # Unflagged, the clamp looks like a falling conductance long before the event.
    assert switching_voltages(LOOP, clamped[None, None]).v_reset[0] > -1.05


def test_one_noisy_point_and_noise_near_zero_are_no_event() -> None:
    current = loop(1.0, -0.7)
    spike = int(np.flatnonzero(np.isclose(LOOP, 0.5))[0])
    current[spike] = 120e-6 * 0.5
    current[1:4] = 5e-6  # offset of the ammeter: an enormous I/V just above zero
    table = switching_voltages(LOOP, current[None, None])
    assert table.v_set[0] == pytest.approx(1.0, abs=STEP)
    once = switching_voltages(LOOP, current[None, None], rule=SwitchingRule(hold=1))
    assert once.v_set[0] == pytest.approx(0.5, abs=STEP)


def test_unswept_branch_and_missing_points_have_their_own_status() -> None:
    half = LOOP[LOOP >= 0][:-1]
    positive = loop(0.9, -0.7)[LOOP >= 0][:-1]
    table = switching_voltages(half, positive[None, None])
    assert (table.set_status[0], table.reset_status[0]) == ("switched", "not swept")
    broken = loop(0.9, -0.7)
    broken[10] = np.nan
    assert switching_voltages(LOOP, broken[None, None]).set_status[0] == "invalid"
    summary = iv_summary(switching_voltages(LOOP, broken[None, None]))
    assert np.isnan(summary["no_set_fraction"])
    assert np.isnan(summary["r_on_median"])


def test_negative_half_first_gives_the_same_events() -> None:
    order = np.concatenate([np.flatnonzero(LOOP <= 0)[1:], np.flatnonzero(LOOP > 0)])
    table = switching_voltages(LOOP[order], loop(0.9, -0.7)[order][None, None])
    assert (table.v_set[0], table.v_reset[0]) == (pytest.approx(0.9, abs=STEP), pytest.approx(-0.7, abs=STEP))


def test_resistances_are_medians_over_cells_with_interval() -> None:
    ons = np.linspace(100e-6, 200e-6, 9)
    current = np.array([[loop(0.9, -0.7, g_on=g)] * 3 for g in ons])
    metrics = iv_metrics(switching_voltages(LOOP, current))
    assert metrics["r_on_median"].value == pytest.approx(1 / 150e-6, rel=1e-6)
    assert metrics["r_on_median"].low < metrics["r_on_median"].value < metrics["r_on_median"].high
    assert metrics["r_off_median"].value == pytest.approx(1 / 6e-6, rel=1e-6)
    assert metrics["r_on_median"].n == 9


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cells, cycles, points"):
        switching_voltages(LOOP, loop(0.9, -0.7))
