"""QCoDeS's own, unmodified Keithley 2450 driver against the simulated instrument: over TCP and in process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyvisa.errors import VisaIOError
from qcodes.dataset import Measurement, initialise_or_create_database_at, load_or_create_experiment
from qcodes.instrument_drivers.Keithley import Keithley2450

from support import resistor_bench
from xbarlab.mockhw.front_ends import visa_library
from xbarlab.mockhw.front_ends.tcp_host import serve


@pytest.fixture(params=["tcp", "in process"])
def bench_and_smu(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Any, Keithley2450]]:
    module = resistor_bench
    bench = module.ResistorBench(1e4)
    address = module.ADDRESSES[0]
    if request.param == "in process":
        monkeypatch.setattr(visa_library, "bench_for", lambda _: bench)
        smu = Keithley2450("smu", address, visalib="resistor.bench.yaml@xbarlab")
        yield bench, smu
        smu.close()
        return
    with serve(bench, port=0) as addresses:
        host, port = addresses[address]
        smu = Keithley2450("smu", f"TCPIP0::{host}::{port}::SOCKET", visalib="@py")
        yield bench, smu
        smu.close()


@pytest.fixture
def smu(bench_and_smu: tuple[Any, Keithley2450]) -> Keithley2450:
    return bench_and_smu[1]


def assert_no_error(smu: Keithley2450) -> None:
    assert smu.ask("SYST:ERR?") == '0,"No error;0;0 0"'


def test_connects_and_identifies(smu: Keithley2450) -> None:
    idn = smu.get_idn()
    assert (idn["vendor"], idn["model"], idn["serial"]) == ("KEITHLEY INSTRUMENTS", "2450", "04123450")
    assert idn["firmware"] == "1.7.12b"
    assert_no_error(smu)


def test_every_setting_reads_back_what_was_written(smu: Keithley2450) -> None:
    smu.reset()
    smu.sense_function("current")
    smu.source_function("voltage")
    smu.terminals("rear")
    for parameter, value in [
        (smu.source.range, 2.0),
        (smu.source.auto_range, False),
        (smu.source.limit, 1e-3),
        (smu.source.voltage, 0.5),
        (smu.source.delay, 0.01),
        (smu.source.auto_delay, False),
        (smu.source.read_back_enabled, False),
        (smu.sense.range, 1e-3),
        (smu.sense.auto_range, False),
        (smu.sense.nplc, 0.1),
        (smu.sense.auto_zero_enabled, False),
        (smu.sense.four_wire_measurement, True),
        (smu.sense.count, 3),
        (smu.output_enabled, True),
    ]:
        parameter(value)
        read = parameter.get()
        assert (float(read) if isinstance(read, str) else read) == value, parameter.full_name
    smu.source.user_number(2)
    smu.source.user_delay(0.25)
    assert smu.source.user_delay() == 0.25
    smu.sense.user_number(3)
    smu.sense.user_delay(0.5)
    assert smu.sense.user_delay() == 0.5
    smu.sense.auto_zero_once()
    assert smu.line_frequency() == "50"
    assert smu.source.limit_tripped() is False
    assert_no_error(smu)


def test_snapshot_asks_nothing_that_fails(smu: Keithley2450) -> None:
    smu.reset()
    for module in ("voltage", "current"):
        smu.submodules[f"_source_{module}"].user_number(1)
    for module in ("voltage", "current", "resistance"):
        smu.submodules[f"_sense_{module}"].user_number(1)
    smu.source.sweep_setup(0.0, 1.0, 3)
    smu.sense_function("current")
    settings = smu.snapshot(update=True)
    assert settings["parameters"]["source_function"]["value"] == "voltage"
    source = settings["submodules"]["_source_voltage"]["parameters"]
    assert source["limit"]["value"] == pytest.approx(1.05e-4)
    assert source["auto_range"]["value"] is True


def test_measures(smu: Keithley2450) -> None:
    smu.reset()
    smu.sense_function("current")
    smu.source_function("voltage")
    smu.source.limit(1e-3)
    smu.source.voltage(0.5)
    with pytest.raises(RuntimeError, match="Output needs to be on"):
        smu.sense.current()
    smu.output_enabled(True)
    assert smu.sense.current() == pytest.approx(50e-6, rel=2e-3)
    smu.source.limit(10e-6)
    assert smu.source.limit_tripped() is True
    assert smu.sense.current() == pytest.approx(10e-6, rel=2e-3)
    smu.source.block_during_ramp(True)
    smu.source.voltage(0.01)
    smu.sense_function("voltage")
    assert smu.sense.voltage() == pytest.approx(0.01, abs=5e-4)
    smu.output_enabled(False)
    assert_no_error(smu)


def test_buffers(smu: Keithley2450) -> None:
    smu.reset()
    smu.sense_function("current")
    smu.source.limit(1e-3)
    smu.source.voltage(0.5)
    smu.output_enabled(True)
    with smu.buffer("probe", 100) as buffer:
        assert buffer.size() == 100
        buffer.elements(["measurement", "source_value", "source_value_status", "timestamp"])
        for _ in range(3):
            buffer.trigger_start()
        assert buffer.number_of_readings() == 3
        data = np.array(buffer.get_data(1, 3)).reshape(3, 4)
        np.testing.assert_allclose(data[:, 0].astype(float), 50e-6, rtol=2e-3)
        np.testing.assert_allclose(data[:, 1].astype(float), 0.5, rtol=2e-3)
        assert list(data[:, 2]) == ["136"] * 3
        assert len(buffer.get_last_reading().split(",")) == 4
        buffer.clear_buffer()
        assert buffer.number_of_readings() == 0
    assert_no_error(smu)


def test_linear_sweep(smu: Keithley2450) -> None:
    smu.reset()
    smu.sense_function("current")
    smu.source_function("voltage")
    smu.source.limit(1e-3)
    smu.sense.nplc(0.1)
    smu.source.sweep_setup(-1.0, 1.0, 21, delay=0.001)
    smu.output_enabled(True)
    buffer = smu.buffer("defbuffer1")
    buffer.elements(["source_value"])
    current = smu.sense.sweep()
    np.testing.assert_allclose(current, np.linspace(-1e-4, 1e-4, 21), atol=4e-7)
    np.testing.assert_allclose(np.array(smu.sense.sweep.get_selected(), float), np.linspace(-1, 1, 21), atol=2e-3)
    np.testing.assert_allclose(smu.source.sweep_axis(), np.linspace(-1, 1, 21))
    assert buffer.number_of_readings() == 0
    assert smu.output_enabled() is False  # the sweep's trigger model has turned it off
    assert_no_error(smu)


def test_linear_sweep_as_a_qcodes_measurement(smu: Keithley2450, tmp_path: Path) -> None:
    initialise_or_create_database_at(str(tmp_path / "smu.db"))
    experiment = load_or_create_experiment("resistor", "10k")
    smu.reset()
    smu.sense_function("current")
    smu.source_function("voltage")
    smu.source.limit(1e-3)
    smu.source.sweep_setup(0.0, 1.0, 11)
    measurement = Measurement(exp=experiment)
    measurement.register_parameter(smu.sense.sweep)
    with measurement.run() as saver:
        saver.add_result((smu.source.sweep_axis, smu.source.sweep_axis()), (smu.sense.sweep, smu.sense.sweep()))
    table = saver.dataset.to_pandas_dataframe()
    assert len(table) == 11
    np.testing.assert_allclose(table.iloc[:, 0], table.index.to_numpy() / 1e4, atol=4e-7)


def test_the_sweep_stops_short_at_the_limit_and_the_driver_waits_in_vain(
    bench_and_smu: tuple[Any, Keithley2450],
) -> None:
    bench, smu = bench_and_smu
    smu.reset()
    smu.sense_function("current")
    smu.source_function("voltage")  # and the limit as it is: 105 µA
    smu.sense.nplc(0.1)
    smu.source.sweep_setup(0.0, 2.0, 21)
    smu.timeout(0.5)
    with pytest.raises(VisaIOError):
        smu.sense.sweep()
    assert len(bench.smu.buffers["defbuffer1"].records) == 12
    assert smu.output_enabled() is False


def test_a_sweep_longer_than_the_timeout_times_out_in_process_only(
    bench_and_smu: tuple[Any, Keithley2450], request: pytest.FixtureRequest
) -> None:
    bench, smu = bench_and_smu
    smu.reset()
    smu.sense_function("current")
    smu.source_function("voltage")
    smu.source.limit(1e-3)
    smu.source.sweep_setup(0.0, 1.0, 11, delay=1.0)
    start = bench.clock.now
    if "in process" in request.node.name:
        with pytest.raises(VisaIOError):
            smu.sense.sweep()  # eleven seconds on a timeout of five
        assert bench.clock.now - start == pytest.approx(5.0, abs=0.1)
        assert bench.smu.busy  # and the sweep goes on
    else:  # simulated time flies while a client waits
        assert smu.sense.sweep().size == 11
        assert bench.clock.now - start > 11.0
