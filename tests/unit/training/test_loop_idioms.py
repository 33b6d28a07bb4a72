"""Loops as torch users write them, on the array and on a float twin, without noise; and the closed list of refusals."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch")

from support.exact_cells import NO_NOISE
from support.loop_idioms import IDIOMS, Idiom, refusals, run_idiom, run_two_models
from support.training_bench import write_bench
from xbarlab.runbooks.stations import open_bench

WITHIN = 3e-3
"""Of the largest weight, after a loop: twice what the converters of 14 bits leave of one read."""
STUDY = Path(__file__).parents[2] / "benchmarks" / "study_layers.py"


@pytest.fixture(scope="module")
def array(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("loops")
    station = write_bench(folder, "gate_voltage_1t1r", size=(64, 40), converters=NO_NOISE)
    with open_bench(station, seed=1) as bench:
        yield bench.array


@pytest.mark.parametrize("idiom", IDIOMS, ids=lambda idiom: idiom.__name__)
def test_a_loop_does_on_the_array_what_it_does_on_the_host(array: Any, idiom: Idiom) -> None:
    found = run_idiom(array, idiom)
    assert found.error < WITHIN
    assert found.vectors > 0
    assert found.pulses > 0


def test_models_beside_each_other(array: Any) -> None:
    assert run_two_models(array).error < WITHIN


def test_what_is_refused_in_loops_is_said(array: Any) -> None:
    told = refusals(array)
    assert "NOT REFUSED" not in told.values()
    assert len(told) == 9


@pytest.mark.slow
def test_the_table_is_printed_by_a_command() -> None:
    done = subprocess.run([sys.executable, str(STUDY), "--quick"], check=True, capture_output=True, encoding="utf-8")
    assert "A closure given to step" in done.stdout
    assert "LBFGS evaluates the model several times" in done.stdout
    assert "NOT REFUSED" not in done.stdout
