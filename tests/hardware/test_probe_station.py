"""A real probe station. Reads only, at the chip's own read voltage: nothing here moves a cell on purpose.

Run with ``pytest tests/hardware --station my_probe.station.yaml``.
"""

import numpy as np
import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.instruments.errors import UnsupportedError

pytestmark = pytest.mark.hardware


@pytest.fixture
def array(bench):
    if bench.array.spec.slot_serves != "cell":
        pytest.skip("not a probe station")
    return bench.array


def test_every_instrument_says_who_it_is(bench, array) -> None:
    assert {"2450", "33622A", "B2201A"} <= {identity.model for identity in bench.identities.values()}


def test_sources_are_at_0_v_between_actions(array) -> None:
    array.read(Block(0, 1, 0, 1))
    assert abs(array.row_smu.measure().volts) < 2e-3
    array.idle()
    assert array.matrix.closed == frozenset()


def test_the_column_is_a_virtual_ground(array) -> None:
    for scheme in array.spec.read_schemes:
        reading = array.read(Block(0, 1, 0, 1), scheme=scheme, average=4)
        print(f"{scheme}: {reading.conductance[0, 0] * 1e6:.4g} µS")
        assert np.isfinite(reading.conductance).all()


def test_a_cell_reads_the_same_twice(array) -> None:
    first, second = (array.read(Block(0, 1, 0, 1), average=8) for _ in range(2))
    error = float(np.hypot(first.stderr, second.stderr)[0, 0])
    assert abs(float(first.conductance[0, 0] - second.conductance[0, 0])) < max(
        6 * error, 0.01 * float(first.conductance[0, 0])
    )


def test_what_must_not_be_sent_is_not_sent(array) -> None:
    before = array.cost.transactions
    cell = Block(0, 1, 0, 1)
    with pytest.raises(UnsupportedError):
        array.pulse(PulseMap(cell, 0.5, 200e-9, scheme="ground"))
    with pytest.raises(RefusedError):
        array.pulse(PulseMap(cell, 1e3, 200e-9))
    assert array.cost.transactions == before
