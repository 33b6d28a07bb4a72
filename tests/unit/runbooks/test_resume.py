"""``xbarlab resume``: what it goes on with, what it refuses, and what it says."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from support.fake_array import FakeArray, FakeBench
from xbarlab import Plan, step
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Identity
from xbarlab.instruments.errors import InstrumentError
from xbarlab.runbooks.runner import resume as resumes
from xbarlab.runbooks.runner import runner
from xbarlab.runbooks.runner.resume import resume_run
from xbarlab.runbooks.runner.runner import run_runbook

RUNBOOK = """---
title: A small first light
station: bench.station.yaml
steps:
  - {id: virgin, read_array: {cells: all}}
  - {id: form, forming: {cells: all, start_volts: 1.9, stop_volts: 2.2, gate: 1.3}}
  - {id: yield, yield_map: {set_volts: 2.5}}
  - {id: iv, dc_sweep: {cells: "0:1,0:2", cycles: 2, step: 0.1}}
  - {id: after, read_array: {cells: "0:2,0:2"}}
expect:
  yield_fraction: {min: 1.5}
---
Text for a person.
"""


class Death:
    """Stands for an array whose process is killed at an action."""

    def __init__(self, array: FakeArray, at: int) -> None:
        array._fail_at, array._error = len(array.actions) + at, KeyboardInterrupt()


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    monkeypatch.setattr(resumes, "read_station", lambda _: None)
    monkeypatch.setattr(resumes, "take_up_chips", lambda *_: None)
    # Figures take most of the time of a run this small, and have tests of their own.
    monkeypatch.setattr(runner.RunRecord, "_sections", lambda _: [])
    monkeypatch.setattr(runner.RunRecord, "drawn", lambda *_: None)
    return fake


@pytest.fixture
def book(tmp_path: Path) -> Path:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    path = tmp_path / "small.md"
    path.write_text(RUNBOOK, encoding="utf-8")
    return path


def journal(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]


def cut(bench: FakeBench, book: Path, out: Path, at: int, **how: Any) -> Path:
    """Begin a run and interrupt it at its ``at``-th action."""
    Death(bench.array, at)
    with pytest.raises(KeyboardInterrupt):
        run_runbook(book, out=out, quiet=True, **how)
    return out


@pytest.mark.parametrize(
    "at", [2, 10, 20, *(pytest.param(at, marks=pytest.mark.slow) for at in (1, 4, 7, 13, 16, 18, 22))]
)
def test_wherever_it_is_cut_the_result_is_that_of_a_run_that_was_not(
    bench: FakeBench, book: Path, tmp_path: Path, at: int
) -> None:
    whole = run_runbook(book, out=tmp_path / "whole", seed=3, quiet=True)
    bench.array = FakeArray()
    folder = cut(bench, book, tmp_path / "out", at, seed=3)
    outcome = resume_run(folder, quiet=True)
    costs = {"transactions", "slots", "pulses", "chip_seconds", "seconds"}
    assert {k: v for k, v in outcome.summary.items() if k not in costs} == pytest.approx(
        {k: v for k, v in whole.summary.items() if k not in costs}, nan_ok=True
    )
    assert outcome.summary["transactions"] == bench.array.cost.transactions
    assert outcome.summary["pulses"] == bench.array.cost.pulses
    assert outcome.summary["seed"] == 3
    units = [(entry["step"], entry["unit"]) for entry in journal(folder) if entry["event"] == "unit_done"]
    assert len(units) == len(set(units))
    assert journal(folder)[-1]["event"] == "run_done"
    assert (folder / "report.html").is_file()


def test_finished_steps_do_not_touch_the_array(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    actions = len(run_and_count(bench, book, tmp_path))
    bench.array = FakeArray()
    folder = cut(bench, book, tmp_path / "out", actions)  # at the very last action
    before = len(bench.array.actions)
    resume_run(folder, quiet=True)
    assert bench.array.actions[before:] == ["read"]
    steps = [entry["step"] for entry in journal(folder) if entry["event"] == "step_started"]
    assert steps == ["virgin", "form", "yield", "iv", "after", "after"]


def run_and_count(bench: FakeBench, book: Path, tmp_path: Path) -> list[str]:
    run_runbook(book, out=tmp_path / "count", quiet=True)
    return bench.array.actions


def test_a_finished_run_says_so_and_opens_no_bench(
    bench: FakeBench, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_runbook(book, out=tmp_path / "out", quiet=True)
    before = (tmp_path / "out" / "journal.jsonl").read_bytes()
    outcome = resume_run(tmp_path / "out")
    assert outcome.exit_code == 0
    assert outcome.summary["steps_done"] == 5
    assert "is finished" in capsys.readouterr().out
    assert bench.opened == 1
    assert (tmp_path / "out" / "journal.jsonl").read_bytes() == before


def test_check_is_remembered_and_the_place_is_said(
    bench: FakeBench, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = cut(bench, book, tmp_path / "out", 9, check=True)
    assert resume_run(folder).exit_code == 1
    shown = capsys.readouterr().out
    assert "Going on with A small first light: 1 of 5 steps are done, step 'form' after" in shown


def test_a_run_that_ends_early_says_how_to_go_on(
    bench: FakeBench, book: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bench.array = FakeArray(fail_at=4)
    with pytest.raises(InstrumentError):
        run_runbook(book, out=tmp_path / "out")
    assert f"xbarlab resume {tmp_path / 'out'}" in capsys.readouterr().out
    assert resume_run(tmp_path / "out", quiet=True).summary["steps_done"] == 5


def test_a_changed_copy_of_the_runbook_is_refused_with_the_difference(
    bench: FakeBench, book: Path, tmp_path: Path
) -> None:
    folder = cut(bench, book, tmp_path / "out", 9)
    copy = folder / "runbook.md"
    copy.write_text(copy.read_text().replace("set_volts: 2.5", "set_volts: 2.6"), encoding="utf-8")
    with pytest.raises(RefusedError) as refused:
        resume_run(folder, quiet=True)
    said = str(refused.value)
    assert "runbook.md was changed since the run was begun" in said
    assert "-  - {id: yield, yield_map: {set_volts: 2.5}}" in said
    assert "+  - {id: yield, yield_map: {set_volts: 2.6}}" in said
    assert bench.opened == 1


@pytest.mark.parametrize("now", ["other numbers", None])
def test_a_file_of_the_users_own_that_changed_is_refused(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, now: str | None
) -> None:
    class TablePlan(Plan):
        """Looks twice at a table."""

        own_files: ClassVar[Mapping[str, tuple[str, ...]]] = {"table": ("shipped",)}

        table: str = "shipped"

    monkeypatch.chdir(tmp_path)
    table = tmp_path / "own.csv"
    table.write_text("numbers", encoding="utf-8")
    with plugins.scope():

        @step(metrics={"seen": "characters of the table"}, plan=TablePlan)
        def looks(array: Any, plan: Any, run: Any) -> Any:
            for _ in range(2):
                array.read(array.spec.whole)
            return {"seen": len(Path(plan.table).read_text(encoding="utf-8"))}

        book.write_text(
            "---\ntitle: Own\nstation: bench.station.yaml\nsteps:\n  - {id: own, looks: {table: own.csv}}\n---\nx\n",
            encoding="utf-8",
        )
        folder = cut(bench, book, tmp_path / "out", 2)
        if now is None:
            table.unlink()
        else:
            table.write_text(now, encoding="utf-8")
        with pytest.raises(RefusedError, match=r"own\.csv, which a step of this run reads, (was changed|is gone)"):
            resume_run(folder, quiet=True)
        assert bench.opened == 1
        table.write_text("numbers", encoding="utf-8")
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        monkeypatch.chdir(elsewhere)
        assert resume_run(folder, quiet=True).summary["seen"] == len("numbers")


def test_the_runbook_it_came_from_may_change(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    folder = cut(bench, book, tmp_path / "out", 9, overrides=["iv.cycles=1"])
    book.write_text("something else", encoding="utf-8")
    assert resume_run(folder, quiet=True).summary["steps_done"] == 5
    loops = [entry["unit"] for entry in journal(folder) if entry["event"] == "unit_done" and entry["step"] == "iv"]
    assert loops == ["cell 0,0 cycle 0", "cell 0,1 cycle 0"]


def test_another_chip_is_refused(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    folder = cut(bench, book, tmp_path / "out", 9)
    actions, before = len(bench.array.actions), (folder / "journal.jsonl").read_bytes()
    bench.chip = SimpleNamespace(id="chip-from-next-door")
    with pytest.raises(RefusedError, match=r"is of chip 'fake-chip'.*has chip 'chip-from-next-door'"):
        resume_run(folder, quiet=True)
    assert len(bench.array.actions) == actions
    assert (folder / "journal.jsonl").read_bytes() == before


def test_another_simulated_chip_of_the_same_name_is_refused(
    bench: FakeBench, book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = cut(bench, book, tmp_path / "out", 9)
    other = {"board": Identity("FAKE", "ARRAY", "0001", "1.0", {"profile": "fake", "seed": 5})}
    monkeypatch.setattr(FakeBench, "identities", other)
    with pytest.raises(RefusedError, match="seed was 4 and is 5"):
        resume_run(folder, quiet=True)


def test_a_station_file_that_is_gone_can_be_given(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    folder = cut(bench, book, tmp_path / "out", 9)
    moved = tmp_path / "moved.station.yaml"
    (tmp_path / "bench.station.yaml").rename(moved)
    with pytest.raises(RefusedError, match=r"bench\.station\.yaml of this run is gone.*--station FILE"):
        resume_run(folder, quiet=True)
    assert resume_run(folder, station=moved, quiet=True).summary["steps_done"] == 5


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="there is no folder"):
        resume_run(tmp_path / "nowhere", quiet=True)
    with pytest.raises(RefusedError, match=r"holds no run\.json"):
        resume_run(tmp_path, quiet=True)


def test_a_step_can_be_repeated(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    run_runbook(book, out=tmp_path / "out", quiet=True)
    before = len(bench.array.actions)
    outcome = resume_run(tmp_path / "out", repeat=["yield"], quiet=True)
    assert bench.array.actions[before:] == ["read", "pulse", "read", "pulse", "read"]
    assert outcome.summary["steps_done"] == 5
    with pytest.raises(RefusedError, match=r"unknown step id 'yeild'.*did you mean 'yield'"):
        resume_run(tmp_path / "out", repeat=["yeild"], quiet=True)


def test_run_json_says_what_the_run_was_begun_with(bench: FakeBench, book: Path, tmp_path: Path) -> None:
    run_runbook(book, out=tmp_path / "out", seed=7, overrides=["iv.cycles=1"], quiet=True)
    card = json.loads((tmp_path / "out" / "run.json").read_text(encoding="utf-8"))
    assert card["chip"] == "fake-chip"
    assert card["seed"] == 7
    assert card["overrides"] == ["iv.cycles=1"]
    assert card["text"] == RUNBOOK
    assert [step["id"] for step in card["steps"]] == ["virgin", "form", "yield", "iv", "after"]
    assert card["steps"][3]["plan"]["cycles"] == 1
    assert card["versions"]


@pytest.mark.parametrize("form", ["csv", "netcdf"])
def test_export_gives_one_table_per_step(bench: FakeBench, book: Path, tmp_path: Path, form: str) -> None:
    import pandas
    import xarray

    from xbarlab.runbooks.commands.export import export_run

    folder = cut(bench, book, tmp_path / "out", 17)  # in the loops of step iv
    resume_run(folder, quiet=True)
    files = {path.stem.split("_", 1)[1]: path for path in export_run(folder, form)}
    assert sorted(files) == ["after_read_array", "form_forming", "iv_dc_sweep", "virgin_read_array", "yield_yield_map"]
    if form == "csv":
        table = pandas.read_csv(files["iv_dc_sweep"])
        assert not table.duplicated(["row", "col", "cycle", "way", "sweep_volts_V"]).any()
        assert table.groupby(["row", "col", "cycle"]).size().nunique() == 1
        assert len(table.groupby(["row", "col", "cycle"])) == 4
    else:
        with xarray.open_dataset(files["iv_dc_sweep"], engine="h5netcdf") as cube:
            assert dict(cube.sizes)["cycle"] == 2
            assert cube["current"].attrs["units"] == "A"
            assert not bool(cube["current"].isnull().any())
