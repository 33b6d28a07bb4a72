"""Fits of pulse trains recover what made them; the protocol gives every cell its trains and keeps them in order."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from support.fake_array import FakeArray, GatelessArray
from xbarlab.analysis.estimates.pulse_fit import alpha_form, fit_train, saturating, symmetry_point
from xbarlab.analysis.measurements import pulse_response as pr
from xbarlab.analysis.plots.plots import png_bytes
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost, Delivered, PulseMap
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.pulse_response import PulseResponsePlan, pulse_response

N = 100
SHARE = np.arange(N + 1) / N
PULSES = np.arange(N + 1)


@pytest.mark.parametrize("nu", [-3.0, 0.01, 0.7, 2.5, 6.0, 15.0])
@pytest.mark.parametrize("swing", [120e-6, -80e-6])
def test_the_exponential_form_is_recovered(nu: float, swing: float) -> None:
    rng = np.random.default_rng(3)
    clean = 150e-6 + swing * saturating(SHARE, nu)
    found = [fit_train(PULSES, clean + 1e-6 * rng.standard_normal(N + 1)) for _ in range(20)]
    values = np.array([fit.nonlinearity for fit in found])
    assert values.mean() == pytest.approx(nu, abs=0.02 + 4 * values.std() / np.sqrt(20))
    assert values.std() < 0.15 + 0.1 * abs(nu)
    assert np.mean([fit.swing for fit in found]) == pytest.approx(swing, rel=0.02)
    assert all(fit.failures == () for fit in found)
    assert np.mean([fit.misfit for fit in found]) == pytest.approx(1e-6 / abs(swing), rel=0.1)


@pytest.mark.parametrize("alpha", [-4.0, 0.0, 1.0, 3.5])
@pytest.mark.parametrize("ends", [(100e-6, 300e-6), (300e-6, 100e-6)])
def test_the_alpha_form_is_recovered(alpha: float, ends: tuple[float, float]) -> None:
    rng = np.random.default_rng(4)
    clean = alpha_form(SHARE, *ends, alpha)
    assert clean[[0, -1]] == pytest.approx(ends)
    found = [fit_train(PULSES, clean + 1e-6 * rng.standard_normal(N + 1)).alpha for _ in range(10)]
    assert np.mean(found) == pytest.approx(alpha, abs=0.08 + 0.03 * abs(alpha))


def test_alpha_one_and_zero_are_what_they_are_called() -> None:
    np.testing.assert_allclose(alpha_form(SHARE, 1e-4, 3e-4, 1.0), 1e-4 + 2e-4 * SHARE)
    np.testing.assert_allclose(alpha_form(SHARE, 1e-4, 3e-4, 0.0), 1e-4 * 3.0**SHARE)


def test_jumps_of_single_readings_do_not_bend_the_curve() -> None:
    rng = np.random.default_rng(5)
    g = 150e-6 + 100e-6 * saturating(SHARE, 3.0) + 0.5e-6 * rng.standard_normal(N + 1)
    g[rng.choice(N, 8, replace=False)] += 40e-6
    assert fit_train(PULSES, g).nonlinearity == pytest.approx(3.0, abs=0.2)


@pytest.mark.parametrize(
    ("g", "words"),
    [
        (np.full(N + 1, np.nan), "only 0 readings"),
        (150e-6 + 2e-6 * np.random.default_rng(0).standard_normal(N + 1), "no change beyond the noise"),
        (np.full(N + 1, 150e-6), "no change"),
        (np.where(PULSES > 0, 300e-6, 100e-6), "one step instead of a curve"),
        (np.where(PULSES > 50, 100e-6, -1e-6) + 1e-6 * SHARE, "not above 0 S"),
    ],
)
def test_a_train_that_cannot_be_fitted_says_why(g: np.ndarray, words: str) -> None:
    fit = fit_train(PULSES, g)
    assert words in "; ".join(fit.failures)
    assert np.isnan([fit.nonlinearity, fit.alpha]).any()


def test_bad_shapes_are_named() -> None:
    with pytest.raises(ValueError, match="must be equal"):
        fit_train([0, 1], [1e-4])
    with pytest.raises(ValueError, match="cells, cycles, 2, points"):
        pr.Trains(PULSES, np.zeros((2, 3, N + 1)))


@pytest.mark.parametrize(("up", "down"), [(2.5, 4.0), (5.0, 1.0), (3.0, 3.0)])
def test_the_symmetry_point_is_where_the_steps_are_equal(up: float, down: float) -> None:
    rng = np.random.default_rng(6)
    rising, falling = saturating(SHARE, up), 1.0 - saturating(SHARE, down)
    # d/dn of the exponential form is linear in G: ν/(1 − e^−ν) − ν·g up, the mirror image down.
    slope = [nu / -np.expm1(-nu) for nu in (up, down)]
    truth = (slope[0] - slope[1] + down) / (up + down)
    trains = [100e-6 * (1 + train + 0.002 * rng.standard_normal((8, N + 1))) for train in (rising, falling)]
    assert symmetry_point(*trains) == pytest.approx(truth, abs=0.05)
    trains[0][:, 3] = trains[1][0, 7] = np.nan  # a reading that no cycle has, and one that a cycle lacks
    assert symmetry_point(*trains) == pytest.approx(truth, abs=0.05)
    assert np.isnan(symmetry_point(trains[0], np.full_like(trains[1], np.nan)))


def test_there_is_no_symmetry_point_where_up_always_wins() -> None:
    rising, falling = saturating(SHARE, 0.5), 1.0 - 0.2 * SHARE
    assert np.isnan(symmetry_point(1e-4 * (1 + rising)[None], 1e-4 * (1 + falling)[None]))
    assert np.isnan(symmetry_point(np.full((2, 5), 1e-4), np.full((2, 5), 1e-4)))


class SoftBounds(FakeArray):
    """G moves towards a bound by a fixed share of what is left, each cell by its own, with chance in every cycle."""

    def __init__(self, *, base: type[FakeArray] = FakeArray, seed: int = 0) -> None:
        super().__init__()
        if base is GatelessArray:
            self.spec = GatelessArray().spec
        rng = np.random.default_rng(seed)
        self.low = 100e-6 * np.exp(0.2 * rng.standard_normal(self.g.shape))
        self.share = 0.03 * np.exp(0.1 * rng.standard_normal(self.g.shape))
        self.g = 1.5 * self.low
        self.maps: list[PulseMap] = []

    def pulse(self, pulses: PulseMap) -> Delivered:
        self.maps.append(pulses)
        at, shape = pulses.block.slices, pulses.block.shape
        volts, count = (np.broadcast_to(np.asarray(a), shape) for a in (pulses.volts, pulses.count))
        bound = np.where(volts > 0, 2.0 * self.low[at], self.low[at])
        self.g[at] = bound + (self.g[at] - bound) * (1.0 - self.share[at]) ** count
        self.cost += Cost(1, 1, int(count.sum()), 0.0)
        return Delivered(pulses.block, volts, volts, volts, count, 1, int(count.sum()), 0.0)


@pytest.mark.parametrize("base", [FakeArray, GatelessArray])
@pytest.mark.parametrize("every", [1, 7])
def test_the_protocol_finds_what_the_cells_do(base: type[FakeArray], every: int) -> None:
    array = SoftBounds(base=base)
    plan = PulseResponsePlan(cells="0:4,0:4", pulses=100, cycles=3, read_every=every)
    result = pulse_response(array, plan)
    assert array.cost.pulses == 16 * 100 * 7
    assert {float(np.max(sent.gate)) for sent in array.maps} == ({0.0} if base is GatelessArray else {1.2, 5.0})
    m = result.metrics()
    nu = float(np.median(-100 * np.log1p(-array.share[:4, :4])))
    assert m["ltp_nonlinearity"] == pytest.approx(nu, rel=0.02)
    assert m["ltd_nonlinearity"] == pytest.approx(nu, rel=0.02)
    assert m["symmetry_point"] == pytest.approx(0.5, abs=0.03)
    assert m["potentiation_ratio"] == pytest.approx(1.0 / m["depression_ratio"], rel=0.01)
    assert 1.8 < m["potentiation_ratio"] < 2.0
    assert m["pulse_fit_failed_fraction"] == 0.0
    assert m["potentiation_ratio_ci95_low"] <= m["potentiation_ratio"] <= m["potentiation_ratio_ci95_high"]
    assert "up, ×0.5" in repr(result)


def test_the_dataset_has_cycle_pulse_row_and_column(tmp_path) -> None:
    from qcodes.dataset import connect, load_by_id

    run = Run(tmp_path / "out", quiet=True)
    result = pulse_response(SoftBounds(), PulseResponsePlan(cells="1:3,2:4", pulses=8, cycles=2, read_every=2), run)
    kept = load_by_id(1, connect(run.database)).to_pandas_dataframe().reset_index()
    mine = result.frame
    keys = ["cycle", "pulse", "row", "col"]
    assert set(kept["pulse"]) == set(mine["pulse"]) == set(range(0, 17, 2))
    merged = kept.merge(mine, on=keys)
    assert len(merged) == len(kept) == len(mine) == 2 * 9 * 4
    np.testing.assert_allclose(merged["conductance"], merged["conductance_S"])
    assert set(merged.query("pulse == 0")["volts"]) == {0.0}
    assert set(merged.query("pulse == 10")["volts"]) == {-1.6}


def test_known_bad_cells_are_left_alone_and_failures_are_shown() -> None:
    array = SoftBounds()
    array.spec = replace(array.spec, bad_cells=((0, 0),))
    array.share[0, 1] = 0.0  # dead
    result = pulse_response(array, PulseResponsePlan(cells="0:2,0:2", pulses=20, cycles=2))
    assert result.cells == [(0, 1), (1, 0), (1, 1)]
    assert result.table["ltp_failures"].tolist() == ["no change beyond the noise of a reading", "", ""]
    assert result.metrics()["pulse_fit_failed_fraction"] == pytest.approx(2 / 6)
    section = result.section()
    assert "could not be fitted: 2 of 6" in section.text
    assert "0.0% of the swing in potentiation" in section.text
    assert all(png_bytes(figure, 40) for _, figure in section.figures)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 1), (0, 2)])
def test_figures_draw_whatever_was_measured(shape: tuple[int, int], warned: Callable[[], list[str]]) -> None:
    trains = pr.Trains(PULSES, np.tile(1e-4 * (1 + np.stack([SHARE, SHARE[::-1]])), (*shape, 1, 1)))
    assert png_bytes(pr.pulse_response_figure(trains), 40)
    assert png_bytes(pr.step_figure(trains), 40)
    assert warned() == []


def test_few_steps_are_drawn_one_by_one(warned: Callable[[], list[str]]) -> None:
    trains = pr.Trains(np.arange(4), 1e-4 * np.array([[[[1.0, 1.5, 1.8, 2.0], [2.0, 1.5, 1.2, 1.0]]]]))
    figure = pr.step_figure(trains, symmetry=[0.55])
    (ax,) = figure.axes
    drawn = {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in ax.lines}
    np.testing.assert_allclose(drawn["up, potentiation (each step)"], [50.0, 30.0, 20.0])
    np.testing.assert_allclose(sorted(drawn["down, depression (each step)"]), [20.0, 30.0, 50.0])
    assert "symmetry point 0.55" in drawn
    assert warned() == []


def test_the_symmetry_point_of_cells_is_told_from_where_their_medians_cross() -> None:
    # Three cells whose steps fall with G going up and rise going down; the third has three times the down-steps.
    share = np.linspace(0.0, 1.0, 41)
    up, down = 1.0 - np.exp(-3.0 * share), np.exp(-3.0 * share)
    cells = np.stack([np.stack([up, down])] * 20)[:, None] * 1e-4
    trains = pr.Trains(np.arange(41), cells)
    own = np.linspace(0.3, 0.6, 20)
    own[7] = np.nan
    figure = pr.step_figure(trains, symmetry=own)
    (ax,) = figure.axes
    labels = [str(line.get_label()) for line in ax.lines]
    assert f"symmetry points of 19 of 20 cells: median {np.nanmedian(own):.2f}" in labels
    crossing = next(line for line in ax.lines if str(line.get_label()).startswith("the medians cross at"))
    at = float(np.asarray(crossing.get_xdata())[0])
    assert at == pytest.approx(0.5, abs=0.02)  # up- and down-steps of these trains are mirror images
    curves = [line for line in ax.lines if "middle 50 %" in str(line.get_label())]
    heights = [np.interp(at, line.get_xdata(), np.log(np.asarray(line.get_ydata(), dtype=float))) for line in curves]
    assert heights[0] == pytest.approx(heights[1], abs=0.05)
    assert ax.get_legend() is None
    assert len(figure.legends) == 1


def test_steps_over_decades_have_a_logarithmic_axis() -> None:
    share = np.linspace(0.0, 1.0, 41)
    for steep, scale in ((0.5, "linear"), (8.0, "log")):
        up, down = 1.0 - np.exp(-steep * share), np.exp(-steep * share)
        trains = pr.Trains(np.arange(41), np.stack([np.stack([up, down])] * 20)[:, None] * 1e-4)
        assert pr.step_figure(trains).axes[0].get_yscale() == scale


def test_a_fit_that_failed_is_said_in_the_plot() -> None:
    flat = np.full((2, 2, 2, PULSES.size), 1e-4) * (1 + 1e-3 * np.random.default_rng(0).normal(size=PULSES.size))
    trains = pr.Trains(PULSES, flat)
    table = pr.train_table(trains)
    (legend,) = pr.pulse_response_figure(trains, table=table).legends
    said = [text.get_text() for text in legend.get_texts()]
    assert "potentiation not fitted: no change beyond the noise of a reading" in said
    assert "depression not fitted: no change beyond the noise of a reading" in said
    assert f"of the cells' own 4 trains {pr.failed_fits(table)} could not be fitted in full" in said
    assert pr.failed_fits(table) == 4


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"read_every": 40}, "choose at most 25"),
        ({"set_volts": -1.0}, "greater than 0"),
        ({"pulse": 5}, "did you mean 'pulses'"),
    ],
)
def test_a_bad_plan_is_refused(wrong: dict, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        PulseResponsePlan(**wrong)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"pulses": 10**6, "read_every": 10}, "count_max"),
        ({"set_volts": 6.0}, "set_volts_max"),
        ({"width": 1.0}, "width_max"),
        ({"scheme": "V/2"}, "bias scheme"),
        ({"average": 5000}, "average"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = SoftBounds()
    with pytest.raises(RefusedError, match=words):
        pulse_response(array, PulseResponsePlan(**wrong))
    assert array.cost == Cost()
