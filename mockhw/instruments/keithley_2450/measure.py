"""Commands of a Keithley 2450 that make readings, keep them and hand them out: READ, TRACe, FORMat, TRIGger."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import numpy as np

from ...scpi.arguments import Choice, Integer, Number, Parameter, Text
from ...scpi.errors import ScpiError
from ...scpi.tree import Command
from .arguments import Element, Loose, Style
from .buffer import DEFAULT_BUFFERS, LARGEST, OVERFLOW_BOUND, SMALLEST, ReadingBuffer, number_text
from .runs import LoopPlan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from ...scpi.device import Hold, Reply
    from .core import SourceMeterCore
    from .readings import Readings
    from .trigger.model import TriggerModel

_BUFFER: Final = Text("buffer", optional=True)
_ELEMENTS: Final = 13
_DEFAULT: Final = DEFAULT_BUFFERS[0]
_DELAY: Final = Number("delay", low=0.0, high=1e4, optional=True)


def measure_commands(smu: SourceMeterCore, readings: Readings, trigger: TriggerModel) -> list[Command]:
    """Return the commands that make and hand out readings."""
    return [
        *_readings(smu, readings),
        *_buffers(smu, readings),
        *_statistics(readings),
        *_format(smu),
        *_trigger(readings, trigger),
    ]


def _readings(smu: SourceMeterCore, readings: Readings) -> list[Command]:
    asked: tuple[Parameter, ...] = (_BUFFER, Element())

    def measuring(function: str | None) -> Callable[..., Hold]:
        return lambda *chosen: readings.measure(function, *chosen)

    return [
        Command("READ?", readings.read, asked, repeat=_ELEMENTS),
        Command("FETCh?", readings.fetch, asked, repeat=_ELEMENTS),
        Command("MEASure?", measuring(None), asked, repeat=_ELEMENTS),
        Command("MEASure:CURRent[:DC]?", measuring("CURR"), asked, repeat=_ELEMENTS),
        Command("MEASure:VOLTage[:DC]?", measuring("VOLT"), asked, repeat=_ELEMENTS),
        Command("MEASure:RESistance?", measuring("RES"), asked, repeat=_ELEMENTS),
        Command("ABORt", smu.abort),
    ]


def _buffers(smu: SourceMeterCore, readings: Readings) -> list[Command]:
    def make(name: str, size: int, style: str = "STAN") -> None:
        if name in smu.buffers:
            raise ScpiError(1115, "Parameter error: TRACe:MAKE cannot take an existing reading buffer name")
        smu.buffers[name] = ReadingBuffer(name, size, style=style)

    def delete(name: str) -> None:
        if name in DEFAULT_BUFFERS:
            raise ScpiError(1115, "Parameter error: TRACe:DELete cannot take a default buffer")
        del smu.buffers[readings.buffer(name).name]

    def data(start: int, end: int, name: str = _DEFAULT, *elements: str) -> Reply:
        return readings.written(readings.buffer(name), start, elements, end)

    def fill_mode(mode: str, name: str = _DEFAULT) -> None:
        readings.buffer(name).continuous = mode == "CONT"

    def clear(name: str = _DEFAULT) -> None:
        readings.buffer(name).clear()

    def resize(places: int, name: str = _DEFAULT) -> None:
        readings.buffer(name).resize(places)

    def telling(what: Callable[[ReadingBuffer], object]) -> Callable[..., str]:
        return lambda *name: str(what(readings.buffer(*name)))

    size = Integer("size", low=SMALLEST, high=LARGEST)
    style = Style("style", ("STANdard", "COMPact", "FULL"), optional=True)
    one = (_BUFFER,)
    return [
        Command("TRACe:MAKE", make, (Text("name"), size, style)),
        Command("TRACe:DELete", delete, (Text("name"),)),
        Command("TRACe:CLEar", clear, one),
        Command("TRACe:POINts", resize, (size, _BUFFER)),
        Command("TRACe:POINts?", telling(lambda buffer: buffer.size), one),
        Command("TRACe:ACTual?", telling(lambda buffer: len(buffer.records)), one),
        Command("TRACe:ACTual:STARt?", telling(lambda buffer: min(1, len(buffer.records))), one),
        Command("TRACe:ACTual:END?", telling(lambda buffer: len(buffer.records)), one),
        Command("TRACe:FILL:MODE", fill_mode, (Choice("mode", ("CONTinuous", "ONCE")), _BUFFER)),
        Command("TRACe:FILL:MODE?", telling(lambda buffer: "CONT" if buffer.continuous else "ONCE"), one),
        Command("TRACe:TRIGger", readings.fill, one),
        Command(
            "TRACe:DATA?", data, (Integer("start", low=1), Integer("end", low=1), _BUFFER, Element()), repeat=_ELEMENTS
        ),
    ]


def _statistics(readings: Readings) -> list[Command]:
    def telling(what: Callable[[NDArray[np.float64]], float]) -> Callable[..., str]:
        def tell(name: str = _DEFAULT) -> str:
            found = [record.reading for record in readings.buffer(name).records]
            values = np.array([value for value in found if abs(value) < OVERFLOW_BOUND])
            return number_text(float(what(values)) if values.size else 0.0)

        return tell

    one = (_BUFFER,)
    return [
        Command("TRACe:STATistics:AVERage?", telling(np.mean), one),
        Command("TRACe:STATistics:MAXimum?", telling(np.max), one),
        Command("TRACe:STATistics:MINimum?", telling(np.min), one),
        Command("TRACe:STATistics:STDDev?", telling(lambda x: float(np.std(x, ddof=1)) if x.size > 1 else 0.0), one),
        Command("TRACe:STATistics:CLEar", lambda *_: None, one),
    ]


def _format(smu: SourceMeterCore) -> list[Command]:
    def data(word: str) -> None:
        smu.settings.data_format = word

    def order(word: str) -> None:
        smu.settings.byte_order = word

    def precision(digits: int) -> None:
        smu.settings.precision = digits

    return [
        Command("FORMat[:DATA]", data, (Choice("type", ("ASCii", "REAL", "SREal")),)),
        Command("FORMat[:DATA]?", lambda: smu.settings.data_format),
        Command("FORMat:BORDer", order, (Choice("order", ("NORMal", "SWAPped")),)),
        Command("FORMat:BORDer?", lambda: smu.settings.byte_order),
        Command(
            "FORMat:ASCii:PRECision", precision, (Integer("digits", low=0, high=16, default=0, words={"AUTO": 0}),)
        ),
        Command("FORMat:ASCii:PRECision?", lambda: str(smu.settings.precision)),
    ]


def _trigger(readings: Readings, trigger: TriggerModel) -> list[Command]:
    def loop(count: int, delay: float = 0.0, name: str = _DEFAULT) -> None:
        trigger.load(LoopPlan(count, 0.0, delay, readings.buffer(name).name))

    def duration(seconds: float, delay: float = 0.0, name: str = _DEFAULT) -> None:
        trigger.load(LoopPlan(0, seconds, delay, readings.buffer(name).name))

    def load(template: str, *values: str | float) -> None:
        known = template.replace(" ", "").upper()
        if known == "EMPTY":
            trigger.load(None)
        elif known == "CONFIGLIST":
            config_list(*values)
        elif known not in ("SIMPLELOOP", "DURATIONLOOP"):
            raise ScpiError(-241, f"the simulator has no trigger model {template}")
        elif len(values) < 1:
            raise ScpiError(-109, f"{template} needs a count or a duration")
        else:
            delay = number_of(values[1], _DELAY) if len(values) > 1 else 0.0
            name = str(values[2]) if len(values) > 2 else _DEFAULT
            if known == "SIMPLELOOP":
                loop(round(number_of(values[0], count)), delay, name)
            else:
                duration(number_of(values[0], seconds), delay, name)

    def number_of(value: str | float, limits: Number) -> float:
        if isinstance(value, str):
            raise ScpiError(-104, f"{limits.name} is a number")
        return float(limits.convert(repr(value)))

    def config_list(*values: str | float) -> None:
        if len(values) < 2:
            raise ScpiError(-109, "ConfigList needs a measure and a source configuration list")
        measured, sourced = str(values[0]), str(values[1])
        delay = number_of(values[2], _DELAY) if len(values) > 2 else 0.0
        trigger.load_lists(measured, sourced, delay, str(values[3]) if len(values) > 3 else _DEFAULT)

    count = Integer("count", low=1, high=268435455)
    seconds = Number("duration", low=167e-9, high=1e5)
    return [
        Command("INITiate[:IMMediate]", trigger.initiate),
        Command("TRIGger:STATe?", trigger.state),
        Command("TRIGger:LOAD", load, (Text("template"), Loose()), repeat=4),
        Command("TRIGger:LOAD:CONFiguration:LIST", config_list, (Text("measure list"), Loose("source list")), repeat=2),
        Command("TRIGger:LOAD:LOOP:SIMPle", loop, (count, _DELAY, _BUFFER)),
        Command("TRIGger:LOAD:LOOP:DURation", duration, (seconds, _DELAY, _BUFFER)),
        Command("TRIGger:LOAD:EMPTy", lambda: trigger.load(None)),
    ]
