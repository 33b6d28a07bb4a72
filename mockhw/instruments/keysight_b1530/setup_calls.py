"""The functions that compose patterns and sequences, and those that say what was composed; nothing runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar

from .codes import (
    AXIS_TIME,
    AXIS_VOLTAGE,
    ILLEGAL_STRING,
    NO_ERROR,
    OUT_OF_RANGE,
    WgfmuError,
)
from .patterns import Setup, timeline

_Given = ParamSpec("_Given")
_Library = TypeVar("_Library", bound="SetupCalls")
Pointer = Any
"""A ``ctypes`` pointer or array: what is at its index is read and set."""


def returns_code(
    call: Callable[Concatenate[_Library, _Given], None],
) -> Callable[Concatenate[_Library, _Given], int]:
    """Return 0 from a function, or the number of what went wrong, whose text is kept."""

    @wraps(call)
    def coded(self: _Library, /, *given: _Given.args, **named: _Given.kwargs) -> int:
        try:
            call(self, *given, **named)
        except WgfmuError as error:
            self.keep(f"{call.__name__}: {error}")
            return error.code
        return NO_ERROR

    return coded


def text_of(name: bytes | str) -> str:
    """Return a name as the library gets it."""
    if isinstance(name, str):
        raise WgfmuError(ILLEGAL_STRING, "a name is bytes")
    return bytes(name).decode("latin-1")


class SetupCalls:
    """Patterns, events, sequences, and errors."""

    def __init__(self) -> None:
        self.setup = Setup()
        self.errors: list[str] = []
        self._unread: list[str] = []

    def keep(self, text: str) -> None:
        """Keep the text of an error."""
        self.errors.append(text)
        self._unread.append(text)

    # --- errors -------------------------------------------------------------------------------

    @returns_code
    def WGFMU_getErrorSize(self, size: Pointer) -> None:
        """Tell the length of the oldest error's text."""
        size[0] = len(self._unread[0]) if self._unread else 0

    @returns_code
    def WGFMU_getError(self, error: Pointer, size: Pointer) -> None:
        """Tell the oldest error that was not read."""
        _fill(error, size, self._unread.pop(0) if self._unread else "")

    @returns_code
    def WGFMU_getErrorSummarySize(self, size: Pointer) -> None:
        """Tell the length of all errors since ``clear``."""
        size[0] = len("\n".join(self.errors))

    @returns_code
    def WGFMU_getErrorSummary(self, summary: Pointer, size: Pointer) -> None:
        """Tell all errors since ``clear``."""
        _fill(summary, size, "\n".join(self.errors))

    # --- patterns -----------------------------------------------------------------------------

    @returns_code
    def WGFMU_clear(self) -> None:
        """Forget patterns, sequences and errors."""
        self.setup, self.errors, self._unread = Setup(), [], []

    @returns_code
    def WGFMU_createPattern(self, pattern_name: bytes, initial_voltage: float) -> None:
        """Begin a pattern."""
        self.setup.create(text_of(pattern_name), [0.0], [initial_voltage])

    @returns_code
    def WGFMU_addVector(self, pattern_name: bytes, delta_time: float, voltage: float) -> None:
        """Put a corner behind the last."""
        self.setup.add(text_of(pattern_name), delta_time, voltage)

    @returns_code
    def WGFMU_addVectors(
        self, pattern_name: bytes, delta_times: Sequence[float], voltages: Sequence[float], size: int
    ) -> None:
        """Put corners behind the last."""
        for at in range(size):
            self.setup.add(text_of(pattern_name), delta_times[at], voltages[at])

    @returns_code
    def WGFMU_setVector(self, pattern_name: bytes, time: float, voltage: float) -> None:
        """Put a corner at a time."""
        self.setup.put(text_of(pattern_name), time, voltage)

    @returns_code
    def WGFMU_setVectors(
        self, pattern_name: bytes, times: Sequence[float], voltages: Sequence[float], size: int
    ) -> None:
        """Put corners at times."""
        for at in range(size):
            self.setup.put(text_of(pattern_name), times[at], voltages[at])

    @returns_code
    def WGFMU_createMergedPattern(self, pattern_name: bytes, pattern1: bytes, pattern2: bytes, axis: int) -> None:
        """Make a pattern of two: one behind the other, or their sum."""
        first, second = (self.setup.pattern(text_of(one)) for one in (pattern1, pattern2))
        if axis == AXIS_TIME:
            times = first.times + [first.seconds + each for each in second.times[1:]]
            volts = first.volts + second.volts[1:]
        elif axis == AXIS_VOLTAGE:
            times = sorted({*first.times, *second.times})
            volts = [first.at(each) + second.at(each) for each in times]
        else:
            raise WgfmuError(OUT_OF_RANGE, f"axis {axis}")
        self.setup.create(text_of(pattern_name), times, volts)

    @returns_code
    def WGFMU_createMultipliedPattern(
        self, pattern_name: bytes, pattern1: bytes, time_factor: float, voltage_factor: float
    ) -> None:
        """Make a pattern stretched in time and volts."""
        first = self.setup.pattern(text_of(pattern1))
        if not time_factor > 0.0:
            raise WgfmuError(OUT_OF_RANGE, f"a factor of {time_factor:g} in time")
        times = [time_factor * each for each in first.times]
        self.setup.create(text_of(pattern_name), times, [voltage_factor * each for each in first.volts])

    @returns_code
    def WGFMU_createOffsetPattern(
        self, pattern_name: bytes, pattern1: bytes, time_offset: float, voltage_offset: float
    ) -> None:
        """Make a pattern moved in time and volts."""
        first = self.setup.pattern(text_of(pattern1))
        if not time_offset >= 0.0:
            raise WgfmuError(OUT_OF_RANGE, f"an offset of {time_offset:g} s")
        lead = [0.0] if time_offset else []
        times = lead + [time_offset + each for each in first.times]
        volts = [first.volts[0] + voltage_offset] * len(lead) + [each + voltage_offset for each in first.volts]
        self.setup.create(text_of(pattern_name), times, volts)

    @returns_code
    def WGFMU_setMeasureEvent(
        self,
        pattern_name: bytes,
        event_name: bytes,
        time: float,
        measurement_points: int,
        measurement_interval: float,
        averaging_time: float,
        raw_data: int,
    ) -> None:
        """Put a measurement into a pattern."""
        self.setup.measure(
            text_of(pattern_name), text_of(event_name), time, measurement_points, measurement_interval,
            averaging_time, raw_data,
        )  # fmt: skip

    @returns_code
    def WGFMU_setRangeEvent(self, pattern_name: bytes, event_name: bytes, time: float, range_index: int) -> None:
        """Put a change of the current range into a pattern."""
        self.setup.change_range(text_of(pattern_name), text_of(event_name), time, range_index)

    @returns_code
    def WGFMU_setTriggerOutEvent(self, pattern_name: bytes, event_name: bytes, time: float, duration: float) -> None:
        """Take a trigger: nothing here listens to it."""
        pattern = self.setup.pattern(text_of(pattern_name))
        if not (0.0 <= time <= pattern.seconds and duration >= 0.0):
            raise WgfmuError(OUT_OF_RANGE, f"trigger {text_of(event_name)!r} at {time:g} s")

    @returns_code
    def WGFMU_addSequence(self, channel_id: int, pattern_name: bytes, loop_count: float) -> None:
        """Put a pattern behind the sequence of a channel."""
        self.setup.follow(self.known(channel_id), text_of(pattern_name), loop_count)

    @returns_code
    def WGFMU_addSequences(
        self, channel_id: int, pattern_names: Sequence[bytes], loop_counts: Sequence[float], size: int
    ) -> None:
        """Put patterns behind the sequence of a channel."""
        for at in range(size):
            self.setup.follow(self.known(channel_id), text_of(pattern_names[at]), loop_counts[at])

    def known(self, channel_id: int) -> int:
        """Return a channel id that can be one; which there are is known only in a session."""
        return channel_id

    # --- what was composed --------------------------------------------------------------------

    @returns_code
    def WGFMU_getPatternForceValueSize(self, pattern_name: bytes, size: Pointer) -> None:
        """Tell how many corners a pattern has."""
        size[0] = len(self.setup.pattern(text_of(pattern_name)).times)

    @returns_code
    def WGFMU_getPatternForceValue(
        self, pattern_name: bytes, index: int, force_time: Pointer, force_value: Pointer
    ) -> None:
        """Tell a corner of a pattern."""
        pattern = self.setup.pattern(text_of(pattern_name))
        if not 0 <= index < len(pattern.times):
            raise WgfmuError(OUT_OF_RANGE, f"corner {index}")
        force_time[0], force_value[0] = pattern.times[index], pattern.volts[index]

    @returns_code
    def WGFMU_getPatternInterpolatedForceValue(self, pattern_name: bytes, time: float, force_value: Pointer) -> None:
        """Tell the level of a pattern at a time."""
        force_value[0] = self.setup.pattern(text_of(pattern_name)).at(time)

    @returns_code
    def WGFMU_getMeasureTimeSize(self, channel_id: int, size: Pointer) -> None:
        """Tell how many values a channel's sequence makes."""
        sequence = self.setup.sequences.get(self.known(channel_id))
        size[0] = len(timeline(sequence).windows) if sequence else 0

    @returns_code
    def WGFMU_getInterpolatedForceValue(self, channel_id: int, time: float, force_value: Pointer) -> None:
        """Tell the level of a channel's sequence at a time."""
        sequence = self.setup.sequences.get(self.known(channel_id))
        if not sequence:
            raise WgfmuError(OUT_OF_RANGE, f"channel {channel_id} has no sequence")
        for pattern, loops in sequence:
            if time <= pattern.seconds * loops:
                force_value[0] = pattern.at(time % pattern.seconds if time else 0.0)
                return
            time -= pattern.seconds * loops
        force_value[0] = sequence[-1].pattern.volts[-1]


def _fill(text: Pointer, size: Pointer, said: str) -> None:
    data = said.encode("latin-1", "replace")[: int(size[0])]
    for at, byte in enumerate(data):
        text[at] = bytes([byte])
    if len(data) < int(size[0]):
        text[len(data)] = b"\0"
    size[0] = len(data)
