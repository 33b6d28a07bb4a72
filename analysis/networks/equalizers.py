"""Equalizers that need no network: LMS feed-forward, decision feedback, and the most likely sequence (Viterbi)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from ..estimates.estimates import Floats

Symbols = NDArray[np.int64]


@dataclass(frozen=True)
class LinearEqualizer:
    """A feed-forward filter, with or without feedback of decisions, adapted by LMS.

    Attributes
    ----------
    levels : [levels], rising
    forward : [taps]
        Weights of the samples, the latest first; the first one used is ``ahead`` symbols after the decided one.
    feedback : [taps]
        Weights of the decisions before, the latest first; empty without feedback.
    offset : added to what the weights give
    step : of the LMS that made it
    """

    levels: Floats
    forward: Floats
    feedback: Floats
    offset: float
    ahead: int
    step: float

    def outputs(self, samples: Floats, symbols: Symbols, *, true_feedback: bool = False) -> Floats:
        """Return its outputs [streams, n] before they are decided.

        Parameters
        ----------
        samples, symbols : [streams, n]
            Of the symbols the first decisions' worth is known to the feedback, as after a preamble.
        true_feedback : feed back the symbols sent, instead of its own decisions
        """
        return _run(
            _padded(samples, len(self.forward), self.ahead), symbols, self.levels, self.forward, self.feedback,
            self.offset, true_feedback,
        )  # fmt: skip

    def decide(self, samples: Floats, symbols: Symbols, *, true_feedback: bool = False) -> Symbols:
        """Return decisions [streams, n], as numbers of levels."""
        return sliced(self.outputs(samples, symbols, true_feedback=true_feedback), self.levels)


def sliced(outputs: Floats, levels: Floats) -> Symbols:
    """Return the number of the level nearest to each output."""
    return np.searchsorted(0.5 * (levels[1:] + levels[:-1]), outputs).astype(np.int64)


def lms(
    samples: Floats, symbols: Symbols, levels: Floats, *, forward: int, feedback: int, ahead: int, step: float
) -> LinearEqualizer:
    """Return an equalizer adapted by LMS, once through the streams [streams, n], with the symbols sent fed back.

    The step is that of normalised LMS by the mean square of the inputs; it falls to a tenth along the way. What comes
    of it is the least square error, which makes levels smaller than they are; all weights are raised by that in the
    end, so that outputs are on the scale of the levels.
    """
    heights, padded = np.asarray(levels, dtype=np.float64), _padded(samples, forward, ahead)
    weights = _lms(padded, symbols, heights, forward, feedback, step)
    found = _run(padded, symbols, heights, weights[:forward], weights[forward:-1], float(weights[-1]), True)
    sent = heights[symbols]
    raised = weights * float(np.mean(sent**2) / max(1e-12, np.mean(found * sent)))
    return LinearEqualizer(heights, raised[:forward], raised[forward:-1], float(raised[-1]), ahead, step)


def tuned_lms(
    training: tuple[Floats, Symbols],
    validation: tuple[Floats, Symbols],
    levels: Floats,
    *,
    forward: tuple[int, ...],
    feedback: tuple[int, ...],
    steps: tuple[float, ...] = (0.003, 0.01, 0.03),
) -> LinearEqualizer:
    """Return the equalizer with the fewest wrong decisions on the validation streams, its own decisions fed back.

    Tried are all numbers of taps, all delays up to the number of taps, and all steps; equal ones are told apart by the
    mean square error.
    """
    best: tuple[float, float] = (np.inf, np.inf)
    chosen: LinearEqualizer | None = None
    samples, symbols = validation
    for taps in forward:
        for back in feedback:
            for ahead in range(1, taps):
                for step in steps:
                    one = lms(*training, levels, forward=taps, feedback=back, ahead=ahead, step=step)
                    out = one.outputs(samples, symbols)
                    score = (
                        float((sliced(out, one.levels) != symbols).mean()),
                        float(np.mean((out - one.levels[symbols]) ** 2)),
                    )
                    if score < best:
                        best, chosen = score, one
    assert chosen is not None
    return chosen


def most_likely(samples: Floats, states: Floats) -> Symbols:
    """Return the most likely symbols [streams, n] of samples in white noise (Viterbi), the channel being known.

    Parameters
    ----------
    samples : [streams, n]
        Sample k is what the channel makes of the symbols k − reach … k + reach.
    states : [levels, …, levels]
        The sample without noise for every run of 2·reach + 1 symbols, the latest last. Any function of them will do:
        the channel need not be linear.
    """
    width, count = states.ndim, states.shape[0]
    if width == 1:
        return np.abs(samples[..., None] - states).argmin(-1).astype(np.int64)
    table = np.ascontiguousarray(states, dtype=np.float64).reshape(-1)
    reach = width // 2
    ends = _viterbi(np.ascontiguousarray(samples, dtype=np.float64), table, count)
    # What a step decides is the symbol ``reach`` after the sample's own.
    first = ends[:, :1] // count ** np.arange(width - 1)[::-1] % count
    whole = np.concatenate([first, ends[:, 1:] % count], axis=1)
    return whole[:, reach : reach + samples.shape[1]]


def _padded(samples: Floats, taps: int, ahead: int) -> Floats:
    return np.pad(np.asarray(samples, dtype=np.float64), ((0, 0), (max(0, taps - 1 - ahead), ahead)))


@njit(cache=True)
def _lms(padded: Any, symbols: Any, levels: Any, forward: int, feedback: int, step: float) -> Any:
    streams, n = symbols.shape
    size = forward + feedback + 1
    weights, inputs = np.zeros(size), np.zeros(size)
    power = forward * np.mean(padded**2) + feedback * np.mean(levels**2) + 1.0
    inputs[size - 1] = 1.0
    done, total = 0, streams * n
    for s in range(streams):
        for k in range(n):
            for j in range(forward):
                inputs[j] = padded[s, k + forward - 1 - j]
            for j in range(feedback):
                inputs[forward + j] = levels[symbols[s, k - 1 - j]] if k > j else 0.0
            error = levels[symbols[s, k]]
            for j in range(size):
                error -= weights[j] * inputs[j]
            move = step * 0.1 ** (done / total) * error / power * size
            for j in range(size):
                weights[j] += move * inputs[j]
            done += 1
    return weights


@njit(cache=True)
def _run(
    padded: Any, symbols: Any, levels: Any, forward: Any, feedback: Any, offset: float, true_feedback: bool
) -> Any:
    streams, n = symbols.shape
    taps, back = len(forward), len(feedback)
    out = np.empty((streams, n))
    for s in range(streams):
        decided = np.zeros(n)
        for k in range(n):
            value = offset
            for j in range(taps):
                value += forward[j] * padded[s, k + taps - 1 - j]
            for j in range(min(back, k)):
                value += feedback[j] * decided[k - 1 - j]
            out[s, k] = value
            nearest = symbols[s, k]
            if not (true_feedback or k < back):
                nearest = 0
                for level in range(1, len(levels)):
                    if value > 0.5 * (levels[level] + levels[level - 1]):
                        nearest = level
            decided[k] = levels[nearest]
    return out


@njit(cache=True)
def _viterbi(samples: Any, table: Any, count: int) -> Any:
    """Return [streams, n + 1] states, numbers of width − 1 symbols: before the first sample and after each."""
    streams, n = samples.shape
    size = len(table) // count
    found = np.empty((streams, n + 1), np.int64)
    came = np.empty((n, size), np.int32)
    for s in range(streams):
        cost = np.zeros(size)
        for k in range(n):
            better = np.full(size, np.inf)
            for state in range(size):
                for symbol in range(count):
                    run = state * count + symbol
                    value = cost[state] + (samples[s, k] - table[run]) ** 2
                    end = run % size
                    if value < better[end]:
                        better[end] = value
                        came[k, end] = state
            cost = better
        state = np.argmin(cost)
        for k in range(n, 0, -1):
            found[s, k] = state
            state = came[k - 1, state]
        found[s, 0] = state
    return found
