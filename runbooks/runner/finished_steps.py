"""A step that an earlier session completed: its figures as they were kept, whatever the chip holds by now."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, cast

from ...analysis.report.report import Section
from ...common.errors import RefusedError
from ...common.files import read_json
from ...instruments.capabilities import CrossbarArray
from ...protocols.keeping.run import Result
from ...protocols.keeping.untouched import TouchedError, UntouchedArray
from .expectations import LEFT_OUT, metrics_of
from .record import summary_numbers
from .step import Step

if TYPE_CHECKING:
    from pandas import DataFrame

    from .record import RunRecord


@dataclass(frozen=True, kw_only=True)
class Given:
    """What a step gave: numbers, its part of the report, and what makes its table."""

    metrics: dict[str, float]
    section: Section | None
    make_frame: Callable[[], DataFrame | None]


def given(record: RunRecord, result: Result) -> Given:
    """Return what a result gives."""
    return Given(
        metrics=result.metrics(), section=record.drawn(result), make_frame=partial(getattr, result, "frame", None)
    )


def left_out(step: Step, why: str) -> Given:
    """Return what a step gives that the array cannot do: the sentence that says why."""
    section = Section(step.id, f"The step {step.kind.name} was left out on this bench: {why}.")
    return Given(metrics={LEFT_OUT: 1.0}, section=section, make_frame=lambda: None)


def finished_step(record: RunRecord, step: Step, array: CrossbarArray) -> Given:
    """Return what a step gave that is done; the array is not touched.

    Run folders of the first format kept no figures of a step that was done: its result is built from its units, and
    where that would measure again, the numbers are those of ``summary.json``.
    """
    run = record.run
    run.step_id = step.id
    if run.finished(step.id) is not None:
        return kept_step(record, step)
    untouched = cast("CrossbarArray", UntouchedArray(array))
    try:
        return given(record, step.kind.run(untouched, step.plan, run))
    except TouchedError:
        return kept_step(record, step)


def kept_step(record: RunRecord, step: Step) -> Given:
    """Return what was kept of a step that is done; of one that kept nothing, its numbers in ``summary.json``."""
    found = record.run.finished(step.id)
    if found is not None:
        metrics, kept = found
        return Given(metrics=metrics, section=kept.section(), make_frame=kept.frame)
    text = "This step was done by a session that did not keep its figures; its numbers are as they were."
    return Given(metrics=_summarised(record, step), section=Section(step.id, text), make_frame=lambda: None)


def _summarised(record: RunRecord, step: Step) -> dict[str, float]:
    path = record.directory / "summary.json"
    if not path.is_file():
        raise RefusedError(
            f"step {step.id!r} is done, but {path} with its numbers is gone: to do it again from its beginning: "
            f"xbarlab resume {record.directory} --repeat {step.id}"
        )
    found = summary_numbers(read_json(path, "summary"))
    mine = metrics_of(step) or frozenset()
    prefix = f"{step.id}."
    return {
        key.removeprefix(prefix): value
        for key, value in found.items()
        if key.startswith(prefix) or ("." not in key and key in mine)
    }
