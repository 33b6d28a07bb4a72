"""The relays of a switch matrix, and what moving them under load does to their contacts."""

from __future__ import annotations

from typing import ClassVar

Path = tuple[int, int]
"""Matrix input port and output port, counted from 1 as on the instrument."""


class Relays:
    """Which paths are closed, and how worn each relay is.

    A relay is good for ``LIFE`` movements without load. One under load costs ``HOT_WEAR`` of them, and a relay at the
    end of its life welds when it closes: it stays closed whatever it is told.

    Attributes
    ----------
    closed : set of Path
        Paths that conduct, welded ones included.
    asked : set of Path
        Paths that were last told to close: what the instrument reports.
    operations, hot : dict of Path to int
        Movements in all, and those under load.
    """

    LIFE: ClassVar[float] = 1e7  # assumed: usual rating of reed relays without load
    HOT_WEAR: ClassVar[float] = 1e6  # assumed
    HOT_VOLTS: ClassVar[float] = 0.05  # assumed: below this nothing arcs or sticks
    HOT_AMPS: ClassVar[float] = 1e-5  # assumed

    def __init__(self) -> None:
        self.closed: set[Path] = set()
        self.asked: set[Path] = set()
        self.welded: set[Path] = set()
        self.operations: dict[Path, int] = {}
        self.hot: dict[Path, int] = {}

    def move(self, path: Path, *, closing: bool, hot: bool) -> bool:
        """Close or open one relay; return whether it has welded just now."""
        self.operations[path] = self.operations.get(path, 0) + 1
        if hot:
            self.hot[path] = self.hot.get(path, 0) + 1
        (self.asked.add if closing else self.asked.discard)(path)
        if not closing:
            if path not in self.welded:
                self.closed.discard(path)
            return False
        self.closed.add(path)
        wear = self.operations[path] + self.HOT_WEAR * self.hot.get(path, 0)
        if path in self.welded or wear < self.LIFE:
            return False
        self.welded.add(path)
        return True
