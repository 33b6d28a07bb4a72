"""Reads and samples of the array board (board protocol, §4.3)."""

from __future__ import annotations

from ...scpi.arguments import Integer, Number
from ...scpi.device import Hold
from ...scpi.errors import ScpiError
from ...scpi.tree import Command, number, setting
from .core import COMPLIANCE_REACHED, CONVERTER_OVERFLOW, BoardCore
from .parameters import RECTANGLE, attribute, cell
from .reads import MapReading
from .repeat import RepeatAction
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
            *self._revision_2(),
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
            return self._keep(reading, limited=limited)

        slots = point.slots(nrows)
        return self._board.measure("READ", slots * self._board.spec.read_slot, slots, work)

    def _revision_2(self) -> list[Command]:
        spec = self._board.spec
        if spec.revision < 2:
            return []
        often = Integer("n", low=1, high=spec.reads_max)
        return [
            Command("READ:REPeat?", self.repeat, (*RECTANGLE, often), missing=spec.missing("long_counts")),
        ]

    def repeat(self, row0: int, nrows: int, col0: int, ncols: int, often: int) -> Hold:
        """``READ:REPeat?``."""
        board = self._board
        if often < board.average:
            raise ScpiError(-222, f"n {often} below the average of {board.average}")
        board.may_begin()
        where = Rectangle(row0, nrows, col0, ncols).check(board.spec)
        saturate, limited = board.suffers("overflow"), board.suffers("compliance")
        start = board.session.time

        def convert() -> bytes:
            reading = board.reads.read_map(where, point, saturate=saturate, limited=limited, rerange=False)
            return self._keep(reading, limited=limited)

        point = board.read_point
        return board.hold(RepeatAction(board.chip, board.spec, start, where, point, often, convert))

    def _keep(self, reading: MapReading, *, limited: bool) -> bytes:
        status = self._board.session.status.questionable
        if reading.overflow:
            status.latch(CONVERTER_OVERFLOW)
        if limited:
            status.latch(COMPLIANCE_REACHED)
        self._map = reading.block()
        return self._map

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

        return self._board.measure("SAMPLE", self._board.spec.read_slot + count / rate, count + 1, work)
