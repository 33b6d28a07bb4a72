"""The LSTM equalizer: it feeds back its own decisions, and its step measures what the plan says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

torch = pytest.importorskip("torch")

from support.training_bench import write_bench  # noqa: E402
from xbarlab.common.errors import RefusedError  # noqa: E402
from xbarlab.instruments.block import Block  # noqa: E402
from xbarlab.protocols.keeping.run import Run  # noqa: E402
from xbarlab.protocols.keeping.untouched import UntouchedArray  # noqa: E402
from xbarlab.protocols.training.layers.weight_mapping import plan_floor  # noqa: E402
from xbarlab.protocols.training.networks.equalizer import twin_equalizer  # noqa: E402
from xbarlab.protocols.training.steps.equalizer_plan import EqualizerPlan  # noqa: E402
from xbarlab.protocols.training.steps.train_equalizer import train_equalizer  # noqa: E402
from xbarlab.runbooks.stations import open_bench  # noqa: E402

SMALL = {
    "hidden": 3, "window": 4, "ahead": 2, "train_examples": 128, "sequence": 8, "epochs": 2, "checkpoint_every": 2,
    "streams": 20, "stream_symbols": 50, "passes_max": 2, "sweep": [8.0], "copies": 1, "final_rounds": 1,
    "healthy_lines": False, "read_back": "cells", "read_average": 1, "gate_low": 0.7, "gate_start": 1.15,
    "gate_high": 1.6,
}  # fmt: skip


def test_what_is_decided_is_what_is_fed_back() -> None:
    levels = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0])
    model: Any = twin_equalizer(4, 2, 6, levels, seed=1)
    with torch.no_grad():
        model.dense.weight *= 6.0
        windows, known = torch.randn(5, 12, 4), torch.randint(4, (5, 2))
        outputs, decided = model.operate(windows, known)
        again = model(windows, torch.cat([known, decided], 1))
        torch.testing.assert_close(outputs, again, atol=1e-5, rtol=1e-5)
        assert len(decided.unique()) > 1
        distance = (outputs[..., None] - levels).abs()
        torch.testing.assert_close(decided, distance.argmin(-1))
        other = known.clone()
        other[:, -1] = (other[:, -1] + 2) % 4
        assert (model.operate(windows, other)[0] - outputs).abs().max() > 1e-3, "feedback matters"
        last = torch.cat([known, decided], 1)
        last[:, -1] = 0
        torch.testing.assert_close(model(windows, last), again)  # the last decision comes too late for any output


def test_the_loss_is_least_at_the_symbols_sent() -> None:
    levels = torch.tensor([-1.0, -1 / 3, 1 / 3, 1.0])
    model = twin_equalizer(1, 0, 1, levels, seed=1)
    wanted = torch.arange(4).repeat(3, 1)
    found = []
    for shift in range(4):
        model.forward = lambda windows, fed, shift=shift: levels[(wanted + shift) % 4]  # pyright: ignore
        found.append(float(model.loss(torch.zeros(3, 4, 1), wanted, wanted)))
    assert found[0] < 0.1 * min(found[1:])


@pytest.fixture
def array(tmp_path: Path) -> Iterator[Any]:
    with open_bench(write_bench(tmp_path, "gate_voltage_1t1r", size=(48, 24))) as bench:
        yield bench.array


@pytest.mark.parametrize("modulation", ["nrz", pytest.param("pam4", marks=pytest.mark.slow)])
def test_the_step_measures_what_its_plan_says_and_a_finished_one_is_not_measured_again(
    array: Any, tmp_path: Path, modulation: str
) -> None:
    plan = EqualizerPlan(modulation=cast("Any", modulation), **cast("Any", SMALL))
    folder = tmp_path / "run"
    with Run(folder, quiet=True).step("train", array) as run:
        first = train_equalizer(array, plan, run)
    found = first.metrics()
    assert set(found) == plan.measures()
    assert found["bits_tested"] == 20 * 50 * (1 if modulation == "nrz" else 2)
    assert found["reads_per_step"] >= 64 * 8 * 2
    assert 0.0 <= found["mlse_bit_error_rate"] < found["ffe_bit_error_rate"] < 0.5
    assert len(first.frame) == 5 * 2
    section = first.section()
    assert len(section.figures) == 7
    with Run(folder, quiet=True, resumed=True).step("train", array) as run:
        again = train_equalizer(cast("Any", UntouchedArray(array)), plan, run)
    assert again.metrics() == pytest.approx(found, nan_ok=True)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"snr": 80}, "'snr' = 80 is refused: .*50.*dB"),
        ({"sweep": [10, -30]}, "sweep.*-30 is refused: .*-10"),
        ({"sweep": 12}, r"'sweep' = 12 is refused: give a list, as \[12\]"),
        ({"streams": 10**8}, "'streams' = 100000000 is refused: .*10000"),
        ({"window": 0}, "'window' = 0 is refused: .*1"),
        ({"modulation": "pam8"}, "unknown value of 'modulation' 'pam8'.*nrz.*pam4"),
        ({"symbol_rate": 9}, "'symbol_rate' = 9 is refused"),
    ],
)
def test_bad_input_is_one_sentence(wrong: dict[str, Any], says: str) -> None:
    with pytest.raises(RefusedError, match=says) as caught:
        EqualizerPlan(**wrong)
    assert "\n" not in str(caught.value)


def test_a_window_that_ends_before_its_symbol_is_refused_before_anything_is_sent(array: Any) -> None:
    with pytest.raises(RefusedError, match="give ahead 0 to 3"):
        train_equalizer(array, EqualizerPlan(**cast("Any", {**SMALL, "ahead": 9})), None)
    assert array.cost.transactions == 0


def test_copies_across_stand_on_the_other_board() -> None:
    boards = Block(0, 128, 0, 64), Block(128, 128, 64, 64)
    layers = EqualizerPlan(copies_across=2).layers()
    floor = plan_floor(256, 128, layers, parts=boards)
    for name in ("lstm", "dense"):
        tiles = floor.of(name)
        assert sorted(tile.copy for tile in tiles) == [0, 1, 2, 3]
        assert sorted(int(tile.rows[0]) // 128 for tile in tiles) == [0, 0, 1, 1]
        assert len(floor.passes(name)) == 1, "all copies are driven at once"
    with pytest.raises(RefusedError, match=r"goes beyond|does not find"):
        plan_floor(128, 64, layers)
