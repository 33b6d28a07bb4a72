"""Are the numbers what they are said to be? Units off by a thousand, too few cells, constants: one sentence each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import RefusedError
from .description import Column, Entry
from .measures import to_si

if TYPE_CHECKING:
    from pandas import DataFrame

CELLS_MIN = 8
"""Fewer cells have no distribution."""
_OF_POPULATIONS = {"pulse_sweep", "forming", "cycling", "write_verify", "bake"}
SWITCHING = (1e-6, 2e-2)
"""Where the better-conducting tenth of switching cells lies [S]."""
ANY_CELL = (1e-10, 2e-2)
"""Where that of any cell lies, a virgin one, too [S]."""
_RANGES = {
    "volts": (0.05, 20.0),
    "gate": (0.05, 20.0),
    "current": (1e-13, 0.1),
    "width": (1e-10, 100.0),
    "time": (1e-9, 1e9),
    "temperature": (4.0, 1000.0),
}
_ALTERNATIVES = {
    "S": (("S", "mS", "uS", "nS", "pS"), ("ohm", "kohm", "Mohm", "mohm")),
    "V": (("V", "mV", "uV", "kV"),),
    "s": (("s", "ms", "us", "ns", "ps"),),
    "K": (("K", "°C"),),
    "A": (("A", "mA", "uA", "nA"),),
}
_OF = {"current": "A", "volts": "V", "gate": "V", "width": "s", "time": "s", "temperature": "K"}
_LARGEST = {"volts", "gate", "current"}
_CONDUCTANCES = ("before", "after", "conductance")


def check_table(table: DataFrame, entry: Entry, *, where: str, cells_min: int | None = None) -> None:
    """Refuse a table in which nothing can be measured, or whose numbers are in another unit than is said.

    Parameters
    ----------
    cells_min : int, optional
        Cells that are needed; :data:`CELLS_MIN` where a kind is about distributions, else one.
    """
    kind = entry.protocol.kind
    least = cells_min if cells_min is not None else CELLS_MIN if kind in _OF_POPULATIONS else 1
    cells = len(set(table["cell"]))
    if cells < least:
        raise RefusedError(
            f"{where}: {cells} cell{'' if cells == 1 else 's'}: a distribution over cells needs at least {least}"
        )
    _refuse_other_units(table, entry, where)
    _refuse_constants(table, entry, where)
    _refuse_other_windows(table, where)


def _refuse_constants(table: Any, entry: Entry, where: str) -> None:
    protocol = entry.protocol
    swept = [protocol.swept] if protocol.kind == "pulse_sweep" else ["volts"] if protocol.kind == "iv_sweep" else []
    measured = [name for name in (*_CONDUCTANCES, "current") if name in table]
    for name in [*measured, *swept]:
        values = table[name].to_numpy()
        if len(values) > 1 and np.all(values == values[0]):
            raise RefusedError(
                f"{where}: {name} is constant: every one of {len(values)} lines has {_said(values[0], name)}: is it "
                "the right column?"
            )
    if protocol.kind == "cycling":
        for state, part in table.groupby("state"):
            if len(part) > 2 and part["conductance"].nunique() == 1:
                raise RefusedError(
                    f"{where}: every one of {len(part)} readings of {state} is "
                    f"{_said(part['conductance'].iloc[0], 'conductance')}: is it the right column?"
                )


def _refuse_other_units(table: Any, entry: Entry, where: str) -> None:
    spans: dict[str, tuple[float, float]] = dict(_RANGES)
    if entry.plausible.volts is not None:
        spans["volts"] = entry.plausible.volts
    usual = ANY_CELL if entry.protocol.kind in {"map", "noise"} else SWITCHING
    spans |= dict.fromkeys((*_CONDUCTANCES, "high"), entry.plausible.conductance or usual)
    if getattr(entry.protocol, "current_in", "A") != "A":  # it is in volts across a resistor
        del spans["current"]
    for name, (least, most) in spans.items():
        if name not in table:
            continue
        bulk = _bulk(table[name].to_numpy(), name)
        if bulk is None or least <= bulk <= most:
            continue
        unit = _OF.get(name, "S")
        key = "conductance" if unit == "S" else name
        asked = f"widen plausible.{key} (--plausible {key}=LEAST,MOST)"
        remedy = asked if key in {"conductance", "volts"} else "correct the file"
        raise RefusedError(
            f"{where}: {name} of {_said(bulk, name)} {_whose(name)}, where {_said(least, name)} to "
            f"{_said(most, name)} is expected{_guess(name, unit, bulk, least, most, entry)}; if it is right as it is, "
            f"{remedy}",
            value=bulk,
        )


def _whose(name: str) -> str:
    if name in _LARGEST:
        return "at the largest"
    return "in the middle" if name in _OF else "in the better-conducting tenth"


_EPOCH = (9e8, 4.2e9)
"""Seconds since 1970 of the years 1998 to 2103."""


def _bulk(values: NDArray[np.float64], name: str) -> float | None:
    """Return the number that stands for a column: the largest voltage, the middle time, the well-conducting tenth."""
    finite = np.abs(values[np.isfinite(values)])
    finite = finite[finite > 0.0]
    if not len(finite):
        return None
    if name in _LARGEST:
        return float(finite.max())
    return float(np.quantile(finite, 0.5 if name in _OF else 0.9))


def _guess(name: str, unit: str, bulk: float, least: float, most: float, entry: Entry) -> str:
    """Return what the unit may be instead, where one of the same family would do."""
    given = _unit_given(name, entry)
    if given is None:
        return ""
    if name == "time" and _EPOCH[0] <= bulk <= _EPOCH[1]:
        return ": these look like seconds since 1970: take the first reading's off, cell by cell"
    as_it_was = _bare(given, unit, bulk)
    for family in _ALTERNATIVES[unit]:
        if not _same_family(given, family, unit):
            continue
        for other in family:
            value = float(to_si(other, unit, where="")(np.asarray([as_it_was]))[0])
            if least <= value <= most:
                return f": is the column in {other} and not in {given}?"
    return ""


def _unit_given(name: str, entry: Entry) -> str | None:
    if entry.wide is not None and name == "conductance":
        return entry.wide.unit
    columns: Mapping[str, Column] = entry.columns
    for other in (entry.columns, *(one.columns for one in entry.beside)):
        if name in other or ("conductance" in other and name in _CONDUCTANCES):
            columns = other
            break
    column = columns.get(name) or (columns.get("conductance") if name in _CONDUCTANCES else None)
    return column.unit if column is not None and column.column is not None else None


def _bare(given: str, unit: str, value: float) -> float:
    """Return the number in the file that became ``value``."""
    turn = to_si(given, unit, where="")
    one, two = (float(turn(np.asarray([x]))[0]) for x in (1.0, 2.0))
    if two < one:  # a resistance
        return one / value
    return (value - (2.0 * one - two)) / (two - one)


def _same_family(given: str, family: tuple[str, ...], unit: str) -> bool:
    """Whether both are conductances or both resistances."""
    turn = [to_si(one, unit, where="")(np.asarray([1.0, 2.0])) for one in (given, family[0])]
    return bool(np.all([(values[1] > values[0]) == (turn[0][1] > turn[0][0]) for values in turn]))


def _refuse_other_windows(table: Any, where: str) -> None:
    """Refuse windows in which the cells that succeeded do not lie."""
    if "low" not in table or not table["success"].any():
        return
    good = table[table["success"]]
    inside = ((good["after"] >= good["low"] * 0.999) & (good["after"] <= good["high"] * 1.001)).mean()
    if inside < 0.5:
        raise RefusedError(
            f"{where}: {1 - inside:.0%} of the cells that succeeded lie outside of their windows: are low, high and "
            "after in the same unit, and is success the right column?"
        )


def _said(value: float, name: str) -> str:
    for family in ("conductance", "current"):
        if name in {family, *(_CONDUCTANCES if family == "conductance" else ()), "high"}:
            return f"{value * 1e6:.3g} {'µA' if family == 'current' else 'µS'}"
    return f"{value:.3g} {_OF.get(name, '')}".rstrip()
