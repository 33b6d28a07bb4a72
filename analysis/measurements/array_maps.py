"""Pictures of the array, one pixel per cell: rows run down, columns across, as on the chip file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from ..plots.colour_scale import ColourScale, plain_ticks
from ..plots.plots import ERROR_COLOURS, FAINT, INK, MAP_COLOURS, MISSING, new_figure, si_prefix, styled
from ..quantities import format_value
from . import yield_classes as classes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

    from ..estimates.estimates import Floats

FEW_CELLS = 16  # so few have their values written into them
_BESIDE_NOTES = 0.9
"""What is left of the notes below a map: ticks and label of its rows [inch]."""
_CHARACTER = 0.064
"""Width of a note's character [inch]."""

CLASS_COLOURS = {
    classes.SWITCHING: "#9ecae1",
    classes.OPEN: "#111111",
    classes.SHORT: "#D55E00",
    classes.STUCK_LRS: "#E69F00",
    classes.STUCK_HRS: "#0b4f8a",
    classes.UNFORMED: "#CC79A7",
    classes.LINEAR: "#009E73",
    classes.UNMEASURED: MISSING,
    classes.NO_CELL: "#ffffff",
}


@styled
def conductance_map(
    conductance: ArrayLike,
    *,
    title: str = "Conductance",
    v_max: float | None = None,
    grey: str = "not measured",
    origin: tuple[int, int] = (0, 0),
) -> Figure:
    """Draw a conductance map [S] as a heat map in µS (or the prefix that fits); cells without one are grey.

    `v_max` [S] fixes the top of a linear colour scale, so that maps can be compared. Without it the scale is that of
    :class:`~..plots.colour_scale.ColourScale`: a single short cell gets a colour of its own and cannot darken the rest.
    """
    g = np.atleast_2d(np.asarray(conductance, dtype=np.float64))
    scale = ColourScale.of(g, top=v_max)
    factor, prefix = si_prefix(scale.top)
    beyond = scale.note(format_value(scale.largest, "S", 3))
    return _heat_map(g, scale, factor, f"Conductance ({prefix}S)", title, grey, beyond, origin)


@styled
def value_map(
    values: ArrayLike,
    *,
    title: str,
    label: str,
    grey: str = "not measured",
    logarithmic: bool | None = None,
    origin: tuple[int, int] = (0, 0),
) -> Figure:
    """Draw any positive quantity of every cell; cells without one (nan) are grey, and `grey` says what they are.

    Parameters
    ----------
    label : str
        Quantity and unit, beside the colour scale.
    """
    shown = np.atleast_2d(np.asarray(values, dtype=np.float64))
    scale = ColourScale.of(shown, logarithmic=logarithmic)
    return _heat_map(shown, scale, 1.0, label, title, grey, scale.note(f"{scale.largest:,.4g}"), origin)


def _heat_map(
    data: Floats,
    scale: ColourScale,
    factor: float,
    label: str,
    title: str,
    grey: str,
    beyond: str,
    origin: tuple[int, int],
) -> Figure:
    """Draw one map with its colour bar, and below it what the colours beyond the bar are."""
    width, height = _map_size(data.shape)
    figure, ax = new_figure(width, height)
    # A logarithm knows no zero: what is below the scale is drawn as its lowest colour, not as missing.
    shown = np.where(data <= 0.0, scale.low, data) if scale.logarithmic else data
    image = _draw(ax, shown / factor, scale.colours(), scale.norm(factor), origin)
    bar = figure.colorbar(image, ax=ax, extend=scale.extend, shrink=0.9, pad=0.03)
    bar.set_label(label)
    if scale.logarithmic:
        plain_ticks(bar, scale)
    if data.size <= FEW_CELLS:
        _write_values(ax, data / factor, scale.norm(factor), origin)
    ax.set_title(title)
    missing = int((~np.isfinite(data)).sum())
    notes = [f"grey: {missing:,} cells {grey}" if missing else "", beyond]
    _notes(ax, [text for text in notes if text])
    return figure


@styled
def category_map(categories: ArrayLike, *, title: str = "Yield map", origin: tuple[int, int] = (0, 0)) -> Figure:
    """Draw the class of every cell (the names of `yield_classes.CATEGORIES`), with counts in the legend.

    `origin` is the row and column of the first cell on the chip, for the axes of a sub-array.
    """
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    names = np.atleast_2d(np.asarray(categories))
    counts = classes.count_categories(names)
    index = np.searchsorted(np.array(sorted(counts)), names)
    ordered = sorted(counts)
    width, height = _map_size(names.shape)
    figure, ax = new_figure(width + 1.9, height)  # room for the legend
    colours = ListedColormap([CLASS_COLOURS[name] for name in ordered])
    norm = BoundaryNorm(np.arange(len(ordered) + 1) - 0.5, len(ordered))
    ax.imshow(
        index, cmap=colours, norm=norm, interpolation="nearest", aspect="equal", extent=_extent(names.shape, origin)
    )
    _label(ax, names.shape, origin)
    ax.set_title(title)
    total = names.size - counts[classes.NO_CELL]
    handles = [
        Patch(
            facecolor=CLASS_COLOURS[name],
            edgecolor=FAINT,
            linewidth=0.5,
            label=f"{name}: {count:,} ({count / total:.2%})",
        )
        for name, count in counts.items()
        if name != classes.NO_CELL and (count or name == classes.SWITCHING)
    ]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(1.03, 1.0),
        borderaxespad=0.0,
        title=f"{total:,} cells",
        alignment="left",
    )
    return figure


@styled
def target_maps(
    target: ArrayLike,
    achieved: ArrayLike,
    *,
    spacing: float | None = None,
    title: str = "Programming",
    origin: tuple[int, int] = (0, 0),
) -> Figure:
    """Draw target, achieved and error maps [S] side by side; the error scale ends at one level `spacing` when given."""
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    wanted = np.atleast_2d(np.asarray(target, dtype=np.float64))
    got = np.atleast_2d(np.asarray(achieved, dtype=np.float64))
    if wanted.shape != got.shape:
        raise ValueError(f"target map is {wanted.shape}, achieved map {got.shape}: must be equal")
    error = got - wanted
    known = np.abs(error[np.isfinite(error)])
    top = float(np.nanmax(wanted)) if np.isfinite(wanted).any() else 1.0
    reach = spacing or (float(np.percentile(known, 99)) if known.size else 1.0) or 1.0
    factor, prefix = si_prefix(top)
    width, height = _map_size(wanted.shape)
    figure, axes = new_figure(3.0 * width - 0.8, height + 0.6, 3)
    panels = (("target", wanted, MAP_COLOURS, 0.0, top), ("achieved", got, MAP_COLOURS, 0.0, top))
    image = None
    for ax, (name, data, colours, low, high) in zip(axes, panels, strict=False):
        image = _draw(ax, data / factor, colormaps[colours], Normalize(low / factor, high / factor), origin)
        ax.set_title(name, fontsize=11)
    assert image is not None
    figure.colorbar(image, ax=axes[:2], shrink=0.9, pad=0.015).set_label(f"Conductance ({prefix}S)")
    span = Normalize(-reach / factor, reach / factor)
    difference = _draw(axes[2], error / factor, colormaps[ERROR_COLOURS], span, origin)
    axes[2].set_title("error (achieved − target)", fontsize=11)
    over = bool(known.size and known.max() > reach)
    bar = figure.colorbar(difference, ax=axes[2], extend="both" if over else "neither", shrink=0.9, pad=0.03)
    bar.set_label(f"Error ({prefix}S)")
    axes[1].set_ylabel("")
    axes[2].set_ylabel("")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _draw(ax: Axes, data: Floats, colours: Colormap, norm: Normalize, origin: tuple[int, int]) -> AxesImage:
    ax.set_facecolor(MISSING)
    shown = np.ma.masked_invalid(data)
    image = ax.imshow(
        shown,
        cmap=colours,
        norm=norm,
        interpolation="nearest",
        aspect="equal",
        extent=_extent(data.shape, origin),
    )
    _label(ax, data.shape, origin)
    return image


def _extent(shape: tuple[int, ...], origin: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return left, right, bottom, top so that ticks show the cell's own row and column on the chip."""
    return origin[1] - 0.5, origin[1] + shape[1] - 0.5, origin[0] + shape[0] - 0.5, origin[0] - 0.5


def _label(ax: Axes, shape: tuple[int, ...], origin: tuple[int, int]) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator

    ax.set(xlabel="Column", ylabel="Row")
    ax.grid(visible=False)
    for axis, first, count, most in ((ax.xaxis, origin[1], shape[1], 6), (ax.yaxis, origin[0], shape[0], 8)):
        # Between so few cells a locator would put ticks where no cell is.
        few = FixedLocator(range(first, first + count))
        axis.set_major_locator(
            few if count <= most else MaxNLocator(nbins=most, integer=True, steps=[1, 2, 4, 5, 8, 10])
        )
    for side in ("top", "right"):
        ax.spines[side].set_visible(True)
    left, right, bottom, top = _extent(shape, origin)
    ax.set_xlim(left, right)
    ax.set_ylim(bottom, top)


def _notes(ax: Axes, lines: list[str]) -> None:
    """Write what the colours that are not on the bar mean below a map, in lines as wide as its figure has room for."""
    from textwrap import fill

    figure = ax.get_figure(root=True)
    assert figure is not None
    characters = int((figure.get_figwidth() - _BESIDE_NOTES) / _CHARACTER)
    lines = [fill(line, characters) for line in lines]
    if lines:
        ax.annotate(
            "\n".join(lines),
            (0.0, 0.0),
            xycoords="axes fraction",
            xytext=(0, -34),
            textcoords="offset points",
            fontsize=8.5,
            color=FAINT,
            va="top",
            annotation_clip=False,
        )


def _write_values(ax: Axes, data: Floats, norm: Normalize, origin: tuple[int, int]) -> None:
    """Write every cell's value into it."""
    for (row, col), value in np.ndenumerate(data):
        if np.isfinite(value):
            dark = float(norm(value)) < 0.6  # the lower colours of the map are dark
            ax.text(
                col + origin[1], row + origin[0], f"{value:,.3g}", ha="center", va="center", fontsize=9,
                color="white" if dark else INK,
            )  # fmt: skip


def _map_size(shape: tuple[int, ...]) -> tuple[float, float]:
    """Return figure width and height [inch] for one map: long arrays get tall figures, tiny ones stay readable."""
    rows, cols = shape[0], shape[1]
    longest = max(rows, cols)
    side = 4.9 if longest > 32 else 4.0
    width, height = side * cols / longest, side * rows / longest
    return max(width, 1.6) + 2.0, max(height, 1.6) + 1.0
