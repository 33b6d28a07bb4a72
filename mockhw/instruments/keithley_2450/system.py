"""Commands of a Keithley 2450 that concern neither source nor converter: SYSTem, DISPlay, ROUTe, STATus, *LANG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from ...scpi.arguments import Choice, Integer, Number, Text
from ...scpi.tree import Command, number
from .buffer import when

if TYPE_CHECKING:
    from .core import SourceMeterCore
    from .events import EventLog
    from .trigger.model import TriggerModel

_SCREENS: Final = ("HOME", "READing_table", "GRAPh", "HISTogram", "SWIPE_USER", "PROCessing")


def system_commands(smu: SourceMeterCore, trigger: TriggerModel, log: EventLog) -> list[Command]:
    """Return the commands of the instrument as a whole."""
    own = Command("*TRG", lambda: trigger.post("COMM"))
    return [*_system(smu, log), own, *_display(smu), *_terminals(smu)]


def _system(smu: SourceMeterCore, log: EventLog) -> list[Command]:
    def clear_events() -> None:
        status = smu.session.status
        status.event = status.operation.event = status.questionable.event = 0

    def clear_log() -> None:
        smu.session.status.errors.clear()
        log.clear()

    beep = (Number("hertz", low=20.0, high=8000.0), Number("seconds", low=1e-3, high=100.0))
    return [
        Command("SYSTem:CLEar", clear_log),
        Command("SYSTem:ERRor:CODE[:NEXT]?", lambda: smu.session.status.errors.pop().partition(",")[0]),
        Command("SYSTem:LFRequency?", lambda: number(smu.line_hertz)),
        Command("SYSTem:BEEPer[:IMMediate]", lambda *_: None, beep),
        Command("SYSTem:TIME?", lambda: f"{when(smu.now).timestamp():.0f}"),
        Command("SYSTem:ACCess?", lambda: "FULL"),
        Command("STATus:CLEar", clear_events),
    ]  # fmt: skip


class Languages(Protocol):
    """Who speaks SCPI or TSP."""

    language: str

    def choose_language(self, language: str) -> None:
        """Speak another one from the next power-on."""
        ...


def language_commands(machine: Languages) -> list[Command]:
    """Return the commands of the language, which both languages have."""
    return [
        Command("*LANG", machine.choose_language, (Choice("language", ("SCPI", "TSP", "SCPI2400")),)),
        Command("*LANG?", lambda: machine.language),
    ]


def _display(smu: SourceMeterCore) -> list[Command]:
    def nothing(*_: object) -> None:
        return

    def light(word: str) -> None:
        smu.settings.light = word

    digits = (Integer("digits", low=3, high=6),)
    words = ("ON100", "ON75", "ON50", "ON25", "OFF", "BLACkout")
    return [
        Command("DISPlay:CLEar", nothing),
        Command("DISPlay:SCReen", nothing, (Choice("screen", _SCREENS),)),
        Command("DISPlay:USER#:TEXT[:DATA]", nothing, (Text("text"),)),
        Command("DISPlay:LIGHt:STATe", light, (Choice("state", words),)),
        Command("DISPlay:LIGHt:STATe?", lambda: smu.settings.light),
        Command("DISPlay:CURRent[:DC]:DIGits", nothing, digits),
        Command("DISPlay:VOLTage[:DC]:DIGits", nothing, digits),
        Command("DISPlay:RESistance:DIGits", nothing, digits),
    ]


def _terminals(smu: SourceMeterCore) -> list[Command]:
    def choose(word: str) -> None:
        if word != smu.settings.terminals:
            smu.set_output(on=False)  # the instrument switches its output off before it changes terminals
            smu.settings.terminals = word

    return [
        Command("ROUTe:TERMinals", choose, (Choice("terminals", ("FRONt", "REAR")),)),
        Command("ROUTe:TERMinals?", lambda: smu.settings.terminals),
    ]
