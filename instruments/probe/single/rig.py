"""One source-measure unit and what is on its probes: programs of levels, and devices brought one after the other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ....common.errors import RefusedError
from ...capabilities import FloatArray
from ...drivers.roles import BenchInstrument, TimedMeter
from ...errors import InstrumentError
from ...limits import Limits
from ..together import Together, make_sources_idle
from .by_hand import DeviceStress
from .contact import Contact
from .hand import Hand, Request, hand_for

if TYPE_CHECKING:
    from ...chip.chip_file import Chip

TRIES = 5
"""How often a device is asked for whose contact is not right."""

Cell = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a program [points] each: ``time`` after its first reading [s], ``volts``, ``current`` [A], flags."""

    time: FloatArray
    volts: FloatArray
    current: FloatArray
    flags: NDArray[np.uint8]


class DeviceRig(Together):
    """A source-measure unit whose two leads are on one device, which a person changes when asked.

    Whatever has a voltage is a list of levels that the instrument goes through by itself and that ends at 0 V: a host
    that dies leaves behind no more than the rest of one, which takes ``longest`` [s] at most.

    Parameters
    ----------
    name : str
        Of the array.
    smu : TimedMeter
    chip : Chip
        With the names of its devices.
    limits : Limits
        What may be applied to a device.
    contact : Contact
        What is looked for when a device has been connected.
    nplc : float
        Mains cycles of a reading.
    longest : float [s]
        What one program may take.

    Attributes
    ----------
    smu, limits, longest, polarity
    hand : callable, optional
        Who connects devices, in place of the command or the person that would be asked.
    """

    def __init__(
        self, name: str, *, smu: TimedMeter, chip: Chip, limits: Limits, contact: Contact, nplc: float, longest: float
    ) -> None:
        super().__init__(name, (smu,), (chip.rows, chip.cols))
        self.smu, self.limits, self.longest, self.polarity = smu, limits, longest, chip.polarity
        self.hand: Hand | None = None
        self._offered: Hand | None = None
        self._chip, self._contact, self._nplc = chip, contact, nplc
        self._named = chip.device_names
        # A single device needs nobody to change it: it is there from the beginning.
        self._on: Cell | None = (0, 0) if len(self._named) == 1 else None
        self._is_checked = False
        smu.set_limits(limits)
        smu.configure(nplc=nplc)
        if hasattr(smu, "stress"):
            smu.stress = DeviceStress(  # pyright: ignore[reportAttributeAccessIssue]
                shape=(chip.rows, chip.cols),
                polarity=chip.polarity,
                limits=limits,
                account=lambda: self.wear,
                acting=lambda: self.lock.is_mine,
                connected=lambda: self._on,
            )

    @property
    def always(self) -> tuple[BenchInstrument, ...]:
        """What takes part in every action."""
        return ()

    def make_idle(self) -> None:
        """Put the source at 0 V and off. The device stays on its probes."""
        make_sources_idle(self.all)

    @property
    def connected(self) -> str:
        """Name of the device on the probes, "" where nobody has said yet."""
        return "" if self._on is None else self._named[self._on]

    # -- the device --------------------------------------------------------------------------------------------------

    def bring(self, row: int, col: int) -> None:
        """Have a device on the probes: ask for it where another one is there, and look whether they touch it.

        Raises
        ------
        RefusedError
            Nobody can be asked.
        InstrumentError
            The contact is not right after several times.
        """
        self.lock.go_on()
        cell, name = (row, col), self._named[row, col]
        trouble = ""
        if self._on == cell:
            if self._is_checked:
                return
            trouble = self._checked(name)
            if not trouble:
                return
        for _ in range(TRIES):
            self._ask(cell, Request(name, self._chip.id, trouble))
            trouble = self._checked(name)
            if not trouble:
                return
        raise InstrumentError(f"{trouble}; it was asked for {TRIES} times: xbarlab resume goes on with it")

    def _ask(self, cell: Cell, request: Request) -> None:
        connect = self.hand or hand_for(self._offered)
        self.smu.disconnect()
        self._on, self._is_checked = None, False
        connect(request)
        self.lock.go_on()
        self._on = cell
        self.smu.connect()

    def offer(self, hand: Hand | None) -> None:
        """Name who connects devices where neither a command is named nor ``hand`` is set."""
        self._offered = hand

    def _checked(self, name: str) -> str:
        """Return what is wrong with the contact, "" where nothing is."""
        self.smu.integrate(self._nplc)
        seen = self.play(self.polarity * self._contact.levels, compliance=self.limits.current_max)
        zero, across = slice(None, None, seen.volts.size - 1), slice(1, -1)
        amps = self.polarity * (seen.current[across].mean() - seen.current[zero].mean())
        limited = bool(seen.flags[across].any())
        trouble = self._contact.trouble(name, math.inf if limited else float(amps) / self._contact.volts)
        self._is_checked = not trouble
        return trouble

    # -- programs ----------------------------------------------------------------------------------------------------

    def require_length(self, seconds: float, *, channel: str) -> None:
        """Refuse a program that takes too long."""
        if seconds > self.longest:
            raise RefusedError(
                f"{channel} takes {seconds:.3g} s, and a device of {self.name} is left alone for at most "
                f"{self.longest:g} s, whatever becomes of the host (longest): choose fewer points or a shorter dwell, "
                "or a larger longest in the station file"
            )

    def play(
        self, levels: FloatArray, *, compliance: float, dwell: float = 0.0, largest: float | None = None
    ) -> Played:
        """Let the instrument go through ``levels`` [V], and through 0 V after them.

        Parameters
        ----------
        compliance : float [A]
        dwell : float [s]
            From a level to its reading.
        largest : float [A]
            Measure on one range, that of this current: every level lasts as long, and readings have their times.
        """
        self.lock.go_on()
        program = np.append(levels, 0.0)
        if largest is None:
            volts, current, flags = self.smu.sweep(program, compliance=compliance, dwell=dwell)
            time = np.full(program.size, np.nan)
        else:
            time, volts, current, flags = self.smu.timed_sweep(
                program, compliance=compliance, dwell=dwell, largest=largest
            )
        return Played(time[:-1], volts[:-1], current[:-1], flags[:-1])

    def pieces(self, count: int, points: int, seconds: float) -> Sequence[int]:
        """Return how many of ``count`` alike, of so many ``points`` and ``seconds`` [s] each, go into each program."""
        room = self.smu.facts.points_max - 3  # 0 V before, between and behind them
        most = max(1, min(room // points, int(self.longest / seconds) if seconds > 0.0 else room))
        whole, rest = divmod(count, most)
        return [most] * whole + ([rest] if rest else [])
