import json
import time
from pathlib import Path

import numpy as np
import pytest

import xbarlab
from support.fake_array import FakeArray
from xbarlab.common.errors import RefusedError
from xbarlab.protocols.keeping.data_check import datasets_in
from xbarlab.protocols.keeping.dataset import Axis, DatasetWriter, Variable
from xbarlab.protocols.keeping.journal import read_journal
from xbarlab.protocols.keeping.run import Run

AXES = [
    Axis("cycle", "Cycle"),
    Axis("row", "Row", values=np.arange(3, dtype=np.int16)),
    Axis("col", "Column", values=np.arange(2, dtype=np.int16)),
]


def write(run: Run) -> int:
    with run.dataset("map", AXES, [Variable("conductance", "Conductance", "S")], {"read_volts": 0.2}) as data:
        for cycle in range(4):
            data.add({"cycle": cycle}, conductance=cycle + np.arange(6).reshape(3, 2) / 10)
        assert data.run_id is not None
        return data.run_id


def test_a_folder_with_data_is_refused_and_untouched(tmp_path: Path) -> None:
    (tmp_path / "precious.txt").write_text("a week of work")
    with pytest.raises(RefusedError, match="already holds data"):
        Run(tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["precious.txt"]


def test_datasets_open_in_pandas_and_xarray_and_keep_to_plottr(tmp_path: Path) -> None:
    from qcodes.dataset import connect, load_by_id

    run_id = write(Run(tmp_path / "run"))
    conn = connect(tmp_path / "run" / "data.db")
    dataset = load_by_id(run_id, conn)
    frame = dataset.to_pandas_dataframe().reset_index()
    assert len(frame) == 24
    assert frame.query("cycle == 2 and row == 1 and col == 1")["conductance"].item() == pytest.approx(2.3)
    cube = dataset.to_xarray_dataset()
    assert cube["conductance"].dims == ("cycle", "row", "col")
    assert cube["conductance"].shape == (4, 3, 2)
    assert cube["conductance"].attrs["units"] == "S"
    # plottr: every dependent has setpoints, slow axis first, labels and units, an inspectr tag
    depends = dataset.description.interdeps.dependencies
    assert [[p.name for p in setpoints] for setpoints in depends.values()] == [["cycle", "row", "col"]]
    assert all(p.label for p in dataset.description.interdeps.paramspecs)
    assert dataset.metadata["inspectr_tag"]
    assert dataset.completed
    conn.close()


def test_an_interrupted_step_keeps_its_rows_and_says_so(tmp_path: Path) -> None:
    from qcodes.dataset import connect, load_by_id

    run = Run(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt), run.dataset("map", AXES, [Variable("g", "G", "S")]) as data:  # noqa: PT012
        data.add({"cycle": 0}, g=np.zeros((3, 2)))
        raise KeyboardInterrupt
    conn = connect(tmp_path / "run" / "data.db")
    assert load_by_id(1, conn).number_of_results > 0
    conn.close()


def test_the_journal_is_on_disk_line_by_line(tmp_path: Path) -> None:
    run = Run(tmp_path / "run", seed=5)
    run.note("something", value=np.float64(0.5), where=np.array([1, 2]))
    lines = [json.loads(line) for line in (tmp_path / "run" / "journal.jsonl").read_text().splitlines()]
    assert [line["event"] for line in lines] == ["run_started", "something"]
    assert lines[1]["value"] == 0.5
    assert lines[1]["where"] == [1, 2]


def test_without_a_folder_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run.of(None)
    run.note("anything")
    with run.dataset("map", AXES, [Variable("g", "G", "S")]) as data:
        data.add({"cycle": 0}, g=np.zeros((3, 2)))
    assert list(tmp_path.iterdir()) == []


def test_a_notebook_runs_into_a_folder_by_name_and_goes_on_later(tmp_path: Path) -> None:
    array, plan = FakeArray(), xbarlab.ReadArrayPlan(cells="all")
    folder = str(tmp_path / "monday")
    with xbarlab.Run(folder, quiet=True) as run, run.step("read", array):
        first = xbarlab.read_array(array, plan, run)
    events = [line["event"] for line in read_journal(tmp_path / "monday" / "journal.jsonl")]
    assert events[0] == "run_started"
    assert events[-2:] == ["step_done", "run_done"]
    acted = len(array.actions)
    with xbarlab.Run(folder, quiet=True, resumed=True) as run, run.step("read", array):
        again = xbarlab.read_array(array, plan, run)
    assert len(array.actions) == acted, "what is done is not measured again"
    assert again.metrics() == first.metrics()
    with pytest.raises(KeyboardInterrupt), xbarlab.Run(tmp_path / "cut", quiet=True):
        raise KeyboardInterrupt
    assert read_journal(tmp_path / "cut" / "journal.jsonl")[-1]["event"] == "run_interrupted"


@pytest.mark.parametrize("name", sorted(xbarlab._HOMES))
def test_every_public_name_is_where_the_package_says(name: str) -> None:
    if xbarlab._HOMES[name].startswith(("protocols.training.", "protocols.pretrained.")):
        pytest.importorskip("torch")
    assert getattr(xbarlab, name).__name__ == name


def test_an_append_costs_the_same_at_the_10th_and_the_400th(tmp_path: Path) -> None:
    """QCoDeS's cache in memory copied all rows so far at every append."""
    axes = [Axis("cycle", "Cycle"), Axis("row", "Row", values=np.arange(2048))]
    took: list[float] = []
    with Run(tmp_path / "run", quiet=True).dataset("map", axes, [Variable("g", "G", "S")]) as data:
        values = np.arange(2048.0)
        for cycle in range(410):
            began = time.perf_counter()
            data.add({"cycle": cycle}, g=values)
            took.append(time.perf_counter() - began)
        cached = data._saver.dataset.cache._data
        assert not any(len(found) for group in cached.values() for found in group.values())
        run_id = data.run_id
    # The quickest of twenty: now and then one of them writes, or waits for the machine.
    assert min(took[390:410]) < 4.0 * min(took[5:25])
    from qcodes.dataset import connect, load_by_id

    connection = connect(tmp_path / "run" / "data.db")
    assert run_id is not None
    assert load_by_id(run_id, connection).get_parameter_data()["g"]["g"].size == 410 * 2048
    connection.close()


def test_a_run_that_was_killed_while_its_database_was_made_goes_on(tmp_path: Path) -> None:
    """QCoDeS makes a database in many steps; what is there before the last of them is not taken for one."""
    from qcodes.dataset.sqlite import database as shipped

    place = tmp_path / "data.db"

    class KilledError(BaseException):
        pass

    def make() -> DatasetWriter:
        return DatasetWriter(
            place, experiment="e", sample="s", name="n", axes=[Axis("i", "step", "")],
            variables=[Variable("G", "conductance", "S")], metadata={},
        )  # fmt: skip

    def killed(*_: object, **__: object) -> None:
        raise KilledError

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shipped, "perform_db_upgrade", killed)
        with pytest.raises(KilledError):
            make()
    assert not place.exists()
    with make() as writer:
        writer.add({"i": 0.0}, G=1e-6)
    assert datasets_in(place) == {writer.guid: 1}
