"""Reads with the row and alone on arrays with and without lines: what is read, what is refused, what is said."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from support.fake_array import HIGH, LOW, FakeArray, GatelessArray
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import Cost
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.wire_resistance import WirePlan, wire_resistance

SEGMENT, CONTACT, NOISE = 2.0, 20.0, 1e-3
PLAN = {"prepare": {"on_above": 90e-6, "off_below": 6e-6, "set_volts": 1.5, "reset_volts": 1.5}, "average": 1}


class Lines(FakeArray):
    """Rows are lines of SEGMENT behind CONTACT; columns cost nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.g[:] = LOW
        self.rng = np.random.default_rng(1)

    def read(self, cells, volts=None, *, average=1, gate=None, scheme=None):
        reading = super().read(cells, volts, average=average)
        at = cells.col0 + np.arange(cells.ncols)
        shared = CONTACT + SEGMENT * (1 + np.minimum.outer(at, at))
        g = np.array([np.linalg.solve(np.diag(1.0 / row) + shared, np.ones(row.size)) for row in reading.conductance])
        g = g * (1.0 + NOISE * self.rng.standard_normal(g.shape))
        return replace(reading, conductance=g, current=g * reading.volts)


def test_rows_that_are_read_at_once_tell_segment_and_contact(tmp_path: Path) -> None:
    array = Lines()
    result = wire_resistance(array, WirePlan(**PLAN, repeats=3), Run(tmp_path / "out", quiet=True))
    m = result.metrics()
    assert m["wire_ohm_per_segment_ci95_low"] <= SEGMENT <= m["wire_ohm_per_segment_ci95_high"]
    assert m["line_contact_ohm_ci95_low"] <= CONTACT <= m["line_contact_ohm_ci95_high"]
    assert m.keys() == WirePlan().measures()
    assert len(result.frame) == 48
    assert "read with their whole row and alone" in result.section().text
    assert "Ω per segment" in repr(result)
    assert (array.g == HIGH).all()


def test_nothing_is_written_when_not_asked_for() -> None:
    array = Lines()
    wire_resistance(array, WirePlan(**PLAN, switch_on=False))
    assert array.cost.pulses == 0
    assert (array.g == LOW).all()


def test_single_cells_tell_by_their_place_only_and_the_section_says_why() -> None:
    array = GatelessArray()
    array.g[:] = LOW
    result = wire_resistance(array, WirePlan(**PLAN))
    assert result.alone is None
    assert "line_contact_ohm" not in result.metrics()
    assert "the spread of the cells decides" in result.section().text
    assert array.actions.count("read") < 20


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"cells": "0:2,0:6"}, "at least 3 rows"),
        ({"cells": "0:8,1:6"}, "from column 0"),
        ({"cells": "0:9,0:6"}, "outside the array"),
        ({"average": 10**6}, "average"),
        ({"prepare": {"set_volts": 9.0}}, "wire_resistance.prepare.set"),
        ({"scheme": "V/3"}, "V/3"),
    ],
)
def test_a_plan_beyond_the_array_is_refused_before_anything_acts(wrong: dict, words: str) -> None:
    array = GatelessArray()
    with pytest.raises(RefusedError, match=words):
        wire_resistance(array, WirePlan(**{**PLAN, **wrong}))
    assert array.cost == Cost()


def test_several_boards_are_measured_one_by_one() -> None:
    array = Lines()
    array.spec = replace(array.spec, parts=(Block(0, 4, 0, 3), Block(4, 4, 3, 3)))
    with pytest.raises(RefusedError, match="measure each by itself"):
        wire_resistance(array, WirePlan(**PLAN))
