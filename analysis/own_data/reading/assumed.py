"""The protocol of a measurement that nobody described: what was said beside the columns, all else unknown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.errors import RefusedError, unknown
from ...measured_data.kinds import a_kind
from ...measured_data.measures import UNKNOWN

if TYPE_CHECKING:
    from pandas import DataFrame

_NUMBERS: dict[str, tuple[str, ...]] = {
    "pulse_sweep": ("polarity", "swept", "stop_beyond"),
    "forming": ("formed_above",),
    "cycling": ("first",),
    "write_verify": (),
    "bake": ("extrapolate_to",),
    "reprogramming": ("settle",),
    "noise": ("rate", "bandwidth"),
    "iv_sweep": ("compliance", "period"),
    "pulse_train": (),
    "map": (),
}
_UNSAID: dict[str, Any] = {"volts": UNKNOWN, "gate": UNKNOWN, "width": UNKNOWN}
_STEADY = 0.05


def protocol_of(
    kind: str, numbers: Mapping[str, str], table: DataFrame | None = None, *, where: str = ""
) -> dict[str, Any]:
    """Return what a description would say of the protocol, without its kind.

    Parameters
    ----------
    numbers : mapping of str to str
        What was said beside the columns.
    table : DataFrame, optional
        The quantities as they were read; without it only the form counts.

    Raises
    ------
    RefusedError
        A number that this kind has not, or one that is needed and neither said nor in the table.
    """
    known = ("read_volts", *_NUMBERS[kind])
    for name in numbers:
        if name not in known:
            raise RefusedError(f"{a_kind([kind])} has no {unknown('number', name, known).removeprefix('unknown ')}")
    told: dict[str, Any] = dict(numbers)
    if kind == "pulse_sweep":
        told = {**_sweep(table), **told}
    elif kind == "forming":
        told |= {
            "width": UNKNOWN,
            "gate": UNKNOWN,
            "start_volts": UNKNOWN,
            "step_volts": UNKNOWN,
            "most_volts": UNKNOWN,
        }
    elif kind == "cycling":
        told |= {"reset": _UNSAID, "set": _UNSAID}
    elif kind == "write_verify":
        told["algorithm"] = _UNSAID_ALGORITHM
    elif kind == "noise" and "rate" not in told:
        told["rate"] = 1.0 if table is None else _rate(table, where)
    elif kind == "pulse_train":
        told["width"] = UNKNOWN
    return told


# Every number of it is unknown, which nothing can replay: a twin refuses it with their names.
_UNSAID_ALGORITHM: dict[str, Any] = {
    "method": "ispp",
    "gate": {"start": UNKNOWN, "step": UNKNOWN},
    "set_volts": UNKNOWN,
    "set_width": UNKNOWN,
    "reset": _UNSAID,
}


def _sweep(table: Any) -> dict[str, Any]:
    """Return polarity and what is swept, as the numbers show them."""
    if table is None:
        return {"polarity": "set", "swept": "volts"}
    volts = table["volts"].to_numpy()
    constant = np.ptp(volts) == 0.0 and "gate" in table
    return {"polarity": "reset" if (volts <= 0.0).all() else "set", "swept": "gate" if constant else "volts"}


def _rate(table: Any, where: str) -> float:
    """Return samples per second [Hz] of a time column, which must run steadily."""
    if "time" not in table:
        raise RefusedError(f"{where}: how many samples per second? say the rate (--rate 400Hz), or name a time column")
    steps = table.groupby("cell")["time"].diff().dropna().to_numpy() if "cell" in table else np.diff(table["time"])
    middle = float(np.median(steps)) if len(steps) else 0.0
    if not middle > 0.0:
        raise RefusedError(f"{where}: the time column does not run on: say the rate (--rate 400Hz)")
    uneven = np.abs(steps - middle) > _STEADY * middle
    if uneven.mean() > _STEADY:
        raise RefusedError(
            f"{where}: {uneven.mean():.0%} of the samples are not {middle:.3g} s after the one before: a spectrum "
            "needs "
            "a steady rate"
        )
    return 1.0 / middle
