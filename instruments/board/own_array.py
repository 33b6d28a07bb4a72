"""An array of your own: a class that says how its instrument measures, gives pulses and lets go; the rest is here."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike
from qcodes.instrument import Instrument

from ...common.errors import RefusedError
from ..abilities import Parts
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import FLAG_OVERFLOW, Clock, Cost, Delivered, FloatArray, Kind, PulseMap, Reading
from ..chip.chip_file import Chip
from ..chip.requests import Look, Pulses, checked_pulses, checked_read
from ..chip.wear_ledger import WearLedger
from ..clock import WallClock
from ..limits import NamedLimits
from ..wire.interrupts import uninterrupted
from ..wire.locks import ActionLock
from ..wire.safe_state import SafeStep, steps_taken
from ..wire.unconfirmed import unconfirmed

_LOG = logging.getLogger(__name__)


class OwnArray(Instrument):
    """Base of arrays of your own; subclasses write ``measure``, ``give`` and ``let_go``.

    What is asked is checked here, whole, before any of them is called: cells, NaN, the limits of ``spec`` narrowed by
    chip and station, gates and bias schemes. Pulses are counted in the chip's wear before they are given; cost is
    counted; a chip that SETs with negative voltages is turned round. ``let_go`` is called when it is opened, and on
    every exit.

    Parameters
    ----------
    name : str
        What the station file calls it.
    spec : ArraySpec
        What it is and can do; only name, size and kind of cell must be said, and ``limits`` is what the instrument
        itself may apply.
    chip, limits
        From the station file: hand them on as ``**station``.
    parts : mapping of kind to part
        Abilities beyond reading and pulsing: ``{Sweeps: part}``.
    """

    places_lines: ClassVar[bool] = False
    """Whether it looks itself for the ``lines`` of the chip file; otherwise they must be in order."""

    def __init__(
        self,
        name: str,
        spec: ArraySpec,
        *,
        chip: Chip | None = None,
        limits: Mapping[str, float] | None = None,
        parts: Mapping[type, object] | None = None,
        **qcodes: Any,
    ) -> None:
        super().__init__(name, **qcodes)
        self.parts = Parts(name, parts)
        allowed, bad = spec.limits, spec.bad_cells
        if chip is not None:
            chip.require_cell(spec.cell, board=name, gate_axis=spec.gate_axis)
            if not self.places_lines and not _in_order(chip, spec, name):
                raise RefusedError(
                    f"chip {chip.id} says which lines of {name} it is on, and {name} takes them in order: take `lines` "
                    "out of the chip file"
                )
            spec = replace(spec, rows=chip.rows, cols=chip.cols)
            allowed = allowed.narrowed(chip.limits, source=chip.source)
            bad = (*bad, *chip.all_bad_cells)
        source = limits.source if isinstance(limits, NamedLimits) else f"the limits given to {name}"
        allowed = allowed.narrowed(limits or {}, source=source)
        self.spec = replace(spec, limits=allowed, bad_cells=bad, supports=self.parts.names)
        self.clock: Clock = WallClock()
        self.wear = WearLedger(chip.id if chip is not None else name, (spec.rows, spec.cols), limits=allowed)
        self.ending: tuple[SafeStep, ...] = ()
        self._cost = Cost()
        self._lock = ActionLock(name)
        self._polarity = 1 if chip is None else chip.polarity

    @classmethod
    def record_instance(cls, instance: Instrument) -> None:
        """Let go of everything as soon as it is made: whoever used it last may have left it at a voltage.

        QCoDeS calls this when the constructors of all subclasses are through.
        """
        super().record_instance(instance)
        if isinstance(instance, OwnArray):
            try:
                instance.let_go()
            except BaseException:
                Instrument.close(instance)
                raise

    # -- what a subclass says ------------------------------------------------------------------------------------------

    @abstractmethod
    def measure(self, cells: Block, look: Look) -> ArrayLike:
        """Return the currents [A] of a block of cells at ``look.volts``, the mean of ``look.average`` conversions.

        ``look.gate`` [V] is None where there are no gates; ``look.scheme`` is one of ``spec.read_schemes``.
        """

    @abstractmethod
    def give(self, pulses: Pulses) -> None:
        """Give pulses and return when they have been given.

        ``pulses.volts`` [V], ``width`` [s], ``gate`` [V] and ``count`` are arrays of the block's shape; a ``count`` of
        0 leaves a cell alone.
        """

    @abstractmethod
    def let_go(self) -> None:
        """Stop what runs, go to 0 V, then disconnect; in any state, twice too."""

    def as_given(self, pulses: Pulses) -> Pulses:
        """Return pulses as the instrument can give them: the nearest of its steps, never beyond a limit."""
        return pulses

    def as_read(self, look: Look) -> Look:
        """Return a read as it is done: overridden where the board's steps of voltage are not small against it."""
        return look

    def slots_of(self, pulses: Pulses) -> int:
        """Return how many slots pulses take: as many as the cell of a row, or of all, that gets most."""
        given = pulses.count
        return int(given.max(axis=1).sum()) if self.spec.slot_serves == "row" else int(given.sum())

    def get_idn(self) -> dict[str, str | None]:
        """Return who answers: vendor, model, serial, firmware."""
        return {"vendor": None, "model": type(self).__name__, "serial": None, "firmware": None}

    # -- what a protocol sees ------------------------------------------------------------------------------------------

    @property
    def cost(self) -> Cost:
        """Totals since it was opened."""
        return self._cost

    def ability(self, kind: type[Kind]) -> Kind:
        """Return the part that can do more, or refuse with what it would take."""
        return self.parts.ability(kind)

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block; see :class:`~..capabilities.CrossbarArray`."""
        look = self.as_read(checked_read(self.spec, cells, volts, average=average, gate=gate, scheme=scheme))
        with self.acting():
            told = self._polarity * np.asarray(
                self.measure(cells, replace(look, volts=self._polarity * look.volts)), dtype=np.float64
            )
        if told.shape != cells.shape:
            raise RefusedError(f"{self.name}.measure returned currents of shape {told.shape}, asked for {cells.shape}")
        slots = self.spec.read_slots(cells) * look.average
        self.add_cost(slots=slots, seconds=self.spec.read_seconds(cells, look.average))
        largest = max(self.spec.read_ranges, default=np.inf)
        flags = np.where(~(np.abs(told) < largest), FLAG_OVERFLOW, 0).astype(np.uint8)
        range_ = min((full for full in sorted(self.spec.read_ranges) if full >= np.abs(told).max()), default=0.0)
        # Half a step of the converter, where its range is known.
        stderr = np.full(cells.shape, range_ / 2.0**self.spec.adc_bits / abs(look.volts))
        return Reading(
            block=cells, volts=look.volts, current=told, conductance=told / look.volts, stderr=stderr,
            flags=flags,
        )  # fmt: skip

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply pulses; see :class:`~..capabilities.CrossbarArray`. Nothing is given when a value is refused."""
        asked = self.as_given(checked_pulses(self.spec, pulses))
        given = int(asked.count.sum())
        times = asked.count * (asked.width + self.spec.slot_overhead)
        # The cells of a row are pulsed together.
        seconds = float((times.max(axis=1) if self.spec.slot_serves == "row" else times).sum())
        slots = self.slots_of(asked)
        if given:
            with self.acting(), unconfirmed(asked.block, asked.count):
                # Counted before it leaves: a pulse whose confirmation is lost has been given, for all that is known.
                self.wear.add(asked.block, asked.volts, asked.count, self.spec.limits)
                self.give(replace(asked, volts=self._turned(asked.volts)))
            self.add_cost(slots=slots, pulses=given, seconds=seconds)
        return Delivered(
            block=asked.block, volts=asked.volts, width=asked.width, gate=asked.gate, count=asked.count, slots=slots,
            pulses=given, seconds=seconds,
        )  # fmt: skip

    def idle(self) -> None:
        """Stop what runs, 0 V first, then disconnect; what came of it is in ``ending``."""
        why = ""
        with uninterrupted(), self._lock.idling():
            try:
                self.let_go()
            except Exception as error:  # the way out goes on to the next instrument
                why = f"{type(error).__name__}: {error}"
                _LOG.warning("%s was not made safe: %s: look at it", self.name, why)
        self.ending = steps_taken(self.name, ("0 V, then disconnected",), 1, why)

    def close(self) -> None:
        """Make it safe, then close it."""
        if hasattr(self, "ending"):
            self.idle()
        super().close()

    @property
    def polarity(self) -> int:
        """+1, or −1 where the chip SETs with V(row) below V(column): what is given and read is turned round."""
        return self._polarity

    def go_on(self) -> None:
        """Say between the messages of a long action that it goes on; refused when it was made idle meanwhile."""
        self._lock.go_on()

    @contextmanager
    def acting(self) -> Generator[None]:
        """One action at a time; what is interrupted, by Ctrl-C or by an error, ends in the safe state."""
        with self._lock:
            try:
                yield
            except BaseException:
                self.idle()
                raise

    def _turned(self, volts: FloatArray) -> FloatArray:
        return volts if self._polarity == 1 else -volts

    def add_cost(self, *, slots: int, seconds: float, pulses: int = 0) -> None:
        """Add one transaction to the cost: what a part of the array has done in ``seconds`` [s] under bias."""
        self._cost += Cost(transactions=1, slots=slots, pulses=pulses, chip_seconds=seconds)


def _in_order(chip: Chip, spec: ArraySpec, name: str) -> bool:
    """Whether line n of the array is row, or column, n of the chip."""
    placed = chip.line_map(spec.rows, spec.cols, board=name)
    return bool((placed.rows == np.arange(chip.rows)).all() and (placed.cols == np.arange(chip.cols)).all())
