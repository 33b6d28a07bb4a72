"""Limits: only ever narrower, and a refusal that says what, where and how to go on."""

from __future__ import annotations

import copy
import math
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xbarlab.common.errors import RefusedError, XbarlabError, unknown
from xbarlab.common.numbers import numbers
from xbarlab.instruments.errors import InstrumentError
from xbarlab.instruments.limits import LimitError, Limits, Quantity, refuse_bad_number

NAMES = [field.name for field in fields(Limits)]


def test_narrowing_keeps_what_is_not_named() -> None:
    narrowed = Limits().narrowed({"set_volts_max": 2.5, "count_max": 10}, source="chip")
    assert (narrowed.set_volts_max, narrowed.count_max) == (2.5, 10)
    assert isinstance(narrowed.count_max, int)
    assert narrowed.reset_volts_max == Limits().reset_volts_max


@pytest.mark.parametrize("name", NAMES)
def test_wider_is_refused_in_either_direction(name: str) -> None:
    own = getattr(Limits(), name)
    wider = own * 0.5 if name.endswith("_min") else own * 2
    with pytest.raises(RefusedError, match=rf"station\.yaml: limit {name} = .* is wider than the driver's"):
        Limits().narrowed({name: wider}, source="station.yaml")
    Limits().narrowed({name: own}, source="station.yaml")


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, True, "3", None])
def test_nonsense_is_refused(value: Any) -> None:
    with pytest.raises(RefusedError, match="finite number of at least 0"):
        Limits().narrowed({"gate_max": value}, source="chip")


def test_unknown_names_the_alternatives_and_the_nearest() -> None:
    with pytest.raises(RefusedError, match=r"unknown limit 'set_volt_max'.*choose from .*did you mean 'set_volts_max'"):
        Limits().narrowed({"set_volt_max": 1.0}, source="chip")


@given(st.floats(allow_nan=True, allow_infinity=True))
def test_a_value_passes_exactly_when_it_is_inside(value: float) -> None:
    limits = Limits(set_volts_max=3.0, reset_volts_max=2.0)
    inside = -2.0 <= value <= 3.0
    if inside:
        assert limits.check("pulse_volts", value, channel="x") == value
    else:
        with pytest.raises(RefusedError):
            limits.check("pulse_volts", value, channel="x")


@given(st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=20), st.integers(0, 19))
def test_one_bad_value_anywhere_is_found_and_placed(values: list[float], place: int) -> None:
    place %= len(values)
    values[place] = math.nan
    with pytest.raises(RefusedError, match=rf"gate is nan at map\[{place}\]|gate -.* at map\[\d+\]"):
        Limits().check("gate", np.array(values), channel="map")


def test_the_message_names_value_limit_channel_and_remedy() -> None:
    with pytest.raises(RefusedError) as caught:
        Limits(set_volts_max=2.0).check("pulse_volts", [[0.0, 2.5]], channel="pulse map 0:1,0:2, cell ")
    said = str(caught.value)
    for word in ("2.5 V", "cell [0, 1]", "limit 2 V", "set_volts_max", "choose 0 to 2 V"):
        assert word in said


def test_nothing_to_check_passes_and_a_name_nobody_knows_does_not() -> None:
    assert Limits().check("gate", [], channel="x").size == 0
    with pytest.raises(KeyError):
        Limits().check("colour", 1.0, channel="x")


def test_errors_speak_one_sentence_whatever_is_added_on_the_way() -> None:
    error = RefusedError("no")
    error.args = (*error.args, "setting x to y")
    assert str(error) == "no"
    assert isinstance(error, ValueError)
    assert (XbarlabError.exit_code, RefusedError.exit_code) == (3, 2)
    assert InstrumentError("bad", [(-222, "out")]).entries == ((-222, "out"),)
    assert unknown("clock", "x", []) == "unknown clock 'x': there is none"


def test_whoever_narrowed_a_limit_is_named_where_it_holds_and_where_it_is_widened() -> None:
    chip = Limits().narrowed({"set_volts_max": 3.0, "gate_max": 5.0}, source="a.chip.yaml: limits")
    with pytest.raises(
        RefusedError, match=r"^b\.yaml: limit set_volts_max = 4 is wider than the 3 of a\.chip\.yaml: limi"
    ):
        chip.narrowed({"set_volts_max": 4.0}, source="b.yaml")
    both = chip.narrowed({"set_volts_max": 2.0, "read_volts_max": 0.3}, source="b.yaml")
    for name, value, says in (
        ("pulse_volts", 2.5, "the limit is set by b.yaml"),
        ("read_volts", 0.4, "the limit is set by b.yaml"),
        ("gate", 6.0, "it is the driver's own limit"),
        ("pulse_volts", -6.0, "it is the driver's own limit"),
    ):
        with pytest.raises(RefusedError, match=says):
            both.check(name, value, channel="x")
    assert both == Limits(set_volts_max=2.0, read_volts_max=0.3)
    assert set(both.origins) == {"set_volts_max", "read_volts_max"}


def test_a_count_is_whole() -> None:
    with pytest.raises(RefusedError, match=r"chip: limit count_max is 2\.5; it must be a whole number"):
        Limits().narrowed({"count_max": 2.5}, source="chip")
    assert Limits().narrowed({"count_max": 3.0}, source="chip").count_max == 3


@pytest.mark.parametrize(
    "value", ["2", b"2", True, np.True_, 1 + 2j, 10**400, [1, "2"], {}, [[1], [1, 2]], None, np.array(["1"]), object()]
)
def test_what_is_no_number_is_refused_in_one_sentence(value: Any) -> None:
    for call in (lambda: Limits().check("pulse_volts", value, channel="x"), lambda: refuse_bad_number(
        "seconds", value, 0.0, 10.0, "s", channel="x")):  # fmt: skip
        with pytest.raises(RefusedError, match="give plain numbers in SI units"):
            call()


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.ma.masked_array([1.0, 2.0], [False, True]), "a masked array"),
        (np.ma.masked_array([1.0, 2.0]), "a masked array"),
        ([np.ma.masked_array([1.0], [True])], "a masked array"),
        ([np.ma.masked, 1.0], "a masked array"),
        (np.ma.masked, "a masked array"),
        (np.array([True, False]), "an array of true and false"),
        ([True, 1.0], "True among numbers"),
        ([np.array([False])], "an array of true and false"),
        (np.array([1.0, 2.0], dtype=object), "an array of objects"),
        (np.array(["2026-01-01"], dtype="datetime64[s]"), "an array of dates"),
        (np.array([1, 2], dtype="timedelta64[s]"), "an array of spans of time"),
        (np.array([1j]), "an array of complex numbers"),
        (np.zeros(2, dtype=[("volts", "f8")]), "a structured array"),
        (np.zeros(2).view(type("Quantity", (np.ndarray,), {})), r"an array of a kind of its own \(Quantity\)"),
        (SimpleNamespace(magnitude=1.0, units="mV"), "a SimpleNamespace with a unit"),
    ],
)
def test_what_numpy_makes_numbers_of_without_a_word_is_refused_by_name(value: Any, what: str) -> None:
    with pytest.raises(RefusedError, match=f"volts is {what} at x: give plain numbers in SI units"):
        numbers(value, "volts", channel="x")


def test_what_is_numbers_to_numpy_stays_numbers(tmp_path: Path) -> None:
    np.save(tmp_path / "volts.npy", np.ones(2))
    for value in ([1, 10**30], (1.0, np.float32(2)), pd.Series([1, 2]), np.load(tmp_path / "volts.npy", mmap_mode="r")):
        assert numbers(value, "volts", channel="x").dtype == np.float64


@pytest.mark.parametrize("value", [np.float32(1), np.int8(1), np.longdouble(1), np.array(1.0), 1, -0.0])
def test_numbers_of_numpy_are_numbers(value: Any) -> None:
    assert Limits().one("pulse_volts", value, channel="x") == float(value)
    with pytest.raises(RefusedError, match=r"has shape \(1,\): give a single number"):
        Limits().one("pulse_volts", [value], channel="x")


def test_what_files_are_silent_about_refuses_nothing_of_what_is_allowed() -> None:
    own = Limits()
    own.check_pulses([own.set_volts_max, -own.reset_volts_max], own.width_max, channel="x", edge=2.9e-9)
    own.check_points(np.array([5.0, -5.0]), own.current_max, 10.0, channel="x")


def test_energy_is_bounded_by_the_current_a_chip_is_trusted_with() -> None:
    limits = Limits().narrowed(
        {"energy_max": 1e-9, "sweep_energy_max": 1e-9, "current_max": 1e-3}, source="c.chip.yaml: limits"
    )
    limits.check_pulses([[2.0, -2.0]], [[499e-9, 100e-9]], channel="cell ")
    with pytest.raises(
        RefusedError, match=r"energy 1\.002e-09 J at cell \[0, 1\] is above the limit 1e-09 J \(energy_max\).*c\.chip"
    ):
        limits.check_pulses([[2.0, -2.0]], [[100e-9, 501e-9]], channel="cell ")
    limits.check_points(np.array([0.0, 1.0]), 1e-4, 1e-5, channel="point ")
    with pytest.raises(RefusedError, match=r"sweep_energy 2e-09 J at point \[1\].*sweep_energy_max"):
        limits.check_points(np.array([0.0, 2.0]), 1e-4, 1e-5, channel="point ")


def test_slew_is_that_of_edges_and_of_steps() -> None:
    limits = Limits().narrowed({"slew_max": 1e8, "set_volts_max": 2.0, "reset_volts_max": 2.0}, source="chip")
    limits.check_pulses(1.25, 1e-6, channel="cell ", edge=10e-9)
    limits.check_pulses(2.0, 1e-6, channel="cell ", edge=16e-9)
    with pytest.raises(RefusedError, match=r"slew 1\.04e\+08 V/s at cell  is above the limit 1e\+08 V/s \(slew_max\)"):
        limits.check_pulses(-1.3, 1e-6, channel="cell ", edge=10e-9)
    limits.check("edge", 16e-9, channel="x", unit="s")
    with pytest.raises(RefusedError, match=r"edge 1\.5e-08 s .*slew_max"):
        limits.check("edge", 15e-9, channel="x", unit="s")
    slow = limits.narrowed({"slew_max": 10.0}, source="chip")
    slow.check_points(np.array([0.0, 0.1, -0.0]), 1e-3, 0.01, channel="point ")
    with pytest.raises(RefusedError, match=r"slew 20 V/s at point \[1\]"):
        slow.check_points(np.array([0.1, -0.1]), 1e-3, 0.01, channel="point ")


def test_a_line_carries_half() -> None:
    limits = Limits().narrowed({"set_volts_max": 4.0, "slew_max": 1e9}, source="c.chip.yaml: limits").halved()
    assert (limits.set_volts_max, limits.reset_volts_max, limits.slew_max) == (2.0, 2.5, 1e9)
    with pytest.raises(RefusedError, match=r"half of a cell's voltage \(c\.chip\.yaml: limits\)"):
        limits.check("pulse_volts", 2.1, channel="x")


# -- what the sentence says is there for programs too ------------------------------------------------------------------


@pytest.mark.parametrize("quantity", list(Quantity))
def test_every_quantity_has_bounds_and_is_its_name(quantity: Quantity) -> None:
    limits = Limits()
    low, high, low_name, high_name = quantity.bounds.of(limits)
    assert low < high
    assert any(name in NAMES for name in (low_name, high_name))
    assert quantity.bounds.unit
    inside = 0.5 * (low + high)
    assert limits.check(quantity, inside, channel="x") == limits.check(str(quantity), inside, channel="x") == inside
    with pytest.raises(LimitError) as caught:
        limits.check(quantity, 2.0 * high + 1.0, channel="row 3")
    error = caught.value
    assert (error.quantity, error.where, error.value, error.limit) == (quantity, "row 3", 2.0 * high + 1.0, high)
    for part in (error.where, error.remedy, error.limit_name, error.set_by, f"{error.value:g} {quantity.bounds.unit}"):
        assert part in str(error)


@pytest.mark.parametrize(
    ("quantity", "value", "remedy"),
    [
        (Quantity.PULSE_VOLTS, 30.0, "choose 0 to 3.5 V"),
        (Quantity.PULSE_VOLTS, -30.0, "choose -2.2 to 0 V"),
        (Quantity.RESET_VOLTS, 30.0, "choose 0 to 2.2 V"),
        (Quantity.SOURCE_VOLTS, -30.0, "choose -3.5 to 0 V"),
        (Quantity.READ_VOLTS, 30.0, "choose 0 to 0.5 V"),
        (Quantity.WIDTH, 30.0, "choose 5e-08 to 0.01 s"),
    ],
)
def test_the_range_is_that_of_the_polarity_that_was_asked_for(quantity: Quantity, value: float, remedy: str) -> None:
    limits = Limits().narrowed({"set_volts_max": 3.5, "reset_volts_max": 2.2}, source="a.chip.yaml: limits")
    with pytest.raises(LimitError) as caught:
        limits.check(quantity, value, channel="pulse map")
    assert caught.value.remedy == remedy


def test_a_limit_error_says_who_set_the_limit() -> None:
    chip = Limits().narrowed({"set_volts_max": 3.0}, source="a.chip.yaml: limits")
    with pytest.raises(LimitError) as caught:
        chip.check(Quantity.PULSE_VOLTS, [1.0, 3.5], channel="pulse map")
    error = caught.value
    assert error.set_by == "the limit is set by a.chip.yaml: limits"
    assert (error.where, error.value, error.limit, error.limit_name) == ("pulse map[1]", 3.5, 3.0, "set_volts_max")
    assert error.remedy == "choose 0 to 3 V"
    with pytest.raises(RefusedError) as caught_wider:
        chip.narrowed({"set_volts_max": 4.0}, source="b.yaml")
    wider = caught_wider.value
    assert (wider.where, wider.value, wider.limit, wider.set_by) == ("b.yaml", 4.0, 3.0, "a.chip.yaml: limits")


def test_fields_live_beside_what_is_added_on_the_way_and_in_copies() -> None:
    error = RefusedError("no", where="here", value=1, limit=2, set_by="me", remedy="less")
    error.args = (*error.args, "setting x to y")
    again = copy.copy(error)
    assert (str(again), again.where, again.value, again.remedy) == ("no", "here", 1, "less")
    plain = InstrumentError("bad", [(-222, "out")], where="smu")
    assert (plain.entries, plain.where, RefusedError("no").where) == (((-222, "out"),), "smu", "")
