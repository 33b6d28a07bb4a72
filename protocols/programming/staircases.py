"""Choose the next pulse of every cell: ISPP's fixed staircase, and ours, which learns from what cells just did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...instruments.capabilities import FloatArray
from ..keeping.array_state import Arrays, ArrayState
from .response_model import ResponseModel
from .targets import Goal
from .verify_state import BoolArray, VerifyState

Knob = Literal["gate", "volts"]
_POLARITIES = ((1, "set"), (-1, "reset"))
MOST_STEPS = 4.0
"""Of a ramp, that a pulse goes beyond what the array was seen to do, or beyond the last pulse."""
SHY = 0.5
"""SETs begin by this share of their spread short of the middle of the window."""
CLIMB = 1.2
"""A SET that fell short is followed by one that is further by this times the width of the window."""
FINE = 0.7
"""A polarity aims into a window when at least this share as many of its pulses end there as of the other one."""
PATIENCE = 1
"""Pulses without effect before the step grows."""
BLIND, GOLDEN = 0.7, 0.618034
"""Share of the RESET ramp over which first pulses are spread, and by what from cell to cell."""
FIRST = 20.0
"""Pairs of pulses that an assumed half of the scatter counts for."""
OUTLIER = 2.0
"""Standard deviations beyond which a deviation counts as that many."""
LEAST_SHARE = 0.05
"""Of a cell's own variance that stays: cells change."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """One polarity's pulses: the ``knob`` that is turned, from ``start`` to ``stop`` [V]; the other is held.

    ``held`` is the amplitude [V, magnitude] when the knob is the gate, the gate voltage [V] when it is the amplitude.
    """

    knob: Knob
    start: float
    stop: float
    step: float
    held: float

    def volts_and_gate(self, value: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return (magnitude, gate) [V] for knob values."""
        clipped = np.clip(value, self.start, self.stop)
        held = np.full_like(clipped, self.held)
        return (held, clipped) if self.knob == "gate" else (clipped, held)

    @property
    def volts_max(self) -> float:
        """Largest magnitude [V] of this ramp."""
        return self.held if self.knob == "gate" else self.stop

    @property
    def gate_max(self) -> float:
        """Largest gate voltage [V] of this ramp."""
        return self.stop if self.knob == "gate" else self.held


class Staircase(Protocol):
    """Chooses knob values; ``set_ramp`` and ``reset_ramp`` turn them into pulses."""

    set_ramp: Ramp
    reset_ramp: Ramp

    def choose(self, state: VerifyState, cells: BoolArray) -> tuple[NDArray[np.int8], FloatArray]:
        """Return polarity (+1 SET, −1 RESET) and knob value [V] of the next pulse of every cell in ``cells``."""
        ...

    def begin(self, state: VerifyState, cells: BoolArray) -> FloatArray:
        """Return the knob value [V] of the RESETs by which ``cells``, all above their window, begin."""
        ...

    def learn(self, state: VerifyState) -> None:
        """Look at what the last pulses did (``state.before``, ``state.g``, ``state.fired``)."""
        ...


class FixedStaircase:
    """ISPP: fixed start, step and width; a staircase restarts when the polarity changes."""

    def __init__(self, set_ramp: Ramp, reset_ramp: Ramp, shape: tuple[int, int]) -> None:
        self.set_ramp, self.reset_ramp = set_ramp, reset_ramp
        self._rung = np.zeros(shape, dtype=np.int64)
        self._sign = np.zeros(shape, dtype=np.int8)

    def choose(self, state: VerifyState, cells: BoolArray) -> tuple[NDArray[np.int8], FloatArray]:
        """Return the next rung for every cell, towards its target."""
        sign = towards(state)
        self._rung = np.where(cells, np.where(sign == self._sign, self._rung + 1, 0), self._rung)
        self._sign = np.where(cells, sign, self._sign).astype(np.int8)
        return sign, np.where(
            sign > 0,
            self.set_ramp.start + self.set_ramp.step * self._rung,
            self.reset_ramp.start + self.reset_ramp.step * self._rung,
        )

    def begin(self, state: VerifyState, cells: BoolArray) -> FloatArray:
        """Return the top of the RESET staircase; the next pulse of ``cells`` starts a staircase anew."""
        del state
        self._sign[cells] = 0
        return np.full(cells.shape, self.reset_ramp.stop)

    def learn(self, state: VerifyState) -> None:
        """Learn nothing: that is what makes it the baseline."""


def towards(state: VerifyState) -> NDArray[np.int8]:
    """Return the polarity that leads every cell towards its target."""
    return np.where(state.g < state.target, 1, -1).astype(np.int8)


class LearningStaircase:
    """The array's common response to each knob is learnt on the fly; every cell carries its own offset to it.

    A pulse is chosen by asking which knob value would bring this cell into its window, given what the array did so far
    and what this cell did. How far a cell's own behaviour is believed follows from how far pulses of one cell agree
    (covariance of its deviations, one pulse to the next) and from how much they scatter at that knob value: where the
    response is flat, what a cell did there says nothing. SETs begin a little short of the middle of their window and
    climb by about its width; RESETs aim below it, for a cell can be lifted gently but not lowered gently. A window that
    is open at its end takes the strongest RESET, or a SET beyond its edge.

    Parameters
    ----------
    undershoot : float
        RESETs aim at (1 − ``undershoot``) × target.
    """

    def __init__(self, set_ramp: Ramp, reset_ramp: Ramp, shape: tuple[int, int], *, undershoot: float = 0.3) -> None:
        self.set_ramp, self.reset_ramp = set_ramp, reset_ramp
        self._undershoot = undershoot
        self._models = {
            1: ResponseModel(set_ramp.start, set_ramp.stop, rising=True),
            -1: ResponseModel(reset_ramp.start, reset_ramp.stop, rising=False),
        }
        self._offsets = {sign: CellOffsets(shape) for sign, _ in _POLARITIES}
        self._last = {1: np.full(shape, np.nan), -1: np.full(shape, np.nan)}
        self._value = np.zeros(shape)

    def choose(self, state: VerifyState, cells: BoolArray) -> tuple[NDArray[np.int8], FloatArray]:
        """Return the knob value expected to bring each cell into its window, and the polarity towards it."""
        sign = towards(state)
        value = np.zeros(state.target.shape)
        for polarity in (1, -1):
            mine = cells & (sign == polarity)
            if mine.any():
                chosen = self._toward(polarity, state)
                value = np.where(mine, chosen, value)
        self.note(cells, sign, value)
        return sign, value

    def note(self, cells: BoolArray, sign: NDArray[np.int8], value: FloatArray) -> None:
        """Remember which pulses ``cells`` get."""
        for polarity in (1, -1):
            mine = cells & (sign == polarity)
            self._last[polarity][mine] = value[mine]
        self._value = np.where(cells, value, self._value)

    def _toward(self, polarity: int, state: VerifyState) -> FloatArray:
        """Return the knob value of a pulse of one polarity for every cell."""
        ramp, model, goal = self._ramp(polarity), self._models[polarity], state.goal
        opens = np.isinf(goal.high) if polarity > 0 else goal.low <= 0.0
        if polarity < 0 and opens.all():
            return np.full(state.target.shape, ramp.stop)
        finer = self._finesse(polarity, state) >= FINE * self._finesse(-polarity, state)
        undershoot = self._undershoot if polarity < 0 else 0.0
        aim = np.where(finer, goal.target, (1.0 - undershoot) * goal.target)
        guess = self._guess(polarity, state, aim)
        slope = model.slope_at(np.where(np.isfinite(guess), guess, ramp.start))
        width = _width(goal) / slope
        width = np.where(np.isfinite(width), width, ramp.step)
        short = SHY * np.maximum(self._spread(polarity, guess, slope) - 0.5 * width, 0.0)
        guess = guess + np.where(opens, short, np.where(finer, -short, 0.0))
        push = np.clip(CLIMB * width, 0.25 * ramp.step, MOST_STEPS * ramp.step)
        value = self._climb(polarity, state, guess, push)
        return np.where(opens, ramp.stop, value) if polarity < 0 else value

    def _finesse(self, polarity: int, state: VerifyState) -> FloatArray:
        """Return about which share of pulses of one polarity that aim at a window end in it, as far as is known."""
        model = self._models[polarity]
        knob = model.knob_for(state.target)
        slope = model.slope_at(knob)
        width, spread = _width(state.goal), self._spread(polarity, knob, slope) * slope
        return np.nan_to_num(width / (width + 2.5 * spread))

    def _guess(self, polarity: int, state: VerifyState, aim: FloatArray) -> FloatArray:
        """Return the knob value that is expected to lead to ``aim`` [S]; nan while nothing is known."""
        model, ramp = self._models[polarity], self._ramp(polarity)
        guess = model.knob_for(aim) + self._offsets[polarity].mean
        # Beyond what the array has been seen to do, go no further than a few steps at a time.
        guess = np.minimum(guess, model.highest + MOST_STEPS * ramp.step)
        last = self._last[polarity]
        return np.where(
            np.isfinite(guess), guess, np.where(np.isfinite(last), last + ramp.step, self._blind(polarity, state))
        )

    def _climb(self, polarity: int, state: VerifyState, guess: FloatArray, push: FloatArray) -> FloatArray:
        """Return the next value: the same polarity again means that the last pulse fell short, so climb from there.

        Where nothing happens the step grows.
        """
        ramp, last = self._ramp(polarity), self._last[polarity]
        reach = 0.25 * (ramp.stop - ramp.start)
        grown = np.minimum(np.maximum(push, ramp.step) * 2.0 ** (state.stalls - PATIENCE), reach)
        push = np.maximum(push, np.where(state.stalls > PATIENCE, grown, 0.0))
        repeated = (state.sign == polarity) & np.isfinite(last)
        return np.clip(np.where(repeated, np.maximum(guess, last + push), guess), ramp.start, ramp.stop)

    def _spread(self, polarity: int, knob: FloatArray, slope: FloatArray) -> FloatArray:
        """Return how far off a pulse is expected to land, as a knob value [V]."""
        scatter = self._models[polarity].scatter_at(knob) / slope
        return np.nan_to_num(self._offsets[polarity].spread(scatter))

    def _ramp(self, polarity: int) -> Ramp:
        return self.set_ramp if polarity > 0 else self.reset_ramp

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learnt of the array and of every cell."""
        kept: dict[str, NDArray[Any]] = {"value": self._value}
        for polarity, name in _POLARITIES:
            kept[f"{name}_last"] = self._last[polarity]
            kept |= {f"{name}_offset{key}": value for key, value in self._offsets[polarity].arrays().items()}
            kept |= {f"{name}_model{key}": value for key, value in self._models[polarity].arrays().items()}
        return kept

    def restore(self, arrays: Arrays) -> None:
        """Take up what was learnt."""
        self._value = arrays["value"]
        for polarity, name in _POLARITIES:
            self._last[polarity] = arrays[f"{name}_last"]
            for start, part in ((f"{name}_offset", self._offsets[polarity]), (f"{name}_model", self._models[polarity])):
                part.restore({key.removeprefix(start): one for key, one in arrays.items() if key.startswith(start)})

    def _blind(self, polarity: int, state: VerifyState) -> FloatArray:
        """Return the first knob value [V] while nothing is known.

        Higher targets begin further up the lower half of the SET ramp, and RESETs at places spread over the middle of
        theirs: like this the first pulses show the whole response at once.
        """
        if polarity < 0:
            ramp = self.reset_ramp
            index = np.arange(state.target.size).reshape(state.target.shape)
            return ramp.start + (ramp.stop - ramp.start) * BLIND * np.asarray(index * GOLDEN % 1.0, np.float64)
        top = float(np.nanmax(state.target))
        span = 0.5 * (self.set_ramp.stop - self.set_ramp.start)
        return self.set_ramp.start + span * np.nan_to_num(state.target) / top

    def begin(self, state: VerifyState, cells: BoolArray) -> FloatArray:
        """Return the top of the RESET range: from below, SETs are gentle."""
        del state
        self._value = np.where(cells, self.reset_ramp.stop, self._value)
        return np.full(cells.shape, self.reset_ramp.stop)

    def learn(self, state: VerifyState) -> None:
        """Add the last pulses that had an effect to the common response, and to each cell's offset."""
        for polarity in (1, -1):
            change = (state.g - state.before) * polarity
            effective = (
                state.fired
                & (state.sign == polarity)
                & (change > 4.0 * state.sigma)
                & (change > 0.1 * np.abs(state.before))
            )
            if not effective.any():
                continue
            model = self._models[polarity]
            model.add(self._value[effective], state.g[effective])
            seen = self._value - model.knob_for(state.g)
            scatter = model.scatter_at(self._value) / model.slope_at(self._value)
            # At full strength the response is flat, and what a cell did there says nothing of where it begins.
            partial = effective & (self._value < self._ramp(polarity).stop - 1e-9)
            self._offsets[polarity].learn(partial, seen, scatter)


def _width(goal: Goal) -> FloatArray:
    """Return how wide windows are [S]; of one with an open end twice the way from its edge to its aim."""
    return np.where(np.isinf(goal.high), 2.0 * (goal.target - goal.low), goal.high - np.maximum(goal.low, 0.0))


class CellOffsets(ArrayState):
    """By how much each cell needs more of the knob than the array does [V]: mean and variance of what is believed.

    The spread of cells is the covariance of deviations of one cell, one pulse to the next: what pulses have in common
    is the cell's, the rest is luck.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self.mean = np.zeros(shape)
        self._share = np.ones(shape)  # of the cells' variance that is left
        self._before = np.full(shape, np.nan)
        self._products = np.zeros(3)  # sum of weighted products, of weights, of weighted squares

    @property
    def variance(self) -> float:
        """Variance of the cells' offsets [V²]."""
        total, weight, squares = self._products
        if weight <= 0.0:
            return np.nan
        typical = squares / weight
        return float(np.clip((total + FIRST * 0.5 * typical) / (weight + FIRST), 0.02 * typical, typical))

    def spread(self, scatter: FloatArray) -> FloatArray:
        """Return how far off the next pulse lands [V] where all cells together scatter by ``scatter`` [V]."""
        cells = np.nan_to_num(self.variance)
        return np.sqrt(self._share * cells + _luck(scatter, cells))

    def learn(self, cells: BoolArray, seen: FloatArray, scatter: FloatArray) -> None:
        """Take in deviations ``seen`` [V] of some cells."""
        good = cells & np.isfinite(seen) & np.isfinite(scatter) & (scatter > 0.0)
        if not good.any():
            return
        typical = float(np.median(scatter[good]))
        weight = np.where(good & (scatter < 2.0 * typical), 1.0, 0.0)
        bound = 3.0 * typical
        clipped = np.clip(np.nan_to_num(seen), -bound, bound)
        pair = weight * np.isfinite(self._before)
        self._products = self._products + np.array(
            [(pair * clipped * np.nan_to_num(self._before)).sum(), pair.sum(), (pair * clipped**2).sum()]
        )
        if self._products[1] <= 0.0:  # no cell was seen twice: half of the scatter is taken for the cells'
            self._products[2] = 0.0
        self._before = np.where(weight > 0.0, clipped, self._before)
        cells_have = self.variance
        if not np.isfinite(cells_have):
            cells_have = 0.5 * typical**2
        left = self._share * cells_have
        luck = _luck(scatter, cells_have)
        gain = left / (left + luck)
        # A pulse that went far astray says little of the next one.
        most = OUTLIER * np.sqrt(left + luck)
        self.mean = np.where(good, self.mean + gain * np.clip(seen - self.mean, -most, most), self.mean)
        self._share = np.where(good, np.maximum((1.0 - gain) * self._share, LEAST_SHARE), self._share)


def _luck(scatter: FloatArray, cells: float) -> FloatArray:
    """Return the variance of luck [V²] where cells and luck together scatter by ``scatter`` [V]."""
    return np.maximum(scatter**2 - cells, 0.25 * scatter**2)
