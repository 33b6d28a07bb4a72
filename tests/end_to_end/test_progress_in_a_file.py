"""A run whose output goes to a file says what it does: step, units done of total, time left."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow


def test_a_redirected_run_tells_what_lasts_and_leaves_figures_as_steps_end(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xbarlab.cli", "run", "first_light_tio2", "--set", "form.cells=0:2,0:2"]
    command += ["--set", "iv.cells=0:2,0:2", "--set", "yield.cells=0:2,0:2", "--set", "disturb.pulses=300"]
    seen: list[str] = []
    with (tmp_path / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen([*command, "--out", "out"], stdout=log, stderr=subprocess.STDOUT, cwd=tmp_path)
        end = time.monotonic() + 300.0
        while process.poll() is None and time.monotonic() < end:
            if not seen and (tmp_path / "out" / "figures" / "virgin.png").is_file():
                seen.append((tmp_path / "out" / "journal.jsonl").read_text(encoding="utf-8"))
            time.sleep(0.05)
        process.wait(10.0)
    told = (tmp_path / "log").read_text(encoding="utf-8")
    assert process.returncode == 0, told
    assert seen, "the figures of the first step are there before the last ends"
    assert '"run_done"' not in seen[0]
    assert re.search(r"^\d\d:\d\d:\d\d results: out; figures of each step", told, re.MULTILINE)
    lines = re.findall(r"^\d\d:\d\d:\d\d (\w+) \(step (\d) of 7\): (.*)$", told, re.MULTILINE)
    assert lines, told
    assert any(re.search(r"\d+ of \d+ .*so far, (about .* left|time left not known yet)", rest) for *_, rest in lines)


def test_quiet_is_quiet(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "xbarlab.cli", "run", "first_cell", "--preset", "quick", "--quiet"]
    done = subprocess.run([*command, "--out", "out"], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert (done.stdout, done.stderr) == ("", "")
