"""The four instruments of a probe station and its one chip: who is tied to what, and the way to the safe state."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ...common.errors import RefusedError, XbarlabError
from ..abilities import Parts
from ..array_spec import ArraySpec
from ..block import Block
from ..capabilities import Clock, Cost, Kind
from ..chip.wear_ledger import WearLedger
from ..clock import SimulatedClock, WallClock
from ..limits import Limits, numbers, refuse_bad_number
from ..wire.interrupts import uninterrupted
from ..wire.safe_state import SafeStep
from .acting import Acting
from .line_drops import LineDrops
from .lines import Path, ProbeInputs, ProbeLines
from .spec import probe_spec

if TYPE_CHECKING:
    from ..chip.chip_file import Chip
    from ..drivers.guarded_visa import ProbeVisaMixin
    from ..drivers.keithley_2450 import Keithley2450Smu
    from ..drivers.keysight_33622a import Keysight33622APulser
    from ..drivers.keysight_b2201a import KeysightB2201AMatrix
    from ..limits import NamedLimits


class ProbeBench:
    """Two source-measure units (SMU), a two-channel pulser and a switch matrix with a passive chip behind it.

    Sources are at 0 V and off whenever a relay moves.

    Parameters
    ----------
    name : str
    row_smu, column_smu, pulser, matrix
        Drivers, open.
    inputs : mapping of str to int
        Matrix input of each source; see :class:`~.probe_lines.ProbeInputs`.
    nplc, sweep_nplc : float
        Integration time of a reading, and of a point of a sweep, in mains cycles.
    edge, gap : float [s]
        Edges of pulses; rest between pulses of a train.
    chip : Chip
        Which matrix output is which line, polarity, limits.
    limits : mapping
        Narrows further; from the station file.
    """

    ROLES: ClassVar[tuple[str, ...]] = ("row_smu", "column_smu", "pulser", "matrix")

    def __init__(
        self,
        name: str,
        *,
        row_smu: Keithley2450Smu,
        column_smu: Keithley2450Smu,
        pulser: Keysight33622APulser,
        matrix: KeysightB2201AMatrix,
        inputs: Mapping[str, int] | None = None,
        nplc: float = 1.0,
        sweep_nplc: float = 0.1,
        edge: float = 10e-9,
        gap: float = 1e-6,
        chip: Chip | None = None,
        limits: NamedLimits | None = None,
    ) -> None:
        self.name = name
        self.row_smu, self.column_smu, self.pulser, self.matrix = row_smu, column_smu, pulser, matrix
        if chip is None:
            raise RefusedError(f"{name}: a probe station needs a chip file, which says what line is on which output")
        chip.require_cell("passive", board=name)
        for what, value, low, high, unit in (
            ("nplc", nplc, 0.01, 10.0, "cycles"),
            ("sweep_nplc", sweep_nplc, 0.01, 10.0, "cycles"),
            ("edge", edge, 3e-9, 1e-6, "s"),
            ("gap", gap, 1e-7, 1.0, "s"),
        ):
            refuse_bad_number(what, value, low, high, unit, channel=name)
        self._lines = ProbeLines(ProbeInputs.from_settings(inputs, where=f"{name}.inputs"), chip)
        allowed = Limits().narrowed(chip.limits, source=chip.source)
        if limits is not None:
            allowed = allowed.narrowed(limits, source=limits.source)
        self._limits = allowed
        self._polarity = chip.polarity
        self._edge, self._gap = edge, gap
        self._drops = None if chip.segment_ohms is None else LineDrops(chip.segment_ohms, chip.rows, chip.cols)
        drivers = (row_smu, column_smu, pulser, matrix)
        told = {driver.simulated for driver in drivers}
        if len(told) > 1:
            raise RefusedError(f"{name}: some of its instruments are simulated, some are not: use one kind on a bench")
        simulated = told.pop()
        # A line carries half of a cell's voltage; only reads and a floating sweep put all of it on the row. Held by the
        # drivers, nobody can put more than a cell bears between any two of the sources, by hand neither.
        row_smu.set_limits(allowed)
        row_smu.halve()
        for driver in (column_smu, pulser):
            driver.set_limits(allowed.halved())
        for smu in (row_smu, column_smu):
            smu.configure(nplc=nplc)
        self._nplc, self._sweep_nplc = nplc, sweep_nplc
        reading, point = (column_smu.reading_seconds(cycles) for cycles in (nplc, sweep_nplc))
        self._parts = Parts.of(name, self, {"sweep"})
        self._spec = probe_spec(
            name, chip, allowed, reading=reading, point=point, gap=gap, simulated=simulated, supports=self._parts.names
        )
        self.wear = WearLedger(name, (chip.rows, chip.cols))
        """What the chip's cells have borne; a bench hands over the account of its chip."""
        self._tied: frozenset[Path] = frozenset()
        self._slots = self._pulses = 0
        self._chip_seconds = 0.0
        self.clock = SimulatedClock(row_smu) if simulated else WallClock()

    @property
    def spec(self) -> ArraySpec:
        """What this array is and can do."""
        return self._spec

    def ability(self, kind: type[Kind]) -> Kind:
        """Return what this bench can do beyond reading and pulsing, or refuse saying what it would need."""
        return self._parts.ability(kind)

    @property
    def clock(self) -> Clock:
        """The bench's time; the instruments wait by it too."""
        return self._clock

    @clock.setter
    def clock(self, clock: Clock) -> None:
        self._clock = clock
        for driver in (self.row_smu, self.column_smu, self.pulser, self.matrix):
            driver.clock = clock

    @property
    def cost(self) -> Cost:
        """Totals since the bench was opened; ``transactions`` are the instruments' own."""
        drivers = (self.row_smu, self.column_smu, self.pulser, self.matrix)
        transactions = sum(driver.transactions for driver in drivers)
        return Cost(transactions, self._slots, self._pulses, self._chip_seconds)

    # -- relays and sources ------------------------------------------------------------------------------------------

    def _tie(self, paths: frozenset[Path], *smus: Keithley2450Smu) -> None:
        """Tie a cell to ``smus``, which are on at 0 V then, or to the pulser when there are none."""
        if paths != self._tied:
            # Never hot: 0 V and off → open → close → on.
            self._quiet()
            self._tied = frozenset()
            self.matrix.connect_only(paths)
            self._tied = paths
        for smu in smus:
            if not smu.is_on:
                smu.on(0.0, compliance=self._limits.current_max)

    def _integrate(self, nplc: float) -> None:
        for smu in (self.row_smu, self.column_smu):
            smu.integrate(nplc)

    def _quiet(self) -> None:
        for smu in (self.row_smu, self.column_smu):
            if smu.is_on:
                smu.off()

    def idle(self) -> None:
        """Put every source at 0 V and off, then open the matrix. Safe in any state; logs what does not answer."""
        sources = (self.row_smu, self.column_smu, self.pulser)
        with uninterrupted():
            # What answers first: no source waits for the time-outs of another.
            for source in sources:
                with suppress(AttributeError):  # QCoDeS strips an instrument that was closed
                    source.idle(reconnect=False)
            for source in sources:
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
        drivers = (self.row_smu, self.column_smu, self.pulser, self.matrix)
        return tuple(step for driver in drivers for step in getattr(driver, "ending", ()))

    def _begin_again(self, fault: XbarlabError) -> None:
        """Set up every instrument anew, from the safe state, so that a read that failed can be done once more."""
        for driver in (self.row_smu, self.column_smu, self.pulser, self.matrix):
            if not driver.is_idle:
                raise fault
            driver.restore()
        self.row_smu.note_incident(f"{fault}; everything was set up again from 0 V, and the read done once more")

    def declare_silence(self, seconds: float) -> None:
        """Do nothing: no instrument here has a watchdog, so sources are left at 0 V between actions."""

    def _acting(self, *sources: ProbeVisaMixin) -> Acting:
        """Make everything safe whatever interrupts the body; ``sources`` act in it."""
        return Acting(self, sources)

    def _require_block(self, block: Block) -> None:
        spec = self._spec
        if block.row0 + block.nrows > spec.rows or block.col0 + block.ncols > spec.cols:
            raise RefusedError(
                f"cells {block} are outside the array; {self.name} has cells 0:{spec.rows},0:{spec.cols}"
            )

    def _refuse_gate(self, gate: ArrayLike | None) -> None:
        if gate is not None and np.any(numbers(gate, "gate", channel=self.name) != 0.0):
            raise RefusedError(f"{self.name} has no gates: leave gate out")
