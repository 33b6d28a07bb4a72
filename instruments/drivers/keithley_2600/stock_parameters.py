"""QCoDeS's parameters of a 2600 channel that run scripts, rebuilt on scripts made of checked numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import qcodes.validators as vals
from qcodes.instrument_drivers.Keithley._Keithley_2600 import Keithley2600Channel, LuaSweepParameter, TimeTrace

from ....common.errors import RefusedError


class CheckedSweep(LuaSweepParameter):
    """``fastsweep`` of one channel that measures itself; the other kinds are refused."""

    def get_raw(self) -> Any:
        """Sweep through the levels that ``setup_fastsweep`` has been told; the output is off afterwards."""
        unit: Any = self.instrument
        told = unit._fastsweep_config
        if told is None:
            raise RefusedError(f"{unit.name}.fastsweep: call setup_fastsweep(LinSweep(…)) first")
        if told.mode != "IV":
            raise RefusedError(f"{unit.name}.fastsweep: mode {told.mode} sources amperes: this bench sources volts")
        if told.is_2d or told.measurement_channel != told.inner_channel:
            raise RefusedError(
                f"{unit.name}.fastsweep: two channels in one script are not checked: hold the other one by on() and "
                "level(), and sweep this one"
            )
        levels = told.get_inner_setpoints()
        _, amps, _ = unit.sweep(levels, compliance=_limit_of(unit), dwell=float(told.inner_delay))
        return amps


class CheckedTrace(TimeTrace):
    """``timetrace`` of the current at the present level."""

    def get_raw(self) -> Any:
        """Make the readings; the output is off afterwards."""
        unit: Any = self.instrument
        if unit.timetrace_mode() != "current":
            raise RefusedError(f"{unit.name}.timetrace: this bench sources volts and measures amperes")
        self._check_time_trace()
        limit = _limit_of(unit)
        _, amps = unit.record(rate=1.0 / unit.timetrace_dt(), points=int(unit.timetrace_npts()), largest=limit)
        return amps


def replace_scripted(unit: Keithley2600Channel) -> None:
    """Put these in the place of those that send scripts of their own."""
    for name in ("fastsweep", "timetrace"):
        unit.remove_parameter(name)
    channel: Any = unit
    channel.fastsweep = unit.add_parameter(
        "fastsweep", vals=vals.Arrays(shape=(1,)), setpoints=(), parameter_class=CheckedSweep, snapshot_get=False
    )
    channel.timetrace = unit.add_parameter(
        "timetrace",
        vals=vals.Arrays(shape=(channel.timetrace_npts,)),
        setpoints=(channel.time_axis,),
        parameter_class=CheckedTrace,
        snapshot_get=False,
    )
    channel._execute_lua = _refused


def _limit_of(unit: Any) -> float:
    """Return the current limit that is set on the channel, or the chip's where that is lower [A]."""
    return float(np.minimum(unit.limiti.get(), unit.bounds.now.current_max))


def _refused(*_: object) -> Any:
    raise RefusedError(
        "numbers that a script computes cannot be checked: use sweep(), pulse_train(), record(), fastsweep or timetrace"
    )
