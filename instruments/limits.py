"""Limits: one record that can only be narrowed, and the check every write passes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..common.errors import RefusedError, unknown

EDGE_PART = 0.8
"""Part of its amplitude that a pulse crosses in its edge time, from 10 to 90 %."""


class NamedLimits(dict[str, float]):
    """Limits as a file has them, and where: ``source`` is for messages."""

    def __init__(self, limits: Mapping[str, float], source: str) -> None:
        super().__init__(limits)
        self.source = source


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
        Pulses per cell in one map.
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
        for key, value in other.items():
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
                raise RefusedError(
                    f"{source}: limit {key} = {value:g} is wider than {whose}; "
                    "a file may narrow a limit, never widen it: choose a value "
                    f"{'at or above' if key.endswith('_min') else 'at or below'} {own:g}"
                )
            changes[key] = type(own)(value)
        narrowed = replace(self, **changes)  # pyright: ignore[reportArgumentType]
        origins = {**self.origins, **{key: source for key, value in changes.items() if value != getattr(self, key)}}
        object.__setattr__(narrowed, "_origins", origins)
        return narrowed

    def halved(self) -> Limits:
        """Return the limits of a line that carries half of a cell's voltage."""
        names = ("set_volts_max", "reset_volts_max")
        made = self
        for name in names:
            source = f"half of a cell's voltage ({self.origins.get(name, 'the driver')})"
            made = made.narrowed({name: 0.5 * getattr(self, name)}, source=source)
        return made

    def check(self, name: str, values: ArrayLike, *, channel: str, unit: str = "V") -> NDArray[np.float64]:
        """Return ``values`` as float64, or refuse them before anything is written.

        Parameters
        ----------
        name : str
            ``pulse_volts`` (signed: positive against ``set_volts_max``, negative against ``reset_volts_max``),
            ``source_volts`` (what one terminal may be driven to: either sign against the larger of the two),
            ``read_volts``, ``vmm_volts``, ``gate``, ``current``, ``width``, ``count``, ``energy`` and ``sweep_energy``
            [J], ``slew`` [V/s], or ``edge`` (the least that keeps the slew of the largest pulse).
        channel : str
            Where the values go, for the message.
        """
        array = numbers(values, name, channel=channel)
        if array.size == 0:
            return array
        low, high, low_name, high_name = self._bounds(name)
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
            raise RefusedError(f"{name} is {value} at {where}: only finite numbers are sent to an instrument")
        above = value > high
        limit, limit_name = (high, high_name) if above else (low, low_name)
        raise RefusedError(
            f"{name} {value:g} {unit} at {where} is {'above' if above else 'below'} the limit {limit:g} {unit} "
            f"({limit_name}): choose {low:g} to {high:g} {unit}; {self.whose(limit_name)}"
        )

    def one(self, name: str, value: float, *, channel: str, unit: str = "V") -> float:
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
            self.check("energy", energy, channel=channel, unit="J")
        if edge is not None and EDGE_PART * largest > self.slew_max * edge:
            self.check("slew", EDGE_PART / edge * np.abs(volts), channel=channel, unit="V/s")

    def check_points(self, volts: NDArray[np.float64], compliance: float, dwell: float, *, channel: str) -> None:
        """Refuse a sweep whose points' energy or slew is above the limits.

        Parameters
        ----------
        volts : array [points] [V]
        compliance : float [A]
        dwell : float [s]
            Time per point; 0 s is taken for steps as fast as the instrument's.
        """
        self.check("sweep_energy", np.abs(volts) * (compliance * dwell), channel=channel, unit="J")
        if dwell > 0.0:
            self.check("slew", np.abs(np.diff(volts, prepend=0.0)) / dwell, channel=channel, unit="V/s")

    def whose(self, limit_name: str) -> str:
        """Return who set a limit, and so where it can be changed if at all."""
        if limit_name in self.origins:
            return f"the limit is set by {self.origins[limit_name]}"
        return "it is the driver's own limit" if limit_name in _NAMES else "nothing below it makes sense"

    def _bounds(self, name: str) -> tuple[float, float, str, str]:
        match name:
            case "pulse_volts":
                return -self.reset_volts_max, self.set_volts_max, "reset_volts_max", "set_volts_max"
            case "source_volts":
                most = max(self.set_volts_max, self.reset_volts_max)
                whose = "set_volts_max" if most == self.set_volts_max else "reset_volts_max"
                return -most, most, whose, whose
            case "read_volts":
                return -self.read_volts_max, self.read_volts_max, "read_volts_max", "read_volts_max"
            case "vmm_volts":
                return -self.vmm_volts_max, self.vmm_volts_max, "vmm_volts_max", "vmm_volts_max"
            case "gate":
                return 0.0, self.gate_max, "lowest gate voltage", "gate_max"
            case "current":
                return 0.0, self.current_max, "lowest compliance", "current_max"
            case "width":
                return self.width_min, self.width_max, "width_min", "width_max"
            case "count":
                return 0.0, float(self.count_max), "lowest count", "count_max"
            case "energy":
                return 0.0, self.energy_max, "lowest energy", "energy_max"
            case "sweep_energy":
                return 0.0, self.sweep_energy_max, "lowest energy", "sweep_energy_max"
            case "slew":
                return 0.0, self.slew_max, "lowest slew", "slew_max"
            case "edge":
                largest = max(self.set_volts_max, self.reset_volts_max)
                return EDGE_PART * largest / max(self.slew_max, 1e-300), 1e6, "slew_max", "longest edge"
            case _:
                raise KeyError(name)


_NAMES = frozenset(field.name for field in fields(Limits))
_PLAIN = "give plain numbers in SI units"


_FILL = "fill what is masked first; a count of 0, or a target of nan, leaves a cell alone"
_NO_NUMBERS = {
    "b": ("an array of true and false", "give counts as whole numbers, as .astype(int) makes them"),
    "O": ("an array of objects", _PLAIN),
    "M": ("an array of dates", _PLAIN),
    "m": ("an array of spans of time", "give seconds"),
    "c": ("an array of complex numbers", _PLAIN),
    "V": ("a structured array", "name one of its columns"),
}


def numbers(values: ArrayLike, name: str, *, channel: str) -> NDArray[np.float64]:
    """Return ``values`` as float64; refuse what is no real number, and what NumPy makes numbers of without a word.

    Those are text that looks like a number, true and false, dates, and arrays that carry more than numbers: a mask, or
    a unit.
    """
    if isinstance(values, float):
        return np.asarray(values, dtype=np.float64)
    said = _no_numbers(values)
    if said is None:
        try:
            array = np.asarray(values)
            if array.dtype.kind in "fiu":
                return np.asarray(array, dtype=np.float64)
            if array.dtype.kind == "O" and not hasattr(values, "dtype"):  # numbers too large for an integer
                return np.array([_number(value) for value in array.flat], dtype=np.float64).reshape(array.shape)
            if array.ndim:
                said = _NO_NUMBERS.get(array.dtype.kind)
        except (TypeError, ValueError, OverflowError):
            pass
    if said is None:
        shown = repr(values)
        said = (shown if len(shown) <= 60 else shown[:57] + "...", _PLAIN)
    what, remedy = said
    more = "" if remedy == _PLAIN else f"; {remedy}"
    raise RefusedError(f"{name} is {what} at {channel}: {_PLAIN}{more}")


def _no_numbers(values: object) -> tuple[str, str] | None:
    """Return what it is that NumPy would turn into numbers, and the remedy; None where nothing is lost."""
    kind = type(values)
    if kind is np.ndarray:
        return _NO_NUMBERS.get(values.dtype.kind) if values.ndim else None  # pyright: ignore[reportAttributeAccessIssue]
    if isinstance(values, np.ma.MaskedArray):
        return "a masked array", _FILL
    if isinstance(values, np.ndarray) and not isinstance(values, np.memmap | np.matrix):
        return f"an array of a kind of its own ({kind.__name__})", _PLAIN
    if hasattr(values, "magnitude") and hasattr(values, "units"):
        return f"a {kind.__name__} with a unit", _PLAIN
    if isinstance(values, list | tuple):
        for value in values:  # pyright: ignore[reportUnknownVariableType]
            if type(value) is float or type(value) is int:
                continue
            if isinstance(value, bool | np.bool_):
                return f"{value} among numbers", "give counts as whole numbers"
            said = _no_numbers(value)
            if said is not None:
                return said
    return None


def scalar(value: float, name: str, *, channel: str) -> float:
    """Return a single number as a float; refuse what is none."""
    array = numbers(value, name, channel=channel)
    if array.ndim:
        raise RefusedError(f"{name} at {channel} has shape {array.shape}: give a single number")
    return float(array)


def _number(value: object) -> float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(value)
    return float(value)


def refuse_bad_number(name: str, value: float, low: float, high: float, unit: str, *, channel: str) -> None:
    """Refuse a scalar outside what the instrument can do, NaN included."""
    value = scalar(value, name, channel=channel)
    if not low <= value <= high:
        raise RefusedError(
            f"{name} {value:g} {unit} at {channel} is outside {low:g} to {high:g} {unit}: choose one inside"
        )
