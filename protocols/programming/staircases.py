"""Choose the next pulse of every cell: ISPP's fixed staircase, and ours, which learns from what cells just did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...instruments.capabilities import FloatArray
from ..keeping.array_state import Arrays
from .response_model import ResponseModel
from .verify_state import BoolArray, VerifyState

Knob = Literal["gate", "volts"]
_POLARITIES = ((1, "set"), (-1, "reset"))


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

    def choose(self, state: VerifyState, cells: BoolArray, sign: NDArray[np.int8]) -> FloatArray:
        """Return the knob value [V] of every cell in ``cells``."""
        ...

    def full_reset(self, cells: BoolArray) -> FloatArray:
        """Return the knob value [V] of the strongest RESET, for the initialisation of ``cells``."""
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

    def choose(self, state: VerifyState, cells: BoolArray, sign: NDArray[np.int8]) -> FloatArray:
        """Return the next rung for every cell."""
        self._rung = np.where(cells, np.where(sign == self._sign, self._rung + 1, 0), self._rung)
        self._sign = np.where(cells, sign, self._sign).astype(np.int8)
        return np.where(
            sign > 0,
            self.set_ramp.start + self.set_ramp.step * self._rung,
            self.reset_ramp.start + self.reset_ramp.step * self._rung,
        )

    def full_reset(self, cells: BoolArray) -> FloatArray:
        """Return the top of the RESET staircase; the next pulse of ``cells`` starts a staircase anew."""
        self._sign[cells] = 0
        return np.full(cells.shape, self.reset_ramp.stop)

    def learn(self, state: VerifyState) -> None:
        """Learn nothing: that is what makes it the baseline."""


class LearningStaircase:
    """Ours. The array's common response to each knob is learnt on the fly; every cell carries its own offset to it.

    A pulse is chosen by asking which knob value would bring this cell to its aim, given what the array did so far and
    what this cell just did; a cell that hardly moved gets a growing extra step. RESETs aim below the target by
    ``undershoot``: a cell can be lifted gently but not lowered gently, so a SET is to finish the job.

    Parameters
    ----------
    undershoot : float
        RESETs aim at (1 − ``undershoot``) × target.
    gain : float
        Share of a cell's newly seen offset that is believed at once: the rest is taken for cycle-to-cycle chance.
    """

    def __init__(
        self,
        set_ramp: Ramp,
        reset_ramp: Ramp,
        shape: tuple[int, int],
        *,
        undershoot: float = 0.3,
        gain: float = 0.5,
    ) -> None:
        self.set_ramp, self.reset_ramp = set_ramp, reset_ramp
        self._undershoot, self._gain = undershoot, gain
        self._models = {
            1: ResponseModel(set_ramp.start, set_ramp.stop, rising=True),
            -1: ResponseModel(reset_ramp.start, reset_ramp.stop, rising=False),
        }
        self._offset = {1: np.zeros(shape), -1: np.zeros(shape)}
        self._last = {1: np.full(shape, np.nan), -1: np.full(shape, np.nan)}
        self._value = np.zeros(shape)

    def choose(self, state: VerifyState, cells: BoolArray, sign: NDArray[np.int8]) -> FloatArray:
        """Return the knob value expected to bring each cell to its aim."""
        value = np.zeros(state.target.shape)
        for polarity, ramp in ((1, self.set_ramp), (-1, self.reset_ramp)):
            mine = cells & (sign == polarity)
            if not mine.any():
                continue
            aim = state.target if polarity > 0 else (1.0 - self._undershoot) * state.target
            model, offset, last = self._models[polarity], self._offset[polarity], self._last[polarity]
            blind = self._blind(polarity, state)
            guess = model.knob_for(aim) + offset
            # Beyond what the array has been seen to do, go no further than a few steps at a time.
            guess = np.minimum(guess, model.highest + 4.0 * ramp.step)
            guess = np.where(np.isfinite(guess), guess, np.where(np.isfinite(last), last + ramp.step, blind))
            # The same polarity again means that the last pulse fell short: climb by what is missing at least, and by a
            # step that grows while nothing happens.
            missing = np.abs(state.target - state.g) / model.slope_at(last)
            push = np.clip(np.where(np.isfinite(missing), 0.7 * missing, ramp.step), 0.25 * ramp.step, 4.0 * ramp.step)
            reach = 0.25 * (ramp.stop - ramp.start)
            push = np.maximum(push, np.where(state.stalls > 0, np.minimum(ramp.step * 2.0**state.stalls, reach), 0.0))
            repeated = mine & (state.sign == polarity) & np.isfinite(last)
            guess = np.where(repeated, np.maximum(guess, last + push), guess)
            guess = np.clip(guess, ramp.start, ramp.stop)
            value = np.where(mine, guess, value)
            last[mine] = guess[mine]
        self._value = np.where(cells, value, self._value)
        return value

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what was learnt of the array and of every cell."""
        kept: dict[str, NDArray[Any]] = {"value": self._value}
        for polarity, name in _POLARITIES:
            kept |= {f"{name}_offset": self._offset[polarity], f"{name}_last": self._last[polarity]}
            kept |= {f"{name}_model{key}": value for key, value in self._models[polarity].arrays().items()}
        return kept

    def restore(self, arrays: Arrays) -> None:
        """Take up what was learnt."""
        self._value = arrays["value"]
        for polarity, name in _POLARITIES:
            self._offset[polarity], self._last[polarity] = arrays[f"{name}_offset"], arrays[f"{name}_last"]
            start = f"{name}_model"
            model = {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
            self._models[polarity].restore(model)

    def _blind(self, polarity: int, state: VerifyState) -> FloatArray:
        """Return the first knob value [V] while nothing is known: higher targets further up the lower half of the ramp.

        Spread out like this the first pulses show the whole response at once.
        """
        if polarity < 0:
            return np.full(state.target.shape, self.reset_ramp.start)
        top = float(np.nanmax(state.target))
        span = 0.5 * (self.set_ramp.stop - self.set_ramp.start)
        return self.set_ramp.start + span * np.nan_to_num(state.target) / top

    def full_reset(self, cells: BoolArray) -> FloatArray:
        """Return the top of the RESET range."""
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
            offset = self._offset[polarity]
            good = effective & np.isfinite(seen)
            offset[good] += self._gain * (seen - offset)[good]
