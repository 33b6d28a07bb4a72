"""The token of a mock host: drivers show it first, again after a lost connection, and only where it is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.drivers.keithley_2450 import Keithley2450Smu
from xbarlab.instruments.errors import ConnectionLostError
from xbarlab.mockhw.bench.bench import MockBench, fresh_bench
from xbarlab.mockhw.faults import Fault
from xbarlab.mockhw.front_ends.tcp_host import serve

ADDRESS = "TCPIP0::127.0.0.1::5025::SOCKET"
STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"


@pytest.fixture
def bench(tmp_path: Path) -> MockBench:
    path = tmp_path / "one.bench.yaml"
    path.write_text(
        f'chip: {{profile: ta_hfo2_1t1r}}\ninstruments: [{{kind: array_board, address: "{ADDRESS}"}}]\n',
        encoding="utf-8",
    )
    return fresh_bench(path)


@pytest.fixture
def address(bench: MockBench) -> Iterator[str]:
    with serve(bench, "0.0.0.0", 0, token="open sesame") as places:
        yield f"TCPIP0::127.0.0.1::{places[ADDRESS][1]}::SOCKET"


def test_a_driver_shows_the_token_of_the_environment(
    bench: MockBench, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XBARLAB_TOKEN", "open sesame")
    bench.script_faults(ADDRESS, [Fault("drop_connection", "READ:MAP?", times=1)])
    told: list[str] = []
    board: Any = CrossbarBoard("board", address, visalib="@py")
    board.tell_incident = told.append
    reading = board.read(Block(0, 1, 0, 2))
    board.close()
    assert np.isfinite(reading.current).all()
    assert any("is open again" in sentence for sentence in told), "and shows it again when the connection was lost"


def test_an_smu_shows_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XBARLAB_TOKEN", "t")
    mock = fresh_bench(STATIONS / "mock_tio2.bench.yaml")
    with serve(mock, port=0, token="t") as places:
        at = next(at for at, instrument in mock.instruments.items() if instrument.kind == "keithley_2450")
        smu: Any = Keithley2450Smu("smu", f"TCPIP0::127.0.0.1::{places[at][1]}::SOCKET", visalib="@py")
        assert smu.simulated
        smu.close()


@pytest.mark.parametrize("token", [None, "open"])
def test_without_the_right_one_nothing_reaches_the_board(
    bench: MockBench, address: str, monkeypatch: pytest.MonkeyPatch, token: str | None
) -> None:
    monkeypatch.delenv("XBARLAB_TOKEN", raising=False)
    if token is not None:
        monkeypatch.setenv("XBARLAB_TOKEN", token)
    with pytest.raises(ConnectionLostError, match=r"board .*127\.0\.0\.1"):
        CrossbarBoard("board", address, visalib="@py")
    assert bench.log.texts() == []


def test_a_token_that_is_no_line_is_refused(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XBARLAB_TOKEN", "open sesame\nOUTP ON")
    with pytest.raises(RefusedError, match="XBARLAB_TOKEN cannot be sent in a line"):
        CrossbarBoard("board", address, visalib="@py")


def test_it_is_not_said_to_what_sits_in_this_process(bench: MockBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XBARLAB_TOKEN", "open sesame")
    heard: list[bytes] = []
    instrument = bench.instruments[ADDRESS]
    receive = instrument.receive

    def listen(data: Any, **how: Any) -> Any:
        heard.append(bytes(data))
        return receive(data, **how)

    monkeypatch.setattr(instrument, "receive", listen)
    board: Any = CrossbarBoard("board", ADDRESS, visalib=f"{bench.path}@xbarlab")
    board.close()
    assert heard
    assert not any(b"TOKEN" in data for data in heard)
