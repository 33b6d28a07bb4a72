"""The trigger model of a channel, as far as a sweep needs it: levels, what is measured at each, how often.

On the instrument ``initiate`` comes back at once and ``waitcomplete`` waits; here ``initiate`` takes the sweep's time,
so two channels sweep one after the other and not in step. Stimuli and events are not built.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, Final

from ...tsp.names import RUNTIME, Attribute, Entry, Function, TspError, Wait, number, whole
from .buffers import ReadingBuffer
from .channel import Channel

_POINTS_MAX: Final = 100_000


@dataclass(slots=True)
class TriggerModel:
    """What ``smua.trigger`` holds; actions are 0 for off and 1 for on, ends 0 for idle and 1 for hold."""

    levels: tuple[float, ...] = ()
    function: str = "v"
    source_action: float = 0.0
    kinds: str = ""
    buffers: tuple[ReadingBuffer, ...] = ()
    measure_action: float = 0.0
    count: float = 1.0
    arm_count: float = 1.0
    endpulse: float = 1.0
    endsweep: float = 0.0

    def run(self, channel: Channel) -> Generator[float]:
        """Sweep; yields the simulated time [s] at which it goes on."""
        before = channel.settings.levelv if self.function == "v" else channel.settings.leveli
        for buffer in self.buffers:
            buffer.begin()
        for at in range(int(self.count) * int(self.arm_count)):
            if self.source_action and self.levels:
                channel.level(self.function, self.levels[at % len(self.levels)])
            if channel.settings.source_delay > 0.0:
                yield channel.at() + channel.settings.source_delay
            if self.measure_action and self.kinds:
                found: Any = channel.measure(self.kinds, self.buffers, first=False)
                while isinstance(found, Wait):
                    yield found.until
                    found = found.finish()
            if not self.endpulse:
                channel.level(self.function, before)
        if not self.endsweep:
            channel.level(self.function, before)


def sweep_entries(channel: Channel, named: Callable[[Any], ReadingBuffer]) -> dict[str, Entry]:
    """Return the names below ``trigger``, and what begins a sweep."""
    model = TriggerModel()

    def points(function: str, values: tuple[float, ...]) -> None:
        most = (channel.model.volts if function == "v" else channel.model.amps)[-1].top
        model.levels = tuple(number(value, "level", -most, most) for value in values)
        model.function = function

    def listed(function: str) -> Callable[[Any], None]:
        def put(values: Any) -> None:
            if not isinstance(values, list) or not values:
                raise TspError(RUNTIME, f"{channel.name}.trigger.source.list{function}: a table of numbers is expected")
            points(function, tuple(values))  # pyright: ignore[reportUnknownArgumentType]

        return put

    def spaced(function: str) -> Callable[[Any, Any, Any], None]:
        def put(start: Any, stop: Any, count: Any) -> None:
            steps = whole(count, "points", 1, _POINTS_MAX) - 1
            low, high = number(start, "start", -1e3, 1e3), number(stop, "stop", -1e3, 1e3)
            points(function, tuple(low + (high - low) * at / max(steps, 1) for at in range(steps + 1)))

        return put

    def logarithmic(function: str) -> Callable[[Any, Any, Any, Any], None]:
        def put(start: Any, stop: Any, count: Any, asymptote: Any = 0.0) -> None:
            zero = number(asymptote, "asymptote", -1e3, 1e3)
            low, high = number(start, "start", -1e3, 1e3) - zero, number(stop, "stop", -1e3, 1e3) - zero
            steps = whole(count, "points", 1, _POINTS_MAX) - 1
            if low * high <= 0.0:
                raise TspError(RUNTIME, f"{channel.name}.trigger.source.log{function}: both ends on one side of it")
            ratio = math.log(high / low)
            points(function, tuple(zero + low * math.exp(ratio * at / max(steps, 1)) for at in range(steps + 1)))

        return put

    def measured(kinds: str) -> Callable[..., None]:
        def put(*buffers: Any) -> None:
            model.kinds, model.buffers = kinds, tuple(named(buffer) for buffer in buffers)

        return put

    def kept(name: str, low: float, high: float) -> Attribute:
        return Attribute(
            lambda: getattr(model, name), lambda value: setattr(model, name, number(value, name, low, high))
        )

    def initiate() -> Wait | None:
        sweep = model.run(channel)

        def go_on() -> Wait | None:
            until = next(sweep, None)
            return None if until is None else Wait(until, go_on)

        return go_on()

    table: dict[str, Entry] = {
        "source.action": kept("source_action", 0, 1),
        "measure.action": kept("measure_action", 0, 2),
        "count": kept("count", 1, _POINTS_MAX),
        "arm.count": kept("arm_count", 1, _POINTS_MAX),
        "endpulse.action": kept("endpulse", 0, 1),
        "endsweep.action": kept("endsweep", 0, 1),
        "initiate": Function(initiate),
    }
    for function in ("v", "i"):
        table[f"source.list{function}"] = Function(listed(function))
        table[f"source.linear{function}"] = Function(spaced(function))
        table[f"source.log{function}"] = Function(logarithmic(function))
    for kinds in ("i", "v", "r", "p", "iv"):
        table[f"measure.{kinds}"] = Function(measured(kinds))
    return {f"trigger.{name}": entry for name, entry in table.items()}
