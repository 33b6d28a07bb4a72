"""Numbers of the library's header that its functions take and return."""

from __future__ import annotations

from typing import Final

NO_ERROR: Final = 0
OUT_OF_RANGE: Final = -1
ILLEGAL_STRING: Final = -2
CONTEXT: Final = -3
NOT_SUPPORTED: Final = -4
COMMUNICATION: Final = -5
FIRMWARE: Final = -6
NO_CHANNEL: Final = -9
NO_PATTERN: Final = -10
NO_EVENT: Final = -11
PATTERN_EXISTS: Final = -12
NOT_RUNNING: Final = -13
NOT_READY: Final = -14

MODE_DC, MODE_FASTIV, MODE_PG, MODE_SMU = 2000, 2001, 2002, 2003
FORCE_AUTO, FORCE_3V, FORCE_5V, FORCE_10V_NEGATIVE, FORCE_10V_POSITIVE = 3000, 3001, 3002, 3003, 3004
MEASURE_VOLTAGE, MEASURE_CURRENT = 4000, 4001
VOLTS_5, VOLTS_10 = 5001, 5002
AMPS_FIRST, AMPS_LAST = 6001, 6005
"""1 µA, each next ten times as much."""
MEASURE_OFF, MEASURE_ON = 7000, 7001
AXIS_TIME, AXIS_VOLTAGE = 9000, 9001
COMPLETED, DONE, RUNNING, ABORT_COMPLETED, ABORTED, RUNNING_ILLEGAL, IDLE = range(10_000, 10_007)
EVENT_OPEN, EVENT_COMPLETED = 11_000, 11_001
AVERAGED, RAW = 12_000, 12_001

FORCE_LIMITS: Final = {
    FORCE_AUTO: (-10.0, 10.0),
    FORCE_3V: (-3.0, 3.0),
    FORCE_5V: (-5.0, 5.0),
    FORCE_10V_NEGATIVE: (-10.0, 0.0),
    FORCE_10V_POSITIVE: (0.0, 10.0),
}
GRID: Final = 1e-8
VECTOR_MAX: Final = 10995.11627775
INTERVAL_MIN, INTERVAL_MAX = 1e-8, 1.34217728
AVERAGE_MAX: Final = 0.020971512
RAW_SECONDS: Final = 5e-9
LOOPS_MAX: Final = 1e12
SIZE_MAX: Final = 2048
"""Vectors of a pattern; from memory."""


class WgfmuError(Exception):
    """What makes a function return another number than 0."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code = code


def on_grid(seconds: float) -> float:
    """Return a time on the grid of 10 ns [s]."""
    return round(round(seconds / GRID) * GRID, 9)
