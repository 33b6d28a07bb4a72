"""The instruments of a probe station and its one chip: who is tied to what, and the way to the safe state."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, cast

from ...common.errors import RefusedError, XbarlabError
from ..capabilities import Clock, Cost
from ..chip.wear_ledger import WearLedger
from ..clock import SimulatedClock, SimulatedLink, WallClock
from ..drivers.roles import (
    BenchInstrument,
    Digitiser,
    Path,
    PulseSource,
    SourceMeter,
    SwitchMatrix,
    require_role,
)
from ..limits import Limits
from ..wire.interrupts import uninterrupted
from ..wire.locks import ActionLock
from ..wire.safe_state import SafeStep
from .by_hand import ByHand
from .lines import ProbeInputs, ProbeLines

if TYPE_CHECKING:
    from ..chip.chip_file import Chip

log = logging.getLogger(__name__)


class Rig:
    """Two source-measure units, a pulser and a switch matrix with a passive chip behind it, and a digitiser if any.

    Sources are at 0 V and off whenever a relay moves.

    Parameters
    ----------
    name : str
        Of the array.
    row_smu, column_smu, pulser, matrix, digitiser
        Drivers, open.
    inputs : mapping of str to int
        Matrix input of each source; see :class:`~.lines.ProbeInputs`.
    chip : Chip
        Which matrix output is which line.
    limits : Limits
        What may be applied to a cell.
    nplc : float
        Mains cycles of a reading.

    Attributes
    ----------
    lines, limits : which paths tie a cell; what may be applied.
    lock : one action at a time.
    wear : what the chip's cells have borne; a bench hands over the account of its chip.
    """

    def __init__(
        self,
        name: str,
        *,
        row_smu: SourceMeter,
        column_smu: SourceMeter,
        pulser: PulseSource,
        matrix: SwitchMatrix,
        digitiser: Digitiser | None,
        inputs: Mapping[str, int] | None,
        chip: Chip,
        limits: Limits,
        nplc: float,
    ) -> None:
        self.name = name
        self.row_smu, self.column_smu, self.pulser, self.matrix = row_smu, column_smu, pulser, matrix
        self.digitiser = digitiser
        for role, driver, kind in (
            ("row_smu", row_smu, SourceMeter),
            ("column_smu", column_smu, SourceMeter),
            ("pulser", pulser, PulseSource),
            ("matrix", matrix, SwitchMatrix),
            ("digitiser", digitiser, Digitiser),
        ):
            if driver is not None:
                require_role(driver, kind, where=f"{role} of {name}")
        self.sources: tuple[BenchInstrument, ...] = (row_smu, column_smu, pulser)
        self.meters: tuple[BenchInstrument, ...] = () if digitiser is None else (digitiser,)
        ports = matrix.ports
        self.lines = ProbeLines(ProbeInputs.from_settings(inputs, where=f"{name}.inputs", most=ports[0]), chip, ports)
        if digitiser is not None and self.lines.inputs.digitiser is None:
            raise RefusedError(f"{name}.inputs: say at which matrix input the digitiser is (digitiser: <port>)")
        self.limits = limits
        told = {driver.simulated for driver in self.all}
        if len(told) > 1:
            raise RefusedError(f"{name}: some of its instruments are simulated, some are not: use one kind on a bench")
        self.simulated = told.pop()
        # A line carries half of a cell's voltage; only reads and a floating sweep put all of it on the row. Held by the
        # drivers, nobody can put more than a cell bears between any two of the sources, by hand neither.
        row_smu.set_limits(limits)
        row_smu.halve()
        for source in (column_smu, pulser):
            source.set_limits(limits.halved())
        for smu in (row_smu, column_smu):
            smu.configure(nplc=nplc)
        self.lock = ActionLock(name)
        self.wear = WearLedger(name, (chip.rows, chip.cols))
        # What these drivers are used for by hand is counted as well; another make's, where it tells.
        hand = ByHand(
            self.lines,
            polarity=chip.polarity,
            limits=limits,
            account=lambda: self.wear,
            acting=lambda: self.lock.is_mine,
            paths=lambda: getattr(matrix, "closed", None),
        )
        inputs_of = self.lines.inputs
        for driver, ports in (
            (row_smu, (inputs_of.row_smu,)),
            (column_smu, (inputs_of.column_smu,)),
            (pulser, (inputs_of.pulser_row, inputs_of.pulser_column)),
            (matrix, ()),
        ):
            if hasattr(driver, "stress"):
                driver.stress = hand.of(*ports)  # pyright: ignore[reportAttributeAccessIssue]
        self._tied: frozenset[Path] = frozenset()
        self._slots = self._pulses = 0
        self._seconds = 0.0
        self.clock = SimulatedClock(cast("SimulatedLink", row_smu)) if self.simulated else WallClock()

    @property
    def all(self) -> tuple[BenchInstrument, ...]:
        """Every instrument, in the order they are made safe: sources before the relays they feed."""
        return (*self.sources, *self.meters, self.matrix)

    @property
    def boxes(self) -> tuple[BenchInstrument, ...]:
        """Every instrument once: two channels of one box may have two of the roles."""
        return tuple({id(getattr(driver, "wire", driver)): driver for driver in reversed(self.all)}.values())[::-1]

    @property
    def clock(self) -> Clock:
        """The bench's time; the instruments wait by it too."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock
        for driver in self.all:
            driver.clock = clock

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened; ``transactions`` are the instruments' own."""
        return Cost(
            transactions=sum(driver.transactions for driver in self.boxes),
            slots=self._slots,
            pulses=self._pulses,
            chip_seconds=self._seconds,
        )

    def count(self, *, slots: int, pulses: int = 0, seconds: float) -> None:
        """Add to what the array has been asked and has borne."""
        self._slots += slots
        self._pulses += pulses
        self._seconds += seconds

    # -- relays and sources ------------------------------------------------------------------------------------------

    def acting(self, *sources: BenchInstrument) -> Acting:
        """Make everything safe whatever interrupts the body; ``sources`` act in it."""
        return Acting(self, sources)

    def tie(self, paths: frozenset[Path], *smus: SourceMeter) -> None:
        """Tie a cell to ``smus``, which are on at 0 V then, or to the pulser when there are none."""
        self.lock.go_on()
        if paths != self._tied:
            # Never hot: 0 V and off → open → close → on.
            for smu in (self.row_smu, self.column_smu):
                if smu.is_on:
                    smu.off()
            self._tied = frozenset()
            self.matrix.connect_only(paths)
            self._tied = paths
        for smu in smus:
            if not smu.is_on:
                smu.on(0.0, compliance=self.limits.current_max)

    def integrate(self, nplc: float) -> None:
        """Set the integration time of both units, in mains cycles."""
        for smu in (self.row_smu, self.column_smu):
            smu.integrate(nplc)

    # -- to the safe state, and back ---------------------------------------------------------------------------------

    def idle(self) -> None:
        """Put every source at 0 V and off, then open the matrix. Safe in any state; logs what does not answer."""
        with uninterrupted(), self.lock.idling():
            # What answers first: no source waits for the time-outs of another.
            for source in (*self.sources, *self.meters):
                with suppress(AttributeError):  # QCoDeS strips an instrument that was closed
                    source.idle(reconnect=False)
            for source in (*self.sources, *self.meters):
                with suppress(AttributeError):
                    if not source.is_idle:
                        source.idle()
            with suppress(AttributeError):
                self.matrix.idle()
            self._tied = frozenset()
            self.wear.flush()

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """What the last :meth:`idle` came to, step by step, in the order the steps were taken."""
        return tuple(step for driver in self.boxes for step in getattr(driver, "ending", ()))

    def begin_again(self, fault: XbarlabError) -> None:
        """Set up every instrument anew, from the safe state, so that a read that failed can be done once more."""
        for driver in self.boxes:
            if not driver.is_idle:
                raise fault
            driver.restore()
        told = f"{fault}; everything was set up again from 0 V, and the read done once more"
        getattr(self.row_smu, "note_incident", log.warning)(told)


class Acting:
    """Whatever interrupts the body, all sources are made safe before the exception goes on.

    In the end ``sources`` and the matrix say that they had power all the time: one that had not has measured, or
    given, what nobody asked for.
    """

    __slots__ = ("_drivers", "_rig")

    def __init__(self, rig: Rig, sources: tuple[BenchInstrument, ...]) -> None:
        self._rig = rig
        self._drivers = (*sources, rig.matrix)

    def __enter__(self) -> None:
        for driver in self._drivers:
            if driver.power_failed:
                driver.restore()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._rig.idle()
            return
        try:
            for driver in self._drivers:
                driver.require_power("an action")
        except BaseException:
            self._rig.idle()
            raise
