"""A run that only reads is killed on a station and resumed: is anything missing or twice?"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from ....instruments.station.station_file import read_station
from ....protocols.keeping.journal import read_journal
from ...stations import find_station, in_process_benches
from .check import Finding

_STEPS = 12
_KILL_AFTER = 3
_PATIENCE = 300.0
_NAME, _WANTED = "a killed run", "resumed to its end, no step missing or twice"


def not_to_be_killed(station: str) -> Finding | None:
    """Return why no run can be killed on a station; None where one can."""
    file = read_station(find_station(station))
    if in_process_benches(file) and not file.states:
        remedy = "the chip of this mock ends with its process: name a file in its bench's state:"
        return Finding(_NAME, "not tried", _WANTED, None, remedy)
    return None


def killed_and_resumed(station: str, cells: str, folder: Path) -> Finding:
    """Run reads of ``cells`` in another process, kill it after some, resume it, and look at its journal.

    Parameters
    ----------
    folder : where the runbook and its run are put
    """
    file = read_station(find_station(station))
    steps = [f"r{number:02d}" for number in range(_STEPS)]
    book, out = folder / "reads.md", folder / "run"
    lines = "".join(f'  - {{id: {step}, read_array: {{cells: "{cells}"}}}}\n' for step in steps)
    book.write_text(f"---\nformat: 1\ntitle: Reads\nsteps:\n{lines}---\nReads.\n", encoding="utf-8")
    done = _killed(["run", str(book), "--station", str(file.path), "--out", str(out), "--quiet"], out)
    if done is None:
        return Finding(_NAME, "not tried", _WANTED, None, "the run ended before it could be killed, or did not begin")
    resumed = subprocess.run(_command("resume", str(out), "--quiet"), capture_output=True, text=True, check=False)
    if resumed.returncode:
        said = resumed.stderr.strip().splitlines() or ["it said nothing"]
        return Finding(_NAME, f"exit code {resumed.returncode}", _WANTED, False, said[-1])
    entries = read_journal(out / "journal.jsonl")
    counted = Counter(str(entry["step"]) for entry in entries if entry["event"] == "step_done")
    wrong = [step for step in steps if counted[step] != 1]
    found = f"killed after {done} of {_STEPS} steps, {sum(counted.values())} done after the resume"
    return Finding(_NAME, found, _WANTED, not wrong, f"missing or twice: {', '.join(wrong)}")


def _command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", f"{__name__.partition('.')[0]}.cli", *arguments]


def _killed(arguments: list[str], out: Path) -> int | None:
    """Start a run and kill it; return after how many steps, None where it was over."""
    journal, end = out / "journal.jsonl", time.monotonic() + _PATIENCE
    with subprocess.Popen(_command(*arguments), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while process.poll() is None and time.monotonic() < end:
                done = journal.read_bytes().count(b'"step_done"') if journal.is_file() else 0
                if done >= _KILL_AFTER:
                    process.kill()
                    return done
                time.sleep(0.005)
        finally:
            if process.poll() is None:
                process.kill()
    return None
