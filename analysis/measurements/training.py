"""Figures of training: how the loss fell, where the layers are on the chip, what a forecast looks like."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..plots.plots import FAINT, INK, PALETTE, new_figure, styled

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@styled
def learning_curve(loss: ArrayLike, step: ArrayLike, value: ArrayLike, *, name: str) -> Figure:
    """Draw the training loss of every step, and a figure measured now and then.

    Parameters
    ----------
    loss : [steps]
    step, value : [points]
    name : what `value` is
    """
    figure, (left, right) = new_figure(9.6, 3.8, 2)
    losses = np.asarray(loss, dtype=np.float64)
    left.plot(np.arange(losses.size), losses, color=PALETTE[0], lw=1.0)
    positive = losses[losses > 0.0]
    if positive.size and positive.max() > 20.0 * positive.min():
        left.set_yscale("log")
    left.set(title="Training loss", xlabel="Update", ylabel="Loss")
    right.plot(np.asarray(step), np.asarray(value), color=PALETTE[1], marker="o", ms=3.5, lw=1.3)
    right.set(title=f"Measured on the array: {name}", xlabel="Update", ylabel=name.capitalize())
    return figure


@styled
def training_view(loss: ArrayLike, step: ArrayLike, value: ArrayLike, conductance: ArrayLike, *, name: str) -> Figure:
    """Draw how training stands: loss, what was measured now and then, and the cells as they are.

    Parameters
    ----------
    loss : [steps]
    step, value : [points]
    conductance : [rows, cols] [S]; not a number where a cell is not used
    name : what `value` is
    """
    figure, (left, middle, right) = new_figure(12.6, 3.9, 3)
    losses, cells = np.asarray(loss, dtype=np.float64), 1e6 * np.atleast_2d(np.asarray(conductance, dtype=np.float64))
    left.plot(np.arange(losses.size), losses, color=PALETTE[0], lw=1.0)
    left.set(title="Training loss", xlabel="Update", ylabel="Loss")
    middle.plot(np.asarray(step), np.asarray(value), color=PALETTE[1], marker="o", ms=3.5, lw=1.3)
    middle.set(title=f"Measured on the array: {name}", xlabel="Update", ylabel=name.capitalize())
    image = right.imshow(cells, interpolation="nearest", aspect="auto", cmap="viridis")
    right.grid(visible=False)
    right.set(title="Conductance", xlabel="Column", ylabel="Row")
    figure.colorbar(image, ax=right, label="µS")
    return figure


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
    figure, ax = new_figure(2.9 + 3.2 * min(1.0, cols / rows), 5.2 * max(0.4, min(1.0, rows / cols)))
    ax.imshow(shown, interpolation="nearest", aspect="equal", extent=(-0.5, cols - 0.5, rows - 0.5, -0.5))
    ax.grid(visible=False)
    for n, (row, tall, col, broad) in enumerate(boards, start=1):
        ax.add_patch(Rectangle((col - 0.5, row - 0.5), broad, tall, fill=False, ec=INK, lw=0.9, clip_on=False))
        ax.annotate(f"board {n}", (col + 0.5 * broad, row - 0.5), fontsize=8, color=FAINT, ha="center", va="bottom")
    ax.set(xlabel="Column", ylabel="Row")
    ax.set_title(title, pad=16.0 if boards else None)
    handles = [
        Patch(
            facecolor=PALETTE[n % len(PALETTE)], label=f"{name}: {int(np.isin(code, (2 * n, 2 * n + 1)).sum()):,} cells"
        )
        for n, name in enumerate(names)
    ]
    ax.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.03, 1.0), borderaxespad=0.0)
    return figure


@styled
def forecast_figure(values: ArrayLike, at: ArrayLike, forecasts: Mapping[str, ArrayLike], *, first_test: int) -> Figure:
    """Draw a series and its one-step-ahead forecasts.

    Parameters
    ----------
    values : [months]
    at : [steps]
        Index of the month each forecast is for.
    forecasts : name -> [steps]
    first_test : index of the first month that was not trained on
    """
    figure, ax = new_figure(8.8, 4.2)
    series = np.asarray(values, dtype=np.float64)
    ax.plot(np.arange(series.size), series, color=INK, lw=1.6, label="measured")
    for n, (name, forecast) in enumerate(forecasts.items()):
        ax.plot(np.asarray(at), np.asarray(forecast), color=PALETTE[(n + 1) % len(PALETTE)], lw=1.2, label=name)
    ax.axvline(first_test - 0.5, color=FAINT, ls="--", lw=1.0)
    ax.annotate("test", (first_test, ax.get_ylim()[1]), fontsize=9, color=FAINT, va="top")
    ax.set(title="One step ahead", xlabel="Month", ylabel="Passengers (thousand)")
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
def confusion_map(counts: ArrayLike, *, title: str = "Test set") -> Figure:
    """Draw how often each class (rows) was taken for each (columns)."""
    table = np.asarray(counts, dtype=np.int64)
    size = len(table)
    figure, ax = new_figure(1.6 + 0.42 * size, 1.4 + 0.42 * size)
    ax.imshow(table / np.maximum(1, table.sum(1, keepdims=True)), cmap="Blues", vmin=0.0, vmax=1.0)
    for (row, col), count in np.ndenumerate(table):
        if count:
            ax.text(col, row, str(count), ha="center", va="center", fontsize=8, color="white" if row == col else INK)
    ax.grid(visible=False)
    ax.set(title=title, xlabel="Classified as", ylabel="Class", xticks=range(size), yticks=range(size))
    return figure
