"""Numeric settings of the simulated 33622A: words, units, limits and the way they are printed."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from ...scpi.arguments import Choice, Number, Token
from ...scpi.tree import Command
from .channel import EDGE_DEFAULT, EDGE_MIN, FREQUENCY_MAX, FREQUENCY_MIN, WIDTH_MIN, Channel

if TYPE_CHECKING:
    from .generator import Generator

_INFINITY: Final = 9.9e37
_ENDLESS: Final = {"INF": math.inf, "INFINITY": math.inf}
BOUND: Final = Choice("bound", ("MINimum", "MAXimum", "DEFault"), optional=True)


class Quantity(Number):
    """A number whose ``MIN``, ``MAX`` and ``DEF`` are known only when the command is executed."""

    def limit(self, word: str) -> str:
        """Return the word."""
        return word


@dataclass(frozen=True)
class Amplitude(Quantity):
    """An amplitude, with its unit if one is said: ``0.5``, ``500 MV``, ``2 VPP``, ``1 VRMS``, ``3 DBM``."""

    def convert(self, token: Token) -> tuple[Any, str]:
        """Return the number or word, and the unit; empty: the one that is set."""
        if isinstance(token, str):
            for unit in ("VPP", "VRMS", "DBM"):
                if token.upper().endswith(unit):
                    bare = token[: -len(unit)].rstrip()
                    return super().convert(bare + ("V" if bare[-1:].isalpha() else "")), unit
        return super().convert(token), ""


def real(value: float) -> str:
    """Return a number as this instrument prints it; infinity is 9.9E+37."""
    return f"{float(f'{min(value, _INFINITY):.13g}'):+.15E}"


@dataclass(frozen=True, slots=True)
class Setting:
    """A numeric setting of a channel: what reads it, what sets it, and its smallest, largest and default value."""

    pattern: str
    name: str
    unit: str
    get: Callable[[Channel], float]
    put: Callable[[Channel, float], object]
    bounds: Callable[[Channel], tuple[float, float, float]]
    endless: bool = False


def numeric_commands(box: Generator) -> list[Command]:
    """Return the commands and queries of every numeric setting that is not a voltage level."""
    return [command for setting in _settings(box) for command in _numeric(box, setting)]


def _settings(box: Generator) -> list[Setting]:
    source, burst, pulse, trigger = "[SOURce#]:", "[SOURce#]:BURSt:", "[SOURce#]:FUNCtion:PULSe:", "TRIGger#:"

    def fixed(low: float, high: float, default: float) -> Callable[[Channel], tuple[float, float, float]]:
        return lambda _: (low, high, default)

    def plain(
        name: str,
    ) -> tuple[Callable[[Channel], float], Callable[[Channel, float], None]]:
        return (lambda c: getattr(c, name)), (lambda c, value: setattr(c, name, value))

    def edges(*names: str) -> tuple[Callable[[Channel], float], Callable[[Channel, float], None]]:
        def put(channel: Channel, value: float) -> None:
            for name in names:
                setattr(channel, name, value)

        return (lambda c: getattr(c, names[0])), put

    def frequencies(c: Channel) -> tuple[float, float, float]:
        return FREQUENCY_MIN, FREQUENCY_MAX[c.function], 1e3

    def periods(c: Channel) -> tuple[float, float, float]:
        return 1.0 / FREQUENCY_MAX[c.function], 1.0 / FREQUENCY_MIN, 1e-3

    def set_period(c: Channel, seconds: float) -> None:
        c.set_frequency(1.0 / seconds)

    def cycles(c: Channel, count: float) -> None:
        c.set_cycles(count if math.isinf(count) else float(round(count)))

    def trigger_count(c: Channel, count: float) -> None:
        c.trigger_count = float(round(count))

    def set_burst_period(c: Channel, seconds: float) -> None:
        c.burst_period = seconds
        c.fit_burst()

    def peaks(c: Channel) -> tuple[float, float, float]:
        return -math.inf, math.inf, 0.0  # clipped with its own words

    def edge_range(c: Channel) -> tuple[float, float, float]:
        return EDGE_MIN, c.edge_max, EDGE_DEFAULT

    return [
        *[
            Setting(pattern, "frequency", "HZ", lambda c: c.frequency, Channel.set_frequency, frequencies)
            for pattern in (f"{source}FREQuency[:CW]", f"{source}FREQuency:FIXed")
        ],
        Setting(f"{source}FUNCtion:PERiod", "period", "S", lambda c: c.period, set_period, periods),
        Setting(f"{pulse}PERiod", "period", "S", lambda c: c.period, set_period, periods),
        Setting(f"{pulse}WIDTh", "width", "S", lambda c: c.width, Channel.set_width,
                lambda c: (WIDTH_MIN, c.width_max, 100e-6)),
        Setting(f"{pulse}DCYCle", "duty cycle", "PCT", lambda c: 100.0 * c.width * c.frequency, Channel.set_duty,
                lambda c: (100.0 * WIDTH_MIN * c.frequency, 100.0 * (1.0 - WIDTH_MIN * c.frequency), 10.0)),
        Setting(f"{pulse}TRANsition[:BOTH]", "edge", "S", *edges("leading", "trailing"), edge_range),
        Setting(f"{pulse}TRANsition:LEADing", "leading edge", "S", *edges("leading"), edge_range),
        Setting(f"{pulse}TRANsition:TRAiling", "trailing edge", "S", *edges("trailing"), edge_range),
        Setting(f"{source}FUNCtion:RAMP:SYMMetry", "symmetry", "PCT", *plain("symmetry"), fixed(0.0, 100.0, 100.0)),
        Setting(f"{source}FUNCtion:SQUare:DCYCle", "duty cycle", "PCT", *plain("square_duty"),
                fixed(0.01, 99.99, 50.0)),
        Setting(f"{source}FUNCtion:ARBitrary:SRATe", "sample rate", "", lambda c: c.sample_rate,
                Channel.set_sample_rate, fixed(1e-6, 1e9, 40e3)),
        Setting(f"{source}FUNCtion:ARBitrary:FREQuency", "frequency", "HZ", lambda c: c.frequency,
                Channel.set_frequency, frequencies),
        Setting(f"{source}FUNCtion:ARBitrary:PERiod", "period", "S", lambda c: c.period, set_period, periods),
        Setting(f"{burst}NCYCles", "cycles", "", lambda c: c.cycles, cycles, fixed(1.0, 1e8, 1.0), endless=True),
        Setting(f"{burst}INTernal:PERiod", "burst period", "S", lambda c: c.burst_period, set_burst_period,
                fixed(1e-6, 8e3, 10e-3)),
        Setting(f"{trigger}COUNt", "count", "", lambda c: c.trigger_count, trigger_count, fixed(1.0, 1e6, 1.0)),
        Setting(f"{trigger}DELay", "delay", "S", *plain("trigger_delay"), fixed(0.0, 1e3, 0.0)),
        Setting(f"{trigger}TIMer", "timer", "S", *plain("trigger_timer"), fixed(1e-6, 8e3, 1.0)),
        Setting("OUTPut#:LOAD", "load", "OHM", lambda c: c.load, Channel.set_load, fixed(1.0, 1e4, 50.0), endless=True),
        Setting(f"{source}VOLTage[:LEVel][:IMMediate]:OFFSet", "offset", "V", lambda c: c.offset, Channel.set_offset,
                peaks),
        *[
            Setting(pattern, name, "DEG", lambda c, a=attribute: box.angle(getattr(c, a), c),
                    lambda c, value, a=attribute: setattr(c, a, box.degrees(value, c)), box.angles)
            for pattern, name, attribute in (
                (f"{source}PHASe[:ADJust]", "phase", "phase"),
                (f"{burst}PHASe", "burst phase", "burst_phase"),
            )
        ],
    ]  # fmt: skip


def _numeric(box: Generator, setting: Setting) -> list[Command]:
    words = _ENDLESS if setting.endless else None

    def resolve(channel: Channel, value: float | str) -> float:
        low, high, default = setting.bounds(channel)
        if isinstance(value, str):
            return {"MIN": low, "MAX": high, "DEF": default}[value]
        if setting.endless and value >= _INFINITY:
            return math.inf
        return channel.clip(value, low, high)

    def put(number: int, value: float | str) -> None:
        channel = box.channel(number)
        setting.put(channel, resolve(channel, value))
        box.apply(number)

    def get(number: int, bound: str | None = None) -> str:
        channel = box.channel(number)
        return real(setting.get(channel) if bound is None else resolve(channel, bound))

    return [
        Command(setting.pattern, put, (Quantity(setting.name, setting.unit, words=words),)),
        Command(setting.pattern + "?", get, (BOUND,)),
    ]
