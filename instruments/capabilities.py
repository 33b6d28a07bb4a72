"""The one thing a protocol sees: a ``CrossbarArray`` and a ``Clock``, with the records they exchange."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .array_spec import ArraySpec
from .block import Block

FloatArray = NDArray[np.float64]
Kind = TypeVar("Kind")
"""The Protocol of an ability."""

FLAG_OVERFLOW = 1
FLAG_COMPLIANCE = 2
FLAG_BELOW_NOISE = 4


@dataclass(frozen=True, slots=True)
class Cost:
    """What the array has been asked and has borne since the bench was opened; subtract two to cost a step.

    Attributes
    ----------
    transactions : messages that made the array act.
    slots : pulse or read slots spent on the chip.
    pulses : pulses delivered to cells.
    chip_seconds : time under bias [s].
    """

    transactions: int = 0
    slots: int = 0
    pulses: int = 0
    chip_seconds: float = 0.0

    def __sub__(self, other: Cost) -> Cost:
        return Cost(
            transactions=self.transactions - other.transactions,
            slots=self.slots - other.slots,
            pulses=self.pulses - other.pulses,
            chip_seconds=self.chip_seconds - other.chip_seconds,
        )

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            transactions=self.transactions + other.transactions,
            slots=self.slots + other.slots,
            pulses=self.pulses + other.pulses,
            chip_seconds=self.chip_seconds + other.chip_seconds,
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """Currents of a block, shape (nrows, ncols) each.

    ``current`` [A], ``conductance`` = I/V [S], ``stderr`` of the conductance [S], ``flags`` (FLAG_… bits).
    """

    block: Block
    volts: float
    current: FloatArray
    conductance: FloatArray
    stderr: FloatArray
    flags: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class PulseMap:
    """Pulses for a block; every member is broadcast to its shape.

    ``volts`` [V] signed, ``width`` [s], ``gate`` [V], ``count`` pulses per cell (0 leaves a cell alone).
    """

    block: Block
    volts: ArrayLike
    width: ArrayLike
    gate: ArrayLike = 0.0
    count: ArrayLike = 1
    scheme: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """What was commanded after quantisation, shape of the block, and what it cost."""

    block: Block
    volts: FloatArray
    width: FloatArray
    gate: FloatArray
    count: NDArray[np.int64]
    slots: int
    pulses: int
    seconds: float


@dataclass(frozen=True, slots=True)
class PulseDrive:
    """Pulses that raise and lower cells: magnitudes [V], gates [V] (0 where there are none), width [s]."""

    set_volts: float
    set_gate: float
    reset_volts: float
    reset_gate: float
    width: float


@dataclass(frozen=True, slots=True)
class OuterProducts:
    """Outer products of one rectangle, one after the other: ``x`` [products, rows], ``d`` [products, cols], −1 to 1."""

    block: Block
    x: FloatArray
    d: FloatArray

    def share(self, part: Block) -> OuterProducts | None:
        """Return what of them falls on the cells of ``part``, None where nothing does."""
        common = self.block.common(part)
        if common is None:
            return None
        rows, cols = common.moved(-self.block.row0, -self.block.col0).slices
        return OuterProducts(common, self.x[:, rows], self.d[:, cols])


@dataclass(frozen=True, slots=True)
class CellRamp:
    """A converter's thresholds, made of cells of one column that are switched in one after the other.

    The first threshold is ``start`` [A]; each of ``cells`` (one column) adds its conductance times ``slope`` [V].
    """

    cells: Block
    start: float
    slope: float


@dataclass(frozen=True, slots=True)
class IVTrace:
    """A sweep of one cell: ``volts`` [V], ``gate`` [V], ``current`` [A], ``flags``, each [points].

    ``dwell`` [s] is what a point took on average where the host steps the sources and sees it, else what was asked.
    """

    row: int
    col: int
    volts: FloatArray
    gate: FloatArray
    current: FloatArray
    flags: NDArray[np.uint8]
    compliance: float
    dwell: float


@dataclass(frozen=True, slots=True)
class Staircase:
    """A staircase of pulses on one cell: ``volts`` [V] as commanded, ``width`` [s], what was read behind each.

    ``current`` [A], ``conductance`` [S] at ``read_volts`` [V], each [points].
    """

    row: int
    col: int
    volts: FloatArray
    width: float
    read_volts: float
    current: FloatArray
    conductance: FloatArray


@dataclass(frozen=True, slots=True)
class Trace:
    """One cell sampled in time: ``time`` [s], ``current`` [A], each [points]."""

    row: int
    col: int
    volts: float
    time: FloatArray
    current: FloatArray


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """A plain staircase the board itself may run (``onboard_verify``).

    ``target`` [S] per cell of ``block``, NaN leaves a cell alone; ``tolerance`` [S]; ``width`` [s]; voltages [V],
    resets as magnitudes.
    """

    block: Block
    target: FloatArray
    tolerance: float
    pulses_max: int
    width: float
    set_volts: float
    set_gate: tuple[float, float, float]
    reset_volts: tuple[float, float, float]
    reset_gate: float


@dataclass(frozen=True, slots=True)
class Verified:
    """What an on-board read-verify did: ``conductance`` [S], ``pulses``, ``done`` per cell of ``block``."""

    block: Block
    conductance: FloatArray
    pulses: NDArray[np.int64]
    done: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who answered: maker, model, serial, firmware, and what a simulator says of itself.

    Attributes
    ----------
    birth : str
        Birth id of the chip behind it, which no other chip ever has; "" where the instrument does not tell one.
    """

    maker: str
    model: str
    serial: str
    firmware: str
    simulation: dict[str, object] = field(default_factory=dict[str, object])
    birth: str = field(default="", compare=False)

    @classmethod
    def told(cls, idn: Mapping[str, str | None]) -> Identity:
        """Return who answered, as QCoDeS has it: vendor, model, serial, firmware."""
        maker, model, serial, firmware = (str(idn.get(key) or "") for key in ("vendor", "model", "serial", "firmware"))
        return cls(maker, model, serial, firmware)


@runtime_checkable
class Clock(Protocol):
    """Time as protocols see it; on a mock bench it is simulated and costs nothing."""

    def now(self) -> float:
        """Return seconds since some fixed start [s]."""
        ...

    def wait(self, seconds: float) -> None:
        """Let ``seconds`` [s] pass; interruptible; instruments are told, so that no watchdog bites."""
        ...


@runtime_checkable
class CrossbarArray(Protocol):
    """An array of memristors that can be read and pulsed. Everything beyond is an ``ability``."""

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do."""
        ...

    @property
    def clock(self) -> Clock:
        """The bench's time."""
        ...

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened."""
        ...

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block at ``volts`` [V] (default: ``spec.read_volts``)."""
        ...

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply pulses and return when they have been delivered."""
        ...

    def idle(self) -> None:
        """Stop what runs, 0 V first, then disconnect. Safe to call in any state, twice too."""
        ...

    def ability(self, kind: type[Kind]) -> Kind:
        """Return the part that can do more: ``array.ability(Sweeps).sweep(…)``; the kinds are in ``abilities``.

        Raises
        ------
        UnsupportedError
            When this array lacks it, saying what it would need; ``spec.supports`` lists what it has.
        """
        ...
