"""Cells that were left alone, or baked: how far their conductance moved, and how far apart they moved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates.estimates import Estimate, median_estimate, std_estimate
from .finding import Finding, grouped
from .pictures.retention import shift_against_level, shift_cdfs, traces_over_time

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..measured_data.measured import Measured

ZERO_CELSIUS = 273.15
CLOSE = 0.15
"""Readings whose times are within this share of each other belong to one time."""
LINE_MIN = 3
"""Later readings a straight line in the logarithms needs."""


def analyse_retention(measured: Measured) -> Finding:
    """Return shift and spread of conductance, of every temperature and time apart; ν where there are several times."""
    table: Any = measured.table.copy()
    table["shift"] = table["after"] - table["before"]
    table["group"] = _groups(table)
    parts = {str(name): part for name, part in table.groupby("group", sort=False)}
    numbers: dict[str, Estimate | float] = {}
    for name, part in parts.items():
        numbers |= _numbers(part) if len(parts) == 1 else grouped(_key(name), _numbers(part))
    drift = _drift(table)
    remarks: list[str] = []
    if drift is None:
        remarks.append(
            "no drift exponent: the data have one time after the first reading; a straight line needs "
            f"{LINE_MIN} times of a cell"
        )
    else:
        numbers["drift_line_nu"] = median_estimate(drift)
    figures: list[Any] = [
        ("Change of conductance against what it was: median and middle 80 % of cells.", shift_against_level(parts)),
        ("Change of conductance; a straight line is a normal law.", shift_cdfs(parts)),
    ]
    if drift is not None:
        figures.insert(0, ("Conductance over time.", traces_over_time(table)))
    text = (
        f"{len(set(table['cell'])):,} cells. The shift is conductance after minus before; its standard deviation is "
        "over "
        "cells and holds what two readings of a cell that rests differ by, too."
    )
    return Finding(
        id=measured.id, title="Retention", text=text, remarks=remarks, numbers=numbers, frame=table, figures=figures,
        tables=[("Every temperature and time.", _frame(parts))],
    )  # fmt: skip


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


def _drift(table: Any) -> Any:
    """Return ν of every cell that was read at several later times; None where none was."""
    found: list[float] = []
    for _, one in table.groupby(["cell", "temperature"], sort=False, dropna=False):
        good = one[(one["time"] > 0.0) & (one["after"] > 0.0)]
        if good["time"].nunique() >= LINE_MIN:
            found.append(-float(np.polyfit(np.log(good["time"]), np.log(good["after"]), 1)[0]))
    return np.asarray(found) if found else None


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
