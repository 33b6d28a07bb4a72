"""What an analysis found in one measurement: numbers with intervals, figures and tables, as of a step of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ..estimates.estimates import Estimate, flatten
from ..quantities import describe, format_value
from ..report.report import Section

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pandas import DataFrame

    from ..plots.plots import Picture


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One measurement, analysed.

    Attributes
    ----------
    id : str
        Of the measurement; it begins every key of its numbers in a summary.
    title, text : str
        What was analysed, and in plain sentences how, and what could not be said.
    remarks : sequence of str
        What a reader must not miss: ``no switching found``.
    numbers : mapping of str to Estimate or float
        By the names of :mod:`..quantities`; a part before a dot is the group it is of (``level_0.pulses_per_cell``).
        NaN where the data do not say.
    frame : DataFrame
        The numbers behind: a line per cell, per cell and cycle, or per level.
    figures : sequence of (caption, Figure)
    tables : sequence of (caption, DataFrame)
    """

    id: str
    title: str
    text: str
    remarks: Sequence[str] = ()
    numbers: Mapping[str, Estimate | float]
    frame: DataFrame = field(repr=False)
    figures: Sequence[tuple[str, Figure | Picture]] = field(default=(), repr=False)
    tables: Sequence[tuple[str, DataFrame]] = field(default=(), repr=False)

    def plot(self) -> Figure | Picture:
        """Return the first figure."""
        return self.figures[0][1]

    def metrics(self) -> dict[str, float]:
        """Return the numbers as flat keys; an estimate ``x`` has ``x_ci95_low`` and ``x_ci95_high`` beside it."""
        flat: dict[str, float] = {}
        for name, value in self.numbers.items():
            flat.update(flatten(name, value) if isinstance(value, Estimate) else {name: float(value)})
        return flat

    def section(self) -> Section:
        """Return text, figures and tables as a part of the report."""
        said = [f"{remark[:1].upper()}{remark[1:]}." for remark in self.remarks]
        return Section(self.title, "\n\n".join([*said, self.text]), self.figures, self.tables)

    def lines(self) -> list[str]:
        """Return the numbers for a terminal, a line each."""
        said = [(name, _said(name, value)) for name, value in self.numbers.items()]
        width = max((len(name) for name, _ in said), default=0)
        return [*(f"  {remark}" for remark in self.remarks), *(f"  {name:<{width}}  {text}" for name, text in said)]

    def __repr__(self) -> str:
        return "\n".join([f"<Finding {self.id}: {self.title}>", *self.lines()])


def grouped(name: str, numbers: Mapping[str, Estimate | float]) -> dict[str, Estimate | float]:
    """Return numbers of a group (a level, a temperature), its name before theirs."""
    return {f"{name}.{key}": value for key, value in numbers.items()}


def _said(name: str, value: Estimate | float) -> str:
    unit = describe(name).unit
    if not isinstance(value, Estimate):
        return format_value(value, unit)
    text = format_value(value.value, unit)
    if value.low != value.low or value.high != value.high:
        return text
    ends = (format_value(end, unit, like=value.value) for end in (value.low, value.high))
    return f"{text}  [{' … '.join(ends)}]"
