"""Reads: records, units, signs, costs."""

from __future__ import annotations

import numpy as np

from ..instruments.block import Block
from ..instruments.capabilities import FLAG_BELOW_NOISE, FLAG_COMPLIANCE, FLAG_OVERFLOW, Reading
from .checks import Group
from .subject import NotHereError, Subject, carries, require, require_volts

GROUP = Group("reads")

_KNOWN = FLAG_OVERFLOW | FLAG_COMPLIANCE | FLAG_BELOW_NOISE
LATE = 1.1
"""Part of a forecast that a cost may come to."""


@GROUP.check("a read is a Reading of the block: shapes, volts, conductance = current / volts, flags")
def record(on: Subject) -> None:
    """Look at every member of a record."""
    cells, volts = on.cells, on.volts
    found = on.array.read(cells, volts)
    require(isinstance(found, Reading), f"read returned {type(found).__name__}, not a Reading")
    require(found.block == cells, f"the record says cells {found.block}, asked were {cells}")
    require_volts(found.volts, volts, on.spec)
    for name in ("current", "conductance", "stderr"):
        plane = getattr(found, name)
        require(plane.shape == cells.shape, f"{name} has shape {plane.shape}, the block {cells.shape}")
        require(plane.dtype == np.float64, f"{name} is {plane.dtype}, not float64")
        require(np.isfinite(plane).all(), f"{name} holds what is no finite number")
    require((found.stderr >= 0.0).all(), "a standard error is below 0")
    require(found.flags.shape == cells.shape and found.flags.dtype == np.uint8, "flags are no uint8 of the block")
    require(not (found.flags & ~np.uint8(_KNOWN)).any(), f"flags hold bits nobody knows: {found.flags.max()}")
    # Where the wires' drop is known the voltage at the cell is less than what was asked, at most by half.
    through = found.conductance * found.volts
    off = np.abs(through - found.current) > 0.5 * np.abs(through) + 1e-15
    require(not off.any(), f"conductance × {volts:g} V is not the current: is it in S, and the current in A?")


@GROUP.check("without a voltage it reads at spec.read_volts")
def default_volts(on: Subject) -> None:
    """Read without saying at what."""
    found = on.array.read(on.cells)
    require_volts(found.volts, on.spec.read_volts, on.spec)


@GROUP.check("a single cell read alone is the cell of the block")
def one_by_one(on: Subject) -> None:
    """Read one cell, and compare it with the same one in a block."""
    seen, calm = on.steady()
    for at in map(tuple, np.argwhere(calm).tolist()):
        row, col = on.cells.row0 + at[0], on.cells.col0 + at[1]
        alone = on.array.read(Block(row, 1, col, 1), on.volts, average=on.average)
        one, other = float(alone.conductance[0, 0]), float(seen.conductance[at])
        require(
            abs(one - other) <= max(6.0 * float(np.hypot(alone.stderr[0, 0], seen.stderr[at])), 0.2 * abs(other)),
            f"cell ({row}, {col}) reads {one:.4g} S alone and {other:.4g} S in cells {on.cells}: is the block "
            "transposed, or is its corner not the first cell?",
        )


@GROUP.check("currents have the sign of the voltage, conductances are positive")
def signs(on: Subject) -> None:
    """Read at both signs."""
    plus, minus = (on.array.read(on.cells, sign * on.volts, average=on.average) for sign in (1.0, -1.0))
    good = carries(plus) & carries(minus)
    require_volts(minus.volts, -on.volts, on.spec)
    if not good.any():
        raise NotHereError(f"no cell of {on.cells} carries a current above the noise at ±{on.volts:g} V")
    for sign, found in (("+", plus), ("−", minus)):
        told = f"at {sign}{on.volts:g} V"
        require(
            (np.sign(found.current[good]) == np.sign(found.volts)).all(),
            f"{told} a current has the other sign: it must be positive where it flows from row to column",
        )
        require((found.conductance[good] > 0.0).all(), f"{told} a conductance is negative: it is I / V")


@GROUP.check("half the volts give about half the current")
def half_volts(on: Subject) -> None:
    """Read at half the voltage: a conductance that doubles is a current under another name."""
    full, good = on.steady()
    half = on.array.read(on.cells, 0.5 * on.volts, average=on.average)
    ratio = float(np.median(half.current[good] / full.current[good]))
    require(0.02 < ratio < 0.8, f"half the volts give {ratio:.2f} of the current: cells give half, or less")


@GROUP.check("a read costs no pulse, and slots and seconds within the forecast")
def cost(on: Subject) -> None:
    """Compare the totals with what the spec foretells."""
    spec, cells = on.spec, on.cells
    for average in sorted({1, min(4, spec.average_max)}):
        before = on.array.cost
        on.array.read(cells, on.volts, average=average)
        spent = on.array.cost - before
        slots, seconds = spec.read_slots(cells), spec.read_seconds(cells, average)
        require(spent.pulses == 0, f"a read counted {spent.pulses} pulses")
        require(spent.transactions >= 1, "a read counted no transaction")
        if spec.slot_serves == "row":
            boards = sum(part.common(cells) is not None for part in spec.parts) or 1
            require(spent.transactions == boards, f"a block took {spent.transactions} transactions, not {boards}")
        require(
            slots * average <= spent.slots <= slots * (average + 1),
            f"a read of {cells} with average {average} counted {spent.slots} slots; spec.read_slots says "
            f"{slots * average}, one more a line where the range is looked for",
        )
        require(
            0.0 <= spent.chip_seconds <= LATE * seconds + 1e-9,
            f"a read counted {spent.chip_seconds:g} s under bias; spec.read_seconds foretells {seconds:g} s",
        )
