"""The simulated array board: parses and behaves as ``docs/board-protocol.md`` says, on a virtual chip."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar, Final, cast

import numpy as np
from numpy.typing import NDArray

from .array_board_actions import MapAction, OuterAction, QueryAction, SlotAction, SweepAction, VerifyAction
from .array_board_adc import codes_to_volts
from .array_board_commands import board_commands
from .array_board_reads import COMPLIANCE, ReadPoint, ReadUnit
from .array_board_slots import PulseCodes, Rectangle, SlotPlan, parse_map
from .array_board_spec import BoardSpec, block
from .instrument import Action, BenchLog, SimulatedInstrument, advance_to
from .scpi_errors import ScpiError
from .scpi_session import Hold, Reply
from .scpi_tree import Command, number
from .sim_clock import SimClock

if TYPE_CHECKING:
    from .virtual_chip import VirtualChip

FloatArray = NDArray[np.float64]

_SWEEPING, _READING, _PULSING, _VERIFYING = 8, 16, 256, 512
_CONDITION: Final = {"SWEEP": _SWEEPING, "MAP": _PULSING, "OUTER": _PULSING, "VERIFY": _VERIFYING}
_COMPLIANCE, _CONVERTER_OVERFLOW, _WATCHDOG = 2, 256, 512
_DIAGNOSIS_SECONDS: Final = 1e-3


class ArrayBoard(SimulatedInstrument):
    """A board that drives one chip.

    Parameters
    ----------
    address, clock, log
        See :class:`SimulatedInstrument`.
    chip : VirtualChip
        What sits in its socket.
    spec : BoardSpec
        What the board can do.
    serial : str
        Serial number in ``*IDN?``.
    seed : int
        Entropy of converters and bit generator.
    profile_name : str
        For ``SIMulation:INFO?``.
    wall : callable
        Monotonic wall-clock time [s], for the watchdog.
    """

    kind: str = "array_board"
    one_client: ClassVar[bool] = True

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        chip: VirtualChip,
        spec: BoardSpec,
        serial: str = "MOCK-0001",
        seed: int = 0,
        profile_name: str = "",
        wall: Callable[[], float] = time.monotonic,
    ) -> None:
        self.chip = chip
        self.spec = spec
        self.serial = serial
        self._wall = wall
        self._info = block(json.dumps({"profile": profile_name, "seed": seed}).encode())
        self._capability = spec.block()
        self._reads = ReadUnit(chip, spec, seed)
        self._bits = np.random.default_rng([seed, 0x75_70_64])
        self.output = False
        self.watchdog_seconds = 10.0
        self._watchdog_at = wall() + self.watchdog_seconds
        self._last: SlotAction | None = None
        self._sweep: SweepAction | None = None
        self._program: VerifyAction | None = None
        self._map: bytes | None = None
        self._defaults()
        super().__init__(address, clock, log)

    def _defaults(self) -> None:
        spec = self.spec
        self.read_volts = min(0.2, spec.read_volts_max)
        self.read_gate = spec.read_gate
        self.vmm_gate = spec.read_gate
        self.read_range: float | None = None
        self.average = 1
        self._vmm_index = len(spec.vmm_ranges) - 1
        self._vmm_code_max = spec.vmm_code_max

    # --- the instrument -----------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"xbarlab,mock array board,{self.serial},1.0"

    def commands(self) -> Sequence[Command]:
        """Return the command table."""
        return board_commands(self)

    def reserved(self) -> dict[str, ScpiError]:
        """Return what is reserved for in-converter activation functions (§4.10)."""
        missing = ScpiError(-241, "this board has linear converters only")
        return {"ADC:RAMP": missing, "ADC:SAT": missing, "ADC:SATURATE": missing}

    def reset(self) -> Hold | None:
        """Do ``*RST``: abort, OFF, defaults."""
        hold = self.set_output(on=False)
        self._defaults()
        self._last, self._sweep, self._program, self._map = None, None, None, None
        self.set_watchdog(10.0)
        return hold

    def receive(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> None:
        """Take bytes from the client; they also feed the watchdog."""
        now = self._wall()
        if now > self._watchdog_at:
            self.check_watchdog()
        self._watchdog_at = now + self.watchdog_seconds if self.watchdog_seconds else math.inf
        self.session.feed(data, end=end)

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Lower the condition bits of what has ended."""
        status = self.session.status
        status.operation.clear(_CONDITION.get(action.kind, _READING))
        if isinstance(action, SlotAction):
            self.log.add(self.clock.now, self.address, f"{'cut' if cut else 'end'} {action.kind}")
            if isinstance(action, SweepAction) and bool(action.limited.any()):
                status.questionable.latch(_COMPLIANCE)

    def on_lost(self) -> None:
        """Go OFF at once when the client is gone (§8.2)."""
        self.log.add(self.clock.now, self.address, "client lost")
        self.set_output(on=False)

    def watchdog_due(self) -> float | None:
        """Return when the watchdog expires (monotonic) [s]; None while there is nothing to guard."""
        return self._watchdog_at if self.output and self._watchdog_at < math.inf else None

    def check_watchdog(self) -> None:
        """Go OFF if no message has come for too long."""
        due = self.watchdog_due()
        if due is None or self._wall() <= due:
            return
        self.log.add(self.clock.now, self.address, "watchdog")
        self.set_output(on=False)
        self.session.status.questionable.set(_WATCHDOG)
        self.session.status.error(-365, f"no message for {self.watchdog_seconds:.3g} s, output is off")

    # --- states -------------------------------------------------------------------------------

    def set_output(self, *, on: bool) -> Hold | None:
        """Connect the array, or end at 0 V and then disconnect it."""
        if on:
            if not self.output:
                self.output = True
                self.session.status.questionable.clear(_WATCHDOG)
                self.log.add(self.clock.now, self.address, "connected")
            return None
        zero = self._stop()
        if not self.output:
            return None
        self.output = False
        gone = zero + self.spec.disconnect_seconds
        self.log.add(zero, self.address, "volts 0")
        self.log.add(gone, self.address, "disconnected")
        return Hold(until=gone)

    def zero(self) -> Hold | None:
        """Abort and put all drivers to 0 V; stay connected."""
        at = self._stop()
        if self.output:
            self.log.add(at, self.address, "volts 0")
        return Hold(until=at) if at > self.clock.now else None

    def _stop(self) -> float:
        """Cut what runs; return when the pulse under way has ended [s]."""
        if self.action is None:
            return max(self.clock.now, self.session.time)
        self.abort()
        return max(self.free_at, self.clock.now)

    def begin(self, action: Action) -> None:
        """Start an action, or say why not."""
        if not self.output:
            raise ScpiError(-221, "output is off")
        self.start(action)
        self.session.status.operation.set(_CONDITION.get(action.kind, _READING))
        if isinstance(action, SlotAction):
            self._last = action
            self.log.add(self.session.time, self.address, f"start {action.kind} {action.slots} slots")
            if action.next_event <= self.session.time:
                self.settle(self.session.time)

    def may_begin(self) -> None:
        """Refuse an action in the wrong state before anything else is looked at."""
        if not self.output:
            raise ScpiError(-221, "output is off")
        if self.action is not None:
            raise ScpiError(-213, f"{self.action.kind} is still running")

    def measure(self, kind: str, seconds: float, work: Callable[[], Reply]) -> Hold:
        """Start a measurement that takes ``seconds`` [s]; its reply comes at the end."""
        action = QueryAction(kind, self.session.time + seconds, work)
        self.begin(action)
        return Hold(None, lambda: action.result)

    def needs(self, capability: str) -> None:
        """Refuse what this board lacks."""
        if capability not in self.spec.supports:
            raise ScpiError(-241, f"this board has no {capability}; it has {', '.join(self.spec.supports) or 'nothing'}")

    # --- reads --------------------------------------------------------------------------------

    def set_read_range(self, full_scale: float | None) -> None:
        """``SENSe:RANGe``: None is automatic."""
        self.read_range = None if full_scale is None else _round_up(full_scale, self.spec.read_ranges)

    def set_vmm_range(self, full_scale: float) -> None:
        """``SENSe:VMM:RANGe``."""
        self._vmm_index = self.spec.vmm_ranges.index(_round_up(full_scale, self.spec.vmm_ranges))

    @property
    def vmm_range(self) -> float:
        """Full scale of VMM converters [A]."""
        return self.spec.vmm_ranges[self._vmm_index]

    @property
    def read_point(self) -> ReadPoint:
        """How reads are done now."""
        return ReadPoint(self.read_volts, self.read_gate, self.read_range, self.average)

    def read_map(self, row0: int, nrows: int, col0: int, ncols: int) -> Hold:
        """``READ:MAP?``."""
        self.may_begin()
        where = Rectangle(row0, nrows, col0, ncols).check(self.spec)
        point = self.read_point
        saturate = self.session.faults is not None and self.session.faults.take_overflow()

        def work() -> bytes:
            reading = self._reads.read_map(where, point, saturate=saturate)
            if reading.overflow:
                self.session.status.questionable.latch(_CONVERTER_OVERFLOW)
            self._map = reading.block()
            return self._map

        return self.measure("READ", point.slots(nrows) * self.spec.read_slot, work)

    def fetch_map(self) -> bytes:
        """``FETCh:MAP?``."""
        if self._map is None:
            raise ScpiError(-230, "nothing has been read")
        return self._map

    def sample(self, row: int, col: int, volts: float, gate: float, rate: float, count: int) -> Hold:
        """``SAMPle?``."""
        self.needs("sample")
        self.may_begin()

        def work() -> bytes:
            return block(self._reads.sample((row, col), volts, gate, rate, count).astype("<f4").tobytes())

        return self.measure("SAMPLE", self.spec.read_slot + count / rate, work)

    # --- pulses -------------------------------------------------------------------------------

    def pulse_map(self, row0: int, nrows: int, col0: int, ncols: int, payload: memoryview) -> None:
        """``PULSe:MAP``."""
        self.may_begin()
        pulses = parse_map(payload, Rectangle(row0, nrows, col0, ncols).check(self.spec))
        pulses.check(self.spec)
        self.begin(MapAction(SlotPlan(pulses, self.spec), self.chip, self.session.time))

    def last(self) -> str:
        """``PULSe:LAST?``."""
        last = self._last
        if last is None:
            return "NONE,0,0,0,0,0"
        seconds = f"{number(last.seconds)},{number(last.seconds_done)}"
        return f"{last.kind},{last.slots},{last.slots_done},{last.pulses_done},{seconds}"

    def outer_update(
        self,
        slots: int,
        width: float,
        vset: float,
        gset: float,
        vreset: float,
        greset: float,
        x_block: memoryview,
        d_block: memoryview,
    ) -> None:
        """``UPDate:OUTer``."""
        self.needs("outer_update")
        self.may_begin()
        x = self._vector(x_block, "x", self.spec.rows)
        d = self._vector(d_block, "d", self.spec.cols)
        fires_x = self._bits.random((slots, x.size)) < np.abs(x)
        fires_d = self._bits.random((slots, d.size)) < np.abs(d)
        width = self.ticks(width) * self.spec.tick
        raise_ = (self.volts_code(vset) * self.spec.volts_lsb, self.gate_code(gset) * self.spec.gate_lsb)
        lower = (self.volts_code(vreset) * self.spec.volts_lsb, self.gate_code(greset) * self.spec.gate_lsb)
        now = self.session.time
        self.begin(OuterAction(self.chip, self.spec, now, (x, d), (fires_x, fires_d), raise_, lower, width))

    def seed(self, value: int) -> None:
        """``UPDate:SEED``."""
        self.needs("outer_update")
        self._bits = np.random.default_rng(value)

    def volts_code(self, volts: float) -> int:
        """Return the DAC code nearest to ``volts`` [V]."""
        return min(32767, max(-32767, round(volts / self.spec.volts_lsb)))

    def gate_code(self, volts: float) -> int:
        """Return the gate DAC code nearest to ``volts`` [V]."""
        return min(32767, max(0, round(volts / self.spec.gate_lsb)))

    def ticks(self, width: float) -> int:
        """Return the pulse width [s] in ticks."""
        return max(1, round(width / self.spec.tick))

    @staticmethod
    def _vector(payload: memoryview, name: str, size: int) -> FloatArray:
        if len(payload) != 2 * size:
            raise ScpiError(-161, f"{name}: {len(payload)} bytes, {size} lines need {2 * size}")
        codes = np.frombuffer(payload, dtype="<i2")
        if codes.min() < -32767:
            raise ScpiError(-222, f"{name} -32768 below -32767 at line {int(codes.argmin())}")
        return codes / 32767.0

    # --- sweep --------------------------------------------------------------------------------

    def sweep(self, row: int, col: int, compliance: float, dwell: float, payload: memoryview) -> None:
        """``SWEep:RUN``."""
        self.needs("sweep")
        self.may_begin()
        points, rest = divmod(len(payload), 8)
        if rest or not points:
            raise ScpiError(-161, f"{len(payload)} bytes, a sweep has 8 a point")
        if points > self.spec.points_max:
            raise ScpiError(-222, f"points {points} above {self.spec.points_max}")
        planes = np.frombuffer(payload, dtype="<f4").astype(np.float64).reshape(2, points)
        limits = (("volts", -self.spec.volts_max, self.spec.volts_max), ("gate", 0.0, self.spec.gate_max))
        for plane, (name, low, high) in zip(planes, limits, strict=True):
            good = (plane >= low) & (plane <= high)
            if not good.all():
                at = int(np.argmin(good))
                word, bound = ("below", low) if plane[at] < low else ("above", high)
                raise ScpiError(-222, f"{name} {plane[at]:.6g} {word} {bound:g} at point {at} row {row} column {col}")
        volts = np.clip(np.rint(planes[0] / self.spec.volts_lsb), -32767, 32767) * self.spec.volts_lsb
        gate = np.clip(np.rint(planes[1] / self.spec.gate_lsb), 0, 32767) * self.spec.gate_lsb
        action = SweepAction(self.chip, self.session.time, (row, col), volts, gate, dwell, compliance)
        self._sweep = action
        self.begin(action)

    def fetch_sweep(self) -> bytes:
        """``FETCh:SWEep?``."""
        action = self._sweep
        if action is None:
            raise ScpiError(-230, "nothing has been swept")
        done = slice(0, action.slots_done)
        flags = np.where(action.limited[done], COMPLIANCE, 0).astype(np.uint8)
        current = self._reads.swept(action.current[done]) if action.slots_done else action.current[done]
        volts = action.volts[done].astype("<f4").tobytes()
        return block(volts + current.astype("<f4").tobytes() + flags.tobytes())

    # --- vector-matrix product ----------------------------------------------------------------

    def vmm_forward(self, batch: int, payload: memoryview) -> Hold:
        """``VMM:FORWard?``."""
        return self._vmm(batch, payload, self.spec.rows, reverse=False)

    def vmm_reverse(self, batch: int, payload: memoryview) -> Hold:
        """``VMM:REVerse?``."""
        if "reverse" not in self.spec.supports:
            self.needs("reverse")
        return self._vmm(batch, payload, self.spec.cols, reverse=True)

    def _vmm(self, batch: int, payload: memoryview, inputs: int, *, reverse: bool) -> Hold:
        spec = self.spec
        if "vmm" not in spec.supports:
            self.needs("vmm")
        if not self.output or self.action is not None:
            self.may_begin()
        if len(payload) != 2 * batch * inputs:
            raise ScpiError(-161, f"{len(payload)} bytes, {batch} x {inputs} codes need {2 * batch * inputs}")
        volts, bad = codes_to_volts(payload, spec.volts_lsb, self._vmm_code_max)
        if bad >= 0:
            value = int(np.frombuffer(payload, dtype="<i2")[bad]) * spec.volts_lsb
            vector, line = divmod(bad, inputs)
            place = f"vector {vector} {'column' if reverse else 'row'} {line}"
            raise ScpiError(-222, f"volts {value:.6g} beyond {spec.vmm_volts_max:g} at {place}")
        gate, index = self.vmm_gate, self._vmm_index

        def work() -> bytes:
            current = self.chip.vmm(volts.reshape(batch, inputs), gate, reverse=reverse)
            codes, over = self._reads.vmm.codes(current, index)
            if over:
                self.session.status.questionable.latch(_CONVERTER_OVERFLOW)
            return block(codes.tobytes())

        return self.measure("VMM", batch * spec.vmm_slot, work)

    # --- on-board read-verify -----------------------------------------------------------------

    def program(
        self,
        where: Rectangle,
        tolerance: float,
        pulses_max: int,
        width: float,
        vset: float,
        gates: tuple[float, float, float],
        resets: tuple[float, float, float],
        greset: float,
        payload: memoryview,
    ) -> None:
        """``PROGram:VERify``; ``gates`` and ``resets`` are start, stop and step of the staircases [V]."""
        self.needs("onboard_verify")
        self.may_begin()
        if len(payload) != 4 * where.size:
            raise ScpiError(-161, f"{len(payload)} bytes, {where.nrows} x {where.ncols} cells need {4 * where.size}")
        targets = np.frombuffer(payload, dtype="<f4").astype(np.float64).reshape(where.nrows, where.ncols)
        if np.isinf(targets).any() or (targets < 0.0).any():
            raise ScpiError(-222, "a target conductance is negative or infinite")
        point = self.read_point
        if point.volts == 0.0:
            raise ScpiError(-221, "read voltage is 0 V")
        spec, ticks = self.spec, self.ticks(width)

        def measure() -> FloatArray:
            return self._reads.read_map(where, point).current / point.volts

        def pulses(cells: NDArray[np.int64], sets: NDArray[np.bool_], stage: NDArray[np.int64]) -> PulseCodes:
            row, col = np.divmod(cells, where.ncols)
            volts = np.where(sets, vset, -_staircase(resets, stage)) / spec.volts_lsb
            gate = np.where(sets, _staircase(gates, stage), greset) / spec.gate_lsb
            return PulseCodes(
                row + where.row0,
                col + where.col0,
                np.clip(np.rint(volts), -32767, 32767).astype(np.int64),
                np.clip(np.rint(gate), 0, 32767).astype(np.int64),
                np.full(cells.size, ticks),
                np.ones(cells.size, dtype=np.int64),
            )

        action = VerifyAction(
            self.chip,
            spec,
            self.session.time,
            measure,
            point.slots,
            pulses,
            (where.row0, where.col0),
            targets,
            tolerance,
            pulses_max,
            ticks * spec.tick,
        )
        self._program = action
        self.begin(action)

    def fetch_program(self) -> bytes:
        """``FETCh:PROGram?``."""
        action = self._program
        if action is None:
            raise ScpiError(-230, "nothing has been programmed")
        return block(
            action.conductance.astype("<f4").tobytes()
            + action.pulses.astype("<u2").tobytes()
            + action.status.astype(np.uint8).tobytes()
        )

    # --- diagnosis and simulation -------------------------------------------------------------

    def diagnose_offset(self) -> Hold:
        """``DIAGnostic:OFFSet?``."""
        self.may_begin()
        point = self.read_point
        return self.measure("DIAGNOSIS", _DIAGNOSIS_SECONDS, lambda: number(self._reads.offset(point)))

    def diagnose_reference(self) -> Hold:
        """``DIAGnostic:REFerence?``."""
        self.may_begin()
        nominal = self.spec.reference_ohm
        return self.measure(
            "DIAGNOSIS", _DIAGNOSIS_SECONDS, lambda: f"{number(self._reads.reference())},{number(nominal)}"
        )

    def diagnose_open(self) -> Hold:
        """``DIAGnostic:OPEN?``."""
        if self.output:
            raise ScpiError(-221, "the array is connected; OUTPut OFF first")
        return Hold(self.session.time + _DIAGNOSIS_SECONDS, lambda: number(self._reads.open_ohm()))

    def capability(self) -> bytes:
        """``SYSTem:CAPability?``."""
        return self._capability

    def info(self) -> bytes:
        """``SIMulation:INFO?``."""
        return self._info

    def advance(self, seconds: float) -> None:
        """``SIMulation:CLOCk:ADVance``: what runs does its work at its own time, not at the end of the wait."""
        until = self.session.time + seconds
        while self.action is not None and self.action.next_event <= until:
            advance_to(self.clock, self.action.next_event)
        if until > self.clock.now:
            advance_to(self.clock, until)

    def set_watchdog(self, seconds: float) -> None:
        """``SYSTem:WATChdog``: 0 is never."""
        self.watchdog_seconds = seconds
        self._watchdog_at = self._wall() + seconds if seconds else math.inf

    def suspend_watchdog(self, seconds: float) -> None:
        """``SYSTem:WATChdog:SUSPend``."""
        if self.watchdog_seconds:
            self._watchdog_at = self._wall() + seconds + self.watchdog_seconds


def _round_up(value: float, ranges: tuple[float, ...]) -> float:
    for full_scale in ranges:
        if value <= full_scale * (1.0 + 1e-9):
            return full_scale
    raise ScpiError(-222, f"range {value:.6g} above {ranges[-1]:g}")


def _staircase(steps: tuple[float, float, float], stage: NDArray[np.int64]) -> FloatArray:
    start, stop, step = steps
    ramp = start + math.copysign(abs(step), stop - start) * stage
    return cast("FloatArray", np.minimum(ramp, stop) if stop >= start else np.maximum(ramp, stop))
