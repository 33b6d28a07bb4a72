"""What an array says of itself: members, spec, abilities."""

from __future__ import annotations

from typing import cast

import numpy as np

from ..common.errors import RefusedError
from ..instruments.abilities import SHIPPED
from ..instruments.array_spec import ability_of
from ..instruments.capabilities import Clock, Cost, CrossbarArray
from ..instruments.errors import UnsupportedError
from ..instruments.limits import Limits
from .checks import Group
from .subject import Subject, require

GROUP = Group("declared")


@GROUP.check("members of CrossbarArray, a clock and a cost are there")
def members(on: Subject) -> None:
    """Look at the members every array has."""
    require(isinstance(cast("object", on.array), CrossbarArray), f"{on.spec.name} lacks members of CrossbarArray")
    require(isinstance(cast("object", on.array.clock), Clock), f"{on.spec.name}.clock has no now() and wait()")
    require(isinstance(cast("object", on.array.cost), Cost), f"{on.spec.name}.cost is no Cost")
    nameless = [name for name, identity in on.bench.identities.items() if not identity.model.strip()]
    require(not nameless, f"{', '.join(nameless)} answered without a model: an instrument must say what it is")


@GROUP.check("spec is whole: sizes, steps, ranges, schemes and times make sense")
def spec_is_whole(on: Subject) -> None:
    """Look at every number of the spec."""
    spec = on.spec
    require(spec.name.strip(), "spec.name is empty")
    require(spec.rows >= 1 and spec.cols >= 1, f"spec has {spec.rows} rows and {spec.cols} columns")
    require(spec.cell in {"1T1R", "passive"}, f"spec.cell is {spec.cell!r}, neither '1T1R' nor 'passive'")
    require(spec.gate_axis in {None, "row", "col"}, f"spec.gate_axis is {spec.gate_axis!r}")
    require(
        spec.cell == "1T1R" or spec.gate_axis is None, f"cells without transistors have gates along {spec.gate_axis!r}"
    )
    for name in ("volts_lsb", "gate_lsb", "width_tick"):
        require(getattr(spec, name) > 0.0, f"spec.{name} is {getattr(spec, name)!r}, not above 0")
    for name in ("slot_overhead", "read_slot_seconds", "vmm_slot_seconds", "select_seconds", "compliance_min"):
        require(getattr(spec, name) >= 0.0, f"spec.{name} is {getattr(spec, name)!r}, below 0")
    for name in ("read_ranges", "vmm_ranges"):
        full = np.asarray(getattr(spec, name))
        require((full > 0.0).all() and (np.diff(full) > 0.0).all(), f"spec.{name} does not ascend from above 0: {full}")
    require(spec.average_max >= 1 and spec.adc_bits >= 1, "spec.average_max or adc_bits is below 1")
    require(0.0 <= spec.sweep_dwell[0] <= spec.sweep_dwell[1], f"spec.sweep_dwell does not ascend: {spec.sweep_dwell}")
    require(spec.read_schemes and spec.write_schemes, "spec names no bias scheme for reads, or none for writes")
    require(spec.slot_serves in {"row", "cell"}, f"spec.slot_serves is {spec.slot_serves!r}")
    require(spec.edge is None or spec.edge > 0.0, f"spec.edge is {spec.edge!r}, not a time above 0 or None")
    for row, col in spec.bad_cells:
        require(0 <= row < spec.rows and 0 <= col < spec.cols, f"bad cell ({row}, {col}) is outside the array")


@GROUP.check("limits are finite, and the array's own read is inside them")
def limits_hold(on: Subject) -> None:
    """Look at what may be applied."""
    limits, spec = on.spec.limits, on.spec
    require(isinstance(cast("object", limits), Limits), "spec.limits is no Limits")
    require(limits.width_min <= limits.width_max, f"width_min {limits.width_min:g} s is above width_max")
    try:
        limits.check("read_volts", spec.read_volts, channel="read")
        spec.check_gate(spec.read_gate, channel="read gate")
    except RefusedError as error:
        require(False, f"the array's own read is refused: {error}")
    require(spec.read_volts > 0.0, f"spec.read_volts is {spec.read_volts:g} V, not above 0")


@GROUP.check("every declared ability is there with its verbs, and no other")
def abilities_are_there(on: Subject) -> None:
    """Ask for every kind of ability: what is declared must come, anything else must be refused."""
    for kind in SHIPPED:
        named = ability_of(kind)
        if on.spec.can(kind):
            part = on.array.ability(kind)
            verbs = [name for name in vars(kind) if not name.startswith("_") and callable(getattr(kind, name))]
            lacks = [name for name in verbs if not callable(getattr(part, name, None))]
            require(not lacks, f"{on.spec.name} declares {named.name}, and its part lacks {', '.join(lacks)}")
            continue
        try:
            on.array.ability(kind)
        except UnsupportedError as error:
            require(named.name in str(error), f"the refusal of {named.name} does not name it: {error}")
        else:
            require(False, f"{on.spec.name} does not declare {named.name} and offers it: add it to spec.supports")
