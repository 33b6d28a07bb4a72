"""Commands of a Keithley 2450 that calculate with readings: ``:CALCulate1`` (math) and ``:CALCulate2`` (limits)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from ...scpi.arguments import Boolean, Choice, Number, Parameter
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .settings import LimitSettings, SenseSettings

if TYPE_CHECKING:
    from .core import SourceMeterCore

_WORDS: Final = {"CURR": "CURRent[:DC]", "VOLT": "VOLTage[:DC]", "RES": "RESistance"}
_LARGEST: Final = 1e12


def calculate_commands(smu: SourceMeterCore) -> list[Command]:
    """Return the commands of math and limit tests."""
    return [command for function in _WORDS for command in (*_math(smu, function), *_limits(smu, function))]


def _math(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"CALCulate#:{_WORDS[function]}:MATH"

    def keep(name: str, node: str, parameter: Parameter, show: Callable[[Any], str]) -> list[Command]:
        def kept(which: int) -> SenseSettings:
            _only(which, 1)
            return smu.settings.sense[function]

        def put(which: int, value: Any) -> None:
            setattr(kept(which), name, value)

        def get(which: int) -> str:
            return show(getattr(kept(which), name))

        return [Command(f"{root}:{node}", put, (parameter,)), Command(f"{root}:{node}?", get)]

    return [
        *keep("math_on", "STATe", Boolean("state"), _flag),
        *keep("math_format", "FORMat", Choice("format", ("MXB", "PERCent", "RECiprocal")), str),
        *keep("math_slope", "MMFactor", Number("m", low=-_LARGEST, high=_LARGEST, default=1.0), number),
        *keep("math_offset", "MBFactor", Number("b", low=-_LARGEST, high=_LARGEST, default=0.0), number),
        *keep("math_percent", "PERCent", Number("reference", low=-_LARGEST, high=_LARGEST, default=1.0), number),
    ]


def _limits(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"CALCulate#:{_WORDS[function]}:LIMit#"

    def kept(which: int, limit: int) -> LimitSettings:
        _only(which, 2)
        if limit not in (1, 2):
            raise ScpiError(-114, f"limit {limit}; there are 1 and 2")
        return smu.settings.sense[function].limits[limit - 1]

    def keep(name: str, node: str, parameter: Parameter, show: Callable[[Any], str]) -> list[Command]:
        def put(which: int, limit: int, value: Any) -> None:
            changed = replace(kept(which, limit), **{name: value})
            one, two = smu.settings.sense[function].limits
            smu.settings.sense[function].limits = (changed, two) if limit == 1 else (one, changed)

        def get(which: int, limit: int) -> str:
            return show(getattr(kept(which, limit), name))

        return [Command(f"{root}:{node}", put, (parameter,)), Command(f"{root}:{node}?", get)]

    def failed(which: int, limit: int) -> str:
        kept(which, limit)
        return smu.limit_results.get((function, limit), "NONE")

    def clear(which: int, limit: int) -> None:
        kept(which, limit)
        smu.limit_results.pop((function, limit), None)

    value = Number("limit", low=-_LARGEST, high=_LARGEST)
    return [
        *keep("on", "STATe", Boolean("state"), _flag),
        *keep("lower", "LOWer[:DATA]", value, number),
        *keep("upper", "UPPer[:DATA]", value, number),
        *keep("clears", "CLEar:AUTO", Boolean("state"), _flag),
        *keep("audible", "AUDible", Choice("beep", ("NONE", "PASS", "FAIL")), str),
        Command(f"{root}:CLEar[:IMMediate]", clear),
        Command(f"{root}:FAIL?", failed),
    ]


def _flag(on: bool) -> str:
    return str(int(on))


def _only(which: int, right: int) -> None:
    if which != right:
        raise ScpiError(-114, f"CALCulate{which} has none of that; CALCulate{right} has")
