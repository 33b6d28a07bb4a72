"""What scripts find below ``smu`` and ``trigger``: most names do what a message in SCPI would do, errors and all.

From memory of the Reference Manual's TSP section (2450-901-01), but for what public scripts use; to be checked. Not
built: configuration lists, blocks of the trigger model, digital lines, TSP-Link, math, limit tests, and the
``smua``-names of a 2400's or 2600's scripts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from ...scpi.tree import CommandTree
from ...tsp.names import RUNTIME, Attribute, Constant, Entry, Function, Named, TspError, Wait
from .buffer import DEFAULT_BUFFERS, ReadingBuffer
from .core import SourceMeterCore
from .runs import readings_script
from .trigger.model import TriggerModel

_SWITCH: Final = {"1": "smu.ON", "0": "smu.OFF"}
_FUNCTIONS: Final = {"VOLT": "smu.FUNC_DC_VOLTAGE", "CURR": "smu.FUNC_DC_CURRENT"}
_SENSED: Final = {
    '"VOLT:DC"': "smu.FUNC_DC_VOLTAGE", '"CURR:DC"': "smu.FUNC_DC_CURRENT", '"RES"': "smu.FUNC_RESISTANCE"
}  # fmt: skip
_OFF: Final = {
    "NORM": "smu.OFFMODE_NORMAL", "HIMP": "smu.OFFMODE_HIGHZ", "ZERO": "smu.OFFMODE_ZERO", "GUAR": "smu.OFFMODE_GUARD"
}  # fmt: skip
_WIRES: Final = {"0": "smu.SENSE_2WIRE", "1": "smu.SENSE_4WIRE"}
_TERMINALS: Final = {"FRON": "smu.TERMINALS_FRONT", "REAR": "smu.TERMINALS_REAR"}
_UNITS: Final = {"AMP": "smu.UNIT_AMP", "VOLT": "smu.UNIT_VOLT", "OHM": "smu.UNIT_OHM", "WATT": "smu.UNIT_WATT"}
_PROTECTIONS: Final = {
    "NONE": "smu.PROTECT_NONE",
    **{f"PROT{volts}": f"smu.PROTECT_{volts}V" for volts in (2, 5, 10, 20, 40, 60, 80, 100, 120, 140, 160, 180)},
}
_RANGES: Final = {"AUTO": "smu.RANGE_AUTO", "BEST": "smu.RANGE_BEST", "FIX": "smu.RANGE_FIXED"}
_INFINITE: Final = "smu.INFINITE"

_NUMBER: Final[dict[str, str]] = {}
# Name -> message ({s}: source function, {m}: measure function), and the words of its values.
_ATTRIBUTES: Final[dict[str, tuple[str, Mapping[str, str]]]] = {
    "source.func": ("SOUR:FUNC", _FUNCTIONS),
    "source.output": ("OUTP", _SWITCH),
    "source.level": ("SOUR:{s}", _NUMBER),
    "source.range": ("SOUR:{s}:RANG", _NUMBER),
    "source.autorange": ("SOUR:{s}:RANG:AUTO", _SWITCH),
    "source.delay": ("SOUR:{s}:DEL", _NUMBER),
    "source.autodelay": ("SOUR:{s}:DEL:AUTO", _SWITCH),
    "source.readback": ("SOUR:{s}:READ:BACK", _SWITCH),
    "source.highc": ("SOUR:{s}:HIGH:CAP", _SWITCH),
    "source.offmode": ("OUTP:SMOD", _OFF),
    "source.ilimit.level": ("SOUR:VOLT:ILIM", _NUMBER),
    "source.vlimit.level": ("SOUR:CURR:VLIM", _NUMBER),
    "source.protect.level": ("SOUR:VOLT:PROT", _PROTECTIONS),
    "measure.func": ("SENS:FUNC", _SENSED),
    "measure.range": ("SENS:{m}:RANG", _NUMBER),
    "measure.autorange": ("SENS:{m}:RANG:AUTO", _SWITCH),
    "measure.autorangelow": ("SENS:{m}:RANG:AUTO:LLIM", _NUMBER),
    "measure.nplc": ("SENS:{m}:NPLC", _NUMBER),
    "measure.autozero.enable": ("SENS:{m}:AZER", _SWITCH),
    "measure.count": ("SENS:COUN", _NUMBER),
    "measure.sense": ("SENS:{m}:RSEN", _WIRES),
    "measure.unit": ("SENS:{m}:UNIT", _UNITS),
    "measure.terminals": ("ROUT:TERM", _TERMINALS),
    "measure.filter.enable": ("SENS:{m}:AVER", _SWITCH),
    "measure.filter.count": ("SENS:{m}:AVER:COUN", _NUMBER),
    "measure.rel.enable": ("SENS:{m}:REL:STAT", _SWITCH),
    "measure.rel.level": ("SENS:{m}:REL", _NUMBER),
}
_ASKED: Final[dict[str, tuple[str, Mapping[str, str]]]] = {
    "source.ilimit.tripped": ("SOUR:VOLT:ILIM:TRIP", _SWITCH),
    "source.vlimit.tripped": ("SOUR:CURR:VLIM:TRIP", _SWITCH),
    "source.protect.tripped": ("SOUR:VOLT:PROT:TRIP", _SWITCH),
}


class Scripted(Protocol):
    """What these names need of the instrument."""

    @property
    def core(self) -> SourceMeterCore:
        """Source, converter and buffers."""
        ...

    @property
    def model(self) -> TriggerModel:
        """Its trigger model."""
        ...

    def buffer(self, name: Any) -> ReadingBuffer:
        """Return the buffer a script has handed over."""
        ...


def smu_entries(box: Scripted, tree: CommandTree) -> dict[str, Entry]:
    """Return the names below ``smu``, without it; ``tree`` has the messages they stand for."""
    smu = box.core

    def do(text: str) -> str:
        return _done(tree, text)

    def message(header: str) -> str:
        return header.format(s=smu.settings.source_function, m=smu.settings.sense_function)

    def reads(header: str, words: Mapping[str, str]) -> Callable[[], Any]:
        def get() -> Any:
            told = do(f"{message(header)}?")
            return words.get(told, told) if words else float(told)

        return get

    def puts(header: str, words: Mapping[str, str]) -> Callable[[Any], None]:
        def put(value: Any) -> None:
            do(f"{message(header)} {_sent(value, words)}")

        return put

    table: dict[str, Entry] = {
        name: Attribute(reads(header, words), puts(header, words)) for name, (header, words) in _ATTRIBUTES.items()
    }
    table |= {name: Attribute(reads(header, words)) for name, (header, words) in _ASKED.items()}
    for words in (_SWITCH, _FUNCTIONS, _SENSED, _OFF, _WIRES, _TERMINALS, _UNITS, _PROTECTIONS, _RANGES):
        table |= {name.partition(".")[2]: Constant(name) for name in words.values()}
    table["INFINITE"] = Constant(_INFINITE)

    def read(buffer: Any = None) -> Any:
        kept = box.buffer(Named(DEFAULT_BUFFERS[0]) if buffer is None else buffer)
        script = readings_script(smu, smu.settings.count, kept, smu.now)
        return taking(script, lambda: kept.records[-1].reading)

    def read_with_time(buffer: Any = None) -> Any:
        kept = box.buffer(Named(DEFAULT_BUFFERS[0]) if buffer is None else buffer)

        def last() -> tuple[float, float, float]:
            record = kept.records[-1]
            return record.reading, float(int(record.time)), record.time % 1.0

        return taking(readings_script(smu, smu.settings.count, kept, smu.now), last)

    def sweep(kind: str) -> Callable[..., None]:
        def put(_: Any, start: Any, stop: Any, points: Any, *rest: Any) -> None:
            given = [_sent(one, _NUMBER) for one in (start, stop, points)] + [_option(box, one) for one in rest]
            do(f"SOUR:SWE:{smu.settings.source_function}:{kind} {','.join(given)}")

        return put

    table |= {
        "measure.read": Function(read),
        "measure.readwithtime": Function(read_with_time),
        "measure.autozero.once": Function(lambda: None),
        "source.sweeplinear": Function(sweep("LIN")),
        "source.sweeplinearstep": Function(sweep("LIN:STEP")),
        "source.sweeplog": Function(sweep("LOG")),
    }
    return table


def trigger_entries(box: Scripted, tree: CommandTree) -> dict[str, Entry]:
    """Return the names of the trigger model, whole."""

    def load(template: Any, *values: Any) -> None:
        if not (isinstance(template, str) and template.isalnum()):
            raise TspError(RUNTIME, "trigger.model.load: the name of a template is expected")
        _done(tree, ",".join([f'TRIG:LOAD "{template}"', *(_option(box, one) for one in values)]))

    def initiate() -> Any:
        # On the instrument it comes back at once and ``waitcomplete()`` waits; here it takes the time itself.
        return taking(box.model.begun()[1], lambda: box.model.ended(cut=False))

    def state() -> tuple[str, str, float]:
        now, before, block = box.model.state().split(";")
        return f"trigger.STATE_{now}", f"trigger.STATE_{before}", float(block)

    states = ("EMPTY", "BUILDING", "IDLE", "RUNNING", "WAITING", "ABORTED", "ABORTING", "FAILED")
    return {
        "trigger.model.load": Function(load),
        "trigger.model.initiate": Function(initiate),
        "trigger.model.abort": Function(lambda: None),
        "trigger.model.state": Function(state),
        **{f"trigger.STATE_{name}": Constant(f"trigger.STATE_{name}") for name in states},
    }


def taking(script: Any, finish: Callable[[], Any]) -> Any:
    """Return what a function returns that takes the time of a script; ``finish`` makes its results."""

    def go_on() -> Any:
        until = next(script, None)
        return finish() if until is None else Wait(until, go_on)

    return go_on()


def _sent(value: Any, words: Mapping[str, str]) -> str:
    """Return a value of a script as a message has it."""
    if isinstance(value, bool):
        value = 1 if value else 0
    for word, name in words.items():
        if value == name or (word.isdigit() and value == int(word)):
            return word
    if words or isinstance(value, str) or not isinstance(value, int | float):
        raise TspError(RUNTIME, f"{value}: " + (f"choose from {', '.join(words.values())}" if words else "a number"))
    return f"{value:.12g}"


def _done(tree: CommandTree, text: str) -> str:
    """Do what one message in SCPI does, and return its reply."""
    units = tree.compile(text.encode("latin-1", "replace")).units
    if len(units) != 1:
        raise TspError(RUNTIME, "one value is expected")
    return str(units[0].handler(*units[0].arguments))


def _option(box: Scripted, value: Any) -> str:
    """Return one of the further arguments of a sweep or a template: a number, a switch, a range or a buffer."""
    if isinstance(value, Named):
        return f'"{box.buffer(value).name}"'
    if value == _INFINITE:
        return "0"
    for words in (_SWITCH, _RANGES):
        if isinstance(value, str) and value in words.values():
            return _sent(value, words)
    return _sent(value, _NUMBER)
