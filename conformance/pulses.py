"""Pulses: what was delivered, what it cost, what is left alone."""

from __future__ import annotations

import numpy as np

from ..instruments.capabilities import Delivered, PulseMap
from .checks import Group
from .reads import LATE
from .subject import COUNT, Subject, require

GROUP = Group("pulses")
_ROOM = 1.0 + 1e-6


@GROUP.check("what is delivered is what was asked, to half a step of the instrument, and never beyond a limit")
def quantised(on: Subject) -> None:
    """Ask for values between two steps, of both signs."""
    spec, limits, cells = on.spec, on.spec.limits, on.cells
    gate = spec.pulse_gate(min(1.0 + 0.3 * spec.gate_lsb, limits.gate_max))
    width = min(on.width + 0.3 * spec.width_tick, limits.width_max)
    for sign in (1.0, -1.0):
        volts = sign * max(on.volts - 0.3 * spec.volts_lsb, 0.0)
        given = on.array.pulse(PulseMap(cells, volts, width, gate, 1))
        require(isinstance(given, Delivered), f"pulse returned {type(given).__name__}, not a Delivered")
        require(given.block == cells, f"the record says cells {given.block}, asked were {cells}")
        for name, asked, step in (
            ("volts", volts, spec.volts_lsb), ("width", width, spec.width_tick), ("gate", gate, spec.gate_lsb)
        ):  # fmt: skip
            plane = getattr(given, name)
            require(plane.shape == cells.shape, f"{name} has shape {plane.shape}, the block {cells.shape}")
            off = float(np.abs(plane - asked).max())
            require(
                off <= 0.5 * step * _ROOM + 1e-12, f"{name} {asked:g} became {asked + off:g}: more than half {step:g}"
            )
        require(given.count.shape == cells.shape and (given.count == 1).all(), f"count 1 became {given.count.tolist()}")
        require(
            (given.volts <= limits.set_volts_max).all() and (given.volts >= -limits.reset_volts_max).all(),
            "rounding took a pulse beyond its limit",
        )


@GROUP.check("a pulse map costs its pulses, and slots and seconds within the forecast")
def cost(on: Subject) -> None:
    """Compare record, totals and forecast."""
    spec, cells = on.spec, on.cells
    before = on.array.cost
    given = on.array.pulse(PulseMap(cells, on.volts, on.width, spec.pulse_gate(1.0), COUNT))
    spent = on.array.cost - before
    slots, seconds = spec.read_slots(cells) * COUNT, spec.pulse_seconds(cells, on.width, COUNT)
    require(given.pulses == spent.pulses == COUNT * cells.size, f"{COUNT * cells.size} pulses were asked, the record "
            f"says {given.pulses}, the cost {spent.pulses}")  # fmt: skip
    require(given.slots == spent.slots == slots, f"{slots} slots are foretold, the record says {given.slots}, the cost "
            f"{spent.slots}")  # fmt: skip
    require(spent.transactions >= 1, "a pulse map counted no transaction")
    require(
        slots * on.width * 0.99 <= spent.chip_seconds <= LATE * seconds + 1e-9,
        f"{slots} slots of {on.width:g} s counted {spent.chip_seconds:g} s under bias; spec.pulse_seconds foretells "
        f"{seconds:g} s",
    )
    require(
        0.0 < given.seconds <= LATE * seconds + 1e-9, f"the record says {given.seconds:g} s, foretold {seconds:g} s"
    )


@GROUP.check("every cell its own volts, width and count; one with count 0 is left alone")
def each_its_own(on: Subject) -> None:
    """Give every cell of the block something else."""
    spec, cells = on.spec, on.cells
    steps = np.arange(cells.size).reshape(cells.shape)
    volts = on.volts * (1.0 - 0.1 * steps)
    count = steps % COUNT
    wanted = PulseMap(cells, volts, on.width * np.ones(cells.shape), spec.pulse_gate(1.0), count)
    before = on.array.cost
    given = on.array.pulse(wanted)
    require((given.count == count).all(), f"counts {count.tolist()} became {given.count.tolist()}")
    require(
        given.pulses == count.sum() == (on.array.cost - before).pulses, f"{count.sum()} pulses became {given.pulses}"
    )
    active = count > 0
    off = np.abs(given.volts - volts)[active]
    require((off <= 0.5 * spec.volts_lsb * _ROOM + 1e-12).all(), "volts of the cells are exchanged or rounded too far")


@GROUP.check("a map without a pulse does nothing to the chip")
def nothing(on: Subject) -> None:
    """Ask for no pulse at all."""
    before = on.array.cost
    given = on.array.pulse(PulseMap(on.cells, on.volts, on.width, on.spec.pulse_gate(1.0), 0))
    spent = on.array.cost - before
    require(given.pulses == 0 and (given.count == 0).all(), f"count 0 became {given.pulses} pulses")
    require(spent.pulses == spent.slots == 0, f"count 0 cost {spent.pulses} pulses and {spent.slots} slots")


@GROUP.check("pulses at the read voltage do not change what is read")
def harmless(on: Subject) -> None:
    """Read before and after: the scale of a pulse is volts, not millivolts."""
    before, calm = on.steady()
    on.array.pulse(PulseMap(on.cells, on.volts, on.width, on.spec.pulse_gate(1.0), COUNT))
    after = on.array.read(on.cells, on.volts, average=on.average)
    moved = (np.abs(after.conductance / before.conductance - 1.0) > 0.5)[calm]
    require(not moved.all(), f"{moved.sum()} of {moved.size} cells changed by half under pulses of the read voltage")
