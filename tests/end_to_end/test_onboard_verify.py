"""The board's own read–verify: fewer messages, more pulses, and the same delayed re-verify around it."""

import numpy as np

from xbarlab import FormingPlan, ReadVerifyPlan, form, open_bench, read_verify


def test_the_board_programs_a_block_in_a_few_transactions() -> None:
    cells = "0:16,0:64"
    with open_bench("mock_ta_hfo2", seed=5) as bench:
        form(bench.array, FormingPlan(cells=cells))
        before = bench.array.cost
        plan = ReadVerifyPlan(cells=cells, engine="board", reread_after=0.0)
        result = read_verify(bench.array, plan)
        cost = bench.array.cost - before
    formed = result.at_end > 1e-6
    assert (np.abs(result.at_end - result.target)[formed] <= result.spacing / 2).mean() > 0.8
    assert cost.transactions <= 2 * plan.reverify_rounds + 2
    assert cost.pulses == result.pulses.sum()
    assert not result.sets.any()
