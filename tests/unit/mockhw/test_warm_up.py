"""A host lets clients in when it can answer them: nothing is compiled while one of them waits."""

from __future__ import annotations

import os
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from xbarlab.mockhw.bench.bench import fresh_bench
from xbarlab.mockhw.front_ends.warm_up import _everything, _warm, warm_up_boards

STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"

LATER = """
import sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from xbarlab.mockhw.bench.bench import fresh_bench
from xbarlab.mockhw.front_ends.warm_up import warm_up_boards
from xbarlab.tests.support.board_messages import later

def compiled():
    found = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("xbarlab.mockhw"):
            for key, value in vars(module).items():
                if isinstance(value, Dispatcher):
                    found[name, key] = len(value.signatures)
    return found

bench = fresh_bench(sys.argv[1])
warm_up_boards(bench)
before = compiled()
assert sum(before.values()) > 5, before
board = next(iter(bench.instruments.values()))
for message in later(bench.chip.rows, bench.chip.cols):
    board.receive(message)
    while (reply := board.wait_for_reply()) is not None:
        print(reply[-40:])
grown = {key: count for key, count in compiled().items() if count > before.get(key, 0)}
print("grown", grown)
"""


@pytest.mark.parametrize("name", ["mock_ta_hfo2", "mock_gate_voltage"])
def test_nothing_is_compiled_after_the_warm_up(name: str, tmp_path: Path) -> None:
    script = tmp_path / "later.py"
    script.write_text(LATER.replace("xbarlab.tests.support", "support"), encoding="utf-8")
    paths = os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, str(script), str(STATIONS / f"{name}.bench.yaml")],
        capture_output=True, text=True, check=False, timeout=300, env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "grown {}"
    assert "No error" in done.stdout


def test_the_warm_up_touches_neither_the_chip_nor_its_luck() -> None:
    path = STATIONS / "mock_ta_hfo2.bench.yaml"
    bench, other = fresh_bench(path, seed=3), fresh_bench(path, seed=3)
    _warm.clear()
    warm_up_boards(bench)
    for one, same in zip(bench.chip.truth().values(), other.chip.truth().values(), strict=True):
        np.testing.assert_array_equal(one, same)
    replies: list[bytes | None] = []
    for each in (bench, other):
        board = next(iter(each.instruments.values()))
        board.receive(b"OUTP ON;:READ:MAP? 0,8,0,64\n")
        replies.append(board.wait_for_reply())
    assert replies[0] == replies[1]
    assert bench.clock.now == other.clock.now


def test_what_warms_up_a_board_is_understood_by_it() -> None:
    board = next(iter(fresh_bench(STATIONS / "mock_ta_hfo2.bench.yaml").instruments.values()))
    for message in _everything(128, 64):
        board.receive(message)
        while board.wait_for_reply() is not None:
            pass
        board.receive(b"SYST:ERR?\n")
        assert board.wait_for_reply() == b'0,"No error"\n', message


@pytest.mark.slow
@pytest.mark.parametrize("name", ["mock_ta_hfo2", "mock_tio2"])
def test_the_first_server_on_a_computer_answers_its_first_client_at_once(name: str, tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "xbarlab.cli", "mock", "serve", name, "--port", "0"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
    )  # fmt: skip
    try:
        assert server.stdout is not None
        assert server.stderr is not None
        assert "nobody is let in before" in server.stderr.readline()
        place = re.search(r"served at TCPIP0::(\S+)::(\d+)::", server.stdout.readline())
        assert place is not None
        with socket.create_connection((place[1], int(place[2])), timeout=2.0) as link, link.makefile("rb") as file:
            pulse = b"PULS:MAP 0,1,0,1,#210" + struct.pack("<hhHI", 13000, 13000, 1, 1000)
            messages = [b"OUTP ON;:READ:MAP? 0,1,0,1;:SYST:ERR?", pulse + b";*OPC?;:SYST:ERR?"]
            for message in messages if name == "mock_ta_hfo2" else [b"SOUR:VOLT 0.1;:OUTP ON;:READ?"]:
                begun = time.monotonic()
                link.sendall(message + b"\n")
                assert file.readline() != b""
                assert time.monotonic() - begun < 2.0, message
    finally:
        server.terminate()
        server.wait(30)
