"""A bench with its instruments at hand, in process or on sockets; faults can be told to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Literal

from xbarlab import open_bench
from xbarlab.instruments.station.station import Bench
from xbarlab.mockhw.bench.bench import MockBench, bench_for, forget_bench, fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.runbooks.stations import find_bench, find_station

Way = Literal["in process", "tcp"]
BOARD = "TCPIP0::127.0.0.1::5025::SOCKET"
ROW, COLUMN, PULSER, MATRIX = (f"TCPIP0::127.0.0.1::{port}::SOCKET" for port in range(5031, 5035))


@contextmanager
def served(name: str, way: Way, folder: Path) -> Iterator[tuple[Bench, MockBench]]:
    """Yield a bench, not opened, and the simulated instruments behind it: ``ta_hfo2`` (a board) or ``tio2``."""
    own = folder / "own.bench.yaml"
    if way == "in process":
        try:
            yield open_bench(f"mock_{name}", seed=1), bench_for(find_bench(f"mock_{name}"))
        finally:
            forget_bench(find_bench(f"mock_{name}"))
        return
    own.write_text(find_bench(f"mock_{name}").read_text(encoding="utf-8"), encoding="utf-8")
    with ExitStack() as stack:
        mock = fresh_bench(own, seed=1)
        stack.callback(forget_bench, own)
        addresses = stack.enter_context(serve(mock, port=0))
        shipped = find_station(f"tcp_{name}")
        text = shipped.read_text(encoding="utf-8")
        for address, (host, port) in addresses.items():
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        for chip in shipped.parent.glob("*.chip.yaml"):
            text = text.replace(f" {chip.name}", f" {chip.as_posix()}")
        station = folder / "own.station.yaml"
        station.write_text(text, encoding="utf-8")
        yield open_bench(station), mock
