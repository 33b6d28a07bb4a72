"""Products, outer-product updates and the board's own read-verify, at voltages that move no cell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..instruments.abilities import Multiplies, MultipliesReversed, Saturates, UpdatesByOuterProduct, VerifiesOnBoard
from ..instruments.capabilities import Cost, Delivered, OuterProducts, PulseDrive, Verified, VerifyRequest
from .checks import Group
from .subject import COUNT, SIGMAS, NotHereError, Subject, require

GROUP = Group("products")


def _linear(on: Subject, multiply: Callable[..., Any], lines: int, outputs: int, at: int) -> None:
    """Hold a product to its records, and its currents, means of a few vectors, to each other."""
    spec = on.spec
    volts = min(on.volts, spec.limits.vmm_volts_max)
    full = spec.vmm_ranges[0] if spec.vmm_ranges else None
    vectors = np.zeros((3, on.average, lines))
    vectors[1, :, at], vectors[2, :, at] = volts, 0.5 * volts
    batch = 3 * on.average
    before = on.array.cost
    found = multiply(vectors.reshape(batch, lines), full_scale=full)
    spent = on.array.cost - before
    require(found.shape == (batch, outputs), f"{batch} vectors gave shape {found.shape}, not {(batch, outputs)}")
    require(found.dtype == np.float32, f"currents are {found.dtype}, not float32")
    require(spent.pulses == 0 and spent.transactions >= 1, "a product counts as a transaction and as no pulse")
    require(spent.slots >= batch, f"{batch} vectors counted {spent.slots} slots")
    one = np.asarray(multiply(vectors[1, 0], full_scale=full))
    require(one.size == outputs, f"one vector gave {one.size} currents, not {outputs}")
    three = found.reshape(3, on.average, outputs).astype(np.float64)
    nothing, whole, half = three.mean(axis=1)
    error = three.std(axis=1).max(axis=0) / np.sqrt(on.average) + 1e-15
    good = np.isfinite(whole) & (np.abs(whole - nothing) > 4 * SIGMAS * error)
    if not good.any():
        raise NotHereError(f"no output carries a current above the noise with {volts:g} V on line {at}")
    require((whole[good] > 0.0).all(), "a positive voltage gives a negative current: the sign is that of the input")
    require((np.abs(nothing[good]) < 0.5 * whole[good]).all(), "a vector of zeros gives currents")
    ratio = float(np.median(half[good] / whole[good]))
    require(0.02 < ratio < 0.8, f"half the volts give {ratio:.2f} of the currents: cells give half, or less")


@GROUP.check("a product has its shape, its sign and is linear", needs=Multiplies)
def forward(on: Subject) -> None:
    """Drive one row."""
    part = on.array.ability(Multiplies)
    _linear(on, part.vmm, on.spec.rows, on.spec.cols, on.cells.row0)


@GROUP.check("a reversed product has its shape, its sign and is linear", needs=MultipliesReversed)
def reverse(on: Subject) -> None:
    """Drive one column."""
    part = on.array.ability(MultipliesReversed)
    _linear(on, part.vmm_reversed, on.spec.cols, on.spec.rows, on.cells.col0)


@GROUP.check("a saturated product stays between its levels", needs=Saturates)
def saturated(on: Subject) -> None:
    """Hold every column between two small currents."""
    spec = on.spec
    volts = np.full((2, spec.rows), min(on.volts, spec.limits.vmm_volts_max))
    volts[1] = 0.0
    level = 0.01 * spec.vmm_ranges[0]
    found = on.array.ability(Saturates).vmm_saturated(volts, low=-level, high=level)
    require(found.shape == (2, spec.cols), f"2 vectors gave shape {found.shape}, not {(2, spec.cols)}")
    noise = float(np.nanstd(found[1]))  # of the converters, behind the levels
    inside = np.abs(found[np.isfinite(found)]) <= level * (1.0 + 2 * 0.05) + 2 * spec.vmm_ranges[-1] / 2**13 + 5 * noise
    require(inside.all(), f"a current left its levels ±{level:g} A by more than 5 % of their span and its noise")


def _drive(on: Subject) -> PulseDrive:
    gate = on.spec.pulse_gate(1.0)
    return PulseDrive(set_volts=on.volts, set_gate=gate, reset_volts=on.volts, reset_gate=gate, width=on.width)


@GROUP.check(
    "an outer product pulses the cell where both lines fire, no other, and counts it", needs=UpdatesByOuterProduct
)
def outer(on: Subject) -> None:
    """Let one row and one column fire in every turn."""
    spec, (row, col) = on.spec, on.cell
    x, d = np.zeros(spec.rows), np.zeros(spec.cols)
    part = on.array.ability(UpdatesByOuterProduct)
    given = part.outer_update(x, d, pulses=COUNT, drive=_drive(on))
    require(isinstance(given, Delivered), f"outer_update returned {type(given).__name__}, not a Delivered")
    require(given.pulses == 0, f"x = d = 0 gave {given.pulses} pulses")
    x[row] = d[col] = 1.0
    before = on.array.cost
    given = part.outer_update(x, d, pulses=COUNT, drive=_drive(on))
    spent = on.array.cost - before
    require(given.pulses == spent.pulses == COUNT, f"{COUNT} turns at probability 1 gave {given.pulses} pulses, the "
            f"cost says {spent.pulses}")  # fmt: skip
    done = part.outer_updates([OuterProducts(on.cells, np.zeros((2, on.cells.nrows)), np.zeros((2, on.cells.ncols)))],
                              pulses=1, drive=_drive(on))  # fmt: skip
    require(isinstance(done, Cost) and done.pulses == 0, f"outer products of zeros gave {done}")


@GROUP.check("the board's read-verify leaves alone what is NaN or on target", needs=VerifiesOnBoard)
def verify(on: Subject) -> None:
    """Ask for nothing, and for what is there already."""
    spec, cells = on.spec, on.cells
    seen = on.array.read(cells, on.volts, average=on.average)
    drive, gate = _drive(on), spec.pulse_gate(1.0)
    target = np.maximum(seen.conductance, 1e-9)
    tolerance = 10.0 * float(target.max()) + 1e-6
    for wanted, done in ((np.full(cells.shape, np.nan), False), (target, True)):
        request = VerifyRequest(
            block=cells, target=wanted, tolerance=tolerance, pulses_max=COUNT, width=on.width,
            set_volts=drive.set_volts, set_gate=(gate, gate, 0.0), reset_gate=gate,
            reset_volts=(drive.reset_volts, drive.reset_volts, 0.0),
        )  # fmt: skip
        before = on.array.cost
        found = on.array.ability(VerifiesOnBoard).program_verify(request)
        require(isinstance(found, Verified), f"program_verify returned {type(found).__name__}, not a Verified")
        require(
            found.pulses.shape == found.done.shape == found.conductance.shape == cells.shape, "a plane has no block"
        )
        require(not found.pulses.any(), f"cells that need none had {found.pulses.tolist()} pulses")
        require((on.array.cost - before).pulses == 0, "cells that need none were counted as pulsed")
        require(
            (found.done == done).all(), f"done is {found.done.tolist()}, not {done} of {'targets' if done else 'NaN'}"
        )
