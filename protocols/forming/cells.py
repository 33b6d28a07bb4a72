"""Form cells one after the other, each proved and switched off before the next: what arrays without transistors need.

A formed neighbour that stays on takes the current the source allows, and the cell being formed never sees its voltage.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...analysis.measurements.forming_stats import forming_voltage
from ...instruments.abilities import Sweeps
from ...instruments.block import Block
from ...instruments.capabilities import FLAG_COMPLIANCE, CrossbarArray, FloatArray, IVTrace, PulseMap
from ..keeping.array_state import ArrayState
from ..keeping.dataset import Axis, Shape, Variable
from ..keeping.run import Run
from ..keeping.work import Work
from ..measure.neighbours import CHANGE_RATIO, NeighbourWatch, limit_acts_on
from .plan import FormingPlan
from .result import ALREADY, FORMED, ONE_BY_ONE, SHORTED, SKIPPED, UNFORMED, FormingResult


class CellForming(ArrayState):
    """Forms the cells of a block one by one and keeps what became of each, all [rows, cols].

    ``before`` is how it read when this began; the other arrays are of every cell once it was its turn.
    """

    def __init__(self, array: CrossbarArray, plan: FormingPlan, block: Block, work: Work) -> None:
        self._array, self._plan, self._block, self._work = array, plan, block, work
        self.before: FloatArray = np.full(block.shape, np.nan)
        self.outcome = np.where(array.spec.healthy_mask(block), UNFORMED, SKIPPED).astype("U16")
        self.v_form: FloatArray = np.full(block.shape, np.nan)
        self.after, self.after_reset, self.after_set = (np.full(block.shape, np.nan) for _ in range(3))
        self.pulses: NDArray[np.int64] = np.zeros(block.shape, dtype=np.int64)
        self.works: NDArray[np.bool_] = np.zeros(block.shape, dtype=np.bool_)
        self.watch = NeighbourWatch(array, block, self.before, plan.virgin_below)

    def look(self) -> None:
        """Read the block before anything is formed."""
        self.before = self._array.read(self._block, average=4).conductance
        self.after, self.after_reset, self.after_set = (self.before.copy() for _ in range(3))
        self.watch.know(self.before)

    def order(self) -> list[tuple[int, int]]:
        """Return the cells to go through; those that conduct come first, so that they are off when others form."""
        rows, cols = np.nonzero(self.outcome != SKIPPED)
        cells = [(int(row), int(col)) for row, col in zip(rows, cols, strict=True)]
        return sorted(cells, key=lambda at: (self.before[at] <= self._plan.formed_above, at))

    def form(self, at: tuple[int, int]) -> list[IVTrace]:
        """Form one cell of the block, leave it where the next formings move it least, and look at its neighbours.

        Return the pieces of its ramp.
        """
        plan, cell, pieces = self._plan, self._cell(at), list[IVTrace]()
        # A cell whose forming may have been cut can be formed by now: where it stands counts, not how it was found.
        found = self._read(cell, 4) if self._work.interrupted else float(self.before[at])
        g, ramped = found, False
        if g <= plan.short_above:
            if g <= plan.formed_above and g > plan.virgin_below:
                g = self._switched(at, cell, +1, g)
            if g > plan.formed_above:
                self.outcome[at] = ALREADY
                if plan.reset_after and g == found:
                    # One that is off would be SET by the half-selects of the next formings: it is parked from on, too.
                    g = self._switched(at, cell, +1, g)
            else:
                ramped = True
                g, pieces = self._formed(at, cell)
                self.outcome[at] = FORMED if np.isfinite(self.v_form[at]) else UNFORMED
        if self._work.interrupted and not ramped:
            # Nobody saw at which voltage it formed; that it has is among the data, too.
            where = {"row": cell.row0, "col": cell.col0, "step": 0, "volts": 0.0}
            self._work.add(where, volts=np.nan, applied=np.nan, current=np.nan, conductance=found)
        self.after[at] = self.after_reset[at] = self.after_set[at] = g
        if g > plan.short_above:
            self.outcome[at] = SHORTED
        elif self.outcome[at] != UNFORMED and plan.reset_after:
            if plan.park_volts is None:
                g = self._switched(at, cell, -1, g)
            else:
                self._pulse(at, cell, -plan.park_volts, plan.proof_width(self._array.spec), plan.reset_gate)
                g = self._read(cell, 4)
        self._watch_from(cell, g)
        return pieces

    def prove(self, at: tuple[int, int]) -> None:
        """Let a formed cell complete one RESET and one SET, and leave it off where asked."""
        plan, cell = self._plan, self._cell(at)
        if self.outcome[at] not in {FORMED, ALREADY}:
            return
        self.works[at] = True
        if not plan.confirm:
            return
        g = self._read(cell, 4)
        if g * CHANGE_RATIO > self.after[at] or (plan.off_below is not None and g > plan.off_below):
            g = self._switched(at, cell, -1, max(g, float(self.after[at])))
        low = self.after_reset[at] = g
        g = self.after_set[at] = self._switched(at, cell, +1, low)
        done = low * CHANGE_RATIO <= self.after[at] and g >= CHANGE_RATIO * low and g > plan.formed_above
        self.works[at] = done
        if plan.reset_after:
            g = self._switched(at, cell, -1, g)
        self._watch_from(cell, g)

    def _watch_from(self, cell: Block, conductance: float) -> None:
        """Note where the cell stands [S] and look at the others of its row and column."""
        if self._plan.check_neighbours:
            self.watch.own(cell.row0, cell.col0, conductance)
            self.watch.look(cell.row0, cell.col0)

    def _cell(self, at: tuple[int, int]) -> Block:
        return Block(self._block.row0 + at[0], 1, self._block.col0 + at[1], 1)

    def _read(self, cell: Block, average: int = 1) -> float:
        return float(self._array.read(cell, average=average).conductance[0, 0])

    def _formed(self, at: tuple[int, int], cell: Block) -> tuple[float, list[IVTrace]]:
        """Raise the voltage until the cell reads formed twice; return what it reads [S], and the pieces of a ramp."""
        plan, spec = self._plan, self._array.spec
        g, pieces = float(self.before[at]), list[IVTrace]()
        point = 0
        for segment in plan.segments:
            if plan.method == "ramp":
                piece = self._array.ability(Sweeps).sweep(
                    cell.row0, cell.col0, segment,
                    compliance=plan.compliance, dwell=plan.dwell, gate=spec.sweep_gate(plan.gate), scheme=plan.scheme,
                )  # fmt: skip
                applied, current = piece.volts, piece.current
                # In compliance a source reads back what is left of its voltage; the ramp is told by what was asked.
                pieces.append(replace(piece, volts=segment))
            else:
                self._pulse(at, cell, float(segment[0]), plan.width, plan.gate)
                applied, current = segment, np.full(1, np.nan)
            g = self._read(cell)
            for value, left, amps in zip(segment, applied, current, strict=True):
                where = {"row": cell.row0, "col": cell.col0, "step": point, "volts": value}
                self._work.add(where, volts=value, applied=left, current=amps, conductance=g)
                point += 1
            # A single noisy read must not end a cell's forming.
            if g > plan.formed_above and (g := self._read(cell, 4)) > plan.formed_above:
                self.v_form[at] = self._voltage(pieces, segment, plan.formed_above)
                break
        return g, pieces

    @staticmethod
    def _voltage(pieces: list[IVTrace], volts: FloatArray, formed_above: float) -> float:
        """Return the source voltage [V] at which the cell formed: in its ramp's last piece, or by its last pulse."""
        if not pieces:
            return float(volts[-1])
        last = pieces[-2:]
        return forming_voltage(
            np.concatenate([piece.volts for piece in last]),
            np.concatenate([piece.current for piece in last]),
            np.concatenate([piece.flags & FLAG_COMPLIANCE for piece in last]) != 0,
            formed_above,
            first=len(last[0].volts) if len(last) > 1 else 0,
        )

    def _switched(self, at: tuple[int, int], cell: Block, sign: int, before: float) -> float:
        """RESET (sign -1) or SET a cell with as many pulses as it needs and may have; return what it reads [S]."""
        plan = self._plan
        volts, gate = (plan.set_volts, plan.set_gate) if sign > 0 else (plan.reset_volts, plan.reset_gate)
        least, most = max(CHANGE_RATIO * before, plan.formed_above), before / CHANGE_RATIO
        if plan.off_below is not None:
            most = min(most, plan.off_below)
        g, width = before, plan.proof_width(self._array.spec)
        for attempt in range(plan.attempts):
            self._pulse(at, cell, sign * (volts + attempt * plan.attempt_step), width, gate)
            g = self._read(cell, 4)
            if g > least if sign > 0 else g <= most:
                break
        return g

    def _pulse(self, at: tuple[int, int], cell: Block, volts: float, width: float, gate: float) -> None:
        plan, spec = self._plan, self._array.spec
        self._array.pulse(
            PulseMap(block=cell, volts=volts, width=width, gate=spec.pulse_gate(gate), count=1, scheme=plan.scheme)
        )
        self.pulses[at] += 1


def form_cells(array: CrossbarArray, plan: FormingPlan, block: Block, keep: Run) -> FormingResult:
    """Form the cells of a block one by one.

    Units of work are the first look, every cell's forming, every cell's proof and the last look. A cell whose forming
    or proof may have been cut is read anew before its next pulse; one that reads formed by then counts as formed
    already, for nobody saw at which voltage it did.
    """
    where = [Axis("row", "Row"), Axis("col", "Column")]
    axes = [*where, Axis("volts", "Source voltage", "V")]
    variables = [
        Variable("current", "Current", "A"),
        Variable("applied", "Source voltage read back", "V"),
        Variable("conductance", "Conductance read after the segment", "S"),
    ]
    earlier = Shape([*where, Axis("step", "Staircase step")], [Variable("volts", "Source voltage", "V"), *variables])
    meta = {"method": plan.method, "compliance": plan.compliance, "dwell": plan.dwell, "width": plan.width}
    total = 2 + 2 * int(array.spec.healthy_mask(block).sum())
    with keep.work(
        "forming", axes, variables, meta, label="cells formed and proved", total=total, earlier=earlier
    ) as work:
        job = CellForming(array, plan, block, work)
        work.hold("cells", job)
        work.hold("neighbours", job.watch)
        if work.begin("before"):
            job.look()
            work.done()
        cells = job.order()
        for at in cells:
            name = f"{block.row0 + at[0]},{block.col0 + at[1]}"
            if work.begin(f"form {name}"):
                pieces = job.form(at)
                work.done(f"cell ({name}): {job.outcome[at]}", None, **_packed(pieces))
        for at in cells:
            name = f"{block.row0 + at[0]},{block.col0 + at[1]}"
            if work.begin(f"prove {name}"):
                job.prove(at)
                work.done(f"cell ({name})")
        if plan.check_neighbours and work.begin("all cells"):
            job.watch.look_at_all()
            work.done()
        ramps = zip(work.pieces("ramp"), work.pieces("sweeps"), strict=True)
        traces = tuple(_unpacked(ramp, sweeps) for ramp, sweeps in ramps)
    how = (
        f"a ramp that limits the current to {plan.compliance * 1e6:g} µA" if plan.method == "ramp" else "rising pulses"
    )
    return FormingResult(
        block=block,
        outcome=job.outcome,
        v_form=job.v_form,
        before=job.before,
        after=job.after,
        after_reset=job.after_reset,
        after_set=job.after_set,
        pulses=job.pulses,
        works=job.works,
        disturbed=job.watch.disturbed if plan.check_neighbours else None,
        traces=traces,
        text=ONE_BY_ONE.format(how=how),
        limit_acts_on=limit_acts_on(array.spec, plan.scheme),
    )


def _packed(pieces: list[IVTrace]) -> dict[str, FloatArray]:
    """Return a ramp as two tables: its points, and one line per sweep it was made of."""
    if not pieces:
        return {}
    columns = ("volts", "gate", "current", "flags")
    points = [np.stack([np.asarray(getattr(piece, name), dtype=np.float64) for name in columns]) for piece in pieces]
    sweeps = [(p.row, p.col, p.compliance, p.dwell, len(p.volts)) for p in pieces]
    return {"ramp": np.concatenate(points, axis=1), "sweeps": np.asarray(sweeps, dtype=np.float64)}


def _unpacked(ramp: FloatArray, sweeps: FloatArray) -> tuple[IVTrace, ...]:
    """Return the pieces of a ramp from its tables."""
    found: list[IVTrace] = []
    first = 0
    for row, col, compliance, dwell, points in sweeps.tolist():
        volts, gate, current, flags = ramp[:, first : first + int(points)]
        first += int(points)
        found.append(
            IVTrace(
                row=int(row),
                col=int(col),
                volts=volts,
                gate=gate,
                current=current,
                flags=flags.astype(np.uint8),
                compliance=compliance,
                dwell=dwell,
            )
        )
    return tuple(found)
