"""Sweeps and samples: one cell over a list of voltages, and over time."""

from __future__ import annotations

import numpy as np

from ..instruments.abilities import Samples, Staircases, Sweeps
from ..instruments.capabilities import FLAG_COMPLIANCE, IVTrace, Staircase, Trace
from .checks import Group
from .reads import LATE
from .subject import COUNT, NotHereError, Subject, require, require_volts

GROUP = Group("traces")
_POINTS = 5
_SAMPLES = 20


@GROUP.check("a sweep is an IVTrace of its points, its currents follow the voltage within the compliance", needs=Sweeps)
def sweep(on: Subject) -> None:
    """Sweep one cell up, down and back at the voltage of a read."""
    spec, (row, col) = on.spec, on.cell
    volts = on.volts * np.array([0.0, 0.5, 1.0, 0.5, 0.0, -0.5, -1.0, -0.5, 0.0])
    dwell = max(spec.sweep_dwell[0], 1e-3)
    compliance = spec.limits.current_max
    before = on.array.cost
    found = on.array.ability(Sweeps).sweep(row, col, volts, compliance=compliance, dwell=dwell)
    spent = on.array.cost - before
    require(isinstance(found, IVTrace), f"sweep returned {type(found).__name__}, not an IVTrace")
    require(
        (found.row, found.col) == (row, col), f"the record says cell ({found.row}, {found.col}), not ({row}, {col})"
    )
    require(found.compliance == compliance, "compliance is not what was asked")
    took = spent.chip_seconds / volts.size
    require(
        found.dwell > 0.0 and 0.5 * took <= found.dwell <= 2.0 * took,
        f"a point took {found.dwell:g} s by the record and {took:g} s by the cost; {dwell:g} s were asked",
    )
    for name in ("volts", "gate", "current", "flags"):
        plane = getattr(found, name)
        require(plane.shape == volts.shape, f"{name} has shape {plane.shape}, {volts.size} points were asked")
    off = float(np.abs(found.volts - volts).max())
    # A unit that measures what it gives back is off by its own accuracy.
    require(off <= 0.5 * spec.volts_lsb + 0.02 * on.volts, f"a point is {off:g} V off what was asked")
    require(np.isfinite(found.current).all(), "a current is no finite number")
    require((np.abs(found.current) <= 1.1 * compliance).all(), f"a current is above the compliance {compliance:g} A")
    require(not (found.flags & FLAG_COMPLIANCE).any() or (np.abs(found.current) > 0.5 * compliance).any(),
            "compliance is flagged at currents far below it")  # fmt: skip
    require(spent.transactions >= 1, "a sweep counted no transaction")
    # Where a host steps, its messages take time that only the record can tell.
    bound = LATE * spec.sweep_seconds(volts.size, max(dwell, found.dwell)) + 1e-9
    require(0.0 < spent.chip_seconds <= bound, f"a sweep counted {spent.chip_seconds:g} s, foretold are {bound:g} s")
    _signs(on, found.volts, found.current)


@GROUP.check("a sample is a Trace: points, times and sign of the current", needs=Samples)
def sample(on: Subject) -> None:
    """Sample one cell at the voltage of a read."""
    spec, (row, col) = on.spec, on.cell
    rate = min(1e3, spec.sample_rate_max)
    points = min(_SAMPLES, spec.sample_points_max)
    before = on.array.cost
    found = on.array.ability(Samples).sample(row, col, on.volts, rate=rate, seconds=points / rate)
    spent = on.array.cost - before
    require(isinstance(found, Trace), f"sample returned {type(found).__name__}, not a Trace")
    require(
        (found.row, found.col) == (row, col), f"the record says cell ({found.row}, {found.col}), not ({row}, {col})"
    )
    require_volts(found.volts, on.volts, on.spec)
    require(found.time.shape == found.current.shape == (points,), f"{found.time.size} samples, {points} were asked")
    steps = np.diff(found.time)
    require(
        (steps > 0.0).all() and 0.5 < float(steps.mean()) * rate < 1.5,
        f"samples are {steps.mean():g} s apart, about {1.0 / rate:g} s were asked",
    )
    require(found.time[0] >= 0.0, "a sample was taken before the bias was applied")
    require(np.isfinite(found.current).all(), "a current is no finite number")
    require(spent.pulses == 0 and spent.transactions >= 1, "a sample counts as a transaction and as no pulse")
    _signs(on, np.full(points, on.volts), np.full(points, found.current.mean()))


@GROUP.check("a staircase is a Staircase of its pulses, counted as such, each read behind it", needs=Staircases)
def staircase(on: Subject) -> None:
    """Rise to the voltage of a read."""
    spec, (row, col) = on.spec, on.cell
    asked = np.linspace(0.5 * on.volts, on.volts, COUNT)
    before = on.array.cost
    found = on.array.ability(Staircases).staircase(row, col, float(asked[0]), float(asked[-1]), COUNT, width=on.width)
    spent = on.array.cost - before
    require(isinstance(found, Staircase), f"staircase returned {type(found).__name__}, not a Staircase")
    require(
        (found.row, found.col) == (row, col), f"the record says cell ({found.row}, {found.col}), not ({row}, {col})"
    )
    for name in ("volts", "current", "conductance"):
        plane = getattr(found, name)
        require(plane.shape == (COUNT,), f"{name} has shape {plane.shape}, {COUNT} pulses were asked")
        require(np.isfinite(plane).all(), f"{name} holds what is no finite number")
    off = float(np.abs(found.volts - asked).max())
    require(off <= 2.0 * spec.volts_lsb, f"a pulse is {off:g} V off what was asked")
    require_volts(found.read_volts, spec.read_volts, spec)
    require(spent.pulses == COUNT, f"{COUNT} pulses were counted as {spent.pulses}")
    _signs(on, np.full(COUNT, on.volts), found.conductance * on.volts)


def _signs(on: Subject, volts: np.ndarray, current: np.ndarray) -> None:
    try:
        seen, calm = on.steady()
    except NotHereError:
        return
    far = np.abs(volts) > 0.9 * on.volts
    wanted = float(seen.conductance[0, 0]) * volts[far]
    # One conversion of a sweep says less than the mean of a read.
    if not calm[0, 0] or np.abs(wanted).max() < 20 * float(seen.stderr[0, 0]) * on.volts:
        return
    require((np.sign(current[far]) == np.sign(volts[far])).all(), "currents do not have the sign of the voltage")
    ratio = float(np.median(current[far] / wanted))
    require(0.3 < ratio < 3.0, f"currents are {ratio:.2g} of what a read of the same cell gives: are they in A?")
