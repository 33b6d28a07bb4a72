"""What a person must be able to see in a figure: kinds of mistakes that figures once had."""

from collections.abc import Callable

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from xbarlab.analysis.measurements import array_maps, forming_stats
from xbarlab.analysis.networks import training
from xbarlab.analysis.plots import iv_family as iv
from xbarlab.analysis.plots.colour_scale import BEYOND_COLOUR, ColourScale
from xbarlab.analysis.plots.plots import PALETTE, png_bytes
from xbarlab.analysis.plots.so_far import so_far
from xbarlab.analysis.programming import levels
from xbarlab.analysis.report import wear

US = 1e-6
RNG = np.random.default_rng(3)
VIRGIN = np.exp(RNG.normal(np.log(0.45), 0.2, (8, 8))) * US


def legend_of(figure: Figure) -> list[str]:
    found = [*figure.legends, *(ax.get_legend() for ax in figure.axes)]
    return [text.get_text() for legend in found if legend is not None for text in legend.get_texts()]


def texts_of(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def image_of(figure: Figure) -> AxesImage:
    return figure.axes[0].images[0]


# Maps


@pytest.mark.parametrize("shorts", [1, 2])
def test_a_short_does_not_make_a_virgin_map_one_flat_colour(shorts: int) -> None:
    g = VIRGIN.copy()
    g.flat[[36, 50][:shorts]] = 5e-3
    figure = array_maps.conductance_map(g)
    image = image_of(figure)
    shades = image.norm(np.asarray(g / 1e-9).ravel())  # the scale is that of the others: nS
    others = np.delete(np.asarray(shades, dtype=float), [36, 50][:shorts])
    assert np.ptp(others) > 0.5
    assert to_rgba(image.cmap(image.norm(5e6))) == to_rgba(BEYOND_COLOUR)
    cells = "1 cell" if shorts == 1 else "2 cells"
    assert f"orange: {cells} above the scale, up to 5.00 mS" in "".join(texts_of(figure.axes[0]))
    assert figure.axes[1].get_ylabel() == "Conductance (nS)"


def test_two_kinds_of_cells_are_both_on_the_scale() -> None:
    g = np.where(RNG.random((16, 16)) < 0.3, 200.0, 8.0) * RNG.uniform(0.9, 1.1, (16, 16)) * US
    scale = ColourScale.of(g)
    assert (scale.above, scale.top) == (0, g.max())


def test_conductances_over_decades_have_a_logarithmic_scale_with_plain_numbers() -> None:
    g = np.exp(RNG.normal(np.log(0.06), 0.8, (64, 64))) * US
    figure = array_maps.conductance_map(g)
    scale = ColourScale.of(g)
    assert scale.logarithmic
    figure.canvas.draw()
    ticks = [tick.get_text() for tick in figure.axes[1].get_yticklabels()]
    assert ticks
    assert not any("$" in tick for tick in ticks)


def test_what_is_below_a_logarithmic_scale_is_no_missing_cell() -> None:
    g = np.exp(RNG.normal(np.log(0.06), 0.8, (64, 64))) * US
    g[3, 4], g[5, 6] = -1e-9, np.nan
    shown = np.ma.masked_invalid(image_of(array_maps.conductance_map(g)).get_array())
    assert np.ma.getmaskarray(shown).sum() == 1


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 7), (8, 8), (128, 64)])
def test_ticks_of_a_map_are_cells(shape: tuple[int, int]) -> None:
    ax = array_maps.conductance_map(np.ones(shape) * US, origin=(4, 9)).axes[0]
    for axis, first, count in ((ax.xaxis, 9, shape[1]), (ax.yaxis, 4, shape[0])):
        inside = [at for at in axis.get_ticklocs() if first - 0.5 <= at <= first + count - 0.5]
        assert inside
        assert all(float(at).is_integer() for at in inside)


def test_few_cells_have_their_values_written_into_them() -> None:
    figure = array_maps.conductance_map(np.array([[241.0, np.nan], [97.6, 5.0]]) * US)
    assert texts_of(figure.axes[0])[:3] == ["241", "97.6", "5"]
    assert len(texts_of(array_maps.conductance_map(VIRGIN).axes[0])) == 0


def test_distance_travelled_is_not_flattened_by_one_cell() -> None:
    travelled = RNG.uniform(80.0, 120.0, (30, 20))
    travelled[4, 5] = 4000.0
    figure = array_maps.value_map(travelled, title="Distance travelled", label="Σ|ΔG| (µS)")
    assert image_of(figure).norm.vmax == np.sort(travelled.ravel())[-2]
    assert "up to 4,000" in "".join(texts_of(figure.axes[0]))


def test_the_wear_of_a_corner_is_drawn_as_the_corner() -> None:
    pulses = np.zeros((128, 64))
    pulses[10:18, 20:36] = 30.0
    figure = wear.pulses_map(pulses)
    assert np.shape(image_of(figure).get_array()) == (8, 16)
    assert figure.axes[0].get_ylim() == (17.5, 9.5)
    pulses[::2] = 1.0
    whole = wear.pulses_map(pulses)
    assert np.shape(image_of(whole).get_array()) == (128, 64)
    assert "grey" in "".join(texts_of(whole.axes[0]))
    pulses[:] = 0.0
    assert png_bytes(wear.pulses_map(pulses), 40)


@pytest.mark.parametrize("shape", [(18, 9), (60, 2), (2, 60), (3, 3), (1, 1)])
def test_notes_below_a_map_are_within_its_figure(shape: tuple[int, int]) -> None:
    pulses = np.zeros((128, 64))
    pulses[: shape[0], : shape[1]] = RNG.uniform(5.0, 9.0, shape)
    pulses[shape[0] // 2, shape[1] // 2] = 0.0 if shape != (1, 1) else 5.0
    figure = wear.pulses_map(pulses)
    assert png_bytes(figure, 80)
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert box.x0 >= 0.0
        assert box.x1 <= figure.bbox.width, text.get_text()


# Currents and voltages


def loops(cells: int, cycles: int, *, read_back: bool) -> tuple[np.ndarray, np.ndarray]:
    half = np.concatenate([np.linspace(0.0, 1.5, 31), np.linspace(1.45, 0.0, 30)])
    other = np.concatenate([np.linspace(0.0, -1.0, 21), np.linspace(-0.95, 0.0, 20)])
    volts = np.broadcast_to(np.concatenate([half, other]), (cells, cycles, 102)).copy()
    if read_back:
        volts += RNG.normal(0.0, 1e-3, volts.shape)
    return volts, 5e-4 * volts


@pytest.mark.parametrize("read_back", [False, True])
def test_the_median_loop_is_drawn_also_where_voltages_are_read_back(read_back: bool) -> None:
    volts, current = loops(3, 2, read_back=read_back)
    figure = iv.iv_family(volts, current)
    assert "median loop" in legend_of(figure)
    line = next(line for line in figure.axes[0].lines if line.get_label() == "median loop")
    np.testing.assert_allclose(line.get_xdata(), np.median(volts.reshape(6, -1), axis=0))
    assert "median loop" not in legend_of(iv.iv_family(volts[:1, :1], current[:1, :1]))


def test_the_axis_ends_where_the_sweep_does() -> None:
    volts, current = loops(2, 2, read_back=False)
    left, right = iv.iv_family(volts, current).axes[0].get_xlim()
    assert -1.15 < left < -1.0
    assert 1.5 < right < 1.65


def test_each_branch_has_its_own_limit() -> None:
    volts, current = loops(2, 2, read_back=False)
    figure = iv.iv_family(volts, current, compliance_amps=(1e-3, 2e-3))
    lines = {str(line.get_label()): line for line in figure.axes[0].lines}
    assert np.min(lines["compliance 1.00 mA"].get_xdata()) == 0.0
    assert np.max(lines["compliance 2.00 mA"].get_xdata()) == 0.0
    assert {"compliance 1.00 mA", "compliance 2.00 mA"} <= set(legend_of(figure))
    same = iv.iv_family(volts, current, compliance_amps=1e-3)
    assert [text for text in legend_of(same) if "compliance" in text] == ["compliance 1.00 mA"]


@pytest.mark.parametrize(
    ("acts_on", "why"), [("cell and mates", "the limit is of cell and mates"), ("", "above the limit")]
)
def test_a_current_above_its_limit_is_explained(acts_on: str, why: str) -> None:
    volts, current = loops(2, 2, read_back=False)
    figure = iv.iv_family(volts, current, compliance_amps=6.5e-4, limit_acts_on=acts_on)
    (said,) = [text for text in legend_of(figure) if "compliance" in text and "measured" in text]
    assert "compliance 650 µA" in said
    assert "750 µA measured" in said
    assert why in said


def test_next_to_zero_volts_no_spike_stretches_the_axis() -> None:
    volts, current = loops(2, 2, read_back=True)
    near = np.abs(volts) < 0.01
    current[near] = 1e-10
    assert iv.iv_family(volts, current).axes[0].get_ylim()[0] > 1e-6


def test_a_forming_ramp_explains_a_current_above_its_limit_and_counts_one_cell_as_one() -> None:
    ramp = (np.array([1.0, 1.5, 2.0]), np.array([1e-6, 1e-5, 1.1e-4]))
    figure = forming_stats.forming_traces([ramp], v_form=[2.0], compliance_amps=1e-4, limit_acts_on="cell and mates")
    said = legend_of(figure)
    assert "1 cell" in said
    assert "compliance 100 µA (up to 110 µA measured: the limit is of cell and mates)" in said


@pytest.mark.parametrize(("cells", "banded"), [(1, False), (7, False), (8, True), (64, True)])
def test_the_band_of_few_cells_does_not_fill_the_panel(cells: int, banded: bool) -> None:
    figure = forming_stats.forming_cdf(np.linspace(2.0, 3.0, cells))
    assert ("95 % band" in legend_of(figure)) is banded


def test_cells_formed_before_are_said_and_do_not_hold_the_curve_down() -> None:
    figure = forming_stats.forming_cdf([3.0, 3.1, np.nan, np.nan], n_attempted=2, n_before=2)
    assert "formed: 2 of 2 cells" in legend_of(figure)
    assert "formed before: 2, not shown" in legend_of(figure)
    alone = forming_stats.forming_cdf([np.nan], n_attempted=0, n_before=1)
    assert texts_of(alone.axes[0]) == ["no cell formed by a pulse; 1 were formed before"]


# Levels


def test_how_far_levels_are_from_their_targets_is_said() -> None:
    steps = np.linspace(20.0, 160.0, 8) * US
    target = np.repeat(steps, 50)
    got = target + np.repeat(np.linspace(-4.0, 3.0, 8), 50) * US
    overall, each = levels.level_offsets(target, got, steps)
    assert overall == pytest.approx(-0.5 * US)
    np.testing.assert_allclose(each, np.linspace(-4.0, 3.0, 8) * US)
    figure = levels.level_histogram(target, got, steps)
    assert texts_of(figure.axes[0]) == [
        "−4",
        "−3",
        "−2",
        "−1",
        "+0",
        "+1",
        "+2",
        "+3",
    ]
    assert any(text.startswith("mean − target, all cells: −0.5 µS") for text in legend_of(figure))


def test_few_cells_are_not_drawn_as_a_comb() -> None:
    steps = np.linspace(20.0, 160.0, 8) * US
    target = np.repeat(steps, 16)
    few = levels.level_histogram(target, target + RNG.normal(0.0, 3.0, target.size) * US, steps)
    target = np.repeat(steps, 1000)
    many = levels.level_histogram(target, target + RNG.normal(0.0, 3.0, target.size) * US, steps)

    def bin_width(figure: Figure) -> float:
        edges = figure.axes[0].patches[0].get_data().edges  # type: ignore[attr-defined]
        return float(np.diff(edges)[0])

    assert bin_width(few) > 1.4 * bin_width(many)


# Training

LOSS = np.linspace(2.0, 0.5, 60)
LINES = {"float twin": 0.93, "chance, the commonest class": 0.1135}


def curve(lines: dict[str, float]) -> Figure:
    return training.learning_curve(LOSS, [20, 40, 60], [0.6, 0.8, 0.9], name="test_accuracy", lines=lines)


def view(lines: dict[str, float]) -> Figure:
    return training.training_view(
        LOSS, [20, 40, 60], [0.6, 0.8, 0.9], np.full((8, 8), 1e-4), name="test_accuracy", lines=lines, steps=80
    )


@pytest.mark.parametrize("draw", [curve, view])
def test_accuracy_stands_between_twin_and_chance(draw: Callable[[dict[str, float]], Figure]) -> None:
    figure = draw(LINES)
    ax = figure.axes[1]
    levels_drawn = [float(np.asarray(line.get_ydata())[0]) for line in ax.lines[1:3]]
    assert levels_drawn == [pytest.approx(93.0), pytest.approx(11.35)]
    low, high = ax.get_ylim()
    assert low < min(levels_drawn) < max(levels_drawn) < high
    said = legend_of(figure)
    assert "on the array: 90 % at the end" in said
    assert "float twin: 93 %" in said
    assert "chance, the commonest class: 11.3 %" in said or "chance, the commonest class: 11.4 %" in said
    assert ax.get_ylabel() == "Test accuracy (%)"


def test_a_training_that_lasts_shows_how_much_is_left() -> None:
    figure = view({})
    assert all(ax.get_xlim()[1] >= 80 for ax in figure.axes[:2])
    assert figure.axes[2].get_title(loc="left") == "Conductance after update 60 of 80"


def test_rmse_has_its_unit_and_one_point_is_enough() -> None:
    ax = training.learning_curve([1.0], [1], [15.5], name="test_rmse", lines={"last month again": 48.0}).axes[1]
    assert ax.get_ylabel() == "Test RMSE (thousand)"
    assert ax.get_xlim()[0] == 0.0


def test_one_point_is_seen_and_two_floors_are_told_apart() -> None:
    floors = {"unigram floor": 2.9, "bigram floor": 2.3}
    figure = training.learning_curve([3.0], [1], [2.8], name="validation_loss", lines=floors, twin=([1], [2.7]))
    drawn = [line for ax in figure.axes for line in ax.lines]
    assert all(line.get_marker() in {"o", "s"} for line in drawn if np.size(line.get_xdata()) == 1)
    assert len([line for line in drawn if np.size(line.get_xdata()) == 1]) == 3
    first, second = drawn[-2:]
    assert first.get_linestyle() != second.get_linestyle()


def test_a_long_loss_has_a_median_over_its_noise() -> None:
    figure = training.learning_curve(np.abs(RNG.normal(1.0, 0.3, 1200)), [1200], [0.9], name="test_accuracy")
    assert "median of 49" in legend_of(figure)
    assert "median of 49" not in legend_of(curve({}))


def test_errors_over_the_twin_stand_in_the_order_given_with_their_medians_and_the_wanted_one() -> None:
    figure = training.over_twin_figure({"as published": [1.2, 3.3, 2.0], "adapted": [0.9, 1.05]}, wanted=1.1)
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["as published", "adapted"]
    assert ax.yaxis_inverted()
    lines = [np.asarray(line.get_xdata(), dtype=float).tolist() for line in ax.lines]
    assert lines[0] == [1.2, 3.3, 2.0]
    assert lines[1] == [2.0, 2.0]
    assert lines[3] == pytest.approx([0.975, 0.975])
    assert lines[4] == [1.1, 1.1]


def test_confusion_names_its_classes_and_can_be_read() -> None:
    counts = np.array([[5, 1, 30], [0, 9, 1], [2, 8, 10]])
    figure = training.confusion_map(counts, names=("012", "021", "102"), what="order of digits")
    ax = figure.axes[0]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["012", "021", "102"]
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("Taken for order of digits", "Order of digits")
    inks = {text.get_text(): text.get_color() for text in ax.texts}
    assert inks["30"] == "white"  # dark field, off the diagonal
    assert inks["5"] != "white"  # pale field, on the diagonal
    assert "36.36% of 66 on the diagonal" in ax.get_title(loc="left")


def test_forecasts_say_their_error_and_can_be_told_apart_where_they_coincide() -> None:
    months = np.arange(20.0)
    figure = training.forecast_figure(months, np.arange(1, 20), {"array": months[1:] + 2.0, "twin": months[1:] + 2.0},
                                      first_test=12)  # fmt: skip
    assert {"array: test RMSE 2.0 thousand", "twin: test RMSE 2.0 thousand"} <= set(legend_of(figure))
    styles = {line.get_linestyle() for line in figure.axes[0].lines[1:3]}
    assert len(styles) == 2


def test_a_floor_plan_says_what_pale_and_white_are() -> None:
    code = np.array([[0, 1, -1], [2, 3, -1]])
    said = legend_of(training.floor_plan_figure(code, ["lstm", "dense"]))
    assert said == ["lstm: 2 cells", "dense: 2 cells", "pale: count negative", "not used"]
    assert PALETTE[0] != PALETTE[1]


@pytest.mark.parametrize("lines", [LINES, {"chance, the commonest class": 0.1135}])
def test_chance_looks_the_same_with_and_without_a_twin_and_no_legend_lies_on_a_line(lines: dict[str, float]) -> None:
    figure = curve(lines)
    ax = figure.axes[1]
    (chance,) = [line for line in ax.lines if str(line.get_label()).startswith("chance")]
    assert chance.get_linestyle() == ":"
    legend = ax.get_legend()
    assert legend is not None
    png_bytes(figure, 50)  # lays it out
    assert legend.get_window_extent().y1 <= ax.get_window_extent().y0


@pytest.mark.parametrize("offset", [0.0, -1.0])
def test_a_map_of_a_step_that_lasts_is_not_flattened_by_one_cell_either(offset: float) -> None:
    g = VIRGIN.copy()
    g[4, 4] = 5e-3
    figure = so_far(title="virgin", label="Conductance", unit="S", medians=np.ones(3), latest=g + offset)
    image = figure.axes[1].images[0]
    shades = np.asarray(image.norm(np.delete(np.asarray(image.get_array()).ravel(), 36)), dtype=float)
    assert bool(np.ptp(shades) > 0.5) is (offset == 0.0)  # quantities of either sign keep their whole range
    assert png_bytes(figure, 40)
