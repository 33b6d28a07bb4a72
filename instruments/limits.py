"""Limits: one record that can only be narrowed, and the check every write passes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..common.errors import RefusedError, unknown
from ..common.numbers import numbers, scalar
from ..common.units import or_text, si_number

COUNT_MAX = 2**32 - 1
"""Largest number of pulses that a command of any instrument carries."""

EDGE_PART = 0.8
"""Part of its amplitude that a pulse crosses in its edge time, from 10 to 90 %."""


class NamedLimits(dict[str, float]):
    """Limits as a file has them, and where: ``source`` is for messages."""

    def __init__(self, limits: Mapping[str, float], source: str) -> None:
        super().__init__(read_limits(limits, source=source))
        self.source = source


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one quantity is held to.

    Attributes
    ----------
    unit : str
    low, high : str
        Names of the limits that bound it; text with a blank is no limit but what lies below 0.
    signed : bool
        Whether ``low`` is the magnitude of the largest negative value.
    """

    unit: str
    low: str
    high: str
    signed: bool = False

    def of(self, limits: Limits) -> tuple[float, float, str, str]:
        """Return the smallest and largest value under ``limits``, and the names of what sets them."""
        low = 0.0 if " " in self.low else float(getattr(limits, self.low))
        return 0.0 - low if self.signed else low, float(getattr(limits, self.high)), self.low, self.high


class _SourceBounds(Bounds):
    """What one terminal may be driven to: either sign, the larger of the two."""

    __slots__ = ()

    def of(self, limits: Limits) -> tuple[float, float, str, str]:
        most = max(limits.set_volts_max, limits.reset_volts_max)
        whose = self.high if most == limits.set_volts_max else self.low
        return -most, most, whose, whose


class _EdgeBounds(Bounds):
    """The shortest edge that keeps the slew of the largest pulse."""

    __slots__ = ()

    def of(self, limits: Limits) -> tuple[float, float, str, str]:
        largest = max(limits.set_volts_max, limits.reset_volts_max)
        return EDGE_PART * largest / max(limits.slew_max, 1e-300), 1e6, self.low, self.high


class Quantity(StrEnum):
    """What can be held to limits, with its bounds; a member is its name.

    ``PULSE_VOLTS`` is signed: positive against ``set_volts_max``, negative against ``reset_volts_max``;
    ``RESET_VOLTS`` is the magnitude of a negative one, as plans have it.
    ``SOURCE_VOLTS`` is what one terminal may be driven to: either sign against the larger of the two. ``EDGE`` is
    bounded by the least that keeps the slew of the largest pulse.
    """

    bounds: Bounds

    def __new__(cls, name: str, bounds: Bounds) -> Self:
        """Make a member that is its name and has its bounds beside it."""
        made = str.__new__(cls, name)
        made._value_ = name
        made.bounds = bounds
        return made

    PULSE_VOLTS = "pulse_volts", Bounds("V", "reset_volts_max", "set_volts_max", signed=True)
    RESET_VOLTS = "reset_volts", Bounds("V", "smallest magnitude", "reset_volts_max")
    SOURCE_VOLTS = "source_volts", _SourceBounds("V", "reset_volts_max", "set_volts_max", signed=True)
    READ_VOLTS = "read_volts", Bounds("V", "read_volts_max", "read_volts_max", signed=True)
    VMM_VOLTS = "vmm_volts", Bounds("V", "vmm_volts_max", "vmm_volts_max", signed=True)
    GATE = "gate", Bounds("V", "lowest gate voltage", "gate_max")
    CURRENT = "current", Bounds("A", "lowest compliance", "current_max")
    WIDTH = "width", Bounds("s", "width_min", "width_max")
    COUNT = "count", Bounds("pulses", "lowest count", "count_max")
    ENERGY = "energy", Bounds("J", "lowest energy", "energy_max")
    SWEEP_ENERGY = "sweep_energy", Bounds("J", "lowest energy", "sweep_energy_max")
    SLEW = "slew", Bounds("V/s", "lowest slew", "slew_max")
    EDGE = "edge", _EdgeBounds("s", "slew_max", "longest edge")


# A member is found by its plain name too, without a search among the members.
_BOUNDS: dict[str, Bounds] = {quantity: quantity.bounds for quantity in Quantity}


class LimitError(RefusedError):
    """A value beyond a limit; nothing was sent.

    Attributes
    ----------
    quantity : str
        What was given: a name of :class:`Quantity`.
    limit_name : str
        Which limit of :class:`Limits` it breaks.
    """

    quantity: str = ""
    limit_name: str = ""

    @classmethod
    def outside(
        cls, quantity: str, value: float, bounds: tuple[float, float, str, str], *, where: str, unit: str, set_by: str
    ) -> LimitError:
        """Return the error for a value that is not inside its bounds."""
        low, high, low_name, high_name = bounds
        above = value > high
        limit, name = (high, high_name) if above else (low, low_name)
        # A SET is not helped by how far a RESET may go.
        near = (low, high) if low >= 0.0 else (0.0, high) if above else (low, 0.0)
        remedy = f"choose {near[0]:g} to {near[1]:g} {unit}"
        error = cls(
            f"{quantity} {value:g} {unit} at {where} is {'above' if above else 'below'} the limit {limit:g} {unit} "
            f"({name}): {remedy}; {set_by}",
            where=where, value=value, limit=limit, set_by=set_by, remedy=remedy,
        )  # fmt: skip
        error.quantity, error.limit_name = str(quantity), name
        return error


class _Narrowed:
    """Remembers who narrowed which limit; no field, since limits of the same numbers are equal whoever set them."""

    __slots__ = ("_origins",)
    _origins: Mapping[str, str]

    @property
    def origins(self) -> Mapping[str, str]:
        """Who narrowed which limit; what is missing is the driver's own."""
        return getattr(self, "_origins", {})


@dataclass(frozen=True, slots=True)
class Limits(_Narrowed):
    """What may be applied to a cell. Amplitudes are magnitudes.

    Attributes
    ----------
    set_volts_max, reset_volts_max, read_volts_max, vmm_volts_max : float [V]
        Largest |V(row) − V(column)| of positive pulses and sweeps, negative ones, reads, VMM inputs.
    gate_max : float [V]
    current_max : float [A]
        Largest compliance of a sweep.
    width_min, width_max : float [s]
    count_max : int
        Pulses per cell in one map: 16 bits, unless the instrument says that it takes more in one command.
    energy_max, sweep_energy_max : float [J]
        Largest energy one pulse, and one point of a sweep, may put into a cell. They are upper bounds from what is
        known before: |V| · ``current_max`` · width of a pulse, |V| · compliance · dwell of a point. A source with
        compliance keeps that; a pulser does not limit its current, so there it holds for cells that carry
        ``current_max`` at most. Steady levels, reads and products are no pulses.
    slew_max : float [V/s]
        Fastest commanded change of the voltage across a cell: 0.8 |V| / edge of a pulse (edges are counted from 10 to
        90 %), |ΔV| / dwell between the points of a sweep, from 0 V on. The way back to 0 V is not limited.
    pulses_total_max : int
        Pulses one cell may get over the chip's life: its wear budget.
    """

    set_volts_max: float = 5.0
    reset_volts_max: float = 5.0
    read_volts_max: float = 0.5
    vmm_volts_max: float = 0.3
    gate_max: float = 5.0
    current_max: float = 5e-3
    width_min: float = 5e-8
    width_max: float = 1e-2
    count_max: int = 65535
    # More than the widest of the limits above come to, so that a chip file that is silent about them changes nothing.
    energy_max: float = 3e-4
    sweep_energy_max: float = 0.3
    slew_max: float = 1e10
    pulses_total_max: int = 10**12

    def narrowed(self, other: Mapping[str, float], *, source: str) -> Limits:
        """Return these limits narrowed by ``other``; refuse unknown keys, nonsense and anything wider.

        Parameters
        ----------
        source : str
            Who asks (a station or chip file), for the message.
        """
        names = {field.name for field in fields(self)}
        changes: dict[str, float] = {}
        for key, value in read_limits(other, source=source).items():
            if key not in names:
                raise RefusedError(f"{source}: {unknown('limit', key, names)}")
            if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value) or value < 0:
                raise RefusedError(f"{source}: limit {key} is {value!r}; it must be a finite number of at least 0")
            own = getattr(self, key)
            if isinstance(own, int) and value != int(value):
                raise RefusedError(f"{source}: limit {key} is {value!r}; it must be a whole number")
            wider = value < own if key.endswith("_min") else value > own
            if wider:
                whose = f"the {own:g} of {self.origins[key]}" if key in self.origins else f"the driver's {own:g}"
                remedy = f"choose a value {'at or above' if key.endswith('_min') else 'at or below'} {own:g}"
                raise RefusedError(
                    f"{source}: limit {key} = {value:g} is wider than {whose}; "
                    f"a file may narrow a limit, never widen it: {remedy}",
                    where=source,
                    value=value,
                    limit=own,
                    set_by=self.origins.get(key, "the driver"),
                    remedy=remedy,
                )
            changes[key] = type(own)(value)
        narrowed = replace(self, **changes)  # pyright: ignore[reportArgumentType]
        origins = {**self.origins, **{key: source for key, value in changes.items() if value != getattr(self, key)}}
        object.__setattr__(narrowed, "_origins", origins)
        return narrowed

    @classmethod
    def widest(cls) -> Limits:
        """Return what a file is held to before its instrument is known, which may take long counts."""
        return cls(count_max=COUNT_MAX)

    def halved(self) -> Limits:
        """Return the limits of a line that carries half of a cell's voltage."""
        names = ("set_volts_max", "reset_volts_max")
        made = self
        for name in names:
            source = f"half of a cell's voltage ({self.origins.get(name, 'the driver')})"
            made = made.narrowed({name: 0.5 * getattr(self, name)}, source=source)
        return made

    def check(self, name: str, values: ArrayLike, *, channel: str, unit: str = "") -> NDArray[np.float64]:
        """Return ``values`` as float64, or refuse them before anything is written.

        Parameters
        ----------
        name : str
            A :class:`Quantity`, or its name.
        channel : str
            Where the values go, for the message.
        unit : str
            How it is called there; the quantity's own unless given.
        """
        array = numbers(values, name, channel=channel)
        if array.size == 0:
            return array
        found = _BOUNDS[name]
        bounds = low, high, _, _ = found.of(self)
        if isinstance(values, float) and low <= values <= high:
            return array
        # One pass each; a NaN fails both comparisons, so it is found without a scan of its own.
        smallest, largest = float(array.min()), float(array.max())
        if smallest >= low and largest <= high:
            return array
        bad = ~((array >= low) & (array <= high))
        place = np.unravel_index(int(np.argmax(bad)), array.shape)
        value = float(array[place])
        where = f"{channel}{list(map(int, place)) if array.ndim else ''}"
        if not np.isfinite(value):
            raise RefusedError(
                f"{name} is {value} at {where}: only finite numbers are sent to an instrument", where=where, value=value
            )
        whose = self.whose(bounds[3] if value > high else bounds[2])
        raise LimitError.outside(name, value, bounds, where=where, unit=unit or found.unit, set_by=whose)

    def one(self, name: str, value: float, *, channel: str, unit: str = "") -> float:
        """Return a single ``value`` as a float, or refuse it as :meth:`check` does."""
        value = scalar(value, name, channel=channel)
        self.check(name, value, channel=channel, unit=unit)
        return value

    def check_pulses(self, volts: ArrayLike, width: ArrayLike, *, channel: str, edge: float | None = None) -> None:
        """Refuse pulses whose energy, or slew when their ``edge`` [s] is known, is above the limits.

        Parameters
        ----------
        volts : array [V]
        width : array [s]
            Both checked already; they are broadcast together.
        """
        largest = max(self.set_volts_max, self.reset_volts_max)
        if largest * self.current_max * self.width_max > self.energy_max:
            energy = np.abs(volts) * self.current_max * np.asarray(width)
            self.check(Quantity.ENERGY, energy, channel=channel)
        if edge is not None and EDGE_PART * largest > self.slew_max * edge:
            self.check(Quantity.SLEW, EDGE_PART / edge * np.abs(volts), channel=channel)

    def check_points(self, volts: NDArray[np.float64], compliance: float, dwell: float, *, channel: str) -> None:
        """Refuse a sweep whose points' energy or slew is above the limits.

        Parameters
        ----------
        volts : array [points] [V]
        compliance : float [A]
        dwell : float [s]
            Time per point; 0 s is taken for steps as fast as the instrument's.
        """
        self.check(Quantity.SWEEP_ENERGY, np.abs(volts) * (compliance * dwell), channel=channel)
        if dwell > 0.0:
            self.check(Quantity.SLEW, np.abs(np.diff(volts, prepend=0.0)) / dwell, channel=channel)

    def told(self, *, without: Collection[str] = ()) -> str:
        """Return the limits in words, with their units."""
        names = (name for name in _NAMES if name not in without)
        return ", ".join(f"{name} {getattr(self, name):g} {_UNITS.get(name, '')}".strip() for name in names)

    def whose(self, limit_name: str) -> str:
        """Return who set a limit, and so where it can be changed if at all."""
        if limit_name in self.origins:
            return f"the limit is set by {self.origins[limit_name]}"
        return "it is the driver's own limit" if limit_name in _NAMES else "nothing below it makes sense"


_NAMES = tuple(field.name for field in fields(Limits))
_UNITS = {
    name: quantity.bounds.unit
    for quantity in Quantity
    if quantity not in {Quantity.EDGE, Quantity.COUNT}  # the slew bounds the edge, in V/s
    for name in (quantity.bounds.low, quantity.bounds.high)
    if name in _NAMES
}


def read_limits(limits: Mapping[str, Any], *, source: str) -> dict[str, Any]:
    """Return limits as a file has them, those written with their unit as numbers in SI units.

    Raises
    ------
    RefusedError
        Text that is no number in the limit's unit; ``source`` begins the sentence.
    """
    read: dict[str, Any] = {}
    for key, value in limits.items():
        try:
            read[key] = si_number(value, _UNITS[key]) if key in _UNITS and isinstance(value, str) else value
        except RefusedError as error:
            raise RefusedError(f"{source}: limit {key}: {error}", where=source, value=value) from error
    return read


def limits_schema() -> dict[str, Any]:
    """Return the JSON Schema of a section of limits in a file."""
    own = Limits.widest()
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            name: or_text(schema, _UNITS[name]) if name in _UNITS else schema
            for name, schema in (
                (
                    field.name,
                    {
                        "type": "integer" if isinstance(getattr(own, field.name), int) else "number",
                        "minimum" if field.name.endswith("_min") else "maximum": getattr(own, field.name),
                        **({} if field.name.endswith("_min") else {"minimum": 0}),
                    },
                )
                for field in fields(Limits)
            )
        },
    }


def refuse_bad_number(name: str, value: float, low: float, high: float, unit: str, *, channel: str) -> None:
    """Refuse a scalar outside what the instrument can do, NaN included."""
    value = scalar(value, name, channel=channel)
    if not low <= value <= high:
        raise RefusedError(
            f"{name} {value:g} {unit} at {channel} is outside {low:g} to {high:g} {unit}: choose one inside",
            where=channel,
            value=value,
            limit=(low, high),
            set_by="the instrument",
            remedy="choose one inside",
        )
