"""Arbitrary waveforms of a 33622A: what is loaded, and the commands that load it (``DATA``, ``FUNCtion:ARBitrary``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from ...scpi.arguments import BlockRef, Choice, Number, Quoted, Token
from ...scpi.errors import ScpiError
from ...scpi.tree import Command
from .numbers import BOUND, Amplitude, real
from .waveform import BUILT_IN, ArbitraryWave

if TYPE_CHECKING:
    from .channel import Channel
    from .generator import Generator

_FEWEST: Final = 8
_MOST: Final = 1_000_000
_FULL_SCALE: Final = 32767


@dataclass(frozen=True)
class Name:
    """A waveform's name, in quotes or not."""

    name: str = "name"
    optional: bool = False

    def convert(self, token: Token) -> str:
        """Return the name in capitals, as the instrument keeps it."""
        if isinstance(token, BlockRef):
            raise ScpiError(-168, "a waveform has a name")
        text = token.text if isinstance(token, Quoted) else token
        if not text or not text.isprintable() or len(text) > 200:
            raise ScpiError(-224, f"{text[:20]!r} is no name of a waveform")
        return text.upper()


@dataclass(frozen=True)
class Point(Number):
    """A point of a waveform, or a block of all of them."""

    def convert(self, token: Token) -> Any:
        """Return the number, or the place of the block."""
        return token if isinstance(token, BlockRef) else super().convert(token)


def memory_commands(box: Generator) -> list[Command]:
    """Return the commands that load, select and play waveforms."""
    return [*_data(box), *_playing(box)]


def _data(box: Generator) -> list[Command]:
    def loaded(values: tuple[Any, ...], kind: str, scale: float) -> NDArray[np.float64]:
        if len(values) == 1 and isinstance(values[0], memoryview):
            dtype = np.dtype(kind).newbyteorder("<" if box.byte_order == "SWAP" else ">")
            if len(values[0]) % dtype.itemsize:
                raise ScpiError(-161, f"{len(values[0])} bytes, a point has {dtype.itemsize}")
            points = np.frombuffer(values[0], dtype=dtype).astype(np.float64) / scale
        elif any(isinstance(value, memoryview) for value in values):
            raise ScpiError(-161, "a waveform is one block or a list of numbers")
        else:
            points = np.array(values, dtype=np.float64) / scale
        if not _FEWEST <= points.size <= _MOST:
            raise ScpiError(-222, f"points {points.size}; a waveform has {_FEWEST} to {_MOST}")
        bad = ~(np.abs(points) <= 1.0 + 1.0 / _FULL_SCALE)
        if bad.any():
            at = int(np.argmax(bad))
            raise ScpiError(-222, f"point {at} is {points[at] * scale:.6g}, beyond {scale:g}")
        return points

    def load(kind: str, scale: float) -> Callable[..., None]:
        def put(number: int, name: str, *values: Any) -> None:
            channel = box.channel(number)
            if name in channel.memory or name == BUILT_IN:
                raise ScpiError(786, f"the waveform {name} already exists")
            channel.memory[name] = ArbitraryWave(name, loaded(values, kind, scale))

        return put

    def clear(number: int) -> None:
        channel = box.channel(number)
        channel.memory.clear()
        channel.select(None)
        box.apply(number)

    def catalog(number: int) -> str:
        return ",".join(f'"{name}"' for name in (BUILT_IN, *box.channel(number).memory))

    def free(number: int) -> str:
        return f"+{_MOST - sum(wave.points.size for wave in box.channel(number).memory.values())}"

    def points(number: int, name: str) -> str:
        wave = find(box.channel(number), name)
        return f"+{410 if wave is None else wave.points.size}"

    def order(word: str) -> None:
        box.byte_order = word

    root = "[SOURce#]:DATA"
    value, code = Point("point", low=-1.0, high=1.0), Point("point", low=-_FULL_SCALE - 1, high=_FULL_SCALE)
    return [
        Command(f"{root}:ARBitrary[1]", load("f4", 1.0), (Name(), value), repeat=_MOST),
        Command(f"{root}:ARBitrary[1]:DAC", load("i2", _FULL_SCALE), (Name(), code), repeat=_MOST),
        Command(f"{root}:VOLatile:CLEar", clear),
        Command(f"{root}:VOLatile:CATalog?", catalog),
        Command(f"{root}:VOLatile:FREE?", free),
        Command(f"{root}:ATTRibute:POINts?", points, (Name(),)),
        Command("FORMat:BORDer", order, (Choice("order", ("NORMal", "SWAPped")),)),
        Command("FORMat:BORDer?", lambda: box.byte_order),
    ]


def _playing(box: Generator) -> list[Command]:
    root = "[SOURce#]:FUNCtion:ARBitrary"

    def select(number: int, name: str) -> None:
        channel = box.channel(number)
        channel.select(find(channel, name))
        box.apply(number)

    def selected(number: int) -> str:
        return f'"{box.channel(number).arbitrary}"'

    def keep(name: str, node: str, words: tuple[str, ...]) -> list[Command]:
        def put(number: int, word: str) -> None:
            setattr(box.channel(number), name, word)

        def get(number: int) -> str:
            return str(getattr(box.channel(number), name))

        return [Command(f"{root}:{node}", put, (Choice(node, words),)), Command(f"{root}:{node}?", get)]

    def put_peak(number: int, value: tuple[float | str, str]) -> None:
        channel = box.channel(number)
        size, unit = value
        if isinstance(size, str):
            size, unit = {"MIN": 1e-3, "MAX": 2.0 * channel.peak, "DEF": 0.1}[size], "VPP"
        channel.set_amplitude(size, unit or "VPP")
        box.apply(number)

    def peak(number: int, _: str | None = None) -> str:
        return real(box.channel(number).vpp)

    def count(number: int) -> str:
        wave = box.channel(number).wave
        return f"+{410 if wave is None else wave.points.size}"

    return [
        Command(root, select, (Name(),)),
        Command(f"{root}?", selected),
        Command(f"{root}:POINts?", count),
        *keep("filter", "FILTer", ("NORMal", "STEP", "OFF")),
        *keep("advance", "ADVance", ("TRIGger", "SRATe")),
        Command(f"{root}:PTPeak", put_peak, (Amplitude("amplitude", "V"),)),
        Command(f"{root}:PTPeak?", peak, (BOUND,)),
    ]


def find(channel: Channel, name: str) -> ArbitraryWave | None:
    """Return a waveform that is loaded; None for the one that is always there.

    Raises
    ------
    ScpiError
        785 when there is none of this name.
    """
    if name == BUILT_IN:
        return None
    found = channel.memory.get(name)
    if found is None:
        raise ScpiError(785, f"the waveform {name} does not exist; load it with DATA:ARBitrary")
    return found
