"""The host of a single device gets SIGKILL, its chip lives in another process: how long a bias lasts, and resumes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.cli import main
from xbarlab.mockhw.bench.bench import MockBench, forget_bench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.probe_circuit.terminal import Terminal
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.runbooks.stations import find_bench, find_station

LONGEST = 5.0  # s, the least that all actions below fit in
NEARLY_0 = 10e-3  # V
ACTIONS = {
    "sweep": "array.ability(Sweeps).sweep(0, 0, [0.2] * 9, compliance=1e-3, dwell=0.5)",
    "read": "array.read(CELL, average=1000)",
    "pulses": "array.pulse(PulseMap(CELL, volts=0.3, width=10e-3, count=2000))",
    "trace": "array.ability(Samples).sample(0, 0, 0.2, rate=20.0, seconds=4.5)",
}
HOST = """
import sys
from xbarlab import Block, open_bench
from xbarlab.instruments.abilities import Samples, Sweeps
from xbarlab.instruments.capabilities import PulseMap
CELL = Block(0, 1, 0, 1)
with open_bench(sys.argv[1]) as bench:
    array = bench.array
    array.hand = lambda request: None
    array.read(CELL)
    print("ready", flush=True)
    sys.stdin.readline()
    {action}
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL here"),
]


@contextmanager
def served(station: str, folder: Path, *, clock: str) -> Generator[tuple[MockBench, Path, int]]:
    """Serve a fresh bench; yield it, a station that reaches it, and the port of its instrument."""
    own = folder / "own.bench.yaml"
    own.write_text(find_bench(station).read_text(encoding="utf-8"), encoding="utf-8")
    mock = fresh_bench(own, seed=1)
    try:
        with serve(mock, port=0) as addresses:
            ((address, (host, port)),) = addresses.items()
            text = find_station(station).read_text(encoding="utf-8")
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET").replace("clock: auto", f"clock: {clock}")
            text = text.replace(f"{station}.bench.yaml@xbarlab", '"@py"').replace(
                "smu: smu}", f"smu: smu, longest: {LONGEST}}}"
            )
            chip = find_station(station).with_name(f"{station}.chip.yaml")
            text = text.replace(chip.name, chip.as_posix())
            (folder / "own.station.yaml").write_text(text, encoding="utf-8")
            yield mock, folder / "own.station.yaml", port
    finally:
        forget_bench(own)


def longest_bias(changes: list[tuple[float, bool, float]]) -> float:
    """Return the longest time [s] that a level other than 0 V lay at the terminal without a break of 0.1 s."""
    longest, began, ended = 0.0, None, -np.inf
    for at, on, volts in changes:
        live = on and abs(volts) > NEARLY_0
        if live and began is None:
            began = at
        elif not live and began is not None:
            longest, began, ended = max(longest, at - began), None, at
    assert began is None, "a level is still there"
    assert np.isfinite(ended)
    return longest


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("station", ["mock_single_2400", "mock_single_2450"])
def test_a_killed_host_leaves_the_rest_of_one_list_and_then_0_v(
    station: str, action: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[tuple[float, bool, float]] = []
    plain = Terminal.set

    def noted(self: Terminal, now: float, **what: Any) -> None:
        plain(self, now, **what)
        if self.name == "smu":
            changes.append((now, self.on, self.volts))

    monkeypatch.setattr(Terminal, "set", noted)
    with served(station, tmp_path, clock="wall") as (mock, own, port):
        assert mock.hand is not None
        chip: Any = mock.chip
        chip.assume_formed(0.5)
        mock.hand.connect(next(iter(mock.hand._devices)))  # pyright: ignore[reportPrivateUsage]
        script = tmp_path / "host.py"
        script.write_text(HOST.format(action=ACTIONS[action]), encoding="utf-8")
        host = subprocess.Popen([sys.executable, str(script), str(own)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert host.stdin is not None
        assert host.stdout is not None
        assert host.stdout.readline() == b"ready\n"
        (smu,) = mock.instruments.values()
        before = len(changes)
        host.stdin.write(b"\n")
        host.stdin.flush()
        until = time.monotonic() + 30.0
        while not any(abs(volts) > NEARLY_0 for _, _, volts in changes[before:]):
            assert time.monotonic() < until, "it never began"
            time.sleep(0.02)
        time.sleep(0.3)
        assert smu.busy, "the list is over already: nothing would be proved"
        os.kill(host.pid, signal.SIGKILL)
        host.wait(timeout=10.0)
        host.stdin.close()
        host.stdout.close()
        until = time.monotonic() + 3.0 * LONGEST
        # Time goes on there when somebody looks: another client, who only asks for the time.
        with socket.create_connection(("127.0.0.1", port)) as watch:
            while smu.busy:
                assert time.monotonic() < until, "the list does not end"
                watch.sendall(b"SIM:CLOC?\n")
                watch.recv(100)
                time.sleep(0.05)
        terminal: Any = smu.terminal  # pyright: ignore[reportAttributeAccessIssue]
        assert abs(terminal.volts) <= NEARLY_0
        bias = longest_bias(changes)
    print(f"{station} {action}: the longest bias lasted {bias:.2f} s of {LONGEST:g} s")
    assert bias <= LONGEST


def test_a_killed_run_goes_on_and_has_the_command_connect_the_right_device(tmp_path: Path) -> None:
    book = tmp_path / "loops.md"
    loops = '{cells: "0:3,0", cycles: 30, step: 0.02, positive: 0.3, negative: -0.3}'
    book.write_text(
        f"---\ntitle: Loops\nstation: own.station.yaml\nsteps:\n  - {{id: iv, dc_sweep: {loops}}}\n---\nx\n",
        encoding="utf-8",
    )
    out, program = tmp_path / "run", f'"{sys.executable}" -m xbarlab.cli'
    with served("mock_single_2400", tmp_path, clock="auto") as (mock, _, port):
        assert mock.hand is not None
        hand = f"{program} mock connect mock_single_2400 {{device}} --port {port}"
        run = [sys.executable, "-m", "xbarlab.cli", "run", str(book), "--out", str(out), "--quiet", "--hand", hand]
        host = subprocess.Popen(run)
        until = time.monotonic() + 120.0
        while mock.hand.asked != ["A1", "A2"]:
            assert host.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        time.sleep(0.2)
        os.kill(host.pid, signal.SIGKILL)
        host.wait(timeout=10.0)
        assert mock.hand.asked == ["A1", "A2"]
        assert main(["resume", str(out), "--quiet", "--hand", hand]) == 0
        # The hand's command outlives a host that is killed: it may connect A3 before the next host asks for it again.
        assert mock.hand.asked in (["A1", "A2", "A2", "A3"], ["A1", "A2", "A3"], ["A1", "A2", "A3", "A3"])
        assert mock.circuit is not None
        assert mock.circuit.relays.hot == {}
    units = [entry["unit"] for entry in read_journal(out / "journal.jsonl") if entry["event"] == "unit_done"]
    assert len(units) == len(set(units)) == 90
    metrics = json.loads((out / "summary.json").read_text(encoding="utf-8"))
    assert metrics["steps_done"] == 1
