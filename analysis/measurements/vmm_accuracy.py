"""How exactly an array multiplies: products of known vectors against what its conductances say they should be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..estimates.estimates import UNKNOWN, Estimate, Floats, mean_estimate, median_estimate, std_estimate, t_quantile
from ..plots.plots import FAINT, INK, PALETTE, new_figure, note, si_prefix, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame


@dataclass(frozen=True)
class Products:
    """Vectors that went in, and the currents that came out.

    Parameters
    ----------
    volts : ndarray [vectors, rows] [V]
    current : ndarray [vectors, cols] [A]
        nan beyond the converters' range.
    """

    volts: Floats
    current: Floats

    def error(self, conductance: Floats) -> Floats:
        """Return measured minus Gᵀ·V [vectors, cols] [A], for conductances [rows, cols] [S]."""
        return self.current - self.volts @ conductance


@dataclass(frozen=True)
class ColumnFit:
    """I = gain·(Gᵀ·V) + offset of every column.

    Parameters
    ----------
    gain, gain_half : ndarray [cols]
        With the half-width of the 95 % interval.
    offset, offset_half : ndarray [cols] [A]
    """

    gain: Floats
    gain_half: Floats
    offset: Floats
    offset_half: Floats


def column_fit(products: Products, conductance: Floats, lines: Floats | None = None) -> ColumnFit:
    """Fit gain and offset of every column; nan where fewer than three vectors or no signal are there.

    Wires weaken rows by where they lie, so that the slope depends on which vectors were drawn, in all columns alike:
    200 vectors leave it 0.7 % on an array whose rows differ by 10 %. With the map ``lines`` of single-row products that
    part is not left to chance: what the map says of these vectors is taken off, and what it says of all vectors with
    independent inputs, Σ G·L / Σ G², is put in its place (a control variate).

    Parameters
    ----------
    conductance : ndarray [rows, cols] [S]
        As read.
    lines : ndarray [rows, cols] [S], optional
        Current of single-row products over their voltage.
    """
    x, y = products.volts @ conductance, products.current
    known = np.isfinite(y) & np.isfinite(x)
    n = known.sum(axis=0)
    few = n < 3
    count = np.maximum(n, 1)
    explained, expected = np.zeros_like(x), np.zeros(x.shape[1])
    if lines is not None:
        size = (conductance**2).sum(axis=0)
        expected = (conductance * lines).sum(axis=0) / np.where(size > 0.0, size, np.nan)
        explained = products.volts @ lines
    mean_x, mean_y, mean_left = (
        np.where(known, a, 0.0).sum(axis=0) / count for a in (x, y, y - explained)
    )  # fmt: skip
    dx, dy = (np.where(known, a - m, 0.0) for a, m in ((x, mean_x), (y - explained, mean_left)))
    squares = (dx**2).sum(axis=0)
    safe = np.where((squares > 0.0) & ~few, squares, np.nan)
    slope = (dx * dy).sum(axis=0) / safe
    gain = expected + slope
    offset = mean_y - gain * mean_x if lines is None else mean_left - slope * mean_x
    rest = ((dy - slope * dx) ** 2).sum(axis=0) / np.maximum(n - 2, 1)
    reach = np.array([t_quantile(max(int(k) - 2, 1)) for k in n])
    return ColumnFit(
        gain, reach * np.sqrt(rest / safe), offset, reach * np.sqrt(rest * (1.0 / count + mean_x**2 / safe))
    )


def rms_estimate(error: Floats, scale: float) -> Estimate:
    """Return the RMS over `scale`, with Student's t on the mean squares of the vectors (the independent items).

    Parameters
    ----------
    error : ndarray [vectors, cols]
    """
    known = np.isfinite(error).any(axis=1)
    if not known.any():
        return UNKNOWN
    square = mean_estimate(np.nanmean(error[known] ** 2, axis=1))
    return _root_of(square, scale)


@dataclass(frozen=True)
class TargetError:
    """Products against target conductances, on cells that have one.

    Parameters
    ----------
    rows, columns : ndarray of int
        Rows that were driven, and columns whose cells in these rows all have a target.
    with_target, without : int
        Cells of the array.
    error : ndarray [vectors, columns] [A]
    """

    rows: NDArray[np.intp]
    columns: NDArray[np.intp]
    with_target: int
    without: int
    error: Floats


def rows_with_target(target: Floats) -> NDArray[np.intp]:
    """Return the rows in which cells have a target; `target` is nan [rows, cols] where a cell has none."""
    return np.flatnonzero(np.isfinite(target).any(axis=1))


def target_error(products: Products, target: Floats) -> TargetError:
    """Return the error of products that drove :func:`rows_with_target`, on columns of which nothing is unknown.

    A column with a cell in these rows that has no target is left out: its current is in part that cell's.
    """
    known, rows = np.isfinite(target), rows_with_target(target)
    columns = np.flatnonzero(known[rows].all(axis=0)) if rows.size else rows
    part = np.ix_(rows, columns)
    error = products.current[:, columns] - products.volts[:, rows] @ target[part]
    return TargetError(rows, columns, int(known.sum()), int((~known).sum()), error)


def effective_bits(rmse_fs: Estimate) -> Estimate:
    """Return log2(1/(rmse_fs·√12)): the bits of an ideal converter with that error."""

    def bits(value: float) -> float:
        return -math.log2(value * math.sqrt(12.0)) if value > 0.0 else math.inf if value == 0.0 else math.nan

    return Estimate(bits(rmse_fs.value), bits(rmse_fs.high), bits(rmse_fs.low), rmse_fs.n)


def wire_share(products: Products, read: Floats, lines: Floats, lines_stderr: Floats) -> Estimate:
    """Return which part of the squared error against `read` G the map `lines` explains.

    Products of one row at a time with all lines connected give the linear map that wires and drivers make of the cells:
    what they do to a product beyond what they do to a read is in it. What is left are noise, drift and bend.

    Parameters
    ----------
    lines : ndarray [rows, cols] [S]
        Current of single-row products over their voltage.
    lines_stderr : ndarray [rows, cols] [S]
        Its standard error; what that puts into the remaining error is taken off.
    """
    kept = np.isfinite(products.current).any(axis=1)
    products = Products(products.volts[kept], products.current[kept])
    against_read = np.nanmean(products.error(read) ** 2, axis=1)
    noise = np.nanmean(products.volts**2 @ lines_stderr**2, axis=1)
    left = np.nanmean(products.error(lines) ** 2, axis=1) - noise
    n = int(against_read.size)
    total = float(against_read.sum())
    if n < 3 or not total > 0.0:
        return UNKNOWN
    share = 1.0 - float(left.sum()) / total
    # Ratio of two sums over the same vectors: linearised.
    rest = (left - (1.0 - share) * against_read) / (total / n)
    half = t_quantile(n - 1) * float(rest.std(ddof=1)) / math.sqrt(n)
    low, high = (min(max(end, 0.0), 1.0) for end in (share - half, share + half))
    return Estimate(min(max(share, 0.0), 1.0), low, high, n)


def multiplies(products: Products, conductance: Floats) -> bool:
    """Return whether products are more than twice their error in half of the columns.

    Those of cells that do not conduct say nothing of gains and bits.
    """
    known = np.isfinite(products.current)
    expected, error = products.volts @ conductance, products.error(conductance)
    signal, rest = (np.where(known, values**2, 0.0).sum(axis=0) for values in (expected, error))
    return bool((signal > 4.0 * rest)[known.any(axis=0)].mean() >= 0.5) if known.any() else False


def vmm_metrics(
    random: Products,
    read: Floats,
    lines: tuple[Floats, Floats],
    full_scale: float,
    against_target: TargetError | None = None,
) -> dict[str, Estimate]:
    """Return the metrics of random vectors as docs/quantities.md defines them; `lines` is a map with its error [S]."""
    rmse = rms_estimate(random.error(read), full_scale)
    if multiplies(random, read):
        fit, share, bits = column_fit(random, read, lines[0]), wire_share(random, read, *lines), effective_bits(rmse)
    else:
        nothing = np.full(read.shape[1], np.nan)
        fit, share, bits = ColumnFit(nothing, nothing, nothing, nothing), UNKNOWN, UNKNOWN
    found = {
        "vmm_rmse_fs": rmse,
        "vmm_effective_bits": bits,
        "vmm_column_gain": median_estimate(fit.gain),
        "vmm_column_gain_std": std_estimate(fit.gain),
        "vmm_column_offset_rms": _rms(fit.offset),
        "vmm_wire_share": share,
    }
    if against_target is not None:
        found["vmm_rmse_fs_target"] = rms_estimate(against_target.error, full_scale)
    return found


def _rms(values: Floats) -> Estimate:
    square = mean_estimate(values**2)
    return _root_of(square, 1.0)


def _root_of(square: Estimate, scale: float) -> Estimate:
    value, low, high = (
        math.sqrt(max(x, 0.0)) / scale if math.isfinite(x) else math.nan
        for x in (square.value, square.low, square.high)
    )
    return Estimate(value, low, high, square.n)


def by_rows(active: dict[int, Products], read: Floats, full_scale: float) -> dict[int, Estimate]:
    """Return the RMS error over the full scale by the number of rows that were driven."""
    return {rows: rms_estimate(products.error(read), full_scale) for rows, products in active.items()}


def column_table(fit: ColumnFit) -> DataFrame:
    """Return a row per column: gain and offset with the half-widths of their intervals."""
    from pandas import DataFrame

    return DataFrame(
        {
            "column": np.arange(fit.gain.size),
            "gain": fit.gain,
            "gain ±": fit.gain_half,
            "offset [A]": fit.offset,
            "offset ± [A]": fit.offset_half,
        }
    )


@styled
def vmm_figure(
    random: Products,
    read: Floats,
    rows: dict[int, Estimate],
    fit: ColumnFit,
    *,
    title: str = "Products against Gᵀ·V",
) -> Figure:
    """Draw measured against expected currents, the error by the number of active rows, and gain by column."""
    figure, axes = new_figure(13.2, 4.3, 3)
    _scatter(axes[0], (random.volts @ read).ravel(), random.current.ravel())
    _rows(axes[1], rows)
    ax = axes[2]
    ax.set(xlabel="Column", ylabel="Gain", title="gain of every column")
    if np.isfinite(fit.gain).any():
        ax.errorbar(
            np.arange(fit.gain.size), fit.gain, yerr=fit.gain_half, fmt="o", markersize=3, linewidth=0.8,
            color=PALETTE[2],
        )  # fmt: skip
        ax.axhline(1.0, color=FAINT, linewidth=0.9, linestyle=":")
    else:
        note(ax, "no column could be fitted")
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", fontsize=12)
    return figure


def _scatter(ax: Axes, wanted: Floats, got: Floats) -> None:
    known = np.isfinite(wanted) & np.isfinite(got)
    ax.set_title("random vectors, all rows")
    if not known.any():
        note(ax, "every product was beyond the range")
        return
    factor, prefix = si_prefix(float(np.abs(wanted[known]).max()))
    x, y = wanted[known] / factor, got[known] / factor
    every: NDArray[np.intp] = np.linspace(0, x.size - 1, min(x.size, 4000)).astype(np.intp)
    ax.plot(x[every], y[every], "o", markersize=1.8, alpha=0.35, color=PALETTE[0], linestyle="none")
    ends = [float(x.min()), float(x.max())]
    ax.plot(ends, ends, color=INK, linewidth=1.0)
    ax.set(xlabel=f"Gᵀ·V of the read conductances ({prefix}A)", ylabel=f"Measured current ({prefix}A)")


def _rows(ax: Axes, rows: dict[int, Estimate]) -> None:
    from matplotlib.ticker import FixedLocator, NullLocator, ScalarFormatter

    known = {k: one for k, one in rows.items() if math.isfinite(one.value)}
    ax.set(xlabel="Active rows", ylabel="RMS error over full scale (%)", title="error by active rows", xscale="log")
    if not known:
        note(ax, "nothing was measured")
        return
    x = np.array(list(known))
    value, low, high = (
        100.0 * np.array([getattr(one, name) for one in known.values()]) for name in ("value", "low", "high")
    )
    bars = np.nan_to_num(np.stack([value - low, high - value]))
    ax.errorbar(x, value, yerr=bars, fmt="o-", markersize=4, capsize=2, color=PALETTE[1])
    ax.set_ylim(0.0, None)
    ax.xaxis.set_major_locator(FixedLocator(x.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.xaxis.set_major_formatter(ScalarFormatter())
