"""QCoDeS's own, unmodified Keithley 2600 driver against the simulated instrument: over TCP and in process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes.dataset import LinSweep, Measurement, do0d, initialise_or_create_database_at, load_or_create_experiment
from qcodes.instrument_drivers.Keithley import Keithley2602B, Keithley2612B, Keithley2634B, Keithley2636B
from qcodes.instrument_drivers.Keithley._Keithley_2600 import MeasurementStatus

pytest.importorskip("lupa", reason="the simulated 2600B runs scripts in lupa's Lua: pip install 'xbarlab[sim]'")

from support.resistor_box import ADDRESS, ResistorBox
from xbarlab.mockhw.front_ends import visa_library
from xbarlab.mockhw.front_ends.tcp_host import serve

KINDS = {"2602B": Keithley2602B, "2612B": Keithley2612B, "2634B": Keithley2634B, "2636B": Keithley2636B}


def found(bench: Any) -> Callable[[object], Any]:
    def bench_for(_: object) -> Any:
        return bench

    return bench_for


@pytest.fixture(params=["tcp", "in process"])
def box(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    bench: Any = ResistorBox()
    if request.param == "in process":
        monkeypatch.setattr(visa_library, "bench_for", found(bench))
        box = Keithley2636B("box", ADDRESS, visalib="resistor.bench.yaml@xbarlab")
        yield box
        box.close()
        return
    with serve(bench, port=0) as addresses:
        host, port = addresses[ADDRESS]
        box = Keithley2636B("box", f"TCPIP0::{host}::{port}::SOCKET", visalib="@py")
        yield box
        box.close()


def assert_no_error(box: Any) -> None:
    assert float(box.ask("errorqueue.count")) == 0.0


@pytest.mark.parametrize("model", KINDS)
def test_every_model_connects(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bench: Any = ResistorBox(model=model)
    monkeypatch.setattr(visa_library, "bench_for", found(bench))
    box: Any = KINDS[model]("box", ADDRESS, visalib="resistor.bench.yaml@xbarlab")
    try:
        assert (box.model, box.get_idn()["model"], box.get_idn()["serial"]) == (model, model, "4088888")
        for parameter in (box.smua.sourcerange_v, box.smub.measurerange_i):
            for value in parameter.vals.valid_values:
                parameter(value)
                assert parameter() == pytest.approx(value)
        assert_no_error(box)
    finally:
        box.close()


def test_every_setting_reads_back_what_was_written(box: Any) -> None:
    box.reset()
    smu = box.smub
    for parameter, value in [
        (smu.mode, "current"), (smu.mode, "voltage"), (smu.nplc, 0.5), (smu.limiti, 1e-3), (smu.limitv, 2.0),
        (smu.four_wire_measurement, True), (smu.four_wire_measurement, False), (smu.source_autorange_v_enabled, False),
        (smu.measure_autorange_i_enabled, False), (smu.measure_autorange_v_enabled, True), (smu.output, True),
        (smu.output, False),
    ]:  # fmt: skip
        parameter(value)
        assert parameter.get() == (value if isinstance(value, str | bool) else pytest.approx(value))
    assert smu.linefreq() == 50.0
    assert_no_error(box)


def test_snapshot_asks_nothing_that_fails(box: Any) -> None:
    box.smua.setup_fastsweep(LinSweep(box.smua.volt, 0.0, 0.1, 3))
    snapshot = box.snapshot(update=True)["submodules"]["smua"]["parameters"]
    assert snapshot["mode"]["value"] == "voltage"
    assert {name for name, entry in snapshot.items() if entry.get("value", 0) is None} <= {
        "volt", "curr", "fastsweep", "timetrace", "time_axis",
    }  # fmt: skip
    assert_no_error(box)


def test_measures_and_tells_compliance(box: Any) -> None:
    smu = box.smua
    smu.limiti(1e-3)
    smu.output(True)
    box.smub.output(True)
    smu.volt(0.5)
    assert smu.curr() == pytest.approx(5e-5, rel=0.02)
    assert smu.curr.measurement_status == MeasurementStatus.NORMAL
    assert smu.res() == pytest.approx(1e4, rel=0.03)
    smu.limiti(1e-5)
    assert smu.curr() == pytest.approx(1e-5, rel=0.02)
    assert smu.curr.measurement_status == MeasurementStatus.CURRENT_COMPLIANCE_ERROR
    assert_no_error(box)


def test_fastsweep_and_time_trace_run_on_the_instrument(box: Any, tmp_path: Path) -> None:
    initialise_or_create_database_at(tmp_path / "own.db")
    load_or_create_experiment("resistor", "none")
    smu = box.smua
    smu.limiti(1e-3)
    smu.setup_fastsweep(LinSweep(smu.volt, -0.5, 0.5, 21, delay=1e-3))
    found = do0d(smu.fastsweep, show_progress=False)[0].get_parameter_data()["box_smua_fastsweep"]
    np.testing.assert_allclose(found["box_smua_fastsweep"], np.linspace(-0.5, 0.5, 21) / 1e4, rtol=0.02, atol=1e-6)
    smu.setup_fastsweep(LinSweep(smu.volt, 0.0, 0.5, 5), LinSweep(box.smub.volt, 0.0, 0.2, 3))
    rows = smu.fastsweep()
    np.testing.assert_allclose(rows[2], (np.linspace(0.0, 0.5, 5) - 0.2) / 1e4, rtol=0.02, atol=2e-6)
    smu.volt(0.3)
    box.smub.volt(0.0)
    smu.timetrace_npts(50)
    smu.timetrace_dt(0.1)
    trace = smu.timetrace()
    np.testing.assert_allclose(trace, 3e-5, rtol=0.03)
    assert trace.shape == (50,)
    assert_no_error(box)


def test_a_sweep_as_a_qcodes_measurement(box: Any, tmp_path: Path) -> None:
    initialise_or_create_database_at(tmp_path / "own.db")
    load_or_create_experiment("resistor", "none")
    smu = box.smua
    smu.limiti(1e-3)
    smu.output(True)
    measurement = Measurement()
    measurement.register_parameter(smu.volt)
    measurement.register_parameter(smu.curr, setpoints=(smu.volt,))
    levels = np.linspace(-0.5, 0.5, 11)
    with measurement.run() as saver:
        for level in levels:
            smu.volt(level)
            saver.add_result((smu.volt, level), (smu.curr, smu.curr()))
    found = saver.dataset.get_parameter_data()["box_smua_curr"]
    np.testing.assert_allclose(found["box_smua_curr"], levels / 1e4, rtol=0.02, atol=1e-6)
    assert_no_error(box)


def test_display_and_errors(box: Any) -> None:
    box.display_settext("hello")
    box.display_clear()
    box.display_normal()
    box.exit_key()
    assert_no_error(box)
    box.write("smua.source.levelv = 1e6")
    box.write("nonsense(")
    assert [box.ask("errorqueue.next()").split("\t")[1] for _ in range(3)] == [
        "Parameter too big",
        "TSP Syntax error at line 1: unexpected symbol near '<eof>'",
        "Queue Is Empty",
    ]
