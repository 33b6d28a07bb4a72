"""Drivers carry the limits of chip and station however they are opened: by a stock QCoDeS Station too."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes.instrument import Instrument
from qcodes.station import Station

from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.bench import forget_bench, fresh_bench
from xbarlab.runbooks import stations

SHIPPED = Path(stations.__file__).parent
SMU = "xbarlab.instruments.drivers.keithley_2450.Keithley2450Smu"
PULSER = "xbarlab.instruments.drivers.keysight_33622a.Keysight33622APulser"
BOARD = "xbarlab.instruments.board.crossbar_board.CrossbarBoard"
CHIP = "id: c\nrows: 8\ncols: 8\ncell: passive\nlimits: {set_volts_max: 4.0, reset_volts_max: 2.8, gate_max: 1.0}\n"

pytestmark = pytest.mark.filterwarnings("ignore::qcodes.station.ValidationWarning")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for stem in ("mock_tio2", "mock_ta_hfo2"):
        for kind in ("bench", "chip"):
            (tmp_path / f"{stem}.{kind}.yaml").write_bytes((SHIPPED / f"{stem}.{kind}.yaml").read_bytes())
        fresh_bench(tmp_path / f"{stem}.bench.yaml")
    (tmp_path / "own.chip.yaml").write_text(CHIP)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)  # the paths of a station file are relative to it
    yield tmp_path
    Instrument.close_all()
    for stem in ("mock_tio2", "mock_ta_hfo2"):
        forget_bench(tmp_path / f"{stem}.bench.yaml")


def written(folder: Path, ours: str, init: str = "", kind: str = SMU) -> Path:
    bench = folder / ("mock_ta_hfo2.bench.yaml" if kind == BOARD else "mock_tio2.bench.yaml")
    port = {SMU: 5031, PULSER: 5033, BOARD: 5025}[kind]
    path = folder / "s.station.yaml"
    path.write_text(
        f"instruments:\n  it:\n    type: {kind}\n    address: TCPIP0::127.0.0.1::{port}::SOCKET\n"
        f"    init: {{visalib: '{bench}@xbarlab'{init}}}\n{ours}"
    )
    return path


def loaded_as_text(path: Path) -> Any:
    station = Station()
    station.load_config(path.read_text(encoding="utf-8").replace("own.chip", f"{path.parent.as_posix()}/own.chip"))
    return station.load_instrument("it")


OPENERS: dict[str, Callable[[Path], Any]] = {
    "file": lambda path: Station(config_file=str(path)).load_instrument("it"),
    "not the default": lambda path: Station(config_file=str(path), default=False).load_instrument("it"),
    "all": lambda path: Station(config_file=[str(path)]).load_all_instruments() and Instrument.find_instrument("it"),
    "text": loaded_as_text,
}


@pytest.mark.parametrize("opened", OPENERS)
@pytest.mark.parametrize(
    ("ours", "init", "low", "high"),
    [
        ("xbarlab: {chip: own.chip.yaml}\n", "", -2.8, 4.0),
        ("xbarlab: {chip: own.chip.yaml, limits: {set_volts_max: 1.5}}\n", "", -2.8, 1.5),
        ("xbarlab: {limits: {set_volts_max: 1.5, reset_volts_max: 1.0}}\n", "", -1.0, 1.5),
        ("", ", chip: own.chip.yaml", -2.8, 4.0),
        ("", ", limits: {set_volts_max: 0.5, reset_volts_max: 0.4}", -0.4, 0.5),
        ("", ", chip: own.chip.yaml, limits: {set_volts_max: 0.5}", -2.8, 0.5),
    ],
)
def test_a_stock_station_cannot_pass_by_chip_and_station(
    folder: Path, opened: str, ours: str, init: str, low: float, high: float
) -> None:
    smu = OPENERS[opened](written(folder, ours, init))
    assert (smu.limits.set_volts_max, smu.limits.reset_volts_max) == (high, -low)
    largest = max(high, -low)
    for volts in (largest * 1.01, -largest * 1.01, 5.0, -5.0):
        with pytest.raises(RefusedError, match="source_volts"):
            smu.write(f"SOUR:VOLT {volts}")
        with pytest.raises(RefusedError, match="source_volts"):
            smu.source.voltage(volts)
        with pytest.raises(RefusedError, match="source_volts"):
            smu.on(volts, compliance=1e-4)
    smu.on(0.9 * largest, compliance=1e-4)
    smu.off()


@pytest.mark.parametrize("opened", OPENERS)
@pytest.mark.parametrize("ours", ["", "xbarlab: {}\n", "xbarlab: {clock: auto}\n", "xbarlab: {limits: {}}\n"])
def test_where_nothing_is_named_nothing_is_turned_on(folder: Path, opened: str, ours: str) -> None:
    smu = OPENERS[opened](written(folder, ours))
    for act in (lambda: smu.on(0.1, compliance=1e-4), lambda: smu.write("SOUR:VOLT 0.1"), lambda: smu.sweep(
        [0.1], compliance=1e-4, dwell=0.0
    )):  # fmt: skip
        with pytest.raises(RefusedError, match=r"names neither chip nor limits for it: write init: .*open_bench"):
            act()


def test_a_pulser_is_held_too(folder: Path) -> None:
    pulser: Any = OPENERS["file"](written(folder, "", kind=PULSER))
    with pytest.raises(RefusedError, match="neither chip nor limits"):
        pulser.write("SOUR1:VOLT:OFFS 0.2")
    pulser.close()
    pulser = OPENERS["file"](written(folder, "xbarlab: {chip: own.chip.yaml}\n", kind=PULSER))
    assert pulser.limits.set_volts_max == 4.0


def test_a_board_of_a_stock_station_knows_its_chip(folder: Path) -> None:
    ours = "xbarlab: {array: it, chip: mock_ta_hfo2.chip.yaml, limits: {set_volts_max: 1.5}}\n"
    board: Any = OPENERS["file"](written(folder, ours, kind=BOARD))
    assert board.spec.limits.set_volts_max == 1.5
    assert board.spec.limits.reset_volts_max == 2.2
    with pytest.raises(RefusedError, match=r"s\.station\.yaml: xbarlab\.limits"):
        board.pulse(PulseMap(Block(0, 1, 0, 1), 1.6, 1e-6, 1.0))


def test_a_board_of_which_nothing_is_named_applies_nothing(folder: Path) -> None:
    board: Any = OPENERS["file"](written(folder, "", kind=BOARD))
    for act in (
        lambda: board.pulse(PulseMap(Block(0, 1, 0, 1), 0.5, 1e-6, 1.0)),
        lambda: board.read(Block(0, 1, 0, 1), 0.1),
        lambda: board.write("SOUR:READ:VOLT 0.1"),
    ):
        with pytest.raises(RefusedError, match="neither chip nor limits"):
            act()


def test_our_own_bench_takes_what_is_named_in_init(folder: Path) -> None:
    path = written(
        folder, "xbarlab: {array: it}\n", ", chip: mock_ta_hfo2.chip.yaml, limits: {set_volts_max: 1.5}", BOARD
    )
    with open_bench(path) as bench:
        assert bench.chip is not None
        assert bench.array.spec.limits.set_volts_max == 1.5
        assert np.isfinite(bench.array.read(Block(0, 1, 0, 1)).conductance).all()
    both = written(folder, "xbarlab: {array: it, chip: own.chip.yaml}\n", ", chip: mock_ta_hfo2.chip.yaml", BOARD)
    with pytest.raises(RefusedError, match="one chip sits on an array"):
        read_station(both)


def test_an_instrument_beside_the_array_is_held_to_the_chip(folder: Path) -> None:
    ours = "xbarlab: {array: it, chip: mock_ta_hfo2.chip.yaml, limits: {set_volts_max: 1.5}}\n"
    path = written(folder, ours, kind=BOARD)
    smu = (
        f"{{type: {SMU}, address: 'TCPIP0::127.0.0.1::5031::SOCKET', init: {{visalib: mock_tio2.bench.yaml@xbarlab}}}}"
    )
    path.write_text(path.read_text(encoding="utf-8").replace("instruments:\n", f"instruments:\n  smu: {smu}\n"))
    with open_bench(path) as bench:
        limits = bench.station.components["smu"].limits
        assert (limits.set_volts_max, limits.reset_volts_max) == (1.5, 2.2)


def test_in_python_the_driver_is_given_a_path_or_a_mapping(folder: Path) -> None:
    from xbarlab.instruments.drivers.keithley_2450 import Keithley2450Smu

    address, visalib = "TCPIP0::127.0.0.1::5031::SOCKET", f"{folder / 'mock_tio2.bench.yaml'}@xbarlab"
    smu: Any = Keithley2450Smu(
        "it", address, visalib=visalib, chip=folder / "own.chip.yaml", limits={"read_volts_max": 0.3}
    )
    assert (smu.limits.set_volts_max, smu.limits.read_volts_max) == (4.0, 0.3)
    with pytest.raises(RefusedError, match=r"set by \S+own\.chip\.yaml: limits"):
        smu.on(4.5, compliance=1e-4)
    smu.close()
    with pytest.raises(RefusedError, match="wider than the 4 of"):
        Keithley2450Smu("it", address, visalib=visalib, chip=folder / "own.chip.yaml", limits={"set_volts_max": 4.5})
