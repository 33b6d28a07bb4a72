"""Reading buffers of a Keithley 2450, and how their elements are written (Reference Manual, :TRACe subsystem)."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from ...scpi.device import Reply
from ...scpi.errors import ScpiError

EPOCH: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""What the instrument's calendar says when the bench is switched on; fixed, so that runs repeat."""

DEFAULT_BUFFERS: Final = ("defbuffer1", "defbuffer2")
DEFAULT_SIZE: Final = 100_000
SMALLEST: Final = 10
LARGEST: Final = 6_875_000
OVERFLOW_BOUND: Final = 9.8e37

# Status of a reading and of its source value, as bits (:TRACe:DATA?, STATus and SOURSTATus).
QUESTIONABLE, FRONT_TERMINAL, START_GROUP = 1, 8, 256
PROTECTED, READ_BACK, LIMITED, FOUR_WIRE, OUTPUT_ON = 4, 8, 32, 64, 128

_SYMBOLS: Final = {"Volt DC": "V", "Amp DC": "A", "Ohm": "Ohm", "Watt DC": "W"}
_PREFIXES: Final = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "u"), (1e-9, "n"), (1e-12, "p"))


class Record(NamedTuple):
    """One reading and what belongs to it."""

    time: float
    reading: float
    source: float
    status: int
    source_status: int
    unit: str
    source_unit: str


def when(time: float) -> datetime:
    """Return the calendar time of simulated ``time`` [s]."""
    return EPOCH + timedelta(seconds=time)


def number_text(value: float, precision: int = 0) -> str:
    """Return a reading in ASCII; ``precision`` 0 is automatic."""
    return f"{value:.{precision - 1 if precision else 6}E}"


def _formatted(value: float, unit: str) -> str:
    """Return a value as the front panel shows it."""
    if abs(value) >= OVERFLOW_BOUND:
        return "Overflow"
    scale, prefix = next(
        ((s, p) for s, p in _PREFIXES if abs(value) >= s * (1.0 - 1e-9)), (1e-12, "p") if value else (1.0, "")
    )
    return f"{value / scale:+.4f} {prefix}{_SYMBOLS[unit]}"


Writer = Callable[[Record, float, int], str]

ELEMENTS: Final[dict[str, Writer]] = {
    "DATE": lambda r, _, __: f"{when(r.time):%m/%d/%Y}",
    "FORMatted": lambda r, _, __: _formatted(r.reading, r.unit),
    "FRACtional": lambda r, _, __: f"{r.time - math.floor(r.time):.9f}",
    "READing": lambda r, _, p: number_text(r.reading, p),
    "RELative": lambda r, first, __: f"{r.time - first:.6f}",
    "SEConds": lambda r, _, __: str(int(when(r.time).timestamp())),
    "SOURce": lambda r, _, p: number_text(r.source, p),
    "SOURFORMatted": lambda r, _, __: _formatted(r.source, r.source_unit),
    "SOURSTATus": lambda r, _, __: str(r.source_status),
    "SOURUNIT": lambda r, _, __: r.source_unit,
    "STATus": lambda r, _, __: str(r.status),
    "TIME": lambda r, _, __: f"{when(r.time):%H:%M:%S}",
    "TSTamp": lambda r, _, __: f"{when(r.time):%m/%d/%Y %H:%M:%S.%f}000",
    "UNIT": lambda r, _, __: r.unit,
}
BY_WORD: Final = {
    spelling: name
    for name in ELEMENTS
    for spelling in ("".join(c for c in name if not c.islower()), name.upper())
}  # fmt: skip
_BINARY: Final[dict[str, Callable[[Record, float], float]]] = {
    "READing": lambda r, _: r.reading,
    "SOURce": lambda r, _: r.source,
    "RELative": lambda r, first: r.time - first,
}


class ReadingBuffer:
    """One buffer.

    Parameters
    ----------
    name : str
    size : int
        How many readings it holds.
    style : str
        ``STAN``, ``COMP`` or ``FULL``; told for completeness, all keep the same here.
    continuous : bool
        Whether old readings give way when it is full.
    """

    def __init__(self, name: str, size: int, *, style: str = "STAN", continuous: bool = False) -> None:
        self.name = name
        self.size = size
        self.style = style
        self.continuous = continuous
        self.records: list[Record] = []

    def add(self, record: Record) -> bool:
        """Store a reading; return False if there was no room."""
        if len(self.records) >= self.size:
            if not self.continuous:
                return False
            del self.records[0]
        self.records.append(record)
        return True

    def clear(self) -> None:
        """Forget every reading."""
        self.records = []

    def resize(self, size: int) -> None:
        """Change how many readings it holds; those in it are lost."""
        self.size = size
        self.clear()

    def part(self, start: int, end: int) -> list[Record]:
        """Return readings ``start`` to ``end``, both included, counted from 1.

        Raises
        ------
        ScpiError
            -222 when some of them do not exist.
        """
        if not 1 <= start <= end <= len(self.records):
            raise ScpiError(-222, f"readings {start} to {end} of {len(self.records)} in {self.name}")
        return self.records[start - 1 : end]

    def last(self) -> list[Record]:
        """Return the latest reading.

        Raises
        ------
        ScpiError
            -230 when there is none.
        """
        if not self.records:
            raise ScpiError(-230, f"{self.name} is empty")
        return self.records[-1:]

    def written(
        self, records: Sequence[Record], elements: Sequence[str], data_format: str, byte_order: str, precision: int
    ) -> Reply:
        """Return a reply with ``elements`` of ``records``.

        Raises
        ------
        ScpiError
            1133 for an element that has no binary form.
        """
        names = elements or ("READing",)
        first = self.records[0].time if self.records else 0.0
        if data_format == "ASC":
            writers = [ELEMENTS[name] for name in names]
            return ",".join([write(record, first, precision) for record in records for write in writers])
        if any(name not in _BINARY for name in names):
            raise no_such_element()
        takers = [_BINARY[name] for name in names]
        values = [take(record, first) for record in records for take in takers]
        order = "<" if byte_order == "SWAP" else ">"
        return [b"#0", struct.pack(f"{order}{len(values)}{'d' if data_format == 'REAL' else 'f'}", *values)]


def no_such_element() -> ScpiError:
    """Return the error for an element that is unknown or not permitted."""
    return ScpiError(1133, "Parameter 4, Syntax error, expected valid name parameters")
