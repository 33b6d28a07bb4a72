"""JSON Schemas of the files people write, so that an editor completes their keys and marks what is mistyped."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from ...common import plugins
from ...common.errors import RefusedError, unknown
from ...common.units import or_text
from ...protocols.registry import step_kind

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_DOTTED = r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)+$"


def schema(kind: str) -> list[str]:
    """Return the schema of one kind of file, as lines to print."""
    return json.dumps(schema_of(kind), indent=2, ensure_ascii=False).splitlines()


def schema_of(kind: str) -> dict[str, Any]:
    """Return the JSON Schema of one kind of file: station, bench, chip, runbook or data.

    Drivers and steps are imported for it, those of other packages too: their arguments and parameters are in it.
    """
    kinds: dict[str, Callable[[], dict[str, Any]]] = {
        "station": _station,
        "bench": _bench,
        "chip": _chip,
        "runbook": _runbook,
        "data": _data,
    }
    if kind not in kinds:
        raise RefusedError(unknown("kind of file", kind, kinds))
    return {"$schema": DIALECT, "title": f"xbarlab {kind} file", **kinds[kind]()}


def _bench() -> dict[str, Any]:
    from ...mockhw.bench.file import BenchFile

    schema = _of_model(BenchFile)
    # "faults:" with nothing behind it is an empty list.
    schema["properties"]["faults"] = {"anyOf": [schema["properties"]["faults"], {"type": "null"}]}
    return schema


def _chip() -> dict[str, Any]:
    from ...instruments.chip.chip_file import Chip

    return _of_model(Chip)


def _data() -> dict[str, Any]:
    from ...analysis.measured_data.description import DataDescription

    return _of_model(DataDescription)


def _station() -> dict[str, Any]:
    from ...instruments.station.instrument_types import INIT_UNITS, is_composed, known_arguments
    from ...instruments.station.station_model import StationRecord

    schema = _of_model(StationRecord)
    entry, ours = schema["$defs"]["InstrumentEntry"], schema["$defs"]["OurSection"]
    single: list[str] = []
    composed: list[dict[str, Any]] = []
    for name, entries in plugins.offered(plugins.INSTRUMENTS).items():
        make = plugins.load(plugins.INSTRUMENTS, name) if len(entries) == 1 else None
        if make is None:
            continue
        names = [name, f"{make.__module__}.{make.__qualname__}"]
        if is_composed(make):
            composed.append(_composed(make, names))
            continue
        single.append(name)
        known = {
            argument: or_text(_INIT[argument], INIT_UNITS[argument])
            if argument in INIT_UNITS
            else _INIT.get(argument, {})
            for argument in known_arguments(make)
        }
        entry.setdefault("allOf", []).append(
            {
                "if": {"properties": {"type": {"enum": names}}, "required": ["type"]},
                "then": {"properties": {"init": _optional({"properties": known, "additionalProperties": False})}},
            }
        )
    entry["properties"]["type"] = {"anyOf": [{"enum": single}, {"type": "string", "pattern": _DOTTED}]}
    entry["required"] = ["type"]
    dotted = {"type": "object", "required": ["type"], "properties": {"type": {"type": "string", "pattern": _DOTTED}}}
    ours["properties"]["array"] = {
        "anyOf": [
            {"type": "string"},
            {"type": "array", "items": {"type": "string"}, "minItems": 2},
            *composed,
            {**dotted, "not": {"properties": {"type": {"enum": [name for one in composed for name in _names(one)]}}}},
        ]
    }
    for group in ("init", "parameters", "add_parameters"):
        entry["properties"][group] = {"anyOf": [entry["properties"][group], {"type": "null"}]}
    for group in ("xbarlab",):
        schema["properties"][group] = {"anyOf": [schema["properties"][group], {"type": "null"}]}
    return schema


# Of what every driver takes.
_INIT: dict[str, dict[str, Any]] = {
    "visalib": {"type": ["string", "null"]},
    "timeout": {"anyOf": [{"type": "number"}, {"type": "null"}]},
    "chip": {"type": "string"},
    "limits": {"type": "object"},
}


def _composed(make: type, names: list[str]) -> dict[str, Any]:
    from ...instruments.station.fitting import roles_of
    from ...instruments.station.instrument_types import setting_units, settings_of

    units = setting_units(make)
    settings = {name: or_text({"type": "number"}, units[name]) if name in units else {} for name in settings_of(make)}
    roles = {role: {"type": "string"} for role in (*roles_of(make), *roles_of(make, optional=True))}
    return {
        "type": "object",
        "required": ["type"],
        "properties": {"type": {"enum": names}, **roles, **settings},
        "additionalProperties": False,
    }


def _names(composed: dict[str, Any]) -> list[str]:
    return composed["properties"]["type"]["enum"]


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [{"type": "object", **schema}, {"type": "null"}]}


def _runbook() -> dict[str, Any]:
    """Return the schema of the front matter: the steps that anybody offers, each with its parameters."""
    from pydantic.json_schema import models_json_schema

    from ..runner.expectations import BETTER, HEADLINE_KEYS, LIMIT_KEYS
    from ..runner.schema import FORMAT, IF_ABLE

    steps = [step_kind(name) for name in plugins.names(plugins.STEPS)]
    refs, shared = models_json_schema([(step.plan, "validation") for step in steps])
    # Of every unit a metric may have; which one it is only the runbook's steps say.
    number = {
        "anyOf": [
            {"type": "number"},
            {"type": "string", "pattern": r"^\s*[+-]?[\d.]+([eE][+-]?\d+)?\s*[^\d\s.]\S*\s*$"},
        ]
    }
    limits = {
        "type": "object",
        "properties": dict.fromkeys(LIMIT_KEYS, number),
        "minProperties": 1,
        "additionalProperties": False,
    }
    listed = [
        {
            "type": "object",
            "description": step.about,
            "required": ["id", step.name],
            "properties": {
                "id": {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_]*$"},
                IF_ABLE: {"type": "boolean"},
                step.name: {"anyOf": [refs[step.plan, "validation"], {"type": "null"}]},
            },
            "additionalProperties": False,
        }
        for step in steps
    ]
    text = {"type": "string"}
    return {
        "type": "object",
        "required": ["title", "steps"],
        "properties": {
            "format": {"type": "integer", "minimum": 1, "maximum": FORMAT},
            "title": {**text, "minLength": 1},
            "paper": {**text, "minLength": 1, "description": "the publication whose system it runs"},
            "status": {**text, "minLength": 1, "description": "how far it came on the mock, in a phrase"},
            "headline": {
                "type": "object",
                "description": "the number it is to show, and beside which",
                "properties": {**dict.fromkeys(HEADLINE_KEYS, text), "better": {"enum": list(BETTER)}},
                "required": list(HEADLINE_KEYS),
                "additionalProperties": False,
            },
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
                    "properties": {
                        "expect": {"type": "object", "additionalProperties": {"anyOf": [limits, {"type": "null"}]}}
                    },
                    "patternProperties": {r"^[A-Za-z]\w*\..+": {}},
                    "additionalProperties": False,
                    "minProperties": 1,
                },
            },
            "expect": {"type": ["object", "null"], "additionalProperties": limits},
        },
        "additionalProperties": False,
        **shared,
    }


def _of_model(model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema()
    schema.pop("title", None)
    return schema
