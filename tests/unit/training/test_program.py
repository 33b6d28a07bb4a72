"""Pretrained weights onto a chip: products see what was wanted, a cut one goes on, drift is taken back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from support.training_bench import write_bench

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402

from support.small_training import accuracy, cross_entropy, three_classes  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.instruments.abilities import Multiplies  # noqa: E402
from xbarlab.instruments.block import Block  # noqa: E402
from xbarlab.instruments.capabilities import PulseMap  # noqa: E402
from xbarlab.protocols.keeping.run import Run  # noqa: E402
from xbarlab.protocols.pretrained.chip_noise import ChipNoise, measure_noise  # noqa: E402
from xbarlab.protocols.pretrained.drift import DriftReference  # noqa: E402
from xbarlab.protocols.pretrained.host_training import bound_weights  # noqa: E402
from xbarlab.protocols.pretrained.pair_targets import mended, targets_of, weights_of  # noqa: E402
from xbarlab.protocols.pretrained.program import program  # noqa: E402
from xbarlab.protocols.pretrained.program_plan import ProgramPlan  # noqa: E402
from xbarlab.protocols.pretrained.seen_by_products import SeenByProducts  # noqa: E402
from xbarlab.protocols.programming.targets import Levels  # noqa: E402
from xbarlab.protocols.training import models_on_chip  # noqa: E402
from xbarlab.protocols.training.convert import convert  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, in_copies, plan_floor  # noqa: E402
from xbarlab.protocols.training.optimizer import ArrayOptimizer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

OHMS = 8.0


def one_layer(seed: int = 0) -> nn.Sequential:
    """Return 4 → 3 with random weights."""
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(4, 3))


PLAN = ProgramPlan(
    levels=Levels(count=2, low=5e-6, high=90e-6),
    tolerance=1.5e-6,
    least=1e-6,
    settle=1.0,
    corrections=2,
    iterations_max=40,
    look_average=2,
    reverify_rounds=0,
)


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    """Cells without noise, of a kind that can be written finely, on bad lines."""
    changes = {"offset": -49e-6}  # a SET at 0.5 V leaves nothing: cells can be anywhere from 0
    station = write_bench(tmp_path, "gate_voltage_1t1r", size=(40, 16), segment_ohms=OHMS, changes=changes)
    with open_bench(station, seed=1) as bench:
        yield bench.array


def test_a_read_by_products_is_what_products_are_made_of(array: Any) -> None:
    whole, rng = array.spec.whole, np.random.default_rng(0)
    array.pulse(PulseMap(whole, volts=2.5, width=500e-9, gate=rng.uniform(0.9, 1.9, whole.shape)))
    seen = SeenByProducts(array).read(whole, average=4)
    volts = rng.uniform(-0.2, 0.2, (50, array.spec.rows)).astype(np.float32)
    current = array.vmm(volts, full_scale=1e-3)
    assert current == pytest.approx(volts @ seen.conductance, abs=1e-6)
    part = SeenByProducts(array).read(Block(3, 2, 5, 4), average=2)
    assert part.conductance == pytest.approx(seen.conductance[3:5, 5:9], abs=2e-7)
    alone = array.read(whole, average=4).conductance
    assert np.median(seen.conductance / alone) < 0.95  # lines take their share, and a read cell by cell does not see it


def test_products_see_the_weights_that_were_wanted(array: Any) -> None:
    model = one_layer()
    state = {name: value.clone() for name, value in model.state_dict().items()}
    x, _ = three_classes()
    wanted = model(x).detach()
    done = program(model, array, PLAN, copies=1)
    off = (done.model(x).detach() - wanted).norm() / wanted.norm()
    other = one_layer()
    other.load_state_dict(state)
    blind = convert(other, array)
    assert float(off) < 0.1
    assert float((blind.model(x).detach() - wanted).norm() / wanted.norm()) > float(off)
    frame = done.programming.frame
    assert (frame.error_last <= frame.error_first + 1e-3).all()
    assert done.programming.weight_error < 0.08
    assert done.programming.rounds["failed"][-1] == 0
    assert "programmed by read–verify" in str(done)


def test_what_is_programmed_is_tuned_by_the_same_rule(array: Any) -> None:
    done = program(one_layer(5), array, PLAN, copies=1)
    x, y = three_classes()
    before = accuracy(done.model, x, y)
    optimiser = ArrayOptimizer(torch.optim.Adam(done.model.parameters(), lr=0.15), done)
    for _ in range(5):
        optimiser.zero_grad()
        cross_entropy(done.model, x, y).backward()
        optimiser.step()
    assert before < 0.8
    assert accuracy(done.model, x, y) > 0.9


def test_a_cut_programming_goes_on_and_writes_no_round_twice(array: Any, tmp_path: Path) -> None:
    class CutError(Exception):
        pass

    asked, given = array.clock.wait, []

    def wait(seconds: float) -> None:
        given.append(seconds)
        if len(given) == 2:
            raise CutError
        asked(seconds)

    array.clock.wait = wait
    with Run(tmp_path / "run", quiet=True) as run, pytest.raises(CutError), run.step("put", array) as keep:
        program(one_layer(), array, PLAN, keep, copies=1)
    array.clock.wait = asked
    before = array.cost.pulses
    with Run(tmp_path / "run", quiet=True, resumed=True) as run, run.step("put", array) as keep:
        done = program(one_layer(), array, PLAN, keep, copies=1)
    rounds = done.programming.rounds
    assert len(rounds["cells"]) == PLAN.corrections + 2
    assert rounds["pulses"][0] > 30
    assert array.cost.pulses - before <= rounds["pulses"][1:].sum()
    assert done.programming.weight_error < 0.08


def floor_of(copies: int = 1) -> Any:
    plan = plan_floor(32, 8, [LayerRequest("a", 3, 2, copies_down=copies)])
    scale = {"a": np.asarray(50e-6)}
    return cast("ArrayWeights", SimpleNamespace(plan=plan, scale=scale, conductance=np.zeros((32, 8))))


def test_a_weight_that_is_off_is_mended_by_one_cell() -> None:
    weights = floor_of(copies=2)
    wanted = {"a": np.array([[1.0, -0.5], [0.2, 0.0], [-1.0, 0.7]])}
    home = targets_of(weights, wanted, 5e-6, 80e-6)
    assert weights_of(weights, "a", home) == pytest.approx(wanted["a"])
    seen = home.copy()
    tile = weights.plan.of("a")[0]
    seen[tile.plus_rows[0], tile.plus_cols[0]] -= 9e-6  # the mean of two copies is 4.5 µS off
    seen[tile.plus_rows[1], tile.plus_cols[1]] += 2e-6
    leave = np.zeros(seen.shape, np.bool_)
    target = mended(weights, wanted, seen, leave, low=5e-6, high=80e-6, least=3e-6)
    assert np.argwhere(np.isfinite(target)).tolist() == [[int(tile.plus_rows[0]), int(tile.plus_cols[0])]]
    after = np.where(np.isfinite(target), target, seen)
    assert weights_of(weights, "a", after)[0, 0] == pytest.approx(1.0)
    leave[tile.plus_rows[0], tile.plus_cols[0]] = True  # a cell that does not answer: another one gives what it lacks
    other = mended(weights, wanted, seen, leave, low=5e-6, high=80e-6, least=3e-6)
    assert np.isfinite(other).sum() == 1
    assert weights_of(weights, "a", np.where(np.isfinite(other), other, seen))[0, 0] == pytest.approx(1.0)


def test_copies_stand_below_each_other_as_far_as_they_fit() -> None:
    one = in_copies(LayerRequest("a", 9, 4), 4, 40)
    assert (one.copies_down, one.copies_across) == (2, 2)
    assert in_copies(LayerRequest("a", 9, 4, copies_down=3), 4, 40).copies_down == 3


def test_convert_makes_as_many_copies_as_find_room(array: Any) -> None:
    done = convert(nn.Linear(4, 3), array, copies="fit", program=None)
    (request,) = done.report.floor.requests
    assert request.copies_down * request.copies_across == 8
    # 22 of 40 rows are one piece, and four stand side by side: in pieces of fewer rows there is room for seven copies.
    (request,) = convert(nn.Linear(10, 4), array, copies="fit", program=None).report.floor.requests
    assert request.copies_down * request.copies_across == 7
    assert request.rows_max is not None
    with pytest.raises(RefusedError, match="does not find them free"):
        convert(nn.Linear(20, 10), array, copies=5)


def test_noise_is_there_within_and_gone_after() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(200, 30), nn.LayerNorm(30), nn.LSTM(30, 8))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    noise = ChipNoise(rest=6e-6, share=0.05, span=200e-6)
    with noise.on(model):
        within = {name: value.clone() for name, value in model.state_dict().items()}
        model[0](torch.rand(3, 200)).sum().backward()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(within["1.weight"], before["1.weight"])  # what stays on the host has none
    assert not torch.equal(within["2.weight_hh_l0"], before["2.weight_hh_l0"])
    off, weight = within["0.weight"] - before["0.weight"], before["0.weight"]
    largest = torch.maximum(weight.abs().amax(1), before["0.bias"].abs())
    expected = torch.sqrt((6e-6 * largest[:, None] / 200e-6) ** 2 + (0.05 * weight) ** 2)
    assert float((off / expected).std()) == pytest.approx(1.0, abs=0.05)
    assert noise.over_copies(4).rest == pytest.approx(3e-6)


def test_the_noise_of_a_chip_is_measured_by_writing_a_little(array: Any) -> None:
    found = measure_noise(array, PLAN, inputs=6, outputs=4, age=10.0)
    assert 0.0 <= found.rest < 4e-6
    assert found.weights > 15
    assert found.pulses > 30


def test_drift_is_taken_back_by_one_factor_of_a_layer(array: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done = program(one_layer(), array, PLAN, copies=1)
    reference = DriftReference(done.weights)
    reference.take()
    assert all(factor == pytest.approx(1.0, abs=0.01) for factor in reference.factors().values())
    x, _ = three_classes()
    first = done.model(x).detach()
    product = array.ability(Multiplies).vmm

    def less(volts: Any, full_scale: float | None = None) -> Any:
        return 0.8 * product(volts, full_scale=full_scale)

    monkeypatch.setattr(done.weights, "_vmm", less)
    drifted = done.model(x).detach()
    factors = reference.compensate()
    assert all(factor == pytest.approx(1.25, abs=0.01) for factor in factors.values())
    assert float((done.model(x).detach() - first).norm()) < 0.1 * float((drifted - first).norm())
    reference.undo()
    assert torch.allclose(done.model(x).detach(), drifted, atol=0.02)


def test_a_few_large_weights_are_cut_so_that_the_others_use_the_range() -> None:
    torch.manual_seed(0)
    large, norm = nn.Linear(400, 3), nn.LayerNorm(3)
    with torch.no_grad():
        large.weight[1, 7] = 50.0
    column = torch.cat([large.weight[1], large.bias[1:2]]).detach()
    before = large.weight[0].clone()
    bound_weights(nn.Sequential(large, norm), 2.0)
    assert float(large.weight[1, 7].detach()) == pytest.approx(2.0 * float(column.square().mean().sqrt()), rel=1e-4)
    assert torch.equal(large.weight[0], before)  # evenly spread ones stay: √3 root mean squares at most
    assert torch.equal(norm.weight, torch.ones(3))


def test_a_report_says_which_model_is_written_over(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    station = write_bench(tmp_path, "gate_voltage_1t1r", chip_id="kept")
    with open_bench(station, seed=1) as bench, pytest.MonkeyPatch.context() as patched:
        patched.setattr(models_on_chip, "_SESSION", "yesterday's")
        assert "written over" not in str(convert(nn.Sequential(nn.Linear(2, 2)), bench.array))
        patched.undo()
        assert "written over" not in str(convert(nn.Linear(2, 2), bench.array, layers={"linear": {"row": 8}}))
        again = convert(nn.Sequential(nn.Linear(2, 2)), bench.array)
    assert "written over a model that stood there: layers 0, written 20" in str(again)
    assert "12 of whose 12 cells are used again" in str(again)
    assert "written over a model that stood there" in caplog.text
