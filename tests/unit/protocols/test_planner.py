"""Planned pulses: costs that follow from what was seen, and fewer pulses than a fixed staircase on made-up devices."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Reading
from xbarlab.protocols.programming.planner import SIGNS, PlanningStaircase, Transitions
from xbarlab.protocols.programming.staircases import FixedStaircase, Ramp, Staircase
from xbarlab.protocols.programming.targets import Goal, Levels
from xbarlab.protocols.programming.verify_state import Acceptance, Verdict, VerifyState

SET, RESET = Ramp("gate", 1.0, 3.0, 0.05, 2.0), Ramp("volts", 0.4, 2.4, 0.05, 4.0)
LEVELS = Levels(windows=((None, 15e-6), (60e-6, 70e-6), (110e-6, 120e-6), (160e-6, None)))


class Device:
    """Cells with a front: a SET leads up to what its knob allows, a RESET down to it; both with luck, cells differ."""

    def __init__(self, shape: tuple[int, int], seed: int, *, rough: int, cells: float = 0.08) -> None:
        self.rng = np.random.default_rng(seed)
        self.shape = shape
        self.luck = {1: 0.15 if rough > 0 else 0.03, -1: 0.15 if rough < 0 else 0.03}  # V
        self.own = {sign: cells * self.rng.standard_normal(shape) for sign in SIGNS}
        self.g = np.full(shape, 180e-6)

    def pulse(self, cells: np.ndarray, sign: np.ndarray, value: np.ndarray) -> None:
        for one, ramp in ((1, SET), (-1, RESET)):
            mine = cells & (sign == one)
            share = (value - self.own[one] + self.luck[one] * self.rng.standard_normal(self.shape) - ramp.start) / 2.0
            front = 200e-6 * np.clip(share if one > 0 else 1.0 - share, 0.01, 1.0)
            moved = np.maximum(self.g, front) if one > 0 else np.minimum(self.g, front)
            self.g = np.where(mine, moved, self.g)

    def read(self) -> Reading:
        g = self.g + 0.2e-6 * self.rng.standard_normal(self.shape)
        block = Block(0, self.shape[0], 0, self.shape[1])
        return Reading(block, 0.2, g * 0.2, g, np.full(self.shape, 0.2e-6), np.zeros(self.shape, np.uint8))


def program(device: Device, staircase: Staircase, goal: Goal) -> VerifyState:
    attempt = np.ones(device.shape, np.bool_)
    state = VerifyState(goal, attempt, Acceptance(hits=1, reads=1, pulses_max=200, reversals_max=200, stalls_max=50))
    state.take(device.read())
    above = state.active & (state.g > goal.high)
    value = staircase.begin(state, above)
    down = np.full(device.shape, -1, np.int8)
    state.fire(above, down, above)
    device.pulse(above, down, value)
    for _ in range(200):
        state.take(device.read())
        staircase.learn(state)
        need = state.judge()
        if not need.any():
            break
        sign, value = staircase.choose(state, need)
        state.fire(need, sign, np.zeros(device.shape, np.bool_))
        device.pulse(need, sign, value)
    return state


@pytest.mark.slow
@pytest.mark.parametrize("rough", [1, -1])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_planning_takes_fewer_pulses_than_a_fixed_staircase_whichever_polarity_is_the_rough_one(
    rough: int, seed: int
) -> None:
    shape = (8, 64)
    target = LEVELS.draw(Block(0, 8, 0, 64), np.random.default_rng(seed))
    goal = LEVELS.windows_of(target)
    fixed = program(Device(shape, seed, rough=rough), FixedStaircase(SET, RESET, shape), goal)
    planned = program(Device(shape, seed, rough=rough), PlanningStaircase(SET, RESET, goal), goal)
    assert (planned.verdict == Verdict.ACCEPTED).mean() > 0.99
    assert planned.pulses.mean() < 0.5 * fixed.pulses.mean()


def test_few_cells_are_programmed_too() -> None:
    target = np.array([[65e-6, 115e-6, np.nan]])
    goal = Goal.around(target, 5e-6)
    done = program(Device((1, 3), 4, rough=1), PlanningStaircase(SET, RESET, goal), goal)
    assert done.verdict.tolist() == [[Verdict.ACCEPTED, Verdict.ACCEPTED, Verdict.NOT_ATTEMPTED]]


def test_what_was_learnt_is_kept_and_taken_up() -> None:
    shape, goal = (8, 64), LEVELS.windows_of(LEVELS.draw(Block(0, 8, 0, 64), np.random.default_rng(0)))
    one, other = (PlanningStaircase(SET, RESET, goal) for _ in range(2))
    state = program(Device(shape, 5, rough=1), one, goal)
    other.restore({name: value.copy() for name, value in one.arrays().items()})
    cells = np.ones(shape, np.bool_)
    for mine, theirs in zip(one.choose(state, cells), other.choose(state, cells), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_place_that_saw_nothing_borrows_from_the_others_and_unseen_knobs_are_unknown() -> None:
    seen = Transitions(200e-6, {1: SET, -1: RESET})
    many = np.ones(50)
    seen.add(1, 20e-6 * many, 2.0 * many, 120e-6 * many, np.arange(50) < 40)
    stays, landings, known = seen.law(1)
    knob = int(seen.knob(1, np.array([2.0]))[0])
    near, far = (int(seen.place(np.array([g]))[0]) for g in (20e-6, 100e-6))
    assert stays[near, knob] == pytest.approx(0.2, abs=0.02)
    assert stays[far, knob] == pytest.approx(0.2, abs=0.02)
    assert landings[far, knob] @ seen.middles == pytest.approx(120e-6, rel=0.02)
    assert known[far, knob]
    assert not known[:, 0].any()
    assert not seen.law(-1)[2].any()


def test_counts_are_smoothed_once_until_pulses_are_added_or_taken_up() -> None:
    cells = np.ones(80, np.bool_)
    seen, before = (Transitions(200e-6, {1: SET, -1: RESET}) for _ in range(2))
    kept = {name: one.copy() for name, one in before.arrays().items()}
    pulses = np.full(80, 20e-6), np.full(80, 1.2), np.full(80, 100e-6)
    seen.add(1, *pulses, cells)
    first, other = seen.law(1), seen.law(-1)
    assert seen.law(1) is first
    seen.add(1, *pulses, ~cells)
    assert seen.law(1)[0].max() > first[0].max(), "pulses without effect are in it"
    assert seen.law(-1) is other, "nothing was added of this polarity"
    seen.restore(kept)
    for mine, theirs in zip(seen.law(1), before.law(1), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_laws_that_are_taken_up_are_those_of_a_run_that_was_not_cut() -> None:
    """A hundredth more pulses change no law yet: neither in the run, nor in one that takes its counts up there."""
    rng = np.random.default_rng(3)
    seen = Transitions(200e-6, {1: SET, -1: RESET})

    def give(count: int) -> None:
        before, value = rng.uniform(0.0, 200e-6, count), rng.uniform(SET.start, SET.stop, count)
        seen.add(1, before, value, rng.uniform(0.0, 200e-6, count), rng.uniform(size=count) < 0.7)

    give(1000)
    first = seen.law(1)
    give(10)
    again = Transitions(200e-6, {1: SET, -1: RESET})
    again.restore({name: value.copy() for name, value in seen.arrays().items()})
    for one, other, then in zip(seen.law(1), again.law(1), first, strict=True):
        np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(one, then)
    give(50)
    assert not np.array_equal(seen.law(1)[0], first[0])
