"""Multilevel on arrays whose cells do as they are told, more or less, and on both mocks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray, GatelessArray
from xbarlab import open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import Cost, Delivered, PulseMap
from xbarlab.mockhw.passive_chip.chip import PassiveChip
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.programming.multilevel import MultilevelPlan, multilevel
from xbarlab.protocols.programming.verify_state import Verdict
from xbarlab.protocols.registry import step_kind
from xbarlab.runbooks.stations import find_bench, mock_bench

LEVELS: dict[str, Any] = {"count": 4, "low": 20e-6, "high": 140e-6}


class Obedient(FakeArray):
    """A SET leads up to a conductance that rises with its knob, a RESET down to one that falls; both with luck."""

    def __init__(self, *, base: type[FakeArray] = FakeArray, luck: float = 2e-6, relax: float = 0.0) -> None:
        super().__init__()
        if base is GatelessArray:
            self.spec = GatelessArray().spec
        self.rng = np.random.default_rng(1)
        self.luck, self.relax = luck, relax
        self.g[:] = 5e-6
        self.stuck = np.zeros(self.g.shape, np.bool_)
        self.waited = 0.0

    def pulse(self, pulses: PulseMap) -> Delivered:
        shape, at = pulses.block.shape, pulses.block.slices
        volts, gate, count = (np.broadcast_to(np.asarray(a), shape) for a in (pulses.volts, pulses.gate, pulses.count))
        knob = np.abs(volts) if self.spec.gate_axis is None else gate
        chance = self.luck * self.rng.standard_normal(shape)
        up, down = 100e-6 * (knob - 0.5) + chance, 240e-6 - 100e-6 * knob + chance
        moved = np.where(volts > 0, np.maximum(self.g[at], up), np.minimum(self.g[at], np.maximum(down, 2e-6)))
        self.g[at] = np.where((count > 0) & ~self.stuck[at], moved, self.g[at])
        self._act("pulse", pulses.block.nrows, int(count.sum()))
        return Delivered(pulses.block, volts, np.zeros(shape), gate, count, 1, int(count.sum()), 0.0)

    def read(self, cells: Any, *arguments: Any, **options: Any) -> Any:
        # Once a wait is over cells have moved by a chance of their own.
        if self.clock.time > self.waited:
            self.waited = self.clock.time
            self.g = self.g + self.relax * self.rng.standard_normal(self.g.shape)
        return super().read(cells, *arguments, **options)


RAMPS = {"set": {"volts": (0.6, 2.5), "gate": (0.6, 2.5)}, "reset": {"volts": (0.6, 2.4), "gate": (0.6, 2.4)}}


def plan_of(**more: Any) -> MultilevelPlan:
    return MultilevelPlan(
        **({"cells": "0:3,0:4", "levels": LEVELS, "reset": RAMPS["reset"], "set": RAMPS["set"]} | more)
    )


@pytest.mark.slow
@pytest.mark.parametrize("base", [FakeArray, GatelessArray])
@pytest.mark.parametrize("order", ["random", "ascending", "descending"])
def test_every_cell_has_every_level_once_a_cycle_and_all_are_apart(base: type[FakeArray], order: str) -> None:
    array = Obedient(base=base)
    result = multilevel(array, plan_of(order=order), Run(None, seed=2))
    frame = result.frame
    assert len(frame) == 12 * 20 * 4
    assert (frame.groupby(["row", "col", "cycle"])["level"].nunique() == 4).all()
    assert frame["target_S"].nunique() == 4
    metrics = result.metrics()
    assert metrics["levels_200ns"] == metrics["separable_levels"] == 4
    assert metrics["bits_200ns"] == 2.0
    assert metrics["level_accepted_fraction"] > 0.98
    assert frame["pulses"].sum() == array.cost.pulses
    assert set(metrics) == result.plan.measures()
    close = np.abs(frame["conductance_S"] - frame["target_S"]) <= result.plan.window
    assert close.mean() > 0.95
    assert np.trace(result.confusion) / result.confusion.sum() > 0.98


def test_orders_are_what_they_are_called() -> None:
    plan = plan_of(order="random")
    orders = {name: plan_of(order=name).order_of((3, 4), Run(None, seed=1)) for name in ("ascending", "descending")}
    assert (np.diff(orders["ascending"], axis=1) == 1).all()
    assert (np.diff(orders["descending"], axis=1) == -1).all()
    drawn = plan.order_of((3, 4), Run(None, seed=1))
    assert (np.sort(drawn, axis=1) == orders["ascending"]).all()
    assert len({tuple(one) for one in drawn.transpose(0, 2, 3, 1).reshape(-1, 4)}) > 10
    np.testing.assert_array_equal(drawn, plan.order_of((3, 4), Run(None, seed=1)))


@pytest.mark.slow
def test_what_cells_do_while_they_settle_is_told_from_programming() -> None:
    calm = multilevel(Obedient(), plan_of(reverify_rounds=0), Run(None, seed=3)).metrics()
    loose = multilevel(Obedient(relax=4e-6), plan_of(reverify_rounds=0), Run(None, seed=3)).metrics()
    assert calm["level_settling_sigma"] < 1e-9
    assert loose["level_settling_sigma"] == pytest.approx(4e-6, rel=0.15)
    assert loose["level_noise_sigma"] < 1e-9
    restless = multilevel(Obedient(relax=25e-6), plan_of(reverify_rounds=0), Run(None, seed=3))
    assert restless.metrics()["levels_200ns"] < 4
    assert "settling" in restless.section().text.partition("What limits it")[2]


@pytest.mark.slow
def test_a_stuck_cell_is_counted_and_does_not_decide() -> None:
    array = Obedient()
    array.stuck[1, 2] = True
    result = multilevel(array, plan_of(), Run(None, seed=4))
    assert result.metrics()["levels_200ns"] == 4
    stuck = result.frame.query("row == 1 and col == 2")
    assert Verdict.NO_RESPONSE.words in set(stuck["verdict"])
    assert result.metrics()["level_error_fraction"] == pytest.approx(1 / 12 * 3 / 4, abs=0.02)
    assert "1 of 12 cells do not reach" in result.section().text


def test_another_width_or_fewer_cycles_have_no_levels_200ns() -> None:
    for more in ({"cycles": 3}, {"width": 500e-9}):
        plan = plan_of(cells="0,0:2", **more)
        assert "levels_200ns" not in plan.measures()
        if plan.cycles == 3:
            assert set(multilevel(Obedient(), plan).metrics()) == plan.measures()


def test_a_section_has_its_figures_and_tables() -> None:
    section = multilevel(Obedient(), plan_of(cycles=3), Run(None, seed=5)).section()
    assert [len(section.figures), len(section.tables)] == [3, 2]
    assert "4 are separable" in section.text


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"target_file": "map.npy"}, "leave target_file out"),
        ({"levels": {"windows": ((None, 1e-5), (2e-5, None))}}, "midpoints between them"),
        ({"cells": "9,0"}, "outside the array"),
        ({"cycles": 1}, "cycles"),
        ({"order": "as it comes"}, "choose from"),
        ({"set": {"volts": (1.0, 9.0), "gate": (0.5, 2.6)}}, "set_volts_max"),
        ({"read_average": 10**6}, "average"),
        ({"levels": {"count": 4, "low": 2e-4, "high": 1e-4}}, "must be above the lowest"),
    ],
)
def test_a_plan_that_cannot_be_is_refused_before_anything_acts(wrong: dict[str, Any], words: str) -> None:
    array = Obedient()
    with pytest.raises(RefusedError, match=words):
        multilevel(array, plan_of(**wrong))
    assert array.cost == Cost()


MOCKS: dict[str, dict[str, Any]] = {
    "mock_tio2": {
        "cells": "0:2,0:3",
        "levels": {"count": 3, "low": 120e-6, "high": 380e-6},
        "set": {"volts": (0.7, 2.4), "gate": (0, 0)},
        "reset": {"volts": (0.7, 2.4), "gate": (0, 0)},
    },
    "mock_ta_hfo2": {"cells": "0:8,0:8", "levels": {"count": 3, "low": 20e-6, "high": 160e-6}, "width": 500e-9},
}


@pytest.mark.slow
@pytest.mark.parametrize("station", MOCKS)
def test_both_mocks_hold_three_levels(station: str) -> None:
    with open_bench(station, seed=3) as bench:
        if station == "mock_tio2":
            chip = mock_bench(find_bench(station)).chip
            assert isinstance(chip, PassiveChip)
            chip.assume_formed(np.full((8, 8), 0.5))
        else:
            forming = step_kind("forming")
            forming.run(bench.array, forming.plan(cells=MOCKS[station]["cells"]), None)
        result = multilevel(bench.array, MultilevelPlan(cycles=3, **MOCKS[station]), Run(None, seed=3))
    assert result.metrics()["separable_levels"] == 3
    assert result.metrics()["level_accepted_fraction"] > 0.7
