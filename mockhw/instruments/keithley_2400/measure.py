"""Commands of a Keithley 2400 that make readings, keep them and hand them out: READ, TRACe, FORMat, ARM, TRIGger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...scpi.arguments import Choice, Integer, Number
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, setting
from .cycles import begin
from .settings import BUFFER_LENGTH, ELEMENTS
from .source import kept, nothing
from .specs import scientific

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...scpi.device import Hold, Reply
    from .core import SourceMeterCore

_WORDS = ("VOLTage", "CURRent", "RESistance", "TIME", "STATus")


def measure_commands(smu: SourceMeterCore) -> list[Command]:
    """Return the commands that make and hand out readings."""
    return [*_readings(smu), *_trace(smu), *_format(smu), *_trigger(smu)]


def _readings(smu: SourceMeterCore) -> list[Command]:
    def told() -> Reply:
        if not smu.latest:
            raise ScpiError(-230, "no reading has been made")
        return ",".join(reading.written(smu.settings.elements) for reading in smu.latest)

    def read() -> Hold:
        return begin(smu, told)

    def initiate() -> None:
        begin(smu)

    return [
        Command("READ?", read),
        Command("FETCh?", told),
        Command("INITiate[:IMMediate]", initiate),
        Command("ABORt", smu.abort, aborts=lambda *_: True),
    ]


def _trace(smu: SourceMeterCore) -> list[Command]:
    def idle() -> None:
        if smu.trace.control == "NEXT":
            raise ScpiError(800, "Illegal with storage active")

    def data() -> Reply:
        if not smu.records:
            raise ScpiError(-230, "the buffer is empty")
        start = smu.records[0].time
        return ",".join(record.written(smu.settings.elements, start) for record in smu.records)

    def points(count: int) -> None:
        idle()
        smu.trace.points = count
        smu.records = []

    def clear() -> None:
        idle()
        smu.records = []

    def feed(word: str) -> None:
        idle()
        smu.trace.feed = word

    def control(word: str) -> None:
        if word == "NEXT":
            smu.records = []
        smu.trace.control = word

    size = Integer("points", low=1, high=BUFFER_LENGTH, default=100)
    return [
        Command("TRACe:DATA?", data),
        Command("TRACe:CLEar", clear),
        *setting("TRACe:POINts", size, lambda: str(smu.trace.points), points),
        Command("TRACe:POINts:ACTual?", lambda: str(len(smu.records))),
        Command("TRACe:FEED", feed, (Choice("source", ("SENSe", "SENSe1")),)),
        Command("TRACe:FEED?", lambda: smu.trace.feed),
        Command("TRACe:FEED:CONTrol", control, (Choice("control", ("NEXT", "NEVer")),)),
        Command("TRACe:FEED:CONTrol?", lambda: smu.trace.control),
    ]


def _format(smu: SourceMeterCore) -> list[Command]:
    def elements(*words: str) -> None:
        smu.settings.elements = tuple(one for one in ELEMENTS if one in words)

    def told() -> str:
        return ",".join(smu.settings.elements)

    root = "FORMat:ELEMents[:SENSe[1]]"
    return [
        Command(root, elements, (Choice("element", _WORDS),), repeat=len(ELEMENTS) - 1),
        Command(f"{root}?", told),
        Command("FORMat[:DATA]", nothing, (Choice("type", ("ASCii",)),)),
        Command("FORMat[:DATA]?", lambda: "ASC"),
    ]


def _trigger(smu: SourceMeterCore) -> list[Command]:
    def counted(name: str, other: str) -> Callable[[int], None]:
        def put(count: int) -> None:
            if count * getattr(smu.settings, other) > BUFFER_LENGTH:
                raise ScpiError(-221, f"arm times trigger count above {BUFFER_LENGTH}")
            setattr(smu.settings, name, count)

        return put

    count = Integer("count", low=1, high=BUFFER_LENGTH, default=1)
    seconds = Number("delay", low=0.0, high=999.9999, default=0.0)
    return [
        *setting(
            "TRIGger:COUNt", count, lambda: str(smu.settings.trigger_count), counted("trigger_count", "arm_count")
        ),
        *setting("ARM:COUNt", count, lambda: str(smu.settings.arm_count), counted("arm_count", "trigger_count")),
        *kept(smu, "TRIGger:DELay", seconds, "trigger_delay", scientific),
        Command("TRIGger:CLEar", lambda: None),
        Command("TRIGger:SOURce", nothing, (Choice("source", ("IMMediate",)),)),
        Command("ARM:SOURce", nothing, (Choice("source", ("IMMediate",)),)),
    ]  # fmt: skip
