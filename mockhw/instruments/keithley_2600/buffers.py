"""Reading buffers of a 2600B: ``smua.nvbuffer1``, and those that ``smua.makebuffer`` makes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ...tsp.names import RUNTIME, Attribute, Entry, Function, Items, TspError, number

CAPACITY: Final = 60_000


class Record(NamedTuple):
    """One reading [V or A], the level it was made at, its time [s] and its status."""

    reading: float
    level: float
    time: float
    status: int


_COLUMNS: Final = {"readings": 0, "sourcevalues": 1, "timestamps": 2, "statuses": 3}


@dataclass(slots=True)
class ReadingBuffer:
    """A buffer and its settings."""

    capacity: int = CAPACITY
    appendmode: float = 0.0
    collecttimestamps: float = 0.0
    collectsourcevalues: float = 0.0
    fillmode: float = 0.0
    cachemode: float = 1.0
    records: list[Record] = field(default_factory=list[Record])
    start: float = 0.0

    def clear(self) -> None:
        """Forget the readings."""
        self.records = []

    def begin(self) -> None:
        """A measurement is about to fill it: without append mode from its first place."""
        if not self.appendmode:
            self.records = []

    def add(self, record: Record) -> None:
        """Keep one reading.

        Raises
        ------
        TspError
            It is full.
        """
        if len(self.records) >= self.capacity:
            raise TspError(RUNTIME, "reading buffer is full")
        if not self.records:
            self.start = record.time
        self.records.append(record)

    def column(self, name: str) -> Callable[[int], float]:
        """Return what gives entry number ``at``, from 1, of a column; times count from the first reading."""
        place = _COLUMNS[name]

        def item(at: int) -> Any:
            if not 1 <= at <= len(self.records):
                return None
            value = self.records[at - 1][place]
            return value - self.start if name == "timestamps" else value

        return item

    def entries(self) -> dict[str, Entry]:
        """Return what scripts find of it."""
        table: dict[str, Entry] = {
            "clear": Function(self.clear),
            "n": Attribute(lambda: len(self.records)),
            "capacity": Attribute(lambda: self.capacity),
            "basetimestamp": Attribute(lambda: self.start),
            "": Items(self.column("readings")),
        }
        for name in ("appendmode", "collecttimestamps", "collectsourcevalues", "fillmode", "cachemode"):
            table[name] = Attribute(lambda name=name: getattr(self, name), self._setter(name))
        for name in _COLUMNS:
            table[name] = Items(self.column(name))
        return table

    def _setter(self, name: str) -> Callable[[Any], None]:
        return lambda value: setattr(self, name, number(value, name, 0, 1))
