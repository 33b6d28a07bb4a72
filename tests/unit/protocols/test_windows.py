"""Levels that are windows of one's own: what is refused, where a cell is done, what it is read as."""

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.protocols.programming.ispp import IsppPlan
from xbarlab.protocols.programming.read_verify import ReadVerifyPlan
from xbarlab.protocols.programming.targets import Levels

WINDOWS = ((None, 12.5e-6), (107e-6, 117e-6), (166e-6, 173e-6), (200e-6, None))


def test_windows_are_aimed_at_inside_and_read_half_way_between() -> None:
    levels = Levels(windows=WINDOWS)
    np.testing.assert_allclose(levels.values * 1e6, [6.25, 112, 169.5, 220])
    target = np.array([[levels.values[0], levels.values[3]], [np.nan, levels.values[1]]])
    goal = levels.windows_of(target)
    inside = goal.inside(np.array([[0.0, 900e-6], [112e-6, 117.1e-6]]))
    np.testing.assert_array_equal(inside, [[True, True], [False, False]])
    np.testing.assert_array_equal(goal.inside(np.full((2, 2), 117.1e-6), 0.25), [[False, False], [False, True]])
    low, high = levels.readings_of(target)
    np.testing.assert_allclose(low[0] * 1e6, [0.0, 186.5])
    np.testing.assert_allclose(high * 1e6, [[59.75, np.inf], [np.nan, 141.5]])


def test_evenly_spaced_levels_are_read_half_a_level_around() -> None:
    levels = Levels()
    low, high = levels.readings_of(levels.values)
    np.testing.assert_allclose([levels.values - low, high - levels.values], levels.spacing / 2.0)


@pytest.mark.parametrize(
    "windows",
    [
        [[1e-6, 2e-6]],
        [[1e-6, 3e-6], [2e-6, 4e-6]],
        [[3e-6, 4e-6], [1e-6, 2e-6]],
        [[1e-6, None], [2e-6, 3e-6]],
        [[2e-6, 1e-6], [3e-6, 4e-6]],
    ],
)
def test_windows_that_cannot_be_told_apart_are_refused(windows: list[list[float | None]]) -> None:
    with pytest.raises(RefusedError, match="window"):
        ReadVerifyPlan(levels={"windows": windows})  # pyright: ignore[reportArgumentType]


def test_windows_and_one_tolerance_do_not_go_together() -> None:
    with pytest.raises(RefusedError, match="leave tolerance out"):
        IsppPlan(levels=Levels(windows=WINDOWS), tolerance=1e-6)


def test_windows_may_be_written_with_their_unit() -> None:
    plan = ReadVerifyPlan(levels={"windows": [["0 S", "12.5uS"], ["0.1 mS", None]]})  # pyright: ignore[reportArgumentType]
    assert plan.levels.edges == [(0.0, 12.5e-6), (100e-6, np.inf)]
