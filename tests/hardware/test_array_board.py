"""A real board against docs/board-protocol.md. Reads and diagnoses only: nothing here moves a cell on purpose.

Run with ``pytest tests/hardware --station my_bench.station.yaml``.
"""

import numpy as np
import pytest

pytestmark = pytest.mark.hardware


def test_the_board_says_who_it_is(bench) -> None:
    assert all(identity.model for identity in bench.identities.values())


def test_a_whole_array_read_is_one_transaction(bench) -> None:
    if bench.array.spec.slot_serves != "row":
        pytest.skip("this array connects its cells one by one")
    before = bench.array.cost.transactions
    reading = bench.array.read(bench.array.spec.whole)
    assert bench.array.cost.transactions - before == 1
    assert np.isfinite(reading.current).all()
    assert (reading.stderr > 0).all()


def test_reading_does_not_move_cells(bench) -> None:
    whole = bench.array.spec.whole
    first = bench.array.read(whole, average=8)
    for _ in range(20):
        bench.array.read(whole)
    last = bench.array.read(whole, average=8)
    error = np.hypot(first.stderr, last.stderr)
    assert np.median(np.abs(last.conductance - first.conductance) / error) < 3


def test_a_refused_value_is_not_sent(bench) -> None:
    from xbarlab.common.errors import RefusedError

    too_much = 2 * bench.array.spec.limits.read_volts_max
    before = bench.array.cost
    with pytest.raises(RefusedError, match="above the limit"):
        bench.array.read(bench.array.spec.whole, too_much)
    assert bench.array.cost == before


def test_the_board_passes_its_own_diagnosis(bench) -> None:
    found = bench.array.diagnose()
    assert found.open > 1e6
    if found.reference is None:
        pytest.skip("no known resistor on this bench")
    assert abs(found.reference / found.reference_nominal - 1) < 0.01
