"""Switching kinetics: how far one pulse moves a cell, against its amplitude and the logarithm of its width."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..estimates.boundary import Boundary, switching_boundary
from ..estimates.estimates import Estimate, Floats, median_estimate
from ..plots.plots import ERROR_COLOURS, INK, MISSING, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

REFERENCE = 1e-6
"""Width [s] at which the voltage of half-switching is given."""


@dataclass(frozen=True)
class KineticsGrid:
    """Conductance before and after single pulses of one polarity.

    Parameters
    ----------
    sign : +1 or -1
        SET or RESET.
    volts : ndarray [amplitudes] [V]
        Magnitudes, rising.
    width : ndarray [widths] [s]
        Rising.
    before, after : ndarray [repeats, amplitudes, widths, cells] [S]
        nan where a cell was not in its band before the pulse.
    """

    sign: int
    volts: Floats
    width: Floats
    before: Floats
    after: Floats

    @property
    def name(self) -> str:
        """SET or RESET."""
        return "SET" if self.sign > 0 else "RESET"

    @property
    def ratio(self) -> Floats:
        """G after over G before, of each cell the geometric mean of its repeats [amplitudes, widths, cells]."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log(np.where(self.before > 0.0, np.maximum(self.after, 1e-12) / self.before, np.nan))
        known = np.isfinite(logs)
        count = known.sum(axis=0)
        total = np.where(known, logs, 0.0).sum(axis=0)
        return np.exp(np.where(count > 0, total / np.maximum(count, 1), np.nan))

    def changes(self) -> list[list[Estimate]]:
        """Return ΔG/G0 of every point, [amplitudes][widths]: median over cells with its interval."""
        ratio = self.ratio
        return [[median_estimate(point - 1.0) for point in row] for row in ratio]

    def boundary(self, factor: float) -> Boundary:
        """Return where half of the cells change by ``factor`` or more in the direction of the pulse."""
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = self.sign * np.log(np.maximum(self.after, 1e-12) / self.before)
        switched = np.where(np.isfinite(logs), (logs >= np.log(factor)).astype(np.float64), np.nan)
        repeats, amplitudes, widths, cells = switched.shape
        volts, width = np.meshgrid(self.volts, self.width, indexing="ij")
        return switching_boundary(
            np.tile(volts.ravel(), repeats),
            np.tile(width.ravel(), repeats),
            switched.reshape(repeats * amplitudes * widths, cells).T,
            reference=REFERENCE,
        )


def kinetics_metrics(grids: tuple[KineticsGrid, ...], factor: float) -> dict[str, Estimate]:
    """Return voltage at 1 µs and volts per decade of both polarities, and the share of points left out."""
    found: dict[str, Estimate] = {}
    for grid in grids:
        boundary = grid.boundary(factor)
        found[f"{grid.name.lower()}_volts_1us"] = boundary.volts
        found[f"{grid.name.lower()}_volts_per_decade"] = boundary.per_decade
    return found


def out_of_band_fraction(grids: tuple[KineticsGrid, ...]) -> float:
    """Return the share of points for which a cell could not be brought into its band."""
    every = np.concatenate([grid.before.ravel() for grid in grids])
    return float(np.isnan(every).mean()) if every.size else float("nan")


def kinetics_table(grids: tuple[KineticsGrid, ...]) -> DataFrame:
    """Return a row per point: polarity, amplitude, width, cells, ΔG/G0 with its interval."""
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for grid in grids:
        for amplitude, line in zip(grid.volts, grid.changes(), strict=True):
            for width, change in zip(grid.width, line, strict=True):
                rows.append(
                    {
                        "pulse": grid.name,
                        "amplitude [V]": grid.sign * amplitude,
                        "width [s]": width,
                        "cells": change.n,
                        "median ΔG/G0": change.value,
                        "95 % low": change.low,
                        "95 % high": change.high,
                    }
                )
    return DataFrame(rows)


@styled
def voltage_time_map(grids: tuple[KineticsGrid, ...], factor: float, *, title: str = "Switching kinetics") -> Figure:
    """Draw the median G/G0 over amplitude and log width, SET and RESET side by side, with the fitted boundary."""
    from matplotlib.colors import LogNorm

    figure, axes = new_figure(5.4 * max(len(grids), 1) + 0.6, 4.8, max(len(grids), 2))
    for ax in axes[len(grids) :]:
        ax.remove()
    for ax, grid in zip(axes, grids, strict=False):
        ax.set(xlabel="Pulse width (s)", xscale="log", title=f"{grid.name} pulses")
        ratio = grid.ratio
        known = np.isfinite(ratio).any(axis=2)
        middle = np.full(known.shape, np.nan)
        middle[known] = np.nanmedian(ratio[known], axis=1)
        if not known.any():
            note(ax, "no cell was in its band")
            continue
        reach = float(max(np.nanmax(np.abs(np.log(middle))), np.log(factor) * 1.5))
        norm = LogNorm(np.exp(-reach), np.exp(reach))
        ax.set_facecolor(MISSING)
        x, y = _edges(np.log10(grid.width)), _edges(grid.volts)
        shown = np.ma.masked_invalid(middle)
        image = ax.pcolormesh(10.0**x, grid.sign * y, shown, cmap=ERROR_COLOURS, norm=norm, shading="flat")
        ax.grid(visible=False)
        bar = figure.colorbar(image, ax=ax, pad=0.02)
        bar.set_label("G after / G before (median of cells)")
        _ratio_ticks(bar.ax, reach)
        _draw_boundary(ax, grid, grid.boundary(factor), factor)
        ax.set_xlim(10.0 ** x[0], 10.0 ** x[-1])
        ax.set_ylim(*(grid.sign * y[[0, -1]]))
    axes[0].set_ylabel("Amplitude (V)")
    if any(ax.get_legend_handles_labels()[0] for ax in axes[: len(grids)]):
        figure.legend(loc="outside lower center", ncols=len(grids))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _draw_boundary(ax: Axes, grid: KineticsGrid, boundary: Boundary, factor: float) -> None:
    if boundary.reason:
        note(ax, boundary.reason)
        return
    words = f"half of the cells change ×{factor:g}" if grid.sign > 0 else f"half of the cells change ×1/{factor:g}"
    slope = boundary.per_decade
    if np.isfinite(slope.value):
        span = np.geomspace(grid.width[0], grid.width[-1], 50)
        milli = [f"{1e3 * value:.3g}".replace("-", "−") for value in (slope.value, slope.low, slope.high)]
        label = f"{grid.name}, {words}:\n{milli[0]} mV/decade [{milli[1]} … {milli[2]}]"
        ax.plot(span, grid.sign * boundary.at(span), color=INK, linewidth=2.0, label=label)
    else:
        ax.plot(
            grid.width,
            [grid.sign * boundary.volts.value] * grid.width.size,
            "o",
            color=INK,
            label=f"{grid.name}, {words}",
        )


def _edges(centres: Floats) -> Floats:
    """Return the borders between cells of a map around `centres`."""
    if centres.size == 1:
        return np.array([centres[0] - 0.05, centres[0] + 0.05])
    between = (centres[1:] + centres[:-1]) / 2.0
    return np.concatenate([[2.0 * centres[0] - between[0]], between, [2.0 * centres[-1] - between[-1]]])


def _ratio_ticks(ax: Axes, reach: float) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    sizes = [value for value in (2.0, 5.0, 10.0, 20.0, 50.0, 100.0) if np.log(value) <= reach][-4:]
    ax.yaxis.set_major_locator(FixedLocator([*(1.0 / value for value in reversed(sizes)), 1.0, *sizes]))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(_ratio_text))


def _ratio_text(value: float, _position: int) -> str:
    return f"×{value:g}" if value >= 1.0 else f"×1/{1.0 / value:g}"
