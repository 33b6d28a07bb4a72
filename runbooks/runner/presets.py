"""Presets of a runbook: named sets of other values, as for a quick look; and where a changed value is from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from ...common.errors import RefusedError, unknown
from .front_matter import FrontMatter
from .parameters import Overrides, parse_overrides

EXPECT = "expect"


@dataclass(frozen=True, slots=True)
class Change:
    """A value of a step's parameter in place of the runbook's own; ``said`` is how an error names it."""

    value: Any
    said: str


Changes = dict[tuple[str, str], Change]


@dataclass(frozen=True, slots=True)
class Preset:
    """What one preset changes: parameters of steps, and expectations by key (None: none)."""

    name: str
    changes: Changes
    expect: dict[str, Any]


NONE = Preset("", {}, {})


def read_presets(front: FrontMatter) -> dict[str, Preset]:
    """Return the presets of a runbook, by name."""
    listed = front.data.get("presets")
    if listed is None:
        return {}
    if not isinstance(listed, dict):
        raise front.refuse("'presets' must be a map like 'quick: {iv.cycles: 2}'", "presets")
    return {name: _preset(front, name, given) for name, given in cast("dict[str, Any]", listed).items()}


def _preset(front: FrontMatter, name: str, given: Any) -> Preset:
    if not isinstance(given, dict) or not given:
        raise front.refuse(f"preset {name!r} must be a map like '{{iv.cycles: 2}}'", "presets", name)
    changes: Changes = {}
    expect: dict[str, Any] = {}
    for key, value in cast("dict[str, Any]", given).items():
        if key == EXPECT:
            if not isinstance(value, dict):
                raise front.refuse(
                    f"preset {name!r}: 'expect' must be a map like 'yield_fraction: {{min: 0.9}}', or null after a "
                    "metric that is not expected then",
                    "presets", name, key,
                )  # fmt: skip
            expect = cast("dict[str, Any]", value)
            continue
        step, dot, parameter = key.partition(".")
        if not dot or not step or not parameter:
            raise front.refuse(
                f"preset {name!r}: {key!r}: write id.key: value, like iv.cycles: 2", "presets", name, key
            )
        said = f"{front.where('presets', name, key)}: preset {name!r}: {key} = {value!r}"
        changes[step, parameter] = Change(value, said)
    return Preset(name, changes, expect)


def chosen(presets: Mapping[str, Preset], name: str, runbook: str) -> Preset:
    """Return the preset of a name, one without changes for ""; refuse an unknown one."""
    if not name:
        return NONE
    if not presets:
        raise RefusedError(f"--preset {name}: runbook {runbook} has no presets")
    if name not in presets:
        raise RefusedError(f"--preset {name}: {unknown('preset', name, presets)}")
    return presets[name]


def typed(overrides: Overrides) -> Changes:
    """Return changes typed after ``--set``."""
    return {
        (step, key): Change(value, f"--set {step}.{key}={value}")
        for (step, key), value in parse_overrides(overrides).items()
    }
