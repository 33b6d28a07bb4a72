"""What the parts of a B1530A have alike: limits, and an execution that is run to its end."""

from __future__ import annotations

from typing import Any, Protocol, cast

import numpy as np
from qcodes.instrument import InstrumentChannel

from ....common.errors import RefusedError
from ...limits import Limits, refuse_bad_number
from ...wire.doors import alone
from ..box_part import BoxPart
from ..source_limits import SourceLimits
from ..stress import Stress, Unheard
from .calls import PIECE_SECONDS, WgfmuCalls
from .shapes import AVERAGE_MAX, GRID, INTERVAL_MAX, INTERVAL_MIN, POINTS_MAX, PULSE_AMPS, Look, Waveform, amps_range

SAME = 1.0 + 1e-9


class Holder(Protocol):
    """What a part asks of the box that it is in."""

    calls: WgfmuCalls
    numbers: tuple[int, ...]
    """Its two channels."""


class WgfmuOutput(BoxPart, InstrumentChannel):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride, reportUnsafeMultipleInheritance]
    """Both channels, disconnected between executions."""

    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""

    def __init__(self, box: Holder, name: str, bounds: SourceLimits) -> None:
        InstrumentChannel.__init__(self, cast("Any", box), name)
        self._box = cast("Any", box)
        self._calls = box.calls
        self.wire = cast("Any", box.calls)
        self.bounds = bounds

    def idle(self, *, reconnect: bool = True) -> None:
        """Stop what runs, then 0 V, then disconnect. Once is enough."""
        if not (self._box.is_idle and self._box.is_fresh):
            self._box.idle(reconnect=reconnect)

    @property
    def limits(self) -> Limits:
        """What may be applied."""
        return self.bounds.now

    @property
    def source_volts_max(self) -> float:
        """Largest magnitude a terminal may ever be driven to [V]."""
        return self.bounds.source_volts_max

    @alone
    def set_limits(self, limits: Limits) -> None:
        """Narrow what may be applied; wider limits are refused."""
        self.bounds.narrow(limits)

    def execute(self, waveform: Waveform, *, pulses: int | None = None) -> None:
        """Run a waveform that was checked, on both channels, and disconnect them; whatever fails ends safe.

        ``pulses`` is how many pulses it counts as, its loops by default.
        """
        channels = self._box.numbers
        try:
            self._calls.load(channels, waveform, self.bounds.now)
            largest = [float(way[np.argmax(np.abs(way))]) for way in waveform.levels]
            self.stress.pulses(largest, waveform.loops if pulses is None else pulses)
            self._calls.run(channels, waveform.seconds, self.clock.wait)
        except RefusedError:
            raise
        except BaseException:
            self.idle()
            raise

    def check_looks(self, looks: tuple[Look, ...], seconds: float) -> None:
        """Refuse what the module cannot measure, or has not settled for."""
        where = self.name
        before = 0.0
        if sum(look.points for look in looks) > POINTS_MAX:
            raise RefusedError(f"{where}: more than {POINTS_MAX} values in one execution: choose fewer points")
        for look in looks:
            _, span, wanted = amps_range(look.amps)
            refuse_bad_number("points", look.points, 1, POINTS_MAX, "values", channel=where)
            refuse_bad_number("average", look.average, GRID / SAME, AVERAGE_MAX, "s", channel=where)
            refuse_bad_number("interval", look.interval, INTERVAL_MIN / SAME, INTERVAL_MAX, "s", channel=where)
            if look.points > 1 and look.average > look.interval * SAME:
                raise RefusedError(f"{where}: an average of {look.average:g} s in an interval of {look.interval:g} s")
            if look.begin < before or look.end > seconds * SAME:
                raise RefusedError(
                    f"{where}: measured from {look.begin:g} s to {look.end:g} s: it lies in the waveform of "
                    f"{seconds:g} s, behind what is measured before"
                )
            if span < PULSE_AMPS and look.begin - before < wanted / SAME:
                raise RefusedError(
                    f"{where}: the {span:g} A range settles in {wanted:g} s (from memory of the data sheet), and "
                    f"{look.begin - before:g} s are left for it: begin later, or choose a higher range"
                )
            before = look.end

    def check_length(self, seconds: float, most: float = PIECE_SECONDS) -> None:
        """Refuse an execution that is longer than a host may leave the module alone with."""
        refuse_bad_number("length of the execution", seconds, 0.0, most, "s", channel=self.name)
