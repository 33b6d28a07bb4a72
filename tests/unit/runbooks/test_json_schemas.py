"""JSON Schemas of what people write: every shipped file fits, typos do not, and our readers say the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from xbarlab.cli import main
from xbarlab.common.errors import RefusedError
from xbarlab.common.yaml_files import read_yaml
from xbarlab.runbooks.commands.schemas import schema_of
from xbarlab.runbooks.runner.front_matter import read_front_matter

ROOT = Path(__file__).parents[3]
FILES = {
    "station": sorted((ROOT / "runbooks" / "stations").glob("*.station.yaml")),
    "bench": sorted((ROOT / "runbooks" / "stations").glob("*.bench.yaml")),
    "chip": sorted((ROOT / "runbooks" / "stations").glob("*.chip.yaml")),
    "runbook": sorted((ROOT / "runbooks").glob("*.md")),
    "data": sorted((ROOT / "analysis" / "measured_data" / "shipped").glob("*.data.yaml")),
}
SHIPPED = [(kind, path) for kind, paths in FILES.items() for path in paths]
VALIDATORS: dict[str, Any] = {}


def validator(kind: str) -> Any:
    if kind not in VALIDATORS:
        schema = schema_of(kind)
        jsonschema.Draft202012Validator.check_schema(schema)
        VALIDATORS[kind] = jsonschema.Draft202012Validator(schema)
    return VALIDATORS[kind]


def content(kind: str, path: Path) -> Any:
    data = read_front_matter(path).data if kind == "runbook" else read_yaml(path, kind)
    return json.loads(json.dumps(data))  # as an editor sees it: keys are text


@pytest.mark.parametrize(("kind", "path"), SHIPPED, ids=[path.name for _, path in SHIPPED])
def test_every_shipped_file_fits(kind: str, path: Path) -> None:
    assert [error.message for error in validator(kind).iter_errors(content(kind, path))] == []


def renamed(data: Any, path: tuple[Any, ...], new: str) -> Any:
    here = data
    for part in path[:-1]:
        here = here[part]
    here[new] = here.pop(path[-1])
    return data


def changed(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    here = data
    for part in path[:-1]:
        here = here[part]
    here[path[-1]] = value
    return data


def shipped(kind: str, name: str) -> Any:
    return content(kind, next(path for path in FILES[kind] if path.name.startswith(name)))


@pytest.mark.parametrize(
    ("kind", "name", "path", "new"),
    [
        ("station", "mock_ta_hfo2.", ("instruments",), "instrument"),
        ("station", "mock_ta_hfo2.", ("xbarlab",), "xbarlabs"),
        ("station", "mock_ta_hfo2.", ("xbarlab", "chip"), "chips"),
        ("station", "mock_ta_hfo2.", ("instruments", "board", "address"), "adress"),
        ("station", "mock_ta_hfo2.", ("instruments", "board", "init", "visalib"), "visalb"),
        ("station", "mock_ta_hfo2.", ("instruments", "board", "type"), "typ"),
        ("station", "mock_tio2.", ("xbarlab", "array", "row_smu"), "row_smuu"),
        ("station", "mock_tio2.", ("xbarlab", "array", "inputs"), "input"),
        ("station", "board_example", ("xbarlab", "limits", "set_volts_max"), "set_volt_max"),
        ("station", "board_example", ("instruments", "board", "parameters", "watchdog", "initial_value"), "value"),
        ("bench", "mock_tio2.", ("chip",), "chips"),
        ("bench", "mock_tio2.", ("chip", "seed"), "sed"),
        ("bench", "mock_tio2.", ("wiring", "rows"), "row"),
        ("bench", "mock_tio2.", ("instruments", 0, "serial"), "serials"),
        ("chip", "mock_ta_hfo2.", ("limits", "width_max"), "widthmax"),
        ("chip", "mock_ta_hfo2.", ("polarity",), "polarty"),
        ("runbook", "first_light_1t1r", ("expect",), "expects"),
        ("runbook", "first_light_1t1r", ("steps", 0, "id"), "ids"),
    ],
)
def test_a_mistyped_key_is_refused(kind: str, name: str, path: tuple[Any, ...], new: str) -> None:
    assert list(validator(kind).iter_errors(renamed(shipped(kind, name), path, new)))


@pytest.mark.parametrize(
    ("kind", "name", "path", "value"),
    [
        ("station", "mock_ta_hfo2.", ("instruments", "board", "type"), "CrossbarBord"),
        ("station", "mock_ta_hfo2.", ("xbarlab", "clock"), "sundial"),
        ("station", "mock_ta_hfo2.", ("xbarlab", "limits"), {"set_volts_max": 50}),
        ("station", "mock_tio2.", ("xbarlab", "array", "type"), "ProbeArray"),
        ("station", "mock_ta_hfo2.", ("format",), 7),
        ("bench", "mock_tio2.", ("instruments", 0, "kind"), "keithley_2540"),
        ("bench", "mock_tio2.", ("chip", "seed"), -1),
        ("chip", "mock_ta_hfo2.", ("cell",), "2T2R"),
        ("chip", "mock_ta_hfo2.", ("limits",), {"set_volts_max": 50}),
        ("runbook", "first_light_1t1r", ("steps",), []),
        ("runbook", "first_light_1t1r", ("steps",), [{"id": "x", "yield_mapp": {}}]),
        ("runbook", "first_light_1t1r", ("steps",), [{"id": "x", "yield_map": {"cell": "all"}}]),
        ("runbook", "first_light_1t1r", ("expect",), {"yield_fraction": {"minimum": 1}}),
    ],
)
def test_a_wrong_value_is_refused(kind: str, name: str, path: tuple[Any, ...], value: Any) -> None:
    assert list(validator(kind).iter_errors(changed(shipped(kind, name), path, value)))


def test_a_driver_of_somebody_elses_is_for_its_author_to_check() -> None:
    data = changed(shipped("station", "mock_ta_hfo2."), ("instruments", "board", "type"), "their_lab.Board")
    data["instruments"]["board"]["init"]["whatever"] = 1
    assert not list(validator("station").iter_errors(data))


@pytest.mark.parametrize("kind", FILES)
def test_the_command_prints_it(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", kind]) == 0
    assert json.loads(capsys.readouterr().out) == schema_of(kind)


def test_another_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema", "statoin"]) == 2
    assert "did you mean 'station'" in capsys.readouterr().err
    with pytest.raises(RefusedError):
        schema_of("x")
