"""An LSTM whose gates come activated out of the converters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from support.exact_cells import SIEMENS, ExactChip, exact_chip  # noqa: E402
from xbarlab.analysis.networks.ramp_adc import activation, ramp_design  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.instruments.block import Block  # noqa: E402
from xbarlab.instruments.capabilities import CellRamp  # noqa: E402
from xbarlab.mockhw.bench.bench import bench_for  # noqa: E402
from xbarlab.protocols.converters.train_nonlinear_adc import NonlinearAdcPlan  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.converted import Exact, IdealCodes, RampCodes  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402
from xbarlab.protocols.training.networks.nonlinear_adc import (  # noqa: E402
    converted_classifier,
    converted_layer,
    gate_or_candidate,
    twin_of_converted,
)

FEATURES, HIDDEN, CLASSES, AMPS = 3, 4, 5, 20e-6
HIGH = 150e-6


@pytest.fixture(scope="module")
def chip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExactChip]:
    with exact_chip(tmp_path_factory.mktemp("bench"), bits=16) as opened:
        yield opened


def designs(bits: int = 5) -> list[Any]:
    return [ramp_design(activation(name), bits) for name in ("sigmoid", "tanh")]


def ramps(chip: ExactChip) -> list[CellRamp]:
    """Make two columns hold the ideal ramps of the designs."""
    made: list[CellRamp] = []
    simulated: Any = bench_for(chip.bench_file).chip
    cells = simulated.model._g.reshape(simulated.rows, simulated.cols)
    for n, one in enumerate(designs()):
        where = Block(0, one.steps, 60 + n, 1)
        cells[where.slices] = one.conductances(8e-6, HIGH)[:, None]
        made.append(CellRamp(where, AMPS * float(one.thresholds[0]), one.slope(HIGH, AMPS)))
    simulated._moved()
    return made


def network(chip: ExactChip, seed: int = 0) -> tuple[Any, Any, ArrayWeights]:
    """Return the classifier on the array, and its float twin with the same weights."""
    spec = chip.array.spec
    requests = [
        LayerRequest("lstm", FEATURES + HIDDEN, 4 * HIDDEN, "stacked"),
        LayerRequest("dense", HIDDEN, CLASSES, "stacked"),
    ]
    weights = ArrayWeights(chip.array, plan_floor(spec.rows, spec.cols, requests), siemens=SIEMENS)
    net = converted_classifier(weights, FEATURES)
    twin: Any = twin_of_converted(FEATURES, HIDDEN, CLASSES, gate="sigmoid", candidate="tanh", seed=seed)
    lstm = twin.lstm.recurrence.product.weight.detach().numpy().T
    chip.set(weights, {"lstm": lstm, "dense": twin.dense.weight.detach().numpy().T})
    return net, twin, weights


def inputs(steps: int = 6, batch: int = 8) -> tuple[Any, Any]:
    torch.manual_seed(3)
    return 2.0 * torch.rand(batch, steps, FEATURES) - 1.0, torch.full((batch,), steps)


def test_the_functions_themselves_give_the_float_twin_and_its_gradient(chip: ExactChip) -> None:
    net, twin, _ = network(chip)
    converted_layer(net).converter = Exact(designs(), gate_or_candidate(HIDDEN))
    x, length = inputs()
    out, wanted = net(x, length), twin(x, length)
    assert out.detach().numpy() == pytest.approx(wanted.detach().numpy(), abs=5e-3)
    out.square().sum().backward()
    wanted.square().sum().backward()
    given: Any = converted_layer(net).weight.grad
    found = given.numpy()
    assert found == pytest.approx(
        twin.lstm.recurrence.product.weight.grad.numpy().T, abs=0.02 * float(np.abs(found).max())
    )


def test_ramps_of_exact_cells_give_what_ideal_converters_give(chip: ExactChip) -> None:
    net, _, weights = network(chip)
    made = ramps(chip)
    layer, which = converted_layer(net), gate_or_candidate(HIDDEN)
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (200, FEATURES + HIDDEN)).astype(np.float32))
    by_ramp = RampCodes(chip.array, designs(), which, made)
    layer.converter = by_ramp
    found = layer(x).detach().numpy()
    layer.converter = IdealCodes(designs(), which)
    wanted = layer(x).detach().numpy()
    lsb = np.where(which == 0, designs()[0].lsb, designs()[1].lsb)
    off = np.abs(found - wanted) / lsb
    assert off.max() <= 1.0 + 1e-4
    assert (off < 0.1).mean() > 0.9  # the comparators' noise moves codes near a threshold
    assert by_ramp.conversions == 200 * 4 * HIDDEN
    assert weights.products["lstm"] > 0


def test_errors_go_back_by_the_slope_of_each_code(chip: ExactChip) -> None:
    net, _, _ = network(chip)
    layer, which = converted_layer(net), gate_or_candidate(HIDDEN)
    layer.converter = IdealCodes(designs(), which)
    x = torch.from_numpy(np.random.default_rng(0).uniform(-1, 1, (7, FEATURES + HIDDEN)).astype(np.float32))
    out = layer(x)
    layer.weight.grad = None
    out.sum().backward()
    y = out.detach().numpy()
    slope = np.where(which == 0, y * (1 - y), 1 - y**2)
    found: Any = layer.weight.grad
    assert found.numpy() == pytest.approx(x.numpy().T @ slope, rel=0.02, abs=1e-3)


def test_a_layer_whose_outputs_are_sums_of_columns_is_refused(chip: ExactChip) -> None:
    spec = chip.array.spec
    request = LayerRequest("lstm", FEATURES + HIDDEN, 4 * HIDDEN, "columns")
    weights = ArrayWeights(chip.array, plan_floor(spec.rows, spec.cols, [request]), siemens=SIEMENS)
    with pytest.raises(RefusedError, match="a converter sees one current"):
        weights.as_driven("lstm", np.zeros((1, FEATURES + HIDDEN), np.float32))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"bits": (3, 4), "train_bits": 5}, "train_bits 5 is not one of bits"),
        ({"bits": (2,), "train_bits": 2}, "choose from 3, 4, 5"),
        ({"hidden": 16}, "find no room: fewer hidden units"),
        ({"average": 0}, "average"),
    ],
)
def test_what_a_plan_refuses(chip: ExactChip, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence):
        NonlinearAdcPlan(**change).check(chip.array.spec)


def test_ramps_stand_beside_the_network_on_healthy_cells(chip: ExactChip) -> None:
    plan, spec = NonlinearAdcPlan(candidates=3), chip.array.spec
    healthy = np.random.default_rng(0).random((spec.rows, spec.cols)) > 0.01
    floor = plan.floor(spec)
    placed = plan.ramps(spec, floor, healthy)
    taken = np.concatenate([tile.cols for tile in floor.tiles])
    used = np.zeros(healthy.shape, np.int64)
    for pair in placed.values():
        for one in (one for several in pair for one in several):
            assert one.ramp.cells.col0 not in taken
            assert healthy[one.ramp.cells.slices].all()
            used[one.ramp.cells.slices] += 1
    assert used.max() == 1
    rows = [[one.ramp.cells.nrows for one in several] for pair in placed.values() for several in pair]
    assert rows == [[n] * 3 for n in (6, 6, 14, 14, 30, 30)]
