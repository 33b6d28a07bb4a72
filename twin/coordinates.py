"""Which numbers a fit may move, between which bounds, and the unbounded coordinates in which it moves them.

A bound is what physics or the range of the data admits; a number that ends at one is flagged in the profile.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

EDGE = 0.05
"""A value closer to a bound than this share of the range, or beyond it, has the bound moved before a fit begins."""
AT_BOUND = 0.02
"""Closer to a bound than this share of its range, a number counts as being at it."""


@dataclass(frozen=True)
class Coordinate:
    """One number of a fit, between ``low`` and ``high`` in SI units; ``log``: its logarithm is what moves."""

    name: str
    low: float
    high: float
    log: bool = True

    def encode(self, value: float) -> float:
        """Return the unbounded coordinate of a value; one outside the bounds is moved just inside."""
        u = self.share(value)
        u = min(max(u, 1e-3), 1.0 - 1e-3)
        return math.log(u / (1.0 - u))

    def decode(self, x: float) -> float:
        """Return the value at an unbounded coordinate."""
        u = 1.0 / (1.0 + math.exp(-min(max(x, -40.0), 40.0)))
        return self.low * (self.high / self.low) ** u if self.log else self.low + u * (self.high - self.low)

    def at_bound(self, value: float) -> str:
        """Return "low" or "high" where a value sits at a bound, else nothing."""
        u = self.share(value)
        return "low" if u < AT_BOUND else "high" if u > 1.0 - AT_BOUND else ""

    def share(self, value: float) -> float:
        """Return where a value lies between the bounds, 0 … 1."""
        if self.log:
            return math.log(max(value, 1e-300) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)


_TECHNOLOGY = (
    Coordinate("transistor.Vt", 0.2, 1.4, log=False),
    Coordinate("transistor.beta", 100e-6, 500e-6),
    Coordinate("series.Rs", 2500.0, 5000.0),
    Coordinate("driver.tau", 0.02e-6, 0.3e-6),
    Coordinate("driver.Vtd", 0.3, 1.6, log=False),
    Coordinate("driver.exponent", 0.4, 2.0),
    Coordinate("set.US", 0.2, 2.0),
    Coordinate("set.V0S", 0.05, 0.7),
    Coordinate("set.GxS", 20e-6, 2000e-6),
    Coordinate("set.slow_knee", -3.0, 1.5, log=False),
    Coordinate("set.slow_factor", 5.0, 90.0),
    Coordinate("reset.UR", 0.02, 0.5),
    Coordinate("reset.V0R", 0.003, 0.06),
    Coordinate("reset.GxR", 150e-6, 5000e-6),
    Coordinate("reset.Gm", 1.5e-6, 80e-6),
    Coordinate("reset.shallow", 0.0, 1.0, log=False),
    Coordinate("transistor.n", 0.5, 1.6),
    Coordinate("reset.slow_factor", 5.0, 90.0),
    Coordinate("memory.kq", 0.05, 6.0),
    Coordinate("memory.I0", 80e-6, 400e-6),
    Coordinate("memory.q_max", 0.01, 5.0),
    Coordinate("cycle_noise.Gh", 4e-6, 300e-6),
    Coordinate("cycle_noise.sigS", 0.03, 3.0),
    Coordinate("cycle_noise.sigL", 0.004, 0.6),
    Coordinate("cycle_noise.step_power", 0.25, 2.0, log=False),
    Coordinate("cycle_noise.sigB", 0.004, 0.6),
    Coordinate("cycle_noise.skewB", 0.0, 2.0, log=False),
    Coordinate("cycle_noise.gS", 0.003, 0.3),
    Coordinate("cycle_noise.ptail", 0.003, 0.6),
    Coordinate("cycle_noise.ttail", 0.1, 6.0),
    Coordinate("cycle_noise.tail_bend", 0.0, 2.0, log=False),
    Coordinate("cycle_noise.sigH", 0.08, 1.8),
    Coordinate("cycle_noise.lam", 0.004, 0.8),
    Coordinate("cycle_noise.d0", 0.15, 3.0),
    Coordinate("cycle_noise.rho", 0.03, 0.95),
    Coordinate("device_spread.ln_Rs", 0.004, 0.25),
    Coordinate("device_spread.ln_US", 0.01, 0.5),
    Coordinate("device_spread.ln_UR", 0.02, 0.6),
    Coordinate("device_spread.ln_GxR", 0.02, 0.8),
    Coordinate("device_spread.weak_fraction", 0.005, 0.3),
    Coordinate("device_spread.weak_factor", 1.05, 5.0),
    Coordinate("wear.age_power", 0.0003, 0.2),
    Coordinate("wear.age_cycles", 0.1, 500.0),
    Coordinate("forming.mean", 1.5, 6.0),
    Coordinate("forming.sd", 0.02, 1.0),
    Coordinate("forming.compliance_gain", 0.1, 5.0),
    Coordinate("forming.ln_sd", 0.05, 1.5),
    Coordinate("forming.tail_fraction", 0.003, 0.5),
    Coordinate("forming.tail_mean", 0.1, 3.0),
    Coordinate("relaxation.mean", 0.01, 2.0),
    Coordinate("relaxation.mean_corner", 5e-6, 500e-6),
    Coordinate("relaxation.sd", 0.02, 3.0),
    Coordinate("relaxation.corner", 1e-6, 200e-6),
    Coordinate("relaxation.power", 0.1, 3.0),
    Coordinate("relaxation.ln_gain", 0.02, 1.5),
    Coordinate("relaxation.activation", 0.01, 0.6),
    Coordinate("relaxation.strong_mean", 0.02, 10.0),
    Coordinate("relaxation.strong_activation", 0.2, 2.0),
    Coordinate("read_noise.scale", 0.005, 1.0),
    Coordinate("read_noise.relative", 0.0002, 0.05),
    Coordinate("read_noise.flicker", 0.0005, 0.2),
    Coordinate("read_noise.flicker_tilt", -0.45, 0.8, log=False),
    Coordinate("read_noise.flicker_ln_sd", 0.05, 1.5),
    Coordinate("read_noise.one_trap_fraction", 0.01, 0.9),
    Coordinate("read_noise.trap_amplitude", 0.2, 30.0),
)
_GRADED = (
    Coordinate("conduction.Gon", 50e-6, 5000e-6),
    Coordinate("conduction.Goff", 5e-6, 800e-6),
    Coordinate("conduction.Gv", 0.01e-6, 5e-6),
    Coordinate("conduction.b", 0.3, 6.0),
    Coordinate("set.VS0", 0.2, 3.0),
    Coordinate("set.V0S", 0.01, 0.2),
    Coordinate("set.aS", 0.02, 1.5),
    Coordinate("reset.VR0", 0.2, 3.0),
    Coordinate("reset.V0R", 0.01, 0.2),
    Coordinate("reset.aR", 0.02, 1.5),
    Coordinate("cycles.lam", 0.02, 2.0),
    Coordinate("cycles.bound", 0.005, 0.3),
    Coordinate("device_spread.ln_xi", 0.01, 0.4),
    Coordinate("device_spread.lam", 0.05, 2.0),
    Coordinate("device_spread.ln_Gon", 0.01, 0.6),
    Coordinate("device_spread.ln_Goff", 0.01, 0.8),
    Coordinate("device_spread.ln_Gv", 0.02, 1.5),
)
FULL_1T1R = {one.name: one for one in _TECHNOLOGY}
FULL_PASSIVE = {one.name: one for one in _GRADED}
"""Everything that measurements of a new technology may move, by the kind of its cells: some names are in both."""


def full(passive: bool) -> dict[str, Coordinate]:
    """Return the numbers that a fit may move, by their names."""
    return FULL_PASSIVE if passive else FULL_1T1R


CHIP = ("transistor.Vt", "series.Rs", "set.US", "reset.UR")
"""What differs between chips of one technology: the numbers of a calibration."""

CHIP_PASSIVE = ("conduction.Gon", "conduction.Goff", "set.VS0", "reset.VR0")
"""The same of passive chips."""

UNKNOWN = {
    "volts": (1.0, 4.5),
    "gate": (1.0, 4.5),
    "width": (20e-9, 20e-6),
}
"""Last part of the name of an unknown number of a protocol -> bounds, in SI units."""
OFFSETS = {"Vt": (-0.4, 0.4), "ln_Rs": (-0.3, 0.3)}
"""The same of the block of cells of a measurement: by how much it differs."""


WIDER = 3.0
"""Factor between a value and the bound that is moved for it."""


def around(coordinate: Coordinate, value: float) -> Coordinate:
    """Return the coordinate with ``value`` well inside of its bounds: technologies differ, and a fit begins there."""
    if coordinate.log and value <= 0.0:
        return coordinate  # a term that is off: it begins at the least there is
    if EDGE < coordinate.share(value) < 1.0 - EDGE:
        return coordinate
    span = coordinate.high - coordinate.low
    if coordinate.log:
        low, high = min(coordinate.low, value / WIDER), max(coordinate.high, value * WIDER)
    else:
        low, high = min(coordinate.low, value - 0.3 * span), max(coordinate.high, value + 0.3 * span)
    return replace(coordinate, low=low, high=high)


def coordinate_of(name: str, passive: bool) -> Coordinate | None:
    """Return the coordinate of a number of the model or of a protocol; None where it has none."""
    if name in full(passive):
        return full(passive)[name]
    bounds = {**UNKNOWN, **OFFSETS}.get(name.rsplit(".", 1)[-1]) if name.startswith("protocol.") else None
    return Coordinate(name, *bounds, log=bounds[0] > 0.0) if bounds else None


def encode(coordinates: Iterable[Coordinate], values: Mapping[str, float]) -> Floats:
    """Return the unbounded coordinates of named values."""
    return np.asarray([one.encode(values[one.name]) for one in coordinates])


def decode(coordinates: Iterable[Coordinate], x: Iterable[float]) -> dict[str, float]:
    """Return named values at unbounded coordinates."""
    return {one.name: one.decode(float(value)) for one, value in zip(coordinates, x, strict=True)}
