"""The trigger model of a Keithley 2450: what is loaded, and how far it has come."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from ....probe_circuit.script import Run, Script
from ....scpi.errors import ScpiError
from ..core import SourceMeterCore
from ..readings import Readings
from ..runs import LoopPlan, SweepPlan, loop_script, sweep_script
from . import blocks as make
from .blocks import MOST_BLOCKS, Block, BlockRun, blocks_script
from .config_lists import ConfigLists

KINDS: Final = ("sweep", "loop", "blocks")
_BLOCKS_OF_A_SWEEP: Final = 9

Plan = SweepPlan | LoopPlan | dict[int, Block]


class TriggerModel:
    """What ``TRIGger`` and ``INITiate`` act on.

    Parameters
    ----------
    smu : SourceMeterCore
        Which it drives.
    readings : Readings
        Where what it measures is kept.
    lists : ConfigLists
        What its blocks recall.
    """

    def __init__(self, smu: SourceMeterCore, readings: Readings, lists: ConfigLists) -> None:
        self._smu = smu
        self._readings = readings
        self._lists = lists
        self._plan: Plan | None = None
        self._run: BlockRun | None = None
        self._sweep_list = ""
        self._state = "EMPTY"

    def reset(self) -> None:
        """Be empty, as after ``*RST``."""
        self._plan, self._run, self._state = None, None, "EMPTY"

    def ended(self, *, cut: bool) -> None:
        """Note how it came to its end."""
        self._state = "ABORTED" if cut or self._state == "ABORTING" else "IDLE"

    def load(self, plan: SweepPlan | LoopPlan | None, list_name: str = "") -> None:
        """Put another trigger model in place of the present one; ``list_name``: where its points are kept."""
        self._may_change()
        if plan is not None:
            self._readings.buffer(plan.buffer)
        self._plan, self._run = plan, None
        self._sweep_list = list_name
        self._state = "EMPTY" if plan is None else "BUILDING"

    def load_lists(self, measured: str, sourced: str, delay: float, buffer: str) -> None:
        """Load the model that goes through a measure and a source configuration list side by side."""
        self._may_change()
        rounds = max(self._lists.size(measured, "sense"), self._lists.size(sourced, "source"))
        self._plan = self._stepping(measured, sourced, delay, self._readings.buffer(buffer).name, rounds)
        self._run, self._state = None, "BUILDING"

    @staticmethod
    def _stepping(name: str, other: str, delay: float, buffer: str, rounds: int) -> dict[int, Block]:
        """Return the blocks that go through one list, or one of each kind, with a reading at every index."""
        parts = [
            make.buffer_clear(buffer),
            make.config_recall(name, 1, other, 1),
            make.source_state(on=True),
            make.branch_always(6),
            make.config_step(name, other, 1),
            _constant_delay(delay),
            make.measure(buffer, 1),
            make.branch_counter(rounds, 5),
            make.source_state(on=False),
        ]
        return dict(enumerate(parts, start=1))

    def set_block(self, number: int, block: Block) -> None:
        """Put a block in its place; a model that was loaded is one of blocks from then on."""
        self._may_change()
        if not 1 <= number <= MOST_BLOCKS:
            raise ScpiError(-222, f"block {number}; there are 1 to {MOST_BLOCKS}")
        if block.buffer:
            self._readings.buffer(block.buffer)
        self._plan = {**self.blocks(), number: block}
        self._run, self._state = None, "BUILDING"

    def blocks(self) -> dict[int, Block]:
        """Return the blocks of what is loaded."""
        plan = self._plan
        if plan is None or isinstance(plan, dict):
            return plan or {}
        if isinstance(plan, LoopPlan):
            rounds = plan.count or MOST_BLOCKS
            parts = [
                make.buffer_clear(plan.buffer),
                make.source_state(on=True),
                _constant_delay(plan.delay),
                make.measure(plan.buffer, 1),
                make.branch_counter(rounds, 3),
                make.source_state(on=False),
            ]
        else:
            rounds = len(plan.levels) * max(1, plan.count)
            return self._stepping(self._sweep_list, "", plan.delay, plan.buffer, rounds)
        return dict(enumerate(parts, start=1))

    def listed(self) -> str:
        """``:TRIGger:BLOCk:LIST?``."""
        found = self.blocks()
        if not found:
            return "Empty"
        return "\n".join(f"{number:2d}) {block.kind:<22}{block.told}" for number, block in sorted(found.items()))

    def count_of(self, number: int) -> str:
        """``:TRIGger:BLOCk:BRANch:COUNter:COUNt?``: how often the block has been reached."""
        block = self.blocks().get(number)
        if block is None or block.kind != "BRANCH_COUNTER":
            raise ScpiError(-222, f"block {number} counts nothing")
        return str(0 if self._run is None else self._run.counters.get(number, 0))

    def initiate(self) -> None:
        """``:INITiate``: start the trigger model; it goes on by itself."""
        kind, script = self.begun()
        self._smu.start(Run(kind, script, self._smu.now))
        self._state = "RUNNING"
        self._smu.log.add(self._smu.now, self._smu.address, f"start {kind}")
        self._smu.settle(self._smu.now)

    def begun(self) -> tuple[str, Script]:
        """Return what is loaded, as the kind of what runs and its script from now on."""
        plan, smu = self._plan, self._smu
        if plan is None:
            raise ScpiError(-221, "the trigger model is empty")
        if isinstance(plan, dict):
            for block in plan.values():
                if block.buffer:
                    self._readings.buffer(block.buffer)
            self._run = BlockRun(smu, self._readings, self._lists, smu.now)
            return "blocks", self._guarded(blocks_script(self._run, plan))
        buffer = self._readings.buffer(plan.buffer)
        if isinstance(plan, SweepPlan):
            return "sweep", sweep_script(smu, plan, buffer, smu.now)
        return "loop", loop_script(smu, plan, buffer, smu.now)

    def _guarded(self, script: Script) -> Script:
        """Go on with a script; a block that cannot be done ends it with an error."""
        try:
            yield from script
        except ScpiError as error:
            self._state = "ABORTING"
            self._smu.session.status.error(error.code, error.detail)

    def post(self, event: str) -> None:
        """Let a trigger event come."""
        run, action = self._run, self._smu.action
        if run is None or not isinstance(action, Run) or action.kind != "blocks":
            return
        run.events.add(event)
        if run.waiting:
            run.at = action.next_event = max(run.at, self._smu.now)
            self._smu.settle(self._smu.now)

    def abort_block(self, log: Callable[[], None]) -> Block:
        """Return a block that ends the model."""

        def act(_: BlockRun) -> int:
            log()
            self._state = "ABORTING"
            return MOST_BLOCKS + 1

        return Block("LOG_EVENT", "EVENT: ABORT", make.instant(act))

    def state(self) -> str:
        """``:TRIGger:STATe?``: state, state again, and the block it is at."""
        run = self._run
        state = self._state
        if run is not None and isinstance(self._plan, dict):
            if state == "RUNNING" and run.waiting:
                state = "WAITING"
            at = min(run.number, max(self._plan))
            return f"{state};{state};{0 if state == 'BUILDING' else at}"
        block = {"EMPTY": 0, "BUILDING": 0, "IDLE": _BLOCKS_OF_A_SWEEP}.get(state, _BLOCKS_OF_A_SWEEP - 3)
        return f"{state};{state};{block}"

    def _may_change(self) -> None:
        if self._smu.action is not None and self._smu.action.kind != "reading":
            raise ScpiError(-221, "the trigger model is running")


def _constant_delay(seconds: float) -> Block:
    return make.delay("DELAY_CONSTANT", f"DELAY: {seconds:.9f}", lambda _: seconds)


def user_delay(which: str) -> Callable[[SourceMeterCore], float]:
    """Return what reads a user delay: ``SOUR1``…``SOUR5`` or ``MEAS1``…``MEAS5``."""
    index = int(which[-1]) - 1

    def seconds(smu: SourceMeterCore) -> float:
        kept = smu.settings.active_source if which.startswith("SOUR") else smu.settings.active_sense
        return kept.user_delays[index]

    return seconds
