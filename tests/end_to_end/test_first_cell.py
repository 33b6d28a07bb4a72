"""One runbook on every kind of bench, unchanged; and cells that never switched read alike wherever they are."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from support.quiet_stations import ACCURACY, accuracy_of, virgin
from xbarlab import open_bench
from xbarlab.cli import main
from xbarlab.mockhw.bench.bench import forget_bench
from xbarlab.runbooks.runner.schema import load_runbook
from xbarlab.runbooks.stations import find_bench

ALLOWED: dict[str, set[str]] = {
    "mock_single_2400": {"pulses"},
    "mock_single_2450": {"pulses"},
    "mock_tio2": set(),
    "mock_tio2_2400": set(),
    "mock_tio2_2600": set(),
    "mock_tio2_4200": set(),
    "mock_tio2_b1500": set(),
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

BOARDS = set(RAMPS)


@pytest.mark.parametrize("station", ACCURACY)
def test_unswitched_cells_read_what_they_are_within_the_instruments_accuracy(station: str, tmp_path: Path) -> None:
    read, true = virgin(station, tmp_path)
    assert np.all(np.abs(read - true) <= accuracy_of(station).bound(true)), (read, true)


def test_unswitched_cells_of_one_kind_read_alike_on_every_bench_that_takes_them(tmp_path: Path) -> None:
    found: dict[str, float] = {}
    for station in sorted(set(ACCURACY) - BOARDS):
        folder = tmp_path / station
        folder.mkdir()
        read, true = virgin(station, folder)
        assert np.ptp(true) <= 1e-3 * true[0], "the cells themselves are alike"
        found[station] = float(np.median(read))
    for (one, here), (other, there) in combinations(found.items(), 2):
        assert abs(here - there) <= accuracy_of(one).bound(here) + accuracy_of(other).bound(there), (one, other, found)
