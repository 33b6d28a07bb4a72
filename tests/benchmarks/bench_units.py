"""What it costs to keep a unit of work: rows committed, state replaced, journal line synced."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.protocols.keeping.array_state import Fields
from xbarlab.protocols.keeping.dataset import Axis, Variable
from xbarlab.protocols.keeping.run import Run


@pytest.mark.parametrize(("rows", "cols", "arrays"), [(8, 8, 8), (128, 64, 20)])
def test_one_unit(benchmark: Any, tmp_path: Path, rows: int, cols: int, arrays: int) -> None:
    axes = [
        Axis("cycle", "Cycle"),
        Axis("row", "Row", values=np.arange(rows)),
        Axis("col", "Col", values=np.arange(cols)),
    ]
    at = Fields(**{f"a{number}": np.random.default_rng(number).random((rows, cols)) for number in range(arrays)})
    numbers = count()
    with Run(tmp_path / "run", quiet=True).work(
        "map", axes, [Variable("g", "Conductance", "S")], label="units", total=1
    ) as work:
        work.hold("at", at)

        def unit() -> None:
            number = next(numbers)
            work.begin(f"unit {number}")
            work.add({"cycle": number}, g=at.a0)
            work.done(g=at.a0)

        benchmark(unit)
