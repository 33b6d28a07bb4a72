"""The file a mock chip lives on in: it keeps the birth id, and every damage is one sentence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xbarlab.mockhw.bench.bench import forget_bench, fresh_bench
from xbarlab.mockhw.chip.life_file import FORMAT, new_birth, save_life
from xbarlab.mockhw.chip.profile import load_profile
from xbarlab.mockhw.chip.virtual_chip import VirtualChip
from xbarlab.mockhw.passive_chip.chip import PassiveChip
from xbarlab.mockhw.sim_clock import SimClock

BENCHES = {"ta_hfo2_1t1r": "mock_ta_hfo2", "tio2_passive": "mock_tio2"}
STATIONS = Path(__file__).parents[3] / "runbooks" / "stations"


def make(name: str, seed: int = 3) -> VirtualChip | PassiveChip:
    kind = PassiveChip if name == "tio2_passive" else VirtualChip
    return kind(load_profile(name), seed=seed, clock=SimClock())


@pytest.fixture(params=BENCHES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def rewrite(path: Path, **changes: Any) -> None:
    with np.load(path) as saved:
        arrays = {key: saved[key] for key in saved.files}
    life = json.loads(str(arrays.pop("life")))
    life = {key: value for key, value in (life | changes).items() if value is not None}
    np.savez(path, life=np.array(json.dumps(life)), **arrays)  # pyright: ignore[reportArgumentType]


def test_a_chip_made_anew_with_the_same_seed_has_another_birth_and_the_same_cells(name: str) -> None:
    one, other = make(name), make(name)
    assert one.birth != other.birth
    for key, values in one.truth().items():
        np.testing.assert_array_equal(values, other.truth()[key])


def test_the_birth_lives_on_in_the_file(name: str, tmp_path: Path) -> None:
    chip, other = make(name), make(name, seed=9)
    chip.save(tmp_path / "chip.npz")
    other.load(tmp_path / "chip.npz")
    assert other.birth == chip.birth
    other.save(tmp_path / "again.npz")
    third = make(name)
    third.load(tmp_path / "again.npz")
    assert third.birth == chip.birth


def test_a_chip_of_format_1_is_taken_up_and_gets_a_birth(name: str, tmp_path: Path) -> None:
    chip = make(name)
    chip.save(tmp_path / "chip.npz")
    rewrite(tmp_path / "chip.npz", format=1, birth=None)
    other = make(name, seed=9)
    fresh = other.birth
    other.load(tmp_path / "chip.npz")
    assert other.birth not in (chip.birth, fresh)
    assert other.seed == chip.seed


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"format": FORMAT + 1}, rf"format {FORMAT + 1}; this version reads 1 and 2"),
        ({"format": None}, "format None"),
        ({"format": "2"}, "format '2'"),
        ({"birth": None}, "birth is None"),
        ({"birth": ""}, "birth is ''"),
        ({"birth": "a b"}, "birth is 'a b'"),
        ({"birth": "a" * 65}, "birth is"),
        ({"birth": 7}, "birth is 7"),
        ({"seed": "x"}, "seed is 'x'"),
        ({"now": None}, "now is None"),
        ({"rows": 7}, "rows 7"),
    ],
)
def test_a_record_that_is_wrong_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], sentence: str, name: str
) -> None:
    chip = make(name)
    chip.save(tmp_path / "chip.npz")
    rewrite(tmp_path / "chip.npz", **changes)
    with pytest.raises(ValueError, match=sentence):
        chip.load(tmp_path / "chip.npz")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
def test_a_file_cut_short_is_one_sentence(tmp_path: Path, share: float, name: str) -> None:
    chip = make(name)
    chip.save(tmp_path / "chip.npz")
    whole = (tmp_path / "chip.npz").read_bytes()
    (tmp_path / "chip.npz").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(ValueError, match=r"chip\.npz: not readable as a chip.s state"):
        chip.load(tmp_path / "chip.npz")


@pytest.mark.parametrize("life", ["[]", "3", "{", '"x"'])
def test_a_record_that_is_none_is_one_sentence(tmp_path: Path, life: str, name: str) -> None:
    np.savez(tmp_path / "chip.npz", life=np.array(life))
    with pytest.raises(ValueError, match="is damaged"):
        make(name).load(tmp_path / "chip.npz")


def test_births_are_what_the_board_protocol_allows(tmp_path: Path) -> None:
    births = {new_birth() for _ in range(100)}
    assert len(births) == 100
    assert all(0 < len(birth) <= 64 and birth.isascii() and birth.isalnum() for birth in births)
    save_life(tmp_path / "chip.npz", {"birth": "a"}, {})
    assert [path.name for path in tmp_path.iterdir()] == ["chip.npz"]


def test_every_probe_instrument_tells_the_birth() -> None:
    path = STATIONS / "mock_tio2.bench.yaml"
    bench = fresh_bench(path)
    try:
        for instrument in bench.instruments.values():
            instrument.receive(b"SIM:INFO?\n")
            reply = instrument.wait_for_reply()
            assert reply is not None
            told = json.loads(reply[2 + int(reply[1:2]) :])
            assert told == {"profile": "tio2_passive", "seed": bench.seed, "birth": bench.chip.birth}
        assert fresh_bench(path).chip.birth != bench.chip.birth
    finally:
        forget_bench(path)
