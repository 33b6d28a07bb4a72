"""One channel of a 2600B as a source-measure unit: limits hold for its stock parameters too."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, ClassVar, Literal, cast

import numpy as np
from numpy.typing import NDArray
from qcodes.instrument_drivers.Keithley._Keithley_2600 import Keithley2600Channel

from ....common.errors import RefusedError, XbarlabError
from ...capabilities import FloatArray
from ...limits import Limits, refuse_bad_number
from ...wire.doors import GuardedInstrument, alone
from ...wire.wire_text import sent
from ..applied_level import AppliedLevel
from ..box_part import BoxSource
from ..list_sweep import PIECE_SECONDS, SweepInPieces
from ..roles import MeterFacts
from ..source_limits import COMPLIANCE_MIN, SourceLimits
from ..voltage_source import LevelSweep
from .program import Program, ScriptSweep, TspReadings
from .scripts import RECORD_SECONDS, record_script, train_script
from .stock_parameters import replace_scripted

_RANGE_MIN = 0.1
_LOWEST = 1e-7
_DELAY_MIN = 1e-5
_CYCLES_MIN, _CYCLES_MAX = 0.001, 25.0
_TRAIN_MAX = 20_000
_WIDTH_MIN = 1e-3
_HEADROOM = 1.3  # of the range of a record, for what telegraph noise adds
_OVERHEAD = 0.2e-3
_REPLY = "local i,v=smu.measure.iv() print(i,v,smu.source.compliance)"


class Keithley2600Smu(BoxSource, Keithley2600Channel):  # pyright: ignore[reportIncompatibleMethodOverride, reportIncompatibleVariableOverride, reportUnsafeMultipleInheritance]
    """QCoDeS's channel of a Keithley 2600 as a source-measure unit for a crossbar.

    What concerns the whole box (its connection, its way to the safe state, its power) is the box's.

    Parameters
    ----------
    box : GuardedInstrument
    channel : str
        ``smua`` or ``smub``.
    bounds : SourceLimits
    units : callable
        All channels of the box.
    """

    facts = MeterFacts(
        ranges=(1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0),
        points_max=2500,
        delay_min=_DELAY_MIN,
        relative_noise=3e-4,  # assumed
        zero_noise=1e-9,  # assumed
    )
    rate_max, points_max = 1000.0, 60_000  # of record()

    _delays = (_DELAY_MIN, PIECE_SECONDS)
    _joint: ClassVar[str] = " "
    _overhead = 2e-3
    _overhead_on_one_range = 0.5e-3  # assumed
    _cycle_seconds = 0.06

    def __init__(
        self,
        box: GuardedInstrument,
        channel: str,
        bounds: SourceLimits,
        *,
        units: Callable[[], Iterable[Keithley2600Smu]],
    ) -> None:
        Keithley2600Channel.__init__(self, cast("Any", box), channel, channel)
        self._box, self._units = box, units
        self.wire = box.wire
        self.bounds = bounds
        self._readings = TspReadings(box.wire)
        self._applied = AppliedLevel(lambda: self.stress)
        self._program = Program(box.wire, channel)
        self._hertz = 50.0
        replace_scripted(self)

    # -- setting up --------------------------------------------------------------------------------------------------

    def prepare(self) -> None:
        """Set it up as it was last, or as it is at first."""
        self.configure(**self._configuration)

    @alone
    def configure(
        self,
        *,
        nplc: float = 1.0,
        autozero: Literal["once", "on"] = "once",
        current_range_min: float = _LOWEST,
        source_range: float | None = None,
        off_state: Literal["normal", "high-impedance"] = "normal",
    ) -> None:
        """Set up the voltage source and the current meter, 2-wire; volts and amperes are measured at once.

        The output goes off.

        Parameters
        ----------
        nplc : float
            Integration time in power line cycles, 0.01 to 10.
        autozero : "once", "on"
            Refresh the zero now only, or with every reading (three times the time).
        current_range_min : float [A]
            The lowest range it chooses by itself, 100 nA to 100 µA.
        source_range : float [V]
            Fixed range, 0.1 V to 200 V; None takes the smallest that holds the limits, so that no sweep changes range.
        off_state : "normal", "high-impedance"
            0 V with a limited current, or the output relay open (which wears it: not for maps).
        """
        where = self.name
        self._configuration = {
            "nplc": nplc, "autozero": autozero, "current_range_min": current_range_min, "source_range": source_range,
            "off_state": off_state,
        }  # fmt: skip
        refuse_bad_number("nplc", nplc, 0.01, 10.0, "cycles", channel=where)
        refuse_bad_number("current_range_min", current_range_min, _LOWEST, 1.05e-4, "A", channel=where)
        volts = max(self.bounds.source_volts_max, _RANGE_MIN) if source_range is None else source_range
        refuse_bad_number("source_range", volts, _RANGE_MIN, 200.0, "V", channel=where)
        self.off()
        self._forget_settings()
        self._on = False
        smu = self.channel
        (hertz,) = self.wire.exchange.ask(
            f"format.data=format.ASCII format.asciiprecision=10 local smu={smu} smu.source.func=1 smu.sense=0 "
            f"smu.source.rangev={volts:.6g} smu.source.offmode={0 if off_state == 'normal' else 2} smu.source.delay=0 "
            f"smu.measure.delay=0 smu.measure.count=1 smu.measure.interval=0 smu.measure.filter.enable=0 "
            f"smu.measure.autorangei=1 smu.measure.lowrangei={current_range_min:.6g} smu.measure.nplc={nplc:.6g} "
            f"smu.measure.autozero={2 if autozero == 'on' else 1}{self._held_current} print(localnode.linefreq)",
            1,
        )
        self._hertz = self._float(hertz, "localnode.linefreq")
        self._cycle_seconds = (3 if autozero == "on" else 1) / self._hertz
        self._nplc = nplc

    @property
    def _held_current(self) -> str:
        """Our own current limit where the default one is above it: an output switched on by hand would have that."""
        most = min(max(self.bounds.now.current_max, COMPLIANCE_MIN), 0.1)
        return f" {self.channel}.source.limiti={sent(most)}"

    def _apply_limits(self) -> None:
        self.wire.exchange.act(self._held_current.strip())
        self._compliance = None

    # -- commands ----------------------------------------------------------------------------------------------------

    @property
    def _level_command(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{self.channel}.source.levelv={{}}"

    @property
    def _on_command(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{self.channel}.source.output=1"

    @property
    def _off_command(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{self.channel}.source.levelv=0 {self.channel}.source.output=0"

    @property
    def _output_question(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"print({self.channel}.source.output)"

    @property
    def _cycles_command(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return f"{self.channel}.measure.nplc={{}}"

    @property
    def _read_question(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        return _REPLY.replace("smu", self.channel)

    def _limit(self, compliance: float) -> str:
        return f"{self.channel}.source.limiti={sent(compliance)}"

    def _stepped(self, level: str, dwell: float) -> str:
        return f"{level} delay({dwell:.6g})" if dwell else level

    def _sweep_of(self, seconds: float, *, span: float | None = None) -> LevelSweep:
        def one() -> ScriptSweep:
            return ScriptSweep(self.wire, self.channel, seconds=seconds, span=span)

        return SweepInPieces(one, seconds=seconds) if span is None else one()

    def _free_ranges(self) -> None:
        self.wire.exchange.act(f"{self.channel}.measure.autorangei=1")

    # -- by hand -----------------------------------------------------------------------------------------------------

    def heard(self, name: str, value: float) -> None:
        """Take in a setting that is about to be sent as text; it has been checked."""
        on = self._on
        if name == "source.levelv":
            self._applied.about(value)
        elif name == "source.output":
            self._applied.about(on=value == 1.0)
            on = value == 1.0
        self._forget_settings()
        self._on = on

    # -- scripts -----------------------------------------------------------------------------------------------------

    @alone
    def pulse_train(
        self, volts: float, *, width: float, gap: float, count: int, compliance: float
    ) -> tuple[FloatArray, FloatArray, NDArray[np.uint8]]:
        """Give ``count`` pulses of ``volts`` [V] from 0 V as a script, each measured before it ends; off afterwards.

        Parameters
        ----------
        width : float [s]
            From the edge to the reading, which comes on top; 1 ms to a second. Its edges are those of the source.
        gap : float [s]
            At 0 V behind each.
        compliance : float [A]

        Returns
        -------
        volts, current, flags : arrays [count]
        """
        who = self.name
        volts = self.bounds.now.one("source_volts", volts, channel=who)
        self._check_compliance(compliance)
        refuse_bad_number("width", width, _WIDTH_MIN, 1.0, "s", channel=who)
        refuse_bad_number("gap", gap, 0.0, 1.0, "s", channel=who)
        refuse_bad_number("count", count, 1, _TRAIN_MAX, "pulses", channel=who)
        self.bounds.now.check_points(np.array([volts]), compliance, width + self.point_seconds, channel=f"{who} pulse ")
        each = width + gap + self.point_seconds
        if count * each > PIECE_SECONDS:
            raise RefusedError(
                f"{who}: {count} pulses take {count * each:.3g} s; give at most {int(PIECE_SECONDS / each)} at a time: "
                f"a train that runs without the host is no longer than {PIECE_SECONDS:g} s"
            )
        script = train_script(
            self.channel, volts, width=width, gap=gap, count=int(count), compliance=compliance, most=self.bounds.largest
        )
        try:
            self._applied.about(0.0)
            self.stress.pulses((volts,), int(count))
            self._program.run(script, int(count), count * each, self.clock.wait)
            found = self._program.readings(int(count))
        except BaseException:
            self.idle()
            raise
        self._went_off()
        return found

    @alone
    def record(self, *, rate: float, points: int, largest: float) -> tuple[FloatArray, FloatArray]:
        """Make readings at ``rate`` [1/s] on the range of ``largest`` [A]; return times [s], currents [A]; off then."""
        who = self.name
        refuse_bad_number("rate", rate, 1e-3, self.rate_max, "Hz", channel=who)
        refuse_bad_number("points", points, 1, self.points_max, "readings", channel=who)
        refuse_bad_number("points / rate", points / rate, 0.0, RECORD_SECONDS, "s", channel=who)
        self._require_on("record")
        cycles = min(max((1.0 / rate - _OVERHEAD) * self._hertz, _CYCLES_MIN), _CYCLES_MAX)
        span = min(max(_HEADROOM * abs(largest), _LOWEST), 1.0) if np.isfinite(largest) else 1.0
        script = record_script(self.channel, count=points, interval=1.0 / rate, nplc=cycles, span=span)
        before: dict[str, Any] = {**self._configuration, "nplc": self._nplc}
        try:
            self._program.run(script, points, points / rate, self.clock.wait)
            found = self._program.fetch(points, "nvbuffer1.timestamps", "nvbuffer1.readings")
        except BaseException:
            self.idle()
            with suppress(XbarlabError):
                self.configure(**before)
            raise
        self._went_off()
        for unit in self._units():
            unit.heard("source.levelv", 0.0)
        self.configure(**before)
        amps = found[:, 1]
        amps[np.abs(amps) >= 9.9e37] = np.nan
        return found[:, 0], amps

    def _went_off(self) -> None:
        self._forget_settings()
        self._on = False
        self._applied.off()

    @property
    def limits(self) -> Limits:
        """What may be applied."""
        return self.bounds.now
