"""The fault matrix as tests: a slice among the slow ones, every ninth combination too, all of it by ``-m long``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import fault_matrix as matrix
from soak import run_soak


def assert_all_right(judged: list[Any]) -> None:
    wrong = [f"{one.combination.text}: {'; '.join(one.mistakes)}" for one in judged if one.mistakes]
    assert not wrong, "\n".join([*wrong, matrix.table(judged)])


@pytest.mark.slow
def test_every_fault_in_a_read_of_the_board(tmp_path: Path) -> None:
    judged = matrix.run_matrix(tmp_path, benches=["mock_ta_hfo2"], steps=["read_array"])
    assert_all_right(judged)
    assert {one.combination.fault for one in judged} == set(matrix.FAULTS)
    outcomes = Counter(one.outcome for one in judged)
    assert outcomes["absorbed"] >= 14, "a read is harmless: what is lost on the way is asked for once more"


@pytest.mark.slow
def test_a_slice_of_pulses_and_sweeps(tmp_path: Path) -> None:
    judged = matrix.run_matrix(tmp_path, benches=["mock_ta_hfo2"], steps=["pulse_response", "dc_sweep"], every=5)
    assert_all_right(judged)
    assert len(judged) >= 7


@pytest.mark.slow
def test_a_slice_of_the_probe_station(tmp_path: Path) -> None:
    judged = matrix.run_matrix(tmp_path, benches=["mock_tio2"], steps=["read_array"], every=11)
    assert_all_right(judged)
    assert len({one.combination.instrument for one in judged}) >= 3


@pytest.mark.slow
def test_a_slice_of_a_single_device(tmp_path: Path) -> None:
    judged = matrix.run_matrix(tmp_path, benches=["mock_single_2400"], every=4)
    assert_all_right(judged)
    assert {one.combination.step for one in judged} == set(matrix.SINGLE["mock_single_2400"]["steps"])


@pytest.mark.slow
def test_a_slice_of_the_probe_station_on_kxci(tmp_path: Path) -> None:
    judged = matrix.run_matrix(tmp_path, benches=["mock_tio2_4200"], every=5)
    assert_all_right(judged)
    assert {one.combination.step for one in judged} == set(matrix.ANALYSER["mock_tio2_4200"]["steps"])


@pytest.mark.long
def test_every_fault_at_the_probe_station_on_kxci(tmp_path: Path) -> None:
    judged = matrix.run_matrix(tmp_path, benches=["mock_tio2_4200"])
    print(matrix.table(judged))
    assert_all_right(judged)
    assert {one.combination.fault for one in judged} == set(matrix.FAULTS)


@pytest.mark.long
def test_every_fault_at_a_single_device(tmp_path: Path) -> None:
    judged = matrix.run_matrix(tmp_path, benches=["mock_single_2400"])
    print(matrix.table(judged))
    assert_all_right(judged)
    assert {one.combination.fault for one in judged} == set(matrix.FAULTS)


@pytest.mark.slow
@pytest.mark.parametrize("bench", list(matrix.BENCHES))
def test_every_ninth_of_the_whole_matrix(tmp_path: Path, bench: str) -> None:
    judged = matrix.run_matrix(tmp_path, benches=[bench], every=9)
    assert_all_right(judged)
    assert len(judged) >= {"mock_ta_hfo2": 16, "mock_tio2": 33}[bench]


@pytest.mark.long
@pytest.mark.parametrize("bench", list(matrix.BENCHES))
def test_the_whole_matrix(tmp_path: Path, bench: str) -> None:
    judged = matrix.run_matrix(tmp_path, benches=[bench])
    print(matrix.table(judged))
    assert_all_right(judged)
    assert len(judged) >= {"mock_ta_hfo2": 150, "mock_tio2": 300}[bench]
    assert {one.combination.step for one in judged} == set(matrix.BENCHES[bench]["steps"])


@pytest.mark.long
def test_a_short_soak(tmp_path: Path) -> None:
    soak = run_soak(tmp_path, 0.5, seed=2, minutes=10.0)
    assert not soak.failures, soak.failures
