"""Character LSTM by pulse trains: the device, management of noise, bound and update, inputs of few bits, the step."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.exact_cells import SIEMENS, ExactChip, exact_chip  # noqa: E402
from support.training_bench import write_bench  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.instruments.abilities import Multiplies, UpdatesByOuterProduct  # noqa: E402
from xbarlab.instruments.block import Block  # noqa: E402
from xbarlab.instruments.capabilities import OuterProducts, PulseDrive  # noqa: E402
from xbarlab.protocols.keeping.run import Run  # noqa: E402
from xbarlab.protocols.keeping.untouched import UntouchedArray  # noqa: E402
from xbarlab.protocols.training.layers.array_layers import array_layers, refresh_layers  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402
from xbarlab.protocols.training.networks.character_lstm import array_characters, twin_characters  # noqa: E402
from xbarlab.protocols.training.rules.outer_rules import OuterProduct  # noqa: E402
from xbarlab.protocols.training.rules.small_steps import SmallSteps  # noqa: E402
from xbarlab.protocols.training.steps.train_rpu_lstm import RpuLstmPlan, train_rpu_lstm  # noqa: E402
from xbarlab.protocols.training.trainer import ArrayTrainer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

PAPER = 180e-6
"""Conductance difference of a weight of 1 in the publication's units."""
SMALL: dict[str, Any] = {
    "train_characters": 1000, "sequence": 16, "batch": 4, "epochs": 1, "hidden": 3, "characters": 9,
    "evaluations": 1, "checkpoint_every": 8, "measure_answer": False, "start_pulses": 20,
}  # fmt: skip


@pytest.fixture
def rpu() -> Iterator[Any]:
    with open_bench("mock_rpu", seed=3) as bench:
        yield bench.array


def one_layer(array: Any, inputs: int = 6, outputs: int = 5, **more: Any) -> ArrayWeights:
    plan = plan_floor(array.spec.rows, array.spec.cols, [LayerRequest("w", inputs, outputs)])
    return ArrayWeights(array, plan, siemens=PAPER, **more)


def test_a_coincidence_moves_a_pair_by_the_publication_s_step_up_to_its_bound(rpu: Any) -> None:
    weights, inputs, outputs = one_layer(rpu, 30, 40), 30, 40
    block, drive = Block(0, 60, 0, 40), PulseDrive(1.2, 1.2, 1.2, 5.0, 500e-9)
    rows = np.ones((1, 60))
    rows[:, 1::2] = -1.0

    def give(turns: int) -> np.ndarray:
        weights.read(64)
        before = weights.weights("w")
        rpu.ability(UpdatesByOuterProduct).outer_updates(
            [OuterProducts(block, rows, np.ones((1, outputs)))], pulses=turns, drive=drive
        )
        weights.read(64)
        return weights.weights("w") - before

    moved = give(100) / 100
    assert moved.mean() == pytest.approx(0.001, rel=0.03)
    # Two devices of 30 % each, and 100 steps of 30 % each of both.
    wanted = np.hypot(0.3, 0.3 / 10) / np.sqrt(2)
    assert moved.std() / moved.mean() == pytest.approx(wanted, rel=0.1)
    for _ in range(20):
        last = give(100)
    at_bound = weights.weights("w")
    assert (np.abs(last) < 0.01).mean() > 0.98, "all but a few slow cells are at a bound"
    assert at_bound.mean() == pytest.approx(0.6, rel=0.02)
    assert at_bound.std() == pytest.approx(0.6 * 0.3 / np.sqrt(2), rel=0.1)
    assert inputs * outputs == at_bound.size


@pytest.mark.parametrize(("common", "spread", "drifts"), [(0.1, 0.0, False), (0.0, 0.1, True)])
def test_a_pair_takes_back_the_asymmetry_that_both_cells_have(
    tmp_path: Path, common: float, spread: float, drifts: bool
) -> None:
    changes = {"dw_min": 0.001, "up_down": common, "up_down_d2d": spread}
    with open_bench(write_bench(tmp_path, "soft_bounds_1t1r", changes=changes, size=(64, 32)), seed=2) as bench:
        array: Any = bench.array
        plan = plan_floor(64, 32, [LayerRequest("w", 32, 32)])
        weights = ArrayWeights(array, plan, siemens=PAPER)
        rows = np.ones((2, 64))
        rows[:, 1::2] = -1.0
        d = np.array([[1.0], [-1.0]]) * np.ones(32)
        weights.read(64)
        before = weights.weights("w")
        update = array.ability(UpdatesByOuterProduct)
        update.outer_updates(
            [OuterProducts(Block(0, 64, 0, 32), rows, d)], pulses=100, drive=PulseDrive(1.2, 1.2, 1.2, 5.0, 500e-9)
        )
        weights.read(64)
        moved = weights.weights("w") - before
    # Up and down 100 times: b of one cell less b of the other, times Δw, for either way.
    wanted = 100 * 0.001 * 2 * spread / np.sqrt(2) if drifts else 0.0
    assert moved.std() == pytest.approx(wanted, rel=0.1, abs=5e-4)


def test_outputs_have_the_publication_s_noise_and_bound(rpu: Any) -> None:
    weights = one_layer(rpu)
    out = weights.multiply("w", np.zeros((4000, 6), np.float32))
    lsb = 2 * 12 / 2**9
    assert out.std() == pytest.approx(np.hypot(0.06, lsb / np.sqrt(12)), rel=0.03)
    (full_scale,) = rpu.spec.vmm_ranges
    assert full_scale / (PAPER * weights.input_volts) == pytest.approx(12.0)


def test_update_management_uses_both_trains_alike_and_keeps_the_mean(rpu: Any) -> None:
    weights = one_layer(rpu)
    rule = OuterProduct(rate=0.01, step=0.09e-6, turns=10)
    rng = np.random.default_rng(0)
    x, d = rng.uniform(-1, 1, (20, 6)), 0.02 * rng.uniform(-1, 1, (20, 5))
    (given,) = rule.products(weights, "w", x, d, rule.rate)
    assert np.abs(given.x).max(1) == pytest.approx(np.abs(given.d).max(1))
    mean = 10 * given.x[:, ::2, None] * given.d[:, None, :] * 0.001  # what the pair's weight moves by
    assert mean == pytest.approx(0.01 * x[:, :, None] * d[:, None, :])


def test_noise_management_sends_small_errors_back_as_well_as_large_ones(rpu: Any) -> None:
    weights = one_layer(rpu, 30, 40)
    chip_weights = OuterProduct(start_pulses=300, step=0.09e-6)
    chip_weights.start(weights, np.random.default_rng(1))
    weights.read(64)
    error = np.random.default_rng(2).uniform(-1, 1, (200, 40)).astype(np.float32)
    wanted = error @ weights.weights("w").T
    for size in (1.0, 1e-6):
        back = weights.multiply_back("w", np.float32(size) * error) / size
        assert (back - wanted).std() < 0.1
    assert (back - wanted).std() > 0.9 * 0.06


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    """A chip without noise whose converters hold 0.8 times what an input of 1 and a weight of 1 give."""
    with exact_chip(tmp_path_factory.mktemp("bench"), name="narrow", ranges=[0.8 * SIEMENS * 0.2], bits=16) as opened:
        yield opened


def test_bound_management_halves_inputs_until_the_outputs_are_held(narrow: ExactChip) -> None:
    plan = plan_floor(128, 64, [LayerRequest("w", 6, 5)])
    matrix = np.full((6, 5), 0.5)
    x = np.array([[0.2] * 6, [0.5] * 6, [1.0] * 6], np.float32)  # 0.6, 1.5, 3: held, halved once, twice
    for halvings, halved, saturated in ((0, 0, 2), (1, 2, 1), (3, 3, 0)):
        weights = ArrayWeights(narrow.array, plan, siemens=SIEMENS, halvings=halvings)
        narrow.set(weights, {"w": matrix})
        out = weights.multiply("w", x)
        held = weights.ranges()["w"]
        assert (held.halved, held.saturated, held.sent_again) == (halved, saturated, 0)
        right = out == pytest.approx(np.array([[0.6], [1.5], [3.0]]) * np.ones(5), abs=5e-3)
        assert right == (saturated == 0)


@pytest.mark.parametrize("rounding", ["nearest", "stochastic"])
def test_inputs_of_few_bits_are_rounded_to_what_the_drivers_have(tmp_path: Path, rounding: str) -> None:
    """Seven voltages of 3 bits; stochastic rounding is right in the mean."""
    exact = exact_chip(
        tmp_path, name="few", bits=16, ranges=[100e-6], input_bits=3, input_rounding=rounding, input_range=0.2
    )
    with exact as chip:
        plan = plan_floor(128, 64, [LayerRequest("w", 1, 1)])
        weights = ArrayWeights(chip.array, plan, siemens=SIEMENS)
        chip.set(weights, {"w": np.array([[1.0]])})
        assert chip.array.spec.limits.vmm_volts_max == pytest.approx(0.2)
        volts = np.zeros((3000, 128))
        wanted = np.repeat([0.0, 0.05, -0.11], 1000)
        volts[:, 0] = wanted
        out = chip.array.ability(Multiplies).vmm(volts, full_scale=100e-6)[:, 0] / 150e-6
        levels = np.arange(-3, 4) * 0.2 / 3
        assert np.abs(out[:, None] - levels).min(1).max() < 2e-4
        assert np.ptp(out[:1000]) == 0.0
        if rounding == "nearest":
            assert out == pytest.approx(levels[np.abs(wanted[:, None] - levels).argmin(1)], abs=2e-4)
        else:
            for at, mean in ((slice(1000, 2000), 0.05), (slice(2000, 3000), -0.11)):
                assert len(np.unique(np.round(out[at], 3))) == 2
                assert out[at].mean() == pytest.approx(mean, abs=4 * 0.0334 / np.sqrt(1000))


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("input_bits: 1", r"input_bits: .*2.*got 1"),
        ("input_bits: 20", r"input_bits: .*16.*got 20"),
        ("input_rounding: up", r"input_rounding: .*'nearest' or 'stochastic'"),
        ("input_range: 2 A", r"input_range: .*V"),
        ("input_bit: 4", r"unknown key .*input_bit', did you mean 'input_bits'"),
    ],
)
def test_settings_of_inputs_that_cannot_be_are_refused(tmp_path: Path, setting: str, sentence: str) -> None:
    station = write_bench(tmp_path, "soft_bounds_1t1r")
    bench = tmp_path / "ideal.bench.yaml"
    text = bench.read_text(encoding="utf-8")
    bench.write_text(text.replace("serial: MOCK-0009", f"serial: MOCK-0009\n  converters: {{{setting}}}"), "utf-8")
    with pytest.raises(RefusedError, match=sentence) as caught, open_bench(station):
        pass
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def exact(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    with exact_chip(tmp_path_factory.mktemp("bench"), name="exact", bits=16) as opened:
        yield opened


@pytest.mark.parametrize("depth", [1, 2])
def test_the_network_on_an_array_is_its_float_twin_forward_and_back(exact: ExactChip, depth: int) -> None:
    symbols, hidden = 9, 4
    requests = [LayerRequest(f"lstm{n + 1}", (hidden if n else symbols) + hidden + 1, 4 * hidden) for n in range(depth)]
    plan = plan_floor(128, 64, [*requests, LayerRequest("dense", hidden + 1, symbols)])
    weights = ArrayWeights(exact.array, plan, siemens=SIEMENS)
    twin = twin_characters(symbols, hidden, depth, seed=2)
    net = array_characters(weights, symbols, hidden, depth)
    matrices = {}
    for n in range(depth):
        lstm = cast("Any", twin.lstms[n]).lstm
        # torch has the bias as the last of the inputs, before the state.
        features = hidden if n else symbols
        given, state = lstm.weight_ih_l0.detach().T, lstm.weight_hh_l0.detach().T
        matrices[f"lstm{n + 1}"] = torch.cat([given[:features], state, given[features:]]).double().numpy()
    dense = cast("Any", twin.dense)
    matrices["dense"] = torch.cat([dense.weight.detach().T, dense.bias.detach()[None]]).double().numpy()
    exact.set(weights, matrices)
    refresh_layers(array_layers(net))
    rng = np.random.default_rng(0)
    codes, following = (torch.from_numpy(rng.integers(symbols, size=(5, 7))) for _ in range(2))
    for backward in (False, True):
        for layer in array_layers(net):
            layer.reverse, layer.weight.grad = backward, None
        twin.zero_grad()
        mine, other = net.loss(codes, following), twin.loss(codes, following)
        assert mine.item() == pytest.approx(other.item(), abs=2e-3)
        mine.backward()
        other.backward()
        found = cast("Any", net.lstms[0]).product.weight.grad
        wanted = cast("Any", twin.lstms[0]).lstm
        features = symbols
        given, state = wanted.weight_ih_l0.grad.T, wanted.weight_hh_l0.grad.T
        whole = torch.cat([given[:features], state, given[features:]])
        assert (found - whole).abs().max() < 0.03 * whole.abs().max()


def test_the_step_measures_what_its_plan_says_and_a_finished_one_is_not_measured_again(
    rpu: Any, tmp_path: Path
) -> None:
    plan = RpuLstmPlan(**SMALL)
    folder = tmp_path / "run"
    with Run(folder, quiet=True).step("train", rpu) as run:
        first = train_rpu_lstm(rpu, plan, run)
    found = first.metrics()
    assert set(found) == plan.measures()
    assert found["symbols"] == 9
    assert 0.0 < found["folded_fraction"] < 0.5
    assert found["unigram_floor"] > found["bigram_floor"] > 0.0
    assert found["bigram_loss"] > found["bigram_floor"]
    assert found["test_loss"] == pytest.approx(found["bigram_floor"] - found["below_bigram_floor"])
    assert found["test_loss"] < np.log(9) + 0.3
    windows, updates = (1000 - 1) // 16, found["steps"]
    assert found["reads_per_step"] == windows * 16 * 2 * 2 / updates, "two layers, there and back"
    assert len(first.frame) == 6
    section = first.section()
    assert "bigram floor" in section.text
    with Run(folder, quiet=True, resumed=True).step("train", rpu) as run:
        again = train_rpu_lstm(cast("Any", UntouchedArray(rpu)), plan, run)
    assert again.metrics() == pytest.approx(found, nan_ok=True)


def test_a_training_that_was_cut_goes_on_from_its_last_checkpoint(
    rpu: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = RpuLstmPlan(**{**SMALL, "twin": False, "checkpoint_every": 5, "measure_answer": True})
    step, folder, calls, sizes = ArrayTrainer.step, tmp_path / "run", list[int](), set[float]()

    def cut(self: ArrayTrainer, *given: Any, **more: Any) -> float:
        calls.append(self.steps)
        sizes.add(cast("Any", self.rule).siemens)
        if len(calls) == 8:
            raise KeyboardInterrupt
        return step(self, *given, **more)

    monkeypatch.setattr(ArrayTrainer, "step", cut)
    with pytest.raises(KeyboardInterrupt), Run(folder, quiet=True).step("train", rpu) as run:
        train_rpu_lstm(rpu, plan, run)
    with Run(folder, quiet=True, resumed=True).step("train", rpu) as run:
        record = train_rpu_lstm(rpu, plan, run).record
    assert calls == [*range(8), *range(5, 16)], "the steps since the last checkpoint are made again"
    assert len(sizes) == 1, "the size of a pulse's step is what was measured, before the cut and after it"
    assert sizes != {SmallSteps.usual_step}
    assert record.curve_step.tolist() == [5, 10, 15, 16]
    assert record.steps == len(record.losses) == plan.steps_max() == 16


@pytest.mark.slow
def test_it_learns_below_the_unigram_floor(rpu: Any) -> None:
    plan = RpuLstmPlan(**{**SMALL, "train_characters": 40_000, "hidden": 8, "characters": 30, "start_pulses": 150})
    found = train_rpu_lstm(rpu, plan).metrics()
    assert found["test_loss"] < found["unigram_floor"] - 0.1


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"characters": 60, "fold": False}, r"60 symbols, 3 units and a bias are 64 inputs of two rows each: fewer"),
        ({"hidden": 40}, r"9 symbols, 40 units and a bias are 50 inputs .* boards joined"),
        ({"text": "nothing.txt"}, r"'nothing\.txt' is neither shipped \(hamlet\) nor a file"),
        ({"train_characters": 10}, r"a text of 10 characters has no window of 16 and the next one: a longer text"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_sent(rpu: Any, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence) as caught:
        train_rpu_lstm(rpu, RpuLstmPlan(**{**SMALL, **change}))
    assert "\n" not in str(caught.value)
    assert rpu.cost.transactions == 0
