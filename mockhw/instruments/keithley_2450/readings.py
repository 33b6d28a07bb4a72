"""Readings of a Keithley 2450: making them, keeping them in buffers, handing them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ...probe_circuit.script import Run
from ...scpi.device import Hold, Reply
from ...scpi.errors import ScpiError
from .buffer import DEFAULT_BUFFERS, ReadingBuffer
from .core import SourceMeterCore
from .runs import readings_script


class Readings:
    """What ``READ?``, ``MEASure?``, ``FETCh?`` and ``TRACe`` act on.

    Parameters
    ----------
    smu : SourceMeterCore
        Whose readings they are.
    """

    def __init__(self, smu: SourceMeterCore) -> None:
        self._smu = smu

    def buffer(self, name: str = DEFAULT_BUFFERS[0]) -> ReadingBuffer:
        """Return the buffer ``name``.

        Raises
        ------
        ScpiError
            1115 when there is none.
        """
        found = self._smu.buffers.get(name)
        if found is None:
            raise ScpiError(1115, f"Parameter error: reading buffer {name} does not exist")
        return found

    def read(self, name: str = DEFAULT_BUFFERS[0], *elements: str) -> Hold:
        """``:READ?``: make :SENSe:COUNt readings and return the last."""
        buffer = self.buffer(name)
        return self._make_readings(buffer, lambda: self.written(buffer, len(buffer.records), elements))

    def measure(self, function: str | None, name: str = DEFAULT_BUFFERS[0], *elements: str) -> Hold:
        """``:MEASure?``: the same after selecting ``function``."""
        if function is not None:
            self._smu.settings.sense_function = function
        return self.read(name, *elements)

    def fetch(self, name: str = DEFAULT_BUFFERS[0], *elements: str) -> Reply:
        """``:FETCh?``: return the last reading in a buffer."""
        buffer = self.buffer(name)
        buffer.last()
        return self.written(buffer, len(buffer.records), elements)

    def fill(self, name: str = DEFAULT_BUFFERS[0]) -> Hold:
        """``:TRACe:TRIGger``: make readings, return nothing."""
        return self._make_readings(self.buffer(name), None)

    def written(self, buffer: ReadingBuffer, start: int, elements: Sequence[str], end: int | None = None) -> Reply:
        """Return the reply with readings ``start`` to ``end`` of a buffer, in the format that is set."""
        settings = self._smu.settings
        records = buffer.part(start, start if end is None else end)
        return buffer.written(records, elements, settings.data_format, settings.byte_order, settings.precision)

    def _make_readings(self, buffer: ReadingBuffer, finish: Callable[[], Reply] | None) -> Hold:
        script = readings_script(self._smu, self._smu.settings.count, buffer, self._smu.now)
        run = Run("reading", script, self._smu.now, finish)
        self._smu.start(run)
        self._smu.settle(self._smu.now)
        return run
