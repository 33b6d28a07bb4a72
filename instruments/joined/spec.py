"""What several boards are together: the spec of an array whose boards lie on its diagonal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace

from ...common.errors import RefusedError
from ..abilities import ConvertsByRamp, Staircases
from ..array_spec import ArraySpec, ability_of
from ..block import Block
from ..limits import Limits

# A protocol decides from these once, for all cells: (member, what it is called, why it must be one).
_ALIKE = (
    ("cell", "kind of cell", "one pulse plan serves them all"),
    ("gate_axis", "lines that carry the gates", "one pulse plan serves them all"),
    ("slot_serves", "cells one slot serves", "one forecast serves them all"),
    ("read_volts", "read voltage [V]", "conductances are compared with each other"),
    ("read_gate", "gate voltage of reads [V]", "conductances are compared with each other"),
    ("simulated", "being a simulation", "they share one clock"),
)


def joined_spec(specs: Sequence[ArraySpec], name: str) -> ArraySpec:
    """Return what an array of these boards is and can do; board k's lines come after those of board k − 1.

    Abilities, ranges and bias schemes are those that all have; limits the narrower ones; resolutions the coarser and
    times the longer ones.

    Raises
    ------
    RefusedError
        When the boards differ in what cannot be joined, or have no range, scheme or pulse width in common.
    """
    first = specs[0]
    for other in specs[1:]:
        for member, called, why in _ALIKE:
            mine, yours = getattr(first, member), getattr(other, member)
            if mine != yours:
                raise RefusedError(
                    f"{first.name} and {other.name} cannot be joined into one array: {called} is {mine} on the one and "
                    f"{yours} on the other, and must be the same because {why}"
                )
    # A ramp belongs to one board, and its columns to that board; no part leads a staircase to its board.
    supports = frozenset[str].intersection(*(spec.supports for spec in specs)) - {
        ability_of(kind).name for kind in (Staircases, ConvertsByRamp)
    }
    limits = _narrowest(specs)
    dwell = max(spec.sweep_dwell[0] for spec in specs), min(spec.sweep_dwell[1] for spec in specs)
    if limits.width_min > limits.width_max or ("sweep" in supports and dwell[0] > dwell[1]):
        raise RefusedError(f"{_names(specs)} cannot be joined: no pulse width or dwell time suits them all")
    parts = joined_parts([(spec.rows, spec.cols) for spec in specs])
    return replace(
        first,
        name=name,
        rows=sum(spec.rows for spec in specs),
        cols=sum(spec.cols for spec in specs),
        limits=limits,
        volts_lsb=max(spec.volts_lsb for spec in specs),
        gate_lsb=max(spec.gate_lsb for spec in specs),
        width_tick=max(spec.width_tick for spec in specs),
        edge=_shortest_edge(specs),
        read_ranges=_shared(specs, "read_ranges", wanted=True),
        vmm_ranges=_shared(specs, "vmm_ranges", wanted="vmm" in supports),
        read_schemes=_shared(specs, "read_schemes", wanted=True),
        write_schemes=_shared(specs, "write_schemes", wanted=True),
        scheme_needs={key: value for spec in reversed(specs) for key, value in spec.scheme_needs.items()},
        sweep_by_host=tuple(dict.fromkeys(scheme for spec in specs for scheme in spec.sweep_by_host)),
        adc_bits=min(spec.adc_bits for spec in specs),
        average_max=min(spec.average_max for spec in specs),
        slot_overhead=max(spec.slot_overhead for spec in specs),
        read_slot_seconds=max(spec.read_slot_seconds for spec in specs),
        vmm_slot_seconds=max(spec.vmm_slot_seconds for spec in specs),
        select_seconds=max(spec.select_seconds for spec in specs),
        sweep_points_max=min(spec.sweep_points_max for spec in specs),
        sweep_dwell=dwell,
        compliance_min=max(spec.compliance_min for spec in specs),
        sample_rate_max=min(spec.sample_rate_max for spec in specs),
        sample_points_max=min(spec.sample_points_max for spec in specs),
        ramp=None,
        supports=supports,
        bad_cells=tuple(
            (part.row0 + row, part.col0 + col)
            for part, spec in zip(parts, specs, strict=True)
            for row, col in spec.bad_cells
        ),
        parts=parts,
    )


def joined_parts(shapes: Sequence[tuple[int, int]]) -> tuple[Block, ...]:
    """Return where boards of these ``shapes`` (rows, cols) lie, each below and to the right of the one before."""
    parts: list[Block] = []
    row = col = 0
    for rows, cols in shapes:
        parts.append(Block(row, rows, col, cols))
        row, col = row + rows, col + cols
    return tuple(parts)


def _narrowest(specs: Sequence[ArraySpec]) -> Limits:
    limits = specs[0].limits
    for spec in specs[1:]:
        for name in (field.name for field in fields(Limits)):
            mine, yours = getattr(limits, name), getattr(spec.limits, name)
            if yours > mine if name.endswith("_min") else yours < mine:
                limits = limits.narrowed({name: yours}, source=spec.limits.origins.get(name, f"board {spec.name}"))
    return limits


def _shortest_edge(specs: Sequence[ArraySpec]) -> float | None:
    """Return the edge [s] of the fastest board, for the slew; None where one does not say."""
    edges = [spec.edge for spec in specs if spec.edge is not None]
    return min(edges) if len(edges) == len(specs) else None


def _shared(specs: Sequence[ArraySpec], member: str, *, wanted: bool) -> tuple[object, ...]:
    """Return what all boards have of a tuple, in the order of the first."""
    shared = tuple(value for value in getattr(specs[0], member) if all(value in getattr(s, member) for s in specs))
    if wanted and not shared and any(getattr(spec, member) for spec in specs):
        told = "; ".join(f"{spec.name}: {', '.join(map(str, getattr(spec, member))) or 'none'}" for spec in specs)
        raise RefusedError(f"{_names(specs)} cannot be joined: they share none of their {member} ({told})")
    return shared if wanted else ()


def _names(specs: Sequence[ArraySpec]) -> str:
    return " and ".join(spec.name for spec in specs)
