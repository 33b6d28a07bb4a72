"""What scripts find below ``smua`` and ``smub``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ...tsp.names import RUNTIME, Attribute, Constant, Entry, Function, TspError, Wait, number, whole
from .buffers import ReadingBuffer
from .channel import AMPS, Channel
from .specs import LEAST_LIMIT
from .sweeps import sweep_entries

_CONSTANTS: Final = {
    "OUTPUT_OFF": 0, "OUTPUT_ON": 1, "OUTPUT_HIGH_Z": 2, "OUTPUT_NORMAL": 0, "OUTPUT_ZERO": 1, "OUTPUT_DCAMPS": 0,
    "OUTPUT_DCVOLTS": 1, "SENSE_LOCAL": 0, "SENSE_REMOTE": 1, "AUTORANGE_OFF": 0, "AUTORANGE_ON": 1, "AUTOZERO_OFF": 0,
    "AUTOZERO_ONCE": 1, "AUTOZERO_AUTO": 2, "DISABLE": 0, "ENABLE": 1, "FILTER_OFF": 0, "FILTER_ON": 1,
    "FILTER_MOVING_AVG": 0, "FILTER_REPEAT_AVG": 1, "FILTER_MEDIAN": 2, "SETTLE_SMOOTH": 0, "SETTLE_FAST_RANGE": 1,
    "DELAY_OFF": 0, "DELAY_AUTO": -1, "SOURCE_IDLE": 0, "SOURCE_HOLD": 1,
}  # fmt: skip


def channel_entries(channel: Channel, named: Callable[[Any], ReadingBuffer]) -> dict[str, Entry]:
    """Return the names below a channel, without its own.

    Parameters
    ----------
    named : callable
        The buffer that a script has handed over.
    """
    table: dict[str, Entry] = {name: Constant(float(value)) for name, value in _CONSTANTS.items()}
    table |= _source(channel) | _measure(channel, named) | sweep_entries(channel, named)
    for name, buffer in channel.buffers.items():
        table |= {f"{name}.{below}" if below else name: entry for below, entry in buffer.entries().items()}
    table["reset"] = Function(channel.reset)
    table["sense"] = _kept(channel, "sense", 0, 1)
    table["abort"] = Function(lambda: None)
    return table


def _kept(channel: Channel, name: str, low: float, high: float) -> Attribute:
    """Return a number that is kept among the settings."""

    def put(value: Any) -> None:
        setattr(channel.settings, name, number(value, f"{channel.name} {name}", low, high))
        channel.drive()

    return Attribute(lambda: getattr(channel.settings, name), put)


def _source(channel: Channel) -> dict[str, Entry]:
    volts_max, amps_max = channel.model.volts[-1].top, channel.model.amps[-1].top

    def select(value: Any) -> None:
        func = float(whole(value, "func", 0, 1))
        if func != channel.settings.func:
            channel.turn(on=False)
            channel.settings.func = func
            channel.drive()

    def switch(value: Any) -> None:
        state = whole(value, "output", 0, 2)
        if state == 2:
            channel.settings.offmode = 2.0
        channel.turn(on=state == 1)
        channel.drive()

    def auto(value: Any) -> None:
        channel.settings.source_autorange = number(value, "autorange", 0, 1)
        if channel.settings.source_autorange:
            function = "i" if channel.settings.func == AMPS else "v"
            channel.level(function, getattr(channel.settings, f"level{function}"))

    table: dict[str, Entry] = {
        "func": Attribute(lambda: channel.settings.func, select),
        "output": Attribute(lambda: 1.0 if channel.output else 0.0, switch),
        "compliance": Attribute(channel.compliance),
        "autorangev": Attribute(lambda: channel.settings.source_autorange, auto),
        "autorangei": Attribute(lambda: channel.settings.source_autorange, auto),
        "limitv": _kept(channel, "limitv", LEAST_LIMIT["limitv"], volts_max),
        "limiti": _kept(channel, "limiti", LEAST_LIMIT["limiti"], amps_max),
        "delay": _kept(channel, "source_delay", -1, 1e5),
        "offmode": _kept(channel, "offmode", 0, 2),
        "offlimiti": _kept(channel, "offlimiti", LEAST_LIMIT["limiti"], amps_max),
        "highc": _kept(channel, "highc", 0, 1),
        "settling": _kept(channel, "settling", 0, 129),
    }
    for function, most in (("v", volts_max), ("i", amps_max)):

        def level(value: Any, function: str = function, most: float = most) -> None:
            channel.level(function, number(value, f"level{function}", -most, most))

        def fix(value: Any, function: str = function, most: float = most) -> None:
            channel.fix_source_range(function, number(value, f"range{function}", -most, most))

        table[f"level{function}"] = Attribute(
            lambda function=function: getattr(channel.settings, f"level{function}"), level
        )
        table[f"range{function}"] = Attribute(lambda function=function: channel.source_range[function].full_scale, fix)
    return {f"source.{name}": entry for name, entry in table.items()}


def _measure(channel: Channel, named: Callable[[Any], ReadingBuffer]) -> dict[str, Entry]:
    table: dict[str, Entry] = {
        "nplc": _kept(channel, "nplc", 0.001, 25.0),
        "autozero": _kept(channel, "autozero", 0, 2),
        "count": _kept(channel, "count", 1, 60_000),
        "interval": _kept(channel, "interval", 0.0, 1.0),
        "delay": _kept(channel, "measure_delay", -1, 1e5),
        "autorangei": _kept(channel, "measure_autorange_i", 0, 2),
        "autorangev": _kept(channel, "measure_autorange_v", 0, 2),
        "lowrangei": _kept(channel, "lowrangei", 0.0, channel.model.amps[-1].top),
        "filter.enable": _kept(channel, "filter_on", 0, 1),
        "filter.count": _kept(channel, "filter_count", 1, 100),
        "filter.type": Attribute(lambda: 1.0, lambda value: None),
    }
    for function, most in (("v", channel.model.volts[-1].top), ("i", channel.model.amps[-1].top)):

        def fix(value: Any, function: str = function, most: float = most) -> None:
            wanted = number(value, f"range{function}", -most, most)
            channel.measure_range[function] = channel.model.range_for(function, wanted)
            setattr(channel.settings, f"measure_autorange_{function}", 0.0)

        table[f"range{function}"] = Attribute(lambda function=function: channel.measure_range[function].full_scale, fix)
    for kinds in ("i", "v", "r", "p", "iv"):

        def measure(*buffers: Any, kinds: str = kinds) -> Any:
            if len(buffers) > len(kinds):
                raise TspError(RUNTIME, f"{channel.name}.measure.{kinds}: one buffer for each kind of reading")
            return channel.measure(kinds, tuple(named(buffer) for buffer in buffers))

        table[kinds] = Function(measure)

    def then(level: Any, *buffers: Any) -> Any:
        """``measureivandstep``: measure, then change the level."""
        wait = channel.measure("iv", tuple(named(buffer) for buffer in buffers))
        most = channel.model.volts[-1].top
        return _followed(wait, lambda: channel.level("v", number(level, "level", -most, most)))

    return {**{f"measure.{name}": entry for name, entry in table.items()}, "measureivandstep": Function(then)}


def _followed(wait: Wait, after: Callable[[], None]) -> Wait:
    def finish() -> Any:
        found = wait.finish()
        if isinstance(found, Wait):
            return _followed(found, after)
        after()
        return found

    return Wait(wait.until, finish)
