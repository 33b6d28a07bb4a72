"""Commands of a Keithley 2450 that set its converter: SENSe."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...scpi.arguments import Boolean, Choice, Integer, Number
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number, setting
from .arguments import MeasureFunction
from .settings import SenseSettings
from .source import fit_limit, user_delay
from .specs import RANGES, range_for

if TYPE_CHECKING:
    from .core import SourceMeterCore

_WORDS: Final = {"CURR": "CURRent[:DC]", "VOLT": "VOLTage[:DC]", "RES": "RESistance"}
_NAMES: Final = {"CURR": '"CURR:DC"', "VOLT": '"VOLT:DC"', "RES": '"RES"'}
_DEFAULT_RANGES: Final = {"CURR": 1e-4, "VOLT": 20.0, "RES": 2e5}
_ROOT: Final = "[:SENSe[1]]"
_LARGEST_COUNT: Final = 300_000


def sense_commands(smu: SourceMeterCore) -> list[Command]:
    """Return the commands of the converter."""
    table = _common(smu)
    for function in _WORDS:
        table += [*_range(smu, function), *_speed(smu, function), *_filter(smu, function), *_wires(smu, function)]
    return table


def _common(smu: SourceMeterCore) -> list[Command]:
    def select(function: str) -> None:
        smu.settings.sense_function = function

    def count(value: int) -> None:
        smu.settings.count = value

    return [
        Command(f"{_ROOT}:FUNCtion[:ON]", select, (MeasureFunction(),)),
        Command(f"{_ROOT}:FUNCtion[:ON]?", lambda: _NAMES[smu.settings.sense_function]),
        *setting(
            f"{_ROOT}:COUNt",
            Integer("count", low=1, high=_LARGEST_COUNT, default=1),
            lambda: str(smu.settings.count),
            count,
        ),
        Command(f"{_ROOT}:AZERo:ONCE", lambda: None),
    ]


def _range(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"{_ROOT}:{_WORDS[function]}:RANGe"
    ranges = RANGES[function]

    def kept() -> SenseSettings:
        return smu.settings.sense[function]

    def get() -> str:
        same = function == smu.settings.source_function
        return number((smu.settings.source[function] if same else kept()).on_range.full_scale)

    def put(value: float) -> None:
        kept().on_range, kept().autorange = range_for(function, value), False
        fit_limit(smu)
        smu.drive(smu.now)

    def auto(on: bool) -> None:
        kept().autorange = on

    def lower(value: float) -> None:
        wanted = range_for(function, value)
        if wanted.full_scale > kept().upper.full_scale:
            raise ScpiError(-221, f"lower limit {wanted.full_scale:g} above the upper {kept().upper.full_scale:g}")
        kept().lower = wanted

    def upper(value: float) -> None:
        wanted = range_for(function, value)
        if wanted.full_scale < kept().lower.full_scale:
            raise ScpiError(-221, f"upper limit {wanted.full_scale:g} below the lower {kept().lower.full_scale:g}")
        kept().upper = wanted

    low, high = ranges[0].full_scale, ranges[-1].full_scale
    table = [
        *setting(f"{root}[:UPPer]", Number("range", low=low, high=high, default=_DEFAULT_RANGES[function]), get, put),
        Command(f"{root}:AUTO", auto, (Boolean("state"),)),
        Command(f"{root}:AUTO?", lambda: str(int(kept().autorange))),
        *setting(
            f"{root}:AUTO:LLIMit",
            Number("limit", low=low, high=high, default=low),
            lambda: number(kept().lower.full_scale),
            lower,
        ),
        Command(f"{root}:AUTO:ULIMit?", lambda: number(kept().upper.full_scale)),
    ]
    if function == "RES":
        table.append(Command(f"{root}:AUTO:ULIMit", upper, (Number("limit", low=low, high=high, default=high),)))
    return table


def _speed(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"{_ROOT}:{_WORDS[function]}"

    def kept() -> SenseSettings:
        return smu.settings.sense[function]

    def put(cycles: float) -> None:
        kept().nplc = cycles

    def zero(on: bool) -> None:
        kept().autozero = on

    def put_user(which: int, seconds: float) -> None:
        kept().user_delays[user_delay(which)] = seconds

    def get_user(which: int) -> str:
        return number(kept().user_delays[user_delay(which)])

    return [
        *setting(
            f"{root}:NPLCycles", Number("cycles", low=0.01, high=10.0, default=1.0), lambda: number(kept().nplc), put
        ),
        Command(f"{root}:AZERo[:STATe]", zero, (Boolean("state"),)),
        Command(f"{root}:AZERo[:STATe]?", lambda: str(int(kept().autozero))),
        Command(f"{root}:DELay:USER#", put_user, (Number("delay", low=0.0, high=1e4, default=0.0),)),
        Command(f"{root}:DELay:USER#?", get_user),
    ]


def _filter(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"{_ROOT}:{_WORDS[function]}"

    def kept() -> SenseSettings:
        return smu.settings.sense[function]

    def state(on: bool) -> None:
        kept().average_on = on

    def count(value: int) -> None:
        kept().average_count = value

    def kind(word: str) -> None:
        if word == "MOV":
            raise ScpiError(-241, "the simulator has no moving average filter")

    def relative(value: float) -> None:
        kept().relative = value

    def relative_state(on: bool) -> None:
        kept().relative_on = on

    offset = Number("offset", low=-RANGES[function][-1].top, high=RANGES[function][-1].top, default=0.0)
    return [
        Command(f"{root}:AVERage[:STATe]", state, (Boolean("state"),)),
        Command(f"{root}:AVERage[:STATe]?", lambda: str(int(kept().average_on))),
        *setting(
            f"{root}:AVERage:COUNt",
            Integer("count", low=1, high=100, default=10),
            lambda: str(kept().average_count),
            count,
        ),
        Command(f"{root}:AVERage:TCONtrol", kind, (Choice("type", ("REPeat", "MOVing")),)),
        Command(f"{root}:AVERage:TCONtrol?", lambda: kept().average_type),
        *setting(f"{root}:RELative", offset, lambda: number(kept().relative), relative),
        Command(f"{root}:RELative:STATe", relative_state, (Boolean("state"),)),
        Command(f"{root}:RELative:STATe?", lambda: str(int(kept().relative_on))),
    ]


def _wires(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"{_ROOT}:{_WORDS[function]}"

    def four_wire(on: bool) -> None:
        sense = smu.settings.sense[function]
        if on != sense.four_wire:
            smu.set_output(on=False)  # the instrument switches its output off before it changes leads
            sense.four_wire = on

    return [
        Command(f"{root}:RSENse", four_wire, (Boolean("state"),)),
        Command(f"{root}:RSENse?", lambda: str(int(smu.settings.sense[function].four_wire))),
        *_unit(smu, function),
    ]


def _unit(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"{_ROOT}:{_WORDS[function]}"
    own = {"CURR": "AMP", "VOLT": "VOLT", "RES": "OHM"}[function]

    def put(word: str) -> None:
        smu.settings.sense[function].unit = "" if word == own else word

    def compensated(on: bool) -> None:
        smu.settings.sense[function].offset_compensated = on

    words = ("OHM",) if function == "RES" else (own, "OHM", "WATT")
    table = [
        Command(f"{root}:UNIT", put, (Choice("unit", words),)),
        Command(f"{root}:UNIT?", lambda: smu.settings.sense[function].unit or own),
    ]
    if function == "RES":
        table += [
            Command(f"{root}:OCOMpensated", compensated, (Boolean("state"),)),
            Command(f"{root}:OCOMpensated?", lambda: str(int(smu.settings.sense[function].offset_compensated))),
        ]
    return table
