"""What every action of a probe station is wrapped in: power at both ends, and everything safe when it fails."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..drivers.guarded_visa import ProbeVisaMixin
    from .bench import ProbeBench


class Acting:
    """Whatever interrupts the body, all sources are made safe before the exception goes on.

    In the end ``sources`` and the matrix say that they had power all the time: one that had not has measured, or
    given, what nobody asked for.
    """

    __slots__ = ("_array", "_sources")

    def __init__(self, array: ProbeBench, sources: tuple[ProbeVisaMixin, ...]) -> None:
        self._array = array
        self._sources = sources

    def __enter__(self) -> None:
        for driver in (*self._sources, self._array.matrix):
            if driver.power_failed:
                driver.restore()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self._array.idle()
            return
        try:
            for driver in (*self._sources, self._array.matrix):
                driver.require_power("an action")
        except BaseException:
            self._array.idle()
            raise
