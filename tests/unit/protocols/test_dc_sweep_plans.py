"""Logarithmic steps and either half first: the voltages of a sweep, and in which order they reach the cell."""

from __future__ import annotations

import numpy as np
import pytest

from support.fake_array import HIGH, LOW, FakeArray
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan, dc_sweep


class Noting(FakeArray):
    """Notes which way every sweep went."""

    def __init__(self) -> None:
        super().__init__()
        self.g[:] = LOW
        self.ways: list[float] = []

    def sweep(self, row, col, volts, **how):
        self.ways.append(float(np.sign(np.sum(volts))))
        return super().sweep(row, col, volts, **how)


@pytest.mark.parametrize(("first", "ways"), [("positive", [-1, 1, -1, 1, -1]), ("negative", [1, -1, 1, -1, 1])])
def test_either_half_is_first(first: str, ways: list[int], tmp_path) -> None:
    array = Noting()
    plan = DcSweepPlan(cells="0,0", cycles=2, first=first, step=0.1)
    result = dc_sweep(array, plan, Run(tmp_path / "out", quiet=True))
    assert array.ways == ways
    positive, negative = plan.loop
    assert result.volts[0, 0] == pytest.approx(np.concatenate([positive, negative]))
    m = result.metrics()
    assert m["v_set_mean"] == pytest.approx(0.8, abs=0.11)
    assert m["v_reset_mean"] == pytest.approx(-0.8, abs=0.11)
    assert array.g[0, 0] == (LOW if first == "positive" else HIGH)


def test_steps_are_even_on_a_logarithmic_axis() -> None:
    plan = DcSweepPlan(cells="0,0", cycles=2, spacing="log", smallest=0.05, points=20)
    up, down = plan.loop
    assert up[0] == up[-1] == down[0] == down[-1] == 0.0
    assert np.ptp(np.diff(np.log(up[1:21]))) == pytest.approx(0.0, abs=1e-12)
    assert (up.max(), down.min()) == pytest.approx((plan.positive, plan.negative))
    assert up == pytest.approx(up[::-1])
    result = dc_sweep(Noting(), plan)
    assert result.metrics()["v_set_mean"] == pytest.approx(0.8, rel=0.2)
    assert plan.forecast(FakeArray().spec).seconds > 2 * 2 * 41 * plan.dwell


def test_plans_that_make_no_sense_are_refused() -> None:
    with pytest.raises(RefusedError, match=r"smallest 2 V must be below the smaller peak, 1 V"):
        DcSweepPlan(spacing="log", smallest=2.0)
    with pytest.raises(RefusedError, match="linear, log"):
        DcSweepPlan(spacing="cubic")
    with pytest.raises(RefusedError, match="points in one sweep"):
        DcSweepPlan(cells="0,0", spacing="log", points=6000).check(FakeArray().spec)
