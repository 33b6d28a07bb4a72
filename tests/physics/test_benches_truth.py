"""The study of benches: chips on a bench come to what the physics gives, and a bench that is wrong is told."""

from __future__ import annotations

import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
ONE = "mock_single_2450"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import study_benches  # pyright: ignore[reportMissingImports]

    return study_benches


def chips(volts: Any) -> list[dict[str, float]]:
    return [{"v_form": v, "v_set": v, "v_reset": -v, "hrs": 2e4, "lrs": 2e3} for v in volts]


def test_a_median_beside_those_of_the_physics_is_told(study: ModuleType) -> None:
    rng = np.random.default_rng(3)
    truth = chips(rng.normal(1.0, 0.1, 200))
    for shift, holds in ((0.0, True), (0.02, True), (0.15, False), (-0.15, False)):
        found = study.compared("v_set", chips(rng.normal(1.0 + shift, 0.1, 20)), truth, truth[:20])
        assert found.holds is holds, (shift, found.likely)
    assert not study.compared("v_set", chips([np.nan] * 3), truth, truth[:3]).holds


def test_it_says_what_a_bench_leaves_out_and_which_runbook_it_can_do(study: ModuleType) -> None:
    single, arc = study.placed(ONE, "quick"), study.placed("mock_tio2_arc2", "quick")
    assert (single.book.name, arc.book.name) == ("first_cell", "first_cell_pulsed")
    assert [why.partition(":")[0] for why in (*single.skips, *arc.skips)] == ["step `pulses`", "`first_cell`"]
    assert "current limit" in arc.skips[0]
    assert single.point == pytest.approx(10e-3, rel=0.3)
    assert arc.point is None


@pytest.mark.slow
@pytest.mark.parametrize("station", [ONE, "mock_tio2_arc2"])
def test_a_chip_comes_to_what_it_comes_to_without_instruments(study: ModuleType, station: str, tmp_path: Path) -> None:
    file = tmp_path / "kept.jsonl"
    asked = ["--stations", station, "--preset", "quick", "--seeds", "1", "--chips", "40", "--resume", str(file)]
    assert study.main(asked) == 0
    lines = file.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 1 + 1 + 40
    assert study.main(asked) == 0  # nothing is done twice
    assert file.read_text(encoding="utf-8").splitlines() == lines
    bench, same = (json.loads(line)["found"] for line in lines[:2])
    for key in ("v_form", "v_set", "v_reset"):
        assert bench[key] == pytest.approx(same[key], rel=0.08), key
