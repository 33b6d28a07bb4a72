"""A passive chip fitted from pulse trains, loops and its virgin map, made by cells with other numbers."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pandas as pd
import pytest

from xbarlab.analysis.measured_data.measured import Measured
from xbarlab.analysis.measured_data.protocols import IvSweep, Map, Protocol, PulseTrain
from xbarlab.common.errors import RefusedError
from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.twin.fitting.fit import FitPlan, fit
from xbarlab.twin.fitting.profile_file import write_profile
from xbarlab.twin.objective import REPLAYS, with_values

TRUE = {"set.VS0": 0.86, "reset.VR0": 0.68, "conduction.Gv": 0.9e-6}
CELLS = 24


def measured(name: str, protocol: Protocol, table: pd.DataFrame) -> Measured:
    return Measured(
        id=name, protocol=protocol, table=table, title="a passive chip", source="s", licence="l", structure="passive"
    )


def chip(seed: int = 4) -> list[Measured]:
    parameters: Any = load_profile("tio2_passive").parameters
    real = with_values(parameters, TRUE)
    volts = np.concatenate([np.full(1, 1.4), np.full(5, 1.5), np.full(5, -1.6)])
    plan = pd.DataFrame(
        {
            "cell": np.repeat(np.arange(CELLS), len(volts)),
            "step": np.tile(np.arange(len(volts)), CELLS),
            "volts": np.tile(volts, CELLS),
            "width": 200e-9,
            "conductance": 130e-6,
        }
    )
    train = measured("train", PulseTrain.model_validate({"kind": "pulse_train", "width": 200e-9}), plan)
    made = REPLAYS["pulse_train"](train, real, CELLS, seed).assign(width=200e-9)
    train = dataclasses.replace(train, table=pd.concat([plan[plan["step"] == 0], made], ignore_index=True))
    half = np.concatenate([np.linspace(0.1, 1.2, 8), np.linspace(1.2, 0.1, 8)])
    wave = np.concatenate([half, -1.2 * half])
    loop = pd.DataFrame(
        {
            "cell": np.repeat(np.arange(CELLS), len(wave)),
            "loop": 0,
            "point": np.tile(np.arange(len(wave)), CELLS),
            "volts": np.tile(wave, CELLS),
            "current": np.tile(wave, CELLS) * 120e-6,
        }
    )
    loops = measured("loops", IvSweep.model_validate({"kind": "iv_sweep", "dwell": 1e-3}), loop)
    loops = dataclasses.replace(loops, table=REPLAYS["iv_sweep"](loops, real, CELLS, seed + 1))
    virgin = pd.DataFrame({"cell": np.arange(64), "row": np.arange(64) // 8, "col": np.arange(64) % 8})
    cells = measured("map", Map.model_validate({"kind": "map"}), virgin)
    table = virgin.merge(REPLAYS["map"](cells, real, 64, seed + 2), on="cell")
    return [train, loops, dataclasses.replace(cells, table=table)]


@pytest.mark.slow
def test_a_passive_chip_is_found_from_what_was_measured_on_it(tmp_path: Any) -> None:
    free = ("set.VS0", "reset.VR0", "conduction.Gv")
    plan = FitPlan(free=free, generations=1, jobs=1, size=24, seeds=2, draws=20, minutes=60.0, quiet=True)
    result = fit(chip(), plan)
    found = {one.name: one for one in result.numbers}
    assert tuple(found) == free
    start: Any = load_profile("tio2_passive").parameters
    for name in free:
        one = found[name]
        assert one.identified
        assert abs(np.log(one.value / TRUE[name])) < 3.5 * one.sd, (one, TRUE[name])
    assert abs(found["conduction.Gv"].value - TRUE["conduction.Gv"]) < 0.5 * abs(float(start.conduction.Gv) - 0.9e-6)
    assert {row.group for row in result.rows} == {"train", "loops", "map"}
    write_profile(result, tmp_path / "mine.profile.yaml")
    profile = load_profile(tmp_path / "mine.profile.yaml")
    assert profile.cell == "passive"
    assert profile.posterior is not None


def test_a_map_of_formed_cells_is_no_protocol_to_replay() -> None:
    formed = chip()[2]
    formed = dataclasses.replace(formed, table=formed.table.assign(conductance=1e-4))
    with pytest.raises(RefusedError, match="no measurement has a protocol that can be replayed: map"):
        fit([formed], FitPlan())


def test_numbers_of_another_model_are_refused() -> None:
    with pytest.raises(
        RefusedError, match=r"the model has no set\.US: unknown number to fit 'set\.US': choose from cond"
    ):
        fit(chip(), FitPlan(free=("set.US",)))
