"""The roles of a probe station's instruments: what an array asks of a source-measure unit, a pulser, a matrix.

``ProbedArray`` is written against these Protocols and knows no make. Another make is one file in ``drivers/``, or in a
package of your own, and its name as ``type:`` in a station. A driver needs no base class of ours; it needs the verbs.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol, get_type_hints

from numpy.typing import NDArray

from ...common.errors import RefusedError
from ..capabilities import Clock, FloatArray
from ..limits import Limits
from ..wire.safe_state import SafeStep

Path = tuple[int, int]
"""Input and output port of a matrix, counted from 1 as printed on the instrument."""


class Measured(Protocol):
    """One measurement."""

    @property
    def volts(self) -> float:
        """Source level, as read back where it is [V]."""
        ...

    @property
    def current(self) -> float:
        """Current out of the terminal [A], NaN on overflow."""
        ...

    @property
    def flags(self) -> int:
        """FLAG_… bits of ``capabilities``."""
        ...


class Given(Protocol):
    """A train of pulses as the instrument gives it, after quantisation."""

    @property
    def first(self) -> float:
        """Amplitude on channel 1 [V]."""
        ...

    @property
    def second(self) -> float:
        """Amplitude on channel 2 [V]."""
        ...

    @property
    def width(self) -> float:
        """Width at half height [s]."""
        ...

    @property
    def seconds(self) -> float:
        """Length of the train [s]."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class MeterFacts:
    """What is known of a source-measure unit before it is asked; the numbers are those of a good bench instrument.

    Attributes
    ----------
    ranges : tuple of float [A]
        Of the current, from the lowest it chooses by itself.
    adc_bits : int
    points_max : int
        Points of one buffered sweep.
    delay_min : float [s]
        Shortest delay before a reading, besides none.
    compliance_min : float [A]
    relative_noise, zero_noise : float, float [A]
        Standard error of one reading: a part of it, and at zero.
    """

    ranges: tuple[float, ...] = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)
    adc_bits: int = 20
    points_max: int = 2500
    delay_min: float = 0.0
    compliance_min: float = 1e-6
    relative_noise: float = 2e-4
    zero_noise: float = 1e-9


class BenchInstrument(Protocol):
    """What every instrument of a probe station can do."""

    transactions: int
    """Messages sent since it was opened."""
    ending: tuple[SafeStep, ...]
    """What the last ``idle`` came to, step by step."""
    is_idle: bool
    """Whether it said of itself that it is safe."""
    power_failed: bool
    """Whether it has been without power and is not set up again yet."""
    simulated: bool
    """Whether a simulator answers."""
    clock: Clock
    """The time in which it waits; the array's."""

    @property
    def name(self) -> str:
        """As the station has it."""
        ...

    @property
    def place(self) -> str:
        """Its address, for messages."""
        ...

    def idle(self, *, reconnect: bool = True) -> None:
        """Stop what runs, 0 V first, then disconnect; in any state. ``reconnect``: open a lost connection anew."""
        ...

    def restore(self) -> None:
        """Set it up as it was, from the safe state, on a new connection where the old one is gone."""
        ...

    def require_power(self, doing: str) -> None:
        """Raise ``PowerLostError`` when it has been without power since it was set up."""
        ...


class SourceMeter(BenchInstrument, Protocol):
    """Holds a terminal at a voltage and measures the current out of it."""

    facts: MeterFacts
    point_seconds: float
    """Time one reading takes as set up [s]."""
    is_on: bool

    def set_limits(self, limits: Limits) -> None:
        """Narrow what may be applied, for whoever asks; wider limits are refused."""
        ...

    def halve(self) -> None:
        """Hold it to half of a cell's voltage: another source may stand at the other half."""
        ...

    def whole(self) -> AbstractContextManager[None]:
        """Allow all of a cell's voltage in the body."""
        ...

    def configure(self, *, nplc: float) -> None:
        """Set it up to source volts and measure amperes, ``nplc`` mains cycles a reading; its output goes off."""
        ...

    def integrate(self, nplc: float) -> None:
        """Change the integration time, in mains cycles."""
        ...

    def reading_seconds(self, nplc: float) -> float:
        """Return the time [s] one reading takes at ``nplc`` mains cycles."""
        ...

    def on(self, volts: float = 0.0, *, compliance: float) -> None:
        """Set the current limit [A], then the level [V], then switch the output on."""
        ...

    def off(self) -> None:
        """Set 0 V, then switch the output off."""
        ...

    def level(self, volts: float) -> None:
        """Change the level [V]."""
        ...

    def measure(self) -> Measured:
        """Measure at the present level."""
        ...

    def step(self, volts: float, *, compliance: float | None = None, dwell: float = 0.0) -> Measured:
        """Change level [V] and current limit [A], wait ``dwell`` [s] and measure."""
        ...

    def sweep(
        self, volts: FloatArray, *, compliance: float, dwell: float
    ) -> tuple[FloatArray, FloatArray, NDArray[Any]]:
        """Go through levels [points] V; return volts, amperes and flags [points]; at 0 V and off afterwards."""
        ...


class PulseSource(BenchInstrument, Protocol):
    """Gives trains of pulses from 0 V on two channels in step."""

    edge_range: tuple[float, float]
    """Shortest and longest edge of a pulse [s]."""

    def set_limits(self, limits: Limits) -> None:
        """Narrow what may be applied, for whoever asks; wider limits are refused."""
        ...

    def plan(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> Given:
        """Return what :meth:`pulses` would give, or refuse it; nothing is sent."""
        ...

    def pulses(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> Given:
        """Give ``count`` pulses of ``first`` and ``second`` [V]; ``width``, ``edge``, ``period`` [s]; off afterwards.

        Rounding takes neither channel beyond ``most`` [V].
        """
        ...


@dataclass(frozen=True, slots=True)
class Stairs:
    """A staircase of pulses as it was given: ``first``, ``second`` [pulses] V on the two channels, ``width`` [s].

    ``current`` [pulses] A out of channel 2 in the read behind each; ``seconds`` in all [s].
    """

    first: FloatArray
    second: FloatArray
    width: float
    current: FloatArray
    seconds: float


class ReadingPulser(PulseSource, Protocol):
    """A pulse source that measures between its pulses: a staircase with its answers in one go."""

    def stairs_at_once(self, width: float, edge: float) -> int:
        """Return how many pulses with their reads it does in one go."""
        ...

    def staircase(self, first: FloatArray, second: FloatArray, *, width: float, edge: float, read: float) -> Stairs:
        """Give pulses of ``first`` and ``second`` [pulses] V, each with a read at ``read`` [V] on channel 1 behind it.

        Channel 2 is at 0 V then and measures, on a range that holds the current.
        """
        ...


class SwitchMatrix(BenchInstrument, Protocol):
    """Ties inputs, where the instruments are, to outputs, where the chip's lines are."""

    ports: tuple[int, int]
    """How many inputs and outputs."""

    def connect_only(self, paths: Iterable[Path]) -> None:
        """Open what is not asked for, then close what is missing, and make sure of it."""
        ...


class Digitiser(BenchInstrument, Protocol):
    """Holds a terminal at 0 V and records the current into it: what a probe station needs to sample a cell in time."""

    rate_max: float
    """Largest sampling rate [1/s]."""
    points_max: int
    """Samples of one record."""

    def record(self, *, rate: float, points: int) -> FloatArray:
        """Return ``points`` currents [points] A into the terminal, ``rate`` [1/s]."""
        ...


class RecordingMeter(SourceMeter, Protocol):
    """A source-measure unit that makes readings in time by itself: it samples a cell where there is no digitiser."""

    rate_max: float
    """Largest rate of readings [1/s]."""
    points_max: int
    """Readings of one record."""

    def record(self, *, rate: float, points: int, largest: float) -> tuple[FloatArray, FloatArray]:
        """Make ``points`` readings at about ``rate`` [1/s] at the present level; off afterwards.

        They are made on one range, that of ``largest`` [A].

        Returns the times after the first [s] and the currents out of the terminal [A], NaN on overflow.
        """
        ...


class TimedMeter(SourceMeter, Protocol):
    """A source-measure unit that goes through a list of levels by itself, one like the other, and can let go of a cell.

    What a bench without pulse generator and matrix needs (``probe/single/``).
    """

    def timed_seconds(self, nplc: float) -> float:
        """Return the time [s] of a point of :meth:`timed_sweep` at ``nplc`` mains cycles."""
        ...

    def timed_sweep(
        self, volts: FloatArray, *, compliance: float, dwell: float, largest: float
    ) -> tuple[FloatArray, FloatArray, FloatArray, NDArray[Any]]:
        """Go through levels [points] V on the range of ``largest`` [A]; at 0 V and off afterwards.

        Returns the times after the first reading [s], volts, amperes and flags, [points] each.
        """
        ...

    def disconnect(self) -> None:
        """Set 0 V, switch off, open the output: nothing reaches the terminal, nor anything from it the instrument."""
        ...

    def connect(self) -> None:
        """Be ready for the next sweep; the output stays off."""
        ...


SHIPPED: Mapping[type, str] = {
    SourceMeter: "Keithley2450Smu (type: Keithley2450)",
    PulseSource: "Keysight33622APulser (type: Keysight33622A)",
    SwitchMatrix: "KeysightB2201AMatrix (type: KeysightB2201A)",
    Digitiser: "",
    RecordingMeter: "Keithley2450Smu (type: Keithley2450)",
    TimedMeter: "Keithley2450Smu (type: Keithley2450), Keithley2400Smu (type: Keithley2400)",
}
"""Drivers of this package that have a role."""


def require_role(thing: object, role: type, *, where: str) -> None:
    """Refuse an instrument, or a class of instruments, that has not the verbs of a role.

    Parameters
    ----------
    thing : object or class
        Of a class only the methods are looked at: attributes may be made when it is opened. Nothing is sent: properties
        are not read.
    role : type
        A Protocol of this module, or another array's own.
    where : str
        Where it is named, for the message.
    """
    lacks = lacking_verbs(thing, role)
    if not lacks:
        return
    kind = thing if inspect.isclass(thing) else type(thing)
    shipped = SHIPPED.get(role, "")
    remedy = f"use a driver that has them, as {shipped}" if shipped else "no driver of this package has this role yet"
    raise RefusedError(
        f"{where} is a {kind.__name__} ({kind.__module__}), which cannot be a {role.__name__}: it has no "
        f"{', '.join(lacks)}; {remedy}, or give yours these"
    )


def lacking_verbs(thing: object, role: type) -> tuple[str, ...]:
    """Return what of a ``role`` an instrument has not; of a class, which of its methods."""
    own = [base for base in role.__mro__ if base is not Protocol and base is not object]
    verbs = {name for base in own for name, member in vars(base).items() if callable(member) and name[0] != "_"}
    if inspect.isclass(thing):
        return tuple(sorted(name for name in verbs if not callable(getattr(thing, name, None))))
    wanted = {
        name
        for base in own
        for name in (*vars(base), *get_type_hints(base))
        if name[0] != "_" and name not in {"register"}
    }
    nothing = object()
    return tuple(sorted(name for name in wanted if inspect.getattr_static(thing, name, nothing) is nothing))
