"""QCoDeS's own, unmodified Keithley 2400 driver against the simulated instrument: over TCP and in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment
from qcodes.instrument_drivers.Keithley import Keithley2400

from support import resistor_bench
from xbarlab.mockhw.front_ends import visa_library
from xbarlab.mockhw.front_ends.tcp_host import serve
from xbarlab.mockhw.instruments.keithley_2400.instrument import Keithley2400 as Simulated


@pytest.fixture(params=["tcp", "in process"])
def smu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    bench: Any = resistor_bench.ResistorBench(1e4, kind=Simulated)

    def here(_: object) -> object:
        return bench

    address = resistor_bench.ADDRESSES[0]
    if request.param == "in process":
        monkeypatch.setattr(visa_library, "bench_for", here)
        smu = Keithley2400("smu", address, visalib="resistor.bench.yaml@xbarlab")
        yield smu
        smu.close()
        return
    with serve(bench, port=0) as addresses:
        host, port = addresses[address]
        smu = Keithley2400("smu", f"TCPIP0::{host}::{port}::SOCKET", visalib="@py")
        yield smu
        smu.close()


def assert_no_error(smu: Any) -> None:
    assert smu.ask("SYST:ERR?").startswith(('0,"', '+0,"'))


def test_connects_and_identifies(smu: Any) -> None:
    idn = smu.get_idn()
    assert (idn["vendor"], idn["model"], idn["serial"]) == ("KEITHLEY INSTRUMENTS INC.", "2400", "04123450")
    assert_no_error(smu)


def test_every_setting_reads_back_what_was_written(smu: Any) -> None:
    smu.reset()
    smu.mode("VOLT")
    for parameter, value, told in [
        (smu.rangev, 2.0, 2.1),
        (smu.compliancei, 1e-3, 1e-3),
        (smu.compliancev, 5.0, 5.0),
        (smu.nplci, 0.5, 0.5),
        (smu.nplcv, 2.0, 2.0),
        (smu.output, True, True),
    ]:
        parameter(value)
        assert parameter.get() == (told if isinstance(told, bool) else pytest.approx(told))
    assert smu.mode() == "VOLT"
    assert smu.sense() == '"CURR:DC"'
    assert_no_error(smu)


def test_snapshot_asks_nothing_that_fails(smu: Any) -> None:
    smu.compliancei(1e-3)
    smu.output(True)
    snapshot = smu.snapshot(update=True)["parameters"]
    assert {name for name, entry in snapshot.items() if entry["value"] is None} <= {"timeout"}
    assert snapshot["mode"]["value"] == "VOLT"
    assert_no_error(smu)


def test_measures(smu: Any) -> None:
    smu.compliancei(1e-3)
    smu.output(True)
    smu.volt(0.5)
    assert smu.curr() == pytest.approx(5e-5, rel=0.02)
    assert smu.volt() == pytest.approx(0.5, rel=0.02)
    assert smu.resistance() == pytest.approx(1e4, rel=0.02)
    smu.output(False)
    with pytest.raises(RuntimeError, match="output off"):
        smu.curr()
    assert_no_error(smu)


def test_a_sweep_as_a_qcodes_measurement(smu: Any, tmp_path: Path) -> None:
    initialise_or_create_database_at(tmp_path / "own.db")
    load_or_create_experiment("resistor", "none")
    smu.compliancei(1e-3)
    smu.output(True)
    measurement = Measurement()
    measurement.register_parameter(smu.volt)
    measurement.register_parameter(smu.curr, setpoints=(smu.volt,))
    levels = np.linspace(-0.5, 0.5, 11)
    with measurement.run() as saver:
        for level in levels:
            smu.volt(level)
            saver.add_result((smu.volt, level), (smu.curr, smu.curr()))
    found = saver.dataset.get_parameter_data()["smu_curr"]
    np.testing.assert_allclose(found["smu_curr"], levels / 1e4, rtol=0.02, atol=4e-7)
    assert_no_error(smu)
