"""A station may name a thermometer: any parameter in kelvins or degrees, refused when the bench opens if it is none."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qcodes.instrument import Instrument, InstrumentChannel

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.station.station import load_station
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.programming.retention import RetentionPlan, retention
from xbarlab.runbooks.stations import find_bench, find_station

SAID: dict[str, Any] = {}


class Controller(Instrument):
    """A temperature controller with a stage in °C and a sample in K."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self.add_parameter("stage", unit="°C", get_cmd=lambda: SAID["stage"])
        self.add_parameter("heater", unit="W", get_cmd=lambda: 1.0)
        channel = InstrumentChannel(self, "A")
        channel.add_parameter("temperature", unit="K", get_cmd=lambda: SAID["sample"])
        self.add_submodule("A", channel)

    def get_idn(self) -> dict[str, str | None]:
        return {"vendor": "Lab", "model": "T", "serial": "1", "firmware": "0"}


@pytest.fixture
def station(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    module = types.ModuleType("their_lab")
    vars(module)["Controller"] = Controller
    monkeypatch.setitem(sys.modules, "their_lab", module)
    text = find_station("mock_ta_hfo2").read_text(encoding="utf-8")
    bench = find_bench("mock_ta_hfo2")
    text = text.replace(bench.name, bench.as_posix()).replace(
        "mock_ta_hfo2.chip.yaml", bench.with_name("mock_ta_hfo2.chip.yaml").as_posix()
    )

    def write(name: object) -> Path:
        path = tmp_path / "warm.station.yaml"
        more = text.replace(
            "xbarlab:\n", f"  oven: {{type: their_lab.Controller}}\n\nxbarlab:\n  thermometer: {name}\n"
        )
        path.write_text(more, encoding="utf-8")
        return path

    SAID.update(stage=85.0, sample=300.0)
    return write


def test_temperatures_are_kelvins_whatever_the_parameter_is_in(station: Any) -> None:
    for name, wanted in (("oven.stage", 358.15), ("oven.A.temperature", 300.0)):
        with load_station(station(name)) as bench:
            assert bench.thermometer is not None
            assert bench.thermometer() == pytest.approx(wanted)
            SAID["stage"] = "no sensor"
            if name == "oven.stage":
                with pytest.raises(InstrumentError, match=r"thermometer oven\.stage reads 'no sensor'"):
                    bench.thermometer()
    with load_station(find_station("mock_ta_hfo2")) as bench:
        assert bench.thermometer is None


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("oven", "write instrument.parameter"),
        ("3", "write instrument.parameter"),
        ("ofen.stage", "unknown instrument 'ofen'.*did you mean 'oven'"),
        ("oven.stge", "unknown parameter of oven 'stge'.*did you mean 'stage'"),
        ("oven.B.temperature", "unknown submodule of oven 'B'"),
        ("oven.heater", "oven.heater is in 'W': name a parameter in K or °C"),
    ],
)
def test_what_is_no_thermometer_is_refused_when_the_bench_opens(station: Any, name: str, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        load_station(station(name)).open()
    assert not Instrument.exist("oven")


def test_retention_keeps_the_temperature_of_every_read(station: Any, tmp_path: Path) -> None:
    with load_station(station("oven.A.temperature")) as bench:
        run = Run(tmp_path / "out", quiet=True, thermometer=bench.thermometer)
        plan = RetentionPlan(cells="0:1,0:4", prepare="found", last=100.0)
        result = retention(bench.array, plan, run)
        assert np.array_equal(result.temperature, np.full(len(plan.times), 300.0))
        assert set(result.frame["temperature_K"]) == {300.0}
        assert "Temperature: 300 K" in result.section().text
        told = retention(bench.array, plan.model_copy(update={"temperature": 398.15}))
        assert "Temperature: 398.1 K" in told.section().text or "398.2 K" in told.section().text
        unknown = retention(bench.array, plan)
        assert np.isnan(unknown.temperature).all()
        assert "not recorded" in unknown.section().text
