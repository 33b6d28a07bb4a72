"""What an array may be able to do besides reading and pulsing: Protocols of a verb or two, and parts that have them.

``array.ability(Sweeps)`` returns the part of an array that sweeps, or refuses with what it would take. Every array
holds a :class:`Parts`, made when it is opened, and its ``spec.supports`` are their names: the two cannot disagree.

A new kind of ability is a Protocol under :func:`~.array_spec.ability`, which gives it its name and says what it takes.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .array_spec import ability, ability_of, lacking
from .capabilities import (
    CellRamp,
    Cost,
    Delivered,
    FloatArray,
    IVTrace,
    Kind,
    OuterProducts,
    PulseDrive,
    Staircase,
    Trace,
    Verified,
    VerifyRequest,
)


@ability("sweep", needs="a source that can step one cell through a list of voltages with a current limit")
class Sweeps(Protocol):
    """Drives one cell through a list of voltages."""

    def sweep(
        self,
        row: int,
        col: int,
        volts: ArrayLike,
        *,
        compliance: float,
        dwell: float,
        gate: ArrayLike | None = None,
        scheme: str | None = None,
        halt: float | None = None,
    ) -> IVTrace:
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each, current held at or below ``compliance`` [A].

        ``gate`` [V] is one value or one per point. After a point at which the cell carries ``halt`` [A] the sweep goes
        back over the points it came by, and stays at 0 V for what is left; only in schemes of ``spec.sweep_by_host``.
        """
        ...


@ability(
    "staircase",
    needs="an instrument that gives pulses with a read behind each by itself, as an ArC TWO or a WGFMU does",
)
class Staircases(Protocol):
    """Gives one cell a staircase of pulses with a read behind each, in few messages: nobody looks between them."""

    def staircase(self, row: int, col: int, start: float, stop: float, points: int, *, width: float) -> Staircase:
        """Give pulses of ``width`` [s] from ``start`` to ``stop`` [V] in even steps, ``points`` of them.

        They are given in the array's own write scheme, and read with one conversion at ``spec.read_volts``.
        """
        ...


@ability("sample", needs="a converter that streams one line, as a digitiser does (SAMPle?)")
class Samples(Protocol):
    """Looks at one cell over time."""

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V]."""
        ...


@ability("vmm", needs="drivers on all rows and converters on all columns at once, as an array board has (VMM:FORWard?)")
class Multiplies(Protocol):
    """Multiplies vectors with the conductances, all lines at once."""

    def vmm(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return currents [batch, cols] A for row voltages [batch, rows] V.

        ``full_scale`` [A] is the largest current to expect, one of ``spec.vmm_ranges`` (rounded up); None keeps what
        is set. A current beyond it is NaN.
        """
        ...


@ability("reverse", needs="drivers on all columns and converters on all rows at once (VMM:REVerse?)")
class MultipliesReversed(Protocol):
    """Multiplies the other way: columns in, rows out."""

    def vmm_reversed(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Return currents [batch, rows] A for column voltages [batch, cols] V; ``full_scale`` as in ``vmm``."""
        ...


@ability("outer_update", needs="pulsers on all rows and columns at once with a bit generator (UPDate:OUTer)")
class UpdatesByOuterProduct(Protocol):
    """Changes all cells at once, each by the product of what its row and its column are given."""

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int, drive: PulseDrive | None = None) -> Delivered:
        """Pulse cells in proportion to xᵢ·dⱼ, −1 to 1 each ([rows], [cols]), by coincidences in ``pulses`` turns.

        ``drive`` are the pulses; None for what the array is set to.
        """
        ...

    def outer_updates(self, products: Sequence[OuterProducts], *, pulses: int, drive: PulseDrive | None = None) -> Cost:
        """Do the same for many products, rectangle by rectangle, in as few transactions as the array can."""
        ...


@ability("onboard_verify", needs="firmware that runs read-verify by itself (PROGram:VERify)")
class VerifiesOnBoard(Protocol):
    """Runs a read-verify staircase by itself."""

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Run the board's own read-verify."""
        ...


@ability("ramp", needs="comparators on all columns and a ramp made of cells (ADC:RAMP of board-protocol §10.10)")
class ConvertsByRamp(Protocol):
    """Converts the currents of a product by comparing them with ramps that programmed cells make step by step."""

    def convert(self, volts: ArrayLike, ramps: Sequence[CellRamp], which: ArrayLike) -> NDArray[np.int16]:
        """Return codes [batch, cols] for row voltages [batch, rows] V: how many thresholds are at or below a current.

        ``which`` [cols] is the ramp of each column, −1 for columns that are not asked: their code is −1.
        """
        ...

    def thresholds(self, ramp: CellRamp, *, average: int = 1) -> FloatArray:
        """Return a ramp's thresholds [cells + 1] A as the array measures them, ``average`` conversions per cell."""
        ...


@ability(
    "saturate", needs="output circuits that hold every column between two levels (ADC:SATurate, board-protocol §10.9)"
)
class Saturates(Protocol):
    """Multiplies, and lets every column's output circuit saturate."""

    def vmm_saturated(
        self, volts: ArrayLike, *, low: ArrayLike, high: ArrayLike, full_scale: float | None = None
    ) -> NDArray[np.float32]:
        """Return currents [batch, cols] A for row voltages [batch, rows] V, held between ``low`` and ``high`` [A].

        Levels are one for all columns or [cols]; an infinite one is no bound on that side. Circuits round the corners
        and have gains and offsets of their own; no current leaves its levels by more than 5 % of their span.
        """
        ...


SHIPPED: tuple[type, ...] = (
    Sweeps, Staircases, Samples, Multiplies, MultipliesReversed, UpdatesByOuterProduct, VerifiesOnBoard, ConvertsByRamp,
    Saturates,
)  # fmt: skip
"""The kinds of ability arrays of this package may have."""


class Parts:
    """The abilities of one array: a part for each kind.

    Parameters
    ----------
    array : str
        The array's name, for the refusal.
    parts : mapping of kind to part
        Kinds are the Protocols of this module, or others made with :func:`~.array_spec.ability`.
    """

    __slots__ = ("_array", "_parts", "names")

    def __init__(self, array: str, parts: Mapping[type, object] | None = None) -> None:
        self._array = array
        self._parts = dict(parts or {})
        self.names = frozenset(ability_of(kind).name for kind in self._parts)
        """What ``spec.supports`` says."""

    @classmethod
    def of(cls, array: str, one: object, names: Iterable[str]) -> Parts:
        """Return parts that are all the same object ``one``, for those of the shipped kinds that ``names`` names."""
        wanted = set(names)
        return cls(array, {kind: one for kind in SHIPPED if ability_of(kind).name in wanted})

    def ability(self, kind: type[Kind]) -> Kind:
        """Return the part of a ``kind``.

        Raises
        ------
        UnsupportedError
            Where there is none, saying what it would take.
        """
        part = self._parts.get(kind)
        if part is None:
            raise lacking(self._array, kind, self.names)
        return cast("Kind", part)
