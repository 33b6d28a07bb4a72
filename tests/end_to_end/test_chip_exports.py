"""A chip characterised on the mock bench, by real steps, becomes all three exports, and its report has the box."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray

from xbarlab.runbooks.commands.export import export_run
from xbarlab.runbooks.runner.runner import run_runbook

pytestmark = pytest.mark.slow

RUNBOOK = """---
title: A small characterisation
station: mock_ta_hfo2
steps:
  - {id: form, forming: {cells: "0:4,0:4", start_volts: 1.5, stop_volts: 3.3, gate: 1.3, width: 10e-6}}
  - {id: yield, yield_map: {cells: "0:4,0:4"}}
  - {id: pulses, pulse_response: {cells: "0:2,0:4", pulses: 40, cycles: 4, set_volts: 1.5, reset_volts: 1.6}}
  - {id: program, read_verify: {cells: "0:4,0:4", levels: {count: 4, low: 20e-6, high: 140e-6}, reread_after: 10}}
  - {id: hold, retention: {cells: "0:2,0:4", prepare: found, last: 1000}}
  - {id: noise, read_noise: {cells: "0:1,0:2", seconds: 1.0}}
---
Text.
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chip")
    (folder / "small.md").write_text(RUNBOOK, encoding="utf-8")
    run_runbook(folder / "small.md", out=folder / "run", seed=3, quiet=True)
    return folder / "run"


def test_every_step_is_in_the_chip_file(run: Path) -> None:
    told: list[str] = []
    (path,) = export_run(run, "chip", tell=told.append)
    assert told == []
    with xarray.open_dataset(path, engine="h5netcdf") as data:
        assert (data.sizes["row"], data.sizes["col"]) == (128, 64)
        for step in data["step"].values:
            assert any(str(name).startswith(f"{step}_") for name in data.variables)
        assert data["hold_conductance"].shape == (8, data.sizes["hold_read"])
        assert np.isfinite(data["program_later"].values).sum() == 16
        assert data.attrs["source"].startswith("Instrument board: ")


def test_presets_and_tables_are_made_of_it(run: Path) -> None:
    numbers = next(path for path in export_run(run, "aihwkit") if path.suffix == ".json")
    told = json.loads(numbers.read_text(encoding="utf-8"))
    assert told["left_out"] == []
    assert told["device"]["w_max"] == 1.0
    assert told["noise"]["read_noise_scale"] > 0.0
    for path in export_run(run, "crosssim"):
        table = np.genfromtxt(path, delimiter=",", skip_header=3)
        sign = 1.0 if "increasing" in path.name else -1.0
        assert sign * table.mean() > 0.0


def test_its_report_says_what_it_means_for_training(run: Path) -> None:
    text = (run / "report.html").read_text(encoding="utf-8")
    assert "<h2>What this means for training</h2>" in text
    assert "Not measured: step vmm_accuracy would." in text
    assert "Levels have to stand" in text
