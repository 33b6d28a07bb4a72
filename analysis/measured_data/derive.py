"""What the data do not say in so many words and their order does: sweeps, steps, cycles, levels, success."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import RefusedError
from .kinds import COLUMNS, EITHER, MAY_LACK, a_kind
from .protocols import Cycling, IvSweep, Noise, PulseSweep

if TYPE_CHECKING:
    from pandas import DataFrame

_BY_LINE = ("bake", "map")


def derive(table: Any, protocol: Any, *, where: str) -> DataFrame:
    """Return the table of a kind with all its columns, in their order.

    Raises
    ------
    RefusedError
        A quantity is missing that nothing gives.
    """
    kind: str = protocol.kind
    _identify(table, kind, where)
    finish: dict[str, Callable[[Any, Any, str], Any]] = {
        "pulse_sweep": _pulse_sweep,
        "forming": _forming,
        "cycling": _cycling,
        "write_verify": _write_verify,
        "bake": _bake,
        "noise": _noise,
        "reprogramming": _reprogramming,
        "iv_sweep": _iv_sweep,
        "pulse_train": _pulse_train,
    }
    _refuse_missing(table, kind, where)
    if kind in ("iv_sweep", "noise"):
        refuse_time_back(table, kind, where)
    table = finish.get(kind, _as_it_is)(table, protocol, where)
    _counted(table, "index" if kind == "noise" else None, ["cell"])
    for name, quantity in COLUMNS[kind].items():
        if name in table:
            if quantity.holds in ("counts", "labels") and table[name].notna().all():
                table[name] = table[name].round().astype(np.int64)
        elif name not in ("row", "col", "time", *MAY_LACK.get(kind, ())):
            table[name] = np.nan
    return table[[name for name in COLUMNS[kind] if name in table]].reset_index(drop=True)


def _refuse_missing(table: Any, kind: str, where: str) -> None:
    for name, quantity in COLUMNS[kind].items():
        if quantity.needed and name not in table:
            unit = f" [{quantity.unit}]" if quantity.unit else ""
            have = ", ".join(map(str, table.columns)) or "nothing"
            raise RefusedError(
                f"{where}: columns: {name}{unit} of {a_kind([kind])} is missing: name its column, or one value for "
                "all; "
                f"there is {have}"
            )

    groups = EITHER.get(kind, ())
    if groups and not any(set(group) <= set(table.columns) for group in groups):
        wanted = " or ".join(" and ".join(group) for group in groups)
        raise RefusedError(
            f"{where}: columns: {a_kind([kind])} needs {wanted}: name the columns; there is "
            f"{', '.join(map(str, table.columns)) or 'nothing'}"
        )


def refuse_time_back(table: Any, kind: str, where: str) -> None:
    """Refuse readings of a cell whose time goes back: lines were mixed up, or a second measurement begins there."""
    if "time" not in table:
        return
    one = [name for name in ("cell", "loop", "temperature") if name in table]
    times = table["time"]
    step = times.groupby([table[name] for name in one], sort=False, dropna=False).diff() if one else times.diff()
    if (step < 0.0).any():
        apart = "cells apart" if kind == "bake" else "cells or loops apart, or leave the time out"
        at = int((step < 0.0).to_numpy().argmax())
        raise RefusedError(
            f"{where}: time runs back, from {times.iloc[at] - step.iloc[at]:.6g} to {times.iloc[at]:.6g} s in reading "
            f"{at + 1}: sort the lines, name the column that tells {apart}"
        )


def _identify(table: Any, kind: str, where: str) -> None:
    """Give every cell a whole number."""
    if "cell" not in table:
        if {"row", "col"} <= set(table.columns):
            pairs = table[["row", "col"]].apply(tuple, axis=1) if kind != "map" else None
            table["cell"] = np.arange(len(table)) if pairs is None else pairs.factorize()[0]
        elif kind in _BY_LINE and kind != "map":
            table["cell"] = np.arange(len(table))
        else:
            raise RefusedError(f"{where}: columns: which cell is it? name cell, or row and col, or cell: {{per: line}}")
    elif table["cell"].dtype == object:
        table["cell"] = table["cell"].factorize()[0]
    if kind == "map" and not {"row", "col"} <= set(table.columns):
        raise RefusedError(f"{where}: columns: a map needs row and col, or wide with over: matrix or cells")


def _counted(table: Any, name: str | None, group: list[str]) -> None:
    if name is not None and name not in table:
        table[name] = table.groupby(group).cumcount()


def _as_it_is(table: Any, protocol: Any, where: str) -> Any:
    return table


def _pulse_sweep(table: Any, protocol: PulseSweep, where: str) -> Any:
    volts = table["volts"].to_numpy()
    sign = 1.0 if protocol.polarity == "set" else -1.0
    if (volts < 0).any() and (volts > 0).any():
        raise RefusedError(f"{where}: volts of both signs in a sweep of {protocol.polarity.upper()} pulses")
    if protocol.polarity == "set" and (volts < 0).any():
        raise RefusedError(f"{where}: negative volts in a SET sweep: positive volts SET here; say times: -1")
    table["volts"] = sign * np.abs(volts) + 0.0
    if protocol.swept not in table:
        raise RefusedError(f"{where}: columns: {protocol.swept} [V] is swept, and is missing")
    if "repeat" not in table:
        # A sweep begins where the cell changes, or what is swept goes back.
        size = table[protocol.swept].abs()
        sweep = ((table["cell"] != table["cell"].shift()) | (size < size.shift())).cumsum()
        table["repeat"] = sweep.groupby(table["cell"]).transform(_in_order)
    _counted(table, "step", ["cell", "repeat"])
    return table


def _in_order(values: Any) -> Any:
    """Return numbers from 0 in the order in which values are first met."""
    return values.factorize()[0]


def _forming(table: Any, protocol: Any, where: str) -> Any:
    if (table["volts"] < 0).any():
        raise RefusedError(f"{where}: negative volts in forming: positive volts form here; say times: -1")
    if "success" not in table:
        above = protocol.formed_above
        table["success"] = 1.0 if above is None else (table["after"] > above).astype(float)
    return _with_bool(table)


def _cycling(table: Any, protocol: Cycling, where: str) -> Any:
    if "state" not in table:
        order = ["HRS", "LRS"] if protocol.first == "reset" else ["LRS", "HRS"]
        table["state"] = np.asarray(order, object)[table.groupby("cell").cumcount().to_numpy() % 2]
    _counted(table, "cycle", ["cell", "state"])
    return table


def _write_verify(table: Any, protocol: Any, where: str) -> Any:
    low, high = table[["low", "high"]].min(axis=1), table[["low", "high"]].max(axis=1)
    table["low"], table["high"] = low, high  # as resistances they stand the other way round
    if "pulses" not in table:
        if not {"sets", "resets"} <= set(table.columns):
            raise RefusedError(f"{where}: columns: how many pulses were given? name sets and resets, or pulses")
        table["pulses"] = table["sets"] + table["resets"]
    if "level" not in table:
        # Level 0 conducts best.
        edges = sorted(set(zip(low, high, strict=True)), reverse=True)
        table["level"] = [edges.index(pair) for pair in zip(low, high, strict=True)]
    if "success" not in table:
        table["success"] = ((table["after"] >= low) & (table["after"] <= high)).astype(float)
    return _with_bool(table)


def _bake(table: Any, protocol: Any, where: str) -> Any:
    if {"before", "after"} <= set(table.columns):
        return table.drop(columns="conductance", errors="ignore")
    if (table["time"] < 0.0).any():
        raise RefusedError(
            f"{where}: a time of {table['time'].min():.4g} s: times count from the reading before, which is 0"
        )
    first = table[table["time"] == 0.0]
    later = table[table["time"] > 0.0].rename(columns={"conductance": "after"})
    if not len(first) or not len(later):
        raise RefusedError(f"{where}: columns: readings of time 0 (before the bake) and of later times are needed")
    later = later.drop(columns="before", errors="ignore")
    before = first[["cell", "temperature", "conductance"]].rename(columns={"conductance": "before"})
    if before.duplicated(["cell", "temperature"]).any():
        raise RefusedError(f"{where}: a cell has two readings of time 0 at one temperature: which is before the bake?")
    return later.merge(before, on=["cell", "temperature"], how="inner")


def _noise(table: Any, protocol: Noise, where: str) -> Any:
    for current, conductance in (("current", "conductance"), ("floor_current", "floor")):
        if current not in table:
            continue
        if conductance not in table:
            if not protocol.read_volts:
                raise RefusedError(
                    f"{where}: at how many volts was the {current.replace('_', ' ')} read? say read_volts "
                    "(--read-volts 0.2V)"
                )
            table[conductance] = table[current] / protocol.read_volts
        table = table.drop(columns=current)
    return table


def _reprogramming(table: Any, protocol: Any, where: str) -> Any:
    if "level" not in table:
        values = sorted(set(table["target"]))
        table["level"] = table["target"].map(values.index)
    if "cycle" not in table:
        table["cycle"] = table.groupby(["cell", "level"]).cumcount()
    twice = table.duplicated(["cell", "cycle", "level"])
    if twice.any():
        one = table[twice].iloc[0]
        raise RefusedError(
            f"{where}: cell {one['cell']:g} was programmed to level {one['level']:g} in cycle {one['cycle']:g} twice: "
            "name the columns that tell cells, levels and cycles apart"
        )
    return table


def _iv_sweep(table: Any, protocol: IvSweep, where: str) -> Any:
    if "loop" not in table:
        if protocol.period is not None and "time" in table:
            since = table["time"] - table.groupby("cell")["time"].transform("min")
            table["loop"] = np.floor(since / protocol.period + 1e-9).astype(np.int64)
        else:
            table["loop"] = 0
    _counted(table, "point", ["cell", "loop"])
    return table


def _pulse_train(table: Any, protocol: Any, where: str) -> Any:
    _counted(table, "step", ["cell"])
    if "count" not in table:
        table["count"] = (table["volts"] != 0.0).astype(np.int64)
    return table


def _with_bool(table: Any) -> Any:
    table["success"] = table["success"].astype(bool)
    return table
