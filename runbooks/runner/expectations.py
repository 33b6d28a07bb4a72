"""What a runbook is to show and what it expects: metrics that its steps can give, checked before anything is sent."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast

from ...analysis.quantities import describe
from ...common.errors import RefusedError, alternatives, unknown
from ...common.units import si_number
from .front_matter import FrontMatter, KeyPath
from .presets import EXPECT, Preset
from .step import Step

_log = logging.getLogger(__name__)

LIMIT_KEYS = ("min", "max")
HEADLINE_KEYS = ("metric", "baseline", "better")
BETTER = ("higher", "lower")
RUN_KEYS = ("transactions", "slots", "pulses", "chip_seconds", "seconds", "seed", "steps_planned", "steps_done")


LEFT_OUT = "left_out"
"""The only metric of a step that was left out."""


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A summary key (``metric`` or ``id.metric``) and the limits it should keep, both included."""

    key: str
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, kw_only=True)
class Headline:
    """The summary key that a run is to show, the one it is held against, and which way is better."""

    metric: str
    baseline: str
    better: str

    def entries(self, summary: Collection[str]) -> dict[str, str]:
        """Return the text entries of ``summary.json`` that say how to read it, by the keys that stand in it.

        What only one step has measured stands there without the step's id, whatever the runbook wrote.
        """
        metric, baseline = (
            bare if key not in summary and (bare := key.rpartition(".")[2]) in summary else key
            for key in (self.metric, self.baseline)
        )
        return {"headline": metric, "baseline": baseline, "better": self.better}


TEXTS = ("headline", "baseline", "better")
"""Entries of ``summary.json`` that are no numbers."""


def read_headline(
    front: FrontMatter, steps: Sequence[Step], as_written: Callable[[], Sequence[Step]] | None = None
) -> Headline | None:
    """Return what a runbook is to show; None where it does not say, or where changed ``steps`` cannot show it.

    Parameters
    ----------
    as_written : gives the steps without a user's changes, where there are any: a number that those give and ``steps``
        do not is no mistake of the runbook, so that it is left out and said
    """
    given = front.data.get("headline")
    if given is None:
        return None
    said = "{metric: test_accuracy, baseline: float_twin_accuracy, better: higher}"
    if not isinstance(given, dict):
        raise front.refuse(f"'headline' must be a map like '{said}'", "headline")
    told = {str(key): value for key, value in cast("dict[Any, Any]", given).items()}
    for key in told:
        if key not in HEADLINE_KEYS:
            raise front.refuse(f"headline: {unknown('key', key, HEADLINE_KEYS)}", "headline", key)
    for key in HEADLINE_KEYS:
        if not isinstance(told.get(key), str):
            raise front.refuse(f"headline: {key!r} must be text, as in '{said}'", "headline")
    missing = ""
    for key in ("metric", "baseline"):
        if (sentence := _impossible(told[key], steps)) is not None:
            if as_written is None or _impossible(told[key], as_written()) is not None:
                raise front.refuse(f"headline: {key} {told[key]!r}: {sentence}", "headline", key)
            missing = key
    if told["better"] not in BETTER:
        raise front.refuse(f"headline: {unknown('value of better', told['better'], BETTER)}", "headline", "better")
    if missing:
        _log.warning("this run has no headline: as it is changed it does not give its %s %s", missing, told[missing])
        return None
    return Headline(**told)


def still_shown(headline: Headline | None, steps: Sequence[Step]) -> Headline | None:
    """Return a headline where ``steps``, as a run was begun with them, give both of its numbers; None otherwise."""
    keys = () if headline is None else (headline.metric, headline.baseline)
    return None if any(_impossible(key, steps) is not None for key in keys) else headline


def read_expectations(front: FrontMatter, preset: Preset, steps: Sequence[Step]) -> tuple[Expectation, ...]:
    """Return what is expected, a preset's own limits in place of the runbook's."""
    given = front.data.get(EXPECT)
    if given is None:
        given = {}
    if not isinstance(given, dict):
        raise front.refuse("'expect' must be a map like 'yield_fraction: {min: 0.95}'", EXPECT)
    wanted: dict[str, tuple[Any, KeyPath]] = {
        str(key): (limits, (EXPECT, str(key))) for key, limits in cast("dict[Any, Any]", given).items()
    }
    for key, limits in preset.expect.items():
        path = ("presets", preset.name, EXPECT, key)
        if limits is None and key not in wanted:
            raise front.refuse(f"expectation {key!r}: {unknown('expectation', key, wanted)}", *path)
        wanted[key] = limits, path
    found: list[Expectation] = []
    for key, (limits, path) in wanted.items():
        if limits is None and path[0] == "presets":
            continue
        if (sentence := _impossible(key, steps)) is not None:
            raise front.refuse(f"expectation {key!r}: {sentence}", *path)
        found.append(_expectation(front, key, limits, path))
    return tuple(found)


def metrics_of(step: Step) -> frozenset[str] | None:
    """Return the names of the metrics a step can give; None where it does not say."""
    declared = step.kind.metrics
    if declared is not None:
        return frozenset(declared)
    # A step of somebody else's may be asked with one of our plans, and measures what it likes.
    function, plan = step.kind.run.__module__, type(step.plan).__module__
    return step.plan.measures() if function.partition(".")[0] == plan.partition(".")[0] else None


def is_reached(expectation: Expectation, value: float, ahead: Sequence[Step]) -> bool:
    """Whether it can be said that an expectation is met or missed, while the steps ``ahead`` are not done.

    What a run has cost grows on: only that it is too much already can be said before the end.
    """
    owner, dot, _ = expectation.key.partition(".")
    if not ahead or expectation.key in {"seed", "steps_planned"}:
        return True
    if expectation.key in RUN_KEYS:
        return expectation.maximum is not None and value > expectation.maximum
    if dot:
        return owner not in {step.id for step in ahead}
    known = [metrics_of(step) for step in ahead]
    return not math.isnan(value) or not any(names is None or expectation.key in names for names in known)


def is_left_out(expectation: Expectation, steps: Sequence[Step], left_out: Collection[str]) -> bool:
    """Whether all steps that give what is expected were ``left_out``, by their ids: then nothing can be expected."""
    owner, dot, _ = expectation.key.partition(".")
    if dot or expectation.key in RUN_KEYS:
        return owner in left_out
    known = {step.id: metrics_of(step) for step in steps}
    givers = {name for name, names in known.items() if names is None or expectation.key in names}
    return bool(givers) and givers <= set(left_out)


def _impossible(key: str, steps: Sequence[Step]) -> str | None:
    """Return why no run of these steps gives ``key``; None where one does, or may."""
    by_step = {step.id: metrics_of(step) for step in steps}
    owner, dot, metric = key.partition(".")
    if dot:
        if owner not in by_step:
            return unknown("step id", owner, by_step)
        known = by_step[owner]
        kind = next(step.kind.name for step in steps if step.id == owner)
        if known is None or metric in known:
            return None
        return f"step {owner!r} ({kind}) gives no metric {metric!r}{alternatives(metric, _main(known))}"
    if key in RUN_KEYS:
        return None
    givers = [name for name, known in by_step.items() if known is not None and key in known]
    if len(givers) == 1:
        return None
    if givers:
        return f"several steps give it: write {' or '.join(f'{name}.{key}' for name in givers)}"
    if any(known is None for known in by_step.values()):
        return None
    every = frozenset[str]().union(*(known for known in by_step.values() if known is not None))
    return f"no step of this runbook gives a metric {key!r}{alternatives(key, {*_main(every), *RUN_KEYS})}"


def _main(names: frozenset[str]) -> list[str]:
    return [name for name in names if "_ci95_" not in name]


def _expectation(front: FrontMatter, key: str, limits: Any, path: KeyPath) -> Expectation:
    if not isinstance(limits, dict) or not limits:
        raise front.refuse(f"expectation {key!r} must be a map with min or max, like '{{min: 0.95}}'", *path)
    told: dict[str, Any] = {}
    for name, given in cast("dict[str, Any]", limits).items():
        if name not in LIMIT_KEYS:
            raise front.refuse(f"expectation {key!r}: {unknown('limit', name, LIMIT_KEYS)}", *path, str(name))
        value = told[name] = _number(front, key, name, given, (*path, str(name)))
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise front.refuse(f"expectation {key!r}: {name} = {value!r} must be a finite number", *path, str(name))
    low, high = (float(told[name]) if name in told else None for name in LIMIT_KEYS)
    if low is not None and high is not None and low > high:
        raise front.refuse(f"expectation {key!r}: min {low:g} is above max {high:g}", *path)
    return Expectation(key=key, minimum=low, maximum=high)


def _number(front: FrontMatter, key: str, name: str, value: Any, path: KeyPath) -> Any:
    """Return a limit that is written with its unit as a number, and everything else as it is."""
    unit = describe(key).unit
    try:
        return si_number(value, unit) if unit and isinstance(value, str) else value
    except RefusedError as error:
        raise front.refuse(f"expectation {key!r}: {name}: {error}", *path) from error
