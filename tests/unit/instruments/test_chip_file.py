"""Chip files: what is wrong is said in one sentence, before anything is opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments.chip.chip_file import load_chip, parse_chip

GOOD: dict[str, Any] = {"id": "c1", "rows": 4, "cols": 3, "cell": "1T1R"}


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "c.chip.yaml"
    path.write_text(
        "id: W12-C3\nmaterial: Ta/HfO2\nrows: 4\ncols: 3\ncell: passive\nlines: {rows: [9, 8, 7, 6]}\npolarity: -1\n"
        "limits: {set_volts_max: 2.5, width_min: 200e-9}\nbad_cells: [[0, 1], [3, 2]]\nnotes: second row scratched\n"
    )
    chip = load_chip(path)
    assert (chip.id, chip.cell, chip.polarity, chip.bad_cells) == ("W12-C3", "passive", -1, ((0, 1), (3, 2)))
    assert chip.limits == {"set_volts_max": 2.5, "width_min": 2e-7}
    lines = chip.line_map(16, 16, board="the board")
    assert lines.rows.tolist() == [9, 8, 7, 6]
    assert lines.cols.tolist() == [0, 1, 2]


def test_bad_lines_are_bad_cells() -> None:
    chip = parse_chip({**GOOD, "bad_cells": [[0, 0]], "bad_rows": [3], "bad_cols": [2]}, source="x.chip.yaml")
    assert set(chip.all_bad_cells) == {(0, 0), (3, 0), (3, 1), (3, 2), (0, 2), (1, 2), (2, 2)}
    with pytest.raises(RefusedError, match=r"bad cell \(4, 0\) is outside"):
        parse_chip({**GOOD, "bad_rows": [4]}, source="x.chip.yaml")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"polarty": 1}, "unknown chip key 'polarty'.*did you mean 'polarity'"),
        ({"lines": {"row": [0]}}, r"unknown key 'row'.*cols, gates, rows"),
        ({"rows": 0}, "rows: .*greater than 0, not 0"),
        ({"rows": "many"}, "rows: .*not 'many'"),
        ({"cell": "2T2R"}, "cell: .*'1T1R'.*not '2T2R'"),
        ({"polarity": 2}, "polarity"),
        ({"limits": {"set_volts_max": 9.0}}, "set_volts_max = 9 is wider than the driver's 5"),
        ({"limits": {"volts": 1.0}}, "unknown limit 'volts'"),
        ({"limits": {"gate_max": float("nan")}}, r"x\.chip\.yaml: limits: limit gate_max is nan; .* at least 0$"),
        ({"limits": {"gate_max": "3"}}, "limit gate_max is '3'"),
        ({"limits": {"gate_max": True}}, "limit gate_max is True"),
        ({"limits": {"count_max": 2.5}}, r"limits: limit count_max is 2\.5; it must be a whole number$"),
        ({"limits": [3]}, "limits: .*dictionary"),
        ({"bad_cells": [[4, 0]]}, r"bad cell \(4, 0\) is outside"),
        ({"bad_cells": [[-1, 0]]}, r"bad cell \(-1, 0\) is outside"),
        ({"lines": {"rows": [0, 1]}}, "names 2 board lines for 4 rows"),
        ({"lines": {"cols": [1, 1, 2]}}, "3 different board lines"),
        ({"id": ""}, "id"),
    ],
)
def test_bad_chip_files_are_refused(change: dict[str, Any], words: str) -> None:
    with pytest.raises(RefusedError, match=rf"(?s)(?=x\.chip\.yaml).*{words}") as caught:
        parse_chip({**GOOD, **change}, source="x.chip.yaml")
    assert "\n" not in str(caught.value)
    assert str(caught.value).count("limits: ") <= 1


def test_what_is_missing_is_named() -> None:
    with pytest.raises(RefusedError, match=r"cols: Field required \(and 1 more\)"):
        parse_chip({"id": "x", "rows": 4}, source="x")


def test_a_chip_larger_than_the_board_is_refused() -> None:
    chip = parse_chip(GOOD, source="x")
    with pytest.raises(RefusedError, match=r"chip c1 is 4 × 3.*board b is 4 × 2.*correct"):
        chip.line_map(4, 2, board="board b")
    chip.line_map(4, 3, board="board b")


def test_the_wrong_kind_of_cell_is_refused() -> None:
    chip = parse_chip({**GOOD, "cell": "1R"}, source="x")
    chip.require_cell("passive", board="board b")
    with pytest.raises(RefusedError, match="chip c1 has passive cells, board b is made for 1T1R"):
        chip.require_cell("1T1R", board="board b")


def test_a_file_that_is_not_there_lists_what_is(tmp_path: Path) -> None:
    (tmp_path / "good.chip.yaml").write_text("id: x\n")
    with pytest.raises(RefusedError, match=r"unknown chip file 'god.chip.yaml': choose from good.chip.yaml; did"):
        load_chip(tmp_path / "god.chip.yaml")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", "a: 1\na: 2\n", "!!python/object:os.system {}\n"])
def test_yaml_that_is_no_chip_is_one_sentence(tmp_path: Path, text: str) -> None:
    path = tmp_path / "bad.chip.yaml"
    path.write_text(text)
    with pytest.raises(RefusedError) as caught:
        load_chip(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_the_shipped_chip_file_is_good() -> None:
    from xbarlab.runbooks import stations

    chip = load_chip(Path(str(stations.__file__)).parent / "mock_ta_hfo2.chip.yaml")
    assert (chip.rows, chip.cols, chip.cell) == (128, 64, "1T1R")
