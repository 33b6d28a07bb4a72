"""The report of a fit: a folder with ``report.md``, its figures, and the tables for programs."""

from __future__ import annotations

import csv
import json
from pathlib import Path

from ...analysis.plots.plots import save
from ..fitting.result import FitResult
from ..objective import PROTOCOL
from .figures import figures
from .words import lead, misses, numbers, table, unsure

REPORT = "report.md"


def write_report(result: FitResult, folder: Path, profile: Path) -> Path:
    """Write ``report.md``, figures, ``held_out.csv`` and ``fit.json`` into a new ``folder``; return the page."""
    folder.mkdir()
    drawn = figures(result.rows)
    for name, figure in drawn.items():
        save(figure, folder / f"{name}.png")
    _write_rows(result, folder / "held_out.csv")
    (folder / "fit.json").write_text(json.dumps(_plain(result), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = folder / REPORT
    page.write_text("\n".join(_page(result, list(drawn), profile)) + "\n", encoding="utf-8")
    return page


def _page(result: FitResult, drawn: list[str], profile: Path) -> list[str]:
    if result.checked:
        lines = [f"# {result.base.name} against measurements", "", *lead(result), "", "## The table", ""]
    else:
        lines = [f"# Fit of {profile.name}", "", *lead(result), "", "## The error on data the fit never saw", ""]
    lines += table(result.rows)
    was = "" if result.checked else f" *before*: with the numbers of {result.base.name}."
    lines += [
        "",
        "*error*: of the median, of pulses and shares of the mean. *KS*: Kolmogorov–Smirnov distance between measured "
        f"and mock. *by luck*: what 5 % of pairs of samples of one law exceed.{was}",
        "",
        "## What the model cannot represent",
        "",
        *misses(result),
    ]
    for name, why in result.left_out.items():
        lines.append(f"- {name} was left out: {why}.")
    lines += ["", "## Measured and mock", "", *(f"![{name}]({name}.png)" for name in drawn)]
    lines += _numbers(result)
    lines += [
        "| measurement | cells fitted | cells held out |",
        "|---|---|---|",
        *(f"| {name} | {fitted} | {held} |" for name, (fitted, held) in result.cells.items()),
    ]
    return lines


def _numbers(result: FitResult) -> list[str]:
    """Return what was fitted, and how; of a check, what was searched of its protocols."""
    if result.checked:
        searched = [f"{one.name.removeprefix(f'{PROTOCOL}.')} {one.value:.3g}" for one in result.numbers]
        said = f"searched on the other half: {', '.join(searched)}. " if searched else ""
        return ["", "## How it was done", "", f"Nobody wrote down, {said}" if said else "", f"Seed {result.seed}.", ""]
    change = result.cost_before - result.cost_after
    return [
        "", "## The numbers", "", *numbers(result.numbers), "", *unsure(result), "", "## How it was done", "",
        f"Mode {result.mode}, from profile {result.base.name}; {len(result.numbers)} numbers; {result.trials} replays "
        f"in the search ({result.ended}); {result.seconds:.0f} s in all; seed {result.seed}. On cells that the "
        f"search had not seen, the cost of the fitted half went from {result.cost_before:.3g} to "
        f"{result.cost_after:.3g} (change {change:.2g} ± {result.cost_sd:.2g}).",
        "",
    ]  # fmt: skip


def _write_rows(result: FitResult, path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(
            ["measurement", "panel", "unit", "held_out", "measured_n", "mock_n", "error", "ks", "spread_ratio",
             "ks_luck", "ks_two_chips", "error_before", "ks_before"]
        )  # fmt: skip
        for row in result.rows:
            panel = row.panel
            numbers_of = (panel.error, panel.distance, panel.spreads, row.luck)
            out.writerow(
                [row.group, panel.name, panel.unit, int(row.held), len(panel.real), len(panel.mock),
                 *(f"{value:.5g}" for value in numbers_of), "" if row.floor is None else f"{row.floor:.5g}",
                 *(("", "") if row.before is None else (f"{row.before.error:.5g}", f"{row.before.distance:.5g}"))]
            )  # fmt: skip


def _plain(result: FitResult) -> dict[str, object]:
    return {
        "mode": result.mode,
        "base": result.base.name,
        "title": result.title,
        "half": result.half,
        "seed": result.seed,
        "ended": result.ended,
        "trials": result.trials,
        "seconds": round(result.seconds, 1),
        "cost_before": result.cost_before,
        "cost_after": result.cost_after,
        "cells": result.cells,
        "numbers": {
            one.name: {
                "value": one.value, "scale": "log" if one.log else "linear", "sd": one.sd, "low": one.low,
                "high": one.high, "at_bound": one.at_bound, "identified": one.identified,
            }
            for one in result.numbers
        },
        "suggestions": {one.what: one.numbers for one in result.suggestions},
    }  # fmt: skip
