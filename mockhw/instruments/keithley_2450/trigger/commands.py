"""Commands of a Keithley 2450 that put trigger models together block by block: ``:TRIGger:BLOCk``."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from ....scpi.arguments import Boolean, Choice, Integer, Number, Text, Token
from ....scpi.errors import ScpiError
from ....scpi.tree import Command
from ..buffer import DEFAULT_BUFFERS
from ..events import ERROR, INFORMATION, WARNING
from . import blocks as make
from .model import user_delay

if TYPE_CHECKING:
    from ..core import SourceMeterCore
    from ..events import EventLog
    from .blocks import Block
    from .model import TriggerModel

_DEFAULT: Final = DEFAULT_BUFFERS[0]
_EVENTS: Final = {
    "NONE": 0, "DISPlay": 0, "NOTify": 8, "COMMand": 0, "DIGio": 6, "TSPLink": 3, "LAN": 8, "BLENder": 2, "TIMer": 4,
    "SLIMit": 0, "EXTernal": 0,
}  # fmt: skip
_N: Final = Integer("block", low=1, high=make.MOST_BLOCKS)
_TO: Final = Integer("branch to", low=0, high=make.MOST_BLOCKS)
_OF: Final = Integer("measure block", low=0, high=make.MOST_BLOCKS, optional=True)


@dataclass(frozen=True)
class Event:
    """A trigger event, such as ``COMMand``, ``NOTify3`` or ``DIGio2``; other ``words`` may be allowed in its place."""

    name: str = "event"
    optional: bool = False
    words: tuple[str, ...] = ()

    def convert(self, token: Token) -> str:
        """Return the short form, with its number."""
        if not isinstance(token, str):
            raise ScpiError(-104, f"{self.name} is a word such as COMMand")
        found = re.fullmatch(r"([A-Z]+)([0-9]?)", token.upper())
        for word in (*_EVENTS, *self.words):
            short = "".join(c for c in word if not c.islower())
            if found is None or found[1] not in (short, word.upper()):
                continue
            most = _EVENTS.get(word, 0)
            if not most and not found[2]:
                return short
            if most and found[2] and 1 <= int(found[2]) <= most:
                return short + found[2]
        raise ScpiError(-224, f"{self.name} {token} is no trigger event")


def block_commands(smu: SourceMeterCore, trigger: TriggerModel, log: EventLog) -> list[Command]:
    """Return the commands that define and list trigger blocks."""
    return [
        *_branches(smu, trigger),
        *_configuration(trigger),
        *_acts(smu, trigger, log),
        Command("TRIGger:BLOCk:LIST?", trigger.listed),
    ]


def _placing(trigger: TriggerModel, block: Callable[..., Block]) -> Callable[..., None]:
    """Return what makes a block of a command's arguments and puts it where the first of them says."""

    def place(number: int, *arguments: Any) -> None:
        trigger.set_block(number, block(*arguments))

    return place


def _branches(smu: SourceMeterCore, trigger: TriggerModel) -> list[Command]:
    root = "TRIGger:BLOCk:BRANch"

    def constant(kind: str, low: float, high: float, target: int, block: int = 0) -> Block:
        return make.branch_limit(kind, lambda _: (low, high), target, block)

    def dynamic(kind: str, which: int, target: int, block: int = 0) -> Block:
        def limits(_: SourceMeterCore) -> tuple[float, float]:
            limit = smu.settings.active_sense.limits[which - 1]
            return limit.lower, limit.upper

        return make.branch_limit(kind, limits, target, block)

    def once(*, excluded: bool) -> Callable[..., None]:
        return place(partial(make.branch_once, excluded=excluded))

    place = partial(_placing, trigger)

    count = Integer("count", low=1, high=268435455)
    kinds = Choice("limit type", ("ABOVe", "BELow", "INside", "OUTside"))
    low, high = Number("limit A"), Number("limit B")
    return [
        Command(f"{root}:ALWays", place(make.branch_always), (_N, _TO)),
        Command(f"{root}:COUNter", place(make.branch_counter), (_N, count, _TO)),
        Command(f"{root}:COUNter:COUNt?", trigger.count_of, (_N,)),
        Command(f"{root}:COUNter:RESet", place(make.counter_reset), (_N, _TO)),
        Command(f"{root}:DELTa", place(make.branch_delta), (_N, Number("difference"), _TO, _OF)),
        Command(f"{root}:EVENt", place(make.branch_event), (_N, Event(), _TO)),
        Command(f"{root}:LIMit:CONStant", place(constant), (_N, kinds, low, high, _TO, _OF)),
        Command(f"{root}:LIMit:DYNamic", place(dynamic), (_N, kinds, Integer("limit", low=1, high=2), _TO, _OF)),
        Command(f"{root}:ONCE", once(excluded=False), (_N, _TO)),
        Command(f"{root}:ONCE:EXCLuded", once(excluded=True), (_N, _TO)),
    ]


def _configuration(trigger: TriggerModel) -> list[Command]:
    root = "TRIGger:BLOCk:CONFig"

    def step(by: int) -> Callable[..., None]:
        return _placing(trigger, partial(make.config_step, by=by))

    name, other = Text("configuration list"), Text("second list", optional=True)
    index = Integer("index", low=1, optional=True)
    return [
        Command(f"{root}:RECall", _placing(trigger, make.config_recall), (_N, name, index, other, index)),
        Command(f"{root}:NEXT", step(1), (_N, name, other)),
        Command(f"{root}:PREVious", step(-1), (_N, name, other)),
    ]


def _acts(smu: SourceMeterCore, trigger: TriggerModel, log: EventLog) -> list[Command]:
    root = "TRIGger:BLOCk"

    def measure(buffer: str = _DEFAULT, count: float | None = 1.0) -> Block:
        if count == 0.0 or (count is not None and count != round(count)):
            raise ScpiError(-222, f"{count:g} readings in a block of the simulator, which makes 1 or more")
        return make.measure(buffer, None if count is None else round(count))

    def wait(*words: str) -> Block:
        events = tuple(word for word in words if word not in ("ENT", "NEV", "AND", "OR", "NONE"))
        if not events:
            raise ScpiError(-221, "a wait block waits for an event")
        return make.wait(events, clear="ENT" in words, every="AND" in words)

    def constant(seconds: float) -> Block:
        return make.delay("DELAY_CONSTANT", f"DELAY: {seconds:.9f}", lambda _: seconds)

    def dynamic(which: str) -> Block:
        return make.delay("DELAY_DYNAMIC", f"DELAY: {which}", user_delay(which))

    def event(kind: str, message: str) -> Block:
        def say() -> None:
            log.post(message[:31], INFORMATION if kind.startswith("INFO") else ERROR if "ERR" in kind else WARNING)

        if kind == "ABOR":
            return trigger.abort_block(say)
        return make.nothing("LOG_EVENT", f"EVENT: {kind} MESSAGE: {message[:31]}", lambda _: say())

    def lines(pattern: int, mask: int = 63) -> Block:
        def drive(_: object) -> None:
            smu.settings.lines = (smu.settings.lines & ~mask) | (pattern & mask)

        return make.nothing("DIGITAL_IO", f"PATTERN: {pattern} MASK: {mask}", drive)

    def source(on: bool) -> Block:
        return make.source_state(on=on)

    place = partial(_placing, trigger)
    buffer = Text("buffer", optional=True)
    endless = {"INF": float("nan"), "INFINITY": float("nan"), "AUTO": None}
    count = Number("count", low=0.0, high=268435455.0, words=endless, optional=True)
    seconds = Number("time", "S", low=0.0, high=1e4)
    delays = tuple(f"{word}{n}" for word in ("SOURce", "MEASure") for n in range(1, 6))
    kinds = (*(f"{word}{n}" for word in ("INFO", "WARNing", "ERRor") for n in range(1, 5)), "ABORt")
    bits = Integer("bits", low=0, high=63)
    more = Event("event", optional=True, words=("ENTer", "NEVer", "AND", "OR"))
    measures = [f"{root}:MEASure", f"{root}:MDIGitize"]
    return [
        Command(f"{root}:BUFFer:CLEar", place(make.buffer_clear), (_N, buffer)),
        *[Command(pattern, place(measure), (_N, buffer, count)) for pattern in measures],
        Command(f"{root}:SOURce:STATe", place(source), (_N, Boolean("state"))),
        Command(f"{root}:DELay:CONStant", place(constant), (_N, seconds)),
        Command(f"{root}:DELay:DYNamic", place(dynamic), (_N, Choice("user delay", delays))),
        Command(f"{root}:WAIT", place(wait), (_N, Event(), more), repeat=4),
        Command(f"{root}:NOTify", place(make.notify), (_N, Integer("id", low=1, high=8))),
        Command(f"{root}:NOP", place(partial(make.nothing, "NOP")), (_N,)),
        Command(f"{root}:LOG:EVENt", place(event), (_N, Choice("event", kinds), Text("message"))),
        Command(f"{root}:DIGital:IO", place(lines), (_N, bits, Integer("mask", low=0, high=63, optional=True))),
    ]
