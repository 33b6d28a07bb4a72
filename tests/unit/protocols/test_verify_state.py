import numpy as np

from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Reading
from xbarlab.protocols.programming.targets import Goal
from xbarlab.protocols.programming.verify_state import Acceptance, Verdict, VerifyState

TARGET = 100e-6
RULE = Acceptance(hits=2, reads=3, pulses_max=4, reversals_max=1, stalls_max=3)


def reading(*microsiemens: float) -> Reading:
    g = np.array([microsiemens]) * 1e-6
    return Reading(Block(0, 1, 0, g.shape[1]), 0.2, g * 0.2, g, np.full(g.shape, 1e-8), np.zeros(g.shape, np.uint8))


def state(cells: int = 1, rule: Acceptance = RULE) -> VerifyState:
    return VerifyState(Goal.around(np.full((1, cells), TARGET), 5e-6), np.ones((1, cells), np.bool_), rule)


def see(s: VerifyState, *microsiemens: float) -> list[bool]:
    s.take(reading(*microsiemens))
    return s.judge().ravel().tolist()


def fire(s: VerifyState, sign: int, full: bool = True) -> None:
    s.fire(s.active, np.full(s.target.shape, sign, np.int8), np.full(s.target.shape, full))


def test_two_of_three_reads_inside_accept() -> None:
    s = state(2)
    assert see(s, 100, 100) == [False, False]
    assert see(s, 101, 120) == [False, False]
    assert s.verdict[0, 0] == Verdict.ACCEPTED
    assert s.verdict[0, 1] == Verdict.ACTIVE
    assert see(s, 150, 100) == [False, False]
    assert s.verdict[0, 1] == Verdict.ACCEPTED


def test_two_misses_of_three_mean_a_pulse() -> None:
    s = state()
    assert see(s, 100) == [False]
    assert see(s, 120) == [False]
    assert see(s, 120) == [True]


def test_a_read_outside_means_a_pulse_at_once() -> None:
    assert see(state(), 50) == [True]


def test_pulses_run_out() -> None:
    s = state()
    for g in (10, 20, 30, 40):
        assert see(s, g) == [True]
        fire(s, 1)
    assert see(s, 50) == [False]
    assert s.verdict[0, 0] == Verdict.PULSES_USED_UP
    assert s.pulses[0, 0] == 4


def test_reversals_are_limited() -> None:
    s = state(rule=Acceptance(pulses_max=99, reversals_max=1, stalls_max=99))
    for g, sign in ((10, 1), (150, -1), (20, 1)):
        assert see(s, g) == [True]
        fire(s, sign)
    assert see(s, 170) == [False]
    assert s.verdict[0, 0] == Verdict.TOO_MANY_REVERSALS


def test_a_cell_that_never_moves_is_given_up() -> None:
    s = state(rule=Acceptance(pulses_max=99, stalls_max=3))
    needed = []
    for _ in range(4):
        needed += see(s, 1)
        if s.active.any():
            fire(s, 1)
    assert needed == [True, True, True, False]
    assert s.verdict[0, 0] == Verdict.NO_RESPONSE


def test_the_delayed_reverify_reopens_and_at_last_condemns() -> None:
    s = state()
    see(s, 100)
    see(s, 100)
    assert s.reopen(reading(120), 0.2, last=False) == 1
    assert s.verdict[0, 0] == Verdict.ACTIVE
    see(s, 100)
    see(s, 100)
    assert s.reopen(reading(80), 0.2, last=True) == 1
    assert s.verdict[0, 0] == Verdict.DRIFTED


def test_nan_targets_and_bad_cells_are_not_attempted() -> None:
    s = VerifyState(Goal.around(np.array([[np.nan, TARGET]]), 5e-6), np.array([[True, False]]), RULE)
    assert see(s, 1, 1) == [False, False]
    assert (s.verdict == Verdict.NOT_ATTEMPTED).all()


def test_a_cell_that_does_not_move_below_full_strength_is_not_given_up() -> None:
    s = state(rule=Acceptance(pulses_max=99, stalls_max=3))
    for _ in range(20):
        assert see(s, 1) == [True]
        fire(s, 1, full=False)
    assert s.stalls[0, 0] == 19
