"""The buffer of calls that ``execute`` hands to a board as a program, and the calls that say what channels are."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .board import ARB, CHANNELS, SELECTORS, Op
from .kinds import (
    ArC2Error,
    AuxDACFn,
    ControlMode,
    IdleMode,
    IODir,
    LogicLevel,
    OutputRange,
)

if TYPE_CHECKING:
    IntIterable = Iterable[int] | NDArray[Any]

WORDS: tuple[int, ...] = (*range(16, 32), *range(48, 64))
"""Channels opposite to the rows 0–15 and 32–47."""
BITS: tuple[int, ...] = (*range(16), *range(32, 48))
ALL = tuple(range(CHANNELS))
CURRENT_SOURCE_VOLTS = 1.5
"""Most between CSET and CREF [V], by the vendor's library."""


class Runs(Protocol):
    """A board that runs programs: here, or in another process."""

    def run(self, program: Sequence[Op]) -> None:
        """Do everything in a program."""
        ...

    def fetch(self, key: int) -> NDArray[np.float32]:
        """Return what was read under ``key``."""
        ...

    def detach(self) -> None:
        """Let a client go."""
        ...


class ChannelCalls:
    """The calls of ``pyarc2.Instrument``; a library makes a class of it that knows its boards.

    Parameters
    ----------
    port : int
        Which board.
    firmware : str
        A path, as the library wants it; nothing is loaded here.
    init : bool
        Bring it to a known state.
    """

    _attach: Callable[[int], Runs]

    def __init__(self, port: int, firmware: str, init: bool = True) -> None:
        del firmware
        self._board = type(self)._attach(port)
        self._buffer: list[Op] = []
        self._results: deque[int] = deque()
        self._keys = 0
        if init:
            self._put(("range", ALL, 10.0), ("zero", ALL)).execute()

    def __del__(self) -> None:
        board = getattr(self, "_board", None)
        if board is not None:
            board.detach()

    # --- the buffer ---------------------------------------------------------------------------

    def _put(self, *operations: Op) -> Self:
        self._buffer += operations
        return self

    def execute(self) -> Self:
        """Run what was collected."""
        program, self._buffer = self._buffer, []
        if program:
            self._board.run(program)
        return self

    def busy(self) -> bool:
        """Return whether a program is still running."""
        return False

    def wait(self) -> None:
        """Wait for the end of the program."""

    def delay(self, nanos: int) -> Self:
        """Do nothing for a while."""
        return self._put(("delay", int(nanos)))

    # --- what channels are --------------------------------------------------------------------

    def config_channels(self, input: Iterable[tuple[int, float]], base: float | None = None) -> Self:
        """Drive channels; with ``base`` all others too."""
        chosen = {channel_of(channel): float(volts) for channel, volts in input}
        if base is not None:
            chosen = {channel: float(base) for channel in ALL} | chosen
        return self._put(("set", tuple(chosen.items()), ARB))

    def config_aux_channels(self, voltages: Iterable[tuple[AuxDACFn, float]]) -> Self:
        """Set auxiliary supplies; those not named go to 0 V, the logic level aside."""
        given = {which: float(volts) for which, volts in voltages}
        if (AuxDACFn.CSET in given) != (AuxDACFn.CREF in given) or (
            AuxDACFn.CSET in given and abs(given[AuxDACFn.CSET] - given[AuxDACFn.CREF]) > CURRENT_SOURCE_VOLTS
        ):
            raise ArC2Error("Invalid CREF/CSET combination")
        given.pop(AuxDACFn.LGC, None)
        return self._put(("supplies", tuple((which.value, volts) for which, volts in given.items())))

    def config_selectors(self, selectors: Iterable[int]) -> Self:
        """Switch these selectors to the supply SELH, and all others to SELL."""
        chosen = tuple(int(selector) for selector in selectors)
        beyond = [selector for selector in chosen if not 0 <= selector < SELECTORS]
        if beyond:
            raise ArC2Error(f"there is no selector {beyond[0]}")
        return self._put(("select", chosen))

    def open_channels(self, channels: Iterable[int]) -> Self:
        """Disconnect channels."""
        return self._put(("open", channels_of(channels)))

    def connect_to_gnd(self, chans: IntIterable) -> Self:
        """Tie these channels, and no other, to ground."""
        return self._put(("hard", ALL, False), ("hard", channels_of(chans), True))

    def gnd_add(self, chans: IntIterable) -> Self:
        """Tie channels to ground too."""
        return self._put(("hard", channels_of(chans), True))

    def gnd_remove(self, chans: IntIterable) -> Self:
        """Untie channels."""
        return self._put(("hard", channels_of(chans), False))

    def connect_to_ac_gnd(self, chans: IntIterable) -> Self:
        """Tie channels to ground for alternating currents: without effect here."""
        return self._put(("note", "ac", channels_of(chans)))

    def gnd_ac_add(self, chans: IntIterable) -> Self:
        """Tie channels to that ground too."""
        return self._put(("note", "ac+", channels_of(chans)))

    def gnd_ac_remove(self, chans: IntIterable) -> Self:
        """Untie channels from it."""
        return self._put(("note", "ac-", channels_of(chans)))

    def float_all(self) -> Self:
        """Disconnect everything."""
        return self._put(("hard", ALL, False), ("open", ALL))

    def ground_all(self) -> Self:
        """Drive everything at 0 V."""
        return self._put(("zero", ALL), ("arb", ALL))

    def ground_all_fast(self) -> Self:
        """Set converters to 0 V; channels stay what they are."""
        return self._put(("zero", ALL))

    def set_channel_range(self, chans: IntIterable, rng: OutputRange) -> Self:
        """Choose ±10 or ±20 V."""
        return self._put(("range", channels_of(chans), 20.0 if rng is OutputRange.EXT else 10.0))

    def set_control_mode(self, mode: ControlMode) -> Self:
        """Choose who controls the daughterboard."""
        return self._put(("note", "control", mode.value))

    def set_logic(
        self,
        mask: int,
        cl0: IODir | None = None,
        cl1: IODir | None = None,
        cl2: IODir | None = None,
        cl3: IODir | None = None,
    ) -> Self:
        """Drive digital lines."""
        return self._put(("note", "logic", mask, *(one and one.value for one in (cl0, cl1, cl2, cl3))))

    def set_logic_level(self, level: LogicLevel) -> Self:
        """Choose the level of digital lines."""
        return self._put(("note", "level", level.value))

    def finalise_operation(self, mode: IdleMode | None = None, control: ControlMode | None = None) -> None:
        """Leave the channels in a mode."""
        if mode is IdleMode.Float:
            self._put(("hard", ALL, False), ("zero", ALL)).float_all().execute()
        elif mode is IdleMode.SoftGnd:
            self._put(("hard", ALL, False)).ground_all().execute()
        elif mode is IdleMode.HardGnd:
            self._put(("zero", ALL)).float_all().connect_to_gnd(ALL).execute()
        elif mode is not None:
            raise ArC2Error("Invalid idle mode")
        if control is not None:
            self.set_control_mode(control)


def opposite(channel: int) -> tuple[int, ...]:
    """Return the channels on the other side."""
    return WORDS if channel_of(channel) in BITS else BITS


def channel_of(channel: int) -> int:
    """Return a channel that there is."""
    if not 0 <= int(channel) < CHANNELS:
        raise ArC2Error(f"there is no channel {channel}")
    return int(channel)


def channels_of(channels: IntIterable) -> tuple[int, ...]:
    """Return channels that there are."""
    if isinstance(channels, str | bytes) or not hasattr(channels, "__iter__"):
        raise TypeError("Invalid argument type, must be an iterable")
    return tuple(channel_of(int(channel)) for channel in channels)
