"""The coverage study as a command: it resumes, judges, and a few chips show that no interval is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import norm

STUDY = Path(__file__).parents[1] / "benchmarks" / "study_coverage.py"
QUICK = ("wire", "stuck", "noise", "vmm", "drift")
CHIPS = 6


def study(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(STUDY), *arguments], check=False, capture_output=True, encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip


def line(chip: int, *, half: float, off: float) -> str:
    """A chip whose wire was found ``off`` Ω from the truth, with an interval of ±``half``."""
    number = {"key": "wire_ohm_per_segment", "true": 2.0, "value": 2.0 + off, "low": 2.0 + off - half,
              "high": 2.0 + off + half}  # fmt: skip
    return json.dumps({"chip": chip, "quantity": "wire", "seconds": 1.0, "numbers": [number], "counts": {}})


@pytest.mark.parametrize(
    ("half", "spread", "code"),
    [(0.1, 0.05, 0), (0.02, 0.05, 1), (1.0, 0.5, 1)],
    ids=["honest", "too narrow", "honest and too wide"],
)
def test_what_is_on_file_is_judged_and_not_done_again(tmp_path: Path, half: float, spread: float, code: int) -> None:
    file = tmp_path / "done.jsonl"
    off = spread * norm.ppf((np.arange(40) + 0.5) / 40)
    lines = [line(chip, half=half, off=float(x)) for chip, x in enumerate(off)]
    file.write_text("\n".join(lines) + '\n{"chip": 40, "quant', encoding="utf-8")
    told = study("--only", "wire", "--chips", "40", "--resume", str(file))
    assert "chip 0, wire" not in told.stderr, "nothing was measured"
    assert "| `wire_ohm_per_segment` | 40 |" in told.stdout
    assert told.returncode == code, told.stdout


@pytest.mark.slow
def test_intervals_of_a_few_drawn_chips_hold_the_truth_and_are_narrow(tmp_path: Path) -> None:
    file = tmp_path / "chips.jsonl"
    told = study("--only", *QUICK, "--chips", str(CHIPS), "--seeds-from", "900", "--resume", str(file))
    assert file.is_file(), told.stderr
    found = [json.loads(text) for text in file.read_text(encoding="utf-8").splitlines()]
    assert len(found) == CHIPS * len(QUICK)
    numbers = [one for entry in found for one in entry["numbers"]]
    held = sum(one["low"] <= one["true"] <= one["high"] for one in numbers)
    print(told.stdout)
    # 95 % intervals hold 24 or fewer of 30 three times in a thousand, intervals of half that width 19 times in 20.
    assert len(numbers) == 30
    assert held >= 25
    for key, most in (("wire_ohm_per_segment", 0.3), ("read_noise_rel", 0.2), ("vmm_column_gain", 0.01),
                      ("retention_drift_nu", 0.2)):  # fmt: skip
        mine = [one for one in numbers if one["key"] == key]
        scale = [1.0 if "ohm" in key else abs(one["true"]) for one in mine]
        widths = [(one["high"] - one["low"]) / size for one, size in zip(mine, scale, strict=True)]
        assert np.median(widths) <= 1.2 * most, key  # a median of six
    n = {
        name: sum(entry["counts"].get(name, 0) for entry in found)
        for name in ("stuck_true", "stuck_said", "stuck_both")
    }
    assert n["stuck_both"] >= 0.985 * max(n["stuck_true"], n["stuck_said"])
