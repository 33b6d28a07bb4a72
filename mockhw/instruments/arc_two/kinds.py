"""The small types of ``pyarc2`` that its calls take: which data, which bias, when to read, how to end."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ArC2Error(Exception):
    """What the library raises."""


class BiasOrder(Enum):
    """Which lines are biased."""

    Rows = "rows"
    Cols = "cols"


class ControlMode(Enum):
    """Who controls the daughterboard."""

    Header = "header"
    Internal = "internal"


class DataMode(Enum):
    """Which channels' values are picked."""

    Words = "words"
    Bits = "bits"
    All = "all"


class ReadType(Enum):
    """What a slab of data is decoded to."""

    Current = "current"
    Voltage = "voltage"


class AuxDACFn(Enum):
    """Functions of the auxiliary converters."""

    SELL = "SELL"
    SELH = "SELH"
    ARB1 = "ARB1"
    ARB2 = "ARB2"
    ARB3 = "ARB3"
    ARB4 = "ARB4"
    CREF = "CREF"
    CSET = "CSET"
    LGC = "LGC"


class LogicLevel(Enum):
    """Level of the digital lines."""

    LL1V8 = "1.8 V"
    LL3V3 = "3.3 V"
    LL5V = "5 V"


class OutputRange(Enum):
    """Range of a channel."""

    STD = "10 V"
    EXT = "20 V"


class IODir(Enum):
    """Direction of a cluster of digital lines."""

    IN = "in"
    OUT = "out"


class IdleMode(Enum):
    """How channels are left."""

    Float = 0b01
    SoftGnd = 0b10
    HardGnd = 0b11


@dataclass
class ArC2Config:
    """Idle and control mode together."""

    idleMode: IdleMode  # noqa: N815 - the library's name
    controlMode: ControlMode  # noqa: N815 - the library's name


class ReadAt:
    """At which voltage a ramp reads: at its bias, never, or at one of its own."""

    Bias: ReadAt
    Never: ReadAt

    def __init__(self, kind: str = "bias", volts: float = 0.0) -> None:
        self._kind, self._volts = kind, volts

    @staticmethod
    def Arb(voltage: float) -> ReadAt:  # noqa: N802 - the library's name
        """Read at ``voltage`` [V]."""
        return ReadAt("arb", voltage)

    def voltage(self) -> float:
        """Return the voltage [V] of an arbitrary read."""
        return self._volts

    @property
    def kind(self) -> str:
        """``bias``, ``never`` or ``arb``."""
        return self._kind


ReadAt.Bias = ReadAt("bias")
ReadAt.Never = ReadAt("never")


class ReadAfter(Enum):
    """After what a ramp reads."""

    Pulse = "pulse"
    Block = "block"
    Ramp = "ramp"
    Never = "never"

    @staticmethod
    def from_str(r: str) -> ReadAfter:
        """Return the one of this name."""
        return ReadAfter(r.lower())


class WaitFor:
    """When a read train ends."""

    def __init__(self, iterations: int = 0, seconds: float = 0.0) -> None:
        self.iterations, self.seconds = iterations, seconds

    @staticmethod
    def Iterations(iterations: int) -> WaitFor:  # noqa: N802 - the library's name
        """After so many reads."""
        return WaitFor(iterations=iterations)

    @staticmethod
    def Millis(millis: int) -> WaitFor:  # noqa: N802 - the library's name
        """After so many milliseconds."""
        return WaitFor(seconds=1e-3 * millis)

    @staticmethod
    def Nanos(nanos: int) -> WaitFor:  # noqa: N802 - the library's name
        """After so many nanoseconds."""
        return WaitFor(seconds=1e-9 * nanos)
