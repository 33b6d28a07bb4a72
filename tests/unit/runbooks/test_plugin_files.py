"""Plug-in files of a run: what runs them, what does not, and what a resume wants of them."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest

from support.fake_array import FakeBench
from xbarlab import cli
from xbarlab.runbooks.runner import resume as resumes
from xbarlab.runbooks.runner import runner

README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")
(STEPS,) = re.findall(r"```python\n(import numpy as np\nfrom xbarlab import Block, Forecast.*?)```", README, re.DOTALL)
RUNBOOK = """---
title: Do cells stay?
station: bench.station.yaml
plugin: my_steps.py
steps:
  - {id: rest, cells_at_rest: {cells: "0:2,0:2", reads: 4, pause: 0.0}}
---
Text for a person.
"""
TRACE = "\nwith open('ran', 'a') as trace:\n    trace.write('x')\n"


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> FakeBench:
    fake = FakeBench()
    monkeypatch.setattr(runner, "open_bench", fake.opener())
    monkeypatch.setattr(resumes, "read_station", lambda _: None)
    monkeypatch.setattr(resumes, "take_up_chips", lambda *_: None)
    monkeypatch.setattr(runner.RunRecord, "_sections", lambda _: [])
    monkeypatch.setattr(runner.RunRecord, "drawn", lambda *_: None)
    return fake


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "bench.station.yaml").write_text("# a fake\n", encoding="utf-8")
    (tmp_path / "small.md").write_text(RUNBOOK, encoding="utf-8")
    (tmp_path / "my_steps.py").write_text(STEPS + TRACE, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*more: str) -> int:
    return cli.main(["run", "small.md", "--out", "out", "--quiet", *more])


def resume(*more: str) -> int:
    return cli.main(["resume", "out", "--quiet", *more])


def times_run(here: Path) -> int:
    trace = here / "ran"
    return len(trace.read_text(encoding="utf-8")) if trace.exists() else 0


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def answer(monkeypatch: pytest.MonkeyPatch, text: str) -> Terminal:
    shown = Terminal()
    monkeypatch.setattr("sys.stdin", Terminal(text))
    monkeypatch.setattr("sys.stderr", shown)
    return shown


# -- run ---------------------------------------------------------------------------------------------------------------


def test_the_command_line_says_so(bench: FakeBench, here: Path) -> None:
    assert run("--plugin", "my_steps.py") == 0
    assert times_run(here) == 1
    card = json.loads((here / "out" / "run.json").read_text(encoding="utf-8"))
    ((path, sha256),) = card["plugins"].items()
    assert Path(path) == here / "my_steps.py"
    assert len(sha256) == 64


@pytest.mark.parametrize("more", [[], ["--dry-run"], ["--set", "rest.reads=2"]])
def test_a_runbook_alone_does_not(
    bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str], more: list[str]
) -> None:
    assert run(*more) == 2
    said = capsys.readouterr().err
    assert "small.md:4: this runbook names the plug-in my_steps.py, whose code is not run" in said
    assert f"add --plugin {here / 'my_steps.py'}" in said
    assert times_run(here) == bench.opened == 0
    assert not (here / "out").exists()


@pytest.mark.parametrize(("said", "code"), [("y\n", 0), ("yes\n", 0), ("n\n", 2), ("\n", 2), ("", 2), ("maybe\n", 2)])
def test_a_person_at_a_terminal_may(
    bench: FakeBench, here: Path, monkeypatch: pytest.MonkeyPatch, said: str, code: int
) -> None:
    shown = answer(monkeypatch, said)
    assert run() == code
    assert "Run it? [y/N]" in shown.getvalue()
    assert times_run(here) == (code == 0)


def test_a_moved_plug_in_is_the_one_the_command_line_names(bench: FakeBench, here: Path) -> None:
    (here / "elsewhere").mkdir()
    (here / "my_steps.py").rename(here / "elsewhere" / "my_steps.py")
    assert run("--plugin", "elsewhere/my_steps.py") == 0


def test_another_file_does_not_allow_the_one_the_runbook_names(
    bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "other.py").write_text(STEPS.replace("cells_at_rest", "other"), encoding="utf-8")
    assert run("--plugin", "other.py") == 2
    assert "add --plugin" in capsys.readouterr().err
    assert times_run(here) == 0


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("plugin: gone.py", r"small\.md:4: plug-in file .*gone\.py does not exist"),
        ("plugin: 3", r"small\.md:4: 'plugin' = 3 must be the path of a Python file, or a list"),
        ("plugin: [my_steps.py, {a: b}]", r"'plugin' = .* must be the path"),
        ("plugin: small.md", "is no Python file"),
        ("plugins: my_steps.py", "unknown key 'plugins'.*did you mean 'plugin'"),
    ],
)
def test_what_is_no_plug_in_is_refused(
    bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str], key: str, said: str
) -> None:
    (here / "small.md").write_text(RUNBOOK.replace("plugin: my_steps.py", key), encoding="utf-8")
    assert run() == 2
    assert re.search(said, capsys.readouterr().err)
    assert times_run(here) == bench.opened == 0


def test_a_step_that_takes_a_shipped_name_is_refused(
    bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "my_steps.py").write_text(STEPS.replace("cells_at_rest", "read_array"), encoding="utf-8")
    assert run("--plugin", "my_steps.py") == 2
    said = capsys.readouterr().err
    assert "step 'read_array' is offered twice, by xbarlab" in said
    assert str(here / "my_steps.py") in said
    assert bench.opened == 0


def test_its_names_last_as_long_as_the_command(
    bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--plugin", "my_steps.py") == 0
    assert cli.main(["list", "steps"]) == 0
    assert "cells_at_rest" not in capsys.readouterr().out
    (here / "small.md").write_text(RUNBOOK.replace("plugin: my_steps.py\n", ""), encoding="utf-8")
    assert cli.main(["run", "small.md", "--dry-run"]) == 2
    assert "unknown step 'cells_at_rest'" in capsys.readouterr().err


def test_a_defect_of_a_plug_in_is_said_to_be_its_own(
    bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "my_steps.py").write_text(STEPS.replace("return work.result", "1 / 0; return work.result"), "utf-8")
    assert run("--plugin", "my_steps.py") == 70
    said = capsys.readouterr().err
    assert f"this came out of the plug-in {here / 'my_steps.py'} (my_steps.py:" in said
    assert "in cells_at_rest): look there first" in said
    assert "defect of xbarlab" not in said


def test_a_number_that_is_not_defined_says_so(bench: FakeBench, here: Path) -> None:
    text = STEPS.replace("work.result(", "work.result(extra=1.0, ")
    (here / "my_steps.py").write_text(text, encoding="utf-8")
    assert run("--plugin", "my_steps.py") == 0
    assert json.loads((here / "out" / "summary.json").read_text(encoding="utf-8"))["extra"] == 1.0
    from xbarlab.protocols.keeping.step_result import StepResult

    ((_, table),) = StepResult({"extra": 1.0}).section().tables
    assert "without naming it in metrics" in table["definition"][0]


def test_a_metric_of_two_meanings_is_refused(bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    other = STEPS.replace("cells_at_rest", "other_rest").replace("relative change of the median cell", "another thing")
    (here / "other.py").write_text(other, encoding="utf-8")
    runbook = RUNBOOK.replace("---\nText", '  - {id: again, other_rest: {cells: "0:2,0:2"}}\n---\nText')
    (here / "small.md").write_text(runbook, encoding="utf-8")
    assert run("--plugin", "my_steps.py", "--plugin", "other.py") == 2
    said = capsys.readouterr().err
    assert "metric 'rest_drift' is “relative change of the median cell at rest [fraction]” in step 'rest'" in said
    assert bench.opened == 0


# -- resume ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def cut(bench: FakeBench, here: Path) -> Path:
    """A run that was cut after two of four units."""
    array = bench.array
    array._fail_at, array._error = len(array.actions) + 3, KeyboardInterrupt()
    assert run("--plugin", "my_steps.py") == 130
    array._fail_at = None
    (here / "ran").unlink()
    return here


def test_a_cut_run_says_how_to_go_on(bench: FakeBench, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = bench.array
    array._fail_at, array._error = len(array.actions) + 3, KeyboardInterrupt()
    cli.main(["run", "small.md", "--out", "out", "--plugin", "my_steps.py"])
    assert f"xbarlab resume out --plugin {here / 'my_steps.py'}" in capsys.readouterr().out


def test_it_goes_on_with_the_same_file(cut: Path) -> None:
    assert resume("--plugin", "my_steps.py") == 0
    units = [line for line in (cut / "out" / "journal.jsonl").read_text("utf-8").splitlines() if '"unit_done"' in line]
    assert len(units) == 4
    summary = json.loads((cut / "out" / "summary.json").read_text(encoding="utf-8"))
    assert "rest_drift" in summary


def test_a_folder_alone_runs_nothing(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert resume() == 2
    assert f"add --plugin {cut / 'my_steps.py'}" in capsys.readouterr().err
    assert times_run(cut) == 0


def test_a_person_at_a_terminal_may_let_it_go_on(cut: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer(monkeypatch, "y\n")
    assert resume() == 0


@pytest.mark.parametrize("more", [["--plugin", "my_steps.py"], []])
def test_a_changed_file_is_refused(
    cut: Path, capsys: pytest.CaptureFixture[str], more: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (cut / "my_steps.py").write_text(STEPS + TRACE + "# changed\n", encoding="utf-8")
    before = (cut / "out" / "journal.jsonl").read_bytes()
    assert resume(*more) == 2
    said = capsys.readouterr().err
    assert "my_steps.py was changed since the run was begun" in said
    assert times_run(cut) == 0
    assert (cut / "out" / "journal.jsonl").read_bytes() == before


def test_a_moved_file_is_the_same_file(cut: Path) -> None:
    (cut / "my_steps.py").rename(cut / "moved.py")
    assert resume("--plugin", "moved.py") == 0


def test_a_file_that_is_gone_or_another_one_is_refused(cut: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (cut / "other.py").write_text(STEPS.replace("cells_at_rest", "other"), encoding="utf-8")
    assert resume("--plugin", "my_steps.py", "--plugin", "other.py") == 2
    assert "other.py: this run was begun with" in capsys.readouterr().err
    (cut / "my_steps.py").unlink()
    assert resume() == 2
    assert "is gone: say where it is now with --plugin FILE" in capsys.readouterr().err
