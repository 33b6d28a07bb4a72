"""Levels of any bench: how many are apart over cycles of reprogramming, as the step ``multilevel`` gives them.

Of cells that were programmed once: where they ended, and how many would be read as another level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import Estimate, clustered_fraction_estimate, median_estimate, std_estimate
from ..networks.training import confusion_map
from ..programming.multilevel import (
    CYCLES,
    WIDTH,
    LevelReads,
    bits,
    confusion,
    count_rows,
    level_metrics,
    level_rows,
    what_limits,
)
from ..programming.multilevel_figures import level_cdfs as cycle_cdfs
from ..programming.multilevel_figures import separability_figure
from .finding import Finding, grouped
from .pictures.verify import level_cdfs
from .verify import MANY_LEVELS, window_text

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..estimates.estimates import Floats
    from ..measured_data.measured import Measured


def analyse_levels(measured: Measured) -> Finding:
    """Return how many levels are apart, or of cells that were programmed once where each level ended."""
    return _windows(measured) if measured.kind == "write_verify" else _reprogrammed(measured)


def _reprogrammed(measured: Measured) -> Finding:
    """Return separable levels, misreads, errors and their parts of cells programmed to every level again and again."""
    table: Any = measured.table
    reads, left_out, given = _reads(table, measured.id)
    cells, cycles, many = reads.final.shape
    metrics = level_metrics(reads)
    remarks: list[str] = []
    drop: set[str] = set()
    if cycles < CYCLES:
        remarks.append(
            f"how many levels are separable is not told: {cycles} cycle{'s' if cycles != 1 else ''} of every cell and "
            f"level, and a share of 1 % takes {CYCLES}: name the columns cell, cycle and level"
        )
        drop.add("separable_levels")
    if not given["accepted"]:
        drop.add("level_accepted_fraction")
    if not given["pulses"]:
        drop.add("level_pulses")
    if not given["end"]:
        drop |= {"level_programming_sigma", "level_settling_sigma"}
    if not given["again"]:
        drop |= {"level_noise_sigma", "level_programming_sigma", "level_settling_sigma"}
    if left_out:
        remarks.append(f"cells that lack a level in some cycle, and are left out: {left_out}")
    numbers: dict[str, Estimate | float] = {"levels": float(many)}
    numbers |= {name: value for name, value in metrics.items() if name not in drop}
    widths = table["width"].unique()
    limit = ""
    if cycles >= CYCLES:
        numbers["separable_bits"] = bits(reads.separable)
        limit = (
            f" Of N levels the N most evenly spread are judged: at most 1 % of the reads of the median cell may lie "
            f"beyond a midpoint. {reads.separable.value:.0f} are separable.\n\nWhat limits it: {what_limits(reads)}"
        )
        if np.all(np.abs(widths / WIDTH - 1.0) < 1e-3):
            numbers |= {"levels_200ns": reads.separable, "bits_200ns": bits(reads.separable)}
    if not given["end"] or not given["again"]:
        limit += (
            " Programming, settling and noise are not told apart: that takes a reading when programming ended (end) "
            "and a second one right after that which counts (again)."
        )
    said = "those of the data" if given["target"] else "the medians of what was read, as the data name no targets"
    figures: list[Any] = [
        ("Every cycle about its cell's mean, and the means of the cells; dashed lines are the levels.",
         cycle_cdfs(reads)),
    ]  # fmt: skip
    if cycles >= CYCLES and given["end"] and given["again"]:
        caption = "Misreads against the number of levels, and the error of each level in its parts."
        figures.append((caption, separability_figure(reads)))
    names = [f"{g * 1e6:.3g}" for g in reads.levels]
    caption = "How often cells programmed to a level are read as each; names are conductances in µS."
    figures.append(
        (caption, confusion_map(confusion(reads), names=names, what="level", title="Levels as they are read"))
    )
    tables = [("Level by level.", level_rows(reads).dropna(axis="columns", how="all"))]
    if cycles >= CYCLES:
        tables.append(("By number of levels.", count_rows(reads)))
    return Finding(
        id=measured.id,
        title="Levels",
        text=f"{cells} cells, each programmed to {many} levels {cycles} times over. Levels are {said}.{limit}",
        remarks=remarks, numbers=numbers, frame=table, figures=figures, tables=tables,
    )  # fmt: skip


def _reads(table: Any, where: str) -> tuple[LevelReads, int, dict[str, bool]]:
    """Return the reads of the cells that have every level in every cycle, how many have not, and what was given."""
    names = sorted(int(level) for level in table["level"].unique() if level >= 0)
    if not 2 <= len(names) <= MANY_LEVELS:
        raise RefusedError(
            f"{where}: {len(names)} level{'s' if len(names) != 1 else ''} in {len(table)} lines: 2 to {MANY_LEVELS} "
            "are told apart: is level the right column?"
        )
    has = {name: name in table and table[name].notna().to_numpy().all() for name in _MAY}
    nominal = "target" if has["target"] else "conductance"
    of_level = {name: float(table.loc[table["level"] == name, nominal].median()) for name in names}
    names.sort(key=lambda name: of_level[name])
    levels = np.array([of_level[name] for name in names])
    if not (np.diff(levels) > 0.0).all():
        raise RefusedError(f"{where}: two levels have the same conductance: are level and {nominal} the right columns?")
    mine = table[table["level"].isin(names)].assign(place=table["level"].map({name: k for k, name in enumerate(names)}))
    counts = mine.groupby("cell").size()
    cycles = int(counts.max()) // len(names)
    full = mine.groupby(["cell", "place"]).size().unstack(fill_value=0)
    whole = full.index[(full == cycles).all(axis=1)].to_numpy() if cycles else np.empty(0)
    if not len(whole):
        raise RefusedError(
            f"{where}: no cell was programmed to every one of {len(names)} levels as often as the others: separable "
            "levels take each cell at each level, cycle after cycle; cells that were programmed once have low, high "
            "and after (xbarlab analyse levels)"
        )
    mine = mine[mine["cell"].isin(whole)].sort_values(["cell", "cycle", "place"], kind="stable")
    mine = mine.assign(turn=mine.groupby(["cell", "place"]).cumcount()).sort_values(["cell", "turn", "place"])
    shape = (len(whole), cycles, len(names))

    def grid(name: str, otherwise: float) -> Floats:
        return mine[name].to_numpy(np.float64).reshape(shape) if has.get(name, True) else np.full(shape, otherwise)

    reads = LevelReads(
        levels=levels,
        at_end=grid("end", np.nan),
        final=grid("conductance", np.nan),
        again=grid("again", np.nan),
        accepted=grid("accepted", 1.0) > 0.5,
        pulses=grid("pulses", 0.0).astype(np.int64),
    )
    return reads, int(len(counts) - len(whole)), has


_MAY = ("target", "end", "again", "accepted", "pulses")


def _windows(measured: Measured) -> Finding:
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
        remarks=[
            "how many levels are separable is not told: that takes cells that were programmed to every level, "
            f"{CYCLES} times over (columns cell, cycle, level, conductance)"
        ],
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
