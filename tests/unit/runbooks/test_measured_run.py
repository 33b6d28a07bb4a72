"""Run folders as measured data: the numbers of the steps, in the form that data of any bench have."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from xbarlab import analyse
from xbarlab.analysis.measured_data.measured import Measured
from xbarlab.analysis.measured_data.of_steps import RanStep, RunTold, measured_of_steps
from xbarlab.analysis.measured_data.protocols import Cycling, Forming, IvSweep, PulseTrain, WriteVerify
from xbarlab.analysis.measured_data.write_algorithms import Ramp, ReadVerify
from xbarlab.cli import main
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.keeping.joined import joined
from xbarlab.runbooks.commands.measured_run import measured_of_run
from xbarlab.runbooks.runner.record import CELLS, RunRecord

RUNBOOK = """---
format: 1
title: All that can be replayed
station: mock_ta_hfo2
steps:
  - {id: map, read_array: {cells: "4:8,60:64", volts: 0.15}}
  - {id: form, forming: {cells: "4:8,60:64", stop_volts: 2.4}}
  - {id: yield, yield_map: {cells: "4:8,60:64"}}
  - {id: iv, dc_sweep: {cells: "4:5,60:62", cycles: 2}}
  - {id: trains, pulse_response: {cells: "4:5,60:62", cycles: 1, pulses: 20, read_every: 5}}
  - {id: scan, ispp: {cells: "4:6,60:64", set_starts: [0.9], set_steps: [0.15, 0.25], reset_steps: [0.2]}}
  - {id: program, read_verify: {cells: "4:8,60:64", levels: {count: 4, low: 10e-6, high: 160e-6}, reread_after: 1}}
---
# All
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("measured")
    (place / "all.md").write_text(RUNBOOK, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecord, "_sections", lambda _: [])  # figures take most of the time
        patch.setattr(RunRecord, "drawn", lambda *_: None)
        assert main(["run", str(place / "all.md"), "--out", str(place / "run"), "--quiet", "--seed", "0"]) == 0
    return place / "run"


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Measured]:
    return {measured.id: measured for measured in measured_of_run(folder)}


def test_every_step_becomes_its_kind(found: dict[str, Measured]) -> None:
    assert {name: m.kind for name, m in found.items()} == {
        "map": "map",
        "form": "forming",
        "yield": "cycling",
        "iv": "iv_sweep",
        "trains": "pulse_train",
        "scan.0": "write_verify",
        "scan.1": "write_verify",
        "program": "write_verify",
        "program.pulses": "pulse_train",
    }
    assert {m.structure for m in found.values()} == {"1T1R"}
    assert {m.chip for m in found.values()} == {"mock-ta-hfo2-128x64"}


def test_a_cell_has_one_number_in_all_steps(found: dict[str, Measured]) -> None:
    for measured in found.values():
        table = measured.table
        assert (table["cell"] == table["row"] * 64 + table["col"]).all()
        assert set(table["row"]) <= {4, 5, 6, 7}


def test_what_was_asked_is_in_the_protocols(found: dict[str, Measured]) -> None:
    form, cycle, iv = (found[name].protocol for name in ("form", "yield", "iv"))
    assert isinstance(form, Forming)
    assert (form.gate, form.most_volts, form.step_volts, form.width) == (1.3, 2.4, 0.05, 10e-6)
    assert isinstance(cycle, Cycling)
    assert (cycle.set.volts, cycle.set.gate, cycle.reset.volts, cycle.reset.gate) == (2.5, 1.6, 1.7, 5.0)
    assert isinstance(iv, IvSweep)
    assert (iv.positive_gate, iv.negative_gate, iv.dwell) == (2.0, 5.0, 10e-3)
    assert found["map"].protocol.read_volts == 0.15
    for index, step in enumerate((0.15, 0.25)):
        scan = found[f"scan.{index}"].protocol
        assert isinstance(scan, WriteVerify)
        assert isinstance(scan.algorithm, ReadVerify)
        assert scan.algorithm.set == Ramp(knob="gate", start=0.9, stop=2.6, step=step, held=2.5)
        assert not scan.algorithm.predicts


def test_a_cell_that_was_not_formed_is_not_left_out(found: dict[str, Measured]) -> None:
    table = found["form"].table
    assert len(table) == 16
    assert 0 < table["success"].sum() < 16, "the staircase ends early on purpose"
    assert (table.loc[~table["success"], "volts"] == 2.4).all()
    assert (table.loc[table["success"], "after"] > 20e-6).all()


def test_numbers_are_those_of_the_datasets(folder: Path, found: dict[str, Measured]) -> None:
    for index, step in enumerate((0.15, 0.25)):
        data = joined(folder, "scan")
        data = data[np.isclose(data["set_step"], step)]
        table = found[f"scan.{index}"].table
        assert sorted(table["pulses"]) == sorted(data["pulses"])
        np.testing.assert_allclose(sorted(table["after"]), sorted(data["conductance"]))
    programmed, pulses = found["program"].table, found["program.pulses"].table
    given = pulses.groupby("cell")["count"].sum()
    np.testing.assert_array_equal(programmed.set_index("cell")["pulses"].reindex(given.index), given)
    signs = np.sign(pulses["volts"]).groupby(pulses["cell"]).agg([lambda v: (v > 0).sum(), lambda v: (v < 0).sum()])
    np.testing.assert_array_equal(programmed.set_index("cell")[["sets", "resets"]].reindex(given.index), signs)
    inside = (programmed["after"] > programmed["low"]) & (programmed["after"] < programmed["high"])
    assert inside[programmed["success"]].mean() > 0.8
    np.testing.assert_allclose(programmed["high"] - programmed["low"], 2 * 0.25 * 50e-6)


def test_a_train_tells_how_many_pulses_led_to_a_reading(found: dict[str, Measured]) -> None:
    assert isinstance(found["trains"].protocol, PulseTrain)
    one = found["trains"].table.query("cell == cell.min()")
    assert one["count"].tolist() == [0, *[5] * 8]
    assert one["volts"].tolist() == [0.0, *[1.5] * 4, *[-1.6] * 4]
    assert one["gate"].tolist()[1:] == [*[1.2] * 4, *[5.0] * 4]


CHARACTERISE = """---
format: 1
title: All that can be analysed
station: mock_ta_hfo2
steps:
  - {id: form, forming: {cells: "4:6,60:62"}}
  - {id: map, read_array: {cells: "4:6,60:62"}}
  - {id: noise, read_noise: {cells: "4:5,60:62", seconds: 0.6, floor_seconds: 0.3}}
  - {id: rest, retention: {cells: "4:6,60:62", last: 30.0}}
  - {id: cycle, endurance: {cells: "4:6,60:62", cycles: 10}}
  - {id: many, multilevel: {cells: "4:6,60:62", cycles: 2, levels: {count: 3, low: 10e-6, high: 160e-6}}}
  - {id: pulsed, pulsed_iv: {cells: "4:5,60:62", cycles: 1}}
---
# All
"""


@pytest.fixture(scope="module")
def characterised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("characterised")
    (place / "all.md").write_text(CHARACTERISE, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunRecord, "_sections", lambda _: [])
        patch.setattr(RunRecord, "drawn", lambda *_: None)
        assert main(["run", str(place / "all.md"), "--out", str(place / "run"), "--quiet"]) == 0
    return place / "run"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("analysis", "step", "same"),
    [
        ("noise", "noise", ["read_noise_rel", "read_noise_floor_rel", "rtn_cell_fraction", "one_over_f_exponent"]),
        ("retention", "rest", ["retention_drift_nu", "retention_sigma", "retention_extrapolated_change"]),
        ("levels", "many", ["level_sigma", "level_settling_sigma", "level_error_fraction", "level_pulses"]),
        ("endurance", "cycle", ["endurance_cycles"]),
    ],
)
def test_an_analysis_of_a_run_gives_what_its_step_gave(
    characterised: Path, analysis: str, step: str, same: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    summary = json.loads((characterised / "summary.json").read_text("utf-8"))
    found = getattr(analyse, analysis)(characterised)
    metrics = found.metrics()
    for name in same:
        given = summary.get(f"{step}.{name}", summary.get(name))
        assert metrics[name] == pytest.approx(np.nan if given is None else given, rel=1e-6, nan_ok=True), name
    capsys.readouterr()
    out = characterised.parent / f"out_{analysis}"
    assert main(["analyse", analysis, str(characterised), "--json", "--out", str(out)]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert {name: np.nan if value is None else value for name, value in printed.items()} == pytest.approx(
        metrics, nan_ok=True
    ), "Python and the command line say the same"


def test_a_run_without_the_step_is_refused_with_what_fits(characterised: Path) -> None:
    with pytest.raises(
        RefusedError, match=r"no step measured what verify takes \(a write_verify\); what fits: .*analyse noise: noise"
    ):
        analyse.verify(characterised)
    assert {one.id for one in analyse.pulses(str(characterised))} == {"pulsed.set", "pulsed.reset"}
    with pytest.raises(RefusedError, match="is a folder without a run"):
        analyse.noise(characterised.parent)
    with pytest.raises(RefusedError, match="stand alone"):
        analyse.noise(characterised, amps="I")
    fit = {one.id for one in measured_of_run(characterised)}
    assert {"map"} <= fit <= {"map", "form"}, "a fit takes what a model does again"


def test_only_some_steps(folder: Path) -> None:
    assert [m.id for m in measured_of_run(folder, only=["iv"])] == ["iv"]
    with pytest.raises(RefusedError, match=r"unknown step id 'ivv'.*did you mean 'iv'"):
        measured_of_run(folder, only=["ivv"])


def test_a_run_older_than_that_it_says_what_its_cells_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xbarlab.runbooks.commands import measured_run

    real = measured_run.kept_record

    def older(*args: object, **named: object) -> object:
        record = real(*args, **named)  # type: ignore[arg-type]
        del record.origin[CELLS]
        return record

    monkeypatch.setattr(measured_run, "kept_record", older)
    with pytest.raises(RefusedError, match=r"does not say what its cells are: give structure, 1T1R or passive"):
        measured_of_run(folder)
    passive = {m.id: m for m in measured_of_run(folder, structure="passive", only=["form", "trains", "program"])}
    assert passive["trains"].table["gate"].isna().all()
    assert passive["form"].protocol.gate == "none"  # type: ignore[union-attr]
    assert passive["program"].protocol.algorithm.reset.held is not None  # type: ignore[union-attr]


def test_the_run_says_what_its_cells_are_in_its_journal(folder: Path) -> None:
    lines = [json.loads(line) for line in (folder / "journal.jsonl").read_text("utf-8").splitlines()]
    assert [line["origin"][CELLS] for line in lines if "origin" in line] == ["128×64, 1T1R"]


def test_no_run_and_nothing_to_replay(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match=r"there is no folder"):
        measured_of_run(tmp_path / "gone")
    with pytest.raises(RefusedError, match=r"holds no run.json"):
        measured_of_run(tmp_path)
    step = RanStep(id="disturb", step="half_select_disturb", plan={}, frame=pd.DataFrame({"row": [0], "col": [0]}))
    told = RunTold(title="Mine", source="a test", structure="passive", cols=8)
    with pytest.raises(RefusedError, match=r"Mine: no step.*disturb \(half_select_disturb\); replayable are read_arr"):
        measured_of_steps([step], told)
