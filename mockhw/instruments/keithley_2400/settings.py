"""Settings of a Keithley 2400 and their ``*RST`` defaults (User's Manual 2400S-900-01 Rev. K, section 18)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from ...probe_circuit.meter import Range
from .specs import AMPS, VOLTS

ELEMENTS: Final = ("VOLT", "CURR", "RES", "TIME", "STAT")
BUFFER_LENGTH: Final = 2500
LIST_LENGTH: Final = 2500


def _first_of_list() -> list[float]:
    return [0.0]


@dataclass(slots=True)
class SourceSettings:
    """What is kept for each source function; ``limit`` is of the other quantity."""

    on_range: Range
    limit: float
    level: float = 0.0
    autorange: bool = True
    mode: str = "FIX"
    start: float = 0.0
    stop: float = 0.0
    sweep_list: list[float] = field(default_factory=_first_of_list)


@dataclass(slots=True)
class SenseSettings:
    """What is kept for each measure function."""

    on_range: Range
    lower: Range
    autorange: bool = True


@dataclass(slots=True)
class Settings:
    """Everything ``*RST`` brings back."""

    source_function: str = "VOLT"
    source: dict[str, SourceSettings] = field(
        default_factory=lambda: {"VOLT": SourceSettings(VOLTS[2], 1.05e-4), "CURR": SourceSettings(AMPS[2], 21.0)}
    )
    sense: dict[str, SenseSettings] = field(
        default_factory=lambda: {"VOLT": SenseSettings(VOLTS[2], VOLTS[0]), "CURR": SenseSettings(AMPS[2], AMPS[0])}
    )
    functions: tuple[str, ...] = ("CURR",)
    concurrent: bool = True
    nplc: float = 1.0
    average_on: bool = False
    average_count: int = 10
    average_kind: str = "REP"
    autozero: bool = True
    delay: float = 0.0
    auto_delay: bool = True
    off_mode: str = "NORM"
    clear_auto: bool = False
    protection: float | None = None
    four_wire: bool = False
    terminals: str = "FRON"
    range_change: str = "SING"
    trigger_count: int = 1
    trigger_delay: float = 0.0
    arm_count: int = 1
    sweep_ranging: str = "BEST"
    sweep_points: int = LIST_LENGTH
    abort_at_limit: str = "NEV"
    elements: tuple[str, ...] = ELEMENTS

    @property
    def active_source(self) -> SourceSettings:
        """Settings of the selected source function."""
        return self.source[self.source_function]


@dataclass(slots=True)
class Trace:
    """The buffer of 2,500 readings and its settings, which ``*RST`` leaves alone."""

    points: int = 100
    feed: str = "SENS1"
    control: str = "NEV"
    stamp: str = "ABS"
