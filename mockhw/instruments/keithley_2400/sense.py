"""Commands of a Keithley 2400 that set its converter: SENSe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from ...scpi.arguments import Boolean, Choice, Integer, Number, Quoted, Token
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, setting
from .settings import SenseSettings
from .source import WORDS, flag, kept, nothing
from .specs import RANGES, range_for, scientific

if TYPE_CHECKING:
    from .core import SourceMeterCore

_ROOT: Final = "[:SENSe[1]]"
_NAMES: Final = {"VOLT": '"VOLT:DC"', "CURR": '"CURR:DC"', "RES": '"RES"'}
_FUNCTIONS: Final = {
    "CURR": "CURR", "CURRENT": "CURR", "CURR:DC": "CURR", "CURRENT:DC": "CURR", "VOLT": "VOLT", "VOLTAGE": "VOLT",
    "VOLT:DC": "VOLT", "VOLTAGE:DC": "VOLT", "RES": "RES", "RESISTANCE": "RES",
}  # fmt: skip
_LOWER_MAX: Final = {"VOLT": 21.0, "CURR": 1.05e-4}
_LEAST: Final = 1e-3  # manual, page 18-68: of the present measurement range


@dataclass(frozen=True)
class MeasureFunction:
    """A measure function in quotes: ``"CURR"``, ``"VOLTage:DC"``, ``"RES"``."""

    name: str = "function"
    optional: bool = False

    def convert(self, token: Token) -> str:
        """Return ``CURR``, ``VOLT`` or ``RES``."""
        if not isinstance(token, Quoted):
            raise ScpiError(-104, f"{self.name} is a name in quotes")
        found = _FUNCTIONS.get(token.text.strip().upper())
        if found is None:
            raise ScpiError(-224, f"{self.name} {token.text} is none of CURR, VOLT, RES")
        return found


def sense_commands(smu: SourceMeterCore) -> list[Command]:
    """Return the commands of the converter."""
    table = [*_functions(smu), *_filter(smu)]
    for function in WORDS:
        table += [*_range(smu, function), *_protection(smu, function), *_cycles(smu, f"{WORDS[function]}[:DC]")]
    return [*table, *_cycles(smu, "RESistance")]


def _functions(smu: SourceMeterCore) -> list[Command]:
    def select(*functions: str) -> None:
        if not smu.settings.concurrent:
            smu.settings.functions = functions[-1:]
            return
        wanted = {*smu.settings.functions, *functions}
        smu.settings.functions = tuple(one for one in _NAMES if one in wanted)

    def deselect(*functions: str) -> None:
        smu.settings.functions = tuple(one for one in smu.settings.functions if one not in functions)

    def concurrent(on: bool) -> None:
        smu.settings.concurrent = on
        if not on:
            smu.settings.functions = ("CURR",) if smu.settings.source_function == "VOLT" else ("VOLT",)

    def selected() -> str:
        return ",".join(_NAMES[one] for one in smu.settings.functions) or '""'

    names = (MeasureFunction(),)
    return [
        Command(f"{_ROOT}:FUNCtion[:ON]", select, names, repeat=2),
        Command(f"{_ROOT}:FUNCtion[:ON]?", selected),
        Command(f"{_ROOT}:FUNCtion[:ON]:ALL", lambda: select(*_NAMES)),
        Command(f"{_ROOT}:FUNCtion:OFF", deselect, names, repeat=2),
        Command(f"{_ROOT}:FUNCtion:OFF:ALL", lambda: deselect(*_NAMES)),
        Command(f"{_ROOT}:FUNCtion:CONCurrent", concurrent, (Boolean("state"),)),
        Command(f"{_ROOT}:FUNCtion:CONCurrent?", lambda: flag(smu.settings.concurrent)),
    ]


def _filter(smu: SourceMeterCore) -> list[Command]:
    root = f"{_ROOT}:AVERage"
    return [
        *kept(smu, f"{root}[:STATe]", Boolean("state"), "average_on", flag),
        *kept(smu, f"{root}:COUNt", Integer("count", low=1, high=100, default=10), "average_count", str),
        *kept(smu, f"{root}:TCONtrol", Choice("type", ("REPeat", "MOVing")), "average_kind", str),
    ]


def _cycles(smu: SourceMeterCore, words: str) -> list[Command]:
    def put(cycles: float) -> None:
        smu.settings.nplc = cycles  # one speed for all functions

    cycles = Number("cycles", low=0.01, high=10.0, default=1.0)
    return [*setting(f"{_ROOT}:{words}:NPLCycles", cycles, lambda: scientific(smu.settings.nplc), put)]


def _range(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"{_ROOT}:{WORDS[function]}[:DC]:RANGe"
    top = RANGES[function][-1].top

    def mine() -> SenseSettings:
        return smu.settings.sense[function]

    def sourced() -> bool:
        return function == smu.settings.source_function

    def get() -> str:
        return scientific((smu.settings.source[function] if sourced() else mine()).on_range.top)

    def put(value: float) -> None:
        wanted = range_for(function, value)
        if sourced():
            raise ScpiError(-221, f"{function} is sourced: its source range is its measurement range")
        if wanted.full_scale > range_for(function, smu.settings.active_source.limit).full_scale:
            raise ScpiError(824, "Cannot exceed compliance range")
        mine().on_range, mine().autorange = wanted, False
        smu.drive(smu.now)

    def auto(on: bool) -> None:
        mine().autorange = on
        smu.drive(smu.now)

    def lower(value: float) -> None:
        mine().lower = range_for(function, value)

    def upper() -> str:
        other = "CURR" if function == "VOLT" else "VOLT"
        return scientific(range_for(function, smu.settings.source[other].limit).top)

    lowest = Number("limit", low=-_LOWER_MAX[function], high=_LOWER_MAX[function])
    return [
        *setting(f"{root}[:UPPer]", Number("range", low=-top, high=top), get, put),
        Command(f"{root}:AUTO", auto, (Boolean("state"),)),
        Command(f"{root}:AUTO?", lambda: flag(mine().autorange)),
        *setting(f"{root}:AUTO:LLIMit", lowest, lambda: scientific(mine().lower.top), lower),
        Command(f"{root}:AUTO:ULIMit?", upper),
    ]


def _protection(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"{_ROOT}:{WORDS[function]}[:DC]:PROTection"
    other = "CURR" if function == "VOLT" else "VOLT"
    top = RANGES[function][-1].top

    def put(value: float) -> None:
        limit, sense = abs(value), smu.settings.sense[function]
        if limit < _LEAST * sense.on_range.full_scale * (1.0 - 1e-9):
            raise ScpiError(822, "Too small for sense range")
        smu.settings.source[other].limit = limit
        if sense.autorange:
            sense.on_range = min(sense.on_range, range_for(function, limit), key=lambda each: each.full_scale)
        smu.drive(smu.now)

    def tripped() -> str:
        return flag(other == smu.settings.source_function and smu.tripped())

    limit = Number("limit", low=-top, high=top, default=1.05e-4 if function == "CURR" else 21.0)
    return [
        *setting(f"{root}[:LEVel]", limit, lambda: scientific(smu.settings.source[other].limit), put),
        Command(f"{root}:TRIPped?", tripped),
        Command(f"{root}:RSYNchronize", nothing, (Boolean("state"),)),
    ]
