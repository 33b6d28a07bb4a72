"""The simulated ArC TWO: 64 channels that programs drive, tied to the lines of a mock chip.

A program is a list of plain tuples, so that it can be handed to another process; it runs to its end, whether whoever
sent it lives or not, as the buffer of the board does.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import groupby, repeat
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ...passive_chip.bias import Bias, Solution
from ...passive_chip.chip import PassiveChip
from .gated_cells import GatedCells

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...chip.virtual_chip import VirtualChip
    from ...sim_clock import SimClock

CHANNELS: Final = 64
SELECTORS: Final = 32
SUPPLIES: Final = ("SELL", "SELH", "ARB1", "ARB2", "ARB3", "ARB4", "CREF", "CSET")
"""Auxiliary supplies that one call sets together: those it is not told go to 0 V, as the vendor's library has it."""
CLUSTER: Final = 8
OPEN, ARB, HIGH_SPEED = 0, 1, 2
"""What a channel is: disconnected, driven with its current measured, driven by the fast switch."""

SETTLE: Final = 30e-6  # of the converters, as the vendor's library waits
PREPARE: Final = 100e-6  # of amplifiers that were off the line, as the vendor's library waits
CONVERSION: Final = 20e-6  # assumed
CHANNEL_OHMS: Final = 1.0  # assumed
GROUND_OHMS: Final = 0.1  # assumed
BITS: Final = 18
RANGES: Final = (10.24 / 15e6, 10.24 / 110e3, 10.24 / 830.0)
"""Full scales [A] of the three amplifiers before the converter's ±10.24 V, as the vendor's library decodes them."""
NOISE_LSB: Final = 1.0  # assumed

Op = tuple[Any, ...]


def trains(program: Sequence[Op]) -> Iterator[Op]:
    """Yield what a program does; equal pulses in a row, with the delay behind each, come as one with their count."""
    for unit, same in groupby(_with_pauses(program)):
        count = len(list(same))
        if unit[0] == "pulse":
            yield (*unit, count)
        else:
            yield from repeat(unit, count)


def _with_pauses(program: Sequence[Op]) -> Iterator[Op]:
    ahead = deque(program)
    while ahead:
        op, pause = ahead.popleft(), 0
        if op[0] != "pulse":
            yield op
            continue
        while ahead and ahead[0][0] == "delay":
            pause += ahead.popleft()[1]
        yield (*op, pause)


class ArcTwoBoard:
    """Channels, converters and what is tied to them.

    Parameters
    ----------
    chip : PassiveChip or VirtualChip
    clock : SimClock
    rows, cols : sequence of int
        Channel of every line of the chip, in the chip's order.
    gates : sequence of int
        Selector of every gate line of a chip with transistors.
    seed : int
        Of the converters' noise.
    noise : float [LSB]
        Standard deviation of one conversion.

    Attributes
    ----------
    programs : deque
        The last programs as they were run; for tests.
    driven_longest : float [s]
        Longest time a program left any line of the chip away from 0 V in one go.
    gated_longest : float [s]
        Longest time any gate of the chip was away from 0 V in one go.
    supplies : dict of str to float [V]
        What the auxiliary supplies are at.
    selected : array, [32], bool
        Which selectors are switched to SELH; the others are at SELL.
    """

    def __init__(
        self,
        chip: PassiveChip | VirtualChip,
        clock: SimClock,
        *,
        rows: Sequence[int],
        cols: Sequence[int],
        gates: Sequence[int] = (),
        seed: int = 0,
        noise: float = NOISE_LSB,
        serial: str = "SIM-ARC2",
    ) -> None:
        self.chip, self.clock, self.serial = chip, clock, serial
        self.lines = np.array([*rows, *cols], dtype=np.int64)
        self._gates = np.array(gates, dtype=np.int64)
        self.supplies = dict.fromkeys(SUPPLIES, 0.0)
        self.selected = np.zeros(SELECTORS, dtype=np.bool_)
        self._cells = chip if isinstance(chip, PassiveChip) else GatedCells(chip, self.gates)
        self.volts = np.zeros(CHANNELS)
        self.mode = np.full(CHANNELS, OPEN)
        self.grounded = np.zeros(CHANNELS, dtype=np.bool_)
        self.span = np.full(CHANNELS, 10.0)
        self.prepared = np.zeros(CHANNELS, dtype=np.bool_)
        self.programs: deque[list[Op]] = deque(maxlen=5000)
        self.driven_longest = self.gated_longest = 0.0
        self.clients = 0
        self.released: Callable[[], None] | None = None
        self.results: dict[int, NDArray[np.float32]] = {}
        self._driven = self._gated = 0.0
        self._noise = noise
        self._rng = np.random.default_rng([seed, 0xA2C2])
        self._lived_to = clock.now
        clock.watch(self._live)

    # --- what the library hands over ----------------------------------------------------------

    def run(self, program: Sequence[Op]) -> None:
        """Do everything in a program, one after the other."""
        self.programs.append(list(program))
        for name, *arguments in trains(program):
            getattr(self, f"_do_{name}")(*arguments)

    def fetch(self, key: int) -> NDArray[np.float32]:
        """Return what was read under ``key``, all channels, NaN where nothing was; it is forgotten then."""
        return self.results.pop(key, np.full(CHANNELS, np.nan, dtype=np.float32))

    def levels(self) -> NDArray[np.float64]:
        """Return what every line of the chip is at [V], NaN where it floats; for tests and reads of voltage."""
        return self.outputs()[self.lines]

    def outputs(self) -> NDArray[np.float64]:
        """Return what every channel is at [V], NaN where it floats."""
        out = np.where(self.mode == OPEN, np.nan, self.volts)
        return np.where(self.grounded, 0.0, out)

    def gates(self) -> NDArray[np.float64]:
        """Return what every gate line of the chip is at [V]."""
        return np.where(self.selected[self._gates], self.supplies["SELH"], self.supplies["SELL"])

    def detach(self) -> None:
        """Let a client go."""
        self.clients -= 1
        if not self.clients and self.released is not None:
            self.released()

    # --- instructions -------------------------------------------------------------------------

    def _do_set(self, volts: Sequence[tuple[int, float]], mode: int) -> None:
        chosen = np.array([channel for channel, _ in volts], dtype=np.int64)
        self._prepare(chosen)
        self.mode[chosen] = mode
        self.grounded[chosen] = False
        for channel, level in volts:
            self.volts[channel] = self.quantised(channel, level)
        self._advance(SETTLE)

    def _do_arb(self, channels: Sequence[int]) -> None:
        chosen = np.array(channels, dtype=np.int64)
        self._prepare(chosen)
        self.mode[chosen] = ARB

    def _do_zero(self, channels: Sequence[int]) -> None:
        self.volts[np.array(channels, dtype=np.int64)] = 0.0
        self._advance(SETTLE)

    def _do_open(self, channels: Sequence[int]) -> None:
        chosen = np.array(channels, dtype=np.int64)
        self.mode[chosen] = OPEN
        self.prepared[chosen] = False

    def _do_hard(self, channels: Sequence[int], grounded: bool) -> None:
        self.grounded[np.array(channels, dtype=np.int64)] = grounded

    def _do_range(self, channels: Sequence[int], volts: float) -> None:
        self.span[np.array(channels, dtype=np.int64)] = volts

    def _do_supplies(self, volts: Sequence[tuple[str, float]]) -> None:
        lsb = 10.0 / 2.0**15
        given = {which: float(np.clip(np.round(level / lsb), -(2**15), 2**15) * lsb) for which, level in volts}
        self.supplies = {which: given.get(which, 0.0) for which in SUPPLIES}
        self._advance(SETTLE)

    def _do_select(self, selectors: Sequence[int]) -> None:
        self.selected[:] = False
        self.selected[np.array(selectors, dtype=np.int64)] = True

    def _do_delay(self, nanos: int) -> None:
        self._advance(1e-9 * nanos)

    def _do_pulse(
        self, channels: Sequence[tuple[int, float, float]], nanos: Sequence[int | None], pause: int, count: int
    ) -> None:
        """Let channels go ``count`` times from their normal to their active level and back, ``pause`` ns after each."""
        chosen = [channel for channel, _, _ in channels]
        self.mode[chosen], self.grounded[chosen], self.prepared[chosen] = HIGH_SPEED, False, False
        active, width = self.volts.copy(), np.zeros(CHANNELS)
        for channel, pulse, normal in channels:
            self.volts[channel] = self.quantised(channel, normal)
            active[channel] = self.quantised(channel, pulse)
            held = nanos[channel // CLUSTER] or 0
            # Shorter pulses than 40 ns are lengthened; times are on a grid of 10 ns.
            width[channel] = 0.0 if held <= 0 else 10e-9 * (max(held, 40) // 10)
        ends = np.unique(width[width > 0.0])
        stairs = np.array([self.volts, *(np.where(width >= end, active, self.volts) for end in ends)])
        spans = np.array([SETTLE + 1e-9 * pause, *np.diff(ends, prepend=0.0)])
        self._advance(SETTLE)
        self._play(stairs[1:], spans[1:], 1)
        self._play(stairs, spans, count - 1)
        self._advance(1e-9 * pause)

    def _do_read(self, key: int, channels: Sequence[int]) -> None:
        chosen = np.array(channels, dtype=np.int64)
        self._advance(CONVERSION)
        told = np.full(CHANNELS, np.nan, dtype=np.float32)
        driven = chosen[(self.mode[chosen] == ARB) & ~self.grounded[chosen]]
        told[driven] = self._converted(self._measured().source_amps[driven])
        self.results[key] = told

    def _do_vread(self, key: int, channels: Sequence[int]) -> None:
        chosen = np.array(channels, dtype=np.int64)
        self._advance(CONVERSION)
        told = np.full(CHANNELS, np.nan, dtype=np.float32)
        told[chosen] = np.nan_to_num(self.outputs()[chosen])
        on = np.isin(self.lines, chosen)
        told[self.lines[on]] = self._measured().line_volts[on]
        self.results[key] = told

    def _do_note(self, *_: object) -> None:
        """Take what has no effect on a chip: digital lines, grounds for alternating currents."""

    # --- physics ------------------------------------------------------------------------------

    def quantised(self, channel: int, volts: float) -> float:
        """Return ``volts`` [V] as the converter of a channel makes them; beyond its range it stays at the end."""
        lsb = self.span[channel] / 2.0**15
        return float(np.clip(np.round(volts / lsb), -(2**15), 2**15) * lsb)

    def _prepare(self, channels: NDArray[np.int64]) -> None:
        if not self.prepared[channels].all():
            self.prepared[channels] = True
            self.volts[channels[self.mode[channels] != ARB]] = 0.0
            self._advance(PREPARE)

    def _converted(self, amps: NDArray[np.float64]) -> NDArray[np.float64]:
        full = np.array(RANGES)
        scale = full[np.minimum(np.searchsorted(full, np.abs(amps)), len(full) - 1)]
        lsb = scale / 2.0 ** (BITS - 1)
        codes = np.round(amps / lsb + self._noise * self._rng.standard_normal(amps.size))
        return np.clip(codes, -(2 ** (BITS - 1)), 2 ** (BITS - 1)) * lsb

    def _measured(self) -> Solution:
        return self._cells.measure(self._bias(), aperture=CONVERSION)

    def _bias(self) -> Bias:
        out = self.outputs()
        tied = np.isfinite(out)
        source = np.where(tied[self.lines], self.lines, -1)
        return Bias(
            source=source.astype(np.int64),
            line_ohms=np.zeros(self.lines.size),
            volts=np.nan_to_num(out),
            ohms=np.where(self.grounded, GROUND_OHMS, CHANNEL_OHMS),
            limit=np.full(CHANNELS, np.inf),
            delay=np.zeros(CHANNELS),
        )

    def _advance(self, seconds: float) -> None:
        self.clock.advance(seconds)

    def _play(self, stairs: NDArray[np.float64], spans: NDArray[np.float64], repeats: int) -> None:
        """Let channels go through ``stairs`` [segments, channels] V, each for its span [s], over and over."""
        total = repeats * float(spans.sum())
        if not total:
            return
        tied = self.lines[(self.mode[self.lines] != OPEN) & ~self.grounded[self.lines]]
        away = np.any(stairs[:, tied] != 0.0, axis=1)
        if not away.all():
            self._driven = 0.0
        self._count_driven(total if away.all() else float(spans[away].sum()))
        self._lived_to += total
        self._count_gated(total)
        self._cells.play(self._bias(), stairs, spans, repeats)
        self._advance(total)

    def _live(self, now: float) -> None:
        """Let the chip live under what its lines are at, up to ``now`` [s]."""
        span = now - self._lived_to
        if span <= 0.0:
            return
        self._lived_to = now
        self._count_gated(span)
        levels = self.levels()
        if np.isfinite(levels).any() and np.nanmax(np.abs(levels)) > 0.0:
            self._count_driven(span)
            self._cells.hold(self._bias(), span)
        else:
            self._driven = 0.0

    def _count_gated(self, seconds: float) -> None:
        self._gated = self._gated + seconds if self.gates().any() else 0.0
        self.gated_longest = max(self.gated_longest, self._gated)

    def _count_driven(self, seconds: float) -> None:
        self._driven += seconds
        self.driven_longest = max(self.driven_longest, self._driven)
