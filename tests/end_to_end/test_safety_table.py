"""The table of proofs: what is not found, not run or ended early is a proof that failed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

import pytest

import safety_table as safety


def said_by_pytest(said: str = "", passed: tuple[str, ...] = ("test_a",), **others: list[str]) -> Any:
    return safety.Tests(said, list(passed), **{"failed": [], "skipped": [], **others})


@pytest.mark.parametrize("proof", ["limits", "files", "fuzz", "host"])
@pytest.mark.parametrize(
    "tests",
    [said_by_pytest(), said_by_pytest(passed=()), said_by_pytest("limits everywhere: 9,999 requests, of which")],
)
def test_numbers_that_are_not_found_prove_nothing(monkeypatch: pytest.MonkeyPatch, proof: str, tests: Any) -> None:
    monkeypatch.setattr(safety, "run_tests", lambda *_: tests)
    assert not safety.PROOFS[proof](argparse.Namespace()).met


def test_limits_are_proved_by_their_count_and_a_clean_run(monkeypatch: pytest.MonkeyPatch) -> None:
    said = "\nlimits everywhere: 16,500 requests, of which 3 were refused\n"
    for tests, met in ((said_by_pytest(said), True), (said_by_pytest(said, failed=["test_b"]), False)):
        monkeypatch.setattr(safety, "run_tests", lambda *_, tests=tests: tests)
        assert safety.limits(argparse.Namespace()).met is met


def test_every_trouble_has_to_be_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    names = tuple(test for tests in safety.TROUBLES.values() for test in tests)
    for passed, met in ((names, True), (names[1:], False)):
        monkeypatch.setattr(safety, "run_tests", lambda *_, passed=passed: said_by_pytest(passed=passed))
        assert safety.files(argparse.Namespace()).met is met


def test_pytest_is_read_by_what_it_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "test_own.py"
    path.write_text(
        "import pytest\ndef test_a(): pass\ndef test_b(): assert 0\n@pytest.mark.skip\ndef test_c(): pass\n"
    )
    tests = safety.run_tests(str(path))
    assert (tests.passed, tests.failed, tests.skipped) == (["test_a"], ["test_b"], ["test_c"])
    assert not tests.clean
    assert not safety.run_tests(str(tmp_path / "nowhere.py")).clean
    assert "failed: test_b" in capsys.readouterr().out


def test_a_proof_that_leaves_no_row_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    proof = safety.in_a_process("limits", ["--kills", "no number"])
    assert not proof.met
    assert "no numbers" in proof.number
    monkeypatch.setattr(safety, "in_a_process", lambda name, _: safety.Proof(name, "", "", "", name != "host"))
    monkeypatch.setattr(sys, "argv", ["safety_table.py", "--only", "limits,host"])
    assert safety.main() == 1
    monkeypatch.setattr(sys, "argv", ["safety_table.py", "--only", "limits,files"])
    assert safety.main() == 0
