"""The steps of characterisation with their own defaults on the mock with the fitted HfO2 profile: they run, or say why.

No parameter but which cells, and how long the longest steps go on: a first try on a chip nobody has set anything for.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from xbarlab import open_bench
from xbarlab.protocols.forming.forming import form
from xbarlab.protocols.forming.plan import FormingPlan
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.measure.switching import FORM_FIRST
from xbarlab.protocols.registry import step_kind

CELLS = "0:2,0:8"
STEPS: dict[str, dict[str, Any]] = {
    "read_noise": {"seconds": 2},
    "retention": {},
    "endurance": {"cycles": 100},
    "switching_kinetics": {"longest": 1e-5},
    "stress_disturb": {"pulses": 1000},
    "vmm_accuracy": {"vectors": 10},
    "multilevel": {"cycles": 3},
    "pulsed_iv": {"cycles": 2},
    "pulse_answer": {},
    "compare_programming": {"bits": [2], "ispp": {"set_starts": [1.0], "set_steps": [0.1], "reset_steps": [0.1]}},
    "wire_resistance": {},
    "pulse_response": {"cycles": 2},
}


@pytest.fixture(scope="module")
def formed() -> Iterator[Any]:
    with open_bench("mock_hfo2", seed=7) as bench:
        plan = FormingPlan(cells="0:8,0:8", stop_volts=4.3, gate=2.0, set_volts=3.0, set_gate=2.4, reset_volts=2.4)
        result = form(bench.array, plan, Run(None, quiet=True))
        assert result.metrics()["formed_fraction"] > 0.9
        yield bench.array


SLOW = {"multilevel"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow) if name in SLOW else name for name in STEPS]
)
def test_a_step_runs_from_its_defaults_or_says_why_not(name: str, formed: Any) -> None:
    kind = step_kind(name)
    cells: dict[str, Any] = {"cells": CELLS} if "cells" in kind.plan.model_fields else {}
    if name == "wire_resistance":
        cells = {"cells": "0:8,0:8"}
    plan = kind.plan(**cells, **STEPS[name])
    plan.check(formed.spec)
    result = kind.run(formed, plan, Run(None, quiet=True))
    assert result.metrics().keys() == plan.measures()
    if not np.isfinite(list(result.metrics().values())).any():
        text = result.section().text
        assert FORM_FIRST in text or "choose other amplitudes" in text
