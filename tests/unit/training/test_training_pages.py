"""The loops that README and docs/training.md show run as they stand there, and learn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from support.small_training import accuracy, small_network, three_classes  # noqa: E402
from support.training_bench import write_bench  # noqa: E402
from xbarlab import ArrayOptimizer, convert, open_bench  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402

ROOT = Path(__file__).parents[3]


def shown(page: str) -> list[str]:
    """Return the blocks of Python of a page that train or write weights."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if "ArrayOptimizer" in block]


BLOCKS = shown("docs/training.md")


def test_the_loop_of_the_readme_learns() -> None:
    x, y = three_classes()
    torch.manual_seed(0)
    names: dict[str, Any] = {"loader": list(DataLoader(TensorDataset(x, y), batch_size=15, shuffle=True)) * 10}
    names["check"] = lambda model: names.update(reached=accuracy(model, x, y))
    (block,) = shown("README.md")
    exec(block + "    check(converted.model)\n", names)
    assert names["reached"] > 0.9


def test_the_page_shows_what_is_run_here() -> None:
    whole = (ROOT / "docs/training.md").read_text(encoding="utf-8")
    assert len(BLOCKS) == whole.count("```python") == 2


def test_the_loop_of_the_page_learns() -> None:
    x, y = three_classes()
    with open_bench("mock_gate_voltage", seed=1) as bench:
        model = small_network()
        names = {
            "torch": torch, "model": model, "bench": bench,
            "convert": convert, "ArrayOptimizer": ArrayOptimizer, "TwoPulse": TwoPulse,
            "loss": torch.nn.functional.cross_entropy,
            "loader": list(DataLoader(TensorDataset(x, y), batch_size=15)) * 10,
        }  # fmt: skip
        exec(BLOCKS[0], names)
        assert accuracy(model, x, y) > 0.9


@pytest.mark.slow
def test_the_pretrained_model_of_the_page_is_on_the_array_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = write_bench(tmp_path, "gate_voltage_1t1r", size=(48, 32), changes={"offset": -49e-6})
    written.rename(tmp_path / "my_bench.station.yaml")
    monkeypatch.chdir(tmp_path)
    x, y = three_classes()
    model = small_network()
    names: dict[str, Any] = {
        "model": model, "loss": torch.nn.functional.cross_entropy,
        "optimizer": torch.optim.Adam(model.parameters(), lr=0.03),
        "loader": list(DataLoader(TensorDataset(x, y), batch_size=15)) * 10,
        "check": lambda **found: names.update(found),
    }  # fmt: skip
    more = """
    check(on_host=done.model(x))
    tuned.zero_grad()
    loss(done.model(x), y).backward()
    tuned.step()
"""
    exec(BLOCKS[1] + more, names)
    assert float((names["scores"].argmax(1) == y[-len(names["scores"]) :]).float().mean()) > 0.9
