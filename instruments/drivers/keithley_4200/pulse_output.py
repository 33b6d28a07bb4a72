"""The outputs of a 4225-PMU: limits, times that fit its grid, and a test that is run to its end."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qcodes.instrument import InstrumentChannel

from ....common.errors import RefusedError
from ...errors import InstrumentError
from ...limits import Limits, refuse_bad_number
from ...wire.doors import alone
from ..box_part import BoxPart
from ..source_limits import SourceLimits
from ..stress import Stress, Unheard
from .pulses import CHANNELS, EDGE_MAX, EDGE_MIN, GRID, SEGMENT_MAX, SEGMENT_MIN, on_grid

if TYPE_CHECKING:
    from ...wire.doors import GuardedInstrument

SAME = 1.0 + 1e-9
_POLLS = 10_000
_OFF = "\n".join(f":PMU:OUTPUT:STATE {n}, 0" for n in CHANNELS)
_ON = "\n".join(f":PMU:OUTPUT:STATE {n}, 1" for n in CHANNELS)


class PulseOutput(BoxPart, InstrumentChannel):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride, reportUnsafeMultipleInheritance]
    """Both channels of the card, off between tests."""

    stress: Stress = Unheard()
    """Who counts what the chip gets by hand."""
    edge_range = (EDGE_MIN, 1e-6)

    def __init__(self, box: GuardedInstrument, bounds: SourceLimits) -> None:
        InstrumentChannel.__init__(self, box, "pmu")
        self._box = box
        self.wire = box.wire
        self.bounds = bounds

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

    def _execute(self, first: str, seconds: float) -> None:
        """Run what is set up, wait for its end and switch both outputs off."""
        exchange = self.wire.exchange
        exchange.act(f"{first}{_ON}")
        exchange.act(":PMU:EXECUTE")
        self.clock.wait(seconds)
        for _ in range(_POLLS):
            reply = exchange.query(":PMU:TEST:STATUS?")
            if reply.strip() == "0":
                exchange.act(_OFF)
                return
            if reply.strip() != "1":
                raise self.wire.faults.garbled(":PMU:TEST:STATUS?", reply)
            self.clock.wait(max(0.01 * seconds, 1e-3))
        raise InstrumentError(
            f"{self.name} at {self.place} still runs a test that takes {seconds:.3g} s: look at its KXCI window, then "
            "run the step again"
        )

    def _times(self, width: float, edge: float, period: float) -> tuple[float, float, float]:
        """Return times on the card's grid [s], checked."""
        where = self.name
        width = self.bounds.now.one("width", width, channel=where, unit="s")
        refuse_bad_number("width", width, 2 * SEGMENT_MIN, SEGMENT_MAX, "s", channel=where)
        refuse_bad_number("edge", edge, EDGE_MIN, EDGE_MAX, "s", channel=where)
        refuse_bad_number("period", period, 4 * SEGMENT_MIN, SEGMENT_MAX, "s", channel=where)
        given = width
        width, edge, period = on_grid(width), on_grid(edge), on_grid(period)
        # Rounded down where up would be longer than is allowed.
        if width > self.bounds.now.width_max:
            width = round(width - GRID, 9)
        if width - edge < SEGMENT_MIN / SAME:
            raise RefusedError(
                f"edge {edge:g} s at {where} leaves no top of {SEGMENT_MIN:g} s in a width of {given:g} s: choose an "
                f"edge of at most {max(width - SEGMENT_MIN, 0.0):g} s"
            )
        if period - width - edge < SEGMENT_MIN / SAME:
            raise RefusedError(
                f"period {period:g} s at {where} leaves no room beside a width of {width:g} s with edges of {edge:g} s"
                f": choose at least {width + edge + SEGMENT_MIN:g} s"
            )
        return width, edge, period
