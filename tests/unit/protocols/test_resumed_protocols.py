"""Every protocol, cut at any action and resumed: its result and its joined data are those of one that was not cut."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.fake_array import FakeArray, GatelessArray
from xbarlab.instruments.capabilities import PulseMap, Trace, Verified, VerifyRequest
from xbarlab.protocols.keeping.joined import joined
from xbarlab.protocols.keeping.run import Run
from xbarlab.protocols.plan import Plan
from xbarlab.protocols.registry import step_kind, step_names

TWO_LEVELS = {"count": 2}
PLANS: dict[str, tuple[str, dict[str, Any]]] = {
    "read_array": ("read_array", {}),
    "yield_map": ("yield_map", {}),
    "forming at once": ("forming", {"start_volts": 1.8, "stop_volts": 2.2}),
    "forming by pulses": (
        "forming",
        {"cells": "0:2,0:2", "one_by_one": True, "start_volts": 1.8, "stop_volts": 2.2, "park_volts": 0.5},
    ),
    "forming by ramp": ("forming", {"cells": "0:2,0:1", "method": "ramp", "start_volts": 1.8, "stop_volts": 2.2}),
    "dc_sweep": ("dc_sweep", {"cells": "0:1,0:2", "cycles": 2, "step": 0.2, "negative": -1.0}),
    "pulsed_iv": ("pulsed_iv", {"cells": "0:2,0:2", "points": 4, "cycles": 3}),
    "pulse_answer": (
        "pulse_answer",
        {"cells": "0:2,0:2", "rule": "manhattan", "within": {"low": 2e-6, "high": 200e-6}, "starts": 2, "average": 1},
    ),
    "pulse_response": ("pulse_response", {"cells": "0:2,0:2", "pulses": 4, "cycles": 3}),
    "half_select_disturb": ("half_select_disturb", {"cells": "0,0", "pulses": 10, "average": 1}),
    "retention": ("retention", {"cells": "0:2,0:2", "levels": TWO_LEVELS, "pulses_max": 4, "last": 100}),
    "retention as found": ("retention", {"cells": "0:2,0:2", "prepare": "found", "last": 100}),
    "multilevel": (
        "multilevel",
        {"cells": "0:2,0:2", "levels": {"count": 2, "low": 5e-6, "high": 100e-6}, "cycles": 3, "pulses_max": 4},
    ),
    "endurance": ("endurance", {"cells": "0:2,0:2", "cycles": 40, "per_decade": 2}),
    "read_noise": ("read_noise", {"cells": "0:2,0:2", "seconds": 0.3, "floor_seconds": 0.3}),
    "stress_disturb": ("stress_disturb", {"cells": "0:2,0:2", "volts": [0.2, 0.4], "pulses": 10, "average": 1}),
    "wire_resistance": ("wire_resistance", {"average": 1}),
    "vmm_accuracy": ("vmm_accuracy", {"vectors": 4, "repeats": 2, "average": 1}),
    "switching_kinetics": (
        "switching_kinetics",
        {"cells": "0:2,0:2", "set_volts": [0.5, 0.9], "reset_volts": [0.9], "shortest": 1e-6, "longest": 1e-5},
    ),
    "read_schemes": ("read_schemes", {"cells": "1,1", "among": "0:3,0:3"}),
    "ispp": (
        "ispp",
        {
            "cells": "0:2,0:2",
            "set_starts": [0.9],
            "set_steps": [0.2],
            "reset_steps": [0.2, 0.3],
            "levels": TWO_LEVELS,
        },
    ),
    "compare_programming": (
        "compare_programming",
        {
            "cells": "0:2,0:2",
            "bits": [2],
            "ispp": {"set_starts": [1.0], "set_steps": [0.2], "reset_steps": [0.2], "gates": [2.0]},
            "gate_staircase": {"set_starts": [0.9], "set_steps": [0.2], "reset_steps": [0.3]},
            "pulses_max": 8,
            "reverify_rounds": 1,
        },
    ),
    "read_verify": ("read_verify", {"cells": "0:2,0:3", "levels": TWO_LEVELS, "reverify_rounds": 2}),
    "read_verify by the board": (
        "read_verify",
        {"cells": "0:2,0:3", "levels": TWO_LEVELS, "engine": "board", "reverify_rounds": 2},
    ),
}
# A cell that formed while nobody looked has no forming voltage.
UNSEEN = ("v_form_mean",)


class BoardArray(FakeArray):
    """With firmware that programs cells by itself."""

    def program_verify(self, request: VerifyRequest) -> Verified:
        block = request.block
        self._act("verify", block.nrows, block.size)
        wanted = np.isfinite(request.target)
        g = self.g[block.slices]
        g[wanted] = request.target[wanted]
        return Verified(block, g.copy(), wanted.astype(np.int64), wanted)


class SamplingArray(FakeArray):
    """With a converter that streams one line."""

    def sample(self, row: int, col: int, volts: float, *, rate: float, seconds: float) -> Trace:
        self._act("sample", 1)
        noise = np.random.default_rng([row, col]).normal(size=round(rate * seconds))
        current = volts * self.g[row, col] * (1.0 + 0.01 * noise)
        return Trace(row, col, volts, np.arange(1, noise.size + 1) / rate, current)


def formed(array: FakeArray) -> FakeArray:
    array.g[:] = 5e-6
    return array


class ProductArray(FakeArray):
    """Multiplies with its conductances as they are."""

    def vmm(self, volts: Any, *, full_scale: float | None = None) -> Any:
        self._act("vmm", len(volts))
        return (volts @ self.g).astype(np.float32)


def make_array(name: str) -> FakeArray:
    if name == "vmm_accuracy":
        array = formed(ProductArray())
        array.spec = replace(array.spec, supports=frozenset({"vmm"}), vmm_ranges=(1e-3,))
        return array
    if name.startswith("forming"):
        return FakeArray()
    if name == "read_schemes":
        return formed(GatelessArray())
    if name == "read_noise":
        array = formed(SamplingArray())
        object.__setattr__(array.spec, "supports", array.spec.supports | {"sample"})
        return array
    if name.endswith("the board"):
        array = formed(BoardArray())
        object.__setattr__(array.spec, "supports", array.spec.supports | {"onboard_verify"})
        return array
    return formed(FakeArray())


def carry_out(name: str, array: FakeArray, run: Run) -> Any:
    step, parameters = PLANS[name]
    kind = step_kind(step)
    plan: Plan = kind.plan(**parameters)
    with run.step("it", array):
        return kind.run(array, plan, run)


def test_every_protocol_is_tried() -> None:
    # Training needs torch and an array that multiplies: tests/unit/training cuts and resumes it, and
    # tests/end_to_end/test_infer_after_a_day.py what is trained on the host.
    steps = {name for name in step_names() if not name.startswith("train_")} - {"infer_after_a_day", "ramp_adc"}
    assert {step for step, _ in PLANS.values()} >= steps


BY_DEFAULT = {"dc_sweep"}


@pytest.mark.parametrize(
    "name", [name if name in BY_DEFAULT else pytest.param(name, marks=pytest.mark.slow) for name in PLANS]
)
def test_cut_and_resumed(name: str, tmp_path: Path) -> None:
    array = make_array(name)
    whole = carry_out(name, array, Run(tmp_path / "whole", quiet=True))
    table = joined(tmp_path / "whole", "it")
    actions = len(array.actions)
    moments = sorted({1, 2, actions // 4, actions // 2, 3 * actions // 4, actions} & set(range(1, actions + 1)))
    for at in moments:
        folder = tmp_path / f"cut_{at}"
        array = make_array(name)
        array._fail_at, array._error = at, KeyboardInterrupt()
        with pytest.raises(KeyboardInterrupt):
            carry_out(name, array, Run(folder, quiet=True))
        result = carry_out(name, array, Run(folder, quiet=True, resumed=True))
        assert_alike(result.metrics(), whole.metrics())
        assert result.frame.shape == whole.frame.shape
        again = joined(folder, "it")
        if not name.startswith(("forming by", "read_verify", "ispp")):
            assert len(again) == len(table), at
        # What is done is not done again, and needs no array at all.
        acts = len(array.actions)
        third = carry_out(name, array, Run(folder, quiet=True, resumed=True))
        assert len(array.actions) == acts
        assert_alike(third.metrics(), result.metrics())
        assert len(joined(folder, "it")) == len(again)


def assert_alike(found: dict[str, float], wanted: dict[str, float]) -> None:
    assert found.keys() == wanted.keys()
    seen = {key for key in wanted if not key.startswith((*UNSEEN, "pulses_per_cell", "level_pulses", "iterations"))}
    assert {key: found[key] for key in seen} == pytest.approx({key: wanted[key] for key in seen}, nan_ok=True)


def test_a_pulse_that_formed_a_cell_before_the_kill_is_not_followed_by_another(tmp_path: Path) -> None:
    class Cut(FakeArray):
        """Gives the pulse, and dies before anybody can read what it did."""

        cut_at = 2.0

        def pulse(self, pulses: PulseMap) -> Any:
            given = super().pulse(pulses)
            if float(np.max(pulses.volts)) >= self.cut_at:
                self.cut_at = 99.0
                raise KeyboardInterrupt
            return given

    array = Cut()
    name = "forming at once"
    with pytest.raises(KeyboardInterrupt):
        carry_out(name, array, Run(tmp_path / "run", quiet=True))
    before = len(array.actions)
    result = carry_out(name, array, Run(tmp_path / "run", quiet=True, resumed=True))
    np.testing.assert_allclose(result.v_form, 2.0)
    assert result.works.all()
    # read, read again because cells read formed; no pulse of the staircase that reaches a cell
    assert array.actions[before : before + 2] == ["read", "read"]


@pytest.mark.parametrize("method", ["pulses", "ramp"])
def test_a_lone_cell_that_formed_before_the_kill_is_among_the_data(tmp_path: Path, method: str) -> None:
    class Cut(GatelessArray):
        """Dies once its cell has formed, before anybody can say so."""

        cut = False

        def read(self, *arguments: Any, **options: Any) -> Any:
            if not self.cut and self.g[1, 2] > 20e-6:
                self.cut = True
                raise KeyboardInterrupt
            return super().read(*arguments, **options)

    array = Cut()
    plan = {"cells": "1,2", "method": method, "one_by_one": True, "start_volts": 1.5, "stop_volts": 2.5}
    run = step_kind("forming").run
    for resumed in (False, True):
        keep = Run(tmp_path / "run", quiet=True, resumed=resumed)
        with keep.step("it", array):
            if not resumed:
                with pytest.raises(KeyboardInterrupt):
                    run(array, step_kind("forming").plan(**plan), keep)
                continue
            result = run(array, step_kind("forming").plan(**plan), keep)
    assert result.works.all()
    assert np.isnan(result.v_form).all(), "nobody saw at which voltage"
    table = joined(tmp_path / "run", "it")
    assert len(table) == 1
    assert table["conductance"][0] > 20e-6
    assert table["volts"][0] == 0.0
    assert np.isnan(table["applied"][0])


def test_a_loop_that_was_cut_starts_from_a_cell_that_is_off(tmp_path: Path) -> None:
    name = "dc_sweep"
    array = make_array(name)
    array._fail_at, array._error = 4, KeyboardInterrupt()  # after the SET half of the first loop
    with pytest.raises(KeyboardInterrupt):
        carry_out(name, array, Run(tmp_path / "run", quiet=True))
    assert array.g[0, 0] > 50e-6
    result = carry_out(name, array, Run(tmp_path / "run", quiet=True, resumed=True))
    assert (result.switching["set_status"] == "switched").all()
