"""Datasets have what was varied as an axis: voltage, amplitude, setting, never a number of a point."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas
import pytest

from support.fake_array import FakeArray, GatelessArray
from xbarlab.instruments.block import Block
from xbarlab.protocols.keeping.dataset import SETTING_UNITS
from xbarlab.protocols.keeping.joined import database, joined
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.registry import step_kind
from xbarlab.runbooks.commands.export import export_run

SWEEP = {"cells": "0:2,0:2", "cycles": 2, "step": 0.1, "positive": 1.2, "negative": -0.9, "set_gate": 1.5}
ISPP: dict[str, Any] = {"cells": "0:2,0:2", "set_starts": [0.9, 1.2], "set_steps": [0.2], "reset_steps": [0.1, 0.2]}
FORMING = {"cells": "0:2,0:2", "start_volts": 1.5, "stop_volts": 2.5}
RAMP = {**FORMING, "method": "ramp"}


def carry_out(array: FakeArray, run: Run, what: str, **parameters: Any) -> Any:
    kind = step_kind(what)
    with run.step("it", array):
        return kind.run(array, kind.plan(**parameters), run)


def off(make: Callable[[], FakeArray]) -> FakeArray:
    array = make()
    array.g[:] = 5e-6
    return array


def dataset(folder: Path, number: int = 1) -> Any:
    from qcodes.dataset import load_by_id

    with database(folder) as connection:
        data = load_by_id(number, connection)
        return data, data.to_xarray_dataset()


@pytest.mark.parametrize("make", [FakeArray, GatelessArray])
def test_a_loop_is_current_against_voltage_on_a_whole_grid(tmp_path: Path, make: Callable[[], FakeArray]) -> None:
    result = carry_out(off(make), Run(tmp_path / "run", quiet=True), "dc_sweep", **SWEEP)
    data, cube = dataset(tmp_path / "run")
    assert cube["current"].dims == ("row", "col", "cycle", "way", "sweep_volts")
    assert cube["sweep_volts"].attrs["units"] == "V"
    volts = cube["sweep_volts"].to_numpy()
    assert volts == pytest.approx(np.arange(-9, 13) / 10)
    # plottr takes the shape from here; without one it finds the axes of a small block only by luck.
    assert set(data.description.shapes.values()) == {(2, 2, 2, 2, 22)}
    assert not bool(cube["current"].isnull().any())
    loop = cube["current"].sel(row=1, col=0, cycle=1)
    at = result.cells.index((1, 0))
    half = 2 * 12 + 1
    up, down = result.current[at, 1, :half], result.current[at, 1, half:]
    assert loop.sel(way=0)[9:].to_numpy() == pytest.approx(up[:13]), "from 0 V to the positive peak"
    assert loop.sel(way=1)[10:].to_numpy() == pytest.approx(up[-2:11:-1]), "and back"
    assert loop.sel(way=0)[:9].to_numpy() == pytest.approx(down[9:0:-1])
    assert loop.sel(way=1)[:10].to_numpy() == pytest.approx(down[9:])
    assert cube["start"].to_numpy()[0, 0, 0] == pytest.approx(np.full((2, 22), result.start[0, 0]))
    if make is FakeArray:
        gate = cube["gate"].sel(row=0, col=0, cycle=0)
        assert set(gate.sel(way=0)[9:].to_numpy()) == {1.5}
        assert set(gate.sel(way=0)[:9].to_numpy()) == {5.0}
    else:
        assert "gate" not in cube


@pytest.mark.parametrize(
    ("make", "step", "plan", "axes"),
    [
        (FakeArray, "forming", FORMING, ("amplitude", "row", "col")),
        (GatelessArray, "forming", RAMP, ("row", "col", "volts")),
        (lambda: off(FakeArray), "ispp", ISPP, ("set_start", "set_step", "reset_step", "row", "col")),
    ],
)
def test_what_was_varied_is_the_axis(
    tmp_path: Path, make: Callable[[], FakeArray], step: str, plan: dict[str, Any], axes: tuple[str, ...]
) -> None:
    carry_out(make(), Run(tmp_path / "run", quiet=True), step, **plan)
    data, _ = dataset(tmp_path / "run")
    setpoints = next(iter(data.description.interdeps.dependencies.values()))
    assert tuple(axis.name for axis in setpoints) == axes
    assert {axis.unit for axis in setpoints if axis.name not in {"row", "col"}} == {"V"}
    table = joined(tmp_path / "run", "it")
    assert not table.duplicated(list(axes)).any()
    if step == "ispp":
        assert sorted(set(zip(table["set_start"], table["reset_step"], strict=True))) == [
            (0.9, 0.1), (0.9, 0.2), (1.2, 0.1), (1.2, 0.2)
        ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("make", "step", "plan", "numbered"),
    [
        (lambda: off(FakeArray), "dc_sweep", SWEEP, "point"),
        (FakeArray, "forming", FORMING, "cycle"),
        (GatelessArray, "forming", RAMP, "step"),
        (lambda: off(FakeArray), "ispp", ISPP, "combination"),
    ],
)
def test_a_run_that_an_earlier_version_began_goes_on_in_its_shape(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    make: Callable[[], FakeArray],
    step: str,
    plan: dict[str, Any],
    numbered: str,
) -> None:
    whole = make()
    carry_out(whole, Run(tmp_path / "whole", quiet=True), step, **plan)
    array = make()
    array._fail_at, array._error = len(whole.actions) // 2, KeyboardInterrupt()
    now = Run.work

    def before(self: Run, name: str, axes: Any, variables: Any, metadata: Any = None, **options: Any) -> Any:
        shape = options.pop("earlier")
        return now(self, name, shape.axes, shape.variables, metadata, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "work", before)
        with pytest.raises(KeyboardInterrupt):
            carry_out(array, Run(tmp_path / "run", quiet=True), step, **plan)
    carry_out(array, Run(tmp_path / "run", quiet=True, resumed=True), step, **plan)
    table = joined(tmp_path / "run", "it")
    assert numbered in table
    assert not table["row"].isna().any()
    assert not table[numbered].isna().any()
    where = ["row", "col", numbered, *(["cycle"] if step == "dc_sweep" else [])]
    assert not table.duplicated(where).any()
    assert len(export_run(tmp_path / "run", "netcdf")) == 1


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_a_flat_export_carries_gates_seed_and_units(tmp_path: Path, form: str) -> None:
    if form == "parquet":
        pytest.importorskip("pyarrow")
    carry_out(off(FakeArray), Run(tmp_path / "run", quiet=True, seed=7), "dc_sweep", **SWEEP)
    (path,) = export_run(tmp_path / "run", form)
    table = pandas.read_csv(path) if form == "csv" else pandas.read_parquet(path)
    assert {"row", "col", "cycle", "way", "sweep_volts_V", "volts_V", "current_A", "gate_V", "start_S"} <= set(table)
    settings = {"seed": 7, "dwell_s": 10e-3, "compliance_A": 500e-6, "set_gate_V": 1.5, "reset_gate_V": 5.0}
    assert {name: table[name].unique().tolist() for name in settings} == {name: [v] for name, v in settings.items()}
    assert set(table["gate_V"]) == {1.5, 5.0}


@pytest.mark.slow
def test_every_setting_a_step_notes_has_its_unit(tmp_path: Path) -> None:
    for number, (make, step, plan) in enumerate(
        [
            (lambda: off(FakeArray), "dc_sweep", SWEEP),
            (FakeArray, "forming", FORMING),
            (GatelessArray, "forming", RAMP),
            (FakeArray, "read_array", {"cells": "0:2,0:2"}),
            (lambda: off(FakeArray), "yield_map", {"cells": "0:2,0:2"}),
            (lambda: off(FakeArray), "pulse_response", {"cells": "0:2,0:2", "pulses": 4, "cycles": 1}),
        ]
    ):
        carry_out(make(), Run(tmp_path / str(number), quiet=True), step, **plan)
        data, _ = dataset(tmp_path / str(number))
        noted = {name for name, value in data.metadata.items() if isinstance(value, int | float)} - {"seed"}
        assert noted <= set(SETTING_UNITS), step
        assert noted


def test_the_unit_behind_the_name_of_an_axis_is_its_unit(tmp_path: Path) -> None:
    array, run = FakeArray(), Run(tmp_path / "run", quiet=True)
    block = Block(0, 2, 0, 2)
    with run.step("rest", array), run.measure("wait [s]", [0.0, 1.0], block, conductance="S") as work:
        for _ in work:
            work.keep(conductance=array.read(block).conductance)
    _, cube = dataset(tmp_path / "run")
    assert cube["conductance"].dims == ("wait", "row", "col")
    assert cube["wait"].attrs["units"] == "s"
