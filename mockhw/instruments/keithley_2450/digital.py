"""The digital lines of a Keithley 2450: nothing is connected to them, so inputs are high and no edge comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...scpi.arguments import Choice, Integer, Number, Parameter
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .trigger.commands import Event

if TYPE_CHECKING:
    from collections.abc import Callable

    from .core import SourceMeterCore

_LINES: Final = 6
_ALL: Final = (1 << _LINES) - 1


@dataclass(slots=True)
class Line:
    """What one line is set to."""

    kind: str = "DIG"
    direction: str = "IN"
    edge: str = "FALL"
    logic: str = "NEG"
    width: float = 10e-6
    stimulus: str = "NONE"


class DigitalLines:
    """Six lines."""

    def __init__(self, smu: SourceMeterCore) -> None:
        self._smu = smu
        self._lines = [Line() for _ in range(_LINES)]

    def reset(self) -> None:
        """Be as after ``*RST``."""
        self._lines = [Line() for _ in range(_LINES)]

    def _line(self, which: int) -> Line:
        if not 1 <= which <= _LINES:
            raise ScpiError(-114, f"digital line {which}; there are 1 to {_LINES}")
        return self._lines[which - 1]

    def commands(self) -> list[Command]:
        """Return the commands of the lines."""

        def mode(which: int, kind: str, direction: str) -> None:
            line = self._line(which)
            line.kind, line.direction = kind, direction

        def told_mode(which: int) -> str:
            line = self._line(which)
            return f"{line.kind},{line.direction}"

        def put_state(which: int, state: int) -> None:
            if self._line(which).direction == "IN":
                raise ScpiError(-221, f"digital line {which} is an input")
            bit = 1 << (which - 1)
            now = self._smu.settings
            now.lines = (now.lines | bit) if state else (now.lines & ~bit)

        def state(which: int) -> str:
            line = self._line(which)
            driven = bool(self._smu.settings.lines & (1 << (which - 1)))
            return str(int(driven or line.direction == "IN"))

        def read() -> str:
            return str(sum(int(state(which)) << (which - 1) for which in range(1, _LINES + 1)))

        def write(value: int) -> None:
            self._smu.settings.lines = value

        def clear(which: int) -> None:
            self._line(which)

        def overrun(which: int) -> str:
            self._line(which)
            return "0"  # no edge has come

        return [
            Command(
                "DIGital:LINE#:MODE",
                mode,
                (
                    Choice("type", ("DIGital", "TRIGger", "SYNChronous")),
                    Choice("direction", ("IN", "OUT", "OPENdrain", "MASTer", "ACCeptor")),
                ),
            ),
            Command("DIGital:LINE#:MODE?", told_mode),
            Command("DIGital:LINE#:STATe", put_state, (Integer("state", low=0, high=1),)),
            Command("DIGital:LINE#:STATe?", state),
            Command("DIGital:READ?", read),
            Command("DIGital:WRITe", write, (Integer("lines", low=0, high=_ALL),)),
            Command("TRIGger:DIGital#:IN:CLEar", clear),
            Command("TRIGger:DIGital#:IN:OVERrun?", overrun),
            *self._kept("IN:EDGE", "edge", Choice("edge", ("FALLing", "RISing", "EITHer")), str),
            *self._kept("OUT:LOGic", "logic", Choice("logic", ("POSitive", "NEGative")), str),
            *self._kept("OUT:PULSewidth", "width", Number("width", "S", 0.0, 1e5), number),
            *self._kept("OUT:STIMulus", "stimulus", Event("stimulus"), str),
        ]

    def _kept(self, node: str, name: str, parameter: Parameter, show: Callable[..., str]) -> list[Command]:
        def put(which: int, value: Any) -> None:
            setattr(self._line(which), name, value)

        def get(which: int) -> str:
            return show(getattr(self._line(which), name))

        root = f"TRIGger:DIGital#:{node}"
        return [Command(root, put, (parameter,)), Command(f"{root}?", get)]
