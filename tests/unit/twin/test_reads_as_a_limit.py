"""A fit keeps reads from writing: the limit costs nothing where they do not, and more the more they do."""

from typing import Any

import pytest

from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.twin.objective import with_values
from xbarlab.twin.replay.reads import CHANGE_MOST, reads_change, reads_cost

CREEPING = {"set.V0S": 0.3, "set.GxS": 580e-6, "set.US": 0.92, "set.slow_knee": -3.0, "set.slow_factor": 5.0}


def parameters(**changes: float) -> Any:
    return with_values(load_profile("hfo2_1t1r").parameters, changes)


def test_shipped_cells_are_not_written_by_reads() -> None:
    assert reads_change(parameters(), 1) < CHANGE_MOST


def test_kinetics_that_creep_are_written_and_cost() -> None:
    assert reads_change(parameters(**CREEPING), 1) > 3.0 * CHANGE_MOST
    assert reads_cost(parameters(**CREEPING), 1) > 1.0
    slower = {**CREEPING, "set.slow_knee": -1.0, "set.slow_factor": 80.0}
    assert reads_cost(parameters(**slower), 1) < reads_cost(parameters(**CREEPING), 1)


@pytest.mark.parametrize("name", ["hfo2_1t1r", "ta_hfo2_1t1r"])
def test_relaxation_is_no_disturb(name: str) -> None:
    base: Any = load_profile(name).parameters
    moved = with_values(base, {"relaxation.sd": 3.0, "relaxation.strong_mean": 5.0})
    assert reads_change(moved, 2) == pytest.approx(reads_change(base, 2), rel=1e-6)
