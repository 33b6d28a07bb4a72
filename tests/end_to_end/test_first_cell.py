"""One runbook on every kind of bench, unchanged; and cells that never switched read alike wherever they are."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab import Block, open_bench
from xbarlab.cli import main
from xbarlab.mockhw.bench.bench import bench_for, forget_bench
from xbarlab.runbooks.runner.schema import load_runbook
from xbarlab.runbooks.stations import find_bench, find_station

ALLOWED: dict[str, set[str]] = {
    "mock_single_2400": {"pulses"},
    "mock_single_2450": {"pulses"},
    "mock_tio2": set(),
    "mock_tio2_2400": set(),
    "mock_ta_hfo2": set(),
    "mock_hfo2": set(),
}
"""Station → the steps that it may leave out: 200 ns pulses where there is no pulser."""
QUICK, SEED = ["mock_single_2400", "mock_single_2450"], 1
SMALL = ["--set", "virgin.cells=0:2,0:2"]  # of 8,192 cells
RAMPS = {"mock_ta_hfo2": (1.5, 3.0), "mock_hfo2": (1.8, 3.3)}  # [V], where a cell of the stack forms by the ramp
PASSIVE = (1.5, 2.3)


def assert_it_ran(station: str, folder: Path, *options: str) -> None:
    boards = SMALL if station in RAMPS else []
    command = ["run", "first_cell", "--station", station, "--seed", str(SEED), "--check", "--quiet"]
    assert main([*command, "--out", str(folder), *boards, *options]) == 0
    metrics = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    left_out = {key.partition(".")[0] for key in metrics if key.endswith(".left_out")}
    assert left_out == ALLOWED[station]
    assert metrics["steps_done"] == metrics["steps_planned"] == 4
    low, high = RAMPS.get(station, PASSIVE)
    assert low < metrics["v_form_mean"] < high
    assert metrics["r_off_median"] > 3.0 * metrics["r_on_median"]
    assert metrics["v_set_mean"] > 0.0 > metrics["v_reset_mean"]
    if not left_out:
        assert metrics["potentiation_ratio"] > 2.0
        assert metrics["depression_ratio"] < 0.5
    report = (folder / "report.html").read_text(encoding="utf-8")
    assert ("was left out on this bench" in report) == bool(left_out)
    assert ("a pulse generator, as a probe station has" in report) == bool(left_out)


@pytest.fixture(autouse=True)
def fresh_benches() -> Iterator[None]:
    yield
    for station in ALLOWED:
        forget_bench(find_bench(station))


@pytest.mark.parametrize("station", QUICK)
def test_it_runs_at_a_single_device(station: str, tmp_path: Path) -> None:
    assert_it_ran(station, tmp_path / "run", "--preset", "quick")


@pytest.mark.slow
@pytest.mark.parametrize("station", ALLOWED)
def test_it_runs_on_every_bench_unchanged(station: str, tmp_path: Path) -> None:
    assert_it_ran(station, tmp_path / "run")


def test_a_dry_run_says_what_would_be_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "first_cell", "--station", "mock_single_2450", "--dry-run"]) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "step pulses: is left out: pulse_response.set: array gives no pulses of 2e-07 s" in told


def test_the_old_name_is_answered_by_the_new_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "first_cell_tio2", "--dry-run"]) == 2
    assert "the runbook first_cell_tio2 is called first_cell now" in capsys.readouterr().err


def test_its_plans_are_within_the_limits_of_every_shipped_bench() -> None:
    """What a bench lacks may be left out; what is beyond a limit would be refused."""
    book = load_runbook("first_cell")
    for station, allowed in ALLOWED.items():
        with open_bench(station) as bench:
            left = {step.id for step in book.steps if step.left_out(bench.array.spec)}
        assert left == allowed


# -- unswitched cells --------------------------------------------------------------------------------------------------

TIO2 = {
    "parameters.read_noise.slope": 0.0, "parameters.read_noise.floor": 0.0,
    "parameters.stuck.on_fraction": 0.0, "parameters.stuck.off_fraction": 0.0,
    **{f"parameters.lines.{kind}_fraction": 0.0 for kind in ("lead", "open", "graded", "leaky", "shorted")},
    **{f"parameters.device_spread.{name}": 0.0 for name in ("ln_Gv", "ln_b", "ln_Rs")},
}  # fmt: skip
HFO2 = {f"parameters.read_noise.{name}": 0.0 for name in ("scale", "relative", "flicker")}

# One year, in parts of the reading and in ampere at 0 V: the current range of 0.1 µA, and the volts it is divided by,
# as programmed (probe station) or measured (single device). 2400: SPEC-2400 Rev. H; 2450: SPEC-2450 Rev. A; the
# board: 16 bits over ±1 µA, its lowest range.
ACCURACY = {
    "mock_tio2": (0.06e-2 + 2.4e-3 / 0.2, 2 * 150e-12),
    "mock_tio2_2400": (0.029e-2 + 2.4e-3 / 0.2, 2 * 300e-12),
    "mock_single_2400": (0.029e-2 + 0.015e-2 + 2 * 0.5e-3 / 0.2, 2 * 300e-12),
    "mock_single_2450": (0.06e-2 + 0.015e-2 + 2 * 0.5e-3 / 0.2, 2 * 150e-12),
    "mock_ta_hfo2": (0.0, 2 * 2e-6 / 2**16),
    "mock_hfo2": (0.0, 2 * 2e-6 / 2**16),
}


def quiet_copy(station: str, folder: Path) -> Path:
    """Return a station whose chip does not fluctuate; of passive chips all virgin cells are alike."""
    shipped = find_station(station)
    names = {path.name for path in shipped.parent.glob("*.yaml")}
    for name in names:
        shutil.copy(shipped.parent / name, folder / name)
    text = shipped.read_text(encoding="utf-8")
    (bench,) = {word.strip("{}, ") for word in text.replace("@xbarlab", " ").split() if word.endswith(".bench.yaml")}
    file = folder / bench
    from xbarlab.common.yaml_files import read_yaml

    content = read_yaml(file, "bench file")
    changes = HFO2 if station in RAMPS else TIO2
    content["chip"].setdefault("changes", {}).update(
        {key: {"value": value, "source": "nothing fluctuates"} for key, value in changes.items()}
    )
    if station in RAMPS:
        content["instruments"][0]["converters"] = {"noise": 0.0, "gain_spread": 0.0, "offset_spread": 0.0}
    file.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    return folder / shipped.name


def virgin(station: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return what virgin cells of the first column read, and what they are [S]."""
    copy = quiet_copy(station, folder)
    with open_bench(copy, seed=SEED) as bench:
        rows = min(bench.array.spec.rows, 3)
        read = bench.array.read(Block(0, rows, 0, 1), average=16).conductance.ravel()
        (file,) = {path for path in folder.glob("*.bench.yaml") if str(path.name) in copy.read_text(encoding="utf-8")}
        chip: Any = bench_for(file).chip
        true = chip.truth()["conductance"][:rows, 0] if "conductance" in chip.truth() else None
        if true is None:
            cells = np.arange(rows) * chip.cols
            true = chip.model.conductance(cells, bench.array.spec.read_volts, bench.array.spec.read_gate, chip.now)
    forget_bench(file)
    return read, np.asarray(true)


@pytest.mark.parametrize("station", ALLOWED)
def test_unswitched_cells_read_what_they_are_within_the_instruments_accuracy(station: str, tmp_path: Path) -> None:
    read, true = virgin(station, tmp_path)
    gain, amps = ACCURACY[station]
    assert np.all(np.abs(read - true) <= gain * true + amps / 0.2), (read, true)


def test_unswitched_cells_of_one_kind_read_alike_on_every_bench_that_takes_them(tmp_path: Path) -> None:
    found: dict[str, float] = {}
    for station in ("mock_tio2", "mock_tio2_2400", "mock_single_2400", "mock_single_2450"):
        folder = tmp_path / station
        folder.mkdir()
        read, true = virgin(station, folder)
        assert np.ptp(true) <= 1e-3 * true[0], "the cells themselves are alike"
        found[station] = float(np.median(read))
    middle = float(np.median(list(found.values())))
    for station, value in found.items():
        gain, amps = ACCURACY[station]
        worst = max(ACCURACY.values())
        assert abs(value - middle) <= (gain + worst[0]) * middle + (amps + worst[1]) / 0.2, found
