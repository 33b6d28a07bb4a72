"""What loops of pulses of :mod:`.pulsed_iv` are, and what gives them: a pulse, then a read, or a leg at once."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from ...instruments.abilities import Staircases, Sweeps
from ...instruments.array_spec import ArraySpec
from ...instruments.block import Block
from ...instruments.capabilities import CrossbarArray, FloatArray, PulseMap
from ..plan import Forecast, Plan, check_pulse, with_intervals

Leg = Literal["+out", "+back", "-out", "-back"]
_OTHERWISE = "measure: after reads at the read voltage behind each pulse"


class PulsedIvPlan(Plan):
    """Loops of pulses in any order of legs, each pulse followed by a read; the array is at 0 V between pulses."""

    cells: str = Field(default="0:2,0:4", description="rows,cols like '0:8,0:8', or 'all'")
    legs: Annotated[tuple[Leg, ...], Field(min_length=1, max_length=4)] = Field(
        default=("+out", "+back", "-out", "-back"),
        description="ways of a loop in their order: +out away from 0 V, +back towards it, -out, -back",
    )
    smallest: float = Field(default=0.1, gt=0, description="magnitude of the smallest pulse [V]")
    positive: float = Field(default=1.5, gt=0, description="largest positive pulse [V]")
    negative: float = Field(default=-1.5, lt=0, description="largest negative pulse [V]")
    points: int = Field(default=15, ge=2, le=1000, description="pulses of a leg")
    spacing: Literal["linear", "log"] = Field(
        default="linear", description="even steps, or amplitudes evenly spaced on a logarithmic axis"
    )
    width: float = Field(default=200e-9, gt=0, description="pulse width [s]")
    set_gate: float = Field(default=1.6, ge=0, description="gate of positive pulses [V], where there are gates")
    reset_gate: float = Field(default=5.0, ge=0, description="gate of negative pulses [V], where there are gates")
    cycles: int = Field(default=5, ge=1, description="loops per cell")
    cutoff_current: float | None = Field(
        default=None, gt=0, description="a leg away from 0 V turns back once this much is measured [A]"
    )
    cutoff_above: float | None = Field(
        default=None, gt=0, description="a positive leg turns back once a cell reads above this [S]"
    )
    cutoff_below: float | None = Field(
        default=None, gt=0, description="a negative leg turns back once a cell reads below this [S]"
    )
    measure: Literal["after", "during"] = Field(
        default="after",
        description="read behind each pulse, or also measure the current in it, by a source that limits it",
    )
    compliance: float = Field(default=500e-6, gt=0, description="with measure: during, largest current in a pulse [A]")
    average: int = Field(
        default=4, ge=1,
        description="conversions per cell and read; with 1, even steps and no cut-off an array that gives staircases "
        "by itself does a leg of a cell in few messages",
    )  # fmt: skip
    prepare: bool = Field(
        default=True, description="one loop before that is in no figure, so that the first one starts like the others"
    )
    scheme: str | None = Field(default=None, description="bias scheme of the pulses; the array's own by default")

    @model_validator(mode="after")
    def _rising(self) -> PulsedIvPlan:
        least = min(self.positive, -self.negative)
        if self.smallest >= least:
            raise ValueError(f"smallest {self.smallest:g} V must be below the smaller of both peaks, {least:g} V")
        if len(set(self.legs)) < len(self.legs):
            raise ValueError("a leg is given twice: name each of +out, +back, -out, -back at most once")
        return self

    @property
    def volts(self) -> FloatArray:
        """Signed amplitudes [V], [legs, points], in the order they are given."""
        space = np.linspace if self.spacing == "linear" else np.geomspace
        peaks = {"+": self.positive, "-": self.negative}
        out = {sign: np.copysign(space(self.smallest, abs(peak), self.points), peak) for sign, peak in peaks.items()}
        return np.array([out[leg[0]][:: 1 if leg.endswith("out") else -1] for leg in self.legs])

    @property
    def peaks(self) -> list[tuple[float, float, str]]:
        """Largest amplitude [V], gate [V] and name of each polarity that has a leg."""
        both = (("+", self.positive, self.set_gate, "positive"), ("-", self.negative, self.reset_gate, "negative"))
        return [(peak, gate, name) for sign, peak, gate, name in both if any(leg[0] == sign for leg in self.legs)]

    @property
    def loops(self) -> int:
        """Loops of a cell, the preparing one included."""
        return self.cycles + self.prepare

    def by_staircase(self, spec: ArraySpec) -> bool:
        """Return whether the array does a leg by itself: nobody has to look at what is read before it is over."""
        watched = (self.cutoff_current, self.cutoff_above, self.cutoff_below) != (None, None, None)
        plain = self.measure == "after" and self.spacing == "linear" and self.average == 1 and not watched
        few = self.points <= spec.limits.count_max
        return plain and few and spec.can(Staircases) and self.scheme in {None, spec.write_schemes[0]}

    def measures(self) -> frozenset[str]:
        """Return what it gives."""
        branches = [name for leg, name in (("+out", "set"), ("-out", "reset")) if leg in self.legs]
        spreads = (f"v_{branch}_pulse_{what}" for branch in branches for what in ("mean", "c2c_std", "d2d_std"))
        found = with_intervals(*spreads, *(f"no_{branch}_pulse_fraction" for branch in branches))
        return found | {"forming_loops"}

    def check(self, spec: ArraySpec) -> None:
        """Refuse cells outside the array, pulses beyond the limits, and a current nobody can measure."""
        Block.parse(self.cells, spec)
        spec.require_scheme(self.scheme, writing=True)
        spec.check_average(self.average, channel="pulsed_iv")
        if self.measure == "during":
            spec.require(Sweeps, otherwise=_OTHERWISE)
            spec.check_sweep(1, self.compliance, self.width, channel="pulsed_iv.width")
        for peak, gate, name in self.peaks:
            channel = f"pulsed_iv.{name}"
            if self.measure == "during":
                spec.limits.check("pulse_volts", peak, channel=channel)
                spec.check_gate(gate, channel=f"{channel} gate")
                continue
            check_pulse(spec, volts=peak, width=self.width, gate=gate, channel=channel)
            spec.limits.check_pulses(peak, self.width, channel=f"{channel} ", edge=spec.edge)

    def forecast(self, spec: ArraySpec) -> Forecast:
        """Return the cost when no cell turns back early."""
        block = Block.parse(self.cells, spec)
        given = self.loops * self.volts.size
        one = spec.pulse_seconds(block, self.width)
        if self.measure == "during":
            one = block.size * spec.sweep_seconds(1, self.width)
        if self.by_staircase(spec):  # cell by cell, reads included
            one = block.size * (self.width + spec.slot_overhead + spec.read_slot_seconds)
            seconds = given * one + self.loops * spec.read_seconds(block, self.average)
            return Forecast(block.size, max(abs(peak) for peak, _, _ in self.peaks), block.size * given, seconds)
        seconds = given * one + (given + self.loops) * spec.read_seconds(block, self.average)
        return Forecast(block.size, max(abs(peak) for peak, _, _ in self.peaks), block.size * given, seconds)


class LoopPulser:
    """Gives one pulse to the cells that are to have it, and reads; or a leg at once, where the array can.

    Parameters
    ----------
    array : CrossbarArray
    plan : PulsedIvPlan
    block : Block
        The cells that are read.
    """

    def __init__(self, array: CrossbarArray, plan: PulsedIvPlan, block: Block) -> None:
        self._array, self._plan, self._block = array, plan, block

    def read(self) -> tuple[FloatArray, FloatArray]:
        """Return conductance [S] and current [A] of the block at the read voltage."""
        reading = self._array.read(self._block, average=self._plan.average)
        return reading.conductance, reading.current

    def give(self, volts: float, cells: NDArray[np.bool_]) -> FloatArray:
        """Give ``cells`` one pulse of ``volts`` [V]; return the current in it [A], nan where it is not measured."""
        plan, block, spec = self._plan, self._block, self._array.spec
        gate = plan.set_gate if volts > 0 else plan.reset_gate
        current = np.full(block.shape, np.nan)
        if plan.measure == "after":
            self._array.pulse(
                PulseMap(
                    block=block, volts=volts, width=plan.width, gate=spec.pulse_gate(gate),
                    count=cells.astype(np.int64), scheme=plan.scheme,
                )
            )  # fmt: skip
            return current
        for row, col in np.argwhere(cells).tolist():
            trace = self._array.ability(Sweeps).sweep(
                block.row0 + row, block.col0 + col, [volts], compliance=plan.compliance, dwell=plan.width,
                gate=spec.sweep_gate(gate), scheme=plan.scheme,
            )  # fmt: skip
            current[row, col] = trace.current[0]
        return current

    def loop(self, mask: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
        """Give ``mask`` one loop; return G after each pulse [S] and the current in it [A], [legs, points, *block]."""
        plan, volts = self._plan, self._plan.volts
        shape = (*volts.shape, *self._block.shape)
        g, amps = np.full(shape, np.nan), np.full(shape, np.nan)
        if plan.by_staircase(self._array.spec):
            return self._by_staircase(mask, g), amps
        turned = {sign: np.full(self._block.shape, np.inf) for sign in "+-"}
        for leg, name in enumerate(plan.legs):
            out, turn = name.endswith("out"), turned[name[0]]
            for point, volt in enumerate(volts[leg].tolist()):
                # A cell that turned back has no amplitude above the one at which it did.
                todo = mask & (abs(volt) <= turn)
                if not todo.any():
                    continue
                in_pulse = self.give(volt, todo)
                after, at_read = self.read()
                g[leg, point][todo], amps[leg, point][todo] = after[todo], in_pulse[todo]
                if out:
                    stop = todo & self._stops(volt, after, at_read, in_pulse)
                    turn[stop] = abs(volt)
        return g, amps

    def _by_staircase(self, mask: NDArray[np.bool_], g: FloatArray) -> FloatArray:
        """Take cell by cell through a loop, leg by leg, on the array; fill ``g`` [legs, points, *block] S."""
        part = self._array.ability(Staircases)
        for row, col in np.argwhere(mask).tolist():
            for leg, volts in enumerate(self._plan.volts):
                told = part.staircase(
                    self._block.row0 + row, self._block.col0 + col, float(volts[0]), float(volts[-1]), volts.size,
                    width=self._plan.width,
                )  # fmt: skip
                g[leg, :, row, col] = told.conductance
        return g

    def _stops(self, volt: float, g: FloatArray, at_read: FloatArray, in_pulse: FloatArray) -> NDArray[np.bool_]:
        plan = self._plan
        stop = np.zeros(self._block.shape, dtype=np.bool_)
        if plan.cutoff_current is not None:
            stop |= np.fmax(np.abs(at_read), np.abs(in_pulse)) >= plan.cutoff_current
        if volt > 0 and plan.cutoff_above is not None:
            stop |= g >= plan.cutoff_above
        if volt < 0 and plan.cutoff_below is not None:
            stop |= g <= plan.cutoff_below
        return stop
