"""Habits of other programs: separators, encodings, units of time, dates, and voltages of the other sign."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray

from xbarlab import analyse
from xbarlab.analysis.own_data.finding import Finding
from xbarlab.common.errors import RefusedError


def _loop() -> pd.DataFrame:
    up = np.linspace(0.0, 1.5, 151)
    volts = np.concatenate([up, up[-2::-1], -up[1:], -up[-2::-1]])
    on = np.cumsum(volts >= 0.9) > 0
    on &= np.cumsum(volts <= -1.0) == 0
    return pd.DataFrame({"V (V)": volts, "I (µA)": volts * np.where(on, 500.0, 20.0)})


def _of(found: Finding | list[Finding]) -> Finding:
    assert isinstance(found, Finding)
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_text_is_read_in_the_encodings_of_spreadsheets(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "loop.csv"
    _loop().to_csv(path, index=False, encoding=encoding)
    assert _of(analyse.iv(path, volts="V", amps="I")).metrics()["v_set_mean"] == pytest.approx(0.9, abs=0.01)


def test_another_separator_is_named_with_the_option_that_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "loop.csv"
    _loop().to_csv(path, index=False, sep=";", decimal=",")
    with pytest.raises(RefusedError, match=r"between semicolons: say separator ';', and decimal ','"):
        analyse.iv(path, volts="V", amps="I")
    found = _of(analyse.iv(path, volts="V", amps="I", separator=";", decimal=","))
    assert found.metrics()["v_set_mean"] == pytest.approx(0.9, abs=0.01)


def test_loops_that_open_the_other_way_are_called_so() -> None:
    turned = -_loop()
    found = _of(analyse.iv(turned, volts="V", amps="I"))
    assert np.isnan(found.metrics()["v_set_mean"])
    assert any("open the other way, by a factor of 25" in remark for remark in found.remarks)
    assert not any("other way" in remark for remark in _of(analyse.iv(_loop(), volts="V", amps="I")).remarks)


def _last(found: Finding) -> float:
    return float(found.frame["time"].to_numpy(np.float64).max())


def _bake(column: str, times: object) -> pd.DataFrame:
    hours = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
    parts = [pd.DataFrame({column: times, "G (uS)": (50.0 + cell) * hours**-0.03, "cell": cell}) for cell in range(8)]
    return pd.concat(parts, ignore_index=True)


@pytest.mark.parametrize(
    ("column", "per_hour"), [("t (min)", 60.0), ("t [h]", 1.0), ("t (d)", 1 / 24), ("t (s)", 3600)]
)
def test_minutes_hours_and_days_are_units_of_time(column: str, per_hour: float) -> None:
    hours = np.array([0.1, 1.0, 10.0, 100.0, 1000.0])
    found = _of(analyse.retention(_bake(column, hours * per_hour), time="t", siemens="G", cell="cell"))
    assert _last(found) == pytest.approx(3.6e6)


def test_a_smallest_conductance_is_not_in_minutes() -> None:
    frame = _bake("t (h)", np.arange(1.0, 6.0)).rename(columns={"G (uS)": "G_min"})
    frame["G_min"] *= 1e-6
    assert _of(analyse.retention(frame, time="t", siemens="G_min", cell="cell")).metrics()


def test_seconds_since_1970_are_told_so() -> None:
    with pytest.raises(RefusedError, match="look like seconds since 1970: take the first reading's off"):
        analyse.retention(_bake("t (s)", 1.7643e9 + np.arange(1.0, 6.0)), time="t", siemens="G", cell="cell")


def test_words_in_a_column_of_numbers_are_told_with_the_unit_that_is_wanted() -> None:
    frame = _bake("t (h)", np.arange(1.0, 6.0)).assign(**{"G (uS)": "high"})
    with pytest.raises(RefusedError, match=r"'high', and no number in any line: wanted are numbers in S"):
        analyse.retention(frame, time="t", siemens="G", cell="cell")


def test_levels_may_have_names() -> None:
    rng = np.random.default_rng(1)
    cell, cycle, level = (grid.ravel() for grid in np.indices((6, 5, 4)))
    siemens = 1e-5 + 3e-5 * level + 1e-6 * rng.normal(size=level.size)
    frame = pd.DataFrame({"cell": cell, "cycle": cycle, "level": level, "conductance": siemens})
    named = frame.assign(level=np.array(["zero", "a", "high", "m"])[level])
    numbers, words = (
        _of(analyse.levels(one, siemens="conductance", cell="cell", level="level", cycle="cycle")).metrics()
        for one in (frame, named)
    )
    assert words == pytest.approx(numbers, nan_ok=True)
    assert words["levels"] == 4.0


@pytest.mark.parametrize("first", ["2026-03-01 08:00:00", "01.03.2026 08:00:00", "2026-03-01T08:00:00Z", "08:00:00"])
def test_a_date_is_no_time_and_told_so(first: str) -> None:
    with pytest.raises(RefusedError, match=r"is a date or a time of day: give seconds since the first reading"):
        analyse.retention(_bake("stamp", [first] * 5), time="stamp", siemens="G", cell="cell")


def test_lifetimes_are_found_and_dead_cells_are_no_spread() -> None:
    shapes, spreads = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        life = 2000.0 * rng.weibull(2.0, 40)
        cycles = np.unique(np.geomspace(1, 5000, 60).astype(int))
        on = 5e3 * np.exp(0.1 * rng.standard_normal((40, cycles.size)))
        off = 2e5 * np.exp(0.3 * rng.standard_normal((40, cycles.size)))
        off = np.where(cycles > life[:, None], on * 1.1, off)
        lines = {"cell": np.repeat(np.arange(40), cycles.size), "cycle": np.tile(cycles, 40)}
        frame = pd.DataFrame({**lines, "hrs": off.ravel(), "lrs": on.ravel()})
        found = _of(analyse.endurance(frame, cell="cell", cycle="cycle", hrs="hrs:ohm", lrs="lrs:ohm")).metrics()
        shapes.append(found["endurance_weibull_shape_ci95_low"] <= 2.0 <= found["endurance_weibull_shape_ci95_high"])
        spreads.append(found["off_c2c_std_ci95_low"] <= 0.3 <= found["off_c2c_std_ci95_high"])
    assert sum(shapes) >= 8
    assert sum(spreads) >= 8


@pytest.mark.parametrize("ending", [".nc", ".h5"])
def test_units_beside_an_array_count(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"loop{ending}"
    loop = _loop()
    volts, amps = loop["V (V)"].to_numpy() * 1e3, loop["I (µA)"].to_numpy()
    if ending == ".nc":
        arrays = {"U": ("point", volts, {"units": "mV"}), "I": ("point", amps, {"units": "uA"})}
        xarray.Dataset(arrays).to_netcdf(path, engine="h5netcdf")
    else:
        with h5py.File(path, "w") as file:
            for name, values, unit in (("U", volts, "mV"), ("I", amps, "uA")):
                file[name] = values
                file[name].attrs["units"] = unit
    assert _of(analyse.iv(path, volts="U", amps="I")).metrics()["v_set_mean"] == pytest.approx(0.9, abs=0.01)
    with pytest.raises(RefusedError, match="in volts, and amperes are needed"):
        analyse.iv(path, volts="I:V", amps="U")
