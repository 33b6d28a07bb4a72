"""Commands of a Keithley 2400 that set its source: OUTPut and SOURce."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...scpi.arguments import Boolean, Choice, Integer, Number
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, setting
from .settings import LIST_LENGTH, SourceSettings
from .specs import RANGES, range_for, scientific

if TYPE_CHECKING:
    from .core import SourceMeterCore

WORDS: Final = {"VOLT": "VOLTage", "CURR": "CURRent"}
_MESSAGE_LENGTH: Final = 100  # manual, page 18-91: values of one :SOURce:LIST message
_PROTECTIONS: Final = (160.0, 120.0, 100.0, 80.0, 60.0, 40.0, 20.0)
_UNPROTECTED: Final = 161.0


def source_commands(smu: SourceMeterCore) -> list[Command]:
    """Return the commands of the source."""
    table = [*_output(smu), *_protection(smu), *_delay(smu), *_sweep(smu)]
    for function in WORDS:
        table += [*_level(smu, function), *_list(smu, function)]
    return table


def kept(smu: SourceMeterCore, root: str, parameter: Any, name: str, show: Callable[[Any], str]) -> list[Command]:
    """Return command and query of what is only kept among the settings."""

    def put(value: Any) -> None:
        setattr(smu.settings, name, value)
        smu.drive(smu.now)

    return [Command(root, put, (parameter,)), Command(f"{root}?", lambda: show(getattr(smu.settings, name)))]


def flag(on: bool) -> str:
    """Return a truth value as the instrument prints it."""
    return str(int(on))


def nothing(*_: object) -> None:
    """Take what changes nothing here."""


def _output(smu: SourceMeterCore) -> list[Command]:
    def switch(on: bool) -> None:
        smu.set_output(on=on)

    def select(function: str) -> None:
        if function != smu.settings.source_function:
            smu.set_output(on=False)
            smu.settings.source_function = function
            smu.drive(smu.now)

    modes = Choice("mode", ("HIMPedance", "NORMal", "ZERO", "GUARd"))
    return [
        Command("OUTPut[1][:STATe]", switch, (Boolean("state"),)),
        Command("OUTPut[1][:STATe]?", lambda: flag(smu.output)),
        Command("OUTPut[1]:ENABle:TRIPped?", lambda: "1"),
        *kept(smu, "OUTPut[1]:SMODe", modes, "off_mode", str),
        Command("SOURce[1]:FUNCtion[:MODE]", select, (Choice("function", ("VOLTage", "CURRent")),)),
        Command("SOURce[1]:FUNCtion[:MODE]?", lambda: smu.settings.source_function),
        *kept(smu, "SOURce[1]:CLEar:AUTO", Boolean("state"), "clear_auto", flag),
        Command("SOURce[1]:CLEar[:IMMediate]", lambda: smu.set_output(on=False)),
    ]


def _protection(smu: SourceMeterCore) -> list[Command]:
    def put(value: float) -> None:
        size = abs(value)
        found = next((bound for bound in _PROTECTIONS if bound <= size), _PROTECTIONS[-1])
        smu.settings.protection = None if size >= _UNPROTECTED else found
        smu.drive(smu.now)

    def get() -> str:
        bound = smu.settings.protection
        return scientific(210.0 if bound is None else bound)

    level = Number("level", low=-210.0, high=210.0, default=210.0)
    return [
        *setting("SOURce[1]:VOLTage:PROTection[:LIMit]", level, get, put),
        Command("SOURce[1]:VOLTage:PROTection:TRIPped?", lambda: flag(smu.protecting)),
    ]


def _delay(smu: SourceMeterCore) -> list[Command]:
    def put(seconds: float) -> None:
        smu.settings.delay, smu.settings.auto_delay = seconds, False

    seconds = Number("delay", low=0.0, high=999.9999, default=0.0)
    return [
        *setting("SOURce[1]:DELay", seconds, lambda: scientific(smu.source_delay()), put),
        *kept(smu, "SOURce[1]:DELay:AUTO", Boolean("state"), "auto_delay", flag),
    ]


def _sweep(smu: SourceMeterCore) -> list[Command]:
    root = "SOURce[1]:SWEep"
    points = Integer("points", low=2, high=LIST_LENGTH, default=LIST_LENGTH)
    return [
        *kept(smu, f"{root}:RANGing", Choice("ranging", ("BEST", "AUTO", "FIXed")), "sweep_ranging", str),
        *kept(smu, f"{root}:CABort", Choice("abort", ("NEVer", "EARLy", "LATE")), "abort_at_limit", str),
        *kept(smu, f"{root}:POINts", points, "sweep_points", str),
        Command(f"{root}:SPACing", nothing, (Choice("spacing", ("LINear",)),)),
        Command(f"{root}:SPACing?", lambda: "LIN"),
    ]  # fmt: skip


def _level(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"SOURce[1]:{WORDS[function]}"
    top = RANGES[function][-1].top

    def mine() -> SourceSettings:
        return smu.settings.source[function]

    def put_range(value: float) -> None:
        wanted = range_for(function, value)
        if abs(mine().level) > wanted.top:
            raise ScpiError(-221, f"the level {mine().level:.6g} does not fit the {wanted.full_scale:g} range")
        mine().on_range, mine().autorange = wanted, False
        smu.drive(smu.now)

    def auto(on: bool) -> None:
        mine().autorange = on
        if on:
            mine().on_range = range_for(function, mine().level)
            smu.drive(smu.now)

    def mode(word: str) -> None:
        mine().mode = word

    def end(name: str) -> tuple[Command, Command]:
        return setting(
            f"{root}:{'STARt' if name == 'start' else 'STOP'}",
            Number(name, low=-top, high=top, default=0.0),
            lambda: scientific(getattr(mine(), name)),
            lambda value: setattr(mine(), name, value),
        )

    level = Number("level", low=-top, high=top, default=0.0)
    span = Number("range", low=-top, high=top)
    return [
        *setting(
            f"{root}[:LEVel][:IMMediate][:AMPLitude]",
            level,
            lambda: scientific(mine().level),
            lambda value: smu.set_level(function, value),
        ),
        *setting(f"{root}:RANGe", span, lambda: scientific(mine().on_range.top), put_range),
        Command(f"{root}:RANGe:AUTO", auto, (Boolean("state"),)),
        Command(f"{root}:RANGe:AUTO?", lambda: flag(mine().autorange)),
        Command(f"{root}:MODE", mode, (Choice("mode", ("FIXed", "LIST", "SWEep")),)),
        Command(f"{root}:MODE?", lambda: mine().mode),
        *end("start"),
        *end("stop"),
    ]  # fmt: skip


def _list(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"SOURce[1]:LIST:{WORDS[function]}"
    top = RANGES[function][-1].top

    def mine() -> SourceSettings:
        return smu.settings.source[function]

    def put(*values: float) -> None:
        mine().sweep_list = list(values)

    def append(*values: float) -> None:
        if len(mine().sweep_list) + len(values) > LIST_LENGTH:
            raise ScpiError(-223, f"{len(mine().sweep_list) + len(values)} values in a list of {LIST_LENGTH}")
        mine().sweep_list.extend(values)

    values = (Number("value", low=-top, high=top),)
    return [
        Command(root, put, values, repeat=_MESSAGE_LENGTH - 1),
        Command(f"{root}?", lambda: ",".join(scientific(value) for value in mine().sweep_list)),
        Command(f"{root}:APPend", append, values, repeat=_MESSAGE_LENGTH - 1),
        Command(f"{root}:POINts?", lambda: str(len(mine().sweep_list))),
    ]
