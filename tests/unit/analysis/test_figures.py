from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

from xbarlab.analysis.measurements import array_maps, forming_stats
from xbarlab.analysis.measurements import yield_classes as yc
from xbarlab.analysis.plots import iv_family, plots
from xbarlab.analysis.programming import levels

US = 1e-6
RNG = np.random.default_rng(0)
TARGET = np.linspace(20, 160, 8)[RNG.integers(0, 8, (16, 8))] * US
GOT = TARGET + RNG.normal(0, 3e-6, TARGET.shape)
EMPTY = np.full((16, 8), np.nan)
LOOP = np.concatenate([np.linspace(0, 1, 20), np.linspace(1, 0, 20)])
LEVELS = np.linspace(20, 160, 8) * US


def figures(target: np.ndarray, got: np.ndarray) -> list[Figure]:
    return [
        array_maps.conductance_map(got),
        array_maps.category_map(np.full(got.shape, yc.SWITCHING)),
        array_maps.target_maps(target, got, spacing=20 * US),
        levels.level_histogram(target, got, LEVELS),
        levels.error_cdf({"end": got - target}, spacing=20 * US),
        levels.pulses_histogram(got * 1e5, ispp=got * 3e5),
        forming_stats.forming_cdf(got * 1e4),
        iv_family.iv_family(LOOP, got[:, :3, None] * LOOP, compliance_amps=1e-4),
        plots.cost_bars({"form": {"transactions": 3, "slots": 10, "chip_seconds": 0.0}}),
    ]


@pytest.mark.parametrize("got", [GOT, EMPTY, np.where(RNG.random(GOT.shape) < 0.3, np.nan, GOT)])
def test_every_figure_draws_whatever_was_measured(got: np.ndarray, warned: Callable[[], list[str]]) -> None:
    for figure in figures(TARGET, got):
        png = plots.png_bytes(figure, dpi=40)
        assert png.startswith(b"\x89PNG")
    assert warned() == []


def test_no_global_state_is_touched() -> None:
    before = dict(mpl.rcParams)
    figures(TARGET, GOT)
    assert dict(mpl.rcParams) == before


def test_map_shows_the_numbers_in_micro_siemens_with_row_zero_on_top() -> None:
    figure = array_maps.conductance_map(GOT)
    ax, bar = figure.axes
    np.testing.assert_allclose(ax.images[0].get_array(), GOT / US)
    assert (ax.get_xlabel(), ax.get_ylabel(), bar.get_ylabel()) == ("Column", "Row", "Conductance (µS)")
    assert ax.get_ylim() == (15.5, -0.5)


def test_class_legend_counts_cells() -> None:
    names = np.full((4, 4), yc.SWITCHING, dtype="<U12")
    names[0, 0], names[1, 2] = yc.OPEN, yc.OPEN
    legend = array_maps.category_map(names).axes[0].get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["switching: 14 (87.50%)", "open: 2 (12.50%)"]
    assert set(array_maps.CLASS_COLOURS) == set(yc.CATEGORIES)


def test_forming_curve_stops_at_the_fraction_that_formed() -> None:
    figure = forming_stats.forming_cdf([3.0, 3.1, 3.1, np.nan])
    curve = next(line for line in figure.axes[0].lines if "of 4 cells" in str(line.get_label()))
    assert np.max(curve.get_ydata()) == 75.0


def test_si_prefix() -> None:
    assert plots.si_prefix(2.4e-4) == (1e-6, "µ")
    assert plots.si_prefix(1e-3) == (1e-3, "m")
    assert plots.si_prefix(0.0) == (1.0, "")
    assert plots.si_prefix(4.2e4) == (1e3, "k")


def test_save_writes_150_dots_per_inch(tmp_path: Path) -> None:
    figure, _ = plots.new_figure(2.0, 1.0)
    data = plots.save(figure, tmp_path / "a.png").read_bytes()
    assert (int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")) == (300, 150)
