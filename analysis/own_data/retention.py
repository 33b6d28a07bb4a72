"""Cells that were left alone, or baked: how far their conductance moved, and how far apart they moved.

Where they were read several times, the figures are those of the step ``retention`` (:mod:`..programming.retention`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.text import duration
from ..estimates.drift import MIN_POINTS
from ..estimates.estimates import Estimate, median_estimate, std_estimate
from ..programming.retention import drift_table, retention_figure, retention_metrics, retention_table
from .finding import Finding, grouped
from .pictures.retention import shift_against_level, shift_cdfs
from .rest_reads import Rest, rest_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..measured_data.measured import Measured

ZERO_CELSIUS = 273.15
CLOSE = 0.15
"""Readings whose times are within this share of each other belong to one time."""
CELLS_SHOWN = 200
TEN_YEARS = 10.0 * 365.25 * 86400.0


def analyse_retention(measured: Measured) -> Finding:
    """Return shift and spread of every temperature and time; ν, σ(ΔG) and extrapolation where there are several times.

    Without a temperature all readings count as of one.
    """
    table: Any = measured.table.copy()
    table["shift"] = table["after"] - table["before"]
    table["group"] = _groups(table)
    parts = {str(name): part for name, part in table.groupby("group", sort=False)}
    alone = len(parts) == 1
    age = float(getattr(measured.protocol, "extrapolate_to", None) or TEN_YEARS)
    rests = {
        float(kelvins): rest  # pyright: ignore[reportArgumentType]  # a number, or nan
        for kelvins, part in table.groupby("temperature", sort=True, dropna=False)
        if (rest := rest_of(part)) is not None
    }
    numbers: dict[str, Estimate | float] = {}
    figures: list[Any] = []
    tables: list[Any] = []
    for kelvins, rest in rests.items():
        found = _of_rest(rest, age)
        numbers |= found if len(rests) == 1 else grouped(_at(kelvins), found)
        where = "" if np.isnan(kelvins) else f" at {kelvins - ZERO_CELSIUS:.0f} °C"
        caption = "Conductance against time with its extrapolation, spread of the change, exponents of the cells."
        figures.append((caption, retention_figure(rest.reads, age, title=f"Retention{where}")))
        tables.append((f"Level by level{where}.", retention_table(rest.reads, age)))
        if len(rest.cells) <= CELLS_SHOWN:
            tables.append((f"Cell by cell{where}.", drift_table(rest.reads, age).assign(cell=rest.cells)))
    if rests:  # what was in between is in the figures and tables of its temperature
        last = table.groupby("temperature", dropna=False)["time"].transform("max")
        told = set(table.loc[table["time"] == last, "group"])
        parts = {name: part for name, part in parts.items() if name in told}
    for name, part in parts.items():
        numbers |= _numbers(part) if alone else grouped(_key(name), _numbers(part))
    remarks = _remarks(rests)
    figures += [
        ("Change of conductance against what it was: median and middle 80 % of cells.", shift_against_level(parts)),
        ("Change of conductance; a straight line is a normal law.", shift_cdfs(parts)),
    ]
    text = (
        f"{len(set(table['cell'])):,} cells. The shift is conductance after minus before; its standard deviation is "
        "over cells and holds what two readings of a cell that rests differ by, too."
    )
    if rests:
        text += (
            f" ν is of G(t) = G(t0)·(t/t0)^−ν, t0 the first reading after time 0; its interval allows for a wander of "
            f"the state besides the noise of a reading. The extrapolation to {duration(age)} supposes that the law "
            f"goes on and the temperature stays. {' '.join(sorted({rest.said for rest in rests.values()}))}"
        )
    return Finding(
        id=measured.id, title="Retention", text=text, remarks=remarks, numbers=numbers, frame=table, figures=figures,
        tables=[*tables, ("Every temperature and time.", _frame(parts))],
    )  # fmt: skip


def _of_rest(rest: Rest, age: float) -> dict[str, Estimate | float]:
    found: dict[str, Estimate | float] = {**retention_metrics(rest.reads, age)}
    if not rest.levels_given:
        del found["retained_fraction"]
    return {**found, "retention_cells": float(rest.reads.known.sum())}


def _remarks(rests: dict[float, Rest]) -> list[str]:
    if not rests:
        return [f"no drift exponent and no extrapolation: they take {MIN_POINTS} readings of a cell after time 0"]
    left_out = sum(rest.left_out for rest in rests.values())
    return [f"cells that were read less often than most and are in no exponent: {left_out}"] if left_out else []


def _at(kelvins: float) -> str:
    return "at_unknown" if np.isnan(kelvins) else f"at_{kelvins - ZERO_CELSIUS:.0f}C".replace("-", "minus")


def _groups(table: Any) -> Any:
    """Return a name for the temperature and time of every line; times that are nearly alike are one."""
    names = np.empty(len(table), object)
    for kelvins, part in table.groupby("temperature", sort=True, dropna=False):
        times = np.sort(part["time"].unique())
        apart = np.flatnonzero(np.diff(np.log(np.maximum(times, 1e-12))) > CLOSE) + 1
        for cluster in np.split(times, apart):
            inside = part["time"].between(cluster[0], cluster[-1])
            seconds = float(part["time"][inside].median())
            at = table.index.get_indexer(part.index[inside])
            degrees = float(kelvins) - ZERO_CELSIUS  # pyright: ignore[reportArgumentType]  # a number, or nan
            names[at] = _time(seconds) if np.isnan(degrees) else f"{degrees:.0f} °C, {_time(seconds)}"
    return names


def _time(seconds: float) -> str:
    for size, unit in ((86400.0 * 2, "days"), (7200.0, "h"), (120.0, "min")):
        if seconds >= size:
            return f"{seconds / {'days': 86400.0, 'h': 3600.0, 'min': 60.0}[unit]:.3g} {unit}"
    return f"{seconds:.3g} s"


def _key(name: str) -> str:
    """Return a group's name as part of a key: ``at_100C_1_99h``."""
    degrees, _, time = name.rpartition(" °C, ")
    after = time.replace(".", "_").replace(" ", "")
    return f"at_{degrees}C_{after}".replace("-", "minus") if degrees else f"after_{after}"


def _numbers(part: Any) -> dict[str, Estimate | float]:
    before = part["before"].to_numpy(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = np.where(before > 0.0, part["after"].to_numpy(np.float64) / before - 1.0, np.nan)
    return {
        "shift_median": median_estimate(part["shift"]),
        "shift_relative_median": median_estimate(relative),
        "shift_std": std_estimate(part["shift"]),
    }


def _frame(parts: dict[str, Any]) -> DataFrame:
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for name, part in parts.items():
        numbers: Any = _numbers(part)
        rows.append(
            {
                "left at": name,
                "cells": len(part),
                "before [S]": float(part["before"].median()),
                "shift [S]": numbers["shift_median"].value,
                "shift low [S]": numbers["shift_median"].low,
                "shift high [S]": numbers["shift_median"].high,
                "sigma [S]": numbers["shift_std"].value,
                "sigma low [S]": numbers["shift_std"].low,
                "sigma high [S]": numbers["shift_std"].high,
            }
        )
    return DataFrame(rows)
