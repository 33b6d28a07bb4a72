"""Profiles refuse what they do not know and name what they do; every number says where it comes from."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from xbarlab.mockhw.chip.profile import ProfileError, list_profiles, load_profile, make_model, parse_profile

GATED = ["gate_voltage_1t1r", "hfo2_1t1r", "rpu_1t1r", "soft_bounds_1t1r", "ta_hfo2_1t1r"]
SHIPPED = [*GATED, "tio2_passive"]


def test_shipped_profiles_are_listed():
    assert list_profiles() == SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_has_a_unit_and_a_source(name, raw):
    found = 0

    def visit(node, path):
        nonlocal found
        if isinstance(node, dict):
            if "value" in node:
                assert len(str(node.get("source", ""))) > 5, path
                assert node.get("unit") is not None, path
                found += 1
                return
            for key, child in node.items():
                visit(child, [*path, key])
        else:
            assert not isinstance(node, int | float), f"{path}: a bare number"

    visit(raw(name), [])
    assert found > 20


@pytest.mark.parametrize("name", GATED)
def test_profiles_load_and_make_cells(name):
    profile = load_profile(name)
    assert (profile.name, profile.rows, profile.cols, profile.cell) == (name, 128, 64, "1T1R")
    assert profile.gate_axis == "col"
    assert profile.read.volts == 0.2
    assert profile.read.volts.unit == "V"
    model = make_model(profile, 12, seed=1)
    assert model.size == 12
    assert {"stuck", "formed", "conductance", "pulses"} <= set(model.truth())


def test_the_passive_profile_has_no_gates_and_no_cells_of_its_own(raw):
    profile = load_profile("tio2_passive")
    assert (profile.rows, profile.cols, profile.cell, profile.gate_axis) == (8, 8, "passive", None)
    assert "validated" in profile.description
    with pytest.raises(ProfileError, match="make a PassiveChip"):
        make_model(profile, 64, 1)
    with pytest.raises(ProfileError, match="gate_axis 'col' with passive cells"):
        parse_profile(raw("tio2_passive") | {"gate_axis": "col"})
    gateless = raw("ta_hfo2_1t1r")
    del gateless["gate_axis"]
    with pytest.raises(ProfileError, match="gate_axis None with 1T1R cells"):
        parse_profile(gateless)


def test_unknown_profile_lists_the_shipped_ones():
    with pytest.raises(
        ProfileError,
        match="gate_voltage_1t1r, hfo2_1t1r, rpu_1t1r, soft_bounds_1t1r, ta_hfo2_1t1r, tio2_passive",
    ):
        load_profile("ta_hfo2")


def test_profile_by_path(tmp_path, raw):
    from ruamel.yaml import YAML

    path = tmp_path / "mine.yaml"
    YAML(typ="safe").dump(raw("ta_hfo2_1t1r"), path)
    assert load_profile(path).name == "ta_hfo2_1t1r"
    path.write_text("a: [1, ", "utf-8")
    with pytest.raises(ProfileError, match="not valid YAML"):
        load_profile(path)


def test_unknown_keys_are_refused_with_the_alternatives(raw):
    content = raw("ta_hfo2_1t1r")
    content["parameters"]["set"]["V0"] = content["parameters"]["set"]["V0S"]
    with pytest.raises(ProfileError, match=r"unknown key 'set\.V0'; known here: US, V0S, GxS"):
        parse_profile(content)
    content = raw("ta_hfo2_1t1r") | {"colour": "blue"}
    with pytest.raises(ProfileError, match="unknown key 'colour'; known here: name, title"):
        parse_profile(content)


@pytest.mark.parametrize(
    ("quantity", "message"),
    [
        (5.0, "needs a source"),
        ({"value": 5.0, "unit": "V"}, "missing"),
        ({"value": 5.0, "unit": "V", "source": " "}, "source is empty"),
        ({"value": 5.0, "unit": "mV", "source": "assumed"}, "give the value in 'V'"),
        ({"value": float("nan"), "unit": "V", "source": "assumed"}, "not a finite number"),
        ({"value": True, "unit": "V", "source": "assumed"}, "not a finite number"),
        ({"value": 5.0, "unit": "V", "source": "assumed", "note": ""}, "unknown"),
    ],
)
def test_quantities_without_source_or_with_wrong_unit_are_refused(quantity, message, raw):
    content = raw("ta_hfo2_1t1r")
    content["parameters"]["set"]["US"] = quantity
    with pytest.raises(ProfileError, match=message):
        parse_profile(content)


def test_missing_key_unknown_model_and_empty_chip(raw):
    content = raw("ta_hfo2_1t1r")
    del content["parameters"]["wear"]
    with pytest.raises(ProfileError, match="key 'wear' is missing"):
        parse_profile(content)
    with pytest.raises(ProfileError, match="models are filament, gate_voltage, graded, step"):
        parse_profile(raw("ta_hfo2_1t1r") | {"model": "jart"})
    with pytest.raises(ProfileError, match="at least one cell"):
        make_model(load_profile("ta_hfo2_1t1r"), 0, 1)


def test_a_quantity_computes_as_a_float_and_survives_a_pickle():
    us = load_profile("ta_hfo2_1t1r").parameters.set.US
    assert us * 2 == 10.0
    again = pickle.loads(pickle.dumps(us))
    assert (again, again.unit, again.source) == (us, us.unit, us.source)
    assert isinstance(np.asarray([us]).dtype.type(0), np.float64)
