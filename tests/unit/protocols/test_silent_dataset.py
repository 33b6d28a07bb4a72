"""Opening a dataset sends nothing on the wire, whatever the QCoDeS."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from qcodes.dataset import Measurement, connect, load_or_create_experiment
from qcodes.station import Station

from xbarlab import open_bench
from xbarlab.mockhw.bench.bench import bench_for
from xbarlab.protocols.keeping.dataset import Axis, DatasetWriter, Variable

SHIPPED = Path(__file__).parents[3] / "runbooks" / "stations"


@pytest.fixture(params=["mock_tio2", "mock_ta_hfo2"])
def messages(request: pytest.FixtureRequest) -> Iterator[tuple[Any, list[bytes], Any]]:
    """An open bench, and every message that reaches one of its instruments."""
    heard: list[bytes] = []
    with open_bench(request.param) as bench:
        mock = bench_for(SHIPPED / f"{request.param}.bench.yaml")
        for instrument in mock.instruments.values():
            receive = instrument.receive

            def listen(data: bytes, receive: Any = receive, **how: Any) -> None:
                heard.append(bytes(data))
                receive(data, **how)

            instrument.receive = listen  # type: ignore[method-assign]
        bench.station.components[next(iter(bench.station.components))].ask("*ESE?")
        assert heard, "the test hears nothing"
        heard.clear()
        yield bench, heard, mock.clock


def writer(folder: Path, station: Any) -> DatasetWriter:
    return DatasetWriter(
        folder / "data.db", experiment="e", sample="s", name="n", axes=[Axis("i", "i")], variables=[Variable("x", "x")],
        metadata={}, station=station,
    )  # fmt: skip


@pytest.mark.parametrize("given", ["the bench's", "none"])
def test_a_dataset_of_ours_asks_nobody(messages: Any, tmp_path: Path, given: str) -> None:
    bench, heard, clock = messages
    assert Station.default is bench.station
    before = clock.now
    with writer(tmp_path, bench.station if given == "the bench's" else None) as dataset:
        dataset.add({"i": 0.0}, x=1.0)
        snapshot = dataset._saver.dataset.snapshot
    assert heard == []
    assert set(snapshot["station"]["instruments"]) == set(bench.station.components)
    assert clock.now == before


def test_a_stock_measurement_on_our_station_asks_nobody(messages: Any, tmp_path: Path) -> None:
    bench, heard, _ = messages
    connection = connect(tmp_path / "stock.db")
    measurement = Measurement(
        exp=load_or_create_experiment("e", sample_name="s", conn=connection), station=bench.station
    )
    measurement.register_custom_parameter("x")
    with measurement.run() as saver:
        saver.add_result(("x", 1.0))
    connection.close()
    assert heard == []


def test_who_wants_the_station_to_ask_can_tell_it_to(messages: Any) -> None:
    bench, heard, _ = messages
    bench.station.snapshot(update=False)
    assert heard == []
    bench.station.snapshot(update=True)
    assert heard != []
