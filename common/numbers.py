"""Numbers as people and libraries hand them over: what is none, or carries more than a number, is refused by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .errors import RefusedError

_PLAIN = "give plain numbers in SI units"


_FILL = "fill what is masked first; a count of 0, or a target of nan, leaves a cell alone"
_NO_NUMBERS = {
    "b": ("an array of true and false", "give counts as whole numbers, as .astype(int) makes them"),
    "O": ("an array of objects", _PLAIN),
    "M": ("an array of dates", _PLAIN),
    "m": ("an array of spans of time", "give seconds"),
    "c": ("an array of complex numbers", _PLAIN),
    "V": ("a structured array", "name one of its columns"),
}


def numbers(values: ArrayLike, name: str, *, channel: str) -> NDArray[np.float64]:
    """Return ``values`` as float64; refuse what is no real number, and what NumPy makes numbers of without a word.

    Those are text that looks like a number, true and false, dates, and arrays that carry more than numbers: a mask, or
    a unit.
    """
    if isinstance(values, float):
        return np.asarray(values, dtype=np.float64)
    said = _no_numbers(values)
    if said is None:
        try:
            array = np.asarray(values)
            if array.dtype.kind in "fiu":
                return np.asarray(array, dtype=np.float64)
            if array.dtype.kind == "O" and not hasattr(values, "dtype"):  # numbers too large for an integer
                return np.array([_number(value) for value in array.flat], dtype=np.float64).reshape(array.shape)
            if array.ndim:
                said = _NO_NUMBERS.get(array.dtype.kind)
        except (TypeError, ValueError, OverflowError):
            pass
    if said is None:
        shown = repr(values)
        said = (shown if len(shown) <= 60 else shown[:57] + "...", _PLAIN)
    what, remedy = said
    more = "" if remedy == _PLAIN else f"; {remedy}"
    raise RefusedError(f"{name} is {what} at {channel}: {_PLAIN}{more}")


def _no_numbers(values: object) -> tuple[str, str] | None:
    """Return what it is that NumPy would turn into numbers, and the remedy; None where nothing is lost."""
    kind = type(values)
    if kind is np.ndarray:
        return _NO_NUMBERS.get(values.dtype.kind) if values.ndim else None  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(values, np.ma.MaskedArray):
        return "a masked array", _FILL
    if isinstance(values, np.ndarray) and not isinstance(values, np.memmap | np.matrix):
        return f"an array of a kind of its own ({kind.__name__})", _PLAIN
    if hasattr(values, "magnitude") and hasattr(values, "units"):
        return f"a {kind.__name__} with a unit", _PLAIN
    if isinstance(values, list | tuple):
        for value in values:  # pyright: ignore[reportUnknownVariableType]
            if type(value) is float or type(value) is int:
                continue
            if isinstance(value, bool | np.bool_):
                return f"{value} among numbers", "give counts as whole numbers"
            said = _no_numbers(value)
            if said is not None:
                return said
    return None


def scalar(value: float, name: str, *, channel: str) -> float:
    """Return a single number as a float; refuse what is none."""
    array = numbers(value, name, channel=channel)
    if array.ndim:
        raise RefusedError(f"{name} at {channel} has shape {array.shape}: give a single number")
    return float(array)


def _number(value: object) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(value)
    return float(value)
