"""How wanted changes of weights become pulses: what every rule can do, and the one that writes by gate voltage.

Every rule says what one step costs (``StepCost``), and leaves a state that a checkpoint can hold. A rule is handed the
change the host's optimiser wants; which optimiser that is does not matter to it. Rules that count
equal pulses are in ``equal_pulses``, those for parallel outer products in ``outer_rules``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ....analysis.measurements.pulse_answer import PulsePair, StepNeeds
from ....common.errors import RefusedError
from ....instruments.array_spec import ArraySpec
from ....instruments.capabilities import FloatArray, PulseMap
from ...plan import check_pulse
from ..layers.array_weights import ArrayWeights, Float32Array
from ..layers.weight_mapping import FloorPlan
from .memory import RuleMemory

Changes = Mapping[str, NDArray[np.floating]]
Samples = Mapping[str, list[tuple[Float32Array, Float32Array]]]


@dataclass(frozen=True, slots=True)
class StepCost:
    """What one update costs at most, the read-back not included.

    ``transactions`` messages that make the array act; ``pulses`` per cell; ``slots`` per row of the array.
    """

    transactions: int
    pulses: float
    slots: float


class UpdateRule(Protocol):
    """Turns wanted changes into pulses.

    ``attach``, ``start``, ``adopt``, ``restore``, and ``program`` of a rule that can write given weights, each leave
    nothing of what was remembered before.
    """

    @property
    def needs_samples(self) -> bool:
        """Whether ``apply`` wants what passed through the layers, not only the changes."""
        ...

    def check(self, spec: ArraySpec) -> None:
        """Refuse what this array cannot do, saying what is missing."""
        ...

    def attach(self, weights: ArrayWeights) -> None:
        """Belong to these weights from here on."""
        ...

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """Bring the cells to where training begins."""
        ...

    def adopt(self, weights: ArrayWeights) -> None:
        """Go on from cells that something else has programmed, as they were last read."""
        ...

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Write ``changes`` [inputs, outputs] of every layer that is trained; the cells of others are left alone.

        ``samples`` are (inputs, errors) of the last batch.
        """
        ...

    def finish(self, weights: ArrayWeights) -> None:
        """Do what is left to do after the last step."""
        ...

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """Return what one ``apply`` costs at most."""
        ...

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the state for a checkpoint."""
        ...

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take up what ``arrays`` returned."""
        ...


def share_of(plan: Any) -> dict[str, float]:
    """Return the share of the change that each cell of a pair moves by, where a plan says it."""
    return {} if plan.share is None else {"share": plan.share}


@dataclass
class TwoPulse(RuleMemory):
    """RESET what must fall, then SET at a gate voltage that the host remembers for every cell.

    A SET through a transistor leaves G ≈ slope·Vg + offset, whatever came before, once a RESET has made room. So the
    host keeps Vg per cell, moves it by ±share·dW·siemens/slope, RESETs the cells whose Vg fell, and SETs at the new Vg.
    Blind: what comes of it is known from the read that follows (Li et al. 2019; Wang et al. 2019).

    Attributes
    ----------
    slope : float [S/V]
        Conductance per gate voltage.
    gate_start, gate_low, gate_high, start_spread : float [V]
        Where Vg begins, its bounds, and the standard deviation of its start (0: only the array's own noise tells the
        cells apart).
    share : float
        What each cell of a pair moves by: 1 as published (the weight moves by twice the change), 0.5 for the change.
    refresh : bool
        SET all cells, or only those whose Vg changed.
    least : float [V]
        Changes below this are carried over to the next step instead of being written.
    in_turn : bool
        A step writes one copy of every weight, the copies taking turns, by as many times the change: the mean moves the
        same, and a cell is pulsed as many times less often.
    feedback : bool
        The host keeps the wanted weights and corrects what the last read shows to be off: a cell that took its pulses
        badly is written again, one that is near enough is left alone (``least``). One cell of a pair is moved
        at a time, the one that brings both towards the middle of the range. Otherwise blind, as published.
    rounds, gain, average : int, float, int
        With feedback: most writes and reads in one step, the share of an error that one write corrects, and the
        conversions per cell of the reads between.
    final_rounds : int
        With feedback: as many after the last step, to leave the wanted weights as exactly as the cells allow.
    rest : "middle" or "low"
        With feedback: where both cells of a pair stand at a weight of 0. "middle": around the middle of the gates, so
        that half a change is the most a cell has to move. "low": at ``gate_low``, one cell stands above it by the
        weight: lines carry less, and cells that rest there fluctuate less than in the middle.
    """

    slope: float = 98e-6
    set_volts: float = 2.5
    reset_volts: float = 1.7
    reset_gate: float = 5.0
    width: float = 500e-9
    gate_start: float = 1.0
    gate_low: float = 0.7
    gate_high: float = 1.6
    start_spread: float = 0.0
    share: float = 1.0
    refresh: bool = True
    least: float = 0.0
    in_turn: bool = False
    feedback: bool = False
    rounds: int = 1
    gain: float = 0.7
    average: int = 4
    final_rounds: int = 0
    rest: Literal["middle", "low"] = "middle"
    gate: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)
    written: FloatArray = field(default_factory=lambda: np.empty(0), repr=False)
    turn: int = field(default=0, repr=False)
    wanted: dict[str, FloatArray] = field(default_factory=dict[str, FloatArray], repr=False)
    unfinished: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None = field(default=None, repr=False)

    needs_samples = False

    @classmethod
    def settings(cls, plan: Any) -> dict[str, Any]:
        """Return what of a training plan it is made with."""
        names = (
            "slope", "set_volts", "reset_volts", "reset_gate", "width", "gate_start", "gate_low", "gate_high",
            "start_spread", "refresh", "least", "in_turn", "feedback", "rounds", "final_rounds",
        )  # fmt: skip
        return {**{name: getattr(plan, name) for name in names}, "average": plan.read_average, **share_of(plan)}

    def check(self, spec: ArraySpec) -> None:
        """Refuse arrays whose lines carry no gates, and pulses beyond the limits."""
        if spec.gate_axis is None:
            from ....instruments.errors import UnsupportedError

            raise UnsupportedError(
                "this array has no gate lines: the two-pulse rule sets conductance by gate voltage; choose manhattan "
                "or mixed_precision, which count equal pulses"
            )
        if self.rest not in ("middle", "low"):
            raise RefusedError(f"two_pulse: cells rest in the middle or low, not {self.rest!r}")
        if self.rest == "low" and not self.feedback:
            raise RefusedError(
                "two_pulse: rest low moves one cell of a pair at a time, which needs feedback: true; without it rest: "
                "middle"
            )
        check_pulse(spec, volts=self.set_volts, width=self.width, gate=self.gate_high, channel="two_pulse.set_volts")
        check_pulse(
            spec, volts=-self.reset_volts, width=self.width, gate=self.reset_gate, channel="two_pulse.reset_volts"
        )

    def pulses(self, spec: ArraySpec) -> PulsePair:
        """Return its RESET, and its SET at the highest gate voltage."""
        return PulsePair(self.set_volts, self.gate_high, self.reset_volts, self.reset_gate, self.width)

    def needs(self) -> StepNeeds:
        """Return that its pulses must move cells, as far as they like: the gate says where a SET ends."""
        return StepNeeds(least=0.05, most=float("inf"), span=self.span(), wrong_most=0.5)

    def start(self, weights: ArrayWeights, rng: np.random.Generator) -> None:
        """RESET all cells and SET them at the start voltage."""
        self._anew(weights)
        shape = weights.block.shape
        spread = self.start_spread * rng.standard_normal(shape)
        self.gate = np.clip(self.gate_start + spread, self.gate_low, self.gate_high)
        self._write(weights, np.ones(shape, np.bool_), np.ones(shape, np.bool_))

    def program(self, weights: ArrayWeights, wanted: Changes) -> None:
        """Write given weights [inputs, outputs] as well as the straight line allows, around the middle of the range.

        Cells of layers that are not given are left alone.
        """
        self._anew(weights)
        self.gate = self._gates_of(weights, wanted)
        given = weights.cells_of(wanted)
        self._write(weights, given, given)

    def adopt(self, weights: ArrayWeights) -> None:
        """Take for the gates what would have written the weights last read."""
        self._anew(weights)
        self.gate = self._gates_of(weights, {r.name: weights.weights(r.name) for r in weights.plan.requests})
        self.written = self.gate.copy()

    def span(self) -> float:
        """Return the largest difference of a pair's conductances that it can write [S]."""
        return self.slope * (self.gate_high - self.gate_low)

    def forget(self) -> None:
        """Forget gates, turn, wanted weights, and what a write that was ended left to do."""
        self.gate, self.written, self.turn, self.wanted, self.unfinished = np.empty(0), np.empty(0), 0, {}, None

    def _gates_of(self, weights: ArrayWeights, wanted: Changes) -> FloatArray:
        if self.rest == "low":
            return np.clip(self.gate_low + weights.moves(wanted) / self.slope, self.gate_low, self.gate_high)
        half = 0.5 * weights.moves(wanted) / self.slope
        return np.clip(0.5 * (self.gate_low + self.gate_high) + half, self.gate_low, self.gate_high)

    def apply(self, weights: ArrayWeights, changes: Changes, samples: Samples) -> None:
        """Move the gate voltages, RESET the cells whose own fell, SET.

        What the last one left to do, ended in the middle, is done first.
        """
        self._mine(weights)
        if not self.gate.size:
            self.adopt(weights)
        if self.unfinished is not None:
            self._write(weights, *self.unfinished)
            if self.feedback:
                weights.read(self.average)
        self.turn += 1
        if self.feedback:
            self._want(weights, changes)
            self._approach(weights, self.rounds, self._whose(), changes)
            return
        move = self.share / self.slope * weights.moves(changes, turn=self._whose())
        self.gate = np.clip(self.gate + move, self.gate_low, self.gate_high)
        change, trained = self.gate - self.written, weights.cells_of(changes)
        moved = (np.abs(change) > self.least) & trained
        self._write(weights, moved & (change < 0.0), trained if self.refresh else moved)

    @property
    def volts_max(self) -> float:
        """Largest |V| it gives, for the forecast."""
        return max(self.set_volts, self.reset_volts)

    def _whose(self) -> int | None:
        return self.turn if self.in_turn else None

    def finish(self, weights: ArrayWeights) -> None:
        """Bring the cells as near to the wanted weights as ``final_rounds`` do."""
        if self.feedback and self.final_rounds:
            weights.read(self.average)
            self._approach(weights, self.final_rounds, None, self.wanted)

    def _want(self, weights: ArrayWeights, changes: Changes) -> None:
        """Add the changes to the wanted weights; what the range of the cells cannot hold is cut."""
        for layer, change in changes.items():
            largest = self.span() / weights.scale[layer]
            before = self.wanted[layer] if layer in self.wanted else weights.weights(layer)
            self.wanted[layer] = np.clip(before + change, -largest, largest)

    def _approach(self, weights: ArrayWeights, rounds: int, turn: int | None, layers: Iterable[str]) -> None:
        """Write what the weights last read lack of the wanted ones, read, and again."""
        for left in range(rounds, 0, -1):
            missing = {layer: self.wanted[layer] - weights.weights(layer) for layer in layers}
            move = self._moved_alone(weights, self.gain / self.slope * weights.moves(missing, turn=turn))
            self.gate = np.clip(self.written + move, self.gate_low, self.gate_high)
            moved = np.abs(move) > self.least
            self._write(weights, moved & (move < 0.0), moved)
            if left > 1:
                if not (moved & weights.used[weights.block.slices]).any():
                    return
                weights.read(self.average)

    def _moved_alone(self, weights: ArrayWeights, move: FloatArray) -> FloatArray:
        """Return ``move`` [V] of one cell of each pair, 0 of the other: one rises, or the other falls."""
        partner = weights.partner(self.written)
        if self.rest == "middle":  # whatever keeps their sum near twice the middle
            rises = self.written + partner < self.gate_low + self.gate_high
        else:  # what stands up falls first
            rises = np.where(move > 0.0, partner, self.written) <= self.gate_low + self.least
        return np.where((move > 0.0) == rises, move, 0.0)

    def _write(self, weights: ArrayWeights, fall: NDArray[np.bool_], rise: NDArray[np.bool_]) -> None:
        self.unfinished = fall, rise
        used = weights.used[weights.block.slices]
        if not self.written.size:
            self.written = self.gate.copy()
        array, block = weights.array, weights.block
        if (fall & used).any():
            array.pulse(
                PulseMap(
                    block=block,
                    volts=-self.reset_volts,
                    width=self.width,
                    gate=self.reset_gate,
                    count=(fall & used).astype(np.int64),
                )
            )
        if (rise & used).any():
            array.pulse(
                PulseMap(
                    block=block,
                    volts=self.set_volts,
                    width=self.width,
                    gate=self.gate,
                    count=(rise & used).astype(np.int64),
                )
            )
        # A refreshed cell is SET at a gate that rose a little or not at all; one that fell unseen keeps what it has.
        self.written = np.where(rise & (fall | (self.gate >= self.written)), self.gate, self.written)
        self.unfinished = None

    def step_cost(self, floor: FloorPlan) -> StepCost:
        """Two maps: at most one RESET and one SET per cell, two slots per row; with feedback as often as ``rounds``."""
        times = self.rounds if self.feedback else 1
        return StepCost(3 * times - 1, 2.0 * times, 2.0 * times)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the gate voltages [V], and the wanted weights where they are kept."""
        kept: dict[str, NDArray[Any]] = {"gate": self.gate, "written": self.written, "turn": np.asarray(self.turn)}
        if self.unfinished is not None:
            kept["fall"], kept["rise"] = self.unfinished
        return kept | {f"wanted/{k}": v for k, v in self.wanted.items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take them up."""
        self.gate, self.written = (np.array(arrays[name], dtype=np.float64) for name in ("gate", "written"))
        self.turn = int(arrays["turn"])
        left = [np.array(arrays[name], dtype=np.bool_) for name in ("fall", "rise") if name in arrays]
        self.unfinished = (left[0], left[1]) if left else None
        kept = {name: np.array(value, dtype=np.float64) for name, value in arrays.items()}
        self.wanted = {k.removeprefix("wanted/"): v for k, v in kept.items() if k.startswith("wanted/")}
