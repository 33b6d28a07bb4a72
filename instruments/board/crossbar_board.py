"""Driver of an array board that follows ``docs/board-protocol.md``: the actions of a ``CrossbarArray``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ...common.errors import RefusedError
from ..abilities import Samples, Sweeps, VerifiesOnBoard
from ..block import Block
from ..capabilities import Delivered, IVTrace, PulseMap, Reading, Trace, Verified, VerifyRequest
from ..limits import numbers, refuse_bad_number, scalar
from ..wire.unconfirmed import unconfirmed
from .codec import Last, PulsePlanes, decode_map, decode_program, decode_sweep, largest_code, to_codes, to_float32
from .parallel import BoardParallel


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The board about itself: ``offset`` [A], reference resistor measured and nominal [Ω], ``open`` lines [Ω]."""

    offset: float
    reference: float
    reference_nominal: float
    open: float


class CrossbarBoard(BoardParallel):
    """An array test board: reads, pulses, sweeps, samples and multiplies.

    Limits are checked before anything is encoded; what leaves as text is checked once more by the command guard. An
    action that is interrupted, by Ctrl-C or by an error, stops the board before the exception goes on.

    Parameters
    ----------
    name, address, kwargs
        As for QCoDeS's ``VisaInstrument``.
    chip : Chip
        What sits on the board.
    limits : mapping
        Narrows the limits of driver, board and chip.
    """

    def _prepare(self) -> None:
        super()._prepare()
        allowed, can = self._limits, self.capability
        self._low_code = -largest_code(allowed.reset_volts_max, can.volts_lsb)
        self._high_code = largest_code(allowed.set_volts_max, can.volts_lsb)
        self._gate_code = largest_code(allowed.gate_max, can.gate_lsb)
        self._tick_low = int(np.ceil(allowed.width_min / can.width_tick * (1 - 1e-12)))
        self._tick_high = int(allowed.width_max / can.width_tick * (1 + 1e-12))
        self.connect_message()

    def connect_message(self, idn_param: str = "IDN", begin_time: float | None = None) -> None:
        """Log who answered; a library does not print."""
        who = self.identity
        self.log.info("connected to %s %s (%s, %s) at %s", who.maker, who.model, who.serial, who.firmware, self.place)

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
        """Measure a block in one transaction.

        Parameters
        ----------
        volts : float [V]
            Default ``spec.read_volts``.
        average : int
            Conversions per cell.
        gate : float [V]
            Default ``spec.read_gate``.
        """
        spec = self._spec
        spec.require_scheme(scheme, writing=False)
        self._require_block(cells)
        amplitude = self._limits.one("read_volts", spec.read_volts if volts is None else volts, channel="read")
        if amplitude == 0.0:
            raise RefusedError("read at 0 V gives no conductance: choose an amplitude other than 0 V")
        spec.check_average(average, channel="read")
        settings = {"SOUR:READ:VOLT": self._polarity * amplitude, "SENS:AVER": int(average)}
        if spec.gate_axis is not None:
            given = spec.read_gate if gate is None else gate
            settings["SOUR:READ:GATE"] = self._limits.one("gate", given, channel="read gate")
        board = cells if self._lines is None else self._lines.rectangle(cells)

        def look() -> tuple[int, float, memoryview]:
            with self._acting():
                self._configure(settings)
                slots = board.nrows * (int(average) + int(self._automatic_range()))
                seconds = slots * spec.read_slot_seconds
                message = b"READ:MAP? %d,%d,%d,%d" % (board.row0, board.nrows, board.col0, board.ncols)
                message = self._announced(seconds).encode("ascii") + message
                return slots, seconds, self.ask_block(message, 9 * board.size, expected=seconds)

        slots, seconds, payload = self._repeated(look)
        self._count(1, slots, 0, seconds)
        current, error, flags = decode_map(payload, board.shape)
        if self._lines is not None:
            current, error = self._lines.gather(current, cells), self._lines.gather(error, cells)
            flags = self._lines.gather(flags, cells)
        if self._polarity < 0:
            current = -current
        return Reading(cells, amplitude, current, current / amplitude, error / abs(amplitude), flags)

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V], gate at ``spec.read_gate``."""
        spec, can = self._spec, self.capability
        spec.require(Samples)
        self._require_cell(row, col)
        where = f"cell ({row}, {col})"
        volts = self._limits.one("read_volts", volts, channel=where)
        refuse_bad_number("rate", rate, 1e-3, can.sample_rate_max, "Hz", channel=where)
        refuse_bad_number("seconds", seconds, 1.0 / rate, can.sample_points_max / rate, "s", channel=where)
        points = round(rate * seconds)
        board_row, board_col = self._board_cell(row, col)
        command = f"SAMP? {board_row},{board_col},{self._polarity * volts:.9g},{spec.read_gate:.9g},{rate:.9g},{points}"
        self._check(command)

        def look() -> memoryview:
            with self._acting():
                message = (self._announced(points / rate) + command).encode("ascii")
                return self.ask_block(message, 4 * points, expected=self._patience(points / rate))

        payload = self._repeated(look)
        self._count(1, points, 0, points / rate)
        current = self._polarity * np.frombuffer(payload, "<f4").astype(np.float64)
        return Trace(row, col, float(volts), np.arange(1, points + 1) / rate, current)

    # -- pulsing -----------------------------------------------------------------------------------------------------

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply a pulse map and return when it has been delivered.

        Raises
        ------
        RefusedError
            Before anything is written, when a value of a cell with a count above 0 is outside the limits.
        """
        self._spec.require_scheme(pulses.scheme, writing=True)
        block = pulses.block
        self._require_block(block)
        planes = self._quantise(pulses)
        bound = float((planes.count * (planes.ticks * self.capability.width_tick + self._spec.slot_overhead)).sum())
        if bound == 0.0:
            return self._delivered(block, planes, None)
        board, sent = block, planes
        if self._lines is not None:
            board = self._lines.rectangle(block)
            members = (planes.volts, planes.gate, planes.count, planes.ticks)
            sent = PulsePlanes(*(self._lines.spread(plane, block) for plane in members))
        head = b"PULS:MAP %d,%d,%d,%d," % (board.row0, board.nrows, board.col0, board.ncols)
        # Counted before it leaves: a pulse whose confirmation is lost has been given, for all that is known.
        self.wear.add(block, planes.volts * (self._polarity * self.capability.volts_lsb), planes.count, self._limits)
        with self._acting(), unconfirmed(block, planes.count):
            self.write_block_command(head, sent.payload())
            self._started("MAP")
            last = self._finish(bound)
        return self._delivered(block, planes, last)

    def _quantise(self, pulses: PulseMap) -> PulsePlanes:
        shape, limits, can = pulses.block.shape, self._limits, self.capability
        where = f"pulse map {pulses.block}, cell "
        try:
            volts, width, gate, count = (
                np.broadcast_to(numbers(getattr(pulses, name), name, channel=where), shape)
                for name in ("volts", "width", "gate", "count")
            )
        except RefusedError:
            raise
        except ValueError as error:
            raise RefusedError(f"a pulse map for a block of {shape[0]} × {shape[1]} cells: {error}") from error
        limits.check("count", count, channel=where, unit="pulses")
        counts = count.astype(np.int64)
        if (counts != count).any():
            raise RefusedError(f"count {float(count[counts != count].flat[0]):g} is not a whole number of pulses")
        active = counts > 0
        if not active.all():
            # Other members of cells that are left alone are not looked at, here as on the board.
            volts, gate = np.where(active, volts, 0.0), np.where(active, gate, 0.0)
            width = np.where(active, width, limits.width_min)
        limits.check("pulse_volts", volts, channel=where)
        limits.check("width", width, channel=where, unit="s")
        self._check_drive(volts, width, channel=where)
        if self._spec.gate_axis is None:
            if gate.any():
                raise RefusedError(f"{self.name} has no gates: leave gate at 0 V")
        else:
            limits.check("gate", gate, channel=where)
        codes = to_codes(volts, can.volts_lsb, self._low_code, self._high_code)
        ticks = np.clip(np.rint(width * (1.0 / can.width_tick)), self._tick_low, self._tick_high)
        return PulsePlanes(
            (self._polarity * codes).astype(np.int16),
            to_codes(gate, can.gate_lsb, 0, self._gate_code),
            counts.astype(np.uint16),
            np.where(active, ticks, 0.0).astype(np.uint32),
        )

    def _delivered(self, block: Block, planes: PulsePlanes, last: Last | None) -> Delivered:
        can = self.capability
        return Delivered(
            block,
            planes.volts.astype(np.float64) * (self._polarity * can.volts_lsb),
            planes.ticks.astype(np.float64) * can.width_tick,
            planes.gate.astype(np.float64) * can.gate_lsb,
            planes.count.astype(np.int64),
            0 if last is None else last.slots_done,
            0 if last is None else last.pulses_done,
            0.0 if last is None else last.seconds_done,
        )

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
        """Drive one cell through ``volts`` [V], ``dwell`` [s] each, current at or below ``compliance`` [A].

        ``gate`` [V] is one value or one per point, default ``spec.read_gate``.
        """
        spec = self._spec
        spec.require(Sweeps)
        spec.require_scheme(scheme, writing=True)
        self._require_cell(row, col)
        where = f"cell ({row}, {col}) point "
        points = np.atleast_1d(numbers(volts, "volts", channel=where))
        if points.ndim != 1:
            raise RefusedError(f"a sweep has its points in one row, not in shape {points.shape}")
        self._limits.check("pulse_volts", points, channel=where)
        spec.check_sweep(points.size, compliance, dwell, channel=f"sweep of cell ({row}, {col})")
        self._limits.check_points(points, compliance, dwell, channel=where)
        gates = numbers(spec.read_gate if gate is None else gate, "gate", channel=where)
        if gates.shape not in {(), points.shape}:
            raise RefusedError(f"gate has shape {gates.shape}: give one value or one per point, {points.shape}")
        gates = np.broadcast_to(gates, points.shape)
        self._limits.check("gate", gates, channel=where)
        board_row, board_col = self._board_cell(row, col)
        sent = to_float32(points, -self._limits.reset_volts_max, self._limits.set_volts_max)
        payload = (self._polarity * sent).tobytes() + to_float32(gates, 0.0, self._limits.gate_max).tobytes()
        head = f"SWE:RUN {board_row},{board_col},{compliance:.9g},{dwell:.9g},".encode("ascii")
        self.wear.add_sweep(row, col, points, self._limits)
        with self._acting(), unconfirmed(Block(row, 1, col, 1), 1, "sweep"):
            self.write_block_command(head, payload)
            self._started("SWEEP")
            self._finish(points.size * dwell)
            fetched = self._repeated(lambda: self.ask_block(b"FETC:SWE?", 9 * points.size))
            applied, current, flags = decode_sweep(fetched)
        sign = self._polarity
        return IVTrace(row, col, sign * applied, gates.copy(), sign * current, flags, float(compliance), float(dwell))

    # -- what the board does by itself -------------------------------------------------------------------------------

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Run the board's own read-verify staircase."""
        spec, limits = self._spec, self._limits
        spec.require(VerifiesOnBoard, otherwise="the read_verify protocol does the same from here")
        block = request.block
        self._require_block(block)
        where = f"read-verify {block} "
        target = numbers(request.target, "target", channel=where)
        if target.shape != block.shape:
            raise RefusedError(f"targets have shape {target.shape}, the block {block.shape}")
        if (target <= 0.0).any() or np.isinf(target).any():
            raise RefusedError("a target conductance is not above 0 S and finite: use NaN for cells to leave alone")
        staircase = [
            scalar(value, "a number of the staircase", channel=where)
            for value in (
                request.tolerance, request.pulses_max, request.width, request.set_volts, *request.set_gate,
                *request.reset_volts, request.reset_gate,
            )
        ]  # fmt: skip
        tolerance, most, width, up, start, stop, step, down, lowest, down_step, reset_gate = staircase
        refuse_bad_number("tolerance", tolerance, 1e-12, 1.0, "S", channel=where)
        refuse_bad_number("pulses_max", most, 1, limits.count_max, "pulses", channel=where)
        if most != int(most):
            raise RefusedError(f"pulses_max {most:g} is not a whole number of pulses")
        for name, value, unit in (("set gate step", step, "V"), ("reset step", down_step, "V")):
            refuse_bad_number(name, value, 0.0, 10.0, unit, channel=where)
        limits.check("width", width, channel=where, unit="s")
        limits.check("gate", [start, stop, reset_gate], channel=where + "gates ")
        limits.check("pulse_volts", [up, -down, -lowest], channel=where + "volts ")
        if min(up, down, lowest) < 0.0:
            raise RefusedError("amplitudes of a read-verify are positive numbers; resets are given as magnitudes")
        self._check_drive([up, -down, -lowest], width, channel=where + "volts ")
        board = block if self._lines is None else self._lines.rectangle(block)
        sent = target if self._lines is None else self._lines.spread(target, block, fill=np.nan)
        head = f"PROG:VER {board.row0},{board.nrows},{board.col0},{board.ncols},"
        head += ",".join(f"{number:.9g}" for number in staircase) + ","
        slot = width + spec.slot_overhead + 2 * spec.read_slot_seconds
        active = np.isfinite(target)
        at_most = active * int(most)
        with (
            self.wear.giving(block, at_most.astype(np.float64), (max(down, lowest), up), limits) as given,
            self._acting(),
            unconfirmed(block, at_most),
        ):
            self.write_block_command(head.encode("ascii"), sent.astype("<f4").tobytes())
            self._started("VERIFY")
            self._finish(int(active.sum()) * most * slot, exact=False)
            reply = self._repeated(lambda: self.ask_block(b"FETC:PROG?", 7 * board.size))
            conductance, pulses, status = decode_program(reply, board.shape)
            if self._lines is not None:
                conductance, pulses, status = (self._lines.gather(p, block) for p in (conductance, pulses, status))
            given.were(pulses)
        return Verified(block, conductance, pulses, status == 0)

    def idle(self) -> None:
        """Stop what runs, 0 V first, then disconnect. Safe in any state; on a dead link it logs and returns."""
        super().idle()
        if "wear" in self.__dict__:
            self.wear.flush()

    def diagnose(self) -> Diagnosis:
        """Measure offset, reference resistor and open lines; takes the array off and on again."""
        with self._acting():
            self._act("OUTP OFF")
            self._on = False
            (lines,) = self._ask_numbers("DIAG:OPEN?", 1)
            self._ready()
            (offset,) = self._ask_numbers("DIAG:OFFS?", 1)
            measured, nominal = self._ask_numbers("DIAG:REF?", 2)
        self._count(3, 0, 0, 0.0)
        return Diagnosis(self._polarity * offset, measured, nominal, lines)

    # -- where -------------------------------------------------------------------------------------------------------

    def _require_block(self, block: Block) -> None:
        rows, cols = self._spec.rows, self._spec.cols
        if block.row0 < 0 or block.col0 < 0 or block.nrows < 1 or block.ncols < 1 or (
            block.row0 + block.nrows > rows or block.col0 + block.ncols > cols
        ):  # fmt: skip
            raise RefusedError(f"cells {block} are outside {self.name}, which has rows 0:{rows} and columns 0:{cols}")

    def _require_cell(self, row: int, col: int) -> None:
        self._require_block(Block(row, 1, col, 1))

    def _board_cell(self, row: int, col: int) -> tuple[int, int]:
        return (row, col) if self._lines is None else self._lines.cell(row, col)
