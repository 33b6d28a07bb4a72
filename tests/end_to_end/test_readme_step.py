"""The step of the README, to the letter: it runs, and nothing of it runs unasked."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from xbarlab import cli
from xbarlab.protocols.keeping.joined import joined

README = Path(__file__).parents[2] / "README.md"
SECTION = README.read_text(encoding="utf-8").partition("## A step of your own\n")[2].partition("\n## ")[0]
BLOCKS = dict(re.findall(r"```(python|markdown|sh)\n(.*?)```", SECTION, re.DOTALL))
(COMMAND,) = BLOCKS["sh"].splitlines()


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "my_steps.py").write_text(BLOCKS["python"], encoding="utf-8")
    (tmp_path / "my_runbook.md").write_text(BLOCKS["markdown"], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments() -> list[str]:
    name, *rest = shlex.split(COMMAND)
    assert name == "xbarlab"
    return [*rest, "--quiet"]


def test_plan_and_function_are_as_short_as_promised() -> None:
    plan, function = BLOCKS["python"].split("@step")
    lines = [line for line in plan.partition("class")[2].splitlines() if line.strip()]
    assert len(lines) <= 10
    assert len([line for line in function.partition("\ndef")[2].splitlines() if line.strip()]) <= 10


def test_it_runs_as_it_stands(here: Path) -> None:
    assert cli.main(arguments()) == 0
    out = here / "runs" / "rest"
    summary = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert 0.0 < summary["rest_drift"] < 0.2
    report = (out / "report.html").read_text(encoding="utf-8")
    for text in ("Cells at rest", "Read the same cells again and again", "relative change of the median cell at rest"):
        assert text in report
    assert (out / "figures" / "rest.png").stat().st_size > 5_000
    assert joined(out, "rest").conductance.size == 5 * 16
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["plugins"]


def test_its_parameters_and_expectations_are_checked_before_anything_is_sent(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main([*arguments()[:-1], "--dry-run"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "rest cells_at_rest 16 0.2 V 0" in shown
    assert cli.main([*arguments(), "--set", "rest.reeds=3"]) == 2
    assert "did you mean 'reads'" in capsys.readouterr().err
    assert not (here / "runs").exists()


def test_a_runbook_that_names_it_does_not_run_it(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "my_steps.py").write_text("open('ran', 'w').close()\n" + BLOCKS["python"], encoding="utf-8")
    for command in (["run", "my_runbook.md"], ["run", "my_runbook.md", "--dry-run"], ["list"]):
        code = cli.main(command)
        said = capsys.readouterr().err
        assert (code, "add --plugin" in said) == ((0, False) if command == ["list"] else (2, True))
        assert not (here / "ran").exists()
    assert cli.main(["list", "steps", "--plugin", "my_steps.py"]) == 0
    assert "cells_at_rest" in capsys.readouterr().out
    assert (here / "ran").exists()
