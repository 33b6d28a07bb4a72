"""Pulses of any bench: single ones of rising amplitude, and trains of equal ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates.estimates import Estimate, clustered_fraction_estimate, median_estimate, random_effects
from ..measurements.pulse_response import pulse_response_figure, step_figure, train_metrics, train_table
from ..measurements.pulse_steps import step_metrics, step_table, step_table_figure
from ..measurements.variability import variability_cdfs
from .finding import Finding, grouped
from .pictures.pulse import readings_over_pulses, rise_with_amplitude
from .trains import trains_of

if TYPE_CHECKING:
    from pandas import DataFrame

    from ..estimates.estimates import Floats
    from ..measured_data.measured import Measured

MOVED = 1.1
"""Factor beyond the start of its sweep at which a cell has moved."""
GROUPS_MAX = 12


def analyse_pulses(measured: Measured) -> Finding:
    """Return at which amplitude cells move, or how trains of equal pulses move them."""
    return _sweeps(measured) if measured.kind == "pulse_sweep" else _trains(measured)


def _sweeps(measured: Measured) -> Finding:
    protocol: Any = measured.protocol
    table: Any = measured.table
    swept, held = (protocol.swept, "gate" if protocol.swept == "volts" else "volts")
    frame = sweep_frame(table, swept, up=protocol.polarity == "set")
    way = protocol.polarity.upper()
    values = table[held].dropna().abs().unique()
    parts = {"": table}
    if 1 < len(values) <= GROUPS_MAX:
        parts = {f"{held}_{value:g}V".replace(".", "_"): table[table[held].abs() == value] for value in sorted(values)}
    numbers: dict[str, Estimate | float] = {}
    thresholds: dict[str, Floats] = {}
    remarks: list[str] = []
    for name, part in parts.items():
        mine = frame if not name else sweep_frame(part, swept, up=protocol.polarity == "set")
        found = _sweep_numbers(mine)
        numbers |= grouped(name, found) if name else found
        grid = mine.pivot_table(index="cell", columns="repeat", values="threshold", dropna=False).to_numpy(np.float64)
        if np.isfinite(grid).any():
            thresholds[f"{way} threshold{f', {name}' if name else ''}"] = grid
        else:
            remarks.append(
                f"no switching found{f' at {name}' if name else ''}: none of {len(mine):,} sweeps moved its cell by "
                f"{MOVED - 1.0:.0%}"
            )
    label = "Amplitude" if swept == "volts" else "Gate voltage"
    curves = {name or way: part for name, part in parts.items()}
    figures: list[Any] = [
        ("Conductance after each pulse: median and middle 80 % of all sweeps; one that ended keeps its last reading.",
         rise_with_amplitude(curves, swept=swept, label=label)),
    ]  # fmt: skip
    if thresholds:
        figures.append(("Where sweeps begin to move their cell: within cells and between them.",
                        variability_cdfs(thresholds)))  # fmt: skip
    return Finding(
        id=measured.id,
        title=f"{way} pulses of rising {'amplitude' if swept == 'volts' else 'gate voltage'}",
        text=(
            f"{len(frame):,} sweeps of {measured.cells} cell{'s' if measured.cells != 1 else ''}. The threshold is "
            "the first "
            f"pulse after which the cell stays {MOVED - 1.0:.0%} or more beyond where its sweep began; a sweep "
            "without one is "
            "counted, and has none."
        ),
        remarks=remarks,
        numbers=numbers,
        frame=frame,
        figures=figures,
    )


def sweep_frame(table: Any, swept: str, *, up: bool) -> DataFrame:
    """Return a row per sweep: cell, repeat, start and end [S], and the threshold [V], nan where there is none.

    Parameters
    ----------
    table : DataFrame
        Of a ``pulse_sweep``.
    swept : "volts" or "gate"
    up : bool
        Pulses that SET.
    """
    from pandas import DataFrame

    rows: list[dict[str, Any]] = []
    for (cell, repeat), one in table.groupby(["cell", "repeat"], sort=False):
        start, after = float(one["before"].iloc[0]), one["after"].to_numpy(np.float64)
        beyond = after >= MOVED * start if up else after <= start / MOVED
        # One reading beyond may be noise; the last one has none after it.
        stays = beyond & np.append(beyond[1:], beyond[-1:])
        size = one[swept].abs().to_numpy(np.float64)
        rows.append(
            {
                "cell": cell,
                "repeat": repeat,
                "start_S": start,
                "end_S": float(after[-1]),
                "threshold": float(size[int(stays.argmax())]) if stays.any() else np.nan,
            }
        )
    return DataFrame(rows)


def _sweep_numbers(frame: Any) -> dict[str, Estimate | float]:
    grid = frame.pivot_table(index="cell", columns="repeat", values="threshold", dropna=False).to_numpy(np.float64)
    effects = random_effects(grid)
    missed = frame.assign(missed=frame["threshold"].isna()).groupby("cell")["missed"]
    change = frame.assign(change=frame["end_S"] / frame["start_S"]).groupby("cell")["change"].median()
    return {
        "pulse_threshold_mean": effects.mean,
        "pulse_threshold_c2c_std": effects.c2c_std,
        "pulse_threshold_d2d_std": effects.d2d_std,
        "no_pulse_move_fraction": clustered_fraction_estimate(missed.sum(), missed.count()),
        "pulse_change_median": median_estimate(change),
    }


def _trains(measured: Measured) -> Finding:
    table: Any = measured.table
    trains, why = trains_of(table)
    if trains is None:
        ends = table.groupby("cell")["conductance"].agg(["first", "last"])
        return Finding(
            id=measured.id,
            title="Pulses one after the other",
            text=f"{len(table):,} readings of {measured.cells} cells. No trains of equal pulses: {why}.",
            remarks=[f"no potentiation and depression to fit: {why}"],
            numbers={"pulse_change_median": median_estimate(ends["last"] / ends["first"])},
            frame=table,
            figures=[("Conductance after each pulse.", readings_over_pulses(table))],
        )
    frame = train_table(trains)
    return Finding(
        id=measured.id,
        title="Potentiation and depression",
        text=(
            f"{trains.conductance.shape[0]} cells, {trains.conductance.shape[1]} cycles of {int(trains.pulses[-1])} "
            "pulses "
            "up and as many down. Fits are of each cell's mean train; numbers are medians over cells."
        ),
        numbers={**train_metrics(frame), **step_metrics(trains)},
        frame=frame,
        figures=[
            ("Conductance over the trains.", pulse_response_figure(trains, table=frame)),
            ("Step against conductance.", step_figure(trains, symmetry=frame["symmetry_point"].to_numpy(np.float64))),
            ("Change by one pulse against the conductance before it.", step_table_figure(step_table(trains))),
        ],
    )
