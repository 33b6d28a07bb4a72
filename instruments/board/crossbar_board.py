"""Driver of an array board that follows ``docs/board-protocol.md``: the actions of a ``CrossbarArray``."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..abilities import Samples, Sweeps, VerifiesOnBoard
from ..block import Block
from ..capabilities import Delivered, IVTrace, PulseMap, Reading, Trace, Verified, VerifyRequest
from ..chip.requests import Pulses, checked_pulses, checked_read, checked_sweep, checked_verify, one_cell
from ..limits import refuse_bad_number
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
        asked = checked_read(spec, cells, volts, average=average, gate=gate, scheme=scheme)
        amplitude, average = asked.volts, asked.average
        settings = {"SOUR:READ:VOLT": self._polarity * amplitude, "SENS:AVER": average}
        if asked.gate is not None:
            settings["SOUR:READ:GATE"] = asked.gate
        board = cells if self._lines is None else self._lines.rectangle(cells)

        def look() -> tuple[int, float, memoryview]:
            with self._acting():
                self._configure(settings)
                slots = board.nrows * (average + int(self._automatic_range()))
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
        return Reading(
            block=cells,
            volts=amplitude,
            current=current,
            conductance=current / amplitude,
            stderr=error / abs(amplitude),
            flags=flags,
        )

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        """Measure one cell at ``rate`` [1/s] for ``seconds`` [s] at ``volts`` [V], gate at ``spec.read_gate``."""
        spec, can = self._spec, self.capability
        spec.require(Samples)
        cell = one_cell(spec, row, col)
        row, col = cell.row0, cell.col0
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
        return Trace(row=row, col=col, volts=volts, time=np.arange(1, points + 1) / rate, current=current)

    # -- pulsing -----------------------------------------------------------------------------------------------------

    def pulse(self, pulses: PulseMap) -> Delivered:
        """Apply a pulse map and return when it has been delivered.

        Raises
        ------
        RefusedError
            Before anything is written, when a value of a cell with a count above 0 is outside the limits.
        """
        block = pulses.block
        planes = self._quantise(checked_pulses(self._spec, pulses))
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

    def _quantise(self, pulses: Pulses) -> PulsePlanes:
        can = self.capability
        codes = to_codes(pulses.volts, can.volts_lsb, self._low_code, self._high_code)
        ticks = np.clip(np.rint(pulses.width * (1.0 / can.width_tick)), self._tick_low, self._tick_high)
        return PulsePlanes(
            (self._polarity * codes).astype(np.int16),
            to_codes(pulses.gate, can.gate_lsb, 0, self._gate_code),
            pulses.count.astype(np.uint16),
            np.where(pulses.count > 0, ticks, 0.0).astype(np.uint32),
        )

    def _delivered(self, block: Block, planes: PulsePlanes, last: Last | None) -> Delivered:
        can = self.capability
        return Delivered(
            block=block,
            volts=planes.volts.astype(np.float64) * (self._polarity * can.volts_lsb),
            width=planes.ticks.astype(np.float64) * can.width_tick,
            gate=planes.gate.astype(np.float64) * can.gate_lsb,
            count=planes.count.astype(np.int64),
            slots=0 if last is None else last.slots_done,
            pulses=0 if last is None else last.pulses_done,
            seconds=0.0 if last is None else last.seconds_done,
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
        asked = checked_sweep(spec, row, col, volts, compliance=compliance, dwell=dwell, gate=gate, scheme=scheme)
        row, col, points, gates = asked.cell.row0, asked.cell.col0, asked.volts, asked.gate
        compliance, dwell = asked.compliance, asked.dwell
        board_row, board_col = self._board_cell(row, col)
        sent = to_float32(points, -self._limits.reset_volts_max, self._limits.set_volts_max)
        payload = (self._polarity * sent).tobytes() + to_float32(gates, 0.0, self._limits.gate_max).tobytes()
        head = f"SWE:RUN {board_row},{board_col},{compliance:.9g},{dwell:.9g},".encode("ascii")
        self.wear.add_sweep(row, col, points, self._limits)
        with self._acting(), unconfirmed(asked.cell, 1, "sweep"):
            self.write_block_command(head, payload)
            self._started("SWEEP")
            self._finish(points.size * dwell)
            fetched = self._repeated(lambda: self.ask_block(b"FETC:SWE?", 9 * points.size))
            applied, current, flags = decode_sweep(fetched)
        sign = self._polarity
        return IVTrace(
            row=row,
            col=col,
            volts=sign * applied,
            gate=gates.copy(),
            current=sign * current,
            flags=flags,
            compliance=compliance,
            dwell=dwell,
        )

    # -- what the board does by itself -------------------------------------------------------------------------------

    def program_verify(self, request: VerifyRequest) -> Verified:
        """Run the board's own read-verify staircase."""
        spec, limits = self._spec, self._limits
        spec.require(VerifiesOnBoard, otherwise="the read_verify protocol does the same from here")
        request = checked_verify(spec, request)
        block, target, most = request.block, request.target, request.pulses_max
        staircase = (
            request.tolerance, most, request.width, request.set_volts, *request.set_gate, *request.reset_volts,
            request.reset_gate,
        )  # fmt: skip
        board = block if self._lines is None else self._lines.rectangle(block)
        sent = target if self._lines is None else self._lines.spread(target, block, fill=np.nan)
        head = f"PROG:VER {board.row0},{board.nrows},{board.col0},{board.ncols},"
        head += ",".join(f"{number:.9g}" for number in staircase) + ","
        slot = request.width + spec.slot_overhead + 2 * spec.read_slot_seconds
        active = np.isfinite(target)
        at_most = active * most
        volts = max(request.reset_volts[:2]), request.set_volts
        with (
            self.wear.giving(block, at_most.astype(np.float64), volts, limits) as given,
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
        return Verified(block=block, conductance=conductance, pulses=pulses, done=status == 0)

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

    def _board_cell(self, row: int, col: int) -> tuple[int, int]:
        return (row, col) if self._lines is None else self._lines.cell(row, col)
