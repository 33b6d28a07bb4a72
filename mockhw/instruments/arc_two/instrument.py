"""``pyarc2.Instrument`` as a script sees it: calls are collected, ``execute`` hands them to the board as a program."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from .board import ARB, CHANNELS, CLUSTER
from .channel_calls import ALL, BITS, WORDS, ChannelCalls, Runs, channel_of, channels_of, opposite
from .kinds import (
    ArC2Error,
    BiasOrder,
    DataMode,
    ReadAfter,
    ReadAt,
    ReadType,
    WaitFor,
)

if TYPE_CHECKING:
    IntIterable = Iterable[int] | NDArray[Any]

FAST_NANOS = 500_000_000


class SimulatedInstrument(ChannelCalls):
    """The calls of ``pyarc2.Instrument``; a library makes a class of it that knows its boards."""

    # --- pulses -------------------------------------------------------------------------------

    def pulse_one(self, low: int, high: int, voltage: float, nanos: int) -> Self:
        """Pulse one crosspoint, half on either line."""
        return self._pulse(low, (high,), voltage, nanos)

    def pulse_slice(self, chan: int, voltage: float, nanos: int) -> Self:
        """Pulse a whole row or column."""
        return self._pulse(chan, opposite(chan), voltage, nanos)

    def pulse_slice_masked(self, chan: int, voltage: float, nanos: int, mask: IntIterable) -> Self:
        """Pulse some of a row or column."""
        return self._pulse(chan, channels_of(mask), voltage, nanos)

    def pulse_all(self, voltage: float, nanos: int, order: BiasOrder) -> Self:
        """Pulse everything, slice by slice."""
        for chan in WORDS if order is BiasOrder.Rows else BITS:
            self.pulse_slice(chan, voltage, nanos)
        return self

    def pulse_slice_fast_open(
        self, chans: list[tuple[int, float, float]], cl_nanos: list[int | None], preset_state: bool
    ) -> Self:
        """Pulse channels from a normal level, each cluster for its time."""
        del preset_state
        if len(cl_nanos) != CLUSTER:
            raise ValueError("cl_nanos must have 8 items")
        signs: dict[int, bool] = {}
        for channel, pulse, normal in chans:
            cluster = channel_of(channel) // CLUSTER
            if (nanos := cl_nanos[cluster]) is None:
                raise ArC2Error(f"channel {channel}: no timing for cluster {cluster}")
            if nanos > FAST_NANOS:
                raise ArC2Error(f"channel {channel}: high speed pulses take 500 ms at most")
            if signs.setdefault(cluster, pulse <= normal) != (pulse <= normal):
                raise ArC2Error(f"cluster {cluster}: channels with different polarity")
        return self._put(("pulse", tuple((int(c), float(p), float(n)) for c, p, n in chans), tuple(cl_nanos)))

    def _pulse(self, low: int, highs: Sequence[int], voltage: float, nanos: int) -> Self:
        half = {channel_of(low): -0.5 * voltage} | {channel_of(high): 0.5 * voltage for high in highs}
        if nanos < FAST_NANOS:
            times: list[int | None] = [None] * CLUSTER
            for channel in half:
                times[channel // CLUSTER] = int(nanos)
            self._put(("pulse", tuple((channel, level, 0.0) for channel, level in half.items()), tuple(times)))
            return self.delay(nanos)
        return self._put(("zero", ALL), ("set", tuple(half.items()), ARB)).delay(nanos)

    # --- reads --------------------------------------------------------------------------------

    def read_one(self, low: int, high: int, vread: float) -> float:
        """Read one crosspoint: ``low`` at −``vread``, the current out of ``high``."""
        return float(self._read_now(low, (high,), vread)[high])

    def read_slice(self, chan: int, vread: float) -> NDArray[np.float32]:
        """Read a row or a column."""
        return self._read_now(chan, opposite(chan), vread)[list(opposite(chan))]

    def read_slice_masked(self, chan: int, mask: IntIterable, vread: float) -> NDArray[np.float32]:
        """Read some of a row or a column; the others are NaN."""
        return self._read_now(chan, channels_of(mask), vread)[list(opposite(chan))]

    def read_all(self, vread: float, order: BiasOrder) -> NDArray[np.float32]:
        """Read everything, slice by slice."""
        return np.array([self.read_slice(chan, vread) for chan in (WORDS if order is BiasOrder.Rows else BITS)])

    def read_slice_open(self, highs: IntIterable, ground_after: bool) -> NDArray[np.float32]:
        """Read currents of channels as they are."""
        key = self._read_open(highs, ground_after)
        self.execute()
        return self._board.fetch(key)

    def read_slice_open_deferred(self, highs: IntIterable, ground_after: bool) -> Self:
        """Read them when the program comes to it."""
        self._results.append(self._read_open(highs, ground_after))
        return self

    def vread_channels(self, chans: IntIterable, averaging: bool) -> list[float]:
        """Read voltages of channels."""
        del averaging
        chosen = sorted(channels_of(chans))
        key = self._key()
        self._put(("vread", key, tuple(chosen))).execute()
        return [float(volts) for volts in self._board.fetch(key)[chosen]]

    def vread_channels_deferred(self, chans: IntIterable, averaging: bool) -> Self:
        """Read them when the program comes to it."""
        del averaging
        self._results.append(self._key())
        return self._put(("vread", self._results[-1], channels_of(chans)))

    def pulseread_one(self, low: int, high: int, vpulse: float, nanos: int, vread: float) -> float:
        """Pulse, then read."""
        return self.pulse_one(low, high, vpulse, nanos).read_one(low, high, vread)

    def pulseread_slice(self, chan: int, vpulse: float, nanos: int, vread: float) -> NDArray[np.float32]:
        """Pulse a row or column, then read it."""
        return self.pulse_slice(chan, vpulse, nanos).read_slice(chan, vread)

    def pulseread_slice_masked(
        self, chan: int, mask: IntIterable, vpulse: float, nanos: int, vread: float
    ) -> NDArray[np.float32]:
        """Pulse some of it, then read those."""
        return self.pulse_slice_masked(chan, vpulse, nanos, mask).read_slice_masked(chan, mask, vread)

    def pulseread_all(self, vpulse: float, nanos: int, vread: float, order: BiasOrder) -> NDArray[np.float32]:
        """Pulse and read everything."""
        chans = WORDS if order is BiasOrder.Rows else BITS
        return np.array([self.pulseread_slice(chan, vpulse, nanos, vread) for chan in chans])

    def _key(self) -> int:
        self._keys += 1
        return self._keys

    def _slice(self, low: int, highs: Sequence[int], vread: float) -> int:
        key, driven = self._key(), {channel_of(low): -float(vread)} | dict.fromkeys(map(channel_of, highs), 0.0)
        self._put(("zero", ALL), ("set", tuple(driven.items()), ARB), ("arb", ALL), ("read", key, tuple(highs)))
        return key

    def _read_now(self, low: int, highs: Sequence[int], vread: float) -> NDArray[np.float32]:
        key = self._slice(low, highs, vread)
        self._put(("zero", ALL)).execute()
        return self._board.fetch(key)

    def _read_open(self, highs: IntIterable, ground_after: bool) -> int:
        key, chosen = self._key(), channels_of(highs)
        self._put(("arb", chosen), ("read", key, chosen))
        if ground_after:
            self._put(("zero", chosen))
        return key

    # --- long operations ----------------------------------------------------------------------

    def generate_ramp(
        self, low: int, high: int, vstart: float, vstep: float, vstop: float, pw_nanos: int, inter_nanos: int,
        num_pulses: int, read_at: ReadAt, read_after: ReadAfter,
    ) -> Self:  # fmt: skip
        """Queue a ramp of pulses with reads between."""
        if vstop < vstart and vstep >= 0.0:
            raise ArC2Error(f"ramp from {vstart} to {vstop} V by {vstep} V")
        steps = math.ceil((vstop - vstart) / vstep)
        level = vstart
        for index in range(steps):
            level = vstart + vstep * index
            for pulse in range(num_pulses):
                self._pulse(low, (high,), level, pw_nanos)
                if inter_nanos > 0:
                    self._put(("zero", (low, high)))
                last = pulse == num_pulses - 1
                if read_after is ReadAfter.Pulse or (read_after is ReadAfter.Block and last):
                    self._ramp_read(low, high, level, read_at)
                self.delay(inter_nanos)
            if not num_pulses and read_after is ReadAfter.Pulse:
                self._ramp_read(low, high, level, read_at)
        if read_after is ReadAfter.Ramp:
            self._ramp_read(low, high, level, read_at)
        return self

    def _ramp_read(self, low: int, high: int, level: float, read_at: ReadAt) -> None:
        if read_at.kind != "never":
            self._results.append(self._slice(low, (high,), read_at.voltage() if read_at.kind == "arb" else level))

    def generate_read_train(
        self, lows: IntIterable | None, highs: IntIterable, vread: float, nreads: int, inter_nanos: int, ground: bool
    ) -> Self:
        """Queue reads one after the other."""
        driven, chosen = () if lows is None else channels_of(lows), channels_of(highs)
        self._put(("arb", chosen))
        for _ in range(nreads):
            if driven:
                self._put(("set", tuple((channel, -float(vread)) for channel in driven), ARB))
            self._results.append(self._key())
            self._put(("read", self._results[-1], chosen))
            if ground:
                self._put(("zero", (*chosen, *driven)))
            if inter_nanos > 0:
                self.delay(inter_nanos + 1000)
        return self

    def generate_vread_train(self, chans: IntIterable, averaging: bool, npulses: int, inter_nanos: int) -> Self:
        """Queue reads of voltage one after the other."""
        for _ in range(npulses):
            self.vread_channels_deferred(chans, averaging).delay(inter_nanos)
        return self

    def read_train(
        self, low: int, high: int, vread: float, interpulse: int, preload: float | None, condition: WaitFor
    ) -> None:
        """Read until a condition holds."""
        if preload is not None:
            self.config_channels([(low, -preload)], None)
        spent = 0.0
        for turn in range(10_000):
            self._results.append(self._slice(low, (high,), vread))
            self._put(("zero", ALL)) if preload is None else self.config_channels([(low, -preload)], None)
            self.delay(interpulse).execute()
            spent += 1e-9 * interpulse + 1e-4
            if turn + 1 >= condition.iterations > 0 or spent >= condition.seconds > 0.0:
                break

    def pick_one(self, mode: DataMode, rtype: ReadType) -> NDArray[np.float32] | None:
        """Return the oldest result that nobody has picked."""
        del rtype
        if not self._results:
            return None
        told = self._board.fetch(self._results.popleft())
        return told if mode is DataMode.All else told[list(WORDS if mode is DataMode.Words else BITS)]

    def get_iter(self, mode: DataMode, rtype: ReadType | None = None) -> Iterator[list[NDArray[np.float32]]]:
        """Return the results that are there, one after the other."""
        while (told := self.pick_one(mode, rtype or ReadType.Current)) is not None:
            yield [told]

    def currents_from_address(self, addr: int, chans: IntIterable) -> NDArray[np.float32]:
        """Return what was read under an address, NaN for other channels."""
        told = self._board.fetch(addr)
        keep = np.isin(np.arange(CHANNELS), channels_of(chans))
        return np.where(keep, told, np.nan).astype(np.float32)

    def word_currents_from_address(self, addr: int) -> NDArray[np.float32]:
        """Return the words of it."""
        return self._board.fetch(addr)[list(WORDS)]

    def bit_currents_from_address(self, addr: int) -> NDArray[np.float32]:
        """Return the bits of it."""
        return self._board.fetch(addr)[list(BITS)]


__all__ = ["BITS", "WORDS", "Runs", "SimulatedInstrument"]
