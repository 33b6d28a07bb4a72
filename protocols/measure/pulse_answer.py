"""How cells answer one pulse of a rule: the step against conductance in both directions, kept in the chip's account."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ...analysis.measurements.pulse_answer import (
    DOWN,
    NAMES,
    UP,
    AnswerSummary,
    PulseAnswer,
    PulsePair,
    summarise,
)
from ...common import plugins
from ...common.errors import RefusedError
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ...instruments.chip.chip_facts import Fact, facts_of
from ..keeping.dataset import Axis, Variable
from ..keeping.run import Run
from ..plan import Forecast, Plan, RuleName, check_pulse, with_intervals
from .read_array import map_axes
from .switching import BandPlan, bring_into

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ...analysis.report.report import Section

FACT = "pulse_answer"
"""What an answer is called in a chip's account."""
# Ours: of what cells were seen at, the part that a range is laid around, and the room it has on either side.
_INNER, _MARGIN = (0.05, 0.95), 0.05


class PulseAnswerPlan(Plan):
    """Cells are brought to places in a range, and get one SET or one RESET there; the pulses are a rule's own."""

    renews = True

    cells: str = Field(default="0:4,0:8", description="rows,cols like '0:8,0:8', or 'all'")
    rule: RuleName = Field(
        default="manhattan", description="update rule whose pulses are meant; what is given below holds instead"
    )
    set_volts: float | None = Field(default=None, gt=0, description="SET amplitude, the rule's own by default [V]")
    set_gate: float | None = Field(default=None, ge=0, description="gate of the SET [V], where there are gates")
    reset_volts: float | None = Field(default=None, gt=0, description="RESET magnitude, the rule's own by default [V]")
    reset_gate: float | None = Field(default=None, ge=0, description="gate of the RESET [V], where there are gates")
    width: float | None = Field(default=None, gt=0, description="pulse width, the rule's own by default [s]")
    within: BandPlan = Field(
        default=BandPlan(low=20e-6, high=120e-6),
        description="range of conductance, and the staircases that bring a cell to a place in it",
    )
    span: float | None = Field(
        default=None,
        gt=0,
        description="width of a range that begins and ends where the cells are, instead of within.low and within.high: "
        "as far as one RESET and one SET take them, and at least this wide [S]",
    )
    starts: int = Field(default=4, ge=1, le=50, description="places in the range that pulses are given from")
    repeats: int = Field(default=2, ge=1, le=1000, description="pulses of a cell, place and direction")
    average: int = Field(default=16, ge=1, description="conversions per cell and read")
    scheme: str | None = Field(default=None, description="bias scheme of the pulses; the array's own by default")

    def pulses(self, spec: ArraySpec) -> PulsePair:
        """Return the pulses on this array: those given, else the rule's; no gates where there are none."""
        names = ("set_volts", "set_gate", "reset_volts", "reset_gate", "width")
        chosen: dict[str, float | None] = {name: getattr(self, name) for name in names}
        if spec.gate_axis is None:
            chosen |= {"set_gate": 0.0, "reset_gate": 0.0}
        if any(value is None for value in chosen.values()):
            own = self._pulses_of_rule(spec, [name for name, value in chosen.items() if value is None])
            chosen = {name: getattr(own, name) if value is None else value for name, value in chosen.items()}
        return PulsePair(**cast("dict[str, float]", chosen))

    def _pulses_of_rule(self, spec: ArraySpec, missing: list[str]) -> PulsePair:
        made: Any = plugins.load(plugins.UPDATE_RULES, self.rule)()
        pulses = getattr(made, "pulses", None)
        if pulses is None:
            raise RefusedError(
                f"pulse_answer: rule {self.rule!r} leaves its pulses to the array: give {', '.join(missing)}"
            )
        return cast("PulsePair", pulses(spec))

    def around(self, seen: FloatArray) -> BandPlan:
        """Return the range: ``within``, or with ``span`` around what cells were ``seen`` at [S]."""
        known = seen[np.isfinite(seen)]
        if self.span is None or not known.size:
            return self.within
        low, high = np.quantile(known, _INNER).tolist()
        width = max(self.span, (1.0 + 2.0 * _MARGIN) * (high - low))
        low = max(0.0, 0.5 * (low + high - width))
        chosen: dict[str, Any] = {**self.within.model_dump(), "low": low, "high": low + width}
        return BandPlan(**chosen)

    def bands(self, whole: BandPlan) -> list[BandPlan]:
        """Return the places: parts of the range, evenly spaced."""
        edges = np.linspace(whole.low, whole.high, self.starts + 1).tolist()
        return [BandPlan(**{**whole.model_dump(), "low": low, "high": high}) for low, high in pairwise(edges)]

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        directions = (f"answer_{way}_{what}" for way in ("up", "down") for what in ("median", "wrong_fraction"))
        found = with_intervals(*directions, "answer_asymmetry", "answer_noise", "answer_steps")
        return found | {"answer_missed_fraction", "answer_cells"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses beyond the limits, and pulses nobody has named."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="pulse_answer")
        pulses = self.pulses(spec)
        for volts, gate, name in (
            (pulses.set_volts, pulses.set_gate, "set_volts"),
            (-pulses.reset_volts, pulses.reset_gate, "reset_volts"),
        ):
            check_pulse(spec, volts=volts, width=pulses.width, gate=gate, channel=f"pulse_answer.{name}")
            spec.limits.check_pulses(volts, pulses.width, channel=f"pulse_answer.{name} ", edge=spec.edge)
        self.within.check(spec, channel="pulse_answer.within")

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when every cell takes all attempts to reach every place."""
        block, pulses = Block.parse(self.cells, spec), self.pulses(spec)
        points = 2 * self.repeats * self.starts
        read, pulse = spec.read_seconds(block, self.average), spec.pulse_seconds(block, pulses.width)
        one = self.within.seconds(spec, block) + pulse + 3 * read
        largest = max(pulses.set_volts, pulses.reset_volts, self.within.volts_max)
        ends = 0 if self.span is None else 2
        number = (points * (1 + self.within.attempts) + ends) * block.size
        return Forecast(block.size, largest, number, points * one + ends * (pulse + read) + (read if ends else 0.0))

    def known(self, array: CrossbarArray) -> str:
        """Say it where the chip's account has an answer to these pulses already."""
        found = known_answer(array, self.pulses(array.spec))
        return f"answered on {found[1].date} UTC; it will be measured again" if found is not None else ""


@dataclass(frozen=True, kw_only=True)
class PulseAnswerResult:
    """Reads around every pulse; ``cells`` as (row, col), ``kept`` whether a chip's account has it now."""

    cells: list[tuple[int, int]]
    answer: PulseAnswer
    pulses: PulsePair
    kept: bool = False

    @cached_property
    def summary(self) -> AnswerSummary:
        """The numbers that are kept in the chip's account."""
        return summarise(self.answer, self.pulses)

    @property
    def frame(self) -> DataFrame:
        """One line per pulse: row, col, volts [V], repeat, start, both reads before and the one after [S]."""
        from pandas import DataFrame

        answer, where = self.answer, np.asarray(self.cells)
        known = np.isfinite(answer.step)
        way, repeat, start, cell = np.nonzero(known)
        return DataFrame(
            {
                "row": where[cell, 0],
                "col": where[cell, 1],
                "volts_V": np.where(way == UP, self.pulses.set_volts, -self.pulses.reset_volts),
                "repeat": repeat,
                "start": start,
                "first_S": answer.first[known],
                "before_S": answer.before[known],
                "after_S": answer.after[known],
            }
        )

    def plot(self) -> Figure:
        """Return ΔG against G in both directions, with the read noise."""
        from ...analysis.measurements.pulse_answer import answer_figure

        return answer_figure(self.answer, self.summary)

    def metrics(self) -> dict[str, float]:
        """Return steps over the range, asymmetry and wrong signs as docs/quantities.md defines them."""
        from ...analysis.estimates.estimates import flatten_all
        from ...analysis.measurements.pulse_answer import answer_metrics

        return {
            **flatten_all(answer_metrics(self.summary)),
            "answer_missed_fraction": self.summary.missed,
            "answer_cells": float(self.summary.cells),
        }

    def section(self) -> Section:
        """Return the figure and the steps by conductance as a part of the report."""
        from ...analysis.measurements.pulse_answer import answer_table, what_it_gives
        from ...analysis.report.report import Section

        summary = self.summary
        text = (
            f"Cells were brought to {self.answer.step.shape[2]} places between {summary.low * 1e6:.3g} and "
            f"{summary.high * 1e6:.3g} µS, read twice, pulsed once and read. {what_it_gives(summary)[0].upper()}"
            f"{what_it_gives(summary)[1:]}. Pulses before which a cell was outside the range: {summary.missed:.1%}; "
            "they are left out. A step counts as of the wrong sign when it goes the wrong way by more than two "
            "standard deviations of the difference of two reads. "
            + ("Kept in the chip's account." if self.kept else "This array has no account to keep it in.")
        )
        caption = "ΔG of single pulses against G before; grey band: what two reads differ by without a pulse."
        return Section(
            "Answer to one pulse",
            text,
            [(caption, self.plot())],
            [("By conductance before the pulse.", answer_table(self.answer))],
        )

    def __repr__(self) -> str:
        s = self.summary
        return f"<PulseAnswerResult {s.cells} cells: SET {s.up.value:+.2%} of the range, RESET {-s.down.value:+.2%}>"


def known_answer(array: CrossbarArray, pulses: PulsePair) -> tuple[AnswerSummary, Fact] | None:
    """Return what the account of the chip on ``array`` has on these pulses, None where it has nothing."""
    facts = facts_of(array)
    found = facts.fact(FACT, pulses.key) if facts is not None else None
    return None if found is None else (AnswerSummary.of_plain(json.loads(found.content)), found)


def _keep(array: CrossbarArray, summary: AnswerSummary) -> bool:
    facts = facts_of(array)
    if facts is None:
        return False
    facts.keep_fact(FACT, summary.pulses.key, json.dumps(summary.plain()))
    return True


def pulse_answer(array: CrossbarArray, plan: PulseAnswerPlan, run: Run | None = None) -> PulseAnswerResult:
    """Measure what one SET and one RESET do to the cells of a block, from places all over a range of conductance.

    With ``span`` the range is laid around where the cells are, and where one RESET and one SET take them.

    A unit of work is one pulse of all cells with what brings them to its place; one that may have been cut is done
    again. Order is random, so that what ageing does falls on no place and no direction. A cell that cannot be brought
    to its place takes part from where it is, as long as that is inside the range. The numbers are kept in the chip's
    account, with the date, under the pulses they belong to.
    """
    plan.check(array.spec)
    keep = Run.of(run)
    block, pulses = Block.parse(plan.cells, array.spec), plan.pulses(array.spec)
    mask = array.spec.healthy_mask(block) & keep.chip.healthy_of(array)[block.slices]
    if not mask.any():
        raise RefusedError(f"pulse_answer: all cells of {block} are known to be bad: choose others")
    points = list(np.ndindex(2, plan.repeats, plan.starts))
    axes = [Axis("direction", "SET 0, RESET 1"), Axis("repeat", "Repeat"), Axis("start", "Place"), *map_axes(block)]
    variables = [
        Variable("first", "First read before the pulse", "S"),
        Variable("before", "Second read before the pulse", "S"),
        Variable("after", "Read after the pulse", "S"),
    ]
    meta = {"set_volts": pulses.set_volts, "reset_volts": pulses.reset_volts, "width": pulses.width}

    def pulse(way: int, cells: NDArray[np.bool_]) -> None:
        volts, gate = (pulses.set_volts, pulses.set_gate) if way == UP else (-pulses.reset_volts, pulses.reset_gate)
        count = cells.astype(np.int64)
        array.pulse(PulseMap(block=block, volts=volts, width=pulses.width, gate=gate, count=count, scheme=plan.scheme))

    def seen() -> FloatArray:
        reads = [_read(array, block, plan)]
        for way in (DOWN, UP):
            pulse(way, mask)
            reads.append(_read(array, block, plan))
        return np.stack(reads)[:, mask]

    def one(way: int, band: BandPlan) -> dict[str, FloatArray]:
        bring_into(array, block, mask, band, plan.scheme)
        first, before = _read(array, block, plan), _read(array, block, plan)
        ready = mask & whole.inside(first)
        pulse(way, ready)
        reads = {"first": first, "before": before, "after": _read(array, block, plan)}
        return {name: np.where(ready, g, np.nan) for name, g in reads.items()}

    with keep.work("pulse_answer", axes, variables, meta, label="pulses", total=len(points) + 2) as work:
        if work.begin("range"):
            work.done("range", seen=seen() if plan.span is not None else np.empty(0))
        whole = plan.around(work.piece("range", "seen"))
        bands = plan.bands(whole)
        for number in keep.rng("order").permutation(len(points)).tolist():
            way, repeat, start = points[number]
            if not work.begin(_unit(way, repeat, start)):
                continue
            reads = one(way, bands[start])
            work.add({"direction": way, "repeat": repeat, "start": start}, **reads)
            work.done(f"{NAMES[way]} from place {start + 1}", **reads)
        found = {
            name: np.array([[[work.piece(_unit(way, r, s), name)[mask] for s in range(plan.starts)]
                             for r in range(plan.repeats)] for way in (UP, DOWN)], dtype=np.float64)
            for name in ("first", "before", "after")
        }  # fmt: skip
        answer = PulseAnswer(whole.low, whole.high, **found)
        # A unit of its own: what was measured once is not kept again, with a later date, by whoever looks at it.
        if work.begin("account"):
            work.done("kept", kept=_keep(array, summarise(answer, pulses)))
        kept = bool(work.piece("account", "kept"))
    cells = block.where(mask)
    return PulseAnswerResult(cells=cells, answer=answer, pulses=pulses, kept=kept)


def _unit(way: int, repeat: int, start: int) -> str:
    return f"{NAMES[way].lower()} repeat {repeat} start {start}"


def _read(array: CrossbarArray, block: Block, plan: PulseAnswerPlan) -> FloatArray:
    return array.read(block, average=plan.average).conductance
