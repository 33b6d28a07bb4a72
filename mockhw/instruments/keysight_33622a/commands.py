"""Command table of the simulated 33622A, in the order of the 33500/33600 Operating and Service Guide."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from ...scpi.arguments import Boolean, Choice, Integer, Parameter, Text
from ...scpi.tree import Command
from .channel import Channel
from .levels import SMALLEST_VPP
from .numbers import BOUND, Amplitude, Quantity, real

if TYPE_CHECKING:
    from .generator import Generator

_FUNCTIONS: Final = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARBitrary", "DC")


def generator_commands(box: Generator) -> list[Command]:
    """Return every command of ``box``."""
    return [
        *_levels(box),
        *_words(box),
        *_flags(box),
        *_output(box),
        *_triggers(box),
    ]


def _levels(box: Generator) -> list[Command]:
    """Return what sets volts: limits and words depend on all the other levels."""

    def level(
        pattern: str, get: Callable[[Channel], float], put: Callable[[Channel, float], None], default: float
    ) -> list[Command]:
        def bound(channel: Channel, word: str) -> float:
            return {"MIN": -channel.peak, "MAX": channel.peak, "DEF": default}[word]

        def write(number: int, value: float | str) -> None:
            channel = box.channel(number)
            put(channel, bound(channel, value) if isinstance(value, str) else value)
            box.apply(number)

        def read(number: int, word: str | None = None) -> str:
            channel = box.channel(number)
            return real(get(channel) if word is None else bound(channel, word))

        return [
            Command(pattern, write, (Quantity("level", "V"),)),
            Command(pattern + "?", read, (BOUND,)),
        ]

    def largest(channel: Channel) -> float:
        return 2.0 * (channel.peak - abs(channel.offset))

    def amplitude_bound(channel: Channel, word: str) -> float:
        return {"MIN": SMALLEST_VPP * channel.share, "MAX": largest(channel), "DEF": 0.1}[word]

    def set_amplitude(number: int, value: tuple[float | str, str]) -> None:
        channel = box.channel(number)
        size, unit = value
        if isinstance(size, str):
            channel.set_amplitude(amplitude_bound(channel, size), "VPP")
        else:
            channel.set_amplitude(size, unit or channel.unit)
        box.apply(number)

    def amplitude(number: int, word: str | None = None) -> str:
        channel = box.channel(number)
        vpp = channel.vpp if word is None else amplitude_bound(channel, word)
        return real(channel.amplitude(vpp, channel.unit))

    root = "[SOURce#]:VOLTage"
    return [
        Command(f"{root}[:LEVel][:IMMediate][:AMPLitude]", set_amplitude, (Amplitude("amplitude", "V"),)),
        Command(f"{root}[:LEVel][:IMMediate][:AMPLitude]?", amplitude, (BOUND,)),
        *level(f"{root}[:LEVel][:IMMediate]:HIGH", lambda c: c.high, Channel.set_high, 0.05),
        *level(f"{root}[:LEVel][:IMMediate]:LOW", lambda c: c.low, Channel.set_low, -0.05),
        *level(f"{root}:LIMit:HIGH", lambda c: c.limit_high, Channel.set_limit_high, 5.0),
        *level(f"{root}:LIMit:LOW", lambda c: c.limit_low, Channel.set_limit_low, -5.0),
    ]


def _words(box: Generator) -> list[Command]:
    def choice(pattern: str, words: tuple[str, ...], name: str, put: Callable[[Channel, str], None]) -> list[Command]:
        def write(number: int, word: str) -> None:
            put(box.channel(number), word)
            box.apply(number)

        def read(number: int) -> str:
            return str(getattr(box.channel(number), name))

        return [
            Command(pattern, write, (Choice(name.replace("_", " "), words),)),
            Command(pattern + "?", read),
        ]

    def store(name: str) -> Callable[[Channel, str], None]:
        return lambda channel, word: setattr(channel, name, word)

    def frequency_mode(channel: Channel, word: str) -> None:
        channel.frequency_mode = {"SWE": "SWEEP", "FIX": "FIXED"}.get(word, word)

    polarities = ("NORMal", "INVerted")
    source = "[SOURce#]:"
    return [
        *choice(f"{source}FUNCtion[:SHAPe]", _FUNCTIONS, "function", Channel.set_function),
        *choice(f"{source}FREQuency:MODE", ("CW", "LIST", "SWEep", "FIXed"), "frequency_mode", frequency_mode),
        *choice(f"{source}VOLTage:UNIT", ("VPP", "VRMS", "DBM"), "unit", Channel.set_unit),
        *choice(f"{source}FUNCtion:PULSe:HOLD", ("WIDTh", "DCYCle"), "hold", Channel.set_hold),
        *choice(f"{source}BURSt:MODE", ("TRIGgered", "GATed"), "burst_mode", store("burst_mode")),
        *choice(f"{source}BURSt:GATE:POLarity", polarities, "gate_polarity", store("gate_polarity")),
        *choice("OUTPut#:POLarity", polarities, "polarity", store("polarity")),
        *choice("OUTPut#:SYNC:POLarity", polarities, "sync_polarity", store("sync_polarity")),
        *choice("TRIGger#:SOURce", ("IMMediate", "EXTernal", "TIMer", "BUS"), "trigger_source",
                Channel.set_trigger_source),
        *choice("TRIGger#:SLOPe", ("POSitive", "NEGative"), "trigger_slope", store("trigger_slope")),
    ]  # fmt: skip


def _flags(box: Generator) -> list[Command]:
    def flag(pattern: str, get: Callable[[Channel], bool], put: Callable[[Channel, bool], None]) -> list[Command]:
        def write(number: int, on: bool) -> None:
            put(box.channel(number), on)
            box.apply(number)

        def read(number: int) -> str:
            return "1" if get(box.channel(number)) else "0"

        return [
            Command(pattern, write, (Boolean("state"),)),
            Command(pattern + "?", read),
        ]

    def store(name: str) -> Callable[[Channel, bool], None]:
        return lambda channel, on: setattr(channel, name, on)

    def autorange(number: int, word: str) -> None:
        channel = box.channel(number)
        channel.autorange = word in ("ON", "1") or (word == "ONCE" and channel.autorange)

    source = "[SOURce#]:"
    ranges = flag(f"{source}VOLTage:RANGe:AUTO", lambda c: c.autorange, store("autorange"))
    return [
        *flag("OUTPut#[:STATe]", lambda c: c.output, store("output")),
        *flag(f"{source}BURSt:STATe", lambda c: c.burst, Channel.set_burst),
        *flag(f"{source}VOLTage:LIMit:STATe", lambda c: c.limits_on, Channel.set_limits),
        Command(ranges[0].pattern, autorange, (Choice("auto", ("ON", "OFF", "ONCE", "1", "0")),)),
        ranges[1],
        *flag("INITiate#:CONTinuous", lambda c: c.continuous, Channel.set_continuous),
    ]


def _output(box: Generator) -> list[Command]:
    """Return what belongs to the instrument and not to a channel."""

    def keep(pattern: str, parameter: Parameter, name: str, show: Callable[[Any], str]) -> list[Command]:
        def write(value: Any) -> None:
            setattr(box, name, value)

        return [
            Command(pattern, write, (parameter,)),
            Command(pattern + "?", lambda: show(getattr(box, name))),
        ]

    def show(text: str) -> None:
        box.text = text[:40]

    place = Integer("state", low=0, high=4)

    def sync_source(word: str) -> None:
        box.sync_source = int(word[-1])

    return [
        *keep("OUTPut:SYNC[:STATe]", Boolean("state"), "sync_output", lambda on: "1" if on else "0"),
        *keep("OUTPut:SYNC:MODE", Choice("mode", ("NORMal", "CARRier", "MARKer")), "sync_mode", str),
        Command("OUTPut:SYNC:SOURce", sync_source, (Choice("source", ("CH1", "CH2")),)),
        Command("OUTPut:SYNC:SOURce?", lambda: f"CH{box.sync_source}"),
        *keep("UNIT:ANGLe", Choice("unit", ("DEGree", "RADian", "SECond")), "angle_unit", str),
        *keep("OUTPut:TRIGger[:STATe]", Boolean("state"), "trigger_output", lambda on: "1" if on else "0"),
        *keep("DISPlay[:STATe]", Boolean("state"), "display", lambda on: "1" if on else "0"),
        Command("SYSTem:BEEPer[:IMMediate]", lambda: None),
        Command("DISPlay:TEXT[:DATA]", show, (Text("text"),)),
        Command("DISPlay:TEXT[:DATA]?", lambda: f'"{box.text}"'),
        Command("DISPlay:TEXT:CLEar", lambda: show("")),
        Command("*SAV", box.save_state, (place,)),
        Command("*RCL", box.recall_state, (place,)),
    ]


def _triggers(box: Generator) -> list[Command]:
    def synchronize(number: int) -> None:
        box.channel(number)
        box.synchronize()

    def apply(function: str) -> Callable[..., None]:
        def put(number: int, *values: Any) -> None:
            box.channel(number).apply(function, *values)
            box.apply(number)

        return put

    def applied(number: int) -> str:
        channel = box.channel(number)
        values = ",".join(
            real(v) for v in (channel.frequency, channel.amplitude(channel.vpp, channel.unit), channel.offset)
        )
        return f'"{channel.function} {values}"'

    values = (
        Quantity("frequency", "HZ", optional=True),
        Amplitude("amplitude", "V", optional=True),
        Quantity("offset", "V", optional=True),
    )
    names = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "NOISe", "DC")
    return [
        Command("*TRG", box.bus_trigger),
        Command("TRIGger#[:IMMediate]", box.trigger),
        Command("INITiate#[:IMMediate]", box.initiate),
        Command("ABORt", box.abort, aborts=lambda: True),
        Command("[SOURce#]:PHASe:SYNChronize", synchronize),
        *[Command(f"[SOURce#]:APPLy:{name}", apply("".join(c for c in name if c.isupper())), values) for name in names],
        Command("[SOURce#]:APPLy?", applied),
    ]
