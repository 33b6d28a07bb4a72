"""The half a fit never sees."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import pytest

from xbarlab.analysis.measured_data.measured import Measured
from xbarlab.analysis.measured_data.protocols import Bake, Forming, Protocol, WriteVerify
from xbarlab.common.errors import RefusedError
from xbarlab.twin.fitting.holdout import split, thinned

FORMING = Forming.model_validate(
    {"kind": "forming", "width": 1e-6, "gate": 2.0, "start_volts": 1.0, "step_volts": 0.05, "most_volts": 4.0}
)
WRITE = WriteVerify.model_validate(
    {
        "kind": "write_verify",
        "algorithm": {
            "method": "ispp",
            "gate": {"start": 1.9, "step": 0.1, "below": 3.6},
            "set_volts": 2.0,
            "set_width": 1e-7,
            "reset": {"volts": 2.8, "gate": 4.0, "width": 1e-7},
        },
    }
)


def measured(
    name: str, protocol: Protocol, cells: object, chip: str = "", date: str = "", **columns: object
) -> Measured:
    table = pd.DataFrame({"cell": cells, **columns})
    return Measured(
        id=name,
        protocol=protocol,
        table=table,
        title="t",
        source="s",
        licence="l",
        structure="1T1R",
        chip=chip,
        date=date,
    )


def test_a_cell_is_in_the_same_half_of_all_its_measurements_and_both_halves_have_all_levels() -> None:
    cells = 40000 + np.arange(64)
    some = cells[::3]
    data = [
        measured("forming", FORMING, some, volts=3.0),
        measured("ispp", WRITE, cells, level=cells % 4),
    ]
    halves = split(data)
    fitted = {one.id: set(one.table["cell"]) for one in halves.fitted}
    held = {one.id: set(one.table["cell"]) for one in halves.held}
    assert not (fitted["forming"] | fitted["ispp"]) & (held["forming"] | held["ispp"])
    assert fitted["forming"] | held["forming"] == set(some)
    for half in (halves.fitted[1], halves.held[1]):
        assert half.table["level"].value_counts().tolist() == [8, 8, 8, 8]
    assert halves.said == "every second group of 4 cells"


def test_addresses_that_are_all_in_one_group_are_still_halved() -> None:
    halves = split([measured("forming", FORMING, np.repeat(np.arange(0, 800, 8), 2), volts=3.0)])
    assert [one.cells for one in (*halves.fitted, *halves.held)] == [52, 48]


def test_what_has_one_cell_is_fitted_and_it_is_said_that_nothing_is_held_out() -> None:
    many = measured("forming", FORMING, np.arange(40), volts=3.0)
    one = measured("one", dataclasses.replace(many).protocol, np.zeros(5, int), chip="other", volts=3.0)
    halves = split([many, one])
    assert halves.not_held == ["one"]
    assert [part.id for part in halves.held] == ["forming"]


def test_whole_chips_and_dates_are_held_out_by_name_or_every_second_one() -> None:
    data = [
        measured("forming", FORMING, np.arange(20), chip, f"2020-0{index + 1}-01", volts=3.0)
        for index, chip in enumerate("ABC")
    ]
    assert [one.chip for one in split(data, "chips").held] == ["B"]
    assert [one.chip for one in split(data, "chips=A, C").held] == ["A", "C"]
    assert split(data, "chips=A, C").said == "chip B"
    assert [one.chip for one in split(data, "dates=2020-03-01").fitted] == ["A", "B"]


def test_bakes_are_held_out_by_temperature_and_the_rest_by_cells() -> None:
    kelvin = np.repeat([373.15, 453.15, 533.15], 20)
    bake = measured("bake", Bake(kind="bake"), np.arange(60), before=1e-4, after=1e-4, time=1.0, temperature=kelvin)
    halves = split([bake, measured("forming", FORMING, np.arange(40), volts=3.0)], "temperatures=180 °C")
    by_id = {one.id: one for one in halves.held}
    assert set(by_id["bake"].table["temperature"]) == {453.15}
    assert by_id["forming"].cells == 20
    assert halves.said == "bakes at 100 °C, 260 °C; of the rest, every second group of 4 cells"


def test_fewer_cells_keep_whole_groups_and_are_the_same_for_the_same_seed() -> None:
    data = [measured("ispp", WRITE, np.arange(64), level=np.arange(64) % 4)]
    few = thinned(data, 16, 3)[0]
    assert few.table["level"].value_counts().tolist() == [4, 4, 4, 4]
    assert set(few.table["cell"]) == set(thinned(data, 16, 3)[0].table["cell"])
    assert set(few.table["cell"]) != set(thinned(data, 16, 4)[0].table["cell"])


@pytest.mark.parametrize(
    ("hold_out", "cells", "said"),
    [
        ("cells", 12, "forming: 12 cells are too few: half of them is held out"),
        ("cells=3", 40, "cells are held out in groups of 4, none by its name"),
        ("chips", 40, "all data are of one chip, A: hold out cells, or give data of another chip"),
        ("dates", 40, "all data are of one date, and none of them says its date"),
        ("halves", 40, "unknown way to hold data out 'halves': choose from cells, chips, dates, temperatures"),
    ],
)
def test_a_half_that_cannot_be_made_is_one_sentence(hold_out: str, cells: int, said: str) -> None:
    with pytest.raises(RefusedError) as refused:
        split([measured("forming", FORMING, np.arange(cells), "A", volts=3.0)], hold_out)
    assert said in str(refused.value)


def test_names_that_are_not_there_are_answered_with_those_that_are() -> None:
    data = [measured("forming", FORMING, np.arange(20), chip, volts=3.0) for chip in "AB"]
    with pytest.raises(RefusedError, match="unknown chip 'D': choose from A, B"):
        split(data, "chips=D")
    with pytest.raises(RefusedError, match="nothing is left to fit on"):
        split(data, "chips=A,B")
