"""What pulses add to the planes of a chip's account."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .wear_store import LAST_SIGN, STRESSES

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Planes = dict[str, NDArray[np.float64]]
    Place = tuple[slice, slice]


def count_pulses(planes: Planes, at: Place, volts: NDArray[np.float64], given: NDArray[np.float64]) -> None:
    """Add ``given`` pulses of ``volts`` [V], each cell's of one sign."""
    for counts, stress, mask in (
        ("set_pulses", "set_stress", volts > 0.0),
        ("reset_pulses", "reset_stress", volts < 0.0),
    ):
        if mask.any():
            mine = np.where(mask, given, 0.0)
            planes[counts][at] += mine
            np.maximum(planes[stress][at], np.abs(volts) * (mine > 0.0), out=planes[stress][at])
    now = np.where(given > 0.0, np.sign(volts), 0.0)
    last = planes[LAST_SIGN][at]
    # A part of a pulse that is expected makes no whole alternation.
    planes["alternations"][at] += np.where(now * last < 0.0, np.minimum(given, 1.0), 0.0)
    last[...] = np.where(now != 0.0, now, last)


def count_mixed(
    planes: Planes,
    at: Place,
    up: NDArray[np.float64],
    down: NDArray[np.float64],
    volts: tuple[float, float],
) -> None:
    """Add SETs ``up`` and RESETs ``down`` in an order nobody keeps, of at most ``volts`` [V] (RESET, SET).

    They alternate at most twice for each of the rarer kind, and once more where they begin the other way.
    """
    for counts, stress, given, most in zip(
        ("reset_pulses", "set_pulses"), reversed(STRESSES), (down, up), volts, strict=True
    ):
        planes[counts][at] += given
        np.maximum(planes[stress][at], np.where(given > 0.0, most, 0.0), out=planes[stress][at])
    now, last = np.sign(up - down), planes[LAST_SIGN][at]
    begin = np.where(now * last < 0.0, np.minimum(up + down, 1.0), 0.0)
    planes["alternations"][at] += 2.0 * np.minimum(up, down) + begin
    last[...] = np.where(now != 0.0, now, last)


def count_sweep(planes: Planes, cell: tuple[int, int], signs: NDArray[np.float64], volts: NDArray[np.float64]) -> None:
    """Add a sweep of one cell through ``volts`` [V] whose stays at a polarity have ``signs``."""
    planes["sweeps"][cell] += 1.0
    if signs.size:
        planes["set_pulses"][cell] += float((signs > 0.0).sum())
        planes["reset_pulses"][cell] += float((signs < 0.0).sum())
        turned = signs[0] * planes[LAST_SIGN][cell] < 0.0
        planes["alternations"][cell] += signs.size - 1 + float(turned)
        planes[LAST_SIGN][cell] = signs[-1]
        planes["set_stress"][cell] = max(planes["set_stress"][cell], float(volts.max()))
        planes["reset_stress"][cell] = max(planes["reset_stress"][cell], -float(volts.min()))
