"""Scratch cells as a fast-weight memory on devices of small steps, and trainings that begin with given weights."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.protocols.training.layers.array_weights import ArrayWeights  # noqa: E402
from xbarlab.protocols.training.layers.fast_weights import FastWeights, ScratchFastWeights  # noqa: E402
from xbarlab.protocols.training.layers.scratch import ScratchMemory  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor  # noqa: E402
from xbarlab.protocols.training.rules.answers import measure_answer  # noqa: E402
from xbarlab.protocols.training.rules.outer_rules import OuterProduct  # noqa: E402
from xbarlab.protocols.training.steps.train_fast_weights import (  # noqa: E402
    FastWeightsPlan,
    train_fast_weights,
)
from xbarlab.runbooks.stations import open_bench  # noqa: E402


@pytest.fixture
def scratch() -> Iterator[ScratchMemory]:
    with open_bench("mock_soft_bounds", seed=4) as bench:
        floor = plan_floor(128, 64, [LayerRequest("other", 4, 4), LayerRequest("memory", 14, 14)])
        weights = ArrayWeights(bench.array, floor, siemens={"other": 100e-6, "memory": 20e-6})
        rule = OuterProduct(turns=127)
        rule.attach(weights)
        measure_answer(bench.array, rule, weights.used)
        yield ScratchMemory(weights, "memory", rule)


def test_a_scratch_memory_is_cleared_written_decayed_and_read(scratch: ScratchMemory) -> None:
    """What is added is there as well as random trains tell, others' cells stay, and a decay leaves what it should."""
    with pytest.raises(RefusedError, match="is not calibrated: calibrate"):
        scratch.decay(0.5)
    array, others = scratch.weights.array, scratch.weights.cells_of(["other"])
    before = array.read(scratch.weights.block, average=16).conductance[others]
    small = scratch.calibrate(20, seed=0) ** 20
    scratch.clear()
    assert np.abs(scratch.held()).max() < 0.2
    rng = np.random.default_rng(1)
    x = np.maximum(0.0, rng.standard_normal((48, 14))).astype(np.float32)
    scratch.add(x, x, 0.04)
    held, wanted = scratch.held(), 0.04 * x.T @ x
    slope = float((held * wanted).sum() / (wanted * wanted).sum())
    assert 0.6 < slope < 1.6, "0.85 to 1.39 on the chips of seeds 1 to 8, three draws each"
    assert np.corrcoef((x @ held).ravel(), scratch.read(x).ravel())[0, 1] > 0.99
    scratch.decay(small)
    left = float((scratch.held() * held).sum() / (held * held).sum())
    assert abs(left - small) < 0.2
    after = array.read(scratch.weights.block, average=16).conductance[others]
    assert np.abs(after - before).max() < 1e-6


def test_scratch_is_one_sequence_of_a_network_that_has_a_memory(scratch: ScratchMemory) -> None:
    with pytest.raises(RefusedError, match="of one sequence: give 1, not a batch of 3"):
        ScratchFastWeights(scratch).start(3, 14)
    with pytest.raises(RefusedError, match="an LSTM has no memory to put on scratch cells"):
        FastWeightsPlan(arm="lstm", scratch=5).check(scratch.weights.array.spec)
    extra, host = ScratchFastWeights(scratch, 1.0, 0.3), FastWeights(1.0, 0.3)
    own, same = extra.start(1, 14), host.start(1, 14)
    rng = np.random.default_rng(2)
    for _ in range(6):
        z = torch.from_numpy(rng.standard_normal((1, 14)).astype(np.float32))
        (gates, own), (wanted, same) = extra(z, (), own), host(z, (), same)
        assert torch.equal(own[0], same[0])
    cells, host_reads = (np.concatenate(one).ravel() for one in zip(*extra.reads, strict=True))
    assert np.allclose((wanted - z).numpy().ravel(), host_reads[-14:], atol=1e-5)
    assert np.allclose((gates - z).numpy().ravel(), cells[-14:], atol=1e-5)
    assert np.corrcoef(cells, host_reads)[0, 1] > 0.8


@pytest.mark.parametrize("start", ["twin", "rule"])
def test_a_training_may_begin_with_the_twins_weights(start: Any) -> None:
    """They are on the cells as well as one blind write of this chip puts them there; of itself the rule has none."""
    with open_bench("mock_gate_voltage", seed=2) as bench:
        plan = FastWeightsPlan(
            pairs=1, sequences=60, tested=20, epochs=1, evaluations=1, twin=False, rate=1e-9, siemens=100e-6,
            slope=182e-6, gate_low=0.5, gate_start=1.0, gate_high=1.4, start_weights=start,
        )  # fmt: skip
        result = train_fast_weights(bench.array, plan)
        floor, product = result.record.floor, plan.twin_network(0).recurrent.recurrence.product
        whole = np.zeros((128, 64))
        whole[floor.block.slices] = result.record.conductance
        wanted = torch.cat([product.weight.T, product.bias[None]]).detach().numpy()
        found = np.zeros_like(wanted)
        for tile in floor.of("recurrent"):
            found[tile.inputs, tile.outputs] = (whole[tile.plus] - whole[tile.minus]) / plan.siemens
        alike = float(np.corrcoef(found.ravel(), wanted.ravel())[0, 1])
        assert alike > 0.6 if start == "twin" else abs(alike) < 0.2
