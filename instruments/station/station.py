"""A station file becomes a :class:`Bench`, and every way out of a bench ends at 0 V and disconnected."""

from __future__ import annotations

import atexit
import json
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar
from weakref import WeakSet

from ...common.errors import RefusedError, XbarlabError
from ...common.owned import NotCopied
from ...common.progress import ProgressBar
from ..capabilities import Clock, CrossbarArray, Identity
from ..clock import WallClock
from ..wire.forked import keep
from ..wire.interrupts import uninterrupted
from ..wire.wire_log import tracing
from .bench_lock import BenchLock
from .failed_opening import bad_entry, failed_at_opening, logged
from .fitting import require_array
from .instrument_types import known_arguments
from .qcodes_station import station_class
from .station_file import ComposedArray, StationFile, read_station
from .terminations import TERMINATIONS
from .thermometer import Thermometer, find_thermometer

if TYPE_CHECKING:
    from qcodes.station import Station

    from ..chip.chip_file import Chip
    from ..chip.wear_ledger import WearLedger
    from ..joined.wear import JoinedWear
    from ..wire.safe_state import SafeStep

log = logging.getLogger(__name__)

_T = TypeVar("_T")


def load_station(path: Path | str, *, overrides: Mapping[str, Any] | None = None) -> Bench:
    """Check a station file and return its bench, not opened yet: ``with load_station(path) as bench``.

    Parameters
    ----------
    overrides : mapping
        Merged over the file, section by section.

    Raises
    ------
    RefusedError
        Bad input: nothing was opened or sent.
    """
    return Bench(read_station(path, overrides=overrides))


class Bench(NotCopied):
    """The instruments of a station, opened by ``with`` and safe on every exit.

    Normal end, exception, Ctrl-C, SIGTERM, SIGHUP and the end of the interpreter all idle the array (0 V, then
    disconnected) before the instruments are closed and the bench is given back.

    Parameters
    ----------
    trace : a wire log is written to this file
    hand : who connects single devices, where neither a command nor the array's own ``hand`` is named
    """

    _why_not_copied = "a bench owns its instruments"

    def __init__(
        self, file: StationFile, *, trace: Path | str | None = None, hand: Callable[[Any], object] | None = None
    ) -> None:
        self.file, self._trace, self._hand = file, trace, hand
        self._lock = BenchLock((*file.resources, *file.states), holder=str(file.path))
        self._station: Station | None = None
        self._station_before: Station | None = None
        self._array: CrossbarArray | None = None
        self._clock: Clock | None = None
        self._chip_lock: BenchLock | None = None
        self._wear: WearLedger | JoinedWear | None = None
        self._identities: dict[str, Identity] = {}
        self._names: list[str] = []
        self._closing = threading.RLock()
        self._is_open = False
        self._ending: tuple[SafeStep, ...] = ()
        self._incidents: list[str] = []

    def __repr__(self) -> str:
        state = "open" if self._is_open else "closed"
        return f"<Bench {self.file.path.name}: array {self.file.array}, {state}>"

    # -- what protocols use --------------------------------------------------------------------------------------------

    @property
    def array(self) -> CrossbarArray:
        """The array under test."""
        return self._opened(self._array)

    @property
    def clock(self) -> Clock:
        """The bench's time: of the wall, or of its simulator."""
        return self._opened(self._clock)

    @property
    def station(self) -> Station:
        """The QCoDeS station, for snapshots and for the other instruments."""
        return self._opened(self._station)

    @property
    def identities(self) -> dict[str, Identity]:
        """Who answered, by instrument name."""
        return dict(self._identities)

    @property
    def chip(self) -> Chip | None:
        """The chip of the station file; where several boards are joined, all of their chips as one."""
        return self.file.chip

    @property
    def wear(self) -> WearLedger | JoinedWear:
        """What the chip's cells have borne; known also when the bench is closed again."""
        return self._opened(self._wear)

    @property
    def ending(self) -> tuple[SafeStep, ...]:
        """How the instruments were left, step by step in the order it was done; empty while the bench is open.

        An instrument whose step is not "confirmed" did not say that it is safe: look at it.
        """
        return self._ending

    @property
    def incidents(self) -> tuple[str, ...]:
        """Faults that were got over since the bench was opened, one sentence each: a read that was done once more."""
        return tuple(self._incidents)

    @property
    def thermometer(self) -> Thermometer | None:
        """The chip's temperature, where the station names a thermometer: call it for kelvins."""
        name = self.file.thermometer
        if name is None:
            return None
        return find_thermometer(self.station.components, name, f"{self.file.path}: xbarlab.thermometer")

    @property
    def path(self) -> Path:
        """The station file."""
        return self.file.path

    def _opened(self, thing: _T | None) -> _T:
        if thing is None:
            raise RefusedError(f"the bench of {self.file.path.name} is not open: use it inside 'with … as bench:'")
        return thing

    # -- in and out -------------------------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Take the bench, open its instruments and make them safe."""
        if self._is_open:
            raise RefusedError(f"the bench of {self.file.path.name} is open already")
        # Where nothing would make it safe, nothing is opened.
        TERMINATIONS.enter(self, self.close, name=self.file.path.name)
        try:
            self._lock.acquire()
        except BaseException:
            TERMINATIONS.leave(self)
            raise
        self._is_open = True
        _open_benches.add(self)
        atexit.register(self.close)  # as the last resort: a notebook that never leaves its ``with``
        try:
            label, total = f"opening {self.file.path.name}", len(self.file.instruments)
            with ProgressBar(label, total, unit="instruments") as opening, tracing(self._trace):
                self._open_instruments(opening)
        except BaseException:
            self.close()
            raise
        return self

    def close(self) -> None:
        """Idle the array, close the instruments, give the bench back. Safe to call twice."""
        # Another thread may be closing it: who comes second waits until it is done.
        with self._closing:
            if not self._is_open:
                return
            try:
                with uninterrupted():
                    self._close()
            finally:
                # Behind what holds signals back, which puts the handlers in again that it found, and lets loose
                # the interruption that came meanwhile.
                TERMINATIONS.leave(self)

    def _close(self) -> None:
        self._is_open = False
        ending: list[SafeStep] = []
        if self._array is not None:
            with logged("idle"):
                self._array.idle()
                ending += getattr(self._array, "ending", ())
        self._close_instruments(ending)
        self._ending = tuple(ending)
        self._array = self._clock = self._station = None
        if self._wear is not None:
            with logged("closing the wear ledger"):
                self._wear.close()  # it can still be asked, for the report
        if self._chip_lock is not None:
            self._chip_lock.release()
            self._chip_lock = None
        self._lock.release()
        atexit.unregister(self.close)
        _open_benches.discard(self)

    def disown(self) -> None:
        """Forget everything that is open, and close nothing: for a forked child, whose parent owns it."""
        self._is_open = False
        keep((self._array, self._station, self._wear))
        self._array = self._clock = self._station = None
        self._names.clear()
        if self._wear is not None:
            self._wear.disown()
        for lock in (self._lock, self._chip_lock):
            if lock is not None:
                lock.forget()
        self._chip_lock = None
        atexit.unregister(self.close)

    def _open_instruments(self, opening: ProgressBar) -> None:
        from qcodes.instrument import Instrument
        from qcodes.station import Station

        for name in self.file.instruments:
            if Instrument.exist(name):
                raise RefusedError(
                    f"{self.file.path}: an instrument named {name} is open in this process already: close its bench "
                    "first, or give this one another name"
                )
        self._station_before = Station.default
        station = station_class()()
        station.load_config(json.dumps({"instruments": self.file.instruments}))
        self._station = station
        composed = self.file.composed
        # A composed array says in which order its instruments are made safe: sources before the relays they feed.
        first = list(composed.instruments) if composed is not None else []
        # Instrument → chip on it, of what is the array or a board of it.
        mounted = self.file.boards or ({self.file.array: self.file.chip} if composed is None else {})
        boards: dict[str, CrossbarArray] = {}
        for name in [*first, *(name for name in self.file.instruments if name not in first)]:
            extra: dict[str, Any] = {}
            if name in mounted:
                extra = {"chip": mounted[name], "limits": self.file.limits}
            elif name not in first and self._takes_limits(name):
                extra = {"chip": self.file.chip, "limits": self.file.limits}
            self._names.append(name)
            try:
                instrument: Any = station.load_instrument(name, update_snapshot=False, **extra)
                if hasattr(instrument, "tell_incident"):
                    instrument.tell_incident = self._incidents.append
                if getattr(instrument, "simulated", False) and hasattr(instrument, "ask_simulation"):
                    instrument.ask_simulation()
                identity = getattr(instrument, "identity", None)
                self._identities[name] = (
                    identity if isinstance(identity, Identity) else Identity.told(instrument.get_idn())
                )
            except XbarlabError:
                raise
            except Exception as error:
                said = bad_entry(name, self.file.instruments[name], self.file.types[name].make, error)
                if said is not None:
                    raise RefusedError(f"{self.file.path}: instruments.{name}: {said}") from error
                failed = failed_at_opening(name, self.file.instruments[name], self.file.types[name].make, error)
                if failed is None:
                    raise  # nothing in the file explains it: a driver's defect
                raise failed from error
            opening.advance(note=name)
            if name in mounted:
                require_array(instrument, where=f"{self.file.path}: xbarlab.array: {name}")
                boards[name] = instrument
                self._array = None if self.file.boards else instrument
        if composed is not None:
            self._array = self._compose(composed, station)
        elif self.file.boards:
            self._array = self._join(boards)
        self._clock = self._choose_clock()
        _ = self.thermometer  # refused now, not at the first hour of a bake
        # Only now is it known whether the instruments are simulated; until here they have been made safe, no more.
        from .chip_accounts import own_chips

        beside = [station.components[name] for name in self.file.instruments if name not in {*first, *mounted}]
        self._chip_lock, self._wear = own_chips(self.file, self.array, beside)

    def _join(self, boards: Mapping[str, CrossbarArray]) -> CrossbarArray:
        """Make the array that several boards are together, in the order of the file."""
        from ..joined.array import JoinedArrays

        try:
            return JoinedArrays([boards[name] for name in self.file.boards], name=self.file.array)
        except RefusedError as error:
            raise RefusedError(f"{self.file.path}: xbarlab.array: {error}") from error

    def _compose(self, composed: ComposedArray, station: Station) -> CrossbarArray:
        """Make the array that several instruments are together."""
        instruments = {role: _part(station, name) for role, name in composed.roles.items()}
        try:
            array = composed.type(
                self.file.array, **instruments, **composed.settings, chip=self.file.chip, limits=self.file.limits
            )
        except RefusedError as error:
            raise RefusedError(f"{self.file.path}: xbarlab.array: {error}") from error
        if hasattr(array, "offer_hand"):
            array.offer_hand(self._hand)
        return array

    def _takes_limits(self, name: str) -> bool:
        """Whether an instrument that is neither the array nor a part of it is told what the chip bears."""
        known, init = known_arguments(self.file.types[name].make), self.file.instruments[name]["init"]
        return {"chip", "limits"} <= set(known) and not {"chip", "limits"} & set(init)

    def _choose_clock(self) -> Clock:
        array = self.array
        simulated = array.spec.simulated
        if self.file.clock == "simulated" and not simulated:
            raise RefusedError(
                f"{self.file.path}: xbarlab.clock is simulated, but {array.spec.name} is a real instrument: choose auto"
            )
        if self.file.clock == "wall" and simulated:
            clock = WallClock(array)  # pyright: ignore[reportArgumentType]
            array.clock = clock  # pyright: ignore[reportAttributeAccessIssue]
            return clock
        return array.clock

    def _close_instruments(self, ending: list[SafeStep]) -> None:
        from qcodes.instrument import Instrument
        from qcodes.station import Station

        while self._names:
            name = self._names.pop()
            # By name: QCoDeS may have opened it and failed later, before the station knew it.
            if Instrument.exist(name):
                instrument: Any = Instrument.find_instrument(name)
                if hasattr(instrument, "ending") and name not in {step.instrument for step in ending}:
                    with logged(f"idling {name}"):
                        instrument.idle()
                        ending += instrument.ending
                with logged(f"closing {name}"):
                    instrument.close()
        for step in ending:
            log.info("way out: %s", step)
        if self._station is not None and Station.default is self._station:
            Station.default = self._station_before


def _part(station: Station, name: str) -> Any:
    """Return an instrument, or the part of one that ``box.part`` names."""
    box, _, part = name.partition(".")
    instrument: Any = station.components[box]
    return getattr(instrument, part) if part else instrument


# Those a forked child must let go of.
_open_benches: WeakSet[Bench] = WeakSet()


def _in_child() -> None:
    for bench in list(_open_benches):
        with suppress(Exception):
            bench.disown()
    _open_benches.clear()
    TERMINATIONS.forget()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
