"""Levels of any bench: where programmed cells ended, and how many would be read as another level."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import Estimate, clustered_fraction_estimate, median_estimate, std_estimate
from ..networks.training import confusion_map
from .finding import Finding, grouped
from .pictures.verify import level_cdfs
from .verify import MANY_LEVELS, window_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..estimates.estimates import Floats
    from ..measured_data.measured import Measured


def analyse_levels(measured: Measured) -> Finding:
    """Return median and spread of every level, the share inside windows, and that read as another level.

    A cell is read as the window that its last reading lies in; between two windows as the nearer one.
    """
    table: Any = measured.table
    levels = sorted(set(table["level"]))
    if len(levels) > MANY_LEVELS:
        raise RefusedError(
            f"{measured.id}: {len(levels)} different windows, and at most {MANY_LEVELS} are told apart: name a "
            "column level"
        )
    lows, highs = (
        np.array([float(table[table["level"] == k][end].median()) for k in levels]) for end in ("low", "high")
    )
    order = np.argsort(lows, kind="stable")
    borders = 0.5 * (highs[order][:-1] + lows[order][1:])
    after = table["after"].to_numpy(np.float64)
    read = np.asarray(levels)[order][np.searchsorted(borders, after)]
    table = table.assign(read_as=read, inside=(after >= table["low"] * _DOWN) & (after <= table["high"] * _UP))
    parts = {level: table[table["level"] == level] for level in levels}
    numbers: dict[str, Estimate | float] = {"levels": float(len(levels)), **_shares(table)}
    for level, part in parts.items():
        after_part: Floats = part["after"].to_numpy(np.float64)
        spread = {"level_g_median": median_estimate(after_part), "level_g_std": std_estimate(after_part)}
        numbers |= grouped(f"level_{level}", {**spread, **_shares(part)})
    names = [f"{level}: {window_text(part)}" for level, part in parts.items()]
    place = {level: k for k, level in enumerate(levels)}
    counts = np.zeros((len(levels), len(levels)), np.int64)
    np.add.at(counts, (table["level"].map(place).to_numpy(), table["read_as"].map(place).to_numpy()), 1)
    readings = {f"level {name}": part["after"].to_numpy() for name, part in zip(names, parts.values(), strict=True)}
    windows = {f"level {name}": (low, high) for name, low, high in zip(names, lows, highs, strict=True)}
    figures: list[Any] = [
        ("Conductance of every level; a straight line is a normal law.", level_cdfs(readings, windows))
    ]
    if len(levels) > 1:
        caption = "Which level the cells of each would be read as."
        figures.append((caption, confusion_map(counts, names=names, what="level", title="Levels as they are read")))
    text = (
        f"{len(table):,} programmings to {len(levels)} windows. The last reading counts, as soon as programming "
        "ended: what "
        "cells do afterwards is not in such data, and intervals are over cells. A cell between two windows is read "
        "as the "
        "nearer one."
    )
    return Finding(
        id=measured.id, title="Levels", text=text, numbers=numbers, frame=table, figures=figures,
        tables=[("Level by level.", _frame(parts, numbers))],
    )  # fmt: skip


_DOWN, _UP = 1.0 - 1e-9, 1.0 + 1e-9  # a reading on the edge of its window, as a resistance in the file


def _shares(table: Any) -> dict[str, Estimate | float]:
    by_cell = table.assign(wrong=table["read_as"] != table["level"]).groupby("cell", sort=False)
    totals = by_cell["inside"].count()
    return {
        "inside_fraction": clustered_fraction_estimate(by_cell["inside"].sum(), totals),
        "misread_fraction": clustered_fraction_estimate(by_cell["wrong"].sum(), totals),
    }


def _frame(parts: dict[Any, Any], numbers: dict[str, Any]) -> DataFrame:
    from pandas import DataFrame

    return DataFrame(
        [
            {
                "level": str(level),
                "window": window_text(part),
                "cells": len(part),
                "median [S]": numbers[f"level_{level}.level_g_median"].value,
                "sigma [S]": numbers[f"level_{level}.level_g_std"].value,
                "inside [fraction]": numbers[f"level_{level}.inside_fraction"].value,
                "misread [fraction]": numbers[f"level_{level}.misread_fraction"].value,
                "misread low [fraction]": numbers[f"level_{level}.misread_fraction"].low,
                "misread high [fraction]": numbers[f"level_{level}.misread_fraction"].high,
            }
            for level, part in parts.items()
        ]
    )
