"""``xbarlab station check --full``: on a mock, on the board in C over a cable that is pulled, and on what is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from support.cable import Cable
from support.reference_board import COMPILER, built, serving
from xbarlab import cli, open_bench
from xbarlab.common.errors import RefusedError
from xbarlab.conformance.subject import Subject
from xbarlab.instruments.block import Block
from xbarlab.instruments.chip.chip_facts import facts_of
from xbarlab.instruments.wire.safe_state import CONFIRMED, SafeStep
from xbarlab.runbooks import stations
from xbarlab.runbooks.commands.station import full as station_full
from xbarlab.runbooks.commands.station.check import Finding, passed
from xbarlab.runbooks.commands.station.full import Person, check_fully
from xbarlab.runbooks.runner.chip_wear import CHECK_FACT

SHIPPED = Path(stations.__file__).parent


class AtTheBench:
    """Says yes, pulls the cable and puts it back when asked; remembers what it was told and asked."""

    def __init__(self, cable: Cable | None = None, *, willing: bool = True) -> None:
        self.cable, self.willing = cable, willing
        self.heard: list[str] = []
        self.person = Person(self.heard.append, self.answer)

    def answer(self, question: str) -> bool:
        self.heard.append(question)
        if self.cable is not None and question.startswith("Pull"):
            self.cable.pull()
        if self.cable is not None and question.startswith("Put it back"):
            self.cable.plug()
        return self.willing and (self.cable is not None or question == "Begin?")


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.check: finding for finding in findings}


@pytest.fixture
def kept_mock(tmp_path: Path) -> Path:
    """A mock whose chip lives in a file, small enough to be quick."""
    for kind in ("bench", "chip", "station"):
        text = (SHIPPED / f"mock_soft_bounds.{kind}.yaml").read_text(encoding="utf-8")
        text = text.replace("state: null", "state: chip.npz").replace("mock_soft_bounds.", "own.")
        (tmp_path / f"own.{kind}.yaml").write_text(text, encoding="utf-8")
    return tmp_path / "own.station.yaml"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip("no C compiler cc on this machine")
    return built("serve", tmp_path_factory.mktemp("reference"))


@pytest.fixture
def on_a_cable(server: Path, tmp_path: Path) -> Iterator[tuple[Path, Cable]]:
    """Yield the station of the board in C, and its cable."""
    with serving(server, tmp_path) as station:
        text = station.read_text("utf-8")
        port = text.split("::")[2]
        with Cable(int(port)) as cable:
            station.write_text(text.replace(f"::{port}::", f"::{cable.port}::"), encoding="utf-8")
            yield station, cable


def test_a_mock_passes_and_says_first_what_will_be_done() -> None:
    somebody = AtTheBench(willing=False)
    findings, about = check_fully("mock_soft_bounds", somebody.person)
    wrong = [f"{one.check}: {one.found}: {one.remedy}" for one in findings if one.ok is False]
    assert not wrong
    assert any("pulses of ±0.2 V" in line for line in somebody.heard)
    assert any("a run that only reads is killed" in line for line in somebody.heard)
    found = by_name(findings)
    assert found["limits refused"].ok is found["pulses as quantised"].ok is found["idle"].ok is True
    assert found["idle"].found == "board: stop → board: 0 V → board: array disconnected"
    assert {name for name, one in found.items() if one.ok is None} == {
        "known resistor over ranges", "a pulled cable", "a killed run"
    }  # fmt: skip
    assert about["Chip"] == "mock-soft-bounds-128x64"


@pytest.mark.slow
def test_the_command_writes_json_a_page_and_the_chips_account(
    kept_mock: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "check"
    assert cli.main(["station", "check", str(kept_mock), "--full", "--out", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.index("To the chip: reads of cells") < said.index("identity of board")
    data = json.loads((out / "check.json").read_text("utf-8"))
    assert data["passed"] is True
    found = {one["check"]: one for one in data["findings"]}
    assert found["a killed run"]["ok"] is True, found["a killed run"]
    assert "12 done after the resume" in found["a killed run"]["found"]
    page = (out / "check.html").read_text("utf-8")
    for text in ("Nothing wrong in", "pulses as quantised", "a killed run", "mock-soft-bounds-128x64"):
        assert text in page
    with open_bench(kept_mock) as bench:
        account = facts_of(bench.array)
        assert account is not None
        fact = account.fact(*CHECK_FACT)
    assert fact is not None
    assert json.loads(fact.content)["findings"] == data["findings"]
    assert cli.main(["chip", "show", str(kept_mock)]) == 0
    assert f"own.station.yaml: nothing wrong in {len(data['findings'])} checks" in capsys.readouterr().out


@pytest.mark.slow
def test_the_board_in_c_over_a_cable_that_is_pulled_and_a_run_that_is_killed(on_a_cable: tuple[Path, Cable]) -> None:
    station, cable = on_a_cable
    somebody = AtTheBench(cable)
    findings, _ = check_fully(str(station), somebody.person, cells="3,2", resistor=10e3)
    wrong = [f"{one.check}: {one.found}: {one.remedy}" for one in findings if one.ok is False]
    assert not wrong
    asked = [line for line in somebody.heard if line.startswith(("Begin", "Pull", "Put"))]
    assert [line.split()[0] for line in asked] == ["Begin?", "Pull", "Put"]
    found = by_name(findings)
    assert found["a pulled cable"].ok is True
    assert "ConnectionLostError" in found["a pulled cable"].found
    assert found["a killed run"].ok is True
    # A cell of the step cells that nobody moved is 10 kΩ: what falls into the two lower ranges is measured.
    assert [one.ok for name, one in found.items() if name.startswith("10.00 kΩ on the")] == [True, True, None, None]


def test_nothing_is_done_to_a_real_bench_when_nobody_wants_it(on_a_cable: tuple[Path, Cable]) -> None:
    station, _ = on_a_cable
    with pytest.raises(RefusedError, match="not begun"):
        check_fully(str(station), AtTheBench(willing=False).person)


def test_a_resistor_of_another_value_is_found(on_a_cable: tuple[Path, Cable]) -> None:
    station, _ = on_a_cable
    with open_bench(station) as bench:
        on = Subject(bench, Block(0, 1, 0, 1))
        good, bad = (station_full._resistor(on, ohms) for ohms in (10e3, 10.3e3))
    assert [one.ok for one in good] == [True, True, None, None]
    assert [one.ok for one in bad] == [False, False, None, None]
    assert "recalibrate" in bad[0].remedy


def steps(*told: str, result: str = CONFIRMED) -> tuple[SafeStep, ...]:
    return tuple(SafeStep("smu", step, result) for step in told)


@pytest.mark.parametrize(
    ("ending", "ok", "why"),
    [
        (steps("stop", "0 V", "output off"), True, ""),
        (steps("stop", "output off", "0 V"), False, "lets go before it is at 0 V"),
        (steps("0 V", "output off", result="not sent"), False, "not sent"),
        (steps("0 V", "output off", "all relays open"), True, ""),
        (steps("all relays open", "0 V", "output off"), False, "relays open before"),
        ((), None, "meter"),
    ],
)
def test_the_order_of_idle_is_looked_at(ending: tuple[SafeStep, ...], ok: bool | None, why: str) -> None:
    array = SimpleNamespace(read=lambda *_: None, idle=lambda: None, ending=ending, spec=_spec())
    finding = station_full._idle_order(_subject(array))
    assert finding.ok is ok
    assert why in finding.remedy


@pytest.mark.parametrize(
    ("seconds", "ok"), [(5.0, True), (None, False), (1e9, False)]
)  # fmt: skip
def test_an_endless_time_out_is_found(seconds: float | None, ok: bool) -> None:
    parts = {"smu": SimpleNamespace(timeout=lambda: seconds), "lamp": SimpleNamespace()}
    bench = SimpleNamespace(file=SimpleNamespace(instruments=parts), station=SimpleNamespace(components=parts))
    finding = station_full._waits(_subject(None, bench))
    assert finding.ok is ok


def test_a_step_that_overshoots_is_found() -> None:
    time = np.arange(1, 201) / 1e5
    for beyond, ok in ((0.02, True), (0.5, False)):
        current = 2e-5 * (1.0 + beyond * np.exp(-time / 5e-5))
        part = SimpleNamespace(sample=lambda *_a, current=current, **_k: SimpleNamespace(time=time, current=current))
        read = SimpleNamespace(conductance=np.array([[1e-4]]))
        array = SimpleNamespace(
            read=lambda *_a, read=read, **_k: read, ability=lambda _kind, part=part: part, spec=_spec()
        )
        finding = station_full._shape(_subject(array))
        assert finding.ok is ok, finding


def test_a_finding_that_is_wrong_fails_the_check() -> None:
    fine = Finding("x", "", "", True)
    assert passed([fine, replace(fine, ok=None)])
    assert not passed([fine, replace(fine, ok=False)])


def _spec() -> Any:
    limits = SimpleNamespace(set_volts_max=1.0, reset_volts_max=1.0)
    return SimpleNamespace(
        name="fake", limits=limits, read_volts=0.2, average_max=16, sample_points_max=200, sample_rate_max=1e5,
        can=lambda _kind: True,
    )  # fmt: skip


def _subject(array: Any, bench: Any = None) -> Any:
    return Subject(bench or SimpleNamespace(array=array), Block(0, 1, 0, 1))
