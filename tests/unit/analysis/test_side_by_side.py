"""Two runs on one page: which quantities are compared, what intervals say, what stands alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from pandas import DataFrame

from xbarlab.analysis.measurements.array_maps import conductance_map
from xbarlab.analysis.report.report import Section
from xbarlab.analysis.report.side_by_side import HALF, Pair, Side, paired, sections_of_both, verdict


def side(name: str, summary: Mapping[str, float], *sections: Section, **provenance: str) -> Side:
    return Side(name=name, title=f"Runbook of {name}", summary=summary, sections=sections, provenance=provenance)


def estimate(name: str, value: float, low: float, high: float) -> dict[str, float]:
    return {name: value, f"{name}_ci95_low": low, f"{name}_ci95_high": high}


A = side("one", {**estimate("v_set_mean", 0.50, 0.45, 0.55), **estimate("yield_fraction", 0.9, 0.8, 0.95),
                 "program.programming_sigma": 2e-6, "first.g_read_median": 1e-6, "second.g_read_median": 2e-6,
                 "cells_attempted": 64.0, "pulses": 10.0, "seed": 1.0})  # fmt: skip
B = side("two", {**estimate("v_set_mean", 0.70, 0.60, 0.80), **estimate("yield_fraction", 0.85, 0.7, 0.9),
                 "programming_sigma": 3e-6, "g_read_median": 3e-6, "overflow_cells": 2.0, "pulses": 30.0,
                 "seed": 2.0})  # fmt: skip


def table(sections: list[Section], title: str, number: int = 0) -> DataFrame:
    (found,) = [section for section in sections if section.title == title]
    return found.tables[number][1]


def test_keys_are_compared_by_name_where_each_run_has_it_once() -> None:
    pairs = paired(A.summary, B.summary)
    assert Pair("v_set_mean", "v_set_mean") in pairs
    assert Pair("program.programming_sigma", "programming_sigma") in pairs
    assert not [pair for pair in pairs if "g_read_median" in pair.a], "two of one name have no partner"


@pytest.mark.parametrize(
    ("quantity", "said", "difference"),
    [("v_set_mean", "apart", "0.2000 V"), ("yield_fraction", "overlap", "−5.00 %")],
)
def test_intervals_that_overlap_are_not_called_apart(quantity: str, said: str, difference: str) -> None:
    numbers = table(sections_of_both(A, B), "Numbers beside each other").set_index("quantity")
    assert numbers.loc[quantity, "intervals"] == said
    assert str(numbers.loc[quantity, "B − A"]).replace("\xa0", " ") == difference


def test_without_an_interval_nothing_is_said() -> None:
    numbers = table(sections_of_both(A, B), "Numbers beside each other").set_index("quantity")
    line = numbers.loc["programming_sigma (program.programming_sigma | programming_sigma)"]
    assert line["intervals"] == ""
    assert verdict(A, B) == (
        "3 quantities in common: 1 apart, 1 with intervals that overlap, 1 without an interval in both."
    )
    assert verdict(A, side("three", {})) == "The two runs have no quantity in common."


def test_what_one_run_has_alone_is_listed() -> None:
    sections = sections_of_both(A, B)
    only = [set(table(sections, "What only one of them measured", k)["quantity"]) for k in range(2)]
    assert only == [
        {"first.g_read_median", "second.g_read_median", "cells_attempted"},
        {"g_read_median", "overflow_cells"},
    ]
    costs = table(sections, "Cost and provenance")
    assert costs["quantity"].tolist() == ["pulses"]


def test_figures_of_one_title_stand_in_turn_and_narrow_enough() -> None:
    def maps(count: int) -> list[tuple[str, object]]:
        return [(f"map {k}", conductance_map(np.full((4, 4), 1e-6 * (k + 1)))) for k in range(count)]

    a = side("one", {}, Section("Array read", figures=maps(1)), Section("Array read", figures=maps(2)),
             Section("Forming", figures=maps(1)))  # fmt: skip
    b = side("two", {}, Section("Array read", figures=maps(1)), Section("Array read", figures=maps(1)),
             Section("Cost", figures=maps(1)))  # fmt: skip
    sections = sections_of_both(a, b)
    first, second = (next(one for one in sections if one.title == title) for title in ("Array read", "Array read (2)"))
    assert [caption for caption, _ in first.figures] == ["A: map 0", "B: map 0"]
    assert second.text == "A has 1 more: map 1"
    assert all(figure.width <= HALF for _, figure in first.figures)
    alone = next(one for one in sections if one.title == "Figures that stand alone")
    assert alone.text == "Only A has figures of: Forming.\n\nOnly B has figures of: Cost."


def test_provenance_marks_what_differs() -> None:
    found = table(sections_of_both(side("one", {}, Chip="x", Date="d"), side("two", {}, Chip="y", Date="d")),
                  "Cost and provenance", 1)  # fmt: skip
    assert found.to_numpy().tolist() == [["Chip", "x", "y", "differs"], ["Date", "d", "d", ""]]


def test_the_boxes_of_both_stand_first() -> None:
    def box(text: str) -> Section:
        return Section("What this means", text, tables=[("", DataFrame({"x": [1]}))], box=True)

    first = sections_of_both(side("one", {}, box("a")), side("two", {}, box("b")))[0]
    assert first.box
    assert [caption for caption, _ in first.tables] == ["A, one", "B, two"]
