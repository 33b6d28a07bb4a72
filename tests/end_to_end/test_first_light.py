"""The shipped runbook through the whole instrument path: runbook → protocol → driver → VISA → board → chip."""

import json
import statistics
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from xbarlab.mockhw.bench.bench import bench_for, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.runbooks.runner.runner import Outcome, run_runbook
from xbarlab.runbooks.stations import find_bench, find_station

SEED = 3
SMALL = [
    "form.cells=0:16,0:64",
    "yield.cells=0:16,0:64",
    "iv.cells=0:1,0:2",
    "iv.cycles=2",
    "baseline.cells=0:2,0:16",
    "baseline.set_starts=[0.9]",
    "baseline.set_steps=[0.15, 0.25]",
    "baseline.reset_steps=[0.2]",
    "program.cells=0:16,0:64",
]
PROMISED = (
    "yield_fraction",
    "formed_fraction",
    "v_set_mean",
    "v_reset_mean",
    "r_on_median",
    "r_off_median",
    "programmed_fraction",
    "programmed_fraction_60s",
    "pulses_per_cell",
    "ispp_pulses_per_cell",
    "transactions",
    "slots",
    "chip_seconds",
    "seconds",
    "seed",
)


@pytest.fixture(scope="module")
def in_process(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    out = tmp_path_factory.mktemp("first_light") / "in_process"
    return run_runbook("first_light_1t1r", out=out, seed=SEED, overrides=SMALL, check=True, quiet=True)


@pytest.fixture(scope="module")
def over_tcp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("tcp")
    with serve(fresh_bench(find_bench("mock_ta_hfo2"), seed=SEED), port=0) as addresses:
        ((address, port),) = addresses.values()
        shipped = find_station("tcp_ta_hfo2")
        chip = shipped.with_name("mock_ta_hfo2.chip.yaml")
        text = shipped.read_text(encoding="utf-8").replace("127.0.0.1::5025", f"{address}::{port}")
        station = folder / "tcp.station.yaml"
        station.write_text(text.replace("mock_ta_hfo2.chip.yaml", chip.as_posix()), encoding="utf-8")
        yield run_runbook(
            "first_light_1t1r", station=station, out=folder / "out", seed=SEED, overrides=SMALL, quiet=True
        )


def tables(outcome: Outcome) -> list[dict[str, dict[str, np.ndarray]]]:
    from qcodes.dataset import connect, load_by_id

    assert outcome.directory is not None
    conn = connect(outcome.directory / "data.db")
    try:
        return [load_by_id(run_id, conn).get_parameter_data() for run_id in range(1, 7)]
    finally:
        conn.close()


def test_the_summary_holds_what_is_promised(in_process: Outcome) -> None:
    assert in_process.exit_code == 0
    assert in_process.directory is not None
    summary = json.loads((in_process.directory / "summary.json").read_text(encoding="utf-8"))
    assert [key for key in PROMISED if key not in summary] == []
    assert summary["seed"] == SEED
    assert summary["cells_attempted"] == 16 * 64
    assert 0.1 < summary["v_set_mean"] < 2.5
    assert -1.7 < summary["v_reset_mean"] < -0.1
    assert summary["r_off_median"] > 2 * summary["r_on_median"]


def test_the_report_is_self_contained_and_every_figure_is_kept(in_process: Outcome) -> None:
    assert in_process.report is not None
    text = in_process.report.read_text(encoding="utf-8")
    assert text.count("data:image/png;base64") >= 8
    assert 'src="http' not in text
    assert 'href="http' not in text
    figures = sorted(path.name for path in (in_process.report.parent / "figures").glob("*.png"))
    assert len(figures) == text.count("data:image/png;base64")


@pytest.mark.slow
def test_the_same_seed_gives_identical_data_in_process_and_over_tcp(in_process: Outcome, over_tcp: Outcome) -> None:
    for here, there in zip(tables(in_process), tables(over_tcp), strict=True):
        assert here.keys() == there.keys()
        for variable, columns in here.items():
            for name, values in columns.items():
                np.testing.assert_array_equal(values, there[variable][name], err_msg=f"{variable} {name}")
    same = {k: v for k, v in in_process.summary.items() if k != "seconds"}
    np.testing.assert_equal(same, {k: v for k, v in over_tcp.summary.items() if k != "seconds"})


def test_datasets_open_as_they_are_and_their_snapshots_are_small(in_process: Outcome) -> None:
    from qcodes.dataset import connect, load_by_id

    assert in_process.directory is not None
    conn = connect(in_process.directory / "data.db")
    try:
        for run_id in range(1, 7):
            dataset = load_by_id(run_id, conn)
            assert dataset.completed
            assert len(json.dumps(dataset.snapshot)) < 100_000
            assert "inspectr_tag" in dataset.metadata
            cube = dataset.to_xarray_dataset()
            frame = dataset.to_pandas_dataframe()
            assert len(frame) == next(iter(cube.data_vars.values())).size
            assert all(variable.dims == tuple(cube.dims) for variable in cube.data_vars.values())
            assert all("units" in variable.attrs and variable.attrs["label"] for variable in cube.variables.values())
    finally:
        conn.close()


def test_the_yield_map_agrees_with_the_chip(tmp_path: Path) -> None:
    from xbarlab import YieldMapPlan, form, open_bench, yield_map
    from xbarlab.protocols.forming.forming import FormingPlan

    with open_bench("mock_ta_hfo2", seed=SEED) as bench:
        form(bench.array, FormingPlan(confirm=False))
        found = yield_map(bench.array, YieldMapPlan()).healthy
    stuck = bench_for(find_bench("mock_ta_hfo2")).chip.truth()["stuck"].astype(bool)
    assert stuck.any()
    assert not (found & stuck).any()
    assert (found != ~stuck).mean() < 1e-3


@pytest.mark.slow
def test_three_chips_are_programmed_whole_and_with_fewer_pulses_than_ispp(tmp_path: Path) -> None:
    outcomes = [run_runbook("first_light_1t1r", out=tmp_path / str(seed), seed=seed, quiet=True) for seed in (1, 2, 3)]
    late = [o.summary["programmed_fraction_60s"] for o in outcomes]
    ratio = [o.summary["pulses_per_cell"] / o.summary["ispp_pulses_per_cell"] for o in outcomes]
    print(f"programmed_fraction_60s {late}, pulses over ISPP's {ratio}")
    assert all(o.summary["cells_attempted"] == 8192 for o in outcomes)
    assert statistics.median(late) >= 0.78
    assert statistics.median(ratio) < 0.75
