"""Commands of a Keithley 2450 that sweep its source: SOURce:LIST and SOURce:SWEep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ...scpi.arguments import Boolean, Choice, Integer, Number, Parameter, Text
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number
from .buffer import DEFAULT_BUFFERS
from .runs import SweepPlan
from .source import WORDS, fit_limit
from .specs import RANGES, range_for
from .trigger.config_lists import CUSTOM_LISTS

if TYPE_CHECKING:
    from .core import SourceMeterCore
    from .readings import Readings
    from .trigger.config_lists import ConfigLists
    from .trigger.model import TriggerModel

_MESSAGE_LENGTH: Final = 100  # manual: values of one :SOURce:LIST message
_LIST_LENGTH: Final = 2500
_SHORTEST_DELAY: Final = 50e-6
_DEFAULT: Final = DEFAULT_BUFFERS[0]


def sweep_commands(
    smu: SourceMeterCore, readings: Readings, trigger: TriggerModel, lists: ConfigLists
) -> list[Command]:
    """Return the commands of lists and sweeps."""
    table: list[Command] = []
    for function in WORDS:
        table += [*_list(smu, function), *_sweep(smu, readings, trigger, lists, function)]
    return table


def _list(smu: SourceMeterCore, function: str) -> list[Command]:
    root = f"SOURce[1]:LIST:{WORDS[function]}"
    top = RANGES[function][-1].top

    def kept() -> list[float]:
        return smu.settings.source[function].sweep_list

    def put(*values: float) -> None:
        smu.settings.source[function].sweep_list = list(values)

    def append(*values: float) -> None:
        if len(kept()) + len(values) > _LIST_LENGTH:
            raise ScpiError(-222, f"{len(kept()) + len(values)} values in a list of {_LIST_LENGTH}")
        kept().extend(values)

    values = (Number("value", low=-top, high=top),)
    return [
        Command(root, put, values, repeat=_MESSAGE_LENGTH - 1),
        Command(f"{root}?", lambda: ",".join(number(value) for value in kept())),
        Command(f"{root}:APPend", append, values, repeat=_MESSAGE_LENGTH - 1),
        Command(f"{root}:POINts?", lambda: str(len(kept()))),
    ]


def _sweep(
    smu: SourceMeterCore, readings: Readings, trigger: TriggerModel, lists: ConfigLists, function: str
) -> list[Command]:
    made = {"VOLT": "Volt", "CURR": "Curr"}[function]
    root = f"SOURce[1]:SWEep:{WORDS[function]}"
    top = RANGES[function][-1].top
    lowest = RANGES[function][0].full_scale

    def plan(
        kept: str,
        levels: list[float],
        delay: float = -1.0,
        count: int = 1,
        ranging: str = "BEST",
        abort: bool = True,
        dual: bool = False,
        name: str = _DEFAULT,
    ) -> None:
        if function != smu.settings.source_function:
            raise ScpiError(-221, f"a sweep of {function} while the source is {smu.settings.source_function}")
        if delay != -1.0 and not (delay == 0.0 or delay >= _SHORTEST_DELAY):
            raise ScpiError(-222, f"delay {delay:.6g} is none of -1, 0 or {_SHORTEST_DELAY} and more")
        source = smu.settings.source[function]
        if delay == -1.0:
            source.auto_delay = True
        if ranging == "BEST":
            source.on_range, source.autorange = range_for(function, max(levels, key=abs)), False
            fit_limit(smu)
        elif ranging == "AUTO":
            source.autorange = True
        points = levels + levels[::-1] if dual else levels
        trigger.load(SweepPlan(points, max(0.0, delay), count, ranging, abort, readings.buffer(name).name), kept)
        if kept not in CUSTOM_LISTS:
            lists.make_sweep(kept, points)

    def linear(start: float, stop: float, points: int, *rest: Any) -> None:
        plan(f"{made}LinearSweepList", np.linspace(start, stop, points).tolist(), *rest)

    def stepped(start: float, stop: float, step: float, *rest: Any) -> None:
        steps = int(abs(stop - start) / step * (1.0 + 1e-9))
        if not steps:
            raise ScpiError(-221, f"a step of {step:.6g} between {start:.6g} and {stop:.6g}")
        sign = 1.0 if stop > start else -1.0
        plan(f"{made}LinearSweepList", [start + sign * step * at for at in range(steps + 1)], *rest)

    def logarithmic(start: float, stop: float, points: int, *rest: Any) -> None:
        asymptote = rest[6] if len(rest) > 6 else 0.0
        if (start - asymptote) * (stop - asymptote) <= 0.0:
            raise ScpiError(-221, f"the asymptote {asymptote:.6g} lies between {start:.6g} and {stop:.6g}")
        levels = asymptote + np.geomspace(start - asymptote, stop - asymptote, points)
        plan(f"{made}LogSweepList", levels.tolist(), *rest[:6])

    def listed(
        first: int,
        delay: float = 0.0,
        count: int = 1,
        abort: bool = True,
        name: str = _DEFAULT,
        config: str = "",
    ) -> None:
        own = f"{made}CustomSweepList"
        source = smu.settings.source[function]
        if (config and config != own) or not source.sweep_list:
            raise ScpiError(2790, "Configuration list, error, does not exist")
        if first > len(source.sweep_list):
            raise ScpiError(-222, f"start index {first} of {len(source.sweep_list)}")
        ranging = "AUTO" if source.autorange else "FIX"
        plan(own, source.sweep_list[first - 1 :], delay, count, ranging, abort, False, name)

    delay = Number("delay", low=-1.0, high=1e4, optional=True)
    count = Integer("count", low=0, high=268435455, optional=True)
    abort, name = Boolean("abort", optional=True), Text("buffer", optional=True)
    ranging, dual = Choice("range", ("AUTO", "BEST", "FIXed"), optional=True), Boolean("dual", optional=True)
    rest: tuple[Parameter, ...] = (delay, count, ranging, abort, dual, name)
    ends = (Number("start", low=-top, high=top), Number("stop", low=-top, high=top))
    points = Integer("points", low=2, high=1e6)
    step = Number("step", low=lowest * 1e-6, high=2.0 * top)
    asymptote = Number("asymptote", low=-top, high=top, optional=True)
    return [
        Command(f"{root}:LINear", linear, (*ends, points, *rest)),
        Command(f"{root}:LINear:STEP", stepped, (*ends, step, *rest)),
        Command(f"{root}:LOG", logarithmic, (*ends, points, *rest, asymptote)),
        Command(
            f"{root}:LIST", listed, (Integer("start", low=1), delay, count, abort, name, Text("list", optional=True))
        ),
    ]
