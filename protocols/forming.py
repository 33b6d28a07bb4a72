"""Form virgin cells: a rising amplitude through whatever limits the current, with a stop rule for every cell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..instruments.array_spec import Block
from ..instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from .dataset import Axis, Variable
from .forming_cells import form_cells
from .forming_plan import FormingPlan
from .forming_result import ALREADY, FORMED, SHORTED, SKIPPED, UNFORMED, FormingResult
from .neighbours import CHANGE_RATIO
from .read_array import map_axes
from .run import Run

__all__ = ["FormingPlan", "FormingResult", "form"]


def form(array: CrossbarArray, plan: FormingPlan, run: Run | None = None) -> FormingResult:
    """Form all virgin cells of a block: cell by cell where the plan says so, otherwise all by the same pulses."""
    plan.check(array.spec)
    keep = Run.of(run)
    block = Block.parse(plan.cells, array.spec)
    return form_cells(array, plan, block, keep) if plan.cell_by_cell else _form_at_once(array, plan, block, keep)


def _form_at_once(array: CrossbarArray, plan: FormingPlan, block: Block, keep: Run) -> FormingResult:
    known_good = array.spec.healthy_mask(block)
    gate = array.spec.pulse_gate(plan.gate)
    variables = [Variable("conductance", "Conductance", "S"), Variable("volts", "Amplitude applied", "V")]
    axes = [Axis("cycle", "Staircase step"), *map_axes(block)]
    with keep.dataset("forming", axes, variables, {"gate": gate, "width": plan.width}) as data:
        before = array.read(block, average=4).conductance
        data.add({"cycle": 0}, conductance=before, volts=np.zeros(block.shape))
        shorted = known_good & (before > plan.short_above)
        already = known_good & (before > plan.formed_above) & ~shorted
        already |= _answering_to_a_set(
            array, plan, block, known_good & ~already & ~shorted & (before > plan.virgin_below)
        )
        todo = known_good & ~already & ~shorted
        v_form = np.full(block.shape, np.nan)
        pulses = np.zeros(block.shape, dtype=np.int64)
        g = before
        staircase = plan.staircase
        with keep.progress("forming staircase", len(staircase)) as bar:
            for step, volts in enumerate(staircase, start=1):
                if not todo.any():
                    break
                array.pulse(PulseMap(block, float(volts), plan.width, gate, todo.astype(np.int64), plan.scheme))
                pulses += todo
                g = array.read(block).conductance
                data.add({"cycle": step}, conductance=g, volts=np.where(todo, volts, 0.0))
                candidate = todo & (g > plan.formed_above)
                if candidate.any():
                    # A single noisy read must not end a cell's forming.
                    g = array.read(block).conductance
                    formed = candidate & (g > plan.formed_above)
                    v_form[formed] = volts
                    shorted |= formed & (g > plan.short_above)
                    todo &= ~formed
                bar.update(step, f"{int(todo.sum())} cells left at {volts:.2f} V")
        after = array.read(block, average=4).conductance
        formed = np.isfinite(v_form) | already
        switchable = formed & ~shorted
        after_reset, after_set = after, after
        works = switchable
        if plan.confirm:
            after_reset, after_set = _prove(array, plan, block, switchable)
            pulses += 2 * switchable
            works = switchable & (after_reset < after_set / CHANGE_RATIO) & (after_set > plan.formed_above)
        outcome = np.select(
            [~known_good, shorted, already, np.isfinite(v_form)],
            [SKIPPED, SHORTED, ALREADY, FORMED],
            default=UNFORMED,
        ).astype("U16")
    return FormingResult(block, outcome, v_form, before, after, after_reset, after_set, pulses, works)


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
    array.pulse(PulseMap(block, volts, plan.switch_width, gate, cells.astype(np.int64), plan.scheme))
