"""QCoDeS's own, unmodified B1500 driver against the simulated mainframe: over TCP and in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes.dataset import do0d, initialise_or_create_database_at, load_or_create_experiment
from qcodes.instrument_drivers.Keysight import KeysightB1500
from qcodes.instrument_drivers.Keysight.keysightb1500 import constants

from support.resistor_mainframe import ADDRESS, OHMS, Mainframe
from xbarlab.mockhw.front_ends import visa_library
from xbarlab.mockhw.front_ends.tcp_host import serve

VOLTS, AMPS = constants.VOutputRange, constants.IMeasRange


def found(bench: Any) -> Callable[[object], Any]:
    def bench_for(_: object) -> Any:
        return bench

    return bench_for


@pytest.fixture(params=["tcp", "in process"])
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    bench: Any = Mainframe()
    if request.param == "in process":
        monkeypatch.setattr(visa_library, "bench_for", found(bench))
        box = KeysightB1500("box", ADDRESS, visalib="resistor.bench.yaml@xbarlab")
        yield box
        box.close()
        return
    with serve(bench, port=0) as addresses:
        host, port = addresses[ADDRESS]
        box = KeysightB1500("box", f"TCPIP0::{host}::{port}::SOCKET", visalib="@py")
        yield box
        box.close()


def assert_no_error(box: Any) -> None:
    assert box.error_message() == '+0,"No Error."'


@pytest.fixture
def ready(box: Any) -> Any:
    box.reset()
    box.enable_channels([1, 2])
    for smu in (box.smu1, box.smu2):
        smu.source_config(VOLTS.MIN_2V, compliance=1e-3, min_compliance_range=AMPS.MIN_1mA)
        smu.voltage(0.0)
    return box


def test_it_connects_and_finds_its_modules(box: Any) -> None:
    assert (box.get_idn()["vendor"], box.get_idn()["model"]) == ("Keysight Technologies", "B1500A")
    assert list(box.submodules) == ["smu1", "smu2", "wgfmu1"]
    assert not box.smu1.is_enabled()
    box.enable_channels()
    assert box.smu1.is_enabled()
    box.smu1.disable_outputs()
    assert not box.smu1.is_enabled()
    assert box.smu2.is_enabled()
    assert_no_error(box)


def test_spot_measurements_and_compliance(ready: Any) -> None:
    smu = ready.smu1
    ready.use_nplc_for_high_speed_adc(1)
    ready.autozero_enabled(False)
    smu.i_measure_range_config(AMPS.MIN_1uA)
    smu.voltage(0.5)
    assert smu.current() == pytest.approx(0.5 / OHMS, rel=0.01)
    assert smu.current.measurement_status == constants.MeasurementStatus.N
    assert smu.voltage() == pytest.approx(0.5, rel=0.01)
    assert ready.smu2.current() == pytest.approx(-0.5 / OHMS, rel=0.01)
    smu.source_config(VOLTS.MIN_2V, compliance=1e-5)
    smu.voltage(0.5)
    assert smu.current() == pytest.approx(1e-5, rel=0.01)
    assert smu.current.measurement_status == constants.MeasurementStatus.C
    assert_no_error(ready)


def test_settings_read_back(ready: Any) -> None:
    smu = ready.smu1
    smu.current_measurement_range(AMPS.FIX_10uA)
    assert dict(smu.current_measurement_range())[1] == AMPS.FIX_10uA
    smu.measurement_operation_mode(constants.CMM.Mode.CURRENT)
    assert dict(smu.measurement_operation_mode())[1] == constants.CMM.Mode.CURRENT
    smu.iv_sweep.delay(0.01)
    assert smu.iv_sweep.delay.get() == pytest.approx(0.01)
    ready.set_measurement_mode(constants.MM.Mode.STAIRCASE_SWEEP, [1, 2])
    assert ready.get_measurement_mode() == {"mode": constants.MM.Mode.STAIRCASE_SWEEP, "channels": [1, 2]}
    assert ready.get_response_format_and_mode()["format"] == 1
    assert_no_error(ready)


def test_snapshot_asks_nothing_that_fails(ready: Any) -> None:
    ready.smu1.setup_staircase_sweep(0.0, 0.4, 5, i_comp=1e-3)
    ready.smu1.timing_parameters(0, 0.01, 5)
    entry = ready.snapshot(update=None)["submodules"]["smu1"]
    assert entry["submodules"]["iv_sweep"]["parameters"]["sweep_auto_abort"]["value"] == constants.Abort.ENABLED
    assert_no_error(ready)


def test_a_staircase_sweep_as_a_dataset(ready: Any, tmp_path: Path) -> None:
    initialise_or_create_database_at(tmp_path / "own.db")
    load_or_create_experiment("resistor", "none")
    ready.smu1.setup_staircase_sweep(-0.5, 0.5, 21, i_comp=1e-3, i_meas_range=AMPS.AUTO, delay=1e-3)
    ready.set_measurement_mode(constants.MM.Mode.STAIRCASE_SWEEP, [1, 2])
    ready.run_iv_staircase_sweep.set_names_labels_and_units(("row", "column"))
    ready.run_iv_staircase_sweep()  # its shape is known to QCoDeS once it has run
    data = do0d(ready.run_iv_staircase_sweep, show_progress=False)[0].get_parameter_data()
    row = data["box_row"]
    np.testing.assert_allclose(row["box_voltage"], np.linspace(-0.5, 0.5, 21), atol=1e-9)
    np.testing.assert_allclose(row["box_row"], np.linspace(-0.5, 0.5, 21) / OHMS, rtol=0.02, atol=1e-6)
    np.testing.assert_allclose(data["box_column"]["box_column"], -row["box_row"], rtol=0.02, atol=1e-6)
    assert set(ready.run_iv_staircase_sweep.status_summary().values()) == {"No status error occurred."}
    assert_no_error(ready)


def test_a_sampling_trace(ready: Any) -> None:
    smu = ready.smu1
    ready.write("MV 1,0,0,0.3,1E-3")
    smu.timing_parameters(h_bias=0, interval=0.01, number=20)
    smu.measurement_mode(constants.MM.Mode.SAMPLING)
    trace = smu.sampling_measurement_trace()
    np.testing.assert_allclose(trace, 0.3 / OHMS, rtol=0.02)
    assert trace.shape == smu.time_axis().shape == (20,)
    assert_no_error(ready)


def test_a_wrong_order_is_told_by_the_error_queue(box: Any) -> None:
    box.smu1.source_config(VOLTS.MIN_2V, compliance=1e-3)
    with pytest.raises(RuntimeError, match="Channel output switch must be ON"):
        box.smu1.voltage(0.1)
    assert_no_error(box)
