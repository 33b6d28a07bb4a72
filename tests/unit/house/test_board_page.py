"""The board protocol's page: its byte examples are what its words say, and its table of features is whole."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from xbarlab.mockhw.instruments.array_board.spec import FEATURES

PAGE = (Path(__file__).parents[3] / "docs" / "board-protocol.md").read_text(encoding="utf-8")


def packed(*planes: tuple[str, list[float]]) -> bytes:
    return b"".join(np.array(values, dtype=kind).tobytes() for kind, values in planes)


EXAMPLES = {
    "long": packed(("<i2", [13107, -11141]), ("<i2", [8192, 32767]), ("<u4", [1_000_000, 3]), ("<u4", [20, 20])),
    "tiles": packed(("<u2", [0, 8]), ("<u2", [2, 1]), ("<u2", [0, 4]), ("<u2", [3, 2]), ("<u4", [1, 2])),
    "tiles_x": packed(("<i2", [32767, -16384]), ("<i2", [32767]), ("<i2", [0])),
    "tiles_d": packed(("<i2", [0, 8192, -8192]), ("<i2", [16384, -32767]), ("<i2", [1, 2])),
    "products_table": packed(("u1", [0, 1]), ("u1", [255, 0]), ("<u4", [2, 1])),
    # Masks: rows 0, 2, 9 of 10 and column 1 of 3; rows 0, 1 and columns 0, 2.
    "products_masks": bytes([1 + 4, 2, 2, 1 + 2, 0, 1 + 4]),
    "products_codes": packed(("<i2", [1310, 0, -1310]), ("<i2", [0, 655, 0]), ("<i2", [1310, -1310])),
    "ramps": packed(("u1", [0, 0, 0, 0, 255, 2])),
    "levels": packed(("<f4", [-40e-6, -np.inf, -np.inf]), ("<f4", [40e-6, 20e-6, np.inf])),
    "decay": packed(("<f4", [50e-6, np.nan])),
}


def test_every_example_of_bytes_is_what_the_page_says_in_words() -> None:
    shown = dict(re.findall(r"```hex (\w+)\n([0-9a-f \n]+)```", PAGE))
    assert {name: bytes.fromhex(text) for name, text in shown.items()} == EXAMPLES


def test_lengths_of_examples_follow_the_layouts() -> None:
    assert len(EXAMPLES["long"]) == 12 * 2
    assert len(EXAMPLES["tiles"]) == 12 * 2
    assert len(EXAMPLES["tiles_x"]) == 2 * (1 * 2 + 2 * 1)
    assert len(EXAMPLES["tiles_d"]) == 2 * (1 * 3 + 2 * 2)
    assert len(EXAMPLES["products_table"]) == 6 * 2
    assert len(EXAMPLES["products_masks"]) == 2 * (2 + 1)
    assert len(EXAMPLES["products_codes"]) == 2 * (2 * 3 + 1 * 2)


@pytest.mark.parametrize("block", re.findall(r"#(\d)(\d+)", PAGE))
def test_block_headers_on_the_page_are_well_formed(block: tuple[str, str]) -> None:
    digits, rest = block
    assert len(rest) == int(digits), f"#{digits}{rest}"


def test_every_command_of_revision_2_is_in_the_table_of_features() -> None:
    table, details = PAGE.split("### 10.1", 1)[1].split("### 10.2", 1)
    headers = set(re.findall(r"`((?:[A-Z]{3,}[a-z]*)(?::[A-Z]{3,}[a-z]*)+\??)", details.split("### 10.11")[0]))
    first = set(re.findall(r"`([*A-Z]+[A-Za-z]*(?::[A-Za-z]+)*)", PAGE.split("## 10.", 1)[0]))
    new = {header.rstrip("?") for header in headers} - first
    listed = table.replace("`", " ").replace("…", "")
    assert {"PULSe:MAP:LONG", "VMM:PRODucts", "UPDate:DECay", "ADC:BITS", "ADC:RAMP:LEVels"} <= new
    assert not [
        header
        for header in new
        if not any(header.startswith(word.rstrip("?,")) for word in listed.split() if ":" in word)
    ]


def test_the_page_says_which_features_the_mock_board_has() -> None:
    table = PAGE.split("### 10.1", 1)[1].split("### 10.2", 1)[0]
    named = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert len(named) == 7
    (said,) = re.findall(r"simulated board of the mock bench has (.*?); with `protocol: 1`", table)
    assert set(re.findall(r"`(\w+)`", said)) == set(FEATURES)
    assert set(FEATURES) <= set(named)
