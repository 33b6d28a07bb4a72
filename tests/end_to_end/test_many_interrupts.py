"""A hand on Ctrl-C presses it five times: bench, report and the hint how to go on come first, whatever the command."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGINT for another process"),
]

# A shell that runs the tests in the background hands SIGINT down ignored.
CODE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from xbarlab.cli import main
sys.exit(main())
"""


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CODE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("gap", [0.0, 0.1])
def test_a_run_that_is_interrupted_five_times_leaves_report_and_hint(
    tmp_path: Path, number: signal.Signals, gap: float
) -> None:
    process = begun(tmp_path, "run", "first_light_1t1r", "--out", "out")
    journal = tmp_path / "out" / "journal.jsonl"
    end = time.monotonic() + 120.0
    while time.monotonic() < end and process.poll() is None:
        if journal.is_file() and "unit_done" in journal.read_text(encoding="utf-8"):
            break
        time.sleep(0.05)
    for _ in range(5):
        if process.poll() is None:
            process.send_signal(number)
        time.sleep(gap)
    out, err = process.communicate(timeout=60.0)
    assert process.returncode == 130, err
    assert "To go on from there: xbarlab resume out" in out
    assert "could not be written" not in out, out
    assert "not reached" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "Traceback" not in err
    assert err.count("xbarlab: interrupted") == 1
