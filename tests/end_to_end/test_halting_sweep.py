"""A DC sweep turns back at a current where the host steps the source; elsewhere it says what it would need."""

from __future__ import annotations

import numpy as np
import pytest

from support.fake_array import GatelessArray
from xbarlab import open_bench
from xbarlab.instruments.abilities import Sweeps
from xbarlab.instruments.errors import UnsupportedError
from xbarlab.protocols.measure.dc_sweep import DcSweepPlan, dc_sweep

UP = np.linspace(0.0, 0.4, 21)
LOOP = np.concatenate([UP, UP[-2::-1]])


def test_a_sweep_turns_back_one_step_after_the_current_was_seen_and_asks_no_more_volts() -> None:
    with open_bench("mock_tio2", seed=5) as bench:
        sweeps = bench.array.ability(Sweeps)
        whole = sweeps.sweep(0, 0, LOOP, compliance=1e-3, dwell=10e-3)
        halt = 0.5 * float(np.abs(whole.current).max())
        halted = sweeps.sweep(0, 0, LOOP, compliance=1e-3, dwell=10e-3, halt=halt)
        never = sweeps.sweep(0, 0, LOOP, compliance=1e-3, dwell=10e-3, halt=4e-3)
    top = int(np.argmax(halted.volts))
    assert 0 < top < 20
    assert halted.current[top] >= halt > halted.current[: top - 1].max()
    assert halted.volts[: 2 * top + 1] == pytest.approx(halted.volts[: 2 * top + 1][::-1], abs=2e-3), "there and back"
    assert halted.volts[2 * top + 1 :] == pytest.approx(0.0, abs=2e-3)
    assert len(halted.volts) == len(LOOP)
    assert never.volts == pytest.approx(whole.volts, abs=2e-3)


@pytest.mark.parametrize(("station", "scheme"), [("mock_ta_hfo2", None), ("mock_tio2", "float")])
def test_where_an_instrument_runs_the_sweep_alone_it_is_refused_before_anything_is_sent(
    station: str, scheme: str | None
) -> None:
    with open_bench(station, seed=5) as bench:
        before = bench.array.cost
        with pytest.raises(UnsupportedError, match="it would need a source that the host steps point by point"):
            dc_sweep(bench.array, DcSweepPlan(cells="0,0", halt=100e-6, scheme=scheme))
        with pytest.raises(UnsupportedError, match="cannot turn a sweep"):
            bench.array.ability(Sweeps).sweep(0, 0, UP, compliance=1e-4, dwell=1e-2, scheme=scheme, halt=1e-4)
        assert bench.array.cost == before


def test_the_step_hands_the_current_on() -> None:
    seen: list[float | None] = []

    class Asked(GatelessArray):
        def sweep(self, row, col, volts, *, halt=None, **settings):
            seen.append(halt)
            return super().sweep(row, col, volts, **settings)

    for halt in (None, 100e-6):
        dc_sweep(Asked(), DcSweepPlan(cells="0,0", cycles=1, prepare=False, halt=halt))
    assert seen == [None, None, 100e-6, 100e-6]
