"""``xbarlab schema``: every shipped file keeps its schema, and what is wrong does not."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from xbarlab import cli
from xbarlab.runbooks import stations
from xbarlab.runbooks.runner.front_matter import read_front_matter
from xbarlab.runbooks.runner.schema import KEYS, list_runbooks

FOLDER = Path(str(stations.__file__)).parent
FILES = [(kind, path) for kind in ("station", "bench", "chip") for path in sorted(FOLDER.glob(f"*.{kind}.yaml"))]
STEP = """
from xbarlab import Plan, step

class MinePlan(Plan):
    volts: float = 0.2

@step(metrics={})
def mine(array, plan: MinePlan, run):
    "Do mine."
    return {}
"""


def schema(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    assert cli.main(["schema", *arguments]) == 0
    made = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator.check_schema(made)
    return made


def right(made: dict[str, Any], data: Any) -> bool:
    return jsonschema.Draft202012Validator(made).is_valid(json.loads(json.dumps(data)))


def load(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("kind", ["station", "bench", "chip"])
def test_shipped_files_keep_their_schema(capsys: pytest.CaptureFixture[str], kind: str) -> None:
    made = schema(capsys, kind)
    for path in (path for of, path in FILES if of == kind):
        data = load(path)
        assert right(made, data), path.name
        assert not right(made, {**data, "nonsense": 1}), path.name


def test_shipped_runbooks_keep_theirs(capsys: pytest.CaptureFixture[str]) -> None:
    made = schema(capsys, "runbook")
    assert set(made["properties"]) == set(KEYS)
    for name, path in list_runbooks().items():
        data = read_front_matter(path).data
        assert right(made, data), name
        wrong = copy.deepcopy(data)
        (kind,) = (key for key in wrong["steps"][0] if key != "id")
        wrong["steps"][0][kind] = {"nonsense": 1}
        assert not right(made, wrong), name
        assert not right(made, {**data, "expect": {"yield_fraction": {"least": 1}}})


def test_a_plug_in_s_steps_are_in_it_when_it_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STEP, encoding="utf-8")
    book = {"title": "t", "plugin": "mine.py", "steps": [{"id": "a", "mine": {"volts": 0.1}}]}
    assert right(schema(capsys, "runbook", "--plugin", str(tmp_path / "mine.py")), book)
    assert not right(schema(capsys, "runbook"), book)


def test_an_unknown_kind_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["schema", "stations"]) == 2
    assert "did you mean 'station'" in capsys.readouterr().err
