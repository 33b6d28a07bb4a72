"""Units that stand in the header of a column: ``U (mV)``, ``I [uA]``, ``R/kOhm``, ``volts_V``."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from ....common.errors import RefusedError
from ...measured_data.array_files import UNITS
from ...measured_data.measures import LONG_TIMES, to_si

if TYPE_CHECKING:
    from pandas import DataFrame

_UNIT = re.compile(
    r"^(?P<name>.*?)\s*(?:\((?P<round>[^()]+)\)|\[(?P<square>[^\[\]]+)\]|[/_](?P<bare>[A-Za-zµμΩ°]+))\s*$"
)
_DIMENSIONS = ("V", "A", "S", "s", "K")
_CALLED = {"V": "volts", "A": "amperes", "S": "siemens or ohms", "s": "seconds", "K": "kelvins"}


def unit_in(header: str) -> tuple[str, str]:
    """Return name and unit of a header; no unit where what stands there is none."""
    found = _UNIT.match(header)
    if found is None:
        return header, ""
    text = (found["round"] or found["square"] or found["bare"]).strip().replace("Ohm", "ohm").replace("OHM", "ohm")
    if _dimension(text) is None or not found["name"] or (found["bare"] in LONG_TIMES):  # G_min is a smallest G
        return header, ""
    return found["name"], text


def unit_of_column(column: str | int, unit: str, frame: DataFrame, where: str) -> str:
    """Return the unit the header of a column has, or the file beside the column; "" where there is none.

    Raises
    ------
    RefusedError
        It is a unit of something else than ``unit``.
    """
    header = str(frame.columns[column - 1]) if isinstance(column, int) else column
    beside = str(frame.attrs.get(UNITS, {}).get(header, "")).strip().replace("Ohm", "ohm")
    said = unit_in(header)[1] or (beside if _dimension(beside) else "")
    dimension = _dimension(said) if said else None
    if dimension is None or dimension == unit:
        return said if dimension is not None else ""
    raise RefusedError(
        f"{where}: column {header!r} is in {_CALLED[dimension]}, and {_CALLED[unit]} are needed: another column, or "
        "say "
        f"its unit, as in {header!r}:{unit}"
    )


def _dimension(text: str) -> str | None:
    """Return what a unit is of: V, A, S (conductances and resistances), s or K; None where it is no unit."""
    for unit in _DIMENSIONS:
        try:
            to_si(text, unit, where="")
        except RefusedError:
            continue
        return unit
    return None
