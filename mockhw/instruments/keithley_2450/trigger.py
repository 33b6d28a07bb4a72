"""The trigger model of a Keithley 2450: what is loaded, and how far it has come."""

from __future__ import annotations

from typing import Final

from ...scpi.errors import ScpiError
from .core import SourceMeterCore
from .readings import Readings
from .runs import LoopPlan, Run, SweepPlan, loop_script, sweep_script

KINDS: Final = ("sweep", "loop")
_BLOCKS_OF_A_SWEEP: Final = 9


class TriggerModel:
    """What ``TRIGger`` and ``INITiate`` act on.

    Parameters
    ----------
    smu : SourceMeterCore
        Which it drives.
    readings : Readings
        Where what it measures is kept.
    """

    def __init__(self, smu: SourceMeterCore, readings: Readings) -> None:
        self._smu = smu
        self._readings = readings
        self._plan: SweepPlan | LoopPlan | None = None
        self._state = "EMPTY"

    def reset(self) -> None:
        """Be empty, as after ``*RST``."""
        self._plan, self._state = None, "EMPTY"

    def ended(self, *, cut: bool) -> None:
        """Note how it came to its end."""
        self._state = "ABORTED" if cut else "IDLE"

    def load(self, plan: SweepPlan | LoopPlan | None) -> None:
        """Put another trigger model in place of the present one."""
        if self._smu.action is not None and self._smu.action.kind != "reading":
            raise ScpiError(-221, "the trigger model is running")
        self._plan = plan
        self._state = "EMPTY" if plan is None else "BUILDING"

    def initiate(self) -> None:
        """``:INITiate``: start the trigger model; it goes on by itself."""
        plan = self._plan
        if plan is None:
            raise ScpiError(-221, "the trigger model is empty")
        buffer = self._readings.buffer(plan.buffer)
        if isinstance(plan, SweepPlan):
            run = Run("sweep", sweep_script(self._smu, plan, buffer, self._smu.now), self._smu.now)
        else:
            run = Run("loop", loop_script(self._smu, plan, buffer, self._smu.now), self._smu.now)
        self._smu.start(run)
        self._state = "RUNNING"
        self._smu.log.add(self._smu.now, self._smu.address, f"start {run.kind}")
        self._smu.settle(self._smu.now)

    def state(self) -> str:
        """``:TRIGger:STATe?``: state, state again, and the block it is at."""
        block = {"EMPTY": 0, "BUILDING": 0, "IDLE": _BLOCKS_OF_A_SWEEP}.get(self._state, _BLOCKS_OF_A_SWEEP - 3)
        return f"{self._state};{self._state};{block}"
