"""Abilities: a part for each, names that cannot disagree with them, a sentence for what is missing."""

from __future__ import annotations

from typing import Protocol

import pytest

from xbarlab.common.errors import RefusedError
from xbarlab.instruments import abilities
from xbarlab.instruments.abilities import SHIPPED, Multiplies, Parts, Samples, Sweeps
from xbarlab.instruments.array_spec import ability, ability_of
from xbarlab.instruments.errors import UnsupportedError


class Sweeper:
    def sweep(self, *_: object, **__: object) -> str:
        return "swept"


def test_a_part_is_returned_and_what_is_missing_refused_with_what_it_would_take() -> None:
    parts = Parts("bench", {Sweeps: Sweeper()})
    assert parts.names == {"sweep"}
    assert parts.ability(Sweeps).sweep(0, 0, [0.1], compliance=1e-3, dwell=1e-3) == "swept"
    with pytest.raises(
        UnsupportedError, match=r"^bench does not support vmm: it would need drivers .*; it supports sweep$"
    ):
        parts.ability(Multiplies)
    with pytest.raises(UnsupportedError, match="it supports reads and pulses only"):
        Parts("bare").ability(Samples)
    with pytest.raises(RefusedError, match="Sweeper is no kind of ability: choose from Sweeps, "):
        parts.ability(Sweeper)


def test_every_kind_has_one_verb_a_name_and_what_it_needs() -> None:
    names = [ability_of(kind).name for kind in SHIPPED]
    assert names == ["sweep", "sample", "vmm", "reverse", "outer_update", "onboard_verify"]
    assert all(ability_of(kind).needs for kind in SHIPPED)
    for kind in SHIPPED:
        assert len([name for name in vars(kind) if not name.startswith("_")]) == 1, kind
    known = {one for one in vars(abilities).values() if isinstance(one, type) and issubclass(one, Protocol)}
    assert known - {Protocol} == set(SHIPPED)


def test_a_name_taken_twice_is_refused_naming_both() -> None:
    class Dances(Protocol):
        def dance(self) -> None: ...

    with pytest.raises(RefusedError, match=r"'sweep' of .*Dances is that of .*Sweeps already"):
        ability("sweep", needs="feet")(Dances)
