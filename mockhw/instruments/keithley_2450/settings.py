"""Settings of a Keithley 2450 and their defaults (Reference Manual 2450-901-01, section 6)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ...probe_circuit.meter import Range
from .specs import AMPS, OHMS, VOLTS

DEFAULT_CURRENT_LIMIT: Final = 1.05e-4
DEFAULT_VOLTAGE_LIMIT: Final = 21.0


def _user_delays() -> list[float]:
    return [0.0] * 5


@dataclass(slots=True)
class SourceSettings:
    """What is kept for each source function."""

    on_range: Range
    limit: float
    level: float = 0.0
    autorange: bool = True
    auto_delay: bool = True
    delay: float = 0.0
    user_delays: list[float] = field(default_factory=_user_delays)
    readback: bool = True
    high_capacitance: bool = False
    off_mode: str = "NORM"
    sweep_list: list[float] = field(default_factory=list[float])


@dataclass(frozen=True, slots=True)
class LimitSettings:
    """One limit test of a measure function (:CALCulate2)."""

    on: bool = False
    lower: float = -1.0
    upper: float = 1.0
    clears: bool = True
    audible: str = "NONE"


@dataclass(slots=True)
class SenseSettings:
    """What is kept for each measure function."""

    on_range: Range
    lower: Range
    upper: Range
    autorange: bool = True
    nplc: float = 1.0
    autozero: bool = True
    four_wire: bool = False
    user_delays: list[float] = field(default_factory=_user_delays)
    relative: float = 0.0
    relative_on: bool = False
    average_on: bool = False
    average_count: int = 10
    average_type: str = "REP"
    unit: str = ""
    """``OHM`` or ``WATT`` where readings are worked out from volts and amps; empty: the function's own."""
    offset_compensated: bool = False
    math_on: bool = False
    math_format: str = "PERC"
    math_slope: float = 1.0
    math_offset: float = 0.0
    math_percent: float = 1.0
    limits: tuple[LimitSettings, LimitSettings] = (LimitSettings(), LimitSettings())


@dataclass(slots=True)
class Settings:
    """Everything ``*RST`` brings back."""

    source_function: str = "VOLT"
    sense_function: str = "CURR"
    source: dict[str, SourceSettings] = field(
        default_factory=lambda: {
            "VOLT": SourceSettings(VOLTS[0], DEFAULT_CURRENT_LIMIT),
            "CURR": SourceSettings(AMPS[0], DEFAULT_VOLTAGE_LIMIT),
        }
    )
    sense: dict[str, SenseSettings] = field(
        default_factory=lambda: {
            "VOLT": SenseSettings(VOLTS[3], VOLTS[0], VOLTS[-1]),
            "CURR": SenseSettings(AMPS[4], AMPS[0], AMPS[-1]),
            "RES": SenseSettings(OHMS[4], OHMS[0], OHMS[-1]),
        }
    )
    protection: float | None = None
    count: int = 1
    terminals: str = "FRON"
    data_format: str = "ASC"
    byte_order: str = "SWAP"
    precision: int = 0
    light: str = "ON50"
    lines: int = 0
    """Levels of the digital lines that are outputs, as bits."""

    @property
    def active_source(self) -> SourceSettings:
        """Settings of the selected source function."""
        return self.source[self.source_function]

    @property
    def active_sense(self) -> SenseSettings:
        """Settings of the selected measure function."""
        return self.sense[self.sense_function]
