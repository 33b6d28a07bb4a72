"""The loops that README and docs/training.md show run as they stand there, and learn."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from torch.utils.data import DataLoader, TensorDataset  # noqa: E402

from support.small_training import accuracy, small_network, three_classes  # noqa: E402
from xbarlab import ArrayOptimizer, convert, open_bench  # noqa: E402
from xbarlab.protocols.training.rules.update_rules import TwoPulse  # noqa: E402

ROOT = Path(__file__).parents[3]


def shown(page: str) -> str:
    """Return the first block of a page that makes an ``ArrayOptimizer``."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return next(block for block in blocks if "ArrayOptimizer(" in block)


def test_the_loop_of_the_readme_learns() -> None:
    x, y = three_classes()
    torch.manual_seed(0)
    names: dict[str, Any] = {"loader": list(DataLoader(TensorDataset(x, y), batch_size=15, shuffle=True)) * 10}
    names["check"] = lambda model: names.update(reached=accuracy(model, x, y))
    exec(shown("README.md") + "    check(converted.model)\n", names)
    assert names["reached"] > 0.9


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
        exec(shown("docs/training.md"), names)
        assert accuracy(model, x, y) > 0.9
