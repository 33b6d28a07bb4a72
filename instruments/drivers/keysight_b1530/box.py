"""Keysight B1530A WGFMU, in a B1500A mainframe: two channels with RSUs, through the maker's library.

Functions, their arguments and their numbers are those of the library's header as public repositories have it; what of
ranges and times is from memory, ``docs/keysight-b1500a.md`` says. QCoDeS has an empty stub for it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any, ClassVar

from qcodes.instrument import Instrument

from ....common.errors import RefusedError, XbarlabError
from ...capabilities import Clock, Identity
from ...clock import SimulatedClock, WallClock
from ...errors import ConnectionLostError, InstrumentError
from ...limits import Limits
from ...wire.interrupts import uninterrupted
from ...wire.safe_state import SafeStep, steps_taken
from ...wire.wire_log import current_log
from ..carried_limits import ChipLimits, carried
from ..source_limits import SourceLimits
from .calls import WgfmuCalls
from .digitiser import WgfmuDigitiser
from .library import NAME, wgfmu_library
from .pulser import WgfmuPulser

_LOG = logging.getLogger(__name__)

_STEPS = ("stop", "0 V by a pattern", "disconnected")


class KeysightB1530Box(Instrument):
    """Both channels of a WGFMU.

    Parameters
    ----------
    name : str
    session : str
        VISA resource name of the mainframe, as the library opens it: that of its SMUs.
    channels : sequence of int
        Two channel ids, slot · 100 + 1 and + 2; those there are by default.
    library : str
        ``wgfmu``, the file of it, or ``bench.yaml@xbarlab`` for a mock bench.
    chip, limits
        Narrow what may be applied.
    """

    PARTS: ClassVar[Mapping[str, type]] = {"pulser": WgfmuPulser, "digitiser": WgfmuDigitiser}
    """What can have a role in a station, by name: ``pulser: box.pulser``."""

    def __init__(
        self,
        name: str,
        *,
        session: str = "GPIB0::17::INSTR",
        channels: Sequence[int] | None = None,
        library: str = NAME,
        chip: ChipLimits | str | PathLike[str] | None = None,
        limits: Limits | Mapping[str, float] | None = None,
        **qcodes: Any,
    ) -> None:
        vendor = wgfmu_library(library, who=name)
        self._simulation = getattr(vendor, "simulation", None)
        allowed = carried(name, chip, limits)
        super().__init__(name, **qcodes)
        self.clock: Clock = WallClock() if self._simulation is None else SimulatedClock(self._simulation)
        self.ending: tuple[SafeStep, ...] = ()
        self.power_failed = False
        self.tell_incident: Callable[[str], object] = _LOG.info
        self.numbers: tuple[int, ...] = ()
        self._session, self._idled_at = session, -1
        self.calls = WgfmuCalls(name, vendor, session, log=current_log())
        try:
            self.numbers = self._chosen(self.calls.open(), channels)
            self.pulser = WgfmuPulser(self, "pulser", SourceLimits(f"{name}.pulser", (), allowed, allowed=()))
            self.digitiser = WgfmuDigitiser(
                self, "digitiser", SourceLimits(f"{name}.digitiser", (), allowed, allowed=())
            )
            for part in (self.pulser, self.digitiser):
                self.add_submodule(part.short_name, part)
        except BaseException:
            self._let_go()
            raise
        self._calls_before = self.calls.count

    def _chosen(self, there: tuple[int, ...], channels: Sequence[int] | None) -> tuple[int, ...]:
        known = ", ".join(map(str, there)) or "none"
        wanted = tuple(there[:2] if channels is None else channels)
        if len(set(wanted)) != 2 or not set(wanted) <= set(there):
            raise RefusedError(
                f"{self.name}: channels {list(wanted)}: two different ones of those that {self._session} has: {known}"
            )
        return wanted

    # -- what a station asks of every instrument ---------------------------------------------------------------------

    @property
    def place(self) -> str:
        """The mainframe's address."""
        return self._session

    @property
    def simulated(self) -> bool:
        """Whether a simulator stands behind the library's calls."""
        return self._simulation is not None

    @property
    def identity(self) -> Identity:
        """Who answers; the library tells no serial number, only channels."""
        serial = f"channels {', '.join(map(str, self.numbers))} of {self._session}"
        if self._simulation is None:
            return Identity("Keysight", "B1530A", serial, "")
        told = self._simulation.info()
        return Identity(
            "Keysight", "B1530A", f"{self._simulation.serial} {serial}", "", simulation=told, birth=str(told["birth"])
        )

    def get_idn(self) -> dict[str, str | None]:
        """Return who answers, as QCoDeS wants it."""
        who = self.identity
        return {"vendor": who.maker, "model": who.model, "serial": who.serial, "firmware": who.firmware}

    @property
    def transactions(self) -> int:
        """Calls that reached the instrument since it was opened."""
        return self.calls.count - self._calls_before

    @property
    def is_idle(self) -> bool:
        """Whether the last way to the safe state was confirmed, step by step."""
        return bool(self.ending) and all(step.confirmed for step in self.ending)

    @property
    def is_fresh(self) -> bool:
        """Whether nothing has reached it since the last way to the safe state."""
        return self.calls.count == self._idled_at

    def idle(self, *, reconnect: bool = True) -> None:
        """Stop what runs, 0 V by a pattern, disconnect; in any state. It logs what the library refuses."""
        del reconnect
        if not self.calls.is_open:
            return
        with uninterrupted(), self.calls.lock:
            why = ""
            for _ in range(2):
                try:
                    self.calls.zero(self.numbers, self.clock.wait)
                except XbarlabError as error:
                    why = str(error)
                else:
                    why = ""
                    break
            if why:
                _LOG.warning("idle: %s; what it drives stays: switch the mainframe off", why)
            self.ending = steps_taken(self.name, _STEPS, 0, why)
            self._idled_at = self.calls.count

    def require_power(self, doing: str) -> None:
        """Raise when the mainframe has been off: its library says that it is not reached then."""
        if self.power_failed:
            raise InstrumentError(f"{self.calls.place}: it was without power (after {doing}): open the bench again")

    def restore(self) -> None:
        """Open the session anew, from the safe state."""
        self.reset()

    def reset(self) -> None:
        """Close the session and open it again: every channel reset, which disconnects it."""
        with self.calls.lock:
            try:
                self.calls.close()
            except XbarlabError as error:
                _LOG.info("%s", error)
            there = self.calls.open()
            if not set(self.numbers) <= set(there):
                raise ConnectionLostError(f"{self.calls.place}: channels {self.numbers} are not there any more")

    def note_incident(self, sentence: str) -> None:
        """Keep what went wrong and was got over."""
        self.tell_incident(sentence)

    def simulated_seconds(self) -> float:
        """Return the simulator's clock [s]."""
        return self._simulated().simulated_seconds()

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        self._simulated().advance_simulation(seconds)

    def _simulated(self) -> Any:
        if self._simulation is None:
            raise RefusedError(f"{self.name} is no simulated instrument: it has no clock of its own")
        return self._simulation

    def close(self) -> None:
        """Make it safe, and close the session."""
        calls: WgfmuCalls | None = getattr(self, "calls", None)  # QCoDeS takes an instrument's attributes away
        if calls is not None and calls.is_open:
            self.idle()
            self._let_go()
        super().close()

    def _let_go(self) -> None:
        try:
            self.calls.close()
        except XbarlabError as error:
            _LOG.info("%s", error)
