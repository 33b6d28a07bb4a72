"""A protocol sees a ``CrossbarArray`` and what its spec says; which bench is behind it is none of its business."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from xbarlab import protocols

FILES = sorted(Path(protocols.__file__).parent.rglob("*.py"))
# Kinds of cell and of bench, instruments, and the members of a spec or bench that would give them away.
WORDS = (
    r"ProbedArray|CrossbarBoard|probed_array|crossbar_board|passive|1T1R|1R\b|Keithley|Keysight|2450|33622|B2201"
    r"|spec\.cell\b|\.cell\s*[!=]=|spec\.name\b|\.simulated\b|\bmock|isinstance\((?:self\._)?array\b|type\((?:self\._)?array\)"
)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_no_protocol_asks_which_bench_it_is(file: Path) -> None:
    lines = file.read_text(encoding="utf-8").splitlines()
    found = [f"{file.name}:{n}: {line.strip()}" for n, line in enumerate(lines, 1) if re.search(WORDS, line)]
    assert found == []


def test_the_search_finds_what_it_looks_for() -> None:
    for line in ('if spec.cell == "passive":', "if array.spec.simulated:", "isinstance(array, CrossbarBoard)"):
        assert re.search(WORDS, line)
    assert len(FILES) > 20
