"""A map of an array by any bench: what its cells read, and which of its lines differ from the others."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import (
    CONFIDENCE,
    UNKNOWN,
    Estimate,
    fraction_estimate,
    mean_estimate,
    median_estimate,
    random_effects,
)
from ..measurements.array_maps import conductance_map
from .finding import Finding
from .pictures.map import line_figure

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..estimates.estimates import Floats
    from ..measured_data.measured import Measured

OPEN_SHARE = 0.01
"""A cell that conducts less than this share of the map's median is open."""
APART = 2.0
"""Lines that differ by a smaller factor are alike."""


def analyse_map(measured: Measured) -> Finding:
    """Return conductances, spread between rows, between columns and of single cells, and lines that stand out."""
    g, first = _grid(measured)
    ln_r = np.log(1.0 / np.where(g > 0.0, g, np.nan))
    lines = line_table(ln_r, first)
    rows, cols, cells = line_effects(_of_usual_lines(ln_r, lines))
    median = float(np.nanmedian(g))
    known = np.isfinite(g)
    opened = known & (g < OPEN_SHARE * median)
    apart: Any = lines[lines["apart"]]
    numbers: dict[str, Estimate | float] = {
        "g_read_median": median_estimate(g),
        "r_read_median": median_estimate(1.0 / g[g > 0.0]),
        "row_spread": rows,
        "col_spread": cols,
        "cell_spread": cells,
        "lines_apart": float(len(apart)),
        "open_fraction": fraction_estimate(int(opened.sum()), int(known.sum())),
    }
    text = (
        f"{int(known.sum()):,} cells of {g.shape[0]} rows and {g.shape[1]} columns. Spreads are of ln R (0.1 is about "
        "10 %), of a two-way model: row, column and the cell itself, without the lines that stand out where these "
        "are fewer "
        "than half. A line is told apart where its mean differs from "
        f"that of the others of its kind by a factor of {APART:g} or more at 95 % confidence for all lines together; "
        "rows "
        "are compared with the columns' means taken off, and the other way round. On a passive array currents also "
        "flow "
        "through other cells: what one reads is not the cell alone."
    )
    names = ", ".join(f"{one.line} (×{one.ratio:.3g} in R)" for one in apart.itertuples())
    remarks = [f"lines that stand out: {names}"] if names else ["no line stands out"]
    if opened.any():
        remarks.append(f"{int(opened.sum())} cells are open: below {OPEN_SHARE:.0%} of the map's median conductance")
    return Finding(
        id=measured.id, title=f"Map{f' of {measured.chip}' if measured.chip else ''}", text=text, remarks=remarks,
        numbers=numbers, frame=measured.table,
        figures=[
            ("Conductance of every cell.", conductance_map(g, origin=first)),
            ("Mean resistance of every line, with 95 % intervals; orange: told apart.", line_figure(lines)),
        ],
        tables=[("Lines: geometric mean of R, and its ratio to the others of its kind.", _shown(lines))],
    )  # fmt: skip


def line_effects(ln_r: Floats) -> tuple[Estimate, Estimate, Estimate]:
    """Return the standard deviations of a two-way random-effects model: rows, columns, single cells.

    ANOVA estimators, with the intervals of :func:`~..estimates.estimates.random_effects` over rows, and over columns.

    Parameters
    ----------
    ln_r : array [rows, cols]
        nan where a cell has no reading.
    """
    rows, cell = _one_way(ln_r)
    cols, _ = _one_way(ln_r.T)
    return rows, cols, cell


def _one_way(values: Floats) -> tuple[Estimate, Estimate]:
    """Return the spread between the first axis' lines, and within, where the other axis' means are taken off."""
    count = values.shape[0]
    if count < 2 or values.shape[1] < 2:
        return UNKNOWN, UNKNOWN
    left = _without_lines(values, axis=0)
    means = np.nanmean(left, axis=1, keepdims=True)
    # Means of the other axis cost degrees of freedom, which the one-way model does not know of.
    effects = random_effects(means + (left - means) * math.sqrt(count / (count - 1)))
    return effects.d2d_std, effects.c2c_std


def _without_lines(values: Floats, *, axis: int) -> Floats:
    with np.errstate(invalid="ignore"):
        return values - np.nanmean(values, axis=axis, keepdims=True) + float(np.nanmean(values))


def _of_usual_lines(ln_r: Floats, lines: Any) -> Floats:
    """Return the map without lines that stand out; where half or more of a kind do, none of them is unusual."""
    for axis, kind in enumerate(("row", "column")):
        out = lines["apart"][lines["kind"] == kind].to_numpy(np.bool_)
        if 2 * out.sum() < out.size:
            ln_r = np.delete(ln_r, np.flatnonzero(out), axis=axis)
    return ln_r


def line_table(ln_r: Floats, first: tuple[int, int]) -> DataFrame:
    """Return a row per line: name, mean ln R, its ratio in R to the others of its kind with an interval, and ``apart``.

    The intervals of the ratios are Welch's, made wide enough to hold for all lines together (Bonferroni).
    """
    from pandas import DataFrame

    total = sum(ln_r.shape)
    confidence = 1.0 - (1.0 - CONFIDENCE) / total
    found: list[dict[str, object]] = []
    for kind, values, begin in (("row", ln_r, first[0]), ("column", ln_r.T, first[1])):
        left = _without_lines(values, axis=0) if min(values.shape) > 1 else values
        for k in range(len(values)):
            mean = mean_estimate(values[k])
            ratio = _ratio(left[k], np.delete(left, k, axis=0), confidence)
            out = not math.isnan(ratio.low) and (ratio.low > APART or ratio.high < 1.0 / APART)
            found.append(
                {
                    "line": f"{kind} {k + begin}", "kind": kind, "number": k + begin,
                    "r_ohm": math.exp(mean.value), "r_low_ohm": math.exp(mean.low), "r_high_ohm": math.exp(mean.high),
                    "ratio": ratio.value, "ratio_low": ratio.low, "ratio_high": ratio.high, "apart": out,
                }
            )  # fmt: skip
    return DataFrame(found)


def _ratio(line: Floats, others: Floats, confidence: float) -> Estimate:
    from scipy.stats import ttest_ind

    x, y = line[np.isfinite(line)], others[np.isfinite(others)]
    if x.size < 2 or y.size < 2:
        return UNKNOWN
    apart = float(x.mean() - y.mean())
    if np.ptp(x) == 0.0 and np.ptp(y) == 0.0:
        return Estimate(math.exp(apart), math.exp(apart), math.exp(apart), int(x.size))
    ends: Any = ttest_ind(x, y, equal_var=False).confidence_interval(confidence)
    # Far apart in the logarithm is far beyond what a float can hold.
    low, high = (math.exp(float(np.clip(end, -700.0, 700.0))) for end in (ends.low, ends.high))
    return Estimate(math.exp(apart), low, high, int(x.size))


def _grid(measured: Measured) -> tuple[Floats, tuple[int, int]]:
    table: Any = measured.table
    if table.duplicated(["row", "col"]).any():
        twice = table[table.duplicated(["row", "col"])].iloc[0]
        raise RefusedError(
            f"{measured.id}: cell ({twice['row']}, {twice['col']}) stands twice: a map has one reading of each cell"
        )
    corner = int(table["row"].min()), int(table["col"].min())
    shape = int(table["row"].max()) - corner[0] + 1, int(table["col"].max()) - corner[1] + 1
    if shape[0] * shape[1] > _CELLS_MAX:
        raise RefusedError(
            f"{measured.id}: rows and columns span {shape[0]:,} × {shape[1]:,} cells: are they numbers of lines?"
        )
    g = np.full(shape, np.nan)
    g[table["row"].to_numpy() - corner[0], table["col"].to_numpy() - corner[1]] = table["conductance"].to_numpy()
    return g, corner


_CELLS_MAX = 1 << 24


def _shown(lines: Any) -> Any:
    said = lines[["line"]].copy()
    for name, label in (("r_ohm", "R [Ω]"), ("r_low_ohm", "R low [Ω]"), ("r_high_ohm", "R high [Ω]")):
        said[label] = lines[name]
    for name, label in (("ratio", "ratio to the others"), ("ratio_low", "ratio low"), ("ratio_high", "ratio high")):
        said[label] = [f"{value:.3g}" for value in lines[name]]
    said["told apart"] = np.where(lines["apart"], "yes", "")
    return said
