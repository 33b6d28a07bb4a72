"""``type:`` in a station: short names, old paths, only what is installed, only instruments."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from qcodes.instrument import Instrument
from qcodes.instrument_drivers.Keithley import Keithley2450

from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.board.arc_two.array import ArcTwo
from xbarlab.instruments.board.crossbar_board import CrossbarBoard
from xbarlab.instruments.drivers.keithley_2400 import Keithley2400Smu
from xbarlab.instruments.drivers.keithley_2450 import Keithley2450Smu
from xbarlab.instruments.drivers.keithley_2600.box import Keithley2600Box
from xbarlab.instruments.drivers.keithley_4200.box import Keithley4200Box
from xbarlab.instruments.drivers.keysight_33622a import Keysight33622APulser
from xbarlab.instruments.drivers.keysight_b1500.box import KeysightB1500Box
from xbarlab.instruments.drivers.keysight_b1530.box import KeysightB1530Box
from xbarlab.instruments.drivers.keysight_b2201a import KeysightB2201AMatrix
from xbarlab.instruments.probe.probed_array import ProbedArray
from xbarlab.instruments.probe.single.probed_devices import ProbedDevices
from xbarlab.instruments.station.instrument_types import find_type, short_names
from xbarlab.instruments.station.station_file import read_station
from xbarlab.runbooks import stations

SHIPPED = Path(stations.__file__).parent
SHORT = {
    "ArcTwo": ArcTwo,
    "CrossbarBoard": CrossbarBoard,
    "Keithley2400": Keithley2400Smu,
    "Keithley2450": Keithley2450Smu,
    "Keithley2600": Keithley2600Box,
    "Keithley4200A": Keithley4200Box,
    "Keysight33622A": Keysight33622APulser,
    "KeysightB1500A": KeysightB1500Box,
    "KeysightB1530A": KeysightB1530Box,
    "KeysightB2201A": KeysightB2201AMatrix,
    "ProbedArray": ProbedArray,
    "ProbedDevices": ProbedDevices,
}
OLD = {
    "xbarlab.instruments.crossbar_board.CrossbarBoard": "CrossbarBoard",
    "xbarlab.instruments.keithley_2450.Keithley2450Smu": "Keithley2450",
    "xbarlab.instruments.keysight_33622a.Keysight33622APulser": "Keysight33622A",
    "xbarlab.instruments.keysight_b2201a.KeysightB2201AMatrix": "KeysightB2201A",
    "xbarlab.instruments.probed_array.ProbedArray": "ProbedArray",
}


@pytest.mark.parametrize("name", SHORT)
def test_a_short_name_is_one_of_what_packages_offer(name: str) -> None:
    found = find_type(name, "x")
    assert (found.make, found.note) == (SHORT[name], "")
    assert found.path == f"{SHORT[name].__module__}.{SHORT[name].__name__}"
    assert name in short_names()


@pytest.mark.parametrize("name", OLD)
def test_an_old_path_is_understood_and_answered_with_the_new_name(name: str) -> None:
    found = find_type(name, "my.station.yaml: instruments.a")
    assert found.make is SHORT[OLD[name]]
    assert (
        found.note == f"my.station.yaml: instruments.a.type {name} is called {OLD[name]} now: write type: {OLD[name]}"
    )


def test_a_station_of_old_paths_is_read_as_one_of_short_names(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    text = (SHIPPED / "mock_tio2.station.yaml").read_text(encoding="utf-8")
    for name in ("bench", "chip"):
        (tmp_path / f"mock_tio2.{name}.yaml").write_bytes((SHIPPED / f"mock_tio2.{name}.yaml").read_bytes())
    path = tmp_path / "s.station.yaml"
    path.write_text(text, encoding="utf-8")
    new = read_station(path)
    for old, short in OLD.items():
        text = text.replace(f"type: {short}\n", f"type: {old}\n")
    path.write_text(text, encoding="utf-8")
    before = read_station(path)
    assert before.instruments == new.instruments
    assert before.composed is not None
    assert new.composed is not None
    assert before.composed.type is new.composed.type
    assert (new.notes, len(before.notes)) == ((), 5)
    assert [record.getMessage() for record in caplog.records] == list(before.notes)


@pytest.mark.parametrize("path", sorted(SHIPPED.glob("*.station.yaml")), ids=lambda path: path.stem)
def test_shipped_stations_use_the_short_names(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    found = [line.split("type:")[1].strip() for line in text.splitlines() if line.strip().startswith("type:")]
    assert found
    assert set(found) <= set(SHORT)


def test_a_dotted_path_of_an_installed_package_goes() -> None:
    assert find_type("qcodes.instrument_drivers.Keithley.Keithley2450", "x").make is Keithley2450


@pytest.mark.parametrize(
    ("name", "says"),
    [
        (None, "type is None: write module.Class"),
        ("", "type is '': write module.Class"),
        (3, "type is 3: write module.Class"),
        ("Keithley2540", r"unknown instrument type 'Keithley2540'.*Keithley2450.*did you mean 'Keithley2450'"),
        ("xbarlab.instruments.board.crossbar_board.CrossbarBord", "cannot be imported: AttributeError"),
        ("xbarlab.instruments.no_such.Thing", "cannot be imported: ModuleNotFoundError"),
        ("pathlib.Path", "no installed package has a module pathlib|is no instrument"),
        ("numpy.ndarray", "numpy.ndarray is no instrument but a class"),
        ("qcodes.station.Station", "is no instrument but a class"),
        ("numpy.array", "is no instrument but a builtin_function"),
        ("no_such_lab.Board", "no_such_lab.Board cannot be imported: no installed package has a module no_such_lab"),
    ],
)
def test_what_is_no_instrument_is_refused_in_one_sentence(name: Any, says: str) -> None:
    with pytest.raises(RefusedError, match=says) as caught:
        find_type(name, "s.yaml: instruments.a")
    assert str(caught.value).startswith("s.yaml: instruments.a.type")


def test_a_class_of_the_running_program_goes_and_must_be_an_instrument(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(Instrument):
        """A notebook's own."""

    notebook = types.ModuleType("my_notebook")
    notebook.Mine, notebook.text = Mine, "text"  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "my_notebook", notebook)
    assert find_type("my_notebook.Mine", "x").make is Mine
    with pytest.raises(RefusedError, match=r"my_notebook\.text is no instrument but a str"):
        find_type("my_notebook.text", "x")
    with pytest.raises(RefusedError, match=r"my_notebook\.Nine cannot be imported"):
        find_type("my_notebook.Nine", "x")


EVIL = """
from pathlib import Path
Path("{there}").write_text("ran")
from qcodes.instrument import Instrument
class Evil(Instrument):
    pass
"""
TRY = """
import sys
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.station.station_file import read_station
try:
    read_station("s.station.yaml")
except RefusedError as error:
    print("refused", error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("started", ["-c", "-m"])
@pytest.mark.parametrize("package", [False, True])
def test_nothing_is_imported_from_the_current_folder(tmp_path: Path, started: str, package: bool) -> None:
    text = EVIL.format(there=(tmp_path / "ran").as_posix())
    if package:
        (tmp_path / "evil").mkdir()
    (tmp_path / ("evil/__init__.py" if package else "evil.py")).write_text(text)
    # metadata that says it is installed here
    (tmp_path / "evil-1.0.dist-info").mkdir()
    (tmp_path / "evil-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
    (tmp_path / "evil-1.0.dist-info" / "top_level.txt").write_text("evil\n")
    (tmp_path / "evil-1.0.dist-info" / "entry_points.txt").write_text("[xbarlab.instruments]\nEvil = evil:Evil\n")
    (tmp_path / "attempt.py").write_text(TRY)
    for name in ("evil.Evil", "Evil"):
        (tmp_path / "s.station.yaml").write_text(f"instruments: {{a: {{type: {name}, address: 'GPIB::1'}}}}\n")
        arguments = ["-c", TRY] if started == "-c" else ["-m", "attempt"]
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.stdout.startswith("refused"), done.stderr
        assert not (tmp_path / "ran").exists()


def test_a_strangers_package_is_found_by_its_short_name(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = plugins.Entry(
        plugins.INSTRUMENTS, "TheirSmu", "qcodes.instrument_drivers.Keithley:Keithley2450", "them 1.0"
    )
    monkeypatch.setattr(plugins, "_installed", lambda group: (entry,) if group == plugins.INSTRUMENTS else ())
    assert find_type("TheirSmu", "x").make is Keithley2450


def test_an_entry_that_is_no_instrument_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = plugins.Entry(plugins.INSTRUMENTS, "Number", "numpy:ndarray", "them 1.0")
    monkeypatch.setattr(plugins, "_installed", lambda group: (entry,) if group == plugins.INSTRUMENTS else ())
    with pytest.raises(RefusedError, match=r"x\.type numpy\.ndarray is no instrument"):
        find_type("Number", "x")


def test_a_composed_array_is_no_single_instrument(tmp_path: Path) -> None:
    path = tmp_path / "s.station.yaml"
    path.write_text("instruments: {a: {type: ProbedArray}}\n")
    with pytest.raises(RefusedError, match=r"instruments\.a\.type ProbedArray is made of several instruments"):
        read_station(path)
