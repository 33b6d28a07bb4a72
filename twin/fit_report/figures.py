"""Measured over mock, on data the fit never saw: distributions, and quartiles along sweeps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ...analysis.plots.plots import FAINT, PALETTE, styled
from ..fitting.result import Row
from .words import is_step

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

SIDES = (("real", PALETTE[0], "measured"), ("mock", PALETTE[1], "mock"))
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
    for side, colour, name in SIDES:
        quartiles = np.asarray([_quartiles(getattr(row.panel, side)) for row in rows]) * 1.0
        axes.plot(at, np.exp(quartiles[:, 1]) * 1e6, color=colour, marker="o", markersize=3, label=f"{name}, median")
        axes.fill_between(
            at, np.exp(quartiles[:, 0]) * 1e6, np.exp(quartiles[:, 2]) * 1e6, color=colour, alpha=0.2, linewidth=0,
            label=f"{name}, quartiles",
        )  # fmt: skip
    axes.set(yscale="log", xlabel="swept voltage (V)", ylabel="G after the pulse (µS)", title=group)
    plain_log(axes.yaxis, *axes.get_ylim())
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
        told = f"KS {row.panel.distance:.2f}" if row.panel.ks else ""
        axes.set_title(f"{row.panel.name.removeprefix(group).strip() or group}  {told}", fontsize=9.5)
        if _is_share(row):
            _shares(axes, row)
        else:
            _cumulated(axes, row)
        if index == 0:
            axes.legend(fontsize=8)
    figure.suptitle(f"{group}: share of readings below", color=FAINT, fontsize=10)
    return figure


def _is_share(row: Row) -> bool:
    """Whether the numbers are yes and no."""
    both = np.concatenate([row.panel.real, row.panel.mock])
    return row.panel.mean and bool(np.isin(both, (0.0, 1.0)).all())


def _shares(axes: Axes, row: Row) -> None:
    shares = [float(one.mean()) if len(one) else 0.0 for one in (row.panel.real, row.panel.mock)]
    most = min(max(1.3 * max(shares), 0.05), 1.0)
    for at, (share, (_, colour, name)) in enumerate(zip(shares, SIDES, strict=True)):
        axes.barh([at], [share], color=colour, label=name)
        inside = share > 0.8 * most
        axes.text(
            share + (-0.02 if inside else 0.02) * most, at, f"{share:.1%}", va="center", fontsize=9,
            ha="right" if inside else "left", color="white" if inside else "black",
        )  # fmt: skip
    axes.set(xlim=(0, most), yticks=[], ylim=(1.6, -0.6))
    axes.set_xlabel("share", fontsize=9)


def _cumulated(axes: Axes, row: Row) -> None:
    shown = {side: np.sort(_shown(row, getattr(row.panel, side))) for side, _, _ in SIDES}
    for side, colour, name in SIDES:
        values = shown[side]
        if len(values):
            axes.step(values, (np.arange(len(values)) + 1) / len(values), color=colour, where="post", label=name)
    label, log = _axis(row)
    axes.set_xlabel(label, fontsize=9)
    axes.set_ylim(0, 1.02)
    both = np.concatenate(list(shown.values()))
    low, high = np.quantile(both, [0.002, 0.998]) if len(both) > 20 else (0.0, 0.0)
    if log:
        axes.set_xscale("log")
        plain_log(axes.xaxis, low, high)
        if high > low > 0.0:
            axes.set_xlim(low / 1.05, high * 1.05)
    elif high > low:
        axes.set_xlim(low - 0.05 * (high - low), high + 0.05 * (high - low))


def plain_log(axis: Axis, low: float, high: float) -> None:
    """Label a logarithmic axis with plain numbers: where it spans less than a decade and a half, 2 and 5 as well."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    wide = low <= 0.0 or high / low > 30.0
    axis.set_major_locator(LogLocator(10.0, (1.0,) if wide else (1.0, 1.5, 2.0, 3.0, 5.0, 7.0)))
    axis.set_major_formatter(FuncFormatter(_plain))
    axis.set_minor_formatter(NullFormatter())


def _plain(value: float, _: int) -> str:
    return f"{value:g}"


def _shown(row: Row, values: Any) -> Any:
    """Return the numbers of a panel as they are drawn."""
    return np.exp(values) * 1e6 if row.panel.unit in {"ln G", "ln I"} else values


def _axis(row: Row) -> tuple[str, bool]:
    """Return the label of an axis, and whether it is logarithmic."""
    unit = row.panel.unit
    if unit == "1":
        return ("pulses", True) if "pulses" in row.panel.name else ("", False)
    return {"ln G": ("G (µS)", True), "ln I": ("I (µA)", True), "V": ("V", False)}.get(unit, (unit, False))
