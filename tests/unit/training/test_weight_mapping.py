"""Where weights go on a chip, and what is said when they do not fit."""

from __future__ import annotations

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, good_lines, plan_floor


def test_the_three_kinds_of_pair() -> None:
    inter, stacked, columns = (
        plan_floor(16, 12, [LayerRequest("w", 3, 2, pairs)]).tiles[0] for pairs in ("interleaved", "stacked", "columns")
    )
    assert (inter.plus_rows.tolist(), inter.minus_rows.tolist()) == ([0, 2, 4], [1, 3, 5])
    assert (stacked.plus_rows.tolist(), stacked.minus_rows.tolist()) == ([0, 1, 2], [3, 4, 5])
    assert (columns.plus_cols.tolist(), columns.minus_cols.tolist()) == ([0, 2], [1, 3])
    assert columns.plus_rows.tolist() == columns.minus_rows.tolist() == [0, 1, 2]


def test_the_published_lstm_and_its_dense_layer_share_a_chip() -> None:
    plan = plan_floor(128, 64, [LayerRequest("lstm", 17, 60, "stacked"), LayerRequest("dense", 16, 1, "stacked")])
    assert plan.weights == 17 * 60 + 16
    assert plan.cells == 2 * plan.weights == 2040 + 32
    lstm, dense = plan.tiles
    assert lstm.cols.tolist() == list(range(60))
    assert dense.cols.tolist() == [60]
    assert str(plan.block) == "0:34,0:61"


def test_copies_down_and_across_are_driven_together() -> None:
    plan = plan_floor(16, 12, [LayerRequest("w", 3, 2, copies_down=2, copies_across=2)])
    assert plan.weights == 6
    assert plan.cells == 2 * 6 * 4
    assert [len(group) for group in plan.passes("w")] == [2, 2]  # across would drive the other pair's rows


def test_a_layer_taller_than_the_array_is_cut_into_pieces_side_by_side() -> None:
    plan = plan_floor(16, 12, [LayerRequest("w", 20, 2)])
    assert [(t.inputs.start, t.inputs.stop) for t in plan.tiles] == [(0, 6), (6, 13), (13, 20)]
    assert len(plan.passes("w")) == 3
    assert plan.cells == 2 * 40


def test_every_weight_has_its_own_cells() -> None:
    layers = [LayerRequest("a", 5, 4, "stacked"), LayerRequest("b", 4, 3, "columns"), LayerRequest("c", 2, 2)]
    plan = plan_floor(16, 12, layers)
    assert plan.cells == 2 * plan.weights
    drawn = plan.layer_map()
    assert (drawn >= 0).sum() == plan.cells
    assert np.unique(drawn).tolist() == [-1, 0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        ([LayerRequest("big", 200, 40)], "layer 'big' needs .* the plan: "),
        ([LayerRequest("a", 4, 4), LayerRequest("b", 4, 4, row=0, col=2)], "'b' needs .* find them free.*a \\(inputs"),
        ([LayerRequest("a", 4, 4, row=10, col=0)], "'a' needs 8 rows × 4 columns at row 10, column 0 .*beyond"),
        ([LayerRequest("a", 4, 4), LayerRequest("a", 2, 2)], "two layers are called 'a'"),
        ([LayerRequest("a", 1, 1, copies_down=9)], "needs 18 rows for one input"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_plan(layers: list[LayerRequest], words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        plan_floor(16, 12, layers)


def test_an_unknown_kind_of_pair_names_the_alternatives() -> None:
    with pytest.raises(RefusedError, match="interleaved"):
        LayerRequest("a", 1, 1, "stack")  # pyright: ignore[reportArgumentType]


def test_a_shorted_cell_takes_its_row_out_however_few_they_are() -> None:
    shorted = np.zeros((16, 12), dtype=np.bool_)
    shorted[5, 3] = True
    rows, cols = good_lines(~shorted, bad_share=0.5, shorted=shorted)
    assert 5 not in rows
    assert len(rows) == 15
    assert cols == list(range(12))


def test_bad_lines_are_left_out() -> None:
    healthy = np.ones((16, 12), dtype=np.bool_)
    healthy[3, :] = False
    healthy[:, 7] = False
    healthy[9, 2] = False
    rows, cols = good_lines(healthy, bad_share=0.0)
    assert 3 not in rows
    assert 7 not in cols
    assert 9 not in rows or 2 not in cols
    assert healthy[np.ix_(rows, cols)].all()
    plan = plan_floor(16, 12, [LayerRequest("w", 4, 8)], good_rows=rows, good_cols=cols)
    assert healthy[plan.used].all()
    with pytest.raises(RefusedError, match="not among 0:16"):
        plan_floor(16, 12, [LayerRequest("w", 1, 1)], good_rows=[16])


def test_pieces_of_a_layer_whose_column_is_given_stand_side_by_side() -> None:
    placed = plan_floor(16, 12, [LayerRequest("a", 3, 4), LayerRequest("w", 4, 2, copies_across=2, col=3)])
    assert [(tile.rows[0], tile.cols[0]) for tile in placed.of("w")] == [(6, 3), (6, 5)]
