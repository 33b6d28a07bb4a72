"""Reads and samples of the array board (board protocol, §4.3)."""

from __future__ import annotations

from ...scpi.arguments import Integer, Number
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number, setting
from .core import COMPLIANCE_REACHED, CONVERTER_OVERFLOW, BoardCore
from .parameters import RECTANGLE, attribute, cell
from .slots import Rectangle
from .spec import block


class Reading:
    """What ``READ:MAP?`` and ``SAMPle?`` do."""

    def __init__(self, board: BoardCore) -> None:
        self._board = board
        self._map: bytes | None = None

    def forget(self) -> None:
        """Forget the last reading."""
        self._map = None

    def commands(self) -> list[Command]:
        """Return the commands of reads."""
        board, spec = self._board, self._board.spec
        return [
            *setting(
                "SENSe:RANGe",
                Number("range", "A", 0.0, spec.read_ranges[-1], words={"AUTO": None, "DEF": None, "DEFAULT": None}),
                lambda: "AUTO" if board.read_range is None else number(board.read_range),
                board.set_read_range,
            ),
            *attribute(board, "SENSe:AVERage", Integer("average", "", 1, spec.average_max, 1), "average"),
            Command("READ:MAP?", self.read_map, RECTANGLE),
            Command("FETCh:MAP?", self.fetch_map),
            Command(
                "SAMPle?",
                self.sample,
                (
                    *cell(spec),
                    Number("volts", "V", -spec.read_volts_max, spec.read_volts_max),
                    Number("gate", "V", 0.0, spec.gate_max),
                    Number("rate", "HZ", 1e-3, spec.rate_max),
                    Integer("n", low=1, high=spec.samples_max),
                ),
            ),
        ]

    def read_map(self, row0: int, nrows: int, col0: int, ncols: int) -> Hold:
        """``READ:MAP?``."""
        self._board.may_begin()
        where = Rectangle(row0, nrows, col0, ncols).check(self._board.spec)
        point = self._board.read_point
        saturate, limited = self._board.suffers("overflow"), self._board.suffers("compliance")

        def work() -> bytes:
            reading = self._board.reads.read_map(where, point, saturate=saturate, limited=limited)
            if reading.overflow:
                self._board.session.status.questionable.latch(CONVERTER_OVERFLOW)
            if limited:
                self._board.session.status.questionable.latch(COMPLIANCE_REACHED)
            self._map = reading.block()
            return self._map

        return self._board.measure("READ", point.slots(nrows) * self._board.spec.read_slot, work)

    def fetch_map(self) -> bytes:
        """``FETCh:MAP?``."""
        if self._map is None:
            raise ScpiError(-230, "nothing has been read")
        return self._map

    def sample(self, row: int, col: int, volts: float, gate: float, rate: float, count: int) -> Hold:
        """``SAMPle?``."""
        self._board.needs("sample")
        self._board.may_begin()

        def work() -> bytes:
            return block(self._board.reads.sample((row, col), volts, gate, rate, count).astype("<f4").tobytes())

        return self._board.measure("SAMPLE", self._board.spec.read_slot + count / rate, work)
