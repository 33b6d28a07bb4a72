"""Figures of training: how the loss fell, where the layers are on the chip, what a forecast looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..estimates.estimates import Floats
from ..plots.colour_scale import ColourScale
from ..plots.plots import FAINT, INK, MISSING, PALETTE, new_figure, si_prefix, styled
from ..quantities import FRACTION, describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SMOOTH_FROM = 150  # updates: the loss of so many is a band, and a median shows where it goes


@styled
def learning_curve(
    loss: ArrayLike,
    step: ArrayLike,
    value: ArrayLike,
    *,
    name: str,
    lines: Mapping[str, float] | None = None,
    steps: int | None = None,
    note: str = "",
    twin: tuple[ArrayLike, ArrayLike] | None = None,
) -> Figure:
    """Draw the training loss of every step, and a figure measured now and then.

    Parameters
    ----------
    loss : [steps]
    step, value : [points]
    name : summary key that `value` is; its unit is known from there
    lines : what to compare with, name -> value: the float twin, chance
    steps : updates there will be in all, where training still lasts
    note : on what `value` was measured
    twin : (updates, values) of the float twin
    """
    figure, (left, right) = new_figure(9.6, 4.6, 2)
    _loss_panel(left, np.asarray(loss, dtype=np.float64), steps)
    _value_panel(right, step, value, name, lines or {}, steps or np.size(loss), note, twin)
    return figure


@styled
def training_view(
    loss: ArrayLike,
    step: ArrayLike,
    value: ArrayLike,
    conductance: ArrayLike,
    *,
    name: str,
    lines: Mapping[str, float] | None = None,
    steps: int | None = None,
) -> Figure:
    """Draw how training stands: loss, what was measured now and then, and the cells as they are.

    Parameters
    ----------
    loss : [steps]
    step, value : [points]
    conductance : [rows, cols] [S]; not a number where a cell is not used
    name, lines, steps : as of :func:`learning_curve`
    """
    figure, (left, middle, right) = new_figure(12.6, 4.6, 3)
    losses, cells = np.asarray(loss, dtype=np.float64), np.atleast_2d(np.asarray(conductance, dtype=np.float64))
    _loss_panel(left, losses, steps)
    _value_panel(middle, step, value, name, lines or {}, steps or losses.size, "")
    scale = ColourScale.of(cells)
    factor, prefix = si_prefix(scale.top)
    image = right.imshow(
        cells / factor, interpolation="nearest", aspect="auto", cmap=scale.colours(), norm=scale.norm(factor)
    )
    right.grid(visible=False)
    said = f"update {losses.size:,}" + (f" of {steps:,}" if steps else "")
    right.set(title=f"Conductance after {said}", xlabel="Column", ylabel="Row", facecolor=MISSING)
    figure.colorbar(image, ax=right, label=f"{prefix}S", extend=scale.extend)
    return figure


def _loss_panel(ax: Axes, losses: Floats, steps: int | None) -> None:
    """Draw the loss of every update, and where there are many the median of those around each."""
    from matplotlib.ticker import MaxNLocator

    updates = np.arange(1, losses.size + 1)
    smooth = losses.size >= SMOOTH_FROM
    alone = "o" if losses.size == 1 else ""  # one point makes no line
    ax.plot(
        updates, losses, color=PALETTE[0], lw=0.8 if smooth else 1.2, alpha=0.4 if smooth else 1.0, label="each",
        marker=alone, ms=3.5,
    )  # fmt: skip
    if smooth:
        width = 2 * (losses.size // 50) + 1
        running = np.median(np.lib.stride_tricks.sliding_window_view(losses, width), axis=1)
        ax.plot(
            updates[width // 2 : losses.size - width // 2],
            running,
            color=PALETTE[0],
            lw=2.0,
            label=f"median of {width}",
        )
        ax.legend(loc="upper right")
    positive = losses[losses > 0.0]
    if positive.size and positive.max() > 20.0 * positive.min():
        ax.set_yscale("log")
    ax.set(title="Training loss", xlabel="Update", ylabel="Loss before the update")
    ax.set_xlim(0.0, max(steps or 0, losses.size, 1) * 1.02)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))


def _value_panel(
    ax: Axes,
    step: ArrayLike,
    value: ArrayLike,
    name: str,
    lines: Mapping[str, float],
    steps: int,
    note: str,
    twin: tuple[ArrayLike, ArrayLike] | None = None,
) -> None:
    """Draw what was measured at checkpoints between what it is to be compared with."""
    from matplotlib.ticker import MaxNLocator

    known = describe(name)
    factor, unit = (0.01, "%") if known.unit == FRACTION else (1.0, known.unit)
    said = name.replace("_", " ").replace("rmse", "RMSE")
    at, measured = np.asarray(step, dtype=np.float64), np.asarray(value, dtype=np.float64) / factor
    last = (
        f"on the array: {measured[-1]:.3g}{_tight(unit)} at the end"
        if measured.size and np.isfinite(measured[-1])
        else ""
    )
    ax.plot(at, measured, color=PALETTE[1], marker="o", ms=3.5, lw=1.3, label=last or "on the array")
    beside, its = np.asarray(twin or ([], []), dtype=np.float64)
    if its.size:
        alone = "s" if its.size == 1 else ""
        ax.plot(beside, its / factor, color=PALETTE[2], lw=1.3, marker=alone, ms=5, label="float twin at checkpoints")
    dots = cycle((":", "-.", (0, (1, 4))))
    for what, level in lines.items():
        goal = "twin" in what  # the goal is dashed, what needs no training is dotted, whichever of them there are
        label = f"{what}: {level / factor:.3g}{_tight(unit)}"
        style = "--" if goal else next(dots)
        ax.axhline(level / factor, color=PALETTE[2] if goal else FAINT, ls=style, lw=1.4, label=label)
    shown = np.concatenate([measured[np.isfinite(measured)], its / factor, np.array(list(lines.values())) / factor])
    if shown.size:
        low, high = float(shown.min()), float(shown.max())
        room = 0.08 * (high - low) or 0.05 * abs(high) or 1.0
        ax.set_ylim(low - room, high + room)
    title = f"{said[0].upper()}{said[1:]}"
    ax.set(title=title, xlabel="Update", ylabel=f"{title} ({unit})" if unit else title)
    if note:
        ax.set_title(note, loc="right", fontsize=8.5, fontweight="normal", color=FAINT)
    ax.set_xlim(0.0, max(steps, 1) * 1.02)
    ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    # Below the panel: between lines across its whole width no corner is free.
    ax.legend(loc="upper left", bbox_to_anchor=(0.0, -0.19), borderaxespad=0.0)


def _tight(unit: str) -> str:
    return f" {unit}" if unit else ""


@styled
def floor_plan_figure(
    layers: ArrayLike,
    names: Sequence[str],
    *,
    title: str = "Floor plan",
    boards: Sequence[tuple[int, int, int, int]] = (),
) -> Figure:
    """Draw which cell belongs to which layer.

    Parameters
    ----------
    layers : [rows, cols], int
        −1 where a cell is free, 2·n where it counts positive in layer n, 2·n + 1 where negative.
    names : of the layers
    boards : (first row, rows, first column, columns) of each, where there are several
        They are outlined; where none is there are no cells, and it is grey.
    """
    from matplotlib.colors import to_rgb
    from matplotlib.patches import Patch, Rectangle

    code = np.atleast_2d(np.asarray(layers, dtype=np.int64))
    shown = np.ones((*code.shape, 3))
    for n in range(len(names)):
        colour = np.array(to_rgb(PALETTE[n % len(PALETTE)]))
        shown[code == 2 * n] = colour
        shown[code == 2 * n + 1] = 0.55 + 0.45 * colour
    rows, cols = code.shape
    if boards:
        nowhere = np.ones(code.shape, dtype=np.bool_)
        for row, tall, col, broad in boards:
            nowhere[row : row + tall, col : col + broad] = False
        shown[nowhere] = to_rgb("0.88")
    handles = [
        Patch(
            facecolor=PALETTE[n % len(PALETTE)], label=f"{name}: {int(np.isin(code, (2 * n, 2 * n + 1)).sum()):,} cells"
        )
        for n, name in enumerate(names)
    ]
    if (code >= 0).any():
        handles.append(Patch(facecolor="#b9bfc6", label="pale: count negative"))
    if (code < 0).any():
        handles.append(Patch(facecolor="white", edgecolor=FAINT, linewidth=0.5, label="not used"))
    legend = 0.072 * max(len(str(handle.get_label())) for handle in handles)
    figure, ax = new_figure(1.9 + legend + 3.2 * min(1.0, cols / rows), 5.2 * max(0.4, min(1.0, rows / cols)))
    ax.imshow(shown, interpolation="nearest", aspect="equal", extent=(-0.5, cols - 0.5, rows - 0.5, -0.5))
    ax.grid(visible=False)
    for n, (row, tall, col, broad) in enumerate(boards, start=1):
        ax.add_patch(Rectangle((col - 0.5, row - 0.5), broad, tall, fill=False, ec=INK, lw=0.9, clip_on=False))
        ax.annotate(f"board {n}", (col + 0.5 * broad, row - 0.5), fontsize=8, color=FAINT, ha="center", va="bottom")
    ax.set(xlabel="Column", ylabel="Row")
    ax.set_title(title, pad=16.0 if boards else None)
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.03, 1.0), borderaxespad=0.0)
    return figure


@styled
def forecast_figure(
    values: ArrayLike,
    at: ArrayLike,
    forecasts: Mapping[str, ArrayLike],
    *,
    first_test: int,
    first_month: str = "0 is the first",
) -> Figure:
    """Draw a series and its one-step-ahead forecasts.

    Parameters
    ----------
    values : [months]
    at : [steps]
        Index of the month each forecast is for.
    forecasts : name -> [steps]
    first_test : index of the first month that was not trained on
    first_month : what month 0 is, for the axis
    """
    figure, ax = new_figure(8.8, 4.2)
    series = np.asarray(values, dtype=np.float64)
    ax.plot(np.arange(series.size), series, color=INK, lw=1.6, label="measured")
    months = np.asarray(at, dtype=np.intp)
    for n, (name, forecast) in enumerate(forecasts.items()):
        values = np.asarray(forecast, dtype=np.float64)
        tested = months >= first_test
        error = float(np.sqrt(np.mean((values - series[months])[tested] ** 2))) if tested.any() else float("nan")
        # Dashes let a forecast that lies on another one be seen.
        ax.plot(
            months, values, color=PALETTE[(n + 1) % len(PALETTE)], lw=1.4, ls=("-", "--", ":")[n % 3],
            label=f"{name}: test RMSE {error:.1f} thousand",
        )  # fmt: skip
    ax.axvline(first_test - 0.5, color=FAINT, ls="--", lw=1.0)
    ax.annotate("test months", (first_test, 0.02), xycoords=("data", "axes fraction"), fontsize=9, color=FAINT)
    ax.set(title="One step ahead", xlabel=f"Month ({first_month})", ylabel="Passengers (thousand)")
    ax.legend(loc="upper left")
    return figure


@styled
def accuracy_curves(
    x: ArrayLike, accuracies: Mapping[str, ArrayLike], *, label: str, wanted: float | None = None
) -> Figure:
    """Draw accuracy against a flaw of the chip: medians, with bars from the worst to the best seed.

    Parameters
    ----------
    x : [points]
    accuracies : name -> [points, seeds]
    label : what ``x`` is, with its unit
    wanted : an accuracy to compare with
    """
    figure, ax = new_figure(6.4, 4.0)
    at = np.asarray(x, dtype=np.float64)
    for n, (name, values) in enumerate(accuracies.items()):
        table = 100.0 * np.asarray(values, dtype=np.float64)
        middle = np.median(table, axis=1)
        ends = np.abs(np.stack([table.min(1), table.max(1)]) - middle)
        ax.errorbar(at, middle, yerr=ends, color=PALETTE[n], marker="o", ms=4, lw=1.4, capsize=3, label=name)
    if wanted is not None:
        ax.axhline(100.0 * wanted, color=FAINT, ls="--", lw=1.0, label=f"published {wanted:.2%}")
    ax.set(title="In situ CNN on handwritten digits", xlabel=label, ylabel="Test accuracy (%)")
    ax.legend(loc="upper right")
    return figure


@styled
def over_twin_figure(errors: Mapping[str, ArrayLike], *, wanted: float) -> Figure:
    """Draw errors over the float twin's: a line of dots per case, its median as a bar.

    Parameters
    ----------
    errors : case -> [seeds]
    wanted : what the median should not be above
    """
    names = list(errors)
    figure, ax = new_figure(7.6, 1.3 + 0.42 * len(names))
    for n, name in enumerate(names):
        values = np.asarray(errors[name], dtype=np.float64)
        dots, bar = ("one chip", "median") if n == 0 else (None, None)
        ax.plot(values, np.full(values.size, n), "o", color=PALETTE[0], ms=5, alpha=0.7, label=dots)
        ax.plot([np.median(values)] * 2, [n - 0.3, n + 0.3], color=INK, lw=2.0, label=bar)
    ax.axvline(wanted, color=FAINT, ls="--", lw=1.0, label=f"{wanted:g}")
    ax.set_xscale("log")
    low, high = (f(np.concatenate([np.ravel(v) for v in errors.values()])) for f in (np.min, np.max))
    marks = [mark for mark in (0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0) if 0.7 * low < mark < 1.4 * high]
    ax.set_xticks(marks, [f"{mark:g}" for mark in marks])
    ax.minorticks_off()
    ax.set_yticks(range(len(names)), names)
    ax.invert_yaxis()
    ax.set(title="Airline passengers, settings of the publication", xlabel="Test error over the float twin's")
    ax.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


@styled
def confusion_map(
    counts: ArrayLike, *, names: Sequence[str] = (), what: str = "class", title: str = "Test set"
) -> Figure:
    """Draw how often each class (rows) was taken for each (columns); colours are shares of the row.

    Parameters
    ----------
    counts : [classes, classes]
    names : of the classes; their numbers without
    what : one class is, for the axes
    """
    table = np.asarray(counts, dtype=np.int64)
    size = len(table)
    labels = list(names) if len(names) == size else [str(k) for k in range(size)]
    longest = 0.075 * max(map(len, labels))
    figure, ax = new_figure(2.6 + 0.42 * size + longest, 1.5 + 0.42 * size + longest)
    share = table / np.maximum(1, table.sum(1, keepdims=True))
    image = ax.imshow(100.0 * share, cmap="Blues", vmin=0.0, vmax=100.0)
    figure.colorbar(image, ax=ax, shrink=0.8, pad=0.03).set_label("Share of the row (%)")
    for (row, col), count in np.ndenumerate(table):
        if count:
            dark = share[row, col] > 0.5
            ax.text(col, row, f"{count:,}", ha="center", va="center", fontsize=8, color="white" if dark else INK)
    ax.grid(visible=False)
    turned = max(map(len, labels)) > 3
    ax.set_xticks(range(size), labels, rotation=90 if turned else 0)
    ax.set_yticks(range(size), labels)
    ax.set(xlabel=f"Taken for {what}", ylabel=f"{what[0].upper()}{what[1:]}")
    right = f"{table.trace() / max(1, table.sum()):.2%} of {table.sum():,} on the diagonal"
    ax.set_title(f"{title}\n{right}", fontsize=11)
    return figure
