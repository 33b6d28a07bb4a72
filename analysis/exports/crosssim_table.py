"""Lookup tables of CrossSim: the change of G by one pulse, for each conductance and each place of its distribution.

CrossSim reads two text files of one layout, one for increasing and one for decreasing pulses: a line of text, a line of
conductances [S], a line of cumulative probabilities, then a line per probability with the change [S] at every
conductance; commas between numbers, both files on the same grid, both grids even.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import Floats
from ..measurements.pulse_response import Trains
from ..measurements.pulse_steps import Steps, step_table
from .measured_steps import column, rows

INCREASING, DECREASING = "dG_increasing.txt", "dG_decreasing.txt"
CONDUCTANCES, PROBABILITIES = 201, 101
FEW_BINS = 3


@dataclass(frozen=True)
class LookupTable:
    """Change of G by one pulse.

    Parameters
    ----------
    conductance : ndarray [points] [S]
    probability : ndarray [probabilities]
        Cumulative, 0 to 1.
    change : mapping of str to ndarray [probabilities, points] [S]
        By file name: `dG_increasing.txt`, `dG_decreasing.txt`.
    notes : tuple of str
        What a user has to know of it.
    """

    conductance: Floats
    probability: Floats
    change: Mapping[str, Floats]
    notes: tuple[str, ...]

    def text(self, name: str) -> str:
        """Return one of the files."""
        lines = [self.conductance, self.probability, *self.change[name]]
        head = "dG [S] of one pulse: conductances [S], then cumulative probabilities, then a line for each of these"
        return "\n".join([head, *(",".join(f"{value:.9g}" for value in line) for line in lines)]) + "\n"


def lookup_table(trains: Trains) -> LookupTable:
    """Return the table of measured trains; it reaches over the conductances at which both directions were seen.

    In each bin of `step_table` the distribution has the shape of the changes as read, the mean of the cells' means, and
    the variance within and between cells without the noise of reading. Between bins it is interpolated at equal
    probability.

    Raises
    ------
    RefusedError
        Too few steps, or pulses that on average do not move cells their way.
    """
    table, steps = step_table(trains), Steps(trains)
    low, high = -np.inf, np.inf
    for direction in (1, -1):
        mine = rows(table, column(table, "direction") == direction)
        if len(mine) < FEW_BINS:
            raise RefusedError(
                f"pulses in direction {direction:+d} begin in {len(mine)} bins of conductance: a lookup table takes "
                f"{FEW_BINS} at least; give a pulse_response more pulses, or more cells"
            )
        low = max(low, float(column(mine, "conductance_S").min()))
        high = min(high, float(column(mine, "conductance_S").max()))
    if not low < high:
        raise RefusedError(
            "pulses up and down were not seen at the same conductances: give the pulse_response of the run more pulses"
        )
    g, p = np.linspace(low, high, CONDUCTANCES), np.linspace(0.0, 1.0, PROBABILITIES)
    change: dict[str, Floats] = {}
    raw = 0
    for phase, (name, direction) in enumerate(((INCREASING, 1), (DECREASING, -1))):
        place, moved = steps.place[:, :, phase].ravel(), steps.change[:, :, phase].ravel() / steps.every
        mine = rows(table, column(table, "direction") == direction)
        columns: list[Floats] = []
        ends = zip(column(mine, "low_S"), column(mine, "high_S"), strict=True)
        spreads = np.hypot(column(mine, "step_sigma_S"), np.nan_to_num(column(mine, "step_d2d_S")))
        raw += int(np.isnan(spreads).sum())
        for (first, last), mean, spread in zip(ends, column(mine, "step_mean_S"), spreads, strict=True):
            inside = (place >= first) & (place <= last) & np.isfinite(moved)
            columns.append(_quantiles(moved[inside], float(mean), float(spread), p))
        at = column(mine, "conductance_S")
        change[name] = np.array([np.interp(g, at, line) for line in np.array(columns).T])
        if not direction * float(change[name].mean()) > 0.0:
            raise RefusedError(
                f"pulses in direction {direction:+d} change G by {change[name].mean():.3g} S on average, against their "
                "direction: CrossSim takes no such table; look at the pulse_response of the run"
            )
    return LookupTable(g, p, change, _notes(steps, raw))


def _quantiles(values: Floats, mean: float, spread: float, p: Floats) -> Floats:
    """Return quantiles of the shape of ``values`` with another mean and standard deviation."""
    own = np.sort(values)
    rest = own - own.mean()
    wide = float(rest.std(ddof=1))
    if np.isfinite(spread):
        rest = rest * (spread / wide if wide > 0.0 else 0.0)
    return mean + np.interp(p, (np.arange(own.size) + 0.5) / own.size, rest)


def _notes(steps: Steps, raw: int) -> tuple[str, ...]:
    notes = ["what differs from cell to cell is in the spread of a pulse: one table stands for all cells"]
    if steps.every > 1:
        notes.append(
            f"cells were read every {steps.every} pulses: mean and variance are shared evenly among these, the shape "
            "is that of their sum"
        )
    if raw:
        notes.append(
            f"in {raw} bins of conductance the noise of reading could not be told from the spread of a pulse: it is in "
            "it there"
        )
    return tuple(notes)
