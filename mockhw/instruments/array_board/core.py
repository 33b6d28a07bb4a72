"""States, settings and safety of the simulated array board: everything but what its actions do."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, ClassVar, Final, Literal

import numpy as np

from ...instrument import Action, BenchLog, SimulatedInstrument
from ...scpi.device import Hold, Reply
from ...scpi.errors import ScpiError
from ...scpi.tree import number
from ...sim_clock import SimClock
from .actions import Progress, QueryAction, SlotAction, SweepAction
from .adc import Drivers
from .reads import ReadPoint, ReadUnit
from .spec import BoardSpec, block

if TYPE_CHECKING:
    from ...chip.virtual_chip import VirtualChip

_SWEEPING, _READING, _PULSING, _VERIFYING = 8, 16, 256, 512
_CONDITION: Final = {"SWEEP": _SWEEPING, "MAP": _PULSING, "OUTER": _PULSING, "VERIFY": _VERIFYING}
COMPLIANCE_REACHED, CONVERTER_OVERFLOW = 2, 256
"""Bits of the QUEStionable register."""
_WATCHDOG: Final = 512
_BLOCK_SILENCE: Final = 5.0


class BoardCore(SimulatedInstrument):
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

    kind: ClassVar[str] = "array_board"
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
        self._profile_name = profile_name
        self.seed = seed
        self._capability = spec.block()
        self.reads = ReadUnit(chip, spec, seed)
        self.bits = np.random.default_rng([seed, 0x75_70_64])
        self.drivers = Drivers(spec.drivers, spec.vmm_code_max * spec.volts_lsb, [seed, 0x64_61_63])
        self.output = False
        self.watchdog_seconds = 10.0
        self._watchdog_at = wall() + self.watchdog_seconds
        self._block_until = math.inf
        self.last: SlotAction | None = None
        """The last action that was no query: what ``PULSe:LAST?`` tells."""
        self.latest: SlotAction | QueryAction | None = None
        """The last action of all, with the tag it was started under and what became of it."""
        self.latest_tag, self.latest_state = 0, "DONE"
        self._tag = (0, 0)
        self._disturbances: set[str] = set()
        self._defaults()
        super().__init__(address, clock, log)
        self.under_test = chip

    def _defaults(self) -> None:
        spec = self.spec
        self.read_volts = min(0.2, spec.read_volts_max)
        self.read_gate = spec.read_gate
        self.vmm_gate = spec.read_gate
        self.read_range: float | None = None
        self.average = 1
        self.vmm_index = len(spec.vmm_ranges) - 1
        self.vmm_code_max = spec.vmm_code_max
        self.adc_mode = "LIN"

    # --- the instrument -----------------------------------------------------------------------

    @property
    def identity(self) -> str:
        """The reply to ``*IDN?``."""
        return f"xbarlab,mock array board,{self.serial},1.0"

    def reserved(self) -> dict[str, ScpiError]:
        """Return what is reserved for in-converter activation functions (§4.10)."""
        missing = ScpiError(-241, "this board has no such converters")
        return {"ADC:RAMP": missing, "ADC:SAT": missing, "ADC:SATURATE": missing}

    def reset(self) -> Hold | None:
        """Do ``*RST``: abort, OFF, defaults."""
        hold = self.set_output(on=False)
        self._defaults()
        self.last = None
        self.set_watchdog(10.0)
        return hold

    def receive(self, data: bytes | bytearray | memoryview, *, end: bool = False) -> None:
        """Take bytes from the client; they also feed the watchdog, which counts from the end of what they asked."""
        now = self._wall()
        if now > self._watchdog_at:
            self.check_watchdog()
        session = self.session
        if now > self._block_until:
            session.give_up_block()
        self._watchdog_at = now + self.watchdog_seconds if self.watchdog_seconds else math.inf
        session.feed(data, end=end)
        self._feed_watchdog()
        self._block_until = now + _BLOCK_SILENCE if session.in_block else math.inf

    def _feed_watchdog(self) -> None:
        """Count from now on, or from the end of a declared silence."""
        at = self._wall() + self.watchdog_seconds if self.watchdog_seconds else math.inf
        if at > self._watchdog_at:  # noqa: PLR1730 - max() costs more than the rest, for every message
            self._watchdog_at = at

    def on_done(self, action: Action, *, cut: bool) -> None:
        """Lower the condition bits of what has ended; the watchdog counts from here."""
        self._feed_watchdog()
        self.latest_state = "CUT" if cut else "DONE"
        status = self.session.status
        status.operation.clear(_CONDITION.get(action.kind, _READING))
        if isinstance(action, SlotAction):
            self.log.add(self.clock.now, self.address, f"{'cut' if cut else 'end'} {action.kind}")
            if isinstance(action, SweepAction) and bool(action.limited.any()):
                status.questionable.latch(COMPLIANCE_REACHED)

    def on_lost(self) -> None:
        """Go OFF at once when the client is gone (§8.2)."""
        self.log.add(self.clock.now, self.address, "client lost")
        self.set_output(on=False)

    def watchdog_due(self) -> float | None:
        """Return when the watchdog expires (monotonic) [s]; None while there is nothing to guard."""
        guarded = self.output and self.action is None  # while BUSY it does not run (§4.1)
        return self._watchdog_at if guarded and self._watchdog_at < math.inf else None

    def check_watchdog(self) -> None:
        """Go OFF if no message has come for too long."""
        due = self.watchdog_due()
        if due is None or self._wall() <= due:
            return
        self.log.add(self.clock.now, self.address, "watchdog")
        self.set_output(on=False)
        self.session.status.questionable.set(_WATCHDOG)
        self.session.status.error(-365, f"no message for {self.watchdog_seconds:.3g} s, output is off")

    # --- scripted faults ----------------------------------------------------------------------

    def disturb_reading(self, kind: Literal["overflow", "compliance"]) -> bool:
        """Let the next reading or sweep overflow or meet its current limit."""
        self._disturbances.add(kind)
        return True

    def suffers(self, kind: Literal["overflow", "compliance"]) -> bool:
        """Return whether the reading that starts now is disturbed like that; said once."""
        if kind not in self._disturbances:
            return False
        self._disturbances.discard(kind)
        return True

    def shift_offset(self, amps: float) -> bool:
        """Let every converter read ``amps`` [A] too much from now on."""
        self.reads.shift_offset(amps)
        return True

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

    @property
    def tag(self) -> int:
        """The tag of the message that is being executed, 0 when it has none."""
        message, tag = self._tag
        return tag if message == self.session.message else 0

    def set_tag(self, tag: int) -> str:
        """``TAG?``."""
        self._tag = (self.session.message, tag)
        return str(tag)

    def begin(self, action: SlotAction) -> None:
        """Start an action that :meth:`may_begin`."""
        self._enter(action)
        self.last = action
        self.log.add(self.session.time, self.address, f"start {action.kind} {action.slots} slots")
        if action.next_event <= self.session.time:
            self.settle(self.session.time)

    def may_begin(self) -> None:
        """Refuse an action in the wrong state before anything else is looked at."""
        if not self.output:
            raise ScpiError(-221, "output is off")
        self.may_start()

    def may_start(self) -> None:
        """Refuse an action while another one runs, and behind an abort in the same message (§10.4)."""
        if self.action is not None:
            raise ScpiError(-213, f"{self.action.kind} is still running")
        if self.session.aborted == self.session.message:
            raise ScpiError(-213, "the message was aborted")

    def measure(self, kind: str, seconds: float, slots: int, work: Callable[[], Reply]) -> Hold:
        """Start a measurement that :meth:`may_begin`; its reply comes after ``seconds`` [s]."""
        return self.hold(QueryAction(kind, self.session.time, seconds, slots, work))

    def hold(self, action: QueryAction) -> Hold:
        """Start a measurement that :meth:`may_begin`."""
        self._enter(action)
        return action

    def _enter(self, action: SlotAction | QueryAction) -> None:
        self.action = self.latest = action
        self.latest_tag, self.latest_state = self.tag, "RUN"
        self.session.status.operation.set(_CONDITION.get(action.kind, _READING))

    def before(self, pattern: str) -> None:
        """Do nothing: settings act on the next action, and aborting ones catch up by themselves."""

    def told_last(self) -> str:
        """``PULSe:LAST?``."""
        last = self.last
        return "NONE,0,0,0,0,0" if last is None else f"{last.kind},{self._told(last)}"

    def told_latest(self) -> str:
        """``ACTion:LAST?``."""
        last = self.latest
        if last is None:
            return "0,NONE,DONE,0,0,0,0,0"
        told = self._told(last)  # which may end it
        return f"{self.latest_tag},{last.kind},{self.latest_state},{told}"

    def _told(self, action: SlotAction | QueryAction) -> str:
        self.told_progress = self.session.waited != self.session.message
        progress = Progress(action.slots_done, action.pulses_done, action.seconds_done)
        if action is self.action:
            seen = action.seen_at(self.clock.now + self.clock.ahead)
            if seen is None:
                self.catch_up()
                progress = Progress(action.slots_done, action.pulses_done, action.seconds_done)
            else:
                progress = seen
        done = f"{action.slots},{progress.slots},{progress.pulses}"
        return f"{done},{number(action.seconds)},{number(progress.seconds)}"

    def needs(self, capability: str) -> None:
        """Refuse what this board lacks."""
        if capability not in self.spec.supports:
            raise ScpiError(
                -241, f"this board has no {capability}; it has {', '.join(self.spec.supports) or 'nothing'}"
            )

    # --- settings -----------------------------------------------------------------------------

    def set_read_range(self, full_scale: float | None) -> None:
        """``SENSe:RANGe``: None is automatic."""
        self.read_range = None if full_scale is None else _round_up(full_scale, self.spec.read_ranges)

    def set_vmm_range(self, full_scale: float) -> None:
        """``SENSe:VMM:RANGe``."""
        self.vmm_index = self.spec.vmm_ranges.index(_round_up(full_scale, self.spec.vmm_ranges))

    @property
    def vmm_range(self) -> float:
        """Full scale of VMM converters [A]."""
        return self.spec.vmm_ranges[self.vmm_index]

    @property
    def read_point(self) -> ReadPoint:
        """How reads are done now."""
        return ReadPoint(self.read_volts, self.read_gate, self.read_range, self.average)

    def volts_code(self, volts: float) -> int:
        """Return the DAC code nearest to ``volts`` [V]."""
        return min(32767, max(-32767, round(volts / self.spec.volts_lsb)))

    def gate_code(self, volts: float) -> int:
        """Return the gate DAC code nearest to ``volts`` [V]."""
        return min(32767, max(0, round(volts / self.spec.gate_lsb)))

    def ticks(self, width: float) -> int:
        """Return the pulse width [s] in ticks."""
        return max(1, round(width / self.spec.tick))

    def capability(self) -> bytes:
        """``SYSTem:CAPability?``."""
        return self._capability

    def info(self) -> bytes:
        """``SIMulation:INFO?``."""
        told = {"profile": self._profile_name, "seed": self.chip.seed, "birth": self.chip.birth}
        return block(json.dumps(told).encode())

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
