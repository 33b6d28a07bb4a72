"""What the probe station costs: one loop on a 2450 against QCoDeS point by point, and what maps are made of.

    python tests/benchmarks/bench_probe_station.py          a table, medians of several
    pytest tests/benchmarks/bench_probe_station.py --benchmark-only

Wanted (issue 3): 200 points of a bipolar loop in at most 12 transactions, and the same loop by QCoDeS ``dond`` with its
own unmodified driver, point by point on the same simulator, at least 10 times slower. Simulated time is free on both
sides, so that only messages and Python are timed; on a bench the dwell comes on top of either.
"""

from __future__ import annotations

import logging
import socket
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab import FormingPlan, form, open_bench
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.mockhw.bench.bench import fresh_bench
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.runbooks.stations import find_bench, find_station, mock_bench

POINTS, PEAK, LIMIT, DWELL = 200, 0.5, 5e-3, 1e-2
WANTED = 10.0
LOOP = np.concatenate(
    [np.linspace(0.0, PEAK, 50), np.linspace(PEAK, -PEAK, 100), np.linspace(-PEAK, 0.0, POINTS - 150)]
)
CELL = Block(0, 1, 0, 1)
FORMING = FormingPlan(
    cells="0:4,0:4", one_by_one=True, start_volts=2.2, stop_volts=4.0, width=200e-9, formed_above=30e-6,
    virgin_below=5e-6, short_above=3e-3, set_volts=2.0, reset_volts=2.0, switch_width=200e-9, attempts=8,
    park_volts=1.6, off_below=120e-6,
)  # fmt: skip
LINKS = ["in process", "over TCP"]


@contextmanager
def bench_at(link: str, *, virgin: bool = False) -> Iterator[tuple[Path | str, str, str]]:
    """A fresh bench; yields its station, and address and VISA library of the row's unit."""
    path = find_bench("mock_tio2")
    mock = fresh_bench(path, seed=1)
    if not virgin:
        mock.chip.assume_formed(0.5)
    first = next(iter(mock.instruments))
    if link == "in process":
        yield "mock_tio2", first, f"{path}@xbarlab"
        return
    with serve(mock, port=0) as addresses, tempfile.TemporaryDirectory() as folder:
        shipped = find_station("tcp_tio2")
        text = shipped.read_text(encoding="utf-8")
        for address, (host, port) in addresses.items():
            text = text.replace(address, f"TCPIP0::{host}::{port}::SOCKET")
        station = Path(folder) / "tcp.station.yaml"
        chip = shipped.with_name("mock_tio2.chip.yaml").as_posix()
        station.write_text(text.replace("mock_tio2.chip.yaml", chip), encoding="utf-8")
        host, port = addresses[first]
        yield station, f"TCPIP0::{host}::{port}::SOCKET", "@py"


@contextmanager
def database() -> Iterator[None]:
    """QCoDeS's database in a folder of its own."""
    from qcodes.dataset import initialise_or_create_database_at, load_or_create_experiment

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        initialise_or_create_database_at(str(Path(folder) / "bench.db"))
        load_or_create_experiment("loop", "cell")
        yield


@contextmanager
def ours(link: str, *, tied: bool = True) -> Iterator[dict[str, Callable[[], Any]]]:
    """The loop by our driver, on row 0 or on nothing: alone, and kept as one QCoDeS dataset of arrays."""
    from qcodes.dataset import Measurement
    from qcodes.parameters import ManualParameter

    with bench_at(link) as (station, _, _), open_bench(station) as bench, database():
        array: Any = bench.array
        unit = array.row_smu
        if tied:
            array.read(CELL)

        def loop() -> Any:
            return unit.sweep(LOOP, compliance=LIMIT, dwell=DWELL)

        point = ManualParameter("point")
        names = [ManualParameter(name) for name in ("volts", "current", "flags")]
        measurement = Measurement()
        measurement.register_parameter(point, paramtype="array")
        for parameter in names:
            measurement.register_parameter(parameter, setpoints=(point,), paramtype="array")

        def kept() -> Any:
            with measurement.run() as saver:
                saver.add_result((point, np.arange(POINTS)), *zip(names, loop(), strict=True))

        before = unit.transactions
        loop()
        yield {"transactions": lambda: unit.transactions - before, "loop": loop, "kept": kept}


def tie_row() -> None:
    """Close what a read of cell (0, 0) closes: row 0 on the unit, every other line on ground."""
    mock = mock_bench(find_bench("mock_tio2"))
    assert mock.circuit is not None
    mock.circuit.switch(mock.clock.now, close=[(1, 1), *((12, line) for line in range(2, 17))])


@contextmanager
def theirs(link: str, *, tied: bool = True, nodelay: bool = False) -> Iterator[dict[str, Callable[[], Any]]]:
    """The loop by QCoDeS's own driver, set and get: in a plain ``for``, and by ``dond``."""
    from qcodes.dataset import ArraySweep, dond
    from qcodes.instrument_drivers.Keithley import Keithley2450

    with bench_at(link) as (_, address, visalib), database():
        unit = Keithley2450("stock", address, visalib=visalib)
        if nodelay:
            # pyvisa-py has no attribute for it: without this every set waits 40 ms for the get behind it.
            link_of: Any = unit.visa_handle.visalib
            link_of.sessions[unit.visa_handle.session].interface.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tied:
            tie_row()
        try:
            unit.reset()
            unit.source_function("voltage")
            unit.sense_function("current")
            unit.source.limit(LIMIT)
            unit.sense.nplc(0.1)
            unit.output_enabled(True)

            def loop() -> Any:
                current = []
                for volts in LOOP:
                    unit.source.voltage(float(volts))
                    current.append(unit.sense.current())
                return current

            def kept() -> Any:
                return dond(ArraySweep(unit.source.voltage, LOOP), unit.sense.current, show_progress=False)

            yield {"loop": loop, "kept": kept}
            unit.output_enabled(False)
        finally:
            unit.close()


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("what", ["loop", "kept"])
def test_a_loop_by_our_driver(benchmark: Any, link: str, what: str) -> None:
    with ours(link) as do:
        assert do["transactions"]() <= 12
        benchmark(do[what])


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("what", ["loop", "kept"])
def test_the_same_loop_point_by_point_by_qcodes(benchmark: Any, link: str, what: str) -> None:
    """``loop`` is a plain ``for``, ``kept`` is ``dond``."""
    with theirs(link) as do:
        benchmark.pedantic(do[what], rounds=5, warmup_rounds=1)


@pytest.fixture(params=LINKS)
def array(request: pytest.FixtureRequest) -> Iterator[Any]:
    with bench_at(request.param) as (station, _, _), open_bench(station) as bench:
        yield bench.array


def test_read_of_64_cells(array: Any, benchmark: Any) -> None:
    benchmark.pedantic(lambda: array.read(array.spec.whole), rounds=5, warmup_rounds=1)


def test_pulse_of_a_connected_cell(array: Any, benchmark: Any) -> None:
    array.pulse(PulseMap(CELL, 0.5, 200e-9))
    benchmark(lambda: array.pulse(PulseMap(CELL, 0.5, 200e-9)))


def test_half_select_sweep_of_200_points(array: Any, benchmark: Any) -> None:
    benchmark.pedantic(
        lambda: array.ability(Sweeps).sweep(0, 0, LOOP, compliance=LIMIT, dwell=DWELL, scheme="V/2"),
        rounds=5,
        warmup_rounds=1,
    )


# --- the table --------------------------------------------------------------------------------------------------------


def median_seconds(do: Callable[[], Any], rounds: int) -> float:
    do()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        do()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def print_loops(rounds: int) -> None:
    print(f"A loop of {POINTS} points on the 2450: medians of {rounds}, chip and server in this process")
    print(f"{'':44}{'ours [ms]':>10}{'QCoDeS [ms]':>13}{'ratio':>8}")
    for link, tied, nodelay in (
        ("in process", True, False),
        ("in process", False, False),
        ("over TCP", True, False),
        ("over TCP", True, True),
    ):
        with quietly(), ours(link, tied=tied) as do:
            transactions = do["transactions"]()
            mine = {what: median_seconds(do[what], rounds) for what in ("loop", "kept")}
        with quietly(), theirs(link, tied=tied, nodelay=nodelay) as do:
            stock = {what: median_seconds(do[what], rounds) for what in ("loop", "kept")}
        where = f"{link}, {'on the chip' if tied else 'nothing connected'}{', TCP_NODELAY' if nodelay else ''}"
        for what, name in (("loop", "set and get"), ("kept", "dond, dataset kept")):
            ratio = stock[what] / mine[what]
            told = f" (wanted ≥ {WANTED:g})" if what == "kept" else ""
            print(f"{where + ': ' + name:54.54}{1e3 * mine[what]:8.1f}{1e3 * stock[what]:10.1f}{ratio:8.1f}{told}")
        print(f"{where + ': transactions':54.54}{transactions:8d}{2 * POINTS:10d}")


def print_costs(link: str, rounds: int) -> None:
    with bench_at(link) as (station, _, _), open_bench(station) as bench:
        array: Any = bench.array
        read = median_seconds(lambda: array.read(array.spec.whole), rounds)
        pulse = median_seconds(lambda: array.pulse(PulseMap(CELL, 0.5, 200e-9)), 10 * rounds)
        sweep = median_seconds(lambda: array.ability(Sweeps).sweep(0, 0, LOOP, compliance=LIMIT, dwell=DWELL), rounds)
    with bench_at(link, virgin=True) as (station, _, _), open_bench(station) as bench:
        start = time.perf_counter()
        form(bench.array, FORMING)
        forming = time.perf_counter() - start
    for what, seconds in (
        ("read of 64 cells", read),
        ("pulse of a connected cell", pulse),
        ("point of a V/2 sweep", sweep / POINTS),
        ("forming of 4 × 4 cells", forming),
    ):
        print(f"{link + ', ' + what:44}{1e3 * seconds:10.2f} ms")


@contextmanager
def quietly() -> Iterator[None]:
    """QCoDeS prints what it does."""
    with redirect_stdout(StringIO()):
        yield


def main(rounds: int = 7) -> None:
    logging.disable(logging.WARNING)
    print_loops(rounds)
    print()
    for link in LINKS:
        print_costs(link, rounds)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
