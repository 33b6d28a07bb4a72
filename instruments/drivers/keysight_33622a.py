"""Keysight 33622A two-channel generator: trains of short unipolar pulses from a base of 0 V, both channels in step.

Commands as in the Keysight Trueform Series Operating and Service Guide (33500/33600).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import copysign, floor, log10
from os import PathLike
from typing import Any, TypedDict

from qcodes.instrument_drivers.Keysight import Keysight33622A

from ...common.errors import RefusedError
from ..limits import Limits, refuse_bad_number
from ..wire.binding import EchoBinding
from ..wire.doors import GuardedInstrument, alone
from ..wire.parts import Wire
from ..wire.wire_text import sent
from .allowed import ALLOWED_33622A, RULES_33622A
from .carried_limits import ChipLimits, carried
from .source_limits import SourceLimits, check_train
from .stress import Stress, Unheard

_VOLTS_MAX, _VOLTS_MIN = 10.0, 2e-3  # into an open circuit; the smallest amplitude
_WIDTH_MIN, _WIDTH_MAX = 5e-9, 1e6
_EDGE_MIN, _EDGE_MAX = 2.9e-9, 1e-6
_PERIOD_MIN, _PERIOD_MAX = 1e-8, 1e6
_COUNT_MAX = 100_000_000
_TIME_DIGITS = 10  # 0.1 ns
_DIGITS = 4
# An edge is counted from 10 to 90 %: 0.625 of a width has room for both (Pulse Waveforms, Edge Times).
_EDGE_OF_WIDTH = 0.625
_LONG_SECONDS = 0.25
PIECE_SECONDS = 10.0
"""Longest burst [s]: what goes on when the host is killed."""

# The burst first: that leaves its base, 0 V. DC is set when the outputs are off, because the level of DC is the offset,
# which of a pulse of 2 V is 1 V.
_GOING_IDLE = (
    ("stop at the base, 0 V", "ABOR"),
    ("output 1 off", "OUTP1 OFF"),
    ("output 2 off", "OUTP2 OFF"),
    ("channel 1 DC 0 V", "SOUR1:BURS:STAT OFF;:SOUR1:FUNC DC;:SOUR1:VOLT:OFFS 0"),
    ("channel 2 DC 0 V", "SOUR2:BURS:STAT OFF;:SOUR2:FUNC DC;:SOUR2:VOLT:OFFS 0"),
)


@dataclass(frozen=True, slots=True)
class PulseTrain:
    """What was commanded after quantisation.

    ``first``, ``second`` [V] on channels 1 and 2, ``width``, ``edge``, ``period`` [s], ``count`` pulses, ``seconds`` in
    all [s].
    """

    first: float
    second: float
    width: float
    edge: float
    period: float
    count: int
    seconds: float


class TrainSettings(TypedDict):
    """What :meth:`Keysight33622APulser.pulses` takes."""

    first: float
    second: float
    width: float
    edge: float
    period: float
    count: int
    most: float


class Keysight33622APulser(GuardedInstrument, Keysight33622A):
    """QCoDeS's Keysight 33622A as a pulse source for two crossbar lines.

    Levels change only while both outputs are off. Between trains both channels are off, their function DC at 0 V or a
    burst that waits for its trigger at its base of 0 V.
    """

    _model = "33622A"
    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""
    edge_range = (3e-9, 1e-6)

    relay_seconds: float = 0.01
    """Wait between switching the outputs on and the trigger, for the relays to settle [s]."""

    _written_by_hand: bool = False
    _levels: tuple[float | None, float | None] = (None, None)
    _timing: tuple[float, float, float] | None = None
    _count: int | None = None

    def __init__(
        self,
        name: str,
        address: str | None = None,
        *,
        chip: ChipLimits | str | PathLike[str] | None = None,
        limits: Limits | Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        self._hold(
            Wire(
                name,
                binding=EchoBinding(),
                going_idle=_GOING_IDLE,
                safe_when=("OUTP1?;:OUTP2?", "0;0"),
                hangup_effect="what it drives stays: switch its output off by hand",
                clears=True,
            )
        )
        self.guard = self.bounds = SourceLimits(name, RULES_33622A, carried(name, chip, limits), allowed=ALLOWED_33622A)
        with self._opening():
            super().__init__(name, address, **kwargs)  # pyright: ignore[reportArgumentType]
            self._prepare()

    def make_safe(self) -> None:
        """Switch both outputs off, then the documented defaults."""
        self.wire.exchange.tell("OUTP1 OFF")
        self.wire.exchange.tell("OUTP2 OFF")
        self.wire.exchange.act("*CLS;*RST")
        self._forget_settings()

    @property
    def limits(self) -> Limits:
        """What may be applied."""
        return self.bounds.now

    @property
    def source_volts_max(self) -> float:
        """Largest magnitude a terminal may ever be driven to [V]."""
        return self.bounds.source_volts_max

    @alone
    def set_limits(self, limits: Limits) -> None:
        """Narrow what may be applied, here and in the instrument; wider limits are refused."""
        self.bounds.narrow(limits)
        self._apply_limits()

    def _prepare(self) -> None:
        self._apply_limits()

    def _apply_limits(self) -> None:
        """Set both channels, outputs off, to open circuit, DC 0 V and the voltage limits."""
        self.wire.exchange.act("OUTP1 OFF;:OUTP2 OFF")
        held = sent(min(self.bounds.source_volts_max, _VOLTS_MAX), digits=6)
        # The load cannot be changed while limits are on: the instrument would not know which load they were meant for.
        self.wire.exchange.act(
            ";:".join(
                f"SOUR{n}:VOLT:LIM:STAT OFF;:OUTP{n}:LOAD INF;:SOUR{n}:VOLT:UNIT VPP;:SOUR{n}:FUNC DC;"
                f":SOUR{n}:VOLT:OFFS 0;:SOUR{n}:VOLT:LIM:HIGH {held};:SOUR{n}:VOLT:LIM:LOW -{held};"
                f":SOUR{n}:VOLT:LIM:STAT ON;:TRIG{n}:SOUR BUS"
                for n in (1, 2)
            )
        )
        self._forget_settings()

    def _forget_settings(self) -> None:
        self._levels = (None, None)
        self._timing = self._count = None

    def _heard_by_hand(self, cmd: str) -> None:
        super()._heard_by_hand(cmd)
        self._written_by_hand = True

    # -- pulses -------------------------------------------------------------------------------------------------------

    @alone
    def pulses(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> PulseTrain:
        """Apply a train of pulses from 0 V to both channels at once and return when it is over; outputs off after it.

        Parameters
        ----------
        first, second : float [V]
            Amplitudes on channels 1 and 2, either sign; a channel of 0 V is held at 0 V.
        width : float [s]
            At half height, 5 ns and more.
        edge : float [s]
            Rise and fall time, 2.9 ns to 1 µs, at most 0.625 of the width and of the pause.
        period : float [s]
            From pulse to pulse.
        count : int
            Pulses, up to 100 000 000; in bursts of ``PIECE_SECONDS`` at most, which is what a killed host leaves.
        most : float [V]
            Rounding takes neither channel beyond this magnitude; default the limit.

        Raises
        ------
        RefusedError
            Outside the limits or what the instrument can do: nothing was sent.
        """
        train = self.plan(first, second, width=width, edge=edge, period=period, count=count, most=most)
        at_once = max(1, int(PIECE_SECONDS / train.period))
        for done in range(0, train.count, at_once):
            now = min(at_once, train.count - done)
            self._burst(replace(train, count=now, seconds=round(now * train.period, 12)))
        return train

    def _burst(self, train: PulseTrain) -> None:
        try:
            if self._written_by_hand:
                # Modulation, trigger counts, phases: a waveform has more settings than a train sets.
                self.reset()
                self._written_by_hand = False
            setup = self._setup(train)
            if setup:
                # Known before anything goes on, so that a refused level is never applied.
                self._forget_settings()
                self.wire.exchange.act(setup)
                self._levels = (train.first, train.second)
                self._timing = (train.width, train.edge, train.period)
                self._count = train.count
            # After power-on it has 50 Ω and a sine: a train would be another one, and twice as high.
            self.require_power("the setup of a train")
            self.stress.pulses((train.first, train.second), train.count)
            self.wire.exchange.act("OUTP1 ON;:OUTP2 ON")
            if self.relay_seconds:
                self.clock.wait(self.relay_seconds)
            self._fire(train.seconds)
        except BaseException:
            self.idle()
            raise

    def _fire(self, seconds: float) -> None:
        finish = "*OPC?;:OUTP1 OFF;:OUTP2 OFF"
        if seconds > _LONG_SECONDS:
            self.wire.exchange.act("*TRG")
            self.clock.wait(seconds)
            message = finish
        else:
            message = f"*TRG;{finish}"
        (done,) = self.wire.exchange.ask(message, 1, expected=seconds)
        if done.lstrip("+") != "1":
            raise self.wire.faults.garbled(message, done)

    def _setup(self, train: PulseTrain) -> str:
        """Return the commands that make of the present settings those of ``train``; empty when nothing differs."""
        timing = (train.width, train.edge, train.period)
        commands: list[str] = []
        for n, volts, before in ((1, train.first, self._levels[0]), (2, train.second, self._levels[1])):
            if volts == 0.0:
                if before != 0.0:
                    commands += [f"SOUR{n}:BURS:STAT OFF", f"SOUR{n}:FUNC DC", f"SOUR{n}:VOLT:OFFS 0"]
                continue
            fresh = not before
            if fresh:
                commands += [f"SOUR{n}:FUNC PULS"]
            if fresh or timing != self._timing:
                commands += _times(n, *timing)
            if volts != before:
                commands += _levels(n, volts)
            if fresh or train.count != self._count:
                commands += [f"SOUR{n}:BURS:NCYC {train.count}"]
            if fresh:
                commands += [f"SOUR{n}:BURS:MODE TRIG", f"TRIG{n}:SOUR BUS", f"SOUR{n}:BURS:STAT ON"]
        if commands and timing != self._timing:
            commands.append("PHAS:SYNC")
        return ";:".join(commands)

    # -- what can be done ---------------------------------------------------------------------------------------------

    def plan(
        self,
        first: float,
        second: float,
        *,
        width: float,
        edge: float,
        period: float,
        count: int,
        most: float | None = None,
    ) -> PulseTrain:
        """Return what :meth:`pulses` would apply, or refuse it; nothing is sent."""
        where = self.name
        most = self.bounds.source_volts_max if most is None else most
        amplitudes = [self._amplitude(volts, f"{where} channel {n}", most) for n, volts in ((1, first), (2, second))]
        width = self.bounds.now.one("width", width, channel=where, unit="s")
        refuse_bad_number("width", width, _WIDTH_MIN, _WIDTH_MAX, "s", channel=where)
        refuse_bad_number("edge", edge, _EDGE_MIN, _EDGE_MAX, "s", channel=where)
        refuse_bad_number("period", period, _PERIOD_MIN, _PERIOD_MAX, "s", channel=where)
        width, edge, period = (round(float(seconds), _TIME_DIGITS) for seconds in (width, edge, period))
        if edge > _EDGE_OF_WIDTH * width * (1.0 + 1e-9):
            raise RefusedError(
                f"edge {edge:g} s at {where} does not fit a width of {width:g} s: choose at most "
                f"{_EDGE_OF_WIDTH * width:g} s"
            )
        if period - width < max(_WIDTH_MIN, edge / _EDGE_OF_WIDTH) * (1.0 - 1e-9):
            raise RefusedError(
                f"period {period:g} s at {where} leaves no room beside a width of {width:g} s with edges of {edge:g} s"
                f": choose at least {width + max(_WIDTH_MIN, edge / _EDGE_OF_WIDTH):g} s"
            )
        given = check_train(
            self.bounds.now,
            amplitudes,
            width=width,
            edge=edge,
            period=period,
            count=count,
            count_max=_COUNT_MAX,
            channel=where,
        )
        return PulseTrain(
            first=amplitudes[0],
            second=amplitudes[1],
            width=width,
            edge=edge,
            period=period,
            count=given,
            seconds=round(given * period, 12),
        )

    def _amplitude(self, volts: float, channel: str, most: float) -> float:
        """Return what of ``volts`` [V] the instrument keeps: four digits, rounded towards 0 V at ``most`` [V]."""
        volts = self.bounds.now.one("source_volts", volts, channel=channel)
        if volts == 0.0:
            return 0.0
        refuse_bad_number("amplitude", abs(volts), _VOLTS_MIN, _VOLTS_MAX, "V", channel=channel)
        step = 10.0 ** (floor(log10(abs(volts))) + 1 - _DIGITS)
        steps = round(abs(volts) / step)
        if steps * step > most:
            steps -= 1
        return copysign(float(f"{steps * step:.{_DIGITS}g}"), volts)


def _times(n: int, width: float, edge: float, period: float) -> list[str]:
    """Return the commands that set the times of channel ``n``, shortest first: each must fit the others at once."""
    pulse = f"SOUR{n}:FUNC:PULS"
    return [
        f"{pulse}:TRAN MIN",
        f"{pulse}:WIDT MIN",
        f"{pulse}:PER {period:.10g}",
        f"{pulse}:WIDT {width:.10g}",
        f"{pulse}:TRAN {edge:.10g}",
    ]


def _levels(n: int, volts: float) -> list[str]:
    """Return the commands that set the levels of channel ``n``, one of which is 0 V.

    A burst rests at the low level. Inverted output turns the waveform over about its offset, so that a negative pulse
    rests at the high one, which is 0 V (Operating and Service Guide, Waveform Polarity). The level away from 0 V comes
    first: the high one must never be below the low one.
    """
    if volts > 0.0:
        return [f"SOUR{n}:VOLT:HIGH {volts:.6g}", f"SOUR{n}:VOLT:LOW 0", f"OUTP{n}:POL NORM"]
    return [f"SOUR{n}:VOLT:LOW {volts:.6g}", f"SOUR{n}:VOLT:HIGH 0", f"OUTP{n}:POL INV"]
