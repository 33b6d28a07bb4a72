"""SIGKILL at a random moment of a training over TCP, then resume: it ends as well as one that was left alone."""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

import pytest

from kill_matrix import board_is_off, killed_after, lines, served, start
from xbarlab.protocols.keeping.journal import read_journal

pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kills by signal")

EVERY, STEPS = 10, 60
RUNBOOK = f"""---
title: A short training, for the test of resume
station: own.station.yaml
steps:
  - {{id: form, forming: {{cells: all, stop_volts: 3.3, gate: 1.3, width: 10e-6}}}}
  - id: train
    train_convlstm_sequence: {{epochs: 1, train_examples: {50 * STEPS}, test_examples: 500, checkpoint_every: {EVERY},
      rate: 0.005, share: 0.5, refresh: false, least: 3e-3, slope: 80e-6, gate_low: 1.6, gate_start: 2.4,
      gate_high: 3.2, twin: false, evaluations: 1}}
expect: {{}}
---
A test.
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_killed_training_over_tcp_ends_as_well_as_one_left_alone(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    accuracy: dict[str, float] = {}
    for name in ("whole", "killed"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "train.md").write_text(RUNBOOK, encoding="utf-8")
        out = folder / "out"
        with served("mock_ta_hfo2", "tcp_ta_hfo2", folder, seed) as (mock, _, _):
            going = start("run", str(folder / "train.md"), "--out", str(out), "--seed", str(seed), "--quiet")
            if name == "killed":
                # form has a dozen lines of its own; from then on a random one of the training's
                started = first_training_line(out, going)
                assert killed_after(going, out, started + rng.randrange(1, 5), rng.uniform(0.0, 1.0))
                assert board_is_off(mock)
                before = units(out)
                assert 0 < len(before) < 1 + STEPS // EVERY
                going = start("resume", str(out), "--quiet")
            text, _ = going.communicate(timeout=300.0)
            assert going.returncode == 0, text
        done = units(out)
        trained = ["start", *(f"step {first}" for first in range(0, STEPS, EVERY)), "finish"]
        assert done == [*trained, "pass 0", "training set"], "each once"
        if name == "killed":
            assert done[: len(before)] == before, "nothing before the last checkpoint was done again"
        accuracy[name] = json.loads((out / "summary.json").read_text(encoding="utf-8"))["test_accuracy"]
    assert accuracy["whole"] > 0.6
    assert accuracy["killed"] > accuracy["whole"] - 0.1


def first_training_line(out: Path, going: object) -> int:
    """Wait until training has begun; return how many lines the journal has then."""
    import time

    end = time.monotonic() + 120.0
    while time.monotonic() < end and going.poll() is None:  # type: ignore[attr-defined]
        if (out / "journal.jsonl").is_file() and "start" in units(out):
            return lines(out)
        time.sleep(0.02)
    raise AssertionError("training did not begin")


def units(out: Path) -> list[str]:
    entries = read_journal(out / "journal.jsonl")
    return [str(e["unit"]) for e in entries if e["event"] == "unit_done" and e["step"] == "train"]
