"""Exports of a chip: what is written is what was measured, in the form the other program reads."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Callable, Mapping
from io import StringIO
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import xarray
from pandas import DataFrame

from xbarlab.analysis.estimates.drift import drift_exponent
from xbarlab.analysis.exports.aihwkit_numbers import NODES, aihwkit_numbers
from xbarlab.analysis.exports.aihwkit_preset import MODULE, NUMBERS, PRESET, preset_numbers
from xbarlab.analysis.exports.chip_dataset import chip_dataset
from xbarlab.analysis.exports.crosssim_table import DECREASING, INCREASING, lookup_table
from xbarlab.analysis.exports.measured_steps import Sources, trains_of
from xbarlab.analysis.measurements.pulse_response import Trains
from xbarlab.analysis.measurements.pulse_steps import step_table
from xbarlab.analysis.report.run_tables import RunTables, StepTable
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.keeping.storage import json_text
from xbarlab.protocols.measure.pulse_response import PulseResponsePlan, PulseResponseResult

US = 1e-6
COST = {"transactions": 3.0, "slots": 4.0, "pulses": 5.0, "chip_seconds": 0.5, "seconds": 1.0}
ABOUT = {"Chip": "W1-C2", "Date": "2026-11-30 10:00 +0000", "Host seed": "3", "Instrument board": "a, b, c, d"}
LOW, HIGH = 10.0 * US, 110.0 * US
UP, DOWN = 0.06, 0.04  # part of the rest of the range that a pulse goes


def softly(cells: int = 6, cycles: int = 5, pulses: int = 60, noise: float = 0.0, every: int = 1) -> Trains:
    """Return trains whose pulses go a fixed part of what is left of the range, with 20 % spread of each pulse."""
    chance = np.random.default_rng(1)
    counts = np.arange(0, pulses + 1, every)
    g = np.empty((cells, cycles, 2, counts.size))
    now = np.full(cells, LOW + 5.0 * US)
    for cycle in range(cycles):
        for phase in range(2):
            trace = [now]
            for _ in range(pulses):
                part = (UP * (HIGH - now) if phase == 0 else DOWN * (LOW - now)) * chance.normal(1.0, 0.2, cells)
                now = now + part
                trace.append(now)
            g[:, cycle, phase] = np.array(trace)[::every].T
    return Trains(counts, g + noise * chance.standard_normal(g.shape))


def frame_of(trains: Trains) -> DataFrame:
    plan = PulseResponsePlan(pulses=int(trains.pulses[-1]), cycles=trains.conductance.shape[1])
    cells = [(2, col) for col in range(trains.conductance.shape[0])]
    return PulseResponseResult(cells=cells, trains=trains, plan=plan).frame


def programmed(sigma: Callable[[np.ndarray], np.ndarray], cells: int = 4000) -> DataFrame:
    chance = np.random.default_rng(2)
    target = chance.choice(np.linspace(20.0, 160.0, 8), cells) * US
    later = target + sigma(target / (160.0 * US)) * US * chance.standard_normal(cells)
    row, col = np.divmod(np.arange(cells), 64)
    verdict = np.where(np.arange(cells) % 100 == 7, "not attempted", "accepted")
    return DataFrame(
        {
            "row": row, "col": col, "healthy": np.arange(cells) % 50 != 3, "target_S": target, "end_S": later,
            "later_S": np.where(verdict == "accepted", later, 1.0), "verdict": verdict,
        }
    )  # fmt: skip


def resting(nu: np.ndarray, reads: int = 9) -> DataFrame:
    cell, read = np.indices((nu.size, reads)).reshape(2, -1)
    seconds = np.geomspace(2.0, 2e4, reads)[read]
    g = 50.0 * US * (seconds / 2.0) ** -nu[cell]
    level = np.where(cell == 0, -1, 0)  # the first cell stands for none
    return DataFrame(
        {"row": cell // 8, "col": cell % 8, "level": level, "read": read, "seconds_s": seconds, "conductance_S": g}
    )


def step(
    kind: str, frame: DataFrame | None, *, name: str = "", metrics: Mapping[str, float] | None = None, **plan: Any
) -> StepTable:
    return StepTable(
        id=name or kind[:4], step=kind, plan=plan, metrics=metrics or {}, cost=COST, make_frame=lambda: frame
    )


def run_of(*steps: StepTable, **summary: float) -> RunTables:
    return RunTables(title="A chip", steps=steps, summary=summary)


NOISE = step("read_noise", DataFrame({"row": [0], "col": [0], "time_s": [0.0], "current_A": [1e-6]}),
             metrics={"read_noise_rel": 0.02}, seconds=10.0, rate=1000.0)  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> RunTables:
    chance = np.random.default_rng(4)
    yields = DataFrame(
        {
            "row": [0, 0, 1, 1], "col": [0, 1, 0, 2], "before_S": [1e-6, 2e-6, 3e-6, 4e-6],
            "category": ["switching", "stuck HRS", "switching", "short"],
        }
    )  # fmt: skip
    return run_of(
        step("yield_map", yields, name="yield"),
        step("pulse_response", frame_of(softly()), name="pulses"),
        step("read_verify", programmed(lambda x: 2.0 + 3.0 * x), name="program"),
        step("retention", resting(chance.normal(-0.01, 0.02, 64)), name="hold", first=1.0),
        NOISE,
        step("ispp", None, name="base.1"),
        yield_fraction=0.5, yield_fraction_ci95_low=0.1, yield_fraction_ci95_high=0.9, pulses=12.0, iterations=3.0,
    )  # fmt: skip


# -- the trains --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("every", [1, 5])
def test_a_kept_table_gives_the_trains_it_was_made_of(every: int) -> None:
    trains = softly(every=every)
    back = trains_of(frame_of(trains).sample(frac=1.0, random_state=0))
    np.testing.assert_array_equal(back.pulses, trains.pulses)
    np.testing.assert_array_equal(back.conductance, trains.conductance)


def test_trains_with_a_hole_are_refused() -> None:
    with pytest.raises(ValueError, match="not all read after the same pulses"):
        trains_of(frame_of(softly()).iloc[1:])


def test_of_several_steps_the_last_with_a_table_is_taken_and_it_is_said() -> None:
    frame = DataFrame({"row": [0]})
    sources = Sources(run_of(step("ispp", None, name="a"), step("ispp", frame, name="b"), step("ispp", None, name="c")))
    found = sources.take("ispp", "x")
    assert found is not None
    assert found[0].id == "b"
    assert sources.left_out == ["of 3 steps ispp the last one with a table is used: b"]


# -- netCDF ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chip(whole: RunTables, tmp_path_factory: pytest.TempPathFactory) -> xarray.Dataset:
    data, left_out = chip_dataset(whole, ABOUT, shape=(80, 64))
    assert left_out == ["step 'base.1' (ispp) kept no table: only its numbers are written"]
    path = tmp_path_factory.mktemp("chip") / "chip.nc"
    data.to_netcdf(path, engine="h5netcdf")
    return xarray.load_dataset(path, engine="h5netcdf", mask_and_scale=False)


def test_the_file_keeps_what_cf_asks_of_it(chip: xarray.Dataset) -> None:
    assert chip.attrs["Conventions"] == "CF-1.11"
    for name, one in chip.variables.items():
        assert re.fullmatch(r"[A-Za-z]\w*", str(name)), name
        assert one.attrs["long_name"], name
        if one.dtype.kind in "if" and "flag_values" not in one.attrs:
            assert one.attrs["units"] in {"S", "V", "A", "s", "1", "ohm"}, name
        if "flag_values" in one.attrs:
            words = one.attrs["flag_meanings"].split()
            assert len(words) == len(np.atleast_1d(one.attrs["flag_values"])) == len(set(words)), name
            assert one.attrs["flag_values"].dtype == one.dtype
            assert set(np.unique(one.values)) <= {*np.atleast_1d(one.attrs["flag_values"]), one.attrs["_FillValue"]}
        for attribute in ("ancillary_variables", "coordinates"):
            for other in one.attrs.get(attribute, "").split():
                assert other in chip.variables, (name, other)
                assert set(chip[other].dims) <= set(one.dims), (name, other)


def test_maps_stand_on_the_rows_and_columns_of_the_chip(chip: xarray.Dataset) -> None:
    assert (chip.sizes["row"], chip.sizes["col"]) == (80, 64)
    assert chip["yield_before"].dims == ("row", "col")
    assert chip["yield_before"].values[1, 2] == 4e-6
    assert np.isfinite(chip["yield_before"].values).sum() == 4
    words = chip["yield_category"].attrs["flag_meanings"].split()
    classes = chip["yield_category"].values
    assert [words[classes[at]] for at in ((0, 0), (0, 1), (1, 0), (1, 2))] == [
        "switching", "stuck_HRS", "switching", "short",
    ]  # fmt: skip
    assert classes[5, 5] == chip["yield_category"].attrs["_FillValue"]


def test_reads_of_a_cell_stand_on_their_times(chip: xarray.Dataset, whole: RunTables) -> None:
    held = chip["hold_conductance"]
    assert held.dims == ("hold_cell", "hold_read")
    assert "hold_seconds" in chip.coords
    assert chip["hold_seconds"].attrs["units"] == "s"
    frame = whole.steps[3].frame
    assert frame is not None
    line = frame.iloc[321]
    cell = np.flatnonzero((chip["hold_row"] == line["row"]) & (chip["hold_col"] == line["col"]))[0]
    assert held.values[cell, int(line["read"])] == line["conductance_S"]


def test_steps_levels_numbers_and_provenance_are_in_the_file(chip: xarray.Dataset, whole: RunTables) -> None:
    table = step_table(softly())
    np.testing.assert_allclose(chip["pulses_step_mean"].values, table["step_mean_S"])
    np.testing.assert_array_equal(chip["pulses_step_direction"].values, table["direction"])
    assert chip.sizes["program_level"] == 8
    x = chip["program_level"].values / (160.0 * US)
    low, high = (chip[f"program_level_std_ci95_{end}"].values for end in ("low", "high"))
    inside = (low <= (2.0 + 3.0 * x) * US) & ((2.0 + 3.0 * x) * US <= high)
    assert inside.sum() >= 7
    assert float(chip["summary_yield_fraction"]) == 0.5
    assert float(chip["summary_yield_fraction_ci95_high"]) == 0.9
    assert chip["summary_yield_fraction"].attrs["xbarlab_key"] == "yield_fraction"
    assert "ancillary_variables" not in chip["summary_iterations"].attrs
    assert chip["step"].values.tolist() == [step.id for step in whole.steps]
    assert chip.attrs["xbarlab_chip"] == "W1-C2"
    assert chip.attrs["xbarlab_host_seed"] == "3"
    assert "Instrument board: a, b, c, d" in chip.attrs["source"]
    assert "base.1" in chip.attrs["xbarlab_left_out"]


def test_a_table_that_nothing_tells_apart_is_written_line_by_line() -> None:
    frame = DataFrame({"row": [0, 0, 0, 1], "col": [0, 0, 0, 1], "current_A": [1.0, 2.0, 3.0, 4.0]})
    data, _ = chip_dataset(run_of(step("own", frame), step("flat", DataFrame({"x": [5.0, 6.0]}))), {})
    assert data["own_current"].values[0].tolist() == [1.0, 2.0, 3.0]
    assert data["own_current"].values[1, 0] == 4.0
    assert data["flat_x"].values.tolist() == [5.0, 6.0]
    assert (data.sizes["row"], data.sizes["col"]) == (2, 2)


# -- aihwkit -----------------------------------------------------------------------------------------------------------


def test_the_device_has_the_steps_bounds_and_spreads_of_the_trains(whole: RunTables) -> None:
    found = aihwkit_numbers(whole)
    assert found.device is not None
    assert found.conductance is not None
    low, high = found.conductance
    nodes = np.linspace(low, high, NODES)
    per_siemens = 2.0 / (high - low)
    for name, wanted in (("piecewise_up", UP * (HIGH - nodes)), ("piecewise_down", DOWN * (nodes - LOW))):
        steps = np.array(found.device[name]) * found.device["dw_min"] / per_siemens
        inner = slice(2, -2)  # the ends of the range are beyond the middles of the outer bins
        np.testing.assert_allclose(steps[inner], wanted[inner], rtol=0.12, atol=0.05 * US)
    assert (found.device["w_min"], found.device["w_max"]) == (-1.0, 1.0)
    assert found.device["dw_min_std"] == pytest.approx(0.2, rel=0.25)
    assert 0.0 <= found.device["dw_min_dtod"] < 0.1


def test_the_noise_model_has_the_spread_drift_and_noise_that_were_measured(whole: RunTables) -> None:
    noise = aihwkit_numbers(whole).noise
    assert noise is not None
    assert (noise["g_max"], noise["g_min"]) == pytest.approx((160.0, 20.0))
    x = np.linspace(0.2, 1.0, 9)
    np.testing.assert_allclose(np.polynomial.Polynomial(noise["prog_coeff"])(x), 2.0 + 3.0 * x, rtol=0.1)
    hold = whole.steps[3].frame
    assert hold is not None
    nu = [
        drift_exponent(cell["seconds_s"], cell["conductance_S"]).value
        for _, cell in hold[hold["level"] >= 0].groupby(["row", "col"])
    ]
    assert noise["drift_nu_mean"] == pytest.approx(np.mean(nu))
    assert noise["drift_nu_mean"] < 0.0
    assert noise["drift_nu_std"] == pytest.approx(np.std(nu, ddof=1))
    assert noise["t_0"] == pytest.approx(2.0)
    t, t_read = 10.0, noise["t_read"]
    at_length = noise["read_noise_scale"] / noise["g_max"] * math.sqrt(math.log((t + t_read) / (2.0 * t_read)))
    assert at_length == pytest.approx(0.02)


def test_what_a_run_lacks_is_left_out_and_the_step_is_named() -> None:
    found = aihwkit_numbers(run_of(step("read_verify", programmed(lambda x: 1.0 + x))))
    assert found.device is None
    assert found.noise is not None
    assert found.noise["drift_nu_std"] == found.noise["read_noise_scale"] == 0.0
    said = " ".join(found.left_out)
    for kind in ("pulse_response", "retention", "read_noise"):
        assert f"a step {kind} would give it, and this run has none" in said


def test_pulses_that_do_nothing_make_no_device() -> None:
    still = Trains(np.arange(11), np.full((2, 3, 2, 11), 1e-5))
    found = aihwkit_numbers(run_of(step("pulse_response", frame_of(still), name="pulses")))
    assert found.device is None
    assert "step 'pulses': its pulses changed nothing" in found.left_out[0]


def test_a_polynomial_that_would_be_negative_is_not_taken() -> None:
    noise = aihwkit_numbers(run_of(step("read_verify", programmed(lambda x: np.where(x > 0.9, 12.0, 0.05))))).noise
    assert noise is not None
    shown = np.polynomial.Polynomial(noise["prog_coeff"])(np.linspace(noise["g_min"] / noise["g_max"], 1.0, 50))
    assert (shown > 0.0).all()


@pytest.fixture(scope="module")
def preset(whole: RunTables, tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Return the module as aihwkit runs it; skipped where there is no aihwkit that works with its torch."""
    pytest.importorskip("aihwkit", exc_type=ImportError)
    from aihwkit.simulator.configs import SingleRPUConfig
    from aihwkit.simulator.tiles import AnalogTile

    try:
        AnalogTile(1, 1, SingleRPUConfig())
    except RuntimeError as error:  # its wheel was built for another torch
        pytest.skip(f"this aihwkit does not work with this torch: {error}")
    folder = tmp_path_factory.mktemp("preset")
    (folder / MODULE).write_text(PRESET, encoding="utf-8")
    (folder / NUMBERS).write_text(json_text(preset_numbers(aihwkit_numbers(whole), ABOUT)), encoding="utf-8")
    spec = importlib.util.spec_from_file_location("preset_of_a_test", folder / MODULE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_device_in_aihwkit_moves_as_the_chip_did(preset: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    from aihwkit.simulator.tiles import AnalogTile

    config, numbers = preset.rpu_config(), preset.NUMBERS["device"]
    device = config.device
    for name in ("dw_min_std", "dw_min_dtod", "w_min_dtod", "w_max_dtod"):
        setattr(device, name, 0.0)
    config.update.desired_bl, config.update.update_bl_management, config.update.update_management = 1, False, False
    tile = AnalogTile(1, 1, config)
    tile.set_learning_rate(device.dw_min)  # one pulse an update
    at = np.linspace(-1.0, 1.0, NODES)
    for start in (-0.6, 0.0, 0.45):
        for sign, name in ((-1.0, "piecewise_up"), (1.0, "piecewise_down")):
            tile.tile.set_weights(torch.tensor([[start]]))
            before = float(tile.tile.get_weights())
            tile.update(torch.ones(1, 1), sign * torch.ones(1, 1))
            wanted = -sign * numbers["dw_min"] * np.interp(start, at, numbers[name])
            assert float(tile.tile.get_weights()) - before == pytest.approx(wanted, rel=0.02, abs=1e-5)


def test_the_noise_in_aihwkit_is_the_measured_one(preset: ModuleType) -> None:
    torch = pytest.importorskip("torch")
    from aihwkit.nn import AnalogLinear

    torch.manual_seed(0)
    model, numbers = preset.noise_model(), preset.NUMBERS["noise"]
    g = torch.full((20_000,), 80.0)
    wanted = float(np.polynomial.Polynomial(numbers["prog_coeff"])(0.5))
    assert float(model.apply_programming_noise_to_conductance(g).std()) == pytest.approx(wanted, rel=0.05)
    nu = model.generate_drift_coefficients(g)
    assert float(nu.mean()) == pytest.approx(numbers["drift_nu_mean"], abs=0.001)
    assert float(nu.std()) == pytest.approx(numbers["drift_nu_std"], rel=0.05)
    layer = AnalogLinear(8, 4, bias=False, rpu_config=preset.inference_config()).eval()
    layer.drift_analog_weights(86400.0)
    assert torch.isfinite(layer(torch.ones(1, 8))).all()


def test_the_numbers_of_a_preset_are_plain_json(whole: RunTables) -> None:
    told = json.loads(json_text(preset_numbers(aihwkit_numbers(whole), ABOUT)))
    assert told["of"]["Chip"] == "W1-C2"
    assert set(told["device"]) >= {"piecewise_up", "piecewise_down", "dw_min", "w_min", "w_max"}
    compile(PRESET, MODULE, "exec")


# -- CrossSim ----------------------------------------------------------------------------------------------------------


def read_as_crosssim_does(text: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    g = np.genfromtxt(StringIO(text), delimiter=",", skip_header=1, max_rows=1)
    p = np.genfromtxt(StringIO(text), delimiter=",", skip_header=2, max_rows=1)
    return g, p, np.genfromtxt(StringIO(text), delimiter=",", skip_header=3)


@pytest.mark.parametrize("every", [1, 4])
def test_a_lookup_table_reads_as_crosssim_reads_it(every: int) -> None:
    table = lookup_table(softly(every=every))
    found = {name: read_as_crosssim_does(table.text(name)) for name in (INCREASING, DECREASING)}
    (g, p, up), (g2, p2, down) = found[INCREASING], found[DECREASING]
    np.testing.assert_array_equal(g, g2)
    np.testing.assert_array_equal(p, p2)
    assert up.shape == down.shape == (p.size, g.size)
    for grid in (g, p):  # within what CrossSim takes for even
        steps = np.diff(grid)
        assert np.ptp(steps) < steps.max() / 1e4
    assert (p[0], p[-1]) == (0.0, 1.0)
    assert (np.diff(up, axis=0) >= -1e-15).all()
    weight = np.diff(p)
    mean_up, mean_down = ((weight[:, None] * (m[1:] + m[:-1]) / 2.0).sum(axis=0) for m in (up, down))
    inner = slice(20, -20)
    np.testing.assert_allclose(mean_up[inner], (UP * (HIGH - g))[inner], rtol=0.15, atol=0.1 * US)
    np.testing.assert_allclose(mean_down[inner], (-DOWN * (g - LOW))[inner], rtol=0.15, atol=0.1 * US)
    assert any("every 4 pulses" in note for note in table.notes) == (every == 4)


def test_the_noise_of_reading_is_not_in_the_spread_of_a_pulse() -> None:
    quiet, noisy = (
        float(np.median(table.change[INCREASING][75] - table.change[INCREASING][25]))
        for table in (lookup_table(softly(cells=12, cycles=8, noise=noise)) for noise in (0.0, 1.0 * US))
    )
    raw = math.hypot(quiet, 1.349 * math.sqrt(2.0) * US)  # quartiles of a change as read, two readings in it
    assert abs(noisy - quiet) < 0.4 * (raw - quiet)


def test_trains_that_give_no_table_are_refused_in_a_sentence() -> None:
    with pytest.raises(RefusedError, match="a lookup table takes 3 at least"):
        lookup_table(Trains(np.arange(5), np.tile(np.linspace(1e-5, 1.1e-5, 5), (1, 2, 2, 1))[..., :1] + np.zeros(5)))
    turned = softly()
    backwards = Trains(turned.pulses, turned.conductance[:, :, ::-1])
    with pytest.raises(RefusedError, match="against their direction"):
        lookup_table(backwards)
