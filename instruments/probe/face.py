"""What arrays made of instruments show of themselves: the face of :class:`~.together.Together`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..abilities import Multiplies, Parts
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import Clock, Cost, Delivered, Kind, PulseMap, Reading
from ..chip.wear_ledger import WearLedger
from ..limits import Limits, refuse_bad_number
from ..wire.safe_state import SafeStep
from .together import Together

if TYPE_CHECKING:
    from ..chip.chip_file import Chip
    from ..limits import NamedLimits


class ReadsCells(Protocol):
    """The part that reads."""

    def read(
        self, cells: Block, volts: float | None, *, average: int, gate: float | None, scheme: str | None
    ) -> Reading:
        """Measure a block of cells."""
        ...


class PulsesCells(Protocol):
    """The part that pulses."""

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give every cell of a block its pulses."""
        ...


class TogetherArray:
    """A ``CrossbarArray`` whose instruments act together; parts read, pulse and do the rest.

    A subclass makes the parts, then says them here.

    Parameters
    ----------
    rig : Together
        The instruments.
    spec : ArraySpec
        What the array is; what it supports is added from ``parts``.
    reads, pulses : the parts that read and pulse.
    parts : Parts
        Abilities.
    """

    def __init__(self, rig: Together, spec: ArraySpec, *, reads: ReadsCells, pulses: PulsesCells, parts: Parts) -> None:
        self.name = rig.name
        self._together, self._parts = rig, parts
        self._spec = spec.having(parts.names)
        self._reads, self._pulses = reads, pulses

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do."""
        return self._spec

    def ability(self, kind: type[Kind]) -> Kind:
        """Return what this bench can do besides reading and pulsing, or refuse saying what it would need."""
        return self._parts.ability(kind)

    @property
    def clock(self) -> Clock:
        """The bench's time; the instruments wait by it too."""
        return self._together.clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._together.clock = clock

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened; ``transactions`` are the instruments' own."""
        return self._together.cost

    @property
    def wear(self) -> WearLedger:
        """What the chip's cells have borne; a bench hands over the account of its chip."""
        return self._together.wear

    @wear.setter
    def wear(self, wear: WearLedger) -> None:
        self._together.wear = wear

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """What the last :meth:`idle` came to, step by step, in the order the steps were taken."""
        return self._together.ending

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block cell by cell, each at 0 V and at ``volts``."""
        return self._reads.read(cells, volts, average=average, gate=gate, scheme=scheme)

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give every cell of a block its pulses, cell by cell."""
        return self._pulses.pulse(pulses)

    def vmm(self, volts: ArrayLike, *, full_scale: float | None = None) -> NDArray[np.float32]:
        """Multiply where the bench can, the short way; see :class:`~..abilities.Multiplies`."""
        return self.ability(Multiplies).vmm(volts, full_scale=full_scale)

    def idle(self) -> None:
        """Put every source at 0 V and off, then open what ties them to the chip; in any state; logs what is mute."""
        self._together.idle()

    def declare_silence(self, seconds: float) -> None:
        """Do nothing: no instrument here has a watchdog, so sources are at 0 V between actions."""


def allowed_here(
    name: str, chip: Chip, limits: NamedLimits | None, *numbers: tuple[str, float, float, float, str]
) -> Limits:
    """Return what a passive chip and its station allow, after a look at a station's ``numbers``.

    Each is its name, its value, the least and the most it may be, and its unit.
    """
    chip.require_cell("passive", board=name)
    for what, value, low, high, unit in numbers:
        refuse_bad_number(what, value, low, high, unit, channel=name)
    allowed = Limits().narrowed(chip.limits, source=chip.source)
    return allowed if limits is None else allowed.narrowed(limits, source=limits.source)
