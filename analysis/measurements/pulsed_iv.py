"""Pulsed I–V: the conductance read after every pulse of a staircase out and back, and the voltages that switch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..estimates.estimates import Estimate, Floats
from .forming_loops import forming_loops, without_forming
from .iv_curve import (
    INVALID,
    NO_CROSSING,
    NO_WINDOW,
    NOT_SWEPT,
    SWITCHED,
    SwitchingRule,
    branch_metrics,
    first_crossing,
)

if TYPE_CHECKING:
    from pandas import DataFrame

RULE = SwitchingRule()
KIND = "_pulse"


@dataclass(frozen=True)
class PulsedLoops:
    """What was read in every loop of every cell.

    Parameters
    ----------
    legs : sequence of str
        Legs of a loop in the order they are given: "+out", "+back", "-out", "-back".
    volts : ndarray [legs, points] [V]
        Amplitudes, signed, in the order they are given.
    conductance : ndarray [cells, cycles, legs, points] [S]
        Read after each pulse; nan where none was given.
    start : ndarray [cells, cycles] [S]
        Read before each loop.
    """

    legs: tuple[str, ...]
    volts: Floats
    conductance: Floats
    start: Floats

    @property
    def halted(self) -> int:
        """Legs away from 0 V, of any cell and loop, that turned back before the last amplitude."""
        out = [number for number, leg in enumerate(self.legs) if leg.endswith("out")]
        return int(np.isnan(self.conductance[:, :, out, -1]).sum()) if out else 0

    def at_first_pulse(self, table: DataFrame, branch: str) -> int:
        """Return how many switching voltages are the first amplitude: those cells may switch at less."""
        leg = _leg(self.legs, branch)
        volts = table[f"v_{branch}"].to_numpy(dtype=np.float64)
        return int(np.isclose(volts, self.volts[leg, 0]).sum()) if leg is not None else 0


def _leg(legs: Sequence[str], branch: str) -> int | None:
    """Return which leg away from 0 V is that of a branch."""
    wanted = "+out" if branch == "set" else "-out"
    return legs.index(wanted) if wanted in legs else None


def pulsed_switching(loops: PulsedLoops) -> DataFrame:
    """Find the SET and the RESET of every loop of every cell.

    The voltage is where the conductance read after a pulse crosses the geometric mean of that of before the leg away
    from 0 V and that at the end of the leg back (or of the leg itself where none follows), and stays there for the next
    pulse; between two pulses it is interpolated in ln G. No less than a factor of two is a switch.

    Returns
    -------
    pandas.DataFrame
        One row per loop: `cell`, `cycle`, `v_set`, `v_reset` [V] (nan where none), `g_before_…`, `g_after_…` [S],
        `set_status`, `reset_status`, `g_start` [S] and `forming`, as :func:`~.iv_curve.switching_voltages` has them.
    """
    from pandas import DataFrame

    rows: list[dict[str, object]] = []
    for cell, cycle in np.ndindex(loops.start.shape):
        g, start = loops.conductance[cell, cycle], float(loops.start[cell, cycle])
        row: dict[str, object] = {"cell": cell, "cycle": cycle, "g_start": start}
        for branch, sign in (("set", 1.0), ("reset", -1.0)):
            volts, before, after, status = _find(loops, g, start, branch, sign)
            row |= {
                f"v_{branch}": volts,
                f"g_before_{branch}": before,
                f"g_after_{branch}": after,
                f"{branch}_status": status,
            }
        rows.append(row)
    table = DataFrame(rows)
    columns = (table[name].to_numpy(dtype=np.float64) for name in ("v_set", "v_reset", "g_start", "g_after_reset"))
    table["forming"] = forming_loops(table["cell"].to_numpy(dtype=np.int64), *columns, floor=RULE.floor)
    return table


def _find(loops: PulsedLoops, g: Floats, start: float, branch: str, sign: float) -> tuple[float, float, float, str]:
    """Return voltage [V], conductance before and after [S] and status of one branch of one loop."""
    leg = _leg(loops.legs, branch)
    if leg is None:
        return np.nan, np.nan, np.nan, NOT_SWEPT
    earlier = g[:leg][np.isfinite(g[:leg])]
    before = float(earlier[-1]) if earlier.size else start
    out = g[leg][np.isfinite(g[leg])]
    returns = loops.legs[leg + 1 : leg + 2] == (loops.legs[leg].replace("out", "back"),)
    back = g[leg + 1][np.isfinite(g[leg + 1])] if returns else np.empty(0)
    all_read = np.append(out, back)
    if not (out.size and np.isfinite(before)):
        return np.nan, before, np.nan, INVALID
    after = float(all_read[-1])
    low, high = (max(one, RULE.floor) for one in ((before, after) if sign > 0 else (after, before)))
    if high < RULE.min_ratio * low:
        return np.nan, before, after, NO_WINDOW
    # Where the leg ended at once the way back says whether the cell stayed.
    volts = np.append(np.abs(loops.volts[leg, : out.size]), np.full(back.size, np.nan))
    found = first_crossing(volts, all_read, float(np.sqrt(low * high)), sign, hold=RULE.hold)
    if found is None or found[1] >= out.size:
        return np.nan, before, after, NO_CROSSING
    return sign * found[0], before, after, SWITCHED


def pulsed_metrics(table: DataFrame, legs: Sequence[str]) -> dict[str, Estimate]:
    """Return mean and spreads of the switching voltages, and the share of loops without, of the branches swept.

    Loops that formed a cell are in none of them.
    """
    table = without_forming(table)
    found: dict[str, Estimate] = {}
    for branch in ("set", "reset"):
        if _leg(legs, branch) is not None:
            found |= branch_metrics(table, branch, KIND)
    return found
