"""Commands of a Keithley 2450 that set its source: OUTPut and SOURce but for lists and sweeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...scpi.arguments import Boolean, Choice, Number
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number, setting
from .settings import DEFAULT_CURRENT_LIMIT, DEFAULT_VOLTAGE_LIMIT, SourceSettings
from .specs import RANGES, range_for

if TYPE_CHECKING:
    from .core import SourceMeterCore

WORDS: Final = {"VOLT": "VOLTage", "CURR": "CURRent"}
_HIGH_VOLTAGE_AMPS: Final = 0.105  # on the 200 V range
_PROTECTIONS: Final = (2, 5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180)


def source_commands(smu: SourceMeterCore) -> list[Command]:
    """Return the commands of the source."""
    table = [*_output(smu), *_protection(smu)]
    for function in WORDS:
        table += [*_level(smu, function), *_limit(smu, function), *_delay(smu, function), *_switches(smu, function)]
    return table


def _output(smu: SourceMeterCore) -> list[Command]:
    def switch(on: bool) -> None:
        smu.set_output(on=on)

    def select(function: str) -> None:
        if function != smu.settings.source_function:
            smu.set_output(on=False)
            smu.settings.source_function = function
            smu.drive(smu.now)

    def mode_of(root: str, functions: tuple[str, ...]) -> tuple[Command, Command]:
        def put(word: str) -> None:
            for function in functions:
                smu.settings.source[function].off_mode = word
            smu.drive(smu.now)

        def get() -> str:
            function = functions[0] if len(functions) == 1 else smu.settings.source_function
            return smu.settings.source[function].off_mode

        modes = Choice("mode", ("NORMal", "HIMPedance", "ZERO", "GUARd"))
        return Command(f"{root}:SMODe", put, (modes,)), Command(f"{root}:SMODe?", get)

    return [
        Command("OUTPut[1][:STATe]", switch, (Boolean("state"),)),
        Command("OUTPut[1][:STATe]?", lambda: "1" if smu.output else "0"),
        *mode_of("OUTPut[1]", tuple(WORDS)),
        *mode_of("OUTPut[1]:VOLTage", ("VOLT",)),
        *mode_of("OUTPut[1]:CURRent", ("CURR",)),
        Command("OUTPut[1]:INTerlock:TRIPped?", lambda: "1"),
        Command("SOURce[1]:FUNCtion[:MODE]", select, (Choice("function", ("VOLTage", "CURRent")),)),
        Command("SOURce[1]:FUNCtion[:MODE]?", lambda: smu.settings.source_function),
    ]


def _protection(smu: SourceMeterCore) -> list[Command]:
    def put(word: str) -> None:
        smu.settings.protection = None if word == "NONE" else float(word[4:])
        smu.drive(smu.now)

    def get() -> str:
        bound = smu.settings.protection
        return "NONE" if bound is None else f"PROT{bound:.0f}"

    words = (*(f"PROT{volts}" for volts in _PROTECTIONS), "NONE")
    return [
        Command("SOURce[1]:VOLTage:PROTection[:LEVel]", put, (Choice("level", words),)),
        Command("SOURce[1]:VOLTage:PROTection[:LEVel]?", get),
        Command("SOURce[1]:VOLTage:PROTection[:LEVel]:TRIPped?", lambda: "1" if smu.protecting else "0"),
    ]


def _level(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"SOURce[1]:{WORDS[function]}"
    highest = RANGES[function][-1]

    def kept() -> SourceSettings:
        return smu.settings.source[function]

    def put_range(value: float) -> None:
        wanted = range_for(function, value)
        if abs(kept().level) > wanted.top:
            raise ScpiError(-221, f"the level {kept().level:.6g} does not fit the {wanted.full_scale:g} range")
        kept().on_range, kept().autorange = wanted, False
        fit_limit(smu)
        smu.drive(smu.now)

    def auto(on: bool) -> None:
        kept().autorange = on
        if on:
            kept().on_range = range_for(function, kept().level)
            smu.drive(smu.now)

    return [
        *setting(
            f"{root}[:LEVel][:IMMediate][:AMPLitude]",
            Number("level", low=-highest.top, high=highest.top, default=0.0),
            lambda: number(kept().level),
            lambda value: smu.set_level(function, value),
        ),
        *setting(
            f"{root}:RANGe",
            Number("range", low=-highest.full_scale, high=highest.full_scale, default=RANGES[function][0].full_scale),
            lambda: number(kept().on_range.full_scale),
            put_range,
        ),
        Command(f"{root}:RANGe:AUTO", auto, (Boolean("state"),)),
        Command(f"{root}:RANGe:AUTO?", lambda: str(int(kept().autorange))),
    ]


def _limit(smu: SourceMeterCore, function: str) -> list[Command]:
    volts = function == "VOLT"
    root = f"SOURce[1]:{WORDS[function]}:{'ILIMit' if volts else 'VLIMit'}[:LEVel]"

    def put(value: float) -> None:
        if volts and value > _HIGH_VOLTAGE_AMPS and smu.settings.source[function].on_range is RANGES["VOLT"][-1]:
            raise ScpiError(-221, f"limit {value:.6g} A above {_HIGH_VOLTAGE_AMPS} A of the 200 V range")
        smu.settings.source[function].limit = value
        fit_limit(smu)
        smu.drive(smu.now)

    def tripped() -> str:
        return str(int(function == smu.settings.source_function and smu.tripped()))

    low, high, default = (1e-9, 1.05, DEFAULT_CURRENT_LIMIT) if volts else (0.02, 210.0, DEFAULT_VOLTAGE_LIMIT)
    return [
        *setting(root, Number("limit", low=low, high=high, default=default),
                 lambda: number(smu.settings.source[function].limit), put),
        Command(f"{root}:TRIPped?", tripped),
    ]  # fmt: skip


def fit_limit(smu: SourceMeterCore) -> None:
    """Change a limit that does not go with its ranges, and say so (manual, page 2-100)."""
    for function, other in (("VOLT", "CURR"), ("CURR", "VOLT")):
        source, sense = smu.settings.source[function], smu.settings.sense[other]
        least = 0.0 if sense.autorange else 1e-3 * sense.on_range.full_scale
        high_volts = function == "VOLT" and source.on_range is RANGES["VOLT"][-1]
        fitting = max(least, min(source.limit, _HIGH_VOLTAGE_AMPS) if high_volts else source.limit)
        if fitting != source.limit:
            smu.session.status.error(-221, f"limit {source.limit:.6g} changed to {fitting:.6g}")
            source.limit = fitting


def _delay(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"SOURce[1]:{WORDS[function]}:DELay"

    def kept() -> SourceSettings:
        return smu.settings.source[function]

    def get() -> str:
        automatic = kept().auto_delay and function == smu.settings.source_function
        return number(smu.source_delay() if automatic else kept().delay)

    def put(seconds: float) -> None:
        kept().delay, kept().auto_delay = seconds, False

    def auto(on: bool) -> None:
        kept().auto_delay = on

    def put_user(which: int, seconds: float) -> None:
        kept().user_delays[user_delay(which)] = seconds

    def get_user(which: int) -> str:
        return number(kept().user_delays[user_delay(which)])

    return [
        *setting(root, Number("delay", low=0.0, high=1e4, default=0.0), get, put),
        Command(f"{root}:AUTO", auto, (Boolean("state"),)),
        Command(f"{root}:AUTO?", lambda: str(int(kept().auto_delay))),
        Command(f"{root}:USER#", put_user, (Number("delay", low=0.0, high=1e4, default=0.0),)),
        Command(f"{root}:USER#?", get_user),
    ]


def user_delay(which: int) -> int:
    """Return the index of user delay ``which``, 1 to 5."""
    if not 1 <= which <= 5:
        raise ScpiError(-114, f"user delay {which} is none of 1 to 5")
    return which - 1


def _switches(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"SOURce[1]:{WORDS[function]}"

    def readback(on: bool) -> None:
        smu.settings.source[function].readback = on

    def capacitance(on: bool) -> None:
        smu.settings.source[function].high_capacitance = on

    return [
        Command(f"{root}:READ:BACK", readback, (Boolean("state"),)),
        Command(f"{root}:READ:BACK?", lambda: str(int(smu.settings.source[function].readback))),
        Command(f"{root}:HIGH:CAPacitance", capacitance, (Boolean("state"),)),
        Command(f"{root}:HIGH:CAPacitance?", lambda: str(int(smu.settings.source[function].high_capacitance))),
    ]
