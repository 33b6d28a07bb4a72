"""Every shipped mock bench, and arrays that break the contract, against the conformance checks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xbarlab import open_bench
from xbarlab.conformance.contract import CHECKS
from xbarlab.conformance.subject import BrokenError, NotHereError, Subject
from xbarlab.runbooks.stations import list_stations

MOCKS = sorted(name for name in list_stations() if name.startswith("mock_"))
FAST = ("mock_ta_hfo2", "mock_tio2", "mock_two_boards")
"""One of each kind of array; the others are slow."""


def held(name: str, folder: Path, cells: str | None = None) -> tuple[list[str], dict[str, str]]:
    """Return what a station breaks, and what is skipped with its reason."""
    log = folder / "wire.log"
    log.touch()
    broken, skipped = list[str](), dict[str, str]()
    with open_bench(name, seed=1, trace=log) as bench:
        on = Subject.on(bench, cells, log)
        assert on.announced()
        for check in CHECKS:
            try:
                check.on(on)
            except NotHereError as why:
                skipped[check.name] = str(why)
            except BrokenError as found:
                broken.append(f"{check.name}: {found}")
    return broken, skipped


def stations() -> Iterator[object]:
    for name in MOCKS:
        yield pytest.param(name, id=name, marks=[] if name in FAST else pytest.mark.slow)


def test_there_are_benches_of_every_kind() -> None:
    assert set(FAST) <= set(MOCKS)
    assert len(MOCKS) >= 10


@pytest.mark.parametrize("name", list(stations()))
def test_a_shipped_bench_keeps_the_contract(name: str, tmp_path: Path) -> None:
    broken, skipped = held(name, tmp_path)
    assert not broken, "\n".join(broken)
    for check, why in skipped.items():
        assert "would need" in why or "no gates" in why or "carries a current" in why, f"{check}: {why}"


def run_suite(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--pyargs", "xbarlab.conformance", *arguments],
        capture_output=True, text=True, check=False, cwd=folder, timeout=300,
    )  # fmt: skip


def test_without_a_station_there_is_one_sentence(tmp_path: Path) -> None:
    done = run_suite(folder=tmp_path)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    assert len(said) == 1, said
    assert "--station FILE" in said[0]


@pytest.mark.slow
def test_the_command_says_first_what_it_does_and_passes(tmp_path: Path) -> None:
    done = run_suite("--station", "mock_soft_bounds", "--cells", "2:4,1:3", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"{len(CHECKS) - 1} passed, 1 skipped" in done.stdout, "a board gives no staircases by itself"
    first = done.stdout.splitlines()
    told = next(n for n, line in enumerate(first) if line.startswith("To the chip: reads of cells 2:4,1:3 at ±0.2 V"))
    assert told < next(n for n, line in enumerate(first) if line.startswith("...")), "it says so before it begins"
