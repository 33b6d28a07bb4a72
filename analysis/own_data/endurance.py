"""SET/RESET cycling of any bench: the window, its spread within and between cells, and the first failure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from ..estimates.estimates import Estimate, fraction_estimate, median_estimate, random_effects
from ..estimates.lifetimes import WeibullLife, weibull_life
from ..measurements.endurance import lifetimes_figure
from .finding import Finding
from .pictures.distributions import resistance_cdf, states_over_cycles

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ..estimates.estimates import Floats
    from ..measured_data.measured import Measured

FAILED, IN_A_ROW = 2.0, 3
"""A window below the first for so many cycles in a row is a failure (docs/quantities.md)."""


def analyse_endurance(measured: Measured) -> Finding:
    """Return resistances after SET and RESET, their c2c and d2d spreads of ln R, the window, and the first failure."""
    table: Any = measured.table
    on, off, cells, numbered = _grids(table, measured.id)
    window = off / on
    numbers: dict[str, Estimate | float] = {
        "cycle_r_on_median": median_estimate(_of_cells(on)),
        "cycle_r_off_median": median_estimate(_of_cells(off)),
        "window_median": median_estimate(_of_cells(window)),
        "window_worst_cycles": float(np.nanpercentile(window, 1.0)),
    }
    failures = first_failures(window, numbered)
    alive = ~(numbered >= failures[:, None])
    for name, ohms in (("on", on), ("off", off)):
        effects = random_effects(np.log(np.where(alive, ohms, np.nan)))
        numbers |= {f"{name}_c2c_std": effects.c2c_std, f"{name}_d2d_std": effects.d2d_std}
    known = failures[np.isfinite(failures)]
    numbers["cycles_measured"] = float(_cycles_of_all(window))
    numbers["endurance_cycles"] = _last_cycle(window, numbered, failures)
    numbers["endurance_first_failure"] = float(known.min()) if known.size else float("nan")
    numbers["failed_cell_fraction"] = fraction_estimate(int(known.size), len(cells))
    life = _life(window, numbered, failures)
    numbers |= {"endurance_weibull_shape": life.shape, "endurance_weibull_scale": life.scale}
    below = float((window[np.isfinite(window)] < FAILED).mean())
    every = {
        "after SET, every cycle": on, "after SET, median of each cell": _of_cells(on),
        "after RESET, every cycle": off, "after RESET, median of each cell": _of_cells(off),
    }  # fmt: skip
    count = f"{int(np.isfinite(window).sum()):,} cycles of {len(cells):,} cell{'s' if len(cells) != 1 else ''}"
    return Finding(
        id=measured.id,
        title="Endurance",
        text=(
            f"{count}. Spreads are of ln R, so that 0.1 is about 10 %; within cells (cycle to cycle) and between them "
            f"(device to device) by a one-way random-effects model, over the cycles before a cell fails. "
            f"{below:.2%} of single cycles have a window below "
            f"{FAILED:g}; a failure is {IN_A_ROW} in a row."
            f"{_of_life(life)}"
        ),
        remarks=_remarks(table, window, int(known.size)),
        numbers=numbers,
        frame=_frame(cells, on, off, window, failures),
        figures=[
            ("Resistance after SET and after RESET, cycle by cycle.", states_over_cycles(on, off, numbered)),
            ("Every cycle, and the median of each cell; a straight line is a lognormal law.",
             resistance_cdf(every, title="Resistance after SET and RESET")),
            ("Cycles to failure, and the Weibull law; cells that did not fail count to their last read.",
             lifetimes_figure(failures, float(numbered[-1]), life)),
        ],
    )  # fmt: skip


def first_failures(window: Floats, cycles: Any) -> Floats:
    """Return of every cell the first of ``IN_A_ROW`` cycles read whose window is below ``FAILED``; nan where none is.

    A cycle without a reading ends a row.

    Parameters
    ----------
    window : array [cells, cycles]
        R_off/R_on.
    cycles : array [cycles]
        Their numbers, from 1.
    """
    low = np.nan_to_num(window, nan=np.inf) < FAILED
    found = np.full(len(window), np.nan)
    for cell, lost in enumerate(low):
        run = np.convolve(lost.astype(int), np.ones(IN_A_ROW, int), mode="valid") if len(lost) >= IN_A_ROW else ()
        at = np.flatnonzero(np.asarray(run) == IN_A_ROW)
        if at.size:
            found[cell] = float(cycles[at[0]])
    return found


def _life(window: Floats, cycles: Any, failures: Floats) -> WeibullLife:
    """Return the law of cycles to failure of the cells that had a window when they were first read."""
    read = np.isfinite(window)
    good = read & ~(cycles >= failures[:, None])
    had = good.any(axis=1)
    last = np.array([float(cycles[np.flatnonzero(one)[-1]]) for one in good[had]])
    return weibull_life(last, failures[had])


def _of_life(life: WeibullLife) -> str:
    """Return what to say of the law of lifetimes, where there is one."""
    if not np.isfinite(life.shape.value):
        return ""
    return (
        f" Cycles to failure follow a Weibull law: {life.failures} of {life.n} cells failed, each between the two "
        "reads around it; the others count to their last read."
    )


def _grids(table: Any, where: str) -> tuple[Floats, Floats, NDArray[Any], NDArray[Any]]:
    """Return R after SET and after RESET [cells, cycles], the cells' numbers and those of the cycles, from 1."""
    both = table.pivot_table(index="cell", columns=["state", "cycle"], values="conductance", aggfunc="first")
    states = set(both.columns.get_level_values(0))
    if states != {"HRS", "LRS"}:
        raise RefusedError(f"{where}: only {', '.join(sorted(states))} was read: a window needs both HRS and LRS")
    cycles = sorted(set(both["HRS"].columns) | set(both["LRS"].columns))
    siemens = [both[state].reindex(columns=cycles).to_numpy(np.float64) for state in ("LRS", "HRS")]
    for state, g in zip(("LRS", "HRS"), siemens, strict=True):
        if not (g > 0.0).any():
            raise RefusedError(
                f"{where}: no reading of {state} is above 0 S: is it the right column? say times: -1 where currents "
                "count the other way"
            )
    on, off = (1.0 / np.where(g > 0.0, g, np.nan) for g in siemens)
    numbers = np.asarray(cycles)
    return on, off, both.index.to_numpy(), numbers + (1 if numbers.min() == 0 else 0)


def _remarks(table: Any, window: Floats, failures: int) -> list[str]:
    """Return what is odd about the data, and that no failure was found where none was."""
    remarks: list[str] = []
    if left_out := int((table["conductance"] <= 0.0).sum()):
        remarks.append(
            f"{left_out} of {len(table)} readings are not above 0 S: they have no resistance, and are left out"
        )
    if np.nanmedian(window) < 1.0:
        remarks.append("R_off lies below R_on in most cycles: are HRS and LRS the right way round?")
    if not failures:
        remarks.append(f"no failure found: no cell's window stays below {FAILED:g} for {IN_A_ROW} cycles")
    return remarks


def _last_cycle(window: Floats, cycles: Any, failures: Floats) -> float:
    """Return the cycle up to which every cell was read that did not fail; of cells that all failed, the most."""
    last = np.array([float(cycles[np.flatnonzero(seen)[-1]]) if seen.any() else np.nan for seen in np.isfinite(window)])
    alive = last[np.isnan(failures)]
    return float(np.nanmin(alive)) if np.isfinite(alive).any() else float(np.nanmax(last))


def _cycles_of_all(window: Floats) -> int:
    return int(np.isfinite(window).sum(axis=1).min())


def _of_cells(values: Floats) -> Floats:
    seen = np.isfinite(values).any(axis=1)
    medians = np.full(len(values), np.nan)
    medians[seen] = np.nanmedian(values[seen], axis=1)
    return medians


def _frame(cells: Any, on: Floats, off: Floats, window: Floats, failures: Floats) -> Any:
    from pandas import DataFrame

    return DataFrame(
        {
            "cell": cells,
            "cycles": np.isfinite(window).sum(axis=1),
            "r_on_median_ohm": _of_cells(on),
            "r_off_median_ohm": _of_cells(off),
            "window_median": _of_cells(window),
            "first_failure": failures,
        }
    )
