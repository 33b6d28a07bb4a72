"""Make this folder with commit 0b7d48c: a run over TCP on a mock whose chip has a state file, killed in the middle.

    git worktree add ../at_0b7d48c 0b7d48c          # and an environment in which `import xbarlab` is that tree
    python make.py OUT                              # with that environment's Python

The server is a process of its own and is ended by Ctrl-C after the client got SIGKILL, so that the chip is saved.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

UNITS = 9
PORT = 15431


def main(out: Path) -> None:
    out.mkdir(parents=True)
    from xbarlab.runbooks import stations

    shipped = Path(stations.__file__).parent
    bench = (shipped / "mock_tio2.bench.yaml").read_text(encoding="utf-8").replace("state: null", "state: chip.npz")
    (out / "own.bench.yaml").write_text(bench.replace("seed: 0", "seed: 5"), encoding="utf-8")
    shutil.copy(shipped / "mock_tio2.chip.yaml", out / "own.chip.yaml")
    (out / "small.md").write_text((Path(__file__).parent / "small.md").read_text(encoding="utf-8"), encoding="utf-8")
    command = [sys.executable, "-m", "xbarlab.cli"]
    server = subprocess.Popen(
        [*command, "mock", "serve", str(out / "own.bench.yaml"), "--port", str(PORT)], stdout=subprocess.PIPE, text=True
    )
    station = (shipped / "tcp_tio2.station.yaml").read_text(encoding="utf-8").replace("mock_tio2.chip", "own.chip")
    assert server.stdout is not None
    for line in server.stdout:
        served = re.match(r"(\S+) is served at (\S+)", line)
        if served:
            station = station.replace(served.group(1), served.group(2))
        if line.startswith("chip "):
            break
    (out / "own.station.yaml").write_text(station, encoding="utf-8")
    run, journal = out / "run", out / "run" / "journal.jsonl"
    arguments = ["--station", str(out / "own.station.yaml"), "--out", str(run), "--seed", "3", "--quiet"]
    client = subprocess.Popen([*command, "run", str(out / "small.md"), *arguments])
    while client.poll() is None:
        if journal.is_file() and journal.read_bytes().count(b'"unit_done"') >= UNITS:
            break
        time.sleep(0.002)
    assert client.poll() is None, "the run ended before it was killed"
    client.kill()
    client.wait()
    time.sleep(2.0)
    server.send_signal(signal.SIGINT)
    server.wait(timeout=30.0)
    assert (out / "chip.npz").is_file()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
