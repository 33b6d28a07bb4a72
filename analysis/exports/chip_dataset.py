"""All that a run says of its chip as one xarray dataset after the CF conventions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ..estimates.estimates import mean_estimate, std_estimate
from ..measurements.pulse_steps import step_table
from ..quantities import HIGH, LOW, describe
from ..report.run_tables import RunTables, StepTable
from .cf_variables import CELL, Variable, step_variables, udunits
from .measured_steps import column, programming_errors, trains_of

if TYPE_CHECKING:
    from pandas import DataFrame
    from xarray import Dataset

CONVENTIONS = "CF-1.11"
LINES_MOST = 2_000_000
LEVELS_MOST = 64
COST = {"transactions": "1", "slots": "1", "pulses": "1", "chip_seconds": "s", "seconds": "s"}


def chip_dataset(
    run: RunTables, about: Mapping[str, str], *, shape: tuple[int, int] | None = None
) -> tuple[Dataset, list[str]]:
    """Return maps, reads, step and level tables, numbers and provenance of a run, and sentences on what is left out.

    Parameters
    ----------
    about : mapping
        Provenance, which becomes attributes of the file.
    shape : (int, int), optional
        Rows and columns of the chip; as far as cells were measured unless given.
    """
    from xarray import Dataset

    left_out: list[str] = []
    made: dict[str, Variable] = {}
    frames: list[tuple[StepTable, DataFrame]] = []
    for step in run.steps:
        frame = step.frame
        if frame is None or not len(frame):
            left_out.append(f"step {step.id!r} ({step.step}) kept no table: only its numbers are written")
        elif len(frame) > LINES_MOST:
            left_out.append(
                f"step {step.id!r} ({step.step}) has a table of {len(frame):,} lines, more than {LINES_MOST:,}: its "
                "raw data are in xbarlab export --to netcdf"
            )
        else:
            frames.append((step, frame))
    rows, cols = shape or _reach([frame for _, frame in frames])
    for step, frame in frames:
        made |= step_variables(_name(step.id), f"step {step.id} ({step.step})", frame, (rows, cols))
        made |= _more(step, frame, left_out)
    made |= _steps(run)
    made |= _numbers(run)
    for name, length in zip(CELL, (rows, cols), strict=True):
        line = "row (line of top electrodes)" if name == "row" else "column (line of bottom electrodes)"
        made[name] = Variable((name,), np.arange(length), {"units": "1", "long_name": line}, coordinate=True)
    return (
        Dataset(
            data_vars={name: (one.dims, one.values, one.attrs) for name, one in made.items() if not one.coordinate},
            coords={name: (one.dims, one.values, one.attrs) for name, one in made.items() if one.coordinate},
            attrs=_attributes(run, about, left_out),
        ),
        left_out,
    )


def _reach(frames: list[DataFrame]) -> tuple[int, int]:
    """Return rows and columns as far as cells were measured."""
    ends = [[int(column(frame, name).max()) + 1 for frame in frames if name in frame.columns] for name in CELL]
    return max(ends[0], default=0), max(ends[1], default=0)


def _name(text: str) -> str:
    """Return a name as CF has them: a letter first, then letters, digits and _."""
    plain = re.sub(r"\W+", "_", text, flags=re.ASCII).strip("_")
    return plain if plain[:1].isalpha() else f"x_{plain}"


def _more(step: StepTable, frame: DataFrame, left_out: list[str]) -> dict[str, Variable]:
    """Return what is made of a step's table besides: steps against conductance, levels as programmed."""
    prefix = _name(step.id)
    if step.step == "pulse_response":
        try:
            table = step_table(trains_of(frame)).rename(columns=lambda name: name.removeprefix("step_"))
        except ValueError as error:
            left_out.append(f"step {step.id!r} (pulse_response) gives no step table: {error}")
            return {}
        return step_variables(f"{prefix}_step", f"steps of single pulses of step {step.id}", table, (0, 0))
    if step.step == "read_verify":
        return _levels(prefix, step, frame)
    return {}


def _levels(prefix: str, step: StepTable, frame: DataFrame) -> dict[str, Variable]:
    wanted, error = programming_errors(frame)
    target = np.unique(wanted)
    if not 0 < target.size <= LEVELS_MOST:
        return {}
    groups = [(wanted + error)[wanted == one] for one in target]
    dims, about = (f"{prefix}_level",), f"healthy cells of a level of step {step.id} ({step.step}), late re-read"
    cells = np.array([values.size for values in groups])
    made = {
        dims[0]: Variable(dims, target, {"units": "S", "long_name": f"target conductance, {about}"}, coordinate=True),
        f"{dims[0]}_cells": Variable(dims, cells, {"units": "1", "long_name": f"number of {about}"}),
    }
    for name, estimate in (("mean", mean_estimate), ("std", std_estimate)):
        found = [estimate(values) for values in groups]
        words = "mean" if name == "mean" else "standard deviation"
        made |= _estimated(
            f"{dims[0]}_{name}",
            dims,
            np.array([(one.value, one.low, one.high) for one in found]).T,
            {"units": "S", "long_name": f"{words} of the conductance of {about}"},
        )
    return made


def _estimated(name: str, dims: tuple[str, ...], three: Any, attrs: dict[str, Any]) -> dict[str, Variable]:
    """Return a value with the ends of its 95 % interval as ancillary variables."""
    value, low, high = three
    ends = {
        f"{name}{end}": Variable(
            dims, side, {**attrs, "long_name": f"{which} end of the 95 % interval: {attrs['long_name']}"}
        )
        for end, side, which in ((LOW, low, "lower"), (HIGH, high, "upper"))
    }
    return {name: Variable(dims, value, {**attrs, "ancillary_variables": " ".join(ends)}), **ends}


def _steps(run: RunTables) -> dict[str, Variable]:
    dims = ("step",)
    made = {
        "step": Variable(
            dims, np.array([step.id for step in run.steps], dtype=str), {"long_name": "id of a step"}, coordinate=True
        ),
        "step_kind": Variable(
            dims, np.array([step.step for step in run.steps], dtype=str), {"long_name": "what the step did"}
        ),
    }
    for key, unit in COST.items():
        values = np.array([float(step.cost.get(key, np.nan)) for step in run.steps])
        words = describe(key).definition or key
        made[f"step_{key}"] = Variable(dims, values, {"units": unit, "long_name": f"{words}, of one step"})
    return made


def _numbers(run: RunTables) -> dict[str, Variable]:
    made: dict[str, Variable] = {}
    for key, value in run.summary.items():
        quantity = describe(key)
        if quantity.bound:
            continue
        attrs = {
            "units": udunits(quantity.unit), "long_name": quantity.definition or key.replace("_", " "),
            "xbarlab_key": key,
        }  # fmt: skip
        ends = [run.summary.get(key + end, np.nan) for end in (LOW, HIGH)]
        name = f"summary_{_name(key)}"
        if key + LOW in run.summary or key + HIGH in run.summary:
            made |= _estimated(name, (), [np.float64(one) for one in (value, *ends)], attrs)
        else:
            made[name] = Variable((), np.array(value, dtype=np.float64), attrs)
    return made


def _attributes(run: RunTables, about: Mapping[str, str], left_out: list[str]) -> dict[str, str]:
    instruments = [f"{name}: {value}" for name, value in about.items() if name.startswith(("Instrument", "Simulation"))]
    told = {
        "Conventions": CONVENTIONS,
        "title": f"{run.title}: chip {about.get('Chip', 'not named')}",
        "source": "; ".join(instruments) or "not told",
        "history": f"{about.get('Date', '')} measured; {about.get('Report written', '')} exported".strip(),
        "comment": "Cell voltage = V(row) - V(column); positive voltages SET. Conductance = I/V at the read voltage. "
        "Intervals are 95 %.",
        "references": "definitions: docs/quantities.md of xbarlab",
        **{f"xbarlab_{_name(name.lower())}": value for name, value in about.items()},
    }
    return {**told, **({"xbarlab_left_out": "; ".join(left_out)} if left_out else {})}
