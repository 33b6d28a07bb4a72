"""Every step alone on a chip fresh from the wafer: it refuses and names forming, or makes nothing up."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import yaml

from fault_matrix import BENCHES
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.registry import step_kind
from xbarlab.runbooks.stations import find_bench, mock_bench

FORMS = {"forming_pulses", "forming_ramp"}
OF_READS = {
    "read_array": {"g_read_median", "overflow_cells"},
    "read_noise": {"read_noise_rel", "read_noise_floor_rel", "one_over_f_exponent", "rtn_cell_fraction",
                   "rtn_amplitude_rel", "noise_cells"},
}  # fmt: skip
"""What a virgin cell has as well as a formed one: a conductance, and its noise."""
COUNTS = ("fraction", "_cells", "cells_attempted", "pulses", "energy", "success_", "iterations", "forming_loops",
          "cycles", "separable", "rmse_fs", "programming_sigma")  # fmt: skip
"""Metrics that are true of cells that do not switch: how many failed, and what was spent on them."""


def cases() -> list[Any]:
    return [
        pytest.param(station, name, id=f"{station}-{name}")
        for station in BENCHES
        for name in BENCHES[station]["steps"]
        if name not in FORMS
    ]


@pytest.mark.slow
@pytest.mark.parametrize(("station", "name"), cases())
def test_a_step_on_a_virgin_chip_makes_nothing_up(station: str, name: str) -> None:
    kind_name, parameters = next(iter(yaml.safe_load(BENCHES[station]["steps"][name]).items()))
    kind = step_kind(kind_name)
    plan = kind.plan(**parameters)
    with open_bench(station, seed=5) as bench:
        said = ""
        try:
            result = kind.run(bench.array, plan, Run(None, quiet=True))
        except RefusedError as refused:
            said = str(refused)
        if said:
            assert "step forming" in said
            return
        metrics, text = result.metrics(), result.section().text
        formed = int(np.asarray(mock_bench(find_bench(station)).chip.truth()["formed"]).sum())
        largest = plan.forecast(bench.array.spec).volts_max
    if formed > 0:  # its own pulses were large enough: the numbers are of cells that are formed now
        assert largest >= 2.0
        return
    told = {
        key: value
        for key, value in metrics.items()
        if math.isfinite(value) and not any(part in key for part in COUNTS) and key not in OF_READS.get(name, ())
    }
    told = {key: value for key, value in told.items() if not key.endswith(("_ci95_low", "_ci95_high"))}
    assert not told, text
