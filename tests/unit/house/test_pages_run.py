"""What pages show as code does what they say: it is run as it stands there."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from ruamel.yaml import YAML

import xbarlab
from support.fake_array import FakeArray
from support.packages import install
from support.training_bench import write_bench
from xbarlab.common import plugins
from xbarlab.common.errors import RefusedError
from xbarlab.instruments.capabilities import CrossbarArray
from xbarlab.protocols.training.layers.array_weights import ArrayWeights
from xbarlab.protocols.training.layers.weight_mapping import LayerRequest, plan_floor
from xbarlab.protocols.training.steps.training_plan import TrainingPlan

DOCS = Path(__file__).parents[3] / "docs"


def shown(page: str, name: str) -> str:
    """Return the file ``name`` that a page shows."""
    blocks = re.findall(r"```python\n# (\S+)\n(.*?)```", (DOCS / page).read_text(encoding="utf-8"), re.DOTALL)
    (text,) = [text for called, text in blocks if called == name]
    return text


def installed(folder: Path, page: str, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a module of a page into a folder as pip would: with its entry points beside it."""
    (project,) = re.findall(r"```toml\n# pyproject.toml\n(.*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    said = tomllib.loads(project)["project"]
    points = [
        f"[{kind}]\n{name} = {to}\n" for kind, names in said["entry-points"].items() for name, to in names.items()
    ]
    text = {module: shown(page, f"{module}.py")}
    monkeypatch.syspath_prepend(install(folder, said["name"], "\n".join(points), said["version"], **text))


def test_the_matrix_of_the_page_takes_the_place_of_the_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(tmp_path, "add-an-instrument.md", "my_matrix", monkeypatch)
    stations = DOCS.parent / "runbooks" / "stations"
    text = (stations / "mock_tio2.station.yaml").read_text(encoding="utf-8")
    text = re.sub(r"(visalib: |chip: )(mock_tio2)", rf"\g<1>{stations.as_posix()}/\2", text)
    assert text.count("type: KeysightB2201A") == 1
    station = tmp_path / "mine.station.yaml"
    station.write_text(text.replace("type: KeysightB2201A", "type: MyMatrix"), encoding="utf-8")
    block = xbarlab.Block(1, 1, 2, 1)
    with xbarlab.open_bench(station) as bench:
        matrix = bench.station.components["matrix"]
        assert type(matrix).__name__ == "MyMatrix"
        mine, paths = bench.array.read(block).conductance, matrix.ask("ROUT:CLOS:CARD? 0")
        assert bench.incidents == ()
    assert [str(step.result) for step in bench.ending if step.instrument == "matrix"] == ["confirmed"]
    with xbarlab.open_bench("mock_tio2") as bench:
        np.testing.assert_allclose(bench.array.read(block).conductance, mine, rtol=0.1)  # read noise
        assert bench.station.components["matrix"].ask("ROUT:CLOS:CARD? 0") == paths
    del sys.modules["my_matrix"]


@pytest.fixture
def my_array(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "my_array.py").write_text(shown("add-an-instrument.md", "my_array.py"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    import my_array  # pyright: ignore[reportMissingImports]

    array = my_array.MyArray("box", limits={"set_volts_max": 2.0})
    yield array
    array.close()
    del sys.modules["my_array"]


def test_the_array_of_the_page_is_an_array(my_array) -> None:
    assert isinstance(my_array, CrossbarArray)
    result = xbarlab.read_array(my_array, xbarlab.ReadArrayPlan(cells="0:4,0:4"), run=None)
    assert result.metrics()["g_read_median"] == pytest.approx(1e-5)
    block = xbarlab.Block(0, 1, 0, 2)
    my_array.pulse(xbarlab.PulseMap(block, volts=1.5, width=1e-6, gate=0.0, count=[[2, 0]]))
    np.testing.assert_allclose(my_array.read(block).conductance / 1e-5, [[np.exp(0.15), 1.0]])
    assert (my_array.cost.pulses, my_array.cost.transactions) == (2, 3)


def test_the_array_of_the_page_keeps_limits(my_array) -> None:
    pulses = xbarlab.PulseMap(xbarlab.Block(0, 1, 0, 1), volts=2.5, width=1e-6, gate=0.0, count=1)
    with pytest.raises(RefusedError, match=r"2\.5 V .* above the limit 2 V .*set by the limits given to box"):
        my_array.pulse(pulses)
    assert my_array.cost.pulses == 0


def test_the_protocol_of_the_page_measures_in_a_notebook(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "relaxation.py").write_text(shown("add-a-protocol.md", "relaxation.py"), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    page = (DOCS / "add-a-protocol.md").read_text(encoding="utf-8")
    (notebook,) = re.findall(r"```python\n(from xbarlab import Run, open_bench\n.*?)```", page, re.DOTALL)
    with plugins.scope():
        import relaxation  # pyright: ignore[reportMissingImports]

        exec(notebook, {**vars(relaxation)})
        array = FakeArray()
        result = relaxation.relaxation(array, relaxation.RelaxationPlan(cells="0:4,0:4", volts=2.5))
    del sys.modules["relaxation"]
    assert result.metrics() == {"relaxed_median": 1.0}
    assert array.actions == ["pulse", "read", "read", "read"]
    assert (tmp_path / "relaxation_run" / "data.db").is_file()


def test_the_rule_of_the_page_is_a_rule_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = shown("add-a-network.md", "my_rule.py")
    point = "[xbarlab.update_rules]\nlargest_first = my_rule:LargestFirst\n"
    monkeypatch.syspath_prepend(install(tmp_path / "package", "my-rules", point, my_rule=code))
    plan = TrainingPlan(rule="largest_first", rule_options={"part": 0.2})
    rule = plan.update_rule()
    with xbarlab.open_bench(write_bench(tmp_path, "soft_bounds_1t1r")) as bench:
        rule.check(bench.array.spec)
        weights = ArrayWeights(bench.array, plan_floor(16, 12, [LayerRequest("w", 4, 5)]))
        rule.start(weights, np.random.default_rng(0))
        before = bench.array.cost
        rule.apply(weights, {"w": np.linspace(-1.0, 0.9, 20).reshape(4, 5)}, {})
        assert (bench.array.cost - before).pulses == 2 * 0.2 * 20, "a fifth of the weights, two cells each"
    del sys.modules["my_rule"]


def test_the_cells_of_the_page_are_a_model_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code = shown("add-a-device-model.md", "my_cells.py")
    point = "[xbarlab.device_models]\npart_of_the_way = my_cells:PartOfTheWay\n"
    monkeypatch.syspath_prepend(install(tmp_path / "package", "my-cells", point, my_cells=code))
    station = write_bench(tmp_path, "soft_bounds_1t1r")
    page = (DOCS / "add-a-device-model.md").read_text(encoding="utf-8")
    (said,) = re.findall(r"```yaml\n# in my_chip.profile.yaml.*?\n(.*?)```", page, re.DOTALL)
    yaml = YAML(typ="safe", pure=True)
    profile = tmp_path / "ideal.profile.yaml"
    content = yaml.load(profile.read_text(encoding="utf-8")) | yaml.load(said)
    with profile.open("w", encoding="utf-8") as file:
        yaml.dump(content, file)
    block = xbarlab.Block(2, 1, 3, 2)
    with xbarlab.open_bench(station) as bench:
        bench.array.pulse(xbarlab.PulseMap(block, volts=[[1.5, 0.9]], gate=2.0, width=1e-6, count=7))
        left = (190e-6 - bench.array.read(block, average=64).conductance) / 180e-6
    np.testing.assert_allclose(left, [[0.9**7, 1.0]], rtol=0.01)
    del sys.modules["my_cells"]


def test_the_analysis_of_the_page_makes_a_section() -> None:
    from xbarlab.analysis.report.run_tables import RunTables, StepTable
    from xbarlab.runbooks.runner.analyses import sections_of

    page = (DOCS / "plugins.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```python\n(from xbarlab import offer\n.*?)```", page, re.DOTALL)
    cost = dict.fromkeys(("transactions", "slots", "pulses", "chip_seconds"), 0.0)
    steps = [
        StepTable(id=name, step="read_array", plan={}, metrics={}, cost={**cost, "seconds": 1.0 + k}, make_frame=dict)
        for k, name in enumerate(("first", "second"))
    ]
    with plugins.scope():
        exec(text, {"__name__": "__main__"})
        found = sections_of(RunTables(title="", steps=tuple(steps), summary={}))
    assert found["slowest"].text == "second took longest."
