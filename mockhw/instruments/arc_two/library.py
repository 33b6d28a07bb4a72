"""What a script imports as ``pyarc2``: the boards of one mock bench behind the library's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from . import kinds
from .instrument import Runs, SimulatedInstrument
from .kinds import ArC2Error

if TYPE_CHECKING:
    from ...sim_clock import SimClock
    from .board import ArcTwoBoard


class Simulation:
    """What a simulator says of itself, beside the library: its clock, and who is behind it.

    ``serial`` is that of the board at a port; ``info`` names profile, seed and birth of the chip.
    """

    def __init__(self, clock: SimClock, boards: Mapping[int, ArcTwoBoard], profile: str) -> None:
        self._clock, self._boards, self._profile = clock, boards, profile

    def simulated_seconds(self) -> float:
        """Return the simulated time [s]."""
        return self._clock.now

    def advance_simulation(self, seconds: float) -> None:
        """Let simulated time pass [s]."""
        self._clock.advance(seconds)

    def serial(self, port: int) -> str:
        """Return the serial number of the board at a port."""
        return self._boards[port].serial

    def info(self, port: int) -> dict[str, object]:
        """Return what is known of the chip on a board."""
        chip = self._boards[port].chip
        return {"profile": self._profile, "seed": chip.seed, "birth": chip.birth}


class Pyarc2:
    """The names of the module ``pyarc2``.

    Parameters
    ----------
    boards : mapping of int to ArcTwoBoard
        By port.
    """

    name = "pyarc2"
    LIBARC2_VERSION = "0.6.0"
    ArC2Config = kinds.ArC2Config
    ArC2Error = kinds.ArC2Error
    AuxDACFn = kinds.AuxDACFn
    BiasOrder = kinds.BiasOrder
    ControlMode = kinds.ControlMode
    DataMode = kinds.DataMode
    IdleMode = kinds.IdleMode
    IODir = kinds.IODir
    LogicLevel = kinds.LogicLevel
    OutputRange = kinds.OutputRange
    ReadAfter = kinds.ReadAfter
    ReadAt = kinds.ReadAt
    ReadType = kinds.ReadType
    WaitFor = kinds.WaitFor

    def __init__(self, boards: Mapping[int, ArcTwoBoard], clock: SimClock, profile: str) -> None:
        self.boards = dict(boards)
        self.simulation = Simulation(clock, self.boards, profile)

        def attach(port: int) -> Runs:
            board = self.boards.get(port)
            if board is None:
                raise ArC2Error(f"no ArC TWO with id {port}")
            if board.clients:
                raise ArC2Error(f"the ArC TWO with id {port} is in use")
            board.clients += 1
            return board

        self.Instrument = type("Instrument", (SimulatedInstrument,), {"_attach": staticmethod(attach)})

    @property
    def held(self) -> list[ArcTwoBoard]:
        """What clients hold while they are there."""
        return list(self.boards.values())

    def find_ids(self) -> list[int]:
        """Return the ids of all boards."""
        return list(self.boards)
