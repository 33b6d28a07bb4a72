"""The calls that reach the maker's library, each answered for; levels are held to the limits once more here.

What is executed ends at 0 V by itself, and takes no longer than :data:`PIECE_SECONDS`: the module carries it to its
end, whether this process lives or not, and then keeps the last level.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...errors import ConnectionLostError, GarbledReplyError, InstrumentError
from .shapes import PULSE_AMPS, Waveform, amps_range, force_range

if TYPE_CHECKING:
    from ...limits import Limits
    from ...wire.wire_log import WireLog

PIECE_SECONDS = 10.0
"""Longest execution away from 0 V that is left to the module alone [s]."""
RECORD_SECONDS = 600.0
"""Longest one at 0 V, in which it records what another source drives [s]."""
_COMMUNICATION = -5
_FASTIV, _CURRENT = 2001, 4001
_MEASURES_NOT, _MEASURES = 7000, 7001
_SEVERE = 1001
_AVERAGED = 12_000
COMPLETED, DONE, RUNNING, ABORT_COMPLETED, ABORTED, _, IDLE = range(10_000, 10_007)
_ENDED = (COMPLETED, DONE, ABORT_COMPLETED, ABORTED, IDLE)
_BLOCK = 20_000
_TEXT_MAX = 4096
_ACTS = frozenset(
    {"openSession", "closeSession", "initialize", "connect", "disconnect", "execute", "abort", "getStatus",
     "getMeasureValueSize", "getMeasureValues", "getChannelIdSize", "getChannelIds"}
)  # fmt: skip


class WgfmuCalls:
    """One session with the module.

    Parameters
    ----------
    name : str
        Of the instrument, for messages.
    library : what has the functions
    session : str
        VISA resource name of the mainframe.
    log : WireLog, optional
        Where every call is written down.

    Attributes
    ----------
    lock : one thread at a time.
    count : calls that reached the instrument.
    """

    def __init__(self, name: str, library: Any, session: str, *, log: WireLog | None) -> None:
        self.place = f"{name} (WGFMU of {session})"
        self.lock = threading.RLock()
        self.count = 0
        self._name, self._library, self._session, self._log = name.replace(" ", "_"), library, session, log
        self.is_open = False
        self._connected: tuple[int, ...] = ()

    # --- session ------------------------------------------------------------------------------

    def open(self) -> tuple[int, ...]:
        """Open the session, stop what runs, and return the channels there are."""
        self._call("openSession", self._session.encode("ascii"))
        self.is_open = True
        self._call("treatWarningsAsErrors", _SEVERE)
        size = ctypes.c_int(0)
        self._call("getChannelIdSize", ctypes.pointer(size), said="getChannelIdSize")
        ids = (ctypes.c_int * max(size.value, 1))()
        self._call("getChannelIds", ids, ctypes.pointer(size), said="getChannelIds")
        # Whatever it was left at: all channels are reset, which disconnects them.
        self._call("initialize")
        return tuple(ids[at] for at in range(size.value))

    def close(self) -> None:
        """Close the session."""
        if self.is_open:
            self.is_open = False
            self._call("closeSession")

    # --- to the safe state --------------------------------------------------------------------

    def zero(self, channels: Sequence[int], wait: Callable[[float], None]) -> None:
        """Stop what runs, which leaves channels where they are; go to 0 V by a pattern; disconnect."""
        self._call("abort")
        if self._connected:
            self._call("clear")
            self._pattern("zero", np.zeros(2), np.array([1e-6]))
            for channel in self._connected:
                self._call("setMeasureEnabled", channel, _MEASURES_NOT)
                self._call("addSequence", channel, b"zero", 1.0)
            self._call("execute")
            self.until_done(1e-6, wait)
        for channel in channels:
            self._call("disconnect", channel)
        self._connected = ()

    # --- a waveform ---------------------------------------------------------------------------

    def load(self, channels: Sequence[int], waveform: Waveform, limits: Limits) -> None:
        """Compose a waveform on both channels; nothing is output yet."""
        if any(way[0] or way[-1] for way in waveform.levels):
            raise RefusedError(f"{self.place}: a waveform begins and ends at 0 V on both channels")
        longest = PIECE_SECONDS if waveform.levels.any() else RECORD_SECONDS
        if not waveform.seconds <= longest * (1.0 + 1e-9):
            raise RefusedError(f"{self.place}: {waveform.seconds:g} s in one execution: {longest:g} s at most")
        limits.check("source_volts", waveform.levels, channel=f"{self.place} ")
        codes = [force_range(way)[0] for way in waveform.levels]
        self._call("clear")
        for channel, way, code in zip(channels, waveform.levels, codes, strict=True):
            name = f"on{channel}"
            self._pattern(name, way, waveform.steps)
            self._looks(name, waveform)
            self._call("setOperationMode", channel, _FASTIV)
            self._call("setForceVoltageRange", channel, code)
            self._call("setMeasureMode", channel, _CURRENT)
            self._call("setMeasureEnabled", channel, _MEASURES if waveform.looks else _MEASURES_NOT)
            self._call("setMeasureCurrentRange", channel, amps_range(PULSE_AMPS)[0])
            self._call("addSequence", channel, name.encode("ascii"), float(waveform.loops))

    def _pattern(self, name: str, levels: FloatArray, steps: FloatArray) -> None:
        told = name.encode("ascii")
        times, volts = (np.ascontiguousarray(one, dtype=np.float64) for one in (steps, levels[1:]))
        self._call("createPattern", told, float(levels[0]))
        self._call(
            "addVectors", told, (ctypes.c_double * times.size)(*times), (ctypes.c_double * volts.size)(*volts),
            times.size, said=f"addVectors {name} {times.tolist()} {volts.tolist()}",
        )  # fmt: skip

    def _looks(self, name: str, waveform: Waveform) -> None:
        """Put measurements into a pattern; before each its range, if it is not that of the pulses, which comes back."""
        told, pulses = name.encode("ascii"), amps_range(PULSE_AMPS)[0]
        for at, look in enumerate(waveform.looks):
            code, _, settling = amps_range(look.amps)
            if code != pulses:
                self._call("setRangeEvent", told, b"to%d" % at, round(look.begin - settling, 9), code)
            self._call(
                "setMeasureEvent", told, b"look%d" % at, look.begin, look.points, look.interval, look.average, _AVERAGED
            )
            if code != pulses:
                self._call("setRangeEvent", told, b"from%d" % at, look.end, pulses)

    def run(self, channels: Sequence[int], seconds: float, wait: Callable[[float], None]) -> None:
        """Connect, execute what is composed, wait for its end, disconnect."""
        self._connected = tuple(channels)
        for channel in channels:
            self._call("connect", channel)
        self._call("execute")
        self.until_done(seconds, wait)
        for channel in channels:
            self._call("disconnect", channel)
        self._connected = ()

    def until_done(self, seconds: float, wait: Callable[[float], None]) -> None:
        """Wait for the end of an execution of ``seconds`` [s]."""
        wait(seconds)
        status = ctypes.c_int(0)
        times = ctypes.c_double(0.0), ctypes.c_double(0.0)
        for _ in range(200):
            self._call("getStatus", ctypes.pointer(status), *map(ctypes.pointer, times), said="getStatus")
            if status.value in (COMPLETED, DONE):
                return
            if status.value in _ENDED:
                raise InstrumentError(
                    f"{self.place} says status {status.value}: somebody else stopped it; run it again"
                )
            wait(max(0.02 * seconds, 1e-4))
        raise InstrumentError(
            f"{self.place} still says status {status.value} after {seconds:.3g} s that it should take: look at the "
            "mainframe, then run it again"
        )

    def values(self, channel: int, count: int) -> tuple[FloatArray, FloatArray]:
        """Return times [s] and amperes [A] of the ``count`` values a channel has measured."""
        made, total = ctypes.c_int(0), ctypes.c_int(0)
        self._call("getMeasureValueSize", channel, ctypes.pointer(made), ctypes.pointer(total))
        if made.value != count:
            raise GarbledReplyError(
                f"{self.place} has {made.value} of {count} values of channel {channel}: run it again"
            )
        parts: list[tuple[FloatArray, FloatArray]] = []
        for start in range(0, count, _BLOCK):
            size = ctypes.c_int(min(_BLOCK, count - start))
            wanted = size.value
            times, values = (ctypes.c_double * wanted)(), (ctypes.c_double * wanted)()
            self._call("getMeasureValues", channel, start, ctypes.pointer(size), times, values)
            if size.value != wanted:
                raise GarbledReplyError(f"{self.place} returned {size.value} of {wanted} values: run it again")
            parts.append((np.array(times), np.array(values)))
        if not parts:
            return np.zeros(0), np.zeros(0)
        return np.concatenate([one for one, _ in parts]), np.concatenate([one for _, one in parts])

    # --- the call itself ----------------------------------------------------------------------

    def _call(self, name: str, *arguments: Any, said: str = "") -> None:
        shown = said or " ".join((name, *(_shown(one) for one in arguments)))
        with self.lock:
            self._tell(">", shown)
            code = int(getattr(self._library, f"WGFMU_{name}")(*arguments))
            self.count += name in _ACTS
            if code == 0:
                return
            text = self._error()
        self._tell("!", f"{code} {text}")
        told = f"{self.place}: WGFMU_{name} returned {code}" + (f" ({text})" if text else "")
        if code == _COMMUNICATION:
            raise ConnectionLostError(
                f"{told}: check power, cable and address, and that EasyEXPERT does not hold the mainframe", where=name
            )
        raise InstrumentError(f"{told}: look at what was asked, then run it again", ((code, text),))

    def _error(self) -> str:
        """Return the oldest text of an error the library has."""
        size = ctypes.c_int(0)
        if int(self._library.WGFMU_getErrorSize(ctypes.pointer(size))):
            return ""
        room = ctypes.c_int(min(size.value + 1, _TEXT_MAX))
        text = ctypes.create_string_buffer(room.value + 1)
        if int(self._library.WGFMU_getError(text, ctypes.pointer(room))):
            return ""
        return " ".join(text.value.decode("latin-1").split())

    def _tell(self, direction: str, text: str) -> None:
        if self._log is not None:
            self._log.write(self._name, direction, text.encode("utf-8", "replace"))


def _shown(argument: Any) -> str:
    if isinstance(argument, bytes):
        return argument.decode("ascii")
    return f"{argument!r}" if isinstance(argument, int | float) else "…"
