"""What a fit never sees: a stated half of the cells, or whole chips, dates or bake temperatures.

The error on it is the only one that says how good a profile is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np

from ...analysis.measured_data.checks import CELLS_MIN
from ...analysis.measured_data.measured import Measured
from ...common.errors import RefusedError, unknown

By = Literal["cells", "chips", "dates", "temperatures"]
GROUP = 4
"""Neighbouring cells that stay together: where levels alternate by address, both halves have all of them."""
LEAST_SHARE = 0.2
"""Groups that leave a measurement a smaller half than this are counted anew within it."""
OF_DISTRIBUTIONS = ("pulse_sweep", "forming", "cycling", "write_verify", "bake")
"""Kinds that say nothing with a few cells."""
NEAR = 0.5
"""Temperatures closer than this are one [K]."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """Data in two halves.

    Attributes
    ----------
    fitted, held : list of Measured
        What the fit sees, and what it never sees.
    said : str
        Which half was fitted, in words: it is in the source line of every fitted number.
    not_held : list of str
        Ids of measurements of which nothing could be held out.
    """

    fitted: list[Measured]
    held: list[Measured]
    said: str
    not_held: list[str]


def split(data: Sequence[Measured], hold_out: str = "cells") -> Split:
    """Return the data in two halves.

    Parameters
    ----------
    hold_out : str
        "cells": every second group of four neighbouring cells. "chips", "dates" or "temperatures": every second of
        them; "chips=B", "dates=2020-07-30", "temperatures=180 °C" (several with commas): those.

    Raises
    ------
    RefusedError
        There are not two of what is asked for, or a half has too few cells.
    """
    by, _, wanted = hold_out.partition("=")
    by = by.strip()
    if by not in get_args(By):
        raise RefusedError(unknown("way to hold data out", by, get_args(By)))
    names = [one.strip() for one in wanted.split(",") if one.strip()]
    if by == "cells":
        if names:
            raise RefusedError(f"--hold-out {hold_out}: cells are held out in groups of {GROUP}, none by its name")
        return _of_cells(data)
    return _of_temperatures(data, names) if by == "temperatures" else _of_whole(data, by, names)


def in_half(data: Sequence[Measured]) -> list[np.ndarray[Any, np.dtype[np.bool_]]]:
    """Return for every line of every measurement whether its cell belongs to the half that is fitted.

    The same cell of a chip is in the same half of all its measurements.
    """
    halves: list[np.ndarray[Any, np.dtype[np.bool_]]] = []
    for measured in data:
        of_chip = [one for one in data if one.chip == measured.chip]
        cells = sorted({cell for one in of_chip for cell in one.table["cell"]}, key=_order)
        mine = sorted(set(measured.table["cell"]), key=_order)
        first = _first_half(cells) & set(mine)
        if not LEAST_SHARE <= len(first) / len(mine) <= 1.0 - LEAST_SHARE:
            first = _first_half(mine)
        if len(mine) < 2 * GROUP:
            first = set(mine[::2])
        halves.append(measured.table["cell"].isin(list(first)).to_numpy())
    return halves


def _first_half(cells: list[Any]) -> set[Any]:
    return {cell for rank, cell in enumerate(cells) if rank // GROUP % 2 == 0}


def _order(cell: Any) -> tuple[int, Any]:
    return (1, cell) if isinstance(cell, str) else (0, cell)


def _part(measured: Measured, lines: Any) -> Measured:
    return dataclasses.replace(measured, table=measured.table[lines].reset_index(drop=True))


def _of_cells(data: Sequence[Measured]) -> Split:
    fitted: list[Measured] = []
    held: list[Measured] = []
    not_held: list[str] = []
    for measured, mine in zip(data, in_half(data), strict=True):
        if measured.cells < 2:
            fitted.append(measured)
            not_held.append(measured.id)
            continue
        parts = _part(measured, mine), _part(measured, ~mine)
        for part in parts:
            _refuse_few(measured, part)
        fitted.append(parts[0])
        held.append(parts[1])
    return Split(fitted=fitted, held=held, said=f"every second group of {GROUP} cells", not_held=not_held)


def _refuse_few(whole: Measured, part: Measured) -> None:
    if whole.kind in OF_DISTRIBUTIONS and part.cells < CELLS_MIN:
        raise RefusedError(
            f"{whole.id}: {whole.cells} cells are too few: half of them is held out, and a distribution over cells "
            f"needs at least {CELLS_MIN}: give {2 * CELLS_MIN} or more"
        )


def _of_whole(data: Sequence[Measured], by: str, names: list[str]) -> Split:
    one = by.removesuffix("s")
    there = sorted({getattr(measured, one) for measured in data})
    if len(there) < 2:
        said = f"all data are of one {one}" + (f", {there[0]}" if there[0] else f", and none of them says its {one}")
        raise RefusedError(f"--hold-out {by}: {said}: hold out cells, or give data of another {one}")
    for name in names:
        if name not in there:
            raise RefusedError(f"--hold-out {by}: {unknown(one, name, [name or 'not said' for name in there])}")
    out = names or there[1::2]
    fitted = [measured for measured in data if getattr(measured, one) not in out]
    held = [measured for measured in data if getattr(measured, one) in out]
    if not fitted:
        raise RefusedError(f"--hold-out {by}: nothing is left to fit on: hold out fewer than all {len(there)} {by}")
    kept = [name or "one that is not named" for name in there if name not in out]
    return Split(fitted=fitted, held=held, said=f"{one} {', '.join(kept)}", not_held=[])


def _of_temperatures(data: Sequence[Measured], names: list[str]) -> Split:
    from ...analysis.measured_data.measures import read_measure

    there = sorted({round(float(k), 2) for one in data if one.kind == "bake" for k in set(one.table["temperature"])})
    if len(there) < 2:
        raise RefusedError(
            f"--hold-out temperatures: {len(there) or 'no'} bake temperature{'s are' if not there else ' is'} in the "
            "data, two are needed: hold out cells"
        )
    wanted = [read_measure(name, "K") for name in names]
    for name, kelvin in zip(names, wanted, strict=True):
        if all(abs(one - kelvin) > NEAR for one in there):
            raise RefusedError(
                f"--hold-out temperatures: {unknown('bake temperature', name, [_celsius(one) for one in there])}"
            )
    out = wanted or there[1::2]
    bakes = [one for one in data if one.kind == "bake"]
    rest = [one for one in data if one.kind != "bake"]
    halves = _of_cells(rest) if rest else Split(fitted=[], held=[], said="", not_held=[])
    fitted, held = list(halves.fitted), list(halves.held)
    for bake in bakes:
        gone = (np.abs(bake.table["temperature"].to_numpy()[:, None] - np.asarray(out)) <= NEAR).any(axis=1)
        fitted += [_part(bake, ~gone)] if not gone.all() else []
        held += [_part(bake, gone)] if gone.any() else []
    if not any(one.kind == "bake" for one in fitted):
        raise RefusedError(f"--hold-out temperatures: no bake is left to fit on: leave one of {len(there)} in")
    kept = [_celsius(one) for one in there if all(abs(one - k) > NEAR for k in out)]
    said = f"bakes at {', '.join(kept)}" + (f"; of the rest, {halves.said}" if rest else "")
    return Split(fitted=fitted, held=held, said=said, not_held=halves.not_held)


def _celsius(kelvin: float) -> str:
    return f"{kelvin - 273.15:.0f} °C"


def thinned(data: Sequence[Measured], most: int, seed: int) -> list[Measured]:
    """Return the data with at most ``most`` cells of each measurement, in whole groups, the same for the same seed."""
    made: list[Measured] = []
    for measured in data:
        cells = sorted(set(measured.table["cell"]), key=_order)
        if len(cells) <= most:
            made.append(measured)
            continue
        groups = [cells[at : at + GROUP] for at in range(0, len(cells), GROUP)]
        rng = np.random.default_rng([seed, len(cells)])
        chosen = rng.permutation(len(groups))[: max(most // GROUP, 1)]
        keep = {cell for at in chosen for cell in groups[at]}
        made.append(_part(measured, measured.table["cell"].isin(list(keep))))
    return made
