"""Sticks cells of a chip in mid-life: the life is saved, edited and taken up again, whatever the cells are made of."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np

from ...common.files import read_arrays
from ..faults import StuckHow

# Assumed, no source: what a torn electrode and a shorted cell conduct [S].
_CONDUCTANCE: Final[dict[StuckHow, float]] = {"open": 1e-9, "short": 1e-2}
# Both families of cells number kinds alike: 1 open, 2 stuck where it is, 3 short.
_KIND: Final[dict[StuckHow, int]] = {"open": 1, "here": 2, "short": 3}
_OHMIC: Final = 1e-3  # bend [1/V] of a graded cell that conducts like a resistor


class LivingChip(Protocol):
    """What this needs of a chip."""

    rows: int
    cols: int

    def save(self, path: Path) -> None:
        """Write the chip's life."""
        ...

    def load(self, path: Path) -> None:
        """Take up a life."""
        ...


def stick_cell(chip: LivingChip, row: int, col: int, how: StuckHow) -> None:
    """Stick one cell; from now on no pulse moves it.

    Parameters
    ----------
    chip : LivingChip
    row, col : int
    how : str
        ``here`` (in the state it is in), ``open`` (1 nS) or ``short`` (10 mS).

    Raises
    ------
    ValueError
        When the cell lies outside the chip.
    """
    if not (0 <= row < chip.rows and 0 <= col < chip.cols):
        raise ValueError(f"cell ({row}, {col}) lies outside a chip of {chip.rows} × {chip.cols} cells")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "chip.npz"
        chip.save(file)
        life: dict[str, Any] = read_arrays(file, "chip's state")
        _edit(life, row * chip.cols + col, how)
        np.savez(file, **life)
        chip.load(file)


def _edit(life: dict[str, Any], cell: int, how: StuckHow) -> None:
    siemens = _CONDUCTANCE.get(how)
    if "model.stuck" in life:  # behavioural cells
        life["model.stuck"][cell] = True
        if siemens is not None:
            life["model.conductance"][cell] = siemens
        return
    life["model.kind"][cell] = _KIND[how]
    if siemens is None:
        return
    if "model.gc" in life:  # filament cells count in microsiemens
        life["model.gc"][cell] = siemens * 1e6
        life["model.y"][cell] = math.log(siemens * 1e6)
    else:
        life["model.g"][cell] = siemens
        life["model.b"][cell] = _OHMIC
        life["model.s"][cell] = math.log(siemens / life["model.goff"][cell]) / life["model.ln_ratio"][cell]
