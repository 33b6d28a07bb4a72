"""SIGKILL in the middle of a run, then resume: over TCP, and on mocks in the process with a place for their chip."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from kill_matrix import RUNBOOKS, command, kill_matrix, row
from support.small_runs import SMALL, as_options
from xbarlab.protocols.keeping.joined import joined
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.runbooks import stations
from xbarlab.runbooks.runner.mock_chips import kept_chip

SHIPPED = Path(stations.__file__).parent
CHANGES = as_options("first_light_1t1r")

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")


def failed(kills: int, seed: int, *runbooks: str) -> list[str]:
    cases = kill_matrix(kills, seed, runbooks=runbooks or tuple(RUNBOOKS))
    assert len(cases) == kills
    return [row(number, case) for number, case in enumerate(cases) if not case.passed]


@pytest.mark.slow
def test_two_kills_of_a_1t1r_run() -> None:
    assert failed(2, 5, "first_light_1t1r") == []


@pytest.mark.slow
def test_a_kill_of_each_of_the_newest_steps_on_each_bench() -> None:
    cases = kill_matrix(8, 7, steps=["multilevel", "pulsed_iv", "pulse_answer", "compare_programming"])
    assert [row(number, case) for number, case in enumerate(cases) if not case.passed] == []


@pytest.mark.slow
def test_six_kills_of_all_runbooks() -> None:
    assert failed(6, 6) == []


def own_station(folder: Path, state: str) -> Path:
    """A station on a mock in the process whose bench file says where its chip lives."""
    for kind in ("bench", "chip", "station"):
        text = (SHIPPED / f"mock_ta_hfo2.{kind}.yaml").read_text(encoding="utf-8")
        text = text.replace("state: null", f"state: {state}").replace("mock_ta_hfo2.", "own.")
        (folder / f"own.{kind}.yaml").write_text(text, encoding="utf-8")
    return folder / "own.station.yaml"


def run_and_kill(station: Path, out: Path, units: int) -> None:
    """Kill a run as soon as it has completed ``units`` units of work."""
    arguments = ["run", "first_light_1t1r", "--station", str(station), "--out", str(out), "--quiet", *CHANGES]
    with subprocess.Popen(command(*arguments, figures=False), stderr=subprocess.PIPE) as process:
        journal, end = out / "journal.jsonl", time.monotonic() + 180.0
        while time.monotonic() < end and process.poll() is None:
            if journal.is_file() and journal.read_bytes().count(b'"unit_done"') >= units:
                break
            time.sleep(0.005)
        assert process.poll() is None, process.communicate()
        process.kill()


def resume(out: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command("resume", str(out), "--quiet", figures=False), capture_output=True, text=True, check=False
    )


@pytest.mark.slow
def test_a_chip_with_a_state_file_outlives_its_process(tmp_path: Path) -> None:
    """It is saved with every unit: what a kill takes is one unit in flight, and the cells formed stay formed."""
    out = tmp_path / "out"
    run_and_kill(own_station(tmp_path, "chip.npz"), out, 20)
    before = [e["unit"] for e in read_journal(out / "journal.jsonl") if e["event"] == "unit_done"]
    done = resume(out)
    assert done.returncode == 0, done.stderr
    entries = read_journal(out / "journal.jsonl")
    units = [(entry["step"], entry["unit"]) for entry in entries if entry["event"] == "unit_done"]
    assert len(units) == len(set(units)) > len(before) >= 20
    formed = joined(out, "form").groupby(["row", "col"])["conductance"].last()
    assert (formed > 20e-6).mean() > 0.9


@pytest.mark.slow
def test_a_chip_without_a_state_file_lives_on_in_the_run_folder(tmp_path: Path) -> None:
    """D2: what ``xbarlab resume`` promises holds on the default bench, whose chip is in memory."""
    out = tmp_path / "out"
    run_and_kill(own_station(tmp_path, "null"), out, 20)
    done = resume(out)
    assert done.returncode == 0, done.stderr
    units = [(e["step"], e["unit"]) for e in read_journal(out / "journal.jsonl") if e["event"] == "unit_done"]
    assert len(units) == len(set(units)) > 20
    formed = joined(out, "form").groupby(["row", "col"])["conductance"].last()
    assert (formed > 20e-6).mean() > 0.9


@pytest.mark.slow
def test_a_chip_that_is_gone_with_its_process_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run_and_kill(own_station(tmp_path, "null"), out, 3)
    kept_chip(out, 0).unlink()
    before = (out / "journal.jsonl").read_bytes()
    refused = resume(out)
    assert refused.returncode == 2
    assert "the chip of the mock bench own.bench.yaml was in the memory of the process" in refused.stderr
    assert "xbarlab mock serve" in refused.stderr
    assert "state: FILE" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert (out / "journal.jsonl").read_bytes() == before


@pytest.mark.slow
def test_in_the_process_that_ran_it_the_chip_is_still_there(tmp_path: Path) -> None:
    from xbarlab import resume_run
    from xbarlab.mockhw.bench.bench import forget_bench
    from xbarlab.protocols.keeping.run import Run
    from xbarlab.runbooks.runner.runner import run_runbook

    station = own_station(tmp_path, "null")
    out = tmp_path / "out"
    overrides = dict(SMALL["first_light_1t1r"])
    note, done = Run.note, 0

    def interrupt(self: Run, event: str, **fields: object) -> None:
        nonlocal done
        note(self, event, **fields)
        done += event == "unit_done"
        if done == 15:
            done += 1
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "note", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_runbook("first_light_1t1r", station=station, out=out, seed=4, overrides=overrides, quiet=True)
    assert resume_run(out, quiet=True).summary["steps_done"] == 6
    forget_bench(tmp_path / "own.bench.yaml")
