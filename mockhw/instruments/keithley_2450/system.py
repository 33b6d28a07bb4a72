"""Commands of a Keithley 2450 that concern neither source nor converter: SYSTem, DISPlay, ROUTe, STATus, *LANG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...scpi.arguments import Choice, Integer, Number, Text
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .buffer import when

if TYPE_CHECKING:
    from .core import SourceMeterCore
    from .events import EventLog
    from .trigger.model import TriggerModel

_SCREENS: Final = ("HOME", "READing_table", "GRAPh", "HISTogram", "SWIPE_USER", "PROCessing")


def system_commands(smu: SourceMeterCore, trigger: TriggerModel, log: EventLog) -> list[Command]:
    """Return the commands of the instrument as a whole."""
    return [*_system(smu, log), *_language(trigger), *_display(smu), *_terminals(smu)]


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


def _language(trigger: TriggerModel) -> list[Command]:
    def choose(language: str) -> None:
        if language != "SCPI":
            raise ScpiError(-241, f"the simulator speaks SCPI only, not {language}")

    return [
        Command("*LANG", choose, (Choice("language", ("SCPI", "TSP", "SCPI2400")),)),
        Command("*LANG?", lambda: "SCPI"),
        Command("*TRG", lambda: trigger.post("COMM")),
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
