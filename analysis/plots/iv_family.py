"""Current–voltage loops of many cells on a logarithmic axis, with what limits them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..quantities import format_value
from .plots import GRID, INK, PALETTE, new_figure, note, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

LIMIT = PALETTE[1]
ABOVE = 1.02  # a source regulates and reads back to about a per cent: less above its limit needs no word


def limit_label(amps: float, largest: float, acts_on: str = "") -> str:
    """Return how a limit [A] is called beside its line, and why more than it was measured where that is so.

    Parameters
    ----------
    largest : float [A]
        What was measured on the branch it acts on; nan where nothing was.
    acts_on : str
        What it limits, where that is not the current that is drawn.
    """
    text = f"compliance {format_value(amps, 'A', 3)}"
    if not largest > ABOVE * amps:
        return text
    why = f": the limit is of {acts_on}" if acts_on else ", above the limit"
    return f"{text} (up to {format_value(largest, 'A', 3)} measured{why})"


@styled
def iv_family(
    volts: ArrayLike,
    current: ArrayLike,
    *,
    compliance_amps: float | tuple[float, float] | None = None,
    limit_acts_on: str = "",
    forming: ArrayLike | None = None,
    labels: Sequence[str] | None = None,
    title: str = "I–V family",
    across: str = "Cell voltage (V)",
    up: str = "|Current|",
) -> Figure:
    """Draw |I| on a logarithmic axis against V: a thin line per cycle, coloured by cell, and the median loop in bold.

    The median loop is the median voltage and the median |I| of each point of the sweep: a source in compliance reads
    back less than it was told, so that voltages differ from loop to loop.

    Parameters
    ----------
    volts, current : array_like [cells, cycles, points] [V], [A]
        `volts` may have any shape that broadcasts to that of `current`.
    compliance_amps : float or (float, float) [A], optional
        Of both branches, or of the positive and the negative one; dashed lines.
    limit_acts_on : str
        What the limit is of, where that is not the current that is drawn: said where more was measured.
    forming : array_like of bool [cells, cycles], optional
        Loops that form a cell: dotted, and not in the median loop.
    labels : sequence of str, optional
        A name per cell.
    across, up : str
        What the axes are called.
    """
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import EngFormatter

    i = np.abs(np.asarray(current, dtype=np.float64))
    v = np.broadcast_to(np.asarray(volts, dtype=np.float64), i.shape)
    cells = i.shape[0]
    names = list(labels) if labels is not None else [f"cell {k}" for k in range(cells)]
    figure, ax = new_figure(8.6, 4.8)
    ax.set(title=title, xlabel=across, ylabel=up, yscale="log")
    # Next to V = 0 the logarithm would draw spikes down to the noise floor that say nothing.
    i = np.where((np.abs(v) < 0.4 * _step(v)) | (i <= 0.0), np.nan, i)
    if not np.isfinite(i).any():
        note(ax, "no current measured")
        return figure
    few = cells <= len(PALETTE)
    formed = np.zeros(i.shape[:2], dtype=bool) if forming is None else np.asarray(forming, dtype=bool)
    for k in range(cells):
        colour = PALETTE[k] if few else _spread(k, cells)
        alpha = 0.55 if few else 0.35
        for dashes, which in (("-", ~formed[k]), (":", formed[k])):
            lines = [np.column_stack((v[k, c], i[k, c])) for c in np.flatnonzero(which)]
            drawn = LineCollection(lines, colors=[colour], linewidths=0.8, alpha=alpha, linestyles=dashes)
            ax.add_collection(drawn, autolim=False)  # both limits are set below
        if few:
            ax.plot([], [], color=colour, linewidth=1.6, label=names[k])
    if formed.any():
        count = int(formed.sum())
        label = f"{count} loop{'s' if count != 1 else ''} that form{'s' if count == 1 else ''} a cell"
        ax.plot([], [], color=INK, linewidth=1.0, linestyle=":", label=label)
    if (~formed).sum() > 1:
        typical = _quiet_median(v[~formed]), _quiet_median(i[~formed])
        ax.plot(*typical, color="white", linewidth=4.0, alpha=0.8)
        ax.plot(*typical, color=INK, linewidth=2.0, label="median loop")
    left, right = min(float(np.nanmin(v)), 0.0), max(float(np.nanmax(v)), 0.0)
    room = 0.04 * max(right - left, 1e-3)
    ax.set_xlim(left - room, right + room)
    limits = _limits(compliance_amps)
    shown = i[np.isfinite(i)]
    top = max(float(shown.max()), *(amps for amps in limits if amps is not None), 0.0)
    ax.set_ylim(max(float(np.percentile(shown, 0.5)) / 2.0, top * 1e-8), top * 4.0)
    _draw_limits(ax, limits, v, i, limit_acts_on)
    ax.axvline(0.0, color=GRID, linewidth=1.0, zorder=0)
    ax.yaxis.set_major_formatter(EngFormatter("A"))
    if not few:
        ax.plot([], [], color=_spread(cells // 2, cells), linewidth=1.2, label=f"{cells} cells, a colour each")
    cycles = i.shape[1]
    heading = f"{cycles} cycle{'s' if cycles != 1 else ''} per cell"
    handles, names = ax.get_legend_handles_labels()
    limited = [(handle, name) for handle, name in zip(handles, names, strict=True) if name.startswith("compliance")]
    others = [(handle, name) for handle, name in zip(handles, names, strict=True) if not name.startswith("compliance")]
    figure.legend(*zip(*others, strict=True), loc="outside right upper", title=heading, alignment="left")
    if limited:
        figure.legend(*zip(*limited, strict=True), loc="outside lower left")
    return figure


def _limits(given: float | tuple[float, float] | None) -> tuple[float | None, float | None]:
    """Return the limits [A] of the positive and of the negative branch."""
    return given if isinstance(given, tuple) else (given, given)


def _draw_limits(ax: Axes, limits: tuple[float | None, float | None], v: Floats, i: Floats, acts_on: str) -> None:
    """Draw each branch's limit where that branch is, and say so where more was measured."""
    left, right = ax.get_xlim()
    said: set[str] = set()
    for amps, sign, end in zip(limits, (1.0, -1.0), (right, left), strict=True):
        branch = i[(sign * v > 0.0) & np.isfinite(i)]
        if amps is None or not branch.size:
            continue
        label = limit_label(amps, float(branch.max()), acts_on)
        ax.plot(
            [0.0, end], [amps, amps], color=LIMIT, linestyle="--", linewidth=1.4, label="_" * (label in said) + label
        )
        said.add(label)


def _step(v: Floats) -> float:
    """Return the usual step [V] of a sweep."""
    steps = np.abs(np.diff(v, axis=-1))
    steps = steps[np.isfinite(steps) & (steps > 0.0)]
    return float(np.median(steps)) if steps.size else 1e-9


def _spread(index: int, total: int) -> tuple[float, float, float, float]:
    from matplotlib import colormaps

    return colormaps["viridis"](0.05 + 0.85 * index / max(total - 1, 1))


def _quiet_median(loops: Floats) -> Floats:
    """Return the median of every point of the sweep, nan where no loop has one."""
    loops = loops.reshape(-1, loops.shape[-1])
    seen = np.isfinite(loops).any(axis=0)
    typical = np.full(loops.shape[1], np.nan)
    typical[seen] = np.nanmedian(loops[:, seen], axis=0)
    return typical
