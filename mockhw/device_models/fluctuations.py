"""What conductance does by itself while nobody writes: two-state traps and 1/f noise, for any model's cells."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from .random_streams import Stream, normal, uniform


class Trapped(Stream, Protocol):
    """A cell with at most as many traps as its arrays are long."""

    traps: int
    t_trap: float  # time up to which the traps have been followed [s]
    trap_state: NDArray[np.uint8]
    trap_tau: NDArray[np.float64]
    trap_occupied: NDArray[np.float64]
    trap_step: NDArray[np.float64]


@njit(cache=True, error_model="numpy")
def switch_traps(cell: Trapped, now: float) -> float:
    """Move the traps of one cell to ``now`` [s] by their exact two-state propagator; return the step of ln G."""
    passed = now - cell.t_trap
    total = 0.0
    for j in range(cell.traps):
        occupied = cell.trap_occupied[j]
        ratio = passed / cell.trap_tau[j]
        state = cell.trap_state[j]
        if ratio > 1e-9:
            memory = math.exp(-ratio) if ratio < 30.0 else 0.0
            chance = occupied + (state - occupied) * memory
            state = 1 if uniform(cell) < chance else 0
            cell.trap_state[j] = state
        total += (state - occupied) * cell.trap_step[j]
    cell.t_trap = now
    return total


def draw_traps(
    rng: np.random.Generator,
    size: int,
    *,
    one: float,
    two: float,
    tau: tuple[float, float],
    step: float,
    ln_sd: float = 0.5,
) -> dict[str, NDArray[np.generic]]:
    """Draw the traps of ``size`` cells, by the names of a cell's fields.

    Parameters
    ----------
    one, two : float
        Fractions of cells with one and with two traps.
    tau : two floats [s]
        Range of time constants, log-uniform.
    step, ln_sd : float
        Median amplitude, and the standard deviation of its logarithm.
    """
    chance = rng.random(size)
    occupied = rng.beta(2.0, 2.0, (size, 2))
    return {
        "traps": (chance < one + two).astype(np.uint8) + (chance < two).astype(np.uint8),
        "trap_tau": tau[0] * (tau[1] / tau[0]) ** rng.random((size, 2)),
        "trap_occupied": occupied,
        "trap_step": step * np.exp(ln_sd * rng.standard_normal((size, 2))),
        "trap_state": (rng.random((size, 2)) < occupied).astype(np.uint8),
    }


@njit(cache=True, error_model="numpy")
def seen_of_relaxator(ratio: float) -> float:
    """Return what share of a relaxator's standard deviation an average over ``ratio`` of its time constant has."""
    if ratio < 1e-4:
        return 1.0
    return math.sqrt(2.0 * (ratio + math.expm1(-ratio))) / ratio


@njit(cache=True, error_model="numpy")
def start_relaxators(cell: Stream, states: NDArray[np.float64]) -> None:
    """Draw the states of relaxators whose sum is 1/f noise, each of variance 1."""
    for j in range(states.size):
        states[j] = normal(cell)


@njit(cache=True, error_model="numpy")
def keep_and_kick(ratios: NDArray[np.float64], keep: NDArray[np.float64], kick: NDArray[np.float64]) -> None:
    """Fill what remains of a relaxator's state, and how much is drawn anew, after ``ratios`` of its time constant."""
    for j in range(ratios.size):
        keep[j] = math.exp(-ratios[j])
        kick[j] = math.sqrt(1.0 - keep[j] * keep[j])


@njit(cache=True, error_model="numpy")
def follow_relaxators(
    cell: Stream, states: NDArray[np.float64], keep: NDArray[np.float64], kick: NDArray[np.float64]
) -> float:
    """Move relaxators on by the step of :func:`keep_and_kick`; return their sum.

    Relaxators of one variance, their time constants a decade apart, add up to 1/f noise between the inverse of the
    longest and of the shortest (McWhorter 1957): a variance of 1 each is 1/(f·ln 10) per hertz together.
    """
    total = 0.0
    for j in range(states.size):
        states[j] = keep[j] * states[j] + kick[j] * normal(cell)
        total += states[j]
    return total
