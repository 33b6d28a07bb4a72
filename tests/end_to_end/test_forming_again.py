"""Forming a chip that is formed and programmed must leave it unharmed: the runbook calls itself safe to repeat."""

import numpy as np
import pytest

from xbarlab import FormingPlan, ReadVerifyPlan, form, open_bench, read_verify
from xbarlab.protocols.forming.forming import ALREADY, UNFORMED


@pytest.mark.slow
def test_no_cell_is_formed_twice() -> None:
    cells = "0:16,0:64"
    with open_bench("mock_ta_hfo2", seed=4) as bench:
        first = form(bench.array, FormingPlan(cells=cells))
        read_verify(bench.array, ReadVerifyPlan(cells=cells, reread_after=0.0))
        again = form(bench.array, FormingPlan(cells=cells, confirm=False))
    assert np.isfinite(first.v_form).mean() > 0.95
    assert not np.isfinite(again.v_form).any()
    assert set(np.unique(again.outcome)) <= {ALREADY, UNFORMED}
    assert (again.outcome == UNFORMED).sum() <= (first.outcome == UNFORMED).sum()
