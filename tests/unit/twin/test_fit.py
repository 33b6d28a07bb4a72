"""A fit on data that the model itself has made: it finds what they were made with, within what it says it knows."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.analysis.measured_data.measured import Measured
from xbarlab.common.errors import RefusedError
from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.twin.coordinates import coordinate_of, encode
from xbarlab.twin.fit_report.page import write_report
from xbarlab.twin.fitting import candidates
from xbarlab.twin.fitting.evaluation import without_blocks
from xbarlab.twin.fitting.fit import FitPlan, fit
from xbarlab.twin.fitting.freedom import START_VOLTS, start_of
from xbarlab.twin.fitting.posterior import as_found
from xbarlab.twin.fitting.profile_file import profile_text, write_profile
from xbarlab.twin.fitting.result import FitResult
from xbarlab.twin.objective import with_values

TRUE = {"transistor.Vt": 0.50, "set.US": 0.50, "reset.UR": 0.15}
TINY = FitPlan(
    free=tuple(TRUE), generations=1, jobs=1, size=32, seeds=2, draws=20, minutes=30.0, suggest=False, quiet=True
)


def chip(cells: int = 64) -> list[Measured]:
    parameters = with_values(without_blocks(load_profile("hfo2_1t1r").parameters), TRUE)
    return [
        candidates.set_volts(parameters, cells, 5),
        candidates.reset_volts(parameters, cells, 6),
        candidates.forming(parameters, cells, 7),
    ]


@pytest.fixture(scope="module")
def result() -> FitResult:
    return fit(chip(), TINY)


@pytest.mark.slow
def test_the_numbers_the_data_were_made_with_are_found_within_what_is_said_to_be_known(result: FitResult) -> None:
    found = {one.name: one for one in result.numbers}
    for name, value in TRUE.items():
        one = found[name]
        sd = one.sd * (one.value if one.log else 1.0)
        assert abs(one.value - value) < 3.0 * sd, (one, value)
        assert one.low < one.value < one.high
    start: Any = load_profile("hfo2_1t1r").parameters
    assert abs(found["set.US"].value - TRUE["set.US"]) < abs(float(start.set.US) - TRUE["set.US"])
    assert result.cost_after <= result.cost_before


def test_the_profile_says_of_every_number_what_it_was_fitted_on_and_loads_with_its_posterior(
    result: FitResult, tmp_path: Path
) -> None:
    path = tmp_path / "mine.profile.yaml"
    write_profile(result, path)
    profile, base = load_profile(path), load_profile("hfo2_1t1r")
    assert profile.name == "mine"
    for one in result.numbers:
        section, key = one.name.split(".")
        number = getattr(getattr(profile.parameters, section), key)
        assert float(number) == pytest.approx(one.value, rel=1e-5)
        assert number.source.startswith("fitted on a chip of the model, every second group of 4 cells: posterior sd ")
    assert profile.parameters.memory == base.parameters.memory
    assert profile.posterior is not None
    assert profile.posterior.parameters == tuple(TRUE)
    assert profile.posterior.scale == ("linear", "log", "log")
    sds = [row[at] ** 0.5 for at, row in enumerate(profile.posterior.covariance)]
    assert sds == pytest.approx([one.sd for one in result.numbers], rel=1e-3)
    drawn: Any = [profile.drawn(np.random.default_rng(seed)).parameters for seed in range(200)]
    assert np.std([np.log(one.set.US) for one in drawn]) == pytest.approx(sds[1], rel=0.2)


def test_what_was_found_of_a_protocol_is_kept_in_the_profile_and_begins_the_next_fit(tmp_path: Path) -> None:
    name = "protocol.ispp.algorithm.reset.volts"
    one = coordinate_of(name, False)
    assert one is not None
    found = as_found([one], encode([one], {name: 1.8}))
    base = load_profile("hfo2_1t1r").model_copy(update={"protocol": {}})
    assert start_of(name, base.protocol) == START_VOLTS
    path = tmp_path / "mine.profile.yaml"
    path.write_text(profile_text(base, found, name="mine", title="t", data_title="d", half="h"), encoding="utf-8")
    profile = load_profile(path)
    assert start_of(name, profile.protocol) == pytest.approx(1.8, rel=1e-4)
    assert profile.protocol["ispp.algorithm.reset.volts"].unit == "V"
    assert profile.parameters == base.parameters


def test_the_report_leads_with_the_half_that_was_never_seen(result: FitResult, tmp_path: Path) -> None:
    page = write_report(result, tmp_path / "mine.fit", tmp_path / "mine.profile.yaml").read_text(encoding="utf-8")
    order = [page.index(head) for head in ("never saw", "cannot represent", "![forming]", "## The numbers")]
    assert order == sorted(order)
    assert (tmp_path / "mine.fit" / "set_volts.png").stat().st_size > 5000
    assert all(row.held for row in result.rows)
    assert "set_volts, " in page
    assert "| forming voltage | " in page


def test_data_that_do_not_move_a_number_leave_it_as_wide_as_its_bounds() -> None:
    made = [candidates.reset_volts(without_blocks(load_profile("hfo2_1t1r").parameters), 64, 6)]
    plan = dataclasses.replace(TINY, free=("reset.UR", "forming.mean"), generations=0, size=32)
    found = {one.name: one for one in fit(made, plan).numbers}
    assert found["reset.UR"].identified
    assert not found["forming.mean"].identified
    base: Any = load_profile("hfo2_1t1r").parameters
    assert found["forming.mean"].value == pytest.approx(float(base.forming.mean), rel=1e-3)
    assert found["forming.mean"].low < 1.8
    assert found["forming.mean"].high > 5.0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"free": ("set.V0X",)}, "the model has no set.V0X: unknown number to fit 'set.V0X': choose from"),
        ({"free": ("bounds.Gc_min",)}, "bounds.Gc_min is in the model and no fit moves it: choose from"),
        ({"base": "hfo2_2t"}, "profile 'hfo2_2t' is neither a file nor shipped; shipped profiles are"),
        ({"base": "tio2_passive"}, "the data are of 1T1R cells, and profile tio2_passive is one of passive cells"),
        ({"hold_out": "chips"}, "--hold-out chips: all data are of one chip, and none of them says its chip"),
        ({"hold_out": "cell"}, "unknown way to hold data out 'cell'"),
        ({"hold_out": "temperatures"}, "no bake temperatures are in the data, two are needed"),
    ],
)
def test_a_plan_that_cannot_be_done_is_one_sentence(change: dict[str, Any], said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        fit(chip(32), dataclasses.replace(TINY, **change))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
def test_the_measurement_that_would_tell_a_number_is_named() -> None:
    made = [candidates.reset_volts(without_blocks(load_profile("hfo2_1t1r").parameters), 64, 6)]
    free = ("reset.UR", "set.US", "forming.mean")
    plan = dataclasses.replace(TINY, free=free, generations=0, size=32, suggest=True)
    tells = {name: one.what for one in fit(made, plan).suggestions for name in one.numbers}
    assert set(tells) == {"set.US", "forming.mean"}
    assert tells["forming.mean"].startswith("forming of virgin cells")
    assert "SET" in tells["set.US"] or "programming" in tells["set.US"]
