"""The look of every figure, and the plots that belong to no single analysis.

Figures are built with matplotlib's object API: no pyplot, no global figure list, safe in threads and on a headless
machine.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, overload
from weakref import WeakKeyDictionary

import numpy as np

from ..quantities import SI_PREFIXES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Extend = Literal["neither", "both", "min", "max"]

P = ParamSpec("P")
R = TypeVar("R")

# Okabe and Ito's palette, told apart by every common kind of colour vision (jfly.uni-koeln.de/color), darkest first.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A6A00", "#444444")
INK, FAINT, GRID, MISSING = "#1c2733", "#5b6875", "#dfe4ea", "#c9ced6"
MAP_COLOURS = "viridis"
ERROR_COLOURS = "RdBu_r"
DPI = 150
LONG = 100.0
"""A logarithmic axis that reaches farther than this factor has its labels at decades."""

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "axes.titlesize": 12,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.titlepad": 9,
    "axes.labelsize": 10.5,
    "axes.labelcolor": INK,
    "axes.edgecolor": FAINT,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "legend.fontsize": 9,
    "legend.frameon": True,
    "legend.framealpha": 0.9,
    "legend.edgecolor": "none",
    "lines.solid_capstyle": "round",
    "figure.facecolor": "white",
    "axes.facecolor": "white",
}


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a figure function under the house style, leaving matplotlib's own settings as they were."""

    @wraps(function)
    def draw(*args: P.args, **kwargs: P.kwargs) -> R:
        from matplotlib import rc_context

        with rc_context(STYLE):  # pyright: ignore[reportArgumentType]  # keys are a Literal in the stubs
            return function(*args, **kwargs)

    return draw


def colours_of(count: int) -> list[Any]:
    """Return a colour for each of ``count`` things, none twice: the palette, or a scale where there are more."""
    if count <= len(PALETTE):
        return list(PALETTE[:count])
    from matplotlib import colormaps

    # The light end of the scale is not seen on white.
    return list(colormaps[MAP_COLOURS](np.linspace(0.0, 0.88, count)))


@overload
def new_figure(width: float = ..., height: float = ..., panels: Literal[1] = ...) -> tuple[Figure, Axes]: ...
@overload
def new_figure(width: float, height: float, panels: int) -> tuple[Figure, list[Axes]]: ...
def new_figure(width: float = 6.4, height: float = 4.2, panels: int = 1) -> tuple[Figure, Axes | list[Axes]]:
    """Return a new figure of `width` by `height` inches and its axes, `panels` of them side by side."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.09, h_pad=0.09))
    if panels == 1:
        return figure, figure.add_subplot()
    return figure, [figure.add_subplot(1, panels, k + 1) for k in range(panels)]


def si_prefix(largest: float) -> tuple[float, str]:
    """Return (factor, prefix) such that `largest`/factor lies between 1 and 1000, e.g. 2.4e-4 -> (1e-6, "µ")."""
    if not np.isfinite(largest) or largest == 0.0:
        return 1.0, ""
    return next(((f, p) for f, p in SI_PREFIXES if abs(largest) >= f * (1 - 1e-9)), SI_PREFIXES[-1])


def log_ticks(axis: Any) -> None:
    """Label a logarithmic axis (``ax.xaxis``, ``ax.yaxis``) at 1, 2 and 5, or where it is long at decades only."""
    from matplotlib.ticker import LogLocator, NullFormatter

    low, high = sorted(axis.get_view_interval())
    axis.set_major_locator(LogLocator(subs=(1.0,) if high > LONG * low else (1.0, 2.0, 5.0)))
    axis.set_minor_formatter(NullFormatter())
    if low >= 1e-3 and high < 1e4:
        axis.set_major_formatter("{x:g}")


def note(ax: Axes, text: str) -> None:
    """Write a sentence in the middle of axes that have nothing else to show."""
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color=FAINT, fontsize=11)


_RENDERED: WeakKeyDictionary[Figure, tuple[int, bytes]] = WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that has been drawn: a PNG file's content, and its width [inch]."""

    png: bytes
    width: float

    @classmethod
    def of(cls, figure: Figure | Picture) -> Picture:
        """Return a figure drawn; one that is a picture already as it is."""
        return figure if isinstance(figure, Picture) else cls(png_bytes(figure), float(figure.get_figwidth()))


def png_bytes(figure: Figure | Picture, dpi: int = DPI) -> bytes:
    """Return a finished figure as a PNG file; drawn once, because a report embeds what is saved as a file too."""
    if isinstance(figure, Picture):
        return figure.png
    known = _RENDERED.get(figure)
    if known is not None and known[0] == dpi:
        return known[1]
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # savefig lays out and draws everything twice; one pass is enough here.
    figure.set_dpi(dpi)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    buffer = io.BytesIO()
    Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB").save(buffer, format="PNG")
    _RENDERED[figure] = dpi, buffer.getvalue()
    return buffer.getvalue()


def save(figure: Figure | Picture, path: str | Path, dpi: int = DPI) -> Path:
    """Write the figure as a PNG file, with the folders it lies in, and return its path."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(png_bytes(figure, dpi))
    return target


@styled
def cost_bars(costs: dict[str, dict[str, float]], *, title: str = "What each step cost") -> Figure:
    """Draw transactions, slots and chip-seconds of every step on logarithmic bars.

    Parameters
    ----------
    costs : dict
        Step -> {"transactions": ..., "slots": ..., "chip_seconds": ...}.
    """
    from matplotlib.ticker import NullLocator

    kinds = ("transactions", "slots", "chip_seconds")
    steps = list(costs)
    figure, axes = new_figure(9.6, 1.5 + 0.34 * len(steps), 3)
    for ax, kind, colour in zip(axes, kinds, PALETTE, strict=False):
        values = np.array([costs[step].get(kind, np.nan) for step in steps])
        ax.set(title=kind.replace("_", "-"), xscale="log", xlabel="s" if kind == "chip_seconds" else "count")
        shown = np.where(values > 0.0, values, np.nan)
        if np.isfinite(shown).any():
            low = 10.0 ** np.floor(np.log10(np.nanmin(shown)) - 0.2)
            ax.set_xlim(low, float(np.nanmax(shown)) * 30.0)
            ax.barh(np.arange(len(steps)), shown - low, left=low, color=colour, height=0.62)
        for row, value in enumerate(values):
            if value > 0.0:
                ax.annotate(
                    f"{value:,.3g}" if value < 1000 else f"{value:,.0f}",
                    (value, row),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=9,
                )
        ax.set_yticks(np.arange(len(steps)), steps if ax is axes[0] else [""] * len(steps))
        ax.set_ylim(len(steps) - 0.4, -0.6)
        ax.xaxis.set_minor_locator(NullLocator())
        ax.grid(visible=False, axis="y")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure
