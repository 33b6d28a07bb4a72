"""Numbers with their unit: one reader, and the same words wherever a number of a known unit is read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import jsonschema
import pytest
from pydantic import BaseModel, Field

from xbarlab.cli import main
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.common.units import or_text, read_quantity, si_number, unit_of
from xbarlab.instruments.chip.chip_file import Chip, load_chip
from xbarlab.instruments.station.station import Bench
from xbarlab.instruments.station.station_file import read_station
from xbarlab.mockhw.bench.file import BenchFileError, parse_bench_file
from xbarlab.mockhw.chip.profile import ProfileError, load_profile
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan
from xbarlab.protocols.plan import Plan
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan
from xbarlab.protocols.registry import step_kind
from xbarlab.runbooks.commands.schemas import schema_of
from xbarlab.runbooks.runner.schema import load_runbook

STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("200ns", "s", 200e-9), ("200 ns", "s", 200e-9), ("1.2V", "V", 1.2), ("-50 mV", "V", -0.05), (".5V", "V", 0.5),
        ("50uS", "S", 50e-6), ("50µS", "S", 50e-6), ("50μS", "S", 50e-6), ("10 kohm", "Ω", 10e3), ("7", "V", 7.0),
        ("2.2 MΩ", "Ω", 2.2e6), ("1 Ω", "ohm", 1.0), ("1e3 uA", "A", 1e-3), ("1V/ns", "V/s", 1e9), ("3 uJ", "J", 3e-6),
        ("60uS/V", "S/V", 60e-6), ("95 %", "fraction", 0.95), ("2 1/V^2", "1/V^2", 2.0), ("2 1/mV", "1/V", 2e3),
    ],
)  # fmt: skip
def test_a_number_with_its_unit_is_the_very_number_in_si(text: str, unit: str, value: float) -> None:
    assert read_quantity(text, unit) == value  # exactly: 200ns and 200e-9 are one number
    jsonschema.validate(text if re.search(r"[^\d.]", text) else value, or_text({"type": "number"}, unit))


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("200V", "s", "'200V' is not in s: wanted is a time in s, like 200e-9, 200ns or 1.5 ms"),
        ("1.2 A", "V", "not in V: wanted is a voltage in V, like 1.2, 1.2V or 200mV"),
        ("10 kS", "Ω", "a resistance in Ω, like 10e3, 10kohm or 2.2 MΩ"),
        ("10 kohm", "S", "a conductance in S, like 50e-6, 50uS"),
        ("200NS", "s", "not in s"),
        ("1 m", "s", "not in s"),
        ("5V", "fraction", "no share: wanted is a share, like 0.95 or 95 %"),
        ("ns", "s", "'ns' is no number"),
        ("1,5 V", "V", "not in V"),
        ("1e400000V", "V", "not a finite number"),
        ("1e9999999999V", "V", "not in V"),
        ("1" * 5000 + "V", "V", "is no number"),
        ("nan V", "V", "not a finite number"),
    ],
)
def test_what_is_in_another_unit_is_refused_with_what_is_wanted(text: str, unit: str, says: str) -> None:
    for read in (read_quantity, si_number):
        with pytest.raises(RefusedError, match=re.escape(says)):
            read(text, unit)
    assert not jsonschema.Draft202012Validator(or_text({"type": "number"}, unit)).is_valid(text) or "e" in text


def numbers_of(plan: type[BaseModel], found: dict[str, Any]) -> dict[str, Any]:
    for name, field in plan.model_fields.items():
        for part in (field.annotation, *get_args(field.annotation)):
            if isinstance(part, type) and issubclass(part, BaseModel):
                numbers_of(part, found)
        leaves = re.findall(r"\w+", repr(field.annotation))
        if "float" in leaves and "str" not in leaves:
            found[f"{plan.__name__}.{name}"] = field
    return found


WITHOUT_UNIT = {
    "inputs", "points",
    "noise", "bad_share", "factor", "share", "outer_rate", "rate", "rate_end", "momentum", "min_ratio", "drive",
    "symbol_rate", "criterion", "keep", "learn", "input_gain", "settle_growth", "bound",
}  # fmt: skip


def test_every_number_of_every_step_says_its_unit_or_has_none() -> None:
    found: dict[str, Any] = {}
    for name in plugins.names(plugins.STEPS):
        numbers_of(step_kind(name).plan, found)
    assert len(found) > 100
    silent = {name for name, field in found.items() if not unit_of(field.description)}
    assert {name.partition(".")[2] for name in silent} == WITHOUT_UNIT


def test_plans_read_units_also_in_lists_in_parts_and_of_other_people() -> None:
    assert DcSweepPlan(dwell="2 ms", positive="900mV").dwell == 2e-3  # pyright: ignore[reportArgumentType]
    plan = ReadVerifyPlan(
        levels={"low": "20uS", "high": "0.1 mS"}, set={"volts": ["1 V", 2.5], "gate": [0.5, "900 mV"]}
    )  # pyright: ignore[reportArgumentType]
    assert (plan.levels.low, plan.levels.high, plan.set.volts, plan.set.gate) == (20e-6, 1e-4, (1.0, 2.5), (0.5, 0.9))

    class Theirs(Plan):
        waits: list[float] = Field(default=[0.0], description="pauses [s]")
        mode: float | str = Field(default="auto", description="range [A], or 'auto'")

    assert Theirs(waits=["1 ms", 2]).waits == [1e-3, 2.0]  # pyright: ignore[reportArgumentType]
    assert Theirs(mode="10 mA").mode == "10 mA", "text is text where a parameter takes it"
    with pytest.raises(
        RefusedError, match=r"parameter 'waits' is refused: '1 V' is not in s: .* 200ns .*\(pauses \[s\]\)"
    ):
        Theirs(waits=[1.0, "1 V"])  # pyright: ignore[reportArgumentType]


RUNBOOK = """---
title: Units
station: mock_ta_hfo2
steps:
  - {id: form, forming: {cells: "0:2,0:2", width: 10us, stop_volts: 3300 mV}}
  - {id: iv, dc_sweep: {cells: "0:2,0:2", compliance: 200 uA}}
presets:
  quick: {iv.dwell: 1 ms}
expect:
  v_set_mean: {max: 900 mV}
  formed_fraction: {min: 50 %}
  iv.r_on_median: {max: 10 kohm}
---
"""


def test_runbooks_presets_overrides_and_expectations_read_units(tmp_path: Path) -> None:
    path = tmp_path / "units.md"
    path.write_text(RUNBOOK, encoding="utf-8")
    book = load_runbook(path, preset="quick", overrides=["iv.positive=1400mV", "form.formed_above=30 uS"])
    form, iv = (step.plan for step in book.steps)
    assert (form.width, form.stop_volts, form.formed_above) == (10e-6, 3.3, 30e-6)  # type: ignore[attr-defined]
    assert (iv.compliance, iv.dwell, iv.positive) == (200e-6, 1e-3, 1.4)  # type: ignore[attr-defined]
    assert [(one.minimum, one.maximum) for one in book.expect] == [(None, 0.9), (0.5, None), (None, 10e3)]


@pytest.mark.parametrize(
    ("old", "new", "overrides", "says"),
    [
        ("10us", "200V", [], "units.md:5: step 'form' (forming): parameter 'width' is refused: '200V' is not in s: "
         "wanted is a time in s, like 200e-9, 200ns or 1.5 ms (pulse width [s])"),
        ("", "", ["iv.dwell=1 V"], "--set iv.dwell=1 V: parameter 'dwell' is refused: '1 V' is not in s"),
        ("1 ms", "1 mA", [], "preset 'quick': iv.dwell = '1 mA': parameter 'dwell' is refused: '1 mA' is not in s"),
        ("900 mV", "900 ms", [], "expectation 'v_set_mean': max: '900 ms' is not in V"),
        ("200 uA", '"200e-6"', [], "'compliance' = '200e-6' is of the wrong type: write 200e-6 without quotes"),
    ],
)  # fmt: skip
def test_a_wrong_unit_in_a_runbook_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, overrides: list[str], says: str
) -> None:
    path = tmp_path / "units.md"
    path.write_text(RUNBOOK.replace(old, new) if old else RUNBOOK, encoding="utf-8")
    changes = [part for one in overrides for part in ("--set", one)]
    assert main(["run", str(path), "--dry-run", "--preset", "quick", *changes]) == 2
    assert says in " ".join(capsys.readouterr().err.split())


def test_by_hand_uses_the_same_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["pulse", "--station", "mock_ta_hfo2", "--cell", "0,0", "--volts", "1.2V", "--width", "200V"]) == 2
    assert "--width 200V: '200V' is not in s: wanted is a time in s, like 200e-9" in " ".join(
        capsys.readouterr().err.split()
    )


def edited(tmp_path: Path, name: str, *changes: tuple[str, str]) -> Path:
    for path in STATIONS.glob("*.yaml"):
        if not (tmp_path / path.name).exists():
            (tmp_path / path.name).write_text(path.read_text(encoding="utf-8"), encoding="utf-8")
    text = (tmp_path / name).read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path / name


def test_station_and_chip_files_read_units(tmp_path: Path) -> None:
    path = edited(
        tmp_path, "mock_tio2.station.yaml",
        ("    inputs: {row_smu", "    edge: 20 ns\n    gap: 2us\n    inputs: {row_smu"),
        ("  clock: auto", "  clock: auto\n  limits: {set_volts_max: 2500 mV, current_max: 1mA, slew_max: 1 V/ns}"),
        ("mock_tio2.bench.yaml@xbarlab}", "mock_tio2.bench.yaml@xbarlab, timeout: 4000 ms}"),
    )  # fmt: skip
    station = read_station(path)
    assert station.composed is not None
    assert (station.composed.settings["edge"], station.composed.settings["gap"]) == (20e-9, 2e-6)
    assert dict(station.limits) == {"set_volts_max": 2.5, "current_max": 1e-3, "slew_max": 1e9}
    assert station.instruments["row_smu"]["init"]["timeout"] == 4.0
    chip = load_chip(
        edited(tmp_path, "mock_tio2.chip.yaml", ("width_max: 1.0e-3", "width_max: 0.5 ms"), ("1.0   ", "500 mohm  "))
    )
    assert (chip.segment_ohms, chip.limits["width_max"]) == (0.5, 0.5e-3)
    assert Chip.model_validate({**chip.model_dump(), "limits": {"gate_max": "2V"}}).limits == {"gate_max": 2.0}


@pytest.mark.parametrize(
    ("file", "old", "new", "says"),
    [
        ("mock_tio2.station.yaml", "    inputs: {row", "    edge: 20 V\n    inputs: {row",
         "xbarlab.array.edge: '20 V' is not in s"),
        ("mock_tio2.station.yaml", "clock: auto", "limits: {set_volts_max: 2 A}",
         "xbarlab.limits: limit set_volts_max: '2 A' is not in V"),
        ("mock_tio2.station.yaml", "xbarlab}", "xbarlab, timeout: 4 V}", "row_smu.init.timeout: '4 V' is not in s"),
        ("mock_tio2.chip.yaml", "width_max: 1.0e-3", "width_max: 2 V", "limits: limit width_max: '2 V' is not in s"),
        ("mock_tio2.chip.yaml", "segment_ohms: 1.0", "segment_ohms: 2 V", "segment_ohms: '2 V' is not in Ω"),
    ],
)  # fmt: skip
def test_a_wrong_unit_in_a_file_is_one_sentence(tmp_path: Path, file: str, old: str, new: str, says: str) -> None:
    edited(tmp_path, file, (old, new))
    with pytest.raises(RefusedError, match=re.escape(says)) as refused:
        read_station(tmp_path / "mock_tio2.station.yaml")
    assert "\n" not in str(refused.value)


def test_parameters_of_an_instrument_are_in_the_unit_it_has(tmp_path: Path) -> None:
    path = edited(
        tmp_path, "mock_ta_hfo2.station.yaml",
        ("    init:", "    parameters: {watchdog: {initial_value: 20000 ms}, read_range: {initial_value: AUTO}, "
                      "read_volts: {step: 10mV}}\n    init:"),
    )  # fmt: skip
    with Bench(read_station(path)) as bench:
        board: Any = bench.array
        assert (board.watchdog(), board.read_range(), board.read_volts.step) == (20.0, "AUTO", 0.01)
    edited(tmp_path, "mock_ta_hfo2.station.yaml", ("20000 ms", "20 V"))
    with pytest.raises(RefusedError, match=r"board: parameters: watchdog\.initial_value: '20 V' is not in s"):
        Bench(read_station(path)).__enter__()


def bench_file(**fault: object) -> dict[str, Any]:
    return {
        "chip": {"profile": "tio2_passive"},
        "instruments": [{"kind": "keithley_2450", "name": "a", "address": "x", "limit_delay": "30 ns"}],
        "wiring": {"inputs": {}, "rows": [1], "cols": [2], "relay_ohms": "300 mohm"},
        "faults": [{"kind": "late_reply", **fault}],
    }


def test_bench_files_and_profiles_read_units(tmp_path: Path) -> None:
    bench = parse_bench_file(bench_file(seconds="20 ms", amps="2uA"))
    assert bench.wiring is not None
    assert (bench.instruments[0].limit_delay, bench.wiring.relay_ohms) == (30e-9, 0.3)  # type: ignore[union-attr]
    assert (bench.faults[0].seconds, bench.faults[0].amps) == (0.02, 2e-6)
    with pytest.raises(
        BenchFileError, match=r"faults\.0\.seconds: '20 mV' is not in s: wanted is a time in s, like 200"
    ):
        parse_bench_file(bench_file(seconds="20 mV"))
    changed = {"wiring.row_segment": {"value": "250 mohm", "source": "a test"}}
    assert float(load_profile("ta_hfo2_1t1r", changed).wiring.row_segment) == 0.25
    with pytest.raises(ProfileError, match=r"'250 mV' is not in ohm"):
        load_profile("ta_hfo2_1t1r", {"wiring.row_segment": {"value": "250 mV", "source": "a test"}})


def test_schemas_admit_what_is_read_and_nothing_else() -> None:
    runbook = jsonschema.Draft202012Validator(schema_of("runbook"))
    bench = jsonschema.Draft202012Validator(schema_of("bench"))
    chip = jsonschema.Draft202012Validator(schema_of("chip"))

    def book(parameters: dict[str, Any], limit: Any = 1.0) -> dict[str, Any]:
        return {
            "title": "x",
            "steps": [{"id": "a", "read_verify": parameters}],
            "expect": {"programming_sigma": {"max": limit}},
        }

    assert runbook.is_valid(
        book({"width": "200ns", "levels": {"low": "20 uS"}, "set": {"volts": ["1V", 2], "gate": [1, 2]}}, "2 uS")
    )
    for wrong in (
        {"width": "200V"},
        {"width": "fast"},
        {"levels": {"low": "20 V"}},
        {"set": {"volts": ["1 s", 2], "gate": [1, 2]}},
    ):
        assert not runbook.is_valid(book(wrong))
    assert not runbook.is_valid(book({}, "high"))
    assert bench.is_valid(bench_file(seconds="20 ms"))
    assert not bench.is_valid(bench_file(seconds="20 V"))
    told = {"id": "c", "rows": 2, "cols": 2, "cell": "1T1R", "segment_ohms": "1 ohm", "limits": {"gate_max": "2 V"}}
    assert chip.is_valid(told)
    assert not chip.is_valid({**told, "limits": {"gate_max": "2 s"}})
