"""JSON Schemas of the files people write, so that an editor completes and checks them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ...common import plugins
from ...common.errors import RefusedError, unknown
from ...protocols.registry import step_kind

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(kind: str) -> list[str]:
    """Return the schema of one kind of file, as lines to print."""
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "station": _station,
        "bench": _bench,
        "chip": _chip,
        "runbook": _runbook,
    }
    if kind not in kinds:
        raise RefusedError(unknown("kind of file", kind, kinds))
    made = {"$schema": DIALECT, **kinds[kind]()}
    return json.dumps(made, indent=2, ensure_ascii=False).splitlines()


def _station() -> dict[str, Any]:
    from ...instruments.station.station_model import StationRecord

    made = StationRecord.model_json_schema()
    types = made["$defs"]["InstrumentEntry"]["properties"]["type"]["anyOf"]
    types.append({"enum": plugins.names(plugins.INSTRUMENTS)})  # beside dotted paths
    return made


def _bench() -> dict[str, Any]:
    from ...mockhw.bench.file import BenchFile

    return BenchFile.model_json_schema()


def _chip() -> dict[str, Any]:
    from ...instruments.chip.chip_file import Chip

    return Chip.model_json_schema()


def _runbook() -> dict[str, Any]:
    """Return the schema of the front matter: the steps that anybody offers, each with its parameters."""
    from pydantic.json_schema import models_json_schema

    from ..runner.expectations import LIMIT_KEYS
    from ..runner.schema import FORMAT

    steps = [step_kind(name) for name in plugins.names(plugins.STEPS)]
    refs, shared = models_json_schema([(step.plan, "validation") for step in steps])
    number = {"type": "number"}
    limits = {"type": "object", "properties": dict.fromkeys(LIMIT_KEYS, number), "minProperties": 1}
    listed = [
        {
            "type": "object",
            "description": step.about,
            "required": ["id", step.name],
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"},
                step.name: {"anyOf": [refs[step.plan, "validation"], {"type": "null"}]},
            },
            "additionalProperties": False,
        }
        for step in steps
    ]
    text = {"type": "string"}
    return {
        "title": "Front matter of a runbook",
        "type": "object",
        "required": ["title", "steps"],
        "properties": {
            "format": {"type": "integer", "minimum": 1, "maximum": FORMAT},
            "title": {**text, "minLength": 1},
            "station": {**text, "description": "station file, from the runbook's folder, or a shipped station"},
            "plugin": {
                "anyOf": [text, {"type": "array", "items": text}],
                "description": "plug-in file, from the runbook's folder; --plugin on the command line runs it",
            },
            "steps": {"type": "array", "minItems": 1, "items": {"anyOf": listed}},
            "presets": {
                "type": "object",
                "description": "name -> {id.key: value}; expect: in place of the runbook's own",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"expect": {"type": "object"}},
                    "minProperties": 1,
                },
            },
            "expect": {"type": ["object", "null"], "additionalProperties": {**limits, "additionalProperties": False}},
        },
        "additionalProperties": False,
        **shared,
    }
