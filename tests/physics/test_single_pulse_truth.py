"""Pulsed I–V and the answer to one pulse find what the mock's physics does, by Monte Carlo without instruments."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xbarlab import FormingPlan, PulseAnswerPlan, PulsedIvPlan, form, open_bench, pulse_answer, pulsed_iv
from xbarlab.instruments.block import Block
from xbarlab.instruments.capabilities import PulseMap
from xbarlab.protocols.measure.switching import bring_into

CELLS = 500
SEEDS = range(1, 6)
REST = 2e-4  # s between pulses, as the board has with the reads between them
IV = PulsedIvPlan(cells="0:4,0:6", positive=2.0, negative=-1.6, points=20, width=500e-9, cycles=4)
ANSWER = PulseAnswerPlan(cells="0:4,0:6", rule="manhattan", starts=3)


def formed_bench(seed: int) -> Any:
    return open_bench("mock_ta_hfo2", seed=seed)


def make_formed(array: Any) -> None:
    form(array, FormingPlan(cells="0:4,0:6", start_volts=1.5, stop_volts=3.3, step_volts=0.05, gate=1.3, width=10e-6))


def formed_cells(make_chip: Callable[..., Any], seed: int) -> Any:
    chip = make_chip("ta_hfo2_1t1r", CELLS, seed=seed)
    for step in range(37):
        chip.pulse(1.5 + 0.05 * step, 1.3, 10e-6, cells=np.flatnonzero(chip.read() < 2e-5))
    return chip


def first_beyond(volts: np.ndarray, g: np.ndarray, before: np.ndarray, after: np.ndarray, sign: int) -> np.ndarray:
    """Return where cells cross the geometric mean of two conductances and stay for a pulse, half-way in ln G."""
    border = np.sqrt(before * after)
    beyond = sign * np.log(g / border) >= 0
    stays = beyond & np.vstack([beyond[1:], beyond[-1:]])
    found = np.full(g.shape[1], np.nan)
    for cell in np.flatnonzero(stays.any(axis=0) & (sign * np.log(after / before) >= np.log(2.0))):
        k = int(np.argmax(stays[:, cell]))
        if k:
            low, high = np.log(g[[k - 1, k], cell])
            found[cell] = volts[k - 1] + (np.log(border[cell]) - low) / (high - low) * (volts[k] - volts[k - 1])
    return found


def true_voltages(make_chip: Callable[..., Any]) -> dict[str, float]:
    chip = formed_cells(make_chip, 11)
    good = np.flatnonzero(chip.healthy)
    out = np.linspace(IV.smallest, IV.positive, IV.points), np.linspace(IV.smallest, -IV.negative, IV.points)
    found: dict[str, list[np.ndarray]] = {"set": [], "reset": []}
    for loop in range(3):
        for name, sign, gate, volts in (("set", 1, IV.set_gate, out[0]), ("reset", -1, IV.reset_gate, out[1])):
            before = chip.read()[good]
            reads = []
            for v in [*volts, *volts[::-1]]:
                chip.pulse(sign * v, gate, IV.width, cells=good)
                chip.now += REST
                reads.append(chip.read()[good])
            if loop:
                found[name].append(
                    sign * first_beyond(volts, np.array(reads[: IV.points]), before, np.array(reads[-1]), sign)
                )
    return {name: float(np.nanmean(values)) for name, values in found.items()}


@pytest.mark.slow
def test_switching_voltages_of_pulses_are_those_of_the_physics(make_chip: Callable[..., Any]) -> None:
    truth, held, errors = true_voltages(make_chip), [], {"set": [], "reset": []}
    for seed in SEEDS:
        with formed_bench(seed) as bench:
            make_formed(bench.array)
            m = pulsed_iv(bench.array, IV).metrics()
        for name, value in truth.items():
            key = f"v_{name}_pulse_mean"
            held.append(m[f"{key}_ci95_low"] <= value <= m[f"{key}_ci95_high"])
            errors[name].append(m[key] / value - 1.0)
    assert sum(held) >= 7  # of 10; 95 % intervals hold in fewer once in a thousand such tests
    assert all(abs(np.mean(one)) < 0.05 for one in errors.values())


def true_steps(make_chip: Callable[..., Any], pulses: Any) -> dict[str, float]:
    """Return the mean step over the range of each direction, median over cells; places and directions at random."""
    chip = formed_cells(make_chip, 23)

    def pulse(asked: PulseMap) -> None:
        cells = np.flatnonzero(np.asarray(asked.count))
        if cells.size:
            chip.pulse(asked.volts, asked.gate, asked.width, cells=cells)
        chip.now += REST

    bare: Any = SimpleNamespace(
        read=lambda block, average=1: SimpleNamespace(conductance=chip.read().reshape(block.shape)),
        pulse=pulse,
        spec=SimpleNamespace(pulse_gate=float),
    )
    ways = ((1, pulses.set_volts, pulses.set_gate), (-1, pulses.reset_volts, pulses.reset_gate))
    bands = ANSWER.bands(ANSWER.within)
    points = list(np.ndindex(2, 2, len(bands)))
    steps = np.full((2, 2, len(bands), CELLS), np.nan)
    for number in np.random.default_rng(5).permutation(len(points)):
        way, repeat, place = points[number]
        sign, volts, gate = ways[way]
        bring_into(bare, Block(0, 1, 0, CELLS), chip.healthy[None], bands[place], None)
        before = chip.read()
        inside = chip.healthy & ANSWER.within.inside(before)
        chip.pulse(sign * volts, gate, pulses.width, cells=np.flatnonzero(inside))
        chip.now += REST
        steps[way, repeat, place] = np.where(inside, sign * (chip.read() - before), np.nan)
    known = np.isfinite(steps).all(axis=(0, 1, 2))
    middle = np.median(steps[..., known].mean(axis=(1, 2)), axis=1)
    return dict(zip(("up", "down"), (middle / (ANSWER.within.high - ANSWER.within.low)).tolist(), strict=True))


@pytest.mark.slow
def test_the_answer_to_one_pulse_is_that_of_the_physics(make_chip: Callable[..., Any]) -> None:
    held: list[bool] = []
    errors: list[float] = []
    truth: dict[str, float] = {}
    for seed in SEEDS:
        with formed_bench(seed) as bench:
            make_formed(bench.array)
            truth = truth or true_steps(make_chip, ANSWER.pulses(bench.array.spec))
            m = pulse_answer(bench.array, ANSWER).metrics()
        for name, value in truth.items():
            key = f"answer_{name}_median"
            held.append(m[f"{key}_ci95_low"] <= value <= m[f"{key}_ci95_high"])
            errors.append(m[key] - value)
    assert sum(held) >= 7  # of 10
    assert abs(np.mean(errors)) < 0.02  # of the range


@pytest.mark.slow
def test_both_steps_run_at_a_probe_station() -> None:
    with open_bench("mock_tio2", seed=1) as bench:
        form(bench.array, FormingPlan(cells="0:1,0:2", one_by_one=True))
        loops = pulsed_iv(
            bench.array,
            PulsedIvPlan(cells="0:1,0:2", positive=2.4, negative=-2.4, smallest=0.3, points=15, cycles=1, average=2),
        )
        m = loops.metrics()
        assert m["no_set_pulse_fraction"] + m["no_reset_pulse_fraction"] == 0.0
        assert 1.0 < m["v_set_pulse_mean"] < 2.2
        assert -2.3 < m["v_reset_pulse_mean"] < -1.0
        in_pulse = pulsed_iv(
            bench.array,
            PulsedIvPlan(
                cells="0:1,0:1", positive=0.8, negative=-0.8, smallest=0.2, points=4, cycles=1, width="50 ms",
                measure="during", compliance="2 mA", legs=("+out",), prepare=False,
            ),
        )  # fmt: skip
        g, volts = in_pulse.loops.conductance[0, 0, 0], in_pulse.loops.volts[0]
        assert in_pulse.current[0, 0, 0] == pytest.approx(g * volts, rel=0.5)
        within: Any = {"low": 60e-6, "high": 600e-6, "set_volts": 1.3, "reset_volts": 1.4, "width": 200e-9}
        answer = pulse_answer(
            bench.array,
            PulseAnswerPlan(
                cells="0:1,0:2", set_volts=1.6, reset_volts=1.7, width=200e-9, average=4, starts=2, repeats=1,
                within=within,
            ),
        )  # fmt: skip
        assert "gate" not in answer.section().text
        assert answer.metrics()["answer_missed_fraction"] < 0.5
        assert 0.0 < answer.metrics()["answer_noise"] < 0.05
