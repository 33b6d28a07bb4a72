"""The simulated array board: does to a virtual chip what ``docs/board-protocol.md`` says its commands do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, cast

import numpy as np
from numpy.typing import NDArray

from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .actions import MapAction, OuterAction, SweepAction
from .adc import OVERFLOW, codes_to_volts
from .commands import board_commands
from .core import BoardCore
from .reads import COMPLIANCE
from .slots import PulseCodes, Rectangle, SlotPlan, parse_map
from .spec import block
from .verify import VerifyAction

FloatArray = NDArray[np.float64]

_CONVERTER_OVERFLOW: Final = 256
_COMPLIANCE_REACHED: Final = 2
_DIAGNOSIS_SECONDS: Final = 1e-3


class ArrayBoard(BoardCore):
    """A board that drives one chip; see :class:`BoardCore` for its parameters."""

    def commands(self) -> Sequence[Command]:
        """Return the command table."""
        return board_commands(self)

    # --- reads --------------------------------------------------------------------------------

    def read_map(self, row0: int, nrows: int, col0: int, ncols: int) -> Hold:
        """``READ:MAP?``."""
        self.may_begin()
        where = Rectangle(row0, nrows, col0, ncols).check(self.spec)
        point = self.read_point
        saturate, limited = self.suffers("overflow"), self.suffers("compliance")

        def work() -> bytes:
            reading = self._reads.read_map(where, point, saturate=saturate, limited=limited)
            if reading.overflow:
                self.session.status.questionable.latch(_CONVERTER_OVERFLOW)
            if limited:
                self.session.status.questionable.latch(_COMPLIANCE_REACHED)
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
        if self.suffers("compliance"):  # a scripted fault: the limiter holds as low as it can
            compliance = self.spec.compliance_min
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
        saturate = self.suffers("overflow")

        def work() -> bytes:
            mean, variance = self.chip.vmm_moments(volts.reshape(batch, inputs), gate, reverse=reverse)
            codes, over = self._reads.vmm.codes(mean, variance, index)
            if saturate:
                codes[:] = OVERFLOW
            if over or saturate:
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


def _staircase(steps: tuple[float, float, float], stage: NDArray[np.int64]) -> FloatArray:
    start, stop, step = steps
    ramp = start + math.copysign(abs(step), stop - start) * stage
    return cast("FloatArray", np.minimum(ramp, stop) if stop >= start else np.maximum(ramp, stop))
