"""What an array is and can do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..common.errors import RefusedError, alternatives
from .block import Block
from .errors import UnsupportedError
from .limits import Limits, refuse_bad_number

_Class = TypeVar("_Class", bound=type)


@dataclass(frozen=True, slots=True)
class Ability:
    """A kind of ability: its ``name`` in ``spec.supports``, and what an array ``needs`` to have it."""

    name: str
    needs: str


_ABILITIES: dict[type, Ability] = {}


def ability(name: str, *, needs: str) -> Callable[[_Class], _Class]:
    """Make a Protocol of one verb a kind of ability, called ``name`` in ``spec.supports``.

    Parameters
    ----------
    needs : str
        What it takes, for the sentence with which an array that lacks it refuses.
    """

    def named(kind: _Class) -> _Class:
        for other, known in _ABILITIES.items():
            if known.name == name and (other.__module__, other.__qualname__) != (kind.__module__, kind.__qualname__):
                raise RefusedError(
                    f"ability {name!r} of {kind.__module__}.{kind.__qualname__} is that of "
                    f"{other.__module__}.{other.__qualname__} already: choose another name"
                )
        _ABILITIES[kind] = Ability(name=name, needs=needs)
        return kind

    return named


def ability_of(kind: type) -> Ability:
    """Return what a kind of ability is called and needs; refuse what is none."""
    try:
        return _ABILITIES[kind]
    except (KeyError, TypeError):
        known = ", ".join(one.__name__ for one in _ABILITIES)
        raise RefusedError(
            f"{getattr(kind, '__name__', repr(kind))} is no kind of ability: choose from {known}"
        ) from None


def lacking(array: str, kind: type, supports: Iterable[str], *, otherwise: str = "") -> UnsupportedError:
    """Return the refusal of an ability that ``array`` lacks; ``otherwise`` says what does without."""
    wanted = ability_of(kind)
    can = ", ".join(sorted(supports)) or "reads and pulses only"
    needs = f"{wanted.needs}; {otherwise}" if otherwise else wanted.needs
    return UnsupportedError(f"{array} does not support {wanted.name}: it would need {needs}; it supports {can}")


@dataclass(frozen=True, slots=True)
class RampSpec:
    """What ramps made of cells can be: at most ``ramps`` of ``steps`` cells, ``slope`` [V]; ``volts`` [V] on a cell.

    A vector takes ``clock`` [s] longer for every step.
    """

    ramps: int
    steps: int
    slope: float
    volts: float
    clock: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySpec:
    """What an array is and can do; a protocol decides from this alone.

    Only name, size and kind of cell must be given.

    Attributes
    ----------
    name : str
    rows, cols : int
    cell : "1T1R" | "passive"
        With a transistor each, or without.
    gate_axis : "row" | "col" | None
        Which lines carry the gates. "col": a slot holds cells of one row that share an amplitude, each with its own
        gate voltage; "row": cells of one row that share a gate voltage, each with its own amplitude.
    volts_lsb, gate_lsb : float [V]; width_tick : float [s]
        Resolution of what is commanded.
    width_least : float [s]
        Shortest pulse it gives.
    width_needs : str
        What shorter ones would need.
    edge : float [s]
        Edges of its pulses, the shortest where they differ; None where they are not known.
    limits : Limits
        What may be applied to a cell.
    read_volts, read_gate : float [V]
        What reads are done with unless told otherwise.
    adc_bits : int
    read_ranges, vmm_ranges : tuple of float [A]
    average_max : int
        Conversions per cell of one read.
    sweep_points_max, sweep_dwell, compliance_min : int, (float, float) [s], float [A]
        Points of one sweep, least and longest time per point, least compliance.
    sweep_seconds_max : float [s]
        What one sweep may take in all.
    slot_overhead, read_slot_seconds, vmm_slot_seconds : float [s]
        Time of a pulse slot beyond its width, of a read slot, of a VMM slot.
    read_schemes, write_schemes : tuple of str
        Bias schemes this bench has the sources for, the one it takes by itself first. Writes are pulses and sweeps.
    scheme_needs : mapping of str to str
        What a scheme it lacks would need, or why it is refused.
    separate : bool
        Whether its cells share no line: what is done to one cannot reach another.
    slot_serves : "row" | "cell"
        What one slot reads or pulses: the cells of a row, or a single cell that is connected first.
    select_seconds : float [s]
        Time to connect a cell, where a slot serves one.
    sweep_by_host : tuple of str
        Write schemes in which the host steps a sweep point by point, because no instrument can do so alone.
    sample_rate_max, sample_points_max, sample_seconds_max : float [1/s], int, float [s]
        Of one trace, where it samples.
    ramp : RampSpec
        Where it converts by ramps made of cells; None where it does not.
    supports : names of the array's parts (:class:`~.abilities.Parts`): what it can do besides reading and pulsing.
    bad_cells : (row, col) the chip file knows to be bad; protocols leave them alone.
    parts : tuple of Block
        Where the array is several boards: the rectangles in which there are cells, one per board, none elsewhere.
        Empty for a single board, whose cells are everywhere.
    """

    name: str
    rows: int
    cols: int
    cell: Literal["1T1R", "passive"]
    gate_axis: Literal["row", "col"] | None = None
    limits: Limits = field(default_factory=Limits)
    volts_lsb: float = 1e-3
    gate_lsb: float = 1e-3
    width_tick: float = 1e-9
    width_least: float = 0.0
    width_needs: str = "a faster pulser"
    edge: float | None = None
    read_volts: float = 0.2
    read_gate: float = 0.0
    read_ranges: tuple[float, ...] = ()
    adc_bits: int = 16
    average_max: int = 1000
    slot_overhead: float = 0.0
    read_slot_seconds: float = 0.0
    vmm_slot_seconds: float = 0.0
    read_schemes: tuple[str, ...] = ("ground",)
    write_schemes: tuple[str, ...] = ("ground",)
    scheme_needs: Mapping[str, str] = field(default_factory=dict[str, str])
    separate: bool = False
    slot_serves: Literal["row", "cell"] = "row"
    select_seconds: float = 0.0
    sweep_by_host: tuple[str, ...] = ()
    supports: frozenset[str] = frozenset()
    vmm_ranges: tuple[float, ...] = ()
    bad_cells: tuple[tuple[int, int], ...] = ()
    parts: tuple[Block, ...] = ()
    simulated: bool = False
    sweep_points_max: int = 10000
    sweep_dwell: tuple[float, float] = (0.0, 10.0)
    sweep_seconds_max: float = math.inf
    compliance_min: float = 0.0
    sample_rate_max: float = 1e6
    sample_points_max: int = 10**9
    sample_seconds_max: float = math.inf
    ramp: RampSpec | None = None

    @property
    def whole(self) -> Block:
        """The whole array."""
        return Block(0, self.rows, 0, self.cols)

    def having(self, supports: frozenset[str]) -> ArraySpec:
        """Return this record with the names of the array's parts."""
        return replace(self, supports=supports)

    def can(self, kind: type) -> bool:
        """Return whether the array has an ability: ``spec.can(Sweeps)``."""
        return ability_of(kind).name in self.supports

    def require(self, kind: type, *, otherwise: str = "") -> None:
        """Refuse an ability this array lacks, saying what it would need, and what does without (``otherwise``)."""
        if not self.can(kind):
            raise lacking(self.name, kind, self.supports, otherwise=otherwise)

    def check_average(self, average: int, *, channel: str) -> None:
        """Refuse a number of conversions this array cannot average."""
        whole = isinstance(average, int | np.integer) and not isinstance(average, bool)
        if not (whole and 1 <= average <= self.average_max):
            raise RefusedError(
                f"{channel}: average {average!r} is not a whole number of 1 to {self.average_max}: choose one inside, "
                "or take the mean of several reads; more in one read needs an instrument that averages more"
            )

    def check_sweep(self, points: int, compliance: float, dwell: float, *, channel: str) -> None:
        """Refuse a sweep of too many ``points``, or with a ``compliance`` [A] or ``dwell`` [s] out of range."""
        if not 1 <= points <= self.sweep_points_max:
            raise RefusedError(
                f"{channel}: {points} points in one sweep; this array takes 1 to {self.sweep_points_max}: "
                "choose a larger step"
            )
        self.limits.check("current", compliance, channel=f"{channel} compliance", unit="A")
        refuse_bad_number("compliance", compliance, self.compliance_min, self.limits.current_max, "A", channel=channel)
        refuse_bad_number("dwell", dwell, *self.sweep_dwell, "s", channel=channel)
        if points * dwell > self.sweep_seconds_max:
            raise RefusedError(
                f"{channel}: {points} points of {dwell:g} s take {points * dwell:.3g} s; one sweep of this array takes "
                f"at most {self.sweep_seconds_max:g} s: choose a larger step or a shorter dwell"
            )

    def require_lines(self, *, channel: str) -> None:
        """Refuse what is about lines that cells share, where they share none."""
        if self.separate:
            raise UnsupportedError(
                f"{channel}: the cells of {self.name} are single devices that share no line: it would need a crossbar"
            )

    def check_width(self, width: float, *, channel: str) -> None:
        """Refuse a pulse shorter than this array gives any."""
        if 0.0 < width < self.width_least * (1.0 - 1e-9):
            raise UnsupportedError(
                f"{channel}: {self.name} gives no pulses of {width:g} s: it would need {self.width_needs}; its "
                f"shortest pulse is {self.width_least:.3g} s"
            )

    def width_at_least(self, width: float) -> float:
        """Return ``width`` [s], or the shortest pulse this array gives where that is longer."""
        return max(width, self.width_least)

    def check_halt(self, halt: float, scheme: str | None, *, channel: str) -> None:
        """Refuse a current [A] at which a sweep is to turn back, where no host steps the source point by point."""
        refuse_bad_number("halt", halt, 0.0, self.limits.current_max, "A", channel=channel)
        chosen = self.require_scheme(scheme, writing=True)
        if chosen not in self.sweep_by_host:
            others = " or ".join(map(repr, self.sweep_by_host))
            remedy = f"choose scheme {others}" if others else "pulsed_iv with cutoff_current turns back between pulses"
            raise UnsupportedError(
                f"{channel}: {self.name} cannot turn a sweep in scheme {chosen!r} back at a current: it would need a "
                f"source that the host steps point by point, and here an instrument runs the whole sweep; {remedy}"
            )

    def check_sample(self, rate: float, seconds: float, *, channel: str) -> None:
        """Refuse a trace at a ``rate`` [1/s] or of a length [s] that this array cannot sample."""
        most = self.sample_seconds_max
        if seconds > most:
            raise UnsupportedError(
                f"{channel}: a trace of {seconds:g} s is longer than {most:g} s, for which a killed host may leave a "
                f"cell of {self.name} at its read voltage: it would need an instrument that stops by itself; take "
                "shorter traces, or reads with waits between them"
            )
        refuse_bad_number("rate", rate, 1e-3, self.sample_rate_max, "Hz", channel=channel)
        refuse_bad_number("seconds", seconds, 1.0 / rate, self.sample_points_max / rate, "s", channel=channel)

    def require_scheme(self, scheme: str | None, *, writing: bool) -> str:
        """Return the bias scheme to use, the array's own when ``scheme`` is None; refuse what this bench cannot do."""
        known = self.write_schemes if writing else self.read_schemes
        if scheme is None:
            return known[0]
        if scheme not in known:
            doing = "writes" if writing else "reads"
            why = self.scheme_needs.get(scheme, "this bench has no sources for it")
            raise UnsupportedError(
                f"{self.name} does not do {doing} in bias scheme {scheme!r} ({why}){alternatives(scheme, known)}"
            )
        return scheme

    def read_slots(self, block: Block) -> int:
        """Return how many slots one conversion of every cell of ``block`` takes."""
        if self.slot_serves == "row":
            return block.nrows
        return sum(part.size for part in map(block.common, self.parts or (self.whole,)) if part is not None)

    def read_seconds(self, block: Block, average: int = 1) -> float:
        """Return the time [s] one read of ``block`` takes, a conversion to find the range included."""
        return self.read_slots(block) * ((average + 1) * self.read_slot_seconds + self.select_seconds)

    def pulse_seconds(self, block: Block, width: float, count: int = 1) -> float:
        """Return the time [s] it takes to give every cell of ``block`` ``count`` pulses of ``width`` [s]."""
        return self.read_slots(block) * (count * (width + self.slot_overhead) + self.select_seconds)

    def sweep_seconds(self, points: int, dwell: float) -> float:
        """Return the time [s] of one sweep of ``points``, ``dwell`` [s] each."""
        return points * dwell + self.select_seconds

    def pulse_gate(self, volts: float) -> float:
        """Return the gate voltage [V] of a pulse: ``volts``, or 0 where there are no gates: one plan serves all."""
        return volts if self.gate_axis is not None else 0.0

    def sweep_gate(self, volts: float) -> float | None:
        """Return the gate voltage [V] of a sweep, None where there are no gates."""
        return volts if self.gate_axis is not None else None

    def check_gate(self, volts: float, *, channel: str) -> None:
        """Refuse a gate voltage [V] beyond the limits; where there are no gates none is sent, and any plan will do."""
        if self.gate_axis is not None:
            self.limits.check("gate", volts, channel=channel)

    def cells_mask(self, block: Block) -> NDArray[np.bool_]:
        """Return True [block.shape] where there is a cell: lines of different boards do not cross."""
        mask = np.zeros((self.rows, self.cols), dtype=np.bool_)
        for part in self.parts or (self.whole,):
            mask[part.slices] = True
        return mask[block.slices]

    def healthy_mask(self, block: Block) -> NDArray[np.bool_]:
        """Return True [block.shape] where there is a cell and the chip file knows nothing bad of it."""
        mask = self.cells_mask(self.whole)
        for row, col in self.bad_cells:
            mask[row, col] = False
        return mask[block.slices]
