"""The network against dense nodal analysis, which shares nothing with it but Ohm's law."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from xbarlab.mockhw.chip.crossbar_network import Wires, effective_conductance, read_rows, row_drop
from xbarlab.mockhw.chip.row_ladder import order_passes, solve_rows

Array = NDArray[np.float64]
WIRES = Wires(row_ohm=2.0, col_ohm=1.0, driver_ohm=50.0, sense_ohm=20.0)


def dense_conductance(g: Array, wires: Wires, *, reverse: bool = False) -> Array:
    """Nodal analysis with one unknown per crosspoint and layer; [inputs, outputs]."""
    rows, cols = g.shape
    matrix = np.zeros((2 * rows * cols, 2 * rows * cols))
    top = np.arange(rows * cols).reshape(rows, cols)
    bottom = top + rows * cols

    def connect(a: int, b: int | None, siemens: float) -> None:
        matrix[a, a] += siemens
        if b is not None:
            matrix[b, b] += siemens
            matrix[a, b] -= siemens
            matrix[b, a] -= siemens

    row_end, col_end = 1.0 / (wires.driver_ohm + wires.row_ohm), 1.0 / (wires.sense_ohm + wires.col_ohm)
    for i in range(rows):
        for j in range(cols):
            connect(top[i, j], bottom[i, j], g[i, j])
            connect(top[i, j], top[i, j - 1] if j else None, 1.0 / wires.row_ohm if j else row_end)
            last = i == rows - 1
            connect(bottom[i, j], None if last else bottom[i + 1, j], col_end if last else 1.0 / wires.col_ohm)
    driven, sensed = top[:, 0], bottom[-1, :]
    ends = (row_end, col_end)
    if reverse:
        driven, sensed, ends = sensed, driven, ends[::-1]
    source = np.zeros((matrix.shape[0], driven.size))
    source[driven, np.arange(driven.size)] = ends[0]
    return np.linalg.solve(matrix, source)[sensed].T * ends[1]


def conductances(rows: int, cols: int, seed: int = 0) -> Array:
    return 10.0 ** np.random.default_rng(seed).uniform(-6, -3, (rows, cols))


def exact(g: Array, wires: Wires) -> Array:
    return effective_conductance(
        g, row_ohm=wires.row_ohm, col_ohm=wires.col_ohm, driver_ohm=wires.driver_ohm, sense_ohm=wires.sense_ohm
    )


@pytest.mark.parametrize("shape", [(1, 1), (1, 6), (6, 1), (5, 3), (3, 5), (16, 12), (12, 16)])
def test_matches_nodal_analysis(shape: tuple[int, int]) -> None:
    g = conductances(*shape)
    np.testing.assert_allclose(exact(g, WIRES), dense_conductance(g, WIRES), rtol=1e-9)


def test_matches_nodal_analysis_with_open_cells_and_an_open_row() -> None:
    g = conductances(7, 6)
    g[0, 0] = g[3, 2] = 0.0
    g[5] = 0.0
    expected = dense_conductance(g, WIRES)
    np.testing.assert_allclose(exact(g, WIRES), expected, rtol=1e-9, atol=1e-18)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.integers(0, 10**6),
    *[st.floats(0.01, 20.0) for _ in range(2)],
    *[st.floats(0.0, 500.0) for _ in range(2)],
)
def test_matches_nodal_analysis_anywhere(
    rows: int, cols: int, seed: int, row_ohm: float, col_ohm: float, driver_ohm: float, sense_ohm: float
) -> None:
    wires = Wires(row_ohm, col_ohm, driver_ohm, sense_ohm)
    g = conductances(rows, cols, seed)
    np.testing.assert_allclose(exact(g, wires), dense_conductance(g, wires), rtol=1e-9)


def test_long_lines_take_another_route_to_the_same_result() -> None:
    small, wires = conductances(97, 3), Wires(0.3, 0.5, 5.0, 2.0)
    np.testing.assert_allclose(exact(small, wires), dense_conductance(small, wires), rtol=1e-9)
    # 97 nodes per line on both sides; every column but three is open
    square = np.zeros((97, 97))
    square[:, -3:] = small
    lead = Wires(0.3, 0.5, 5.0 + 94 * 0.3, 2.0)
    np.testing.assert_allclose(exact(square, wires)[:, -3:], dense_conductance(small, lead), rtol=1e-9)


def test_reciprocity_driving_columns_gives_the_transpose() -> None:
    g = conductances(9, 5)
    np.testing.assert_allclose(exact(g, WIRES).T, dense_conductance(g, WIRES, reverse=True), rtol=1e-9)


@pytest.mark.parametrize("shape", [(6, 4), (4, 6)])
def test_perfect_wires_return_the_cells(shape: tuple[int, int]) -> None:
    g = conductances(*shape)
    g[0, 0] = 0.0
    np.testing.assert_allclose(exact(g, Wires()), g, rtol=1e-12)


def test_driver_alone_and_sense_alone_in_closed_form() -> None:
    g = conductances(6, 4)
    np.testing.assert_allclose(
        exact(g, Wires(driver_ohm=100.0)), g / (1.0 + 100.0 * g.sum(axis=1, keepdims=True)), rtol=1e-12
    )
    np.testing.assert_allclose(
        exact(g, Wires(sense_ohm=100.0)), g / (1.0 + 100.0 * g.sum(axis=0, keepdims=True)), rtol=1e-12
    )


@pytest.mark.parametrize("zero", ["row_ohm", "col_ohm"])
def test_one_perfect_wire_is_the_limit_of_a_good_one(zero: str) -> None:
    ohms = {"row_ohm": 3.0, "col_ohm": 2.0, "driver_ohm": 10.0, "sense_ohm": 10.0}
    g = conductances(5, 6)
    limit = dense_conductance(g, Wires(**(ohms | {zero: 1e-6})))
    np.testing.assert_allclose(exact(g, Wires(**(ohms | {zero: 0.0}))), limit, rtol=1e-6)


def test_wires_only_take_away_and_the_far_corner_loses_most() -> None:
    g = np.full((12, 10), 3e-4)
    with_wires = exact(g, WIRES)
    assert np.all(with_wires > 0.0)
    assert np.all(with_wires < g)
    # row 0 is farthest from the sense ends, the last column farthest from the drivers
    assert np.all(np.diff(with_wires.sum(axis=1)) > 0.0)
    assert np.all(np.diff(with_wires, axis=1) < 0.0)
    more = exact(g, Wires(4.0, 2.0, 50.0, 20.0))
    assert more.sum() < with_wires.sum()


def test_read_is_the_array_with_all_other_rows_off() -> None:
    g = conductances(6, 5)
    currents = read_rows(g, 0.2, row=np.arange(6), col=np.arange(5), shape=(6, 5), wires=WIRES)
    for i in range(6):
        alone = np.zeros_like(g)
        alone[i] = g[i]
        np.testing.assert_allclose(currents[i], 0.2 * dense_conductance(alone + 1e-30, WIRES)[i], rtol=1e-9)


def test_reading_a_block_leaves_the_other_columns_disconnected() -> None:
    g = conductances(6, 5)
    row, col = np.array([1, 4]), np.array([0, 3])
    part = read_rows(g[np.ix_(row, col)], 0.2, row=row, col=col, shape=(6, 5), wires=WIRES)
    whole = np.zeros_like(g)
    whole[np.ix_(row, col)] = g[np.ix_(row, col)]
    expected = read_rows(whole, 0.2, row=np.arange(6), col=np.arange(5), shape=(6, 5), wires=WIRES)
    np.testing.assert_allclose(part, expected[np.ix_(row, col)], rtol=1e-12)


def test_thevenin_of_the_ladder_predicts_what_a_changed_cell_draws() -> None:
    g = conductances(7, 1)
    emf = np.full((7, 1), 1.5)
    drop, thevenin = solve_rows(g, emf, row_ohm=2.0, driver_ohm=50.0)
    changed = g.copy()
    changed[4] = 2e-3
    after, _ = solve_rows(changed, emf, row_ohm=2.0, driver_ohm=50.0)
    node = (emf - drop)[4]
    open_volts = node + g[4] * node * thevenin[4]
    np.testing.assert_allclose((emf - after)[4], open_volts / (1.0 + thevenin[4] * 2e-3), rtol=1e-12)


def limited(g: Array, limit: float):
    """Ohmic cells that saturate as a transistor does."""

    def law(volts: Array, series: Array) -> Array:
        ohmic = volts * g / (1.0 + series * g)
        return ohmic / np.sqrt(1.0 + (ohmic / limit) ** 2)

    return law


@pytest.mark.parametrize("limit", [1e9, 1e-4, 2e-5])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_pulsed_rows_solve_kirchhoff_and_balance_their_power(limit: float, sign: float) -> None:
    rows, cols = 4, 8
    g = np.random.default_rng(1).uniform(5e-5, 5e-4, rows * cols)
    row, col = np.divmod(np.arange(rows * cols), cols)
    volts = np.full(g.size, 1.8 * sign)
    law = limited(g, limit)
    left = row_drop(law, volts, line=row, row=row, col=col, shape=(rows, cols), wires=WIRES, tolerance=1e-9)
    # at the Thevenin point the cell draws the current it was said to draw
    at_node = left.open_volts - left.current * (left.series - WIRES.column_series(rows)[row])
    np.testing.assert_allclose(law(at_node, WIRES.column_series(rows)[row]), left.current, rtol=1e-4)
    # Kirchhoff by hand: each cell loses driver and shared wire times everybody's current
    current = left.current.reshape(rows, cols)
    shared = WIRES.driver_ohm + WIRES.row_ohm * (1 + np.minimum.outer(np.arange(cols), np.arange(cols)))
    np.testing.assert_allclose(at_node.reshape(rows, cols), 1.8 * sign - current @ shared, rtol=1e-9)
    # Tellegen: what the source gives, wires and branches take
    downstream = current[:, ::-1].cumsum(axis=1)[:, ::-1]
    wire = WIRES.driver_ohm * downstream[:, 0] ** 2 + WIRES.row_ohm * (downstream**2).sum(axis=1)
    branch = (at_node.reshape(rows, cols) * current).sum(axis=1)
    np.testing.assert_allclose(1.8 * sign * current.sum(axis=1), wire + branch, rtol=1e-9)


def test_linear_pulses_see_the_voltage_of_a_read() -> None:
    g = conductances(3, 6)
    row, col = np.divmod(np.arange(18), 6)
    left = row_drop(limited(g.ravel(), 1e9), np.full(18, 0.2), line=row, row=row, col=col, shape=(3, 6), wires=WIRES)
    read = read_rows(g, 0.2, row=np.arange(3), col=np.arange(6), shape=(3, 6), wires=WIRES)
    np.testing.assert_allclose(left.current.reshape(3, 6), read, rtol=1e-9)


def test_default_effort_is_within_its_tolerance_of_the_solution() -> None:
    rows, cols = 8, 64
    g = np.random.default_rng(2).uniform(1e-5, 4e-4, rows * cols)
    row, col = np.divmod(np.arange(rows * cols), cols)
    volts = np.full(g.size, 2.5)
    shape, law = (rows, cols), limited(g, 1.5e-4)
    wires = Wires(1.0, 1.0, 10.0, 10.0)
    quick = row_drop(law, volts, line=row, row=row, col=col, shape=shape, wires=wires)
    best = row_drop(law, volts, line=row, row=row, col=col, shape=shape, wires=wires, tolerance=0.0, iterations=60)
    node = [d.open_volts - d.current * d.series for d in (quick, best)]
    assert np.max(np.abs(node[0] - node[1])) < 2e-3
    assert np.max(2.5 - node[1]) > 0.1  # and the drop was worth solving for


def test_one_cell_alone_sees_its_own_wires() -> None:
    one = np.array([0])
    left = row_drop(
        limited(np.array([1e-4]), 1e9),
        np.array([1.0]),
        line=one,
        row=np.array([2]),
        col=np.array([3]),
        shape=(5, 6),
        wires=WIRES,
    )
    assert left.open_volts[0] == pytest.approx(1.0, rel=1e-12)
    assert left.series[0] == pytest.approx(50.0 + 4 * 2.0 + 3 * 1.0 + 20.0)


def test_zero_volts_cost_nothing() -> None:
    left = row_drop(
        limited(np.full(4, 1e-4), 1e-4),
        np.zeros(4),
        line=np.zeros(4, dtype=np.int64),
        row=np.zeros(4, dtype=np.int64),
        col=np.arange(4),
        shape=(1, 4),
        wires=WIRES,
    )
    assert not left.current.any()
    assert not left.open_volts.any()


@pytest.mark.parametrize("bad", [-1.0, np.nan, np.inf])
def test_impossible_wires_are_refused(bad: float) -> None:
    with pytest.raises(ValueError, match="col_ohm"):
        Wires(col_ohm=bad)


def test_passes_keep_slots_together_and_in_order() -> None:
    slot = np.array([0, 0, 3, 5, 5, 5, 9, 9])
    cells = np.array([4, 5, 8, 5, 6, 7, 6, 4])
    number, passes = order_passes(slot, cells, 10)
    assert passes == 3
    assert number.tolist() == [0, 0, 0, 1, 1, 1, 2, 2]


def test_a_cell_twice_in_a_slot_is_refused() -> None:
    with pytest.raises(ValueError, match="cell 7 appears twice in slot 2"):
        order_passes(np.array([2, 2, 2]), np.array([7, 1, 7]), 10)
