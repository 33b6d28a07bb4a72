"""Bounds of a fit: those of the kind of its cells, and room around a value that lies at or beyond one."""

import pytest

from xbarlab.twin.coordinates import Coordinate, around, coordinate_of, decode, encode


def test_names_that_both_kinds_of_cells_have_keep_their_own_bounds() -> None:
    filament, graded = coordinate_of("set.V0S", False), coordinate_of("set.V0S", True)
    assert filament is not None
    assert graded is not None
    assert filament.high > 2.0 * graded.high


@pytest.mark.parametrize("value", [1.0, 0.011, 20.0, 0.001])
def test_a_value_comes_back_whatever_the_bounds_were(value: float) -> None:
    one = around(Coordinate("a", 0.01, 10.0), value)
    assert decode([one], encode([one], {"a": value}))["a"] == pytest.approx(value, rel=1e-6)


def test_a_term_that_is_off_begins_at_the_least_there_is() -> None:
    one = around(Coordinate("a", 0.01, 10.0), 0.0)
    assert decode([one], encode([one], {"a": 0.0}))["a"] == pytest.approx(0.01, rel=0.02)


def test_offsets_of_a_block_go_both_ways() -> None:
    one = coordinate_of("protocol.set_volts.block.Vt", False)
    assert one is not None
    assert not one.log
    assert one.share(0.0) == pytest.approx(0.5)
