"""What an exchange with the board costs, in process and over TCP.

    python -m pytest -o addopts=--import-mode=importlib tests/benchmarks/bench_wire.py

Wanted (issue 2): set + get with its error query over TCP > 5,000/s; 8k-float blocks > 150 MB/s; VMM in process ≤ 40 µs
at batch 1 and ≤ 350 µs at batch 256; a 128 × 64 read is one transaction.
"""

from __future__ import annotations

import itertools
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.instruments.station import load_station

STATIONS = Path(__file__).parents[2] / "runbooks" / "stations"
SERVER = (
    "from xbarlab.runbooks.mock_serve import serve_bench;"
    "serve_bench('mock_ta_hfo2', host='127.0.0.1', port=0, seed=None)"
)


@pytest.fixture
def in_process() -> Iterator[Any]:
    with load_station(STATIONS / "mock_ta_hfo2.station.yaml") as bench:
        yield bench.array


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        found = re.search(r"served at (\S+)", process.stdout.readline())
        assert found is not None
        yield found.group(1)
    finally:
        process.terminate()
        process.wait()


@pytest.fixture
def over_tcp(server: str) -> Iterator[Any]:
    overrides = {"instruments": {"board": {"address": server}}}
    with load_station(STATIONS / "tcp_ta_hfo2.station.yaml", overrides=overrides) as bench:
        yield bench.array


def test_set_and_get_with_error_query_over_tcp(over_tcp: Any, benchmark: Callable[..., Any]) -> None:
    """One round trip for the set with its error query, one for the get."""
    values = itertools.cycle(np.linspace(0.01, 0.3, 997))  # more than the guard remembers

    def set_and_get() -> float:
        over_tcp.read_volts(next(values))
        return over_tcp.read_volts()

    benchmark(set_and_get)
    benchmark.extra_info["per_second"] = 1.0 / benchmark.stats["median"]


def test_block_read_over_tcp(over_tcp: Any, benchmark: Callable[..., Any]) -> None:
    """The last map again: 8,192 cells × 9 bytes."""
    over_tcp.read(over_tcp.spec.whole)
    size = 9 * 8192
    payload = benchmark(lambda: over_tcp.ask_block(b"FETC:MAP?", size))
    assert len(payload) == size
    benchmark.extra_info["megabytes_per_second"] = size / benchmark.stats["median"] / 1e6


def test_read_of_the_whole_array_over_tcp(over_tcp: Any, benchmark: Callable[..., Any]) -> None:
    benchmark(lambda: over_tcp.read(over_tcp.spec.whole))


@pytest.mark.parametrize("batch", [1, 256])
def test_vmm_in_process(in_process: Any, benchmark: Callable[..., Any], batch: int) -> None:
    """Host codes, wire, network, noise and converter codes back."""
    volts = np.random.default_rng(1).uniform(-0.2, 0.2, (batch, in_process.spec.rows))
    result = benchmark(lambda: in_process.vmm(volts))
    assert result.shape == (batch, in_process.spec.cols)


def test_read_of_the_whole_array_in_process(in_process: Any, benchmark: Callable[..., Any]) -> None:
    in_process.read(in_process.spec.whole)
    before = in_process.cost.transactions
    rounds = [0]

    def read() -> None:
        in_process.read(in_process.spec.whole)
        rounds[0] += 1

    benchmark(read)
    assert in_process.cost.transactions - before == rounds[0]  # one transaction a read


def test_set_and_get_in_process(in_process: Any, benchmark: Callable[..., Any]) -> None:
    def set_and_get() -> float:
        in_process.read_volts(0.1)
        return in_process.read_volts()

    benchmark(set_and_get)
