"""A probe station as a ``CrossbarArray``: two source-measure units, a two-channel pulser and a switch matrix."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .array_spec import ArraySpec, Block
from .capabilities import (
    Clock,
    Cost,
    Delivered,
    FloatArray,
    IVTrace,
    PulseMap,
    Reading,
    Trace,
    Verified,
    VerifyRequest,
)
from .clock import SimulatedClock, WallClock
from .errors import InstrumentError, RefusedError, XbarlabError, unconfirmed
from .interrupts import uninterrupted
from .limits import Limits, numbers, refuse_bad_number
from .line_drops import LineDrops
from .mate_current import LEVELS, MateCurrent
from .probe_diagnosis import ProbeDiagnosis, diagnose_lines
from .probe_lines import Path, ProbeInputs, ProbeLines
from .probe_spec import FLOAT, HALF, ROW_SENSE, VIRTUAL_GROUND, probe_spec
from .recovery import FAULTS_OF_THE_LINK
from .safe_state import SafeStep
from .wear_ledger import WearLedger

if TYPE_CHECKING:
    from .chip_file import Chip
    from .keithley_2450 import Keithley2450Smu
    from .keysight_33622a import Keysight33622APulser, TrainSettings
    from .keysight_b2201a import KeysightB2201AMatrix
    from .limits import NamedLimits
    from .probe_visa import ProbeVisaMixin

DELAY_MIN = 50e-6
"""The shortest delay a 2450 knows besides none [s]."""

# Accuracy of the 2450 on its middle ranges: 0.02 % of the reading and 1 nA of zero and noise.
_RELATIVE_NOISE, _ZERO_NOISE = 2e-4, 1e-9
_EMPIRICAL = 4
"""From so many conversions on, their spread says how sure their mean is."""


class ProbedArray:
    """A passive chip on a switch matrix, one cell at a time.

    *Reads*: the row's source-measure unit (SMU) drives, the column's holds 0 V and measures, all other lines are
    grounded: only this virtual ground reads a passive cell truly. *Writes*: row at +V/2, column at −V/2, all other
    lines at 0 V between them, so that no other cell sees more than V/2. Sources are at 0 V and off whenever a relay
    moves. Whatever interrupts an action, the sources go to 0 V and off and the matrix opens before the exception
    goes on.

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
        row_smu.set_limits(allowed)
        # A line carries half of a cell's voltage; only a floating sweep puts all of it on the row. Held by the
        # drivers, nobody can put more than a cell bears between the two channels, by hand neither.
        for driver in (column_smu, pulser):
            driver.set_limits(allowed.halved())
        for smu in (row_smu, column_smu):
            smu.configure(nplc=nplc)
        self._nplc, self._sweep_nplc = nplc, sweep_nplc
        reading, point = (column_smu.reading_seconds(cycles) for cycles in (nplc, sweep_nplc))
        self._spec = probe_spec(name, chip, allowed, reading=reading, point=point, gap=gap, simulated=simulated)
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

    # -- reading -----------------------------------------------------------------------------------------------------

    def read(
        self,
        cells: Block,
        volts: float | None = None,
        *,
        average: int = 1,
        gate: float | None = None,
        scheme: str | None = None,
    ) -> Reading:
        """Measure a block cell by cell, each at 0 V and at ``volts``.

        Where the chip file knows the resistance of a line's segment, what row and column lose is taken off the
        voltage, so that ``conductance`` is the cell's own.

        Parameters
        ----------
        volts : float [V]
            Default ``spec.read_volts``.
        average : int
            Readings per cell.
        scheme : str
            "virtual_ground" (default), or to see what it is good for: "float" (other lines open), "row_sense" (other
            lines grounded, current taken at the row).
        """
        spec = self._spec
        scheme = spec.require_scheme(scheme, writing=False)
        self._require_block(cells)
        self._refuse_gate(gate)
        amplitude = self._limits.one("read_volts", spec.read_volts if volts is None else volts, channel="read")
        self._limits.one("source_volts", amplitude, channel="read")
        if amplitude == 0.0:
            raise RefusedError("read at 0 V gives no conductance: choose an amplitude other than 0 V")
        spec.check_average(average, channel="read")
        current, error, across = np.zeros(cells.shape), np.zeros(cells.shape), np.ones(cells.shape)
        flags = np.zeros(cells.shape, dtype=np.uint8)

        def look(line: int) -> None:
            with self._acting(self.row_smu, self.column_smu):
                self._integrate(self._nplc)
                for at in range(cells.ncols):
                    measured = self._read_cell(cells.row0 + line, cells.col0 + at, amplitude, average, scheme)
                    current[line, at], error[line, at], across[line, at], flags[line, at] = measured

        repeats = 1
        for line in range(cells.nrows):
            try:
                look(line)
            except FAULTS_OF_THE_LINK as fault:
                if not repeats:
                    raise
                repeats -= 1
                self._begin_again(fault)
                look(line)
        self._slots += cells.size * average
        self._chip_seconds += cells.size * average * spec.read_slot_seconds
        return Reading(cells, amplitude, current, current / across, error / np.abs(across), flags)

    def _read_cell(
        self, row: int, col: int, volts: float, average: int, scheme: str
    ) -> tuple[float, float, float, int]:
        """Return current [A], its standard error [A], the voltage at the cell [V] and flags."""
        if scheme == ROW_SENSE:
            self._tie(self._lines.row_sense(row, col), self.row_smu)
            sensor, sign = self.row_smu, self._polarity
        else:
            self._tie(self._lines.smus(row, col, grounded=scheme != FLOAT), self.column_smu, self.row_smu)
            sensor, sign = self.column_smu, -self._polarity
        # A column that is not quite at 0 V draws current through its other cells, whatever the row does: 0.5 mV cost
        # 14 % on a high-resistance cell among low-resistance ones. That current is there at 0 V on the row, too.
        zero = sensor.measure()
        self.row_smu.level(self._polarity * volts)
        points = [sensor.measure() for _ in range(average)]
        lost = 0.0
        if self._drops is not None and scheme == VIRTUAL_GROUND:
            driven = sign * (points[-1].current - zero.current)
            lost = self._drops.lost(row, col, self._polarity * self.row_smu.measure().current, driven)
        self.row_smu.level(0.0)
        amps = sign * (np.array([point.current for point in points]) - zero.current)
        mean = float(amps.mean())
        error = np.hypot(_RELATIVE_NOISE * mean, _ZERO_NOISE) / np.sqrt(average)
        if average >= _EMPIRICAL:
            error = max(error, float(amps.std(ddof=1)) / np.sqrt(average))
        flags = 0
        for point in points:
            flags |= point.flags
        return mean, float(error), volts - lost, flags

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Refuse: sampling in time is not built for this bench."""
        self._spec.require("sample", "a digitiser, or the buffered sampling of its SMU behind this method")
        raise NotImplementedError

    # -- pulsing -----------------------------------------------------------------------------------------------------

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Give every cell of a block its pulses, cell by cell: +V/2 on the row, −V/2 on the column.

        Raises
        ------
        RefusedError
            Before anything is sent, when a value of a cell with a count above 0 is outside the limits.
        """
        scheme = self._spec.require_scheme(pulses.scheme, writing=True)
        block = pulses.block
        self._require_block(block)
        volts, width, count = self._checked(pulses)
        if count.any():
            self.wear.require(block, count, self._limits)
        trains = {
            (int(row), int(col)): self._train(float(volts[row, col]), float(width[row, col]), int(count[row, col]))
            for row, col in zip(*np.nonzero(count), strict=True)
        }
        for train in trains.values():
            self.pulser.plan(**train)  # all of them, before a relay moves
        given_volts, given_width = np.zeros(block.shape), np.zeros(block.shape)
        seconds = 0.0
        done = 0
        sent = np.zeros_like(count)
        with unconfirmed(block, sent), self._acting(self.pulser):
            for at, wanted in trains.items():
                row, col = block.row0 + at[0], block.col0 + at[1]
                self._tie(self._lines.pulser(row, col, grounded=scheme == HALF))
                times = int(count[at])
                # Counted before it leaves: a train whose confirmation is lost has been given, for all that is known.
                self.wear.add(Block(row, 1, col, 1), volts[at], times, self._limits)
                sent[at] = times
                train = self.pulser.pulses(**wanted)
                given_volts[at] = self._polarity * (train.first - train.second)
                given_width[at] = train.width
                done += times
                seconds += train.seconds
                self._slots += times
                self._pulses += times
                self._chip_seconds += train.seconds
        return Delivered(block, given_volts, given_width, np.zeros(block.shape), count, done, done, seconds)

    def _train(self, volts: float, width: float, count: int) -> TrainSettings:
        """Return what the pulser is asked for: +V/2 on the row, −V/2 on the column."""
        limits, half = self._limits, 0.5 * self._polarity * volts
        return {
            "first": half,
            "second": -half,
            "width": width,
            "edge": self._edge,
            "period": width + 2 * self._edge + self._gap,
            "count": count,
            "most": 0.5 * (limits.set_volts_max if volts > 0.0 else limits.reset_volts_max),
        }

    def _checked(self, pulses: PulseMap) -> tuple[FloatArray, FloatArray, NDArray[np.int64]]:
        shape, where = pulses.block.shape, f"pulse map {pulses.block}, cell "
        try:
            volts, width, gate, count = (
                np.broadcast_to(numbers(getattr(pulses, name), name, channel=where), shape)
                for name in ("volts", "width", "gate", "count")
            )
        except RefusedError:
            raise
        except ValueError as error:
            raise RefusedError(f"a pulse map for a block of {shape[0]} × {shape[1]} cells: {error}") from error
        limits = self._limits
        limits.check("count", count, channel=where, unit="pulses")
        counts = count.astype(np.int64)
        if (counts != count).any():
            raise RefusedError(f"count {float(count[counts != count].flat[0]):g} is not a whole number of pulses")
        active = counts > 0
        volts = np.where(active, volts, 0.0)
        width = np.where(active, width, limits.width_min)
        limits.check("pulse_volts", volts, channel=where)
        limits.check("width", width, channel=where, unit="s")
        limits.check_pulses(volts, width, channel=where, edge=self._edge)
        if np.where(active, gate, 0.0).any():
            raise RefusedError(f"{self.name} has no gates: leave gate at 0 V")
        return volts, width, counts

    # -- sweeping ----------------------------------------------------------------------------------------------------

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
    ) -> IVTrace:
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each.

        Scheme "V/2" (default) is stepped by the host, both SMUs in step; what the half-selected cells of the column
        carry is measured first and taken off. ``compliance`` [A] bounds the cell and what its mates carry at the same
        moment: in an array a limit clamps the array, not the cell. Scheme "float" leaves the other lines open and
        runs buffered in the row's SMU: right for a cell whose neighbours conduct little.
        """
        spec = self._spec
        scheme = spec.require_scheme(scheme, writing=True)
        self._require_block(Block(row, 1, col, 1))
        self._refuse_gate(gate)
        where = f"sweep of cell ({row}, {col})"
        points = np.atleast_1d(numbers(volts, "volts", channel=where))
        if points.ndim != 1:
            raise RefusedError(f"a sweep has its points in one row, not in shape {points.shape}")
        self._limits.check("pulse_volts", points, channel=f"{where} point ")
        spec.check_sweep(points.size, compliance, dwell, channel=where)
        self._limits.check_points(points, compliance, dwell, channel=f"{where} point ")
        sent = np.zeros((1, 1), np.int64)
        with unconfirmed(Block(row, 1, col, 1), sent, "sweep"), self._acting(self.row_smu, self.column_smu):
            self._integrate(self._sweep_nplc)
            self._tie(self._lines.smus(row, col, grounded=scheme == HALF), self.column_smu, self.row_smu)
            run = self._sweep_half if scheme == HALF else self._sweep_floating
            # A point lasts for ``dwell``, its reading included.
            wait = dwell - self.column_smu.point_seconds
            wait = wait if wait >= DELAY_MIN else 0.0
            self.wear.add_sweep(row, col, points, self._limits)
            sent[...] = 1
            applied, current, flags = run(self._polarity * points, float(compliance), wait)
        self._slots += points.size
        self._chip_seconds += points.size * dwell
        sign = self._polarity
        return IVTrace(
            row, col, sign * applied, np.zeros_like(points), sign * current, flags, float(compliance), float(dwell)
        )

    def _sweep_floating(
        self, volts: FloatArray, compliance: float, dwell: float
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        return self.row_smu.sweep(volts, compliance=compliance, dwell=dwell)

    def _sweep_half(
        self, volts: FloatArray, compliance: float, dwell: float
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        row_smu, column_smu = self.row_smu, self.column_smu

        stride = 0.5 * float(np.abs(volts).max()) / (LEVELS - 1)
        held = 0.0

        def move(level: float) -> None:
            # Between two messages the cell sees what its lines differ by: small steps.
            nonlocal held
            while abs(level - held) > 1.001 * stride:
                held += float(np.copysign(stride, level - held))
                row_smu.level(held)
                column_smu.level(held)
            held = level

        def hold(level: float) -> tuple[float, float]:
            move(level)
            row_smu.level(level)
            point = column_smu.step(level, compliance=self._limits.current_max)
            if not np.isfinite(point.current):
                point = column_smu.measure()
            if not np.isfinite(point.current):
                raise InstrumentError(
                    f"{column_smu.name} at {column_smu.place} overflows (READ?) at {level:.3g} V on the half-selected "
                    "cells of the column: choose a larger current_range, or look for a short on it"
                )
            return point.volts, point.current

        mates = MateCurrent(hold, -0.5 * volts)
        move(0.0)
        column_smu.level(0.0)
        applied, current = np.zeros_like(volts), np.zeros_like(volts)
        flags = np.zeros(volts.size, dtype=np.uint8)
        row_smu.level(0.0)
        for k, value in enumerate(volts):
            half = 0.5 * float(value)
            row_smu.level(half)
            limit = min(compliance + abs(mates(-half)), self._limits.current_max)
            point = column_smu.step(-half, compliance=limit, dwell=dwell)
            applied[k] = half - point.volts
            current[k] = mates(point.volts) - point.current
            flags[k] = point.flags
        column_smu.level(0.0)
        row_smu.level(0.0)
        return applied, current, flags

    # -- what this bench cannot --------------------------------------------------------------------------------------

    def vmm(self, volts: ArrayLike, *, reverse: bool = False, full_scale: float | None = None) -> NDArray[np.float32]:
        """Refuse: it takes a driver on every row and a converter on every column."""
        self._spec.require(
            "vmm", "a driver on every row and a converter on every column at once, as an array board has"
        )
        raise NotImplementedError

    def outer_update(self, x: ArrayLike, d: ArrayLike, *, pulses: int) -> Delivered:
        """Refuse: it takes a pulser on every line."""
        self._spec.require("outer_update", "a pulser on every line, as an array board has")
        raise NotImplementedError

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Refuse: nothing on this bench runs a loop by itself."""
        self._spec.require(
            "onboard_verify", "firmware that runs read-verify; the read_verify protocol does so from here"
        )
        raise NotImplementedError

    # -- about itself ------------------------------------------------------------------------------------------------

    def diagnose(self) -> ProbeDiagnosis:
        """Measure offset and open lines; no cell has a voltage across it."""
        smu = self.column_smu
        with self._acting(smu):
            self._integrate(self._nplc)
            return diagnose_lines(
                self._lines, smu, lambda paths: self._tie(paths, smu), smu_input=self._lines.inputs.column_smu
            )

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

    def _acting(self, *sources: ProbeVisaMixin) -> _Acting:
        """Whatever interrupts the body, all sources are made safe before the exception goes on.

        In the end ``sources`` and the matrix say that they had power all the time: one that had not has measured, or
        given, what nobody asked for.
        """
        return _Acting(self, sources)

    def _require_block(self, block: Block) -> None:
        spec = self._spec
        if block.row0 + block.nrows > spec.rows or block.col0 + block.ncols > spec.cols:
            raise RefusedError(
                f"cells {block} are outside the array; {self.name} has cells 0:{spec.rows},0:{spec.cols}"
            )

    def _refuse_gate(self, gate: ArrayLike | None) -> None:
        if gate is not None and np.any(numbers(gate, "gate", channel=self.name) != 0.0):
            raise RefusedError(f"{self.name} has no gates: leave gate out")


class _Acting:
    """``with array._acting():``."""

    __slots__ = ("_array", "_sources")

    def __init__(self, array: ProbedArray, sources: tuple[ProbeVisaMixin, ...]) -> None:
        self._array = array
        self._sources = sources

    def __enter__(self) -> None:
        for driver in (*self._sources, self._array.matrix):
            if driver.power_failed:
                driver.restore()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._array.idle()
            return
        try:
            for driver in (*self._sources, self._array.matrix):
                driver.require_power("an action")
        except BaseException:
            self._array.idle()
            raise
