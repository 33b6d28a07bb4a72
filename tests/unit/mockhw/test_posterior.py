"""Chips drawn from the posterior of a profile: as far apart as it says, and nothing that its model does not admit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from xbarlab.mockhw.chip.profile import Profile, ProfileError, load_profile, parse_profile

PROFILES = Path(__file__).parents[3] / "mockhw" / "profiles"
NAMES = ["transistor.Vt", "series.Rs"]


def raw(**posterior: Any) -> dict[str, Any]:
    content = YAML(typ="safe", pure=True).load((PROFILES / "hfo2_1t1r.yaml").read_text(encoding="utf-8"))
    given = {"parameters": NAMES, "scale": ["linear", "log"], "covariance": [[4e-4, 8e-4], [8e-4, 2.5e-3]]}
    return {**content, "posterior": {**given, **posterior}}


def test_draws_are_as_far_apart_as_the_covariance_says() -> None:
    profile, rng = parse_profile(raw()), np.random.default_rng(1)
    drawn = [profile.drawn(rng).parameters.model_dump() for _ in range(800)]
    x = np.array([[one["transistor"]["Vt"], np.log(one["series"]["Rs"])] for one in drawn])
    parameters: Any = profile.parameters
    mean = [float(parameters.transistor.Vt), np.log(float(parameters.series.Rs))]
    assert x.mean(axis=0) == pytest.approx(mean, abs=5 * 0.05 / np.sqrt(800))
    assert np.cov(x.T) == pytest.approx(np.array([[4e-4, 8e-4], [8e-4, 2.5e-3]]), rel=0.15)


def test_a_draw_keeps_units_sources_and_all_other_numbers() -> None:
    profile = parse_profile(raw())
    drawn: Profile = profile.drawn(np.random.default_rng(0))
    before, after = profile.parameters.model_dump(), drawn.parameters.model_dump()
    changed = {f"{s}.{key}" for s in before for key in before[s] if before[s][key] != after[s][key]}
    assert changed == set(NAMES)
    parameters: Any = drawn.parameters
    assert parameters.series.Rs.unit == "ohm"
    assert parameters.series.Rs.source == profile.parameters.series.Rs.source  # pyright: ignore[reportAttributeAccessIssue]
    assert drawn.drawn(np.random.default_rng(0)).name == profile.name


def test_a_draw_stays_within_bounds() -> None:
    wide = raw(covariance=[[4.0, 0.0], [0.0, 1.0]], bounds=[[0.5, 0.8], [3000.0, 4000.0]])
    rng, profile = np.random.default_rng(2), parse_profile(wide)
    drawn: list[Any] = [profile.drawn(rng).parameters for _ in range(60)]
    assert {float(one.transistor.Vt) for one in drawn} >= {0.5, 0.8}
    assert all(3000.0 <= one.series.Rs <= 4000.0 for one in drawn)


def test_what_the_model_does_not_admit_is_moved_towards_its_own_values() -> None:
    profile, rng = parse_profile(raw(covariance=[[1e-4, 0.0], [0.0, 4e5]])), np.random.default_rng(3)
    drawn: list[Any] = [profile.drawn(rng).parameters for _ in range(30)]
    assert np.isfinite([float(one.series.Rs) for one in drawn]).all(), "exp(1000) is no resistance"
    assert len({float(one.transistor.Vt) for one in drawn}) > 20


def test_a_profile_without_posterior_is_drawn_as_it_is() -> None:
    profile = load_profile("hfo2_1t1r")
    assert profile.posterior is None
    assert profile.drawn(np.random.default_rng(0)) is profile


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"parameters": ["transistor.Vt", "series.Rx"]}, r"no number 'series\.Rx'; known here: Rs, line_floor"),
        ({"parameters": ["transistor.Vt", "series"]}, "'series' is no single number"),
        ({"parameters": ["series.Rs", "series.Rs"]}, "named twice"),
        ({"scale": ["log"]}, "scale has 1 entries for 2 parameters"),
        ({"scale": ["log", "sqrt"]}, "scale"),
        ({"covariance": [[1.0, 0.0]]}, "covariance has 1 entries"),
        ({"covariance": [[1.0, 0.5], [0.0, 1.0]]}, "not symmetric"),
        ({"covariance": [[1.0, 2.0], [2.0, 1.0]]}, "negative eigenvalue"),
        ({"covariance": [[1.0, 0.0], [0.0, -1.0]]}, "negative variance"),
        ({"scale": ["linear", "linear"], "covariance": [[1e-6, 2.0], [2.0, 1e6]]}, "negative eigenvalue"),
        ({"covariance": [[1.0, float("nan")], [0.0, 1.0]]}, "not finite"),
        ({"bounds": [[1.0, 0.0], [1.0, 2.0]]}, "the lower one comes first"),
        ({"bound": []}, "unknown key 'posterior.bound'; known here: parameters, scale, covariance, bounds"),
    ],
)
def test_a_posterior_that_cannot_be_is_refused(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ProfileError, match=said):
        parse_profile(raw(**given))
