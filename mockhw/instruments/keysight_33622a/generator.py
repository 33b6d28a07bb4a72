"""The two channels of a simulated 33622A and what they put on their lines: what its commands act on."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ....common.arrays import FloatArray
from ...instrument import BenchLog, SimulatedInstrument
from ...probe_circuit.waves import Wave
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...sim_clock import SimClock
from .bursts import Burst, BurstAction
from .channel import Channel
from .levels import OUTPUT_OHMS
from .waveform import ShapeSettings, Stairs, stairs, with_pause

if TYPE_CHECKING:
    from ...probe_circuit.circuit import ProbeCircuit
    from ...probe_circuit.terminal import Terminal


_CACHED_SHAPES: Final = 64


class Generator(SimulatedInstrument):
    """Two-channel waveform generator; its commands are in :class:`.Keysight33622A`.

    Parameters
    ----------
    address, clock, log
        See :class:`SimulatedInstrument`.
    circuit : ProbeCircuit
        What its cables run to.
    terminals : tuple of Terminal
        Channels 1 and 2.
    serial : str
        Serial number in ``*IDN?``.
    seed : int
        Entropy of noise and random bits.
    info : callable
        Makes the block of ``SIMulation:INFO?``.
    line_farads : float [F]
        Capacitance of cable, matrix and chip line behind the 50 Ω. Assumed: one metre of coax; with 50 Ω it has
        the time constant of the 30 MHz that matrix cards of this family are good for.
    """

    def __init__(
        self,
        address: str,
        clock: SimClock,
        log: BenchLog,
        *,
        circuit: ProbeCircuit,
        terminals: tuple[Terminal, Terminal],
        serial: str,
        seed: int,
        info: Callable[[], bytes],
        line_farads: float = 100e-12,
    ) -> None:
        self.circuit = circuit
        self.terminals = terminals
        self.serial = serial
        self.info = info
        self.channels = (Channel(self._warn), Channel(self._warn))
        self.sync_output, self.sync_source, self.sync_mode = True, 1, "NORM"
        self.angle_unit = "DEG"
        self.trigger_output, self.display = False, True
        self.text = ""
        self.byte_order = "NORM"
        self._states: dict[int, tuple[dict[str, Any], ...]] = {}
        self._seed = seed
        self._time_constant = OUTPUT_OHMS * line_farads
        self._waves: dict[int, Wave] = {}
        self._shapes: dict[ShapeSettings, Stairs] = {}
        self._epochs: dict[int, tuple[object, float]] = {}
        super().__init__(address, clock, log)
        self.session.status.errors.nothing = '+0,"No error"'
        for terminal in terminals:
            terminal.set(clock.now, ohms=OUTPUT_OHMS, on=False)

    def self_test(self) -> str:
        """Return the reply to ``*TST?``."""
        return "+0"

    def reset(self) -> Hold | None:
        """Do ``*RST``."""
        self.abort()
        for channel in self.channels:
            channel.reset()
        self.sync_output, self.sync_source, self.sync_mode = True, 1, "NORM"
        self.angle_unit = "DEG"
        self.trigger_output, self.display = False, True
        self.text, self.byte_order = "", "NORM"
        self._epochs.clear()
        for number in (1, 2):
            self.apply(number)
        return None

    def next_event(self) -> float | None:
        """Return when a burst is over next [s]; None while there is none, or only one without end."""
        event = super().next_event()
        return event if event is not None and math.isfinite(event) else None

    def channel(self, number: int) -> Channel:
        """Return a channel.

        Raises
        ------
        ScpiError
            -114 when there is none of this number.
        """
        if number not in (1, 2):
            raise ScpiError(-114, f"channel {number}; there are 1 and 2")
        return self.channels[number - 1]

    def save_state(self, place: int) -> None:
        """``*SAV``: keep the settings of both channels."""
        self._states[place] = tuple({**vars(channel)} for channel in self.channels)

    def recall_state(self, place: int) -> None:
        """``*RCL``: bring back what was kept; waveforms in memory stay as they are."""
        if place not in self._states:
            raise ScpiError(810, f"state {place} has not been stored")
        self.abort()
        for channel, kept in zip(self.channels, self._states[place], strict=True):
            vars(channel).update({name: value for name, value in kept.items() if name != "memory"})
        self._epochs.clear()
        for number in (1, 2):
            self.apply(number)

    # --- angles -------------------------------------------------------------------------------

    def angle(self, degrees: float, channel: Channel) -> float:
        """Return an angle [°] in the unit of ``UNIT:ANGLe``."""
        return degrees * {"DEG": 1.0, "RAD": math.pi / 180.0, "SEC": channel.period / 360.0}[self.angle_unit]

    def degrees(self, angle: float, channel: Channel) -> float:
        """Return an angle in the unit of ``UNIT:ANGLe`` in [°]."""
        return angle / self.angle(1.0, channel)

    def angles(self, channel: Channel) -> tuple[float, float, float]:
        """Return smallest, largest and default angle in the unit of ``UNIT:ANGLe``."""
        turn = self.angle(360.0, channel)
        return -turn, turn, 0.0

    # --- output -------------------------------------------------------------------------------

    def apply(self, number: int) -> None:
        """Let the terminal do what the settings of channel ``number`` say; called after every change."""
        now = self.session.time
        channel, terminal = self.channels[number - 1], self.terminals[number - 1]
        level = channel.open_offset
        if channel.function != "DC" and channel.plays_in_burst:
            level += channel.swing * self._stairs(channel).idle
        if terminal.on != channel.output:
            self.log.add(now, self.address, f"channel {number} {'on' if channel.output else 'off'}")
        if (terminal.on, terminal.volts) != (channel.output, level):
            terminal.set(now, on=channel.output, volts=level)
        self._replace_wave(number, now, self._wave(number, now))

    def _replace_wave(self, number: int, now: float, wave: Wave | None) -> None:
        old = self._waves.pop(number, None)
        if old is not None:
            self.circuit.remove_wave(now, old)
        if wave is not None:
            self.circuit.settle(now)
            self._waves[number] = wave
            self.circuit.add_wave(wave)

    def _wave(self, number: int, now: float) -> Wave | None:
        """Return what channel ``number`` goes through by itself, None if it rests."""
        channel, terminal = self.channels[number - 1], self.terminals[number - 1]
        running = self._running()
        shape = channel.shape(self._seed)
        if not channel.plays_in_burst:
            running.pop(number, None)
            if channel.function == "DC" or not channel.output:
                return None
            period = self._stairs(channel)
            start = self._epoch(number, (shape, "continuous"), now)
            return Wave(terminal, start, period.seconds, self._volts(channel, period))
        period = self._stairs(channel)
        volts = self._volts(channel, period)
        burst = running.get(number)
        if burst is not None:
            if burst.period != channel.period:  # a new frequency starts the rest of the burst afresh
                left = burst.cycles - max(0.0, math.floor((now - burst.start) / burst.period))
                burst = running[number] = Burst(max(now, burst.start), channel.period, left)
            return Wave(terminal, burst.start, period.seconds, volts, burst.cycles) if channel.output else None
        if not channel.output or channel.burst_mode == "GAT" or not channel.armed:
            return None
        if channel.trigger_source == "IMM":
            pause = channel.burst_period
        elif channel.trigger_source == "TIM":
            pause = channel.trigger_timer
        else:
            return None
        start = self._epoch(number, (shape, channel.cycles, pause, channel.trigger_source), now)
        seconds, volts = with_pause(period.seconds, volts, channel.cycles, pause, self.terminals[number - 1].volts)
        return Wave(terminal, start + channel.trigger_delay, seconds, volts, channel.armed)

    def _stairs(self, channel: Channel) -> Stairs:
        shape = channel.shape(self._seed)
        known = self._shapes.get(shape)
        if known is None:
            if len(self._shapes) >= _CACHED_SHAPES:
                self._shapes.clear()
            known = self._shapes[shape] = stairs(shape, self._time_constant)
        return known

    @staticmethod
    def _volts(channel: Channel, period: Stairs) -> FloatArray:
        return channel.open_offset + channel.swing * period.levels

    def _epoch(self, number: int, what: object, now: float) -> float:
        """Return when the output that goes on by itself began [s]; it begins anew when its timing changes."""
        known = self._epochs.get(number)
        if known is None or known[0] != what:
            known = self._epochs[number] = (what, now)
        return known[1]

    def synchronize(self) -> None:
        """``PHASe:SYNChronize``: both channels begin their period now."""
        now = self.session.time
        self._epochs = {number: (what, now) for number, (what, _) in self._epochs.items()}
        for number in (1, 2):
            self.apply(number)

    # --- triggers -----------------------------------------------------------------------------

    def bus_trigger(self) -> None:
        """``*TRG``: start the bursts of every channel that waits for it, both at the same moment."""
        waiting = [
            number
            for number in (1, 2)
            if self.channel(number).plays_in_burst and self.channel(number).trigger_source == "BUS"
        ]
        if not waiting:
            raise ScpiError(-211, "no channel bursts with trigger source BUS")
        self._trigger(waiting)

    def trigger(self, number: int) -> None:
        """``TRIGger[1|2]``: start the burst of one channel, whatever its trigger source."""
        channel = self.channel(number)
        if not channel.plays_in_burst or channel.burst_mode == "GAT":
            raise ScpiError(-211, f"channel {number} does not burst")
        self._trigger([number])

    def _trigger(self, numbers: list[int]) -> None:
        now = self.session.time
        running = self._running()
        started = [number for number in numbers if number not in running and self.channels[number - 1].armed]
        if not started:
            raise ScpiError(-211, "the burst is still running" if running else "the trigger system is idle")
        action = self.action
        if not isinstance(action, BurstAction):
            action = BurstAction(self.circuit, self._burst_ended)
            self.start(action)
        for number in started:
            channel = self.channels[number - 1]
            channel.armed -= 1.0
            action.bursts[number] = Burst(now + channel.trigger_delay, channel.period, channel.cycles)
            count = "endless" if math.isinf(channel.cycles) else f"{channel.cycles:.0f} cycles of"
            self.log.add(now, self.address, f"burst channel {number}: {count} {channel.function}")
            self.apply(number)

    def initiate(self, number: int) -> None:
        """``INITiate[1|2]``: let a channel that is not continuous take ``TRIGger:COUNt`` triggers."""
        channel = self.channel(number)
        if channel.continuous:
            raise ScpiError(-213, "the trigger system is continuous")
        channel.armed = channel.trigger_count
        self._epochs.pop(number, None)
        self.apply(number)

    def _running(self) -> dict[int, Burst]:
        action = self.action
        return action.bursts if isinstance(action, BurstAction) else {}

    def _burst_ended(self, number: int, now: float) -> None:
        wave = self._waves.pop(number, None)
        if wave is not None:
            self.circuit.remove_wave(now, wave)

    def _warn(self, code: int, text: str) -> None:
        self.session.status.error(code, text)
