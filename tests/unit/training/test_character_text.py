"""Text as characters to predict: folding, what is refused, and what counting comes to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xbarlab.analysis.networks.character_tables import table_floor, table_loss
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.training.tasks.character_text import CharacterText, character_text, windows

ODD = "Ünïcödé, Ελλάδα und Привет!\n"


def text_of(path: Path, content: str | bytes, *, fold: bool = True, characters: int = 30) -> CharacterText:
    path.write_bytes(content.encode("utf-8") if isinstance(content, str) else content)
    return character_text(str(path), fold=fold, characters=characters, validation=0.1, test=0.1)


def test_the_shipped_text_is_folded_to_what_fits_one_board() -> None:
    text = character_text("hamlet", fold=True, characters=30, validation=0.1, test=0.1)
    assert len(text.symbols) == 30
    assert set("abcdefghijklmnopqrstuvwy ,.") < set(text.symbols) | {"j", "q", "x", "z"}
    assert 0.0 < text.rest < 0.02
    assert sum(text.sizes) > 150_000
    assert max(part.max() for part in (text.train, text.validation, text.test)) == 29
    assert "public domain" in text.about
    share = np.bincount(np.concatenate([text.train, text.validation, text.test]), minlength=30)
    assert share[-1] / share.sum() == pytest.approx(text.rest)
    assert (np.diff(share[:-1]) <= 0).all(), "commonest first"


def test_one_s_own_text_comes_back_from_its_numbers(tmp_path: Path) -> None:
    whole = text_of(tmp_path / "own.txt", "\ufeff" + 20 * ODD, fold=False, characters=100)
    back = "".join(whole.symbols[n] for part in (whole.train, whole.validation, whole.test) for n in part)
    assert back == 20 * ODD
    assert whole.rest == 0.0
    folded = text_of(tmp_path / "own.txt", 20 * ODD.replace(" ", " \t\n "), characters=100)
    assert "".join(folded.symbols[n] for n in folded.train).startswith("ünïcödé, ελλάδα und привет! ünïcödé")
    few = text_of(tmp_path / "own.txt", 20 * ODD, characters=4)
    assert len(few.symbols) == 4
    assert few.rest > 0.3


def test_a_file_that_was_edited_is_read_again(tmp_path: Path) -> None:
    first = text_of(tmp_path / "own.txt", 100 * "abc ")
    second = text_of(tmp_path / "own.txt", 100 * "abcde ")
    assert len(second.symbols) > len(first.symbols)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "own.txt is empty: give one of 200 characters or more"),
        (b" \n\t ", "own.txt is empty"),
        (b"short", "has 5 characters after folding: give one of 200 or more"),
        (("é" * 300).encode("latin1"), r"own.txt is not in UTF-8: byte 0 is 0xe9; save it as UTF-8"),
        (("abc" * 300).encode("utf-16"), r"own.txt is not in UTF-8: byte 0 is 0xff"),
        (("abc" * 300).encode("utf-16-le"), r"own.txt has zero bytes, as UTF-16"),
        (b"a" * 300, "has one character, 'a', over and over"),
    ],
)
def test_what_cannot_be_a_text_is_refused_in_a_sentence(tmp_path: Path, content: bytes, sentence: str) -> None:
    with pytest.raises(RefusedError, match=sentence) as caught:
        text_of(tmp_path / "own.txt", content)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("validation", "test", "sizes"), [(0.1, 0.01, "178, 20, 2"), (0.09, 0.1, "162, 18, 20")])
def test_a_part_too_short_to_count_in_is_refused(tmp_path: Path, validation: float, test: float, sizes: str) -> None:
    path = tmp_path / "own.txt"
    path.write_text(50 * "abcd")
    with pytest.raises(
        RefusedError, match=rf"parts of {sizes} characters, too few .*: each needs 20 or more; a longer"
    ):
        character_text(str(path), fold=False, characters=30, validation=validation, test=test)
    assert character_text(str(path), fold=False, characters=30, validation=0.1, test=0.1).sizes == (160, 20, 20)


def test_windows_lie_beside_each_other_and_know_what_comes_next() -> None:
    codes = np.arange(50)
    seen, following = windows(codes, 16)
    assert seen.shape == following.shape == (3, 16)
    assert np.array_equal(seen.ravel(), codes[:48])
    assert np.array_equal(following, seen + 1)


def chain(count: int, seed: int) -> np.ndarray:
    """A chain of four symbols, of which each is followed by the next with chance 0.7, else by any."""
    rng = np.random.default_rng(seed)
    codes = np.zeros(count, dtype=np.int64)
    stays = rng.random(count) < 0.7
    other = rng.integers(4, size=count)
    for n in range(1, count):
        codes[n] = (codes[n - 1] + 1) % 4 if stays[n] else other[n]
    return codes


def test_tables_find_the_entropy_of_a_chain_and_floors_are_below_tables() -> None:
    train, test = chain(60_000, 1), chain(20_000, 2)
    chances = np.array([0.7 + 0.3 / 4, 0.3 / 4, 0.3 / 4, 0.3 / 4])
    entropy = -(chances * np.log(chances)).sum()
    assert table_loss(train, test, 4, 0) == pytest.approx(np.log(4), abs=0.01)
    assert table_loss(train, test, 4, 1) == pytest.approx(entropy, abs=0.02)
    assert table_loss(train, test, 4, 2, validation=chain(5000, 3)) == pytest.approx(entropy, abs=0.03)
    for before in (0, 1):
        assert table_floor(test, 4, before) <= table_loss(train, test, 4, before) + 1e-4


def test_a_floor_is_what_the_counts_say() -> None:
    text = np.array([0, 1, 0, 1, 0, 0, 1, 1])
    # after 0: 1, 1, 0, 1; after 1: 0, 0, 1
    wanted = -(3 * np.log(3 / 4) + np.log(1 / 4) + 2 * np.log(2 / 3) + np.log(1 / 3)) / 7
    assert table_floor(text, 2, 1) == pytest.approx(wanted)
    assert table_floor(text, 2, 0) == pytest.approx(np.log(2))


def test_a_table_gives_what_it_never_saw_a_chance() -> None:
    assert np.isfinite(table_loss(np.array([0, 1] * 50), np.array([2, 2, 0, 1, 2]), 3, 1))
