"""Measured over mock, on data the fit never saw: distributions, and quartiles along sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...analysis.plots.plots import FAINT, PALETTE, styled
from ..fitting.result import Row
from .words import is_step

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REAL, MOCK = PALETTE[0], PALETTE[1]
PER_PAGE = 12


def figures(rows: Sequence[Row]) -> dict[str, Figure]:
    """Return a figure per measurement (several where it has many panels), by the name of its file."""
    made: dict[str, Figure] = {}
    for group in dict.fromkeys(row.group for row in rows):
        mine = [row for row in rows if row.group == group]
        if all(is_step(row) for row in mine) and len(mine) > 1:
            made[group] = _sweep(group, mine)
            continue
        for page, at in enumerate(range(0, len(mine), PER_PAGE)):
            name = group if len(mine) <= PER_PAGE else f"{group}_{page + 1}"
            made[name] = _distributions(group, mine[at : at + PER_PAGE])
    return made


@styled
def _sweep(group: str, rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 4.4), layout="constrained")
    axes = figure.add_subplot()
    at = [float(row.panel.name.split()[-2]) for row in rows]
    for side, colour, name in (("real", REAL, "measured"), ("mock", MOCK, "mock")):
        quartiles = np.asarray([_quartiles(getattr(row.panel, side)) for row in rows]) * 1.0
        axes.plot(at, np.exp(quartiles[:, 1]) * 1e6, color=colour, marker="o", markersize=3, label=f"{name}, median")
        axes.fill_between(
            at, np.exp(quartiles[:, 0]) * 1e6, np.exp(quartiles[:, 2]) * 1e6, color=colour, alpha=0.2, linewidth=0,
            label=f"{name}, quartiles",
        )  # fmt: skip
    axes.set(yscale="log", xlabel="swept voltage (V)", ylabel="G after the pulse (µS)", title=group)
    axes.legend()
    return figure


def _quartiles(values: Any) -> Any:
    return np.quantile(values, [0.25, 0.5, 0.75]) if len(values) else np.full(3, np.nan)


@styled
def _distributions(group: str, rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    cols = min(3, len(rows))
    lines = -(-len(rows) // cols)
    figure = Figure(figsize=(4.2 * cols, 3.1 * lines), layout="constrained")
    for index, row in enumerate(rows):
        axes = figure.add_subplot(lines, cols, index + 1)
        for side, colour, name in (("real", REAL, "measured"), ("mock", MOCK, "mock")):
            values = np.sort(getattr(row.panel, side))
            if len(values):
                axes.step(values, (np.arange(len(values)) + 1) / len(values), color=colour, where="post", label=name)
        told = f"KS {row.panel.distance:.2f}" if row.panel.ks else ""
        axes.set_title(f"{row.panel.name.removeprefix(group).strip() or group}  {told}", fontsize=9.5)
        axes.set_xlabel(_axis(row), fontsize=9)
        axes.set_ylim(0, 1.02)
        real = row.panel.real
        if len(real) > 20:
            low, high = np.quantile(np.concatenate([real, row.panel.mock]), [0.002, 0.998])
            if high > low:
                axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))
        if index == 0:
            axes.legend(fontsize=8)
    figure.suptitle(f"{group}: share of readings below", color=FAINT, fontsize=10)
    return figure


def _axis(row: Row) -> str:
    if row.panel.unit == "ln G":
        return "ln (G / S)"
    if row.panel.unit == "ln I":
        return "ln (I / A)"
    return {"1": "pulses" if "pulses" in row.panel.name else "", "V": "V"}.get(row.panel.unit, row.panel.unit)
