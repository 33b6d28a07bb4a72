"""An SMU of a B1500A as a source-measure unit for a crossbar: QCoDeS's module with limits."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import numpy as np
from qcodes.instrument_drivers.Keysight import KeysightB1517A

from ....common.errors import RefusedError, XbarlabError
from ...capabilities import FloatArray
from ...limits import refuse_bad_number
from ...wire.doors import GuardedInstrument, alone
from ...wire.wire_text import sent
from ..applied_level import AppliedLevel
from ..box_part import HERTZ, CarryingSource
from ..roles import MeterFacts
from ..source_limits import COMPLIANCE_MIN, SourceLimits
from .flex_line import FORMAT
from .readings import FlexReadings
from .sweep import RECORD_SECONDS, Program, StaircaseSweep

_LOWEST = 1e-7
_SAMPLES = 128  # of the high-speed converter in a mains cycle
_SAMPLES_MAX = 1023
_OVERHEAD = 2e-3
_HEADROOM = 1.3
_RANGES = ((2.0, 20), (20.0, 200), (40.0, 400), (100.0, 1000))
# 8 is 1 pA, each next ten times as much; negative is fixed.
_FIRST_CODE, _LAST_CODE = 8, 19


@dataclass(slots=True)
class Mainframe:
    """What the SMUs of a mainframe have in common.

    Attributes
    ----------
    nplc : float
        Integration time [mains cycles].
    units : callable
        All of them.
    """

    nplc: float = 1.0
    units: dict[int, KeysightB1500Smu] = field(default_factory=dict[int, "KeysightB1500Smu"])


def current_code(amps: float) -> int:
    """Return the code of the range that holds ``amps`` [A]."""
    return min(max(int(np.ceil(np.log10(max(abs(amps), 1e-12)) - 1e-9)) + 20, _FIRST_CODE), _LAST_CODE)


class KeysightB1500Smu(CarryingSource, KeysightB1517A):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride, reportUnsafeMultipleInheritance]
    """An SMU of the mainframe. Its current limit acts with the level: ``DV`` sets both at once. Off is open."""

    facts = MeterFacts(
        ranges=(1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1),
        points_max=2500,
        delay_min=1e-4,
        relative_noise=3e-4,  # assumed
        zero_noise=1e-9,  # assumed
    )
    rate_max, points_max = 500.0, 100_001  # of record()

    _delays = (1e-4, 65.0)
    _overhead = _OVERHEAD  # assumed

    def __init__(
        self, box: GuardedInstrument, name: str, slot: int, bounds: SourceLimits, mainframe: Mainframe
    ) -> None:
        self._box, self._mainframe, self._shared = box, mainframe, mainframe
        self.wire = box.wire
        KeysightB1517A.__init__(self, cast("Any", box), name, slot)
        mainframe.units[slot] = self
        self.number = slot
        self.bounds = bounds
        self._flex = FlexReadings(box.wire)
        self._program = Program(box.wire, self._flex, slot)
        self._applied = AppliedLevel(lambda: self.stress)
        self._held = COMPLIANCE_MIN
        self._lowest_code = current_code(_LOWEST)

    # -- setting up --------------------------------------------------------------------------------------------------

    @alone
    def configure(self, *, nplc: float = 1.0, current_range_min: float = _LOWEST) -> None:
        """Set up the voltage source and the current meter; the output switch opens.

        Parameters
        ----------
        nplc : float
            Integration time in power line cycles, 0.01 to 10, of every SMU of the mainframe.
        current_range_min : float [A]
            The lowest range it chooses by itself, 1 nA to 100 µA.
        """
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=self.name)
        refuse_bad_number("current_range_min", current_range_min, 1e-9, 1.05e-4, "A", channel=self.name)
        self._configuration = {"nplc": nplc, "current_range_min": current_range_min}
        self.off()
        self._forget_settings()
        self._on = False
        self._lowest_code = current_code(current_range_min)
        self.wire.exchange.act(
            f"{FORMAT}\nAAD {self.number},0\n{_cycles(nplc)}\nFL 0,{self.number}\nRI {self.number},{self._lowest_code}"
        )
        self._mainframe.nplc = nplc

    @alone
    def integrate(self, nplc: float) -> None:
        """Set the integration time in power line cycles, 0.01 to 10; nothing is sent when it is that already."""
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=self.name)
        if nplc != self._nplc:
            self.wire.exchange.act(_cycles(nplc))
            self._mainframe.nplc = nplc

    @property
    def _range(self) -> int:
        most = self.bounds.source_volts_max
        return next((code for volts, code in _RANGES if most <= volts), _RANGES[-1][1])

    # -- steady levels -----------------------------------------------------------------------------------------------

    @property
    def is_on(self) -> bool:
        """Whether the output switch is closed; asked when a command of the user's own may have moved it."""
        if self._on is None:
            question = "*LRN? 0"
            reply = self.wire.exchange.query(question)
            if not reply.startswith(("CN", "CL")):
                raise self.wire.faults.garbled(question, reply)
            self._on = str(self.number) in reply.removeprefix("CN").replace(" ", "").split(",")
        return self._on

    @property
    def _off_command(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        zero = f"DZ {self.number}\n" if self.is_on else ""
        return f"{zero}CL {self.number}"

    def force(self, volts: float, compliance: float) -> str:
        """Return what puts the unit at a level [V] with its limit [A], both checked."""
        return f"DV {self.number},{self._range},{sent(volts, most=self.bounds.largest)},{sent(compliance)}"

    @property
    def _before_on(self) -> str:
        return f"CN {self.number}"

    @property
    def _current_question(self) -> str:
        return f"TI {self.number},{self._lowest_code}"

    def _current(self, reply: str, question: str) -> tuple[float, int]:
        _, current, flags = self._flex.one(reply, question)
        return current, flags

    def _tell_volts(self) -> float:
        question = f"TV {self.number}"
        (reply,) = self.wire.exchange.ask(question, 1, expected=self.point_seconds)
        return self._flex.one(reply, question).number

    # -- sweeps ------------------------------------------------------------------------------------------------------

    def _sweep_of(self, seconds: float, *, span: float | None = None) -> StaircaseSweep:
        if span is not None:
            raise RefusedError(f"{self.name}: a timed sweep on one range is not built for a B1500A: use sweep")
        return StaircaseSweep(self.wire, self._program, self.number, self._range, seconds=seconds)

    @alone
    def record(self, *, rate: float, points: int, largest: float) -> tuple[FloatArray, FloatArray]:
        """Sample at ``rate`` [1/s] on the range of ``largest`` [A]; return times [s], currents [A].

        Every SMU is at 0 V afterwards, this one off: the other one may hold the far end of the cell.
        """
        who, number = self.name, self.number
        refuse_bad_number("rate", rate, 1.0 / 65.0, self.rate_max, "Hz", channel=who)
        refuse_bad_number("points", points, 1, self.points_max, "readings", channel=who)
        refuse_bad_number("points / rate", points / rate, 0.0, RECORD_SECONDS, "s", channel=who)
        self._require_on("record")
        volts = 0.0 if self._volts is None else self._volts
        span = min(_HEADROOM * abs(largest), self._compliance_max) if np.isfinite(largest) else self._compliance_max
        interval = round(1.0 / rate, 5)
        cycles = min(max(0.5 * interval * HERTZ, 0.01), 1.0)
        level = sent(self.bounds.now.one("source_volts", volts, channel=who), most=self.bounds.largest)
        before: dict[str, Any] = {**self._configuration, "nplc": self._nplc}
        setup = [
            _cycles(cycles),
            f"RI {number},{-current_code(max(span, self._configuration['current_range_min']))}",
            "TSC 1",
            f"MT 0,{interval:.5f},{points}",
            "MSC 1,1",
            f"MV {number},{self._range},0,{level},{sent(self._held)}",
        ]
        try:
            # All of them to 0 V behind it, in the same message.
            data = self._program.run(setup, "DZ", points * interval, self.clock.wait)
            amps, _ = self._flex.currents(data, points, "XE")
            times = self._flex.times(data, points, "XE")
        except BaseException:
            self.idle()
            with suppress(XbarlabError):
                self.configure(**before)
            raise
        for unit in self._mainframe.units.values():
            unit.zeroed()
        self.configure(**before)
        return times - times[0], amps

    # -- what it is told ---------------------------------------------------------------------------------------------

    def zeroed(self) -> None:
        """Take in that it is at 0 V, its output switch as it was."""
        self._applied.about(0.0)
        self._volts = 0.0

    def heard(self, volts: float, compliance: float) -> None:
        """Take in a level that is about to be sent as text and has been checked."""
        self._applied.about(volts)
        self._volts, self._held, self._compliance = volts, compliance, compliance

    def switched(self, verb: Literal["CN", "DZ", "CL"]) -> None:
        """Take in ``CN``, ``DZ`` or ``CL`` that is about to be sent as text."""
        if verb == "DZ":
            self.zeroed()
            return
        self._applied.about(0.0, on=verb == "CN")
        self._on, self._volts = verb == "CN", 0.0

    def _free_ranges(self) -> None:
        """Do nothing: no sweep of ours leaves a fixed range."""

    # -- QCoDeS's ways that set several things which act together later -----------------------------------------------

    def setup_staircase_sweep(self, *_: Any, **__: Any) -> None:
        """Refuse: use :meth:`sweep`."""
        raise RefusedError(f"{self.name}.setup_staircase_sweep: its numbers act together later: use sweep()")

    def timing_parameters(self, *_: Any, **__: Any) -> None:
        """Refuse: use :meth:`record`."""
        raise RefusedError(f"{self.name}.timing_parameters: its numbers act together later: use record()")


def _cycles(nplc: float) -> str:
    """Return the command of an integration time: samples where they are few, else mains cycles."""
    samples = round(_SAMPLES * nplc)
    if nplc == round(nplc) or samples > _SAMPLES_MAX:
        return f"AV {-round(nplc)}"
    return f"AV {max(samples, 1)},1"
