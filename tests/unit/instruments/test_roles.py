"""Roles of a probe station: another make works, and a driver without the verbs is told so before anything is sent."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_probe import CHIP, Bench, FakeDriver
from support.other_smu import OtherSmu
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.abilities import Samples, Sweeps
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import CrossbarArray, PulseMap
from xbarlab.instruments.drivers.keithley_2450 import Keithley2450Smu
from xbarlab.instruments.drivers.keysight_33622a import Keysight33622APulser
from xbarlab.instruments.drivers.keysight_b2201a import KeysightB2201AMatrix
from xbarlab.instruments.drivers.roles import (
    SHIPPED,
    Digitiser,
    PulseSource,
    SourceMeter,
    SwitchMatrix,
    lacking_verbs,
    require_role,
)
from xbarlab.instruments.errors import ConnectionLostError, InstrumentError
from xbarlab.instruments.station.fitting import require_array
from xbarlab.instruments.station.instrument_types import find_type
from xbarlab.instruments.station.station_file import read_station
from xbarlab.runbooks import stations
from xbarlab.runbooks.stations import open_bench

OURS = {
    SourceMeter: Keithley2450Smu,
    PulseSource: Keysight33622APulser,
    SwitchMatrix: KeysightB2201AMatrix,
}
ROLES = {"row_smu": SourceMeter, "column_smu": SourceMeter, "pulser": PulseSource, "matrix": SwitchMatrix}
STOCK = {
    "Keithley.Keithley2400": "SourceMeter",
    "Keithley.Keithley2450": "SourceMeter",
    "Keithley.Keithley2634B": "SourceMeter",
    "Keysight.Keysight33622A": "PulseSource",
    "Keysight.KeysightB2201": "SwitchMatrix",
    "Keysight.Keysight34465A": "",
}


@pytest.mark.parametrize("role", OURS, ids=lambda role: role.__name__)
def test_shipped_drivers_have_their_roles(role: type) -> None:
    kind = OURS[role]
    named, _, short = SHIPPED[role].rstrip(")").partition(" (type: ")
    assert named == kind.__name__
    assert find_type(short, "test").make is kind
    assert lacking_verbs(kind, role) == ()
    for verb in (name for name in vars(role) if name[0] != "_" and callable(getattr(role, name))):
        asked, offered = (inspect.signature(getattr(one, verb)).parameters for one in (role, kind))
        assert asked.keys() <= offered.keys(), verb
    assert all(lacking_verbs(kind, other) for other in OURS if other is not role), "one cannot stand in for another"


def test_the_opened_ones_have_all_of_it() -> None:
    with open_bench("mock_tio2") as bench:
        array: Any = bench.array
        for name, role in ROLES.items():
            assert lacking_verbs(getattr(array, name), role) == ()


def station(folder: Path, types: dict[str, str], array: str) -> Path:
    entries = "\n".join(
        f"  {name}: {{type: {kind}, address: 'TCPIP0::127.0.0.1::{5 + at}::SOCKET', init: {{visalib: '@py'}}}}"
        for at, (name, kind) in enumerate(types.items())
    )
    (folder / "t.chip.yaml").write_text("id: t\nrows: 4\ncols: 4\ncell: passive\n", encoding="utf-8")
    path = folder / "t.station.yaml"
    text = f"instruments:\n{entries}\nxbarlab:\n  array: {array}\n  chip: t.chip.yaml\n"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("stock", STOCK)
@pytest.mark.parametrize("role", ROLES)
def test_a_stock_driver_in_a_role_is_refused_before_anything_is_opened(tmp_path: Path, role: str, stock: str) -> None:
    types = {name: f"{OURS[kind].__module__}.{OURS[kind].__name__}" for name, kind in ROLES.items()}
    types[role] = f"qcodes.instrument_drivers.{stock}"
    path = station(tmp_path, types, "{type: xbarlab.instruments.probe.probed_array.ProbedArray}")
    with pytest.raises(RefusedError) as caught:
        open_bench(path)
    said = str(caught.value)
    kind = ROLES[role]
    assert f"xbarlab.array.{role}: {role} is a {stock.split('.')[1]} (qcodes." in said
    assert f"which cannot be a {kind.__name__}: it has no " in said
    assert SHIPPED[kind] in said
    assert "connect_only" in said if kind is SwitchMatrix else "set_limits" in said
    assert "idle" in said


@pytest.mark.parametrize("stock", STOCK)
@pytest.mark.parametrize("array", ["one", "[one, two]"])
def test_a_stock_driver_as_the_array_is_refused_before_anything_is_opened(
    tmp_path: Path, stock: str, array: str
) -> None:
    path = station(tmp_path, dict.fromkeys(("one", "two"), f"qcodes.instrument_drivers.{stock}"), array)
    if array != "one":
        path.write_text(path.read_text(encoding="utf-8").replace("  chip: t.chip.yaml\n", ""), encoding="utf-8")
    with pytest.raises(
        RefusedError,
        match=r"xbarlab\.array: one is a \w+ \(qcodes.*\), not an array: it has no ability, .*CrossbarBoard",
    ):
        read_station(path)


@pytest.mark.parametrize(
    ("driver", "port", "said"),
    [
        ("Keysight.Keysight34465A", 5031, r"extra at .*5031.* could not be opened by the driver Keysight34465A .*2450"),
        ("Keysight.Keysight33622A", 5034, r"extra at .*5034.* could not be opened by the driver .*KeyError: 'B2201A'"),
        ("Keithley.Keithley2400", 5099, r"extra at .*5099.* did not answer the driver Keithley2400 .*: check that the"),
    ],
)
def test_a_stock_driver_beside_the_array_that_fails_is_no_defect_of_ours(
    tmp_path: Path, driver: str, port: int, said: str
) -> None:
    here = Path(stations.__file__).parent
    entry = (
        f"  extra: {{type: qcodes.instrument_drivers.{driver}, address: 'TCPIP0::127.0.0.1::{port}::SOCKET', "
        f"init: {{visalib: '{here / 'mock_tio2.bench.yaml'}@xbarlab'}}}}\n"
    )
    text = (here / "mock_ta_hfo2.station.yaml").read_text(encoding="utf-8")
    text = text.replace("instruments:\n", f"instruments:\n{entry}", 1).replace(": mock_ta", f": {here}/mock_ta")
    (tmp_path / "t.station.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(InstrumentError if port < 5099 else ConnectionLostError, match=said):
        open_bench(tmp_path / "t.station.yaml").open()


class Untold:
    """An array that could not be told what may be applied."""

    def __init__(self, name: str) -> None: ...

    read = pulse = idle = ability = lambda self: None


def test_an_array_that_could_not_be_told_its_limits_is_refused() -> None:
    with pytest.raises(RefusedError, match=r"board is a Untold .*, which takes no chip and no limits"):
        require_array(Untold, where="board")
    assert lacking_verbs(Untold, CrossbarArray) == ()


def test_what_is_missing_of_an_open_instrument_is_told_too(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Bench()
    for role, kind in ROLES.items():
        with pytest.raises(RefusedError, match=rf"{role} of probe is a FakeDriver .* cannot be a {kind.__name__}: it "):
            bench.array(**{role: FakeDriver(bench)})
    monkeypatch.delattr(type(bench.row), "facts")
    with pytest.raises(RefusedError, match="cannot be a SourceMeter: it has no facts; use a driver"):
        bench.array()
    with pytest.raises(RefusedError, match="no driver of this package has this role yet"):
        require_role(object(), Digitiser, where="it")


# -- another make ------------------------------------------------------------------------------------------------------


@pytest.fixture
def other() -> Iterator[Any]:
    """A probe station with two units of another make, and 100 µS at every crosspoint."""
    bench = Bench()
    said: list[str] = []
    row, column = (
        OtherSmu("other_row", lambda volts: 1e-4 * (volts - column.volts), said),
        OtherSmu("other_column", lambda volts: 3e-4 * volts - 1e-4 * (row.volts - volts), said),
    )
    bench.row, bench.column = row, column  # type: ignore[assignment]
    array = bench.array(row_smu=row, column_smu=column)
    array.bench, array.told = bench, said
    yield array
    row.close()
    column.close()


def test_another_make_of_source_meter_reads_pulses_and_sweeps(other: Any) -> None:
    array = other
    assert (array.spec.read_ranges, array.spec.sweep_points_max, array.spec.adc_bits) == ((1e-6, 1e-3), 100, 16)
    reading = array.read(Block(0, 2, 0, 2), average=2)
    assert reading.conductance == pytest.approx(1e-4)
    assert reading.stderr == pytest.approx(1e-3 * 1e-4 / np.sqrt(2), rel=1e-2), "its own accuracy"
    assert array.pulse(PulseMap(Block(0, 1, 0, 1), 1.5, 200e-9)).pulses == 1
    for scheme in ("V/2", "float"):
        array.told.clear()
        trace = array.ability(Sweeps).sweep(1, 1, [0.0, 0.5, 1.0, -0.6], compliance=1e-3, dwell=0.01, scheme=scheme)
        assert trace.current == pytest.approx(1e-4 * np.array([0.0, 0.5, 1.0, -0.6]), abs=1e-12)
        assert ("other_row 1 V" in array.told) == (scheme == "float"), "in V/2 no line sees more than half"
    with pytest.raises(RefusedError, match="101 points in one sweep; this array takes 1 to 100"):
        array.ability(Sweeps).sweep(1, 1, np.zeros(101), compliance=1e-3, dwell=0.01)
    assert array.diagnose().offset == 0.0
    assert array.cost.transactions > 20
    array.idle()
    assert [step.instrument for step in array.ending] == ["other_row", "other_column"]


class FakeDigitiser(FakeDriver):
    """Records what flows from the row's unit."""

    name = "digitiser"
    rate_max, points_max = 1e5, 1000

    def record(self, *, rate: float, points: int) -> np.ndarray:
        self.bench.say("digitiser", rate, points)
        return np.full(points, self.bench.g * self.bench.row.volts + 1e-9)

    def idle(self, *, reconnect: bool = True) -> None:
        self.bench.say("digitiser", "idle")


def test_with_a_digitiser_it_samples() -> None:
    bench = Bench()
    assert bench.array().spec.supports == {"sweep"}
    with pytest.raises(RefusedError, match=r"probe\.inputs: say at which matrix input the digitiser is"):
        bench.array(digitiser=FakeDigitiser(bench))
    array = bench.array(digitiser=FakeDigitiser(bench), inputs={"digitiser": 3}, chip=CHIP)
    assert array.spec.supports == {"sweep", "sample"}
    trace = array.ability(Samples).sample(1, 2, 0.1, rate=1e3, seconds=0.01)
    assert (trace.time.size, trace.current) == (10, pytest.approx(1e-5))
    (paths,) = (words[2] for words in bench.said if words[:2] == ("matrix", "cold"))
    assert {(1, 2), (3, 7)} <= paths
    assert bench.said[-1] == ("row", "level", 0.0)
    for wrong in ({"rate": 1e6}, {"seconds": 10.0}, {"volts": 0.4}, {"volts": np.ma.masked}):
        with pytest.raises(RefusedError):
            array.ability(Samples).sample(1, 2, **{"volts": 0.1, "rate": 1e3, "seconds": 0.01, **wrong})
    array.idle()
    assert bench.said[-2:] == [("digitiser", "idle"), ("matrix", "idle")]
