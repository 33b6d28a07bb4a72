"""Switching voltages and resistances from hysteresis loops.

A sweep is a loop of the cell voltage, 0 -> +Vmax -> 0 -> -Vmax -> 0 (or the negative half first). A SET is looked for
on the rising positive branch, a RESET on the falling negative one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..estimates.estimates import (
    Estimate,
    Floats,
    clustered_fraction_estimate,
    flatten_all,
    median_estimate,
    random_effects,
)
from .forming_loops import forming_loops, without_forming

if TYPE_CHECKING:
    from pandas import DataFrame

SWITCHED = "switched"
NO_WINDOW = "no window"
NO_CROSSING = "no crossing"
NOT_SWEPT = "not swept"
INVALID = "invalid"
COUNTED = (SWITCHED, NO_WINDOW, NO_CROSSING)

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class SwitchingRule:
    """How a switching event is recognised.

    Parameters
    ----------
    read_volts : float [V]
        Voltage at which the off and on conductance of a cycle are taken (its negative on the negative branch).
    min_ratio : float
        On over off conductance below which a cycle did not switch (2, the window at which endurance calls a failure).
    floor : float [S]
        Conductances below this are indistinguishable from open; noise beneath it cannot look like switching.
    hold : int
        Points in a row that must lie beyond the geometric mean, so that one noisy point is no event.
    """

    read_volts: float = 0.2
    min_ratio: float = 2.0
    floor: float = 0.1e-6
    hold: int = 2


@dataclass(frozen=True)
class _Event:
    volts: float
    before: float
    after: float
    limited: bool
    status: str


def switching_voltages(
    volts: ArrayLike,
    current: ArrayLike,
    read_volts: float = 0.2,
    *,
    compliance: ArrayLike | None = None,
    start: ArrayLike | None = None,
    rule: SwitchingRule | None = None,
) -> DataFrame:
    """Find the SET and the RESET of every cycle of every cell.

    The switching voltage is the first one, moving away from zero and not below the read voltage, at which I/V crosses
    the geometric mean of that cycle's conductance before and after (both at the read voltage); between two points it is
    interpolated in ln(I/V). A point flagged for compliance only bounds the conductance from below. On the positive
    branch the first flagged point therefore counts as crossed (`set_limited`, no interpolation); on the negative
    branch a flagged point never counts as having fallen.

    Parameters
    ----------
    volts : array_like [cells, cycles, points] or anything that broadcasts to it [V]
    current : array_like [cells, cycles, points] [A]
    read_volts : float [V]
        Ignored when a `rule` is given.
    compliance : array_like of bool [cells, cycles, points], optional
        True where the source was limiting the current.
    start : array_like [cells, cycles], optional [S]
        Conductance the cell read before each loop, to tell loops that form it; nan, or without it, that of the sweep
        before its SET.
    rule : SwitchingRule, optional

    Returns
    -------
    pandas.DataFrame
        One row per sweep: `cell`, `cycle`, `v_set`, `v_reset` [V] (nan where none), `g_before_set`, `g_after_set`,
        `g_before_reset`, `g_after_reset` [S], `set_status`, `reset_status` (switched, no window, no crossing, not
        swept, invalid), `set_limited`, `g_start` [S], and `forming`: the loop formed a virgin cell, or came before the
        one that did (see :mod:`.forming_loops`).
    """
    from pandas import DataFrame

    used = rule or SwitchingRule(read_volts=read_volts)
    i = np.asarray(current, dtype=np.float64)
    if i.ndim != 3:
        raise ValueError(f"current has shape {i.shape}; must be [cells, cycles, points]")
    v = np.broadcast_to(np.asarray(volts, dtype=np.float64), i.shape)
    flags = (
        np.zeros(i.shape, dtype=bool) if compliance is None else np.broadcast_to(np.asarray(compliance, bool), i.shape)
    )
    rows: list[dict[str, object]] = []
    for cell, cycle in np.ndindex(i.shape[0], i.shape[1]):
        sweep = v[cell, cycle], i[cell, cycle], flags[cell, cycle]
        to_on, to_off = _find(*sweep, 1.0, used), _find(*sweep, -1.0, used)
        rows.append(
            {
                "cell": cell,
                "cycle": cycle,
                "v_set": to_on.volts,
                "v_reset": to_off.volts,
                "g_before_set": to_on.before,
                "g_after_set": to_on.after,
                "g_before_reset": to_off.before,
                "g_after_reset": to_off.after,
                "set_status": to_on.status,
                "reset_status": to_off.status,
                "set_limited": to_on.limited,
            }
        )
    table = DataFrame(rows)
    before = table["g_before_set"].to_numpy(dtype=np.float64)
    read = np.full(i.shape[:2], np.nan) if start is None else np.broadcast_to(np.asarray(start, float), i.shape[:2])
    table["g_start"] = np.where(np.isfinite(read.ravel()), read.ravel(), before)
    columns = (table[name].to_numpy(dtype=np.float64) for name in ("v_set", "v_reset", "g_start", "g_after_reset"))
    table["forming"] = forming_loops(table["cell"].to_numpy(dtype=np.int64), *columns, floor=used.floor)
    return table


def iv_metrics(table: DataFrame, *, floor: float = SwitchingRule.floor) -> dict[str, Estimate]:
    """Return the summary metrics of a table from `switching_voltages`.

    `v_set_mean`, `v_set_c2c_std`, `v_set_d2d_std`, `no_set_fraction`, the same for RESET, `r_on_median`,
    `r_off_median`. Resistances are medians over cells of each cell's median, over the sweeps that switched; a
    conductance below `floor` [S] counts as `floor`. Invalid sweeps are left out of every denominator, and loops that
    formed a cell of everything.
    """
    table = without_forming(table)
    metrics: dict[str, Estimate] = {}
    for branch, resistance in (("set", "r_on_median"), ("reset", "r_off_median")):
        metrics |= branch_metrics(table, branch)
        switched = cell_grid(table, f"{branch}_status", INVALID) == SWITCHED
        ohms = 1.0 / np.maximum(cell_grid(table, f"g_after_{branch}", np.nan), floor)
        metrics[resistance] = median_estimate(
            [float(np.median(row[mask])) for row, mask in zip(ohms, switched, strict=True) if mask.any()]
        )
    return metrics


def branch_metrics(table: DataFrame, branch: str, kind: str = "") -> dict[str, Estimate]:
    """Return mean, c2c and d2d spread of one branch's switching voltage, and the share of sweeps without one.

    Parameters
    ----------
    branch : "set" or "reset"
    kind : str
        What stands behind the branch in the names of the metrics, "_pulse" for pulses.
    """
    status = cell_grid(table, f"{branch}_status", INVALID)
    counted = np.isin(status, COUNTED)
    effects = random_effects(cell_grid(table, f"v_{branch}", np.nan))
    missed = clustered_fraction_estimate((counted & (status != SWITCHED)).sum(axis=1), counted.sum(axis=1))
    return {
        f"v_{branch}{kind}_mean": effects.mean,
        f"v_{branch}{kind}_c2c_std": effects.c2c_std,
        f"v_{branch}{kind}_d2d_std": effects.d2d_std,
        f"no_{branch}{kind}_fraction": missed,
    }


def iv_summary(table: DataFrame) -> dict[str, float]:
    """Return `iv_metrics` as flat summary keys with 95 % intervals, and `forming_loops`: how many are left out."""
    return {**flatten_all(iv_metrics(table)), "forming_loops": float(table["forming"].to_numpy(dtype=bool).sum())}


def cell_grid(table: DataFrame, column: str, fill: float | str) -> NDArray[Any]:
    """Lay a column out as [cells, cycles], `fill` where a cell has fewer cycles."""
    cells, cell = np.unique(table["cell"].to_numpy(), return_inverse=True)
    cycles, cycle = np.unique(table["cycle"].to_numpy(), return_inverse=True)
    values = table[column].to_numpy(dtype=object if isinstance(fill, str) else np.float64)
    grid = np.full((cells.size, cycles.size), fill, dtype=values.dtype)
    grid[cell, cycle] = values
    return grid


def _find(volts: Floats, current: Floats, flags: Flags, sign: float, rule: SwitchingRule) -> _Event:
    """Find the event of one branch; `sign` +1 looks for a SET at positive, -1 for a RESET at negative voltage."""
    nothing = (np.nan, np.nan, np.nan, False)
    if not bool(np.all(np.isfinite(volts) & np.isfinite(current))):
        return _Event(*nothing, INVALID)
    s, i = sign * volts, sign * current
    if not s.max(initial=0.0) >= rule.read_volts:
        return _Event(*nothing, NOT_SWEPT)
    away, back = _branches(s)
    before = _conductance(s[away], i[away], flags[away], rule.read_volts)
    after = _conductance(s[back], i[back], flags[back], rule.read_volts)
    if not (np.isfinite(before) and np.isfinite(after)):
        return _Event(*nothing, INVALID)
    low, high = (before, after) if sign > 0 else (after, before)
    if max(high, rule.floor) < rule.min_ratio * max(low, rule.floor):
        return _Event(np.nan, before, after, False, NO_WINDOW)
    border = float(np.sqrt(max(low, rule.floor) * max(high, rule.floor)))
    found = first_crossing(
        s[away], i[away] / s[away], border, sign, hold=rule.hold, least=rule.read_volts, limited=flags[away]
    )
    if found is None:
        return _Event(np.nan, before, after, False, NO_CROSSING)
    volt, k = found
    return _Event(sign * volt, before, after, bool(flags[away][k]), SWITCHED)


def first_crossing(
    volts: Floats, g: Floats, border: float, sign: float, *, hold: int, least: float = 0.0, limited: Flags | None = None
) -> tuple[float, int] | None:
    """Return the first magnitude [V] at which a conductance crosses `border` and stays, and its point; None for none.

    Parameters
    ----------
    volts, g : array [points] [V], [S]
        Magnitudes, and the conductance at each.
    border : float [S]
    sign : +1 or -1
        Whether it must rise above the border or fall below.
    hold : int
        Points in a row that must lie beyond.
    least : float [V]
        Crossings below this are none.
    limited : array of bool [points], optional
        Where the source limited the current: such a point has risen whatever it reads, and has not fallen.
    """
    flags = np.zeros(g.shape, dtype=np.bool_) if limited is None else limited
    beyond: Flags = (g >= border) | flags if sign > 0 else (g <= border) & ~flags
    for k in np.flatnonzero(beyond & (volts >= least)).tolist():
        if not bool(np.all(beyond[k : k + hold])):
            continue
        known = k > 0 and not flags[k] and not flags[k - 1] and not beyond[k - 1] and g[k - 1] > 0.0 and g[k] > 0.0
        if not known:
            return float(volts[k]), k
        share = float(np.log(border / g[k - 1]) / np.log(g[k] / g[k - 1]))
        return float(volts[k - 1] + share * (volts[k] - volts[k - 1])), k
    return None


def _branches(s: Floats) -> tuple[slice, slice]:
    """Return the way from zero to the peak of `s` and the way back, both without the zero."""
    first, last = int(np.argmax(s)), s.size - 1 - int(np.argmax(s[::-1]))
    zeros = np.flatnonzero(s <= 0.0)
    before, after = zeros[zeros < first], zeros[zeros > last]
    start = int(before[-1]) + 1 if before.size else 0
    stop = int(after[0]) if after.size else s.size
    return slice(start, first + 1), slice(last, stop)


def _conductance(s: Floats, i: Floats, flags: Flags, read_volts: float) -> float:
    """Return G [S] at the read voltage: the median of I/V within a quarter of it, or the interpolated current."""
    order = np.argsort(s, kind="stable")
    order = order[~flags[order]]
    s, i = s[order], i[order]
    near = np.abs(s - read_volts) <= 0.2501 * read_volts
    if near.sum() >= 3:
        return float(np.median(i[near] / s[near]))
    if s.size == 0 or s[-1] < read_volts / 2.0:
        return np.nan
    if s[-1] < read_volts:  # in compliance already at the read voltage: the last free point is the nearest there is
        return float(i[-1] / s[-1])
    # The branch starts just off zero, where the current is zero.
    return float(np.interp(read_volts, np.append(0.0, s), np.append(0.0, i)) / read_volts)
