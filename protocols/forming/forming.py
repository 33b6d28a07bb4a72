"""Form virgin cells: a rising amplitude through whatever limits the current, with a stop rule for every cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..keeping.array_state import ArrayState
from ..keeping.dataset import Axis, Shape, Variable
from ..keeping.run import Run
from ..measure.neighbours import CHANGE_RATIO
from ..measure.read_array import map_axes
from .cells import form_cells
from .plan import FormingPlan
from .result import ALREADY, FORMED, SHORTED, SKIPPED, UNFORMED, FormingResult

__all__ = ["FormingPlan", "FormingResult", "form"]


def form(array: CrossbarArray, plan: FormingPlan, run: Run | None = None) -> FormingResult:
    """Form all virgin cells of a block: cell by cell where the plan says so, otherwise all by the same pulses."""
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    return form_cells(array, plan, block, keep) if plan.cell_by_cell else _form_at_once(array, plan, block, keep)


class _Staircase(ArrayState):
    """Where every cell of the block stands while all are formed at once."""

    def __init__(self, known_good: NDArray[np.bool_]) -> None:
        shape = known_good.shape
        self.before: FloatArray = np.full(shape, np.nan)
        self.after, self.after_reset, self.after_set = self.before, self.before, self.before
        self.v_form: FloatArray = np.full(shape, np.nan)
        self.pulses: NDArray[np.int64] = np.zeros(shape, dtype=np.int64)
        self.todo: NDArray[np.bool_] = known_good
        self.already: NDArray[np.bool_] = np.zeros(shape, dtype=np.bool_)
        self.shorted: NDArray[np.bool_] = np.zeros(shape, dtype=np.bool_)
        self.works: NDArray[np.bool_] = np.zeros(shape, dtype=np.bool_)

    def formed_by(self, volts: float, formed: NDArray[np.bool_], shorted: NDArray[np.bool_]) -> None:
        """Take cells off the staircase that ``volts`` has formed."""
        self.v_form = np.where(formed, volts, self.v_form)
        self.shorted = self.shorted | (formed & shorted)
        self.todo = self.todo & ~formed

    @property
    def formed(self) -> NDArray[np.bool_]:
        """Cells that formed here or before."""
        return np.isfinite(self.v_form) | self.already


def _form_at_once(array: CrossbarArray, plan: FormingPlan, block: Block, keep: Run) -> FormingResult:
    """Raise the amplitude on all cells that are not formed yet.

    Units of work are the looks before and after, the steps of the staircase, and the proof. Before a step that may have
    been cut the block is read anew: what its pulse has formed already gets no second one.
    """
    known_good = array.spec.healthy_mask(block)
    gate = array.spec.pulse_gate(plan.gate)
    variables = [Variable("conductance", "Conductance", "S"), Variable("volts", "Amplitude applied", "V")]
    axes = [Axis("amplitude", "Amplitude of the step, 0 before the first", "V"), *map_axes(block)]
    earlier = Shape([Axis("cycle", "Staircase step"), *map_axes(block)], variables)
    meta = {"gate": gate, "width": plan.width}
    staircase = plan.staircase
    at = _Staircase(known_good)

    def look(volts: float, g: FloatArray) -> None:
        candidate = at.todo & (g > plan.formed_above)
        if candidate.any():
            # A single noisy read must not end a cell's forming.
            g = array.read(block).conductance
            at.formed_by(volts, candidate & (g > plan.formed_above), g > plan.short_above)

    with keep.work(
        "forming", axes, variables, meta, label="forming staircase", total=len(staircase) + 3, earlier=earlier
    ) as work:
        work.hold("cells", at)
        if work.begin("before"):
            at.before = array.read(block, average=4).conductance
            work.add({"cycle": 0, "amplitude": 0.0}, conductance=at.before, volts=np.zeros(block.shape))
            at.shorted = known_good & (at.before > plan.short_above)
            already = known_good & (at.before > plan.formed_above) & ~at.shorted
            doubtful = known_good & ~already & ~at.shorted & (at.before > plan.virgin_below)
            at.already = already | _answering_to_a_set(array, plan, block, doubtful)
            at.todo = known_good & ~at.already & ~at.shorted
            work.done()
        for step, volts in enumerate(staircase.tolist(), start=1):
            if not at.todo.any():
                break
            if not work.begin(f"step {step}"):
                continue
            if work.interrupted:
                look(volts, array.read(block).conductance)
            array.pulse(
                PulseMap(
                    block=block,
                    volts=volts,
                    width=plan.width,
                    gate=gate,
                    count=at.todo.astype(np.int64),
                    scheme=plan.scheme,
                )
            )
            at.pulses = at.pulses + at.todo
            g = array.read(block).conductance
            work.add({"cycle": step, "amplitude": volts}, conductance=g, volts=np.where(at.todo, volts, 0.0))
            look(volts, g)
            work.done(f"{int(at.todo.sum())} cells left at {volts:.2f} V", step + 1)
        if work.begin("after"):
            at.after = at.after_reset = at.after_set = array.read(block, average=4).conductance
            at.works = at.formed & ~at.shorted
            work.done()
        if plan.confirm and work.begin("proof"):
            at.after_reset, at.after_set = _prove(array, plan, block, at.works)
            at.pulses = at.pulses + 2 * at.works
            at.works = at.works & (at.after_reset < at.after_set / CHANGE_RATIO) & (at.after_set > plan.formed_above)
            work.done()
    outcome = np.select(
        [~known_good, at.shorted, at.already, np.isfinite(at.v_form)],
        [SKIPPED, SHORTED, ALREADY, FORMED],
        default=UNFORMED,
    ).astype("U16")
    return FormingResult(
        block=block,
        outcome=outcome,
        v_form=at.v_form,
        before=at.before,
        after=at.after,
        after_reset=at.after_reset,
        after_set=at.after_set,
        pulses=at.pulses,
        works=at.works,
    )


def _answering_to_a_set(
    array: CrossbarArray, plan: FormingPlan, block: Block, doubtful: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Return which of the doubtful cells a normal SET brings above the formed conductance: formed before, and off."""
    if not doubtful.any():
        return doubtful
    _switch(array, plan, block, doubtful, +1)
    return doubtful & (array.read(block, average=4).conductance > plan.formed_above)


def _prove(
    array: CrossbarArray, plan: FormingPlan, block: Block, cells: NDArray[np.bool_]
) -> tuple[FloatArray, FloatArray]:
    _switch(array, plan, block, cells, -1)
    low = array.read(block, average=4).conductance
    _switch(array, plan, block, cells, +1)
    return low, array.read(block, average=4).conductance


def _switch(array: CrossbarArray, plan: FormingPlan, block: Block, cells: NDArray[np.bool_], sign: int) -> None:
    volts, gate = (plan.set_volts, plan.set_gate) if sign > 0 else (-plan.reset_volts, plan.reset_gate)
    gate = array.spec.pulse_gate(gate)
    array.pulse(
        PulseMap(
            block=block,
            volts=volts,
            width=plan.proof_width(array.spec),
            gate=gate,
            count=cells.astype(np.int64),
            scheme=plan.scheme,
        )
    )
